/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_impl.h - what the sources behind meta.h share
 *
 *   meta.c             what is asked of it, and from where it is answered
 *   meta_flight.c      questions to the store, one for all who ask the same
 *   meta_list.c        the flight that lists a directory
 *   meta_ranges.c      a large one by several LISTs side by side
 *   meta_pages.c       parts of a large one, asked for anew
 *   meta_table.c       what is remembered: listings, single names
 *   meta_made.c        what this mount itself changed
 *   meta_invalidate.c  what is not to be believed any more
 *   meta_rules.c       the same, for the mounts to come
 */
#ifndef CACHE_META_IMPL_H
#define CACHE_META_IMPL_H

#include <stdatomic.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/pool.h"
#include "cache/gate.h"
#include "cache/meta.h"

#define DIRS_MAX 256 /* listings held open, at most */
#define DIRS_MIN 32
#define DIR_BUCKETS 512
#define KNOWN_MAX 8192
#define KNOWN_BUCKETS 2048
#define FLIGHT_BUCKETS 256
#define RULES_MAX 64
#define MADE_MAX 4096
#define MADE_BUCKETS 1024
#define PAGES_MAX 256 /* of a thousand entries each, some 100 KB */
#define THREADS_MAX 32

/* A directory of more entries is not listed to answer a lookup. */
#define LOOKUP_LIST_MAX 100000

/* How long a refused LIST, or an absent listing file, is not tried again. */
#define DENIED_FOR (60 * NSEC_PER_SEC)
#define PROBE_EVERY NSEC_PER_SEC

/* What is known of one directory, by recency; all under meta.lock. */
struct dir {
	struct dir *next; /* in its bucket */
	struct dir *newer, *older;
	struct listing *listing; /* owns a ref; NULL: none */
	int64_t vouched;         /* what was made up to then is in it */
	unsigned asks;           /* lookups sent since it was last listed */
	bool big;                /* found to be above LOOKUP_LIST_MAX */
	int64_t denied;          /* when LIST was refused */
	int64_t probed;          /* when its file was last looked for */
	size_t n;
	char key[];
};

/* What the store said of one name, asked for on its own, or what was made. */
struct known {
	struct known *next; /* in its bucket */
	int64_t taken;
	bool made;           /* listings of before may say otherwise */
	bool object, dir;    /* neither: absent */
	struct ufs_stat *st; /* of the object; owned */
	size_t dir_n;        /* of key: what is the directory's */
	size_t n;
	char key[];
};

/* A directory in which this mount changed something; under meta.lock. */
struct made {
	struct made *next; /* in its bucket */
	int64_t at;        /* the last time */
	int64_t noted;     /* the disk's note covers what is made up to then */
	size_t n;
	char key[];
};

/*
 * What was asked before `since` is not believed of the directory above, and
 * of all directories whose key begins with tree. Of key "a/b": "a/" and
 * "a/b/"; the one above is always a start of the tree.
 */
struct rule {
	int64_t since;
	size_t above_n, tree_n;
	char tree[UFS_KEY_MAX + 1];
};

enum flight_kind { FLIGHT_LIST, FLIGHT_PAGE, FLIGHT_LOOKUP, FLIGHT_STAT };

/*
 * One question to the store. It runs on the pool; who asks waits. When the
 * last one who waits gives up it is cancelled.
 */
struct flight {
	struct meta *meta;
	enum flight_kind kind;
	struct job head_job, list_job;
	struct cancel cancel;
	_Atomic int64_t progress; /* when it last got on */
	_Atomic uint64_t seen;    /* entries listed so far */

	/* under meta.lock */
	struct flight *next; /* in its bucket */
	bool listed;         /* in its bucket: it can be joined */
	bool begun, done, doomed;
	unsigned refs, waiters, jobs;
	struct event ended;

	/* set by its jobs, read when done */
	int64_t began;
	int64_t taken; /* the same, or earlier: see flight_aged() */
	int err;
	int head_err, below_err;
	struct ufs_stat st;
	struct listing *listing; /* owns a ref */

	size_t dir_n; /* of key: what is the directory's */
	size_t n;
	char key[];
};

static inline struct str flight_dir(const struct flight *f)
{
	return (struct str){ f->key, f->dir_n };
}

static inline struct str flight_key(const struct flight *f)
{
	return (struct str){ f->key, f->n };
}

