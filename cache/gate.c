/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.c - how many threads may wait for a disk that stalls
 */
#include "cache/gate.h"

#include "base/clock.h"
#include "cache/cache_impl.h"

void gate_init(struct gate *g)
{
	*g = (struct gate){ .in = 0 };
	lock_init(&g->lock, RANK_LEAF);
	event_init(&g->left);
}

void gate_fini(struct gate *g)
{
	event_fini(&g->left);
	lock_fini(&g->lock);
}

bool gate_enter(struct gate *g)
{
	bool enters;

	lock_take(&g->lock);
	while (g->in >= GATE_MAX && clock_ns() - g->moved < DISK_HEDGE_NS)
		event_wait_until(&g->left, &g->lock, g->moved + DISK_HEDGE_NS);
	enters = g->in < GATE_MAX;
	if (enters && g->in++ == 0)
		g->moved = clock_ns();
	lock_drop(&g->lock);
	return enters;
}

void gate_leave(struct gate *g)
{
	lock_take(&g->lock);
	g->in--;
	g->moved = clock_ns();
	event_signal(&g->left);
	lock_drop(&g->lock);
}
