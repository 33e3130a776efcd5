/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_http.c - the HTTP engine against a store that misbehaves
 *
 * The rows are those of the fault matrix (A1 to A25). Every test asserts that
 * its fault was sent, and that no byte that came through is wrong.
 */
#include "tests/unit/ufs_server.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "tests/unit/run.h"
#include "ufs/ufs.h"

#define SIZE ((size_t)300000)
#define ETAG "d41d8cd98f00b204e9800998ecf8427e"

/* What goes wrong with one answer. */
struct fault {
	int status;        /* instead of 200 or 206 */
	const char *etag;  /* another one */
	const char *extra; /* header lines more */
	long shift;        /* the range that is said begins later */
	bool shift_body;   /* and so do the bytes */
	long longer;       /* Content-Length says so much more */
	long more_body;    /* and so many bytes are sent more */
	size_t cut;        /* send so much of the body, if cuts */
	bool cuts;
	enum server_then then;
	bool no_length, no_range_line, no_etag, whole, chunked;
	size_t size; /* of the object, 0 = SIZE */
};

static void answer_object(int fd, const char *request, const struct fault *f)
{
	size_t size = f->size > 0 ? f->size : SIZE, first = 0, last = size - 1;
	bool part = server_range(request, &first, &last) && !f->whole;
	char length[64] = "", range[96] = "", etag[200] = "";
	size_t n;

	if (f->whole)
		first = 0, last = size - 1;
	if (last >= size)
		last = size - 1;
	n = last - first + 1;
	if (!f->no_length)
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
			 n + (size_t)f->longer);
	if (part && !f->no_range_line)
		snprintf(range, sizeof(range),
			 "Content-Range: bytes %zu-%zu/%zu\r\n",
			 first + (size_t)f->shift, last + (size_t)f->shift,
			 size + (size_t)f->shift);
	if (!f->no_etag)
		snprintf(etag, sizeof(etag), "ETag: \"%s\"\r\n",
			 f->etag != NULL ? f->etag : ETAG);
	server_say(fd,
		   "HTTP/1.1 %d X\r\n%s%s%s"
		   "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n%s\r\n",
		   f->status != 0 ? f->status
		   : part         ? 206
				  : 200,
		   length, range, etag, f->extra != NULL ? f->extra : "");
	if (strncmp(request, "HEAD", 4) == 0)
		return;
	if (f->chunked)
		server_say(fd, "%zx\r\n", n);
	server_send_object(fd, first + (f->shift_body ? (size_t)f->shift : 0),
			   f->cuts ? f->cut : n + (size_t)f->more_body);
	if (f->chunked)
		server_say(fd, "\r\n0\r\n\r\n");
}

/* The faults of the first requests; those after them are answered right. */
struct plan {
	struct fault fault[8];
	unsigned n;          /* how many of them there are */
	bool always;         /* the last one for ever */
	atomic_uint hit;     /* faults sent */
	char seen[16][2048]; /* the requests */
};

static enum server_then play(struct server *s, int fd, unsigned nth,
			     const char *request)
{
	static const struct fault right = { .then = SERVER_KEEP };
	struct plan *p = s->arg;
	const struct fault *f = &right;

	if (nth <= 16)
		snprintf(p->seen[nth - 1], sizeof(p->seen[0]), "%s", request);
	if (nth <= p->n)
		f = &p->fault[nth - 1];
	else if (p->always)
		f = &p->fault[p->n - 1];
	if (f != &right)
		atomic_fetch_add(&p->hit, 1);
	if (f->status >= 300)
		server_say(fd, "HTTP/1.1 %d X\r\nContent-Length: 0\r\n%s\r\n",
			   f->status, f->extra != NULL ? f->extra : "");
	else
		answer_object(fd, request, f);
	return f->then;
}

/* What came out. */
struct got {
	unsigned heads;
	size_t from, n;
	bool wrong; /* a byte was not the object's */
	struct ufs_stat st;
	size_t fail_at; /* the sink refuses there, if set */
	struct cancel *cancel_at;
};

