/* SPDX-License-Identifier: Apache-2.0 */
/* bytes.c - keys, percent encoding, globs: what all parts of objsim use */
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void *need(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

struct bytes bytes_copy(const char *p, size_t n)
{
	struct bytes b = { need(malloc(n + 1)), n };

	if (n > 0)
		memcpy(b.p, p, n);
	b.p[n] = 0;
	return b;
}

int bytes_cmp(struct bytes a, struct bytes b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct bytes pct_decode(const char *s, size_t n, bool plus)
{
	struct bytes b = { need(malloc(n + 1)), 0 };

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c == '%' && i + 2 < n && hex(s[i + 1]) >= 0 &&
		    hex(s[i + 2]) >= 0) {
			c = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		b.p[b.n++] = c;
	}
	b.p[b.n] = 0;
	return b;
}

char *pct_encode(struct bytes b, bool slash)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno"
				    "pqrstuvwxyz0123456789-_.~";
	char *out = need(malloc(b.n * 3 + 1)), *p = out;

	for (size_t i = 0; i < b.n; i++) {
		unsigned char c = (unsigned char)b.p[i];

		if (c != 0 && (strchr(plain, c) != NULL || (slash && c == '/')))
			*p++ = (char)c;
		else
			p += sprintf(p, "%%%02X", c);
	}
	*p = 0;
	return out;
}

void xml_text(FILE *f, struct bytes b, bool url)
{
	if (url) {
		char *s = pct_encode(b, true);

		fputs(s, f);
		free(s);
		return;
	}
	for (size_t i = 0; i < b.n; i++) {
		unsigned char c = (unsigned char)b.p[i];

		if (c == '&' || c == '<' || c == '>' || c == '"' || c < 0x20)
			fprintf(f, "&#x%X;", c);
		else
			fputc(c, f);
	}
}

bool glob_match(const char *pattern, struct bytes text)
{
	const char *star = NULL;
	size_t i = 0, from = 0;

	while (i < text.n) {
		if (*pattern == '*') {
			star = pattern++;
			from = i;
		} else if (*pattern != 0 &&
			   (*pattern == '?' || *pattern == text.p[i])) {
			pattern++;
			i++;
		} else if (star != NULL) {
			pattern = star + 1;
			i = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == 0;
}

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
