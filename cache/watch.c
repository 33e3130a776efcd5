/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - the thread that looks at what waits
 *
 * While requests wait it looks ten times a second: reads and opens past
 * their deadline end with ETIMEDOUT; a request that has been with the SSD
 * for DISK_HEDGE_NS is taken from it and sent to the store, and until that
 * disk thread comes back the SSD counts as stalled: others go to the store
 * at once unless the kernel's cache has the pages. Reads that wait for memory
 * try again, and what was given is written when it is due. For a second after
 * the last of them it goes on so, and need not be woken for the next. Otherwise
 * it wakes every few seconds to close files that were evicted, or removed as
 * bad: until then they take space.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "cache/cache_impl.h"

#define TICK_NS (100 * NSEC_PER_MSEC)
#define LINGER_NS NSEC_PER_SEC
#define SWEEP_NS (5 * NSEC_PER_SEC)
#define BATCH 256

/* The store's own error, at its deadline, says more than ours. */
#define GRACE_NS NSEC_PER_SEC

void watch_pending(struct cache *c, int n)
{
	int before = atomic_fetch_add(&c->pending, n);

	if (before == 0 && n > 0 && !atomic_load(&c->watch_ticks)) {
		lock_take(&c->watch_lock);
		event_signal(&c->watch_wake);
		lock_drop(&c->watch_lock);
	}
}

/* Requests past their deadline, taken out of the object's queues. */
static void expire(struct object *o, int64_t now)
{
	struct object_read **p = &o->waiting, *r, *late = NULL;
	struct object_open **q = &o->opening, *w, *late_opens = NULL;
	int64_t limit = o->cache->conf.read_timeout + GRACE_NS;

	lock_take(&o->lock);
	while ((r = *p) != NULL) {
		if (now - r->since < limit) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		if (r->state == READ_STARVED)
			memory_forget_starved(o->cache, r);
		r->state = READ_IDLE;
		r->next = late;
		late = r;
	}
	while ((w = *q) != NULL) {
		if (now - w->since < limit) {
			q = &w->next;
			continue;
		}
		*q = w->next;
		w->state = OPEN_IDLE;
		w->next = late_opens;
		late_opens = w;
	}
	lock_drop(&o->lock);
	while ((r = late) != NULL) {
		late = r->next;
		watch_pending(o->cache, -1);
		read_fail(r, -ETIMEDOUT);
	}
	while ((w = late_opens) != NULL) {
		late_opens = w->next;
		watch_pending(o->cache, -1);
		open_finish(o, w, -ETIMEDOUT);
	}
}

/*
 * Opens whose object has been in memory for long while its file is still
 * being written: its reads need no file.
 */
static struct object_open *take_fetched_locked(struct object *o, int64_t now)
    TSA(requires_capability(o->lock))
{
	struct object_open *w = o->opening;

	if (w == NULL || o->fills == NULL || !o->fills->whole ||
	    o->fills->state != FILL_FETCHED)
		return NULL;
	if (now - w->since < DISK_HEDGE_NS)
		return NULL;
	o->opening = NULL;
	for (struct object_open *i = w; i != NULL; i = i->next)
		i->state = OPEN_IDLE;
	return w;
}

/* True when the SSD keeps one of the object's requests too long. */
static bool hedge(struct object *o, int64_t now)
{
	struct object_open *w, *next;
	bool stalled = false;

	for (;;) {
		struct object_read *r = NULL;
		struct object_open *open = NULL;

		lock_take(&o->lock);
		for (struct disk_op *op = o->ops; op != NULL; op = op->next) {
			if (now - op->since < DISK_HEDGE_NS)
				continue;
			stalled = true;
			if (op->read != NULL) {
				r = take_ptr(op->read);
				r->state = READ_IDLE;
				break;
			}
			if (op->open != NULL) {
				open = take_ptr(op->open);
				open->state = OPEN_IDLE;
				break;
			}
		}
		lock_drop(&o->lock);
		if (r == NULL && open == NULL)
			break;
		stat_inc(STAT_ssd_hedges);
		if (r != NULL) {
			r->bypass = true;
			read_go_on(o, r, true);
		} else {
			open_hedge(o, open);
		}
	}

	lock_take(&o->lock);
	w = take_fetched_locked(o, now);
	lock_drop(&o->lock);
	for (; w != NULL; w = next) {
		next = w->next;
		watch_pending(o->cache, -1);
		open_finish(o, w, 0);
	}
	return stalled;
}

static void look(struct cache *c)
{
	struct object *batch[BATCH];
	size_t bucket = 0, n;
	bool stalled = false, was;

	while ((n = object_in_use(c, batch, BATCH, &bucket)) > 0) {
		int64_t now = clock_ns();

		for (size_t i = 0; i < n; i++) {
			stalled |= hedge(batch[i], now);
			expire(batch[i], now);
			object_unref(batch[i]);
		}
	}
	memory_unstarve(c);
	was = atomic_exchange(&c->disk_stalled, stalled);
	if (stalled && !was)
		log_warn("cache: the cache disk has not answered for 250 ms; "
			 "reads go to the store meanwhile");
	else if (was && !stalled)
		log_info("cache: the cache disk answers again");
}

static void close_evicted(struct cache *c)
{
	struct object *batch[BATCH];
	size_t bucket = 0, n;

	object_trim_idle(c, true);
	while ((n = object_in_use(c, batch, BATCH, &bucket)) > 0)
		for (size_t i = 0; i < n; i++) {
			object_close_evicted(batch[i]);
			object_unref(batch[i]);
		}
}

/* Grows when files may have been unlinked: evicted, or found bad. */
static uint64_t unlinked(void)
{
	return (uint64_t)(stat_read(STAT_evicted_bytes) +
			  stat_read(STAT_bad_pages));
}

static void *watch_main(void *arg)
{
	struct cache *c = arg;
	int64_t swept = clock_ns(), busy_at = swept - LINGER_NS;
	uint64_t seen = 0;

	lock_take(&c->watch_lock);
	while (!c->watch_stop) {
		bool busy = atomic_load(&c->pending) > 0 ||
			    atomic_load(&c->disk_stalled);
		int64_t now = clock_ns();
		bool ticks;

		if (busy)
			busy_at = now;
		ticks = now - busy_at < LINGER_NS;
		atomic_store(&c->watch_ticks, ticks);
		if (!ticks && atomic_load(&c->pending) > 0)
			continue; /* who has just come did not wake us */
		event_wait_until(&c->watch_wake, &c->watch_lock,
				 now + (ticks ? TICK_NS : SWEEP_NS));
		if (c->watch_stop)
			break;
		lock_drop(&c->watch_lock);
		given_write(c, clock_ns());
		if (busy || atomic_load(&c->pending) > 0)
			look(c);
		if (clock_ns() - swept >= SWEEP_NS) {
			swept = clock_ns();
			if (unlinked() != seen) {
				seen = unlinked();
				close_evicted(c);
			}
			memory_drop_stored(c);
			buffers_trim(c->buffers);
		}
		lock_take(&c->watch_lock);
	}
	lock_drop(&c->watch_lock);
	return NULL;
}

int watch_start(struct cache *c)
{
	int err = pthread_create(&c->watcher, NULL, watch_main, c);

	c->watching = err == 0;
	return -err;
}

void watch_stop(struct cache *c)
{
	if (!c->watching)
		return;
	lock_take(&c->watch_lock);
	c->watch_stop = true;
	event_signal(&c->watch_wake);
	lock_drop(&c->watch_lock);
	pthread_join(c->watcher, NULL);
	c->watching = false;
}
