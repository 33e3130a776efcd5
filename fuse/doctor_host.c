/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_host.c - the cache's disks, memory, descriptors
 *
 * A cache directory that is not there yet is judged by where it would be
 * made: who asks before the first mount wants to know as well. What is
 * written has no name, so that nothing is left whatever happens.
 */
#include "fuse/doctor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "base/clock.h"
#include "base/units.h"
#include "cache/disk.h"
#include "fuse/limits.h"
#include "fuse/places.h"

#define TRY_BYTES MIB(16)
#define PIECE MIB(1)
#define FILES_MORE 512 /* descriptors beside those of connections */

/* For file systems that cannot make a nameless file. */
static int named_tmpfile(const char *dir)
{
	AUTO_FREE char *name = NULL;
	int fd;

	if (asprintf(&name, "%s/format.doctor-XXXXXX", dir) < 0)
		return -ENOMEM;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(name);
	return fd;
}

int doctor_tmpfile(const char *dir)
{
	AUTO_FREE char *at = places_nearest(dir);
	int fd;

	if (at == NULL)
		return -ENOMEM;
	fd = open(at, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	if (fd >= 0)
		return fd;
	return errno == EOPNOTSUPP || errno == EISDIR ? named_tmpfile(at)
						      : -errno;
}

void doctor_refused(struct doctor *d, int err, const char *why,
		    const char *otherwise)
{
	const char *cut = NULL;

	for (const char *p = why; (p = strstr(p, ": ")) != NULL; p++)
		cut = p;
	if (cut == NULL || (err != -EPERM && err != -ENOTDIR &&
			    err != -ENOTEMPTY && err != -EINVAL))
		doctor_fail(d, otherwise, "%s", why);
	else
		doctor_fail(d, cut + 2, "%.*s", (int)(cut - why), why);
}

static void look_at_dir(struct doctor *d, const char *dir)
{
	AUTO_FREE char *at = places_nearest(dir);
	AUTO_CLOSE int fd = -1;
	char why[256];
	int r = disk_look(dir, &fd, why);

	if (r == 0 && access(dir, R_OK | W_OK | X_OK) < 0)
		doctor_fail(d,
			    "let this user use it, or name another cache-dir",
			    "%s: %s", dir, strerror(errno));
	else if (r == 0)
		doctor_pass(d, "%s is this user's, closed to others", dir);
	else if (r != -ENOENT)
		doctor_refused(
		    d, r, why,
		    "let this user use it, or name another cache-dir");
	else if (at == NULL || access(at, W_OK | X_OK) < 0)
		doctor_fail(d, "make it, or name another cache-dir",
			    "%s is not there and cannot be made in %s: %s", dir,
			    at != NULL ? at : "?", strerror(errno));
	else
		doctor_pass(d, "%s will be made in %s", dir, at);
}

void doctor_cache_dir(struct doctor *d)
{
	doctor_each_dir(d, look_at_dir);
}

/* Less than the share that the cache leaves free? */
static bool low(fsfilcnt_t free, fsfilcnt_t all)
{
	return all > 0 && free < all / 100 * DISK_LOW_PERCENT;
}

static void look_at_space(struct doctor *d, const char *dir)
{
	AUTO_FREE char *at = places_nearest(dir);
	char free[32], all[32];
	struct statvfs v;

	if (at == NULL || statvfs(at, &v) < 0) {
		doctor_fail(d, "name another cache-dir", "%s: %s", dir,
			    strerror(errno));
		return;
	}
	units_format_size((uint64_t)v.f_bavail * v.f_frsize, free,
			  sizeof(free));
	units_format_size((uint64_t)v.f_blocks * v.f_frsize, all, sizeof(all));
	if (low(v.f_bavail, v.f_blocks))
		doctor_fail(d, "free some, or name another cache-dir",
			    "%s: %s of %s free: below %d %% nothing new is "
			    "kept",
			    dir, free, all, DISK_LOW_PERCENT);
	else if (low(v.f_favail, v.f_files))
		doctor_fail(d,
			    "remove files, make the file system with more "
			    "inodes, or name another cache-dir",
			    "%s: %ju of %ju inodes free: below %d %% nothing "
			    "new is kept",
			    dir, (uintmax_t)v.f_favail, (uintmax_t)v.f_files,
			    DISK_LOW_PERCENT);
	else if (v.f_files == 0) /* no table of inodes */
		doctor_pass(d, "%s: %s of %s free", dir, free, all);
	else
		doctor_pass(d, "%s: %s of %s and %ju inodes free", dir, free,
			    all, (uintmax_t)v.f_favail);
}

void doctor_cache_space(struct doctor *d)
{
	doctor_each_dir(d, look_at_space);
}

/* A file on dir's disk, or -1: none (said). */
static int file_on(struct doctor *d, const char *dir)
{
	int fd = doctor_tmpfile(dir);

	if (fd >= 0)
		return fd;
	doctor_fail(d,
		    fd == -ENOSPC || fd == -EDQUOT
			? "free some space or inodes, or name another "
			  "cache-dir"
			: "let this user write there, or name another "
			  "cache-dir",
		    "%s: no file can be made: %s", dir, strerror(-fd));
	return -1;
}

static void look_at_xattr(struct doctor *d, const char *dir)
{
	AUTO_CLOSE int fd = file_on(d, dir);
	char got[64];

	if (fd < 0)
		return;
	if (fsetxattr(fd, "user.tarn", "?", 1, 0) == 0 &&
	    fgetxattr(fd, "user.tarn", got, sizeof(got)) == 1)
		doctor_pass(d, "%s: user attributes are kept", dir);
	else if (errno == EOPNOTSUPP)
		doctor_pass(d,
			    "%s: no user attributes: a second file stands in, "
			    "which costs time",
			    dir);
	else
		doctor_fail(d, "name another cache-dir", "%s: attributes: %s",
			    dir, strerror(errno));
}

void doctor_cache_xattr(struct doctor *d)
{
	doctor_each_dir(d, look_at_xattr);
}

/* Bytes that no disk can guess. */
static void scramble(uint64_t *p, size_t words, uint64_t seed)
{
	for (size_t i = 0; i < words; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		p[i] = seed;
	}
}

static int write_all(int fd, uint64_t *buf)
{
	for (size_t off = 0; off < TRY_BYTES; off += PIECE) {
		ssize_t n;

		scramble(buf, PIECE / sizeof(*buf), off + 1);
		n = pwrite(fd, buf, PIECE, (off_t)off);
		if (n != (ssize_t)PIECE)
			return n < 0 ? -errno : -ENOSPC;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* buf has room for two pieces. -EBADMSG: other bytes came back. */
static int read_all(int fd, uint64_t *buf)
{
	uint64_t *got = buf + PIECE / sizeof(*buf);

	/* From the device, not from memory. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (size_t off = 0; off < TRY_BYTES; off += PIECE) {
		ssize_t n = pread(fd, got, PIECE, (off_t)off);

		if (n != (ssize_t)PIECE)
			return n < 0 ? -errno : -EIO;
		scramble(buf, PIECE / sizeof(*buf), off + 1);
		if (memcmp(buf, got, PIECE) != 0)
			return -EBADMSG;
	}
	return 0;
}

static double rate(int64_t ns)
{
	return (double)TRY_BYTES / 1e6 / ((double)MAX(ns, 1) / 1e9);
}

static void look_at_io(struct doctor *d, const char *dir)
{
	AUTO_CLOSE int fd = file_on(d, dir);
	AUTO_FREE uint64_t *buf = malloc(2 * PIECE);
	int64_t began = clock_ns(), wrote, got;
	int r;

	if (fd < 0)
		return;
	r = buf == NULL ? -ENOMEM : write_all(fd, buf);
	wrote = clock_ns();
	if (r == 0)
		r = read_all(fd, buf);
	got = clock_ns();
	if (r == 0)
		doctor_pass(d,
			    "%s: %zu MiB written and synced at %.0f MB/s, read "
			    "back at %.0f MB/s",
			    dir, TRY_BYTES >> 20, rate(wrote - began),
			    rate(got - wrote));
	else if (r == -ENOSPC || r == -EDQUOT)
		doctor_fail(d, "free some, or name another cache-dir", "%s: %s",
			    dir, strerror(-r));
	else
		doctor_fail(d,
			    "look at the disk (dmesg, smartctl), or name "
			    "another cache-dir",
			    "%s: %s", dir,
			    r == -EBADMSG ? "other bytes came back than were "
					    "written"
					  : strerror(-r));
}

void doctor_cache_io(struct doctor *d)
{
	doctor_each_dir(d, look_at_io);
}

void doctor_memory(struct doctor *d)
{
	uint64_t want = (uint64_t)options_number(d->conf->options, OPT_MEMORY);
	uint64_t limit = limits_memory();
	char w[32], l[32], fix[128], f[32];

	units_format_size(want, w, sizeof(w));
	units_format_size(limit, l, sizeof(l));
	/* The program itself and the kernel's share need some as well. */
	if (want <= limit / 4 * 3) {
		doctor_pass(d, "%s of the %s that the host or cgroup has", w,
			    l);
		return;
	}
	snprintf(fix, sizeof(fix),
		 "mount with memory=%" PRIu64 "M, or raise the cgroup's limit "
		 "(memory.max) above %s",
		 limits_memory_default() >> 20,
		 units_format_size(want / 3 * 4, f, sizeof(f)));
	doctor_fail(d, fix,
		    "memory=%s is too near to the %s that the host or cgroup "
		    "has: the kernel would kill the mount",
		    w, l);
}

void doctor_descriptors(struct doctor *d)
{
	uint64_t connections =
	    (uint64_t)options_number(d->conf->options, OPT_MAX_CONNECTIONS);
	uint64_t need = 2 * connections + FILES_MORE;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		doctor_skip(d, "the limit is not told: %s", strerror(errno));
	else if (rl.rlim_max < need)
		doctor_fail(d,
			    "raise it (ulimit -Hn 65536, LimitNOFILE=65536 in "
			    "a unit), or mount with fewer max-connections",
			    "at most %ju may be open; %" PRIu64
			    " connections and their files want %" PRIu64,
			    (uintmax_t)rl.rlim_max, connections, need);
	else
		doctor_pass(d, "%ju may be open",
			    (uintmax_t)MIN(rl.rlim_max, (rlim_t)INT64_MAX));
}
