/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health.c - does the store answer? for /-/health
 */
#include "fuse/health.h"

#include <stdio.h>

#include "base/clock.h"

#define HEALTH_EVERY (10 * NSEC_PER_SEC)

void health_init(struct health *h)
{
	memset(h, 0, sizeof(*h));
	lock_init(&h->lock, RANK_CONTROL);
}

void health_fini(struct health *h)
{
	lock_fini(&h->lock);
}

static int no_entry(void *arg, const struct ufs_entry *e)
{
	(void)arg;
	(void)e;
	return 0;
}

static bool due_locked(const struct health *h) TSA(requires_capability(h->lock))
{
	return !h->asking && (h->at == 0 || clock_ns() - h->at > HEALTH_EVERY);
}

bool health_due(struct health *h)
{
	bool due;

	lock_take(&h->lock);
	due = due_locked(h);
	lock_drop(&h->lock);
	return due;
}

int health_last(struct health *h, char words[static 256])
{
	int r;

	lock_take(&h->lock);
	r = h->err;
	memcpy(words, h->words, 256);
	lock_drop(&h->lock);
	return r;
}

int health_ask(struct health *h, struct ufs *u, struct cancel *cancel,
	       char words[static 256])
{
	struct ufs_list q = { .prefix = STR_EMPTY,
			      .after = STR_EMPTY,
			      .max = 1 };
	AUTO_FREE char *token = NULL;
	bool ask;
	int r;

	lock_take(&h->lock);
	ask = due_locked(h);
	if (ask) {
		h->at = clock_ns();
		h->asking = true;
	}
	lock_drop(&h->lock);
	if (!ask)
		return health_last(h, words);
	r = u->ops->list(u, &q, &token, no_entry, NULL, cancel);
	snprintf(words, 256, "%s",
		 r == 0                        ? ""
		 : ufs_last_error()[0] != '\0' ? ufs_last_error()
					       : strerror(-r));
	lock_take(&h->lock);
	h->asking = false;
	h->err = r;
	memcpy(h->words, words, 256);
	lock_drop(&h->lock);
	return r;
}
