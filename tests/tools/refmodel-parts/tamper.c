/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tamper.c - a file of a cache directory is removed, cut, made longer, gets
 * another byte, zeros, the name of another one, or becomes a symlink
 *
 * What a cache notices is a changed mtime, whose steps are some milliseconds:
 * the change waits for the next one.
 */
#include "tests/tools/refmodel-parts/tamper.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "cache/extent.h"

enum { PATHS_MAX = 512, FLIPS_MAX = 160 };

static char *paths[PATHS_MAX];
static size_t npaths;
static char *largest; /* one of them */
static off_t largest_size;

static int note(const char *path, const struct stat *st, int type,
		struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_F && npaths < PATHS_MAX) {
		paths[npaths] = strdup(path);
		must(paths[npaths] == NULL);
		if (st->st_size > largest_size) {
			largest = paths[npaths];
			largest_size = st->st_size;
		}
		npaths++;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void swap(const char *a, const char *b)
{
	char with[4096];

	snprintf(with, sizeof(with), "%s.swap", a);
	(void)!rename(a, with);
	(void)!rename(b, a);
	(void)!rename(with, b);
}

static void spoil(const char *path, const struct op *op)
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	char bytes[4096] = { 0 };
	struct stat st;
	off_t at;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	at = st.st_size > 0 ? op->c % st.st_size : 0;
	switch (op->a / 8 % 4) {
	case 0:
		(void)!ftruncate(fd, at);
		break;
	case 1:
		(void)!ftruncate(fd, st.st_size + 1 + op->c % 100000);
		break;
	case 2:
		/* One in each page, so that whoever reads it meets one. */
		at %= (off_t)PAGE_BYTES;
		for (int i = 0; i < FLIPS_MAX && pread(fd, bytes, 1, at) == 1;
		     i++, at += (off_t)PAGE_BYTES) {
			bytes[0] ^= 0x10;
			(void)!pwrite(fd, bytes, 1, at);
		}
		break;
	default:
		if (st.st_size > 0)
			(void)!pwrite(
			    fd, bytes,
			    MIN(sizeof(bytes), (size_t)(st.st_size - at)), at);
	}
}

void tamper_with(const char *dir, const struct op *op)
{
	char v1[4096];
	const char *path;

	snprintf(v1, sizeof(v1), "%s/v1", dir);
	largest_size = 0;
	nftw(v1, note, 16, FTW_PHYS);
	usleep(15000);
	if (npaths > 0) {
		qsort(paths, npaths, sizeof(*paths), by_name);
		/* Most are listings: a file that is large is met as often. */
		path = op->b % 8 < 4 && largest_size > 0
			   ? largest
			   : paths[op->a % npaths];
		switch (op->c % 8) {
		case 0:
		case 1:
			unlink(path);
			break;
		case 2:
			swap(path, paths[op->b % npaths]);
			break;
		case 3:
			unlink(path);
			(void)!symlink("/etc/passwd", path);
			break;
		default:
			spoil(path, op);
		}
	}
	while (npaths > 0)
		free(paths[--npaths]);
}
