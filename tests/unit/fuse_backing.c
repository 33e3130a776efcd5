/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_backing.c - which opens mix, as far as that needs no kernel
 */
#include "fuse/backing.h"

#include <check.h>

#include "tests/unit/run.h"

#define NO_DEVICE (-1)

static struct opened o;
static uint32_t flags;
static int32_t id;
static int refused;

static void setup(void)
{
	o = (struct opened){ 0 };
	lock_init(&o.lock, RANK_INODES);
}

static void teardown(void)
{
	lock_fini(&o.lock);
}

static enum open_mode add(struct cache_file *file)
{
	return opened_add(&o, NO_DEVICE, file, false, &flags, &id, &refused);
}

START_TEST(opens_of_a_file_in_the_kernels_hands_share_its_backing_id)
{
	struct cache_file file = { .fd = -1, .backing_id = 7 };

	o.passthrough = 1;
	o.backing_id = 7;
	ck_assert_int_eq(add(&file), OPEN_PASSTHROUGH);
	ck_assert_int_eq(id, 7);
	ck_assert_uint_eq(flags & WIRE_FOPEN_DIRECT_IO, 0);
	ck_assert_uint_eq(o.passthrough, 2);
	opened_remove(&o, OPEN_PASSTHROUGH);
	opened_remove(&o, OPEN_PASSTHROUGH);
	ck_assert_int_eq(o.backing_id, 0);
	ck_assert_int_eq(add(NULL), OPEN_CACHED);
}
END_TEST

/* _i: the file is bad and there is none, or a new one. */
START_TEST(a_file_that_went_bad_in_the_kernels_hands_is_not_shared)
{
	struct cache_file good = { .fd = -1 };
	struct cache_file *file = _i == 0 ? NULL : &good;

	o.passthrough = 1;
	o.backing_id = 7;
	ck_assert_int_eq(add(file), OPEN_ELSEWHERE);
	ck_assert_uint_eq(o.passthrough, 1);
	/* Who has no name to look up comes back. */
	ck_assert_int_eq(add(file), OPEN_PASSTHROUGH);
	ck_assert_int_eq(id, 7);
	ck_assert_uint_ne(flags & WIRE_FOPEN_DIRECT_IO, 0);
	ck_assert_uint_eq(o.passthrough, 2);
	opened_remove(&o, OPEN_PASSTHROUGH);
	opened_remove(&o, OPEN_PASSTHROUGH);
	ck_assert_int_eq(add(file), OPEN_CACHED);
}
END_TEST

START_TEST(while_one_only_writes_all_go_around_the_page_cache)
{
	ck_assert_int_eq(opened_write(&o, false, true), OPEN_DIRECT);
	ck_assert_int_eq(opened_write(&o, false, false), OPEN_DIRECT);
	ck_assert_int_eq(add(NULL), OPEN_DIRECT);
	ck_assert_uint_ne(flags & WIRE_FOPEN_DIRECT_IO, 0);
	opened_remove(&o, OPEN_DIRECT);
	opened_remove(&o, OPEN_DIRECT);
	ck_assert_int_eq(add(NULL), OPEN_DIRECT);
	opened_remove(&o, OPEN_DIRECT);
	opened_remove(&o, OPEN_DIRECT);
	ck_assert_int_eq(add(NULL), OPEN_CACHED);
}
END_TEST

START_TEST(beside_one_that_is_cached_nobody_goes_around_unasked)
{
	ck_assert_int_eq(opened_write(&o, false, false), OPEN_CACHED);
	ck_assert_int_eq(opened_write(&o, false, true), OPEN_CACHED);
	ck_assert_int_eq(opened_write(&o, true, true), OPEN_DIRECT); /* asked */
	ck_assert_int_eq(add(NULL), OPEN_CACHED);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("opens");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(
	    t, opens_of_a_file_in_the_kernels_hands_share_its_backing_id);
	tcase_add_loop_test(
	    t, a_file_that_went_bad_in_the_kernels_hands_is_not_shared, 0, 2);
	tcase_add_test(t, while_one_only_writes_all_go_around_the_page_cache);
	tcase_add_test(t, beside_one_that_is_cached_nobody_goes_around_unasked);
	return RUN_CASES(t);
}
