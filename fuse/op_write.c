/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_write.c - write, flush, fsync, and reads of what is being written
 *
 * A write goes to memory or the staging's disk on the loop's thread, as the
 * page cache of that disk takes it; what waits for the store runs on a pool. A
 * signal ends the wait of who called, not the commit (S12).
 */
#include <errno.h>
#include <fcntl.h>

#include "base/log.h"
#include "base/stats.h"
#include "fuse/written.h"

/* A write, or another change, that has to wait: not on the loop's thread. */
struct change_rq {
	struct rq rq;
	struct handle *h; /* owns a ref */
	pid_t caller;
	uint64_t off, size;
	char *buf; /* owned; NULL: it is an fallocate */
};

struct commit_rq {
	struct rq rq;
	struct handle *h; /* owns a ref */
	uint64_t fh;      /* of a release */
	bool close;       /* not an fsync: of that others hear first */
	uint64_t owner;   /* of a close: the process, as its locks name it */
};

/* The handle of a request on a file that is being written, or NULL. */
static struct handle *written_handle(struct fs *fs, uint64_t fh)
{
	struct handle *h = handles_get(fs->handles, fh);

	if (h != NULL && h->opened != NULL && h->opened->staged != NULL)
		return h;
	handle_put(fs, h);
	return NULL;
}

static void change_fini(struct rq *rq)
{
	struct change_rq *c = container_of(rq, struct change_rq, rq);

	handle_put(rq->fs, c->h);
	free(c->buf);
	free(c);
}

static void change_run(struct rq *rq)
{
	struct change_rq *c = container_of(rq, struct change_rq, rq);
	struct staged *f = c->h->opened->staged;
	int r = c->buf != NULL ? staged_write(f, c->buf, c->size, c->off)
			       : staged_allocate(f, c->off, c->size);

	if (r == 0)
		written_by(c->h->opened, c->caller);
	if (rq_claim(rq)) {
		if (r < 0 || c->buf == NULL)
			reply_err(rq->req, r);
		else
			fuse_reply_write(rq->req, c->size);
	}
	rq_unref(rq);
}

/* Takes over the handle's reference. buf NULL: fallocate. */
static void change(fuse_req_t req, struct fs *fs, struct handle *h,
		   pid_t caller, const char *buf, uint64_t size, uint64_t off)
{
	struct change_rq *c = calloc(1, sizeof(*c));

	if (c != NULL && buf != NULL) {
		c->buf = malloc(MAX(size, (uint64_t)1));
		if (c->buf != NULL)
			memcpy(c->buf, buf, size);
	}
	if (c == NULL || (buf != NULL && c->buf == NULL)) {
		free(c);
		handle_put(fs, h);
		reply_err(req, -ENOMEM);
		return;
	}
	rq_init(&c->rq, fs, req, change_fini);
	c->h = h;
	c->caller = caller;
	c->off = off;
	c->size = size;
	rq_run_on(&c->rq, fs->committers, change_run);
	rq_wait(&c->rq);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	      off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = written_handle(fs, fi->fh);
	/* The kernel's write-back of a mapping does not say whose it is. */
	pid_t caller = fi->writepage ? 0 : fuse_req_ctx(req)->pid;
	int r;

	(void)ino;
	if (h == NULL || !h->writes || off < 0) {
		reply_err(req, -EBADF);
		handle_put(fs, h);
		return;
	}
	if (!staged_stays_in_memory(h->opened->staged, (uint64_t)off + size))
		turns_leave(&fs->turns);
	r = staged_write_now(h->opened->staged, buf, size, (uint64_t)off);
	if (r == -EAGAIN) {
		change(req, fs, h, caller, buf, size, (uint64_t)off);
		return;
	}
	if (r == 0)
		written_by(h->opened, caller);
	if (r < 0)
		reply_err(req, r);
	else
		fuse_reply_write(req, size);
	handle_put(fs, h);
}

static void commit_fini(struct rq *rq)
{
	struct commit_rq *c = container_of(rq, struct commit_rq, rq);

	handle_put(rq->fs, c->h);
	free(c);
}

static void commit_run(struct rq *rq)
{
	struct commit_rq *c = container_of(rq, struct commit_rq, rq);
	struct opened *o = c->h->opened;
	int r = c->close ? written_close(rq->fs, o, &rq->cancel)
			 : written_commit(rq->fs, o, &rq->cancel);

	if (r == 0 && !c->close && rq->fs->conf.told != NULL)
		rq->fs->conf.told(rq->fs->conf.workers, &rq->cancel);
	if (rq_claim(rq)) {
		/* Who gets its locks then finds what it wrote in the store. */
		if (c->close)
			locks_owner_closed(rq->fs, c->h, c->owner);
		reply_err(rq->req, r);
	}
	rq_unref(rq);
}

/*
 * The close is over for who called, and may lock the file anew at once: what
 * it had goes now, as later nobody could tell the one from the other.
 */
static void close_interrupted(struct rq *rq)
{
	struct commit_rq *c = container_of(rq, struct commit_rq, rq);

	locks_owner_closed(rq->fs, c->h, c->owner);
}

