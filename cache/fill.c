/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill.c - fetching missing pages, once for all who miss them
 *
 * A fill is a run of pages of one object, in object->fills from the moment
 * it is decided until its pages are on the SSD (or, where they cannot be,
 * until their memory is needed): whoever misses a page meanwhile finds it
 * there and joins. Its states:
 *
 *   QUEUED    for a fetcher thread; a background one is moved to the front
 *             when a read joins it
 *   FETCHING  pages appear one by one; each wakes the reads that only waited
 *             for it
 *   FETCHED   on its way to the SSD
 *   KEPT      only in memory; or on the SSD as well, and still to be read
 *
 * A small object is one fill and is written to the SSD by the fetcher, so
 * that who opens it gets the finished file; what it was given instead of being
 * fetched is FETCHED until its file is made (give.c). Parts of large ones are
 * written by threads of their own; when those fall behind (a stalled SSD),
 * pages are kept in memory and written later, unless their memory is needed
 * before: half of the budget always remains for reads.
 *
 * An error ends the fill and is told to who waits now; it is never kept. The
 * pages that came before it are.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "cache/cache_impl.h"

static void fetch_run(struct job *job);

struct fill *fill_find_locked(struct object *o, uint64_t page)
{
	struct fill *f;

	for (f = o->fills; f != NULL; f = f->next)
		if (page >= f->first && page - f->first < f->n)
			return f;
	return NULL;
}

unsigned fill_generation(struct object *o)
{
	unsigned generation;

	lock_take(&o->lock);
	generation = o->generation;
	lock_drop(&o->lock);
	return generation;
}

static void fill_unlink_locked(struct object *o, struct fill *f)
{
	struct fill **p;

	for (p = &o->fills; *p != f; p = &(*p)->next)
		;
	*p = f->next;
	o->generation++;
}

void fill_free(struct cache *c, struct fill *f)
{
	for (unsigned i = 0; i < f->done; i++)
		buffers_put(c->buffers, f->pages[i]);
	if (f->page != NULL)
		buffers_put(c->buffers, f->page);
	memory_release(c, f->n);
	free(f);
}

/* How many of its pages a read of [off, off+len) has read to their ends. */
static unsigned pages_ended(const struct fill *f, uint64_t off, size_t len)
{
	uint64_t start = MAX(off / PAGE_BYTES, f->first);
	uint64_t end = (off + len) / PAGE_BYTES;

	if (len > 0 && off + len == f->object->st.size)
		end = (off + len + PAGE_BYTES - 1) / PAGE_BYTES;
	end = MIN(end, f->first + f->n);
	return end > start ? (unsigned)(end - start) : 0;
}

void fill_unpin(struct object *o, struct fill *f, uint64_t off, size_t len)
{
	bool last;

	lock_take(&o->lock);
	atomic_fetch_add(&f->consumed, pages_ended(f, off, len));
	last = --f->pins == 0 && f->finished;
	if (f->pins == 0 && f->stored && atomic_load(&f->consumed) >= f->n &&
	    memory_unkeep(o->cache, f)) {
		fill_unlink_locked(o, f);
		last = true;
	}
	lock_drop(&o->lock);
	if (last)
		fill_free(o->cache, f);
}

static bool overlaps(const struct object_read *r, uint64_t first, uint64_t n)
{
	uint64_t a = r->off / PAGE_BYTES;
	uint64_t b = (r->off + r->len - 1) / PAGE_BYTES;

	return n > 0 && a < first + n && b >= first;
}

/* Nothing that r needs is on its way any more. */
static bool ready_locked(struct object *o, const struct object_read *r)
{
	struct fill *f;

	for (f = o->fills; f != NULL; f = f->next)
		if (f->state <= FILL_FETCHING &&
		    overlaps(r, f->first + f->done, f->n - f->done))
			return false;
	return true;
}

/* Take the reads that are ready out of the queue. */
static struct object_read *take_ready_locked(struct object *o)
{
	struct object_read **p = &o->waiting, *r, *ready = NULL;

