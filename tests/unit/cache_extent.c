/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_extent.c - cached bytes are the bytes that were stored, or absent
 */
#include "cache/extent_impl.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tests/unit/extent_rig.h"
#include "tests/unit/run.h"

START_TEST(a_small_extent_reads_back_what_was_written)
{
	static const uint64_t sizes[] = { 0,     1,      4096,    65535,  65536,
					  65537, 110000, 1048575, 1048576 };
	uint64_t n = sizes[_i];
	struct disk_id id = id_of("small", n);
	uint8_t *buf = malloc(EXTENT_SMALL_MAX);
	struct extent *e;

	ck_assert_int_eq(extent_open(disk, &id, n, &e), -ENOENT);
	ck_assert_int_eq(extent_write_small(disk, &id, n, pages, &e), 0);
	ck_assert(extent_trusted(e));
	extent_close(e);
	ck_assert_int_eq(extent_open(disk, &id, n, &e), 0);
	ck_assert(!extent_trusted(e) || n == 0);
	ck_assert_int_eq(extent_read(e, 0, e->pages, buf, false),
			 (int)e->pages);
	ck_assert(memcmp(buf, bytes, n) == 0);
	ck_assert(extent_trusted(e));
	extent_close(e);
	free(buf);
}
END_TEST

START_TEST(a_large_extent_reads_back_the_pages_written)
{
	struct disk_id id = id_of("large", LARGE);
	uint8_t *buf = malloc(PAGES * PAGE_BYTES);
	bool present[PAGES];
	struct extent *e;
	uint64_t held;

	ck_assert_int_eq(extent_open(disk, &id, LARGE, &e), -ENOENT);
	ck_assert_int_eq(extent_create(disk, &id, LARGE, &e), 0);
	ck_assert_int_eq(extent_read(e, 0, PAGES, buf, false), 0);
	ck_assert_int_eq(extent_write(e, 3, 4, pages + 3), 0);
	ck_assert_int_eq(extent_read(e, 3, 10, buf, false), 4);
	ck_assert(memcmp(buf, bytes + 3 * PAGE_BYTES, 4 * PAGE_BYTES) == 0);
	ck_assert_int_eq(extent_present(e, 0, PAGES, present, false), 4);
	ck_assert(!present[2] && present[3] && present[6] && !present[7]);
	ck_assert(!extent_trusted(e));
	ck_assert_int_eq(extent_write(e, 0, 3, pages), 0);
	ck_assert_int_eq(extent_write(e, 7, PAGES - 7, pages + 7), 0);
	ck_assert(extent_trusted(e));
	ck_assert_int_eq(extent_bytes(e, &held), 0);
	ck_assert_uint_eq(held, LARGE);
	extent_close(e);
	ck_assert_int_eq(extent_open(disk, &id, LARGE, &e), 0);
	ck_assert(extent_trusted(e));
	ck_assert_int_eq(extent_read(e, 0, PAGES, buf, false), PAGES);
	ck_assert(memcmp(buf, bytes, LARGE) == 0);
	extent_close(e);
	free(buf);
}
END_TEST

/* The file behind an id, for those who mean it harm. */
static void path_to(const struct disk_id *id, const char *suffix,
		    char out[static 256])
{
	int n = snprintf(out, 256, "%s/v1/%02x/%02x/", dir.path, id->b[0],
			 id->b[1]);

	for (int i = 2; i < DISK_ID_LEN; i++)
		n += snprintf(out + n, 256 - (size_t)n, "%02x", id->b[i]);
	snprintf(out + n, 256 - (size_t)n, "%s", suffix);
}

static int open_raw(const struct disk_id *id, const char *suffix)
{
	char path[256];
	int fd;

	path_to(id, suffix, path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Kernels before 6.13 give the same mtime to writes of one tick. */
static void changed(int fd)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT } };

	clock_gettime(CLOCK_REALTIME, &t[1]);
	ck_assert_int_eq(futimens(fd, t), 0);
}

static void flip(const struct disk_id *id, const char *suffix, uint64_t at)
{
	AUTO_CLOSE int fd = open_raw(id, suffix);
	uint8_t b;

	ck_assert_int_eq(pread(fd, &b, 1, (off_t)at), 1);
	b ^= 1;
	ck_assert_int_eq(pwrite(fd, &b, 1, (off_t)at), 1);
	changed(fd);
}

