/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_names.c - names of a run that writes, and what is kept of files
 */
#include "tests/tools/refmodel-parts/write_run_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "cache/recover.h"

enum { PATIENCE = 500 }; /* times 10 ms */

static unsigned dir_of(unsigned key)
{
	for (unsigned i = 0; i < WRITE_DIRS; i++)
		if (write_keys[key][0] == write_dirs[i][0] &&
		    strchr(write_keys[key], '/') != NULL)
			return i;
	return WRITE_DIRS;
}

/* Is anything below it: now, or as the mount may remember? */
static bool has_keys(struct write_run *r, unsigned mount, unsigned dir,
		     bool remembered)
{
	for (unsigned i = 0; i < WRITE_KEYS; i++) {
		if (dir_of(i) != dir)
			continue;
		if (r->model.files[mount][i] != NULL ||
		    write_now(&r->model, i)->looked.there ||
		    (remembered && write_saw(&r->model, mount, i, true)))
			return true;
	}
	return false;
}

/* Or what it means for a mount is not what the store says. */
static bool dir_is_unsure(struct write_run *r, unsigned dir)
{
	for (unsigned i = 0; i < WRITE_KEYS; i++)
		if (dir < WRITE_DIRS && dir_of(i) == dir)
			return write_dir_gone(r, i);
	return false;
}

static bool dir_is_there(struct write_run *r, unsigned mount, unsigned dir)
{
	return dir == WRITE_DIRS || r->model.dirs[dir] ||
	       has_keys(r, mount, dir, false);
}

bool write_dir_unsure(struct write_run *r, unsigned mount, unsigned key)
{
	return !dir_is_there(r, mount, dir_of(key));
}

bool write_dir_gone(struct write_run *r, unsigned key)
{
	unsigned dir = dir_of(key);

	if (r->front->sure || dir == WRITE_DIRS || r->model.dirs[dir])
		return false;
	for (unsigned i = 0; i < WRITE_KEYS; i++)
		if (dir_of(i) == dir && write_now(&r->model, i)->looked.there)
			return false;
	return true;
}

void write_discard(struct write_run *r, unsigned mount, unsigned key)
{
	struct wfile *f = r->model.files[mount][key];

	if (f == NULL)
		return;
	f->removed = true;
	r->model.files[mount][key] = NULL;
	wfile_unref(f);
}

static void forgive(struct write_run *r, unsigned mount, unsigned key)
{
	r->model.failed[mount][key] = 0;
	r->model.unsure[mount][key] = false;
	write_floor(&r->model, mount, key);
}

/* ---- truncation by name ------------------------------------------------- */

static void truncate_written(struct write_run *r, struct wfile *f, int err,
			     uint64_t size, bool bound, size_t seen)
{
	bool committed = r->model.keys[f->key].n != seen;

	if (err == -ENOENT && write_dir_gone(r, f->key))
		return;
	if (f->err == 0 && err < 0 && err != f->maybe_err) {
		/* It was committed at once, or tried to be. */
		f->by_name = f->dirty == CLEAN;
		bytes_truncate(f->bytes, size);
		f->dirty = DIRTY;
		write_committed(r, f, err, bound);
		return;
	}
	if (err < 0 && err == f->maybe_err)
		write_stuck(r, f, err);
	if (err != f->err)
		write_wrong(r, "%s: truncate: %s, not %s", write_keys[f->key],
			    strerror(-err), strerror(-f->err));
	if (err < 0)
		return;
	f->maybe_err = 0;
	if (size != f->bytes->size)
		f->dirty = DIRTY;
	bytes_truncate(f->bytes, size);
	if (committed) {
		f->dirty = DIRTY;
		write_committed(r, f, 0, bound);
	} else if (f->dirty == DIRTY && !r->front->sure) {
		f->dirty = DIRTY_MAYBE;
	}
}