	while ((r = *p) != NULL) {
		if (r->state != READ_WAITING || !ready_locked(o, r)) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		r->state = READ_IDLE;
		r->next = ready;
		ready = r;
	}
	return ready;
}

static void go_on(struct object *o, struct object_read *ready)
{
	struct object_read *next;

	for (; ready != NULL; ready = next) {
		next = ready->next;
		watch_pending(o->cache, -1);
		read_go_on(o, ready, true);
	}
}

bool fill_evict(struct fill *f)
{
	struct object *o = f->object;
	struct object_read *r;
	bool free_now = false, keep;

	lock_take(&o->lock);
	keep = f->pins > 0;
	for (r = o->waiting; r != NULL && !keep; r = r->next)
		keep = r->state == READ_WAITING && overlaps(r, f->first, f->n);
	if (keep) {
		memory_keep(o->cache, f);
	} else {
		fill_unlink_locked(o, f);
		free_now = true;
	}
	lock_drop(&o->lock);
	return free_now;
}

void fill_drop_kept(struct object *o)
{
	struct fill *f;

	while ((f = o->fills) != NULL) {
		memory_unkeep(o->cache, f);
		o->fills = f->next;
		fill_free(o->cache, f);
	}
}

void fill_cancel_background(struct object *o)
{
	lock_take(&o->lock);
	for (struct fill *f = o->fills; f != NULL; f = f->next)
		if (f->background && f->waiter == NULL)
			cancel_set(&f->cancel);
	lock_drop(&o->lock);
}

struct fill *fill_new(struct object *o, uint64_t first, unsigned n)
{
	struct fill *f = calloc(1, sizeof(*f) + n * sizeof(f->pages[0]));

	if (f == NULL)
		return NULL;
	f->job.run = fetch_run;
	f->object = o;
	f->first = first;
	f->n = n;
	return f;
}

/*
 * While parts of a large extent are on their way it is not evicted: they would
 * be written to a file that is gone, and what came before them be lost.
 */
static void pin_extent(struct fill *f)
{
	struct object *o = f->object;
	struct disk_id id;
	struct disk *d;
	uint64_t length;

	if (f->whole || f->bypass)
		return;
	d = object_extent_id(o, f->first / object_extent_pages(o), &id,
			     &length);
	if (d != NULL)
		disk_pin(d, &id, &f->pin);
}

static void fill_begin_locked(struct object *o, struct fill *f)
{
	object_ref(o);
	pin_extent(f);
	f->next = o->fills;
	o->fills = f;
	stat_inc(STAT_fills);
	pool_submit(o->cache->fetchers, &f->job,
		    f->background ? POOL_BACKGROUND : POOL_DEMAND);
}

void fill_join_locked(struct object *o, struct fill *f)
{
	stat_inc(STAT_fill_joined);
	if (!f->background)
		return;
	f->background = false;
	if (f->state == FILL_QUEUED &&
	    pool_withdraw(o->cache->fetchers, &f->job))
		pool_submit(o->cache->fetchers, &f->job, POOL_DEMAND);
}

/* Out of the list. True: nobody reads it, so the caller is to free it. */
static bool fill_leave_locked(struct object *o, struct fill *f)
{
	disk_unpin(&f->pin);
	fill_unlink_locked(o, f);
	f->finished = true;
	return f->pins == 0;
}

/* After that: f (NULL: its last reader frees it) and its hold on o go. */
static void fill_left(struct object *o, struct fill *f)
{
	if (f != NULL)
		fill_free(o->cache, f);
	object_unref(o);
}

/* It has ended well. */
static void fill_end(struct fill *f)
{
	struct object *o = f->object;
	struct fill_waiter *w = f->waiter;
	uint64_t bytes = f->got;
	bool free_now;

	lock_take(&o->lock);
	free_now = fill_leave_locked(o, f);
	lock_drop(&o->lock);
	fill_left(o, free_now ? f : NULL);
	if (w != NULL)
		w->ended(w, 0, bytes);
}

