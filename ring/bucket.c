/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bucket.c - see bucket.h
 *
 * The bucket is a clock that each turn moves on by its part of a second. It
 * may be behind by the burst, never more; who finds it ahead waits.
 */
#include "ring/bucket.h"

#include "base/clock.h"

#define RAISE_NS NSEC_PER_SEC
#define CALM_NS (30 * NSEC_PER_SEC)

static void adapt(struct bucket *b, int64_t now)
{
	if (b->rate == 0 || now - b->waited_at > CALM_NS) {
		b->rate = BUCKET_RATE;
		b->raised_at = now;
	} else if (now - b->raised_at >= RAISE_NS && b->next > now) {
		b->rate = MIN(b->rate + b->rate / 2, BUCKET_MOST);
		b->raised_at = now;
		/* Those who wait already keep their turns. */
	}
}

int64_t bucket_take(struct bucket *b, int64_t now)
{
	int64_t step, turn;

	adapt(b, now);
	step = NSEC_PER_SEC / (int64_t)b->rate;
	/* What is saved up is a burst at the rate it began with, or less. */
	b->next = MAX(b->next, now - BUCKET_BURST * step);
	turn = MAX(b->next, now);
	if (turn > now)
		b->waited_at = now;
	b->next += step;
	return turn;
}
