/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename.c - objects get other names
 *
 * Each is copied, told of, and removed by itself; several threads of those that
 * send parts take one after the other. One that was written meanwhile, so that
 * what was copied is not its version any more, is copied once more: upon the
 * first copy, and nothing that anybody else put there.
 */
#include "cache/rename_impl.h"

#include <errno.h>
#include <stdio.h>

#include "base/crash.h"
#include "base/log.h"
#include "cache/recover_impl.h"
#include "ufs/ufs_impl.h"

#define SIDE_BY_SIDE 16
#define COPIES 3

static const struct ufs_cond absent = { UFS_IF_ABSENT, NULL };
static const struct ufs_cond any = { UFS_IF_ANY, NULL };

int rename_new(struct staging *s, struct str from, struct str to,
	       const struct ufs_cond *cond, struct rename **out)
{
	struct rename *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->fd = -1;
	r->staging = s;
	r->from = str_dup(from);
	r->to = str_dup(to);
	r->from_n = from.n;
	r->to_n = to.n;
	r->tree = from.n > 0 && from.p[from.n - 1] == '/';
	r->cond = (struct ufs_cond){ .what = cond->what };
	if (cond->what == UFS_IF_VERSION) {
		size_t n = strnlen(cond->version, sizeof(r->version) - 1);

		memcpy(r->version, cond->version, n);
		r->cond.version = r->version;
	}
	if (r->from == NULL || r->to == NULL) {
		rename_free(r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

void rename_free(struct rename *r)
{
	if (r == NULL)
		return;
	/* What lingers is the next mount's. */
	if (r->fd >= 0 && !r->lingers)
		rename_record_drop(r);
	if (r->fd >= 0)
		close(r->fd);
	for (size_t i = 0; i < r->n; i++)
		free(r->objects[i].name);
	free(r->objects);
	free(r->from);
	free(r->to);
	free(r);
}

int rename_add(struct rename *r, struct str name, const struct ufs_stat *st)
{
	struct rename_object *o;

	if (r->n == r->room) {
		size_t room = r->room * 2 + 1;
		void *more = realloc(r->objects, room * sizeof(*r->objects));

		if (more == NULL)
			return -ENOMEM;
		r->objects = more;
		r->room = room;
	}
	o = &r->objects[r->n];
	*o = (struct rename_object){ .n = name.n, .st = *st };
	o->name = str_dup(name);
	if (o->name == NULL)
		return -ENOMEM;
	r->n++;
	return 0;
}

size_t rename_count(const struct rename *r)
{
	return r->n;
}

/* ---- what is below a directory ---- */

struct list {
	struct rename *rename;
	size_t most;
};

static int list_cb(void *arg, const struct ufs_entry *e)
{
	struct list *l = arg;
	struct rename *r = l->rename;
	struct str name = { e->key.p + r->from_n, e->key.n - r->from_n };

	if (e->dir)
		return 0;
	if (r->n == l->most)
		return -EXDEV;
	if (e->st.flags & UFS_ARCHIVED)
		return -EACCES; /* it cannot be copied */
	if (strlen(r->staging->ufs->prefix) + r->to_n + name.n > UFS_KEY_MAX)
		return -ENAMETOOLONG;
	return rename_add(r, name, &e->st);
}

int rename_list(struct rename *r, size_t most, struct cancel *cancel)
{
	struct ufs *u = r->staging->ufs;
	struct ufs_list q = { .prefix = { r->from, r->from_n },
			      .after = STR_EMPTY,
			      .deep = true,
			      .max = 1000 };
	struct list l = { r, most };
	AUTO_FREE char *token = NULL;
	int err;

	do
		err = u->ops->list(u, &q, &token, list_cb, &l, cancel);
	while (err == 0 && token != NULL);
	return err == -ENOENT ? 0 : err;
}

/* ---- many side by side ---- */

struct lane {
	struct job job;
	struct work *work;
};

struct work {
	struct rename *rename;
	rename_fn *fn;
	void *arg;
	atomic_size_t next;

	struct lock lock;
	struct event ended;
	/* under lock */
	size_t running;
	int err;
	char words[256]; /* of its thread */
};

static void lane_run(struct job *job)
{
	struct work *w = container_of(job, struct lane, job)->work;
	int err = 0;

	while (err == 0) {
		size_t i = atomic_fetch_add(&w->next, 1);

		if (i >= w->rename->n)
			break;
		err = w->fn(w->rename, &w->rename->objects[i], w->arg);
	}
	/* Nobody begins another one. */
	if (err < 0)
		atomic_store(&w->next, w->rename->n);
	lock_take(&w->lock);
	if (err < 0 && w->err == 0) {
		w->err = err;
		snprintf(w->words, sizeof(w->words), "%s", ufs_last_error());
	}
	if (--w->running == 0)
		event_broadcast(&w->ended);
	lock_drop(&w->lock);
}

int rename_each(struct rename *r, rename_fn *fn, void *arg)
{
	size_t n = MIN(r->n, (size_t)SIDE_BY_SIDE);
	struct lane lanes[SIDE_BY_SIDE];
	struct work w = { .rename = r, .fn = fn, .arg = arg, .running = n };

	if (n <= 1)
		return n == 0 ? 0 : fn(r, &r->objects[0], arg);
	lock_init(&w.lock, RANK_LEAF);
	event_init(&w.ended);
	for (size_t i = 0; i < n; i++) {
		lanes[i] = (struct lane){ { NULL, lane_run }, &w };
		pool_submit(r->staging->senders, &lanes[i].job,
			    POOL_BACKGROUND);
	}
	lock_take(&w.lock);
	while (w.running > 0)
		event_wait(&w.ended, &w.lock);
	lock_drop(&w.lock);
	event_fini(&w.ended);
	lock_fini(&w.lock);
	return w.err < 0 ? ufs_fail(w.err, "%s", w.words) : 0;
}

/* ---- the moving ---- */

static struct str key_of(const char *dir, size_t dir_n,
			 const struct rename_object *o, char *key)
{
	memcpy(key, dir, dir_n);
	memcpy(key + dir_n, o->name, o->n);
	key[dir_n + o->n] = '\0';
	return (struct str){ key, dir_n + o->n };
}

struct str rename_from(const struct rename *r, const struct rename_object *o,
		       char *key)
{
	return key_of(r->from, r->from_n, o, key);
}

struct str rename_to(const struct rename *r, const struct rename_object *o,
		     char *key)
{
	return key_of(r->to, r->to_n, o, key);
}

static int no_bytes(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)arg, (void)off, (void)buf, (void)len;
	return -EINVAL; /* of none, none are asked for */
}

int rename_copy(struct rename *r, struct rename_object *o,
		const struct ufs_cond *cond)
{
	const struct ufs_body empty = { .read = no_bytes };
	char from_key[UFS_KEY_MAX + 1], to_key[UFS_KEY_MAX + 1];
	struct str from = rename_from(r, o, from_key);
	struct str to = rename_to(r, o, to_key);
	struct ufs *u = r->staging->ufs;
	int err;

	/* Stores whose directories are real cannot copy a marker. */
	if (o->st.size == 0 && from.p[from.n - 1] == '/')
		err = u->ops->write->put(u, to, &empty, cond, &o->made, NULL);
	else
		err = staging_copy(r->staging, from, &o->st, to, cond, &o->made,
				   NULL);
	if (err == 0)
		o->copied = true;
	return err;
}

int rename_remove(struct rename *r, const struct rename_object *o,
		  struct str from)
{
	const struct ufs_cond is = { UFS_IF_VERSION, o->st.version };
	struct ufs *u = r->staging->ufs;
	struct ufs_stat now;
	int err;

	if (!r->staging->last_wins)
		return u->ops->write->remove(u, from, &is, NULL);
	err = u->ops->stat(u, from, &now, NULL);
	if (err == -ENOENT ||
	    (err == 0 && strcmp(now.version, is.version) != 0))
		return -ESTALE;
	return err < 0 ? err : u->ops->write->remove(u, from, &any, NULL);
}

/*
 * The next mount is to remove the old name, and no more than that: who hears
 * that it was renamed may write to the new one, or remove it.
 */
static void linger(struct rename *r, struct str key, int err)
{
	char words[3 * UFS_KEY_MAX + 1];

	r->lingers = rename_record_again(r) == 0;
	record_escape(key, words);
	log_warn("staging: rename %s: it is there under its new name, but the "
		 "old one could not be removed: %s; %s",
		 words, strerror(-err),
		 r->lingers ? "the next mount tries again" : "it stays");
}

/* Copy it and remove the old one. -ESTALE: once more, it is another by now. */
static int move_once(struct rename *r, struct rename_object *o,
		     const struct ufs_cond *cond,
		     const struct rename_hook *hook)
{
	char key[UFS_KEY_MAX + 1];
	struct str from = rename_from(r, o, key);
	int err = rename_copy(r, o, cond);

	if (err < 0)
		return err;
	crash_point("rename-copied");
	err = hook->copied(hook->arg, (struct str){ o->name, o->n }, &o->st,
			   &o->made);
	if (err < 0)
		return err;
	err = rename_remove(r, o, from);
	if (err == 0)
		crash_point("rename-removed");
	o->moved = err == 0;
	if (err < 0 && err != -ESTALE && !r->tree) {
		linger(r, from, err);
		err = 0;
	}
	return err;
}

/*
 * Its version now. -ENOENT: it is gone. -ESTALE: it is the same, so that what
 * is in the way is at the new name.
 */
static int look_again(struct rename *r, struct rename_object *o)
{
	char key[UFS_KEY_MAX + 1];
	struct ufs *u = r->staging->ufs;
	struct ufs_stat now;
	int err = u->ops->stat(u, rename_from(r, o, key), &now, NULL);

	if (err < 0)
		return err;
	if (!o->copied && strcmp(now.version, o->st.version) == 0)
		return -ESTALE;
	o->st = now;
	return 0;
}

static int move(struct rename *r, struct rename_object *o, void *arg)
{
	const struct rename_hook *hook = arg;
	struct ufs_cond cond = r->tree ? absent : r->cond;
	char ours[UFS_VERSION_MAX];
	int err = -ESTALE;

	/* The new directory may have a marker of its own. */
	if (r->tree && o->n == 0)
		cond = any;
	for (int i = 0; i < COPIES && err == -ESTALE; i++) {
		if (i > 0) {
			err = look_again(r, o);
			/* Somebody removed it: there is nothing to remove. */
			if (err == -ENOENT && (o->copied || r->tree))
				return 0;
			if (err < 0)
				return err;
		}
		err = move_once(r, o, &cond, hook);
		if (err == -ENOENT && r->tree)
			return 0;
		if (o->copied) {
			memcpy(ours, o->made.version, sizeof(ours));
			cond = (struct ufs_cond){ UFS_IF_VERSION, ours };
		}
	}
	if (err == -EEXIST && r->tree)
		return -ENOTEMPTY;
	return err == -ESTALE ? -EBUSY : err;
}

/* Who waited for it may be gone. */
static void say_ended(const struct rename *r, int err)
{
	char from[3 * UFS_KEY_MAX + 1], to[3 * UFS_KEY_MAX + 1];

	record_escape((struct str){ r->from, r->from_n }, from);
	record_escape((struct str){ r->to, r->to_n }, to);
	log_warn("staging: rename %s to %s ended after %zu of %zu objects: %s "
		 "(%s)",
		 from, to, rename_moved(r), r->n, strerror(-err),
		 ufs_last_error());
}

static int by_name(const void *a, const void *b)
{
	const struct rename_object *x = a, *y = b;

	return str_cmp((struct str){ x->name, x->n },
		       (struct str){ y->name, y->n });
}

int rename_run(struct rename *r, const struct rename_hook *hook)
{
	int err;

	qsort(r->objects, r->n, sizeof(*r->objects), by_name);
	err = rename_record_put(r);
	if (err < 0)
		return err;
	crash_point("rename-recorded");
	err = rename_each(r, move, (void *)hook);
	if (err < 0 && r->tree)
		say_ended(r, err);
	return err;
}

size_t rename_moved(const struct rename *r)
{
	size_t moved = 0;

	for (size_t i = 0; i < r->n; i++)
		moved += r->objects[i].moved;
	return moved;
}

bool rename_made(const struct rename *r, struct str name, const char *was,
		 struct ufs_stat *now)
{
	const struct rename_object key = { .name = (char *)name.p,
					   .n = name.n };
	const struct rename_object *o =
	    r == NULL || r->n == 0
		? NULL
		: bsearch(&key, r->objects, r->n, sizeof(*o), by_name);

	if (o == NULL || !o->copied || strcmp(o->st.version, was) != 0)
		return false;
	*now = o->made;
	return true;
}
