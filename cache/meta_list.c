/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_list.c - the flight that lists a directory
 *
 * Pages go to a writer as they come and only what is complete is kept: half
 * a listing says nothing about what is absent (A23). A disk that takes no
 * more makes the listing go on in memory; one that cannot read back what it
 * took costs a second listing, and is no error either (T6).
 */
#include "cache/meta_impl.h"

#include <errno.h>

#include "base/log.h"

#define PAGE 1000

/* A store that hands out the same token again would be listed for ever. */
struct tokens {
	char *kept; /* compared with each that follows */
	uint64_t n, keep_at;
};

struct pages {
	struct flight *flight;
	struct listing_writer *writer;
	bool any;       /* an entry came */
	int writer_err; /* it was not the store's failure */
};

static int entry_cb(void *arg, const struct ufs_entry *e)
{
	struct pages *p = arg;
	struct flight *f = p->flight;
	struct str dir = { f->key, f->dir_n }, name;
	int r;

	if (!str_starts(e->key, dir))
		return -EIO;
	name = (struct str){ e->key.p + dir.n, e->key.n - dir.n };
	p->any = true;
	atomic_fetch_add_explicit(&f->seen, 1, memory_order_relaxed);
	r = listing_writer_add(p->writer, name, e);
	if (r < 0)
		p->writer_err = r;
	return r;
}

/* Keep each token whose number is a power of two: any cycle meets one. */
static int check_token(struct tokens *t, const char *token)
{
	if (token == NULL)
		return 0;
	if (t->kept != NULL && strcmp(t->kept, token) == 0)
		return -EIO;
	if (++t->n < t->keep_at)
		return 0;
	free(t->kept);
	t->kept = strdup(token);
	t->keep_at = 2 * t->n;
	return t->kept == NULL ? -ENOMEM : 0;
}

static int all_pages(struct pages *p)
{
	struct flight *f = p->flight;
	struct ufs *u = f->meta->ufs;
	struct ufs_list q = { .prefix = { f->key, f->dir_n },
			      .after = STR_EMPTY,
			      .max = PAGE };
	struct tokens tokens = { 0 };
	AUTO_FREE char *token = NULL;
	int r;

	do {
		r = -ECANCELED;
		if (cancelled(&f->cancel))
			break;
		r = u->ops->list(u, &q, &token, entry_cb, p, &f->cancel);
		if (r == 0)
			r = check_token(&tokens, token);
		atomic_store(&f->progress, clock_ns());
	} while (r == 0 && token != NULL);
	free(tokens.kept);
	return r;
}

/*
 * A prefix below which there is nothing is no directory; the root is one
 * always. *again: it was the disk that failed.
 */
static int list_into(struct flight *f, struct disk *disk, bool *again)
{
	struct disk_id id = meta_listing_id(f->meta, flight_dir(f));
	struct pages p = { .flight = f };
	int r = listing_writer_new(disk, &id, f->taken, &p.writer);

	*again = false;
	if (r < 0)
		return r;
	atomic_store(&f->seen, 0);
	r = all_pages(&p);
	if (r == 0 && !p.any && f->dir_n > 0)
		r = -ENOENT;
	if (r < 0) {
		listing_writer_drop(p.writer);
		*again = p.writer_err < 0;
	} else {
		r = listing_writer_finish(p.writer, &f->listing);
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
	r = list_into(f, disk, &again);
	if (again && !cancelled(&f->cancel)) {
		log_debug(LOG_META, "meta: listing not kept on the disk: %s",
			  strerror(-r));
		r = list_into(f, NULL, &again);
	}
	return r;
}

/* Remember what was found. False: it was invalidated meanwhile. */
static bool keep(struct flight *f)
{
	struct meta *m = f->meta;
	struct drops drops = { 0 };
	bool doomed;

	lock_take(&m->lock);
	doomed = f->doomed;
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
	return !doomed;
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
