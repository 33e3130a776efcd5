/* SPDX-License-Identifier: Apache-2.0 */
/*
 * written.c - inodes that are being written, and their commits
 */
#include "fuse/written.h"

#include <errno.h>

#include "base/clock.h"
#include "fuse/process.h"

#define WAIT_NS (50 * NSEC_PER_MSEC) /* until a cancel is looked for */

struct opened *written_new(struct staged *f)
{
	struct opened *o = calloc(1, sizeof(*o));

	if (o == NULL) {
		staged_unref(f);
		return NULL;
	}
	o->staged = f;
	o->writers = 1;
	lock_init(&o->lock, RANK_INODES);
	event_init(&o->ended);
	return o;
}

void written_free(struct opened *o)
{
	if (o == NULL)
		return;
	event_fini(&o->ended);
	lock_fini(&o->lock);
	staged_unref(o->staged);
	free(o);
}

/* Is the version of the inode still what the store has? */
static int still_there(struct fs *fs, uint64_t nodeid, struct str key,
		       const struct ufs_stat *st, struct cancel *cancel)
{
	struct ufs_stat now;
	int r = meta_stat_now(fs->meta, key, &now, cancel);

	if (r == -ENOENT || (r == 0 && (strcmp(now.version, st->version) != 0 ||
					now.size != st->size))) {
		version_gone(fs, nodeid, key);
		return -ESTALE;
	}
	return r;
}

static int enter(struct opened *o, struct cancel *cancel)
{
	int r;

	lock_take(&o->lock);
	while (o->ending > 0 && !cancelled(cancel))
		event_wait_until(&o->ended, &o->lock, clock_ns() + WAIT_NS);
	r = o->ending > 0 ? -EINTR : o->left ? -ESTALE : 0;
	if (r == 0) {
		o->writers++;
		o->shared = true;
	}
	lock_drop(&o->lock);
	return r;
}

/*
 * Write what is being written already: its error, if it has one, comes first.
 * The reference is given back when it fails.
 */
static int join(struct fs *fs, struct opened *o, bool trunc,
		struct cancel *cancel)
{
	struct staged_state s;
	int r = enter(o, cancel);

	if (r < 0) {
		opened_put(fs, o);
		return r;
	}
	staged_get(o->staged, &s);
	r = s.err;
	if (r == 0 && trunc && s.size > 0)
		r = staged_truncate(o->staged, 0);
	if (r < 0)
		written_undo(fs, o);
	return r;
}

bool written_leave(struct opened *o)
{
	bool last;

	lock_take(&o->lock);
	last = --o->writers == 0;
	lock_drop(&o->lock);
	return last;
}

/*
 * It could not be committed: its name means what the store has, which may be
 * something else than was known.
 */
static void give_up_name(struct fs *fs, struct opened *o)
{
	char key[UFS_KEY_MAX + 1];
	size_t n = staged_key(o->staged, key);

	meta_gone(fs->meta, (struct str){ key, n });
	inodes_set_gone(fs->inodes, o->nodeid);
	inodes_leave(fs->inodes, o->nodeid);
}

void written_end(struct fs *fs, struct opened *o, unsigned own)
{
	struct staged_state s;
	bool last;

	lock_take(&o->lock);
	last = o->writers == 0;
	o->ending += last;
	lock_drop(&o->lock);
	if (!last)
		return;
	staged_get(o->staged, &s);
	/* Clean, too: nobody may have waited for what made it so. */
	if (s.err == 0)
		(void)written_commit(fs, o, NULL);
	staged_get(o->staged, &s);
	if (s.err == 0)
		staged_offer(o->staged);
	lock_take(&o->lock);
	if (o->cached + o->direct > own)
		o->left = true;
	last = o->left;
	lock_drop(&o->lock);
	if (s.err < 0)
		give_up_name(fs, o);
	else if (last)
		inodes_leave(fs->inodes, o->nodeid);
	lock_take(&o->lock);
	o->ending--;
	event_broadcast(&o->ended);
	lock_drop(&o->lock);
}

/* Is what is left to be committed kept, and follows? */
static bool follows(struct fs *fs, struct opened *o)
{
	struct staged_state s;
	bool last, yes;

	if (!fs->conf.writeback)
		return false;
	lock_take(&o->lock);
	last = o->writers == 0;
	o->ending += last; /* what the next one writes is not acknowledged */
	lock_drop(&o->lock);
	if (!last)
		return false;
	staged_get(o->staged, &s);
	yes = s.dirty && s.err == 0 && written_close(fs, o, NULL) == 0;
	lock_take(&o->lock);
	o->ending--;
	event_broadcast(&o->ended);
	lock_drop(&o->lock);
	return yes;
}

