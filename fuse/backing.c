/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backing.c - backing ids, and which opens mix
 *
 * The counts here may run ahead of the kernel's (an open counts from the
 * moment it is decided) and behind them (a release arrives after the kernel
 * has left the mode). Both are safe: an answer of the mode that was is what
 * the kernel takes in that mode or when idle.
 */
#include "fuse/backing.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/stats.h"

/* An id (> 0) or -errno. Only takes a reference in the kernel: no I/O. */
static int backing_open(int dev_fd, int fd)
{
	struct wire_backing_map map = { .fd = fd };
	int id = ioctl(dev_fd, WIRE_IOC_BACKING_OPEN, &map);

	if (id < 0)
		return -errno;
	return id > 0 ? id : -EIO;
}

void backing_close(int dev_fd, int id)
{
	uint32_t arg = (uint32_t)id;

	(void)ioctl(dev_fd, WIRE_IOC_BACKING_CLOSE, &arg);
}

int backing_try(int dev_fd, int fd)
{
	int id = backing_open(dev_fd, fd);

	if (id < 0)
		return id;
	backing_close(dev_fd, id);
	return 0;
}

int backing_probe(int dev_fd)
{
	AUTO_CLOSE int fd = memfd_create("tarn-probe", MFD_CLOEXEC);

	return fd < 0 ? -errno : backing_try(dev_fd, fd);
}

/* The id that the file has, or gets now; or -errno. */
static int backing_id_of(int dev_fd, struct cache_file *file)
{
	int id = atomic_load(&file->backing_id), none = 0;

	if (id != 0)
		return id;
	id = backing_open(dev_fd, file->fd);
	if (id < 0 ||
	    atomic_compare_exchange_strong(&file->backing_id, &none, id))
		return id;
	backing_close(dev_fd, id); /* another inode's open was first */
	return none;
}

/* Is the file of those that are open not the one to be handed out now? */
static bool worn_locked(const struct opened *o, struct cache_file *file)
    TSA(requires_capability(o->lock))
{
	return o->passthrough > 0 &&
	       (file == NULL ||
		atomic_load(&file->backing_id) != o->backing_id);
}

/* Do opens go around the page cache? */
static bool around_locked(struct opened *o) TSA(requires_capability(o->lock))
{
	if (o->direct == 0)
		o->around = false;
	return o->around;
}

enum open_mode opened_add(struct opened *o, int dev_fd, struct cache_file *file,
			  bool direct, uint32_t *flags, int32_t *backing_id,
			  int *refused)
{
	enum open_mode mode;

	*refused = 0;
	*backing_id = 0;
	*flags = WIRE_FOPEN_NOFLUSH;
	lock_take(&o->lock);
	direct = direct || around_locked(o);
	if (worn_locked(o, file)) {
		if (!o->left) {
			o->left = true;
			lock_drop(&o->lock);
			return OPEN_ELSEWHERE;
		}
		direct = true;
	}
	if (o->passthrough == 0 && o->cached == 0 && o->direct == 0 &&
	    file != NULL && dev_fd >= 0) {
		int id = backing_id_of(dev_fd, file);

		if (id < 0)
			*refused = id;
		else
			o->backing_id = id;
	}
	if (o->passthrough > 0 || o->backing_id > 0) {
		o->passthrough++;
		mode = OPEN_PASSTHROUGH;
		*flags |= WIRE_FOPEN_PASSTHROUGH;
		*backing_id = o->backing_id;
	} else if (direct) {
		o->direct++;
		mode = OPEN_DIRECT;
	} else {
		o->cached++;
		mode = OPEN_CACHED;
		*flags |= WIRE_FOPEN_KEEP_CACHE;
	}
	if (direct)
		*flags |= WIRE_FOPEN_DIRECT_IO;
	lock_drop(&o->lock);
	stat_inc(STAT_opens);
	if (mode == OPEN_PASSTHROUGH && !direct)
		stat_inc(STAT_passthrough_opens);
	return mode;
}

enum open_mode opened_write(struct opened *o, bool direct, bool write_only)
{
	lock_take(&o->lock);
	if (!around_locked(o) && write_only && o->cached == 0 && o->direct == 0)
		o->around = true;
	direct = direct || o->around;
	o->cached += !direct;
	o->direct += direct;
	lock_drop(&o->lock);
	return direct ? OPEN_DIRECT : OPEN_CACHED;
}

void opened_remove(struct opened *o, enum open_mode mode)
{
	lock_take(&o->lock);
	if (mode == OPEN_CACHED)
		o->cached--;
	if (mode == OPEN_DIRECT)
		o->direct--;
	if (mode == OPEN_PASSTHROUGH && --o->passthrough == 0)
		o->backing_id = 0;
	lock_drop(&o->lock);
}
