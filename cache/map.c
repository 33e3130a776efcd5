/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.c - large objects: a sparse file and a word for each of its pages
 *
 * A word is the checksum of its page, 0 when the page is absent: presence
 * and integrity cannot disagree. The data is written before its word, so
 * whatever is torn by a kill or a power cut is a word that does not match,
 * which is a page that is fetched again.
 *
 * The pair is made under the lock of its shard, the map first: a reader that
 * finds the data finds a map. The header names the data file by inode and by
 * a nonce that the data's attribute repeats; a pair that does not fit (a map
 * restored from elsewhere, data swapped or of another length, a header that
 * rotted) is removed, again under the lock, after a second look.
 *
 * That every page was right in this boot stands in the header together with
 * the data's mtime then: bytes that anybody changed since are not believed.
 */
#include "cache/extent_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/xattr.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/stats.h"

#define WORDS_AT_ONCE 256

/* Where fields stand in the header. */
enum {
	AT_ID = 8,
	AT_PAGE_SIZE = 28,
	AT_LENGTH = 32,
	AT_INODE = 40,
	AT_NONCE = 48,
	AT_BOOT = 64,
	AT_MTIME_NS = 100,
	AT_MTIME = 104,
	AT_CHECK = 112, /* XXH3 of what is before it */
};

static uint64_t map_size(uint64_t length)
{
	return MAP_HEADER + (length + PAGE_BYTES - 1) / PAGE_BYTES * 8;
}

static uint64_t word_at(uint64_t page)
{
	return MAP_HEADER + page * 8;
}

/* mtime NULL: nothing is said about the pages. */
static void header_make(uint8_t h[static MAP_HEADER], const struct extent *e,
			const struct timespec *mtime)
{
	memset(h, 0, MAP_HEADER);
	put_le(h, EXTENT_MAGIC_MAP, 4);
	put_le(h + 4, EXTENT_FORMAT, 4);
	memcpy(h + AT_ID, e->id.b, DISK_ID_LEN);
	put_le(h + AT_PAGE_SIZE, PAGE_BYTES, 4);
	put_le(h + AT_LENGTH, e->length, 8);
	put_le(h + AT_INODE, e->ino, 8);
	memcpy(h + AT_NONCE, e->nonce, NONCE_LEN);
	if (mtime != NULL) {
		memcpy(h + AT_BOOT, clock_boot_id(), BOOT_ID_LEN);
		put_le(h + AT_MTIME_NS, (uint64_t)mtime->tv_nsec, 4);
		put_le(h + AT_MTIME, (uint64_t)mtime->tv_sec, 8);
	}
	put_le(h + AT_CHECK, XXH3_64bits(h, AT_CHECK), 8);
}

static bool header_right(const uint8_t h[static MAP_HEADER],
			 const struct disk_id *id, uint64_t length,
			 uint64_t ino)
{
	return get_le(h, 4) == EXTENT_MAGIC_MAP &&
	       get_le(h + 4, 4) == EXTENT_FORMAT &&
	       get_le(h + AT_CHECK, 8) == XXH3_64bits(h, AT_CHECK) &&
	       memcmp(h + AT_ID, id->b, DISK_ID_LEN) == 0 &&
	       get_le(h + AT_PAGE_SIZE, 4) == PAGE_BYTES &&
	       get_le(h + AT_LENGTH, 8) == length &&
	       get_le(h + AT_INODE, 8) == ino;
}

/* Does it say that all pages of the file st were right in this boot? */
static bool header_verified(const uint8_t h[static MAP_HEADER],
			    const struct stat *st)
{
	const char *boot = clock_boot_id();

	/* Without a boot id (all zeros) nothing can be said. */
	return strspn(boot, "0-") < BOOT_ID_LEN && boot[0] != '\0' &&
	       memcmp(h + AT_BOOT, boot, BOOT_ID_LEN) == 0 &&
	       get_le(h + AT_MTIME, 8) == (uint64_t)st->st_mtim.tv_sec &&
	       get_le(h + AT_MTIME_NS, 4) == (uint64_t)st->st_mtim.tv_nsec;
}

