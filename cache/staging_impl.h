/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staging_impl.h - what the sources of the staging share, and nobody else
 *
 *   staging.c        the directory, the threads
 *   staged.c         a staged file from its making to its end
 *   staged_write.c   writes, truncation, reservation
 *   staged_memory.c  what is small is in memory at first
 *   staged_read.c    what its bytes are: written, the base's, zeros
 *   staged_record.c  the record beside it, and how its first error sticks
 *   staged_ack.c     what a close acknowledged before the store had it
 *   staged_body.c    its bytes as they are sent: checked, of one moment
 *   upload.c         parts on their way, while it is written and at a commit
 *   commit.c         it becomes an object
 *   staged_offer.c   and the cache's entry
 *   staged_out.c     writeback: on the disk before the close
 *   staging_copy.c   the store makes an object of another one
 *   failed.c         what did not, by its key
 *   forgive.c        its name is another file's now
 *   orphans.c        what mounts before this one left
 *   restore.c        of that, what they had acknowledged
 *   found.c          is what the store has ours?
 *   recover.h        files of the staging, read by others than their mount
 *   parts.h ranges.h sums.h
 *
 * A file has one lock, never held across I/O. Who changes the staging file
 * takes the turn (writing), so writes come one at a time. Each takes a number
 * (change) before its first byte is written, and marks the parts that it
 * touches with it (gen). What is being sent remembers the number that it
 * began with: is it another one when bytes were read, what was read may be of
 * two moments and is thrown away (it was stirred). So an object is always
 * what the file was at one moment T: of a put, when it begins; of an upload,
 * when all parts are found clean, under the lock, before upload_end().
 *
 * At T, dirty becomes frozen, and dirty begins anew: when the commit has
 * succeeded its version is the base, and what was written since is dirty.
 * held only grows: what the staging file has it keeps, for reads. What is in
 * it and not held are zeros, so that a byte that was never written below the
 * base's end is the base's, and behind it reads as what it is.
 */
#ifndef CACHE_STAGING_IMPL_H
#define CACHE_STAGING_IMPL_H

#include "base/lock.h"
#include "base/pool.h"
#include "cache/parts.h"
#include "cache/ranges.h"
#include "cache/staging.h"
#include "cache/sums.h"
#include "cache/upload_abort.h"

#define STAGED_ID 32     /* hex digits */
#define FAILED_MOST 1000 /* that opens are told of; the others only count */

struct failed {
	struct failed *next;
	struct staged *file; /* borrowed until it ends; NULL: it has */
	char id[STAGED_ID + 1];
	int err; /* < 0; 0: it was interrupted */
	uint64_t bytes;
	uint64_t number; /* in the order that they failed, from 1 */
	bool heard;      /* by a sync of a directory */
	bool told;       /* opens hear nothing of it (any more) */
	size_t n;
	char key[];
};

struct staging {
	/* set once */
	struct cache *cache;
	struct ufs *ufs;
	const struct ufs_write_ops *ops;
	struct ufs_limits limits;
	bool uploads;       /* the store takes parts */
	struct parts parts; /* if so */
	uint64_t whole;     /* up to this size: one put */
	uint64_t most;      /* bytes of a file */
	bool last_wins;
	bool persists; /* as its conf has it */
	bool takes;    /* the cache is on the same file system */
	unsigned side_by_side;
	int dir;
	/* Commits wait for parts, so these have threads of their own. */
	struct pool *commits, *senders;
	size_t memory_most; /* pages; 0: none is in memory */
	struct pool *spill; /* runs this, as long as it lives: */
	struct job spiller;

	struct lock lock;
	struct event gone;
	/* under lock */
	size_t live; /* files, and uploads to be aborted */
	struct failed *failed;
	size_t untold;     /* of them, at most FAILED_MOST */
	uint64_t failures; /* so far; the last one's number */
	size_t kept;       /* files that have ended and stay on the disk */
	struct restored *restored;
	/* of files in memory: staged_memory.c */
	size_t memory_pages;
	size_t in_memory; /* files */
	struct staged *oldest, *newest;
	struct event wake;
	bool asleep; /* until it is woken */
	unsigned spilling;
	bool stopping;
	bool roomy; /* the disk, when it was looked at last */
	int64_t look_at, refused_until;
	/* atomic */
	atomic_bool no_copies;      /* of parts: the store does them wrongly */
	atomic_int_fast64_t synced; /* when one waited for the store */
};

/* The version that what was not written is of. Never changes. */
struct staged_base {
	atomic_uint refs;
	struct ufs_stat st;
	struct str key;
	char bytes[];
};

