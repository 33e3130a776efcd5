/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inodes_write.c - records of files that are being written
 *
 * Few at a time, so a plain array says which they are. Each directory knows how
 * many of those that names lead to are below it, however deep: lookups ask that
 * of nearly every name, and mostly of a mount that writes nothing.
 */
#include <errno.h>

#include "fuse/inodes_impl.h"

static bool room_locked(struct inodes *t) TSA(requires_capability(t->lock))
{
	uint32_t n = MAX(t->writing_room * 2, 16u);
	uint32_t *more;

	if (t->nwriting < t->writing_room)
		return true;
	more = realloc(t->writing, n * sizeof(*more));
	if (more == NULL)
		return false;
	t->writing = more;
	t->writing_room = n;
	return true;
}

void inode_written_locked(struct inodes *t, uint32_t dir, int more)
{
	for (;; dir = inode_at(t, dir)->parent) {
		inode_at(t, dir)->written += (uint32_t)more;
		if (dir == INODE_ROOT)
			break;
	}
	atomic_store_explicit(&t->written, inode_at(t, INODE_ROOT)->written,
			      memory_order_relaxed);
}

/* Is nothing being written anywhere? */
static bool none(struct inodes *t)
{
	return atomic_load_explicit(&t->written, memory_order_relaxed) == 0;
}

/* There is room, and its name leads to it. */
static void begin_locked(struct inodes *t, uint32_t i, void *run)
    TSA(requires_capability(t->lock))
{
	struct inode *in = inode_at(t, i);

	in->writing = true;
	in->run = run;
	in->run_refs = 1;
	in->recent = true;
	t->writing[t->nwriting++] = i;
	inode_written_locked(t, in->parent, 1);
}

void inode_end_writing_locked(struct inodes *t, uint32_t i)
{
	struct inode *in = inode_at(t, i);

	if (!in->writing)
		return;
	in->writing = false;
	if (in->hashed)
		inode_written_locked(t, in->parent, -1);
	for (uint32_t w = 0; w < t->nwriting; w++) {
		if (t->writing[w] == i) {
			t->writing[w] = t->writing[--t->nwriting];
			break;
		}
	}
}

static int create_locked(struct inodes *t, uint64_t parent, struct str comp,
			 void *run, uint64_t *nodeid, struct inode_attr *out)
    TSA(requires_capability(t->lock))
{
	const struct ufs_stat none = { 0 };
	uint32_t d, i, old;
	struct inode *dir = inode_find_locked(t, parent, &d);
	int r;

	if (dir == NULL || dir->type != INODE_DIR)
		return -ESTALE;
	if (!room_locked(t))
		return -ENOMEM;
	old = inode_hash_find(t, d, INODE_FILE, comp);
	if (old != 0)
		inode_hash_remove(t, old);
	r = inode_make_locked(t, d, INODE_FILE, comp, &none, &i);
	if (r < 0)
		return r;
	begin_locked(t, i, run);
	inode_at(t, i)->lookups = 1;
	inode_attr_of(inode_at(t, i), i, out);
	*nodeid = out->nodeid;
	return 0;
}

int inodes_create(struct inodes *t, uint64_t parent, struct str comp, void *run,
		  uint64_t *nodeid, struct inode_attr *out)
{
	int r;

	lock_take(&t->lock);
	r = create_locked(t, parent, comp, run, nodeid, out);
	lock_drop(&t->lock);
	return r;
}

static int write_locked(struct inodes *t, uint64_t nodeid, void *fresh,
			void **run) TSA(requires_capability(t->lock))
{
	uint32_t i;
	struct inode *in = inode_find_locked(t, nodeid, &i);

	if (in == NULL || in->type == INODE_DIR)
		return -ESTALE;
	if (in->run != NULL) {
		if (!in->writing)
			return -EBUSY;
		in->run_refs++;
		*run = in->run;
		return 0;
	}
	if (!in->hashed || in->gone)
		return -ESTALE;
	if (!room_locked(t))
		return -ENOMEM;
	begin_locked(t, i, fresh);
	*run = fresh;
	return 0;
}

int inodes_write(struct inodes *t, uint64_t nodeid, void *fresh, void **run)
{
	int r;

	lock_take(&t->lock);
	r = write_locked(t, nodeid, fresh, run);
	lock_drop(&t->lock);
	return r;
}

