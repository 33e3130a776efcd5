/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_file.c - slots of a run that writes: opens, bytes, commits
 *
 * A read gives what was written so far (S16), or the one version that its
 * handle was bound to (S2); ESTALE only when that version is not in the store
 * any more. A write fails only for what a commit has said before.
 */
#include "tests/tools/refmodel-parts/write_run_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#include "base/clock.h"

#define LEAVES_WITHIN (5 * NSEC_PER_SEC)

/* ---- open --------------------------------------------------------------- */

static struct wfile **file_at(struct write_run *r, unsigned mount, unsigned key)
{
	return &r->model.files[mount][key];
}

/* May an open for writing of what nobody writes fail so? */
static bool may_fail(struct write_run *r, unsigned mount, unsigned key,
		     int flags, int err)
{
	struct write_model *m = &r->model;
	bool there = write_now(m, key)->looked.there;

	if (err == -EEXIST && (flags & O_EXCL))
		return there || write_saw(m, mount, key, true);
	if (err == -ENOENT && !(flags & O_CREAT))
		return !there;
	if (err == -ENOENT && write_dir_unsure(r, mount, key))
		return true;
	return (err == m->failed[mount][key] && err != 0) ||
	       write_excused(r, err);
}

/* ... or succeed? */
static bool may_open(struct write_run *r, unsigned mount, unsigned key,
		     int flags)
{
	struct write_model *m = &r->model;
	bool there = write_now(m, key)->looked.there;

	if (m->failed[mount][key] != 0 && !m->unsure[mount][key])
		return false;
	return there ? !(flags & O_EXCL) || write_saw(m, mount, key, false)
		     : (flags & O_CREAT) != 0;
}

/* The release of the last close may be to come: see written.h in fuse/. */
static void readers_may_see(struct write_run *r, struct wfile *f)
{
	struct write_model *m = &r->model;

	if (r->front->sure || m->left[f->mount][f->key] == 0 ||
	    clock_ns() - m->left[f->mount][f->key] > LEAVES_WITHIN)
		return;
	for (unsigned i = 0; i < WRITE_SLOTS; i++) {
		struct whandle *h = &m->handles[i];
		unsigned key = h->file != NULL ? h->file->key : h->key;

		if (h->open && h->mount == f->mount && key == f->key &&
		    h->file != f && (h->file == NULL || !h->file->removed)) {
			wfile_unref(h->also);
			h->also = wfile_ref(f);
		}
	}
}

static struct wfile *file_made(struct write_run *r, unsigned mount,
			       unsigned key, int flags,
			       const struct ufs_stat *st)
{
	struct write_model *m = &r->model;
	const struct seen_version *now = write_now(m, key);
	bool there = now->looked.there;
	struct wfile *f;

	/* It did not know better. */
	if (there && st->size == 0 && now->looked.size > 0 &&
	    !(flags & O_TRUNC) && write_saw(m, mount, key, false))
		there = false;
	if (there && (flags & O_EXCL))
		there = false;
	f = wfile_new(mount, key,
		      there && !(flags & O_TRUNC) ? bytes_copy(now->bytes)
						  : bytes_new(NULL, 0));
	if (there)
		wfile_set_base(f, now->looked.version);
	f->upon = there && !(flags & O_TRUNC) && now->looked.size > 0;
	f->based = f->upon;
	f->exclusive = (flags & O_EXCL) != 0;
	f->dirty = !there || (flags & O_TRUNC) ? DIRTY : CLEAN;
	m->failed[mount][key] = 0;
	m->unsure[mount][key] = false;
	readers_may_see(r, f);
	return f;
}

