/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_store.h - a store in memory that can be written
 *
 * It keeps whole objects and uploads, reads each body twice as a driver does,
 * counts what it is asked, and fails as told.
 */
#ifndef TESTS_UNIT_WRITE_STORE_H
#define TESTS_UNIT_WRITE_STORE_H

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/crc.h"
#include "ufs/write.h"

#define STORE_OBJECTS 16
#define STORE_PARTS 256
#define STORE_PIECE 10007 /* bytes of a body that it reads at a time */

struct store_object {
	char key[40];
	char *bytes;
	uint64_t size;
	unsigned version;
};

struct store_upload {
	unsigned id; /* 0: not in use */
	char key[40];
	int64_t begun;
	struct {
		char *bytes;
		uint64_t size;
		bool there;
	} parts[STORE_PARTS];
};

enum store_op {
	STORE_PUT,
	STORE_BEGIN,
	STORE_PART,
	STORE_COPY,
	STORE_WHOLE, /* a copy of all */
	STORE_REMOVE,
	STORE_END,
	STORE_ABORT,
	STORE_LIST, /* of uploads */
	STORE_GET,
	STORE_STAT,
	STORE_OPS
};

struct store {
	struct ufs ufs;
	struct ufs_limits limits;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct store_object objects[STORE_OBJECTS];
	struct store_upload uploads[STORE_OBJECTS];
	unsigned versions, ids;
	unsigned calls[STORE_OPS]; /* begun */
	uint64_t sent;             /* bytes that were put, or of parts */
	/* Call number nth (from 1; 0: none) of op fails. */
	enum store_op fail_op;
	unsigned fail_nth, fail_times;
	int fail_err;
	unsigned lose; /* so many objects are made, and it is not told */
	unsigned hold; /* ops (bits) that wait until they may go on */
	bool no_if;    /* removing takes no condition */
	useconds_t slow;
	/* Each object that is made, while the mutex is held. */
	void (*made)(void *arg, const struct store_object *o);
	void *made_arg;
};

static inline struct store *store_of(struct ufs *u)
{
	return container_of(u, struct store, ufs);
}

static inline int store_begin(struct store *s, enum store_op op,
			      struct cancel *cancel)
{
	int r = 0;

	pthread_mutex_lock(&s->mutex);
	s->calls[op]++;
	if (s->fail_nth != 0 && s->fail_op == op &&
	    s->calls[op] >= s->fail_nth &&
	    s->calls[op] < s->fail_nth + s->fail_times)
		r = s->fail_err;
	pthread_cond_broadcast(&s->changed);
	while (r == 0 && (s->hold & (1u << op)) && !cancelled(cancel)) {
		struct timespec t;

		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += 5000000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_nsec -= 1000000000;
			t.tv_sec++;
		}
		pthread_cond_timedwait(&s->changed, &s->mutex, &t);
	}
	if (r == 0 && cancelled(cancel))
		r = -ECANCELED;
	pthread_mutex_unlock(&s->mutex);
	if (s->slow != 0)
		usleep(s->slow);
	return r;
}

static inline struct store_object *store_find_locked(struct store *s,
						     struct str key)
{
	for (size_t i = 0; i < STORE_OBJECTS; i++)
		if (s->objects[i].version != 0 &&
		    str_eq(str_of(s->objects[i].key), key))
			return &s->objects[i];
	return NULL;
}

static inline void store_stat_of(const struct store_object *o,
				 struct ufs_stat *st)
{
	*st = (struct ufs_stat){ .size = o->size, .mtime = o->version };
	snprintf(st->version, sizeof(st->version), "v%u", o->version);
}

static inline int store_meets_locked(struct store *s, struct str key,
				     const struct ufs_cond *cond)
{
	struct store_object *o = store_find_locked(s, key);
	struct ufs_stat st;

	if (cond->what == UFS_IF_ABSENT)
		return o != NULL ? -EEXIST : 0;
	if (cond->what == UFS_IF_ANY)
		return 0;
	if (o == NULL)
		return -ESTALE;
	store_stat_of(o, &st);
	return strcmp(st.version, cond->version) == 0 ? 0 : -ESTALE;
}

/* bytes (heap) are taken over. */
static inline void store_make_locked(struct store *s, struct str key,
				     char *bytes, uint64_t size,
				     struct ufs_stat *out)
{
	struct store_object *o = store_find_locked(s, key);

