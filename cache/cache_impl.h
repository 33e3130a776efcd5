/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_impl.h - what the sources of the cache share, and nobody else
 *
 * How a read travels:
 *
 *   object.c  answer it from memory and the SSD's page cache at once, else
 *             on a disk thread (disk_op), else
 *   fill.c    reserve memory, fetch the missing pages, wake who waits for
 *             them page by page, write them to the SSD behind their back
 *   stream.c  what to fetch ahead of it
 *   give.c    what was just sent need not be fetched
 *   watch.c   deadlines, the hedge against a stalled SSD, closing what was
 *             evicted
 *
 * Locks: an object's lock guards its fills, its waiting requests and its
 * streams; the cache's memory lock (below it) the reservation, the queue of
 * starved reads and the list of fills kept in memory. Neither is held across
 * I/O or a call of done().
 */
#ifndef CACHE_CACHE_IMPL_H
#define CACHE_CACHE_IMPL_H

#include <stdatomic.h>

#include "base/buffers.h"
#include "base/cancel.h"
#include "base/lock.h"
#include "base/pool.h"
#include "cache/cache.h"
#include "cache/disk.h"
#include "cache/extent.h"
#include "cache/hot.h"
#include "cache/object.h"

#define FILL_PAGES_MAX 128 /* 8 MiB: a part of a stream */
#define SEGMENT_BYTES OBJECT_SEGMENT
#define STREAMS_PER_OBJECT 8
#define OBJECT_BUCKETS 16384 /* a power of two */
#define DISK_HEDGE_NS (250 * NSEC_PER_MSEC)

/* A run of pages of one object on its way from the store. */
struct fill {
	struct job job;
	struct object *object; /* owns a ref */
	struct fill *next;     /* in object->fills */
	uint64_t first;        /* page */
	unsigned n;            /* pages */
	struct cancel cancel;
	struct fill_waiter *waiter; /* told once when it has ended, or NULL */
	/* All of a small object: verified, shown and written in one piece. */
	bool whole;
	bool ahead;       /* of a stream whose reader is still to come */
	atomic_bool peer; /* what it got last came from a worker */

	struct disk_pin pin; /* keeps its extent from eviction */

	/* the fetching thread's alone */
	size_t got;      /* bytes received */
	unsigned held;   /* pages of a whole object, until it is verified */
	int64_t started; /* when the store was asked */
	void *page;      /* being filled */

	/* under object->lock */
	enum { FILL_QUEUED, FILL_FETCHING, FILL_FETCHED, FILL_KEPT } state;
	unsigned done; /* leading pages complete */
	bool background;
	bool bypass;   /* the SSD stalls: keep in memory only */
	bool finished; /* to be freed by the last reader */
	bool stored;   /* on the SSD too: kept for the reader to come */
	unsigned pins; /* readers using its pages now */

	/* under cache->memory_lock */
	struct fill *older, *newer; /* in a struct fills */
	bool listed;                /* kept */
	bool owed;  /* to the SSD, which was behind when it was fetched */
	bool given; /* to the object: its file is made when it is due */
	int64_t due;

	bool own; /* what this host has sent; set before it is shown */
	int64_t kept_since;   /* set before it is kept */
	atomic_uint consumed; /* pages read to their ends */

	void *pages[]; /* n, set up to done */
};

/* By age; under cache->memory_lock. */
struct fills {
	struct fill *oldest, *newest;
};

/* Who waits for fills to end (loading). */
struct fill_waiter {
	void (*ended)(struct fill_waiter *w, int err, uint64_t bytes);
};

struct stream {
	uint64_t next;   /* where the reader is expected */
	uint64_t ahead;  /* fetched, or being fetched, up to here */
	uint64_t warmed; /* asked of the SSD up to here */
	uint64_t window; /* bytes to keep ahead; 0: seen once */
	uint64_t asked;  /* ahead when the window last grew */
	bool waited;     /* the reader, since then */
	uint64_t used;   /* object->reads when it last matched */
};

