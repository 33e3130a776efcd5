/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_invalidate.c - what is not to be believed any more
 *
 * Forgetting has three sides. What is in memory is dropped, and what is
 * being asked just now is not kept. What lies on the disk is removed as far
 * as it can be reached: from the listings known and from one listing to the
 * next. And since a listing on the disk may exist whose parent's does not,
 * it is remembered which directories were invalidated when, and nothing older
 * is believed: by this process, and, where a person asked for it, by the mounts
 * that come after it (meta_rules.c). That memory is bounded: two rules become
 * one for the directory above both, which costs listings and is never wrong.
 */
#include "cache/meta_impl.h"

#include <errno.h>

#include "base/log.h"

static struct str rule_above(const struct rule *r)
{
	return (struct str){ r->tree, r->above_n };
}

static struct str rule_tree(const struct rule *r)
{
	return (struct str){ r->tree, r->tree_n };
}

bool rule_covers(const struct rule *r, struct str dirkey)
{
	return str_eq(dirkey, rule_above(r)) ||
	       str_starts(dirkey, rule_tree(r));
}

bool rules_forbid_locked(const struct meta *m, struct str dirkey, int64_t taken)
{
	for (size_t i = 0; i < m->nrules; i++)
		if (taken < m->rules[i].since &&
		    rule_covers(&m->rules[i], dirkey))
			return true;
	return false;
}

/* Key "a/b", and "a/b/" as well: all of it, and the directory it is in. */
static void rule_init(struct rule *r, struct str key)
{
	size_t n = MIN(key.n, (size_t)UFS_KEY_MAX - 1);

	r->since = clock_ns();
	if (n > 0)
		memcpy(r->tree, key.p, n);
	if (n > 0 && r->tree[n - 1] != '/')
		r->tree[n++] = '/';
	r->tree_n = n;
	if (n > 0)
		n--;
	while (n > 0 && r->tree[n - 1] != '/')
		n--;
	r->above_n = n;
}

/* Bytes of the lowest directory that holds both. */
static size_t common_dir(struct str a, struct str b)
{
	size_t n = 0, dir = 0;

	while (n < a.n && n < b.n && a.p[n] == b.p[n])
		if (a.p[n++] == '/')
			dir = n;
	return dir;
}

void rules_add(struct rule *rules, size_t *n, const struct rule *r)
{
	for (size_t i = 0; i < *n; i++)
		if (str_eq(rule_tree(&rules[i]), rule_tree(r))) {
			rules[i].since = MAX(rules[i].since, r->since);
			return;
		}
	if (*n == RULES_MAX) {
		size_t dir =
		    common_dir(rule_above(&rules[0]), rule_above(&rules[1]));

		rules[0].tree_n = dir;
		rules[0].above_n = dir;
		rules[0].since = MAX(rules[0].since, rules[1].since);
		--*n;
		memmove(rules + 1, rules + 2, (*n - 1) * sizeof(*rules));
	}
	rules[(*n)++] = *r;
}

/* Directories whose files are still to be removed. */
struct todo {
	struct meta *meta;
	const struct rule *rule;
	struct str dir; /* whose entries are being read */
	char **keys;    /* as str_dup() makes them, with their lengths */
	size_t *lens;
	size_t n, room;
};

static int todo_push(struct todo *t, struct str dir, struct str name)
{
	char *key;

	if (dir.n + name.n > UFS_KEY_MAX)
		return 0;
	if (t->n == t->room) {
		size_t room = MAX(2 * t->room, 64);
		char **keys = realloc(t->keys, room * sizeof(*keys));
		size_t *lens;

		if (keys == NULL)
			return -ENOMEM;
		t->keys = keys;
		lens = realloc(t->lens, room * sizeof(*lens));
		if (lens == NULL)
			return -ENOMEM;
		t->lens = lens;
		t->room = room;
	}
	key = malloc(dir.n + name.n + 1);
	if (key == NULL)
		return -ENOMEM;
	if (dir.n > 0)
		memcpy(key, dir.p, dir.n);
	if (name.n > 0)
		memcpy(key + dir.n, name.p, name.n);
	t->keys[t->n] = key;
	t->lens[t->n++] = dir.n + name.n;
	return 0;
}

static int below_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	struct todo *t = arg;

	(void)number;
	return e->dir ? todo_push(t, t->dir, e->name) : 0;
}

/* Remove the file of one directory, and note those below it. */
static int forget_file(struct todo *t)
{
	struct disk *d = t->meta->disk;
	struct disk_id id = meta_listing_id(t->meta, t->dir);
	struct listing *l;
	int r = 0;

	if (str_starts(t->dir, rule_tree(t->rule)) &&
	    listing_open(d, &id, &l) == 0) {
		r = listing_each(l, 0, below_cb, t);
		listing_unref(l);
	}
	listing_remove(d, &id);
	return r == -ENOMEM ? r : 0;
}

static void forget_files(struct todo *t)
{
	int r = 0;

	while (t->n > 0) {
		AUTO_FREE char *key = t->keys[--t->n];

		t->dir = (struct str){ key, t->lens[t->n] };
		if (r == 0)
			r = forget_file(t);
	}
	if (r < 0)
		log_warn("meta: listings below %.*s remain on the disk: %s",
			 (int)t->rule->tree_n, t->rule->tree, strerror(-r));
	free(t->keys);
	free(t->lens);
}

/* Drop one directory that the rule covers. False: there is none. */
static bool forget_dir_locked(struct meta *m, struct todo *t)
    TSA(requires_capability(m->lock))
{
	for (struct dir *d = m->newest; d != NULL; d = d->older) {
		struct str key = { d->key, d->n };
		struct drops drops = { 0 };

		if (!rule_covers(t->rule, key))
			continue;
		(void)todo_push(t, key, STR_EMPTY);
		dir_set_locked(d, NULL, &drops);
		dir_remove_locked(m, d);
		drops_end(&drops);
		return true;
	}
	return false;
}

static void forget(struct meta *m, const struct rule *rule)
{
	struct todo todo = { .meta = m, .rule = rule };

	(void)todo_push(&todo, rule_above(rule), STR_EMPTY);
	(void)todo_push(&todo, rule_tree(rule), STR_EMPTY);
	lock_take(&m->lock);
	rules_add(m->rules, &m->nrules, rule);
	flights_doom_locked(m, rule);
	known_drop_locked(m, rule);
	m->forgets++;
	while (forget_dir_locked(m, &todo))
		;
	lock_drop(&m->lock);
	forget_files(&todo);
}

void tell_source(struct meta *m, struct str key, bool tree)
{
	if (m->ufs->ops->changed != NULL)
		m->ufs->ops->changed(m->ufs, key, tree);
}

void meta_invalidate(struct meta *m, struct str key)
{
	struct rule rule;
	int r;

	tell_source(m, key, true);
	rule_init(&rule, key);
	r = rules_save(m, &rule);
	if (r < 0)
		log_warn("meta: that %.*s was invalidated is not on the disk, "
			 "and another mount may not know it: %s",
			 (int)rule.tree_n, rule.tree, strerror(-r));
	forget(m, &rule);
}

void meta_gone(struct meta *m, struct str key)
{
	struct rule rule;

	tell_source(m, key, false);
	rule_init(&rule, key);
	forget(m, &rule);
}
