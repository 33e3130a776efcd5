/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial_kept.c - what a trial found out, for the mounts to come
 */
#include "fuse/trial_kept.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/clock.h"
#include "cache/own_dir.h"

#define START "conditions-"
#define NAME 64
#define MOST 4096 /* bytes of such a file */
#define DAY 86400

static void name_of(const struct ufs *u, const char *end,
		    char name[static NAME])
{
	snprintf(name, NAME, START "%016" PRIx64 "%s",
		 (uint64_t)XXH3_64bits(u->where, strlen(u->where)), end);
}

static int open_dir(const char *dir, int *out)
{
	AUTO_FREE char *path = own_dir_absolute(dir);
	char why[256];

	return path == NULL
		   ? -ENOMEM
		   : own_dir_open(path, "staging-dir", geteuid(), out, why);
}

/* Whatever lies there is not waited for, and read to its end only if small. */
static json_t *load(int dir, const char *name)
{
	AUTO_CLOSE int fd =
	    openat(dir, name,
		   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char buf[MOST];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid())
		return NULL;
	n = pread(fd, buf, sizeof(buf), 0);
	if (n < 0 || n == (ssize_t)sizeof(buf))
		return NULL;
	return json_loadb(buf, (size_t)n, 0, NULL);
}

static enum trial_answer answer_of(const char *word)
{
	static const enum trial_answer known[] = { TRIAL_OBEYED, TRIAL_IGNORED,
						   TRIAL_REFUSED };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(word, trial_word(known[i])) == 0)
			return known[i];
	return TRIAL_UNKNOWN;
}

/* then: s since 1970, any that is positive. */
static bool is_near(int64_t now, int64_t then)
{
	int64_t age = now / NSEC_PER_SEC - then;

	return age > -DAY && age < TRIAL_KEPT_DAYS * DAY;
}

enum trial_answer trial_kept(const char *dir, const struct ufs *u, int64_t now,
			     int64_t *at)
{
	enum trial_answer a = TRIAL_UNKNOWN;
	AUTO_CLOSE int fd = -1;
	const char *store, *word;
	char name[NAME];
	json_int_t then;
	json_t *j;

	if (u->where == NULL || open_dir(dir, &fd) < 0)
		return a;
	name_of(u, "", name);
	j = load(fd, name);
	if (json_unpack(j, "{s:s, s:s, s:I}", "store", &store, "if-match",
			&word, "at", &then) == 0 &&
	    strcmp(store, u->where) == 0) {
		/* Another's clock may be ahead of what ours is now. */
		if (then > 0 && is_near(now, then))
			a = answer_of(word);
		if (a != TRIAL_UNKNOWN)
			*at = then;
	}
	json_decref(j);
	return a;
}

static int put(int dir, const char *tmp, const char *name, const char *text)
{
	AUTO_CLOSE int fd = -1;
	size_t n = strlen(text);
	ssize_t wrote;
	int r = 0;

	fd = openat(dir, tmp,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	wrote = write(fd, text, n);
	if (wrote != (ssize_t)n)
		r = wrote < 0 ? -errno : -ENOSPC;
	if (r == 0 && renameat(dir, tmp, dir, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, tmp, 0);
	return r;
}

/*
 * Remove what nobody will believe: notes of stores that are not written to any
 * more, and what one left that died while it wrote.
 */
static void remove_old(int dir, int64_t now)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	struct stat st;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, START, strlen(START)) == 0 &&
		    fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    now / NSEC_PER_SEC - st.st_mtim.tv_sec >
			TRIAL_KEPT_DAYS * DAY)
			unlinkat(dir, e->d_name, 0);
	if (d != NULL)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

int trial_keep(const char *dir, const struct ufs *u, int64_t now,
	       enum trial_answer a)
{
	char name[NAME], tmp[NAME];
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int fd = -1;
	char end[24];
	uint64_t n;
	json_t *j;
	int r;

	if (a == TRIAL_UNKNOWN || u->where == NULL)
		return 0;
	r = open_dir(dir, &fd);
	if (r < 0)
		return r;
	/* NULL where an address is not UTF-8: such a one is not kept. */
	j = json_pack("{s:s, s:s, s:I}", "store", u->where, "if-match",
		      trial_word(a), "at", (json_int_t)(now / NSEC_PER_SEC));
	text = j == NULL ? NULL : json_dumps(j, 0);
	json_decref(j);
	if (text == NULL)
		return -ENOMEM;
	name_of(u, "", name);
	/* Two may write it at once. */
	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return -EIO;
	snprintf(end, sizeof(end), "-%016" PRIx64, n);
	name_of(u, end, tmp);
	r = put(fd, tmp, name, text);
	if (r == 0)
		remove_old(fd, now);
	return r;
}

const char *trial_date(int64_t at, char buf[static 32])
{
	time_t t = (time_t)at;
	struct tm tm;

	buf[0] = '\0';
	if (at > 0 && gmtime_r(&t, &tm) != NULL)
		strftime(buf, 32, "%Y-%m-%d", &tm);
	return buf;
}
