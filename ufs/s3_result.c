/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_result.c - see s3_result.h
 *
 * These documents have values below their root, or in groups below it: one
 * walk serves them all. S3 sends blanks while it works, which XML does not
 * take before a declaration: they are skipped.
 */
#include "ufs/s3_result.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <strings.h>

#include "ufs/encode.h"
#include "ufs/s3_xml.h"

#define DEPTH_MAX 8
#define TEXT_MAX KIB(8)
#define UPLOADS_MAX 20000
#define NAME_MAX_BYTES 48

struct doc {
	XML_Parser xml;
	int err;
	unsigned depth;
	bool closed; /* the root's end was seen */
	char root[NAME_MAX_BYTES];
	char group[NAME_MAX_BYTES]; /* the element below the root */
	struct text text;           /* of the present element */
	/*
	 * An element of the root has ended (in is ""), or one of an element
	 * of it. 0 or -errno.
	 */
	int (*value)(void *arg, const char *in, const char *name,
		     const struct text *text);
	void *arg;
};

static void fail(struct doc *d, int err)
{
	if (d->err == 0)
		d->err = err;
	XML_StopParser(d->xml, XML_FALSE);
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
	struct doc *d = arg;

	(void)atts;
	name = s3_xml_name(name);
	text_clear(&d->text);
	if (++d->depth > DEPTH_MAX)
		fail(d, -EBADMSG);
	else if (d->depth == 1)
		snprintf(d->root, sizeof(d->root), "%s", name);
	else if (d->depth == 2)
		snprintf(d->group, sizeof(d->group), "%s", name);
}

static void XMLCALL on_text(void *arg, const XML_Char *s, int n)
{
	struct doc *d = arg;

	if (d->depth < 2)
		return; /* blanks that pass the time */
	if (d->text.n + (size_t)n > TEXT_MAX)
		fail(d, -EBADMSG);
	else
		text_add(&d->text, s, (size_t)n);
	if (d->text.failed)
		fail(d, -ENOMEM);
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct doc *d = arg;
	int r = 0;

	if (d->err != 0)
		return;
	text_add(&d->text, "", 0);
	if (d->text.failed)
		r = -ENOMEM;
	else if (d->depth == 1)
		d->closed = true;
	else if (d->depth == 2 || d->depth == 3)
		r = d->value(d->arg, d->depth == 2 ? "" : d->group,
			     s3_xml_name(name), &d->text);
	if (r < 0)
		fail(d, r);
	d->depth--;
	text_clear(&d->text);
}

static int walk(struct doc *d, const char *body, size_t n)
{
	while (n > 0 && strchr(" \t\r\n", *body) != NULL && *body != '\0') {
		body++;
		n--;
	}
	d->xml = XML_ParserCreate("UTF-8");
	if (d->xml == NULL)
		return -ENOMEM;
	XML_SetUserData(d->xml, d);
	XML_SetElementHandler(d->xml, on_start, on_end);
	XML_SetCharacterDataHandler(d->xml, on_text);
	XML_SetStartDoctypeDeclHandler(d->xml, on_doctype);
	if (n > INT32_MAX)
		d->err = -EBADMSG;
	else if (XML_Parse(d->xml, body, (int)n, 1) != XML_STATUS_OK &&
		 d->err == 0)
		d->err = XML_GetErrorCode(d->xml) == XML_ERROR_NO_MEMORY
			     ? -ENOMEM
			     : -EBADMSG;
	if (d->err == 0 && !d->closed)
		d->err = -EBADMSG;
	XML_ParserFree(d->xml);
	text_fini(&d->text);
	return d->err;
}

static bool keep(char *to, size_t size, const struct text *text)
{
	if (text->n >= size || memchr(text->p, '\0', text->n) != NULL)
		return false;
	memcpy(to, text->p, text->n + 1);
	return true;
}

static int result_value(void *arg, const char *in, const char *name,
			const struct text *text)
{
	struct s3_result *r = arg;
	bool ok = true;

	if (*in != '\0')
		return 0;
	if (strcmp(name, "ETag") == 0) {
		ok = keep(r->etag, sizeof(r->etag), text);
	} else if (strcmp(name, "ChecksumCRC64NVME") == 0) {
		ok = keep(r->crc64, sizeof(r->crc64), text);
	} else if (strcmp(name, "ChecksumType") == 0) {
		ok = keep(r->type, sizeof(r->type), text);
	} else if (strcmp(name, "LastModified") == 0) {
		r->seconds = s3_xml_time(text->p);
	} else if (strcmp(name, "UploadId") == 0) {
		free(r->upload);
		r->upload = strdup(text->p);
		if (r->upload == NULL)
			return -ENOMEM;
	}
	return ok ? 0 : -EBADMSG;
}

