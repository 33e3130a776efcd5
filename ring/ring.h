/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - which peer worker owns what
 *
 * A ring is a circle of 2^64 hash values on which each worker stands at many
 * places (vnodes). What has hash h belongs to the worker of the first place
 * at or behind h, its owner; the workers that follow are its replicas. So all
 * who know the same workers agree without a word, and a worker that comes or
 * goes moves only what it gets or had.
 *
 * A ring is immutable. Each change of the membership builds a new one; who
 * looks up holds a reference, so a lookup never waits for a change.
 *
 * Data is placed by (store, key, segment), so that a large model spreads over
 * the workers; metadata by (store, directory), so that a listing and the
 * stats below it meet on one.
 */
#ifndef RING_RING_H
#define RING_RING_H

#include "base/base.h"

#define RING_WORKERS_MAX 8192
#define RING_SEGMENT (UINT64_C(1) << 30) /* bytes; the unit of placement */

struct ring; /* opaque; laid out in ring.c */

struct ring_member {
	const char *name; /* what it advertises: "host:port" */
	uint64_t weight;  /* compared with the others'; bytes, as a rule */
};

/*
 * Build a ring of n workers; the names are copied, their order does not
 * matter. Returns 0 and one reference in *out, -EINVAL when n or a weight is
 * 0, n is above RING_WORKERS_MAX or a name is there twice, or -ENOMEM.
 *
 * The heaviest has 2048 to 4095 vnodes (as its weight is to the next lower
 * power of two), the others in proportion and at least one. With equal
 * weights the one with most gets at most 1.10 times its share among 100
 * workers, 1.15 among 1000. When the heaviest passes a power of two, all
 * numbers of vnodes halve or double and up to half of the keys move.
 */
int ring_new(const struct ring_member *members, size_t n, struct ring **out);
struct ring *ring_ref(struct ring *r);
void ring_unref(struct ring *r); /* NULL is allowed */

/* Workers, by name in byte order; an id below is a place in this order. */
size_t ring_workers(const struct ring *r);
const char *ring_name(const struct ring *r, uint32_t id); /* borrowed from r */
uint64_t ring_weight(const struct ring *r, uint32_t id);

/* The worker of that name, or -ENOENT. */
int64_t ring_find(const struct ring *r, const char *name);

/* The same for all rings of the same members, and for few others. */
uint64_t ring_view(const struct ring *r);

/* Where things stand on the circle. segment: offset / RING_SEGMENT. */
uint64_t ring_hash_data(struct str store, struct str key, uint64_t segment);
/* dir: a key prefix that ends with a slash, or nothing. */
uint64_t ring_hash_dir(struct str store, struct str dir);

/* The owner of a hash. */
uint32_t ring_owner(const struct ring *r, uint64_t hash);

/* Up to want distinct workers into ids, owner first; returns how many. */
size_t ring_lookup(const struct ring *r, uint64_t hash, uint32_t *ids,
		   size_t want);

/* The part of the circle whose owner a worker is, in [0, 1]. */
double ring_share(const struct ring *r, uint32_t id);

#endif
