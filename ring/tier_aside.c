/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier_aside.c - the store, asked by another thread while workers are slow
 *
 * A call of the store blocks, and so cannot be raced by the thread that works
 * on the workers' answers. A helper makes it. Who answers first is settled
 * under the aside's lock, by the head of an object or the end of a stat: from
 * then on only the winner touches what belongs to the caller. A store that
 * lost is called off and ends by itself, on copies of its own, while nobody
 * waits for it.
 *
 *        OPEN --aside_beat()--> LOST      the helper ends, its result is void
 *         \-----store answers--> WON      the caller waits for the end
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "ring/tier_impl.h"
#include "ufs/ufs_impl.h"

#define LOOK_NS (50 * NSEC_PER_MSEC)

struct aside {
	struct job job;
	/* set once */
	struct tier *t;
	struct aside_what what; /* key is in key_bytes */
	bool turn;              /* it takes one at the store */
	char want[UFS_VERSION_MAX];
	struct ufs_sink sink;
	struct ufs_list q;
	struct ufs_stat st;

	struct cancel cancel;
	struct lock lock;
	struct event moved;
	/* under lock */
	unsigned refs;
	enum { OPEN, LOST, WON } race;
	bool ended;
	int err;
	char words[256];           /* of its error */
	struct peer_session *wake; /* borrowed, NULL: nobody is to be woken */
	int64_t asked;             /* when the store was, clock_ns() */
	int64_t took;

	char key_bytes[UFS_KEY_MAX + 1];
	char prefix[UFS_KEY_MAX + 1], after[UFS_KEY_MAX + 1];
};

static void unref(struct aside *a)
{
	bool last;

	lock_take(&a->lock);
	last = --a->refs == 0;
	lock_drop(&a->lock);
	if (!last)
		return;
	event_fini(&a->moved);
	lock_fini(&a->lock);
	free(a);
}

static void tell_locked(struct aside *a) TSA(requires_capability(a->lock))
{
	event_broadcast(&a->moved);
	if (a->wake != NULL)
		peer_wake(a->wake);
}

/* The store answers. False: a worker was faster. */
static bool win(struct aside *a)
{
	bool won;

	lock_take(&a->lock);
	if (a->race == OPEN) {
		a->race = WON;
		a->took = clock_ns() - a->asked;
		tell_locked(a);
	}
	won = a->race == WON;
	lock_drop(&a->lock);
	return won;
}

static int on_head(void *arg, const struct ufs_stat *st)
{
	struct aside *a = arg;

	if (!win(a))
		return -ECANCELED;
	return getting_sink.head(a->what.get, st);
}

static int on_data(void *arg, const void *bytes, size_t len)
{
	struct aside *a = arg;

	return getting_sink.data(a->what.get, bytes, len);
}

static int on_again(void *arg)
{
	struct aside *a = arg;

	return getting_sink.again(a->what.get);
}

static int on_entry(void *arg, const struct ufs_entry *e)
{
	struct aside *a = arg;

	if (!win(a))
		return -ECANCELED;
	return a->what.l->cb(a->what.l->arg, e);
}

/* What the store says for certain; that it says nothing is no answer. */
static bool is_answer(int err)
{
	return err >= 0 || err == -ENOENT || err == -EACCES;
}

static int ask(struct aside *a, char **token)
{
	struct ufs *u = a->t->store;
	int r = 0;

	switch (a->what.kind) {
	case PEER_GET:
		return u->ops->get(u, a->what.key, a->want, a->what.off,
				   a->what.len, &a->sink, &a->cancel);
	case PEER_HEAD:
		r = u->ops->stat(u, a->what.key, &a->st, &a->cancel);
		if (is_answer(r) && win(a) && r == 0)
			*a->what.st = a->st;
		return r;
	case PEER_LIST:
		r = u->ops->list(u, &a->q, token, on_entry, a, &a->cancel);
		if (r == 0 && win(a)) {
			a->what.l->token = *token;
			*token = NULL;
		}
		return r;
	}
	return r;
}

