/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_impl.h - what the files of the file system share
 *
 * Only fuse/'s own sources include this; everybody else uses fs.h.
 */
#ifndef FUSE_FS_IMPL_H
#define FUSE_FS_IMPL_H

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "cache/cache.h"
#include "cache/listing.h"
#include "cache/meta.h"
#include "cache/object.h"
#include "fuse/appear.h"
#include "fuse/backing.h"
#include "fuse/filelocks.h"
#include "fuse/fs.h"
#include "fuse/handles.h"
#include "fuse/inodes.h"
#include "fuse/names.h"
#include "fuse/prune.h"
#include "fuse/request.h"
#include "fuse/trees.h"
#include "fuse/turns.h"

struct fs {
	/* set once */
	struct fs_conf conf; /* its strings are the next ones */
	char *source;
	char *conf_dir; /* as given */
	char *dir;      /* resolved, once mounted: as in mountinfo */
	struct cache *cache;
	struct meta *meta;
	int64_t started; /* ns since 1970: the mtime of directories */

	struct inodes *inodes;
	struct handles *handles;
	struct pool *jobs;        /* lookups and all that asks the store */
	struct pool *dir_readers; /* listings from the SSD, for readdir */
	struct pool *enders;      /* one thread that answers EINTR */
	struct pool *committers;  /* what waits for the store to take it */
	struct pool *laters;      /* commits that nobody waits for */
	struct lock later_lock;
	struct event later_wake; /* settling, or unreachable */
	/* under later_lock */
	bool settling;   /* no time for more tries */
	bool store_away; /* as the last one said */
	bool store_full; /* one said so, and none was taken since */
	struct job trim; /* of the heap, when many inodes were forgotten */
	atomic_bool trimming;
	struct pruner *pruner;
	struct appear *appear; /* NULL: nothing is written */
	atomic_uint
	    in_dirs; /* requests that hold a directory's lock and wait */
	/* Files that are open to be written and have lost their names. */
	atomic_uint nameless;
	struct rq_list waiting;
	struct turns turns;     /* of the loop's threads */
	struct trees trees;     /* directories that are being moved */
	struct filelocks locks; /* of a mount that writes */

	/* mount.c's: set by fs_mount() */
	struct fuse_session *se;
	dev_t dev;
	bool mounted;
	bool own_mount; /* by mount(2), not fusermount3 */
	int stop_fd;    /* eventfd: fs_stop() */

	pthread_t stopper; /* waits for stop_fd */
	bool stopper_runs;
	atomic_bool loop_over;
	atomic_uint_fast64_t init_unique; /* of the INIT request; 0: none */
	bool init_passthrough;            /* the kernel offers it; see init.c */
	bool init_parallel;               /* the same of PARALLEL_DIROPS */
	bool init_direct_mmap;            /* and of mappings of direct opens */
	atomic_bool init_done;
	atomic_bool passthrough;
	atomic_bool refused_said;
	atomic_bool written; /* something was to be changed */
};

/* Inodes were forgotten: give their memory back when it is much. */
void fs_forgot(struct fs *fs);

/*
 * Are there more inodes than their share of memory has room for? Then no
 * listing is to make new ones, and the kernel is being asked to forget.
 */
bool fs_crowded(struct fs *fs);

/* /dev/fuse for backing ids, or -1 when there is no passthrough. */
int fs_backing_fd(struct fs *fs);

/* The one place where -errno becomes an answer. */
void reply_err(fuse_req_t req, int err);

/* Seconds from now until a moment (clock_ns()), 0 when it has passed. */
double fs_timeout(int64_t until);

/* The attributes of a known inode, as they are now. */
int fs_attr(struct fs *fs, uint64_t nodeid, struct inode_attr *out);

/* struct stat of an inode. */
void fs_stat(struct fs *fs, const struct inode_attr *a, struct stat *st);

/*
 * A reply for an inode whose lookup was counted, believed until then; of one
 * that is being written as it is now, and believed for this time only.
 */
void fs_entry(struct fs *fs, const struct inode_attr *a, int64_t until,
	      struct fuse_entry_param *e);

/* Something is about to be changed. */
void fs_writes(struct fs *fs);

/* The operations. */
void op_init(void *userdata, struct fuse_conn_info *conn);
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n);
void op_forget_multi(fuse_req_t req, size_t count,
		     struct fuse_forget_data *forgets);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

/* op_write.c: files that are written */
void op_open_write(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	      off_t off, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	      struct fuse_file_info *fi);
/* op_fsyncdir.c */
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		 struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		  off_t len, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	      struct fuse_file_info *fi);

/* op_locks.c */
void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	      struct flock *lock);
void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	      struct flock *lock, int sleep);
void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	      int op);
/* What a process locked goes with its close of any descriptor of a file. */
void locks_owner_closed(struct fs *fs, struct handle *h, uint64_t owner);
/* The open file has ended. */
void locks_file_closed(struct fs *fs, struct handle *h);

/* op_names.c, op_rename.c: names that are made, moved, removed */
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	       fuse_ino_t newparent, const char *newname, unsigned flags);

/* The tables: of mounts that write, and with all that would as -EROFS. */
extern const struct fuse_lowlevel_ops fs_ops, fs_ops_read_only;

/* An open file of ours, added to the table, or undone. */
void opened_put(struct fs *fs, struct opened *o); /* NULL is allowed */
void open_undo(struct fs *fs, uint64_t fh);

/* Its version is gone: forget what is known of the name. May touch the disk. */
void version_gone(struct fs *fs, uint64_t nodeid, struct str key);

/* Give back a handle's reference; the last one frees what it holds. */
void handle_put(struct fs *fs, struct handle *h);

#endif
