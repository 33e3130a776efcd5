/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash.c - places where a test has the process die
 */
#include "base/crash.h"

#include <signal.h>
#include <stdatomic.h>

const char *crash_at;

static size_t name_len; /* of crash_at, up to its colon; set once */
static atomic_long left;

void crash_init(void)
{
	const char *at = getenv("TARN_CRASH_AT");
	const char *colon = at != NULL ? strrchr(at, ':') : NULL;

	if (colon == NULL)
		return;
	name_len = (size_t)(colon - at);
	atomic_init(&left, strtol(colon + 1, NULL, 10));
	crash_at = at;
}

void crash_pass(const char *name)
{
	if (strlen(name) == name_len && memcmp(name, crash_at, name_len) == 0 &&
	    atomic_fetch_sub(&left, 1) == 1)
		(void)raise(SIGKILL);
}
