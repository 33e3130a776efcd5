/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_impl.h - the parts of the file driver
 */
#ifndef UFS_FILE_IMPL_H
#define UFS_FILE_IMPL_H

#include <sys/stat.h>

#include "base/lock.h"
#include "ufs/ufs_impl.h"
#include "ufs/write.h"

#define FILE_SNAPSHOTS 4

/* Names that begin so are files being written: no key has such a part. */
#define FILE_TEMP_PREFIX ".tarn-tmp-"

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

/* The same, with the error as the kernel gives it. */
int file_open_raw(struct file_store *f, struct str key, int flags);

/*
 * Can this be a key here? -EINVAL: it is no path below the root.
 * -ENAMETOOLONG. -EACCES: such names are kept for temporary files.
 */
int file_key_check(struct str key);

/* An errno of a system call about a key, in terms of ufs.h. */
int file_errno(int err);

/* What a regular file's attributes say; false for anything else. */
bool file_stat_of(const struct stat *st, struct ufs_stat *out);

/* How old a ctime must be to be final, and how long until it is; ns. */
int64_t file_settle_time(const struct file_store *f, const struct stat *st);
int64_t file_young(const struct file_store *f, const struct stat *st);

/*
 * Wait until fd's ctime is final and no write that began before it may still
 * be going on. *st: what fstat() says then. -ETIMEDOUT: it keeps changing.
 */
int file_settle(struct file_store *f, int fd, struct stat *st,
		struct cancel *cancel);

/*
 * Open for reading what is a regular file, and wait for nothing else.
 * -ENOENT for anything else.
 */
int file_open_regular(struct file_store *f, struct str key);

/* The bytes of a key before the name of its last part. */
static inline size_t file_dir_part(const char *key, size_t n)
{
	const char *slash = n == 0 ? NULL : memrchr(key, '/', n);

	return slash == NULL ? 0 : (size_t)(slash - key) + 1;
}

int file_list(struct ufs *u, const struct ufs_list *q, char **token,
	      ufs_entry_cb *cb, void *arg, struct cancel *cancel);
void file_snapshot_unref(struct snapshot *s); /* NULL is allowed */

extern const struct ufs_write_ops file_write_ops;

/*
 * A file that is being written beside the name that it is to get. It has no
 * name itself where the file system can do that, so that a crash leaves
 * nothing; else one that begins with FILE_TEMP_PREFIX, and a lock (flock) that
 * tells it from what a dead process left.
 */
struct file_temp {
	int dirfd;                                /* borrowed */
	int fd;                                   /* to write to */
	char name[sizeof(FILE_TEMP_PREFIX) + 16]; /* "": none */
};

int file_temp_make(int dirfd, struct file_temp *t);
/* Give it its name; -EEXIST if that is taken and replace is not set. */
int file_temp_rename(struct file_temp *t, const char *name, bool replace);
void file_temp_drop(struct file_temp *t); /* removes it if it has no name */
/* Remove what dead processes left in a directory. */
void file_temp_sweep(int dirfd);

#endif
