/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backing.h - files of the cache handed to the kernel, and which opens mix
 *
 * A complete file is given to the kernel (FUSE passthrough): reads then
 * bypass the daemon. The kernel refuses (EIO) a passthrough open while a
 * cached open or its mapping lives on the inode, and any other kind of open,
 * or another backing id, while a passthrough open lives. So an inode with
 * opens is cached n or passthrough n: the first open decides until the last
 * release, and one backing id serves them all; it stays with the cache's file
 * after that, since making and dropping one for each open of a small file took
 * 1.7 us of 14. O_DIRECT opens count as
 * passthrough where that is the mode or can be (with FOPEN_DIRECT_IO, so
 * that reads come to the daemon and need no alignment). Elsewhere they are
 * in no mode; but the kernel refuses one whose answer it sees after that of
 * a passthrough open, so none begins while such a one is open.
 *
 * While a passthrough open lives its file may be found bad, or its disk fail.
 * That handle cannot be taken back, but the next open is not to have the file
 * too. So the first one is answered ESTALE, which makes the kernel look the
 * name up again, and gets an inode of its own. Where there is no name to look
 * up (/proc/self/fd/N) the kernel comes back with the same inode: then its
 * reads come to the daemon, as those of O_DIRECT do.
 *
 * libfuse has passthrough from 3.17; Debian 12 has 3.14. The protocol is
 * spoken here by public means only: the custom I/O hooks of the session see
 * the INIT request and add to its reply (mount.c), and OPEN is answered by
 * fuse_reply_buf with a fuse_open_out of our own. The layouts and numbers
 * are those of Linux 6.9 and later, include/uapi/linux/fuse.h (7.40), which
 * the headers of Debian 12 (7.38) lack. FUSE_NOTIFY_PRUNE is of 6.18 (7.45).
 */
#ifndef FUSE_BACKING_H
#define FUSE_BACKING_H

#include <sys/ioctl.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/lock.h"
#include "cache/object.h"
#include "cache/staging.h"

/* include/uapi/linux/fuse.h of Linux 6.9 */
#define WIRE_INIT 26                      /* FUSE_INIT */
#define WIRE_INIT_EXT (UINT32_C(1) << 30) /* FUSE_INIT_EXT */
#define WIRE_PARALLEL_DIROPS (UINT32_C(1) << 18)
#define WIRE_PASSTHROUGH2 (UINT32_C(1) << 5) /* FUSE_PASSTHROUGH >> 32 */
#define WIRE_DIRECT_MMAP2 (UINT32_C(1) << 4) /* FUSE_DIRECT_IO_ALLOW_MMAP */
#define WIRE_NOTIFY_PRUNE 9                  /* FUSE_NOTIFY_PRUNE */
#define WIRE_FOPEN_DIRECT_IO (UINT32_C(1) << 0)
#define WIRE_FOPEN_KEEP_CACHE (UINT32_C(1) << 1)
#define WIRE_FOPEN_NOFLUSH (UINT32_C(1) << 5)
#define WIRE_FOPEN_PASSTHROUGH (UINT32_C(1) << 7)

struct wire_in_header { /* fuse_in_header */
	uint32_t len;
	uint32_t opcode;
	uint64_t unique;
	uint64_t nodeid;
	uint32_t uid;
	uint32_t gid;
	uint32_t pid;
	uint16_t total_extlen;
	uint16_t padding;
};

struct wire_init_in { /* fuse_init_in */
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint32_t flags2;
	uint32_t unused[11];
};

struct wire_out_header { /* fuse_out_header */
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

struct wire_notify_prune_out { /* fuse_notify_prune_out; nodeids follow */
	uint32_t count;
	uint32_t padding;
	uint64_t spare;
};

struct wire_init_out { /* fuse_init_out */
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint16_t max_background;
	uint16_t congestion_threshold;
	uint32_t max_write;
	uint32_t time_gran;
	uint16_t max_pages;
	uint16_t map_alignment;
	uint32_t flags2;
	uint32_t max_stack_depth;
	uint32_t unused[6];
};

struct wire_open_out { /* fuse_open_out */
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id; /* padding before 7.40 */
};

struct wire_backing_map { /* fuse_backing_map */
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define WIRE_IOC_BACKING_OPEN _IOW(229, 1, struct wire_backing_map)
#define WIRE_IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)

/*
 * The open files of one inode; see the top. Of one that is being written
 * (written.h) all are cached ones: it has a staged file in place of an object.
 */
#define OPENED_WROTE 8
struct opened {
	struct object *object; /* owns a ref; set once, or NULL */
	struct staged *staged; /* owns a ref; set once, or NULL */
	uint64_t nodeid;       /* set once */
	struct lock lock;

	/* under lock */
	unsigned cached;
	unsigned direct;
	unsigned passthrough;
	int backing_id; /* while passthrough > 0; the file's */
	bool left;      /* new opens are to have another inode */
	bool around;    /* all are direct, see opened_write() */
	/* Of a staged file, see written.h. */
	unsigned writers; /* who may write, and commits at the end */
	unsigned ending;  /* commits for the last of them that run */
	bool shared;      /* there was more than one */
	struct event ended;
	bool later, again; /* its commit follows, and once more */
	/* The processes that wrote since the last commit; more: any may. */
	pid_t wrote[OPENED_WROTE];
	unsigned nwrote;
	bool wrote_more;
	bool only_made; /* or emptied, since the last commit */
	bool nameless;  /* counted so: see written_discard() */
};

enum open_mode { OPEN_CACHED, OPEN_PASSTHROUGH, OPEN_DIRECT, OPEN_ELSEWHERE };

/*
 * Does the kernel take backing files on this /dev/fuse? Tries it with a
 * file in memory. 0 or -errno.
 */
int backing_probe(int dev_fd);

/* Does it take this file? 0 or -errno. */
int backing_try(int dev_fd, int fd);

/*
 * Count one more open. file: the complete file, or NULL; dev_fd: /dev/fuse, or
 * -1 when there is no passthrough. *flags and *backing_id are for the reply.
 * *refused gets the errno when the kernel would not have the file (the open
 * is cached then), else 0. OPEN_ELSEWHERE: not counted; the name is to be
 * looked up again, and to have a new inode.
 */
enum open_mode opened_add(struct opened *o, int dev_fd, struct cache_file *file,
			  bool direct, uint32_t *flags, int32_t *backing_id,
			  int *refused);

/*
 * The same for one that writes: direct, or it is cached. What is only written
 * (write_only) need not go through the kernel's page cache: that would cost a
 * copy, the pages, and a request for security.capability. But then all opens
 * of the inode go around it until the last is closed: a page that is read while
 * a write goes around it would stay there, and be old.
 */
enum open_mode opened_write(struct opened *o, bool direct, bool write_only);

/* One open less. */
void opened_remove(struct opened *o, enum open_mode mode);

/* The file of this backing id is closed. */
void backing_close(int dev_fd, int id);

#endif
