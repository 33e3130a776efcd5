/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - every request, in the order in which it came */
#include "sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries;
static size_t n, cap;
static size_t first; /* number of entries[0]: grows with each clear */

size_t journal_begin(const struct entry *e)
{
	size_t number;

	pthread_mutex_lock(&lock);
	if (n == cap) {
		cap = cap * 2 + 256;
		entries = need(realloc(entries, cap * sizeof(*entries)));
	}
	entries[n] = *e;
	entries[n].bucket = need(strdup(e->bucket));
	entries[n].key = need(strdup(e->key));
	entries[n].source = need(strdup(e->source));
	entries[n].at_ms = now_ms();
	number = first + n++;
	pthread_mutex_unlock(&lock);
	return number;
}

void journal_received(size_t number, uint64_t bytes)
{
	pthread_mutex_lock(&lock);
	if (number >= first && number - first < n)
		entries[number - first].received = bytes;
	pthread_mutex_unlock(&lock);
}

void journal_end(size_t number, int status, uint64_t bytes, const char *rule)
{
	pthread_mutex_lock(&lock);
	if (number >= first && number - first < n) {
		struct entry *e = &entries[number - first];

		e->status = status;
		e->bytes = bytes;
		e->done = true;
		snprintf(e->rule, sizeof(e->rule), "%s", rule);
	}
	pthread_mutex_unlock(&lock);
}

void journal_clear(void)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < n; i++) {
		free(entries[i].bucket);
		free(entries[i].key);
		free(entries[i].source);
	}
	first += n;
	n = 0;
	pthread_mutex_unlock(&lock);
}

static bool fits(const struct entry *e, const struct request *r)
{
	const struct bytes *want;
	bool ok = true;

	want = request_param(r, "op");
	if (want != NULL && strcmp(want->p, e->op) != 0)
		return false;
	want = request_param(r, "rule");
	if (want != NULL && strcmp(want->p, e->rule) != 0)
		return false;
	want = request_param(r, "bucket");
	if (want != NULL && strcmp(want->p, e->bucket) != 0)
		return false;
	want = request_param(r, "status");
	if (want != NULL && atoi(want->p) != e->status)
		return false;
	want = request_param(r, "key");
	if (want != NULL) {
		struct bytes key = pct_decode(e->key, strlen(e->key), false);

		ok = glob_match(want->p, key);
		free(key.p);
	}
	return ok;
}

json_t *journal_dump(const struct request *r)
{
	json_t *all = json_array();

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < n; i++) {
		const struct entry *e = &entries[i];

		if (!fits(e, r))
			continue;
		json_array_append_new(
		    all, json_pack("{s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, "
				   "s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:b}",
				   "n", (json_int_t)(first + i), "at_ms",
				   (json_int_t)e->at_ms, "op", e->op, "bucket",
				   e->bucket, "key", e->key, "query", e->query,
				   "range", e->range, "if_match", e->if_match,
				   "if_none_match", e->if_none_match, "source",
				   e->source, "access", e->access, "rule",
				   e->rule, "status", e->status, "bytes",
				   (json_int_t)e->bytes, "received",
				   (json_int_t)e->received, "done", e->done));
	}
	pthread_mutex_unlock(&lock);
	return all;
}

void journal_count(const struct request *r, struct count *out)
{
	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < n; i++)
		if (fits(&entries[i], r)) {
			out->n++;
			out->bytes += entries[i].bytes;
			out->received += entries[i].received;
			out->running += !entries[i].done;
		}
	pthread_mutex_unlock(&lock);
}
