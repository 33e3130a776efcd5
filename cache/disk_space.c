/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_space.c - how many bytes are held, and whether more may come
 *
 * The count is a word in the file `usage`. Each process keeps the last value
 * it read and its own changes since, and adds them to the word once a second
 * under flock: with reads and writes, since a mapped word would be a SIGBUS
 * on the day that the disk dies. What a killed process did not add, and what
 * was only estimated, is put right by a walk over all files, at the start
 * and once an hour, by one process at a time. Nothing waits for the walk.
 *
 * The space thread runs eviction when the count is above the limit, when an
 * admission was refused for space, when a write met ENOSPC, or when the file
 * system as a whole runs low.
 */
#include "cache/disk_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/file.h>
#include <time.h>

#include "base/le.h"
#include "base/log.h"

#define BLOCK 4096
#define TICK NSEC_PER_SEC
#define IDLE_TICK (10 * NSEC_PER_SEC)
#define WALK_EVERY (3600 * NSEC_PER_SEC)
#define FRUITLESS (200 * NSEC_PER_MSEC)

void disk_kick(struct disk *d, bool *what)
{
	lock_take(&d->lock);
	*what = true;
	event_broadcast(&d->kicked);
	lock_drop(&d->lock);
}

bool disk_wait(struct disk *d, bool *what, int64_t deadline)
{
	bool go;

	lock_take(&d->lock);
	while (!atomic_load(&d->stopping) && !*what &&
	       event_wait_until(&d->kicked, &d->lock, deadline))
		;
	*what = false;
	go = !atomic_load(&d->stopping);
	lock_drop(&d->lock);
	return go;
}

void disk_account(struct disk *d, int64_t bytes)
{
	atomic_fetch_add_explicit(&d->delta, bytes, memory_order_relaxed);
}

uint64_t disk_bytes(const struct disk *d)
{
	int64_t n = atomic_load_explicit(&d->synced, memory_order_relaxed) +
		    atomic_load_explicit(&d->delta, memory_order_relaxed);

	return n > 0 ? (uint64_t)n : 0;
}

static int64_t word_read(int fd)
{
	uint8_t b[8];
	uint64_t v;

	if (pread(fd, b, sizeof(b), 0) != sizeof(b))
		return 0;
	v = get_le(b, 8);
	return v > INT64_MAX / 2 ? 0 : (int64_t)v;
}

static bool word_write(int fd, int64_t v)
{
	uint8_t b[8];

	put_le(b, (uint64_t)v, 8);
	return pwrite(fd, b, sizeof(b), 0) == sizeof(b);
}

/* correct: the word becomes what *correct says first. */
static void sync_word(struct disk *d, const int64_t *correct)
{
	AUTO_CLOSE int fd = disk_root_file(d, d->root, "usage");
	bool locked = fd >= 0 && disk_flock(fd, 100 * NSEC_PER_MSEC) == 0;
	int64_t mine, v;

	if (!locked && correct == NULL)
		return; /* another time */
	mine = atomic_exchange(&d->delta, 0);
	v = (correct != NULL ? *correct : word_read(fd)) + mine;
	v = MAX(v, 0);
	/* When it cannot be written this process counts on alone. */
	if (!locked || !word_write(fd, v))
		v = correct != NULL ? v
				    : MAX(atomic_load(&d->synced) + mine, 0);
	atomic_store(&d->synced, v);
}

void disk_usage_sync(struct disk *d)
{
	sync_word(d, NULL);
}

bool disk_admit(struct disk *d, int64_t bytes)
{
	uint64_t limit = disk_limit(d), held, n;

	if (bytes <= 0) {
		n = ((uint64_t)-bytes + BLOCK - 1) / BLOCK * BLOCK;
		disk_account(d, -(int64_t)n);
		return true;
	}
	if (disk_state(d) != DISK_OK)
		return false;
	n = ((uint64_t)bytes + BLOCK - 1) / BLOCK * BLOCK;
	if (n > limit)
		return false;
	if (atomic_load_explicit(&d->resting, memory_order_relaxed) &&
	    atomic_exchange(&d->resting, false))
		disk_kick(d, &d->kick_space);
	if (atomic_load_explicit(&d->tight, memory_order_relaxed) ||
	    atomic_load_explicit(&d->full, memory_order_relaxed))
		return false;
	held = disk_bytes(d);
	if (held + n > limit) {
		uint64_t want = atomic_load(&d->wanted);

		/* A little above the limit while eviction is at work. */
		while (want < n &&
		       !atomic_compare_exchange_weak(&d->wanted, &want, n))
			;
		if (want == 0)
			disk_kick(d, &d->kick_space);
		if (held + n > limit + limit / 32)
			return false;
	}
	disk_account(d, (int64_t)n);
	return true;
}

