/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_object.c - unit tests of reads, fills, streams and opens
 */
#include "tests/unit/object_rig.h"

#include <fcntl.h>
#include <sched.h>

#include "base/stats.h"
#include "cache/disk_impl.h"
#include "tests/unit/run.h"

static const uint64_t sizes[] = { 1,       65535,   65536,       65537,
				  1048576, 1048577, 8 * 1048576, 8388608 + 17 };

START_TEST(every_size_reads_right_cold_and_warm)
{
	struct rig r;
	unsigned gets;

	rig_init(&r, sizes[_i], true);
	read_all(&r, 100000);
	rig_reopen(&r);
	gets = fake_ufs_gets(&r.store);
	read_all(&r, MIB(1));
	ck_assert_uint_eq(fake_ufs_gets(&r.store), gets);
	rig_fini(&r);
}
END_TEST

START_TEST(every_size_reads_right_without_an_ssd)
{
	struct rig r;

	rig_init(&r, sizes[_i], false);
	read_all(&r, 100000);
	read_all(&r, MIB(1));
	rig_fini(&r);
}
END_TEST

START_TEST(a_read_beyond_the_end_is_short_or_empty)
{
	struct rig r;

	rig_init(&r, 70000, true);
	ck_assert_int_eq(read_now(&r, 69990, 4096), 10);
	ck_assert_int_eq(read_now(&r, 70000, 4096), 0);
	ck_assert_int_eq(read_now(&r, UINT64_MAX - 5, 4096), 0);
	ck_assert_int_eq(read_now(&r, 5, 0), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(an_empty_object_opens_and_reads_nothing)
{
	struct rig r;
	struct cache_file *file;

	rig_init(&r, 0, true);
	ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert_int_eq(read_now(&r, 0, 4096), 0);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(opening_a_small_object_costs_one_get_and_gives_its_file)
{
	struct rig r;
	unsigned char byte;
	struct cache_file *file;

	rig_init(&r, 110000, true);
	ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(pread(file->fd, &byte, 1, 109999), 1);
	ck_assert_uint_eq(byte, fake_byte("v1", 109999));
	read_all(&r, 4096);
	ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 1);
	rig_reopen(&r);
	ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 1);
	rig_fini(&r);
}
END_TEST

START_TEST(many_opens_and_reads_of_one_object_join_one_get)
{
	struct waited w[20];
	struct rig r;

	rig_init(&r, 500000, true);
	fake_ufs_hold(&r.store, true);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		if (i % 2 == 0) {
			read_start(&r, &w[i], i * 20000, 50000);
		} else {
			waited_init(&w[i]);
			w[i].open.done = open_ended;
			object_open(r.object, &w[i].open);
		}
	}
	fake_ufs_wait_gets(&r.store, 1);
	fake_ufs_hold(&r.store, false);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		waited_wait(&w[i]);
		waited_fini(&w[i]);
		ck_assert_int_eq(w[i].err, 0);
		ck_assert(i % 2 == 1 || (w[i].right && w[i].got == 50000));
	}
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 1);
	rig_fini(&r);
}
END_TEST

START_TEST(random_reads_fetch_pages_and_not_parts)
{
	struct rig r;

	rig_init(&r, MIB(64), true);
	for (uint64_t i = 0; i < 20; i++)
		ck_assert_int_eq(
		    read_now(&r, (i * 37 % 64) * MIB(1) + 12345, 4096), 4096);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 20);
	ck_assert_uint_eq(rig_bytes(&r), 20 * PAGE_BYTES);
	rig_fini(&r);
}
END_TEST

START_TEST(what_was_fetched_ahead_is_read_from_memory)
{
	int64_t ssd = stat_read(STAT_ssd_bytes);
	struct rig r;

	rig_init(&r, MIB(64), true);
	read_all(&r, 128 << 10);
	ck_assert_int_eq(stat_read(STAT_ssd_bytes), ssd);
	rig_fini(&r);
}
END_TEST

START_TEST(sequential_reads_are_fetched_ahead_in_large_parts)
{
	struct rig r;

	rig_init(&r, MIB(64), true);
	read_all(&r, 128 << 10);
	ck_assert_uint_eq(rig_bytes(&r), MIB(64));
	ck_assert_uint_lt(fake_ufs_gets(&r.store), 64);
	rig_fini(&r);
}
END_TEST

