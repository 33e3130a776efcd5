/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hot.h - which objects of a cache are read most just now
 *
 * Counted are the bytes that the cache itself answered, and opens. What the
 * kernel reads of a file that was handed to it is not seen; the open is, and
 * weighs a little, so that such files are found too, behind the others.
 *
 * An object adds up its reads by itself and tells of them when they are a
 * megabyte, or its last user goes: the table is not locked for each read.
 */
#ifndef CACHE_HOT_H
#define CACHE_HOT_H

#include "base/base.h"

struct cache;
struct hot;
struct object;

int hot_new(struct hot **out);
void hot_free(struct hot *h); /* NULL is allowed */

/* len bytes of it were answered; it was opened; its last user has gone. */
void hot_read(struct object *o, uint64_t len);
void hot_opened(struct object *o);
void hot_closed(struct object *o);

struct cache_hot {
	char *key;       /* relative to the source; heap, the caller frees */
	uint64_t bytes;  /* since it was noticed */
	uint64_t opens;  /* the same */
	double weight_s; /* to rank by: bytes a second, and a little an open */
};

/* The hottest first; how many, at most max. */
size_t cache_hot(struct cache *c, struct cache_hot *out, size_t max);

#endif
