/* SPDX-License-Identifier: Apache-2.0 */
/*
 * written_later.c - commits that nobody waits for (S14)
 *
 * A file whose close was acknowledged stays one that is being written, without
 * a writer, until its commit is over: held by a job here, of which a few run
 * side by side. When the store is away or full the job tries again, a while
 * after the tries of the request itself; only when the mount ends are all of
 * them left, for the next one. What a mount before this one has left comes in
 * here, too.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "fuse/written.h"

/*
 * Many a file is renamed right after its close. What has not begun by then need
 * not be waited for, nor copied by the store. One that waited for its turn
 * anyway does not wait for this.
 */
#define GRACE (100 * NSEC_PER_MSEC)
#define PAUSE NSEC_PER_SEC /* at first */
#define PAUSE_MOST (8 * NSEC_PER_SEC)
/* It stays so for longer, and is sent what it then does not take. */
#define PAUSE_FULL (64 * NSEC_PER_SEC)

struct later {
	struct job job;
	struct fs *fs;
	struct opened *o; /* owns a ref */
	int64_t due;
};

/* False: the mount ends. */
static bool wait_until(struct fs *fs, int64_t until)
{
	bool on;

	lock_take(&fs->later_lock);
	while (!fs->settling &&
	       event_wait_until(&fs->later_wake, &fs->later_lock, until))
		;
	on = !fs->settling;
	lock_drop(&fs->later_lock);
	return on;
}

static bool is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

/* No close or sync tells that the store is full: the log does, once. */
static void note_away(struct fs *fs, int err)
{
	bool news;

	lock_take(&fs->later_lock);
	fs->store_away = staged_passes(err) && err != -ECANCELED;
	news = is_full(err) && !fs->store_full;
	if (err == 0 || news)
		fs->store_full = news;
	lock_drop(&fs->later_lock);
	if (news)
		log_warn("fuse: the store is full (%s): files that are closed "
			 "wait in the staging until it takes them",
			 strerror(-err));
}

/* The mount ends, and the store was away when it was asked last. */
static bool given_up(struct fs *fs)
{
	bool yes;

	lock_take(&fs->later_lock);
	yes = fs->settling && fs->store_away;
	lock_drop(&fs->later_lock);
	return yes;
}

static void bring(struct fs *fs, struct opened *o)
{
	int64_t pause = PAUSE;
	struct ufs_stat st;
	int r;

	if (given_up(fs))
		return;
	for (;;) {
		r = staged_commit_acked(o->staged, &st);
		note_away(fs, r);
		if (!staged_passes(r) || !wait_until(fs, clock_ns() + pause))
			break;
		pause = MIN(2 * pause, is_full(r) ? PAUSE_FULL : PAUSE_MOST);
	}
	if (r == 0)
		(void)written_note(fs, o);
}

static bool once_more(struct opened *o)
{
	bool again;

	lock_take(&o->lock);
	again = o->again;
	o->again = false;
	o->later = again;
	lock_drop(&o->lock);
	return again;
}

static void run(struct job *job)
{
	struct later *l = container_of(job, struct later, job);
	struct staged_state s;

	(void)wait_until(l->fs, l->due);
	do
		bring(l->fs, l->o);
	while (once_more(l->o));
	staged_get(l->o->staged, &s);
	/* Written again, it is for who does that to end it. */
	if (s.err < 0 || !s.dirty)
		written_end(l->fs, l->o, 0);
	opened_put(l->fs, l->o);
	free(l);
}

/* Takes over a reference of o. */
static void start(struct fs *fs, struct opened *o)
{
	struct later *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		/* It is kept, and the next close or mount goes on. */
		lock_take(&o->lock);
		o->later = false;
		lock_drop(&o->lock);
		opened_put(fs, o);
		return;
	}
	l->job.run = run;
	l->fs = fs;
	l->o = o;
	l->due = clock_ns() + GRACE;
	pool_submit(fs->laters, &l->job, POOL_DEMAND);
}

void later_commit(struct fs *fs, struct opened *o)
{
	bool runs;

	lock_take(&o->lock);
	runs = o->later;
	o->again = runs;
	o->later = true;
	lock_drop(&o->lock);
	if (!runs && inodes_attach(fs->inodes, o->nodeid, NULL) == o)
		start(fs, o);
}

/* The directory that the first n bytes of a key are, with a lookup counted. */
static int find_dir(struct fs *fs, const char *key, size_t n, uint64_t *nodeid)
{
	const struct ufs_stat none = { 0 };
	uint64_t parent = INODE_ROOT;
	struct inode_attr a;
	size_t from = 0;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (key[i] != '/')
			continue;
		r = inodes_lookup(fs->inodes, parent, INODE_DIR,
				  (struct str){ key + from, i - from }, &none,
				  &a);
		/* Its child holds it. */
		if (parent != INODE_ROOT)
			inodes_forget(fs->inodes, parent, 1);
		if (r == 0)
			parent = a.nodeid;
		from = i + 1;
	}
	*nodeid = parent;
	return r;
}

/* Takes over the reference. */
static int attach(struct fs *fs, struct staged *f)
{
	char key[UFS_KEY_MAX + 1];
	size_t n = staged_key(f, key), dir = n;
	struct inode_attr a;
	struct opened *o;
	uint64_t parent;
	int r;

	while (dir > 0 && key[dir - 1] != '/')
		dir--;
	o = written_new(f);
	if (o == NULL)
		return -ENOMEM;
	o->writers = 0;
	o->later = true;
	r = find_dir(fs, key, dir, &parent);
	if (r == 0) {
		r = inodes_create(fs->inodes, parent,
				  (struct str){ key + dir, n - dir }, o,
				  &o->nodeid, &a);
		if (parent != INODE_ROOT)
			inodes_forget(fs->inodes, parent, 1);
	}
	if (r < 0) {
		written_free(o);
		return r;
	}
	inodes_forget(fs->inodes, a.nodeid, 1);
	start(fs, o);
	return 0;
}

void later_restore(struct fs *fs)
{
	struct staged *f;
	unsigned n = 0;

	for (; (f = staging_restored(fs->conf.staging)) != NULL; n++) {
		int r = attach(fs, f);

		if (r < 0)
			log_err("fuse: a file that a mount before this one was "
				"to commit is left to the next one: %s",
				strerror(-r));
	}
	if (n > 0)
		log_info("fuse: %u files that a mount before this one was to "
			 "commit are being committed",
			 n);
}

void later_settle(struct fs *fs)
{
	lock_take(&fs->later_lock);
	fs->settling = true;
	event_broadcast(&fs->later_wake);
	lock_drop(&fs->later_lock);
	pool_stop(take_ptr(fs->laters));
}
