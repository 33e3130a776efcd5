/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read.c - reads of an object: answered at once, by a disk thread, or later
 *
 * A read's pages are gathered from memory (fills) and from the SSD. All
 * there: done(). SSD pages that are not in the page cache: a disk thread
 * gathers again, allowed to wait. Pages that are nowhere: the read waits in
 * object->waiting for fills to bring them, and is gathered again then.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "cache/cache_impl.h"

#define READ_PAGES_MAX (OBJECT_READ_MAX / PAGE_BYTES + 1)

/* The bytes of one read, while they are pinned. */
struct gathered {
	struct iovec iov[OBJECT_IOV_MAX];
	int niov;
	struct fill *pinned[READ_PAGES_MAX];
	size_t npinned;
	bool missing[READ_PAGES_MAX];
	unsigned generation;
	size_t ssd_pages, peer_pages;
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_init(void)
{
	must(pthread_key_create(&scratch_key, free));
}

/* This thread's room for pages read from the SSD, or NULL. */
static char *scratch(void)
{
	char *s;

	must(pthread_once(&scratch_once, scratch_init));
	s = pthread_getspecific(scratch_key);
	if (s == NULL) {
		s = aligned_alloc(4096, READ_PAGES_MAX * PAGE_BYTES);
		if (s != NULL && pthread_setspecific(scratch_key, s) != 0) {
			free(s);
			s = NULL;
		}
	}
	return s;
}

/* After a read of [off, off+len); len 0: after none. */
static void gathered_drop(struct object *o, struct gathered *g, uint64_t off,
			  size_t len)
{
	for (size_t i = 0; i < g->npinned; i++)
		fill_unpin(o, g->pinned[i], off, len);
	g->npinned = 0;
}

/* Read a run of pages of one extent; how many were right, or -EAGAIN. */
static int ssd_read(struct object *o, uint64_t page, size_t n, char *buf,
		    bool nowait)
{
	uint64_t per = object_extent_pages(o);
	struct extent *e;
	bool again;
	int r;

	e = object_extent(o, page / per, nowait, &again);
	if (again)
		return -EAGAIN;
	if (e == NULL)
		return 0;
	r = extent_read(e, page % per, n, buf, nowait);
	extent_close(e);
	if (r < 0 && r != -EAGAIN)
		return 0; /* extent.c told the disk; the store has it */
	return r;
}

/*
 * 0: all of [off, off+len) is in g, pinned. -ENODATA: g->missing says what
 * is nowhere. -EAGAIN: the SSD would have to wait. -ENOMEM. Nothing is
 * pinned unless 0.
 */
static int gather(struct object *o, uint64_t off, size_t len, bool nowait,
		  bool bypass, struct gathered *g)
{
	uint64_t first = off / PAGE_BYTES;
	size_t n = (off + len - 1) / PAGE_BYTES - first + 1;
	uint64_t per = object_extent_pages(o);
	const char *src[READ_PAGES_MAX] = { NULL };
	char *buf = NULL;
	bool lacking = false;

	g->niov = 0;
	g->npinned = 0;
	g->ssd_pages = g->peer_pages = 0;
	lock_take(&o->lock);
	g->generation = o->generation;
	for (size_t i = 0; i < n && o->fills != NULL; i++) {
		struct fill *f = fill_find_locked(o, first + i);

		if (f == NULL || first + i - f->first >= f->done)
			continue;
		src[i] = f->pages[first + i - f->first];
		g->ssd_pages += f->own; /* the SSD will have them */
		g->peer_pages += atomic_load(&f->peer);
		if (g->npinned == 0 || g->pinned[g->npinned - 1] != f) {
			f->pins++;
			g->pinned[g->npinned++] = f;
		}
	}
	lock_drop(&o->lock);

	memset(g->missing, 0, sizeof(g->missing));
	for (size_t i = 0, run; i < n;) {
		int r = 0;

		if (src[i] != NULL) {
			i++;
			continue;
		}
		for (run = 1; i + run < n && src[i + run] == NULL; run++)
			if ((first + i + run) % per == 0)
				break;
		if (!bypass) {
			if (buf == NULL && (buf = scratch()) == NULL) {
				gathered_drop(o, g, 0, 0);
				return -ENOMEM;
			}
			r = ssd_read(o, first + i, run, buf + i * PAGE_BYTES,
				     nowait);
			if (r == -EAGAIN) {
				gathered_drop(o, g, 0, 0);
				return r;
			}
		}
		g->ssd_pages += (size_t)r;
		for (; r > 0; r--, run--, i++)
			src[i] = buf + i * PAGE_BYTES;
		if (run > 0) {
			/* Behind an absent or bad page there may be good. */
			g->missing[i++] = true;
			lacking = true;
		}
	}
	if (lacking) {
		gathered_drop(o, g, 0, 0);
		return -ENODATA;
	}
	for (size_t i = 0; i < n; i++) {
		size_t skip = i == 0 ? off % PAGE_BYTES : 0;
		size_t end =
		    i == n - 1 ? (off + len - 1) % PAGE_BYTES + 1 : PAGE_BYTES;
		const char *p = src[i] + skip;
		struct iovec *last = g->iov + g->niov - 1;

		if (g->niov > 0 && (char *)last->iov_base + last->iov_len == p)
			last->iov_len += end - skip;
		else
			g->iov[g->niov++] =
			    (struct iovec){ .iov_base = (void *)(uintptr_t)p,
					    .iov_len = end - skip };
	}
	return 0;
}

static void read_done(struct object *o, struct object_read *r,
		      struct gathered *g)
{
	size_t ssd = MIN(g->ssd_pages * PAGE_BYTES, r->len), len = r->len;
	size_t peer = MIN(g->peer_pages * PAGE_BYTES, len - ssd);
	uint64_t off = r->off;

