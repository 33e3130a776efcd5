/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_load.c - bringing objects and parts of them onto the SSD
 */
#include <pthread.h>

#include "cache/disk_impl.h"
#include "tests/unit/object_rig.h"
#include "tests/unit/run.h"

START_TEST(loading_brings_everything_and_freeing_drops_it)
{
	uint64_t fetched, bytes;
	struct rig r;

	rig_init(&r, MIB(20) + 3, true);
	ck_assert_int_eq(read_now(&r, MIB(7), 4096), 4096);
	ck_assert_int_eq(object_load(r.object, true, &fetched, NULL), 0);
	ck_assert_uint_eq(rig_bytes(&r), MIB(20) + 3);
	ck_assert_int_eq(object_cached(r.object, &bytes), 0);
	ck_assert_uint_eq(bytes, MIB(20) + 3);
	ck_assert_ptr_nonnull(object_backing(r.object));
	ck_assert_int_eq(object_free(r.object, &bytes), 0);
	ck_assert_uint_eq(bytes, MIB(20) + 3);
	ck_assert_int_eq(object_cached(r.object, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	rig_fini(&r);
}
END_TEST

/* A sparse file: only the part is made up, fetched and held. */
START_TEST(a_part_of_an_object_is_loaded_and_checked_alone)
{
	struct object_load l = { .off = OBJECT_SEGMENT,
				 .len = OBJECT_SEGMENT,
				 .verify = true };
	struct ufs_stat st = { .size = OBJECT_SEGMENT + MIB(9) + 3,
			       .version = "v1" };
	uint64_t bytes;
	struct rig r;

	rig_init(&r, st.size, true);
	object_put(r.object);
	/* In a file for each segment, and in one, as on a larger disk. */
	atomic_store(&r.cache->disks[0]->extent_limit, _i * 100 * MIB(1024));
	ck_assert_int_eq(object_get(r.cache, str_of("b"), &st, &r.object), 0);
	ck_assert_uint_eq(r.object->extents, 2 - _i);
	ck_assert_int_eq(object_load_part(r.object, &l, NULL), 0);
	ck_assert_uint_eq(l.fetched, MIB(9) + 3);
	ck_assert_uint_eq(l.checked, MIB(9) + 3);
	ck_assert_uint_eq(l.checked_pages, MIB(9) / PAGE_BYTES + 1);
	ck_assert_uint_eq(rig_bytes(&r), MIB(9) + 3);
	ck_assert_int_eq(object_load_part(r.object, &l, NULL), 0);
	ck_assert_uint_eq(l.fetched, 0);
	ck_assert_uint_eq(l.checked, MIB(9) + 3);
	ck_assert_int_eq(
	    object_cached_part(r.object, 0, OBJECT_SEGMENT, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_int_eq(object_cached(r.object, &bytes), 0);
	ck_assert_uint_eq(bytes, MIB(9) + 3);
	rig_fini(&r);
}
END_TEST

struct loading {
	struct rig *rig;
	int err;
};

static void *load_thread(void *arg)
{
	struct loading *l = arg;
	uint64_t fetched;

	l->err = object_load(l->rig->object, false, &fetched, NULL);
	return NULL;
}

/* The most loads that have a turn until it would have been clear. */
static unsigned most_turns(struct rig *r, unsigned enough)
{
	int64_t until = clock_ns() + NSEC_PER_SEC / 2;
	unsigned most = 0, n;

	while (clock_ns() < until && most < enough) {
		lock_take(&r->cache->turns_lock);
		n = r->cache->turns;
		lock_drop(&r->cache->turns_lock);
		most = MAX(most, n);
		usleep(1000);
	}
	return most;
}

START_TEST(a_load_takes_a_tenth_while_somebody_waits_for_the_store)
{
	struct loading l = { 0 };
	struct waited w;
	pthread_t thread;
	struct rig r;

	rig_init(&r, MIB(100), true);
	r.cache->fetchers_max = 20; /* of which there are fewer here */
	l.rig = &r;
	fake_ufs_hold(&r.store, true);
	if (_i == 0) {
		read_start(&r, &w, MIB(99), 4096);
		fake_ufs_wait_gets(&r.store, 1);
	}
	ck_assert_int_eq(pthread_create(&thread, NULL, load_thread, &l), 0);
	ck_assert_uint_eq(most_turns(&r, 3), _i == 0 ? 2 : 3);
	fake_ufs_hold(&r.store, false);
	if (_i == 0) {
		waited_wait(&w);
		waited_fini(&w);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(l.err, 0);
	ck_assert_uint_eq(cached(&r), MIB(100));
	rig_fini(&r);
}
END_TEST

START_TEST(a_load_of_which_a_part_broke_off_has_failed)
{
	uint64_t fetched;
	struct rig r;

	rig_init(&r, MIB(4), true);
	rig_fail(&r, -ETIMEDOUT, 300000);
	ck_assert_int_eq(object_load(r.object, false, &fetched, NULL),
			 -ETIMEDOUT);
	rig_fail(&r, 0, 0);
	ck_assert_int_eq(object_load(r.object, false, &fetched, NULL), 0);
	ck_assert_uint_eq(cached(&r), MIB(4));
	rig_fini(&r);
}
END_TEST

START_TEST(loading_writes_what_was_kept_in_memory_only)
{
	uint64_t fetched;
	struct rig r;

	rig_init(&r, _i == 0 ? 300000 : MIB(5), true);
	atomic_store(&r.cache->disks[0]->state, DISK_DEGRADED);
	read_all(&r, MIB(1));
	ck_assert_uint_eq(cached(&r), 0);
	atomic_store(&r.cache->disks[0]->state, DISK_OK);
	ck_assert_int_eq(object_load(r.object, false, &fetched, NULL), 0);
	ck_assert_uint_eq(cached(&r), r.store.size);
	ck_assert_uint_eq(rig_bytes(&r), r.store.size);
	rig_fini(&r);
}
END_TEST

START_TEST(loading_waits_for_the_room_that_eviction_makes)
{
	struct disk *d;
	uint64_t fetched;
	struct rig r;

	rig_init(&r, _i == 0 ? 300000 : MIB(5), true);
	d = r.cache->disks[0];
	/* More than it may hold, until the walk that eviction asks for. */
	ck_assert_int_eq(disk_recount(d, NULL, NULL), 0);
	disk_account(d, (int64_t)disk_limit(d) * 2);
	ck_assert_int_eq(object_load(r.object, false, &fetched, NULL), 0);
	ck_assert_uint_eq(cached(&r), r.store.size);
	rig_fini(&r);
}
END_TEST

START_TEST(loading_does_not_wait_for_room_that_will_not_come)
{
	int64_t began = clock_ns();
	uint64_t fetched;
	struct rig r;

	rig_init(&r, MIB(5), true);
	atomic_store(&r.cache->disks[0]->state, DISK_DEGRADED);
	ck_assert_int_eq(object_load(r.object, false, &fetched, NULL), -ENOSPC);
	ck_assert_int_lt(clock_ns() - began, 5 * NSEC_PER_SEC);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("load");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, loading_brings_everything_and_freeing_drops_it);
	tcase_add_loop_test(t, a_part_of_an_object_is_loaded_and_checked_alone,
			    0, 2);
	tcase_add_loop_test(
	    t, a_load_takes_a_tenth_while_somebody_waits_for_the_store, 0, 2);
	tcase_add_test(t, a_load_of_which_a_part_broke_off_has_failed);
	tcase_add_loop_test(t, loading_writes_what_was_kept_in_memory_only, 0,
			    2);
	tcase_add_loop_test(t, loading_waits_for_the_room_that_eviction_makes,
			    0, 2);
	tcase_add_test(t, loading_does_not_wait_for_room_that_will_not_come);
	return RUN_CASES(t);
}
