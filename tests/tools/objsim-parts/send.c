/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send.c - an answer onto the wire, spoilt as the rule says
 *
 *   after_bytes, then   after so many bytes of the body: "rst", "fin",
 *                       "stall" (until the client gives up), "hold" (until
 *                       the test releases the rule)
 *   length_add          Content-Length is wrong by this
 *   two_lengths, chunked_and_length, no_length   framing that is refused
 *   chunked             proper chunked framing without Content-Length
 *   content_range       "absent", "shifted", "oversize" or literal text
 *   flip                the object's byte at this offset is wrong
 *   date_offset_s, headers, flood, interim   more headers
 *   raw                 these bytes in place of any answer
 *   lost                the work is done, the answer never comes (RST); see
 *                       also `apply` in rules.c
 */
#include "sim.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static bool send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		p += r;
		n -= (size_t)r;
	}
	return true;
}

static void reset_connection(int fd)
{
	struct linger l = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 206:
		return "Partial Content";
	case 304:
		return "Not Modified";
	case 404:
		return "Not Found";
	case 503:
		return "Slow Down";
	default:
		return "Answer";
	}
}

static void write_range(FILE *h, const struct answer *a, const struct fault *f)
{
	const char *how = fault_text(f, "content_range");
	uint64_t size = a->object == NULL ? 0 : a->object->size;
	uint64_t last = a->off + a->len - 1;

	if (how == NULL || a->status != 206) {
		if (a->content_range[0] != 0)
			fprintf(h, "Content-Range: %s\r\n", a->content_range);
	} else if (strcmp(how, "shifted") == 0) {
		fprintf(h, "Content-Range: bytes %ju-%ju/%ju\r\n",
			(uintmax_t)a->off + 1, (uintmax_t)last + 1,
			(uintmax_t)size + 1);
	} else if (strcmp(how, "oversize") == 0) {
		fprintf(h, "Content-Range: bytes %ju-%ju/%ju\r\n",
			(uintmax_t)a->off, (uintmax_t)last + 1,
			(uintmax_t)size + 1);
	} else if (strcmp(how, "absent") != 0) {
		fprintf(h, "Content-Range: %s\r\n", how);
	}
}

static void write_length(FILE *h, const struct answer *a, const struct fault *f)
{
	intmax_t add = fault_int(f, "length_add", 0);

	if (a->status == 304 || a->status == 204)
		return;
	if (fault_flag(f, "chunked_and_length") || fault_flag(f, "chunked"))
		fputs("Transfer-Encoding: chunked\r\n", h);
	if (fault_flag(f, "no_length") || fault_flag(f, "chunked"))
		return;
	if (a->length_text[0] != 0)
		fprintf(h, "Content-Length: %s\r\n", a->length_text);
	else
		fprintf(h, "Content-Length: %jd\r\n", (intmax_t)a->len + add);
	if (fault_flag(f, "two_lengths"))
		fprintf(h, "Content-Length: %jd\r\n", (intmax_t)(a->len / 2));
}

