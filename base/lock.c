/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.c - mutexes that know their order
 *
 * With LOCK_DEBUG each thread keeps the stack of the locks it holds. Taking
 * one whose rank is not above all of them, dropping or waiting under one that
 * is not held, and ending a thread's use of a held lock abort and name both
 * ranks: a deadlock that would need two unlucky threads is found by one.
 */
#include "base/lock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/base.h"
#include "base/clock.h"

/* Suspend stops CLOCK_MONOTONIC: look at CLOCK_BOOTTIME this often. */
#define WAIT_STEP_NS (10 * NSEC_PER_SEC)

#ifdef LOCK_DEBUG

#define HELD_MAX 16

static _Thread_local struct {
	const struct lock *locks[HELD_MAX];
	unsigned n;
} held;

_Noreturn static void breach(const char *what, const struct lock *l)
{
	fprintf(stderr,
		"tarn: lock %p of rank %d: %s; held ranks:", (const void *)l,
		(int)l->rank, what);
	for (unsigned i = 0; i < held.n; i++)
		fprintf(stderr, " %d", (int)held.locks[i]->rank);
	fputc('\n', stderr);
	abort();
}

static bool held_find(const struct lock *l, unsigned *at)
{
	for (unsigned i = held.n; i > 0; i--)
		if (held.locks[i - 1] == l) {
			*at = i - 1;
			return true;
		}
	return false;
}

static void held_push(const struct lock *l)
{
	for (unsigned i = 0; i < held.n; i++)
		if (held.locks[i]->rank >= l->rank)
			breach("taken out of order", l);
	if (held.n == HELD_MAX)
		breach("more locks than ranks", l);
	held.locks[held.n++] = l;
}

static void held_pop(const struct lock *l)
{
	unsigned at;

	if (!held_find(l, &at))
		breach("dropped by a thread that does not hold it", l);
	held.n--;
	for (; at < held.n; at++)
		held.locks[at] = held.locks[at + 1];
}

static void held_check(const struct lock *l)
{
	unsigned at;

	if (!held_find(l, &at))
		breach("waited under without being held", l);
}

static void held_not(const struct lock *l)
{
	unsigned at;

	if (held_find(l, &at))
		breach("destroyed while held", l);
}

#else

static inline void held_push(const struct lock *l)
{
	(void)l;
}

static inline void held_pop(const struct lock *l)
{
	(void)l;
}

static inline void held_check(const struct lock *l)
{
	(void)l;
}

static inline void held_not(const struct lock *l)
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
	held_not(l);
	must(pthread_mutex_destroy(&l->mutex));
}

/* The analysis cannot see into pthread: here the capability is made. */
TSA(no_thread_safety_analysis) void lock_take(struct lock *l)
{
	held_push(l);
	must(pthread_mutex_lock(&l->mutex));
}

TSA(no_thread_safety_analysis) void lock_drop(struct lock *l)
{
	held_pop(l);
	must(pthread_mutex_unlock(&l->mutex));
}

void event_init(struct event *e)
{
	pthread_condattr_t attr;

	must(pthread_condattr_init(&attr));
	/* BOOTTIME is not allowed here: event_wait_until() converts. */
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
	held_check(l);
	must(pthread_cond_wait(&e->cond, &l->mutex));
}

bool event_wait_until(struct event *e, struct lock *l, int64_t deadline)
{
	held_check(l);
	for (;;) {
		int64_t now = clock_ns(), left;
		struct timespec ts;
		int r;

		if (deadline <= now)
			return false;
		left = MIN(deadline - now, WAIT_STEP_NS);
		must(clock_gettime(CLOCK_MONOTONIC, &ts));
		left += ts.tv_nsec;
		ts.tv_sec += (time_t)(left / NSEC_PER_SEC);
		ts.tv_nsec = (long)(left % NSEC_PER_SEC);
		r = pthread_cond_timedwait(&e->cond, &l->mutex, &ts);
		if (r == 0)
			return true;
		if (r != ETIMEDOUT)
			must(r);
	}
}
