/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier_rig.h - a tier over workers and a store that do what a test says
 *
 * The workers are threads that speak HTTP on loopback (ufs_server.h), the
 * store is a struct ufs in this process. All have the same object. worker[i]
 * is the i-th in the order in which the object's first segment is asked for:
 * worker[0] owns it.
 */
#ifndef TESTS_UNIT_TIER_RIG_H
#define TESTS_UNIT_TIER_RIG_H

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ring/tier.h"
#include "tests/unit/run.h"
#include "tests/unit/ufs_server.h"

#define RIG_WORKERS 3
#define RIG_PAGES 20
#define RIG_SIZE ((RIG_PAGES - 1) * WIRE_PAGE + 1234)
#define RIG_KEY "dir/object"
#define RIG_BUCKET "bucket"
#define RIG_STORE "http://store/bucket"
#define RIG_VERSION "0123456789abcdef"
#define RIG_SEED UINT64_C(0x5eed)

enum fault {
	NONE,
	STATUS,   /* n */
	STRANGER, /* n, of a server that is no worker */
	SILENT,   /* no answer */
	CUT,      /* RST after n bytes of the body */
	END,      /* FIN after n bytes of the body */
	STALL,    /* nothing after n bytes of the body */
	TRICKLE,  /* a page each n ms */
	FLIP,     /* byte n of the body */
	LENGTH,   /* n bytes less than it says */
	VERSION,  /* another ETag */
	SIZE,     /* another total */
	RANGE,    /* another range */
	PROTOCOL, /* "2" */
	MUTE,     /* no protocol at all */
	NO_SUMS,  /* no checksums */
	BAD_SUMS, /* no checksums that could be read */
	TWICE,    /* two lengths */
	GARBAGE,  /* not HTTP */
	GATE,     /* nothing until the gate is open */
	MISS,     /* 504 to only-if-cached */
	CLOCK,    /* 403 with another time, until the request has that time */
};

struct rig_worker {
	struct server server;
	bool stopped;
	char name[64];
	/* atomic */
	_Atomic enum fault fault;
	atomic_size_t n;
	atomic_bool framed;
	atomic_bool gate;
	atomic_uint spread;
	atomic_int age; /* s, of stats and listings; 0: it does not tell */
	atomic_uint gets, heads, lists, cached_only;
	pthread_mutex_t lock;
	/* under lock */
	char last[8192]; /* request */
	/* What it answers to LIST: complete pages. */
	const char *list[4];
};

struct rig {
	struct rig_worker fake[RIG_WORKERS];
	struct rig_worker *worker[RIG_WORKERS]; /* by order */
	pthread_mutex_t lock;
	/* under lock */
	struct ring *now, *before;

	struct ufs store;
	uint64_t size; /* of the object, all have the same */
	/* atomic: what the store does, and did */
	atomic_int store_err;   /* instead of an answer */
	atomic_bool store_hold; /* until cancelled */
	atomic_uint store_gets, store_heads, store_lists;
	atomic_bool store_failed, store_was_cancelled;
	struct ufs *tier;
};

/* Until *flag; the tests' own limit ends it otherwise. */
__attribute__((unused)) static void rig_wait(atomic_bool *flag)
{
	while (!atomic_load(flag))
		usleep(1000);
}

/* The store */

static int rig_store_hold(struct rig *rig, struct cancel *cancel)
{
	int err = atomic_load(&rig->store_err);

	while (atomic_load(&rig->store_hold)) {
		if (cancelled(cancel)) {
			atomic_store(&rig->store_was_cancelled, true);
			return -ECANCELED;
		}
		usleep(1000);
	}
	if (err != 0)
		atomic_store(&rig->store_failed, true);
	return err;
}

static void rig_stat_of(const struct rig *rig, struct ufs_stat *st)
{
	memset(st, 0, sizeof(*st));
	st->size = rig->size;
	st->mtime = 1000000000 * NSEC_PER_SEC;
	snprintf(st->version, sizeof(st->version), "%s", RIG_VERSION);
}

