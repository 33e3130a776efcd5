/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_scrub.c - what rots on the disk is found before it is read
 */
#include "cache/extent_impl.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>

#include "base/stats.h"
#include "tests/unit/extent_rig.h"
#include "tests/unit/run.h"

#define SMALL 200001

static struct disk *other; /* as another process would have it */

static void close_other(void)
{
	disk_close(other);
	other = NULL;
}

/* The same extent as the other process has it: read, and found right. */
static struct extent *seen_by_other(const struct extent *e)
{
	AUTO_FREE uint8_t *buf = malloc(PAGES * PAGE_BYTES);
	struct extent *f;

	if (other == NULL) {
		other = dir_open(&dir, 0);
		atomic_store(&other->xattr, disk_has_xattr(disk));
	}
	ck_assert_int_eq(extent_open(other, &e->id, e->length, &f), 0);
	ck_assert_int_eq(extent_read(f, 0, f->pages, buf, false),
			 (int)f->pages);
	ck_assert(extent_trusted(f));
	return f;
}

/* As a disk forgets: nothing but the bytes tells. */
static void rot(const struct extent *e, uint64_t off)
{
	char path[32];
	AUTO_CLOSE int fd = -1;
	struct timespec times[2];
	struct stat st;
	uint8_t b;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", extent_fd(e));
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(pread(fd, &b, 1, (off_t)off), 1);
	b ^= 0x10;
	ck_assert_int_eq(pwrite(fd, &b, 1, (off_t)off), 1);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	ck_assert_int_eq(futimens(fd, times), 0);
}

static void scrub(void)
{
	uint64_t before = numbers_of(disk).scrub_passes;

	disk_scrub(disk);
	WAIT_UNTIL(numbers_of(disk).scrub_passes > before);
}

static int there(struct extent *e)
{
	bool present[PAGES];

	return extent_present(e, 0, e->pages, present, false);
}

START_TEST(B6_the_scrub_drops_a_rotten_small_file_that_all_have_found_right)
{
	struct extent *good = small_extent("good", SMALL);
	struct extent *bad = small_extent("bad", SMALL);
	struct extent *seen = seen_by_other(bad), *e;

	rot(bad, 77777);
	ck_assert(extent_trusted(bad));
	ck_assert(extent_trusted(seen));
	scrub();
	ck_assert(!extent_trusted(bad));
	ck_assert(!extent_trusted(seen));
	ck_assert(extent_trusted(good));
	/* Nor does looking again bring it back. */
	ck_assert_int_eq(extent_verify(seen, MIB(1)), 0);
	ck_assert(!extent_trusted(seen));
	ck_assert_int_eq(extent_open(disk, &bad->id, SMALL, &e), -ENOENT);
	ck_assert_uint_eq(numbers_of(disk).bad_pages, 1);
	ck_assert_uint_eq(numbers_of(disk).scrub_bad, 1);
	ck_assert_uint_eq(numbers_of(disk).scrub_files, 2);
	ck_assert_uint_eq(numbers_of(disk).scrub_bytes, 2 * SMALL);
	extent_close(bad);
	extent_close(seen);
	bad = small_extent("bad", SMALL);
	ck_assert(extent_trusted(bad));
	scrub();
	ck_assert(extent_trusted(bad));
	ck_assert_uint_eq(numbers_of(disk).scrub_bad, 1);
	extent_close(bad);
	extent_close(good);
}
END_TEST

START_TEST(B6_the_scrub_drops_a_rotten_page_of_a_large_file)
{
	struct extent *bad = large_extent("bad");
	struct extent *seen = seen_by_other(bad), *e;

	rot(bad, 7 * PAGE_BYTES + 5);
	rot(bad, LARGE - 1);
	ck_assert(extent_trusted(bad));
	ck_assert(extent_trusted(seen));
	ck_assert_int_eq(there(bad), PAGES);
	scrub();
	ck_assert(!extent_trusted(bad));
	ck_assert(!extent_trusted(seen));
	ck_assert_int_eq(there(bad), PAGES - 2);
	ck_assert_uint_eq(numbers_of(disk).scrub_bad, 2);
	ck_assert_uint_eq(numbers_of(disk).bad_pages, 2);
	/* Nor by who opens it now, whatever its header said. */
	ck_assert_int_eq(extent_open(disk, &bad->id, LARGE, &e), 0);
	ck_assert(!extent_trusted(e));
	extent_close(e);
	/* Fetched again it is right, once all of it was looked at. */
	ck_assert_int_eq(extent_write(bad, 7, 1, pages + 7), 0);
	ck_assert_int_eq(extent_write(bad, PAGES - 1, 1, pages + PAGES - 1), 0);
	while (extent_verify(bad, MIB(1)) > 0)
		;
	ck_assert(extent_trusted(bad));
	scrub();
	ck_assert(extent_trusted(bad));
	ck_assert_int_eq(there(bad), PAGES);
	extent_close(bad);
	extent_close(seen);
}
END_TEST

