/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing_writer.c - writing a listing in key order
 *
 * Twins: an object `a` is one when the directory `a/` comes too, which may
 * be many entries later (`a!`, `a-b`... sort between them). All names that
 * come between begin with `a`, so the objects whose directory may still come
 * are those whose names the present name begins with: a stack, of which the
 * lengths say all. When the directory comes, the flag of the entry already
 * written is set, in the block being filled or in the file, whose block is
 * then hashed again.
 *
 * From the first name that is out of order on, entries go to a sorter; the
 * blocks so far are its first run, and a second writer takes the merge.
 */
#include "cache/listing_impl.h"

#include <errno.h>
#include <xxhash.h>

#define SORT_BUFFER MIB(4)

/* An object whose directory may still come. */
struct candidate {
	size_t len;      /* of its name */
	size_t at;       /* of its flags in the block */
	uint64_t off;    /* of its block */
	uint64_t row;    /* of its block's row; UINT64_MAX: being filled */
	uint32_t length; /* of its block */
};

struct listing_writer {
	struct disk *disk;
	struct disk_id id;
	int64_t taken;
	bool marker, marker_plain;
	int64_t marker_time;
	struct spool data;  /* header and blocks */
	struct spool index; /* rows */
	uint64_t entries, blocks;
	struct sorter *sorter; /* NULL: all came in order */
	bool any;
	size_t last_n;
	char last[UFS_KEY_MAX];
	size_t ncandidates;
	struct candidate candidates[UFS_KEY_MAX + 1];
	/* the block being filled */
	uint32_t block_entries;
	size_t first_n;
	char first[UFS_KEY_MAX];
	size_t n;
	uint8_t block[LISTING_BLOCK];
};

int listing_writer_new(struct disk *d, const struct disk_id *id, int64_t taken,
		       struct listing_writer **out)
{
	static const uint8_t header[LISTING_HEADER];
	struct listing_writer *w = malloc(sizeof(*w));
	int r;

	if (w == NULL)
		return -ENOMEM;
	memset(w, 0, offsetof(struct listing_writer, candidates));
	w->block_entries = 0;
	w->n = 0;
	w->disk = d;
	w->id = *id;
	w->taken = taken;
	spool_init(&w->data, d);
	spool_init(&w->index, d);
	r = spool_append(&w->data, header, sizeof(header));
	if (r < 0) {
		listing_writer_drop(w);
		return r;
	}
	*out = w;
	return 0;
}

void listing_writer_date(struct listing_writer *w, int64_t taken)
{
	w->taken = taken;
}

void listing_writer_drop(struct listing_writer *w)
{
	if (w == NULL)
		return;
	sorter_free(w->sorter);
	spool_fini(&w->data);
	spool_fini(&w->index);
	free(w);
}

static int flush_block(struct listing_writer *w)
{
	uint8_t bytes[ROW_MAX];
	struct row row = {
		.off = spool_size(&w->data),
		.len = (uint32_t)w->n,
		.entries = w->block_entries,
		.number = w->entries - w->block_entries,
		.hash = XXH3_64bits(w->block, w->n),
		.first = { w->first, w->first_n },
	};
	uint64_t at = spool_size(&w->index);
	int r;

	if (w->n == 0)
		return 0;
	for (size_t i = 0; i < w->ncandidates; i++) {
		struct candidate *c = &w->candidates[i];

		if (c->row != UINT64_MAX)
			continue;
		c->row = at;
		c->off = row.off;
		c->length = row.len;
	}
	r = spool_append(&w->index, bytes, row_encode(&row, w->taken, bytes));
	if (r == 0)
		r = spool_append(&w->data, w->block, w->n);
	w->blocks++;
	w->n = 0;
	w->block_entries = 0;
	return r;
}

/* Say of an object already written that its directory is there too. */
static int mark_twin(struct listing_writer *w, const struct candidate *c)
{
	uint8_t block[LISTING_BLOCK], hash[8];
	int r;

	if (c->row == UINT64_MAX) {
		w->block[c->at] |= ENTRY_TWIN;
		return 0;
	}
	r = spool_read(&w->data, c->off, block, c->length);
	if (r < 0)
		return r;
	block[c->at] |= ENTRY_TWIN;
	put_le64(hash, XXH3_64bits(block, c->length));
	r = spool_patch(&w->data, c->off + c->at, &block[c->at], 1);
	if (r < 0)
		return r;
	return spool_patch(&w->index, c->row + ROW_HASH_AT, hash, sizeof(hash));
}

static size_t common(struct str a, struct str b)
{
	size_t n = MIN(a.n, b.n), i = 0;

	while (i < n && a.p[i] == b.p[i])
		i++;
	return i;
}

/* An entry that is greater than all before it. */
static int put(struct listing_writer *w, struct str name, bool dir,
	       const struct ufs_stat *st)
{
	struct str last = { w->last, w->last_n };
	size_t same = common(last, name), size;
	uint8_t entry[ENTRY_MAX];
	bool twin = false;
	int r = 0;

	while (w->ncandidates > 0 &&
	       w->candidates[w->ncandidates - 1].len > same)
		w->ncandidates--;
	if (dir && w->ncandidates > 0) {
		struct candidate *c = &w->candidates[w->ncandidates - 1];

		twin = c->len == name.n - 1;
		if (twin)
			r = mark_twin(w, c);
	}
	size = entry_encode(name, dir, twin, st, entry);
	if (size == 0)
		return -EIO;
	if (r == 0 && w->n + size > sizeof(w->block))
		r = flush_block(w);
	if (r < 0)
		return r;
	if (w->n == 0) {
		memcpy(w->first, name.p, name.n);
		w->first_n = name.n;
	}
	if (!dir)
		w->candidates[w->ncandidates++] = (struct candidate){
			.len = name.n,
			.at = w->n + ENTRY_FLAGS_AT,
			.row = UINT64_MAX,
		};
	memcpy(w->block + w->n, entry, size);
	w->n += size;
	w->block_entries++;
	w->entries++;
	memcpy(w->last, name.p, name.n);
	w->last_n = name.n;
	w->any = true;
	return 0;
}

