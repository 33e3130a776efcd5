/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - what a request to a worker says, strictly read
 *
 * The line and the headers come from the HTTP library as it read them; what
 * two readers of one connection might read differently (two lengths, a coding,
 * a name that is no name) is refused here, and nothing else is guessed either.
 * Nothing here does I/O or waits: the fuzzer calls it as it stands.
 */
#ifndef RING_REQUEST_H
#define RING_REQUEST_H

#include "base/base.h"
#include "ufs/sigv4.h"

#define REQUEST_HEADERS_MAX 64

struct request {
	/* set by the caller, borrowed */
	struct str method;
	struct str target; /* as on the wire: "/bucket/key?list-type=2" */
	struct sigv4_pair headers[REQUEST_HEADERS_MAX]; /* names in any case */
	size_t nheaders;
	struct str body; /* of a POST */

	/* set by request_parse(); they lie in text */
	char *text;
	struct str bucket, key; /* decoded */
	bool has_key;           /* there was a slash behind the bucket */
	struct sigv4_pair query[SIGV4_QUERY_MAX]; /* decoded */
	size_t nquery;
	uint64_t length; /* Content-Length, or 0 */
};

/*
 * 0, or the HTTP status of the refusal: 400, 431 (too many headers or
 * parameters), 500 (out of memory). What was allocated is freed by
 * request_fini() in any case.
 */
int request_parse(struct request *r);
void request_fini(struct request *r);

/* The header of this name (in lower case), or NULL: none or several. */
const struct str *request_header(const struct request *r, const char *name);

/* The parameter of this name, or NULL. */
const struct str *request_query(const struct request *r, const char *name);

enum range_kind {
	RANGE_NONE, /* the whole object */
	RANGE_PART,
	RANGE_BAD,     /* 400: not one range of bytes */
	RANGE_OUTSIDE, /* 416 */
};

/* What a Range header (NULL: none) asks of an object of size bytes. */
enum range_kind request_range(const struct str *value, uint64_t size,
			      uint64_t *off, uint64_t *len);

/* Is version among the quoted ETags of an If-Match or If-None-Match? */
bool request_etag_matches(struct str value, const char *version);

/* max-age=N or no-cache of Cache-Control, in seconds; -1: none. */
int64_t request_max_age(const struct request *r);

/* only-if-cached of Cache-Control: the store is not to be asked. */
bool request_only_cached(const struct request *r);

/* All of s as a decimal number without sign; false: it is none below 2^63. */
bool request_number(struct str s, uint64_t *out);

#endif