START_TEST(B8_the_scrub_removes_files_of_another_length)
{
	struct extent *small = small_extent("small", SMALL);
	struct extent *large = large_extent("large"), *e;

	ck_assert_int_eq(ftruncate(extent_fd(large), LARGE - 70000), 0);
	scrub();
	ck_assert(extent_trusted(small));
	ck_assert(!extent_trusted(large));
	ck_assert_int_eq(extent_open(disk, &large->id, LARGE, &e), -ENOENT);
	ck_assert_uint_ge(numbers_of(disk).scrub_bad, 1);
	extent_close(small);
	extent_close(large);
}
END_TEST

START_TEST(what_the_scrub_finds_right_is_said_in_the_header)
{
	struct disk_id id = id_of("large", LARGE);
	struct extent *e = large_extent("large");
	struct timespec times[2] = { { .tv_sec = 1000000000 },
				     { .tv_sec = 1000000000 } };

	struct stat st;

	/* As if it were of an earlier boot. */
	ck_assert_int_eq(futimens(extent_fd(e), times), 0);
	ck_assert_int_eq(futimens(e->map, times), 0);
	extent_close(e);
	ck_assert_int_eq(extent_open(disk, &id, LARGE, &e), 0);
	ck_assert(!extent_trusted(e));
	extent_close(e);
	scrub();
	ck_assert_int_eq(extent_open(disk, &id, LARGE, &e), 0);
	ck_assert(extent_trusted(e));
	/* Which makes it no younger for eviction, that looks at both files. */
	ck_assert_int_eq(fstat(e->map, &st), 0);
	ck_assert_int_eq(st.st_mtim.tv_sec, times[1].tv_sec);
	ck_assert_int_eq(st.st_atim.tv_sec, times[0].tv_sec);
	extent_close(e);
}
END_TEST

/* How many 4 KiB of it does the page cache have? A look that is no read. */
static size_t in_memory(struct extent *e)
{
	size_t n = (size_t)(e->length + 4095) / 4096, count = 0;
	AUTO_FREE unsigned char *there_is = malloc(n);
	void *at = mmap(NULL, n * 4096, PROT_READ, MAP_SHARED, extent_fd(e), 0);

	ck_assert(at != MAP_FAILED);
	ck_assert_int_eq(mincore(at, n * 4096, there_is), 0);
	for (size_t i = 0; i < n; i++)
		count += there_is[i] & 1;
	munmap(at, n * 4096);
	return count;
}

static struct timespec atime_of(const struct extent *e)
{
	struct stat st;

	ck_assert_int_eq(fstat(extent_fd(e), &st), 0);
	return st.st_atim;
}

START_TEST(the_scrub_changes_neither_age_nor_what_is_in_memory)
{
	struct extent *hot = large_extent("hot"), *cold = large_extent("cold");
	struct extent *e[] = { hot, cold };
	struct timespec old[2] = { { .tv_sec = 1000000000 },
				   { .tv_sec = 1000000000 } };
	AUTO_FREE uint8_t *buf = malloc((size_t)LARGE);
	size_t cold_before;
	bool kept = false;

	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(fsync(extent_fd(e[i])), 0);
	/* Again when the whole machine's page cache was dropped meanwhile. */
	for (unsigned n = 1; n <= 10 && !kept; n++) {
		ck_assert_int_eq(
		    extent_pread(extent_fd(hot), buf, LARGE, 0, false), 0);
		ck_assert_int_eq(
		    posix_fadvise(extent_fd(cold), 0, 0, POSIX_FADV_DONTNEED),
		    0);
		/* All of it in a file system of memory. */
		cold_before = in_memory(cold);
		/* To be mapped was a use. */
		for (size_t i = 0; i < 2; i++)
			ck_assert_int_eq(futimens(extent_fd(e[i]), old), 0);
		scrub();
		for (size_t i = 0; i < 2; i++)
			ck_assert_int_eq(atime_of(e[i]).tv_sec, old[0].tv_sec);
		ck_assert_uint_le(in_memory(cold), cold_before);
		ck_assert_uint_eq(numbers_of(disk).scrub_bytes,
				  UINT64_C(2) * n * LARGE);
		kept = in_memory(hot) == (LARGE + 4095) / 4096;
	}
	ck_assert(kept);
	extent_close(hot);
	extent_close(cold);
}
END_TEST

