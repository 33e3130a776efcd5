/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_impl.h - the parts of the file driver
 */
#ifndef UFS_FILE_IMPL_H
#define UFS_FILE_IMPL_H

#include <sys/stat.h>

#include "base/lock.h"
#include "ufs/ufs_impl.h"

#define FILE_SNAPSHOTS 4

struct snapshot; /* the sorted names of one directory */

struct file_store {
	struct ufs ufs;
	/* set once at open */
	char *root;     /* for messages */
	int rootfd;     /* of the directory */
	dev_t dev;      /* the root's; other file systems may hang below it */
	int64_t settle; /* a ctime this old is final, ns */
	int64_t timeout;
	/* under lock */
	struct lock lock;
	void *buffers; /* free ones, linked through themselves */
	struct snapshot *snapshots[FILE_SNAPSHOTS]; /* own a ref; newest first
						     */
};

/*
 * Open what is at key, "" or ending in '/' for a directory, as openat(2)
 * with flags, never through a symlink and never outside the root. -ENOENT
 * for all that cannot be a key here.
 */
int file_open_key(struct file_store *f, struct str key, int flags);

/* An errno of a system call about a key, in terms of ufs.h. */
int file_errno(int err);

/* What a regular file's attributes say; false for anything else. */
bool file_stat_of(const struct stat *st, struct ufs_stat *out);

/* How old a ctime must be to be final, and how long until it is; ns. */
int64_t file_settle_time(const struct file_store *f, const struct stat *st);
int64_t file_young(const struct file_store *f, const struct stat *st);

int file_list(struct ufs *u, const struct ufs_list *q, char **token,
	      ufs_entry_cb *cb, void *arg, struct cancel *cancel);
void file_snapshot_unref(struct snapshot *s); /* NULL is allowed */

#endif
