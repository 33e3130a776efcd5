/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_rig.h - a control interface over a file system and a cache that only
 * pretend, for tests
 *
 * The tree: directories are keys that end in '/', objects are all 1000 bytes.
 * Nothing of it is cached until it is loaded.
 */
#ifndef TESTS_UNIT_CONTROL_RIG_H
#define TESTS_UNIT_CONTROL_RIG_H

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/lock.h"
#include "cache/cache.h"
#include "cache/hot.h"
#include "cache/listing.h"
#include "cache/meta.h"
#include "cache/object.h"
#include "fuse/client.h"
#include "fuse/control.h"
#include "fuse/fs.h"
#include "fuse/history.h"
#include "fuse/rundir.h"
#include "fuse/signals.h"
#include "fuse/workers.h"
#include "ufs/ufs_impl.h"
#include "tests/unit/run.h"

#define OBJECT_SIZE 1000

/* name of the directory, its entries */
static const struct {
	const char *dir;
	const char *entries[6];
} tree[] = {
	{ "", { "a/", "big/", "x" } },
	{ "a/", { "1", "2", "b/", "bad" } },
	{ "a/b/", { "3", "gone/" } },
	{ "big/", { NULL } }, /* as many as big_entries says */
};
static unsigned big_entries;

static atomic_uint objects_alive, loads, frees;
static atomic_bool hold; /* loads wait until it is cleared or cancelled */
static int list_result;  /* what the store answers to a listing */
static atomic_uint lists;
static size_t disks = 1;
static char invalidated[256];

struct object {
	char key[128];
	atomic_bool cached;
};
struct listing {
	int i;
};
struct cache {
	int unused;
};
struct meta {
	int unused;
};
struct fs {
	int unused;
};

static struct cache the_cache;
static struct meta the_meta;
static struct fs the_fs;

struct meta *cache_meta(struct cache *c)
{
	(void)c;
	return &the_meta;
}

size_t cache_disks(struct cache *c, struct cache_disk_status *out, size_t max)
{
	(void)c;
	for (size_t i = 0; i < disks && i < max; i++)
		out[i] = (struct cache_disk_status){ .dir = "/cache\xff",
						     .limit = 5,
						     .scrub_files = 9,
						     .scrubbed = 11,
						     .state = "ok" };
	return disks;
}

struct ufs *cache_ufs(struct cache *c)
{
	static char store[] = "fake://store", none[] = "";
	static struct ufs u = { .store = store, .prefix = none };

	(void)c;
	return &u;
}

static char forgotten[256];

void meta_invalidate(struct meta *m, struct str key)
{
	(void)m;
	snprintf(forgotten, sizeof(forgotten), "%.*s", (int)key.n, key.p);
}

void meta_gone(struct meta *m, struct str key)
{
	(void)m;
	snprintf(forgotten, sizeof(forgotten), "for now: %.*s", (int)key.n,
		 key.p);
}

static unsigned scrubs;

void cache_scrub(struct cache *c)
{
	(void)c;
	scrubs++;
}

size_t cache_memory_used(struct cache *c)
{
	(void)c;
	return 123;
}

size_t cache_hot(struct cache *c, struct cache_hot *out, size_t max)
{
	(void)c;
	for (size_t i = 0; i < 2 && i < max; i++)
		out[i] = (struct cache_hot){ .key = strdup(i ? "b\xff" : "a"),
					     .bytes = 100 - i,
					     .opens = i,
					     .weight_s = 3 - (double)i };
	return 2;
}

static int find_dir(struct str dirkey)
{
	for (size_t i = 0; i < ARRAY_SIZE(tree); i++)
		if (str_eq(dirkey, str_of(tree[i].dir)))
			return (int)i;
	return -ENOENT;
}

int meta_list(struct meta *m, struct str dirkey, struct listing **out,
	      struct cancel *cancel)
{
	int i = find_dir(dirkey);

	(void)m;
	if (cancelled(cancel))
		return -ECANCELED;
	if (i < 0)
		return i;
	*out = malloc(sizeof(**out));
	(*out)->i = i;
	return 0;
}

