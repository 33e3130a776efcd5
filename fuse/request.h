/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - a FUSE request that waits: one reply, whoever comes first
 *
 * A request that cannot be answered at once has a struct rq, embedded in
 * what the operation needs. Two parties may want to answer it: who completes
 * the work, and a signal to the caller (INTERRUPT). rq_claim() decides; the
 * one that gets true replies, the other drops its result. So a reply is sent
 * exactly once, and an interrupted caller is free at once although the work
 * may go on for others.
 *
 * References: rq_init() gives two. The starter's ends with rq_wait(), the
 * completion's with rq_unref(). What the work touches (handle, object)
 * belongs to the rq and is released with its last reference.
 *
 *	rq_init(&c->rq, fs, req, c_fini);
 *	object_read(o, &c->read);    done: if (rq_claim()) reply; rq_unref()
 *	rq_wait(&c->rq);             arms the interrupt, drops the reference
 *
 * libfuse calls an interrupt callback with the request's own lock held, also
 * from within the registration, where a reply would free the lock under its
 * feet: so the callback only hands the rq to a thread that does nothing but
 * answer EINTR.
 */
#ifndef FUSE_REQUEST_H
#define FUSE_REQUEST_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/cancel.h"
#include "base/lock.h"
#include "base/pool.h"

struct fs;
struct fuse_req;

struct rq {
	struct fs *fs;        /* set once */
	struct fuse_req *req; /* until claimed */
	void (*fini)(struct rq *rq);
	/* Before a signal's EINTR; or NULL. Set before the work is started. */
	void (*interrupted)(struct rq *rq);
	atomic_uint refs;
	struct cancel cancel; /* set when nobody waits any more */

	struct lock lock;
	/* under lock */
	bool claimed;
	bool armed; /* the interrupt callback is registered */
	/*
	 * True: the completion will not come (the caller drops its
	 * reference). NULL while it cannot be taken back.
	 */
	bool (*withdraw)(struct rq *rq);

	/* under the list's lock, see request.c */
	struct rq *prev, *next;
	bool listed;

	atomic_bool ending; /* the EINTR job was submitted */
	struct job end;
	struct job work;
	struct pool *pool; /* borrowed: where work is to run */
	void (*run)(struct rq *rq);
};

/* Those that wait, so that all can be ended when the mount goes. */
struct rq_list {
	struct lock lock;
	struct rq *first; /* under lock */
	atomic_int live;  /* rqs that exist, listed or not */
};

void rq_list_init(struct rq_list *l);
void rq_list_fini(struct rq_list *l);

/*
 * Answer all EINTR and cancel their work. No new ones may come: the
 * session's loop has ended.
 */
void rq_list_end(struct rq_list *l);

/* Wait until no rq is left. */
void rq_list_drain(struct rq_list *l);

/* fini releases what the operation holds and frees it. Two references. */
void rq_init(struct rq *rq, struct fs *fs, struct fuse_req *req,
	     void (*fini)(struct rq *rq));
void rq_unref(struct rq *rq);

/* The starter is done: from here on a signal ends the request. */
void rq_wait(struct rq *rq);

/* True, once: the caller replies to rq->req. */
bool rq_claim(struct rq *rq);

/* The completion can (fn) or cannot (NULL) be taken back from now on. */
void rq_set_withdraw(struct rq *rq, bool (*fn)(struct rq *rq));

/* Claim, reply -err when that worked, and drop the reference. */
void rq_finish_err(struct rq *rq, int err);

/*
 * Run fn on the file system's pool; it owns the completion's reference. Call
 * rq_wait() after it.
 */
void rq_run(struct rq *rq, void (*fn)(struct rq *rq));

/* The same on another pool. */
void rq_run_on(struct rq *rq, struct pool *pool, void (*fn)(struct rq *rq));

#endif
