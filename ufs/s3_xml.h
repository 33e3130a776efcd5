/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_xml.h - what S3 says in XML: pages of a listing, and errors
 *
 * The bytes come from the network: no DTD and no entities are taken, depth,
 * text, entries and bytes are bounded, and a document that is not the one
 * asked for is refused.
 */
#ifndef UFS_S3_XML_H
#define UFS_S3_XML_H

#include "base/base.h"
#include "ufs/ufs.h"

struct s3_page_entry {
	size_t at, n; /* the key in the page's keys */
	bool dir;
	struct ufs_stat st;
};

struct s3_page {
	struct s3_page_entry *entry;
	size_t n;
	char *keys;
	char *token;     /* of the next page, NULL: this was the last */
	size_t unusable; /* entries of impossible sizes */
};

struct s3_list_parser;

int s3_list_new(struct s3_list_parser **out);
void s3_list_free(struct s3_list_parser *p); /* NULL is allowed */

/* -EBADMSG: it is no listing; -ENOMEM. It stays so. */
int s3_list_feed(struct s3_list_parser *p, const char *bytes, size_t n);

/*
 * The document is complete. The page, in key order and without doubles, is
 * valid as long as the parser. -EBADMSG when it is not complete or lacks
 * what it needs; -EPROTO when its root is not that of a listing.
 */
int s3_list_end(struct s3_list_parser *p, const struct s3_page **out);

/* "2009-10-12T17:50:30.000Z" to seconds; anything else is 1970. */
int64_t s3_xml_time(const char *s);

/* An element's name without a namespace's prefix. */
const char *s3_xml_name(const char *name);

struct s3_error {
	char code[64];
	char region[64];
};

/* What an error's body says, "" where it says nothing. False: no memory. */
bool s3_error_parse(const char *body, size_t n, struct s3_error *out);

#endif
