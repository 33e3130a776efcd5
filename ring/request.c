/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.c - see request.h
 */
#include "ring/request.h"

#include <errno.h>
#include <strings.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool request_number(struct str s, uint64_t *out)
{
	uint64_t n = 0;

	if (s.n == 0 || s.n > 18)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_digit(s.p[i]))
			return false;
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	}
	*out = n;
	return true;
}

static bool name_is(struct str s, const char *name)
{
	return s.n == strlen(name) && strncasecmp(s.p, name, s.n) == 0;
}

const struct str *request_header(const struct request *r, const char *name)
{
	const struct str *found = NULL;

	for (size_t i = 0; i < r->nheaders; i++) {
		if (!name_is(r->headers[i].name, name))
			continue;
		if (found != NULL)
			return NULL;
		found = &r->headers[i].value;
	}
	return found;
}

const struct str *request_query(const struct request *r, const char *name)
{
	for (size_t i = 0; i < r->nquery; i++)
		if (str_eq(r->query[i].name, str_of(name)))
			return &r->query[i].value;
	return NULL;
}

/* RFC 9110's token: what a header's name is made of. */
static bool is_token(struct str s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!is_digit(c) && !(c >= 'a' && c <= 'z') &&
		    !(c >= 'A' && c <= 'Z') &&
		    (c == '\0' || strchr(others, c) == NULL))
			return false;
	}
	return s.n > 0;
}

static bool is_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') ||
		    s.p[i] == 0x7f)
			return false;
	return true;
}

/*
 * Headers that must be there once at most. Of some, two are only an error; of
 * Host and Content-Length they are how requests are smuggled.
 */
static const char *const only_once[] = {
	"host",          "content-length", "range",      "if-match",
	"if-none-match", "authorization",  "x-amz-date", "x-amz-content-sha256",
	"cache-control", "x-tarn-store",   "x-tarn-hop", "x-tarn-protocol",
};

static int check_headers(struct request *r)
{
	const struct str *length;

	for (size_t i = 0; i < r->nheaders; i++)
		if (!is_token(r->headers[i].name) ||
		    !is_text(r->headers[i].value) ||
		    name_is(r->headers[i].name, "transfer-encoding"))
			return 400;
	for (size_t k = 0; k < ARRAY_SIZE(only_once); k++) {
		size_t n = 0;

		for (size_t i = 0; i < r->nheaders; i++)
			n += name_is(r->headers[i].name, only_once[k]);
		if (n > 1 || (n == 0 && k == 0))
			return 400;
	}
	length = request_header(r, "content-length");
	if (length != NULL && !request_number(*length, &r->length))
		return 400;
	return 0;
}

/* Is every '%' followed by two hex digits, and nothing there but ASCII? */
static bool encoded_right(struct str s)
{
	static const char hex[] = "0123456789abcdefABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '#')
			return false;
		if (s.p[i] != '%')
			continue;
		if (s.n - i < 3 || memchr(hex, s.p[i + 1], 22) == NULL ||
		    memchr(hex, s.p[i + 2], 22) == NULL)
			return false;
	}
	return true;
}

static struct str decode(char **room, struct str s, bool plus)
{
	char *at = *room;
	size_t n;

	if (s.n > 0)
		memcpy(at, s.p, s.n);
	n = url_decode(at, s.n, plus);
	*room += n;
	return (struct str){ at, n };
}

static struct str cut(struct str *s, char c)
{
	const char *p = s->n > 0 ? memchr(s->p, c, s->n) : NULL;
	struct str head = *s;

	if (p == NULL) {
		*s = (struct str){ s->p + s->n, 0 };
		return head;
	}
	head.n = (size_t)(p - s->p);
	s->n -= head.n + 1;
	s->p = p + 1;
	return head;
}

