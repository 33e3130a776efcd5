/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.c - changes: PutObject, CopyObject, DeleteObject
 *
 * Conditions, checksums and errors are AWS'. What takes long, the checksums
 * of large bodies, is done without the lock; the conditions are looked at
 * under it, together with the change.
 */
#include "sim.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool write_is_op(const char *op)
{
	static const char *const ops[] = {
		"PUT",  "COPY",      "DELETE", "CREATE_UPLOAD",
		"PART", "PART_COPY", "ABORT",  "COMPLETE",
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(op, ops[i]) == 0)
			return true;
	return false;
}

bool write_conditions(const struct request *r, const struct object *old,
		      struct answer *a)
{
	const char *match = request_header(r, "if-match");
	const char *none = request_header(r, "if-none-match");

	if (!settings.conditions)
		return true;
	if (none != NULL && strcmp(none, "*") != 0)
		answer_error(a, 501, "NotImplemented", "If-None-Match");
	else if (match != NULL && old == NULL)
		answer_error(a, 404, "NoSuchKey", "If-Match of no object");
	else if (match != NULL && !tag_listed(match, old->etag))
		answer_error(a, 412, "PreconditionFailed", "If-Match");
	else if (none != NULL && old != NULL)
		answer_error(a, 412, "PreconditionFailed", "If-None-Match");
	else
		return true;
	return false;
}

/* Compare with what a header says; no header: true. */
static bool sum_is(const struct request *r, const struct object *o,
		   const char *header, const char *name, struct answer *a)
{
	const char *text = request_header(r, header);
	unsigned char sum[SUM_MAX], given[SUM_MAX];
	unsigned n = sums_size(name);

	if (text == NULL)
		return true;
	if (!base64_to(text, n, given)) {
		answer_error(a, 400,
			     strcmp(name, "md5") == 0 ? "InvalidDigest"
						      : "InvalidRequest",
			     "the checksum is none");
		return false;
	}
	sums_of(o, name, sum);
	if (memcmp(sum, given, n) == 0)
		return true;
	answer_error(a, 400, "BadDigest", "the body has another checksum");
	return false;
}

bool write_sums(const struct request *r, struct object *o, struct answer *a)
{
	const char *said = request_header(r, "x-amz-sdk-checksum-algorithm");
	const char *name;
	char header[40];

	if (!sum_is(r, o, "content-md5", "md5", a))
		return false;
	for (size_t i = 0; (name = sums_name(i)) != NULL; i++) {
		snprintf(header, sizeof(header), "x-amz-checksum-%s", name);
		if (request_header(r, header) == NULL)
			continue;
		if (o->checksum[0] != 0) {
			answer_error(a, 400, "InvalidRequest",
				     "more than one checksum");
			return false;
		}
		if (!sum_is(r, o, header, name, a))
			return false;
		snprintf(o->checksum, sizeof(o->checksum), "%s", name);
		snprintf(o->checksum_text, sizeof(o->checksum_text), "%s",
			 request_header(r, header));
	}
	if (said != NULL && o->checksum[0] == 0) {
		answer_error(a, 400, "InvalidRequest",
			     "x-amz-sdk-checksum-algorithm without a checksum");
		return false;
	}
	return true;
}

static void put_object(struct request *r, const struct target *t,
		       struct answer *a)
{
	struct object *o;
	struct bucket *b;

	if (r->body_len > settings.put_most) {
		answer_error(a, 400, "EntityTooLarge", "PUT");
		return;
	}
	o = object_new(bytes_copy(t->key.p, t->key.n), r->body, r->body_len, 0);
	r->body = NULL;
	object_describe(o, r);
	if (!write_sums(r, o, a)) {
		object_unref(o);
		return;
	}
	objects_lock();
	b = bucket_find(t->bucket, false);
	if (b == NULL) {
		answer_error(a, 404, "NoSuchBucket", "no such bucket");
	} else if (write_conditions(r, bucket_get(b, t->key), a)) {
		a->status = 200;
		snprintf(a->etag, sizeof(a->etag), "%s", o->etag);
		answer_checksum(a, o, true);
		bucket_put(b, object_ref(o));
	}
	objects_unlock();
	object_unref(o);
}

static bool source_conditions(const struct request *r, const struct object *o,
			      struct answer *a)
{
	const char *match = request_header(r, "x-amz-copy-source-if-match");
	const char *none = request_header(r, "x-amz-copy-source-if-none-match");
	const char *since =
	    request_header(r, "x-amz-copy-source-if-unmodified-since");
	struct tm tm = { 0 };

	if ((match != NULL && !tag_listed(match, o->etag)) ||
	    (none != NULL && tag_listed(none, o->etag)) ||
	    (since != NULL && match == NULL &&
	     strptime(since, "%a, %d %b %Y %H:%M:%S GMT", &tm) != NULL &&
	     o->mtime > timegm(&tm))) {
		answer_error(a, 412, "PreconditionFailed", "the copy's source");
		return false;
	}
	if (!o->restored && (strcmp(o->storage_class, "GLACIER") == 0 ||
			     strcmp(o->storage_class, "DEEP_ARCHIVE") == 0)) {
		answer_error(a, 403, "InvalidObjectState", "archived");
		return false;
	}
	return true;
}

struct object *write_source(const struct request *r, struct answer *a)
{
	const char *text = request_header(r, "x-amz-copy-source"), *slash;
	struct object *o = NULL;
	struct bytes whole, key;
	struct bucket *b;

