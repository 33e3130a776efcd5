/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - how commands speak with the mounts of this user
 *
 * A mount is found by asking each socket in the runtime directory for its
 * status. Nothing is asked of the mounted file system itself: it may be what
 * hangs. A socket that refuses connections belongs to a process that is
 * gone; the next mount removes it.
 */
#include "fuse/client.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>

#include "fuse/client_ring.h"
#include "fuse/mount.h"
#include "fuse/options.h"
#include "fuse/rundir.h"
#include "ufs/encode.h"

#define ANSWER_MAX MIB(64)
#define STATUS_MS 5000L
#define HEALTH_MS (60 * 1000L) /* it asks the store */
#define CALL_MS (10 * 60 * 1000L)

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct text *answer = arg;

	n *= size;
	if (answer->n + n > ANSWER_MAX)
		return 0;
	text_add(answer, p, n);
	return answer->failed ? 0 : n;
}

static CURLcode perform(CURL *h, const char *socket, const char *path,
			const char *body, long timeout, struct text *a,
			long *code)
{
	AUTO_FREE char *url = NULL;
	CURLcode c;

	if (asprintf(&url, "http://tarn%s", path) < 0)
		return CURLE_OUT_OF_MEMORY;
	curl_easy_setopt(h, CURLOPT_URL, url);
	curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(h, CURLOPT_PROXY, "");
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, 2000L);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, timeout);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, a);
	if (body != NULL) {
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)strlen(body));
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
	}
	c = curl_easy_perform(h);
	if (c == CURLE_OK)
		curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, code);
	return c;
}

