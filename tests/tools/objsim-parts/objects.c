/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.c - buckets and their objects, in memory
 *
 * A bucket is an array in key order. Objects never change once put: a reader
 * that holds a reference goes on with the version that it began with. Large
 * ones need no memory: their bytes are made from a seed.
 */
#include "sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

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

void object_fill(const struct object *o, uint64_t off, char *to, size_t len)
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

static void set_md5(struct object *o)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	char *p = o->etag;

	if (o->data != NULL || o->size == 0) {
		EVP_Digest(o->data != NULL ? o->data : "", o->size, sum, &n,
			   EVP_md5(), NULL);
	} else {
		/* Never read whole: any strong tag will do. */
		uint64_t id[2] = { o->seed, o->size };

		EVP_Digest(id, sizeof(id), sum, &n, EVP_md5(), NULL);
	}
	*p++ = '"';
	for (unsigned i = 0; i < n; i++)
		p += sprintf(p, "%02x", sum[i]);
	if (o->data == NULL && o->size > 0)
		p += sprintf(p, "-1");
	strcpy(p, "\"");
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
	set_md5(o);
	return o;
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
	free(o->key.p);
	free(o->data);
	free(o);
}
