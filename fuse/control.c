/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - the control interface: HTTP on a Unix socket
 *
 * A thread a connection, few connections: handlers may wait for the store.
 * The socket is bound under another name, made to listen and then renamed,
 * so that a socket that refuses connections is always one whose process is
 * gone, and may be removed by whoever meets it.
 */
#include "fuse/control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "fuse/control_jobs.h"
#include "fuse/fs.h"
#include "fuse/health.h"
#include "fuse/history.h"
#include "fuse/page.h"
#include "fuse/rundir.h"
#include "fuse/status.h"
#include "fuse/workers.h"

#define BODY_MAX MIB(16)
#define CONNECTIONS_MAX 16
#define IDLE_SECONDS 60

struct control {
	struct service *service; /* borrowed */
	struct MHD_Daemon *daemon;
	struct control_source source;
	struct control_place place; /* its jobs are ours */
	char path[RUNDIR_MAX + 28]; /* "" until it is there */
	struct health health;
};

/* A request's body as it comes in. */
struct body {
	char *p;
	size_t n, cap;
	bool too_large, no_memory;
};

/* Takes heap_text. policy: Content-Security-Policy, or NULL. */
static enum MHD_Result reply_with(struct MHD_Connection *conn, unsigned code,
				  const char *type, char *heap_text,
				  const char *policy)
{
	struct MHD_Response *res;
	enum MHD_Result r;

	if (heap_text == NULL)
		return MHD_NO;
	res = MHD_create_response_from_buffer(strlen(heap_text), heap_text,
					      MHD_RESPMEM_MUST_FREE);
	if (res == NULL) {
		free(heap_text);
		return MHD_NO;
	}
	MHD_add_response_header(res, "Content-Type", type);
	MHD_add_response_header(res, "Cache-Control", "no-store");
	MHD_add_response_header(res, "X-Content-Type-Options", "nosniff");
	if (policy != NULL) {
		MHD_add_response_header(res, "Content-Security-Policy", policy);
		MHD_add_response_header(res, "Referrer-Policy", "no-referrer");
	}
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(res, "Allow", "GET, POST");
	r = MHD_queue_response(conn, code, res);
	MHD_destroy_response(res);
	return r;
}

static enum MHD_Result reply(struct MHD_Connection *conn, unsigned code,
			     const char *type, char *heap_text)
{
	return reply_with(conn, code, type, heap_text, NULL);
}

/* Takes j. */
static enum MHD_Result reply_json(struct MHD_Connection *conn, unsigned code,
				  json_t *j)
{
	char *text = j != NULL ? json_dumps(j, JSON_INDENT(1)) : NULL;

	json_decref(j);
	return reply(conn, code, "application/json", text);
}

static enum MHD_Result reply_error(struct MHD_Connection *conn, unsigned code,
				   const char *fmt, ...) PRINTF_LIKE(3, 4);

