/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.c - which requests fail, and how
 *
 * A rule is a JSON object. It is tried in the order given; the first that
 * fits and fires decides. Which requests it fits:
 *   op       "GET", "HEAD", "LIST", "PUT", "COPY", "DELETE", "CREATE_UPLOAD",
 *            "PART", "PART_COPY", "COMPLETE", "ABORT", "UPLOADS", "PARTS"...;
 *            absent: all
 *   bucket, key   globs (the key of a LIST and of UPLOADS is their prefix)
 *   part     only the part of this number
 *   from     only ranges that begin at this byte or later
 *   token    only LISTs that go on with this token; "": that begin
 *   nth      begin with the n-th request that fits (1)
 *   count    fire so many times (no limit)
 *   probability, seed   fire by chance, the same one every run
 * What happens is in send.c and s3.c. `name` is how the test asks whether it
 * fired.
 *
 * A change under a rule is made unless the rule answers with an Error: by a
 * `status` without a `body`, or one of 300 and above. `apply` true makes it in
 * any case, and resets the connection if the rule gives no other answer: the
 * acknowledgement is lost. `apply` false makes it in no case; alone it is a
 * store that lies.
 */
#include "sim.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule *rules;
static int64_t unnamed;

static const char *const known[] = {
	"name",          "op",         "bucket",        "key",
	"from",          "token",      "nth",           "count",
	"probability",   "seed",       "status",        "code",
	"message",       "delay_ms",   "hold",          "after_bytes",
	"then",          "length_add", "two_lengths",   "chunked_and_length",
	"content_range", "whole",      "etag",          "flip",
	"no_length",     "region",     "date_offset_s", "headers",
	"flood",         "body",       "fill",          "lost",
	"no_etag",       "interim",    "raw",           "last_modified",
	"chunked",       "part",       "apply",         "corrupt",
	"read_bytes",    "read_then",  "spaces",
};

static bool is_known(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i], name) == 0)
			return true;
	return false;
}

static const char *add_one(json_t *spec)
{
	struct rule *r, **end = &rules;
	const char *name;
	json_t *value;

	if (!json_is_object(spec))
		return "a rule is an object";
	json_object_foreach(
	    spec, name,
	    value) if (!is_known(name)) return "a rule has an unknown member";
	r = need(calloc(1, sizeof(*r)));
	name = json_string_value(json_object_get(spec, "name"));
	if (name != NULL)
		r->name = need(strdup(name));
	else if (asprintf(&r->name, "rule%jd", (intmax_t)++unnamed) < 0)
		abort();
	r->spec = json_incref(spec);
	r->random = (uint64_t)json_integer_value(json_object_get(spec, "seed"));
	r->random += 0x9e3779b97f4a7c15u;
	while (*end != NULL)
		end = &(*end)->next;
	*end = r;
	return NULL;
}

const char *rules_add(json_t *spec)
{
	const char *why = NULL;
	json_t *one;
	size_t i;

	pthread_mutex_lock(&lock);
	if (json_is_array(spec)) {
		json_array_foreach(spec, i, one) if (why == NULL) why =
		    add_one(one);
	} else {
		why = add_one(spec);
	}
	pthread_mutex_unlock(&lock);
	return why;
}

void rules_remove(const char *name)
{
	struct rule **p = &rules, *r;

	pthread_mutex_lock(&lock);
	while ((r = *p) != NULL) {
		if (name != NULL && strcmp(r->name, name) != 0) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		json_decref(r->spec);
		free(r->name);
		free(r);
	}
	pthread_mutex_unlock(&lock);
}

static struct rule *find_locked(const char *name)
{
	for (struct rule *r = rules; r != NULL; r = r->next)
		if (strcmp(r->name, name) == 0)
			return r;
	return NULL;
}

void rules_release(const char *name)
{
	struct rule *r;

	pthread_mutex_lock(&lock);
	r = find_locked(name);
	if (r != NULL)
		r->released = true;
	pthread_mutex_unlock(&lock);
}

