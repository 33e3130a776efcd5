/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - the store in memory: stat, list, get, and their faults
 */
#include "tests/tools/refmodel-parts/store.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

enum { FAULTS_MAX = 8, CHUNK = 50000, ERRNO_MAX = 134 };
enum { AT_STAT, AT_LIST, AT_GET };
enum fault_kind {
	NO_FAULT,
	FAIL,      /* with .err, before anything was sent */
	FAIL_LATE, /* with .err, after some bytes */
	OTHER_VERSION,
	OTHER_SIZE,
	TOO_SHORT,
	TOO_LONG,
	AGAIN,    /* of a whole object: wrong, and then once more */
	REVERSED, /* a page of a listing out of order */
	EMPTY,    /* an empty page first */
};

struct fault {
	enum fault_kind kind;
	int err; /* what goes up at last */
	unsigned at, skip, count;
};

struct store {
	struct ufs ufs;
	struct model *model;
	pthread_mutex_t mutex;
	struct fault faults[FAULTS_MAX];
	int64_t failed[ERRNO_MAX];
	struct op later;
	unsigned later_in; /* requests; 0: nothing is to come */
};

struct ours {
	const char *name;
	unsigned id;
	uint64_t size;
	int64_t mtime;
};

static int64_t real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

void store_version(unsigned id, char version[static UFS_VERSION_MAX])
{
	snprintf(version, UFS_VERSION_MAX, "v%u", id);
}

unsigned store_id(const char *version)
{
	return version[0] == 'v' ? (unsigned)strtoul(version + 1, NULL, 10) : 0;
}

static void to_stat(const struct ours *o, struct ufs_stat *st)
{
	*st = (struct ufs_stat){ .size = o->size, .mtime = o->mtime };
	store_version(o->id, st->version);
}

static struct ours ours_of(struct model *m, unsigned key)
{
	const struct version *v = model_now(m, key);

	return (struct ours){ m->keys[key].name, v->id, v->size, v->mtime };
}

/* A request has come: what was to happen then, and which fault it meets. */
static struct fault begin(struct store *s, unsigned at)
{
	struct model *m = s->model;
	struct fault hit = { .kind = NO_FAULT };

	model_lock(m);
	if (s->later_in > 0 && --s->later_in == 0) {
		unsigned key = s->later.a % MODEL_KEYS;
		bool gone = s->later.d % 4 == 0 && model_now(m, key)->id != 0;
		uint64_t size = op_size(&s->later, model_now(m, key)->size);

		if (strchr(m->keys[key].name, '\0')[-1] == '/')
			size = 0;
		model_change(m, key, gone, gone ? 0 : size,
			     model_now(m, key)->mtime);
		model_changed(m, key);
	}
	model_unlock(m);
	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; i < FAULTS_MAX; i++) {
		struct fault *f = &s->faults[i];

		if (f->kind == NO_FAULT || f->at != at)
			continue;
		if (f->skip > 0) {
			f->skip--;
			continue;
		}
		hit = *f;
		if (--f->count == 0)
			f->kind = NO_FAULT;
		break;
	}
	pthread_mutex_unlock(&s->mutex);
	return hit;
}

/* What goes up because of a fault is noted, so that it may be met. */
static int fail(struct store *s, const struct fault *f, int err)
{
	pthread_mutex_lock(&s->mutex);
	s->failed[-f->err] = real_ns();
	pthread_mutex_unlock(&s->mutex);
	return err;
}

bool store_failed(struct store *s, int err, int64_t ago)
{
	bool did;

	pthread_mutex_lock(&s->mutex);
	did = err < 0 && err > -ERRNO_MAX && s->failed[-err] != 0 &&
	      s->failed[-err] >= real_ns() - ago;
	pthread_mutex_unlock(&s->mutex);
	return did;
}

static int find(struct store *s, struct str key, struct ours *out)
{
	struct model *m = s->model;
	int r = -ENOENT;

	model_lock(m);
	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		struct ours o = ours_of(m, i);

		if (o.id != 0 && str_eq(str_of(o.name), key)) {
			*out = o;
			r = 0;
		}
	}
	model_unlock(m);
	return r;
}

static int store_stat(struct ufs *u, struct str key, struct ufs_stat *out,
		      struct cancel *cancel)
{
	struct store *s = container_of(u, struct store, ufs);
	struct fault f = begin(s, AT_STAT);
	struct ours o;
	int r;

	if (cancelled(cancel))
		return -ECANCELED;
	if (f.kind != NO_FAULT)
		return fail(s, &f, f.err);
	r = find(s, key, &o);
	if (r == 0)
		to_stat(&o, out);
	return r;
}

