/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staged_write.c - writes, truncation, reservation
 *
 * One change at a time: each takes the turn. Space is reserved before bytes
 * are written, up to 64 MiB ahead of who writes in order, so that a full disk
 * is told by write() and nothing was written then (C1). Where the file system
 * cannot reserve, or promises what it does not keep, a write that ends in the
 * middle is final.
 */
#include "cache/staging_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/crash.h"
#include "cache/staging_io.h"

#define AHEAD_MOST MIB(64)
#define AHEAD_SHARE 4 /* of what is free */

static int turn_locked(struct staged *f, bool nowait)
    TSA(requires_capability(f->lock));

static int turn_locked(struct staged *f, bool nowait)
{
	if (nowait && (f->acked || f->taken))
		return -EAGAIN; /* it may have to be copied */
	while (f->err == 0 && (f->writing || f->held_back)) {
		if (nowait && (f->held_back || f->slow))
			return -EAGAIN;
		event_wait(&f->changed, &f->lock);
	}
	if (f->err != 0)
		return -f->err;
	f->writing = true;
	f->turn_of = pthread_self();
	f->slow = !nowait;
	return 0;
}

int staged_turn_locked(struct staged *f)
{
	return turn_locked(f, false);
}

void staged_hold_back_locked(struct staged *f)
{
	f->held_back = true;
	while (f->writing)
		event_wait(&f->changed, &f->lock);
}

void staged_let_on_locked(struct staged *f)
{
	f->held_back = false;
	event_broadcast(&f->changed);
}

void staged_turn_end(struct staged *f)
{
	lock_take(&f->lock);
	f->writing = f->emptied = false;
	f->write_off = f->write_end = 0;
	event_broadcast(&f->changed);
	lock_drop(&f->lock);
}

static int turn(struct staged *f, bool nowait)
{
	int r;

	lock_take(&f->lock);
	r = turn_locked(f, nowait);
	lock_drop(&f->lock);
	return r;
}

/* Errors that pass: the disk is full, a file too large for it, no memory. */
static bool passes(int err)
{
	return err == -ENOSPC || err == -EDQUOT || err == -EFBIG ||
	       err == -ENOMEM || err == -EMFILE || err == -ENFILE;
}

static int failed(struct staged *f, int err, const char *what)
{
	return passes(err) ? err : staged_stick(f, err, what);
}

int staged_data_new(struct staging *s, const char *name, int *out)
{
	int r, fd = openat(s->dir, name,
			   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			   0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = -errno;
		unlinkat(s->dir, name, 0);
		close(fd);
		return r;
	}
	*out = fd;
	return 0;
}

/*
 * The cache has the file: what changes is a copy of it. Readers go on with the
 * descriptor, under which the file is replaced by one of the same bytes.
 */
static int own_copy(struct staged *f)
{
	char name[STAGED_ID + 8], fresh[STAGED_ID + 16];
	int dir = f->staging->dir, r;
	AUTO_CLOSE int fd = -1;

	snprintf(name, sizeof(name), "%s.data", f->id);
	snprintf(fresh, sizeof(fresh), "%s.data.tmp", f->id);
	unlinkat(dir, fresh, 0);
	r = staged_data_new(f->staging, fresh, &fd);
	if (r < 0)
		return failed(f, r, "cannot make its staging file");
	r = staged_copy_bytes(f, fd);
	/* In the place of one that is on the disk comes one that is. */
	if (r == 0 && f->acked && fdatasync(fd) < 0)
		r = -errno;
	if (r == 0 && (renameat(dir, fresh, dir, name) < 0 ||
		       dup3(fd, f->fd, O_CLOEXEC) < 0))
		r = -errno;
	if (r < 0) {
		unlinkat(dir, fresh, 0);
		return failed(f, r, "cannot copy its staging file");
	}
	ranges_fini(&f->reserved);
	lock_take(&f->lock);
	f->taken = false;
	lock_drop(&f->lock);
	return 0;
}

int staged_files(struct staged *f)
{
	AUTO_CLOSE int fd = -1;
	char name[STAGED_ID + 8];
	int r;

	if (f->taken)
		return own_copy(f);
	if (f->fd >= 0 || staged_memory_new(f, false))
		return 0;
	snprintf(name, sizeof(name), "%s.data", f->id);
	r = staged_data_new(f->staging, name, &fd);
	if (r < 0)
		return failed(f, r, "cannot make its staging file");
	if (f->size > 0 && ftruncate(fd, (off_t)f->size) < 0) {
		r = -errno;
		unlinkat(f->staging->dir, name, 0);
		return failed(f, r, "cannot make its staging file");
	}
	lock_take(&f->lock);
	f->fd = take_fd(&fd);
	lock_drop(&f->lock);
	r = staged_record(f);
	if (r < 0) {
		unlinkat(f->staging->dir, name, 0);
		lock_take(&f->lock);
		close(f->fd);
		f->fd = -1;
		lock_drop(&f->lock);
	}
	crash_point("staged-recorded");
	return r < 0 ? failed(f, r, "cannot write its record") : 0;
}

