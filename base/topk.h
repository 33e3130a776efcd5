/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topk.h - which few of very many keys are used most just now
 *
 * A table of fixed size, whatever the number of keys (the space-saving
 * algorithm): each has a weight, and a key that is not in the full table
 * takes the place of the lightest and inherits its weight as an error, so no
 * key that has more than 1/size of all weight is ever missing. Weights fade,
 * by a tenth every TOPK_TICK, so that what was used long ago makes room.
 *
 * What is told of a key is never more than what it really had: the inherited
 * part is left out. Not locked.
 */
#ifndef BASE_TOPK_H
#define BASE_TOPK_H

#include "base/base.h"

#define TOPK_TICK INT64_C(10000000000) /* ns; a weight halves in 66 s */

struct topk;

struct topk_row {
	struct str key;  /* borrowed until the next topk_add() */
	uint64_t weight; /* all of it since the key came into the table */
	uint64_t times;  /* the same of what was counted */
	double per_s;    /* weight a second, lately */
};

int topk_new(size_t size, struct topk **out); /* 0 or -ENOMEM */
void topk_free(struct topk *t);               /* NULL is allowed */

/*
 * The key, which is copied, was used `times` times more, with that weight in
 * all. now: clock_ns(), never less than before. -ENOMEM: it was not counted.
 */
int topk_add(struct topk *t, struct str key, uint64_t weight, uint64_t times,
	     int64_t now);

/* The heaviest first; how many, at most max. Those that have faded are left
 * out. */
size_t topk_rows(struct topk *t, int64_t now, struct topk_row *out, size_t max);

#endif
