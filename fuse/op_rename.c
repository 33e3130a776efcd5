/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_rename.c - names that are moved
 *
 * What is not committed yet is simply committed under its new name. What the
 * store has is copied and removed (cache/rename.h), and those who know it by
 * its old name are led on in between, while the store has both: also who began
 * to write it since the rename did.
 */
#include <errno.h>
#include <linux/fs.h>

#include "cache/rename.h"
#include "fuse/rename_tree.h"

/* What is at the destination now, as a commit there is to find it. */
static struct ufs_cond cond_of(struct fs *fs, const struct place *to)
{
	if (staging_last_wins(fs->conf.staging))
		return (struct ufs_cond){ UFS_IF_ANY, NULL };
	if (!to->there)
		return (struct ufs_cond){ UFS_IF_ABSENT, NULL };
	return (struct ufs_cond){ UFS_IF_VERSION, to->w.st.version };
}

/* What was being written has no name any more. o: NULL, or with a reference. */
static void discard_put(struct fs *fs, struct opened *o)
{
	if (o != NULL)
		written_discard(fs, o);
	opened_put(fs, o);
}

/* It gets the new name, unless it has lost its own (written_end()). */
static int move_opened(struct fs *fs, struct opened *o, const struct place *to)
{
	int r = inodes_move(fs->inodes, o->nodeid, to->parent, place_name(to));
	bool left;

	lock_take(&o->lock);
	left = o->left;
	lock_drop(&o->lock);
	if (left)
		inodes_leave(fs->inodes, o->nodeid);
	return r;
}

/*
 * What is not in the store yet is committed under its new name. -EALREADY: a
 * commit that ran was faster, or was carried out without our having heard of
 * it.
 */
static int rename_staged(struct fs *fs, struct place *from, struct place *to)
{
	struct ufs_cond cond = cond_of(fs, to);
	uint64_t replaced = 0;
	int r = staged_move(from->opened->staged,
			    (struct str){ to->key, to->n }, &cond);

	if (r < 0)
		return r;
	(void)inodes_find(fs->inodes, to->parent, INODE_FILE, place_name(to),
			  &replaced);
	r = move_opened(fs, from->opened, to);
	if (r == 0)
		discard_put(fs, place_lost(fs, replaced));
	return r;
}

struct move {
	struct fs *fs;
	struct place *from, *to;
	uint64_t nodeid;       /* 0: it was not moved, or none is known */
	bool replaced, spared; /* replace() was asked, and said no */
};

/*
 * The new name is about to mean the copy st. What was opened for writing there
 * while the store made that is of what it has replaced. False: it means the
 * copy already, and is being written.
 */
static bool replace(struct move *m, const struct ufs_stat *st)
{
	struct place *to = m->to;
	struct fs *fs = m->fs;
	struct staged_state s;
	uint64_t nodeid;

	if (m->replaced)
		return !m->spared;
	m->replaced = true;
	if (inodes_find(fs->inodes, to->parent, INODE_FILE, place_name(to),
			&nodeid) < 0)
		return true;
	m->spared = nodeid != to->nodeid && place_written(fs, nodeid, &s) &&
		    strcmp(s.st.version, st->version) == 0;
	if (!m->spared)
		discard_put(fs, place_lost(fs, nodeid));
	return !m->spared;
}

/* It is there under its new name: that is what it means from now on. */
static int written_moved(struct move *m, const struct ufs_stat *was,
			 const struct ufs_stat *st)
{
	struct opened *o = m->from->opened;
	struct fs *fs = m->fs;
	int r = staged_copied(o->staged, was->version,
			      (struct str){ m->to->key, m->to->n }, st);

	if (r < 0)
		return r;
	(void)replace(m, st);
	r = move_opened(fs, o, m->to);
	if (r == 0)
		(void)inodes_written(fs->inodes, o->nodeid, st);
	/* It may have been committed there since. */
	if (r == 0)
		(void)written_note(fs, o);
	return 0;
}

/*
 * Who began to write an inode while the store copied it goes along, as what was
 * being written before does. 1: that is of another version, which is not moved;
 * or it has failed, and stays.
 */
