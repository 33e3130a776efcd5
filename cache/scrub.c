/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub.c - what is stored is read back, before somebody needs it
 *
 * Disks forget. What the daemon serves is verified as it is read, but a file
 * in the kernel's hands is not, nor is what nobody reads for months. So one
 * thread walks over all shards, checks each extent by what the disk itself
 * holds (extent_check()), and drops what is rotten: it is fetched again when
 * somebody wants it, and a file that held it is not handed to the kernel any
 * more. Handles that the kernel has already cannot be taken back; the next
 * open sees it. Listings are left alone: they are small, never handed out,
 * and each of their blocks is verified when it is read.
 *
 * A pass begins at most once a day, ten minutes after the mount at the
 * earliest, and when a disk that was off is taken back or somebody asks for
 * it. It gives way: reading takes at most a tenth of the time (whatever makes
 * the disk slow for readers makes the pauses longer), 64 MiB/s at most, in the
 * idle class of disk and CPU, with a buffer of 1 MiB, and each pause ends at
 * once when the mount does.
 *
 * DIR/scrub says when the last pass began and the one before it ended, in
 * seconds of the wall clock, and at which shard to go on (0: it has ended),
 * as three little-endian u64. So jobs of an hour a day get through a large
 * disk as well. Its flock makes processes that share the directory take
 * turns; who dies gives it up.
 */
#include "cache/disk_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>

#include "base/le.h"
#include "base/log.h"
#include "base/stats.h"
#include "cache/extent.h"

#define FIRST_AFTER (600 * NSEC_PER_SEC)
#define LOOK_EVERY (600 * NSEC_PER_SEC)
#define AGAIN_AFTER NSEC_PER_SEC /* while another process is at it */
#define PASS_EVERY (24 * 3600)   /* seconds */
#define REST 9                   /* times as long as the reading took */
#define REST_LEAST (5 * NSEC_PER_MSEC)
#define RATE MIB(64) /* bytes a second */
#define SHARDS 65536

struct record {
	int64_t began, ended;
	uint64_t shard;
};

struct scrub {
	struct disk *d;
	int fd; /* of DIR/scrub, locked */
	struct record rec;
	int64_t since; /* when the reading began that is not yet paid for */
	int64_t owed;  /* ns of rest */
	uint64_t files, bytes, bad;
};

static void record_read(int fd, struct record *rec)
{
	uint64_t v[3] = { 0 };
	uint8_t b[24];

	if (pread(fd, b, sizeof(b), 0) == sizeof(b))
		for (size_t i = 0; i < ARRAY_SIZE(v); i++)
			v[i] = get_le(b + 8 * i, 8);
	/* What cannot be is as if nothing were known. */
	if (v[0] > INT64_MAX || v[1] > INT64_MAX || v[2] >= SHARDS)
		v[0] = v[1] = v[2] = 0;
	*rec = (struct record){ (int64_t)v[0], (int64_t)v[1], v[2] };
}

static void record_write(const struct scrub *s)
{
	const uint64_t v[3] = { (uint64_t)s->rec.began, (uint64_t)s->rec.ended,
				s->rec.shard };
	uint8_t b[24];

	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		put_le(b + 8 * i, v[i], 8);
	/* When it cannot be written a pass is made too often. */
	if (pwrite(s->fd, b, sizeof(b), 0) != sizeof(b))
		log_debug(LOG_CACHE,
			  "cache: %s: scrub: where it is cannot be "
			  "written",
			  s->d->dir);
}

/* Is it to begin anew? */
static bool asked(const struct scrub *s)
{
	return atomic_load(&s->d->scrub_asked);
}

/* After each MiB or file: rest as is due. False: it is time to end. */
static bool pace(void *arg, uint64_t bytes)
{
	struct scrub *s = arg;
	struct disk *d = s->d;
	int64_t busy = clock_ns() - s->since;
	int64_t by_rate = (int64_t)(bytes * NSEC_PER_SEC / RATE) - busy;
	bool never = false, go = !atomic_load(&d->stopping);

	s->bytes += bytes;
	atomic_fetch_add(&d->scrub_bytes, bytes);
	stat_add(STAT_scrub_bytes, (int64_t)bytes);
	s->owed += MAX(REST * busy, by_rate);
	if (s->owed >= REST_LEAST) {
		go = disk_wait(d, &never, clock_ns() + s->owed);
		s->owed = 0;
	}
	s->since = clock_ns();
	return go && !asked(s) && disk_state(d) != DISK_OFF;
}

static void found_bad(struct scrub *s, const char *shard, const char *name,
		      uint64_t bad)
{
	/* The first of a pass; a rotten disk is not to fill the log. */
	if (s->bad == 0)
		log_warn("cache: %s: scrub: v1/%s/%s is rotten; such pages are "
			 "dropped, and fetched again when they are read",
			 s->d->dir, shard, name);
	else
		log_debug(LOG_CACHE, "cache: %s: scrub: v1/%s/%s is rotten",
			  s->d->dir, shard, name);
	s->bad += bad;
	atomic_fetch_add(&s->d->scrub_bad, bad);
	stat_add(STAT_scrub_bad, (int64_t)bad);
}

