/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_front_mount.c - two real mounts of one bucket of objsim
 *
 * The environment is that of front_mount.c. Each run has a bucket, and each
 * mount a cache and a staging-dir of its own. A mount that is killed comes back
 * with an empty cache and the staging-dir that it left. What was not there is
 * never remembered (negative-ttl=0): who makes a name that another has made is
 * to know of that.
 */
#include "tests/tools/refmodel-parts/write_front.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include "tests/tools/refmodel-parts/mounted.h"
#include "tests/tools/refmodel-parts/scratch.h"
#include "tests/tools/refmodel-parts/sim.h"

enum { PATH_LEN = 400, RELEASE_TRIES = 500 };

struct side {
	char mount[300], cache[300], staging[300];
	bool mounted;
	bool releasing; /* a close may have its release to come */
};

struct slot {
	bool open;
	unsigned mount;
	int fd;
};

struct front_mount {
	struct write_front front;
	struct sim *sim;
	const char *tarn, *work;
	struct side sides[WRITE_MOUNTS];
	struct slot slots[WRITE_SLOTS];
	bool killed;
};

static struct front_mount *of(struct write_front *f)
{
	return container_of(f, struct front_mount, front);
}

static int mount_it(struct front_mount *m, unsigned mount)
{
	const struct write_config *c = m->front.config;
	struct side *s = &m->sides[mount];
	int r;

	r = mounted_command(
	    m->work,
	    "%s mount s3://%s %s -o rw,endpoint=%s,path-style=on,"
	    "cache-dir=%s,cache-size=%s,memory=64M,staging-dir=%s,"
	    "consistency=%s,negative-ttl=0,conflict=%s,passthrough=%s,"
	    "small-file=64K,read-timeout=20s,metadata-timeout=20s,"
	    "log=%s/refmodel.log,log-level=debug",
	    m->tarn, sim_bucket(m->sim), s->mount, sim_url(m->sim), s->cache,
	    c->no_cache ? "0" : "1G", s->staging,
	    c->strict ? "strict" : "ttl:60s",
	    c->last_wins ? "last-wins" : "fail",
	    c->passthrough ? "auto" : "off", m->work);
	s->mounted = r == 0;
	return r == 0 ? 0 : -EIO;
}

static int start(struct write_front *f)
{
	static unsigned runs;
	struct front_mount *m = of(f);
	int r = 0;

	m->tarn = getenv("REFMODEL_TARN");
	m->work = getenv("REFMODEL_WORK");
	if (m->tarn == NULL || m->work == NULL)
		return -EINVAL;
	runs++;
	m->sim = sim_new(runs, 0);
	if (m->sim == NULL)
		return -EINVAL;
	for (unsigned i = 0; i < WRITE_MOUNTS && r == 0; i++) {
		struct side *s = &m->sides[i];

		snprintf(s->mount, sizeof(s->mount), "%s/m%u.%u", m->work, runs,
			 i);
		snprintf(s->cache, sizeof(s->cache), "%s/c%u.%u", m->work, runs,
			 i);
		snprintf(s->staging, sizeof(s->staging), "%s/s%u.%u", m->work,
			 runs, i);
		r = mkdir(s->mount, 0755) < 0 ? -errno : mount_it(m, i);
	}
	return r;
}

static int umount_it(struct front_mount *m, unsigned mount)
{
	struct side *s = &m->sides[mount];
	int r = mounted_command(m->work, "%s umount %s", m->tarn, s->mount);

	s->mounted = false;
	return r == 0 && mounted_ended(s->mount) ? 0 : -EBUSY;
}

static void stop(struct write_front *f, char why[static 256])
{
	struct front_mount *m = of(f);

	why[0] = '\0';
	for (unsigned i = 0; i < WRITE_MOUNTS; i++) {
		struct side *s = &m->sides[i];

		if (s->mounted && umount_it(m, i) < 0) {
			snprintf(why, 256, "it cannot be unmounted");
			mounted_command(m->work, "umount -l %s", s->mount);
		}
		rmdir(s->mount);
		scratch_remove(s->cache);
		scratch_remove(s->staging);
	}
}

static void path_of(const struct front_mount *m, unsigned mount,
		    const char *name, char path[static PATH_LEN])
{
	snprintf(path, PATH_LEN, "%s/%s", m->sides[mount].mount, name);
}

/* ---- files -------------------------------------------------------------- */

/*
 * The release of a close comes behind its answer, and until then its file is
 * what the name means. It is there when there are no more handles than slots.
 */
