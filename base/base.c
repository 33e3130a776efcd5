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
	fprintf(stderr, "tarn: %s:%d: %s: %s\n", file, line, what, strerror(r));
	abort();
}

char *str_dup(struct str s)
{
	char *copy = malloc(s.n + 1);

	if (copy == NULL)
		return NULL;
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}
