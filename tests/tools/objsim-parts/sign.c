/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign.c - is the request signed as AWS asks for? (SigV4, Authorization)
 *
 * The canonical request is built anew from the decoded path and query, so a
 * client that encodes a key wrongly is refused as AWS would refuse it.
 */
#include "sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

struct settings settings = {
	.access = "tarn",
	.secret = "tarnsecret",
	.check = true,
	.conditions = true,
	.copy_conditions = true,
	.put_most = UINT64_C(5) << 30,
	.part_least = UINT64_C(5) << 20,
	.part_most = UINT64_C(5) << 30,
	.parts_most = 10000,
	.object_most = UINT64_C(5) << 40,
};

/* Keys beside those of the settings: of sessions that end. */
struct key {
	struct key *next;
	char access[128], secret[128], token[2048];
	int64_t uses; /* that are left, -1: no limit */
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct key *keys;

struct scope {
	char access[128], date[16], region[64], signed_headers[1024];
	char signature[80];
};

static bool part(const char *from, const char *name, const char *stop, char *to,
		 size_t size)
{
	const char *p = strstr(from, name);
	size_t n;

	if (p == NULL)
		return false;
	p += strlen(name);
	n = strcspn(p, stop);
	if (n >= size)
		return false;
	memcpy(to, p, n);
	to[n] = 0;
	return true;
}

static bool parse(const char *auth, struct scope *s)
{
	char credential[300], *date, *region, *end;

	if (!part(auth, "Credential=", ", ", credential, sizeof(credential)) ||
	    !part(auth, "SignedHeaders=", ", ", s->signed_headers,
		  sizeof(s->signed_headers)) ||
	    !part(auth, "Signature=", ", ", s->signature, sizeof(s->signature)))
		return false;
	date = strchr(credential, '/');
	region = date == NULL ? NULL : strchr(date + 1, '/');
	end = region == NULL ? NULL : strchr(region + 1, '/');
	if (end == NULL || strcmp(end, "/s3/aws4_request") != 0)
		return false;
	*date++ = *region++ = *end = 0;
	snprintf(s->access, sizeof(s->access), "%.127s", credential);
	snprintf(s->date, sizeof(s->date), "%.15s", date);
	snprintf(s->region, sizeof(s->region), "%s", region);
	return true;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void write_query(const struct request *r, FILE *f)
{
	char *pairs[MAX_PARAMS];

	for (size_t i = 0; i < r->nparams; i++) {
		struct bytes name = { r->params[i].name,
				      strlen(r->params[i].name) };
		char *n = pct_encode(name, false);
		char *v = pct_encode(r->params[i].value, false);

		if (asprintf(&pairs[i], "%s=%s", n, v) < 0)
			abort();
		free(n);
		free(v);
	}
	qsort(pairs, r->nparams, sizeof(pairs[0]), by_text);
	for (size_t i = 0; i < r->nparams; i++) {
		fprintf(f, "%s%s", i == 0 ? "" : "&", pairs[i]);
		free(pairs[i]);
	}
}

static void write_headers(const struct request *r, const char *names, FILE *f)
{
	while (*names != 0) {
		size_t n = strcspn(names, ";");
		char name[256];
		const char *v;
		size_t len;

		snprintf(name, sizeof(name), "%.*s", (int)n, names);
		v = request_header(r, name);
		if (v == NULL)
			v = "";
		fprintf(f, "%s:", name);
		/* runs of spaces count as one, those at the ends not at all */
		len = strlen(v);
		while (len > 0 && v[len - 1] == ' ')
			len--;
		for (size_t i = 0; i < len; i++)
			if (v[i] != ' ' || v[i + 1] != ' ')
				fputc(v[i], f);
		fputc('\n', f);
		names += n;
		names += *names == ';';
	}
}

static void hex_of(const unsigned char *p, size_t n, char *to)
{
	for (size_t i = 0; i < n; i++)
		to += sprintf(to, "%02x", p[i]);
}

static void canonical_hash(const struct request *r, const struct scope *s,
			   char out[static 65])
{
	struct bytes path = pct_decode(r->path, strlen(r->path), false);
	char *encoded = pct_encode(path, true), *text = NULL;
	const char *sha = request_header(r, "x-amz-content-sha256");
	unsigned char sum[32];
	size_t n;
	FILE *f = need(open_memstream(&text, &n));

	fprintf(f, "%s\n%s\n", r->method, encoded);
	write_query(r, f);
	fputc('\n', f);
	write_headers(r, s->signed_headers, f);
	fprintf(f, "\n%s\n%s", s->signed_headers, sha);
	fclose(f);
	EVP_Digest(text, n, sum, NULL, EVP_sha256(), NULL);
	hex_of(sum, 32, out);
	free(text);
	free(encoded);
	free(path.p);
}

static void hmac(unsigned char key[static 32], size_t key_len, const char *text)
{
	unsigned char out[32];

	HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text,
	     strlen(text), out, NULL);
	memcpy(key, out, 32);
}

void keys_put(const char *access, const char *secret, const char *token,
	      int64_t uses)
{
	struct key *k;

	pthread_mutex_lock(&lock);
	for (k = keys; k != NULL && strcmp(k->access, access) != 0;)
		k = k->next;
	if (k == NULL) {
		k = need(calloc(1, sizeof(*k)));
		k->next = keys;
		keys = k;
	}
	snprintf(k->access, sizeof(k->access), "%s", access);
	snprintf(k->secret, sizeof(k->secret), "%s", secret);
	snprintf(k->token, sizeof(k->token), "%s", token);
	k->uses = uses;
	pthread_mutex_unlock(&lock);
}

void keys_clear(void)
{
	struct key *k;

	pthread_mutex_lock(&lock);
	while ((k = keys) != NULL) {
		keys = k->next;
		free(k);
	}
	pthread_mutex_unlock(&lock);
}

/* The secret of this key, and what is wrong with it if it is not NULL. */
static const char *key_check(const char *access, const char *token,
			     char secret[static 128])
{
	const char *code = "InvalidAccessKeyId";
	const char *wanted = settings.token;
	struct key *k;

	pthread_mutex_lock(&lock);
	for (k = keys; k != NULL && strcmp(k->access, access) != 0;)
		k = k->next;
	if (k != NULL || strcmp(access, settings.access) == 0) {
		snprintf(secret, 128, "%s",
			 k != NULL ? k->secret : settings.secret);
		if (k != NULL)
			wanted = k->token;
		code = NULL;
		if (wanted[0] != 0 &&
		    (token == NULL || strcmp(token, wanted) != 0))
			code = "InvalidToken";
		else if (k != NULL && k->uses == 0)
			code = "ExpiredToken";
		else if (k != NULL && k->uses > 0)
			k->uses--;
	}
	pthread_mutex_unlock(&lock);
	return code;
}

static bool signature_is_right(const struct request *r, const struct scope *s,
			       const char *date, const char *secret)
{
	unsigned char key[160];
	char hash[65], text[400], out[65];

	canonical_hash(r, s, hash);
	snprintf(text, sizeof(text),
		 "AWS4-HMAC-SHA256\n%.20s\n%s/%s/s3/aws4_request\n%s", date,
		 s->date, s->region, hash);
	snprintf((char *)key, sizeof(key), "AWS4%s", secret);
	hmac(key, strlen((char *)key), s->date);
	hmac(key, 32, s->region);
	hmac(key, 32, "s3");
	hmac(key, 32, "aws4_request");
	hmac(key, 32, text);
	hex_of(key, 32, out);
	return strcmp(out, s->signature) == 0;
}

static bool payload_is_right(const struct request *r, const char *sha)
{
	unsigned char sum[32];
	char out[65];

	if (strlen(sha) != 64)
		return strcmp(sha, "UNSIGNED-PAYLOAD") == 0 ||
		       strncmp(sha, "STREAMING-", 10) == 0;
	EVP_Digest(r->body, r->body_len, sum, NULL, EVP_sha256(), NULL);
	hex_of(sum, 32, out);
	return strcmp(out, sha) == 0;
}

int sign_check(const struct request *r, const char **code)
{
	const char *auth = request_header(r, "authorization");
	const char *date = request_header(r, "x-amz-date");
	const char *sha = request_header(r, "x-amz-content-sha256");
	const char *token = request_header(r, "x-amz-security-token");
	char secret[128];
	const char *payer = request_header(r, "x-amz-request-payer");
	struct scope s;
	struct tm tm = { 0 };
	int64_t skew;

	*code = "AccessDenied";
	if (settings.payer &&
	    (payer == NULL || strcmp(payer, "requester") != 0))
		return 403;
	if (!settings.check)
		return 0;
	if (auth == NULL) {
		*code = "AccessDenied";
		return settings.anonymous ? 0 : 403;
	}
	*code = "AuthorizationHeaderMalformed";
	if (strncmp(auth, "AWS4-HMAC-SHA256 ", 17) != 0 || !parse(auth, &s) ||
	    date == NULL || strptime(date, "%Y%m%dT%H%M%SZ", &tm) == NULL ||
	    sha == NULL || strstr(s.signed_headers, "host") == NULL)
		return 400;
	*code = key_check(s.access, token, secret);
	if (*code != NULL)
		return strcmp(*code, "InvalidAccessKeyId") == 0 ? 403 : 400;
	*code = "RequestTimeTooSkewed";
	skew = (int64_t)timegm(&tm) - (time(NULL) + settings.clock_offset_s);
	if (skew > 900 || skew < -900)
		return 403;
	*code = "AuthorizationHeaderMalformed";
	if (settings.region[0] != 0 && strcmp(settings.region, s.region) != 0)
		return 400;
	*code = "SignatureDoesNotMatch";
	if (!signature_is_right(r, &s, date, secret))
		return 403;
	*code = "XAmzContentSHA256Mismatch";
	return payload_is_right(r, sha) ? 0 : 400;
}
