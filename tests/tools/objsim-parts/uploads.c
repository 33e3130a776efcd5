/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uploads.c - uploads of parts
 *
 * A part is an object without a place in a bucket; what an upload makes of its
 * parts refers to them. The ids of uploads are in the order in which they
 * began. With the setting complete_again an upload is remembered after its end,
 * and ending it again is answered as it was the first time.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <expat.h>

struct part {
	unsigned number;
	struct object *o; /* owns a ref */
};

struct upload {
	struct upload *next;
	char id[40];
	char *bucket;         /* owned */
	struct object *proto; /* owns a ref: the key, headers and checksum's
				 name of the object that is to be */
	bool composite;       /* its checksum: of the checksums of parts */
	struct part *parts;   /* owned, in the order of their numbers */
	size_t n;
	struct object *made; /* owns a ref; the upload has ended */
};

/* All under the lock of the objects. */
static struct upload *uploads; /* the latest first */
static uint64_t begun;

static void drop_parts(struct upload *u)
{
	for (size_t i = 0; i < u->n; i++)
		object_unref(u->parts[i].o);
	free(u->parts);
	u->parts = NULL;
	u->n = 0;
}

static void remove_upload(struct upload *u)
{
	struct upload **p = &uploads;

	while (*p != u)
		p = &(*p)->next;
	*p = u->next;
	drop_parts(u);
	object_unref(u->proto);
	object_unref(u->made);
	free(u->bucket);
	free(u);
}

void uploads_clear(void)
{
	while (uploads != NULL)
		remove_upload(uploads);
}

/* The one that the request names, also one that has ended. */
static struct upload *find_any(const struct request *r, const struct target *t)
{
	const struct bytes *id = request_param(r, "uploadId");

	for (struct upload *u = uploads; id != NULL && u != NULL; u = u->next)
		if (strcmp(u->id, id->p) == 0 &&
		    strcmp(u->bucket, t->bucket) == 0 &&
		    bytes_cmp(u->proto->key, t->key) == 0)
			return u;
	return NULL;
}

static struct upload *find(const struct request *r, const struct target *t,
			   struct answer *a)
{
	struct upload *u = find_any(r, t);

	if (u != NULL && u->made == NULL)
		return u;
	answer_error(a, 404, "NoSuchUpload",
		     "the upload does not exist, or has ended");
	return NULL;
}

static bool wanted(const struct upload *u, const struct request *r)
{
	const struct bytes *bucket = request_param(r, "bucket");
	const struct bytes *key = request_param(r, "key");

	return u->made == NULL &&
	       (u->n > 0 || request_param(r, "parts") == NULL) &&
	       (bucket == NULL || strcmp(bucket->p, u->bucket) == 0) &&
	       (key == NULL || glob_match(key->p, u->proto->key));
}

int64_t uploads_count(const struct request *r, bool end)
{
	struct upload *next;
	int64_t n = 0;

	objects_lock();
	for (struct upload *u = uploads; u != NULL; u = next) {
		next = u->next;
		if (!wanted(u, r))
			continue;
		n++;
		if (end)
			remove_upload(u);
	}
	objects_unlock();
	return n;
}

/* ---- CreateMultipartUpload ---- */

/* What the checksum will be; false: AWS has no such. */
static bool choose_checksum(const struct request *r, struct upload *u,
			    struct answer *a)
{
	const char *name = request_header(r, "x-amz-checksum-algorithm");
	const char *type = request_header(r, "x-amz-checksum-type");
	char *to = u->proto->checksum;
	bool crc, known = false;

	if (name == NULL && type == NULL)
		return true;
	snprintf(to, sizeof(u->proto->checksum), "%s",
		 name == NULL ? "" : name);
	for (char *c = to; *c != 0; c++)
		*c |= *c >= 'A' && *c <= 'Z' ? 0x20 : 0;
	crc = strncmp(to, "crc", 3) == 0;
	known = crc || strcmp(to, "sha1") == 0 || strcmp(to, "sha256") == 0;
	u->composite = strcmp(to, "crc64nvme") != 0;
	if (type != NULL)
		u->composite = strcmp(type, "COMPOSITE") == 0;
	if (!known || sums_size(to) == 0 || (!u->composite && !crc) ||
	    (u->composite && strcmp(to, "crc64nvme") == 0) ||
	    (type != NULL && !u->composite &&
	     strcmp(type, "FULL_OBJECT") != 0)) {
		answer_error(a, 400, "InvalidRequest",
			     "no such checksum algorithm and type");
		return false;
	}
	answer_header(a, "x-amz-checksum-algorithm", name);
	answer_header(a, "x-amz-checksum-type",
		      u->composite ? "COMPOSITE" : "FULL_OBJECT");
	return true;
}

