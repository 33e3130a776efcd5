/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blkfuse - a disk that fails as told
 *
 * Usage: blkfuse IMAGE CONTROL DIR
 * Mounts on DIR a file system with one file, `disk`, whose bytes are IMAGE's;
 * a loop device on it is a disk. CONTROL holds one fault a line, looked at on
 * every request:
 *
 *   read|write FIRST-BYTE LENGTH eio|flip|stall:MS
 *
 * Requests that touch the range fail, come with each byte's lowest bit
 * turned, or wait. Each fault that fired adds a byte to CONTROL.fired.
 */
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int image = -1;
static off_t image_size;
static char control[PATH_MAX], fired[PATH_MAX + 8];

struct fault {
	off_t first, len;
	long stall_ms;
	bool eio, flip;
};

static void count_fired(void)
{
	int fd = open(fired, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0)
		return;
	if (write(fd, ".", 1) < 0)
		perror("blkfuse: count");
	close(fd);
}

/* The first fault of CONTROL that [off, off+n) meets. */
static bool find_fault(const char *what, size_t n, off_t off, struct fault *out)
{
	char op[16], action[32];
	long long first, len;
	bool found = false;
	FILE *f = fopen(control, "re");

	if (f == NULL)
		return false;
	while (!found && fscanf(f, "%15s %lld %lld %31s", op, &first, &len,
				action) == 4) {
		if (strcmp(op, what) != 0 || off >= first + len ||
		    off + (off_t)n <= first)
			continue;
		memset(out, 0, sizeof(*out));
		out->first = first;
		out->len = len;
		out->eio = strcmp(action, "eio") == 0;
		out->flip = strcmp(action, "flip") == 0;
		if (strncmp(action, "stall:", 6) == 0)
			out->stall_ms = strtol(action + 6, NULL, 10);
		found = true;
	}
	fclose(f);
	if (found)
		count_fired();
	return found;
}

static void stall(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static int disk_getattr(const char *path, struct stat *st,
			struct fuse_file_info *fi)
{
	(void)fi;
	memset(st, 0, sizeof(*st));
	if (strcmp(path, "/") == 0) {
		st->st_mode = S_IFDIR | 0755;
		st->st_nlink = 2;
		return 0;
	}
	if (strcmp(path, "/disk") != 0)
		return -ENOENT;
	st->st_mode = S_IFREG | 0600;
	st->st_nlink = 1;
	st->st_size = image_size;
	return 0;
}

static int disk_readdir(const char *path, void *buf, fuse_fill_dir_t fill,
			off_t off, struct fuse_file_info *fi,
			enum fuse_readdir_flags flags)
{
	(void)path, (void)off, (void)fi, (void)flags;
	fill(buf, "disk", NULL, 0, 0);
	return 0;
}

static int disk_open(const char *path, struct fuse_file_info *fi)
{
	if (strcmp(path, "/disk") != 0)
		return -ENOENT;
	fi->direct_io = 1;
	return 0;
}

static int disk_read(const char *path, char *buf, size_t n, off_t off,
		     struct fuse_file_info *fi)
{
	struct fault f;
	bool hit = find_fault("read", n, off, &f);
	ssize_t r;

	(void)path, (void)fi;
	if (hit && f.eio)
		return -EIO;
	if (hit)
		stall(f.stall_ms);
	r = pread(image, buf, n, off);
	if (r < 0)
		return -errno;
	for (ssize_t i = 0; hit && f.flip && i < r; i++)
		if (off + i >= f.first && off + i < f.first + f.len)
			buf[i] ^= 1;
	return (int)r;
}

static int disk_write(const char *path, const char *buf, size_t n, off_t off,
		      struct fuse_file_info *fi)
{
	struct fault f;
	bool hit = find_fault("write", n, off, &f);
	ssize_t r;

	(void)path, (void)fi;
	if (hit && f.eio)
		return -EIO;
	if (hit)
		stall(f.stall_ms);
	r = pwrite(image, buf, n, off);
	return r < 0 ? -errno : (int)r;
}

static int disk_fsync(const char *path, int data, struct fuse_file_info *fi)
{
	(void)path, (void)data, (void)fi;
	return 0;
}

static const struct fuse_operations operations = {
	.getattr = disk_getattr,
	.readdir = disk_readdir,
	.open = disk_open,
	.read = disk_read,
	.write = disk_write,
	.fsync = disk_fsync,
};

int main(int argc, char **argv)
{
	char *args[] = { argv[0], NULL, NULL };
	struct stat st;

	if (argc != 4) {
		fprintf(stderr, "usage: blkfuse IMAGE CONTROL DIR\n");
		return 2;
	}
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	if (image < 0 || fstat(image, &st) < 0) {
		perror(argv[1]);
		return 1;
	}
	image_size = st.st_size;
	snprintf(control, sizeof(control), "%s", argv[2]);
	snprintf(fired, sizeof(fired), "%s.fired", control);
	args[1] = argv[3];
	return fuse_main(2, args, &operations, NULL);
}
