/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libclock.c - another time of day, by LD_PRELOAD
 *
 * CLOCK_AHEAD (seconds, may be negative) is added to what the wall clock says.
 * Clocks that only count are left alone.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static int (*real)(clockid_t clock, struct timespec *out);
static long ahead;

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("CLOCK_AHEAD");

	real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT,
							    "clock_gettime");
	ahead = text != NULL ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
	int r;

	if (real == NULL) /* another library's constructor */
		begin();
	r = real(clock, out);
	if (r == 0 &&
	    (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		out->tv_sec += ahead;
	return r;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;
	int r = clock_gettime(CLOCK_REALTIME, &now);

	(void)zone;
	out->tv_sec = now.tv_sec;
	out->tv_usec = now.tv_nsec / 1000;
	return r;
}

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}
