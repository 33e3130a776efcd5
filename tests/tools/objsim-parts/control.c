/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - how a test speaks to objsim
 *
 *   POST /_sim/put?bucket=B&key=K[&size=N&seed=S][&etag=T][&mtime=SECONDS]
 *        [&last_modified=TEXT][&listed=TEXT][&size_text=TEXT]
 *        [&storage_class=C][&encoding=E][&not_listed=1][&sse=KIND]
 *        [&checksum=NAME][&checksum_text=BASE64][&restored=1]
 *        the body, or with size bytes of the seed, becomes the object;
 *        etag: none, weak, or literal without quotes; checksum: crc32,
 *        crc32c, crc64nvme, sha1, sha256, sha512 or md5, given to GETs of
 *        the whole that ask for it, with another value if one is named
 *   POST /_sim/many?bucket=B&prefix=P&n=N[&size=N]
 *        N objects, P0000000 and so on
 *   POST /_sim/delete?bucket=B&key=K, /_sim/bucket?name=B,
 *        /_sim/rmbucket?name=B
 *   GET  /_sim/get?bucket=B&key=K     the bytes, uncounted
 *   POST /_sim/rules (JSON), /_sim/clear[?rule=NAME], /_sim/release?rule=NAME
 *   GET  /_sim/rules, /_sim/fired[?rule=NAME]
 *   GET  /_sim/journal, /_sim/count, /_sim/bytes, /_sim/received,
 *        /_sim/running [?op=&key=GLOB&status=&rule=&bucket=]
 *        received: bytes of the requests' bodies
 *   GET  /_sim/head?bucket=B&key=K    what is known of it, as JSON
 *   GET  /_sim/uploads[?bucket=B&key=GLOB&parts=1]   how many have not ended,
 *        of those that have parts
 *   POST /_sim/abort[?bucket=B&key=GLOB]      they end without an object
 *   POST /_sim/settings (JSON), /_sim/forget (the journal), /_sim/reset
 *        (everything but the settings):
 *        access, secret, token, region, anonymous, check, clock_offset_s,
 *        payer; conditions, copy_conditions: false is a store that does not
 *        look at those of changes, of copies' targets; complete_again: an
 *        upload that has ended may be ended again; put_most, part_least,
 *        part_most, object_most (bytes), parts_most: the bounds of AWS
 *   POST /_sim/key?access=A&secret=S[&token=T][&uses=N]   one more key, which
 *        after N requests is ExpiredToken
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static int64_t param_int(const struct request *r, const char *name,
			 int64_t otherwise)
{
	const struct bytes *v = request_param(r, name);

	return v == NULL ? otherwise : strtoll(v->p, NULL, 10);
}

static void param_text(const struct request *r, const char *name, char *to,
		       size_t size)
{
	const struct bytes *v = request_param(r, name);

	if (v != NULL)
		snprintf(to, size, "%s", v->p);
}

/* Small made objects are stored as bytes so that their ETag is their MD5. */
enum { MADE_IN_MEMORY = 256 << 20 };

static struct object *object_of(struct request *r, struct bytes key)
{
	int64_t size = param_int(r, "size", -1);
	uint64_t seed = (uint64_t)param_int(r, "seed", 1);
	const struct bytes *etag = request_param(r, "etag");
	const struct bytes *sum = request_param(r, "checksum");
	struct object *o;

	if (size >= 0) {
		o = object_new(key, NULL, (uint64_t)size, seed);
		if (size <= MADE_IN_MEMORY) {
			char *data = need(malloc((size_t)size + 1));

			object_fill(o, 0, data, (size_t)size);
			key = bytes_copy(key.p, key.n);
			object_unref(o);
			o = object_new(key, data, (uint64_t)size, seed);
		}
	} else {
		o = object_new(key, r->body, r->body_len, 0);
		r->body = NULL;
	}
	if (etag != NULL && strcmp(etag->p, "none") == 0) {
		o->etag[0] = 0;
	} else if (etag != NULL && strcmp(etag->p, "weak") == 0) {
		memmove(o->etag + 2, o->etag, strlen(o->etag) + 1);
		memcpy(o->etag, "W/", 2);
	} else if (etag != NULL) {
		snprintf(o->etag, sizeof(o->etag), "\"%s\"", etag->p);
	}
	if (request_param(r, "mtime") != NULL)
		object_set_mtime(o, param_int(r, "mtime", 0));
	param_text(r, "last_modified", o->last_modified,
		   sizeof(o->last_modified));
	param_text(r, "listed", o->listed, sizeof(o->listed));
	param_text(r, "size_text", o->size_text, sizeof(o->size_text));
	param_text(r, "storage_class", o->storage_class,
		   sizeof(o->storage_class));
	param_text(r, "encoding", o->encoding, sizeof(o->encoding));
	param_text(r, "sse", o->sse, sizeof(o->sse));
	if (sum != NULL && !sums_set(o, sum->p)) {
		object_unref(o);
		return NULL;
	}
	param_text(r, "checksum_text", o->checksum_text,
		   sizeof(o->checksum_text));
	o->not_listed = param_int(r, "not_listed", 0) != 0;
	o->restored = param_int(r, "restored", 0) != 0;
	return o;
}

