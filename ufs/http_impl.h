/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_impl.h - the parts of the HTTP engine
 *
 * http.c: the tries of an operation and their errno. http_try.c: one request
 * and the checks of its answer. http_pool.c: handles, and the rate limit.
 */
#ifndef UFS_HTTP_IMPL_H
#define UFS_HTTP_IMPL_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "ufs/http.h"
#include "ufs/ufs_impl.h"

#define HTTP_HEADERS_MAX KIB(64) /* bytes of all headers of an answer */
#define HTTP_HEADER_LINES_MAX 1000
#define HTTP_ERROR_BODY_MAX KIB(64)
#define HTTP_WHOLE_MAX MIB(64) /* a 200 for a range: sliced up to this */

struct http_handle {
	struct http_handle *next; /* on the stack of free ones */
	CURL *curl;
	int64_t used_at; /* clock_ns() when it was put back */
	char error[CURL_ERROR_SIZE];
	struct text headers; /* of the answer */
	struct text body;    /* of an error */
};

struct http {
	/* set once at open */
	struct http_conf conf;
	char *ca_bundle;
	long buffer;
	/* under lock */
	struct lock lock;
	struct event freed;
	struct http_handle *free;
	unsigned used;
	unsigned limit; /* of used: max_connections or less */
	unsigned good;  /* answers since limit was changed */
	int64_t cut_at;
	int64_t trimmed_at;
	/* atomic */
	_Atomic int64_t rate_next; /* clock_ns(): when the line is free */
	_Atomic int64_t tls_said;  /* when a TLS refusal was last logged */
	atomic_bool no_range_said; /* that it ignores Range */
};

/* libcurl, once for the process. -EIO when it does not start. */
int http_global_init(void);

/* Free a list of headers and leave no trace of a secret. */
void http_wipe_headers(struct curl_slist *list);

/*
 * -ECANCELED, or -ETIMEDOUT when none was free until deadline. A few above
 * the limit are kept for metadata, which must not wait for slow bodies.
 */
int http_take(struct http *h, bool metadata, int64_t deadline,
	      struct cancel *cancel, struct http_handle **out);

/* What the answer says of how much the store bears. */
enum http_load { HTTP_LOAD_RIGHT, HTTP_LOAD_BUSY, HTTP_LOAD_UNKNOWN };
void http_put(struct http *h, struct http_handle *handle, enum http_load load);

/* Wait for the turn of n bytes; how long it took, in ns, or -ECANCELED. */
int64_t http_throttle(struct http *h, size_t n, struct cancel *cancel);

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
	struct http_answer answer; /* valid until http_put() */
};

struct http_limits {
	int64_t deadline; /* of the operation now, clock_ns() */
	int64_t stall;    /* cut when slower than 1 KB/s for this long */
	bool fresh;       /* not on a connection that was used before */
};

/* Send once. *total: the object's size, once known (UINT64_MAX before). */
void http_try_run(struct http *h, struct http_handle *handle,
		  struct http_op *op, const struct http_limits *limits,
		  uint64_t *total, struct try_result *out);

#endif
