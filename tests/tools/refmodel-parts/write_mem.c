/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_mem.c - the store in memory of a run that writes, and its faults
 *
 * The store itself is that of the unit tests. A request that meets a fault
 * fails before anything was done, or when it was done: its answer was lost,
 * and what the driver could learn about it as well.
 */
#include "tests/tools/refmodel-parts/write_mem.h"

#include "tests/unit/write_store.h"

enum { MEM_FAULTS = 6, UPLOADS = 4096 };
enum mem_op {
	MEM_STAT,
	MEM_LIST,
	MEM_GET,
	MEM_PUT,
	MEM_REMOVE,
	MEM_COPY,
	MEM_BEGIN,
	MEM_PART,
	MEM_PART_COPY,
	MEM_END,
};

struct mem_fault {
	enum mem_op op;
	int err;
	bool late; /* it was done */
	unsigned skip, count;
};

/* The store as one mount has it. */
struct mem_ufs {
	struct ufs ufs;
	struct write_mem *mem;
	bool dead;
	bool begun[UPLOADS]; /* by this one; by their numbers */
};

struct write_mem {
	struct store store;
	struct mem_ufs mounts[WRITE_MOUNTS];
	pthread_mutex_t mutex;
	/* under mutex, and so is dead */
	struct mem_fault faults[MEM_FAULTS];
	bool fired;
	size_t fired_all;
};

static struct write_mem *of(struct ufs *u)
{
	return container_of(u, struct mem_ufs, ufs)->mem;
}

static struct ufs *inner(struct ufs *u)
{
	return &of(u)->store.ufs;
}

/* What a request meets: 0, or an error, before or after it was done. */
static int meet(struct ufs *u, enum mem_op op, bool *late)
{
	struct write_mem *m = of(u);
	int err = 0;

	*late = false;
	must(pthread_mutex_lock(&m->mutex));
	for (unsigned i = 0; i < MEM_FAULTS && err == 0; i++) {
		struct mem_fault *f = &m->faults[i];

		if (f->count == 0 || f->op != op)
			continue;
		if (f->skip > 0) {
			f->skip--;
			continue;
		}
		f->count--;
		err = f->err;
		*late = f->late;
		m->fired = true;
		m->fired_all++;
	}
	if (container_of(u, struct mem_ufs, ufs)->dead) {
		err = -EIO;
		*late = false;
	}
	must(pthread_mutex_unlock(&m->mutex));
	return err;
}

static int mem_stat(struct ufs *u, struct str key, struct ufs_stat *out,
		    struct cancel *cancel)
{
	struct store *s = &of(u)->store;
	struct store_object *o;
	bool late;
	int r = meet(u, MEM_STAT, &late);

	if (r == 0 && cancelled(cancel))
		r = -ECANCELED;
	if (r < 0)
		return r;
	must(pthread_mutex_lock(&s->mutex));
	o = store_find_locked(s, key);
	if (o != NULL)
		store_stat_of(o, out);
	must(pthread_mutex_unlock(&s->mutex));
	return o != NULL ? 0 : -ENOENT;
}

