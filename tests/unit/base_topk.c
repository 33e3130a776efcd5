/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_topk.c - the keys that are used most, and nothing said of them that is
 * not so
 */
#include <check.h>
#include <stdio.h>

#include "base/topk.h"
#include "tests/unit/run.h"

static struct topk *t;
static struct topk_row rows[64];

static void setup(void)
{
	ck_assert_int_eq(topk_new(32, &t), 0);
}

static void teardown(void)
{
	topk_free(t);
}

static void add(const char *key, uint64_t weight, int64_t now)
{
	ck_assert_int_eq(topk_add(t, str_of(key), weight, 1, now), 0);
}

START_TEST(the_heaviest_comes_first)
{
	ck_assert_uint_eq(topk_rows(t, 0, rows, 64), 0);
	add("a", 10, 1);
	add("b", 30, 1);
	add("c", 20, 2);
	add("a", 15, 2);
	ck_assert_uint_eq(topk_rows(t, 2, rows, 64), 3);
	ck_assert(str_eq(rows[0].key, str_of("b")));
	ck_assert(str_eq(rows[1].key, str_of("a")));
	ck_assert(str_eq(rows[2].key, str_of("c")));
	ck_assert_uint_eq(rows[1].weight, 25);
	ck_assert_uint_eq(rows[1].times, 2);
	ck_assert_uint_eq(topk_rows(t, 2, rows, 1), 1);
	ck_assert(str_eq(rows[0].key, str_of("b")));
}
END_TEST

START_TEST(keys_are_bytes)
{
	ck_assert_int_eq(topk_add(t, (struct str){ "a\0x", 3 }, 2, 1, 0), 0);
	ck_assert_int_eq(topk_add(t, (struct str){ "a\0y", 3 }, 1, 1, 0), 0);
	ck_assert_int_eq(topk_add(t, STR_EMPTY, 1, 1, 0), 0);
	ck_assert_uint_eq(topk_rows(t, 0, rows, 64), 3);
	ck_assert(str_eq(rows[0].key, (struct str){ "a\0x", 3 }));
}
END_TEST

/*
 * Ten thousand keys once each, and four that have a twentieth of all each:
 * they are there, in front, and no key is told to have had more than it had.
 */
START_TEST(what_is_heavy_is_found_among_very_many)
{
	uint64_t had[4] = { 0 };
	size_t n;

	for (unsigned i = 0; i < 10000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "once%u", i);
		add(key, 100, 0);
		if (i % 4 == 0)
			for (unsigned h = 0; h < 4; h++) {
				snprintf(key, sizeof(key), "hot%u", h);
				add(key, 50 * (h + 1), 0);
				had[h] += 50 * (h + 1);
			}
	}
	n = topk_rows(t, 0, rows, 64);
	ck_assert_uint_le(n, 32);
	for (unsigned h = 1; h < 4; h++) {
		char key[16];

		snprintf(key, sizeof(key), "hot%u", h);
		ck_assert(str_eq(rows[3 - h].key, str_of(key)));
		ck_assert_uint_le(rows[3 - h].weight, had[h]);
	}
	for (size_t i = 4; i < n; i++)
		if (rows[i].key.p[0] == 'o')
			ck_assert_uint_le(rows[i].weight, 100);
}
END_TEST

START_TEST(weights_fade)
{
	add("old", 1000000, 0);
	add("new", 1000, 100 * TOPK_TICK);
	ck_assert_uint_eq(topk_rows(t, 100 * TOPK_TICK, rows, 64), 2);
	ck_assert(str_eq(rows[0].key, str_of("new")));
	/* What is told of its past does not fade; what ranks it does. */
	ck_assert_uint_eq(rows[1].weight, 1000000);
	ck_assert_uint_eq(topk_rows(t, 1000000 * TOPK_TICK, rows, 64), 0);
	add("again", 1, 1000000 * TOPK_TICK);
	ck_assert_uint_eq(topk_rows(t, 1000000 * TOPK_TICK, rows, 64), 1);
	ck_assert(str_eq(rows[0].key, str_of("again")));
}
END_TEST

START_TEST(a_steady_rate_is_told_as_it_is)
{
	for (int64_t s = 0; s <= 600; s++)
		add("a", 5000, s * (TOPK_TICK / 10));
	ck_assert_uint_eq(topk_rows(t, 600 * (TOPK_TICK / 10), rows, 64), 1);
	ck_assert_double_gt(rows[0].per_s, 4000);
	ck_assert_double_lt(rows[0].per_s, 6000);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("topk");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, the_heaviest_comes_first);
	tcase_add_test(c, keys_are_bytes);
	tcase_add_test(c, what_is_heavy_is_found_among_very_many);
	tcase_add_test(c, weights_fade);
	tcase_add_test(c, a_steady_rate_is_told_as_it_is);
	return RUN_CASES(c);
}
