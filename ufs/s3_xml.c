/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_xml.c - what S3 says in XML: pages of a listing, and errors
 *
 * Keys are collected as they come and decoded at the end, since whether they
 * are URL-encoded may be said after them. Decoded they may hold NUL and need
 * not be UTF-8, which XML itself could not carry.
 */
#include "ufs/s3_xml.h"

#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "ufs/encode.h"
#include "ufs/s3_answer.h"
#include "ufs/ufs_impl.h"

#define DEPTH_MAX 16
#define BYTES_MAX MIB(32)
#define ENTRIES_MAX 20000
#define TEXT_MAX KIB(8)

/* What the parser is inside of. */
enum where { W_TOP, W_ROOT, W_CONTENTS, W_PREFIXES, W_OTHER };

struct s3_list_parser {
	XML_Parser xml;
	int err;
	size_t bytes;
	unsigned depth;
	enum where where;
	bool closed;      /* the root's end was seen */
	struct text text; /* of the present element */

	struct text keys;
	size_t room;
	bool truncated, said_truncated, encoded;
	char *token;
	struct s3_page page;

	/* the entry being read */
	bool has_key, has_size;
	struct s3_page_entry e;
	int64_t seconds;
	char etag[256];
	char class[24];
};

static void fail(struct s3_list_parser *p, int err)
{
	if (p->err == 0)
		p->err = err;
	XML_StopParser(p->xml, XML_FALSE);
}

const char *s3_xml_name(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon != NULL ? colon + 1 : name;
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sys,
		       const XML_Char *pub, int subset)
{
	(void)name, (void)sys, (void)pub, (void)subset;
	fail(arg, -EBADMSG);
}

static void XMLCALL on_start(void *arg, const XML_Char *name,
			     const XML_Char **atts)
{
	struct s3_list_parser *p = arg;

	(void)atts;
	name = s3_xml_name(name);
	text_clear(&p->text);
	if (++p->depth > DEPTH_MAX) {
		fail(p, -EBADMSG);
	} else if (p->depth == 1) {
		if (strcmp(name, "ListBucketResult") != 0)
			fail(p, -EPROTO);
		p->where = W_ROOT;
	} else if (p->depth == 2) {
		memset(&p->e, 0, sizeof(p->e));
		p->has_key = p->has_size = false;
		p->seconds = 0;
		p->etag[0] = p->class[0] = '\0';
		p->where = strcmp(name, "Contents") == 0         ? W_CONTENTS
			   : strcmp(name, "CommonPrefixes") == 0 ? W_PREFIXES
								 : W_OTHER;
	}
}

static void XMLCALL on_text(void *arg, const XML_Char *s, int n)
{
	struct s3_list_parser *p = arg;

	if (p->text.n + (size_t)n > TEXT_MAX)
		fail(p, -EBADMSG);
	else
		text_add(&p->text, s, (size_t)n);
	if (p->text.failed)
		fail(p, -ENOMEM);
}

static bool digits(const char *s, size_t n, int64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)s[i]))
			return false;
		*out = *out * 10 + (s[i] - '0');
	}
	return true;
}

int64_t s3_xml_time(const char *s)
{
	int64_t v[6];
	static const struct {
		uint8_t at, n;
	} part[6] = { { 0, 4 },  { 5, 2 },  { 8, 2 },
		      { 11, 2 }, { 14, 2 }, { 17, 2 } };
	struct tm tm = { 0 };

	if (strlen(s) < 19 || s[4] != '-' || s[7] != '-' || s[10] != 'T' ||
	    s[13] != ':' || s[16] != ':')
		return 0;
	for (size_t i = 0; i < 6; i++)
		if (!digits(s + part[i].at, part[i].n, &v[i]))
			return 0;
	if (v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > 31 || v[3] > 23 ||
	    v[4] > 59 || v[5] > 60)
		return 0;
	tm.tm_year = (int)v[0] - 1900;
	tm.tm_mon = (int)v[1] - 1;
	tm.tm_mday = (int)v[2];
	tm.tm_hour = (int)v[3];
	tm.tm_min = (int)v[4];
	tm.tm_sec = (int)v[5];
	return MAX((int64_t)timegm(&tm), 0);
}

/* A size below 2^63, or false. */
static bool size_of(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (!isdigit((unsigned char)*s) || v > INT64_MAX / 10)
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > INT64_MAX)
			return false;
	}
	*out = v;
	return true;
}

static void take_key(struct s3_list_parser *p)
{
	if (p->has_key) {
		fail(p, -EBADMSG);
		return;
	}
	p->has_key = true;
	p->e.at = p->keys.n;
	p->e.n = p->text.n;
	text_add(&p->keys, p->text.p != NULL ? p->text.p : "", p->text.n);
}

