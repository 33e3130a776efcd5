/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.c - the clocks, through the vDSO, and the boot's name
 */
#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#include "base/base.h"

static char boot_id[BOOT_ID_LEN + 1] = "00000000-0000-0000-0000-000000000000";

static int64_t clock_read(clockid_t id)
{
	struct timespec ts;

	must(clock_gettime(id, &ts));
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t clock_ns(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

int64_t clock_wall_ns(void)
{
	return clock_read(CLOCK_REALTIME);
}

/* Copied only when it has the form of an id: it becomes part of files. */
static void boot_id_read(void)
{
	AUTO_CLOSE int fd =
	    open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[BOOT_ID_LEN];

	if (fd < 0 || read(fd, text, sizeof(text)) != BOOT_ID_LEN)
		return;
	for (size_t i = 0; i < sizeof(text); i++)
		if (memchr("0123456789abcdef-", text[i], 17) == NULL)
			return;
	memcpy(boot_id, text, sizeof(text));
}

const char *clock_boot_id(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	must(pthread_once(&once, boot_id_read));
	return boot_id;
}
