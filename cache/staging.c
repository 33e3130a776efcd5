/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staging.c - the directory of staged files, and the threads that send them
 *
 * Below staging-dir there is one directory for each store and prefix, named by
 * their hash and shared by all mounts of them. A staged file is ID.data, of
 * which a living mount holds the flock, and ID.json (staged_record.c). What
 * dead ones left there is found when a mount begins (orphans.c), and so are the
 * renames that they were at (rename_resume.c).
 */
#include "cache/staging_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <xxhash.h>

#include "cache/own_dir.h"
#include "cache/rename_impl.h"

#define OPTION "staging-dir"
#define THREADS_MAX 64

static int refuse(char why[static 256], int err, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static int refuse(char why[static 256], int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, 256, fmt, ap);
	va_end(ap);
	return err;
}

static int open_store(struct staging *s, int root, const char *path,
		      char why[static 256])
{
	XXH128_hash_t h = XXH3_128bits_withSeed(
	    s->ufs->prefix, strlen(s->ufs->prefix),
	    XXH3_64bits(s->ufs->store, strlen(s->ufs->store)));
	AUTO_CLOSE int fd = -1;
	char name[33];
	int r;

	snprintf(name, sizeof(name), "%016jx%016jx", (uintmax_t)h.high64,
		 (uintmax_t)h.low64);
	if (mkdirat(root, name, 0700) < 0 && errno != EEXIST)
		return refuse(why, -errno, "cannot write to %s: %s", path,
			      strerror(errno));
	fd =
	    openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return refuse(why, -EPERM,
			      "%s/%s is not a directory: remove it", path,
			      name);
	if (fd < 0)
		return refuse(why, -errno, "cannot open %s/%s: %s", path, name,
			      strerror(errno));
	r = own_dir_check(fd, name, OPTION, geteuid(), why);
	if (r == 0)
		s->dir = take_fd(&fd);
	return r;
}

static int open_dir(struct staging *s, const char *dir, char why[static 256])
{
	AUTO_FREE char *path = own_dir_absolute(dir);
	AUTO_CLOSE int root = -1;
	int r;

	if (path == NULL)
		return refuse(why, -ENOMEM, "out of memory");
	r = own_dir_make(path, OPTION, geteuid(), &root, why);
	return r < 0 ? r : open_store(s, root, path, why);
}

static void set_limits(struct staging *s, const struct staging_conf *conf)
{
	s->ops->limits(s->ufs, &s->limits);
	s->uploads = s->limits.part_least != 0 && s->limits.parts != 0;
	s->most = MIN(s->limits.object_most, (uint64_t)INT64_MAX);
	if (s->uploads) {
		parts_init(&s->parts, &s->limits, conf->part_size);
		s->whole = MIN(s->limits.put_most, s->parts.first);
		s->most = MIN(s->most, parts_bytes(&s->parts));
	} else {
		s->whole = s->limits.put_most;
		s->most = MIN(s->most, s->whole);
	}
}

int staging_new(const struct staging_conf *conf, struct staging **out,
		char why[static 256])
{
	struct ufs *u = ufs_writable(cache_ufs(conf->cache));
	struct staging *s;
	struct stat st;
	int r;

	if (u == NULL)
		return refuse(why, -EOPNOTSUPP,
			      "this store can only be read: mount it with ro");
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return refuse(why, -ENOMEM, "out of memory");
	s->cache = conf->cache;
	s->ufs = u;
	s->ops = u->ops->write;
	s->last_wins = conf->last_wins;
	s->persists = conf->persists;
	atomic_init(&s->synced, INT64_MIN / 2);
	s->side_by_side = conf->parts != 0 ? conf->parts : 8;
	s->dir = -1;
	lock_init(&s->lock, RANK_LEAF);
	event_init(&s->gone);
	event_init(&s->wake);
	set_limits(s, conf);
	r = open_dir(s, conf->dir, why);
	if (r == 0)
		s->takes =
		    fstat(s->dir, &st) == 0 && cache_is_on(s->cache, st.st_dev);
	if (r == 0) {
		r = pool_new("commit", THREADS_MAX, &s->commits);
		if (r == 0)
			r = pool_new("send", MAX(THREADS_MAX, s->side_by_side),
				     &s->senders);
		if (r == 0)
			r = staging_memory_start(s, conf->memory);
		if (r < 0)
			refuse(why, r, "no thread for commits: %s",
			       strerror(-r));
	}
	if (r == 0) {
		renames_resume_over(s);
		r = orphans_find(s);
		if (r == 0)
			r = renames_resume(s);
		if (r < 0)
			refuse(why, r, "cannot read %s: %s", conf->dir,
			       strerror(-r));
	}
	if (r < 0)
		staging_free(s);
	else
		*out = s;
	return r;
}

void staging_lives(struct staging *s, int n)
{
	lock_take(&s->lock);
	if (n > 0)
		s->live++;
	else if (--s->live == 0)
		event_broadcast(&s->gone);
	lock_drop(&s->lock);
}

bool staging_last_wins(const struct staging *s)
{
	return s->last_wins;
}

void staging_space(struct staging *s, struct statvfs *out)
{
	struct statvfs d;

	if (fstatvfs(s->dir, &d) < 0)
		return;
	out->f_bsize = d.f_bsize;
	out->f_frsize = d.f_frsize;
	out->f_blocks = d.f_blocks;
	out->f_bfree = d.f_bfree;
	out->f_bavail = d.f_bavail;
	out->f_files = d.f_files;
	out->f_ffree = out->f_favail = d.f_ffree;
}

void staging_keeps(struct staging *s)
{
	lock_take(&s->lock);
	s->kept++;
	lock_drop(&s->lock);
}

size_t staging_settle(struct staging *s)
{
	size_t kept;

	lock_take(&s->lock);
	while (s->live > 0)
		event_wait(&s->gone, &s->lock);
	kept = s->kept;
	lock_drop(&s->lock);
	return kept;
}

void staging_free(struct staging *s)
{
	if (s == NULL)
		return;
	restored_free(s);
	(void)staging_settle(s);
	staging_memory_stop(s);
	pool_stop(s->commits);
	pool_stop(s->senders);
	if (s->dir >= 0)
		close(s->dir);
	failed_free(s);
	event_fini(&s->gone);
	event_fini(&s->wake);
	lock_fini(&s->lock);
	free(s);
}
