/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_names.c - names that are made and removed
 *
 * All of it asks the store and runs on the pool. What is being written has
 * no object yet, or an old one: its staged file moves or is dropped with its
 * name. A directory is its marker `name/` (S20), or what lies below it.
 */
#include <errno.h>
#include <stdio.h>

#include "fuse/place.h"

static void name_fini(struct rq *rq)
{
	struct name_rq *n = container_of(rq, struct name_rq, rq);

	free(n->name);
	free(n->newname);
	free(n);
}

/*
 * Who asked for a rename has been told that it goes on without him: the kernel
 * took it for one that was not made.
 */
static void forget_names(struct name_rq *n)
{
	struct fuse_session *se = n->rq.fs->se;

	if (n->newname == NULL || se == NULL)
		return;
	fuse_lowlevel_notify_inval_entry(se, n->parent, n->name,
					 strlen(n->name));
	fuse_lowlevel_notify_inval_entry(se, n->newparent, n->newname,
					 strlen(n->newname));
}

static void name_run(struct rq *rq)
{
	struct name_rq *n = container_of(rq, struct name_rq, rq);
	int r = n->run(n);

	if (rq_claim(rq))
		reply_err(rq->req, r);
	else
		forget_names(n);
	rq_unref(rq);
}

struct name_rq *name_new(fuse_req_t req, uint64_t parent, const char *name)
{
	struct name_rq *n = calloc(1, sizeof(*n));

	if (n != NULL) {
		n->parent = parent;
		n->name = strdup(name);
	}
	if (n == NULL || n->name == NULL) {
		free(n);
		reply_err(req, -ENOMEM);
		return NULL;
	}
	fs_writes(fuse_req_userdata(req));
	rq_init(&n->rq, fuse_req_userdata(req), req, name_fini);
	return n;
}

void name_start(struct name_rq *n, int (*run)(struct name_rq *n))
{
	n->run = run;
	rq_run_on(&n->rq, n->rq.fs->committers, name_run);
	rq_wait(&n->rq);
}

void place_let_go(struct name_rq *n)
{
	if (n->changing)
		trees_end(&n->rq.fs->trees, &n->change);
	n->changing = false;
}

static int key_of(struct name_rq *n, struct place *p, bool make)
{
	return written_key(n->rq.fs, p->parent, p->name, make, p->key, &p->dir,
			   &p->n);
}

/* Their keys, which stay what they are. to: NULL, or a second one. */
static int hold_keys(struct name_rq *n, bool make, struct place *from,
		     struct place *to)
{
	int r;

	do {
		r = key_of(n, from, make);
		if (r == 0 && to != NULL)
			r = key_of(n, to, true);
		if (r < 0)
			return r;
		n->change = (struct moving){ .from = { from->key, from->n },
					     .names = true };
		n->change.to = to == NULL ? n->change.from
					  : (struct str){ to->key, to->n };
		r = trees_begin(&n->rq.fs->trees, &n->change, &n->rq.cancel);
	} while (r > 0);
	n->changing = r == 0;
	return r;
}

static enum inode_type type_of(const struct place *p)
{
	return p->there ? p->w.type : INODE_FILE;
}

static int look(struct name_rq *n, struct place *p)
{
	struct fs *fs = n->rq.fs;
	const struct walk_dir dir = {
		fs->meta, { p->key, p->dir }, fs->inodes, p->parent
	};
	struct inode_attr a;
	int r;

	if (inodes_writing(fs->inodes, p->parent, place_name(p), &a)) {
		p->opened = inodes_attach(fs->inodes, a.nodeid, NULL);
		inodes_forget(fs->inodes, a.nodeid, 1);
		if (p->opened != NULL && p->opened->staged == NULL) {
			opened_put(fs, p->opened);
			p->opened = NULL;
		}
	}
	r = walk_step(&dir, str_of(p->name), &p->w, &n->rq.cancel);
	p->there = r == 0;
	if (p->opened != NULL)
		p->nodeid = p->opened->nodeid;
	else if (inodes_find(fs->inodes, p->parent, type_of(p), place_name(p),
			     &p->nodeid) < 0)
		p->nodeid = 0;
	return r == -ENOENT ? 0 : r;
}

int place_find(struct name_rq *n, bool make, struct place *p)
{
	int r;

	*p = (struct place){ .parent = n->parent, .name = n->name };
	r = hold_keys(n, make, p, NULL);
	return r < 0 ? r : look(n, p);
}

int places_find(struct name_rq *n, struct place *from, struct place *to)
{
	int r;

	*from = (struct place){ .parent = n->parent, .name = n->name };
	*to = (struct place){ .parent = n->newparent, .name = n->newname };
	r = hold_keys(n, false, from, to);
	if (r == 0)
		r = look(n, from);
	return r < 0 ? r : look(n, to);
}

void place_put(struct name_rq *n, struct place *p)
{
	place_let_go(n);
	opened_put(n->rq.fs, p->opened);
}

