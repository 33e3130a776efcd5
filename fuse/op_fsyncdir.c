/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_fsyncdir.c - fsync of a directory (S26)
 *
 * It waits for what is on its way to the store below the directory, however
 * deep. Files that are open and were not committed are left to their own fsync
 * and close, as on a local disk, where the sync of a directory says nothing of
 * its files' bytes. A commit that fails, or has failed since the directory was
 * opened, is its error; one that nobody has asked for so is told to the first
 * who does, as Linux has it for fsync of a file. It is told once: who goes on
 * in spite of it, or begins anew tomorrow, is not to stumble over it for ever.
 */
#include <errno.h>

#include "cache/staging.h"
#include "fuse/written.h"

struct sync_rq {
	struct rq rq;
	struct handle *h; /* owns a ref */
};

static void sync_fini(struct rq *rq)
{
	struct sync_rq *s = container_of(rq, struct sync_rq, rq);

	handle_put(rq->fs, s->h);
	free(s);
}

/*
 * Is there a commit of it to wait for? Of a close that was acknowledged (S14)
 * there is, also while its turn has not come or it waits to be tried again.
 */
static bool on_its_way(struct opened *o)
{
	struct staged_state s;
	bool ending;

	lock_take(&o->lock);
	ending = o->ending > 0;
	lock_drop(&o->lock);
	staged_get(o->staged, &s);
	return ending || s.committing || (s.acked && s.err == 0);
}

static int wait_for(struct fs *fs, uint64_t nodeid, struct cancel *cancel)
{
	struct opened *o = inodes_attach(fs->inodes, nodeid, NULL);
	int r = 0;

	if (o != NULL && o->staged != NULL && on_its_way(o))
		r = written_commit(fs, o, cancel);
	opened_put(fs, o);
	return r;
}

static void sync_run(struct rq *rq)
{
	struct handle *h = container_of(rq, struct sync_rq, rq)->h;
	uint32_t cursor = UINT32_MAX;
	char key[UFS_KEY_MAX + 1];
	struct fs *fs = rq->fs;
	uint64_t nodeid, seen;
	int err = 0, r, failed;
	size_t n;

	while (!cancelled(&rq->cancel) &&
	       inodes_next_writing_below(fs->inodes, h->nodeid, &cursor,
					 &nodeid)) {
		r = wait_for(fs, nodeid, &rq->cancel);
		err = err < 0 ? err : r;
		/* The store is away or full: it is not waited for once for
		 * each. */
		if (staged_passes(r))
			break;
	}
	if (fs->conf.told != NULL)
		fs->conf.told(fs->conf.workers, &rq->cancel);
	/* Who waits no more has not heard of it. */
	if (rq_claim(rq)) {
		r = inodes_key(fs->inodes, h->nodeid, key, &n);
		lock_take(&h->lock);
		seen = h->failures_seen;
		lock_drop(&h->lock);
		failed =
		    r == 0 ? staging_failed_below(fs->conf.staging,
						  (struct str){ key, n }, &seen)
			   : 0;
		lock_take(&h->lock);
		h->failures_seen = MAX(h->failures_seen, seen);
		lock_drop(&h->lock);
		reply_err(rq->req, err < 0 ? err : failed);
	}
	rq_unref(rq);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		 struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handles_get(fs->handles, fi->fh);
	struct sync_rq *s = calloc(1, sizeof(*s));

	(void)ino, (void)datasync;
	if (s == NULL || h == NULL || !h->dir) {
		reply_err(req, s == NULL ? -ENOMEM : -EBADF);
		handle_put(fs, h);
		free(s);
		return;
	}
	rq_init(&s->rq, fs, req, sync_fini);
	s->h = h;
	rq_run_on(&s->rq, fs->committers, sync_run);
	rq_wait(&s->rq);
}
