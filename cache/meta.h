/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta.h - from names to attributes, and how fresh they are
 *
 * A directory is named by its key: "" the root, else "a/b/". A complete
 * listing that is fresh enough answers lookups below it without a request
 * (S5), ENOENT for negative_ttl (S4). Without one a lookup sends a HEAD of
 * the name and a LIST of one entry below `name/`, both at once; after
 * META_LOOKUPS_BEFORE_LIST such lookups in one directory it is listed whole
 * instead. Its answer is remembered (of the last few thousand names), so that
 * the way to a cached file is known also when the store is gone. An expired
 * listing is taken anew, once for all who wait (S6).
 *
 * Freshness follows the mount's consistency: strict: nothing remembered
 * counts, but for meta_recall(); ttl: what is younger than the ttl; immutable:
 * all that this host ever knew, until meta_invalidate().
 *
 * The blocking calls run on the caller's threads; none is to be made by a
 * FUSE thread. The *_fast calls never touch the network.
 */
#ifndef CACHE_META_H
#define CACHE_META_H

#include "base/base.h"
#include "base/cancel.h"
#include "cache/cache.h"
#include "cache/listing.h"

#define META_LOOKUPS_BEFORE_LIST 4

struct meta;

/* Borrows conf->ufs and disk (NULL: none) for its life. */
int meta_new(const struct cache_conf *conf, struct disk *disk,
	     struct meta **out);
void meta_free(struct meta *m); /* NULL is allowed */

struct meta_answer {
	bool object;        /* there is an object of this name */
	bool dir;           /* there is a directory of this name */
	struct ufs_stat st; /* of the object */
	int64_t taken;      /* clock_ns() when the store was asked */
	int64_t until;      /* clock_ns() up to which it may be believed;
			       INT64_MAX: always; in the past: now only */
};

/*
 * What is name in dirkey? Neither object nor dir: -ENOENT, with until set.
 * -EAGAIN from the fast one: ask meta_lookup().
 */
int meta_lookup_fast(struct meta *m, struct str dirkey, struct str name,
		     struct meta_answer *out);
int meta_lookup(struct meta *m, struct str dirkey, struct str name,
		struct meta_answer *out, struct cancel *cancel);

/*
 * The object of that name as this host last knew it, at whatever age, without
 * asking the store; may read the disk. For who knows by the version that age
 * does not matter, or looks at until himself. -EAGAIN: no object is known.
 */
int meta_recall(struct meta *m, struct str dirkey, struct str name,
		struct meta_answer *out);

/*
 * The listing of dirkey, fresh enough for a listing of the directory (S5):
 * one reference in *out. -ENOENT when nothing is below dirkey and it is not
 * the root. Fast: -EAGAIN when the store must be asked.
 */
int meta_list_fast(struct meta *m, struct str dirkey, struct listing **out);
int meta_list(struct meta *m, struct str dirkey, struct listing **out,
	      struct cancel *cancel);

/* The same, which was so at `since` (clock_ns()) or later. */
int meta_list_since(struct meta *m, struct str dirkey, int64_t since,
		    struct listing **out, struct cancel *cancel);

/* Ask the store about one object now (strict opens, O_DIRECT). */
int meta_stat_now(struct meta *m, struct str key, struct ufs_stat *out,
		  struct cancel *cancel);

/* How long what was taken then may be believed (as meta_answer.until). */
int64_t meta_until(const struct meta *m, int64_t taken);

/* The same of what was absent from a listing that is believed. */
int64_t meta_absent_until(const struct meta *m, int64_t taken);

/*
 * The same of a listing of dirkey; 0: that was invalidated meanwhile, or is
 * older than what this mount changed there.
 */
int64_t meta_listing_until(struct meta *m, struct str dirkey,
			   const struct listing *l);

/*
 * Forget everything about a file or a tree (S7): key "a/b" means the object,
 * the directory `a/b/` and all below it; "" everything. The mounts that come
 * after this one do not believe it either.
 */
void meta_invalidate(struct meta *m, struct str key);

/*
 * This mount has just made it so: name in dirkey is now the object st (NULL:
 * no object is there), and is a directory or not. From now on lookups say so,
 * for as long as what was just asked may be believed; listings taken before
 * are not given out for dirkey, though they answer for other names; and no
 * answer that was asked for before is taken for newer. Mounts that share the
 * cache directory believe no listing there that is older. To be called when
 * the store has it, of each directory above that exists by it or ceased to;
 * may write the disk.
 */
void meta_made(struct meta *m, struct str dirkey, struct str name,
	       const struct ufs_stat *st, bool dir);

/*
 * Something is below name in dirkey by what this mount has made, which so is a
 * directory, and in one: this is to be said of all above, whatever is known of
 * those below. Unless that is all that is known of it, it is remembered; where
 * nothing is believed any more, it is asked for anew.
 */
void meta_made_below(struct meta *m, struct str dirkey, struct str name);

/*
 * The same of an object whose version proved to be gone: this mount looks it up
 * again. Of what may lie below that name nothing is kept for mounts to come.
 */
void meta_gone(struct meta *m, struct str key);

#endif
