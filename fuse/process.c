/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.c - what /proc tells of the processes that ask for something
 *
 * Only what the kernel has in memory: nothing here asks a file system, for
 * that may be the one whose request is being answered.
 */
#include "fuse/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/base.h"

#define FILES_MOST 1024

pid_t process_of(pid_t thread)
{
	char path[40], line[64];
	pid_t group = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "Tgid:", 5) == 0) {
			group = (pid_t)strtol(line + 5, NULL, 10);
			break;
		}
	fclose(f);
	return group;
}

/* The number behind name, at the beginning of a line. */
static bool number_of(const char *text, const char *name, int base,
		      uint64_t *out)
{
	const char *at = strstr(text, name);

	if (at == NULL || (at != text && at[-1] != '\n'))
		return false;
	*out = strtoull(at + strlen(name), NULL, base);
	return true;
}

/* Is the mount of this number, as the thread sees mounts, one of dev? */
static bool mount_is(pid_t thread, uint64_t id, dev_t dev)
{
	AUTO_FREE char *line = NULL;
	size_t room = 0;
	bool found = false, is = false;
	char path[40];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)thread);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (!found && getline(&line, &room, f) > 0) {
		uintmax_t its;
		unsigned maj, min;

		found = sscanf(line, "%ju %*u %u:%u", &its, &maj, &min) == 3 &&
			its == id;
		is = found && makedev(maj, min) == dev;
	}
	fclose(f);
	return is;
}

static bool writes(pid_t thread, int dir, const char *name, dev_t dev,
		   uint64_t ino)
{
	AUTO_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	char text[512];
	uint64_t flags, its, mount;
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return number_of(text, "ino:", 10, &its) && its == ino &&
	       number_of(text, "flags:", 8, &flags) &&
	       (flags & O_ACCMODE) != O_RDONLY &&
	       number_of(text, "mnt_id:", 10, &mount) &&
	       mount_is(thread, mount, dev);
}

bool process_writes(pid_t thread, dev_t dev, uint64_t ino)
{
	struct dirent *e;
	char path[40];
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)thread);
	d = opendir(path);
	if (d == NULL)
		return false;
	for (unsigned n = 0; !found && n < FILES_MOST; n++) {
		e = readdir(d);
		if (e == NULL)
			break;
		found = e->d_name[0] != '.' &&
			writes(thread, dirfd(d), e->d_name, dev, ino);
	}
	closedir(d);
	return found;
}
