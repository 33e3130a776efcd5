/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inodes.c - the table of inode records
 *
 * Records live in chunks that never move; the free ones of a chunk are chained
 * through `next`, and a chunk without any other is given back (its records
 * begin anew with a generation that none of them had). A million files that
 * `find` has met are 160 MB, and none when the kernel has forgotten them. The
 * hash maps (parent, type, component) to the current record of
 * that name. One lock guards it all: every section under it is short, and
 * the longest walk is as deep as a key has slashes.
 *
 * Who is to be forgotten first is found as page replacement finds it: a hand
 * goes round the records, takes the mark `recent` off those that were looked
 * up or opened since it last came by, and stops at those without. That costs
 * one bit a record, where a list in order of use would cost two words of each.
 * The share counts what records in use need: the holes between them are the
 * next ones' room, and shrink only where whole chunks become free.
 */
#include "fuse/inodes.h"

#include <errno.h>

#include <xxhash.h>

#include "base/stats.h"
#include "fuse/inodes_impl.h"

#define CHUNK_BITS 10
#define CHUNK (UINT32_C(1) << CHUNK_BITS)
#define INDEX_MAX UINT32_MAX
#define FREED_MANY 65536
#define HEAP_MIN 32 /* what the smallest piece of heap takes */
#define HEAP_HEAD 8 /* and any piece besides its bytes, rounded up to 16 */

struct inode *inode_at(struct inodes *t, uint32_t i)
{
	return &t->chunks[i >> CHUNK_BITS].records[i & (CHUNK - 1)];
}

/* The record, or NULL when nothing uses it. */
static struct inode *used_at(struct inodes *t, uint32_t i)
{
	if (i >= t->count || t->chunks[i >> CHUNK_BITS].records == NULL ||
	    !inode_at(t, i)->used)
		return NULL;
	return inode_at(t, i);
}

static uint64_t nodeid_of(const struct inode *in, uint32_t i)
{
	return (uint64_t)in->generation << 32 | i;
}

struct inode *inode_find_locked(struct inodes *t, uint64_t nodeid,
				uint32_t *index)
{
	uint32_t i = (uint32_t)nodeid;
	struct inode *in = used_at(t, i);

	if (in == NULL || in->generation != nodeid >> 32)
		return NULL;
	*index = i;
	return in;
}

static uint32_t bucket_of(const struct inodes *t, uint32_t parent,
			  enum inode_type type, struct str comp)
{
	uint64_t seed = (uint64_t)parent << 2 | (uint64_t)type;

	return (uint32_t)XXH3_64bits_withSeed(comp.p, comp.n, seed) &
	       (t->nbuckets - 1);
}

static struct str name_of(const struct inode *in)
{
	return (struct str){ in->text, in->n };
}

void inode_hash_remove(struct inodes *t, uint32_t i)
{
	struct inode *in = inode_at(t, i);
	uint32_t *link;

	if (!in->hashed)
		return;
	link = &t->buckets[bucket_of(t, in->parent, in->type, name_of(in))];
	while (*link != i)
		link = &inode_at(t, *link)->next;
	*link = in->next;
	in->next = 0;
	in->hashed = false;
	t->nhashed--;
	if (in->writing)
		inode_written_locked(t, in->parent, -1);
}

void inode_hash_insert(struct inodes *t, uint32_t i)
{
	struct inode *in = inode_at(t, i);
	uint32_t *head =
	    &t->buckets[bucket_of(t, in->parent, in->type, name_of(in))];

	in->next = *head;
	*head = i;
	in->hashed = true;
	t->nhashed++;
}

/* Twice the buckets when there are more records; without memory go on. */
static void hash_grow(struct inodes *t)
{
	uint32_t n = t->nbuckets * 2;
	uint32_t *buckets;

	if (t->nhashed < t->nbuckets || n == 0)
		return;
	buckets = calloc(n, sizeof(*buckets));
	if (buckets == NULL)
		return;
	free(t->buckets);
	t->buckets = buckets;
	t->nbuckets = n;
	t->nhashed = 0;
	for (uint32_t i = 1; i < t->count; i++)
		if (used_at(t, i) != NULL && inode_at(t, i)->hashed)
			inode_hash_insert(t, i);
}

