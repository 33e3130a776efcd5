/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libfaultio.c - make system calls fail, by LD_PRELOAD
 *
 * The control file that FAULTIO names is read again whenever it changes (it
 * is looked at on every call, so a rule counts at once); it holds one rule a
 * line:
 *
 *   CALL[,CALL...] PATH-PREFIX FROM COUNT ACTION
 *
 *   CALL     openat open read pread write pwrite fsync rename unlink
 *            ftruncate fallocate fsetxattr malloc, or *
 *   PATH     what the call's file begins with (of malloc: `-`)
 *   FROM     the first call that fails, counted from 1 since the rule was
 *            read; COUNT how many (0: all from there)
 *   ACTION   an errno's number; `stall:MS`; `short` (half of a read or write)
 *
 * Calls that failed are counted, one byte each, in the file FAULTIO.fired, so
 * that a test can see that its fault was there. Nothing here allocates.
 */
/* Both names of each call are ours: no renaming, no checked variants. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { MAX_RULES = 16 };

struct rule {
	char calls[128];
	char path[PATH_MAX];
	long from, count, seen;
	int error;
	long stall_ms;
	bool short_io;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[MAX_RULES];
static int nrules;
static struct timespec read_at;
static ino_t read_ino;
/* Our own calls are never failed. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* Calls of the C library that we stand before. */
#define REAL(type, name, args)                                                 \
	static type(*real_##name) args;                                        \
	if (real_##name == NULL) {                                             \
		bool was = inside;                                             \
		inside = true;                                                 \
		real_##name = (type(*) args)dlsym(RTLD_NEXT, #name);           \
		inside = was;                                                  \
	}

static void parse_locked(char *text)
{
	char *save = NULL, *save2 = NULL;

	nrules = 0;
	for (char *line = strtok_r(text, "\n", &save);
	     line != NULL && nrules < MAX_RULES;
	     line = strtok_r(NULL, "\n", &save)) {
		struct rule *r = &rules[nrules];
		char *calls = strtok_r(line, " ", &save2);
		char *path = strtok_r(NULL, " ", &save2);
		char *from = strtok_r(NULL, " ", &save2);
		char *count = strtok_r(NULL, " ", &save2);
		char *action = strtok_r(NULL, " ", &save2);

		if (action == NULL)
			continue;
		memset(r, 0, sizeof(*r));
		/* With a comma on both sides of each name. */
		if (strlen(calls) + 3 > sizeof(r->calls) ||
		    strlen(path) >= sizeof(r->path))
			continue;
		strcpy(r->calls, ",");
		strcat(r->calls, calls);
		strcat(r->calls, ",");
		strcpy(r->path, path);
		r->from = strtol(from, NULL, 10);
		r->count = strtol(count, NULL, 10);
		if (strncmp(action, "stall:", 6) == 0)
			r->stall_ms = strtol(action + 6, NULL, 10);
		else if (strcmp(action, "short") == 0)
			r->short_io = true;
		else
			r->error = (int)strtol(action, NULL, 10);
		nrules++;
	}
}

static void refresh_locked(const char *file)
{
	static char text[16384];
	struct stat st;
	long fd, n;

	if (syscall(SYS_newfstatat, AT_FDCWD, file, &st, 0) < 0) {
		nrules = 0;
		return;
	}
	if (st.st_mtim.tv_sec == read_at.tv_sec &&
	    st.st_mtim.tv_nsec == read_at.tv_nsec && st.st_ino == read_ino)
		return;
	read_at = st.st_mtim;
	read_ino = st.st_ino;
	fd = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = syscall(SYS_read, fd, text, sizeof(text) - 1);
	syscall(SYS_close, fd);
	text[n < 0 ? 0 : n] = 0;
	parse_locked(text);
}

static void count_fired(const char *file)
{
	char name[PATH_MAX + 8];
	size_t n = strlen(file);
	long fd;

	if (n + 7 > sizeof(name))
		return;
	memcpy(name, file, n);
	memcpy(name + n, ".fired", 7);
	fd = syscall(SYS_openat, AT_FDCWD, name,
		     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd >= 0) {
		syscall(SYS_write, fd, ".", 1);
		syscall(SYS_close, fd);
	}
}

static bool call_listed(const struct rule *r, const char *call)
{
	char name[40] = ",";

	strcat(name, call);
	strcat(name, ",");
	return strcmp(r->calls, ",*,") == 0 || strstr(r->calls, name) != NULL;
}

/* A read with RWF_NOWAIT: a disk that stalls has it say EAGAIN at once. */
static _Thread_local bool nowait;

/*
 * Is this call to fail? Returns its errno, 0 for no, -1 for a short one;
 * sleeps first when it is to stall.
 */
static int fault(const char *call, const char *path)
{
	const char *file = inside ? NULL : getenv("FAULTIO");
	long stall = 0;
	int error = 0;
	bool fired = false;

	if (file == NULL)
		return 0;
	inside = true;
	pthread_mutex_lock(&lock);
	refresh_locked(file);
	for (int i = 0; i < nrules && !fired; i++) {
		struct rule *r = &rules[i];

		if (!call_listed(r, call) ||
		    strncmp(path, r->path, strlen(r->path)) != 0)
			continue;
		r->seen++;
		fired = r->seen >= r->from &&
			(r->count == 0 || r->seen < r->from + r->count);
		if (fired) {
			error = r->short_io ? -1 : r->error;
			stall = r->stall_ms;
		}
		if (fired && nowait && stall > 0) {
			error = EAGAIN;
			stall = 0;
		}
	}
	pthread_mutex_unlock(&lock);
	if (fired)
		count_fired(file);
	if (stall > 0) {
		struct timespec ts = { stall / 1000, stall % 1000 * 1000000 };

		nanosleep(&ts, NULL);
	}
	inside = false;
	return error;
}

/* The same for a file that is open. */
static int fault_fd(const char *call, int fd)
{
	char link[40], path[PATH_MAX];
	ssize_t n;

	if (inside || getenv("FAULTIO") == NULL)
		return 0;
	inside = true;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	inside = false;
	if (n < 0)
		return 0;
	path[n] = 0;
	return fault(call, path);
}

/* The same for a name below a directory descriptor. */
static int fault_at(const char *call, int dirfd, const char *name)
{
	char link[40], path[PATH_MAX * 2];
	ssize_t n = 0;

	if (inside || getenv("FAULTIO") == NULL)
		return 0;
	if (name[0] != '/' && dirfd != AT_FDCWD) {
		inside = true;
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		n = readlink(link, path, PATH_MAX - 1);
		inside = false;
		if (n < 0)
			return 0;
		path[n++] = '/';
	}
	snprintf(path + n, sizeof(path) - (size_t)n, "%s", name);
	return fault(call, path);
}

#define FAIL_IF(expr, failed)                                                  \
	do {                                                                   \
		int e_ = (expr);                                               \
		if (e_ > 0) {                                                  \
			errno = e_;                                            \
			return failed;                                         \
		}                                                              \
	} while (0)

int openat(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	FAIL_IF(fault_at("openat", dirfd, name), -1);
	REAL(int, openat, (int, const char *, int, ...))
	return real_openat(dirfd, name, flags, mode);
}

int openat64(int dirfd, const char *name, int flags, ...)
    __attribute__((alias("openat")));

int open(const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	FAIL_IF(fault_at("open", AT_FDCWD, name), -1);
	REAL(int, open, (const char *, int, ...))
	return real_open(name, flags, mode);
}

int open64(const char *name, int flags, ...) __attribute__((alias("open")));

ssize_t read(int fd, void *buf, size_t n)
{
	int e = fault_fd("read", fd);

	FAIL_IF(e, -1);
	REAL(ssize_t, read, (int, void *, size_t))
	return real_read(fd, buf, e < 0 ? (n + 1) / 2 : n);
}

ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
	int e = fault_fd("pread", fd);

	FAIL_IF(e, -1);
	REAL(ssize_t, pread64, (int, void *, size_t, off_t))
	return real_pread64(fd, buf, e < 0 ? (n + 1) / 2 : n, off);
}

