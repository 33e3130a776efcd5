/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_hedge.c - the times of answers, and the budget of hedges
 *
 * Times are counted in buckets, four an octave, from 64 us to two minutes.
 * At 1024 all counts are halved, so old times fade. The threshold is three
 * times the 95th percentile: of the 99th, which would be the customary
 * choice, a store with more than 1 % of stuck requests makes the stuck ones
 * the measure. It is never below 200 ms, where the scheduling of a busy host
 * is as likely the cause as the store.
 */
#include "ufs/http_hedge.h"

#include "base/clock.h"

#define FIRST_NS (64 * 1000) /* end of the first bucket */
#define WINDOW 1024
#define ENOUGH 64 /* times that say something */
#define EVERY 32  /* times until the threshold is worked out anew */
#define PERCENT 95
#define FACTOR 3
#define FLOOR_NS (200 * NSEC_PER_MSEC)
#define TOKENS_MOST (8 * HEDGE_ONE_IN)

/* Where a bucket ends: 4/4, 5/4, 6/4 and 7/4 of each octave. */
static int64_t bucket_end(unsigned i)
{
	return (int64_t)FIRST_NS * (4 + i % 4) / 4 << (i / 4);
}

static unsigned bucket_of(int64_t ns)
{
	unsigned i = 0;

	while (i < HEDGE_BUCKETS - 4 && ns > bucket_end(i + 3))
		i += 4;
	while (i < HEDGE_BUCKETS - 1 && ns > bucket_end(i))
		i++;
	return i;
}

static void work_out(struct hedge_times *t)
{
	uint32_t n = 0, sum = 0;
	unsigned i;

	for (i = 0; i < HEDGE_BUCKETS; i++)
		n += atomic_load_explicit(&t->bucket[i], memory_order_relaxed);
	for (i = 0; i < HEDGE_BUCKETS - 1; i++) {
		sum +=
		    atomic_load_explicit(&t->bucket[i], memory_order_relaxed);
		if ((uint64_t)sum * 100 >= (uint64_t)n * PERCENT)
			break;
	}
	atomic_store_explicit(&t->after, MAX(FACTOR * bucket_end(i), FLOOR_NS),
			      memory_order_relaxed);
}

static void fade(struct hedge_times *t)
{
	for (unsigned i = 0; i < HEDGE_BUCKETS; i++) {
		uint32_t c =
		    atomic_load_explicit(&t->bucket[i], memory_order_relaxed);

		atomic_fetch_sub_explicit(&t->bucket[i], c / 2,
					  memory_order_relaxed);
	}
}

int64_t hedge_after(const struct hedge *h, enum hedge_kind kind)
{
	return atomic_load_explicit(&h->times[kind].after,
				    memory_order_relaxed);
}

void hedge_note(struct hedge *h, enum hedge_kind kind, int64_t ns)
{
	struct hedge_times *t = &h->times[kind];
	uint32_t n;
	int32_t tokens;

	atomic_fetch_add_explicit(&t->bucket[bucket_of(ns)], 1,
				  memory_order_relaxed);
	n = atomic_fetch_add_explicit(&t->n, 1, memory_order_relaxed) + 1;
	if (n % EVERY == 0 && n >= ENOUGH)
		work_out(t);
	if (n % (WINDOW / 2) == 0 && n >= WINDOW)
		fade(t);
	tokens = atomic_load_explicit(&h->tokens, memory_order_relaxed);
	while (tokens < TOKENS_MOST &&
	       !atomic_compare_exchange_weak_explicit(
		   &h->tokens, &tokens, tokens + 1, memory_order_relaxed,
		   memory_order_relaxed))
		;
}

bool hedge_take(struct hedge *h)
{
	int32_t tokens = atomic_load_explicit(&h->tokens, memory_order_relaxed);

	while (tokens >= HEDGE_ONE_IN)
		if (atomic_compare_exchange_weak_explicit(
			&h->tokens, &tokens, tokens - HEDGE_ONE_IN,
			memory_order_relaxed, memory_order_relaxed))
			return true;
	return false;
}