static void fill_keep(struct fill *f)
{
	struct object *o = f->object;
	struct fill_waiter *w = f->waiter;
	uint64_t bytes = f->got;

	stat_add(STAT_ssd_unadmitted, f->n);
	disk_unpin(&f->pin);
	lock_take(&o->lock);
	f->waiter = NULL; /* others look for theirs under the lock */
	f->state = FILL_KEPT;
	f->kept_since = clock_ns();
	memory_keep(o->cache, f);
	lock_drop(&o->lock);
	if (w != NULL)
		w->ended(w, -ENOSPC, bytes);
	object_unref(o);
}

/* It is on the SSD. What a stream will still read stays in memory too. */
static void fill_stored(struct fill *f)
{
	struct object *o = f->object;
	bool keep;

	disk_unpin(&f->pin);
	lock_take(&o->lock);
	keep = f->ahead && atomic_load(&f->consumed) < f->n;
	if (keep) {
		f->state = FILL_KEPT;
		f->stored = true;
		f->kept_since = clock_ns();
		memory_keep(o->cache, f);
	}
	lock_drop(&o->lock);
	if (keep)
		object_unref(o);
	else
		fill_end(f);
}

static struct object_open *take_opens_locked(struct object *o)
{
	struct object_open *opens = o->opening;

	o->opening = NULL;
	for (struct object_open *i = opens; i != NULL; i = i->next)
		i->state = OPEN_IDLE;
	return opens;
}

/* Answer opens that waited for a whole object. */
static void finish_opens(struct object *o, struct object_open *opens, int err)
{
	struct object_open *next;

	for (; opens != NULL; opens = next) {
		next = opens->next;
		watch_pending(o->cache, -1);
		open_finish(o, opens, err);
	}
}

/* A small object's fill has ended well: its file is there, or its bytes. */
static void whole_is_there(struct object *o)
{
	struct object_open *opens;

	lock_take(&o->lock);
	opens = take_opens_locked(o);
	lock_drop(&o->lock);
	finish_opens(o, opens, 0);
}

static bool store_whole(struct object *o, struct fill *f)
{
	struct extent *e = NULL;
	struct disk_id id;
	struct disk *d;
	uint64_t length;

	d = object_extent_id(o, 0, &id, &length);
	if (d == NULL || f->bypass || disk_state(d) != DISK_OK ||
	    !disk_admit(d, (int64_t)length))
		return false;
	if (extent_write_small(d, &id, length, f->pages, &e) < 0)
		return false;
	object_extent_set(o, 0, e);
	object_complete(o);
	return true;
}

static bool store_part(struct object *o, struct fill *f)
{
	uint64_t per = object_extent_pages(o);
	struct extent *e;
	bool stored;

	e = object_extent_make(o, f->first / per);
	stored = e != NULL && disk_state(extent_disk(e)) == DISK_OK &&
		 disk_admit(extent_disk(e), (int64_t)f->got) &&
		 extent_write(e, f->first % per, f->n, f->pages) == 0;
	if (stored && o->extents == 1 && extent_trusted(e))
		object_complete(o);
	extent_close(e);
	return stored;
}

static void store_fill(struct fill *f)
{
	struct object *o = f->object;
	bool whole = f->whole;

	object_ref(o);
	if (whole ? store_whole(o, f) : store_part(o, f))
		fill_stored(f);
	else
		fill_keep(f);
	if (whole)
		whole_is_there(o);
	object_unref(o);
}

/* It will not reach the SSD. */
static void keep_only(struct fill *f)
{
	struct object *o = f->object;
	bool whole = f->whole;

	object_ref(o);
	fill_keep(f);
	if (whole)
		whole_is_there(o);
	object_unref(o);
}

/* Of a kept fill that was taken out to be written, with a ref to its object. */
static void write_kept_locked(struct object *o, struct fill *f)
    TSA(requires_capability(o->lock))
{
	(void)o; /* whose lock is held */
	f->state = FILL_FETCHED;
	f->bypass = false;
	pin_extent(f);
	fill_submit_store(f, POOL_DEMAND);
}

