/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paths.c - paths for the control interface: to keys, from keys, forgotten
 *
 * These block and notify the kernel, so no FUSE thread calls them: the
 * kernel may hold a directory's lock while it waits for an answer of ours.
 */
#include <errno.h>

#include "base/log.h"
#include "fuse/fs_impl.h"
#include "fuse/walk.h"

/* Cut the next name off a path; n 0 at its end. */
static struct str next_name(const char **path)
{
	struct str name;

	*path += strspn(*path, "/");
	name.p = *path;
	name.n = strcspn(*path, "/");
	*path += name.n;
	return name;
}

/* Put comp (and a slash) behind key. */
static int key_append(char *key, size_t *n, struct str comp, bool slash)
{
	if (*n + comp.n + (slash ? 1 : 0) > UFS_KEY_MAX)
		return -ENAMETOOLONG;
	if (comp.n > 0)
		memcpy(key + *n, comp.p, comp.n);
	*n += comp.n;
	if (slash)
		key[(*n)++] = '/';
	key[*n] = '\0';
	return 0;
}

int fs_resolve(struct fs *fs, const char *path, char *key, size_t *n, bool *dir,
	       struct ufs_stat *st)
{
	char buf[UFS_KEY_MAX + 1] = "";
	enum inode_type type = INODE_DIR;
	struct str name;
	size_t len = 0;
	struct walk w;

	memset(&w, 0, sizeof(w));
	while ((name = next_name(&path)).n > 0) {
		int r;

		if (type != INODE_DIR)
			return -ENOTDIR;
		r = walk_step(
		    &(struct walk_dir){ .meta = fs->meta, .key = { buf, len } },
		    name, &w, NULL);
		if (r == 0)
			r = key_append(buf, &len, (struct str){ w.comp, w.n },
				       w.type == INODE_DIR);
		if (r < 0)
			return r;
		type = w.type;
	}
	memcpy(key, buf, len + 1);
	*n = len;
	*dir = type == INODE_DIR;
	if (*dir)
		memset(st, 0, sizeof(*st));
	else
		*st = w.st;
	return 0;
}

/* Is there a directory of this name too (N5)? */
static bool has_twin(struct fs *fs, struct str dirkey, struct str comp)
{
	struct meta_answer a;
	int r = meta_lookup_fast(fs->meta, dirkey, comp, &a);

	if (r == -EAGAIN)
		r = meta_lookup(fs->meta, dirkey, comp, &a, NULL);
	return r == 0 && a.object && a.dir;
}

char *fs_path_of(struct fs *fs, struct str key, bool is_dir)
{
	/* A byte of a key is at most a name of its own and a slash. */
	size_t room = (key.n + 2) * (NAME_LEN_MAX + 1), n = 0;
	AUTO_FREE char *path = malloc(room);
	char name[NAME_LEN_MAX + 1];
	size_t from = 0;
	char *fit;

	if (path == NULL)
		return NULL;
	while (from < key.n || (!is_dir && from == key.n)) {
		const char *slash = memchr(key.p + from, '/', key.n - from);
		size_t to = slash != NULL ? (size_t)(slash - key.p) : key.n;
		struct str comp = { key.p + from, to - from };
		enum name_kind kind = NAME_PLAIN;
		size_t len;

		if (slash == NULL && comp.n == 0)
			kind = NAME_DATA;
		else if (slash == NULL && !is_dir &&
			 has_twin(fs, (struct str){ key.p, from }, comp))
			kind = NAME_TWIN;
		len = name_from_key(comp, kind, name);
		if (n > 0)
			path[n++] = '/';
		memcpy(path + n, name, len);
		n += len;
		from = to + 1;
	}
	path[n] = '\0';
	fit = realloc(path, n + 1);
	if (fit == NULL)
		return take_ptr(path);
	path = NULL;
	return fit;
}

