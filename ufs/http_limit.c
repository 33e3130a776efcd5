/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_limit.c - additive increase, multiplicative decrease; retries paid for
 *
 * The limit begins at the top: an idle store bears what the mount may ask,
 * and the first refusal finds the way down within a few round trips. It
 * never falls below LEAST, which is what finds out that the store is well
 * again. From LEAST to the top it takes STEPS rounds of good answers, 2.5 s
 * at 50 ms each.
 *
 * The budget's prices are those of the AWS SDKs' retry quota (500 tokens, 5
 * a retry, which its success returns, and 1 for any other success), divided
 * by five; but where they let the request fail, we wait: a file system has
 * deadlines, and an error before them is an error of the application. So
 * that waiting ends, time gives tokens too. When a store is well again each
 * success pays for the next waiting retry at once, and the waiting threads
 * drain at the rate of round trips, not at that of the trickle.
 */
#include "ufs/http_limit.h"

#include <errno.h>

#include "base/clock.h"
#include "base/stats.h"

#define LEAST 4
#define STEPS 50
#define METADATA_MORE 8
#define CALM_NS (30 * NSEC_PER_SEC) /* since the last refusal */
#define WAIT_STEP_NS (100 * NSEC_PER_MSEC)

#define TOKEN 1000 /* thousandths */
#define TOKENS_MOST (100 * TOKEN)
#define TOKEN_NS (NSEC_PER_SEC / 4 / TOKEN) /* for time to give 1/1000 */
#define SUCCESS_GIVES (TOKEN / 5)

void limit_init(struct limit *l, unsigned most)
{
	memset(l, 0, sizeof(*l));
	l->most = MAX(most, 1);
	l->least = MIN(LEAST, l->most);
	l->step = 1 + (l->most - l->least) / STEPS;
	l->limit = l->most;
	l->tokens = TOKENS_MOST;
	l->filled_at = clock_ns();
	lock_init(&l->lock, RANK_STORE);
	event_init(&l->room[LANE_DATA]);
	event_init(&l->room[LANE_METADATA]);
	event_init(&l->token);
	stat_add(STAT_store_limit, l->limit);
}

void limit_fini(struct limit *l)
{
	stat_add(STAT_store_limit, -(int64_t)l->limit);
	event_fini(&l->token);
	event_fini(&l->room[LANE_METADATA]);
	event_fini(&l->room[LANE_DATA]);
	lock_fini(&l->lock);
}

static bool has_room_locked(const struct limit *l, enum limit_lane lane)
{
	return l->used < l->limit + (lane == LANE_METADATA ? METADATA_MORE : 0);
}

/*
 * One at a time: who enters wakes the next while there is room, so that a
 * place freed never wakes all that wait.
 */
static void wake_locked(struct limit *l)
{
	for (int lane = LANE_METADATA; lane >= LANE_DATA; lane--)
		if (l->waiting[lane] > 0 &&
		    has_room_locked(l, (enum limit_lane)lane)) {
			event_signal(&l->room[lane]);
			return;
		}
}

int limit_enter(struct limit *l, enum limit_lane lane, int64_t deadline,
		struct cancel *cancel, int64_t *entered)
{
	int64_t now;
	int r = 0;

	lock_take(&l->lock);
	now = clock_ns();
	while (!has_room_locked(l, lane) && r == 0) {
		if (cancelled(cancel)) {
			r = -ECANCELED;
		} else if (now >= deadline) {
			r = -ETIMEDOUT;
		} else {
			l->waiting[lane]++;
			event_wait_until(&l->room[lane], &l->lock,
					 MIN(deadline, now + WAIT_STEP_NS));
			l->waiting[lane]--;
			now = clock_ns();
		}
	}
	if (r == 0) {
		l->used++;
		*entered = now;
	}
	if (l->used >= l->limit)
		l->full_at = now;
	wake_locked(l);
	lock_drop(&l->lock);
	return r;
}

static void set_limit_locked(struct limit *l, unsigned limit)
{
	limit = MIN(MAX(limit, l->least), l->most);
	stat_add(STAT_store_limit, (int64_t)limit - l->limit);
	l->limit = limit;
	l->good = 0;
}

static void adapt_locked(struct limit *l, enum limit_load load, int64_t entered)
{
	/* Was the limit reached while it was under way? */
	bool held_back = entered <= l->full_at;

	if (load == LOAD_BUSY) {
		l->busy_at = clock_ns();
		/* It was sent before the last cut could be felt. */
		if (entered <= l->cut_at)
			return;
		l->cut_at = l->busy_at;
		set_limit_locked(l, MIN(l->limit, l->used) / 2);
	} else if (load == LOAD_RIGHT && l->limit < l->most && held_back &&
		   ++l->good >= l->limit) {
		set_limit_locked(l, l->limit + l->step);
	}
}

static void give_locked(struct limit *l, int64_t tokens)
{
	l->tokens = MIN(l->tokens + tokens, TOKENS_MOST);
	if (l->tokens >= TOKEN)
		event_signal(&l->token);
}

void limit_leave(struct limit *l, enum limit_load load, int64_t entered,
		 bool again)
{
	lock_take(&l->lock);
	adapt_locked(l, load, entered);
	if (load == LOAD_RIGHT)
		give_locked(l, again ? TOKEN : SUCCESS_GIVES);
	l->used--;
	wake_locked(l);
	lock_drop(&l->lock);
}

static void fill_locked(struct limit *l, int64_t now)
{
	int64_t more = (now - l->filled_at) / TOKEN_NS;

	l->filled_at += more * TOKEN_NS;
	give_locked(l, MIN(more, TOKENS_MOST));
}

int limit_pay(struct limit *l, int64_t until, struct cancel *cancel)
{
	int64_t now = clock_ns();
	bool waited = false;
	int r = 0;

	lock_take(&l->lock);
	fill_locked(l, now);
	while (l->tokens < TOKEN && now < until && r == 0) {
		if (!waited)
			stat_inc(STAT_store_retry_waits);
		waited = true;
		if (cancelled(cancel))
			r = -ECANCELED;
		else
			event_wait_until(&l->token, &l->lock,
					 MIN(until, now + WAIT_STEP_NS));
		now = clock_ns();
		fill_locked(l, now);
	}
	if (r == 0)
		l->tokens -= MIN(l->tokens, TOKEN);
	give_locked(l, 0); /* and who waits behind us */
	lock_drop(&l->lock);
	return r;
}

bool limit_calm(struct limit *l)
{
	int64_t busy_at;

	lock_take(&l->lock);
	busy_at = l->busy_at;
	lock_drop(&l->lock);
	return busy_at == 0 || clock_ns() - busy_at > CALM_NS;
}
