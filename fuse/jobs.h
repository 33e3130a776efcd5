/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs.h - loading and freeing files and trees in the background
 *
 * A job walks its targets by the listings of the cache they are in, so that
 * what it learns of names stays known, and gives each file to a few threads.
 * It belongs to the mount or the worker: the command that started it may go.
 */
#ifndef FUSE_JOBS_H
#define FUSE_JOBS_H

#include <jansson.h>

#include "base/base.h"
#include "ufs/ufs.h"

struct cache;
struct jobs;

/* Jobs that are told about after they ended. */
#define JOBS_KEPT 64
#define JOBS_NAME_MAX 64 /* of a name, with its NUL */

enum jobs_kind { JOBS_LOAD, JOBS_FREE };

/* A cache whose objects jobs are about, and how these are called. */
struct jobs_source {
	struct cache *cache; /* borrowed; outlives the jobs */
	/* What a path means: as fs_resolve(). NULL: there are only keys. */
	int (*resolve)(void *arg, const char *path, char *key, size_t *n,
		       bool *dir, struct ufs_stat *st);
	/* A key as people know it, on the heap; NULL: no memory. */
	char *(*name_of)(void *arg, struct str key, bool dir);
	void *arg;
};

/*
 * Which part of the objects a job is about: for each segment (of RING_SEGMENT
 * bytes) of an object, is it? Called from many threads, and without a lock.
 */
struct jobs_filter {
	bool (*mine)(struct jobs_filter *f, struct cache *cache, struct str key,
		     uint64_t segment);
	void (*free)(struct jobs_filter *f);
};

struct jobs_spec {
	enum jobs_kind kind;
	bool verify;  /* load: read back and check every page */
	bool dry_run; /* only count */
	/*
	 * What it may be asked for by, beside its id: no number, and shorter
	 * than JOBS_NAME_MAX; NULL: none. An earlier job of that name is
	 * cancelled; what it fetched is counted as this one's.
	 */
	const char *name;
	/* NULL: all of each object. The job's from here on, in any case. */
	struct jobs_filter *filter;
};

struct jobs_target {
	size_t source; /* its number */
	bool is_key;   /* relative to the source; else a path */
	const char *text;
};

/* The sources are copied. -ENOMEM, -EAGAIN. */
int jobs_new(const struct jobs_source *sources, size_t n, unsigned width,
	     struct jobs **out);
void jobs_free(struct jobs *j); /* cancels all; NULL is allowed */

/*
 * Start a job. The targets are copied. Returns its id (> 0), -EINVAL when
 * there are none, or -EBUSY when too many jobs run.
 */
int jobs_start(struct jobs *j, const struct jobs_spec *spec,
	       const struct jobs_target *targets, size_t n);

/*
 * How far it is, as a new JSON object, or NULL when there is no such job:
 * id, job (its name), kind, state (running, done, failed, cancelled), walked,
 * dry_run, files, files_done, bytes, bytes_done, fetched_bytes, ssd_bytes,
 * verified_bytes, verified_pages, failed, errors. id: a number or a name.
 */
json_t *jobs_status(struct jobs *j, const char *id);

/*
 * All that are known, the newest first, as a new JSON array of the same
 * members but errors, which name files. bytes_done leaves out what has come of
 * the files that are being fetched.
 */
json_t *jobs_list(struct jobs *j);

#endif