static int rig_store_get(struct ufs *u, struct str key, const char *want,
			 uint64_t off, uint64_t len,
			 const struct ufs_sink *sink, struct cancel *cancel)
{
	struct rig *rig = container_of(u, struct rig, store);
	unsigned char bytes[5000];
	struct ufs_stat st;
	int r;

	atomic_fetch_add(&rig->store_gets, 1);
	r = rig_store_hold(rig, cancel);
	if (r < 0)
		return r;
	ck_assert(str_eq(key, str_of(RIG_KEY)));
	if (want != NULL && strcmp(want, RIG_VERSION) != 0)
		return -ESTALE;
	if (sink->again != NULL)
		ck_assert(off == 0 && len == rig->size);
	rig_stat_of(rig, &st);
	r = sink->head(sink->arg, &st);
	len = off < rig->size ? MIN(len, rig->size - off) : 0;
	while (r == 0 && len > 0) {
		size_t n = MIN(len, sizeof(bytes));

		for (size_t i = 0; i < n; i++)
			bytes[i] = object_byte(off + i);
		r = sink->data(sink->arg, bytes, n);
		off += n;
		len -= n;
	}
	return r;
}

static int rig_store_stat(struct ufs *u, struct str key, struct ufs_stat *out,
			  struct cancel *cancel)
{
	struct rig *rig = container_of(u, struct rig, store);
	int r;

	atomic_fetch_add(&rig->store_heads, 1);
	r = rig_store_hold(rig, cancel);
	if (r == 0 && !str_eq(key, str_of(RIG_KEY)))
		r = -ENOENT;
	if (r == 0)
		rig_stat_of(rig, out);
	return r;
}

/* Keys d/k00 to d/k19, ten a page. */
#define RIG_LISTED 20
static int rig_store_list(struct ufs *u, const struct ufs_list *q, char **token,
			  ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	struct rig *rig = container_of(u, struct rig, store);
	int at = *token != NULL ? atoi(*token) : 0, end;
	int r;

	atomic_fetch_add(&rig->store_lists, 1);
	r = rig_store_hold(rig, cancel);
	end = MIN(at + 10, RIG_LISTED);
	for (; r == 0 && at < end; at++) {
		struct ufs_entry e = { 0 };
		char key[16];

		snprintf(key, sizeof(key), "d/k%02d", at);
		e.key = str_of(key);
		rig_stat_of(rig, &e.st);
		if (str_cmp(e.key, q->after) > 0)
			r = cb(arg, &e);
	}
	if (r != 0)
		return r;
	free(*token);
	*token = NULL;
	if (end < RIG_LISTED)
		ck_assert_int_gt(asprintf(token, "%d", end), 0);
	return 0;
}

static const struct ufs_ops rig_store_ops = {
	.scheme = "s3",
	.stat = rig_store_stat,
	.list = rig_store_list,
	.list_side_by_side = true,
	.get = rig_store_get,
};

/* The workers */

/* What a worker does in one request, whatever the test changes meanwhile. */
struct rig_doing {
	enum fault fault;
	size_t n;
	bool framed;
};

static void rig_say_age(struct rig_worker *w, int fd)
{
	if (atomic_load(&w->age) > 0)
		server_say(fd, "Age: %d\r\n", atomic_load(&w->age));
}

