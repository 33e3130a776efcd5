/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - threads that run jobs
 *
 * Idle threads stand on a stack, each with an event of its own: the one that
 * went idle last is woken first.
 */
#include "base/pool.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/lock.h"

#define STACK_BYTES KIB(256)

struct worker {
	struct pool *pool;
	pthread_t thread;
	struct worker *next_idle;
	struct worker *next; /* all of them */
	struct event wake;
	bool woken;
};

struct lane {
	struct job *first, *last;
	size_t queued;
};

struct pool {
	char name[12];
	unsigned max;
	struct lock lock;
	/* under lock */
	struct lane lanes[POOL_LANES];
	struct worker *idle, *all;
	unsigned threads;
	unsigned background, background_max;
	bool stopping;
};

static struct job *lane_pop(struct lane *l)
{
	struct job *j = l->first;

	if (j == NULL)
		return NULL;
	l->first = j->next;
	if (l->first == NULL)
		l->last = NULL;
	l->queued--;
	return j;
}

static struct job *next_locked(struct pool *p, bool *background)
{
	struct job *j = lane_pop(&p->lanes[POOL_DEMAND]);

	*background = j == NULL;
	if (j == NULL && (p->background < p->background_max || p->stopping)) {
		j = lane_pop(&p->lanes[POOL_BACKGROUND]);
		if (j != NULL)
			p->background++;
	}
	return j;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	bool background;

	prctl(PR_SET_NAME, p->name);
	lock_take(&p->lock);
	for (;;) {
		struct job *j = next_locked(p, &background);

		if (j != NULL) {
			lock_drop(&p->lock);
			j->run(j);
			lock_take(&p->lock);
			p->background -= background;
			continue;
		}
		if (p->stopping)
			break;
		w->woken = false;
		w->next_idle = p->idle;
		p->idle = w;
		while (!w->woken)
			event_wait(&w->wake, &p->lock);
	}
	lock_drop(&p->lock);
	return NULL;
}

static int start_worker_locked(struct pool *p)
{
	struct worker *w = calloc(1, sizeof(*w));
	pthread_attr_t attr;
	int err;

	if (w == NULL)
		return -ENOMEM;
	w->pool = p;
	event_init(&w->wake);
	must(pthread_attr_init(&attr));
	must(pthread_attr_setstacksize(&attr, STACK_BYTES));
	err = pthread_create(&w->thread, &attr, work, w);
	must(pthread_attr_destroy(&attr));
	if (err != 0) {
		event_fini(&w->wake);
		free(w);
		return -err;
	}
	w->next = p->all;
	p->all = w;
	p->threads++;
	return 0;
}

int pool_new(const char *name, unsigned max, struct pool **out)
{
	struct pool *p = calloc(1, sizeof(*p));
	int err;

	if (p == NULL)
		return -ENOMEM;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->max = MAX(max, 1);
	p->background_max = MAX(p->max - 1, 1);
	lock_init(&p->lock, RANK_POOL);
	lock_take(&p->lock);
	err = start_worker_locked(p);
	lock_drop(&p->lock);
	if (err < 0) {
		pool_stop(p);
		return err;
	}
	*out = p;
	return 0;
}

void pool_set_background_max(struct pool *p, unsigned background_max)
{
	lock_take(&p->lock);
	p->background_max = MAX(background_max, 1);
	lock_drop(&p->lock);
}

static void wake_locked(struct pool *p)
{
	struct worker *w = p->idle;

	if (w == NULL)
		return;
	p->idle = w->next_idle;
	w->woken = true;
	event_signal(&w->wake);
}

void pool_submit(struct pool *p, struct job *job, enum pool_lane lane)
{
	struct lane *l = &p->lanes[lane];

	lock_take(&p->lock);
	job->next = NULL;
	if (l->last != NULL)
		l->last->next = job;
	else
		l->first = job;
	l->last = job;
	l->queued++;
	if (lane == POOL_BACKGROUND && p->background >= p->background_max)
		; /* who ends a background job takes it */
	else if (p->idle != NULL)
		wake_locked(p);
	else if (p->threads < p->max && !p->stopping)
		(void)start_worker_locked(p); /* else those there carry on */
	lock_drop(&p->lock);
}

bool pool_withdraw(struct pool *p, struct job *job)
{
	bool found = false;

	lock_take(&p->lock);
	for (int i = 0; i < POOL_LANES && !found; i++) {
		struct lane *l = &p->lanes[i];
		struct job **at, *before = NULL;

		for (at = &l->first; *at != NULL && *at != job;
		     at = &(*at)->next)
			before = *at;
		found = *at == job;
		if (found) {
			*at = job->next;
			if (l->last == job)
				l->last = before;
			l->queued--;
		}
	}
	lock_drop(&p->lock);
	return found;
}

void pool_stop(struct pool *p)
{
	struct worker *w, *next;

	if (p == NULL)
		return;
	lock_take(&p->lock);
	p->stopping = true;
	while (p->idle != NULL)
		wake_locked(p);
	lock_drop(&p->lock);
	for (w = p->all; w != NULL; w = next) {
		next = w->next;
		pthread_join(w->thread, NULL);
		event_fini(&w->wake);
		free(w);
	}
	lock_fini(&p->lock);
	free(p);
}