static void await_release(struct front_mount *m, unsigned mount)
{
	struct side *s = &m->sides[mount];
	unsigned open = 0;

	if (!s->releasing)
		return;
	for (unsigned i = 0; i < WRITE_SLOTS; i++)
		open += m->slots[i].open && m->slots[i].mount == mount;
	mounted_command(m->work,
			"for i in $(seq %d); do "
			"n=$(%s status %s --json |"
			" sed -n 's/.*\"handles\": *\\([0-9]*\\).*/\\1/p');"
			" [ \"$n\" -gt %u ] || break; sleep 0.01; done",
			RELEASE_TRIES, m->tarn, s->mount, open);
	s->releasing = false;
}

/*
 * What mount (WRITE_MOUNTS: the store) is about to change, the others know by
 * their next open, unless it comes before a release.
 */
static void await_others(struct front_mount *m, unsigned mount)
{
	for (unsigned i = 0; i < WRITE_MOUNTS; i++)
		if (i != mount)
			await_release(m, i);
}

static int slot_open(struct write_front *f, unsigned mount, unsigned slot,
		     unsigned key, int flags, struct ufs_stat *st)
{
	struct front_mount *m = of(f);
	char path[PATH_LEN];
	bool dir;
	int r, fd;

	path_of(m, mount, write_keys[key], path);
	fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = mounted_stat(fd, st, &dir);
	/* One that is not in the store yet has no version. */
	if (r == -ENODATA)
		r = 0;
	if (r < 0) {
		close(fd);
		return r;
	}
	m->slots[slot] =
	    (struct slot){ .open = true, .mount = mount, .fd = fd };
	return 0;
}

static int slot_close(struct write_front *f, unsigned slot)
{
	struct front_mount *m = of(f);
	struct slot *s = &m->slots[slot];
	int r;

	await_others(m, s->mount);
	r = close(s->fd) < 0 ? -errno : 0;
	s->open = false;
	m->sides[s->mount].releasing = true;
	/* What could not be committed is what it means, too. */
	if (r < 0)
		await_release(m, s->mount);
	return r;
}

static ssize_t slot_read(struct write_front *f, unsigned slot, void *p,
			 size_t n, uint64_t off, unsigned how)
{
	int fd = of(f)->slots[slot].fd;

	return how % 4 == 2 && (fcntl(fd, F_GETFL) & O_DIRECT) == 0
		   ? mounted_read_mapped(fd, p, n, off)
		   : mounted_read(fd, p, n, off);
}

static ssize_t slot_write(struct write_front *f, unsigned slot, const void *p,
			  size_t n, uint64_t off, unsigned how)
{
	int fd = of(f)->slots[slot].fd;
	size_t done = 0;

	(void)how;
	while (done < n) {
		ssize_t r = pwrite(fd, (const char *)p + done, n - done,
				   (off_t)(off + done));

		if (r < 0)
			return -errno;
		done += (size_t)r;
	}
	return (ssize_t)n;
}

static int truncate_slot(struct write_front *f, unsigned slot, uint64_t size)
{
	return ftruncate(of(f)->slots[slot].fd, (off_t)size) < 0 ? -errno : 0;
}

static int truncate_key(struct write_front *f, unsigned mount, unsigned key,
			uint64_t size)
{
	char path[PATH_LEN];

	await_others(of(f), mount);
	path_of(of(f), mount, write_keys[key], path);
	return truncate(path, (off_t)size) < 0 ? -errno : 0;
}

static int allocate(struct write_front *f, unsigned slot, uint64_t off,
		    uint64_t n)
{
	int fd = of(f)->slots[slot].fd;

	return fallocate(fd, 0, (off_t)off, (off_t)n) < 0 ? -errno : 0;
}

static int64_t seek(struct write_front *f, unsigned slot, uint64_t off,
		    bool hole)
{
	off_t at = lseek(of(f)->slots[slot].fd, (off_t)off,
			 hole ? SEEK_HOLE : SEEK_DATA);

	return at < 0 ? -errno : at;
}

static int slot_fsync(struct write_front *f, unsigned slot)
{
	await_others(of(f), of(f)->slots[slot].mount);
	return fsync(of(f)->slots[slot].fd) < 0 ? -errno : 0;
}

/* ---- names -------------------------------------------------------------- */

static int stat_key(struct write_front *f, unsigned mount, unsigned key,
		    struct ufs_stat *st)
{
	char path[PATH_LEN];
	AUTO_CLOSE int fd = -1;
	bool dir;
	int r;

	path_of(of(f), mount, write_keys[key], path);
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = mounted_stat(fd, st, &dir);
	return r == -ENODATA ? 0 : r;
}

static int list(struct write_front *f, unsigned mount, const char *dir,
		write_name_cb *cb, void *arg)
{
	char path[PATH_LEN];
	struct dirent *e;
	DIR *d;
	int r;

	path_of(of(f), mount, dir, path);
	d = opendir(path);
	if (d == NULL)
		return -errno;
	for (;;) {
		errno = 0;
		e = readdir(d);
		if (e == NULL)
			break;
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			cb(arg, e->d_name, e->d_type == DT_DIR);
	}
	r = -errno;
	closedir(d);
	return r;
}

