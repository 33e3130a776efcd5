/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_write.c - changing a directory that is a store
 *
 * An object is written to a temporary file in its own directory, brought to
 * the disk (fsync), and gets its name by a rename, which readers see happen
 * at once or not at all; then the directory is brought to the disk. What the
 * change is bound to is looked at under a flock() of that directory, which
 * all who write through this driver on one host take: of two writers one
 * wins. A program that changes the directory by itself takes no such lock.
 * That no file is there is made sure of by the rename itself, against
 * everybody; that it is of one version is only looked at just before.
 *
 * Directories are real here: those above a key are made for it, and they stay
 * when the last object in them has gone. A directory's marker is the
 * directory itself.
 *
 * A rename gives the file another ctime, so its version is known only then.
 * Before it is told the clock has to tick on (see file.c), with the inode
 * held fast: else a file that is written next could get the same number
 * within the same tick, and with it this version.
 */
#include "ufs/write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/stats.h"
#include "ufs/file_impl.h"

#define PIECE KIB(256)
#define COPY_PIECE MIB(64) /* between two looks at cancel */
#define TRIES 4
#define LOCK_STEP (2 * NSEC_PER_MSEC)

/* Where a key is. */
struct place {
	struct str dir; /* "" or ending in '/' */
	bool marker;    /* the key ends in '/': name is a directory's */
	char name[NAME_MAX + 1];
};

/* What makes the bytes of a file. */
typedef int fill_fn(void *arg, int fd, struct cancel *cancel);

static struct file_store *of(struct ufs *u)
{
	return container_of(u, struct file_store, ufs);
}

/* An errno of a change, in terms of write.h; the positive errno goes in. */
static int write_errno(int err)
{
	switch (err) {
	case ENOSPC:
	case EROFS:
	case EDQUOT:
	case ENAMETOOLONG:
	case EFBIG:
	case EISDIR:
	case ENOTDIR:
	case ENOTEMPTY:
	case EEXIST:
	case ENOENT:
	case EBUSY:
	case EINVAL:
		return -err;
	case ELOOP: /* a symlink, where a directory has to be */
		return -ENOTDIR;
	case EXDEV:
		return -EACCES;
	case EILSEQ:
		return -EINVAL;
	default:
		return file_errno(err);
	}
}

static int fail(const struct file_store *f, int r)
{
	return ufs_fail(r, "%s: %s", f->root, strerror(-r));
}

static int place_of(struct str key, struct place *p)
{
	int r = key.n == 0 ? -EINVAL : file_key_check(key);
	size_t d, n;

	if (r < 0)
		return r;
	p->marker = key.p[key.n - 1] == '/';
	n = key.n - p->marker;
	d = file_dir_part(key.p, n);
	p->dir = (struct str){ key.p, d };
	memcpy(p->name, key.p + d, n - d);
	p->name[n - d] = '\0';
	return 0;
}

/* Bring the names in a directory to the disk. */
static int sync_dir(int fd)
{
	/* EINVAL: this file system has nothing to do for that. */
	if (fsync(fd) < 0 && errno != EINVAL)
		return write_errno(errno);
	return 0;
}

/* Go into name, and make it if need be. */
static int step_into(int dirfd, const char *name)
{
	AUTO_CLOSE int readable = -1;
	int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dirfd, name, flags);

	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? write_errno(errno) : fd;
	if (mkdirat(dirfd, name, 0777) < 0 && errno != EEXIST)
		return write_errno(errno);
	/* fsync() does not take what O_PATH gives. */
	readable = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (readable >= 0) {
		int r = sync_dir(readable);

		if (r < 0)
			return r;
	}
	fd = openat(dirfd, name, flags);
	return fd < 0 ? write_errno(errno) : fd;
}