/* Header lines of the answer to [first, last]. */
static void rig_head(struct rig *rig, struct rig_worker *w, int fd,
		     const struct rig_doing *doing, const char *status,
		     size_t first, size_t last, size_t length)
{
	enum fault fault = doing->fault;
	size_t pages = (last - first + WIRE_PAGE) / WIRE_PAGE;
	bool framed = doing->framed;
	static const char *const protocols[] = { "2", "1" };
	struct wire_pages sums = { .seed = RIG_SEED,
				   .first = first / WIRE_PAGE,
				   .n = pages };
	char text[WIRE_PAGES_TEXT] = "", line[WIRE_PAGES_TEXT + 64] = "";
	char *page = malloc(WIRE_PAGE);

	for (size_t p = 0; p < pages; p++) {
		size_t at = first + p * WIRE_PAGE;
		size_t n = MIN(WIRE_PAGE, last + 1 - at);

		for (size_t i = 0; i < n; i++)
			page[i] = (char)object_byte(at + i);
		sums.words[p] = extent_word(RIG_SEED, sums.first + p, page, n);
	}
	free(page);
	wire_pages_write(&sums, text);
	if (framed)
		snprintf(line, sizeof(line), WIRE_H_FRAMED ": 1\r\n");
	else if (fault == BAD_SUMS)
		snprintf(line, sizeof(line), WIRE_H_PAGES ": %s\r\n", "5 x !");
	else if (fault != NO_SUMS)
		snprintf(line, sizeof(line), WIRE_H_PAGES ": %s\r\n", text);
	server_say(fd, "HTTP/1.1 %s\r\n%s", status, line);
	if (fault != MUTE)
		server_say(fd, WIRE_H_PROTOCOL ": %s\r\n",
			   protocols[fault != PROTOCOL]);
	if (fault == RANGE)
		first += WIRE_PAGE;
	server_say(fd,
		   "ETag: \"%s\"\r\n"
		   "Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n"
		   "Content-Range: bytes %zu-%zu/%ju\r\n"
		   "Content-Length: %zu\r\n",
		   fault == VERSION ? "another" : RIG_VERSION, first, last,
		   (uintmax_t)rig->size + (fault == SIZE ? WIRE_PAGE : 0),
		   length);
	if (fault == TWICE)
		server_say(fd, "Content-Length: %zu\r\n", length + 1);
	if (atomic_load(&w->spread) > 0)
		server_say(fd, WIRE_H_SPREAD ": %u\r\n",
			   atomic_load(&w->spread));
	rig_say_age(w, fd);
	server_say(fd, "\r\n");
}

/* The body as it goes on the wire; the caller frees. */
static char *rig_body(size_t first, size_t last, bool framed, size_t *out)
{
	size_t len = last + 1 - first, at = 0;
	char *body = malloc(len + (len / WIRE_PAGE + 1) * WIRE_WORD);

	for (size_t p = first; p <= last; p += WIRE_PAGE) {
		size_t n = MIN(WIRE_PAGE, last + 1 - p);
		char *word = body + at;
		uint64_t v;

		at += framed ? WIRE_WORD : 0;
		for (size_t i = 0; i < n; i++)
			body[at + i] = (char)object_byte(p + i);
		v = extent_word(0, p / WIRE_PAGE, body + at, n);
		for (int k = 0; framed && k < WIRE_WORD; k++)
			word[k] = (char)(v >> (8 * k));
		at += n;
	}
	*out = at;
	return body;
}

static enum server_then rig_get(struct rig *rig, struct rig_worker *w, int fd,
				const struct rig_doing *doing,
				const char *request)
{
	enum fault fault = doing->fault;
	size_t n = doing->n, first, last, len, send;
	enum server_then then = SERVER_KEEP;
	char *body;

	atomic_fetch_add(&w->gets, 1);
	ck_assert(server_range(request, &first, &last));
	ck_assert_uint_eq(first % WIRE_PAGE, 0);
	ck_assert_uint_lt(last - first, WIRE_RANGE_MAX);
	ck_assert_uint_eq(first / RING_SEGMENT, last / RING_SEGMENT);
	ck_assert_ptr_nonnull(
	    strcasestr(request, "\r\nIf-Match: \"" RIG_VERSION "\"\r\n"));
	last = MIN(last, rig->size - 1);
	body = rig_body(first, last, doing->framed, &len);
	rig_head(rig, w, fd, doing, "206 Partial Content", first, last,
		 fault == LENGTH ? len - n : len);
	send = len;
	if (fault == FLIP)
		body[MIN(n, len - 1)] ^= 1;
	if (fault == GATE)
		rig_wait(&w->gate);
	if (fault == CUT || fault == END || fault == STALL)
		send = MIN(n, len - 1);
	for (size_t at = 0; fault == TRICKLE && at < send;) {
		size_t step = MIN(send - at, WIRE_PAGE);

		server_send(fd, body + at, step);
		at += step;
		usleep((useconds_t)n * 1000);
	}
	if (fault != TRICKLE)
		server_send(fd, body, send);
	free(body);
	if (fault == CUT)
		then = SERVER_RESET;
	else if (fault == END || fault == LENGTH)
		then = SERVER_CLOSE;
	else if (fault == STALL)
		then = SERVER_HOLD;
	return then;
}

