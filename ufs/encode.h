/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode.h - percent-encoding, and a growing run of bytes
 *
 * struct text grows; its first failure (out of memory) sticks and is asked
 * for once at the end, so that what builds a URL or a canonical request
 * reads as one line after another.
 */
#ifndef UFS_ENCODE_H
#define UFS_ENCODE_H

#include "base/base.h"

struct text {
	char *p; /* NUL-terminated once anything was added */
	size_t n, room;
	bool failed;
};

void text_add(struct text *t, const char *p, size_t n);
void text_adds(struct text *t, const char *s);
void text_addf(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_clear(struct text *t); /* keeps the memory */
void text_fini(struct text *t);
void text_wipe(struct text *t); /* fini, and leave no trace of a secret */

/* RFC 3986: all but unreserved bytes as %XX; '/' as it is if keep_slash. */
void text_add_encoded(struct text *t, struct str s, bool keep_slash);

/*
 * Decode %XX in place and return the new length; also '+' as a space when
 * plus says so. A '%' without two hex digits stays as it is.
 */
size_t url_decode(char *p, size_t n, bool plus);

#endif
