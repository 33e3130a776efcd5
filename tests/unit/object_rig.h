/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object_rig.h - a cache with one object of a store in memory, for tests
 *
 * The store counts what it is asked, fails and holds back answers as told.
 */
#ifndef TESTS_UNIT_OBJECT_RIG_H
#define TESTS_UNIT_OBJECT_RIG_H

#include "cache/object.h"

#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cache/cache_impl.h"

/*
 * A store in memory: one object of made-up bytes whose every byte tells its
 * place and version, so that a shifted, torn or mixed answer is seen. A test
 * can count the gets, hold them back until it says so, and let them fail.
 */
struct fake_ufs {
	struct ufs ufs;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint64_t size;
	char version[UFS_VERSION_MAX];
	unsigned gets;       /* begun */
	uint64_t bytes;      /* sent */
	bool hold;           /* gets wait before their first byte */
	int fail;            /* -errno for every get, 0 = none */
	uint64_t fail_after; /* bytes into a get; with fail */
	unsigned wrong;      /* times that a whole object is sent wrong */
	bool stall;          /* for tests that hold up threads of the disk */
};

static inline unsigned char fake_byte(const char *version, uint64_t off)
{
	return (unsigned char)((off * 2654435761u) >> 13 ^ off ^
			       (uint64_t)version[0] * 31);
}

static inline int fake_get(struct ufs *u, struct str key, const char *want,
			   uint64_t off, uint64_t len,
			   const struct ufs_sink *sink, struct cancel *cancel)
{
	struct fake_ufs *f = container_of(u, struct fake_ufs, ufs);
	struct ufs_stat st = { .size = f->size };
	unsigned char buf[7000];
	uint64_t sent = 0;
	uint64_t fail_after;
	unsigned wrong;
	int err, fail;

	(void)key;
	pthread_mutex_lock(&f->mutex);
	f->gets++;
	pthread_cond_broadcast(&f->changed);
	while (f->hold && !cancelled(cancel)) {
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 20000000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_nsec -= 1000000000;
			ts.tv_sec++;
		}
		pthread_cond_timedwait(&f->changed, &f->mutex, &ts);
	}
	snprintf(st.version, sizeof(st.version), "%s", f->version);
	fail = f->fail;
	fail_after = f->fail_after;
	wrong = sink->again != NULL ? f->wrong : 0;
	err = fail_after == 0 ? fail : 0;
	pthread_mutex_unlock(&f->mutex);
	if (cancelled(cancel))
		return -ECANCELED;
	if (err != 0)
		return err;
	if (want != NULL && strcmp(want, st.version) != 0)
		return -ESTALE;
	err = sink->head(sink->arg, &st);
	len = MIN(len, f->size - off);
	while (err == 0 && sent < len) {
		size_t n = MIN(sizeof(buf), len - sent);

		if (fail != 0 && sent + n > fail_after)
			return fail;
		for (size_t i = 0; i < n; i++)
			buf[i] =
			    fake_byte(st.version, off + sent + i) ^ (wrong > 0);
		pthread_mutex_lock(&f->mutex);
		f->bytes += n;
		pthread_mutex_unlock(&f->mutex);
		err = sink->data(sink->arg, buf, n);
		sent += n;
		if (err == 0 && sent == len && wrong > 0) {
			err = sink->again(sink->arg);
			wrong--;
			sent = 0;
		}
	}
	return err;
}

static const struct ufs_ops fake_ops = { .scheme = "fake", .get = fake_get };

static inline void fake_ufs_init(struct fake_ufs *f, uint64_t size,
				 const char *version)
{
	static char store[] = "fake://store", none[] = "";

	*f = (struct fake_ufs){ .size = size };
	f->ufs = (struct ufs){
		.ops = &fake_ops, .store = store, .prefix = none, .access = none
	};
	snprintf(f->version, sizeof(f->version), "%s", version);
	pthread_mutex_init(&f->mutex, NULL);
	pthread_cond_init(&f->changed, NULL);
}

static inline void fake_ufs_fini(struct fake_ufs *f)
{
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->mutex);
}