	stat_add(STAT_read_bytes, (int64_t)len);
	stat_add(STAT_ssd_bytes, (int64_t)ssd);
	stat_add(STAT_saved_bytes, (int64_t)ssd);
	stat_add(STAT_peer_bytes, (int64_t)peer);
	stat_add(STAT_store_bytes, (int64_t)(len - ssd - peer));
	hot_read(o, len);
	r->done(r, 0, g->iov, g->niov);
	gathered_drop(o, g, off, len);
}

void read_fail(struct object_read *r, int err)
{
	r->done(r, err, NULL, 0);
}

struct disk_op *disk_op_new(struct object *o)
{
	struct disk_op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return NULL;
	object_ref(o);
	op->object = o;
	op->since = clock_ns();
	return op;
}

void disk_op_end(struct disk_op *op, struct object_read **read,
		 struct object_open **open)
{
	struct object *o = op->object;
	struct disk_op **p;

	lock_take(&o->lock);
	for (p = &o->ops; *p != op; p = &(*p)->next)
		;
	*p = op->next;
	*read = op->read;
	*open = op->open;
	if (op->read != NULL)
		op->read->state = READ_IDLE;
	if (op->open != NULL)
		op->open->state = OPEN_IDLE;
	lock_drop(&o->lock);
	watch_pending(o->cache, -1);
}

/* What is nowhere; -EAGAIN: gather again. */
static int fetch(struct object *o, struct object_read *r,
		 const struct gathered *g)
{
	if (r->held_only)
		return -ENODATA;
	return fill_demand(o, r, g->missing, g->generation);
}

static void read_on_disk(struct job *job)
{
	struct disk_op *op = container_of(job, struct disk_op, job);
	struct object *o = op->object;
	struct object_read *r;
	struct object_open *none;
	struct gathered g;
	int err;

	err = gather(o, op->off, op->len, false, false, &g);
	disk_op_end(op, &r, &none);
	free(op);
	if (r == NULL) {
		if (err == 0)
			gathered_drop(o, &g, 0, 0);
	} else if (err == 0) {
		read_done(o, r, &g);
	} else if (err != -ENODATA) {
		read_fail(r, err);
	} else {
		err = fetch(o, r, &g);
		if (err == -EAGAIN)
			read_go_on(o, r, false);
		else if (err < 0)
			read_fail(r, err);
	}
	object_unref(o);
}

static int read_to_disk(struct object *o, struct object_read *r)
{
	struct disk_op *op = disk_op_new(o);

	if (op == NULL)
		return -ENOMEM;
	op->job.run = read_on_disk;
	op->read = r;
	op->off = r->off;
	op->len = r->len;
	watch_pending(o->cache, 1);
	lock_take(&o->lock);
	r->state = READ_ON_DISK;
	op->next = o->ops;
	o->ops = op;
	lock_drop(&o->lock);
	pool_submit(o->cache->readers, &op->job, POOL_DEMAND);
	return 0;
}

void read_go_on(struct object *o, struct object_read *r, bool nowait)
{
	struct gathered g;
	int err;

	do {
		err = gather(o, r->off, r->len, nowait, r->bypass, &g);
		if (err == -EAGAIN) {
			/* The SSD would wait; if it has stalled, do not. */
			r->bypass = atomic_load_explicit(
			    &o->cache->disk_stalled, memory_order_relaxed);
			if (r->bypass)
				stat_inc(STAT_ssd_hedges);
			else
				err = read_to_disk(o, r);
		} else if (err == -ENODATA) {
			err = fetch(o, r, &g);
		} else if (err == 0) {
			read_done(o, r, &g);
			return;
		}
	} while (err == -EAGAIN);
	if (err < 0)
		read_fail(r, err);
}

void object_read(struct object *o, struct object_read *r)
{
	struct ahead ahead = { 0 };

	r->object = o;
	r->state = READ_IDLE;
	r->bypass = false;
	if (r->off >= o->st.size || r->len == 0) {
		r->done(r, 0, NULL, 0);
		return;
	}
	r->len = MIN(MIN(r->len, OBJECT_READ_MAX), o->st.size - r->off);
	r->since = clock_ns();
	if (!r->held_only) {
		lock_take(&o->lock);
		stream_note_locked(o, r->off, r->len, &ahead);
		lock_drop(&o->lock);
	}
	if (ahead.fetch_bytes == 0 && ahead.warm_bytes == 0) {
		read_go_on(o, r, true);
		return;
	}
	object_ref(o); /* done() may have the caller put it */
	read_go_on(o, r, true);
	stream_go_ahead(o, &ahead);
	object_unref(o);
}

bool object_read_cancel(struct object_read *r)
{
	struct object *o = r->object;
	struct object_read **p;
	struct disk_op *op;
	bool mine = false;

	lock_take(&o->lock);
	switch (r->state) {
	case READ_ON_DISK:
		for (op = o->ops; op != NULL && op->read != r; op = op->next)
			;
		if (op != NULL) {
			op->read = NULL;
			mine = true;
		}
		break;
	case READ_WAITING:
	case READ_STARVED:
		for (p = &o->waiting; *p != NULL && *p != r; p = &(*p)->next)
			;
		if (*p == r) {
			*p = r->next;
			if (r->state == READ_STARVED)
				memory_forget_starved(o->cache, r);
			watch_pending(o->cache, -1);
			mine = true;
		}
		break;
	case READ_IDLE:
		break;
	}
	if (mine)
		r->state = READ_IDLE;
	lock_drop(&o->lock);
	return mine;
}
