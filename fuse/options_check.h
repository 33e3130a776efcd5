/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options_check.h - is a value possible for an option? (options*.c only)
 */
#ifndef FUSE_OPTIONS_CHECK_H
#define FUSE_OPTIONS_CHECK_H

#include "fuse/options.h"

/* What is left of the text after a value was checked. */
struct option_checked {
	char text[4096];
	int64_t number;
	bool percent;
};

/* 0, or -EINVAL with a sentence in why. */
int option_check(const struct option_row *row, const char *v,
		 struct option_checked *c, char why[static WHY_MAX]);

/* Put the sentence into why; returns -EINVAL. */
int option_refuse(char why[static WHY_MAX], const char *fmt, ...)
    PRINTF_LIKE(2, 3);

/* What a user wrote, as a message may quote it: cleaned, and cut short. */
const char *option_quoted(const char *v, char buf[static 80]);

#endif