static void open_write(struct write_run *r, struct whandle *h, int flags,
		       int err, const struct ufs_stat *st)
{
	struct wfile **at = file_at(r, h->mount, h->key);
	struct wfile *f = *at;

	if (err < 0) {
		int want = f == NULL ? 0 : flags & O_EXCL ? -EEXIST : f->err;

		if (f != NULL && err == f->maybe_err) {
			write_stuck(r, f, err);
			want = err;
		}
		if (err == -ENOENT && write_dir_gone(r, h->key))
			return;
		if (f != NULL ? err != want && !write_excused(r, err)
			      : !may_fail(r, h->mount, h->key, flags, err))
			write_wrong(r, "%s: open for writing: %s",
				    write_keys[h->key], strerror(-err));
		return;
	}
	if (f != NULL ? (flags & O_EXCL) || f->err != 0
		      : !may_open(r, h->mount, h->key, flags)) {
		write_wrong(r, "%s: open for writing succeeds, and is not to",
			    write_keys[h->key]);
		return;
	}
	if (f == NULL) {
		f = *at = file_made(r, h->mount, h->key, flags, st);
	} else {
		f->maybe_err = 0;
		if ((flags & O_TRUNC) && f->bytes->size > 0) {
			bytes_truncate(f->bytes, 0);
			f->dirty = DIRTY;
			f->upon = false;
		}
	}
	f->writers++;
	h->file = wfile_ref(f);
	if (st->size != f->bytes->size)
		write_wrong(r, "%s: it has %ju bytes when opened, not %ju",
			    write_keys[h->key], (uintmax_t)st->size,
			    (uintmax_t)f->bytes->size);
}

static void open_read(struct write_run *r, struct whandle *h, int err,
		      const struct ufs_stat *st)
{
	struct write_model *m = &r->model;
	struct wfile *f = *file_at(r, h->mount, h->key);
	const struct seen_version *v;

	if (err < 0) {
		if (!(err == -ENOENT &&
		      (write_dir_gone(r, h->key) ||
		       (f == NULL && write_saw(m, h->mount, h->key, false)))) &&
		    !write_excused(r, err))
			write_wrong(r, "%s: open: %s", write_keys[h->key],
				    strerror(-err));
		return;
	}
	if (f != NULL) {
		h->file = wfile_ref(f);
		if (st->size != f->bytes->size)
			write_wrong(r,
				    "%s: it is being written and has %ju "
				    "bytes, not %ju",
				    write_keys[h->key],
				    (uintmax_t)f->bytes->size,
				    (uintmax_t)st->size);
		return;
	}
	v = write_version(m, h->mount, h->key, st->version);
	if (v == NULL || v->looked.size != st->size) {
		write_wrong(r,
			    "%s: open finds '%s' of %ju bytes, which is not "
			    "there, or older than it may be",
			    write_keys[h->key], st->version,
			    (uintmax_t)st->size);
		return;
	}
	snprintf(h->version, sizeof(h->version), "%s", st->version);
	h->bytes = bytes_ref(v->bytes);
}

void write_open(struct write_run *r, unsigned mount, unsigned slot,
		unsigned key, int flags)
{
	struct whandle *h = &r->model.handles[slot];
	struct ufs_stat st = { 0 };
	int err;

	write_close(r, slot);
	if (r->out->failed)
		return;
	memset(r->may, 0, sizeof(r->may));
	err = r->ops->open(r->front, mount, slot, key, flags, &st);
	write_trace(
	    r, "%u: slot %u: open %s%s%s%s%s%s: %s, '%s' of %ju bytes", mount,
	    slot, write_keys[key],
	    (flags & O_ACCMODE) != O_RDONLY ? " to write" : "",
	    flags & O_CREAT ? " create" : "", flags & O_EXCL ? " excl" : "",
	    flags & O_TRUNC ? " trunc" : "", flags & O_APPEND ? " append" : "",
	    strerror(-err), st.version, (uintmax_t)st.size);
	r->out->opens++;
	write_observe(r);
	*h = (struct whandle){ .open = err == 0, .mount = mount, .key = key };
	h->writes = (flags & O_ACCMODE) != O_RDONLY;
	h->reads = (flags & O_ACCMODE) != O_WRONLY;
	h->append = (flags & O_APPEND) != 0;
	h->direct = (flags & O_DIRECT) != 0;
	if (h->writes)
		open_write(r, h, flags, err, &st);
	else
		open_read(r, h, err, &st);
	if (err < 0)
		*h = (struct whandle){ .open = false };
}

