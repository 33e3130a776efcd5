/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_open.c - a cache directory is checked, made, opened and closed
 *
 * It is only ever ours (own_dir.h) when it was empty or when `format` in it
 * says so: the cache removes files below v1/ and tmp/, and must not do that in
 * somebody's home because of a mistyped option.
 */
#include "cache/disk_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "cache/extent.h"
#include "cache/own_dir.h"

#define FORMAT_VERSION 1
#define WHY 256
#define OPTION "cache-dir"

static int refuse(char why[static WHY], int err, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static int refuse(char why[static WHY], int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, WHY, fmt, ap);
	va_end(ap);
	return err;
}

struct format {
	uint64_t extent_limit;
	uint64_t size; /* 0: not said */
};

/* 0; -ENOENT; -EINVAL for what is not ours or of another version. */
static int format_read(int root, struct format *out)
{
	AUTO_CLOSE int fd = openat(
	    root, "format", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[256];
	struct format f;
	struct stat st;
	unsigned version;
	ssize_t n;
	int end = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	n = pread(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	if (sscanf(text,
		   "tarn cache %u\nextent-limit %" SCNu64 "\nsize %" SCNu64
		   "\n%n",
		   &version, &f.extent_limit, &f.size, &end) != 3 ||
	    end != n || version != FORMAT_VERSION ||
	    f.extent_limit < EXTENT_SMALL_MAX)
		return -EINVAL;
	*out = f;
	return 0;
}

/*
 * Write it under another name and move it; replace: over the old one. It must
 * outlive a power cut: an empty one would be taken for another version's.
 */
static int format_write(const struct disk *d, int root, const struct format *f,
			bool replace)
{
	char name[40], text[128];
	int n, r = 0;

	snprintf(name, sizeof(name), "format.%016jx", (uintmax_t)d->token);
	n = snprintf(text, sizeof(text),
		     "tarn cache %d\nextent-limit %" PRIu64 "\nsize %" PRIu64
		     "\n",
		     FORMAT_VERSION, f->extent_limit, f->size);
	{
		AUTO_CLOSE int fd = openat(root, name,
					   O_WRONLY | O_CREAT | O_TRUNC |
					       O_NOFOLLOW | O_CLOEXEC,
					   0600);
		ssize_t wrote;

		if (fd < 0)
			return -errno;
		wrote = pwrite(fd, text, (size_t)n, 0);
		if (wrote != n)
			r = wrote < 0 ? -errno : -ENOSPC;
		else if (fsync(fd) < 0)
			r = -errno;
	}
	if (r == 0 && replace && renameat(root, name, root, "format") < 0)
		r = -errno;
	/* The first of several that start at once wins. */
	if (r == 0 && !replace && linkat(root, name, root, "format", 0) < 0 &&
	    errno != EEXIST)
		r = -errno;
	if (r == 0 && fsync(root) < 0)
		r = -errno;
	unlinkat(root, name, 0);
	return r;
}

/*
 * Is it a file that a running daemon makes beside `format`? One that did so
 * just while the directory was being removed leaves nothing else behind.
 */
static bool left_over(const char *name)
{
	return strcmp(name, "usage") == 0 || strcmp(name, "lock") == 0 ||
	       strcmp(name, "scrub") == 0 ||
	       strncmp(name, "forgotten-", 10) == 0;
}

/* Nothing in it but what an empty file system, or a start like ours, has. */
static int empty_enough(int root, char other[static NAME_MAX + 1])
{
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (dir == NULL) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0 ||
		    strcmp(e->d_name, "lost+found") == 0 ||
		    strncmp(e->d_name, "format.", 7) == 0 ||
		    left_over(e->d_name))
			continue;
		snprintf(other, NAME_MAX + 1, "%s", e->d_name);
		r = -ENOTEMPTY;
	}
	closedir(dir);
	return r;
}

static uint64_t configured_size(const struct disk_conf *c, int root)
{
	struct statvfs vfs;

	if (c->percent == 0 || c->size != 0)
		return c->size;
	if (fstatvfs(root, &vfs) < 0)
		return 0;
	return (uint64_t)vfs.f_blocks * vfs.f_frsize / 100 *
	       MIN(c->percent, 100);
}

static int not_empty(const struct disk *d, const char *other,
		     char why[static WHY])
{
	return refuse(why, -ENOTEMPTY,
		      "%s holds '%.64s' and is no cache: empty it, or name "
		      "another cache-dir",
		      d->dir, other);
}

static int other_format(const struct disk *d, char why[static WHY])
{
	return refuse(why, -EINVAL,
		      "%s/format is not of this version of tarn: remove %s, or "
		      "name another cache-dir",
		      d->dir, d->dir);
}

static bool is_other_format(int r)
{
	return r == -EINVAL || r == -ELOOP || r == -ENXIO;
}

