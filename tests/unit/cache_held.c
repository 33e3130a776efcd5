/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_held.c - what is held, told and read without the store
 */
#include "tests/unit/object_rig.h"

#include "tests/unit/run.h"

/* As read_now(), without a fetch. */
static ssize_t read_held(struct rig *r, uint64_t off, size_t len)
{
	struct waited w;

	waited_init(&w);
	w.read.off = off;
	w.read.len = len;
	w.read.held_only = true;
	w.read.done = read_ended;
	object_read(r->object, &w.read);
	waited_wait(&w);
	waited_fini(&w);
	ck_assert(w.right);
	return w.err != 0 ? w.err : (ssize_t)w.got;
}

/* _i: with an SSD, or in memory only. */
START_TEST(what_was_read_is_held_and_nothing_else)
{
	const uint64_t page = PAGE_BYTES;
	unsigned gets;
	struct rig r;

	rig_init(&r, 300 * page + 17, _i == 0);
	ck_assert(!object_held(r.object, 0, 1));
	ck_assert_int_eq(read_held(&r, 0, 1), -ENODATA);
	ck_assert_int_eq(read_now(&r, 5 * page, 2 * page), 2 * page);
	ck_assert_int_eq(read_now(&r, 299 * page, 2 * page), page + 17);
	gets = fake_ufs_gets(&r.store);
	ck_assert(object_held(r.object, 5 * page, 2 * page));
	ck_assert(object_held(r.object, 6 * page + 9, 1));
	ck_assert(object_held(r.object, 299 * page, page + 17));
	ck_assert(!object_held(r.object, 5 * page, 2 * page + 1));
	ck_assert(!object_held(r.object, 5 * page - 1, 2));
	ck_assert(!object_held(r.object, 0, r.store.size));
	ck_assert(!object_held(r.object, 300 * page, 18)); /* beyond the end */
	ck_assert_int_eq(read_held(&r, 5 * page, 2 * page), 2 * page);
	ck_assert_int_eq(read_held(&r, 4 * page, 2 * page), -ENODATA);
	if (_i == 0) { /* by the next process, which has verified nothing */
		rig_reopen(&r);
		ck_assert(object_held(r.object, 5 * page, 2 * page));
		ck_assert(!object_held(r.object, 4 * page, page));
		ck_assert_int_eq(read_held(&r, 5 * page, 2 * page), 2 * page);
		ck_assert_int_eq(read_held(&r, 7 * page, 1), -ENODATA);
	}
	ck_assert_uint_eq(fake_ufs_gets(&r.store), gets);
	rig_fini(&r);
}
END_TEST

START_TEST(what_another_is_fetching_is_not_held)
{
	struct waited w;
	struct rig r;

	rig_init(&r, MIB(4), true);
	fake_ufs_hold(&r.store, true);
	read_start(&r, &w, 0, PAGE_BYTES);
	fake_ufs_wait_gets(&r.store, 1);
	ck_assert(!object_held(r.object, 0, PAGE_BYTES));
	ck_assert_int_eq(read_held(&r, 0, PAGE_BYTES), -ENODATA);
	fake_ufs_hold(&r.store, false);
	waited_wait(&w);
	ck_assert_int_eq(w.err, 0);
	waited_fini(&w);
	ck_assert(object_held(r.object, 0, PAGE_BYTES));
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 1);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("held");

	tcase_add_loop_test(t, what_was_read_is_held_and_nothing_else, 0, 2);
	tcase_add_test(t, what_another_is_fetching_is_not_held);
	return RUN_CASES(t);
}
