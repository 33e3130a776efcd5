/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefetch.h - the rest of a data set, fetched before it is asked for
 *
 * A shuffled first epoch opens each small file once, in an order that nobody
 * can guess: alone it runs at the store's latency. So when many small files
 * of one directory, or of sibling directories, have to be fetched soon after
 * one another, all others there are fetched too: in the listing's order, as
 * wide as the fetchers' background lane allows, behind every demand read,
 * and never evicting for it. It ends with the directory, with the space, or
 * when nobody has missed anything there for half a minute.
 *
 * Status tells what it fetched and what of that was opened since; the latter
 * is kept in a bit a file, by hash, so it is right but for rare collisions.
 */
#ifndef CACHE_PREFETCH_H
#define CACHE_PREFETCH_H

#include "base/base.h"

struct cache;
struct prefetch;

/* Borrows the cache, whose pools and metadata must be there. */
int prefetch_new(struct cache *c, struct prefetch **out);

/*
 * Begin no more fetches. prefetch_free() then waits for those under way:
 * their pool must have been stopped, or their fills cancelled. NULL is
 * allowed in both, and in the next two.
 */
void prefetch_stop(struct prefetch *p);
void prefetch_free(struct prefetch *p);

/* This small object had to be fetched for an open. */
void prefetch_missed(struct prefetch *p, struct str key);

/* The object of this hash and size was opened without a wait for the store. */
void prefetch_opened(struct prefetch *p, uint64_t hash, uint64_t size);

#endif
