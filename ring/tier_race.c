/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier_race.c - asking workers, one after the other and side by side
 *
 * One worker is asked at first. When it fails or refuses, the next is; when
 * it is silent for too long, the next is as well, at last the store
 * (tier_aside.c), and who begins to answer first has it: the others are
 * dropped. Only data is begun early, by its head. A worker that was overtaken
 * has failed; for metadata only if the other was much faster, because a
 * worker that has to ask the store itself is as slow as the store. For the
 * same reason one that is silent to the end has not failed if the store is
 * silent as well: an outage of the store must not part us from workers that
 * hold what is read (SEMANTICS R4). Whether it was the store is known when the
 * route has come to its end: if that answers us in place of a worker, then it
 * is the worker's own way to it that fails, and the worker with it.
 *
 * The probe of a worker that is down is a request as any other, but nobody
 * waits for it: after 10 ms the next source is asked beside. Overtaken it says
 * nothing yet, and goes on until it is answered or as late as another request
 * would be: behind the winner's back first, and when the race is over on a
 * helper (struct probes), which gets the session for that. So a worker that
 * hangs costs its readers nothing, and one that is well but 100 ms away is
 * taken back.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/stats.h"
#include "ring/tier_impl.h"

#define PROBE_NS (10 * NSEC_PER_MSEC)

/* Probes that go on when their race is over. */
struct probes {
	struct job job;
	struct tier *t;
	struct peer_session *session;
	int64_t hedge;
	struct racer racer[PEER_RACERS];
	char want[UFS_VERSION_MAX];
};

/* A probe goes on: see probes_settle(). */
static void drop(struct race *r, struct racer *x, int64_t winner_took)
{
	int64_t waited = clock_ns() - x->call.begun;
	bool late = r->model.kind == PEER_GET
			? x->call.headed == 0 && waited >= r->hedge
			: winner_took >= 0 && winner_took < waited / 2;

	if (x->stop.probe && r->won != x) {
		x->running = false;
		x->overtaken = true;
		return;
	}
	peer_drop(r->session, &x->call);
	worker_dropped(r->t, x->stop.worker, &x->call, x->stop.probe, late);
	x->running = false;
}

static void drop_others(struct race *r, const struct racer *winner,
			int64_t winner_took)
{
	for (size_t i = 0; i < PEER_RACERS; i++)
		if (&r->racer[i] != winner && r->racer[i].running)
			drop(r, &r->racer[i], winner_took);
}

/* May x have it, or was the store faster? */
static bool claim(struct race *r, struct racer *x)
{
	if (r->won == x)
		return true;
	if (x->overtaken || r->won != NULL ||
	    (r->aside != NULL && !aside_beat(r->aside)))
		return false;
	r->won = x;
	if (r->hedged && x != &r->racer[0])
		stat_inc(STAT_peer_hedge_wins);
	return true;
}

static int on_head(void *arg, struct peer_call *c)
{
	struct race *r = arg;
	struct racer *x = container_of(c, struct racer, call);

	if (!claim(r, x))
		return 1;
	return r->head(r->arg, c);
}

static int on_give(void *arg, const void *bytes, size_t n)
{
	struct race *r = arg;

	return r->give(r->arg, bytes, n);
}

static struct racer *free_racer(struct race *r)
{
	for (size_t i = 0; i < PEER_RACERS; i++)
		if (!r->racer[i].running && !r->racer[i].overtaken)
			return &r->racer[i];
	return NULL;
}

/* Ask the next worker: 1, 0 when there is none, or -errno. */
static int begin_next(struct race *r)
{
	struct racer *x = free_racer(r);
	int err = 0;

	if (x == NULL || !route_next(r->route, &x->stop))
		return 0;
	x->call = r->model;
	x->call.worker = x->stop.worker->name;
	x->call.skew = worker_skew(r->t, x->stop.worker);
	x->call.cached_only = x->stop.cached_only;
	x->call.head = on_head;
	x->call.give = on_give;
	x->call.arg = r;
	if (r->session == NULL)
		err = peer_take(r->t->peers, x->call.worker, &r->session);
	if (err == 0)
		err = peer_begin(r->session, &x->call);
	if (err < 0) {
		worker_dropped(r->t, x->stop.worker, &x->call, x->stop.probe,
			       false);
		return err;
	}
	x->running = true;
	r->hedge_at =
	    clock_ns() + (x->stop.probe ? MIN(PROBE_NS, r->hedge) : r->hedge);
	return 1;
}