void upload_create(const struct request *r, const struct target *t,
		   struct answer *a)
{
	struct upload *u = need(calloc(1, sizeof(*u)));
	size_t n;
	FILE *f;

	u->bucket = need(strdup(t->bucket));
	u->proto = object_of_pieces(bytes_copy(t->key.p, t->key.n));
	object_describe(u->proto, r);
	objects_lock();
	u->next = uploads;
	uploads = u;
	snprintf(u->id, sizeof(u->id), "upload-%012ju", (uintmax_t)++begun);
	if (bucket_find(t->bucket, false) == NULL) {
		answer_error(a, 404, "NoSuchBucket", "no such bucket");
		remove_upload(u);
	} else if (!choose_checksum(r, u, a)) {
		remove_upload(u);
	} else {
		f = need(open_memstream(&a->text, &n));
		fprintf(f,
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			"<InitiateMultipartUploadResult xmlns="
			"\"http://s3.amazonaws.com/doc/2006-03-01/\">"
			"<Bucket>%s</Bucket><Key>",
			t->bucket);
		xml_text(f, t->key, false);
		fprintf(f,
			"</Key><UploadId>%s</UploadId>"
			"</InitiateMultipartUploadResult>",
			u->id);
		fclose(f);
		a->len = n;
		a->status = 200;
		strcpy(a->content_type, "application/xml");
	}
	objects_unlock();
}

/* ---- UploadPart, UploadPartCopy ---- */

static struct object *copied_part(const struct request *r, struct answer *a)
{
	const char *range = request_header(r, "x-amz-copy-source-range");
	struct object *from = write_source(r, a), *o;
	uint64_t off = 0, len, last;
	char *end;

	if (from == NULL)
		return NULL;
	len = from->size;
	/* Both ends have to be there, and within the source. */
	if (range != NULL) {
		bool ok = strncmp(range, "bytes=", 6) == 0 &&
			  parse_range(range, from->size, &off, &len) == 1;

		if (ok) {
			strtoull(range + 6, &end, 10);
			last = *end == '-' ? strtoull(end + 1, &end, 10) : 0;
			ok = *end == 0 && last == off + len - 1;
		}
		if (!ok) {
			answer_error(a, 400, "InvalidArgument",
				     "x-amz-copy-source-range");
			object_unref(from);
			return NULL;
		}
	}
	o = object_of_pieces(bytes_copy("", 0));
	object_add(o, from, off, len);
	object_set_md5(o);
	object_unref(from);
	return o;
}

static void keep_part(struct upload *u, unsigned number, struct object *o)
{
	size_t i = 0;

	while (i < u->n && u->parts[i].number < number)
		i++;
	if (i < u->n && u->parts[i].number == number) {
		object_unref(u->parts[i].o);
		u->parts[i].o = o;
		return;
	}
	u->parts = need(realloc(u->parts, (u->n + 1) * sizeof(*u->parts)));
	memmove(u->parts + i + 1, u->parts + i, (u->n - i) * sizeof(*u->parts));
	u->parts[i] = (struct part){ number, o };
	u->n++;
}

/* The part's checksum has to be of the kind that the upload began with. */
static bool part_fits(const struct upload *u, const struct object *o,
		      struct answer *a)
{
	if (u->proto->checksum[0] == 0 ||
	    strcmp(u->proto->checksum, o->checksum) == 0)
		return true;
	answer_error(a, 400, "InvalidRequest",
		     "the upload began with another kind of checksum");
	return false;
}