/* Drop what the kernel has of one name, and of an inode's pages. */
static void drop_name(struct fs *fs, uint64_t parent, struct str comp,
		      enum name_kind kind)
{
	char name[NAME_LEN_MAX + 1];
	size_t n = name_from_key(comp, kind, name);

	fuse_lowlevel_notify_inval_entry(fs->se, parent, name, n);
}

static void drop_inode(struct fs *fs, uint64_t nodeid, enum inode_type type)
{
	if (type == INODE_DIR)
		inodes_dir_drop(fs->inodes, nodeid);
	fuse_lowlevel_notify_inval_inode(fs->se, nodeid, 0, 0);
}

static void drop_below(struct fs *fs, struct str key)
{
	struct inode_place at;
	uint64_t cursor = 0;

	while (inodes_next_below(fs->inodes, key, &cursor, &at)) {
		struct str comp = { at.comp, at.n };

		drop_inode(fs, at.nodeid, at.type);
		if (at.type == INODE_DATA) {
			drop_name(fs, at.parent, comp, NAME_DATA);
			continue;
		}
		drop_name(fs, at.parent, comp, NAME_PLAIN);
		drop_name(fs, at.parent, comp, NAME_TWIN);
	}
}

/*
 * What path names, by its spelling alone: it may be absent in the store, or
 * not known yet. An alias (N6) has to be looked up. *parent: the inode of
 * its directory, 0 when the kernel has none.
 */
static int spell(struct fs *fs, const char *path, char *key, size_t *n,
		 uint64_t *parent, struct str *last)
{
	struct str name = next_name(&path), next;
	uint64_t at = INODE_ROOT;
	struct name_key nk;
	struct walk w;

	*n = 0;
	*parent = 0;
	*last = STR_EMPTY;
	key[0] = '\0';
	for (; name.n > 0; name = next) {
		struct str comp;
		int r = name_to_key(name, &nk);

		next = next_name(&path);
		if (r < 0)
			return r;
		comp = (struct str){ nk.comp, nk.n };
		if (nk.kind == NAME_DATA)
			comp.n = 0;
		if (nk.kind == NAME_LONG) {
			r = walk_step(&(struct walk_dir){ .meta = fs->meta,
							  .key = { key, *n } },
				      name, &w, NULL);
			if (r < 0)
				return r;
			comp = (struct str){ w.comp, w.n };
		}
		*parent = at;
		*last = name;
		if (next.n > 0 && at != 0 &&
		    inodes_find(fs->inodes, at, INODE_DIR, comp, &at) < 0)
			at = 0;
		r = key_append(key, n, comp, next.n > 0);
		if (r < 0)
			return r;
	}
	return 0;
}

int fs_spell(struct fs *fs, const char *path, char *key, size_t *n)
{
	uint64_t parent;
	struct str last;

	return spell(fs, path, key, n, &parent, &last);
}

/* A name and, where that is its own, the one beside a directory. */
static void drop_absent(struct fs *fs, uint64_t parent, struct str name)
{
	struct name_key nk;

	fuse_lowlevel_notify_inval_entry(fs->se, parent, name.p, name.n);
	if (name_to_key(name, &nk) == 0 && nk.kind == NAME_PLAIN)
		drop_name(fs, parent, (struct str){ nk.comp, nk.n }, NAME_TWIN);
}

int fs_invalidate(struct fs *fs, const char *path)
{
	char key[UFS_KEY_MAX + 1];
	uint64_t parent;
	struct str last;
	size_t n;
	int r = spell(fs, path, key, &n, &parent, &last);

	if (r < 0)
		return r;
	meta_invalidate(fs->meta, (struct str){ key, n });
	if (fs->se == NULL)
		return 0;
	drop_below(fs, (struct str){ key, n });
	/* The name itself may be known as absent, with no inode to tell. */
	if (parent != 0 && last.n > 0) {
		drop_absent(fs, parent, last);
		drop_inode(fs, parent, INODE_DIR);
	} else if (n == 0) {
		drop_inode(fs, INODE_ROOT, INODE_DIR);
	}
	return 0;
}