/* ---- commits ------------------------------------------------------------ */

static void may_commit(struct write_run *r, const struct wfile *f)
{
	if (f != NULL && !f->removed)
		r->may[f->key].is[0] = f->bytes;
}

static void leave(struct write_run *r, struct wfile *f)
{
	struct write_model *m = &r->model;
	struct wfile **at = file_at(r, f->mount, f->key);

	if (--f->writers > 0 || *at != f)
		return;
	if (f->err < 0 && !f->removed)
		write_keep(m, f, f, !f->upon);
	m->left[f->mount][f->key] = clock_ns();
	*at = NULL;
	wfile_unref(f);
}

/*
 * What was only made or emptied, and is open for writing by another descriptor
 * of this process, is for that one's close to commit: so begins a shell's `>`.
 * What the store had before it is another's, if it has the same bytes or not.
 */
static bool left_to_others(struct write_run *r, const struct wfile *f,
			   bool bound, size_t seen)
{
	const struct seen_version *now = write_now(&r->model, f->key);

	return !r->front->sure && f->writers > 1 && f->dirty != CLEAN &&
	       !f->written &&
	       !(now->looked.there && bytes_same(now->bytes, f->bytes) &&
		 (bound || r->model.keys[f->key].n != seen));
}

/*
 * A process that wrote nothing is not told by its close what became of a
 * truncation by name, which was told that itself.
 */
static bool not_told(const struct write_run *r, const struct wfile *f)
{
	return !r->front->sure && f->err != 0 && f->by_name;
}

void write_close(struct write_run *r, unsigned slot)
{
	struct whandle *h = &r->model.handles[slot];
	struct wfile *f = h->file;
	bool bound = f != NULL && wfile_bound(&r->model, f);
	size_t seen = f != NULL ? r->model.keys[f->key].n : 0;
	int err;

	if (!h->open)
		return;
	memset(r->may, 0, sizeof(r->may));
	may_commit(r, f);
	err = r->ops->close(r->front, slot);
	write_trace(r, "%u: slot %u: close %s: %s", h->mount, slot,
		    write_keys[f != NULL ? f->key : h->key], strerror(-err));
	write_observe(r);
	if (h->writes && !(err == 0 && (left_to_others(r, f, bound, seen) ||
					not_told(r, f))))
		write_committed(r, f, err, bound);
	else if (err < 0)
		write_wrong(r, "%s: close of a reader: %s", write_keys[h->key],
			    strerror(-err));
	if (h->writes)
		leave(r, f);
	write_handle_drop(h);
}

static void do_fsync(struct write_run *r, unsigned slot)
{
	struct whandle *h = &r->model.handles[slot];
	struct wfile *f = h->file;
	bool bound = f != NULL && wfile_bound(&r->model, f);
	int err;

	memset(r->may, 0, sizeof(r->may));
	may_commit(r, f);
	err = r->ops->fsync(r->front, slot);
	write_trace(r, "slot %u: fsync %s: %s", slot,
		    write_keys[f != NULL ? f->key : h->key], strerror(-err));
	write_observe(r);
	if (f != NULL)
		write_committed(r, f, err, bound);
	else if (err < 0)
		write_wrong(r, "%s: fsync of a reader: %s", write_keys[h->key],
			    strerror(-err));
}

/* ---- bytes -------------------------------------------------------------- */

static bool is_right(const struct bytes *b, const char *p, ssize_t got,
		     uint64_t off, uint64_t n)
{
	uint64_t want = off < b->size ? MIN(n, b->size - off) : 0;

	return got == (ssize_t)want &&
	       (want == 0 || memcmp(b->p + off, p, want) == 0);
}