static void count_closed(void *arg, int backing_id)
{
	*(int *)arg += backing_id;
}

START_TEST(what_the_kernel_calls_a_file_is_kept_until_it_is_closed)
{
	struct cache_file *file;
	int closed = 0;
	struct rig r;

	rig_init(&r, 110000, true);
	cache_on_file_closed(r.cache, count_closed, &closed);
	ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert_int_eq(file->backing_id, 0);
	file->backing_id = 7;
	ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert_int_eq(file->backing_id, 7);
	ck_assert_int_eq(closed, 0);
	rig_reopen(&r);
	ck_assert_int_eq(closed, 7);
	ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert_int_eq(file->backing_id, 0);
	rig_fini(&r);
}
END_TEST

START_TEST(a_complete_large_object_is_handed_to_the_kernel)
{
	struct rig r;
	struct cache_file *file;

	rig_init(&r, MIB(9) + 5, true);
	read_all(&r, MIB(1));
	rig_reopen(&r);
	/* Written by the cache before this one: trusted by its header, or
	 * verified in the background for a later open. */
	for (int tries = 0; tries < 1000; tries++) {
		ck_assert_int_eq(open_now(&r, &file), 0);
		if (file != NULL)
			break;
		ck_assert_int_gt(read_now(&r, 0, 4096), 0);
	}
	ck_assert_ptr_nonnull(file);
	rig_fini(&r);
}
END_TEST

START_TEST(an_error_reaches_the_readers_and_is_not_kept)
{
	struct rig r;
	struct cache_file *file;

	rig_init(&r, _i == 0 ? 1000 : MIB(4), true);
	rig_fail(&r, -EACCES, 0);
	ck_assert_int_eq(read_now(&r, 0, 1000), -EACCES);
	ck_assert_int_eq(open_now(&r, &file), _i == 0 ? -EACCES : 0);
	rig_fail(&r, 0, 0);
	ck_assert_int_eq(read_now(&r, 0, 1000), 1000);
	rig_fini(&r);
}
END_TEST

static void *open_thread(void *arg)
{
	struct rig *r = arg;
	struct cache_file *file;

	return (void *)(intptr_t)open_now(r, &file);
}

/* Poll the object, whose lock is held for look, until look says so. */
static void until(struct rig *r, bool (*look)(const struct object *o))
{
	bool yes;

	do {
		sched_yield(); /* the test's timeout ends it */
		lock_take(&r->object->lock);
		yes = look(r->object);
		lock_drop(&r->object->lock);
	} while (!yes);
}

static bool fetch_is_over(const struct object *o)
{
	return o->fills == NULL || o->fills->state == FILL_FETCHED;
}

static bool an_open_waits(const struct object *o)
{
	return o->opening != NULL;
}

/*
 * The fetcher gives back its memory when it has failed those who waited. There
 * it is held here (by the mutex itself, as this thread then takes locks of
 * lower rank) until the second open is in the queue.
 */
START_TEST(an_open_that_comes_while_a_fetch_fails_is_answered)
{
	pthread_t first, second;
	void *err;
	struct rig r;

	rig_init(&r, 300000, true);
	fake_ufs_hold(&r.store, true);
	rig_fail(&r, -EIO, 0);
	pthread_create(&first, NULL, open_thread, &r);
	fake_ufs_wait_gets(&r.store, 1);
	pthread_mutex_lock(&r.cache->memory_lock.mutex);
	fake_ufs_hold(&r.store, false);
	until(&r, fetch_is_over);
	rig_fail(&r, 0, 0);
	pthread_create(&second, NULL, open_thread, &r);
	until(&r, an_open_waits);
	pthread_mutex_unlock(&r.cache->memory_lock.mutex);
	pthread_join(first, &err);
	ck_assert_int_eq((intptr_t)err, -EIO);
	pthread_join(second, &err);
	ck_assert_int_eq((intptr_t)err, 0);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 2);
	rig_fini(&r);
}
END_TEST

