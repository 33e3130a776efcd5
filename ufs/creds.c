/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds.c - the set of keys in use, and its renewal
 *
 * A set is in one of three states:
 *
 *   good      until 80 % of its life are over nothing happens; then the
 *             thread fetches the next one, while this one still serves
 *   expired   by our clock; who signs waits for the fetch that is under way,
 *             and when that has failed uses it all the same: the store is the
 *             judge (its clock, or AWS in trouble, may let it live longer)
 *   refused   the store said so; who signs waits until the provider has given
 *             another one, or has insisted on this one: then it is used, and
 *             who is refused again asks again, with growing pauses
 *
 * All fetches but the first are made by the thread, one at a time, so that
 * none is made twice and no reader runs a program or waits for a name server.
 * Lives are measured by a clock that does not jump, and begin at the time that
 * the issuer's answer told, so that a wrong clock of this host does no harm.
 */
#include "ufs/creds.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "ufs/creds_impl.h"
#include "ufs/ufs_impl.h"

#define WAIT_STEP_NS (100 * NSEC_PER_MSEC)
#define LIFE_MOST_NS (10 * 366 * 86400 * NSEC_PER_SEC)
#define RENEW_LEAST_NS (1 * NSEC_PER_SEC)
#define AGAIN_FIRST_NS (1 * NSEC_PER_SEC)
#define AGAIN_MOST_NS (60 * NSEC_PER_SEC)
#define OPEN_TRIES 3
#define OPEN_PAUSE_NS (500 * NSEC_PER_MSEC)
/* A refusal that may have meant something else is looked into at once, and
 * while that brings nothing after pauses that grow up to this. */
#define DOUBT_MOST_NS (30 * NSEC_PER_SEC)
#define DOUBT_WAIT_NS (5 * NSEC_PER_SEC)
/* Sets that are refused while they are young: after a few the next fetch has
 * to wait, as the store seems to take no key at all. */
#define YOUNG_NS (60 * NSEC_PER_SEC)
#define QUICK_MAX 3
#define SAY_EVERY_NS (600 * NSEC_PER_SEC)

struct creds_chain {
	/* set once at open */
	struct creds_provider *providers; /* owned */
	struct creds_provider *chosen;
	struct creds_site site;
	char *region, *ca_bundle; /* behind site's */
	struct cancel closing;

	struct lock lock;
	/* under lock */
	struct event wake;    /* for the thread: there is something to do */
	struct event fetched; /* for the others: a fetch has ended */
	struct creds *set;    /* owns a ref */
	bool refused;         /* the set, and the provider is to be asked */
	bool insisted;        /* it was, and gave the same */
	bool wanted;          /* a fetch that begins now or later */
	bool fetching;
	bool started; /* the thread */
	pthread_t thread;
	int64_t set_at;     /* when it came */
	unsigned quick;     /* sets in a row that were refused when young */
	uint64_t fetches;   /* that have ended */
	unsigned failures;  /* in a row */
	int64_t not_before; /* the next fetch, after failures */
	unsigned doubts;    /* fetches in a row without other keys */
	int64_t doubted_at; /* when the last of them ended */
	int64_t said_at;    /* when a failure was last logged */
	char why[256];      /* of the last failure */
};

/* When it will end and when the next one is to be fetched, by our clock. */
static void set_times(struct creds *set)
{
	int64_t now = clock_ns(), life;

	if (set->expiry == 0)
		return;
	life = set->expiry -
	       (set->issuer_now != 0 ? set->issuer_now : clock_wall_ns());
	life = MIN(life, LIFE_MOST_NS);
	set->expires_at = MAX(now + life, 1);
	set->renew_at = now;
	/* Not all hosts of a cluster at the same moment. */
	if (life > 0)
		set->renew_at +=
		    MAX(life / 5 * 4 - ufs_jitter(life / 20), RENEW_LEAST_NS);
}

static int fetch(struct creds_chain *c, struct creds_provider *p,
		 struct creds **out, char why[static 256])
{
	struct creds *set = creds_new();
	int r;