bool disk_has_room(struct disk *d, uint64_t bytes)
{
	uint64_t limit = disk_limit(d);

	return disk_state(d) == DISK_OK && !atomic_load(&d->tight) &&
	       !atomic_load(&d->full) &&
	       disk_bytes(d) + bytes <= limit - limit / 32;
}

bool disk_makes_room(const struct disk *d, uint64_t bytes)
{
	return disk_state(d) == DISK_OK && !atomic_load(&d->tight) &&
	       !atomic_load(&d->full) && bytes <= disk_limit(d);
}

static struct disk_pin **pin_bucket(struct disk *d, const struct disk_id *id)
{
	return &d->pins[(id->b[18] << 8 | id->b[19]) % PIN_BUCKETS];
}

void disk_pin(struct disk *d, const struct disk_id *id, struct disk_pin *pin)
{
	struct disk_pin **bucket = pin_bucket(d, id);

	pin->disk = d;
	pin->id = *id;
	lock_take(&d->lock);
	pin->next = *bucket;
	*bucket = pin;
	lock_drop(&d->lock);
}

void disk_unpin(struct disk_pin *pin)
{
	struct disk *d = take_ptr(pin->disk);
	struct disk_pin **p;

	if (d == NULL)
		return;
	lock_take(&d->lock);
	for (p = pin_bucket(d, &pin->id); *p != pin; p = &(*p)->next)
		;
	*p = pin->next;
	lock_drop(&d->lock);
}

bool disk_pinned(struct disk *d, const struct disk_id *id)
{
	const struct disk_pin *p;

	lock_take(&d->lock);
	for (p = *pin_bucket(d, id); p != NULL; p = p->next)
		if (memcmp(&p->id, id, sizeof(*id)) == 0)
			break;
	lock_drop(&d->lock);
	return p != NULL;
}

void disk_clean_tmp(struct disk *d)
{
	int fd = disk_subdir(d->root, "tmp");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	time_t now = time(NULL);
	struct dirent *e;
	struct stat st;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL && !atomic_load(&d->stopping)) {
		if (e->d_name[0] == '.')
			continue;
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			0 &&
		    !S_ISDIR(st.st_mode) && now - st.st_mtime > STRAY_AGE)
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	closedir(dir);
}

/* What the file system is short of: bytes and inodes to give back. */
static void shortage(const struct disk *d, uint64_t *bytes, uint64_t *files)
{
	struct statvfs v;
	uint64_t unit;

	*bytes = *files = 0;
	if (fstatvfs(d->root, &v) < 0)
		return;
	unit = v.f_frsize;
	/* A hundredth more than the guard, so that it is not at it at once. */
	if (v.f_bavail < v.f_blocks / 100 * DISK_LOW_PERCENT)
		*bytes =
		    (v.f_blocks / 100 * (DISK_LOW_PERCENT + 1) - v.f_bavail) *
		    unit;
	/* Some file systems have no table of inodes and say 0. */
	if (v.f_files > 0 && v.f_favail < v.f_files / 100 * DISK_LOW_PERCENT)
		*files = v.f_files / 100 * (DISK_LOW_PERCENT + 1) - v.f_favail;
}

/* False: there was something to do, and nothing could be done. */
static bool make_room(struct disk *d)
{
	uint64_t limit = disk_limit(d), held = disk_bytes(d);
	uint64_t want = atomic_exchange(&d->wanted, 0);
	uint64_t bytes = 0, files = 0, target = limit, freed = 0;
	bool short_of, full = atomic_load(&d->full);

	shortage(d, &bytes, &files);
	if (held > limit || want > 0)
		target = MIN(limit / 20 * 19, limit - MIN(want, limit));
	if (held > target)
		bytes = MAX(bytes, held - target);
	if (full)
		bytes = MAX(bytes, MAX(limit / 20, (uint64_t)BLOCK));
	short_of = bytes > 0 || files > 0;
	if (short_of)
		freed = evict(d, bytes, files);
	/* There was not that much: somebody admitted and did not write. */
	if (held > target && freed < held - target)
		disk_kick(d, &d->kick_walk);
	shortage(d, &bytes, &files);
	if (atomic_exchange(&d->tight, bytes > 0 || files > 0) !=
	    (bytes > 0 || files > 0))
		log_info("cache: %s: %s", d->dir,
			 bytes > 0 || files > 0
			     ? "its file system is nearly full: nothing "
			       "new is kept"
			     : "there is space again");
	if (full)
		atomic_store(&d->full, false);
	return !short_of || freed > 0;
}

