/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extent_check.c - does the disk still hold what was written to it?
 *
 * A reader verifies what it gets, which the page cache may have given it; a
 * file in the kernel's hands is not verified at all. So the scrub, and a load
 * that is to verify, read with O_DIRECT: the bytes come from the disk (after
 * what is dirty was written to it), and clean pages of the page cache stay
 * there. Where a file system has no O_DIRECT, what is in the page cache is
 * looked at there, and what is not is read and dropped from it again: a scrub
 * is to push nothing hot out of memory.
 *
 * The descriptor for it is a second one, opened through /proc: O_DIRECT would
 * hold for all who use the extent's own. It also has O_NOATIME: to be looked
 * at by the scrub is no use of a file, and eviction goes by age.
 *
 * The words of a map are read through the page cache, where others write
 * them. A word that rotted on the disk only is no danger, since it will match
 * no page once it is read.
 *
 * What does not match is read a second time before it is dropped.
 */
#include "cache/extent_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/stats.h"

#define BLOCK 4096 /* what O_DIRECT asks for at most */
#define PAGES_AT_ONCE (MIB(1) / PAGE_BYTES)

struct check {
	struct extent *e;
	int fd;
	bool direct;
	char *buf; /* of a whole number of blocks */
	struct stamp stamp;
	uint64_t bad;
};

