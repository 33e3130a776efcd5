/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.c - see breaker.h
 *
 * Answers to requests that were sent before the state changed come late. A
 * good one still shows that a worker that is down is alive; a failure says
 * nothing new, and a quarantine is only ended by a probe.
 */
#include "ring/breaker.h"

enum breaker_leave breaker_ask(struct breaker *b, int64_t now)
{
	if (b->state == BREAKER_UP)
		return BREAKER_YES;
	if (b->probing || now < b->until)
		return BREAKER_NO;
	b->probing = true;
	return BREAKER_PROBE;
}

bool breaker_good(struct breaker *b, bool probe)
{
	bool rose;

	if (probe)
		b->probing = false;
	else if (b->state == BREAKER_QUARANTINED)
		return false;
	rose = b->state != BREAKER_UP;
	b->state = BREAKER_UP;
	b->failures = 0;
	return rose;
}

bool breaker_bad(struct breaker *b, bool probe, int64_t now)
{
	if (probe) {
		b->probing = false;
		/* What is wrong with one in quarantine is known for longer. */
		b->until = now + (b->state == BREAKER_QUARANTINED
				      ? BREAKER_QUARANTINE_NS
				      : BREAKER_DOWN_NS);
		return b->state != BREAKER_UP;
	}
	if (b->state != BREAKER_UP || ++b->failures < BREAKER_FAILURES)
		return false;
	b->state = BREAKER_DOWN;
	b->until = now + BREAKER_DOWN_NS;
	return true;
}

bool breaker_wrong(struct breaker *b, bool probe, int64_t now)
{
	bool known = b->state == BREAKER_QUARANTINED && !probe;

	if (probe)
		b->probing = false;
	b->state = BREAKER_QUARANTINED;
	b->failures = 0;
	b->until = now + BREAKER_QUARANTINE_NS;
	return !known;
}

void breaker_nothing(struct breaker *b, bool probe)
{
	if (probe)
		b->probing = false;
}

const char *breaker_state_name(enum breaker_state s)
{
	static const char *const names[] = {
		[BREAKER_UP] = "up",
		[BREAKER_DOWN] = "down",
		[BREAKER_QUARANTINED] = "quarantined",
	};

	return names[s];
}