static int sink_head(void *arg, const struct ufs_stat *st)
{
	struct got *g = arg;

	g->heads++;
	g->st = *st;
	return 0;
}

static int sink_data(void *arg, const void *bytes, size_t len)
{
	struct got *g = arg;
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		if (p[i] != object_byte(g->from + g->n + i))
			g->wrong = true;
	g->n += len;
	if (g->cancel_at != NULL)
		cancel_set(g->cancel_at);
	return g->fail_at > 0 && g->n >= g->fail_at ? -EXDEV : 0;
}

static struct ufs *open_store(const char *endpoint, int64_t timeout)
{
	struct ufs_conf conf = {
		.url = "s3://bucket",
		.endpoint = endpoint,
		.anonymous = true,
		.metadata_timeout = timeout,
		.read_timeout = timeout,
		.stall_timeout = NSEC_PER_SEC,
	};
	char why[256] = "";
	struct ufs *u = NULL;

	ck_assert_msg(ufs_open(&conf, &u, why) == 0, "%s", why);
	return u;
}

#define LONG (60 * NSEC_PER_SEC)
#define SHORT (1 * NSEC_PER_SEC)

static int get(struct ufs *u, const char *want, uint64_t off, uint64_t len,
	       struct got *g)
{
	struct ufs_sink sink = { .arg = g,
				 .head = sink_head,
				 .data = sink_data };

	g->from = off;
	return u->ops->get(u, str_of("key"), want, off, len, &sink, NULL);
}

/* Run one get against the plan; the server is gone when it returns. */
static int run(struct plan *p, int64_t timeout, const char *want, uint64_t off,
	       uint64_t len, struct got *g)
{
	struct server s;
	struct ufs *u;
	int r;

	memset(g, 0, sizeof(*g));
	server_start(&s, play, p);
	u = open_store(s.endpoint, timeout);
	r = get(u, want, off, len, g);
	ufs_close(u);
	server_stop(&s);
	ck_assert(!g->wrong);
	return r;
}

static const struct {
	uint64_t off, len, expect;
} ranges[] = {
	{ 0, SIZE, SIZE },
	{ 0, 1, 1 },
	{ SIZE - 1, 1, 1 },
	{ SIZE - 1, 100, 1 },
	{ 65535, 65538, 65538 },
	{ 65536, SIZE, SIZE - 65536 },
	{ 100, UINT64_MAX, SIZE - 100 },
};

START_TEST(A10_a_range_gives_its_bytes_and_is_short_only_at_the_end)
{
	struct plan p = { .n = 0 };
	struct got g;

	ck_assert_int_eq(
	    run(&p, LONG, ETAG, ranges[_i].off, ranges[_i].len, &g), 0);
	ck_assert_uint_eq(g.n, ranges[_i].expect);
	ck_assert_uint_eq(g.heads, 1);
	ck_assert_uint_eq(g.st.size, SIZE);
	ck_assert_str_eq(g.st.version, ETAG);
	ck_assert_int_eq(g.st.mtime, INT64_C(1445412480) * NSEC_PER_SEC);
	ck_assert_ptr_nonnull(strstr(p.seen[0], "If-Match: \"" ETAG "\"\r\n"));
	ck_assert_ptr_null(strcasestr(p.seen[0], "Accept-Encoding"));
}
END_TEST

