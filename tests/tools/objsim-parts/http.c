/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.c - requests off a socket
 *
 * As strict as a real store where it matters to a client: one request at a
 * time, Content-Length or chunked bodies (aws-chunked is unwrapped), and
 * 100-continue is answered. A body is received where it stays: it may be as
 * large as half of the memory.
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 1 << 20 };
static const size_t BODY_MAX = (size_t)6 << 30;

static bool receive_more(struct conn *c)
{
	ssize_t n;

	if (c->cap - c->len < 65536) {
		c->cap = c->cap * 2 + 65536;
		c->buf = need(realloc(c->buf, c->cap + 1));
	}
	do {
		n = recv(c->fd, c->buf + c->len, c->cap - c->len, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	c->len += (size_t)n;
	c->buf[c->len] = 0;
	return true;
}

static void consume(struct conn *c, size_t n)
{
	memmove(c->buf, c->buf + n, c->len - n);
	c->len -= n;
	c->buf[c->len] = 0;
}

const char *request_header(const struct request *r, const char *name)
{
	for (size_t i = 0; i < r->nheaders; i++)
		if (strcasecmp(r->headers[i].name, name) == 0)
			return r->headers[i].value;
	return NULL;
}

const struct bytes *request_param(const struct request *r, const char *name)
{
	for (size_t i = 0; i < r->nparams; i++)
		if (strcmp(r->params[i].name, name) == 0)
			return &r->params[i].value;
	return NULL;
}

void request_free(struct request *r)
{
	for (size_t i = 0; i < r->nparams; i++) {
		free(r->params[i].name);
		free(r->params[i].value.p);
	}
	free(r->head);
	free(r->trailer);
	free(r->body);
	memset(r, 0, sizeof(*r));
}

static void parse_query(struct request *r)
{
	const char *p = r->query;

	while (*p != 0 && r->nparams < MAX_PARAMS) {
		size_t n = strcspn(p, "&");
		const char *eq = memchr(p, '=', n);
		size_t name_n = eq == NULL ? n : (size_t)(eq - p);
		size_t i = r->nparams;

		if (n > 0) {
			r->params[i].name = pct_decode(p, name_n, true).p;
			r->params[i].bare = eq == NULL;
			r->params[i].value =
			    eq == NULL
				? bytes_copy("", 0)
				: pct_decode(eq + 1, n - name_n - 1, true);
			r->nparams++;
		}
		p += n;
		if (*p == '&')
			p++;
	}
}

static bool parse_head(struct request *r)
{
	char *line = r->head, *end, *space;

	end = strstr(line, "\r\n");
	if (end == NULL)
		return false;
	*end = 0;
	r->method = line;
	space = strchr(line, ' ');
	if (space == NULL)
		return false;
	*space = 0;
	r->path = space + 1;
	space = strchr(r->path, ' ');
	if (space == NULL || r->path[0] != '/')
		return false;
	*space = 0;
	r->close = strcmp(space + 1, "HTTP/1.1") != 0;
	r->query = strchr(r->path, '?');
	if (r->query != NULL)
		*r->query++ = 0;
	else
		r->query = space;
	for (line = end + 2; *line != 0; line = end + 2) {
		char *colon;

		end = strstr(line, "\r\n");
		if (end == NULL || end == line)
			break;
		*end = 0;
		colon = strchr(line, ':');
		if (colon == NULL || r->nheaders == MAX_HEADERS)
			return false;
		*colon++ = 0;
		colon += strspn(colon, " \t");
		r->headers[r->nheaders].name = line;
		r->headers[r->nheaders++].value = colon;
	}
	return true;
}

/* One chunk after the other into r->body; the trailer is skipped. */
static bool read_chunked(struct conn *c, struct request *r)
{
	for (;;) {
		char *end;
		size_t n, skip;

		while ((end = strstr(c->buf, "\r\n")) == NULL)
			if (!receive_more(c))
				return false;
		n = strtoull(c->buf, NULL, 16);
		skip = (size_t)(end - c->buf) + 2;
		if (n > BODY_MAX || r->body_len + n > BODY_MAX)
			return false;
		if (n == 0)
			break;
		while (c->len < skip + n + 2)
			if (!receive_more(c))
				return false;
		r->body = need(realloc(r->body, r->body_len + n + 1));
		memcpy(r->body + r->body_len, c->buf + skip, n);
		r->body_len += n;
		consume(c, skip + n + 2);
	}
	for (;;) {
		char *end;
		bool last;

		while ((end = strstr(c->buf, "\r\n")) == NULL)
			if (!receive_more(c))
				return false;
		last = end == c->buf;
		consume(c, (size_t)(end - c->buf) + 2);
		if (last)
			return true;
	}
}

/* Into where it stays, beginning with what came along with the head. */
static bool read_plain(struct conn *c, struct request *r, size_t n)
{
	size_t have = c->len < n ? c->len : n;

	if (n > BODY_MAX)
		return false;
	r->body = need(malloc(n + 1));
	memcpy(r->body, c->buf, have);
	consume(c, have);
	while (have < n) {
		ssize_t k = recv(c->fd, r->body + have, n - have, 0);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		have += (size_t)k;
	}
	r->body[n] = 0;
	r->body_len = n;
	return true;
}

/* The trailer's lines, from NAME:VALUE CRLF on, become headers. */
static void take_trailer(struct request *r, const char *p, size_t n)
{
	char *line = r->trailer = bytes_copy(p, n).p, *end;

	for (; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
		char *colon = strchr(line, ':');

		*end = 0;
		if (colon == NULL || r->nheaders == MAX_HEADERS)
			return;
		*colon++ = 0;
		r->headers[r->nheaders].name = line;
		r->headers[r->nheaders++].value = colon + strspn(colon, " \t");
	}
}

/* The SDKs send PUT bodies as aws-chunked: SIZE;signature CRLF data CRLF. */
static void unwrap_aws_chunked(struct request *r)
{
	const char *sha = request_header(r, "x-amz-content-sha256");
	size_t from = 0, to = 0;

	if (sha == NULL || strncmp(sha, "STREAMING-", 10) != 0)
		return;
	while (from < r->body_len) {
		size_t n = strtoull(r->body + from, NULL, 16);
		char *end =
		    memmem(r->body + from, r->body_len - from, "\r\n", 2);

		if (end == NULL)
			break;
		from = (size_t)(end - r->body) + 2;
		if (n == 0) {
			take_trailer(r, r->body + from, r->body_len - from);
			break;
		}
		if (n > r->body_len - from)
			break;
		memmove(r->body + to, r->body + from, n);
		to += n;
		from += n + 2;
	}
	r->body_len = to;
}

bool request_body(struct conn *c, struct request *r, uint64_t most)
{
	const char *expect = request_header(r, "expect");
	const char *length = request_header(r, "content-length");
	const char *te = request_header(r, "transfer-encoding");
	size_t n = length == NULL ? 0 : strtoull(length, NULL, 10);

	if (expect != NULL && strcasecmp(expect, "100-continue") == 0 &&
	    send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) < 0)
		return false;
	if (most < n)
		return read_plain(c, r, (size_t)most);
	if (te != NULL && strcasecmp(te, "chunked") == 0) {
		if (!read_chunked(c, r))
			return false;
	} else if (!read_plain(c, r, n)) {
		return false;
	}
	unwrap_aws_chunked(r);
	return true;
}

int request_read(struct conn *c, struct request *r)
{
	const char *connection;
	char *end;
	size_t n;

	memset(r, 0, sizeof(*r));
	while (c->len == 0)
		if (!receive_more(c))
			return 0;
	while ((end = memmem(c->buf, c->len, "\r\n\r\n", 4)) == NULL)
		if (c->len > HEAD_MAX || !receive_more(c))
			return -1;
	n = (size_t)(end - c->buf) + 4;
	r->head = bytes_copy(c->buf, n).p;
	consume(c, n);
	if (!parse_head(r))
		return -1;
	parse_query(r);
	connection = request_header(r, "connection");
	if (connection != NULL && strcasecmp(connection, "close") == 0)
		r->close = true;
	return 1;
}
