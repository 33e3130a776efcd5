/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_pool.c - handles, each with its own connection, and the rate limit
 *
 * Sharing connections between threads is not safe in libcurl, so a handle and
 * its connection stay together. The one used last is handed out first: its
 * connection is warm, and those not needed go cold and are closed by age.
 */
#include <errno.h>

#include "base/clock.h"
#include "ufs/http_impl.h"

#define COLD_NS (60 * NSEC_PER_SEC)
#define BURST_NS (100 * NSEC_PER_MSEC)
#define BUFFER_MAX KIB(512)
#define BUFFER_MIN KIB(16)

int http_new(const struct http_conf *conf, struct http **out)
{
	struct http *h;
	int r = http_global_init();

	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	lock_init(&h->lock, RANK_STORE);
	h->conf = *conf;
	h->conf.max_connections = MAX(conf->max_connections, 1);
	limit_init(&h->limit, h->conf.max_connections);
	addr_init(&h->addresses);
	h->down.rate = conf->bandwidth;
	h->up.rate = conf->bandwidth_up;
	h->buffer = BUFFER_MAX;
	/* An eighth of the memory, if all connections are in use. */
	if (conf->memory > 0) {
		size_t share = conf->memory / 8 / h->conf.max_connections;

		h->buffer = (long)MIN(MAX(share, BUFFER_MIN), BUFFER_MAX);
	}
	if (conf->ca_bundle != NULL) {
		h->ca_bundle = strdup(conf->ca_bundle);
		if (h->ca_bundle == NULL) {
			http_free(h);
			return -ENOMEM;
		}
	}
	*out = h;
	return 0;
}

static void handle_free(struct http_handle *handle)
{
	if (handle->curl != NULL)
		curl_easy_cleanup(handle->curl);
	if (handle->multi != NULL)
		curl_multi_cleanup(handle->multi);
	text_fini(&handle->headers);
	text_fini(&handle->body);
	free(handle);
}

void http_free(struct http *h)
{
	struct http_handle *handle;

	if (h == NULL)
		return;
	while ((handle = h->free) != NULL) {
		h->free = handle->next;
		handle_free(handle);
	}
	addr_fini(&h->addresses);
	limit_fini(&h->limit);
	lock_fini(&h->lock);
	free(h->ca_bundle);
	free(h);
}

#define SET(option, value)                                                     \
	do {                                                                   \
		if (curl_easy_setopt(handle->curl, option, value) != CURLE_OK) \
			return -ENOMEM;                                        \
	} while (0)

/* What is the same for all requests. */
static int configure(const struct http *h, struct http_handle *handle)
{
	if (!http_curl_policy(handle->curl, h->conf.tls))
		return -ENOMEM;
	SET(CURLOPT_ERRORBUFFER, handle->error);
	SET(CURLOPT_BUFFERSIZE, h->buffer);
	/* Only while a body is sent, when little comes back. */
	SET(CURLOPT_UPLOAD_BUFFERSIZE, MAX(h->buffer / 2, (long)BUFFER_MIN));
	if (h->ca_bundle != NULL)
		SET(CURLOPT_CAINFO, h->ca_bundle);
	SET(CURLOPT_PATH_AS_IS, 1L); /* "a/../b" is a key like any other */
	SET(CURLOPT_HTTP_CONTENT_DECODING, 0L); /* gzip as it is stored */
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	return 0;
}

static int handle_new(const struct http *h, struct http_handle **out)
{
	struct http_handle *handle = calloc(1, sizeof(*handle));
	int r = -ENOMEM;

	if (handle == NULL)
		return -ENOMEM;
	handle->curl = curl_easy_init();
	handle->multi = curl_multi_init();
	/* The handle's own, and that of a hedge that won. */
	if (handle->curl != NULL && handle->multi != NULL &&
	    curl_multi_setopt(handle->multi, CURLMOPT_MAXCONNECTS, 2L) ==
		CURLM_OK)
		r = configure(h, handle);
	if (r < 0)
		handle_free(handle);
	else
		*out = handle;
	return r;
}

int http_take(struct http *h, enum limit_lane lane, int64_t deadline,
	      struct cancel *cancel, struct http_handle **out)
{
	struct http_handle *handle;
	int64_t entered = 0;
	int r = limit_enter(&h->limit, lane, deadline, cancel, &entered);

	if (r < 0)
		return r;
	lock_take(&h->lock);
	handle = h->free;
	if (handle != NULL)
		h->free = handle->next;
	lock_drop(&h->lock);
	if (handle == NULL)
		r = handle_new(h, &handle);
	if (r < 0) {
		limit_leave(&h->limit, LOAD_UNKNOWN, entered, false);
		return r;
	}
	handle->entered = entered;
	*out = handle;
	return 0;
}

/*
 * The handles that no one needed for a while stand at the stack's bottom:
 * cut them off, at most every few seconds.
 */
static struct http_handle *take_cold_locked(struct http *h, int64_t now)
    TSA(requires_capability(h->lock))
{
	struct http_handle **p = &h->free, *cold;

	if (now - h->trimmed_at < COLD_NS / 4)
		return NULL;
	h->trimmed_at = now;
	while (*p != NULL && now - (*p)->used_at < COLD_NS)
		p = &(*p)->next;
	cold = *p;
	*p = NULL;
	return cold;
}

void http_put(struct http *h, struct http_handle *handle, enum limit_load load,
	      bool again)
{
	struct http_handle *cold, *next;
	int64_t entered = handle->entered;

	if (handle->headers.room > KIB(16))
		text_fini(&handle->headers);
	if (handle->body.room > KIB(16))
		text_fini(&handle->body);
	handle->used_at = clock_ns();
	lock_take(&h->lock);
	if (!handle->spent) {
		handle->next = h->free;
		h->free = handle;
	}
	cold = take_cold_locked(h, handle->used_at);
	lock_drop(&h->lock);
	if (handle->spent)
		handle_free(handle);
	limit_leave(&h->limit, load, entered, again);
	for (; cold != NULL; cold = next) {
		next = cold->next;
		handle_free(cold);
	}
}

/*
 * The line is a clock that each piece moves on by its own duration. It may
 * be behind by a burst, never more, and who finds it ahead waits.
 */
int64_t http_throttle(struct http_line *line, size_t n, struct cancel *cancel)
{
	int64_t now, next, begin;
	int r;

	if (line->rate == 0)
		return 0;
	now = clock_ns();
	next = atomic_load(&line->next);
	do
		begin = MAX(next, now - BURST_NS);
	while (!atomic_compare_exchange_weak(
	    &line->next, &next,
	    begin + (int64_t)((double)n * 1e9 / (double)line->rate)));
	if (begin <= now)
		return 0;
	r = ufs_sleep_until(begin, cancel);
	return r < 0 ? r : clock_ns() - now;
}
