/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_server.h - an etcd of one node, as far as its JSON gateway shows it
 *
 * It keeps keys, leases and the log of their changes as etcd 3.4 does, and
 * answers in the words that one was seen to use. A test makes it fail.
 */
#ifndef TESTS_UNIT_ETCD_SERVER_H
#define TESTS_UNIT_ETCD_SERVER_H

#include "tests/unit/ufs_server.h"

#include <jansson.h>
#include <openssl/evp.h>

#include "base/base.h"

#define FAKE_KEYS 64
#define FAKE_EVENTS 1024

enum fake_mode {
	FAKE_RIGHT,
	FAKE_EMPTY,   /* no keys, `empties` times */
	FAKE_GARBAGE, /* an answer that is no JSON */
	FAKE_ODD,     /* JSON, but not an answer */
	FAKE_FAILING, /* HTTP status 503 */
	FAKE_SILENT,
	FAKE_CUT, /* the connection is closed in the midst of it */
};

struct fake_key {
	char key[64], value[512];
	int64_t lease, revision;
};

static struct {
	struct server server;
	pthread_mutex_t lock;
	/* under lock */
	struct fake_key keys[FAKE_KEYS];
	size_t n;
	struct {
		struct fake_key key;
		bool deleted;
	} log[FAKE_EVENTS];
	size_t logged;
	int64_t revision, compacted, lease;
	bool lease_alive;
	char cluster[16];
	enum fake_mode range, watch, lease_mode;
	unsigned ranges, watches, grants, puts, keeps, revokes, logins;
	unsigned empties; /* so often, then it is right */
	unsigned cuts;    /* watches that were begun before are cut */
	bool with_user;
	char token[32]; /* "": nobody has one */
} fake;

static void fake_log(const struct fake_key *k, bool deleted)
{
	ck_assert_uint_lt(fake.logged, FAKE_EVENTS);
	fake.log[fake.logged].key = *k;
	fake.log[fake.logged++].deleted = deleted;
}

static void fake_put_locked(const char *key, const char *value, int64_t lease)
{
	size_t i = 0;

	while (i < fake.n && strcmp(fake.keys[i].key, key) != 0)
		i++;
	ck_assert_uint_lt(i, FAKE_KEYS);
	fake.n = MAX(fake.n, i + 1);
	fake.keys[i].lease = lease;
	fake.keys[i].revision = ++fake.revision;
	snprintf(fake.keys[i].key, sizeof(fake.keys[i].key), "%s", key);
	snprintf(fake.keys[i].value, sizeof(fake.keys[i].value), "%s", value);
	fake_log(&fake.keys[i], false);
}

static void fake_drop_locked(size_t i)
{
	fake.keys[i].revision = ++fake.revision;
	fake_log(&fake.keys[i], true);
	fake.keys[i] = fake.keys[--fake.n];
}

/* A worker as tarn writes it. */
__attribute__((unused)) static void fake_worker(const char *name, int weight)
{
	char key[64], value[512];

	snprintf(key, sizeof(key), "tarn/prod/%s", name);
	snprintf(value, sizeof(value),
		 "{\"name\":\"%s\",\"weight\":%d,\"protocol\":1}", name,
		 weight);
	pthread_mutex_lock(&fake.lock);
	fake_put_locked(key, value, 0);
	pthread_mutex_unlock(&fake.lock);
}

__attribute__((unused)) static void fake_put(const char *key, const char *value)
{
	pthread_mutex_lock(&fake.lock);
	fake_put_locked(key, value, 0);
	pthread_mutex_unlock(&fake.lock);
}

__attribute__((unused)) static void fake_drop(const char *key)
{
	pthread_mutex_lock(&fake.lock);
	for (size_t i = fake.n; i > 0; i--)
		if (strcmp(fake.keys[i - 1].key, key) == 0)
			fake_drop_locked(i - 1);
	pthread_mutex_unlock(&fake.lock);
}

static void fake_lease_ends_locked(void)
{
	for (size_t i = fake.n; i > 0; i--)
		if (fake.keys[i - 1].lease == fake.lease)
			fake_drop_locked(i - 1);
	fake.lease_alive = false;
}

