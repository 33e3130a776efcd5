/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs.c - the table of jobs: starting, ending, telling how far they are
 *
 * Two pools: walkers list directories and hand out files, workers load
 * them.
 */
#include "fuse/jobs_impl.h"

#include <errno.h>

#include "fuse/json_text.h"

#define WALKERS 4

static void load_job_free(struct load_job *lj)
{
	for (size_t i = 0; i < lj->ntargets; i++)
		free(lj->targets[i].text);
	free(lj->targets);
	for (size_t i = 0; i < ERRORS_KEPT; i++)
		free(lj->errors[i].path);
	if (lj->filter != NULL)
		lj->filter->free(lj->filter);
	free(lj);
}

int jobs_new(const struct jobs_source *sources, size_t n, unsigned width,
	     struct jobs **out)
{
	struct jobs *j = calloc(1, sizeof(*j));
	int r;

	if (j == NULL)
		return -ENOMEM;
	j->sources = calloc(n, sizeof(*j->sources));
	if (j->sources == NULL) {
		free(j);
		return -ENOMEM;
	}
	memcpy(j->sources, sources, n * sizeof(*sources));
	j->nsources = n;
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
	free(j->sources);
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

/* What is set once. */
static int fill_in(struct load_job *lj, const struct jobs_spec *spec,
		   const struct jobs_target *targets, size_t n)
{
	const char *name = spec->name != NULL ? spec->name : "";

	lj->walk.run = walk_run;
	lj->kind = spec->kind;
	lj->verify = spec->verify;
	lj->dry_run = spec->dry_run;
	if (n == 0 || strlen(name) >= sizeof(lj->name))
		return -EINVAL;
	strcpy(lj->name, name);
	lj->targets = calloc(n, sizeof(*lj->targets));
	for (size_t i = 0; lj->targets != NULL && i < n; i++) {
		must(targets[i].source >= lj->jobs->nsources);
		lj->targets[i] =
		    (struct target){ &lj->jobs->sources[targets[i].source],
				     targets[i].is_key,
				     strdup(targets[i].text) };
		lj->ntargets++;
		if (lj->targets[i].text == NULL)
			return -ENOMEM;
	}
	return lj->targets != NULL ? 0 : -ENOMEM;
}

/* What was done under a name before is done again, by another. */
static void replace_locked(struct jobs *j, const char *name)
    TSA(requires_capability(j->lock))
{
	for (struct load_job *lj = j->newest; lj != NULL; lj = lj->next)
		if (name[0] != '\0' && strcmp(lj->name, name) == 0)
			cancel_set(&lj->cancel);
}

int jobs_start(struct jobs *j, const struct jobs_spec *spec,
	       const struct jobs_target *targets, size_t n)
{
	struct load_job *lj = calloc(1, sizeof(*lj));
	unsigned id;
	int r;

	if (lj == NULL) {
		if (spec->filter != NULL)
			spec->filter->free(spec->filter);
		return -ENOMEM;
	}
	lj->jobs = j;
	lj->filter = spec->filter;
	r = fill_in(lj, spec, targets, n);
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
	replace_locked(j, lj->name);
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

		if (object_cached_part(items[i]->object, items[i]->off,
				       items[i]->len, &bytes) == 0)
			sum += MIN(bytes, items[i]->len);
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
		    a, json_pack("{s:o, s:s}", "path",
				 json_text(path != NULL ? path : "?"), "error",
				 strerror(-lj->errors[i].err)));
	}
	return a;
}

/* The latest that id means. */
static struct load_job *find_locked(struct jobs *j, const char *id)
    TSA(requires_capability(j->lock))
{
	struct load_job *lj = j->newest;
	char *end;
	unsigned long n = strtoul(id, &end, 10);
	bool number = *id >= '1' && *id <= '9' && *end == '\0';

	if (id[0] == '\0')
		return NULL;
	while (lj != NULL && (number ? lj->id != n : strcmp(lj->name, id) != 0))
		lj = lj->next;
	return lj;
}

/* What all of its name have fetched, or it alone. */
static uint64_t fetched_locked(const struct load_job *lj)
{
	uint64_t sum = lj->fetched;

	for (const struct load_job *o = lj->next; o != NULL; o = o->next)
		if (lj->name[0] != '\0' && strcmp(o->name, lj->name) == 0)
			sum += o->fetched;
	return sum;
}

static json_t *job_locked(struct load_job *lj)
{
	const char *state = running_locked(lj)       ? "running"
			    : cancelled(&lj->cancel) ? "cancelled"
			    : lj->failed > 0         ? "failed"
						     : "done";

	return json_pack(
	    "{s:o, s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, "
	    "s:I, s:I, s:I}",
	    "id", json_sprintf("%u", lj->id), "job", lj->name, "kind",
	    lj->kind == JOBS_FREE ? "free" : "load", "state", state, "walked",
	    lj->walked, "dry_run", lj->dry_run, "files", (json_int_t)lj->files,
	    "files_done", (json_int_t)lj->files_done, "bytes",
	    (json_int_t)lj->bytes, "bytes_done", (json_int_t)lj->bytes_done,
	    "fetched_bytes", (json_int_t)fetched_locked(lj), "ssd_bytes",
	    (json_int_t)lj->held, "verified_bytes", (json_int_t)lj->verified,
	    "verified_pages", (json_int_t)lj->verified_pages, "failed",
	    (json_int_t)lj->failed);
}

json_t *jobs_status(struct jobs *j, const char *id)
{
	struct item *looked_at[ITEMS_AHEAD];
	struct load_job *lj;
	size_t n = 0;
	uint64_t under_way;
	json_t *out;

	lock_take(&j->lock);
	lj = find_locked(j, id);
	if (lj == NULL) {
		lock_drop(&j->lock);
		return NULL;
	}
	out = job_locked(lj);
	if (out != NULL)
		json_object_set_new(out, "errors", errors_locked(lj));
	if (out != NULL && lj->kind == JOBS_LOAD && !lj->dry_run)
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
	return out;
}

json_t *jobs_list(struct jobs *j)
{
	json_t *a = json_array();

	lock_take(&j->lock);
	for (struct load_job *lj = j->newest; lj != NULL; lj = lj->next)
		json_array_append_new(a, job_locked(lj));
	lock_drop(&j->lock);
	return a;
}
