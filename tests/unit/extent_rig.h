/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extent_rig.h - a cache directory and an object's bytes to put there
 *
 * For one test program alone: everything in it is static.
 */
#ifndef TESTS_UNIT_EXTENT_RIG_H
#define TESTS_UNIT_EXTENT_RIG_H

#include "cache/extent_impl.h"

#include <check.h>

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

static void setup_without_attributes(void)
{
	setup();
	atomic_store(&disk->xattr, false);
}

static void teardown(void)
{
	disk_close(disk);
	dir_remove(&dir);
	free(bytes);
}

static struct extent *small_extent(const char *key, uint64_t n)
{
	struct disk_id id = id_of(key, n);
	struct extent *e;

	ck_assert_int_eq(extent_write_small(disk, &id, n, pages, &e), 0);
	return e;
}

/* A large extent that is complete. */
static struct extent *large_extent(const char *key)
{
	struct disk_id id = id_of(key, LARGE);
	struct extent *e;

	ck_assert_int_eq(extent_create(disk, &id, LARGE, &e), 0);
	ck_assert_int_eq(extent_write(e, 0, PAGES, pages), 0);
	return e;
}

#endif
