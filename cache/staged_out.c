/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staged_out.c - what a close will have on the disk goes there as it comes
 *
 * With commit=writeback a close waits for the disk. The kernel begins to write
 * when a tenth of the memory is dirty, so for most of a checkpoint the disk
 * would have nothing to do until the close. Who writes in order has every
 * OUT_STEP begun to be written behind it, on a thread of its own: that sleeps
 * when the disk's queue is full, and the thread that took the write serves
 * reads as well.
 */
#include "cache/staging_impl.h"

#include <fcntl.h>

#define OUT_STEP MIB(8)

static void out_run(struct job *job)
{
	struct staged *f = container_of(job, struct staged, out);
	uint64_t from, to;
	int fd;

	lock_take(&f->lock);
	while (f->out_from < f->out_to) {
		from = f->out_from;
		to = f->out_from = f->out_to;
		fd = f->fd;
		lock_drop(&f->lock);
		/* An error is left for the close's fdatasync(). */
		(void)sync_file_range(fd, (off_t)from, (off_t)(to - from),
				      SYNC_FILE_RANGE_WRITE);
		lock_take(&f->lock);
	}
	f->outs = false;
	lock_drop(&f->lock);
	staged_let_go(f);
}

void staged_out_locked(struct staged *f, uint64_t off, uint64_t end)
{
	uint64_t from = off / OUT_STEP * OUT_STEP;
	uint64_t to = end / OUT_STEP * OUT_STEP;

	if (!f->staging->persists || off != f->next || from >= to)
		return;
	if (!f->outs || from != f->out_to)
		f->out_from = from;
	f->out_to = to;
	if (f->outs)
		return;
	f->outs = true;
	f->out.run = out_run;
	staged_hold(f);
	pool_submit(f->staging->senders, &f->out, POOL_DEMAND);
}
