/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_request.c - requests to a worker: read strictly, ranges, signatures
 */
#include <check.h>
#include <stdio.h>

#include "base/clock.h"
#include "ring/auth.h"
#include "ring/request.h"
#include "ring/wire.h"
#include "tests/unit/run.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW (INT64_C(1700000000) * NSEC_PER_SEC)

static void add(struct request *r, const char *name, const char *value)
{
	r->headers[r->nheaders].name = str_of(name);
	r->headers[r->nheaders++].value = str_of(value);
}

static struct request request(const char *target)
{
	struct request r = { .method = str_of("GET"),
			     .target = str_of(target) };

	add(&r, "Host", "worker:7070");
	return r;
}

START_TEST(a_target_is_bucket_key_and_parameters)
{
	struct request r = request(
	    "/bu%2Dcket/a%2Fb//c+d%00?list-type=2&prefix=x%26y+z&empty");

	ck_assert_int_eq(request_parse(&r), 0);
	ck_assert(str_eq(r.bucket, str_of("bu-cket")));
	ck_assert(str_eq(r.key, (struct str){ "a/b//c+d\0", 9 }));
	ck_assert(str_eq(*request_query(&r, "prefix"), str_of("x&y z")));
	ck_assert(str_eq(*request_query(&r, "empty"), STR_EMPTY));
	ck_assert_ptr_null(request_query(&r, "none"));
	request_fini(&r);
}
END_TEST

static const char *const bad_targets[] = {
	"",   "x",   "*",    "http://x/y", "/a b",  "/a\x7f", "/a\xc3\xa9",
	"/%", "/%2", "/%zz", "/a#b",       "/?a&a", "/a\tb",  "/?x=1&x=2",
};

START_TEST(a_bad_target_is_refused)
{
	struct request r = request(bad_targets[_i]);

	ck_assert_int_eq(request_parse(&r), 400);
	request_fini(&r);
}
END_TEST

static const char *const bad_headers[][2] = {
	{ "Transfer-Encoding", "chunked" },
	{ "transfer-encoding", "identity" },
	{ "Content-Length", "+5" },
	{ "Content-Length", "0x5" },
	{ "Content-Length", "5,5" },
	{ "Content-Length", "-1" },
	{ "Content-Length", "" },
	{ "Content-Length", "18446744073709551621" },
	{ "HOST", "another" },
	{ "X A", "b" },
	{ "X-A ", "b" },
	{ "", "b" },
	{ "X-A", "b\rc" },
	{ "X-A", "b\nc" },
};

START_TEST(a_bad_header_is_refused)
{
	struct request r = request("/a/b");

	add(&r, bad_headers[_i][0], bad_headers[_i][1]);
	ck_assert_int_eq(request_parse(&r), 400);
	request_fini(&r);
}
END_TEST

static const struct range_case {
	const char *value;
	uint64_t size;
	enum range_kind kind;
	uint64_t off, len;
} ranges[] = {
	{ NULL, 10, RANGE_NONE, 0, 0 },
	{ "bytes=0-0", 10, RANGE_PART, 0, 1 },
	{ "bytes=0-9", 10, RANGE_PART, 0, 10 },
	{ "bytes=3-", 10, RANGE_PART, 3, 7 },
	{ "bytes=3-99999", 10, RANGE_PART, 3, 7 },
	{ "bytes=-4", 10, RANGE_PART, 6, 4 },
	{ "bytes=-99", 10, RANGE_PART, 0, 10 },
	{ "Bytes=9-9", 10, RANGE_PART, 9, 1 },
	{ "bytes=10-", 10, RANGE_OUTSIDE, 0, 0 },
	{ "bytes=10-11", 10, RANGE_OUTSIDE, 0, 0 },
	{ "bytes=-0", 10, RANGE_OUTSIDE, 0, 0 },
	{ "bytes=0-0", 0, RANGE_OUTSIDE, 0, 0 },
	{ "bytes=-5", 0, RANGE_OUTSIDE, 0, 0 },
	{ "bytes=5-2", 10, RANGE_BAD, 0, 0 },
	{ "bytes=0-1,3-4", 10, RANGE_BAD, 0, 0 },
	{ "bytes=0-,0-", 10, RANGE_BAD, 0, 0 },
	{ "bytes=", 10, RANGE_BAD, 0, 0 },
	{ "bytes=-", 10, RANGE_BAD, 0, 0 },
	{ "bytes=1", 10, RANGE_BAD, 0, 0 },
	{ "bytes= 1-2", 10, RANGE_BAD, 0, 0 },
	{ "bytes=1-2 ", 10, RANGE_BAD, 0, 0 },
	{ "bytes=+1-2", 10, RANGE_BAD, 0, 0 },
	{ "bytes=18446744073709551616-", 10, RANGE_BAD, 0, 0 },
	{ "bytes=0-18446744073709551615", 10, RANGE_BAD, 0, 0 },
	{ "lines=1-2", 10, RANGE_BAD, 0, 0 },
};

