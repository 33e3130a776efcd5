/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filelocks.c - see filelocks.h
 *
 * The locks of a place are an array without order: there are a few. The ranges
 * of one owner never overlap, and neighbours of one type are one lock, so an
 * ask needs room for two more at most: what it splits, and itself.
 */
#include "fuse/filelocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/clock.h"
#include "base/stats.h"

#define GRACE_NS (20 * NSEC_PER_MSEC)
#define DEADLOCK_DEPTH 10 /* as the kernel's */

struct held {
	const void *by;
	uint64_t owner;
	pid_t pid;
	bool whole, late;
	short type;
	uint64_t first, last;
};

struct lock_place {
	struct lock_place *next; /* in its bucket */
	unsigned refs;
	struct held *held; /* owned */
	size_t n, room;
	char *key; /* owned; NULL: its file has no name any more */
	size_t key_n;
};

int filelocks_init(struct filelocks *t)
{
	int r = pool_new("locks", 1, &t->pool);

	if (r < 0)
		return r;
	lock_init(&t->lock, RANK_FLOCKS);
	event_init(&t->never);
	return 0;
}

void filelocks_fini(struct filelocks *t)
{
	if (t->pool == NULL)
		return;
	pool_stop(take_ptr(t->pool));
	event_fini(&t->never);
	lock_fini(&t->lock);
}

/* ---- places ---- */

static struct lock_place **bucket_of(struct filelocks *t, struct str key)
{
	return &t->buckets[XXH3_64bits(key.p, key.n) % FILELOCKS_BUCKETS];
}

static struct str key_of(const struct lock_place *p)
{
	return (struct str){ p->key, p->key_n };
}

static struct lock_place *find_locked(struct filelocks *t, struct str key)
    TSA(requires_capability(t->lock))
{
	struct lock_place *p = *bucket_of(t, key);

	while (p != NULL && !str_eq(key_of(p), key))
		p = p->next;
	return p;
}

static void hash_remove(struct filelocks *t, struct lock_place *p)
{
	struct lock_place **at = bucket_of(t, key_of(p));

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
}

static void hash_insert(struct filelocks *t, struct lock_place *p)
{
	struct lock_place **at = bucket_of(t, key_of(p));

	p->next = *at;
	*at = p;
}

static void unref_locked(struct filelocks *t, struct lock_place *p)
    TSA(requires_capability(t->lock))
{
	if (--p->refs > 0)
		return;
	if (p->key != NULL)
		hash_remove(t, p);
	free(p->held);
	free(p->key);
	free(p);
}

struct lock_place *filelocks_place(struct filelocks *t, struct str key)
{
	struct lock_place *p;

	lock_take(&t->lock);
	p = find_locked(t, key);
	if (p == NULL) {
		p = calloc(1, sizeof(*p));
		if (p != NULL)
			p->key = malloc(key.n + 1);
		if (p != NULL && p->key != NULL) {
			memcpy(p->key, key.p, key.n);
			p->key_n = key.n;
			hash_insert(t, p);
		} else {
			free(p);
			p = NULL;
		}
	}
	if (p != NULL)
		p->refs++;
	lock_drop(&t->lock);
	return p;
}

struct lock_place *filelocks_find(struct filelocks *t, struct str key)
{
	struct lock_place *p;

	lock_take(&t->lock);
	p = find_locked(t, key);
	if (p != NULL)
		p->refs++;
	lock_drop(&t->lock);
	return p;
}

void filelocks_unref(struct filelocks *t, struct lock_place *p)
{
	lock_take(&t->lock);
	unref_locked(t, p);
	lock_drop(&t->lock);
}

/* ---- locks ---- */

static bool is_own(const struct held *h, const struct lock_ask *a)
{
	return h->whole == a->whole &&
	       (a->whole ? h->by == a->by : h->owner == a->owner);
}

