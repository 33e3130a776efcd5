/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_body.c - what a request sends behind its head
 *
 * The body is read as libcurl has room for it, on the thread that runs the
 * operation, and from its start for each try. Its length goes ahead of it, as
 * stores do not take chunks.
 *
 * A small body goes with the head, in one piece: the store's thread wakes once
 * for the two (libcurl does so for what it takes for a form).
 *
 * A byte counts as sent when the kernel took it: what is still on its way
 * when the last one did is watched like an answer that is waited for.
 *
 * A request that dies without an answer on a connection that was used before
 * libcurl sends again, on a new one, and does not tell. That the other end had
 * closed it long ago is only the usual reason: it may as well have carried the
 * request out, so this counts as an answer that was lost.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/stats.h"
#include "ufs/http_attempt.h"
#include "ufs/write.h"

/* With a limit on the rate: pieces of an eighth of a second. */
#define PIECES_PER_SEC 8
#define PIECE_LEAST KIB(1)

#define WITH_HEAD_MOST (KIB(64) - 1) /* libcurl's MAX_INITIAL_POST_SIZE */

static uint64_t size_of(const struct http_op *op)
{
	return op->body != NULL ? op->body->size : 0;
}

bool attempt_sent_all(const struct attempt *t)
{
	return t->read_at == size_of(t->op);
}

void attempt_sent(struct attempt *t, uint64_t n)
{
	if (n > t->bytes_out) {
		stat_add(STAT_store_bytes_out, (int64_t)(n - t->bytes_out));
		t->last_byte = clock_ns();
	}
	/* Fewer: libcurl began anew, the connection was a dead one. */
	t->bytes_out = n;
}

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
	struct attempt *t = arg;
	const struct ufs_body *body = t->op->body;
	uint64_t rate = t->h->up.rate;
	int64_t begin = clock_ns(), waited;
	int r;

	n *= size;
	if (cancelled(t->op->cancel)) {
		attempt_go_on(t, -ECANCELED, "cancelled");
		return CURL_READFUNC_ABORT;
	}
	if (rate > 0)
		n = MIN(n, MAX(rate / PIECES_PER_SEC, PIECE_LEAST));
	n = MIN(n, size_of(t->op) - t->read_at);
	if (n == 0)
		return 0;
	r = body->read(body->arg, t->read_at, p, n);
	if (!attempt_go_on(t, r, "what is to be sent cannot be read"))
		return CURL_READFUNC_ABORT;
	waited = http_throttle(&t->h->up, n, t->op->cancel);
	if (waited < 0) {
		attempt_go_on(t, (int)waited, "cancelled");
		return CURL_READFUNC_ABORT;
	}
	t->read_at += n;
	t->last_byte = clock_ns();
	t->since += t->last_byte - begin;
	return n;
}

static int on_seek(void *arg, curl_off_t off, int origin)
{
	struct attempt *t = arg;

	if (origin != SEEK_SET || off < 0 || (uint64_t)off > size_of(t->op))
		return CURL_SEEKFUNC_FAIL;
	if (t->connected && attempt_sent_all(t))
		t->result.resent = true;
	t->read_at = (uint64_t)off;
	return CURL_SEEKFUNC_OK;
}

static bool send_body(struct attempt *t)
{
	CURL *c = t->handle->curl;

	return curl_easy_setopt(c, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE,
				(curl_off_t)size_of(t->op)) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_READDATA, t) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_SEEKDATA, t) == CURLE_OK;
}

/* False: out of memory, or on_read() is to say why it cannot be read. */
static bool with_head(struct attempt *t)
{
	const struct ufs_body *body = t->op->body;
	size_t n = (size_t)size_of(t->op);

	if (n == 0 || n > WITH_HEAD_MOST || t->h->up.rate > 0)
		return false;
	t->whole = malloc(n);
	if (t->whole != NULL && body->read(body->arg, 0, t->whole, n) != 0)
		free(take_ptr(t->whole));
	return t->whole != NULL;
}

static bool send_with_head(struct attempt *t, const char *name)
{
	CURL *c = t->handle->curl;

	return http_curl_line(&t->list, "Content-Type:") && /* of a form */
	       curl_easy_setopt(c, CURLOPT_POSTFIELDS, t->whole) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
				(curl_off_t)size_of(t->op)) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, name) == CURLE_OK;
}

bool attempt_send(struct attempt *t)
{
	CURL *c = t->handle->curl;
	enum http_method m = t->op->method;
	/* NULL: the name that the other options give it. */
	const char *name =
	    m == HTTP_POST || m == HTTP_DELETE ? http_method_name(m) : NULL;

	/* Whatever the handle's last request was, HTTPGET puts GET back. */
	if (curl_easy_setopt(c, CURLOPT_HTTPGET, 1L) != CURLE_OK ||
	    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, name) != CURLE_OK)
		return false;
	if (m == HTTP_HEAD)
		return curl_easy_setopt(c, CURLOPT_NOBODY, 1L) == CURLE_OK;
	if (m == HTTP_GET || m == HTTP_DELETE)
		return true;
	return with_head(t) ? send_with_head(t, http_method_name(m))
			    : send_body(t);
}