static const struct ufs_cond any = { UFS_IF_ANY, NULL };
static const struct ufs_cond absent = { UFS_IF_ABSENT, NULL };

/* ---- unlink ---- */

static int remove_object(struct fs *fs, const struct place *p,
			 struct cancel *cancel)
{
	struct ufs *u = ufs_writable(cache_ufs(fs->cache));
	int r = u->ops->write->remove(u, (struct str){ p->key, p->n }, &any,
				      cancel);

	if (r == 0)
		written_made(fs, p->key, p->dir, p->n, NULL);
	return r;
}

void place_forgive(struct fs *fs, const struct place *p)
{
	if (fs->conf.staging != NULL)
		staging_forgive(fs->conf.staging, (struct str){ p->key, p->n });
}

/* The kernel's next lookup of this name is not to find what it was. */
static void place_leave(struct fs *fs, const struct place *p,
			enum inode_type type)
{
	uint64_t nodeid;

	if (inodes_find(fs->inodes, p->parent, type, place_name(p), &nodeid) ==
	    0)
		inodes_leave(fs->inodes, nodeid);
}

struct opened *place_lost(struct fs *fs, uint64_t nodeid)
{
	struct opened *o;

	/* In this order: who begins to write it makes sure of its name. */
	inodes_leave(fs->inodes, nodeid);
	o = inodes_attach(fs->inodes, nodeid, NULL);
	if (o != NULL && o->staged == NULL) {
		opened_put(fs, o);
		o = NULL;
	}
	return o;
}

bool place_written(struct fs *fs, uint64_t nodeid, struct staged_state *s)
{
	struct opened *o = inodes_attach(fs->inodes, nodeid, NULL);
	bool written = o != NULL && o->staged != NULL;

	if (written)
		staged_get(o->staged, s);
	opened_put(fs, o);
	return written;
}

/*
 * Is there an object of what the store may have got, without our having heard
 * of it?
 */
static int look_for(struct fs *fs, const struct place *p,
		    const struct staged_state *s, bool *there,
		    struct cancel *cancel)
{
	struct ufs *u = cache_ufs(fs->cache);
	struct ufs_stat now;
	int r;

	if (*there || !s->uncertain)
		return 0;
	r = u->ops->stat(u, (struct str){ p->key, p->n }, &now, cancel);
	*there = r == 0;
	return r == -ENOENT ? 0 : r;
}

/*
 * What is being written goes with its name. was: as it was when the object was
 * removed; a commit that ran since has made another one.
 */
static int discard(struct fs *fs, const struct place *p, struct opened *o,
		   const struct staged_state *was, struct cancel *cancel)
{
	struct staged_state s;
	bool there;
	int r;

	written_discard(fs, o);
	staged_get(o->staged, &s);
	there = s.committed &&
		(!was->committed || strcmp(s.st.version, was->st.version) != 0);
	r = look_for(fs, p, &s, &there, cancel);
	return r == 0 && there ? remove_object(fs, p, NULL) : r;
}

/* Who found the name free has made this one since. */
static bool made_since(struct fs *fs, const struct place *p, uint64_t nodeid)
{
	struct staged_state s;

	return nodeid != p->nodeid && place_written(fs, nodeid, &s) &&
	       (s.committed || s.st.version[0] == '\0');
}

/*
 * The name means nothing any more. What was opened for writing while the store
 * removed it is of what was removed: it goes as well.
 */
static int lose_name(struct fs *fs, const struct place *p,
		     struct cancel *cancel)
{
	const struct staged_state none = { 0 };
	struct opened *late;
	uint64_t nodeid;
	int r = 0;

	if (inodes_find(fs->inodes, p->parent, type_of(p), place_name(p),
			&nodeid) < 0 ||
	    made_since(fs, p, nodeid))
		return 0;
	late = place_lost(fs, nodeid);
	if (late != NULL && late != p->opened)
		r = discard(fs, p, late, &none, cancel);
	opened_put(fs, late);
	return r;
}

static int unlink_run(struct name_rq *n)
{
	struct fs *fs = n->rq.fs;
	struct staged_state s = { 0 };
	struct place p;
	bool there;
	int r = place_find(n, false, &p);

	if (r == 0 && p.opened == NULL && !p.there)
		r = -ENOENT;
	if (r == 0 && p.opened == NULL && p.w.type == INODE_DIR)
		r = -EISDIR;
	/* A commit that finds the object gone would fail. */
	if (r == 0 && p.opened != NULL) {
		staged_stop(p.opened->staged);
		staged_get(p.opened->staged, &s);
	}
	/* What only a commit of ours would make is not in the store. */
	there = p.there || s.committed;
	if (r == 0)
		r = look_for(fs, &p, &s, &there, &n->rq.cancel);
	if (r == 0 && there)
		r = remove_object(fs, &p, &n->rq.cancel);
	if (r == 0 && p.opened != NULL)
		r = discard(fs, &p, p.opened, &s, &n->rq.cancel);
	if (r == 0)
		r = lose_name(fs, &p, &n->rq.cancel);
	if (r == 0) {
		place_forgive(fs, &p);
		filelocks_removed(&fs->locks, (struct str){ p.key, p.n });
	}
	if (p.opened != NULL)
		staged_resume(p.opened->staged);
	place_put(n, &p);
	return r;
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct name_rq *n = name_new(req, parent, name);

	if (n != NULL)
		name_start(n, unlink_run);
}

