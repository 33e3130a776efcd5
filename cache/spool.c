/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.c - a growing file that the disk or memory holds
 */
#include "cache/spool.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/stats.h"

#define BUFFER KIB(128)

void spool_init(struct spool *s, struct disk *disk)
{
	*s = (struct spool){ .disk = disk, .fd = -1 };
}

/* Remove what tmp/ holds of it and give back its space. */
static void unname(struct spool *s)
{
	if (s->disk == NULL)
		return;
	if (s->tmp[0] != '\0')
		disk_tmp_drop(s->disk, s->tmp);
	s->tmp[0] = '\0';
	if (s->admitted > 0)
		disk_admit(s->disk, -s->admitted);
	s->admitted = 0;
}

static void drop_buffer(struct spool *s)
{
	if (s->buf == NULL)
		return;
	free(s->buf);
	s->buf = NULL;
	stat_add(STAT_spool_bytes, -(int64_t)BUFFER);
}

void spool_fini(struct spool *s)
{
	unname(s);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	drop_buffer(s);
}

static int memory_file(void)
{
	int fd = memfd_create("listing", MFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int make_file(struct spool *s)
{
	s->fd = -1;
	if (s->disk != NULL) {
		if (disk_tmp(s->disk, s->tmp, &s->fd) == 0)
			return 0;
		s->tmp[0] = '\0';
		s->fd = -1;
		s->disk = NULL;
	}
	s->fd = memory_file();
	return MIN(s->fd, 0);
}

static int failed(struct spool *s, int err, const char *what)
{
	if (s->disk != NULL)
		disk_failed(s->disk, err, what);
	return err;
}

static int write_all(int fd, uint64_t off, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t r = pwrite(fd, p, n, (off_t)off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		p += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}

int spool_pread(int fd, uint64_t off, void *bytes, size_t n)
{
	char *p = bytes;

	while (n > 0) {
		ssize_t r = pread(fd, p, n, (off_t)off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -EIO;
		p += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}

/* The disk takes no more: go on in memory, with what it has. */
static int to_memory(struct spool *s)
{
	AUTO_CLOSE int fd = memory_file();
	uint8_t part[KIB(16)];
	int r = 0;

	if (fd < 0)
		return fd;
	for (uint64_t off = 0; off < s->flushed && r == 0;) {
		size_t n = (size_t)MIN(sizeof(part), s->flushed - off);

		r = spool_pread(s->fd, off, part, n);
		if (r < 0)
			return failed(s, r, "read a listing");
		r = write_all(fd, off, part, n);
		off += n;
	}
	if (r < 0)
		return r;
	unname(s);
	s->disk = NULL;
	close(s->fd);
	s->fd = take_fd(&fd);
	return 0;
}

static int write_to_disk(struct spool *s)
{
	int r;

	if (!disk_admit(s->disk, (int64_t)s->n))
		return -ENOSPC;
	s->admitted += (int64_t)s->n;
	r = write_all(s->fd, s->flushed, s->buf, s->n);
	return r < 0 ? failed(s, r, "write a listing") : 0;
}

static int flush(struct spool *s)
{
	int r = s->fd < 0 ? make_file(s) : 0;

	if (r < 0 || s->n == 0)
		return r;
	if (s->disk != NULL && write_to_disk(s) < 0)
		r = to_memory(s);
	if (r == 0 && s->disk == NULL)
		r = write_all(s->fd, s->flushed, s->buf, s->n);
	if (r < 0)
		return r;
	s->flushed += s->n;
	s->n = 0;
	return 0;
}

int spool_append(struct spool *s, const void *bytes, size_t n)
{
	const char *p = bytes;

	if (s->buf == NULL) {
		s->buf = malloc(BUFFER);
		if (s->buf == NULL)
			return -ENOMEM;
		stat_add(STAT_spool_bytes, BUFFER);
	}
	while (n > 0) {
		size_t part = MIN(n, BUFFER - s->n);

		memcpy(s->buf + s->n, p, part);
		s->n += part;
		p += part;
		n -= part;
		if (s->n == BUFFER) {
			int r = flush(s);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int spool_rest(struct spool *s)
{
	int r = s->n > 0 ? flush(s) : 0;

	if (r == 0)
		drop_buffer(s);
	return r;
}

/* Is all of a range in the buffer? Else see that all of it is in the file. */
static int in_buffer(struct spool *s, uint64_t off, size_t n, bool *buffered)
{
	if (off > spool_size(s) || n > spool_size(s) - off)
		return -EIO;
	*buffered = off >= s->flushed;
	if (*buffered || off + n <= s->flushed)
		return 0;
	return flush(s);
}

int spool_read(struct spool *s, uint64_t off, void *bytes, size_t n)
{
	bool buffered;
	int r;

	if (n == 0)
		return 0;
	r = in_buffer(s, off, n, &buffered);
	if (r < 0)
		return r;
	if (buffered) {
		memcpy(bytes, s->buf + (off - s->flushed), n);
		return 0;
	}
	r = spool_pread(s->fd, off, bytes, n);
	return r < 0 ? failed(s, r, "read a listing") : 0;
}

int spool_patch(struct spool *s, uint64_t off, const void *bytes, size_t n)
{
	bool buffered;
	int r = in_buffer(s, off, n, &buffered);

	if (r < 0)
		return r;
	if (buffered) {
		memcpy(s->buf + (off - s->flushed), bytes, n);
		return 0;
	}
	r = write_all(s->fd, off, bytes, n);
	return r < 0 ? failed(s, r, "write a listing") : 0;
}

int spool_publish(struct spool *s, const struct disk_id *id, const char *suffix,
		  int *fd)
{
	int r = flush(s);

	if (r < 0)
		return r;
	if (s->disk != NULL &&
	    disk_publish(s->disk, s->tmp, id, suffix, true) == 0) {
		s->tmp[0] = '\0';
		s->admitted = 0; /* the disk counts the file now */
	}
	*fd = take_fd(&s->fd);
	return 0;
}
