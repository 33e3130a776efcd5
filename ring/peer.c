/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.c - sessions, and requests on their way to workers
 *
 * A session is a multi handle of libcurl, which holds the connections, and
 * some easy handles. It belongs to one thread at a time. What a worker says
 * is judged by peer_answer.c.
 */
#include "ring/peer.h"

#include <errno.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ring/peer_impl.h"
#include "ufs/http_curl.h"

#define CONNECT_NS (200 * NSEC_PER_MSEC)
#define SILENT_NS (10 * NSEC_PER_SEC)
#define SLOW_NS (1 * NSEC_PER_SEC)
#define SLOW_FILL_NS (5 * NSEC_PER_SEC)

#define BUFFER_BYTES (256 * 1024L)
#define CONNECTIONS 4L /* of a session */
#define SPARE 64       /* sessions beyond which one serves another worker */
#define COLD_NS (60 * NSEC_PER_SEC)
#define LOOK_NS (200 * NSEC_PER_MSEC) /* slow workers are looked for */

static int64_t or_default(int64_t ns, int64_t usual)
{
	return ns > 0 ? ns : usual;
}

int peers_new(const struct peers_conf *conf, struct peers **out)
{
	struct peers *p;
	int r = http_global_init();

	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	lock_init(&p->lock, RANK_STORE);
	sigv4_key_init(&p->key);
	p->conf.times = (struct peer_times){
		.connect = or_default(conf->times.connect, CONNECT_NS),
		.silent = or_default(conf->times.silent, SILENT_NS),
		.slow = or_default(conf->times.slow, SLOW_NS),
		.slow_fill = or_default(conf->times.slow_fill, SLOW_FILL_NS),
	};
	r = ring_access_copy(&conf->access, &p->conf.access);
	if (r < 0)
		peers_free(p);
	else
		*out = p;
	return r;
}

/* The transfer is over, or is not wanted any more. */
static void slot_end(struct peer_slot *s)
{
	if (s->added)
		curl_multi_remove_handle(s->session->multi, s->curl);
	s->added = false;
	curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, NULL);
	http_wipe_headers(s->list);
	s->list = NULL;
	s->call->slot = NULL;
	s->call = NULL;
}

static void session_free(struct peer_session *session)
{
	for (size_t i = 0; i < PEER_RACERS; i++) {
		struct peer_slot *s = &session->slot[i];

		if (s->curl != NULL)
			curl_easy_cleanup(s->curl);
		s3_list_free(s->parser);
		text_fini(&s->headers);
		free(s->page);
	}
	if (session->multi != NULL)
		curl_multi_cleanup(session->multi);
	free(session);
}

void peers_free(struct peers *p)
{
	struct peer_session *s;

	if (p == NULL)
		return;
	while ((s = p->free) != NULL) {
		p->free = s->next;
		session_free(s);
	}
	ring_access_free(&p->conf.access);
	sigv4_key_fini(&p->key);
	lock_fini(&p->lock);
	free(p);
}

