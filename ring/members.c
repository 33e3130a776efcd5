/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members.c - the thread that asks, and the view it publishes
 *
 * What a source says is judged before it becomes the view:
 *
 *   it failed, or answered what cannot be   nothing changes
 *   it names nobody, or doubts itself       believed the third time running
 *   it names who is there                   nothing changes
 *   it names others                         a new ring, the epoch grows
 *
 * The epoch counts the views of this process: it has no way back, whatever a
 * source says. A failure says nothing about the workers, so it neither counts
 * as one of the three nor ends them.
 *
 * The previous ring. After a change the data still lies with those who had
 * it, so they are asked ahead of the store. When workers come one after the
 * other (a service that is scaled up), the ring before the last change never
 * held much: the one that had stood for a while (settled) before the first of
 * these changes is kept. A worker that is back after a restart makes the ring
 * what it was; then who stood in for it is the previous one.
 */
#include "ring/members_impl.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"

#define POLL_NS (10 * NSEC_PER_SEC)
#define PREVIOUS_NS (600 * NSEC_PER_SEC)
#define SETTLED_NS (60 * NSEC_PER_SEC)
#define RETRY_NS NSEC_PER_SEC /* the first one; then twice that, and so on */
#define BELIEVED 3            /* times that a doubtful answer is given */
#define WAIT_STEP_NS (100 * NSEC_PER_MSEC) /* between looks at cancel */

struct members {
	/* set once at open */
	struct members_conf conf; /* its texts are not used after open */
	char *text;
	const struct source_ops *ops;
	struct source *source;
	pthread_t thread;
	bool threaded;
	struct cancel cancel;

	/* the thread's */
	unsigned doubts; /* in a row */
	size_t odd;      /* entries left out of the last list */

	/* atomic; written under lock */
	_Atomic uint64_t epoch;

	/* under lock */
	struct lock lock;
	struct event changed; /* the epoch has grown, or all ends */
	struct event stopped;
	struct ring *now;    /* owns a ref, or NULL */
	struct ring *before; /* owns a ref, or NULL */
	int64_t changed_at;
	struct members_status status;
};

static int64_t or_default(int64_t given, int64_t usual)
{
	return given > 0 ? given : usual;
}

/* A source has failed or given cause to doubt. One line when that begins. */
static void say_failing(struct members *m, const char *why)
{
	size_t known;
	bool first;

	lock_take(&m->lock);
	first = !m->status.failing;
	m->status.failures++;
	m->status.failing = true;
	if (first)
		m->status.failing_at = clock_ns();
	snprintf(m->status.why, sizeof(m->status.why), "%s", why);
	known = m->now != NULL ? ring_workers(m->now) : 0;
	lock_drop(&m->lock);
	if (first)
		log_warn("ring: workers=%s: %s; keeping the %zu known", m->text,
			 why, known);
}

static void say_well(struct members *m, size_t workers)
{
	bool first;

	lock_take(&m->lock);
	first = m->status.failing;
	m->status.failing = false;
	m->status.why[0] = '\0';
	lock_drop(&m->lock);
	if (first)
		log_info("ring: workers=%s: answers again, with %zu workers",
			 m->text, workers);
}

/* Is `before` still worth asking? */
static bool recent_locked(const struct members *m, int64_t now)
    TSA(requires_capability(m->lock))
{
	return m->before != NULL && now - m->changed_at < m->conf.previous;
}

/* Put the ring (NULL: nobody) in place. The caller's reference goes over. */
static void publish(struct members *m, struct ring *ring)
{
	struct ring *was, *dropped = NULL;
	int64_t now = clock_ns();
	size_t had, has = ring != NULL ? ring_workers(ring) : 0;
	uint64_t epoch;

	lock_take(&m->lock);
	was = m->now;
	had = was != NULL ? ring_workers(was) : 0;
	if (was != NULL &&
	    (!recent_locked(m, now) || now - m->changed_at >= m->conf.settled ||
	     (ring != NULL && ring_view(ring) == ring_view(m->before)))) {
		dropped = m->before;
		m->before = was;
	} else if (was != NULL) {
		dropped = was;
	} else if (m->before != NULL && ring != NULL &&
		   ring_view(ring) == ring_view(m->before)) {
		/* All were gone and are back: nobody else had anything. */
		dropped = m->before;
		m->before = NULL;
	}
	m->now = ring;
	m->changed_at = now;
	epoch = atomic_load_explicit(&m->epoch, memory_order_relaxed) + 1;
	atomic_store_explicit(&m->epoch, epoch, memory_order_release);
	event_broadcast(&m->changed);
	lock_drop(&m->lock);
	ring_unref(dropped);
	log_info("ring: %zu workers, were %zu; epoch %ju, view %016jx", has,
		 had, (uintmax_t)epoch,
		 (uintmax_t)(ring != NULL ? ring_view(ring) : 0));
	if (m->conf.changed != NULL)
		m->conf.changed(m->conf.arg, epoch);
}

