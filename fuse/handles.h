/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handles.h - open files and directories, by index and generation
 *
 * The kernel is given index and generation, never a pointer. A handle is
 * counted: the table holds one reference until release, each request that
 * works with it another, so what it holds (object, listing) lives as long as
 * the last of them.
 */
#ifndef FUSE_HANDLES_H
#define FUSE_HANDLES_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/lock.h"
#include "cache/listing.h"
#include "fuse/backing.h"
#include "fuse/comps.h"
#include "ufs/encode.h"

struct fs;
struct lock_place;

struct handle {
	atomic_uint refs;
	uint64_t nodeid;

	/* a file's */
	struct opened *opened; /* owns a ref; NULL: a directory */
	enum open_mode mode;
	bool writes; /* open for writing, or made or emptied by the open */
	/* Owns a ref; NULL: no lock was asked for through it. */
	struct lock_place *_Atomic locks;

	/* a directory's */
	bool dir;  /* has what follows */
	bool kept; /* inodes_dir_close() is to be called */
	/*
	 * Owned, set once: what was being written when it was opened and is not
	 * in the listing, as op_dir.c picked it.
	 */
	struct text written;
	size_t nwritten;
	struct comps twins; /* those that take the name of an object */
	struct lock lock;
	/* under lock */
	struct listing *listing; /* owns a ref; never NULL */
	uint64_t failures_seen;  /* see staging_failed_below() */
};

struct handles;

int handles_new(struct handles **out);

/* Every handle must have been removed. NULL is allowed. */
void handles_free(struct handles *t);

/* Takes over the caller's reference. *fh names it. 0 or -ENOMEM. */
int handles_add(struct handles *t, struct handle *h, uint64_t *fh);

/* The handle with a reference more, or NULL. */
struct handle *handles_get(struct handles *t, uint64_t fh);

/* Take it out; the table's reference is now the caller's. NULL: none. */
struct handle *handles_remove(struct handles *t, uint64_t fh);

/* Any one handle, taken out, or NULL when the table is empty. */
struct handle *handles_remove_any(struct handles *t);

#endif