static int allocate(int fd, uint64_t off, uint64_t n)
{
	int r;

	do
		r = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/*
 * How much to reserve behind [off, off+n). Of what is free most stays for
 * others, and for the records: without them nothing is written.
 */
static uint64_t ahead_of(const struct staged *f, uint64_t off, uint64_t n)
{
	struct statvfs d;
	uint64_t ahead;

	/* As much again as there is: nothing for what is one write. */
	if (off == 0 || off != f->next || fstatvfs(f->fd, &d) < 0)
		return 0;
	ahead = MIN(off, AHEAD_MOST);
	ahead = MIN(ahead, (uint64_t)d.f_bavail * d.f_frsize / AHEAD_SHARE);
	return MIN(ahead, (uint64_t)INT64_MAX - off - n);
}

/*
 * What stands behind the end, whatever reserved it, goes: also what ext4 keeps
 * when there is room for a part of it only. Needs the turn.
 */
static void cut_ahead(struct staged *f)
{
	uint64_t size = f->size; /* the turn's: it does not change */

	if (ftruncate(f->fd, (off_t)size) == 0)
		ranges_cut(&f->reserved, size);
}

/* Room on the disk for [off, off+n), before anything is written there. */
static int reserve(struct staged *f, uint64_t off, uint64_t n)
{
	uint64_t ahead;
	int r;

	if (f->memory || f->no_reserve ||
	    ranges_cover(&f->reserved, off, off + n))
		return 0;
	r = ranges_room(&f->reserved);
	if (r < 0)
		return r;
	ahead = ahead_of(f, off, n);
	r = allocate(f->fd, off, n + ahead);
	if (r == -ENOSPC || r == -EDQUOT) {
		cut_ahead(f);
		if (ahead > 0)
			r = allocate(f->fd, off, n);
		ahead = 0;
	}
	if (r == -EOPNOTSUPP || r == -ENOSYS) {
		f->no_reserve = true;
		return 0;
	}
	return r < 0 ? r : ranges_add(&f->reserved, off, off + n + ahead);
}

void staged_give_back(struct staged *f)
{
	if (turn(f, false) < 0)
		return;
	if (f->reserved.n > 0 && f->reserved.r[f->reserved.n - 1].end > f->size)
		cut_ahead(f);
	staged_turn_end(f);
}

/* On the disk, unless it can have this size in memory. */
static int files_for(struct staged *f, uint64_t size)
{
	int r = staged_files(f);

	if (r < 0 || staged_memory_holds(f, size))
		return r;
	r = staged_spill(f);
	return r < 0 ? failed(f, r, "cannot make its staging file") : 0;
}

static int set_aside(struct staged *f, bool keep)
{
	int r = staged_set_aside(f, keep);

	return r < 0 ? failed(f, r, "cannot set aside what was acknowledged")
		     : 0;
}

/* From here on the file is dirty, and [off, end) is being written. */
static void begin_locked(struct staged *f, uint64_t off, uint64_t end)
    TSA(requires_capability(f->lock));

static void begin_locked(struct staged *f, uint64_t off, uint64_t end)
{
	f->change++;
	f->write_off = off;
	f->write_end = end;
	upload_touch_locked(f, off, end);
}

/* The record of a clean file says so: not any more. */
static int unclean(struct staged *f)
{
	bool clean;
	int r;

	lock_take(&f->lock);
	clean = f->record_clean;
	lock_drop(&f->lock);
	r = clean ? staged_record(f) : 0;
	return r < 0 ? failed(f, r, "cannot write its record") : 0;
}

static void touched_locked(struct staged *f) TSA(requires_capability(f->lock));

static void touched_locked(struct staged *f)
{
	f->mtime = clock_wall_ns();
	f->timed = false;
}

static int write_begin(struct staged *f, uint64_t off, uint64_t n)
{
	int r = files_for(f, MAX(f->size, off + n));

	if (r == 0)
		r = set_aside(f, true);
	if (r == 0) {
		r = reserve(f, off, n);
		r = r < 0 ? failed(f, r, "cannot reserve space") : 0;
	}
	if (r == 0) {
		r = sums_begin(f->sums, f->fd, off, n);
		r = r < 0 ? failed(f, r,
				   "staged bytes are not what was "
				   "written")
			  : 0;
	}
	if (r < 0)
		return r;
	lock_take(&f->lock);
	r = sums_room(f->sums, off, n);
	if (r == 0)
		r = ranges_room(&f->held);
	if (r == 0)
		r = ranges_room(&f->dirty);
	if (r == 0)
		begin_locked(f, off, off + n);
	lock_drop(&f->lock);
	return r < 0 ? r : unclean(f);
}

/*
 * [off, end) was written. There was room to note that; but a commit that ended
 * meanwhile may have taken it, since it notes what is zeros now, or what is
 * dirty again. No memory for more: then all is dirty. But held is what the file
 * has, no more: -ENOMEM, and it is not known any more what its bytes are.
 */
static int wrote_locked(struct staged *f, uint64_t off, uint64_t end)
    TSA(requires_capability(f->lock));

static int wrote_locked(struct staged *f, uint64_t off, uint64_t end)
{
	int r = ranges_add(&f->held, off, end);

	f->size = MAX(f->size, end);
	if (ranges_add(&f->dirty, off, end) < 0)
		ranges_set_all(&f->dirty, f->size);
	touched_locked(f);
	upload_wrote_locked(f, off, end);
	staged_out_locked(f, off, end);
	f->next = end;
	return r;
}

static int write_turn(struct staged *f, const void *p, size_t n, uint64_t off)
{
	size_t done;
	int r, noted;

	if (off > f->staging->most || n > f->staging->most - off)
		return -EFBIG;
	r = write_begin(f, off, n);
	if (r < 0)
		return r;
	r = staging_pwrite(f->fd, p, n, off, &done);
	sums_end(f->sums, p, done, off);
	lock_take(&f->lock);
	noted = wrote_locked(f, off, off + done);
	lock_drop(&f->lock);
	if (noted < 0)
		return staged_stick(f, noted, "cannot note what was written");
	/* In the middle of a page: its sum is of no use any more. */
	if (r < 0 && done > 0)
		return staged_stick(f, r, "cannot write its staging file");
	return r < 0 ? failed(f, r, "cannot write its staging file") : 0;
}

static int write_or(struct staged *f, const void *p, size_t n, uint64_t off,
		    bool nowait)
{
	int r = turn(f, nowait);

	if (r < 0)
		return r;
	if (n > 0)
		r = write_turn(f, p, n, off);
	staged_turn_end(f);
	return r;
}

int staged_write(struct staged *f, const void *p, size_t n, uint64_t off)
{
	return write_or(f, p, n, off, false);
}

int staged_write_now(struct staged *f, const void *p, size_t n, uint64_t off)
{
	return write_or(f, p, n, off, true);
}

static int grow(struct staged *f, uint64_t size)
{
	int r = 0;

	if (size > f->staging->most)
		return -EFBIG;
	r = set_aside(f, true);
	if (r < 0)
		return r;
	lock_take(&f->lock);
	begin_locked(f, f->size, size);
	lock_drop(&f->lock);
	r = unclean(f);
	if (r == 0 && ftruncate(f->fd, (off_t)size) < 0)
		r = failed(f, -errno, "cannot truncate its staging file");
	lock_take(&f->lock);
	if (r == 0) {
		f->size = size;
		touched_locked(f);
	}
	lock_drop(&f->lock);
	return r;
}

static int shrink(struct staged *f, uint64_t size)
{
	int r = set_aside(f, size > 0);

	if (r < 0)
		return r;
	r = sums_cut_begin(f->sums, f->fd, size);
	if (r < 0)
		return failed(f, r, "staged bytes are not what was written");
	lock_take(&f->lock);
	begin_locked(f, size / SUM_PAGE * SUM_PAGE, UINT64_MAX);
	lock_drop(&f->lock);
	r = unclean(f);
	if (r < 0)
		return r;
	if (ftruncate(f->fd, (off_t)size) < 0)
		return failed(f, -errno, "cannot truncate its staging file");
	sums_cut(f->sums, size);
	ranges_cut(&f->reserved, size);
	lock_take(&f->lock);
	ranges_cut(&f->held, size);
	ranges_cut(&f->dirty, size);
	ranges_cut(&f->frozen, size);
	f->base_end = MIN(f->base_end, size);
	f->next_end = MIN(f->next_end, size);
	f->size = size;
	touched_locked(f);
	f->next = MIN(f->next, size);
	lock_drop(&f->lock);
	return 0;
}

int staged_truncate(struct staged *f, uint64_t size)
{
	int r = turn(f, false);

	if (r < 0)
		return r;
	if (size != f->size)
		r = size > f->staging->most ? -EFBIG : files_for(f, size);
	if (r == 0 && size > f->size)
		r = grow(f, size);
	else if (r == 0 && size < f->size)
		r = shrink(f, size);
	staged_turn_end(f);
	return r;
}

int staged_allocate(struct staged *f, uint64_t off, uint64_t n)
{
	int r = turn(f, false);

	if (r < 0)
		return r;
	if (n == 0 || off > f->staging->most || n > f->staging->most - off)
		r = n == 0 ? -EINVAL : -EFBIG;
	/* What is reserved is room on the disk. */
	if (r == 0)
		r = files_for(f, UINT64_MAX);
	if (r == 0)
		r = ranges_room(&f->reserved);
	if (r == 0) {
		r = allocate(f->fd, off, n);
		if (r == 0)
			ranges_add(&f->reserved, off, off + n);
		else if (r == -ENOSPC || r == -EDQUOT)
			cut_ahead(f);
		else if (r != -EOPNOTSUPP)
			r = failed(f, r, "cannot reserve space");
	}
	if (r == 0 && off + n > f->size)
		r = grow(f, off + n);
	staged_turn_end(f);
	return r;
}
