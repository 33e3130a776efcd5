/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_request.c - what a request says, signed, and what a refusal teaches
 *
 * Each try is made and signed anew: the date, the keys, the region and the
 * clock's offset may have changed since the last one. A refusal may teach the
 * bucket's region, the store's clock or that the keys are old; each is learnt
 * once in an operation, so that a store which keeps saying so gets an error
 * and no loop.
 */
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "ufs/awsconf.h"
#include "ufs/s3_impl.h"
#include "ufs/s3_xml.h"

/* AWS allows 15 minutes; an answer's Date is exact to a second. */
#define SKEW_MIN_NS (5 * 60 * NSEC_PER_SEC)
#define RENEWALS_AT_ONCE 2

static struct s3_op *of(struct http_op *op)
{
	return container_of(op, struct s3_op, http);
}

int s3_path(struct s3_op *op)
{
	struct s3 *s3 = op->s3;

	text_adds(&op->path, s3->base);
	text_adds(&op->path, "/");
	if (!s3->virtual_host) {
		text_add_encoded(&op->path, str_of(s3->bucket), false);
		if (op->key.p != NULL)
			text_adds(&op->path, "/");
	}
	if (op->key.p != NULL) {
		text_add_encoded(&op->path, str_of(s3->ufs.prefix), true);
		text_add_encoded(&op->path, op->key, true);
	}
	op->http.path = op->path.failed ? "" : op->path.p;
	return op->path.failed ? -ENOMEM : 0;
}

static void host_of(const struct s3 *s3, const char *region, char *out,
		    size_t size)
{
	const char *dot = s3->virtual_host ? "." : "";
	const char *bucket = s3->virtual_host ? s3->bucket : "";

	if (s3->host != NULL)
		snprintf(out, size, "%s%s%s", bucket, dot, s3->host);
	else
		snprintf(out, size, "%s%ss3.%s.%s", bucket, dot, region,
			 awsconf_domain(region));
}

void s3_server(struct s3 *s3, char *out, size_t size)
{
	char region[S3_REGION_MAX], host[512];

	lock_take(&s3->lock);
	memcpy(region, s3->region, sizeof(region));
	lock_drop(&s3->lock);
	host_of(s3, region, host, sizeof(host));
	snprintf(out, size, "%s://%s", s3->scheme, host);
}

static void sign_header(struct sigv4_request *r, const char *name,
			const char *value)
{
	r->headers[r->nheaders++] =
	    (struct sigv4_pair){ str_of(name), str_of(value) };
}

/* In time; why is a person's to mend. */
static int no_keys(struct s3_op *op)
{
	char why[256];

	creds_trouble(op->s3->creds, why);
	return ufs_fail(-EACCES, "the credentials have expired%s%s",
			why[0] != '\0' ? ": " : "", why);
}

static int authorize(struct s3_op *op, struct sigv4_request *r,
		     struct text *headers)
{
	struct s3 *s3 = op->s3;
	struct creds *set;
	char date[17];
	int err;

	err = creds_get(s3->creds, op->http.deadline, op->http.cancel, &set);
	if (err == -EACCES)
		return no_keys(op);
	if (err < 0)
		return err;
	op->generation = set->generation;
	sigv4_date(clock_wall_ns() + atomic_load(&s3->skew), date);
	sign_header(r, "x-amz-content-sha256", r->body_hash);
	sign_header(r, "x-amz-date", date);
	if (set->token != NULL)
		sign_header(r, "x-amz-security-token", set->token);
	text_adds(headers, "Authorization: ");
	err = sigv4_sign(&s3->key, r, set->access_key, set->secret, op->region,
			 "s3", date, headers);
	text_addf(headers,
		  "\nx-amz-content-sha256: %s\n"
		  "x-amz-date: %s\n",
		  r->body_hash, date);
	if (set->token != NULL)
		text_addf(headers, "x-amz-security-token: %s\n", set->token);
	creds_unref(set);
	return err;
}

/*
 * A second later: stores that keep fractions (versitygw) hold the whole
 * second for earlier than the object. What answers is compared with the
 * version all the same.
 */
