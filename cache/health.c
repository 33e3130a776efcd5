/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health.c - is this disk to be used?
 *
 *   ok        all is used
 *   degraded  three errors in a minute: read, but nothing new is written
 *   off       ten, or a failed probe, or the directory is gone: not touched
 *
 * Every ten seconds a probe writes, reads back and unlinks a small file. It
 * takes the disk back unless errors came since the probe before: never is a
 * disk given up for good. While all is well the probe stays in the page
 * cache; otherwise it must reach the device. What was lost on a disk that was
 * off nobody knows, so nothing on it counts as verified any more, and the
 * scrub reads all of it.
 *
 * The probe also looks whether the path still names our directory. When it
 * was moved away we stop writing there, and when nothing is at the path any
 * more the directory is made anew.
 */
#include "cache/disk_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/log.h"
#include "base/stats.h"

enum disk_state disk_state(const struct disk *d)
{
	return (enum disk_state)atomic_load_explicit(&d->state,
						     memory_order_relaxed);
}

unsigned disk_turns(const struct disk *d)
{
	return atomic_load(&d->turns);
}

const char *disk_state_name(enum disk_state s)
{
	static const char *const names[] = { "ok", "degraded", "off" };

	return names[s];
}

static void set_state(struct disk *d, enum disk_state to, const char *why)
{
	enum disk_state from;

	/* Before the state: who sees it taken back knows that it was off. */
	if ((to == DISK_OFF) != (disk_state(d) == DISK_OFF))
		atomic_fetch_add(&d->turns, 1);
	from = (enum disk_state)atomic_exchange(&d->state, to);
	if (from == to)
		return;
	if (to == DISK_OK)
		log_info("cache: %s: %s: in use again", d->dir, why);
	else
		log_warn("cache: %s: %s: now %s", d->dir, why,
			 disk_state_name(to));
}

/* What says something about the request, not about the disk. */
static bool harmless(int err)
{
	switch (-err) {
	case 0:
	case EAGAIN:
	case EBUSY:
	case EEXIST:
	case EINTR:
	case EMFILE:
	case ENFILE:
	case ENOENT:
	case ENOMEM:
		return true;
	default:
		return false;
	}
}

void disk_failed(struct disk *d, int err, const char *what)
{
	int64_t now = clock_ns();
	unsigned recent = 0;

	if (err == -ENOSPC || err == -EDQUOT) {
		atomic_store(&d->full, true);
		disk_kick(d, &d->kick_space);
		return;
	}
	if (harmless(err))
		return;
	stat_inc(STAT_ssd_errors);
	if (disk_state(d) == DISK_OFF)
		return;
	lock_take(&d->lock);
	d->errors[d->nerrors % ERRORS_OFF] = now;
	d->nerrors++;
	for (unsigned i = 0; i < MIN(d->nerrors, ERRORS_OFF); i++)
		recent += now - d->errors[i] < ERRORS_WINDOW;
	lock_drop(&d->lock);
	log_warn("cache: %s: %s: %s", d->dir, what, strerror(-err));
	if (recent >= ERRORS_OFF)
		set_state(d, DISK_OFF, "too many errors");
	else if (recent >= ERRORS_DEGRADE && disk_state(d) == DISK_OK)
		set_state(d, DISK_DEGRADED, "several errors");
}

/*
 * 0: the path names the directory we hold, and its parts are linked. 1: it
 * is absent or lost a part, to be made anew. -errno: something else is
 * there.
 */
static int check_place(const struct disk *d)
{
	struct stat at, held, part;

	if (lstat(d->dir, &at) < 0)
		return errno == ENOENT ? 1 : -errno;
	if (fstat(d->root, &held) < 0)
		return -errno;
	if (at.st_dev != held.st_dev || at.st_ino != held.st_ino)
		return -ESTALE;
	if (fstatat(d->root, "v1", &part, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstat(d->v1, &held) < 0 || part.st_ino != held.st_ino ||
	    fstatat(d->root, "tmp", &part, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstat(d->tmp, &held) < 0 || part.st_ino != held.st_ino)
		return 1;
	return 0;
}

/* -ENOENT where it cannot be: unless all is in place, look at once. */
void disk_gone(struct disk *d)
{
	if (check_place(d) == 0)
		return;
	atomic_store(&d->gone, true);
	set_state(d, DISK_OFF, "the directory is gone");
	disk_kick(d, &d->kick_health);
}

/* Write a small file and read it back; to the device unless all is well. */
static int check_io(struct disk *d, bool device)
{
	uint64_t wrote[512], got[512];
	char name[40];
	AUTO_CLOSE int fd = -1;
	ssize_t n;
	int r = 0;

	snprintf(name, sizeof(name), "probe-%016jx", (uintmax_t)d->token);
	fd = openat(d->tmp, name,
		    O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) /* no space says nothing about the device */
		return errno == ENOSPC || errno == EDQUOT ? 0 : -errno;
	for (size_t i = 0; i < ARRAY_SIZE(wrote); i++)
		wrote[i] = d->token * (i + 1);
	n = pwrite(fd, wrote, sizeof(wrote), 0);
	if (n < 0)
		r = errno == ENOSPC || errno == EDQUOT ? 0 : -errno;
	else if (n < (ssize_t)sizeof(wrote))
		r = 0; /* no space */
	else if (device && fdatasync(fd) < 0)
		r = -errno;
	else if (device && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		r = -EIO;
	else if (pread(fd, got, sizeof(got), 0) != (ssize_t)sizeof(got) ||
		 memcmp(wrote, got, sizeof(got)) != 0)
		r = -EIO;
	if (unlinkat(d->tmp, name, 0) < 0 && r == 0)
		r = -errno;
	return r;
}

/* True when the disk may be used. */
bool disk_probe(struct disk *d)
{
	char why[256] = "";
	int r = check_place(d);

	if (r < 0) {
		set_state(d, DISK_OFF, "another directory is in its place");
		/* Perhaps a good one: judged as at the start. */
		r = 1;
	}
	if (r == 1) {
		atomic_store(&d->gone, true);
		set_state(d, DISK_OFF, "the directory is gone");
		r = disk_attach(d, why);
		if (r < 0) {
			log_debug(LOG_CACHE, "cache: probe: %s", why);
			return false;
		}
	}
	r = check_io(d, disk_state(d) != DISK_OK);
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		return disk_state(d) != DISK_OFF;
	if (r < 0) {
		stat_inc(STAT_ssd_errors);
		set_state(d, DISK_OFF, strerror(-r));
	}
	return r == 0;
}

void *disk_health_main(void *arg)
{
	struct disk *d = arg;
	unsigned before = 0;

	pthread_setname_np(pthread_self(), "tarn-health");
	while (disk_wait(d, &d->kick_health, clock_ns() + d->probe_every)) {
		unsigned now;
		bool good = disk_probe(d);
		bool back, was_off;

		lock_take(&d->lock);
		now = d->nerrors;
		back = good && now == before && disk_state(d) != DISK_OK;
		if (back)
			for (size_t i = 0; i < ERRORS_OFF; i++)
				d->errors[i] = -2 * ERRORS_WINDOW;
		lock_drop(&d->lock);
		was_off = disk_state(d) == DISK_OFF;
		if (back)
			set_state(d, DISK_OK, "a probe succeeded");
		if (back && was_off)
			disk_scrub(d);
		before = now;
	}
	return NULL;
}
