/* SPDX-License-Identifier: Apache-2.0 */
/*
 * being_written.h - what of one directory is being written, at one moment
 */
#ifndef FUSE_BEING_WRITTEN_H
#define FUSE_BEING_WRITTEN_H

#include "fuse/comps.h"
#include "fuse/inodes.h"

struct being_written {
	struct text entries; /* as inodes_all_writing() has them */
	struct comps dirs;   /* the directories among them */
};

/* out: all zeros, and to be given to _fini() in any case. 0 or -ENOMEM. */
int being_written_ask(struct inodes *t, uint64_t dir,
		      struct being_written *out);
void being_written_fini(struct being_written *b);

#define ENTRY_DIR '/' /* an entry's first byte, if it is a directory */

static inline struct str entry_comp(struct str entry)
{
	return (struct str){ entry.p + 1, entry.n - 1 };
}

#endif
