/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - what a mount and a worker say to each other beyond S3
 *
 * A mount asks a worker as any S3 client would:
 *
 *     GET /BUCKET/KEY        Range: bytes=FIRST-LAST, If-Match: "VERSION"
 *                            Cache-Control: only-if-cached, or nothing
 *     HEAD /BUCKET/KEY       Cache-Control: max-age=SECONDS
 *     GET /BUCKET?list-type=2&prefix=...&start-after=...
 *
 * KEY is the whole key in the bucket, Age in the answer how old what it says
 * of the object is, in seconds. Beyond that there are these headers:
 *
 *   x-tarn-protocol: 1     in both directions; who finds another number goes
 *                          round this worker (or answers as to any S3 client)
 *   x-tarn-store: NAME     of the request: the store that is meant, as it is
 *                          named in caches. A worker that has another store
 *                          under this bucket's name answers 421; so it does
 *                          (to a mount) for a bucket, and for keys and
 *                          listings outside of the prefix, that it does not
 *                          serve. 404 would be the store's word.
 *   x-tarn-hop: N          of the request: 1 from a mount, 2 from a worker to
 *                          its store. A worker answers 508 to 2 and more: it
 *                          never asks a worker.
 *   x-tarn-pages: ...      of the answer: checksums of the pages in the body
 *   x-tarn-framed: 1       of the answer: the body is framed
 *   x-tarn-spread: N       of the answer to a GET: this segment is more than
 *                          this worker can send (heat.h), ask any of its
 *                          first N replicas (2, 4, 8) for ten seconds; of
 *                          two such answers the larger N counts
 *
 * A mount asks for ranges that begin at a page, end at one or at the object's
 * end, and are WIRE_RANGE_MAX long at most. When a worker has all pages of
 * one, their checksums are in x-tarn-pages: "SEED FIRST WORDS", SEED and FIRST
 * in hex, WORDS the base64 of one little-endian u64 a page. When it is still
 * filling them it answers at once (of a small object, which it has in a moment
 * as a rule, after 0.2 s) and nobody hedges against it: the body is
 * then framed, before each page stands its word (little-endian u64), made
 * with seed 0 and the page's number in the object; Content-Length counts
 * them. A word is extent_word() of cache/extent.h.
 *
 * A version that If-Match names is right at any age. What a worker holds of it
 * it sends without asking the store, however old what it knows of the object
 * is; what it must fetch it looks at first as for any request, so that 412 is
 * said of a version that is gone, and no body begun. Who wants to hear of a
 * newer one asks without If-Match, by HEAD, or with max-age.
 *
 * Cache-Control: only-if-cached is for the worker that owned a segment before
 * the ring changed. It answers with what it holds, all of the range, on its
 * SSD or in memory, and else 504 at once: neither the bytes nor what the
 * object is (its size) are asked of the store. A version that If-Match names is
 * served however old what is known of the object is; without If-Match that must
 * be as fresh as the worker's consistency (and max-age) want it. A listing does
 * not heed it.
 *
 * A worker that fails says whose fault that is. 503 and 500 are its own: it is
 * asked for too much, is stopping or is ill, and after some of them it is left
 * alone. 502 is its store's, which does not answer, or not as it should: what
 * the worker holds is still to be had of it. Once the head of a framed body is
 * sent, a connection that stalls or ends is all that can be said, so that of
 * one who is fetching this is taken for his store's fault, unless the store
 * then answers who asked.
 *
 * The checksums catch accidents: a bit that flips, a file that is torn. A
 * worker has the cluster's key, so that one which lies on purpose is believed.
 */
#ifndef RING_WIRE_H
#define RING_WIRE_H

#include "base/base.h"
#include "cache/extent.h"

#define WIRE_PROTOCOL "1"
#define WIRE_H_PROTOCOL "x-tarn-protocol"
#define WIRE_H_STORE "x-tarn-store"
#define WIRE_H_HOP "x-tarn-hop"
#define WIRE_H_PAGES "x-tarn-pages"
#define WIRE_H_FRAMED "x-tarn-framed"
#define WIRE_H_SPREAD "x-tarn-spread"

/* The access key id that goes with the cluster's key, and SigV4's region. */
#define WIRE_ACCESS_KEY "tarn"
#define WIRE_REGION "us-east-1"

#define WIRE_PAGE PAGE_BYTES
#define WIRE_RANGE_MAX MIB(8)
#define WIRE_PAGES_MAX (WIRE_RANGE_MAX / WIRE_PAGE)
#define WIRE_WORD 8 /* bytes before a page of a framed body */

struct wire_pages {
	uint64_t seed;
	uint64_t first; /* number that the first page's word was made with */
	size_t n;
	uint64_t words[WIRE_PAGES_MAX];
};

/* "SEED FIRST WORDS" and a NUL: room for it. */
#define WIRE_PAGES_TEXT (2 * 17 + 4 * ((WIRE_PAGES_MAX * 8 + 2) / 3) + 1)

/* The value of x-tarn-pages. p->n is 1 to WIRE_PAGES_MAX. */
void wire_pages_write(const struct wire_pages *p,
		      char out[static WIRE_PAGES_TEXT]);
/* -EINVAL when it is none. */
int wire_pages_read(const char *value, struct wire_pages *out);

/*
 * A body as it comes, cut into pages, each given on when it was found right.
 * pages NULL: a framed body, else a plain one with these checksums.
 */
struct wire_body {
	/* set by wire_body_begin() */
	const struct wire_pages *pages; /* borrowed, or NULL */
	uint64_t page;                  /* of the object, to come next */
	uint64_t left;                  /* bytes of the object to come */
	char *buffer;                   /* WIRE_PAGE bytes; borrowed */

	size_t held;      /* bytes in the buffer */
	size_t word_held; /* bytes of the word */
	uint8_t word[WIRE_WORD];
	size_t at; /* in pages->words */
};

/* off (at a page) and len of the object are to come. */
void wire_body_begin(struct wire_body *b, const struct wire_pages *pages,
		     uint64_t off, uint64_t len, char *buffer);

/*
 * Bytes have come. 0; -EBADMSG: a page is not what its word says, or there is
 * no word for it; -EIO: more came than was said; or what give() returned.
 */
int wire_body_add(struct wire_body *b, const char *bytes, size_t n,
		  int (*give)(void *arg, const void *page, size_t len),
		  void *arg);

/* All has come and was right. */
static inline bool wire_body_complete(const struct wire_body *b)
{
	return b->left == 0;
}

#endif
