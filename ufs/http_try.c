/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_try.c - one request, and a hard look at its answer
 *
 * Nothing of a body is handed on before its head was found right: a status
 * that was asked for, one length, the range that was asked for and (by the
 * driver) the version. libcurl checks the framing; what it lets pass and
 * could shift bytes (two lengths, a length beside chunks, an end by closing)
 * is refused here.
 *
 * A connection is cut when it moves less than 1 KB/s for the stall time, and
 * at the operation's deadline. Time spent in the sink, or where a body to be
 * sent comes from, does not count.
 *
 * Sending is http_send.c's.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ufs/http_attempt.h"
#include "ufs/http_head.h"
#include "ufs/write.h"

#define STALL_BYTES_PER_SEC 1024

static void verdict(struct attempt *t, enum try_end end, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void verdict(struct attempt *t, enum try_end end, const char *fmt, ...)
{
	va_list ap;

	if (t->verdict)
		return;
	t->verdict = true;
	t->result.end = end;
	va_start(ap, fmt);
	vsnprintf(t->result.words, sizeof(t->result.words), fmt, ap);
	va_end(ap);
}

bool attempt_go_on(struct attempt *t, int r, const char *what)
{
	if (r == 0)
		return true;
	if (r == HTTP_WRONG) {
		verdict(t, TRY_WRONG, "%s", what);
	} else {
		t->result.err = r;
		verdict(t, TRY_STOPPED, "%s", what);
	}
	return false;
}

static void content_length(struct attempt *t, const char *v)
{
	uint64_t n;

	if (!http_head_number(&v, &n) || *v != '\0') {
		t->result.answer.length_bad = true;
		return;
	}
	if (t->lengths > 0 && n != t->result.answer.length)
		t->lengths++;
	else
		t->lengths = 1;
	t->result.answer.length_known = true;
	t->result.answer.length = n;
}

static void retry_after(struct attempt *t, const char *v)
{
	const char *end = v;
	uint64_t n;
	int64_t when;

	if (http_head_number(&end, &n) && *end == '\0')
		t->result.retry_after = (int64_t)MIN(n, 3600) * NSEC_PER_SEC;
	else if (http_date(v, &when))
		t->result.retry_after =
		    MAX(0, MIN(when - clock_wall_ns() / NSEC_PER_SEC, 3600)) *
		    NSEC_PER_SEC;
}

static void note_header(struct attempt *t, const char *name, const char *v)
{
	struct http_answer *a = &t->result.answer;

	if (strcmp(name, "content-length") == 0) {
		content_length(t, v);
	} else if (strcmp(name, "content-range") == 0) {
		/* The first right one counts. */
		if (!a->range_known)
			a->range_known =
			    http_head_range(v, &a->first, &a->last, &a->total);
	} else if (strcmp(name, "transfer-encoding") == 0) {
		if (strcasecmp(v, "chunked") == 0)
			t->chunked = true;
		else
			t->other_coding = true;
	} else if (strcmp(name, "retry-after") == 0) {
		retry_after(t, v);
	}
}

static void keep_header(struct attempt *t, const char *line, size_t n)
{
	const char *value, *name;

	name = http_head_add(&t->handle->headers, line, n, &value);
	if (name != NULL)
		note_header(t, name, value);
}

/* An interim answer (1xx) says nothing of the one that follows. */
static void head_reset(struct attempt *t)
{
	struct http_answer *a = &t->result.answer;

	text_clear(&t->handle->headers);
	memset(a, 0, sizeof(*a));
	t->lengths = 0;
	t->chunked = t->other_coding = false;
	t->result.retry_after = 0;
}

/* A 206: is it the range that was asked for? */
static bool range_right(struct attempt *t)
{
	const struct http_op *op = t->op;
	const struct http_answer *a = &t->result.answer;
	uint64_t from = op->off + op->got, want = op->len - op->got;

	if (!a->range_known) {
		verdict(t, TRY_WRONG, "206 without a right Content-Range");
		return false;
	}
	if (a->first != from || a->last - a->first >= want ||
	    (a->last - a->first + 1 < want && a->last != a->total - 1)) {
		verdict(t, TRY_WRONG, "206 of another range than asked for");
		return false;
	}
	if (*t->total != UINT64_MAX && a->total != *t->total) {
		verdict(t, TRY_WRONG, "206 of an object of another size");
		return false;
	}
	if (a->length_known && a->length != a->last - a->first + 1) {
		verdict(t, TRY_WRONG,
			"Content-Length and Content-Range disagree");
		return false;
	}
	*t->total = a->total;
	t->expect = a->last - a->first + 1;
	return true;
}

/*
 * A 200 for a range: the store does not know Range. What was asked for can
 * be cut out of it if that is not too dear.
 */
static bool whole_right(struct attempt *t)
{
	struct http_op *op = t->op;
	struct http_answer *a = &t->result.answer;
	uint64_t from = op->off + op->got;

	if (!a->length_known) {
		/* The answer to a range says it, if anything does. */
		op->whole = false;
		verdict(t, TRY_WRONG, "200 without a length");
		return false;
	}
	if (*t->total != UINT64_MAX && a->length != *t->total) {
		verdict(t, TRY_WRONG, "200 of an object of another size");
		return false;
	}
	if (a->length > HTTP_WHOLE_MAX &&
	    !(from == 0 && op->len >= a->length)) {
		verdict(t, TRY_USELESS,
			"the store ignores Range, and the object is too "
			"large to be cut");
		if (!atomic_exchange(&t->h->no_range_said, true))
			log_warn("ufs: %s answers requests for a part with "
				 "the whole object: large files cannot be "
				 "read from it",
				 op->where);
		return false;
	}
	a->total = a->length;
	*t->total = a->total;
	t->skip = MIN(from, a->length);
	t->expect = MIN(a->length - t->skip, op->len - op->got);
	return true;
}

/* The head of a success is complete: is it what was asked for? */
static bool head_right(struct attempt *t)
{
	struct http_op *op = t->op;
	struct http_answer *a = &t->result.answer;

	if (a->length_bad) {
		verdict(t, TRY_USELESS, "a length that is no size");
		return false;
	}
	if (t->lengths > 1 || (t->lengths > 0 && t->chunked) ||
	    t->other_coding) {
		verdict(t, TRY_WRONG, "contradicting lengths");
		return false;
	}
	t->expect = UINT64_MAX;
	if (op->method == HTTP_HEAD)
		t->expect = 0;
	else if (op->ranged && a->status == 206 && !range_right(t))
		return false;
	else if (op->ranged && a->status == 200 && !whole_right(t))
		return false;
	return attempt_go_on(t, op->ops->head(op, a), "another version");
}

static bool is_success(const struct http_op *op, int status)
{
	if (http_changes(op))
		return status == 200 || status == 201 || status == 204;
	return status == 200 || (status == 206 && op->ranged);
}

static bool head_complete(struct attempt *t)
{
	struct http_answer *a = &t->result.answer;
	long status = 0;

	curl_easy_getinfo(t->handle->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200) {
		head_reset(t);
		return true;
	}
	t->complete = true;
	t->head_at = clock_ns();
	a->status = (int)status;
	a->headers = t->handle->headers.p;
	a->headers_n = t->handle->headers.n;
	if (t->handle->headers.failed) {
		verdict(t, TRY_MEMORY, "out of memory");
		return false;
	}
	t->success = is_success(t->op, (int)status);
	if (!t->success)
		return true;
	if (*t->winner != NULL) {
		verdict(t, TRY_BROKEN, "another request was faster");
		return false;
	}
	if (!head_right(t))
		return false;
	*t->winner = t;
	return true;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct attempt *t = arg;
	size_t len = n;

	(void)size;
	t->bytes += n;
	t->lines++;
	if (t->bytes > HTTP_HEADERS_MAX || t->lines > HTTP_HEADER_LINES_MAX) {
		verdict(t, TRY_MALFORMED, "headers without end");
		return 0;
	}
	if (t->complete)
		return n; /* a trailer */
	while (len > 0 && (p[len - 1] == '\n' || p[len - 1] == '\r'))
		len--;
	if (len == 0)
		return head_complete(t) ? n : 0;
	if (len >= 5 && strncasecmp(p, "HTTP/", 5) == 0)
		head_reset(t);
	else
		keep_header(t, p, len);
	return n;
}

/* Bytes for the driver: within what was promised, at the allowed rate. */
static bool hand_on(struct attempt *t, const char *p, size_t n)
{
	int64_t waited;
	int r;

	if (t->skip > 0) {
		size_t s = MIN(t->skip, n);

		t->skip -= s;
		p += s;
		n -= s;
	}
	if (n > t->expect - t->given) {
		if (t->result.answer.status != 200 || !t->op->ranged) {
			verdict(t, TRY_WRONG, "more bytes than announced");
			return false;
		}
		t->enough = true;
		n = t->expect - t->given;
	}
	if (n == 0)
		return !t->enough;
	waited = http_throttle(&t->h->down, n, t->op->cancel);
	if (waited < 0)
		return attempt_go_on(t, (int)waited, "cancelled");
	t->given += n;
	t->op->got += n;
	r = t->op->ops->data(t->op, p, n);
	return attempt_go_on(t, r, "the receiver refused it") && !t->enough;
}

/*
 * A change that was sent is not given up: whoever cancelled it has to know
 * whether it was made. The deadline still ends it.
 */
static bool given_up(const struct attempt *t)
{
	return cancelled(t->op->cancel) &&
	       !(http_changes(t->op) && t->connected && attempt_sent_all(t));
}

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
	struct attempt *t = arg;
	struct text *body = &t->handle->body;
	int64_t begin;
	bool ok;

	(void)size;
	t->bytes_in += n;
	stat_add(STAT_store_bytes_in, (int64_t)n);
	if (given_up(t))
		return attempt_go_on(t, -ECANCELED, "cancelled");
	if (!t->success) {
		text_add(body, p, MIN(n, HTTP_ERROR_BODY_MAX - body->n));
		/* An error that never ends is as good as one that did. */
		return body->n < HTTP_ERROR_BODY_MAX ? n : 0;
	}
	begin = clock_ns();
	ok = hand_on(t, p, n);
	t->last_byte = clock_ns();
	t->since += t->last_byte - begin;
	return ok ? n : 0;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c,
		       curl_off_t sent)
{
	struct attempt *t = arg;
	int64_t now = clock_ns(), deadline = t->limits->deadline;
	uint64_t moved;

	(void)a, (void)b, (void)c;
	attempt_sent(t, (uint64_t)sent);
	if (given_up(t))
		return !attempt_go_on(t, -ECANCELED, "cancelled");
	if (t->op->idle_timeout > 0 && t->last_byte > 0)
		deadline = t->last_byte + t->op->idle_timeout;
	if (now >= deadline) {
		verdict(t, t->connected ? TRY_BROKEN : TRY_CONNECT,
			"no answer in time");
		t->result.stalled = true;
		return 1;
	}
	/* Until it is connected, the connect timeout watches. */
	if (!t->connected || now - t->since < t->limits->stall)
		return 0;
	moved = t->bytes_in + t->bytes + t->bytes_out;
	if ((double)(moved - t->since_bytes) <
		(double)(now - t->since) / 1e9 * STALL_BYTES_PER_SEC &&
	    !(t->op->patient && attempt_sent_all(t))) {
		verdict(t, TRY_BROKEN, "the connection stalled");
		t->result.stalled = true;
		return 1;
	}
	t->since = now;
	t->since_bytes = moved;
	return 0;
}

