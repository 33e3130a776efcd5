/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - names that are to be changed, and what they are now
 *
 * For the operations that make, move and remove names. They ask the store, and
 * so run on the pool of those that wait for it. Nobody who opens a file waits
 * for them: what is being written under a name is looked up when the change
 * begins, and once more when the store has made it.
 */
#ifndef FUSE_PLACE_H
#define FUSE_PLACE_H

#include "fuse/walk.h"
#include "fuse/written.h"

/* A request that changes names. */
struct name_rq {
	struct rq rq;
	uint64_t parent, newparent;
	unsigned flags;
	char *name, *newname; /* owned */
	int (*run)(struct name_rq *n);
	struct moving change; /* while it has places */
	bool changing;
};

/* A name and what it means now. */
struct place {
	uint64_t parent;
	const char *name;
	char key[UFS_KEY_MAX + 2]; /* and a slash */
	size_t dir, n;
	bool there;
	struct walk w;   /* if it is */
	uint64_t nodeid; /* that had the name; 0: none that is known */
	/* If it is being written: its running part, with a reference. */
	struct opened *opened;
};

/* For a new request; NULL: it is answered. */
struct name_rq *name_new(fuse_req_t req, uint64_t parent, const char *name);
/* Have what it is run on the pool, and its result be the answer. */
void name_start(struct name_rq *n, int (*run)(struct name_rq *n));

/*
 * What the name of a request is, or what its two are. Absent: 0, and there is
 * false. make: as a new name. No directory above is moved until they are put,
 * which they are in any case.
 */
int place_find(struct name_rq *n, bool make, struct place *p);
int places_find(struct name_rq *n, struct place *from, struct place *to);
void place_put(struct name_rq *n, struct place *p);

/* They are changed no more, or as a directory that is moved. */
void place_let_go(struct name_rq *n);

static inline struct str place_name(const struct place *p)
{
	return (struct str){ p->key + p->dir, p->n - p->dir };
}

/* Has the directory anything in it? 1: it has. Its key has its slash. */
int place_has_entries(struct fs *fs, const struct place *p,
		      struct cancel *cancel);

/*
 * An inode has lost its name. If it is being written, then what is, with a
 * reference: as of now nobody begins to.
 */
struct opened *place_lost(struct fs *fs, uint64_t nodeid);

/* Is an inode being written? As what? */
bool place_written(struct fs *fs, uint64_t nodeid, struct staged_state *s);

/* What could not be committed under this name is nobody's error any more. */
void place_forgive(struct fs *fs, const struct place *p);

#endif