	text += *text == '/';
	whole = pct_decode(text, strcspn(text, "?"), false);
	slash = memchr(whole.p, '/', whole.n);
	if (slash == NULL || slash + 1 == whole.p + whole.n) {
		free(whole.p);
		answer_error(a, 400, "InvalidArgument", "x-amz-copy-source");
		return NULL;
	}
	whole.p[slash - whole.p] = 0;
	key.p = whole.p + (slash - whole.p) + 1;
	key.n = whole.n - (size_t)(key.p - whole.p);
	objects_lock();
	b = bucket_find(whole.p, false);
	if (b != NULL)
		o = bucket_get(b, key);
	if (o != NULL)
		object_ref(o);
	objects_unlock();
	free(whole.p);
	if (o == NULL) {
		answer_error(a, 404, b == NULL ? "NoSuchBucket" : "NoSuchKey",
			     "no source of the copy");
	} else if (!source_conditions(r, o, a)) {
		object_unref(o);
		o = NULL;
	}
	return o;
}

void write_tags(FILE *f, const struct object *o)
{
	char name[16];
	size_t i;

	fprintf(f, "<ETag>%s</ETag>", o->etag);
	if (o->checksum[0] == 0)
		return;
	for (i = 0; o->checksum[i] != 0; i++)
		name[i] = (char)toupper(o->checksum[i]);
	name[i] = 0;
	fprintf(f, "<Checksum%s>%s</Checksum%s><ChecksumType>%s</ChecksumType>",
		name, o->checksum_text, name,
		strchr(o->checksum_text, '-') != NULL ? "COMPOSITE"
						      : "FULL_OBJECT");
}

void write_result(struct answer *a, const struct object *o, const char *what)
{
	size_t n;
	FILE *f = need(open_memstream(&a->text, &n));

	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s xmlns="
		"\"http://s3.amazonaws.com/doc/2006-03-01/\"><LastModified>%s"
		"</LastModified>",
		what, o->listed);
	write_tags(f, o);
	fprintf(f, "</%s>", what);
	fclose(f);
	a->status = 200;
	a->len = n;
	strcpy(a->content_type, "application/xml");
}

/* Nothing would change: AWS refuses that. */
static bool copies_itself(const struct request *r, const struct target *t,
			  const struct object *from)
{
	const char *how = request_header(r, "x-amz-metadata-directive");
	struct bucket *b;
	bool same;

	if (request_header(r, "x-amz-storage-class") != NULL ||
	    (how != NULL && strcmp(how, "REPLACE") == 0))
		return false;
	objects_lock();
	b = bucket_find(t->bucket, false);
	same = b != NULL && bucket_get(b, t->key) == from;
	objects_unlock();
	return same;
}

static struct object *copy_of(const struct request *r, const struct target *t,
			      struct object *from)
{
	const char *how = request_header(r, "x-amz-metadata-directive");
	const char *algorithm = request_header(r, "x-amz-checksum-algorithm");
	struct object *o = object_of_pieces(bytes_copy(t->key.p, t->key.n));
	char name[16];

	object_add(o, from, 0, from->size);
	object_set_md5(o);
	if (how != NULL && strcmp(how, "REPLACE") == 0)
		object_describe(o, r);
	else
		object_like(o, from);
	snprintf(name, sizeof(name), "%s",
		 algorithm != NULL ? algorithm : from->checksum);
	for (char *c = name; *c != 0; c++)
		*c |= *c >= 'A' && *c <= 'Z' ? 0x20 : 0;
	if (name[0] != 0)
		sums_set(o, name);
	return o;
}

static void copy_object(const struct request *r, const struct target *t,
			struct answer *a)
{
	struct object *from = write_source(r, a), *o = NULL;
	struct bucket *b;

	if (from == NULL)
		return;
	if (from->size > settings.put_most)
		answer_error(a, 400, "InvalidRequest",
			     "the source is too large for a copy");
	else if (copies_itself(r, t, from))
		answer_error(a, 400, "InvalidRequest",
			     "a copy onto itself that changes nothing");
	else
		o = copy_of(r, t, from);
	object_unref(from);
	if (o == NULL)
		return;
	objects_lock();
	b = bucket_find(t->bucket, false);
	if (b == NULL) {
		answer_error(a, 404, "NoSuchBucket", "no such bucket");
	} else if (!settings.copy_conditions ||
		   write_conditions(r, bucket_get(b, t->key), a)) {
		write_result(a, o, "CopyObjectResult");
		bucket_put(b, object_ref(o));
	}
	objects_unlock();
	object_unref(o);
}

static void delete_object(const struct request *r, const struct target *t,
			  struct answer *a)
{
	struct bucket *b;

	objects_lock();
	b = bucket_find(t->bucket, false);
	if (b == NULL) {
		answer_error(a, 404, "NoSuchBucket", "no such bucket");
	} else if (write_conditions(r, bucket_get(b, t->key), a)) {
		bucket_delete(b, t->key);
		a->status = 204;
	}
	objects_unlock();
}

void write_answer(struct request *r, const struct target *t, struct answer *a)
{
	if (t->key.n > 1024)
		answer_error(a, 400, "KeyTooLongError", "key too long");
	else if (strcmp(t->op, "PUT") == 0)
		put_object(r, t, a);
	else if (strcmp(t->op, "COPY") == 0)
		copy_object(r, t, a);
	else if (strcmp(t->op, "DELETE") == 0)
		delete_object(r, t, a);
	else if (strcmp(t->op, "CREATE_UPLOAD") == 0)
		upload_create(r, t, a);
	else if (strcmp(t->op, "COMPLETE") == 0)
		upload_complete(r, t, a);
	else if (strcmp(t->op, "ABORT") == 0)
		upload_abort(r, t, a);
	else
		upload_part(r, t, a);
}