void *disk_space_main(void *arg)
{
	struct disk *d = arg;
	int64_t clean = 0, wait = 0;
	uint64_t seen = 0;
	bool never = false;

	pthread_setname_np(pthread_self(), "tarn-space");
	/* At once at the start, then every second while there is work. */
	while (disk_wait(d, &d->kick_space, clock_ns() + wait)) {
		uint64_t now = atomic_load(&d->names);
		bool idle = now == seen && atomic_load(&d->delta) == 0;

		seen = now;
		wait = idle ? IDLE_TICK : TICK;
		atomic_store(&d->resting, idle);
		if (disk_state(d) == DISK_OFF)
			continue;
		if (clean <= clock_ns()) {
			disk_clean_tmp(d);
			clean = clock_ns() + WALK_EVERY;
		}
		disk_usage_sync(d);
		/* All is pinned, or not ours: do not look again at once. */
		if (!make_room(d))
			disk_wait(d, &never, clock_ns() + FRUITLESS);
	}
	return NULL;
}

struct walk {
	struct disk *d;
	uint64_t bytes, files;
};

static void walk_leaf(struct walk *w, int top, const char *name)
{
	int fd = disk_subdir(top, name);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL && !atomic_load(&w->d->stopping)) {
		if (e->d_name[0] == '.' ||
		    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) <
			0 ||
		    S_ISDIR(st.st_mode))
			continue;
		w->bytes += (uint64_t)st.st_blocks * 512;
		w->files++;
	}
	closedir(dir);
}

static void walk_top(struct walk *w, const char *name)
{
	int fd = disk_subdir(w->d->v1, name);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			walk_leaf(w, dirfd(dir), e->d_name);
	closedir(dir);
}

int disk_recount(struct disk *d, uint64_t *bytes, uint64_t *files)
{
	/* The lock of an open file of its own excludes our other walks too. */
	AUTO_CLOSE int lock = openat(
	    d->root, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct walk w = { .d = d };
	int64_t before, after, now;
	int r = lock < 0 ? -errno : disk_flock(lock, 30 * NSEC_PER_SEC);
	char name[3];

	if (r < 0)
		return r;
	disk_usage_sync(d);
	before = (int64_t)disk_bytes(d);
	for (int i = 0; i < 256 && !atomic_load(&d->stopping); i++) {
		snprintf(name, sizeof(name), "%02x", (unsigned)i);
		walk_top(&w, name);
	}
	if (atomic_load(&d->stopping))
		return -ECANCELED;
	/* What came and went meanwhile was seen by half of the walk. */
	sync_word(d, NULL);
	after = atomic_load(&d->synced);
	now = (int64_t)w.bytes + (after - before) / 2;
	sync_word(d, &now);
	atomic_store(&d->files, w.files);
	if (bytes != NULL)
		*bytes = w.bytes;
	if (files != NULL)
		*files = w.files;
	return 0;
}

void disk_be_idle(void)
{
	/* Of this thread alone; IOPRIO_WHO_PROCESS, class idle. */
	setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
	syscall(SYS_ioprio_set, 1, 0, 3 << 13);
}

void *disk_walk_main(void *arg)
{
	struct disk *d = arg;
	bool never = false;
	int64_t began;
	int r;

	pthread_setname_np(pthread_self(), "tarn-walk");
	disk_be_idle();
	do {
		began = clock_ns();
		r = disk_recount(d, NULL, NULL);
		if (r < 0)
			log_debug(LOG_CACHE, "cache: %s: not counted: %s",
				  d->dir, strerror(-r));
		/* Asked for or not, at most a tenth of the time. */
		disk_wait(d, &never,
			  clock_ns() + MAX(10 * (clock_ns() - began), TICK));
	} while (disk_wait(d, &d->kick_walk, clock_ns() + WALK_EVERY));
	return NULL;
}
