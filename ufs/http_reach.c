/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_reach.c - how far it is to the server
 *
 * http_run() hides what stands between a mount and its store: it tries again
 * and tells one errno at the end. Who looks for the cause wants the opposite:
 * one try, and the step at which it ended. libcurl notes when each step was
 * done and makes that at least a microsecond, so the first that has no time
 * is the one that failed. (But 7.88 notes the connect only after TLS: there
 * the address tells.) The handle is one of the pool's, so that proxies,
 * certificates and TLS versions are those of all other requests.
 */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "ufs/http_impl.h"

#define CONNECT_MS 5000L
#define TIMEOUT_MS 10000L

struct head {
	struct ufs_reach *out;
	size_t bytes;
};

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct head *h = arg;
	char date[64];
	int64_t seconds;
	size_t at = strlen("date:");

	(void)size;
	h->bytes += n;
	if (h->bytes > HTTP_HEADERS_MAX)
		return 0;
	if (n <= at || n - at >= sizeof(date) || strncasecmp(p, "date:", at))
		return n;
	memcpy(date, p + at, n - at);
	date[n - at] = '\0';
	if (!http_date(date, &seconds) || seconds < 0 ||
	    seconds > UFS_MTIME_MAX_S)
		return n;
	h->out->has_date = true;
	h->out->ahead = seconds * NSEC_PER_SEC - clock_wall_ns();
	return n;
}

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
	(void)p, (void)size, (void)n, (void)arg;
	return 0; /* a HEAD has no body */
}

#define SET(option, value)                                                     \
	do {                                                                   \
		if (curl_easy_setopt(c, option, value) != CURLE_OK)            \
			return -ENOMEM;                                        \
	} while (0)

/* All that a try sets for itself, and the next one sets all of it again. */
static int prepare(CURL *c, const char *url, struct head *h)
{
	SET(CURLOPT_NOBODY, 1L);
	SET(CURLOPT_URL, url);
	SET(CURLOPT_HTTPHEADER, NULL);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, h);
	SET(CURLOPT_WRITEFUNCTION, on_data);
	SET(CURLOPT_NOPROGRESS, 1L);
	SET(CURLOPT_PREREQFUNCTION, NULL);
	SET(CURLOPT_OPENSOCKETFUNCTION, NULL);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_RESOLVE, NULL);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	SET(CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	return 0;
}

/* When the step was done, ns since the beginning; 0: it was not. */
static int64_t done_at(CURL *c, CURLINFO info)
{
	curl_off_t us = 0;

	curl_easy_getinfo(c, info, &us);
	return (int64_t)us * 1000;
}

static void note_address(CURL *c, struct ufs_reach *out)
{
	char *ip = NULL;
	long port = 0;

	curl_easy_getinfo(c, CURLINFO_PRIMARY_IP, &ip);
	curl_easy_getinfo(c, CURLINFO_PRIMARY_PORT, &port);
	if (ip != NULL && *ip != '\0' && port > 0)
		snprintf(out->address, sizeof(out->address),
			 strchr(ip, ':') != NULL ? "[%s]:%ld" : "%s:%ld", ip,
			 port);
}

/* After note_address(). */
static void note_steps(CURL *c, CURLcode code, struct ufs_reach *out)
{
	const int64_t at[UFS_STEP_DONE] = {
		[UFS_STEP_NAME] = done_at(c, CURLINFO_NAMELOOKUP_TIME_T),
		[UFS_STEP_CONNECT] = done_at(c, CURLINFO_CONNECT_TIME_T),
		[UFS_STEP_TLS] = done_at(c, CURLINFO_APPCONNECT_TIME_T),
		[UFS_STEP_ANSWER] = done_at(c, CURLINFO_STARTTRANSFER_TIME_T),
	};
	long status = 0;
	const bool done[UFS_STEP_DONE] = {
		[UFS_STEP_NAME] = at[UFS_STEP_NAME] > 0,
		[UFS_STEP_CONNECT] =
		    code != CURLE_COULDNT_CONNECT && out->address[0] != '\0',
		[UFS_STEP_TLS] = !out->tls || at[UFS_STEP_TLS] > 0,
		[UFS_STEP_ANSWER] = curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE,
						      &status) == CURLE_OK &&
				    status > 0,
	};
	int64_t before = 0;

	for (int i = 0; i < UFS_STEP_DONE; i++) {
		out->failed = (enum ufs_step)i;
		if (!done[i])
			return;
		if (at[i] > 0 && (i != UFS_STEP_TLS || out->tls)) {
			out->took[i] = MAX(at[i] - before, 0);
			before = at[i];
		}
	}
	out->failed = UFS_STEP_DONE;
}

/* Would libcurl go through a proxy? It takes these names itself. */
static bool by_proxy(bool tls)
{
	static const char *const names[] = { "all_proxy", "ALL_PROXY" };
	const char *p = getenv(tls ? "https_proxy" : "http_proxy");

	if (p == NULL && tls)
		p = getenv("HTTPS_PROXY");
	for (size_t i = 0; p == NULL && i < ARRAY_SIZE(names); i++)
		p = getenv(names[i]);
	return p != NULL && *p != '\0';
}

int http_reach(struct http *h, const char *url, struct ufs_reach *out)
{
	struct head head = { .out = out };
	struct http_handle *handle;
	CURLcode code;
	int r;

	r = http_take(h, LANE_METADATA, clock_ns() + TIMEOUT_MS * NSEC_PER_MSEC,
		      NULL, &handle);
	if (r < 0)
		return r;
	out->tls = h->conf.tls;
	out->proxy = by_proxy(out->tls);
	handle->error[0] = '\0';
	r = prepare(handle->curl, url, &head);
	if (r == 0) {
		code = curl_easy_perform(handle->curl);
		note_address(handle->curl, out);
		note_steps(handle->curl, code, out);
		if (out->failed != UFS_STEP_DONE)
			snprintf(out->words, sizeof(out->words), "%s",
				 handle->error[0] != '\0'
				     ? handle->error
				     : curl_easy_strerror(code));
	}
	http_put(h, handle, LOAD_UNKNOWN, false);
	return r;
}
