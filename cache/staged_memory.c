/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staged_memory.c - small files have no file on the disk at first
 *
 * Most small files are made, written and closed within milliseconds. To make,
 * record and remove a staging file for each costs more than to send it, so
 * what is small lives in memory (a memfd, which all that reads and writes a
 * staging file takes for one) until it is needed on the disk. It is spilled
 * there, data first and then the record, as a file that had been there from
 * the start:
 *
 *  - when it grows beyond STAGED_MEMORY_MOST, or there is no memory for more
 *  - when it is a second old, closed or not: so what is kept after a crash is
 *    what was older, also of a commit that waits for its store
 *  - when it gets an error, of which the bytes are to be kept (S12)
 *  - before it is acknowledged, reserves space, or gets another name
 *
 * Nobody was told by then that anything is kept: a crash before leaves what
 * the store had (C9). Its pages count in the budget of the page buffers. The
 * disk is looked at meanwhile: if it has not the room for all of them, or
 * would not take one, files are made there from the start, so that who writes
 * is told (C1, C2).
 */
#include "cache/staging_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/stats.h"
#include "cache/cache_impl.h"
#include "cache/staging_io.h"

#define SPILL_AFTER NSEC_PER_SEC
#define SPILL_AGAIN (100 * NSEC_PER_MSEC) /* one who writes has the turn */
#define LOOK_EVERY NSEC_PER_SEC           /* at the disk's room */
#define REFUSED_FOR (10 * NSEC_PER_SEC)   /* by the disk */

static size_t pages_of(uint64_t size)
{
	return (size_t)((size + BUFFER_SIZE - 1) / BUFFER_SIZE);
}

static bool take_pages(struct staging *s, size_t n)
{
	bool room;

	lock_take(&s->lock);
	room = n <= s->memory_most - s->memory_pages;
	if (room)
		s->memory_pages += n;
	lock_drop(&s->lock);
	if (room && !memory_reserve(s->cache, n)) {
		lock_take(&s->lock);
		s->memory_pages -= n;
		lock_drop(&s->lock);
		room = false;
	}
	if (room)
		stat_add(STAT_memory_bytes, (int64_t)(n * BUFFER_SIZE));
	return room;
}

static void unlist_locked(struct staging *s, struct staged *f)
    TSA(requires_capability(s->lock));

static void unlist_locked(struct staging *s, struct staged *f)
{
	if (!f->listed)
		return;
	if (f->older != NULL)
		f->older->newer = f->newer;
	else
		s->oldest = f->newer;
	if (f->newer != NULL)
		f->newer->older = f->older;
	else
		s->newest = f->older;
	f->older = f->newer = NULL;
	f->listed = false;
}

/* Its turn comes after those that are there: all wait equally long. */
static void list_locked(struct staging *s, struct staged *f, int64_t due)
    TSA(requires_capability(s->lock));

static void list_locked(struct staging *s, struct staged *f, int64_t due)
{
	f->due = due;
	f->older = s->newest;
	if (s->newest != NULL)
		s->newest->newer = f;
	else
		s->oldest = f;
	s->newest = f;
	f->listed = true;
	if (s->asleep)
		event_signal(&s->wake);
	s->asleep = false;
}

void staged_memory_end(struct staged *f)
{
	struct staging *s = f->staging;
	size_t n = f->memory_pages;

	f->memory_pages = 0;
	lock_take(&s->lock);
	unlist_locked(s, f);
	s->memory_pages -= n;
	s->in_memory -= n > 0;
	lock_drop(&s->lock);
	if (n == 0)
		return;
	memory_release(s->cache, n);
	stat_add(STAT_memory_bytes, -(int64_t)(n * BUFFER_SIZE));
}

/* Would the disk take all that is in memory, as far as is known? */
static bool disk_is_well(struct staging *s, bool nowait)
{
	int64_t now = clock_ns();
	struct statvfs d;
	bool look, well;

	lock_take(&s->lock);
	look = now >= s->look_at;
	if (look && !nowait)
		s->look_at = now + LOOK_EVERY;
	well = s->roomy && now >= s->refused_until;
	lock_drop(&s->lock);
	if (!look || nowait)
		return well && !look;
	well = fstatvfs(s->dir, &d) == 0 &&
	       (uint64_t)d.f_bavail * d.f_frsize >=
		   (uint64_t)s->memory_most * BUFFER_SIZE &&
	       d.f_favail > 0;
	lock_take(&s->lock);
	s->roomy = well;
	well = well && now >= s->refused_until;
	lock_drop(&s->lock);
	return well;
}

bool staged_memory_new(struct staged *f, bool nowait)
{
	struct staging *s = f->staging;
	size_t pages = MAX(pages_of(f->size), (size_t)1);
	int fd;

	if (s->memory_most == 0 || f->copies ||
	    f->size > MIN(STAGED_MEMORY_MOST, s->whole) ||
	    !disk_is_well(s, nowait) || !take_pages(s, pages))
		return false;
	f->memory_pages = pages;
	lock_take(&s->lock);
	s->in_memory++;
	lock_drop(&s->lock);
	fd = memfd_create("tarn-staged", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)f->size) < 0) {
		if (fd >= 0)
			close(fd);
		staged_memory_end(f);
		return false;
	}
	lock_take(&f->lock);
	f->fd = fd;
	f->memory = true;
	lock_drop(&f->lock);
	lock_take(&s->lock);
	list_locked(s, f, clock_ns() + SPILL_AFTER);
	lock_drop(&s->lock);
	return true;
}

