/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - what to fetch ahead of sequential readers
 *
 * All handles of an object share its streams. A read that begins near where
 * a stream's reader is expected (the kernel sends its read-ahead out of
 * order) belongs to it; the second one in a row opens a window, which
 * doubles with every window read up to `readahead`. A read that belongs to
 * none is random: it fetches its pages and nothing else, and takes the
 * stream slot that was used longest ago.
 */
#include <errno.h>

#include "cache/cache_impl.h"

#define WINDOW_MIN MIB(1)
#define SLACK MIB(4) /* out-of-order read-ahead of the kernel */

void stream_note_locked(struct object *o, uint64_t off, size_t len,
			uint64_t *from, uint64_t *bytes)
{
	uint64_t end = off + len, limit;
	struct stream *s = NULL, *oldest = o->streams;

	*bytes = 0;
	o->reads++;
	if (o->complete || o->st.size <= EXTENT_SMALL_MAX)
		return;
	for (size_t i = 0; i < STREAMS_PER_OBJECT && s == NULL; i++) {
		struct stream *t = &o->streams[i];

		/* A stream of one read is only continued at its end. */
		uint64_t before = t->window > 0 ? SLACK : 0;
		uint64_t after = t->window > 0 ? SLACK : len;

		if (t->used > 0 && off + before >= t->next &&
		    off <= t->next + after)
			s = t;
		if (t->used < oldest->used)
			oldest = t;
	}
	if (s == NULL) {
		*oldest = (struct stream){ .next = end,
					   .ahead = end,
					   .used = o->reads };
		return;
	}
	s->used = o->reads;
	if (end <= s->next)
		return;
	if (s->window == 0)
		s->window = MIN(WINDOW_MIN, o->cache->conf.readahead);
	s->next = end;
	s->ahead = MAX(s->ahead, end);
	limit = MIN(o->st.size, s->next + s->window);
	/* Ask for half a window at a time, not for every read's worth. */
	if (s->ahead >= o->st.size || limit <= s->ahead ||
	    (limit - s->ahead < s->window / 2 && limit < o->st.size))
		return;
	*from = s->ahead;
	*bytes = limit - s->ahead;
	s->ahead = limit;
	s->window = MIN(s->window * 2, o->cache->conf.readahead);
}

void stream_fetch_ahead(struct object *o, uint64_t from, uint64_t bytes)
{
	uint64_t page = from / PAGE_BYTES;
	uint64_t end =
	    MIN((from + bytes + PAGE_BYTES - 1) / PAGE_BYTES, object_pages(o));
	/* Four fetches side by side, of 1 to 8 MiB. */
	uint64_t part = MIN(MAX((end - page) / 4, 16), FILL_PAGES_MAX);

	for (int tries = 0; page < end && tries < 8;) {
		unsigned generation = fill_generation(o);
		bool present[FILL_PAGES_MAX];
		size_t n = MIN(part, end - page), run;
		int err = 0;

		if (object_present(o, page, n, present, true) < 0)
			return; /* the reads themselves will tell */
		for (size_t i = 0; i < n && err == 0; i += run) {
			for (run = 1;
			     i + run < n && present[i + run] == present[i];
			     run++)
				;
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
			return; /* memory is short */
		page += n;
	}
}
