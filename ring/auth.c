/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.c - see auth.h
 *
 * The canonical request is built from what was received, decoded and encoded
 * again as AWS does, so that it does not matter how a client wrote a byte.
 */
#include "ring/auth.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "ring/wire.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define WEEK 604800

/* What a request says of its signature, wherever it says it. */
struct claim {
	char region[64];
	char date[17]; /* 20130524T000000Z */
	struct str credential, signed_headers, signature, body_hash;
	bool presigned;
	uint64_t expires; /* s, presigned only */
};

void auth_init(struct auth *a, const char *secret)
{
	a->secret = secret;
	sigv4_key_init(&a->key);
}

void auth_fini(struct auth *a)
{
	sigv4_key_fini(&a->key);
}

static struct str next(struct str *s, char c)
{
	const char *p = s->n > 0 ? memchr(s->p, c, s->n) : NULL;
	struct str head = *s;

	head.n = p != NULL ? (size_t)(p - s->p) : s->n;
	s->p += head.n + (p != NULL);
	s->n -= head.n + (p != NULL);
	return head;
}

/* "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=..." */
static bool read_header(struct str v, struct claim *c)
{
	if (!str_eq(next(&v, ' '), str_of(ALGORITHM)))
		return false;
	while (v.n > 0) {
		struct str word = next(&v, ','), name;

		while (word.n > 0 && *word.p == ' ') {
			word.p++;
			word.n--;
		}
		name = next(&word, '=');
		if (str_eq(name, str_of("Credential")))
			c->credential = word;
		else if (str_eq(name, str_of("SignedHeaders")))
			c->signed_headers = word;
		else if (str_eq(name, str_of("Signature")))
			c->signature = word;
		else
			return false;
	}
	return true;
}

static bool copy(struct str s, char *out, size_t size)
{
	if (s.n >= size || memchr(s.p, '\0', s.n) != NULL)
		return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

/* "tarn/20130524/us-east-1/s3/aws4_request" */
static const char *read_credential(struct claim *c)
{
	struct str v = c->credential;
	struct str id = next(&v, '/'), day = next(&v, '/');
	struct str region = next(&v, '/'), service = next(&v, '/');

	if (!str_eq(service, str_of("s3")) ||
	    !str_eq(v, str_of("aws4_request")) || region.n == 0 ||
	    !copy(region, c->region, sizeof(c->region)) ||
	    !str_eq(day, (struct str){ c->date, 8 }))
		return "AuthorizationHeaderMalformed";
	for (const char *p = c->region; *p != '\0'; p++)
		if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9') &&
		    *p != '-')
			return "AuthorizationHeaderMalformed";
	return str_eq(id, str_of(WIRE_ACCESS_KEY)) ? NULL
						   : "InvalidAccessKeyId";
}

/* 20130524T000000Z in seconds since 1970; -1: it is none. */
static int64_t date_seconds(const char *s)
{
	struct tm tm = { 0 };
	int *const to[] = { &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
			    &tm.tm_hour, &tm.tm_min, &tm.tm_sec };
	static const int at[] = { 0, 4, 6, 9, 11, 13, 15 };

	if (strlen(s) != 16 || s[8] != 'T' || s[15] != 'Z')
		return -1;
	for (size_t f = 0; f < ARRAY_SIZE(to); f++)
		for (int i = at[f]; i < (f == 2 ? 8 : at[f + 1]); i++) {
			if (s[i] < '0' || s[i] > '9')
				return -1;
			*to[f] = *to[f] * 10 + (s[i] - '0');
		}
	if (tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 ||
	    tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 60)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return timegm(&tm);
}

static const char *check_time(const struct claim *c, int64_t wall)
{
	int64_t now = wall / NSEC_PER_SEC, then = date_seconds(c->date);

	if (then < 0)
		return "AccessDenied";
	if (then > now + AUTH_SKEW_SECONDS)
		return "RequestTimeTooSkewed";
	if (c->presigned)
		return now > then + (int64_t)c->expires ? "AccessDenied" : NULL;
	return now > then + AUTH_SKEW_SECONDS ? "RequestTimeTooSkewed" : NULL;
}

