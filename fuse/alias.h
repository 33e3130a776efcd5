/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alias.h - what has a name that stands for a longer one (N6)
 */
#ifndef FUSE_ALIAS_H
#define FUSE_ALIAS_H

#include "fuse/walk.h"

/*
 * The step of walk_step() for a name whose key nk is NAME_LONG: each entry of
 * the directory that it may stand for is given its name, also what is only
 * being written. Blocks.
 */
int alias_find(const struct walk_dir *d, struct str name,
	       const struct name_key *nk, struct walk *out,
	       struct cancel *cancel);

#endif
