/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staging.h - files that are being written, until the store has them
 *
 * What a program writes goes to a sparse file below `staging-dir`, which
 * nobody cleans (it is no cache), and becomes an object when it is
 * committed: by one put, or part by part. A record beside the file says what
 * it is of, so that what a commit failed to bring to the store is found
 * again after a crash. What is small and younger than a second is in memory,
 * unless it has an error: then it is put there.
 *
 * Of an object that was there before (the base) nothing is fetched to write
 * to it: a staged file knows which of its bytes were written, the others are
 * the base's, or zeros behind its end. A read mixes the two; a commit lets
 * the store copy the parts that did not change and fetches only what stands
 * between written bytes within one part.
 *
 * What is written can be acknowledged before the store has it
 * (staged_persist()): then bytes, checksums and record are on the disk, and
 * whatever happens to the process the next mount goes on (S14).
 *
 * Every 64 KiB page of written bytes has a checksum, taken when it was
 * written: what rots before it is sent is an error (S13), no object. The
 * first error of a write, of the disk or of a commit stays (S12): the file
 * takes nothing more and is kept until it is recovered or discarded.
 */
#ifndef CACHE_STAGING_H
#define CACHE_STAGING_H

#include "base/base.h"
#include "base/cancel.h"
#include "cache/cache.h"
#include "ufs/write.h"

struct staging;
struct staged;

struct staging_conf {
	const char *dir;     /* made 0700 when absent */
	struct cache *cache; /* borrowed: reads of bases, and what was
				committed becomes its entry */
	bool last_wins;      /* commits are bound to nothing */
	uint64_t part_size;  /* 0: 8 MiB that grow; else all alike */
	unsigned parts;      /* sent side by side for one file; 0 = 8 */
	size_t memory;       /* bytes that small files have there before they
				are on the disk; 0: none */
	bool persists;       /* a close is staged_persist(): bytes go to the
				disk as they come, and are sent after it, or
				before where somebody waits for commits */
};

/*
 * The staging of one mount. What mounts that died have left there is looked
 * at: uploads of theirs are aborted by the way, what is kept is told of in one
 * line of the log (cache/recover.h finds it). -EPERM, -EROFS and the like with
 * *why saying what to mend; -EOPNOTSUPP: the cache's store cannot be written.
 */
int staging_new(const struct staging_conf *conf, struct staging **out,
		char why[static 256]);

/*
 * A file that a mount which is gone had acknowledged and not committed, with
 * the reference of a user, or NULL: there is none left. It is dirty, and to be
 * committed by staged_commit_acked().
 */
struct staged *staging_restored(struct staging *s);

/*
 * Nobody has a file any more: wait for the commits that still run. How many
 * files this mount keeps, since the store does not have what they were given.
 */
size_t staging_settle(struct staging *s);

/*
 * This process ends without that: what is only in memory is to outlive it. How
 * many files are in memory still, since the disk does not take them or somebody
 * is at them. The staging is not freed meanwhile.
 */
size_t staging_keep(struct staging *s);
void staging_free(struct staging *s); /* no file is left; NULL is allowed */

/* Are commits bound to nothing? */
bool staging_last_wins(const struct staging *s);

/* Blocks and files of the disk below it, those free and all; as statvfs(3). */
struct statvfs;
void staging_space(struct staging *s, struct statvfs *out);

/*
 * Have the store make to of the version st of from, bound to cond, as struct
 * ufs_write_ops' copy() does; what is too large for that part by part. Blocks.
 */
int staging_copy(struct staging *s, struct str from, const struct ufs_stat *st,
		 struct str to, const struct ufs_cond *cond,
		 struct ufs_stat *out, struct cancel *cancel);

/* A file that could not be committed, and is kept, or open. */
struct staging_failed {
	struct str key; /* borrowed for the call */
	int err;        /* < 0 */
	uint64_t bytes; /* its size */
};

