/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prune.h - asking the kernel to forget inodes
 *
 * Each file that was listed or looked up is an inode of the kernel's and a
 * record of ours (inodes.h), and the kernel forgets only when the machine's
 * memory is short; ours is a share of `memory=`. So above that share the
 * kernel is asked to forget what it does not use, those first that were not
 * looked up for longest, until there is room again.
 */
#ifndef FUSE_PRUNE_H
#define FUSE_PRUNE_H

#include "base/base.h"

struct fs;
struct pruner;

/* by_name: never by FUSE_NOTIFY_PRUNE, as on a kernel without it. */
int pruner_new(struct fs *fs, bool by_name, struct pruner **out);

/* The inodes are crowded (inodes_crowded()): begin if it has not begun. */
void pruner_wake(struct pruner *p);

/* Once the mount is detached; before the session goes. NULL is allowed. */
void pruner_free(struct pruner *p);

#endif
