/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_control.c - the control interface, its jobs and its client, over a
 * file system and a cache that only pretend
 *
 * The tree: directories are keys that end in '/', objects are all 1000 bytes.
 * Nothing of it is cached until it is loaded.
 */
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
#include "cache/listing.h"
#include "cache/meta.h"
#include "cache/object.h"
#include "fuse/client.h"
#include "fuse/control.h"
#include "fuse/fs.h"
#include "fuse/rundir.h"
#include "fuse/signals.h"
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

uint64_t object_size(const struct object *o)
{
	(void)o;
	return OBJECT_SIZE;
}

int object_load(struct object *o, bool verify, uint64_t *fetched,
		struct cancel *cancel)
{
	(void)verify;
	while (atomic_load(&hold)) {
		if (cancelled(cancel))
			return -ECANCELED;
		poll(NULL, 0, 1);
	}
	if (strcmp(o->key, "a/bad") == 0)
		return -EACCES;
	atomic_store(&o->cached, true);
	atomic_fetch_add(&loads, 1);
	*fetched = OBJECT_SIZE;
	return 0;
}

int object_cached(struct object *o, uint64_t *bytes)
{
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
	return list_result;
}

const char *ufs_last_error(void)
{
	return list_result < 0 ? "403 AccessDenied" : "";
}

static const struct ufs_ops fake_ops = { .scheme = "fake", .list = fake_list };
static struct ufs fake_ufs = { .ops = &fake_ops };
static struct service service;
static struct control *control;
static char why[WHY_MAX], runtime[] = "/tmp/tarn-control-XXXXXX";

/* The runtime directory: root's is fixed, others' is ours to choose. */
static void setup(void)
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
	service.ufs = &fake_ufs;
	service.cache = &the_cache;
	service.fs = &the_fs;
	ck_assert_msg(control_start(&service, &control, why) == 0, "%s", why);
}

static void teardown(void)
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
static struct client_mount *mine(struct client_mount *all)
{
	while (all != NULL && strcmp(all->dir, runtime) != 0)
		all = all->next;
	return all;
}

static int call(const char *path, json_t *body, json_t **out)
{
	struct client_mount *all = client_mounts(), *m = mine(all);
	int r;

	ck_assert_ptr_nonnull(m);
	r = client_call(m->socket, path, body, out, why);
	json_decref(body);
	client_mounts_free(all);
	return r;
}

static json_int_t number(const json_t *j, const char *name)
{
	ck_assert(json_is_integer(json_object_get(j, name)));
	return json_integer_value(json_object_get(j, name));
}

static const char *text(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));

	ck_assert_msg(s != NULL, "%s", name);
	return s;
}

/* Start a job and wait for its end. */
static json_t *run_job(const char *path, json_t *body)
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

