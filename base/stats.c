/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.c - every number tarn counts
 */
#include "base/stats.h"

#include <stdatomic.h>

#define COUNTER STAT_COUNTER
#define GAUGE STAT_GAUGE
#define ROW(kind, name, help) { kind, #name, help },

static const struct {
	enum stat_kind kind;
	const char *name;
	const char *help;
} rows[] = { STATS(ROW) };

static _Atomic int64_t values[STAT_COUNT];

void stat_add(enum stat_id s, int64_t n)
{
	atomic_fetch_add_explicit(&values[s], n, memory_order_relaxed);
}

int64_t stat_read(enum stat_id s)
{
	return atomic_load_explicit(&values[s], memory_order_relaxed);
}

const char *stat_name(enum stat_id s)
{
	return rows[s].name;
}

const char *stat_help(enum stat_id s)
{
	return rows[s].help;
}

enum stat_kind stat_kind(enum stat_id s)
{
	return rows[s].kind;
}
