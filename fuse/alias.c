/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alias.c - what has a name that stands for a longer one (N6)
 *
 * Entries have here the names that op_dir.c lists them by: a directory that is
 * there by what is being written below it takes the name of an object.
 */
#include "fuse/alias.h"

#include <errno.h>

#include "fuse/being_written.h"

struct match {
	const struct walk_dir *d;
	struct str name;
	/* What was being written when the listing was asked for. */
	struct being_written writing;
	struct walk *out;
	int r;
};

static bool fits(const struct match *m, struct str comp, enum name_kind kind)
{
	char name[NAME_LEN_MAX + 1];
	size_t n = name_from_key(comp, kind, name);

	return comp.n <= UFS_KEY_MAX &&
	       str_eq((struct str){ name, n }, m->name);
}

static void found(struct match *m, enum inode_type type, struct str comp)
{
	m->out->type = type;
	memcpy(m->out->comp, comp.p, comp.n);
	m->out->comp[comp.n] = '\0';
	m->out->n = comp.n;
	m->r = 0;
}

static int match_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	struct match *m = arg;
	char name[NAME_LEN_MAX + 1];
	enum inode_type type;
	struct str comp;
	bool renamed, fit;
	size_t n = walk_entry(e, &type, &comp, name);

	(void)number;
	renamed = type == INODE_FILE && !e->twin &&
		  comps_have(&m->writing.dirs, comp);
	fit = renamed ? fits(m, comp, NAME_TWIN)
		      : str_eq((struct str){ name, n }, m->name);
	if (!fit || comp.n > UFS_KEY_MAX)
		return 0;
	found(m, type, comp);
	m->out->st = e->st;
	if (renamed)
		m->out->until = 0;
	return 1;
}

/* ---- what is being written ---- */

/* As its record has it, whatever the store has. */
static void found_file(struct match *m, struct str comp)
{
	struct inode_attr a;
	uint64_t nodeid;

	if (inodes_find(m->d->inodes, m->d->nodeid, INODE_FILE, comp,
			&nodeid) == 0 &&
	    inodes_get(m->d->inodes, nodeid, &a, &m->out->st) == 0)
		found(m, INODE_FILE, comp);
}

/* l: NULL where the store has nothing of the directory. */
static int match_file(struct match *m, struct str comp, struct listing *l)
{
	bool object, dir = false;
	struct ufs_stat st;
	int r = 0;

	if (!fits(m, comp, NAME_PLAIN) && !fits(m, comp, NAME_TWIN))
		return 0;
	if (l != NULL)
		r = listing_find(l, comp, &object, &dir, &st);
	dir = dir || comps_have(&m->writing.dirs, comp);
	if (r == 0 && fits(m, comp, dir ? NAME_TWIN : NAME_PLAIN))
		found_file(m, comp);
	return r;
}

/* What the listing does not have. It is so for this time. */
static int match_written(struct match *m, struct listing *l)
{
	struct str entry;
	int r = 0;

	if (m->writing.entries.n > 0)
		m->out->until = 0;
	for (size_t at = 0; at < m->writing.entries.n && r == 0 && m->r != 0;
	     at += entry.n + 1) {
		entry = str_of(m->writing.entries.p + at);
		if (entry.p[0] != ENTRY_DIR)
			r = match_file(m, entry_comp(entry), l);
		else if (fits(m, entry_comp(entry), NAME_PLAIN))
			found(m, INODE_DIR, entry_comp(entry));
	}
	return r;
}

/* ---- both ---- */

static int match_all(struct match *m, struct str prefix, struct listing *l)
{
	int r;

	m->out->until = meta_until(m->d->meta, listing_taken(l));
	r = listing_each_prefix(l, prefix, match_cb, m);
	if (r < 0 || m->r == 0)
		return r;
	m->out->until = meta_absent_until(m->d->meta, listing_taken(l));
	return match_written(m, l);
}

static int match_any(struct match *m, struct str prefix, struct cancel *cancel)
{
	bool bad = true;
	int r =
	    m->d->inodes == NULL
		? 0
		: being_written_ask(m->d->inodes, m->d->nodeid, &m->writing);

	for (int tries = 0; tries < LISTING_TRIES && bad && r >= 0; tries++) {
		struct listing *l;

		r = meta_list(m->d->meta, m->d->key, &l, cancel);
		if (r == -ENOENT)
			return match_written(m, NULL);
		if (r < 0)
			break;
		r = match_all(m, prefix, l);
		bad = r < 0 && listing_is_bad(l);
		listing_unref(l);
		if (bad && tries < LISTING_TRIES - 1)
			r = 0;
	}
	return r;
}

int alias_find(const struct walk_dir *d, struct str name,
	       const struct name_key *nk, struct walk *out,
	       struct cancel *cancel)
{
	struct match m = { .d = d, .name = name, .out = out, .r = -ENOENT };
	int r = match_any(&m, (struct str){ nk->comp, nk->n }, cancel);

	being_written_fini(&m.writing);
	return r < 0 ? r : m.r;
}
