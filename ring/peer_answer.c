/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_answer.c - what a worker's answer must be
 *
 * A head that contradicts the request or itself, and a page that is not what
 * its checksum says, are wrong: the worker has a fault that asking again will
 * not mend. A body that ends early is a failure: that is how a worker that
 * dies, or finds out too late that it cannot serve, looks. If it was fetching
 * what it sends, that is also how a worker looks whose store fails, and says
 * nothing of the worker: one that is dead has no head for the next request.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/stats.h"
#include "ring/peer_impl.h"
#include "ufs/http.h"
#include "ufs/http_head.h"
#include "ufs/ufs_impl.h"

#define AGE_MAX_S INT32_MAX

/*
 * What a body must bring a second on average, beyond its first `slow`. A page
 * each 0.9 s is within the limit for pages, but 8 MiB are two minutes then,
 * and the reader's deadline is one. At these rates they are nine seconds of a
 * worker that has them, 21 of one that is filling, so that a reader who meets
 * two such in a row is served by the third source in time. A worker that
 * sends to a hundred at a time over 1 Gbit/s still gives each more than the
 * first; the second is half of that, since the store is as slow for the next
 * worker too, and has to send again what the first had not sent on.
 */
#define RATE MIB(1)
#define RATE_FILL KIB(512)

/* The first of these counts. */
static void PRINTF_LIKE(3, 4)
    peer_end(struct peer_slot *s, enum peer_end end, const char *fmt, ...)
{
	struct peer_call *c = s->call;
	va_list ap;

	if (c->end != PEER_UNDERWAY)
		return;
	c->end = end;
	s->session->moved = true;
	va_start(ap, fmt);
	vsnprintf(c->words, sizeof(c->words), fmt, ap);
	va_end(ap);
}

/* What a body that does not come to its end says of the worker. */
static enum peer_end no_end(const struct peer_call *c)
{
	return c->filling ? PEER_STARVED : PEER_FAILED;
}

/* The first header of this (lower case) name, or NULL. */
static const char *header(const struct peer_slot *s, const char *name)
{
	const struct http_answer a = { .headers = s->headers.p,
				       .headers_n = s->headers.n };

	return http_header(&a, name);
}

/* Is there one value only? An unlike second one is how bytes are shifted. */
static bool is_single(const struct peer_slot *s, const char *name)
{
	const char *p = s->headers.p, *first = NULL;
	const char *end = p != NULL ? p + s->headers.n : NULL;

	while (p < end) {
		const char *value = p + strlen(p) + 1;

		if (strcmp(p, name) == 0) {
			if (first != NULL && strcmp(first, value) != 0)
				return false;
			first = value;
		}
		p = value + strlen(value) + 1;
	}
	return true;
}

static bool length_of(const struct peer_slot *s, uint64_t *out)
{
	const char *v = header(s, "content-length");

	return v != NULL && http_head_number(&v, out) && *v == '\0';
}

/* What the answer says of the object; its size is set. */
static void object_of(const struct peer_slot *s, struct ufs_stat *st)
{
	s3_object(
	    &(struct s3_object_headers){
		.etag = header(s, "etag"),
		.modified = header(s, "last-modified"),
		.storage_class = header(s, "x-amz-storage-class"),
	    },
	    st);
}

/* How many bytes of the object come, and in what form? */
static bool body_right(struct peer_slot *s, uint64_t n, bool framed)
{
	struct peer_call *c = s->call;
	const char *words = header(s, WIRE_H_PAGES);
	uint64_t pages = (n + WIRE_PAGE - 1) / WIRE_PAGE, length;

	if (!length_of(s, &length) ||
	    length != (framed ? n + pages * WIRE_WORD : n)) {
		peer_end(s, PEER_WRONG, "a body of another length");
		return false;
	}
	if (!framed && n > 0 &&
	    (words == NULL || wire_pages_read(words, &s->pages) < 0 ||
	     s->pages.n < pages)) {
		peer_end(s, PEER_WRONG, "pages without checksums");
		return false;
	}
	if (s->page == NULL)
		s->page = malloc(WIRE_PAGE);
	if (s->page == NULL) {
		c->err = -ENOMEM;
		peer_end(s, PEER_STOPPED, "out of memory");
		return false;
	}
	wire_body_begin(&s->body, framed ? NULL : &s->pages, c->off, n,
			s->page);
	return true;
}

