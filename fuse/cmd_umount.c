/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_umount.c - tarn umount DIR [--force]
 *
 * Returns when the daemon is gone, so that a mount that follows finds the
 * directory, the cache and the socket free. --force detaches the mount from
 * the tree at once; programs that have files open keep them.
 */
#include "fuse/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "fuse/client.h"
#include "fuse/mount.h"

#define DAEMON_END_MS 60000

/*
 * A descriptor of the daemon that serves dir, taken while it answers, so
 * that it is no other process of the same number. -1: nobody answers.
 */
static int daemon_of(const char *dir)
{
	struct client_mount *all = client_mounts(NULL);
	int fd = -1;

	for (struct client_mount *m = all; m != NULL; m = m->next)
		if (strcmp(m->dir, dir) == 0)
			fd =
			    (int)syscall(SYS_pidfd_open,
					 (pid_t)json_integer_value(
					     json_object_get(m->status, "pid")),
					 0);
	client_mounts_free(all);
	return fd;
}

/* fusermount3 -u [-z] DIR, its words on our stderr. */
static int by_fusermount(const char *dir, bool force)
{
	extern char **environ;
	char *argv[] = { (char *)"fusermount3", (char *)(force ? "-uz" : "-u"),
			 (char *)"--", (char *)dir, NULL };
	posix_spawn_file_actions_t fa;
	int status, r;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, "fusermount3", &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	if (r != 0)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

static int take_down(const char *dir, bool force)
{
	int flags = UMOUNT_NOFOLLOW | (force ? MNT_DETACH : 0);

	if (geteuid() != 0)
		return by_fusermount(dir, force);
	return umount2(dir, flags) < 0 ? -errno : 0;
}

static int wait_for_end(int daemon, const char *dir)
{
	int64_t deadline = clock_ns() + DAEMON_END_MS * NSEC_PER_MSEC;
	struct pollfd p = { .fd = daemon, .events = POLLIN };
	int r;

	do {
		int64_t left = (deadline - clock_ns()) / NSEC_PER_MSEC;

		r = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	if (r > 0)
		return CLI_DONE;
	return cli_fail("%s is unmounted, but its daemon has not ended in "
			"%d s; see the log",
			dir, DAEMON_END_MS / 1000);
}

static int umount_dir(const char *where, bool force)
{
	AUTO_FREE char *abs = cli_absolute(where);
	AUTO_FREE char *real = NULL;
	AUTO_CLOSE int daemon = -1;
	struct mount_entry e;
	const char *dir = abs;
	int r;

	if (abs == NULL)
		return cli_fail("out of memory");
	r = mount_find(dir, &e);
	if (r == -ENOENT) {
		real = realpath(where, NULL);
		dir = real != NULL ? real : abs;
		r = mount_find(dir, &e);
	}
	if (r < 0)
		return cli_fail("nothing is mounted on %s; `tarn status` "
				"lists the mounts",
				where);
	if (strcmp(e.fstype, MOUNT_FSTYPE) != 0)
		return cli_fail("%s is a mount of %s, not of tarn; use "
				"umount(8)",
				where, e.fstype);
	daemon = daemon_of(dir);
	r = take_down(dir, force);
	/* fusermount3 does not tell the two apart. */
	if (r == -EBUSY && geteuid() != 0)
		return cli_fail("%s is in use, or another user's mount; end "
				"the programs that `fuser -vm %s` lists, "
				"detach it with --force, or ask root",
				where, where);
	if (r == -EBUSY)
		return cli_fail("%s is in use; end the programs that "
				"`fuser -vm %s` lists, or detach it with "
				"--force",
				where, where);
	if (r == -ENOENT && geteuid() != 0)
		return cli_fail("fusermount3 is not installed; install fuse3 "
				"or unmount as root");
	if (r < 0)
		return cli_fail("%s: %s", where, strerror(-r));
	/* Detached, it lives as long as its last open file. */
	if (daemon < 0 || force)
		return CLI_DONE;
	return wait_for_end(daemon, where);
}

int cmd_umount(int argc, char **argv)
{
	bool force = false;
	const struct cli_flag flags[] = { { "--force", &force, NULL } };
	int n = cli_args("umount", argc, argv, flags, ARRAY_SIZE(flags));

	if (n < 0)
		return CLI_USAGE;
	if (n != 1)
		return cli_usage("umount takes one directory: tarn umount DIR");
	return umount_dir(argv[0], force);
}
