/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_file.c - open and read
 *
 * An open binds a handle to the version of its inode (S2). What has to
 * happen first, in this order:
 *
 *   ask	 strict mounts and O_DIRECT: is it still that version? (S1)
 *		 archived ones: has it been restored? A listing does not say
 *   get ready	 the cache fetches a small object whole, or looks at what the
 *		 SSD has of a large one
 *   decide	 backing.c: to the kernel, or cached there, or direct
 *
 * When the version turns out to be gone the answer is ESTALE, which makes
 * the kernel look the name up again; what is remembered of the name is
 * dropped before, so that this lookup sees what there is now. The same answer
 * gives an open another inode when the file in the kernel's hands is not to be
 * handed out again (backing.h).
 */
#include <errno.h>
#include <fcntl.h>

#include "base/log.h"
#include "base/stats.h"
#include "fuse/written.h"

struct open_rq {
	struct rq rq;
	struct object_open ready;
	struct opened *opened; /* owns a ref until a handle takes it */
	bool direct;
	struct ufs_stat st;
	char key[UFS_KEY_MAX + 1];
	size_t n;
};

struct read_rq {
	struct rq rq;
	struct object_read read;
	struct handle *h; /* owns a ref */
};

static struct str key_of(const struct open_rq *o)
{
	return (struct str){ o->key, o->n };
}

/* The inode's running part, shared by its opens; one reference. */
static int opened_get(struct fs *fs, uint64_t nodeid, struct str key,
		      const struct ufs_stat *st, struct opened **out)
{
	struct opened *o = inodes_attach(fs->inodes, nodeid, NULL);
	struct opened *there;
	int r;

	if (o != NULL) {
		*out = o;
		return 0;
	}
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return -ENOMEM;
	r = object_get(fs->cache, key, st, &o->object);
	if (r < 0) {
		free(o);
		return r;
	}
	o->nodeid = nodeid;
	lock_init(&o->lock, RANK_INODES);
	there = inodes_attach(fs->inodes, nodeid, o);
	if (there != o) {
		lock_fini(&o->lock);
		object_put(o->object);
		free(o);
	}
	if (there == NULL)
		return -ESTALE;
	*out = there;
	return 0;
}

void opened_put(struct fs *fs, struct opened *o)
{
	if (o == NULL || inodes_detach(fs->inodes, o->nodeid) == NULL)
		return;
	if (o->nameless)
		atomic_fetch_sub(&fs->nameless, 1);
	if (o->staged != NULL)
		event_fini(&o->ended);
	lock_fini(&o->lock);
	object_put(o->object);
	staged_unref(o->staged);
	free(o);
}

void handle_put(struct fs *fs, struct handle *h)
{
	if (h == NULL ||
	    atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) > 1)
		return;
	locks_file_closed(fs, h);
	opened_put(fs, h->opened);
	if (h->dir) {
		listing_unref(h->listing);
		text_fini(&h->written);
		comps_fini(&h->twins);
		lock_fini(&h->lock);
	}
	free(h);
}

static void open_fini(struct rq *rq)
{
	struct open_rq *o = container_of(rq, struct open_rq, rq);

	opened_put(rq->fs, o->opened);
	free(o);
}

/* The kernel does not have this open (any more). */
void open_undo(struct fs *fs, uint64_t fh)
{
	struct handle *h = handles_remove(fs->handles, fh);

	if (h != NULL)
		opened_remove(h->opened, h->mode);
	handle_put(fs, h);
}

/* Claimed and ready: make the handle and answer. */
static void open_reply(struct open_rq *o, struct cache_file *file)
{
	struct fs *fs = o->rq.fs;
	struct handle *h = calloc(1, sizeof(*h));
	struct wire_open_out out = { 0 };
	int refused, r;

	if (h == NULL) {
		reply_err(o->rq.req, -ENOMEM);
		return;
	}
	atomic_init(&h->refs, 1);
	h->nodeid = o->opened->nodeid;
	h->opened = take_ptr(o->opened);
	h->mode = opened_add(h->opened, fs_backing_fd(fs), file, o->direct,
			     &out.open_flags, &out.backing_id, &refused);
	if (refused != 0 && !atomic_exchange(&fs->refused_said, true))
		log_warn("fuse: the kernel does not take files of this cache"
			 " directory (%s): reads come to the daemon",
			 strerror(-refused));
	if (h->mode == OPEN_ELSEWHERE) {
		inodes_leave(fs->inodes, h->nodeid);
		handle_put(fs, h);
		reply_err(o->rq.req, -ESTALE);
		return;
	}
	r = handles_add(fs->handles, h, &out.fh);
	if (r < 0) {
		opened_remove(h->opened, h->mode);
		handle_put(fs, h);
		reply_err(o->rq.req, r);
		return;
	}
	if (fuse_reply_buf(o->rq.req, (char *)&out, sizeof(out)) != 0)
		open_undo(fs, out.fh);
}

/*
 * Have the next open of this inode look it up again, too. In this order, so
 * that no lookup between the two finds the old version still good.
 */
void version_gone(struct fs *fs, uint64_t nodeid, struct str key)
{
	struct inode_attr a;

	if (inodes_get(fs->inodes, nodeid, &a, NULL) < 0 || a.gone)
		return;
	log_debug(LOG_FUSE, "fuse: %s: its version is gone from the store",
		  key.p);
	meta_gone(fs->meta, key);
	inodes_set_gone(fs->inodes, nodeid);
}