struct staged_part {
	uint64_t gen;      /* of the last change that touched it */
	uint64_t sent_gen; /* the same when it was read to be sent */
	enum { PART_IDLE, PART_WANTED, PART_SENDING } state;
	bool sent;
	struct ufs_part done;
};

/* A generation of a file that was acknowledged and written over: staged_ack.c
 */
struct aside {
	struct aside *next; /* an older one */
	char id[STAGED_ID + 1];
	int fd; /* owned, and with it the flock */
	uint64_t change;
	bool tried; /* the store may have got it */
	uint64_t size, base_end;
	struct ranges held; /* owned */
};

struct staged {
	struct staging *staging;
	atomic_uint users; /* staged_ref() less staged_unref() */
	atomic_uint refs;  /* one of all users, the commit's, the senders' */
	struct job job;    /* the commit; at last its end */
	char line[STAGED_ID + 1]; /* id of its first generation */

	/* under the staging's lock, while it is in memory */
	struct staged *older, *newer;
	bool listed;
	int64_t due; /* to be spilled */

	/* whose turn it is */
	struct sums *sums; /* pages of others may be asked for, see there */
	struct ranges reserved;
	bool no_reserve; /* the file system cannot */
	uint64_t next;   /* where one who writes in order goes on */

	struct lock lock;
	struct event changed; /* anything below */
	/* under lock */
	char *key; /* moves only while nothing is committed or sent */
	size_t key_len;
	int fd; /* -1 until there is something to write; then it stays */
	/* It is none of the disk. Set before it has an fd, unset by who has
	 * the turn. */
	bool memory;
	size_t memory_pages;    /* reserved; of who has the turn */
	char id[STAGED_ID + 1]; /* while recording it does not change */
	unsigned generation;
	enum ufs_if bound;
	char version[UFS_VERSION_MAX]; /* of UFS_IF_VERSION */
	bool exclusive;                /* what is there is -EEXIST */

	bool writing; /* the turn */
	pthread_t turn_of;
	bool slow;    /* who has it may copy, or wait for the disk */
	bool emptied; /* the file is a new one already, size and sums are not */
	/* The file is the cache's as well, and not to be changed. Set while
	 * nobody has the turn, unset by who has. */
	bool taken;
	uint64_t write_off, write_end;
	bool held_back; /* nobody gets it */
	uint64_t change, committed;
	uint64_t size;
	int64_t mtime;
	bool timed; /* mtime was set, after the last write */
	int err;    /* sticky; > 0 */
	bool removed, abandoned, made;
	bool told;   /* opens are not told err any more */
	bool copies; /* nothing is written to it: see staging_copy.c */

	struct staged_base *base; /* owns a ref; NULL: nothing was there */
	uint64_t base_end;        /* its bytes count up to here */
	uint64_t next_end;        /* the same of what is being committed */
	struct ranges held, dirty, frozen;

	bool committing, adopting, quiet;
	bool
	    sealing; /* what is sent may become an object: see quiet_locked() */
	bool paused; /* quiet, until staged_resume() or staged_discard() */
	bool still;  /* quiet until it has another key, or is let go on */
	bool adopted;      /* the cache has base whole */
	uint64_t owed;     /* bytes written since it last had */
	bool recording;    /* someone writes the record */
	bool record_clean; /* it may say that nothing is to be committed */

	/* what a close was told of, before the store has it: staged_ack.c */
	bool acked; /* as it is, change being acked_change, it is durable */
	uint64_t acked_change;
	uint64_t acked_sums;  /* hash of the table of checksums on the disk */
	struct aside *asides; /* the newest first; owned */
	uint64_t tried;       /* the last change that the store may have got */
	bool uncertain;       /* it may have it without our knowing */
	bool forced;          /* someone waits for the commit that runs */
	unsigned runs;        /* commits that have ended, */
	int run_err;          /* and how the last one did */
	char *old_upload; /* of a mount that died, or not known; to be aborted
			   * before there is another */

	/* parts: upload.c */
	struct staged_part *parts;
	unsigned nparts;
	unsigned wanted, senders;
	unsigned seq; /* the next that is filled in order */
	bool late;    /* nothing is sent while it is written */
	char *upload; /* its id */
	bool beginning;
	int send_err; /* nothing is sent until a commit begins; < 0 */

	/* staged_out.c: bytes to be begun to be written */
	struct job out;
	bool outs; /* it is queued, or runs */
	uint64_t out_from, out_to;
	struct cancel cancel;
};

/* staging.c */
void staging_lives(struct staging *s, int n); /* a file, an abort: 1 or -1 */
void staging_keeps(struct staging *s);        /* one that ended stays */

