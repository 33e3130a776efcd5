/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_dir.h - a cache directory for one test, and what tests do to it
 */
#ifndef TESTS_UNIT_CACHE_DIR_H
#define TESTS_UNIT_CACHE_DIR_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>

#include "base/clock.h"
#include "cache/disk.h"

/*
 * For what the disk's own threads bring about, which tell nobody: looked at
 * each millisecond, with a deadline that only a bug reaches.
 */
#define WAIT_UNTIL(condition)                                                  \
	do {                                                                   \
		int64_t until_ = clock_ns() + 60 * NSEC_PER_SEC;               \
                                                                               \
		while (!(condition)) {                                         \
			ck_assert_msg(clock_ns() < until_,                     \
				      "never came true: %s", #condition);      \
			usleep(1000);                                          \
		}                                                              \
	} while (0)

struct dir {
	char base[64]; /* made by mkdtemp, removed at the end */
	char path[80]; /* the cache directory in it */
};

static inline void dir_make(struct dir *t)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(t->base, sizeof(t->base), "%.40s/tarn-test-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(t->base));
	snprintf(t->path, sizeof(t->path), "%s/cache", t->base);
}

static inline int dir_rm_cb(const char *path, const struct stat *st, int type,
			    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void dir_rm(const char *path)
{
	nftw(path, dir_rm_cb, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void dir_remove(struct dir *t)
{
	dir_rm(t->base);
}

/* size 0: 1 GiB. */
static inline struct disk *dir_open(struct dir *t, uint64_t size)
{
	struct disk_conf conf = {
		.dir = t->path,
		.size = size != 0 ? size : UINT64_C(1) << 30,
		.probe_every = 20000000,
	};
	struct disk *d = NULL;
	char why[256] = "";

	ck_assert_msg(disk_open(&conf, &d, why) == 0, "%s", why);
	return d;
}

static inline struct disk_numbers numbers_of(const struct disk *d)
{
	struct disk_numbers n;

	disk_numbers(d, &n);
	return n;
}

static inline struct disk_id id_of(const char *key, uint64_t n)
{
	return disk_extent_id(str_of("store"), str_of(key), str_of("v"), 0, n);
}

#endif