void fill_write_kept(struct object *o)
{
	lock_take(&o->lock);
	for (struct fill *f = o->fills; f != NULL; f = f->next)
		if (f->state == FILL_KEPT && !f->stored &&
		    memory_take_kept(o->cache, f)) {
			object_ref(o);
			write_kept_locked(o, f);
		}
	lock_drop(&o->lock);
}

/*
 * Write what was fetched while the SSD was behind. To be called when less is
 * being written than before, and when something is owed that was not: both
 * are done under the memory lock, so whichever comes second sees the other,
 * and nothing owed is left behind by the last writer.
 */
static void write_owed(struct cache *c)
{
	struct fill *f = memory_take_owed(c);
	struct object *o;

	if (f == NULL)
		return;
	o = f->object;
	lock_take(&o->lock);
	write_kept_locked(o, f);
	lock_drop(&o->lock);
}

void fill_store_now(struct fill *f)
{
	struct cache *c = f->object->cache;
	size_t n = f->n;

	store_fill(f);
	lock_take(&c->memory_lock);
	c->writing -= n;
	lock_drop(&c->memory_lock);
	write_owed(c);
}

static void store_run(struct job *job)
{
	fill_store_now(container_of(job, struct fill, job));
}

void fill_submit_store(struct fill *f, enum pool_lane lane)
{
	f->job.run = store_run;
	pool_submit(f->object->cache->writers, &f->job, lane);
}

static void fill_store(struct fill *f)
{
	struct cache *c = f->object->cache;
	bool behind, direct = false;

	if (c->ndisks == 0 || f->bypass) {
		keep_only(f);
		return;
	}
	if (f->whole && !atomic_load(&c->disk_stalled)) {
		direct = atomic_fetch_add(&c->inline_writes, 1) <
			 c->fetchers_max / 2 + 1;
		if (direct)
			store_fill(f);
		atomic_fetch_sub(&c->inline_writes, 1);
		if (direct)
			return;
	}
	lock_take(&c->memory_lock);
	/* A loader is there to fill the SSD: it waits, within its share. */
	behind = f->waiter == NULL && c->writing + f->n > c->reserved_max / 2;
	if (!behind)
		c->writing += f->n;
	lock_drop(&c->memory_lock);
	if (behind) {
		f->owed = true;
		keep_only(f);
		write_owed(c);
		return;
	}
	fill_submit_store(f, POOL_DEMAND);
}

static int fill_head(void *arg, const struct ufs_stat *st)
{
	struct fill *f = arg;
	struct object *o = f->object;

	if (st->size != o->st.size || strcmp(st->version, o->st.version) != 0) {
		log_warn("cache: read %s: the store answered with another "
			 "version than was asked for",
			 o->key);
		return -ESTALE;
	}
	return 0;
}

/* How many bytes a fill has in all. */
static size_t fill_bytes(const struct fill *f)
{
	uint64_t start = f->first * PAGE_BYTES;

	return MIN((uint64_t)f->n * PAGE_BYTES, f->object->st.size - start);
}

static int fill_data(void *arg, const void *bytes, size_t len)
{
	struct fill *f = arg;
	struct object *o = f->object;
	size_t want = fill_bytes(f);

	if (len > want - f->got)
		return -EIO;
	stat_add(STAT_fill_bytes, (int64_t)len);
	while (len > 0) {
		size_t in = f->got % PAGE_BYTES;
		size_t n = MIN(len, PAGE_BYTES - in);
		struct object_read *ready = NULL;

		if (f->page == NULL) {
			f->page = buffers_get(o->cache->buffers);
			if (f->page == NULL)
				return -ENOMEM;
		}
		memcpy((char *)f->page + in, bytes, n);
		bytes = (const char *)bytes + n;
		len -= n;
		f->got += n;
		if (in + n < PAGE_BYTES && f->got < want)
			continue;
		if (f->whole) {
			f->pages[f->held++] = take_ptr(f->page);
			continue;
		}
		lock_take(&o->lock);
		f->pages[f->done++] = f->page;
		f->page = NULL;
		if (o->waiting != NULL)
			ready = take_ready_locked(o);
		lock_drop(&o->lock);
		go_on(o, ready);
	}
	return 0;
}