static void swap_files(const struct disk_id *a, const struct disk_id *b,
		       const char *suffix)
{
	char pa[256], pb[256];

	path_to(a, suffix, pa);
	path_to(b, suffix, pb);
	ck_assert_int_eq(renameat2(AT_FDCWD, pa, AT_FDCWD, pb, RENAME_EXCHANGE),
			 0);
}

/* Whatever is read must be right; returns how many pages were there. */
static int read_all(struct extent *e)
{
	AUTO_FREE uint8_t *buf = malloc(PAGES * PAGE_BYTES);
	int there = 0;

	for (uint64_t p = 0; p < e->pages; p++) {
		int r = extent_read(e, p, 1, buf, false);

		ck_assert_int_ge(r, 0);
		if (r == 1)
			ck_assert(memcmp(buf, pages[p], extent_span(e, p, 1)) ==
				  0);
		there += r;
	}
	return there;
}

static uint64_t bad_pages(void)
{
	return numbers_of(disk).bad_pages;
}

/* Files of the cache that are open; its threads have others for a moment. */
static size_t files_held(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;
	struct dirent *e;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL) {
		char path[256];
		struct stat st;
		ssize_t len =
		    readlinkat(dirfd(d), e->d_name, path, sizeof(path) - 1);

		if (len < 0 || fstatat(dirfd(d), e->d_name, &st, 0) < 0)
			continue;
		path[len] = '\0';
		n += S_ISREG(st.st_mode) && strstr(path, "/v1/") != NULL;
	}
	closedir(d);
	return n;
}

START_TEST(a_large_extent_holds_two_descriptors_between_its_writes)
{
	struct disk_id id = id_of("large", LARGE);
	struct extent *e;

	ck_assert_int_eq(extent_create(disk, &id, LARGE, &e), 0);
	ck_assert_int_eq(extent_write(e, 0, PAGES - 2, pages), 0);
	WAIT_UNTIL(files_held() == 2);
	ck_assert_int_eq(extent_write(e, PAGES - 2, 2, pages + PAGES - 2), 0);
	ck_assert(extent_trusted(e));
	WAIT_UNTIL(files_held() == 2);
	extent_close(e);
	WAIT_UNTIL(files_held() == 0);
}
END_TEST

START_TEST(B6_no_flipped_bit_of_a_small_file_is_ever_served)
{
	struct disk_id id = id_of("rot", 200000);

	for (unsigned i = 0; i < 200; i++) {
		struct extent *e = small_extent("rot", 200000);
		uint64_t before = bad_pages();

		/* Open or not, remembered or not. */
		if (i % 3 == 0) {
			extent_close(e);
			e = NULL;
		}
		flip(&id, "", (uint64_t)i * 7919 % 200000);
		if (e == NULL)
			ck_assert_int_eq(extent_open(disk, &id, 200000, &e), 0);
		ck_assert(!extent_trusted(e));
		ck_assert_int_eq(read_all(e), 0);
		ck_assert_uint_gt(bad_pages(), before);
		extent_close(e);
		ck_assert_int_eq(extent_open(disk, &id, 200000, &e), -ENOENT);
	}
}
END_TEST

START_TEST(B6_a_flipped_bit_of_a_large_file_costs_one_page)
{
	struct extent *e = large_extent("rot");

	for (unsigned i = 0; i < 200; i++) {
		uint64_t at = (uint64_t)i * 104729 % LARGE;
		uint64_t page = at / PAGE_BYTES;
		uint64_t before = bad_pages();

		flip(&e->id, "", at);
		ck_assert(!extent_trusted(e));
		ck_assert_int_eq(read_all(e), PAGES - 1);
		ck_assert_uint_eq(bad_pages(), before + 1);
		ck_assert_int_eq(extent_read(e, page, 1, bytes, false), 0);
		ck_assert_int_eq(extent_write(e, page, 1, pages + page), 0);
		ck_assert(extent_trusted(e));
	}
	extent_close(e);
}
END_TEST

START_TEST(B6_a_flipped_bit_of_a_map_is_never_believed)
{
	struct disk_id id = id_of("map", LARGE);

	for (uint64_t at = 0; at < MAP_HEADER + PAGES * 8; at += 3) {
		struct extent *e = large_extent("map");
		int there = -1;

		extent_close(e);
		flip(&id, ".map", at);
		if (extent_open(disk, &id, LARGE, &e) == 0) {
			there = read_all(e);
			extent_close(e);
		}
		if (at < 120)
			ck_assert_int_eq(there, -1);
		else if (at >= MAP_HEADER)
			ck_assert_int_eq(there, PAGES - 1);
		disk_unlink(disk, &id, ".map");
		disk_unlink(disk, &id, "");
	}
}
END_TEST

