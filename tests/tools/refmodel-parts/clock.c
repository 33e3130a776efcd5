/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.c - base/clock.h for the reference model
 *
 * Linked in place of base/clock.c: minutes pass at a word, so that a run
 * meets times to live of the length that mounts have. Waits look at the clock
 * again at least every ten seconds, and none of a run is longer than that.
 */
#include "tests/tools/refmodel-parts/clock.h"

#include <stdatomic.h>
#include <time.h>

#include "base/base.h"
#include "base/clock.h"

static _Atomic int64_t forward;

static int64_t clock_read(clockid_t id)
{
	struct timespec ts;

	must(clock_gettime(id, &ts));
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

void clock_forward(int64_t ns)
{
	atomic_fetch_add(&forward, ns);
}

int64_t clock_ns(void)
{
	return clock_read(CLOCK_BOOTTIME) + atomic_load(&forward);
}

int64_t clock_wall_ns(void)
{
	return clock_read(CLOCK_REALTIME);
}

const char *clock_boot_id(void)
{
	return "00000000-0000-0000-0000-00000000000b";
}
