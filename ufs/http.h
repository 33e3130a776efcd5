/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - the HTTP engine: one operation, however many requests it takes
 *
 * An operation is a request with a deadline. The engine sends it, looks hard
 * at the answer, sends it again where SEMANTICS' table says so (capped
 * exponential backoff with full jitter, Retry-After), resumes a body at the
 * byte received, and makes the one errno of the end: nowhere else do CURLcode
 * and HTTP status become errno. What the store's own protocol adds (signing,
 * what a version is, what error codes mean) comes through struct http_ops.
 *
 * A PUT, a POST and a DELETE are changes: each try sends the whole body from
 * its start, none is sent twice at a time, and one whose answer was lost may
 * have been made all the same (lost, below).
 *
 * Each request runs on a handle with a connection of its own; free handles
 * stand on a stack, so few connections stay warm.
 */
#ifndef UFS_HTTP_H
#define UFS_HTTP_H

#include "base/base.h"
#include "base/cancel.h"
#include "base/stats.h"
#include "ufs/encode.h"

struct http;
struct http_op;
struct ufs_body;
struct ufs_reach;

struct http_conf {
	const char *ca_bundle; /* file of certificates, or NULL */
	bool tls;              /* https and nothing else */
	unsigned max_connections;
	size_t memory;         /* for buffers, 0 = no limit */
	int64_t stall_timeout; /* below 1 KB/s for this long, ns */
	uint64_t bandwidth;    /* bytes a second, 0 = no limit */
	uint64_t bandwidth_up; /* the same of what is sent */
};

int http_new(const struct http_conf *conf, struct http **out);
void http_free(struct http *h); /* no operation runs; NULL is allowed */

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_POST, HTTP_DELETE };

const char *http_method_name(enum http_method m);

/* What one request says; filled anew for each try. */
struct http_try {
	struct text url;     /* complete and encoded */
	struct text headers; /* "Name: value\n" each; wiped after use */
};

/* An answer's head, once it is complete. */
struct http_answer {
	int status;
	bool length_known;
	uint64_t length;  /* Content-Length */
	bool length_bad;  /* said, but no number below 2^63 */
	bool range_known; /* a right Content-Range with a total */
	uint64_t first, last, total;
	const char *headers; /* "name\0value\0" each, names in lower case */
	size_t headers_n;
	const char *body; /* of an error, what came of it */
	size_t body_n;
};

/* The first header of this (lower case) name, or NULL. */
const char *http_header(const struct http_answer *a, const char *name);

/* A Date or Last-Modified to seconds since 1970; false: it is none. */
bool http_date(const char *s, int64_t *seconds);

/* How to go on after an answer that is no success. */
enum http_next {
	HTTP_AS_TABLE,    /* what the status means */
	HTTP_AGAIN,       /* something was learnt: at once (counted, bounded) */
	HTTP_RETRY,       /* like a 503, but -EACCES at the deadline */
	HTTP_BUSY,        /* like a 500, whatever the status */
	HTTP_SLOWER,      /* like a 503: and it is asked less at a time */
	HTTP_DENIED,      /* -EACCES */
	HTTP_ABSENT,      /* -ENOENT, for an open handle -ESTALE */
	HTTP_BROKEN,      /* -EIO */
	HTTP_UNSUPPORTED, /* -EOPNOTSUPP */
	HTTP_DIGEST,      /* other bytes came than were meant: once more, then
			     -EIO */
	HTTP_TOO_LARGE,   /* -EFBIG */
	HTTP_NO_UPLOAD,   /* -ENOLINK */
};

/* From head, data and done: this answer is wrong; try again, then -EIO. */
#define HTTP_WRONG 1
/* From done: the same, and what came before is forgotten as well. */
#define HTTP_AFRESH 2
/*
 * From done: the body says that it is a refusal, though the status was one of
 * success. said is the status that it should have been; failed() is asked.
 */
#define HTTP_REFUSED 3

struct http_ops {
	/* Write URL and headers, with Authorization. 0 or -errno. */
	int (*make)(struct http_op *op, struct http_try *t);

	/*
	 * An answer that is no success: set op->code to the store's word
	 * for it, and say how to go on.
	 */
	enum http_next (*failed)(struct http_op *op,
				 const struct http_answer *a);

	/* A success whose body comes next. 0, HTTP_WRONG or -errno. */
	int (*head)(struct http_op *op, const struct http_answer *a);
	int (*data)(struct http_op *op, const void *p, size_t n);

	/* All of it came. Optional. 0, HTTP_WRONG, HTTP_AFRESH or -errno. */
	int (*done)(struct http_op *op);
};

struct http_op {
	const struct http_ops *ops;
	enum http_method method;
	enum stat_id count; /* STAT_store_get, ... */
	bool ranged;        /* of the body only [off, off+len) */
	bool whole;         /* which is all of it: no range is asked for */
	bool versioned;     /* asked for one version: absent is -ESTALE */
	uint64_t off, len;
	int64_t total_timeout; /* all tries together, ns; 0 = none */
	int64_t idle_timeout;  /* without a byte of body, ns; 0 = none */

	/* of a change */
	const struct ufs_body *body; /* NULL: it is empty */
	int absent;                  /* what a 404 is; 0: by versioned */
	bool if_absent;              /* a 412 is -EEXIST, else -ESTALE */
	bool patient;                /* a slow answer is no stalled one */

	struct cancel *cancel;
	const char *where; /* for messages: "http://host/bucket" */
	const char *path;  /* for debug lines: the URL's path */

	/* kept by the engine; the driver may read them */
	int64_t deadline; /* now, clock_ns(); a byte of body may move it */
	uint64_t got;     /* bytes of the body handed to data() */
	char code[64];    /* the store's word for the last failure */
	int said;         /* set by done(), see HTTP_REFUSED */
	/*
	 * Of a change: a try of it may have been carried out without our
	 * being told. What http_run() returns need not be what came about.
	 */
	bool lost;
};

/* Not a question: it may not be asked twice at a time. */
static inline bool http_changes(const struct http_op *op)
{
	return op->method >= HTTP_PUT;
}

/* 0 or one of ufs.h's errors, with words for ufs_last_error(). */
int http_run(struct http *h, struct http_op *op);

/*
 * One HEAD of url, on a connection of its own, as http_run() would make it:
 * fills in all but out->server. 0, or -ENOMEM and the like.
 */
int http_reach(struct http *h, const char *url, struct ufs_reach *out);

#endif
