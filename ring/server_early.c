/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_early.c - headers for who waits while a small object is fetched
 *
 * A small object is fetched whole before it is answered, so that it goes out
 * of its file and a store that refuses it is a status. But a mount that hears
 * nothing for half a second asks another worker as well, which would fetch it
 * once more, and takes this one for ill. So a thread looks at those that wait:
 * after a fifth of a second they get their headers, and the body piece by
 * piece like a large object's.
 *
 * An exchange that waits is in a list, in the order in which they began. Who
 * takes it out, the cache's call or this thread, has it: the call does so
 * first of all, so that while it is in the list it is there.
 */
#include <errno.h>

#include "base/clock.h"
#include "ring/server_impl.h"

#define EARLY_NS (200 * NSEC_PER_MSEC)
/* Between the SSD and the store it cannot be taken back: look again then. */
#define AGAIN_NS (10 * NSEC_PER_MSEC)

struct early {
	pthread_t thread;

	struct lock lock;
	struct event changed;
	/* under lock */
	struct exchange *first, *last;
	bool stop;
};

static void put_last_locked(struct early *e, struct exchange *x, int64_t at)
    TSA(requires_capability(e->lock))
{
	x->early_at = at;
	x->early_next = NULL;
	x->early_prev = e->last;
	if (e->last != NULL)
		e->last->early_next = x;
	else
		e->first = x;
	e->last = x;
}

static void take_out_locked(struct early *e, struct exchange *x)
    TSA(requires_capability(e->lock))
{
	if (x->early_next != NULL)
		x->early_next->early_prev = x->early_prev;
	else
		e->last = x->early_prev;
	if (x->early_prev != NULL)
		x->early_prev->early_next = x->early_next;
	else
		e->first = x->early_next;
	x->early_at = 0;
}

void early_begin(struct exchange *x)
{
	struct early *e = x->server->early;

	x->early = true;
	x->open.object = x->object; /* the thread may come before the open */
	lock_take(&e->lock);
	if (e->first == NULL)
		event_signal(&e->changed);
	put_last_locked(e, x, clock_ns() + EARLY_NS);
	lock_drop(&e->lock);
}

void early_end(struct exchange *x)
{
	struct early *e = x->server->early;

	if (!x->early)
		return;
	lock_take(&e->lock);
	if (x->early_at != 0)
		take_out_locked(e, x);
	lock_drop(&e->lock);
}

/* The first has waited long enough, and is nobody's but ours; or NULL. */
static struct exchange *claim_locked(struct early *e, int64_t now)
    TSA(requires_capability(e->lock))
{
	struct exchange *x = e->first;

	if (x == NULL || x->early_at > now)
		return NULL;
	take_out_locked(e, x);
	if (object_open_cancel(&x->open))
		return x;
	put_last_locked(e, x, now + AGAIN_NS);
	return NULL;
}

static void *run(void *arg)
{
	struct early *e = arg;
	struct exchange *x;

	lock_take(&e->lock);
	while (!e->stop) {
		x = claim_locked(e, clock_ns());
		if (x != NULL) {
			lock_drop(&e->lock);
			x->opened = true;
			stream_begin(x);
			lock_take(&e->lock);
		} else if (e->first == NULL) {
			event_wait(&e->changed, &e->lock);
		} else {
			(void)event_wait_until(&e->changed, &e->lock,
					       e->first->early_at);
		}
	}
	lock_drop(&e->lock);
	return NULL;
}

int early_start(struct server *s)
{
	struct early *e = calloc(1, sizeof(*e));
	int r;

	if (e == NULL)
		return -ENOMEM;
	lock_init(&e->lock, RANK_CONTROL);
	event_init(&e->changed);
	r = -pthread_create(&e->thread, NULL, run, e);
	if (r < 0) {
		event_fini(&e->changed);
		lock_fini(&e->lock);
		free(e);
		return r;
	}
	s->early = e;
	return 0;
}

void early_stop(struct server *s)
{
	struct early *e = s->early;

	if (e == NULL)
		return;
	lock_take(&e->lock);
	e->stop = true;
	event_signal(&e->changed);
	lock_drop(&e->lock);
	must(pthread_join(e->thread, NULL));
	event_fini(&e->changed);
	lock_fini(&e->lock);
	free(e);
	s->early = NULL;
}
