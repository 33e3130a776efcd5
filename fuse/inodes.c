/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inodes.c - the table of inode records
 *
 * Records live in chunks that never move; free ones are chained through
 * `next`. The hash maps (parent, type, component) to the current record of
 * that name. One lock guards it all: every section under it is short, and
 * the longest walk is as deep as a key has slashes.
 */
#include "fuse/inodes.h"

#include <errno.h>

#include <xxhash.h>

#include "base/lock.h"
#include "base/stats.h"

#define CHUNK_BITS 10
#define CHUNK (UINT32_C(1) << CHUNK_BITS)
#define INDEX_MAX UINT32_MAX

struct inode {
	uint32_t generation;
	uint32_t parent; /* index */
	uint32_t next;   /* in the hash chain or the free list; 0 ends */
	uint32_t children;
	uint64_t lookups;
	uint64_t size;
	int64_t mtime;
	uint64_t ino;
	int64_t shown; /* when the listing was taken that the kernel keeps */
	uint32_t shown_opens;
	bool shown_any;
	char *name; /* owned; n bytes, no NUL */
	char *tag;  /* owned; version NUL storage class NUL; NULL: a dir */
	void *run;  /* borrowed from who attached it */
	uint32_t run_refs;
	uint16_t n;
	uint8_t type;
	bool used;
	bool hashed;
	bool gone;
	unsigned st_flags;
};

struct inodes {
	struct lock lock;
	uint64_t ino_seed; /* set once */

	/* under lock */
	struct inode **chunks;
	uint32_t nchunks;
	uint32_t count; /* indexes ever used, 0 included */
	uint32_t free;  /* first of the free list; 0: none */
	uint32_t *buckets;
	uint32_t nbuckets; /* a power of two */
	uint32_t nhashed;
};

static struct inode *at(struct inodes *t, uint32_t i)
{
	return &t->chunks[i >> CHUNK_BITS][i & (CHUNK - 1)];
}

static uint64_t nodeid_of(const struct inode *in, uint32_t i)
{
	return (uint64_t)in->generation << 32 | i;
}

static struct inode *find_locked(struct inodes *t, uint64_t nodeid,
				 uint32_t *index)
    TSA(requires_capability(t->lock))
{
	uint32_t i = (uint32_t)nodeid;
	struct inode *in;

	if (i == 0 || i >= t->count)
		return NULL;
	in = at(t, i);
	if (!in->used || in->generation != nodeid >> 32)
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
	return (struct str){ in->name, in->n };
}

static void hash_remove(struct inodes *t, uint32_t i)
{
	struct inode *in = at(t, i);
	uint32_t *link;

	if (!in->hashed)
		return;
	link = &t->buckets[bucket_of(t, in->parent, in->type, name_of(in))];
	while (*link != i)
		link = &at(t, *link)->next;
	*link = in->next;
	in->next = 0;
	in->hashed = false;
	t->nhashed--;
}

static void hash_insert(struct inodes *t, uint32_t i)
{
	struct inode *in = at(t, i);
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
		if (at(t, i)->used && at(t, i)->hashed)
			hash_insert(t, i);
}

static uint32_t hash_find(struct inodes *t, uint32_t parent,
			  enum inode_type type, struct str comp)
{
	uint32_t i = t->buckets[bucket_of(t, parent, type, comp)];

	while (i != 0) {
		struct inode *in = at(t, i);

		if (in->parent == parent && in->type == type &&
		    str_eq(name_of(in), comp))
			return i;
		i = in->next;
	}
	return 0;
}

/* An unused index, or 0 when memory is out. */
static uint32_t slot_take(struct inodes *t)
{
	uint32_t i = t->free;

	if (i != 0) {
		t->free = at(t, i)->next;
		return i;
	}
	if (t->count == INDEX_MAX)
		return 0;
	if (t->count >> CHUNK_BITS == t->nchunks) {
		struct inode **chunks;
		struct inode *chunk;

		chunks = realloc(t->chunks, (t->nchunks + 1) * sizeof(*chunks));
		if (chunks == NULL)
			return 0;
		t->chunks = chunks;
		chunk = calloc(CHUNK, sizeof(*chunk));
		if (chunk == NULL)
			return 0;
		t->chunks[t->nchunks++] = chunk;
	}
	return t->count++;
}

static void slot_drop(struct inodes *t, uint32_t i)
{
	struct inode *in = at(t, i);
	uint32_t generation = in->generation + 1;

	free(in->name);
	free(in->tag);
	memset(in, 0, sizeof(*in));
	in->generation = generation;
	in->next = t->free;
	t->free = i;
}

