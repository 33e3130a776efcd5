/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_limit.h - how much a store is asked at a time, and how often again
 *
 * Two bounds that keep us from being the one who brings a busy store down:
 *
 *   the limit   of requests under way. A 503 or 429 halves it, once for each
 *               round trip: of the requests that were under way together,
 *               the first refusal counts. Good answers raise it by the same
 *               step each round, while it is what holds requests back.
 *   the budget  of retries. Each costs a token, a success gives some back,
 *               and a few trickle in with time, so that a store that refuses
 *               everything is asked again a few times a second, by however
 *               many threads that wait for it.
 *
 * Metadata has a lane of its own beside the limit: it must not wait for slow
 * bodies.
 */
#ifndef UFS_HTTP_LIMIT_H
#define UFS_HTTP_LIMIT_H

#include "base/base.h"
#include "base/cancel.h"
#include "base/lock.h"

enum limit_lane { LANE_DATA, LANE_METADATA };

/* What an answer says of how much the store bears. */
enum limit_load { LOAD_RIGHT, LOAD_BUSY, LOAD_UNKNOWN };

struct limit {
	/* set once */
	unsigned most, least, step;
	/* under lock */
	struct lock lock;
	struct event room[2];      /* by lane */
	struct event token;        /* the budget may have one */
	unsigned used, waiting[2]; /* requests; threads, by lane */
	unsigned limit;            /* of used */
	unsigned good;             /* answers since the limit was changed */
	int64_t full_at;           /* when the limit last held one back */
	int64_t cut_at, busy_at;   /* refusals; clock_ns(), 0 = never */
	int64_t tokens;            /* thousandths */
	int64_t filled_at;         /* when time last gave some */
};

void limit_init(struct limit *l, unsigned most);
void limit_fini(struct limit *l);

/*
 * Wait for a place. 0 and when it was taken in *entered, -ECANCELED, or
 * -ETIMEDOUT when there was none until the deadline.
 */
int limit_enter(struct limit *l, enum limit_lane lane, int64_t deadline,
		struct cancel *cancel, int64_t *entered);

/*
 * Give the place back, with what limit_enter() said of it, so that refusals
 * of one round trip are told from those of the next. again: it was a retry.
 */
void limit_leave(struct limit *l, enum limit_load load, int64_t entered,
		 bool again);

/*
 * Before a request is sent again: pay for it, and wait until it can be paid
 * for, but not beyond until: rather a retry too many than a request that
 * failed without one. 0 or -ECANCELED.
 */
int limit_pay(struct limit *l, int64_t until, struct cancel *cancel);

/* The store did not say for a while that it was busy. */
bool limit_calm(struct limit *l);

#endif
