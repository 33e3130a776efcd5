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
	unsigned asks;           /* lookups sent since it was last listed */
	bool big;                /* found to be above LOOKUP_LIST_MAX */
	int64_t denied;          /* when LIST was refused */
	int64_t probed;          /* when its file was last looked for */
	size_t n;
	char key[];
};

/* What the store said of one name, asked for on its own. */
struct known {
	struct known *next; /* in its bucket */
	int64_t taken;
	bool object, dir;    /* neither: absent */
	struct ufs_stat *st; /* of the object; owned */
	size_t dir_n;        /* of key: what is the directory's */
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
	int64_t taken;
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

/* meta_table.c */

/* The directory's entry, now the newest, or NULL. */
struct dir *dir_find_locked(struct meta *m, struct str key)
    TSA(requires_capability(m->lock));
/* The same, made when absent. NULL: no memory. */
struct dir *dir_get_locked(struct meta *m, struct str key, struct drops *drops)
    TSA(requires_capability(m->lock));
/* Takes over l's reference (NULL: none). */
void dir_set_locked(struct dir *d, struct listing *l, struct drops *drops);
void dir_remove_locked(struct meta *m, struct dir *d)
    TSA(requires_capability(m->lock));

/* What was learnt of key, or NULL: nothing. Borrowed under the lock. */
const struct known *known_find_locked(struct meta *m, struct str key)
    TSA(requires_capability(m->lock));
/*
 * Remember an answer. Of key the first dir_n bytes are its directory; st:
 * of the object, or NULL when there is none.
 */
void known_add_locked(struct meta *m, struct str key, size_t dir_n,
		      int64_t taken, const struct ufs_stat *st, bool dir)
    TSA(requires_capability(m->lock));
/* Forget names in the directory above, and in the tree. */
void known_drop_locked(struct meta *m, const struct rule *r)
    TSA(requires_capability(m->lock));
void table_free_locked(struct meta *m) TSA(requires_capability(m->lock));

/* meta_invalidate.c */

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

/* For the jobs: say that it runs; that one of its jobs is through. */
void flight_begin(struct flight *f);
void flight_job_end(struct flight *f);

/* meta_list.c */
void flight_list_run(struct job *job);

/* meta_pages.c */

/* The newest page that tells of name, with a reference, or NULL. */
struct listing *pages_find(struct meta *m, struct str dirkey, struct str name);
/*
 * Ask for the page that name stands in by the old listing. 0: it is there now
 * for pages_find(), if it has the name; -EAGAIN: the old one does not tell.
 */
int pages_ask(struct meta *m, struct str dirkey, struct str name,
	      struct listing *old, struct cancel *cancel);
void flight_page_run(struct job *job);
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