static bool version_gone(struct write_run *r, const struct whandle *h)
{
	const struct looked *now;

	if (h->file != NULL)
		return !wfile_readable(&r->model, h->file);
	now = &write_now(&r->model, h->key)->looked;
	return !now->there || strcmp(now->version, h->version) != 0;
}

static void do_read(struct write_run *r, unsigned slot, uint64_t off,
		    uint64_t n, unsigned how)
{
	struct whandle *h = &r->model.handles[slot];
	const struct bytes *b = h->file != NULL ? h->file->bytes : h->bytes;
	ssize_t got = r->ops->read(r->front, slot, r->buf, n, off, how);
	uint64_t at = 0;

	r->out->reads++;
	write_trace(r, "slot %u: read %s, %ju at %ju: %zd", slot,
		    write_keys[h->key], (uintmax_t)n, (uintmax_t)off, got);
	if (got < 0) {
		bool gone =
		    (got == -ESTALE || got == -EFAULT) && version_gone(r, h);

		if (!gone &&
		    !write_excused(r, got == -EFAULT ? -EIO : (int)got))
			write_wrong(r, "%s: read: %s", write_keys[h->key],
				    strerror((int)-got));
		return;
	}
	if (b == NULL || is_right(b, r->buf, got, off, n) ||
	    (h->also != NULL && is_right(h->also->bytes, r->buf, got, off, n)))
		return;
	while (at < (uint64_t)got && off + at < b->size &&
	       b->p[off + at] == r->buf[at])
		at++;
	write_wrong(r,
		    "%s: %s of %ju bytes: read of %ju at %ju: %zd bytes, wrong "
		    "at %ju",
		    write_keys[h->key],
		    h->file != NULL ? "a written file" : "a version",
		    (uintmax_t)b->size, (uintmax_t)n, (uintmax_t)off, got,
		    (uintmax_t)(off + at));
}

/* A change of a file that is being written failed. */
static void change_failed(struct write_run *r, struct wfile *f, int err,
			  const char *what)
{
	if (err == f->maybe_err && err != 0)
		write_stuck(r, f, err);
	if (err != f->err)
		write_wrong(r, "%s: %s: %s", write_keys[f->key], what,
			    strerror(-err));
}

static void changed(struct write_run *r, struct wfile *f, const char *what)
{
	if (f->err != 0)
		write_wrong(r, "%s: %s succeeds, and %s was told",
			    write_keys[f->key], what, strerror(-f->err));
	f->maybe_err = 0;
}

static void do_write(struct write_run *r, unsigned slot, uint64_t off,
		     uint64_t n, unsigned how)
{
	struct wfile *f = r->model.handles[slot].file;
	ssize_t got;

	if (r->model.handles[slot].append) {
		off = f->bytes->size;
		n = off < BUF_BYTES / 2 ? MIN(n, BUF_BYTES / 2 - off) : 0;
	}
	if (n == 0)
		return;
	write_content(r, n);
	got = r->ops->write(r->front, slot, r->buf, n, off, how);
	write_trace(r, "slot %u: write %s, %ju at %ju: %zd", slot,
		    write_keys[f->key], (uintmax_t)n, (uintmax_t)off, got);
	write_observe(r);
	/* A mapped page could not be read: how many were written is not told */
	if (got == -EFAULT && (write_excused(r, -EIO) || f->upon)) {
		f->dirty = DIRTY;
		return;
	}
	if (got < 0) {
		change_failed(r, f, (int)got, "write");
		return;
	}
	changed(r, f, "write");
	if ((uint64_t)got != n)
		write_wrong(r, "%s: write of %ju: %zd", write_keys[f->key],
			    (uintmax_t)n, got);
	bytes_write(f->bytes, r->buf, n, off);
	f->dirty = DIRTY;
	f->written = true;
}

