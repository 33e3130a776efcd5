/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3.c - the right answer to each request
 *
 * A rule may replace it here (status, whole, region; body, in which an @ is
 * `fill` letters) or spoil how it is sent (send.c).
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

struct target {
	const char *op;
	char bucket[256];
	struct bytes key; /* owned */
};

void answer_header(struct answer *a, const char *name, const char *value)
{
	size_t n = strlen(a->headers);

	snprintf(a->headers + n, sizeof(a->headers) - n, "%s: %s\r\n", name,
		 value);
}

void answer_error(struct answer *a, int status, const char *code,
		  const char *message)
{
	a->status = status;
	free(a->text);
	object_unref(a->object);
	a->object = NULL;
	a->content_range[0] = a->etag[0] = a->length_text[0] = 0;
	strcpy(a->content_type, "application/xml");
	if (asprintf(&a->text,
		     "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>"
		     "%s</Code><Message>%s</Message><Region>%s</Region>"
		     "<RequestId>objsim</RequestId></Error>",
		     code, message, settings.region) < 0)
		abort();
	a->len = strlen(a->text);
	if (settings.region[0] != 0)
		answer_header(a, "x-amz-bucket-region", settings.region);
}

/* BUCKET.localhost, or the first part of the path. */
static void find_target(const struct request *r, struct target *t)
{
	const char *host = request_header(r, "host");
	const char *path = r->path + 1, *dot = NULL;
	size_t n;

	if (host != NULL)
		dot = strstr(host, ".localhost");
	if (dot != NULL) {
		snprintf(t->bucket, sizeof(t->bucket), "%.*s",
			 (int)(dot - host), host);
		n = 0;
	} else {
		n = strcspn(path, "/");
		snprintf(t->bucket, sizeof(t->bucket), "%.*s", (int)n, path);
		n += path[n] == '/';
	}
	t->key = pct_decode(path + n, strlen(path + n), false);
	if (t->key.n == 0 && strcmp(r->method, "GET") == 0)
		t->op = t->bucket[0] == 0                      ? "BUCKETS"
			: request_param(r, "location") != NULL ? "LOCATION"
							       : "LIST";
	else if (t->key.n == 0)
		t->op = strcmp(r->method, "HEAD") == 0     ? "HEADBUCKET"
			: strcmp(r->method, "PUT") == 0    ? "MAKEBUCKET"
			: strcmp(r->method, "DELETE") == 0 ? "RMBUCKET"
							   : "OTHER";
	else
		t->op = strcmp(r->method, "GET") == 0      ? "GET"
			: strcmp(r->method, "HEAD") == 0   ? "HEAD"
			: strcmp(r->method, "PUT") == 0    ? "PUT"
			: strcmp(r->method, "DELETE") == 0 ? "DELETE"
							   : "OTHER";
}

/* bytes=A-B, A-, -N into off and len: 1, 0 when to be ignored, -1 for 416. */
static int parse_range(const char *text, uint64_t size, uint64_t *off,
		       uint64_t *len)
{
	char *end;
	uint64_t a, b;

	if (text == NULL || strncmp(text, "bytes=", 6) != 0)
		return 0;
	text += 6;
	if (*text == '-') {
		a = strtoull(text + 1, &end, 10);
		if (*end != 0 || a == 0)
			return *end != 0 ? 0 : -1;
		*len = a < size ? a : size;
		*off = size - *len;
		return size == 0 ? -1 : 1;
	}
	a = strtoull(text, &end, 10);
	if (end == text || *end != '-')
		return 0;
	text = end + 1;
	b = *text == 0 ? UINT64_MAX : strtoull(text, &end, 10);
	if ((*text != 0 && *end != 0) || b < a)
		return 0;
	if (a >= size)
		return -1;
	if (b >= size)
		b = size - 1;
	*off = a;
	*len = b - a + 1;
	return 1;
}

/* Is tag one of the list, "*" for any? Weak tags never match If-Match. */
static bool tag_listed(const char *list, const char *tag)
{
	return strcmp(list, "*") == 0 ||
	       (tag[0] != 0 && strncmp(tag, "W/", 2) != 0 &&
		strstr(list, tag) != NULL);
}

static bool conditions(const struct request *r, const struct object *o,
		       struct answer *a)
{
	const char *v = request_header(r, "if-match");
	struct tm tm = { 0 };

	if (v != NULL && !tag_listed(v, o->etag)) {
		answer_error(a, 412, "PreconditionFailed", "If-Match");
		return false;
	}
	v = request_header(r, "if-unmodified-since");
	if (v != NULL && request_header(r, "if-match") == NULL &&
	    strptime(v, "%a, %d %b %Y %H:%M:%S GMT", &tm) != NULL &&
	    o->mtime > timegm(&tm)) {
		answer_error(a, 412, "PreconditionFailed",
			     "If-Unmodified-Since");
		return false;
	}
	v = request_header(r, "if-none-match");
	if (v != NULL && tag_listed(v, o->etag)) {
		a->status = 304;
		snprintf(a->etag, sizeof(a->etag), "%s", o->etag);
		return false;
	}
	return true;
}