static void truncate_alone(struct write_run *r, unsigned mount, unsigned key,
			   int err, struct bytes *to)
{
	struct write_model *m = &r->model;
	const struct seen_version *now = write_now(m, key);

	if (err == 0) {
		if (to == NULL || !now->looked.there ||
		    !bytes_same(now->bytes, to))
			write_wrong(r,
				    "%s: truncate succeeds, and the store "
				    "has not that",
				    write_keys[key]);
		if (m->failed[mount][key] != 0 && !m->unsure[mount][key])
			write_wrong(r, "%s: truncate succeeds, and %s was told",
				    write_keys[key],
				    strerror(-m->failed[mount][key]));
		forgive(r, mount, key);
		m->left[mount][key] = clock_ns();
		return;
	}
	if (err == -ENOENT && write_saw(m, mount, key, false))
		return;
	if (err == m->failed[mount][key])
		return;
	if (!write_excused(r, err)) {
		write_wrong(r, "%s: truncate: %s", write_keys[key],
			    strerror(-err));
		return;
	}
	/* Before it had begun, or when it was committed? */
	if (m->failed[mount][key] == 0 && to != NULL) {
		struct wfile f = { .mount = mount, .key = key, .bytes = to };

		m->failed[mount][key] = err;
		m->unsure[mount][key] = true;
		write_keep(m, &f, NULL, false);
	}
}

void write_truncate(struct write_run *r, unsigned mount, unsigned key,
		    uint64_t size)
{
	struct wfile *f = r->model.files[mount][key];
	const struct seen_version *now = write_now(&r->model, key);
	bool bound = f != NULL && wfile_bound(&r->model, f);
	size_t seen = r->model.keys[key].n;
	struct bytes *to = NULL;
	int err;

	if (f != NULL)
		to = bytes_copy(f->bytes);
	else if (now->looked.there)
		to = bytes_copy(now->bytes);
	if (to != NULL)
		bytes_truncate(to, size);
	r->may[key].is[0] = to;
	err = r->ops->truncate(r->front, mount, key, size);
	write_trace(r, "%u: truncate %s to %ju: %s", mount, write_keys[key],
		    (uintmax_t)size, strerror(-err));
	write_observe(r);
	if (!r->out->failed && f != NULL)
		truncate_written(r, f, err, size, bound, seen);
	else if (!r->out->failed)
		truncate_alone(r, mount, key, err, to);
	bytes_unref(to);
}

/* ---- unlink and rename -------------------------------------------------- */

static void do_unlink(struct write_run *r, unsigned mount, unsigned key)
{
	struct write_model *m = &r->model;
	bool there = write_now(m, key)->looked.there;
	bool written = m->files[mount][key] != NULL;
	int err;

	r->may[key].gone = true;
	err = r->ops->unlink(r->front, mount, key);
	write_trace(r, "%u: unlink %s: %s", mount, write_keys[key],
		    strerror(-err));
	write_observe(r);
	if (r->out->failed)
		return;
	if (err == 0) {
		if (write_now(m, key)->looked.there)
			write_wrong(r, "%s: it was removed, and is there",
				    write_keys[key]);
		if (!there && !written && !write_saw(m, mount, key, true))
			write_wrong(r, "%s: what is not there was removed",
				    write_keys[key]);
		write_discard(r, mount, key);
		forgive(r, mount, key);
		return;
	}
	if (err == -ENOENT && write_dir_gone(r, key))
		return;
	if (!(err == -ENOENT && !written && write_saw(m, mount, key, false)) &&
	    !write_excused(r, err))
		write_wrong(r, "%s: unlink: %s", write_keys[key],
			    strerror(-err));
}

struct rename {
	unsigned mount, from, to;
	bool noreplace, bound, readable, was_there, to_there;
	struct wfile *file, *other; /* borrowed, or NULL */
	struct bytes *bytes;        /* that move; a ref, or NULL */
	size_t seen, seen_from;     /* versions of to, and of from */
};

