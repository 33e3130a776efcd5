/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefetch.c - see prefetch.h
 *
 * A group is a directory (its files), or a directory of directories (the
 * files of all that stand in it). It is watched, then running on a thread of
 * its own that walks the listings and keeps a number of fetches under way,
 * then done; misses in it long after that watch it anew.
 */
#include "cache/prefetch.h"

#include <errno.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "cache/cache_impl.h"
#include "cache/listing.h"
#include "cache/meta.h"

#define GROUPS 16
#define RUNNERS 2
#define SOON (10 * NSEC_PER_SEC)  /* between two misses of one data set */
#define QUIET (30 * NSEC_PER_SEC) /* nobody reads it any more */
#define MISSES 16                 /* that make a directory a data set */
#define SIBLINGS 8                /* directories that make their parent one */
#define ERRORS_MAX 8              /* in a row */
#define PAUSE (20 * NSEC_PER_MSEC)
#define BITS (UINT64_C(1) << 22)

struct group {
	struct job job;
	struct prefetch *prefetch;
	bool deep; /* the files of its directories */

	/* under lock */
	enum { GROUP_FREE, GROUP_WATCHED, GROUP_RUNNING, GROUP_DONE } state;
	int64_t last; /* miss */
	unsigned misses;
	uint64_t sub; /* hash of the directory of the last miss */
	unsigned subs;
	size_t n;
	char dir[UFS_KEY_MAX + 1];
};

struct prefetch {
	struct cache *cache;
	struct pool *runners;
	struct cancel cancel;
	unsigned width;          /* fetches under way at most */
	atomic_uchar *fetched;   /* a bit a file; BITS of them */
	atomic_bool any_fetched; /* so that opens need not look before */

	struct lock lock;
	/* under lock */
	struct event ended; /* a fetch has */
	struct group groups[GROUPS];
	unsigned under_way;
	uint64_t bytes_under_way; /* that the disks do not count yet */
	unsigned errors;          /* fetches that failed since one did not */
};

/* One file on its way. */
struct fetch {
	struct fill_waiter waiter;
	struct prefetch *prefetch;
	uint64_t hash;
	uint64_t size;
};

int prefetch_new(struct cache *c, struct prefetch **out)
{
	struct prefetch *p = calloc(1, sizeof(*p));
	int r;

	if (p == NULL)
		return -ENOMEM;
	p->fetched = calloc(BITS / 8, 1);
	if (p->fetched == NULL) {
		free(p);
		return -ENOMEM;
	}
	p->cache = c;
	p->width = MAX(c->fetchers_max - c->fetchers_max / 4, 1) * 2;
	lock_init(&p->lock, RANK_CONTROL);
	event_init(&p->ended);
	r = pool_new("prefetch", RUNNERS, &p->runners);
	if (r < 0)
		prefetch_free(p);
	else
		*out = p;
	return r;
}

void prefetch_stop(struct prefetch *p)
{
	if (p == NULL)
		return;
	cancel_set(&p->cancel);
	lock_take(&p->lock);
	event_broadcast(&p->ended);
	lock_drop(&p->lock);
	pool_stop(p->runners);
	p->runners = NULL;
}

void prefetch_free(struct prefetch *p)
{
	if (p == NULL)
		return;
	prefetch_stop(p);
	lock_take(&p->lock);
	while (p->under_way > 0)
		event_wait(&p->ended, &p->lock);
	lock_drop(&p->lock);
	event_fini(&p->ended);
	lock_fini(&p->lock);
	free(p->fetched);
	free(p);
}

/* The directory that a key, or a directory's key, stands in: "" or "a/". */
static struct str parent_of(struct str key)
{
	size_t n = key.n > 0 ? key.n - 1 : 0;

	while (n > 0 && key.p[n - 1] != '/')
		n--;
	return (struct str){ key.p, n };
}

static void group_run(struct job *job);

/* The group of this directory, begun anew in the oldest slot when unknown. */
static struct group *group_get_locked(struct prefetch *p, struct str dir,
				      bool deep)
    TSA(requires_capability(p->lock))
{
	struct group *oldest = NULL;

	for (size_t i = 0; i < GROUPS; i++) {
		struct group *g = &p->groups[i];

		if (g->state != GROUP_FREE && g->deep == deep &&
		    str_eq((struct str){ g->dir, g->n }, dir))
			return g;
		if (g->state != GROUP_RUNNING &&
		    (oldest == NULL || g->last < oldest->last))
			oldest = g;
	}
	if (oldest == NULL)
		return NULL;
	*oldest = (struct group){ .job.run = group_run,
				  .prefetch = p,
				  .deep = deep,
				  .state = GROUP_WATCHED,
				  .n = dir.n };
	if (dir.n > 0)
		memcpy(oldest->dir, dir.p, dir.n);
	return oldest;
}

