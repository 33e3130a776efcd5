/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_request.c - a request to a worker: its line, headers, signature, range
 *
 * Input: the object's size (8 bytes), then lines: method, target, headers
 * "name: value". Nobody signs by chance, a range lies in the object, and the
 * key and the parameters are no longer than the target.
 */
#include "tests/fuzz/fuzz.h"

#include "base/clock.h"
#include "ring/auth.h"
#include "ring/request.h"

#define NOW (INT64_C(1700000000) * NSEC_PER_SEC)

static void add(struct request *r, char *line)
{
	char *colon = strchr(line, ':');

	if (colon == NULL || r->nheaders == REQUEST_HEADERS_MAX)
		return;
	*colon++ = '\0';
	while (*colon == ' ')
		colon++;
	r->headers[r->nheaders].name = str_of(line);
	r->headers[r->nheaders++].value = str_of(colon);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char secret[] = "0123456789abcdef";
	struct input in = { data, size };
	uint64_t bytes = take_u64(&in) >> 1, off, len;
	char *text = heap_text(take_str(&in, in.n)), *rest = text, *line;
	struct request r = { .method = STR_EMPTY, .target = STR_EMPTY };
	struct auth a;

	auth_init(&a, secret);
	if ((line = strsep(&rest, "\n")) != NULL)
		r.method = str_of(line);
	if ((line = strsep(&rest, "\n")) != NULL)
		r.target = str_of(line);
	while ((line = strsep(&rest, "\n")) != NULL)
		add(&r, line);
	if (request_parse(&r) == 0) {
		const struct str *tags = request_header(&r, "if-match");

		CHECK(r.bucket.n + r.key.n < r.target.n);
		CHECK(auth_check(&a, &r, NOW, false) != NULL);
		if (request_range(request_header(&r, "range"), bytes, &off,
				  &len) == RANGE_PART)
			CHECK(len > 0 && off < bytes && len <= bytes - off);
		if (tags != NULL)
			(void)request_etag_matches(*tags, "abc");
		CHECK(request_max_age(&r) >= -1);
	}
	request_fini(&r);
	auth_fini(&a);
	free(text);
	return 0;
}
