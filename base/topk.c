/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topk.c - which few of very many keys are used most just now
 *
 * The tables are small: they are searched from end to end.
 */
#include "base/topk.h"

#include <errno.h>
#include <xxhash.h>

#define KEPT 0.9   /* of a weight, a tick later */
#define FADED 0.01 /* weights below are none */

struct entry {
	char *key; /* owned; NULL: a free place */
	size_t n;
	uint64_t hash;
	double weight; /* with what was inherited */
	double error;  /* that part of it */
	uint64_t all, times;
};

struct topk {
	size_t size;
	int64_t tick; /* the last one that was taken into account */
	struct entry e[];
};

int topk_new(size_t size, struct topk **out)
{
	struct topk *t = calloc(1, sizeof(*t) + size * sizeof(t->e[0]));

	if (t == NULL)
		return -ENOMEM;
	t->size = size;
	*out = t;
	return 0;
}

void topk_free(struct topk *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->size; i++)
		free(t->e[i].key);
	free(t);
}

static void fade(struct topk *t, int64_t now)
{
	int64_t ticks = now / TOPK_TICK - t->tick;
	double kept = 1;

	if (ticks <= 0)
		return;
	t->tick += ticks;
	/* After that many nothing is left of anything. */
	for (; ticks > 0 && kept > 1e-30; ticks--)
		kept *= KEPT;
	for (size_t i = 0; i < t->size; i++) {
		t->e[i].weight *= kept;
		t->e[i].error *= kept;
	}
}

/* Its place, or a free one, or the lightest. */
static struct entry *place(struct topk *t, struct str key, uint64_t hash)
{
	struct entry *lightest = &t->e[0];

	for (size_t i = 0; i < t->size; i++) {
		struct entry *e = &t->e[i];

		if (e->key != NULL && e->hash == hash &&
		    str_eq((struct str){ e->key, e->n }, key))
			return e;
		if (lightest->key != NULL &&
		    (e->key == NULL || e->weight < lightest->weight))
			lightest = e;
	}
	return lightest;
}

int topk_add(struct topk *t, struct str key, uint64_t weight, uint64_t times,
	     int64_t now)
{
	uint64_t hash = XXH3_64bits(key.p, key.n);
	struct entry *e;

	fade(t, now);
	e = place(t, key, hash);
	if (e->key == NULL || e->hash != hash ||
	    !str_eq((struct str){ e->key, e->n }, key)) {
		char *copy = str_dup(key);

		if (copy == NULL)
			return -ENOMEM;
		free(e->key);
		e->key = copy;
		e->n = key.n;
		e->hash = hash;
		e->error = e->weight;
		e->all = e->times = 0;
	}
	e->weight += (double)weight;
	e->all += weight;
	e->times += times;
	return 0;
}

static double own(const struct entry *e)
{
	return e->weight - e->error;
}

static int by_weight(const void *a, const void *b)
{
	double x = own(*(struct entry *const *)a);
	double y = own(*(struct entry *const *)b);

	return (x < y) - (x > y);
}

size_t topk_rows(struct topk *t, int64_t now, struct topk_row *out, size_t max)
{
	AUTO_FREE struct entry **sorted = calloc(t->size, sizeof(*sorted));
	size_t n = 0;

	if (sorted == NULL)
		return 0;
	fade(t, now);
	for (size_t i = 0; i < t->size; i++)
		if (t->e[i].key != NULL && own(&t->e[i]) >= FADED)
			sorted[n++] = &t->e[i];
	if (n > 0)
		qsort(sorted, n, sizeof(struct entry *), by_weight);
	for (size_t i = 0; i < n && i < max; i++)
		out[i] = (struct topk_row){
			.key = { sorted[i]->key, sorted[i]->n },
			.weight = sorted[i]->all,
			.times = sorted[i]->times,
			/* What a steady stream of it amounts to. */
			.per_s = own(sorted[i]) * (1 - KEPT) * 1e9 /
				 (double)TOPK_TICK,
		};
	return MIN(n, max);
}
