/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_ranges.c - all entries of a directory, by several LISTs side by side
 *
 * A LIST gives a thousand keys and says how to go on behind them, so a large
 * directory costs its pages' latencies one after the other. But a LIST may
 * also begin anywhere (start-after), so what is still to come of a directory
 * that proves large is cut into ranges, (after, end] each, in the order of
 * their keys; several are listed at once. The first goes to the writer as
 * its pages come, the others to a spool each, which follow in order when all
 * are there. Only those that are being listed hold a buffer: as many as there
 * are threads.
 *
 * Where to cut is found by asking for single keys. Let cur be the last name
 * listed. That there is a name behind all that share its first i bytes holds
 * from some i on, which a binary search finds; there the names differ, and
 * from one byte to the next that occurs it is one probe each. A range that
 * proves long itself is cut again. Cuts need no key to be there: each key is
 * in one range, whatever the cuts. Only a store that lists in byte order is
 * cut: entries out of order end it, and the directory is listed in one piece.
 * And only one for which beginning somewhere is no more work than going on:
 * MinIO and file servers read the whole directory for it (of 100,000 names
 * MinIO is 0.2 s of a processor busy, ten times its next page), which the first
 * probe shows when it is held against the fastest page: the first pages are
 * as slow as the probe, they too come while the directory is read.
 *
 * The flight's own thread lists ranges too, so it needs no other to finish.
 */
#include "cache/meta_impl.h"

#include <errno.h>

#include "base/log.h"
#include "cache/listing_impl.h"

#define PAGE 1000
#define WIDTH 16       /* ranges listed at once */
#define CUT_AFTER 8    /* pages of a directory, or of a range of it */
#define CUTS_MAX 32    /* of one range at a time */
#define LEVELS_MAX 128 /* bytes of a name that are looked at */
#define DEAR 2         /* times the fastest page that a probe may take */

/* The keys of a range's end were reached. */
#define BEYOND 1

/* A store that hands out the same token again would be listed for ever. */
struct tokens {
	char *kept; /* compared with each that follows */
	uint64_t n, keep_at;
};

/* Keys k of the directory with after < k <= end; relative to it. */
struct range {
	struct job job; /* a helper that takes any range */
	struct ranges *all;
	struct range *next; /* the keys behind it */
	enum { RANGE_WAITS, RANGE_RUNS, RANGE_DONE } state;
	struct str after;
	struct str end; /* p NULL: none */
	struct spool entries;
	unsigned pages, cut_at; /* pages after which it is to be cut */
	size_t last_n;
	char last[UFS_KEY_MAX]; /* the name that came last */
};

struct ranges {
	struct flight *flight;
	struct listing_writer *writer;
	atomic_bool any;
	atomic_int writer_err; /* an error that was not the store's */
	struct lock lock;

	/* under lock */
	struct event changed;
	struct range *first; /* goes to the writer */
	unsigned waiting, running;
	unsigned helpers; /* jobs that are queued or run */
	bool one_piece;   /* not to be cut (again) */
	int64_t fastest;  /* ns that a page took */
	bool disorder;
	int err;
};

static struct meta *meta_of(const struct ranges *all)
{
	return all->flight->meta;
}

static struct str name_of(const struct range *r)
{
	return (struct str){ r->last, r->last_n };
}

static int failed(struct ranges *all, int err)
{
	lock_take(&all->lock);
	if (all->err == 0)
		all->err = err;
	err = all->err;
	lock_drop(&all->lock);
	return err;
}

static int keep(struct range *r, struct str name, const struct ufs_entry *e)
{
	struct ranges *all = r->all;
	uint8_t entry[ENTRY_MAX];
	size_t n;

	if (r == all->first)
		return listing_writer_add(all->writer, name, e);
	n = entry_encode(name, e->dir, false, &e->st, entry);
	return n == 0 ? -EIO : spool_append(&r->entries, entry, n);
}

