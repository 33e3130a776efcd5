/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h - what is mounted or served, and its cache
 *
 * The steps that a mount and a worker begin alike, in this order: what is
 * written is checked, defaults are worked out, the store is opened and asked
 * one question, so that a wrong bucket or key is said at once, and its cache is
 * opened.
 */
#ifndef FUSE_SOURCE_H
#define FUSE_SOURCE_H

#include <stdio.h>

#include "base/cancel.h"
#include "fuse/cli.h"
#include "fuse/options.h"

struct cache;
struct staging;
struct ufs;

/*
 * What is wrong with how a source is written. *out, on the heap, is it without
 * its last slashes. 0, -ENOMEM, or -EINVAL with the sentence in why.
 */
int source_check(const char *source, char **out, char why[static WHY_MAX]);

/*
 * Work out what has no fixed default; make: the parents of the default cache
 * directory too. 0, or -errno and why.
 */
int source_defaults(struct options *o, bool make, char why[static WHY_MAX]);

/*
 * The same for what is written, unless it is read only: where it is until the
 * store has it. -EINVAL: there is no HOME to have it in.
 */
int source_writes_defaults(struct options *o, bool make,
			   char why[static WHY_MAX]);

/*
 * Open source as the options say; nothing is asked of it, but whoever has the
 * keys. 0, or -errno and why.
 */
int source_open(const struct options *o, const char *source,
		struct cancel *cancel, struct ufs **out,
		char why[static WHY_MAX]);

/* Does the source answer, and to us? *empty: it holds nothing. */
int source_ask(const char *source, struct ufs *u, bool *empty,
	       struct cancel *cancel, char why[static WHY_MAX]);

/* How a cache is used: by a mount, or as one of a worker's. */
struct source_use {
	unsigned share; /* the memory is shared out among so many */
	bool ahead;     /* fetch what nobody has asked for yet */
};

int source_cache(const struct options *o, struct ufs *u,
		 const struct source_use *how, struct cache **out,
		 char why[static WHY_MAX]);

/* Where files are written before the store has them. 0, or -errno and why. */
int source_staging(const struct options *o, struct cache *c,
		   struct staging **out, char why[static WHY_MAX]);

/* The lines that tell of a cache's directories. */
void source_print_cache(struct cache *c, FILE *f);

/* What a person can do about what a source said. */
const char *source_fix(const char *source, int err, const char *words);

#endif
