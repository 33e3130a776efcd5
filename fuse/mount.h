/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.h - /dev/fuse, mount(2) or fusermount3, INIT
 *
 * As root the mount is made here: /dev/fuse is opened, mount(2) called, and
 * the session given the descriptor with I/O hooks of ours, which see INIT
 * pass (passthrough, read-ahead). Others mount by fusermount3, through
 * libfuse, and go without passthrough.
 */
#ifndef FUSE_MOUNT_H
#define FUSE_MOUNT_H

#include <sys/types.h>

#include "base/base.h"

struct fs;

#define MOUNT_WHY_MAX 256
#define MOUNT_FSTYPE "fuse.tarn"

/* One line of /proc/self/mountinfo. */
struct mount_entry {
	dev_t dev;
	char fstype[64];
	char source[1280];
};

/*
 * What is mounted on just this directory (an absolute path without symlinks),
 * the uppermost. -ENOENT: nothing.
 */
int mount_find(const char *dir, struct mount_entry *out);

/* The same on a given file, in mountinfo's format (tests). */
int mount_find_in(const char *file, const char *dir, struct mount_entry *out);

/*
 * Is the FUSE file system on this directory dead (its daemon is gone)? Asks
 * it for real: a stat may be answered from what the kernel remembers.
 */
bool mount_is_dead(const char *dir);

/*
 * /dev/fuse, opened; or -errno, and why is one sentence that names the cause
 * and the fix.
 */
int mount_open_device(char why[static MOUNT_WHY_MAX]);

/*
 * Is there what those who are not root need: fusermount3, and leave to let
 * others in? 0, or -errno and why.
 */
int mount_helper_ready(bool allow_other, char why[static MOUNT_WHY_MAX]);

/*
 * Mount fs->conf on fs->dir. On failure why is one sentence that names the
 * cause and the fix, and nothing is left mounted.
 */
int mount_start(struct fs *fs, char why[static MOUNT_WHY_MAX]);

/*
 * Detach the mount if it is still there, and end the connection: requests
 * that nobody answers any more fail.
 */
void mount_stop(struct fs *fs);

/*
 * Make one request to the mount, so that a thread of the session's loop
 * wakes and sees that it is to end.
 */
void mount_wake(struct fs *fs);

/* End the connection: whatever the kernel waits for from us fails. */
void mount_cut(struct fs *fs);

#endif