/* What came of a whole object is not to be shown. */
static void drop_held(struct fill *f)
{
	struct buffers *b = f->object->cache->buffers;

	while (f->held > 0)
		buffers_put(b, f->pages[--f->held]);
	if (f->page != NULL)
		buffers_put(b, take_ptr(f->page));
}

static void fill_source(void *arg, bool worker)
{
	struct fill *f = arg;

	atomic_store(&f->peer, worker);
}

/* The store's checksum says that all of it is wrong. */
static int fill_again(void *arg)
{
	struct fill *f = arg;

	drop_held(f);
	f->got = 0;
	return 0;
}

/* The store has sent all: whole objects are shown now. */
static void fetch_done(struct fill *f)
{
	struct object *o = f->object;
	struct object_read *ready = NULL;

	lock_take(&o->lock);
	f->done += f->held;
	f->held = 0;
	f->state = FILL_FETCHED;
	if (f->whole && o->waiting != NULL)
		ready = take_ready_locked(o);
	lock_drop(&o->lock);
	go_on(o, ready);
	fill_store(f);
}

/* The reads that wait for pages [first, first+n), out of the queue. */
static struct object_read *take_overlapping_locked(struct object *o,
						   uint64_t first, uint64_t n)
{
	struct object_read **p = &o->waiting, *r, *taken = NULL;

	while ((r = *p) != NULL) {
		if (r->state != READ_WAITING || !overlaps(r, first, n)) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		r->state = READ_IDLE;
		r->next = taken;
		taken = r;
	}
	return taken;
}

/*
 * A store that did not answer in time fails those who asked it, not those who
 * joined later: it may have come back since, and they have time left.
 */
static bool ask_again(int64_t since, int64_t started, int err)
{
	return err == -ECANCELED ||
	       ((err == -ETIMEDOUT || err == -EHOSTUNREACH) && since > started);
}

static void fail_opens(struct object *o, struct object_open *opens,
		       int64_t started, int err)
{
	struct object_open *next;

	for (; opens != NULL; opens = next) {
		next = opens->next;
		watch_pending(o->cache, -1);
		if (ask_again(opens->since, started, err))
			open_fetch(o, opens, false);
		else
			open_finish(o, opens, err);
	}
}

/*
 * The store failed. Who waits now for pages that did not come is told; those
 * of a fill that was called off look again. What did come is good, and no
 * part of the fill is left for others to find: they begin a new one. A small
 * object's leaves the list together with the opens that it fails: one that
 * came in between would take it for under way, and nobody would answer it.
 * A loader hears of the error also when some pages came: not all are there.
 */
static void fetch_failed(struct fill *f, int err)
{
	struct object *o = f->object;
	struct object_read *failed, *next;
	struct object_open *opens = NULL;
	struct fill_waiter *w;
	int64_t started = f->started;
	bool store, free_now = false;
	size_t lost, got;

	if (err != -ECANCELED)
		log_warn("cache: fetch %s at %ju: %s", o->key,
			 (uintmax_t)f->first * PAGE_BYTES, strerror(-err));
	drop_held(f);
	object_ref(o);
	lock_take(&o->lock);
	lost = f->n - f->done;
	failed = take_overlapping_locked(o, f->first + f->done, lost);
	if (f->whole)
		opens = take_opens_locked(o);
	f->n = f->done;
	f->got = (size_t)f->done * PAGE_BYTES;
	f->state = FILL_FETCHED;
	w = take_ptr(f->waiter);
	got = f->whole ? 0 : f->got;
	store = f->done > 0 && !f->whole;
	if (store)
		o->generation++;
	else
		free_now = fill_leave_locked(o, f);
	lock_drop(&o->lock);
	memory_release(o->cache, lost);
	if (store)
		fill_store(f);
	else
		fill_left(o, free_now ? f : NULL);
	if (w != NULL)
		w->ended(w, err, got);
	fail_opens(o, opens, started, err);
	for (; failed != NULL; failed = next) {
		next = failed->next;
		watch_pending(o->cache, -1);
		if (ask_again(failed->since, started, err))
			read_go_on(o, failed, true);
		else
			read_fail(failed, err);
	}
	object_unref(o);
}

