/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_impl.h - what run.c and judge.c share
 */
#ifndef REFMODEL_RUN_IMPL_H
#define REFMODEL_RUN_IMPL_H

#include "tests/tools/refmodel-parts/run.h"

struct handle {
	bool open;
	unsigned key, id;
	uint64_t size, next;
};

struct run {
	struct front *front;
	const struct front_ops *ops;
	struct model *model;
	const struct config *config;
	struct outcome *out;
	struct handle handles[SLOTS];
	char *bufs[BURST_MAX];
	bool trace;
	int64_t begun;            /* the operation */
	int64_t gone[MODEL_KEYS]; /* when a read found its version gone */
};

/* The run has failed; only the first reason counts. */
void run_wrong(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *run_key(const struct run *r, unsigned key);
/* A directory's own marker: an object, but no name in a directory. */
bool run_is_marker(const struct run *r, unsigned key);
/* Is this error one that a fault explains? */
bool run_excused(struct run *r, int err);

/* All that judges is called with the model's mutex. */

/*
 * A file's attributes. The version is not to have ended before `not_before`,
 * whatever the ttl.
 */
void judge_stat(struct run *r, unsigned key, const struct ufs_stat *st,
		int64_t not_before);
/* That there is (not) a directory of that name; that there is no object. */
void judge_dir(struct run *r, const char *name, bool there, int64_t ttl);
void judge_absent(struct run *r, unsigned key, int64_t ttl);
/* The answer to a lookup of a key's name. */
void judge_seen(struct run *r, unsigned key, int err, const struct seen *seen);
void judge_read(struct run *r, const struct reading *to);

#endif
