/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.h - was a request signed with the cluster's key?
 *
 * SigV4 in an Authorization header or, presigned, in the query; any region,
 * service s3, access key id WIRE_ACCESS_KEY. Signatures are compared in
 * constant time. A clock may be AUTH_SKEW off in either direction.
 */
#ifndef RING_AUTH_H
#define RING_AUTH_H

#include "base/base.h"
#include "ring/request.h"
#include "ufs/sigv4.h"

#define AUTH_SKEW_SECONDS 300
#define AUTH_SECRET_MIN 16 /* bytes of a cluster's key */
#define AUTH_SECRET_MAX 512

struct auth {
	const char *secret; /* borrowed; NULL: nothing is checked */
	struct sigv4_key key;
};

void auth_init(struct auth *a, const char *secret);
void auth_fini(struct auth *a);

/*
 * NULL: it is right, or nothing is checked. Else S3's code for what is wrong,
 * which is answered with 403. wall: ns since 1970. signed_body: the body must
 * be covered by the signature (of a POST that does something).
 */
const char *auth_check(struct auth *a, const struct request *r, int64_t wall,
		       bool signed_body);

#endif
