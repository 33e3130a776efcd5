/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing.c - reading a listing
 *
 * Opening reads the index once, checks it, and keeps of it only where groups
 * of rows begin, at most about GROUPS_MAX of them however long the index is.
 * A search then goes from the groups to one group's rows to one block, each
 * read with pread and held against its hash. The group and the block read
 * last stay in memory: who looks up one name after another in key order
 * reads each block once. Names are looked up in random order, too, most of all
 * by the clients of a worker, for whom to read and check a block costs a sixth
 * of what they pay for a file of 110 KB. So more of them stay, some of each
 * listing, as long as all listings together hold no more than HELD_BYTES.
 */
#include "cache/listing_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <xxhash.h>

#include "base/stats.h"

#define HELD 16 /* chunks of a kind that a listing holds beside the last */
#define HELD_BYTES MIB(8)
#define GROUP_MIN KIB(16)
#define GROUPS_MAX 512

/* Rows that follow one another. */
struct group {
	uint64_t off;    /* in the file */
	uint64_t number; /* of the first entry */
	uint64_t hash;
	uint32_t len;
	uint32_t first_n;
	char *first; /* name */
};

/* Bytes read and found right; shared by all who use them. */
struct chunk {
	atomic_uint refs;
	uint64_t off;
	size_t n;
	uint8_t bytes[];
};

enum chunk_kind { CHUNK_GROUP, CHUNK_BLOCK, CHUNK_KINDS };

struct listing {
	atomic_uint refs;
	atomic_bool bad;
	/* set once at open */
	struct disk *disk; /* borrowed */
	struct disk_id id;
	int fd;
	int64_t taken;
	uint64_t entries, blocks;
	bool marker, marker_plain;
	int64_t marker_time;
	struct group *groups;
	size_t ngroups;

	struct lock lock;
	/* under lock */
	struct chunk *last[CHUNK_KINDS];       /* each owns a ref */
	struct chunk *held[CHUNK_KINDS][HELD]; /* as well, or is NULL */
	unsigned turn[CHUNK_KINDS];            /* which of these goes next */
};

