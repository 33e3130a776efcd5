/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename_over.c - what a mount that died had renamed something over
 *
 * That may have been acknowledged, and wait for its commit. It is found by its
 * records: a file has the name that its newest generation has, and those of its
 * generations count that were acknowledged before the rename began.
 */
#include "cache/rename_impl.h"

#include <errno.h>

#include "cache/recover.h"

/* A generation of a file. */
struct generation {
	char id[STAGED_ID + 1], line[STAGED_ID + 1];
	uint64_t number;
	bool there; /* it is called so */
	bool acked; /* before the rename began */
};

static int note(void *arg, struct recover_record *r)
{
	struct replaced *p = arg;
	const struct ufs *u = p->staging->ufs;
	struct generation *g;

	if (r->err != 0 || r->live || strcmp(r->store, u->store) != 0 ||
	    strcmp(r->prefix, u->prefix) != 0)
		return 0;
	if (p->n == p->room) {
		size_t room = p->room * 2 + 16;

		g = realloc(p->all, room * sizeof(*g));
		if (g == NULL)
			return -ENOMEM;
		p->all = g;
		p->room = room;
	}
	g = &p->all[p->n++];
	memcpy(g->id, r->id, sizeof(g->id));
	memcpy(g->line, r->line, sizeof(g->line));
	g->number = r->generation;
	g->there = str_eq(p->to, (struct str){ r->key, r->key_len });
	g->acked = r->acked && r->recorded < p->before;
	return 0;
}

/* A file is called as its newest generation. */
static bool is_replaced(const struct replaced *p, const struct generation *g)
{
	const struct generation *newest = g;

	if (!g->acked)
		return false;
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->all[i].line, g->line) == 0 &&
		    p->all[i].number > newest->number)
			newest = &p->all[i];
	return newest->there;
}

bool replaced_find(struct replaced *p)
{
	size_t n = 0;

	if (recover_each_in(p->staging->dir, note, p) < 0)
		return false;
	for (size_t i = 0; i < p->n; i++)
		n += is_replaced(p, &p->all[i]);
	return n > 0;
}

void replaced_drop(struct replaced *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (is_replaced(p, &p->all[i]))
			staged_remove_files(p->staging, p->all[i].id);
	/* A power cut is not to bring them back. */
	(void)fsync(p->staging->dir);
}

void replaced_fini(struct replaced *p)
{
	free(p->all);
}