/* ---- directories ---- */

static int no_bytes(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)arg, (void)off, (void)buf, (void)len;
	return -EINVAL; /* of none, none are asked for */
}

/* The reply is an entry, so it is made here. */
static void mkdir_answer(struct name_rq *n, const struct place *p)
{
	const struct ufs_stat none = { 0 };
	struct fs *fs = n->rq.fs;
	struct fuse_entry_param e;
	struct inode_attr a;
	int r;

	if (!rq_claim(&n->rq))
		return;
	r = inodes_lookup(fs->inodes, p->parent, INODE_DIR, place_name(p),
			  &none, &a);
	if (r < 0) {
		reply_err(n->rq.req, r);
		return;
	}
	fs_entry(fs, &a, 0, &e);
	if (fuse_reply_entry(n->rq.req, &e) != 0)
		inodes_forget(fs->inodes, a.nodeid, 1);
}

static int mkdir_run(struct name_rq *n)
{
	const struct ufs_body empty = { .read = no_bytes };
	struct fs *fs = n->rq.fs;
	struct ufs *u = ufs_writable(cache_ufs(fs->cache));
	struct ufs_stat st;
	struct place p;
	int r = place_find(n, true, &p);

	if (r == 0 && (p.there || p.opened != NULL))
		r = -EEXIST;
	if (r == 0 && p.n + 1 > UFS_KEY_MAX)
		r = -ENAMETOOLONG;
	if (r == 0) {
		p.key[p.n] = '/';
		r = u->ops->write->put(u, (struct str){ p.key, p.n + 1 },
				       &empty, &absent, &st, &n->rq.cancel);
	}
	place_put(n, &p);
	if (r == 0) {
		meta_made(fs->meta, (struct str){ p.key, p.dir },
			  place_name(&p), NULL, true);
		written_made_below(fs, p.key, p.dir);
		appear_above(fs->appear, p.parent);
		mkdir_answer(n, &p);
	}
	return r; /* claimed: it is not answered again */
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct name_rq *n = name_new(req, parent, name);

	(void)mode;
	if (n != NULL)
		name_start(n, mkdir_run);
}

/* Is there a key below the directory besides its marker? */
static int other_cb(void *arg, const struct ufs_entry *e)
{
	const struct place *p = arg;

	/* One with bytes is a file in it (N3). */
	return str_eq(e->key, (struct str){ p->key, p->n + 1 }) &&
		       e->st.size == 0
		   ? 0
		   : 1;
}

int place_has_entries(struct fs *fs, const struct place *p,
		      struct cancel *cancel)
{
	struct ufs *u = ufs_writable(cache_ufs(fs->cache));
	struct ufs_list q = { .prefix = { p->key, p->n + 1 },
			      .after = STR_EMPTY,
			      .deep = true,
			      .max = 2 };
	AUTO_FREE char *token = NULL;
	uint64_t nodeid;
	int r;

	if (inodes_find(fs->inodes, p->parent, INODE_DIR, place_name(p),
			&nodeid) == 0 &&
	    inodes_any_writing(fs->inodes, nodeid))
		return 1;
	do
		r = u->ops->list(u, &q, &token, other_cb, (void *)p, cancel);
	while (r == 0 && token != NULL);
	return r == -ENOENT ? 0 : r;
}

static int rmdir_run(struct name_rq *n)
{
	struct fs *fs = n->rq.fs;
	struct ufs *u = ufs_writable(cache_ufs(fs->cache));
	struct place p;
	int r = place_find(n, false, &p);
	bool file =
	    r == 0 && (p.opened != NULL || (p.there && p.w.type != INODE_DIR));

	/*
	 * A directory without a marker is gone with the last key below it: who
	 * removes a tree is not to stumble over that.
	 */
	if (file)
		r = -ENOTDIR;
	if (r == 0) {
		p.key[p.n] = '/';
		r = place_has_entries(fs, &p, &n->rq.cancel);
		r = r > 0 ? -ENOTEMPTY : r;
	}
	if (r == 0)
		r = u->ops->write->remove(u, (struct str){ p.key, p.n + 1 },
					  &any, &n->rq.cancel);
	if (r == 0) {
		meta_made(fs->meta, (struct str){ p.key, p.dir },
			  place_name(&p), NULL, false);
		/* In one that it saw removed the kernel makes nothing again. */
		place_leave(fs, &p, INODE_DIR);
	}
	place_put(n, &p);
	return r;
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct name_rq *n = name_new(req, parent, name);

	if (n != NULL)
		name_start(n, rmdir_run);
}