/* Faults after which the rest is fetched and all is well. */
static const struct {
	const char *row;
	struct fault fault;
	bool resumes;
} mended[] = {
	{ .row = "A4 reset before the head",
	  .fault = { .status = 500, .then = SERVER_RESET } },
	{ .row = "A4 reset after 1 byte",
	  .fault = { .cuts = true, .cut = 1, .then = SERVER_RESET } },
	{ .row = "A4 reset after 4095",
	  .fault = { .cuts = true, .cut = 4095, .then = SERVER_RESET } },
	{ .row = "A4 reset after 200000",
	  .fault = { .cuts = true, .cut = 200000, .then = SERVER_RESET } },
	{ .row = "A5 end after 1 byte",
	  .fault = { .cuts = true, .cut = 1, .then = SERVER_CLOSE },
	  .resumes = true },
	{ .row = "A5 end after 100000",
	  .fault = { .cuts = true, .cut = 100000, .then = SERVER_CLOSE },
	  .resumes = true },
	{ .row = "A5 end before the body",
	  .fault = { .cuts = true, .cut = 0, .then = SERVER_CLOSE } },
	{ .row = "A2 stall after 100000",
	  .fault = { .cuts = true, .cut = 100000, .then = SERVER_HOLD },
	  .resumes = true },
	{ .row = "A2 stall before the body",
	  .fault = { .cuts = true, .cut = 0, .then = SERVER_HOLD } },
	{ .row = "A6 no length, cut",
	  .fault = { .no_length = true,
		     .cuts = true,
		     .cut = 1000,
		     .extra = "Connection: close\r\n",
		     .then = SERVER_CLOSE },
	  .resumes = true },
	{ .row = "A7 length too large",
	  .fault = { .longer = 10, .then = SERVER_CLOSE } },
	{ .row = "A7 two lengths",
	  .fault = { .extra = "Content-Length: 7\r\n", .then = SERVER_CLOSE } },
	{ .row = "A7 length and chunks",
	  .fault = { .extra = "Transfer-Encoding: chunked\r\n",
		     .chunked = true,
		     .then = SERVER_CLOSE } },
	{ .row = "A7 odd coding",
	  .fault = { .extra = "Transfer-Encoding: identity\r\n",
		     .then = SERVER_CLOSE } },
	{ .row = "A9 shifted range",
	  .fault = { .shift = 1, .then = SERVER_CLOSE } },
	{ .row = "A9 shifted bytes with it",
	  .fault = { .shift = 5, .shift_body = true, .then = SERVER_CLOSE } },
	{ .row = "A9 no range line",
	  .fault = { .no_range_line = true, .then = SERVER_KEEP } },
	{ .row = "A9 bad range line",
	  .fault = { .no_range_line = true,
		     .extra = "Content-Range: bytes 9-3/5\r\n",
		     .then = SERVER_KEEP } },
	{ .row = "another version",
	  .fault = { .etag = "ffff", .then = SERVER_KEEP } },
	{ .row = "A13 500", .fault = { .status = 500, .then = SERVER_KEEP } },
	{ .row = "A13 502", .fault = { .status = 502, .then = SERVER_KEEP } },
	{ .row = "A13 503", .fault = { .status = 503, .then = SERVER_KEEP } },
	{ .row = "A13 504", .fault = { .status = 504, .then = SERVER_KEEP } },
	{ .row = "408", .fault = { .status = 408, .then = SERVER_CLOSE } },
	{ .row = "409", .fault = { .status = 409, .then = SERVER_KEEP } },
	{ .row = "A13 429 with Retry-After",
	  .fault = { .status = 429, .extra = "Retry-After: 0\r\n" } },
	{ .row = "A13 503 with a date",
	  .fault = { .status = 503,
		     .extra =
			 "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n" } },
	{ .row = "A13 503 with a date of centuries ago",
	  .fault = { .status = 503,
		     .extra =
			 "Retry-After: Wed, 21 Oct 1615 07:28:00 GMT\r\n" } },
};

START_TEST(a_fault_of_one_answer_is_mended_by_the_next)
{
	struct plan p = { .fault = { mended[_i].fault }, .n = 1 };
	int64_t resumes = stat_read(STAT_store_resumes);
	struct got g;
	int r = run(&p, LONG, ETAG, 10, SIZE - 20, &g);

	ck_assert_msg(r == 0, "%s: %d %s", mended[_i].row, r, ufs_last_error());
	ck_assert_uint_eq(g.n, SIZE - 20);
	ck_assert_uint_eq(g.heads, 1);
	ck_assert_uint_eq(atomic_load(&p.hit), 1);
	if (!mended[_i].resumes)
		return;
	ck_assert_int_eq(stat_read(STAT_store_resumes), resumes + 1);
	ck_assert_ptr_nonnull(strstr(p.seen[1], "If-Match: \"" ETAG "\""));
	ck_assert_ptr_null(strstr(p.seen[1], "Range: bytes=10-"));
}
END_TEST

