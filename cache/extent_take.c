/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extent_take.c - a file that was written elsewhere becomes a large extent
 *
 * What a mount has staged and committed is already on the disk, with the XXH3
 * of its pages. Where staging and cache are one file system it gets a name
 * there, and a map whose words follow from those sums: no byte is read, copied
 * or written to the SSD a second time.
 */
#include "cache/extent_impl.h"

#include <errno.h>

#include "cache/sums.h"

#define WORDS_AT_ONCE 256

_Static_assert(SUM_PAGE == PAGE_BYTES, "a sum is of a page");

static int put_all_words(struct extent *e, const struct sums *sums)
{
	uint64_t seed = get_le(e->id.b, 8);
	uint8_t words[WORDS_AT_ONCE * 8];
	int r = 0;

	for (uint64_t page = 0; page < e->pages && r == 0;) {
		size_t n =
		    (size_t)MIN(e->pages - page, (uint64_t)WORDS_AT_ONCE);

		for (size_t i = 0; i < n; i++) {
			struct sum sum = sums_get(sums, page + i);

			if (sum.len != extent_span(e, page + i, 1))
				return -ENODATA;
			put_le(words + 8 * i,
			       extent_word_of(seed, page + i, sum.hash), 8);
		}
		r = map_put_words(e, page, n, words);
		page += n;
	}
	return r;
}

/* Both files have names in tmp/: fill them in. fd and map are taken over. */
static int make(struct disk *d, const struct disk_id *id, uint64_t length,
		int fd, int map, const struct sums *sums, struct extent **out)
{
	AUTO_CLOSE int data = fd;
	AUTO_CLOSE int words = map;
	struct extent *e;
	struct stamp stamp;
	struct stat st;
	int r;

	if (fstat(data, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != length)
		return -ENODATA;
	r = extent_new(d, id, length, take_fd(&data), take_fd(&words), &st, &e);
	if (r < 0)
		return r;
	r = map_make_pair(e);
	if (r == 0)
		r = put_all_words(e, sums);
	if (r < 0) {
		extent_close(e);
		return r;
	}
	stamp = extent_stamp(e);
	e->stamp = stamp;
	extent_mark(e, 0, (size_t)e->pages, &stamp);
	*out = e;
	return 0;
}

int extent_take(struct disk *d, const struct disk_id *id, uint64_t length,
		int dirfd, const char *name, const struct sums *sums,
		struct extent **out)
{
	char data_name[DISK_TMP_MAX], map_name[DISK_TMP_MAX];
	AUTO_CLOSE int lock = disk_lock_shard(d, id);
	struct extent *e = NULL;
	int fd, map, r;

	if (lock < 0)
		return lock;
	r = map_open_or_clean(d, id, length, &e);
	if (r == 0)
		extent_close(e);
	if (r != -ENOENT)
		return r < 0 ? r : -EEXIST;
	r = disk_tmp_link(d, dirfd, name, data_name, &fd);
	if (r < 0)
		return r;
	r = disk_tmp(d, map_name, &map);
	if (r < 0) {
		close(fd);
		disk_tmp_drop(d, data_name);
		return r;
	}
	r = make(d, id, length, fd, map, sums, &e);
	r = map_publish(d, id, map_name, data_name, r);
	if (r < 0) {
		extent_close(e);
		return r;
	}
	map_say_verified(e);
	*out = e;
	return 0;
}