static void attr_make(uint8_t a[static LARGE_RECORD], const struct disk_id *id,
		      uint64_t length, const uint8_t nonce[static NONCE_LEN])
{
	put_le(a, EXTENT_MAGIC_LARGE, 4);
	put_le(a + 4, EXTENT_FORMAT, 4);
	memcpy(a + 8, id->b, DISK_ID_LEN);
	put_le(a + 28, length, 8);
	memcpy(a + 36, nonce, NONCE_LEN);
}

/*
 * Is this pair whole? 0 and the header; -ENOENT: no; -errno: the disk could
 * not tell.
 */
static int pair_check(struct disk *d, const struct disk_id *id, uint64_t length,
		      int fd, const struct stat *st, int map,
		      uint8_t h[static MAP_HEADER])
{
	uint8_t want[LARGE_RECORD], attr[64];
	struct stat mst;
	ssize_t n;
	int r;

	if ((uint64_t)st->st_size != length || extent_condemned(st))
		return -ENOENT;
	if (fstat(map, &mst) < 0)
		return -errno;
	if ((uint64_t)mst.st_size != map_size(length))
		return -ENOENT;
	r = extent_pread(map, h, MAP_HEADER, 0, false);
	if (r < 0)
		return r == -ENODATA ? -ENOENT : r;
	if (!header_right(h, id, length, st->st_ino))
		return -ENOENT;
	if (!disk_has_xattr(d))
		return 0;
	n = fgetxattr(fd, EXTENT_ATTR, attr, sizeof(attr));
	if (n < 0 && errno != ENODATA && errno != ERANGE && errno != EOPNOTSUPP)
		return -errno;
	attr_make(want, id, length, h + AT_NONCE);
	return n == LARGE_RECORD && memcmp(attr, want, LARGE_RECORD) == 0
		   ? 0
		   : -ENOENT;
}

/* As map_open(); -ENODATA: something is there, but it is no pair. */
static int open_pair(struct disk *d, const struct disk_id *id, uint64_t length,
		     struct extent **out)
{
	AUTO_CLOSE int fd = -1;
	AUTO_CLOSE int map = -1;
	uint8_t h[MAP_HEADER];
	struct stat st;
	int r;

	r = disk_open_stat(d, id, "", O_RDWR, &fd, &st);
	if (r < 0)
		return r;
	r = disk_open_file(d, id, ".map", O_RDWR, &map);
	/* Eviction goes by the data's age: looks at the map are no use. */
	if (r == 0)
		(void)fcntl(map, F_SETFL, O_NOATIME);
	if (r == 0)
		r = pair_check(d, id, length, fd, &st, map, h);
	if (r == -ENOENT)
		return -ENODATA;
	if (r < 0)
		return r;
	r = extent_new(d, id, length, take_fd(&fd), take_fd(&map), &st, out);
	if (r < 0)
		return r;
	memcpy((*out)->nonce, h + AT_NONCE, NONCE_LEN);
	/* After a failure of the disk its word is not taken for it. */
	(*out)->boot_verified = disk_turns(d) == 0 && header_verified(h, &st);
	return 0;
}

int map_open_or_clean(struct disk *d, const struct disk_id *id, uint64_t length,
		      struct extent **out)
{
	int r = open_pair(d, id, length, out);

	if (r == -ENODATA) {
		if (disk_unlink(d, id, ".map") == 0)
			disk_bad_page(d);
		disk_unlink(d, id, "");
		r = -ENOENT;
	}
	return r;
}

int map_open(struct disk *d, const struct disk_id *id, uint64_t length,
	     struct extent **out)
{
	AUTO_CLOSE int lock = -1;
	int r = open_pair(d, id, length, out);

	if (r == -ENODATA) {
		/* Being made, being removed, or broken. */
		lock = disk_lock_shard(d, id);
		if (lock < 0)
			return -ENOENT;
		r = map_open_or_clean(d, id, length, out);
	}
	if (r < 0)
		disk_failed(d, r, "open");
	return r;
}

