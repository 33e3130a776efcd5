/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.h - the entries of one directory, as a file
 *
 * Written in key order while LIST pages arrive, replaced by rename, read
 * with pread: a lookup is a binary search over an index of blocks, a listing
 * of ten million entries costs no heap. The file (little-endian):
 *
 *   header, 128 bytes: u32 magic, u32 format, u8 id[20], u32 flags
 *     (complete), u64 entries, u64 blocks, u64 index offset, i64 taken
 *     (CLOCK_BOOTTIME ns when its first page was asked), u8 boot id[36],
 *     u64 XXH3 of the index, 12 bytes 0, u64 XXH3 of the header so far
 *   blocks of at most 32 KiB: entries; each block's XXH3 stands in the index
 *   index, a row a block: u64 offset, u32 length, u32 entries, u64 number of
 *     the first entry, i64 taken, u64 XXH3 of the block, u16 length and
 *     bytes of its first name (padded to 8)
 *
 * An entry is a name relative to the directory: "x" an object, "x/" a
 * directory, "" the directory's own marker (kept only when it carries data).
 * Whether it is fresh enough is the reader's question.
 *
 * Without a cache directory the same bytes live in an unlinked memfd.
 */
#ifndef CACHE_LISTING_H
#define CACHE_LISTING_H

#include "base/base.h"
#include "cache/disk.h"
#include "ufs/ufs.h"

struct listing;
struct listing_writer;

struct listing_entry {
	struct str name; /* as above; borrowed for the call */
	bool dir;
	bool twin; /* an object `x` where a directory `x/` is here too, or
		      that directory */
	struct ufs_stat st;
};

/* disk NULL: in memory. taken: clock_ns() before the first LIST was sent. */
int listing_writer_new(struct disk *d, const struct disk_id *id, int64_t taken,
		       struct listing_writer **out);
/* It turned out to be older. */
void listing_writer_date(struct listing_writer *w, int64_t taken);

/*
 * Names may arrive out of order or twice (some stores do): the writer sorts
 * then, at the end, by an external merge; the last of equal names counts.
 */
int listing_writer_add(struct listing_writer *w, struct str name,
		       const struct ufs_entry *e);

/* Publish and open. The writer is freed in any case. */
int listing_writer_finish(struct listing_writer *w, struct listing **out);
void listing_writer_drop(struct listing_writer *w); /* NULL is allowed */

/* Open what the disk holds; checked. -ENOENT when absent, torn or foreign. */
int listing_open(struct disk *d, const struct disk_id *id,
		 struct listing **out);
struct listing *listing_ref(struct listing *l);
void listing_unref(struct listing *l); /* NULL is allowed */

/* When it was taken (clock_ns()); of an earlier boot: INT64_MIN. */
int64_t listing_taken(const struct listing *l);
uint64_t listing_entries(const struct listing *l);

/* Is the directory's own marker there (also when it carries no data)? */
bool listing_marker(const struct listing *l);

/*
 * What the store said of a marker without data. False: the listing does not
 * tell, since there is none, or it has an odd version.
 */
bool listing_marker_stat(const struct listing *l, struct ufs_stat *st);

/*
 * Was a block or the index found bad? Then it is gone from the disk too, and
 * who meets it takes the listing anew. A disk that spoils each one that it is
 * given is off, and listings are in memory, before LISTING_TRIES are through.
 */
#define LISTING_TRIES 12
bool listing_is_bad(const struct listing *l);

/*
 * Look name up, as object and as directory. *object and *dir say which were
 * found; st is the object's. 0 also when neither is. -EIO: a block is bad;
 * the listing is then to be dropped. May read the disk.
 */
int listing_find(struct listing *l, struct str name, bool *object, bool *dir,
		 struct ufs_stat *st);

/* The same from the kernel's memory only: -EAGAIN when the disk must move. */
int listing_find_nowait(struct listing *l, struct str name, bool *object,
			bool *dir, struct ufs_stat *st);

/*
 * Call cb for entries from the number first on, in order, until it returns
 * not 0 (which is returned) or the end (0). Numbers are stable.
 */
typedef int listing_cb(void *arg, uint64_t number,
		       const struct listing_entry *e);
int listing_each(struct listing *l, uint64_t first, listing_cb *cb, void *arg);

/*
 * The same from the kernel's memory only: -EAGAIN, perhaps after some entries,
 * when the disk must move.
 */
int listing_each_nowait(struct listing *l, uint64_t first, listing_cb *cb,
			void *arg);

/* Entries whose name begins with prefix, in order; the same rules. */
int listing_each_prefix(struct listing *l, struct str prefix, listing_cb *cb,
			void *arg);

/* Remove a directory's listing from the disk. */
void listing_remove(struct disk *d, const struct disk_id *id);

#endif