START_TEST(B7_swapped_small_files_are_not_believed)
{
	struct disk_id a = id_of("a", 5000), b = id_of("b", 5000);
	struct extent *e;

	extent_close(small_extent("a", 5000));
	extent_close(small_extent("b", 5000));
	swap_files(&a, &b, "");
	ck_assert_int_eq(extent_open(disk, &a, 5000, &e), -ENOENT);
	ck_assert_int_eq(extent_open(disk, &b, 5000, &e), -ENOENT);
	ck_assert_uint_eq(bad_pages(), 2);
}
END_TEST

START_TEST(B7_swapped_large_files_are_not_believed)
{
	static const char *const what[] = { "", ".map" };
	struct disk_id a = id_of("a", LARGE), b = id_of("b", LARGE);
	struct extent *e;

	extent_close(large_extent("a"));
	extent_close(large_extent("b"));
	swap_files(&a, &b, what[_i % 2]);
	if (_i == 2) /* both */
		swap_files(&a, &b, ".map");
	ck_assert_int_eq(extent_open(disk, &a, LARGE, &e), -ENOENT);
	ck_assert_int_eq(extent_open(disk, &b, LARGE, &e), -ENOENT);
	/* Both are gone as a whole. */
	ck_assert_int_eq(disk_unlink(disk, &a, ".map"), -ENOENT);
	ck_assert_int_eq(disk_unlink(disk, &a, ""), -ENOENT);
}
END_TEST

START_TEST(B7_swapped_pages_with_their_words_are_not_believed)
{
	struct extent *e = large_extent("swap");
	AUTO_CLOSE int map = open_raw(&e->id, ".map");
	AUTO_CLOSE int fd = open_raw(&e->id, "");
	uint64_t w[2];

	ck_assert_int_eq(pread(map, w, 16, MAP_HEADER), 16);
	ck_assert_int_eq(pwrite(map, &w[1], 8, MAP_HEADER), 8);
	ck_assert_int_eq(pwrite(map, &w[0], 8, MAP_HEADER + 8), 8);
	ck_assert_int_eq(pwrite(fd, pages[1], PAGE_BYTES, 0), PAGE_BYTES);
	ck_assert_int_eq(pwrite(fd, pages[0], PAGE_BYTES, PAGE_BYTES),
			 PAGE_BYTES);
	ck_assert_int_eq(read_all(e), PAGES - 2);
	extent_close(e);
}
END_TEST

START_TEST(B8_a_file_of_another_length_is_not_believed)
{
	static const int64_t by[] = { -1, 1, -65536, 1 << 20, -100000 };
	struct extent *small = small_extent("cut", 300000), *e;
	struct extent *large = large_extent("cut");
	struct disk_id s = small->id, l = large->id;
	AUTO_CLOSE int fd_s = open_raw(&s, "");
	AUTO_CLOSE int fd_l = open_raw(&l, "");

	ck_assert_int_eq(ftruncate(fd_s, 300000 + by[_i]), 0);
	ck_assert_int_eq(ftruncate(fd_l, (off_t)LARGE + by[_i]), 0);
	ck_assert(!extent_trusted(small));
	ck_assert(!extent_trusted(large));
	read_all(small);
	read_all(large);
	extent_close(small);
	extent_close(large);
	ck_assert_int_eq(extent_open(disk, &s, 300000, &e), -ENOENT);
	ck_assert_int_eq(extent_open(disk, &l, LARGE, &e), -ENOENT);
}
END_TEST

START_TEST(B8_a_word_over_a_hole_is_not_believed)
{
	struct disk_id id = id_of("hole", LARGE);
	struct extent *e;

	ck_assert_int_eq(extent_create(disk, &id, LARGE, &e), 0);
	ck_assert_int_eq(extent_write(e, 5, 1, pages + 5), 0);
	flip(&id, ".map", MAP_HEADER + 8 * 7);
	flip(&id, ".map", MAP_HEADER + 8 * 39);
	ck_assert_int_eq(read_all(e), 1);
	ck_assert_uint_eq(bad_pages(), 2);
	ck_assert_int_eq(read_all(e), 1);
	ck_assert_uint_eq(bad_pages(), 2);
	extent_close(e);
}
END_TEST