/* Give the memory of a previous ring back when its time is over. */
static void forget_previous(struct members *m)
{
	struct ring *dropped = NULL;

	lock_take(&m->lock);
	if (!recent_locked(m, clock_ns()))
		dropped = take_ptr(m->before);
	lock_drop(&m->lock);
	ring_unref(dropped);
}

/* Only this thread changes what is current, so no lock is needed to read it. */
static struct ring *current(struct members *m)
{
	struct ring *r;

	lock_take(&m->lock);
	r = m->now;
	lock_drop(&m->lock);
	return r;
}

static void say_odd(struct members *m, const struct member_list *list)
{
	if (list->odd > 0 && m->odd == 0)
		log_warn("ring: workers=%s: %zu left out: %s", m->text,
			 list->odd, list->odd_why);
	m->odd = list->odd;
}

/*
 * 0; 1: it names nobody, and that is believed; or why this answer changes
 * nothing.
 */
static int judge(struct members *m, struct member_list *list,
		 char why[static 256])
{
	struct ring *ring = NULL;
	int r;

	list_unique(list);
	if (list->failed)
		return -ENOMEM;
	say_odd(m, list);
	if (list->n > RING_WORKERS_MAX)
		return ufs_why(why, -EBADMSG,
			       "it names %zu workers, more than %d", list->n,
			       RING_WORKERS_MAX);
	if (list->n == 0 && list->odd > 0)
		return ufs_why(why, -EBADMSG, "no entry can be used: %s",
			       list->odd_why);
	if (list->n > 0) {
		r = ring_new(list->at, list->n, &ring);
		if (r < 0)
			return ufs_why(why, r, "no ring can be made of it");
	}
	if (list->n > 0 && list->doubt == NULL) {
		m->doubts = 0;
	} else if (current(m) != NULL && ++m->doubts < BELIEVED) {
		ring_unref(ring);
		return ufs_why(why, -EBADMSG, "%s",
			       list->n == 0 ? "it names no workers"
					    : list->doubt);
	} else {
		m->doubts = 0;
	}
	if (ring != NULL
		? current(m) != NULL && ring_view(current(m)) == ring_view(ring)
		: current(m) == NULL)
		ring_unref(ring);
	else
		publish(m, ring);
	if (list->n == 0)
		ufs_why(why, 0, "it names no workers");
	return list->n == 0;
}

/* Ask once; as judge(). */
static int ask(struct members *m, bool anew)
{
	struct member_list list = { 0 };
	char why[256] = "";
	int r = m->ops->next(m->source, anew, &list, &m->cancel, why);

	if (r != -ECANCELED) {
		lock_take(&m->lock);
		m->status.answers++;
		lock_drop(&m->lock);
		if (r == 0)
			r = judge(m, &list, why);
		if (r == 0)
			say_well(m, list.n);
		else
			say_failing(m, r == -ENOMEM ? "out of memory" : why);
	}
	list_fini(&list);
	return r;
}

/* Sleep, give or take a tenth, so that hosts are not in step. */
static void pause_for(struct members *m, int64_t ns)
{
	int64_t until = clock_ns() + ns - ns / 10 + ufs_jitter(ns / 5 + 1);

	lock_take(&m->lock);
	while (!cancelled(&m->cancel) &&
	       event_wait_until(&m->stopped, &m->lock, until))
		;
	lock_drop(&m->lock);
}

