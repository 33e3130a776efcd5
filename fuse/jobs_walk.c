/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs_walk.c - from a job's targets to the objects they mean
 *
 * A walker lists directories and hands out files; it waits while ITEMS_AHEAD
 * of its job wait, so a job over millions of files holds few of them.
 */
#include "fuse/jobs_impl.h"

#include <errno.h>
#include <stdio.h>

#include "cache/cache.h"
#include "cache/listing.h"
#include "cache/meta.h"

/* Directories still to be listed: a stack of keys on the heap. */
struct walk {
	struct load_job *lj;
	const struct jobs_source *source;
	struct str dir; /* being listed */
	uint64_t next;  /* entry of it */
	char **stack;
	size_t n, cap;
};

static int push_dir(struct walk *w, struct str a, struct str b)
{
	size_t n = a.n + b.n;
	char *key;

	if (w->n == w->cap) {
		size_t cap = w->cap * 2 + 16;
		char **more = realloc(w->stack, cap * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		w->stack = more;
		w->cap = cap;
	}
	/* The length first: keys may hold NUL. */
	key = malloc(sizeof(n) + n + 1);
	if (key == NULL)
		return -ENOMEM;
	memcpy(key, &n, sizeof(n));
	memcpy(key + sizeof(size_t), a.p, a.n);
	memcpy(key + sizeof(size_t) + a.n, b.p, b.n);
	w->stack[w->n++] = key;
	return 0;
}

/*
 * What fails in a tree that several share is told by one of them: who would
 * have the object, were there one. Takes name (heap, may be NULL).
 */
static void note_key(struct load_job *lj, const struct jobs_source *s,
		     struct str key, char *name, int err)
{
	if (lj->filter == NULL ||
	    lj->filter->mine(lj->filter, s->cache, key, 0))
		note_failure(lj, name, err);
	else
		free(name);
}

static int walk_entry(void *arg, uint64_t number, const struct listing_entry *e)
{
	struct walk *w = arg;
	char key[2 * UFS_KEY_MAX + 2];
	size_t n = w->dir.n + e->name.n;
	int r;

	w->next = number + 1;
	if (cancelled(&w->lj->cancel))
		return -ECANCELED;
	if (n > sizeof(key))
		return 0;
	if (e->dir)
		return e->name.n == 0 ? 0 : push_dir(w, w->dir, e->name);
	memcpy(key, w->dir.p, w->dir.n);
	memcpy(key + w->dir.n, e->name.p, e->name.n);
	r = item_add(w->lj, w->source, (struct str){ key, n }, &e->st);
	if (r < 0 && r != -ECANCELED) {
		note_key(w->lj, w->source, (struct str){ key, n },
			 w->source->name_of(w->source->arg,
					    (struct str){ key, n }, false),
			 r);
		r = 0;
	}
	return r;
}

/* List one directory; its directories go on the stack. */
static int walk_one(struct walk *w)
{
	struct meta *m = cache_meta(w->source->cache);
	bool bad = true;
	int r = 0;

	w->next = 0;
	for (int tries = 0; tries < LISTING_TRIES && bad; tries++) {
		struct listing *l;

		r = meta_list(m, w->dir, &l, &w->lj->cancel);
		if (r < 0)
			return r;
		r = listing_each(l, w->next, walk_entry, w);
		bad = r < 0 && listing_is_bad(l);
		listing_unref(l);
	}
	return r;
}

static int walk_tree(struct load_job *lj, const struct jobs_source *s,
		     struct str top)
{
	struct walk w = { .lj = lj, .source = s };
	int r = push_dir(&w, top, STR_EMPTY);
	bool first = true;

	while (r == 0 && w.n > 0) {
		AUTO_FREE char *key = w.stack[--w.n];

		memcpy(&w.dir.n, key, sizeof(size_t));
		w.dir.p = key + sizeof(size_t);
		r = walk_one(&w);
		if (r < 0 && r != -ECANCELED && r != -ENOMEM && !first) {
			/* Gone meanwhile is no failure; the rest goes on. */
			if (r != -ENOENT)
				note_key(lj, s, w.dir,
					 s->name_of(s->arg, w.dir, true), r);
			r = 0;
		}
		first = false;
	}
	while (w.n > 0)
		free(w.stack[--w.n]);
	free(w.stack);
	return r;
}

static int walk_path(struct load_job *lj, const struct jobs_source *s,
		     const char *path)
{
	char key[UFS_KEY_MAX + 1];
	struct ufs_stat st;
	bool dir;
	size_t n;
	int r = -EINVAL;

	if (s->resolve != NULL)
		r = s->resolve(s->arg, path, key, &n, &dir, &st);
	if (r < 0)
		return r;
	if (dir)
		return walk_tree(lj, s, (struct str){ key, n });
	return item_add(lj, s, (struct str){ key, n }, &st);
}

static int walk_key(struct load_job *lj, const struct jobs_source *s,
		    const char *key)
{
	struct meta *m = cache_meta(s->cache);
	struct str k = str_of(key), dir = k, name;
	struct meta_answer a;
	AUTO_FREE char *below = NULL;
	int r;

	if (k.n == 0 || key[k.n - 1] == '/')
		return walk_tree(lj, s, k);
	while (dir.n > 0 && dir.p[dir.n - 1] != '/')
		dir.n--;
	name = (struct str){ k.p + dir.n, k.n - dir.n };
	r = meta_lookup(m, dir, name, &a, &lj->cancel);
	if (r == 0 && a.object)
		r = item_add(lj, s, k, &a.st);
	if (r == 0 && a.dir) {
		if (asprintf(&below, "%s/", key) < 0)
			return -ENOMEM;
		r = walk_tree(lj, s, str_of(below));
	}
	return r;
}

void walk_run(struct job *job)
{
	struct load_job *lj = container_of(job, struct load_job, walk);
	struct jobs *j = lj->jobs;

	for (size_t i = 0; i < lj->ntargets && !cancelled(&lj->cancel); i++) {
		const struct target *t = &lj->targets[i];
		int r = t->is_key ? walk_key(lj, t->source, t->text)
				  : walk_path(lj, t->source, t->text);

		if (r < 0 && !cancelled(&lj->cancel))
			note_key(lj, t->source, str_of(t->text),
				 strdup(t->text), r);
	}
	lock_take(&j->lock);
	lj->walked = true;
	lock_drop(&j->lock);
}