uint32_t inode_hash_find(struct inodes *t, uint32_t parent,
			 enum inode_type type, struct str comp)
{
	uint32_t i = t->buckets[bucket_of(t, parent, type, comp)];

	while (i != 0) {
		struct inode *in = inode_at(t, i);

		if (in->parent == parent && in->type == type &&
		    str_eq(name_of(in), comp))
			return i;
		i = in->next;
	}
	return 0;
}

static bool chunk_add(struct inodes *t)
{
	struct chunk *chunks;

	if (t->nchunks > INDEX_MAX / CHUNK - 1)
		return false;
	chunks = realloc(t->chunks, (t->nchunks + 1) * sizeof(*chunks));
	if (chunks == NULL)
		return false;
	t->chunks = chunks;
	chunks[t->nchunks] = (struct chunk){ .records = NULL };
	if (t->nchunks++ == 0) /* index 0 is nobody's */
		chunks[0].fresh = chunks[0].used = 1;
	t->count += CHUNK;
	return true;
}

/* An unused index, or 0 when memory is out. */
static uint32_t slot_take(struct inodes *t)
{
	struct chunk *c;
	uint32_t i;

	while (t->roomy < t->nchunks && t->chunks[t->roomy].used == CHUNK)
		t->roomy++;
	if (t->roomy == t->nchunks && !chunk_add(t))
		return 0;
	c = &t->chunks[t->roomy];
	if (c->records == NULL) {
		c->records = calloc(CHUNK, sizeof(*c->records));
		if (c->records == NULL)
			return 0;
	}
	c->used++;
	i = c->free;
	if (i != 0) {
		c->free = inode_at(t, i)->next;
		return i;
	}
	i = t->roomy * CHUNK + c->fresh++;
	inode_at(t, i)->generation = c->generation;
	return i;
}

static void slot_drop(struct inodes *t, uint32_t i)
{
	struct chunk *c = &t->chunks[i >> CHUNK_BITS];
	struct inode *in = inode_at(t, i);
	uint32_t generation = in->generation + 1;

	free(in->text);
	memset(in, 0, sizeof(*in));
	in->generation = generation;
	in->next = c->free;
	c->free = i;
	c->generation = MAX(c->generation, generation);
	t->roomy = MIN(t->roomy, i >> CHUNK_BITS);
	t->freed++;
	if (--c->used > 0)
		return;
	free(c->records);
	c->records = NULL;
	c->free = c->fresh = 0;
}

static const char *tag_of(const struct inode *in)
{
	return in->text + in->n;
}

/* What a record in use needs of memory: itself, its text, its bucket. */
static size_t cost_of(const struct inode *in)
{
	size_t text = in->n + 2u;

	if (in->type != INODE_DIR) {
		size_t version = strlen(tag_of(in));

		text += version + strlen(tag_of(in) + version + 1);
	}
	text = (text + HEAP_HEAD + 15) / 16 * 16;
	return sizeof(*in) + MAX(text, (size_t)HEAP_MIN) + sizeof(uint32_t);
}

bool inodes_crowded(const struct inodes *t)
{
	return atomic_load_explicit(&t->crowded, memory_order_relaxed);
}

void inode_count_locked(struct inodes *t, const struct inode *in, bool more)
{
	size_t cost = cost_of(in);

	t->bytes = more ? t->bytes + cost : t->bytes - cost;
	stat_add(STAT_inodes, more ? 1 : -1);
	stat_add(STAT_inode_bytes, more ? (int64_t)cost : -(int64_t)cost);
	if (inodes_crowded(t))
		more = t->bytes > t->share / 8 * 7;
	else
		more = t->share > 0 && t->bytes > t->share;
	atomic_store_explicit(&t->crowded, more, memory_order_relaxed);
}

void inode_release_locked(struct inodes *t, uint32_t i)
{
	while (i != INODE_ROOT) {
		struct inode *in = inode_at(t, i);
		uint32_t parent = in->parent;

		if (in->lookups != 0 || in->children != 0 || in->run != NULL)
			return;
		inode_hash_remove(t, i);
		inode_count_locked(t, in, false);
		slot_drop(t, i);
		t->left++;
		inode_at(t, parent)->children--;
		i = parent;
	}
}

