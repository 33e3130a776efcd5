/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc.h - the three CRCs that object stores keep
 */
#ifndef BASE_CRC_H
#define BASE_CRC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum crc_kind {
	CRC_32,     /* of zlib, ISO-HDLC */
	CRC_32C,    /* of iSCSI, Castagnoli */
	CRC_64NVME, /* of the NVM Express command set */
	CRC_KINDS,
};

/*
 * The CRC of what came before, crc (0: nothing), followed by n bytes. Begin
 * and end are inverted in here, as zlib does.
 */
uint64_t crc_update(enum crc_kind kind, uint64_t crc, const void *p, size_t n);

/* The same without special instructions, for tests. */
uint64_t crc_update_portable(enum crc_kind kind, uint64_t crc, const void *p,
			     size_t n);

/*
 * The CRC of what has the CRC a, followed by n bytes that have the CRC b
 * alone, without looking at any of them.
 */
uint64_t crc_combine(enum crc_kind kind, uint64_t a, uint64_t b, uint64_t n);

/*
 * The same for many pieces of one length: crc_join(kind, a, b, crc_length(kind,
 * n)). Measured: 0.1 us, where crc_combine() takes 2 us for 64 KiB.
 */
uint64_t crc_length(enum crc_kind kind, uint64_t n);
uint64_t crc_join(enum crc_kind kind, uint64_t a, uint64_t b, uint64_t length);

/* Are there special instructions here? */
bool crc_is_fast(void);

#endif
