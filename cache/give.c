/* SPDX-License-Identifier: Apache-2.0 */
/*
 * give.c - a small object has its bytes at once, and its file a second later
 *
 * To make a small object's file on the SSD takes the processor for as long as
 * to send it to the store, so who writes a thousand of them one after the
 * other would wait twice. What was just sent is given to the object as a fill
 * that has all of its pages already: reads are answered from them. The file is
 * made SETTLE_NS later, or before
 *
 *  - when it is opened: the kernel is to have the file
 *  - when it is asked for, to be counted, loaded, or freed
 *  - when somebody needs the memory. A quarter of the budget at most is given
 *    or on its way to the SSD; nothing is while reads wait for memory, or the
 *    SSD stalls
 *  - when the cache ends
 *
 * A crash before loses no more than a cache entry.
 */
#include <errno.h>

#include "base/clock.h"
#include "cache/cache_impl.h"
#include "cache/extent_impl.h"

#define SETTLE_NS NSEC_PER_SEC

static void list_locked(struct cache *c, struct fill *f)
    TSA(requires_capability(c->memory_lock))
{
	f->due = clock_ns() + SETTLE_NS;
	f->given = true;
	fills_append(&c->given, f);
	c->given_pages += f->n;
	if (f->older == NULL)
		watch_pending(c, 1);
}

/* Out of the list, to be written. */
static void unlist_locked(struct cache *c, struct fill *f)
    TSA(requires_capability(c->memory_lock))
{
	fills_remove(&c->given, f);
	f->given = false;
	c->given_pages -= f->n;
	c->writing += f->n;
	if (c->given.oldest == NULL)
		watch_pending(c, -1);
}

bool given_waits_locked(const struct object *o)
{
	const struct fill *f = o->fills; /* a small object has one at most */

	return f != NULL && f->own && f->state == FILL_FETCHED;
}

/* It waits, here or for a writer: it is the caller's now. */
static bool take(struct cache *c, struct fill *f)
{
	bool mine;

	lock_take(&c->memory_lock);
	mine = f->given;
	if (mine)
		unlist_locked(c, f);
	lock_drop(&c->memory_lock);
	return mine || pool_withdraw(c->writers, &f->job);
}

void given_settle(struct object *o)
{
	struct fill *f = NULL;

	lock_take(&o->lock);
	if (given_waits_locked(o) && take(o->cache, o->fills))
		f = o->fills;
	lock_drop(&o->lock);
	if (f != NULL)
		fill_store_now(f);
}

void given_write(struct cache *c, int64_t due)
{
	struct fill *f;

	lock_take(&c->memory_lock);
	while ((f = c->given.oldest) != NULL && f->due <= due) {
		unlist_locked(c, f);
		lock_drop(&c->memory_lock);
		fill_submit_store(f, POOL_BACKGROUND);
		lock_take(&c->memory_lock);
	}
	lock_drop(&c->memory_lock);
}

static int read_pages(struct fill *f, int fd)
{
	struct object *o = f->object;
	int r = 0;

	for (unsigned i = 0; i < f->n && r == 0; i++) {
		uint64_t at = (uint64_t)i * PAGE_BYTES;

		f->pages[i] = buffers_get(o->cache->buffers);
		if (f->pages[i] == NULL)
			return -ENOMEM;
		f->done++;
		r = extent_pread(fd, f->pages[i],
				 (size_t)MIN(o->st.size - at, PAGE_BYTES), at,
				 false);
	}
	return r;
}

/* False: somebody fetches it, or has its file open. */
static bool begin(struct object *o, struct fill *f)
{
	struct cache *c = o->cache;
	bool mine;

	lock_take(&o->lock);
	mine = o->fills == NULL && !object_open_locked(o, 0);
	if (mine) {
		object_ref(o);
		f->whole = f->own = true;
		f->state = FILL_FETCHED;
		f->got = (size_t)o->st.size;
		f->next = o->fills;
		o->fills = f;
		lock_take(&c->memory_lock);
		list_locked(c, f);
		lock_drop(&c->memory_lock);
	}
	lock_drop(&o->lock);
	return mine;
}

int object_give(struct object *o, int fd)
{
	struct cache *c = o->cache;
	size_t n = object_pages(o);
	struct fill *f;
	bool room;
	int r;

	if (c->ndisks == 0 || n == 0 || o->st.size > EXTENT_SMALL_MAX)
		return -EXDEV;
	lock_take(&c->memory_lock);
	room = c->given_pages + c->writing + n <= c->reserved_max / 4 &&
	       c->starved == 0 && !atomic_load(&c->disk_stalled);
	lock_drop(&c->memory_lock);
	if (!room || !memory_reserve_ahead(c, n))
		return -ENOMEM;
	f = fill_new(o, 0, (unsigned)n);
	if (f == NULL) {
		memory_release(c, n);
		return -ENOMEM;
	}
	r = read_pages(f, fd);
	if (r < 0 || !begin(o, f))
		fill_free(c, f);
	return r;
}
