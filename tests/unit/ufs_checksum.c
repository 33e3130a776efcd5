/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_checksum.c - which checksum of an answer is used, and what it says
 */
#include <check.h>
#include <stdlib.h>

#include "ufs/checksum.h"

#define C "x-amz-checksum-"
#define MD5_OF_BODY "25f9e794323b453885f5181f1b624d0b"
#define ETAG "etag\0\"" MD5_OF_BODY "\"\0"

/* Values of "123456789", by openssl dgst and the catalogue of CRCs. */
#define CRC64 "rosUhgp5mIg="
#define CRC32C "4waSgw=="
#define CRC32 "y/Q5Jg=="
#define SHA1 "98O8HYCOBHMq32eZZczDTKeuNEE="
#define SHA256 "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="
#define SHA512                                                                 \
	"2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V"           \
	"7ALXPUmclUVba1u1A6z1dPuo/+hQ=="
#define MD5 "JfnnlDI7RTiF9RgfG2JNCw=="

static const char body[] = "123456789";

#define ANSWER(s) s, sizeof(s) - 1

static const struct {
	const char *headers;
	size_t n;
	const char *name; /* NULL: none is used */
	bool wrong;
} answers[] = {
	{ ANSWER(C "crc64nvme\0" CRC64 "\0"), "crc64nvme", false },
	{ ANSWER(C "crc32c\0" CRC32C "\0"), "crc32c", false },
	{ ANSWER(C "crc32\0" CRC32 "\0"), "crc32", false },
	{ ANSWER(C "sha1\0" SHA1 "\0"), "sha1", false },
	{ ANSWER(C "sha256\0" SHA256 "\0"), "sha256", false },
	{ ANSWER(C "sha512\0" SHA512 "\0"), "sha512", false },
	{ ANSWER(C "md5\0" MD5 "\0"), "md5", false },
	{ ANSWER(ETAG), "ETag", false },
	{ ANSWER(C "crc32c\0AAAAAA==\0"), "crc32c", true },
	{ ANSWER(ETAG C "sha256\0" SHA256 "\0" C "crc32\0" CRC32 "\0"), "crc32",
	  false },
	{ ANSWER(C "crc32c\0" CRC32C "\0" C "type\0FULL_OBJECT\0"), "crc32c",
	  false },
	/* of the parts' checksums */
	{ ANSWER(C "crc32c\0" CRC32C "-3\0"), NULL, false },
	{ ANSWER(C "crc32c\0AAAAAA==\0" C "type\0COMPOSITE\0"), NULL, false },
	{ ANSWER("etag\0\"" MD5_OF_BODY "-3\"\0"), NULL, false },
	/* of something else */
	{ ANSWER(ETAG "x-amz-server-side-encryption\0aws:kms\0"), NULL, false },
	{ ANSWER(ETAG "x-amz-server-side-encryption\0aws:kms:dsse\0"), NULL,
	  false },
	{ ANSWER(ETAG "x-amz-server-side-encryption\0AES256\0"), "ETag",
	  false },
	{ ANSWER(ETAG
		 "x-amz-server-side-encryption-customer-algorithm\0AES256\0"),
	  NULL, false },
	{ ANSWER("etag\0W/\"" MD5_OF_BODY "\"\0"), NULL, false },
	{ ANSWER("etag\0\"25F9E794323B453885F5181F1B624D0B\"\0"), NULL, false },
	{ ANSWER("etag\0\"" MD5_OF_BODY "0\"\0"), NULL, false },
	/* no values at all */
	{ ANSWER(C "crc32c\0\0"), NULL, false },
	{ ANSWER(C "crc32c\0" CRC64 "\0"), NULL, false },
	{ ANSWER(C "crc32c\0!!!!!!==\0"), NULL, false },
	{ ANSWER(C "crc32c\0AAAAAAA=\0"), NULL, false },
	{ ANSWER(C "crc32c\0A===AA==\0"), NULL, false },
	{ ANSWER(C "sha256\0FeKw3mvr\0"), NULL, false },
	{ ANSWER(""), NULL, false },
};

START_TEST(the_cheapest_that_is_of_the_bytes_is_used)
{
	struct http_answer a = { .headers = answers[_i].headers,
				 .headers_n = answers[_i].n };
	struct checksum c = { 0 };

	/* In one go, and in two after another object's bytes. */
	for (size_t cut = 0; cut < 2; cut++) {
		ck_assert_int_eq(checksum_begin(&c, &a, true), 0);
		checksum_add(&c, "something else", 14);
		ck_assert_int_eq(checksum_begin(&c, &a, true), 0);
		checksum_add(&c, body, cut * 4);
		checksum_add(&c, body + cut * 4, 9 - cut * 4);
		if (answers[_i].name == NULL) {
			ck_assert_ptr_null(c.kind);
		} else {
			ck_assert_ptr_nonnull(c.kind);
			ck_assert_str_eq(checksum_name(&c), answers[_i].name);
		}
		ck_assert(checksum_right(&c) != answers[_i].wrong);
	}
	checksum_fini(&c);
}
END_TEST

START_TEST(an_etag_is_used_only_if_that_is_allowed)
{
	static const char headers[] = ETAG;
	struct http_answer a = { .headers = headers,
				 .headers_n = sizeof(headers) - 1 };
	struct checksum c = { 0 };

	ck_assert_int_eq(checksum_begin(&c, &a, false), 0);
	ck_assert_ptr_null(c.kind);
	checksum_fini(&c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ufs_checksum");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, the_cheapest_that_is_of_the_bytes_is_used, 0,
			    ARRAY_SIZE(answers));
	tcase_add_test(t, an_etag_is_used_only_if_that_is_allowed);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
