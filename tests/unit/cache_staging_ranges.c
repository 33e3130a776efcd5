/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_staging_ranges.c - sets of bytes against a map of bits
 */
#include "cache/ranges.h"

#include <check.h>
#include <stdio.h>

#include "tests/unit/run.h"

#define BYTES 600

static void same(const struct ranges *s, const bool *bits)
{
	uint64_t n = 0;
	bool right = true;
	struct range r;

	for (size_t i = 0; i < s->n; i++)
		right = right && s->r[i].off < s->r[i].end &&
			(i == 0 || s->r[i - 1].end < s->r[i].off);
	ck_assert_msg(right, "not in order");
	for (uint64_t i = 0; i < BYTES; i++) {
		n += bits[i];
		right = right && ranges_touch(s, i, i + 1) == bits[i] &&
			ranges_cover(s, i, i + 1) == bits[i];
		if (ranges_find(s, i, &r))
			right = right && r.end > i && (r.off <= i) == bits[i];
		else
			right = right && !bits[i];
	}
	ck_assert(right);
	ck_assert_uint_eq(ranges_bytes(s), n);
}

START_TEST(random_operations_leave_what_a_bitmap_has)
{
	struct ranges s = { 0 };
	bool bits[BYTES] = { false };
	unsigned seed = (unsigned)_i + 1;

	for (int op = 0; op < 1500; op++) {
		uint64_t off = (uint64_t)rand_r(&seed) % BYTES;
		uint64_t n = (uint64_t)rand_r(&seed) % (_i % 2 ? 4 : 40);
		uint64_t end = MIN(off + n, BYTES);
		bool all = true, any = false;

		for (uint64_t i = off; i < end; i++) {
			all = all && bits[i];
			any = any || bits[i];
		}
		ck_assert(ranges_cover(&s, off, end) == all);
		ck_assert(ranges_touch(&s, off, end) == any);
		if (rand_r(&seed) % 12 == 0) {
			ranges_cut(&s, off);
			for (uint64_t i = off; i < BYTES; i++)
				bits[i] = false;
		} else {
			ck_assert_int_eq(ranges_add(&s, off, end), 0);
			for (uint64_t i = off; i < end; i++)
				bits[i] = true;
		}
		same(&s, bits);
	}
	ranges_fini(&s);
}
END_TEST

START_TEST(bytes_in_order_are_one_range)
{
	struct ranges s = { 0 };

	for (uint64_t off = 0; off < 100000; off += 10)
		ck_assert_int_eq(ranges_add(&s, off, off + 10), 0);
	ck_assert_uint_eq(s.n, 1);
	ck_assert(ranges_cover(&s, 0, 100000));
	ranges_fini(&s);
}
END_TEST

START_TEST(one_set_takes_in_another)
{
	struct ranges a = { 0 }, b = { 0 };

	ck_assert_int_eq(ranges_add(&a, 0, 10), 0);
	ck_assert_int_eq(ranges_add(&a, 30, 40), 0);
	ck_assert_int_eq(ranges_add(&b, 10, 20), 0);
	ck_assert_int_eq(ranges_add(&b, 25, 31), 0);
	ck_assert_int_eq(ranges_merge(&a, &b), 0);
	ck_assert_uint_eq(a.n, 2);
	ck_assert(ranges_cover(&a, 0, 20));
	ck_assert(ranges_cover(&a, 25, 40));
	ranges_fini(&a);
	ranges_fini(&b);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("ranges");

	tcase_add_loop_test(t, random_operations_leave_what_a_bitmap_has, 0, 8);
	tcase_add_test(t, bytes_in_order_are_one_range);
	tcase_add_test(t, one_set_takes_in_another);
	return RUN_CASES(t);
}
