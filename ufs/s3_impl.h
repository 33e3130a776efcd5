/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_impl.h - the parts of the S3 driver
 *
 * s3.c: the operations that read. s3_write.c, s3_upload.c: those that change
 * something; s3_change.c: what is common to them. s3_request.c: what a request
 * says, signed, and what is learnt from an answer that is no success.
 * s3_open.c: from options, the environment and AWS's files to a bucket's
 * address and keys. s3_answer.c: what answers say of objects. s3_xml.c:
 * listings and errors; s3_result.c: the other documents.
 */
#ifndef UFS_S3_IMPL_H
#define UFS_S3_IMPL_H

#include <stdatomic.h>

#include "base/lock.h"
#include "ufs/awsconf.h"
#include "ufs/checksum.h"
#include "ufs/creds.h"
#include "ufs/http.h"
#include "ufs/sigv4.h"
#include "ufs/ufs_impl.h"

#define S3_REGION_MAX AWSCONF_REGION_MAX

struct s3 {
	struct ufs ufs;
	/* set once at open */
	struct http *http;
	struct creds_chain *creds; /* NULL: anonymous */
	struct sigv4_key key;
	char *scheme; /* "https" or "http" */
	char *host;   /* of the endpoint, with a port that is not the usual
			 one; NULL: AWS, by region */
	char *base;   /* path of the endpoint: "" or "/s3" */
	char *bucket;
	char *where; /* for messages: endpoint and bucket */
	bool virtual_host;
	bool requester_pays;
	int64_t metadata_timeout, read_timeout, commit_timeout;
	/* under lock */
	struct lock lock;
	char region[S3_REGION_MAX];
	/* atomic */
	_Atomic int64_t skew;         /* the store's clock less ours, ns */
	_Atomic int64_t bucket_asked; /* clock_ns() of the last look */
	atomic_bool bucket_missing;
	_Atomic enum { MD5_UNKNOWN, MD5_YES, MD5_NO } etags; /* are MD5s */
	atomic_bool no_checksums;     /* it refuses ours */
	atomic_bool unconfirmed_said; /* that it confirms nothing */
	/* Are the checksums that it tells of copied parts those of the parts?
	 */
	_Atomic enum { COPIED_UNKNOWN, COPIED_RIGHT, COPIED_WRONG } copied;
};

struct s3_header {
	const char *name; /* in lower case */
	const char *value;
};

/* One operation on the store. */
struct s3_op {
	struct http_op http;
	struct s3 *s3;
	struct str key; /* relative to the prefix; a LIST has none */
	const struct sigv4_pair *query;
	size_t nquery;
	const char *want; /* the version that may be answered, or NULL */
	const struct s3_header *extra; /* beside those that all have */
	size_t nextra;
	const char *body_hash; /* NULL: of an empty body */
	bool no_checksums;     /* leave them out of extra */
	struct text path;      /* encoded; made once */

	/* what the last try used, to see what an answer changes */
	char region[S3_REGION_MAX];
	unsigned generation;         /* of the credentials */
	unsigned renewals;           /* of them, after refusals */
	bool moved, skewed, doubted; /* learnt once each */
	bool beyond;                 /* 416 */

	/* of a stat and a get */
	struct ufs_stat st;
	bool has_head; /* the sink was told */
	const struct ufs_sink *sink;
	char bound[UFS_VERSION_MAX];
	struct checksum sum;   /* of a whole object */
	unsigned char odd[16]; /* an MD5 that was not the ETag, last time */
	bool has_odd;
};

extern const struct ufs_ops s3_ops;
extern const struct ufs_write_ops s3_write_ops;

static inline struct s3 *s3_of(struct ufs *u)
{
	return container_of(u, struct s3, ufs);
}

void s3_op_init(struct s3_op *op, struct s3 *s3, struct cancel *cancel);

/* http_run() of it. */
int s3_run(struct s3_op *op);

/* The store takes it, with the prefix in front. */
bool s3_key_ok(const struct s3 *s3, struct str key);

/* struct ufs_ops' stat(). */
int s3_stat(struct ufs *u, struct str key, struct ufs_stat *out,
	    struct cancel *cancel);

/* Callbacks of struct http_ops. */
int s3_make(struct http_op *op, struct http_try *t);
enum http_next s3_failed(struct http_op *op, const struct http_answer *a);

/* The second that a weak version ("~...") names, as a header has it. */
bool s3_weak_date(const char *version, char out[static 40]);

/* The encoded path of the request; into op->path. */
int s3_path(struct s3_op *op);

/* "https://host:port": where requests go now. */
void s3_server(struct s3 *s3, char *out, size_t size);

#endif
