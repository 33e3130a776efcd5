/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heat.h - which segments are more than one worker can send
 *
 * The ring gives each segment to one worker. When all read the same one (a
 * model at its start, a shard that every rank opens) they wait for that
 * worker, and the others have nothing to do. So the owner says in its answers
 * how many replicas may be asked as well (WIRE_H_SPREAD): 2, 4, 8; each of
 * them gets the segment once, from the store, and keeps it.
 *
 * A copy costs a read of the store and room on an SSD, so the question is not
 * how much a segment is read but whether its worker is too slow for it. What a
 * worker can send nobody tells us (network, CPU, other tenants), and the most
 * that it was seen to send is no answer either: of one that was never busy it
 * says what was asked for. Being busy shows, in one of two ways:
 *
 *   - its serving threads use HEAT_CPU percent of the time that they could: the
 *     way of small objects, whose answers fit into the sockets' buffers;
 *   - the answers that are being sent out of files are HEAT_QUEUE times as many
 *     as there are threads, and it sends at least half of the most that it
 *     ever did: the way of large ones, where the network is full. The half
 *     keeps out clients that take what is sent slowly. (The most is halved in
 *     some 50 minutes, lest a network that got slower is measured by what it
 *     was.)
 *
 * What is sent while it is being fetched counts as neither: there the store
 * is what is slow, and more replicas would ask it more often.
 *
 * A segment that takes HEAT_SHARE percent of the bytes of a worker that is busy
 * for two windows in a row gets twice the replicas, once it has been sent
 * HEAT_WORTH times over: a few mounts that read a cold data set at once would
 * pay each copy by a read of the store, and never come back for it. It gets
 * twice as many again after HEAT_SETTLE_NS if that was not enough. (Not half of
 * the bytes: of two that share a worker both are to be spread.) When it is
 * spread over n this worker sees an n-th of what is asked, so the way back does
 * not look at whether it is busy: the rate at which the segment was spread last
 * is what the worker could not do, and n is halved when a quarter of that has
 * not been asked of it for HEAT_COOL_NS. It then gets less than half of it. In
 * between nothing changes.
 *
 * The table has HEAT_WAYS places for each of HEAT_SETS hashes. Who finds them
 * taken wears down the one with the fewest bytes, and takes its place when
 * nothing is left of it (Misra and Gries): a segment with more than a fifth of
 * the bytes of a set has a place, whatever else is read. One that is spread
 * keeps its place.
 *
 * The caller has the clock. Any thread; nothing is waited for but a lock that
 * is held for some hundred instructions, and while nothing is spread the one
 * who asks does not take it.
 */
#ifndef RING_HEAT_H
#define RING_HEAT_H

#include "base/base.h"
#include "base/clock.h"
#include "ufs/ufs.h"

#define HEAT_WINDOW_NS NSEC_PER_SEC
#define HEAT_CPU 75
#define HEAT_QUEUE 2
#define HEAT_SHARE 25
#define HEAT_WORTH 8
#define HEAT_SETTLE_NS (3 * NSEC_PER_SEC)
#define HEAT_COOL_NS (10 * NSEC_PER_SEC)
#define HEAT_SPREAD_MAX 8
#define HEAT_SETS 64
#define HEAT_WAYS 4
#define HEAT_BUCKET_MAX 255

struct heat; /* opaque; laid out in heat.c */

/* A segment, as it is told of. */
struct heat_segment {
	uint64_t hash;      /* ring_hash_data() */
	const char *bucket; /* under which it is served */
	struct str key;     /* in the bucket */
	uint64_t segment;   /* offset / RING_SEGMENT */
	uint64_t size;      /* its bytes: what a copy costs */
};

/* threads: that serve. -ENOMEM. */
int heat_new(unsigned threads, int64_t now, struct heat **out);
void heat_free(struct heat *h); /* NULL is allowed */

/* An answer out of a file begins to be sent; heat_end() follows. */
void heat_begin(struct heat *h);
/* It has been; s (borrowed for the call): NULL when no mount asked for it. */
void heat_end(struct heat *h, const struct heat_segment *s, uint64_t bytes);
/* Bytes that were sent otherwise. */
void heat_other(struct heat *h, uint64_t bytes);

/*
 * Time passes: twice a window at least. cpu: what the serving threads have
 * used so far, ns.
 */
void heat_tick(struct heat *h, int64_t now, int64_t cpu);

/* How many replicas may be asked for it: 1, 2, 4, 8. */
unsigned heat_spread(struct heat *h, uint64_t hash);

/* One of the segments that are read most. */
struct server_hot {
	char bucket[HEAT_BUCKET_MAX + 1];
	char key[UFS_KEY_MAX + 1]; /* may hold any bytes but NUL */
	uint64_t segment;          /* of the object, of RING_SEGMENT bytes */
	uint64_t rate;             /* bytes a second, sent to mounts */
	unsigned spread;           /* 1: it is not */
};

/* The hottest first, of those with a rate; returns how many. */
size_t heat_list(struct heat *h, struct server_hot *out, size_t max);

#endif
