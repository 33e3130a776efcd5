/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_exchange.c - one request and its answer, from line to last byte
 *
 * The library calls exchange_line() with the raw target, exchange_handle()
 * with the headers, with each piece of a body, once more when all has come and
 * again after each wake, and exchange_completed() at last. An exchange is
 * never freed while something is under way for it: its connection is suspended
 * then.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "ring/server_impl.h"

void *exchange_line(void *arg, const char *target, struct MHD_Connection *c)
{
	struct server *s = arg;
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->server = s;
	x->conn = c;
	x->socket = info != NULL ? info->socket_context : NULL;
	x->target = strdup(target);
	x->id = atomic_fetch_add(&s->request_ids, 1);
	atomic_init(&x->wake, WAKE_NONE);
	load_thread(s);
	conn_line(x->socket);
	return x;
}

void exchange_wake(struct exchange *x)
{
	if (atomic_exchange(&x->wake, WAKE_DONE) == WAKE_SUSPENDED)
		MHD_resume_connection(x->conn);
}

void exchange_suspend(struct exchange *x)
{
	MHD_suspend_connection(x->conn);
	if (atomic_exchange(&x->wake, WAKE_SUSPENDED) == WAKE_DONE)
		MHD_resume_connection(x->conn);
}

bool exchange_enter(struct exchange *x)
{
	atomic_store(&x->wake, WAKE_NONE);
	atomic_fetch_add(&x->server->waiting, 1);
	x->waits = true;
	if (!cancelled(&x->server->stopping))
		return true;
	exchange_leave(x);
	return false;
}

void exchange_leave(struct exchange *x)
{
	if (x->waits)
		atomic_fetch_sub(&x->server->waiting, 1);
	x->waits = false;
}

static void job_run(struct job *job)
{
	struct exchange *x = container_of(job, struct exchange, job);

	x->run(x);
}

static void submit(struct exchange *x, struct pool *pool,
		   void (*run)(struct exchange *x))
{
	x->run = run;
	x->job.run = job_run;
	pool_submit(pool, &x->job, POOL_DEMAND);
}

void exchange_later(struct exchange *x, void (*run)(struct exchange *x))
{
	submit(x, x->server->pool, run);
}

void exchange_near(struct exchange *x, void (*run)(struct exchange *x))
{
	submit(x, x->server->near, run);
}

static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind,
				  const char *name, size_t name_n,
				  const char *value, size_t value_n)
{
	struct request *r = arg;

	(void)kind;
	if (r->nheaders == REQUEST_HEADERS_MAX) {
		r->nheaders++; /* too many */
		return MHD_NO;
	}
	r->headers[r->nheaders].name = (struct str){ name, name_n };
	r->headers[r->nheaders++].value =
	    (struct str){ value != NULL ? value : "", value_n };
	return MHD_YES;
}

/* The line and the headers. False: x has an answer already. */
static bool read_request(struct exchange *x, const char *method,
			 const char *version)
{
	struct request *r = &x->request;
	int status = 0;

	snprintf(x->method, sizeof(x->method), "%s", method);
	x->head = strcmp(method, "HEAD") == 0;
	r->method = str_of(x->method);
	r->target = str_of(x->target);
	MHD_get_connection_values_n(x->conn, MHD_HEADER_KIND, add_header, r);
	if (r->nheaders > REQUEST_HEADERS_MAX) {
		r->nheaders = 0;
		status = 431;
	} else if (strcmp(version, "HTTP/1.1") != 0 &&
		   strcmp(version, "HTTP/1.0") != 0) {
		status = 400;
	} else if (!lines_right(version, r)) {
		status = 400;
	} else {
		status = request_parse(r);
	}
	if (status == 0)
		return true;
	answer_error(x, (unsigned)status,
		     status == 500 ? "InternalError" : "InvalidRequest",
		     status == 431   ? "There are too many headers."
		     : status == 500 ? "Out of memory."
				     : "This is no request that is served.");
	answer_header(x, "Connection", "close");
	return false;
}

static struct source *source_of(struct server *s, struct str bucket)
{
	for (size_t i = 0; i < s->nsources; i++)
		if (str_eq(str_of(s->sources[i].bucket), bucket))
			return &s->sources[i];
	return NULL;
}

static void run_page_far(struct exchange *x);