__attribute__((unused)) static void fake_lease_ends(void)
{
	pthread_mutex_lock(&fake.lock);
	fake_lease_ends_locked();
	pthread_mutex_unlock(&fake.lock);
}

/* Change or read fields of fake. */
#define FAKE(statement)                                                        \
	do {                                                                   \
		pthread_mutex_lock(&fake.lock);                                \
		statement;                                                     \
		pthread_mutex_unlock(&fake.lock);                              \
	} while (0)

static json_t *fake_header(void)
{
	char revision[24];

	snprintf(revision, sizeof(revision), "%jd", (intmax_t)fake.revision);
	return json_pack("{ssssss}", "cluster_id", fake.cluster, "member_id",
			 "7", "revision", revision);
}

static json_t *fake_bytes(const char *s)
{
	char text[1024];

	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)s,
			(int)strlen(s));
	return json_string(text);
}

static void fake_text(const json_t *body, const char *field, char *out,
		      size_t size)
{
	const char *s = json_string_value(json_object_get(body, field));
	unsigned char raw[1024];
	size_t n = s != NULL ? strlen(s) : 0;
	int got;

	out[0] = '\0';
	if (n == 0)
		return;
	ck_assert_uint_lt(n, sizeof(raw));
	got = EVP_DecodeBlock(raw, (const unsigned char *)s, (int)n);
	ck_assert_int_gt(got, 0);
	got -= (s[n - 1] == '=') + (s[n - 2] == '=');
	snprintf(out, size, "%.*s", got, (const char *)raw);
}

static int64_t fake_number(const json_t *body, const char *field)
{
	const char *s = json_string_value(json_object_get(body, field));

	return s != NULL ? strtoll(s, NULL, 10) : 0;
}

static json_t *fake_kv(const struct fake_key *k, bool deleted)
{
	char revision[24];
	json_t *kv;

	snprintf(revision, sizeof(revision), "%jd", (intmax_t)k->revision);
	kv = json_pack("{soss}", "key", fake_bytes(k->key), "mod_revision",
		       revision);
	if (!deleted && k->value[0] != '\0')
		json_object_set_new(kv, "value", fake_bytes(k->value));
	return kv;
}

static void fake_send(int fd, int status, json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);

	json_decref(answer);
	server_say(fd,
		   "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
		   "Content-Length: %zu\r\n\r\n",
		   status, strlen(text));
	server_send(fd, text, strlen(text));
	free(text);
}

static json_t *fake_error(const char *words, int code)
{
	return json_pack("{sssssi}", "error", words, "message", words, "code",
			 code);
}

/* A failure that a test has asked for. True: that is all. */
static bool fake_fails(int fd, enum fake_mode mode, enum server_then *then)
{
	*then = SERVER_KEEP;
	switch (mode) {
	case FAKE_RIGHT:
	case FAKE_EMPTY:
		return false;
	case FAKE_GARBAGE:
		server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: "
			       "9\r\n\r\n<garbage>");
		return true;
	case FAKE_ODD:
		fake_send(fd, 200, json_pack("{ss}", "hello", "world"));
		return true;
	case FAKE_FAILING:
		fake_send(fd, 503, fake_error("etcdserver: no leader", 14));
		return true;
	case FAKE_SILENT:
		*then = SERVER_HOLD;
		return true;
	case FAKE_CUT:
		server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: "
			       "900\r\n\r\n{\"header\":{");
		*then = SERVER_CLOSE;
		return true;
	}
	return false;
}

static json_t *fake_range(const json_t *body)
{
	char key[128], end[128];
	json_t *kvs = json_array();

	fake.ranges++;
	fake_text(body, "key", key, sizeof(key));
	fake_text(body, "range_end", end, sizeof(end));
	for (size_t i = 0; i < fake.n && fake.range != FAKE_EMPTY; i++)
		if (end[0] != '\0' ? strcmp(fake.keys[i].key, key) >= 0 &&
					 strcmp(fake.keys[i].key, end) < 0
				   : strcmp(fake.keys[i].key, key) == 0)
			json_array_append_new(kvs,
					      fake_kv(&fake.keys[i], false));
	if (fake.range == FAKE_EMPTY && --fake.empties == 0)
		fake.range = FAKE_RIGHT;
	/* Fields that are empty are left out, as etcd does. */
	if (json_array_size(kvs) > 0)
		return json_pack("{soso}", "header", fake_header(), "kvs", kvs);
	json_decref(kvs);
	return json_pack("{so}", "header", fake_header());
}