static void do_truncate(struct write_run *r, unsigned slot, uint64_t size)
{
	struct wfile *f = r->model.handles[slot].file;
	int err = r->ops->truncate_slot(r->front, slot, size);

	write_trace(r, "slot %u: truncate %s to %ju: %s", slot,
		    write_keys[f->key], (uintmax_t)size, strerror(-err));
	write_observe(r);
	if (err < 0) {
		change_failed(r, f, err, "ftruncate");
		return;
	}
	changed(r, f, "ftruncate");
	if (size != f->bytes->size) {
		f->dirty = DIRTY;
		f->written = true;
	}
	bytes_truncate(f->bytes, size);
}

static void do_allocate(struct write_run *r, unsigned slot, uint64_t off,
			uint64_t n)
{
	struct wfile *f = r->model.handles[slot].file;
	int err = n > 0 ? r->ops->allocate(r->front, slot, off, n) : 0;

	write_trace(r, "slot %u: allocate %s, %ju at %ju: %s", slot,
		    write_keys[f->key], (uintmax_t)n, (uintmax_t)off,
		    strerror(-err));
	write_observe(r);
	if (n == 0 || err == -EOPNOTSUPP)
		return;
	if (err < 0) {
		change_failed(r, f, err, "fallocate");
		return;
	}
	changed(r, f, "fallocate");
	if (off + n > f->bytes->size) {
		bytes_truncate(f->bytes, off + n);
		f->dirty = DIRTY;
		f->written = true;
	}
}

static bool zeros(const struct bytes *b, uint64_t from, uint64_t to)
{
	while (from < to && b->p[from] == 0)
		from++;
	return from >= to;
}

/* What is skipped are zeros, what is a hole as well. */
static bool seek_right(const struct bytes *b, uint64_t off, bool hole,
		       int64_t at)
{
	if (off >= b->size)
		return at == -ENXIO;
	if (at == -ENXIO)
		return !hole && zeros(b, off, b->size);
	if (at < (int64_t)off || (uint64_t)at > b->size)
		return false;
	if (hole)
		return (uint64_t)at == b->size || b->p[at] == 0;
	return (uint64_t)at < b->size && zeros(b, off, (uint64_t)at);
}

static void do_seek(struct write_run *r, unsigned slot, uint64_t off, bool hole)
{
	struct whandle *h = &r->model.handles[slot];
	const struct bytes *b = h->file != NULL ? h->file->bytes : h->bytes;
	int64_t at = r->ops->seek(r->front, slot, off, hole);

	if (b == NULL || at == -EOPNOTSUPP || seek_right(b, off, hole, at) ||
	    (h->also != NULL && seek_right(h->also->bytes, off, hole, at)))
		return;
	write_wrong(r, "%s: the next %s after %ju of %ju is at %jd",
		    write_keys[h->key], hole ? "hole" : "data", (uintmax_t)off,
		    (uintmax_t)b->size, (intmax_t)at);
}

static int open_flags(uint32_t c, uint32_t d)
{
	static const int flags[] = {
		O_RDWR,
		O_RDWR | O_CREAT,
		O_RDWR | O_CREAT,
		O_WRONLY | O_CREAT | O_TRUNC,
		O_RDWR | O_CREAT | O_TRUNC,
		O_RDWR | O_CREAT | O_EXCL,
		O_RDWR | O_CREAT | O_APPEND,
		O_WRONLY | O_APPEND,
		O_RDWR | O_TRUNC,
	};

	return flags[c % ARRAY_SIZE(flags)] | (d % 8 == 0 ? O_DIRECT : 0);
}