void written_last(struct fs *fs, struct opened *o, unsigned own)
{
	if (!follows(fs, o))
		written_end(fs, o, own);
}

/* A writer less: may others have left their commit to this one? */
static bool leave_undone(struct opened *o)
{
	bool last;

	lock_take(&o->lock);
	last = --o->writers == 0 && o->shared;
	lock_drop(&o->lock);
	return last;
}

void written_undo(struct fs *fs, struct opened *o)
{
	if (leave_undone(o))
		written_last(fs, o, 0);
	opened_put(fs, o);
}

struct undo {
	struct job job;
	struct fs *fs;
	struct opened *o; /* owns a ref */
};

static void undo_run(struct job *job)
{
	struct undo *u = container_of(job, struct undo, job);

	written_last(u->fs, u->o, 0);
	opened_put(u->fs, u->o);
	free(u);
}

void written_undo_soon(struct fs *fs, struct opened *o)
{
	struct undo *u;

	if (!leave_undone(o)) {
		opened_put(fs, o);
		return;
	}
	u = malloc(sizeof(*u));
	if (u == NULL) {
		written_last(fs, o, 0); /* late, but not lost */
		opened_put(fs, o);
		return;
	}
	*u = (struct undo){ { .run = undo_run }, fs, o };
	pool_submit(fs->committers, &u->job, POOL_DEMAND);
}

bool written_has_key(struct fs *fs, uint64_t nodeid, const char *key, size_t n)
{
	char now[UFS_KEY_MAX + 1];
	size_t now_n;

	return inodes_key(fs->inodes, nodeid, now, &now_n) == 0 &&
	       str_eq((struct str){ now, now_n }, (struct str){ key, n });
}

static int open_fresh(struct fs *fs, uint64_t nodeid, bool trunc,
		      struct cancel *cancel, struct opened **out)
{
	char key[UFS_KEY_MAX + 1];
	struct opened *fresh;
	struct inode_attr a;
	struct staged *f;
	struct ufs_stat st;
	void *run;
	size_t n;
	int r = inodes_get(fs->inodes, nodeid, &a, &st);

	if (r == 0 && a.type == INODE_DIR)
		r = -EISDIR;
	if (r == 0 && a.gone)
		r = -ESTALE;
	if (r == 0)
		r = inodes_key(fs->inodes, nodeid, key, &n);
	if (r == 0)
		r = staging_failed(fs->conf.staging, (struct str){ key, n });
	if (r == 0)
		r = still_there(fs, nodeid, (struct str){ key, n }, &st,
				cancel);
	if (r == 0 && !trunc && (st.flags & UFS_ARCHIVED))
		r = -EACCES;
	if (r == 0)
		r = staged_new(fs->conf.staging, (struct str){ key, n },
			       trunc ? STAGED_EMPTY : STAGED_UPON, &st, &f);
	if (r < 0)
		return r;
	fresh = written_new(f);
	if (fresh == NULL)
		return -ENOMEM;
	fresh->nodeid = nodeid;
	r = inodes_write(fs->inodes, nodeid, fresh, &run);
	if (r < 0 || run != fresh)
		written_free(fresh);
	/* Its readers keep it: the name is to get another one. */
	if (r == -EBUSY) {
		inodes_leave(fs->inodes, nodeid);
		r = -ESTALE;
	}
	if (r == 0 && run != fresh)
		r = join(fs, run, trunc, cancel);
	else if (r == 0 && !written_has_key(fs, nodeid, key, n)) {
		written_undo(fs, fresh);
		r = -ESTALE;
	}
	if (r == 0) {
		appear_above(fs->appear, nodeid);
		*out = run;
	}
	return r;
}

static int open_any(struct fs *fs, uint64_t nodeid, bool trunc,
		    struct cancel *cancel, struct opened **out)
{
	struct inode_attr a;
	void *run = NULL;
	int r = inodes_get(fs->inodes, nodeid, &a, NULL);

