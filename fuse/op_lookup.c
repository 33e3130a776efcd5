/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_lookup.c - names to inodes, and their attributes
 *
 * A lookup that memory or a listing can answer is answered on the FUSE
 * thread, others on the pool. The kernel believes a name for as long as the
 * answer holds (S1), ENOENT likewise (S4). It may believe a file's
 * attributes for long: they are those of one version and never change; that
 * the path now means another version is what the next lookup says (S3).
 */
#include <errno.h>

#include "base/clock.h"
#include "base/stats.h"
#include "fuse/fs_impl.h"
#include "fuse/walk.h"

#define ATTR_SECONDS 86400.0
/*
 * The root is never looked up. Once a second somebody who stats it asks us,
 * so that a mount whose daemon died shows.
 */
#define ROOT_SECONDS 1.0
#define FOREVER_SECONDS (10 * 365 * 86400.0)

struct lookup {
	struct rq rq;
	uint64_t parent;
	struct str name; /* owned, with its NUL; behind the struct */
	char key[UFS_KEY_MAX + 1];
	size_t n;
};

/* Of one that is being written, take size and mtime from what was. */
static void attr_now(struct fs *fs, struct inode_attr *a)
{
	struct staged_state s;
	struct opened *o;

	if (!a->writing)
		return;
	o = inodes_attach(fs->inodes, a->nodeid, NULL);
	if (o != NULL && o->staged != NULL) {
		staged_get(o->staged, &s);
		a->size = s.size;
		a->mtime = s.mtime;
	} else {
		/* Its last writer has just left: it is what that made. */
		(void)inodes_get(fs->inodes, a->nodeid, a, NULL);
	}
	opened_put(fs, o);
}

int fs_attr(struct fs *fs, uint64_t nodeid, struct inode_attr *out)
{
	int r = inodes_get(fs->inodes, nodeid, out, NULL);

	if (r == 0)
		attr_now(fs, out);
	return r;
}

double fs_timeout(int64_t until)
{
	int64_t now;

	if (until == INT64_MAX)
		return FOREVER_SECONDS;
	now = clock_ns();
	return until <= now ? 0.0 : (double)(until - now) / 1e9;
}

void fs_stat(struct fs *fs, const struct inode_attr *a, struct stat *st)
{
	bool dir = a->type == INODE_DIR;
	int64_t mtime = dir ? fs->started : a->mtime;

	memset(st, 0, sizeof(*st));
	st->st_ino = a->ino;
	st->st_mode =
	    dir ? S_IFDIR | fs->conf.dir_mode : S_IFREG | fs->conf.file_mode;
	st->st_nlink = 1;
	st->st_uid = fs->conf.uid;
	st->st_gid = fs->conf.gid;
	st->st_size = (off_t)a->size;
	st->st_blocks = (blkcnt_t)((a->size + 511) / 512);
	st->st_blksize = 4096;
	st->st_mtim.tv_sec = mtime / NSEC_PER_SEC;
	st->st_mtim.tv_nsec = mtime % NSEC_PER_SEC;
	st->st_atim = st->st_ctim = st->st_mtim;
}

/* What is looked up while a directory moves may be as it was before. */
static double believed(struct fs *fs, int64_t until)
{
	return trees_any(&fs->trees) ? 0.0 : fs_timeout(until);
}

void fs_entry(struct fs *fs, const struct inode_attr *a, int64_t until,
	      struct fuse_entry_param *e)
{
	struct inode_attr now = *a;

	attr_now(fs, &now);
	memset(e, 0, sizeof(*e));
	e->ino = a->nodeid;
	e->generation = a->nodeid >> 32;
	/* What is being written may be another's as soon as it is closed. */
	e->entry_timeout = now.writing ? 0.0 : believed(fs, until);
	e->attr_timeout = now.writing ? 0.0 : ATTR_SECONDS;
	fs_stat(fs, &now, &e->attr);
}

/*
 * May the kernel believe that there is no such name? Not when a directory of
 * it has come since, by what is written below it.
 */
static bool stays_absent(struct fs *fs, uint64_t parent, const char *name)
{
	struct name_key nk;

	if (fs->conf.staging == NULL || name_to_key(str_of(name), &nk) < 0 ||
	    (nk.kind != NAME_PLAIN && nk.kind != NAME_TWIN))
		return true;
	return inodes_tell_absent(fs->inodes, parent,
				  (struct str){ nk.comp, nk.n });
}