int s3_result_parse(const char *body, size_t n, const char *root,
		    struct s3_result *out)
{
	struct doc d = { .value = result_value, .arg = out };
	int r;

	s3_result_fini(out);
	r = walk(&d, body, n);
	/* Its words may be cut short; that it is one is enough. */
	if (r != -ENOMEM && strcmp(d.root, "Error") == 0)
		return -EPROTO;
	if (r == 0 && strcmp(d.root, root) != 0)
		r = -EBADMSG;
	return r;
}

void s3_result_fini(struct s3_result *r)
{
	free(r->upload);
	memset(r, 0, sizeof(*r));
}

struct uploads_doc {
	struct s3_uploads *out;
	struct text bytes, next_key, next_id;
	struct s3_upload_entry e; /* the one being read */
	bool has_key, has_id;
	bool truncated, said_truncated, encoded;
};

static int end_upload(struct uploads_doc *u)
{
	struct s3_uploads *out = u->out;

	if (!u->has_key || !u->has_id || out->n >= UPLOADS_MAX)
		return -EBADMSG;
	if (out->n == out->room) {
		size_t room = out->room * 2 + 64;
		struct s3_upload_entry *e =
		    realloc(out->entry, room * sizeof(*e));

		if (e == NULL)
			return -ENOMEM;
		out->entry = e;
		out->room = room;
	}
	out->entry[out->n++] = u->e;
	memset(&u->e, 0, sizeof(u->e));
	u->has_key = u->has_id = false;
	return 0;
}

static int in_upload(struct uploads_doc *u, const char *name,
		     const struct text *text)
{
	if (strcmp(name, "Key") == 0) {
		if (u->has_key)
			return -EBADMSG;
		u->has_key = true;
		u->e.key = u->bytes.n;
		u->e.n = text->n;
		text_add(&u->bytes, text->p, text->n);
	} else if (strcmp(name, "UploadId") == 0) {
		if (u->has_id || text->n == 0 ||
		    memchr(text->p, '\0', text->n) != NULL)
			return -EBADMSG;
		u->has_id = true;
		u->e.id = u->bytes.n;
		text_add(&u->bytes, text->p, text->n + 1);
	} else if (strcmp(name, "Initiated") == 0) {
		u->e.seconds = s3_xml_time(text->p);
	}
	return u->bytes.failed ? -ENOMEM : 0;
}

static int uploads_value(void *arg, const char *in, const char *name,
			 const struct text *text)
{
	struct uploads_doc *u = arg;
	struct text *to = NULL;

	if (strcmp(in, "Upload") == 0)
		return in_upload(u, name, text);
	if (*in != '\0')
		return 0;
	if (strcmp(name, "Upload") == 0)
		return end_upload(u);
	if (strcmp(name, "IsTruncated") == 0) {
		u->truncated = strcasecmp(text->p, "true") == 0;
		u->said_truncated = true;
	} else if (strcmp(name, "EncodingType") == 0) {
		u->encoded = strcasecmp(text->p, "url") == 0;
	} else if (strcmp(name, "NextKeyMarker") == 0) {
		to = &u->next_key;
	} else if (strcmp(name, "NextUploadIdMarker") == 0) {
		to = &u->next_id;
	}
	if (to == NULL)
		return 0;
	text_clear(to);
	text_add(to, text->p, text->n);
	return to->failed ? -ENOMEM : 0;
}

int s3_uploads_parse(const char *body, size_t n, struct s3_uploads *out)
{
	struct uploads_doc u = { .out = out };
	struct doc d = { .value = uploads_value, .arg = &u };
	int r;

	memset(out, 0, sizeof(*out));
	r = walk(&d, body, n);
	if (r == 0 && (strcmp(d.root, "ListMultipartUploadsResult") != 0 ||
		       !u.said_truncated || u.has_key || u.has_id ||
		       (u.truncated && u.next_key.n == 0)))
		r = -EBADMSG;
	out->bytes = u.bytes.p;
	for (size_t i = 0; u.encoded && i < out->n; i++)
		out->entry[i].n = url_decode(out->bytes + out->entry[i].key,
					     out->entry[i].n, true);
	if (r == 0 && u.truncated) {
		/* Also of one without an id: the keys behind this one. */
		text_add(&u.next_id, "", 0);
		if (u.next_id.failed)
			r = -ENOMEM;
		out->next_key_n =
		    u.encoded ? url_decode(u.next_key.p, u.next_key.n, true)
			      : u.next_key.n;
		out->next_key = take_ptr(u.next_key.p);
		out->next_id = take_ptr(u.next_id.p);
	}
	text_fini(&u.next_key);
	text_fini(&u.next_id);
	return r;
}

void s3_uploads_fini(struct s3_uploads *u)
{
	free(u->entry);
	free(u->bytes);
	free(u->next_key);
	free(u->next_id);
	memset(u, 0, sizeof(*u));
}