/* failed.c */
/*
 * Remember that it failed; told: opens are to hear nothing of it. file: NULL
 * when it has ended already; else it is remembered until that at least, be it
 * on the disk or not.
 */
void failed_note(struct staging *s, struct str key, const char *id, int err,
		 uint64_t bytes, bool told, struct staged *file);
/* It ends and has no reference any more, or its files were removed. */
void failed_ended(struct staging *s, const struct staged *f);
/* The ids (heap) of those of key that opens are told of, or of all (NULL). */
size_t failed_ids(struct staging *s, const struct str *key,
		  char (**out)[STAGED_ID + 1]);
/* The file, held, if it has not ended. */
struct staged *failed_living(struct staging *s, const char *id);
/* Opens are not told of it any more. */
void failed_told(struct staging *s, const char *id);
/* Those of now are no news to anybody. */
void failed_heard(struct staging *s);
void failed_free(struct staging *s);

/* orphans.c */
int orphans_find(struct staging *s);

/* restore.c */
/*
 * The generations of a file that a mount which is gone had acknowledged, as
 * their ids, the newest first: a staged file, for staging_restored(). named:
 * the one whose record tells its name, and what it is bound to.
 */
void restore_file(struct staging *s, char (*ids)[STAGED_ID + 1], size_t n,
		  const char *named);
void restored_free(struct staging *s);

/* found.c */
/*
 * A condition of the commit does not hold: is it by what was sent for this
 * file before? 1: the store has it as it is, and that is in *out; 2: it has a
 * generation before it, *out, which is what it is upon now; 0: it has what is
 * another's. Or -errno.
 */
int found_ours(struct staged *f, struct ufs_stat *out);

/* staged_ack.c */
/* The bytes that it has to an empty file. Needs the turn. 0 or -errno. */
int staged_copy_bytes(struct staged *f, int to);
/* It is to be changed: what was acknowledged is to stay as it is. keep: its
 * bytes are wanted. Needs the turn. */
int staged_set_aside(struct staged *f, bool keep);
/*
 * Those that are of no use any more go: the record that is on the disk stands
 * in for them, and says what a commit up to change upto has made. UINT64_MAX:
 * all of them.
 */
void staged_drop_asides(struct staged *f, uint64_t upto);
void staged_asides_free(struct staged *f); /* and stay on the disk */
static inline bool staged_acked_locked(const struct staged *f)
{
	return f->acked && f->acked_change > f->committed;
}

/* staged.c */
struct staged *staged_alloc(struct staging *s); /* NULL: no memory */
void staged_free(struct staged *f);
int staged_set_key(struct staged *f, struct str key);
int staged_make_id(char id[static STAGED_ID + 1]);
struct staged_base *staged_base_new(struct str key); /* NULL: no memory */
struct staged_base *staged_base_ref(struct staged_base *b);
void staged_base_unref(struct staged_base *b); /* NULL is allowed */
void staged_hold(struct staged *f);            /* beside the users' */
void staged_let_go(struct staged *f);

/* False: it is ending. */
static inline bool staged_try_hold(struct staged *f)
{
	unsigned n = atomic_load_explicit(&f->refs, memory_order_relaxed);

	while (n > 0)
		if (atomic_compare_exchange_weak_explicit(&f->refs, &n, n + 1,
							  memory_order_relaxed,
							  memory_order_relaxed))
			return true;
	return false;
}

static inline bool staged_dirty_locked(const struct staged *f)
{
	return f->change != f->committed;
}

/* staged_write.c */
/* Wait for the turn. The sticky error: not taken. */
int staged_turn_locked(struct staged *f) TSA(requires_capability(f->lock));
void staged_turn_end(struct staged *f);
/* Nobody gets the turn, and nobody has it, until they are let on. */
void staged_hold_back_locked(struct staged *f)
    TSA(requires_capability(f->lock));
void staged_let_on_locked(struct staged *f) TSA(requires_capability(f->lock));
/*
 * A new, empty staging file of this name. Its lock is held before there is a
 * record, for whoever finds that. 0 or -errno; nothing is left then.
 */
int staged_data_new(struct staging *s, const char *name, int *out);
/*
 * The staging file and its record, made if they are not there; one that the
 * cache has taken is replaced by a copy of it. Needs the turn, or a file that
 * nobody else has.
 */
int staged_files(struct staged *f);
/* Give back what was reserved behind the end. */
void staged_give_back(struct staged *f);

