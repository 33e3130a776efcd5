/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_attempt.h - what is known of one request while it is under way
 *
 * http_send.c makes attempts and sees them through; http_try.c judges what
 * comes. Two of them may be under way for one operation: the first whose
 * answer's head is right wins it, and only the winner's bytes reach the
 * driver. Both run in one thread.
 */
#ifndef UFS_HTTP_ATTEMPT_H
#define UFS_HTTP_ATTEMPT_H

#include "ufs/http_impl.h"

struct attempt {
	struct http *h;
	struct http_handle *handle;
	struct http_op *op;
	const struct http_limits *limits;
	uint64_t *total;
	struct attempt **winner; /* of the operation: NULL, one of them */
	struct try_result result;
	struct curl_slist *list;  /* owned: the request's headers */
	struct curl_slist *route; /* owned: for CURLOPT_RESOLVE */
	struct addr_host host;
	int64_t begun;

	/* the head */
	unsigned lines;
	size_t bytes;
	unsigned lengths;
	bool chunked, other_coding, complete;
	int64_t head_at; /* when it was complete */

	/* the body */
	bool success;
	uint64_t skip;   /* of a 200 for a range: what stands before it */
	uint64_t expect; /* bytes to hand on, UINT64_MAX = as many as come */
	uint64_t given;
	bool enough; /* the rest of a 200 for a range is not wanted */

	/* the request's body */
	char *whole;        /* owned: all of it, which goes with the head */
	uint64_t read_at;   /* up to where it was read */
	uint64_t bytes_out; /* of it that went out */

	/* the stall rule and the deadline */
	bool connected;
	int socket_errno; /* why no socket was made */
	int64_t since;
	uint64_t since_bytes, bytes_in;
	int64_t last_byte;
	bool verdict; /* result.end is set */
};

/* As before anything came; handle, op and so on are kept. */
void attempt_reset(struct attempt *t);

/* How a transfer of this handle ended, into t->result. */
void attempt_judge(struct attempt *t, CURLcode code);

/* It could not be sent. */
void attempt_fail(struct attempt *t, int err, const char *why);

/* Let libcurl call us for this attempt; false: out of memory. */
bool attempt_listen(struct attempt *t);

/* Method and body of the operation; false: out of memory. */
bool attempt_send(struct attempt *t);

/* So many bytes of the body went out by now. */
void attempt_sent(struct attempt *t, uint64_t n);

/* All of the body went out. */
bool attempt_sent_all(const struct attempt *t);

/* A callback returned r. False: the transfer is to end, what says why. */
bool attempt_go_on(struct attempt *t, int r, const char *what);

#endif
