/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extent.h - one file of cached bytes
 *
 * An extent is [first, first+length) of one object version: the whole object
 * unless that is larger than the directory's extent limit; then 1 GiB
 * segments. Its file has exactly that length.
 *
 * A small extent (length <= EXTENT_SMALL_MAX) is written whole to tmp and
 * renamed: there means complete. Its attribute user.tarn (at most 64 bytes,
 * little-endian) holds
 *     u32 magic, u32 format, u8 id[20], u64 length, u64 xxh3 of the bytes,
 *     seeded with the id's first 8 bytes
 * On a file system without user xattrs the same record is a sidecar file of
 * suffix ".map".
 *
 * A large extent is a sparse file with a map beside it (".map"):
 *     u32 magic, u32 format, u8 id[20], u32 page size, u64 length,
 *     u64 data file's inode, u8 nonce[16] (also in its attribute, after
 *     u32 magic, u32 format, u8 id[20], u64 length),
 *     u8 verified_boot[36] (the boot in which every page was found right,
 *     or zeros), u32 and i64: the data's mtime then (ns, s), u64 XXH3 of
 *     the header so far, padding to 128 bytes
 *     then one u64 a page: XXH3-64 of its bytes (the last page's: of what
 *     there is), mixed with the id's first 8 bytes and the page number
 *     (swapped pages and swapped files do not match), 0 = absent, a real 0
 *     stored as 1. So presence and integrity are the same word.
 * Order of a write: data, then its words. The map is unlinked first. A map
 * that does not name its data file, is torn, foreign or of another length is
 * no map, and the data beside it is removed.
 *
 * Readers verify every page they serve. Nothing here is ever mmapped: an I/O
 * error must be an errno.
 */
#ifndef CACHE_EXTENT_H
#define CACHE_EXTENT_H

#include "base/base.h"
#include "cache/cache.h"
#include "cache/disk.h"

#define PAGE_SIZE_LOG2 16
#define PAGE_BYTES KIB(64)
#define EXTENT_SMALL_MAX MIB(1)

struct extent;

/*
 * Open what is there. Small: the record and length are checked, not yet the
 * bytes. Large: map and data are checked against each other; broken pairs
 * are removed. -ENOENT when absent. *out gets a reference.
 */
int extent_open(struct disk *d, const struct disk_id *id, uint64_t length,
		struct extent **out);

/*
 * Open or make a large extent. Safe against others doing the same: all end
 * up with the same file.
 */
int extent_create(struct disk *d, const struct disk_id *id, uint64_t length,
		  struct extent **out);

/*
 * Write a small extent whole and open it. pages: its bytes, cut in buffers
 * of PAGE_BYTES. -ENOSPC and friends as they come, nothing left behind. out
 * may be NULL.
 */
int extent_write_small(struct disk *d, const struct disk_id *id,
		       uint64_t length, void *const *pages,
		       struct extent **out);

/*
 * Make a large extent of the file `name` in dirfd, whose bytes are just its
 * own: they are not copied, the file gets one more name. sums has those of all
 * its pages; they count as verified. Nobody may write to the file from then on.
 * -EXDEV: the disk is another file system; -EEXIST: the extent is there;
 * -ENODATA: the file or its sums are not all of it.
 */
struct sums;
int extent_take(struct disk *d, const struct disk_id *id, uint64_t length,
		int dirfd, const char *name, const struct sums *sums,
		struct extent **out);

/* A reference more, and one less: the last one given back closes it. */
struct extent *extent_ref(struct extent *e);
void extent_close(struct extent *e); /* NULL is allowed */

/* Keep it from eviction until disk_unpin(). */
void extent_pin(struct extent *e, struct disk_pin *pin);

/*
 * Its file was unlinked: evicted, or removed as broken. It can be read on, but
 * what is written to it is lost, and its space is taken until it is closed.
 */
bool extent_gone(const struct extent *e);

int extent_fd(const struct extent *e); /* of the data; borrowed */
struct cache_file *extent_file(struct extent *e);
uint64_t extent_length(const struct extent *e);
struct disk *extent_disk(const struct extent *e);

/*
 * Large: store pages [page, page+n), each PAGE_BYTES (the last of the extent:
 * what there is), data first, then the words. They count as verified.
 */
int extent_write(struct extent *e, uint64_t page, size_t n, void *const *pages);

/*
 * Which of pages [page, page+n) are there: present[i] is set. Returns how
 * many, or -errno. nowait: -EAGAIN instead of touching the disk.
 */
int extent_present(struct extent *e, uint64_t page, size_t n, bool *present,
		   bool nowait);

/*
 * Read pages [page, page+n) into buf, verified. Returns how many leading
 * pages are right (a shorter count: the next one is absent, or was bad: its
 * word is then cleared and the disk told), or -errno when none could be
 * read. A small extent is verified whole. nowait: -EAGAIN instead of
 * touching the disk; partial results are not returned then.
 */
int extent_read(struct extent *e, uint64_t page, size_t n, void *buf,
		bool nowait);

/*
 * The checksums of pages [page, page+n), for a reader elsewhere: all are there
 * and verified by this process. *seed is what they were made with, besides
 * the page's number. -ENODATA: not all are; -EAGAIN (nowait); -errno.
 */
int extent_words(struct extent *e, uint64_t page, size_t n, uint64_t *seed,
		 uint64_t *words, bool nowait);

/* Are they all there and verified, as extent_words() wants them? */
bool extent_pages_trusted(struct extent *e, uint64_t page, uint64_t n);

/*
 * XXH3-64 of a page's bytes, with a seed and the page's number mixed in so that
 * pages that were swapped do not match; never 0. In an extent the seed is the
 * id's first 8 bytes. The seed is not XXH3's own: so the word follows from a
 * hash that was made before anybody knew what the bytes would be called.
 */
uint64_t extent_word(uint64_t seed, uint64_t page, const void *bytes, size_t n);
uint64_t extent_word_of(uint64_t seed, uint64_t page, uint64_t xxh3);

/* Bytes present, by the map (small: all). */
int extent_bytes(struct extent *e, uint64_t *bytes);

/*
 * Complete and every page verified: by this process (it wrote or read it
 * right since the file last changed under it), or, for a large one, since
 * the machine booted. Only such a file is handed to the kernel. No I/O
 * beyond an fstat.
 */
bool extent_trusted(struct extent *e);

/*
 * Verify what is not yet verified, in steps of at most max bytes so that the
 * caller can pause. 1: more to do; 0: done (trusted now, if complete);
 * -errno. Bad pages are dropped. When a large extent becomes trusted its
 * header says so.
 */
int extent_verify(struct extent *e, size_t max);

/*
 * Check what the disk itself holds of pages [page, page+n) (cut at the end; a
 * small extent is checked whole), verified before or not, past the page
 * cache where the file system lets that be (O_DIRECT; what is in the page
 * cache stays there, and its age does not change). Bad pages are dropped,
 * *bad counts them, and extent_trusted() is false from then on in all
 * processes, until what was dropped was written again. step is called about
 * once a MiB with the bytes just read; false ends the check. 0, -ECANCELED,
 * or another -errno.
 */
int extent_check(struct extent *e, uint64_t page, uint64_t n,
		 bool (*step)(void *arg, uint64_t bytes), void *arg,
		 uint64_t *bad);

/* Remove from the disk; open descriptors go on. */
void extent_remove(struct extent *e);

#endif
