/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_dir.c - directories that nobody else may write to
 */
#include "cache/own_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#define WHY 256

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

/* mkdir -p; what is missing on the way is made 0755, the last one 0700. */
static int make_path(const char *dir)
{
	AUTO_FREE char *path = strdup(dir);

	if (path == NULL)
		return -ENOMEM;
	for (char *p = path + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int own_dir_check(int fd, const char *path, const char *option, uid_t uid,
		  char why[static WHY])
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse(why, -errno, "%s: %s", path, strerror(errno));
	if (st.st_uid != uid)
		return refuse(why, -EPERM,
			      "%s belongs to user %u: chown it to user %u, or "
			      "name another %s",
			      path, (unsigned)st.st_uid, (unsigned)uid, option);
	if (st.st_mode & S_ISVTX)
		return refuse(why, -EPERM,
			      "%s is shared by others: name a %s of its "
			      "own, like %s/tarn",
			      path, option, path);
	if (st.st_mode & 022)
		return refuse(why, -EPERM,
			      "%s may be written by others: run chmod 700 on "
			      "it, or name another %s",
			      path, option);
	return 0;
}

int own_dir_open(const char *path, const char *option, uid_t uid, int *out,
		 char why[static WHY])
{
	AUTO_CLOSE int fd =
	    open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0) {
		r = -errno;
		if ((r == -ELOOP || r == -ENOTDIR) && lstat(path, &st) == 0 &&
		    S_ISLNK(st.st_mode))
			return refuse(why, -EPERM,
				      "%s is a symlink: name the directory "
				      "that it points to as %s",
				      path, option);
		if (r == -ENOTDIR)
			return refuse(why, r,
				      "%s is not a directory: name another %s",
				      path, option);
		return refuse(why, r, "cannot open %s: %s", path, strerror(-r));
	}
	r = own_dir_check(fd, path, option, uid, why);
	if (r < 0)
		return r;
	*out = take_fd(&fd);
	return 0;
}

int own_dir_make(const char *path, const char *option, uid_t uid, int *out,
		 char why[static WHY])
{
	int r = own_dir_open(path, option, uid, out, why);

	if (r != -ENOENT)
		return r;
	r = make_path(path);
	if (r < 0)
		return refuse(why, r, "cannot make %s: %s", path, strerror(-r));
	r = own_dir_open(path, option, uid, out, why);
	if (r == -ENOENT)
		refuse(why, r, "cannot open %s: %s", path, strerror(-r));
	return r;
}

char *own_dir_absolute(const char *dir)
{
	AUTO_FREE char *cwd = NULL;
	char *path = NULL;
	size_t n;

	if (dir[0] == '/') {
		path = strdup(dir);
	} else {
		cwd = getcwd(NULL, 0);
		if (cwd == NULL || asprintf(&path, "%s/%s", cwd, dir) < 0)
			return NULL;
	}
	/* A slash at the end would follow a symlink. */
	n = path == NULL ? 0 : strlen(path);
	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	return path;
}