/* out NULL: what a right answer says is not wanted, and need not be JSON. */
static int call(const char *socket, const char *path, const json_t *body,
		long timeout, json_t **out, char why[static WHY_MAX])
{
	AUTO_FREE char *text = body != NULL ? json_dumps(body, 0) : NULL;
	struct text a = { 0 };
	json_t *j = NULL;
	const char *words;
	long code = 0;
	CURL *h = curl_easy_init();
	CURLcode c;

	if (h == NULL || (body != NULL && text == NULL)) {
		curl_easy_cleanup(h);
		snprintf(why, WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	c = perform(h, socket, path, text, timeout, &a, &code);
	curl_easy_cleanup(h);
	if (c == CURLE_OK && a.p != NULL)
		j = json_loadb(a.p, a.n, 0, NULL);
	text_fini(&a);
	if (c != CURLE_OK) {
		snprintf(why, WHY_MAX, "the mount does not answer: %s",
			 curl_easy_strerror(c));
		return c == CURLE_COULDNT_CONNECT      ? -ECONNREFUSED
		       : c == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT
						       : -EIO;
	}
	if ((j == NULL && out != NULL) || code / 100 != 2) {
		words = json_string_value(json_object_get(j, "error"));
		snprintf(why, WHY_MAX, "%s",
			 words != NULL ? words
				       : "the mount's answer is not JSON");
		json_decref(j);
		return code == 404 ? -ENOENT : -EIO;
	}
	if (out != NULL)
		*out = j;
	else
		json_decref(j);
	return 0;
}

int client_call(const char *socket, const char *path, const json_t *body,
		json_t **out, char why[static WHY_MAX])
{
	return call(socket, path, body, CALL_MS, out, why);
}

int client_health(const char *socket, char why[static WHY_MAX])
{
	return call(socket, "/-/health", NULL, HEALTH_MS, NULL, why);
}

static void mount_free(struct client_mount *m)
{
	if (m == NULL)
		return;
	json_decref(m->status);
	free(m->socket);
	free(m->worker);
	free(m);
}

void client_mounts_free(struct client_mount *m)
{
	while (m != NULL) {
		struct client_mount *next = m->next;

		mount_free(m);
		m = next;
	}
}

/* *silent: somebody is there, and says nothing. */
static struct client_mount *ask_mount(const char *path, bool *silent)
{
	struct client_mount *m = calloc(1, sizeof(*m));
	char why[WHY_MAX];
	json_t *answer;
	int r;

	*silent = false;
	if (m == NULL)
		return NULL;
	m->socket = strdup(path);
	r = m->socket != NULL
		? call(path, "/-/status", NULL, STATUS_MS, &answer, why)
		: -ENOMEM;
	if (r < 0) {
		*silent = r == -ETIMEDOUT;
		mount_free(m);
		return NULL;
	}
	m->status =
	    json_incref(json_array_get(json_object_get(answer, "mounts"), 0));
	json_decref(answer);
	m->dir = json_string_value(json_object_get(m->status, "dir"));
	m->source = json_string_value(json_object_get(m->status, "source"));
	if (m->dir == NULL || m->source == NULL) {
		mount_free(m);
		return NULL;
	}
	return m;
}

struct client_mount *client_mount_at(const char *path)
{
	bool silent;

	return ask_mount(path, &silent);
}

struct client_mount *client_worker_at(const struct client_ring *r,
				      const char *worker,
				      char why[static WHY_MAX])
{
	struct client_mount *m = calloc(1, sizeof(*m));
	json_t *answer;

	snprintf(why, WHY_MAX, "out of memory");
	if (m == NULL)
		return NULL;
	m->worker = strdup(worker);
	if (m->worker == NULL ||
	    client_ring_call(r, worker, "/-/status", NULL, &answer, why) < 0) {
		mount_free(m);
		return NULL;
	}
	m->status = json_incref(json_object_get(answer, "worker"));
	json_decref(answer);
	m->dir = m->worker;
	m->source = json_string_value(json_object_get(m->status, "source"));
	if (m->source == NULL) {
		snprintf(why, WHY_MAX, "%s is no worker", worker);
		mount_free(m);
		return NULL;
	}
	return m;
}

int client_mount_options(const struct client_mount *m, struct options *out,
			 char why[static WHY_MAX])
{
	json_t *all = json_object_get(m->status, "options"), *o;
	const char *name;
	int r;

	json_object_foreach(all, name, o)
	{
		const char *from =
		    json_string_value(json_object_get(o, "from"));
		const char *value =
		    json_string_value(json_object_get(o, "value"));

		/* One that a newer mount has and we do not says nothing. */
		if (from == NULL || value == NULL ||
		    strcmp(from, "default") == 0 || !options_known(name))
			continue;
		r = options_set(out, name, value, OPTION_FROM_FILE, from, why);
		if (r < 0)
			return r;
	}
	return 0;
}

struct client_mount *client_mounts(unsigned *silent)
{
	struct client_mount *all = NULL, **link;
	bool hangs;
	char dir[RUNDIR_MAX], path[RUNDIR_MAX + NAME_MAX + 2];
	const struct dirent *e;
	DIR *d;

	if (silent != NULL)
		*silent = 0;
	if (rundir_path(dir, false) < 0)
		return NULL;
	d = opendir(dir);
	if (d == NULL)
		return NULL;
	while ((e = readdir(d)) != NULL) {
		size_t n = strlen(e->d_name);
		struct client_mount *m;

		if (n < 5 || strcmp(e->d_name + n - 5, ".sock") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		m = ask_mount(path, &hangs);
		if (hangs && silent != NULL) {
			++*silent;
			cli_fail("process %.*s is there for a mount and does "
				 "not answer in %ld s; it is left out",
				 (int)strspn(e->d_name, "0123456789"),
				 e->d_name, STATUS_MS / 1000);
		}
		if (m == NULL)
			continue;
		for (link = &all; *link != NULL; link = &(*link)->next)
			if (strcmp((*link)->dir, m->dir) > 0)
				break;
		m->next = *link;
		*link = m;
	}
	closedir(d);
	return all;
}

/* The mount with the longest directory (source) that holds path (URL). */
static int longest(struct client_mount *mounts, const char *path, bool url,
		   struct client_mount **out, char **below)
{
	const char *best = NULL;

	for (struct client_mount *m = mounts; m != NULL; m = m->next) {
		const char *rest = cli_below(path, url ? m->source : m->dir);

		if (rest != NULL && (best == NULL || rest > best)) {
			best = rest;
			*out = m;
		}
	}
	if (best == NULL)
		return -ENOENT;
	*below = strdup(best);
	return *below != NULL ? 0 : -ENOMEM;
}

/* Is it on a mount of tarn, by its text? Cuts it short. */
static bool on_mount(char *abs)
{
	struct mount_entry e;

	for (char *slash; (slash = strrchr(abs, '/')) != NULL; *slash = '\0') {
		if (slash == abs)
			return false;
		if (mount_find(abs, &e) == 0)
			return strcmp(e.fstype, MOUNT_FSTYPE) == 0;
	}
	return false;
}

int client_find_path(struct client_mount *mounts, const char *path,
		     struct client_mount **out, char **below)
{
	AUTO_FREE char *abs = cli_absolute(path);
	AUTO_FREE char *real = NULL;
	int r;

	if (abs == NULL)
		return -ENOMEM;
	r = longest(mounts, abs, false, out, below);
	/* Where nobody answers, looking for symlinks would wait as well. */
	if (r != -ENOENT || on_mount(abs))
		return r;
	real = realpath(path, NULL);
	if (real == NULL)
		return -ENOENT;
	return longest(mounts, real, false, out, below);
}

int client_find_url(struct client_mount *mounts, const char *url,
		    struct client_mount **out, char **below)
{
	return longest(mounts, url, true, out, below);
}

int client_post_path(struct client_mount *mounts, const char *path,
		     const char *where, json_t **answer)
{
	AUTO_FREE char *below = NULL;
	struct client_mount *m;
	char why[WHY_MAX];
	json_t *body;
	int r = client_find_path(mounts, path, &m, &below);

	if (r < 0)
		return cli_fail("%s is on no mount of yours; `tarn status` "
				"lists them",
				path);
	body = json_pack("{s:[s]}", "paths", below);
	if (body == NULL)
		return cli_fail("%s: no file of a mount has this name", path);
	r = client_call(m->socket, where, body, answer, why);
	json_decref(body);
	return r < 0 ? cli_fail("%s: %s", path, why) : CLI_DONE;
}

int client_print(json_t *j)
{
	int r = CLI_FAILED;

	if (j != NULL && json_dumpf(j, stdout, JSON_INDENT(1)) == 0) {
		printf("\n");
		r = CLI_DONE;
	}
	json_decref(j);
	return r;
}
