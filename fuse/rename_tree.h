/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename_tree.h - a directory that is moved, with all below it
 *
 * Its objects are moved one by one (cache/rename.h), where the store cannot do
 * it at once. Meanwhile programs go on below it: who opens a file there finds
 * it under its old key or its new one (trees.h).
 */
#ifndef FUSE_RENAME_TREE_H
#define FUSE_RENAME_TREE_H

#include "fuse/place.h"

/*
 * Move from, which is a directory, to to, which is none or an empty one. The
 * keys get their slashes, and are let go. EXDEV: it is too large for that
 * (S22). -EAGAIN: others were moved meanwhile; look again. Blocks.
 */
int rename_tree(struct name_rq *n, struct place *from, struct place *to);

/*
 * A file that is being written, and is of the version was or to replace it:
 * that is now, under key. -ESTALE: it was committed once more meanwhile. 1: it
 * is not in the store, and has to do with another version, if any. One that has
 * failed stays.
 */
int rename_lead(struct opened *o, struct str key, const char *was,
		const struct ufs_stat *now);

/* Who reads it is bound to its old key: the next open is to be of the new. */
void rename_leave_reader(struct fs *fs, uint64_t nodeid);

#endif
