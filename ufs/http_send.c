/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_send.c - one try of an operation: one request, or two that race
 *
 * Each handle has a multi handle of its own, driven here with a loop like
 * the one in curl_easy_perform(): so this thread can begin a second transfer
 * when the first one's answer is late (http_hedge.h). The second runs on a
 * spare handle, but in the multi handle of the first, where it finds no free
 * connection and makes one of its own: the slow one may be the connection's
 * fault, or that of the server behind it.
 *
 * The race is over when an answer's head is right, or says what no other
 * answer would change (a 404); the other transfer is dropped with its
 * connection. A transfer that fails while the other is under way leaves the
 * matter to that one.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ufs/http_attempt.h"

#define CONNECT_TIMEOUT_MS 5000L /* the name and the handshakes */
#define POLL_MS 1000 /* cancel and deadlines are looked at this often */

struct race {
	struct http *h;
	CURLM *multi;
	struct attempt first, second;
	struct attempt *winner; /* whose answer the driver is given */
	struct attempt *over;   /* whose result is that of the try */
	bool running[2];        /* by attempt: in the multi handle */
	int64_t hedge_at;       /* 0 = never */
	int64_t hedge_after;
	enum hedge_kind kind;
};

/* made's lines, cut in place, and our Range. NULL: out of memory. */
static struct curl_slist *header_list(struct attempt *t, struct http_try *made)
{
	const struct http_op *op = t->op;
	uint64_t last = op->off + op->len - 1;
	struct curl_slist *list = NULL;
	char range[80];

	if (*t->total != UINT64_MAX && *t->total > 0)
		last = MIN(last, *t->total - 1);
	if (op->ranged && (!op->whole || op->got > 0)) {
		snprintf(range, sizeof(range), "Range: bytes=%ju-%ju",
			 (uintmax_t)(op->off + op->got), (uintmax_t)last);
		if (!http_curl_line(&list, range))
			return NULL;
	}
	/* A store that never says 100 would be waited for. */
	if ((!http_changes(op) || http_curl_line(&list, "Expect:")) &&
	    http_curl_lines(&list, &made->headers))
		return list;
	http_wipe_headers(list);
	return NULL;
}

/*
 * Where a new connection will go: to where libcurl resolves the name, or
 * while that fails, to where the store was before.
 */
static bool choose_route(struct attempt *t, const char *url)
{
	char line[ADDR_LINE_MAX];

	addr_host_of(url, &t->host);
	if (t->host.name[0] == '\0')
		return true;
	if (addr_line(&t->h->addresses, &t->host, line))
		t->result.by_address = true;
	else if (t->limits->resolve)
		snprintf(line, sizeof(line), "-%s:%s", t->host.name,
			 t->host.port);
	else
		return true;
	t->route = curl_slist_append(NULL, line);
	return t->route != NULL;
}

/* What the way it went says of the name server and of the addresses. */
static void note_route(struct attempt *t, CURLcode code)
{
	CURL *c = t->handle->curl;
	struct addr_book *book = &t->h->addresses;
	char *address = NULL;
	double resolved = 0;
	long n = 0, port = 0;

	if (t->host.name[0] == '\0')
		return;
	curl_easy_getinfo(c, CURLINFO_NUM_CONNECTS, &n);
	if (t->connected && n > 0) {
		curl_easy_getinfo(c, CURLINFO_PRIMARY_IP, &address);
		curl_easy_getinfo(c, CURLINFO_PRIMARY_PORT, &port);
		/* Another port is a proxy's. */
		if (address != NULL && port == atol(t->host.port))
			addr_learn(book, &t->host, address,
				   !t->result.by_address);
		if (t->result.by_address)
			stat_inc(STAT_store_dns_fallbacks);
		return;
	}
	if (t->result.end != TRY_CONNECT)
		return;
	curl_easy_getinfo(c, CURLINFO_NAMELOOKUP_TIME, &resolved);
	if (code == CURLE_COULDNT_RESOLVE_HOST ||
	    (code == CURLE_OPERATION_TIMEDOUT && resolved == 0))
		t->result.elsewhere = addr_unresolved(book, &t->host);
	else if (t->result.by_address)
		addr_unreachable(book);
}