/* Who was asked is late. */
static int hedge(struct race *r)
{
	int n;

	r->hedged = r->route->ill = true;
	r->hedge_at = 0;
	n = begin_next(r);
	if (n == 0 && r->aside == NULL)
		n = aside_new(r->t, &r->what, true, r->session, &r->aside) == 0;
	if (n > 0)
		stat_inc(STAT_peer_hedges);
	return MIN(n, 0);
}

/* What a worker's end says of whom to ask next. */
static void note_end(struct race *r, struct racer *x)
{
	struct peer_call *c = &x->call;
	struct route *route = r->route;

	x->running = false;
	/* But one that is down has to show that it is alive. */
	if (c->silent && r->aside != NULL && !x->stop.probe)
		c->end = PEER_STARVED;
	worker_note(r->t, x->stop.worker, c, x->stop.probe);
	if (c->end == PEER_STARVED)
		route_starved(route, &x->stop);
	if (c->end == PEER_GOOD)
		route_learn(route, c->spread);
	if (x->stop.cached_only &&
	    (c->end == PEER_ABSENT || c->end == PEER_REFUSED))
		return; /* it does not have it any more */
	if (c->end == PEER_ABSENT) {
		route->exhausted = r->absent = true;
		return;
	}
	if (c->end == PEER_FAILED || c->end == PEER_STARVED ||
	    c->end == PEER_WRONG || c->end == PEER_FOREIGN || c->status >= 500)
		route->ill = true;
}

/*
 * Overtaken probes that have ended since, or are as late as others are when
 * they are overtaken. False: all have.
 */
static bool probes_settle(struct tier *t, struct peer_session *session,
			  int64_t hedge, struct racer *racer)
{
	int64_t now = clock_ns();
	bool left = false;

	for (size_t i = 0; i < PEER_RACERS; i++) {
		struct racer *x = &racer[i];

		if (!x->overtaken)
			continue;
		if (x->call.end != PEER_UNDERWAY) {
			worker_note(t, x->stop.worker, &x->call, true);
			if (x->call.end == PEER_STARVED)
				worker_judge(t, x->stop.worker, true, false);
			x->overtaken = false;
		} else if (now - x->call.begun >= hedge) {
			peer_drop(session, &x->call);
			worker_dropped(t, x->stop.worker, &x->call, true, true);
			x->overtaken = false;
		}
		left |= x->overtaken;
	}
	return left;
}

static int64_t probes_until(const struct probes *p)
{
	int64_t until = INT64_MAX;

	for (size_t i = 0; i < PEER_RACERS; i++)
		if (p->racer[i].overtaken)
			until = MIN(until, p->racer[i].call.begun + p->hedge);
	return until;
}

static void probes_run(struct job *job)
{
	struct probes *p = container_of(job, struct probes, job);
	struct tier *t = p->t;
	int64_t hedge;

	do {
		hedge = p->hedge;
		if (peer_wait(p->session, probes_until(p)) < 0 ||
		    atomic_load(&t->closing))
			hedge = 0;
	} while (probes_settle(t, p->session, hedge, p->racer));
	peer_put(t->peers, p->session);
	for (size_t i = 0; i < PEER_RACERS; i++)
		if (p->racer[i].stop.worker != NULL)
			worker_put(t, p->racer[i].stop.worker);
	free(p);
}

/* Nobody wants what it says. */
static int no_head(void *arg, struct peer_call *c)
{
	(void)arg, (void)c;
	return 1;
}

/* It needs nothing of the race any more. */
static void probe_move(struct race *r, struct racer *from, struct probes *p,
		       struct racer *to)
{
	/* The route holds it, so it is known. */
	to->stop.worker = worker_get(r->t, from->stop.worker->name);
	to->stop.probe = to->overtaken = true;
	from->overtaken = false;
	peer_move(&from->call, &to->call);
	to->call.worker = to->stop.worker->name;
	to->call.want = p->want;
	to->call.head = no_head;
}

