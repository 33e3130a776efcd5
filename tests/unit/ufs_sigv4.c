/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_sigv4.c - signatures against AWS's published examples
 *
 * "Authenticating Requests: Using the Authorization Header" of the S3 API
 * reference, and AWS's Signature Version 4 test suite.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/unit/run.h"
#include "ufs/encode.h"
#include "ufs/sigv4.h"

#define S3_KEY "AKIAIOSFODNN7EXAMPLE"
#define S3_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define S3_HOST "examplebucket.s3.amazonaws.com"
#define S3_DATE "20130524T000000Z"
#define SUITE_KEY "AKIDEXAMPLE"
#define SUITE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define SUITE_DATE "20150830T123600Z"

struct vector {
	const char *name;
	bool suite; /* of the test suite, else of the S3 examples */
	const char *method, *path;
	const char *query[4];    /* name, value, ... */
	const char *headers[10]; /* name, value, ..., beside host and date */
	const char *body_hash;
	const char *signature;
};

static const struct vector vectors[] = {
	{ .name = "S3: get a range of an object",
	  .method = "GET",
	  .path = "/test.txt",
	  .headers = { "range", "bytes=0-9", "x-amz-content-sha256",
		       SIGV4_EMPTY_BODY },
	  .signature =
	      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6"
	      "036bdb41" },
	{ .name = "S3: put an object",
	  .method = "PUT",
	  .path = "/test%24file.text",
	  .headers = { "date", "Fri, 24 May 2013 00:00:00 GMT",
		       "x-amz-storage-class", "REDUCED_REDUNDANCY",
		       "x-amz-content-sha256",
		       "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b"
		       "803f8b072" },
	  .body_hash =
	      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b8"
	      "03f8b072",
	  .signature =
	      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0"
	      "ece108bd" },
	{ .name = "S3: get a bucket's lifecycle",
	  .method = "GET",
	  .path = "/",
	  .query = { "lifecycle", "" },
	  .headers = { "x-amz-content-sha256", SIGV4_EMPTY_BODY },
	  .signature =
	      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a01"
	      "36783543" },
	{ .name = "S3: list objects",
	  .method = "GET",
	  .path = "/",
	  .query = { "prefix", "J", "max-keys", "2" },
	  .headers = { "x-amz-content-sha256", SIGV4_EMPTY_BODY },
	  .signature =
	      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711e"
	      "f69dc6f7" },
	{ .name = "get-vanilla",
	  .suite = true,
	  .method = "GET",
	  .path = "/",
	  .signature =
	      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d"
	      "763fbf31" },
	{ .name = "get-vanilla-empty-query-key",
	  .suite = true,
	  .method = "GET",
	  .path = "/",
	  .query = { "Param1", "value1" },
	  .signature =
	      "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72"
	      "011b9aeb" },
	{ .name = "get-vanilla-query-order-key-case",
	  .suite = true,
	  .method = "GET",
	  .path = "/",
	  .query = { "Param2", "value2", "Param1", "value1" },
	  .signature =
	      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec9"
	      "4cdf2500" },
	{ .name = "get-unreserved",
	  .suite = true,
	  .method = "GET",
	  .path = "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		  "abcdefghijklmnopqrstuvwxyz",
	  .signature =
	      "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65"
	      "bbf5f24f" },
	{ .name = "get-utf8",
	  .suite = true,
	  .method = "GET",
	  .path = "/%E1%88%B4",
	  .signature =
	      "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd031"
	      "41be5d85" },
	{ .name = "get-vanilla-utf8-query",
	  .suite = true,
	  .method = "GET",
	  .path = "/",
	  .query = { "\xe1\x88\xb4", "bar" },
	  .signature =
	      "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c902"
	      "7818dd04" },
	{ .name = "get-space",
	  .suite = true,
	  .method = "GET",
	  .path = "/example%20space/",
	  .signature =
	      "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39dde"
	      "c1366741" },
	{ .name = "post-vanilla",
	  .suite = true,
	  .method = "POST",
	  .path = "/",
	  .signature =
	      "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92"
	      "efbe5d6b" },
	{ .name = "get-header-value-trim",
	  .suite = true,
	  .method = "GET",
	  .path = "/",
	  .headers = { "my-header1", " value1", "my-header2",
		       " \"a   b   c\"" },
	  .signature =
	      "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee3597"
	      "57a9c736" },
	{ .name = "get-header-value-order",
	  .suite = true,
	  .method = "GET",
	  .path = "/",
	  .headers = { "my-header1", "value4", "my-header1", "value1",
		       "my-header1", "value3", "my-header1", "value2" },
	  .signature =
	      "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f83"
	      "0c755c01" },
};