static char *write_head(const struct answer *a, const struct fault *f,
			bool close, size_t *n)
{
	time_t t = time(NULL) + settings.clock_offset_s +
		   fault_int(f, "date_offset_s", 0);
	int64_t flood = fault_int(f, "flood", 0);
	const char *name;
	char date[64], *text = NULL;
	struct tm tm;
	json_t *value;
	FILE *h = need(open_memstream(&text, n));

	for (int64_t i = 0; i < fault_int(f, "interim", 0); i++)
		fputs("HTTP/1.1 103 Early Hints\r\n\r\n", h);
	gmtime_r(&t, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	fprintf(h, "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: objsim\r\n",
		a->status, reason(a->status), date);
	if (a->content_type[0] != 0)
		fprintf(h, "Content-Type: %s\r\n", a->content_type);
	if (a->etag[0] != 0)
		fprintf(h, "ETag: %s\r\n", a->etag);
	write_range(h, a, f);
	write_length(h, a, f);
	fputs(a->headers, h);
	json_object_foreach(json_object_get(f->spec, "headers"), name, value)
	    fprintf(h, "%s: %s\r\n", name, json_string_value(value));
	for (int64_t i = 0; i < flood; i++)
		fprintf(h, "X-Flood-%jd: %0100d\r\n", (intmax_t)i, 0);
	if (close)
		fputs("Connection: close\r\n", h);
	fputs("\r\n", h);
	fclose(h);
	return text;
}

/* Wait until the client hangs up, for a minute at most. */
static void wait_for_hangup(int fd)
{
	struct pollfd p = { fd, POLLRDHUP, 0 };

	poll(&p, 1, 60000);
}

void send_break(int fd, bool stall)
{
	if (stall)
		wait_for_hangup(fd);
	reset_connection(fd);
}

void send_drain(int fd)
{
	struct timeval soon = { 2, 0 };
	char buf[64 << 10];

	shutdown(fd, SHUT_WR);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

/* The rule's moment has come. Returns true when the body goes on. */
static bool cut(int fd, const struct fault *f)
{
	const char *then = fault_text(f, "then");

	if (then == NULL || strcmp(then, "fin") == 0)
		return false;
	if (strcmp(then, "hold") == 0)
		return rules_wait(f->name, fd);
	if (strcmp(then, "stall") == 0)
		wait_for_hangup(fd);
	reset_connection(fd);
	return false;
}

static bool send_body(int fd, const struct answer *a, const struct fault *f,
		      uint64_t *sent)
{
	bool chunked =
	    fault_flag(f, "chunked") || fault_flag(f, "chunked_and_length");
	int64_t after = fault_int(f, "after_bytes", -1);
	int64_t flip = fault_int(f, "flip", -1);
	char buf[64 << 10], size[32];

	for (uint64_t done = 0;;) {
		size_t n = sizeof(buf);

		if (after >= 0 && done == (uint64_t)after) {
			if (!cut(fd, f))
				return false;
			after = -1;
		}
		if (n > a->len - done)
			n = a->len - done;
		if (after >= 0 && n > (uint64_t)after - done)
			n = (uint64_t)after - done;
		if (n == 0)
			break;
		if (a->object != NULL)
			object_fill(a->object, a->off + done, buf, n);
		else
			memcpy(buf, a->text + done, n);
		if (flip >= 0 && (uint64_t)flip >= a->off + done &&
		    (uint64_t)flip < a->off + done + n)
			buf[(uint64_t)flip - a->off - done] ^= 1;
		snprintf(size, sizeof(size), "%zx\r\n", n);
		if (chunked && !send_all(fd, size, strlen(size)))
			return false;
		if (!send_all(fd, buf, n))
			return false;
		if (chunked && !send_all(fd, "\r\n", 2))
			return false;
		done += n;
		*sent = done;
	}
	return !chunked || send_all(fd, "0\r\n\r\n", 5);
}

bool answer_send(struct conn *c, const struct answer *a, const struct fault *f,
		 bool close, uint64_t *sent)
{
	const char *raw = fault_text(f, "raw");
	size_t n;
	char *head;
	bool ok;

	if (fault_loses(f)) {
		reset_connection(c->fd);
		return false;
	}
	if (raw != NULL) {
		send_all(c->fd, raw, strlen(raw));
		return false;
	}
	if (fault_flag(f, "no_length") || fault_flag(f, "two_lengths") ||
	    fault_flag(f, "chunked_and_length") ||
	    fault_int(f, "length_add", 0) != 0)
		close = true;
	head = write_head(a, f, close, &n);
	ok = send_all(c->fd, head, n);
	free(head);
	if (ok && !a->head && a->status != 304 && a->status != 204 &&
	    (a->length_text[0] == 0 || a->object == NULL))
		ok = send_body(c->fd, a, f, sent);
	return ok && !close;
}