static void rename_failed(struct write_run *r, const struct rename *n, int err)
{
	struct write_model *m = &r->model;
	struct wfile *f = n->file;
	bool lost = f != NULL && !n->bound;

	if (!write_now(m, n->from)->looked.there && n->was_there &&
	    !(write_now(m, n->to)->looked.there &&
	      bytes_same(write_now(m, n->to)->bytes, n->bytes)))
		write_wrong(r, "%s: it is under neither name",
			    write_keys[n->from]);
	if (err == -ENOENT &&
	    ((f == NULL && write_saw(m, n->mount, n->from, false)) ||
	     write_dir_unsure(r, n->mount, n->to) ||
	     write_dir_gone(r, n->from) || write_dir_gone(r, n->to)))
		return;
	if (err == -EEXIST && n->noreplace &&
	    (n->to_there || n->other != NULL ||
	     write_saw(m, n->mount, n->to, true)))
		return;
	if (f != NULL && f->err != 0 && err == f->err)
		return;
	if (lost && !r->config->last_wins &&
	    (err == -ESTALE || (f->exclusive && err == -EEXIST)) &&
	    f->dirty == DIRTY) {
		write_committed(r, f, err, false);
		return;
	}
	if (f != NULL && !n->readable && err == -ESTALE && f->dirty == DIRTY) {
		write_committed(r, f, err, n->bound);
		return;
	}
	if (lost && (err == -ESTALE || err == -ENOENT || err == -EBUSY)) {
		f->maybe_err = err;
		return;
	}
	if (!write_excused(r, err)) {
		/* Nothing but what stayed explains it. */
		if (f != NULL && err == f->maybe_err)
			write_stuck(r, f, err);
		else
			write_wrong(r, "%s to %s: rename: %s",
				    write_keys[n->from], write_keys[n->to],
				    strerror(-err));
		return;
	}
	/* A commit of it may have failed, or made it. */
	if (f != NULL) {
		f->maybe_err = err;
		f->dirty = f->dirty == CLEAN ? CLEAN : DIRTY_MAYBE;
		if (m->keys[n->from].n != n->seen_from)
			wfile_set_base(f,
				       write_now(m, n->from)->looked.version);
	}
}

/* What is being written has moved. */
static void file_moved(struct write_run *r, const struct rename *n)
{
	struct write_model *m = &r->model;
	const struct seen_version *now = write_now(m, n->to);
	struct wfile *f = n->file;
	bool stored =
	    now->looked.there && bytes_same(now->bytes, f->bytes) &&
	    (m->keys[n->to].n != n->seen || f->dirty == CLEAN || n->was_there);

	if (f->err != 0)
		write_wrong(r, "%s to %s: rename, and %s was told",
			    write_keys[n->from], write_keys[n->to],
			    strerror(-f->err));
	if (!n->bound && f->dirty == DIRTY && n->was_there &&
	    !r->config->last_wins && !r->ops->failed(r->front))
		write_wrong(r,
			    "%s to %s: rename took the place of a version "
			    "that its open had not seen",
			    write_keys[n->from], write_keys[n->to]);
	if (!stored && (n->was_there || m->keys[n->to].n != n->seen))
		write_wrong(r, "%s to %s: renamed, and the store has not that",
			    write_keys[n->from], write_keys[n->to]);
	f->key = n->to;
	f->exclusive = false;
	f->maybe_err = 0;
	f->dirty = stored ? CLEAN : DIRTY;
	if (stored)
		wfile_set_base(f, now->looked.version);
	else
		snprintf(f->base, sizeof(f->base), "%s",
			 now->looked.there ? now->looked.version : "");
	m->files[n->mount][n->from] = NULL;
	m->files[n->mount][n->to] = f;
}