/* Read or make `format`; sets the limits. */
static int format_settle(struct disk *d, int root, char why[static WHY])
{
	uint64_t size = configured_size(&d->conf, root);
	char other[NAME_MAX + 1];
	struct format f;
	int r = format_read(root, &f);

	if (r == -ENOENT) {
		r = empty_enough(root, other);
		/* Another may have made it since we looked. */
		if (r == -ENOTEMPTY && format_read(root, &f) == -ENOENT)
			return not_empty(d, other, why);
		if (r < 0 && r != -ENOTEMPTY)
			return refuse(why, r, "cannot read %s: %s", d->dir,
				      strerror(-r));
		f.extent_limit = MAX(size / 4, (uint64_t)EXTENT_SMALL_MAX);
		f.size = d->conf.size_explicit ? size : 0;
		r = format_write(d, root, &f, false);
		if (r == 0)
			r = format_read(root, &f);
	}
	if (is_other_format(r))
		return other_format(d, why);
	if (r == 0 && d->conf.size_explicit && f.size != size) {
		f.size = size;
		r = format_write(d, root, &f, true);
	}
	if (r < 0)
		return refuse(why, r, "cannot write to %s: %s", d->dir,
			      strerror(-r));
	if (f.size != 0 || d->conf.size_explicit)
		size = f.size;
	atomic_store(&d->limit, size);
	atomic_store(&d->extent_limit, f.extent_limit);
	return 0;
}

static int open_part(struct disk *d, int root, const char *name, int *out,
		     char why[static WHY])
{
	AUTO_CLOSE int fd = -1;
	char path[WHY];
	int r = 0;

	snprintf(path, sizeof(path), "%s/%s", d->dir, name);
	if (mkdirat(root, name, 0700) < 0 && errno != EEXIST)
		return refuse(why, -errno, "cannot make %s: %s", path,
			      strerror(errno));
	fd = disk_subdir(root, name);
	if (fd == -ELOOP || fd == -ENOTDIR)
		return refuse(why, -EPERM, "%s is not a directory: remove it",
			      path);
	if (fd < 0)
		return refuse(why, fd, "cannot open %s: %s", path,
			      strerror(-fd));
	r = own_dir_check(fd, path, OPTION, d->uid, why);
	if (r == 0)
		*out = take_fd(&fd);
	return r;
}

int disk_root_file(const struct disk *d, int root, const char *name)
{
	AUTO_CLOSE int fd = openat(
	    root, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	    0600);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != d->uid)
		return -EPERM;
	return take_fd(&fd);
}

/* Can it be opened? It is not kept open: that would forbid a remount. */
static int check_file(struct disk *d, int root, const char *name,
		      char why[static WHY])
{
	AUTO_CLOSE int fd = disk_root_file(d, root, name);

	if (fd == -EPERM || fd == -ELOOP || fd == -EISDIR || fd == -ENXIO)
		return refuse(why, -EPERM, "%s/%s is not ours: remove it",
			      d->dir, name);
	return fd >= 0 ? 0
		       : refuse(why, fd, "cannot open %s/%s: %s", d->dir, name,
				strerror(-fd));
}

/* Put fd behind the number that is in use, or begin with it. */
static int replace_fd(int *in_use, int *fd)
{
	if (*in_use < 0) {
		*in_use = take_fd(fd);
		return 0;
	}
	return dup3(*fd, *in_use, O_CLOEXEC) < 0 ? -errno : 0;
}

