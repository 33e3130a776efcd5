/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.c - one step of a path
 *
 * The component "" is special: as an object it is the directory's own marker
 * (key `a/`), whose data is the file `%~d`; as a directory it is the key
 * `a//...`, named `%~e`. Where both exist neither is a twin of the other.
 */
#include "fuse/walk.h"

#include <errno.h>

#include "fuse/alias.h"

/* What the answer to a lookup of nk's component means for that kind. */
static int judge(const struct name_key *nk, const struct meta_answer *a,
		 struct walk *out)
{
	bool object = a->object, dir = a->dir;

	out->until = a->until;
	memcpy(out->comp, nk->comp, nk->n);
	out->comp[nk->n] = '\0';
	out->n = nk->n;
	out->st = a->st;
	switch (nk->kind) {
	case NAME_DATA:
		out->type = INODE_DATA;
		return object && a->st.size > 0 ? 0 : -ENOENT;
	case NAME_TWIN:
		out->type = INODE_FILE;
		return object && dir ? 0 : -ENOENT;
	default:
		out->type = dir ? INODE_DIR : INODE_FILE;
		if (nk->n == 0)
			object = false;
		return object || dir ? 0 : -ENOENT;
	}
}

/* Would the key be longer than any store has? Then there is none. */
static bool too_long(struct str dirkey, const struct name_key *nk)
{
	return dirkey.n + nk->n > UFS_KEY_MAX;
}

size_t walk_entry(const struct listing_entry *e, enum inode_type *type,
		  struct str *comp, char name[static NAME_LEN_MAX + 1])
{
	enum name_kind kind = NAME_PLAIN;

	*comp = e->name;
	*type = e->dir ? INODE_DIR : INODE_FILE;
	if (e->dir && comp->n > 0 && comp->p[comp->n - 1] == '/')
		comp->n--;
	if (!e->dir && comp->n == 0) {
		*type = INODE_DATA;
		kind = NAME_DATA;
	} else if (!e->dir && e->twin) {
		kind = NAME_TWIN;
	}
	return name_from_key(*comp, kind, name);
}

static bool is_written(const struct walk_dir *d, struct str comp)
{
	return d->inodes != NULL &&
	       inodes_any_writing_in(d->inodes, d->nodeid, comp);
}

static int look(const struct walk_dir *d, struct str comp, bool fast,
		struct meta_answer *out, struct cancel *cancel)
{
	bool written = is_written(d, comp);
	int r = fast ? meta_lookup_fast(d->meta, d->key, comp, out)
		     : meta_lookup(d->meta, d->key, comp, out, cancel);

	if ((r != -ENOENT && r != 0) || (r == 0 && out->dir) ||
	    !(written || is_written(d, comp)))
		return r;
	out->dir = true;
	out->until = 0;
	return 0;
}

static int step(const struct walk_dir *d, struct str name, bool fast,
		struct walk *out, struct cancel *cancel)
{
	struct meta_answer a = { 0 };
	struct name_key nk;
	struct str comp;
	int r;

	out->until = 0;
	r = name_to_key(name, &nk);
	if (r < 0)
		return r;
	if (too_long(d->key, &nk))
		return -ENOENT;
	if (nk.kind == NAME_LONG)
		return fast ? -EAGAIN : alias_find(d, name, &nk, out, cancel);
	comp = (struct str){ nk.comp, nk.kind == NAME_DATA ? 0 : nk.n };
	nk.n = comp.n;
	r = look(d, comp, fast, &a, cancel);
	if (r == -ENOENT)
		out->until = a.until;
	return r < 0 ? r : judge(&nk, &a, out);
}

int walk_step_fast(const struct walk_dir *d, struct str name, struct walk *out)
{
	return step(d, name, true, out, NULL);
}

int walk_step(const struct walk_dir *d, struct str name, struct walk *out,
	      struct cancel *cancel)
{
	return step(d, name, false, out, cancel);
}
