/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staging_io.h - all of a run of bytes to and from a staging file
 */
#ifndef CACHE_STAGING_IO_H
#define CACHE_STAGING_IO_H

#include <errno.h>

#include "base/base.h"

/* n bytes at off; behind the file's end are zeros. 0 or -errno. */
static inline int staging_pread(int fd, void *buf, size_t n, uint64_t off)
{
	char *at = buf;

	while (n > 0) {
		ssize_t got = pread(fd, at, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0) {
			memset(at, 0, n);
			return 0;
		}
		at += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

/* How many were written, in *done also when it fails. 0 or -errno. */
static inline int staging_pwrite(int fd, const void *buf, size_t n,
				 uint64_t off, size_t *done)
{
	const char *at = buf;

	for (*done = 0; *done < n;) {
		ssize_t put =
		    pwrite(fd, at + *done, n - *done, (off_t)(off + *done));

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		*done += (size_t)put;
	}
	return 0;
}

/* Bytes [at, end) of a file to the same place in another; buf has
 * STAGING_PIECE bytes. */
#define STAGING_PIECE KIB(256)

static inline int staging_copy_range(int from, int to, uint64_t at,
				     uint64_t end, char *buf)
{
	while (at < end) {
		size_t n = MIN(end - at, STAGING_PIECE), done;
		int r = staging_pread(from, buf, n, at);

		if (r == 0)
			r = staging_pwrite(to, buf, n, at, &done);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

#endif
