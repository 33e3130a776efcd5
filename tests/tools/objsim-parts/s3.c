/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3.c - the right answer to each request
 *
 * A rule may replace it here:
 *   status, code, message   an Error document, also one of status 200, as
 *                           COMPLETE and COPY have
 *   body, fill      this one; an @ in it is `fill` letters
 *   spaces          so much white space between the XML's declaration and its
 *                   root, with which S3 keeps a connection alive (after_bytes
 *                   cuts within it)
 *   whole, region, etag, no_etag
 * or spoil how it is sent (send.c), or what is received:
 *   read_bytes, read_then   only so much of the request's body is read, then
 *                   "rst" (the default), "stall" (until the client gives up)
 *                   or "answer": what the rule says, without the rest
 *   corrupt         one bit of the body is wrong before it is compared with
 *                   its checksums (but for x-amz-content-sha256)
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

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

static const char *op_of_bucket(const struct request *r, bool named)
{
	const char *m = r->method;

	if (strcmp(m, "GET") == 0)
		return !named                                 ? "BUCKETS"
		       : request_param(r, "location") != NULL ? "LOCATION"
		       : request_param(r, "uploads") != NULL  ? "UPLOADS"
							      : "LIST";
	return strcmp(m, "HEAD") == 0     ? "HEADBUCKET"
	       : strcmp(m, "PUT") == 0    ? "MAKEBUCKET"
	       : strcmp(m, "DELETE") == 0 ? "RMBUCKET"
					  : "OTHER";
}

static const char *op_of_key(const struct request *r)
{
	bool copy = request_header(r, "x-amz-copy-source") != NULL;
	bool upload = request_param(r, "uploadId") != NULL;
	const char *m = r->method;

	if (strcmp(m, "PUT") == 0 && upload &&
	    request_param(r, "partNumber") != NULL)
		return copy ? "PART_COPY" : "PART";
	if (strcmp(m, "PUT") == 0 && !upload)
		return copy ? "COPY" : "PUT";
	if (strcmp(m, "POST") == 0)
		return upload                                ? "COMPLETE"
		       : request_param(r, "uploads") != NULL ? "CREATE_UPLOAD"
							     : "OTHER";
	if (strcmp(m, "GET") == 0)
		return upload ? "PARTS" : "GET";
	if (strcmp(m, "DELETE") == 0)
		return upload ? "ABORT" : "DELETE";
	return strcmp(m, "HEAD") == 0 ? "HEAD" : "OTHER";
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
	t->op =
	    t->key.n == 0 ? op_of_bucket(r, t->bucket[0] != 0) : op_of_key(r);
}

int parse_range(const char *text, uint64_t size, uint64_t *off, uint64_t *len)
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

bool tag_listed(const char *list, const char *tag)
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

void answer_checksum(struct answer *a, const struct object *o, bool type)
{
	char name[40];

	if (o->checksum[0] == 0)
		return;
	snprintf(name, sizeof(name), "x-amz-checksum-%s", o->checksum);
	answer_header(a, name, o->checksum_text);
	if (type)
		answer_header(a, "x-amz-checksum-type",
			      strchr(o->checksum_text, '-') != NULL
				  ? "COMPOSITE"
				  : "FULL_OBJECT");
}

