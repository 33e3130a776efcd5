/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode.c - percent-encoding, and a growing run of bytes
 */
#include "ufs/encode.h"

#include <stdarg.h>
#include <stdio.h>

static bool reserve(struct text *t, size_t more)
{
	size_t room = t->room * 2 + 256;
	char *p;

	if (t->failed)
		return false;
	if (more < t->room - t->n)
		return true;
	room = MAX(room, t->n + more + 1);
	p = malloc(room);
	if (p == NULL) {
		t->failed = true;
		return false;
	}
	/* Not realloc(): a secret must not stay in what it leaves behind. */
	if (t->p != NULL) {
		memcpy(p, t->p, t->n + 1);
		explicit_bzero(t->p, t->room);
		free(t->p);
	}
	t->p = p;
	t->room = room;
	return true;
}

void text_add(struct text *t, const char *p, size_t n)
{
	if (!reserve(t, n))
		return;
	if (n > 0)
		memcpy(t->p + t->n, p, n);
	t->n += n;
	t->p[t->n] = '\0';
}

void text_adds(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(t, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(t->p + t->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->n += (size_t)n;
}

void text_clear(struct text *t)
{
	t->n = 0;
	t->failed = false;
	if (t->p != NULL)
		t->p[0] = '\0';
}

void text_fini(struct text *t)
{
	free(t->p);
	memset(t, 0, sizeof(*t));
}

void text_wipe(struct text *t)
{
	if (t->p != NULL)
		explicit_bzero(t->p, t->room);
	text_fini(t);
}

static bool unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

void text_add_encoded(struct text *t, struct str s, bool keep_slash)
{
	static const char hex[] = "0123456789ABCDEF";

	if (!reserve(t, 3 * s.n))
		return;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (unreserved(c) || (c == '/' && keep_slash)) {
			t->p[t->n++] = (char)c;
			continue;
		}
		t->p[t->n++] = '%';
		t->p[t->n++] = hex[c >> 4];
		t->p[t->n++] = hex[c & 15];
	}
	t->p[t->n] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

size_t url_decode(char *p, size_t n, bool plus)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		int hi = i + 2 < n ? hex_value(p[i + 1]) : -1;
		int lo = i + 2 < n ? hex_value(p[i + 2]) : -1;

		if (p[i] == '%' && hi >= 0 && lo >= 0) {
			p[out++] = (char)(hi << 4 | lo);
			i += 2;
		} else {
			p[out++] = plus && p[i] == '+' ? ' ' : p[i];
		}
	}
	return out;
}
