/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover.h - what the store does not have, found again in a staging-dir
 *
 * Files stay in a staging-dir (staged_record.c tells how) when a commit of
 * them failed, and when the process that they lived in died. Here they are
 * read without it, by a mount when it starts and by `tarn recover`.
 *
 * A record says one of these:
 *
 *   live         a process has the file open, and may write to it
 *   failed       err: it was told; nothing changes it any more
 *   waiting      acked: a close was told that it will be in the store; the
 *                next mount brings it there (S14)
 *   interrupted  none of these: its process died before the store had it, and
 *                nobody was told that it had
 *   nothing      all of it is in the store, or nothing was written
 *
 * A staging-dir belongs to this user alone, but what lies in it is believed
 * no further than that: a record that is torn, too large or not ours is
 * passed by, with a line in the log.
 */
#ifndef CACHE_RECOVER_H
#define CACHE_RECOVER_H

#include "base/base.h"
#include "base/cancel.h"
#include "ufs/write.h"

#define RECOVER_ID 32 /* hex digits */

struct recover_record {
	char id[RECOVER_ID + 1];
	char dir[RECOVER_ID + 1]; /* the store's, below the staging-dir */
	char *store, *prefix;     /* as struct ufs has them */
	char *key;                /* relative to prefix; a NUL behind it */
	size_t key_len;
	/* What its commit is bound to; any, absent or version. */
	enum ufs_if bound;
	bool exclusive; /* absent, and what is there is -EEXIST */
	char version[UFS_VERSION_MAX];
	uint64_t size;
	int64_t mtime; /* when it was written last, ns */
	int err;       /* errno that it failed with, > 0; or 0 */
	bool live;
	bool data;  /* the file is there, and not the record alone */
	bool clean; /* the store had all of it when this was recorded */
	bool acked; /* a close was told of it, as it is */
	/* Which file it is of, by an id, and which of its states. */
	char line[RECOVER_ID + 1];
	uint64_t generation;
	int64_t recorded; /* ns since 1970 */
	bool told;        /* its name is another file's: opens hear no error */
	bool exact;       /* which of its bytes were written is known */
	bool whole;       /* none of its bytes is missing */
	char *upload;     /* an upload that may still be open, or NULL */
};

void recover_record_fini(struct recover_record *r);

/* Is there something to bring back? */
bool recover_has(const struct recover_record *r);

/* Not 0: no more are wanted. What it takes over of r it sets to NULL. */
typedef int recover_cb(void *arg, struct recover_record *r);

/*
 * All records in the directory of one store (a descriptor), or in a
 * staging-dir; one that is not there has none. 0, what cb returned, or
 * -errno; of the second with why.
 */
int recover_each_in(int dir, recover_cb *cb, void *arg);
int recover_each(const char *staging, recover_cb *cb, void *arg,
		 char why[static 256]);

/* A record and its file. */
struct recover_file {
	int dir, fd; /* fd -1: the record is alone */
	struct recover_record r;
};

/*
 * Have it alone: for others it is live as long as this is held. Whoever has it
 * now is waited for a little (wait: so long, in ns), as one who closes it or
 * looks at it is soon done. -EBUSY: it is live. -ENOENT: it is gone. The first
 * is for who has the directory of the store.
 */
int recover_claim_in(int dir, const char *id, int64_t wait,
		     struct recover_file *out);
int recover_claim(const char *staging, const struct recover_record *r,
		  struct recover_file *out, char why[static 256]);

/* To read it only: one that failed may be, while it is live. */
int recover_open(const char *staging, const struct recover_record *r,
		 struct recover_file *out, char why[static 256]);
void recover_close(struct recover_file *f);

/* All its bytes to an empty file; holes stay holes. -ENODATA: not whole. */
int recover_save(const struct recover_file *f, int to);

struct recover_how {
	bool force;         /* whatever is there now: not as it was bound */
	uint64_t part_size; /* as struct staging_conf has it */
};

/*
 * Make it an object of u, which is its store and has its prefix, and drop it.
 * Blocks. -ENODATA: not whole; else as struct ufs_write_ops has it.
 */
int recover_commit(struct recover_file *f, struct ufs *u,
		   const struct recover_how *how, struct ufs_stat *out,
		   struct cancel *cancel);

/*
 * Drop it. A record that names an upload stays, alone: the next mount of the
 * store aborts it.
 */
int recover_discard(struct recover_file *f);

/* Write into the record that its upload is closed; that it is told. */
int recover_note_closed(struct recover_file *f);
int recover_note_told(struct recover_file *f);

#endif
