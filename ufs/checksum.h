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

/*
 * An ETag that looks like the MD5 of its object's bytes. That alone proves
 * nothing: the caller finds out whether this store's ETags are MD5s.
 */
bool checksum_etag_md5(const struct http_answer *a, unsigned char out[16]);

/* 32 lower-case hex digits and nothing else. */
bool checksum_read_md5(const char *s, unsigned char out[16]);

/* A CRC64NVME as headers and documents have it: base64 of its eight bytes. */
#define CHECKSUM_CRC64_TEXT 13 /* with the NUL */
void checksum_write_crc64(uint64_t crc, char out[static CHECKSUM_CRC64_TEXT]);
bool checksum_read_crc64(const char *s, uint64_t *crc);

/* "crc64nvme", for messages. */
const char *checksum_name(const struct checksum *c);

#endif
