/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c - a directory as the store: file:///DIR
 *
 * A key is a path below the directory. Nothing leads outside it and symlinks
 * are not followed (openat2 with RESOLVE_BENEATH and NO_SYMLINKS). Only
 * regular files are objects; a directory is a common prefix, also when it is
 * empty.
 *
 * The version of a file is its device, inode, size and ctime in ns. A file
 * that changes twice within one tick of the kernel's clock would keep its
 * ctime, so a ctime is only believed when it is older than a tick: 20 ms on
 * a local file system (a tick has at most 10 ms), 2 s on a network one, whose
 * server's clock we do not know. Who asks for a younger file waits that
 * long. Reads check the version before and after.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ufs/error.h"
#include "ufs/ufs.h"

#define SETTLE_LOCAL (20 * NSEC_PER_MSEC)
#define SETTLE_NETWORK (2 * NSEC_PER_SEC)
#define CHUNK KIB(512)

struct file_ufs {
	struct ufs ufs;
	char *dir;
	int fd;
	int64_t settle; /* ns after which a ctime is believed */
};

static struct file_ufs *file_of(struct ufs *u)
{
	return container_of(u, struct file_ufs, ufs);
}

/* Network file systems (linux/magic.h and fs/ of the kernel). */
static bool is_network(int fd)
{
	static const uint32_t magics[] = {
		NFS_SUPER_MAGIC,         SMB_SUPER_MAGIC,
		SMB2_SUPER_MAGIC,        CIFS_SUPER_MAGIC,
		CEPH_SUPER_MAGIC,        FUSE_SUPER_MAGIC,
		AFS_SUPER_MAGIC,         V9FS_MAGIC,
		0x0bd00bd0 /* Lustre */, 0x47504653 /* GPFS */,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if ((uint32_t)fs.f_type == magics[i])
			return true;
	return false;
}

/* Open a path below the root, never through a symlink or a mount's "..". */
static int open_below(struct file_ufs *f, struct str key, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW |
				    O_NONBLOCK | O_NOCTTY),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};
	char path[UFS_KEY_MAX + 1];
	long fd;

	if (key.n > UFS_KEY_MAX || memchr(key.p, '\0', key.n) != NULL)
		return -ENOENT;
	memcpy(path, key.p, key.n);
	path[key.n] = '\0';
	fd = syscall(SYS_openat2, f->fd, key.n == 0 ? "." : path, &how,
		     sizeof(how));
	if (fd >= 0)
		return (int)fd;
	switch (errno) {
	case ELOOP: /* a symlink */
	case EXDEV: /* outside */
	case ENOTDIR:
	case ENAMETOOLONG:
	case ENXIO: /* a socket, a FIFO without a reader */
		return -ENOENT;
	case EMFILE:
		return -ENFILE;
	default:
		return -errno;
	}
}

/*
 * A key names a file only in its plain spelling: "a//b", "./a" and "a/../b"
 * would be second names of others.
 */
