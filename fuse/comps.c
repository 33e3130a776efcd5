/* SPDX-License-Identifier: Apache-2.0 */
/*
 * comps.c - a set of names of one directory, as components of keys
 */
#include "fuse/comps.h"

#include <errno.h>

void comps_add(struct comps *c, struct str comp)
{
	text_add(&c->text, comp.p, comp.n);
	text_add(&c->text, "", 1);
	c->n++;
}

static int by_name(const void *a, const void *b)
{
	return str_cmp(str_of(*(const char *const *)a),
		       str_of(*(const char *const *)b));
}

int comps_sort(struct comps *c)
{
	const char *at = c->text.p;

	if (c->text.failed)
		return -ENOMEM;
	if (c->n == 0)
		return 0;
	free(c->sorted);
	c->sorted = calloc(c->n, sizeof(*c->sorted));
	if (c->sorted == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		c->sorted[i] = at;
		at += strlen(at) + 1;
	}
	qsort(c->sorted, c->n, sizeof(*c->sorted), by_name);
	return 0;
}

static int to_name(const void *comp, const void *name)
{
	return str_cmp(*(const struct str *)comp,
		       str_of(*(const char *const *)name));
}

bool comps_have(const struct comps *c, struct str comp)
{
	return c->sorted != NULL &&
	       bsearch(&comp, c->sorted, c->n, sizeof(*c->sorted), to_name) !=
		   NULL;
}

void comps_fini(struct comps *c)
{
	text_fini(&c->text);
	free(c->sorted);
	*c = (struct comps){ .sorted = NULL };
}
