/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.h - what a mount needs, looked at piece by piece
 *
 * Each check asks for one thing that a mount would use, says what it found,
 * and when that is wrong what to do about it. Nothing is changed: what is
 * written is unlinked, what is mounted is mounted nowhere; and what is put into
 * a store that is to be written is removed. Only what the store does with
 * conditions is kept for mounts, if their staging-dir is there (trial_kept.h).
 */
#ifndef FUSE_DOCTOR_H
#define FUSE_DOCTOR_H

#include "fuse/cli.h"
#include "fuse/options.h"

enum doctor_result { DOCTOR_PASS, DOCTOR_FAIL, DOCTOR_SKIP };

struct doctor_line {
	const char *check; /* "list" */
	enum doctor_result result;
	char text[WHY_MAX]; /* what was found, or why it was skipped */
	char fix[WHY_MAX];  /* of a failure */
};

/* Once a line, as soon as it is known. */
typedef void doctor_cb(void *arg, const struct doctor_line *line);

struct doctor_conf {
	struct options *options; /* as for a mount; put back as they were */
	const char *source;
	const char *dir; /* of a mount that should be there, or NULL */
};

/* Run all checks; returns how many failed. */
unsigned doctor_run(const struct doctor_conf *conf, doctor_cb *cb, void *arg);

/* "PASS", "FAIL", "SKIP". */
const char *doctor_word(enum doctor_result r);

#endif