void upload_part(struct request *r, const struct target *t, struct answer *a)
{
	const struct bytes *text = request_param(r, "partNumber");
	uint64_t number = strtoull(text->p, NULL, 10);
	bool copy = strcmp(t->op, "PART_COPY") == 0;
	struct object *o;
	struct upload *u;
	char sum[16] = "";

	objects_lock();
	u = find(r, t, a);
	if (u != NULL)
		memcpy(sum, u->proto->checksum, sizeof(sum));
	objects_unlock();
	if (u == NULL)
		return;
	if (number < 1 || number > settings.parts_most) {
		answer_error(a, 400, "InvalidArgument", "partNumber");
		return;
	}
	if (copy) {
		o = copied_part(r, a);
		if (o == NULL)
			return;
		if (sum[0] != 0)
			sums_set(o, sum);
	} else {
		o = object_new(bytes_copy("", 0), r->body, r->body_len, 0);
		r->body = NULL;
	}
	if (o->size > settings.part_most) {
		answer_error(a, 400, copy ? "InvalidRequest" : "EntityTooLarge",
			     "part too large");
	} else if (copy || write_sums(r, o, a)) {
		objects_lock();
		u = find(r, t, a);
		if (u != NULL && part_fits(u, o, a)) {
			keep_part(u, (unsigned)number, object_ref(o));
			a->status = 200;
			if (copy) {
				write_result(a, o, "CopyPartResult");
			} else {
				snprintf(a->etag, sizeof(a->etag), "%s",
					 o->etag);
				answer_checksum(a, o, false);
			}
		}
		objects_unlock();
	}
	object_unref(o);
}

/* ---- CompleteMultipartUpload ---- */

struct said {
	uint64_t number;
	char etag[200];
	char sum_name[24], sum[96]; /* "" for none */
};

struct body {
	struct said *parts; /* owned */
	size_t n;
	int depth;
	bool wrong;
	char text[256];
	size_t len;
};

static void element(void *arg, const XML_Char *name, const XML_Char **attr)
{
	struct body *b = arg;

	(void)attr;
	if (b->depth == 0 && strcmp(name, "CompleteMultipartUpload") != 0)
		b->wrong = true;
	if (b->depth == 1 && strcmp(name, "Part") == 0) {
		b->parts =
		    need(realloc(b->parts, (b->n + 1) * sizeof(*b->parts)));
		memset(&b->parts[b->n++], 0, sizeof(*b->parts));
	}
	b->depth++;
	b->len = 0;
}

static void characters(void *arg, const XML_Char *p, int n)
{
	struct body *b = arg;

	for (int i = 0; i < n && b->len + 1 < sizeof(b->text); i++)
		b->text[b->len++] = p[i];
}

static void element_end(void *arg, const XML_Char *name)
{
	struct body *b = arg;
	struct said *s = b->n > 0 ? &b->parts[b->n - 1] : NULL;

	b->text[b->len] = 0;
	b->depth--;
	if (b->depth != 2 || s == NULL)
		return;
	if (strcmp(name, "PartNumber") == 0) {
		s->number = strtoull(b->text, NULL, 10);
	} else if (strcmp(name, "ETag") == 0) {
		/* With its quotes, or without. */
		snprintf(s->etag, sizeof(s->etag),
			 b->text[0] == '"' ? "%.190s" : "\"%.190s\"", b->text);
	} else if (strncmp(name, "Checksum", 8) == 0) {
		snprintf(s->sum_name, sizeof(s->sum_name), "%.20s", name + 8);
		snprintf(s->sum, sizeof(s->sum), "%.95s", b->text);
	}
}

static bool parse_body(const struct request *r, struct body *b)
{
	XML_Parser p = need(XML_ParserCreate(NULL));
	bool ok;

	XML_SetUserData(p, b);
	XML_SetElementHandler(p, element, element_end);
	XML_SetCharacterDataHandler(p, characters);
	ok = XML_Parse(p, r->body, (int)r->body_len, 1) == XML_STATUS_OK;
	XML_ParserFree(p);
	return ok && !b->wrong && b->n > 0;
}