/* Answers that are right though they look odd: one request suffices. */
static const struct {
	const char *row;
	struct fault fault;
} accepted[] = {
	{ "A6 no length, to the end of the connection",
	  { .no_length = true,
	    .extra = "Connection: close\r\n",
	    .then = SERVER_CLOSE } },
	{ "A6 chunks",
	  { .no_length = true,
	    .extra = "Transfer-Encoding: chunked\r\n",
	    .chunked = true } },
	{ "A8 the whole object for a range", { .whole = true } },
	{ "the same length twice", { .extra = "Content-Length: 299980\r\n" } },
	{ "A7 bytes after the end", { .more_body = 7, .then = SERVER_CLOSE } },
	{ "Content-Encoding is the object's",
	  { .extra = "Content-Encoding: gzip\r\n" } },
};

START_TEST(an_answer_that_is_odd_but_right_is_taken)
{
	struct plan p = { .fault = { accepted[_i].fault }, .n = 1 };
	struct got g;
	int r = run(&p, LONG, ETAG, 10, SIZE - 20, &g);

	ck_assert_msg(r == 0, "%s: %d %s", accepted[_i].row, r,
		      ufs_last_error());
	ck_assert_uint_eq(g.n, SIZE - 20);
	ck_assert_uint_eq(atomic_load(&p.hit), 1);
}
END_TEST

/* Faults that stay, and what they are told as. */
static const struct {
	const char *row;
	struct fault fault;
	int err;
	unsigned requests; /* 0: some */
} final[] = {
	{ "A5 always short",
	  { .cuts = true, .cut = 0, .then = SERVER_CLOSE },
	  -EIO,
	  5 },
	{ "A9 always shifted", { .shift = 1, .then = SERVER_CLOSE }, -EIO, 5 },
	{ "always another version", { .etag = "ffff" }, -EIO, 5 },
	{ "A6 no length at all",
	  { .whole = true, .no_length = true, .then = SERVER_CLOSE },
	  -EIO,
	  5 },
	{ "A8 too large to be cut",
	  { .whole = true,
	    .size = 65 << 20,
	    .cuts = true,
	    .then = SERVER_CLOSE },
	  -EIO,
	  1 },
	{ "A8 the whole of another version",
	  { .whole = true, .etag = "ffff" },
	  -EIO,
	  5 },
	{ "F5 a length beyond 2^63",
	  { .no_length = true,
	    .extra = "Content-Length: 99999999999999999999\r\n",
	    .then = SERVER_CLOSE },
	  -EIO,
	  1 },
	{ "F5 a negative length",
	  { .no_length = true,
	    .extra = "Content-Length: -5\r\n",
	    .then = SERVER_CLOSE },
	  -EIO,
	  1 },
	{ "A16 403", { .status = 403 }, -EACCES, 1 },
	{ "401", { .status = 401 }, -EACCES, 1 },
	{ "A22 404 of a version", { .status = 404 }, -ESTALE, 1 },
	{ "A21 412", { .status = 412 }, -ESTALE, 1 },
	{ "400", { .status = 400 }, -EIO, 1 },
	{ "405", { .status = 405 }, -EIO, 1 },
	{ "501", { .status = 501 }, -EOPNOTSUPP, 1 },
	{ "A19 a redirect is not followed",
	  { .status = 302, .extra = "Location: http://127.0.0.1:1/\r\n" },
	  -EIO,
	  1 },
	{ "304 was not asked for", { .status = 304 }, -EIO, 1 },
	{ "A13 always 503", { .status = 503 }, -ETIMEDOUT, 0 },
	{ "A4 always reset",
	  { .status = 500, .then = SERVER_RESET },
	  -ETIMEDOUT,
	  0 },
	{ "A3 never an answer",
	  { .cuts = true, .then = SERVER_HOLD },
	  -ETIMEDOUT,
	  0 },
};

