/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename_impl.h - what the sources of a rename share
 *
 *   rename.c         what is to be moved, and the moving
 *   rename_record.c  the record of it
 *   rename_resume.c  records of mounts that died
 *   rename_over.c    what was at the new name, and waits
 *   rename_told.c    who else is to hear of it
 */
#ifndef CACHE_RENAME_IMPL_H
#define CACHE_RENAME_IMPL_H

#include "cache/rename.h"
#include "cache/staging_impl.h"

struct rename_object {
	char *name; /* owned; behind from and to */
	size_t n;
	struct ufs_stat st, made; /* made: once this mount has copied it */
	bool copied, moved;
	bool done;  /* nothing of it is left to the next mount */
	bool there; /* of a record: the new name is known to have its bytes */
};

struct rename {
	struct staging *staging;
	char *from, *to; /* owned */
	size_t from_n, to_n;
	bool tree;
	struct ufs_cond cond; /* its version is the next one */
	char version[UFS_VERSION_MAX];
	struct rename_object *objects; /* owned; sorted by name once it runs */
	size_t n, room;

	/* the record: open, with its flock, while it is there */
	char id[STAGED_ID + 1];
	int fd;
	int64_t recorded; /* when it was first, ns since 1970; 0: not known */
	bool lingers;     /* the record is the next mount's */
};

/* The keys of an object, into key[UFS_KEY_MAX + 1]. */
struct str rename_from(const struct rename *r, const struct rename_object *o,
		       char *key);
struct str rename_to(const struct rename *r, const struct rename_object *o,
		     char *key);

/* Have the store make the new one, bound to cond. */
int rename_copy(struct rename *r, struct rename_object *o,
		const struct ufs_cond *cond);

/*
 * Remove the old one. -ESTALE: it is another version, or gone. With last-wins
 * the store is asked before, as it may take no conditions.
 */
int rename_remove(struct rename *r, const struct rename_object *o,
		  struct str from);

/* Do it to all of them, side by side, until one fails. */
typedef int rename_fn(struct rename *r, struct rename_object *o, void *arg);
int rename_each(struct rename *r, rename_fn *fn, void *arg);

/* rename_record.c */
/* -EXDEV: it would be larger than is read. */
int rename_record_put(struct rename *r);
/* The same in place of it, by what has become of each object since. */
int rename_record_again(struct rename *r);
/* It is done: gone for good when this returns. */
void rename_record_drop(struct rename *r);
/* Names as records of renames have them? */
bool rename_record_is(const char *file);
/* Of the process that wrote it: -EBUSY while that lives. Else it is ours. */
int rename_record_take(struct staging *s, const char *file,
		       struct rename **out);

/* rename_over.c */
struct generation;
struct replaced {
	struct staging *staging;
	struct str to;
	int64_t before;
	struct generation *all; /* owned */
	size_t n, room;
};

/* Does anything wait there? */
bool replaced_find(struct replaced *p);
/* Its files go. */
void replaced_drop(struct replaced *p);
void replaced_fini(struct replaced *p);

/* rename_resume.c */
/*
 * End those, now, to a name whose acknowledged file still waited for its commit
 * when they began: that is what they replaced, and goes.
 */
void renames_resume_over(struct staging *s);
/* Go on with those that are left, behind the caller's back. */
int renames_resume(struct staging *s);

#endif
