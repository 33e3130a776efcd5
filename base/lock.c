/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.c - mutexes with an order
 *
 * In debug builds each thread remembers the ranks it holds as bits, so a
 * lock taken out of order aborts the first time, not the first deadlock.
 */
#include "base/lock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/base.h"
#include "base/clock.h"

#ifdef LOCK_DEBUG
static _Thread_local unsigned held; /* a bit a rank */

static void note_take(const struct lock *l)
{
	if ((held >> l->rank) != 0) {
		fprintf(stderr, "tarn: lock of rank %d taken under %#x\n",
			(int)l->rank, held);
		abort();
	}
	held |= 1u << l->rank;
}

static void note_drop(const struct lock *l)
{
	held &= ~(1u << l->rank);
}
#else
static void note_take(const struct lock *l)
{
	(void)l;
}

static void note_drop(const struct lock *l)
{
	(void)l;
}
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
	must(pthread_mutex_init(&l->mutex, NULL));
	l->rank = rank;
}

void lock_fini(struct lock *l)
{
	must(pthread_mutex_destroy(&l->mutex));
}

/* clang's analysis cannot see that a pthread mutex is what is acquired. */
#if defined(__clang__)
#define NO_ANALYSIS __attribute__((no_thread_safety_analysis))
#else
#define NO_ANALYSIS
#endif

NO_ANALYSIS void lock_take(struct lock *l)
{
	note_take(l);
	must(pthread_mutex_lock(&l->mutex));
}

NO_ANALYSIS void lock_drop(struct lock *l)
{
	note_drop(l);
	must(pthread_mutex_unlock(&l->mutex));
}

void event_init(struct event *e)
{
	pthread_condattr_t attr;

	must(pthread_condattr_init(&attr));
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	must(pthread_cond_init(&e->cond, &attr));
	must(pthread_condattr_destroy(&attr));
}

void event_fini(struct event *e)
{
	must(pthread_cond_destroy(&e->cond));
}

void event_signal(struct event *e)
{
	must(pthread_cond_signal(&e->cond));
}

void event_broadcast(struct event *e)
{
	must(pthread_cond_broadcast(&e->cond));
}

void event_wait(struct event *e, struct lock *l)
{
	note_drop(l);
	must(pthread_cond_wait(&e->cond, &l->mutex));
	note_take(l);
}

bool event_wait_until(struct event *e, struct lock *l, int64_t deadline)
{
	/* Conditions know CLOCK_MONOTONIC, not CLOCK_BOOTTIME. */
	int64_t left = MAX(deadline - clock_ns(), 0);
	struct timespec ts;
	int err;

	must(clock_gettime(CLOCK_MONOTONIC, &ts));
	left = MIN(left, INT64_MAX / 4);
	ts.tv_sec += left / NSEC_PER_SEC;
	ts.tv_nsec += left % NSEC_PER_SEC;
	if (ts.tv_nsec >= NSEC_PER_SEC) {
		ts.tv_nsec -= NSEC_PER_SEC;
		ts.tv_sec++;
	}
	note_drop(l);
	err = pthread_cond_timedwait(&e->cond, &l->mutex, &ts);
	note_take(l);
	if (err != ETIMEDOUT)
		must(err);
	return err == 0;
}