/* Is it the range that was asked for, of the right object? */
static bool get_right(struct peer_slot *s)
{
	struct peer_call *c = s->call;
	const char *framed = header(s, WIRE_H_FRAMED);
	const char *range = header(s, "content-range");
	uint64_t first = 0, last = 0, total, n;

	c->filling = framed != NULL && strcmp(framed, "1") == 0;
	if (c->status == 206) {
		if (range == NULL ||
		    !http_head_range(range, &first, &last, &total) ||
		    first != c->off ||
		    last != MIN(c->off + c->len, total) - 1) {
			peer_end(s, PEER_WRONG, "another range");
			return false;
		}
		n = last - first + 1;
	} else if (c->off == 0 && !c->filling && length_of(s, &total) &&
		   total <= c->len) {
		n = total; /* all of it, though a range was asked for */
	} else {
		peer_end(s, PEER_WRONG, "no range");
		return false;
	}
	memset(&c->st, 0, sizeof(c->st));
	c->st.size = total;
	object_of(s, &c->st);
	if (strcmp(c->st.version, c->want) != 0) {
		peer_end(s, PEER_WRONG, "another version");
		return false;
	}
	if (c->size != UINT64_MAX && c->size != total) {
		peer_end(s, PEER_WRONG, "another size");
		return false;
	}
	/* A page that is cut in its middle has no checksum. */
	if (c->off + n < total && n % WIRE_PAGE != 0) {
		peer_end(s, PEER_REFUSED, "not a range of pages");
		return false;
	}
	return body_right(s, n, c->filling);
}

static bool head_right(struct peer_slot *s)
{
	struct peer_call *c = s->call;

	memset(&c->st, 0, sizeof(c->st));
	if (!length_of(s, &c->st.size)) {
		peer_end(s, PEER_WRONG, "an object without a size");
		return false;
	}
	object_of(s, &c->st);
	/* What only the store can say, it is asked for. */
	if ((c->st.flags & (UFS_WEAK | UFS_ARCHIVED)) != 0) {
		peer_end(s, PEER_REFUSED, "no strong version");
		return false;
	}
	return true;
}

/*
 * The status says that there is nothing here for us. What would be believed
 * of a worker is no word of one without its protocol: of the server that has
 * the address of a worker which is gone, say.
 */
static void note_status(struct peer_slot *s)
{
	struct peer_call *c = s->call;
	enum peer_end end = PEER_REFUSED;

	switch (c->status) {
	case 404:
	case 410:
	case 412:
	case 416:
		end = header(s, WIRE_H_PROTOCOL) != NULL ? PEER_ABSENT
							 : PEER_FOREIGN;
		break;
	/* It is too busy or ill. If its store is, it says 502. */
	case 401:
	case 429:
	case 500:
	case 503:
		end = PEER_FAILED;
		break;
	default:
		break;
	}
	if (end == PEER_FOREIGN)
		peer_end(s, end, "it answered %d, as no worker does",
			 c->status);
	else
		peer_end(s, end, "it answered %d", c->status);
}

