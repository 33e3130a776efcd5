/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_store.h - the store in memory that the tests of meta.h ask
 *
 * It counts what it is asked, fails and holds back answers as told. Each
 * test program has one of its own: everything in it is static.
 */
#ifndef TESTS_UNIT_META_STORE_H
#define TESTS_UNIT_META_STORE_H

#include "cache/meta.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/stats.h"
#include "cache/meta_impl.h"

#define FOREVER (INT64_C(1000000) * NSEC_PER_SEC)

struct object {
	char key[64];
	uint64_t size;
};

struct store {
	struct ufs ufs;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct object *objects; /* sorted by key */
	size_t n;
	unsigned heads, lists; /* begun */
	bool hold_head, hold_list;
	bool deaf;          /* held calls do not look at their cancel */
	unsigned cancelled; /* calls that ended so */
	int fail_head, fail_list;
	unsigned fail_page; /* this LIST fails, counted from 1 */
	bool same_token, empty_pages;
	bool hold_big;   /* pages beyond LOOKUP_LIST_MAX entries wait */
	unsigned big;    /* such pages asked for */
	int page_ms;     /* what a LIST of some entries takes; 0: no time */
	int begin_ms;    /* and what beginning behind a key adds */
	unsigned probes; /* LISTs of one entry */
	unsigned listing, at_once; /* LISTs under way; most there were */
	char made[200];  /* keys that it heard of, each with a blank */
	int64_t spooled; /* most of STAT_spool_bytes that a LIST saw */
};

static struct store store;
static char tmp[64];
static struct disk *disk;
static struct meta *meta;

/* Called with the mutex; waits while *hold is set. */
static inline bool held_back(const bool *hold, struct cancel *cancel)
{
	while (*hold && (store.deaf || !cancelled(cancel))) {
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 10000000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_nsec -= 1000000000;
			ts.tv_sec++;
		}
		pthread_cond_timedwait(&store.changed, &store.mutex, &ts);
	}
	if (!cancelled(cancel))
		return true;
	store.cancelled++;
	pthread_cond_broadcast(&store.changed);
	return false;
}

static inline void stat_of(const struct object *o, struct ufs_stat *st)
{
	*st = (struct ufs_stat){ .size = o->size, .mtime = 1 };
	snprintf(st->version, sizeof(st->version), "v%ju", (uintmax_t)o->size);
}

static inline int store_stat(struct ufs *u, struct str key,
			     struct ufs_stat *out, struct cancel *cancel)
{
	int r = -ENOENT;

	(void)u;
	pthread_mutex_lock(&store.mutex);
	store.heads++;
	pthread_cond_broadcast(&store.changed);
	if (!held_back(&store.hold_head, cancel))
		r = -ECANCELED;
	else if (store.fail_head < 0)
		r = store.fail_head;
	else
		for (size_t i = 0; i < store.n; i++)
			if (str_eq(str_of(store.objects[i].key), key)) {
				stat_of(&store.objects[i], out);
				r = 0;
			}
	pthread_mutex_unlock(&store.mutex);
	return r;
}

/* One page from number *at on. True: there is more. */
static inline bool page(const struct ufs_list *q, size_t *at,
			struct ufs_entry *out, size_t *n)
{
	for (*n = 0; *at < store.n; ++*at) {
		struct str key = str_of(store.objects[*at].key), rest;
		const char *slash;
		struct ufs_entry *e = &out[*n];

		if (!str_starts(key, q->prefix) || str_cmp(key, q->after) <= 0)
			continue;
		if (*n == q->max)
			return true;
		rest = (struct str){ key.p + q->prefix.n, key.n - q->prefix.n };
		slash = memchr(rest.p, '/', rest.n);
		memset(e, 0, sizeof(*e));
		e->key = key;
		if (slash != NULL) {
			e->dir = true;
			e->key.n = (size_t)(slash - key.p) + 1;
			while (*at + 1 < store.n &&
			       str_starts(str_of(store.objects[*at + 1].key),
					  e->key))
				++*at;
		} else {
			stat_of(&store.objects[*at], &e->st);
		}
		++*n;
	}
	return false;
}

/* Called with the mutex, which others have meanwhile. */
static inline void take_time(const struct ufs_list *q)
{
	int ms = store.page_ms + (q->after.n > 0 ? store.begin_ms : 0);

	if (ms == 0)
		return;
	pthread_mutex_unlock(&store.mutex);
	usleep((useconds_t)ms * 1000);
	pthread_mutex_lock(&store.mutex);
}

