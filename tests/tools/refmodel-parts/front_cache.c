/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_cache.c - the cache in this process, used as fuse/ uses it
 *
 * A slot is a handle: it holds the object of the version that open found. An
 * open whose version turns out to be gone forgets the name and looks again,
 * as the kernel does on ESTALE.
 */
#include "tests/tools/refmodel-parts/front.h"

#include <errno.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/stats.h"
#include "cache/listing.h"
#include "cache/meta.h"
#include "cache/object.h"
#include "tests/tools/refmodel-parts/clock.h"
#include "tests/tools/refmodel-parts/scratch.h"
#include "tests/tools/refmodel-parts/store.h"
#include "tests/tools/refmodel-parts/tamper.h"

struct slot {
	struct object *object; /* NULL: closed */
	unsigned key;
	int fd; /* of the complete file that open gave, or -1 */
};

struct front_cache {
	struct front front;
	struct store *store;
	struct cache *cache;
	struct scratch scratch;
	char dirs[2][80];
	struct slot slots[SLOTS];
	int64_t lost;
};

static struct front_cache *of(struct front *f)
{
	return container_of(f, struct front_cache, front);
}

/* What a cache may have had to drop, or did not keep. */
static int64_t lost(void)
{
	return stat_read(STAT_evicted_files) + stat_read(STAT_ssd_unadmitted) +
	       stat_read(STAT_ssd_errors) + stat_read(STAT_ssd_hedges) +
	       stat_read(STAT_bad_pages);
}

static int cache_begin(struct front_cache *c)
{
	const struct config *config = c->front.config;
	struct cache_conf conf = {
		.ufs = store_ufs(c->store),
		.ndirs = config->dirs,
		.size = config->cache_size,
		.size_explicit = true,
		.memory = config->memory,
		.consistency = config->consistency,
		.ttl = config->ttl,
		.negative_ttl = config->negative_ttl,
		.read_timeout = 600 * NSEC_PER_SEC,
		.metadata_timeout = 600 * NSEC_PER_SEC,
		.small_file = config->small_file,
		.readahead = config->readahead,
		.prefetch = config->prefetch,
	};
	char why[256];
	int r;

	for (unsigned i = 0; i < config->dirs; i++)
		conf.dirs[i] = c->dirs[i];
	r = cache_new(&conf, &c->cache, why);
	if (r < 0)
		fprintf(stderr, "refmodel: %s\n", why);
	return r;
}

static int start(struct front *f)
{
	struct front_cache *c = of(f);
	int r = scratch_begin(&c->scratch);

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++)
		snprintf(c->dirs[i], sizeof(c->dirs[i]), "%s/%d",
			 c->scratch.base, i);
	c->lost = lost();
	return cache_begin(c);
}

static void slot_close(struct front *f, unsigned slot)
{
	struct slot *s = &of(f)->slots[slot];

	object_put(s->object);
	s->object = NULL;
}

static void stop(struct front *f, char why[static 256])
{
	struct front_cache *c = of(f);

	for (unsigned i = 0; i < SLOTS; i++)
		slot_close(f, i);
	cache_free(c->cache);
	scratch_end(&c->scratch, why);
}

/* A key's directory and its name there; of a marker the directory's name. */
static void split(const struct front *f, unsigned key, struct str *dir,
		  struct str *name)
{
	const char *p = f->model->keys[key].name, *slash;
	size_t n = strlen(p);

	if (p[n - 1] == '/')
		n--;
	slash = memrchr(p, '/', n);
	dir->p = p;
	dir->n = slash != NULL ? (size_t)(slash - p) + 1 : 0;
	*name = (struct str){ p + dir->n, n - dir->n };
}

static int lookup(struct front *f, unsigned key, struct seen *out)
{
	struct meta *m = cache_meta(of(f)->cache);
	struct meta_answer a = { 0 };
	struct str dir, name;
	int r;

	memset(out, 0, sizeof(*out));
	split(f, key, &dir, &name);
	r = meta_lookup_fast(m, dir, name, &a);
	if (r == -EAGAIN)
		r = meta_lookup(m, dir, name, &a, NULL);
	if (r == 0)
		*out = (struct seen){ .object = a.object,
				      .dir = a.dir,
				      .st = a.st };
	return r;
}

