/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sums.c - what was written to a staging file, as a checksum a page
 *
 * Sums stand in blocks of 1024, made when one of their pages is written, so
 * that a sparse file of terabytes has few. The hash that goes along (stream)
 * is of one page; its digest is put into the table after each write, so that
 * the table is right at any time. A write that goes on with a page behind
 * what the stream has of it, or with another page that is partly written,
 * makes the stream anew from the bytes that are there, once they were found
 * right. Pages that a write covers in part are at most two, its edges: their
 * old bytes wait in image[] between begin and end.
 */
#include "cache/sums.h"

#include <errno.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/crc.h"
#include "base/le.h"
#include "cache/staging_io.h"

#define BLOCK 1024
#define SAVED 24 /* bytes of a page in a file */

struct image {
	uint64_t page;
	uint32_t len; /* bytes of it that are there; 0: not in use */
	char *bytes;  /* SUM_PAGE, made when first needed */
};

struct sums {
	struct sum **blocks;
	size_t n;

	XXH3_state_t *stream;
	uint64_t crc;  /* of the same */
	uint64_t page; /* that the stream is of */
	uint32_t len;  /* bytes it has; 0: it is of none */

	struct image image[2];
};

static const char zeros[KIB(4)];

struct sums *sums_new(void)
{
	struct sums *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->stream = XXH3_createState();
	if (s->stream == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void sums_free(struct sums *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->blocks[i]);
	for (size_t i = 0; i < ARRAY_SIZE(s->image); i++)
		free(s->image[i].bytes);
	free(s->blocks);
	XXH3_freeState(s->stream);
	free(s);
}

int sums_room(struct sums *s, uint64_t off, uint64_t n)
{
	size_t first = (size_t)(off / SUM_PAGE / BLOCK);
	size_t last = (size_t)((off + n - 1) / SUM_PAGE / BLOCK);

	if (last >= s->n) {
		size_t want = MAX(last + 1, s->n * 2);
		struct sum **blocks =
		    realloc(s->blocks, want * sizeof(struct sum *));

		if (blocks == NULL)
			return -ENOMEM;
		memset(&blocks[s->n], 0, (want - s->n) * sizeof(struct sum *));
		s->blocks = blocks;
		s->n = want;
	}
	for (size_t i = first; i <= last; i++) {
		if (s->blocks[i] == NULL)
			s->blocks[i] = calloc(BLOCK, sizeof(struct sum));
		if (s->blocks[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

struct sum sums_get(const struct sums *s, uint64_t page)
{
	size_t i = (size_t)(page / BLOCK);

	if (i >= s->n || s->blocks[i] == NULL)
		return (struct sum){ 0 };
	return s->blocks[i][page % BLOCK];
}

static void set(struct sums *s, uint64_t page, struct sum sum)
{
	s->blocks[page / BLOCK][page % BLOCK] = sum;
}

static struct sum sum_of(const void *bytes, uint32_t len)
{
	return (struct sum){ .hash = XXH3_64bits(bytes, len),
			     .crc = crc_update(CRC_64NVME, 0, bytes, len),
			     .len = len };
}

bool sums_crc(const struct sums *s, uint64_t off, uint64_t n, uint64_t *crc)
{
	uint64_t page_length = crc_length(CRC_64NVME, SUM_PAGE);
	uint64_t r = 0;

	if (off % SUM_PAGE != 0)
		return false;
	for (uint64_t page = off / SUM_PAGE; n > 0; page++) {
		struct sum sum = sums_get(s, page);

		if (sum.len != MIN(n, SUM_PAGE))
			return false;
		n -= sum.len;
		r = sum.len == SUM_PAGE
			? crc_join(CRC_64NVME, r, sum.crc, page_length)
			: crc_combine(CRC_64NVME, r, sum.crc, sum.len);
	}
	*crc = r;
	return true;
}

bool sum_right(struct sum sum, const void *bytes)
{
	return XXH3_64bits(bytes, sum.len) == sum.hash;
}

/* The bytes of a page that are there, compared with their sum. */
static int load(struct sums *s, int fd, uint64_t page, struct image *im)
{
	struct sum sum = sums_get(s, page);
	int r;

	if (im->bytes == NULL)
		im->bytes = malloc(SUM_PAGE);
	if (im->bytes == NULL)
		return -ENOMEM;
	r = staging_pread(fd, im->bytes, sum.len, page * SUM_PAGE);
	if (r < 0)
		return r;
	if (!sum_right(sum, im->bytes))
		return -EIO;
	im->page = page;
	im->len = sum.len;
	return 0;
}

/* Does it take the old bytes of the page to tell its sum after a write? */
static bool needs_image(const struct sums *s, uint64_t page, uint64_t off,
			uint64_t end)
{
	uint64_t at = page * SUM_PAGE;
	uint32_t len = sums_get(s, page).len;

	if (len == 0 || (off <= at && end >= at + len))
		return false; /* nothing stays of it */
	return !(s->len != 0 && s->page == page && off >= at + s->len);
}

int sums_begin(struct sums *s, int fd, uint64_t off, uint64_t n)
{
	uint64_t edges[2] = { off / SUM_PAGE, (off + n - 1) / SUM_PAGE };
	int r = 0;

	for (size_t i = 0; i < 2; i++) {
		s->image[i].len = 0;
		if (r == 0 && (i == 0 || edges[1] != edges[0]) &&
		    needs_image(s, edges[i], off, off + n))
			r = load(s, fd, edges[i], &s->image[i]);
	}
	return r;
}

static void stream_take(struct sums *s, const char *p, uint32_t n)
{
	XXH3_64bits_update(s->stream, p, n);
	s->crc = crc_update(CRC_64NVME, s->crc, p, n);
	s->len += n;
}

/* Go on with the stream's page: zeros up to from, then n bytes. */
static void stream_add(struct sums *s, uint32_t from, const char *p, uint32_t n)
{
	while (s->len < from)
		stream_take(s, zeros,
			    MIN(from - s->len, (uint32_t)sizeof(zeros)));
	stream_take(s, p, n);
	set(s, s->page,
	    (struct sum){ .hash = XXH3_64bits_digest(s->stream),
			  .crc = s->crc,
			  .len = s->len });
	if (s->len == SUM_PAGE)
		s->len = 0; /* nothing can come behind it */
}

static void stream_begin(struct sums *s, uint64_t page)
{
	XXH3_64bits_reset(s->stream);
	s->page = page;
	s->crc = 0;
	s->len = 0;
}

/* One page got n bytes at from. */
static void add(struct sums *s, uint64_t page, uint32_t from, const char *p,
		uint32_t n)
{
	struct image *im = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(s->image); i++)
		if (s->image[i].len != 0 && s->image[i].page == page)
			im = &s->image[i];
	if (n == SUM_PAGE) {
		set(s, page, sum_of(p, n));
		if (s->page == page)
			s->len = 0;
	} else if (im == NULL && s->len != 0 && s->page == page &&
		   from >= s->len) {
		stream_add(s, from, p, n);
	} else if (im == NULL) {
		stream_begin(s, page);
		stream_add(s, from, p, n);
	} else if (from >= im->len) {
		stream_begin(s, page);
		stream_take(s, im->bytes, im->len);
		stream_add(s, from, p, n);
	} else {
		uint32_t len = MAX(im->len, from + n);

		memcpy(im->bytes + from, p, n);
		set(s, page, sum_of(im->bytes, len));
		if (s->page == page)
			s->len = 0;
	}
}

void sums_end(struct sums *s, const void *p, uint64_t n, uint64_t off)
{
	const char *at = p;

	while (n > 0) {
		uint32_t from = (uint32_t)(off % SUM_PAGE);
		uint32_t len = (uint32_t)MIN(n, SUM_PAGE - from);

		add(s, off / SUM_PAGE, from, at, len);
		at += len;
		off += len;
		n -= len;
	}
}

int sums_cut_begin(struct sums *s, int fd, uint64_t size)
{
	uint64_t page = size / SUM_PAGE;
	uint32_t keep = (uint32_t)(size % SUM_PAGE);

	s->image[0].len = s->image[1].len = 0;
	if (keep == 0 || sums_get(s, page).len <= keep)
		return 0;
	return load(s, fd, page, &s->image[0]);
}

void sums_cut(struct sums *s, uint64_t size)
{
	uint64_t page = size / SUM_PAGE;
	uint32_t keep = (uint32_t)(size % SUM_PAGE);
	struct image *im = &s->image[0];

	if (im->len != 0 && im->page == page && im->len > keep)
		set(s, page, sum_of(im->bytes, keep));
	if (s->page > page || (s->page == page && s->len > keep))
		s->len = 0;
	if (keep != 0)
		page++;
	for (; page / BLOCK < s->n; page++) {
		if (s->blocks[page / BLOCK] == NULL)
			page |= BLOCK - 1;
		else
			set(s, page, (struct sum){ 0 });
	}
}

/* Block b as it is saved; false: there is nothing in it. */
static bool encode_block(const struct sums *s, size_t b, unsigned char *buf)
{
	memset(buf, 0, BLOCK * SAVED);
	if (b >= s->n || s->blocks[b] == NULL)
		return false;
	for (size_t i = 0; i < BLOCK; i++) {
		put_le(buf + i * SAVED, s->blocks[b][i].hash, 8);
		put_le(buf + i * SAVED + 8, s->blocks[b][i].crc, 8);
		put_le(buf + i * SAVED + 16, s->blocks[b][i].len, 4);
	}
	return true;
}

static size_t pages_of(uint64_t size)
{
	return (size_t)((size + SUM_PAGE - 1) / SUM_PAGE);
}

int sums_save(const struct sums *s, int fd, uint64_t size, uint64_t *hash)
{
	XXH3_state_t *all = XXH3_createState();
	size_t pages = pages_of(size), done;
	unsigned char buf[BLOCK * SAVED];
	int r = 0;

	if (all == NULL)
		return -ENOMEM;
	XXH3_64bits_reset(all);
	for (size_t b = 0; b * BLOCK < pages && r == 0; b++) {
		size_t n = MIN(BLOCK, pages - b * BLOCK) * SAVED;
		bool any = encode_block(s, b, buf);

		XXH3_64bits_update(all, buf, n);
		if (any)
			r = staging_pwrite(fd, buf, n, b * sizeof(buf), &done);
	}
	if (r == 0 && ftruncate(fd, (off_t)(pages * SAVED)) < 0)
		r = -errno;
	*hash = XXH3_64bits_digest(all);
	XXH3_freeState(all);
	return r;
}

static int load_block(struct sums *s, size_t block, const unsigned char *buf,
		      size_t pages)
{
	for (size_t i = 0; i < pages; i++, buf += SAVED) {
		uint64_t page = block * BLOCK + i;
		struct sum sum = { .hash = get_le(buf, 8),
				   .crc = get_le(buf + 8, 8),
				   .len = (uint32_t)get_le(buf + 16, 4) };
		int r;

		if (sum.len == 0)
			continue;
		if (sum.len > SUM_PAGE)
			return -EIO;
		r = sums_room(s, page * SUM_PAGE, 1);
		if (r < 0)
			return r;
		set(s, page, sum);
	}
	return 0;
}

int sums_load(struct sums *s, int fd, uint64_t size, uint64_t hash)
{
	XXH3_state_t *all = XXH3_createState();
	unsigned char buf[BLOCK * SAVED];
	size_t pages = pages_of(size);
	struct stat st;
	int r = 0;

	if (all == NULL)
		return -ENOMEM;
	XXH3_64bits_reset(all);
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (st.st_size != (off_t)(pages * SAVED))
		r = -EIO;
	for (size_t b = 0; b * BLOCK < pages && r == 0; b++) {
		size_t n = MIN(BLOCK, pages - b * BLOCK);

		r = staging_pread(fd, buf, n * SAVED, b * sizeof(buf));
		if (r == 0)
			r = load_block(s, b, buf, n);
		XXH3_64bits_update(all, buf, n * SAVED);
	}
	if (r == 0 && XXH3_64bits_digest(all) != hash)
		r = -EIO;
	XXH3_freeState(all);
	return r;
}
