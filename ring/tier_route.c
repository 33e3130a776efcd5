/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier_route.c - whom to ask, in which order
 *
 * The breaker is asked at the moment a worker is to be asked, not when the
 * route is made: it may have gone down in between, and a probe that is given
 * out must be sent.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/stats.h"
#include "ring/place.h"
#include "ring/tier_impl.h"
#include "ufs/ufs_impl.h"

#define DATA_ASKS 3 /* the owner and two replicas */
#define META_ASKS 2
#define SPREAD_NS (10 * NSEC_PER_SEC)
#define TURN_MOST (10 * NSEC_PER_SEC)

static void add(struct route *r, const char *name)
{
	struct worker *w;

	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->worker[i]->name, name) == 0)
			return;
	w = worker_get(r->t, name);
	if (w != NULL)
		r->worker[r->n++] = w;
}

static void move_first(uint32_t *ids, size_t at)
{
	uint32_t chosen = ids[at];

	memmove(ids + 1, ids, at * sizeof(*ids));
	ids[0] = chosen;
}

static unsigned spread_of(struct tier *t, uint64_t hash)
{
	const struct spread *s = &t->spread[hash % TIER_SPREAD_SLOTS];
	unsigned n = 1;

	lock_take(&t->lock);
	if (s->hash == hash && clock_ns() < s->until)
		n = s->n;
	lock_drop(&t->lock);
	return n;
}

void route_learn(struct route *r, unsigned spread)
{
	struct spread *s = &r->t->spread[r->hash % TIER_SPREAD_SLOTS];
	int64_t now = clock_ns();

	if (spread < 2)
		return;
	lock_take(&r->t->lock);
	/*
	 * A replica that is busy as well knows of its own part only, and an
	 * owner that takes it back has to say so until the time is over.
	 */
	if (s->hash != r->hash || now >= s->until || spread >= s->n)
		*s = (struct spread){ r->hash, spread, now + SPREAD_NS };
	lock_drop(&r->t->lock);
}

/* The workers of hash in the ring of now, and who had it before. */
static void fill(struct route *r, const struct tier_view *v, bool data)
{
	uint32_t ids[ROUTE_REPLICAS];
	size_t n = 0, spread = 1;
	const char *was;

	if (v->now != NULL)
		n = ring_lookup(v->now, r->hash, ids, ROUTE_REPLICAS);
	if (data && n > 1)
		spread = MIN(spread_of(r->t, r->hash), n);
	if (data && v->before != NULL) {
		was = ring_name(v->before, ring_owner(v->before, r->hash));
		if (n == 0 || strcmp(was, ring_name(v->now, ids[0])) != 0)
			add(r, was);
		r->previous = r->n > 0;
	}
	if (spread > 1) {
		move_first(ids, (size_t)ufs_jitter((int64_t)spread));
		r->spread = true;
	}
	/* What is asked before all others is asked for all it can get. */
	if (r->previous && n > 0 &&
	    strcmp(r->worker[0]->name, ring_name(v->now, ids[0])) == 0)
		r->previous = false;
	for (size_t i = 0; i < n; i++)
		add(r, ring_name(v->now, ids[i]));
}

static void make(struct tier *t, struct route *r, uint64_t hash, bool data)
{
	struct tier_view v = { 0 };

	memset(r, 0, sizeof(*r));
	r->t = t;
	r->hash = hash;
	r->asks = data ? DATA_ASKS : META_ASKS;
	t->conf.view(t->conf.view_arg, &v);
	fill(r, &v, data);
	worker_sweep(t, &v);
	ring_unref(v.now);
	ring_unref(v.before);
}

void route_data(struct tier *t, struct str key, uint64_t segment,
		struct route *out)
{
	make(t, out, place_data(&t->ufs, key, segment), true);
}

void route_dir(struct tier *t, struct str dir, struct route *out)
{
	make(t, out, place_dir(&t->ufs, dir), false);
}

void route_worker(struct tier *t, const char *name, struct route *out)
{
	memset(out, 0, sizeof(*out));
	out->t = t;
	out->asks = 1;
	add(out, name);
}

void route_starved(struct route *r, const struct stop *stop)
{
	if (r->nstarved < ROUTE_MAX)
		r->starved[r->nstarved++] =
		    (struct starved){ stop->worker, stop->probe };
}

void route_fini(struct route *r)
{
	for (size_t i = 0; i < r->nstarved; i++)
		worker_judge(r->t, r->starved[i].worker, r->starved[i].probe,
			     r->store_answered);
	while (r->n > 0)
		worker_put(r->t, r->worker[--r->n]);
}

bool route_next(struct route *r, struct stop *out)
{
	while (!r->exhausted && r->next < r->n) {
		size_t at = r->next++;
		struct stop s = {
			.worker = r->worker[at],
			.cached_only = r->previous && at == 0,
		};
		enum breaker_leave leave;

		/* Who had it before is asked beside the others. */
		if (!s.cached_only && r->asks == 0)
			break;
		leave = worker_ask(r->t, s.worker);
		if (leave == BREAKER_NO) {
			r->ill = true;
			continue;
		}
		s.probe = leave == BREAKER_PROBE;
		if (s.cached_only)
			stat_inc(STAT_peer_previous);
		else
			r->asks--;
		if (r->spread && at == 0)
			stat_inc(STAT_peer_spread);
		*out = s;
		return true;
	}
	r->exhausted = true;
	return false;
}

int tier_turn(struct tier *t, struct cancel *cancel)
{
	int64_t now = clock_ns(), turn;

	lock_take(&t->lock);
	turn = bucket_take(&t->turns, now);
	lock_drop(&t->lock);
	if (turn <= now)
		return 0;
	stat_inc(STAT_store_token_waits);
	return ufs_sleep_until(MIN(turn, now + TURN_MOST), cancel);
}