	for (size_t i = 0; o == NULL && i < STORE_OBJECTS; i++)
		if (s->objects[i].version == 0)
			o = &s->objects[i];
	must(o == NULL);
	free(o->bytes);
	snprintf(o->key, sizeof(o->key), "%.*s", (int)key.n, key.p);
	o->bytes = bytes;
	o->size = size;
	o->version = ++s->versions;
	store_stat_of(o, out);
	if (s->made != NULL)
		s->made(s->made_arg, o);
}

/* All of a body (heap), read twice; NULL: it broke or differed. */
static inline char *store_body(struct store *s, const struct ufs_body *b,
			       int *err)
{
	char *bytes = malloc(b->size + 1);
	char piece[STORE_PIECE];
	uint64_t crc;
	bool known = b->crc != NULL && b->crc(b->arg, &crc);

	*err = 0;
	for (int turn = 0; turn < 2; turn++)
		for (uint64_t off = 0; off < b->size && *err == 0;) {
			size_t n = MIN(sizeof(piece), b->size - off);

			*err = b->read(b->arg, off, piece, n);
			if (*err == 0 && turn == 1 &&
			    memcmp(bytes + off, piece, n) != 0)
				*err = -EIO;
			memcpy(bytes + off, piece, n);
			off += n;
			if (s->slow != 0)
				usleep(s->slow);
		}
	if (*err == 0 && known)
		must(crc != crc_update(CRC_64NVME, 0, bytes, b->size));
	if (*err == 0)
		return bytes;
	free(bytes);
	return NULL;
}

static inline void store_limits(struct ufs *u, struct ufs_limits *out)
{
	*out = store_of(u)->limits;
}

static inline int store_lost_locked(struct store *s)
{
	if (s->lose == 0)
		return 0;
	s->lose--;
	return -ETIMEDOUT;
}

static inline int store_put(struct ufs *u, struct str key,
			    const struct ufs_body *body,
			    const struct ufs_cond *cond, struct ufs_stat *out,
			    struct cancel *cancel)
{
	struct store *s = store_of(u);
	char *bytes;
	int r = store_begin(s, STORE_PUT, cancel);

	if (r < 0)
		return r;
	bytes = store_body(s, body, &r);
	if (bytes == NULL)
		return r;
	pthread_mutex_lock(&s->mutex);
	r = store_meets_locked(s, key, cond);
	if (r == 0) {
		s->sent += body->size;
		store_make_locked(s, key, bytes, body->size, out);
		r = store_lost_locked(s);
	} else {
		free(bytes);
	}
	pthread_mutex_unlock(&s->mutex);
	return r;
}

static inline struct store_upload *
store_upload_locked(struct store *s, struct str key, const char *id)
{
	for (size_t i = 0; i < STORE_OBJECTS; i++)
		if (s->uploads[i].id != 0 &&
		    s->uploads[i].id == (unsigned)atoi(id) &&
		    str_eq(str_of(s->uploads[i].key), key))
			return &s->uploads[i];
	return NULL;
}

static inline int store_upload_begin(struct ufs *u, struct str key, char **id,
				     struct cancel *cancel)
{
	struct store *s = store_of(u);
	struct store_upload *up = NULL;
	int r = store_begin(s, STORE_BEGIN, cancel);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; up == NULL && i < STORE_OBJECTS; i++)
		if (s->uploads[i].id == 0)
			up = &s->uploads[i];
	must(up == NULL);
	up->id = ++s->ids;
	up->begun = clock_wall_ns();
	snprintf(up->key, sizeof(up->key), "%.*s", (int)key.n, key.p);
	must(asprintf(id, "%u", up->id) < 0);
	pthread_mutex_unlock(&s->mutex);
	return 0;
}

/* bytes are taken over. */
static inline int store_add_part(struct store *s, struct str key,
				 const char *id, struct ufs_part *part,
				 char *bytes, uint64_t size)
{
	struct store_upload *up;
	unsigned i = part->number - 1;

	pthread_mutex_lock(&s->mutex);
	up = store_upload_locked(s, key, id);
	if (up == NULL) {
		pthread_mutex_unlock(&s->mutex);
		free(bytes);
		return -ENOLINK;
	}
	must(i >= STORE_PARTS);
	free(up->parts[i].bytes);
	up->parts[i].bytes = bytes;
	up->parts[i].size = size;
	up->parts[i].there = true;
	part->size = size;
	snprintf(part->etag, sizeof(part->etag), "p%u-%ju", part->number,
		 (uintmax_t)size);
	pthread_mutex_unlock(&s->mutex);
	return 0;
}