struct listing_to {
	front_entry_cb *cb;
	void *arg;
};

static int entry_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	struct listing_to *to = arg;
	AUTO_FREE char *name =
	    str_dup((struct str){ e->name.p, e->name.n - e->dir });

	(void)number;
	must(name == NULL);
	to->cb(to->arg, name, e->dir, e->dir ? NULL : &e->st);
	return 0;
}

static int whole_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	(void)arg;
	(void)number;
	(void)e;
	return 0;
}

static int list(struct front *f, const char *dir, front_entry_cb *cb, void *arg)
{
	struct meta *m = cache_meta(of(f)->cache);
	struct listing_to to = { cb, arg };
	struct listing *l;
	bool spoilt;
	int r;

	/* One that proves rotten is taken anew, as readdir does. */
	do {
		r = meta_list(m, str_of(dir), &l, NULL);
		if (r < 0)
			return r;
		r = listing_each(l, 0, whole_cb, NULL);
		spoilt = listing_is_bad(l);
		if (r == 0)
			r = listing_each(l, 0, entry_cb, &to);
		listing_unref(l);
	} while (r < 0 && spoilt);
	return r;
}

/* What a thread of the cache brings to the one that waits. */
struct waited {
	struct object_open open;
	struct object_read read;
	struct reading *reading;
	pthread_mutex_t mutex;
	pthread_cond_t ended;
	bool done;
	int err;
	int fd;
};

static void waited_init(struct waited *w)
{
	memset(w, 0, sizeof(*w));
	w->fd = -1;
	must(pthread_mutex_init(&w->mutex, NULL));
	must(pthread_cond_init(&w->ended, NULL));
}

static void waited_tell(struct waited *w)
{
	must(pthread_mutex_lock(&w->mutex));
	must(w->done); /* done() is called once */
	w->done = true;
	must(pthread_cond_signal(&w->ended));
	must(pthread_mutex_unlock(&w->mutex));
}

static void waited_wait(struct waited *w)
{
	must(pthread_mutex_lock(&w->mutex));
	while (!w->done)
		must(pthread_cond_wait(&w->ended, &w->mutex));
	must(pthread_mutex_unlock(&w->mutex));
	pthread_cond_destroy(&w->ended);
	pthread_mutex_destroy(&w->mutex);
}

static void opened(struct object_open *r, int err, struct cache_file *file)
{
	struct waited *w = container_of(r, struct waited, open);

	w->err = err;
	w->fd = file != NULL ? file->fd : -1;
	waited_tell(w);
}

/* One try; -ESTALE: that version is gone. */
static int open_once(struct front *f, unsigned slot, unsigned key,
		     struct seen *out)
{
	struct front_cache *c = of(f);
	struct str k = str_of(f->model->keys[key].name);
	struct slot *s = &c->slots[slot];
	struct waited w;
	int r = lookup(f, key, out);

	if (r == 0 && !out->object)
		r = -ENOENT;
	if (r == 0 && f->config->consistency == CONSISTENCY_STRICT) {
		struct ufs_stat now;

		r = meta_stat_now(cache_meta(c->cache), k, &now, NULL);
		if (r == -ENOENT ||
		    (r == 0 && strcmp(now.version, out->st.version) != 0))
			return -ESTALE;
	}
	if (r < 0)
		return r;
	r = object_get(c->cache, k, &out->st, &s->object);
	if (r < 0)
		return r;
	waited_init(&w);
	w.open.done = opened;
	object_open(s->object, &w.open);
	waited_wait(&w);
	s->key = key;
	s->fd = w.fd;
	if (w.err < 0)
		slot_close(f, slot);
	return w.err == -ENOENT ? -ESTALE : w.err;
}

static int slot_open(struct front *f, unsigned slot, unsigned key, unsigned how,
		     struct seen *out)
{
	struct meta *m = cache_meta(of(f)->cache);
	int r = 0;

	(void)how;
	for (int tries = 0; tries < 2; tries++) {
		r = open_once(f, slot, key, out);
		if (r != -ESTALE)
			break;
		meta_gone(m, str_of(f->model->keys[key].name));
	}
	return r;
}

