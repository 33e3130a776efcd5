/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_open_write.c - opens that write: open, create, and truncate by name
 *
 * A commit is bound to the version that the open saw (S15), so the store is
 * asked for it then, and not a memory that may be a minute old: a file that
 * another host has changed since would be written in vain.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/stats.h"
#include "fuse/walk.h"
#include "fuse/written.h"

#define ATTR_SECONDS 0.0 /* of what is being written */
/*
 * Of what was just made: the kernel's open looks at its mode at once, and
 * what changes the file goes through the kernel.
 */
#define MADE_SECONDS 0.01

struct open_rq {
	struct rq rq;
	uint64_t nodeid; /* of a create: the directory */
	int flags;
	mode_t mode; /* of a create */
	pid_t caller;
	char *name; /* owned; of a create */
	struct stat attr;
	int to_set;
	bool by_handle; /* of a setattr */
};

static void open_fini(struct rq *rq)
{
	struct open_rq *o = container_of(rq, struct open_rq, rq);

	free(o->name);
	free(o);
}

static struct open_rq *open_new(fuse_req_t req, uint64_t nodeid, int flags,
				const char *name)
{
	struct open_rq *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->nodeid = nodeid;
	o->flags = flags;
	o->caller = fuse_req_ctx(req)->pid;
	o->name = name != NULL ? strdup(name) : NULL;
	if (name != NULL && o->name == NULL) {
		free(o);
		return NULL;
	}
	rq_init(&o->rq, fuse_req_userdata(req), req, open_fini);
	return o;
}

/* While a directory is moved it may have to wait, where lookups are not to. */
static void run_one(struct rq *rq, void (*fn)(struct rq *rq))
{
	if (trees_any(&rq->fs->trees))
		rq_run_on(rq, rq->fs->committers, fn);
	else
		rq_run(rq, fn);
}

/* A handle of opened, whose reference and writer are taken over. */
static int handle_new(struct fs *fs, struct opened *opened, int flags,
		      pid_t caller, bool made, struct fuse_file_info *fi)
{
	struct handle *h = calloc(1, sizeof(*h));
	int r;

	if (h == NULL) {
		written_undo_soon(fs, opened);
		return -ENOMEM;
	}
	atomic_init(&h->refs, 1);
	h->nodeid = opened->nodeid;
	h->opened = opened;
	h->writes = true; /* one that only makes or empties it has that */
	h->mode = opened_write(opened, (flags & O_DIRECT) != 0,
			       (flags & O_ACCMODE) == O_WRONLY &&
				   fs->init_direct_mmap);
	/* Who makes or empties a file has written it. */
	if (made)
		written_made_by(opened, caller);
	stat_inc(STAT_opens);
	fi->direct_io = h->mode == OPEN_DIRECT;
	fi->keep_cache = 1;
	r = handles_add(fs->handles, h, &fi->fh);
	if (r < 0) {
		opened_remove(opened, h->mode);
		h->opened = NULL;
		free(h);
		written_undo_soon(fs, opened);
	}
	return r;
}

/* The kernel did not take the answer to an open. */
static void handle_undo(struct fs *fs, uint64_t fh)
{
	struct handle *h = handles_remove(fs->handles, fh);

	if (h == NULL)
		return;
	opened_remove(h->opened, h->mode);
	written_undo_soon(fs, h->opened);
	free(h);
}

/* ---- open ---- */

static void open_run(struct rq *rq)
{
	struct open_rq *o = container_of(rq, struct open_rq, rq);
	struct fuse_file_info fi = { .flags = o->flags };
	struct fs *fs = rq->fs;
	bool trunc = (o->flags & O_TRUNC) != 0;
	struct opened *opened;
	int r = written_open(fs, o->nodeid, trunc, &rq->cancel, &opened);

	if (r < 0) {
		rq_finish_err(rq, r);
		return;
	}
	if (!rq_claim(rq)) {
		written_undo_soon(fs, opened);
	} else {
		r = handle_new(fs, opened, o->flags, o->caller, trunc, &fi);
		if (r < 0)
			reply_err(rq->req, r);
		else if (fuse_reply_open(rq->req, &fi) != 0)
			handle_undo(fs, fi.fh);
	}
	rq_unref(rq);
}

