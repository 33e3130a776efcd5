/* SPDX-License-Identifier: Apache-2.0 */
/* scratch.c - a run's directory, and what is to be as it was at its end */
#include "tests/tools/refmodel-parts/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/stats.h"

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	must(d == NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int remove_cb(const char *path, const struct stat *st, int type,
		     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void scratch_remove(const char *path)
{
	nftw(path, remove_cb, 16, FTW_DEPTH | FTW_PHYS);
}

int scratch_begin(struct scratch *s)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(s->base, sizeof(s->base), "%.40s/refmodel-XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(s->base) == NULL)
		return -errno;
	s->fds = open_fds();
	s->memory_bytes = stat_read(STAT_memory_bytes);
	return 0;
}

void scratch_end(struct scratch *s, char why[static 256])
{
	int64_t more = stat_read(STAT_memory_bytes) - s->memory_bytes;
	int fds = open_fds();

	why[0] = '\0';
	if (fds != s->fds)
		snprintf(why, 256, "%d descriptors became %d", s->fds, fds);
	else if (more != 0)
		snprintf(why, 256, "%jd bytes of memory are still counted",
			 (intmax_t)more);
	scratch_remove(s->base);
}
