/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.c - memory limits of cgroups v1 and v2, descriptors
 *
 * In a container the path in /proc/self/cgroup may be the host's and not be
 * there; walking up from it ends at the mount's root, which is then the
 * container's own group.
 */
#include "fuse/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

/* Read a small file as text. */
static int slurp(const char *path, char *buf, size_t size)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0)
		return -errno;
	while (n + 1 < size) {
		ssize_t got = read(fd, buf + n, size - 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	buf[n] = '\0';
	return 0;
}

static uint64_t read_limit(const char *dir, const char *file)
{
	char path[PATH_MAX], text[64], *end;
	unsigned long long n;

	if (snprintf(path, sizeof(path), "%s/%s", dir, file) >=
	    (int)sizeof(path))
		return UINT64_MAX;
	if (slurp(path, text, sizeof(text)) < 0 || strncmp(text, "max", 3) == 0)
		return UINT64_MAX;
	n = strtoull(text, &end, 10);
	return end == text || n == 0 ? UINT64_MAX : n;
}

/* The least of dir/path/file and of the same in every parent up to dir. */
static uint64_t walk_up(const char *dir, const char *path, size_t len,
			const char *file)
{
	uint64_t least = UINT64_MAX, n;
	char at[PATH_MAX];

	for (;;) {
		if (snprintf(at, sizeof(at), "%s%.*s", dir, (int)len, path) <
		    (int)sizeof(at)) {
			n = read_limit(at, file);
			least = MIN(least, n);
		}
		if (len == 0)
			return least;
		while (len > 0 && path[len - 1] != '/')
			len--;
		while (len > 0 && path[len - 1] == '/')
			len--;
	}
}

/* Is "memory" one of the comma-separated controllers? */
static bool has_memory(const char *p, const char *end)
{
	while (p < end) {
		size_t n = strcspn(p, ",:");

		if (n == 6 && memcmp(p, "memory", 6) == 0)
			return true;
		p += n + 1;
	}
	return false;
}

uint64_t limits_cgroup(const char *cgroup_text, const char *root)
{
	uint64_t least = UINT64_MAX, n;
	const char *line = cgroup_text;
	char v1[PATH_MAX];

	/* Lines are "ID:CONTROLLERS:PATH"; v2's is "0::PATH". */
	for (; *line != '\0';
	     line += strcspn(line, "\n"), line += *line == '\n') {
		const char *controllers = strchr(line, ':');
		const char *path;
		size_t len;

		if (controllers == NULL)
			break;
		path = strchr(++controllers, ':');
		if (path == NULL)
			break;
		len = strcspn(path + 1, "\n");
		if (path == controllers)
			n = walk_up(root, path + 1, len, "memory.max");
		else if (has_memory(controllers, path) &&
			 snprintf(v1, sizeof(v1), "%s/memory", root) <
			     (int)sizeof(v1))
			n = walk_up(v1, path + 1, len, "memory.limit_in_bytes");
		else
			continue;
		least = MIN(least, n);
	}
	return least;
}

uint64_t limits_memory(void)
{
	uint64_t least = UINT64_MAX, n;
	struct sysinfo si;
	char text[8192];

	if (sysinfo(&si) == 0)
		least = (uint64_t)si.totalram * si.mem_unit;
	if (slurp("/proc/self/cgroup", text, sizeof(text)) == 0) {
		n = limits_cgroup(text, "/sys/fs/cgroup");
		least = MIN(least, n);
	}
	return least;
}

uint64_t limits_memory_default(void)
{
	uint64_t n = limits_memory() / 4;

	return MIN(MAX(n, MIB(64)), (uint64_t)MIB(16 << 10));
}

size_t limits_inodes(uint64_t memory)
{
	return MAX((size_t)(memory / 4), (size_t)MIB(40));
}

void limits_raise_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return;
	rl.rlim_cur = rl.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &rl);
}

#define FILES_BESIDE 40 /* FUSE, sockets, logs, and files of the SSD */
#define FILES_OF_CONNECTION 3

unsigned limits_connections(unsigned asked)
{
	struct rlimit rl;
	rlim_t most;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return asked;
	most = rl.rlim_cur > FILES_BESIDE
		   ? (rl.rlim_cur - FILES_BESIDE) / FILES_OF_CONNECTION
		   : 0;
	return (unsigned)MIN((rlim_t)asked, MAX(most, (rlim_t)1));
}
