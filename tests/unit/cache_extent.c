/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_extent.c - cached bytes are the bytes that were stored, or absent
 */
#include "cache/extent_impl.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "tests/unit/cache_dir.h"

#define PAGES 40
#define LARGE (PAGES * PAGE_BYTES - 1000)

static struct dir dir;
static struct disk *disk;
static uint8_t *bytes; /* what the object holds */
static void *pages[PAGES];

static void setup(void)
{
	dir_make(&dir);
	disk = dir_open(&dir, 0);
	bytes = malloc(PAGES * PAGE_BYTES);
	for (size_t i = 0; i < PAGES * PAGE_BYTES; i++)
		bytes[i] = (uint8_t)(i * 2654435761U >> 13);
	for (size_t i = 0; i < PAGES; i++)
		pages[i] = bytes + i * PAGE_BYTES;
}

static void teardown(void)
{
	disk_close(disk);
	dir_remove(&dir);
	free(bytes);
}

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

int main(void)
{
	Suite *s = suite_create("cache_extent");
	TCase *t = tcase_create("plain");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_small_extent_reads_back_what_was_written, 0,
			    9);
	tcase_add_test(t, a_large_extent_reads_back_the_pages_written);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
