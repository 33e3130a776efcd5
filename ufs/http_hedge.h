/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_hedge.h - when a request is slow enough to be sent a second time
 *
 * How long a store takes to its answer's head is counted by kind of request.
 * One that takes much longer than nearly all of the last thousand is probably
 * stuck on a bad connection or a bad server, and sent again on a connection
 * of its own; the first answer counts. A budget keeps that to about 3 % of
 * all requests, whatever the store does.
 */
#ifndef UFS_HTTP_HEDGE_H
#define UFS_HTTP_HEDGE_H

#include <stdatomic.h>

#include "base/base.h"

enum hedge_kind { HEDGE_GET, HEDGE_HEAD, HEDGE_LIST, HEDGE_KINDS };

#define HEDGE_BUCKETS 84

struct hedge {
	/* atomic, all of it: a number that is a moment old does no harm */
	struct hedge_times {
		_Atomic uint32_t bucket[HEDGE_BUCKETS];
		_Atomic uint32_t n;
		_Atomic int64_t after; /* ns, 0 = not known yet */
	} times[HEDGE_KINDS];
	_Atomic int32_t tokens; /* 1/HEDGE_ONE_IN */
};

#define HEDGE_ONE_IN 32 /* requests that allow a hedge */

/* After how long a request is sent again, in ns; 0: never. */
int64_t hedge_after(const struct hedge *h, enum hedge_kind kind);

/* An answer's head came, or was given up, after ns. */
void hedge_note(struct hedge *h, enum hedge_kind kind, int64_t ns);

/* May it be sent again now? Then that is paid for. */
bool hedge_take(struct hedge *h);

#endif
