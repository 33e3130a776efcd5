/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.c - see ring.h
 *
 * The vnodes are two arrays, sorted: the places, eight bytes each, and whose
 * they are, two bytes. For a thousand workers that is 20 MB and more than a
 * processor's cache holds, so a binary search would miss it twenty times: an
 * index over the upper bits of the hash says where to begin instead, four
 * vnodes a bucket on average, and the rest is a scan.
 *
 * The i-th vnode of a worker depends on its name and i alone: no other worker
 * moves it, and a worker that gets more of them keeps those it had. Two at
 * one place (a worker in 2^64) are told apart by name, so that all agree.
 */
#include "ring/ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <xxhash.h>

#define VNODES 2048 /* of a worker whose weight is the power of two below */
#define PER_BUCKET 4

struct worker {
	char *name;
	uint64_t weight;
};

struct ring {
	atomic_uint refs;

	/* set once at new */
	size_t n;
	struct worker *workers; /* by name */
	uint64_t view;
	size_t points;
	uint64_t *place;  /* sorted */
	uint16_t *whose;  /* workers[] */
	uint32_t *bucket; /* first point of each, and the end of the last */
	unsigned shift;   /* place >> shift is its bucket */
};

struct vnode {
	uint64_t place;
	uint16_t worker;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct worker *)a)->name,
		      ((const struct worker *)b)->name);
}

/* Workers are sorted by name, so their numbers tell ties apart. */
static int by_place(const void *a, const void *b)
{
	const struct vnode *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return (int)x->worker - (int)y->worker;
}

static uint64_t power_below(uint64_t n)
{
	return UINT64_C(1) << (63 - __builtin_clzll(n));
}

static size_t vnodes_of(uint64_t weight, uint64_t unit)
{
	size_t n =
	    (size_t)((long double)weight * VNODES / (long double)unit + 0.5L);

	return MAX(n, 1);
}

static void free_ring(struct ring *r)
{
	for (size_t i = 0; i < r->n && r->workers != NULL; i++)
		free(r->workers[i].name);
	free(r->workers);
	free(r->place);
	free(r->whose);
	free(r->bucket);
	free(r);
}

static int copy_members(struct ring *r, const struct ring_member *members,
			size_t n)
{
	r->workers = calloc(n, sizeof(*r->workers));
	if (r->workers == NULL)
		return -ENOMEM;
	r->n = n;
	for (size_t i = 0; i < n; i++) {
		if (members[i].weight == 0)
			return -EINVAL;
		r->workers[i].weight = members[i].weight;
		r->workers[i].name = strdup(members[i].name);
		if (r->workers[i].name == NULL)
			return -ENOMEM;
	}
	qsort(r->workers, n, sizeof(*r->workers), by_name);
	for (size_t i = 1; i < n; i++)
		if (strcmp(r->workers[i - 1].name, r->workers[i].name) == 0)
			return -EINVAL;
	return 0;
}

static void fill_buckets(struct ring *r, size_t buckets)
{
	size_t at = 0;

	for (size_t b = 0; b < buckets; b++) {
		while (at < r->points && r->place[at] >> r->shift < b)
			at++;
		r->bucket[b] = (uint32_t)at;
	}
}

static int place_vnodes(struct ring *r)
{
	AUTO_FREE struct vnode *v = NULL;
	uint64_t heaviest = 0, unit;
	size_t buckets, at = 0;

	for (size_t i = 0; i < r->n; i++)
		heaviest = MAX(heaviest, r->workers[i].weight);
	unit = power_below(heaviest);
	for (size_t i = 0; i < r->n; i++)
		r->points += vnodes_of(r->workers[i].weight, unit);
	buckets = (size_t)power_below(MAX(r->points / PER_BUCKET, 2));
	r->shift = 64 - (unsigned)__builtin_ctzll(buckets);
	v = malloc(r->points * sizeof(*v));
	r->place = malloc(r->points * sizeof(*r->place));
	r->whose = malloc(r->points * sizeof(*r->whose));
	r->bucket = malloc(buckets * sizeof(*r->bucket));
	if (v == NULL || r->place == NULL || r->whose == NULL ||
	    r->bucket == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++) {
		const struct worker *w = &r->workers[i];
		size_t vnodes = vnodes_of(w->weight, unit);
		size_t len = strlen(w->name);

		for (size_t k = 0; k < vnodes; k++)
			v[at++] = (struct vnode){ XXH3_64bits_withSeed(w->name,
								       len, k),
						  (uint16_t)i };
	}
	qsort(v, r->points, sizeof(*v), by_place);
	for (size_t i = 0; i < r->points; i++) {
		r->place[i] = v[i].place;
		r->whose[i] = v[i].worker;
	}
	fill_buckets(r, buckets);
	return 0;
}