int inodes_written(struct inodes *t, uint64_t nodeid, const struct ufs_stat *st)
{
	struct inode *in;
	char *text;
	uint32_t i;
	int r = -ESTALE;

	lock_take(&t->lock);
	in = inode_find_locked(t, nodeid, &i);
	if (in != NULL && in->type != INODE_DIR) {
		text = inode_text_new((struct str){ in->text, in->n }, in->type,
				      st);
		r = text == NULL ? -ENOMEM : 0;
	}
	if (r == 0) {
		inode_count_locked(t, in, false);
		free(in->text);
		in->text = text;
		in->size = st->size;
		in->mtime = st->mtime;
		in->st_flags = st->flags;
		inode_count_locked(t, in, true);
	}
	lock_drop(&t->lock);
	return r;
}

bool inodes_writing(struct inodes *t, uint64_t parent, struct str comp,
		    struct inode_attr *out)
{
	uint32_t d, i = 0;

	if (none(t))
		return false;
	lock_take(&t->lock);
	if (inode_find_locked(t, parent, &d) != NULL)
		i = inode_hash_find(t, d, INODE_FILE, comp);
	if (i != 0 && !inode_at(t, i)->writing)
		i = 0;
	if (i != 0) {
		inode_at(t, i)->lookups++;
		inode_attr_of(inode_at(t, i), i, out);
	}
	lock_drop(&t->lock);
	return i != 0;
}

static int move_locked(struct inodes *t, uint64_t nodeid, uint64_t parent,
		       struct str comp) TSA(requires_capability(t->lock))
{
	char key[UFS_KEY_MAX + 1];
	struct ufs_stat st = { 0 };
	uint32_t i, d, old, was;
	struct inode *in = inode_find_locked(t, nodeid, &i);
	struct inode *dir = inode_find_locked(t, parent, &d);
	const char *version;
	char *text;
	size_t n;
	int written, r;

	if (in == NULL || dir == NULL || dir->type != INODE_DIR)
		return -ESTALE;
	r = inode_key_locked(t, d, key, &n);
	if (r < 0)
		return r;
	if (n + comp.n > UFS_KEY_MAX)
		return -ENAMETOOLONG;
	version = in->text + in->n;
	memcpy(st.version, version, strlen(version));
	version += strlen(version) + 1;
	memcpy(st.storage_class, version, strlen(version));
	text = inode_text_new(comp, in->type, &st);
	if (text == NULL)
		return -ENOMEM;
	old = inode_hash_find(t, d, in->type, comp);
	if (old != 0)
		inode_hash_remove(t, old);
	inode_hash_remove(t, i);
	inode_count_locked(t, in, false);
	free(in->text);
	in->text = text;
	in->n = (uint16_t)comp.n;
	was = in->parent;
	/* Of a file hash_remove() has done it. */
	written = in->type == INODE_DIR ? (int)in->written : in->writing;
	if (in->type == INODE_DIR && written > 0)
		inode_written_locked(t, was, -written);
	in->parent = d;
	in->ino = inodes_ino(t, (struct str){ key, n }, in->type, comp);
	dir->children++;
	inode_at(t, was)->children--;
	inode_hash_insert(t, i);
	if (written > 0)
		inode_written_locked(t, d, written);
	inode_count_locked(t, in, true);
	inode_release_locked(t, was);
	return 0;
}

int inodes_move(struct inodes *t, uint64_t nodeid, uint64_t parent,
		struct str comp)
{
	char key[UFS_KEY_MAX + 1];
	bool dir = false;
	uint32_t i;
	size_t n;
	int r;

	lock_take(&t->lock);
	r = move_locked(t, nodeid, parent, comp);
	if (r == 0 && inode_find_locked(t, nodeid, &i) != NULL)
		dir = inode_at(t, i)->type == INODE_DIR &&
		      inode_key_locked(t, i, key, &n) == 0;
	lock_drop(&t->lock);
	if (dir)
		inodes_renumber(t, (struct str){ key, n });
	return r;
}

bool inodes_any_writing(struct inodes *t, uint64_t dir)
{
	const struct inode *in;
	bool any;
	uint32_t d;

	if (none(t))
		return false;
	lock_take(&t->lock);
	in = inode_find_locked(t, dir, &d);
	any = in != NULL && in->type == INODE_DIR && in->written > 0;
	lock_drop(&t->lock);
	return any;
}

