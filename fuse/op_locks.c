/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_locks.c - flock and fcntl locks, of mounts that write
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "fuse/fs_impl.h"

struct lock_rq {
	struct rq rq;
	struct handle *h; /* owns a ref */
	struct lock_ask ask;
	bool claimed;
};

static void lock_rq_fini(struct rq *rq)
{
	struct lock_rq *l = container_of(rq, struct lock_rq, rq);

	handle_put(rq->fs, l->h);
	free(l);
}

/* The locks of the path that the file has now, which it keeps. */
static int place_of(struct fs *fs, struct handle *h, struct lock_place **out)
{
	struct lock_place *p = atomic_load(&h->locks), *fresh;
	char key[UFS_KEY_MAX + 1];
	size_t n;
	int r;

	if (p == NULL) {
		r = inodes_key(fs->inodes, h->nodeid, key, &n);
		if (r < 0)
			return r;
		fresh = filelocks_place(&fs->locks, (struct str){ key, n });
		if (fresh == NULL)
			return -ENOLCK;
		if (atomic_compare_exchange_strong(&h->locks, &p, fresh))
			p = fresh;
		else
			filelocks_unref(&fs->locks, fresh);
	}
	*out = p;
	return 0;
}

/* The file of a request, or NULL: it is answered. */
static struct handle *file_of(fuse_req_t req, struct fuse_file_info *fi,
			      struct lock_place **place)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handles_get(fs->handles, fi->fh);
	int r =
	    h == NULL || h->opened == NULL ? -EBADF : place_of(fs, h, place);

	if (r == 0)
		return h;
	handle_put(fs, h);
	reply_err(req, r);
	return NULL;
}

/* Of a range; l_len 0 is up to the end of all files. */
static void range_of(const struct flock *lock, uint64_t owner,
		     const struct handle *h, struct lock_ask *a)
{
	a->by = h;
	a->owner = owner;
	a->pid = lock->l_pid;
	a->late = !h->writes;
	a->type = lock->l_type;
	a->first = (uint64_t)lock->l_start;
	a->last = lock->l_len == 0
		      ? INT64_MAX
		      : (uint64_t)lock->l_start + (uint64_t)lock->l_len - 1;
}

/* Here -EAGAIN is an answer, as it is nowhere else. */
static void lock_reply(fuse_req_t req, int err)
{
	if (err == -EAGAIN)
		fuse_reply_err(req, EAGAIN);
	else
		reply_err(req, err);
}

static bool lock_claim(struct lock_ask *a)
{
	struct lock_rq *l = container_of(a, struct lock_rq, ask);

	l->claimed = rq_claim(&l->rq);
	return l->claimed;
}

static void lock_done(struct lock_ask *a, int err)
{
	struct lock_rq *l = container_of(a, struct lock_rq, ask);

	if (l->claimed)
		lock_reply(l->rq.req, err);
	rq_unref(&l->rq);
}

static bool lock_withdraw(struct rq *rq)
{
	return filelocks_withdraw(&rq->fs->locks,
				  &container_of(rq, struct lock_rq, rq)->ask);
}

/* Takes over the handle's reference. */
static void ask(fuse_req_t req, struct handle *h, struct lock_place *place,
		const struct lock_ask *what)
{
	struct fs *fs = fuse_req_userdata(req);
	struct lock_rq *l = calloc(1, sizeof(*l));
	int r;

	if (l == NULL) {
		handle_put(fs, h);
		reply_err(req, -ENOLCK);
		return;
	}
	rq_init(&l->rq, fs, req, lock_rq_fini);
	l->h = h;
	l->ask = *what;
	l->ask.claim = lock_claim;
	l->ask.done = lock_done;
	r = filelocks_ask(&fs->locks, place, &l->ask);
	if (r > 0) {
		rq_set_withdraw(&l->rq, lock_withdraw);
	} else {
		(void)lock_claim(&l->ask);
		lock_done(&l->ask, r);
	}
	/* Who does not want to wait expects no EINTR, and is answered soon. */
	if (what->wait)
		rq_wait(&l->rq);
	else
		rq_unref(&l->rq);
}

void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	      struct flock *lock, int sleep)
{
	struct lock_ask a = { .wait = sleep != 0 };
	struct lock_place *place;
	struct handle *h = file_of(req, fi, &place);

	(void)ino;
	if (h == NULL)
		return;
	range_of(lock, fi->lock_owner, h, &a);
	ask(req, h, place, &a);
}

void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	      struct flock *lock)
{
	struct fs *fs = fuse_req_userdata(req);
	struct lock_ask a = { 0 };
	struct lock_place *place;
	struct handle *h = file_of(req, fi, &place);

	(void)ino;
	if (h == NULL)
		return;
	range_of(lock, fi->lock_owner, h, &a);
	if (filelocks_test(&fs->locks, place, &a)) {
		lock->l_type = a.type;
		lock->l_start = (off_t)a.first;
		lock->l_len =
		    a.last == INT64_MAX ? 0 : (off_t)(a.last - a.first + 1);
		lock->l_pid = a.pid;
	} else {
		lock->l_type = F_UNLCK;
	}
	handle_put(fs, h);
	fuse_reply_lock(req, lock);
}

void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
	struct lock_ask a = { .whole = true, .last = INT64_MAX };
	struct lock_place *place;
	struct handle *h = file_of(req, fi, &place);

	(void)ino;
	if (h == NULL)
		return;
	a.by = h;
	a.wait = (op & LOCK_NB) == 0;
	a.type = (op & LOCK_UN) ? F_UNLCK : (op & LOCK_EX) ? F_WRLCK : F_RDLCK;
	ask(req, h, place, &a);
}

void locks_owner_closed(struct fs *fs, struct handle *h, uint64_t owner)
{
	char key[UFS_KEY_MAX + 1];
	struct lock_place *p, *found = NULL;
	size_t n;

	if (atomic_load(&fs->locks.ranges) == 0)
		return;
	p = atomic_load(&h->locks);
	if (p == NULL && inodes_key(fs->inodes, h->nodeid, key, &n) == 0)
		p = found = filelocks_find(&fs->locks, (struct str){ key, n });
	if (p != NULL)
		filelocks_owner_closed(&fs->locks, p, owner);
	if (found != NULL)
		filelocks_unref(&fs->locks, found);
}

void locks_file_closed(struct fs *fs, struct handle *h)
{
	struct lock_place *p = atomic_exchange(&h->locks, NULL);

	if (p == NULL)
		return;
	filelocks_file_closed(&fs->locks, p, h);
	filelocks_unref(&fs->locks, p);
}
