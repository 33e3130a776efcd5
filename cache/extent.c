/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extent.c - handles on cached files, and what is remembered about them
 *
 * The two kinds of extents differ in how they say what is right (a record of
 * the whole, a word a page); this file holds what they share: descriptors,
 * checksums, whole reads and writes, and the memory of verified pages.
 */
#include "cache/extent_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <limits.h>
#include <sys/uio.h>
#include <xxhash.h>

#include "base/stats.h"

#define WRITE_PAGES 128 /* 8 MiB at once; IOV_MAX is 1024 */
/*
 * So many pages and more are written past the page cache: nobody reads them
 * from there soon (a stream has them in memory), and 1 GiB of new kernel pages
 * cost 0.3 to 0.6 s of CPU where its O_DIRECT writes cost 0.1.
 */
#define DIRECT_PAGES 16
#define DIRECT_UNTRIED (-2)

int extent_new(struct disk *d, const struct disk_id *id, uint64_t length,
	       int fd, int map, const struct stat *st, struct extent **out)
{
	AUTO_CLOSE int data = fd;
	AUTO_CLOSE int words = map;
	struct extent *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return -ENOMEM;
	e->pages = (length + PAGE_BYTES - 1) / PAGE_BYTES;
	e->good = calloc((size_t)((e->pages + 63) / 64) + 1, sizeof(*e->good));
	if (e->good == NULL) {
		free(e);
		return -ENOMEM;
	}
	e->disk = d;
	e->direct = DIRECT_UNTRIED;
	e->id = *id;
	e->length = length;
	e->ino = st->st_ino;
	e->stamp.size = (uint64_t)st->st_size;
	e->stamp.mtime = st->st_mtim;
	e->turns = disk_turns(d);
	e->refs = 1;
	e->file.fd = take_fd(&data);
	e->map = take_fd(&words);
	lock_init(&e->lock, RANK_LEAF);
	*out = e;
	return 0;
}

static void direct_close(struct extent *e)
{
	if (e->direct < 0)
		return; /* not open, or refused: that is remembered */
	close(e->direct);
	e->direct = DIRECT_UNTRIED;
}

struct extent *extent_ref(struct extent *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}