void write_file_op(struct write_run *r, const struct op *op)
{
	unsigned slot = op->a % WRITE_SLOTS, mount = op->b % WRITE_MOUNTS;
	struct whandle *h = &r->model.handles[slot];
	uint64_t size = 0, off;

	if (op->kind == WRITE_OPEN) {
		write_open(r, mount, slot, op->c % WRITE_KEYS,
			   O_RDONLY | (op->d % 8 == 0 ? O_DIRECT : 0));
		return;
	}
	if (op->kind == WRITE_OPEN_WRITE) {
		write_open(r, mount, slot, op->c / 16 % WRITE_KEYS,
			   open_flags(op->c % 16, op->d));
		return;
	}
	/* Of the slots that can, the next one. */
	for (unsigned i = 0; i < WRITE_SLOTS; i++) {
		bool fits = h->open;

		if (op->kind == WRITE_READ || op->kind == WRITE_SEEK)
			fits = fits && h->reads;
		else if (op->kind != WRITE_CLOSE && op->kind != WRITE_FSYNC)
			fits = fits && h->writes;
		if (fits)
			break;
		slot = (slot + 1) % WRITE_SLOTS;
		h = &r->model.handles[slot];
		if (i + 1 == WRITE_SLOTS)
			return;
	}
	if (h->file != NULL)
		size = h->file->bytes->size;
	else if (h->bytes != NULL)
		size = h->bytes->size;
	off = write_place(r, size, op->b, op->c);
	switch (op->kind) {
	case WRITE_CLOSE:
		write_close(r, slot);
		break;
	case WRITE_READ:
		do_read(r, slot, op->c % 3 ? off : 0,
			op->c % 3 ? write_length(r, off, op->d) : BUF_BYTES / 2,
			op->d >> 8);
		break;
	case WRITE_WRITE:
		do_write(r, slot, off, write_length(r, off, op->d), op->d >> 8);
		break;
	case WRITE_TRUNCATE_HANDLE:
		do_truncate(r, slot, off);
		break;
	case WRITE_ALLOCATE:
		do_allocate(r, slot, off, write_length(r, off, op->d));
		break;
	case WRITE_SEEK:
		do_seek(r, slot, off, op->d % 2);
		break;
	case WRITE_FSYNC:
		do_fsync(r, slot);
		break;
	default:
		break;
	}
}

/* ---- several threads at one file ---------------------------------------- */

struct worker {
	struct write_run *run;
	pthread_t thread;
	unsigned slot;
	enum { WORK_WRITE, WORK_READ, WORK_FSYNC } what;
	char *p;
	uint64_t off, n;
	ssize_t got;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct write_run *r = w->run;

	switch (w->what) {
	case WORK_WRITE:
		w->got =
		    r->ops->write(r->front, w->slot, w->p, w->n, w->off, 0);
		break;
	case WORK_READ:
		w->got = r->ops->read(r->front, w->slot, w->p, w->n, w->off, 0);
		break;
	case WORK_FSYNC:
		w->got = r->ops->fsync(r->front, w->slot);
		break;
	}
	return NULL;
}

static bool read_between(const struct worker *w, const struct bytes *x,
			 const struct bytes *y)
{
	if ((uint64_t)w->got + w->off <
		MIN(MIN(x->size, y->size), w->off + w->n) ||
	    (uint64_t)w->got + w->off > MAX(x->size, y->size))
		return false;
	for (uint64_t i = 0; i < (uint64_t)w->got; i++) {
		uint64_t at = w->off + i;

		if (w->p[i] != (at < x->size ? x->p[at] : 0) &&
		    w->p[i] != (at < y->size ? y->p[at] : 0))
			return false;
	}
	return true;
}

static void judge_burst(struct write_run *r, struct wfile *f, struct worker *w,
			const struct bytes *before, bool bound, bool readable)
{
	/* Read up to the end of whatever it was then. */
	if (w[2].got >= 0 ? !read_between(&w[2], before, f->bytes)
			  : !(w[2].got == -ESTALE && !readable) &&
				!write_excused(r, (int)w[2].got))
		write_wrong(r, "%s: a read beside writes: %zd",
			    write_keys[f->key], w[2].got);
	if (w[3].got < 0) {
		f->dirty = DIRTY;
		write_committed(r, f, (int)w[3].got, bound);
		return;
	}
	/* Some version of it was there then, and is its base. */
	if (!f->removed && f->err == 0 && (bound || r->config->last_wins) &&
	    write_now(&r->model, f->key)->looked.there) {
		wfile_set_base(f, write_now(&r->model, f->key)->looked.version);
		f->exclusive = false;
		write_floor(&r->model, f->mount, f->key);
	}
	f->dirty = f->dirty == CLEAN ? DIRTY_MAYBE : f->dirty;
}

