/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front.h - where the operations go: the cache in this process, or a mount
 *
 * A front carries out what run.c asks and says what it saw; it judges
 * nothing. Errors are -errno.
 */
#ifndef REFMODEL_FRONT_H
#define REFMODEL_FRONT_H

#include "tests/tools/refmodel-parts/model.h"
#include "tests/tools/refmodel-parts/ops.h"

/* What a name was found to be; neither: absent. */
struct seen {
	bool object, dir;
	bool dir_unknown; /* there is a file; a directory would not show */
	/* A directory; the file of that name shows only beside one. */
	bool twin_unknown;
	bool by_file; /* absent, because its directory is a file */
	bool asked;   /* the store, for just this (O_DIRECT) */
	struct ufs_stat st;
};

struct reading {
	unsigned slot;
	uint64_t off;
	size_t len;
	unsigned how; /* chosen by chance: the front's ways of reading */
	char *buf;    /* of len */
	ssize_t got;  /* or -errno */
};

/* name relative to the directory, without a slash behind it. */
typedef void front_entry_cb(void *arg, const char *name, bool dir,
			    const struct ufs_stat *st);

struct front {
	const struct front_ops *ops;
	struct model *model;
	const struct config *config;
	int64_t slack; /* how late a moment may be noticed, ns */
	bool sure;     /* what was cached is told by `kept` */
};

struct front_ops {
	void (*free)(struct front *f);
	int (*start)(struct front *f);
	/* Ends it. What is left that should not be, in words: why. */
	void (*stop)(struct front *f, char why[static 256]);

	int (*lookup)(struct front *f, unsigned key, struct seen *out);
	int (*list)(struct front *f, const char *dir, front_entry_cb *cb,
		    void *arg);
	/* 0 and the version that the slot is bound to. -ENOENT: see out. */
	int (*open)(struct front *f, unsigned slot, unsigned key, unsigned how,
		    struct seen *out);
	void (*close)(struct front *f, unsigned slot);
	/* All at once. */
	void (*read)(struct front *f, struct reading *r, size_t n);
	int (*invalidate)(struct front *f, const char *path);
	/* Slots are closed. kill: what was not yet written is lost. */
	int (*restart)(struct front *f, bool *killed, unsigned how);
	void (*tamper)(struct front *f, const struct op *op);
	void (*forget)(struct front *f); /* what the kernel keeps */
	void (*pass)(struct front *f, int64_t ns);

	/* The store. key is now what the model says of it. */
	void (*change)(struct front *f, unsigned key);
	/* Change it when the store is asked so often from now. Optional. */
	void (*later)(struct front *f, const struct op *op);
	void (*fault)(struct front *f, const struct op *op);
	void (*calm)(struct front *f);
	/* Did a fault fire that an operation begun then may have met? */
	bool (*excused)(struct front *f, int err, int64_t begun);
	/* Is what was cached still sure to be? */
	bool (*kept)(struct front *f);
};

struct front *front_cache_new(struct model *m, const struct config *c);
struct front *front_mount_new(struct model *m, const struct config *c);

#endif
