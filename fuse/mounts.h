/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts.h - what /proc/self/mountinfo says of a directory
 */
#ifndef FUSE_MOUNTS_H
#define FUSE_MOUNTS_H

#include <limits.h>

#include "base/base.h"

struct mounts_entry {
	char type[64]; /* "fuse.tarn" */
	char source[PATH_MAX];
};

/*
 * The mount that lies on top at just this absolute directory: 0, -ENOENT
 * when nothing is mounted there, or another -errno. Asks nothing of the
 * mount itself, which may be dead.
 */
int mounts_find(const char *dir, struct mounts_entry *out);

/* Is it a mount of tarn? */
bool mounts_is_tarn(const struct mounts_entry *e);

#endif
