/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename_tree.c - a directory that is moved, with all below it
 *
 * What is known of a file below it is led on while the store has both of its
 * names: its record in the inode table becomes one of the copy, and what is
 * being written is of the copy from then on. When all are moved the directory's
 * own record gets its new place, by which all records below it have theirs.
 * Whoever was about to make a file under the old name at that moment sees that
 * the key is another (written.c) and looks again. What came under the old name
 * while the others were moved is moved after them.
 */
#include "fuse/rename_tree.h"

#include <errno.h>

#include "base/log.h"
#include "cache/rename.h"

#define ROUNDS 4 /* the first, and for what came later */

struct tree {
	struct moving moving;
	struct fs *fs;
	struct place *from, *to;
	struct str from_key, to_key; /* with their slashes */
	uint64_t nodeid;             /* 0: the kernel does not know it */
};

/* ---- who knows something below it ---- */

/* The inode of a name below the directory, if the kernel knows it. */
static bool find_below(const struct tree *t, struct str name, uint64_t *nodeid)
{
	struct inodes *inodes = t->fs->inodes;
	uint64_t at = t->nodeid;
	const char *slash;

	if (at == 0)
		return false;
	while ((slash = memchr(name.p, '/', name.n)) != NULL) {
		struct str comp = { name.p, (size_t)(slash - name.p) };

		if (inodes_find(inodes, at, INODE_DIR, comp, &at) < 0)
			return false;
		name.p += comp.n + 1;
		name.n -= comp.n + 1;
	}
	return inodes_find(inodes, at, name.n > 0 ? INODE_FILE : INODE_DATA,
			   name, nodeid) == 0;
}

/* The new key of a name, into key[UFS_KEY_MAX + 1]. */
static int new_key(const struct tree *t, struct str name, char *key,
		   struct str *out)
{
	if (t->to_key.n + name.n > UFS_KEY_MAX)
		return -ENAMETOOLONG;
	memcpy(key, t->to_key.p, t->to_key.n);
	memcpy(key + t->to_key.n, name.p, name.n);
	*out = (struct str){ key, t->to_key.n + name.n };
	return 0;
}

int rename_lead(struct opened *o, struct str key, const char *was,
		const struct ufs_stat *now)
{
	struct staged_state s;
	int r = staged_copied(o->staged, was, key, now);

	if (r == 0)
		return 0;
	staged_get(o->staged, &s);
	if (s.err < 0 || s.removed)
		return 0;
	return r == -ESTALE && !s.committed ? 1 : r;
}

static int lead_writer(const struct tree *t, struct opened *o, struct str name,
		       const char *was, const struct ufs_stat *now)
{
	char buf[UFS_KEY_MAX + 1];
	struct str key;
	int r = new_key(t, name, buf, &key);

	return r < 0 ? r : rename_lead(o, key, was, now);
}

void rename_leave_reader(struct fs *fs, uint64_t nodeid)
{
	inodes_set_gone(fs->inodes, nodeid);
	inodes_leave(fs->inodes, nodeid);
}

static int object_copied(void *arg, struct str name, const struct ufs_stat *was,
			 const struct ufs_stat *now)
{
	const struct tree *t = arg;
	struct fs *fs = t->fs;
	struct opened *o;
	uint64_t nodeid;
	int r = 0;

	if (!find_below(t, name, &nodeid))
		return 0;
	o = inodes_attach(fs->inodes, nodeid, NULL);
	if (o != NULL && o->staged != NULL)
		r = lead_writer(t, o, name, was->version, now);
	if (r >= 0)
		(void)inodes_written(fs->inodes, nodeid, now);
	if (o != NULL && o->staged == NULL)
		rename_leave_reader(fs, nodeid);
	opened_put(fs, o);
	return MIN(r, 0);
}

/* Not in the store: it is committed under its new name, bound as it was. */
static int lead_unmade(const struct tree *t, struct opened *o, struct str name)
{
	char buf[UFS_KEY_MAX + 1];
	struct str key;
	int r = new_key(t, name, buf, &key);

	return r < 0 ? r : staged_move(o->staged, key, NULL);
}

