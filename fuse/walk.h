/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.h - one step of a path: a name in a directory to what it means
 *
 * Joins names.h (rules N1 to N6) with meta.h (what is there). Used by LOOKUP
 * and by the control interface's paths, so that both agree; but those are of
 * what the store has (paths.c), and what is only being written is not.
 *
 * What is being written has its path (S16), also when others have removed its
 * directory from the store, or put an object in its place: a directory below
 * which something is being written is there. That is asked before the store is
 * and after: once it is committed the store has it.
 */
#ifndef FUSE_WALK_H
#define FUSE_WALK_H

#include "base/base.h"
#include "base/cancel.h"
#include "cache/meta.h"
#include "fuse/inodes.h"
#include "fuse/names.h"

struct walk {
	enum inode_type type;
	char comp[UFS_KEY_MAX + 1];
	size_t n;
	struct ufs_stat st; /* of a file or data */
	int64_t until;      /* how long this, or -ENOENT, may be believed */
};

/* A directory whose names are asked for. */
struct walk_dir {
	struct meta *meta;
	struct str key;
	/* NULL: what is only being written does not count. */
	struct inodes *inodes;
	uint64_t nodeid;
};

/*
 * What is name in the directory? -ENOENT (out->until says for how long), or
 * the lookup's error. The fast one: -EAGAIN when the store or a listing's file
 * must be asked.
 */
int walk_step_fast(const struct walk_dir *d, struct str name, struct walk *out);
int walk_step(const struct walk_dir *d, struct str name, struct walk *out,
	      struct cancel *cancel);

/*
 * What a listing's entry is, and the name it has: into name[NAME_LEN_MAX+1],
 * its length returned; comp is borrowed from the entry.
 */
size_t walk_entry(const struct listing_entry *e, enum inode_type *type,
		  struct str *comp, char name[static NAME_LEN_MAX + 1]);

#endif