/* The head of the answer is complete. False: end the transfer. */
static bool head_complete(struct peer_slot *s)
{
	struct peer_call *c = s->call;
	const char *protocol = header(s, WIRE_H_PROTOCOL), *v;
	uint64_t age;
	int64_t seconds;
	long status = 0;
	int r;

	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200) {
		text_clear(&s->headers);
		return true;
	}
	s->complete = s->session->moved = true;
	c->status = (int)status;
	c->headed = s->since = clock_ns();
	if (s->headers.failed) {
		c->err = -ENOMEM;
		peer_end(s, PEER_STOPPED, "out of memory");
		return false;
	}
	v = header(s, "date");
	if (v != NULL && http_date(v, &seconds) && seconds >= 0 &&
	    seconds <= UFS_MTIME_MAX_S) {
		c->has_date = true;
		c->date = seconds * NSEC_PER_SEC - clock_wall_ns();
	}
	v = header(s, "age");
	c->age = v != NULL && http_head_number(&v, &age)
		     ? (int64_t)MIN(age, AGE_MAX_S) * NSEC_PER_SEC
		     : 0;
	s->success = status == 200 || (status == 206 && c->kind == PEER_GET);
	if ((s->success || protocol != NULL) &&
	    (protocol == NULL || strcmp(protocol, WIRE_PROTOCOL) != 0)) {
		peer_end(s, PEER_FOREIGN, "it speaks protocol %.16s",
			 protocol != NULL ? protocol : "none");
		return false;
	}
	if (!s->success)
		return true; /* its body is read: the connection lives on */
	if (!is_single(s, "content-length") || !is_single(s, "etag") ||
	    (header(s, "content-length") != NULL &&
	     header(s, "transfer-encoding") != NULL)) {
		peer_end(s, PEER_WRONG, "contradicting headers");
		return false;
	}
	v = header(s, WIRE_H_SPREAD);
	if (v != NULL && *v >= '1' && *v <= '9')
		c->spread = (unsigned)MIN(strtoul(v, NULL, 10), 1024);
	if (c->kind == PEER_HEAD)
		return head_right(s);
	if (c->kind == PEER_LIST) {
		r = s3_list_new(&s->parser);
		if (r < 0) {
			c->err = r;
			peer_end(s, PEER_STOPPED, "out of memory");
		}
		return r == 0;
	}
	if (!get_right(s))
		return false;
	r = c->head(c->arg, c);
	if (r == -EBADMSG) {
		peer_end(s, PEER_WRONG, "not the object that is known");
	} else if (r > 0) {
		peer_end(s, PEER_BEATEN, "another answered first");
	} else if (r < 0) {
		c->err = r;
		peer_end(s, PEER_STOPPED, "the receiver does not want it");
	}
	return r == 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct peer_slot *s = arg;
	const char *value;
	size_t len = n;

	(void)size;
	s->head_bytes += n;
	if (s->head_bytes > PEER_HEADERS_MAX ||
	    ++s->lines > PEER_HEADER_LINES_MAX) {
		peer_end(s, PEER_WRONG, "headers without end");
		return 0;
	}
	if (s->complete)
		return n; /* a trailer */
	while (len > 0 && (p[len - 1] == '\n' || p[len - 1] == '\r'))
		len--;
	if (len == 0)
		return head_complete(s) ? n : 0;
	if (len >= 5 && strncasecmp(p, "HTTP/", 5) == 0)
		text_clear(&s->headers);
	else
		(void)http_head_add(&s->headers, p, len, &value);
	return n;
}

static int give_page(void *arg, const void *page, size_t n)
{
	struct peer_slot *s = arg;
	struct peer_call *c = s->call;
	int64_t begun = clock_ns();

	stat_add(STAT_peer_bytes_in, (int64_t)n);
	c->got += n;
	c->err = c->give(c->arg, page, n);
	s->received += clock_ns() - begun;
	return c->err;
}

static bool take_pages(struct peer_slot *s, const char *p, size_t n)
{
	struct peer_call *c = s->call;
	int r = wire_body_add(&s->body, p, n, give_page, s);

	if (c->err < 0)
		peer_end(s, PEER_STOPPED, "the receiver refused it");
	else if (r < 0)
		peer_end(s, PEER_WRONG, "at byte %ju %s",
			 (uintmax_t)(c->off + c->got),
			 r == -EBADMSG ? "a page is not what its checksum says"
				       : "more came than was said");
	return r == 0;
}

