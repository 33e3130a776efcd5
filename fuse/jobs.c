/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs.c - loading and freeing files and trees in the background
 *
 * Two pools: walkers list directories and hand out files, workers load
 * them. A walker stops when ITEMS_AHEAD files of its job wait, so a job over
 * millions of files holds few of them. An item is freed by its worker,
 * unless jobs_status() looks at it just then (pins); then by that.
 */
#include "fuse/jobs.h"

#include <errno.h>
#include <stdio.h>

#include "base/cancel.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/pool.h"
#include "cache/cache.h"
#include "cache/listing.h"
#include "cache/meta.h"
#include "cache/object.h"
#include "fuse/fs.h"

#define WALKERS 4
#define ITEMS_AHEAD 64
#define ERRORS_KEPT 20

struct target {
	char *text; /* path, or key with n bytes */
	bool is_key;
};

struct failure {
	char *path;
	int err;
};

struct load_job {
	/* set once at start */
	struct job walk;
	struct jobs *jobs; /* borrowed */
	struct jobs_spec spec;
	unsigned id;
	struct target *targets;
	size_t ntargets;
	struct cancel cancel;

	/* under jobs->lock */
	struct load_job *next; /* older */
	struct item *running;
	unsigned ahead; /* items not ended */
	bool walked;
	uint64_t files, files_done;
	uint64_t bytes, bytes_done; /* of objects */
	uint64_t fetched, freed;
	uint64_t failed;
	struct failure errors[ERRORS_KEPT];
};

struct item {
	struct job job;
	struct load_job *owner; /* borrowed */
	struct object *object;  /* owns a ref */
	struct item *next;      /* in owner->running, under lock */
	unsigned pins;          /* under lock */
	bool ended;             /* under lock */
	size_t n;
	char key[];
};

struct jobs {
	struct fs *fs;       /* borrowed */
	struct cache *cache; /* borrowed */
	struct pool *walkers;
	struct pool *workers;
	struct lock lock;
	struct event room; /* an item ended */

	/* under lock */
	struct load_job *newest;
	unsigned last_id;
};

static void load_job_free(struct load_job *lj)
{
	for (size_t i = 0; i < lj->ntargets; i++)
		free(lj->targets[i].text);
	free(lj->targets);
	for (size_t i = 0; i < ERRORS_KEPT; i++)
		free(lj->errors[i].path);
	free(lj);
}

static void item_free(struct item *it)
{
	object_put(it->object);
	free(it);
}

/* Takes path (heap, may be NULL). */
static void note_failure(struct load_job *lj, char *path, int err)
{
	struct jobs *j = lj->jobs;

	lock_take(&j->lock);
	if (lj->failed < ERRORS_KEPT) {
		lj->errors[lj->failed].path = path;
		lj->errors[lj->failed].err = err;
		path = NULL;
	}
	lj->failed++;
	lock_drop(&j->lock);
	free(path);
}

static void item_end(struct item *it, int err, uint64_t fetched, uint64_t freed)
{
	struct load_job *lj = it->owner;
	struct jobs *j = lj->jobs;
	struct item **link;
	bool last;

	if (err < 0 && !cancelled(&lj->cancel))
		note_failure(
		    lj,
		    fs_path_of(j->fs, (struct str){ it->key, it->n }, false),
		    err);
	lock_take(&j->lock);
	for (link = &lj->running; *link != it; link = &(*link)->next)
		;
	*link = it->next;
	it->ended = true;
	last = it->pins == 0;
	lj->files_done++;
	lj->bytes_done += object_size(it->object);
	lj->fetched += fetched;
	lj->freed += freed;
	lock_drop(&j->lock);
	if (last)
		item_free(it);

	/* Last, as the job may go when nothing is ahead. */
	lock_take(&j->lock);
	lj->ahead--;
	event_broadcast(&j->room);
	lock_drop(&j->lock);
}

static void item_run(struct job *job)
{
	struct item *it = container_of(job, struct item, job);
	struct load_job *lj = it->owner;
	uint64_t fetched = 0, freed = 0;
	int r = 0;

	lock_take(&lj->jobs->lock);
	it->next = lj->running;
	lj->running = it;
	lock_drop(&lj->jobs->lock);

	if (cancelled(&lj->cancel))
		r = -ECANCELED;
	else if (lj->spec.dry_run)
		r = object_cached(it->object, &freed);
	else if (lj->spec.kind == JOBS_FREE)
		r = object_free(it->object, &freed);
	else
		r = object_load(it->object, lj->spec.verify, &fetched,
				&lj->cancel);
	item_end(it, r, fetched, freed);
}