bool inodes_any_writing_in(struct inodes *t, uint64_t parent, struct str comp)
{
	uint32_t d, i = 0;
	bool any;

	if (none(t))
		return false;
	lock_take(&t->lock);
	if (inode_find_locked(t, parent, &d) != NULL)
		i = inode_hash_find(t, d, INODE_DIR, comp);
	any = i != 0 && inode_at(t, i)->written > 0;
	lock_drop(&t->lock);
	return any;
}

bool inodes_tell_absent(struct inodes *t, uint64_t parent, struct str comp)
{
	bool written = false;
	uint32_t d, i = 0;

	lock_take(&t->lock);
	if (inode_find_locked(t, parent, &d) != NULL)
		i = inode_hash_find(t, d, INODE_DIR, comp);
	if (i != 0) {
		written = inode_at(t, i)->written > 0;
		inode_at(t, i)->absent |= !written;
	}
	lock_drop(&t->lock);
	return !written;
}

bool inodes_absent_above(struct inodes *t, uint64_t nodeid,
			 struct inode_place *out)
{
	bool found = false;
	uint32_t i;

	lock_take(&t->lock);
	if (inode_find_locked(t, nodeid, &i) != NULL) {
		while (i != INODE_ROOT && !inode_at(t, i)->absent)
			i = inode_at(t, i)->parent;
		found = i != INODE_ROOT;
		if (found && out != NULL) {
			inode_at(t, i)->absent = false;
			inode_place_of(t, i, out);
		}
	}
	lock_drop(&t->lock);
	return found;
}

/* Which entry of dir is i, or is it below? 0: of another directory, or left. */
static uint32_t entry_locked(struct inodes *t, uint32_t i, uint32_t dir)
    TSA(requires_capability(t->lock))
{
	if (!inode_at(t, i)->hashed)
		return 0;
	while (i != INODE_ROOT && inode_at(t, i)->parent != dir)
		i = inode_at(t, i)->parent;
	return i != INODE_ROOT && inode_at(t, i)->hashed ? i : 0;
}

static void add_entry(struct text *out, const struct inode *in)
{
	if (in->n > 0 && memchr(in->text, '\0', in->n) != NULL)
		return;
	text_add(out, in->type == INODE_DIR ? "/" : "-", 1);
	text_add(out, in->text, in->n);
	text_add(out, "", 1);
}

static int by_index(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* dirs has room for all. */
static void add_all_locked(struct inodes *t, uint32_t dir, uint32_t *dirs,
			   struct text *out) TSA(requires_capability(t->lock))
{
	size_t n = 0;

	for (uint32_t w = 0; w < t->nwriting; w++) {
		uint32_t i = entry_locked(t, t->writing[w], dir);

		if (i == t->writing[w])
			add_entry(out, inode_at(t, i));
		else if (i != 0)
			dirs[n++] = i;
	}
	qsort(dirs, n, sizeof(*dirs), by_index);
	for (size_t k = 0; k < n; k++)
		if (k == 0 || dirs[k] != dirs[k - 1])
			add_entry(out, inode_at(t, dirs[k]));
}

void inodes_all_writing(struct inodes *t, uint64_t dir, struct text *out)
{
	const struct inode *in;
	uint32_t *dirs, d;

	if (none(t))
		return;
	lock_take(&t->lock);
	in = inode_find_locked(t, dir, &d);
	if (in != NULL && in->type == INODE_DIR && in->written > 0) {
		dirs = malloc(t->nwriting * sizeof(*dirs));
		out->failed = out->failed || dirs == NULL;
		if (dirs != NULL)
			add_all_locked(t, d, dirs, out);
		free(dirs);
	}
	lock_drop(&t->lock);
}

static bool is_below_locked(struct inodes *t, uint32_t i, uint32_t dir)
    TSA(requires_capability(t->lock))
{
	while (i != dir && i != INODE_ROOT)
		i = inode_at(t, i)->parent;
	return i == dir;
}

/* From the end: who ceases to be one is replaced by the last. */
bool inodes_next_writing_below(struct inodes *t, uint64_t dir, uint32_t *cursor,
			       uint64_t *nodeid)
{
	bool found = false;
	uint32_t d;

	lock_take(&t->lock);
	if (inode_find_locked(t, dir, &d) != NULL) {
		*cursor = MIN(*cursor, t->nwriting);
		while (!found && *cursor > 0) {
			uint32_t i = t->writing[--*cursor];

			found = is_below_locked(t, i, d);
			if (found)
				*nodeid = (uint64_t)inode_at(t, i)->generation
					      << 32 |
					  i;
		}
	}
	lock_drop(&t->lock);
	return found;
}