static int parse_query(struct request *r, struct str q, char *room)
{
	while (q.n > 0) {
		struct str value = cut(&q, '&'), name;

		if (value.n == 0)
			continue;
		if (r->nquery == SIGV4_QUERY_MAX)
			return 431;
		name = decode(&room, cut(&value, '='), true);
		for (size_t i = 0; i < r->nquery; i++)
			if (str_eq(r->query[i].name, name))
				return 400;
		r->query[r->nquery].name = name;
		r->query[r->nquery].value = decode(&room, value, true);
		r->nquery++;
	}
	return 0;
}

int request_parse(struct request *r)
{
	struct str rest = r->target, path;
	char *room;
	int status = check_headers(r);

	if (status != 0)
		return status;
	if (rest.n == 0 || rest.p[0] != '/' || !encoded_right(rest))
		return 400;
	r->text = malloc(rest.n);
	if (r->text == NULL)
		return 500;
	room = r->text;
	path = cut(&rest, '?');
	path.p++;
	path.n--;
	r->has_key = path.n > 0 && memchr(path.p, '/', path.n) != NULL;
	r->bucket = decode(&room, cut(&path, '/'), false);
	r->key = decode(&room, path, false);
	return parse_query(r, rest, room);
}

void request_fini(struct request *r)
{
	free(r->text);
	r->text = NULL;
}

enum range_kind request_range(const struct str *value, uint64_t size,
			      uint64_t *off, uint64_t *len)
{
	uint64_t first = 0, last = 0;
	struct str s, from;
	bool has_last;

	if (value == NULL)
		return RANGE_NONE;
	s = *value;
	if (s.n < 6 || strncasecmp(s.p, "bytes=", 6) != 0)
		return RANGE_BAD;
	s.p += 6;
	s.n -= 6;
	if (memchr(s.p, '-', s.n) == NULL)
		return RANGE_BAD;
	from = cut(&s, '-');
	has_last = s.n > 0;
	if ((from.n > 0 && !request_number(from, &first)) ||
	    (has_last && !request_number(s, &last)) ||
	    (from.n == 0 && !has_last))
		return RANGE_BAD;
	if (from.n == 0) { /* the last bytes */
		if (last == 0 || size == 0)
			return RANGE_OUTSIDE;
		*len = MIN(last, size);
		*off = size - *len;
		return RANGE_PART;
	}
	if (has_last && last < first)
		return RANGE_BAD;
	if (first >= size)
		return RANGE_OUTSIDE;
	if (!has_last || last >= size)
		last = size - 1;
	*off = first;
	*len = last - first + 1;
	return RANGE_PART;
}

static struct str trimmed(struct str s)
{
	while (s.n > 0 && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* S3 takes them without quotes as well; none holds a comma or a quote. */
bool request_etag_matches(struct str value, const char *version)
{
	while (value.n > 0) {
		struct str tag = trimmed(cut(&value, ','));

		if (str_eq(tag, str_of("*")))
			return true;
		if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"') {
			tag.p++;
			tag.n -= 2;
		}
		if (str_eq(tag, str_of(version)))
			return true;
	}
	return false;
}

bool request_only_cached(const struct request *r)
{
	const struct str *value = request_header(r, "cache-control");
	struct str rest = value != NULL ? *value : STR_EMPTY;

	while (rest.n > 0)
		if (name_is(trimmed(cut(&rest, ',')), "only-if-cached"))
			return true;
	return false;
}

int64_t request_max_age(const struct request *r)
{
	const struct str *value = request_header(r, "cache-control");
	struct str rest;
	int64_t age = -1;

	if (value == NULL)
		return -1;
	rest = *value;
	while (rest.n > 0) {
		struct str word = trimmed(cut(&rest, ','));
		uint64_t n;

		if (name_is(word, "no-cache"))
			age = 0;
		if (word.n < 8 || strncasecmp(word.p, "max-age=", 8) != 0)
			continue;
		word.p += 8;
		word.n -= 8;
		if (request_number(word, &n) && n <= INT32_MAX)
			age = age < 0 ? (int64_t)n : MIN(age, (int64_t)n);
	}
	return age;
}