static void in_contents(struct s3_list_parser *p, const char *name,
			const char *value)
{
	if (strcmp(name, "Key") == 0)
		take_key(p);
	else if (strcmp(name, "Size") == 0)
		p->has_size = size_of(value, &p->e.st.size);
	else if (strcmp(name, "LastModified") == 0)
		p->seconds = s3_xml_time(value);
	else if (strcmp(name, "ETag") == 0)
		snprintf(p->etag, sizeof(p->etag), "%s", value);
	else if (strcmp(name, "StorageClass") == 0)
		snprintf(p->class, sizeof(p->class), "%s", value);
}

static void in_root(struct s3_list_parser *p, const char *name,
		    const char *value)
{
	if (strcmp(name, "IsTruncated") == 0) {
		p->truncated = strcasecmp(value, "true") == 0;
		p->said_truncated = true;
	} else if (strcmp(name, "EncodingType") == 0) {
		p->encoded = strcasecmp(value, "url") == 0;
	} else if (strcmp(name, "NextContinuationToken") == 0) {
		free(p->token);
		p->token = strdup(value);
		if (p->token == NULL)
			fail(p, -ENOMEM);
	}
}

static void end_entry(struct s3_list_parser *p, bool dir)
{
	struct s3_page *page = &p->page;

	if (!p->has_key) {
		fail(p, -EBADMSG);
		return;
	}
	if (page->n == p->room) {
		size_t room = p->room * 2 + 128;
		struct s3_page_entry *e;

		if (room > 2 * ENTRIES_MAX) {
			fail(p, -EBADMSG);
			return;
		}
		e = realloc(page->entry, room * sizeof(*e));
		if (e == NULL) {
			fail(p, -ENOMEM);
			return;
		}
		page->entry = e;
		p->room = room;
	}
	p->e.dir = dir;
	if (!dir) {
		p->e.st.mtime = ufs_mtime(p->seconds, 0);
		s3_version(p->etag[0] != '\0' ? p->etag : NULL, p->seconds,
			   &p->e.st);
		s3_storage_class(p->class, false, &p->e.st);
		if (!p->has_size) {
			p->e.st.size = 0;
			p->e.st.flags |= UFS_UNUSABLE;
			page->unusable++;
		}
	}
	page->entry[page->n++] = p->e;
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct s3_list_parser *p = arg;
	const char *value = p->text.p != NULL ? p->text.p : "";

	if (p->err != 0)
		return;
	name = s3_xml_name(name);
	if (p->depth == 3 && p->where == W_CONTENTS)
		in_contents(p, name, value);
	else if (p->depth == 3 && p->where == W_PREFIXES &&
		 strcmp(name, "Prefix") == 0)
		take_key(p);
	else if (p->depth == 2 && p->where == W_OTHER)
		in_root(p, name, value);
	else if (p->depth == 2)
		end_entry(p, p->where == W_PREFIXES);
	else if (p->depth == 1)
		p->closed = true;
	p->depth--;
	text_clear(&p->text);
}

int s3_list_new(struct s3_list_parser **out)
{
	struct s3_list_parser *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->xml = XML_ParserCreate("UTF-8");
	if (p->xml == NULL) {
		free(p);
		return -ENOMEM;
	}
	XML_SetUserData(p->xml, p);
	XML_SetElementHandler(p->xml, on_start, on_end);
	XML_SetCharacterDataHandler(p->xml, on_text);
	XML_SetStartDoctypeDeclHandler(p->xml, on_doctype);
	*out = p;
	return 0;
}

void s3_list_free(struct s3_list_parser *p)
{
	if (p == NULL)
		return;
	XML_ParserFree(p->xml);
	text_fini(&p->text);
	text_fini(&p->keys);
	free(p->token);
	free(p->page.entry);
	free(p);
}

static int parse(struct s3_list_parser *p, const char *bytes, size_t n,
		 bool last)
{
	if (p->err != 0)
		return p->err;
	p->bytes += n;
	if (p->bytes > BYTES_MAX)
		p->err = -EBADMSG;
	else if (XML_Parse(p->xml, bytes, (int)n, last) != XML_STATUS_OK &&
		 p->err == 0)
		p->err = XML_GetErrorCode(p->xml) == XML_ERROR_NO_MEMORY
			     ? -ENOMEM
			     : -EBADMSG;
	return p->err;
}