/* One more miss. True: the group is to run now. */
static bool group_missed_locked(struct group *g, int64_t now, uint64_t sub)
{
	if (now - g->last > SOON)
		g->misses = g->subs = 0;
	if (g->state == GROUP_DONE && now - g->last > QUIET)
		g->state = GROUP_WATCHED;
	g->last = now;
	g->misses++;
	if (g->subs == 0 || sub != g->sub)
		g->subs++;
	g->sub = sub;
	if (g->state != GROUP_WATCHED || g->misses < MISSES ||
	    (g->deep && g->subs < SIBLINGS))
		return false;
	g->state = GROUP_RUNNING;
	return true;
}

void prefetch_missed(struct prefetch *p, struct str key)
{
	struct str dir = parent_of(key), above = parent_of(dir);
	struct group *run[2] = { NULL, NULL }, *g;
	int64_t now = clock_ns();
	uint64_t sub;

	if (p == NULL || key.n > UFS_KEY_MAX || cancelled(&p->cancel))
		return;
	sub = XXH3_64bits(dir.p, dir.n);
	lock_take(&p->lock);
	g = group_get_locked(p, dir, false);
	if (g != NULL && group_missed_locked(g, now, sub))
		run[0] = g;
	g = dir.n > 0 ? group_get_locked(p, above, true) : NULL;
	if (g != NULL && group_missed_locked(g, now, sub))
		run[1] = g;
	lock_drop(&p->lock);
	for (size_t i = 0; i < ARRAY_SIZE(run); i++)
		if (run[i] != NULL)
			pool_submit(p->runners, &run[i]->job, POOL_DEMAND);
}

void prefetch_opened(struct prefetch *p, uint64_t hash, uint64_t size)
{
	uint8_t bit = (uint8_t)(1 << (hash & 7));
	atomic_uchar *byte;

	if (p == NULL ||
	    !atomic_load_explicit(&p->any_fetched, memory_order_relaxed))
		return;
	byte = &p->fetched[hash % BITS / 8];
	if (!(atomic_load_explicit(byte, memory_order_relaxed) & bit) ||
	    !(atomic_fetch_and(byte, (uint8_t)~bit) & bit))
		return;
	stat_inc(STAT_prefetch_read_files);
	stat_add(STAT_prefetch_read_bytes, (int64_t)size);
}

static void fetch_ended(struct fill_waiter *w, int err, uint64_t bytes)
{
	struct fetch *f = container_of(w, struct fetch, waiter);
	struct prefetch *p = f->prefetch;
	uint64_t size = f->size;

	if (err == 0) {
		atomic_fetch_or(&p->fetched[f->hash % BITS / 8],
				(uint8_t)(1 << (f->hash & 7)));
		atomic_store(&p->any_fetched, true);
		stat_inc(STAT_prefetch_files);
		stat_add(STAT_prefetch_bytes, (int64_t)bytes);
	}
	free(f);
	lock_take(&p->lock);
	if (err == 0)
		p->errors = 0;
	else if (err != -ENOENT && err != -ESTALE && err != -ECANCELED)
		p->errors++; /* a file that is gone says nothing of the store */
	p->under_way--;
	p->bytes_under_way -= size;
	event_broadcast(&p->ended);
	lock_drop(&p->lock);
}

/* Is there a reason to go on? Waits until one more may be under way. */
static bool go_on(struct group *g, uint64_t size)
{
	struct prefetch *p = g->prefetch;
	bool yes;

	lock_take(&p->lock);
	while (p->under_way >= p->width && !cancelled(&p->cancel))
		event_wait(&p->ended, &p->lock);
	yes = !cancelled(&p->cancel) && p->errors < ERRORS_MAX &&
	      clock_ns() - g->last < QUIET;
	if (yes) {
		p->under_way++;
		p->bytes_under_way += size;
	}
	lock_drop(&p->lock);
	return yes;
}

static void give_back(struct prefetch *p, uint64_t size)
{
	lock_take(&p->lock);
	p->under_way--;
	p->bytes_under_way -= size;
	event_broadcast(&p->ended);
	lock_drop(&p->lock);
}

