/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounted.c - a mount in another process, and files on it
 */
#include "tests/tools/refmodel-parts/mounted.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/clock.h"

enum { GONE_TRIES = 2000 };

int mounted_command(const char *work, const char *fmt, ...)
{
	char line[4096];
	size_t n;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	n = strlen(line);
	snprintf(line + n, sizeof(line) - n, " >>%s/commands.log 2>&1", work);
	return system(line);
}

/* The process that names the mount point and is not a child. */
pid_t mounted_pid(const char *dir)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	pid_t pid = 0;

	while (proc != NULL && pid == 0 && (e = readdir(proc)) != NULL) {
		char path[300], args[4096];
		AUTO_CLOSE int fd = -1;
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		if (strtol(e->d_name, NULL, 10) <= 0)
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, args, sizeof(args));
		if (n > 0 &&
		    memmem(args, (size_t)n, dir, strlen(dir) + 1) != NULL)
			pid = (pid_t)strtol(e->d_name, NULL, 10);
	}
	if (proc != NULL)
		closedir(proc);
	return pid;
}

bool mounted_ended(const char *dir)
{
	for (int i = 0; i < GONE_TRIES; i++) {
		if (mounted_pid(dir) == 0)
			return true;
		usleep(10000);
	}
	return false;
}

int mounted_kill(const char *work, const char *dir)
{
	pid_t pid = mounted_pid(dir);

	if (pid <= 0)
		return -ESRCH;
	kill(pid, SIGKILL);
	if (!mounted_ended(dir))
		return -EBUSY;
	mounted_command(work, "umount -l %s || fusermount3 -uz %s", dir, dir);
	return 0;
}

int mounted_stat(int fd, struct ufs_stat *out, bool *dir)
{
	char self[40];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	*dir = S_ISDIR(st.st_mode);
	*out = (struct ufs_stat){
		.size = (uint64_t)st.st_size,
		.mtime = (int64_t)st.st_mtim.tv_sec * NSEC_PER_SEC +
			 st.st_mtim.tv_nsec,
	};
	if (*dir)
		return 0;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = getxattr(self, "user.tarn.version", out->version,
		     sizeof(out->version) - 1);
	return n < 0 ? -errno : 0;
}

/* A read may be answered in parts where an error follows. */
ssize_t mounted_read(int fd, char *buf, size_t len, uint64_t off)
{
	size_t got = 0;
	ssize_t n;

	do {
		n = pread(fd, buf + got, len - got, (off_t)(off + got));
		if (n > 0)
			got += (size_t)n;
	} while (n > 0 && got < len);
	return n < 0 ? -errno : (ssize_t)got;
}

/* Only the handler reads it, which a compiler does not see. */
static __thread sigjmp_buf *volatile on_bus;

static void bus(int signal)
{
	(void)signal;
	if (on_bus == NULL)
		abort();
	siglongjmp(*on_bus, 1);
}

ssize_t mounted_read_mapped(int fd, char *buf, size_t len, uint64_t off)
{
	struct sigaction act = { .sa_handler = bus };
	uint64_t skip = off % 4096;
	sigjmp_buf back;
	struct stat st;
	volatile ssize_t got = -EFAULT;
	char *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (off >= (uint64_t)st.st_size)
		return 0;
	len = (size_t)MIN(len, (uint64_t)st.st_size - off);
	if (len == 0)
		return 0;
	p = mmap(NULL, len + skip, PROT_READ, MAP_PRIVATE, fd,
		 (off_t)(off - skip));
	if (p == MAP_FAILED)
		return -errno;
	sigaction(SIGBUS, &act, NULL);
	if (sigsetjmp(back, 1) == 0) {
		on_bus = &back;
		memcpy(buf, p + skip, len);
		got = (ssize_t)len;
	}
	on_bus = NULL;
	munmap(p, len + skip);
	return got;
}