/*
 * Of those that opens are told of (staging_failed()) the last thousand, the
 * newest first, and of them those that were neither recovered nor discarded;
 * also those that mounts before this one left.
 */
void staging_each_failed(struct staging *s,
			 void (*cb)(void *arg, const struct staging_failed *f),
			 void *arg);

/*
 * How many files there are for `tarn recover`: those, those whose name is
 * another's by now, and those that were being written when a mount before this
 * one died.
 */
size_t staging_waiting(struct staging *s);

/*
 * Is a file of key among them? Its error, which is that of the next open for
 * writing (S12), or 0. That of STAGED_EXCLUSIVE, which found another there, is
 * none: it was asked for, and who waits for a name to be free asks again.
 */
int staging_failed(struct staging *s, struct str key);

/*
 * Syncs of a directory hear of each failure below it (dir "" or with a slash at
 * its end) once: those that came after *seen, and those that none has heard of.
 * *seen is set to now; staging_failures() is what it begins with. 0 or the
 * error of the first. Those of mounts before this one are no news.
 */
uint64_t staging_failures(struct staging *s);
int staging_failed_below(struct staging *s, struct str dir, uint64_t *seen);

/*
 * The name was removed, or is another file's: opens are not told any more.
 * What was written stays, to be recovered.
 */
void staging_forgive(struct staging *s, struct str key);

/* What the commit of a file is bound to. */
enum staged_from {
	STAGED_NEW,       /* there was nothing: else -ESTALE */
	STAGED_EXCLUSIVE, /* the same, with O_EXCL: else -EEXIST */
	STAGED_EMPTY,     /* base was there, its bytes are dropped (O_TRUNC) */
	STAGED_UPON,      /* base's bytes stay where they are not written */
};

/*
 * A file for key (relative to the mount's prefix). base: what was there, NULL
 * for new ones. One reference. A new file is dirty from the start: committed
 * as it is it is an empty object. STAGED_UPON is clean until it is written.
 */
int staged_new(struct staging *s, struct str key, enum staged_from from,
	       const struct ufs_stat *base, struct staged **out);
struct staged *staged_ref(struct staged *f);

/*
 * The same for a new file, without asking the disk for anything: -EAGAIN when
 * it would be made there, or it has to be asked whether it has room.
 */
int staged_new_now(struct staging *s, struct str key, enum staged_from from,
		   struct staged **out);

/*
 * It will get another name before it is committed: none of its parts is sent
 * until then, as an upload is of one name and what was sent would be for
 * nothing. Before it is written.
 */
void staged_send_late(struct staged *f);

/*
 * The last one: what was committed is gone from the staging; what was not,
 * and has no error, is dropped; what has one, or was acknowledged, is kept on
 * the disk.
 */
void staged_unref(struct staged *f); /* NULL is allowed */

/*
 * Write, within [0, INT64_MAX). 0 or -errno: the sticky error, -ENOSPC (which
 * does not stick: nothing of it was written), -EFBIG.
 */
int staged_write(struct staged *f, const void *p, size_t n, uint64_t off);

/* The same; -EAGAIN when a commit holds writers back: it may take long. */
int staged_write_now(struct staged *f, const void *p, size_t n, uint64_t off);

/*
 * Has it memory for bytes up to end? Then a write of a few that ends there does
 * not put it on the disk.
 */
bool staged_stays_in_memory(struct staged *f, uint64_t end);

/* The size from now on; bytes behind the old end are zeros. */
int staged_truncate(struct staged *f, uint64_t size);

/* Reserve space (fallocate mode 0): size grows to off + n, if less. */
int staged_allocate(struct staged *f, uint64_t off, uint64_t n);

/*
 * Read up to n bytes: how many, short at the end only. nowait: -EAGAIN when
 * bytes of the base have to be fetched for it.
 */
ssize_t staged_read(struct staged *f, void *p, size_t n, uint64_t off,
		    bool nowait);