bool s3_weak_date(const char *version, char out[static 40])
{
	time_t t = (time_t)strtoll(version + 1, NULL, 10) + 1;
	struct tm tm;

	return t > 1 && gmtime_r(&t, &tm) != NULL &&
	       strftime(out, 40, "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0;
}

/* The answer must be of this version: as a precondition of the request. */
static void add_condition(struct text *headers, const char *version)
{
	char date[40];

	if (version[0] != '~')
		text_addf(headers, "If-Match: \"%s\"\n", version);
	else if (s3_weak_date(version, date))
		text_addf(headers, "If-Unmodified-Since: %s\n", date);
}

static bool is_checksum(const char *name)
{
	return strncmp(name, "x-amz-checksum-", 15) == 0 ||
	       strcmp(name, "x-amz-sdk-checksum-algorithm") == 0;
}

/* What this request says beside what all do. */
static void add_extra(const struct s3_op *op, struct sigv4_request *r,
		      struct text *headers)
{
	for (size_t i = 0; i < op->nextra; i++) {
		const struct s3_header *h = &op->extra[i];

		if (op->no_checksums && is_checksum(h->name))
			continue;
		text_addf(headers, "%s: %s\n", h->name, h->value);
		/* S3 wants these signed; the others may be. */
		if (strncmp(h->name, "x-amz-", 6) == 0)
			sign_header(r, h->name, h->value);
	}
}

int s3_make(struct http_op *http, struct http_try *t)
{
	struct s3_op *op = of(http);
	struct s3 *s3 = op->s3;
	struct sigv4_request r = {
		.method = http_method_name(http->method),
		.path = { op->path.p, op->path.n },
		.nquery = op->nquery,
		.body_hash =
		    op->body_hash != NULL ? op->body_hash : SIGV4_EMPTY_BODY,
	};
	char host[512];
	int err = 0;

	lock_take(&s3->lock);
	memcpy(op->region, s3->region, sizeof(op->region));
	lock_drop(&s3->lock);
	host_of(s3, op->region, host, sizeof(host));
	for (size_t i = 0; i < op->nquery; i++)
		r.query[i] = op->query[i];
	text_addf(&t->url, "%s://%s", s3->scheme, host);
	text_add(&t->url, op->path.p, op->path.n);
	if (op->nquery > 0) {
		text_adds(&t->url, "?");
		sigv4_query(&r, &t->url);
	}
	text_addf(&t->headers, "Host: %s\n", host);
	sign_header(&r, "host", host);
	if (s3->requester_pays) {
		text_adds(&t->headers, "x-amz-request-payer: requester\n");
		sign_header(&r, "x-amz-request-payer", "requester");
	}
	if (http->whole && http->got == 0) {
		text_adds(&t->headers, "x-amz-checksum-mode: ENABLED\n");
		sign_header(&r, "x-amz-checksum-mode", "ENABLED");
	}
	if (op->want != NULL)
		add_condition(&t->headers, op->want);
	add_extra(op, &r, &t->headers);
	if (s3->creds != NULL)
		err = authorize(op, &r, &t->headers);
	return err;
}

static bool is_one_of(const char *code, const char *const *codes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(code, codes[i]) == 0)
			return true;
	return false;
}

/*
 * The region in an AWS host name, as a redirect's Location has it
 * ("https://b.s3.eu-west-1.amazonaws.com/", "b.s3-eu-west-1..."), or "".
 */
static void region_of_host(const char *url, char out[static S3_REGION_MAX])
{
	const char *end = strstr(url, ".amazonaws.com"), *begin = end;

	out[0] = '\0';
	if (end == NULL)
		return;
	while (begin > url && begin[-1] != '.' && begin[-1] != '/')
		begin--;
	if (strncmp(begin, "s3-", 3) == 0)
		begin += 3;
	if (end > begin && end - begin < S3_REGION_MAX) {
		memcpy(out, begin, (size_t)(end - begin));
		out[end - begin] = '\0';
	}
	if (strcmp(out, "s3") == 0)
		out[0] = '\0';
}

/* The bucket is in another region: sign for that one from now on. */
static bool learn_region(struct s3_op *op, const struct http_answer *a,
			 const struct s3_error *e)
{
	const char *region = http_header(a, "x-amz-bucket-region");
	const char *location = http_header(a, "location");
	struct s3 *s3 = op->s3;
	char from_host[S3_REGION_MAX];
	bool known;

	if (region == NULL)
		region = e->region;
	if (*region == '\0' && location != NULL && s3->host == NULL) {
		region_of_host(location, from_host);
		region = from_host;
	}
	if (op->moved || !awsconf_region_ok(region) ||
	    strcmp(region, op->region) == 0)
		return false;
	op->moved = true;
	lock_take(&s3->lock);
	known = strcmp(s3->region, region) == 0;
	snprintf(s3->region, sizeof(s3->region), "%s", region);
	lock_drop(&s3->lock);
	if (!known) /* by another request meanwhile */
		log_info("ufs: %s is in region %s", s3->where, region);
	return true;
}

/* Our clock is wrong for this store: sign with its time from now on. */
static bool learn_skew(struct s3_op *op, const struct http_answer *a,
		       const char *code)
{
	const char *date = http_header(a, "date");
	struct s3 *s3 = op->s3;
	int64_t seconds, skew, old = atomic_load(&s3->skew);
	bool said = strcmp(code, "RequestTimeTooSkewed") == 0 ||
		    strcmp(code, "RequestExpired") == 0;

	/* A HEAD's refusal has no body that could say so. */
	if (op->skewed || date == NULL || !http_date(date, &seconds) ||
	    seconds < 0 || seconds > UFS_MTIME_MAX_S ||
	    (!said && op->http.method != HTTP_HEAD))
		return false;
	skew = seconds * NSEC_PER_SEC - clock_wall_ns();
	if (!said && llabs(skew - old) < SKEW_MIN_NS)
		return false;
	op->skewed = true;
	atomic_store(&s3->skew, skew);
	log_warn("ufs: the clock of %s is %jd s from this host's: its time "
		 "is used for signing",
		 s3->where, (intmax_t)(skew / NSEC_PER_SEC));
	return true;
}