static void renamed(struct write_run *r, const struct rename *n)
{
	struct write_model *m = &r->model;
	const struct seen_version *now = write_now(m, n->to);

	if (n->noreplace && (n->to_there || n->other != NULL))
		write_wrong(r, "%s to %s: what was there was replaced",
			    write_keys[n->from], write_keys[n->to]);
	if (n->other != NULL)
		write_discard(r, n->mount, n->to);
	if (n->file != NULL)
		file_moved(r, n);
	else if (!n->was_there || !now->looked.there ||
		 !bytes_same(now->bytes, n->bytes))
		write_wrong(r, "%s to %s: renamed, and the store has not that",
			    write_keys[n->from], write_keys[n->to]);
	if (write_now(m, n->from)->looked.there && !r->ops->failed(r->front))
		write_wrong(r, "%s to %s: the old name is there",
			    write_keys[n->from], write_keys[n->to]);
	if (write_now(m, n->from)->looked.there)
		snprintf(m->lingers[n->mount][n->from], UFS_VERSION_MAX, "%s",
			 write_now(m, n->from)->looked.version);
	forgive(r, n->mount, n->from);
	forgive(r, n->mount, n->to);
}

static void do_rename(struct write_run *r, const struct op *op)
{
	struct write_model *m = &r->model;
	struct rename n = { .mount = op->a % WRITE_MOUNTS,
			    .from = op->b % WRITE_KEYS,
			    .to = op->c % WRITE_KEYS,
			    .noreplace = op->d % 5 == 0 };
	const struct seen_version *from = write_now(m, n.from);
	int err;

	if (n.from == n.to)
		return;
	n.file = m->files[n.mount][n.from];
	n.other = m->files[n.mount][n.to];
	n.bound = n.file != NULL && wfile_bound(m, n.file);
	n.readable = n.file == NULL || wfile_readable(m, n.file);
	n.was_there = from->looked.there;
	n.to_there = write_now(m, n.to)->looked.there;
	n.seen = m->keys[n.to].n;
	n.seen_from = m->keys[n.from].n;
	n.bytes = bytes_ref(n.file != NULL ? n.file->bytes : from->bytes);
	r->may[n.from].gone = true;
	if (n.file != NULL)
		r->may[n.from].is[0] = n.bytes;
	r->may[n.to].is[0] = n.bytes;
	err = r->ops->rename(r->front, n.mount, n.from, n.to, n.noreplace);
	write_trace(r, "%u: rename %s to %s%s: %s", n.mount, write_keys[n.from],
		    write_keys[n.to], n.noreplace ? " if absent" : "",
		    strerror(-err));
	write_observe(r);
	if (!r->out->failed && err == 0)
		renamed(r, &n);
	else if (!r->out->failed)
		rename_failed(r, &n, err);
	bytes_unref(n.bytes);
}

/* ---- directories, and what names are ------------------------------------ */

static void do_mkdir(struct write_run *r, unsigned mount, unsigned dir)
{
	bool there = dir_is_there(r, mount, dir);
	int err;

	if (r->ops->mkdir == NULL)
		return;
	r->may_dir[dir] = true;
	err = r->ops->mkdir(r->front, mount, dir);
	write_trace(r, "%u: mkdir %s: %s", mount, write_dirs[dir],
		    strerror(-err));
	write_observe(r);
	if (err == 0 ? !r->model.dirs[dir]
		     : !(err == -EEXIST && (there || !r->config->strict)) &&
			   !write_excused(r, err))
		write_wrong(r, "%s: mkdir: %s", write_dirs[dir],
			    strerror(-err));
}

static void do_rmdir(struct write_run *r, unsigned mount, unsigned dir)
{
	bool there = dir_is_there(r, mount, dir);
	bool full = has_keys(r, mount, dir, false);
	int err;

	if (r->ops->rmdir == NULL)
		return;
	r->may_dir[dir] = true;
	err = r->ops->rmdir(r->front, mount, dir);
	write_trace(r, "%u: rmdir %s: %s", mount, write_dirs[dir],
		    strerror(-err));
	write_observe(r);
	if (err == 0 && (full || r->model.dirs[dir]))
		write_wrong(r, "%s: rmdir, and it is there", write_dirs[dir]);
	else if (err < 0 && !(err == -ENOTEMPTY && full) &&
		 !(err == -ENOENT &&
		   (!there || !r->config->strict || dir_is_unsure(r, dir))) &&
		 !write_excused(r, err))
		write_wrong(r, "%s: rmdir: %s", write_dirs[dir],
			    strerror(-err));
}