static json_t *fake_put_asked(const json_t *body, int *status)
{
	char key[64], value[512];
	int64_t lease = fake_number(body, "lease");

	fake_text(body, "key", key, sizeof(key));
	fake_text(body, "value", value, sizeof(value));
	if (lease != 0 && (lease != fake.lease || !fake.lease_alive)) {
		*status = 404;
		return fake_error("etcdserver: requested lease not found", 5);
	}
	fake.puts++;
	fake_put_locked(key, value, lease);
	return json_pack("{so}", "header", fake_header());
}

static json_t *fake_lease(const char *request, const json_t *body, int *status)
{
	char id[24];
	bool alive;

	if (strstr(request, "/lease/grant") != NULL) {
		fake.grants++;
		fake.lease++;
		fake.lease_alive = true;
		snprintf(id, sizeof(id), "%jd", (intmax_t)fake.lease);
		return json_pack(
		    "{sossss}", "header", fake_header(), "ID", id, "TTL",
		    json_string_value(json_object_get(body, "TTL")));
	}
	alive = fake_number(body, "ID") == fake.lease && fake.lease_alive;
	if (strstr(request, "/lease/keepalive") != NULL) {
		fake.keeps++;
		/* A lease that has run out has no TTL. */
		return alive ? json_pack("{s{sosssi}}", "result", "header",
					 fake_header(), "TTL", "10", "n", 0)
			     : json_pack("{s{so}}", "result", "header",
					 fake_header());
	}
	fake.revokes++;
	if (!alive) {
		*status = 404;
		return fake_error("etcdserver: requested lease not found", 5);
	}
	fake_lease_ends_locked();
	return json_pack("{so}", "header", fake_header());
}

static void fake_chunk(int fd, json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);

	json_decref(message);
	server_say(fd, "%zx\r\n", strlen(text) + 1);
	server_send(fd, text, strlen(text));
	server_send(fd, "\n\r\n", 3);
	free(text);
}

/* All events from *at that a watch of this range is told; NULL: none. */
static json_t *fake_news(size_t *at, int64_t from, const char *key,
			 const char *end)
{
	json_t *events = json_array();

	for (; *at < fake.logged; (*at)++) {
		const struct fake_key *k = &fake.log[*at].key;
		bool deleted = fake.log[*at].deleted;

		if (k->revision < from || strcmp(k->key, key) < 0 ||
		    strcmp(k->key, end) >= 0)
			continue;
		json_array_append_new(
		    events, deleted
				? json_pack("{ssso}", "type", "DELETE", "kv",
					    fake_kv(k, true))
				: json_pack("{so}", "kv", fake_kv(k, false)));
	}
	if (json_array_size(events) > 0)
		return json_pack("{s{soso}}", "result", "header", fake_header(),
				 "events", events);
	json_decref(events);
	return NULL;
}

/* The client has gone, or the test is over. */
static bool fake_gone(struct server *s, int fd)
{
	char byte;

	return atomic_load(&s->stopping) ||
	       recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static enum server_then fake_watch(struct server *s, int fd, const json_t *body)
{
	const json_t *create = json_object_get(body, "create_request");
	int64_t from = fake_number(create, "start_revision");
	char key[128], end[128];
	size_t at = 0;
	unsigned cuts;
	bool over = false;

	fake_text(create, "key", key, sizeof(key));
	fake_text(create, "range_end", end, sizeof(end));
	server_say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
		       "chunked\r\n\r\n");
	FAKE({
		fake.watches++;
		cuts = fake.cuts;
		fake_chunk(fd, json_pack("{s{sosb}}", "result", "header",
					 fake_header(), "created", 1));
		if (from <= fake.compacted) {
			fake_chunk(fd,
				   json_pack("{s{sosbss}}", "result", "header",
					     fake_header(), "canceled", 1,
					     "compact_revision", "9"));
			over = true;
		}
	});
	while (!over && !fake_gone(s, fd)) {
		json_t *news = NULL;
		enum fake_mode mode;

		FAKE({
			mode = fake.watch;
			over = fake.cuts != cuts;
			if (mode == FAKE_RIGHT)
				news = fake_news(&at, from, key, end);
		});
		if (news != NULL)
			fake_chunk(fd, news);
		if (mode == FAKE_GARBAGE) {
			server_say(fd, "a\r\n<garbage>\n\r\n");
			over = true;
		}
		usleep(2000);
	}
	return SERVER_CLOSE;
}

