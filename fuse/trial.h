/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial.h - small objects that find out what a store does with changes
 *
 * Some stores take a change whatever it is bound to (S15): two writers, and
 * the last one wins unnoticed. No store says so; it shows when a change is
 * sent that must fail. Objects for that have names that say what they are, and
 * random ends, so that they are nobody's.
 */
#ifndef FUSE_TRIAL_H
#define FUSE_TRIAL_H

#include "base/base.h"
#include "base/cancel.h"
#include "ufs/write.h"

enum trial_answer {
	TRIAL_UNKNOWN, /* something else went wrong */
	TRIAL_OBEYED,
	TRIAL_IGNORED,
	TRIAL_REFUSED, /* it does no such change at all */
};

/* "obeyed", for status. */
const char *trial_word(enum trial_answer a);

#define TRIAL_NAME 48

/* ".tarn-WHAT-" and 16 random digits. -EIO: there are none. */
int trial_name(const char *what, char out[static TRIAL_NAME]);

/* As put() of struct ufs_write_ops, of this text. */
int trial_put(struct ufs *u, const char *name, const char *text,
	      const struct ufs_cond *cond, struct ufs_stat *st,
	      struct cancel *cancel);

/* A put that is bound to a version that there never was. */
int trial_put_wrong(struct ufs *u, const char *name, const char *text,
		    struct cancel *cancel);

/*
 * Remove it, trying again until cancel (NULL is allowed) is set: that does not
 * end the first try. 0 or -errno.
 */
int trial_remove(struct ufs *u, const char *name, struct cancel *cancel);

/* What an answer means of one that has to fail with fails. */
enum trial_answer trial_answer(int r, int fails);

/*
 * Does the store look at the version that a put is bound to? One request, of an
 * object that is not there: where it is looked at, nothing is made. Waits 5 s
 * at most, less when stop is set; longer only to remove what was made after
 * all. *err: of the put, when nothing else is known.
 */
enum trial_answer trial_store(struct ufs *u, struct cancel *stop, int *err);

#endif