/* False: it is time to end. */
static bool scrub_file(struct scrub *s, int dirfd, const char *shard,
		       const char *name, const struct disk_id *id)
{
	struct disk *d = s->d;
	uint64_t before = atomic_load(&d->bad_pages), bad = 0;
	struct extent *e;
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		disk_failed(d, -errno, "read a directory"); /* or evicted */
		return pace(s, 0);
	}
	r = extent_open(d, id, (uint64_t)MAX(st.st_size, 0), &e);
	if (r == 0) {
		r = extent_check(e, 0, UINT64_MAX, pace, s, &bad);
		extent_close(e);
		s->files++;
		atomic_fetch_add(&d->scrub_files, 1);
		stat_inc(STAT_scrub_files);
	} else if (r == -ENOENT) {
		/* Broken as a whole, and removed; or, without a count, gone. */
		bad = atomic_load(&d->bad_pages) - before;
	}
	if (bad > 0)
		found_bad(s, shard, name, bad);
	if (r != 0 && r != -ENOENT && r != -ECANCELED)
		log_debug(LOG_CACHE, "cache: %s: scrub: v1/%s/%s: %s", d->dir,
			  shard, name, strerror(-r));
	return r == 0 || (r != -ECANCELED && pace(s, 0));
}

/* False: it is time to end. */
static bool scrub_shard(struct scrub *s, unsigned number)
{
	uint8_t a = (uint8_t)(number >> 8), b = (uint8_t)number;
	int fd = disk_shard(s->d, a, b);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	char shard[SHARD_NAME + 1];
	struct disk_id id;
	bool go = true;

	if (dir == NULL) {
		disk_failed(s->d, fd < 0 ? fd : -errno, "read a directory");
		if (fd >= 0)
			close(fd);
		return pace(s, 0);
	}
	snprintf(shard, sizeof(shard), "%02x/%02x", a, b);
	for (; go && (errno = 0, e = readdir(dir)) != NULL;)
		/* The data alone: a map goes with it, and has a suffix. */
		if (disk_parse_name(a, b, e->d_name, &id) &&
		    strchr(e->d_name, '.') == NULL)
			go = scrub_file(s, dirfd(dir), shard, e->d_name, &id);
	if (go)
		disk_failed(s->d, -errno, "read a directory");
	closedir(dir);
	return go && pace(s, 0);
}

/* The first shard at or after number that may be there. */
static unsigned skip_absent(const struct scrub *s, unsigned number)
{
	char name[3];
	struct stat st;

	for (; number < SHARDS; number = (number | 255) + 1) {
		snprintf(name, sizeof(name), "%02x", number >> 8);
		if (fstatat(s->d->v1, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
		    errno != ENOENT)
			break;
	}
	return number;
}

static void tell(const struct scrub *s)
{
	char what[128];

	snprintf(what, sizeof(what),
		 "%ju files, %ju bytes read back; %ju pages were bad",
		 (uintmax_t)s->files, (uintmax_t)s->bytes, (uintmax_t)s->bad);
	if (s->bad > 0)
		log_warn("cache: %s: scrub: %s", s->d->dir, what);
	else
		log_debug(LOG_CACHE, "cache: %s: scrub: %s", s->d->dir, what);
}

static void pass(struct scrub *s)
{
	struct disk *d = s->d;
	unsigned shard = (unsigned)s->rec.shard;
	bool go = true;

	s->since = clock_ns();
	while (go && (shard = skip_absent(s, shard)) < SHARDS) {
		go = scrub_shard(s, shard);
		shard += go;
		s->rec.shard = shard < SHARDS ? shard : 0;
		if (!go || (shard & 255) == 0)
			record_write(s);
	}
	tell(s);
	if (!go)
		return;
	s->rec.shard = 0;
	s->rec.ended = time(NULL);
	record_write(s);
	atomic_store(&d->scrubbed, s->rec.ended);
	atomic_fetch_add(&d->scrub_passes, 1);
}

/* A pass, if one is due. -EBUSY: another process is at it. */
static int scrub_if_due(struct disk *d, bool now)
{
	AUTO_CLOSE int fd = disk_root_file(d, d->root, "scrub");
	struct scrub s = { .d = d, .fd = fd };
	int64_t wall = time(NULL);
	bool begin;

	if (fd < 0) {
		disk_failed(d, fd, "open");
		return fd;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	record_read(fd, &s.rec);
	atomic_store(&d->scrubbed, s.rec.ended);
	begin = now || (s.rec.shard == 0 && (wall < s.rec.began ||
					     wall - s.rec.began >= PASS_EVERY));
	if (!begin && s.rec.shard == 0)
		return 0;
	if (begin) {
		s.rec.began = wall;
		s.rec.shard = 0;
		record_write(&s);
	}
	pass(&s);
	return 0;
}

void disk_scrub(struct disk *d)
{
	atomic_store(&d->scrub_asked, true);
	disk_kick(d, &d->kick_scrub);
}

/* What processes before this one found out, for status. */
static void learn(struct disk *d)
{
	AUTO_CLOSE int fd = -1;
	struct record rec;

	if (disk_state(d) == DISK_OFF)
		return;
	fd = disk_root_file(d, d->root, "scrub");
	if (fd < 0)
		return;
	record_read(fd, &rec);
	atomic_store(&d->scrubbed, rec.ended);
}

void *disk_scrub_main(void *arg)
{
	struct disk *d = arg;
	int64_t wait =
	    d->conf.scrub_after > 0 ? d->conf.scrub_after : FIRST_AFTER;

	pthread_setname_np(pthread_self(), "tarn-scrub");
	disk_be_idle();
	learn(d);
	while (disk_wait(d, &d->kick_scrub, clock_ns() + wait)) {
		bool now = atomic_exchange(&d->scrub_asked, false);
		int r = disk_state(d) == DISK_OFF ? -EIO : scrub_if_due(d, now);

		wait = LOOK_EVERY;
		/* It could not begin: that is still to be done. */
		if (now && r < 0) {
			atomic_store(&d->scrub_asked, true);
			wait = r == -EBUSY ? AGAIN_AFTER : LOOK_EVERY;
		}
	}
	return NULL;
}