/* Hand one object to the workers, waiting for room. */
static int add_item(struct load_job *lj, struct str key,
		    const struct ufs_stat *st)
{
	struct jobs *j = lj->jobs;
	struct item *it = calloc(1, sizeof(*it) + key.n + 1);
	int r;

	if (it == NULL)
		return -ENOMEM;
	it->job.run = item_run;
	it->owner = lj;
	it->n = key.n;
	memcpy(it->key, key.p, key.n);
	r = object_get(j->cache, (struct str){ it->key, it->n }, st,
		       &it->object);
	if (r < 0) {
		free(it);
		return r;
	}
	lock_take(&j->lock);
	while (lj->ahead >= ITEMS_AHEAD)
		event_wait(&j->room, &j->lock);
	lj->ahead++;
	lj->files++;
	lj->bytes += st->size;
	lock_drop(&j->lock);
	pool_submit(j->workers, &it->job, POOL_DEMAND);
	return cancelled(&lj->cancel) ? -ECANCELED : 0;
}

/* Directories still to be listed: a stack of keys on the heap. */
struct walk {
	struct load_job *lj;
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
	r = add_item(w->lj, (struct str){ key, n }, &e->st);
	if (r < 0 && r != -ECANCELED) {
		note_failure(
		    w->lj,
		    fs_path_of(w->lj->jobs->fs, (struct str){ key, n }, false),
		    r);
		r = 0;
	}
	return r;
}

/* List one directory; its directories go on the stack. */
static int walk_one(struct walk *w)
{
	struct meta *m = cache_meta(w->lj->jobs->cache);
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

static int walk_tree(struct load_job *lj, struct str top)
{
	struct walk w = { .lj = lj };
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
				note_failure(
				    lj, fs_path_of(lj->jobs->fs, w.dir, true),
				    r);
			r = 0;
		}
		first = false;
	}
	while (w.n > 0)
		free(w.stack[--w.n]);
	free(w.stack);
	return r;
}

static int walk_path(struct load_job *lj, const char *path)
{
	char key[UFS_KEY_MAX + 1];
	struct ufs_stat st;
	bool dir;
	size_t n;
	int r = fs_resolve(lj->jobs->fs, path, key, &n, &dir, &st);

	if (r < 0)
		return r;
	if (dir)
		return walk_tree(lj, (struct str){ key, n });
	return add_item(lj, (struct str){ key, n }, &st);
}

static int walk_key(struct load_job *lj, const char *key)
{
	struct meta *m = cache_meta(lj->jobs->cache);
	struct str k = str_of(key), dir = k, name;
	struct meta_answer a;
	AUTO_FREE char *below = NULL;
	int r;

	if (k.n == 0 || key[k.n - 1] == '/')
		return walk_tree(lj, k);
	while (dir.n > 0 && dir.p[dir.n - 1] != '/')
		dir.n--;
	name = (struct str){ k.p + dir.n, k.n - dir.n };
	r = meta_lookup(m, dir, name, &a, &lj->cancel);
	if (r == 0 && a.object)
		r = add_item(lj, k, &a.st);
	if (r == 0 && a.dir) {
		if (asprintf(&below, "%s/", key) < 0)
			return -ENOMEM;
		r = walk_tree(lj, str_of(below));
	}
	return r;
}

static void walk_run(struct job *job)
{
	struct load_job *lj = container_of(job, struct load_job, walk);
	struct jobs *j = lj->jobs;

	for (size_t i = 0; i < lj->ntargets && !cancelled(&lj->cancel); i++) {
		const struct target *t = &lj->targets[i];
		int r =
		    t->is_key ? walk_key(lj, t->text) : walk_path(lj, t->text);

		if (r < 0 && !cancelled(&lj->cancel))
			note_failure(lj, strdup(t->text), r);
	}
	lock_take(&j->lock);
	lj->walked = true;
	lock_drop(&j->lock);
}

int jobs_new(struct fs *fs, struct cache *cache, unsigned width,
	     struct jobs **out)
{
	struct jobs *j = calloc(1, sizeof(*j));
	int r;

	if (j == NULL)
		return -ENOMEM;
	j->fs = fs;
	j->cache = cache;
	lock_init(&j->lock, RANK_CONTROL);
	event_init(&j->room);
	r = pool_new("walk", WALKERS, &j->walkers);
	if (r == 0)
		r = pool_new("load", MAX(width, 1), &j->workers);
	if (r < 0)
		jobs_free(j);
	else
		*out = j;
	return r;
}

void jobs_free(struct jobs *j)
{
	if (j == NULL)
		return;
	lock_take(&j->lock);
	for (struct load_job *lj = j->newest; lj != NULL; lj = lj->next)
		cancel_set(&lj->cancel);
	lock_drop(&j->lock);
	/* Walkers first: they wait for workers, not the other way round. */
	pool_stop(j->walkers);
	pool_stop(j->workers);
	while (j->newest != NULL) {
		struct load_job *lj = j->newest;

		j->newest = lj->next;
		load_job_free(lj);
	}
	event_fini(&j->room);
	lock_fini(&j->lock);
	free(j);
}

static bool running_locked(const struct load_job *lj)
{
	return !lj->walked || lj->ahead > 0;
}

/* Drop the oldest ended jobs above JOBS_KEPT. False: all of them run. */
static bool make_room_locked(struct jobs *j) TSA(requires_capability(j->lock));