/*
 * A process of its own with the directory open. Ours is closed: TSan cannot
 * follow a fork of a process that has threads.
 */
static pid_t start_child(void (*run)(struct disk *d, int nth), int nth)
{
	pid_t pid;

	disk_close(disk);
	disk = NULL;
	pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct disk *d = dir_open(&dir, 0);

		run(d, nth);
		disk_close(d);
		_exit(0);
	}
	return pid;
}

static void fill_for_ever(struct disk *d, int nth)
{
	struct disk_id id = id_of("kill", LARGE);
	unsigned i = (unsigned)nth;

	for (;;) {
		uint64_t page = i * 7 % (PAGES - 3);
		struct extent *e;

		if (extent_create(d, &id, LARGE, &e) < 0)
			_exit(1);
		extent_write(e, page, 3, pages + page);
		if (i++ % 16 == 0)
			extent_remove(e);
		extent_close(e);
	}
}

START_TEST(B9_whatever_is_left_by_a_kill_verifies)
{
	struct disk_id id = id_of("kill", LARGE);
	int found = 0;

	for (int i = 0; i < 40; i++) {
		pid_t pid[2] = { start_child(fill_for_ever, i),
				 start_child(fill_for_ever, i + 5) };
		int64_t until = clock_ns() + (i + 3) * NSEC_PER_MSEC;
		struct extent *e;

		disk = dir_open(&dir, 0);
		do
			if (extent_open(disk, &id, LARGE, &e) == 0) {
				found += read_all(e);
				extent_close(e);
			}
		while (clock_ns() < until);
		for (int k = 0; k < 2; k++) {
			ck_assert_int_eq(kill(pid[k], SIGKILL), 0);
			waitpid(pid[k], NULL, 0);
		}
		ck_assert_int_eq(extent_create(disk, &id, LARGE, &e), 0);
		found += read_all(e);
		ck_assert_int_eq(extent_write(e, 0, PAGES, pages), 0);
		ck_assert_int_eq(read_all(e), PAGES);
		extent_close(e);
		ck_assert_uint_eq(bad_pages(), 0);
	}
	ck_assert_int_gt(found, 0);
}
END_TEST

static void fill_share(struct disk *d, int nth)
{
	struct disk_id id = id_of("shared", LARGE);
	struct extent *e;

	if (extent_create(d, &id, LARGE, &e) < 0)
		_exit(1);
	for (int p = nth; p < PAGES; p += 4)
		if (extent_write(e, (uint64_t)p, 1, pages + p) < 0)
			_exit(2);
	extent_close(e);
}

START_TEST(B11_processes_that_make_an_extent_at_once_share_one)
{
	for (int round = 0; round < 10; round++) {
		struct disk_id id = id_of("shared", LARGE);
		struct extent *e;
		pid_t pid[4];
		int status;

		for (int i = 0; i < 4; i++)
			pid[i] = start_child(fill_share, i);
		for (int i = 0; i < 4; i++) {
			ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
			ck_assert_int_eq(status, 0);
		}
		disk = dir_open(&dir, 0);
		ck_assert_int_eq(extent_open(disk, &id, LARGE, &e), 0);
		ck_assert_int_eq(read_all(e), PAGES);
		ck_assert(extent_trusted(e));
		extent_remove(e);
		extent_close(e);
	}
}
END_TEST

START_TEST(what_was_verified_is_forgotten_when_others_write)
{
	struct extent *e[2] = { small_extent("t", 100000), large_extent("t") };

	for (int i = 0; i < 2; i++) {
		AUTO_CLOSE int fd = open_raw(&e[i]->id, "");
		struct stat st;

		ck_assert(extent_trusted(e[i]));
		/* A touch, ours or another process's, changes nothing. */
		ck_assert_int_eq(
		    futimens(fd,
			     (struct timespec[]){ { .tv_sec = 1000 },
						  { .tv_nsec = UTIME_OMIT } }),
		    0);
		disk_touch(disk, fd);
		ck_assert_int_eq(fstat(fd, &st), 0);
		ck_assert_int_gt(st.st_atim.tv_sec, 1000);
		ck_assert(extent_trusted(e[i]));
		/* The same bytes again: right, and yet to be verified. */
		ck_assert_int_eq(pwrite(fd, bytes, 1, 0), 1);
		changed(fd);
		ck_assert(!extent_trusted(e[i]));
		ck_assert_int_eq(extent_verify(e[i], SIZE_MAX), 0);
		ck_assert(extent_trusted(e[i]));
		extent_close(e[i]);
	}
}
END_TEST

