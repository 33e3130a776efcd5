/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.c - the last hour of a few counters, for /-/history
 */
#include "fuse/history.h"

#include <jansson.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/stats.h"

#define ROW_ENUM(name, ...) HISTORY_##name,
enum history_row { HISTORY(ROW_ENUM) HISTORY_ROWS };
#undef ROW_ENUM

#define SUM_OF_MAX 4
#define ROW(name, ...) { #name, { __VA_ARGS__, STAT_COUNT } },
static const struct {
	const char *name;
	enum stat_id sum_of[SUM_OF_MAX + 1]; /* up to STAT_COUNT */
} rows[HISTORY_ROWS] = { HISTORY(ROW) };
#undef ROW

struct sample {
	int64_t at; /* clock_ns() */
	int64_t n[HISTORY_ROWS];
};

static struct {
	struct lock lock;
	/* under lock */
	size_t taken; /* ever; the latest is the one before taken % MAX */
	struct sample samples[HISTORY_MAX];
} h = { .lock = { PTHREAD_MUTEX_INITIALIZER, RANK_LEAF } };

static void look(struct sample *s, int64_t now)
{
	s->at = now;
	for (size_t i = 0; i < HISTORY_ROWS; i++) {
		s->n[i] = 0;
		for (const enum stat_id *id = rows[i].sum_of; *id != STAT_COUNT;
		     id++)
			s->n[i] += stat_read(*id);
	}
}

void history_take(int64_t now)
{
	lock_take(&h.lock);
	look(&h.samples[h.taken++ % HISTORY_MAX], now);
	lock_drop(&h.lock);
}

static void append(json_t *ages, json_t *const *columns, const struct sample *s,
		   int64_t now)
{
	json_array_append_new(
	    ages, json_integer(MAX(now - s->at, 0) / NSEC_PER_MSEC));
	for (size_t i = 0; i < HISTORY_ROWS; i++)
		json_array_append_new(columns[i], json_integer(s->n[i]));
}

char *history_text(int64_t now)
{
	char *text;
	json_t *out = json_object(), *ages = json_array();
	json_t *columns[HISTORY_ROWS];
	struct sample latest;
	size_t first;

	look(&latest, now);
	json_object_set_new(out, "every_s",
			    json_integer(HISTORY_EVERY_MS / 1000));
	json_object_set_new(out, "age_ms", ages);
	for (size_t i = 0; i < HISTORY_ROWS; i++) {
		columns[i] = json_array();
		json_object_set_new(out, rows[i].name, columns[i]);
	}
	lock_take(&h.lock);
	first = h.taken > HISTORY_MAX ? h.taken - HISTORY_MAX : 0;
	for (size_t i = first; i < h.taken; i++)
		append(ages, columns, &h.samples[i % HISTORY_MAX], now);
	lock_drop(&h.lock);
	append(ages, columns, &latest, now);
	text = json_dumps(out, JSON_COMPACT);
	json_decref(out);
	return text;
}