static void chunk_unref(struct chunk *c)
{
	if (c != NULL &&
	    atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		free(c);
}

static struct chunk *chunk_ref(struct chunk *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

/* Empty a place. What was in it is the caller's. */
static struct chunk *held_take(struct chunk **place)
{
	struct chunk *c = *place;

	*place = NULL;
	if (c != NULL)
		stat_add(STAT_listing_bytes, -(int64_t)c->n);
	return c;
}

/* Two that do this at once may go a chunk beyond the limit. */
static void held_put(struct chunk **place, struct chunk *c)
{
	int64_t n = (int64_t)c->n;

	if (stat_read(STAT_listing_bytes) + n > (int64_t)HELD_BYTES)
		return;
	stat_add(STAT_listing_bytes, n);
	*place = chunk_ref(c);
}

struct listing *listing_ref(struct listing *l)
{
	atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
	return l;
}

void listing_unref(struct listing *l)
{
	if (l == NULL ||
	    atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (int i = 0; i < CHUNK_KINDS; i++) {
		chunk_unref(l->last[i]);
		for (int k = 0; k < HELD; k++)
			chunk_unref(held_take(&l->held[i][k]));
	}
	for (size_t i = 0; i < l->ngroups; i++)
		free(l->groups[i].first);
	free(l->groups);
	if (l->fd >= 0)
		close(l->fd);
	lock_fini(&l->lock);
	free(l);
}

int64_t listing_taken(const struct listing *l)
{
	return l->taken;
}

uint64_t listing_entries(const struct listing *l)
{
	return l->entries;
}

bool listing_marker(const struct listing *l)
{
	return l->marker;
}

bool listing_marker_stat(const struct listing *l, struct ufs_stat *st)
{
	if (!l->marker_plain)
		return false;
	*st = (struct ufs_stat){ .mtime = l->marker_time,
				 .version = LISTING_PLAIN_VERSION };
	return true;
}

bool listing_is_bad(const struct listing *l)
{
	return atomic_load_explicit(&l->bad, memory_order_relaxed);
}

void listing_remove(struct disk *d, const struct disk_id *id)
{
	if (d != NULL)
		disk_unlink(d, id, LISTING_SUFFIX);
}

/* It is not what was written: nobody shall open it again. Returns -EIO. */
static int spoilt(struct listing *l)
{
	if (!atomic_exchange_explicit(&l->bad, true, memory_order_relaxed) &&
	    l->disk != NULL) {
		disk_bad_page(l->disk);
		listing_remove(l->disk, &l->id);
	}
	return -EIO;
}

/* What has been checked of the index so far. */
struct check {
	uint64_t off; /* where the next block must begin */
	uint64_t entries;
	uint64_t blocks;
	size_t last_n;
	char last[UFS_KEY_MAX]; /* the last row's name */
};

static bool row_follows(struct check *k, const struct row *r)
{
	struct str last = { k->last, k->last_n };

	if (r->off != k->off || r->len == 0 || r->len > LISTING_BLOCK ||
	    r->entries == 0 || r->entries > r->len || r->number != k->entries)
		return false;
	if (k->blocks > 0 && str_cmp(r->first, last) <= 0)
		return false;
	memcpy(k->last, r->first.p, r->first.n);
	k->last_n = r->first.n;
	k->off += r->len;
	k->entries += r->entries;
	k->blocks++;
	return true;
}

static int add_group(struct listing *l, uint64_t off, const uint8_t *p,
		     size_t n)
{
	struct group *g;
	struct row row;

	if ((l->ngroups & (l->ngroups - 1)) == 0) { /* full at powers of 2 */
		size_t room = MAX(2 * l->ngroups, 1);

		g = realloc(l->groups, room * sizeof(*g));
		if (g == NULL)
			return -ENOMEM;
		l->groups = g;
	}
	if (row_decode(p, n, &row) == 0)
		return -ENOENT;
	g = &l->groups[l->ngroups];
	*g = (struct group){
		.off = off,
		.number = row.number,
		.hash = XXH3_64bits(p, n),
		.len = (uint32_t)n,
		.first_n = (uint32_t)row.first.n,
		.first = malloc(row.first.n + 1),
	};
	if (g->first == NULL)
		return -ENOMEM;
	memcpy(g->first, row.first.p, row.first.n);
	l->ngroups++;
	return 0;
}

/* Bytes of the rows at p that make a group; 0: they are not right. */
static size_t check_group(struct check *k, const uint8_t *p, size_t n,
			  size_t target)
{
	size_t used = 0;
	struct row row;

	while (used < n && used < target) {
		size_t size = row_decode(p + used, n - used, &row);

		if (size == 0)
			break; /* cut: the next group begins with it */
		if (!row_follows(k, &row))
			return 0;
		used += size;
	}
	return used;
}

static int load_index(struct listing *l, const struct listing_header *h,
		      uint64_t size, XXH3_state_t *state)
{
	size_t target = (size_t)MAX(GROUP_MIN, size / GROUPS_MAX);
	AUTO_FREE uint8_t *buf = malloc(target + ROW_MAX);
	struct check k = { .off = LISTING_HEADER };
	uint64_t off = 0;

	if (buf == NULL)
		return -ENOMEM;
	XXH3_64bits_reset(state);
	while (off < size) {
		size_t n = (size_t)MIN(target + ROW_MAX, size - off);
		int r = spool_pread(l->fd, h->index + off, buf, n);

		if (r < 0)
			return r;
		n = check_group(&k, buf, n, target);
		if (n == 0)
			return -ENOENT;
		XXH3_64bits_update(state, buf, n);
		r = add_group(l, h->index + off, buf, n);
		if (r < 0)
			return r;
		off += n;
	}
	if (k.off != h->index || k.entries != h->entries ||
	    k.blocks != h->blocks || XXH3_64bits_digest(state) != h->index_hash)
		return -ENOENT;
	return 0;
}

static int load(struct listing *l)
{
	uint8_t bytes[LISTING_HEADER];
	struct listing_header h;
	XXH3_state_t *state;
	struct stat st;
	int r;

	if (fstat(l->fd, &st) < 0)
		return -errno;
	if (st.st_size < LISTING_HEADER)
		return -ENOENT;
	r = spool_pread(l->fd, 0, bytes, sizeof(bytes));
	if (r == 0)
		r = header_decode(bytes, &h);
	if (r < 0)
		return r;
	if (memcmp(h.id.b, l->id.b, DISK_ID_LEN) != 0 ||
	    h.index < LISTING_HEADER || h.index > (uint64_t)st.st_size ||
	    (uint64_t)st.st_size - h.index > UINT32_MAX)
		return -ENOENT;
	l->taken = h.taken;
	l->entries = h.entries;
	l->blocks = h.blocks;
	l->marker = h.flags & LISTING_MARKER;
	l->marker_plain = h.flags & LISTING_MARKER_PLAIN;
	l->marker_time = h.marker_time;
	state = XXH3_createState();
	if (state == NULL)
		return -ENOMEM;
	r = load_index(l, &h, (uint64_t)st.st_size - h.index, state);
	XXH3_freeState(state);
	return r;
}

int listing_load(struct disk *d, const struct disk_id *id, int fd,
		 struct listing **out)
{
	struct listing *l = calloc(1, sizeof(*l));
	int r;

	if (l == NULL)
		return -ENOMEM;
	atomic_init(&l->refs, 1);
	lock_init(&l->lock, RANK_LEAF);
	l->disk = d;
	l->id = *id;
	l->fd = fd;
	r = load(l);
	if (r < 0) {
		l->fd = -1; /* the caller's still */
		listing_unref(l);
		return r;
	}
	*out = l;
	return 0;
}

int listing_open(struct disk *d, const struct disk_id *id, struct listing **out)
{
	AUTO_CLOSE int fd = -1;
	int r;

	if (d == NULL)
		return -ENOENT;
	r = disk_open_file(d, id, LISTING_SUFFIX, O_RDONLY, &fd);
	if (r < 0) {
		fd = -1;
		return r;
	}
	r = listing_load(d, id, fd, out);
	if (r == 0) {
		disk_touch(d, fd);
		take_fd(&fd);
	} else if (r == -ENOENT) {
		disk_bad_page(d);
		listing_remove(d, id);
	} else if (r != -ENOMEM) {
		disk_failed(d, r, "read a listing");
	}
	return r;
}

/*
 * Bytes of the file, or -EAGAIN when nowait is set and they are not in the
 * kernel's memory. What lies in a memfd always is.
 */
static int read_bytes(struct listing *l, uint64_t off, void *p, size_t n,
		      bool nowait)
{
	struct iovec iov = { p, n };
	ssize_t got;
	int r;

	if (nowait && l->disk != NULL) {
		got = preadv2(l->fd, &iov, 1, (off_t)off, RWF_NOWAIT);
		return got == (ssize_t)n ? 0 : -EAGAIN;
	}
	r = spool_pread(l->fd, off, p, n);
	if (r < 0 && l->disk != NULL)
		disk_failed(l->disk, r, "read a listing");
	return r;
}

static struct chunk *chunk_held(struct listing *l, enum chunk_kind kind,
				uint64_t off)
{
	struct chunk *c;

	lock_take(&l->lock);
	c = l->last[kind];
	for (int i = 0; i < HELD && (c == NULL || c->off != off); i++)
		c = l->held[kind][i];
	c = c != NULL && c->off == off ? chunk_ref(c) : NULL;
	lock_drop(&l->lock);
	return c;
}

/* It was just read. Takes a reference. */
static void chunk_keep(struct listing *l, enum chunk_kind kind, struct chunk *c)
{
	struct chunk *last, *old, **place;

	lock_take(&l->lock);
	last = l->last[kind];
	l->last[kind] = c;
	place = &l->held[kind][l->turn[kind]++ % HELD];
	old = held_take(place);
	held_put(place, c);
	lock_drop(&l->lock);
	chunk_unref(last);
	chunk_unref(old);
}

/* One reference in *out. -EIO: the listing is spoilt, or -EAGAIN (nowait). */
static int chunk_get(struct listing *l, enum chunk_kind kind, uint64_t off,
		     size_t n, uint64_t hash, bool nowait, struct chunk **out)
{
	struct chunk *c = chunk_held(l, kind, off);
	int r;

	if (c != NULL && c->n == n) {
		*out = c;
		return 0;
	}
	chunk_unref(c);
	c = malloc(sizeof(*c) + n);
	if (c == NULL)
		return -ENOMEM;
	atomic_init(&c->refs, 2);
	c->off = off;
	c->n = n;
	r = read_bytes(l, off, c->bytes, n, nowait);
	if (r == 0 && XXH3_64bits(c->bytes, n) != hash)
		r = -EIO;
	if (r < 0) {
		free(c);
		return r == -EAGAIN ? r : spoilt(l);
	}
	chunk_keep(l, kind, c);
	*out = c;
	return 0;
}

static int group_get(struct listing *l, size_t g, bool nowait,
		     struct chunk **out)
{
	const struct group *at = &l->groups[g];

	return chunk_get(l, CHUNK_GROUP, at->off, at->len, at->hash, nowait,
			 out);
}

static int block_get(struct listing *l, const struct row *row, bool nowait,
		     struct chunk **out)
{
	return chunk_get(l, CHUNK_BLOCK, row->off, row->len, row->hash, nowait,
			 out);
}

/* A place in the index. */
struct place {
	size_t group;
	size_t at;           /* of the row in the group */
	struct row row;      /* its first is borrowed from chunk */
	struct chunk *chunk; /* owns a ref */
};

/* How many groups begin at or before name. */
static size_t groups_upto(const struct listing *l, struct str name)
{
	size_t low = 0, high = l->ngroups;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct group *g = &l->groups[mid];

		if (str_cmp((struct str){ g->first, g->first_n }, name) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static size_t groups_upto_number(const struct listing *l, uint64_t number)
{
	size_t low = 0, high = l->ngroups;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->groups[mid].number <= number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

typedef bool before_fn(const struct row *row, const void *what);

static bool begins_upto_name(const struct row *row, const void *what)
{
	return str_cmp(row->first, *(const struct str *)what) <= 0;
}

static bool begins_upto_number(const struct row *row, const void *what)
{
	return row->number <= *(const uint64_t *)what;
}

/* The last row of the group that is before what. The first always is. */
static int seek(struct listing *l, size_t group, before_fn *before,
		const void *what, bool nowait, struct place *p)
{
	struct row row;
	size_t at = 0;
	int r = group_get(l, group, nowait, &p->chunk);

	if (r < 0)
		return r;
	p->group = group;
	p->at = 0;
	while (at < p->chunk->n) {
		size_t size =
		    row_decode(p->chunk->bytes + at, p->chunk->n - at, &row);

		if (size == 0) {
			chunk_unref(p->chunk);
			return spoilt(l);
		}
		if (at > 0 && !before(&row, what))
			break;
		p->at = at;
		p->row = row;
		at += size;
	}
	return 0;
}

/* The next row. 0: there is none, and p holds nothing any more. */
static int advance(struct listing *l, struct place *p, bool nowait)
{
	int r;

	p->at +=
	    row_decode(p->chunk->bytes + p->at, p->chunk->n - p->at, &p->row);
	if (p->at == p->chunk->n) {
		chunk_unref(p->chunk);
		p->chunk = NULL;
		if (++p->group == l->ngroups)
			return 0;
		r = group_get(l, p->group, nowait, &p->chunk);
		if (r < 0)
			return r;
		p->at = 0;
	}
	if (row_decode(p->chunk->bytes + p->at, p->chunk->n - p->at, &p->row))
		return 1;
	chunk_unref(p->chunk);
	return spoilt(l);
}

/* 1 and e, or 0 when block has no such entry. */
static int find_in_block(struct listing *l, const struct chunk *block,
			 struct str name, struct listing_entry *e)
{
	size_t at = 0;
	struct str n;

	while (at < block->n) {
		const uint8_t *p = block->bytes + at;
		size_t size = entry_name(p, block->n - at, &n);
		int order;

		if (size == 0)
			return spoilt(l);
		order = str_cmp(n, name);
		if (order > 0)
			return 0;
		if (order == 0)
			return entry_decode(p, size, e) ? 1 : spoilt(l);
		at += size;
	}
	return 0;
}

/* 1, with e but for its name, or 0. */
static int find(struct listing *l, struct str name, bool nowait,
		struct listing_entry *e)
{
	size_t groups = groups_upto(l, name);
	struct chunk *block;
	struct place p;
	int r;

	if (groups == 0)
		return 0;
	r = seek(l, groups - 1, begins_upto_name, &name, nowait, &p);
	if (r < 0)
		return r;
	r = block_get(l, &p.row, nowait, &block);
	chunk_unref(p.chunk);
	if (r < 0)
		return r;
	r = find_in_block(l, block, name, e);
	chunk_unref(block);
	return r;
}

static int find_both(struct listing *l, struct str name, bool nowait,
		     bool *object, bool *dir, struct ufs_stat *st)
{
	char with_slash[UFS_KEY_MAX + 1];
	struct listing_entry e;
	int r;

	*object = false;
	*dir = false;
	if (name.n > UFS_KEY_MAX)
		return 0;
	r = find(l, name, nowait, &e);
	if (r < 0)
		return r;
	if (r > 0 && !e.dir) {
		*object = true;
		*dir = e.twin;
		*st = e.st;
		return 0;
	}
	if (name.n > 0)
		memcpy(with_slash, name.p, name.n);
	with_slash[name.n] = '/';
	r = find(l, (struct str){ with_slash, name.n + 1 }, nowait, &e);
	*dir = r > 0 && e.dir;
	return MIN(r, 0);
}

int listing_find(struct listing *l, struct str name, bool *object, bool *dir,
		 struct ufs_stat *st)
{
	return find_both(l, name, false, object, dir, st);
}

int listing_find_nowait(struct listing *l, struct str name, bool *object,
			bool *dir, struct ufs_stat *st)
{
	return find_both(l, name, true, object, dir, st);
}

/* Which entries are walked: from a number on, or those with a prefix. */
struct range {
	uint64_t first;
	const struct str *prefix; /* NULL: all */
	listing_cb *cb;
	void *arg;
	bool nowait;
	bool over; /* past the prefix */
};

static int walk_entries(struct listing *l, const struct row *row,
			const struct chunk *block, struct range *g)
{
	uint64_t number = row->number, end = row->number + row->entries;
	struct listing_entry e;
	int r;

	for (size_t at = 0, n; at < block->n; at += n, number++) {
		n = entry_decode(block->bytes + at, block->n - at, &e);
		if (n == 0 || number == end)
			return spoilt(l);
		if (number < g->first)
			continue;
		if (g->prefix != NULL && !str_starts(e.name, *g->prefix)) {
			g->over = str_cmp(e.name, *g->prefix) > 0;
			if (g->over)
				return 0;
			continue;
		}
		r = g->cb(g->arg, number, &e);
		if (r != 0)
			return r;
	}
	return number == end ? 0 : spoilt(l);
}

static int walk_block(struct listing *l, const struct row *row, struct range *g)
{
	struct chunk *block;
	int r = block_get(l, row, g->nowait, &block);

	if (r < 0)
		return r;
	r = walk_entries(l, row, block, g);
	chunk_unref(block);
	return r;
}

static int walk(struct listing *l, struct place *p, struct range *g)
{
	int r, more;

	do {
		r = walk_block(l, &p->row, g);
		if (r != 0 || g->over) {
			chunk_unref(p->chunk);
			return r;
		}
		more = advance(l, p, g->nowait);
	} while (more > 0);
	return more;
}

static int each(struct listing *l, uint64_t first, struct range *g)
{
	struct place p;
	int r;

	if (first >= l->entries)
		return 0;
	r = seek(l, groups_upto_number(l, first) - 1, begins_upto_number,
		 &first, g->nowait, &p);
	return r < 0 ? r : walk(l, &p, g);
}

int listing_each(struct listing *l, uint64_t first, listing_cb *cb, void *arg)
{
	struct range g = { .first = first, .cb = cb, .arg = arg };

	return each(l, first, &g);
}

int listing_each_nowait(struct listing *l, uint64_t first, listing_cb *cb,
			void *arg)
{
	struct range g = {
		.first = first, .cb = cb, .arg = arg, .nowait = true
	};

	return each(l, first, &g);
}

int listing_each_prefix(struct listing *l, struct str prefix, listing_cb *cb,
			void *arg)
{
	struct range g = { .prefix = &prefix, .cb = cb, .arg = arg };
	size_t groups = groups_upto(l, prefix);
	struct place p;
	int r;

	if (l->entries == 0)
		return 0;
	r = seek(l, groups > 0 ? groups - 1 : 0, begins_upto_name, &prefix,
		 false, &p);
	return r < 0 ? r : walk(l, &p, &g);
}
