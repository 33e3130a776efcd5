/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - the budget of page buffers
 *
 * A fill reserves all its pages before it is queued, so a fetch never waits
 * for memory in the middle, and fetches cannot starve one another. What has
 * been written to the SSD is released at once; what could not be (no SSD, a
 * full or failing one) is kept, oldest first to go, and so is what a stream's
 * reader is still to come for: it would have to be read back from the SSD,
 * verified and copied once more (a cold GiB: 1.1 s of CPU, without 0.8). What
 * was fetched ahead is not dropped for more of it before it was read. Prefetch
 * may use three quarters. A read for which there is no room waits its turn
 * here: until memory is given back, or watch.c looks, since what is kept may
 * also have become free to go (nobody tells; what was given is written then,
 * at once), and the threads that would serve the starved may all wait for a
 * stalled SSD.
 */
#include "base/clock.h"
#include "base/stats.h"
#include "cache/cache_impl.h"

#define UNREAD_FOR (10 * NSEC_PER_SEC)

void fills_remove(struct fills *list, struct fill *f)
{
	if (f->older != NULL)
		f->older->newer = f->newer;
	else
		list->oldest = f->newer;
	if (f->newer != NULL)
		f->newer->older = f->older;
	else
		list->newest = f->older;
	f->older = f->newer = NULL;
}

void fills_append(struct fills *list, struct fill *f)
{
	f->newer = NULL;
	f->older = list->newest;
	if (list->newest != NULL)
		list->newest->newer = f;
	else
		list->oldest = f;
	list->newest = f;
}

static void kept_remove_locked(struct cache *c, struct fill *f)
{
	fills_remove(&c->kept, f);
	f->listed = false;
	c->nkept--;
}

static void kept_append_locked(struct cache *c, struct fill *f)
{
	fills_append(&c->kept, f);
	f->listed = true;
	c->nkept++;
}

/* There may be room now: let a thread serve the starved. */
static void unstarve_locked(struct cache *c)
{
	if (c->starved == 0 || c->unstarve_queued)
		return;
	c->unstarve_queued = true;
	pool_submit(c->readers, &c->unstarve, POOL_DEMAND);
}

/* The oldest kept fill that may go. Pages fetched ahead wait to be read. */
static struct fill *kept_first_locked(struct cache *c, bool ahead, size_t skip)
    TSA(requires_capability(c->memory_lock))
{
	int64_t now = ahead ? clock_ns() : 0;

	for (struct fill *f = c->kept.oldest; f != NULL; f = f->newer) {
		if (ahead && f->ahead && atomic_load(&f->consumed) < f->n &&
		    now - f->kept_since < UNREAD_FOR)
			continue;
		if (skip-- == 0)
			return f;
	}
	return NULL;
}

/* False: its object is being destroyed, and it with it. Lets go of the lock. */
static bool kept_drop_locked(struct cache *c, struct fill *f)
    TSA(requires_capability(c->memory_lock))
{
	struct object *o = f->object;

	if (!object_ref_live(o))
		return false;
	kept_remove_locked(c, f);
	lock_drop(&c->memory_lock);
	if (fill_evict(f)) /* else it is in use: the newest now */
		fill_free(c, f);
	object_unref(o);
	lock_take(&c->memory_lock);
	return true;
}

static bool reserve(struct cache *c, size_t n, size_t limit, bool ahead)
{
	size_t skip = 0, tries;
	bool ok;

	lock_take(&c->memory_lock);
	for (tries = c->nkept; c->reserved + n > limit && tries > 0; tries--) {
		struct fill *f = kept_first_locked(c, ahead, skip);

		if (f == NULL)
			break;
		if (!kept_drop_locked(c, f))
			skip++;
	}
	ok = c->reserved + n <= limit;
	if (ok)
		c->reserved += n;
	lock_drop(&c->memory_lock);
	if (!ok && !ahead)
		given_write(c, INT64_MAX);
	return ok;
}

bool memory_reserve(struct cache *c, size_t n)
{
	return reserve(c, n, c->reserved_max, false);
}

bool memory_reserve_ahead(struct cache *c, size_t n)
{
	return reserve(c, n, c->reserved_max / 4 * 3, true);
}

void memory_release(struct cache *c, size_t n)
{
	if (n == 0)
		return;
	lock_take(&c->memory_lock);
	c->reserved -= n;
	unstarve_locked(c);
	lock_drop(&c->memory_lock);
}