static struct object *part_of(const struct upload *u, uint64_t number)
{
	size_t lo = 0, hi = u->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (u->parts[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < u->n && u->parts[lo].number == number ? u->parts[lo].o
							  : NULL;
}

static bool part_is(const struct object *o, const struct said *s)
{
	return o != NULL && strcmp(o->etag, s->etag) == 0 &&
	       (s->sum[0] == 0 || (strcasecmp(s->sum_name, o->checksum) == 0 &&
				   strcmp(s->sum, o->checksum_text) == 0));
}

/* Put the parts together; NULL: a says why not. */
static struct object *join(const struct upload *u, const struct body *b,
			   struct answer *a)
{
	struct object *made;

	for (size_t i = 1; i < b->n; i++)
		if (b->parts[i].number <= b->parts[i - 1].number) {
			answer_error(a, 400, "InvalidPartOrder",
				     "parts are named in ascending order");
			return NULL;
		}
	for (size_t i = 0; i < b->n; i++)
		if (u->composite && b->parts[i].sum[0] == 0) {
			answer_error(a, 400, "InvalidRequest",
				     "a part is named without its checksum");
			return NULL;
		}
	for (size_t i = 0; i < b->n; i++)
		if (!part_is(part_of(u, b->parts[i].number), &b->parts[i])) {
			answer_error(a, 400, "InvalidPart",
				     "no such part, or another");
			return NULL;
		}
	made = object_of_pieces(bytes_copy(u->proto->key.p, u->proto->key.n));
	for (size_t i = 0; i < b->n; i++) {
		struct object *o = part_of(u, b->parts[i].number);

		if (i + 1 < b->n && o->size < settings.part_least)
			answer_error(a, 400, "EntityTooSmall",
				     "a part but the last is too small");
		else if (made->size + o->size > settings.object_most)
			answer_error(a, 400, "EntityTooLarge",
				     "the object would be too large");
		else {
			object_add(made, o, 0, o->size);
			continue;
		}
		object_unref(made);
		return NULL;
	}
	object_like(made, u->proto);
	return made;
}

/* The ETag, and the checksum of parts' checksums, in made. */
static void sum_parts(const struct upload *u, const struct body *b,
		      struct object *made)
{
	unsigned char sum[SUM_MAX], *all = need(malloc(b->n * SUM_MAX));
	unsigned n = sums_size("md5");
	char text[96], *to = made->etag;

	for (size_t i = 0; i < b->n; i++) {
		const char *hex = part_of(u, b->parts[i].number)->etag + 1;

		for (unsigned k = 0; k < n; k++)
			sscanf(hex + 2 * k, "%2hhx", &all[i * n + k]);
	}
	sums_of_bytes(all, b->n * n, "md5", sum);
	*to++ = '"';
	for (unsigned k = 0; k < n; k++)
		to += sprintf(to, "%02x", sum[k]);
	sprintf(to, "-%zu\"", b->n);
	if (u->composite) {
		n = sums_size(u->proto->checksum);
		for (size_t i = 0; i < b->n; i++)
			base64_to(part_of(u, b->parts[i].number)->checksum_text,
				  n, all + i * n);
		sums_of_bytes(all, b->n * n, u->proto->checksum, sum);
		base64_of(sum, n, text);
		snprintf(made->checksum_text, sizeof(made->checksum_text),
			 "%.80s-%zu", text, b->n);
	}
	memcpy(made->checksum, u->proto->checksum, sizeof(made->checksum));
	free(all);
}

/* What the request says of the whole object; without the lock. */
static bool check_whole(const struct request *r, struct object *made,
			bool composite, struct answer *a)
{
	const char *type = request_header(r, "x-amz-checksum-type");
	const char *size = request_header(r, "x-amz-mp-object-size");
	const char *name, *given;
	char header[40];

	if (size != NULL && strtoull(size, NULL, 10) != made->size) {
		answer_error(a, 400, "InvalidRequest", "x-amz-mp-object-size");
		return false;
	}
	if (type != NULL && made->checksum[0] != 0 &&
	    strcmp(type, composite ? "COMPOSITE" : "FULL_OBJECT") != 0) {
		answer_error(a, 400, "InvalidRequest", "x-amz-checksum-type");
		return false;
	}
	for (size_t i = 0; (name = sums_name(i)) != NULL; i++) {
		snprintf(header, sizeof(header), "x-amz-checksum-%s", name);
		given = request_header(r, header);
		if (given == NULL)
			continue;
		if (made->checksum[0] == 0)
			snprintf(made->checksum, sizeof(made->checksum), "%s",
				 name);
		if (strcmp(made->checksum, name) != 0) {
			answer_error(a, 400, "InvalidRequest",
				     "another kind of checksum");
			return false;
		}
		if (!composite)
			sums_set(made, name);
		if (strcmp(given, made->checksum_text) != 0) {
			answer_error(a, 400, "BadDigest",
				     "the object has another checksum");
			return false;
		}
	}
	if (made->checksum[0] != 0 && made->checksum_text[0] == 0)
		sums_set(made, made->checksum);
	return true;
}

static void complete_result(const struct target *t, const struct object *o,
			    struct answer *a)
{
	size_t n;
	FILE *f = need(open_memstream(&a->text, &n));

	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<CompleteMultipartUploadResult xmlns="
		"\"http://s3.amazonaws.com/doc/2006-03-01/\">"
		"<Location>http://localhost/%s/",
		t->bucket);
	xml_text(f, t->key, true);
	fprintf(f, "</Location><Bucket>%s</Bucket><Key>", t->bucket);
	xml_text(f, t->key, false);
	fputs("</Key>", f);
	write_tags(f, o);
	fputs("</CompleteMultipartUploadResult>", f);
	fclose(f);
	a->status = 200;
	a->len = n;
	strcpy(a->content_type, "application/xml");
}

/* The parts as they are named; with the lock. */
static struct object *prepare(const struct request *r, const struct target *t,
			      const struct body *b, bool *composite,
			      struct answer *a)
{
	struct upload *u = find_any(r, t);
	struct object *made;