START_TEST(a_range_is_one_or_none)
{
	const struct range_case *c = &ranges[_i];
	struct str value = str_of(c->value != NULL ? c->value : "");
	uint64_t off = 0, len = 0;

	ck_assert_int_eq(request_range(c->value != NULL ? &value : NULL,
				       c->size, &off, &len),
			 c->kind);
	ck_assert_uint_eq(off, c->off);
	ck_assert_uint_eq(len, c->len);
}
END_TEST

START_TEST(etags_match_whole)
{
	ck_assert(request_etag_matches(str_of("\"abc\""), "abc"));
	ck_assert(request_etag_matches(str_of("abc"), "abc"));
	ck_assert(request_etag_matches(str_of("*"), "abc"));
	ck_assert(request_etag_matches(str_of("\"x\", \"abc\""), "abc"));
	ck_assert(!request_etag_matches(str_of("\"abcd\""), "abc"));
	ck_assert(!request_etag_matches(str_of("\"ab"), "ab"));
	ck_assert(!request_etag_matches(str_of("W/\"abc\""), "abc"));
	ck_assert(!request_etag_matches(str_of(""), "abc"));
}
END_TEST

static int64_t age_of(const char *value)
{
	struct request r = request("/");

	add(&r, "Cache-Control", value);
	return request_max_age(&r);
}

START_TEST(max_age_is_read)
{
	struct request none = request("/");

	ck_assert_int_eq(request_max_age(&none), -1);
	ck_assert_int_eq(age_of("max-age=0"), 0);
	ck_assert_int_eq(age_of("no-transform, Max-Age=60"), 60);
	ck_assert_int_eq(age_of("max-age=60, max-age=5"), 5);
	ck_assert_int_eq(age_of("no-cache"), 0);
	ck_assert_int_eq(age_of("max-age=x"), -1);
}
END_TEST

static bool only_cached(const char *value)
{
	struct request r = request("/");

	add(&r, "Cache-Control", value);
	return request_only_cached(&r);
}

START_TEST(only_if_cached_is_read)
{
	struct request none = request("/");

	ck_assert(!request_only_cached(&none));
	ck_assert(only_cached("only-if-cached"));
	ck_assert(only_cached("max-age=5 , Only-If-Cached"));
	ck_assert(!only_cached("only-if-cachedx"));
	ck_assert(!only_cached("x-only-if-cached=1"));
	ck_assert(!only_cached(""));
}
END_TEST

/* A request and what of it was signed. */
struct signing {
	struct request r;
	struct text authorization;
	char date[17];
};

static void sign(struct signing *s, const char *secret, const char *body_hash,
		 int64_t wall)
{
	struct sigv4_request q = { .method = "GET",
				   .path = str_of("/bucket/a%20b"),
				   .body_hash = body_hash };
	struct sigv4_key key;

	memset(s, 0, sizeof(*s));
	sigv4_date(wall, s->date);
	s->r = request("/bucket/a%20b?x=1&a=%2F");
	add(&s->r, "X-Amz-Date", s->date);
	add(&s->r, "X-Amz-Content-Sha256", body_hash);
	add(&s->r, "Range", "bytes=0-1");
	for (size_t i = 0; i < s->r.nheaders; i++)
		q.headers[i].value = s->r.headers[i].value;
	q.headers[0].name = str_of("host");
	q.headers[1].name = str_of("x-amz-date");
	q.headers[2].name = str_of("x-amz-content-sha256");
	q.headers[3].name = str_of("range");
	q.nheaders = 4;
	q.query[0] = (struct sigv4_pair){ str_of("x"), str_of("1") };
	q.query[1] = (struct sigv4_pair){ str_of("a"), str_of("/") };
	q.nquery = 2;
	sigv4_key_init(&key);
	ck_assert_int_eq(sigv4_sign(&key, &q, WIRE_ACCESS_KEY, secret,
				    "eu-north-1", "s3", s->date,
				    &s->authorization),
			 0);
	sigv4_key_fini(&key);
	add(&s->r, "Authorization", s->authorization.p);
}

static const char *check(struct signing *s, int64_t wall, bool signed_body)
{
	const char *wrong;
	struct auth a;

	auth_init(&a, SECRET);
	ck_assert_int_eq(request_parse(&s->r), 0);
	wrong = auth_check(&a, &s->r, wall, signed_body);
	auth_fini(&a);
	request_fini(&s->r);
	text_fini(&s->authorization);
	return wrong;
}

