/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_fill.c - unit tests of fills: who waits for them, and in what lane
 */
#include "tests/unit/object_rig.h"

#include "base/stats.h"
#include "tests/unit/run.h"

START_TEST(an_open_of_what_is_prefetched_does_not_wait_behind_the_rest)
{
	enum { BACKGROUND = 6 }; /* threads of eight */
	struct ufs_stat st = { .size = MIB(2), .version = "v1" };
	struct object *other;
	struct waited w;
	struct rig r;

	rig_init(&r, 500000, true);
	fake_ufs_hold(&r.store, true);
	ck_assert_int_eq(object_get(r.cache, str_of("other"), &st, &other), 0);
	for (unsigned i = 0; i < 2 * BACKGROUND; i++)
		ck_assert_int_eq(
		    fill_background(other, i, 1, fill_generation(other), NULL),
		    0);
	fake_ufs_wait_gets(&r.store, BACKGROUND);
	ck_assert_int_eq(
	    fill_background(r.object, 0, 8, fill_generation(r.object), NULL),
	    0);
	waited_init(&w);
	w.open.done = open_ended;
	object_open(r.object, &w.open);
	/* The test's timeout ends it. */
	fake_ufs_wait_gets(&r.store, BACKGROUND + 1);
	object_put(other);
	fake_ufs_hold(&r.store, false);
	waited_wait(&w);
	waited_fini(&w);
	ck_assert_int_eq(w.err, 0);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("fill");

	tcase_set_timeout(t, 30);
	tcase_add_test(
	    t, an_open_of_what_is_prefetched_does_not_wait_behind_the_rest);
	return RUN_CASES(t);
}
