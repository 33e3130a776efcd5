/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_flight.c - questions to the store, one for all who ask the same
 *
 * A flight runs on the pool, so that who waits for it can give up at any
 * time: its signal, its deadline. Its failure is told to all who waited and
 * then forgotten (A3). Where nothing remembered counts (strict, stat_now) a
 * flight that has already begun may have been answered before the question
 * was put, and is not joined.
 *
 * States: queued, begun, done. It can be joined from its making until it is
 * done, doomed (invalidated: its answer goes to those who wait already and is
 * not kept) or given up.
 */
#include "cache/meta_impl.h"

#include <errno.h>

/* Waits look at their cancel flag this often. */
#define LOOK_EVERY (100 * NSEC_PER_MSEC)

/* The driver's own deadline comes first: its error says more. */
#define GRACE NSEC_PER_SEC

static struct flight **bucket(struct meta *m, struct str dirkey)
{
	return &m->flights[meta_hash(dirkey) % FLIGHT_BUCKETS];
}

static void unlist_locked(struct meta *m, struct flight *f)
{
	struct flight **at = bucket(m, flight_dir(f));

	if (!f->listed)
		return;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	f->listed = false;
}

static void flight_free(struct flight *f)
{
	listing_unref(f->listing);
	event_fini(&f->ended);
	free(f);
}

void flight_put(struct meta *m, struct flight *f)
{
	bool last;

	if (f == NULL)
		return;
	lock_take(&m->lock);
	last = --f->refs == 0;
	lock_drop(&m->lock);
	if (last)
		flight_free(f);
}

void flight_begin(struct flight *f)
{
	struct meta *m = f->meta;

	lock_take(&m->lock);
	if (!f->begun) {
		f->begun = true;
		f->began = f->taken = clock_ns();
		atomic_store(&f->progress, f->taken);
	}
	lock_drop(&m->lock);
}

void flight_aged(struct flight *f, int64_t asked)
{
	int64_t age = ufs_last_age();

	if (age <= 0)
		return;
	lock_take(&f->meta->lock);
	f->taken = MIN(f->taken, asked - age);
	lock_drop(&f->meta->lock);
}

/*
 * What HEAD and LIST together say. Either may be refused where the other is
 * allowed (a policy for one prefix): then what was found counts.
 */
static int judge_lookup(const struct flight *f)
{
	bool object = f->head_err == 0, dir = f->below_err == 0;

	if (f->head_err < 0 && f->head_err != -ENOENT &&
	    !(f->head_err == -EACCES && dir))
		return f->head_err;
	if (f->below_err < 0 && f->below_err != -ENOENT &&
	    !(f->below_err == -EACCES && object))
		return f->below_err;
	return object || dir ? 0 : -ENOENT;
}

void flight_job_end(struct flight *f)
{
	struct meta *m = f->meta;
	struct drops drops = { 0 };
	bool last;

	lock_take(&m->lock);
	if (--f->jobs == 0) {
		if (f->kind == FLIGHT_LOOKUP)
			f->err = judge_lookup(f);
		else if (f->kind == FLIGHT_STAT)
			f->err = f->head_err;
		if (f->kind == FLIGHT_LOOKUP &&
		    (f->err == 0 || f->err == -ENOENT) && !f->doomed)
			known_add_locked(m, flight_key(f), f->dir_n, f->taken,
					 f->head_err == 0 ? &f->st : NULL,
					 f->below_err == 0, false, &drops);
		f->done = true;
		unlist_locked(m, f);
		event_broadcast(&f->ended);
	}
	last = --f->refs == 0;
	lock_drop(&m->lock);
	drops_end(&drops);
	if (last)
		flight_free(f);
}

static void ask_stat(struct flight *f)
{
	struct ufs *u = f->meta->ufs;
	int64_t asked = clock_ns();

	if (f->kind == FLIGHT_STAT && u->ops->stat_now != NULL)
		f->head_err =
		    u->ops->stat_now(u, flight_key(f), &f->st, &f->cancel);
	else
		f->head_err =
		    u->ops->stat(u, flight_key(f), &f->st, &f->cancel);
	flight_aged(f, asked);
}

