/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trees.h - which directories are being moved
 *
 * While one is, names below it are not changed, nor below its new place, and
 * fsync and close commit nothing there: who wants to waits until it is over.
 * What was acknowledged before may be committed all the same, and is led on
 * after that (rename_tree.c). And the kernel keeps nothing that it looks up
 * meanwhile, anywhere in the mount.
 */
#ifndef FUSE_TREES_H
#define FUSE_TREES_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/cancel.h"
#include "base/lock.h"

struct moving {
	struct moving *next;
	struct str from, to; /* borrowed; of a directory with their slashes */
	bool names;          /* just a change of these two names */
};

struct trees {
	struct lock lock;
	struct event ended;
	struct moving *first; /* under lock */
	atomic_uint n;        /* of directories */
};

void trees_init(struct trees *t);
void trees_fini(struct trees *t);

/* Is a directory being moved just now? */
static inline bool trees_any(struct trees *t)
{
	return atomic_load(&t->n) > 0;
}

/*
 * Wait until key is neither below one that is being moved, nor above it. 1: it
 * was, and the directory has another key by now. -EINTR: cancel was set.
 */
int trees_wait(struct trees *t, struct str key, struct cancel *cancel);

/*
 * Begin to move a directory, or to change names, which many may side by side
 * if none is that of another: who takes a name waits for what is written there.
 * 1: it had to wait for a directory, has not begun, and is to look again.
 * -EINTR: cancel was set.
 */
int trees_begin(struct trees *t, struct moving *m, struct cancel *cancel);
void trees_end(struct trees *t, struct moving *m);

#endif