static const char *change_object(struct request *r, bool put)
{
	const struct bytes *name = request_param(r, "bucket");
	const struct bytes *key = request_param(r, "key");
	struct object *o = NULL;

	if (name == NULL || key == NULL)
		return "bucket and key are needed";
	if (put && (o = object_of(r, bytes_copy(key->p, key->n))) == NULL)
		return "no such checksum";
	objects_lock();
	if (put)
		bucket_put(bucket_find(name->p, true), o);
	else
		bucket_delete(bucket_find(name->p, true), *key);
	objects_unlock();
	return NULL;
}

static const char *many_objects(const struct request *r)
{
	const struct bytes *name = request_param(r, "bucket");
	const struct bytes *prefix = request_param(r, "prefix");
	int64_t n = param_int(r, "n", 0);
	uint64_t size = (uint64_t)param_int(r, "size", 1);
	char key[1100];

	if (name == NULL || prefix == NULL || prefix->n > 1000)
		return "bucket and prefix are needed";
	objects_lock();
	for (int64_t i = 0; i < n; i++) {
		int len = snprintf(key, sizeof(key), "%s%07jd", prefix->p,
				   (intmax_t)i);

		bucket_put(bucket_find(name->p, true),
			   object_new(bytes_copy(key, (size_t)len), NULL, size,
				      (uint64_t)i));
	}
	objects_unlock();
	return NULL;
}

static const char *change_bucket(const struct request *r, bool make)
{
	const struct bytes *name = request_param(r, "name");

	if (name == NULL)
		return "name is needed";
	objects_lock();
	if (make)
		bucket_find(name->p, true);
	else
		bucket_remove(name->p);
	objects_unlock();
	return NULL;
}

static void set_text(json_t *j, const char *name, char *to, size_t size)
{
	const char *v = json_string_value(json_object_get(j, name));

	if (v != NULL)
		snprintf(to, size, "%s", v);
}

static void set_flag(json_t *j, const char *name, bool *to)
{
	json_t *v = json_object_get(j, name);

	if (v != NULL)
		*to = json_is_true(v);
}

static void set_number(json_t *j, const char *name, uint64_t *to)
{
	json_t *v = json_object_get(j, name);

	if (v != NULL)
		*to = (uint64_t)json_integer_value(v);
}

static const char *change_settings(const struct request *r)
{
	json_t *j = json_loadb(r->body, r->body_len, 0, NULL), *v;

	if (j == NULL)
		return "not JSON";
	set_text(j, "access", settings.access, sizeof(settings.access));
	set_text(j, "secret", settings.secret, sizeof(settings.secret));
	set_text(j, "token", settings.token, sizeof(settings.token));
	set_text(j, "region", settings.region, sizeof(settings.region));
	set_flag(j, "anonymous", &settings.anonymous);
	set_flag(j, "payer", &settings.payer);
	set_flag(j, "check", &settings.check);
	set_flag(j, "conditions", &settings.conditions);
	set_flag(j, "copy_conditions", &settings.copy_conditions);
	set_flag(j, "complete_again", &settings.complete_again);
	set_number(j, "put_most", &settings.put_most);
	set_number(j, "part_least", &settings.part_least);
	set_number(j, "part_most", &settings.part_most);
	set_number(j, "parts_most", &settings.parts_most);
	set_number(j, "object_most", &settings.object_most);
	if ((v = json_object_get(j, "clock_offset_s")) != NULL)
		settings.clock_offset_s = json_integer_value(v);
	json_decref(j);
	return NULL;
}

static const char *add_rules(const struct request *r)
{
	json_t *j = json_loadb(r->body, r->body_len, 0, NULL);
	const char *why = j == NULL ? "not JSON" : rules_add(j);

	json_decref(j);
	return why;
}

static const char *put_key(const struct request *r)
{
	const struct bytes *access = request_param(r, "access");
	const struct bytes *secret = request_param(r, "secret");
	const struct bytes *token = request_param(r, "token");

	if (access == NULL || secret == NULL)
		return "access and secret are needed";
	keys_put(access->p, secret->p, token != NULL ? token->p : "",
		 param_int(r, "uses", -1));
	return NULL;
}

