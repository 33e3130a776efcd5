/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health.h - does the store answer? for /-/health
 *
 * Asked at most every ten seconds, whoever wants to know, and by one at a time,
 * who waits until it has answered or failed. Who comes meanwhile gets the last
 * answer at once.
 */
#ifndef FUSE_HEALTH_H
#define FUSE_HEALTH_H

#include "base/base.h"
#include "base/cancel.h"
#include "base/lock.h"
#include "ufs/ufs.h"

struct health {
	struct lock lock;
	/* under lock */
	int64_t at;  /* when it was last asked; 0: never */
	bool asking; /* somebody waits for it */
	int err;
	char words[256];
};

void health_init(struct health *h);
void health_fini(struct health *h);

/* Would health_ask() ask the store now, and wait for it? */
bool health_due(struct health *h);

/* What was last heard of it, as health_ask(); 0 before that. Does not block. */
int health_last(struct health *h, char words[static 256]);

/* 0, or -errno and what is wrong in words. May block. */
int health_ask(struct health *h, struct ufs *u, struct cancel *cancel,
	       char words[static 256]);

#endif