START_TEST(status_has_every_member_that_the_interface_promises)
{
	static const char *const members[] = {
		"dir",    "source", "pid",     "uptime_s", "consistency",
		"reads",  "store",  "saved",   "ssd",      "ring",
		"memory", "inodes", "commits", "options",  "passthrough",
	};
	json_t *j, *m, *d;

	ck_assert_int_eq(call("/-/status", NULL, &j), 0);
	ck_assert_str_eq(text(j, "version"), TARN_VERSION);
	m = json_array_get(json_object_get(j, "mounts"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		ck_assert_msg(json_object_get(m, members[i]) != NULL, "%s",
			      members[i]);
	ck_assert_int_eq(number(m, "pid"), getpid());
	ck_assert(json_is_true(json_object_get(m, "passthrough")));
	number(json_object_get(m, "store"), "bytes_in");
	number(json_object_get(m, "saved"), "list");
	ck_assert(
	    json_is_real(json_object_get(json_object_get(m, "saved"), "usd")));
	ck_assert_int_gt(number(json_object_get(m, "memory"), "used"), 0);
	d = json_array_get(json_object_get(m, "ssd"), 0);
	ck_assert_str_eq(text(d, "dir"), "/cache\\xff");
	ck_assert_str_eq(text(d, "state"), "ok");
	ck_assert_int_eq(number(json_object_get(d, "scrub"), "files"), 9);
	ck_assert_int_eq(number(json_object_get(d, "scrub"), "ended"), 11);
	d = json_object_get(json_object_get(m, "options"), "consistency");
	ck_assert_str_eq(text(d, "value"), "ttl:60s");
	ck_assert_str_eq(text(d, "from"), "default");
	json_decref(j);
}
END_TEST

START_TEST(a_load_of_a_tree_loads_each_file_and_tells_what_failed)
{
	json_t *j = run_job("/-/load", json_pack("{s:[s]}", "paths", ""));
	const json_t *e;

	ck_assert_str_eq(text(j, "state"), "failed");
	ck_assert_int_eq(number(j, "files"), 5);
	ck_assert_int_eq(number(j, "files_done"), 5);
	ck_assert_int_eq(number(j, "bytes"), 5 * OBJECT_SIZE);
	ck_assert_int_eq(number(j, "bytes_done"), 5 * OBJECT_SIZE);
	ck_assert_int_eq(number(j, "fetched_bytes"), 4 * OBJECT_SIZE);
	ck_assert_int_eq(number(j, "failed"), 1);
	e = json_array_get(json_object_get(j, "errors"), 0);
	ck_assert_str_eq(text(e, "path"), "a/bad");
	ck_assert_str_eq(text(e, "error"), strerror(EACCES));
	json_decref(j);
}
END_TEST

START_TEST(files_and_keys_can_be_named_together)
{
	json_t *j = run_job("/-/load", json_pack("{s:[s], s:[s, s]}", "paths",
						 "x", "keys", "a/b", "a/1"));

	ck_assert_str_eq(text(j, "state"), "done");
	ck_assert_int_eq(number(j, "files"), 3);
	json_decref(j);
}
END_TEST

START_TEST(a_name_that_is_not_there_is_a_failure_of_the_job)
{
	json_t *j = run_job("/-/load", json_pack("{s:[s], s:[s]}", "paths",
						 "nope", "keys", "no/key"));

	ck_assert_str_eq(text(j, "state"), "failed");
	ck_assert_int_eq(number(j, "failed"), 2);
	ck_assert_int_eq(number(j, "files"), 0);
	json_decref(j);
}
END_TEST

START_TEST(a_dry_run_touches_nothing)
{
	json_t *j = run_job(
	    "/-/load", json_pack("{s:[s], s:b}", "paths", "a", "dry_run", 1));

	ck_assert_int_eq(number(j, "files"), 4);
	ck_assert_int_eq(number(j, "ssd_bytes"), 4 * 10);
	ck_assert_uint_eq(atomic_load(&loads), 0);
	json_decref(j);
}
END_TEST

START_TEST(a_free_tells_the_bytes_it_freed)
{
	json_t *j = run_job("/-/free", json_pack("{s:[s]}", "paths", "a"));

	ck_assert_str_eq(text(j, "kind"), "free");
	ck_assert_int_eq(number(j, "ssd_bytes"), 4 * 10);
	json_decref(j);
}
END_TEST

START_TEST(a_large_job_holds_few_objects_at_a_time_and_shows_progress)
{
	int64_t deadline = clock_ns() + 20 * NSEC_PER_SEC;
	json_t *j;
	bool seen = false;

	big_entries = 5000;
	atomic_store(&hold, true);
	ck_assert_int_eq(
	    call("/-/load", json_pack("{s:[s]}", "paths", "big"), &j), 0);
	json_decref(j);
	while (!seen) {
		ck_assert_int_lt(clock_ns(), deadline);
		ck_assert_int_eq(call("/-/load/1", NULL, &j), 0);
		ck_assert_str_eq(text(j, "state"), "running");
		ck_assert_uint_le(atomic_load(&objects_alive), 65);
		/* Ten bytes of each that runs are here already. */
		seen = number(j, "files") >= 64 && number(j, "bytes_done") > 0;
		json_decref(j);
	}
	atomic_store(&hold, false);
	do {
		ck_assert_int_lt(clock_ns(), deadline);
		ck_assert_int_eq(call("/-/load/1", NULL, &j), 0);
		seen = strcmp(text(j, "state"), "done") == 0;
		if (seen)
			ck_assert_int_eq(number(j, "files_done"), 5000);
		json_decref(j);
	} while (!seen);
}
END_TEST

START_TEST(an_unmount_cancels_what_runs_and_leaks_nothing)
{
	json_t *j;

	big_entries = 5000;
	atomic_store(&hold, true);
	ck_assert_int_eq(
	    call("/-/load", json_pack("{s:[s]}", "paths", "big"), &j), 0);
	json_decref(j);
	/* teardown() stops it, and counts the objects */
}
END_TEST

START_TEST(a_load_without_a_cache_on_the_ssd_is_refused)
{
	json_t *j;

	disks = 0;
	ck_assert_int_lt(call("/-/load", json_pack("{s:[s]}", "paths", ""), &j),
			 0);
	ck_assert_ptr_nonnull(strstr(why, "cache-size=0"));
}
END_TEST

START_TEST(a_scrub_is_begun_where_there_is_something_to_scrub)
{
	json_t *j;

	scrubs = 0;
	ck_assert_int_eq(call("/-/scrub", json_object(), &j), 0);
	json_decref(j);
	ck_assert_uint_eq(scrubs, 1);
	disks = 0;
	ck_assert_int_lt(call("/-/scrub", json_object(), &j), 0);
	ck_assert_uint_eq(scrubs, 1);
}
END_TEST

START_TEST(invalidate_names_the_path_and_reports_an_absent_one)
{
	json_t *j;

	ck_assert_int_eq(call("/-/invalidate",
			      json_pack("{s:[s, s]}", "paths", "a", "a/b"), &j),
			 0);
	ck_assert_int_eq(number(j, "invalidated"), 2);
	json_decref(j);
	ck_assert_str_eq(invalidated, "a/b");
	ck_assert_int_eq(
	    call("/-/invalidate", json_pack("{s:[s]}", "paths", "missing"), &j),
	    -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "/missing"));
}
END_TEST

static const struct {
	const char *path;
	const char *body; /* NULL: GET */
} refused[] = {
	{ "/", NULL },
	{ "/-/nothing", NULL },
	{ "/-/load", NULL },
	{ "/-/status", "{}" },
	{ "/-/load/0", NULL },
	{ "/-/load/99", NULL },
	{ "/-/load/-1", NULL },
	{ "/-/load/99999999999999999999", NULL },
	{ "/-/load/1x", NULL },
	{ "/-/load", "{}" },
	{ "/-/load", "[]" },
	{ "/-/load", "{\"paths\": \"a\"}" },
	{ "/-/load", "{\"paths\": [1]}" },
	{ "/-/load", "{\"paths\": [\"a\"], \"to\": \"ring\"}" },
	{ "/-/load", "{\"paths\": [\"a\"], \"to\": 7}" },
	{ "/-/free", "{\"keys\": {}}" },
	{ "/-/invalidate", "{\"paths\": []}" },
};

START_TEST(a_wrong_request_gets_a_sentence_and_does_nothing)
{
	json_t *body = refused[_i].body != NULL
			   ? json_loads(refused[_i].body, 0, NULL)
			   : NULL;
	json_t *j;

	ck_assert_int_lt(call(refused[_i].path, body, &j), 0);
	ck_assert_msg(strlen(why) > 10, "%s", why);
	ck_assert_ptr_null(strstr(why, "not JSON"));
	ck_assert_uint_eq(atomic_load(&loads), 0);
}
END_TEST

/* The whole answer to a request written by hand. */
static size_t raw(const char *request, size_t n, char *buf, size_t size)
{
	struct client_mount *all = client_mounts(), *m = mine(all);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval t = { .tv_sec = 20 };
	size_t got = 0;
	ssize_t r;

	ck_assert_ptr_nonnull(m);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", m->socket);
	client_mounts_free(all);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	while (n > 0) {
		r = send(fd, request, n, MSG_NOSIGNAL);
		if (r <= 0)
			break;
		request += r;
		n -= (size_t)r;
	}
	while ((r = recv(fd, buf + got, size - 1 - got, 0)) > 0)
		got += (size_t)r;
	buf[got] = '\0';
	return got;
}

static size_t raw_get(const char *path, char *buf, size_t size)
{
	char request[256];
	int n = snprintf(request, sizeof(request),
			 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			 "\r\n",
			 path);

	return raw(request, (size_t)n, buf, size);
}

START_TEST(metrics_are_prometheus_text_with_every_number)
{
	char buf[32768];

	raw_get("/-/metrics", buf, sizeof(buf));
	ck_assert_int_eq(strncmp(buf, "HTTP/1.1 200", 12), 0);
	ck_assert_ptr_nonnull(strstr(buf, "\n# TYPE tarn_store_get counter\n"));
	ck_assert_ptr_nonnull(strstr(buf, "\ntarn_inodes "));
	ck_assert_ptr_nonnull(strstr(buf, "source=\"s3://bucket/pre\""));
}
END_TEST

START_TEST(health_asks_the_store_seldom_and_tells_its_words)
{
	char buf[4096];

	list_result = -EACCES;
	for (int i = 0; i < 3; i++) {
		raw_get("/-/health", buf, sizeof(buf));
		ck_assert_int_eq(strncmp(buf, "HTTP/1.1 503", 12), 0);
		ck_assert_ptr_nonnull(strstr(buf, "403 AccessDenied"));
	}
	ck_assert_uint_eq(atomic_load(&lists), 1);
}
END_TEST

START_TEST(a_healthy_mount_answers_ok)
{
	char buf[4096];

	raw_get("/-/health", buf, sizeof(buf));
	ck_assert_int_eq(strncmp(buf, "HTTP/1.1 200", 12), 0);
	ck_assert_ptr_nonnull(strstr(buf, "\r\n\r\nok\n"));
}
END_TEST

START_TEST(a_body_without_end_is_cut_off)
{
	const size_t n = MIB(17);
	char head[128], *all = malloc(n + sizeof(head)), buf[4096];
	int h = snprintf(head, sizeof(head),
			 "POST /-/load HTTP/1.1\r\nHost: x\r\n"
			 "Connection: close\r\nContent-Length: %zu\r\n\r\n",
			 n);

	ck_assert_ptr_nonnull(all);
	memcpy(all, head, (size_t)h);
	memset(all + h, ' ', n);
	raw(all, (size_t)h + n, buf, sizeof(buf));
	ck_assert_int_eq(strncmp(buf, "HTTP/1.1 413", 12), 0);
	free(all);
}
END_TEST

START_TEST(garbage_does_not_stop_the_interface)
{
	static const char junk[] = "\0\xff\x16\x03\x01 nothing like HTTP\r\n"
				   "\r\n\r\n";
	char buf[4096];

	raw(junk, sizeof(junk), buf, sizeof(buf));
	raw_get("/-/health", buf, sizeof(buf));
	ck_assert_int_eq(strncmp(buf, "HTTP/1.1 200", 12), 0);
}
END_TEST

START_TEST(the_socket_and_its_folder_are_closed_to_others)
{
	struct client_mount *all = client_mounts(), *m = mine(all);
	char dir[RUNDIR_MAX];
	struct stat st;

	ck_assert_int_eq(stat(m->socket, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(rundir_path(dir, false), 0);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	client_mounts_free(all);
}
END_TEST

START_TEST(a_stale_socket_is_removed_by_the_next_mount)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct control *second;
	char dir[RUNDIR_MAX];

	ck_assert_int_eq(rundir_path(dir, true), 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%d-stale.sock", dir,
		 (int)getpid());
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(control_start(&service, &second, why), 0);
	ck_assert_int_lt(access(a.sun_path, F_OK), 0);
	control_stop(second);
}
END_TEST

START_TEST(the_longest_directory_holds_a_path)
{
	struct client_mount inner = { .dir = "/a/b", .source = "s3://k/p/q" };
	struct client_mount outer = { .next = &inner,
				      .dir = "/a",
				      .source = "s3://k/p" };
	struct client_mount *m;
	char *below;

	ck_assert_int_eq(client_find_path(&outer, "/a/b/c/../d", &m, &below),
			 0);
	ck_assert_ptr_eq(m, &inner);
	ck_assert_str_eq(below, "d");
	free(below);
	ck_assert_int_eq(client_find_path(&outer, "/a/bc", &m, &below), 0);
	ck_assert_ptr_eq(m, &outer);
	ck_assert_str_eq(below, "bc");
	free(below);
	ck_assert_int_eq(client_find_path(&outer, "/a/", &m, &below), 0);
	ck_assert_str_eq(below, "");
	free(below);
	ck_assert_int_eq(client_find_path(&outer, "/ab", &m, &below), -ENOENT);
	ck_assert_int_eq(client_find_url(&outer, "s3://k/p/q/r/", &m, &below),
			 0);
	ck_assert_ptr_eq(m, &inner);
	ck_assert_str_eq(below, "r/");
	free(below);
	ck_assert_int_eq(client_find_url(&outer, "s3://k/px", &m, &below),
			 -ENOENT);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("control");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, status_has_every_member_that_the_interface_promises);
	tcase_add_test(t,
		       a_load_of_a_tree_loads_each_file_and_tells_what_failed);
	tcase_add_test(t, files_and_keys_can_be_named_together);
	tcase_add_test(t, a_name_that_is_not_there_is_a_failure_of_the_job);
	tcase_add_test(t, a_dry_run_touches_nothing);
	tcase_add_test(t, a_free_tells_the_bytes_it_freed);
	tcase_add_test(
	    t, a_large_job_holds_few_objects_at_a_time_and_shows_progress);
	tcase_add_test(t, an_unmount_cancels_what_runs_and_leaks_nothing);
	tcase_add_test(t, a_load_without_a_cache_on_the_ssd_is_refused);
	tcase_add_test(t, a_scrub_is_begun_where_there_is_something_to_scrub);
	tcase_add_test(t, invalidate_names_the_path_and_reports_an_absent_one);
	tcase_add_loop_test(t, a_wrong_request_gets_a_sentence_and_does_nothing,
			    0, ARRAY_SIZE(refused));
	tcase_add_test(t, metrics_are_prometheus_text_with_every_number);
	tcase_add_test(t, health_asks_the_store_seldom_and_tells_its_words);
	tcase_add_test(t, a_healthy_mount_answers_ok);
	tcase_add_test(t, a_body_without_end_is_cut_off);
	tcase_add_test(t, garbage_does_not_stop_the_interface);
	tcase_add_test(t, the_socket_and_its_folder_are_closed_to_others);
	tcase_add_test(t, a_stale_socket_is_removed_by_the_next_mount);
	tcase_add_test(t, the_longest_directory_holds_a_path);
	return RUN_CASES(t);
}