static bool prepare(struct attempt *t, const struct http_try *made)
{
	CURL *c = t->handle->curl;
	long left;

	if (!attempt_send(t)) /* a small body is read meanwhile */
		return false;
	left = (long)((t->limits->deadline - clock_ns()) / NSEC_PER_MSEC) + 1;
	return curl_easy_setopt(c, CURLOPT_URL, made->url.p) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->list) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_RESOLVE, t->route) == CURLE_OK &&
	       attempt_listen(t) &&
	       curl_easy_setopt(c, CURLOPT_FRESH_CONNECT,
				t->limits->fresh ? 1L : 0L) == CURLE_OK &&
	       /* Before the deadline there is to be another try. */
	       curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
				MAX(MIN(left / 2, CONNECT_TIMEOUT_MS), 100L)) ==
		   CURLE_OK &&
	       /* What moves with each byte is watched by on_progress(). */
	       curl_easy_setopt(c, CURLOPT_TIMEOUT_MS,
				t->op->idle_timeout > 0 ? 0L : MAX(left, 1L)) ==
		   CURLE_OK;
}

static bool *running(struct race *race, const struct attempt *t)
{
	return &race->running[t == &race->second];
}

/* Send the request of t. 0 or -errno. */
static int begin(struct race *race, struct attempt *t)
{
	struct http_try made = { 0 };
	CURLMcode code;
	int r;

	attempt_reset(t);
	r = t->op->ops->make(t->op, &made);
	if (r == 0 && (made.url.failed || made.headers.failed))
		r = -ENOMEM;
	if (r == 0) {
		t->list = header_list(t, &made);
		if (t->list == NULL || !choose_route(t, made.url.p) ||
		    !prepare(t, &made))
			r = -ENOMEM;
	}
	text_fini(&made.url); /* libcurl has a copy */
	text_wipe(&made.headers);
	if (r < 0)
		return r;
	t->begun = t->since = clock_ns();
	stat_inc(t->op->count);
	code = curl_multi_add_handle(race->multi, t->handle->curl);
	if (code != CURLM_OK)
		return -ENOMEM;
	*running(race, t) = true;
	return 0;
}

static void end(struct race *race, struct attempt *t)
{
	if (*running(race, t))
		curl_multi_remove_handle(race->multi, t->handle->curl);
	*running(race, t) = false;
	if (t->handle != NULL) {
		curl_easy_setopt(t->handle->curl, CURLOPT_HTTPHEADER, NULL);
		curl_easy_setopt(t->handle->curl, CURLOPT_RESOLVE, NULL);
		/* Whoever takes the handle next must not send a DELETE. */
		curl_easy_setopt(t->handle->curl, CURLOPT_CUSTOMREQUEST, NULL);
		curl_easy_setopt(t->handle->curl, CURLOPT_POSTFIELDS, NULL);
	}
	http_wipe_headers(t->list);
	curl_slist_free_all(t->route);
	t->list = t->route = NULL;
	free(take_ptr(t->whole));
}

static struct attempt *other(struct race *race, const struct attempt *t)
{
	return t == &race->first ? &race->second : &race->first;
}

/* Nothing that another request could be told would be of use. */
static bool is_final(const struct try_result *r)
{
	int status = r->answer.status;

	return r->end == TRY_DONE || r->end == TRY_STOPPED ||
	       (r->end == TRY_STATUS && status < 500 && status != 408 &&
		status != 429);
}

static void finished(struct race *race, struct attempt *t, CURLcode code)
{
	curl_off_t sent = 0;

	curl_easy_getinfo(t->handle->curl, CURLINFO_SIZE_UPLOAD_T, &sent);
	attempt_sent(t, (uint64_t)sent);
	attempt_judge(t, code);
	if (t->last_byte > 0)
		t->result.progress = t->last_byte - t->begun;
	note_route(t, code);
	end(race, t);
	if (race->winner == t || is_final(&t->result) ||
	    !*running(race, other(race, t)))
		race->over = t;
}

/* A second request, if the store is well and the budget allows it. */
static void hedge(struct race *race)
{
	struct http *h = race->h;
	struct attempt *t = &race->second;

	/* Later again, if it is still not there then. */
	race->hedge_at += race->hedge_after;
	if (!limit_calm(&h->limit) || !hedge_take(&h->hedge))
		return;
	if (http_take(h, LANE_METADATA, 0, NULL, &t->handle) < 0)
		return;
	race->hedge_at = 0;
	log_debug(
	    LOG_UFS, "ufs: %s: no answer for %ju ms: asked again", t->op->path,
	    (uintmax_t)((clock_ns() - race->first.begun) / NSEC_PER_MSEC));
	if (begin(race, t) == 0)
		stat_inc(STAT_store_hedges);
	else
		end(race, t);
}

