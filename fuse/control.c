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
#include "fuse/fs.h"
#include "fuse/health.h"
#include "fuse/jobs.h"
#include "fuse/rundir.h"
#include "fuse/status.h"

#define BODY_MAX MIB(16)
#define CONNECTIONS_MAX 16
#define IDLE_SECONDS 60

struct control {
	struct service *service; /* borrowed */
	struct MHD_Daemon *daemon;
	struct jobs *jobs;
	char path[RUNDIR_MAX + 28]; /* "" until it is there */
	struct health health;
};

/* A request's body as it comes in. */
struct body {
	char *p;
	size_t n, cap;
	bool too_large, no_memory;
};

static enum MHD_Result reply(struct MHD_Connection *conn, unsigned code,
			     const char *type, char *heap_text)
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
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(res, "Allow", "GET, POST");
	r = MHD_queue_response(conn, code, res);
	MHD_destroy_response(res);
	return r;
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
	char words[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	return reply_json(conn, code,
			  json_pack("{s:o}", "error", status_text(words)));
}

static enum MHD_Result get_health(struct control *c,
				  struct MHD_Connection *conn)
{
	char words[256];

	if (health_ask(&c->health, c->service->ufs, &c->service->stopping,
		       words) < 0)
		return reply_error(conn, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "the store does not answer: %s", words);
	return reply(conn, MHD_HTTP_OK, "text/plain", strdup("ok\n"));
}

static enum MHD_Result get_job(struct control *c, struct MHD_Connection *conn,
			       const char *id)
{
	char *end;
	unsigned long n = strtoul(id, &end, 10);
	json_t *j = NULL;

	if (*id >= '1' && *id <= '9' && *end == '\0' && n <= INT32_MAX)
		j = jobs_status(c->jobs, (unsigned)n);
	if (j == NULL)
		return reply_error(conn, MHD_HTTP_NOT_FOUND,
				   "there is no such job");
	return reply_json(conn, MHD_HTTP_OK, j);
}

/* A member that must be an array of strings if it is there. */
static int strings(const json_t *root, const char *name, const json_t **out)
{
	const json_t *a = json_object_get(root, name);

	*out = a;
	if (a == NULL)
		return 0;
	if (!json_is_array(a))
		return -EINVAL;
	for (size_t i = 0; i < json_array_size(a); i++)
		if (!json_is_string(json_array_get(a, i)))
			return -EINVAL;
	return 0;
}

static enum MHD_Result post_job(struct control *c, struct MHD_Connection *conn,
				const json_t *root, enum jobs_kind kind)
{
	struct jobs_spec spec = {
		.kind = kind,
		.verify = json_is_true(json_object_get(root, "verify")),
		.dry_run = json_is_true(json_object_get(root, "dry_run")),
	};
	const json_t *to = json_object_get(root, "to");
	const json_t *paths, *keys;
	int id;

	if (strings(root, "paths", &paths) < 0 ||
	    strings(root, "keys", &keys) < 0)
		return reply_error(conn, MHD_HTTP_BAD_REQUEST,
				   "paths and keys are arrays of strings");
	if (to != NULL &&
	    (!json_is_string(to) || strcmp(json_string_value(to), "ssd") != 0))
		return reply_error(conn, MHD_HTTP_BAD_REQUEST,
				   "to: this version loads to \"ssd\" only");
	if (kind == JOBS_LOAD && !spec.dry_run &&
	    cache_disks(c->service->cache, &(struct cache_disk_status){ 0 },
			1) == 0)
		return reply_error(conn, MHD_HTTP_CONFLICT,
				   "this mount has no cache on the SSD; mount "
				   "it without cache-size=0");
	id = jobs_start(c->jobs, &spec, paths, keys);
	if (id == -EINVAL)
		return reply_error(conn, MHD_HTTP_BAD_REQUEST,
				   "name at least one path or key");
	if (id == -EBUSY)
		return reply_error(conn, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "%d jobs are running; try again later",
				   JOBS_KEPT);
	if (id < 0)
		return reply_error(conn, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s",
				   strerror(-id));
	return reply_json(conn, MHD_HTTP_ACCEPTED,
			  json_pack("{s:o}", "id", json_sprintf("%d", id)));
}

