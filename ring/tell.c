/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tell.c - a word to one worker, or to all of a ring
 */
#include "ring/tell.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "ufs/http_curl.h"
#include "ufs/sigv4.h"

#define ANSWER_MAX MIB(16)
#define CONNECT_MS 2000L
#define AT_ONCE 128L /* connections */
#define LOOK_MS 100  /* at cancel */

struct call {
	struct tell *t; /* borrowed */
	CURL *curl;
	struct curl_slist *headers;
	struct text answer;
	char error[CURL_ERROR_SIZE];
};

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct text *answer = arg;

	n *= size;
	if (answer->n + n > ANSWER_MAX)
		return 0;
	text_add(answer, p, n);
	return answer->failed ? 0 : n;
}

/* Host and, with a key, what makes it the cluster's word. */
static int sign(const struct ring_access *a, struct sigv4_key *key,
		const struct tell *t, struct text *headers)
{
	const char *body = t->body != NULL ? t->body : "";
	char hash[65];
	struct sigv4_request r = {
		.method = t->body != NULL ? "POST" : "GET",
		.path = str_of(t->path),
		.body_hash = hash,
	};
	int err;

	text_addf(headers, "Host: %s\n", t->worker);
	if (t->body != NULL)
		text_adds(headers, "Content-Type: application/json\n");
	if (a->secret == NULL)
		return 0;
	err = sigv4_body_hash(body, strlen(body), hash);
	if (err < 0)
		return err;
	ring_access_header(&r, "host", t->worker);
	return ring_access_sign(a, key, &r, 0, headers);
}

#define SET(option, value)                                                     \
	do {                                                                   \
		if (curl_easy_setopt(c->curl, option, value) != CURLE_OK)      \
			return -ENOMEM;                                        \
	} while (0)

static int set_up(const struct ring_access *a, struct call *c,
		  struct text *headers, const char *url)
{
	const struct tell *t = c->t;

	if (ring_access_curl(a, c->curl) < 0 ||
	    !http_curl_lines(&c->headers, headers))
		return -ENOMEM;
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	SET(CURLOPT_ERRORBUFFER, c->error);
	SET(CURLOPT_WRITEFUNCTION, take);
	SET(CURLOPT_WRITEDATA, &c->answer);
	SET(CURLOPT_PRIVATE, c);
	SET(CURLOPT_URL, url);
	SET(CURLOPT_HTTPHEADER, c->headers);
	if (t->body != NULL) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(t->body));
		SET(CURLOPT_POSTFIELDS, t->body);
	}
	return 0;
}

static int begin(const struct ring_access *a, struct sigv4_key *key, CURLM *m,
		 struct call *c)
{
	struct text url = { 0 }, headers = { 0 };
	int r = sign(a, key, c->t, &headers);

	text_addf(&url, "%s://%s%s", ring_access_scheme(a), c->t->worker,
		  c->t->path);
	if (r == 0 && (url.failed || headers.failed))
		r = -ENOMEM;
	c->curl = r == 0 ? curl_easy_init() : NULL;
	if (r == 0)
		r = c->curl != NULL ? set_up(a, c, &headers, url.p) : -ENOMEM;
	if (r == 0 && curl_multi_add_handle(m, c->curl) != CURLM_OK)
		r = -ENOMEM;
	text_fini(&url);
	text_wipe(&headers);
	return r;
}

static void end(CURLM *m, struct call *c)
{
	if (c->curl != NULL) {
		curl_multi_remove_handle(m, c->curl);
		curl_easy_cleanup(c->curl);
	}
	http_wipe_headers(c->headers);
	text_fini(&c->answer);
	c->curl = NULL;
	c->headers = NULL;
}

static void fail(struct tell *t, int err, const char *words)
{
	t->err = err;
	snprintf(t->words, sizeof(t->words), "%s",
		 words != NULL && words[0] != '\0' ? words : strerror(-err));
}

