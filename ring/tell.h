/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tell.h - a word to one worker, or to all of a ring
 *
 * What workers are told, and asked for, below /-/: to forget, to load, how far
 * they are. All are asked side by side, each once; who does not answer by the
 * deadline is said to be silent, and holds up nobody else.
 */
#ifndef RING_TELL_H
#define RING_TELL_H

#include "base/base.h"
#include "base/cancel.h"
#include "ring/access.h"

struct tell {
	/* set by the caller; borrowed */
	const char *worker; /* "host:port" */
	const char *path;   /* "/-/load" */
	const char *body;   /* to be sent (POST); NULL: a GET */

	/*
	 * What came of it. err 0: an answer, whatever it says; -ECONNREFUSED,
	 * -EHOSTUNREACH (its name, its network), -ETIMEDOUT (it is silent),
	 * -ECANCELED, -ENOMEM, or -EIO (what it sent is no answer).
	 */
	int err;
	unsigned status;
	char *answer; /* its n bytes and a NUL, on the heap; NULL: none */
	size_t n;
	char words[256]; /* of err, for people */
};

/*
 * Tell them all. 0 when each has an end, good or bad; -ENOMEM or -EIO when
 * nobody could be asked. deadline: clock_ns(). tell_fini() in any case.
 */
int tell_all(const struct ring_access *a, struct tell *t, size_t n,
	     int64_t deadline, struct cancel *cancel);
void tell_fini(struct tell *t, size_t n);

/* Is "host:port" what was written? No slash, and digits behind a colon. */
bool tell_is_worker(const char *text);

#endif