static void reset(void)
{
	keys_clear();
	rules_remove(NULL);
	journal_clear();
	objects_lock();
	buckets_clear();
	uploads_clear();
	objects_unlock();
}

static const char *post(struct request *r, const char *what)
{
	const struct bytes *rule = request_param(r, "rule");

	if (strcmp(what, "put") == 0)
		return change_object(r, true);
	if (strcmp(what, "delete") == 0)
		return change_object(r, false);
	if (strcmp(what, "many") == 0)
		return many_objects(r);
	if (strcmp(what, "bucket") == 0)
		return change_bucket(r, true);
	if (strcmp(what, "rmbucket") == 0)
		return change_bucket(r, false);
	if (strcmp(what, "rules") == 0)
		return add_rules(r);
	if (strcmp(what, "settings") == 0)
		return change_settings(r);
	if (strcmp(what, "key") == 0)
		return put_key(r);
	if (strcmp(what, "clear") == 0)
		rules_remove(rule == NULL ? NULL : rule->p);
	else if (strcmp(what, "release") == 0 && rule != NULL)
		rules_release(rule->p);
	else if (strcmp(what, "forget") == 0)
		journal_clear();
	else if (strcmp(what, "reset") == 0)
		reset();
	else if (strcmp(what, "abort") == 0)
		uploads_count(r, true);
	else
		return "no such command";
	return NULL;
}

/* A ref to the object that the parameters name, or NULL. */
static struct object *named_object(const struct request *r)
{
	const struct bytes *name = request_param(r, "bucket");
	const struct bytes *key = request_param(r, "key");
	struct bucket *b;
	struct object *o = NULL;

	objects_lock();
	b = name == NULL ? NULL : bucket_find(name->p, false);
	if (b != NULL && key != NULL)
		o = bucket_get(b, *key);
	if (o != NULL)
		object_ref(o);
	objects_unlock();
	return o;
}

static void get_object(const struct request *r, struct answer *a)
{
	struct object *o = named_object(r);

	a->status = o == NULL ? 404 : 200;
	a->len = o == NULL ? 0 : o->size;
	a->object = o;
}

static json_t *describe_object(const struct request *r)
{
	struct object *o = named_object(r);
	json_t *j;

	if (o == NULL)
		return NULL;
	j = json_pack("{s:I, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "size",
		      (json_int_t)o->size, "etag", o->etag, "mtime",
		      (json_int_t)o->mtime, "storage_class", o->storage_class,
		      "encoding", o->encoding, "content_type", o->content_type,
		      "meta", o->meta == NULL ? "" : o->meta, "checksum",
		      o->checksum, "checksum_text", o->checksum_text);
	object_unref(o);
	return j;
}

static void get(const struct request *r, const char *what, struct answer *a)
{
	const struct bytes *rule = request_param(r, "rule");
	struct count counted;
	json_t *j = NULL;
	int64_t n = -1;

	journal_count(r, &counted);
	if (strcmp(what, "journal") == 0)
		j = journal_dump(r);
	else if (strcmp(what, "rules") == 0)
		j = rules_dump();
	else if (strcmp(what, "head") == 0)
		j = describe_object(r);
	else if (strcmp(what, "bytes") == 0)
		n = (int64_t)counted.bytes;
	else if (strcmp(what, "received") == 0)
		n = (int64_t)counted.received;
	else if (strcmp(what, "running") == 0)
		n = counted.running;
	else if (strcmp(what, "uploads") == 0)
		n = uploads_count(r, false);
	else if (strcmp(what, "fired") == 0)
		n = rules_fired(rule == NULL ? NULL : rule->p);
	else if (strcmp(what, "count") == 0)
		n = counted.n;
	a->status = j == NULL && n < 0 ? 404 : 200;
	if (a->status == 404)
		return;
	if (j != NULL)
		a->text = json_dumps(j, JSON_INDENT(1));
	else if (asprintf(&a->text, "%jd\n", (intmax_t)n) < 0)
		abort();
	json_decref(j);
	a->len = strlen(a->text);
}

bool control_serve(struct conn *c, struct request *r)
{
	const char *what = r->path + strlen("/_sim/"), *why;
	struct answer a = { .status = 200 };
	struct fault none = { 0 };
	uint64_t sent;
	bool keep;

	if (strcmp(r->method, "GET") == 0 && strcmp(what, "get") == 0) {
		get_object(r, &a);
	} else if (strcmp(r->method, "GET") == 0) {
		get(r, what, &a);
	} else {
		why = post(r, what);
		if (why != NULL)
			answer_error(&a, 400, "Control", why);
	}
	keep = answer_send(c, &a, &none, r->close, &sent);
	object_unref(a.object);
	free(a.text);
	return keep;
}