/* Put the key of record i together, from its end. */
int inode_key_locked(struct inodes *t, uint32_t i, char *key, size_t *n)
{
	char buf[UFS_KEY_MAX];
	size_t at_byte = sizeof(buf);

	for (; i != INODE_ROOT; i = inode_at(t, i)->parent) {
		struct inode *in = inode_at(t, i);
		size_t slash = in->type == INODE_DIR ? 1 : 0;

		if (at_byte < in->n + slash)
			return -ENAMETOOLONG;
		if (slash)
			buf[--at_byte] = '/';
		at_byte -= in->n;
		if (in->n > 0)
			memcpy(buf + at_byte, in->text, in->n);
	}
	*n = sizeof(buf) - at_byte;
	memcpy(key, buf + at_byte, *n);
	key[*n] = '\0';
	return 0;
}

static uint64_t ino_of(const struct inodes *t, struct str a, struct str b,
		       bool slash)
{
	char buf[2 * UFS_KEY_MAX + 2];
	size_t n = a.n;
	uint64_t ino;

	memcpy(buf, a.p, a.n);
	if (b.n > 0)
		memcpy(buf + n, b.p, b.n);
	n += b.n;
	if (slash)
		buf[n++] = '/';
	ino = XXH3_64bits_withSeed(buf, n, t->ino_seed);
	return ino > 1 ? ino : 2;
}

uint64_t inodes_ino(const struct inodes *t, struct str dirkey,
		    enum inode_type type, struct str comp)
{
	return ino_of(t, dirkey, comp, type == INODE_DIR);
}

int inodes_new(struct str seed, struct inodes **out)
{
	struct inodes *t = calloc(1, sizeof(*t));
	uint32_t root;

	if (t == NULL)
		return -ENOMEM;
	lock_init(&t->lock, RANK_INODES);
	t->ino_seed = XXH3_64bits(seed.p, seed.n);
	t->nbuckets = 1024;
	t->buckets = calloc(t->nbuckets, sizeof(*t->buckets));
	root = t->buckets == NULL ? 0 : slot_take(t);
	if (root == 0) {
		inodes_free(t);
		return -ENOMEM;
	}
	inode_at(t, root)->used = true;
	inode_at(t, root)->type = INODE_DIR;
	inode_at(t, root)->lookups = 1;
	inode_at(t, root)->ino = 1; /* of no key: `/` is one, and a directory */
	stat_inc(STAT_inodes);
	*out = t;
	return 0;
}

void inodes_free(struct inodes *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 1; i < t->count; i++) {
		struct inode *in = used_at(t, i);

		if (in == NULL)
			continue;
		stat_add(STAT_inodes, -1);
		if (i != INODE_ROOT)
			stat_add(STAT_inode_bytes, -(int64_t)cost_of(in));
		free(in->text);
	}
	for (uint32_t i = 0; i < t->nchunks; i++)
		free(t->chunks[i].records);
	free(t->chunks);
	free(t->writing);
	free(t->buckets);
	lock_fini(&t->lock);
	free(t);
}

void inode_attr_of(const struct inode *in, uint32_t i, struct inode_attr *out)
{
	*out = (struct inode_attr){
		.nodeid = nodeid_of(in, i),
		.ino = in->ino,
		.size = in->type == INODE_DIR ? 0 : in->size,
		.mtime = in->type == INODE_DIR ? 0 : in->mtime,
		.type = in->type,
		.gone = in->gone,
		.writing = in->writing,
	};
}

/*
 * Is the record of this version? A HEAD tells mtime in seconds where a LIST
 * of the same store has a fraction, so only the seconds count.
 */
static bool same_version(const struct inode *in, const struct ufs_stat *st)
{
	return in->type == INODE_DIR ||
	       (strcmp(tag_of(in), st->version) == 0 && in->size == st->size &&
		in->mtime / 1000000000 == st->mtime / 1000000000);
}

char *inode_text_new(struct str name, enum inode_type type,
		     const struct ufs_stat *st)
{
	size_t a = 0, b = 0;
	char *text;

	if (type != INODE_DIR) {
		a = strnlen(st->version, sizeof(st->version) - 1);
		b = strnlen(st->storage_class, sizeof(st->storage_class) - 1);
	}
	text = calloc(1, name.n + a + b + 2);
	if (text == NULL)
		return NULL;
	if (name.n > 0)
		memcpy(text, name.p, name.n);
	if (type != INODE_DIR) {
		memcpy(text + name.n, st->version, a);
		memcpy(text + name.n + a + 1, st->storage_class, b);
	}
	return text;
}

