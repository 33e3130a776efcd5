/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.c - the abort for what cannot fail, and copies of spans
 */
#include "base/base.h"

#include <stdio.h>

void base_must(int r, const char *what, const char *file, int line)
{
	if (r == 0)
		return;
	/*
	 * Not through log.c: this is a fault of our own, maybe with locks
	 * held, and the line shall stand beside the abort in any case.
	 */
	if (r == -1)
		fprintf(stderr, "tarn: %s:%d: %s failed: %m\n", file, line,
			what);
	else
		fprintf(stderr, "tarn: %s:%d: %s failed: %d (%s)\n", file, line,
			what, r, strerrordesc_np(r < 0 ? -r : r));
	abort();
}

char *str_dup(struct str s)
{
	char *copy;

	if (s.n == SIZE_MAX)
		return NULL;
	copy = malloc(s.n + 1);
	if (copy == NULL)
		return NULL;
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}
