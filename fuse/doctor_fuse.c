/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_fuse.c - /dev/fuse, fusermount3, passthrough, a mount that is there
 */
#include "fuse/doctor_impl.h"

#include <errno.h>
#include <signal.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "fuse/client.h"
#include "fuse/mount.h"
#include "fuse/probe.h"

#define STATFS_WAIT (3 * NSEC_PER_SEC)

void doctor_device(struct doctor *d)
{
	char why[MOUNT_WHY_MAX];
	AUTO_CLOSE int fd = mount_open_device(why);

	if (fd < 0)
		doctor_fail_why(d, why, "open it to this user");
	else
		doctor_pass(d, "/dev/fuse is there and may be opened");
}

void doctor_fusermount(struct doctor *d)
{
	const struct options *o = d->conf->options;
	char why[MOUNT_WHY_MAX];

	if (geteuid() == 0)
		doctor_skip(d, "root mounts without it");
	else if (mount_helper_ready(options_number(o, OPT_ALLOW_OTHER), why) <
		 0)
		doctor_fail_why(d, why, "install the package fuse3");
	else
		doctor_pass(d, "fusermount3 is there");
}

/* What to try passthrough with: the disk of the first cache directory. */
static int probe_file(const struct options *o)
{
	const char *dirs = options_text(o, OPT_CACHE_DIR);
	AUTO_FREE char *dir = NULL;

	if (options_number(o, OPT_CACHE_SIZE) == 0)
		return -ENOENT;
	dir = strndup(dirs, strcspn(dirs, ":"));
	return dir != NULL ? doctor_tmpfile(dir) : -ENOMEM;
}

void doctor_passthrough(struct doctor *d)
{
	static const char off[] = "mount with passthrough=off to do without: "
				  "reads then come to the daemon";
	const struct options *o = d->conf->options;
	AUTO_CLOSE int file = -1;
	int err;

	if (strcmp(options_text(o, OPT_PASSTHROUGH), "off") == 0) {
		doctor_skip(d, "off, as asked for");
		return;
	}
	if (geteuid() != 0) {
		doctor_skip(d, "only root has it: reads come to the daemon");
		return;
	}
	file = probe_file(o);
	switch (probe_passthrough(file, &err)) {
	case PROBE_DEVICE:
		doctor_skip(d, "/dev/fuse cannot be opened");
		break;
	case PROBE_MOUNT:
		doctor_fail(d,
			    "CAP_SYS_ADMIN is needed, and leave to call "
			    "fsopen(2); a container: --cap-add SYS_ADMIN",
			    "a FUSE file system cannot be made: %s",
			    strerror(-err));
		break;
	case PROBE_OFFER:
		doctor_fail(d,
			    "boot Linux 6.9 or newer, or mount with "
			    "passthrough=off to do without",
			    "this kernel does not offer it");
		break;
	case PROBE_TAKES:
		doctor_fail(d, off, "the kernel takes no file: %s",
			    strerror(-err));
		break;
	case PROBE_FILE:
		doctor_fail(d,
			    "name a cache-dir on a file system of its own "
			    "(ext4, xfs; not overlayfs), or mount with "
			    "passthrough=off to do without",
			    "the kernel takes no file of the cache: %s",
			    strerror(-err));
		break;
	case PROBE_WORKS:
		doctor_pass(d, "the kernel reads files%s by itself",
			    file >= 0 ? " of the cache" : "");
		break;
	}
}

/*
 * 0 or -errno of a statfs, -ETIMEDOUT when that does not come. A process of
 * its own asks: one that waits for a daemon that hangs may not even die, and
 * this one is to end.
 */
static int statfs_in_time(const char *dir)
{
	const struct timespec pause = { .tv_nsec = 10 * NSEC_PER_MSEC };
	int64_t until = clock_ns() + STATFS_WAIT;
	struct statfs sfs;
	int status;
	pid_t pid = fork(), r;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(statfs(dir, &sfs) < 0 ? errno & 0xff : 0);
	while ((r = waitpid(pid, &status, WNOHANG)) == 0 && clock_ns() < until)
		nanosleep(&pause, NULL);
	if (r == 0)
		kill(pid, SIGKILL);
	return r == pid && WIFEXITED(status) ? -WEXITSTATUS(status)
					     : -ETIMEDOUT;
}

/* Nobody answered at its socket: why? */
static void no_socket(struct doctor *d, const char *dir)
{
	struct mount_entry e;
	int err;

	if (mount_find(dir, &e) < 0 || strcmp(e.fstype, MOUNT_FSTYPE) != 0) {
		doctor_fail(d, "mount it, and run doctor as who mounted it",
			    "%s is no mount of tarn", dir);
		return;
	}
	err = statfs_in_time(dir);
	if (err == -ENOTCONN || err == -ECONNABORTED)
		doctor_fail(d,
			    "mount it again: that removes the dead mount; "
			    "tarn umount only removes it",
			    "the daemon of %s is gone", dir);
	else if (err == -ETIMEDOUT)
		doctor_fail(d,
			    "see its log and whether it was stopped; if need "
			    "be kill it and mount again",
			    "the daemon of %s hangs: neither it nor its "
			    "control socket answers",
			    dir);
	else if (err == -EACCES)
		doctor_fail(d, "run doctor as that user",
			    "%s is another user's mount", dir);
	else
		doctor_fail(d,
			    "run doctor as who mounted it; if that is you, "
			    "mount it again: the socket is lost",
			    "%s is mounted, but no control socket of this "
			    "user answers for it",
			    dir);
}

static const struct client_mount *find(const struct client_mount *m,
				       const char *dir)
{
	while (m != NULL && strcmp(m->dir, dir) != 0)
		m = m->next;
	return m;
}

/* A disk that is not ok, or NULL. */
static const json_t *bad_disk(const json_t *status)
{
	const json_t *ssd = json_object_get(status, "ssd");

	for (size_t i = 0; i < json_array_size(ssd); i++) {
		const json_t *disk = json_array_get(ssd, i);
		const char *state =
		    json_string_value(json_object_get(disk, "state"));

		if (state == NULL || strcmp(state, "ok") != 0)
			return disk;
	}
	return NULL;
}

void doctor_mount(struct doctor *d)
{
	const char *dir = d->conf->dir;
	struct client_mount *all;
	const struct client_mount *m;
	const json_t *disk;
	char why[WHY_MAX];

	if (dir == NULL) {
		doctor_skip(d, "no directory of a mount was named");
		return;
	}
	all = client_mounts(NULL);
	m = find(all, dir);
	disk = m != NULL ? bad_disk(m->status) : NULL;
	if (m == NULL)
		no_socket(d, dir);
	else if (client_health(m->socket, why) < 0)
		doctor_fail(d,
			    "mend what the checks above say of the store; it "
			    "recovers by itself",
			    "%s: %s", dir, why);
	else if (disk != NULL)
		doctor_fail(d,
			    "see its log for why; it is tried again every ten "
			    "seconds",
			    "%s: the cache in %s is %s", dir,
			    json_string_value(json_object_get(disk, "dir")),
			    json_string_value(json_object_get(disk, "state")));
	else
		doctor_pass(d, "%s answers and is well", dir);
	client_mounts_free(all);
}