START_TEST(what_came_before_an_error_is_kept)
{
	struct rig r;
	uint64_t bytes;

	rig_init(&r, MIB(4), true);
	rig_fail(&r, -ETIMEDOUT, 300000);
	ck_assert_int_eq(read_now(&r, 0, MIB(1)), -ETIMEDOUT);
	rig_fail(&r, 0, 0);
	bytes = rig_bytes(&r);
	ck_assert_int_eq(read_now(&r, 0, MIB(1)), MIB(1));
	ck_assert_uint_le(rig_bytes(&r) - bytes, MIB(1) - 4 * PAGE_BYTES);
	rig_fini(&r);
}
END_TEST

START_TEST(a_changed_object_is_stale_and_never_mixed)
{
	struct rig r;

	rig_init(&r, MIB(8), true);
	ck_assert_int_eq(read_now(&r, 0, 4096), 4096);
	pthread_mutex_lock(&r.store.mutex);
	snprintf(r.store.version, sizeof(r.store.version), "w2");
	pthread_mutex_unlock(&r.store.mutex);
	ck_assert_int_eq(read_now(&r, MIB(5), 4096), -ESTALE);
	ck_assert_int_eq(read_now(&r, 0, 4096), 4096);
	rig_fini(&r);
}
END_TEST

START_TEST(a_cancelled_read_is_not_answered_and_its_fetch_goes_on)
{
	struct waited w;
	struct rig r;

	rig_init(&r, MIB(8), true);
	fake_ufs_hold(&r.store, true);
	read_start(&r, &w, 0, 4096);
	fake_ufs_wait_gets(&r.store, 1);
	ck_assert(object_read_cancel(&w.read));
	fake_ufs_hold(&r.store, false);
	ck_assert_int_eq(read_now(&r, 0, 4096), 4096);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 1);
	ck_assert(!w.ended);
	waited_fini(&w);
	rig_fini(&r);
}
END_TEST

START_TEST(a_read_that_gets_no_answer_ends_with_its_deadline)
{
	struct waited w;
	struct rig r;

	rig_init(&r, MIB(8), true);
	r.cache->conf.read_timeout = 300 * NSEC_PER_MSEC;
	fake_ufs_hold(&r.store, true);
	read_start(&r, &w, 0, 4096);
	waited_wait(&w);
	ck_assert_int_eq(w.err, -ETIMEDOUT);
	fake_ufs_hold(&r.store, false);
	r.cache->conf.read_timeout = 20 * NSEC_PER_SEC;
	ck_assert_int_eq(read_now(&r, 0, 4096), 4096);
	waited_fini(&w);
	rig_fini(&r);
}
END_TEST

START_TEST(more_reads_than_memory_all_end_right)
{
	enum { N = 96 };
	static struct waited w[N];
	int64_t waits = stat_read(STAT_memory_waits);
	struct rig r;

	/* 96 MiB of reads in 32 MiB of buffers, with and without an SSD. */
	rig_init(&r, MIB(200), _i == 1);
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
	ck_assert_uint_le(buffers_used(r.cache->buffers), MIB(32));
	rig_fini(&r);
}
END_TEST

/* Pages are written behind the reader's back: until bytes are there. */
static void wait_cached(struct rig *r, uint64_t bytes)
{
	while (cached(r) != bytes)
		sched_yield(); /* the test's timeout ends it */
}

static struct extent *first_extent(struct rig *r)
{
	bool again;
	struct extent *e = object_extent(r->object, 0, false, &again);

	ck_assert_ptr_nonnull(e);
	return e;
}

START_TEST(a_rotten_page_is_fetched_again)
{
	struct rig r;
	struct extent *e;
	char path[64];
	int fd;

	rig_init(&r, _i == 0 ? 300000 : MIB(5), true);
	read_all(&r, MIB(1));
	rig_reopen(&r);
	e = first_extent(&r);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", extent_fd(e));
	fd = open(path, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "rot", 3, 200000), 3);
	close(fd);
	extent_close(e);
	read_all(&r, 100000);
	read_all(&r, MIB(1));
	ck_assert_int_gt(stat_read(STAT_bad_pages), 0);
	rig_fini(&r);
}
END_TEST