static int lead_late(struct move *m, uint64_t nodeid,
		     const struct ufs_stat *was, const struct ufs_stat *st)
{
	struct str to = { m->to->key, m->to->n };
	struct opened *o = inodes_attach(m->fs->inodes, nodeid, NULL);
	char key[UFS_KEY_MAX + 1];
	struct staged_state s;
	int r = 0;

	if (o != NULL && o->staged != NULL &&
	    !str_eq((struct str){ key, staged_key(o->staged, key) }, to)) {
		r = rename_lead(o, to, was->version, st);
		staged_get(o->staged, &s);
		if (r == 0 && (s.err < 0 || s.removed)) {
			inodes_leave(m->fs->inodes, nodeid);
			r = 1;
		}
	}
	opened_put(m->fs, o);
	return r;
}

/*
 * The inode gets the new name. Who reads it reads the version of its old name,
 * which goes: the next open is to find the new one (S2).
 */
static void note_moved(struct fs *fs, uint64_t nodeid,
		       const struct ufs_stat *st)
{
	struct opened *o = inodes_attach(fs->inodes, nodeid, NULL);

	(void)inodes_written(fs->inodes, nodeid, st);
	if (o != NULL && o->staged != NULL) {
		(void)written_note(fs, o);
	} else if (o != NULL) {
		rename_leave_reader(fs, nodeid);
	}
	opened_put(fs, o);
}

/* Whoever has the old name now gets the new one. */
static int object_moved(struct move *m, const struct ufs_stat *was,
			const struct ufs_stat *st)
{
	struct place *from = m->from, *to = m->to;
	struct inodes *inodes = m->fs->inodes;
	struct staged_state s;
	uint64_t nodeid;
	int r;

	if (m->nodeid == 0 && inodes_find(inodes, from->parent, from->w.type,
					  place_name(from), &nodeid) == 0) {
		/* It may take a while: it has its old name meanwhile. */
		r = lead_late(m, nodeid, was, st);
		if (r < 0)
			return r;
		if (r == 0 && !replace(m, st) &&
		    !place_written(m->fs, nodeid, &s))
			inodes_leave(inodes, nodeid);
		else if (r == 0 && inodes_move(inodes, nodeid, to->parent,
					       place_name(to)) == 0)
			m->nodeid = nodeid;
	}
	if (m->nodeid == 0) {
		(void)replace(m, st);
		return 0;
	}
	/* And who came before it was moved: now nobody does. */
	r = lead_late(m, m->nodeid, was, st);
	if (r < 0) {
		(void)inodes_move(inodes, m->nodeid, from->parent,
				  place_name(from));
		m->nodeid = 0;
		return r;
	}
	note_moved(m->fs, m->nodeid, st);
	return 0;
}

/*
 * What is written is looked for only now: it may be open since the store was
 * asked to copy, and what was being written then may have ended.
 */
static int file_copied(void *arg, struct str name, const struct ufs_stat *was,
		       const struct ufs_stat *now)
{
	struct move *m = arg;
	int r = 0;

	(void)name;
	written_made(m->fs, m->to->key, m->to->dir, m->to->n, now);
	if (m->from->opened != NULL)
		r = written_moved(m, was, now);
	return r < 0 ? r : object_moved(m, was, now);
}

static bool is_dir(const struct place *p)
{
	return p->opened == NULL && p->there && p->w.type == INODE_DIR;
}

/*
 * What the store has there now: a rename is bound to it, so a memory that may
 * be a minute old will not do.
 */
static int place_now(struct fs *fs, struct place *p, struct cancel *cancel)
{
	struct ufs_stat st;
	int r;

	if (is_dir(p))
		return 0;
	r = meta_stat_now(fs->meta, (struct str){ p->key, p->n }, &st, cancel);
	if (r < 0 && r != -ENOENT)
		return r;
	if (p->there != (r == 0) ||
	    (p->there && strcmp(p->w.st.version, st.version) != 0))
		meta_gone(fs->meta, (struct str){ p->key, p->n });
	p->there = r == 0;
	p->w.type = INODE_FILE;
	if (r == 0)
		p->w.st = st;
	return 0;
}

/*
 * Commit what is written there, and have its version as the store tells it,
 * time and all. -ESTALE: somebody else's is there by now, which what is open
 * here knows nothing of.
 */
static int commit_place(struct fs *fs, struct place *p, struct cancel *cancel)
{
	struct staged_state s;
	int r;

	/* Once for that, and once for who commits at the same time. */
	for (int i = 0; i < 3; i++) {
		r = written_commit_now(fs, p->opened, cancel);
		if (r < 0)
			return r;
		staged_get(p->opened->staged, &s);
		if (p->there && strcmp(p->w.st.version, s.st.version) == 0)
			return 0;
		r = place_now(fs, p, cancel);
		if (r < 0)
			return r;
	}
	return -ESTALE;
}