/*
 * Is a file's key still below the directory's old one, and is it to be
 * committed? Its key in old[UFS_KEY_MAX + 1], in which name is what is below.
 */
static bool has_old_name(const struct tree *t, struct opened *o, char *old,
			 struct str *name, struct staged_state *s)
{
	size_t n = staged_key(o->staged, old);

	if (!str_starts((struct str){ old, n }, t->from_key))
		return false;
	*name = (struct str){ old + t->from_key.n, n - t->from_key.n };
	staged_get(o->staged, s);
	return s->err == 0 && !s->removed;
}

/*
 * It is being written and its key is the old one: it was opened while the
 * others were moved, or the store does not have it yet. What the store has and
 * job does not know comes with the next round.
 */
static void lead_late(const struct tree *t, const struct rename *job,
		      struct opened *o)
{
	char old[UFS_KEY_MAX + 1];
	struct staged_state s;
	struct ufs_stat now;
	struct str name;
	bool moved;
	int r;

	if (!has_old_name(t, o, old, &name, &s))
		return;
	now = s.st;
	/* Where all went at once, so did what it is upon. */
	moved = job != NULL ? rename_made(job, name, s.st.version, &now)
			    : !s.committed && s.st.version[0] != '\0';
	r = moved ? lead_writer(t, o, name, s.st.version, &now) : !s.committed;
	if (moved && r == 0)
		(void)inodes_written(t->fs->inodes, o->nodeid, &now);
	if (r > 0)
		r = lead_unmade(t, o, name);
	if (r < 0 && r != -EALREADY && r != -ESTALE)
		log_warn("fuse: %s keeps its old name at its commit: %s", old,
			 strerror(-r));
}

/* All records below have new keys; the kernel has their old attributes. */
static void lead_on(const struct tree *t, const struct rename *job)
{
	struct fs *fs = t->fs;
	struct inode_place at;
	uint64_t cursor = 0;

	while (inodes_next_below(fs->inodes, t->to_key, &cursor, &at)) {
		struct opened *o = inodes_attach(fs->inodes, at.nodeid, NULL);

		if (o != NULL && o->staged != NULL)
			lead_late(t, job, o);
		else if (o != NULL)
			rename_leave_reader(fs, at.nodeid);
		opened_put(fs, o);
		/* No page, and so no lock that the caller of rename() has. */
		if (fs->se != NULL)
			fuse_lowlevel_notify_inval_inode(fs->se, at.nodeid, -1,
							 0);
	}
}

/* It did not work: what is written under its new key has no inode there. */
static void leave_moved(const struct tree *t)
{
	char key[UFS_KEY_MAX + 1];
	struct fs *fs = t->fs;
	struct inode_place at;
	uint64_t cursor = 0;

	while (inodes_next_below(fs->inodes, t->from_key, &cursor, &at)) {
		struct opened *o = inodes_attach(fs->inodes, at.nodeid, NULL);

		if (o != NULL && o->staged != NULL &&
		    str_starts((struct str){ key, staged_key(o->staged, key) },
			       t->to_key))
			inodes_leave(fs->inodes, at.nodeid);
		opened_put(fs, o);
	}
}

/* It is there by that, whatever the store has. */
static bool is_written_below(const struct tree *t)
{
	return t->nodeid != 0 && inodes_any_writing(t->fs->inodes, t->nodeid);
}

/* ---- the moving ---- */

/* Its record gets its new place, and with it all that are below. */
static int move_inode(const struct tree *t)
{
	struct fs *fs = t->fs;

	return t->nodeid == 0
		   ? 0
		   : inodes_move(fs->inodes, t->nodeid, t->to->parent,
				 (struct str){ t->to->key + t->to->dir,
					       t->to->n - t->to->dir });
}