/* Refuse what is not signed with the time that it is here. */
static bool rig_clock(int fd, const char *request)
{
	if (strcasestr(request, "\r\nx-amz-date: 2033") != NULL)
		return true;
	server_say(fd, "HTTP/1.1 403 Forbidden\r\n"
		       "Date: Sun, 13 Nov 2033 10:00:00 GMT\r\n"
		       "Content-Length: 0\r\n\r\n");
	return false;
}

static enum server_then rig_script(struct server *s, int fd, unsigned nth,
				   const char *request)
{
	struct rig_worker *w = container_of(s, struct rig_worker, server);
	struct rig *rig = s->arg;
	struct rig_doing doing = { atomic_load(&w->fault), atomic_load(&w->n),
				   atomic_load(&w->framed) };
	enum fault fault = doing.fault;
	bool list = strstr(request, "list-type=2") != NULL;
	bool cached_only = strcasestr(request, "only-if-cached") != NULL;
	size_t page;

	(void)nth;
	pthread_mutex_lock(&w->lock);
	snprintf(w->last, sizeof(w->last), "%s", request);
	pthread_mutex_unlock(&w->lock);
	ck_assert_ptr_nonnull(
	    strcasestr(request, "\r\n" WIRE_H_PROTOCOL ": 1\r\n"));
	ck_assert_ptr_nonnull(strcasestr(request, "\r\n" WIRE_H_HOP ": 1\r\n"));
	ck_assert_ptr_nonnull(
	    strcasestr(request, "\r\n" WIRE_H_STORE ": " RIG_STORE "\r\n"));
	atomic_fetch_add(&w->cached_only, cached_only);
	if (fault == SILENT)
		return SERVER_HOLD;
	if (fault == GARBAGE) {
		server_say(fd, "220 mail.example.org ESMTP\r\n\r\n");
		return SERVER_CLOSE;
	}
	if (fault == GATE && !doing.framed)
		rig_wait(&w->gate);
	if (fault == CLOCK && !rig_clock(fd, request))
		return SERVER_KEEP;
	if (fault == STRANGER) {
		server_say(fd, "HTTP/1.1 %zu No\r\nContent-Length: 0\r\n\r\n",
			   doing.n);
		return SERVER_KEEP;
	}
	if (fault == STATUS || (fault == MISS && cached_only)) {
		server_say(fd,
			   "HTTP/1.1 %zu No\r\n" WIRE_H_PROTOCOL ": 1\r\n"
			   "Content-Length: 0\r\n\r\n",
			   fault == MISS ? 504 : doing.n);
		return SERVER_KEEP;
	}
	if (list) {
		page = atomic_fetch_add(&w->lists, 1);
		ck_assert_uint_lt(page, ARRAY_SIZE(w->list));
		ck_assert_ptr_nonnull(w->list[page]);
		server_say(fd, "HTTP/1.1 200 OK\r\n" WIRE_H_PROTOCOL ": 1\r\n");
		rig_say_age(w, fd);
		server_say(fd, "Content-Length: %zu\r\n\r\n%s",
			   strlen(w->list[page]), w->list[page]);
		return SERVER_KEEP;
	}
	if (strncmp(request, "HEAD", 4) == 0) {
		atomic_fetch_add(&w->heads, 1);
		rig_head(rig, w, fd, &doing, "200 OK", 0, 0, rig->size);
		return SERVER_KEEP;
	}
	return rig_get(rig, w, fd, &doing, request);
}

/* The rig */

static void rig_view(void *arg, struct tier_view *out)
{
	struct rig *rig = arg;

	pthread_mutex_lock(&rig->lock);
	out->now = rig->now != NULL ? ring_ref(rig->now) : NULL;
	out->before = rig->before != NULL ? ring_ref(rig->before) : NULL;
	out->epoch = 7;
	pthread_mutex_unlock(&rig->lock);
}

static struct ring *rig_ring(struct rig *rig, size_t n)
{
	struct ring_member members[RIG_WORKERS];
	struct ring *ring;

	for (size_t i = 0; i < n; i++)
		members[i] = (struct ring_member){ rig->fake[i].name, 100 };
	ck_assert_int_eq(ring_new(members, n, &ring), 0);
	return ring;
}

static struct rig_worker *rig_named(struct rig *rig, const char *name)
{
	for (size_t i = 0; i < RIG_WORKERS; i++)
		if (strcmp(rig->fake[i].name, name) == 0)
			return &rig->fake[i];
	ck_abort_msg("no such worker");
	return NULL;
}