void memory_keep(struct cache *c, struct fill *f)
{
	lock_take(&c->memory_lock);
	kept_append_locked(c, f);
	unstarve_locked(c);
	lock_drop(&c->memory_lock);
}

static void kept_to_write_locked(struct cache *c, struct fill *f)
    TSA(requires_capability(c->memory_lock))
{
	kept_remove_locked(c, f);
	f->owed = false;
	c->writing += f->n;
}

struct fill *memory_take_owed(struct cache *c)
{
	struct fill *f = NULL;

	lock_take(&c->memory_lock);
	if (c->writing < c->reserved_max / 4)
		for (f = c->kept.oldest; f != NULL; f = f->newer)
			if (f->owed && object_ref_live(f->object))
				break;
	if (f != NULL)
		kept_to_write_locked(c, f);
	lock_drop(&c->memory_lock);
	return f;
}

bool memory_take_kept(struct cache *c, struct fill *f)
{
	bool was;

	lock_take(&c->memory_lock);
	was = f->listed;
	if (was)
		kept_to_write_locked(c, f);
	lock_drop(&c->memory_lock);
	return was;
}

bool memory_unkeep(struct cache *c, struct fill *f)
{
	bool was;

	lock_take(&c->memory_lock);
	was = f->listed;
	if (was)
		kept_remove_locked(c, f);
	lock_drop(&c->memory_lock);
	return was;
}

void memory_drop_stored(struct cache *c)
{
	int64_t old = clock_ns() - UNREAD_FOR;
	struct fill *f;
	size_t tries;

	lock_take(&c->memory_lock);
	for (tries = c->nkept; tries > 0; tries--) {
		for (f = c->kept.oldest; f != NULL; f = f->newer)
			if (f->stored && f->kept_since < old)
				break;
		if (f == NULL || !kept_drop_locked(c, f))
			break;
	}
	lock_drop(&c->memory_lock);
}

bool memory_starve(struct cache *c, struct object_read *r, size_t n)
{
	bool room;

	lock_take(&c->memory_lock);
	room = c->reserved + n <= c->reserved_max;
	if (!room) {
		r->next_starved = NULL;
		if (c->starved_last != NULL)
			c->starved_last->next_starved = r;
		else
			c->starved_first = r;
		c->starved_last = r;
		c->starved++;
	}
	lock_drop(&c->memory_lock);
	if (!room)
		stat_inc(STAT_memory_waits);
	return !room;
}

void memory_forget_starved(struct cache *c, struct object_read *r)
{
	struct object_read **p, *last = NULL;

	lock_take(&c->memory_lock);
	for (p = &c->starved_first; *p != NULL && *p != r;
	     p = &(*p)->next_starved)
		last = *p;
	if (*p == r) {
		*p = r->next_starved;
		if (c->starved_last == r)
			c->starved_last = last;
		c->starved--;
	}
	lock_drop(&c->memory_lock);
}

void memory_unstarve(struct cache *c)
{
	size_t before;

	lock_take(&c->memory_lock);
	for (before = SIZE_MAX; c->starved > 0 && c->starved < before;) {
		struct object *o = c->starved_first->object;
		struct object_read **p, *r = NULL;

		/* Who waits holds the object: it lives. Stop when one came
		 * back to the queue. */
		before = c->starved;
		object_ref(o);
		lock_drop(&c->memory_lock);
		lock_take(&o->lock);
		for (p = &o->waiting; *p != NULL; p = &(*p)->next)
			if ((*p)->state == READ_STARVED) {
				r = *p;
				*p = r->next;
				r->state = READ_IDLE;
				memory_forget_starved(c, r);
				break;
			}
		lock_drop(&o->lock);
		if (r != NULL) {
			watch_pending(c, -1);
			read_go_on(o, r, true);
		}
		object_unref(o);
		lock_take(&c->memory_lock);
	}
	lock_drop(&c->memory_lock);
}

static void unstarve_run(struct job *job)
{
	struct cache *c = container_of(job, struct cache, unstarve);

	lock_take(&c->memory_lock);
	c->unstarve_queued = false;
	lock_drop(&c->memory_lock);
	memory_unstarve(c);
}

void memory_init(struct cache *c)
{
	lock_init(&c->memory_lock, RANK_BUFFERS);
	c->unstarve.run = unstarve_run;
}
