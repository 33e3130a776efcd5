/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers.h - a mount's workers: who they are, and the store behind them
 */
#ifndef FUSE_WORKERS_H
#define FUSE_WORKERS_H

#include <jansson.h>
#include <stdio.h>

#include "base/cancel.h"
#include "fuse/cli.h"
#include "fuse/options.h"

struct members;
struct members_join;
struct peers;
struct ufs;
struct workers; /* opaque; laid out in workers.c */

/*
 * As workers= says; without it *out is NULL and all below does nothing. Where
 * others tell who the workers are, these are waited for up to 3 s: a mount
 * goes on without. store is borrowed. 0, or -errno and a sentence in why.
 */
int workers_open(const struct options *o, const char *source, struct ufs *store,
		 struct cancel *cancel, struct workers **out,
		 char why[static WHY_MAX]);
void workers_close(struct workers *w); /* NULL is allowed */

/* What a cache reads from: the workers, behind them the store; borrowed. */
struct ufs *workers_ufs(struct workers *w);
struct members *workers_members(struct workers *w); /* borrowed; or NULL */

/*
 * The parts of it, for who needs only them. The list, waited for as above or
 * not at all; and how a worker is asked: with the key and certificates of the
 * options.
 */
int workers_members_begin(const struct options *o, struct members **out,
			  char why[static WHY_MAX]);
int workers_members_open(const struct options *o, struct cancel *cancel,
			 struct members **out, char why[static WHY_MAX]);
int workers_peers(const struct options *o, struct peers **out,
		  char why[static WHY_MAX]);

/*
 * A worker's own side: be in the list that workers= reads, as name with this
 * weight, until members_leave(). 0 (*out is NULL where others make the list),
 * or -errno and a sentence in why.
 */
int workers_join(const struct options *o, const char *name, uint64_t weight,
		 struct members_join **out, char why[static WHY_MAX]);

/*
 * Tell all workers, those of before the last change too, what body says, by
 * POST, and wait for them 5 s at most. failed: to each that did not do it an
 * object of {"name", "error"} is appended; what is in none of a worker's
 * sources it has done.
 */
void workers_tell(struct workers *w, const char *path, const json_t *body,
		  json_t *failed);

/*
 * Wait a moment until workers were told of what this mount has changed
 * (told.h). arg: struct workers.
 */
void workers_told(void *arg, struct cancel *cancel);

/* The status' "ring"; NULL: out of memory. w may be NULL. */
json_t *workers_json(struct workers *w);
/* The same of a list alone: nobody here asks the workers. m may be NULL. */
json_t *workers_listed(struct members *m);
/*
 * Who has an object, or (dir) the names in a directory, whose key ends with a
 * slash: {"epoch", "directory", "names": [worker...], "bytes", "segments":
 * [{"first", "bytes", "workers": [owner, who is asked next...]}]}, of the first
 * 64 TiB; without the last three when no worker is known. NULL: out of memory.
 */
json_t *workers_where(struct workers *w, struct str key, bool dir,
		      uint64_t size);
/*
 * Who owns the first segment of an object, into buf. False: no worker is known.
 * arg: struct workers.
 */
bool workers_owner(void *arg, struct str key, char *buf, size_t size);
/* Which ring is known, in Prometheus text; m may be NULL. */
void workers_metrics(struct members *m, FILE *f);
/* A line of what was decided; w may be NULL. */
void workers_print(struct workers *w, FILE *f);

#endif
