/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4.c - AWS Signature Version 4 in an Authorization header
 *
 * canonical request -> string to sign -> HMAC with a key derived from the
 * secret, the day, the region and the service. The derived key is good for a
 * day and is kept, which leaves two hashes and one HMAC to a request.
 */
#include "ufs/sigv4.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

#define HASH 32

static bool sha256(const void *p, size_t n, uint8_t out[static HASH])
{
	return EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) == 1;
}

static bool hmac(const uint8_t *key, size_t key_n, const void *p, size_t n,
		 uint8_t out[static HASH])
{
	return HMAC(EVP_sha256(), key, (int)key_n, p, n, out, NULL) != NULL;
}

static void to_hex(const uint8_t hash[static HASH], char out[static 2 * HASH])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < HASH; i++) {
		out[2 * i] = digits[hash[i] >> 4];
		out[2 * i + 1] = digits[hash[i] & 15];
	}
}

static void add_hex(struct text *t, const uint8_t hash[static HASH])
{
	char hex[2 * HASH];

	to_hex(hash, hex);
	text_add(t, hex, sizeof(hex));
}

int sigv4_body_hash(const void *p, size_t n, char out[static 65])
{
	uint8_t hash[HASH];

	if (!sha256(p, n, hash))
		return -ENOMEM;
	to_hex(hash, out);
	out[64] = '\0';
	return 0;
}

void sigv4_key_init(struct sigv4_key *k)
{
	memset(k, 0, sizeof(*k));
	lock_init(&k->lock, RANK_LEAF);
}

void sigv4_key_fini(struct sigv4_key *k)
{
	lock_fini(&k->lock);
	explicit_bzero(k, sizeof(*k));
}

void sigv4_date(int64_t wall, char out[static 17])
{
	time_t s = (time_t)(wall / NSEC_PER_SEC);
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(out, 17, "%Y%m%dT%H%M%SZ", &tm);
}

/* By name; equal names keep their order. There are few. */
static void sort_pairs(struct sigv4_pair *p, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct sigv4_pair x = p[i];
		size_t j = i;

		for (; j > 0 && str_cmp(x.name, p[j - 1].name) < 0; j--)
			p[j] = p[j - 1];
		p[j] = x;
	}
}

/*
 * S3's parameter names are words of ASCII letters and '-', which sort alike
 * before and after encoding, and none is given twice.
 */
void sigv4_query(struct sigv4_request *r, struct text *out)
{
	sort_pairs(r->query, r->nquery);
	for (size_t i = 0; i < r->nquery; i++) {
		if (i > 0)
			text_adds(out, "&");
		text_add_encoded(out, r->query[i].name, false);
		text_adds(out, "=");
		text_add_encoded(out, r->query[i].value, false);
	}
}

/* Without what surrounds it, and runs of spaces as one. */
static void add_trimmed(struct text *t, struct str v)
{
	bool space = false;
	size_t start = t->n;

	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] == ' ' || v.p[i] == '\t') {
			space = true;
			continue;
		}
		if (space && t->n > start)
			text_adds(t, " ");
		space = false;
		text_add(t, v.p + i, 1);
	}
}

static void add_signed_names(struct text *t, const struct sigv4_request *r)
{
	for (size_t i = 0; i < r->nheaders; i++) {
		if (i > 0 && str_eq(r->headers[i].name, r->headers[i - 1].name))
			continue;
		if (i > 0)
			text_adds(t, ";");
		text_add(t, r->headers[i].name.p, r->headers[i].name.n);
	}
}

void sigv4_canonical(struct sigv4_request *r, struct text *out)
{
	text_addf(out, "%s\n", r->method);
	text_add(out, r->path.p, r->path.n);
	text_adds(out, "\n");
	sigv4_query(r, out);
	text_adds(out, "\n");
	sort_pairs(r->headers, r->nheaders);
	for (size_t i = 0; i < r->nheaders; i++) {
		if (i > 0 &&
		    str_eq(r->headers[i].name, r->headers[i - 1].name)) {
			text_adds(out, ",");
		} else {
			if (i > 0)
				text_adds(out, "\n");
			text_add(out, r->headers[i].name.p,
				 r->headers[i].name.n);
			text_adds(out, ":");
		}
		add_trimmed(out, r->headers[i].value);
	}
	text_adds(out, "\n\n");
	add_signed_names(out, r);
	text_addf(out, "\n%s", r->body_hash);
}

