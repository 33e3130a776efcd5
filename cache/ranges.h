/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ranges.h - a set of bytes, as intervals in order
 *
 * A sorted array of [off, end) that neither overlap nor touch: looking up is
 * a binary search, adding behind the last one takes no time, adding elsewhere
 * moves what is behind. The caller locks.
 */
#ifndef CACHE_RANGES_H
#define CACHE_RANGES_H

#include "base/base.h"

struct range {
	uint64_t off, end;
};

/* All 0 is the empty set. */
struct ranges {
	struct range *r;
	size_t n, cap;
};

void ranges_fini(struct ranges *s); /* empty, and may be used again */

/* Room for one more: the next ranges_add() cannot fail. 0 or -ENOMEM. */
int ranges_room(struct ranges *s);

/* Add [off, end); nothing when it is empty. 0 or -ENOMEM: unchanged. */
int ranges_add(struct ranges *s, uint64_t off, uint64_t end);

/* Add all of from. -ENOMEM: some of it was. */
int ranges_merge(struct ranges *s, const struct ranges *from);

/* [0, end) instead of what it is. It has had room for one at least. */
void ranges_set_all(struct ranges *s, uint64_t end);

/* Drop all bytes at and behind size. */
void ranges_cut(struct ranges *s, uint64_t size);

/* The first interval that ends behind pos. False: there is none. */
bool ranges_find(const struct ranges *s, uint64_t pos, struct range *out);

/* Is every byte of [off, end) in it? Is any? */
bool ranges_cover(const struct ranges *s, uint64_t off, uint64_t end);
bool ranges_touch(const struct ranges *s, uint64_t off, uint64_t end);

uint64_t ranges_bytes(const struct ranges *s);

#endif