START_TEST(a_fault_that_stays_is_told_as_the_table_says)
{
	struct plan p = { .fault = { final[_i].fault },
			  .n = 1,
			  .always = true };
	struct got g;
	int r = run(&p, final[_i].err == -ETIMEDOUT ? SHORT : LONG, ETAG, 10,
		    1000, &g);

	ck_assert_msg(r == final[_i].err, "%s: %d %s", final[_i].row, r,
		      ufs_last_error());
	ck_assert_uint_eq(g.n, 0);
	ck_assert_uint_ge(atomic_load(&p.hit), 1);
	ck_assert_str_ne(ufs_last_error(), "");
	if (final[_i].requests > 0)
		ck_assert_uint_eq(atomic_load(&p.hit), final[_i].requests);
}
END_TEST

/* Raw answers that are not HTTP, or too much of it. */
static enum server_then flood(struct server *s, int fd, unsigned nth,
			      const char *request)
{
	int kind = *(int *)s->arg;
	char line[1024];

	(void)nth, (void)request;
	memset(line, 'a', sizeof(line));
	switch (kind) {
	case 0: /* A25: 1xx without end */
		for (int i = 0; i < 100000; i++)
			server_say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
		break;
	case 1: /* A25: ten thousand headers */
		server_say(fd, "HTTP/1.1 206 X\r\n");
		for (int i = 0; i < 10000; i++)
			server_say(fd, "x%d: 1\r\n", i);
		break;
	case 2: /* A25: one header above 64 KiB */
		server_say(fd, "HTTP/1.1 206 X\r\nx: ");
		for (int i = 0; i < 70; i++)
			server_send(fd, line, sizeof(line));
		server_say(fd, "\r\n\r\n");
		break;
	case 3: /* above libcurl's own limit */
		server_say(fd, "HTTP/1.1 206 X\r\nx: ");
		for (int i = 0; i < 300; i++)
			server_send(fd, line, sizeof(line));
		server_say(fd, "\r\n\r\n");
		break;
	case 4: /* HTTP/0.9 */
		server_say(fd, "hello\r\n");
		break;
	default: /* TLS where HTTP was asked for, or noise */
		server_send(fd, "\x15\x03\x01\x00\x02\x02\x50\r\n\r\n", 11);
		break;
	}
	return SERVER_CLOSE;
}

START_TEST(A25_what_is_no_HTTP_or_has_no_end_is_EIO)
{
	struct server s;
	struct got g = { 0 };
	struct ufs *u;
	int kind = _i;

	server_start(&s, flood, &kind);
	u = open_store(s.endpoint, LONG);
	ck_assert_int_eq(get(u, ETAG, 0, 100, &g), -EIO);
	ck_assert_uint_eq(g.heads, 0);
	ufs_close(u);
	ck_assert_uint_ge(atomic_load(&s.requests), 1);
	server_stop(&s);
}
END_TEST

START_TEST(many_resets_are_all_resumed)
{
	struct plan p = { .n = 6 };
	struct got g;

	for (unsigned i = 0; i < p.n; i++)
		p.fault[i] = (struct fault){ .cuts = true,
					     .cut = 10000 * i + 1,
					     .then = i % 2 ? SERVER_CLOSE
							   : SERVER_RESET };
	ck_assert_int_eq(run(&p, LONG, NULL, 0, SIZE, &g), 0);
	ck_assert_uint_eq(g.n, SIZE);
	ck_assert_uint_eq(g.heads, 1);
	ck_assert_uint_eq(atomic_load(&p.hit), 6);
}
END_TEST