struct meta {
	/* set once */
	struct ufs *ufs; /* borrowed */
	struct disk *disk;
	enum consistency consistency;
	int64_t ttl, negative_ttl, timeout;
	size_t dirs_max;
	struct pool *pool;
	struct gate gate; /* of those who read listings from the disk */

	struct lock lock;
	/* under lock */
	struct dir *dirs[DIR_BUCKETS];
	struct dir *newest, *oldest;
	size_t ndirs;
	struct known *known[KNOWN_BUCKETS];
	struct known *ring[KNOWN_MAX]; /* as they came */
	size_t ring_at;
	struct flight *flights[FLIGHT_BUCKETS];
	struct rule rules[RULES_MAX];
	size_t nrules;
	struct page *pages; /* PAGES_MAX, once there is one */
	size_t page_at;     /* the next goes there */
	struct made *made[MADE_BUCKETS];
	struct made *made_ring[MADE_MAX]; /* as they came */
	size_t made_next;
	uint64_t forgets;   /* times that something was let go of as wrong */
	int64_t made_floor; /* the last change of those that had to leave */
	int64_t owed; /* a note of then is not on the disk; or INT64_MIN */
};

/* Listings to let go of when the lock is dropped. */
struct drops {
	struct listing *l[2];
	size_t n;
};

static inline void drops_end(struct drops *d)
{
	for (size_t i = 0; i < d->n; i++)
		listing_unref(d->l[i]);
}

uint64_t meta_hash(struct str key);

/* meta.c */

/* Together no longer than UFS_KEY_MAX. */
struct str meta_join(struct str dirkey, struct str name,
		     char key[static UFS_KEY_MAX]);
/*
 * What is name in dirkey, without a request? -EAGAIN: what is known does not
 * tell. nowait: the disk is not read for it.
 */
int meta_local(struct meta *m, struct str dirkey, struct str name, bool nowait,
	       struct meta_answer *out);
/*
 * Look for the directory's listing on the disk; unless just done, or again.
 * True: it was newer than what is in memory.
 */
bool meta_load(struct meta *m, struct str dirkey, bool again);

/* meta_table.c */

/* The directory's entry, now the newest, or NULL. */
struct dir *dir_find_locked(struct meta *m, struct str key)
    TSA(requires_capability(m->lock));
/* The same, made when absent. NULL: no memory. */
struct dir *dir_get_locked(struct meta *m, struct str key, struct drops *drops)
    TSA(requires_capability(m->lock));
/* Its listing, if that is not known to be wrong, or NULL. */
struct listing *dir_usable_locked(struct meta *m, const struct dir *d)
    TSA(requires_capability(m->lock));
/* Up to when the listing tells what this mount made. */
int64_t dir_current(const struct dir *d);
/* Drop the listing if it does not tell what was made then. True: done. */
bool dir_outdated_locked(struct meta *m, struct str key, int64_t made,
			 struct drops *drops) TSA(requires_capability(m->lock));
/* Takes over l's reference (NULL: none). */
void dir_set_locked(struct dir *d, struct listing *l, struct drops *drops);
void dir_remove_locked(struct meta *m, struct dir *d)
    TSA(requires_capability(m->lock));

/* What was learnt of key, or NULL: nothing. Borrowed under the lock. */
const struct known *known_find_locked(struct meta *m, struct str key)
    TSA(requires_capability(m->lock));
/*
 * Remember an answer. Of key the first dir_n bytes are its directory; st:
 * of the object, or NULL when there is none. made: by this mount. False: no
 * memory.
 */
bool known_add_locked(struct meta *m, struct str key, size_t dir_n,
		      int64_t taken, const struct ufs_stat *st, bool dir,
		      bool made, struct drops *drops)
    TSA(requires_capability(m->lock));
/* Forget names in the directory above, and in the tree. */
void known_drop_locked(struct meta *m, const struct rule *r)
    TSA(requires_capability(m->lock));
void table_free_locked(struct meta *m) TSA(requires_capability(m->lock));

/* meta_made.c */

/* When this mount last changed something in the directory; or INT64_MIN. */
int64_t made_at_locked(struct meta *m, struct str dirkey)
    TSA(requires_capability(m->lock));
/*
 * What was made then of a name in the directory is not remembered any more:
 * let go of all that was asked before and may say otherwise.
 */
