/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_crc.c - the CRCs against published values, and against themselves
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/crc.h"

/*
 * "123456789": the catalogue of parametrised CRC algorithms (reveng). Zeros,
 * ones, rising, falling: RFC 3720 B.4 for 32C; NVM Command Set 1.0, 5.2.1.3.4
 * for 64NVME.
 */
static const struct {
	enum crc_kind kind;
	const char *what;
	size_t n;
	uint64_t crc;
} vectors[] = {
	{ CRC_32, "digits", 9, UINT64_C(0xcbf43926) },
	{ CRC_32C, "digits", 9, UINT64_C(0xe3069283) },
	{ CRC_64NVME, "digits", 9, UINT64_C(0xae8b14860a799888) },
	{ CRC_32C, "zeros", 32, UINT64_C(0x8a9136aa) },
	{ CRC_32C, "ones", 32, UINT64_C(0x62a8ab43) },
	{ CRC_32C, "rising", 32, UINT64_C(0x46dd794e) },
	{ CRC_32C, "falling", 32, UINT64_C(0x113fdb5c) },
	{ CRC_64NVME, "zeros", 4096, UINT64_C(0x6482d367eb22b64e) },
	{ CRC_64NVME, "ones", 4096, UINT64_C(0xc0ddba7302eca3ac) },
	{ CRC_64NVME, "rising", 4096, UINT64_C(0x3e729f5f6750449c) },
	{ CRC_64NVME, "falling", 4096, UINT64_C(0x9a2df64b8e9e517e) },
};

static unsigned char byte_of(const char *what, size_t i)
{
	if (strcmp(what, "digits") == 0)
		return (unsigned char)('1' + i);
	if (strcmp(what, "zeros") == 0)
		return 0;
	if (strcmp(what, "ones") == 0)
		return 0xff;
	return (unsigned char)(strcmp(what, "rising") == 0 ? i : ~i);
}

START_TEST(a_published_value_comes_out)
{
	unsigned char buf[4096];
	size_t n = vectors[_i].n;

	for (size_t i = 0; i < n; i++)
		buf[i] = byte_of(vectors[_i].what, i);
	/* RFC 3720's falls from 31, not from 255. */
	if (n == 32 && strcmp(vectors[_i].what, "falling") == 0)
		for (size_t i = 0; i < n; i++)
			buf[i] = (unsigned char)(31 - i);
	ck_assert_uint_eq(crc_update(vectors[_i].kind, 0, buf, n),
			  vectors[_i].crc);
	ck_assert_uint_eq(crc_update_portable(vectors[_i].kind, 0, buf, n),
			  vectors[_i].crc);
}
END_TEST

/* Bit by bit, from the definition. */
static uint64_t slowly(enum crc_kind kind, const unsigned char *p, size_t n)
{
	uint64_t polynomial = kind == CRC_32    ? UINT64_C(0xedb88320)
			      : kind == CRC_32C ? UINT64_C(0x82f63b78)
						: UINT64_C(0x9a6c9329ac4bc9b5);
	uint64_t ones = kind == CRC_64NVME ? UINT64_MAX : UINT32_MAX;
	uint64_t r = ones;

	for (size_t i = 0; i < n; i++) {
		r ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			r = r & 1 ? r >> 1 ^ polynomial : r >> 1;
	}
	return r ^ ones;
}

START_TEST(every_length_and_every_cut_gives_the_same)
{
	enum { ROOM = 2000 };
	enum crc_kind kind = (enum crc_kind)_i;
	unsigned char buf[ROOM];
	uint64_t x = 88172645463325252u;

	for (size_t i = 0; i < ROOM; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		buf[i] = (unsigned char)x;
	}
	for (size_t n = 0; n < ROOM - 16; n++) {
		const unsigned char *p = buf + n % 16;
		uint64_t want = slowly(kind, p, n), crc;

		ck_assert_uint_eq(crc_update(kind, 0, p, n), want);
		ck_assert_uint_eq(crc_update_portable(kind, 0, p, n), want);
		crc = crc_update(kind, 0, p, n / 3);
		crc = crc_update(kind, crc, p + n / 3, n - n / 3);
		ck_assert_uint_eq(crc, want);
	}
}
END_TEST

START_TEST(the_crc_of_two_runs_follows_from_theirs)
{
	enum { ROOM = 3000 };
	enum crc_kind kind = (enum crc_kind)_i;
	unsigned char buf[ROOM];
	uint64_t x = 2463534242u;

	for (size_t i = 0; i < ROOM; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		buf[i] = (unsigned char)x;
	}
	for (size_t n = 0; n < ROOM; n += 7)
		for (size_t cut = 0; cut <= n; cut += 1 + n / 9) {
			uint64_t a = crc_update(kind, 0, buf, cut);
			uint64_t b = crc_update(kind, 0, buf + cut, n - cut);

			ck_assert_uint_eq(
			    crc_join(kind, a, b, crc_length(kind, n - cut)),
			    crc_combine(kind, a, b, n - cut));
			ck_assert_uint_eq(crc_combine(kind, a, b, n - cut),
					  crc_update(kind, 0, buf, n));
		}
}
END_TEST

/* A gap of zeros too long to be made: a square for each bit of its length. */
START_TEST(a_run_of_any_length_can_follow)
{
	enum crc_kind kind = (enum crc_kind)_i;
	static unsigned char zeros[MIB(1)];
	uint64_t mib = crc_update(kind, 0, zeros, sizeof(zeros));
	uint64_t a = crc_update(kind, 0, "a", 1), b = 0, step = a;
	uint64_t n = UINT64_C(5) << 40;

	/* b: n zeros, doubled from one MiB of them. */
	for (uint64_t bit = 0, have = MIB(1); have <= n; bit++, have *= 2) {
		if (n & have)
			b = crc_combine(kind, b, mib, have);
		mib = crc_combine(kind, mib, mib, have);
	}
	for (unsigned i = 0; i < 5; i++) {
		uint64_t tib = crc_update(kind, 0, zeros, sizeof(zeros));

		for (uint64_t have = MIB(1); have < n / 5; have *= 2)
			tib = crc_combine(kind, tib, tib, have);
		step = crc_combine(kind, step, tib, n / 5);
	}
	ck_assert_uint_eq(crc_combine(kind, a, b, n), step);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base_crc");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	printf("%s\n", crc_is_fast() ? "by folding" : "by tables");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_published_value_comes_out, 0,
			    ARRAY_SIZE(vectors));
	tcase_add_loop_test(t, every_length_and_every_cut_gives_the_same, 0,
			    CRC_KINDS);
	tcase_add_loop_test(t, the_crc_of_two_runs_follows_from_theirs, 0,
			    CRC_KINDS);
	tcase_add_loop_test(t, a_run_of_any_length_can_follow, 0, CRC_KINDS);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