static bool is_plain(struct str key)
{
	size_t start = 0;

	for (size_t i = 0; i <= key.n; i++) {
		if (i < key.n && key.p[i] != '/')
			continue;
		size_t n = i - start;
		const char *c = key.p + start;

		if (n == 0 || (n == 1 && c[0] == '.') ||
		    (n == 2 && c[0] == '.' && c[1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

static int64_t to_ns(struct timespec ts)
{
	if (ts.tv_sec < 0)
		return 0;
	return MIN(ts.tv_sec, INT64_MAX / NSEC_PER_SEC - 1) * NSEC_PER_SEC +
	       ts.tv_nsec;
}

static void stat_of(const struct stat *st, struct ufs_stat *out)
{
	*out = (struct ufs_stat){ .size = (uint64_t)st->st_size,
				  .mtime = to_ns(st->st_mtim) };
	snprintf(out->version, sizeof(out->version), "%jx-%jx-%jx-%jx.%lx",
		 (uintmax_t)st->st_dev, (uintmax_t)st->st_ino,
		 (uintmax_t)st->st_size, (uintmax_t)st->st_ctim.tv_sec,
		 (unsigned long)st->st_ctim.tv_nsec);
}

/* How long until this ctime can be believed; 0: it can. */
static int64_t unsettled(const struct file_ufs *f, const struct stat *st)
{
	int64_t age = clock_wall_ns() - to_ns(st->st_ctim);

	/* A ctime in the future (a clock set back) gets one full wait. */
	return age >= f->settle ? 0 : f->settle - MAX(age, 0);
}

static int wait_ns(int64_t ns, struct cancel *cancel)
{
	while (ns > 0) {
		int64_t step = MIN(ns, 100 * NSEC_PER_MSEC);
		struct timespec ts = { .tv_sec = step / NSEC_PER_SEC,
				       .tv_nsec = step % NSEC_PER_SEC };

		if (cancelled(cancel))
			return -ECANCELED;
		nanosleep(&ts, NULL);
		ns -= step;
	}
	return 0;
}

/* Stat an open file once its ctime can be believed. */
static int stat_settled(struct file_ufs *f, int fd, struct stat *st,
			struct cancel *cancel)
{
	int64_t wait;
	int err;

	if (fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return -ENOENT;
	wait = unsettled(f, st);
	if (wait == 0)
		return 0;
	err = wait_ns(wait, cancel);
	if (err < 0)
		return err;
	return fstat(fd, st) < 0 ? -errno : 0;
}

static int fail(struct file_ufs *f, struct str key, const char *what, int err)
{
	ufs_set_error("%s %s/%.*s: %s", what, f->dir, (int)key.n, key.p,
		      strerror(-err));
	if (err != -ENOENT && err != -ESTALE && err != -ECANCELED)
		stat_inc(STAT_store_errors);
	return err == -EPERM ? -EACCES : err;
}

static int file_stat(struct ufs *u, struct str key, struct ufs_stat *out,
		     struct cancel *cancel)
{
	struct file_ufs *f = file_of(u);
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int err;

	stat_inc(STAT_store_head);
	fd = is_plain(key) ? open_below(f, key, O_PATH) : -ENOENT;
	err = fd < 0 ? fd : stat_settled(f, fd, &st, cancel);
	if (err < 0)
		return fail(f, key, "stat", err);
	stat_of(&st, out);
	return 0;
}

static int file_get(struct ufs *u, struct str key, const char *want,
		    uint64_t off, uint64_t len, const struct ufs_sink *sink,
		    struct cancel *cancel)
{
	struct file_ufs *f = file_of(u);
	AUTO_CLOSE int fd = -1;
	AUTO_FREE char *buf = NULL;
	struct ufs_stat at_start, now;
	struct stat st;
	uint64_t end;
	int err;

	stat_inc(STAT_store_get);
	fd = is_plain(key) ? open_below(f, key, O_RDONLY) : -ENOENT;
	err = fd < 0 ? fd : stat_settled(f, fd, &st, cancel);
	if (err == -ENOENT && want != NULL)
		err = -ESTALE; /* the version that was asked for is gone */
	if (err < 0)
		return fail(f, key, "read", err);
	stat_of(&st, &at_start);
	if (want != NULL && strcmp(want, at_start.version) != 0)
		return fail(f, key, "read", -ESTALE);
	buf = aligned_alloc(4096, CHUNK);
	if (buf == NULL)
		return -ENOMEM;
	err = sink->head(sink->arg, &at_start);
	off = MIN(off, at_start.size);
	end = off + MIN(len, at_start.size - off);
	while (err == 0 && off < end) {
		ssize_t n = pread(fd, buf, MIN(CHUNK, end - off), (off_t)off);

		if (cancelled(cancel))
			return -ECANCELED;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(f, key, "read", -EIO);
		/* What was read is of that version if it still is now. */
		if (fstat(fd, &st) < 0)
			return fail(f, key, "read", -errno);
		stat_of(&st, &now);
		if (n == 0 || strcmp(now.version, at_start.version) != 0)
			return fail(f, key, "read", -ESTALE);
		stat_add(STAT_store_bytes_in, n);
		err = sink->data(sink->arg, buf, (size_t)n);
		off += (uint64_t)n;
	}
	return err;
}

/* One directory's entries that may matter, in key order. */
struct names {
	char **name; /* a directory's ends with '/' */
	size_t n, room;
};

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->name[i]);
	free(names->name);
}

static int names_add(struct names *names, const char *name, bool dir)
{
	size_t len = strlen(name);
	char *copy;

	if (names->n == names->room) {
		size_t room = names->room * 2 + 64;
		char **more = realloc(names->name, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		names->name = more;
		names->room = room;
	}
	copy = malloc(len + 2);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, name, len);
	copy[len] = '/';
	copy[len + dir] = '\0';
	names->name[names->n++] = copy;
	return 0;
}

static int names_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Is name, or anything below it, past `after` and within `prefix`? */
static bool wanted(const struct ufs_list *q, struct str key, bool dir)
{
	if (!str_starts(key, q->prefix) && !(dir && str_starts(q->prefix, key)))
		return false;
	return str_cmp(key, q->after) > 0 || (dir && str_starts(q->after, key));
}

static int read_names(struct file_ufs *f, const struct ufs_list *q,
		      struct str dirkey, struct names *names)
{
	int fd = open_below(f, dirkey, O_RDONLY | O_DIRECTORY), err = 0;
	struct dirent *e;
	DIR *dir;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	dir = fdopendir(fd);
	if (dir == NULL) {
		err = -errno;
		close(fd);
		return err;
	}
	while (err == 0 && (errno = 0, e = readdir(dir)) != NULL) {
		char key[UFS_KEY_MAX + 2];
		bool is_dir = e->d_type == DT_DIR;
		struct stat st;
		size_t n = strlen(e->d_name);

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (e->d_type == DT_UNKNOWN &&
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			is_dir = S_ISDIR(st.st_mode);
		else if (e->d_type != DT_REG && !is_dir)
			continue;
		if (dirkey.n + n + is_dir > UFS_KEY_MAX)
			continue; /* no key is so long */
		memcpy(key, dirkey.p, dirkey.n);
		memcpy(key + dirkey.n, e->d_name, n);
		key[dirkey.n + n] = '/';
		if (wanted(q, (struct str){ key, dirkey.n + n + is_dir },
			   is_dir))
			err = names_add(names, e->d_name, is_dir);
	}
	if (err == 0 && errno != 0)
		err = -errno;
	closedir(dir);
	if (err == 0 && names->n > 0)
		qsort(names->name, names->n, sizeof(*names->name),
		      names_compare);
	return err;
}

struct lister {
	struct file_ufs *f;
	const struct ufs_list *q;
	ufs_entry_cb *cb;
	void *arg;
	struct cancel *cancel;
	unsigned left; /* of this page */
	bool full;     /* there is more than the page holds */
	char *last;    /* the page's last key: the next one's token */
	bool waited;   /* young files were waited for, once a page */
};

static int list_dir(struct lister *l, struct str dirkey, unsigned depth);

static int list_file(struct lister *l, struct str key)
{
	AUTO_CLOSE int fd = open_below(l->f, key, O_PATH);
	struct ufs_entry e = { .key = key };
	struct stat st;
	int64_t wait;
	int err = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 1; /* gone, or no object */
	wait = unsettled(l->f, &st);
	if (wait > 0 && !l->waited) {
		err = wait_ns(wait, l->cancel);
		l->waited = true;
		if (err == 0 && fstat(fd, &st) < 0)
			return 1;
	}
	if (err < 0)
		return err;
	stat_of(&st, &e.st);
	return l->cb(l->arg, &e);
}

static int list_one(struct lister *l, struct str key, unsigned depth)
{
	bool dir = key.p[key.n - 1] == '/';
	struct ufs_entry e = { .key = key, .dir = true };
	int err;

	if (dir && (l->q->deep || key.n <= l->q->prefix.n))
		return list_dir(l, key, depth + 1);
	if (str_cmp(key, l->q->after) <= 0)
		return 0;
	if (l->left == 0) {
		l->full = true;
		return 0;
	}
	err = dir ? l->cb(l->arg, &e) : list_file(l, key);
	if (err > 0 && !dir)
		return 0; /* it went away: not an entry */
	if (err != 0)
		return err;
	l->left--;
	free(l->last);
	l->last = str_dup(key);
	return l->last == NULL ? -ENOMEM : 0;
}

static int list_dir(struct lister *l, struct str dirkey, unsigned depth)
{
	struct names names = { .n = 0 };
	char key[UFS_KEY_MAX + 2];
	int err;

	if (depth > UFS_KEY_MAX / 2)
		return 0;
	memcpy(key, dirkey.p, dirkey.n);
	err = read_names(l->f, l->q, dirkey, &names);
	for (size_t i = 0; i < names.n && err == 0 && !l->full; i++) {
		size_t n = strlen(names.name[i]);

		if (cancelled(l->cancel)) {
			err = -ECANCELED;
			break;
		}
		memcpy(key + dirkey.n, names.name[i], n);
		err = list_one(l, (struct str){ key, dirkey.n + n }, depth);
	}
	names_free(&names);
	return err;
}

static int file_list(struct ufs *u, const struct ufs_list *q, char **token,
		     ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	struct ufs_list from = *q;
	struct lister l = { .f = file_of(u),
			    .q = &from,
			    .cb = cb,
			    .arg = arg,
			    .cancel = cancel,
			    .left = q->max };
	size_t slash = q->prefix.n;
	int err;

	stat_inc(STAT_store_list);
	if (*token != NULL && str_cmp(str_of(*token), from.after) > 0)
		from.after = str_of(*token);
	while (slash > 0 && q->prefix.p[slash - 1] != '/')
		slash--;
	/* A prefix like "a//b/" or "../" is no directory here. */
	if (slash > 0 && !is_plain((struct str){ q->prefix.p, slash - 1 }))
		err = 0;
	else
		err = list_dir(&l, (struct str){ q->prefix.p, slash }, 0);
	free(*token);
	*token = NULL;
	if (err == 0 && l.full)
		*token = take_ptr(l.last);
	free(l.last);
	return err < 0 ? fail(l.f, q->prefix, "list", err) : err;
}

static void file_describe(struct ufs *u, char *buf, size_t size)
{
	struct file_ufs *f = file_of(u);

	snprintf(buf, size, "directory %s%s", f->dir,
		 f->settle == SETTLE_NETWORK ? " (a network file system)" : "");
}

static void file_close(struct ufs *u)
{
	struct file_ufs *f = file_of(u);

	if (f->fd >= 0)
		close(f->fd);
	free(f->dir);
	free(u->store);
	free(u->prefix);
	free(u->access);
	free(f);
}

static const struct ufs_ops file_ops = {
	.scheme = "file",
	.close = file_close,
	.stat = file_stat,
	.list = file_list,
	.get = file_get,
	.describe = file_describe,
};

int ufs_file_open(const struct ufs_conf *conf, struct ufs **out,
		  char why[static 256])
{
	const char *path = conf->url + strlen("file://");
	struct file_ufs *f;
	int err;

	if (path[0] != '/') {
		snprintf(why, 256,
			 "%s: a directory's URL has three slashes, as in "
			 "file:///data",
			 conf->url);
		return -EINVAL;
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	f->ufs.ops = &file_ops;
	f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0) {
		err = -errno;
		snprintf(why, 256, "%s: %s: name an existing directory", path,
			 strerror(errno));
		file_close(&f->ufs);
		return err;
	}
	f->settle = is_network(f->fd) ? SETTLE_NETWORK : SETTLE_LOCAL;
	f->dir = realpath(path, NULL);
	f->ufs.prefix = strdup("");
	f->ufs.access = strdup("local");
	if (conf->store_id != NULL)
		f->ufs.store = strdup(conf->store_id);
	else if (f->dir != NULL &&
		 asprintf(&f->ufs.store, "file://%s", f->dir) < 0)
		f->ufs.store = NULL;
	if (f->dir == NULL || f->ufs.prefix == NULL || f->ufs.access == NULL ||
	    f->ufs.store == NULL) {
		file_close(&f->ufs);
		return -ENOMEM;
	}
	*out = &f->ufs;
	return 0;
}
