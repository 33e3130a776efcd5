/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.h - one mount at work: source, cache, file system, control
 *
 * Opens the layers bottom up, asks the source one question so that a wrong
 * bucket or key is said before anything is mounted, mounts, serves, and
 * takes everything down in reverse.
 */
#ifndef FUSE_SERVICE_H
#define FUSE_SERVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/cancel.h"
#include "fuse/cli.h"
#include "fuse/options.h"
#include "fuse/trial.h"

struct cache;
struct control;
struct fs;
struct signals;
struct ufs;
struct worker;
struct workers;

struct service {
	/* set once at open */
	struct options *options; /* borrowed */
	const char *config;      /* file of -c, or NULL; borrowed */
	char *source;            /* as given, without a last slash */
	char *dir;               /* absolute */
	int64_t started;         /* clock_ns() */
	bool empty;              /* the source held nothing at the start */
	bool looked;             /* at what the store does with conditions */
	char read_only[WHY_MAX]; /* why nothing can be written, or "" */

	/*
	 * What it does with them, and whether it took no object from us. When
	 * it was found out is set first: who reads both just then may have that
	 * with what was known before.
	 */
	_Atomic(enum trial_answer) conditions;
	_Atomic int64_t conditions_at; /* s since 1970, when found out; or 0 */
	atomic_bool refused;
	pthread_t looker; /* finds it out, when something is to be changed */
	bool looker_runs;

	struct cancel stopping;       /* set by the first signal to end */
	_Atomic(struct fs *) mounted; /* to be stopped by a signal */
	atomic_uint told;             /* signals to end */
	atomic_bool settling; /* unmounted, and commits are waited for */

	struct ufs *store;
	struct workers *workers; /* in front of it; NULL: there are none */
	struct cache *cache;
	struct staging *staging; /* NULL: read only */
	struct worker *worker; /* of serve=, with a cache of its own; or NULL */
	struct fs *fs;
	struct control *control;
	struct signals *signals;
};

/*
 * What is wrong with the name of a source or with the directory, asked of
 * neither a store nor a mount. source gets lost of its last slashes; *dir is
 * absolute, on the heap. 0, -ENOMEM, or -EINVAL with the sentence in why.
 */
int service_check(const char *source, const char *where, char **out_source,
		  char **dir, char why[static WHY_MAX]);

/*
 * Everything up to the mount itself; reads that come are answered when
 * service_serve() runs. signals_block() must have been called. On failure
 * why is the sentence to print, and nothing is left mounted.
 */
int service_open(struct options *o, const char *config, const char *source,
		 const char *dir, struct service **out,
		 char why[static WHY_MAX]);

/*
 * Serve until unmounted or told to end, and bring to the store what was
 * written. 0 or -errno; -EIO: some of it is not there, and is kept. Does not
 * return when it is told twice to end and commits are still waited for: what
 * they are about is kept as after a crash.
 */
int service_serve(struct service *s);

/* End service_serve(); any thread. */
void service_stop(struct service *s);
void service_close(struct service *s); /* NULL is allowed */

/*
 * What was decided, for people. answers: the mount has answered a request,
 * so whether passthrough works is known.
 */
void service_print(const struct service *s, FILE *f, bool answers);

#endif
