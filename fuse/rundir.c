/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rundir.c - where the control sockets of this user's mounts are
 */
#include "fuse/rundir.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

int rundir_path(char path[static RUNDIR_MAX], bool make)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	uid_t uid = geteuid();
	struct stat st;
	int n;

	if (uid == 0)
		n = snprintf(path, RUNDIR_MAX, "/run/tarn");
	else if (xdg != NULL && *xdg == '/')
		n = snprintf(path, RUNDIR_MAX, "%s/tarn", xdg);
	else
		n = snprintf(path, RUNDIR_MAX, "/tmp/tarn-%u", (unsigned)uid);
	if (n >= RUNDIR_MAX)
		return -ENAMETOOLONG;
	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != uid ||
	    (st.st_mode & 0077) != 0)
		return -EPERM;
	return 0;
}