static inline int store_upload_part(struct ufs *u, struct str key,
				    const char *id, const struct ufs_body *body,
				    struct ufs_part *part,
				    struct cancel *cancel)
{
	struct store *s = store_of(u);
	char *bytes;
	int r = store_begin(s, STORE_PART, cancel);

	if (r < 0)
		return r;
	bytes = store_body(s, body, &r);
	if (bytes == NULL)
		return r;
	r = store_add_part(s, key, id, part, bytes, body->size);
	if (r == 0) {
		pthread_mutex_lock(&s->mutex);
		s->sent += body->size;
		pthread_mutex_unlock(&s->mutex);
	}
	return r;
}

static inline int store_upload_copy(struct ufs *u, struct str key,
				    const char *id, struct str from,
				    const char *version, uint64_t off,
				    uint64_t len, struct ufs_part *part,
				    struct cancel *cancel)
{
	struct store *s = store_of(u);
	struct ufs_cond cond = { .what = UFS_IF_VERSION, .version = version };
	char *bytes = NULL;
	int r = store_begin(s, STORE_COPY, cancel);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->mutex);
	r = store_find_locked(s, from) == NULL
		? -ENOENT
		: store_meets_locked(s, from, &cond);
	if (r == 0) {
		struct store_object *o = store_find_locked(s, from);

		must(len < s->limits.part_least);
		must(off + len > o->size);
		bytes = malloc(len);
		memcpy(bytes, o->bytes + off, len);
	}
	pthread_mutex_unlock(&s->mutex);
	return r < 0 ? r : store_add_part(s, key, id, part, bytes, len);
}

static inline int store_copy(struct ufs *u, struct str from,
			     const struct ufs_stat *st, struct str to,
			     const struct ufs_cond *cond, struct ufs_stat *out,
			     struct cancel *cancel)
{
	const struct ufs_cond is = { .what = UFS_IF_VERSION,
				     .version = st->version };
	struct store *s = store_of(u);
	int r = store_begin(s, STORE_WHOLE, cancel);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->mutex);
	r = store_meets_locked(s, from, &is);
	if (r == 0)
		r = store_meets_locked(s, to, cond);
	if (r == 0) {
		struct store_object *o = store_find_locked(s, from);
		char *bytes = malloc(o->size + 1);

		memcpy(bytes, o->bytes, o->size);
		store_make_locked(s, to, bytes, o->size, out);
	}
	pthread_mutex_unlock(&s->mutex);
	return r;
}

static inline void store_clear_locked(struct store_object *o)
{
	free(o->bytes);
	memset(o, 0, sizeof(*o));
}

static inline int store_remove(struct ufs *u, struct str key,
			       const struct ufs_cond *cond,
			       struct cancel *cancel)
{
	struct store *s = store_of(u);
	struct store_object *o;
	int r = store_begin(s, STORE_REMOVE, cancel);

	if (r == 0 && s->no_if && cond->what != UFS_IF_ANY)
		r = -EOPNOTSUPP;
	if (r < 0)
		return r;
	pthread_mutex_lock(&s->mutex);
	r = store_meets_locked(s, key, cond);
	o = store_find_locked(s, key);
	if (r == 0 && o != NULL)
		store_clear_locked(o);
	pthread_mutex_unlock(&s->mutex);
	return r;
}

static inline int store_same(struct ufs *u, struct str a, struct str b,
			     struct cancel *cancel)
{
	struct store *s = store_of(u);
	struct store_object *x, *y;
	int r = -ENOENT;

	(void)cancel;
	pthread_mutex_lock(&s->mutex);
	x = store_find_locked(s, a);
	y = store_find_locked(s, b);
	if (x != NULL && y != NULL)
		r = x->size == y->size &&
		    memcmp(x->bytes, y->bytes, x->size) == 0;
	pthread_mutex_unlock(&s->mutex);
	return r;
}

static inline int store_stat(struct ufs *u, struct str key,
			     struct ufs_stat *out, struct cancel *cancel)
{
	struct store *s = store_of(u);
	struct store_object *o;
	int r = store_begin(s, STORE_STAT, cancel);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->mutex);
	o = store_find_locked(s, key);
	if (o != NULL)
		store_stat_of(o, out);
	pthread_mutex_unlock(&s->mutex);
	return o != NULL ? 0 : -ENOENT;
}

