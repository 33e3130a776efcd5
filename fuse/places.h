/* SPDX-License-Identifier: Apache-2.0 */
/*
 * places.h - directories of ours, and the mounts that they must not be on
 *
 * What a mount keeps below its own mount point it would reach through itself:
 * behind its own files, and by requests that wait for the one who makes them.
 */
#ifndef FUSE_PLACES_H
#define FUSE_PLACES_H

#include "fuse/cli.h"
#include "fuse/mount.h"
#include "fuse/options.h"

/*
 * The directory of the mount of tarn that path is on, found by its text alone,
 * so that nothing is asked of one that may be dead; or NULL. On the heap.
 */
char *places_mount_of(const char *path, struct mount_entry *e);

/*
 * What is there of path: itself, or the directory that it would be made in, or
 * that one's and so on. On the heap, or NULL: no memory.
 */
char *places_nearest(const char *path);

/*
 * Are the directories of the cache and of the staging, those that will be
 * used, elsewhere than dir (absolute, without symlinks) and below it? 0, or
 * -EINVAL with the sentence in why, or -ENOMEM.
 */
int places_check(const struct options *o, const char *dir,
		 char why[static WHY_MAX]);

#endif