/*
 * An extent has a home among several disks, by its id. It may be on another
 * one: made there while its home was off, or before disks were added. What is
 * known of a slot is looked up anew when a disk was turned off or taken back
 * since, unless the slot's own disk is well.
 */
struct extent_slot {
	struct extent *extent; /* owns a ref; set once it was found or made */
	enum { SLOT_UNKNOWN, SLOT_ABSENT, SLOT_OPEN } state;
	unsigned turns;            /* of all disks, when it was looked for */
	struct disk *_Atomic disk; /* of the extent; read without the lock */
};

/* A disk thread's work for one read or open. */
struct disk_op {
	struct job job;
	struct object *object; /* owns a ref */
	struct disk_op *next;  /* in object->ops, under its lock */
	int64_t since;
	struct object_read *read; /* NULL: answered meanwhile; its lock */
	struct object_open *open;
	uint64_t off;
	size_t len;
};

struct object {
	struct cache *cache;
	/* set once */
	char *key; /* relative to the prefix */
	size_t key_len;
	uint64_t hash;
	struct ufs_stat st;
	uint64_t extent_bytes; /* length of all extents but the last */
	size_t extents;

	/* under cache->table_lock */
	struct object *chain;               /* same bucket */
	struct object *lru_prev, *lru_next; /* idle ones */
	unsigned users;                     /* object_get() less object_put() */
	bool idle;

	atomic_uint refs; /* the table's one, users, fills, disk ops */

	atomic_uint_fast64_t hot_bytes, hot_opens; /* hot.c was not yet told */

	struct lock lock;
	/* under lock */
	struct fill *fills;
	unsigned generation; /* fills that have left the list */
	struct object_read *waiting;
	struct object_open *opening;
	struct disk_op *ops;
	struct stream streams[STREAMS_PER_OBJECT];
	uint64_t reads;
	bool complete;        /* nothing to fetch ahead */
	bool verifying;       /* the background pass runs */
	bool handed;          /* a user was given the file in its one slot */
	struct disk_pin pin;  /* of that file, if it is a large one */
	struct extent **dead; /* were handed; closed with the last user */
	size_t ndead;
	struct extent_slot slots[];
};

struct cache {
	struct cache_conf conf;
	struct ufs *ufs;
	struct disk *disks[CACHE_DIRS_MAX];
	size_t ndisks;
	struct meta *meta;
	struct buffers *buffers;
	struct pool *fetchers;     /* ask the store */
	struct pool *readers;      /* read the SSD when that may block */
	struct pool *writers;      /* write the SSD */
	struct prefetch *prefetch; /* of data sets; NULL: off */
	struct hot *hot;
	uint64_t nonce; /* of this mount, for weak versions */

	struct lock table_lock;
	struct object **buckets;
	struct object *lru_first, *lru_last; /* idle; first = oldest */
	size_t objects, idle, idle_max;

	struct lock closed_lock;
	void (*file_closed)(void *arg, int backing_id);
	void *file_closed_arg;

	struct lock memory_lock;
	size_t reserved, reserved_max; /* pages */
	size_t writing;                /* pages queued for the SSD */
	struct object_read *starved_first, *starved_last;
	size_t starved;
	struct job unstarve;
	bool unstarve_queued;
	struct fills kept, given;  /* given: give.c */
	size_t nkept, given_pages; /* fills; pages */

	/* load.c: turns at the store, which readers come before */
	struct lock turns_lock;
	struct event turn;         /* one was given back */
	unsigned turns;            /* under turns_lock; parts being loaded */
	atomic_uint asking;        /* fetches that are no load's */
	atomic_int_fast64_t asked; /* when the last of them ended */

	/* watch.c */
	pthread_t watcher;
	bool watching; /* the thread was started */
	struct lock watch_lock;
	struct event watch_wake;
	bool watch_stop;
	atomic_int pending;        /* requests waiting for disk or store */
	atomic_bool watch_ticks;   /* it looks soon, and need not be woken */
	atomic_uint inline_writes; /* fetchers that write the SSD now */
	unsigned fetchers_max;
	atomic_bool disk_stalled; /* a read has been out for DISK_HEDGE_NS */
};