/* Number of the first object behind a key. */
static inline size_t behind(struct str key)
{
	size_t low = 0, high = store.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (str_cmp(str_of(store.objects[middle].key), key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline int store_list(struct ufs *u, const struct ufs_list *q,
			     char **token, ufs_entry_cb *cb, void *arg,
			     struct cancel *cancel)
{
	size_t at = *token != NULL ? strtoul(*token, NULL, 10) : 0, n = 0;
	struct ufs_entry *entries = calloc(q->max, sizeof(*entries));
	struct object *copies = calloc(q->max, sizeof(*copies));
	char next[24];
	bool more = false;
	int r = 0;

	(void)u;
	pthread_mutex_lock(&store.mutex);
	store.lists++;
	store.probes += q->max == 1;
	store.listing++;
	store.at_once = MAX(store.at_once, store.listing);
	store.spooled = MAX(store.spooled, stat_read(STAT_spool_bytes));
	if (*token == NULL && q->after.n > 0)
		at = behind(q->after);
	pthread_cond_broadcast(&store.changed);
	take_time(q);
	if (at > LOOKUP_LIST_MAX + 20) {
		store.big++;
		pthread_cond_broadcast(&store.changed);
	}
	if (!held_back(at > LOOKUP_LIST_MAX + 20 ? &store.hold_big
						 : &store.hold_list,
		       cancel))
		r = -ECANCELED;
	else if (store.fail_list < 0)
		r = store.fail_list;
	else if (store.fail_page > 0 && --store.fail_page == 0)
		r = -EIO;
	else if (store.empty_pages && *token == NULL)
		more = true;
	else
		more = page(q, &at, entries, &n);
	more = more || store.same_token;
	snprintf(next, sizeof(next), "%zu", store.same_token ? 7 : at);
	store.listing--;
	/* The objects may move as soon as others have the mutex. */
	for (size_t i = 0; i < n; i++) {
		memcpy(copies[i].key, entries[i].key.p, entries[i].key.n);
		entries[i].key.p = copies[i].key;
	}
	pthread_mutex_unlock(&store.mutex);
	free(*token);
	*token = more && r == 0 ? strdup(next) : NULL;
	for (size_t i = 0; i < n && r == 0; i++)
		r = cb(arg, &entries[i]);
	free(entries);
	free(copies);
	return r;
}

static inline void store_made(struct ufs *u, struct str key)
{
	size_t n;

	(void)u;
	pthread_mutex_lock(&store.mutex);
	n = strlen(store.made);
	snprintf(store.made + n, sizeof(store.made) - n, "%.*s ", (int)key.n,
		 key.p);
	pthread_mutex_unlock(&store.mutex);
}

static const struct ufs_ops store_ops = { .scheme = "test",
					  .made = store_made,
					  .stat = store_stat,
					  .list = store_list };

static inline int object_cmp(const void *a, const void *b)
{
	return strcmp(((const struct object *)a)->key,
		      ((const struct object *)b)->key);
}

static inline void put(const char *key, uint64_t size)
{
	struct object *o;

	pthread_mutex_lock(&store.mutex);
	store.objects =
	    realloc(store.objects, (store.n + 1) * sizeof(*store.objects));
	o = &store.objects[store.n++];
	snprintf(o->key, sizeof(o->key), "%s", key);
	o->size = size;
	qsort(store.objects, store.n, sizeof(*store.objects), object_cmp);
	pthread_mutex_unlock(&store.mutex);
}

/* Keys dir + number, in order, behind all others. */
static inline void put_many(const char *dir, size_t n)
{
	store.objects =
	    realloc(store.objects, (store.n + n) * sizeof(*store.objects));
	for (size_t i = 0; i < n; i++) {
		struct object *o = &store.objects[store.n++];

		snprintf(o->key, sizeof(o->key), "%s%08zu", dir, i);
		o->size = i + 1;
	}
}

static inline void set(bool *flag, bool value)
{
	pthread_mutex_lock(&store.mutex);
	*flag = value;
	pthread_cond_broadcast(&store.changed);
	pthread_mutex_unlock(&store.mutex);
}

/* Wait for a number to be reached, at most some 20 seconds. */
static inline void wait_for(const unsigned *number, unsigned value)
{
	struct timespec ts;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 20;
	pthread_mutex_lock(&store.mutex);
	while (*number < value && r == 0)
		r = pthread_cond_timedwait(&store.changed, &store.mutex, &ts);
	ck_assert_uint_ge(*number, value);
	pthread_mutex_unlock(&store.mutex);
}

static inline void check_asked(unsigned heads, unsigned lists)
{
	pthread_mutex_lock(&store.mutex);
	ck_assert_uint_eq(store.heads, heads);
	ck_assert_uint_eq(store.lists, lists);
	store.heads = store.lists = 0;
	pthread_mutex_unlock(&store.mutex);
}

static inline int remove_cb(const char *path, const struct stat *st, int flag,
			    struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void start(enum consistency c, int64_t ttl, int64_t negative_ttl)
{
	struct cache_conf conf = { .ufs = &store.ufs,
				   .memory = MIB(64),
				   .consistency = c,
				   .ttl = ttl,
				   .negative_ttl = negative_ttl };

	meta_free(meta);
	ck_assert_int_eq(meta_new(&conf, disk, &meta), 0);
}

static inline void open_disk(uint64_t size)
{
	struct disk_conf conf = { .dir = tmp, .size = size };
	char why[256];

	disk_close(disk);
	ck_assert_int_eq(disk_open(&conf, &disk, why), 0);
}

static inline void setup(void)
{
	static char name[] = "store", empty[] = "", access_[] = "me";

	memset(&store, 0, sizeof(store));
	pthread_mutex_init(&store.mutex, NULL);
	pthread_cond_init(&store.changed, NULL);
	store.ufs.ops = &store_ops;
	store.ufs.store = name;
	store.ufs.prefix = empty;
	store.ufs.access = access_;
	put("a/one", 1);
	put("a/two", 2);
	put("a/sub/x", 3);
	put("a/sub/deep/y", 4);
	put("a/both", 5);
	put("a/both/z", 6);
	put("a/empty/", 0);
	put("a/data/", 8);
	put("b/three", 9);
	snprintf(tmp, sizeof(tmp), "/tmp/tarn-meta-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(tmp));
	disk = NULL;
	meta = NULL;
}

static inline void setup_with_disk(void)
{
	setup();
	open_disk((uint64_t)1 << 30);
}

static inline void teardown(void)
{
	meta_free(meta);
	meta = NULL;
	disk_close(disk);
	disk = NULL;
	nftw(tmp, remove_cb, 16, FTW_DEPTH | FTW_PHYS);
	free(store.objects);
	pthread_cond_destroy(&store.changed);
	pthread_mutex_destroy(&store.mutex);
}

static inline int lookup(const char *dir, const char *name,
			 struct meta_answer *a)
{
	return meta_lookup(meta, str_of(dir), str_of(name), a, NULL);
}

static inline int look(const char *dir, const char *name)
{
	struct meta_answer a;

	return lookup(dir, name, &a);
}

static inline int list(const char *dir)
{
	struct listing *l;
	int r = meta_list(meta, str_of(dir), &l, NULL);

	if (r == 0)
		listing_unref(l);
	return r;
}

/* A call on a thread of its own. */
enum what { LOOKUP, LIST, STAT };

struct caller {
	pthread_t thread;
	enum what what;
	const char *dir, *name;
	struct cancel cancel;
	int r;
	struct meta_answer answer;
};

static inline void *call_main(void *arg)
{
	struct caller *c = arg;
	struct listing *l;
	struct ufs_stat st;

	switch (c->what) {
	case LOOKUP:
		c->r = meta_lookup(meta, str_of(c->dir), str_of(c->name),
				   &c->answer, &c->cancel);
		break;
	case LIST:
		c->r = meta_list(meta, str_of(c->dir), &l, &c->cancel);
		if (c->r == 0)
			listing_unref(l);
		break;
	case STAT:
		c->r = meta_stat_now(meta, str_of(c->dir), &st, &c->cancel);
		break;
	}
	return NULL;
}

static inline void call(struct caller *c, enum what what, const char *dir,
			const char *name)
{
	*c = (struct caller){ .what = what, .dir = dir, .name = name };
	pthread_create(&c->thread, NULL, call_main, c);
}

static inline int join(struct caller *c)
{
	pthread_join(c->thread, NULL);
	return c->r;
}

/* Threads that wait for flights of this directory, until there are n. */
static inline void wait_for_waiters(unsigned n)
{
	int64_t deadline = clock_ns() + 20 * NSEC_PER_SEC;
	unsigned waiting = 0;

	while (waiting < n && clock_ns() < deadline) {
		waiting = 0;
		lock_take(&meta->lock);
		for (size_t i = 0; i < FLIGHT_BUCKETS; i++)
			for (struct flight *f = meta->flights[i]; f != NULL;
			     f = f->next)
				waiting += f->waiters;
		lock_drop(&meta->lock);
		sched_yield();
	}
	ck_assert_uint_eq(waiting, n);
}

/* Entries of a listing, by whomever it is taken; -errno. */
static inline int entries(const char *dir)
{
	struct listing *l;
	int r = meta_list(meta, str_of(dir), &l, NULL);

	if (r == 0) {
		r = (int)listing_entries(l);
		listing_unref(l);
	}
	return r;
}

#endif
