/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing_rig.h - a cache directory of a test's own, and a listing's name in it
 */
#ifndef TESTS_UNIT_LISTING_RIG_H
#define TESTS_UNIT_LISTING_RIG_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/disk.h"

static char tmp[64];
static struct disk *disk; /* NULL in the rounds in memory */
static struct disk_id id;

static int remove_cb(const char *path, const struct stat *st, int flag,
		     struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void listing_setup(void)
{
	struct disk_conf conf = { .dir = tmp, .size = (uint64_t)1 << 32 };
	char why[256];

	snprintf(tmp, sizeof(tmp), "/tmp/tarn-listing-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(tmp));
	ck_assert_int_eq(disk_open(&conf, &disk, why), 0);
	id = disk_listing_id(str_of("store"), str_of("me"), str_of("dir/"));
}

static void listing_teardown(void)
{
	disk_close(disk);
	disk = NULL;
	nftw(tmp, remove_cb, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
