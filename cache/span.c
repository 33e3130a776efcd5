/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span.c - pieces of an object that a front may send from the file itself
 *
 * FUSE hands whole files to the kernel; a worker's HTTP sends ranges, also of
 * a file of which it holds some pages only. What this process wrote or found
 * right, of a file that nobody else changed since, may go out as it lies.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/stats.h"
#include "cache/cache_impl.h"

static int span_of(struct extent *e, uint64_t at, uint64_t len, uint64_t *words,
		   bool nowait, struct object_span *out)
{
	uint64_t page = at / PAGE_BYTES;
	uint64_t n = (at + len - 1) / PAGE_BYTES - page + 1;
	struct object_span s = { .at = at, .first = page };
	int r = 0;

	if (disk_state(extent_disk(e)) == DISK_OFF)
		return -ENODATA;
	if (words != NULL)
		r = extent_words(e, page, (size_t)n, &s.seed, words, nowait);
	else if (!extent_pages_trusted(e, page, n))
		r = -ENODATA;
	if (r == -EAGAIN && nowait)
		return r;
	if (r < 0)
		return -ENODATA; /* a read finds out what is wrong */
	s.fd = fcntl(extent_fd(e), F_DUPFD_CLOEXEC, 0);
	if (s.fd < 0)
		return -errno;
	*out = s;
	return 0;
}

int object_span(struct object *o, uint64_t off, uint64_t len, uint64_t *words,
		bool nowait, struct object_span *out)
{
	uint64_t at = off % o->extent_bytes;
	struct extent *e;
	bool again;
	int r;

	if (len == 0 || off >= o->st.size || len > o->st.size - off ||
	    len > o->extent_bytes - at)
		return -ENODATA;
	e = object_extent(o, (size_t)(off / o->extent_bytes), nowait, &again);
	if (again)
		return -EAGAIN;
	if (e == NULL)
		return -ENODATA;
	r = span_of(e, at, len, words, nowait, out);
	extent_close(e);
	if (r == 0) {
		stat_add(STAT_read_bytes, (int64_t)len);
		stat_add(STAT_ssd_bytes, (int64_t)len);
		stat_add(STAT_saved_bytes, (int64_t)len);
		if (o->st.size > EXTENT_SMALL_MAX) /* else its open counted */
			stat_inc(STAT_saved_get);
		hot_read(o, len);
	}
	return r;
}

#define HELD_STEP 128 /* pages looked at at a time */

bool object_held(struct object *o, uint64_t off, uint64_t len)
{
	bool present[HELD_STEP];
	uint64_t page = off / PAGE_BYTES, end;

	if (len == 0 || off >= o->st.size || len > o->st.size - off)
		return false;
	end = (off + len - 1) / PAGE_BYTES + 1;
	for (size_t n; page < end; page += n) {
		n = (size_t)MIN(end - page, (uint64_t)HELD_STEP);
		if (object_present(o, page, n, present, false) < 0)
			return false;
		lock_take(&o->lock);
		for (size_t i = 0; i < n; i++) {
			struct fill *f =
			    present[i] ? NULL : fill_find_locked(o, page + i);

			if (f != NULL && page + i - f->first < f->done)
				present[i] = true;
		}
		lock_drop(&o->lock);
		for (size_t i = 0; i < n; i++)
			if (!present[i])
				return false;
	}
	return true;
}

void object_ahead(struct object *o, uint64_t off, uint64_t len)
{
	struct ahead a = { .fetch = off, .fetch_bytes = len };

	stream_go_ahead(o, &a);
}