START_TEST(A21_a_transfer_is_resumed_of_its_version_or_not_at_all)
{
	struct plan p = { .n = 2, .always = true };
	struct got g;

	p.fault[0] =
	    (struct fault){ .cuts = true, .cut = 1000, .then = SERVER_CLOSE };
	p.fault[1] = (struct fault){ .etag = "another" };
	ck_assert_int_eq(run(&p, LONG, NULL, 0, SIZE, &g), -EIO);
	ck_assert_uint_eq(g.n, 1000);
	ck_assert_uint_ge(atomic_load(&p.hit), 2);
	ck_assert_ptr_null(strstr(p.seen[0], "If-Match"));
	ck_assert_ptr_nonnull(strstr(p.seen[1], "If-Match: \"" ETAG "\""));
	ck_assert_ptr_nonnull(strstr(p.seen[1], "Range: bytes=1000-"));
}
END_TEST

START_TEST(a_weak_version_is_asked_for_by_time_and_checked_by_size)
{
	struct fault weak = { .no_etag = true };
	struct plan p = { .fault = { weak, weak }, .n = 2, .always = true };
	struct got g;
	char version[UFS_VERSION_MAX];

	ck_assert_int_eq(run(&p, LONG, NULL, 0, 100, &g), 0);
	ck_assert_uint_eq(g.st.flags, UFS_WEAK);
	ck_assert_str_eq(g.st.version, "~1445412480-300000");
	memcpy(version, g.st.version, sizeof(version));
	ck_assert_int_eq(run(&p, LONG, version, 0, 100, &g), 0);
	ck_assert_ptr_nonnull(strstr(p.seen[0],
				     "If-Unmodified-Since: Wed, 21 Oct 2015 "
				     "07:28:01 GMT\r\n"));
	ck_assert_ptr_null(strstr(p.seen[0], "If-Match"));
	p.fault[0].size = p.fault[1].size = SIZE + 1;
	ck_assert_int_eq(run(&p, LONG, version, 0, 100, &g), -EIO);
}
END_TEST

START_TEST(the_sinks_error_ends_the_transfer)
{
	struct plan p = { .n = 0 };
	struct got g = { .fail_at = 50000 };
	struct server s;
	struct ufs *u;

	server_start(&s, play, &p);
	u = open_store(s.endpoint, LONG);
	ck_assert_int_eq(get(u, ETAG, 0, SIZE, &g), -EXDEV);
	ck_assert_uint_lt(g.n, SIZE);
	ck_assert_uint_eq(atomic_load(&s.requests), 1);
	ufs_close(u);
	server_stop(&s);
}
END_TEST

static void *cancel_soon(void *arg)
{
	struct server *s = ((void **)arg)[0];

	/* Once the request is out, so that it is the wait that ends. */
	while (atomic_load(&s->requests) == 0)
		sched_yield();
	cancel_set(((void **)arg)[1]);
	return NULL;
}

START_TEST(cancel_ends_a_wait_for_a_store_that_is_silent)
{
	struct plan p = { .fault = { { .cuts = true, .then = SERVER_HOLD },
				     { .status = 503 } },
			  .n = 2,
			  .always = true };
	struct cancel cancel = { false };
	struct got g = { 0 };
	struct ufs_sink sink = { .arg = &g,
				 .head = sink_head,
				 .data = sink_data };
	struct server s;
	void *arg[2] = { &s, &cancel };
	pthread_t t;
	struct ufs *u;

	server_start(&s, play, &p);
	u = open_store(s.endpoint, 600 * NSEC_PER_SEC);
	ck_assert_int_eq(pthread_create(&t, NULL, cancel_soon, arg), 0);
	ck_assert_int_eq(
	    u->ops->get(u, str_of("key"), ETAG, 0, 100, &sink, &cancel),
	    -ECANCELED);
	pthread_join(t, NULL);
	ck_assert_uint_ge(atomic_load(&p.hit), 1);
	/* And what is cancelled already sends nothing more. */
	ck_assert_int_eq(
	    u->ops->get(u, str_of("key"), ETAG, 0, 100, &sink, &cancel),
	    -ECANCELED);
	ufs_close(u);
	server_stop(&s);
}
END_TEST

