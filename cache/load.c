/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - bringing objects onto the SSD, and taking them off it
 *
 * Loading fetches what is missing in parts, a few at a time, behind every
 * demand read. While somebody waits for the store (and for READERS_LAST after
 * that: who reads comes again), all loads together have a tenth of the threads
 * that ask it. A cache that has been used for long is at its limit, where it
 * refuses what comes while eviction is behind: such parts stay in memory and
 * are written a moment later.
 */
#include <errno.h>
#include <limits.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/cache_impl.h"

#define PARTS_AT_ONCE 4
#define ROOM_WAIT (10 * NSEC_PER_SEC) /* for eviction */
#define READERS_LAST (1 * NSEC_PER_SEC)
#define READERS_SHARE 10 /* a load's is one of so many */
#define VERIFY_TRIES 3   /* until a part is believed not to be held */

struct loader {
	struct fill_waiter waiter;
	struct object *object; /* borrowed */
	struct cancel *cancel; /* borrowed; NULL: never */
	struct lock lock;
	struct event ended;
	unsigned running;
	uint64_t bytes;
	int err;
	int64_t give_up; /* waiting for room; 0: nothing was refused */

	uint64_t page, pages_end; /* the part */
	size_t extent, extents_end;
};

void load_init(struct cache *c)
{
	lock_init(&c->turns_lock, RANK_LEAF);
	event_init(&c->turn);
}

void load_fini(struct cache *c)
{
	event_fini(&c->turn);
	lock_fini(&c->turns_lock);
}

void load_reader(struct cache *c, int n)
{
	if (n < 0)
		atomic_store(&c->asked, clock_ns());
	atomic_fetch_add(&c->asking, (unsigned)n);
}

/* How many parts may be under way now. */
static unsigned turns_max(struct cache *c)
{
	if (atomic_load(&c->asking) > 0 ||
	    clock_ns() - atomic_load(&c->asked) < READERS_LAST)
		return MAX(c->fetchers_max / READERS_SHARE, 1);
	return UINT_MAX;
}

/* Nobody gives a turn when readers go away, so it is looked for. */
static void turn_take(struct cache *c, struct cancel *cancel)
{
	lock_take(&c->turns_lock);
	while (c->turns >= turns_max(c) && !cancelled(cancel))
		event_wait_until(&c->turn, &c->turns_lock,
				 clock_ns() + 50 * NSEC_PER_MSEC);
	c->turns++;
	lock_drop(&c->turns_lock);
}

static void turn_give(struct cache *c)
{
	lock_take(&c->turns_lock);
	c->turns--;
	event_broadcast(&c->turn);
	lock_drop(&c->turns_lock);
}

static void part_ended(struct fill_waiter *w, int err, uint64_t bytes)
{
	struct loader *l = container_of(w, struct loader, waiter);

	turn_give(l->object->cache);
	lock_take(&l->lock);
	l->running--;
	l->bytes += bytes;
	if (err < 0 && l->err == 0)
		l->err = err;
	event_signal(&l->ended);
	lock_drop(&l->lock);
}

static void part_begin(struct loader *l)
{
	turn_take(l->object->cache, l->cancel);
	lock_take(&l->lock);
	l->running++;
	lock_drop(&l->lock);
}

static int part_error(struct loader *l)
{
	int err;

	lock_take(&l->lock);
	err = l->err;
	lock_drop(&l->lock);
	return err;
}

/* Who reads the same pages goes on with a fetch of its own. */
static void cancel_parts(struct loader *l)
{
	lock_take(&l->object->lock);
	for (struct fill *f = l->object->fills; f != NULL; f = f->next)
		if (f->waiter == &l->waiter)
			cancel_set(&f->cancel);
	lock_drop(&l->object->lock);
}

/* Wait until at most max parts run; end them when that is asked for. */
static void wait_parts(struct loader *l, unsigned max)
{
	lock_take(&l->lock);
	while (l->running > max) {
		int64_t until = clock_ns() + 100 * NSEC_PER_MSEC;

		if (event_wait_until(&l->ended, &l->lock, until) ||
		    !cancelled(l->cancel))
			continue;
		lock_drop(&l->lock);
		cancel_parts(l);
		lock_take(&l->lock);
	}
	lock_drop(&l->lock);
}

