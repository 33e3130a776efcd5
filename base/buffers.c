/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffers.c - page buffers within one memory budget
 *
 * Free buffers are a stack linked through their first bytes. low is the
 * smallest the stack has been since the last trim: that many have been idle.
 */
#include "base/buffers.h"

#include <errno.h>

#include "base/lock.h"
#include "base/stats.h"

struct idle {
	struct idle *next;
};

struct buffers {
	size_t limit; /* buffers */
	struct lock lock;
	/* under lock */
	struct idle *stack;
	size_t idle, low;
	size_t out;
};

int buffers_new(size_t limit, struct buffers **out)
{
	struct buffers *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return -ENOMEM;
	b->limit = MAX(limit / BUFFER_SIZE, 16);
	lock_init(&b->lock, RANK_POOL);
	*out = b;
	return 0;
}

static void free_idle(struct idle *i)
{
	struct idle *next;

	for (; i != NULL; i = next) {
		next = i->next;
		free(i);
	}
}

void buffers_free(struct buffers *b)
{
	if (b == NULL)
		return;
	free_idle(b->stack);
	lock_fini(&b->lock);
	free(b);
}

void *buffers_get(struct buffers *b)
{
	struct idle *i = NULL;
	bool room;

	lock_take(&b->lock);
	room = b->out < b->limit;
	if (room) {
		b->out++;
		i = b->stack;
		if (i != NULL) {
			b->stack = i->next;
			b->idle--;
			b->low = MIN(b->low, b->idle);
		}
	}
	lock_drop(&b->lock);
	if (!room)
		return NULL;
	if (i == NULL)
		i = aligned_alloc(4096, BUFFER_SIZE);
	if (i == NULL) {
		lock_take(&b->lock);
		b->out--;
		lock_drop(&b->lock);
		return NULL;
	}
	stat_add(STAT_memory_bytes, BUFFER_SIZE);
	return i;
}

void buffers_put(struct buffers *b, void *buffer)
{
	struct idle *i = buffer;

	stat_add(STAT_memory_bytes, -(int64_t)BUFFER_SIZE);
	lock_take(&b->lock);
	i->next = b->stack;
	b->stack = i;
	b->idle++;
	b->out--;
	lock_drop(&b->lock);
}

size_t buffers_used(struct buffers *b)
{
	size_t out;

	lock_take(&b->lock);
	out = b->out;
	lock_drop(&b->lock);
	return out * BUFFER_SIZE;
}

size_t buffers_limit(const struct buffers *b)
{
	return b->limit * BUFFER_SIZE;
}

void buffers_trim(struct buffers *b)
{
	struct idle *drop = NULL;

	lock_take(&b->lock);
	for (size_t n = b->low; n > 0; n--) {
		struct idle *i = b->stack;

		b->stack = i->next;
		b->idle--;
		i->next = drop;
		drop = i;
	}
	b->low = b->idle;
	lock_drop(&b->lock);
	free_idle(drop);
}