static void fetch_run(struct job *job)
{
	struct fill *f = container_of(job, struct fill, job);
	struct object *o = f->object;
	struct ufs *u = o->cache->ufs;
	struct ufs_sink sink = { .arg = f,
				 .head = fill_head,
				 .data = fill_data,
				 .again = f->whole ? fill_again : NULL,
				 .source = fill_source };
	struct cache *c = o->cache;
	bool load;
	int err;

	lock_take(&o->lock);
	f->state = FILL_FETCHING;
	f->started = clock_ns();
	load = f->background && f->waiter != NULL;
	lock_drop(&o->lock);
	if (!load)
		load_reader(c, 1);
	err = cancelled(&f->cancel) ? -ECANCELED : 0;
	if (err == 0)
		err = u->ops->get(u, (struct str){ o->key, o->key_len },
				  o->st.version, f->first * PAGE_BYTES,
				  fill_bytes(f), &sink, &f->cancel);
	if (err == 0 && f->got != fill_bytes(f))
		err = -EIO;
	if (!load)
		load_reader(c, -1);
	if (err == 0)
		fetch_done(f);
	else
		fetch_failed(f, err);
}

/* Pages still to be fetched of [first, first+n), cut into fills. */
struct plan {
	struct fill *first; /* made, not begun; linked by next */
	size_t pages;
	bool covered; /* some were already under way */
};

static int plan_locked(struct object *o, uint64_t first, size_t n,
		       const bool *missing, struct plan *plan)
    TSA(requires_capability(o->lock))
{
	uint64_t per = object_extent_pages(o);
	struct fill *f;

	for (size_t i = 0, run; i < n; i += run) {
		run = 1;
		if (missing != NULL && !missing[i])
			continue;
		f = fill_find_locked(o, first + i);
		if (f != NULL) {
			plan->covered = true;
			continue;
		}
		while (i + run < n && run < FILL_PAGES_MAX &&
		       (first + i + run) % per != 0 &&
		       (missing == NULL || missing[i + run]) &&
		       fill_find_locked(o, first + i + run) == NULL)
			run++;
		f = fill_new(o, first + i, (unsigned)run);
		if (f == NULL)
			return -ENOMEM;
		f->next = plan->first;
		plan->first = f;
		plan->pages += run;
	}
	return 0;
}

static void plan_drop(struct plan *plan)
{
	struct fill *f, *next;

	for (f = plan->first; f != NULL; f = next) {
		next = f->next;
		free(f);
	}
}

static void plan_begin_locked(struct object *o, struct plan *plan)
    TSA(requires_capability(o->lock))
{
	struct fill *f, *next;

	for (f = plan->first; f != NULL; f = next) {
		next = f->next;
		fill_begin_locked(o, f);
	}
}

/* Pages that a whole fetch of a small object takes; 0: it is large. */
static size_t whole_pages(const struct object *o)
{
	return o->st.size <= EXTENT_SMALL_MAX ? object_pages(o) : 0;
}

static void wait_locked(struct object *o, struct object_read *r)
{
	r->state = READ_WAITING;
	r->next = o->waiting;
	o->waiting = r;
	watch_pending(o->cache, 1);
}

