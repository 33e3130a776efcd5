/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_pages.c - parts of a large directory, asked for anew by one LIST each
 *
 * When the listing of a directory is too old to be believed, and too large to
 * be taken anew for a lookup, the name is looked up in a page: the thousand
 * entries that stood around it in the old listing, by one LIST (S6). The old
 * listing only says where to begin; what is answered is what the LIST said.
 * The pages asked for last are kept, in memory, and answer for the names
 * between the one behind which they begin and their last.
 */
#include "cache/meta_impl.h"

#include <errno.h>

#define PAGE 1000

struct page {
	uint64_t hash; /* of the directory */
	struct str dir, after, upto;
	bool to_end;             /* nothing follows upto */
	struct listing *listing; /* NULL: the slot is free */
};

static void page_drop_locked(struct meta *m, struct page *p,
			     struct listing **drop)
{
	(void)m;
	*drop = p->listing;
	free((char *)p->dir.p);
	free((char *)p->after.p);
	free((char *)p->upto.p);
	memset(p, 0, sizeof(*p));
}

bool pages_outdated_locked(struct meta *m, struct str dirkey, int64_t before)
{
	uint64_t hash = meta_hash(dirkey);
	bool any = false;

	for (size_t i = 0; i < PAGES_MAX && m->pages != NULL; i++) {
		struct page *p = &m->pages[i];
		struct listing *l;

		if (p->listing == NULL || p->hash != hash ||
		    !str_eq(p->dir, dirkey) ||
		    listing_taken(p->listing) >= before)
			continue;
		page_drop_locked(m, p, &l);
		listing_unref(l); /* it is in memory: no I/O */
		any = true;
	}
	return any;
}

void pages_free_locked(struct meta *m)
{
	for (size_t i = 0; i < PAGES_MAX && m->pages != NULL; i++) {
		struct listing *l;

		page_drop_locked(m, &m->pages[i], &l);
		listing_unref(l);
	}
	free(m->pages);
	m->pages = NULL;
}

/* Does the page tell of name, as object and as directory? */
static bool covers(const struct page *p, struct str name)
{
	char dir[UFS_KEY_MAX + 1];

	if (name.n == 0 || name.n > UFS_KEY_MAX || str_cmp(name, p->after) <= 0)
		return false;
	if (p->to_end)
		return true;
	memcpy(dir, name.p, name.n);
	dir[name.n] = '/';
	return str_cmp((struct str){ dir, name.n + 1 }, p->upto) <= 0;
}

struct listing *pages_find_locked(struct meta *m, struct str dirkey,
				  struct str name)
{
	uint64_t hash = meta_hash(dirkey);
	struct listing *l = NULL;

	for (size_t i = 0; i < PAGES_MAX && m->pages != NULL; i++) {
		struct page *p = &m->pages[i];

		if (p->listing == NULL || p->hash != hash ||
		    !str_eq(p->dir, dirkey) || !covers(p, name) ||
		    rules_forbid_locked(m, dirkey, listing_taken(p->listing)))
			continue;
		if (l == NULL || listing_taken(p->listing) > listing_taken(l))
			l = p->listing;
	}
	return l != NULL ? listing_ref(l) : NULL;
}

struct listing *pages_find(struct meta *m, struct str dirkey, struct str name)
{
	struct listing *l;

	lock_take(&m->lock);
	l = pages_find_locked(m, dirkey, name);
	lock_drop(&m->lock);
	return l;
}

static bool set_str(struct str *to, struct str from)
{
	to->p = str_dup(from);
	to->n = from.n;
	return to->p != NULL;
}

