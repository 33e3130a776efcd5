/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_lines.c - lines that end otherwise than in CR LF, for an old library
 *
 * From 0.9.77 on libmicrohttpd refuses bare LFs, folded headers and bytes of
 * value 0 when told to. 0.9.75 (Debian 12) takes them, and shows nobody the
 * bytes as they came: it reads from the socket itself, several requests at a
 * time, so there is no moment to peek at one. But it does not copy a header
 * either: it puts a 0 over each of CR and LF in its buffer and hands out where
 * names and values begin. So two bytes lie between the end of one line and the
 * next line's name; one if it ended in a bare LF, more if a 0 cut the value
 * short, and anything at all if a fold made it copy the line. Only addresses
 * are compared, nothing beside the strings is read.
 *
 * This holds of the release that it was tried with, so it is asked of no other.
 * How the last header and the empty line behind it ended cannot be seen.
 */
#include "ring/server_impl.h"

#define TRIED "0.9.75"

bool lines_right(const char *version, const struct request *r)
{
	uintptr_t end = (uintptr_t)version + strlen(version);

	if (strcmp(MHD_get_version(), TRIED) != 0)
		return true;
	for (size_t i = 0; i < r->nheaders; i++) {
		const struct str *name = &r->headers[i].name;
		const struct str *value = &r->headers[i].value;
		uintptr_t colon = (uintptr_t)name->p + name->n;

		if ((uintptr_t)name->p != end + 2 ||
		    (uintptr_t)value->p <= colon ||
		    (uintptr_t)value->p > colon + CONNECTION_MEMORY)
			return false;
		end = (uintptr_t)value->p + value->n;
	}
	return true;
}
