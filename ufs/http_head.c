/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_head.c - see http_head.h
 */
#include "ufs/http_head.h"

#include <ctype.h>
#include <strings.h>

const char *http_head_add(struct text *kept, const char *line, size_t n,
			  const char **value)
{
	const char *colon = memchr(line, ':', n), *v, *end = line + n;
	size_t at = kept->n;

	if (colon == NULL || colon == line || memchr(line, '\0', n) != NULL)
		return NULL;
	for (v = colon + 1; v < end && (*v == ' ' || *v == '\t'); v++)
		;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	text_add(kept, line, (size_t)(colon - line));
	text_add(kept, "", 1);
	text_add(kept, v, (size_t)(end - v));
	text_add(kept, "", 1);
	if (kept->failed)
		return NULL;
	for (char *c = kept->p + at; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	*value = kept->p + at + (size_t)(colon - line) + 1;
	return kept->p + at;
}

bool http_head_number(const char **at, uint64_t *out)
{
	const char *p = *at;
	uint64_t v = 0;

	for (; isdigit((unsigned char)*p); p++) {
		if (v > (INT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(*p - '0');
	}
	if (p == *at)
		return false;
	*at = p;
	*out = v;
	return true;
}

bool http_head_range(const char *v, uint64_t *first, uint64_t *last,
		     uint64_t *total)
{
	if (strncasecmp(v, "bytes ", 6) != 0)
		return false;
	v += 6;
	return http_head_number(&v, first) && *v++ == '-' &&
	       http_head_number(&v, last) && *v++ == '/' &&
	       http_head_number(&v, total) && *v == '\0' && *first <= *last &&
	       *last < *total;
}