/* The connection stands, new or used again; the request goes out now. */
static int on_connected(void *arg, char *ip, char *local, int port,
			int local_port)
{
	struct attempt *t = arg;

	(void)ip, (void)local, (void)port, (void)local_port;
	t->result.resent = t->result.resent || t->connected;
	t->connected = true;
	t->since = clock_ns();
	if (t->whole == NULL)
		return CURL_PREREQFUNC_OK;
	if (cancelled(t->op->cancel)) {
		attempt_go_on(t, -ECANCELED, "cancelled");
		return CURL_PREREQFUNC_ABORT;
	}
	t->read_at = t->op->body->size;
	return CURL_PREREQFUNC_OK;
}

/* Closed on exec, and with the errno that libcurl would not tell. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose,
			       struct curl_sockaddr *a)
{
	struct attempt *t = arg;
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);

	(void)purpose;
	t->socket_errno = fd < 0 ? errno : 0;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* How libcurl says it ended, when we did not say so ourselves. */
static enum try_end end_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return TRY_DONE;
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED:
	case CURLE_PROXY:
		return TRY_CONNECT;
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_OPERATION_TIMEDOUT:
		return TRY_BROKEN;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_USE_SSL_FAILED:
		return TRY_TLS;
	case CURLE_OUT_OF_MEMORY:
		return TRY_MEMORY;
	default:
		return TRY_MALFORMED;
	}
}