START_TEST(A1_a_refused_connection_is_EHOSTUNREACH_after_the_deadline)
{
	struct got g = { 0 };
	struct ufs_stat st;
	struct server s;
	struct ufs *u;

	/* A port that was free a moment ago. */
	server_start(&s, play, NULL);
	server_stop(&s);
	u = open_store(s.endpoint, SHORT);
	ck_assert_int_eq(get(u, ETAG, 0, 100, &g), -EHOSTUNREACH);
	ck_assert_int_eq(u->ops->stat(u, str_of("key"), &st, NULL),
			 -EHOSTUNREACH);
	ufs_close(u);
}
END_TEST

START_TEST(a_name_that_no_one_knows_is_EHOSTUNREACH)
{
	struct ufs *u = open_store("http://no-such-host.invalid", SHORT);
	struct got g = { 0 };

	ck_assert_int_eq(get(u, ETAG, 0, 100, &g), -EHOSTUNREACH);
	ufs_close(u);
}
END_TEST

START_TEST(A19_a_server_that_speaks_no_TLS_is_EIO_at_once)
{
	struct server s;
	struct got g = { 0 };
	struct ufs *u;
	char endpoint[64];
	int kind = 5;

	log_open("/dev/null");
	server_start(&s, flood, &kind);
	snprintf(endpoint, sizeof(endpoint), "https://127.0.0.1:%d", s.port);
	u = open_store(endpoint, SHORT);
	ck_assert_int_lt(get(u, ETAG, 0, 100, &g), 0);
	ck_assert_uint_eq(g.heads, 0);
	ufs_close(u);
	server_stop(&s);
	log_open("stderr");
}
END_TEST

START_TEST(INV6_all_is_well_again_when_the_fault_ends)
{
	struct plan p = { .fault = { { .status = 503 } },
			  .n = 1,
			  .always = true };
	struct got g = { 0 };
	struct server s;
	struct ufs *u;

	server_start(&s, play, &p);
	u = open_store(s.endpoint, SHORT);
	ck_assert_int_eq(get(u, ETAG, 0, 100, &g), -ETIMEDOUT);
	p.always = false;
	ck_assert_int_eq(get(u, ETAG, 0, 100, &g), 0);
	ck_assert(!g.wrong);
	ufs_close(u);
	server_stop(&s);
}
END_TEST

struct reader {
	struct ufs *u;
	pthread_t thread;
	struct got g;
	int r;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;

	r->r = get(r->u, ETAG, 0, SIZE, &r->g);
	return NULL;
}

START_TEST(more_threads_than_connections_take_turns)
{
	struct ufs_conf conf = { .url = "s3://bucket",
				 .anonymous = true,
				 .max_connections = 2,
				 .bandwidth_down = 64 << 20 };
	struct plan p = { .n = 0 };
	struct reader r[8];
	struct server s;
	struct ufs *u = NULL;
	char why[256] = "";

	server_start(&s, play, &p);
	conf.endpoint = s.endpoint;
	ck_assert_int_eq(ufs_open(&conf, &u, why), 0);
	for (size_t i = 0; i < 8; i++) {
		r[i] = (struct reader){ .u = u };
		ck_assert_int_eq(
		    pthread_create(&r[i].thread, NULL, read_all, &r[i]), 0);
	}
	for (size_t i = 0; i < 8; i++) {
		pthread_join(r[i].thread, NULL);
		ck_assert_int_eq(r[i].r, 0);
		ck_assert_uint_eq(r[i].g.n, SIZE);
		ck_assert(!r[i].g.wrong);
	}
	ufs_close(u);
	server_stop(&s);
	ck_assert_uint_le(s.connections, 2);
}
END_TEST