static void run(struct job *job)
{
	struct aside *a = container_of(job, struct aside, job);
	AUTO_FREE char *token = NULL;
	int r = 0;

	if (a->turn)
		r = tier_turn(a->t, &a->cancel);
	lock_take(&a->lock);
	a->asked = clock_ns();
	lock_drop(&a->lock);
	if (r == 0 && cancelled(&a->cancel))
		r = -ECANCELED;
	if (r == 0)
		r = ask(a, &token);
	lock_take(&a->lock);
	a->ended = true;
	a->err = r;
	snprintf(a->words, sizeof(a->words), "%s", ufs_last_error());
	tell_locked(a);
	lock_drop(&a->lock);
	unref(a);
}

static struct str keep(char *room, struct str s)
{
	size_t n = MIN(s.n, UFS_KEY_MAX + 1);

	if (n > 0)
		memcpy(room, s.p, n);
	return (struct str){ room, n };
}

int aside_new(struct tier *t, const struct aside_what *what, bool turn,
	      struct peer_session *wake, struct aside **out)
{
	struct aside *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return -ENOMEM;
	a->job.run = run;
	a->t = t;
	a->what = *what;
	a->what.key = keep(a->key_bytes, what->key);
	a->turn = turn;
	a->wake = wake;
	a->refs = 2;
	if (what->kind == PEER_GET) {
		snprintf(a->want, sizeof(a->want), "%s", what->get->want);
		a->sink = (struct ufs_sink){ .arg = a,
					     .head = on_head,
					     .data = on_data };
		if (what->get->sink->again != NULL)
			a->sink.again = on_again;
	} else if (what->kind == PEER_LIST) {
		a->q = *what->l->q;
		a->q.prefix = keep(a->prefix, a->q.prefix);
		a->q.after = keep(a->after, what->l->after);
	}
	lock_init(&a->lock, RANK_LEAF);
	event_init(&a->moved);
	pool_submit(t->helpers, &a->job, POOL_DEMAND);
	*out = a;
	return 0;
}

bool aside_beat(struct aside *a)
{
	bool beaten;

	lock_take(&a->lock);
	beaten = a->race != WON;
	if (beaten) {
		a->race = LOST;
		cancel_set(&a->cancel);
	}
	lock_drop(&a->lock);
	return beaten;
}

bool aside_has_won(struct aside *a, int64_t *took)
{
	bool won;

	lock_take(&a->lock);
	won = a->race == WON;
	*took = a->took;
	lock_drop(&a->lock);
	return won;
}

/*
 * While it waits for its turn or for a thread, it is as well that it does:
 * only one that nobody has begun is taken back, for the caller to do it.
 */
int aside_wait(struct aside *a, struct cancel *cancel)
{
	char words[256];
	int r;

	if (pool_withdraw(a->t->helpers, &a->job)) {
		lock_take(&a->lock);
		a->race = LOST;
		a->ended = true;
		a->refs--; /* the job's */
		lock_drop(&a->lock);
		return -EAGAIN;
	}
	lock_take(&a->lock);
	while (!a->ended) {
		if (cancelled(cancel)) {
			cancel_set(&a->cancel);
			if (a->race != WON)
				break;
		}
		event_wait_until(&a->moved, &a->lock, clock_ns() + LOOK_NS);
	}
	r = a->ended ? a->err : -ECANCELED;
	memcpy(words, a->words, sizeof(words));
	if (a->race == OPEN && !a->ended)
		a->race = LOST;
	lock_drop(&a->lock);
	return r < 0 ? ufs_fail(r, "%s", words) : r;
}

void aside_leave(struct aside *a)
{
	cancel_set(&a->cancel);
	lock_take(&a->lock);
	if (a->race == OPEN)
		a->race = LOST;
	a->wake = NULL;
	/* One that has won works on what is the caller's. */
	while (a->race == WON && !a->ended)
		event_wait(&a->moved, &a->lock);
	lock_drop(&a->lock);
	unref(a);
}