/* All below a prefix, in no order, as one page. */
static inline int store_list(struct ufs *u, const struct ufs_list *q,
			     char **token, ufs_entry_cb *cb, void *arg,
			     struct cancel *cancel)
{
	struct store *s = store_of(u);
	int r = 0;

	(void)cancel;
	must(*token != NULL);
	must(!q->deep);
	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; r == 0 && i < STORE_OBJECTS; i++) {
		struct ufs_entry e = { .key = str_of(s->objects[i].key) };

		if (s->objects[i].version == 0 || !str_starts(e.key, q->prefix))
			continue;
		store_stat_of(&s->objects[i], &e.st);
		r = cb(arg, &e);
	}
	pthread_mutex_unlock(&s->mutex);
	return r;
}

static inline void store_drop_locked(struct store_upload *up)
{
	for (size_t i = 0; i < STORE_PARTS; i++)
		free(up->parts[i].bytes);
	memset(up, 0, sizeof(*up));
}

static inline int store_upload_end(struct ufs *u, struct str key,
				   const char *id, const struct ufs_part *parts,
				   size_t n, const struct ufs_cond *cond,
				   struct ufs_stat *out, struct cancel *cancel)
{
	struct store *s = store_of(u);
	struct store_upload *up;
	uint64_t size = 0;
	char *bytes = NULL;
	int r = store_begin(s, STORE_END, cancel);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->mutex);
	up = store_upload_locked(s, key, id);
	r = up == NULL ? -ENOLINK : store_meets_locked(s, key, cond);
	for (size_t i = 0; r == 0 && i < n; i++) {
		unsigned k = parts[i].number - 1;
		void *more;

		must(i > 0 && parts[i - 1].number >= parts[i].number);
		must(!up->parts[k].there);
		must(up->parts[k].size != parts[i].size);
		must(i + 1 < n && parts[i].size < s->limits.part_least);
		more = realloc(bytes, size + parts[i].size);
		must(more == NULL);
		bytes = more;
		memcpy(bytes + size, up->parts[k].bytes, parts[i].size);
		size += parts[i].size;
	}
	if (r == 0) {
		store_make_locked(s, key, bytes, size, out);
		store_drop_locked(up);
		r = store_lost_locked(s);
	}
	pthread_mutex_unlock(&s->mutex);
	return r;
}

static inline int store_upload_abort(struct ufs *u, struct str key,
				     const char *id, struct cancel *cancel)
{
	struct store *s = store_of(u);
	struct store_upload *up;
	int r = store_begin(s, STORE_ABORT, cancel);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->mutex);
	up = store_upload_locked(s, key, id);
	if (up != NULL)
		store_drop_locked(up);
	pthread_mutex_unlock(&s->mutex);
	return 0;
}

static inline int store_upload_list(struct ufs *u, struct str below,
				    ufs_upload_cb *cb, void *arg,
				    struct cancel *cancel)
{
	struct store *s = store_of(u);
	int r = store_begin(s, STORE_LIST, cancel);

	for (size_t i = 0; r == 0 && i < STORE_OBJECTS; i++) {
		char key[sizeof(s->uploads[i].key)], id[16];
		struct ufs_upload up = { .id = id };

		pthread_mutex_lock(&s->mutex);
		memcpy(key, s->uploads[i].key, sizeof(key));
		snprintf(id, sizeof(id), "%u", s->uploads[i].id);
		up.begun = s->uploads[i].begun;
		pthread_mutex_unlock(&s->mutex);
		up.key = str_of(key);
		if (strcmp(id, "0") != 0 && str_starts(up.key, below))
			r = cb(arg, &up);
	}
	return r;
}

static inline int store_get(struct ufs *u, struct str key, const char *want,
			    uint64_t off, uint64_t len,
			    const struct ufs_sink *sink, struct cancel *cancel)
{
	struct store *s = store_of(u);
	struct store_object *o;
	struct ufs_stat st = { 0 };
	char *bytes = NULL;
	int r = store_begin(s, STORE_GET, cancel);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->mutex);
	o = store_find_locked(s, key);
	if (o != NULL)
		store_stat_of(o, &st);
	if (o == NULL || (want != NULL && strcmp(want, st.version) != 0)) {
		r = -ESTALE;
	} else {
		off = MIN(off, o->size);
		len = MIN(len, o->size - off);
		bytes = malloc(len + 1);
		memcpy(bytes, o->bytes + off, len);
	}
	pthread_mutex_unlock(&s->mutex);
	if (r == 0)
		r = sink->head(sink->arg, &st);
	if (r == 0 && len > 0)
		r = sink->data(sink->arg, bytes, len);
	free(bytes);
	return r;
}