	if (u != NULL && u->made != NULL && settings.complete_again) {
		complete_result(t, u->made, a);
		return NULL;
	}
	u = find(r, t, a);
	if (u == NULL)
		return NULL;
	*composite = u->composite;
	made = join(u, b, a);
	if (made != NULL)
		sum_parts(u, b, made);
	return made;
}

void upload_complete(const struct request *r, const struct target *t,
		     struct answer *a)
{
	struct body b = { 0 };
	struct object *made = NULL;
	struct upload *u;
	struct bucket *bucket;
	bool composite = false;

	objects_lock();
	if (!parse_body(r, &b))
		answer_error(a, 400, "MalformedXML", "the list of parts");
	else
		made = prepare(r, t, &b, &composite, a);
	objects_unlock();
	free(b.parts);
	if (made == NULL || !check_whole(r, made, composite, a)) {
		object_unref(made);
		return;
	}
	objects_lock();
	u = find(r, t, a);
	bucket = bucket_find(t->bucket, false);
	if (u != NULL && bucket == NULL) {
		answer_error(a, 404, "NoSuchBucket", "no such bucket");
	} else if (u != NULL &&
		   write_conditions(r, bucket_get(bucket, t->key), a)) {
		complete_result(t, made, a);
		bucket_put(bucket, object_ref(made));
		drop_parts(u);
		u->made = object_ref(made);
		if (!settings.complete_again)
			remove_upload(u);
	}
	objects_unlock();
	object_unref(made);
}

/* ---- AbortMultipartUpload, ListMultipartUploads, ListParts ---- */

void upload_abort(const struct request *r, const struct target *t,
		  struct answer *a)
{
	struct upload *u;

	objects_lock();
	u = find(r, t, a);
	if (u != NULL) {
		remove_upload(u);
		a->status = 204;
	}
	objects_unlock();
}

/* By key, then in the order in which they began. */
static int compare(const void *a, const void *b)
{
	const struct upload *x = *(struct upload *const *)a;
	const struct upload *y = *(struct upload *const *)b;
	int r = bytes_cmp(x->proto->key, y->proto->key);

	return r != 0 ? r : strcmp(x->id, y->id);
}

static bool listed(const struct upload *u, const struct request *r,
		   const struct target *t)
{
	const struct bytes *prefix = request_param(r, "prefix");
	const struct bytes *key = request_param(r, "key-marker");
	const struct bytes *id = request_param(r, "upload-id-marker");
	const struct bytes *mine = &u->proto->key;
	int after = key == NULL ? 1 : bytes_cmp(*mine, *key);

	if (u->made != NULL || strcmp(u->bucket, t->bucket) != 0)
		return false;
	if (prefix != NULL &&
	    (mine->n < prefix->n || memcmp(mine->p, prefix->p, prefix->n) != 0))
		return false;
	return after > 0 ||
	       (after == 0 && id != NULL && strcmp(u->id, id->p) > 0);
}

static size_t most_of(const struct request *r, const char *name)
{
	const struct bytes *v = request_param(r, name);
	size_t n = v == NULL ? 1000 : strtoul(v->p, NULL, 10);

	return n > 1000 ? 1000 : n;
}

void upload_list(const struct request *r, const struct target *t,
		 struct answer *a)
{
	const struct bytes *v = request_param(r, "encoding-type");
	bool url = v != NULL && strcmp(v->p, "url") == 0;
	size_t most = most_of(r, "max-uploads"), n = 0, len;
	struct upload **all = NULL;
	FILE *f = need(open_memstream(&a->text, &len));