/* On the pool, since forgetting may touch the disk. */
static void open_gone_run(struct rq *rq)
{
	struct open_rq *o = container_of(rq, struct open_rq, rq);

	version_gone(rq->fs, o->opened->nodeid, key_of(o));
	rq_finish_err(rq, -ESTALE);
}

static void open_ready(struct object_open *ready, int err,
		       struct cache_file *file)
{
	struct open_rq *o = container_of(ready, struct open_rq, ready);

	if (err == -ESTALE || err == -ENOENT) {
		rq_run(&o->rq, open_gone_run);
		return;
	}
	if (rq_claim(&o->rq)) {
		if (err == 0)
			open_reply(o, file);
		else
			reply_err(o->rq.req, err);
	}
	rq_unref(&o->rq);
}

static bool open_withdraw(struct rq *rq)
{
	return object_open_cancel(&container_of(rq, struct open_rq, rq)->ready);
}

/* The caller holds a reference of its own. */
static void open_get_ready(struct open_rq *o)
{
	o->ready.done = open_ready;
	object_open(o->opened->object, &o->ready);
}

static void open_ask_run(struct rq *rq)
{
	struct open_rq *o = container_of(rq, struct open_rq, rq);
	struct ufs_stat now;
	int r = meta_stat_now(rq->fs->meta, key_of(o), &now, &rq->cancel);

	if (r == -ENOENT || (r == 0 && (strcmp(now.version, o->st.version) ||
					now.size != o->st.size)))
		open_gone_run(rq);
	else if (r == 0 && (now.flags & UFS_ARCHIVED))
		rq_finish_err(rq, -EACCES);
	else if (r < 0)
		rq_finish_err(rq, r);
	else
		open_get_ready(o);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct inode_attr a;
	struct open_rq *o;
	int r;

	if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC)) {
		op_open_write(req, ino, fi);
		return;
	}
	o = calloc(1, sizeof(*o));
	if (o == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	r = inodes_get(fs->inodes, ino, &a, &o->st);
	if (r == 0 && a.type == INODE_DIR)
		r = -EISDIR;
	if (r == 0 && a.gone)
		r = -ESTALE;
	if (r == 0 && (o->st.flags & UFS_UNUSABLE))
		r = -EIO;
	if (r == 0)
		r = inodes_key(fs->inodes, ino, o->key, &o->n);
	if (r == 0)
		r = opened_get(fs, ino, key_of(o), &o->st, &o->opened);
	/* Its last writer left just now: o->st may be from before. */
	if (r == 0 && a.writing && o->opened->staged == NULL) {
		opened_put(fs, o->opened);
		r = -ESTALE;
	}
	if (r < 0) {
		free(o);
		reply_err(req, r);
		return;
	}
	o->direct = (fi->flags & O_DIRECT) != 0;
	rq_init(&o->rq, fs, req, open_fini);
	if (o->opened->staged != NULL) {
		open_ready(&o->ready, 0, NULL); /* it is being written */
	} else if (o->direct || fs->conf.consistency == CONSISTENCY_STRICT ||
		   (o->st.flags & UFS_ARCHIVED)) {
		rq_run(&o->rq, open_ask_run);
	} else {
		open_get_ready(o);
		rq_set_withdraw(&o->rq, open_withdraw);
	}
	rq_wait(&o->rq);
}

static void read_fini(struct rq *rq)
{
	struct read_rq *r = container_of(rq, struct read_rq, rq);

	handle_put(rq->fs, r->h);
	free(r);
}

static void read_gone_run(struct rq *rq)
{
	struct read_rq *r = container_of(rq, struct read_rq, rq);
	struct fs *fs = rq->fs;
	char key[UFS_KEY_MAX + 1];
	size_t n;

	if (inodes_key(fs->inodes, r->h->nodeid, key, &n) == 0)
		version_gone(fs, r->h->nodeid, (struct str){ key, n });
	rq_finish_err(rq, -ESTALE);
}

static void read_done(struct object_read *read, int err,
		      const struct iovec *iov, int niov)
{
	struct read_rq *r = container_of(read, struct read_rq, read);

	/* On an open handle an absent object is a version that is gone. */
	if (err == -ESTALE || err == -ENOENT) {
		rq_run(&r->rq, read_gone_run);
		return;
	}
	if (rq_claim(&r->rq)) {
		if (err < 0)
			reply_err(r->rq.req, err);
		else
			fuse_reply_iov(r->rq.req, iov, niov);
	}
	rq_unref(&r->rq);
}

static bool read_withdraw(struct rq *rq)
{
	return object_read_cancel(&container_of(rq, struct read_rq, rq)->read);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handles_get(fs->handles, fi->fh);
	struct read_rq *r;

	(void)ino;
	if (h == NULL || h->opened == NULL || off < 0) {
		reply_err(req, -EBADF);
		handle_put(fs, h);
		return;
	}
	if (h->opened->staged != NULL) {
		written_read(req, fs, h, MIN(size, MIB(4)), (uint64_t)off);
		return;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL) {
		reply_err(req, -ENOMEM);
		handle_put(fs, h);
		return;
	}
	rq_init(&r->rq, fs, req, read_fini);
	r->h = h;
	r->read.off = (uint64_t)off;
	r->read.len = MIN(size, MIB(4));
	r->read.done = read_done;
	object_read(h->opened->object, &r->read);
	rq_set_withdraw(&r->rq, read_withdraw);
	rq_wait(&r->rq);
}
