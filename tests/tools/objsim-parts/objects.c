/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.c - buckets and their objects, in memory
 *
 * A bucket is an array in key order. Objects never change once put: a reader
 * that holds a reference goes on with the version that it began with. Large
 * ones need no memory: their bytes are made from a seed, and what is copied or
 * put together of parts refers to those.
 */
#include "sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bucket *buckets;
static size_t nbuckets;

void objects_lock(void)
{
	pthread_mutex_lock(&lock);
}

void objects_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

struct bucket *bucket_find(const char *name, bool make)
{
	for (size_t i = 0; i < nbuckets; i++)
		if (strcmp(buckets[i].name, name) == 0)
			return &buckets[i];
	if (!make)
		return NULL;
	buckets = need(realloc(buckets, (nbuckets + 1) * sizeof(*buckets)));
	buckets[nbuckets] = (struct bucket){ .name = need(strdup(name)) };
	return &buckets[nbuckets++];
}

static void bucket_free(struct bucket *b)
{
	for (size_t i = 0; i < b->n; i++)
		object_unref(b->objects[i]);
	free(b->objects);
	free(b->name);
}

void bucket_remove(const char *name)
{
	struct bucket *b = bucket_find(name, false);

	if (b == NULL)
		return;
	bucket_free(b);
	*b = buckets[--nbuckets];
}

void buckets_clear(void)
{
	while (nbuckets > 0)
		bucket_free(&buckets[--nbuckets]);
}

