/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hot.c - which objects of a cache are read most just now
 */
#include "cache/hot.h"

#include <errno.h>

#include "base/clock.h"
#include "base/topk.h"
#include "cache/cache_impl.h"

#define TABLE 32
#define TELL_BYTES MIB(1)
#define OPEN_WEIGHT 4096

struct hot {
	struct lock lock;
	/* under lock */
	struct topk *table;
};

int hot_new(struct hot **out)
{
	struct hot *h = calloc(1, sizeof(*h));

	if (h == NULL || topk_new(TABLE, &h->table) < 0) {
		free(h);
		return -ENOMEM;
	}
	lock_init(&h->lock, RANK_LEAF);
	*out = h;
	return 0;
}

void hot_free(struct hot *h)
{
	if (h == NULL)
		return;
	topk_free(h->table);
	lock_fini(&h->lock);
	free(h);
}

static void tell(struct object *o)
{
	struct hot *h = o->cache->hot;
	uint64_t bytes = atomic_exchange(&o->hot_bytes, 0);
	uint64_t opens = atomic_exchange(&o->hot_opens, 0);

	if (bytes == 0 && opens == 0)
		return;
	lock_take(&h->lock);
	/* Out of memory: it is counted when it is read again. */
	(void)topk_add(h->table, (struct str){ o->key, o->key_len },
		       bytes + opens * OPEN_WEIGHT, opens, clock_ns());
	lock_drop(&h->lock);
}

void hot_read(struct object *o, uint64_t len)
{
	if (atomic_fetch_add_explicit(&o->hot_bytes, len,
				      memory_order_relaxed) +
		len >=
	    TELL_BYTES)
		tell(o);
}

void hot_opened(struct object *o)
{
	atomic_fetch_add_explicit(&o->hot_opens, 1, memory_order_relaxed);
}

void hot_closed(struct object *o)
{
	tell(o);
}

size_t cache_hot(struct cache *c, struct cache_hot *out, size_t max)
{
	struct topk_row rows[TABLE];
	size_t n, kept = 0;

	lock_take(&c->hot->lock);
	n = topk_rows(c->hot->table, clock_ns(), rows, MIN(max, TABLE));
	for (size_t i = 0; i < n; i++) {
		const struct topk_row *r = &rows[i];
		char *key = str_dup(r->key);

		if (key != NULL)
			out[kept++] = (struct cache_hot){
				.key = key,
				.bytes = r->weight - r->times * OPEN_WEIGHT,
				.opens = r->times,
				.weight_s = r->per_s,
			};
	}
	lock_drop(&c->hot->lock);
	return kept;
}