/* Where it was signed, and that all is there. */
static const char *read_claim(const struct request *r, struct claim *c)
{
	const struct str *header = request_header(r, "authorization");
	const struct str *algorithm = request_query(r, "X-Amz-Algorithm");
	const struct str *date, *v[4];

	*c = (struct claim){ .credential = STR_EMPTY,
			     .signed_headers = STR_EMPTY,
			     .signature = STR_EMPTY };
	if (header != NULL && algorithm == NULL) {
		date = request_header(r, "x-amz-date");
		v[0] = request_header(r, "x-amz-content-sha256");
		if (!read_header(*header, c))
			return "AuthorizationHeaderMalformed";
		if (date == NULL || v[0] == NULL)
			return "AccessDenied";
		c->body_hash = *v[0];
	} else if (algorithm != NULL && header == NULL) {
		date = request_query(r, "X-Amz-Date");
		v[0] = request_query(r, "X-Amz-Credential");
		v[1] = request_query(r, "X-Amz-SignedHeaders");
		v[2] = request_query(r, "X-Amz-Signature");
		v[3] = request_query(r, "X-Amz-Expires");
		if (!str_eq(*algorithm, str_of(ALGORITHM)) || date == NULL ||
		    v[0] == NULL || v[1] == NULL || v[2] == NULL ||
		    v[3] == NULL || !request_number(*v[3], &c->expires) ||
		    c->expires == 0 || c->expires > WEEK)
			return "AuthorizationQueryParametersError";
		c->credential = *v[0];
		c->signed_headers = *v[1];
		c->signature = *v[2];
		c->body_hash = str_of("UNSIGNED-PAYLOAD");
		c->presigned = true;
	} else {
		return "AccessDenied";
	}
	if (!copy(*date, c->date, sizeof(c->date)) || strlen(c->date) != 16 ||
	    c->signature.n != 64)
		return "AccessDenied";
	return NULL;
}

/*
 * The headers that were signed. Host and all of x-amz-* must be among them:
 * they are what a request means.
 */
static bool signed_headers(const struct request *r, const struct claim *c,
			   struct sigv4_request *q)
{
	struct str rest = c->signed_headers;
	bool used[REQUEST_HEADERS_MAX] = { false };

	while (rest.n > 0) {
		struct str name = next(&rest, ';');
		size_t found = 0;

		for (size_t i = 0; i < name.n; i++)
			if (name.p[i] >= 'A' && name.p[i] <= 'Z')
				return false;
		for (size_t i = 0; i < r->nheaders; i++) {
			if (r->headers[i].name.n != name.n || used[i] ||
			    strncasecmp(r->headers[i].name.p, name.p, name.n))
				continue;
			if (q->nheaders == SIGV4_HEADERS_MAX)
				return false;
			q->headers[q->nheaders].name = name;
			q->headers[q->nheaders++].value = r->headers[i].value;
			used[i] = true;
			found++;
		}
		if (found == 0)
			return false;
	}
	for (size_t i = 0; i < r->nheaders; i++) {
		struct str name = r->headers[i].name;

		if (!used[i] &&
		    ((name.n == 4 && strncasecmp(name.p, "host", 4) == 0) ||
		     (name.n > 6 && strncasecmp(name.p, "x-amz-", 6) == 0)))
			return false;
	}
	return true;
}

static const char *check_body(const struct request *r, const struct claim *c,
			      bool signed_body)
{
	char hash[65];

	if (c->body_hash.n != 64)
		return signed_body ||
			       !str_eq(c->body_hash, str_of("UNSIGNED-PAYLOAD"))
			   ? "AccessDenied"
			   : NULL;
	if (sigv4_body_hash(r->body.n > 0 ? r->body.p : "", r->body.n, hash) <
	    0)
		return "AccessDenied";
	return memcmp(hash, c->body_hash.p, 64) == 0
		   ? NULL
		   : "XAmzContentSHA256Mismatch";
}

static const char *check_signature(struct auth *a, const struct request *r,
				   const struct claim *c)
{
	struct sigv4_request q = { 0 };
	struct text path = { 0 };
	char method[16], body_hash[65], want[65];
	const char *wrong = "SignatureDoesNotMatch";

	if (!copy(r->method, method, sizeof(method)) ||
	    !copy(c->body_hash, body_hash, sizeof(body_hash)) ||
	    !signed_headers(r, c, &q))
		return wrong;
	q.method = method;
	q.body_hash = body_hash;
	for (size_t i = 0; i < r->nquery; i++)
		if (!c->presigned ||
		    !str_eq(r->query[i].name, str_of("X-Amz-Signature")))
			q.query[q.nquery++] = r->query[i];
	text_adds(&path, "/");
	text_add_encoded(&path, r->bucket, false);
	if (r->has_key)
		text_adds(&path, "/");
	text_add_encoded(&path, r->key, true);
	q.path = (struct str){ path.p, path.n };
	if (!path.failed &&
	    sigv4_signature(&a->key, &q, a->secret, c->region, "s3", c->date,
			    want) == 0 &&
	    CRYPTO_memcmp(want, c->signature.p, 64) == 0)
		wrong = NULL;
	text_fini(&path);
	return wrong;
}

const char *auth_check(struct auth *a, const struct request *r, int64_t wall,
		       bool signed_body)
{
	const char *wrong;
	struct claim c;

	if (a->secret == NULL)
		return NULL;
	wrong = read_claim(r, &c);
	if (wrong == NULL)
		wrong = read_credential(&c);
	if (wrong == NULL)
		wrong = check_time(&c, wall);
	if (wrong == NULL)
		wrong = check_body(r, &c, signed_body);
	if (wrong == NULL)
		wrong = check_signature(a, r, &c);
	return wrong;
}
