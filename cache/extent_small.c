/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extent_small.c - small objects: one file, complete when it is there
 *
 * The record that vouches for the bytes is an extended attribute, set before
 * the file gets its name; or, where the file system has none, a sidecar that
 * gets its name before the data does. Two processes that write the same
 * object at once write the same bytes, so their files are interchangeable.
 *
 * The record's checksum is of the whole. When the first read is of a part,
 * the whole is verified and a checksum a page is kept in memory, so that
 * later reads of parts verify just what they read.
 */
#define XXH_STATIC_LINKING_ONLY /* a hash state on the stack */
#include <xxhash.h>

#include "cache/extent_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "base/stats.h"

static void record_make(uint8_t r[static SMALL_RECORD],
			const struct disk_id *id, uint64_t length,
			uint64_t hash)
{
	put_le(r, EXTENT_MAGIC_SMALL, 4);
	put_le(r + 4, EXTENT_FORMAT, 4);
	memcpy(r + 8, id->b, DISK_ID_LEN);
	put_le(r + 28, length, 8);
	put_le(r + 36, hash, 8);
}

static bool record_right(const uint8_t r[static SMALL_RECORD],
			 const struct disk_id *id, uint64_t length)
{
	return get_le(r, 4) == EXTENT_MAGIC_SMALL &&
	       get_le(r + 4, 4) == EXTENT_FORMAT &&
	       memcmp(r + 8, id->b, DISK_ID_LEN) == 0 &&
	       get_le(r + 28, 8) == length;
}

/* 0 and the hash; -ENOENT: no good record; -errno. */
static int record_read(struct disk *d, const struct disk_id *id,
		       uint64_t length, int fd, uint64_t *hash)
{
	uint8_t r[64];
	ssize_t n;

	if (disk_has_xattr(d)) {
		n = fgetxattr(fd, EXTENT_ATTR, r, sizeof(r));
	} else {
		AUTO_CLOSE int side = -1;
		int err = disk_open_file(d, id, ".map", O_RDONLY, &side);

		if (err < 0)
			return err;
		/* Its age does not count, that of the data does. */
		(void)fcntl(side, F_SETFL, O_NOATIME);
		n = pread(side, r, sizeof(r), 0);
	}
	if (n < 0 && errno != ENODATA && errno != ERANGE && errno != EOPNOTSUPP)
		return -errno;
	if (n != SMALL_RECORD || !record_right(r, id, length))
		return -ENOENT;
	*hash = get_le(r + 36, 8);
	return 0;
}

int small_open(struct disk *d, const struct disk_id *id, uint64_t length,
	       struct extent **out)
{
	AUTO_CLOSE int fd = -1;
	uint64_t hash = 0;
	struct stat st;
	int r = disk_open_stat(d, id, "", O_RDONLY, &fd, &st);

	if (r < 0)
		return r;
	r = (uint64_t)st.st_size == length && !extent_condemned(&st)
		? record_read(d, id, length, fd, &hash)
		: -ENOENT;
	if (r == -ENOENT) {
		disk_bad_page(d);
		disk_unlink_same(d, id, "", &st);
		return r;
	}
	if (r < 0) {
		disk_failed(d, r, "read");
		return r;
	}
	r = extent_new(d, id, length, take_fd(&fd), -1, &st, out);
	if (r == 0)
		(*out)->hash = hash;
	return r;
}

static uint64_t seed_of(const struct disk_id *id)
{
	return get_le(id->b, 8);
}

static uint64_t hash_pages(const struct disk_id *id, uint64_t length,
			   void *const *pages)
{
	XXH3_state_t h;

	if (length <= PAGE_BYTES)
		return XXH3_64bits_withSeed(length > 0 ? pages[0] : "",
					    (size_t)length, seed_of(id));
	XXH3_INITSTATE(&h);
	XXH3_64bits_reset_withSeed(&h, seed_of(id));
	for (uint64_t off = 0; off < length; off += PAGE_BYTES)
		XXH3_64bits_update(&h, pages[off / PAGE_BYTES],
				   (size_t)MIN(length - off, PAGE_BYTES));
	return XXH3_64bits_digest(&h);
}

static int write_bytes(int fd, uint64_t length, void *const *pages)
{
	struct iovec iov[SMALL_PAGES];
	int n = 0;
	ssize_t r;

	for (uint64_t off = 0; off < length; off += PAGE_BYTES) {
		iov[n].iov_base = pages[n];
		iov[n].iov_len = (size_t)MIN(length - off, PAGE_BYTES);
		n++;
	}
	if (n == 0)
		return 0;
	r = pwritev(fd, iov, n, 0);
	if (r < 0)
		return -errno;
	/* A file system writes less only when it is full. */
	return (uint64_t)r == length ? 0 : -ENOSPC;
}

/* The record where there are no attributes. */
static int write_sidecar(struct disk *d, const struct disk_id *id,
			 const uint8_t record[static SMALL_RECORD])
{
	char name[DISK_TMP_MAX];
	AUTO_CLOSE int fd = -1;
	int r = disk_tmp(d, name, &fd);

	if (r < 0)
		return r;
	if (pwrite(fd, record, SMALL_RECORD, 0) != SMALL_RECORD)
		r = -ENOSPC;
	else
		r = disk_publish(d, name, id, ".map", true);
	if (r < 0)
		disk_tmp_drop(d, name);
	return r;
}

