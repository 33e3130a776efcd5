/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - threads that run jobs
 *
 * Jobs are embedded in what they work on; submitting never allocates and
 * never blocks. Demand jobs run before background ones. Threads start when
 * there is more work than idle threads, up to max; the one that went idle
 * last is woken first, so that few threads stay warm. When a thread cannot
 * be created the ones there are carry on; pool_new makes the first.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/base.h"

enum pool_lane { POOL_DEMAND, POOL_BACKGROUND, POOL_LANES };

struct job {
	struct job *next;             /* owned by the pool while queued */
	void (*run)(struct job *job); /* may free or submit the job again */
};

struct pool;

/* name: at most 10 bytes, for ps and top. -EAGAIN when no thread starts. */
int pool_new(const char *name, unsigned max, struct pool **out);

/*
 * At most background_max threads run background jobs at once, so that a
 * demand job always finds a thread soon. Default: max - 1, at least 1.
 */
void pool_set_background_max(struct pool *p, unsigned background_max);

void pool_submit(struct pool *p, struct job *job, enum pool_lane lane);

/*
 * Take a queued job back. True: it will not run (the caller owns it again);
 * false: it has started or finished.
 */
bool pool_withdraw(struct pool *p, struct job *job);

/* Run what is queued, join all threads, free. NULL is allowed. */
void pool_stop(struct pool *p);

#endif