bool staged_memory_holds(struct staged *f, uint64_t size)
{
	size_t pages = pages_of(size);

	if (!f->memory)
		return true;
	if (size > MIN(STAGED_MEMORY_MOST, f->staging->whole))
		return false;
	if (pages <= f->memory_pages)
		return true;
	if (!take_pages(f->staging, pages - f->memory_pages))
		return false;
	lock_take(&f->lock); /* staged_stays_in_memory() looks at it */
	f->memory_pages = pages;
	lock_drop(&f->lock);
	return true;
}

bool staged_stays_in_memory(struct staged *f, uint64_t end)
{
	bool yes;

	lock_take(&f->lock);
	yes = f->memory && pages_of(end) <= f->memory_pages;
	lock_drop(&f->lock);
	return yes;
}

static int copy(struct staged *f, int to)
{
	AUTO_FREE char *buf = malloc(STAGING_PIECE);

	if (buf == NULL)
		return -ENOMEM;
	if (ftruncate(to, (off_t)f->size) < 0)
		return -errno;
	return staging_copy_range(f->fd, to, 0, f->size, buf);
}

int staged_spill(struct staged *f)
{
	char name[STAGED_ID + 8];
	AUTO_CLOSE int fd = -1;
	bool removed;
	int r;

	if (!f->memory)
		return 0;
	/* One that is removed meanwhile waits, and then finds the files. */
	lock_take(&f->lock);
	staged_recording_begin_locked(f);
	removed = f->removed;
	lock_drop(&f->lock);
	snprintf(name, sizeof(name), "%s.data", f->id);
	r = staged_data_new(f->staging, name, &fd);
	if (r == 0) {
		r = copy(f, fd);
		if (r == 0 && !removed)
			r = staged_record_of(f, fd);
		if (r < 0 || removed)
			staged_remove_files(f->staging, f->id);
	}
	lock_take(&f->lock);
	/* Readers have the number of the descriptor, not a reference. */
	if (r == 0) {
		must(dup3(fd, f->fd, O_CLOEXEC) < 0 ? errno : 0);
		f->memory = false;
	}
	staged_recording_end_locked(f);
	lock_drop(&f->lock);
	if (r < 0)
		return r;
	staged_memory_end(f);
	crash_point("staged-recorded");
	return 0;
}

/* 0; -EAGAIN: who writes has the turn; or the disk would not take it. */
static int spill_old(struct staged *f)
{
	int r = 0;

	lock_take(&f->lock);
	if (!f->memory || f->err != 0) {
		lock_drop(&f->lock);
		return 0;
	}
	if (f->writing || f->held_back)
		r = -EAGAIN;
	else
		r = staged_turn_locked(f);
	lock_drop(&f->lock);
	if (r < 0)
		return r;
	r = staged_spill(f);
	staged_turn_end(f);
	return r;
}

static void refused(struct staging *s, int err)
{
	int64_t now = clock_ns();
	bool said;

	lock_take(&s->lock);
	said = now < s->refused_until;
	s->refused_until = now + REFUSED_FOR;
	lock_drop(&s->lock);
	if (!said)
		log_warn("staging: what is being written stays in memory, and "
			 "would not outlive this process: %s",
			 strerror(-err));
}

/* The oldest's turn. The lock is let go meanwhile. */
static void spill_oldest_locked(struct staging *s)
    TSA(requires_capability(s->lock));

static void spill_oldest_locked(struct staging *s)
{
	struct staged *f = s->oldest;
	int r;

	unlist_locked(s, f);
	if (!staged_try_hold(f))
		return;
	s->spilling++;
	lock_drop(&s->lock);
	r = spill_old(f);
	if (r < 0 && r != -EAGAIN)
		refused(s, r);
	if (r < 0) {
		lock_take(&s->lock);
		list_locked(s, f,
			    clock_ns() +
				(r == -EAGAIN ? SPILL_AGAIN : SPILL_AFTER));
		lock_drop(&s->lock);
	}
	staged_let_go(f);
	lock_take(&s->lock);
	s->spilling--;
	event_broadcast(&s->wake);
}

size_t staging_keep(struct staging *s)
{
	size_t n = 0;

	lock_take(&s->lock);
	for (struct staged *f = s->oldest; f != NULL; f = f->newer)
		n++;
	for (; n > 0 && s->oldest != NULL; n--)
		spill_oldest_locked(s);
	while (s->spilling > 0)
		event_wait(&s->wake, &s->lock);
	n = s->in_memory;
	lock_drop(&s->lock);
	return n;
}

/*
 * Files come and go within milliseconds: who comes when there is none wakes
 * nobody, unless there was none for a while.
 */
static void spiller_run(struct job *job)
{
	struct staging *s = container_of(job, struct staging, spiller);
	bool idle = false;

	lock_take(&s->lock);
	while (!s->stopping) {
		int64_t now = clock_ns();

		if (s->oldest != NULL && s->oldest->due <= now) {
			spill_oldest_locked(s);
		} else if (s->oldest != NULL || !idle) {
			idle = s->oldest == NULL;
			event_wait_until(&s->wake, &s->lock,
					 idle ? now + SPILL_AFTER
					      : s->oldest->due);
		} else {
			idle = false;
			s->asleep = true;
			event_wait(&s->wake, &s->lock);
		}
	}
	lock_drop(&s->lock);
}

int staging_memory_start(struct staging *s, size_t memory)
{
	int r;

	s->memory_most = memory / BUFFER_SIZE;
	if (s->memory_most == 0)
		return 0;
	r = pool_new("spill", 1, &s->spill);
	if (r < 0)
		return r;
	s->spiller.run = spiller_run;
	pool_submit(s->spill, &s->spiller, POOL_DEMAND);
	return 0;
}

void staging_memory_stop(struct staging *s)
{
	lock_take(&s->lock);
	s->stopping = true;
	event_signal(&s->wake);
	lock_drop(&s->lock);
	pool_stop(s->spill);
}