static void fill_request(const struct vector *v, struct sigv4_request *r)
{
	memset(r, 0, sizeof(*r));
	r->method = v->method;
	r->path = str_of(v->path);
	r->body_hash = v->body_hash != NULL ? v->body_hash : SIGV4_EMPTY_BODY;
	for (size_t i = 0; i < 4 && v->query[i] != NULL; i += 2)
		r->query[r->nquery++] =
		    (struct sigv4_pair){ str_of(v->query[i]),
					 str_of(v->query[i + 1]) };
	r->headers[r->nheaders++] = (struct sigv4_pair){
		str_of("host"),
		str_of(v->suite ? "example.amazonaws.com" : S3_HOST)
	};
	r->headers[r->nheaders++] =
	    (struct sigv4_pair){ str_of("x-amz-date"),
				 str_of(v->suite ? SUITE_DATE : S3_DATE) };
	for (size_t i = 0; i < 10 && v->headers[i] != NULL; i += 2)
		r->headers[r->nheaders++] =
		    (struct sigv4_pair){ str_of(v->headers[i]),
					 str_of(v->headers[i + 1]) };
}

static int sign(struct sigv4_key *k, const struct vector *v, struct text *out)
{
	struct sigv4_request r;

	fill_request(v, &r);
	return v->suite ? sigv4_sign(k, &r, SUITE_KEY, SUITE_SECRET,
				     "us-east-1", "service", SUITE_DATE, out)
			: sigv4_sign(k, &r, S3_KEY, S3_SECRET, "us-east-1",
				     "s3", S3_DATE, out);
}

START_TEST(a_published_example_gets_its_published_signature)
{
	const struct vector *v = &vectors[_i];
	struct sigv4_key k;
	struct text out = { 0 };
	const char *sig;

	sigv4_key_init(&k);
	ck_assert_int_eq(sign(&k, v, &out), 0);
	sig = strstr(out.p, "Signature=");
	ck_assert_ptr_nonnull(sig);
	ck_assert_msg(strcmp(sig + 10, v->signature) == 0,
		      "%s: %s instead of %s", v->name, sig + 10, v->signature);
	sigv4_key_fini(&k);
	text_fini(&out);
}
END_TEST

START_TEST(a_kept_key_is_never_used_for_another_secret_or_scope)
{
	struct sigv4_key k;

	sigv4_key_init(&k);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < ARRAY_SIZE(vectors); i += 3) {
			struct text out = { 0 };

			ck_assert_int_eq(sign(&k, &vectors[i], &out), 0);
			ck_assert_ptr_nonnull(
			    strstr(out.p, vectors[i].signature));
			text_fini(&out);
		}
	sigv4_key_fini(&k);
}
END_TEST

START_TEST(the_authorization_names_key_scope_and_signed_headers)
{
	struct sigv4_key k;
	struct text out = { 0 };

	sigv4_key_init(&k);
	ck_assert_int_eq(sign(&k, &vectors[0], &out), 0);
	ck_assert_ptr_eq(
	    strstr(out.p,
		   "AWS4-HMAC-SHA256 Credential=" S3_KEY
		   "/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;"
		   "range;x-amz-content-sha256;x-amz-date,Signature="),
	    out.p);
	ck_assert_ptr_null(strstr(out.p, S3_SECRET));
	sigv4_key_fini(&k);
	text_fini(&out);
}
END_TEST

