/* SPDX-License-Identifier: Apache-2.0 */
/*
 * comps.h - a set of names of one directory, as components of keys
 *
 * Filled, then sorted once, then asked.
 */
#ifndef FUSE_COMPS_H
#define FUSE_COMPS_H

#include "base/base.h"
#include "ufs/encode.h"

struct comps {
	struct text text;    /* each with its NUL */
	const char **sorted; /* NULL: not yet, or there are none */
	size_t n;
};

/* comp holds no NUL. */
void comps_add(struct comps *c, struct str comp);

/* -ENOMEM, also of what was added. */
int comps_sort(struct comps *c);

bool comps_have(const struct comps *c, struct str comp);

/* Without any, as when it is all zeros. */
void comps_fini(struct comps *c);

#endif
