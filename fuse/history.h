/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - the last hour of a few counters, for /-/history
 *
 * So that who opens the page later sees what was before. A sample every ten
 * seconds, taken by the signals' thread, which has nothing else to do. As the
 * counters are (base/stats.h) it is the process's, also where a mount serves
 * as a worker beside; the samples are 20 KB.
 */
#ifndef FUSE_HISTORY_H
#define FUSE_HISTORY_H

#include <stdint.h>

#define HISTORY_EVERY_MS 10000
#define HISTORY_MAX 361

/* A member of the JSON, and the counters whose sum it is. */
#define HISTORY(X)                                                             \
	X(ssd_bytes, STAT_ssd_bytes)                                           \
	X(peer_bytes, STAT_peer_bytes)                                         \
	X(store_bytes, STAT_store_bytes)                                       \
	X(requests, STAT_store_get, STAT_store_head, STAT_store_list)          \
	X(errors, STAT_store_errors, STAT_peer_errors, STAT_ssd_errors)

/* A sample of now. */
void history_take(int64_t now);

/*
 * {"every_s": 10, "age_ms": [...], "ssd_bytes": [...], ...}: the counters as
 * they were so long ago, the oldest first and now last. JSON on the heap, or
 * NULL.
 */
char *history_text(int64_t now);

#endif
