/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_evict.c - a cache stays within its size and goes on working
 */
#include "cache/disk_impl.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>

#include "cache/extent.h"
#include "tests/unit/cache_dir.h"
#include "tests/unit/run.h"

#define SIZE 12288
#define LARGE_PAGES 20
#define LARGE (LARGE_PAGES * PAGE_BYTES)

static struct dir dir;
static void *pages[LARGE_PAGES];
static bool mounted;

static void setup(void)
{
	dir_make(&dir);
	mounted = false;
	for (int i = 0; i < LARGE_PAGES; i++) {
		pages[i] = malloc(PAGE_BYTES);
		memset(pages[i], 'a' + i, PAGE_BYTES);
	}
}

static void teardown(void)
{
	if (mounted)
		umount2(dir.path, MNT_DETACH);
	dir_remove(&dir);
	for (int i = 0; i < LARGE_PAGES; i++)
		free(pages[i]);
}

/* A file system of its own; false when we may not mount. */
static bool own_tmpfs(const char *options)
{
	char all[100];

	if (geteuid() != 0)
		return false;
	snprintf(all, sizeof(all), "mode=0700,%s", options);
	ck_assert_int_eq(mkdir(dir.path, 0700), 0);
	ck_assert_int_eq(mount("tarn-test", dir.path, "tmpfs", 0, all), 0);
	mounted = true;
	return true;
}

static struct disk_id nth(unsigned i)
{
	char key[16];

	snprintf(key, sizeof(key), "%u", i);
	return id_of(key, SIZE);
}

/* Store number i, last used at the second age of the epoch (0: now). */
static int store(struct disk *d, unsigned i, time_t age)
{
	struct timespec t[2] = { { .tv_sec = age }, { .tv_sec = age } };
	struct disk_id id = nth(i);
	struct extent *e;
	int r;

	r = extent_write_small(d, &id, SIZE, pages, &e);
	if (r < 0)
		return r;
	if (age != 0)
		ck_assert_int_eq(futimens(extent_fd(e), t), 0);
	extent_close(e);
	return 0;
}

static bool there(struct disk *d, unsigned i)
{
	struct disk_id id = nth(i);
	int fd, r = disk_open_file(d, &id, "", O_RDONLY, &fd);

	if (r == 0)
		close(fd);
	return r == 0;
}

static struct extent *store_large(struct disk *d, const char *key)
{
	struct disk_id id = id_of(key, LARGE);
	struct extent *e;

	ck_assert_int_eq(extent_create(d, &id, LARGE, &e), 0);
	ck_assert_int_eq(extent_write(e, 0, LARGE_PAGES, pages), 0);
	return e;
}

static uint64_t walked(struct disk *d)
{
	uint64_t bytes, files;

	ck_assert_int_eq(disk_recount(d, &bytes, &files), 0);
	return bytes;
}

START_TEST(few_files_go_in_the_order_of_their_age)
{
	struct disk *d = dir_open(&dir, 0);

	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_eq(store(d, i, 1000 + (i * 37 % 100)), 0);
	ck_assert_uint_eq(walked(d), 100 * SIZE);
	ck_assert_uint_eq(disk_evict_to(d, 60 * SIZE), 40 * SIZE);
	ck_assert_uint_eq(disk_bytes(d), 60 * SIZE);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_eq(there(d, i), i * 37 % 100 >= 40);
	ck_assert_uint_eq(walked(d), 60 * SIZE);
	ck_assert_uint_eq(numbers_of(d).evicted_bytes, 40 * SIZE);
	disk_close(d);
}
END_TEST

START_TEST(of_many_files_the_old_go_and_the_young_stay)
{
	struct disk *d = dir_open(&dir, 0);
	unsigned n = 3000, old = 0, young = 0;

	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(store(d, i, 1000 + i), 0);
	walked(d);
	ck_assert_uint_ge(disk_evict_to(d, (uint64_t)n / 2 * SIZE),
			  (uint64_t)n / 2 * SIZE);
	for (unsigned i = 0; i < n / 4; i++) {
		old += there(d, i);
		young += there(d, n - 1 - i);
	}
	ck_assert_uint_lt(old, n / 4 / 10);
	ck_assert_uint_gt(young, n / 4 * 9 / 10);
	disk_close(d);
}
END_TEST