/* Keep it in the slot of the one that was asked for first. */
static void page_keep(struct flight *f, struct str upto, bool to_end)
{
	struct meta *m = f->meta;
	struct page p = { .hash = meta_hash(flight_dir(f)), .to_end = to_end };
	struct str after = { f->key + f->dir_n, f->n - f->dir_n };
	struct listing *drop = NULL;
	bool ok = set_str(&p.dir, flight_dir(f));

	ok = set_str(&p.after, after) && ok;
	ok = set_str(&p.upto, upto) && ok;
	lock_take(&m->lock);
	if (m->pages == NULL)
		m->pages = calloc(PAGES_MAX, sizeof(*m->pages));
	if (ok && m->pages != NULL && !f->doomed) {
		struct page *slot = &m->pages[m->page_at];

		m->page_at = (m->page_at + 1) % PAGES_MAX;
		page_drop_locked(m, slot, &drop);
		p.listing = listing_ref(f->listing);
		*slot = p;
		memset(&p, 0, sizeof(p));
	}
	lock_drop(&m->lock);
	free((char *)p.dir.p);
	free((char *)p.after.p);
	free((char *)p.upto.p);
	listing_unref(drop);
}

struct taking {
	struct flight *flight;
	struct listing_writer *writer;
	size_t n;
	char last[UFS_KEY_MAX];
};

static int take_cb(void *arg, const struct ufs_entry *e)
{
	struct taking *t = arg;
	struct str dir = flight_dir(t->flight), name;

	if (!str_starts(e->key, dir) || e->key.n - dir.n > UFS_KEY_MAX)
		return -EIO;
	name = (struct str){ e->key.p + dir.n, e->key.n - dir.n };
	memcpy(t->last, name.p, name.n);
	t->n = name.n;
	return listing_writer_add(t->writer, name, e);
}

void flight_page_run(struct job *job)
{
	struct flight *f = container_of(job, struct flight, list_job);
	struct ufs *u = f->meta->ufs;
	struct disk_id id = meta_listing_id(f->meta, flight_dir(f));
	struct ufs_list q = { .prefix = flight_dir(f),
			      .after =
				  f->n > f->dir_n ? flight_key(f) : STR_EMPTY,
			      .max = PAGE };
	struct taking t = { .flight = f };
	AUTO_FREE char *token = NULL;

	flight_begin(f);
	f->err = cancelled(&f->cancel)
		     ? -ECANCELED
		     : listing_writer_new(NULL, &id, f->taken, &t.writer);
	if (f->err == 0) {
		int64_t asked = clock_ns();

		f->err = u->ops->list(u, &q, &token, take_cb, &t, &f->cancel);
		flight_aged(f, asked);
		listing_writer_date(t.writer, f->taken);
		if (f->err < 0)
			listing_writer_drop(t.writer);
		else
			f->err = listing_writer_finish(t.writer, &f->listing);
	}
	if (f->err == 0)
		page_keep(f, (struct str){ t.last, t.n }, token == NULL);
	flight_job_end(f);
}

/* The number of the entry that name has, or would stand before. */
static int number_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	(void)e;
	*(uint64_t *)arg = number;
	return 1;
}

static int name_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	struct taking *t = arg;

	(void)number;
	if (e->name.n > UFS_KEY_MAX)
		return -EIO;
	memcpy(t->last, e->name.p, e->name.n);
	t->n = e->name.n;
	return 1;
}

int pages_ask(struct meta *m, struct str dirkey, struct str name,
	      struct listing *old, struct cancel *cancel)
{
	struct taking before = { .n = 0 };
	uint64_t number = UINT64_MAX;
	struct flight *f;
	int r = listing_each_prefix(old, name, number_cb, &number);

	if (r < 0 || number == UINT64_MAX)
		return -EAGAIN; /* a name that was not there */
	number -= number % PAGE;
	if (number > 0) {
		r = listing_each(old, number - 1, name_cb, &before);
		if (r != 1)
			return -EAGAIN;
	}
	r = flight_take(m, FLIGHT_PAGE, dirkey,
			(struct str){ before.last, before.n }, true, cancel,
			&f);
	flight_put(m, f);
	return r;
}