static int unlink_key(struct write_front *f, unsigned mount, unsigned key)
{
	char path[PATH_LEN];

	await_others(of(f), mount);
	path_of(of(f), mount, write_keys[key], path);
	return unlink(path) < 0 ? -errno : 0;
}

static int rename_key(struct write_front *f, unsigned mount, unsigned from,
		      unsigned to, bool noreplace)
{
	char old[PATH_LEN], new[PATH_LEN];

	await_others(of(f), mount);
	path_of(of(f), mount, write_keys[from], old);
	path_of(of(f), mount, write_keys[to], new);
	return renameat2(AT_FDCWD, old, AT_FDCWD, new,
			 noreplace ? RENAME_NOREPLACE : 0) < 0
		   ? -errno
		   : 0;
}

static int make_dir(struct write_front *f, unsigned mount, unsigned dir)
{
	char path[PATH_LEN];

	path_of(of(f), mount, write_dirs[dir], path);
	return mkdir(path, 0755) < 0 ? -errno : 0;
}

static int remove_dir(struct write_front *f, unsigned mount, unsigned dir)
{
	char path[PATH_LEN];

	path_of(of(f), mount, write_dirs[dir], path);
	return rmdir(path) < 0 ? -errno : 0;
}

/* ---- its ends ----------------------------------------------------------- */

static int restart(struct write_front *f, unsigned mount, bool kill)
{
	struct front_mount *m = of(f);
	struct side *s = &m->sides[mount];
	int r;

	if (!kill)
		return umount_it(m, mount) < 0 ? -EBUSY : mount_it(m, mount);
	m->killed = true;
	r = mounted_kill(m->work, s->mount);
	s->mounted = false;
	for (unsigned i = 0; i < WRITE_SLOTS; i++)
		if (m->slots[i].open && m->slots[i].mount == mount)
			(void)slot_close(f, i);
	s->releasing = false;
	scratch_remove(s->cache);
	return r < 0 ? r : mount_it(m, mount);
}

static const char *staging_dir(struct write_front *f, unsigned mount)
{
	return of(f)->sides[mount].staging;
}

/* ---- the store ---------------------------------------------------------- */

static void look(struct write_front *f, const char *key, struct looked *out)
{
	*out = (struct looked){ .there = false };
	out->there = sim_look(of(f)->sim, key, out->version, &out->size);
}

static void fetch(struct write_front *f, const char *key, void *p,
		  uint64_t size)
{
	sim_fetch(of(f)->sim, key, p, size);
}

static void put(struct write_front *f, const char *key, const void *p,
		uint64_t size)
{
	await_others(of(f), WRITE_MOUNTS);
	sim_put_bytes(of(f)->sim, key, p, size);
}

static void remove_there(struct write_front *f, const char *key)
{
	await_others(of(f), WRITE_MOUNTS);
	sim_delete(of(f)->sim, key);
}

/* A kill may have come before it was written down that one had begun. */
static unsigned uploads(struct write_front *f)
{
	return sim_uploads(of(f)->sim, of(f)->killed);
}

static void fault(struct write_front *f, const struct op *op)
{
	sim_write_fault(of(f)->sim, op);
}

static void calm(struct write_front *f)
{
	sim_calm(of(f)->sim);
}

static bool failed(struct write_front *f)
{
	return sim_failed(of(f)->sim);
}

static size_t fired(struct write_front *f)
{
	struct sim *sim = of(f)->sim;

	return sim != NULL ? (size_t)sim_fired(sim) : 0;
}

static void front_free(struct write_front *f)
{
	sim_free(of(f)->sim);
	free(of(f));
}

static const struct write_front_ops mount_ops = {
	.free = front_free,
	.start = start,
	.stop = stop,
	.open = slot_open,
	.close = slot_close,
	.read = slot_read,
	.write = slot_write,
	.truncate_slot = truncate_slot,
	.truncate = truncate_key,
	.allocate = allocate,
	.seek = seek,
	.fsync = slot_fsync,
	.stat = stat_key,
	.list = list,
	.unlink = unlink_key,
	.rename = rename_key,
	.mkdir = make_dir,
	.rmdir = remove_dir,
	.restart = restart,
	.staging_dir = staging_dir,
	.look = look,
	.fetch = fetch,
	.put = put,
	.remove = remove_there,
	.uploads = uploads,
	.fault = fault,
	.calm = calm,
	.failed = failed,
	.fired = fired,
};

struct write_front *write_front_mount_new(const struct write_config *config)
{
	struct front_mount *m = calloc(1, sizeof(*m));

	must(m == NULL);
	/* Small files are in memory for a second. */
	m->front = (struct write_front){ .ops = &mount_ops,
					 .config = config,
					 .forgets = MIB(1) };
	return &m->front;
}