static int entry_cb(void *arg, const struct ufs_entry *e)
{
	struct range *r = arg;
	struct ranges *all = r->all;
	struct flight *f = all->flight;
	struct str dir = flight_dir(f), name;
	int err;

	if (!str_starts(e->key, dir))
		return -EIO;
	name = (struct str){ e->key.p + dir.n, e->key.n - dir.n };
	if (r->end.p != NULL && str_cmp(name, r->end) > 0)
		return BEYOND;
	if ((r->last_n > 0 && str_cmp(name, name_of(r)) <= 0) ||
	    (r->after.n > 0 && str_cmp(name, r->after) <= 0)) {
		lock_take(&all->lock);
		all->disorder = all->one_piece = true;
		lock_drop(&all->lock);
	}
	if (name.n > UFS_KEY_MAX)
		return -EIO;
	memcpy(r->last, name.p, name.n);
	r->last_n = name.n;
	atomic_store(&all->any, true);
	atomic_fetch_add_explicit(&f->seen, 1, memory_order_relaxed);
	err = keep(r, name, e);
	if (err < 0)
		atomic_store(&all->writer_err, err);
	return err;
}

static void helper_run(struct job *job);

static struct range *range_new(struct ranges *all, struct str after,
			       struct str end)
{
	struct range *r = malloc(sizeof(*r));

	if (r == NULL)
		return NULL;
	memset(r, 0, offsetof(struct range, last));
	r->job.run = helper_run;
	r->all = all;
	r->cut_at = CUT_AFTER;
	spool_init(&r->entries, meta_of(all)->disk);
	r->after.p = str_dup(after);
	r->after.n = after.n;
	if (end.p != NULL) {
		r->end.p = str_dup(end);
		r->end.n = end.n;
	}
	if (r->after.p == NULL || (end.p != NULL && r->end.p == NULL)) {
		free((char *)r->after.p);
		free((char *)r->end.p);
		free(r);
		return NULL;
	}
	return r;
}

static void range_free(struct range *r)
{
	spool_fini(&r->entries);
	free((char *)r->after.p);
	free((char *)r->end.p);
	free(r);
}

/*
 * The first name behind cut, at most end. 0, BEYOND: none, -EAGAIN: asking
 * was too dear to be done again, or -errno.
 */
struct probe {
	struct str dir;
	size_t n;
	char name[UFS_KEY_MAX];
};

static int probe_cb(void *arg, const struct ufs_entry *e)
{
	struct probe *p = arg;

	if (!str_starts(e->key, p->dir) || e->key.n - p->dir.n > UFS_KEY_MAX)
		return -EIO;
	p->n = e->key.n - p->dir.n;
	memcpy(p->name, e->key.p + p->dir.n, p->n);
	return BEYOND;
}

/* A directory's key in front of a name, for a LIST. */
static size_t full_key(const struct ranges *all, struct str name,
		       char key[static 2 * UFS_KEY_MAX])
{
	struct str dir = flight_dir(all->flight);

	if (dir.n > 0)
		memcpy(key, dir.p, dir.n);
	if (name.n > 0)
		memcpy(key + dir.n, name.p, name.n);
	return dir.n + name.n;
}

static bool too_dear(struct ranges *all, int64_t took)
{
	bool dear;

	lock_take(&all->lock);
	dear = took > DEAR * all->fastest;
	all->one_piece |= dear;
	lock_drop(&all->lock);
	return dear;
}

static int probe(struct ranges *all, struct str cut, struct str end,
		 struct probe *out)
{
	struct flight *f = all->flight;
	struct ufs *u = meta_of(all)->ufs;
	char key[2 * UFS_KEY_MAX];
	struct ufs_list q = { .prefix = flight_dir(f),
			      .after = { key, full_key(all, cut, key) },
			      .max = 1 };
	AUTO_FREE char *token = NULL;
	int64_t began = clock_ns();
	struct str name;
	int err;

	if (end.p != NULL && str_cmp(cut, end) >= 0)
		return BEYOND;
	out->dir = flight_dir(f);
	out->n = 0;
	err = u->ops->list(u, &q, &token, probe_cb, out, &f->cancel);
	flight_aged(f, began);
	if (err < 0)
		return err;
	atomic_store(&f->progress, clock_ns());
	if (too_dear(all, clock_ns() - began))
		return -EAGAIN;
	name = (struct str){ out->name, out->n };
	if (err != BEYOND || str_cmp(name, cut) <= 0)
		return BEYOND; /* none, or one that was not asked for */
	return end.p != NULL && str_cmp(name, end) > 0 ? BEYOND : 0;
}

/*
 * The least name of those greater than all that begin with the first i + 1
 * bytes of name, into cut; false when that would not be plain ASCII.
 */
static bool cut_behind(struct str name, size_t i, char *cut, struct str *out)
{
	unsigned char c = (unsigned char)name.p[i];

	if (c < 0x20 || c >= 0x7e)
		return false;
	memcpy(cut, name.p, i);
	cut[i] = (char)(c + 1 == '/' ? '0' : c + 1);
	*out = (struct str){ cut, i + 1 };
	return true;
}

