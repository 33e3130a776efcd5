/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.h - a growing file that the disk or memory holds
 *
 * What is appended is buffered; the file is made when the buffer is full for
 * the first time, so what is small costs one write. Bytes already appended
 * can be read and changed. When the disk refuses more or fails to write it,
 * the spool goes on in memory (its disk is then NULL); when it cannot even
 * read, that is returned, and the spool is only good to be ended.
 */
#ifndef CACHE_SPOOL_H
#define CACHE_SPOOL_H

#include "base/base.h"
#include "cache/disk.h"

struct spool {
	struct disk *disk; /* borrowed; NULL: a memfd */
	char tmp[DISK_TMP_MAX];
	int fd;
	uint8_t *buf;
	size_t n;         /* bytes in buf */
	uint64_t flushed; /* bytes in the file */
	int64_t admitted;
};

void spool_init(struct spool *s, struct disk *disk);
void spool_fini(struct spool *s); /* drops the file */

static inline uint64_t spool_size(const struct spool *s)
{
	return s->flushed + s->n;
}

int spool_append(struct spool *s, const void *bytes, size_t n);
int spool_read(struct spool *s, uint64_t off, void *bytes, size_t n);
int spool_patch(struct spool *s, uint64_t off, const void *bytes, size_t n);

/*
 * All bytes into the file, and the buffer back, until more is appended: for
 * one of many that is complete and waits for its turn to be read.
 */
int spool_rest(struct spool *s);

/*
 * End it with all bytes in the file, which the disk then has under id
 * (unless it refuses: then the file has no name). The caller owns *fd.
 */
int spool_publish(struct spool *s, const struct disk_id *id, const char *suffix,
		  int *fd);

/* Exactly n bytes at off; -EIO when the file is shorter. */
int spool_pread(int fd, uint64_t off, void *bytes, size_t n);

#endif
