/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_impl.h - the parts of the peer client
 *
 * peer.c: sessions, and requests on their way. peer_answer.c: what the
 * answers must be.
 */
#ifndef RING_PEER_IMPL_H
#define RING_PEER_IMPL_H

#include <curl/curl.h>

#include "base/lock.h"
#include "ring/peer.h"
#include "ufs/encode.h"
#include "ufs/s3_answer.h"

#define PEER_HEADERS_MAX KIB(64)
#define PEER_HEADER_LINES_MAX 200
#define PEER_ERROR_BODY_MAX KIB(64)

/* A transfer's place in a session; its handle and buffer are kept. */
struct peer_slot {
	struct peer_session *session;
	struct peer_call *call; /* NULL: free */
	CURL *curl;
	char error[CURL_ERROR_SIZE];
	char *page;              /* WIRE_PAGE bytes, made when needed */
	struct curl_slist *list; /* owned: the request's headers */
	struct text headers;     /* of the answer, "name\0value\0" each */
	struct s3_list_parser *parser;

	bool added; /* to the multi handle */
	bool connected, complete, success;
	bool out_of_files;
	unsigned lines;
	size_t head_bytes, error_bytes;
	struct wire_pages pages;
	struct wire_body body;
	int64_t since;      /* when the page that comes was begun */
	uint64_t since_got; /* bytes of the body then */
	uint64_t bytes;     /* of the body, so far */
	int64_t received;   /* ns, that the receiver took for them */
};

struct peer_session {
	struct peers *peers;
	struct peer_session *next; /* of the free ones */
	uint64_t last;             /* hash of the worker it was used for */
	int64_t used_at;
	CURLM *multi;
	bool moved; /* something ended or got its head in this step */
	struct peer_slot slot[PEER_RACERS];
};

struct peers {
	/* set once at new */
	struct peers_conf conf; /* its texts are copies */
	struct sigv4_key key;   /* has a lock of its own */
	/* under lock */
	struct lock lock;
	struct peer_session *free; /* the one used last is the first */
	unsigned nfree;
};

/* peer_answer.c */
/* Let libcurl call us; false: out of memory. */
bool peer_listen(struct peer_slot *s);
/* The transfer is over. */
void peer_judge(struct peer_slot *s, CURLcode code);
/* Is it too slow? */
void peer_tick(struct peer_slot *s, int64_t now);

#endif
