/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c - getting an object ready to be opened
 *
 * A small object is looked for on the SSD, verified, or fetched whole, so
 * that the open can hand its file to the kernel. Of a large one only what is
 * on the SSD is looked at; a complete one that is not yet verified is served
 * page by page while a background pass verifies it for the next open.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "cache/cache_impl.h"
#include "cache/prefetch.h"

#define VERIFY_STEP MIB(4)

/* The background pass over a complete large extent. */
struct verify_job {
	struct job job;
	struct object *object; /* owns a ref */
	struct extent *extent; /* owns a ref */
};

static void verify_run(struct job *job)
{
	struct verify_job *v = container_of(job, struct verify_job, job);
	struct object *o = v->object;
	int r = extent_verify(v->extent, VERIFY_STEP);

	if (r > 0) {
		/* Queued anew for each step: reads come first. */
		pool_submit(o->cache->readers, &v->job, POOL_BACKGROUND);
		return;
	}
	log_debug(LOG_CACHE, "cache: verified %s: %s", o->key,
		  r < 0 ? strerror(-r) : "right");
	lock_take(&o->lock);
	o->verifying = false;
	lock_drop(&o->lock);
	extent_close(v->extent);
	object_unref(o);
	free(v);
}

static void verify_begin(struct object *o, struct extent *e)
{
	struct verify_job *v;
	bool begin;

	lock_take(&o->lock);
	begin = !o->verifying;
	o->verifying = true;
	lock_drop(&o->lock);
	if (!begin)
		return;
	v = calloc(1, sizeof(*v));
	if (v == NULL) {
		lock_take(&o->lock);
		o->verifying = false;
		lock_drop(&o->lock);
		return;
	}
	v->job.run = verify_run;
	v->object = o;
	v->extent = extent_ref(e);
	object_ref(o);
	pool_submit(o->cache->readers, &v->job, POOL_BACKGROUND);
}

void open_finish(struct object *o, struct object_open *r, int err)
{
	if (err == 0) {
		prefetch_opened(o->cache->prefetch, o->hash, o->st.size);
		hot_opened(o);
	}
	r->done(r, err, err == 0 ? object_backing(o) : NULL);
}

/* Take r out of those that wait, without looking into it: it may be gone. */
static bool take_waiting(struct object *o, struct object_open *r)
{
	struct object_open **p;
	bool found;

	lock_take(&o->lock);
	for (p = &o->opening; *p != NULL && *p != r; p = &(*p)->next)
		;
	found = *p == r;
	if (found) {
		*p = r->next;
		r->state = OPEN_IDLE;
		watch_pending(o->cache, -1);
	}
	lock_drop(&o->lock);
	return found;
}

void open_fetch(struct object *o, struct object_open *r, bool bypass)
{
	bool under_way = false, kept;
	int err;

	object_ref(o); /* r may be answered, and its hold on o dropped */
	lock_take(&o->lock);
	/* Another's fetch may have ended since the SSD was looked at. */
	kept = !bypass && object_open_locked(o, 0);
	for (struct fill *f = o->fills; f != NULL; f = f->next) {
		/* The SSD is not waited for when it stalls. */
		kept |= f->state == FILL_KEPT ||
			(bypass && f->whole && f->state == FILL_FETCHED);
		under_way |= f->state != FILL_KEPT;
	}
	if (!kept) {
		/* One for prefetch may be behind hundreds of others. */
		if (under_way)
			fill_join_locked(o, o->fills);
		r->state = OPEN_WAITING;
		r->next = o->opening;
		o->opening = r;
		watch_pending(o->cache, 1);
	}
	lock_drop(&o->lock);
	if (kept) {
		open_finish(o, r, 0);
	} else if (!under_way) {
		prefetch_missed(o->cache->prefetch,
				(struct str){ o->key, o->key_len });
		err = fill_whole(o, bypass);
		/* Out of memory now: its reads will wait for some. */
		if (err < 0 && take_waiting(o, r))
			open_finish(o, r, err == -EAGAIN ? 0 : err);
	}
	object_unref(o);
}