/* All of the answer came: was that all? */
static void body_complete(struct attempt *t)
{
	const struct http_op *op = t->op;
	int r = 0;

	if (!t->success && t->handle->body.failed) {
		verdict(t, TRY_MEMORY, "out of memory");
		return;
	}
	if (!t->success) {
		verdict(t, TRY_STATUS, "%d", t->result.answer.status);
		return;
	}
	if (op->method == HTTP_GET && t->expect != UINT64_MAX &&
	    t->given != t->expect) {
		verdict(t, TRY_WRONG, "the body is short");
		return;
	}
	/* It cannot have been what we meant to say. */
	if (!attempt_sent_all(t)) {
		verdict(t, TRY_WRONG, "a success before all was sent");
		return;
	}
	if (op->ops->done != NULL)
		r = op->ops->done(t->op);
	if (r == HTTP_REFUSED) {
		t->result.answer.status = op->said;
		verdict(t, TRY_STATUS, "%d", op->said);
		return;
	}
	if (r == HTTP_AFRESH) {
		t->op->got = 0;
		verdict(t, TRY_WRONG, "the bytes differ from the checksum");
	} else if (attempt_go_on(t, r,
				 "the answer is not what was asked for")) {
		verdict(t, TRY_DONE, "done");
	}
}

void attempt_judge(struct attempt *t, CURLcode code)
{
	enum try_end end = end_of(code);
	struct text *body = &t->handle->body;
	long os_error = 0;

	t->result.sent = t->connected && attempt_sent_all(t);
	t->result.answer.body = body->p != NULL ? body->p : "";
	t->result.answer.body_n = body->n;
	/* A known error is known however its body ended. */
	if (t->complete && !t->success && end != TRY_MEMORY && !t->verdict)
		end = TRY_DONE;
	if (end == TRY_DONE || t->enough) {
		if (t->complete)
			body_complete(t);
		else
			verdict(t, TRY_MALFORMED, "no HTTP answer");
		return;
	}
	curl_easy_getinfo(t->handle->curl, CURLINFO_OS_ERRNO, &os_error);
	if (code == CURLE_OPERATION_TIMEDOUT && !t->connected)
		end = TRY_CONNECT;
	if (code == CURLE_PARTIAL_FILE)
		end = TRY_WRONG;
	/* A handshake that was cut is a cut connection. */
	if (code == CURLE_SSL_CONNECT_ERROR &&
	    (os_error == ECONNRESET || os_error == EPIPE ||
	     strstr(t->handle->error, "SYSCALL") != NULL ||
	     strstr(t->handle->error, "unexpected eof") != NULL))
		end = TRY_BROKEN;
	if (t->socket_errno == EMFILE || t->socket_errno == ENFILE)
		t->result.err = -ENFILE;
	/* It says so of a header line above 100 KB, too: another try tells. */
	if (end == TRY_MEMORY && t->connected && !t->complete)
		end = TRY_WRONG;
	verdict(t, end, "%s",
		t->handle->error[0] != '\0' ? t->handle->error
					    : curl_easy_strerror(code));
}

bool attempt_listen(struct attempt *t)
{
	CURL *c = t->handle->curl;

	return curl_easy_setopt(c, CURLOPT_PRIVATE, t) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header) ==
		   CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_HEADERDATA, t) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data) ==
		   CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_WRITEDATA, t) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress) ==
		   CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_XFERINFODATA, t) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_connected) ==
		   CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_PREREQDATA, t) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket) ==
		   CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t) == CURLE_OK;
}

void attempt_reset(struct attempt *t)
{
	memset(&t->result, 0, sizeof(t->result));
	head_reset(t);
	text_clear(&t->handle->body);
	t->handle->error[0] = '\0';
}

void attempt_fail(struct attempt *t, int err, const char *why)
{
	attempt_go_on(t, err, why);
}
