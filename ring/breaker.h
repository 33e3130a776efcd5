/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.h - whether a worker is worth asking
 *
 * Each worker has one. It is up until BREAKER_FAILURES requests failed in a
 * row, then down: nobody asks it for BREAKER_DOWN_NS, and then one request
 * may, the probe, for which its reader does not wait (tier_race.c). What
 * becomes of the probe decides: up, or down as long again. Who gave a wrong
 * answer is quarantined, which is the same for BREAKER_QUARANTINE_NS at once.
 *
 *         up --3 failures--> down --5 s, one probe--> up, or down again
 *          \--wrong------> quarantined --60 s, one probe--> up, or back
 *
 * A state machine and nothing else: the caller has the clock and the lock.
 */
#ifndef RING_BREAKER_H
#define RING_BREAKER_H

#include "base/base.h"

#define BREAKER_FAILURES 3
#define BREAKER_DOWN_NS (INT64_C(5) * 1000000000)
#define BREAKER_QUARANTINE_NS (INT64_C(60) * 1000000000)

enum breaker_state { BREAKER_UP, BREAKER_DOWN, BREAKER_QUARANTINED };

/* All 0: up. */
struct breaker {
	enum breaker_state state;
	unsigned failures; /* in a row */
	int64_t until;     /* when a probe may go, clock_ns() */
	bool probing;      /* one is under way */
};

enum breaker_leave { BREAKER_NO, BREAKER_YES, BREAKER_PROBE };

/*
 * May it be asked now? What is not BREAKER_NO is followed by exactly one of
 * the four calls below, which are told whether it was the probe.
 */
enum breaker_leave breaker_ask(struct breaker *b, int64_t now);

/* It answered, if only with a refusal. True: it has come up by that. */
bool breaker_good(struct breaker *b, bool probe);
/* It did not. True: it has gone down by that, or stayed down. */
bool breaker_bad(struct breaker *b, bool probe, int64_t now);
/* It answered wrongly. True: it is quarantined by that, or once more. */
bool breaker_wrong(struct breaker *b, bool probe, int64_t now);
/* The request was given up before it said anything. */
void breaker_nothing(struct breaker *b, bool probe);

/* "up", "down", "quarantined". */
const char *breaker_state_name(enum breaker_state s);

#endif