static void head_run(struct job *job)
{
	struct flight *f = container_of(job, struct flight, head_job);
	struct ufs *u = f->meta->ufs;

	flight_begin(f);
	if (cancelled(&f->cancel))
		f->head_err = -ECANCELED;
	else if (f->n == 0 && u->prefix[0] == '\0')
		f->head_err = -ENOENT; /* the bucket itself is no object */
	else
		ask_stat(f);
	flight_job_end(f);
}

static int found_cb(void *arg, const struct ufs_entry *e)
{
	(void)e;
	*(bool *)arg = true;
	return 1;
}

/* Is anything below `name/`? One entry tells; pages may be empty. */
static int look_below(struct flight *f)
{
	char prefix[UFS_KEY_MAX + 1];
	struct ufs_list q = { .prefix = { prefix, f->n + 1 },
			      .after = STR_EMPTY,
			      .max = 1 };
	struct ufs *u = f->meta->ufs;
	AUTO_FREE char *token = NULL;
	bool found = false;
	int r;

	if (f->n >= UFS_KEY_MAX)
		return -ENOENT; /* no key has room for more */
	memcpy(prefix, f->key, f->n);
	prefix[f->n] = '/';
	do {
		AUTO_FREE char *before = token != NULL ? strdup(token) : NULL;
		int64_t asked = clock_ns();

		if (cancelled(&f->cancel))
			return -ECANCELED;
		r = u->ops->list(u, &q, &token, found_cb, &found, &f->cancel);
		flight_aged(f, asked);
		if (found)
			return 0;
		if (r < 0)
			return r;
		if (before != NULL && token != NULL && !strcmp(before, token))
			return -EIO; /* it would never end */
	} while (token != NULL);
	return -ENOENT;
}

static void below_run(struct job *job)
{
	struct flight *f = container_of(job, struct flight, list_job);

	flight_begin(f);
	f->below_err = look_below(f);
	flight_job_end(f);
}

static struct flight *flight_new(struct meta *m, enum flight_kind kind,
				 struct str dirkey, struct str name)
{
	struct flight *f = calloc(1, sizeof(*f) + dirkey.n + name.n + 1);

	if (f == NULL)
		return NULL;
	f->meta = m;
	f->kind = kind;
	f->dir_n = dirkey.n;
	f->n = dirkey.n + name.n;
	if (dirkey.n > 0)
		memcpy(f->key, dirkey.p, dirkey.n);
	if (name.n > 0)
		memcpy(f->key + dirkey.n, name.p, name.n);
	f->head_job.run = head_run;
	f->list_job.run = kind == FLIGHT_LIST   ? flight_list_run
			  : kind == FLIGHT_PAGE ? flight_page_run
						: below_run;
	f->jobs = kind == FLIGHT_LOOKUP ? 2 : 1;
	f->refs = f->jobs;
	atomic_store(&f->progress, clock_ns());
	event_init(&f->ended);
	return f;
}

static struct flight *find_locked(struct meta *m, enum flight_kind kind,
				  struct str dirkey, struct str name)
{
	bool fresh =
	    m->consistency == CONSISTENCY_STRICT || kind == FLIGHT_STAT;
	struct flight *f;

	for (f = *bucket(m, dirkey); f != NULL; f = f->next)
		if (f->kind == kind && str_eq(flight_dir(f), dirkey) &&
		    f->n == dirkey.n + name.n &&
		    (name.n == 0 ||
		     memcmp(f->key + f->dir_n, name.p, name.n) == 0) &&
		    !(fresh && f->begun))
			return f;
	return NULL;
}

bool flight_listing_locked(struct meta *m, struct str dirkey)
{
	return find_locked(m, FLIGHT_LIST, dirkey, STR_EMPTY) != NULL;
}