/* A read that began before a write of ours and ended after it. */
START_TEST(what_was_verified_is_kept_when_we_write_during_a_read)
{
	struct disk_id id = id_of("both", LARGE);
	struct extent *e;
	struct stamp before;

	ck_assert_int_eq(extent_create(disk, &id, LARGE, &e), 0);
	ck_assert_int_eq(extent_write(e, 0, 3, pages), 0);
	before = extent_stamp(e);
	usleep(20000); /* for another mtime, see changed() */
	ck_assert_int_eq(extent_write(e, 3, PAGES - 3, pages + 3), 0);
	extent_mark(e, 0, 3, &before);
	ck_assert(extent_trusted(e));
	extent_close(e);
}
END_TEST

START_TEST(verification_goes_on_in_steps_and_lasts_for_the_boot)
{
	struct extent *e = large_extent("steps");
	struct disk_id id = e->id;
	AUTO_CLOSE int fd = open_raw(&id, "");
	int steps = 0, r;

	/* Changed after the map was told: not believed after a restart. */
	ck_assert_int_eq(pwrite(fd, bytes, 1, 0), 1);
	changed(fd);
	extent_close(e);
	ck_assert_int_eq(extent_open(disk, &id, LARGE, &e), 0);
	ck_assert(!extent_trusted(e));
	while ((r = extent_verify(e, 5 * PAGE_BYTES)) == 1)
		steps++;
	ck_assert_int_eq(r, 0);
	ck_assert_int_ge(steps, 5);
	ck_assert(extent_trusted(e));
	extent_close(e);
	ck_assert_int_eq(extent_open(disk, &id, LARGE, &e), 0);
	ck_assert(extent_trusted(e));
	flip(&id, "", 12 * PAGE_BYTES + 5);
	while ((r = extent_verify(e, 5 * PAGE_BYTES)) == 1)
		;
	ck_assert_int_eq(r, 0);
	ck_assert(!extent_trusted(e));
	ck_assert_int_eq(read_all(e), PAGES - 1);
	extent_close(e);
	ck_assert_int_eq(extent_open(disk, &id, LARGE, &e), 0);
	ck_assert(!extent_trusted(e));
	extent_close(e);
}
END_TEST

START_TEST(a_page_not_in_memory_is_not_waited_for)
{
	struct extent *e[2] = { small_extent("cold", 500000),
				large_extent("cold") };
	AUTO_FREE void *buf = malloc(PAGES * PAGE_BYTES);

	for (int i = 0; i < 2; i++) {
		int n = (int)e[i]->pages;
		int r = extent_read(e[i], 0, (size_t)n, buf, true);

		/* tmpfs and others cannot tell and always say -EAGAIN. */
		ck_assert(r == n || r == -EAGAIN);
		fdatasync(e[i]->file.fd);
		posix_fadvise(e[i]->file.fd, 3 * PAGE_BYTES, PAGE_BYTES,
			      POSIX_FADV_DONTNEED);
		r = extent_read(e[i], 0, (size_t)n, buf, true);
		ck_assert(r == n || r == -EAGAIN);
		ck_assert_int_eq(extent_read(e[i], 0, (size_t)n, buf, false),
				 n);
		ck_assert(memcmp(buf, bytes, e[i]->length) == 0);
		extent_close(e[i]);
	}
}
END_TEST

static struct extent *shared;

static void *use_shared(void *arg)
{
	uint8_t *buf = malloc(4 * PAGE_BYTES);
	unsigned x = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 300; i++) {
		uint64_t page;
		int r = 0;

		x = x * 1103515245 + 12345;
		page = (x >> 16) % (PAGES - 4);
		switch (x >> 8 & 7) {
		case 0:
		case 1:
			r = extent_write(shared, page, 4, pages + page);
			break;
		case 2:
			extent_trusted(shared);
			break;
		case 3:
			r = extent_verify(shared, MIB(1));
			break;
		case 4:
			disk_touch(disk, extent_fd(shared));
			break;
		default:
			r = extent_read(shared, page, 4, buf, x & 1);
			if (r > 0 && memcmp(buf, pages[page],
					    (size_t)r * PAGE_BYTES) != 0)
				r = -EBADMSG;
			break;
		}
		if (r < 0 && r != -EAGAIN) {
			free(buf);
			return (void *)(intptr_t)r;
		}
	}
	free(buf);
	return NULL;
}

