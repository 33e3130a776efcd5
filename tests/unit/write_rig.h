/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_rig.h - a store that can be written, a cache, a staging
 */
#ifndef TESTS_UNIT_WRITE_RIG_H
#define TESTS_UNIT_WRITE_RIG_H

#include "cache/staging.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cache/object.h"
#include "tests/unit/cache_dir.h"
#include "tests/unit/write_store.h"

struct write_rig {
	struct dir dir;
	char staging_dir[120];
	struct store store;
	struct cache *cache;
	struct staging *staging;
	struct staging_conf conf;
};

static inline void write_rig_open(struct write_rig *r)
{
	struct cache_conf conf = { .ufs = &r->store.ufs,
				   .dirs = { r->dir.path },
				   .ndirs = 1,
				   .memory = MIB(64),
				   .size = UINT64_C(1) << 30,
				   .size_explicit = true,
				   .consistency = CONSISTENCY_TTL,
				   .ttl = 60 * NSEC_PER_SEC,
				   .negative_ttl = 5 * NSEC_PER_SEC,
				   .read_timeout = 20 * NSEC_PER_SEC,
				   .small_file = KIB(64),
				   .readahead = MIB(16) };
	char why[256];

	ck_assert_msg(cache_new(&conf, &r->cache, why) == 0, "%s", why);
	r->conf.dir = r->staging_dir;
	r->conf.cache = r->cache;
	ck_assert_msg(staging_new(&r->conf, &r->staging, why) == 0, "%s", why);
}

static inline void write_rig_init(struct write_rig *r)
{
	*r = (struct write_rig){ .conf = { .part_size = PART, .parts = 3 } };
	dir_make(&r->dir);
	snprintf(r->staging_dir, sizeof(r->staging_dir), "%s/staging",
		 r->dir.base);
	store_init(&r->store);
	write_rig_open(r);
	/* It looks for what others left; not at what a test leaves later. */
	(void)staging_settle(r->staging);
}

static inline void write_rig_fini(struct write_rig *r)
{
	staging_free(r->staging);
	cache_free(r->cache);
	store_fini(&r->store);
	dir_remove(&r->dir);
}

static inline struct staged *staged_open(struct write_rig *r, const char *key,
					 enum staged_from from,
					 const struct ufs_stat *base)
{
	struct staged *f = NULL;

	ck_assert_int_eq(staged_new(r->staging, str_of(key), from, base, &f),
			 0);
	return f;
}

static inline int commit_now(struct staged *f)
{
	struct ufs_stat st;

	return staged_commit(f, &st, NULL);
}

static inline struct staged_state state_of(struct staged *f)
{
	struct staged_state st;

	staged_get(f, &st);
	return st;
}

/* The store's directory in the staging, which is the only one. */
static inline void rig_store_dir(struct write_rig *r, char path[static 240])
{
	DIR *d = opendir(r->staging_dir);
	struct dirent *e;

	ck_assert_ptr_nonnull(d);
	path[0] = '\0';
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			snprintf(path, 240, "%.118s/%.100s", r->staging_dir,
				 e->d_name);
	closedir(d);
	ck_assert_int_ne(path[0], '\0');
}

/* How many files of the staging end so; the last one's path in path. */
static inline unsigned rig_files(struct write_rig *r, const char *suffix,
				 char path[static 300])
{
	char dir[240];
	unsigned n = 0;
	struct dirent *e;
	DIR *d;

	rig_store_dir(r, dir);
	d = opendir(dir);
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL) {
		size_t len = strlen(e->d_name);

		if (len < strlen(suffix) ||
		    strcmp(e->d_name + len - strlen(suffix), suffix) != 0)
			continue;
		snprintf(path, 300, "%s/%.50s", dir, e->d_name);
		n++;
	}
	closedir(d);
	return n;
}

/* Bytes that tell their place. */
static inline void fill_bytes(char *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)((i * 2654435761u) >> 11 ^ i ^ seed * 97);
}

#endif
