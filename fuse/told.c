/* SPDX-License-Identifier: Apache-2.0 */
/*
 * told.c - workers hear of what this mount has changed
 *
 * One thread takes all that was changed since it looked last and tells each
 * worker its part in one request. Changes in one directory are one word: what
 * is forgotten is all that is known of its names.
 */
#include "fuse/told.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/stats.h"
#include "fuse/control_jobs.h"
#include "ring/members.h"
#include "ring/place.h"
#include "ring/tell.h"

#define PATIENCE (200 * NSEC_PER_MSEC) /* with workers, for each round */
#define WAIT (250 * NSEC_PER_MSEC)
#define LOOK (50 * NSEC_PER_MSEC) /* at cancel */
#define LEFT_ALONE (10 * NSEC_PER_SEC)
#define SAY_EVERY (60 * NSEC_PER_SEC)
#define MOST 1024 /* directories to be told of; of more nothing is said */
#define ASKED 3   /* the owner of a directory, and who stands in for it */

struct word {
	struct word *next;
	uint64_t place; /* of its directory */
	size_t n;
	char key[];
};

/* What one worker is told in a round. */
struct part {
	char *worker; /* owned */
	json_t *urls;
	char *body; /* owned */
};

struct silent {
	struct silent *next;
	int64_t until;
	char name[];
};

struct told {
	/* set once */
	struct told_conf conf; /* but for its source, which is: */
	char *source;
	pthread_t thread;

	/* the thread's */
	struct silent *silent;
	int64_t said_at;

	struct lock lock;
	struct event moved;
	/* under lock */
	struct word *first, **last;
	size_t n;
	uint64_t added, done; /* changes, ever */
	bool ending;
};

/* ---- the thread ---- */

static bool is_left_alone(struct told *t, const char *name)
{
	int64_t now = clock_ns();
	bool alone = false;

	for (struct silent **at = &t->silent, *s; (s = *at) != NULL;) {
		if (s->until <= now) {
			*at = s->next;
			free(s);
			continue;
		}
		alone = alone || strcmp(s->name, name) == 0;
		at = &s->next;
	}
	return alone;
}

static void leave_alone(struct told *t, const struct tell *w)
{
	size_t n = strlen(w->worker) + 1;
	struct silent *s = malloc(sizeof(*s) + n);
	int64_t now = clock_ns();

	if (s != NULL) {
		s->next = t->silent;
		s->until = now + LEFT_ALONE;
		memcpy(s->name, w->worker, n);
		t->silent = s;
	}
	if (t->said_at != 0 && now - t->said_at < SAY_EVERY)
		return;
	t->said_at = now;
	log_warn("ring: worker %s could not be told of changes made here: %s; "
		 "it may tell others what was until its consistency ends that",
		 w->worker, w->err < 0 ? w->words : "it refuses");
}

static struct part *part_of(struct part *part, size_t *n, const char *name)
{
	size_t i = 0;

	while (i < *n && strcmp(part[i].worker, name) != 0)
		i++;
	if (i == *n) {
		part[i] = (struct part){ strdup(name), json_array(), NULL };
		if (part[i].worker == NULL) {
			json_decref(part[i].urls);
			return NULL;
		}
		++*n;
	}
	return &part[i];
}

static void share_out(struct told *t, const struct ring *r,
		      const struct word *w, struct part *part, size_t *n)
{
	struct str key = { w->key, w->n };
	uint32_t ids[ASKED];
	size_t found = r != NULL ? ring_lookup(r, w->place, ids, ASKED) : 0;

	for (size_t i = 0; i < found; i++) {
		const char *name = ring_name(r, ids[i]);
		struct part *p =
		    is_left_alone(t, name) ? NULL : part_of(part, n, name);

		if (p != NULL)
			json_array_append_new(p->urls,
					      control_url(t->source, key));
	}
}

static char *body_of(json_t *urls)
{
	json_t *j = json_pack("{s:O, s:b}", "urls", urls, "changed", 1);
	char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	return text;
}

