/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum.h - what a store says the bytes of an object add up to
 *
 * S3 answers a GET of a whole object that carries x-amz-checksum-mode with
 * the checksum that the object was stored with. An ETag that is an MD5 serves
 * where there is none.
 */
#ifndef UFS_CHECKSUM_H
#define UFS_CHECKSUM_H

#include <openssl/evp.h>

#include "base/base.h"
#include "base/crc.h"
#include "ufs/http.h"

struct checksum {
	const struct checksum_kind *kind; /* NULL: nothing to compare with */
	bool by_etag;                     /* it may not be an MD5 after all */
	uint64_t crc;
	EVP_MD_CTX *digest;                  /* owned */
	unsigned char want[EVP_MAX_MD_SIZE]; /* kind says how many bytes */
	unsigned char got[EVP_MAX_MD_SIZE];  /* once it was compared */
};

/*
 * Choose, from the answer to a GET of a whole object, the cheapest checksum
 * there is; an ETag that looks like an MD5 only if etag says so. Begins anew.
 * 0, also when there is none, or -ENOMEM.
 */
int checksum_begin(struct checksum *c, const struct http_answer *a, bool etag);
void checksum_add(struct checksum *c, const void *p, size_t n);

/* All bytes were added. False: they are not what was stored. */
bool checksum_right(struct checksum *c);
void checksum_fini(struct checksum *c);

/* "crc64nvme", for messages. */
const char *checksum_name(const struct checksum *c);

#endif