/* The first lock of another that is in the way, or NULL. */
static const struct held *conflict(const struct lock_place *p,
				   const struct lock_ask *a)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct held *h = &p->held[i];

		if (h->whole == a->whole && !is_own(h, a) &&
		    (h->type == F_WRLCK || a->type == F_WRLCK) &&
		    h->first <= a->last && a->first <= h->last)
			return h;
	}
	return NULL;
}

static void count(struct filelocks *t, const struct held *h, bool more)
{
	stat_add(STAT_locks, more ? 1 : -1);
	if (!h->whole && more)
		atomic_fetch_add(&t->ranges, 1);
	else if (!h->whole)
		atomic_fetch_sub(&t->ranges, 1);
}

static void add(struct filelocks *t, struct lock_place *p, struct held h)
{
	count(t, &h, true);
	p->held[p->n++] = h;
}

static void remove_at(struct filelocks *t, struct lock_place *p, size_t i)
{
	count(t, &p->held[i], false);
	p->held[i] = p->held[--p->n];
}

/*
 * What is left of a lock of the same owner, the i-th, beside what is asked;
 * one of the same type becomes part of *fresh. True: the i-th is gone.
 */
static bool give_way(struct filelocks *t, struct lock_place *p, size_t i,
		     const struct lock_ask *a, struct held *fresh)
{
	struct held *h = &p->held[i], right = *h;
	bool apart = h->last < a->first || a->last < h->first;
	bool beside = h->last + 1 == a->first || a->last + 1 == h->first;

	if (h->type == a->type && h->by == a->by && (!apart || beside)) {
		fresh->first = MIN(fresh->first, h->first);
		fresh->last = MAX(fresh->last, h->last);
	} else if (apart) {
		return false;
	} else {
		right.first = a->last + 1;
		if (h->first < a->first && right.last > a->last)
			add(t, p, right);
		if (h->first < a->first) {
			h->last = a->first - 1;
			return false;
		}
		if (right.last > a->last) {
			h->first = right.first;
			return false;
		}
	}
	remove_at(t, p, i);
	return true;
}

/* Nothing is in the way. 0 or -ENOLCK. */
static int set_locked(struct filelocks *t, struct lock_place *p,
		      const struct lock_ask *a)
    TSA(requires_capability(t->lock))
{
	struct held fresh = { a->by,   a->owner, a->pid,   a->whole,
			      a->late, a->type,  a->first, a->last };

	if (p->n + 2 > p->room) {
		size_t room = p->room * 2 + 4;
		void *more = realloc(p->held, room * sizeof(*p->held));

		if (more == NULL)
			return -ENOLCK;
		p->held = more;
		p->room = room;
	}
	for (size_t i = 0; i < p->n;)
		if (!is_own(&p->held[i], a) || !give_way(t, p, i, a, &fresh))
			i++;
	if (a->type != F_UNLCK)
		add(t, p, fresh);
	return 0;
}

/* ---- who waits ---- */

static struct lock_ask **unlink_ask(struct lock_ask **at)
{
	*at = (*at)->next;
	stat_add(STAT_lock_waits, -1);
	return at;
}

/* It need not wait any more; *ready collects those. */
static void end_locked(struct lock_ask **at, int err, struct lock_ask ***ready)
{
	struct lock_ask *a = *at;

	unlink_ask(at);
	a->err = err;
	a->next = NULL;
	**ready = a;
	*ready = &a->next;
}

/* Locks have changed: give those that wait what they can have. */
static void grant_locked(struct filelocks *t, struct lock_ask ***ready)
    TSA(requires_capability(t->lock))
{
	struct lock_ask **at = &t->waiting, *a;

	while ((a = *at) != NULL) {
		if (conflict(a->place, a) != NULL) {
			at = &a->next;
			continue;
		}
		end_locked(at, 0, ready);
		if (!a->claim(a))
			continue;
		a->err = set_locked(t, a->place, a);
		at = &t->waiting; /* less may be locked than before */
	}
}

