/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.c - ListObjectsV2
 *
 * The continuation token is the percent-encoded last key or prefix given,
 * after a `k` or a `p`: a page goes on behind it. A `p` skips all that begins
 * with it.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static bool starts(struct bytes s, struct bytes prefix)
{
	return prefix.n == 0 ||
	       (s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* The first object behind all keys that begin with prefix, from i on. */
static size_t skip_prefix(const struct bucket *b, size_t i, struct bytes prefix)
{
	size_t hi = b->n;

	while (i < hi) {
		size_t mid = i + (hi - i) / 2;

		if (starts(b->objects[mid]->key, prefix) ||
		    bytes_cmp(b->objects[mid]->key, prefix) < 0)
			i = mid + 1;
		else
			hi = mid;
	}
	return i;
}

static void write_object(FILE *f, const struct object *o, bool url)
{
	char size[32];

	snprintf(size, sizeof(size), "%ju", (uintmax_t)o->size);
	fputs("<Contents><Key>", f);
	xml_text(f, o->key, url);
	fprintf(f, "</Key><LastModified>%s</LastModified>", o->listed);
	if (o->etag[0] != 0) {
		struct bytes etag = { (char *)o->etag, strlen(o->etag) };

		fputs("<ETag>", f);
		xml_text(f, etag, false);
		fputs("</ETag>", f);
	}
	fprintf(f, "<Size>%s</Size><StorageClass>%s</StorageClass></Contents>",
		o->size_text[0] != 0 ? o->size_text : size,
		o->storage_class[0] != 0 ? o->storage_class : "STANDARD");
}

struct page {
	FILE *f;
	bool url;
	struct bytes prefix, delimiter;
	size_t max, count;
	char kind;         /* of the last entry: 'k' or 'p' */
	struct bytes last; /* borrowed */
};

/* Entries from i on; returns where the next page begins, or b->n. */
static size_t write_entries(const struct bucket *b, size_t i, struct page *p)
{
	while (i < b->n && starts(b->objects[i]->key, p->prefix)) {
		const struct object *o = b->objects[i];
		size_t from = p->prefix.n;
		char *cut = NULL;

		if (p->delimiter.n > 0)
			cut = memmem(o->key.p + from, o->key.n - from,
				     p->delimiter.p, p->delimiter.n);
		if (o->not_listed) {
			i++;
			continue;
		}
		if (p->count == p->max)
			return i;
		p->count++;
		p->kind = cut == NULL ? 'k' : 'p';
		p->last = o->key;
		if (cut == NULL) {
			write_object(p->f, o, p->url);
			i++;
			continue;
		}
		p->last.n = (size_t)(cut - o->key.p) + p->delimiter.n;
		fputs("<CommonPrefixes><Prefix>", p->f);
		xml_text(p->f, p->last, p->url);
		fputs("</Prefix></CommonPrefixes>", p->f);
		i = skip_prefix(b, i, p->last);
	}
	return b->n;
}

static size_t start_at(const struct request *r, const struct bucket *b,
		       struct bytes prefix, bool *ok)
{
	const struct bytes *token = request_param(r, "continuation-token");
	const struct bytes *after = request_param(r, "start-after");
	size_t i = bucket_lower_bound(b, prefix), j = 0;

	if (token != NULL) {
		struct bytes key = { NULL, 0 };

		*ok =
		    token->n > 1 && (token->p[0] == 'k' || token->p[0] == 'p');
		if (!*ok)
			return 0;
		key = pct_decode(token->p + 1, token->n - 1, false);
		if (token->p[0] == 'p') {
			j = skip_prefix(b, bucket_lower_bound(b, key), key);
		} else {
			j = bucket_lower_bound(b, key);
			if (j < b->n && bytes_cmp(b->objects[j]->key, key) == 0)
				j++;
		}
		free(key.p);
	} else if (after != NULL) {
		j = bucket_lower_bound(b, *after);
		if (j < b->n && bytes_cmp(b->objects[j]->key, *after) == 0)
			j++;
	}
	return i > j ? i : j;
}

void list_answer(const struct request *r, const struct bucket *b,
		 struct answer *a)
{
	const struct bytes *v;
	struct page p = { .max = 1000 };
	size_t n, next;
	bool ok = true;

	if ((v = request_param(r, "prefix")) != NULL)
		p.prefix = *v;
	if ((v = request_param(r, "delimiter")) != NULL)
		p.delimiter = *v;
	if ((v = request_param(r, "max-keys")) != NULL)
		p.max = strtoul(v->p, NULL, 10);
	if (p.max > 1000)
		p.max = 1000;
	v = request_param(r, "encoding-type");
	p.url = v != NULL && strcmp(v->p, "url") == 0;
	next = start_at(r, b, p.prefix, &ok);
	if (!ok) {
		answer_error(a, 400, "InvalidArgument", "bad token");
		return;
	}
	p.f = need(open_memstream(&a->text, &n));
	fprintf(p.f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult "
		"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>%s"
		"</Name><Prefix>",
		b->name);
	xml_text(p.f, p.prefix, p.url);
	fprintf(p.f, "</Prefix><MaxKeys>%zu</MaxKeys>", p.max);
	if (p.url)
		fputs("<EncodingType>url</EncodingType>", p.f);
	if (p.max > 0)
		next = write_entries(b, next, &p);
	fprintf(p.f, "<KeyCount>%zu</KeyCount>", p.count);
	if (p.count > 0 && next < b->n) {
		char *token = pct_encode(p.last, false);

		fprintf(p.f,
			"<IsTruncated>true</IsTruncated>"
			"<NextContinuationToken>%c%s</NextContinuationToken>",
			p.kind, token);
		free(token);
	} else {
		fputs("<IsTruncated>false</IsTruncated>", p.f);
	}
	fputs("</ListBucketResult>", p.f);
	fclose(p.f);
	a->status = 200;
	a->len = n;
	strcpy(a->content_type, "application/xml");
}