int listing_each(struct listing *l, uint64_t first, listing_cb *cb, void *arg)
{
	bool big = strcmp(tree[l->i].dir, "big/") == 0;
	int r = 0;

	for (unsigned n = (unsigned)first; r == 0; n++) {
		struct listing_entry e = { .st.size = OBJECT_SIZE };
		char name[16];

		snprintf(name, sizeof(name), "%u", n);
		if (big ? n >= big_entries
			: n >= 6 || tree[l->i].entries[n] == NULL)
			return 0;
		e.name = str_of(big ? name : tree[l->i].entries[n]);
		e.dir = e.name.p[e.name.n - 1] == '/';
		r = cb(arg, n, &e);
	}
	return r;
}

bool listing_is_bad(const struct listing *l)
{
	(void)l;
	return false;
}

void listing_unref(struct listing *l)
{
	free(l);
}

int meta_lookup(struct meta *m, struct str dirkey, struct str name,
		struct meta_answer *out, struct cancel *cancel)
{
	int i = find_dir(dirkey);

	(void)m;
	(void)cancel;
	*out = (struct meta_answer){ .st.size = OBJECT_SIZE };
	for (size_t n = 0; i >= 0 && n < 6; n++) {
		const char *e = tree[i].entries[n];

		if (e == NULL)
			break;
		out->object |= str_eq(name, str_of(e));
		out->dir |= strlen(e) == name.n + 1 &&
			    strncmp(e, name.p, name.n) == 0 && e[name.n] == '/';
	}
	return out->object || out->dir ? 0 : -ENOENT;
}

int object_get(struct cache *c, struct str key, const struct ufs_stat *st,
	       struct object **out)
{
	struct object *o = calloc(1, sizeof(*o));

	(void)c;
	ck_assert_uint_eq(st->size, OBJECT_SIZE);
	snprintf(o->key, sizeof(o->key), "%.*s", (int)key.n, key.p);
	atomic_fetch_add(&objects_alive, 1);
	*out = o;
	return 0;
}

void object_put(struct object *o)
{
	if (o != NULL)
		atomic_fetch_sub(&objects_alive, 1);
	free(o);
}

int object_load_part(struct object *o, struct object_load *l,
		     struct cancel *cancel)
{
	ck_assert(l->off == 0 && l->len == OBJECT_SIZE);
	while (atomic_load(&hold)) {
		if (cancelled(cancel))
			return -ECANCELED;
		poll(NULL, 0, 1);
	}
	if (strcmp(o->key, "a/bad") == 0)
		return -EACCES;
	atomic_store(&o->cached, true);
	atomic_fetch_add(&loads, 1);
	l->fetched = OBJECT_SIZE;
	if (l->verify) {
		l->checked = OBJECT_SIZE;
		l->checked_pages = 1;
	}
	return 0;
}

int object_cached_part(struct object *o, uint64_t off, uint64_t len,
		       uint64_t *bytes)
{
	ck_assert(off == 0 && len == OBJECT_SIZE);
	*bytes = atomic_load(&o->cached) ? OBJECT_SIZE : 10;
	return 0;
}

int object_free(struct object *o, uint64_t *bytes)
{
	(void)o;
	atomic_fetch_add(&frees, 1);
	*bytes = 10;
	return 0;
}

int fs_resolve(struct fs *fs, const char *path, char *key, size_t *n, bool *dir,
	       struct ufs_stat *st)
{
	(void)fs;
	*st = (struct ufs_stat){ .size = OBJECT_SIZE };
	*dir = true;
	*n = (size_t)snprintf(key, UFS_KEY_MAX, "%s%s", path,
			      *path != '\0' ? "/" : "");
	if (find_dir((struct str){ key, *n }) >= 0)
		return 0;
	*dir = false;
	*n = (size_t)snprintf(key, UFS_KEY_MAX, "%s", path);
	return strcmp(path, "x") == 0 || strcmp(path, "a/1") == 0 ? 0 : -ENOENT;
}

char *fs_path_of(struct fs *fs, struct str key, bool is_dir)
{
	(void)fs;
	(void)is_dir;
	return str_dup(key);
}

int fs_spell(struct fs *fs, const char *path, char *key, size_t *n)
{
	(void)fs;
	*n = (size_t)snprintf(key, UFS_KEY_MAX, "%s", path);
	return 0;
}

int fs_invalidate(struct fs *fs, const char *path)
{
	(void)fs;
	snprintf(invalidated, sizeof(invalidated), "%s", path);
	return strcmp(path, "missing") == 0 ? -ENOENT : 0;
}

