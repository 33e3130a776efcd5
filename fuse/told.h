/* SPDX-License-Identifier: Apache-2.0 */
/*
 * told.h - workers hear of what this mount has changed
 *
 * A worker may tell others for a while what it knows of names. After a change
 * those that are asked for its directory are told to forget it, so that who
 * asks them next hears of it, whatever their consistency is. That is a help and
 * no promise: a worker that does not answer in a moment is not told, and left
 * alone for a while; what it knows ends as its consistency says.
 */
#ifndef FUSE_TOLD_H
#define FUSE_TOLD_H

#include "base/base.h"
#include "base/cancel.h"
#include "ring/access.h"

struct members;
struct told;
struct ufs;

struct told_conf {
	const char *source;        /* the mount's; copied */
	struct members *members;   /* borrowed */
	const struct ufs *ufs;     /* borrowed: places are its own */
	struct ring_access access; /* borrowed */
};

int told_new(const struct told_conf *conf, struct told **out);
/* What is to be told still is. NULL is allowed. */
void told_free(struct told *t);

/* This key was changed. Does not block. */
void told_add(struct told *t, struct str key);

/*
 * Wait until what was added before was told or could not be: a quarter of a
 * second at most. NULL is allowed.
 */
void told_wait(struct told *t, struct cancel *cancel);

#endif
