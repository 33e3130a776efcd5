/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.h - how many threads may wait for a disk that stalls
 *
 * Threads that read a cached listing pass a gate. While the disk answers it
 * costs a lock, and a full gate a wait for the next who leaves. When nobody
 * has left a full gate for as long as a read is given before it is hedged
 * (DISK_HEDGE_NS), the disk stalls: nobody enters until somebody leaves, and
 * who does not enter asks the store instead. So at most GATE_MAX threads of a
 * pool are ever stuck with the disk, and the others serve on.
 */
#ifndef CACHE_GATE_H
#define CACHE_GATE_H

#include "base/base.h"
#include "base/lock.h"

#define GATE_MAX 8

struct gate {
	struct lock lock;
	/* under lock */
	struct event left;
	unsigned in;
	int64_t moved; /* when somebody last left, or entered it empty */
};

void gate_init(struct gate *g);
void gate_fini(struct gate *g);

/* False: the disk stalls. Else gate_leave() is to be called. */
bool gate_enter(struct gate *g);
void gate_leave(struct gate *g);

#endif