static int derive(const char *secret, const char *date, const char *region,
		  const char *service, uint8_t key[static HASH])
{
	struct text first = { 0 };
	int r = -ENOMEM;

	text_adds(&first, "AWS4");
	text_adds(&first, secret);
	if (!first.failed &&
	    hmac((const uint8_t *)first.p, first.n, date, 8, key) &&
	    hmac(key, HASH, region, strlen(region), key) &&
	    hmac(key, HASH, service, strlen(service), key) &&
	    hmac(key, HASH, "aws4_request", 12, key))
		r = 0;
	text_wipe(&first);
	return r;
}

static int key_get(struct sigv4_key *k, const char *scope, const char *secret,
		   const char *date, const char *region, const char *service,
		   uint8_t out[static HASH])
{
	uint8_t hash[HASH];
	bool hit;
	int r;

	if (!sha256(secret, strlen(secret), hash))
		return -ENOMEM;
	lock_take(&k->lock);
	hit = k->set && strcmp(k->scope, scope) == 0 &&
	      memcmp(k->secret_hash, hash, HASH) == 0;
	if (hit)
		memcpy(out, k->key, HASH);
	lock_drop(&k->lock);
	if (hit)
		return 0;
	r = derive(secret, date, region, service, out);
	if (r < 0)
		return r;
	lock_take(&k->lock);
	k->set = true;
	snprintf(k->scope, sizeof(k->scope), "%s", scope);
	memcpy(k->secret_hash, hash, HASH);
	memcpy(k->key, out, HASH);
	lock_drop(&k->lock);
	return 0;
}

static int signature(struct sigv4_request *r, const char *date,
		     const char *scope, const uint8_t key[static HASH],
		     uint8_t out[static HASH])
{
	struct text t = { 0 };
	uint8_t hash[HASH];
	bool ok;

	sigv4_canonical(r, &t);
	ok = !t.failed && sha256(t.p, t.n, hash);
	text_wipe(&t); /* it holds the session token */
	if (!ok)
		return -ENOMEM;
	text_addf(&t, "AWS4-HMAC-SHA256\n%s\n%s/aws4_request\n", date, scope);
	add_hex(&t, hash);
	ok = !t.failed && hmac(key, HASH, t.p, t.n, out);
	text_fini(&t);
	return ok ? 0 : -ENOMEM;
}

/* scope gets "20130524/us-east-1/s3". */
static int sign(struct sigv4_key *k, struct sigv4_request *r,
		const char *secret, const char *region, const char *service,
		const char *date, char scope[static sizeof(k->scope)],
		uint8_t sig[static HASH])
{
	uint8_t key[HASH];
	int n = snprintf(scope, sizeof(k->scope), "%.8s/%s/%s", date, region,
			 service);
	int err;

	if (n < 0 || (size_t)n >= sizeof(k->scope))
		return -EINVAL;
	err = key_get(k, scope, secret, date, region, service, key);
	if (err == 0)
		err = signature(r, date, scope, key, sig);
	explicit_bzero(key, sizeof(key));
	return err;
}

int sigv4_signature(struct sigv4_key *k, struct sigv4_request *r,
		    const char *secret, const char *region, const char *service,
		    const char *date, char out[static 65])
{
	char scope[sizeof(k->scope)];
	uint8_t sig[HASH];
	int err = sign(k, r, secret, region, service, date, scope, sig);

	if (err < 0)
		return err;
	to_hex(sig, out);
	out[2 * HASH] = '\0';
	return 0;
}

int sigv4_sign(struct sigv4_key *k, struct sigv4_request *r,
	       const char *access_key, const char *secret, const char *region,
	       const char *service, const char *date, struct text *out)
{
	char scope[sizeof(k->scope)];
	uint8_t sig[HASH];
	int err = sign(k, r, secret, region, service, date, scope, sig);

	if (err < 0)
		return err;
	text_addf(out,
		  "AWS4-HMAC-SHA256 Credential=%s/%s/aws4_request,"
		  "SignedHeaders=",
		  access_key, scope);
	add_signed_names(out, r);
	text_adds(out, ",Signature=");
	add_hex(out, sig);
	return out->failed ? -ENOMEM : 0;
}