static bool fits(const struct rule *r, const struct asked *q)
{
	const char *want = json_string_value(json_object_get(r->spec, "op"));
	struct bytes b = { (char *)q->bucket, strlen(q->bucket) };
	json_t *from = json_object_get(r->spec, "from");
	json_t *part = json_object_get(r->spec, "part");

	if (want != NULL && strcmp(want, q->op) != 0)
		return false;
	want = json_string_value(json_object_get(r->spec, "bucket"));
	if (want != NULL && !glob_match(want, b))
		return false;
	want = json_string_value(json_object_get(r->spec, "key"));
	if (want != NULL && !glob_match(want, q->key))
		return false;
	want = json_string_value(json_object_get(r->spec, "token"));
	if (want != NULL &&
	    (strcmp(q->op, "LIST") != 0 || strcmp(want, q->token) != 0))
		return false;
	if (part != NULL && json_integer_value(part) != q->part)
		return false;
	return from == NULL || q->offset >= (uint64_t)json_integer_value(from);
}

static bool chance(struct rule *r)
{
	json_t *p = json_object_get(r->spec, "probability");
	uint64_t x;

	if (p == NULL)
		return true;
	r->random += 0x9e3779b97f4a7c15u;
	x = r->random;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	x ^= x >> 31;
	return (double)(x >> 11) / 9007199254740992.0 < json_number_value(p);
}

bool rules_match(const struct asked *q, struct fault *out)
{
	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&lock);
	for (struct rule *r = rules; r != NULL; r = r->next) {
		json_t *nth = json_object_get(r->spec, "nth");
		json_t *count = json_object_get(r->spec, "count");

		if (!fits(r, q))
			continue;
		r->seen++;
		if (nth != NULL && r->seen < json_integer_value(nth))
			continue;
		if (count != NULL && r->fired >= json_integer_value(count))
			continue;
		if (!chance(r))
			continue;
		r->fired++;
		snprintf(out->name, sizeof(out->name), "%s", r->name);
		/* jansson's counts are not for threads: a copy each. */
		out->spec = json_deep_copy(r->spec);
		break;
	}
	pthread_mutex_unlock(&lock);
	return out->spec != NULL;
}

int64_t rules_fired(const char *name)
{
	int64_t n = 0;

	pthread_mutex_lock(&lock);
	for (struct rule *r = rules; r != NULL; r = r->next)
		if (name == NULL || strcmp(r->name, name) == 0)
			n += r->fired;
	pthread_mutex_unlock(&lock);
	return n;
}

json_t *rules_dump(void)
{
	json_t *all = json_array();

	pthread_mutex_lock(&lock);
	for (struct rule *r = rules; r != NULL; r = r->next)
		json_array_append_new(
		    all, json_pack("{s:s, s:I, s:I, s:o}", "name", r->name,
				   "seen", (json_int_t)r->seen, "fired",
				   (json_int_t)r->fired, "rule",
				   json_deep_copy(r->spec)));
	pthread_mutex_unlock(&lock);
	return all;
}

bool rules_wait(const char *name, int fd)
{
	for (;;) {
		/* POLLRDHUP: the peer gave up. Its next request may not come
		 * before our answer, so nothing else can be readable. */
		struct pollfd p = { fd, POLLRDHUP, 0 };
		struct rule *r;
		bool go;

		pthread_mutex_lock(&lock);
		r = find_locked(name);
		go = r == NULL || r->released;
		pthread_mutex_unlock(&lock);
		if (go)
			return true;
		if (poll(&p, 1, 5) > 0)
			return false;
	}
}

const char *fault_text(const struct fault *f, const char *what)
{
	return json_string_value(json_object_get(f->spec, what));
}

int64_t fault_int(const struct fault *f, const char *what, int64_t otherwise)
{
	json_t *v = json_object_get(f->spec, what);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

bool fault_flag(const struct fault *f, const char *what)
{
	return json_is_true(json_object_get(f->spec, what));
}

bool fault_applies(const struct fault *f)
{
	json_t *v = json_object_get(f->spec, "apply");
	int64_t status = fault_int(f, "status", 0);

	if (v != NULL)
		return json_is_true(v);
	return fault_flag(f, "lost") || status == 0 ||
	       (status < 300 && fault_text(f, "body") != NULL);
}

bool fault_loses(const struct fault *f)
{
	return fault_flag(f, "lost") ||
	       (fault_flag(f, "apply") && fault_int(f, "status", 0) == 0 &&
		fault_text(f, "body") == NULL && fault_text(f, "raw") == NULL &&
		fault_int(f, "after_bytes", -1) < 0);
}