/* Let some time pass before asking again for what others are fetching. */
static void pause_briefly(struct loader *l)
{
	int64_t until = clock_ns() + 20 * NSEC_PER_MSEC;

	lock_take(&l->lock);
	while (event_wait_until(&l->ended, &l->lock, until))
		;
	lock_drop(&l->lock);
}

/* Pages [page, page+n) of one extent: fetch those that are not there. */
static int load_part(struct object *o, struct loader *l, uint64_t page,
		     size_t n, struct cancel *cancel)
{
	int64_t deadline = l->give_up != 0
			       ? l->give_up
			       : clock_ns() + o->cache->conf.read_timeout;
	bool present[FILL_PAGES_MAX];

	for (;;) {
		unsigned generation = fill_generation(o);
		int r = object_present(o, page, n, present, false);

		for (size_t i = 0, run; i < n && r >= 0; i += run) {
			run = present_run(present, i, n);
			if (present[i])
				continue;
			wait_parts(l, PARTS_AT_ONCE - 1);
			part_begin(l);
			r = part_error(l);
			if (r == 0)
				r = fill_background(o, page + i, (unsigned)run,
						    generation, &l->waiter);
			if (r < 0)
				part_ended(&l->waiter, 0, 0);
		}
		if (r >= 0)
			return 0;
		if (r != -EBUSY && r != -ENOMEM)
			return r;
		if (cancelled(cancel))
			return -ECANCELED;
		/*
		 * Under way for another, no memory just now, or in memory only
		 * since the SSD was not to be had when it was fetched.
		 */
		fill_write_kept(o);
		given_settle(o);
		if (clock_ns() > deadline)
			return r != -EBUSY       ? r
			       : l->give_up != 0 ? -ENOSPC
						 : -ETIMEDOUT;
		wait_parts(l, 0);
		pause_briefly(l);
	}
}

static int load_missing(struct object *o, struct loader *l,
			struct cancel *cancel)
{
	uint64_t per = object_extent_pages(o);
	uint64_t pages = l->pages_end, page = l->page;
	int err = 0;

	while (page < pages && err == 0) {
		size_t n = MIN(FILL_PAGES_MAX, pages - page);

		n = MIN(n, per - page % per);
		err = cancelled(cancel) ? -ECANCELED
					: load_part(o, l, page, n, cancel);
		page += n;
	}
	return err;
}

/* Is it only a matter of time that all of the part may be written? */
static bool room_is_made(struct object *o, const struct loader *l)
{
	for (size_t i = l->extent; i < l->extents_end; i++) {
		struct disk_id id;
		uint64_t length;
		struct disk *d = object_extent_id(o, i, &id, &length);

		if (d == NULL || !disk_makes_room(d, length))
			return false;
	}
	return true;
}

/* Load what is missing, and wait for the room that it needs. */
static int load_all(struct object *o, struct loader *l, struct cancel *cancel)
{
	int err;

	l->give_up = 0;
	for (;;) {
		err = load_missing(o, l, cancel);
		wait_parts(l, 0);
		if (err == 0)
			err = l->err;
		if (err != -ENOSPC || cancelled(cancel) || !room_is_made(o, l))
			return err;
		if (l->give_up == 0)
			l->give_up = clock_ns() + ROOM_WAIT;
		else if (clock_ns() > l->give_up)
			return err;
		l->err = 0;
		pause_briefly(l);
	}
}

struct verify {
	struct cancel *cancel;
	uint64_t bytes; /* that were there, right or not */
};

static bool verified(void *arg, uint64_t bytes)
{
	struct verify *v = arg;

	v->bytes += bytes;
	return !cancelled(v->cancel);
}

/* The part's pages of extent i, of which *page is the first. */
static uint64_t pages_in(const struct object *o, const struct loader *l,
			 size_t i, uint64_t *page)
{
	uint64_t per = object_extent_pages(o);
	uint64_t first = MAX(l->page, i * per);

	*page = first - i * per;
	return MIN(l->pages_end, (i + 1) * per) - first;
}

/*
 * By what the disk holds: what memory holds nobody doubts. *whole: all of the
 * part was there, and right.
 */
