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

#include "fuse/rundir.h"

#define ANSWER_MAX MIB(64)
#define STATUS_MS 5000L
#define HEALTH_MS (60 * 1000L) /* it asks the store */
#define CALL_MS (10 * 60 * 1000L)

struct answer {
	char *p;
	size_t n;
};

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;
	char *more;

	n *= size;
	if (a->n + n > ANSWER_MAX)
		return 0;
	more = realloc(a->p, a->n + n + 1);
	if (more == NULL)
		return 0;
	a->p = more;
	memcpy(a->p + a->n, p, n);
	a->n += n;
	a->p[a->n] = '\0';
	return n;
}

static CURLcode perform(CURL *h, const char *socket, const char *path,
			const char *body, long timeout, struct answer *a,
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
	struct answer a = { NULL, 0 };
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
	free(a.p);
	if (c != CURLE_OK) {
		snprintf(why, WHY_MAX, "the mount does not answer: %s",
			 curl_easy_strerror(c));
		return c == CURLE_COULDNT_CONNECT ? -ECONNREFUSED : -EIO;
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

struct client_mount *client_mount_at(const char *path)
{
	struct client_mount *m = calloc(1, sizeof(*m));
	char why[WHY_MAX];
	json_t *answer;
	int r;

	if (m == NULL)
		return NULL;
	m->socket = strdup(path);
	r = m->socket != NULL
		? call(path, "/-/status", NULL, STATUS_MS, &answer, why)
		: -ENOMEM;
	if (r < 0) {
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

struct client_mount *client_mounts(void)
{
	struct client_mount *all = NULL, **link;
	char dir[RUNDIR_MAX], path[RUNDIR_MAX + NAME_MAX + 2];
	const struct dirent *e;
	DIR *d;

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
		m = client_mount_at(path);
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

/* What of path lies below top: "" for top itself, NULL when it is beside. */
static const char *below_top(const char *path, const char *top)
{
	size_t n = strlen(top);

	if (n > 0 && top[n - 1] == '/') /* file:/// */
		return strncmp(path, top, n) == 0 ? path + n : NULL;
	if (strncmp(path, top, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return path[n] == '/' ? path + n + 1 : path + n;
}

/* The mount with the longest directory (source) that holds path (URL). */
static int longest(struct client_mount *mounts, const char *path, bool url,
		   struct client_mount **out, char **below)
{
	const char *best = NULL;

	for (struct client_mount *m = mounts; m != NULL; m = m->next) {
		const char *rest = below_top(path, url ? m->source : m->dir);

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

int client_find_path(struct client_mount *mounts, const char *path,
		     struct client_mount **out, char **below)
{
	AUTO_FREE char *abs = cli_absolute(path);
	AUTO_FREE char *real = NULL;
	int r;

	if (abs == NULL)
		return -ENOMEM;
	r = longest(mounts, abs, false, out, below);
	if (r != -ENOENT)
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