static void tell_parts(struct told *t, struct part *part, size_t n)
{
	AUTO_FREE struct tell *w = calloc(MAX(n, (size_t)1), sizeof(*w));
	size_t all = 0;

	if (w == NULL)
		return;
	for (size_t i = 0; i < n; i++) {
		part[i].body = body_of(part[i].urls);
		if (part[i].body != NULL)
			w[all++] = (struct tell){ .worker = part[i].worker,
						  .path = "/-/invalidate",
						  .body = part[i].body };
	}
	if (all > 0)
		(void)tell_all(&t->conf.access, w, all, clock_ns() + PATIENCE,
			       NULL);
	for (size_t i = 0; i < all; i++) {
		/* 404: it has none of our source. */
		if (w[i].err < 0 ||
		    (w[i].status / 100 != 2 && w[i].status != 404))
			leave_alone(t, &w[i]);
		else
			stat_inc(STAT_peer_told);
	}
	tell_fini(w, all);
}

/* Tell all of these, and free them. */
static void round_of(struct told *t, struct word *w)
{
	AUTO_FREE struct part *part = NULL;
	struct members_view v;
	size_t n = 0, room = 0;

	members_ring(t->conf.members, &v);
	room += v.now != NULL ? ring_workers(v.now) : 0;
	room += v.before != NULL ? ring_workers(v.before) : 0;
	part = calloc(MAX(room, (size_t)1), sizeof(*part));
	while (w != NULL) {
		struct word *next = w->next;

		if (part != NULL) {
			share_out(t, v.now, w, part, &n);
			share_out(t, v.before, w, part, &n);
		}
		free(w);
		w = next;
	}
	members_view_fini(&v);
	tell_parts(t, part, n);
	while (n-- > 0) {
		free(part[n].worker);
		json_decref(part[n].urls);
		free(part[n].body);
	}
}

static void *run(void *arg)
{
	struct told *t = arg;

	lock_take(&t->lock);
	for (;;) {
		struct word *all = t->first;
		uint64_t added = t->added;

		if (all == NULL && t->ending)
			break;
		if (all == NULL) {
			event_wait(&t->moved, &t->lock);
			continue;
		}
		t->first = NULL;
		t->last = &t->first;
		t->n = 0;
		lock_drop(&t->lock);
		round_of(t, all);
		lock_take(&t->lock);
		t->done = MAX(t->done, added);
		event_broadcast(&t->moved);
	}
	lock_drop(&t->lock);
	return NULL;
}

/* ---- who tells it ---- */

void told_add(struct told *t, struct str key)
{
	uint64_t place = place_dir(t->conf.ufs, key);
	struct word *w;

	lock_take(&t->lock);
	t->added++;
	for (w = t->first; w != NULL && w->place != place;)
		w = w->next;
	if (w == NULL && t->n < MOST)
		w = malloc(sizeof(*w) + key.n + 1);
	else
		w = NULL;
	if (w != NULL) {
		*w = (struct word){ .place = place, .n = key.n };
		if (key.n > 0)
			memcpy(w->key, key.p, key.n);
		*t->last = w;
		t->last = &w->next;
		t->n++;
	}
	if (t->first == NULL)
		t->done = t->added; /* no memory: it is not told */
	event_broadcast(&t->moved);
	lock_drop(&t->lock);
}

void told_wait(struct told *t, struct cancel *cancel)
{
	int64_t until = clock_ns() + WAIT, now;
	uint64_t added;

	if (t == NULL)
		return;
	lock_take(&t->lock);
	added = t->added;
	while (t->done < added && !cancelled(cancel) &&
	       (now = clock_ns()) < until)
		event_wait_until(&t->moved, &t->lock, MIN(until, now + LOOK));
	lock_drop(&t->lock);
}

int told_new(const struct told_conf *conf, struct told **out)
{
	struct told *t = calloc(1, sizeof(*t));
	char *source = strdup(conf->source);
	int r = -ENOMEM;

	if (t != NULL && source != NULL) {
		t->conf = *conf;
		t->source = source;
		t->last = &t->first;
		lock_init(&t->lock, RANK_LEAF);
		event_init(&t->moved);
		r = -pthread_create(&t->thread, NULL, run, t);
		if (r < 0) {
			event_fini(&t->moved);
			lock_fini(&t->lock);
		}
	}
	if (r < 0) {
		free(source);
		free(t);
	} else {
		*out = t;
	}
	return r;
}

void told_free(struct told *t)
{
	struct silent *s;

	if (t == NULL)
		return;
	lock_take(&t->lock);
	t->ending = true;
	event_broadcast(&t->moved);
	lock_drop(&t->lock);
	pthread_join(t->thread, NULL);
	while ((s = t->silent) != NULL) {
		t->silent = s->next;
		free(s);
	}
	event_fini(&t->moved);
	lock_fini(&t->lock);
	free(t->source);
	free(t);
}
