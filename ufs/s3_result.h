/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_result.h - what S3 says in XML of changes: results, and open uploads
 *
 * As in s3_xml.h, the bytes come from the network: no DTD and no entities,
 * depth and text are bounded, and a document that is not complete or not the
 * one asked for is refused.
 */
#ifndef UFS_S3_RESULT_H
#define UFS_S3_RESULT_H

#include "base/base.h"

/* "" and 0 where the document says nothing. */
struct s3_result {
	char etag[256]; /* as it was sent, with quotes */
	char crc64[32]; /* base64 */
	char type[16];  /* of the checksum: "FULL_OBJECT" */
	int64_t seconds;
	char *upload; /* owned, or NULL */
};

/*
 * A document with this root. 0, -EPROTO: an Error (s3_error_parse() tells
 * which), -EBADMSG: anything else, -ENOMEM. Free what was there before.
 */
int s3_result_parse(const char *body, size_t n, const char *root,
		    struct s3_result *out);
void s3_result_fini(struct s3_result *r);

struct s3_upload_entry {
	size_t key, n; /* in bytes */
	size_t id;     /* the same, ends with a NUL */
	int64_t seconds;
};

/* A page of uploads that have begun, in the order of the store. */
struct s3_uploads {
	struct s3_upload_entry *entry;
	size_t n, room;
	char *bytes;
	char *next_key, *next_id; /* NULL: this was the last page */
	size_t next_key_n;
};

/* 0, -EBADMSG or -ENOMEM. To be freed in any case. */
int s3_uploads_parse(const char *body, size_t n, struct s3_uploads *out);
void s3_uploads_fini(struct s3_uploads *u);

#endif
