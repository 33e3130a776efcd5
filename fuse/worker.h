/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - a worker at work: sources, a cache for each, the HTTP front
 */
#ifndef FUSE_WORKER_H
#define FUSE_WORKER_H

#include "base/cancel.h"
#include "base/lock.h"
#include "fuse/health.h"
#include "fuse/options.h"
#include "ring/server.h"

struct signals;
struct ufs;

struct worker_source {
	char *source; /* as given, without a last slash */
	char *bucket; /* under which it is served */
	bool empty;   /* it held nothing at the start */
	struct ufs *ufs;
	struct cache *cache;
	struct health health;
};

struct worker {
	/* set once at open */
	struct options *options; /* borrowed */
	const char *config;      /* file of -c, or NULL; borrowed */
	int64_t started;         /* clock_ns() */
	char *secret;            /* the cluster's key, or NULL */
	size_t nsources;
	struct worker_source *sources;
	struct server *server;
	struct signals *signals;

	struct cancel stopping;
	struct lock lock;
	/* under lock */
	bool told; /* to end */
	struct event end;
};

/*
 * Everything, so that requests are answered. sources: as a person wrote them.
 * signals_block() must have been called. On failure why is the sentence.
 */
int worker_open(struct options *o, const char *config, char *const *sources,
		size_t n, struct worker **out, char why[static WHY_MAX]);

/* Until told to end; then what was begun is answered. */
void worker_serve(struct worker *w);
void worker_close(struct worker *w); /* NULL is allowed */

/* What was decided, for people. */
void worker_print(const struct worker *w, FILE *f);

#endif