static enum MHD_Result post_invalidate(struct control *c,
				       struct MHD_Connection *conn,
				       const json_t *root)
{
	const json_t *paths;
	size_t n;

	if (strings(root, "paths", &paths) < 0 || json_array_size(paths) == 0)
		return reply_error(conn, MHD_HTTP_BAD_REQUEST,
				   "paths is an array of strings");
	n = json_array_size(paths);
	for (size_t i = 0; i < n; i++) {
		const char *path = json_string_value(json_array_get(paths, i));
		int r = fs_invalidate(c->service->fs, path);

		if (r < 0)
			return reply_error(conn,
					   r == -ENOENT ? MHD_HTTP_NOT_FOUND
							: MHD_HTTP_BAD_GATEWAY,
					   "/%s: %s", path, strerror(-r));
	}
	return reply_json(conn, MHD_HTTP_OK,
			  json_pack("{s:I}", "invalidated", (json_int_t)n));
}

/* How far it is, and what it found, status tells. */
static enum MHD_Result post_scrub(struct control *c,
				  struct MHD_Connection *conn)
{
	struct cache *cache = c->service->cache;
	size_t n = cache_disks(cache, &(struct cache_disk_status){ 0 }, 1);

	if (n == 0)
		return reply_error(conn, MHD_HTTP_CONFLICT,
				   "this mount has no cache on the SSD");
	cache_scrub(cache);
	return reply_json(conn, MHD_HTTP_ACCEPTED,
			  json_pack("{s:b}", "scrub", 1));
}

static enum MHD_Result post(struct control *c, struct MHD_Connection *conn,
			    const char *url, const struct body *b)
{
	enum MHD_Result r;
	json_error_t e;
	json_t *root;

	if (b->too_large)
		return reply_error(conn, MHD_HTTP_CONTENT_TOO_LARGE,
				   "the body is larger than 16 MiB; send it "
				   "in pieces");
	if (b->no_memory)
		return reply_error(conn, MHD_HTTP_INTERNAL_SERVER_ERROR,
				   "out of memory");
	root =
	    json_loadb(b->n > 0 ? b->p : "", b->n, JSON_REJECT_DUPLICATES, &e);
	if (!json_is_object(root)) {
		json_decref(root);
		return reply_error(conn, MHD_HTTP_BAD_REQUEST,
				   "the body is not a JSON object");
	}
	if (strcmp(url, "/-/load") == 0)
		r = post_job(c, conn, root, JOBS_LOAD);
	else if (strcmp(url, "/-/free") == 0)
		r = post_job(c, conn, root, JOBS_FREE);
	else if (strcmp(url, "/-/scrub") == 0)
		r = post_scrub(c, conn);
	else
		r = post_invalidate(c, conn, root);
	json_decref(root);
	return r;
}

static enum MHD_Result get(struct control *c, struct MHD_Connection *conn,
			   const char *url)
{
	if (strcmp(url, "/-/health") == 0)
		return get_health(c, conn);
	if (strcmp(url, "/-/metrics") == 0)
		return reply(conn, MHD_HTTP_OK,
			     "text/plain; version=0.0.4; charset=utf-8",
			     status_metrics(c->service));
	if (strcmp(url, "/-/status") == 0)
		return reply_json(conn, MHD_HTTP_OK, status_json(c->service));
	return get_job(c, conn, url + strlen("/-/load/"));
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
		{ "/-/status", "GET" }, { "/-/load", "POST" },
		{ "/-/free", "POST" },  { "/-/invalidate", "POST" },
		{ "/-/scrub", "POST" },
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
	return *want == 'G' ? get(c, conn, url) : post(c, conn, url, b);
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
	r = jobs_new(s->fs, s->cache, MIN(width, 16), &c->jobs);
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
	jobs_free(c->jobs);
	health_fini(&c->health);
	free(c);
}
