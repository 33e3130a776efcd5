/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.h - one thread that takes all signals
 *
 * Signals are blocked in every thread; this one reads them from a signalfd,
 * so what they start may log, lock and allocate.
 */
#ifndef FUSE_SIGNALS_H
#define FUSE_SIGNALS_H

struct signals;

/*
 * Runs on the signals' thread: SIGTERM and SIGINT, SIGHUP, SIGUSR1; and tick
 * (NULL: nothing) once in so many ms, or a little later.
 */
struct signals_do {
	void *arg;
	void (*end)(void *arg);
	void (*reload)(void *arg);
	void (*dump)(void *arg);
	void (*tick)(void *arg);
	int tick_ms;
};

/* Block the four, ignore SIGPIPE: before any thread is made. */
void signals_block(void);

int signals_start(const struct signals_do *what, struct signals **out);
void signals_stop(struct signals *s); /* NULL is allowed */

#endif