/* Where the next data (or hole) at or after off is; -ENXIO as lseek(2). */
int64_t staged_seek(struct staged *f, uint64_t off, bool hole);

struct staged_state {
	uint64_t size;
	int64_t mtime;      /* of the last write, the commit, or set; ns */
	bool dirty;         /* differs from the store */
	bool acked;         /* and is on the disk: staged_persist() */
	bool committing;    /* it is on its way there */
	bool uncertain;     /* the store may have got what is not committed */
	bool removed;       /* discarded: see staged_discard() */
	int err;            /* sticky, < 0; 0 = well */
	struct ufs_stat st; /* the version last committed, or the base */
	bool committed;     /* st is what this file made */
};

void staged_get(struct staged *f, struct staged_state *out);
void staged_set_mtime(struct staged *f, int64_t mtime);

/* The key it will be committed as: into key[UFS_KEY_MAX + 1], its length. */
size_t staged_key(struct staged *f, char *key);

/*
 * Bring it to the store: what was written before the call is in the object
 * when this returns 0 and the new version in *out. Clean: 0 at once. Blocks;
 * calls from several threads join. -ECANCELED when cancel was set: the
 * commit goes on without its waiter. Without cancel it runs on the caller's
 * thread.
 */
int staged_commit(struct staged *f, struct ufs_stat *out,
		  struct cancel *cancel);

/*
 * Nobody writes it for now: let the cache have what was committed, if it is
 * small, or that takes no copying (both are on one file system). Who writes to
 * what was not copied has it copied first.
 */
void staged_offer(struct staged *f);

/*
 * Have what was written before the call on the disk, to be brought to the
 * store also by the next mount. 0, or -errno: the sticky error, or it could
 * not be and staged_commit() is to be tried.
 */
int staged_persist(struct staged *f);

/*
 * Commit what was acknowledged, and nothing that was written since. Blocks.
 * -EAGAIN: it was written since. An error that passes (staged_passes()) does
 * not stick.
 */
int staged_commit_acked(struct staged *f, struct ufs_stat *out);

/* Of a store that is away or full for a while, or of a lack of memory. */
bool staged_passes(int err);

/*
 * It will be committed as this key, bound to cond, which is what is there
 * (rename of what is not committed); NULL: what it is bound to already has
 * moved there as it is. Waits for a commit that runs. With cond the store is
 * asked whether it has got what it was not heard to have. -EALREADY: it has, or
 * it is committed by now; it is to be copied instead (staged_copied()) when
 * staged_commit() has told as what. The sticky error, -ENOSPC, or that of the
 * store: nothing was changed.
 */
int staged_move(struct staged *f, struct str key, const struct ufs_cond *cond);

/*
 * The store has copied the version `was` of it to key, where it is st now: the
 * file is of that from now on, and as dirty as it was. Is it to replace that
 * version, having been moved there, it will replace the copy. -ESTALE: it has
 * another version by now.
 */
int staged_copied(struct staged *f, const char *was, struct str key,
		  const struct ufs_stat *st);

/*
 * Another is about to get its name: nothing is committed until it is resumed
 * or discarded, and whether the store has got it is known. Waits for that: for
 * the commit that runs, if somebody waits for that one.
 */
void staged_pause(struct staged *f);
void staged_resume(struct staged *f);

/*
 * The same when its name is about to be removed: the commit that runs is of no
 * use, and cancelled as by staged_discard(). Who waits for one goes on to: it
 * begins anew if the file is resumed.
 */
void staged_stop(struct staged *f);

/*
 * What the store has of it is about to get another key: no commit begins, and
 * none runs when this returns, until staged_move(), staged_copied() or
 * staged_go_on().
 */
void staged_still(struct staged *f);
void staged_go_on(struct staged *f); /* nothing if it does already */

/*
 * Its name was removed: bytes stay readable, commits are 0 and do nothing. One
 * that runs is cancelled and waited for: what it made is in staged_get().
 */
void staged_discard(struct staged *f);

#endif