static void commit(fuse_req_t req, struct fs *fs, struct handle *h, bool close,
		   uint64_t owner)
{
	struct commit_rq *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		reply_err(req, -ENOMEM);
		handle_put(fs, h);
		return;
	}
	rq_init(&c->rq, fs, req, commit_fini);
	c->h = h;
	c->close = close;
	c->owner = owner;
	if (close)
		c->rq.interrupted = close_interrupted;
	rq_run_on(&c->rq, fs->committers, commit_run);
	rq_wait(&c->rq);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handles_get(fs->handles, fi->fh);
	pid_t caller = fuse_req_ctx(req)->pid;

	(void)ino;
	if (h == NULL || !h->writes || !written_maybe_by(h->opened, caller) ||
	    written_goes_on(fs, h->opened, caller)) {
		if (h != NULL)
			locks_owner_closed(fs, h, fi->lock_owner);
		reply_err(req, 0);
		handle_put(fs, h);
		return;
	}
	commit(req, fs, h, true, fi->lock_owner);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	      struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = written_handle(fs, fi->fh);

	(void)ino, (void)datasync;
	if (h == NULL) {
		reply_err(req, 0); /* it is what the store has */
		return;
	}
	commit(req, fs, h, false, 0);
}

/* The last one that may have written: what nobody waited for is committed. */
static void release_run(struct rq *rq)
{
	struct commit_rq *c = container_of(rq, struct commit_rq, rq);

	written_last(rq->fs, c->h->opened, 1);
	open_undo(rq->fs, c->fh);
	rq_finish_err(rq, 0);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = written_handle(fs, fi->fh);
	struct commit_rq *c;
	bool last = h != NULL && h->writes && written_leave(h->opened);

	(void)ino;
	if (h != NULL)
		locks_file_closed(fs, h); /* the commit is not waited for */
	c = last ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL) {
		if (last)
			written_last(fs, h->opened, 1);
		handle_put(fs, h);
		open_undo(fs, fi->fh);
		reply_err(req, 0);
		return;
	}
	rq_init(&c->rq, fs, req, commit_fini);
	c->h = h;
	c->fh = fi->fh;
	rq_run_on(&c->rq, fs->committers, release_run);
	rq_wait(&c->rq);
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		  off_t len, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = written_handle(fs, fi->fh);
	int r = 0;

	(void)ino;
	if (mode != 0)
		r = -EOPNOTSUPP;
	else if (off < 0 || len <= 0)
		r = -EINVAL;
	else if (h == NULL || !h->writes)
		r = -EBADF;
	if (r == 0) {
		change(req, fs, h, fuse_req_ctx(req)->pid, NULL, (uint64_t)len,
		       (uint64_t)off);
		return;
	}
	reply_err(req, r);
	handle_put(fs, h);
}

/* Of an object all is data, up to the hole at its end. */
static off_t seek_in(uint64_t size, off_t off, bool hole)
{
	if ((uint64_t)off >= size)
		return -ENXIO;
	return hole ? (off_t)size : off;
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	      struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = written_handle(fs, fi->fh);
	bool hole = whence == SEEK_HOLE;
	struct inode_attr a;
	int64_t at;

	if (off < 0)
		at = -ENXIO;
	else if (whence != SEEK_DATA && whence != SEEK_HOLE)
		at = -EINVAL;
	else if (h != NULL)
		at = staged_seek(h->opened->staged, (uint64_t)off, hole);
	else if ((at = inodes_get(fs->inodes, ino, &a, NULL)) == 0)
		at = seek_in(a.size, off, hole);
	if (at < 0)
		reply_err(req, (int)at);
	else
		fuse_reply_lseek(req, (off_t)at);
	handle_put(fs, h);
}

/* ---- reads of it ---- */

struct staged_read_rq {
	struct rq rq;
	struct handle *h; /* owns a ref */
	uint64_t off;
	size_t size;
	char *buf; /* owned */
};

static void read_fini(struct rq *rq)
{
	struct staged_read_rq *r = container_of(rq, struct staged_read_rq, rq);

	handle_put(rq->fs, r->h);
	free(r->buf);
	free(r);
}

static void read_run(struct rq *rq)
{
	struct staged_read_rq *r = container_of(rq, struct staged_read_rq, rq);
	ssize_t n =
	    staged_read(r->h->opened->staged, r->buf, r->size, r->off, false);

	if (rq_claim(rq)) {
		if (n < 0)
			reply_err(rq->req, (int)n);
		else
			fuse_reply_buf(rq->req, r->buf, (size_t)n);
	}
	rq_unref(rq);
}

void written_read(fuse_req_t req, struct fs *fs, struct handle *h, size_t size,
		  uint64_t off)
{
	struct staged_read_rq *r = calloc(1, sizeof(*r));
	char *buf = malloc(MAX(size, (size_t)1));
	ssize_t n;

	if (r == NULL || buf == NULL)
		n = -ENOMEM;
	else
		n = staged_read(h->opened->staged, buf, size, off, true);
	if (n != -EAGAIN) {
		if (n < 0)
			reply_err(req, (int)n);
		else
			fuse_reply_buf(req, buf, (size_t)n);
		free(buf);
		free(r);
		handle_put(fs, h);
		return;
	}
	rq_init(&r->rq, fs, req, read_fini);
	r->h = h;
	r->off = off;
	r->size = size;
	r->buf = buf;
	/* Not where lookups go: the base may be far. */
	rq_run_on(&r->rq, fs->committers, read_run);
	rq_wait(&r->rq);
}