/* Free a record that nothing holds, and its parents likewise. */
static void release_locked(struct inodes *t, uint32_t i)
    TSA(requires_capability(t->lock))
{
	while (i != INODE_ROOT) {
		struct inode *in = at(t, i);
		uint32_t parent = in->parent;

		if (in->lookups != 0 || in->children != 0 || in->run != NULL)
			return;
		hash_remove(t, i);
		slot_drop(t, i);
		stat_add(STAT_inodes, -1);
		at(t, parent)->children--;
		i = parent;
	}
}

/* Put the key of record i together, from its end. */
static int key_locked(struct inodes *t, uint32_t i, char *key, size_t *n)
    TSA(requires_capability(t->lock))
{
	char buf[UFS_KEY_MAX];
	size_t at_byte = sizeof(buf);

	for (; i != INODE_ROOT; i = at(t, i)->parent) {
		struct inode *in = at(t, i);
		size_t slash = in->type == INODE_DIR ? 1 : 0;

		if (at_byte < in->n + slash)
			return -ENAMETOOLONG;
		if (slash)
			buf[--at_byte] = '/';
		at_byte -= in->n;
		if (in->n > 0)
			memcpy(buf + at_byte, in->name, in->n);
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
	t->count = 1;
	root = t->buckets == NULL ? 0 : slot_take(t);
	if (root == 0) {
		inodes_free(t);
		return -ENOMEM;
	}
	at(t, root)->used = true;
	at(t, root)->type = INODE_DIR;
	at(t, root)->lookups = 1;
	at(t, root)->ino = 1; /* of no key: `/` is one, and a directory */
	stat_inc(STAT_inodes);
	*out = t;
	return 0;
}

void inodes_free(struct inodes *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 1; i < t->count && t->nchunks > 0; i++) {
		struct inode *in = at(t, i);

		if (!in->used)
			continue;
		free(in->name);
		free(in->tag);
		stat_add(STAT_inodes, -1);
	}
	for (uint32_t i = 0; i < t->nchunks; i++)
		free(t->chunks[i]);
	free(t->chunks);
	free(t->buckets);
	lock_fini(&t->lock);
	free(t);
}

static void attr_of(const struct inode *in, uint32_t i, struct inode_attr *out)
{
	*out = (struct inode_attr){
		.nodeid = nodeid_of(in, i),
		.ino = in->ino,
		.size = in->size,
		.mtime = in->mtime,
		.type = in->type,
		.gone = in->gone,
	};
}

/*
 * Is the record of this version? A HEAD tells mtime in seconds where a LIST
 * of the same store has a fraction, so only the seconds count.
 */
static bool same_version(const struct inode *in, const struct ufs_stat *st)
{
	return in->type == INODE_DIR ||
	       (strcmp(in->tag, st->version) == 0 && in->size == st->size &&
		in->mtime / 1000000000 == st->mtime / 1000000000);
}

/* Version and storage class in one piece of heap. */
static char *tag_new(const struct ufs_stat *st)
{
	size_t a = strnlen(st->version, sizeof(st->version) - 1);
	size_t b = strnlen(st->storage_class, sizeof(st->storage_class) - 1);
	char *tag = calloc(1, a + b + 2);

	if (tag != NULL) {
		memcpy(tag, st->version, a);
		memcpy(tag + a + 1, st->storage_class, b);
	}
	return tag;
}

static int make_locked(struct inodes *t, uint32_t parent, enum inode_type type,
		       struct str comp, const struct ufs_stat *st,
		       uint32_t *index) TSA(requires_capability(t->lock))
{
	AUTO_FREE char *name = malloc(comp.n > 0 ? comp.n : 1);
	AUTO_FREE char *tag = type == INODE_DIR ? NULL : tag_new(st);
	char key[UFS_KEY_MAX + 1];
	struct inode *in;
	uint32_t i;
	size_t n;
	int r;

	if (name == NULL || (tag == NULL && type != INODE_DIR))
		return -ENOMEM;
	r = key_locked(t, parent, key, &n);
	if (r < 0)
		return r;
	if (n + comp.n + (type == INODE_DIR ? 1 : 0) > UFS_KEY_MAX)
		return -ENAMETOOLONG;
	i = slot_take(t);
	if (i == 0)
		return -ENOMEM;
	in = at(t, i);
	in->used = true;
	in->parent = parent;
	in->next = 0;
	in->type = type;
	in->n = (uint16_t)comp.n;
	if (comp.n > 0)
		memcpy(name, comp.p, comp.n);
	in->name = take_ptr(name);
	in->tag = take_ptr(tag);
	if (type != INODE_DIR) {
		in->size = st->size;
		in->mtime = st->mtime;
		in->st_flags = st->flags;
	}
	in->ino = inodes_ino(t, (struct str){ key, n }, type, comp);
	at(t, parent)->children++;
	hash_grow(t);
	hash_insert(t, i);
	stat_inc(STAT_inodes);
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
	dir = find_locked(t, parent, &d);
	if (dir == NULL || dir->type != INODE_DIR) {
		lock_drop(&t->lock);
		return -ESTALE;
	}
	i = hash_find(t, d, type, comp);
	if (i != 0 && !same_version(at(t, i), st)) {
		hash_remove(t, i);
		i = 0;
	}
	if (i == 0)
		r = make_locked(t, d, type, comp, st, &i);
	if (r == 0) {
		at(t, i)->lookups++;
		at(t, i)->gone = false;
		attr_of(at(t, i), i, out);
	}
	lock_drop(&t->lock);
	return r;
}

