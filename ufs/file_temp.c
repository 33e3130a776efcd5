/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_temp.c - files that are being written, until they get their name
 *
 * Where the file system can (O_TMPFILE, and /proc to name it by), the file
 * has no name until it is whole: if we die before that, the kernel removes
 * it. Elsewhere it has a temporary name, which listings leave out. Its writer
 * holds a flock() on it, so whoever gets that lock knows that no one writes
 * any more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>

#include "base/clock.h"
#include "ufs/file_impl.h"

#define NAME_TRIES 16

static void make_name(struct file_temp *t)
{
	uint64_t x;

	if (getrandom(&x, sizeof(x), GRND_NONBLOCK) != sizeof(x))
		x = (uint64_t)clock_ns() ^ (uint64_t)getpid() << 40;
	snprintf(t->name, sizeof(t->name), FILE_TEMP_PREFIX "%016" PRIx64, x);
}

static void path_of_fd(int fd, char path[static 32])
{
	snprintf(path, 32, "/proc/self/fd/%d", fd);
}

/* False: this file system, or a system without /proc, cannot do that. */
static bool make_unnamed(struct file_temp *t)
{
	char path[32];

	t->fd = openat(t->dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
	if (t->fd < 0)
		return false;
	path_of_fd(t->fd, path);
	if (access(path, F_OK) == 0)
		return true;
	close(take_fd(&t->fd));
	return false;
}

static int make_named(struct file_temp *t)
{
	for (int tries = 0; tries < NAME_TRIES; tries++) {
		struct stat st;

		make_name(t);
		t->fd = openat(
		    t->dirfd, t->name,
		    O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0666);
		if (t->fd < 0 && errno == EEXIST)
			continue;
		if (t->fd < 0)
			return -errno;
		/* Whoever sweeps may have been faster than our lock. */
		if (flock(t->fd, LOCK_EX) == 0 && fstat(t->fd, &st) == 0 &&
		    st.st_nlink > 0)
			return 0;
		close(take_fd(&t->fd));
		unlinkat(t->dirfd, t->name, 0);
	}
	return -EIO;
}

int file_temp_make(int dirfd, struct file_temp *t)
{
	*t = (struct file_temp){ .dirfd = dirfd, .fd = -1 };
	if (!make_unnamed(t))
		return make_named(t);
	/* Nobody else can know of it yet. */
	flock(t->fd, LOCK_EX | LOCK_NB);
	return 0;
}

/* Let what has no name have this one, or a temporary one (NULL). */
static int link_unnamed(struct file_temp *t, const char *name)
{
	char path[32];

	path_of_fd(t->fd, path);
	for (int tries = 0; tries < NAME_TRIES; tries++) {
		if (name == NULL)
			make_name(t);
		if (linkat(AT_FDCWD, path, t->dirfd,
			   name != NULL ? name : t->name,
			   AT_SYMLINK_FOLLOW) == 0)
			return 0;
		if (errno != EEXIST || name != NULL)
			break;
	}
	t->name[0] = '\0';
	return -errno;
}

int file_temp_rename(struct file_temp *t, const char *name, bool replace)
{
	if (t->name[0] == '\0') {
		int r = link_unnamed(t, replace ? NULL : name);

		if (r < 0 || !replace)
			return r;
	}
	if (!replace) {
		if (renameat2(t->dirfd, t->name, t->dirfd, name,
			      RENAME_NOREPLACE) == 0) {
			t->name[0] = '\0';
			return 0;
		}
		if (errno != EINVAL && errno != ENOSYS)
			return -errno;
		/* NFS cannot, but a link is as good. */
		if (linkat(t->dirfd, t->name, t->dirfd, name, 0) == 0) {
			unlinkat(t->dirfd, t->name, 0);
			t->name[0] = '\0';
			return 0;
		}
		/* Not every file system can that; the caller has looked. */
		if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
			return -errno;
	}
	if (renameat(t->dirfd, t->name, t->dirfd, name) < 0)
		return -errno;
	t->name[0] = '\0';
	return 0;
}

void file_temp_drop(struct file_temp *t)
{
	if (t->name[0] != '\0')
		unlinkat(t->dirfd, t->name, 0);
	t->name[0] = '\0';
	if (t->fd >= 0)
		close(take_fd(&t->fd));
}

static void sweep_one(int dirfd, const char *name)
{
	/* For writing: NFS gives an exclusive lock to no other. */
	AUTO_CLOSE int fd =
	    openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(dirfd, name, 0);
}

void file_temp_sweep(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL)
		if (str_starts(str_of(e->d_name), str_of(FILE_TEMP_PREFIX)))
			sweep_one(dirfd, e->d_name);
	closedir(d);
}
