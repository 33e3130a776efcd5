/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handles.c - the table of open files and directories
 */
#include "fuse/handles.h"

#include <errno.h>

#include "base/lock.h"
#include "base/stats.h"

struct slot {
	struct handle *h;
	uint32_t generation;
	uint32_t next_free; /* index + 1; 0 ends */
};

struct handles {
	struct lock lock;

	/* under lock */
	struct slot *slots;
	uint32_t count;
	uint32_t room;
	uint32_t free; /* index + 1; 0: none */
};

int handles_new(struct handles **out)
{
	struct handles *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	lock_init(&t->lock, RANK_INODES);
	*out = t;
	return 0;
}

void handles_free(struct handles *t)
{
	if (t == NULL)
		return;
	free(t->slots);
	lock_fini(&t->lock);
	free(t);
}

static bool grow_locked(struct handles *t) TSA(requires_capability(t->lock))
{
	uint32_t room = t->room == 0 ? 64 : t->room * 2;
	struct slot *slots = NULL;

	if (room > t->room)
		slots = realloc(t->slots, room * sizeof(*slots));
	if (slots == NULL)
		return false;
	memset(slots + t->room, 0, (room - t->room) * sizeof(*slots));
	t->slots = slots;
	t->room = room;
	return true;
}

int handles_add(struct handles *t, struct handle *h, uint64_t *fh)
{
	int r = 0;
	uint32_t i = 0;

	lock_take(&t->lock);
	if (t->free != 0) {
		i = t->free - 1;
		t->free = t->slots[i].next_free;
	} else if (t->count < t->room || grow_locked(t)) {
		i = t->count++;
	} else {
		r = -ENOMEM;
	}
	if (r == 0) {
		t->slots[i].h = h;
		*fh = (uint64_t)t->slots[i].generation << 32 | i;
		stat_inc(STAT_handles);
	}
	lock_drop(&t->lock);
	return r;
}

static struct slot *find_locked(struct handles *t, uint64_t fh)
    TSA(requires_capability(t->lock))
{
	uint32_t i = (uint32_t)fh;

	if (i >= t->count || t->slots[i].generation != fh >> 32 ||
	    t->slots[i].h == NULL)
		return NULL;
	return &t->slots[i];
}

struct handle *handles_get(struct handles *t, uint64_t fh)
{
	struct handle *h = NULL;
	struct slot *s;

	lock_take(&t->lock);
	s = find_locked(t, fh);
	if (s != NULL) {
		h = s->h;
		atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
	}
	lock_drop(&t->lock);
	return h;
}

static struct handle *remove_locked(struct handles *t, struct slot *s)
    TSA(requires_capability(t->lock))
{
	struct handle *h = s->h;

	s->h = NULL;
	s->generation++;
	s->next_free = t->free;
	t->free = (uint32_t)(s - t->slots) + 1;
	stat_add(STAT_handles, -1);
	return h;
}

struct handle *handles_remove(struct handles *t, uint64_t fh)
{
	struct handle *h = NULL;
	struct slot *s;

	lock_take(&t->lock);
	s = find_locked(t, fh);
	if (s != NULL)
		h = remove_locked(t, s);
	lock_drop(&t->lock);
	return h;
}

struct handle *handles_remove_any(struct handles *t)
{
	struct handle *h = NULL;

	lock_take(&t->lock);
	for (uint32_t i = 0; i < t->count && h == NULL; i++)
		if (t->slots[i].h != NULL)
			h = remove_locked(t, &t->slots[i]);
	lock_drop(&t->lock);
	return h;
}
