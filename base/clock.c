/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.c - the three clocks
 */
#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#include "base/base.h"

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	must(clock_gettime(id, &ts));
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t clock_ns(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

static char boot_id[BOOT_ID_LEN + 1];

static void read_boot_id(void)
{
	AUTO_CLOSE int fd =
	    open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, boot_id, BOOT_ID_LEN) != BOOT_ID_LEN)
		memset(boot_id, '0', BOOT_ID_LEN);
}

const char *clock_boot_id(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	must(pthread_once(&once, read_boot_id));
	return boot_id;
}