int map_make_pair(struct extent *e)
{
	uint8_t h[MAP_HEADER], attr[LARGE_RECORD];

	if (getrandom(e->nonce, NONCE_LEN, 0) != NONCE_LEN)
		return -EIO;
	header_make(h, e, NULL);
	attr_make(attr, &e->id, e->length, e->nonce);
	if (ftruncate(e->file.fd, (off_t)e->length) < 0 ||
	    ftruncate(e->map, (off_t)map_size(e->length)) < 0)
		return -errno;
	if (pwrite(e->map, h, sizeof(h), 0) != sizeof(h))
		return -ENOSPC;
	if (disk_has_xattr(e->disk) &&
	    fsetxattr(e->file.fd, EXTENT_ATTR, attr, sizeof(attr), 0) < 0)
		return -errno;
	return 0;
}

int map_publish(struct disk *d, const struct disk_id *id, const char *map_name,
		const char *data_name, int r)
{
	if (r == 0)
		r = disk_publish(d, map_name, id, ".map", true);
	if (r == 0)
		r = disk_publish(d, data_name, id, "", true);
	if (r < 0) {
		disk_tmp_drop(d, map_name);
		disk_tmp_drop(d, data_name);
	}
	return r;
}

static int create_locked(struct disk *d, const struct disk_id *id,
			 uint64_t length, struct extent **out)
{
	char data_name[DISK_TMP_MAX], map_name[DISK_TMP_MAX];
	AUTO_CLOSE int fd = -1;
	AUTO_CLOSE int map = -1;
	struct extent *e = NULL;
	struct stat st;
	int r;

	r = disk_tmp(d, data_name, &fd);
	if (r < 0)
		return r;
	r = disk_tmp(d, map_name, &map);
	if (r < 0) {
		disk_tmp_drop(d, data_name);
		return r;
	}
	if (fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0)
		r = extent_new(d, id, length, take_fd(&fd), take_fd(&map), &st,
			       &e);
	if (r == 0)
		r = map_make_pair(e);
	if (r < 0)
		disk_failed(d, r, "make an extent");
	r = map_publish(d, id, map_name, data_name, r);
	if (r < 0) {
		extent_close(e);
		return r;
	}
	e->stamp = extent_stamp(e);
	*out = e;
	return 0;
}

int map_create(struct disk *d, const struct disk_id *id, uint64_t length,
	       struct extent **out)
{
	AUTO_CLOSE int lock = -1;
	int r = open_pair(d, id, length, out);

	if (r != -ENOENT && r != -ENODATA)
		return r;
	lock = disk_lock_shard(d, id);
	if (lock < 0)
		return lock;
	r = map_open_or_clean(d, id, length, out);
	return r == -ENOENT ? create_locked(d, id, length, out) : r;
}

/* Say in the header that all is right, or (NULL) that nothing is known. */
static void header_write(struct extent *e, const struct timespec *mtime)
{
	uint8_t h[MAP_HEADER];

	header_make(h, e, mtime);
	if (pwrite(e->map, h, sizeof(h), 0) != sizeof(h))
		disk_failed(e->disk, -errno, "write a map");
}

void map_say_verified(struct extent *e)
{
	struct timespec mtime;
	bool all;

	lock_take(&e->lock);
	all = e->ngood == e->pages && e->writing == 0;
	mtime = e->stamp.mtime;
	lock_drop(&e->lock);
	if (all)
		header_write(e, &mtime);
}

int map_put_words(struct extent *e, uint64_t page, size_t n,
		  const uint8_t *words)
{
	ssize_t w = pwrite(e->map, words, n * 8, (off_t)word_at(page));

	if (w == (ssize_t)(n * 8))
		return 0;
	return w < 0 ? -errno : -ENOSPC;
}