START_TEST(B13_an_extent_is_not_evicted_while_it_is_filled)
{
	struct disk *d;
	struct extent *e;
	struct waited w;
	struct rig r;

	rig_init(&r, MIB(8), true);
	d = r.cache->disks[0];
	ck_assert_int_eq(read_now(&r, 0, 4096), 4096);
	wait_cached(&r, PAGE_BYTES);
	e = first_extent(&r);
	fake_ufs_hold(&r.store, true);
	read_start(&r, &w, MIB(4), 4096);
	fake_ufs_wait_gets(&r.store, 2);
	disk_evict_to(d, 0);
	ck_assert(!extent_gone(e));
	fake_ufs_hold(&r.store, false);
	waited_wait(&w);
	waited_fini(&w);
	wait_cached(&r, 2 * PAGE_BYTES);
	while (!extent_gone(e))
		disk_evict_to(d, 0); /* once the fill has ended as well */
	extent_close(e);
	rig_fini(&r);
}
END_TEST

START_TEST(B13_nothing_is_written_to_a_file_that_was_evicted)
{
	struct extent *old, *e;
	struct disk *d;
	struct rig r;

	rig_init(&r, MIB(8), true);
	d = r.cache->disks[0];
	ck_assert_int_eq(read_now(&r, 0, 4096), 4096);
	wait_cached(&r, PAGE_BYTES);
	old = first_extent(&r);
	while (!extent_gone(old))
		disk_evict_to(d, 0);
	/* Its pages are still good for reading. */
	ck_assert_int_eq(read_now(&r, 0, 4096), 4096);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), 1);
	ck_assert_int_eq(read_now(&r, MIB(4), 4096), 4096);
	do {
		e = first_extent(&r);
		extent_close(e);
	} while (e == old);
	wait_cached(&r, PAGE_BYTES);
	e = first_extent(&r);
	ck_assert(!extent_gone(e));
	extent_close(e);
	extent_close(old);
	rig_fini(&r);
}
END_TEST

START_TEST(B13_an_evicted_file_is_closed_though_its_object_is_in_use)
{
	struct extent *e;
	struct rig r;

	rig_init(&r, MIB(8), true);
	ck_assert_int_eq(read_now(&r, 0, 4096), 4096);
	wait_cached(&r, PAGE_BYTES);
	object_close_evicted(r.object);
	ck_assert_uint_eq(cached(&r), PAGE_BYTES);
	e = first_extent(&r);
	while (!extent_gone(e))
		disk_evict_to(r.cache->disks[0], 0);
	extent_close(e);
	object_close_evicted(r.object);
	ck_assert_uint_eq(cached(&r), 0);
	read_all(&r, MIB(1));
	rig_fini(&r);
}
END_TEST

START_TEST(B13_a_file_that_the_kernel_reads_is_not_evicted)
{
	struct ufs_stat st = { .size = MIB(3), .version = "v1" };
	struct cache_file *file;
	struct extent *e;
	struct disk *d;
	struct rig r;

	rig_init(&r, st.size, true);
	d = r.cache->disks[0];
	read_all(&r, MIB(1));
	wait_cached(&r, st.size);
	do
		ck_assert_int_eq(open_now(&r, &file), 0);
	while (file == NULL);
	e = first_extent(&r);
	disk_evict_to(d, 0);
	ck_assert(!extent_gone(e));
	/* Its last user has gone. */
	object_put(r.object);
	while (!extent_gone(e))
		disk_evict_to(d, 0);
	extent_close(e);
	ck_assert_int_eq(object_get(r.cache, str_of("a/key"), &st, &r.object),
			 0);
	rig_fini(&r);
}
END_TEST

static void *reader(void *arg)
{
	struct rig *r = arg;
	unsigned seed = (unsigned)(uintptr_t)&seed;

	for (int i = 0; i < 150; i++) {
		uint64_t off = (uint64_t)rand_r(&seed) % r->store.size;
		size_t len = (size_t)rand_r(&seed) % 300000 + 1;
		ssize_t n = read_now(r, off, len);

		ck_assert_int_eq(n, (ssize_t)MIN(len, r->store.size - off));
	}
	return NULL;
}