/* How long to wait for something to happen, in ms. */
static int pause_of(const struct race *race)
{
	int64_t left;

	if (race->hedge_at == 0)
		return POLL_MS;
	left = (race->hedge_at - clock_ns()) / NSEC_PER_MSEC + 1;
	return (int)MAX(MIN(left, POLL_MS), 0);
}

/* All that ended since; false: libcurl cannot go on. */
static bool step(struct race *race)
{
	struct attempt *t;
	CURLMsg *msg;
	CURLcode code;
	int n;

	if (curl_multi_perform(race->multi, &n) != CURLM_OK)
		return false;
	while (race->over == NULL &&
	       (msg = curl_multi_info_read(race->multi, &n)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		code = msg->data.result;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t);
		finished(race, t, code);
	}
	/* The slower one is of no use any more. */
	if (race->over == NULL && race->winner != NULL &&
	    *running(race, other(race, race->winner)))
		end(race, other(race, race->winner));
	if (race->winner != NULL || race->first.complete)
		race->hedge_at = 0;
	if (race->over == NULL && race->hedge_at != 0 &&
	    clock_ns() >= race->hedge_at)
		hedge(race);
	return true;
}

static void run(struct race *race)
{
	int r = begin(race, &race->first);

	if (r < 0) {
		attempt_fail(&race->first, r, "the request could not be made");
		race->over = &race->first;
	}
	while (race->over == NULL) {
		if (step(race) &&
		    (race->over != NULL ||
		     curl_multi_poll(race->multi, NULL, 0, pause_of(race),
				     NULL) == CURLM_OK))
			continue;
		attempt_judge(&race->first, CURLE_OUT_OF_MEMORY);
		race->over = &race->first;
	}
	end(race, &race->first);
	end(race, &race->second);
}

/* What was learnt of the store's speed. */
static void note_time(const struct race *race)
{
	const struct attempt *t = &race->first;
	int64_t until = t->head_at;

	if (t->result.answer.status >= 500 || (until == 0 && race->over == t))
		return;
	/* One that was overtaken would have taken at least as long. */
	if (until == 0)
		until = clock_ns();
	hedge_note(&race->h->hedge, race->kind, until - t->begun);
}

static void swap_texts(struct text *a, struct text *b)
{
	struct text c = *a;

	*a = *b;
	*b = c;
}

/* A refusal that is not the result of the try: it counts all the same. */
static bool refused_aside(const struct race *race, const struct attempt *t)
{
	int status = t->result.answer.status;

	if (race->over == t || (status != 503 && status != 429))
		return false;
	stat_inc(STAT_store_throttled);
	return true;
}

/* The spare handle goes back; what its answer was stays in the first. */
static void second_fini(struct race *race)
{
	struct http_handle *spare = race->second.handle;
	bool busy;

	if (spare == NULL)
		return;
	busy = refused_aside(race, &race->first);
	if (refused_aside(race, &race->second))
		busy = true;
	if (race->over == &race->second) {
		stat_inc(STAT_store_hedge_wins);
		swap_texts(&spare->headers, &race->first.handle->headers);
		swap_texts(&spare->body, &race->first.handle->body);
	}
	http_put(race->h, spare, busy ? LOAD_BUSY : LOAD_UNKNOWN, false);
}

static enum hedge_kind kind_of(const struct http_op *op)
{
	if (op->method == HTTP_HEAD)
		return HEDGE_HEAD;
	return op->total_timeout > 0 ? HEDGE_LIST : HEDGE_GET;
}

void http_try_run(struct http *h, struct http_handle *handle,
		  struct http_op *op, const struct http_limits *limits,
		  uint64_t *total, struct try_result *out)
{
	struct http_limits second = *limits;
	struct race race = {
		.h = h,
		.multi = handle->multi,
		.kind = kind_of(op),
	};

	second.fresh = true;
	race.first = (struct attempt){ .h = h,
				       .handle = handle,
				       .op = op,
				       .limits = limits,
				       .total = total,
				       .winner = &race.winner };
	race.second = race.first;
	race.second.handle = NULL;
	race.second.limits = &second;
	if (!http_changes(op))
		race.hedge_after = hedge_after(&h->hedge, race.kind);
	if (race.hedge_after > 0)
		race.hedge_at = clock_ns() + race.hedge_after;
	run(&race);
	if (!http_changes(op))
		note_time(&race);
	*out = race.over->result;
	second_fini(&race);
}
