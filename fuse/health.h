/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health.h - does the store answer? for /-/health
 *
 * Asked at most every ten seconds, whoever wants to know; who comes meanwhile
 * gets the last answer.
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
	int64_t at;
	int err;
	char words[256];
};

void health_init(struct health *h);
void health_fini(struct health *h);

/* 0, or -errno and what is wrong in words. May block. */
int health_ask(struct health *h, struct ufs *u, struct cancel *cancel,
	       char words[static 256]);

#endif