/* What was being written there has no name any more. */
static void discard_replaced(struct fs *fs, struct place *to)
{
	if (to->opened != NULL)
		written_discard(fs, to->opened);
}

/*
 * The store copies it, and then the old name goes. What is being written as
 * well is of the copy from then on; what was written so far goes there first.
 */
static int rename_object(struct fs *fs, struct place *from, struct place *to,
			 struct cancel *cancel)
{
	struct move m = { .fs = fs, .from = from, .to = to };
	const struct rename_hook hook = { &m, file_copied };
	struct ufs_cond cond = cond_of(fs, to);
	struct rename *job;
	int r = 0;

	if (from->opened != NULL)
		r = commit_place(fs, from, cancel);
	if (r == 0)
		r = rename_new(fs->conf.staging,
			       (struct str){ from->key, from->n },
			       (struct str){ to->key, to->n }, &cond, &job);
	if (r < 0)
		return r;
	r = rename_add(job, STR_EMPTY, &from->w.st);
	if (r == 0)
		r = rename_run(job, &hook);
	/* Its old name is gone, or lingers, or is somebody else's by now. */
	if (r == 0 && rename_moved(job) > 0)
		written_made(fs, from->key, from->dir, from->n, NULL);
	else if (r == 0)
		meta_gone(fs->meta, (struct str){ from->key, from->n });
	/* Before the record of what took its place. */
	if (r == 0)
		discard_replaced(fs, to);
	rename_free(job);
	return r;
}

static int rename_check(const struct name_rq *n, const struct place *from,
			const struct place *to)
{
	if (from->opened == NULL && !from->there)
		return -ENOENT;
	if ((n->flags & RENAME_NOREPLACE) && (to->there || to->opened != NULL))
		return -EEXIST;
	if (is_dir(from))
		return (to->there || to->opened != NULL) && !is_dir(to)
			   ? -ENOTDIR
			   : 0;
	return is_dir(to) ? -EISDIR : 0;
}

static int rename_any(struct fs *fs, struct place *from, struct place *to,
		      struct cancel *cancel)
{
	struct staged_state s;
	int r;

	if (from->opened != NULL)
		staged_get(from->opened->staged, &s);
	if (from->opened != NULL && !from->there && !s.committed) {
		r = rename_staged(fs, from, to);
		if (r == 0)
			discard_replaced(fs, to);
		if (r != -EALREADY)
			return r;
	}
	return rename_object(fs, from, to, cancel);
}

static int run_once(struct name_rq *n)
{
	struct fs *fs = n->rq.fs;
	struct cancel *cancel = &n->rq.cancel;
	struct place from, to;
	int r = places_find(n, &from, &to);

	/* A commit there is not to come between. */
	if (r == 0 && to.opened != NULL)
		staged_pause(to.opened->staged);
	if (r == 0)
		r = place_now(fs, &from, cancel);
	if (r == 0)
		r = place_now(fs, &to, cancel);
	if (r == 0)
		r = rename_check(n, &from, &to);
	if (r == 0)
		r = is_dir(&from) ? rename_tree(n, &from, &to)
				  : rename_any(fs, &from, &to, cancel);
	if (r == 0) {
		place_forgive(fs, &from);
		place_forgive(fs, &to);
		filelocks_moved(&fs->locks, (struct str){ from.key, from.n },
				(struct str){ to.key, to.n }, false);
	}
	appear_above(fs->appear, to.parent);
	if (to.opened != NULL)
		staged_resume(to.opened->staged);
	place_put(n, &from);
	place_put(n, &to);
	return r;
}

/* Others moved a directory meanwhile, which this one is about. */
static int run(struct name_rq *n)
{
	int r;

	do
		r = run_once(n);
	while (r == -EAGAIN);
	return r;
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	       fuse_ino_t newparent, const char *newname, unsigned flags)
{
	struct name_rq *n;

	if (flags & ~(unsigned)RENAME_NOREPLACE) {
		reply_err(req, -EINVAL);
		return;
	}
	n = name_new(req, parent, name);
	if (n == NULL)
		return;
	n->newparent = newparent;
	n->flags = flags;
	n->newname = strdup(newname);
	if (n->newname == NULL) {
		rq_finish_err(&n->rq, -ENOMEM);
		rq_wait(&n->rq);
		return;
	}
	name_start(n, run);
}
