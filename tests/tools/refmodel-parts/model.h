/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - what the store holds and held: which answers are right
 *
 * Each key has its versions in the order in which they came; "absent" is one
 * of them. A version is there from the moment at which it was sent until the
 * next one is: an answer that may be as old as `since` has to be of a version
 * that was there at some moment between then and now. All of it is under the
 * model's mutex, since a store's thread may change a key as well.
 *
 * No two versions have the same number, and the bytes of a version are made
 * of its number: what is shifted, torn or mixed is seen.
 */
#ifndef REFMODEL_MODEL_H
#define REFMODEL_MODEL_H

#include <pthread.h>

#include "base/base.h"

enum { MODEL_KEYS = 14, MODEL_DIRS = 6, CACHED_PAGES = 1024 };

/* Where names are looked up and listed; "" is the root. */
extern const char *const model_dirs[MODEL_DIRS];

struct version {
	unsigned id; /* 0: there is no object */
	uint64_t size;
	int64_t mtime; /* ns, whole seconds */
	int64_t from, until;
	/* Pages that a read was given: they are cached (see run.c). */
	uint64_t cached[CACHED_PAGES / 64];
};

struct key {
	const char *name;
	struct version *versions;
	size_t n;
};

struct model {
	pthread_mutex_t mutex;
	struct key keys[MODEL_KEYS];
	unsigned next_id;
	unsigned filler; /* more objects in w/, which never change */
	/* What was invalidated when, "" all of it. */
	struct forgotten {
		const char *path;
		int64_t at;
	} * forgotten;
	size_t nforgotten;
};

void model_init(struct model *m, unsigned filler);
void model_fini(struct model *m);
void model_lock(struct model *m);
void model_unlock(struct model *m);

/* Bytes of version id, as the store has them. */
void model_bytes(unsigned id, uint64_t off, void *to, size_t len);
/* Does buf hold them? Else *wrong is the first that differs. */
bool model_right(unsigned id, uint64_t off, const void *buf, size_t len,
		 size_t *wrong);

/*
 * Called with the mutex. The change begins (a new version is there from now
 * on) and ends (the one before it is not there any more).
 */
struct version *model_change(struct model *m, unsigned key, bool absent,
			     uint64_t size, int64_t mtime);
void model_changed(struct model *m, unsigned key);

/* Called with the mutex. */
struct version *model_now(struct model *m, unsigned key);
struct version *model_version(struct model *m, unsigned key, unsigned id);
/* Was version id (0: none) there at some moment of [since, till]? */
bool model_saw(const struct model *m, unsigned key, unsigned id, int64_t since,
	       int64_t till);
/* Was (not) anything below dir at some moment of it? dir ends with a slash. */
bool model_saw_dir(const struct model *m, const char *dir, bool there,
		   int64_t since, int64_t till);
void model_forget(struct model *m, const char *path, int64_t at);
/* When what is known of a name was last invalidated. */
int64_t model_forgotten(const struct model *m, const char *name);

/* The part of name behind dir if it is below it, else NULL. */
const char *model_below(const char *name, const char *dir);

#endif