static bool fake_knows(const char *request)
{
	char line[64];

	snprintf(line, sizeof(line), "\r\nAuthorization: %s\r\n", fake.token);
	return fake.token[0] != '\0' && strstr(request, line) != NULL;
}

static json_t *fake_login(const json_t *body, int *status)
{
	const char *name = json_string_value(json_object_get(body, "name"));
	const char *word = json_string_value(json_object_get(body, "password"));

	fake.logins++;
	if (name == NULL || word == NULL || strcmp(name, "reader") != 0 ||
	    strcmp(word, "CANARY \"\\secret") != 0) {
		*status = 400;
		return fake_error("etcdserver: authentication failed, invalid "
				  "user ID or password",
				  3);
	}
	snprintf(fake.token, sizeof(fake.token), "CANARYtoken.%u", fake.logins);
	return json_pack("{soss}", "header", fake_header(), "token",
			 fake.token);
}

static enum server_then fake_serve(struct server *s, int fd, unsigned nth,
				   const char *request)
{
	const char *text = strstr(request, "\r\n\r\n");
	json_t *body = json_loads(text != NULL ? text + 4 : "", 0, NULL);
	json_t *answer = NULL;
	enum server_then then = SERVER_KEEP;
	enum fake_mode mode;
	int status = 200;
	bool lease = strstr(request, "POST /v3/lease/") == request;
	bool watch = strstr(request, "POST /v3/watch ") == request;

	(void)nth;
	ck_assert_ptr_nonnull(body);
	pthread_mutex_lock(&fake.lock);
	mode = lease ? fake.lease_mode : watch ? fake.watch : fake.range;
	if (watch && mode == FAKE_GARBAGE)
		mode = FAKE_RIGHT; /* it begins well */
	if (strstr(request, "POST /v3/auth/authenticate ") == request) {
		answer = fake_login(body, &status);
	} else if (fake.with_user && !fake_knows(request)) {
		bool some = strstr(request, "\r\nAuthorization:") != NULL;

		status = some ? 401 : 400;
		answer = some ? fake_error("etcdserver: invalid auth token", 16)
			      : fake_error("etcdserver: user name is empty", 3);
	} else if (fake_fails(fd, mode, &then)) {
		pthread_mutex_unlock(&fake.lock);
		json_decref(body);
		return then;
	} else if (watch) {
		pthread_mutex_unlock(&fake.lock);
		then = fake_watch(s, fd, body);
		json_decref(body);
		return then;
	} else if (lease) {
		answer = fake_lease(request, body, &status);
	} else if (strstr(request, "POST /v3/kv/put ") == request) {
		answer = fake_put_asked(body, &status);
	} else {
		ck_assert_ptr_eq(strstr(request, "POST /v3/kv/range "),
				 request);
		answer = fake_range(body);
	}
	pthread_mutex_unlock(&fake.lock);
	ck_assert_ptr_nonnull(answer);
	fake_send(fd, status, answer);
	json_decref(body);
	return then;
}

static void fake_start(void)
{
	memset(&fake, 0, sizeof(fake));
	pthread_mutex_init(&fake.lock, NULL);
	fake.revision = 1;
	fake.lease = 100;
	snprintf(fake.cluster, sizeof(fake.cluster), "1");
	server_start(&fake.server, fake_serve, NULL);
}

static void fake_stop(void)
{
	server_stop(&fake.server);
	pthread_mutex_destroy(&fake.lock);
}

#endif