/* Two write at different places, one reads, one commits. */
void write_burst(struct write_run *r, const struct op *op)
{
	struct whandle *h = NULL;
	unsigned slot = 0;
	struct worker w[4];
	struct bytes *before;
	struct wfile *f;
	bool bound, readable;

	for (unsigned i = 0; i < WRITE_SLOTS && h == NULL; i++) {
		slot = (op->a + i) % WRITE_SLOTS;
		if (r->model.handles[slot].open &&
		    r->model.handles[slot].writes &&
		    r->model.handles[slot].reads &&
		    !r->model.handles[slot].append)
			h = &r->model.handles[slot];
	}
	if (h == NULL || h->file->err != 0 || h->file->maybe_err != 0)
		return;
	f = h->file;
	bound = wfile_bound(&r->model, f);
	readable = wfile_readable(&r->model, f);
	memset(w, 0, sizeof(w));
	for (unsigned i = 0; i < 4; i++) {
		w[i].run = r;
		w[i].slot = slot;
		w[i].what = i < 2    ? WORK_WRITE
			    : i == 2 ? WORK_READ
				     : WORK_FSYNC;
	}
	w[0].off = write_place(r, f->bytes->size, op->b, op->c);
	w[0].n = write_length(r, w[0].off, op->d);
	w[1].off = w[0].off + w[0].n;
	w[1].n = write_length(r, w[1].off, op->d / 16);
	w[2].n = BUF_BYTES / 2;
	if (w[0].n + w[1].n == 0)
		return;
	before = bytes_copy(f->bytes);
	for (unsigned i = 0; i < 3; i++) {
		w[i].p = malloc(MAX(w[i].n, (uint64_t)1));
		must(w[i].p == NULL);
	}
	for (unsigned i = 0; i < 2; i++) {
		write_content(r, w[i].n);
		memcpy(w[i].p, r->buf, w[i].n);
		bytes_write(f->bytes, w[i].p, w[i].n, w[i].off);
	}
	if (!f->removed) {
		r->may[f->key].from = before;
		r->may[f->key].to = f->bytes;
	}
	for (unsigned i = 0; i < 4; i++)
		must(pthread_create(&w[i].thread, NULL, work, &w[i]));
	for (unsigned i = 0; i < 4; i++)
		pthread_join(w[i].thread, NULL);
	write_trace(r,
		    "slot %u: %s: write %ju at %ju: %zd, %ju at %ju: %zd, "
		    "read: %zd, fsync: %zd",
		    slot, write_keys[f->key], (uintmax_t)w[0].n,
		    (uintmax_t)w[0].off, w[0].got, (uintmax_t)w[1].n,
		    (uintmax_t)w[1].off, w[1].got, w[2].got, w[3].got);
	write_observe(r);
	f->dirty = DIRTY;
	f->written = true;
	if (!r->out->failed) {
		/* One that came behind the failed commit is not taken. */
		for (unsigned i = 0; i < 2; i++)
			if (w[i].got < 0 && w[i].got != w[3].got)
				write_wrong(r, "%s: a write beside others: %zd",
					    write_keys[f->key], w[i].got);
		judge_burst(r, f, w, before, bound, readable);
	}
	if ((w[0].got < 0 || w[1].got < 0) && !r->out->failed) {
		/* Which of them is in it, who reads it may see. */
		bytes_unref(f->bytes);
		f->bytes = bytes_copy(before);
		for (unsigned i = 0; i < 2; i++)
			if (w[i].got >= 0)
				bytes_write(f->bytes, w[i].p, w[i].n, w[i].off);
	}
	bytes_unref(before);
	for (unsigned i = 0; i < 3; i++)
		free(w[i].p);
	if (f->err == 0 && !r->out->failed)
		do_fsync(r, slot);
}
