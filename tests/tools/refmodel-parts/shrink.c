/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shrink.c - delta debugging over a list
 */
#include "tests/tools/refmodel-parts/shrink.h"

#include <time.h>

/* Skip up to `run` more from *at on, which moves behind them; how many. */
static size_t skip_run(bool *skip, size_t n, size_t *at, size_t run)
{
	size_t taken = 0;

	for (; *at < n && taken < run; ++*at)
		if (!skip[*at]) {
			skip[*at] = true;
			taken++;
		}
	return taken;
}

static size_t left(const bool *skip, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += !skip[i];
	return sum;
}

void shrink(bool *skip, size_t n, shrink_fails *fails, void *arg,
	    unsigned seconds)
{
	time_t end = time(NULL) + seconds;
	bool *tried = malloc(n);
	size_t run = MAX(left(skip, n) / 2, 1);

	must(tried == NULL);
	while (time(NULL) < end) {
		bool smaller = false;

		for (size_t at = 0; at < n && time(NULL) < end;) {
			memcpy(tried, skip, n);
			if (skip_run(tried, n, &at, run) > 0 &&
			    fails(arg, tried)) {
				memcpy(skip, tried, n);
				smaller = true;
			}
		}
		if (run == 1 && !smaller)
			break;
		run = MAX(run / 2, 1);
	}
	free(tried);
}
