/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_staging.c - where written files are until the store has them
 *
 * One line: what a mount would refuse comes first, then what would end a
 * program that writes.
 */
#include "fuse/doctor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include "base/units.h"
#include "cache/own_dir.h"
#include "fuse/places.h"

#define OPTION "staging-dir"
/* A file of several parts has so much of it on its way: 8 of 8 MiB. */
#define LEAST MIB(64)
#define OTHER "name another staging-dir, or mount with ro"

/* Would a mount take it? If not, that is said. *there: it is made already. */
static bool is_ours(struct doctor *d, const char *dir, bool *there)
{
	AUTO_FREE char *path = own_dir_absolute(dir);
	AUTO_FREE char *at = places_nearest(dir);
	AUTO_CLOSE int fd = -1;
	char why[256] = "";
	int r;

	if (path == NULL || at == NULL) {
		doctor_skip(d, "out of memory");
		return false;
	}
	r = own_dir_open(path, OPTION, geteuid(), &fd, why);
	*there = r == 0;
	if (r == 0 && access(path, R_OK | W_OK | X_OK) < 0)
		doctor_fail(d, "let this user write there, or " OTHER, "%s: %s",
			    path, strerror(errno));
	else if (r < 0 && r != -ENOENT)
		doctor_refused(d, r, why, OTHER);
	else if (r == -ENOENT && access(at, W_OK | X_OK) < 0)
		doctor_fail(d, "make it, or " OTHER,
			    "%s is not there and cannot be made in %s: %s",
			    path, at, strerror(errno));
	else
		return true;
	return false;
}

/* Is it on a mount of tarn, as it is written or where its symlinks lead? */
static char *mount_below(const char *dir, struct mount_entry *e)
{
	char *on = places_mount_of(dir, e);
	AUTO_FREE char *at = NULL;
	AUTO_FREE char *real = NULL;

	if (on != NULL)
		return on;
	at = places_nearest(dir);
	real = at != NULL ? realpath(at, NULL) : NULL;
	return real != NULL ? places_mount_of(real, e) : NULL;
}

static void look_at_disk(struct doctor *d, const char *dir, bool there)
{
	AUTO_CLOSE int fd = doctor_tmpfile(dir);
	const char *where =
	    there ? "is this user's, closed to others" : "will be made";
	char free[32], all[32];
	struct statvfs v;
	int r;

	if (fd == -ENOSPC || fd == -EDQUOT) {
		doctor_fail(d, "free some space or inodes, or " OTHER, "%s: %s",
			    dir, strerror(-fd));
		return;
	}
	if (fd < 0 || fstatvfs(fd, &v) < 0) {
		doctor_fail(d, "let this user write there, or " OTHER,
			    "%s: no file can be made: %s", dir,
			    strerror(fd < 0 ? -fd : errno));
		return;
	}
	units_format_size((uint64_t)v.f_bavail * v.f_frsize, free,
			  sizeof(free));
	units_format_size((uint64_t)v.f_blocks * v.f_frsize, all, sizeof(all));
	r = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096) < 0 ? errno : 0;
	if ((uint64_t)v.f_bavail * v.f_frsize < LEAST)
		doctor_fail(d, "free some, or " OTHER,
			    "%s: %s of %s free: what is written goes through "
			    "it, and would soon end with ENOSPC",
			    dir, free, all);
	else if (r == EOPNOTSUPP || r == ENOSYS)
		doctor_pass(d,
			    "%s %s; %s of %s free, which this file system "
			    "cannot reserve: a disk that gets full is told "
			    "late",
			    dir, where, free, all);
	else if (r != 0)
		doctor_fail(d, "look at the disk, or " OTHER,
			    "%s: no space can be reserved: %s", dir,
			    strerror(r));
	else
		doctor_pass(d, "%s %s; %s of %s free", dir, where, free, all);
}

void doctor_staging(struct doctor *d)
{
	const struct options *o = d->conf->options;
	const char *dir = options_text(o, OPT_STAGING_DIR);
	AUTO_FREE char *on = NULL;
	struct mount_entry e;
	bool there;

	if (options_number(o, OPT_RO) != 0) {
		doctor_skip(d, "to be read only (ro)");
		return;
	}
	if (dir == NULL) {
		doctor_fail(d, "say where with staging-dir=, or mount with ro",
			    "there is no HOME to keep written files in");
		return;
	}
	on = mount_below(dir, &e);
	if (on != NULL)
		doctor_fail(d, OTHER,
			    "%s is on the mount of %.200s on %s: it has to be "
			    "on a disk of this host",
			    dir, e.source, on);
	else if (is_ours(d, dir, &there))
		look_at_disk(d, dir, there);
}