static int verify_all(struct object *o, const struct loader *l, uint64_t length,
		      bool *whole)
{
	struct verify v = { .cancel = l->cancel };
	uint64_t bad_pages = 0;

	for (size_t i = l->extent; i < l->extents_end; i++) {
		uint64_t page, n, bad;
		struct extent *e;
		bool again;
		int r;

		e = object_extent(o, i, false, &again);
		if (e == NULL) /* evicted meanwhile */
			continue;
		n = pages_in(o, l, i, &page);
		r = extent_check(e, page, n, verified, &v, &bad);
		extent_close(e);
		bad_pages += bad;
		if (r < 0 && bad == 0)
			return r;
	}
	*whole = bad_pages == 0 && v.bytes == length;
	if (!*whole) {
		lock_take(&o->lock);
		o->complete = false;
		lock_drop(&o->lock);
	}
	return cancelled(l->cancel) ? -ECANCELED : 0;
}

/* The part's extents and pages; its length. */
static uint64_t cut(const struct object *o, struct loader *l, uint64_t off,
		    uint64_t len)
{
	uint64_t end = off + MIN(len, UINT64_MAX - off);

	end = MIN(end, o->st.size);
	off = MIN(off, end);
	l->page = off / PAGE_BYTES;
	l->pages_end = (end + PAGE_BYTES - 1) / PAGE_BYTES;
	l->extent = 0;
	l->extents_end = off < end ? o->extents : 0;
	if (o->extents > 1) {
		l->extent = (size_t)(off / o->extent_bytes);
		l->extents_end =
		    (size_t)((end + o->extent_bytes - 1) / o->extent_bytes);
	}
	return end - off;
}

int object_load_part(struct object *o, struct object_load *out,
		     struct cancel *cancel)
{
	struct loader l = { .waiter.ended = part_ended,
			    .object = o,
			    .cancel = cancel };
	uint64_t length = cut(o, &l, out->off, out->len);
	bool whole = false;
	int err = 0;

	out->fetched = out->checked = out->checked_pages = 0;
	if (o->cache->ndisks == 0)
		return -EOPNOTSUPP;
	if (length == 0)
		return 0;
	lock_init(&l.lock, RANK_CONTROL);
	event_init(&l.ended);
	/* Bad pages are dropped, and fetched again. */
	for (int i = 0; i < VERIFY_TRIES && err == 0 && !whole; i++) {
		err = load_all(o, &l, cancel);
		if (!out->verify)
			break;
		if (err == 0)
			err = verify_all(o, &l, length, &whole);
	}
	out->fetched = l.bytes;
	if (out->verify && err == 0 && !whole)
		err = -EIO;
	if (whole) {
		out->checked = length;
		out->checked_pages = l.pages_end - l.page;
	}
	event_fini(&l.ended);
	lock_fini(&l.lock);
	return err;
}

/* Bytes of pages [page, page+n) of extent i, which has others as well. */
static int some_bytes(struct object *o, struct extent *e, size_t i,
		      uint64_t page, uint64_t n, uint64_t *bytes)
{
	uint64_t at = i * object_extent_pages(o) + page;
	bool present[FILL_PAGES_MAX];

	for (uint64_t step; n > 0; n -= step, page += step, at += step) {
		int r;

		step = MIN(n, FILL_PAGES_MAX);
		r = extent_present(e, page, (size_t)step, present, false);
		if (r < 0)
			return r;
		for (uint64_t k = 0; r > 0 && k < step; k++)
			if (present[k])
				*bytes +=
				    MIN(PAGE_BYTES,
					o->st.size - (at + k) * PAGE_BYTES);
	}
	return 0;
}

int object_cached_part(struct object *o, uint64_t off, uint64_t len,
		       uint64_t *bytes)
{
	uint64_t total = 0, page, n;
	struct loader l;

	given_settle(o);
	cut(o, &l, off, len);
	for (size_t i = l.extent; i < l.extents_end; i++) {
		struct extent *e;
		uint64_t held = 0;
		bool again;
		int err;

		e = object_extent(o, i, false, &again);
		if (e == NULL)
			continue;
		n = pages_in(o, &l, i, &page);
		err = o->extents > 1 || n == object_pages(o)
			  ? extent_bytes(e, &held)
			  : some_bytes(o, e, i, page, n, &held);
		extent_close(e);
		if (err < 0)
			return err;
		total += held;
	}
	*bytes = total;
	return 0;
}

int object_free(struct object *o, uint64_t *bytes)
{
	int err = object_cached(o, bytes);

	if (err < 0)
		return err;
	for (size_t i = 0; i < o->extents; i++)
		object_extent_remove(o, i);
	lock_take(&o->lock);
	o->complete = false;
	lock_drop(&o->lock);
	return 0;
}
