/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_impl.h - the parts of the HTTP engine
 *
 * http.c: the tries of an operation and their errno. http_send.c: one try,
 * of one request or two that race. http_body.c: what a request sends behind
 * its head. http_try.c: the checks of an answer.
 * http_pool.c: handles, and the rate limit. http_limit.c: how many requests
 * at a time, and how many retries. http_hedge.c: when a request is late.
 * http_addr.c: where the store was last reached. http_reach.c: how far it is.
 * http_curl.c: what holds of all requests; http_head.c: reading an answer's
 * head; others ask with these too (keys, workers, etcd).
 */
#ifndef UFS_HTTP_IMPL_H
#define UFS_HTTP_IMPL_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "ufs/http.h"
#include "ufs/http_addr.h"
#include "ufs/http_curl.h"
#include "ufs/http_hedge.h"
#include "ufs/http_limit.h"
#include "ufs/ufs_impl.h"

#define HTTP_HEADERS_MAX KIB(64) /* bytes of all headers of an answer */
#define HTTP_HEADER_LINES_MAX 1000
#define HTTP_ERROR_BODY_MAX KIB(64)
#define HTTP_WHOLE_MAX MIB(64) /* a 200 for a range: sliced up to this */

struct http_handle {
	struct http_handle *next; /* on the stack of free ones */
	CURL *curl;
	CURLM *multi;    /* holds the connection between requests */
	int64_t entered; /* when this request took its place */
	int64_t used_at; /* clock_ns() when it was put back */
	bool spent;      /* it got no connection, and holds descriptors */
	char error[CURL_ERROR_SIZE];
	struct text headers; /* of the answer */
	struct text body;    /* of an error */
};

/* One direction, and when it is free (clock_ns()). */
struct http_line {
	uint64_t rate; /* bytes a second, 0 = no limit */
	_Atomic int64_t next;
};

struct http {
	/* set once at open */
	struct http_conf conf;
	char *ca_bundle;
	long buffer;
	struct limit limit;         /* has a lock of its own */
	struct addr_book addresses; /* the same */
	struct hedge hedge;         /* atomic */
	/* under lock */
	struct lock lock;
	struct http_handle *free;
	int64_t trimmed_at;
	/* atomic */
	struct http_line down, up;
	_Atomic int64_t tls_said;  /* when a TLS refusal was last logged */
	_Atomic int64_t busy_said; /* when a refusal of load was */
	_Atomic int64_t dns_said;  /* when a name was not found */
	atomic_bool no_range_said; /* that it ignores Range */
	/* NOTHING_YET until an operation got an answer, then of the last one.
	 */
	_Atomic enum { NOTHING_YET, ANSWERS, SILENT } heard;
};

/* A handle that counts as a request in its lane; see limit_enter(). */
int http_take(struct http *h, enum limit_lane lane, int64_t deadline,
	      struct cancel *cancel, struct http_handle **out);
void http_put(struct http *h, struct http_handle *handle, enum limit_load load,
	      bool again);

/* Wait for the turn of n bytes; how long it took, in ns, or -ECANCELED. */
int64_t http_throttle(struct http_line *line, size_t n, struct cancel *cancel);

/* How one request ended. */
enum try_end {
	TRY_DONE,
	TRY_STATUS,    /* not a success: see the answer */
	TRY_STOPPED,   /* by the driver, or cancel: see err */
	TRY_WRONG,     /* the answer contradicts itself or the request */
	TRY_USELESS,   /* it will never be right: no range, bad length */
	TRY_MALFORMED, /* not HTTP */
	TRY_TLS,       /* the certificate or the handshake was refused */
	TRY_CONNECT,   /* DNS, connect, no route */
	TRY_BROKEN,    /* reset, stalled, ended early */
	TRY_MEMORY,
};

struct try_result {
	enum try_end end;
	int err;             /* of TRY_STOPPED; of TRY_CONNECT -ENFILE or 0 */
	char words[160];     /* what happened, without secrets */
	int64_t retry_after; /* ns, 0 = not said */
	bool stalled;
	bool sent;        /* all of the request may have come there */
	bool resent;      /* libcurl did so by itself, see http_body.c */
	int64_t progress; /* ns from its begin to the last byte, of a change */
	bool by_address;  /* known addresses stood in for the name server */
	bool elsewhere;   /* the name was not resolved, but some are known */
	struct http_answer answer; /* valid until http_put() */
};

struct http_limits {
	int64_t deadline; /* of the operation now, clock_ns() */
	int64_t stall;    /* cut when slower than 1 KB/s for this long */
	bool fresh;       /* not on a connection that was used before */
	bool resolve;     /* not to where the name was found before */
};

/* One try. *total: the object's size, once known (UINT64_MAX before). */
void http_try_run(struct http *h, struct http_handle *handle,
		  struct http_op *op, const struct http_limits *limits,
		  uint64_t *total, struct try_result *out);

#endif
