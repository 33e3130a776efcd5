/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing_format.c - entries, rows and headers of a listing as bytes
 *
 * What is decoded was written by someone else as far as this file knows:
 * every length is held against what is there.
 */
#include "cache/listing_impl.h"

#include <errno.h>
#include <xxhash.h>

#define ID_AT 8
#define FLAGS_AT 28
#define ENTRIES_AT 32
#define BLOCKS_AT 40
#define INDEX_AT 48
#define TAKEN_AT 56
#define BOOT_AT 64
#define INDEX_HASH_AT 100
#define MARKER_TIME_AT 108
#define HASH_AT 120 /* of the header up to here */

void header_encode(const struct listing_header *h,
		   uint8_t out[static LISTING_HEADER])
{
	memset(out, 0, LISTING_HEADER);
	put_le32(out, LISTING_MAGIC);
	put_le32(out + 4, LISTING_FORMAT);
	memcpy(out + ID_AT, h->id.b, DISK_ID_LEN);
	put_le32(out + FLAGS_AT, h->flags);
	put_le64(out + ENTRIES_AT, h->entries);
	put_le64(out + BLOCKS_AT, h->blocks);
	put_le64(out + INDEX_AT, h->index);
	put_le64(out + TAKEN_AT, (uint64_t)h->taken);
	memcpy(out + BOOT_AT, clock_boot_id(), BOOT_ID_LEN);
	put_le64(out + INDEX_HASH_AT, h->index_hash);
	put_le64(out + MARKER_TIME_AT, (uint64_t)h->marker_time);
	put_le64(out + HASH_AT, XXH3_64bits(out, HASH_AT));
}

int header_decode(const uint8_t in[static LISTING_HEADER],
		  struct listing_header *h)
{
	if (get_le32(in) != LISTING_MAGIC ||
	    get_le32(in + 4) != LISTING_FORMAT ||
	    get_le64(in + HASH_AT) != XXH3_64bits(in, HASH_AT))
		return -ENOENT;
	memcpy(h->id.b, in + ID_AT, DISK_ID_LEN);
	h->flags = get_le32(in + FLAGS_AT);
	h->entries = get_le64(in + ENTRIES_AT);
	h->blocks = get_le64(in + BLOCKS_AT);
	h->index = get_le64(in + INDEX_AT);
	h->taken = (int64_t)get_le64(in + TAKEN_AT);
	h->index_hash = get_le64(in + INDEX_HASH_AT);
	h->marker_time = (int64_t)get_le64(in + MARKER_TIME_AT);
	if (memcmp(in + BOOT_AT, clock_boot_id(), BOOT_ID_LEN) != 0)
		h->taken = INT64_MIN;
	return h->flags & LISTING_COMPLETE ? 0 : -ENOENT;
}

static size_t row_size(size_t name)
{
	return (ROW_FIXED + name + 7) & ~(size_t)7;
}

size_t row_encode(const struct row *r, int64_t taken,
		  uint8_t out[static ROW_MAX])
{
	size_t size = row_size(r->first.n);

	if (r->first.n > UFS_KEY_MAX)
		return 0;
	memset(out, 0, size);
	put_le64(out, r->off);
	put_le32(out + 8, r->len);
	put_le32(out + 12, r->entries);
	put_le64(out + 16, r->number);
	put_le64(out + 24, (uint64_t)taken);
	put_le64(out + ROW_HASH_AT, r->hash);
	put_le16(out + 40, (uint16_t)r->first.n);
	memcpy(out + ROW_FIXED, r->first.p, r->first.n);
	return size;
}

size_t row_decode(const uint8_t *p, size_t n, struct row *r)
{
	size_t name;

	if (n < ROW_FIXED)
		return 0;
	name = get_le16(p + 40);
	if (name > UFS_KEY_MAX || row_size(name) > n)
		return 0;
	r->off = get_le64(p);
	r->len = get_le32(p + 8);
	r->entries = get_le32(p + 12);
	r->number = get_le64(p + 16);
	r->hash = get_le64(p + ROW_HASH_AT);
	r->first = (struct str){ (const char *)p + ROW_FIXED, name };
	return row_size(name);
}

size_t entry_encode(struct str name, bool dir, bool twin,
		    const struct ufs_stat *st, uint8_t out[static ENTRY_MAX])
{
	size_t version = dir ? 0 : strnlen(st->version, sizeof(st->version));
	size_t cls =
	    dir ? 0 : strnlen(st->storage_class, sizeof(st->storage_class));
	uint8_t *p = out + ENTRY_FIXED;

	if (name.n > UFS_KEY_MAX || version == sizeof(st->version) ||
	    cls == sizeof(st->storage_class))
		return 0;
	put_le16(out, (uint16_t)name.n);
	out[ENTRY_FLAGS_AT] =
	    (uint8_t)((dir ? ENTRY_DIR : 0) | (twin ? ENTRY_TWIN : 0));
	out[3] = (uint8_t)version;
	out[4] = (uint8_t)cls;
	if (!dir) {
		if (st->flags & UFS_WEAK)
			out[ENTRY_FLAGS_AT] |= ENTRY_WEAK;
		if (st->flags & UFS_ARCHIVED)
			out[ENTRY_FLAGS_AT] |= ENTRY_ARCHIVED;
		if (st->flags & UFS_UNUSABLE)
			out[ENTRY_FLAGS_AT] |= ENTRY_UNUSABLE;
		put_le64(p, st->size);
		put_le64(p + 8, (uint64_t)st->mtime);
		p += ENTRY_OBJECT;
	}
	if (name.n > 0)
		memcpy(p, name.p, name.n);
	p += name.n;
	memcpy(p, st->version, version);
	memcpy(p + version, st->storage_class, cls);
	return (size_t)(p - out) + version + cls;
}

size_t entry_decode(const uint8_t *p, size_t n, struct listing_entry *e)
{
	size_t version, cls, size = entry_name(p, n, &e->name);
	const char *at;
	uint8_t flags;

	if (size == 0)
		return 0;
	at = e->name.p + e->name.n;
	flags = p[ENTRY_FLAGS_AT];
	version = p[3];
	cls = p[4];
	if (version >= sizeof(e->st.version) ||
	    cls >= sizeof(e->st.storage_class))
		return 0;
	e->dir = flags & ENTRY_DIR;
	e->twin = flags & ENTRY_TWIN;
	memset(&e->st, 0, sizeof(e->st));
	if (e->dir)
		return size;
	e->st.size = get_le64(p + ENTRY_FIXED);
	e->st.mtime = (int64_t)get_le64(p + ENTRY_FIXED + 8);
	if (flags & ENTRY_WEAK)
		e->st.flags |= UFS_WEAK;
	if (flags & ENTRY_ARCHIVED)
		e->st.flags |= UFS_ARCHIVED;
	if (flags & ENTRY_UNUSABLE)
		e->st.flags |= UFS_UNUSABLE;
	memcpy(e->st.version, at, version);
	memcpy(e->st.storage_class, at + version, cls);
	return size;
}