static inline void fake_ufs_hold(struct fake_ufs *f, bool hold)
{
	pthread_mutex_lock(&f->mutex);
	f->hold = hold;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

static inline void fake_ufs_wait_gets(struct fake_ufs *f, unsigned n)
{
	pthread_mutex_lock(&f->mutex);
	while (f->gets < n)
		pthread_cond_wait(&f->changed, &f->mutex);
	pthread_mutex_unlock(&f->mutex);
}

static inline unsigned fake_ufs_gets(struct fake_ufs *f)
{
	unsigned n;

	pthread_mutex_lock(&f->mutex);
	n = f->gets;
	pthread_mutex_unlock(&f->mutex);
	return n;
}

struct rig {
	struct fake_ufs store;
	struct cache *cache;
	struct object *object;
	char dir[64];
	char second[64]; /* another disk's directory, or "" */
};

static inline int remove_one(const char *path, const struct stat *st, int type,
			     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void rig_open(struct rig *r)
{
	struct cache_conf conf = { .ufs = &r->store.ufs,
				   .memory = MIB(64),
				   .size = UINT64_C(1) << 30,
				   .size_explicit = true,
				   .consistency = CONSISTENCY_TTL,
				   .ttl = 60 * NSEC_PER_SEC,
				   .negative_ttl = 5 * NSEC_PER_SEC,
				   .read_timeout = 20 * NSEC_PER_SEC,
				   .small_file = MIB(1),
				   .readahead = MIB(16) };
	struct ufs_stat st = { .size = r->store.size };
	char why[256];

	snprintf(st.version, sizeof(st.version), "%s", r->store.version);
	if (r->dir[0] != '\0') {
		conf.dirs[0] = r->dir;
		conf.ndirs = 1;
	}
	if (r->second[0] != '\0')
		conf.dirs[conf.ndirs++] = r->second;
	ck_assert_msg(cache_new(&conf, &r->cache, why) == 0, "%s", why);
	ck_assert_int_eq(object_get(r->cache, str_of("a/key"), &st, &r->object),
			 0);
}

static inline void rig_close(struct rig *r)
{
	object_put(r->object);
	cache_free(r->cache);
}

static inline void rig_init(struct rig *r, uint64_t size, bool ssd)
{
	*r = (struct rig){ .dir = "" };
	fake_ufs_init(&r->store, size, "v1");
	if (ssd) {
		snprintf(r->dir, sizeof(r->dir), "/tmp/tarn-object-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(r->dir));
	}
	rig_open(r);
}

static inline void rig_fini(struct rig *r)
{
	rig_close(r);
	fake_ufs_fini(&r->store);
	if (r->dir[0] != '\0')
		nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (r->second[0] != '\0')
		nftw(r->second, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline uint64_t rig_bytes(struct rig *r)
{
	uint64_t n;

	pthread_mutex_lock(&r->store.mutex);
	n = r->store.bytes;
	pthread_mutex_unlock(&r->store.mutex);
	return n;
}

/* Every get from now on fails, after some bytes; 0: none. */
static inline void rig_fail(struct rig *r, int err, uint64_t after)
{
	pthread_mutex_lock(&r->store.mutex);
	r->store.fail = err;
	r->store.fail_after = after;
	pthread_mutex_unlock(&r->store.mutex);
}

/* A read that a thread can wait for. */
struct waited {
	struct object_read read;
	struct object_open open;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool ended;
	int err;
	struct cache_file *file;
	size_t got;
	bool right;
	const char *version;
};

static inline void waited_init(struct waited *w)
{
	*w = (struct waited){ .version = "v1" };
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->cond, NULL);
}

static inline void waited_end(struct waited *w)
{
	pthread_mutex_lock(&w->mutex);
	ck_assert(!w->ended);
	w->ended = true;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->mutex);
}

static inline void waited_wait(struct waited *w)
{
	pthread_mutex_lock(&w->mutex);
	while (!w->ended)
		pthread_cond_wait(&w->cond, &w->mutex);
	pthread_mutex_unlock(&w->mutex);
}

static inline void waited_fini(struct waited *w)
{
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->mutex);
}

static inline void read_ended(struct object_read *r, int err,
			      const struct iovec *iov, int niov)
{
	struct waited *w = container_of(r, struct waited, read);
	uint64_t off = r->off;

	w->err = err;
	w->right = true;
	for (int i = 0; i < niov; i++) {
		const unsigned char *p = iov[i].iov_base;

		for (size_t k = 0; k < iov[i].iov_len; k++, off++)
			if (p[k] != fake_byte(w->version, off))
				w->right = false;
		w->got += iov[i].iov_len;
	}
	waited_end(w);
}

static inline void read_start(struct rig *r, struct waited *w, uint64_t off,
			      size_t len)
{
	waited_init(w);
	w->read.off = off;
	w->read.len = len;
	w->read.done = read_ended;
	object_read(r->object, &w->read);
}

/* Bytes read right, or -errno. */
static inline ssize_t read_now(struct rig *r, uint64_t off, size_t len)
{
	struct waited w;

	read_start(r, &w, off, len);
	waited_wait(&w);
	waited_fini(&w);
	ck_assert_msg(w.right, "wrong bytes at %ju", (uintmax_t)off);
	return w.err != 0 ? w.err : (ssize_t)w.got;
}

static inline void open_ended(struct object_open *r, int err,
			      struct cache_file *file)
{
	struct waited *w = container_of(r, struct waited, open);

	w->err = err;
	w->file = file;
	waited_end(w);
}

static inline int open_now(struct rig *r, struct cache_file **file)
{
	struct waited w;

	waited_init(&w);
	w.open.done = open_ended;
	object_open(r->object, &w.open);
	waited_wait(&w);
	waited_fini(&w);
	*file = w.file;
	return w.err;
}

static inline void read_all(struct rig *r, size_t step)
{
	for (uint64_t off = 0; off < r->store.size; off += step)
		ck_assert_int_eq(read_now(r, off, step),
				 (ssize_t)MIN(step, r->store.size - off));
}

/* Bytes of it on the SSD. */
static inline uint64_t cached(struct rig *r)
{
	uint64_t bytes = 0;

	ck_assert_int_eq(object_cached(r->object, &bytes), 0);
	return bytes;
}

/* Let every fill end: unmounting does. */
static inline void rig_reopen(struct rig *r)
{
	rig_close(r);
	rig_open(r);
}

#endif