static int record_fd(void)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/scrub", dir.path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Close the disk, say what the last pass was, open it with an early look. */
static void reopen_after(int64_t began_ago, uint64_t shard)
{
	struct disk_conf conf = { .dir = dir.path,
				  .size = UINT64_C(1) << 30,
				  .probe_every = 20000000,
				  .scrub_after = 1 };
	int64_t v[3] = { time(NULL) - began_ago, time(NULL) - began_ago + 1,
			 (int64_t)shard };
	AUTO_CLOSE int fd = record_fd();
	char why[256];

	disk_close(disk);
	ck_assert_int_eq(pwrite(fd, v, sizeof(v), 0), sizeof(v));
	ck_assert_msg(disk_open(&conf, &disk, why) == 0, "%s", why);
}

START_TEST(a_pass_that_was_ended_goes_on_where_it_was)
{
	struct disk_id id = id_of("x", SMALL);
	uint64_t shard = (uint64_t)id.b[0] << 8 | id.b[1];

	extent_close(small_extent("x", SMALL));
	reopen_after(3600, shard + 1);
	WAIT_UNTIL(numbers_of(disk).scrub_passes == 1);
	ck_assert_uint_eq(numbers_of(disk).scrub_files, 0);
	reopen_after(3600, shard);
	WAIT_UNTIL(numbers_of(disk).scrub_passes == 1);
	ck_assert_uint_eq(numbers_of(disk).scrub_files, 1);
	ck_assert_int_ge(numbers_of(disk).scrubbed, time(NULL) - 60);
}
END_TEST

START_TEST(a_pass_begins_a_day_after_the_one_before)
{
	extent_close(small_extent("x", SMALL));
	reopen_after(25 * 3600, 0);
	WAIT_UNTIL(numbers_of(disk).scrub_passes == 1);
	ck_assert_uint_eq(numbers_of(disk).scrub_files, 1);
	/* Not due: it was looked at, and the one who asks is the first. */
	reopen_after(3600, 0);
	WAIT_UNTIL(numbers_of(disk).scrubbed != 0);
	scrub();
	ck_assert_uint_eq(numbers_of(disk).scrub_passes, 1);
	ck_assert_uint_eq(numbers_of(disk).scrub_files, 1);
}
END_TEST

static bool kicked(void)
{
	bool is;

	lock_take(&disk->lock);
	is = disk->kick_scrub;
	lock_drop(&disk->lock);
	return is;
}

START_TEST(B11_one_process_scrubs_at_a_time)
{
	int fd = record_fd();

	extent_close(small_extent("x", SMALL));
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	disk_scrub(disk);
	WAIT_UNTIL(!kicked()); /* and met the lock; it asks again later */
	ck_assert_uint_eq(numbers_of(disk).scrub_files, 0);
	close(fd);
	WAIT_UNTIL(numbers_of(disk).scrub_passes == 1);
	ck_assert_uint_eq(numbers_of(disk).scrub_files, 1);
}
END_TEST

