/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash.h - places where a test has the process die
 *
 * TARN_CRASH_AT=NAME:N in the environment: whoever passes the point NAME for
 * the Nth time ends the process there, as kill -9 does. With NAME:N:FILE it
 * makes FILE before that, so that this end is told from any other. Points are
 * in every build, so that what is tested is what runs elsewhere: one that
 * nobody asked for costs a load and a branch, and they stand only where an
 * fsync or a request to the store is near, on no way of a read.
 */
#ifndef BASE_CRASH_H
#define BASE_CRASH_H

#include "base/base.h"

extern const char *crash_at; /* set by crash_init(); NULL: nowhere */

/* Look into the environment. Before there are threads. */
void crash_init(void);

void crash_pass(const char *name);

#define crash_point(name)                                                      \
	do {                                                                   \
		if (crash_at != NULL)                                          \
			crash_pass(name);                                      \
	} while (0)

#endif