/* Put them in the order of what has this hash. */
static void rig_order(struct rig *rig, uint64_t hash)
{
	uint32_t ids[RIG_WORKERS];
	size_t n = ring_lookup(rig->now, hash, ids, RIG_WORKERS);

	ck_assert_uint_eq(n, RIG_WORKERS);
	for (size_t i = 0; i < n; i++)
		rig->worker[i] = rig_named(rig, ring_name(rig->now, ids[i]));
}

static void rig_start(struct rig *rig, const struct tier_conf *more)
{
	struct tier_conf conf = *more;

	log_set_level(LOG_LEVEL_ERR);
	memset(rig, 0, sizeof(*rig));
	pthread_mutex_init(&rig->lock, NULL);
	rig->size = RIG_SIZE;
	rig->store = (struct ufs){ .ops = &rig_store_ops,
				   .store = strdup(RIG_STORE),
				   .prefix = strdup(""),
				   .access = strdup("test") };
	for (size_t i = 0; i < RIG_WORKERS; i++) {
		struct rig_worker *w = &rig->fake[i];

		pthread_mutex_init(&w->lock, NULL);
		server_start(&w->server, rig_script, rig);
		snprintf(w->name, sizeof(w->name), "127.0.0.1:%d",
			 w->server.port);
	}
	rig->now = rig_ring(rig, RIG_WORKERS);
	rig_order(rig, ring_hash_data(str_of(RIG_STORE), str_of(RIG_KEY), 0));
	conf.store = &rig->store;
	conf.bucket = RIG_BUCKET;
	conf.view = rig_view;
	conf.view_arg = rig;
	ck_assert_int_eq(tier_open(&conf, &rig->tier), 0);
}

/* Nobody listens there any more. */
static void rig_kill(struct rig_worker *w)
{
	if (!w->stopped)
		server_stop(&w->server);
	w->stopped = true;
}

static void rig_stop(struct rig *rig)
{
	for (size_t i = 0; i < RIG_WORKERS; i++)
		atomic_store(&rig->fake[i].gate, true);
	atomic_store(&rig->store_hold, false);
	ufs_close(rig->tier);
	for (size_t i = 0; i < RIG_WORKERS; i++) {
		rig_kill(&rig->fake[i]);
		pthread_mutex_destroy(&rig->fake[i].lock);
	}
	ring_unref(rig->now);
	ring_unref(rig->before);
	free(rig->store.store);
	free(rig->store.prefix);
	free(rig->store.access);
	pthread_mutex_destroy(&rig->lock);
}

static void rig_fault(struct rig_worker *w, enum fault fault, size_t n)
{
	atomic_store(&w->n, n);
	atomic_store(&w->fault, fault);
}

/* A member of what the status says of a worker. */
__attribute__((unused)) static json_t *
rig_status(struct rig *rig, const struct rig_worker *w, const char *member)
{
	json_t *all = tier_status(rig->tier), *one, *found = NULL;
	size_t i;

	ck_assert_ptr_nonnull(all);
	json_array_foreach(json_object_get(all, "workers"), i, one)
	{
		const char *name =
		    json_string_value(json_object_get(one, "name"));

		if (strcmp(name, w->name) == 0)
			found = json_incref(json_object_get(one, member));
	}
	json_decref(all);
	ck_assert_ptr_nonnull(found);
	return found;
}

__attribute__((unused)) static bool
rig_is(struct rig *rig, const struct rig_worker *w, const char *state)
{
	json_t *v = rig_status(rig, w, "state");
	bool is = strcmp(json_string_value(v), state) == 0;

	json_decref(v);
	return is;
}

__attribute__((unused)) static json_int_t
rig_number(struct rig *rig, const struct rig_worker *w, const char *member)
{
	json_t *v = rig_status(rig, w, member);
	json_int_t n = json_integer_value(v);

	json_decref(v);
	return n;
}

/* How much a number has grown since it was last asked for. */
__attribute__((unused)) static int64_t rig_grown(enum stat_id s)
{
	static int64_t seen[STAT_COUNT];
	int64_t now = stat_read(s), grown = now - seen[s];

	seen[s] = now;
	return grown;
}

#endif