void inodes_forget(struct inodes *t, uint64_t nodeid, uint64_t n)
{
	struct inode *in;
	uint32_t i;

	lock_take(&t->lock);
	in = find_locked(t, nodeid, &i);
	if (in != NULL && i != INODE_ROOT) {
		in->lookups -= MIN(in->lookups, n);
		release_locked(t, i);
	}
	lock_drop(&t->lock);
}

int inodes_get(struct inodes *t, uint64_t nodeid, struct inode_attr *out,
	       struct ufs_stat *st)
{
	struct inode *in;
	uint32_t i;

	lock_take(&t->lock);
	in = find_locked(t, nodeid, &i);
	if (in != NULL)
		attr_of(in, i, out);
	if (in != NULL && st != NULL) {
		memset(st, 0, sizeof(*st));
		if (in->tag != NULL) {
			size_t n = strlen(in->tag);

			st->size = in->size;
			st->mtime = in->mtime;
			st->flags = in->st_flags;
			memcpy(st->version, in->tag, n + 1);
			memcpy(st->storage_class, in->tag + n + 1,
			       strlen(in->tag + n + 1) + 1);
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
	if (find_locked(t, nodeid, &i) != NULL)
		r = key_locked(t, i, key, n);
	lock_drop(&t->lock);
	return r;
}

void inodes_set_gone(struct inodes *t, uint64_t nodeid)
{
	struct inode *in;
	uint32_t i;

	lock_take(&t->lock);
	in = find_locked(t, nodeid, &i);
	if (in != NULL)
		in->gone = true;
	lock_drop(&t->lock);
}

void inodes_dir_open(struct inodes *t, uint64_t nodeid, int64_t taken,
		     bool *cache, bool *keep)
{
	struct inode *in;
	uint32_t i;

	*cache = false;
	*keep = false;
	lock_take(&t->lock);
	in = find_locked(t, nodeid, &i);
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
	uint32_t i;

	lock_take(&t->lock);
	in = find_locked(t, nodeid, &i);
	if (in != NULL && in->shown_opens > 0)
		in->shown_opens--;
	lock_drop(&t->lock);
}

void inodes_dir_drop(struct inodes *t, uint64_t nodeid)
{
	struct inode *in;
	uint32_t i;

	lock_take(&t->lock);
	in = find_locked(t, nodeid, &i);
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
	in = find_locked(t, nodeid, &i);
	if (in != NULL) {
		if (in->run == NULL)
			in->run = fresh;
		run = in->run;
		if (run != NULL)
			in->run_refs++;
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
	in = find_locked(t, nodeid, &i);
	if (in != NULL && in->run != NULL && --in->run_refs == 0) {
		run = in->run;
		in->run = NULL;
		release_locked(t, i);
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
		struct inode *in = at(t, i);

		if (!in->used || key_locked(t, i, buf, &n) < 0 ||
		    !is_below((struct str){ buf, n }, key))
			continue;
		out->nodeid = nodeid_of(in, i);
		out->parent = nodeid_of(at(t, in->parent), in->parent);
		out->type = in->type;
		out->n = in->n;
		if (in->n > 0)
			memcpy(out->comp, in->name, in->n);
		out->comp[in->n] = '\0';
		return true;
	}
	return false;
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
	if (find_locked(t, parent, &d) != NULL)
		i = hash_find(t, d, type, comp);
	if (i != 0)
		*nodeid = nodeid_of(at(t, i), i);
	lock_drop(&t->lock);
	return i != 0 ? 0 : -ENOENT;
}