	if (set == NULL)
		return -ENOMEM;
	why[0] = '\0';
	r = p->fetch(p, &c->site, set, why);
	if (r < 0) {
		creds_unref(set);
		if (why[0] == '\0')
			snprintf(why, 256, "%s", strerror(-r));
		return r;
	}
	set_times(set);
	*out = set;
	return 0;
}

static bool same_string(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_keys(const struct creds *a, const struct creds *b)
{
	return same_string(a->access_key, b->access_key) &&
	       same_string(a->secret, b->secret) &&
	       same_string(a->token, b->token);
}

static bool expired(const struct creds *set)
{
	return set->expires_at != 0 && clock_ns() >= set->expires_at;
}

/* Growing pauses, and not in step with other hosts. */
static void pause_locked(struct creds_chain *c, unsigned times)
    TSA(requires_capability(c->lock))
{
	int64_t pause = MIN(AGAIN_FIRST_NS << MIN(times, 10), AGAIN_MOST_NS);

	c->not_before = clock_ns() + pause - ufs_jitter(pause / 4);
}

/* Put a new set in place; the old one is returned. */
static struct creds *install_locked(struct creds_chain *c, struct creds *set)
    TSA(requires_capability(c->lock))
{
	struct creds *old = c->set;
	bool same = same_keys(old, set);
	bool young = clock_ns() - c->set_at < YOUNG_NS;

	set->generation = old->generation + !same;
	c->set = set;
	c->insisted = same && (c->refused || c->insisted);
	c->quick = same ? c->quick : c->refused && young ? c->quick + 1 : 0;
	c->not_before = 0;
	if (c->insisted || expired(set))
		pause_locked(c, c->failures++); /* it has not helped */
	else if (c->quick > QUICK_MAX)
		pause_locked(c, c->quick - QUICK_MAX);
	else
		c->failures = 0;
	c->doubts = same ? c->doubts + 1 : 0;
	if (!same)
		c->set_at = clock_ns();
	c->why[0] = '\0';
	c->refused = false;
	return old;
}

static struct creds *now_locked(struct creds_chain *c)
    TSA(requires_capability(c->lock))
{
	atomic_fetch_add_explicit(&c->set->refs, 1, memory_order_relaxed);
	return c->set;
}

struct creds *creds_now(struct creds_chain *c)
{
	struct creds *set;

	lock_take(&c->lock);
	set = now_locked(c);
	lock_drop(&c->lock);
	return set;
}

static void say_failure(const struct creds *set, bool refused, const char *why)
{
	int64_t left = set->expires_at - clock_ns();

	if (refused)
		log_err("ufs: the store refuses the keys of %s, and they "
			"cannot be renewed: %s",
			set->source, why);
	else if (set->expires_at == 0)
		log_warn("ufs: keys of %s cannot be read again: %s",
			 set->source, why);
	else if (left > 0)
		log_warn("ufs: keys of %s cannot be renewed: %s; those in use "
			 "last %jd s more",
			 set->source, why, (intmax_t)(left / NSEC_PER_SEC));
	else
		log_err("ufs: keys of %s have expired and cannot be renewed: "
			"%s",
			set->source, why);
}

static void say_success(const struct creds *set, bool other)
{
	if (set->expires_at == 0 && !other)
		return;
	if (set->expires_at == 0)
		log_info("ufs: new keys of %s", set->source);
	else
		log_info(
		    "ufs: %s keys of %s, for %jd s", other ? "new" : "the same",
		    set->source,
		    (intmax_t)((set->expires_at - clock_ns()) / NSEC_PER_SEC));
}

/* One fetch by the thread; the lock is dropped meanwhile. */
static void fetch_once_locked(struct creds_chain *c)
    TSA(requires_capability(c->lock))
{
	struct creds *set = NULL, *old = NULL, *now;
	unsigned generation = c->set->generation;
	char why[256];
	bool say = false, refused;
	int r;

	c->fetching = true;
	c->wanted = false;
	lock_drop(&c->lock);
	r = fetch(c, c->chosen, &set, why);
	lock_take(&c->lock);
	if (r == 0) {
		old = install_locked(c, set);
	} else {
		say = c->failures == 0 || strcmp(why, c->why) != 0 ||
		      clock_ns() - c->said_at >= SAY_EVERY_NS;
		if (say)
			c->said_at = clock_ns();
		snprintf(c->why, sizeof(c->why), "%s", why);
		pause_locked(c, c->failures++);
		c->doubts++;
		c->wanted = true;
	}
	c->fetching = false;
	c->fetches++;
	c->doubted_at = clock_ns();
	event_broadcast(&c->fetched);
	now = now_locked(c);
	refused = c->refused;
	lock_drop(&c->lock);
	if (r == 0)
		say_success(now, now->generation != generation);
	else if (say && r != -ECANCELED)
		say_failure(now, refused, why);
	creds_unref(now);
	creds_unref(old);
	lock_take(&c->lock);
}

/* When the next fetch is due; INT64_MAX: none is. */
static int64_t due_locked(const struct creds_chain *c)
{
	int64_t due = c->wanted || c->refused ? 0
		      : c->set->renew_at == 0 ? INT64_MAX
					      : c->set->renew_at;

	return MAX(due, c->not_before);
}

static void *keep_fresh(void *arg)
{
	struct creds_chain *c = arg;

	pthread_setname_np(pthread_self(), "tarn-creds");
	lock_take(&c->lock);
	while (!cancelled(&c->closing)) {
		int64_t due = due_locked(c);

		if (due == INT64_MAX)
			event_wait(&c->wake, &c->lock);
		else if (due > clock_ns())
			event_wait_until(&c->wake, &c->lock, due);
		else
			fetch_once_locked(c);
	}
	lock_drop(&c->lock);
	return NULL;
}

/* Signals are for the main thread. Without a thread the set stays as it is. */
static void start_locked(struct creds_chain *c)
    TSA(requires_capability(c->lock))
{
	sigset_t all, before;
	int r;

	if (c->started)
		return;
	sigfillset(&all);
	must(pthread_sigmask(SIG_SETMASK, &all, &before));
	r = pthread_create(&c->thread, NULL, keep_fresh, c);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL));
	c->started = r == 0;
	if (r != 0)
		snprintf(c->why, sizeof(c->why), "cannot start a thread: %s",
			 strerror(r));
}