static int make_dirs(const struct file_store *f, struct str dir)
{
	AUTO_CLOSE int at =
	    openat(f->rootfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[UFS_KEY_MAX + 1];
	char *p = path, *slash;

	if (at < 0)
		return write_errno(errno);
	memcpy(path, dir.p, dir.n);
	path[dir.n] = '\0';
	for (; (slash = strchr(p, '/')) != NULL; p = slash + 1) {
		int next;

		*slash = '\0';
		next = step_into(at, p);
		if (next < 0)
			return next;
		close(at);
		at = next;
	}
	return 0;
}

/* A directory, for reading; made first if it is not there and make is set. */
static int open_dir(struct file_store *f, struct str dir, bool make)
{
	int fd = -ENOENT;

	for (int tries = 0; tries < TRIES; tries++) {
		int r;

		fd = file_open_raw(f, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		if (fd != -ENOENT || !make)
			break;
		r = make_dirs(f, dir);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return fd < 0 ? write_errno(-fd) : fd;
}

/* The directory of what is to be put; without it there is no version of it. */
static int open_dir_for(struct file_store *f, const struct place *p,
			const struct ufs_cond *cond)
{
	bool version = cond->what == UFS_IF_VERSION;
	int fd = open_dir(f, p->dir, !version);

	if ((fd == -ENOENT || fd == -ENOTDIR) && version)
		return -ESTALE;
	return fd;
}

/*
 * Take the lock of a directory; closing the descriptor or unlock() drops it.
 * It is held for moments by us, but it is anybody's: we do not wait blindly.
 */
static int lock_dir(const struct file_store *f, int dirfd,
		    struct cancel *cancel)
{
	int64_t give_up = clock_ns() + f->timeout;

	while (flock(dirfd, LOCK_EX | LOCK_NB) < 0) {
		int r;

		if (errno != EWOULDBLOCK && errno != EINTR)
			return write_errno(errno);
		r = ufs_sleep_until(clock_ns() + ufs_jitter(LOCK_STEP), cancel);
		if (r < 0)
			return r;
		if (clock_ns() >= give_up)
			return -EBUSY;
	}
	return 0;
}

static void unlock_dir(int dirfd)
{
	flock(dirfd, LOCK_UN);
}

/* Is dirfd still what is found at dir? Else it was removed, or moved away. */
static int still_there(struct file_store *f, struct str dir, int dirfd)
{
	AUTO_CLOSE int now =
	    file_open_raw(f, dir, O_PATH | O_DIRECTORY | O_NOFOLLOW);
	struct stat a, b;

	if (now < 0)
		return write_errno(-now);
	if (fstat(now, &a) < 0 || fstat(dirfd, &b) < 0)
		return write_errno(errno);
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino ? 0 : -ENOENT;
}

/* May the file be written? *old: what is there, st_mode 0 for nothing. */
static int check_cond(int dirfd, const char *name, const struct ufs_cond *cond,
		      struct stat *old)
{
	struct ufs_stat now;

	if (fstatat(dirfd, name, old, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return write_errno(errno);
		memset(old, 0, sizeof(*old));
		return cond->what == UFS_IF_VERSION ? -ESTALE : 0;
	}
	if (cond->what == UFS_IF_VERSION)
		return file_stat_of(old, &now) &&
			       strcmp(now.version, cond->version) == 0
			   ? 0
			   : -ESTALE;
	if (S_ISDIR(old->st_mode))
		return -EISDIR;
	if (cond->what == UFS_IF_ABSENT)
		return -EEXIST;
	/* Symlinks and devices do not exist for us; we replace none. */
	return S_ISREG(old->st_mode) ? 0 : -EACCES;
}

/* The file takes over the mode and, where we may, the owner of the old one. */
static void take_over(int fd, const struct stat *old)
{
	struct stat st;

	if (!S_ISREG(old->st_mode) || fstat(fd, &st) < 0)
		return;
	if ((old->st_uid != st.st_uid || old->st_gid != st.st_gid) &&
	    fchown(fd, old->st_uid, old->st_gid) < 0 && errno != EPERM)
		return;
	if ((old->st_mode & 0777) != (st.st_mode & 0777))
		fchmod(fd, old->st_mode & 0777);
}

/*
 * Give the whole file its name. *st is the file's then; *pin holds its inode
 * fast without having it open for writing.
 */
static int commit(struct file_store *f, const struct place *p,
		  const struct ufs_cond *cond, struct file_temp *t,
		  struct stat *st, int *pin, struct cancel *cancel)
{
	struct stat old;
	int r = lock_dir(f, t->dirfd, cancel);

	if (r < 0)
		return r;
	r = still_there(f, p->dir, t->dirfd);
	if (r == 0)
		r = check_cond(t->dirfd, p->name, cond, &old);
	if (r == 0)
		r = file_temp_rename(t, p->name, old.st_mode != 0);
	/* Nothing was there when we looked: someone was faster. */
	if (r == -EEXIST && cond->what == UFS_IF_ANY)
		r = -EAGAIN;
	if (r == 0) {
		*pin =
		    openat(t->dirfd, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fstat(t->fd, st) < 0)
			r = -errno;
	}
	unlock_dir(t->dirfd);
	if (r < 0)
		return r == -EAGAIN ? r : write_errno(-r);
	return sync_dir(t->dirfd);
}

/* -EAGAIN: the directory changed under us. */
static int replace_once(struct file_store *f, const struct place *p,
			const struct ufs_cond *cond, fill_fn *fill, void *arg,
			struct ufs_stat *out, struct cancel *cancel)
{
	AUTO_CLOSE int dirfd = open_dir_for(f, p, cond);
	AUTO_CLOSE int pin = -1;
	struct file_temp t;
	struct stat st;
	int r;

	if (dirfd < 0)
		return dirfd;
	/* Looked at again when it counts; often it spares the writing. */
	r = check_cond(dirfd, p->name, cond, &st);
	if (r < 0)
		return r;
	r = file_temp_make(dirfd, &t);
	if (r < 0)
		return write_errno(-r);
	r = fill(arg, t.fd, cancel);
	if (r == 0) {
		take_over(t.fd, &st);
		if (fsync(t.fd) < 0)
			r = write_errno(errno);
	}
	if (r == 0) {
		r = commit(f, p, cond, &t, &st, &pin, cancel);
		if (r == -ENOENT)
			r = -EAGAIN;
	}
	file_temp_drop(&t);
	if (r == 0) {
		file_stat_of(&st, out);
		/* The change is made: cancel only ends the waiting. */
		ufs_sleep_until(clock_ns() + file_young(f, &st), cancel);
	}
	return r;
}

static int replace(struct file_store *f, const struct place *p,
		   const struct ufs_cond *cond, fill_fn *fill, void *arg,
		   struct ufs_stat *out, struct cancel *cancel)
{
	int r = -EAGAIN;

	for (int tries = 0; r == -EAGAIN && tries < TRIES; tries++)
		r = replace_once(f, p, cond, fill, arg, out, cancel);
	return r == -EAGAIN ? -EBUSY : r;
}

static int write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return write_errno(errno);
		stat_add(STAT_store_bytes_out, n);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int fill_from_body(void *arg, int fd, struct cancel *cancel)
{
	const struct ufs_body *body = arg;
	AUTO_FREE char *piece = malloc(MIN(body->size, PIECE) + 1);
	int r = piece == NULL ? -ENOMEM : 0;
	size_t n;

	for (uint64_t off = 0; r == 0 && off < body->size; off += n) {
		if (cancelled(cancel))
			return -ECANCELED;
		n = MIN(body->size - off, PIECE);
		r = body->read(body->arg, off, piece, n);
		if (r == 0)
			r = write_all(fd, piece, n);
	}
	return r;
}

/* The directory is the marker: there are no bytes and no version. */
static int put_marker(struct file_store *f, const struct place *p,
		      const struct ufs_cond *cond)
{
	AUTO_CLOSE int dirfd = open_dir_for(f, p, cond);
	struct stat st;

	if (dirfd < 0)
		return dirfd;
	if (cond->what != UFS_IF_VERSION) {
		if (mkdirat(dirfd, p->name, 0777) == 0)
			return sync_dir(dirfd);
		if (errno != EEXIST)
			return write_errno(errno);
	}
	if (fstatat(dirfd, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return cond->what == UFS_IF_VERSION ? -ESTALE : -EBUSY;
	if (cond->what == UFS_IF_VERSION)
		return S_ISDIR(st.st_mode) && cond->version[0] == '\0'
			   ? 0
			   : -ESTALE;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return cond->what == UFS_IF_ABSENT ? -EEXIST : 0;
}

static int file_put(struct ufs *u, struct str key, const struct ufs_body *body,
		    const struct ufs_cond *cond, struct ufs_stat *out,
		    struct cancel *cancel)
{
	struct file_store *f = of(u);
	struct ufs_body b = *body;
	struct place p;
	int r = place_of(key, &p);

	stat_inc(STAT_store_put);
	if (r == 0 && b.size > INT64_MAX)
		r = -EFBIG;
	if (r == 0 && p.marker) {
		/* A directory has no bytes of its own. */
		r = b.size > 0 ? -EISDIR : put_marker(f, &p, cond);
		if (r == 0)
			memset(out, 0, sizeof(*out));
	} else if (r == 0) {
		r = replace(f, &p, cond, fill_from_body, &b, out, cancel);
	}
	return r < 0 ? fail(f, r) : 0;
}

static int remove_file(int dirfd, const char *name, const struct ufs_cond *cond)
{
	struct ufs_stat now;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return write_errno(errno);
	if (!file_stat_of(&st, &now))
		return -ENOENT;
	if (cond->what == UFS_IF_ABSENT)
		return -EEXIST;
	if (cond->what == UFS_IF_VERSION &&
	    strcmp(now.version, cond->version) != 0)
		return -ESTALE;
	return unlinkat(dirfd, name, 0) < 0 ? write_errno(errno) : 0;
}

static int remove_dir(int dirfd, const char *name, const struct ufs_cond *cond)
{
	AUTO_CLOSE int fd = openat(
	    dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return write_errno(errno);
	if (cond->what == UFS_IF_ABSENT)
		return -EEXIST;
	if (cond->what == UFS_IF_VERSION && cond->version[0] != '\0')
		return -ESTALE;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
		return 0;
	/* What nobody sees must not keep it. */
	if (errno == ENOTEMPTY || errno == EEXIST) {
		file_temp_sweep(fd);
		if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
			return 0;
	}
	return errno == EEXIST ? -ENOTEMPTY : write_errno(errno);
}

static int file_remove(struct ufs *u, struct str key,
		       const struct ufs_cond *cond, struct cancel *cancel)
{
	struct file_store *f = of(u);
	AUTO_CLOSE int dirfd = -1;
	struct place p;
	int r = place_of(key, &p);

	stat_inc(STAT_store_delete);
	if (r < 0)
		return fail(f, r);
	dirfd = open_dir(f, p.dir, false);
	r = dirfd < 0 ? dirfd : lock_dir(f, dirfd, cancel);
	if (r == 0) {
		r = still_there(f, p.dir, dirfd);
		if (r == 0)
			r = p.marker ? remove_dir(dirfd, p.name, cond)
				     : remove_file(dirfd, p.name, cond);
		unlock_dir(dirfd);
		if (r == 0)
			r = sync_dir(dirfd);
	}
	/* A file or a symlink on the way: no such key is there either. */
	if (r == -ENOENT || r == -ENOTDIR)
		r = cond->what == UFS_IF_ANY ? 0 : -ESTALE;
	return r < 0 ? fail(f, r) : 0;
}

struct copy {
	int fd; /* of the file that is copied */
	uint64_t size;
	const char *version;
};

/* One piece from where both files are; how much it was, 0 at the end. */
static ssize_t copy_piece(int from, int to, uint64_t left, char **piece)
{
	ssize_t n = -1;
	int r;

	if (*piece == NULL) {
		n = copy_file_range(from, NULL, to, NULL, MIN(left, COPY_PIECE),
				    0);
		if (n >= 0)
			return n;
		if (errno != EXDEV && errno != EINVAL && errno != ENOSYS &&
		    errno != EOPNOTSUPP)
			return errno == EINTR ? -EINTR : write_errno(errno);
		/* The kernel cannot between these two: by hand. */
		*piece = malloc(PIECE);
		if (*piece == NULL)
			return -ENOMEM;
	}
	n = read(from, *piece, MIN(left, PIECE));
	if (n < 0)
		return errno == EINTR ? -EINTR : write_errno(errno);
	r = write_all(to, *piece, (size_t)n);
	return r < 0 ? r : n;
}

static int fill_from_file(void *arg, int fd, struct cancel *cancel)
{
	const struct copy *c = arg;
	AUTO_FREE char *piece = NULL;
	struct ufs_stat now;
	struct stat st;
	uint64_t left = c->size;

	if (lseek(c->fd, 0, SEEK_SET) < 0)
		return write_errno(errno);
	while (left > 0) {
		ssize_t n = copy_piece(c->fd, fd, left, &piece);

		if (cancelled(cancel))
			return -ECANCELED;
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -ESTALE;
		left -= (uint64_t)n;
	}
	if (fstat(c->fd, &st) < 0)
		return write_errno(errno);
	if (!file_stat_of(&st, &now) || strcmp(now.version, c->version) != 0)
		return -ESTALE;
	return 0;
}

static int file_copy(struct ufs *u, struct str from, const struct ufs_stat *st,
		     struct str to, const struct ufs_cond *cond,
		     struct ufs_stat *out, struct cancel *cancel)
{
	struct file_store *f = of(u);
	AUTO_CLOSE int fd = -1;
	struct ufs_stat now;
	struct stat attr;
	struct place p;
	struct copy c;
	int r = place_of(to, &p);

	stat_inc(STAT_store_copy);
	if (r == 0 && p.marker)
		r = -EISDIR;
	if (r < 0)
		return fail(f, r);
	fd = file_open_regular(f, from);
	if (fd < 0)
		return fail(f, fd);
	r = file_settle(f, fd, &attr, cancel);
	if (r < 0)
		return fail(f, r);
	if (!file_stat_of(&attr, &now) || strcmp(now.version, st->version) != 0)
		return fail(f, -ESTALE);
	c = (struct copy){ fd, now.size, st->version };
	r = replace(f, &p, cond, fill_from_file, &c, out, cancel);
	return r < 0 ? fail(f, r) : 0;
}

static int move_dir(int from, const char *name, int to, const char *new_name)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return write_errno(errno);
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (renameat(from, name, to, new_name) == 0)
		return 0;
	/* What nobody sees must not keep the new one. */
	if (errno == ENOTEMPTY || errno == EEXIST) {
		fd = openat(to, new_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			file_temp_sweep(fd);
		if (fd >= 0 && renameat(from, name, to, new_name) == 0)
			return 0;
	}
	return errno == EEXIST ? -ENOTEMPTY : write_errno(errno);
}

/* Who writes below it has its directory open, and sees that it was moved. */
static int file_move_tree(struct ufs *u, struct str from, struct str to,
			  struct cancel *cancel)
{
	struct file_store *f = of(u);
	AUTO_CLOSE int from_fd = -1, to_fd = -1;
	struct place p, q;
	int r = place_of(from, &p);

	(void)cancel;
	stat_inc(STAT_store_copy);
	if (r == 0)
		r = place_of(to, &q);
	if (r < 0)
		return fail(f, r);
	from_fd = open_dir(f, p.dir, false);
	to_fd = from_fd < 0 ? from_fd : open_dir(f, q.dir, true);
	r = to_fd < 0 ? to_fd : move_dir(from_fd, p.name, to_fd, q.name);
	if (r == 0)
		r = sync_dir(to_fd);
	if (r == 0)
		r = sync_dir(from_fd);
	return r < 0 ? fail(f, r) : 0;
}

/* 1: these have the same bytes. */
static int compare(int a, int b, struct cancel *cancel)
{
	AUTO_FREE char *buf = malloc(2 * PIECE);
	off_t at = 0;

	if (buf == NULL)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(a, buf, PIECE, at), got = 0;

		if (n < 0)
			return write_errno(errno);
		/* Behind the end of a there is none of b, either. */
		while (got < MAX(n, 1)) {
			ssize_t m = pread(b, buf + PIECE + got,
					  (size_t)(MAX(n, 1) - got), at + got);

			if (m < 0)
				return write_errno(errno);
			if (m == 0)
				break;
			got += m;
		}
		if (got != n || memcmp(buf, buf + PIECE, (size_t)n) != 0)
			return 0;
		if (n == 0)
			return 1;
		if (cancelled(cancel))
			return -ECANCELED;
		at += n;
	}
}

static int file_same(struct ufs *u, struct str a, struct str b,
		     struct cancel *cancel)
{
	struct file_store *f = of(u);
	AUTO_CLOSE int x = file_open_regular(f, a);
	AUTO_CLOSE int y = x < 0 ? -1 : file_open_regular(f, b);
	int r;

	if (x < 0 || y < 0)
		return fail(f, x < 0 ? x : y);
	r = compare(x, y, cancel);
	return r < 0 ? fail(f, r) : r;
}

static void file_limits(struct ufs *u, struct ufs_limits *out)
{
	(void)u;
	*out = (struct ufs_limits){
		.put_most = INT64_MAX,
		.object_most = INT64_MAX,
	};
}

const struct ufs_write_ops file_write_ops = {
	.limits = file_limits,
	.put = file_put,
	.remove = file_remove,
	.copy = file_copy,
	.move_tree = file_move_tree,
	.same = file_same,
};