START_TEST(a_region_that_is_too_long_is_refused)
{
	struct sigv4_key k;
	struct sigv4_request r;
	struct text out = { 0 };
	char region[300];

	memset(region, 'a', sizeof(region) - 1);
	region[sizeof(region) - 1] = '\0';
	fill_request(&vectors[0], &r);
	sigv4_key_init(&k);
	ck_assert_int_eq(
	    sigv4_sign(&k, &r, S3_KEY, S3_SECRET, region, "s3", S3_DATE, &out),
	    -EINVAL);
	sigv4_key_fini(&k);
	text_fini(&out);
}
END_TEST

START_TEST(a_date_is_written_as_signatures_want_it)
{
	char date[17];

	sigv4_date(INT64_C(1369353600) * NSEC_PER_SEC, date);
	ck_assert_str_eq(date, S3_DATE);
}
END_TEST

static const struct {
	const char *plain, *path, *value;
} encodings[] = {
	{ "a/b", "a/b", "a%2Fb" },
	{ "a b+c%d", "a%20b%2Bc%25d", "a%20b%2Bc%25d" },
	{ ".././/x", ".././/x", "..%2F.%2F%2Fx" },
	{ "z\xc3\xbc", "z%C3%BC", "z%C3%BC" },
	{ "\xff\x01\n\x7f", "%FF%01%0A%7F", "%FF%01%0A%7F" },
	{ "&<>\"'?#;=@:$,!*()[]~-_.",
	  "%26%3C%3E%22%27%3F%23%3B%3D%40%3A%24%2C%21%2A%28%29%5B%5D~-_.",
	  "%26%3C%3E%22%27%3F%23%3B%3D%40%3A%24%2C%21%2A%28%29%5B%5D~-_." },
};

START_TEST(keys_are_encoded_once_and_decode_to_themselves)
{
	const char *plain = encodings[_i].plain;
	struct text path = { 0 }, value = { 0 };
	size_t n;

	text_add_encoded(&path, str_of(plain), true);
	text_add_encoded(&value, str_of(plain), false);
	ck_assert_str_eq(path.p, encodings[_i].path);
	ck_assert_str_eq(value.p, encodings[_i].value);
	n = url_decode(value.p, value.n, true);
	ck_assert_uint_eq(n, strlen(plain));
	ck_assert_mem_eq(value.p, plain, n);
	text_fini(&path);
	text_fini(&value);
}
END_TEST

START_TEST(every_byte_survives_encoding)
{
	char all[256];
	struct text t = { 0 };

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	text_add_encoded(&t, (struct str){ all, 256 }, false);
	ck_assert_uint_eq(url_decode(t.p, t.n, true), 256);
	ck_assert_mem_eq(t.p, all, 256);
	text_fini(&t);
}
END_TEST

START_TEST(a_percent_without_two_digits_stays)
{
	char s[] = "100%+%4%zz%41%";
	size_t n = url_decode(s, strlen(s), false);

	ck_assert_uint_eq(n, strlen("100%+%4%zzA%"));
	ck_assert_mem_eq(s, "100%+%4%zzA%", n);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, a_published_example_gets_its_published_signature,
			    0, ARRAY_SIZE(vectors));
	tcase_add_test(t, a_kept_key_is_never_used_for_another_secret_or_scope);
	tcase_add_test(t, the_authorization_names_key_scope_and_signed_headers);
	tcase_add_test(t, a_region_that_is_too_long_is_refused);
	tcase_add_test(t, a_date_is_written_as_signatures_want_it);
	tcase_add_loop_test(t, keys_are_encoded_once_and_decode_to_themselves,
			    0, ARRAY_SIZE(encodings));
	tcase_add_test(t, every_byte_survives_encoding);
	tcase_add_test(t, a_percent_without_two_digits_stays);
	return RUN_CASES(t);
}