static void want_locked(struct creds_chain *c) TSA(requires_capability(c->lock))
{
	c->wanted = true;
	start_locked(c);
	event_signal(&c->wake);
}

int creds_get(struct creds_chain *c, int64_t deadline, struct cancel *cancel,
	      struct creds **out)
{
	int r = 0;

	lock_take(&c->lock);
	while (c->refused || expired(c->set)) {
		int64_t now = clock_ns();

		/* It could not be renewed just now: let the store judge. */
		if (!c->refused && !c->fetching && now < c->not_before)
			break;
		if (cancelled(cancel))
			r = -ECANCELED;
		else if (now >= deadline)
			r = -EACCES;
		if (r < 0)
			break;
		if (!c->fetching)
			want_locked(c);
		event_wait_until(&c->fetched, &c->lock,
				 MIN(deadline, now + WAIT_STEP_NS));
	}
	if (r == 0)
		*out = now_locked(c);
	lock_drop(&c->lock);
	return r;
}

bool creds_expired(struct creds_chain *c)
{
	bool r;

	lock_take(&c->lock);
	r = expired(c->set);
	lock_drop(&c->lock);
	return r;
}

static bool worth_a_look_locked(const struct creds_chain *c,
				enum creds_doubt doubt)
{
	int64_t pause = MIN(NSEC_PER_SEC << MIN(c->doubts, 10), DOUBT_MOST_NS);

	return doubt == CREDS_REFUSED || c->doubts == 0 ||
	       clock_ns() - c->doubted_at >= pause;
}

enum creds_news creds_refresh(struct creds_chain *c, unsigned generation,
			      enum creds_doubt doubt, int64_t deadline,
			      struct cancel *cancel)
{
	enum creds_news news;
	uint64_t before;