static int open_past_cache(const struct extent *e, bool *direct)
{
	const int base = O_RDONLY | O_CLOEXEC;
	/* O_NOATIME is for the owner, as seen by the file system. */
	const int ways[] = { O_DIRECT | O_NOATIME, O_NOATIME, 0 };
	char path[32];
	int fd = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", e->file.fd);
	for (size_t i = 0; i < ARRAY_SIZE(ways) && fd < 0; i++) {
		fd = open(path, base | ways[i]);
		*direct = (ways[i] & O_DIRECT) != 0;
		if (fd < 0 && errno != EINVAL && errno != EPERM)
			break;
	}
	if (fd < 0)
		return -errno;
	/* Nothing is to be read ahead into the page cache. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	return fd;
}

static int read_buffered(struct check *c, size_t n, uint64_t off)
{
	int r = extent_pread(c->fd, c->buf, n, off, true);

	if (r != -EAGAIN)
		return r;
	r = extent_pread(c->fd, c->buf, n, off, false);
	(void)posix_fadvise(c->fd, (off_t)off, (off_t)n, POSIX_FADV_DONTNEED);
	return r;
}

/* n bytes at off, a whole number of blocks, into the buffer. */
static int read_disk(struct check *c, size_t n, uint64_t off)
{
	size_t whole = (n + BLOCK - 1) / BLOCK * BLOCK, got = 0;

	while (c->direct && got < n) {
		ssize_t r =
		    pread(c->fd, c->buf + got, whole - got, (off_t)(off + got));

		if (r < 0 && errno == EINTR)
			continue;
		/* Opened so and then not read so; or the end is odd. */
		if (r < 0 && errno == EINVAL) {
			if (fcntl(c->fd, F_SETFL, O_NOATIME) < 0)
				return -errno;
			c->direct = false;
			break;
		}
		if (r < 0)
			return -errno;
		if (r == 0)
			return -ENODATA;
		got += (size_t)r;
	}
	return got >= n ? 0 : read_buffered(c, n, off);
}

static int check_small(struct check *c)
{
	struct extent *e = c->e;
	bool right = false;
	int r = 0;

	for (int tries = 0; tries < 2 && !right; tries++) {
		r = read_disk(c, (size_t)e->length, 0);
		right = r == 0 && small_right(e, c->buf);
	}
	if (right && c->stamp.size == e->length) {
		extent_mark(e, 0, (size_t)e->pages, &c->stamp);
		return 0;
	}
	c->bad += r == 0 || r == -ENODATA || r == -EIO;
	return r < 0 ? small_error(e, r) : small_bad(e);
}

/* Pages [page, page+n), all present, which one read takes. */
static bool run_right(struct check *c, uint64_t page, size_t n,
		      const uint64_t *words, int *err)
{
	const struct extent *e = c->e;

	*err = read_disk(c, extent_span(e, page, n), page * PAGE_BYTES);
	if (*err < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (extent_page_hash(&e->id, page + i, c->buf + i * PAGE_BYTES,
				     extent_span(e, page + i, 1)) != words[i])
			return false;
	extent_mark(c->e, page, n, &c->stamp);
	return true;
}

static int check_run(struct check *c, uint64_t page, size_t n,
		     const uint64_t *words)
{
	struct extent *e = c->e;
	int err;

	if (run_right(c, page, n, words, &err))
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (run_right(c, page + i, 1, words + i, &err))
			continue;
		if (err < 0 && err != -ENODATA) {
			disk_failed(e->disk, err, "read");
			if (err != -EIO)
				return err;
		}
		map_drop_page(e, page + i);
		c->stamp = extent_stamp(e);
		c->bad++;
	}
	if (c->stamp.size != e->length)
		extent_condemn(e);
	return 0;
}

static int check_large(struct check *c, uint64_t page, uint64_t end,
		       bool (*step)(void *arg, uint64_t bytes), void *arg)
{
	uint64_t words[PAGES_AT_ONCE], read;
	struct extent *e = c->e;

	while (page < end && !atomic_load(&e->broken)) {
		size_t n = (size_t)MIN(end - page, PAGES_AT_ONCE);
		int r = disk_state(e->disk) == DISK_OFF
			    ? -EIO
			    : map_words(e, page, n, words, false);

		/* Before the data is read: what it says of the marks. */
		c->stamp = extent_stamp(e);
		read = 0;
		for (size_t i = 0, run; i < n && r == 0; i += run) {
			for (run = 0; i + run < n && words[i + run] != 0;)
				run++;
			if (run > 0) {
				r = check_run(c, page + i, run, words + i);
				read += extent_span(e, page + i, run);
			}
			run += run == 0;
		}
		if (r < 0)
			return r;
		if (!step(arg, read))
			return -ECANCELED;
		page += n;
	}
	return 0;
}

/*
 * The pages found right now are all that a header has to say. Eviction goes by
 * the map's mtime too, so that stays: this was no use.
 */
static void keep_verdict(struct extent *e)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat st;
	bool said;

	lock_take(&e->lock);
	said = e->boot_verified;
	lock_drop(&e->lock);
	if (said || !extent_all_marked(e) || fstat(e->map, &st) < 0)
		return;
	map_say_verified(e);
	times[1] = st.st_mtim;
	(void)futimens(e->map, times);
}

int extent_check(struct extent *e, uint64_t page, uint64_t n,
		 bool (*step)(void *arg, uint64_t bytes), void *arg,
		 uint64_t *bad)
{
	struct check c = { .e = e, .stamp = extent_stamp(e) };
	size_t room = (size_t)MIN(e->length + BLOCK, MIB(1));
	AUTO_FREE char *buf = NULL;
	AUTO_CLOSE int fd = -1;
	int r;

	*bad = 0;
	if (atomic_load(&e->broken))
		return 0;
	if (disk_state(e->disk) == DISK_OFF)
		return -EIO;
	buf = aligned_alloc(BLOCK, room / BLOCK * BLOCK);
	fd = open_past_cache(e, &c.direct);
	if (buf == NULL || fd < 0)
		return buf == NULL ? -ENOMEM : fd;
	c.fd = fd;
	c.buf = buf;
	if (extent_small(e)) {
		r = check_small(&c);
		if (r == 0 && !step(arg, e->length))
			r = -ECANCELED;
	} else {
		page = MIN(page, e->pages);
		r = check_large(&c, page, page + MIN(n, e->pages - page), step,
				arg);
		if (r == 0)
			keep_verdict(e);
	}
	*bad = c.bad;
	return r;
}
