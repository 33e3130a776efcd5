/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.c - the numbers of stats.h
 *
 * Each has a cache line of its own: threads that count different things do
 * not slow each other down.
 */
#include "base/stats.h"

#include <stdalign.h>
#include <stdatomic.h>

#define CACHE_LINE 64

static struct {
	alignas(CACHE_LINE) _Atomic int64_t value;
} numbers[STAT_COUNT];

#define STATS_ROW(kind, name, help) { #name, help, STAT_##kind },
static const struct {
	const char *name, *help;
	enum stat_kind kind;
} rows[STAT_COUNT] = { STATS(STATS_ROW) };

void stat_add(enum stat_id s, int64_t n)
{
	atomic_fetch_add_explicit(&numbers[s].value, n, memory_order_relaxed);
}

int64_t stat_read(enum stat_id s)
{
	return atomic_load_explicit(&numbers[s].value, memory_order_relaxed);
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