static uint64_t hash_view(const struct ring *r)
{
	uint64_t h = r->n;

	for (size_t i = 0; i < r->n; i++) {
		h = XXH3_64bits_withSeed(r->workers[i].name,
					 strlen(r->workers[i].name), h);
		h = XXH3_64bits_withSeed(&r->workers[i].weight,
					 sizeof(r->workers[i].weight), h);
	}
	return h;
}

int ring_new(const struct ring_member *members, size_t n, struct ring **out)
{
	struct ring *r;
	int err;

	if (n == 0 || n > RING_WORKERS_MAX)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	atomic_init(&r->refs, 1);
	err = copy_members(r, members, n);
	if (err == 0)
		err = place_vnodes(r);
	if (err < 0) {
		free_ring(r);
		return err;
	}
	r->view = hash_view(r);
	*out = r;
	return 0;
}

struct ring *ring_ref(struct ring *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void ring_unref(struct ring *r)
{
	if (r != NULL &&
	    atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
		free_ring(r);
}

size_t ring_workers(const struct ring *r)
{
	return r->n;
}

const char *ring_name(const struct ring *r, uint32_t id)
{
	return r->workers[id].name;
}

uint64_t ring_weight(const struct ring *r, uint32_t id)
{
	return r->workers[id].weight;
}

int64_t ring_find(const struct ring *r, const char *name)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, r->workers[middle].name);

		if (order == 0)
			return (int64_t)middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -ENOENT;
}

uint64_t ring_view(const struct ring *r)
{
	return r->view;
}

/* The kinds of things that have a place, so that none begins as another. */
enum kind { KIND_DATA = 1, KIND_DIR = 2 };

static uint64_t hash_of(enum kind kind, struct str store, struct str name,
			uint64_t segment)
{
	uint64_t h = XXH3_64bits_withSeed(store.p, store.n, (uint64_t)kind);

	h = XXH3_64bits_withSeed(name.p, name.n, h);
	/* Neighbours must not be neighbours on the circle: hashed as well. */
	return XXH3_64bits_withSeed(&segment, sizeof(segment), h);
}

uint64_t ring_hash_data(struct str store, struct str key, uint64_t segment)
{
	return hash_of(KIND_DATA, store, key, segment);
}

uint64_t ring_hash_dir(struct str store, struct str dir)
{
	return hash_of(KIND_DIR, store, dir, 0);
}

/* The first point at or behind hash; behind the last comes the first. */
static size_t point_of(const struct ring *r, uint64_t hash)
{
	size_t at = r->bucket[hash >> r->shift];

	while (at < r->points && r->place[at] < hash)
		at++;
	return at < r->points ? at : 0;
}

uint32_t ring_owner(const struct ring *r, uint64_t hash)
{
	return r->whose[point_of(r, hash)];
}

size_t ring_lookup(const struct ring *r, uint64_t hash, uint32_t *ids,
		   size_t want)
{
	size_t at = point_of(r, hash), found = 0;

	want = MIN(want, r->n);
	for (size_t seen = 0; seen < r->points && found < want; seen++) {
		uint32_t id = r->whose[at];
		size_t i = 0;

		while (i < found && ids[i] != id)
			i++;
		if (i == found)
			ids[found++] = id;
		if (++at == r->points)
			at = 0;
	}
	return found;
}

double ring_share(const struct ring *r, uint32_t id)
{
	long double sum = 0;

	/* The arc before each place; unsigned arithmetic goes round. */
	for (size_t i = 0; i < r->points; i++)
		if (r->whose[i] == id)
			sum += (long double)(r->place[i] -
					     r->place[i > 0 ? i - 1
							    : r->points - 1]);
	return r->n == 1 ? 1.0 : (double)(sum / 18446744073709551616.0L);
}
