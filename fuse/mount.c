/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.c - making and ending the mount
 *
 * Nothing here asks the mounted file system itself before it is served: its
 * device number comes from /proc/self/mountinfo, never from a stat that
 * nobody would answer.
 */
#include "fuse/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "base/log.h"
#include "fuse/fs_impl.h"
#include "fuse/init.h"

#define SAY(...) snprintf(why, MOUNT_WHY_MAX, __VA_ARGS__)

/* Run fusermount3; 0 when it succeeded. */
static int run_fusermount(const char *option, const char *dir)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", option, "-q", "--", dir,
		       (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

static int detach(const char *dir)
{
	if (umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	return errno == EPERM ? run_fusermount("-uz", dir) : -errno;
}

/* E1: a dead mount is removed. One that lives is in use. */
static int clear_dead(const char *dir, char why[static MOUNT_WHY_MAX])
{
	struct mount_entry e;

	while (mount_find(dir, &e) == 0 &&
	       strcmp(e.fstype, MOUNT_FSTYPE) == 0) {
		int r;

		if (!mount_is_dead(dir)) {
			SAY("%.90s is already a tarn mount of %.80s; 'tarn"
			    " umount' it first, or choose another directory",
			    dir, e.source);
			return -EBUSY;
		}
		r = detach(dir);
		if (r < 0) {
			SAY("%.150s is a dead mount that cannot be removed"
			    " (%s); unmount it as root",
			    dir, strerror(-r));
			return r;
		}
		log_info("mount: removed the dead mount of %s on %s", e.source,
			 dir);
	}
	return 0;
}

static int check_dir(const char *dir, char why[static MOUNT_WHY_MAX])
{
	struct stat st;

	if (stat(dir, &st) < 0) {
		int err = errno;

		SAY("cannot use %.150s: %s", dir, strerror(err));
		return -err;
	}
	if (!S_ISDIR(st.st_mode)) {
		SAY("%.150s is not a directory; name an empty directory to"
		    " mount on",
		    dir);
		return -ENOTDIR;
	}
	if (geteuid() != 0 && access(dir, W_OK) < 0) {
		SAY("no permission to mount on %.150s: it must be yours and"
		    " writable; chown it, or mount as root",
		    dir);
		return -EACCES;
	}
	return 0;
}

/* Resolve the mount point and see that it can be one. */
static int prepare_dir(struct fs *fs, char why[static MOUNT_WHY_MAX])
{
	char *dir = realpath(fs->conf.dir, NULL);
	int r;

	if (dir == NULL) {
		int err = errno;

		if (err == ENOENT)
			SAY("%.150s does not exist; make it with mkdir",
			    fs->conf.dir);
		else if (err == ENOTDIR)
			SAY("%.150s is not a directory; name an empty"
			    " directory to mount on",
			    fs->conf.dir);
		else
			SAY("cannot use %.150s: %s", fs->conf.dir,
			    strerror(err));
		return -err;
	}
	free(fs->dir);
	fs->dir = dir;
	r = clear_dead(dir, why);
	return r < 0 ? r : check_dir(dir, why);
}

int mount_open_device(char why[static MOUNT_WHY_MAX])
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int err = errno;

	if (fd >= 0)
		return fd;
	if (err == ENOENT || err == ENODEV || err == ENXIO)
		SAY("/dev/fuse is absent; load the module ('modprobe fuse'),"
		    " or start the container with --device /dev/fuse");
	else if (err == EACCES)
		SAY("/dev/fuse may not be opened by this user; as root: chmod"
		    " 666 /dev/fuse");
	else
		SAY("cannot open /dev/fuse: %s; a container needs --device"
		    " /dev/fuse and --cap-add SYS_ADMIN",
		    strerror(err));
	return -err;
}

static int mount_direct(struct fs *fs, char why[static MOUNT_WHY_MAX])
{
	const struct fs_conf *c = &fs->conf;
	AUTO_CLOSE int fd = mount_open_device(why);
	unsigned long flags = c->staging == NULL ? MS_RDONLY : 0;
	char data[128];
	int r;

	if (fd < 0)
		return fd;
	if (!c->suid)
		flags |= MS_NOSUID;
	if (!c->dev)
		flags |= MS_NODEV;
	if (!c->exec)
		flags |= MS_NOEXEC;
	snprintf(data, sizeof(data),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u,max_read=%u,"
		 "default_permissions%s",
		 fd, (unsigned)geteuid(), (unsigned)getegid(), INIT_READ_MAX,
		 c->allow_other ? ",allow_other" : "");
	if (mount(fs->source, fs->dir, MOUNT_FSTYPE, flags, data) < 0) {
		r = -errno;
		if (r == -EPERM)
			SAY("mount(2) on %.100s is not permitted; CAP_SYS_ADMIN"
			    " is needed (a container: --cap-add SYS_ADMIN)",
			    fs->dir);
		else if (r == -ENODEV)
			SAY("the kernel knows no FUSE; load the module"
			    " ('modprobe fuse')");
		else
			SAY("cannot mount on %.150s: %s", fs->dir,
			    strerror(-r));
		return r;
	}
	fs->mounted = true;
	r = init_hooks(fs, fd);
	if (r < 0) {
		SAY("cannot start the FUSE session: %s", strerror(-r));
		mount_stop(fs);
		return r;
	}
	take_fd(&fd); /* the session closes it */
	return 0;
}

static bool on_path(const char *program)
{
	const char *path = getenv("PATH");
	AUTO_FREE char *copy = strdup(path != NULL ? path : "/usr/bin:/bin");
	char *save = NULL, file[PATH_MAX];

	if (copy == NULL)
		return true;
	for (char *d = strtok_r(copy, ":", &save); d != NULL;
	     d = strtok_r(NULL, ":", &save)) {
		snprintf(file, sizeof(file), "%s/%s", d, program);
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

/* Does /etc/fuse.conf let users give others access? */
static bool user_allow_other(void)
{
	AUTO_FREE char *line = NULL;
	bool found = false;
	size_t room = 0;
	FILE *f = fopen("/etc/fuse.conf", "re");

	if (f == NULL)
		return false;
	while (!found && getline(&line, &room, f) > 0)
		found = strncmp(line + strspn(line, " \t"), "user_allow_other",
				16) == 0;
	fclose(f);
	return found;
}

int mount_helper_ready(bool allow_other, char why[static MOUNT_WHY_MAX])
{
	if (!on_path("fusermount3")) {
		SAY("fusermount3 is absent, and only root mounts without it;"
		    " install the package fuse3");
		return -ENOENT;
	}
	if (allow_other && !user_allow_other()) {
		SAY("allow-other needs the line user_allow_other in"
		    " /etc/fuse.conf; add it, or mount as root");
		return -EPERM;
	}
	return 0;
}

static int mount_by_helper(struct fs *fs, char why[static MOUNT_WHY_MAX])
{
	int fd, r;

	r = mount_helper_ready(fs->conf.allow_other, why);
	if (r < 0)
		return r;
	fd = mount_open_device(why);
	if (fd < 0)
		return fd;
	close(fd);
	if (fuse_session_mount(fs->se, fs->dir) != 0) {
		SAY("fusermount3 could not mount on %.150s; its message above"
		    " says why",
		    fs->dir);
		return -EPERM;
	}
	fs->mounted = true;
	r = init_hooks(fs, fuse_session_fd(fs->se));
	if (r < 0) {
		SAY("cannot start the FUSE session: %s", strerror(-r));
		mount_stop(fs);
	}
	return r;
}

int mount_start(struct fs *fs, char why[static MOUNT_WHY_MAX])
{
	struct mount_entry e;
	int r;

	why[0] = '\0';
	r = prepare_dir(fs, why);
	if (r < 0)
		return r;
	fs->own_mount = geteuid() == 0;
	r = init_session(fs);
	if (r < 0) {
		SAY("cannot start the FUSE session: %s", strerror(-r));
		return r;
	}
	r = fs->own_mount ? mount_direct(fs, why) : mount_by_helper(fs, why);
	if (r < 0)
		return r;
	if (mount_find(fs->dir, &e) == 0)
		fs->dev = e.dev;
	if (!fs->own_mount && fs->conf.passthrough)
		log_info("mount: no passthrough, since only root has it: reads"
			 " come to the daemon");
	return 0;
}

void mount_stop(struct fs *fs)
{
	struct mount_entry e;

	if (!fs->mounted)
		return;
	fs->mounted = false;
	if (!fs->own_mount) {
		/* Detaches by fusermount3 if it is still there. */
		fuse_session_unmount(fs->se);
		return;
	}
	if (mount_find(fs->dir, &e) == 0 &&
	    (fs->dev == 0 || e.dev == fs->dev) &&
	    strcmp(e.fstype, MOUNT_FSTYPE) == 0 &&
	    umount2(fs->dir, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		log_warn("mount: cannot unmount %s: %s", fs->dir,
			 strerror(errno));
}

void mount_cut(struct fs *fs)
{
	AUTO_CLOSE int fd = -1;
	char file[64];

	snprintf(file, sizeof(file), "/sys/fs/fuse/connections/%u/abort",
		 minor(fs->dev));
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) < 0)
		log_warn("mount: cannot end the connection: %s",
			 strerror(errno));
}

void mount_wake(struct fs *fs)
{
	AUTO_CLOSE int fd = open(fs->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs sfs;
	struct statx sx;

	if (fd >= 0 &&
	    statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &sx) == 0 &&
	    makedev(sx.stx_dev_major, sx.stx_dev_minor) == fs->dev)
		(void)fstatfs(fd, &sfs);
	else
		mount_cut(fs); /* it was detached: no path leads there */
}
