/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.h - by what the members of a ring know each other
 *
 * A mount that asks a worker and a command that tells one something speak to
 * it alike: by https where there are certificates, and signed (AWS Signature
 * Version 4, as any S3 client does) where there is a key.
 */
#ifndef RING_ACCESS_H
#define RING_ACCESS_H

#include <curl/curl.h>

#include "base/base.h"
#include "ufs/encode.h"
#include "ufs/sigv4.h"

/* PEM files, or NULL; with any of them https is spoken. */
struct ring_tls {
	const char *ca, *cert, *key;
};

struct ring_access {
	const char *secret; /* the cluster's key; NULL: nothing is signed */
	struct ring_tls tls;
};

/* A copy of the texts, for ring_access_free(). -ENOMEM: there is none. */
int ring_access_copy(const struct ring_access *a, struct ring_access *out);
void ring_access_free(struct ring_access *copy);

const char *ring_access_scheme(const struct ring_access *a);

/* What holds of each handle that a worker is asked by. -ENOMEM. */
int ring_access_curl(const struct ring_access *a, CURL *c);

/*
 * Sign r, whose body_hash is set, for a worker whose clock is skew ns ahead of
 * ours: the lines that say so behind headers. Without a secret there are none.
 * As sigv4_sign().
 */
int ring_access_sign(const struct ring_access *a, struct sigv4_key *key,
		     struct sigv4_request *r, int64_t skew,
		     struct text *headers);

/* One more header that is signed; both are borrowed. */
void ring_access_header(struct sigv4_request *r, const char *name,
			const char *value);

#endif
