/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_units.c - sizes and times as people write them
 */
#include <check.h>
#include <errno.h>

#include "base/clock.h"
#include "base/units.h"
#include "tests/unit/run.h"

#define UNTOUCHED 77

static const struct {
	const char *text;
	int result;
	uint64_t bytes;
} sizes[] = {
	{ "0", 0, 0 },
	{ "1536", 0, 1536 },
	{ "64K", 0, 65536 },
	{ "64k", 0, 65536 },
	{ "10G", 0, UINT64_C(10) << 30 },
	{ "1.5M", 0, 1536 * 1024 },
	{ "0.1K", 0, 102 },
	{ "1.00000000000000000000000000001K", 0, 1024 },
	{ "2T", 0, UINT64_C(2) << 40 },
	{ "1P", 0, UINT64_C(1) << 50 },
	{ "7E", 0, UINT64_C(7) << 60 },
	{ "9223372036854775807", 0, INT64_MAX },
	{ "9223372036854775808", -ERANGE, 0 },
	{ "8E", -ERANGE, 0 },
	{ "18446744073709551616", -ERANGE, 0 },
	{ "99999999999999999999999999999999G", -ERANGE, 0 },
	{ "99999999999999999999999999999999x", -EINVAL, 0 },
	{ "", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 },
	{ "+1", -EINVAL, 0 },
	{ " 1", -EINVAL, 0 },
	{ "1 ", -EINVAL, 0 },
	{ "K", -EINVAL, 0 },
	{ ".5K", -EINVAL, 0 },
	{ "1.K", -EINVAL, 0 },
	{ "1.5", -EINVAL, 0 },
	{ "1KK", -EINVAL, 0 },
	{ "0x10", -EINVAL, 0 },
	{ "1e3", -EINVAL, 0 },
	{ "10%", -EINVAL, 0 },
};

START_TEST(a_size_is_exactly_what_its_text_says_or_refused)
{
	uint64_t bytes = UNTOUCHED;

	ck_assert_int_eq(units_parse_size(sizes[_i].text, &bytes),
			 sizes[_i].result);
	ck_assert_uint_eq(bytes,
			  sizes[_i].result == 0 ? sizes[_i].bytes : UNTOUCHED);
}
END_TEST

static const struct {
	const char *text;
	int result;
	int64_t ns;
} times[] = {
	{ "0", 0, 0 },
	{ "0s", 0, 0 },
	{ "500ms", 0, 500 * NSEC_PER_MSEC },
	{ "30s", 0, 30 * NSEC_PER_SEC },
	{ "1.5s", 0, 1500 * NSEC_PER_MSEC },
	{ "5m", 0, 300 * NSEC_PER_SEC },
	{ "2h", 0, 7200 * NSEC_PER_SEC },
	{ "1d", 0, 86400 * NSEC_PER_SEC },
	{ "106751d", 0, 86400 * NSEC_PER_SEC * 106751 },
	{ "106752d", -ERANGE, 0 },
	{ "99999999999999999999s", -ERANGE, 0 },
	{ "99999999999999999999", -EINVAL, 0 },
	{ "", -EINVAL, 0 },
	{ "1", -EINVAL, 0 },
	{ "00.5", -EINVAL, 0 },
	{ "-1s", -EINVAL, 0 },
	{ "s", -EINVAL, 0 },
	{ "1S", -EINVAL, 0 },
	{ "1M", -EINVAL, 0 },
	{ "1 s", -EINVAL, 0 },
	{ "1ss", -EINVAL, 0 },
	{ "inf", -EINVAL, 0 },
};

START_TEST(a_time_needs_a_unit_unless_it_is_zero)
{
	int64_t ns = UNTOUCHED;

	ck_assert_int_eq(units_parse_time(times[_i].text, &ns),
			 times[_i].result);
	ck_assert_int_eq(ns, times[_i].result == 0 ? times[_i].ns : UNTOUCHED);
}
END_TEST

START_TEST(a_size_is_shown_with_its_first_three_digits)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0 B" },
		{ 17, "17 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 KiB" },
		{ 1536, "1.5 KiB" },
		{ 110 * 1024, "110 KiB" },
		{ 110 * 1024 + 700, "111 KiB" },
		{ 1024 * 1024 - 1, "1 MiB" },
		{ 1023 * 1024, "1023 KiB" },
		{ UINT64_C(3) << 29, "1.5 GiB" },
		{ UINT64_MAX, "16 EiB" },
	};
	char buf[32];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_str_eq(
		    units_format_size(rows[i].bytes, buf, sizeof(buf)),
		    rows[i].text);
}
END_TEST

START_TEST(a_time_is_shown_exactly_in_a_unit_that_people_use)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "0s" },
		{ NSEC_PER_SEC, "1s" },
		{ 60 * NSEC_PER_SEC, "60s" },
		{ 90 * NSEC_PER_SEC, "90s" },
		{ 300 * NSEC_PER_SEC, "5m" },
		{ 3600 * NSEC_PER_SEC, "60m" },
		{ 172800 * NSEC_PER_SEC, "2d" },
		{ 1500 * NSEC_PER_MSEC, "1500ms" },
		{ 1, "0.000001ms" },
		{ 2500000, "2.5ms" },
		{ -NSEC_PER_SEC, "-1s" },
	};
	char buf[32];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_str_eq(
		    units_format_time(rows[i].ns, buf, sizeof(buf)),
		    rows[i].text);
}
END_TEST

START_TEST(a_time_that_is_shown_parses_to_itself)
{
	uint64_t x = 88172645463325252;

	for (int i = 0; i < 10000; i++) {
		int64_t ns, back = -1;
		char buf[32];

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		ns = (int64_t)(x >> (1 + x % 40));
		units_format_time(ns, buf, sizeof(buf));
		ck_assert_int_eq(units_parse_time(buf, &back), 0);
		ck_assert_int_eq(back, ns);
	}
}
END_TEST

START_TEST(a_short_buffer_is_never_overrun)
{
	char buf[4] = "xxx";

	units_format_size(UINT64_MAX, buf, 3);
	ck_assert_str_eq(buf, "16");
	ck_assert_int_eq(buf[3], 0);
	units_format_time(1, buf, 3);
	ck_assert_str_eq(buf, "0.");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("units");

	tcase_add_loop_test(t, a_size_is_exactly_what_its_text_says_or_refused,
			    0, ARRAY_SIZE(sizes));
	tcase_add_loop_test(t, a_time_needs_a_unit_unless_it_is_zero, 0,
			    ARRAY_SIZE(times));
	tcase_add_test(t, a_size_is_shown_with_its_first_three_digits);
	tcase_add_test(t, a_time_is_shown_exactly_in_a_unit_that_people_use);
	tcase_add_test(t, a_time_that_is_shown_parses_to_itself);
	tcase_add_test(t, a_short_buffer_is_never_overrun);
	return RUN_CASES(t);
}