static int session_new(struct peers *p, struct peer_session **out)
{
	struct peer_session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->peers = p;
	for (size_t i = 0; i < PEER_RACERS; i++)
		s->slot[i].session = s;
	s->multi = curl_multi_init();
	if (s->multi == NULL ||
	    curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS) !=
		CURLM_OK) {
		session_free(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

/* One that was used for this worker, or if there are many the oldest. */
static struct peer_session *find_locked(struct peers *p, uint64_t worker)
    TSA(requires_capability(p->lock))
{
	struct peer_session **at = &p->free, **last = NULL, *found;

	for (; *at != NULL && (*at)->last != worker; at = &(*at)->next)
		last = at;
	if (*at == NULL && p->nfree < SPARE)
		return NULL;
	if (*at == NULL)
		at = last;
	found = *at;
	*at = found->next;
	p->nfree--;
	return found;
}

int peer_take(struct peers *p, const char *worker, struct peer_session **out)
{
	uint64_t hash = XXH3_64bits(worker, strlen(worker));
	struct peer_session *s;
	int r = 0;

	lock_take(&p->lock);
	s = find_locked(p, hash);
	lock_drop(&p->lock);
	if (s == NULL)
		r = session_new(p, &s);
	if (r < 0)
		return r;
	s->last = hash;
	*out = s;
	return 0;
}

/* Those that nobody needed for a while stand at the end. */
static struct peer_session *take_cold_locked(struct peers *p, int64_t now)
    TSA(requires_capability(p->lock))
{
	struct peer_session **at = &p->free, *cold;

	while (*at != NULL && now - (*at)->used_at < COLD_NS)
		at = &(*at)->next;
	cold = *at;
	*at = NULL;
	for (struct peer_session *s = cold; s != NULL; s = s->next)
		p->nfree--;
	return cold;
}

void peer_put(struct peers *p, struct peer_session *s)
{
	struct peer_session *cold, *next;

	for (size_t i = 0; i < PEER_RACERS; i++) {
		if (s->slot[i].call != NULL)
			slot_end(&s->slot[i]);
		s3_list_free(s->slot[i].parser);
		s->slot[i].parser = NULL;
	}
	s->used_at = clock_ns();
	lock_take(&p->lock);
	s->next = p->free;
	p->free = s;
	p->nfree++;
	cold = take_cold_locked(p, s->used_at);
	lock_drop(&p->lock);
	for (; cold != NULL; cold = next) {
		next = cold->next;
		session_free(cold);
	}
}

#define SET(option, value)                                                     \
	do {                                                                   \
		if (curl_easy_setopt(s->curl, option, value) != CURLE_OK)      \
			return -ENOMEM;                                        \
	} while (0)

/* What is the same for all requests of a handle. */
static int slot_open(struct peer_slot *s)
{
	const struct peers *p = s->session->peers;

	s->curl = curl_easy_init();
	if (s->curl == NULL)
		return -ENOMEM;
	if (ring_access_curl(&p->conf.access, s->curl) < 0)
		return -ENOMEM;
	SET(CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS,
	    (long)MAX(p->conf.times.connect / NSEC_PER_MSEC, 1));
	return 0;
}

static void path_of(const struct peer_call *c, struct text *path)
{
	text_adds(path, "/");
	text_add_encoded(path, str_of(c->bucket), false);
	if (c->kind == PEER_LIST)
		return;
	text_adds(path, "/");
	text_add_encoded(path, str_of(c->prefix), true);
	text_add_encoded(path, c->key, true);
}

static void add_conditions(const struct peer_call *c, struct text *headers)
{
	if (c->kind == PEER_GET) {
		text_addf(headers, "Range: bytes=%ju-%ju\n", (uintmax_t)c->off,
			  (uintmax_t)(c->off + c->len - 1));
		text_addf(headers, "If-Match: \"%s\"\n", c->want);
		if (c->cached_only)
			text_adds(headers, "Cache-Control: only-if-cached\n");
	} else if (c->max_age >= 0) {
		text_addf(headers, "Cache-Control: max-age=%jd\n",
			  (intmax_t)(c->max_age / NSEC_PER_SEC));
	}
}

/* The URL, and "Name: value\n" lines. */
static int make(struct peers *p, const struct peer_call *c, struct text *url,
		struct text *headers)
{
	struct text path = { 0 };
	struct sigv4_request r = {
		.method = c->kind == PEER_HEAD ? "HEAD" : "GET",
		.nquery = c->nquery,
		.body_hash = SIGV4_EMPTY_BODY,
	};
	int err;

	path_of(c, &path);
	if (path.failed) {
		text_fini(&path);
		return -ENOMEM;
	}
	r.path = (struct str){ path.p, path.n };
	for (size_t i = 0; i < c->nquery; i++)
		r.query[i] = c->query[i];
	text_addf(url, "%s://%s%s", ring_access_scheme(&p->conf.access),
		  c->worker, path.p);
	if (c->nquery > 0) {
		text_adds(url, "?");
		sigv4_query(&r, url);
	}
	text_addf(headers,
		  "Host: %s\n" WIRE_H_PROTOCOL ": " WIRE_PROTOCOL
		  "\n" WIRE_H_STORE ": %s\n" WIRE_H_HOP ": 1\n",
		  c->worker, c->store);
	ring_access_header(&r, "host", c->worker);
	ring_access_header(&r, WIRE_H_HOP, "1");
	ring_access_header(&r, WIRE_H_PROTOCOL, WIRE_PROTOCOL);
	ring_access_header(&r, WIRE_H_STORE, c->store);
	add_conditions(c, headers);
	err = ring_access_sign(&p->conf.access, &p->key, &r, c->skew, headers);
	text_fini(&path);
	return err == 0 && (url->failed || headers->failed) ? -ENOMEM : err;
}

static int send_request(struct peer_slot *s)
{
	struct text url = { 0 }, headers = { 0 };
	struct peer_call *c = s->call;
	bool head = c->kind == PEER_HEAD;
	int r = make(s->session->peers, c, &url, &headers);

	if (r == 0) {
		/* NOBODY off alone leaves HEAD: HTTPGET puts GET back. */
		if (!http_curl_lines(&s->list, &headers) || !peer_listen(s) ||
		    curl_easy_setopt(s->curl,
				     head ? CURLOPT_NOBODY : CURLOPT_HTTPGET,
				     1L) != CURLE_OK ||
		    curl_easy_setopt(s->curl, CURLOPT_URL, url.p) != CURLE_OK ||
		    curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, s->list) !=
			CURLE_OK ||
		    curl_multi_add_handle(s->session->multi, s->curl) !=
			CURLM_OK)
			r = -ENOMEM;
	}
	s->added = r == 0;
	text_fini(&url);
	text_wipe(&headers);
	return r;
}

static void slot_reset(struct peer_slot *s)
{
	s->error[0] = '\0';
	text_clear(&s->headers);
	s3_list_free(s->parser);
	s->parser = NULL;
	s->complete = s->success = s->out_of_files = false;
	s->lines = 0;
	s->head_bytes = s->error_bytes = 0;
	s->since = s->received = 0;
	s->since_got = s->bytes = 0;
}

static void call_reset(struct peer_call *c)
{
	c->end = PEER_UNDERWAY;
	c->err = c->status = 0;
	c->words[0] = '\0';
	c->begun = clock_ns();
	c->headed = 0;
	c->silent = c->filling = c->has_date = false;
	c->spread = 0;
	c->got = 0;
	c->age = 0;
	c->date = 0;
	c->page = NULL;
}

static void count(enum peer_kind kind)
{
	stat_inc(kind == PEER_GET    ? STAT_peer_get
		 : kind == PEER_HEAD ? STAT_peer_head
				     : STAT_peer_list);
}

int peer_begin(struct peer_session *session, struct peer_call *c)
{
	struct peer_slot *s = session->slot;
	int r = 0;

	while (s < session->slot + PEER_RACERS && s->call != NULL)
		s++;
	if (s == session->slot + PEER_RACERS)
		return -EBUSY;
	if (s->curl == NULL)
		r = slot_open(s);
	if (r < 0) {
		/* One that is half set up must not be used. */
		if (s->curl != NULL)
			curl_easy_cleanup(s->curl);
		s->curl = NULL;
		return r;
	}
	call_reset(c);
	slot_reset(s);
	s->call = c;
	c->slot = s;
	r = send_request(s);
	if (r < 0)
		slot_end(s);
	else
		count(c->kind);
	return r;
}

void peer_drop(struct peer_session *session, struct peer_call *c)
{
	(void)session;
	if (c->slot != NULL)
		slot_end(c->slot);
}

void peer_move(struct peer_call *from, struct peer_call *to)
{
	*to = *from;
	from->slot = NULL;
	if (to->slot != NULL)
		to->slot->call = to;
}

static void say_debug(const struct peer_call *c)
{
	log_debug(LOG_UFS, "ring: %s of %s: %d, %s, %ju ms",
		  c->kind == PEER_GET    ? "GET"
		  : c->kind == PEER_HEAD ? "HEAD"
					 : "LIST",
		  c->worker, c->status, c->words,
		  (uintmax_t)((clock_ns() - c->begun) / NSEC_PER_MSEC));
}

/* Go on with all transfers, and end those that are over. */
static int step(struct peer_session *session)
{
	struct peer_slot *s;
	CURLMsg *msg;
	CURLcode code;
	int64_t now;
	int n;

	if (curl_multi_perform(session->multi, &n) != CURLM_OK)
		return -ENOMEM;
	while ((msg = curl_multi_info_read(session->multi, &n)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		code = msg->data.result;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &s);
		peer_judge(s, code);
	}
	now = clock_ns();
	for (size_t i = 0; i < PEER_RACERS; i++) {
		s = &session->slot[i];
		if (s->call != NULL && s->call->end == PEER_UNDERWAY)
			peer_tick(s, now);
		if (s->call != NULL && s->call->end != PEER_UNDERWAY) {
			say_debug(s->call);
			slot_end(s);
		}
	}
	return 0;
}

int peer_wait(struct peer_session *session, int64_t until)
{
	int64_t left;
	int r;

	session->moved = false;
	r = step(session);
	if (r < 0 || session->moved)
		return r;
	left = MIN(until - clock_ns(), LOOK_NS) / NSEC_PER_MSEC;
	if (left >= 0 && curl_multi_poll(session->multi, NULL, 0, (int)left + 1,
					 NULL) != CURLM_OK)
		return -ENOMEM;
	return step(session);
}

void peer_wake(struct peer_session *session)
{
	curl_multi_wakeup(session->multi);
}