int map_write(struct extent *e, uint64_t page, size_t n, void *const *pages)
{
	uint64_t first = page;
	size_t left = n;
	int r = 0;

	extent_write_begin(e);
	while (left > 0 && r == 0) {
		uint8_t words[WORDS_AT_ONCE * 8];
		size_t run = MIN(left, (size_t)WORDS_AT_ONCE);

		for (size_t i = 0; i < run; i++)
			put_le(words + 8 * i,
			       extent_page_hash(&e->id, page + i, pages[i],
						extent_span(e, page + i, 1)),
			       8);
		r = extent_pwrite_pages(e, page, run, pages);
		if (r == 0)
			r = map_put_words(e, page, run, words);
		page += run;
		pages += run;
		left -= run;
	}
	extent_write_end(e, first, r == 0 ? n : 0);
	if (r < 0) {
		disk_failed(e->disk, r, "write");
		disk_admit(e->disk, -(int64_t)extent_span(e, first, n));
		return r;
	}
	if (extent_all_marked(e))
		map_say_verified(e);
	return 0;
}

int map_present(struct extent *e, uint64_t page, size_t n, bool *present,
		bool nowait)
{
	uint64_t words[WORDS_AT_ONCE];
	int count = 0;

	while (n > 0) {
		size_t run = MIN(n, (size_t)WORDS_AT_ONCE);
		int r = map_words(e, page, run, words, nowait);

		if (r < 0)
			return r;
		for (size_t i = 0; i < run; i++) {
			present[i] = words[i] != 0;
			count += present[i];
		}
		present += run;
		page += run;
		n -= run;
	}
	return count;
}

/* Let all who have the file open forget that they found it right. */
static void change_mtime(struct extent *e, uint64_t page)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };

	/* Not UTIME_NOW, which may be the tick in which it was written. */
	clock_gettime(CLOCK_REALTIME, &times[1]);
	/* A change of ours: what this handle knows of other pages is kept. */
	extent_write_begin(e);
	if (futimens(e->file.fd, times) < 0)
		disk_failed(e->disk, -errno, "mark a file as bad");
	extent_write_end(e, page, 0);
}

void map_drop_page(struct extent *e, uint64_t page)
{
	static const uint8_t absent[8];

	disk_bad_page(e->disk);
	extent_unmark(e, page);
	header_write(e, NULL);
	if (pwrite(e->map, absent, sizeof(absent), (off_t)word_at(page)) !=
	    sizeof(absent))
		disk_failed(e->disk, -errno, "write a map");
	change_mtime(e, page);
}

/* One page that could not be read together with others, or was not right. */
static int read_one(struct extent *e, uint64_t page, uint64_t word, void *buf,
		    const struct stamp *stamp)
{
	size_t n = extent_span(e, page, 1);
	int r = extent_pread(e->file.fd, buf, n, page * PAGE_BYTES, false);

	if (r == 0 && extent_page_hash(&e->id, page, buf, n) == word) {
		extent_mark(e, page, 1, stamp);
		return 1;
	}
	if (r < 0 && r != -ENODATA) {
		disk_failed(e->disk, r, "read");
		if (r != -EIO)
			return r;
	}
	map_drop_page(e, page);
	/* The file was cut: there is more wrong with it than this page. */
	if (stamp->size != e->length)
		extent_condemn(e);
	return r == -EIO ? r : 0;
}

int map_words(struct extent *e, uint64_t page, size_t n, uint64_t *words,
	      bool nowait)
{
	uint8_t raw[WORDS_AT_ONCE * 8];
	int r = 0;

	for (size_t run; n > 0 && r == 0; page += run, words += run, n -= run) {
		run = MIN(n, (size_t)WORDS_AT_ONCE);
		r = extent_pread(e->map, raw, run * 8, word_at(page), nowait);
		if (r == -ENODATA) { /* cut off: no map */
			memset(raw, 0, run * 8);
			r = 0;
		}
		if (r < 0 && r != -EAGAIN)
			disk_failed(e->disk, r, "read a map");
		for (size_t i = 0; i < run && r == 0; i++)
			words[i] = get_le(raw + 8 * i, 8);
	}
	return r;
}