static void answer(struct lock_ask *ready)
{
	while (ready != NULL) {
		struct lock_ask *a = ready;

		ready = a->next;
		a->done(a, a->err);
	}
}

/* *next: when there is somebody to refuse after that, or INT64_MAX. */
static void refuse_late_locked(struct filelocks *t, int64_t *next,
			       struct lock_ask ***ready)
    TSA(requires_capability(t->lock))
{
	struct lock_ask **at = &t->waiting;
	int64_t now = clock_ns();

	*next = INT64_MAX;
	while (*at != NULL) {
		struct lock_ask *a = *at;

		if (a->wait || a->until > now) {
			if (!a->wait)
				*next = MIN(*next, a->until);
			at = &a->next;
			continue;
		}
		end_locked(at, -EAGAIN, ready);
		(void)a->claim(a);
	}
}

/*
 * Runs while there is somebody to refuse. Nobody wakes it: who comes later is
 * refused later.
 */
static void watch_run(struct job *job)
{
	struct filelocks *t = container_of(job, struct filelocks, watch);

	lock_take(&t->lock);
	for (;;) {
		struct lock_ask *ready = NULL, **end = &ready;
		int64_t next;

		refuse_late_locked(t, &next, &end);
		if (ready != NULL) {
			lock_drop(&t->lock);
			answer(ready);
			lock_take(&t->lock);
		} else if (next < INT64_MAX) {
			event_wait_until(&t->never, &t->lock, next);
		} else {
			break;
		}
	}
	t->watching = false;
	lock_drop(&t->lock);
}

static void wait_locked(struct filelocks *t, struct lock_ask *a)
    TSA(requires_capability(t->lock))
{
	struct lock_ask **at = &t->waiting;

	while (*at != NULL)
		at = &(*at)->next;
	*at = a;
	a->next = NULL;
	stat_add(STAT_lock_waits, 1);
	if (a->wait)
		return;
	a->until = clock_ns() + GRACE_NS;
	if (t->watching)
		return;
	t->watching = true;
	t->watch.run = watch_run;
	pool_submit(t->pool, &t->watch, POOL_DEMAND);
}

/* Does the owner of what is in the way wait, in the end, for the asker? */
static bool deadlock_locked(struct filelocks *t, const struct lock_ask *a)
    TSA(requires_capability(t->lock))
{
	const struct held *h = conflict(a->place, a);

	for (unsigned i = 0; i < DEADLOCK_DEPTH && h != NULL; i++) {
		const struct lock_ask *w = t->waiting;

		if (h->owner == a->owner)
			return true;
		while (w != NULL &&
		       (w->whole || !w->wait || w->owner != h->owner))
			w = w->next;
		h = w != NULL ? conflict(w->place, w) : NULL;
	}
	return false;
}

/* Is it refused at once? -EAGAIN; 0: it has to wait. */
static int refuse_locked(struct filelocks *t, const struct lock_ask *a,
			 const struct held *h) TSA(requires_capability(t->lock))
{
	if (a->wait)
		return !a->whole && deadlock_locked(t, a) ? -EDEADLK : 0;
	return h->whole || h->late ? 0 : -EAGAIN;
}

/*
 * As Linux does it, another type of flock() begins by giving up what it has:
 * two that both want to write would wait for each other otherwise.
 */
static bool convert_locked(struct filelocks *t, const struct lock_ask *a)
    TSA(requires_capability(t->lock))
{
	struct lock_place *p = a->place;

	for (size_t i = 0; i < p->n; i++)
		if (is_own(&p->held[i], a) && p->held[i].type != a->type) {
			remove_at(t, p, i);
			return true;
		}
	return false;
}