/* Where names behind the range's last one begin to differ from it. */
static int find_level(struct ranges *all, const struct range *r, size_t *level,
		      struct probe *found)
{
	struct str name = name_of(r);
	size_t low = 0, high;
	char cut[LEVELS_MAX];
	bool any = false;

	for (high = 0; high < MIN(name.n, LEVELS_MAX); high++)
		if ((unsigned char)name.p[high] < 0x20 ||
		    (unsigned char)name.p[high] >= 0x7e || name.p[high] == '/')
			break;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct probe p;
		struct str at;
		int err;

		if (!cut_behind(name, middle, cut, &at))
			return BEYOND;
		err = probe(all, at, r->end, &p);
		if (err < 0)
			return err;
		if (err == BEYOND) {
			low = middle + 1;
		} else {
			high = middle;
			*found = p;
			any = true;
		}
	}
	*level = low;
	return any ? 0 : BEYOND;
}

/* A range for others to list, in its place: before the one that was behind. */
static void publish(struct ranges *all, struct range *from,
		    const struct range *behind, struct str after,
		    struct str end)
{
	struct range *r = range_new(all, after, end);
	bool help;

	if (r == NULL) {
		failed(all, -ENOMEM);
		return;
	}
	lock_take(&all->lock);
	while (from->next != behind)
		from = from->next;
	r->next = from->next;
	from->next = r;
	all->waiting++;
	help = all->helpers + 1 < WIDTH;
	if (help)
		all->helpers++;
	event_broadcast(&all->changed);
	lock_drop(&all->lock);
	if (help)
		pool_submit(meta_of(all)->pool, &r->job, POOL_BACKGROUND);
}

/*
 * Cut what is still to come of r, which this thread lists. An error of a
 * probe is none of the listing.
 */
static void cut(struct ranges *all, struct range *r)
{
	const struct range *behind = r->next; /* no one else changes it */
	struct str end = r->end, at, next;
	char buf[2][LEVELS_MAX];
	struct probe p;
	size_t level;

	if (find_level(all, r, &level, &p) != 0 ||
	    !cut_behind(name_of(r), level, buf[0], &at))
		return;
	r->end = (struct str){ str_dup(at), at.n };
	if (r->end.p == NULL) {
		r->end = end;
		return;
	}
	for (int cuts = 1; cuts < CUTS_MAX; cuts++) {
		if (p.n <= level ||
		    !cut_behind((struct str){ p.name, p.n }, level,
				buf[cuts % 2], &next) ||
		    probe(all, next, end, &p) != 0)
			break;
		publish(all, r, behind, at, next);
		at = next;
	}
	publish(all, r, behind, at, end);
	free((char *)end.p);
}

/* Has it proved long, and are there threads for its parts? */
static bool worth_cutting(struct ranges *all, struct range *r)
{
	bool yes;

	if (r->pages < r->cut_at || r->last_n == 0 ||
	    !meta_of(all)->ufs->ops->list_side_by_side)
		return false;
	lock_take(&all->lock);
	yes = !all->one_piece && all->err == 0 && all->waiting == 0 &&
	      all->running < WIDTH;
	lock_drop(&all->lock);
	if (yes)
		r->cut_at = r->pages * 3;
	return yes;
}

/* Keep each token whose number is a power of two: any cycle meets one. */
static int tokens_check(struct tokens *t, const char *token)
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

static int list_range(struct ranges *all, struct range *r)
{
	struct flight *f = all->flight;
	struct ufs *u = meta_of(all)->ufs;
	char key[2 * UFS_KEY_MAX];
	struct ufs_list q = { .prefix = flight_dir(f),
			      .after = STR_EMPTY,
			      .max = PAGE };
	struct tokens tokens = { 0 };
	AUTO_FREE char *token = NULL;
	int err;

	if (r->after.n > 0)
		q.after = (struct str){ key, full_key(all, r->after, key) };
	do {
		int64_t began = clock_ns();

		lock_take(&all->lock);
		err = all->err;
		lock_drop(&all->lock);
		if (err == 0 && cancelled(&f->cancel))
			err = -ECANCELED;
		if (err < 0)
			break;
		err = u->ops->list(u, &q, &token, entry_cb, r, &f->cancel);
		flight_aged(f, began);
		if (err == 0)
			err = tokens_check(&tokens, token);
		atomic_store(&f->progress, clock_ns());
		r->pages++;
		lock_take(&all->lock);
		all->fastest = MIN(all->fastest, clock_ns() - began);
		lock_drop(&all->lock);
		if (err == 0 && token != NULL && worth_cutting(all, r))
			cut(all, r);
	} while (err == 0 && token != NULL);
	free(tokens.kept);
	return err == BEYOND ? 0 : err;
}