static const struct ufs_write_ops store_write_ops = {
	.limits = store_limits,
	.put = store_put,
	.copy = store_copy,
	.remove = store_remove,
	.same = store_same,
	.upload_begin = store_upload_begin,
	.upload_part = store_upload_part,
	.upload_copy = store_upload_copy,
	.upload_end = store_upload_end,
	.upload_abort = store_upload_abort,
	.upload_list = store_upload_list,
};

static const struct ufs_ops store_ops = { .scheme = "memory",
					  .stat = store_stat,
					  .list = store_list,
					  .get = store_get,
					  .write = &store_write_ops };

#define PART KIB(128)

static inline void store_init(struct store *s)
{
	static char name[] = "memory://store", none[] = "";

	*s = (struct store){
		.ufs = { .ops = &store_ops,
			 .store = name,
			 .prefix = none,
			 .access = none },
		.limits = { .put_most = MIB(64),
			    .part_least = PART,
			    .part_most = MIB(64),
			    .parts = STORE_PARTS,
			    .object_most = MIB(64) },
	};
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->changed, NULL);
}

static inline void store_fini(struct store *s)
{
	for (size_t i = 0; i < STORE_OBJECTS; i++) {
		free(s->objects[i].bytes);
		store_drop_locked(&s->uploads[i]);
	}
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mutex);
}

/* What is there becomes this. */
static inline void store_set(struct store *s, const char *key,
			     const void *bytes, uint64_t size,
			     struct ufs_stat *out)
{
	char *copy = malloc(size + 1);

	memcpy(copy, bytes, size);
	pthread_mutex_lock(&s->mutex);
	store_make_locked(s, str_of(key), copy, size, out);
	pthread_mutex_unlock(&s->mutex);
}

static inline bool store_has(struct store *s, const char *key,
			     const void *bytes, uint64_t size)
{
	struct store_object *o;
	bool same;

	pthread_mutex_lock(&s->mutex);
	o = store_find_locked(s, str_of(key));
	same = o != NULL && o->size == size &&
	       (size == 0 || memcmp(o->bytes, bytes, size) == 0);
	pthread_mutex_unlock(&s->mutex);
	return same;
}

static inline bool store_has_key(struct store *s, const char *key)
{
	bool there;

	pthread_mutex_lock(&s->mutex);
	there = store_find_locked(s, str_of(key)) != NULL;
	pthread_mutex_unlock(&s->mutex);
	return there;
}

/* Was it there? */
static inline bool store_drop_key(struct store *s, const char *key)
{
	struct store_object *o;

	pthread_mutex_lock(&s->mutex);
	o = store_find_locked(s, str_of(key));
	if (o != NULL)
		store_clear_locked(o);
	pthread_mutex_unlock(&s->mutex);
	return o != NULL;
}

static inline unsigned store_calls(struct store *s, enum store_op op)
{
	unsigned n;

	pthread_mutex_lock(&s->mutex);
	n = s->calls[op];
	pthread_mutex_unlock(&s->mutex);
	return n;
}

static inline uint64_t store_sent(struct store *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->mutex);
	n = s->sent;
	pthread_mutex_unlock(&s->mutex);
	return n;
}

static inline unsigned store_uploads(struct store *s)
{
	unsigned n = 0;

	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; i < STORE_OBJECTS; i++)
		n += s->uploads[i].id != 0;
	pthread_mutex_unlock(&s->mutex);
	return n;
}

static inline void store_hold(struct store *s, unsigned ops)
{
	pthread_mutex_lock(&s->mutex);
	s->hold = ops;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->mutex);
}

static inline void store_fail(struct store *s, enum store_op op, unsigned nth,
			      unsigned times, int err)
{
	pthread_mutex_lock(&s->mutex);
	s->fail_op = op;
	s->fail_nth = nth == 0 ? 0 : s->calls[op] + nth;
	s->fail_times = times;
	s->fail_err = err;
	pthread_mutex_unlock(&s->mutex);
}

/* The store forgets all uploads. */
static inline void store_forget(struct store *s)
{
	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; i < STORE_OBJECTS; i++)
		store_drop_locked(&s->uploads[i]);
	pthread_mutex_unlock(&s->mutex);
}

#endif