/* object.c */
bool object_ref_live(struct object *o); /* false: it is being destroyed */
void object_ref(struct object *o);
void object_unref(struct object *o);
uint64_t object_pages(const struct object *o);
/* Pages of each of its extents but the last, which may have fewer. */
uint64_t object_extent_pages(const struct object *o);
/* How many of present[i], present[i + 1]... below n are like the first. */
size_t present_run(const bool *present, size_t i, size_t n);
/*
 * The disk where extent i of o is, or is to be made (NULL: none), its id, its
 * length. One that is well, if there is such a one.
 */
struct disk *object_extent_id(const struct object *o, size_t i,
			      struct disk_id *id, uint64_t *length);
/*
 * Find extent i, opening it when unknown (may block). A reference, or NULL:
 * not there.
 */
struct extent *object_extent(struct object *o, size_t i, bool nowait,
			     bool *again);
/* Is it known that no disk in use has extent i? May be asked for anew. */
bool object_absent_locked(const struct object *o, size_t i)
    TSA(requires_capability(o->lock));
/* Was it found or made, and is its disk in use? */
bool object_open_locked(const struct object *o, size_t i)
    TSA(requires_capability(o->lock));
/* As object_extent(), made when absent: for pages of a large object. */
struct extent *object_extent_make(struct object *o, size_t i);
/* Put e, whose reference is taken over, or NULL in the place of what is. */
void object_extent_set(struct object *o, size_t i, struct extent *e);
/* All of it is on the SSD, verified. */
void object_complete(struct object *o);
/* Remove extent i from all disks in use. */
void object_extent_remove(struct object *o, size_t i);
/* Pages [page, page+n) on the SSD. -EAGAIN with nowait. */
int object_present(struct object *o, uint64_t page, size_t n, bool *present,
		   bool nowait);
/* Drop idle objects above the limit, or those whose file was evicted. */
void object_trim_idle(struct cache *c, bool evicted);
/* Of one in use: close the files that were evicted. */
void object_close_evicted(struct object *o);
/* Objects that anyone uses now, each with a reference: for watch.c. */
size_t object_in_use(struct cache *c, struct object **out, size_t max,
		     size_t *bucket);

/* read.c, open.c */
/* Go on with a read that fills may have completed. Called without locks. */
void read_go_on(struct object *o, struct object_read *r, bool nowait);
void read_fail(struct object_read *r, int err);
void open_finish(struct object *o, struct object_open *r, int err);
/* A small object that is not on the SSD: wait for a fetch of all of it. */
void open_fetch(struct object *o, struct object_open *r, bool bypass);
/* The SSD kept it too long: answer without. */
void open_hedge(struct object *o, struct object_open *r);
struct disk_op *disk_op_new(struct object *o);
/* Detach what the op works for, under the lock; NULL: answered meanwhile. */
void disk_op_end(struct disk_op *op, struct object_read **read,
		 struct object_open **open);

/* fill.c */
/*
 * Get r's missing pages: reserve, fetch or join. missing[i] for the pages of
 * the read; generation as it was when they were found missing. -EAGAIN: look
 * again, things have moved. 0: r waits now.
 */
int fill_demand(struct object *o, struct object_read *r, const bool *missing,
		unsigned generation);
/* Fetch a small object whole, on behalf of waiting opens. */
int fill_whole(struct object *o, bool bypass);
/*
 * Fetch pages [first, first+n), found missing in this generation, behind all
 * demand. 0 when begun. -ENOMEM when memory is short: nothing is waited for.
 * -EBUSY: things have moved, look again; with a waiter also when others are
 * fetching some of them.
 */
int fill_background(struct object *o, uint64_t first, unsigned n,
		    unsigned generation, struct fill_waiter *w);
