/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.c - the table of objects, and where their bytes lie on the SSD
 *
 * An object stays in the table after its last user has gone, with its files
 * open and what was verified remembered, so that the next open costs nothing;
 * the oldest idle ones go when there are too many, or when their file was
 * evicted (an open descriptor would keep the space). One in use only closes
 * the evicted file, unless a user was handed it.
 */
#include "cache/object.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/stats.h"
#include "cache/cache_impl.h"

void object_ref(struct object *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
}

bool object_ref_live(struct object *o)
{
	unsigned n = atomic_load_explicit(&o->refs, memory_order_relaxed);

	while (n != 0)
		if (atomic_compare_exchange_weak(&o->refs, &n, n + 1))
			return true;
	return false;
}

/* Give back an object's extent (or NULL) that a front may have been given. */
static void close_file(struct cache *c, struct extent *e)
{
	int id =
	    e != NULL ? atomic_exchange(&extent_file(e)->backing_id, 0) : 0;

	if (id != 0) {
		lock_take(&c->closed_lock);
		if (c->file_closed != NULL)
			c->file_closed(c->file_closed_arg, id);
		lock_drop(&c->closed_lock);
	}
	extent_close(e);
}

static void object_destroy(struct object *o)
{
	fill_drop_kept(o);
	for (size_t i = 0; i < o->extents; i++)
		close_file(o->cache, o->slots[i].extent);
	for (size_t i = 0; i < o->ndead; i++)
		close_file(o->cache, o->dead[i]);
	free(o->dead);
	lock_fini(&o->lock);
	free(o->key);
	free(o);
}

void object_unref(struct object *o)
{
	if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
		object_destroy(o);
}

static void lru_remove_locked(struct cache *c, struct object *o)
{
	if (o->lru_prev != NULL)
		o->lru_prev->lru_next = o->lru_next;
	else
		c->lru_first = o->lru_next;
	if (o->lru_next != NULL)
		o->lru_next->lru_prev = o->lru_prev;
	else
		c->lru_last = o->lru_prev;
	o->lru_prev = o->lru_next = NULL;
	o->idle = false;
	c->idle--;
}

static void lru_append_locked(struct cache *c, struct object *o)
{
	o->lru_prev = c->lru_last;
	o->lru_next = NULL;
	if (c->lru_last != NULL)
		c->lru_last->lru_next = o;
	else
		c->lru_first = o;
	c->lru_last = o;
	o->idle = true;
	c->idle++;
}

static uint64_t object_hash(struct str key, const char *version)
{
	return XXH3_64bits_withSeed(key.p, key.n,
				    XXH3_64bits(version, strlen(version)));
}

static struct object *object_new(struct cache *c, struct str key,
				 const struct ufs_stat *st)
{
	uint64_t extent_bytes = st->size;
	size_t extents = 1;
	struct object *o;

	if (c->ndisks > 0 && st->size > disk_extent_limit(c->disks[0]) &&
	    st->size > SEGMENT_BYTES) {
		extent_bytes = SEGMENT_BYTES;
		extents = (st->size + SEGMENT_BYTES - 1) / SEGMENT_BYTES;
	}
	o = calloc(1, sizeof(*o) + extents * sizeof(o->slots[0]));
	if (o == NULL)
		return NULL;
	o->key = str_dup(key);
	if (o->key == NULL) {
		free(o);
		return NULL;
	}
	o->key_len = key.n;
	o->cache = c;
	o->st = *st;
	o->extent_bytes = extent_bytes;
	o->extents = extents;
	o->refs = 1;
	lock_init(&o->lock, RANK_OBJECT);
	return o;
}

int object_get(struct cache *c, struct str key, const struct ufs_stat *st,
	       struct object **out)
{
	uint64_t hash = object_hash(key, st->version);
	struct object **bucket = &c->buckets[hash & (OBJECT_BUCKETS - 1)];
	struct object *o;
	int err = 0;

	lock_take(&c->table_lock);
	for (o = *bucket; o != NULL; o = o->chain)
		if (o->hash == hash && o->st.size == st->size &&
		    str_eq((struct str){ o->key, o->key_len }, key) &&
		    strcmp(o->st.version, st->version) == 0)
			break;
	if (o == NULL) {
		o = object_new(c, key, st);
		if (o != NULL) {
			o->hash = hash;
			o->chain = *bucket;
			*bucket = o;
			c->objects++;
		}
	} else if (o->idle) {
		lru_remove_locked(c, o);
	}
	if (o != NULL) {
		o->users++;
		object_ref(o);
		*out = o;
	} else {
		err = -ENOMEM;
	}
	lock_drop(&c->table_lock);
	return err;
}

