/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_hot.c - which objects are read most
 */
#include <check.h>

#include "cache/hot.h"
#include "tests/unit/object_rig.h"
#include "tests/unit/run.h"

static struct cache_hot hot[8];

static void forget(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(hot); i++)
		free(take_ptr(hot[i].key));
}

static size_t ask(struct rig *r)
{
	forget();
	return cache_hot(r->cache, hot, ARRAY_SIZE(hot));
}

START_TEST(what_is_read_much_is_told_while_it_is_open)
{
	struct rig r;

	rig_init(&r, MIB(64), true);
	ck_assert_uint_eq(ask(&r), 0);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(read_now(&r, i * MIB(1), MIB(1)), MIB(1));
	ck_assert_uint_eq(ask(&r), 1);
	ck_assert_str_eq(hot[0].key, "a/key");
	ck_assert_uint_eq(hot[0].bytes, MIB(8));
	ck_assert_uint_eq(hot[0].opens, 0);
	ck_assert_double_gt(hot[0].weight_s, 0);
	forget();
	rig_fini(&r);
}
END_TEST

START_TEST(few_reads_and_opens_are_told_when_it_is_closed)
{
	struct ufs_stat st = { .size = 1000, .version = "v1" };
	struct cache_file *file;
	struct rig r;

	rig_init(&r, 1000, true);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert_int_eq(read_now(&r, 0, 1000), 1000);
	ck_assert_uint_eq(ask(&r), 0);
	object_put(r.object);
	ck_assert_uint_eq(ask(&r), 1);
	ck_assert_uint_eq(hot[0].bytes, 1000);
	ck_assert_uint_eq(hot[0].opens, 3);
	forget();
	ck_assert_int_eq(object_get(r.cache, str_of("a/key"), &st, &r.object),
			 0);
	rig_fini(&r);
}
END_TEST

/* The bytes of a file that is sent as it lies are seen as well. */
START_TEST(spans_are_reads)
{
	struct object_span s;
	struct cache_file *file;
	struct rig r;

	rig_init(&r, 900000, true);
	ck_assert_int_eq(open_now(&r, &file), 0);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(
		    object_span(r.object, 0, 900000, NULL, false, &s), 0);
		close(s.fd);
	}
	ck_assert_uint_eq(ask(&r), 1);
	ck_assert_uint_eq(hot[0].bytes, 4 * 900000);
	ck_assert_uint_eq(hot[0].opens, 1);
	forget();
	rig_fini(&r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("hot");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_is_read_much_is_told_while_it_is_open);
	tcase_add_test(t, few_reads_and_opens_are_told_when_it_is_closed);
	tcase_add_test(t, spans_are_reads);
	return RUN_CASES(t);
}
