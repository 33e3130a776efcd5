/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turns.h - which of the loop's threads listens to /dev/fuse
 *
 * The kernel wakes the threads that sleep in read(2) of /dev/fuse in turn,
 * one for each request: with four of them on two processors nearly every
 * open of a small file paid for a sleeping thread's wake-up, and for the
 * cold caches of a thread that did not serve the one before. So only as many
 * listen as have the turn, and who has it keeps it through requests that are
 * brief: what arrives meanwhile queues in the kernel and is read without
 * anybody sleeping. Before a request that may take longer (a large read, a
 * listing) the turn is given to a thread that waits for it. Measured, warm
 * opens and reads of 110 KB by 8 threads on 2 processors: 48,000 a second
 * and 14 us of the daemon's CPU each, against 33,000 and 28 us without.
 * What is brief most of the time (a lookup, a small write) gives the turn away
 * by itself before it does what is not.
 *
 * No request is meant to wait on the thread that read it. Should one do so
 * all the same, one of those who wait notices within seconds that nobody
 * listens, and does.
 */
#ifndef FUSE_TURNS_H
#define FUSE_TURNS_H

#include <stdatomic.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/lock.h"

struct turns {
	unsigned most; /* set once: who may have the turn at once */

	struct lock lock;
	/* under lock */
	struct event freed;
	atomic_uint taken; /* more than most after somebody was stuck */
	bool watched;      /* by one of those who wait */

	atomic_uint reading; /* threads inside read(2) */
	atomic_uint seen;    /* requests read, modulo 2^32 */
};

/* For a machine of so many processors. */
void turns_init(struct turns *t, unsigned cpus);
void turns_fini(struct turns *t);

/*
 * read(2) of a request, once it is this thread's turn. Both waits are
 * cancellation points (libfuse ends its threads by pthread_cancel); a thread
 * that ends with the turn takes it along, so all are to be ended together.
 */
ssize_t turns_read(struct turns *t, int fd, void *buf, size_t len);

/* What this thread has read takes longer than it seemed: others listen. */
void turns_leave(struct turns *t);

#endif