/* Out of the table, which held a reference that the caller now drops. */
static void object_remove_locked(struct cache *c, struct object *o)
{
	struct object **p = &c->buckets[o->hash & (OBJECT_BUCKETS - 1)];

	while (*p != o)
		p = &(*p)->chain;
	*p = o->chain;
	c->objects--;
	if (o->idle)
		lru_remove_locked(c, o);
}

/*
 * A user gets the file. While it is open, unlinking a large one would free
 * nothing and lose what is used; small ones are not worth the pin.
 */
static void hand_out_locked(struct object *o) TSA(requires_capability(o->lock))
{
	if (!o->handed && o->st.size > EXTENT_SMALL_MAX)
		extent_pin(o->slots[0].extent, &o->pin);
	o->handed = true;
}

/* Nobody uses what was handed out any more. */
static void take_back_locked(struct object *o) TSA(requires_capability(o->lock))
{
	disk_unpin(&o->pin);
	o->handed = false;
}

/* Also of those that were replaced: how many, for the caller to close. */
static size_t take_back(struct object *o, struct extent ***dead)
{
	size_t n;

	lock_take(&o->lock);
	take_back_locked(o);
	*dead = take_ptr(o->dead);
	n = o->ndead;
	o->ndead = 0;
	lock_drop(&o->lock);
	return n;
}

void object_put(struct object *o)
{
	struct extent **dead = NULL;
	struct cache *c;
	size_t ndead = 0;
	bool last, trim;

	if (o == NULL)
		return;
	c = o->cache;
	lock_take(&c->table_lock);
	last = --o->users == 0;
	if (last) {
		lru_append_locked(c, o);
		ndead = take_back(o, &dead);
	}
	trim = c->idle > c->idle_max;
	lock_drop(&c->table_lock);
	for (size_t i = 0; i < ndead; i++)
		close_file(c, dead[i]);
	free(dead);
	if (last) {
		hot_closed(o);
		fill_cancel_background(o);
	}
	object_unref(o);
	if (trim)
		object_trim_idle(c, false);
}

static bool slot_evicted(const struct extent_slot *s)
{
	return s->state == SLOT_OPEN && extent_gone(s->extent);
}

static bool object_evicted(struct object *o)
{
	bool gone = false;

	lock_take(&o->lock);
	for (size_t i = 0; i < o->extents && !gone; i++)
		gone = slot_evicted(&o->slots[i]);
	lock_drop(&o->lock);
	return gone;
}

/* Who looks for it now is to find what it was given. */
static bool object_owes(struct object *o)
{
	bool owes;

	lock_take(&o->lock);
	owes = given_waits_locked(o);
	lock_drop(&o->lock);
	return owes;
}

void object_trim_idle(struct cache *c, bool evicted)
{
	struct object *o, *next, *drop = NULL;
	size_t n = 0;

	lock_take(&c->table_lock);
	for (o = c->lru_first; o != NULL; o = next) {
		next = o->lru_next;
		if (!evicted && (c->idle <= c->idle_max || n++ == 256))
			break;
		if (evicted ? !object_evicted(o) : object_owes(o))
			continue;
		object_remove_locked(c, o);
		o->chain = drop;
		drop = o;
	}
	lock_drop(&c->table_lock);
	for (o = drop; o != NULL; o = next) {
		next = o->chain;
		object_unref(o);
	}
}

size_t object_in_use(struct cache *c, struct object **out, size_t max,
		     size_t *bucket)
{
	size_t n = 0;

	lock_take(&c->table_lock);
	for (; *bucket < OBJECT_BUCKETS; ++*bucket) {
		size_t before = n;
		struct object *o = c->buckets[*bucket];

		for (; o != NULL && n < max; o = o->chain) {
			if (o->users == 0)
				continue;
			object_ref(o);
			out[n++] = o;
		}
		if (o == NULL)
			continue;
		/* The bucket did not fit: the next call begins with it, or
		 * leaves its tail out when it alone is too long. */
		if (before > 0)
			while (n > before)
				object_unref(out[--n]);
		else
			++*bucket;
		break;
	}
	lock_drop(&c->table_lock);
	return n;
}

uint64_t object_size(const struct object *o)
{
	return o->st.size;
}