static int new_job(const struct tree *t, size_t most, struct cancel *cancel,
		   struct rename **out)
{
	const struct ufs_cond absent = { UFS_IF_ABSENT, NULL };
	struct rename *job;
	int r = rename_new(t->fs->conf.staging, t->from_key, t->to_key, &absent,
			   &job);

	if (r < 0)
		return r;
	r = rename_list(job, most, cancel);
	if (r < 0)
		rename_free(job);
	else
		*out = job;
	return r;
}

/* What came below the old name while the rest was moved. */
static void move_rest(const struct tree *t, const struct rename_hook *hook)
{
	struct rename *job = NULL;
	int r = 0;

	for (int i = 1; i < ROUNDS && r == 0; i++) {
		r = new_job(t, SIZE_MAX, NULL, &job);
		if (r < 0 || rename_count(job) == 0)
			break;
		r = rename_run(job, hook);
		if (r == 0)
			lead_on(t, job);
		rename_tell(job);
		rename_free(take_ptr(job));
	}
	rename_free(job);
	if (r < 0)
		log_warn("fuse: rename %s: it is done, and what was written "
			 "there meanwhile may have stayed: %s",
			 t->from->key, strerror(-r));
}

static int move_each(const struct tree *t, struct cancel *cancel)
{
	const struct rename_hook hook = { (void *)t, object_copied };
	struct rename *job;
	int r = new_job(t, t->fs->conf.rename_dir_limit, cancel, &job);

	if (r < 0)
		return r;
	if (rename_count(job) == 0 && !is_written_below(t))
		r = -ENOENT;
	/* From here on it goes on without whoever waits for it. */
	if (r == 0)
		r = rename_run(job, &hook);
	if (r == 0)
		r = move_inode(t);
	if (r == 0) {
		lead_on(t, job);
		rename_tell(job);
		rename_free(job);
		move_rest(t, &hook);
		return 0;
	}
	leave_moved(t);
	rename_tell(job);
	rename_free(job);
	return r;
}

/* Files below it that are being written: none is committed meanwhile. */
struct paused {
	struct opened **o; /* owned, and a reference of each */
	size_t n, room;
};

static int pause_one(struct paused *p, struct opened *o)
{
	if (p->n == p->room) {
		size_t room = p->room * 2 + 8;
		void *more = realloc(p->o, room * sizeof(*p->o));

		if (more == NULL)
			return -ENOMEM;
		p->o = more;
		p->room = room;
	}
	staged_still(o->staged);
	p->o[p->n++] = o;
	return 0;
}

static int pause_all(const struct tree *t, struct paused *p)
{
	struct fs *fs = t->fs;
	struct inode_place at;
	uint64_t cursor = 0;
	int r = 0;

	while (r == 0 &&
	       inodes_next_below(fs->inodes, t->from_key, &cursor, &at)) {
		struct opened *o = inodes_attach(fs->inodes, at.nodeid, NULL);

		if (o != NULL && o->staged != NULL)
			r = pause_one(p, o);
		if (o != NULL && (o->staged == NULL || r < 0))
			opened_put(fs, o);
	}
	return r;
}

static void go_on(struct fs *fs, struct paused *p)
{
	for (size_t i = 0; i < p->n; i++) {
		staged_go_on(p->o[i]->staged);
		opened_put(fs, p->o[i]);
	}
	free(p->o);
}

/* It went along with the version that it is of, or is to replace. */
static void lead_paused(const struct tree *t, struct opened *o)
{
	char old[UFS_KEY_MAX + 1];
	struct staged_state s;
	struct str name;
	int r = 1;

	if (!has_old_name(t, o, old, &name, &s))
		return;
	if (s.st.version[0] != '\0')
		r = lead_writer(t, o, name, s.st.version, &s.st);
	if (r > 0)
		(void)lead_unmade(t, o, name);
}

