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

/* Of which a writer needs what stands between its bytes. */
START_TEST(a_piece_of_a_small_object_fetched_ahead_stops_no_reader)
{
	struct rig r;

	rig_init(&r, 500000, false);
	object_ahead(r.object, 100000, KIB(64));
	fake_ufs_wait_gets(&r.store, 1);
	read_all(&r, 100000);
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

/*
 * The writers are behind when a fill is to be written, and have ended before
 * it is among those owed to the SSD. Two locks hold it up just there: a thread
 * takes that of the memory while the fill's reader is told, and the test that
 * of the object when the reader has let go of the fill.
 */
struct late {
	struct rig *r;
	pthread_t gate;
	atomic_bool shut, open;
	struct waited w;
};

static void *gate_main(void *arg)
{
	struct late *l = arg;

	lock_take(&l->r->cache->memory_lock);
	atomic_store(&l->shut, true);
	while (!atomic_load(&l->open))
		sched_yield();
	lock_drop(&l->r->cache->memory_lock);
	return NULL;
}

static void late_ended(struct object_read *read, int err,
		       const struct iovec *iov, int niov)
{
	struct late *l = container_of(read, struct late, w.read);

	ck_assert_int_eq(pthread_create(&l->gate, NULL, gate_main, l), 0);
	while (!atomic_load(&l->shut))
		sched_yield();
	read_ended(read, err, iov, niov);
}

static void end_writers(struct late *l)
{
	struct object *o = l->r->object;
	struct cache *c = l->r->cache;
	int64_t unadmitted = stat_read(STAT_ssd_unadmitted);

	lock_take(&o->lock);
	while (atomic_load(&o->fills->consumed) < o->fills->n) {
		lock_drop(&o->lock);
		sched_yield();
		lock_take(&o->lock);
	}
	atomic_store(&l->open, true);
	while (stat_read(STAT_ssd_unadmitted) == unadmitted)
		sched_yield();
	lock_take(&c->memory_lock);
	c->writing = 0;
	lock_drop(&c->memory_lock);
	ck_assert_ptr_null(memory_take_owed(c));
	lock_drop(&o->lock);
}

START_TEST(what_is_owed_after_the_last_writer_looked_is_written)
{
	enum { SIZE = 500000 };
	uint64_t bytes = 0;
	struct late l = { 0 };
	struct rig r;

	rig_init(&r, SIZE, true);
	l.r = &r;
	lock_take(&r.cache->memory_lock);
	r.cache->writing = r.cache->reserved_max;
	lock_drop(&r.cache->memory_lock);
	atomic_store(&r.cache->inline_writes, 1000); /* fetchers write none */
	waited_init(&l.w);
	l.w.read.len = SIZE;
	l.w.read.done = late_ended;
	object_read(r.object, &l.w.read);
	waited_wait(&l.w);
	waited_fini(&l.w);
	ck_assert(l.w.right && l.w.got == SIZE);
	end_writers(&l);
	ck_assert_int_eq(pthread_join(l.gate, NULL), 0);
	while (bytes < SIZE) { /* the test's timeout ends it */
		ck_assert_int_eq(object_cached(r.object, &bytes), 0);
		sched_yield();
	}
	rig_fini(&r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("fill");

	tcase_set_timeout(t, 30);
	tcase_add_test(
	    t, an_open_of_what_is_prefetched_does_not_wait_behind_the_rest);
	tcase_add_test(t,
		       a_piece_of_a_small_object_fetched_ahead_stops_no_reader);
	tcase_add_test(
	    t, B5_reads_that_wait_for_memory_need_no_thread_of_the_disk);
	tcase_add_test(t, what_is_owed_after_the_last_writer_looked_is_written);
	return RUN_CASES(t);
}