static void judge(struct call *c, CURLcode code)
{
	struct tell *t = c->t;
	long status = 0;

	if (code == CURLE_OK)
		code =
		    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	switch (code) {
	case CURLE_OK:
		t->err = 0;
		t->status = (unsigned)status;
		t->n = c->answer.n;
		t->answer = take_ptr(c->answer.p);
		break;
	case CURLE_COULDNT_CONNECT:
		fail(t, -ECONNREFUSED, c->error);
		break;
	case CURLE_COULDNT_RESOLVE_HOST:
		fail(t, -EHOSTUNREACH, c->error);
		break;
	case CURLE_OPERATION_TIMEDOUT:
		fail(t, -ETIMEDOUT, "it does not answer in time");
		break;
	case CURLE_OUT_OF_MEMORY:
		fail(t, -ENOMEM, NULL);
		break;
	default:
		fail(t, -EIO,
		     c->error[0] != '\0' ? c->error : curl_easy_strerror(code));
	}
}

/* Until all have ended, or it is time. */
static int run(CURLM *m, int64_t deadline, struct cancel *cancel)
{
	int running = 1, left;
	CURLMsg *msg;

	for (;;) {
		int64_t ms = (deadline - clock_ns()) / NSEC_PER_MSEC;

		if (curl_multi_perform(m, &running) != CURLM_OK)
			return -EIO;
		while ((msg = curl_multi_info_read(m, &left)) != NULL) {
			struct call *c;

			if (msg->msg != CURLMSG_DONE)
				continue;
			curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
					  &c);
			judge(c, msg->data.result);
			end(m, c);
		}
		if (running == 0)
			return 0;
		if (cancelled(cancel))
			return -ECANCELED;
		if (ms <= 0)
			return -ETIMEDOUT;
		if (curl_multi_poll(m, NULL, 0, (int)MIN(ms, LOOK_MS), NULL) !=
		    CURLM_OK)
			return -EIO;
	}
}

int tell_all(const struct ring_access *a, struct tell *t, size_t n,
	     int64_t deadline, struct cancel *cancel)
{
	AUTO_FREE struct call *calls = calloc(MAX(n, 1), sizeof(*calls));
	struct sigv4_key key;
	CURLM *m = NULL;
	int r = http_global_init();

	for (size_t i = 0; i < n; i++) {
		t[i].err = -EINPROGRESS;
		t[i].status = 0;
		t[i].answer = NULL;
		t[i].n = 0;
		t[i].words[0] = '\0';
	}
	if (r == 0)
		m = curl_multi_init();
	if (calls == NULL || m == NULL ||
	    curl_multi_setopt(m, CURLMOPT_MAX_TOTAL_CONNECTIONS, AT_ONCE) !=
		CURLM_OK) {
		if (m != NULL)
			curl_multi_cleanup(m);
		for (size_t i = 0; i < n; i++)
			fail(&t[i], r < 0 ? r : -ENOMEM, NULL);
		return r < 0 ? r : -ENOMEM;
	}
	sigv4_key_init(&key);
	for (size_t i = 0; i < n; i++) {
		calls[i].t = &t[i];
		r = begin(a, &key, m, &calls[i]);
		if (r < 0)
			fail(&t[i], r, NULL);
	}
	r = run(m, deadline, cancel);
	for (size_t i = 0; i < n; i++) {
		end(m, &calls[i]);
		if (t[i].err == -EINPROGRESS)
			fail(&t[i], r < 0 ? r : -EIO,
			     r == -ETIMEDOUT ? "it does not answer in time"
					     : NULL);
	}
	curl_multi_cleanup(m);
	sigv4_key_fini(&key);
	return 0;
}

void tell_fini(struct tell *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(t[i].answer);
		t[i].answer = NULL;
	}
}

bool tell_is_worker(const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;

	return digits > 0 && digits <= 5 && colon[1 + digits] == '\0' &&
	       colon > text && strchr(text, '/') == NULL;
}
