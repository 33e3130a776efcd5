/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adopt.c - bytes that were just sent become the SSD's entry
 *
 * What a mount has committed it need not fetch. The bytes go through memory,
 * a MiB at a time: the checksums are of what was read, so what a copy inside
 * the kernel would have changed is noticed. Small objects are there as a
 * whole or not at all; of large ones what was written before an error stays,
 * as it does when a fetch fails.
 *
 * Where the staging is on the disk of the cache a large object is not copied at
 * all (extent_take.c).
 */
#include "cache/object.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "cache/cache_impl.h"
#include "cache/extent_impl.h"

#define CHUNK_PAGES (MIB(1) / PAGE_BYTES)
#define ROOM_WAIT (10 * NSEC_PER_SEC) /* for eviction */

struct adopting {
	struct object *object;
	int fd;
	int64_t give_up; /* waiting for room; 0: has not begun */
	char *buf;       /* CHUNK_PAGES; as O_DIRECT wants it */
	void *pages[CHUNK_PAGES];
};

/* A large file may come faster than eviction works. */
static bool admit(struct adopting *a, struct disk *d, uint64_t bytes)
{
	struct timespec pause = { .tv_nsec = 10 * NSEC_PER_MSEC };

	while (!disk_admit(d, (int64_t)bytes)) {
		if (!disk_makes_room(d, bytes))
			return false;
		if (a->give_up == 0)
			a->give_up = clock_ns() + ROOM_WAIT;
		else if (clock_ns() > a->give_up)
			return false;
		nanosleep(&pause, NULL);
	}
	a->give_up = 0;
	return true;
}

/* Extent i, which is small: of a small object, or the end of a large one. */
static int adopt_small(struct adopting *a, size_t i)
{
	struct object *o = a->object;
	struct extent *e = NULL;
	struct disk_id id;
	uint64_t length;
	struct disk *d = object_extent_id(o, i, &id, &length);
	int r;

	if (d == NULL)
		return -ENOSPC;
	r = extent_pread(a->fd, a->buf, (size_t)length, i * o->extent_bytes,
			 false);
	if (r < 0)
		return r;
	if (!disk_admit(d, (int64_t)length))
		return -ENOSPC;
	r = extent_write_small(d, &id, length, a->pages, &e);
	if (r == 0)
		object_extent_set(o, i, e);
	return r;
}

/* Pages [page, page+n) of e, whose first byte is byte `base` of the file. */
static int adopt_pages(struct adopting *a, struct extent *e, uint64_t base,
		       uint64_t page, size_t n)
{
	size_t len = extent_span(e, page, n), absent = 0;
	bool present[CHUNK_PAGES];
	int r;

	if (extent_pages_trusted(e, page, n))
		return 0;
	r = extent_pread(a->fd, a->buf, len, base + page * PAGE_BYTES, false);
	if (r == 0)
		r = extent_present(e, page, n, present, false);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (!present[i])
			absent += extent_span(e, page + i, 1);
	if (absent > 0 && !admit(a, extent_disk(e), absent))
		return -ENOSPC;
	return extent_write(e, page, n, a->pages);
}

static int adopt_large(struct adopting *a, size_t i)
{
	struct object *o = a->object;
	struct extent *e = object_extent_make(o, i);
	struct disk_pin pin = { .disk = NULL };
	uint64_t pages;
	int r = 0;

	if (e == NULL)
		return -ENOSPC;
	extent_pin(e, &pin);
	pages = (extent_length(e) + PAGE_BYTES - 1) / PAGE_BYTES;
	for (uint64_t page = 0; page < pages && r == 0; page += CHUNK_PAGES)
		r = adopt_pages(a, e, i * o->extent_bytes, page,
				(size_t)MIN(CHUNK_PAGES, pages - page));
	disk_unpin(&pin);
	if (r == 0 && !extent_trusted(e))
		r = -ESTALE; /* removed, or its disk was off meanwhile */
	extent_close(e);
	return r;
}

static int adopt_all(struct adopting *a)
{
	struct object *o = a->object;
	int r = 0;

	for (size_t i = 0; i < o->extents && r == 0; i++) {
		uint64_t left = o->st.size - i * o->extent_bytes;

		r = MIN(left, o->extent_bytes) <= EXTENT_SMALL_MAX
			? adopt_small(a, i)
			: adopt_large(a, i);
	}
	/* It was cut while it was read: who knows what else was done to it. */
	for (size_t i = 0; i < o->extents && r == -ENODATA; i++)
		object_extent_remove(o, i);
	return r;
}

int object_take(struct object *o, int dirfd, const char *name,
		const struct sums *sums)
{
	struct adopting a = { .object = o };
	struct extent *e = NULL;
	struct disk_id id;
	uint64_t length;
	struct disk *d;
	int r;

	if (o->extents != 1 || o->st.size <= EXTENT_SMALL_MAX)
		return -EXDEV;
	d = object_extent_id(o, 0, &id, &length);
	if (d == NULL || !admit(&a, d, length))
		return -ENOSPC;
	r = extent_take(d, &id, length, dirfd, name, sums, &e);
	if (r < 0) {
		disk_admit(d, -(int64_t)length);
		return r;
	}
	object_extent_set(o, 0, e);
	object_complete(o);
	return 0;
}

int object_adopt(struct object *o, int fd)
{
	struct adopting a = { .object = o, .fd = fd };
	void *buf = NULL;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size < o->st.size)
		return -ENODATA;
	if (o->st.size == 0)
		return 0;
	if (o->cache->ndisks == 0)
		return -ENOSPC;
	/* A MiB of fresh memory costs more than the rest of a small object. */
	r = posix_memalign(
	    &buf, KIB(4),
	    (size_t)MIN((o->st.size + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES,
			MIB(1)));
	if (r != 0)
		return -r;
	a.buf = buf;
	for (size_t i = 0; i < CHUNK_PAGES; i++)
		a.pages[i] = a.buf + i * PAGE_BYTES;
	r = adopt_all(&a);
	free(buf);
	if (r == 0 && o->extents == 1)
		object_complete(o);
	return r;
}
