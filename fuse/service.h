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

#include <stdatomic.h>

#include "base/cancel.h"
#include "fuse/cli.h"
#include "fuse/options.h"

struct cache;
struct control;
struct fs;
struct signals;
struct ufs;

struct service {
	/* set once at open */
	struct options *options; /* borrowed */
	const char *config;      /* file of -c, or NULL; borrowed */
	char *source;            /* as given, without a last slash */
	char *dir;               /* absolute */
	int64_t started;         /* clock_ns() */
	bool empty;              /* the source held nothing at the start */

	struct cancel stopping;       /* set by the first signal to end */
	_Atomic(struct fs *) mounted; /* to be stopped by a signal */

	struct ufs *ufs;
	struct cache *cache;
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
int service_check_source(const char *source, char **out,
			 char why[static WHY_MAX]);

/*
 * Work out what has no fixed default; make: the parents of the default cache
 * directory too. 0, or -errno and why.
 */
int service_defaults(struct options *o, bool make, char why[static WHY_MAX]);

/*
 * Open source as the options say; nothing is asked of it, but whoever has the
 * keys. 0, or -errno and why.
 */
int service_source(const struct options *o, const char *source,
		   struct cancel *cancel, struct ufs **out,
		   char why[static WHY_MAX]);

/* Does the source answer, and to us? *empty: it holds nothing. */
int service_ask(const char *source, struct ufs *u, bool *empty,
		struct cancel *cancel, char why[static WHY_MAX]);

/* How a cache is used: by a mount, or as one of a worker's. */
struct service_cache {
	unsigned share; /* the memory is shared out among so many */
	bool ahead;     /* fetch what nobody has asked for yet */
};

int service_cache(const struct options *o, struct ufs *u,
		  const struct service_cache *how, struct cache **out,
		  char why[static WHY_MAX]);

/* The lines that tell of a cache's directories. */
void service_print_cache(struct cache *c, FILE *f);

/* What SIGHUP does to the log level; config as in struct service. */
void service_reload_level(const struct options *o, const char *config);

/* What a person can do about what a source said. */
const char *service_fix(const char *source, int err, const char *words);

/*
 * Everything up to the mount itself; reads that come are answered when
 * service_serve() runs. signals_block() must have been called. On failure
 * why is the sentence to print, and nothing is left mounted.
 */
int service_open(struct options *o, const char *config, const char *source,
		 const char *dir, struct service **out,
		 char why[static WHY_MAX]);

/* Serve until unmounted or told to end: 0 or -errno. */
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
