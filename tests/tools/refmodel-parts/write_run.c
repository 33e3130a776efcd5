/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_run.c - a run that writes, and what the store is to have by it
 *
 * After each operation the store is looked at. What changed there has to be
 * what that operation may have made (S10: the old or the new, whole), and what
 * was acknowledged has to be there (S11, INV2); no other time is there for
 * anything to change. When the faults are over all succeeds again (INV6), and
 * at the end nothing is left behind (INV5).
 */
#include "tests/tools/refmodel-parts/write_run_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>

enum { PATIENCE = 500, LINGERS = 50 }; /* times 10 ms */

void write_wrong(struct write_run *r, const char *fmt, ...)
{
	va_list ap;

	if (r->out->failed)
		return;
	r->out->failed = true;
	va_start(ap, fmt);
	vsnprintf(r->out->why, sizeof(r->out->why), fmt, ap);
	va_end(ap);
}

void write_trace(struct write_run *r, const char *fmt, ...)
{
	va_list ap;

	if (!r->trace)
		return;
	fprintf(stderr, "       ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
}

bool write_excused(struct write_run *r, int err)
{
	r->out->errors++;
	return (err == -EIO || err == -ETIMEDOUT || err == -EACCES ||
		err == -EHOSTUNREACH || err == -EBUSY) &&
	       r->ops->failed(r->front);
}

void write_content(struct write_run *r, uint64_t n)
{
	model_bytes(++r->content, 0, r->buf, n);
}

uint64_t write_place(const struct write_run *r, uint64_t size, uint32_t a,
		     uint32_t b)
{
	static const uint64_t edges[] = { 4096, KIB(64), KIB(128), MIB(5) };
	uint64_t most = r->config->most, edge, at;

	switch (a % 6) {
	case 0:
		return 0;
	case 1:
	case 2:
		return MIN(size, most);
	case 3:
		return b * UINT64_C(2654435761) % (most + 1);
	case 4:
		return size > 0 ? b * UINT64_C(2654435761) % size : 0;
	default:
		edge = edges[a / 8 % ARRAY_SIZE(edges)];
		at = b % (most / edge + 1) * edge + b / 64 % 5;
		return MIN(at > 2 ? at - 2 : 0, most);
	}
}

uint64_t write_length(const struct write_run *r, uint64_t off, uint32_t c)
{
	static const uint64_t lengths[] = { 1,       10,    4096,     5000,
					    KIB(64), 70001, KIB(128), 150000 };
	uint64_t n = lengths[c % ARRAY_SIZE(lengths)];

	if (c % 13 == 0)
		n = r->config->most;
	return off < r->config->most ? MIN(n, r->config->most - off) : 0;
}

/* Is each byte one of both? */
static bool between(const struct bytes *b, const struct may *may)
{
	const struct bytes *x = may->from, *y = may->to;

	if (x == NULL || b->size < MIN(x->size, y->size) ||
	    b->size > MAX(x->size, y->size))
		return false;
	for (uint64_t i = 0; i < b->size; i++) {
		char of_x = i < x->size ? x->p[i] : 0;
		char of_y = i < y->size ? y->p[i] : 0;

		if (b->p[i] != of_x && b->p[i] != of_y)
			return false;
	}
	return true;
}

/*
 * An old name that a rename could not remove, and that is what it was, is
 * removed by the next mount.
 */
static bool lingered(const struct write_run *r, unsigned key,
		     const struct looked *was)
{
	for (unsigned i = 0; i < WRITE_MOUNTS; i++)
		if (was->there &&
		    strcmp(was->version, r->model.lingers[i][key]) == 0)
			return true;
	return false;
}

static void observe_key(struct write_run *r, unsigned key)
{
	const struct looked *was = &write_now(&r->model, key)->looked;
	const struct may *may = &r->may[key];
	struct looked now;
	struct bytes *b;

	r->ops->look(r->front, write_keys[key], &now);
	if (now.there == was->there &&
	    (!now.there || strcmp(now.version, was->version) == 0))
		return;
	write_trace(r, "%s: the store has %s", write_keys[key],
		    now.there ? now.version : "no object");
	if (!now.there) {
		if (!may->gone && !lingered(r, key, was))
			write_wrong(r, "%s: it is gone from the store",
				    write_keys[key]);
		write_seen(&r->model, key, &now, NULL);
		return;
	}
	b = bytes_new(NULL, now.size);
	r->ops->fetch(r->front, write_keys[key], b->p, now.size);
	b->size = now.size;
	write_seen(&r->model, key, &now, b);
	for (int i = 0; i < 2; i++)
		if (may->is[i] != NULL && bytes_same(may->is[i], b))
			return;
	if (!between(b, may))
		write_wrong(r,
			    "%s: the store has %ju bytes that nobody has "
			    "written so (%s)",
			    write_keys[key], (uintmax_t)b->size, now.version);
}

void write_observe(struct write_run *r)
{
	for (unsigned i = 0; i < WRITE_KEYS && !r->out->failed; i++)
		observe_key(r, i);
	for (unsigned i = 0; i < WRITE_DIRS && !r->out->failed; i++) {
		struct looked now;
		char key[16];

		snprintf(key, sizeof(key), "%s/", write_dirs[i]);
		r->ops->look(r->front, key, &now);
		if (now.there != r->model.dirs[i] && !r->may_dir[i])
			write_wrong(r, "%s: it is %s the store", key,
				    now.there ? "in" : "gone from");
		r->model.dirs[i] = now.there;
	}
}

int write_sticky(int err)
{
	return err == -EEXIST ? 0 : err;
}

void write_stuck(struct write_run *r, struct wfile *f, int err)
{
	f->err = err;
	f->maybe_err = 0;
	r->model.failed[f->mount][f->key] = write_sticky(err);
	r->model.unsure[f->mount][f->key] = false;
}

/* It failed as it was to, or because of a fault; and stays so. */
static void commit_failed(struct write_run *r, struct wfile *f, int err,
			  bool bound)
{
	bool lost = !bound && !r->config->last_wins &&
		    (err == -ESTALE || (f->exclusive && err == -EEXIST));
	/* What was not written is to be read from a version that is gone. */
	bool unread = err == -ESTALE && !wfile_readable(&r->model, f);

	if (f->exclusive && !bound && err == -ESTALE)
		lost = false;
	if (!lost && !unread && !write_excused(r, err))
		write_wrong(r, "%s: commit: %s, and %s", write_keys[f->key],
			    strerror(-err),
			    bound ? "no fault" : "another version is there");
	write_stuck(r, f, err);
}

void write_committed(struct write_run *r, struct wfile *f, int err, bool bound)
{
	const struct seen_version *now = write_now(&r->model, f->key);
	bool same;

	r->out->answers++;
	if (f->removed || f->err != 0) {
		int want = f->removed ? 0 : f->err;

		if (err != want)
			write_wrong(r, "%s: %s, not %s", write_keys[f->key],
				    strerror(-err), strerror(-want));
		return;
	}
	if (err < 0) {
		if (f->maybe_err == err) {
			write_stuck(r, f, err);
		} else {
			commit_failed(r, f, err, bound);
		}
		return;
	}
	f->maybe_err = 0;
	if (f->dirty == CLEAN)
		return;
	same = now->looked.there && bytes_same(now->bytes, f->bytes);
	if (f->dirty == DIRTY_MAYBE && !bound && !same) {
		f->dirty = CLEAN;
		return;
	}
	if (!same)
		write_wrong(r, "%s: it was acknowledged, and the store has %s",
			    write_keys[f->key],
			    now->looked.there ? "other bytes" : "no object");
	else if (!bound && f->dirty == DIRTY && !r->config->last_wins &&
		 !r->ops->failed(r->front))
		write_wrong(r,
			    "%s: it took the place of a version that its "
			    "open had not seen",
			    write_keys[f->key]);
	f->dirty = CLEAN;
	f->written = f->exclusive = false;
	wfile_set_base(f, now->looked.version);
	write_floor(&r->model, f->mount, f->key);
}

/* ---- others, and restarts ----------------------------------------------- */

static void put(struct write_run *r, const struct op *op)
{
	unsigned key = op->a % WRITE_KEYS;
	uint64_t size = write_place(r, 0, op->b, op->c);
	struct bytes *b;

	write_content(r, size);
	write_trace(r, "put %s, %ju bytes", write_keys[key], (uintmax_t)size);
	b = bytes_new(r->buf, size);
	r->may[key].is[0] = b;
	r->ops->put(r->front, write_keys[key], b->p, size);
	write_observe(r);
	bytes_unref(b);
}

static void remove_key(struct write_run *r, unsigned key)
{
	write_trace(r, "delete %s", write_keys[key]);
	r->may[key].gone = true;
	r->ops->remove(r->front, write_keys[key]);
	write_observe(r);
}

/*
 * What removes them does so behind the mount's back: that it is not amid what
 * comes next, it is waited for. Faults may hinder it, and so may what was
 * written since.
 */
static void await_lingering(struct write_run *r, unsigned mount)
{
	for (unsigned i = 0; i < WRITE_KEYS && !r->front->sure; i++) {
		struct looked now = write_now(&r->model, i)->looked;

		for (int n = 0;
		     n < LINGERS && now.there &&
		     strcmp(now.version, r->model.lingers[mount][i]) == 0;
		     n++) {
			usleep(10000);
			r->ops->look(r->front, write_keys[i], &now);
		}
	}
}

static void restart(struct write_run *r, unsigned mount)
{
	int err;

	for (unsigned i = 0; i < WRITE_SLOTS; i++)
		if (r->model.handles[i].open &&
		    r->model.handles[i].mount == mount)
			write_close(r, i);
	err = r->ops->restart(r->front, mount, false);
	if (err < 0)
		write_wrong(r, "restart: %s", strerror(-err));
	await_lingering(r, mount);
	write_observe(r);
}

static void kill_it(struct write_run *r, unsigned mount)
{
	struct write_model *m = &r->model;
	int err;

	write_trace(r, "kill %u", mount);
	r->out->kills++;
	err = r->ops->restart(r->front, mount, true);

	if (err < 0)
		write_wrong(r, "restart of what was killed: %s",
			    strerror(-err));
	for (unsigned i = 0; i < WRITE_SLOTS; i++)
		if (m->handles[i].open && m->handles[i].mount == mount)
			write_handle_drop(&m->handles[i]);
	for (unsigned i = 0; i < WRITE_KEYS; i++) {
		struct wfile *f = m->files[mount][i];

		if (f == NULL)
			continue;
		/*
		 * One that was just committed may be listed, too: what says
		 * that it was is written behind that. That nothing was
		 * written is nothing to be kept. And of one that was not empty
		 * when it was opened it is not known which bytes were written.
		 */
		write_keep(m, f, NULL,
			   !f->upon && (f->err < 0 ||
					(f->dirty == DIRTY && !f->based &&
					 f->bytes->size > r->front->forgets)));
		if (f->maybe_err < 0) {
			m->failed[mount][i] = write_sticky(f->maybe_err);
			m->unsure[mount][i] = true;
		}
		wfile_unref(f);
		m->files[mount][i] = NULL;
	}
	await_lingering(r, mount);
	write_observe(r);
}

/* ---- the end ------------------------------------------------------------ */

/* All of a name's life succeeds, on either mount. */
static void succeeds(struct write_run *r, unsigned mount, unsigned key)
{
	uint64_t size = 1000 + key;
	struct whandle *h = &r->model.handles[0];
	unsigned other = (mount + 1) % WRITE_MOUNTS;

	write_open(r, mount, 0, key, O_RDWR | O_CREAT | O_TRUNC);
	if (!h->open) {
		write_wrong(r, "%s: it cannot be written when all is over",
			    write_keys[key]);
		return;
	}
	write_content(r, size);
	if (r->ops->write(r->front, 0, r->buf, size, 0, 0) != (ssize_t)size)
		write_wrong(r, "%s: a write fails when all is over",
			    write_keys[key]);
	bytes_write(h->file->bytes, r->buf, size, 0);
	h->file->dirty = DIRTY;
	write_close(r, 0);
	if (r->out->failed)
		return;
	if (r->model.failed[mount][key] != 0)
		write_wrong(r, "%s: it cannot be committed when all is over",
			    write_keys[key]);
	/* The other one may remember something older, unless it is strict. */
	for (unsigned i = 0; i < WRITE_MOUNTS; i++) {
		const struct op op = { .kind = WRITE_READ, .c = 3 };
		unsigned at = i == 0 ? mount : other;

		write_open(r, at, 0, key, O_RDONLY);
		if (h->open)
			write_file_op(r, &op);
		else if (at == mount || r->config->strict)
			write_wrong(r,
				    "%s: it cannot be opened when all is "
				    "over",
				    write_keys[key]);
		write_close(r, 0);
	}
}

static unsigned records;

static int count_cb(const char *path, const struct stat *st, int type,
		    struct FTW *ftw)
{
	size_t n = strlen(path);

	(void)st;
	(void)ftw;
	records += type == FTW_F && n > 5 && strcmp(path + n - 5, ".json") == 0;
	return 0;
}

static unsigned left_records(struct write_run *r)
{
	records = 0;
	for (unsigned i = 0; i < WRITE_MOUNTS; i++)
		nftw(r->ops->staging_dir(r->front, i), count_cb, 16, FTW_PHYS);
	return records;
}

static void make_dirs(struct write_run *r)
{
	for (unsigned i = 0; i < WRITE_DIRS; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%s/", write_dirs[i]);
		r->ops->put(r->front, key, "", 0);
		r->model.dirs[i] = true;
	}
}

/* An upload is aborted, and a last close made, behind the back. */
static void look_left(struct write_run *r, unsigned *uploads, unsigned *files)
{
	for (int i = 0; i < PATIENCE; i++) {
		*uploads = r->ops->uploads(r->front);
		*files = left_records(r);
		if (*uploads == 0 && *files == 0)
			break;
		usleep(10000);
	}
}

static void end(struct write_run *r)
{
	unsigned uploads = 0, files = 0;

	r->ops->calm(r->front);
	for (unsigned i = 0; i < WRITE_SLOTS; i++)
		write_close(r, i);
	for (unsigned i = 0; i < WRITE_MOUNTS && !r->out->failed; i++)
		write_recover(r, i);
	make_dirs(r);
	for (unsigned i = 0; i < WRITE_MOUNTS * WRITE_KEYS; i++)
		if (!r->out->failed) {
			memset(r->may, 0, sizeof(r->may));
			succeeds(r, i % WRITE_MOUNTS, i / WRITE_MOUNTS);
		}
	look_left(r, &uploads, &files);
	/* What could not be aborted at its time is on record for the next. */
	if (files > 0 && !r->out->failed) {
		for (unsigned i = 0; i < WRITE_MOUNTS; i++)
			(void)r->ops->restart(r->front, i, false);
		look_left(r, &uploads, &files);
	}
	if (uploads > 0)
		write_wrong(r, "left behind: %u uploads", uploads);
	if (files > 0)
		write_wrong(r, "left behind: %u staged files", files);
}

static void do_op(struct write_run *r, const struct op *op)
{
	memset(r->may, 0, sizeof(r->may));
	memset(r->may_dir, 0, sizeof(r->may_dir));
	switch (op->kind) {
	case WRITE_BURST:
		write_burst(r, op);
		break;
	case WRITE_PUT:
		put(r, op);
		break;
	case WRITE_DELETE:
		remove_key(r, op->a % WRITE_KEYS);
		break;
	case WRITE_FAULT:
		r->ops->fault(r->front, op);
		break;
	case WRITE_CALM:
		r->ops->calm(r->front);
		break;
	case WRITE_RESTART:
		restart(r, op->a % WRITE_MOUNTS);
		break;
	case WRITE_KILL:
		kill_it(r, op->a % WRITE_MOUNTS);
		break;
	case WRITE_RECOVER:
		write_recover(r, op->a % WRITE_MOUNTS);
		break;
	case WRITE_STAT:
	case WRITE_LIST:
	case WRITE_UNLINK:
	case WRITE_RENAME:
	case WRITE_MKDIR:
	case WRITE_RMDIR:
	case WRITE_TRUNCATE:
		write_name_op(r, op);
		break;
	default:
		write_file_op(r, op);
	}
}

static void trace_op(size_t i, const struct op *op)
{
	fprintf(stderr, "%4zu ", i);
	write_op_print(stderr, op);
	fprintf(stderr, "\n");
}

static void begin(struct write_run *r)
{
	int err = r->ops->start(r->front);

	if (err < 0) {
		write_wrong(r, "start: %s", strerror(-err));
		return;
	}
	make_dirs(r);
}

void write_run_ops(
    struct write_front *(*front_new)(const struct write_config *c),
    const struct write_config *config, const struct op *ops, size_t n,
    const bool *skip, bool trace, struct outcome *out)
{
	struct write_run r = { .config = config, .out = out, .trace = trace };
	char why[256] = "";

	memset(out, 0, sizeof(*out));
	out->at = n;
	write_model_init(&r.model);
	r.front = front_new(config);
	r.ops = r.front->ops;
	r.buf = malloc(BUF_BYTES);
	must(r.buf == NULL);
	begin(&r);
	for (size_t i = 0; i < n && !out->failed; i++) {
		if (skip != NULL && skip[i])
			continue;
		out->at = i;
		if (trace)
			trace_op(i, &ops[i]);
		do_op(&r, &ops[i]);
	}
	if (!out->failed) {
		out->at = n;
		end(&r);
	}
	/* After a failure nothing is judged any more. */
	for (unsigned i = 0; i < WRITE_SLOTS; i++)
		if (r.model.handles[i].open)
			r.ops->close(r.front, i);
	out->faults = r.ops->fired(r.front);
	r.ops->stop(r.front, why);
	if (why[0] != '\0')
		write_wrong(&r, "left behind: %s", why);
	free(r.buf);
	r.ops->free(r.front);
	write_model_fini(&r.model);
}
