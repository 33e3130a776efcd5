/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_jobs.h - load, free and invalidate, as a mount and a worker are
 * asked for them
 *
 * A body is a JSON object. What it is about it names in arrays of strings:
 *
 *   paths   on a mount: relative to it
 *   keys    relative to the source; on a worker of several, "bucket" says to
 *           which
 *   urls    s3://bucket/prefix..., below a source
 *
 * and of a load or a free also "dry_run", of a load "verify", "job" (a name to
 * ask for it by) and "ring" (ring_share.h: only what a worker owns in it).
 */
#ifndef FUSE_CONTROL_JOBS_H
#define FUSE_CONTROL_JOBS_H

#include <jansson.h>

#include "fuse/cli.h"
#include "fuse/jobs.h"

struct control_source {
	const char *url;    /* as status has it: "s3://bucket/prefix" */
	const char *bucket; /* NULL: it goes by no other name */
	struct cache *cache;
};

/* What a mount or a worker is asked about. All borrowed. */
struct control_place {
	struct jobs *jobs;
	const struct control_source *sources; /* as the jobs have them */
	size_t nsources;
	/* A mount: forget a path, 0 or -errno. NULL: there are no paths. */
	int (*invalidate)(void *arg, const char *path);
	void *arg;
};

struct control_answer {
	unsigned status;
	json_t *body; /* a new reference, or NULL: out of memory */
};

/* {"error": "a sentence"} */
void control_error(struct control_answer *out, unsigned status, const char *fmt,
		   ...) PRINTF_LIKE(3, 4);

/* The object that a body is, or NULL and the answer to that. */
json_t *control_body(const char *p, size_t n, struct control_answer *out);

/*
 * The URL of a key, for "urls" above; where JSON has no words for the key (it
 * is not UTF-8, or has a NUL) that of the lowest directory above it that can
 * be named. A new reference, or NULL: out of memory, or source has none.
 */
json_t *control_url(const char *source, struct str key);

void control_job(const struct control_place *p, const json_t *root,
		 enum jobs_kind kind, struct control_answer *out);
void control_job_status(const struct control_place *p, const char *id,
			struct control_answer *out);
void control_invalidate(const struct control_place *p, const json_t *root,
			struct control_answer *out);

#endif