/* Up to WORDS_AT_ONCE pages; as map_read(). */
static int read_run(struct extent *e, uint64_t page, size_t n, char *buf,
		    bool nowait)
{
	struct stamp stamp = extent_stamp(e);
	uint64_t words[WORDS_AT_ONCE];
	size_t there = 0, right = 0;
	int r;

	/* Words before data: what a word speaks of was written before it. */
	r = map_words(e, page, n, words, nowait);
	if (r < 0)
		return r;
	while (there < n && words[there] != 0)
		there++;
	if (there == 0)
		return 0;
	r = extent_pread(e->file.fd, buf, extent_span(e, page, there),
			 page * PAGE_BYTES, nowait);
	if (r == -EAGAIN)
		return r;
	if (r == 0)
		while (right < there &&
		       extent_page_hash(
			   &e->id, page + right, buf + right * PAGE_BYTES,
			   extent_span(e, page + right, 1)) == words[right])
			right++;
	if (right > 0)
		extent_mark(e, page, right, &stamp);
	if (right == there)
		return (int)right;
	if (nowait)
		return -EAGAIN; /* what follows may touch the disk */
	/* Where exactly is it wrong? */
	do
		r = read_one(e, page + right, words[right],
			     buf + right * PAGE_BYTES, &stamp);
	while (r == 1 && ++right < there);
	return right > 0 || r >= 0 ? (int)right : r;
}

int map_read(struct extent *e, uint64_t page, size_t n, void *buf, bool nowait)
{
	char *at = buf;
	size_t got = 0;

	while (got < n) {
		size_t run = MIN(n - got, (size_t)WORDS_AT_ONCE);
		int r =
		    read_run(e, page + got, run, at + got * PAGE_BYTES, nowait);

		if (r == -EAGAIN || (r < 0 && got == 0))
			return r;
		if (r > 0)
			got += (size_t)r;
		if (r < (int)run)
			break;
	}
	return (int)got;
}

int map_bytes(struct extent *e, uint64_t *bytes)
{
	bool present[WORDS_AT_ONCE * 4];
	uint64_t total = 0;

	for (uint64_t page = 0; page < e->pages; page += ARRAY_SIZE(present)) {
		size_t n =
		    (size_t)MIN(e->pages - page, (uint64_t)ARRAY_SIZE(present));
		int r = map_present(e, page, n, present, false);

		if (r < 0)
			return r;
		total += (uint64_t)r * PAGE_BYTES;
		if (page + n == e->pages && present[n - 1])
			total -= PAGE_BYTES - extent_span(e, e->pages - 1, 1);
	}
	*bytes = total;
	return 0;
}

/* The next run of up to most pages that are there and not yet verified. */
static int next_unverified(struct extent *e, uint64_t *page, size_t most)
{
	bool present[WORDS_AT_ONCE];
	size_t n = (size_t)MIN(e->pages - *page, (uint64_t)WORDS_AT_ONCE);
	size_t i = 0, run = 0;
	int r = map_present(e, *page, n, present, false);

	if (r < 0)
		return r;
	while (i < n && (!present[i] || extent_marked(e, *page + i)))
		i++;
	while (i + run < n && run < most && present[i + run] &&
	       !extent_marked(e, *page + i + run))
		run++;
	*page += i;
	return (int)run;
}

int map_verify(struct extent *e, size_t max)
{
	size_t most = MAX(MIN(max / PAGE_BYTES, (size_t)16), (size_t)1);
	AUTO_FREE char *buf = malloc(most * PAGE_BYTES);
	size_t done = 0;
	uint64_t page;
	int r = 0;

	if (buf == NULL)
		return -ENOMEM;
	lock_take(&e->lock);
	page = e->verify_at;
	lock_drop(&e->lock);
	while (page < e->pages && done < max) {
		r = next_unverified(e, &page, most);
		if (r < 0)
			break;
		done += KIB(2); /* of words */
		if (r == 0)
			continue;
		done += (size_t)r * PAGE_BYTES;
		r = read_run(e, page, (size_t)r, buf, false);
		if (r < 0 && r != -EIO)
			break;
		/* Where it stopped the page is bad and gone now. */
		page += r > 0 ? (uint64_t)r : 1;
		r = 0;
	}
	lock_take(&e->lock);
	e->verify_at = page < e->pages ? page : 0;
	lock_drop(&e->lock);
	if (r < 0)
		return r;
	if (page < e->pages)
		return 1;
	if (extent_all_marked(e))
		map_say_verified(e);
	return 0;
}