static void submit(struct flight *f)
{
	struct meta *m = f->meta;

	/* Its jobs may end it: nothing of f is read after the last submit. */
	switch (f->kind) {
	case FLIGHT_LOOKUP:
		pool_submit(m->pool, &f->head_job, POOL_DEMAND);
		pool_submit(m->pool, &f->list_job, POOL_DEMAND);
		break;
	case FLIGHT_STAT:
		pool_submit(m->pool, &f->head_job, POOL_DEMAND);
		break;
	case FLIGHT_PAGE:
		pool_submit(m->pool, &f->list_job, POOL_DEMAND);
		break;
	case FLIGHT_LIST:
		pool_submit(m->pool, &f->list_job, POOL_BACKGROUND);
		break;
	}
}

static int wait_locked(struct meta *m, struct flight *f, bool patient,
		       struct cancel *cancel) TSA(requires_capability(m->lock));

static int wait_locked(struct meta *m, struct flight *f, bool patient,
		       struct cancel *cancel)
{
	while (!f->done) {
		int64_t now = clock_ns();
		int64_t deadline =
		    atomic_load(&f->progress) + m->timeout + GRACE;

		if (cancelled(cancel))
			return -ECANCELED;
		if (!patient && atomic_load(&f->seen) > LOOKUP_LIST_MAX)
			return -E2BIG;
		if (now >= deadline)
			return -ETIMEDOUT;
		event_wait_until(&f->ended, &m->lock,
				 MIN(deadline, now + LOOK_EVERY));
	}
	return f->err;
}

int flight_take(struct meta *m, enum flight_kind kind, struct str dirkey,
		struct str name, bool patient, struct cancel *cancel,
		struct flight **out)
{
	struct flight *fresh = NULL, *f;
	int r;

	*out = NULL;
	lock_take(&m->lock);
	f = find_locked(m, kind, dirkey, name);
	if (f == NULL) {
		f = fresh = flight_new(m, kind, dirkey, name);
		if (f == NULL) {
			lock_drop(&m->lock);
			return -ENOMEM;
		}
		f->next = *bucket(m, dirkey);
		*bucket(m, dirkey) = f;
		f->listed = true;
	}
	f->refs++;
	f->waiters++;
	if (fresh != NULL) {
		lock_drop(&m->lock);
		submit(fresh);
		lock_take(&m->lock);
	}
	r = wait_locked(m, f, patient, cancel);
	if (--f->waiters == 0 && !f->done) {
		unlist_locked(m, f);
		cancel_set(&f->cancel);
	}
	if (f->done)
		*out = f;
	else
		f->refs--; /* not the last: its jobs have theirs */
	lock_drop(&m->lock);
	return r;
}

void flights_doom_locked(struct meta *m, const struct rule *r)
{
	for (size_t i = 0; i < FLIGHT_BUCKETS; i++) {
		struct flight *f = m->flights[i], *next;

		for (; f != NULL; f = next) {
			next = f->next;
			if (!rule_covers(r, flight_dir(f)))
				continue;
			f->doomed = true;
			unlist_locked(m, f);
		}
	}
}

bool flights_outdated_locked(struct meta *m, struct str dirkey, int64_t before)
{
	struct flight *f = *bucket(m, dirkey), *next;
	bool any = false;

	for (; f != NULL; f = next) {
		next = f->next;
		if (!f->begun || f->taken >= before ||
		    !str_eq(flight_dir(f), dirkey))
			continue;
		f->doomed = any = true;
		unlist_locked(m, f);
	}
	return any;
}

/* A LIST, or part of one, of its directory; or just of the name. */
static bool tells(const struct flight *f, struct str dirkey, struct str name)
{
	if (!f->begun || f->kind == FLIGHT_STAT ||
	    !str_eq(flight_dir(f), dirkey))
		return false;
	return f->kind != FLIGHT_LOOKUP ||
	       str_eq((struct str){ f->key + f->dir_n, f->n - f->dir_n }, name);
}

bool flights_telling_locked(struct meta *m, struct str dirkey, struct str name,
			    bool doom)
{
	struct flight *f = *bucket(m, dirkey), *next;
	bool any = false;

	for (; f != NULL; f = next) {
		next = f->next;
		if (!tells(f, dirkey, name))
			continue;
		any = true;
		if (!doom)
			continue;
		f->doomed = true;
		unlist_locked(m, f);
	}
	return any;
}