int inode_make_locked(struct inodes *t, uint32_t parent, enum inode_type type,
		      struct str comp, const struct ufs_stat *st,
		      uint32_t *index)
{
	AUTO_FREE char *text = inode_text_new(comp, type, st);
	char key[UFS_KEY_MAX + 1];
	struct inode *in;
	uint32_t i;
	size_t n;
	int r;

	if (text == NULL)
		return -ENOMEM;
	r = inode_key_locked(t, parent, key, &n);
	if (r < 0)
		return r;
	if (n + comp.n + (type == INODE_DIR ? 1 : 0) > UFS_KEY_MAX)
		return -ENAMETOOLONG;
	i = slot_take(t);
	if (i == 0)
		return -ENOMEM;
	in = inode_at(t, i);
	in->used = true;
	in->parent = parent;
	in->next = 0;
	in->type = type;
	in->n = (uint16_t)comp.n;
	in->text = take_ptr(text);
	if (type != INODE_DIR) {
		in->size = st->size;
		in->mtime = st->mtime;
		in->st_flags = st->flags;
	}
	in->ino = inodes_ino(t, (struct str){ key, n }, type, comp);
	inode_at(t, parent)->children++;
	hash_grow(t);
	inode_hash_insert(t, i);
	inode_count_locked(t, in, true);
	*index = i;
	return 0;
}

int inodes_lookup(struct inodes *t, uint64_t parent, enum inode_type type,
		  struct str comp, const struct ufs_stat *st,
		  struct inode_attr *out)
{
	struct inode *dir;
	uint32_t d, i;
	int r = 0;

	if (comp.n > UFS_KEY_MAX)
		return -ENAMETOOLONG;
	lock_take(&t->lock);
	dir = inode_find_locked(t, parent, &d);
	if (dir == NULL || dir->type != INODE_DIR) {
		lock_drop(&t->lock);
		return -ESTALE;
	}
	i = inode_hash_find(t, d, type, comp);
	if (i != 0 && !inode_at(t, i)->writing &&
	    !same_version(inode_at(t, i), st)) {
		inode_hash_remove(t, i);
		i = 0;
	}
	if (i == 0)
		r = inode_make_locked(t, d, type, comp, st, &i);
	if (r == 0) {
		inode_at(t, i)->lookups++;
		inode_at(t, i)->gone = false;
		inode_at(t, i)->recent = true;
		inode_attr_of(inode_at(t, i), i, out);
	}
	lock_drop(&t->lock);
	return r;
}

void inodes_forget(struct inodes *t, uint64_t nodeid, uint64_t n)
{
	struct inode *in;
	uint32_t i;

	lock_take(&t->lock);
	in = inode_find_locked(t, nodeid, &i);
	if (in != NULL && i != INODE_ROOT) {
		in->lookups -= MIN(in->lookups, n);
		inode_release_locked(t, i);
	}
	lock_drop(&t->lock);
}

uint64_t inodes_left(struct inodes *t)
{
	uint64_t n;

	lock_take(&t->lock);
	n = t->left;
	lock_drop(&t->lock);
	return n;
}

void inodes_set_share(struct inodes *t, size_t bytes)
{
	t->share = bytes;
}

/* Move the hand by up to so many records. How many idle ones it met. */
static size_t idle_locked(struct inodes *t, uint64_t *nodeids, size_t max,
			  uint32_t steps) TSA(requires_capability(t->lock))
{
	size_t n = 0;

	for (; steps > 0 && n < max; steps--) {
		uint32_t i = t->hand < t->count ? t->hand : 0;
		struct inode *in = used_at(t, i);

		t->hand = i + 1;
		if (in == NULL || i == INODE_ROOT || in->run != NULL ||
		    in->children != 0 ||
		    (in->type == INODE_DIR && in->shown_opens > 0))
			continue;
		if (in->recent)
			in->recent = false;
		else
			nodeids[n++] = nodeid_of(in, i);
	}
	return n;
}