static void was_read(struct object_read *r, int err, const struct iovec *iov,
		     int niov)
{
	struct waited *w = container_of(r, struct waited, read);
	struct reading *to = w->reading;

	to->got = err;
	for (int i = 0; i < niov; i++) {
		memcpy(to->buf + to->got, iov[i].iov_base, iov[i].iov_len);
		to->got += (ssize_t)iov[i].iov_len;
	}
	waited_tell(w);
}

static void read_slots(struct front *f, struct reading *r, size_t n)
{
	struct front_cache *c = of(f);
	struct waited w[BURST_MAX];
	bool asked[BURST_MAX] = { false };

	for (size_t i = 0; i < n; i++) {
		struct slot *s = &c->slots[r[i].slot];

		if (s->fd >= 0 && r[i].how % 4 == 1) {
			r[i].got =
			    pread(s->fd, r[i].buf, r[i].len, (off_t)r[i].off);
			continue;
		}
		asked[i] = true;
		waited_init(&w[i]);
		w[i].reading = &r[i];
		w[i].read.off = r[i].off;
		w[i].read.len = r[i].len;
		w[i].read.done = was_read;
		object_read(s->object, &w[i].read);
		if (r[i].how % 8 == 2 && object_read_cancel(&w[i].read)) {
			r[i].got = -EINTR;
			waited_tell(&w[i]);
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (!asked[i])
			continue;
		waited_wait(&w[i]);
		if (r[i].got == -ENOENT)
			r[i].got = -ESTALE;
		if (r[i].got == -ESTALE)
			meta_gone(
			    cache_meta(c->cache),
			    str_of(
				f->model->keys[c->slots[r[i].slot].key].name));
	}
}

static int invalidate(struct front *f, const char *path)
{
	meta_invalidate(cache_meta(of(f)->cache), str_of(path));
	return 0;
}

static int restart(struct front *f, bool *killed, unsigned how)
{
	struct front_cache *c = of(f);

	(void)how;
	*killed = false;
	cache_free(c->cache);
	return cache_begin(c);
}

static void tamper(struct front *f, const struct op *op)
{
	struct front_cache *c = of(f);

	/* Whoever was given a file reads what is made of it. */
	for (unsigned i = 0; i < SLOTS; i++)
		c->slots[i].fd = -1;
	tamper_with(c->dirs[op->d % f->config->dirs], op);
}

static void forget(struct front *f)
{
	(void)f;
}

static void pass(struct front *f, int64_t ns)
{
	(void)f;
	clock_forward(ns);
}

static void change(struct front *f, unsigned key)
{
	(void)f;
	(void)key;
}

static void later(struct front *f, const struct op *op)
{
	store_later(of(f)->store, op);
}

static void fault(struct front *f, const struct op *op)
{
	store_fault(of(f)->store, op);
}

static void calm(struct front *f)
{
	store_calm(of(f)->store);
}

static bool excused(struct front *f, int err, int64_t begun)
{
	/* A thread may be a while on its way from the store to the reader. */
	return store_failed(of(f)->store, err,
			    clock_ns() - begun + NSEC_PER_SEC);
}

static bool kept(struct front *f)
{
	return lost() == of(f)->lost;
}

static void front_free(struct front *f)
{
	struct front_cache *c = of(f);

	store_free(c->store);
	free(c);
}

static const struct front_ops cache_ops = {
	.free = front_free,
	.start = start,
	.stop = stop,
	.lookup = lookup,
	.list = list,
	.open = slot_open,
	.close = slot_close,
	.read = read_slots,
	.invalidate = invalidate,
	.restart = restart,
	.tamper = tamper,
	.forget = forget,
	.pass = pass,
	.change = change,
	.later = later,
	.fault = fault,
	.calm = calm,
	.excused = excused,
	.kept = kept,
};

struct front *front_cache_new(struct model *m, const struct config *config)
{
	struct front_cache *c = calloc(1, sizeof(*c));

	must(c == NULL);
	c->front = (struct front){
		.ops = &cache_ops,
		.model = m,
		.config = config,
		.sure = config->dirs > 0 && !config->tampers &&
			config->cache_size > MIB(64),
	};
	c->store = store_new(m);
	return &c->front;
}
