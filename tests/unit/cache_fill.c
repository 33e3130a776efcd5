/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_fill.c - unit tests of fills: who waits for them, and in what lane
 */
#include "tests/unit/object_rig.h"

#include <sched.h>

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

/* A thread of the pool that reads the SSD, while that has stalled. */
struct stuck {
	struct job job;
	struct rig *r;
};

static void stuck_run(struct job *job)
{
	struct rig *r = container_of(job, struct stuck, job)->r;

	pthread_mutex_lock(&r->store.mutex);
	while (r->store.stall)
		pthread_cond_wait(&r->store.changed, &r->store.mutex);
	pthread_mutex_unlock(&r->store.mutex);
}

START_TEST(B5_reads_that_wait_for_memory_need_no_thread_of_the_disk)
{
	enum { N = 64, READERS = 8 };
	int64_t waits = stat_read(STAT_memory_waits);
	static struct waited w[N];
	struct stuck stuck[READERS];
	struct rig r;

	/* 64 MiB of reads in 32 MiB of buffers. */
	rig_init(&r, MIB(200), false);
	r.store.stall = true;
	for (size_t i = 0; i < READERS; i++) {
		stuck[i] = (struct stuck){ .job.run = stuck_run, .r = &r };
		pool_submit(r.cache->readers, &stuck[i].job, POOL_DEMAND);
	}
	fake_ufs_hold(&r.store, true);
	for (size_t i = 0; i < N; i++)
		read_start(&r, &w[i], i * MIB(2) + 1000, MIB(1));
	while (stat_read(STAT_memory_waits) == waits)
		sched_yield(); /* the test's timeout ends it */
	fake_ufs_hold(&r.store, false);
	for (size_t i = 0; i < N; i++) {
		waited_wait(&w[i]);
		waited_fini(&w[i]);
		ck_assert_int_eq(w[i].err, 0);
		ck_assert(w[i].right && w[i].got == MIB(1));
	}
	pthread_mutex_lock(&r.store.mutex);
	r.store.stall = false;
	pthread_cond_broadcast(&r.store.changed);
	pthread_mutex_unlock(&r.store.mutex);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("fill");

	tcase_set_timeout(t, 30);
	tcase_add_test(
	    t, an_open_of_what_is_prefetched_does_not_wait_behind_the_rest);
	tcase_add_test(
	    t, B5_reads_that_wait_for_memory_need_no_thread_of_the_disk);
	return RUN_CASES(t);
}