/* All that is there, in order. */
static size_t all_of(struct model *m, struct ours *out, char (*fillers)[16])
{
	size_t n = 0;
	unsigned filler = 0;

	/* The fillers sort before w/k and behind m/. */
	model_lock(m);
	for (;;) {
		const char *last = n > 0 ? out[n - 1].name : "";
		struct ours least = { 0 };

		for (unsigned i = 0; i < MODEL_KEYS; i++) {
			struct ours o = ours_of(m, i);

			if (o.id != 0 && strcmp(o.name, last) > 0 &&
			    (least.name == NULL ||
			     strcmp(o.name, least.name) < 0))
				least = o;
		}
		if (filler < m->filler &&
		    (least.name == NULL || strcmp("w/f", least.name) < 0)) {
			for (; filler < m->filler; filler++) {
				snprintf(fillers[filler], 16, "w/f%07u",
					 filler);
				out[n++] = (struct ours){ fillers[filler],
							  999999, 7, 0 };
			}
			continue;
		}
		if (least.name == NULL)
			break;
		out[n++] = least;
	}
	model_unlock(m);
	return n;
}

/* The page's entries behind what `after` and the token say; is there more? */
static bool page(const struct ufs_list *q, const char *token,
		 const struct ours *all, size_t n, struct ufs_entry *out,
		 size_t *got)
{
	for (size_t i = 0; i < n; i++) {
		struct str key = str_of(all[i].name);
		struct ufs_entry e = { .key = key };
		const char *slash;

		if (!str_starts(key, q->prefix))
			continue;
		slash = memchr(key.p + q->prefix.n, '/', key.n - q->prefix.n);
		if (slash != NULL && !q->deep) {
			e.dir = true;
			e.key.n = (size_t)(slash - key.p) + 1;
		} else {
			to_stat(&all[i], &e.st);
		}
		if (str_cmp(e.key, q->after) <= 0 ||
		    (token != NULL && str_cmp(e.key, str_of(token)) <= 0) ||
		    (*got > 0 && str_eq(out[*got - 1].key, e.key)))
			continue;
		if (*got == q->max)
			return true;
		out[(*got)++] = e;
	}
	return false;
}

static int store_list(struct ufs *u, const struct ufs_list *q, char **token,
		      ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	struct store *s = container_of(u, struct store, ufs);
	struct fault f = begin(s, AT_LIST);
	size_t room = MODEL_KEYS + s->model->filler, n, got = 0;
	AUTO_FREE struct ours *all = calloc(room, sizeof(*all));
	AUTO_FREE char(*fillers)[16] = calloc(room, sizeof(*fillers));
	AUTO_FREE struct ufs_entry *out = calloc(q->max, sizeof(*out));
	bool more;
	int r = 0;

	must(all == NULL || fillers == NULL || out == NULL);
	if (cancelled(cancel))
		return -ECANCELED;
	if (f.kind == FAIL)
		return fail(s, &f, f.err);
	if (f.kind == EMPTY && *token == NULL) {
		*token = strdup("");
		return 0;
	}
	n = all_of(s->model, all, fillers);
	more = page(q, *token, all, n, out, &got);
	free(*token);
	*token = more ? str_dup(out[got - 1].key) : NULL;
	for (size_t i = 0; i < got && r == 0; i++)
		r = cb(arg, &out[f.kind == REVERSED ? got - 1 - i : i]);
	return r;
}

/* Send bytes [off, off + len) of o, as far as the fault lets them come. */
static int send(struct store *s, const struct fault *f, const struct ours *o,
		uint64_t off, uint64_t len, const struct ufs_sink *sink,
		struct cancel *cancel)
{
	bool again = f->kind == AGAIN && sink->again != NULL;
	char buf[CHUNK];
	uint64_t sent = 0, stop = len;
	int r = 0;

	if (f->kind == FAIL_LATE || f->kind == TOO_SHORT)
		stop = len * 2 / 3;
	while (r == 0 && sent < stop) {
		size_t n = (size_t)MIN(sizeof(buf), stop - sent);

		if (cancelled(cancel))
			return -ECANCELED;
		model_bytes(o->id, off + sent, buf, n);
		buf[n / 2] ^= again;
		r = sink->data(sink->arg, buf, n);
		sent += n;
		if (r == 0 && again && sent == stop) {
			r = sink->again(sink->arg);
			again = false;
			sent = 0;
		}
	}
	if (r == 0 && f->kind == TOO_LONG && off + len < o->size) {
		model_bytes(o->id, off + len, buf, 1);
		r = fail(s, f, sink->data(sink->arg, buf, 1));
	}
	if (r == 0 && f->kind == TOO_SHORT && stop < len)
		return fail(s, f, 0);
	return r == 0 && f->kind == FAIL_LATE ? fail(s, f, f->err) : r;
}