START_TEST(what_was_touched_is_young)
{
	struct disk *d = dir_open(&dir, 0);
	struct disk_id id = nth(3);
	int fd;

	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(store(d, i, 1000 + i), 0);
	ck_assert_int_eq(disk_open_file(d, &id, "", O_RDONLY, &fd), 0);
	disk_touch(d, fd);
	close(fd);
	walked(d);
	disk_evict_to(d, 2 * SIZE);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(there(d, i), i == 3 || i == 9);
	disk_close(d);
}
END_TEST

START_TEST(an_extent_goes_with_its_map_and_open_ones_read_on)
{
	struct disk *d = dir_open(&dir, 0);
	struct extent *e = store_large(d, "large");
	struct disk_id id = id_of("large", LARGE);
	char *buf = malloc(LARGE);
	int fd;

	walked(d);
	ck_assert_uint_ge(disk_evict_to(d, 0), LARGE);
	ck_assert_uint_eq(disk_bytes(d), 0);
	ck_assert_int_eq(disk_open_file(d, &id, "", O_RDONLY, &fd), -ENOENT);
	ck_assert_int_eq(disk_open_file(d, &id, ".map", O_RDONLY, &fd),
			 -ENOENT);
	ck_assert_int_eq(extent_read(e, 0, LARGE_PAGES, buf, false),
			 LARGE_PAGES);
	ck_assert(extent_trusted(e));
	extent_close(e);
	free(buf);
	disk_close(d);
}
END_TEST

START_TEST(B13_what_is_pinned_stays)
{
	struct disk *d = dir_open(&dir, 0);
	struct disk_pin a = { 0 }, b = { 0 };
	struct disk_id id = nth(0);

	for (unsigned i = 0; i < 600; i++)
		ck_assert_int_eq(store(d, i, 1000 + i), 0);
	disk_pin(d, &id, &a);
	disk_pin(d, &id, &b);
	disk_unpin(&a);
	disk_unpin(&a); /* is b's no more than it was */
	walked(d);
	disk_evict_to(d, 0);
	for (unsigned i = 0; i < 600; i++)
		ck_assert_int_eq(there(d, i), i == 0);
	disk_unpin(&b);
	disk_evict_to(d, 0);
	ck_assert(!there(d, 0));
	disk_close(d);
}
END_TEST

START_TEST(what_is_foreign_goes_too)
{
	struct disk *d = dir_open(&dir, 0);
	char cmd[512];

	ck_assert_int_eq(store(d, 0, 5000000000), 0);
	snprintf(cmd, sizeof(cmd),
		 "cd %s/v1/* && cd * && mkfifo fifo && echo > core && "
		 "ln -s / root && mkdir sub",
		 dir.path);
	ck_assert_int_eq(system(cmd), 0);
	disk_evict_to(d, 0);
	snprintf(cmd, sizeof(cmd), "test \"$(cd %s/v1/*/* && ls)\" = sub",
		 dir.path);
	ck_assert_int_eq(system(cmd), 0);
	disk_close(d);
}
END_TEST

START_TEST(a_full_cache_makes_room_by_itself)
{
	struct disk *d = dir_open(&dir, MIB(2));

	for (unsigned i = 0; i < 500; i++) {
		WAIT_UNTIL(disk_admit(d, SIZE));
		ck_assert_int_eq(store(d, i, 0), 0);
	}
	/* The walk at the start estimates what changes meanwhile. */
	ck_assert_uint_le(walked(d), MIB(3));
	ck_assert(there(d, 499));
	disk_close(d);
}
END_TEST