bool fs_passthrough(const struct fs *fs)
{
	(void)fs;
	return true;
}

static int fake_list(struct ufs *u, const struct ufs_list *q, char **token,
		     ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	(void)u;
	(void)q;
	(void)token;
	(void)cb;
	(void)arg;
	(void)cancel;
	atomic_fetch_add(&lists, 1);
	return list_result < 0 ? ufs_fail(list_result, "403 AccessDenied") : 0;
}

void workers_tell(struct workers *w, const char *path, const json_t *body,
		  json_t *failed)
{
	(void)w;
	(void)path;
	(void)body;
	json_array_append_new(failed, json_string("nobody is there"));
}

json_t *workers_where(struct workers *w, struct str key, bool dir,
		      uint64_t size)
{
	(void)w;
	return json_pack("{s:s%, s:b, s:I}", "key", key.p, key.n, "directory",
			 dir, "bytes", (json_int_t)size);
}

json_t *workers_json(struct workers *w)
{
	(void)w;
	return json_pack("{s:i, s:[]}", "epoch", 0, "workers");
}

struct members *workers_members(struct workers *w)
{
	(void)w;
	return NULL;
}

void workers_metrics(struct members *m, FILE *f)
{
	(void)m;
	(void)f;
}

static const struct ufs_ops fake_ops = { .scheme = "fake", .list = fake_list };
static struct ufs fake_ufs = { .ops = &fake_ops };
static struct service service;
static struct control *control;
static char why[WHY_MAX], runtime[] = "/tmp/tarn-control-XXXXXX";

/* The runtime directory: root's is fixed, others' is ours to choose. */
static inline void setup(void)
{
	strcpy(runtime + strlen(runtime) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(runtime));
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", runtime, 1), 0);
	signals_block();
	big_entries = 0;
	disks = 1;
	list_result = 0;
	atomic_store(&hold, false);
	atomic_store(&loads, 0);
	atomic_store(&lists, 0);
	memset(&service, 0, sizeof(service));
	ck_assert_int_eq(options_new(&service.options), 0);
	service.source = (char *)"s3://bucket/pre";
	service.dir = runtime; /* a name that no mount has */
	service.started = clock_ns();
	service.store = &fake_ufs;
	service.cache = &the_cache;
	service.fs = &the_fs;
	ck_assert_msg(control_start(&service, &control, why) == 0, "%s", why);
}

static inline void teardown(void)
{
	char path[256];

	control_stop(control);
	control = NULL;
	options_free(service.options);
	snprintf(path, sizeof(path), "%s/tarn", runtime);
	rmdir(path);
	rmdir(runtime);
	ck_assert_uint_eq(atomic_load(&objects_alive), 0);
}

/* Our mount among those that answer (there may be real ones of this user). */
static inline struct client_mount *mine(struct client_mount *all)
{
	while (all != NULL && strcmp(all->dir, runtime) != 0)
		all = all->next;
	return all;
}

static inline int call(const char *path, json_t *body, json_t **out)
{
	struct client_mount *all = client_mounts(NULL), *m = mine(all);
	int r;

	ck_assert_ptr_nonnull(m);
	r = client_call(m->socket, path, body, out, why);
	json_decref(body);
	client_mounts_free(all);
	return r;
}

static inline json_int_t number(const json_t *j, const char *name)
{
	ck_assert(json_is_integer(json_object_get(j, name)));
	return json_integer_value(json_object_get(j, name));
}

static inline const char *text(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));

	ck_assert_msg(s != NULL, "%s", name);
	return s;
}

/* Start a job and wait for its end. */
static inline json_t *run_job(const char *path, json_t *body)
{
	int64_t deadline = clock_ns() + 20 * NSEC_PER_SEC;
	char at[64];
	json_t *j;

	ck_assert_msg(call(path, body, &j) == 0, "%s", why);
	snprintf(at, sizeof(at), "/-/load/%s", text(j, "id"));
	json_decref(j);
	for (;;) {
		ck_assert_msg(call(at, NULL, &j) == 0, "%s", why);
		if (strcmp(text(j, "state"), "running") != 0)
			return j;
		json_decref(j);
		ck_assert_int_lt(clock_ns(), deadline);
	}
}

#endif