static int small_fill(struct disk *d, int fd, const char *name,
		      const struct disk_id *id, uint64_t length,
		      void *const *pages, uint64_t hash)
{
	uint8_t record[SMALL_RECORD];
	int r = write_bytes(fd, length, pages);

	record_make(record, id, length, hash);
	if (r == 0 && disk_has_xattr(d) &&
	    fsetxattr(fd, EXTENT_ATTR, record, sizeof(record), 0) < 0)
		r = -errno;
	if (r < 0) {
		disk_failed(d, r, "write");
		return r;
	}
	if (!disk_has_xattr(d))
		r = write_sidecar(d, id, record);
	return r < 0 ? r : disk_publish(d, name, id, "", true);
}

int extent_write_small(struct disk *d, const struct disk_id *id,
		       uint64_t length, void *const *pages, struct extent **out)
{
	char name[DISK_TMP_MAX];
	AUTO_CLOSE int fd = -1;
	struct stat st;
	uint64_t hash = 0;
	int r;

	if (length > EXTENT_SMALL_MAX)
		return -EINVAL;
	r = disk_tmp(d, name, &fd);
	if (r == 0) {
		hash = hash_pages(id, length, pages);
		r = small_fill(d, fd, name, id, length, pages, hash);
		if (r < 0)
			disk_tmp_drop(d, name);
	}
	if (r < 0) {
		disk_admit(d, -(int64_t)length);
		return r;
	}
	if (out == NULL)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	r = extent_new(d, id, length, take_fd(&fd), -1, &st, out);
	if (r == 0) {
		struct extent *e = *out;
		struct stamp stamp = { (uint64_t)st.st_size, st.st_mtim };

		e->hash = hash;
		extent_mark(e, 0, (size_t)e->pages, &stamp);
	}
	return r;
}

int small_bad(struct extent *e)
{
	disk_bad_page(e->disk);
	extent_condemn(e);
	return 0;
}

/* An error of the disk: the file is given up, so that it is fetched anew. */
int small_error(struct extent *e, int err)
{
	if (err == -EAGAIN)
		return err;
	if (err == -ENODATA)
		return small_bad(e);
	disk_failed(e->disk, err, "read");
	if (err == -EIO)
		extent_condemn(e);
	return err;
}

bool small_right(const struct extent *e, const void *bytes)
{
	return XXH3_64bits_withSeed(bytes, (size_t)e->length,
				    seed_of(&e->id)) == e->hash;
}

/* All of it is wanted: read and judged in one go. 1: right; 0: bad. */
static int read_whole(struct extent *e, void *buf, bool nowait)
{
	struct stamp stamp = extent_stamp(e);
	int r = extent_pread(e->file.fd, buf, (size_t)e->length, 0, nowait);

	if (r < 0)
		return small_error(e, r);
	if (stamp.size != e->length || !small_right(e, buf))
		return small_bad(e);
	extent_mark(e, 0, (size_t)e->pages, &stamp);
	return 1;
}

/* Verify the whole and learn its pages' checksums. 1: right; 0: bad. */
static int learn_words(struct extent *e, bool nowait)
{
	AUTO_FREE void *buf = malloc((size_t)e->length + 1);
	uint64_t words[SMALL_PAGES];
	int r;

	if (buf == NULL)
		return -ENOMEM;
	r = read_whole(e, buf, nowait);
	if (r <= 0)
		return r;
	for (uint64_t p = 0; p < e->pages; p++)
		words[p] =
		    extent_page_hash(&e->id, p, (char *)buf + p * PAGE_BYTES,
				     extent_span(e, p, 1));
	lock_take(&e->lock);
	memcpy(e->words, words, sizeof(words[0]) * (size_t)e->pages);
	e->words_known = true;
	lock_drop(&e->lock);
	return 1;
}

/* As map_read(). */
int small_read(struct extent *e, uint64_t page, size_t n, void *buf,
	       bool nowait)
{
	uint64_t words[SMALL_PAGES];
	bool known;
	int r;

	if (n == e->pages) {
		r = read_whole(e, buf, nowait);
		return r <= 0 ? r : (int)n;
	}
	/* Again when the file changed in between, which few can do. */
	for (int tries = 0; tries < 2; tries++) {
		lock_take(&e->lock);
		known = e->words_known;
		memcpy(words, e->words, sizeof(words));
		lock_drop(&e->lock);
		if (known)
			break;
		r = learn_words(e, nowait);
		if (r <= 0)
			return r;
	}
	r = extent_pread(e->file.fd, buf, extent_span(e, page, n),
			 page * PAGE_BYTES, nowait);
	if (r < 0)
		return small_error(e, r);
	for (size_t i = 0; i < n; i++)
		if (!known || words[page + i] !=
				  extent_page_hash(&e->id, page + i,
						   (char *)buf + i * PAGE_BYTES,
						   extent_span(e, page + i, 1)))
			return small_bad(e);
	return (int)n;
}

/* As extent_words(). */
int small_words(struct extent *e, uint64_t page, size_t n, uint64_t *words,
		bool nowait)
{
	for (int tries = 0; tries < 2; tries++) {
		bool known;
		int r;

		lock_take(&e->lock);
		known = e->words_known;
		if (known)
			memcpy(words, e->words + page, n * sizeof(*words));
		lock_drop(&e->lock);
		if (known)
			return 0;
		r = learn_words(e, nowait);
		if (r <= 0)
			return r < 0 ? r : -ENODATA;
	}
	return -ENODATA;
}

int small_verify(struct extent *e)
{
	AUTO_FREE void *buf = malloc((size_t)e->length + 1);
	int r;

	if (buf == NULL)
		return -ENOMEM;
	r = read_whole(e, buf, false);
	return r < 0 ? r : 0;
}
