/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filelocks.h - locks that processes hold on files, by the path
 *
 * The kernel keeps locks by the inode. Here a path has one inode for each of
 * its versions, so a reader's lock on the old one would not meet that of a
 * writer, who is on the new. On mounts that write the kernel therefore asks
 * us, and the locks of a path are kept together, whatever version they were
 * asked through; they move with it when it is renamed. (All versions of a path
 * have the same st_ino as well.) Those of a file that is removed, or replaced
 * by a rename, stay with who has it open, and the next of its name has none.
 *
 * Two kinds, which do not see each other, as on Linux: flock(2) locks all of a
 * file for an open file; fcntl(2) locks a range for an owner, which is a
 * process, or with F_OFD_SETLK an open file. An ask that has to wait costs no
 * thread. Waiting for each other by fcntl() is -EDEADLK.
 *
 * What close(2) unlocks: of a file that is open for writing the kernel sends a
 * FLUSH, during the call. Of one open for reading it does not (that would cost
 * every open of small files a request more), and an open file's own end is told
 * by RELEASE, which other threads may handle after what was asked later. So
 * who would be refused for such a lock waits GRACE_NS for it to go, first. And
 * a range that was locked through a descriptor for reading stays until all
 * descriptors of that open file are closed, also those that a child has: nobody
 * tells us whether the process that asked owns it or, by F_OFD_SETLK, the open
 * file, which outlives it. (It is a lock for reading; those for writing need a
 * descriptor for that.)
 */
#ifndef FUSE_FILELOCKS_H
#define FUSE_FILELOCKS_H

#include <stdatomic.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/lock.h"
#include "base/pool.h"

#define FILELOCKS_BUCKETS 256

struct lock_place; /* a path that is locked, or was; counted */

/* Something that is asked of a place; embedded in the asker's. */
struct lock_ask {
	/* the asker's */
	const void *by; /* the open file */
	uint64_t owner; /* of a range */
	pid_t pid;      /* of the process; 0: not known */
	bool whole;     /* flock(2), else a range */
	bool late;      /* close(2) of by is not told by a FLUSH */
	bool wait;
	short type;           /* F_RDLCK, F_WRLCK, F_UNLCK */
	uint64_t first, last; /* both are in the range */
	/*
	 * Of one that waited. Does anybody wait for the answer still? Called
	 * under the table's lock, once.
	 */
	bool (*claim)(struct lock_ask *a);
	/* After that, without it: 0 or -errno. */
	void (*done)(struct lock_ask *a, int err);

	/* the table's */
	struct lock_place *place; /* borrowed from the open file */
	struct lock_ask *next;
	int64_t until; /* without wait: it is refused then */
	int err;
};

struct filelocks {
	struct pool *pool; /* owned: one thread, for the watch */

	struct lock lock;
	/* under lock */
	struct lock_place *buckets[FILELOCKS_BUCKETS];
	struct lock_ask *waiting; /* in the order in which they came */
	struct job watch;
	bool watching;
	struct event never; /* what the watch waits for, until it is time */

	atomic_uint ranges; /* locks of ranges that are held */
};

int filelocks_init(struct filelocks *t);
/* Nobody waits any more. One that was never initialized is allowed. */
void filelocks_fini(struct filelocks *t);

/* The place of a key, with a reference; NULL: no memory. */
struct lock_place *filelocks_place(struct filelocks *t, struct str key);
/* The same if it has any locks, or NULL. */
struct lock_place *filelocks_find(struct filelocks *t, struct str key);
void filelocks_unref(struct filelocks *t, struct lock_place *p);

/*
 * Lock or unlock. 0: it is done. 1: done() will be called, unless
 * filelocks_withdraw() is true first. -ENOLCK: no memory. -EDEADLK.
 */
int filelocks_ask(struct filelocks *t, struct lock_place *p,
		  struct lock_ask *a);

/* True: it is taken back, and neither claim() nor done() come any more. */
bool filelocks_withdraw(struct filelocks *t, struct lock_ask *a);

/* Is another's lock in the way? Then a has its type, range and pid. */
bool filelocks_test(struct filelocks *t, struct lock_place *p,
		    struct lock_ask *a);

/* The owner has closed a file: its ranges go. */
void filelocks_owner_closed(struct filelocks *t, struct lock_place *p,
			    uint64_t owner);

/* An open file has ended: all locks that were asked through it go. */
void filelocks_file_closed(struct filelocks *t, struct lock_place *p,
			   const void *by);

/* The file of this key has no name any more: the next one is another. */
void filelocks_removed(struct filelocks *t, struct str key);

/*
 * A path, or with tree all that begin with it, has another name. What is there
 * already is removed. from and to differ.
 */
void filelocks_moved(struct filelocks *t, struct str from, struct str to,
		     bool tree);

#endif
