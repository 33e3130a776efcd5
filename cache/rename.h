/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename.h - objects get other names, and the journal of it
 *
 * A store moves nothing: an object is copied to its new name, and the old one
 * is removed then, if it still is the version that was copied. What a rename
 * is to do is written down in the staging before the first change, and that
 * record is dropped when all is done. A mount that finds one of a mount that
 * died goes on with it (rename_resume.c). So the new name is never missing, and
 * the old one lingers at worst.
 */
#ifndef CACHE_RENAME_H
#define CACHE_RENAME_H

#include "cache/staging.h"

struct rename;

/*
 * From one key to another, or when both end in '/' of all below. cond: what is
 * at a file's new name; nothing is below that of a directory but its marker.
 */
int rename_new(struct staging *s, struct str from, struct str to,
	       const struct ufs_cond *cond, struct rename **out);

/* An object of it: what stands behind from (of a file: ""), and its version. */
int rename_add(struct rename *r, struct str name, const struct ufs_stat *st);

/*
 * All objects below from, as the store has them now. -EXDEV: they are more than
 * most. -EACCES: one is archived. -ENAMETOOLONG: a new key would be. Blocks.
 */
int rename_list(struct rename *r, size_t most, struct cancel *cancel);
size_t rename_count(const struct rename *r);

struct rename_hook {
	void *arg;
	/*
	 * The version was of name is under its new key as well, as now; its old
	 * one goes next. -ESTALE: there is a newer one, which is to be copied.
	 * Other errors end it all. May be called by several threads.
	 */
	int (*copied)(void *arg, struct str name, const struct ufs_stat *was,
		      const struct ufs_stat *now);
};

/*
 * Write it down and do it, objects side by side. An error ends it: what was
 * moved stays moved. A file whose old name cannot be removed is renamed all the
 * same: that is logged, and left to the next mount. Blocks. -EBUSY: it was
 * written again and again meanwhile. -EXDEV: there is too much to write down,
 * and nothing was changed.
 */
int rename_run(struct rename *r, const struct rename_hook *hook);

/* How many were moved. */
size_t rename_moved(const struct rename *r);

/* If the version was of name has been copied: what it is now. */
bool rename_made(const struct rename *r, struct str name, const char *was,
		 struct ufs_stat *now);

/*
 * It has ended, well or not: whoever else answers for the store hears of all
 * names that it may have changed. A caller who moved a tree by other means has
 * listed nothing, and what is below is his to tell.
 */
void rename_tell(const struct rename *r);

void rename_free(struct rename *r); /* NULL is allowed */

#endif