START_TEST(a_pass_that_was_asked_for_and_could_not_begin_is_made_later)
{
	int64_t before = stat_read(STAT_ssd_errors);
	char path[128], aside[136];

	/* None is due by itself. */
	reopen_after(3600, 0);
	extent_close(small_extent("x", SMALL));
	WAIT_UNTIL(numbers_of(disk).scrubbed != 0);
	snprintf(path, sizeof(path), "%s/scrub", dir.path);
	snprintf(aside, sizeof(aside), "%s.aside", path);
	ck_assert_int_eq(rename(path, aside), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	disk_scrub(disk);
	WAIT_UNTIL(stat_read(STAT_ssd_errors) > before);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(rename(aside, path), 0);
	/* As when it looks by itself, ten minutes later. */
	disk_kick(disk, &disk->kick_scrub);
	WAIT_UNTIL(numbers_of(disk).scrub_passes == 1);
	ck_assert_uint_eq(numbers_of(disk).scrub_files, 1);
	/* A second look finds nothing more to do. */
	disk_kick(disk, &disk->kick_scrub);
	WAIT_UNTIL(!kicked());
	ck_assert_uint_eq(numbers_of(disk).scrub_files, 1);
}
END_TEST

START_TEST(B3_nothing_counts_as_verified_after_the_disk_was_off)
{
	struct extent *small = small_extent("small", SMALL);
	struct extent *large = large_extent("large"), *e;
	unsigned turns = disk_turns(disk);

	ck_assert(extent_trusted(small));
	ck_assert(extent_trusted(large));
	for (int i = 0; i < ERRORS_OFF; i++)
		disk_failed(disk, -EIO, "a test");
	WAIT_UNTIL(disk_turns(disk) == turns + 2);
	WAIT_UNTIL(disk_state(disk) == DISK_OK);
	ck_assert(!extent_trusted(small));
	ck_assert(!extent_trusted(large));
	WAIT_UNTIL(numbers_of(disk).scrub_passes == 1);
	ck_assert_uint_eq(numbers_of(disk).scrub_files, 2);
	/* Its header says so, but from before. */
	ck_assert_int_eq(extent_open(disk, &large->id, LARGE, &e), 0);
	ck_assert(!extent_trusted(e));
	extent_close(e);
	while (extent_verify(small, MIB(1)) > 0 ||
	       extent_verify(large, MIB(1)) > 0)
		;
	ck_assert(extent_trusted(small));
	ck_assert(extent_trusted(large));
	extent_close(small);
	extent_close(large);
}
END_TEST

START_TEST(the_end_does_not_wait_for_a_pass)
{
	struct extent *e[8];
	int64_t began;
	char key[8];

	/* 20 MiB: a third of a second at the rate of the scrub. */
	for (int i = 0; i < 8; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		e[i] = large_extent(key);
	}
	for (int i = 0; i < 8; i++)
		extent_close(e[i]);
	disk_scrub(disk);
	WAIT_UNTIL(numbers_of(disk).scrub_bytes > 0);
	began = clock_ns();
	disk_close(disk);
	ck_assert_int_lt(clock_ns() - began, NSEC_PER_SEC);
	disk = dir_open(&dir, 0);
	ck_assert_uint_eq(numbers_of(disk).scrub_passes, 0);
}
END_TEST

/* Once with attributes, once as on a file system that has none. */
static TCase *tests_of(const char *name, void (*before)(void))
{
	TCase *t = tcase_create(name);

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, before, teardown);
	tcase_add_checked_fixture(t, NULL, close_other);
	tcase_add_test(
	    t,
	    B6_the_scrub_drops_a_rotten_small_file_that_all_have_found_right);
	tcase_add_test(t, B6_the_scrub_drops_a_rotten_page_of_a_large_file);
	tcase_add_test(t, B8_the_scrub_removes_files_of_another_length);
	tcase_add_test(t, what_the_scrub_finds_right_is_said_in_the_header);
	tcase_add_test(t, the_scrub_changes_neither_age_nor_what_is_in_memory);
	tcase_add_test(t, B11_one_process_scrubs_at_a_time);
	tcase_add_test(t, the_end_does_not_wait_for_a_pass);
	return t;
}

int main(void)
{
	TCase *t = tests_of("attributes", setup);

	tcase_add_test(t, B3_nothing_counts_as_verified_after_the_disk_was_off);
	tcase_add_test(t, a_pass_that_was_ended_goes_on_where_it_was);
	tcase_add_test(t, a_pass_begins_a_day_after_the_one_before);
	tcase_add_test(
	    t, a_pass_that_was_asked_for_and_could_not_begin_is_made_later);
	return RUN_CASES(t, tests_of("sidecars", setup_without_attributes));
}
