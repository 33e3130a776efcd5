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
	}
	return r;
}

void object_ahead(struct object *o, uint64_t off, uint64_t len)
{
	struct ahead a = { .fetch = off, .fetch_bytes = len };

	stream_go_ahead(o, &a);
}
