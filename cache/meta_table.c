/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_table.c - what is remembered: listings, absent names
 *
 * Both tables are bounded. Of directories the one unused for longest goes
 * (its listing stays on the disk); absent names leave in the order in which
 * they came.
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

void dir_set_locked(struct dir *d, struct listing *l, struct drops *drops)
{
	if (d->listing != NULL)
		drops->l[drops->n++] = d->listing;
	d->listing = l;
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
	d->denied = d->probed = INT64_MIN;
	at = dir_slot(m, key);
	*at = d;
	push_newest(m, d);
	m->ndirs++;
	return d;
}

static struct negative **negative_slot(struct meta *m, struct str key)
{
	struct negative **at = &m->negatives[meta_hash(key) % NEGATIVE_BUCKETS];

	while (*at != NULL &&
	       !str_eq((struct str){ (*at)->key, (*at)->n }, key))
		at = &(*at)->next;
	return at;
}

int64_t negative_taken_locked(struct meta *m, struct str key)
{
	struct negative *n = *negative_slot(m, key);

	return n != NULL ? n->taken : INT64_MIN;
}

static void negative_free_locked(struct meta *m, size_t i)
{
	struct negative *n = m->ring[i], **at;

	if (n == NULL)
		return;
	at = negative_slot(m, (struct str){ n->key, n->n });
	*at = n->next;
	m->ring[i] = NULL;
	free(n);
}

void negative_add_locked(struct meta *m, struct str key, size_t dir_n,
			 int64_t taken)
{
	struct negative **at = negative_slot(m, key), *n = *at;

	if (n != NULL) {
		n->taken = MAX(n->taken, taken);
		return;
	}
	n = malloc(sizeof(*n) + key.n + 1);
	if (n == NULL)
		return; /* it will be asked again */
	n->next = NULL;
	n->taken = taken;
	n->n = key.n;
	n->dir_n = dir_n;
	memcpy(n->key, key.p, key.n);
	negative_free_locked(m, m->ring_at);
	m->ring[m->ring_at] = n;
	m->ring_at = (m->ring_at + 1) % NEGATIVES_MAX;
	*negative_slot(m, key) = n;
}

void negatives_drop_locked(struct meta *m, const struct rule *r)
{
	for (size_t i = 0; i < NEGATIVES_MAX; i++) {
		struct negative *n = m->ring[i];

		if (n != NULL &&
		    rule_covers(r, (struct str){ n->key, n->dir_n }))
			negative_free_locked(m, i);
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
	for (size_t i = 0; i < NEGATIVES_MAX; i++)
		negative_free_locked(m, i);
}
