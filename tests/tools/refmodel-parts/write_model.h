/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_model.h - what the store holds, and what is being written
 *
 * Which of two contents the store has after a commit that failed is for the
 * store to say. So a key's versions are what was seen there, one after the
 * other, and each has to be one that an operation may have made (write_run.c).
 *
 * A mount's file is what it writes of a key, from the first open for writing
 * until the last close: its bytes, and the version that its commit is bound
 * to (its bytes may be of another one, when it was renamed). Of a name that
 * nobody writes, a mount tells a version that it may
 * remember: the present one, or one since it last changed the key itself
 * (floor).
 */
#ifndef REFMODEL_WRITE_MODEL_H
#define REFMODEL_WRITE_MODEL_H

#include "tests/tools/refmodel-parts/write_front.h"

/* Bytes that are shared until somebody changes them. */
struct bytes {
	unsigned refs;
	uint64_t size, room;
	char *p;
};

struct bytes *bytes_new(const void *p, uint64_t size);
struct bytes *bytes_ref(struct bytes *b); /* NULL is allowed, here and below */
void bytes_unref(struct bytes *b);
struct bytes *bytes_copy(const struct bytes *b);
/* It has one user. */
void bytes_write(struct bytes *b, const void *p, uint64_t n, uint64_t off);
void bytes_truncate(struct bytes *b, uint64_t size);
bool bytes_same(const struct bytes *a, const struct bytes *b);

struct seen_version {
	struct looked looked;
	struct bytes *bytes; /* NULL: there is no object */
};

struct key_state {
	struct seen_version *versions;
	size_t n, floor[WRITE_MOUNTS];
};

/* DIRTY_MAYBE: an operation may have committed it, or not. */
enum dirty { CLEAN, DIRTY_MAYBE, DIRTY };

struct wfile {
	unsigned refs; /* slots, and the mount's table while it is written */
	unsigned mount, key, writers;
	struct bytes *bytes;
	enum dirty dirty;
	char base[UFS_VERSION_MAX]; /* "": bound to nothing being there */
	bool upon;                  /* what is not written is of this: */
	unsigned from_key;
	char from[UFS_VERSION_MAX];
	bool based; /* some was, once */
	bool exclusive, removed;
	bool written;  /* and not only made or emptied, since it was clean */
	bool by_name;  /* err is of a truncation by name, and nobody wrote */
	int err;       /* sticky, < 0 */
	int maybe_err; /* it may have this one, < 0 */
};

struct whandle {
	bool open, writes, reads, append, direct;
	unsigned mount, key;
	struct wfile *file; /* owns a ref; NULL: it reads a version */
	struct wfile *also; /* what it reads may be this (a ref) */
	char version[UFS_VERSION_MAX];
	struct bytes *bytes; /* of the version; NULL: not known any more */
};

/* What a mount keeps because the store does not have it. */
struct kept {
	unsigned mount, key;
	struct bytes *bytes;
	struct wfile *file; /* owns a ref; NULL: its mount has died */
	bool sure;          /* it is to be there, and whole */
};

enum { KEPT_MAX = 256 };

struct write_model {
	struct key_state keys[WRITE_KEYS];
	bool dirs[WRITE_DIRS]; /* markers */
	struct wfile *files[WRITE_MOUNTS][WRITE_KEYS];
	struct whandle handles[WRITE_SLOTS];
	int failed[WRITE_MOUNTS][WRITE_KEYS];   /* that opens are told */
	bool unsure[WRITE_MOUNTS][WRITE_KEYS];  /* ... or not */
	int64_t left[WRITE_MOUNTS][WRITE_KEYS]; /* by the last writer */
	/* An old name that a rename could not remove: this version. */
	char lingers[WRITE_MOUNTS][WRITE_KEYS][UFS_VERSION_MAX];
	struct kept kept[KEPT_MAX];
	size_t nkept;
};

void write_model_init(struct write_model *m);
void write_model_fini(struct write_model *m);

struct seen_version *write_now(struct write_model *m, unsigned key);
/* Was it (not) there, as this mount may remember? */
bool write_saw(const struct write_model *m, unsigned mount, unsigned key,
	       bool there);
/* The version of this name, that this mount may remember; or NULL. */
const struct seen_version *write_version(const struct write_model *m,
					 unsigned mount, unsigned key,
					 const char *version);
/* It is there now; bytes are taken over. */
void write_seen(struct write_model *m, unsigned key,
		const struct looked *looked, struct bytes *bytes);
/* From now on this mount remembers nothing older of the key. */
void write_floor(struct write_model *m, unsigned mount, unsigned key);

struct wfile *wfile_new(unsigned mount, unsigned key, struct bytes *bytes);
struct wfile *wfile_ref(struct wfile *f);
void wfile_unref(struct wfile *f);
/* The store has it as this version of its key: its base, in both senses. */
void wfile_set_base(struct wfile *f, const char *version);
/* Can what was not written be read? */
bool wfile_readable(struct write_model *m, const struct wfile *f);
/* Would a commit of it find what it is bound to? */
bool wfile_bound(struct write_model *m, const struct wfile *f);
/* f, or (file NULL) one that had its bytes. */
void write_keep(struct write_model *m, const struct wfile *f,
		struct wfile *file, bool sure);
/* Does a slot have it open still? */
bool write_kept_open(const struct write_model *m, const struct kept *k);
void write_kept_drop(struct kept *k);
void write_handle_drop(struct whandle *h);

#endif