static void tell_page(struct exchange *x, bool may_wait)
{
	struct server *s = x->server;
	struct server_page p = { .may_wait = may_wait,
				 .status = 200,
				 .type = "text/plain" };
	char path[300];
	int r;

	snprintf(path, sizeof(path), "/-/%.*s", (int)MIN(x->request.key.n, 256),
		 x->request.key.p);
	r = s->conf.page != NULL ? s->conf.page(s->conf.arg, x->method, path,
						x->request.body, &p)
				 : -ENOENT;
	if (r == -EINPROGRESS && !may_wait) {
		exchange_later(x, run_page_far);
		return;
	}
	if (r == -ENOENT)
		answer_error(x, 404, "NoSuchKey", "There is no such path.");
	else if (r == -EOPNOTSUPP)
		answer_error(x, 405, "MethodNotAllowed",
			     "This path is not asked so.");
	else if (r < 0)
		answer_errno(x, r);
	else
		answer_text(x, p.status, p.type, p.text,
			    p.text != NULL ? strlen(p.text) : 0);
	answer_header(x, "Cache-Control", "no-store");
	answer_header(x, "X-Content-Type-Options", "nosniff");
	if (p.policy != NULL) {
		answer_header(x, "Content-Security-Policy", "%s", p.policy);
		answer_header(x, "Referrer-Policy", "no-referrer");
	}
	exchange_wake(x);
}

static void run_page(struct exchange *x)
{
	tell_page(x, false);
}

static void run_page_far(struct exchange *x)
{
	tell_page(x, true);
}

static bool store_is(const struct source *src, const struct request *r)
{
	const struct str *store = request_header(r, WIRE_H_STORE);

	return store == NULL || str_eq(*store, str_of(src->ufs->store));
}

/* The second hop would be a loop: a worker never asks a worker. */
static bool too_far(const struct request *r)
{
	const struct str *hop = request_header(r, WIRE_H_HOP);

	return hop != NULL && !str_eq(*hop, str_of("1"));
}

/* What of S3 is asked for that is neither an object nor a listing. */
static bool is_extra(const struct request *r)
{
	static const char *const extras[] = {
		"acl",
		"attributes",
		"cors",
		"encryption",
		"legal-hold",
		"lifecycle",
		"logging",
		"notification",
		"object-lock",
		"partNumber",
		"policy",
		"policyStatus",
		"replication",
		"retention",
		"tagging",
		"torrent",
		"uploadId",
		"uploads",
		"versionId",
		"versioning",
		"versions",
		"website",
		"accelerate",
		"requestPayment",
		"ownershipControls",
		"publicAccessBlock",
	};

	for (size_t i = 0; i < ARRAY_SIZE(extras); i++)
		if (request_query(r, extras[i]) != NULL)
			return true;
	return false;
}

/* To S3's paths, which only GET and HEAD reach. */
static void route_s3(struct exchange *x)
{
	const struct request *r = &x->request;
	const struct str *protocol = request_header(r, WIRE_H_PROTOCOL);

	if (r->bucket.n == 0) {
		list_buckets(x);
		exchange_wake(x);
		return;
	}
	x->tarn = protocol != NULL && str_eq(*protocol, str_of(WIRE_PROTOCOL));
	x->held_only = request_only_cached(r);
	x->source = source_of(x->server, r->bucket);
	if (x->source == NULL)
		/* A mount must not take this for the bucket's word. */
		answer_error(x, x->tarn ? 421 : 404, "NoSuchBucket",
			     "This worker does not serve this bucket.");
	else if (too_far(r))
		answer_error(x, 508, "LoopDetected",
			     "A worker is never asked by a worker.");
	else if (!store_is(x->source, r))
		answer_error(x, 421, "WrongStore",
			     "Another store has this bucket's name here.");
	else if (is_extra(r))
		answer_error(x, 501, "NotImplemented",
			     "A worker serves objects and listings only.");
	if (x->response != NULL)
		exchange_wake(x);
	else if (r->key.n > 0)
		object_begin(x);
	else
		list_begin(x);
}

/* What is below /-/load/ names what failed: only for who may read it. */
static bool tells_of_objects(struct str page)
{
	return page.n > 5 && memcmp(page.p, "load/", 5) == 0;
}

/* All has come: who asks, and for what? */
static void begin(struct exchange *x)
{
	struct server *s = x->server;
	struct request *r = &x->request;
	bool get = x->head || strcmp(x->method, "GET") == 0;
	bool post = strcmp(x->method, "POST") == 0;
	bool page = r->has_key && str_eq(r->bucket, str_of("-"));
	const char *wrong = NULL;

	if (!exchange_enter(x)) {
		answer_errno(x, -ECANCELED);
		exchange_wake(x);
		return;
	}
	if (!get && !(page && post)) {
		answer_error(x, 405, "MethodNotAllowed",
			     "A worker serves reads only.");
		exchange_wake(x);
		return;
	}
	r->body = (struct str){ x->body, x->body_n };
	if (!page || post || tells_of_objects(r->key))
		wrong = auth_check(&s->auth, r, clock_wall_ns(), post);
	if (post && s->auth.secret == NULL && request_header(r, "origin"))
		wrong = "AccessDenied"; /* a page in somebody's browser */
	if (wrong != NULL) {
		answer_error(x, 403, wrong,
			     "The request is not signed with the cluster's "
			     "key, or not now.");
		exchange_wake(x);
	} else if (page) {
		exchange_near(x, run_page);
	} else {
		route_s3(x);
	}
}

