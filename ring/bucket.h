/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bucket.h - turns at the store while the ring is ill
 *
 * When workers fail, what they kept away from the store comes back at once,
 * from all mounts. So each mount has a bucket of tokens, and what goes to the
 * store because a worker failed takes one. An empty bucket refuses nobody: it
 * says when the turn comes, in the order in which they asked.
 *
 * How much the store bears is not known, so the rate begins low and grows by
 * half with each second in which somebody had to wait, until nobody has to:
 * a ring that stays away costs a few slow seconds, not a slow day. The store's
 * refusals are http_limit's matter, behind this. Half a minute in which nobody
 * waited takes the rate back to where it began.
 *
 * The caller has the clock and the lock.
 */
#ifndef RING_BUCKET_H
#define RING_BUCKET_H

#include "base/base.h"

#define BUCKET_RATE 100  /* turns a second, at first */
#define BUCKET_BURST 100 /* turns at once */
#define BUCKET_MOST 100000

struct bucket {
	uint64_t rate;     /* turns a second now; 0: none was taken yet */
	int64_t next;      /* when the next token is there, clock_ns() */
	int64_t raised_at; /* the rate, or taken back */
	int64_t waited_at; /* when somebody last had to wait */
};

/* Take a turn; all 0 is full. Returns when it is: now, or later. */
int64_t bucket_take(struct bucket *b, int64_t now);

#endif