static bool take_listing(struct peer_slot *s, const char *p, size_t n)
{
	int r = s3_list_feed(s->parser, p, n);

	if (r == -ENOMEM) {
		s->call->err = r;
		peer_end(s, PEER_STOPPED, "out of memory");
	} else if (r < 0) {
		peer_end(s, PEER_WRONG, "no listing");
	}
	return r == 0;
}

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
	struct peer_slot *s = arg;
	bool ok;

	(void)size;
	s->bytes += n;
	if (!s->success) {
		s->error_bytes += n;
		return s->error_bytes <= PEER_ERROR_BODY_MAX ? n : 0;
	}
	if (s->call->kind == PEER_LIST)
		ok = take_listing(s, p, n);
	else
		ok = take_pages(s, p, n);
	return ok ? n : 0;
}

/* Closed on exec; and that we have no descriptor is not the worker's fault. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose,
			       struct curl_sockaddr *a)
{
	struct peer_slot *s = arg;
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);

	(void)purpose;
	s->out_of_files = fd < 0 && (errno == EMFILE || errno == ENFILE);
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

bool peer_listen(struct peer_slot *s)
{
	CURL *c = s->curl;

	return curl_easy_setopt(c, CURLOPT_PRIVATE, s) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_ERRORBUFFER, s->error) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header) ==
		   CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_HEADERDATA, s) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data) ==
		   CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_WRITEDATA, s) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket) ==
		   CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, s) == CURLE_OK;
}

void peer_judge(struct peer_slot *s, CURLcode code)
{
	struct peer_call *c = s->call;
	int r;

	/* A refusal is known however its body ended. */
	if (s->complete && !s->success)
		note_status(s);
	if (code == CURLE_OUT_OF_MEMORY && c->end == PEER_UNDERWAY)
		c->err = -ENOMEM;
	if (code == CURLE_OUT_OF_MEMORY) {
		peer_end(s, PEER_STOPPED, "out of memory");
	} else if (s->out_of_files && !s->complete) {
		peer_end(s, PEER_REFUSED, "no descriptor is free");
	} else if (code == CURLE_UNSUPPORTED_PROTOCOL ||
		   code == CURLE_WEIRD_SERVER_REPLY ||
		   code == CURLE_BAD_CONTENT_ENCODING) {
		peer_end(s, PEER_WRONG, "it does not speak HTTP");
	} else if (code != CURLE_OK || !s->complete) {
		peer_end(s, no_end(c), "%s",
			 s->error[0] != '\0' ? s->error
					     : curl_easy_strerror(code));
	}
	if (c->end != PEER_UNDERWAY)
		return;
	if (c->kind == PEER_GET && !wire_body_complete(&s->body)) {
		peer_end(s, no_end(c), "the body is short");
	} else if (c->kind == PEER_LIST) {
		r = s3_list_end(s->parser, &c->page);
		if (r == -ENOMEM) {
			c->err = r;
			peer_end(s, PEER_STOPPED, "out of memory");
		} else if (r < 0) {
			peer_end(s, PEER_WRONG, "no listing");
		}
	}
	peer_end(s, PEER_GOOD, "it is right");
}

/* Less than it must have brought by now, were it all the worker's time? */
static bool behind(const struct peer_slot *s, int64_t slow, int64_t now)
{
	const struct peer_call *c = s->call;
	uint64_t rate = c->filling ? RATE_FILL : RATE;

	return now - c->headed - s->received >
	       slow + (int64_t)(s->bytes * NSEC_PER_SEC / rate);
}

void peer_tick(struct peer_slot *s, int64_t now)
{
	struct peer_call *c = s->call;
	const struct peer_times *t = &s->session->peers->conf.times;
	int64_t slow = c->filling ? t->slow_fill : t->slow;

	if (!s->complete) {
		c->silent = now - c->begun >= t->silent;
		if (c->silent)
			peer_end(s, PEER_FAILED, "it says nothing");
		return;
	}
	if (s->bytes - s->since_got >= WIRE_PAGE) {
		s->since = now;
		s->since_got = s->bytes;
	}
	if (now - s->since >= slow || behind(s, slow, now))
		peer_end(s, no_end(c), "it sends too slowly");
}
