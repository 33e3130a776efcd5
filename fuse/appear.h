/* SPDX-License-Identifier: Apache-2.0 */
/*
 * appear.h - directories that the kernel takes for absent, and are there again
 *
 * The kernel believes ENOENT for as long as it was told. Who is in a directory
 * that others removed, or has it open, may make something in it or below: it
 * and those above are there by that (S16), and the kernel is to ask for them
 * anew. Telling it takes the lock of the directory above, whose holder may wait
 * for an answer of ours. So it is done on a thread that serves nobody, and
 * whoever makes something is not kept waiting: the name is found soon after.
 */
#ifndef FUSE_APPEAR_H
#define FUSE_APPEAR_H

#include <stdint.h>

struct fs;
struct appear;

int appear_new(struct fs *fs, struct appear **out);
/* Once nobody calls appear_above() any more. NULL is allowed. */
void appear_free(struct appear *a);

/* The inode nodeid, and the directories above, are there. Does not block. */
void appear_above(struct appear *a, uint64_t nodeid);

#endif