	lock_take(&c->lock);
	if (c->set->generation == generation && !c->chosen->fixed &&
	    worth_a_look_locked(c, doubt)) {
		if (doubt == CREDS_REFUSED && !c->insisted)
			c->refused = true;
		else
			deadline = MIN(deadline, clock_ns() + DOUBT_WAIT_NS);
		before = c->fetches;
		if (!c->fetching)
			want_locked(c);
		while (c->fetches == before && !cancelled(cancel) &&
		       clock_ns() < deadline)
			event_wait_until(
			    &c->fetched, &c->lock,
			    MIN(deadline, clock_ns() + WAIT_STEP_NS));
	}
	news = c->set->generation != generation ? CREDS_OTHER
	       : c->chosen->fixed               ? CREDS_FINAL
						: CREDS_SAME;
	lock_drop(&c->lock);
	return news;
}

void creds_reload(struct creds_chain *c)
{
	if (c->chosen->fixed)
		return;
	lock_take(&c->lock);
	c->not_before = 0;
	want_locked(c);
	lock_drop(&c->lock);
}

void creds_trouble(struct creds_chain *c, char why[static 256])
{
	lock_take(&c->lock);
	memcpy(why, c->why, sizeof(c->why));
	lock_drop(&c->lock);
}

void creds_providers_close(struct creds_provider *p)
{
	while (p != NULL) {
		struct creds_provider *next = p->next;

		p->close(p);
		p = next;
	}
}

void creds_close(struct creds_chain *c)
{
	bool started;

	if (c == NULL)
		return;
	cancel_set(&c->closing);
	lock_take(&c->lock);
	started = c->started;
	event_signal(&c->wake);
	lock_drop(&c->lock);
	if (started)
		must(pthread_join(c->thread, NULL));
	creds_unref(c->set);
	creds_providers_close(c->providers);
	event_fini(&c->wake);
	event_fini(&c->fetched);
	lock_fini(&c->lock);
	free(c->region);
	free(c->ca_bundle);
	free(c);
}

static int set_site(struct creds_chain *c, const struct creds_conf *conf)
{
	const char *ca = conf->ca_bundle;

	if (ca == NULL)
		ca = awsconf_env("AWS_CA_BUNDLE");
	c->region = conf->region != NULL ? strdup(conf->region) : NULL;
	c->ca_bundle = ca != NULL ? strdup(ca) : NULL;
	if ((conf->region != NULL && c->region == NULL) ||
	    (ca != NULL && c->ca_bundle == NULL))
		return -ENOMEM;
	c->site =
	    (struct creds_site){ .region = c->region,
				 .ca_bundle = c->ca_bundle,
				 .cancel = conf->cancel != NULL ? conf->cancel
								: &c->closing };
	return 0;
}

/* A network that is just coming up must not fail a mount. */
static int first_fetch(struct creds_chain *c, char why[static 256])
{
	int r = -EAGAIN;

	for (unsigned i = 0; i < OPEN_TRIES && r == -EAGAIN; i++) {
		if (i > 0)
			ufs_sleep_until(clock_ns() + OPEN_PAUSE_NS,
					c->site.cancel);
		r = fetch(c, c->chosen, &c->set, why);
	}
	return r;
}

int creds_open_with(struct creds_provider *first, const struct creds_conf *conf,
		    struct creds_chain **out, char why[static 256])
{
	struct creds_chain *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL) {
		creds_providers_close(first);
		return -ENOMEM;
	}
	creds_wipe_json();
	lock_init(&c->lock, RANK_STORE);
	event_init(&c->wake);
	event_init(&c->fetched);
	c->providers = first;
	r = set_site(c, conf);
	if (r == 0)
		r = -ENOENT;
	for (; first != NULL && r == -ENOENT; first = first->next) {
		c->chosen = first;
		r = first_fetch(c, why);
	}
	if (r < 0) {
		creds_close(c);
		return r;
	}
	c->site.cancel = &c->closing;
	lock_take(&c->lock);
	c->set_at = clock_ns();
	if (c->set->renew_at != 0)
		start_locked(c);
	lock_drop(&c->lock);
	*out = c;
	return 0;
}
