/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - a worker at work: sources, a cache for each, the HTTP front
 */
#ifndef FUSE_WORKER_H
#define FUSE_WORKER_H

#include <stdatomic.h>

#include "base/cancel.h"
#include "base/lock.h"
#include "fuse/health.h"
#include "fuse/options.h"
#include "ring/server.h"

struct members;
struct members_join;
struct signals;
struct ufs;
struct worker_control;

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
	bool beside;             /* a mount, whose process this is */
	int64_t started;         /* clock_ns() */
	char *secret;            /* the cluster's key, or NULL */
	size_t nsources;
	struct worker_source *sources;
	struct worker_control *control;
	struct server *server;
	struct members_join *join; /* NULL: who is there is told by others */
	struct signals *signals;

	struct cancel *stopping; /* own, or that of the mount; borrowed */
	struct cancel own;
	atomic_bool asks; /* a request for /-/health waits for the stores */
	struct lock lock;
	/* under lock */
	bool told; /* to end */
	struct event end;
	struct members *members; /* set once; see worker_members() */
};

/* The ring as it sees it; NULL: it has none, or does not know it yet. */
struct members *worker_members(struct worker *w);

/*
 * Everything, so that requests are answered. sources: as a person wrote them.
 * signals_block() must have been called. On failure why is the sentence.
 */
int worker_open(struct options *o, const char *config, char *const *sources,
		size_t n, struct worker **out, char why[static WHY_MAX]);

/*
 * The same for a mount's serve=, in the mount's process: o is what it was
 * mounted with. Signals, the log, the options' defaults and what they are told
 * to end by (stopping, which worker_close() sets) are the mount's.
 */
int worker_open_beside(struct options *o, const char *source,
		       struct cancel *stopping, struct worker **out,
		       char why[static WHY_MAX]);

/* Told to end. Told twice, it does not drain for long. Any thread. */
void worker_told(struct worker *w);
/* Until told to end; then worker_drain(). */
void worker_serve(struct worker *w);
/* Leave the ring; answer what was begun, for so long (ns) at most. */
void worker_drain(struct worker *w, int64_t most);
void worker_close(struct worker *w); /* NULL is allowed */

/* Read credentials again. */
void worker_reload(struct worker *w);

/* What was decided, for people. */
void worker_print(const struct worker *w, FILE *f);

#endif
