/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs_impl.h - the parts of the jobs (jobs*.c only)
 *
 *   jobs.c       the table: starting, ending, telling how far they are
 *   jobs_item.c  one object, or a part of one, that is loaded or freed
 *   jobs_walk.c  from targets to objects
 */
#ifndef FUSE_JOBS_IMPL_H
#define FUSE_JOBS_IMPL_H

#include "base/cancel.h"
#include "base/lock.h"
#include "base/pool.h"
#include "cache/object.h"
#include "fuse/jobs.h"

#define ITEMS_AHEAD 64
#define ERRORS_KEPT 20

struct target {
	const struct jobs_source *source;
	bool is_key;
	char *text;
};

struct failure {
	char *path;
	int err;
};

struct load_job {
	/* set once at start */
	struct job walk;
	struct jobs *jobs; /* borrowed */
	enum jobs_kind kind;
	bool verify, dry_run;
	char name[JOBS_NAME_MAX];
	struct jobs_filter *filter;
	unsigned id;
	struct target *targets;
	size_t ntargets;
	struct cancel cancel;

	/* under jobs->lock */
	struct load_job *next; /* older */
	struct item *running;
	unsigned ahead; /* items not ended */
	bool walked;
	uint64_t files, files_done;
	uint64_t bytes, bytes_done; /* of objects */
	uint64_t fetched, held;     /* held: freed, or of a dry run */
	uint64_t verified, verified_pages;
	uint64_t failed;
	struct failure errors[ERRORS_KEPT];
};

/*
 * It is freed by its worker, unless jobs_status() looks at it just then
 * (pins); then by that.
 */
struct item {
	struct job job;
	struct load_job *owner;           /* borrowed */
	const struct jobs_source *source; /* borrowed */
	struct object *object;            /* owns a ref */
	uint64_t off, len;                /* the part of it */
	bool file;                        /* it counts as one */
	struct item *next;                /* in owner->running, under lock */
	unsigned pins;                    /* under lock */
	bool ended;                       /* under lock */
	size_t n;
	char key[];
};

struct jobs {
	struct jobs_source *sources;
	size_t nsources;
	struct pool *walkers;
	struct pool *workers;
	struct lock lock;
	struct event room; /* an item ended */

	/* under lock */
	struct load_job *newest;
	unsigned last_id;
};

/* jobs_walk.c */
void walk_run(struct job *job);

/* jobs_item.c */
/* Hand one object to the workers, waiting for room. */
int item_add(struct load_job *lj, const struct jobs_source *s, struct str key,
	     const struct ufs_stat *st);
void item_free(struct item *it);
/* Takes path (heap, may be NULL). */
void note_failure(struct load_job *lj, char *path, int err);

#endif