/* staged_memory.c */
#define STAGED_MEMORY_MOST MIB(1) /* no more than the cache copies anyway */
/* Can it be in memory, with the bytes it has? Then it is, and has an fd. */
bool staged_memory_new(struct staged *f, bool nowait);
/* Is it on the disk, or can it have this size in memory? Needs the turn. */
bool staged_memory_holds(struct staged *f, uint64_t size);
/* Its pages are others'; also of one that has none, but may be listed. */
void staged_memory_end(struct staged *f);
/*
 * Have it on the disk, with its record; nothing if it is. Needs the turn, or
 * that nobody gets it. -errno: it still is in memory, as it was.
 */
int staged_spill(struct staged *f);
int staging_memory_start(struct staging *s, size_t memory);
void staging_memory_stop(struct staging *s);

/* staged_read.c */
/* Bytes of a base. Blocks. */
int staged_base_read(struct staging *s, struct staged_base *b, void *buf,
		     size_t n, uint64_t off);
/* Begin to fetch those bytes of [off, end) that are not held. */
void staged_base_ahead(struct staged *f, struct staged_base *b, uint64_t off,
		       uint64_t end);

/* staged_record.c */
/* Of one that is in memory there is none, which is well. */
int staged_record(struct staged *f);
int staged_record_sync(struct staged *f); /* on the disk when it returns */
/* Of a file that is to have these data; who calls is recording. */
int staged_record_of(struct staged *f, int fd);
/* ID.json of an upload that is to be aborted, without a file. 0 or -errno. */
int staged_record_upload(struct staging *s, const char *id, struct str key,
			 const char *upload);
/* Nobody writes the record, and who would waits. */
void staged_recording_begin_locked(struct staged *f)
    TSA(requires_capability(f->lock));
void staged_recording_end_locked(struct staged *f)
    TSA(requires_capability(f->lock));
/* ID.json first, so that what is left is of nobody. */
void staged_remove_files(struct staging *s, const char *id);
void staged_record_remove(struct staged *f);
/*
 * The first error: logged, and what is there is made to stay there. Takes and
 * returns it; a file that was removed has none.
 */
int staged_stick(struct staged *f, int err, const char *what);

/* staged_body.c */
struct staged_body {
	struct staged *file;
	struct staged_base *base; /* owns a ref, or NULL */
	unsigned part;            /* STAGED_WHOLE: all of it */
	uint64_t at, size;        /* in the file */
	uint64_t base_end;
	uint64_t gen;
	bool stirred; /* it was written to: nothing is wrong */
	uint64_t page;
	bool loaded;
	char *buf; /* SUM_PAGE: page, if loaded */
	struct ufs_body body;
};

#define STAGED_WHOLE UINT32_MAX

/* What is to be sent is as it is now; no write is at it. buf is set. */
void staged_body_begin_locked(struct staged *f, struct staged_body *b)
    TSA(requires_capability(f->lock));
void staged_body_end(struct staged_body *b);

/* upload.c */
/* [off, end) is being changed, by the change of this number. */
void upload_touch_locked(struct staged *f, uint64_t off, uint64_t end)
    TSA(requires_capability(f->lock));
/* Somebody waits for the store to have f. */
void upload_note_sync(struct staged *f);
/* It was written: send what is full now. */
void upload_wrote_locked(struct staged *f, uint64_t off, uint64_t end)
    TSA(requires_capability(f->lock));
/*
 * Send all parts that are not as the file is. -EAGAIN: it was written
 * meanwhile. 0: they are, and the parts are in *out (heap), *n. Writers are
 * held back in any case when it returns.
 */
int upload_send_locked(struct staged *f, struct ufs_part **out, unsigned *n)
    TSA(requires_capability(f->lock));
/* What was sent counts no more. Nothing is being sent. The id (heap) or NULL.
 */
char *upload_forget_locked(struct staged *f) TSA(requires_capability(f->lock));
/* Wait until nothing is sent any more; what was wanted is not. */
void upload_stop_locked(struct staged *f) TSA(requires_capability(f->lock));
/* A file with an error is not sent: abort what a commit will not. */
void upload_end_failed(struct staged *f);
/*
 * Abort it behind the caller's back; id is taken over, NULL is allowed. When
 * it returns the record of its file may forget it.
 */
void upload_abort_later(struct staging *s, struct str key, char *id);

/* commit.c */
void commit_run(struct job *job);

/* staged_out.c */
/* [off, end) was written, and f->next is as it was before. */
void staged_out_locked(struct staged *f, uint64_t off, uint64_t end)
    TSA(requires_capability(f->lock));

/* staged_offer.c */
/* Let the cache have it, if it is all here. */
void commit_adopt(struct staged *f);
/* It is the cache's when nobody writes it, not at its commit. */
bool staged_is_offered(const struct staged *f);

#endif