static void find_xattr(struct disk *d)
{
	char name[40];
	AUTO_CLOSE int fd = -1;

	snprintf(name, sizeof(name), "xattr-%016jx", (uintmax_t)d->token);
	fd =
	    openat(d->tmp, name,
		   O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	atomic_store(&d->xattr, fsetxattr(fd, "user.tarn", "?", 1, 0) == 0);
	unlinkat(d->tmp, name, 0);
}

int disk_attach(struct disk *d, char why[static WHY])
{
	AUTO_CLOSE int root = -1;
	AUTO_CLOSE int v1 = -1;
	AUTO_CLOSE int tmp = -1;
	int r = own_dir_make(d->dir, OPTION, d->uid, &root, why);

	if (r == 0)
		r = format_settle(d, root, why);
	if (r == 0)
		r = open_part(d, root, "v1", &v1, why);
	if (r == 0)
		r = open_part(d, root, "tmp", &tmp, why);
	if (r == 0)
		r = check_file(d, root, "usage", why);
	if (r == 0)
		r = check_file(d, root, "lock", why);
	if (r < 0)
		return r;
	if (replace_fd(&d->root, &root) < 0 || replace_fd(&d->v1, &v1) < 0 ||
	    replace_fd(&d->tmp, &tmp) < 0)
		return refuse(why, -EMFILE, "no descriptor left for %s",
			      d->dir);
	find_xattr(d);
	atomic_store(&d->gone, false);
	return 0;
}

/* What to do about a fault of the disk; NULL: the directory is to blame. */
static const char *fix_for(int err)
{
	switch (-err) {
	case EROFS:
		return "remount its disk read-write";
	case ENOSPC:
	case EDQUOT:
		return "make room on its disk";
	case EIO:
	case EUCLEAN: /* ext4 and xfs: its structures are damaged, */
	case EBADMSG: /* or do not match their checksum */
		return "check its disk (fsck)";
	default:
		return NULL;
	}
}

/*
 * T6: a fault of the disk is nobody's error. The mount begins without it, and
 * the probe takes it in once it can; until then the descriptors lead nowhere.
 */
static int attach_or_begin_off(struct disk *d, char why[static WHY])
{
	int r = disk_attach(d, why);
	const char *fix = fix_for(r);

	if (fix == NULL)
		return r;
	snprintf(d->why, sizeof(d->why),
		 "%s; %s, or name another cache-dir; until then nothing is "
		 "kept there",
		 why, fix);
	log_warn("cache: %s", d->why);
	atomic_store(&d->state, DISK_OFF);
	/* Unknown: what other disks hold whole is not cut for its sake. */
	if (atomic_load(&d->extent_limit) == 0)
		atomic_store(&d->extent_limit, UINT64_MAX);
	d->root = open("/dev/null", O_PATH | O_CLOEXEC);
	d->v1 = open("/dev/null", O_PATH | O_CLOEXEC);
	d->tmp = open("/dev/null", O_PATH | O_CLOEXEC);
	return d->root >= 0 && d->v1 >= 0 && d->tmp >= 0
		   ? 0
		   : refuse(why, -errno, "no descriptor left for %s", d->dir);
}

int disk_look(const char *dir, int *out, char why[static WHY])
{
	AUTO_FREE char *path = own_dir_absolute(dir);
	struct disk d = { .dir = path, .uid = geteuid() };
	AUTO_CLOSE int fd = -1;
	char other[NAME_MAX + 1];
	struct format f;
	int r;

	if (path == NULL)
		return refuse(why, -ENOMEM, "out of memory");
	r = own_dir_open(path, OPTION, d.uid, &fd, why);
	if (r < 0)
		return r;
	r = format_read(fd, &f);
	if (is_other_format(r))
		return other_format(&d, why);
	if (r == -ENOENT) {
		r = empty_enough(fd, other);
		if (r == -ENOTEMPTY)
			return not_empty(&d, other, why);
	}
	if (r < 0)
		return refuse(why, r, "cannot read %s: %s", path, strerror(-r));
	*out = take_fd(&fd);
	return 0;
}

static int start_threads(struct disk *d)
{
	void *(*const mains[])(void *) = { disk_space_main, disk_health_main,
					   disk_walk_main, disk_scrub_main };
	sigset_t all, before;
	int r = 0;

	/* Signals are the front's business. */
	sigfillset(&all);
	must(pthread_sigmask(SIG_SETMASK, &all, &before));
	for (size_t i = 0; i < ARRAY_SIZE(mains) && r == 0; i++) {
		r = -pthread_create(&d->threads[i], NULL, mains[i], d);
		if (r == 0)
			d->started++;
	}
	must(pthread_sigmask(SIG_SETMASK, &before, NULL));
	return r;
}

int disk_open(const struct disk_conf *conf, struct disk **out,
	      char why[static WHY])
{
	struct disk *d = calloc(1, sizeof(*d));
	int r;

	if (d == NULL)
		return refuse(why, -ENOMEM, "out of memory");
	d->root = d->v1 = d->tmp = -1;
	d->conf = *conf;
	d->uid = geteuid();
	d->probe_every =
	    conf->probe_every > 0 ? conf->probe_every : 10 * NSEC_PER_SEC;
	lock_init(&d->lock, RANK_DISK);
	event_init(&d->kicked);
	d->dir = own_dir_absolute(conf->dir);
	d->conf.dir = d->dir;
	if (d->dir == NULL)
		r = refuse(why, -ENOMEM, "out of memory");
	else if (getrandom(&d->token, sizeof(d->token), 0) != sizeof(d->token))
		r = refuse(why, -EIO, "the kernel gives no random bytes");
	else
		r = attach_or_begin_off(d, why);
	if (r == 0) {
		atomic_store(&d->hand, (unsigned)d->token & 0xffff);
		disk_usage_sync(d);
		r = start_threads(d);
		if (r < 0)
			refuse(why, r, "no thread for %s: %s", d->dir,
			       strerror(-r));
	}
	if (r < 0)
		disk_close(d);
	else
		*out = d;
	return r;
}

void disk_close(struct disk *d)
{
	if (d == NULL)
		return;
	lock_take(&d->lock);
	atomic_store(&d->stopping, true);
	event_broadcast(&d->kicked);
	lock_drop(&d->lock);
	for (unsigned i = 0; i < d->started; i++)
		must(pthread_join(d->threads[i], NULL));
	if (d->tmp >= 0)
		disk_usage_sync(d);
	int fds[] = { d->root, d->v1, d->tmp };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	event_fini(&d->kicked);
	lock_fini(&d->lock);
	free(d->dir);
	free(d);
}
