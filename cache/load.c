/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - bringing objects onto the SSD, and taking them off it
 *
 * Loading fetches what is missing in parts, a few at a time, behind every
 * demand read. A cache that has been used for long is at its limit, where it
 * refuses what comes while eviction is behind: such parts stay in memory and
 * are written a moment later.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/cache_impl.h"

#define PARTS_AT_ONCE 4
#define ROOM_WAIT (10 * NSEC_PER_SEC) /* for eviction */

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
};

static void part_ended(struct fill_waiter *w, int err, uint64_t bytes)
{
	struct loader *l = container_of(w, struct loader, waiter);

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
	uint64_t pages = object_pages(o), page = 0;
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

/* Is it only a matter of time that all of the object may be written? */
static bool room_is_made(struct object *o)
{
	for (size_t i = 0; i < o->extents; i++) {
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
		if (err != -ENOSPC || cancelled(cancel) || !room_is_made(o))
			return err;
		if (l->give_up == 0)
			l->give_up = clock_ns() + ROOM_WAIT;
		else if (clock_ns() > l->give_up)
			return err;
		l->err = 0;
		pause_briefly(l);
	}
}

static bool not_cancelled(void *cancel, uint64_t bytes)
{
	(void)bytes;
	return !cancelled(cancel);
}

/* By what the disk holds: what memory holds nobody doubts. */
static int verify_all(struct object *o, struct cancel *cancel)
{
	for (size_t i = 0; i < o->extents; i++) {
		struct extent *e;
		uint64_t bad;
		bool again;
		int r;

		e = object_extent(o, i, false, &again);
		if (e == NULL)
			return -EIO;
		r = extent_check(e, not_cancelled, cancel, &bad);
		extent_close(e);
		if (bad > 0) {
			lock_take(&o->lock);
			o->complete = false;
			lock_drop(&o->lock);
		} else if (r < 0) {
			return r;
		}
	}
	return cancelled(cancel) ? -ECANCELED : 0;
}

int object_load(struct object *o, bool verify, uint64_t *fetched,
		struct cancel *cancel)
{
	struct loader l = { .waiter.ended = part_ended,
			    .object = o,
			    .cancel = cancel };
	int err;

	*fetched = 0;
	if (o->cache->ndisks == 0)
		return -EOPNOTSUPP;
	if (o->st.size == 0)
		return 0;
	lock_init(&l.lock, RANK_CONTROL);
	event_init(&l.ended);
	err = load_all(o, &l, cancel);
	if (err == 0 && verify)
		err = verify_all(o, cancel);
	if (err == 0 && verify) /* bad pages were dropped: fetch them again */
		err = load_all(o, &l, cancel);
	*fetched = l.bytes;
	event_fini(&l.ended);
	lock_fini(&l.lock);
	return err;
}

int object_cached(struct object *o, uint64_t *bytes)
{
	uint64_t total = 0;

	for (size_t i = 0; i < o->extents; i++) {
		struct extent *e;
		uint64_t n = 0;
		bool again;
		int err;

		e = object_extent(o, i, false, &again);
		if (e == NULL)
			continue;
		err = extent_bytes(e, &n);
		extent_close(e);
		if (err < 0)
			return err;
		total += n;
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