static enum MHD_Result queue(struct exchange *x)
{
	enum MHD_Result r;

	exchange_leave(x);
	if (x->response == NULL)
		return MHD_NO; /* out of memory: closed */
	r = MHD_queue_response(x->conn, x->status, x->response);
	MHD_destroy_response(x->response);
	x->response = NULL;
	return r;
}

/* Who sends it is not known before all of it is here. False: no room. */
static bool body_take(struct exchange *x)
{
	size_t n = (size_t)x->request.length;

	if (atomic_fetch_add(&x->server->bodies, n) + n <= SERVER_BODIES_MAX)
		x->body = malloc(n);
	if (x->body == NULL)
		atomic_fetch_sub(&x->server->bodies, n);
	else
		x->body_max = n;
	return x->body != NULL;
}

static void body_give(struct exchange *x)
{
	atomic_fetch_sub(&x->server->bodies, x->body_max);
	free(x->body);
}

/* The headers have come. */
static enum MHD_Result first(struct exchange *x, const char *method,
			     const char *version)
{
	struct request *r = &x->request;
	bool no_body, post;

	x->begun = true;
	atomic_fetch_add(&x->server->active, 1);
	conn_begun(x->socket);
	if (x->target == NULL)
		return MHD_NO;
	if (!read_request(x, method, version))
		return queue(x);
	no_body = x->head || strcmp(method, "GET") == 0;
	post = strcmp(method, "POST") == 0;
	if (!server_tls_knows(x->server, x->socket, x->conn))
		answer_error(x, 403, "AccessDenied",
			     "A certificate that tls-ca has signed is needed.");
	else if (no_body && r->length > 0)
		answer_error(x, 400, "InvalidRequest", "No body is read here.");
	else if (r->length > SERVER_BODY_MAX)
		/* It is not read; the connection ends with this answer. */
		answer_error(x, post ? 413 : 405, "MethodNotAllowed",
			     "A worker serves reads only.");
	else if (post && r->length > 0 && !body_take(x))
		answer_errno(x, -ENOMEM);
	else if (r->length > 0)
		conn_body(x->socket);
	if (x->response != NULL) {
		answer_header(x, "Connection", "close");
		return queue(x);
	}
	return MHD_YES;
}

/* What is sent with other methods than POST is not looked at. */
static enum MHD_Result add_body(struct exchange *x, const char *data,
				size_t *size)
{
	if (x->body != NULL && *size > x->body_max - x->body_n)
		return MHD_NO;
	if (x->body != NULL) {
		memcpy(x->body + x->body_n, data, *size);
		x->body_n += *size;
	}
	*size = 0;
	return MHD_YES;
}

enum MHD_Result exchange_handle(void *arg, struct MHD_Connection *c,
				const char *url, const char *method,
				const char *version, const char *data,
				size_t *size, void **state)
{
	struct exchange *x = *state;

	(void)arg, (void)c, (void)url;
	if (x == NULL)
		return MHD_NO;
	if (!x->begun)
		return first(x, method, version);
	if (*size > 0)
		return add_body(x, data, size);
	if (x->response == NULL && atomic_load(&x->wake) == WAKE_NONE) {
		conn_begun(x->socket);
		begin(x);
		if (atomic_load(&x->wake) != WAKE_DONE) {
			exchange_suspend(x);
			return MHD_YES;
		}
	}
	return queue(x);
}

void exchange_completed(void *arg, struct MHD_Connection *c, void **state,
			enum MHD_RequestTerminationCode why)
{
	struct server *s = arg;
	struct exchange *x = *state;

	(void)c;
	*state = NULL;
	if (x == NULL)
		return;
	exchange_leave(x); /* the client may have gone meanwhile */
	load_end(x, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	stream_end(x);
	object_put(x->object);
	if (x->response != NULL)
		MHD_destroy_response(x->response);
	conn_answered(x->socket);
	request_fini(&x->request);
	free(x->target);
	body_give(x);
	if (x->begun)
		atomic_fetch_sub(&s->active, 1);
	free(x);
}