/* A chunk's worth at a time, so that nobody waits for long. */
size_t inodes_idle(struct inodes *t, uint64_t *nodeids, size_t max)
{
	uint32_t chunks, n = 0;

	lock_take(&t->lock);
	chunks = t->nchunks;
	lock_drop(&t->lock);
	for (; chunks > 0 && n < max; chunks--) {
		lock_take(&t->lock);
		n += (uint32_t)idle_locked(t, nodeids + n, max - n, CHUNK);
		lock_drop(&t->lock);
	}
	return n;
}

bool inodes_many_freed(struct inodes *t)
{
	bool many;

	lock_take(&t->lock);
	many = t->freed >= FREED_MANY;
	if (many)
		t->freed = 0;
	lock_drop(&t->lock);
	return many;
}

int inodes_get(struct inodes *t, uint64_t nodeid, struct inode_attr *out,
	       struct ufs_stat *st)
{
	struct inode *in;
	uint32_t i;

	lock_take(&t->lock);
	in = inode_find_locked(t, nodeid, &i);
	if (in != NULL)
		inode_attr_of(in, i, out);
	if (in != NULL && st != NULL) {
		memset(st, 0, sizeof(*st));
		if (in->type != INODE_DIR) {
			const char *tag = tag_of(in);
			size_t n = strlen(tag);

			st->size = in->size;
			st->mtime = in->mtime;
			st->flags = in->st_flags;
			memcpy(st->version, tag, n + 1);
			memcpy(st->storage_class, tag + n + 1,
			       strlen(tag + n + 1) + 1);
		}
	}
	lock_drop(&t->lock);
	return in != NULL ? 0 : -ESTALE;
}

int inodes_key(struct inodes *t, uint64_t nodeid, char key[UFS_KEY_MAX + 1],
	       size_t *n)
{
	int r = -ESTALE;
	uint32_t i;

	lock_take(&t->lock);
	if (inode_find_locked(t, nodeid, &i) != NULL)
		r = inode_key_locked(t, i, key, n);
	lock_drop(&t->lock);
	return r;
}

void inodes_set_gone(struct inodes *t, uint64_t nodeid)
{
	struct inode *in;
	uint32_t i;

	lock_take(&t->lock);
	in = inode_find_locked(t, nodeid, &i);
	if (in != NULL)
		in->gone = true;
	lock_drop(&t->lock);
}

void inodes_leave(struct inodes *t, uint64_t nodeid)
{
	struct inode *in;
	uint32_t i;

	lock_take(&t->lock);
	in = inode_find_locked(t, nodeid, &i);
	if (in != NULL && i != INODE_ROOT)
		inode_hash_remove(t, i);
	lock_drop(&t->lock);
}

static struct inode *dir_locked(struct inodes *t, uint64_t nodeid)
    TSA(requires_capability(t->lock))
{
	uint32_t i;
	struct inode *in = inode_find_locked(t, nodeid, &i);

	return in != NULL && in->type == INODE_DIR ? in : NULL;
}

void inodes_dir_open(struct inodes *t, uint64_t nodeid, int64_t taken,
		     bool *cache, bool *keep)
{
	struct inode *in;

	*cache = false;
	*keep = false;
	lock_take(&t->lock);
	in = dir_locked(t, nodeid);
	if (in != NULL) {
		*keep = in->shown_any && in->shown == taken;
		*cache = *keep || in->shown_opens == 0;
		if (*cache) {
			in->shown_any = true;
			in->shown = taken;
			in->shown_opens++;
		} else {
			*keep = true; /* it is that of the other handles */
		}
	}
	lock_drop(&t->lock);
}

void inodes_dir_close(struct inodes *t, uint64_t nodeid)
{
	struct inode *in;

	lock_take(&t->lock);
	in = dir_locked(t, nodeid);
	if (in != NULL && in->shown_opens > 0)
		in->shown_opens--;
	lock_drop(&t->lock);
}

void inodes_dir_drop(struct inodes *t, uint64_t nodeid)
{
	struct inode *in;

	lock_take(&t->lock);
	in = dir_locked(t, nodeid);
	if (in != NULL)
		in->shown_any = false;
	lock_drop(&t->lock);
}