static int put_entry(void *arg, const uint8_t *entry, size_t n)
{
	struct listing_entry e;

	if (entry_decode(entry, n, &e) == 0)
		return -EIO;
	return put(arg, e.name, e.dir, &e.st);
}

/* What came so far is the first run. */
static int start_sorting(struct listing_writer *w)
{
	int r = flush_block(w);

	if (r == 0)
		r = sorter_new(w->disk, SORT_BUFFER, &w->sorter);
	if (r == 0)
		sorter_first_run(w->sorter, &w->data, LISTING_HEADER,
				 spool_size(&w->data));
	return r;
}

/* One component; a directory's ends with the slash, an object has none. */
static bool is_component(struct str name, bool dir)
{
	const char *slash = name.n > 0 ? memchr(name.p, '/', name.n) : NULL;

	if (name.n > UFS_KEY_MAX)
		return false;
	return dir ? slash != NULL && slash == name.p + name.n - 1
		   : slash == NULL;
}

int listing_writer_add(struct listing_writer *w, struct str name,
		       const struct ufs_entry *e)
{
	uint8_t entry[ENTRY_MAX];
	size_t size;
	int r;

	if (!is_component(name, e->dir))
		return -EIO;
	if (name.n == 0) {
		name = STR_EMPTY;
		w->marker = true;
		w->marker_time = e->st.mtime;
		w->marker_plain =
		    e->st.size == 0 && e->st.flags == 0 &&
		    e->st.storage_class[0] == '\0' &&
		    strcmp(e->st.version, LISTING_PLAIN_VERSION) == 0;
		if (e->st.size == 0)
			return 0;
	}
	if (w->sorter == NULL && w->any &&
	    str_cmp(name, (struct str){ w->last, w->last_n }) <= 0) {
		r = start_sorting(w);
		if (r < 0)
			return r;
	}
	if (w->sorter == NULL)
		return put(w, name, e->dir, &e->st);
	size = entry_encode(name, e->dir, false, &e->st, entry);
	return size == 0 ? -EIO : sorter_add(w->sorter, entry, size);
}

/* The rows behind the blocks, and what they hash to. */
static int append_index(struct listing_writer *w, uint64_t *hash)
{
	uint64_t size = spool_size(&w->index);
	uint8_t part[KIB(16)];
	XXH3_state_t *state = XXH3_createState();
	int r = 0;

	if (state == NULL)
		return -ENOMEM;
	XXH3_64bits_reset(state);
	for (uint64_t off = 0; r == 0 && off < size; off += sizeof(part)) {
		size_t n = (size_t)MIN(sizeof(part), size - off);

		r = spool_read(&w->index, off, part, n);
		if (r < 0)
			break;
		XXH3_64bits_update(state, part, n);
		r = spool_append(&w->data, part, n);
	}
	*hash = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	return r;
}

static int finish_sorted(struct listing_writer *w, struct listing **out)
{
	struct listing_header h = {
		.id = w->id,
		.flags = LISTING_COMPLETE | (w->marker ? LISTING_MARKER : 0) |
			 (w->marker_plain ? LISTING_MARKER_PLAIN : 0),
		.taken = w->taken,
		.marker_time = w->marker_plain ? w->marker_time : 0,
	};
	uint8_t header[LISTING_HEADER];
	AUTO_CLOSE int fd = -1;
	int r = flush_block(w);

	if (r < 0)
		return r;
	h.entries = w->entries;
	h.blocks = w->blocks;
	h.index = spool_size(&w->data);
	r = append_index(w, &h.index_hash);
	if (r < 0)
		return r;
	header_encode(&h, header);
	r = spool_patch(&w->data, 0, header, sizeof(header));
	if (r == 0)
		r = spool_publish(&w->data, &w->id, LISTING_SUFFIX, &fd);
	if (r == 0)
		r = listing_load(w->data.disk, &w->id, fd, out);
	if (r == 0)
		take_fd(&fd);
	return r == -ENOENT ? -EIO : r; /* what we wrote is not what we read */
}

static int finish_unsorted(struct listing_writer *w, struct listing **out)
{
	struct listing_writer *sorted;
	int r = listing_writer_new(w->disk, &w->id, w->taken, &sorted);

	if (r < 0)
		return r;
	sorted->marker = w->marker;
	sorted->marker_plain = w->marker_plain;
	sorted->marker_time = w->marker_time;
	r = sorter_merge(w->sorter, put_entry, sorted);
	if (r == 0)
		r = finish_sorted(sorted, out);
	listing_writer_drop(sorted);
	return r;
}

int listing_writer_finish(struct listing_writer *w, struct listing **out)
{
	int r =
	    w->sorter == NULL ? finish_sorted(w, out) : finish_unsorted(w, out);

	listing_writer_drop(w);
	return r;
}
