/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_result.c - what S3 says of changes: results, and uploads that are open
 *
 * Input: which result is asked for, and the document.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "ufs/s3_result.h"

#define ENDS(a) (memchr((a), '\0', sizeof(a)) != NULL)

static void result(const char *body, size_t n, const char *root)
{
	struct s3_result first = { .seconds = 0 }, again = { .seconds = 0 };
	int r = s3_result_parse(body, n, root, &first);

	CHECK(r == 0 || r == -EBADMSG || r == -EPROTO);
	CHECK(ENDS(first.etag) && ENDS(first.crc64) && ENDS(first.type));
	CHECK(s3_result_parse(body, n, root, &again) == r);
	CHECK(strcmp(first.etag, again.etag) == 0);
	CHECK((first.upload == NULL) == (again.upload == NULL));
	/* What was there before is freed. */
	CHECK(s3_result_parse("<x/>", 4, root, &again) == -EBADMSG);
	CHECK(again.upload == NULL && again.etag[0] == '\0');
	s3_result_fini(&first);
	s3_result_fini(&again);
}

static void uploads(const char *body, size_t n)
{
	struct s3_uploads u;
	size_t bytes = 0;
	int r = s3_uploads_parse(body, n, &u);

	CHECK(r == 0 || r == -EBADMSG);
	for (size_t i = 0; i < u.n; i++) {
		const struct s3_upload_entry *e = &u.entry[i];

		/* Read all of it, for the sanitizer. */
		for (size_t k = 0; k < e->n; k++)
			bytes += (unsigned char)u.bytes[e->key + k];
		bytes += strlen(u.bytes + e->id);
		CHECK(u.bytes[e->id] != '\0');
	}
	CHECK(bytes < SIZE_MAX / 2);
	if (r == 0 && u.next_key != NULL) {
		CHECK(u.next_id != NULL && strlen(u.next_id) <= n);
		CHECK(u.next_key_n <= n);
	}
	s3_uploads_fini(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const roots[] = { "InitiateMultipartUploadResult",
					     "CompleteMultipartUploadResult",
					     "CopyObjectResult",
					     "CopyPartResult" };
	struct input in = { data, size };
	const char *root = roots[take_u8(&in) % ARRAY_SIZE(roots)];
	/* On the heap and without a NUL, to see who reads on. */
	char *body = malloc(MAX(in.n, (size_t)1));

	CHECK(body != NULL);
	if (in.n > 0)
		memcpy(body, in.p, in.n);
	result(body, in.n, root);
	uploads(body, in.n);
	free(body);
	return 0;
}