int filelocks_ask(struct filelocks *t, struct lock_place *p, struct lock_ask *a)
{
	struct lock_ask *ready = NULL, **end = &ready;
	const struct held *h;
	bool less = false;
	int r;

	a->place = p;
	lock_take(&t->lock);
	h = a->type == F_UNLCK ? NULL : conflict(p, a);
	if (h != NULL && a->whole)
		less = convert_locked(t, a);
	if (h == NULL)
		r = set_locked(t, p, a);
	else
		r = refuse_locked(t, a, h);
	if (r == 0 && h != NULL) {
		wait_locked(t, a);
		r = 1;
	}
	if (h == NULL || less)
		grant_locked(t, &end);
	lock_drop(&t->lock);
	answer(ready);
	return r;
}

bool filelocks_withdraw(struct filelocks *t, struct lock_ask *a)
{
	struct lock_ask **at = &t->waiting;
	bool found;

	lock_take(&t->lock);
	while (*at != NULL && *at != a)
		at = &(*at)->next;
	found = *at != NULL;
	if (found)
		unlink_ask(at);
	lock_drop(&t->lock);
	return found;
}

bool filelocks_test(struct filelocks *t, struct lock_place *p,
		    struct lock_ask *a)
{
	const struct held *h;

	lock_take(&t->lock);
	h = conflict(p, a);
	if (h != NULL) {
		a->type = h->type;
		a->first = h->first;
		a->last = h->last;
		a->pid = h->pid;
	}
	lock_drop(&t->lock);
	return h != NULL;
}

/* ---- what goes, and moves ---- */

static void closed(struct filelocks *t, struct lock_place *p, const void *by,
		   uint64_t owner)
{
	struct lock_ask *ready = NULL, **end = &ready;

	lock_take(&t->lock);
	for (size_t i = 0; i < p->n;) {
		const struct held *h = &p->held[i];

		if (by != NULL ? h->by == by : !h->whole && h->owner == owner)
			remove_at(t, p, i);
		else
			i++;
	}
	grant_locked(t, &end);
	lock_drop(&t->lock);
	answer(ready);
}

void filelocks_owner_closed(struct filelocks *t, struct lock_place *p,
			    uint64_t owner)
{
	closed(t, p, NULL, owner);
}

void filelocks_file_closed(struct filelocks *t, struct lock_place *p,
			   const void *by)
{
	closed(t, p, by, 0);
}

static void remove_locked(struct filelocks *t, struct str key)
    TSA(requires_capability(t->lock))
{
	struct lock_place *p = find_locked(t, key);

	if (p == NULL)
		return;
	hash_remove(t, p);
	free(take_ptr(p->key));
	p->key_n = 0;
}

void filelocks_removed(struct filelocks *t, struct str key)
{
	lock_take(&t->lock);
	remove_locked(t, key);
	lock_drop(&t->lock);
}

/* The room for its new key is found before anything is changed. */
static void move_locked(struct filelocks *t, struct lock_place *p,
			struct str from, struct str to)
    TSA(requires_capability(t->lock))
{
	size_t rest = p->key_n - from.n;
	char *key = malloc(to.n + rest + 1);

	if (key == NULL)
		return;
	memcpy(key, to.p, to.n);
	memcpy(key + to.n, p->key + from.n, rest);
	remove_locked(t, (struct str){ key, to.n + rest });
	hash_remove(t, p);
	free(p->key);
	p->key = key;
	p->key_n = to.n + rest;
	hash_insert(t, p);
}

void filelocks_moved(struct filelocks *t, struct str from, struct str to,
		     bool tree)
{
	struct lock_place *p, *next, *found = NULL;

	lock_take(&t->lock);
	for (size_t i = 0; tree && i < FILELOCKS_BUCKETS; i++) {
		/* Those that move to a later bucket do not match again. */
		for (p = t->buckets[i]; p != NULL; p = next) {
			next = p->next;
			if (str_starts(key_of(p), from))
				move_locked(t, p, from, to);
		}
	}
	if (!tree) {
		remove_locked(t, to);
		found = find_locked(t, from);
	}
	if (found != NULL)
		move_locked(t, found, from, to);
	lock_drop(&t->lock);
}