/* The answer to a lookup of which walk_step() said r. */
static void answer(struct fs *fs, fuse_req_t req, uint64_t parent,
		   const char *name, int r, const struct walk *w)
{
	struct fuse_entry_param e;
	struct inode_attr a;

	if (r == -ENOENT) {
		memset(&e, 0, sizeof(e));
		/*
		 * What the kernel knows to be absent goes with its directory's
		 * name when that is invalidated. The root has none: there it is
		 * to ask each time, which memory answers (S7).
		 */
		if (parent != INODE_ROOT)
			e.entry_timeout = believed(fs, w->until);
		if (e.entry_timeout > 0 && stays_absent(fs, parent, name))
			fuse_reply_entry(req, &e);
		else
			reply_err(req, r);
		return;
	}
	if (r == 0)
		r = inodes_lookup(fs->inodes, parent, w->type,
				  (struct str){ w->comp, w->n }, &w->st, &a);
	if (r < 0) {
		reply_err(req, r);
		return;
	}
	(void)fs_crowded(fs);
	fs_entry(fs, &a, w->until, &e);
	if (fuse_reply_entry(req, &e) != 0)
		inodes_forget(fs->inodes, a.nodeid, 1);
}

static void lookup_fini(struct rq *rq)
{
	atomic_fetch_sub(&rq->fs->in_dirs, 1);
	free(container_of(rq, struct lookup, rq));
}

static void lookup_run(struct rq *rq)
{
	struct lookup *l = container_of(rq, struct lookup, rq);
	const struct walk_dir dir = {
		rq->fs->meta, { l->key, l->n }, rq->fs->inodes, l->parent
	};
	struct walk w;
	int r = walk_step(&dir, l->name, &w, &rq->cancel);

	if (rq_claim(rq))
		answer(rq->fs, rq->req, l->parent, l->name.p, r, &w);
	rq_unref(rq);
}

/* A file that is being written is what its name means. */
static bool answer_writing(struct fs *fs, fuse_req_t req, uint64_t parent,
			   const char *name)
{
	struct fuse_entry_param e;
	struct inode_attr a;
	struct name_key nk;

	if (fs->conf.staging == NULL || name_to_key(str_of(name), &nk) < 0 ||
	    (nk.kind != NAME_PLAIN && nk.kind != NAME_TWIN) ||
	    !inodes_writing(fs->inodes, parent, (struct str){ nk.comp, nk.n },
			    &a))
		return false;
	fs_entry(fs, &a, 0, &e);
	if (fuse_reply_entry(req, &e) != 0)
		inodes_forget(fs->inodes, a.nodeid, 1);
	return true;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	char key[UFS_KEY_MAX + 1];
	struct lookup *l;
	struct walk w;
	size_t n, len = strlen(name);
	int r;

	if (len > NAME_LEN_MAX) {
		reply_err(req, -ENAMETOOLONG); /* the kernel lets 1023 pass */
		return;
	}
	if (answer_writing(fs, req, parent, name))
		return;
	r = inodes_key(fs->inodes, parent, key, &n);
	if (r == 0)
		r = walk_step_fast(
		    &(struct walk_dir){
			fs->meta, { key, n }, fs->inodes, parent },
		    (struct str){ name, len }, &w);
	else
		w.until = 0;
	if (r != -EAGAIN) {
		answer(fs, req, parent, name, r, &w);
		return;
	}
	l = malloc(sizeof(*l) + len + 1);
	if (l == NULL) {
		reply_err(req, -ENOMEM);
		return;
	}
	atomic_fetch_add(&fs->in_dirs, 1);
	rq_init(&l->rq, fs, req, lookup_fini);
	l->parent = parent;
	memcpy(l->key, key, n + 1);
	l->n = n;
	memcpy(l + 1, name, len + 1);
	l->name = (struct str){ (char *)(l + 1), len };
	rq_run(&l->rq, lookup_run);
	rq_wait(&l->rq);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	struct fs *fs = fuse_req_userdata(req);

	inodes_forget(fs->inodes, ino, n);
	fs_forgot(fs);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count,
		     struct fuse_forget_data *forgets)
{
	struct fs *fs = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		inodes_forget(fs->inodes, forgets[i].ino, forgets[i].nlookup);
	fs_forgot(fs);
	fuse_reply_none(req);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct inode_attr a;
	struct stat st;
	int r = fs_attr(fs, ino, &a);

	(void)fi;
	if (r < 0) {
		reply_err(req, r);
		return;
	}
	fs_stat(fs, &a, &st);
	fuse_reply_attr(req, &st,
			a.writing           ? 0.0
			: ino == INODE_ROOT ? ROOT_SECONDS
					    : ATTR_SECONDS);
}
