/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_refusal.c - what an S3 server's refusal teaches: region, clock
 *
 * Input: method and status, the size of the head, headers one a line, the
 * body. Whatever was learnt, the next request is one request: no byte of the
 * answer ends a line or a URL of it.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "base/log.h"
#include "ufs/s3_impl.h"

static struct s3 *store(void)
{
	static struct ufs *u;
	struct ufs_conf conf = { .url = "s3://bucket-one/prefix",
				 .anonymous = true };
	char why[256];

	if (u != NULL)
		return container_of(u, struct s3, ufs);
	log_open("/dev/null");
	/* To AWS, where a region becomes part of the host's name. */
	CHECK(ufs_open(&conf, &u, why) == 0);
	return container_of(u, struct s3, ufs);
}

/* Lines "name: value" become the pairs that the engine keeps. */
static char *pairs(struct str lines, size_t *n)
{
	char *text = heap_text(lines), *out = malloc(lines.n * 2 + 4);
	char *rest = text, *line;

	CHECK(out != NULL);
	*n = 0;
	while ((line = strsep(&rest, "\n")) != NULL) {
		char *colon = strchr(line, ':');

		if (colon == NULL)
			continue;
		*colon = '\0';
		*n += (size_t)sprintf(out + *n, "%s", line) + 1;
		*n += (size_t)sprintf(out + *n, "%s", colon + 1) + 1;
	}
	free(text);
	return out;
}

static void one_request(struct s3_op *op)
{
	struct http_try t = { .url = { 0 } };

	CHECK(s3_path(op) == 0);
	CHECK(s3_make(&op->http, &t) == 0);
	for (size_t i = 0; i < t.url.n; i++)
		CHECK((unsigned char)t.url.p[i] > ' ' &&
		      (unsigned char)t.url.p[i] < 0x7f);
	CHECK(strncmp(t.url.p, "https://bucket-one.s3.", 22) == 0);
	/* Host, and nothing that was not asked for. */
	CHECK(memchr(t.headers.p, '\n', t.headers.n) ==
	      t.headers.p + t.headers.n - 1);
	text_fini(&t.url);
	text_fini(&t.headers);
	text_fini(&op->path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = {
		301, 307, 400, 403, 404, 416, 503, 500
	};
	struct input in = { data, size };
	uint8_t how = take_u8(&in);
	struct s3_op op = { .s3 = store() };
	struct http_answer a = { .status = statuses[how / 2 % 8] };
	AUTO_FREE char *headers = NULL, *body = NULL;
	enum http_next next;

	/* Each input by itself, so that a crash can be had again. */
	snprintf(op.s3->region, sizeof(op.s3->region), "us-east-1");
	atomic_store(&op.s3->skew, 0);
	op.http.method = how & 1 ? HTTP_HEAD : HTTP_GET;
	op.http.path = "";
	op.key = str_of("key");
	snprintf(op.region, sizeof(op.region), "us-east-1");
	headers = pairs(take_str(&in, take_u16(&in)), &a.headers_n);
	a.headers = headers;
	body = heap_text(take_str(&in, in.n));
	a.body = body;
	a.body_n = op.http.method == HTTP_HEAD ? 0 : strlen(body);
	next = s3_failed(&op.http, &a);
	CHECK(next <= HTTP_NO_UPLOAD);
	CHECK(memchr(op.http.code, '\0', sizeof(op.http.code)) != NULL);
	one_request(&op);
	return 0;
}