/* Eight readers with descriptors for one connection: 0, or what was wrong. */
static int read_with_few_descriptors(const char *endpoint)
{
	enum { LEFT = 3 }; /* its socket, and libcurl's pair */
	struct ufs *u = open_store(endpoint, LONG);
	struct reader r[8];
	struct rlimit few;
	int64_t begin = clock_ns();
	int next = dup(0), wrong = 0;

	close(next);
	few.rlim_cur = few.rlim_max = (rlim_t)next + LEFT;
	if (next < 0 || setrlimit(RLIMIT_NOFILE, &few) < 0)
		return 2;
	for (size_t i = 0; i < 8; i++) {
		r[i] = (struct reader){ .u = u };
		if (pthread_create(&r[i].thread, NULL, read_all, &r[i]) != 0)
			return 3;
	}
	for (size_t i = 0; i < 8; i++) {
		pthread_join(r[i].thread, NULL);
		if (r[i].r != 0 || r[i].g.n != SIZE || r[i].g.wrong)
			wrong = 4;
	}
	ufs_close(u);
	if (stat_read(STAT_store_retries) == 0)
		return 5;
	/* Not because their deadline, a minute, made room. */
	return clock_ns() - begin > LONG / 2 ? 6 : wrong;
}

/*
 * FAULTS E6. Who gets no socket waits for the connection that there is, and
 * asks for nothing new. In a process of its own: the server needs some, too.
 */
START_TEST(E6_who_gets_no_descriptor_waits_for_a_connection_there_is)
{
	struct plan p = { .n = 0 };
	char endpoint[sizeof(((struct server *)0)->endpoint)];
	struct server s;
	int status, told[2];
	pid_t pid;

	/* Before there are threads: TSan has none begin after such a fork. */
	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(read(told[0], endpoint, sizeof(endpoint)) ==
			      sizeof(endpoint)
			  ? read_with_few_descriptors(endpoint)
			  : 1);
	server_start(&s, play, &p);
	ck_assert_int_eq(write(told[1], s.endpoint, sizeof(s.endpoint)),
			 sizeof(s.endpoint));
	close(told[0]);
	close(told[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	server_stop(&s);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERR);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(
	    t, A10_a_range_gives_its_bytes_and_is_short_only_at_the_end, 0,
	    ARRAY_SIZE(ranges));
	tcase_add_loop_test(t, a_fault_of_one_answer_is_mended_by_the_next, 0,
			    ARRAY_SIZE(mended));
	tcase_add_loop_test(t, an_answer_that_is_odd_but_right_is_taken, 0,
			    ARRAY_SIZE(accepted));
	tcase_add_loop_test(t, a_fault_that_stays_is_told_as_the_table_says, 0,
			    ARRAY_SIZE(final));
	tcase_add_loop_test(t, A25_what_is_no_HTTP_or_has_no_end_is_EIO, 0, 6);
	tcase_add_test(t, many_resets_are_all_resumed);
	tcase_add_test(t,
		       A21_a_transfer_is_resumed_of_its_version_or_not_at_all);
	tcase_add_test(t,
		       a_weak_version_is_asked_for_by_time_and_checked_by_size);
	tcase_add_test(t, the_sinks_error_ends_the_transfer);
	tcase_add_test(t, cancel_ends_a_wait_for_a_store_that_is_silent);
	tcase_add_test(
	    t, A1_a_refused_connection_is_EHOSTUNREACH_after_the_deadline);
	tcase_add_test(t, a_name_that_no_one_knows_is_EHOSTUNREACH);
	tcase_add_test(t, A19_a_server_that_speaks_no_TLS_is_EIO_at_once);
	tcase_add_test(t, INV6_all_is_well_again_when_the_fault_ends);
	tcase_add_test(t, more_threads_than_connections_take_turns);
	tcase_add_test(
	    t, E6_who_gets_no_descriptor_waits_for_a_connection_there_is);
	return RUN_CASES(t);
}