/* Nothing was listed: of the directories below, those that are known. */
static void tell_known(const struct tree *t)
{
	char key[UFS_KEY_MAX + 1];
	struct ufs *u = cache_ufs(t->fs->cache);
	struct inode_place at;
	uint64_t cursor = 0;
	size_t n;

	if (u->ops->made == NULL)
		return;
	u->ops->made(u, (struct str){ t->from->key, t->from->n });
	u->ops->made(u, (struct str){ t->to->key, t->to->n });
	u->ops->made(u, t->from_key);
	u->ops->made(u, t->to_key);
	while (inodes_next_below(t->fs->inodes, t->to_key, &cursor, &at)) {
		if (at.type != INODE_DIR ||
		    inodes_key(t->fs->inodes, at.nodeid, key, &n) < 0 ||
		    n <= t->to_key.n)
			continue;
		u->ops->made(u, (struct str){ key, n });
		/* It came later, and could not be there. */
		if (t->from_key.n + n - t->to_key.n > UFS_KEY_MAX)
			continue;
		memmove(key + t->from_key.n, key + t->to_key.n,
			n - t->to_key.n);
		memcpy(key, t->from_key.p, t->from_key.n);
		u->ops->made(
		    u, (struct str){ key, t->from_key.n + n - t->to_key.n });
	}
}

/* Where the store has directories that can be renamed. */
static int move_at_once(const struct tree *t, struct ufs *u,
			struct cancel *cancel)
{
	const struct rename_hook hook = { (void *)t, object_copied };
	struct paused paused = { NULL, 0, 0 };
	int r = pause_all(t, &paused);

	if (r == 0)
		r = u->ops->write->move_tree(u, t->from_key, t->to_key, cancel);
	if (r == -ENOENT && is_written_below(t))
		r = 0;
	if (r == 0)
		r = move_inode(t);
	for (size_t i = 0; r == 0 && i < paused.n; i++)
		lead_paused(t, paused.o[i]);
	go_on(t->fs, &paused);
	if (r == 0) {
		lead_on(t, NULL);
		tell_known(t);
		move_rest(t, &hook);
	}
	return r;
}

static int run(const struct tree *t, struct cancel *cancel)
{
	struct fs *fs = t->fs;
	struct ufs *u = ufs_writable(cache_ufs(fs->cache));
	int r = place_has_entries(fs, t->to, cancel);

	if (r != 0)
		return r > 0 ? -ENOTEMPTY : r;
	r = u->ops->write->move_tree != NULL ? move_at_once(t, u, cancel)
					     : move_each(t, cancel);
	/* Half a rename has changed both as well. */
	meta_invalidate(fs->meta, (struct str){ t->from->key, t->from->n });
	meta_invalidate(fs->meta, (struct str){ t->to->key, t->to->n });
	written_made_below(fs, t->to->key, t->to->dir);
	return r;
}

int rename_tree(struct name_rq *n, struct place *from, struct place *to)
{
	struct fs *fs = n->rq.fs;
	struct tree t = { .fs = fs, .from = from, .to = to };
	int r;

	place_let_go(n);
	if (to->n + 1 > UFS_KEY_MAX)
		return -ENAMETOOLONG;
	from->key[from->n] = '/';
	to->key[to->n] = '/';
	t.from_key = (struct str){ from->key, from->n + 1 };
	t.to_key = (struct str){ to->key, to->n + 1 };
	if (str_starts(t.to_key, t.from_key))
		return -EINVAL;
	if (inodes_find(fs->inodes, from->parent, INODE_DIR, place_name(from),
			&t.nodeid) < 0)
		t.nodeid = 0;
	t.moving = (struct moving){ .from = t.from_key, .to = t.to_key };
	r = trees_begin(&fs->trees, &t.moving, &n->rq.cancel);
	if (r != 0)
		return r > 0 ? -EAGAIN : r;
	r = run(&t, &n->rq.cancel);
	if (r == 0)
		filelocks_moved(&fs->locks, t.from_key, t.to_key, true);
	trees_end(&fs->trees, &t.moving);
	return r;
}