uint64_t object_extent_pages(const struct object *o)
{
	return (o->extent_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

size_t present_run(const bool *present, size_t i, size_t n)
{
	size_t run = 1;

	while (i + run < n && present[i + run] == present[i])
		run++;
	return run;
}

uint64_t object_pages(const struct object *o)
{
	return (o->st.size + PAGE_BYTES - 1) / PAGE_BYTES;
}

/*
 * The n-th disk for an id: its home, then the others, in an order that spreads
 * what one of them does not take over all.
 */
static struct disk *disk_choice(const struct cache *c, const struct disk_id *id,
				size_t n)
{
	size_t home = id->b[0] % c->ndisks, others = c->ndisks - 1;

	if (n == 0)
		return c->disks[home];
	return c->disks[(home + 1 + (id->b[1] + n - 1) % others) % c->ndisks];
}

static unsigned turns_of_all(const struct cache *c)
{
	unsigned sum = 0;

	for (size_t i = 0; i < c->ndisks; i++)
		sum += disk_turns(c->disks[i]);
	return sum;
}

struct disk *object_extent_id(const struct object *o, size_t i,
			      struct disk_id *id, uint64_t *length)
{
	struct cache *c = o->cache;
	struct disk *d;
	uint64_t first = i * o->extent_bytes;
	char key[2 * UFS_KEY_MAX + 2], version[UFS_VERSION_MAX + 24];
	size_t prefix = strlen(c->ufs->prefix);

	if (c->ndisks == 0 || prefix + o->key_len > sizeof(key))
		return NULL;
	memcpy(key, c->ufs->prefix, prefix);
	memcpy(key + prefix, o->key, o->key_len);
	/* A weak version is this mount's own. */
	snprintf(version, sizeof(version), "%s%c%016jx", o->st.version,
		 (o->st.flags & UFS_WEAK) != 0 ? '~' : '\0',
		 (uintmax_t)c->nonce);
	*length = MIN(o->extent_bytes, o->st.size - first);
	*id = disk_extent_id(str_of(c->ufs->store),
			     (struct str){ key, prefix + o->key_len },
			     str_of(version), first, *length);
	d = atomic_load(&o->slots[i].disk);
	if (d != NULL && disk_state(d) == DISK_OK)
		return d;
	for (size_t n = 0; n < c->ndisks; n++) {
		d = disk_choice(c, id, n);
		if (disk_state(d) == DISK_OK)
			return d;
	}
	return disk_choice(c, id, 0);
}

/*
 * Put e or NULL into a slot. Returns what is to be closed then: what was there,
 * unless it was handed out; then it stays until the last user has gone.
 */
static struct extent *slot_set_locked(struct object *o, size_t i,
				      struct extent *e)
    TSA(requires_capability(o->lock))
{
	struct extent_slot *s = &o->slots[i];
	struct extent *old = s->extent;

	if (o->handed) {
		struct extent **dead =
		    realloc(o->dead, (o->ndead + 1) * sizeof(*dead));

		if (dead == NULL)
			return e; /* the old one stays */
		take_back_locked(o);
		o->dead = dead;
		dead[o->ndead++] = take_ptr(old);
	}
	s->extent = e;
	s->state = e != NULL ? SLOT_OPEN : SLOT_ABSENT;
	s->turns = turns_of_all(o->cache);
	atomic_store(&s->disk, e != NULL ? extent_disk(e) : NULL);
	return old;
}

void object_extent_set(struct object *o, size_t i, struct extent *e)
{
	lock_take(&o->lock);
	e = slot_set_locked(o, i, e);
	lock_drop(&o->lock);
	close_file(o->cache, e);
}

void object_close_evicted(struct object *o)
{
	for (size_t i = 0; i < o->extents; i++) {
		struct extent *gone = NULL;

		lock_take(&o->lock);
		if (!o->handed && slot_evicted(&o->slots[i])) {
			gone = slot_set_locked(o, i, NULL);
			o->complete = false;
		}
		lock_drop(&o->lock);
		close_file(o->cache, gone);
	}
}

/* A disk in use has it. */
static bool slot_usable(const struct extent_slot *s)
{
	return s->extent != NULL &&
	       disk_state(extent_disk(s->extent)) != DISK_OFF;
}

/* Is it as it was when all disks were last asked? */
static bool slot_known_locked(const struct object *o, size_t i)
    TSA(requires_capability(o->lock))
{
	const struct extent_slot *s = &o->slots[i];

	return s->state != SLOT_UNKNOWN &&
	       (slot_usable(s) || s->turns == turns_of_all(o->cache));
}

bool object_absent_locked(const struct object *o, size_t i)
{
	return slot_known_locked(o, i) && !slot_usable(&o->slots[i]);
}

bool object_open_locked(const struct object *o, size_t i)
{
	return slot_usable(&o->slots[i]);
}

/* Ask all disks in use, the likely one first. */
static struct extent *look_for(const struct object *o, size_t i)
{
	struct cache *c = o->cache;
	struct disk_id id;
	uint64_t length;

	if (object_extent_id(o, i, &id, &length) == NULL)
		return NULL;
	for (size_t n = 0; n < c->ndisks; n++) {
		struct disk *d = disk_choice(c, &id, n);
		struct extent *e;

		if (disk_state(d) == DISK_OFF ||
		    extent_open(d, &id, length, &e) < 0)
			continue;
		disk_touch(d, extent_fd(e));
		return e;
	}
	return NULL;
}

struct extent *object_extent(struct object *o, size_t i, bool nowait,
			     bool *again)
{
	struct extent_slot *s = &o->slots[i];
	struct extent *e, *mine, *old = NULL;
	unsigned turns;
	bool known;

	*again = false;
	lock_take(&o->lock);
	known = slot_known_locked(o, i);
	e = slot_usable(s) ? extent_ref(s->extent) : NULL;
	lock_drop(&o->lock);
	if (known || o->cache->ndisks == 0)
		return e;
	if (e != NULL)
		extent_close(e); /* taken back just now: ask again */
	if (nowait) {
		*again = true;
		return NULL;
	}
	turns = turns_of_all(o->cache);
	mine = look_for(o, i);
	lock_take(&o->lock);
	if (!slot_known_locked(o, i)) {
		/* What is on a disk that is off is kept for its return. */
		if (mine != NULL || s->extent == NULL)
			old = slot_set_locked(o, i, take_ptr(mine));
		s->turns = turns;
	}
	e = slot_usable(s) ? extent_ref(s->extent) : NULL;
	lock_drop(&o->lock);
	close_file(o->cache, old);
	extent_close(mine);
	return e;
}

struct extent *object_extent_make(struct object *o, size_t i)
{
	struct extent *e, *other;
	struct disk_id id;
	struct disk *d;
	uint64_t length;
	bool again;

	e = object_extent(o, i, false, &again);
	if (e != NULL && !extent_gone(e))
		return e;
	extent_close(e);
	d = object_extent_id(o, i, &id, &length);
	if (d == NULL || disk_state(d) != DISK_OK)
		return NULL;
	if (extent_create(d, &id, length, &e) < 0)
		return NULL;
	lock_take(&o->lock);
	if (!slot_usable(&o->slots[i]) || slot_evicted(&o->slots[i])) {
		other = slot_set_locked(o, i, extent_ref(e));
	} else {
		/* Another thread was first: the file is the same. */
		other = e;
		e = extent_ref(o->slots[i].extent);
	}
	lock_drop(&o->lock);
	close_file(o->cache, other);
	return e;
}

void object_complete(struct object *o)
{
	lock_take(&o->lock);
	o->complete = true;
	lock_drop(&o->lock);
}

void object_extent_remove(struct object *o, size_t i)
{
	bool again;
	struct extent *e = object_extent(o, i, false, &again);

	if (e == NULL)
		return;
	/* Each may have one, from when another was off. */
	for (size_t n = 0; n < o->cache->ndisks && e != NULL; n++) {
		extent_remove(e);
		extent_close(e);
		e = look_for(o, i);
	}
	extent_close(e);
	object_extent_set(o, i, NULL);
}

int object_present(struct object *o, uint64_t page, size_t n, bool *present,
		   bool nowait)
{
	uint64_t per = object_extent_pages(o);
	int total = 0;

	memset(present, 0, n * sizeof(*present));
	while (n > 0) {
		size_t i = page / per, run = MIN(n, per - page % per);
		struct extent *e;
		bool again;
		int r = 0;

		e = object_extent(o, i, nowait, &again);
		if (again)
			return -EAGAIN;
		if (e != NULL)
			r = extent_present(e, page % per, run, present, nowait);
		extent_close(e);
		if (r == -EAGAIN)
			return r;
		if (r > 0)
			total += r;
		page += run;
		present += run;
		n -= run;
	}
	return total;
}

struct cache_file *object_backing(struct object *o)
{
	struct cache_file *file = NULL;
	struct extent *e;

	if (o->extents != 1)
		return NULL;
	lock_take(&o->lock);
	e = o->slots[0].extent;
	if (e != NULL && disk_state(extent_disk(e)) != DISK_OFF &&
	    extent_trusted(e)) {
		hand_out_locked(o);
		file = extent_file(e);
	}
	lock_drop(&o->lock);
	return file;
}