/*
 * The store does not take these keys, for certain or maybe. It may not take
 * the next ones either, when others use them up: then a pause helps.
 */
static enum http_next learn_keys(struct s3_op *op, enum creds_doubt doubt)
{
	if (op->s3->creds == NULL)
		return HTTP_DENIED;
	switch (creds_refresh(op->s3->creds, op->generation, doubt,
			      op->http.deadline, op->http.cancel)) {
	case CREDS_OTHER:
		return op->renewals++ < RENEWALS_AT_ONCE ? HTTP_AGAIN
							 : HTTP_RETRY;
	case CREDS_FINAL:
		return HTTP_DENIED;
	default:
		return HTTP_RETRY;
	}
}

/*
 * A HEAD's refusal has no body that could say what it means, and keys that
 * were taken away are refused like keys that never were.
 */
static bool may_mean_keys(const struct s3_op *op, const struct http_answer *a,
			  const char *code)
{
	return op->s3->creds != NULL && !op->doubted &&
	       (a->status == 400 || a->status == 403) &&
	       (op->http.method == HTTP_HEAD ||
		strcmp(code, "InvalidAccessKeyId") == 0);
}

enum http_next s3_failed(struct http_op *http, const struct http_answer *a)
{
	static const char *const old_keys[] = {
		"ExpiredToken",
		"ExpiredTokenException",
		"InvalidToken",
		"TokenRefreshRequired",
	};
	static const char *const moved[] = {
		"PermanentRedirect",
		"TemporaryRedirect",
		"AuthorizationHeaderMalformed",
		"IncorrectEndpoint",
		"IllegalLocationConstraintException",
	};
	/* A 503 and a 429 say it without words. */
	static const char *const slower[] = {
		"SlowDown",           "ThrottlingException",
		"Throttling",         "RequestLimitExceeded",
		"TooManyRequests",    "RequestThrottled",
		"ServiceUnavailable",
	};
	/* Other bytes came there than the checksum is of. */
	static const char *const other_bytes[] = {
		"BadDigest",
		"XAmzContentChecksumMismatch",
		"XAmzContentSHA256Mismatch",
	};
	struct s3_op *op = of(http);
	bool head = http->method == HTTP_HEAD;
	struct s3_error e;

	/* Unread words must not turn a missing bucket into a missing key. */
	if (!s3_error_parse(a->body, a->body_n, &e))
		return HTTP_BUSY;
	snprintf(http->code, sizeof(http->code), "%s", e.code);
	if ((a->status >= 300 && a->status < 400) ||
	    is_one_of(e.code, moved, ARRAY_SIZE(moved)) ||
	    (head && (a->status == 400 || a->status == 403)))
		if (learn_region(op, a, &e))
			return HTTP_AGAIN;
	if ((a->status == 403 || a->status == 400) && learn_skew(op, a, e.code))
		return HTTP_AGAIN;
	if (a->status == 401 ||
	    is_one_of(e.code, old_keys, ARRAY_SIZE(old_keys)))
		return learn_keys(op, CREDS_REFUSED);
	if (may_mean_keys(op, a, e.code)) {
		if (creds_expired(op->s3->creds))
			return learn_keys(op, CREDS_REFUSED);
		op->doubted = true;
		if (learn_keys(op, CREDS_DOUBTED) == HTTP_AGAIN)
			return HTTP_AGAIN;
	}
	if (strcmp(e.code, "NoSuchBucket") == 0) {
		atomic_store(&op->s3->bucket_missing, true);
		return HTTP_BROKEN;
	}
	if (strcmp(e.code, "NotImplemented") == 0)
		return HTTP_UNSUPPORTED;
	if (is_one_of(e.code, slower, ARRAY_SIZE(slower)))
		return HTTP_SLOWER;
	if (strcmp(e.code, "RequestTimeout") == 0 ||
	    strcmp(e.code, "IncompleteBody") == 0)
		return HTTP_BUSY;
	if (is_one_of(e.code, other_bytes, ARRAY_SIZE(other_bytes)))
		return HTTP_DIGEST;
	if (strcmp(e.code, "EntityTooLarge") == 0)
		return HTTP_TOO_LARGE;
	if (strcmp(e.code, "NoSuchUpload") == 0)
		return HTTP_NO_UPLOAD;
	if (a->status == 416)
		op->beyond = true;
	return HTTP_AS_TABLE;
}