static int by_key(const void *a, const void *b)
{
	const struct store_object *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* All of it is one page. */
static int mem_list(struct ufs *u, const struct ufs_list *q, char **token,
		    ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	struct store *s = &of(u)->store;
	struct store_object all[STORE_OBJECTS];
	struct str last = STR_EMPTY;
	bool late;
	size_t n = 0;
	int r = meet(u, MEM_LIST, &late);

	if (r == 0 && cancelled(cancel))
		r = -ECANCELED;
	if (r < 0)
		return r;
	must(pthread_mutex_lock(&s->mutex));
	for (size_t i = 0; i < STORE_OBJECTS; i++)
		if (s->objects[i].version != 0)
			all[n++] = s->objects[i];
	must(pthread_mutex_unlock(&s->mutex));
	qsort(all, n, sizeof(*all), by_key);
	free(*token);
	*token = NULL;
	for (size_t i = 0; i < n && r == 0; i++) {
		struct ufs_entry e = { .key = str_of(all[i].key) };
		const char *slash;

		if (!str_starts(e.key, q->prefix))
			continue;
		slash =
		    memchr(e.key.p + q->prefix.n, '/', e.key.n - q->prefix.n);
		if (slash != NULL && !q->deep) {
			e.dir = true;
			e.key.n = (size_t)(slash - e.key.p) + 1;
		} else {
			store_stat_of(&all[i], &e.st);
		}
		if (str_cmp(e.key, q->after) <= 0 ||
		    (last.n > 0 && str_eq(last, e.key)))
			continue;
		last = e.key;
		r = cb(arg, &e);
	}
	return r;
}

static int mem_get(struct ufs *u, struct str key, const char *want,
		   uint64_t off, uint64_t len, const struct ufs_sink *sink,
		   struct cancel *cancel)
{
	bool late;
	int r = meet(u, MEM_GET, &late);

	return r < 0 ? r
		     : store_get(inner(u), key, want, off, len, sink, cancel);
}

static int mem_put(struct ufs *u, struct str key, const struct ufs_body *body,
		   const struct ufs_cond *cond, struct ufs_stat *out,
		   struct cancel *cancel)
{
	struct ufs_stat st;
	bool late;
	int err = meet(u, MEM_PUT, &late), r;

	if (err < 0 && !late)
		return err;
	r = store_put(inner(u), key, body, cond, &st, cancel);
	if (r == 0 && err < 0)
		return err;
	if (r == 0)
		*out = st;
	return r;
}

static int remove_locked(struct store *s, struct str key,
			 const struct ufs_cond *cond)
{
	struct store_object *o = store_find_locked(s, key);
	int r = cond->what == UFS_IF_ANY ? 0 : store_meets_locked(s, key, cond);

	if (r == 0 && o != NULL) {
		free(o->bytes);
		*o = (struct store_object){ .version = 0 };
	}
	return r;
}

static int mem_remove(struct ufs *u, struct str key,
		      const struct ufs_cond *cond, struct cancel *cancel)
{
	struct store *s = &of(u)->store;
	bool late;
	int err = meet(u, MEM_REMOVE, &late), r;

	if (err < 0 && !late)
		return err;
	if (cancelled(cancel))
		return -ECANCELED;
	must(pthread_mutex_lock(&s->mutex));
	r = remove_locked(s, key, cond);
	must(pthread_mutex_unlock(&s->mutex));
	return r < 0 ? r : err;
}

static int copy_locked(struct store *s, struct str from,
		       const struct ufs_stat *st, struct str to,
		       const struct ufs_cond *cond, struct ufs_stat *out)
{
	const struct ufs_cond was = { UFS_IF_VERSION, st->version };
	const struct store_object *o = store_find_locked(s, from);
	char *bytes;
	int r = o == NULL ? -ENOENT : store_meets_locked(s, from, &was);

	if (r == 0)
		r = store_meets_locked(s, to, cond);
	if (r < 0)
		return r;
	bytes = malloc(o->size + 1);
	must(bytes == NULL);
	memcpy(bytes, o->bytes, o->size);
	store_make_locked(s, to, bytes, o->size, out);
	return 0;
}

static int mem_copy(struct ufs *u, struct str from, const struct ufs_stat *st,
		    struct str to, const struct ufs_cond *cond,
		    struct ufs_stat *out, struct cancel *cancel)
{
	struct store *s = &of(u)->store;
	struct ufs_stat made;
	bool late;
	int err = meet(u, MEM_COPY, &late), r;

	if (err < 0 && !late)
		return err;
	if (cancelled(cancel))
		return -ECANCELED;
	must(pthread_mutex_lock(&s->mutex));
	r = copy_locked(s, from, st, to, cond, &made);
	must(pthread_mutex_unlock(&s->mutex));
	if (r == 0 && err == 0)
		*out = made;
	return r < 0 ? r : err;
}

static int mem_upload_begin(struct ufs *u, struct str key, char **id,
			    struct cancel *cancel)
{
	bool late;
	int r = meet(u, MEM_BEGIN, &late);

	if (r == 0)
		r = store_upload_begin(inner(u), key, id, cancel);
	if (r == 0)
		container_of(u, struct mem_ufs, ufs)
		    ->begun[strtoul(*id, NULL, 10) % UPLOADS] = true;
	return r;
}

static int mem_upload_part(struct ufs *u, struct str key, const char *id,
			   const struct ufs_body *body, struct ufs_part *part,
			   struct cancel *cancel)
{
	struct ufs_part done = *part;
	bool late;
	int err = meet(u, MEM_PART, &late), r;

	/* A rule of the bucket's has ended the upload. */
	if (err == -ENOLINK)
		store_upload_abort(inner(u), key, id, NULL);
	if (err < 0 && !late)
		return err;
	r = store_upload_part(inner(u), key, id, body, &done, cancel);
	if (r == 0 && err < 0)
		return err;
	if (r == 0)
		*part = done;
	return r;
}

static int mem_upload_copy(struct ufs *u, struct str key, const char *id,
			   struct str from, const char *version, uint64_t off,
			   uint64_t len, struct ufs_part *part,
			   struct cancel *cancel)
{
	bool late;
	int r = meet(u, MEM_PART_COPY, &late);

	return r < 0 ? r
		     : store_upload_copy(inner(u), key, id, from, version, off,
					 len, part, cancel);
}

static int mem_upload_end(struct ufs *u, struct str key, const char *id,
			  const struct ufs_part *parts, size_t n,
			  const struct ufs_cond *cond, struct ufs_stat *out,
			  struct cancel *cancel)
{
	struct ufs_stat st;
	bool late;
	int err = meet(u, MEM_END, &late), r;

	if (err == -ENOLINK)
		store_upload_abort(inner(u), key, id, NULL);
	if (err < 0 && !late)
		return err;
	r = store_upload_end(inner(u), key, id, parts, n, cond, &st, cancel);
	if (r == 0 && err < 0)
		return err;
	if (r == 0)
		*out = st;
	return r;
}

static int mem_upload_abort(struct ufs *u, struct str key, const char *id,
			    struct cancel *cancel)
{
	struct write_mem *m = of(u);
	bool dead;

	must(pthread_mutex_lock(&m->mutex));
	dead = container_of(u, struct mem_ufs, ufs)->dead;
	must(pthread_mutex_unlock(&m->mutex));
	return dead ? -EIO : store_upload_abort(inner(u), key, id, cancel);
}

static int mem_upload_list(struct ufs *u, struct str below, ufs_upload_cb *cb,
			   void *arg, struct cancel *cancel)
{
	return store_upload_list(inner(u), below, cb, arg, cancel);
}

static void mem_limits(struct ufs *u, struct ufs_limits *out)
{
	store_limits(inner(u), out);
}

static const struct ufs_write_ops mem_write_ops = {
	.limits = mem_limits,
	.put = mem_put,
	.remove = mem_remove,
	.copy = mem_copy,
	.upload_begin = mem_upload_begin,
	.upload_part = mem_upload_part,
	.upload_copy = mem_upload_copy,
	.upload_end = mem_upload_end,
	.upload_abort = mem_upload_abort,
	.upload_list = mem_upload_list,
};

static const struct ufs_ops mem_ops = { .scheme = "memory",
					.stat = mem_stat,
					.list = mem_list,
					.get = mem_get,
					.write = &mem_write_ops };

struct write_mem *write_mem_new(void)
{
	struct write_mem *m = calloc(1, sizeof(*m));

	must(m == NULL);
	store_init(&m->store);
	for (unsigned i = 0; i < WRITE_MOUNTS; i++) {
		m->mounts[i].ufs = m->store.ufs;
		m->mounts[i].ufs.ops = &mem_ops;
		m->mounts[i].mem = m;
	}
	must(pthread_mutex_init(&m->mutex, NULL));
	return m;
}

void write_mem_free(struct write_mem *m)
{
	store_fini(&m->store);
	pthread_mutex_destroy(&m->mutex);
	free(m);
}

struct ufs *write_mem_ufs(struct write_mem *m, unsigned mount)
{
	return &m->mounts[mount].ufs;
}

void write_mem_look(struct write_mem *m, const char *key, struct looked *out)
{
	struct store *s = &m->store;
	const struct store_object *o;

	*out = (struct looked){ .there = false };
	must(pthread_mutex_lock(&s->mutex));
	o = store_find_locked(s, str_of(key));
	if (o != NULL) {
		out->there = true;
		out->size = o->size;
		snprintf(out->version, sizeof(out->version), "v%u", o->version);
	}
	must(pthread_mutex_unlock(&s->mutex));
}

void write_mem_fetch(struct write_mem *m, const char *key, void *p,
		     uint64_t size)
{
	struct store *s = &m->store;
	const struct store_object *o;

	must(pthread_mutex_lock(&s->mutex));
	o = store_find_locked(s, str_of(key));
	must(o == NULL || o->size != size);
	memcpy(p, o->bytes, size);
	must(pthread_mutex_unlock(&s->mutex));
}

void write_mem_put(struct write_mem *m, const char *key, const void *p,
		   uint64_t size)
{
	struct ufs_stat st;

	store_set(&m->store, key, p, size, &st);
}

void write_mem_remove(struct write_mem *m, const char *key)
{
	const struct ufs_cond any = { UFS_IF_ANY, NULL };

	must(pthread_mutex_lock(&m->store.mutex));
	remove_locked(&m->store, str_of(key), &any);
	must(pthread_mutex_unlock(&m->store.mutex));
}

unsigned write_mem_uploads(struct write_mem *m)
{
	return store_uploads(&m->store);
}

void write_mem_fault(struct write_mem *m, const struct op *op)
{
	static const struct mem_fault faults[] = {
		{ MEM_STAT, -ETIMEDOUT, false, 0, 0 },
		{ MEM_LIST, -EIO, false, 0, 0 },
		{ MEM_GET, -EHOSTUNREACH, false, 0, 0 },
		{ MEM_GET, -ETIMEDOUT, false, 0, 0 },
		{ MEM_PUT, -ETIMEDOUT, false, 0, 0 },
		{ MEM_PUT, -EACCES, false, 0, 0 },
		{ MEM_PUT, -ETIMEDOUT, true, 0, 0 },
		{ MEM_REMOVE, -EIO, false, 0, 0 },
		{ MEM_REMOVE, -ETIMEDOUT, true, 0, 0 },
		{ MEM_COPY, -EIO, false, 0, 0 },
		{ MEM_COPY, -ETIMEDOUT, true, 0, 0 },
		{ MEM_BEGIN, -EHOSTUNREACH, false, 0, 0 },
		{ MEM_PART, -ETIMEDOUT, false, 0, 0 },
		{ MEM_PART, -EIO, true, 0, 0 },
		{ MEM_PART, -ENOLINK, false, 0, 0 },
		{ MEM_PART_COPY, -EOPNOTSUPP, false, 0, 0 },
		{ MEM_PART_COPY, -ETIMEDOUT, false, 0, 0 },
		{ MEM_END, -EBUSY, false, 0, 0 },
		{ MEM_END, -ETIMEDOUT, true, 0, 0 },
		{ MEM_END, -ENOLINK, false, 0, 0 },
	};
	struct mem_fault f = faults[op->a % ARRAY_SIZE(faults)];

	f.skip = op->b % 3;
	f.count = 1 + op->c % 3;
	must(pthread_mutex_lock(&m->mutex));
	m->faults[op->d % MEM_FAULTS] = f;
	must(pthread_mutex_unlock(&m->mutex));
}

void write_mem_calm(struct write_mem *m)
{
	must(pthread_mutex_lock(&m->mutex));
	memset(m->faults, 0, sizeof(m->faults));
	m->fired = false;
	must(pthread_mutex_unlock(&m->mutex));
}

bool write_mem_failed(struct write_mem *m)
{
	bool fired;

	must(pthread_mutex_lock(&m->mutex));
	fired = m->fired;
	must(pthread_mutex_unlock(&m->mutex));
	return fired;
}

size_t write_mem_fired(struct write_mem *m)
{
	size_t n;

	must(pthread_mutex_lock(&m->mutex));
	n = m->fired_all;
	must(pthread_mutex_unlock(&m->mutex));
	return n;
}

/*
 * It may have died when an upload had begun and it was not written down which:
 * before that, no part is sent.
 */
static void drop_empty_uploads(struct write_mem *m, unsigned mount)
{
	struct store *s = &m->store;

	must(pthread_mutex_lock(&s->mutex));
	for (size_t i = 0; i < STORE_OBJECTS; i++) {
		struct store_upload *up = &s->uploads[i];
		bool empty = true;

		for (size_t j = 0; j < STORE_PARTS; j++)
			empty = empty && !up->parts[j].there;
		if (up->id != 0 && empty &&
		    m->mounts[mount].begun[up->id % UPLOADS])
			store_drop_locked(up);
	}
	must(pthread_mutex_unlock(&s->mutex));
}

void write_mem_dead(struct write_mem *m, unsigned mount, bool dead)
{
	if (!dead)
		drop_empty_uploads(m, mount);
	must(pthread_mutex_lock(&m->mutex));
	m->mounts[mount].dead = dead;
	must(pthread_mutex_unlock(&m->mutex));
}