static void do_stat(struct write_run *r, unsigned mount, unsigned key)
{
	struct write_model *m = &r->model;
	const struct wfile *f = m->files[mount][key];
	const struct seen_version *v;
	struct ufs_stat st;
	int err = r->ops->stat(r->front, mount, key, &st);

	write_trace(r, "%u: stat %s: %s, '%s' of %ju bytes", mount,
		    write_keys[key], strerror(-err), err < 0 ? "" : st.version,
		    err < 0 ? 0 : (uintmax_t)st.size);
	if (err < 0) {
		if (!(err == -ENOENT &&
		      (write_dir_gone(r, key) ||
		       (f == NULL && write_saw(m, mount, key, false)))) &&
		    !write_excused(r, err))
			write_wrong(r, "%s: stat: %s", write_keys[key],
				    strerror(-err));
		return;
	}
	if (f != NULL) {
		if (st.size != f->bytes->size)
			write_wrong(r, "%s: stat: %ju bytes, not %ju",
				    write_keys[key], (uintmax_t)st.size,
				    (uintmax_t)f->bytes->size);
		return;
	}
	v = write_version(m, mount, key, st.version);
	if (v == NULL || v->looked.size != st.size)
		write_wrong(r,
			    "%s: stat: '%s' of %ju bytes is not there, or "
			    "older than it may be",
			    write_keys[key], st.version, (uintmax_t)st.size);
}

struct listed {
	const char *dir;
	unsigned keys[WRITE_KEYS], dirs[WRITE_DIRS], others;
};

static void listed_cb(void *arg, const char *name, bool dir)
{
	struct listed *l = arg;
	char key[300];

	snprintf(key, sizeof(key), "%s%s%s", l->dir,
		 l->dir[0] != '\0' ? "/" : "", name);
	for (unsigned i = 0; i < WRITE_KEYS && !dir; i++)
		if (strcmp(key, write_keys[i]) == 0) {
			l->keys[i]++;
			return;
		}
	for (unsigned i = 0; i < WRITE_DIRS && dir; i++)
		if (strcmp(key, write_dirs[i]) == 0) {
			l->dirs[i]++;
			return;
		}
	l->others++;
}

static void judge_listed(struct write_run *r, unsigned mount, unsigned dir,
			 const struct listed *l)
{
	struct write_model *m = &r->model;

	if (l->others > 0)
		write_wrong(r, "'%s': %u names that were never there", l->dir,
			    l->others);
	for (unsigned i = 0; i < WRITE_KEYS; i++) {
		bool written = m->files[mount][i] != NULL;

		if (dir_of(i) != dir)
			continue;
		if (l->keys[i] > 1)
			write_wrong(r, "%s: listed twice", write_keys[i]);
		if (l->keys[i] == 0 ? written || !write_saw(m, mount, i, false)
				    : !written && !write_saw(m, mount, i, true))
			write_wrong(r, "%s: %s", write_keys[i],
				    l->keys[i] == 0
					? "it is not listed"
					: "it is listed, and not there");
	}
	for (unsigned i = 0; i < WRITE_DIRS && dir == WRITE_DIRS; i++)
		if (l->dirs[i] > 1 ||
		    (r->config->strict && !dir_is_unsure(r, i) &&
		     (l->dirs[i] == 1) != dir_is_there(r, mount, i)))
			write_wrong(r, "%s: listed %u times", write_dirs[i],
				    l->dirs[i]);
}