/* The race is over: give the session to a helper, for the probes in it. */
static void probes_leave(struct race *r)
{
	struct probes *p;

	if (r->session == NULL ||
	    !probes_settle(r->t, r->session, r->hedge, r->racer))
		return;
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		(void)probes_settle(r->t, r->session, 0, r->racer);
		return;
	}
	p->job.run = probes_run;
	p->t = r->t;
	p->hedge = r->hedge;
	p->session = r->session;
	r->session = NULL;
	if (r->model.want != NULL)
		snprintf(p->want, sizeof(p->want), "%s", r->model.want);
	for (size_t i = 0; i < PEER_RACERS; i++)
		if (r->racer[i].overtaken)
			probe_move(r, &r->racer[i], p, &p->racer[i]);
	pool_submit(r->t->helpers, &p->job, POOL_DEMAND);
}

/* All that has ended since. True: so has the race, as *end says. */
static bool settle(struct race *r, enum race_end *end)
{
	(void)probes_settle(r->t, r->session, r->hedge, r->racer);
	for (size_t i = 0; i < PEER_RACERS; i++) {
		struct racer *x = &r->racer[i];
		enum peer_end how = x->call.end;

		if (!x->running || how == PEER_UNDERWAY)
			continue;
		note_end(r, x);
		if (how == PEER_GOOD && claim(r, x)) {
			drop_others(r, x, clock_ns() - x->call.begun);
			*end = RACE_PEER;
			return true;
		}
		if (how == PEER_STOPPED) {
			r->err = x->call.err;
			*end = RACE_STOPPED;
			return true;
		}
		if (r->won == x) {
			*end = RACE_BROKEN;
			return true;
		}
	}
	return false;
}

static size_t running(const struct race *r)
{
	size_t n = 0;

	for (size_t i = 0; i < PEER_RACERS; i++)
		n += r->racer[i].running;
	return n;
}

/* Nobody but the store is left. */
static enum race_end to_store(struct race *r)
{
	if (r->aside == NULL)
		return RACE_NOBODY;
	r->err = aside_wait(r->aside, r->cancel);
	return r->err == -EAGAIN ? RACE_NOBODY : RACE_STORE;
}

/* One round. True: the race has ended, as *end says. */
static bool go_on(struct race *r, enum race_end *end)
{
	int64_t now = clock_ns(), took;
	int n = 0;

	if (cancelled(r->cancel)) {
		r->err = -ECANCELED;
		*end = RACE_STOPPED;
		return true;
	}
	if (running(r) == 0)
		n = begin_next(r);
	else if (r->won == NULL && r->hedge_at != 0 && now >= r->hedge_at)
		n = hedge(r);
	if (n == 0 && running(r) == 0) {
		*end = to_store(r);
		return true;
	}
	if (n >= 0)
		n = peer_wait(r->session, r->won == NULL && r->hedge_at != 0
					      ? r->hedge_at
					      : INT64_MAX);
	if (n < 0) {
		r->err = n;
		*end = RACE_STOPPED;
		return true;
	}
	if (settle(r, end))
		return true;
	/* What the others say has to be checked with the store as well. */
	if (r->absent && r->won == NULL)
		drop_others(r, NULL, -1);
	if (r->won != NULL)
		drop_others(r, r->won, clock_ns() - r->won->call.begun);
	if (r->aside != NULL && aside_has_won(r->aside, &took)) {
		drop_others(r, NULL, took);
		stat_inc(STAT_peer_hedge_wins);
		*end = to_store(r);
		return true;
	}
	return false;
}

enum race_end race_run(struct race *r)
{
	enum race_end end;

	while (!go_on(r, &end))
		;
	return end;
}

void race_wrong(struct race *r, const char *why)
{
	struct racer *x = r->won;

	x->call.end = PEER_WRONG;
	x->call.got = 0;
	snprintf(x->call.words, sizeof(x->call.words), "%s", why);
	r->route->ill = true;
	worker_note(r->t, x->stop.worker, &x->call, false);
}

void race_fini(struct race *r)
{
	drop_others(r, NULL, -1);
	if (r->aside != NULL)
		aside_leave(r->aside);
	probes_leave(r);
	if (r->session != NULL)
		peer_put(r->t->peers, r->session);
	r->aside = NULL;
	r->session = NULL;
	r->won = NULL;
}
