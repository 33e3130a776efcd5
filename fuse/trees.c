/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trees.c - which directories are being moved
 */
#include "fuse/trees.h"

#include <errno.h>

#include "base/clock.h"

#define WAIT_NS (50 * NSEC_PER_MSEC) /* until a cancel is looked for */

void trees_init(struct trees *t)
{
	lock_init(&t->lock, RANK_INODES);
	event_init(&t->ended);
	t->first = NULL;
	atomic_init(&t->n, 0);
}

void trees_fini(struct trees *t)
{
	event_fini(&t->ended);
	lock_fini(&t->lock);
}

/* Is one of them below the other, or the same? Either may lack its slash. */
static bool overlap(struct str a, struct str b)
{
	struct str up = a.n <= b.n ? a : b, low = a.n <= b.n ? b : a;

	return str_starts(low, up) &&
	       (up.n == low.n || up.n == 0 || up.p[up.n - 1] == '/' ||
		low.p[up.n] == '/');
}

static bool meet(const struct moving *m, struct str key)
{
	return overlap(m->from, key) || overlap(m->to, key);
}

enum by {
	BY_TREE,
	BY_NAME,
	BY_SAME_NAME, /* and none above or below it */
};

static bool has(const struct moving *m, struct str key, enum by by)
{
	return by == BY_SAME_NAME ? str_eq(m->from, key) || str_eq(m->to, key)
				  : meet(m, key);
}

/* Is a directory that is being moved (or a change of a name) in its way? */
static bool blocked_locked(const struct trees *t, const struct moving *m,
			   enum by by) TSA(requires_capability(t->lock))
{
	for (const struct moving *i = t->first; i != NULL; i = i->next)
		if (i->names == (by != BY_TREE) &&
		    (has(i, m->from, by) || has(i, m->to, by)))
			return true;
	return false;
}

/* 1: it had to wait. */
static int wait_locked(struct trees *t, const struct moving *m, enum by by,
		       struct cancel *cancel) TSA(requires_capability(t->lock))
{
	int waited = 0;

	while (blocked_locked(t, m, by)) {
		if (cancelled(cancel))
			return -EINTR;
		event_wait_until(&t->ended, &t->lock, clock_ns() + WAIT_NS);
		waited = 1;
	}
	return waited;
}

int trees_wait(struct trees *t, struct str key, struct cancel *cancel)
{
	const struct moving m = { .from = key, .to = key };
	int r;

	if (!trees_any(t))
		return 0;
	lock_take(&t->lock);
	r = wait_locked(t, &m, BY_TREE, cancel);
	lock_drop(&t->lock);
	return r;
}

static void add_locked(struct trees *t, struct moving *m)
    TSA(requires_capability(t->lock))
{
	m->next = t->first;
	t->first = m;
	atomic_fetch_add(&t->n, !m->names);
}

static void remove_locked(struct trees *t, struct moving *m)
    TSA(requires_capability(t->lock))
{
	struct moving **at = &t->first;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	atomic_fetch_sub(&t->n, !m->names);
	event_broadcast(&t->ended);
}

int trees_begin(struct trees *t, struct moving *m, struct cancel *cancel)
{
	int r;

	lock_take(&t->lock);
	r = wait_locked(t, m, BY_TREE, cancel);
	while (r == 0 && m->names) {
		r = wait_locked(t, m, BY_SAME_NAME, cancel);
		if (r <= 0)
			break;
		/* Meanwhile a directory may have begun. */
		r = wait_locked(t, m, BY_TREE, cancel);
	}
	if (r == 0) {
		add_locked(t, m);
		/* No new one begins; those that have are waited for. */
		if (!m->names)
			r = MIN(wait_locked(t, m, BY_NAME, cancel), 0);
		if (r < 0)
			remove_locked(t, m);
	}
	lock_drop(&t->lock);
	return r;
}

void trees_end(struct trees *t, struct moving *m)
{
	lock_take(&t->lock);
	remove_locked(t, m);
	lock_drop(&t->lock);
}