void *inodes_attach(struct inodes *t, uint64_t nodeid, void *fresh)
{
	struct inode *in;
	void *run = NULL;
	uint32_t i;

	lock_take(&t->lock);
	in = inode_find_locked(t, nodeid, &i);
	if (in != NULL) {
		if (in->run == NULL)
			in->run = fresh;
		run = in->run;
		if (run != NULL)
			in->run_refs++;
		in->recent = true;
	}
	lock_drop(&t->lock);
	return run;
}

void *inodes_detach(struct inodes *t, uint64_t nodeid)
{
	struct inode *in;
	void *run = NULL;
	uint32_t i;

	lock_take(&t->lock);
	in = inode_find_locked(t, nodeid, &i);
	if (in != NULL && in->run != NULL && --in->run_refs == 0) {
		run = in->run;
		in->run = NULL;
		inode_end_writing_locked(t, i);
		inode_release_locked(t, i);
	}
	lock_drop(&t->lock);
	return run;
}

/* Is key what `below` names, or under it? `below` has no slash at its end. */
static bool is_below(struct str key, struct str below)
{
	return below.n == 0 || (str_starts(key, below) &&
				(key.n == below.n || key.p[below.n] == '/'));
}

void inode_place_of(struct inodes *t, uint32_t i, struct inode_place *out)
{
	const struct inode *in = inode_at(t, i);

	out->nodeid = nodeid_of(in, i);
	out->parent = nodeid_of(inode_at(t, in->parent), in->parent);
	out->type = in->type;
	out->n = in->n;
	if (in->n > 0)
		memcpy(out->comp, in->text, in->n);
	out->comp[in->n] = '\0';
}

int inodes_place(struct inodes *t, uint64_t nodeid, struct inode_place *out)
{
	struct inode *in;
	uint32_t i;

	lock_take(&t->lock);
	in = inode_find_locked(t, nodeid, &i);
	if (in != NULL && i != INODE_ROOT)
		inode_place_of(t, i, out);
	lock_drop(&t->lock);
	return in != NULL && i != INODE_ROOT ? 0 : -ESTALE;
}

/* Look at one chunk's worth of records, so that nobody waits for long. */
static bool next_below_locked(struct inodes *t, struct str key,
			      uint64_t *cursor, struct inode_place *out)
    TSA(requires_capability(t->lock))
{
	uint64_t end = MIN(*cursor + CHUNK, t->count);
	char buf[UFS_KEY_MAX + 1];
	size_t n;

	while (*cursor < end) {
		uint32_t i = (uint32_t)(*cursor)++;
		struct inode *in = used_at(t, i);

		if (in == NULL || inode_key_locked(t, i, buf, &n) < 0 ||
		    !is_below((struct str){ buf, n }, key))
			continue;
		inode_place_of(t, i, out);
		return true;
	}
	return false;
}

void inodes_renumber(struct inodes *t, struct str key)
{
	struct inode_place at;
	uint64_t cursor = 0;
	uint32_t i;

	while (inodes_next_below(t, key, &cursor, &at)) {
		char dir[UFS_KEY_MAX + 1];
		struct inode *in;
		size_t n;

		lock_take(&t->lock);
		in = inode_find_locked(t, at.nodeid, &i);
		if (in != NULL && inode_key_locked(t, in->parent, dir, &n) == 0)
			in->ino = inodes_ino(t, (struct str){ dir, n },
					     in->type, name_of(in));
		lock_drop(&t->lock);
	}
}

bool inodes_next_below(struct inodes *t, struct str key, uint64_t *cursor,
		       struct inode_place *out)
{
	bool found, more;

	if (key.n > 0 && key.p[key.n - 1] == '/')
		key.n--;
	*cursor = MAX(*cursor, INODE_ROOT + 1);
	do {
		lock_take(&t->lock);
		found = next_below_locked(t, key, cursor, out);
		more = *cursor < t->count;
		lock_drop(&t->lock);
	} while (!found && more);
	return found;
}

int inodes_find(struct inodes *t, uint64_t parent, enum inode_type type,
		struct str comp, uint64_t *nodeid)
{
	uint32_t d, i = 0;

	lock_take(&t->lock);
	if (inode_find_locked(t, parent, &d) != NULL)
		i = inode_hash_find(t, d, type, comp);
	if (i != 0)
		*nodeid = nodeid_of(inode_at(t, i), i);
	lock_drop(&t->lock);
	return i != 0 ? 0 : -ENOENT;
}