	if (r < 0)
		return r;
	if (a.writing)
		run = inodes_attach(fs->inodes, nodeid, NULL);
	if (run != NULL && ((struct opened *)run)->staged == NULL) {
		opened_put(fs, run);
		run = NULL;
	}
	if (run == NULL)
		return open_fresh(fs, nodeid, trunc, cancel, out);
	r = join(fs, run, trunc, cancel);
	if (r == 0)
		*out = run;
	return r;
}

/*
 * After ESTALE the kernel looks the name up once more, and opens what it finds
 * once: that is not to come from a memory as old as this inode.
 */
int written_open(struct fs *fs, uint64_t nodeid, bool trunc,
		 struct cancel *cancel, struct opened **out)
{
	char key[UFS_KEY_MAX + 1];
	size_t n;
	int r;

	do {
		r = inodes_key(fs->inodes, nodeid, key, &n);
		if (r == 0)
			r = trees_wait(&fs->trees, (struct str){ key, n },
				       cancel);
	} while (r > 0);
	if (r == 0)
		r = open_any(fs, nodeid, trunc, cancel, out);
	if (r == -ESTALE && inodes_key(fs->inodes, nodeid, key, &n) == 0)
		meta_gone(fs->meta, (struct str){ key, n });
	return r;
}

/* How long the component is that ends a key. */
static size_t dir_of(const char *key, size_t n)
{
	while (n > 0 && key[n - 1] != '/')
		n--;
	return n;
}

void written_made_below(struct fs *fs, const char *key, size_t n)
{
	while (n > 0) {
		size_t dir = dir_of(key, n - 1);

		meta_made_below(fs->meta, (struct str){ key, dir },
				(struct str){ key + dir, n - 1 - dir });
		n = dir;
	}
}

void written_made(struct fs *fs, const char *key, size_t dir, size_t n,
		  const struct ufs_stat *st)
{
	struct str dirkey = { key, dir }, name = { key + dir, n - dir };
	struct meta_answer a = { 0 };
	bool is_dir =
	    meta_lookup_fast(fs->meta, dirkey, name, &a) == 0 && a.dir;

	meta_made(fs->meta, dirkey, name, st, is_dir);
	if (st != NULL)
		written_made_below(fs, key, dir);
}

/* Is st what the inode is known to be? */
static bool is_noted(struct fs *fs, uint64_t nodeid, const struct ufs_stat *st)
{
	struct inode_attr a;
	struct ufs_stat known;

	return inodes_get(fs->inodes, nodeid, &a, &known) == 0 &&
	       strcmp(known.version, st->version) == 0 &&
	       known.size == st->size && known.mtime == st->mtime;
}

/*
 * Make known what was committed last: to lookups, and then to the inode, by
 * which it is seen that it was. Commits of others may come in between: then
 * what was just said is old, and the next is said.
 */
int written_note(struct fs *fs, struct opened *o)
{
	char key[UFS_KEY_MAX + 1];
	struct staged_state s;
	size_t n;
	int r = 0;

	for (; r == 0; r = inodes_written(fs->inodes, o->nodeid, &s.st)) {
		staged_get(o->staged, &s);
		if (s.removed || !s.committed || is_noted(fs, o->nodeid, &s.st))
			break;
		n = staged_key(o->staged, key);
		written_made(fs, key, dir_of(key, n), n, &s.st);
	}
	return r;
}

/*
 * Who has written since is to commit at its close. A write is noted after it
 * was made: the lock is held while this is asked.
 */
static void forget_writers(struct opened *o)
{
	struct staged_state s;

	lock_take(&o->lock);
	staged_get(o->staged, &s);
	if (!s.dirty || s.acked) {
		o->nwrote = 0;
		o->wrote_more = o->only_made = false;
	}
	lock_drop(&o->lock);
}

int written_commit_now(struct fs *fs, struct opened *o, struct cancel *cancel)
{
	struct staged_state s;
	struct ufs_stat st;
	int r;

	staged_get(o->staged, &s);
	if (s.removed)
		return 0;
	r = staged_commit(o->staged, &st, cancel);
	if (r < 0)
		return r; /* the staging has said it */
	forget_writers(o);
	return written_note(fs, o);
}

/*
 * What is below a directory that is being moved is committed under its new
 * name: the old one may be gone by then.
 */
static int wait_for_name(struct fs *fs, struct opened *o, struct cancel *cancel)
{
	char key[UFS_KEY_MAX + 1];
	int r;

	do
		r = trees_wait(&fs->trees,
			       (struct str){ key, staged_key(o->staged, key) },
			       cancel);
	while (r > 0);
	return r;
}

