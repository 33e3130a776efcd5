/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c - a local or NFS directory as the store
 *
 * A key is a path below the directory, bytes as they are. Symlinks, whatever
 * is neither a regular file nor a directory, and the temporary files of those
 * who write (file_temp.c) do not exist, and openat2() keeps every path inside
 * (RESOLVE_BENEATH); where the kernel or a seccomp filter has no openat2, the
 * path is walked with O_NOFOLLOW.
 *
 * The version of a file is its device, inode, size and ctime. The kernel's
 * clock ticks (at most 10 ms long), so a file changed twice within a tick
 * would have one ctime for two contents. A read therefore begins only when
 * the ctime is older than a tick: from then on each change gives another
 * ctime, and a piece of which fstat() still says the same version after it
 * was read is of that version. Each piece is checked before it is handed on.
 * On a network file system the ctime is another machine's: two seconds.
 *
 * A long write() sets the ctime when it begins. So a file that changed in the
 * last two seconds is only read when no one has it open for writing, which a
 * lease that is taken and given back at once tells; else the two seconds are
 * waited for. What remains unseen: a single write() of more than two seconds,
 * and stores through a shared mapping that is dirty for longer than that
 * (they touch no ctime until write-back).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ufs/file_impl.h"

#define PIECE KIB(256)
#define SETTLE_LOCAL (20 * NSEC_PER_MSEC)
#define SETTLE_NETWORK (2 * NSEC_PER_SEC)

static struct file_store *of(struct ufs *u)
{
	return container_of(u, struct file_store, ufs);
}

int file_errno(int err)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case EXDEV:
	case ENAMETOOLONG:
	case EISDIR:
	case ENXIO:
	case EINVAL: /* a name that this file system cannot hold */
	case EILSEQ:
		return -ENOENT;
	case EACCES:
	case EPERM:
		return -EACCES;
	case ENFILE:
	case EMFILE:
		return -ENFILE;
	case ENOMEM:
		return -ENOMEM;
	case ESTALE: /* NFS: the file behind the handle is gone */
		return -ESTALE;
	case ETIMEDOUT:
		return -ETIMEDOUT;
	default:
		return -EIO;
	}
}

/* One part of a path: 0, or why it cannot be one. */
static int part_check(const char *p, size_t n)
{
	if (n == 0 || (n == 1 && p[0] == '.') ||
	    (n == 2 && p[0] == '.' && p[1] == '.'))
		return -EINVAL;
	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	if (str_starts((struct str){ p, n }, str_of(FILE_TEMP_PREFIX)))
		return -EACCES;
	return 0;
}

int file_key_check(struct str key)
{
	int r = 0;

	if (key.n > UFS_KEY_MAX)
		return -ENAMETOOLONG;
	if (memchr(key.p, '\0', key.n) != NULL)
		return -EINVAL;
	for (size_t at = 0, n; at < key.n && r == 0; at += n + 1) {
		const char *slash = memchr(key.p + at, '/', key.n - at);

		n = slash != NULL ? (size_t)(slash - key.p) - at : key.n - at;
		r = part_check(key.p + at, n);
	}
	return r;
}