static enum MHD_Result reply_error(struct MHD_Connection *conn, unsigned code,
				   const char *fmt, ...)
{
	struct control_answer a;
	char words[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	control_error(&a, code, "%s", words);
	return reply_json(conn, code, a.body);
}

static enum MHD_Result get_health(struct control *c,
				  struct MHD_Connection *conn)
{
	char words[256];

	if (health_ask(&c->health, c->service->store, &c->service->stopping,
		       words) < 0)
		return reply_error(conn, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "the store does not answer: %s", words);
	return reply(conn, MHD_HTTP_OK, "text/plain", strdup("ok\n"));
}

/* Takes what is in a. */
static enum MHD_Result reply_answer(struct MHD_Connection *conn,
				    struct control_answer *a)
{
	return reply_json(conn, a->status, a->body);
}

/* How far it is, and what it found, status tells. */
static void post_scrub(struct control *c, struct control_answer *out)
{
	struct cache *cache = c->service->cache;
	size_t n = cache_disks(cache, &(struct cache_disk_status){ 0 }, 1);

	if (n == 0) {
		control_error(out, 409, "this mount has no cache on the SSD");
		return;
	}
	cache_scrub(cache);
	out->status = 202;
	out->body = json_pack("{s:b}", "scrub", 1);
}

/* The name of the i-th path. 0, or -errno and the answer to that. */
static int path_at(struct control *c, const json_t *paths, size_t i,
		   char key[static UFS_KEY_MAX + 1], size_t *n, bool *dir,
		   struct ufs_stat *st, struct control_answer *out)
{
	const char *path = json_string_value(json_array_get(paths, i));
	int r = path != NULL ? fs_resolve(c->service->fs, path, key, n, dir, st)
			     : -EINVAL;

	if (r < 0)
		control_error(out, r == -ENOENT ? 404 : 400, "/%s: %s",
			      path != NULL ? path : "?", strerror(-r));
	return r;
}

/* The keys of paths: "" or ending in a slash where it is a directory. */
static void post_keys(struct control *c, const json_t *root,
		      struct control_answer *out)
{
	const json_t *paths = json_object_get(root, "paths");
	json_t *keys = json_array();

	for (size_t i = 0; i < json_array_size(paths); i++) {
		char key[UFS_KEY_MAX + 1];
		struct ufs_stat st;
		size_t n = 0;
		bool dir;
		int r = path_at(c, paths, i, key, &n, &dir, &st, out);

		/* JSON has no words for a key that is not UTF-8. */
		if (r == 0 &&
		    json_array_append_new(keys, json_stringn(key, n)) < 0)
			control_error(out, 400, "a key is not UTF-8");
		else if (r == 0)
			continue;
		json_decref(keys);
		return;
	}
	out->status = 200;
	out->body = json_pack("{s:o}", "keys", keys);
}

/* Which worker has what of paths. */
static void post_where(struct control *c, const json_t *root,
		       struct control_answer *out)
{
	const json_t *paths = json_object_get(root, "paths");
	struct workers *workers = c->service->workers;
	json_t *files = json_array();

	if (workers == NULL) {
		control_error(out, 409,
			      "this mount has no workers; mount with workers=");
		json_decref(files);
		return;
	}
	for (size_t i = 0; i < json_array_size(paths); i++) {
		char key[UFS_KEY_MAX + 1];
		struct ufs_stat st = { 0 };
		size_t n = 0;
		bool dir;

		if (path_at(c, paths, i, key, &n, &dir, &st, out) < 0) {
			json_decref(files);
			return;
		}
		json_array_append_new(
		    files, workers_where(workers, (struct str){ key, n }, dir,
					 st.size));
	}
	out->status = 200;
	out->body = json_pack("{s:o}", "files", files);
}

/*
 * S7: the workers first, since who looks after that is told what they know.
 * Paths that are spelt wrong are left to the mount's own part. NULL: no
 * memory. Else who of them did not do it.
 */
static json_t *invalidate_on_workers(struct control *c, const json_t *root)
{
	const json_t *paths = json_object_get(root, "paths");
	const char *source = c->service->source;
	json_t *urls = json_array(), *failed = json_array();
	json_t *body = json_pack("{s:o}", "urls", urls);

	for (size_t i = 0; i < json_array_size(paths); i++) {
		const char *path = json_string_value(json_array_get(paths, i));
		char key[UFS_KEY_MAX + 1];
		size_t n;

		if (path == NULL || fs_spell(c->service->fs, path, key, &n) < 0)
			continue;
		if (json_array_append_new(
			urls, control_url(source, (struct str){ key, n })) < 0)
			json_array_append_new(
			    failed, json_pack("{s:s, s:s}", "name", "all",
					      "error", strerror(ENOMEM)));
	}
	if (body != NULL && json_array_size(urls) > 0)
		workers_tell(c->service->workers, "/-/invalidate", body,
			     failed);
	json_decref(body);
	return failed;
}

static void post_invalidate(struct control *c, const json_t *root,
			    struct control_answer *out)
{
	json_t *failed = NULL;

	if (c->service->workers != NULL)
		failed = invalidate_on_workers(c, root);
	control_invalidate(&c->place, root, out);
	if (failed != NULL && out->status == 200)
		json_object_set(out->body, "workers_failed", failed);
	json_decref(failed);
}

static enum MHD_Result post(struct control *c, struct MHD_Connection *conn,
			    const char *url, const struct body *b)
{
	struct control_answer a = { 0 };
	json_t *root;

	if (b->too_large)
		return reply_error(conn, MHD_HTTP_CONTENT_TOO_LARGE,
				   "the body is larger than 16 MiB; send it "
				   "in pieces");
	if (b->no_memory)
		return reply_error(conn, MHD_HTTP_INTERNAL_SERVER_ERROR,
				   "out of memory");
	root = control_body(b->p, b->n, &a);
	if (root == NULL)
		return reply_answer(conn, &a);
	if (strcmp(url, "/-/load") == 0)
		control_job(&c->place, root, JOBS_LOAD, &a);
	else if (strcmp(url, "/-/free") == 0)
		control_job(&c->place, root, JOBS_FREE, &a);
	else if (strcmp(url, "/-/scrub") == 0)
		post_scrub(c, &a);
	else if (strcmp(url, "/-/keys") == 0)
		post_keys(c, root, &a);
	else if (strcmp(url, "/-/where") == 0)
		post_where(c, root, &a);
	else
		post_invalidate(c, root, &a);
	json_decref(root);
	return reply_answer(conn, &a);
}

static enum MHD_Result get_page(struct MHD_Connection *conn)
{
	const char *policy = NULL;
	char *text = page_document(&policy);

	return reply_with(conn, MHD_HTTP_OK, "text/html; charset=utf-8", text,
			  policy);
}

static enum MHD_Result get(struct control *c, struct MHD_Connection *conn,
			   const char *url)
{
	struct control_answer a = { 0 };

	if (strcmp(url, "/-/health") == 0)
		return get_health(c, conn);
	if (strcmp(url, "/-/metrics") == 0)
		return reply(conn, MHD_HTTP_OK,
			     "text/plain; version=0.0.4; charset=utf-8",
			     status_metrics(c->service));
	if (strcmp(url, "/-/status") == 0)
		return reply_json(conn, MHD_HTTP_OK,
				  status_json(c->service, c->place.jobs));
	if (strcmp(url, "/-/ring") == 0)
		return reply_json(conn, MHD_HTTP_OK,
				  workers_json(c->service->workers));
	if (strcmp(url, "/-/history") == 0)
		return reply(conn, MHD_HTTP_OK, "application/json",
			     history_text(clock_ns()));
	if (strcmp(url, "/-/") == 0)
		return get_page(conn);
	control_job_status(&c->place, url + strlen("/-/load/"), &a);
	return reply_answer(conn, &a);
}

static void body_add(struct body *b, const char *p, size_t n)
{
	if (b->too_large || b->no_memory)
		return;
	if (b->n + n > BODY_MAX) {
		b->too_large = true;
		return;
	}
	if (b->n + n > b->cap) {
		size_t cap = MAX(b->cap * 2, b->n + n);
		char *more = realloc(b->p, cap);

		if (more == NULL) {
			b->no_memory = true;
			return;
		}
		b->p = more;
		b->cap = cap;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

/* Which method a path answers; NULL: there is no such path. */
static const char *method_of(const char *url)
{
	static const char *const paths[][2] = {
		{ "/-/health", "GET" }, { "/-/metrics", "GET" },
		{ "/-/status", "GET" }, { "/-/history", "GET" },
		{ "/-/", "GET" },       { "/-/load", "POST" },
		{ "/-/free", "POST" },  { "/-/invalidate", "POST" },
		{ "/-/scrub", "POST" }, { "/-/keys", "POST" },
		{ "/-/ring", "GET" },   { "/-/where", "POST" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (strcmp(url, paths[i][0]) == 0)
			return paths[i][1];
	return strncmp(url, "/-/load/", 8) == 0 ? "GET" : NULL;
}

/* MHD calls it with the headers, with each piece of the body, and at last. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *conn,
			      const char *url, const char *method,
			      const char *version, const char *data,
			      size_t *size, void **state)
{
	struct control *c = arg;
	struct body *b = *state;
	const char *want;

	(void)version;
	if (b == NULL) {
		b = calloc(1, sizeof(*b));
		*state = b;
		return b != NULL ? MHD_YES : MHD_NO;
	}
	if (*size > 0) {
		body_add(b, data, *size);
		*size = 0;
		return MHD_YES;
	}
	want = method_of(url);
	if (want == NULL)
		return reply_error(conn, MHD_HTTP_NOT_FOUND,
				   "there is no such path here");
	if (strcmp(method, want) != 0)
		return reply_error(conn, MHD_HTTP_METHOD_NOT_ALLOWED,
				   "this path answers %s only", want);
	if (*want == 'G')
		return get(c, conn, url);
	/* No page has a reason to, least of all somebody else's. */
	if (MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Origin") !=
	    NULL)
		return reply_error(conn, MHD_HTTP_FORBIDDEN,
				   "nothing is changed from a browser");
	return post(c, conn, url, b);
}

static void completed(void *arg, struct MHD_Connection *conn, void **state,
		      enum MHD_RequestTerminationCode why)
{
	struct body *b = *state;

	(void)arg;
	(void)conn;
	(void)why;
	if (b != NULL)
		free(b->p);
	free(b);
	*state = NULL;
}

/* Nobody listens on it any more: its process is gone. */
static bool stale(const char *path)
{
	AUTO_CLOSE int fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (fd < 0 || strlen(path) >= sizeof(a.sun_path))
		return false;
	strcpy(a.sun_path, path);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 &&
	       errno == ECONNREFUSED;
}

static void remove_stale(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
		size_t n = strlen(e->d_name);

		if (n < 5 || strcmp(e->d_name + n - 5, ".sock") != 0 ||
		    snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) >=
			(int)sizeof(path))
			continue;
		if (stale(path))
			(void)unlink(path);
	}
	closedir(d);
}

/* A listening socket at c->path, mode 0600. */
static int listen_in(struct control *c, const char *dir, int *out)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char path[sizeof(c->path)];
	uint32_t salt;

	if (fd < 0)
		return -errno;
	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
		salt = (uint32_t)clock_ns();
	snprintf(path, sizeof(path), "%s/%d-%08x.sock", dir, (int)getpid(),
		 salt);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%d-%08x.new", dir,
		 (int)getpid(), salt);
	if (fchmod(fd, 0600) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	if (chmod(a.sun_path, 0600) < 0 || listen(fd, 64) < 0 ||
	    rename(a.sun_path, path) < 0) {
		int err = errno;

		(void)unlink(a.sun_path);
		return -err;
	}
	strcpy(c->path, path);
	*out = take_fd(&fd);
	return 0;
}

static int resolve(void *arg, const char *path, char *key, size_t *n, bool *dir,
		   struct ufs_stat *st)
{
	return fs_resolve(arg, path, key, n, dir, st);
}

static char *name_of(void *arg, struct str key, bool dir)
{
	return fs_path_of(arg, key, dir);
}

static int invalidate(void *arg, const char *path)
{
	return fs_invalidate(arg, path);
}

static int start_jobs(struct control *c, unsigned width)
{
	struct service *s = c->service;
	const struct jobs_source names = { .cache = s->cache,
					   .resolve = resolve,
					   .name_of = name_of,
					   .arg = s->fs };

	c->source =
	    (struct control_source){ .url = s->source, .cache = s->cache };
	c->place = (struct control_place){ .sources = &c->source,
					   .nsources = 1,
					   .invalidate = invalidate,
					   .arg = s->fs };
	return jobs_new(&names, 1, width, &c->place.jobs);
}

int control_start(struct service *s, struct control **out,
		  char why[static WHY_MAX])
{
	unsigned width =
	    (unsigned)options_number(s->options, OPT_MAX_CONNECTIONS);
	struct control *c = calloc(1, sizeof(*c));
	char dir[RUNDIR_MAX];
	AUTO_CLOSE int fd = -1;
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->service = s;
	health_init(&c->health);
	r = rundir_path(dir, true);
	if (r == 0) {
		remove_stale(dir);
		r = listen_in(c, dir, &fd);
	}
	if (r < 0) {
		snprintf(why, WHY_MAX, "the control socket in %s: %s%s", dir,
			 strerror(-r),
			 r == -EPERM ? "; it must be yours and of mode 0700"
				     : "");
		goto fail;
	}
	r = start_jobs(c, MIN(width, 16));
	if (r < 0) {
		snprintf(why, WHY_MAX, "cannot start threads: %s",
			 strerror(-r));
		goto fail;
	}
	c->daemon = MHD_start_daemon(
	    MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC,
	    0, NULL, NULL, handle, c, MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
	    MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
	if (c->daemon == NULL) {
		snprintf(why, WHY_MAX,
			 "the control interface does not start; "
			 "the log may say why");
		r = -EIO;
		goto fail;
	}
	take_fd(&fd); /* the daemon closes it */
	*out = c;
	return 0;
fail:
	control_stop(c);
	return r;
}

void control_stop(struct control *c)
{
	if (c == NULL)
		return;
	/* Out of sight first: who connects then finds no mount. */
	if (c->path[0] != '\0')
		(void)unlink(c->path);
	if (c->daemon != NULL)
		MHD_stop_daemon(c->daemon);
	jobs_free(c->place.jobs);
	health_fini(&c->health);
	free(c);
}
