/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_text.c - names of any bytes, in JSON
 */
#include "fuse/json_text.h"

#include <stdio.h>

json_t *json_text(const char *s)
{
	json_t *j = json_string(s);
	char buf[4096];
	size_t n = 0;

	if (j != NULL)
		return j;
	for (; *s != '\0' && n + 5 <= sizeof(buf); s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c >= 0x7f)
			n += (size_t)snprintf(buf + n, sizeof(buf) - n,
					      "\\x%02x", c);
		else
			buf[n++] = (char)c;
	}
	return json_stringn(buf, n);
}