ssize_t pread64(int fd, void *buf, size_t n, off_t off)
    __attribute__((alias("pread")));

ssize_t preadv(int fd, const struct iovec *v, int n, off_t off)
{
	FAIL_IF(fault_fd("pread", fd), -1);
	REAL(ssize_t, preadv64, (int, const struct iovec *, int, off_t))
	return real_preadv64(fd, v, n, off);
}

ssize_t preadv64(int fd, const struct iovec *v, int n, off_t off)
    __attribute__((alias("preadv")));

ssize_t preadv2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
	int e;

	nowait = (flags & RWF_NOWAIT) != 0;
	e = fault_fd("pread", fd);
	nowait = false;
	FAIL_IF(e, -1);
	REAL(ssize_t, preadv64v2, (int, const struct iovec *, int, off_t, int))
	return real_preadv64v2(fd, v, n, off, flags);
}

ssize_t preadv64v2(int fd, const struct iovec *v, int n, off_t off, int flags)
    __attribute__((alias("preadv2")));

ssize_t write(int fd, const void *buf, size_t n)
{
	int e = fault_fd("write", fd);

	FAIL_IF(e, -1);
	REAL(ssize_t, write, (int, const void *, size_t))
	return real_write(fd, buf, e < 0 ? (n + 1) / 2 : n);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
	int e = fault_fd("pwrite", fd);

	FAIL_IF(e, -1);
	REAL(ssize_t, pwrite64, (int, const void *, size_t, off_t))
	return real_pwrite64(fd, buf, e < 0 ? (n + 1) / 2 : n, off);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t off)
    __attribute__((alias("pwrite")));

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t off)
{
	FAIL_IF(fault_fd("pwrite", fd), -1);
	REAL(ssize_t, pwritev64, (int, const struct iovec *, int, off_t))
	return real_pwritev64(fd, v, n, off);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t off)
    __attribute__((alias("pwritev")));