static void do_list(struct write_run *r, unsigned mount, unsigned dir)
{
	struct listed l = { .dir = dir < WRITE_DIRS ? write_dirs[dir] : "" };
	int err;

	if (r->ops->list == NULL)
		return;
	err = r->ops->list(r->front, mount, l.dir, listed_cb, &l);
	write_trace(r, "%u: list '%s': %s", mount, l.dir, strerror(-err));
	if (err == 0)
		judge_listed(r, mount, dir, &l);
	else if (!(err == -ENOENT &&
		   (!dir_is_there(r, mount, dir) || !r->config->strict ||
		    dir_is_unsure(r, dir))) &&
		 !write_excused(r, err))
		write_wrong(r, "'%s': list: %s", l.dir, strerror(-err));
}

void write_name_op(struct write_run *r, const struct op *op)
{
	unsigned mount = op->a % WRITE_MOUNTS, key = op->b % WRITE_KEYS;

	switch (op->kind) {
	case WRITE_STAT:
		do_stat(r, mount, key);
		break;
	case WRITE_LIST:
		do_list(r, mount, op->b % (WRITE_DIRS + 1));
		break;
	case WRITE_UNLINK:
		do_unlink(r, mount, key);
		break;
	case WRITE_RENAME:
		do_rename(r, op);
		break;
	case WRITE_MKDIR:
		do_mkdir(r, mount, op->b % WRITE_DIRS);
		break;
	case WRITE_RMDIR:
		do_rmdir(r, mount, op->b % WRITE_DIRS);
		break;
	case WRITE_TRUNCATE:
		write_truncate(r, mount, key,
			       write_place(r, 1000, op->c, op->d));
		break;
	default:
		break;
	}
}

/* ---- what is kept ------------------------------------------------------- */

struct recovering {
	struct write_run *run;
	unsigned mount;
	bool found[KEPT_MAX];
	bool busy;             /* one is, that nobody has open */
	bool live[WRITE_KEYS]; /* one of it is: somebody's, or looked at */
};

static void is_busy(struct recovering *to, const char *key)
{
	for (unsigned i = 0; i < WRITE_KEYS; i++)
		to->live[i] |= strcmp(write_keys[i], key) == 0;
}

/* One that is to be found may be what the mount that came next looks at. */
static bool is_awaited(const struct recovering *to)
{
	const struct write_model *m = &to->run->model;

	for (size_t i = 0; i < m->nkept; i++) {
		const struct kept *k = &m->kept[i];

		if (k->mount == to->mount && k->sure && !to->found[i] &&
		    to->live[k->key] && !write_kept_open(m, k))
			return true;
	}
	return false;
}

static bool has_open(const struct write_run *r, unsigned mount, const char *key)
{
	for (unsigned i = 0; i < WRITE_SLOTS; i++) {
		const struct whandle *h = &r->model.handles[i];

		if (h->open && h->mount == mount && h->file != NULL &&
		    strcmp(write_keys[h->file->key], key) == 0)
			return true;
	}
	return false;
}

static struct bytes *saved(const struct recover_file *f, int *err)
{
	AUTO_CLOSE int fd = memfd_create("saved", MFD_CLOEXEC);
	struct bytes *b;

	must(fd < 0);
	*err = recover_save(f, fd);
	if (*err < 0)
		return NULL;
	b = bytes_new(NULL, f->r.size);
	b->size = f->r.size;
	must(pread(fd, b->p, b->size, 0) != (ssize_t)b->size);
	return b;
}

/* Which of what is kept is it? b NULL: one of this size that is not whole. */
static bool match(struct recovering *to, const char *key, const struct bytes *b,
		  uint64_t size)
{
	struct write_model *m = &to->run->model;
	/* One that has to be there comes first. */
	for (size_t i = 0; i < 2 * m->nkept; i++) {
		size_t at = i % m->nkept;
		const struct kept *k = &m->kept[at];

		if (k->mount != to->mount || to->found[at] ||
		    write_kept_open(m, k) || k->sure != (i < m->nkept) ||
		    strcmp(write_keys[k->key], key) != 0)
			continue;
		if (b == NULL ? !k->sure && k->bytes->size == size
			      : bytes_same(k->bytes, b)) {
			to->found[at] = true;
			return true;
		}
	}
	return false;
}