static void *run(void *arg)
{
	struct members *m = arg;
	int64_t retry = RETRY_NS;
	bool anew = true;

	prctl(PR_SET_NAME, "members");
	while (!cancelled(&m->cancel)) {
		int r = ask(m, anew);

		forget_previous(m);
		anew = r < 0 || !m->ops->told;
		if (r >= 0) {
			retry = RETRY_NS;
			if (!m->ops->told)
				pause_for(m, m->conf.poll);
		} else if (m->doubts > 0) {
			/* A bad moment of the source shall be over. */
			pause_for(m, m->conf.poll);
		} else {
			pause_for(m, MIN(retry, m->conf.poll));
			retry = MIN(2 * retry, m->conf.poll);
		}
	}
	return NULL;
}

int members_check(const char *workers, char why[static 256])
{
	struct members_conf conf = { .workers = workers };
	const char *text;
	const struct source_ops *ops = source_find(workers, &text);
	struct source *source;
	int r = ops->open(&conf, text, &source, why);

	if (r == 0)
		ops->close(source);
	return r;
}

/* Either the answer, when it takes no time, or a thread that asks. */
static int begin(struct members *m, char why[static 256])
{
	struct member_list list = { 0 };
	int r = 0;

	if (m->ops->once) {
		r = m->ops->next(m->source, true, &list, NULL, why);
		if (r == 0)
			r = judge(m, &list, why);
		list_fini(&list);
		m->status.answers = 1;
		return r;
	}
	if (pthread_create(&m->thread, NULL, run, m) != 0)
		return ufs_why(why, -EAGAIN,
			       "the thread that asks for workers does not "
			       "start");
	m->threaded = true;
	return 0;
}

int members_open(const struct members_conf *conf, struct members **out,
		 char why[static 256])
{
	struct members *m = calloc(1, sizeof(*m));
	const char *text;
	int r;

	if (m == NULL)
		return -ENOMEM;
	lock_init(&m->lock, RANK_LEAF);
	event_init(&m->changed);
	event_init(&m->stopped);
	m->conf = *conf;
	m->conf.poll = or_default(conf->poll, POLL_NS);
	m->conf.previous = or_default(conf->previous, PREVIOUS_NS);
	m->conf.settled = or_default(conf->settled, SETTLED_NS);
	m->ops = source_find(conf->workers, &text);
	m->status.kind = m->ops->kind;
	m->text = strdup(conf->workers);
	r = m->text != NULL ? m->ops->open(conf, text, &m->source, why)
			    : -ENOMEM;
	if (r == 0)
		r = begin(m, why);
	if (r < 0)
		members_close(m);
	else
		*out = m;
	return r;
}

void members_close(struct members *m)
{
	if (m == NULL)
		return;
	lock_take(&m->lock);
	cancel_set(&m->cancel);
	event_broadcast(&m->stopped);
	lock_drop(&m->lock);
	if (m->threaded)
		must(pthread_join(m->thread, NULL));
	if (m->source != NULL)
		m->ops->close(m->source);
	ring_unref(m->now);
	ring_unref(m->before);
	event_fini(&m->changed);
	event_fini(&m->stopped);
	lock_fini(&m->lock);
	free(m->text);
	free(m);
}

void members_ring(struct members *m, struct members_view *out)
{
	int64_t now = clock_ns();

	lock_take(&m->lock);
	out->now = m->now != NULL ? ring_ref(m->now) : NULL;
	out->before = recent_locked(m, now) ? ring_ref(m->before) : NULL;
	out->changed = m->changed_at;
	out->epoch = atomic_load_explicit(&m->epoch, memory_order_relaxed);
	lock_drop(&m->lock);
}

void members_view_fini(struct members_view *v)
{
	ring_unref(v->now);
	ring_unref(v->before);
	memset(v, 0, sizeof(*v));
}

uint64_t members_epoch(const struct members *m)
{
	return atomic_load_explicit(&m->epoch, memory_order_acquire);
}

int members_wait(struct members *m, uint64_t epoch, int64_t deadline,
		 struct cancel *cancel)
{
	int r = 0;

	lock_take(&m->lock);
	while (members_epoch(m) <= epoch) {
		int64_t now = clock_ns();

		r = cancelled(cancel) ? -ECANCELED
		    : now >= deadline ? -ETIMEDOUT
				      : 0;
		if (r < 0)
			break;
		/* Who sets cancel does not know this event. */
		event_wait_until(&m->changed, &m->lock,
				 MIN(deadline, now + WAIT_STEP_NS));
	}
	lock_drop(&m->lock);
	return r;
}

void members_status(struct members *m, struct members_status *out)
{
	lock_take(&m->lock);
	*out = m->status;
	lock_drop(&m->lock);
}
