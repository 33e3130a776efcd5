/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash.c - places where a test has the process die
 */
#include "base/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>

const char *crash_at;

static size_t name_len;   /* of crash_at, up to its colon; set once */
static const char *trace; /* the file to make; NULL: none */
static atomic_long left;

void crash_init(void)
{
	const char *at = getenv("TARN_CRASH_AT");
	const char *colon = at != NULL ? strchr(at, ':') : NULL;
	char *end;

	if (colon == NULL)
		return;
	name_len = (size_t)(colon - at);
	atomic_init(&left, strtol(colon + 1, &end, 10));
	trace = *end == ':' ? end + 1 : NULL;
	crash_at = at;
}

void crash_pass(const char *name)
{
	if (strlen(name) != name_len || memcmp(name, crash_at, name_len) != 0 ||
	    atomic_fetch_sub(&left, 1) != 1)
		return;
	if (trace != NULL)
		(void)open(trace, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)raise(SIGKILL);
}