START_TEST(what_is_signed_with_the_key_is_right)
{
	struct signing s;

	sign(&s, SECRET, SIGV4_EMPTY_BODY, NOW);
	ck_assert_ptr_null(check(&s, NOW, false));
	sign(&s, SECRET, SIGV4_EMPTY_BODY, NOW);
	ck_assert_ptr_null(check(&s, NOW + 299 * NSEC_PER_SEC, true));
	sign(&s, SECRET, "UNSIGNED-PAYLOAD", NOW);
	ck_assert_ptr_null(check(&s, NOW - 299 * NSEC_PER_SEC, false));
}
END_TEST

START_TEST(a_clock_may_be_five_minutes_off)
{
	struct signing s;

	sign(&s, SECRET, SIGV4_EMPTY_BODY, NOW);
	ck_assert_str_eq(check(&s, NOW + 302 * NSEC_PER_SEC, false),
			 "RequestTimeTooSkewed");
	sign(&s, SECRET, SIGV4_EMPTY_BODY, NOW);
	ck_assert_str_eq(check(&s, NOW - 302 * NSEC_PER_SEC, false),
			 "RequestTimeTooSkewed");
}
END_TEST

START_TEST(another_key_is_wrong)
{
	struct signing s;

	sign(&s, SECRET "x", SIGV4_EMPTY_BODY, NOW);
	ck_assert_str_eq(check(&s, NOW, false), "SignatureDoesNotMatch");
}
END_TEST

START_TEST(a_body_is_what_was_signed)
{
	struct signing s;

	sign(&s, SECRET, SIGV4_EMPTY_BODY, NOW);
	s.r.body = str_of("{}");
	ck_assert_str_eq(check(&s, NOW, true), "XAmzContentSHA256Mismatch");
	sign(&s, SECRET, "UNSIGNED-PAYLOAD", NOW);
	ck_assert_str_eq(check(&s, NOW, true), "AccessDenied");
}
END_TEST

/* Change one thing after it was signed. */
static void change(struct signing *s, int what)
{
	struct request *r = &s->r;
	char *sig = strstr(s->authorization.p, "Signature=") + 10;

	switch (what) {
	case 0:
		r->method = str_of("HEAD");
		break;
	case 1:
		r->target = str_of("/bucket/a%20c?x=1&a=%2F");
		break;
	case 2:
		r->target = str_of("/bucket/a%20b?x=2&a=%2F");
		break;
	case 3:
		r->headers[0].value = str_of("another:7070");
		break;
	case 4:
		r->headers[3].value = str_of("bytes=0-2");
		break;
	case 5:
		sig[63] = sig[63] == '0' ? '1' : '0';
		break;
	case 6:
		sig[0] = sig[0] == '0' ? '1' : '0';
		break;
	case 7: /* what is not signed must not be there */
		add(r, "x-amz-security-token", "x");
		break;
	case 8: /* cut short */
		r->headers[4].value.n--;
		break;
	case 9:
		r->nheaders--; /* not there at all */
		break;
	case 10: /* in both places */
		r->target = str_of("/bucket/a%20b?x=1&X-Amz-Algorithm=AWS4-"
				   "HMAC-SHA256");
		break;
	}
}

START_TEST(what_was_changed_is_wrong)
{
	struct signing s;

	sign(&s, SECRET, SIGV4_EMPTY_BODY, NOW);
	change(&s, _i);
	ck_assert_ptr_nonnull(check(&s, NOW, false));
}
END_TEST

START_TEST(without_a_key_nothing_is_checked)
{
	struct request r = request("/a/b");
	struct auth a;

	auth_init(&a, NULL);
	ck_assert_int_eq(request_parse(&r), 0);
	ck_assert_ptr_null(auth_check(&a, &r, NOW, false));
	request_fini(&r);
	auth_fini(&a);
}
END_TEST

int main(void)
{
	TCase *parse = tcase_create("parse"), *auth = tcase_create("auth");

	tcase_add_test(parse, a_target_is_bucket_key_and_parameters);
	tcase_add_loop_test(parse, a_bad_target_is_refused, 0,
			    ARRAY_SIZE(bad_targets));
	tcase_add_loop_test(parse, a_bad_header_is_refused, 0,
			    ARRAY_SIZE(bad_headers));
	tcase_add_loop_test(parse, a_range_is_one_or_none, 0,
			    ARRAY_SIZE(ranges));
	tcase_add_test(parse, etags_match_whole);
	tcase_add_test(parse, max_age_is_read);
	tcase_add_test(parse, only_if_cached_is_read);
	tcase_add_test(auth, what_is_signed_with_the_key_is_right);
	tcase_add_test(auth, a_clock_may_be_five_minutes_off);
	tcase_add_test(auth, another_key_is_wrong);
	tcase_add_test(auth, a_body_is_what_was_signed);
	tcase_add_loop_test(auth, what_was_changed_is_wrong, 0, 11);
	tcase_add_test(auth, without_a_key_nothing_is_checked);
	return RUN_CASES(parse, auth);
}
