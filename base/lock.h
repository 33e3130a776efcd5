/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - mutexes with an order
 *
 * The rank is the lock order: a thread may take a lock only of a higher rank
 * than any it holds. Debug and sanitized builds (LOCK_DEBUG) abort on a
 * breach; clang's -Wthread-safety proves that callers hold what a function
 * with TSA(requires_capability()) needs. No lock is held across I/O.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__clang__)
#define TSA(x) __attribute__((x))
#else
#define TSA(x)
#endif

/* Take from top to bottom. */
enum lock_rank {
	RANK_CONTROL, /* control interface: jobs */
	RANK_FLOCKS,  /* locks that processes hold on files */
	RANK_INODES,  /* inode table */
	RANK_META,    /* metadata: listings being read, negative answers */
	RANK_STAGED,  /* one file being written */
	RANK_OBJECTS, /* table of objects in use */
	RANK_OBJECT,  /* one object: its fills, its waiters, its streams */
	RANK_DISK,    /* one cache directory's state */
	RANK_STORE,   /* connections, credentials */
	RANK_BUFFERS, /* page buffers */
	RANK_POOL,    /* thread pools */
	RANK_LEAF,    /* nothing is taken below it */
};

struct TSA(capability("mutex")) lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);
void lock_take(struct lock *l) TSA(acquire_capability(*l));
void lock_drop(struct lock *l) TSA(release_capability(*l));

/* A condition, named for its event, waited for under a lock. */
struct event {
	pthread_cond_t cond;
};

void event_init(struct event *e);
void event_fini(struct event *e);
void event_signal(struct event *e);
void event_broadcast(struct event *e);
void event_wait(struct event *e, struct lock *l) TSA(requires_capability(*l));

/* Wait until deadline (clock_ns()). False when it passed. */
bool event_wait_until(struct event *e, struct lock *l, int64_t deadline)
    TSA(requires_capability(*l));

#endif
