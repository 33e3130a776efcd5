/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_list.c - the flight that lists a directory
 *
 * Entries go to a writer (meta_ranges.c) and only what is complete is kept:
 * half a listing says nothing about what is absent (A23). A disk that takes no
 * more makes the listing go on in memory; one that cannot read back what it
 * took costs a second listing, and is no error either (T6).
 */
#include "cache/meta_impl.h"

#include <errno.h>

#include "base/log.h"

/*
 * A prefix below which there is nothing is no directory; the root is one
 * always. *again: it was the disk that failed.
 */
static int list_into(struct flight *f, struct disk *disk, bool one_piece,
		     bool *again)
{
	struct disk_id id = meta_listing_id(f->meta, flight_dir(f));
	struct listing_writer *writer;
	int r = listing_writer_new(disk, &id, f->taken, &writer);
	int writer_err = 0;
	bool any = false;

	*again = false;
	if (r < 0)
		return r;
	atomic_store(&f->seen, 0);
	r = ranges_list(f, writer, one_piece, &any, &writer_err);
	if (r == 0 && !any && f->dir_n > 0)
		r = -ENOENT;
	if (r < 0) {
		listing_writer_drop(writer);
		*again = writer_err < 0;
	} else {
		listing_writer_date(writer, f->taken);
		r = listing_writer_finish(writer, &f->listing);
		*again = r < 0;
	}
	*again = *again && disk != NULL && r != -ENOMEM;
	return r;
}

static int list(struct flight *f)
{
	struct disk *disk = f->meta->disk;
	bool again;
	int r;

	if (disk != NULL && disk_state(disk) == DISK_OFF)
		disk = NULL;
	r = list_into(f, disk, false, &again);
	if (r == -EAGAIN)
		r = list_into(f, disk, true, &again);
	if (again && !cancelled(&f->cancel)) {
		log_debug(LOG_META, "meta: listing not kept on the disk: %s",
			  strerror(-r));
		r = list_into(f, NULL, true, &again);
	}
	return r;
}

/*
 * Remember what was found. False: it was invalidated meanwhile, or this mount
 * changed something there: then it tells of the other names, but other mounts
 * do not know which these are.
 */
static bool keep(struct flight *f)
{
	struct meta *m = f->meta;
	struct drops drops = { 0 };
	bool doomed, changed;

	lock_take(&m->lock);
	doomed = f->doomed;
	changed = f->taken < made_at_locked(m, flight_dir(f));
	if (!doomed && m->consistency != CONSISTENCY_STRICT) {
		struct dir *d = dir_get_locked(m, flight_dir(f), &drops);

		if (d != NULL) {
			d->asks = 0;
			d->big = f->err == 0 &&
				 listing_entries(f->listing) > LOOKUP_LIST_MAX;
			d->denied = INT64_MIN;
			dir_set_locked(
			    d, f->err == 0 ? listing_ref(f->listing) : NULL,
			    &drops);
		}
	}
	lock_drop(&m->lock);
	drops_end(&drops);
	return !doomed && !changed;
}

void flight_list_run(struct job *job)
{
	struct flight *f = container_of(job, struct flight, list_job);
	struct disk_id id = meta_listing_id(f->meta, flight_dir(f));

	flight_begin(f);
	f->err = cancelled(&f->cancel) ? -ECANCELED : list(f);
	if (f->err == -EMFILE)
		f->err = -ENFILE;
	if ((f->err == 0 || f->err == -ENOENT) &&
	    (!keep(f) || f->err == -ENOENT))
		listing_remove(f->meta->disk, &id);
	flight_job_end(f);
}
