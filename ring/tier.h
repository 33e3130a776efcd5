/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier.h - the workers in front of a store, as a struct ufs
 *
 * The cache is given this in place of the store. What it asks for goes to the
 * worker that owns it, and when that one cannot help to the next source, and
 * at last to the store:
 *
 *   a get    the owner of (store, key, segment), in pieces of at most
 *            WIRE_RANGE_MAX within a segment. While a ring from before a
 *            change of the membership counts, the owner in that one comes
 *            first, but only for what it has (Cache-Control: only-if-cached):
 *            depth is one, so the new owner would get it from the store. Then
 *            the owner, two replicas, the store.
 *   a stat,  the owner of (store, directory), one replica, the store; with
 *   a list   how old the answer may be.
 *
 * A source whose first byte does not come in time is not waited for alone:
 * the next is asked as well, and the first that begins to answer is the one;
 * who was down is not waited for at all.
 * A worker that fetches what it sends says so at once by its headers, so it
 * is never hedged; and when it then stalls, or says 502, it is its store that
 * fails: the next source is asked, but the worker is no worse for it, unless
 * the store answers us, since while a store is gone what workers hold is to be
 * had of them (SEMANTICS R4).
 * What a worker did wrong is never an error of the caller:
 * only the store's answer is (SEMANTICS T6), and the bytes given by then are
 * kept, since each page was verified.
 *
 * The sink's contract is that of ufs.h, with two things said more closely.
 * head() may refuse a worker's answer (-ESTALE, -EIO): that worker is wrong,
 * and head() is called again with the next source's. For a whole object
 * (again() is set) a change of source calls again(), so that the store can
 * compare all of it with its checksum.
 */
#ifndef RING_TIER_H
#define RING_TIER_H

#include <jansson.h>

#include "ring/peer.h"
#include "ring/ring.h"
#include "ufs/ufs.h"

/* Who the workers are, now. */
struct tier_view {
	struct ring *now;    /* the caller's ref, or NULL: there are none */
	struct ring *before; /* the same; NULL: none, or too long ago */
	uint64_t epoch;      /* for the status */
};

struct tier_conf {
	struct ufs *store;
	bool own_store;     /* closed with the tier, but not if open fails */
	const char *bucket; /* as workers name the store in their URLs */
	/* Called for each request, from many threads; does not block. */
	void (*view)(void *arg, struct tier_view *out);
	void *view_arg;
	struct peers_conf peers;
	/*
	 * How old metadata from a worker may be, ns; below 0: any age; 0:
	 * the store is asked for all of it. Who believes what it got for a
	 * while must ask for that much less: the ages add up.
	 */
	int64_t max_age;
	/* Optional: ufs_ops' made(), for who tells the workers. */
	void (*made)(void *arg, struct str key);
	void *made_arg;
	int64_t hedge;      /* until the first byte, ns; 0: 500 ms */
	int64_t hedge_list; /* of a listing; 0: 2 s */
};

/* The texts are copied. -ENOMEM, -EIO, -EAGAIN. */
int tier_open(const struct tier_conf *conf, struct ufs **out);

/*
 * {"epoch": 1, "view": "0123456789abcdef", "workers": [{"name", "state",
 * "weight", "hit_bytes", "errors"}]} as the status has it. view: ring_view(),
 * or "" while there are none. NULL: out of memory. u is a tier.
 */
json_t *tier_status(struct ufs *u);

#endif