START_TEST(a_count_that_is_too_high_is_found_out)
{
	struct disk *d = dir_open(&dir, MIB(2));

	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(store(d, i, 0), 0);
	walked(d);
	/* Admitted by those who were killed before they wrote. */
	disk_account(d, MIB(8));
	WAIT_UNTIL(disk_admit(d, SIZE));
	ck_assert_uint_lt(disk_bytes(d), MIB(2));
	disk_close(d);
}
END_TEST

START_TEST(B13_a_cache_of_a_few_pages_always_makes_progress)
{
	static const uint64_t sizes[] = { 0, 1, 4096, 8192, 20000, 100000 };
	struct disk_conf conf = { .dir = dir.path,
				  .size = sizes[_i],
				  .size_explicit = true };
	struct disk *d = NULL;
	char why[256];
	int stored = 0;

	ck_assert_int_eq(disk_open(&conf, &d, why), 0);
	ck_assert_uint_eq(disk_limit(d), sizes[_i]);
	ck_assert(!disk_admit(d, 200000));
	for (unsigned i = 0; i < 20; i++) {
		if (sizes[_i] >= SIZE)
			WAIT_UNTIL(disk_admit(d, SIZE));
		else if (disk_admit(d, SIZE))
			ck_abort_msg("admitted more than the limit");
		else
			continue;
		ck_assert_int_eq(store(d, i, 0), 0);
		stored++;
	}
	ck_assert_int_eq(stored, sizes[_i] >= SIZE ? 20 : 0);
	disk_close(d);
}
END_TEST

static bool refuses_when_filled(struct disk *d, int fd)
{
	char chunk[4096] = { 0 };

	if (!disk_admit(d, SIZE))
		return true;
	disk_admit(d, -SIZE);
	while (write(fd, chunk, sizeof(chunk)) > 0)
		;
	return false;
}

START_TEST(B1_a_file_system_filled_by_others_stops_admission_until_it_is_not)
{
	struct disk *d;
	char filler[128], *chunk = calloc(1, MIB(1));
	struct extent *e;
	unsigned i = 0;
	int fd, r;

	if (!own_tmpfs("size=16m")) {
		free(chunk);
		return;
	}
	d = dir_open(&dir, MIB(64));
	for (; i < 200; i++) {
		ck_assert(disk_admit(d, SIZE));
		ck_assert_int_eq(store(d, i, 0), 0);
	}
	e = store_large(d, "held");
	snprintf(filler, sizeof(filler), "%s/filler", dir.path);
	fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, chunk, MIB(1)) > 0)
		;
	while (write(fd, chunk, 4096) > 0)
		;
	/* Writes fail with ENOSPC or find room that eviction made. */
	for (unsigned k = 0; k < 20; k++, i++) {
		r = store(d, i, 0);
		ck_assert(r == 0 || r == -ENOSPC);
		r = extent_write(e, 0, 4, pages);
		ck_assert(r == 0 || r == -ENOSPC);
		r = extent_read(e, 0, 1, chunk, false);
		ck_assert_int_eq(r, 1);
	}
	/* What the cache gives up is taken at once; then it admits no more. */
	WAIT_UNTIL(refuses_when_filled(d, fd));
	ck_assert(disk_state(d) == DISK_OK);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	close(fd);
	WAIT_UNTIL(disk_admit(d, SIZE));
	ck_assert_int_eq(store(d, i, 0), 0);
	ck_assert(there(d, i));
	extent_close(e);
	disk_close(d);
	free(chunk);
}
END_TEST

START_TEST(inodes_run_out_before_bytes_do)
{
	struct disk *d;

	if (!own_tmpfs("size=256m,nr_inodes=3000"))
		return;
	d = dir_open(&dir, MIB(200));
	for (unsigned i = 0; i < 4000; i++) {
		struct disk_id id = nth(i);
		int r;

		WAIT_UNTIL(disk_admit(d, SIZE));
		r = extent_write_small(d, &id, SIZE, pages, NULL);
		/* Shards take inodes as well; eviction follows on. */
		ck_assert(r == 0 || r == -ENOSPC);
	}
	ck_assert(disk_state(d) == DISK_OK);
	ck_assert_uint_gt(numbers_of(d).evicted_bytes, 0);
	disk_close(d);
}
END_TEST

