/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_impl.h - what the sources of the server share, and nobody else
 *
 *   server.c         listening, starting, draining, ending
 *   server_accept.c  new connections
 *   server_conn.c    connections: how many, and for how long without a request
 *   server_exchange.c  one request and its answer, from line to last byte
 *   server_lines.c   lines that end as they must not
 *   server_answer.c  headers, errors, small bodies
 *   server_object.c  GET and HEAD of an object
 *   server_early.c   headers while a small object is fetched
 *   server_stream.c  bodies that are still being fetched
 *   server_list.c    listings
 *   server_tls.c     certificates
 *   server_load.c    what heat.h is told of the answers
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
#include "ring/heat.h"
#include "ring/request.h"
#include "ring/server.h"
#include "ring/wire.h"

#define SERVER_BODY_MAX MIB(1)    /* of a POST, and what is read of others */
#define SERVER_BODIES_MAX MIB(16) /* of all POSTs at a time */
#define CONNECTION_MEMORY KIB(32) /* headers, and room to write */
#define STREAM_BYTES KIB(256)     /* of a body, in memory at a time */
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
	/* For the next headers or a body, clock_ns(); BUSY: being answered. */
	atomic_int_fast64_t deadline;
	bool known;  /* its certificate is right; the serving thread's */
	bool corked; /* who has the exchange sets it */
};

/* PEM texts on the heap. cert NULL: plain HTTP; ca NULL: no client needs one */
struct server_tls {
	char *cert, *key, *ca;
};

struct server {
	struct server_conf conf;
	struct auth auth;
	struct server_tls tls;
	struct source *sources;
	size_t nsources;
	char address[300];
	struct MHD_Daemon *daemon;
	struct pool *pool; /* runs what may wait for the store */
	struct pool *near; /* and what only waits for the SSD */
	size_t connections_max;
	size_t streams_max;

	atomic_uint active;  /* exchanges from their headers on */
	atomic_uint waiting; /* of them, those that may be suspended */
	atomic_size_t streams;
	atomic_size_t bodies; /* bytes of memory for those of POSTs */
	atomic_bool draining, hurry;
	struct cancel stopping;
	atomic_uint_fast64_t request_ids;
	struct heat *heat;

	struct lock lock;
	/* under lock */
	struct conn *conns;
	size_t open;     /* connections that the library has */
	size_t coming;   /* those that it was given and has not begun */
	int64_t came_at; /* when it was last given one */
	struct event changed;
	bool watch_stop;
	clockid_t *clocks; /* of the serving threads */
	size_t nclocks, clocks_max;

	pthread_t watcher;
	bool watching;
	struct early *early; /* opaque; laid out in server_early.c */

	/* of the thread that takes connections; -1: there is none */
	int listening, accept_end;
	pthread_t acceptor;
	bool accepting;
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

	char *body; /* of a POST; body_max bytes, counted in server->bodies */
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
	bool held_only; /* what is not here is 504; the store is not asked */
	bool fresh;     /* st was just asked of the store */
	bool recalled;  /* st is of any age: for what is here */
	struct ufs_stat st;
	int64_t taken;
	uint64_t off, len;
	bool part;
	struct object *object; /* owns a reference */
	bool opened;
	struct object_open open;
	bool early; /* it has been in the list; server_early.c's, the rest: */
	struct exchange *early_next, *early_prev;
	int64_t early_at; /* 0: it is not in the list */
	struct object_read read;
	struct wire_pages pages;
	struct stream stream;
	bool loads; /* load_begin() was called */
};

/* server_accept.c */
/* fd is taken over in any case. */
int accept_start(struct server *s, int fd);
void accept_stop(struct server *s);

/* server_conn.c */
void conn_notify(void *arg, struct MHD_Connection *c, void **socket_context,
		 enum MHD_ConnectionNotificationCode code);
void conn_line(struct conn *c);  /* its line has come */
void conn_body(struct conn *c);  /* all headers have, a body follows */
void conn_begun(struct conn *c); /* all has */
void conn_answered(struct conn *c);
/*
 * Headers and a file are about to be sent: let the kernel put them together,
 * until conn_answered(). NULL is allowed.
 */
void conn_cork(struct conn *c);
int conn_watch_start(struct server *s);
void conn_watch_stop(struct server *s);

/* server_tls.c */
/* 0 (*out stays empty where there is no TLS), or -errno and why. */
int server_tls_read(const struct ring_tls *files, struct server_tls *out,
		    char why[static 256]);
void server_tls_free(struct server_tls *t);
/* May who is at the other end ask at all? */
bool server_tls_knows(const struct server *s, struct conn *conn,
		      struct MHD_Connection *c);

/* server_exchange.c */
void *exchange_line(void *arg, const char *target, struct MHD_Connection *c);
enum MHD_Result exchange_handle(void *arg, struct MHD_Connection *c,
				const char *url, const char *method,
				const char *version, const char *data,
				size_t *size, void **state);
void exchange_completed(void *arg, struct MHD_Connection *c, void **state,
			enum MHD_RequestTerminationCode why);
/* Go on with run(), which may wait for the store. The caller returns at once.
 */
void exchange_later(struct exchange *x, void (*run)(struct exchange *x));
/* The same of what waits for the SSD at most: a store that hangs is not felt.
 */
void exchange_near(struct exchange *x, void (*run)(struct exchange *x));
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

/* server_lines.c */
/* Nothing but CR LF ended a line; version: of the request line. */
bool lines_right(const char *version, const struct request *r);

/* server_answer.c: all set x->response, and none wakes */
void answer_header(struct exchange *x, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* How old what is answered is: x->taken is set. */
void answer_age(struct exchange *x);
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

/* server_early.c */
int early_start(struct server *s);
void early_stop(struct server *s); /* no exchange waits any more */
/* x->open is about to be begun: after a while headers are sent. */
void early_begin(struct exchange *x);
/* It has ended: this comes first of all that is done with x. */
void early_end(struct exchange *x);

/* server_stream.c: object_begin() has opened the object */
void stream_begin(struct exchange *x);
void stream_end(struct exchange *x);

/* server_load.c */
void load_thread(struct server *s); /* by each serving thread, at any time */
void load_tick_locked(struct server *s) TSA(requires_capability(s->lock));
/* In the answer to a GET: may other replicas be asked as well? */
void load_header(struct exchange *x);
/* It goes out of a file. */
void load_begin(struct exchange *x);
/* A body has been sent, of whatever kind; or has not. */
void load_end(struct exchange *x, bool complete);

/* server_list.c */
void list_buckets(struct exchange *x);
void list_begin(struct exchange *x); /* x->source is set */

#endif