/* List ranges that wait, until there are none. */
static void help(struct ranges *all)
{
	struct range *r;

	lock_take(&all->lock);
	while (all->waiting > 0) {
		int err;

		for (r = all->first; r->state != RANGE_WAITS; r = r->next)
			;
		r->state = RANGE_RUNS;
		all->waiting--;
		all->running++;
		lock_drop(&all->lock);
		err = list_range(all, r);
		if (err == 0) {
			err = spool_rest(&r->entries);
			if (err < 0)
				atomic_store(&all->writer_err, err);
		}
		if (err < 0)
			failed(all, err);
		lock_take(&all->lock);
		r->state = RANGE_DONE;
		all->running--;
		event_broadcast(&all->changed);
	}
	lock_drop(&all->lock);
}

static void helper_run(struct job *job)
{
	struct range *r = container_of(job, struct range, job);
	struct ranges *all = r->all;

	help(all);
	lock_take(&all->lock);
	all->helpers--;
	event_broadcast(&all->changed);
	lock_drop(&all->lock);
}

/*
 * List them all. Helpers that have not begun are not waited for: there may be
 * no thread for them as long as flights like this one wait.
 */
static void list_all(struct ranges *all)
{
	bool more = true;

	while (more) {
		help(all);
		lock_take(&all->lock);
		for (struct range *r = all->first;
		     r != NULL && all->waiting == 0; r = r->next)
			if (pool_withdraw(meta_of(all)->pool, &r->job))
				all->helpers--;
		more = all->helpers > 0 || all->running > 0;
		if (more && all->waiting == 0)
			event_wait(&all->changed, &all->lock);
		more = more || all->waiting > 0;
		lock_drop(&all->lock);
	}
}

/* A range's spool, entry by entry, behind what the writer has. */
static int append_range(struct ranges *all, struct range *r)
{
	AUTO_FREE uint8_t *window = malloc(KIB(64));
	uint64_t off = 0, size = spool_size(&r->entries);
	size_t n = 0, pos = 0;

	if (window == NULL)
		return -ENOMEM;
	while (off < size || pos < n) {
		struct listing_entry e;
		struct ufs_entry add;
		size_t used;
		int err;

		if (n - pos < ENTRY_MAX && off < size) {
			size_t more =
			    (size_t)MIN(KIB(64) - (n - pos), size - off);

			memmove(window, window + pos, n - pos);
			err = spool_read(&r->entries, off, window + n - pos,
					 more);
			if (err < 0)
				return err;
			off += more;
			n = n - pos + more;
			pos = 0;
		}
		used = entry_decode(window + pos, n - pos, &e);
		if (used == 0)
			return -EIO;
		add = (struct ufs_entry){ .dir = e.dir, .st = e.st };
		err = listing_writer_add(all->writer, e.name, &add);
		if (err < 0)
			return err;
		pos += used;
	}
	return 0;
}

int ranges_list(struct flight *f, struct listing_writer *w, bool one_piece,
		bool *any, int *writer_err)
{
	struct ranges all = { .flight = f,
			      .writer = w,
			      .one_piece = one_piece,
			      .fastest = INT64_MAX / DEAR };
	struct range *next;
	int r = 0;

	all.first = range_new(&all, STR_EMPTY, (struct str){ NULL, 0 });
	if (all.first == NULL)
		return -ENOMEM;
	lock_init(&all.lock, RANK_META);
	event_init(&all.changed);
	all.waiting = 1;
	list_all(&all);
	r = all.err;
	if (r == 0 && all.disorder && all.first->next != NULL)
		r = -EAGAIN;
	for (struct range *i = all.first->next; i != NULL && r == 0;
	     i = i->next) {
		r = append_range(&all, i);
		if (r < 0)
			atomic_store(&all.writer_err, r);
	}
	*any = atomic_load(&all.any);
	*writer_err = atomic_load(&all.writer_err);
	for (struct range *i = all.first; i != NULL; i = next) {
		next = i->next;
		range_free(i);
	}
	event_fini(&all.changed);
	lock_fini(&all.lock);
	return r;
}