	for (struct upload *u = uploads; u != NULL; u = u->next)
		if (listed(u, r, t)) {
			all = need(realloc(all, (n + 1) * sizeof(*all)));
			all[n++] = u;
		}
	if (n > 1)
		qsort(all, n, sizeof(*all), compare);
	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<ListMultipartUploadsResult xmlns="
		"\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>%s"
		"</Bucket><MaxUploads>%zu</MaxUploads><IsTruncated>%s"
		"</IsTruncated>%s",
		t->bucket, most, n > most && most > 0 ? "true" : "false",
		url ? "<EncodingType>url</EncodingType>" : "");
	if (n > most && most > 0) {
		fputs("<NextKeyMarker>", f);
		xml_text(f, all[most - 1]->proto->key, url);
		fprintf(f,
			"</NextKeyMarker><NextUploadIdMarker>%s"
			"</NextUploadIdMarker>",
			all[most - 1]->id);
	}
	for (size_t i = 0; i < n && i < most; i++) {
		fputs("<Upload><Key>", f);
		xml_text(f, all[i]->proto->key, url);
		fprintf(f,
			"</Key><UploadId>%s</UploadId><StorageClass>%s"
			"</StorageClass><Initiated>%s</Initiated></Upload>",
			all[i]->id,
			all[i]->proto->storage_class[0] != 0
			    ? all[i]->proto->storage_class
			    : "STANDARD",
			all[i]->proto->listed);
	}
	fputs("</ListMultipartUploadsResult>", f);
	fclose(f);
	free(all);
	a->status = 200;
	a->len = len;
	strcpy(a->content_type, "application/xml");
}

void upload_parts(const struct request *r, const struct target *t,
		  struct answer *a)
{
	const struct bytes *v = request_param(r, "part-number-marker");
	uint64_t after = v == NULL ? 0 : strtoull(v->p, NULL, 10);
	size_t most = most_of(r, "max-parts"), n = 0, i = 0, len;
	struct upload *u = find(r, t, a);
	char *parts;
	FILE *f;

	if (u == NULL)
		return;
	f = need(open_memstream(&parts, &len));
	while (i < u->n && u->parts[i].number <= after)
		i++;
	for (; i < u->n && n < most; i++, n++) {
		const struct object *o = u->parts[i].o;

		fprintf(f,
			"<Part><PartNumber>%u</PartNumber><LastModified>%s"
			"</LastModified><ETag>%s</ETag><Size>%ju</Size></Part>",
			u->parts[i].number, o->listed, o->etag,
			(uintmax_t)o->size);
		after = u->parts[i].number;
	}
	fclose(f);
	f = need(open_memstream(&a->text, &len));
	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListPartsResult "
		"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>%s"
		"</Bucket><Key>",
		t->bucket);
	xml_text(f, t->key, false);
	fprintf(f,
		"</Key><UploadId>%s</UploadId><NextPartNumberMarker>%ju"
		"</NextPartNumberMarker><MaxParts>%zu</MaxParts><IsTruncated>%s"
		"</IsTruncated>%s</ListPartsResult>",
		u->id, (uintmax_t)after, most, i < u->n ? "true" : "false",
		parts);
	fclose(f);
	free(parts);
	a->status = 200;
	a->len = len;
	strcpy(a->content_type, "application/xml");
}
