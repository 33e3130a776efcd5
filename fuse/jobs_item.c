/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs_item.c - one object, or a part of one, that is loaded or freed
 */
#include "fuse/jobs_impl.h"

#include <errno.h>

#include "cache/cache.h"

void item_free(struct item *it)
{
	object_put(it->object);
	free(it);
}

void note_failure(struct load_job *lj, char *path, int err)
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

/* What came of an item. */
struct outcome {
	int err;
	uint64_t held; /* freed, or there in a dry run */
	struct object_load load;
};

static void item_end(struct item *it, const struct outcome *o)
{
	struct load_job *lj = it->owner;
	struct jobs *j = lj->jobs;
	struct item **link;
	bool last;

	if (o->err < 0 && !cancelled(&lj->cancel))
		note_failure(lj,
			     it->source->name_of(it->source->arg,
						 (struct str){ it->key, it->n },
						 false),
			     o->err);
	lock_take(&j->lock);
	for (link = &lj->running; *link != it; link = &(*link)->next)
		;
	*link = it->next;
	it->ended = true;
	last = it->pins == 0;
	lj->files_done += it->file;
	lj->bytes_done += it->len;
	lj->fetched += o->load.fetched;
	lj->verified += o->load.checked;
	lj->verified_pages += o->load.checked_pages;
	lj->held += o->held;
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
	struct outcome o = {
		.load = { .off = it->off, .len = it->len, .verify = lj->verify }
	};

	lock_take(&lj->jobs->lock);
	it->next = lj->running;
	lj->running = it;
	lock_drop(&lj->jobs->lock);

	if (cancelled(&lj->cancel))
		o.err = -ECANCELED;
	else if (lj->dry_run)
		o.err =
		    object_cached_part(it->object, it->off, it->len, &o.held);
	else if (lj->kind == JOBS_FREE)
		o.err = object_free(it->object, &o.held);
	else
		o.err = object_load_part(it->object, &o.load, &lj->cancel);
	item_end(it, &o);
}

struct part {
	uint64_t off, len;
	bool file;
};

/* Hand a part of one object to the workers, waiting for room. */
static int add_part(struct load_job *lj, const struct jobs_source *s,
		    struct str key, const struct ufs_stat *st,
		    const struct part *p)
{
	struct jobs *j = lj->jobs;
	struct item *it = calloc(1, sizeof(*it) + key.n + 1);
	int r;

	if (it == NULL)
		return -ENOMEM;
	it->job.run = item_run;
	it->owner = lj;
	it->source = s;
	it->off = p->off;
	it->len = p->len;
	it->file = p->file;
	it->n = key.n;
	memcpy(it->key, key.p, key.n);
	r = object_get(s->cache, (struct str){ it->key, it->n }, st,
		       &it->object);
	if (r < 0) {
		free(it);
		return r;
	}
	lock_take(&j->lock);
	while (lj->ahead >= ITEMS_AHEAD)
		event_wait(&j->room, &j->lock);
	lj->ahead++;
	lj->files += p->file;
	lj->bytes += p->len;
	lock_drop(&j->lock);
	pool_submit(j->workers, &it->job, POOL_DEMAND);
	return cancelled(&lj->cancel) ? -ECANCELED : 0;
}

/*
 * The runs of segments that are the job's. Who has the first segment counts
 * the file, so that the numbers of several who share a tree add up.
 */
int item_add(struct load_job *lj, const struct jobs_source *s, struct str key,
	     const struct ufs_stat *st)
{
	struct jobs_filter *f = lj->filter;
	struct part p = { .len = st->size, .file = true };
	uint64_t n, segment = 0, from;
	int r = 0;

	if (f == NULL)
		return add_part(lj, s, key, st, &p);
	n = MAX((st->size + OBJECT_SEGMENT - 1) / OBJECT_SEGMENT, 1);
	while (segment < n && r == 0) {
		/* A store may say of an object what it likes. */
		if (cancelled(&lj->cancel))
			return -ECANCELED;
		from = segment;
		while (segment < n && f->mine(f, s->cache, key, segment) &&
		       !cancelled(&lj->cancel))
			segment++;
		p.off = from * OBJECT_SEGMENT;
		p.len = MIN(segment * OBJECT_SEGMENT, st->size) - p.off;
		p.file = from == 0;
		if (segment > from)
			r = add_part(lj, s, key, st, &p);
		else
			segment++;
	}
	return r;
}