/* openat2() by hand; path is "" or relative and without empty components. */
static int walk(int rootfd, char *path, int flags)
{
	AUTO_CLOSE int dir = fcntl(rootfd, F_DUPFD_CLOEXEC, 0);
	char *slash;
	int fd;

	if (dir < 0)
		return -errno;
	if (*path == '\0')
		return openat(dir, ".", flags);
	while ((slash = strchr(path, '/')) != NULL && slash[1] != '\0') {
		int next;

		*slash = '\0';
		next = openat(dir, path,
			      O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		close(dir);
		dir = next;
		path = slash + 1;
	}
	if (slash != NULL)
		*slash = '\0';
	fd = openat(dir, path, flags | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

int file_open_raw(struct file_store *f, struct str key, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	char path[UFS_KEY_MAX + 1];
	long fd;

	if (file_key_check(key) < 0)
		return -ENOENT;
	memcpy(path, key.p, key.n);
	path[key.n] = '\0';
	for (int tries = 0;; tries++) {
		fd = syscall(SYS_openat2, f->rootfd, key.n == 0 ? "." : path,
			     &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		/* EAGAIN: a rename somewhere made the kernel unsure. */
		if ((errno != EAGAIN && errno != EINTR) || tries == 32)
			break;
	}
	if (errno != ENOSYS && errno != EPERM)
		return -errno;
	return walk(f->rootfd, path, flags | O_CLOEXEC);
}

int file_open_key(struct file_store *f, struct str key, int flags)
{
	int fd = file_open_raw(f, key, flags);

	return fd < 0 ? file_errno(-fd) : fd;
}

bool file_stat_of(const struct stat *st, struct ufs_stat *out)
{
	if (!S_ISREG(st->st_mode))
		return false;
	memset(out, 0, sizeof(*out));
	out->size = (uint64_t)st->st_size;
	out->mtime = ufs_mtime(st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	snprintf(out->version, sizeof(out->version), "%jx-%jx-%jx-%jx.%lx",
		 (uintmax_t)st->st_dev, (uintmax_t)st->st_ino,
		 (uintmax_t)st->st_size, (uintmax_t)st->st_ctim.tv_sec,
		 (unsigned long)st->st_ctim.tv_nsec);
	return true;
}

int64_t file_settle_time(const struct file_store *f, const struct stat *st)
{
	return st->st_dev == f->dev ? f->settle : SETTLE_NETWORK;
}

static int64_t ctime_of(const struct stat *st)
{
	int64_t s = MIN(MAX(st->st_ctim.tv_sec, 0), UFS_MTIME_MAX_S);

	return s * NSEC_PER_SEC + st->st_ctim.tv_nsec;
}

/*
 * A ctime in the future (a clock set back, a server's clock) is waited for
 * no longer than any other: a whole settling time during which it stays the
 * same shows that nothing changes the file.
 */
int64_t file_young(const struct file_store *f, const struct stat *st)
{
	int64_t settle = file_settle_time(f, st);
	int64_t age = clock_wall_ns() - ctime_of(st);

	if (age >= settle)
		return 0;
	return age < 0 ? settle : settle - age;
}

static bool same_ctime(const struct stat *a, const struct stat *b)
{
	return a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/*
 * Wait until fd's ctime is final. *st: what fstat() says then. -ETIMEDOUT
 * when the file changes again and again for as long as patience.
 */
static int settle(struct file_store *f, int fd, struct stat *st,
		  int64_t patience, struct cancel *cancel)
{
	int64_t give_up = clock_ns() + patience;
	struct stat before;
	int64_t wait;

	if (fstat(fd, st) < 0)
		return file_errno(errno);
	while ((wait = file_young(f, st)) > 0) {
		int r = ufs_sleep_until(clock_ns() + wait, cancel);

		if (r < 0)
			return r;
		before = *st;
		if (fstat(fd, st) < 0)
			return file_errno(errno);
		if (wait == file_settle_time(f, st) && same_ctime(&before, st))
			return 0;
		if (clock_ns() >= give_up)
			return -ETIMEDOUT;
	}
	return 0;
}

/*
 * May someone be writing? A read lease is only given when no one can. Who
 * opens the file while we hold it waits for that moment; SIGURG, which would
 * tell us of it, is ignored by default.
 */
static bool may_be_written(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 ||
	    fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return true;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

int file_settle(struct file_store *f, int fd, struct stat *st,
		struct cancel *cancel)
{
	int64_t until;
	struct stat before;
	int r;

	r = settle(f, fd, st, f->timeout, cancel);
	if (r < 0)
		return r;
	until = ctime_of(st) + SETTLE_NETWORK - clock_wall_ns();
	if (until <= 0 || !may_be_written(fd))
		return 0;
	before = *st;
	r = ufs_sleep_until(clock_ns() + MIN(until, SETTLE_NETWORK), cancel);
	if (r == 0 && fstat(fd, st) < 0)
		r = file_errno(errno);
	if (r == 0 && !same_ctime(&before, st))
		r = -ETIMEDOUT;
	return r;
}

static int file_stat(struct ufs *u, struct str key, struct ufs_stat *out,
		     struct cancel *cancel)
{
	struct file_store *f = of(u);
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	stat_inc(STAT_store_head);
	if (key.n == 0 || key.p[key.n - 1] == '/')
		return -ENOENT;
	fd = file_open_key(f, key, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return ufs_fail(fd, "%s: %s", f->root, strerror(-fd));
	if (fstat(fd, &st) < 0)
		return file_errno(errno);
	if (!file_stat_of(&st, out))
		return -ENOENT;
	/*
	 * A file that is being written all the time has no settled version
	 * but still has attributes; reads of it wait by themselves.
	 */
	r = settle(f, fd, &st, 2 * file_settle_time(f, &st), cancel);
	if (r < 0 && r != -ETIMEDOUT)
		return r;
	file_stat_of(&st, out);
	return 0;
}

/* A buffer of PIECE bytes, the one used last: its pages are there. */
static void *buffer_get(struct file_store *f)
{
	void *b;

	lock_take(&f->lock);
	b = f->buffers;
	if (b != NULL)
		memcpy(&f->buffers, b, sizeof(void *));
	lock_drop(&f->lock);
	return b != NULL ? b : malloc(PIECE);
}

static void buffer_put(struct file_store *f, void *b)
{
	lock_take(&f->lock);
	memcpy(b, &f->buffers, sizeof(void *));
	f->buffers = b;
	lock_drop(&f->lock);
}

/* Hand on [off, off+len); every piece is of version or is not handed on. */
static int send(struct file_store *f, int fd, const char *version, uint64_t off,
		uint64_t len, const struct ufs_sink *sink,
		struct cancel *cancel)
{
	char *buffer = buffer_get(f);
	int r = buffer == NULL ? -ENOMEM : 0;

	while (r == 0 && len > 0) {
		ssize_t n = pread(fd, buffer, MIN(len, PIECE), (off_t)off);
		struct ufs_stat now;
		struct stat st;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = file_errno(errno);
		else if (fstat(fd, &st) < 0)
			r = file_errno(errno);
		else if (!file_stat_of(&st, &now) ||
			 strcmp(now.version, version) != 0 || n == 0)
			r = -ESTALE;
		else if (cancelled(cancel))
			r = -ECANCELED;
		if (r < 0)
			break;
		stat_add(STAT_store_bytes_in, n);
		r = sink->data(sink->arg, buffer, (size_t)n);
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	if (buffer != NULL)
		buffer_put(f, buffer);
	return r;
}

int file_open_regular(struct file_store *f, struct str key)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (key.n == 0 || key.p[key.n - 1] == '/')
		return -ENOENT;
	/* Opening a FIFO or a device has effects: look first. */
	fd = file_open_key(f, key, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return file_errno(errno);
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	return file_open_key(f, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
}

static int file_get(struct ufs *u, struct str key, const char *want,
		    uint64_t off, uint64_t len, const struct ufs_sink *sink,
		    struct cancel *cancel)
{
	struct file_store *f = of(u);
	AUTO_CLOSE int fd = file_open_regular(f, key);
	struct ufs_stat s;
	struct stat st;
	int r;

	stat_inc(STAT_store_get);
	if (fd == -ENOENT && want != NULL)
		return -ESTALE;
	if (fd < 0)
		return ufs_fail(fd, "%s: %s", f->root, strerror(-fd));
	/* Another version already: no need to wait. */
	if (fstat(fd, &st) < 0)
		return file_errno(errno);
	if (!file_stat_of(&st, &s))
		return want != NULL ? -ESTALE : -ENOENT;
	if (want != NULL && strcmp(s.version, want) != 0)
		return -ESTALE;
	r = file_settle(f, fd, &st, cancel);
	if (r < 0)
		return ufs_fail(r, "%s: the file keeps changing", f->root);
	if (!file_stat_of(&st, &s) ||
	    (want != NULL && strcmp(s.version, want) != 0))
		return -ESTALE;
	r = sink->head(sink->arg, &s);
	if (r < 0 || off >= s.size)
		return r;
	return send(f, fd, s.version, off, MIN(len, s.size - off), sink,
		    cancel);
}

static void file_describe(struct ufs *u, char *buf, size_t size)
{
	snprintf(buf, size, "directory %s", of(u)->root);
}

static void file_close(struct ufs *u)
{
	struct file_store *f = of(u);
	void *b;

	while ((b = f->buffers) != NULL) {
		memcpy(&f->buffers, b, sizeof(void *));
		free(b);
	}
	for (size_t i = 0; i < FILE_SNAPSHOTS; i++)
		file_snapshot_unref(f->snapshots[i]);
	if (f->rootfd >= 0)
		close(f->rootfd);
	lock_fini(&f->lock);
	free(f->root);
	ufs_fini(u);
	free(f);
}

/* File systems whose ctime is another machine's or program's. */
static bool is_remote(int fd)
{
	static const unsigned local[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,      BTRFS_SUPER_MAGIC,
		TMPFS_MAGIC,      F2FS_SUPER_MAGIC,     OVERLAYFS_SUPER_MAGIC,
		RAMFS_MAGIC,      0x2fc12fc1 /* ZFS */,
	};
	struct statfs s;

	if (fstatfs(fd, &s) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		if ((unsigned)s.f_type == local[i])
			return false;
	return true;
}

static const struct ufs_ops file_ops = {
	.scheme = "file",
	.close = file_close,
	.stat = file_stat,
	.list = file_list,
	.get = file_get,
	.describe = file_describe,
	.write = &file_write_ops,
};

int ufs_file_open(const struct ufs_conf *conf, struct ufs **out,
		  char why[static 256])
{
	const char *path = conf->url + strlen("file://");
	struct file_store *f;
	struct stat st;
	char access[32];
	int r;

	if (path[0] != '/') {
		snprintf(why, 256,
			 "a file source is file:// and an absolute path, as "
			 "in file:///srv/data");
		return -EINVAL;
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	lock_init(&f->lock, RANK_STORE);
	f->ufs.ops = &file_ops;
	f->timeout = conf->metadata_timeout;
	f->rootfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->rootfd < 0) {
		snprintf(why, 256, "cannot open the directory %.150s: %s", path,
			 strerror(errno));
		file_close(&f->ufs);
		return -EINVAL;
	}
	if (fstat(f->rootfd, &st) < 0) {
		r = -errno;
		file_close(&f->ufs);
		return r;
	}
	f->dev = st.st_dev;
	f->settle = is_remote(f->rootfd) ? SETTLE_NETWORK : SETTLE_LOCAL;
	f->root = realpath(path, NULL);
	if (f->root == NULL)
		f->root = strdup(path);
	snprintf(access, sizeof(access), "uid %u", (unsigned)geteuid());
	f->ufs.prefix = strdup("");
	f->ufs.access = strdup(access);
	if (conf->store_id != NULL && conf->store_id[0] != '\0')
		f->ufs.store = strdup(conf->store_id);
	else if (f->root != NULL &&
		 asprintf(&f->ufs.store, "file://%s", f->root) < 0)
		f->ufs.store = NULL;
	if (f->root == NULL || f->ufs.prefix == NULL || f->ufs.access == NULL ||
	    f->ufs.store == NULL) {
		file_close(&f->ufs);
		return -ENOMEM;
	}
	*out = &f->ufs;
	return 0;
}
