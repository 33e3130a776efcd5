/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing_impl.h - what the sources behind listing.h share
 *
 *   listing.c         reading: open and check, find, walk
 *   listing_writer.c  writing in key order, twins, publishing
 *   listing_sort.c    entries that came out of order: runs and their merge
 *   listing_format.c  entries, rows and headers as bytes
 *   spool.c           a growing file that the disk or memory holds
 *
 * An entry in a block: u16 length of the name, u8 flags, u8 length of the
 * version, u8 length of the storage class; objects: u64 size, i64 mtime; then
 * name, version, class. Blocks follow one another without a gap, so that any
 * range of whole blocks is a run of entries too.
 */
#ifndef CACHE_LISTING_IMPL_H
#define CACHE_LISTING_IMPL_H

#include <endian.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/lock.h"
#include "cache/listing.h"
#include "cache/spool.h"

#define LISTING_SUFFIX ".lst"
#define LISTING_MAGIC 0x31545354u /* "TST1" */
#define LISTING_FORMAT 1u
#define LISTING_HEADER 128
#define LISTING_BLOCK KIB(32)

/* Header flags. */
#define LISTING_COMPLETE (1u << 0)
#define LISTING_MARKER (1u << 1) /* the directory's own marker is there */
/* It is empty, its version is that of nothing, and its time is known. */
#define LISTING_MARKER_PLAIN (1u << 2)
#define LISTING_PLAIN_VERSION "d41d8cd98f00b204e9800998ecf8427e" /* MD5 */

/* Entry flags and where they stand. */
#define ENTRY_DIR (1u << 0)
#define ENTRY_TWIN (1u << 1)
#define ENTRY_WEAK (1u << 2)
#define ENTRY_ARCHIVED (1u << 3)
#define ENTRY_UNUSABLE (1u << 4)
#define ENTRY_FLAGS_AT 2
#define ENTRY_FIXED 5
#define ENTRY_OBJECT 16
#define ENTRY_MAX                                                              \
	(ENTRY_FIXED + ENTRY_OBJECT + UFS_KEY_MAX + UFS_VERSION_MAX + 24)

#define ROW_FIXED 42
#define ROW_HASH_AT 32
#define ROW_MAX ((size_t)(ROW_FIXED + UFS_KEY_MAX + 7) & ~(size_t)7)

static inline uint64_t get_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline uint32_t get_le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint16_t get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline void put_le64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_le32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

struct listing_header {
	struct disk_id id;
	uint32_t flags;
	uint64_t entries;
	uint64_t blocks;
	uint64_t index;
	int64_t taken; /* INT64_MIN when read in another boot */
	uint64_t index_hash;
	int64_t marker_time; /* with LISTING_MARKER_PLAIN: its mtime */
};

void header_encode(const struct listing_header *h,
		   uint8_t out[static LISTING_HEADER]);
int header_decode(const uint8_t in[static LISTING_HEADER],
		  struct listing_header *h);

/* A row of the index; first is borrowed from the bytes. */
struct row {
	uint64_t off;
	uint32_t len;
	uint32_t entries;
	uint64_t number; /* of the first entry */
	uint64_t hash;
	struct str first;
};

/* Both return the bytes of the row; 0: there is no right row. */
size_t row_encode(const struct row *r, int64_t taken,
		  uint8_t out[static ROW_MAX]);
size_t row_decode(const uint8_t *p, size_t n, struct row *r);

/* The bytes of the entry; 0 when its parts are longer than they may be. */
size_t entry_encode(struct str name, bool dir, bool twin,
		    const struct ufs_stat *st, uint8_t out[static ENTRY_MAX]);

/* Only the name, as fast as can be. 0: there is no right entry. */
static inline size_t entry_name(const uint8_t *p, size_t n, struct str *name)
{
	size_t fixed = ENTRY_FIXED, len;

	if (n < ENTRY_FIXED)
		return 0;
	if (!(p[ENTRY_FLAGS_AT] & ENTRY_DIR))
		fixed += ENTRY_OBJECT;
	name->n = get_le16(p);
	name->p = (const char *)p + fixed;
	len = fixed + name->n + p[3] + p[4];
	return name->n <= UFS_KEY_MAX && len <= n ? len : 0;
}

/* All of it; e->name is borrowed from the bytes. */
size_t entry_decode(const uint8_t *p, size_t n, struct listing_entry *e);

/*
 * Take over a file that is complete: on failure the caller still owns fd.
 * -ENOENT when it is not a listing of this id.
 */
int listing_load(struct disk *d, const struct disk_id *id, int fd,
		 struct listing **out);

/* Entries that came out of order, kept until they can be merged. */
struct sorter;

/* size: of the buffer in which a run is sorted, at least ENTRY_MAX. */
int sorter_new(struct disk *d, size_t size, struct sorter **out);
void sorter_free(struct sorter *s); /* NULL is allowed */

/*
 * Before all else: what is already sorted, whole entries in a spool that stays.
 */
void sorter_first_run(struct sorter *s, struct spool *spool, uint64_t off,
		      uint64_t end);
int sorter_add(struct sorter *s, const uint8_t *entry, size_t n);

/* Each entry in order of its name; of equal names the one added last. */
typedef int sorter_cb(void *arg, const uint8_t *entry, size_t n);
int sorter_merge(struct sorter *s, sorter_cb *cb, void *arg);

#endif
