/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_front.h - where operations that write go: two mounts of one store
 *
 * Two stagings and their caches in this process, or two real mounts. A front
 * carries out what write_run.c asks and says what it saw; it judges nothing.
 * Errors are -errno. A file is a key, its directories are made of it.
 */
#ifndef REFMODEL_WRITE_FRONT_H
#define REFMODEL_WRITE_FRONT_H

#include "tests/tools/refmodel-parts/write_ops.h"
#include "ufs/ufs.h"

enum { WRITE_MOUNTS = 2, WRITE_SLOTS = 8, WRITE_KEYS = 5, WRITE_DIRS = 2 };

extern const char *const write_keys[WRITE_KEYS];
extern const char *const write_dirs[WRITE_DIRS]; /* "d" */

/* A key in the store. */
struct looked {
	bool there;
	char version[UFS_VERSION_MAX];
	uint64_t size;
};

typedef void write_name_cb(void *arg, const char *name, bool dir);

struct write_front {
	const struct write_front_ops *ops;
	const struct write_config *config;
	bool sure; /* what a name means is known at once, when it is closed */
	/* Up to this size what was just written need not outlive a kill. */
	uint64_t forgets;
};

struct write_front_ops {
	void (*free)(struct write_front *f);
	int (*start)(struct write_front *f);
	/* Ends it. What is left that should not be, in words: why. */
	void (*stop)(struct write_front *f, char why[static 256]);

	/* flags as open(2). *st: size and, of what is only read, version. */
	int (*open)(struct write_front *f, unsigned mount, unsigned slot,
		    unsigned key, int flags, struct ufs_stat *st);
	int (*close)(struct write_front *f, unsigned slot);
	/* how is chosen by chance: the front's ways. All of it, or -errno. */
	ssize_t (*read)(struct write_front *f, unsigned slot, void *p, size_t n,
			uint64_t off, unsigned how);
	/* off is where the end is when the slot appends. */
	ssize_t (*write)(struct write_front *f, unsigned slot, const void *p,
			 size_t n, uint64_t off, unsigned how);
	int (*truncate_slot)(struct write_front *f, unsigned slot,
			     uint64_t size);
	int (*truncate)(struct write_front *f, unsigned mount, unsigned key,
			uint64_t size);
	int (*allocate)(struct write_front *f, unsigned slot, uint64_t off,
			uint64_t n);
	int64_t (*seek)(struct write_front *f, unsigned slot, uint64_t off,
			bool hole);
	int (*fsync)(struct write_front *f, unsigned slot);

	int (*stat)(struct write_front *f, unsigned mount, unsigned key,
		    struct ufs_stat *st);
	/* Names of a directory, "" the root. Optional, as those below. */
	int (*list)(struct write_front *f, unsigned mount, const char *dir,
		    write_name_cb *cb, void *arg);
	int (*unlink)(struct write_front *f, unsigned mount, unsigned key);
	int (*rename)(struct write_front *f, unsigned mount, unsigned from,
		      unsigned to, bool noreplace);
	int (*mkdir)(struct write_front *f, unsigned mount, unsigned dir);
	int (*rmdir)(struct write_front *f, unsigned mount, unsigned dir);
	/* Its slots are closed, unless it is killed. */
	int (*restart)(struct write_front *f, unsigned mount, bool kill);
	const char *(*staging_dir)(struct write_front *f, unsigned mount);

	/* The store, as it is, whatever faults it has. */
	void (*look)(struct write_front *f, const char *key,
		     struct looked *out);
	void (*fetch)(struct write_front *f, const char *key, void *p,
		      uint64_t size);
	void (*put)(struct write_front *f, const char *key, const void *p,
		    uint64_t size);
	void (*remove)(struct write_front *f, const char *key);
	unsigned (*uploads)(struct write_front *f);
	void (*fault)(struct write_front *f, const struct op *op);
	void (*calm)(struct write_front *f);
	/* Did a fault fire since the last calm? */
	bool (*failed)(struct write_front *f);
	/* How many did, in all. */
	size_t (*fired)(struct write_front *f);
};

struct write_front *write_front_cache_new(const struct write_config *c);
struct write_front *write_front_mount_new(const struct write_config *c);

#endif