unsigned fill_generation(struct object *o);
struct fill *fill_find_locked(struct object *o, uint64_t page)
    TSA(requires_capability(o->lock));
/* A read or open needs it now: it is no background work any more. */
void fill_join_locked(struct object *o, struct fill *f)
    TSA(requires_capability(o->lock));
/* A read of [off, off+len) is done with it. len 0: it was not one. */
void fill_unpin(struct object *o, struct fill *f, uint64_t off, size_t len);
void fill_cancel_background(struct object *o);
/* What is only in memory goes to the SSD after all. */
void fill_write_kept(struct object *o);
/* All of f is there, and its pages count in cache->writing: write them. */
void fill_store_now(struct fill *f); /* it may be gone then */
void fill_submit_store(struct fill *f, enum pool_lane lane);
struct fill *fill_new(struct object *o, uint64_t first, unsigned n);
/* Drop what is kept in memory of an object nobody uses. */
void fill_drop_kept(struct object *o);

/* give.c */
/* Is there something that o was given, and that is not on the SSD? */
bool given_waits_locked(const struct object *o)
    TSA(requires_capability(o->lock));
/* Write it, on this thread, unless another one does just now. */
void given_settle(struct object *o);
/* Write what is due by then. */
void given_write(struct cache *c, int64_t due);

/* memory.c: pages of the budget are reserved before they are fetched */
/*
 * n pages for reads that wait, dropping what is only kept in memory. Called
 * without locks. False: there is no room now.
 */
bool memory_reserve(struct cache *c, size_t n);
/* For prefetch: of three quarters, dropping no young prefetch. */
bool memory_reserve_ahead(struct cache *c, size_t n);
void memory_release(struct cache *c, size_t n);
void memory_init(struct cache *c);
/* Queue r for memory. False: there is room now, or soon: reserve again. */
bool memory_starve(struct cache *c, struct object_read *r, size_t n);
void memory_forget_starved(struct cache *c, struct object_read *r);
/* Let each of the starved try again, in the order they came. No locks. */
void memory_unstarve(struct cache *c);
void fills_append(struct fills *list, struct fill *f);
void fills_remove(struct fills *list, struct fill *f);
/* Keep a fill's pages until their memory is needed. */
void memory_keep(struct cache *c, struct fill *f);
/* False: it is not kept, or somebody is about to drop it. */
bool memory_unkeep(struct cache *c, struct fill *f);
/* Drop what is on the SSD too and whose reader has not come for long. */
void memory_drop_stored(struct cache *c);
/*
 * A kept fill that is owed to the SSD, if the writers have caught up: taken
 * out of the list, counted as being written, with a reference to its object.
 */
struct fill *memory_take_owed(struct cache *c);
/* The same of this one; false: as memory_unkeep(). */
bool memory_take_kept(struct cache *c, struct fill *f);
/* May its pages go? Taken out of its object then, for fill_free(). */
bool fill_evict(struct fill *f);
void fill_free(struct cache *c, struct fill *f);

/* load.c */
void load_init(struct cache *c);
void load_fini(struct cache *c);
/* A fetch begins or has ended that is not a load's: n 1 or -1. */
void load_reader(struct cache *c, int n);

/* stream.c */
/* What to do ahead of a stream; 0 bytes: nothing. */
struct ahead {
	uint64_t fetch, fetch_bytes; /* from the store, where it is absent */
	uint64_t warm, warm_bytes;   /* from the SSD into the page cache */
};
void stream_note_locked(struct object *o, uint64_t off, size_t len,
			struct ahead *a) TSA(requires_capability(o->lock));
void stream_go_ahead(struct object *o, const struct ahead *a);
/* This read, already noted, has to wait for the store. */
void stream_waits_locked(struct object *o, uint64_t off, size_t len)
    TSA(requires_capability(o->lock));

/* watch.c */
int watch_start(struct cache *c);
void watch_stop(struct cache *c);
void watch_pending(struct cache *c, int n); /* requests began (ended) waiting */

#endif