static int record_cb(void *arg, struct recover_record *rec)
{
	struct recovering *to = arg;
	struct write_run *r = to->run;
	const char *dir = r->ops->staging_dir(r->front, to->mount);
	struct recover_file f;
	struct bytes *b;
	char why[256];
	int err;

	if (!rec->live && !recover_has(rec))
		return 0;
	err = rec->live ? -EBUSY : recover_claim(dir, rec, &f, why);
	if (err == -EBUSY || err == -ENOENT) {
		to->busy |= err == -EBUSY && !has_open(r, to->mount, rec->key);
		if (err == -EBUSY)
			is_busy(to, rec->key);
		return 0;
	}
	if (err < 0) {
		write_wrong(r, "%s: it cannot be claimed: %s", rec->key, why);
		return 0;
	}
	b = saved(&f, &err);
	write_trace(r, "%u: %s is kept, %ju bytes, error %d", to->mount,
		    rec->key, (uintmax_t)f.r.size, f.r.err);
	if (err < 0 && err != -ENODATA)
		write_wrong(r, "%s: it cannot be saved: %s", rec->key,
			    strerror(-err));
	else if (!match(to, rec->key, b, f.r.size))
		write_wrong(r,
			    "%s: %ju bytes are kept that were not written "
			    "so, or are in the store%s",
			    rec->key, (uintmax_t)f.r.size,
			    b == NULL ? " (not whole)" : "");
	bytes_unref(b);
	err = recover_discard(&f);
	if (err < 0)
		write_wrong(r, "%s: it cannot be dropped: %s", rec->key,
			    strerror(-err));
	recover_close(&f);
	return 0;
}

/* Opens are told of what could not be dropped, if they were before. */
static void still_told(struct write_model *m, unsigned mount, unsigned key)
{
	int err = 0;

	for (size_t i = 0; i < m->nkept; i++)
		if (m->kept[i].mount == mount && m->kept[i].key == key &&
		    m->kept[i].file != NULL)
			err = write_sticky(m->kept[i].file->err);
	m->failed[mount][key] = m->failed[mount][key] != 0 ? err : 0;
	m->unsure[mount][key] = false;
}

/* All that a mount keeps is what it was given; then it is dropped. */
void write_recover(struct write_run *r, unsigned mount)
{
	struct write_model *m = &r->model;
	struct recovering to = { .run = r, .mount = mount };
	char why[256];
	size_t left = 0;
	int err;

	/* The end of one may be to come. */
	for (int i = 0; i < PATIENCE; i++) {
		to.busy = false;
		memset(to.live, 0, sizeof(to.live));
		err = recover_each(r->ops->staging_dir(r->front, mount),
				   record_cb, &to, why);
		if (err < 0 || (!to.busy && !is_awaited(&to)))
			break;
		usleep(10000);
	}
	if (err < 0)
		write_wrong(r, "recover: %s", why);
	for (size_t i = 0; i < m->nkept; i++) {
		struct kept *k = &m->kept[i];

		/* One that may be there may have been what was busy. */
		if (k->mount != mount || write_kept_open(m, k) ||
		    (!to.found[i] && !k->sure && to.live[k->key])) {
			m->kept[left++] = *k;
			continue;
		}
		if (k->sure && !to.found[i])
			write_wrong(r, "%s: its %ju bytes are not kept",
				    write_keys[k->key],
				    (uintmax_t)k->bytes->size);
		write_kept_drop(k);
	}
	m->nkept = left;
	for (unsigned i = 0; i < WRITE_KEYS; i++)
		if (m->files[mount][i] == NULL || m->files[mount][i]->err == 0)
			still_told(m, mount, i);
}