START_TEST(eight_threads_reading_at_random_see_only_right_bytes)
{
	pthread_t t[8];
	struct rig r;

	rig_init(&r, MIB(24) + 777, _i == 1);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, reader, &r), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	rig_fini(&r);
}
END_TEST

static void rig_init_two(struct rig *r, uint64_t size)
{
	rig_init(r, size, true);
	rig_close(r);
	snprintf(r->second, sizeof(r->second), "/tmp/tarn-object-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(r->second));
	rig_open(r);
}

static struct disk *disk_of_object(const struct rig *r)
{
	struct disk_id id;
	uint64_t length;

	return object_extent_id(r->object, 0, &id, &length);
}

static void turn_off(struct disk *d)
{
	for (int i = 0; i < ERRORS_OFF; i++)
		disk_failed(d, -EIO, "a test");
	ck_assert_int_eq(disk_state(d), DISK_OFF);
}

static void wait_taken_back(struct disk *d)
{
	/* Not the ten seconds between two probes. */
	while (disk_state(d) != DISK_OK) {
		disk_kick(d, &d->kick_health);
		usleep(1000);
	}
}

/* Until the kernel may have it: a large one is verified in the background. */
static struct cache_file *open_until_backed(struct rig *r)
{
	struct cache_file *file = NULL;

	for (int tries = 0; tries < 20000 && file == NULL; tries++) {
		ck_assert_int_eq(open_now(r, &file), 0);
		if (file == NULL)
			usleep(1000);
	}
	ck_assert_ptr_nonnull(file);
	return file;
}

static const uint64_t two_sizes[] = { 200000, MIB(3) + 7 };

START_TEST(B3_what_a_disk_that_is_off_held_is_kept_on_another)
{
	struct disk *home, *other;
	struct cache_file *file;
	struct rig r;
	unsigned gets;

	rig_init_two(&r, two_sizes[_i]);
	read_all(&r, MIB(1));
	rig_reopen(&r);
	home = disk_of_object(&r);
	other = r.cache->disks[home == r.cache->disks[0]];
	file = open_until_backed(&r);
	gets = fake_ufs_gets(&r.store);

	turn_off(home);
	ck_assert_ptr_null(object_backing(r.object));
	ck_assert_ptr_eq(disk_of_object(&r), other);
	ck_assert_int_eq(open_now(&r, &file), 0);
	read_all(&r, MIB(1));
	ck_assert_uint_gt(fake_ufs_gets(&r.store), gets);
	/* There whole, and handed out, from there. */
	open_until_backed(&r);
	ck_assert_ptr_eq(extent_disk(r.object->slots[0].extent), other);
	gets = fake_ufs_gets(&r.store);
	read_all(&r, MIB(1));
	ck_assert_uint_eq(fake_ufs_gets(&r.store), gets);

	wait_taken_back(home);
	read_all(&r, MIB(1));
	open_until_backed(&r);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), gets);
	rig_fini(&r);
}
END_TEST

