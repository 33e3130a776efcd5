/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier_worker.c - what is known of each worker
 *
 * A worker is known by its name, also when it has left the ring for a while.
 * That it goes down, is wrong or comes up again is said once each, not by
 * each request that meets it.
 */
#include <errno.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ring/tier_impl.h"

#define SKEW_NS (4 * 60 * NSEC_PER_SEC) /* five minutes are allowed */
#define SAY_EVERY (60 * NSEC_PER_SEC)
#define SPARE 64 /* names known beyond those in the rings */

static struct worker **find_locked(struct tier *t, const char *name)
    TSA(requires_capability(t->lock))
{
	uint64_t hash = XXH3_64bits(name, strlen(name));
	struct worker **at = &t->worker[hash % TIER_WORKER_BUCKETS];

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

struct worker *worker_get(struct tier *t, const char *name)
{
	size_t n = strlen(name) + 1;
	struct worker **at, *w;

	lock_take(&t->lock);
	at = find_locked(t, name);
	w = *at;
	if (w == NULL) {
		w = calloc(1, sizeof(*w) + n);
		if (w != NULL) {
			memcpy(w->name, name, n);
			*at = w;
			t->workers++;
		}
	}
	if (w != NULL)
		w->users++;
	lock_drop(&t->lock);
	return w;
}

void worker_put(struct tier *t, struct worker *w)
{
	lock_take(&t->lock);
	w->users--;
	lock_drop(&t->lock);
}

static bool is_in(const struct ring *r, const char *name)
{
	return r != NULL && ring_find(r, name) >= 0;
}

void worker_sweep(struct tier *t, const struct tier_view *v)
{
	size_t most = SPARE;
	uint64_t view;

	if (v->now == NULL)
		return;
	view = ring_view(v->now);
	most += ring_workers(v->now);
	if (v->before != NULL)
		most += ring_workers(v->before);
	lock_take(&t->lock);
	if (t->swept == view || t->workers <= most) {
		lock_drop(&t->lock);
		return;
	}
	t->swept = view;
	for (size_t i = 0; i < TIER_WORKER_BUCKETS; i++) {
		struct worker **at = &t->worker[i], *w;

		while ((w = *at) != NULL) {
			if (w->users > 0 || is_in(v->now, w->name) ||
			    is_in(v->before, w->name)) {
				at = &w->next;
				continue;
			}
			*at = w->next;
			t->workers--;
			free(w);
		}
	}
	lock_drop(&t->lock);
}

void worker_free_all(struct tier *t)
{
	for (size_t i = 0; i < TIER_WORKER_BUCKETS; i++) {
		struct worker *w = t->worker[i], *next;

		for (; w != NULL; w = next) {
			next = w->next;
			free(w);
		}
	}
}

enum breaker_leave worker_ask(struct tier *t, struct worker *w)
{
	enum breaker_leave leave;

	lock_take(&t->lock);
	leave = breaker_ask(&w->breaker, clock_ns());
	lock_drop(&t->lock);
	return leave;
}

int64_t worker_skew(struct tier *t, struct worker *w)
{
	int64_t skew;

	lock_take(&t->lock);
	skew = w->skew;
	lock_drop(&t->lock);
	return skew;
}

/* Refused: is that because its clock is another's? Then sign with its time. */
static bool learn_skew_locked(struct worker *w, const struct peer_call *c)
{
	if (c->status != 403 || !c->has_date ||
	    llabs(c->date - c->skew) < SKEW_NS)
		return false;
	w->skew = c->date;
	return true;
}

/* A worker that has never helped and refuses is set up wrongly. */
static bool says_locked(struct worker *w, const struct peer_call *c,
			int64_t now)
{
	if (c->status != 403 || w->good > 0 ||
	    (w->said_at != 0 && now - w->said_at < SAY_EVERY))
		return false;
	w->said_at = now;
	return true;
}

/* What is asked of it belongs elsewhere. That will stay so: once is enough. */
static bool says_elsewhere_locked(struct worker *w, const struct peer_call *c)
{
	if ((c->status != 421 && c->status != 508) || w->said_elsewhere)
		return false;
	w->said_elsewhere = true;
	return true;
}

/* Each minute a probe finds another protocol there, until it is replaced. */
static bool says_foreign_locked(struct worker *w, const struct peer_call *c)
{
	bool said = w->said_foreign;

	w->said_foreign = c->end == PEER_FOREIGN;
	return c->end != PEER_FOREIGN || !said;
}

void worker_note(struct tier *t, struct worker *w, const struct peer_call *c,
		 bool probe)
{
	bool rose = false, fell = false, wrong = false, skew = false;
	bool refused = false, failed = false, elsewhere = false;
	int64_t now = clock_ns();

	lock_take(&t->lock);
	w->hit_bytes += c->got;
	switch (c->end) {
	case PEER_GOOD:
		w->good++;
		w->said_foreign = false;
		rose = breaker_good(&w->breaker, probe);
		break;
	case PEER_REFUSED:
		if (c->status == 0) {
			breaker_nothing(&w->breaker, probe);
			break;
		}
		skew = learn_skew_locked(w, c);
		refused = !skew && says_locked(w, c, now);
		elsewhere = says_elsewhere_locked(w, c);
		rose = breaker_good(&w->breaker, probe);
		break;
	case PEER_ABSENT:
	case PEER_BEATEN:
		rose = breaker_good(&w->breaker, probe);
		break;
	case PEER_FAILED:
		failed = true;
		fell = breaker_bad(&w->breaker, probe, now) && !probe;
		break;
	case PEER_STARVED:
		failed = true; /* whose fault it is: worker_judge() */
		break;
	case PEER_WRONG:
	case PEER_FOREIGN:
		failed = true;
		wrong = breaker_wrong(&w->breaker, probe, now) &&
			says_foreign_locked(w, c);
		break;
	case PEER_STOPPED:
	case PEER_UNDERWAY:
		breaker_nothing(&w->breaker, probe);
		break;
	}
	w->errors += failed;
	lock_drop(&t->lock);
	if (failed)
		stat_inc(STAT_peer_errors);
	if (c->end == PEER_WRONG)
		stat_inc(STAT_peer_wrong);
	if (rose)
		log_info("ring: worker %s is asked again", w->name);
	if (fell)
		log_warn("ring: worker %s is down: %s", w->name, c->words);
	if (wrong)
		log_warn("ring: worker %s is not asked for a minute: %s",
			 w->name, c->words);
	if (skew)
		log_warn("ring: the clock of worker %s is %jd s from this "
			 "host's",
			 w->name, (intmax_t)(c->date / NSEC_PER_SEC));
	if (elsewhere)
		log_warn("ring: worker %s does not serve all that is asked of "
			 "it here (%s): the next source is asked for that",
			 w->name, c->words);
	if (refused)
		log_warn("ring: worker %s refuses what it is asked: %s",
			 w->name, c->words);
}

void worker_judge(struct tier *t, struct worker *w, bool probe,
		  bool store_answered)
{
	bool rose = false, fell = false;

	lock_take(&t->lock);
	if (store_answered)
		fell = breaker_bad(&w->breaker, probe, clock_ns()) && !probe;
	else if (probe) /* its head is all that a probe is for */
		rose = breaker_good(&w->breaker, probe);
	lock_drop(&t->lock);
	if (rose)
		log_info("ring: worker %s is asked again", w->name);
	if (fell)
		log_warn("ring: worker %s is down: the store answers us, "
			 "and not it",
			 w->name);
}

void worker_dropped(struct tier *t, struct worker *w, const struct peer_call *c,
		    bool probe, bool late)
{
	bool fell = false;

	lock_take(&t->lock);
	w->hit_bytes += c->got;
	if (late) {
		w->errors++;
		fell = breaker_bad(&w->breaker, probe, clock_ns()) && !probe;
	} else {
		breaker_nothing(&w->breaker, probe);
	}
	lock_drop(&t->lock);
	if (late)
		stat_inc(STAT_peer_errors);
	if (fell)
		log_warn("ring: worker %s is down: it does not answer in time",
			 w->name);
}