int s3_list_feed(struct s3_list_parser *p, const char *bytes, size_t n)
{
	while (n > 0) {
		size_t piece = MIN(n, MIB(1));
		int r = parse(p, bytes, piece, false);

		if (r < 0)
			return r;
		bytes += piece;
		n -= piece;
	}
	return 0;
}

static int by_key(const void *a, const void *b, void *keys)
{
	const struct s3_page_entry *x = a, *y = b;
	const char *k = keys;
	int r = str_cmp((struct str){ k + x->at, x->n },
			(struct str){ k + y->at, y->n });

	return r != 0 ? r : (x->dir > y->dir) - (x->dir < y->dir);
}

int s3_list_end(struct s3_list_parser *p, const struct s3_page **out)
{
	struct s3_page *page = &p->page;
	size_t n = 0;
	int r = parse(p, "", 0, true);

	if (r < 0)
		return r;
	if (p->keys.failed || p->text.failed)
		return -ENOMEM;
	if (!p->closed || !p->said_truncated ||
	    (p->truncated && (p->token == NULL || *p->token == '\0')))
		return -EBADMSG;
	page->keys = p->keys.p != NULL ? p->keys.p : (char *)"";
	page->token = p->truncated ? p->token : NULL;
	for (size_t i = 0; p->encoded && i < page->n; i++)
		page->entry[i].n = url_decode(page->keys + page->entry[i].at,
					      page->entry[i].n, true);
	if (page->n > 1)
		qsort_r(page->entry, page->n, sizeof(*page->entry), by_key,
			page->keys);
	for (size_t i = 0; i < page->n; i++)
		if (n == 0 || by_key(&page->entry[n - 1], &page->entry[i],
				     page->keys) != 0)
			page->entry[n++] = page->entry[i];
	page->n = n;
	*out = page;
	return 0;
}

/* Of an error only two words are wanted, wherever they stand. */
struct error_parser {
	XML_Parser xml;
	struct s3_error *out;
	unsigned depth;
	char text[64];
	size_t n;
	bool too_long;
};

static void error_doctype(void *arg, const XML_Char *name, const XML_Char *sys,
			  const XML_Char *pub, int subset)
{
	struct error_parser *p = arg;

	(void)name, (void)sys, (void)pub, (void)subset;
	XML_StopParser(p->xml, XML_FALSE);
}

static void XMLCALL error_start(void *arg, const XML_Char *name,
				const XML_Char **atts)
{
	struct error_parser *p = arg;

	(void)name, (void)atts;
	p->n = 0;
	p->too_long = false;
	if (++p->depth > DEPTH_MAX)
		XML_StopParser(p->xml, XML_FALSE);
}

static void XMLCALL error_text(void *arg, const XML_Char *s, int n)
{
	struct error_parser *p = arg;

	if ((size_t)n >= sizeof(p->text) - p->n) {
		p->too_long = true;
		return;
	}
	memcpy(p->text + p->n, s, (size_t)n);
	p->n += (size_t)n;
}

static void XMLCALL error_end(void *arg, const XML_Char *name)
{
	struct error_parser *p = arg;
	char *to = NULL;

	name = s3_xml_name(name);
	p->depth--;
	if (strcmp(name, "Code") == 0 && p->out->code[0] == '\0')
		to = p->out->code;
	else if (strcmp(name, "Region") == 0 && p->out->region[0] == '\0')
		to = p->out->region;
	if (to != NULL && !p->too_long) {
		/* Words; the rest could forge something somewhere. */
		for (size_t i = 0; i < p->n; i++)
			if (!isalnum((unsigned char)p->text[i]) &&
			    strchr("._-", p->text[i]) == NULL)
				p->n = 0;
		memcpy(to, p->text, p->n);
		to[p->n] = '\0';
	}
	p->n = 0;
}

bool s3_error_parse(const char *body, size_t n, struct s3_error *out)
{
	struct error_parser p = { .out = out };
	bool memory;

	memset(out, 0, sizeof(*out));
	if (n == 0)
		return true;
	p.xml = XML_ParserCreate("UTF-8");
	if (p.xml == NULL)
		return false;
	XML_SetUserData(p.xml, &p);
	XML_SetElementHandler(p.xml, error_start, error_end);
	XML_SetCharacterDataHandler(p.xml, error_text);
	XML_SetStartDoctypeDeclHandler(p.xml, error_doctype);
	/* What it found counts, also if the rest is no XML. */
	memory = XML_Parse(p.xml, body, (int)n, 1) == XML_STATUS_OK ||
		 XML_GetErrorCode(p.xml) != XML_ERROR_NO_MEMORY;
	XML_ParserFree(p.xml);
	return memory;
}
