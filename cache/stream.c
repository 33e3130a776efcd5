/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - what to fetch ahead of sequential readers
 *
 * All handles of an object share its streams. A read that begins near where
 * a stream's reader is expected (the kernel sends its read-ahead out of
 * order) belongs to it; the second one in a row opens a window. It doubles
 * when a read had to wait for what was asked for since it last did, up to
 * `readahead`: so it becomes as wide as the store is far away, and no wider,
 * for each byte ahead is memory touched anew. A read that belongs to none is
 * random: it fetches its pages and nothing else, and takes the stream slot
 * that was used longest ago.
 *
 * What a stream will find on the SSD is read into the page cache ahead of it,
 * so that the FUSE threads, which do not wait for the SSD, find it there
 * (passthrough=off, 1 GiB dropped: see scripts/bench).
 */
#include <errno.h>
#include <fcntl.h>

#include "cache/cache_impl.h"

#define WINDOW_MIN MIB(4)
#define WARM MIB(8)  /* what the kernel is asked to have ready of the SSD */
#define SLACK MIB(4) /* out-of-order read-ahead of the kernel */

/* The stream a read belongs to, or NULL: a slot is begun for it. */
static struct stream *stream_find_locked(struct object *o, uint64_t off,
					 size_t len)
    TSA(requires_capability(o->lock))
{
	struct stream *oldest = o->streams;

	for (size_t i = 0; i < STREAMS_PER_OBJECT; i++) {
		struct stream *s = &o->streams[i];
		/* A stream of one read is only continued at its end. */
		uint64_t before = s->window > 0 ? SLACK : 0;
		uint64_t after = s->window > 0 ? SLACK : len;

		if (s->used > 0 && off + before >= s->next &&
		    off <= s->next + after)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	*oldest = (struct stream){ .next = off + len,
				   .ahead = off + len,
				   .warmed = off + len,
				   .used = o->reads };
	return NULL;
}

/* Half a window at a time, not every read's worth. */
static bool due(uint64_t reached, uint64_t limit, uint64_t window,
		uint64_t size)
{
	return limit > reached &&
	       (limit - reached >= window / 2 || limit == size);
}

void stream_note_locked(struct object *o, uint64_t off, size_t len,
			struct ahead *a)
{
	uint64_t end = off + len, size = o->st.size, limit;
	struct stream *s;

	memset(a, 0, sizeof(*a));
	o->reads++;
	if (size <= EXTENT_SMALL_MAX)
		return;
	s = stream_find_locked(o, off, len);
	if (s == NULL)
		return;
	s->used = o->reads;
	if (end <= s->next)
		return;
	if (s->window == 0) {
		s->window = MIN(WINDOW_MIN, o->cache->conf.readahead);
	} else if (s->waited) {
		s->window = MIN(s->window * 2, o->cache->conf.readahead);
		s->waited = false;
		s->asked = s->ahead;
	}
	s->next = end;
	s->ahead = MAX(s->ahead, end);
	s->warmed = MAX(s->warmed, end);
	limit = MIN(size, end + WARM);
	if (o->cache->ndisks > 0 && due(s->warmed, limit, WARM, size)) {
		a->warm = s->warmed;
		a->warm_bytes = limit - s->warmed;
		s->warmed = limit;
	}
	limit = MIN(size, end + s->window);
	if (!o->complete && due(s->ahead, limit, s->window, size)) {
		a->fetch = s->ahead;
		a->fetch_bytes = limit - s->ahead;
		s->ahead = limit;
	}
}

void stream_waits_locked(struct object *o, uint64_t off, size_t len)
{
	for (size_t i = 0; i < STREAMS_PER_OBJECT; i++) {
		struct stream *s = &o->streams[i];

		if (s->window > 0 && s->next == off + len && off >= s->asked)
			s->waited = true;
	}
}

/*
 * Have the kernel read what the SSD holds of a stream's next bytes. Never a
 * hole: its pages would be made one by one, and stay small for what is
 * written there later (mmap of such a file was four times slower).
 */
struct warm_job {
	struct job job;
	struct object *object; /* owns a ref */
	uint64_t from, bytes;
};

static void warm_run(struct job *job)
{
	struct warm_job *w = container_of(job, struct warm_job, job);
	struct object *o = w->object;
	uint64_t per = object_extent_pages(o);
	uint64_t page = w->from / PAGE_BYTES;
	uint64_t end = (w->from + w->bytes + PAGE_BYTES - 1) / PAGE_BYTES;

	while (page < end) {
		bool present[WARM / PAGE_BYTES + 1], again;
		size_t n = MIN(end - page, per - page % per), run;
		struct extent *e = object_extent(o, page / per, false, &again);

		n = MIN(n, ARRAY_SIZE(present));
		if (e == NULL ||
		    extent_present(e, page % per, n, present, false) <= 0)
			memset(present, 0, sizeof(present));
		for (size_t i = 0; i < n; i += run) {
			run = present_run(present, i, n);
			if (present[i])
				(void)posix_fadvise(
				    extent_fd(e),
				    (off_t)((page % per + i) * PAGE_BYTES),
				    (off_t)(run * PAGE_BYTES),
				    POSIX_FADV_WILLNEED);
		}
		extent_close(e);
		page += n;
	}
	free(w);
	object_unref(o);
}

static void warm(struct object *o, uint64_t from, uint64_t bytes)
{
	struct warm_job *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return; /* it is only slower */
	object_ref(o);
	*w = (struct warm_job){
		.job.run = warm_run, .object = o, .from = from, .bytes = bytes
	};
	pool_submit(o->cache->readers, &w->job, POOL_DEMAND);
}

/* Up to where it is fetched, or being fetched, now: at most from + bytes. */
static uint64_t fetch_ahead(struct object *o, uint64_t from, uint64_t bytes)
{
	uint64_t page = from / PAGE_BYTES;
	uint64_t end =
	    MIN((from + bytes + PAGE_BYTES - 1) / PAGE_BYTES, object_pages(o));
	/* Four fetches side by side, of 2 to 8 MiB. */
	uint64_t part = MIN(MAX((end - page) / 4, 32), FILL_PAGES_MAX);

	for (int tries = 0; page < end && tries < 8;) {
		unsigned generation = fill_generation(o);
		bool present[FILL_PAGES_MAX];
		size_t n = MIN(part, end - page), run;
		int err = 0;

		if (object_present(o, page, n, present, true) < 0)
			break; /* the reads themselves will tell */
		for (size_t i = 0; i < n && err == 0; i += run) {
			run = present_run(present, i, n);
			if (!present[i])
				err =
				    fill_background(o, page + i, (unsigned)run,
						    generation, NULL);
		}
		if (err == -EBUSY) {
			tries++; /* a fill has just ended: look again */
			continue;
		}
		if (err < 0)
			break; /* memory is short */
		page += n;
	}
	return MIN(MAX(page * PAGE_BYTES, from), from + bytes);
}

void stream_go_ahead(struct object *o, const struct ahead *a)
{
	if (a->warm_bytes > 0)
		warm(o, a->warm, a->warm_bytes);
	if (a->fetch_bytes > 0) {
		uint64_t end = a->fetch + a->fetch_bytes;
		uint64_t reached = fetch_ahead(o, a->fetch, a->fetch_bytes);

		/* What there was no room for is asked for with a later read. */
		lock_take(&o->lock);
		for (size_t i = 0; i < STREAMS_PER_OBJECT; i++)
			if (o->streams[i].ahead == end)
				o->streams[i].ahead = reached;
		lock_drop(&o->lock);
	}
}