void made_forget_locked(struct meta *m, struct str dirkey, int64_t made,
			struct drops *drops) TSA(requires_capability(m->lock));
/* May listings on the disk be believed? Not while a note is owed. */
bool made_noted(struct meta *m);
/* The last chance to write a note that is owed; frees the table. */
void made_fini(struct meta *m);

/* meta_invalidate.c */

/* Tell what is nearer than the store. */
void tell_source(struct meta *m, struct str key, bool tree);

bool rule_covers(const struct rule *r, struct str dirkey);

/* Is what was taken then not to be believed of the directory? */
bool rules_forbid_locked(const struct meta *m, struct str dirkey, int64_t taken)
    TSA(requires_capability(m->lock));

/* Add a rule to *n, at most RULES_MAX; two become one when there is no room. */
void rules_add(struct rule *rules, size_t *n, const struct rule *r);

/* meta_rules.c */

/* What earlier mounts invalidated; before anything is asked. */
void rules_load(struct meta *m);
/* Keep one rule more on the disk, beside those that are there. */
int rules_save(struct meta *m, const struct rule *r);
/*
 * Does what is kept there, by whatever mount, forbid a listing that the disk
 * has? Reads the disk.
 */
bool rules_forbid_saved(struct meta *m, struct str dirkey, int64_t taken);

/* meta_flight.c */

/*
 * Ask, or wait for who asks just that. Returns how it ended, or -ETIMEDOUT
 * or -ECANCELED before its end. patient: however long the listing; else
 * -E2BIG above LOOKUP_LIST_MAX. *out: the flight, with a reference, when it
 * has ended (well or not), else NULL.
 */
int flight_take(struct meta *m, enum flight_kind kind, struct str dirkey,
		struct str name, bool patient, struct cancel *cancel,
		struct flight **out);
void flight_put(struct meta *m, struct flight *f); /* NULL is allowed */
bool flight_listing_locked(struct meta *m, struct str dirkey)
    TSA(requires_capability(m->lock));
void flights_doom_locked(struct meta *m, const struct rule *r)
    TSA(requires_capability(m->lock));
/* Those of the directory that began before. True: there are some. */
bool flights_outdated_locked(struct meta *m, struct str dirkey, int64_t before)
    TSA(requires_capability(m->lock));

/*
 * Is something being asked, from before now, whose answer tells of the name?
 * doom: it is not to be remembered.
 */
bool flights_telling_locked(struct meta *m, struct str dirkey, struct str name,
			    bool doom) TSA(requires_capability(m->lock));

/* For the jobs: say that it runs; that one of its jobs is through. */
void flight_begin(struct flight *f);
/*
 * Its question of then was answered: by something nearer than the store,
 * maybe, which told what was so before (ufs_last_age()).
 */
void flight_aged(struct flight *f, int64_t asked);
void flight_job_end(struct flight *f);

/* meta_list.c */
void flight_list_run(struct job *job);

/* meta_pages.c */

/* The newest page that tells of name, with a reference, or NULL. */
struct listing *pages_find(struct meta *m, struct str dirkey, struct str name);
struct listing *pages_find_locked(struct meta *m, struct str dirkey,
				  struct str name)
    TSA(requires_capability(m->lock));
/*
 * Ask for the page that name stands in by the old listing. 0: it is there now
 * for pages_find(), if it has the name; -EAGAIN: the old one does not tell.
 */
int pages_ask(struct meta *m, struct str dirkey, struct str name,
	      struct listing *old, struct cancel *cancel);
void flight_page_run(struct job *job);
/* Drop those of the directory that were asked for before. True: some. */
bool pages_outdated_locked(struct meta *m, struct str dirkey, int64_t before)
    TSA(requires_capability(m->lock));
void pages_free_locked(struct meta *m) TSA(requires_capability(m->lock));

/* meta_ranges.c */

/*
 * All entries of the flight's directory into the writer; one_piece: by one
 * LIST after the other. *any: there were some; *writer_err: it was the
 * writer's error. -EAGAIN: the store does not list in order, and the writer
 * has a part: begin again, in one piece.
 */
struct listing_writer;
int ranges_list(struct flight *f, struct listing_writer *w, bool one_piece,
		bool *any, int *writer_err);

struct disk_id meta_listing_id(const struct meta *m, struct str dirkey);

#endif