START_TEST(two_processes_make_room_in_one_directory)
{
	struct disk *d[2] = { dir_open(&dir, MIB(2)), dir_open(&dir, MIB(2)) };

	for (unsigned i = 0; i < 400; i++) {
		WAIT_UNTIL(disk_admit(d[i % 2], SIZE));
		ck_assert_int_eq(store(d[i % 2], i, 0), 0);
	}
	/* Each may exceed by what the other did not yet tell. */
	ck_assert_uint_le(walked(d[0]), MIB(5));
	ck_assert_uint_gt(walked(d[0]), 0);
	disk_close(d[0]);
	disk_close(d[1]);
}
END_TEST

static struct disk *raced;
static atomic_int wrong;

static void *race(void *arg)
{
	unsigned x = (unsigned)(uintptr_t)arg;
	char *buf = malloc(LARGE);

	for (int i = 0; i < 150; i++) {
		char key[8];
		struct disk_pin pin;
		struct disk_id id;
		struct extent *e = NULL;
		uint64_t n;
		int r;

		x = x * 1103515245 + 12345;
		snprintf(key, sizeof(key), "%u", x >> 16 & 31);
		n = x >> 24 & 1 ? LARGE : SIZE;
		id = id_of(key, n);
		disk_pin(raced, &id, &pin);
		r = extent_open(raced, &id, n, &e);
		if (r == -ENOENT && disk_admit(raced, (int64_t)n)) {
			if (n == SIZE)
				r = extent_write_small(raced, &id, n, pages,
						       &e);
			else if (extent_create(raced, &id, n, &e) == 0)
				r = extent_write(e, 0, LARGE_PAGES, pages);
		}
		if (e != NULL) {
			r = extent_read(e, 0, n == LARGE ? LARGE_PAGES : 1, buf,
					false);
			for (int p = 0; p < r; p++)
				if (memcmp(buf + p * (int)PAGE_BYTES, pages[p],
					   n == LARGE ? PAGE_BYTES : SIZE))
					atomic_fetch_add(&wrong, 1);
			if (r < 0)
				atomic_fetch_add(&wrong, 1);
		}
		extent_close(e);
		disk_unpin(&pin);
	}
	free(buf);
	return NULL;
}

START_TEST(B13_eviction_races_readers_and_nothing_wrong_is_read)
{
	pthread_t t[8];

	atomic_store(&wrong, 0);
	raced = dir_open(&dir, 8 * LARGE);
	for (uintptr_t i = 0; i < 8; i++)
		ck_assert_int_eq(
		    pthread_create(&t[i], NULL, race, (void *)(i + 1)), 0);
	for (int i = 0; i < 50; i++)
		disk_evict_to(raced, 2 * LARGE);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(atomic_load(&wrong), 0);
	ck_assert_uint_eq(numbers_of(raced).bad_pages, 0);
	ck_assert(disk_state(raced) == DISK_OK);
	disk_close(raced);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("evict");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, few_files_go_in_the_order_of_their_age);
	tcase_add_test(t, of_many_files_the_old_go_and_the_young_stay);
	tcase_add_test(t, what_was_touched_is_young);
	tcase_add_test(t, an_extent_goes_with_its_map_and_open_ones_read_on);
	tcase_add_test(t, B13_what_is_pinned_stays);
	tcase_add_test(t, what_is_foreign_goes_too);
	tcase_add_test(t, a_full_cache_makes_room_by_itself);
	tcase_add_test(t, a_count_that_is_too_high_is_found_out);
	tcase_add_loop_test(t, B13_a_cache_of_a_few_pages_always_makes_progress,
			    0, 6);
	tcase_add_test(
	    t,
	    B1_a_file_system_filled_by_others_stops_admission_until_it_is_not);
	tcase_add_test(t, inodes_run_out_before_bytes_do);
	tcase_add_test(t, two_processes_make_room_in_one_directory);
	tcase_add_test(t, B13_eviction_races_readers_and_nothing_wrong_is_read);
	return RUN_CASES(t);
}