size_t bucket_lower_bound(const struct bucket *b, struct bytes key)
{
	size_t lo = 0, hi = b->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (bytes_cmp(b->objects[mid]->key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct object *bucket_get(const struct bucket *b, struct bytes key)
{
	size_t i = bucket_lower_bound(b, key);

	if (i < b->n && bytes_cmp(b->objects[i]->key, key) == 0)
		return b->objects[i];
	return NULL;
}

void bucket_put(struct bucket *b, struct object *o)
{
	size_t i = bucket_lower_bound(b, o->key);

	if (i < b->n && bytes_cmp(b->objects[i]->key, o->key) == 0) {
		object_unref(b->objects[i]);
		b->objects[i] = o;
		return;
	}
	if (b->n == b->cap) {
		b->cap = b->cap * 2 + 64;
		b->objects =
		    need(realloc(b->objects, b->cap * sizeof(struct object *)));
	}
	memmove(b->objects + i + 1, b->objects + i,
		(b->n - i) * sizeof(struct object *));
	b->objects[i] = o;
	b->n++;
}

bool bucket_delete(struct bucket *b, struct bytes key)
{
	size_t i = bucket_lower_bound(b, key);

	if (i == b->n || bytes_cmp(b->objects[i]->key, key) != 0)
		return false;
	object_unref(b->objects[i]);
	memmove(b->objects + i, b->objects + i + 1,
		(b->n - i - 1) * sizeof(struct object *));
	b->n--;
	return true;
}

/* Bytes of a position and a seed: no two 8-byte words of an object agree. */
static uint64_t word_at(uint64_t seed, uint64_t i)
{
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u ^ seed;

	x ^= x >> 31;
	x *= 0xbf58476d1ce4e5b9u;
	return x ^ x >> 29;
}

static void fill_own(const struct object *o, uint64_t off, char *to, size_t len)
{
	if (o->data != NULL) {
		memcpy(to, o->data + off, len);
		return;
	}
	while (len > 0) {
		uint64_t w = word_at(o->seed, off / 8);
		size_t skip = off % 8, n = 8 - skip < len ? 8 - skip : len;

		memcpy(to, (const char *)&w + skip, n);
		to += n;
		off += n;
		len -= n;
	}
}

/* The piece that has the byte at off; there is one. */
static const struct piece *piece_at(const struct object *o, uint64_t off)
{
	size_t lo = 0, hi = o->npieces;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (o->pieces[mid].at <= off)
			lo = mid;
		else
			hi = mid;
	}
	return &o->pieces[lo];
}

void object_fill(const struct object *o, uint64_t off, char *to, size_t len)
{
	if (o->npieces == 0) {
		fill_own(o, off, to, len);
		return;
	}
	for (const struct piece *p = piece_at(o, off); len > 0; p++) {
		uint64_t skip = off - p->at;
		size_t n = p->len - skip < len ? (size_t)(p->len - skip) : len;

		fill_own(p->of, p->off + skip, to, n);
		to += n;
		off += n;
		len -= n;
	}
}

static void each_own(const struct object *o, uint64_t off, uint64_t len,
		     void (*cb)(void *arg, const char *p, size_t n), void *arg)
{
	char buf[64 << 10];

	if (o->data != NULL) {
		cb(arg, o->data + off, len);
		return;
	}
	while (len > 0) {
		size_t n = len < sizeof(buf) ? (size_t)len : sizeof(buf);

		fill_own(o, off, buf, n);
		cb(arg, buf, n);
		off += n;
		len -= n;
	}
}

void object_each(const struct object *o,
		 void (*cb)(void *arg, const char *p, size_t n), void *arg)
{
	if (o->npieces == 0)
		each_own(o, 0, o->size, cb, arg);
	for (size_t i = 0; i < o->npieces; i++)
		each_own(o->pieces[i].of, o->pieces[i].off, o->pieces[i].len,
			 cb, arg);
}

static char *write_hex(const unsigned char *sum, unsigned n, char *to)
{
	for (unsigned i = 0; i < n; i++)
		to += sprintf(to, "%02x", sum[i]);
	return to;
}

void object_set_md5(struct object *o)
{
	unsigned char sum[SUM_MAX];
	unsigned n = sums_of(o, "md5", sum);

	o->etag[0] = '"';
	strcpy(write_hex(sum, n, o->etag + 1), "\"");
}

/* Never read whole: any strong tag will do. */
static void set_made_tag(struct object *o)
{
	unsigned char sum[SUM_MAX];
	uint64_t id[2] = { o->seed, o->size };
	unsigned n = sums_of_bytes(id, sizeof(id), "md5", sum);

	o->etag[0] = '"';
	strcpy(write_hex(sum, n, o->etag + 1), "-1\"");
}

void object_set_mtime(struct object *o, int64_t mtime)
{
	time_t t = mtime;
	struct tm tm;

	o->mtime = mtime;
	gmtime_r(&t, &tm);
	strftime(o->last_modified, sizeof(o->last_modified),
		 "%a, %d %b %Y %H:%M:%S GMT", &tm);
	strftime(o->listed, sizeof(o->listed), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
}

struct object *object_new(struct bytes key, char *data, uint64_t size,
			  uint64_t seed)
{
	struct object *o = need(calloc(1, sizeof(*o)));

	atomic_init(&o->refs, 1);
	o->key = key;
	o->data = data;
	o->size = size;
	o->seed = seed;
	object_set_mtime(o, time(NULL));
	if (data != NULL || size == 0)
		object_set_md5(o);
	else
		set_made_tag(o);
	return o;
}

struct object *object_of_pieces(struct bytes key)
{
	struct object *o = need(calloc(1, sizeof(*o)));

	atomic_init(&o->refs, 1);
	o->key = key;
	object_set_mtime(o, time(NULL));
	return o;
}

static void add_own(struct object *o, struct object *from, uint64_t off,
		    uint64_t len)
{
	if (len == 0)
		return;
	/* Room for a power of two, doubled when it is full. */
	if ((o->npieces & (o->npieces - 1)) == 0)
		o->pieces = need(
		    realloc(o->pieces, (o->npieces == 0 ? 1 : o->npieces * 2) *
					   sizeof(*o->pieces)));
	o->pieces[o->npieces++] =
	    (struct piece){ object_ref(from), off, len, o->size };
	o->size += len;
}

void object_add(struct object *o, struct object *from, uint64_t off,
		uint64_t len)
{
	const struct piece *p;

	if (from->npieces == 0) {
		add_own(o, from, off, len);
		return;
	}
	for (p = piece_at(from, off); len > 0; p++) {
		uint64_t skip = off - p->at;
		uint64_t n = p->len - skip < len ? p->len - skip : len;

		add_own(o, p->of, p->off + skip, n);
		off += n;
		len -= n;
	}
}

static void take_header(const struct request *r, const char *name, char *to,
			size_t size)
{
	const char *v = request_header(r, name);

	if (v != NULL)
		snprintf(to, size, "%s", v);
}

void object_describe(struct object *o, const struct request *r)
{
	size_t n;
	FILE *f;

	take_header(r, "content-type", o->content_type,
		    sizeof(o->content_type));
	take_header(r, "content-encoding", o->encoding, sizeof(o->encoding));
	/* What is between us and the client only. */
	if (strncmp(o->encoding, "aws-chunked", 11) == 0)
		o->encoding[0] = 0;
	take_header(r, "x-amz-storage-class", o->storage_class,
		    sizeof(o->storage_class));
	if (strcmp(o->storage_class, "STANDARD") == 0)
		o->storage_class[0] = 0;
	free(o->meta);
	f = need(open_memstream(&o->meta, &n));
	for (size_t i = 0; i < r->nheaders; i++)
		if (strncasecmp(r->headers[i].name, "x-amz-meta-", 11) == 0)
			fprintf(f, "%s: %s\r\n", r->headers[i].name,
				r->headers[i].value);
	fclose(f);
}

void object_like(struct object *o, const struct object *other)
{
	memcpy(o->content_type, other->content_type, sizeof(o->content_type));
	memcpy(o->encoding, other->encoding, sizeof(o->encoding));
	memcpy(o->storage_class, other->storage_class,
	       sizeof(o->storage_class));
	free(o->meta);
	o->meta = other->meta == NULL ? NULL : need(strdup(other->meta));
}

struct object *object_ref(struct object *o)
{
	atomic_fetch_add(&o->refs, 1);
	return o;
}

void object_unref(struct object *o)
{
	if (o == NULL || atomic_fetch_sub(&o->refs, 1) != 1)
		return;
	for (size_t i = 0; i < o->npieces; i++)
		object_unref(o->pieces[i].of);
	free(o->pieces);
	free(o->key.p);
	free(o->data);
	free(o->meta);
	free(o);
}