static bool make_room_locked(struct jobs *j)
{
	struct load_job **link = &j->newest, **oldest = NULL;
	size_t n = 0;

	for (; *link != NULL; link = &(*link)->next, n++)
		if (!running_locked(*link))
			oldest = link;
	if (n < JOBS_KEPT)
		return true;
	if (oldest != NULL) {
		struct load_job *lj = *oldest;

		*oldest = lj->next;
		load_job_free(lj);
	}
	return oldest != NULL;
}

/* Copy the strings of an array to the targets. */
static int take_targets(struct load_job *lj, const json_t *array, bool is_key)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *s = json_string_value(json_array_get(array, i));
		char *text;

		if (s == NULL)
			return -EINVAL;
		text = strdup(s);
		if (text == NULL)
			return -ENOMEM;
		lj->targets[lj->ntargets++] = (struct target){ text, is_key };
	}
	return 0;
}

int jobs_start(struct jobs *j, const struct jobs_spec *spec,
	       const json_t *paths, const json_t *keys)
{
	size_t n = json_array_size(paths) + json_array_size(keys);
	struct load_job *lj;
	unsigned id;
	int r;

	if (n == 0)
		return -EINVAL;
	lj = calloc(1, sizeof(*lj));
	if (lj == NULL)
		return -ENOMEM;
	lj->walk.run = walk_run;
	lj->jobs = j;
	lj->spec = *spec;
	lj->targets = calloc(n, sizeof(*lj->targets));
	r = lj->targets == NULL ? -ENOMEM : take_targets(lj, paths, false);
	if (r == 0)
		r = take_targets(lj, keys, true);
	if (r < 0) {
		load_job_free(lj);
		return r;
	}
	lock_take(&j->lock);
	if (!make_room_locked(j)) {
		lock_drop(&j->lock);
		load_job_free(lj);
		return -EBUSY;
	}
	id = lj->id = ++j->last_id;
	lj->next = j->newest;
	j->newest = lj;
	lock_drop(&j->lock);
	pool_submit(j->walkers, &lj->walk, POOL_DEMAND);
	return (int)id;
}

/* Bytes of the running items that are here already. */
static uint64_t bytes_under_way(struct jobs *j, struct item *const *items,
				size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t bytes;
		bool last;

		if (object_cached(items[i]->object, &bytes) == 0)
			sum += MIN(bytes, object_size(items[i]->object));
		lock_take(&j->lock);
		last = --items[i]->pins == 0 && items[i]->ended;
		lock_drop(&j->lock);
		if (last)
			item_free(items[i]);
	}
	return sum;
}

static json_t *errors_locked(const struct load_job *lj)
{
	json_t *a = json_array();

	for (size_t i = 0; i < MIN(lj->failed, (uint64_t)ERRORS_KEPT); i++) {
		const char *path = lj->errors[i].path;

		json_array_append_new(
		    a,
		    json_pack("{s:s, s:s}", "path", path != NULL ? path : "?",
			      "error", strerror(-lj->errors[i].err)));
	}
	return a;
}

json_t *jobs_status(struct jobs *j, unsigned id)
{
	struct item *looked_at[ITEMS_AHEAD];
	struct load_job *lj;
	size_t n = 0;
	const char *state;
	uint64_t under_way;
	json_t *out;

	lock_take(&j->lock);
	for (lj = j->newest; lj != NULL && lj->id != id; lj = lj->next)
		;
	if (lj == NULL) {
		lock_drop(&j->lock);
		return NULL;
	}
	state = running_locked(lj)       ? "running"
		: cancelled(&lj->cancel) ? "cancelled"
		: lj->failed > 0         ? "failed"
					 : "done";
	out = json_pack(
	    "{s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
	    "s:o}",
	    "id", "", "kind", lj->spec.kind == JOBS_FREE ? "free" : "load",
	    "state", state, "walked", lj->walked, "dry_run", lj->spec.dry_run,
	    "files", (json_int_t)lj->files, "files_done",
	    (json_int_t)lj->files_done, "bytes", (json_int_t)lj->bytes,
	    "bytes_done", (json_int_t)lj->bytes_done, "fetched_bytes",
	    (json_int_t)lj->fetched, "ssd_bytes", (json_int_t)lj->freed,
	    "failed", (json_int_t)lj->failed, "errors", errors_locked(lj));
	if (out != NULL && lj->spec.kind == JOBS_LOAD && !lj->spec.dry_run)
		for (struct item *it = lj->running;
		     it != NULL && n < ITEMS_AHEAD; it = it->next) {
			it->pins++;
			looked_at[n++] = it;
		}
	lock_drop(&j->lock);
	if (out == NULL)
		return NULL;
	under_way = bytes_under_way(j, looked_at, n);
	if (n > 0)
		json_object_set_new(
		    out, "bytes_done",
		    json_integer((json_int_t)under_way +
				 json_integer_value(
				     json_object_get(out, "bytes_done"))));
	json_object_set_new(out, "id", json_sprintf("%u", id));
	return out;
}
