/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_staging_sums.c - checksums of what was written, beside a copy of it
 */
#include "cache/sums.h"

#include <check.h>
#include <sys/mman.h>

#include "base/crc.h"
#include "cache/staging_io.h"
#include "tests/unit/run.h"

#define PAGES 5
#define ROOM (PAGES * SUM_PAGE)

static struct sums *s;
static int fd;
static unsigned char copy[ROOM];
static uint64_t written[PAGES]; /* how far, in each page */

static void setup(void)
{
	s = sums_new();
	fd = memfd_create("sums", MFD_CLOEXEC);
	memset(copy, 0, sizeof(copy));
	memset(written, 0, sizeof(written));
	ck_assert(s != NULL && fd >= 0);
}

static void teardown(void)
{
	sums_free(s);
	close(fd);
}

static void put(uint64_t off, uint64_t n, unsigned char byte)
{
	size_t done;

	memset(copy + off, byte, n);
	for (uint64_t at = off; at < off + n; at += SUM_PAGE - at % SUM_PAGE)
		written[at / SUM_PAGE] =
		    MAX(written[at / SUM_PAGE],
			MIN(off + n - at / SUM_PAGE * SUM_PAGE, SUM_PAGE));
	ck_assert_int_eq(sums_begin(s, fd, off, n), 0);
	ck_assert_int_eq(sums_room(s, off, n), 0);
	ck_assert_int_eq(staging_pwrite(fd, copy + off, n, off, &done), 0);
	sums_end(s, copy + off, n, off);
}

static void cut(uint64_t size)
{
	ck_assert_int_eq(sums_cut_begin(s, fd, size), 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	sums_cut(s, size);
	memset(copy + size, 0, ROOM - size);
	for (uint64_t p = 0; p < PAGES; p++)
		written[p] = MIN(written[p],
				 size > p * SUM_PAGE ? size - p * SUM_PAGE : 0);
}

/* Of [page, page+n) pages; the last one ends where it was written to. */
static void check_run(uint64_t page, uint64_t n)
{
	uint64_t size = (n - 1) * SUM_PAGE + written[page + n - 1], crc = 0;
	bool whole = true;

	for (uint64_t p = page; p + 1 < page + n; p++)
		whole = whole && written[p] == SUM_PAGE;
	ck_assert_int_eq(sums_crc(s, page * SUM_PAGE, size, &crc), whole);
	if (whole)
		ck_assert_uint_eq(
		    crc,
		    crc_update(CRC_64NVME, 0, copy + page * SUM_PAGE, size));
}

static void check(void)
{
	for (uint64_t p = 0; p < PAGES; p++) {
		struct sum sum = sums_get(s, p);

		ck_assert_uint_eq(sum.len, written[p]);
		ck_assert(sum.len == 0 || sum_right(sum, copy + p * SUM_PAGE));
		for (uint64_t n = 1; p + n <= PAGES; n++)
			if (written[p + n - 1] > 0)
				check_run(p, n);
	}
}

/* As programs write: bytes in order, whole pages, headers afterwards. */
START_TEST(sums_follow_one_who_writes_in_order_and_goes_back)
{
	for (uint64_t at = 0; at + 10240 <= ROOM; at += 10240)
		put(at, 10240, (unsigned char)(at / 1024));
	check();
	put(SUM_PAGE, 2 * SUM_PAGE, 7);
	put(0, 100, 8);
	put(SUM_PAGE + 1000, 30, 9);
	check();
}
END_TEST

START_TEST(sums_are_right_after_any_writes_and_cuts)
{
	uint64_t x = 88172645463325252u + (uint64_t)_i;

	for (unsigned step = 0; step < 60; step++) {
		uint64_t off, n;

		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		off = x % ROOM;
		n = 1 + (x >> 20) % MIN(ROOM - off, 3 * SUM_PAGE);
		if (x >> 40 & 1)
			off = off / SUM_PAGE * SUM_PAGE;
		if ((x >> 41) % 8 == 0)
			cut(off);
		else
			put(off, MIN(n, ROOM - off), (unsigned char)step);
		check();
	}
}
END_TEST

START_TEST(bytes_that_rotted_are_found_before_their_page_is_written_on)
{
	unsigned char byte = 1;

	put(0, 1000, 5);
	ck_assert_int_eq(pwrite(fd, &byte, 1, 500), 1);
	ck_assert_int_eq(sums_begin(s, fd, 600, 10), -EIO);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("sums");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, sums_follow_one_who_writes_in_order_and_goes_back);
	tcase_add_loop_test(t, sums_are_right_after_any_writes_and_cuts, 0, 8);
	tcase_add_test(
	    t, bytes_that_rotted_are_found_before_their_page_is_written_on);
	return RUN_CASES(t);
}