void extent_close(struct extent *e)
{
	if (e == NULL ||
	    atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	close(e->file.fd);
	if (e->map >= 0)
		close(e->map);
	direct_close(e);
	lock_fini(&e->lock);
	free(e->good);
	free(e);
}

void extent_pin(struct extent *e, struct disk_pin *pin)
{
	disk_pin(e->disk, &e->id, pin);
}

bool extent_gone(const struct extent *e)
{
	struct stat st;

	return fstat(e->file.fd, &st) == 0 && st.st_nlink == 0;
}

int extent_fd(const struct extent *e)
{
	return e->file.fd;
}

struct cache_file *extent_file(struct extent *e)
{
	return &e->file;
}

uint64_t extent_length(const struct extent *e)
{
	return e->length;
}

struct disk *extent_disk(const struct extent *e)
{
	return e->disk;
}

uint64_t extent_word_of(uint64_t seed, uint64_t page, uint64_t xxh3)
{
	/* 2^64 over the golden ratio spreads page numbers over the seed. */
	uint64_t h = xxh3 ^ (seed + page * UINT64_C(0x9e3779b97f4a7c15));

	return h != 0 ? h : 1;
}

uint64_t extent_word(uint64_t seed, uint64_t page, const void *bytes, size_t n)
{
	return extent_word_of(seed, page, XXH3_64bits(bytes, n));
}

uint64_t extent_page_hash(const struct disk_id *id, uint64_t page,
			  const void *bytes, size_t n)
{
	return extent_word(get_le(id->b, 8), page, bytes, n);
}

int extent_pread(int fd, void *buf, size_t n, uint64_t off, bool nowait)
{
	char *at = buf;

	while (n > 0) {
		struct iovec iov = { at, n };
		ssize_t r =
		    preadv2(fd, &iov, 1, (off_t)off, nowait ? RWF_NOWAIT : 0);

		if (r < 0 && errno == EINTR && !nowait)
			continue;
		if (r < 0)
			return nowait && (errno == EOPNOTSUPP || errno == EINTR)
				   ? -EAGAIN
				   : -errno;
		if (r == 0)
			return -ENODATA;
		/* The rest is not in the page cache, or past the end. */
		if (nowait && (size_t)r < n)
			return -EAGAIN;
		at += r;
		n -= (size_t)r;
		off += (uint64_t)r;
	}
	return 0;
}

/* Write all of iov, which is used up. */
static int pwrite_all(int fd, struct iovec *iov, int n, uint64_t off)
{
	while (n > 0) {
		ssize_t r = pwritev(fd, iov, n, (off_t)off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -ENOSPC;
		off += (uint64_t)r;
		while (n > 0 && (size_t)r >= iov->iov_len) {
			r -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + r;
			iov->iov_len -= (size_t)r;
		}
	}
	return 0;
}

/*
 * A descriptor for O_DIRECT writes of the same file, or -1 where there are
 * none. The caller's write is begun, so it stays open until that ends.
 */
static int direct_fd(struct extent *e)
{
	char path[32];
	int fd;

	lock_take(&e->lock);
	if (e->direct == DIRECT_UNTRIED) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", e->file.fd);
		e->direct = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	}
	fd = e->direct;
	lock_drop(&e->lock);
	return fd;
}

static int pwrite_run(struct extent *e, struct iovec *iov, size_t run,
		      uint64_t page)
{
	uint64_t off = page * PAGE_BYTES;
	int r = -EINVAL, fd;

	if (run >= DIRECT_PAGES && (fd = direct_fd(e)) >= 0) {
		struct iovec used[WRITE_PAGES];

		memcpy(used, iov, run * sizeof(*iov));
		r = pwrite_all(fd, used, (int)run, off);
	}
	/* Where a file system opens it so and then does not take it. */
	if (r == -EINVAL)
		r = pwrite_all(e->file.fd, iov, (int)run, off);
	return r;
}

int extent_pwrite_pages(struct extent *e, uint64_t page, size_t n,
			void *const *pages)
{
	struct iovec iov[WRITE_PAGES];

	while (n > 0) {
		size_t run = MIN(n, ARRAY_SIZE(iov));
		int r;

		for (size_t i = 0; i < run; i++) {
			iov[i].iov_base = pages[i];
			iov[i].iov_len = extent_span(e, page + i, 1);
		}
		/* What is no whole block goes alone, not past the cache. */
		if (run > 1 && iov[run - 1].iov_len != PAGE_BYTES)
			run--;
		r = pwrite_run(e, iov, run, page);
		if (r < 0)
			return r;
		page += run;
		pages += run;
		n -= run;
	}
	return 0;
}

static struct stamp stamp_of(const struct stat *st)
{
	return (struct stamp){ (uint64_t)st->st_size, st->st_mtim };
}

struct stamp extent_stamp(const struct extent *e)
{
	struct stat st;

	return fstat(e->file.fd, &st) == 0 ? stamp_of(&st)
					   : (struct stamp){ 0 };
}

static bool stamp_eq(const struct stamp *a, const struct stamp *b)
{
	return a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/*
 * Drop what is remembered when somebody else changed the file, or its disk
 * was off.
 */
static void meet_stamp_locked(struct extent *e, const struct stamp *now)
    TSA(requires_capability(e->lock))
{
	unsigned turns = disk_turns(e->disk);

	if (e->turns == turns && (e->writing > 0 || stamp_eq(&e->stamp, now)))
		return;
	e->turns = turns;
	memset(e->good, 0, ((e->pages + 63) / 64) * sizeof(*e->good));
	e->ngood = 0;
	e->boot_verified = false;
	e->words_known = false;
	e->verify_at = 0;
	e->stamp = *now;
}

static void set_bits_locked(struct extent *e, uint64_t page, size_t n)
    TSA(requires_capability(e->lock))
{
	for (uint64_t p = page; p < page + n; p++) {
		uint64_t bit = UINT64_C(1) << (p % 64);

		if (!(e->good[p / 64] & bit)) {
			e->good[p / 64] |= bit;
			e->ngood++;
		}
	}
}

void extent_mark(struct extent *e, uint64_t page, size_t n,
		 const struct stamp *stamp)
{
	struct stamp now;

	lock_take(&e->lock);
	now = extent_stamp(e);
	meet_stamp_locked(e, &now);
	/*
	 * Changed since it was read, if only by a write of ours: then these
	 * are to be read again, and nothing is said of the others.
	 */
	if (e->writing > 0 || stamp_eq(&e->stamp, stamp))
		set_bits_locked(e, page, n);
	lock_drop(&e->lock);
}

void extent_unmark(struct extent *e, uint64_t page)
{
	uint64_t bit = UINT64_C(1) << (page % 64);

	lock_take(&e->lock);
	if (e->good[page / 64] & bit) {
		e->good[page / 64] &= ~bit;
		e->ngood--;
	}
	e->boot_verified = false;
	e->words_known = false;
	lock_drop(&e->lock);
}

bool extent_marked(struct extent *e, uint64_t page)
{
	bool is;

	lock_take(&e->lock);
	is = e->good[page / 64] >> (page % 64) & 1;
	lock_drop(&e->lock);
	return is;
}

bool extent_all_marked(struct extent *e)
{
	bool all;

	lock_take(&e->lock);
	all = e->ngood == e->pages;
	lock_drop(&e->lock);
	return all;
}

void extent_write_begin(struct extent *e)
{
	struct stamp now;

	lock_take(&e->lock);
	/* fstat of an open file asks memory, not the disk. */
	now = extent_stamp(e);
	meet_stamp_locked(e, &now);
	e->writing++;
	lock_drop(&e->lock);
}

void extent_write_end(struct extent *e, uint64_t page, size_t n)
{
	lock_take(&e->lock);
	set_bits_locked(e, page, n);
	if (--e->writing == 0) {
		e->stamp = extent_stamp(e);
		/*
		 * Opening it again costs microseconds, a write of 8 MiB
		 * milliseconds; a descriptor more for each file that is open
		 * and not complete would be a third of all.
		 */
		direct_close(e);
	}
	lock_drop(&e->lock);
}

bool extent_condemned(const struct stat *st)
{
	return (st->st_mode & 0777) == 0;
}

/* As it is now: not bad, and of its whole length. */
static bool look_locked(struct extent *e) TSA(requires_capability(e->lock))
{
	struct stamp now;
	struct stat st;

	if (fstat(e->file.fd, &st) < 0)
		return false; /* nothing can be said */
	if (extent_condemned(&st)) {
		atomic_store(&e->broken, true);
		return false;
	}
	now = stamp_of(&st);
	meet_stamp_locked(e, &now);
	return now.size == e->length;
}

bool extent_trusted(struct extent *e)
{
	bool yes;

	if (atomic_load(&e->broken))
		return false;
	/* Under the lock, so that no write of ours ends in between. */
	lock_take(&e->lock);
	yes = look_locked(e) && e->writing == 0 &&
	      (e->ngood == e->pages || e->boot_verified);
	lock_drop(&e->lock);
	return yes;
}

bool extent_pages_trusted(struct extent *e, uint64_t page, uint64_t n)
{
	uint64_t end = page + n;
	bool yes;

	if (atomic_load(&e->broken))
		return false;
	lock_take(&e->lock);
	yes = look_locked(e);
	/* Others may be written meanwhile: these are not touched. */
	if (e->ngood != e->pages && !e->boot_verified)
		for (; page < end && yes; page++)
			yes = e->good[page / 64] >> (page % 64) & 1;
	lock_drop(&e->lock);
	return yes;
}

int extent_words(struct extent *e, uint64_t page, size_t n, uint64_t *seed,
		 uint64_t *words, bool nowait)
{
	int r = extent_small(e) ? small_words(e, page, n, words, nowait)
				: map_words(e, page, n, words, nowait);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (words[i] == 0)
			return -ENODATA;
	if (!extent_pages_trusted(e, page, n))
		return -ENODATA;
	*seed = get_le(e->id.b, 8);
	return 0;
}

int extent_open(struct disk *d, const struct disk_id *id, uint64_t length,
		struct extent **out)
{
	if (length <= EXTENT_SMALL_MAX)
		return small_open(d, id, length, out);
	return map_open(d, id, length, out);
}

int extent_create(struct disk *d, const struct disk_id *id, uint64_t length,
		  struct extent **out)
{
	if (length <= EXTENT_SMALL_MAX || length > INT64_MAX)
		return -EINVAL;
	return map_create(d, id, length, out);
}

int extent_write(struct extent *e, uint64_t page, size_t n, void *const *pages)
{
	if (extent_small(e) || page > e->pages || n > e->pages - page)
		return -EINVAL;
	if (atomic_load(&e->broken))
		return -ESTALE;
	return map_write(e, page, n, pages);
}

int extent_present(struct extent *e, uint64_t page, size_t n, bool *present,
		   bool nowait)
{
	if (page > e->pages || n > e->pages - page)
		return -EINVAL;
	if (extent_small(e) || atomic_load(&e->broken)) {
		bool all = !atomic_load(&e->broken);

		for (size_t i = 0; i < n; i++)
			present[i] = all;
		return all ? (int)n : 0;
	}
	return map_present(e, page, n, present, nowait);
}

int extent_read(struct extent *e, uint64_t page, size_t n, void *buf,
		bool nowait)
{
	if (page > e->pages || n > e->pages - page)
		return -EINVAL;
	if (n == 0 || atomic_load(&e->broken))
		return 0;
	if (disk_state(e->disk) == DISK_OFF)
		return -EIO;
	if (extent_small(e))
		return small_read(e, page, n, buf, nowait);
	return map_read(e, page, n, buf, nowait);
}

int extent_bytes(struct extent *e, uint64_t *bytes)
{
	if (atomic_load(&e->broken)) {
		*bytes = 0;
		return 0;
	}
	if (extent_small(e)) {
		*bytes = e->length;
		return 0;
	}
	return map_bytes(e, bytes);
}

int extent_verify(struct extent *e, size_t max)
{
	if (extent_trusted(e) || atomic_load(&e->broken))
		return 0;
	if (disk_state(e->disk) == DISK_OFF)
		return -EIO;
	return extent_small(e) ? small_verify(e) : map_verify(e, max);
}

void extent_remove(struct extent *e)
{
	AUTO_CLOSE int lock = disk_lock_shard(e->disk, &e->id);
	struct stat st;

	/* Without the lock as well: at worst somebody's new file is lost. */
	(void)lock;
	atomic_store(&e->broken, true);
	if (e->map >= 0 && fstat(e->map, &st) == 0)
		disk_unlink_same(e->disk, &e->id, ".map", &st);
	else if (e->map < 0 && !disk_has_xattr(e->disk))
		disk_unlink(e->disk, &e->id, ".map");
	if (fstat(e->file.fd, &st) == 0)
		disk_unlink_same(e->disk, &e->id, "", &st);
}

void extent_condemn(struct extent *e)
{
	/* Where the disk takes no change, this process knows it at least. */
	if (fchmod(e->file.fd, 0) < 0)
		disk_failed(e->disk, -errno, "mark a file as bad");
	extent_remove(e);
}