/* For memory, which others give back. */
static void pause_briefly(struct prefetch *p)
{
	int64_t until = clock_ns() + PAUSE;

	lock_take(&p->lock);
	event_wait_until(&p->ended, &p->lock, until);
	lock_drop(&p->lock);
}

/* All that is under way, this one included, may go to one disk. */
static bool has_room(struct prefetch *p, struct disk *d)
{
	uint64_t bytes;

	lock_take(&p->lock);
	bytes = p->bytes_under_way;
	lock_drop(&p->lock);
	return disk_has_room(d, bytes);
}

/* Begin to fetch an object. -EEXIST: it is there; -EBUSY: others fetch it. */
static int fetch_object(struct prefetch *p, struct object *o)
{
	unsigned generation = fill_generation(o);
	struct extent *there;
	struct disk *d;
	struct disk_id id;
	struct fetch *f;
	uint64_t length;
	bool again;
	int r;

	there = object_extent(o, 0, false, &again);
	extent_close(there);
	if (there != NULL)
		return -EEXIST;
	d = object_extent_id(o, 0, &id, &length);
	if (d == NULL || !has_room(p, d))
		return -ENOSPC;
	f = malloc(sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	*f = (struct fetch){ .waiter.ended = fetch_ended,
			     .prefetch = p,
			     .hash = o->hash,
			     .size = o->st.size };
	r = fill_background(o, 0, (unsigned)object_pages(o), generation,
			    &f->waiter);
	if (r < 0)
		free(f);
	return r;
}

/* 0, or 1: it is time to end. */
static int fetch_one(struct group *g, struct str key, const struct ufs_stat *st)
{
	struct prefetch *p = g->prefetch;
	struct object *o;
	int r;

	if (st->size == 0 || st->size > p->cache->conf.small_file ||
	    (st->flags & (UFS_ARCHIVED | UFS_UNUSABLE)) != 0)
		return 0;
	do {
		if (!go_on(g, st->size))
			return 1;
		r = object_get(p->cache, key, st, &o);
		if (r == 0) {
			r = fetch_object(p, o);
			object_put(o);
		}
		if (r < 0)
			give_back(p, st->size);
		if (r == -ENOMEM)
			pause_briefly(p);
	} while (r == -ENOMEM);
	return r == -ENOSPC ? 1 : 0;
}

/* The files of a directory, or those of the directories in it. */
struct sweep {
	struct group *group;
	struct str dir;
	bool deep;
};

static int sweep_cb(void *arg, uint64_t number, const struct listing_entry *e);

/* 0: all of it; 1: it is time to end; -errno of the listing. */
static int sweep(struct group *g, struct str dir, bool deep)
{
	struct sweep s = { .group = g, .dir = dir, .deep = deep };
	struct prefetch *p = g->prefetch;
	struct listing *l;
	int r = meta_list(p->cache->meta, dir, &l, &p->cancel);

	if (r < 0)
		return r;
	r = listing_each(l, 0, sweep_cb, &s);
	listing_unref(l);
	return r;
}

static int sweep_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	struct sweep *s = arg;
	char key[UFS_KEY_MAX + 1];
	size_t n = s->dir.n + e->name.n;
	int r;

	(void)number;
	if (e->dir != s->deep || n > UFS_KEY_MAX || e->name.n == 0)
		return 0;
	if (s->dir.n > 0)
		memcpy(key, s->dir.p, s->dir.n);
	memcpy(key + s->dir.n, e->name.p, e->name.n);
	if (!s->deep)
		return fetch_one(s->group, (struct str){ key, n }, &e->st);
	r = sweep(s->group, (struct str){ key, n }, false);
	return r < 0 ? 0 : r; /* one that cannot be listed is left out */
}

static void group_run(struct job *job)
{
	struct group *g = container_of(job, struct group, job);
	struct prefetch *p = g->prefetch;
	struct str dir = { g->dir, g->n };
	int r;

	log_info("cache: %s%s is read like a data set: fetching the rest of it",
		 g->n > 0 ? g->dir : "/", g->deep ? "*/" : "");
	r = sweep(g, dir, g->deep);
	if (r < 0)
		log_debug(LOG_CACHE, "cache: prefetch of %s: %s", g->dir,
			  strerror(-r));
	lock_take(&p->lock);
	g->state = GROUP_DONE;
	if (p->errors >= ERRORS_MAX) {
		/* The store may come back: as many misses begin it anew. */
		p->errors = 0;
		g->state = GROUP_WATCHED;
		g->misses = g->subs = 0;
	}
	lock_drop(&p->lock);
}
