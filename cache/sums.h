/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sums.h - what was written to a staging file, as checksums a page
 *
 * A page's sum is the XXH3-64 of its bytes in the staging file from its start
 * to the last one written, with zeros where nothing was; and the CRC64NVME of
 * the same bytes, of which that of an object or a part is put together, so
 * that nothing is read twice to be sent. It is made of the
 * bytes that write() brought, never of what the disk gives back, so whatever
 * rots behind that is found when the page is sent (C3, S13):
 *
 *  - written on from where it ended, as all sequential writers do: a hash that
 *    goes along; nothing is read back and no byte hashed twice
 *  - written over as a whole: hashed from the caller's buffer
 *  - written over in part: the page is read and compared with its sum first,
 *    then hashed as it will be. That costs a read of 64 KiB from the page
 *    cache and two hashes of it, some 20 us; hashing what is read back after
 *    the write would cost nearly as much and take rot for truth
 *
 * Writes come one at a time: sums_begin(), the write itself, sums_end(). The
 * sum of a page that no write is at may be asked for by others; room for a
 * write is made under a lock that they hold too.
 */
#ifndef CACHE_SUMS_H
#define CACHE_SUMS_H

#include "base/base.h"

#define SUM_PAGE KIB(64)

struct sum {
	uint64_t hash;
	uint64_t crc;
	uint32_t len; /* bytes of the page; 0: none was written */
};

struct sums;

struct sums *sums_new(void); /* NULL: no memory */
void sums_free(struct sums *s);

/* Room for the sums of [off, off+n), n not 0. 0 or -ENOMEM. */
int sums_room(struct sums *s, uint64_t off, uint64_t n);

/*
 * [off, off+n) of fd will be written. 0, or -EIO: what is there has rotted
 * (or cannot be read: its -errno), -ENOMEM.
 */
int sums_begin(struct sums *s, int fd, uint64_t off, uint64_t n);

/* n bytes (as many, or fewer) were: p. There was room for them. */
void sums_end(struct sums *s, const void *p, uint64_t n, uint64_t off);

/* fd will be cut to size. As sums_begin(); nothing is changed. */
int sums_cut_begin(struct sums *s, int fd, uint64_t size);
void sums_cut(struct sums *s, uint64_t size);

struct sum sums_get(const struct sums *s, uint64_t page);

/*
 * The CRC64NVME of [off, off+n), n not 0: false when it cannot be put together,
 * since what is there begins or ends in the middle of a page, or has holes.
 */
bool sums_crc(const struct sums *s, uint64_t off, uint64_t n, uint64_t *crc);

/*
 * The table of a file of this size to an empty file and back from one: 24 bytes
 * a page, hash, CRC and length in little endian and 4 zeros; all zeros: none
 * was written. *hash is of it all, and has to be the same. 0 or -errno; -EIO:
 * that is not what was saved.
 */
int sums_save(const struct sums *s, int fd, uint64_t size, uint64_t *hash);
int sums_load(struct sums *s, int fd, uint64_t size, uint64_t hash);

/* Are these the bytes (sum.len of them) that the sum is of? */
bool sum_right(struct sum sum, const void *bytes);

#endif
