/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts.h - where the parts of an upload begin
 *
 * The bounds of a part are told by its number alone, so that a part that was
 * sent while the file grew never has to be sent again because of what came
 * behind it. A tenth of the parts a store allows have the first size, the next
 * tenth twice that, and so on: with 10,000 parts of 8 MiB at first, a file of
 * 8 GiB has parts of 8 MiB, one of 24 GiB has them of 8 and 16 MiB, and 8 TiB
 * are the end. With a fixed size (stores that want all parts alike) it comes
 * sooner. All sizes are multiples of 64 KiB: a page is of one part.
 */
#ifndef CACHE_PARTS_H
#define CACHE_PARTS_H

#include "ufs/write.h"

struct parts {
	uint64_t first; /* bytes of the first one */
	unsigned step;  /* this many of a size; 0: all are alike */
	uint64_t most;  /* no part is larger */
	unsigned n;     /* there are no more */
};

/* size: as struct staging_conf has it. For a store that takes parts. */
void parts_init(struct parts *p, const struct ufs_limits *l, uint64_t size);

/* Part i, from 0: where it begins; its bytes in *size. */
uint64_t parts_at(const struct parts *p, unsigned i, uint64_t *size);

/* The part that holds byte off; p->n: none does. */
unsigned parts_of(const struct parts *p, uint64_t off);

/* Bytes that all parts hold. */
uint64_t parts_bytes(const struct parts *p);

#endif
