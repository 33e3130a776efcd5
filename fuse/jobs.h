/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs.h - loading and freeing files and trees in the background
 *
 * A job walks its targets by the mount's own listings, so that what it
 * learns of names stays known, and gives each file to a few threads. It
 * belongs to the mount: the command that started it may go.
 */
#ifndef FUSE_JOBS_H
#define FUSE_JOBS_H

#include <jansson.h>

#include "base/base.h"

struct cache;
struct fs;
struct jobs;

/* Jobs that are told about after they ended. */
#define JOBS_KEPT 64

enum jobs_kind { JOBS_LOAD, JOBS_FREE };

struct jobs_spec {
	enum jobs_kind kind;
	bool verify;  /* load: read back and check every page */
	bool dry_run; /* only count */
};

int jobs_new(struct fs *fs, struct cache *cache, unsigned width,
	     struct jobs **out);
void jobs_free(struct jobs *j); /* cancels all; NULL is allowed */

/*
 * Start a job. paths (relative to the mount) and keys (relative to the
 * source) are arrays of strings or NULL. Returns its id (> 0), -EINVAL when
 * there is nothing to do in them, or -EBUSY when too many jobs run.
 */
int jobs_start(struct jobs *j, const struct jobs_spec *spec,
	       const json_t *paths, const json_t *keys);

/*
 * How far it is, as a new JSON object, or NULL when there is no such job:
 * id, kind, state (running, done, failed, cancelled), walked, files,
 * files_done, bytes, bytes_done, fetched_bytes, failed, errors.
 */
json_t *jobs_status(struct jobs *j, unsigned id);

#endif