void op_open_write(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct open_rq *o;

	if (fs->conf.staging == NULL) {
		reply_err(req, -EROFS);
		return;
	}
	fs_writes(fs);
	o = open_new(req, ino, fi->flags, NULL);
	if (o == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	run_one(&o->rq, open_run);
	rq_wait(&o->rq);
}

/* ---- create ---- */

/*
 * Made as mkstemp(3) makes it: to be renamed when it is whole, as safetensors
 * does while it has it open. cp makes files with O_EXCL, too, but not for this
 * user alone.
 */
static bool is_temporary(const struct open_rq *o)
{
	return (o->flags & O_EXCL) && (o->mode & 077) == 0;
}

/*
 * A new file of this key, with a lookup counted. nowait: -EAGAIN when it may
 * have to wait for a disk.
 */
static int make(struct fs *fs, const struct open_rq *o, const char *key,
		size_t dir, size_t n, bool nowait, struct inode_attr *a,
		struct opened **out)
{
	enum staged_from from =
	    o->flags & O_EXCL ? STAGED_EXCLUSIVE : STAGED_NEW;
	struct str k = { key, n };
	struct opened *opened;
	struct staged *f;
	int r = staging_failed(fs->conf.staging, k);

	if (r == 0)
		r = nowait ? staged_new_now(fs->conf.staging, k, from, &f)
			   : staged_new(fs->conf.staging, k, from, NULL, &f);
	if (r < 0)
		return r;
	if (is_temporary(o))
		staged_send_late(f);
	opened = written_new(f);
	if (opened == NULL)
		return -ENOMEM;
	r = inodes_create(fs->inodes, o->nodeid,
			  (struct str){ key + dir, n - dir }, opened,
			  &opened->nodeid, a);
	if (r < 0) {
		written_free(opened);
		return r;
	}
	if (!written_has_key(fs, opened->nodeid, key, n)) {
		written_undo_soon(fs, opened);
		inodes_forget(fs->inodes, a->nodeid, 1);
		return -ESTALE;
	}
	appear_above(fs->appear, opened->nodeid);
	*out = opened;
	return 0;
}

/* The kernel found no such name; by now there may be one all the same. */
static int create(struct fs *fs, const struct open_rq *o, struct cancel *cancel,
		  struct inode_attr *a, struct opened **out, bool *made)
{
	char key[UFS_KEY_MAX + 1];
	struct walk w;
	size_t dir, n;
	int r;

	/* A file that has been moved already would seem to be absent. */
	do {
		r = written_key(fs, o->nodeid, o->name, true, key, &dir, &n);
		if (r == 0)
			r = trees_wait(&fs->trees, (struct str){ key, n },
				       cancel);
	} while (r > 0);
	if (r < 0)
		return r;
	*made = false;
	if (!inodes_writing(fs->inodes, o->nodeid,
			    (struct str){ key + dir, n - dir }, a)) {
		r = walk_step(
		    &(struct walk_dir){
			fs->meta, { key, dir }, fs->inodes, o->nodeid },
		    str_of(o->name), &w, cancel);
		if (r == -ENOENT) {
			*made = true;
			return make(fs, o, key, dir, n, false, a, out);
		}
		if (r == 0 && w.type == INODE_DIR)
			r = -EISDIR;
		if (r == 0)
			r = inodes_lookup(fs->inodes, o->nodeid, w.type,
					  (struct str){ w.comp, w.n }, &w.st,
					  a);
		if (r < 0)
			return r;
	}
	r = o->flags & O_EXCL
		? -EEXIST
		: written_open(fs, a->nodeid, (o->flags & O_TRUNC) != 0, cancel,
			       out);
	if (r < 0)
		inodes_forget(fs->inodes, a->nodeid, 1);
	return r;
}

/* r: how it went; opened and a lookup of a are taken over. */
static void create_end(struct open_rq *o, int r, struct opened *opened,
		       struct inode_attr *a, bool made)
{
	struct fuse_file_info fi = { .flags = o->flags };
	struct fuse_entry_param e;
	struct rq *rq = &o->rq;
	struct fs *fs = rq->fs;

	if (r < 0) {
		rq_finish_err(rq, r);
		return;
	}
	if (!rq_claim(rq)) {
		/* Unless somebody has joined, it is dropped uncommitted. */
		written_undo_soon(fs, opened);
		inodes_forget(fs->inodes, a->nodeid, 1);
		rq_unref(rq);
		return;
	}
	r = handle_new(fs, opened, o->flags, o->caller,
		       made || (o->flags & O_TRUNC) != 0, &fi);
	if (r == 0) {
		/* It is being written since. */
		(void)inodes_get(fs->inodes, a->nodeid, a, NULL);
		fs_entry(fs, a, 0, &e);
		e.attr_timeout = MADE_SECONDS;
		r = fuse_reply_create(rq->req, &e, &fi);
		if (r != 0)
			handle_undo(fs, fi.fh);
	} else {
		reply_err(rq->req, r);
	}
	if (r != 0)
		inodes_forget(fs->inodes, a->nodeid, 1);
	rq_unref(rq);
}

static void create_run(struct rq *rq)
{
	struct open_rq *o = container_of(rq, struct open_rq, rq);
	struct opened *opened = NULL;
	struct inode_attr a;
	bool made = false;
	int r = create(rq->fs, o, &rq->cancel, &a, &opened, &made);

	create_end(o, r, opened, &a, made);
}

/*
 * A new file, by what is known without asking anybody, and made without waiting
 * for a disk. -EAGAIN: it is not so simple.
 */
static int create_now(struct fs *fs, const struct open_rq *o,
		      struct inode_attr *a, struct opened **out)
{
	char key[UFS_KEY_MAX + 1];
	struct walk w;
	size_t dir, n;

	if (trees_any(&fs->trees) ||
	    written_key(fs, o->nodeid, o->name, true, key, &dir, &n) < 0)
		return -EAGAIN;
	if (inodes_writing(fs->inodes, o->nodeid,
			   (struct str){ key + dir, n - dir }, a)) {
		inodes_forget(fs->inodes, a->nodeid, 1);
		return -EAGAIN;
	}
	if (walk_step_fast(
		&(struct walk_dir){
		    fs->meta, { key, dir }, fs->inodes, o->nodeid },
		str_of(o->name), &w) != -ENOENT)
		return -EAGAIN;
	return make(fs, o, key, dir, n, true, a, out);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct open_rq *o = open_new(req, parent, fi->flags, name);
	struct opened *opened = NULL;
	struct inode_attr a;
	int r;

	fs_writes(fuse_req_userdata(req));
	if (o == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	o->mode = mode; /* what it gets is what the mount says (S24) */
	r = create_now(o->rq.fs, o, &a, &opened);
	if (r != -EAGAIN)
		create_end(o, r, opened, &a, true);
	else
		run_one(&o->rq, create_run);
	rq_wait(&o->rq);
}

/* ---- attributes ---- */

/* May these be set to what they are to be? 0, or -EPERM (S24). */
static int check_owner(struct fs *fs, const struct stat *now,
		       const struct stat *to, int to_set)
{
	if (fs->conf.ignore_perms)
		return 0;
	if ((to_set & FUSE_SET_ATTR_MODE) &&
	    (to->st_mode & 07777) != (now->st_mode & 07777))
		return -EPERM;
	if ((to_set & FUSE_SET_ATTR_UID) && to->st_uid != now->st_uid)
		return -EPERM;
	if ((to_set & FUSE_SET_ATTR_GID) && to->st_gid != now->st_gid)
		return -EPERM;
	return 0;
}

static void set_times(struct opened *o, const struct stat *to, int to_set)
{
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		staged_set_mtime(o->staged, clock_wall_ns());
	else if (to_set & FUSE_SET_ATTR_MTIME)
		staged_set_mtime(o->staged, to->st_mtim.tv_sec * NSEC_PER_SEC +
						to->st_mtim.tv_nsec);
}

static void reply_attr(struct fs *fs, fuse_req_t req, uint64_t nodeid)
{
	struct inode_attr a;
	struct stat st;
	int r = fs_attr(fs, nodeid, &a);

	if (r < 0) {
		reply_err(req, r);
		return;
	}
	fs_stat(fs, &a, &st);
	fuse_reply_attr(req, &st, ATTR_SECONDS);
}

/* Of a file that the caller does not write: all of open, truncate, close. */
static int truncate_alone(struct fs *fs, const struct open_rq *o,
			  struct cancel *cancel)
{
	uint64_t size = (uint64_t)o->attr.st_size;
	struct opened *opened;
	int r = written_open(fs, o->nodeid, size == 0, cancel, &opened);

	if (r < 0)
		return r;
	r = staged_truncate(opened->staged, size);
	if (r == 0) {
		set_times(opened, &o->attr, o->to_set);
		r = written_close(fs, opened, NULL);
	}
	/* Whoever has come meanwhile counts on this one's commit. */
	written_undo(fs, opened);
	return r;
}

/*
 * Does who asks write it, and will commit? by_handle: it has it open. The close
 * of others may be over and only their release to come.
 */
static bool will_commit(struct opened *o, bool by_handle, pid_t caller)
{
	bool has;

	if (o == NULL || o->staged == NULL)
		return false;
	lock_take(&o->lock);
	has = o->writers > 0;
	lock_drop(&o->lock);
	return has && (by_handle || written_maybe_by(o, caller));
}

static int set_now(struct opened *opened, const struct stat *to, int to_set,
		   pid_t caller)
{
	int r = 0;

	if (to_set & FUSE_SET_ATTR_SIZE) {
		r = staged_truncate(opened->staged, (uint64_t)to->st_size);
		if (r == 0)
			written_by(opened, caller);
	}
	if (r == 0)
		set_times(opened, to, to_set);
	return r;
}

static void setattr_run(struct rq *rq)
{
	struct open_rq *o = container_of(rq, struct open_rq, rq);
	struct fs *fs = rq->fs;
	struct opened *opened = inodes_attach(fs->inodes, o->nodeid, NULL);
	bool here = will_commit(opened, o->by_handle, o->caller);
	int r = here ? set_now(opened, &o->attr, o->to_set, o->caller)
		     : truncate_alone(fs, o, &rq->cancel);

	opened_put(fs, opened);
	if (r < 0) {
		rq_finish_err(rq, r);
		return;
	}
	if (rq_claim(rq))
		reply_attr(fs, rq->req, o->nodeid);
	rq_unref(rq);
}

/* Of what nobody writes they are the store's: nothing is set then. */
static void times_now(struct fs *fs, uint64_t nodeid, const struct stat *to,
		      int to_set)
{
	struct opened *o = inodes_attach(fs->inodes, nodeid, NULL);

	if (o != NULL && o->staged != NULL)
		set_times(o, to, to_set);
	opened_put(fs, o);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct inode_attr a;
	struct open_rq *o;
	struct stat now;
	int r = fs_attr(fs, ino, &a);

	if (r == 0) {
		fs_stat(fs, &a, &now);
		r = check_owner(fs, &now, attr, to_set);
	}
	if (r == 0 && (to_set & FUSE_SET_ATTR_SIZE) && a.type == INODE_DIR)
		r = -EISDIR;
	if (r < 0) {
		reply_err(req, r);
		return;
	}
	if (!(to_set & FUSE_SET_ATTR_SIZE)) {
		times_now(fs, ino, attr, to_set);
		reply_attr(fs, req, ino);
		return;
	}
	fs_writes(fs);
	o = open_new(req, ino, 0, NULL);
	if (o == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	o->attr = *attr;
	o->to_set = to_set;
	o->by_handle = fi != NULL;
	rq_run_on(&o->rq, fs->committers, setattr_run);
	rq_wait(&o->rq);
}
