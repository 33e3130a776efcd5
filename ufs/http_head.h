/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_head.h - reading the head of an answer, whoever asked for it
 *
 * Headers are kept as "name\0value\0" each, names in lower case, in one text;
 * http_header() (http.h) finds one.
 */
#ifndef UFS_HTTP_HEAD_H
#define UFS_HTTP_HEAD_H

#include "base/base.h"
#include "ufs/encode.h"

/*
 * Keep a header's line of n bytes, without its end. The name as it is kept,
 * and *value; valid until the next is. NULL: it is none, or kept->failed.
 */
const char *http_head_add(struct text *kept, const char *line, size_t n,
			  const char **value);

/* Digits only, below 2^63; *at goes behind them. */
bool http_head_number(const char **at, uint64_t *out);

/* "bytes 0-99/1000" (RFC 9110, 14.4); false for a total of "*". */
bool http_head_range(const char *v, uint64_t *first, uint64_t *last,
		     uint64_t *total);

#endif
