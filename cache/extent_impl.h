/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extent_impl.h - what the sources behind extent.h share
 *
 *   extent.c        open, make, remove; what is remembered as verified
 *   extent_small.c  whole files with a record
 *   map.c           large ones: the map's header and words, reads, writes
 *   extent_take.c   large ones made of a file that was written elsewhere
 *   extent_check.c  what the disk itself holds, for the scrub
 *
 * What is remembered: a bit a page, set when this process wrote the page or
 * found it right, together with the file's size and mtime then. When these
 * change and no write of ours explains it, all bits are dropped. Touches set
 * the atime only, so they, and other processes' touches, change nothing.
 *
 * Who finds a large extent bad changes its mtime, and who finds a small one
 * bad takes all permissions from it before it is unlinked. So whoever has it
 * open, in this process or another, learns that from the fstat that is made
 * before a file is handed to the kernel, and does not believe it any more. A
 * file that was only evicted is as right as it was.
 *
 * When its disk was off, nothing is known of what was verified before: writes
 * that were under way may be lost.
 */
#ifndef CACHE_EXTENT_IMPL_H
#define CACHE_EXTENT_IMPL_H

#include <sys/stat.h>

#include "base/le.h"
#include "base/lock.h"
#include "cache/disk_impl.h"
#include "cache/extent.h"

#define EXTENT_MAGIC_SMALL 0x736e7274 /* "trns" */
#define EXTENT_MAGIC_LARGE 0x6c6e7274 /* "trnl" */
#define EXTENT_MAGIC_MAP 0x6d6e7274   /* "trnm" */
#define EXTENT_FORMAT 2
#define EXTENT_ATTR "user.tarn"
#define SMALL_RECORD 44
#define LARGE_RECORD 52
#define NONCE_LEN 16
#define MAP_HEADER 128
#define SMALL_PAGES (EXTENT_SMALL_MAX / PAGE_BYTES)

struct stamp {
	uint64_t size;
	struct timespec mtime;
};

struct extent {
	/* set once */
	struct disk *disk; /* borrowed */
	struct disk_id id;
	uint64_t length;
	uint64_t pages;
	struct cache_file file;
	int map;       /* large only */
	uint64_t hash; /* small: of all bytes */
	uint64_t ino;
	uint8_t nonce[NONCE_LEN];

	atomic_uint refs;
	atomic_bool broken; /* found bad as a whole, or removed */

	struct lock lock;
	/* under lock */
	struct stamp stamp; /* of the file that the bits speak of */
	unsigned turns;     /* of the disk, then: see disk_turns() */
	unsigned writing;   /* writes of ours under way */
	int direct;         /* for O_DIRECT writes, or < 0 */
	bool boot_verified; /* the header says: all right, in this boot */
	uint64_t ngood;     /* bits set */
	uint64_t *good;     /* a bit a page */
	uint64_t verify_at; /* where extent_verify() goes on */
	bool words_known;   /* small: the next are right */
	uint64_t words[SMALL_PAGES];
};

static inline bool extent_small(const struct extent *e)
{
	return e->length <= EXTENT_SMALL_MAX;
}

/* Bytes in pages [page, page+n), which end at the extent's end at the latest */
static inline size_t extent_span(const struct extent *e, uint64_t page,
				 size_t n)
{
	uint64_t off = page * PAGE_BYTES;

	return (size_t)MIN((uint64_t)n * PAGE_BYTES, e->length - off);
}

/* A handle on fd (and map, or -1), which it owns also when it fails. */
int extent_new(struct disk *d, const struct disk_id *id, uint64_t length,
	       int fd, int map, const struct stat *st, struct extent **out);

/* A page's checksum; never 0. Identity and place are part of it. */
uint64_t extent_page_hash(const struct disk_id *id, uint64_t page,
			  const void *bytes, size_t n);

/* preadv2 of all n bytes. -EAGAIN (nowait), -ENODATA (end of file), -errno. */
int extent_pread(int fd, void *buf, size_t n, uint64_t off, bool nowait);
/* Write all pieces, past the page cache where there are many. */
int extent_pwrite_pages(struct extent *e, uint64_t page, size_t n,
			void *const *pages);

/* What fstat says now, for extent_mark(). */
struct stamp extent_stamp(const struct extent *e);

/* Was it found bad, by whomever? */
bool extent_condemned(const struct stat *st);
/* Found bad as a whole: nobody is to believe it again, and it is removed. */
void extent_condemn(struct extent *e);
/* Pages found right; stamp was taken before they were read. */
void extent_mark(struct extent *e, uint64_t page, size_t n,
		 const struct stamp *stamp);
void extent_unmark(struct extent *e, uint64_t page);
bool extent_marked(struct extent *e, uint64_t page);
bool extent_all_marked(struct extent *e);
/* A write of ours begins and ends; pages it made right are marked. */
void extent_write_begin(struct extent *e);
void extent_write_end(struct extent *e, uint64_t page, size_t n);

/* Small. */
int small_open(struct disk *d, const struct disk_id *id, uint64_t length,
	       struct extent **out);
int small_read(struct extent *e, uint64_t page, size_t n, void *buf,
	       bool nowait);
int small_verify(struct extent *e);
bool small_right(const struct extent *e, const void *bytes);
/* Not what its record says, or not there any more as a whole: 0. */
int small_bad(struct extent *e);
/* -errno of a read: given up when it says that the bytes are lost. */
int small_error(struct extent *e, int err);
int small_words(struct extent *e, uint64_t page, size_t n, uint64_t *words,
		bool nowait);

/* Large. */
int map_open(struct disk *d, const struct disk_id *id, uint64_t length,
	     struct extent **out);
int map_create(struct disk *d, const struct disk_id *id, uint64_t length,
	       struct extent **out);
int map_write(struct extent *e, uint64_t page, size_t n, void *const *pages);
int map_present(struct extent *e, uint64_t page, size_t n, bool *present,
		bool nowait);
int map_read(struct extent *e, uint64_t page, size_t n, void *buf, bool nowait);
int map_bytes(struct extent *e, uint64_t *bytes);
int map_verify(struct extent *e, size_t max);
/* n words from page on; 0 = absent. */
int map_words(struct extent *e, uint64_t page, size_t n, uint64_t *words,
	      bool nowait);
/* Store n words from page on. */
int map_put_words(struct extent *e, uint64_t page, size_t n,
		  const uint8_t *words);
/*
 * For those who make pairs, under the lock of the shard. What is there; or
 * -ENOENT, and what was broken is removed.
 */
int map_open_or_clean(struct disk *d, const struct disk_id *id, uint64_t length,
		      struct extent **out);
/* Fill in both files under their names in tmp/, but for the words. */
int map_make_pair(struct extent *e);
/*
 * Give both files their names, the map first; or drop them, also when r, what
 * came before, is an error already.
 */
int map_publish(struct disk *d, const struct disk_id *id, const char *map_name,
		const char *data_name, int r);
/* Nobody is to be served this page again, nor handed the file. */
void map_drop_page(struct extent *e, uint64_t page);
/* Every page was found right: the header is to say so. */
void map_say_verified(struct extent *e);

#endif
