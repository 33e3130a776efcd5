/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staged_ack.c - what a close acknowledged before the store had it (S14)
 *
 * To acknowledge a file is to have on the disk its bytes, the checksums of its
 * pages and a record that says so, in this order. From then on it is what the
 * store is to have, whatever becomes of the process, until it has it or a
 * later state of the file was acknowledged. So nothing may change it in place:
 * who writes next gets a generation of its own, a new ID.data with a copy of
 * the bytes (a clone where the file system can), and the old one is set
 * aside. A file that is emptied, as most are that are written anew, copies
 * nothing.
 *
 * What was set aside goes when the next generation is acknowledged, unless the
 * store may have got it: then it is kept until the record of what came after
 * it is bound to what the store made of it. A mount that finds several of one
 * file (restore.c) commits the newest that was acknowledged, and knows by the
 * others what it finds in the store.
 *
 *   write, close     generation 0 acknowledged
 *   upload begins    0 tried
 *   open, write      0 aside, 1 is being written
 *   a crash here     0 is committed, 1 is for `tarn recover`
 *   close            1 acknowledged; 0 stays, as it was tried
 *   a crash here     1 is committed, also upon 0
 *   upload ends      1 is recorded as upon 0, which goes; 1 is committed
 */
#include "cache/staging_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#include "cache/staging_io.h"

/* ---- acknowledge ---- */

