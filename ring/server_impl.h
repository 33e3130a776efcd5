/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_impl.h - what the sources of the server share, and nobody else
 *
 *   server.c         listening, starting, draining, ending
 *   server_conn.c    connections: how many, and for how long without a request
 *   server_exchange.c  one request and its answer, from line to last byte
 *   server_answer.c  headers, errors, small bodies
 *   server_object.c  GET and HEAD of an object
 *   server_stream.c  bodies that are still being fetched
 *   server_list.c    listings
 *
 * An exchange belongs to the serving thread, until it has to wait: then its
 * connection is suspended and it belongs to a job or to a call of the cache,
 * which sets the answer and calls exchange_wake(). Who is first, the one that
 * suspends or the one that wakes, is settled by one atomic word.
 */
#ifndef RING_SERVER_IMPL_H
#define RING_SERVER_IMPL_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "base/cancel.h"
#include "base/lock.h"
#include "base/pool.h"
#include "cache/meta.h"
#include "cache/object.h"
#include "ring/auth.h"
#include "ring/request.h"
#include "ring/server.h"
#include "ring/wire.h"

#define SERVER_BODY_MAX MIB(1) /* of a POST, and what is read of others */
#define STREAM_BYTES KIB(256)  /* of a body, in memory at a time */
#define STREAM_PAGES (STREAM_BYTES / WIRE_PAGE)
#define STREAM_ROOM (STREAM_BYTES + STREAM_PAGES * WIRE_WORD)

struct source {
	char *bucket;
	struct cache *cache;
	struct ufs *ufs;
};

/* A connection, as long as it is open. */
struct conn {
	struct conn *next, *prev; /* under server->lock */
	int fd;
	int64_t deadline; /* for the next request's headers; under the lock */
	bool busy;        /* a request is being answered; under the lock */
};

struct server {
	struct server_conf conf;
	struct auth auth;
	struct source *sources;
	size_t nsources;
	char address[300];
	struct MHD_Daemon *daemon;
	struct pool *pool; /* runs what may wait */
	size_t streams_max;

	atomic_uint active;  /* exchanges from their headers on */
	atomic_uint waiting; /* of them, those that may be suspended */
	atomic_size_t streams;
	atomic_bool draining, hurry;
	struct cancel stopping;
	atomic_uint_fast64_t request_ids;

	struct lock lock;
	/* under lock */
	struct conn *conns;
	struct event changed;
	bool watch_stop;

	pthread_t watcher;
	bool watching;
};

/* What is being sent piece by piece. */
struct stream {
	uint64_t next, end; /* of the object, to be read */
	uint64_t ahead;     /* asked to be fetched up to here */
	bool framed;
	bool reserved; /* counted in server->streams */
	int err;
	size_t held, sent; /* bytes in buf */
	char *buf;         /* STREAM_ROOM */
};

enum wake { WAKE_NONE, WAKE_SUSPENDED, WAKE_DONE };

struct exchange {
	struct server *server;
	struct MHD_Connection *conn;
	struct conn *socket;
	char *target;
	char method[16];
	bool begun; /* counted in server->active */
	bool head;  /* HEAD */
	struct request request;
	uint64_t id;

	char *body;
	size_t body_n, body_max;

	atomic_int wake;
	bool waits; /* counted in server->waiting */
	struct job job;
	void (*run)(struct exchange *x); /* what job does */

	/* the answer */
	unsigned status;
	struct MHD_Response *response;

	/* of an object */
	struct source *source;
	struct str key; /* relative to the source */
	bool tarn;      /* the client speaks wire.h */
	bool fresh;     /* st was just asked of the store */
	struct ufs_stat st;
	int64_t taken;
	uint64_t off, len;
	bool part;
	struct object *object; /* owns a reference */
	bool opened;
	struct object_open open;
	struct object_read read;
	struct wire_pages pages;
	struct stream stream;
};

/* server_conn.c */
void conn_notify(void *arg, struct MHD_Connection *c, void **socket_context,
		 enum MHD_ConnectionNotificationCode code);
void conn_line(struct server *s, struct conn *c);  /* its line has come */
void conn_begun(struct server *s, struct conn *c); /* all headers have */
void conn_answered(struct server *s, struct conn *c);
int conn_watch_start(struct server *s);
void conn_watch_stop(struct server *s);

/* server_exchange.c */
void *exchange_line(void *arg, const char *target, struct MHD_Connection *c);
enum MHD_Result exchange_handle(void *arg, struct MHD_Connection *c,
				const char *url, const char *method,
				const char *version, const char *data,
				size_t *size, void **state);
void exchange_completed(void *arg, struct MHD_Connection *c, void **state,
			enum MHD_RequestTerminationCode why);
/* Go on with run() on the pool. The caller returns at once. */
void exchange_later(struct exchange *x, void (*run)(struct exchange *x));
/*
 * What follows may wait for a wake, unless the server ends: false. To be left
 * when the serving thread has x again.
 */
bool exchange_enter(struct exchange *x);
void exchange_leave(struct exchange *x);
/* The answer is set, or a body's next bytes are: any thread. */
void exchange_wake(struct exchange *x);
/* Wait for exchange_wake(), if it has not been called since wake was reset. */
void exchange_suspend(struct exchange *x);

/* server_answer.c: all set x->response, and none wakes */
void answer_header(struct exchange *x, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Takes text (heap, of n bytes); NULL: out of memory. */
void answer_text(struct exchange *x, unsigned status, const char *type,
		 char *text, size_t n);
/* With the headers that every answer has; NULL: the connection is closed. */
void answer_with(struct exchange *x, unsigned status,
		 struct MHD_Response *response);
struct MHD_Response *answer_nothing(void); /* no body; NULL: no memory */
void answer_error(struct exchange *x, unsigned status, const char *code,
		  const char *message);
void answer_errno(struct exchange *x, int err);
/* XML's five special bytes, and what XML cannot say, written so it can. */
void xml_add(struct text *t, struct str s);
/* 2013-05-24T00:00:00.000Z, and HTTP's Fri, 24 May 2013 00:00:00 GMT. */
void time_iso(int64_t ns, char out[static 32]);
void time_http(int64_t ns, char out[static 32]);

/* server_object.c; x->source and x->key are set */
void object_begin(struct exchange *x);
/* Set the answer to the object's bytes [x->off, x->off + x->len). */
void object_answer(struct exchange *x, struct MHD_Response *response);
/* May the body be framed, or its checksums be sent? See wire.h. */
bool object_for_tarn(const struct exchange *x);
/* The version is gone: look again, once. */
void object_again(struct exchange *x);

/* server_stream.c: object_begin() has opened the object */
void stream_begin(struct exchange *x);
void stream_end(struct exchange *x);

/* server_list.c */
void list_buckets(struct exchange *x);
void list_begin(struct exchange *x); /* x->source is set */

#endif
