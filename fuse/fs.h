/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs.h - the file system: FUSE requests turned into cache calls
 *
 * Each request gets exactly one reply. A FUSE thread answers what memory or
 * an unstalled SSD can answer; the rest is answered by the thread that
 * completes it. The pieces:
 *
 *   mount.h    /dev/fuse, mount(2) or fusermount3, INIT, the session loop
 *   inodes.h   inode records: index and generation to the kernel, no pointer
 *   backing.h  passthrough: backing ids, which opens mix
 *   names.h    components of keys to names and back
 *   fs.c, op_*.c  the operations
 */
#ifndef FUSE_FS_H
#define FUSE_FS_H

#include <sys/types.h>

#include "base/base.h"
#include "cache/cache.h"

struct fs;

struct fs_conf {
	struct cache *cache; /* borrowed; outlives the fs */
	/* Borrowed; outlives the fs. NULL: the mount is read only. */
	struct staging *staging;
	uid_t uid;
	gid_t gid;
	mode_t file_mode; /* permission bits */
	mode_t dir_mode;
	bool writeback;    /* close() does not wait for the store */
	bool ignore_perms; /* chmod and chown change nothing, and succeed */
	size_t rename_dir_limit; /* objects of a directory that is moved */
	enum consistency consistency;
	uint64_t small_file;
	unsigned max_background; /* threads for lookups; 0 = 16 */
	bool passthrough;        /* try it; false: never */
	size_t inode_bytes;      /* share of memory for inodes; 0: any */
	bool prune_by_name;      /* as before Linux 6.18 (for tests) */

	/*
	 * Optional: the worker that owns the first segment of an object, into
	 * buf. False: there is none. Does not block.
	 */
	bool (*owner)(void *arg, struct str key, char *buf, size_t size);
	/* With it: let others hear of what was changed. Waits a moment. */
	void (*told)(void *arg, struct cancel *cancel);
	void *workers;

	/*
	 * Optional: something is about to be changed, for the first time.
	 * Called once, by a thread of the loop; is not to block.
	 */
	void (*writes)(void *arg);
	void *writes_arg;

	/* mounting */
	const char *source; /* what /proc/mounts shows: s3://bucket/prefix */
	const char *dir;    /* absolute mount point */
	bool allow_other;
	bool exec, suid, dev;   /* mount(8)'s words; default exec only */
	unsigned readahead_kib; /* of the kernel; 0 = 2048 */
};

int fs_new(const struct fs_conf *conf, struct fs **out);
void fs_free(struct fs *fs); /* NULL is allowed; unmounts */

/*
 * Mount. A dead mount of tarn on the same directory (ENOTCONN) is removed
 * first. 0, or -errno with *why naming the cause and the fix; then nothing
 * is left mounted.
 */
int fs_mount(struct fs *fs, char why[static 256]);

/* Serve until unmounted or fs_stop(). 0, or -errno. */
int fs_serve(struct fs *fs);

/*
 * After fs_serve(): unmount, and bring to the store what files that are still
 * open were given. Waits for it. fs_free() does it as well.
 */
void fs_settle(struct fs *fs);

/* fs_serve() is over; true before it unmounts. */
bool fs_ended(const struct fs *fs);

/* End fs_serve() and unmount: async-signal-safe. */
void fs_stop(struct fs *fs);

/* True once INIT was answered and passthrough works. */
bool fs_passthrough(const struct fs *fs);

/* The mount's device number (st_dev), to find it again by a path below. */
dev_t fs_dev(const struct fs *fs);

/*
 * The key a path (relative to the mount, "" the root, no leading slash)
 * means: into key[UFS_KEY_MAX + 1] and *n. *dir: it is a directory; the key
 * is then "" or ends with '/'. st: of the object. -ENOENT and the lookups'
 * errors. Blocks: for the control interface, never for FUSE threads.
 */
int fs_resolve(struct fs *fs, const char *path, char *key, size_t *n, bool *dir,
	       struct ufs_stat *st);

/* The path (relative) of a key, NUL-terminated on the heap, or NULL. */
char *fs_path_of(struct fs *fs, struct str key, bool is_dir);

/*
 * The key that a path spells, whether it is there or not: into
 * key[UFS_KEY_MAX + 1], without a last slash. -EINVAL and the like.
 */
int fs_spell(struct fs *fs, const char *path, char *key, size_t *n);

/* S7: drop metadata and kernel pages of a file or a tree now. */
int fs_invalidate(struct fs *fs, const char *path);

#endif
