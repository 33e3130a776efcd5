/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4.h - AWS Signature Version 4 in an Authorization header
 *
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html. The
 * path is given as it goes on the wire, percent-encoded once (as S3 wants
 * it); query parameters are given decoded and are encoded and sorted here.
 */
#ifndef UFS_SIGV4_H
#define UFS_SIGV4_H

#include "base/base.h"
#include "base/lock.h"
#include "ufs/encode.h"

#define SIGV4_QUERY_MAX 16
#define SIGV4_HEADERS_MAX 32

/* SHA-256 of nothing: what a request without a body carries. */
#define SIGV4_EMPTY_BODY                                                       \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct sigv4_pair {
	struct str name, value;
};

struct sigv4_request {
	const char *method;
	struct str path;                          /* encoded, begins with '/' */
	struct sigv4_pair query[SIGV4_QUERY_MAX]; /* decoded; gets sorted */
	size_t nquery;
	/* Names in lower case; gets sorted; all of them are signed. */
	struct sigv4_pair headers[SIGV4_HEADERS_MAX];
	size_t nheaders;
	const char *body_hash; /* hex SHA-256, or UNSIGNED-PAYLOAD */
};

/* The key of the last day, region and secret, so that it costs one HMAC. */
struct sigv4_key {
	struct lock lock;
	/* under lock */
	bool set;
	char scope[128]; /* "20130524/us-east-1/s3" */
	uint8_t secret_hash[32];
	uint8_t key[32];
};

void sigv4_key_init(struct sigv4_key *k);
void sigv4_key_fini(struct sigv4_key *k);

/* "name=value&..." sorted and encoded, as it goes into the URL as well. */
void sigv4_query(struct sigv4_request *r, struct text *out);

/* 20130524T000000Z; wall in ns since 1970. */
void sigv4_date(int64_t wall, char out[static 17]);

/* Hex SHA-256 of a body. -ENOMEM. */
int sigv4_body_hash(const void *p, size_t n, char out[static 65]);

/*
 * The value of the Authorization header, appended to out. date is as
 * sigv4_date() gave it, and a signed header of its own (x-amz-date). Returns
 * 0, -EINVAL for a region that cannot be one, or -ENOMEM.
 */
int sigv4_sign(struct sigv4_key *k, struct sigv4_request *r,
	       const char *access_key, const char *secret, const char *region,
	       const char *service, const char *date, struct text *out);

/* The same, but only the signature in hex: to compare another's with. */
int sigv4_signature(struct sigv4_key *k, struct sigv4_request *r,
		    const char *secret, const char *region, const char *service,
		    const char *date, char out[static 65]);

/* The canonical request, for tests against published vectors. */
void sigv4_canonical(struct sigv4_request *r, struct text *out);

#endif