/* Is all of e right? May take a while; a large one is left to the pass. */
static bool look_at(struct object *o, struct extent *e)
{
	uint64_t bytes;

	if (extent_trusted(e))
		return true;
	if (o->st.size <= EXTENT_SMALL_MAX) {
		while (extent_verify(e, EXTENT_SMALL_MAX) > 0)
			;
		if (extent_trusted(e))
			return true;
		object_extent_set(o, 0, NULL);
		return false;
	}
	if (extent_bytes(e, &bytes) == 0 && bytes == extent_length(e))
		verify_begin(o, e);
	return false;
}

static bool look_on_ssd(struct object *o)
{
	struct extent *e;
	bool again, there;

	e = object_extent(o, 0, false, &again);
	there = e != NULL && o->extents == 1 && look_at(o, e);
	extent_close(e);
	return there;
}

static void open_on_disk(struct job *job)
{
	struct disk_op *op = container_of(job, struct disk_op, job);
	struct object *o = op->object;
	struct object_read *none;
	struct object_open *r;
	bool there;

	if (!atomic_load(&o->cache->disk_stalled))
		given_settle(o);
	there = look_on_ssd(o);
	if (there)
		object_complete(o);
	disk_op_end(op, &none, &r);
	free(op);
	if (r != NULL) {
		if (there || o->st.size > o->cache->conf.small_file) {
			if (there)
				stat_inc(STAT_saved_get);
			open_finish(o, r, 0);
		} else {
			open_fetch(o, r, false);
		}
	}
	object_unref(o);
}

void object_open(struct object *o, struct object_open *r)
{
	struct cache *c = o->cache;
	struct cache_file *file;
	struct disk_op *op;
	bool known;

	r->object = o;
	r->state = OPEN_IDLE;
	r->since = clock_ns();
	if (o->st.size == 0) {
		r->done(r, 0, NULL);
		return;
	}
	file = object_backing(o);
	if (file != NULL) {
		stat_inc(STAT_saved_get);
		prefetch_opened(c->prefetch, o->hash, o->st.size);
		hot_opened(o);
		r->done(r, 0, file);
		return;
	}
	lock_take(&o->lock);
	known = c->ndisks == 0 ||
		(object_absent_locked(o, 0) && !given_waits_locked(o));
	lock_drop(&o->lock);
	if (known || atomic_load(&c->disk_stalled)) {
		if (o->st.size <= c->conf.small_file)
			open_fetch(o, r, !known);
		else
			open_finish(o, r, 0);
		return;
	}
	op = disk_op_new(o);
	if (op == NULL) {
		r->done(r, -ENOMEM, NULL);
		return;
	}
	op->job.run = open_on_disk;
	op->open = r;
	watch_pending(c, 1);
	lock_take(&o->lock);
	r->state = OPEN_ON_DISK;
	op->next = o->ops;
	o->ops = op;
	lock_drop(&o->lock);
	pool_submit(c->readers, &op->job, POOL_DEMAND);
}

bool object_open_cancel(struct object_open *r)
{
	struct object *o = r->object;
	struct disk_op *op;
	bool mine = false;

	lock_take(&o->lock);
	for (op = o->ops; op != NULL && op->open != r; op = op->next)
		;
	if (op != NULL) {
		op->open = NULL;
		r->state = OPEN_IDLE;
		mine = true;
	}
	lock_drop(&o->lock);
	return mine || take_waiting(o, r);
}

void open_hedge(struct object *o, struct object_open *r)
{
	/* The fill of a stalled SSD has its bytes, or the store has them. */
	if (o->st.size > o->cache->conf.small_file)
		open_finish(o, r, 0);
	else
		open_fetch(o, r, true);
}