static int store_get(struct ufs *u, struct str key, const char *want,
		     uint64_t off, uint64_t len, const struct ufs_sink *sink,
		     struct cancel *cancel)
{
	struct store *s = container_of(u, struct store, ufs);
	struct fault f = begin(s, AT_GET);
	struct ufs_stat st;
	struct ours o;
	int r;

	if (cancelled(cancel))
		return -ECANCELED;
	if (f.kind == FAIL)
		return fail(s, &f, f.err);
	r = find(s, key, &o);
	if (r < 0)
		return r;
	to_stat(&o, &st);
	if (want != NULL && strcmp(want, st.version) != 0)
		return -ESTALE;
	/* A store that does not look at If-Match. */
	if (f.kind == OTHER_VERSION) {
		o.id = 888888;
		store_version(o.id, st.version);
	}
	if (f.kind == OTHER_SIZE)
		st.size++;
	r = sink->head(sink->arg, &st);
	if (f.kind == OTHER_VERSION || f.kind == OTHER_SIZE)
		r = fail(s, &f, r);
	len = off < o.size ? MIN(len, o.size - off) : 0;
	return r < 0 ? r : send(s, &f, &o, off, len, sink, cancel);
}

static const struct ufs_ops store_ops = { .scheme = "model",
					  .stat = store_stat,
					  .list = store_list,
					  .get = store_get };

struct store *store_new(struct model *m)
{
	static char name[] = "model://store", prefix[] = "", access[] = "me";
	struct store *s = calloc(1, sizeof(*s));

	must(s == NULL);
	s->model = m;
	s->ufs = (struct ufs){ .ops = &store_ops,
			       .store = name,
			       .prefix = prefix,
			       .access = access };
	must(pthread_mutex_init(&s->mutex, NULL));
	return s;
}

void store_free(struct store *s)
{
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

struct ufs *store_ufs(struct store *s)
{
	return &s->ufs;
}

void store_fault(struct store *s, const struct op *op)
{
	/*
	 * A refused HEAD or LIST is no error where the other one is answered
	 * (a policy for one prefix), so EACCES is only a GET's.
	 */
	static const struct fault faults[] = {
		{ FAIL, -EIO, AT_STAT, 0, 0 },
		{ FAIL, -ETIMEDOUT, AT_STAT, 0, 0 },
		{ FAIL, -EHOSTUNREACH, AT_LIST, 0, 0 },
		{ FAIL, -EIO, AT_LIST, 0, 0 },
		{ REVERSED, 0, AT_LIST, 0, 0 },
		{ EMPTY, 0, AT_LIST, 0, 0 },
		{ FAIL, -EIO, AT_GET, 0, 0 },
		{ FAIL, -ETIMEDOUT, AT_GET, 0, 0 },
		{ FAIL, -EACCES, AT_GET, 0, 0 },
		{ FAIL_LATE, -EHOSTUNREACH, AT_GET, 0, 0 },
		{ FAIL_LATE, -EIO, AT_GET, 0, 0 },
		{ OTHER_VERSION, -ESTALE, AT_GET, 0, 0 },
		{ OTHER_SIZE, -ESTALE, AT_GET, 0, 0 },
		{ TOO_SHORT, -EIO, AT_GET, 0, 0 },
		{ TOO_LONG, -EIO, AT_GET, 0, 0 },
		{ AGAIN, 0, AT_GET, 0, 0 },
	};
	struct fault f = faults[op->a % ARRAY_SIZE(faults)];

	f.skip = op->b % 3;
	f.count = 1 + op->c % 4;
	pthread_mutex_lock(&s->mutex);
	s->faults[op->d % FAULTS_MAX] = f;
	pthread_mutex_unlock(&s->mutex);
}

void store_calm(struct store *s)
{
	pthread_mutex_lock(&s->mutex);
	memset(s->faults, 0, sizeof(s->faults));
	pthread_mutex_unlock(&s->mutex);
	model_lock(s->model);
	s->later_in = 0;
	model_unlock(s->model);
}

void store_later(struct store *s, const struct op *op)
{
	model_lock(s->model);
	s->later = *op;
	s->later_in = 1 + op->d % 5;
	model_unlock(s->model);
}
