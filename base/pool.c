/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - threads that run jobs
 *
 * A job waits in the queue of its lane. A thread takes the oldest demand job,
 * else the oldest background job if fewer than background_max of those run,
 * else it goes idle. Idle threads stand on a stack and each waits for an
 * event of its own, so that the one that went idle last is the one woken.
 *
 * `coming` counts the threads that were woken or started and have not looked
 * at the queues yet. There should be as many of them as there are jobs that
 * may run now; whatever changes that (a submit, a job's end, a higher limit)
 * calls staff_locked(), which wakes or starts what is missing. So a burst of
 * jobs gets a thread each, and a thread that is on its way is not sent for
 * twice. The first that is woken hears of it once the lock is free: else it
 * would mostly wake only to wait for that.
 */
#include "base/pool.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/lock.h"

/*
 * Hundreds of threads may wait for a store, so their stacks are small: a TLS
 * handshake by libcurl was measured to use 14 KiB, getaddrinfo() 16 KiB. A page
 * is no local anywhere. Sanitizers have larger frames and thread-local state.
 */
#ifdef LOCK_DEBUG
#define STACK_SIZE MIB(2)
#else
#define STACK_SIZE KIB(256)
#endif

#define NAME_LEN 10
#define TASK_COMM_LEN 16 /* of the kernel, with the NUL */

struct queue {
	struct job *head, *tail;
	size_t n;
};

struct worker {
	struct pool *pool;
	pthread_t thread;
	/* under the pool's lock */
	struct worker *next_idle;
	struct event woken;
	bool idle;
};

struct pool {
	/* set once at new */
	char name[NAME_LEN + 1];
	unsigned max;
	struct worker *workers; /* max of them */

	atomic_uint waking; /* calls of wake() to come to their end */

	struct lock lock;
	/* under lock */
	struct queue queues[POOL_LANES];
	struct worker *idle; /* a stack */
	unsigned threads;    /* the first so many workers are threads */
	unsigned coming;
	unsigned background, background_max; /* running, and at most */
	bool stopping;
};

static void queue_push(struct queue *q, struct job *job)
{
	job->next = NULL;
	if (q->tail == NULL)
		q->head = job;
	else
		q->tail->next = job;
	q->tail = job;
	q->n++;
}

static struct job *queue_pop(struct queue *q)
{
	struct job *job = q->head;

	if (job == NULL)
		return NULL;
	q->head = job->next;
	if (q->head == NULL)
		q->tail = NULL;
	q->n--;
	return job;
}

static bool queue_remove(struct queue *q, struct job *job)
{
	struct job *before = NULL;

	for (struct job *j = q->head; j != NULL; before = j, j = j->next) {
		if (j != job)
			continue;
		if (before == NULL)
			q->head = j->next;
		else
			before->next = j->next;
		if (q->tail == j)
			q->tail = before;
		q->n--;
		return true;
	}
	return false;
}

static void *worker_main(void *arg);

/* False when no thread can be had now. */
static bool worker_start_locked(struct pool *p)
    TSA(requires_capability(p->lock));

static bool worker_start_locked(struct pool *p)
{
	struct worker *w = &p->workers[p->threads];
	sigset_t all, before;
	pthread_attr_t attr;
	int r;

	/* Signals are for the main thread; faults stay with who made them. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGTRAP);
	must(pthread_attr_init(&attr));
	must(pthread_attr_setstacksize(&attr, STACK_SIZE));
	must(pthread_sigmask(SIG_SETMASK, &all, &before));
	r = pthread_create(&w->thread, &attr, worker_main, w);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL));
	must(pthread_attr_destroy(&attr));
	if (r != 0)
		return false;
	p->threads++;
	p->coming++;
	return true;
}

/* Off the stack; to be signalled. */
static struct worker *worker_call_locked(struct pool *p)
    TSA(requires_capability(p->lock));

static struct worker *worker_call_locked(struct pool *p)
{
	struct worker *w = p->idle;

	p->idle = w->next_idle;
	w->idle = false;
	p->coming++;
	return w;
}

static size_t runnable_locked(const struct pool *p)
    TSA(requires_capability(p->lock));

static size_t runnable_locked(const struct pool *p)
{
	size_t room = p->background_max > p->background
			  ? p->background_max - p->background
			  : 0;

	return p->queues[POOL_DEMAND].n +
	       MIN(p->queues[POOL_BACKGROUND].n, room);
}

/* Who is still to be woken, by wake() when the lock is free; or NULL. */
static struct worker *staff_locked(struct pool *p)
    TSA(requires_capability(p->lock));

static struct worker *staff_locked(struct pool *p)
{
	size_t wanted = runnable_locked(p);
	struct worker *first = NULL;

	while (p->coming < wanted) {
		if (p->idle != NULL && first == NULL)
			first = worker_call_locked(p);
		else if (p->idle != NULL)
			event_signal(&worker_call_locked(p)->woken);
		else if (p->stopping || p->threads == p->max ||
			 !worker_start_locked(p))
			break; /* who is busy will come round */
	}
	if (first != NULL)
		atomic_fetch_add(&p->waking, 1);
	return first;
}

/* It may have woken by itself, and the pool be about to go: see pool_stop(). */
static void wake(struct pool *p, struct worker *w)
{
	if (w == NULL)
		return;
	event_signal(&w->woken);
	atomic_fetch_sub(&p->waking, 1);
}

static struct job *take_job_locked(struct pool *p, enum pool_lane *lane)
    TSA(requires_capability(p->lock));

static struct job *take_job_locked(struct pool *p, enum pool_lane *lane)
{
	struct job *job = queue_pop(&p->queues[POOL_DEMAND]);

	*lane = POOL_DEMAND;
	if (job == NULL && p->background < p->background_max) {
		job = queue_pop(&p->queues[POOL_BACKGROUND]);
		if (job != NULL) {
			*lane = POOL_BACKGROUND;
			p->background++;
		}
	}
	return job;
}

/* Until woken; false when the pool stops. */
static bool worker_idle_locked(struct pool *p, struct worker *w)
    TSA(requires_capability(p->lock));

static bool worker_idle_locked(struct pool *p, struct worker *w)
{
	if (p->stopping)
		return false;
	w->next_idle = p->idle;
	p->idle = w;
	w->idle = true;
	while (w->idle)
		event_wait(&w->woken, &p->lock);
	p->coming--;
	return true;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	char name[TASK_COMM_LEN];

	snprintf(name, sizeof(name), "%s-%u", p->name,
		 (unsigned)(w - p->workers) % 1000);
	prctl(PR_SET_NAME, name);
	lock_take(&p->lock);
	p->coming--;
	do {
		enum pool_lane lane;
		struct job *job;

		while ((job = take_job_locked(p, &lane)) != NULL) {
			lock_drop(&p->lock);
			job->run(job);
			lock_take(&p->lock);
			if (lane == POOL_BACKGROUND) {
				p->background--;
				wake(p, staff_locked(p));
			}
		}
	} while (worker_idle_locked(p, w));
	lock_drop(&p->lock);
	return NULL;
}

int pool_new(const char *name, unsigned max, struct pool **out)
{
	struct pool *p = calloc(1, sizeof(*p));
	bool started;

	if (p == NULL)
		return -ENOMEM;
	p->max = MAX(max, 1);
	p->background_max = MAX(p->max - 1, 1);
	p->workers = calloc(p->max, sizeof(*p->workers));
	if (p->workers == NULL) {
		free(p);
		return -ENOMEM;
	}
	snprintf(p->name, sizeof(p->name), "%s", name);
	lock_init(&p->lock, RANK_POOL);
	for (unsigned i = 0; i < p->max; i++) {
		p->workers[i].pool = p;
		event_init(&p->workers[i].woken);
	}
	lock_take(&p->lock);
	started = worker_start_locked(p);
	lock_drop(&p->lock);
	if (!started) {
		pool_stop(p);
		return -EAGAIN;
	}
	*out = p;
	return 0;
}

void pool_set_background_max(struct pool *p, unsigned background_max)
{
	struct worker *called;

	lock_take(&p->lock);
	p->background_max = MAX(background_max, 1); /* 0 would never drain */
	called = staff_locked(p);
	lock_drop(&p->lock);
	wake(p, called);
}

void pool_submit(struct pool *p, struct job *job, enum pool_lane lane)
{
	struct worker *called;

	lock_take(&p->lock);
	queue_push(&p->queues[lane], job);
	called = staff_locked(p);
	lock_drop(&p->lock);
	wake(p, called);
}

bool pool_withdraw(struct pool *p, struct job *job)
{
	bool found;

	lock_take(&p->lock);
	found = queue_remove(&p->queues[POOL_DEMAND], job) ||
		queue_remove(&p->queues[POOL_BACKGROUND], job);
	lock_drop(&p->lock);
	return found;
}

void pool_stop(struct pool *p)
{
	unsigned threads;

	if (p == NULL)
		return;
	lock_take(&p->lock);
	p->stopping = true;
	threads = p->threads; /* no more from here on */
	while (p->idle != NULL)
		event_signal(&worker_call_locked(p)->woken);
	lock_drop(&p->lock);
	for (unsigned i = 0; i < threads; i++)
		must(pthread_join(p->workers[i].thread, NULL));
	while (atomic_load(&p->waking) > 0)
		sched_yield();
	lock_fini(&p->lock);
	for (unsigned i = 0; i < p->max; i++)
		event_fini(&p->workers[i].woken);
	free(p->workers);
	free(p);
}