int fill_demand(struct object *o, struct object_read *r, const bool *missing,
		unsigned generation)
{
	struct cache *c = o->cache;
	uint64_t first = r->off / PAGE_BYTES;
	size_t n = (r->off + r->len - 1) / PAGE_BYTES - first + 1;
	size_t whole = whole_pages(o), need = 0;
	struct plan plan = { .pages = 0 };
	int err = 0;

	for (size_t i = 0; i < n; i++)
		need += missing[i];
	if (whole > 0)
		need = whole;
	if (!memory_reserve(c, need)) {
		lock_take(&o->lock);
		if (memory_starve(c, r, need)) {
			r->state = READ_STARVED;
			r->next = o->waiting;
			o->waiting = r;
			watch_pending(c, 1);
		} else {
			err = -EAGAIN;
		}
		lock_drop(&o->lock);
		return err;
	}

	lock_take(&o->lock);
	if (o->generation != generation) {
		err = -EAGAIN;
	} else if (whole > 0) {
		if (o->fills != NULL) {
			fill_join_locked(o, o->fills);
		} else {
			plan.first = fill_new(o, 0, (unsigned)whole);
			if (plan.first != NULL) {
				plan.first->whole = true;
				plan.first->bypass = r->bypass;
				plan.pages = whole;
			} else {
				err = -ENOMEM;
			}
		}
	} else {
		err = plan_locked(o, first, n, missing, &plan);
		for (struct fill *f = plan.first; f != NULL; f = f->next)
			f->bypass = r->bypass;
		for (size_t i = 0; i < n && plan.covered; i++) {
			struct fill *f = fill_find_locked(o, first + i);

			if (missing[i] && f != NULL)
				fill_join_locked(o, f);
		}
	}
	if (err == 0) {
		plan_begin_locked(o, &plan);
		if (ready_locked(o, r)) {
			err = -EAGAIN;
		} else {
			wait_locked(o, r);
			stream_waits_locked(o, r->off, r->len);
		}
	} else {
		plan_drop(&plan);
		plan.pages = 0;
	}
	lock_drop(&o->lock);
	memory_release(c, need - plan.pages);
	return err;
}

int fill_whole(struct object *o, bool bypass)
{
	struct cache *c = o->cache;
	size_t n = object_pages(o);
	struct fill *f = NULL;
	int err = 0;

	if (!memory_reserve(c, n))
		return -EAGAIN;
	lock_take(&o->lock);
	if (o->fills != NULL) {
		fill_join_locked(o, o->fills);
	} else if (o->opening != NULL) { /* else another's has answered all */
		f = fill_new(o, 0, (unsigned)n);
		if (f != NULL) {
			f->whole = true;
			f->bypass = bypass;
			fill_begin_locked(o, f);
		} else {
			err = -ENOMEM;
		}
	}
	lock_drop(&o->lock);
	if (f == NULL)
		memory_release(c, n);
	return err;
}

int fill_background(struct object *o, uint64_t first, unsigned n,
		    unsigned generation, struct fill_waiter *w)
{
	struct cache *c = o->cache;
	struct plan plan = { .pages = 0 };
	int err;

	/* All of a small one, as it is cached. */
	if (whole_pages(o) > 0) {
		first = 0;
		n = (unsigned)whole_pages(o);
	}
	if (!memory_reserve_ahead(c, n))
		return -ENOMEM;
	lock_take(&o->lock);
	err = o->generation != generation ? -EBUSY : 0;
	if (err == 0 && whole_pages(o) > 0 && o->fills != NULL)
		plan.covered = true;
	else if (err == 0)
		err = plan_locked(o, first, n, NULL, &plan);
	if (err == 0 && w != NULL && (plan.covered || plan.pages != n)) {
		/* A loader wants to hear of each page: it asks again. */
		err = -EBUSY;
	}
	if (err == 0) {
		for (struct fill *f = plan.first; f != NULL; f = f->next) {
			f->background = true;
			f->ahead = w == NULL;
			f->waiter = w;
			f->whole = whole_pages(o) > 0;
		}
		plan_begin_locked(o, &plan);
	} else {
		plan_drop(&plan);
		plan.pages = 0;
	}
	lock_drop(&o->lock);
	memory_release(c, n - plan.pages);
	return err;
}
