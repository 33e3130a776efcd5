/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_http.c - the head of an answer, and what of its body is handed on
 *
 * The callbacks that libcurl would call are called here, with lines and
 * pieces of the input; libcurl itself is not asked. The promise: whatever the
 * server says, only bytes of the range that was asked for reach the driver,
 * in order and none twice.
 *
 * Input: method and range, the object's size as learnt before, the status,
 * the size of the head; the head's lines; the body.
 */
#include <curl/curl.h>

#include "tests/fuzz/fuzz.h"

/* head_complete() asks libcurl for the status, attempt_judge() an errno. */
static long status_now;

static CURLcode tell(CURL *handle, CURLINFO what, long *out)
{
	(void)handle;
	*out = what == CURLINFO_RESPONSE_CODE ? status_now : 0;
	return CURLE_OK;
}

#undef curl_easy_getinfo
#define curl_easy_getinfo tell
#include "ufs/http_try.c"

/* Where in the object a body's byte stands: 0 for a 206's first. */
struct receiver {
	struct http_op op;
	const char *body; /* all of it */
	uint64_t base;    /* of its first byte, in the object */
	bool has_head;
};

static struct receiver *receiver_of(struct http_op *op)
{
	return container_of(op, struct receiver, op);
}

static int on_head(struct http_op *op, const struct http_answer *a)
{
	struct receiver *r = receiver_of(op);
	const char *date = http_header(a, "last-modified");
	int64_t seconds;

	CHECK(!r->has_head);
	r->has_head = true;
	r->base = a->status == 206 && op->ranged ? a->first : 0;
	if (date != NULL)
		http_date(date, &seconds);
	/* A 200 for a range is cut: its total is the length then. */
	if (a->range_known && a->status == 206)
		CHECK(a->first <= a->last && a->last < a->total);
	CHECK(!a->length_known || a->length <= INT64_MAX);
	return 0;
}

static int on_bytes(struct http_op *op, const void *p, size_t n)
{
	struct receiver *r = receiver_of(op);
	/* got counts these already. */
	uint64_t at = op->got - n;

	CHECK(r->has_head && n > 0);
	if (!op->ranged)
		return 0;
	CHECK(op->got <= op->len);
	/* They are those of the object at off + at. */
	CHECK(memcmp(p, r->body + (op->off + at - r->base), n) == 0);
	return 0;
}

static const struct http_ops ops = { .head = on_head, .data = on_bytes };

static size_t give_lines(struct attempt *t, struct str head)
{
	while (head.n > 0) {
		const char *end = memchr(head.p, '\n', head.n);
		size_t n = end != NULL ? (size_t)(end - head.p) + 1 : head.n;
		AUTO_FREE char *line = heap_text((struct str){ head.p, n });

		if (on_header(line, 1, n, t) != n)
			return 0;
		head.p += n;
		head.n -= n;
	}
	return on_header((char *)"\r\n", 1, 2, t);
}

static bool give_body(struct attempt *t, struct str body, size_t piece)
{
	while (body.n > 0) {
		size_t n = MIN(piece, body.n);
		AUTO_FREE char *bytes = heap_text((struct str){ body.p, n });

		if (on_data(bytes, 1, n, t) != n)
			return false;
		body.p += n;
		body.n -= n;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const long statuses[] = {
		200, 206, 404, 416, 503, 100, 301, 204
	};
	struct input in = { data, size };
	uint8_t how = take_u8(&in);
	struct http http = { .conf = { .max_connections = 1 } };
	struct http_handle handle = { .next = NULL };
	struct receiver r = { .op = { .ops = &ops } };
	struct attempt *winner = NULL;
	uint64_t total = UINT64_MAX;
	struct attempt t = { .h = &http,
			     .handle = &handle,
			     .op = &r.op,
			     .total = &total,
			     .winner = &winner };
	struct str head, body;
	size_t piece;

	log_open("/dev/null");
	r.op.where = "fuzz";
	r.op.method = how & 1 ? HTTP_HEAD : HTTP_GET;
	r.op.ranged = how & 2 && r.op.method == HTTP_GET;
	if (how & 4)
		total = take_u8(&in);
	r.op.off = how & 8 ? take_u64(&in) >> 1 : take_u8(&in);
	r.op.len = how & 16 ? take_u64(&in) >> 1 : take_u8(&in);
	/* As http_run() asks: something, that ends within 2^63. */
	r.op.len = MIN(MAX(r.op.len, 1), INT64_MAX - r.op.off);
	if (r.op.len == 0 || r.op.off >= total)
		return 0;
	status_now = statuses[take_u8(&in) % ARRAY_SIZE(statuses)];
	piece = 1 + take_u8(&in);
	head = take_str(&in, take_u16(&in));
	body = take_str(&in, in.n);
	r.body = body.p;
	attempt_reset(&t);
	if (give_lines(&t, head) == 2 && t.complete &&
	    r.op.method == HTTP_GET && give_body(&t, body, piece))
		attempt_judge(&t, CURLE_OK);
	if (t.result.end == TRY_DONE && t.verdict && r.op.ranged && t.success)
		CHECK(r.op.got == t.expect && t.expect <= r.op.len);
	CHECK(memchr(t.result.words, '\0', sizeof(t.result.words)) != NULL);
	CHECK(t.result.retry_after >= 0 &&
	      t.result.retry_after <= 3600 * NSEC_PER_SEC);
	text_fini(&handle.headers);
	text_fini(&handle.body);
	return 0;
}