static void read_answer(const struct request *r, struct object *o,
			const struct fault *f, struct answer *a)
{
	const char *range = request_header(r, "range");
	const char *mode = request_header(r, "x-amz-checksum-mode");
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
	strcpy(a->content_type, o->content_type[0] != 0
				    ? o->content_type
				    : "application/octet-stream");
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
	if (o->meta != NULL &&
	    strlen(a->headers) + strlen(o->meta) < sizeof(a->headers))
		strcat(a->headers, o->meta);
	if (ranged == 0 && mode != NULL && strcmp(mode, "ENABLED") == 0)
		answer_checksum(a, o, true);
	a->object = object_ref(o);
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

static void right_answer(const struct request *r, const struct target *t,
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
	} else if (strcmp(t->op, "UPLOADS") == 0) {
		upload_list(r, t, a);
	} else if (strcmp(t->op, "PARTS") == 0) {
		upload_parts(r, t, a);
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

static size_t begin_entry(const struct request *r, const struct asked *q)
{
	struct entry e = { 0 };
	const char *auth = request_header(r, "authorization");
	const char *access = auth == NULL ? NULL : strstr(auth, "Credential=");
	const char *source = request_header(r, "x-amz-copy-source");
	const char *range = request_header(r, "x-amz-copy-source-range");
	size_t number;

	snprintf(e.op, sizeof(e.op), "%s", q->op);
	e.bucket = (char *)q->bucket;
	e.key = pct_encode(q->key, true);
	e.source = (char *)(source == NULL ? "" : source);
	copy_header(r, "range", e.range, sizeof(e.range));
	if (range != NULL)
		snprintf(e.range, sizeof(e.range), "%s", range);
	copy_header(r, "if-match", e.if_match, sizeof(e.if_match));
	copy_header(r, "if-none-match", e.if_none_match,
		    sizeof(e.if_none_match));
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

/* White space behind the declaration of an XML document. */
static void add_spaces(struct answer *a, size_t n)
{
	const char *root = a->text == NULL ? NULL : strstr(a->text, "?>");
	size_t at = root == NULL ? 0 : (size_t)(root + 2 - a->text);
	char *text;

	if (n == 0 || a->text == NULL)
		return;
	text = need(malloc(a->len + n + 1));
	memcpy(text, a->text, at);
	memset(text + at, ' ', n);
	memcpy(text + at + n, a->text + at, a->len - at);
	free(a->text);
	a->text = text;
	a->len += n;
	a->text[a->len] = 0;
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
	add_spaces(a, (size_t)fault_int(f, "spaces", 0));
	if (fault_flag(f, "no_etag"))
		a->etag[0] = 0;
	else if (fault_text(f, "etag") != NULL)
		snprintf(a->etag, sizeof(a->etag), "%s", fault_text(f, "etag"));
}

static void ask(const struct request *r, const struct target *t,
		struct asked *q)
{
	const struct bytes *prefix = request_param(r, "prefix");
	const struct bytes *token = request_param(r, "continuation-token");
	const struct bytes *part = request_param(r, "partNumber");
	const char *range = request_header(r, "range");

	*q = (struct asked){ .op = t->op, .bucket = t->bucket, .key = t->key };
	if (prefix != NULL &&
	    (strcmp(t->op, "LIST") == 0 || strcmp(t->op, "UPLOADS") == 0))
		q->key = *prefix;
	if (range != NULL && strncmp(range, "bytes=", 6) == 0)
		q->offset = strtoull(range + 6, NULL, 10);
	q->token = token == NULL ? "" : token->p;
	q->part = part == NULL ? 0 : strtoll(part->p, NULL, 10);
}

/*
 * Read the body, or as much of it as the rule lets us (*whole is false then).
 * False: no answer is to be given.
 */
static bool receive(struct conn *c, struct request *r, const struct fault *f,
		    bool *whole)
{
	int64_t most = fault_int(f, "read_bytes", -1);
	const char *then = fault_text(f, "read_then");

	*whole = most < 0;
	if (!request_body(c, r, most < 0 ? UINT64_MAX : (uint64_t)most))
		return false;
	if (*whole || (then != NULL && strcmp(then, "answer") == 0))
		return true;
	send_break(c->fd, then != NULL && strcmp(then, "stall") == 0);
	return false;
}

/* The answer before the rule has its say. */
static void answer(struct request *r, const struct target *t,
		   const struct fault *f, struct answer *a)
{
	if (fault_flag(f, "corrupt") && r->body_len > 0)
		r->body[r->body_len / 2] ^= 1;
	if (!fault_applies(f)) {
		a->status = 200;
	} else if (write_is_op(t->op)) {
		write_answer(r, t, a);
	} else {
		objects_lock();
		right_answer(r, t, f, a);
		objects_unlock();
	}
}

/* One request whose body, if whole, is there. */
static bool respond(struct conn *c, struct request *r, const struct target *t,
		    const struct fault *f, bool whole, struct answer *a,
		    uint64_t *sent)
{
	const char *code;
	bool keep = true;
	int status;

	if (fault_int(f, "delay_ms", 0) > 0)
		usleep((useconds_t)fault_int(f, "delay_ms", 0) * 1000);
	if (fault_flag(f, "hold"))
		keep = rules_wait(f->name, c->fd);
	status = whole ? sign_check(r, &code) : 0;
	if (status != 0)
		answer_error(a, status, code, "refused");
	else if (whole)
		answer(r, t, f, a);
	else
		a->status = 200;
	if (status == 0)
		replace_answer(f, a);
	if (keep)
		keep = answer_send(c, a, f, r->close || !whole, sent);
	if (!whole)
		send_drain(c->fd);
	return keep;
}

bool s3_serve(struct conn *c, struct request *r)
{
	struct answer a = { .head = strcmp(r->method, "HEAD") == 0 };
	struct target t = { 0 };
	struct asked q;
	struct fault f;
	uint64_t sent = 0;
	size_t number;
	bool keep, whole;

	find_target(r, &t);
	ask(r, &t, &q);
	number = begin_entry(r, &q);
	rules_match(&q, &f);
	keep = receive(c, r, &f, &whole);
	journal_received(number, r->body_len);
	if (keep)
		keep = respond(c, r, &t, &f, whole, &a, &sent);
	journal_end(number, a.status, sent, f.name);
	json_decref(f.spec);
	object_unref(a.object);
	free(a.text);
	free(t.key.p);
	return keep;
}
