/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.c - requests that wait, and their interrupts
 *
 * Lock order: rq->lock, then libfuse's lock of the request (taken by
 * fuse_req_interrupt_func), then the pool's. The callback runs under
 * libfuse's lock and takes only the pool's, so disarming, which waits for a
 * callback that is running, cannot deadlock when done without rq->lock.
 */
#include "fuse/request.h"

#include <errno.h>
#include <time.h>

#include "base/stats.h"
#include "fuse/fs_impl.h"

void rq_list_init(struct rq_list *l)
{
	memset(l, 0, sizeof(*l));
	lock_init(&l->lock, RANK_OBJECTS);
}

void rq_list_fini(struct rq_list *l)
{
	lock_fini(&l->lock);
}

static void list_add(struct rq *rq)
{
	struct rq_list *l = &rq->fs->waiting;

	lock_take(&l->lock);
	rq->next = l->first;
	if (l->first != NULL)
		l->first->prev = rq;
	l->first = rq;
	rq->listed = true;
	lock_drop(&l->lock);
}

static void list_remove(struct rq *rq)
{
	struct rq_list *l = &rq->fs->waiting;

	lock_take(&l->lock);
	if (rq->listed) {
		if (rq->prev != NULL)
			rq->prev->next = rq->next;
		else
			l->first = rq->next;
		if (rq->next != NULL)
			rq->next->prev = rq->prev;
		rq->prev = rq->next = NULL;
		rq->listed = false;
	}
	lock_drop(&l->lock);
}

/* Have the EINTR thread end it. The caller's reference keeps it alive. */
static void end_soon(struct rq *rq)
{
	if (atomic_exchange(&rq->ending, true))
		return;
	atomic_fetch_add(&rq->refs, 1);
	pool_submit(rq->fs->enders, &rq->end, POOL_DEMAND);
}

static void interrupt_cb(fuse_req_t req, void *data)
{
	(void)req;
	end_soon(data);
}

static void end_run(struct job *job)
{
	struct rq *rq = container_of(job, struct rq, end);
	bool (*withdraw)(struct rq *);

	if (rq_claim(rq)) {
		stat_inc(STAT_interrupted);
		if (rq->interrupted != NULL)
			rq->interrupted(rq);
		reply_err(rq->req, -EINTR);
		cancel_set(&rq->cancel);
		lock_take(&rq->lock);
		withdraw = rq->withdraw;
		rq->withdraw = NULL;
		lock_drop(&rq->lock);
		if (withdraw != NULL && withdraw(rq))
			rq_unref(rq);
	}
	rq_unref(rq);
}

void rq_list_end(struct rq_list *l)
{
	lock_take(&l->lock);
	for (struct rq *rq = l->first; rq != NULL; rq = rq->next)
		end_soon(rq);
	lock_drop(&l->lock);
}

void rq_list_drain(struct rq_list *l)
{
	/*
	 * The count is the last thing a request touches, so there is nobody
	 * left to signal; this runs once, at the end.
	 */
	while (atomic_load(&l->live) > 0)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

void rq_init(struct rq *rq, struct fs *fs, struct fuse_req *req,
	     void (*fini)(struct rq *rq))
{
	memset(rq, 0, sizeof(*rq));
	rq->fs = fs;
	rq->req = req;
	rq->fini = fini;
	rq->end.run = end_run;
	atomic_init(&rq->refs, 2);
	lock_init(&rq->lock, RANK_INODES);
	atomic_fetch_add(&fs->waiting.live, 1);
}

void rq_unref(struct rq *rq)
{
	struct fs *fs = rq->fs;

	if (atomic_fetch_sub_explicit(&rq->refs, 1, memory_order_acq_rel) > 1)
		return;
	lock_fini(&rq->lock);
	rq->fini(rq);
	atomic_fetch_sub(&fs->waiting.live, 1);
}

void rq_wait(struct rq *rq)
{
	lock_take(&rq->lock);
	if (!rq->claimed) {
		rq->armed = true;
		list_add(rq);
		fuse_req_interrupt_func(rq->req, interrupt_cb, rq);
	}
	lock_drop(&rq->lock);
	rq_unref(rq);
}

bool rq_claim(struct rq *rq)
{
	bool mine, armed;

	lock_take(&rq->lock);
	mine = !rq->claimed;
	rq->claimed = true;
	armed = rq->armed;
	lock_drop(&rq->lock);
	if (mine && armed) {
		list_remove(rq);
		fuse_req_interrupt_func(rq->req, NULL, NULL);
	}
	return mine;
}

void rq_set_withdraw(struct rq *rq, bool (*fn)(struct rq *rq))
{
	lock_take(&rq->lock);
	rq->withdraw = rq->claimed ? NULL : fn;
	lock_drop(&rq->lock);
}

void rq_finish_err(struct rq *rq, int err)
{
	if (rq_claim(rq))
		reply_err(rq->req, err);
	rq_unref(rq);
}

static void work_run(struct job *job)
{
	struct rq *rq = container_of(job, struct rq, work);

	rq_set_withdraw(rq, NULL);
	rq->run(rq);
}

static bool work_withdraw(struct rq *rq)
{
	return pool_withdraw(rq->pool, &rq->work);
}

void rq_run(struct rq *rq, void (*fn)(struct rq *rq))
{
	rq_run_on(rq, rq->fs->jobs, fn);
}

void rq_run_on(struct rq *rq, struct pool *pool, void (*fn)(struct rq *rq))
{
	rq->pool = pool;
	rq->run = fn;
	rq->work.run = work_run;
	rq_set_withdraw(rq, work_withdraw);
	pool_submit(pool, &rq->work, POOL_DEMAND);
}
