/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staged_offer.c - what was committed becomes the cache's entry
 *
 * A small file is copied once its last writer has gone: no close waits for
 * that, and until then it is the staged file that is read. A large one on the
 * disk of the cache is taken as it is (extent_take.c), also then, since what
 * the cache has nobody may change; elsewhere it is copied at its commit.
 */
#include "cache/staging_impl.h"

#include <stdio.h>

#include "cache/extent.h"
#include "cache/object.h"
#include "cache/staging_io.h"

bool staged_is_offered(const struct staged *f)
{
	return f->staging->takes || f->size <= EXTENT_SMALL_MAX;
}

/*
 * Is all of it still what was written? The cache takes what it reads for the
 * version's bytes, and a while may have passed since they were sent.
 */
static bool still_right(struct staged *f)
{
	AUTO_FREE char *buf = malloc(SUM_PAGE);
	bool right = buf != NULL;

	for (uint64_t at = 0; at < f->size && right; at += SUM_PAGE) {
		struct sum sum = sums_get(f->sums, at / SUM_PAGE);

		right = sum.len == 0 ||
			(staging_pread(f->fd, buf, sum.len, at) == 0 &&
			 sum_right(sum, buf));
	}
	return right;
}

/* Without a copy, if that can be. */
static bool take(struct staged *f, struct object *o)
{
	char name[STAGED_ID + 8];

	snprintf(name, sizeof(name), "%s.data", f->id);
	if (!f->staging->takes || f->size <= EXTENT_SMALL_MAX ||
	    object_take(o, f->staging->dir, name, f->sums) < 0)
		return false;
	lock_take(&f->lock);
	f->taken = true;
	lock_drop(&f->lock);
	return true;
}

/* Nobody writes now. */
static void adopt(struct staged *f, bool copy)
{
	struct staged_base *b = f->base;
	struct object *o;

	if (f->adopted || b->st.size == 0 || b->st.size != f->size ||
	    !ranges_cover(&f->held, 0, f->size) ||
	    object_get(f->staging->cache, b->key, &b->st, &o) < 0)
		return;
	f->adopted = take(f, o);
	if (!f->adopted && copy && still_right(f)) {
		/* Or the cache fetches it when asked. */
		if (object_give(o, f->fd) < 0)
			object_adopt(o, f->fd);
		f->adopted = true;
	}
	object_put(o);
	if (f->adopted)
		f->owed = 0;
}

void commit_adopt(struct staged *f)
{
	adopt(f, true);
}

void staged_offer(struct staged *f)
{
	bool mine;

	lock_take(&f->lock);
	/* The one that was waited for may still write its record. */
	while (f->committing && !f->quiet)
		event_wait(&f->changed, &f->lock);
	/* Its name changes: it is the cache's at its end. */
	mine = f->made && !f->removed && f->err == 0 && !f->quiet &&
	       staged_is_offered(f);
	if (mine) {
		f->committing = true;
		staged_hold_back_locked(f);
		mine = !staged_dirty_locked(f);
		lock_drop(&f->lock);
		if (mine)
			adopt(f, f->size <= EXTENT_SMALL_MAX);
		lock_take(&f->lock);
		f->committing = false;
		staged_let_on_locked(f);
	}
	lock_drop(&f->lock);
}