static int save_sums(struct staged *f, uint64_t *hash)
{
	char name[STAGED_ID + 8];
	AUTO_CLOSE int fd = -1;
	int r;

	snprintf(name, sizeof(name), "%s.sums", f->id);
	fd =
	    openat(f->staging->dir, name,
		   O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = sums_save(f->sums, fd, f->size, hash);
	return r == 0 && fsync(fd) < 0 ? -errno : r;
}

/* With the turn: nothing changes meanwhile. */
static int persist(struct staged *f)
{
	int r = staged_files(f);
	uint64_t committed, hash;

	if (r == 0)
		r = staged_spill(f);
	if (r < 0)
		return r;
	/* C2: what this says is final. */
	if (fdatasync(f->fd) < 0)
		return staged_stick(f, -errno, "cannot sync its staging file");
	r = save_sums(f, &hash);
	if (r < 0)
		return r;
	lock_take(&f->lock);
	f->acked = true;
	f->acked_change = f->change;
	f->acked_sums = hash;
	committed = f->committed;
	lock_drop(&f->lock);
	r = staged_record_sync(f);
	if (r < 0) {
		lock_take(&f->lock);
		f->acked = false;
		lock_drop(&f->lock);
		return r;
	}
	staged_drop_asides(f, committed);
	return 0;
}

int staged_persist(struct staged *f)
{
	bool needed = false;
	int r;

	lock_take(&f->lock);
	r = f->removed ? 0 : staged_turn_locked(f);
	if (r == 0 && !f->removed) {
		needed = staged_dirty_locked(f) && !f->acked;
		lock_drop(&f->lock);
		if (needed)
			r = persist(f);
		staged_turn_end(f);
		return r;
	}
	lock_drop(&f->lock);
	return r;
}

/* ---- set aside ---- */

/* A commit that ends may add to it, whoever has the turn. */
static int copy_held(struct staged *f, struct ranges *out)
{
	int r;

	lock_take(&f->lock);
	r = ranges_merge(out, &f->held);
	lock_drop(&f->lock);
	return r;
}

/* The bytes that it has; nobody changes them. */
int staged_copy_bytes(struct staged *f, int to)
{
	AUTO_FREE char *buf = NULL;
	struct ranges held = { 0 };
	int r;

	if (ftruncate(to, (off_t)f->size) < 0)
		return -errno;
	if (ioctl(to, FICLONE, f->fd) == 0)
		return 0;
	buf = malloc(STAGING_PIECE);
	r = buf == NULL ? -ENOMEM : copy_held(f, &held);
	for (size_t i = 0; r == 0 && i < held.n; i++)
		r = staging_copy_range(f->fd, to, held.r[i].off,
				       MIN(held.r[i].end, f->size), buf);
	ranges_fini(&held);
	return r;
}

static int new_data(struct staged *f, bool keep, char id[static STAGED_ID + 1],
		    int *out)
{
	char name[STAGED_ID + 8];
	AUTO_CLOSE int fd = -1;
	int r = staged_make_id(id);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%s.data", id);
	r = staged_data_new(f->staging, name, &fd);
	if (r < 0)
		return r;
	if (keep)
		r = staged_copy_bytes(f, fd);
	if (r < 0)
		unlinkat(f->staging->dir, name, 0);
	else
		*out = take_fd(&fd);
	return r;
}

static void aside_free(struct aside *a)
{
	close(a->fd);
	ranges_fini(&a->held);
	free(a);
}

static struct aside *aside_new(struct staged *f)
{
	struct aside *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
	if (a->fd < 0 || copy_held(f, &a->held) < 0) {
		if (a->fd >= 0)
			close(a->fd);
		ranges_fini(&a->held);
		free(a);
		return NULL;
	}
	return a;
}

/*
 * Readers have the number of the descriptor, not a reference: so it stays, and
 * is another file from one moment to the next. What is being sent is told
 * before. Of a file that is empty now nothing is read or sent until who has the
 * turn has made it so.
 */
static void swap_locked(struct staged *f, struct aside *a, bool keep, int fresh,
			const char *id) TSA(requires_capability(f->lock));

static void swap_locked(struct staged *f, struct aside *a, bool keep, int fresh,
			const char *id)
{
	memcpy(a->id, f->id, sizeof(a->id));
	a->change = f->acked_change;
	a->tried = f->uncertain || f->tried > f->committed;
	a->size = f->size;
	a->base_end = f->base_end;
	a->next = f->asides;
	f->asides = a;
	if (!keep) {
		f->emptied = true;
		f->change++;
		upload_touch_locked(f, 0, UINT64_MAX);
	}
	must(dup3(fresh, f->fd, O_CLOEXEC) < 0 ? errno : 0);
	memcpy(f->id, id, sizeof(f->id));
	f->generation++;
	f->acked = false;
}

/* The record could not be written: all is as it was, and acknowledged. */
static void swap_back_locked(struct staged *f)
    TSA(requires_capability(f->lock));

static void swap_back_locked(struct staged *f)
{
	struct aside *a = f->asides;

	must(dup3(a->fd, f->fd, O_CLOEXEC) < 0 ? errno : 0);
	memcpy(f->id, a->id, sizeof(f->id));
	f->generation--;
	f->change++; /* who has read the empty one looks again */
	f->acked = true;
	f->acked_change = f->change;
	f->emptied = false;
	f->asides = a->next;
}

int staged_set_aside(struct staged *f, bool keep)
{
	AUTO_CLOSE int fresh = -1;
	char id[STAGED_ID + 1];
	struct aside *a;
	bool acked;
	int r;

	lock_take(&f->lock);
	acked = f->acked;
	lock_drop(&f->lock);
	if (!acked)
		return 0;
	a = aside_new(f);
	if (a == NULL)
		return -ENOMEM;
	r = new_data(f, keep, id, &fresh);
	if (r < 0) {
		close(a->fd);
		ranges_fini(&a->held);
		free(a);
		return r;
	}
	lock_take(&f->lock);
	staged_recording_begin_locked(f);
	swap_locked(f, a, keep, fresh, id);
	staged_recording_end_locked(f);
	lock_drop(&f->lock);
	ranges_fini(&f->reserved);
	r = staged_record(f);
	if (r == 0)
		return 0;
	lock_take(&f->lock);
	staged_recording_begin_locked(f);
	swap_back_locked(f);
	staged_recording_end_locked(f);
	lock_drop(&f->lock);
	staged_remove_files(f->staging, id);
	aside_free(a);
	return r;
}

/* Those that are of no use any more, out of the list. */
static struct aside *useless_locked(struct staged *f, uint64_t upto)
    TSA(requires_capability(f->lock));

static struct aside *useless_locked(struct staged *f, uint64_t upto)
{
	struct aside *gone = NULL, *a;

	/* Is the newest what the next mount would commit? */
	if (!f->acked && f->asides != NULL && f->asides->change > upto)
		return NULL;
	for (struct aside **at = &f->asides; (a = *at) != NULL;) {
		if (a->tried && a->change > upto) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		a->next = gone;
		gone = a;
	}
	return gone;
}

void staged_drop_asides(struct staged *f, uint64_t upto)
{
	struct aside *gone, *a;

	lock_take(&f->lock);
	gone = useless_locked(f, upto);
	lock_drop(&f->lock);
	/* A power cut is not to bring them back. */
	for (a = gone; a != NULL; a = a->next)
		staged_remove_files(f->staging, a->id);
	if (gone != NULL)
		(void)fsync(f->staging->dir);
	while ((a = gone) != NULL) {
		gone = a->next;
		aside_free(a);
	}
}

void staged_asides_free(struct staged *f)
{
	struct aside *a;

	while ((a = f->asides) != NULL) {
		f->asides = a->next;
		aside_free(a);
	}
}