START_TEST(B13_eight_threads_share_an_extent)
{
	struct disk_id id = id_of("threads", LARGE);
	pthread_t t[8];
	void *r;

	ck_assert_int_eq(extent_create(disk, &id, LARGE, &shared), 0);
	for (uintptr_t i = 0; i < 8; i++)
		ck_assert_int_eq(
		    pthread_create(&t[i], NULL, use_shared, (void *)(i + 1)),
		    0);
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(pthread_join(t[i], &r), 0);
		ck_assert_ptr_null(r);
	}
	ck_assert_uint_eq(bad_pages(), 0);
	ck_assert_int_eq(extent_write(shared, 0, PAGES, pages), 0);
	ck_assert(extent_trusted(shared));
	extent_close(shared);
}
END_TEST

START_TEST(what_is_not_an_extent_is_refused)
{
	struct disk_id id = id_of("x", LARGE);
	struct extent *e;

	ck_assert_int_eq(extent_create(disk, &id, 1000, &e), -EINVAL);
	ck_assert_int_eq(extent_create(disk, &id, UINT64_MAX, &e), -EINVAL);
	ck_assert_int_eq(extent_write_small(disk, &id, MIB(1) + 1, pages, NULL),
			 -EINVAL);
	e = large_extent("x");
	ck_assert_int_eq(extent_write(e, PAGES - 1, 2, pages), -EINVAL);
	ck_assert_int_eq(extent_write(e, UINT64_MAX, 2, pages), -EINVAL);
	ck_assert_int_eq(extent_read(e, PAGES, 1, bytes, false), -EINVAL);
	ck_assert_int_eq(extent_read(e, 2, SIZE_MAX, bytes, false), -EINVAL);
	extent_remove(e);
	ck_assert_int_eq(extent_read(e, 0, 1, bytes, false), 0);
	ck_assert_int_eq(extent_write(e, 0, 1, pages), -ESTALE);
	extent_close(e);
	extent_close(NULL);
}
END_TEST

/* Once with attributes, once as on a file system that has none. */
static TCase *tests_of(const char *name, void (*before)(void))
{
	TCase *t = tcase_create(name);

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, before, teardown);
	tcase_add_loop_test(t, a_small_extent_reads_back_what_was_written, 0,
			    9);
	tcase_add_test(t, a_large_extent_reads_back_the_pages_written);
	tcase_add_test(t,
		       a_large_extent_holds_two_descriptors_between_its_writes);
	tcase_add_test(t, B6_no_flipped_bit_of_a_small_file_is_ever_served);
	tcase_add_test(t, B6_a_flipped_bit_of_a_large_file_costs_one_page);
	tcase_add_test(t, B6_a_flipped_bit_of_a_map_is_never_believed);
	tcase_add_loop_test(t, B7_swapped_large_files_are_not_believed, 0, 3);
	tcase_add_test(t, B7_swapped_pages_with_their_words_are_not_believed);
	tcase_add_loop_test(t, B8_a_file_of_another_length_is_not_believed, 0,
			    5);
	tcase_add_test(t, B8_a_word_over_a_hole_is_not_believed);
	tcase_add_test(t, what_was_verified_is_forgotten_when_others_write);
	tcase_add_test(t,
		       what_was_verified_is_kept_when_we_write_during_a_read);
	tcase_add_test(t, verification_goes_on_in_steps_and_lasts_for_the_boot);
	tcase_add_test(t, what_is_not_an_extent_is_refused);
	return t;
}

int main(void)
{
	TCase *t = tests_of("attributes", setup);

	tcase_add_test(t, B7_swapped_small_files_are_not_believed);
	tcase_add_test(t, B9_whatever_is_left_by_a_kill_verifies);
	tcase_add_test(t, B11_processes_that_make_an_extent_at_once_share_one);
	tcase_add_test(t, a_page_not_in_memory_is_not_waited_for);
	tcase_add_test(t, B13_eight_threads_share_an_extent);
	return RUN_CASES(t, tests_of("sidecars", setup_without_attributes));
}
