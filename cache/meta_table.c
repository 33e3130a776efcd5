/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_table.c - what is remembered: listings, single names
 *
 * Both tables are bounded. Of directories the one unused for longest goes
 * (its listing stays on the disk); names that were asked for on their own
 * leave in the order in which they came. What is there is remembered as well
 * as what is not: the way to a cached file stays known when the kernel has
 * forgotten it and the store is gone (R4).
 */
#include "cache/meta_impl.h"

#include <xxhash.h>

uint64_t meta_hash(struct str key)
{
	return XXH3_64bits(key.p, key.n);
}

static void unlink_recency(struct meta *m, struct dir *d)
{
	if (d->newer != NULL)
		d->newer->older = d->older;
	else
		m->newest = d->older;
	if (d->older != NULL)
		d->older->newer = d->newer;
	else
		m->oldest = d->newer;
}

static void push_newest(struct meta *m, struct dir *d)
{
	d->newer = NULL;
	d->older = m->newest;
	if (m->newest != NULL)
		m->newest->newer = d;
	else
		m->oldest = d;
	m->newest = d;
}

static struct dir **dir_slot(struct meta *m, struct str key)
{
	struct dir **at = &m->dirs[meta_hash(key) % DIR_BUCKETS];

	while (*at != NULL &&
	       !str_eq((struct str){ (*at)->key, (*at)->n }, key))
		at = &(*at)->next;
	return at;
}

struct dir *dir_find_locked(struct meta *m, struct str key)
{
	struct dir *d = *dir_slot(m, key);

	if (d != NULL && d != m->newest) {
		unlink_recency(m, d);
		push_newest(m, d);
	}
	return d;
}

struct listing *dir_usable_locked(struct meta *m, const struct dir *d)
{
	if (d == NULL || d->listing == NULL || listing_is_bad(d->listing) ||
	    rules_forbid_locked(m, (struct str){ d->key, d->n },
				listing_taken(d->listing)))
		return NULL;
	return d->listing;
}

int64_t dir_current(const struct dir *d)
{
	return MAX(listing_taken(d->listing), d->vouched);
}

bool dir_outdated_locked(struct meta *m, struct str key, int64_t made,
			 struct drops *drops)
{
	struct dir *d = *dir_slot(m, key);

	if (d == NULL || d->listing == NULL || dir_current(d) >= made)
		return false;
	dir_set_locked(d, NULL, drops);
	return true;
}

void dir_set_locked(struct dir *d, struct listing *l, struct drops *drops)
{
	if (d->listing != NULL)
		drops->l[drops->n++] = d->listing;
	d->listing = l;
	d->vouched = INT64_MIN;
}

void dir_remove_locked(struct meta *m, struct dir *d)
{
	struct dir **at = dir_slot(m, (struct str){ d->key, d->n });

	*at = d->next;
	unlink_recency(m, d);
	m->ndirs--;
	free(d);
}

struct dir *dir_get_locked(struct meta *m, struct str key, struct drops *drops)
{
	struct dir *d = dir_find_locked(m, key), **at;

	if (d != NULL)
		return d;
	d = calloc(1, sizeof(*d) + key.n + 1);
	if (d == NULL)
		return NULL;
	if (m->ndirs >= m->dirs_max) {
		struct dir *old = m->oldest;

		dir_set_locked(old, NULL, drops);
		dir_remove_locked(m, old);
	}
	d->n = key.n;
	memcpy(d->key, key.p, key.n);
	d->denied = d->probed = d->vouched = INT64_MIN;
	at = dir_slot(m, key);
	*at = d;
	push_newest(m, d);
	m->ndirs++;
	return d;
}

static struct known **known_slot(struct meta *m, struct str key)
{
	struct known **at = &m->known[meta_hash(key) % KNOWN_BUCKETS];

	while (*at != NULL &&
	       !str_eq((struct str){ (*at)->key, (*at)->n }, key))
		at = &(*at)->next;
	return at;
}

const struct known *known_find_locked(struct meta *m, struct str key)
{
	return *known_slot(m, key);
}

static void known_free_locked(struct meta *m, size_t i)
{
	struct known *k = m->ring[i], **at;

	if (k == NULL)
		return;
	at = known_slot(m, (struct str){ k->key, k->n });
	*at = k->next;
	m->ring[i] = NULL;
	free(k->st);
	free(k);
}

static struct known *known_new_locked(struct meta *m, struct str key,
				      size_t dir_n, struct drops *drops)
    TSA(requires_capability(m->lock))
{
	struct known *k = calloc(1, sizeof(*k) + key.n + 1);
	const struct known *old = m->ring[m->ring_at];

	if (k == NULL)
		return NULL;
	if (old != NULL && old->made)
		made_forget_locked(m, (struct str){ old->key, old->dir_n },
				   old->taken, drops);
	k->taken = INT64_MIN;
	k->n = key.n;
	k->dir_n = dir_n;
	memcpy(k->key, key.p, key.n);
	known_free_locked(m, m->ring_at);
	m->ring[m->ring_at] = k;
	m->ring_at = (m->ring_at + 1) % KNOWN_MAX;
	*known_slot(m, key) = k;
	return k;
}

bool known_add_locked(struct meta *m, struct str key, size_t dir_n,
		      int64_t taken, const struct ufs_stat *st, bool dir,
		      bool made, struct drops *drops)
{
	struct known *k = *known_slot(m, key);
	struct ufs_stat *copy = NULL;

	if (k != NULL && k->taken > taken)
		return true;
	if (st != NULL) {
		copy = malloc(sizeof(*copy));
		if (copy == NULL)
			return false;
		*copy = *st;
	}
	if (k == NULL)
		k = known_new_locked(m, key, dir_n, drops);
	if (k == NULL) {
		free(copy);
		return false;
	}
	free(k->st);
	k->st = copy;
	k->object = st != NULL;
	k->dir = dir;
	k->taken = taken;
	/* Of what was made and then asked for there may be old listings. */
	k->made = k->made || made;
	return true;
}

void known_drop_locked(struct meta *m, const struct rule *r)
{
	for (size_t i = 0; i < KNOWN_MAX; i++) {
		struct known *k = m->ring[i];

		if (k != NULL &&
		    rule_covers(r, (struct str){ k->key, k->dir_n }))
			known_free_locked(m, i);
	}
}

void table_free_locked(struct meta *m)
{
	struct drops drops;

	while (m->oldest != NULL) {
		drops.n = 0;
		dir_set_locked(m->oldest, NULL, &drops);
		dir_remove_locked(m, m->oldest);
		drops_end(&drops);
	}
	for (size_t i = 0; i < KNOWN_MAX; i++)
		known_free_locked(m, i);
}