static void read_answer(const struct request *r, struct object *o,
			const struct fault *f, struct answer *a)
{
	const char *range = request_header(r, "range");
	const char *mode = request_header(r, "x-amz-checksum-mode");
	char name[40];
	int ranged;

	if (!conditions(r, o, a))
		return;
	if (!a->head && !o->restored &&
	    (strcmp(o->storage_class, "GLACIER") == 0 ||
	     strcmp(o->storage_class, "DEEP_ARCHIVE") == 0)) {
		answer_error(a, 403, "InvalidObjectState", "archived");
		return;
	}
	a->off = 0;
	a->len = o->size;
	ranged = fault_flag(f, "whole") || a->head
		     ? 0
		     : parse_range(range, o->size, &a->off, &a->len);
	if (ranged < 0) {
		answer_error(a, 416, "InvalidRange", "out of range");
		snprintf(a->content_range, sizeof(a->content_range),
			 "bytes */%ju", (uintmax_t)o->size);
		return;
	}
	a->status = ranged > 0 ? 206 : 200;
	if (ranged > 0)
		snprintf(a->content_range, sizeof(a->content_range),
			 "bytes %ju-%ju/%ju", (uintmax_t)a->off,
			 (uintmax_t)(a->off + a->len - 1), (uintmax_t)o->size);
	snprintf(a->etag, sizeof(a->etag), "%s", o->etag);
	snprintf(a->length_text, sizeof(a->length_text), "%s", o->size_text);
	strcpy(a->content_type, "application/octet-stream");
	answer_header(a, "Last-Modified", o->last_modified);
	answer_header(a, "Accept-Ranges", "bytes");
	if (o->storage_class[0] != 0)
		answer_header(a, "x-amz-storage-class", o->storage_class);
	if (o->restored)
		answer_header(a, "x-amz-restore",
			      "ongoing-request=\"false\", expiry-date=\"Fri, "
			      "21 Dec 2029 00:00:00 GMT\"");
	if (o->encoding[0] != 0)
		answer_header(a, "Content-Encoding", o->encoding);
	if (o->sse[0] != 0)
		answer_header(a, "x-amz-server-side-encryption", o->sse);
	if (o->checksum[0] != 0 && ranged == 0 && mode != NULL &&
	    strcmp(mode, "ENABLED") == 0) {
		snprintf(name, sizeof(name), "x-amz-checksum-%s", o->checksum);
		answer_header(a, name, o->checksum_text);
		answer_header(a, "x-amz-checksum-type",
			      strchr(o->checksum_text, '-') != NULL
				  ? "COMPOSITE"
				  : "FULL_OBJECT");
	}
	a->object = object_ref(o);
}

static void put_answer(struct request *r, const struct target *t,
		       struct bucket *b, struct answer *a)
{
	struct object *old = bucket_get(b, t->key), *o;
	const char *match = request_header(r, "if-match");
	const char *none = request_header(r, "if-none-match");

	if ((match != NULL && (old == NULL || !tag_listed(match, old->etag))) ||
	    (none != NULL && old != NULL && tag_listed(none, old->etag))) {
		answer_error(a, 412, "PreconditionFailed", "PUT");
		return;
	}
	o = object_new(bytes_copy(t->key.p, t->key.n), r->body, r->body_len, 0);
	r->body = NULL;
	a->status = 200;
	snprintf(a->etag, sizeof(a->etag), "%s", o->etag);
	bucket_put(b, o);
}

static void buckets_answer(const struct target *t, struct answer *a)
{
	a->status = 200;
	if (strcmp(t->op, "MAKEBUCKET") == 0) {
		bucket_find(t->bucket, true);
		return;
	}
	strcpy(a->content_type, "application/xml");
	if (asprintf(&a->text,
		     "<?xml version=\"1.0\"?><LocationConstraint xmlns=\"http:"
		     "//s3.amazonaws.com/doc/2006-03-01/\">%s"
		     "</LocationConstraint>",
		     settings.region) < 0)
		abort();
	a->len = strlen(a->text);
}

static void right_answer(struct request *r, const struct target *t,
			 const struct fault *f, struct answer *a)
{
	struct bucket *b;
	struct object *o;

	if (strcmp(t->op, "MAKEBUCKET") == 0) {
		buckets_answer(t, a);
		return;
	}
	b = bucket_find(t->bucket, false);
	if (b == NULL) {
		answer_error(a, 404, "NoSuchBucket", "no such bucket");
	} else if (t->key.n > 1024) {
		answer_error(a, 400, "KeyTooLongError", "key too long");
	} else if (strcmp(t->op, "LIST") == 0) {
		list_answer(r, b, a);
	} else if (strcmp(t->op, "GET") == 0 || strcmp(t->op, "HEAD") == 0) {
		o = bucket_get(b, t->key);
		if (o == NULL)
			answer_error(a, 404, "NoSuchKey", "no such key");
		else
			read_answer(r, o, f, a);
	} else if (strcmp(t->op, "PUT") == 0) {
		put_answer(r, t, b, a);
	} else if (strcmp(t->op, "DELETE") == 0) {
		bucket_delete(b, t->key);
		a->status = 204;
	} else if (strcmp(t->op, "RMBUCKET") == 0) {
		bucket_remove(t->bucket);
		a->status = 204;
	} else if (strcmp(t->op, "LOCATION") == 0 ||
		   strcmp(t->op, "HEADBUCKET") == 0) {
		buckets_answer(t, a);
	} else {
		answer_error(a, 501, "NotImplemented", r->method);
	}
}

