/* SPDX-License-Identifier: Apache-2.0 */
/*
 * being_written.c - what of one directory is being written, at one moment
 */
#include "fuse/being_written.h"

#include <errno.h>

int being_written_ask(struct inodes *t, uint64_t dir, struct being_written *out)
{
	struct str entry;

	inodes_all_writing(t, dir, &out->entries);
	if (out->entries.failed)
		return -ENOMEM;
	for (size_t at = 0; at < out->entries.n; at += entry.n + 1) {
		entry = str_of(out->entries.p + at);
		if (entry.p[0] == ENTRY_DIR)
			comps_add(&out->dirs, entry_comp(entry));
	}
	return comps_sort(&out->dirs);
}

void being_written_fini(struct being_written *b)
{
	text_fini(&b->entries);
	comps_fini(&b->dirs);
}