START_TEST(B3_what_a_disk_holds_is_used_when_it_is_taken_back)
{
	struct cache_file *file;
	struct disk *home;
	struct rig r;
	uint64_t bytes;
	unsigned gets;

	rig_init_two(&r, two_sizes[_i]);
	read_all(&r, MIB(1));
	rig_reopen(&r);
	home = disk_of_object(&r);
	open_until_backed(&r);
	gets = fake_ufs_gets(&r.store);
	turn_off(home);
	/* It was asked for, but nothing was fetched. */
	ck_assert_int_eq(object_cached(r.object, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	wait_taken_back(home);
	/* Verified anew before the kernel gets it. */
	ck_assert_ptr_null(object_backing(r.object));
	read_all(&r, MIB(1));
	file = open_until_backed(&r);
	ck_assert_int_eq(file->fd, extent_fd(r.object->slots[0].extent));
	ck_assert_ptr_eq(extent_disk(r.object->slots[0].extent), home);
	ck_assert_uint_eq(fake_ufs_gets(&r.store), gets);
	rig_fini(&r);
}
END_TEST

START_TEST(freeing_removes_what_other_disks_have_of_it_too)
{
	struct disk *home, *other;
	struct rig r;
	uint64_t bytes;
	unsigned gets;

	rig_init_two(&r, two_sizes[_i]);
	read_all(&r, MIB(1));
	rig_reopen(&r);
	home = disk_of_object(&r);
	other = r.cache->disks[home == r.cache->disks[0]];
	open_until_backed(&r);
	turn_off(home);
	read_all(&r, MIB(1));
	open_until_backed(&r);
	ck_assert_ptr_eq(extent_disk(r.object->slots[0].extent), other);
	wait_taken_back(home);

	ck_assert_int_eq(object_free(r.object, &bytes), 0);
	gets = fake_ufs_gets(&r.store);
	rig_reopen(&r);
	ck_assert_int_eq(object_cached(r.object, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	read_all(&r, MIB(1));
	ck_assert_uint_gt(fake_ufs_gets(&r.store), gets);
	rig_fini(&r);
}
END_TEST

START_TEST(what_was_cached_before_a_disk_was_added_is_found)
{
	struct rig r;
	unsigned gets;

	for (int swap = 0; swap < 2; swap++) {
		rig_init_two(&r, 200000);
		read_all(&r, MIB(1));
		gets = fake_ufs_gets(&r.store);
		rig_close(&r);
		if (swap) {
			char dir[sizeof(r.dir)];

			memcpy(dir, r.dir, sizeof(dir));
			memcpy(r.dir, r.second, sizeof(dir));
			memcpy(r.second, dir, sizeof(dir));
		}
		rig_open(&r);
		read_all(&r, MIB(1));
		ck_assert_uint_eq(fake_ufs_gets(&r.store), gets);
		rig_fini(&r);
	}
}
END_TEST

/* As a disk forgets: nothing but the bytes tells. */
static void rot(const struct cache_file *file)
{
	struct timespec times[2];
	AUTO_CLOSE int fd = -1;
	char path[32], byte;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(pread(fd, &byte, 1, 100000), 1);
	byte ^= 1;
	ck_assert_int_eq(pwrite(fd, &byte, 1, 100000), 1);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	ck_assert_int_eq(futimens(fd, times), 0);
}

START_TEST(B6_a_file_that_the_scrub_found_bad_is_not_handed_out_again)
{
	struct cache_file *bad, *file;
	struct rig r;
	unsigned gets;

	rig_init(&r, two_sizes[_i], true);
	read_all(&r, MIB(1));
	rig_reopen(&r);
	bad = open_until_backed(&r);
	bad->backing_id = 7;
	gets = fake_ufs_gets(&r.store);

	rot(bad);
	ck_assert_ptr_eq(object_backing(r.object), bad);

	cache_scrub(r.cache);
	for (struct cache_disk_status s = { 0 }; s.scrub_passes == 0;) {
		ck_assert_uint_eq(cache_disks(r.cache, &s, 1), 1);
		usleep(1000);
	}
	ck_assert_ptr_null(object_backing(r.object));
	ck_assert_int_eq(open_now(&r, &file), 0);
	ck_assert(_i == 0 ? file != bad : file == NULL);
	read_all(&r, MIB(1));
	ck_assert_uint_eq(fake_ufs_gets(&r.store), gets + 1);
	/* A small one is another file, a large one has its page again. */
	file = open_until_backed(&r);
	ck_assert_int_eq(file->backing_id, _i == 0 ? 0 : 7);
	rig_fini(&r);
}
END_TEST

START_TEST(loading_to_verify_reads_the_disk_and_fetches_what_is_bad)
{
	struct cache_file *file;
	uint64_t fetched;
	struct rig r;

	rig_init(&r, two_sizes[_i], true);
	ck_assert_int_eq(object_load(r.object, true, &fetched, NULL), 0);
	file = open_until_backed(&r);
	rot(file);
	ck_assert_int_eq(object_load(r.object, true, &fetched, NULL), 0);
	ck_assert_uint_eq(fetched, _i == 0 ? two_sizes[0] : PAGE_BYTES);
	read_all(&r, MIB(1));
	ck_assert_int_eq(object_load(r.object, true, &fetched, NULL), 0);
	ck_assert_uint_eq(fetched, 0);
	rig_fini(&r);
}
END_TEST

/* What the store's checksum refused is in no read, file or page. */
START_TEST(A11_a_small_object_is_shown_once_it_is_right)
{
	struct rig r;

	rig_init(&r, sizes[_i], true);
	pthread_mutex_lock(&r.store.mutex);
	r.store.wrong = 2;
	pthread_mutex_unlock(&r.store.mutex);
	read_all(&r, 100000);
	rig_reopen(&r);
	read_all(&r, MIB(1));
	rig_fini(&r);
}
END_TEST

START_TEST(A11_nothing_is_kept_of_a_small_object_that_stayed_wrong)
{
	struct rig r;

	rig_init(&r, 200000, true);
	rig_fail(&r, -EIO, 150000);
	ck_assert_int_eq(read_now(&r, 0, 4096), -EIO);
	ck_assert_int_eq(cache_memory_used(r.cache), 0);
	rig_fail(&r, 0, 0);
	read_all(&r, 100000);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("object");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, every_size_reads_right_cold_and_warm, 0,
			    ARRAY_SIZE(sizes));
	tcase_add_loop_test(t, every_size_reads_right_without_an_ssd, 0,
			    ARRAY_SIZE(sizes));
	tcase_add_test(t, a_read_beyond_the_end_is_short_or_empty);
	tcase_add_test(t, an_empty_object_opens_and_reads_nothing);
	tcase_add_test(t,
		       opening_a_small_object_costs_one_get_and_gives_its_file);
	tcase_add_test(t, many_opens_and_reads_of_one_object_join_one_get);
	tcase_add_test(t, random_reads_fetch_pages_and_not_parts);
	tcase_add_test(t, what_was_fetched_ahead_is_read_from_memory);
	tcase_add_test(t, sequential_reads_are_fetched_ahead_in_large_parts);
	tcase_add_test(t,
		       what_the_kernel_calls_a_file_is_kept_until_it_is_closed);
	tcase_add_test(t, a_complete_large_object_is_handed_to_the_kernel);
	tcase_add_loop_test(t, an_error_reaches_the_readers_and_is_not_kept, 0,
			    2);
	tcase_add_test(t, an_open_that_comes_while_a_fetch_fails_is_answered);
	tcase_add_test(t, what_came_before_an_error_is_kept);
	tcase_add_test(t, a_changed_object_is_stale_and_never_mixed);
	tcase_add_test(t,
		       a_cancelled_read_is_not_answered_and_its_fetch_goes_on);
	tcase_add_test(t, a_read_that_gets_no_answer_ends_with_its_deadline);
	tcase_add_loop_test(t, more_reads_than_memory_all_end_right, 0, 2);
	tcase_add_loop_test(t, a_rotten_page_is_fetched_again, 0, 2);
	tcase_add_test(t, B13_an_extent_is_not_evicted_while_it_is_filled);
	tcase_add_test(t, B13_nothing_is_written_to_a_file_that_was_evicted);
	tcase_add_test(
	    t, B13_an_evicted_file_is_closed_though_its_object_is_in_use);
	tcase_add_test(t, B13_a_file_that_the_kernel_reads_is_not_evicted);
	tcase_add_loop_test(
	    t, eight_threads_reading_at_random_see_only_right_bytes, 0, 2);
	tcase_add_loop_test(
	    t, B3_what_a_disk_that_is_off_held_is_kept_on_another, 0, 2);
	tcase_add_loop_test(
	    t, B3_what_a_disk_holds_is_used_when_it_is_taken_back, 0, 2);
	tcase_add_loop_test(t, freeing_removes_what_other_disks_have_of_it_too,
			    0, 2);
	tcase_add_test(t, what_was_cached_before_a_disk_was_added_is_found);
	tcase_add_loop_test(
	    t, B6_a_file_that_the_scrub_found_bad_is_not_handed_out_again, 0,
	    2);
	tcase_add_loop_test(
	    t, loading_to_verify_reads_the_disk_and_fetches_what_is_bad, 0, 2);
	tcase_add_test(t, A11_a_small_object_is_shown_once_it_is_right);
	tcase_add_test(t,
		       A11_nothing_is_kept_of_a_small_object_that_stayed_wrong);
	return RUN_CASES(t);
}