static void copy_header(const struct request *r, const char *name, char *to,
			size_t size)
{
	const char *v = request_header(r, name);

	snprintf(to, size, "%s", v == NULL ? "" : v);
}

static size_t begin_entry(const struct request *r, const struct target *t,
			  const struct bytes *key)
{
	struct entry e = { 0 };
	const char *auth = request_header(r, "authorization");
	const char *access = auth == NULL ? NULL : strstr(auth, "Credential=");
	size_t number;

	snprintf(e.op, sizeof(e.op), "%s", t->op);
	e.bucket = (char *)t->bucket;
	e.key = pct_encode(*key, true);
	copy_header(r, "range", e.range, sizeof(e.range));
	copy_header(r, "if-match", e.if_match, sizeof(e.if_match));
	snprintf(e.query, sizeof(e.query), "%s", r->query);
	if (access != NULL)
		snprintf(e.access, sizeof(e.access), "%.*s",
			 (int)strcspn(access + 11, "/"), access + 11);
	number = journal_begin(&e);
	free(e.key);
	return number;
}

/* The body, with its @ as so many letters. */
static char *filled(const char *body, size_t n)
{
	const char *at = strchr(body, '@');
	size_t len = strlen(body), before;
	char *text = need(malloc(len + n + 1));

	if (n == 0 || at == NULL)
		return memcpy(text, body, len + 1);
	before = (size_t)(at - body);
	memcpy(text, body, before);
	memset(text + before, 'a', n);
	memcpy(text + before + n, at + 1, len - before);
	return text;
}

/* What the rule says instead of the right answer. */
static void replace_answer(const struct fault *f, struct answer *a)
{
	const char *code = fault_text(f, "code"), *body = fault_text(f, "body");
	const char *region = fault_text(f, "region");
	const char *message = fault_text(f, "message");
	int status = (int)fault_int(f, "status", 0);

	if (status != 0 && (body == NULL || status >= 300)) {
		a->headers[0] = 0;
		answer_error(a, status, code != NULL ? code : "InternalError",
			     message != NULL ? message : "by rule");
	} else if (status != 0) {
		a->status = status;
	}
	if (region != NULL)
		answer_header(a, "x-amz-bucket-region", region);
	if (body != NULL) {
		free(a->text);
		object_unref(a->object);
		a->object = NULL;
		a->content_range[0] = 0;
		a->text = filled(body, (size_t)fault_int(f, "fill", 0));
		a->len = strlen(a->text);
	}
	if (fault_flag(f, "no_etag"))
		a->etag[0] = 0;
	else if (fault_text(f, "etag") != NULL)
		snprintf(a->etag, sizeof(a->etag), "%s", fault_text(f, "etag"));
}

bool s3_serve(struct conn *c, struct request *r)
{
	const struct bytes *prefix = request_param(r, "prefix"), *token;
	const char *range = request_header(r, "range"), *code;
	struct answer a = { .head = strcmp(r->method, "HEAD") == 0 };
	struct target t = { 0 };
	struct fault f;
	uint64_t offset = 0, sent = 0;
	size_t number;
	int status;
	bool keep = true;

	find_target(r, &t);
	if (strcmp(t.op, "LIST") == 0 && prefix == NULL)
		prefix = &t.key;
	else if (strcmp(t.op, "LIST") != 0)
		prefix = &t.key;
	number = begin_entry(r, &t, prefix);
	if (range != NULL && strncmp(range, "bytes=", 6) == 0)
		offset = strtoull(range + 6, NULL, 10);
	token = request_param(r, "continuation-token");
	rules_match(t.op, t.bucket, *prefix, offset,
		    token == NULL ? "" : token->p, &f);
	if (fault_int(&f, "delay_ms", 0) > 0)
		usleep((useconds_t)fault_int(&f, "delay_ms", 0) * 1000);
	if (fault_flag(&f, "hold"))
		keep = rules_wait(f.name, c->fd);
	status = sign_check(r, &code);
	objects_lock();
	if (status != 0)
		answer_error(&a, status, code, "refused");
	else if (fault_int(&f, "status", 0) < 300 || fault_flag(&f, "lost"))
		right_answer(r, &t, &f, &a);
	objects_unlock();
	if (status == 0)
		replace_answer(&f, &a);
	if (keep)
		keep = answer_send(c, &a, &f, r->close, &sent);
	journal_end(number, a.status, sent, f.name);
	json_decref(f.spec);
	object_unref(a.object);
	free(a.text);
	free(t.key.p);
	return keep;
}