int fsync(int fd)
{
	FAIL_IF(fault_fd("fsync", fd), -1);
	REAL(int, fsync, (int))
	return real_fsync(fd);
}

int fdatasync(int fd)
{
	FAIL_IF(fault_fd("fsync", fd), -1);
	REAL(int, fdatasync, (int))
	return real_fdatasync(fd);
}

int ftruncate(int fd, off_t size)
{
	FAIL_IF(fault_fd("ftruncate", fd), -1);
	REAL(int, ftruncate64, (int, off_t))
	return real_ftruncate64(fd, size);
}

int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));

int fallocate(int fd, int mode, off_t off, off_t len)
{
	FAIL_IF(fault_fd("fallocate", fd), -1);
	REAL(int, fallocate64, (int, int, off_t, off_t))
	return real_fallocate64(fd, mode, off, len);
}

int fallocate64(int fd, int mode, off_t off, off_t len)
    __attribute__((alias("fallocate")));

int fsetxattr(int fd, const char *name, const void *value, size_t n, int flags)
{
	FAIL_IF(fault_fd("fsetxattr", fd), -1);
	REAL(int, fsetxattr, (int, const char *, const void *, size_t, int))
	return real_fsetxattr(fd, name, value, n, flags);
}

int renameat(int fd1, const char *from, int fd2, const char *to)
{
	FAIL_IF(fault_at("rename", fd2, to), -1);
	REAL(int, renameat, (int, const char *, int, const char *))
	return real_renameat(fd1, from, fd2, to);
}

int renameat2(int fd1, const char *from, int fd2, const char *to,
	      unsigned flags)
{
	FAIL_IF(fault_at("rename", fd2, to), -1);
	REAL(int, renameat2, (int, const char *, int, const char *, unsigned))
	return real_renameat2(fd1, from, fd2, to, flags);
}

int rename(const char *from, const char *to)
{
	FAIL_IF(fault_at("rename", AT_FDCWD, to), -1);
	REAL(int, rename, (const char *, const char *))
	return real_rename(from, to);
}

int linkat(int fd1, const char *from, int fd2, const char *to, int flags)
{
	FAIL_IF(fault_at("rename", fd2, to), -1);
	REAL(int, linkat, (int, const char *, int, const char *, int))
	return real_linkat(fd1, from, fd2, to, flags);
}

int unlinkat(int dirfd, const char *name, int flags)
{
	FAIL_IF(fault_at("unlink", dirfd, name), -1);
	REAL(int, unlinkat, (int, const char *, int))
	return real_unlinkat(dirfd, name, flags);
}

/* glibc's own names: dlsym allocates, so it cannot find malloc for us. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
	FAIL_IF(fault("malloc", "-"), NULL);
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	FAIL_IF(fault("malloc", "-"), NULL);
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	FAIL_IF(fault("malloc", "-"), NULL);
	return __libc_realloc(p, n);
}