int written_commit(struct fs *fs, struct opened *o, struct cancel *cancel)
{
	int r = wait_for_name(fs, o, cancel);

	/* A signal has freed who asked; the commit goes on in any case. */
	return r < 0 ? r : written_commit_now(fs, o, NULL);
}

int written_close(struct fs *fs, struct opened *o, struct cancel *cancel)
{
	struct staged_state s;
	int r;

	staged_get(o->staged, &s);
	if (!fs->conf.writeback || !s.dirty)
		return written_commit(fs, o, cancel);
	r = staged_persist(o->staged);
	staged_get(o->staged, &s);
	/* The disk would not take the record; the store may take the file. */
	if (r < 0 && s.err == 0)
		return written_commit(fs, o, cancel);
	if (r < 0)
		return r;
	forget_writers(o);
	later_commit(fs, o);
	return 0;
}

static bool wrote_locked(const struct opened *o, pid_t p)
    TSA(requires_capability(o->lock))
{
	for (unsigned i = 0; i < o->nwrote; i++)
		if (o->wrote[i] == p)
			return true;
	return false;
}

static void note_locked(struct opened *o, pid_t p)
    TSA(requires_capability(o->lock))
{
	if (wrote_locked(o, p))
		return;
	if (o->nwrote < OPENED_WROTE)
		o->wrote[o->nwrote++] = p;
	else
		o->wrote_more = true;
}

/*
 * Threads stand beside their processes in the list, so that /proc is asked
 * once for each, not once for each write.
 */
static void note_by(struct opened *o, pid_t caller, bool only_made)
{
	bool known;
	pid_t group;

	lock_take(&o->lock);
	if (!only_made)
		o->only_made = false;
	else if (o->nwrote == 0 && !o->wrote_more)
		o->only_made = true;
	if (caller == 0)
		o->wrote_more = true;
	known = o->wrote_more || wrote_locked(o, caller);
	lock_drop(&o->lock);
	if (known)
		return;
	group = process_of(caller);
	lock_take(&o->lock);
	note_locked(o, caller);
	if (group != 0)
		note_locked(o, group);
	lock_drop(&o->lock);
}

void written_by(struct opened *o, pid_t caller)
{
	note_by(o, caller, false);
}

void written_made_by(struct opened *o, pid_t caller)
{
	note_by(o, caller, true);
}

void written_discard(struct fs *fs, struct opened *o)
{
	staged_discard(o->staged);
	lock_take(&o->lock);
	if (!o->nameless)
		atomic_fetch_add(&fs->nameless, 1);
	o->nameless = true;
	lock_drop(&o->lock);
}

bool written_goes_on(struct fs *fs, struct opened *o, pid_t caller)
{
	struct inode_attr a;
	bool only;

	lock_take(&o->lock);
	only = o->only_made;
	lock_drop(&o->lock);
	if (!only || atomic_load(&fs->nameless) != 0 ||
	    inodes_get(fs->inodes, o->nodeid, &a, NULL) < 0)
		return false;
	turns_leave(&fs->turns); /* it may have many files open */
	return process_writes(caller, fs->dev, a.ino);
}

bool written_maybe_by(struct opened *o, pid_t caller)
{
	pid_t group;
	bool maybe;

	lock_take(&o->lock);
	maybe = o->wrote_more || wrote_locked(o, caller);
	lock_drop(&o->lock);
	if (maybe)
		return true;
	group = process_of(caller);
	lock_take(&o->lock);
	maybe = o->wrote_more ||
		(group != 0 ? wrote_locked(o, group) : o->nwrote > 0);
	lock_drop(&o->lock);
	return maybe;
}

int written_key(struct fs *fs, uint64_t parent, const char *name, bool make,
		char *key, size_t *dir, size_t *n)
{
	struct str s = str_of(name);
	struct name_key nk;
	int r = make ? name_check_new(s) : 0;

	if (r == 0)
		r = inodes_key(fs->inodes, parent, key, dir);
	if (r == 0)
		r = name_to_key(s, &nk);
	if (r < 0)
		return r;
	if (nk.kind == NAME_LONG || *dir + nk.n > UFS_KEY_MAX)
		return make ? -ENAMETOOLONG : -ENOENT;
	if (nk.kind == NAME_DATA)
		nk.n = 0;
	memcpy(key + *dir, nk.comp, nk.n);
	*n = *dir + nk.n;
	key[*n] = '\0';
	return 0;
}
