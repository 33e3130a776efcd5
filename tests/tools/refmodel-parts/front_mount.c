/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_mount.c - a real mount of objsim, used as programs use it
 *
 * The test that starts it says in its environment where things are:
 * REFMODEL_TARN (the command), REFMODEL_SIM (objsim's URL), REFMODEL_WORK (a
 * directory for mounts, caches and logs). Each run has a bucket and a cache of
 * its own. Bytes are read by pread, by mmap, and through O_DIRECT; which
 * version a file is of says its attribute user.tarn.version.
 */
#include "tests/tools/refmodel-parts/front.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "tests/tools/refmodel-parts/mounted.h"
#include "tests/tools/refmodel-parts/scratch.h"
#include "tests/tools/refmodel-parts/sim.h"
#include "tests/tools/refmodel-parts/store.h"
#include "tests/tools/refmodel-parts/tamper.h"

#define SLACK_NS (300 * NSEC_PER_MSEC)
#define TWIN "%~="

enum { PATH_LEN = 512 };

struct slot {
	bool open, direct;
	int fd;
};

struct front_mount {
	struct front front;
	struct sim *sim;
	const char *tarn, *work;
	char mount[300], caches[2][300];
	struct slot slots[SLOTS];
};

static struct front_mount *of(struct front *f)
{
	return container_of(f, struct front_mount, front);
}

static int mount_it(struct front_mount *m)
{
	static const char *const on_off[] = { "off", "auto" };
	const struct config *c = m->front.config;
	char fresh[40], dirs[640];

	snprintf(fresh, sizeof(fresh), "ttl:%jdms",
		 (intmax_t)(c->ttl / NSEC_PER_MSEC));
	if (c->consistency == CONSISTENCY_STRICT)
		snprintf(fresh, sizeof(fresh), "strict");
	if (c->consistency == CONSISTENCY_IMMUTABLE)
		snprintf(fresh, sizeof(fresh), "immutable");
	snprintf(dirs, sizeof(dirs), "%s%s%s", m->caches[0],
		 c->dirs == 2 ? ":" : "", c->dirs == 2 ? m->caches[1] : "");
	return mounted_command(
		   m->work,
		   "%s mount s3://%s %s -o endpoint=%s,path-style=on,"
		   "cache-dir=%s,cache-size=%ju,memory=%zu,consistency=%s,"
		   "negative-ttl=%jdms,small-file=%ju,readahead=%ju,"
		   "prefetch=%s,passthrough=%s,read-timeout=20s,"
		   "metadata-timeout=20s,log=%s/refmodel.log,log-level=debug",
		   m->tarn, sim_bucket(m->sim), m->mount, sim_url(m->sim), dirs,
		   (uintmax_t)(c->dirs > 0 ? c->cache_size : 0),
		   MAX(c->memory, MIB(64)), fresh,
		   (intmax_t)(c->negative_ttl / NSEC_PER_MSEC),
		   (uintmax_t)c->small_file, (uintmax_t)c->readahead,
		   on_off[c->prefetch], on_off[c->passthrough], m->work) == 0
		   ? 0
		   : -EIO;
}

static int start(struct front *f)
{
	static unsigned runs;
	struct front_mount *m = of(f);

	m->tarn = getenv("REFMODEL_TARN");
	m->work = getenv("REFMODEL_WORK");
	if (m->tarn == NULL || m->work == NULL)
		return -EINVAL;
	runs++;
	m->sim = sim_new(runs, f->model->filler);
	if (m->sim == NULL)
		return -EINVAL;
	snprintf(m->mount, sizeof(m->mount), "%s/m%u", m->work, runs);
	if (mkdir(m->mount, 0755) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		snprintf(m->caches[i], sizeof(m->caches[i]), "%s/c%u.%d",
			 m->work, runs, i);
	return mount_it(m);
}

static int umount_it(struct front_mount *m)
{
	int r = mounted_command(m->work, "%s umount %s", m->tarn, m->mount);

	return r == 0 && mounted_ended(m->mount) ? 0 : -EBUSY;
}

static void slot_close(struct front *f, unsigned slot)
{
	struct slot *s = &of(f)->slots[slot];

	if (s->open)
		close(s->fd);
	s->open = false;
}

/* The mount's own count of open files, or -1. */
static int handles(struct front_mount *m)
{
	char line[1024];
	FILE *p;
	int n = -1;

	snprintf(line, sizeof(line), "%s status --json %s", m->tarn, m->mount);
	p = popen(line, "r");
	if (p == NULL)
		return -1;
	n = sim_json_handles(p);
	pclose(p);
	return n;
}

static void stop(struct front *f, char why[static 256])
{
	struct front_mount *m = of(f);
	int n = -1;

	why[0] = '\0';
	for (unsigned i = 0; i < SLOTS; i++)
		slot_close(f, i);
	/* The kernel tells of a close when it comes to it. */
	for (int i = 0; i < 100 && (n = handles(m)) != 0; i++)
		usleep(20000);
	if (n != 0)
		snprintf(why, 256, "%d open files", n);
	if (umount_it(m) < 0) {
		snprintf(why, 256, "it cannot be unmounted");
		mounted_command(m->work, "umount -l %s", m->mount);
	}
	rmdir(m->mount);
	for (int i = 0; i < 2; i++)
		scratch_remove(m->caches[i]);
}

static void path_of(const struct front_mount *m, unsigned key, bool twin,
		    char path[static PATH_LEN])
{
	const char *name = m->front.model->keys[key].name;
	const char *slash = strrchr(name, '/');
	int dir = slash != NULL ? (int)(slash - name) + 1 : 0;

	if (name[dir] == '\0') { /* a marker: its directory */
		snprintf(path, PATH_LEN, "%s/%.*s", m->mount, dir - 1, name);
		return;
	}
	snprintf(path, PATH_LEN, "%s/%.*s%s%s", m->mount, dir, name,
		 twin ? TWIN : "", name + dir);
}

/*
 * Open it as it is, or the file beside the directory of that name. -ENOENT:
 * neither, or a directory and no file that shows.
 */
static int open_name(struct front_mount *m, unsigned key, int flags,
		     struct seen *out, int *fd)
{
	char path[PATH_LEN];
	bool dir = false;
	int r;

	memset(out, 0, sizeof(*out));
	path_of(m, key, false, path);
	*fd = open(path, flags | O_CLOEXEC);
	/* A directory is not for O_DIRECT. */
	if (*fd < 0 && errno == EINVAL)
		*fd = open(path, O_PATH | O_CLOEXEC);
	out->by_file = *fd < 0 && errno == ENOTDIR;
	if (*fd < 0)
		return out->by_file ? -ENOENT : -errno;
	r = mounted_stat(*fd, &out->st, &dir);
	if (r == 0 && !dir) {
		out->object = out->dir_unknown = true;
		return 0;
	}
	close(*fd);
	if (r < 0)
		return r;
	out->dir = true;
	path_of(m, key, true, path);
	*fd = open(path, flags | O_CLOEXEC);
	if (*fd < 0) {
		out->twin_unknown = errno == ENOENT || errno == ENOTDIR;
		return out->twin_unknown ? -ENOENT : -errno;
	}
	r = mounted_stat(*fd, &out->st, &dir);
	out->object = r == 0;
	if (r < 0)
		close(*fd);
	return r;
}

static int lookup(struct front *f, unsigned key, struct seen *out)
{
	int fd, r = open_name(of(f), key, O_PATH | O_NOFOLLOW, out, &fd);

	if (r == 0)
		close(fd);
	return r;
}

static int slot_open(struct front *f, unsigned slot, unsigned key, unsigned how,
		     struct seen *out)
{
	struct slot *s = &of(f)->slots[slot];
	bool direct = how % 4 == 0;
	int fd, r;

	r = open_name(of(f), key, O_RDONLY | (direct ? O_DIRECT : 0), out, &fd);
	if (r < 0)
		return r;
	out->asked = direct;
	*s = (struct slot){ .open = true, .direct = direct, .fd = fd };
	return 0;
}

static int list(struct front *f, const char *dir, front_entry_cb *cb, void *arg)
{
	char path[PATH_LEN];
	struct dirent *e;
	DIR *d;
	int r;

	snprintf(path, sizeof(path), "%s/%s", of(f)->mount, dir);
	d = opendir(path);
	if (d == NULL)
		return -errno;
	for (;;) {
		bool is_dir;

		errno = 0;
		e = readdir(d);
		if (e == NULL)
			break;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		is_dir = e->d_type == DT_DIR;
		if (!is_dir && model_below(e->d_name, TWIN) != NULL)
			cb(arg, e->d_name + strlen(TWIN), false, NULL);
		else
			cb(arg, e->d_name, is_dir, NULL);
	}
	r = -errno;
	closedir(d);
	return r;
}

/* ---- reading ------------------------------------------------------------ */

struct read_thread {
	pthread_t thread;
	const struct slot *slot;
	struct reading *reading;
};

static void *read_main(void *arg)
{
	struct read_thread *t = arg;
	struct reading *r = t->reading;

	if (r->how % 4 == 2 && !t->slot->direct) {
		r->got =
		    mounted_read_mapped(t->slot->fd, r->buf, r->len, r->off);
		return NULL;
	}
	r->got = mounted_read(t->slot->fd, r->buf, r->len, r->off);
	return NULL;
}

static void read_slots(struct front *f, struct reading *r, size_t n)
{
	struct read_thread t[BURST_MAX];

	for (size_t i = 0; i < n; i++) {
		t[i].slot = &of(f)->slots[r[i].slot];
		t[i].reading = &r[i];
		must(pthread_create(&t[i].thread, NULL, read_main, &t[i]));
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(t[i].thread, NULL);
}

/* ---- what is done to it ------------------------------------------------- */

static int invalidate(struct front *f, const char *path)
{
	struct front_mount *m = of(f);

	return mounted_command(m->work, "%s invalidate %s/%s", m->tarn,
			       m->mount, path) == 0
		   ? 0
		   : -ENOENT;
}

static int restart(struct front *f, bool *killed, unsigned how)
{
	struct front_mount *m = of(f);
	int r;

	*killed = how % 2 == 0;
	if (!*killed)
		return umount_it(m) < 0 ? -EBUSY : mount_it(m);
	r = mounted_kill(m->work, m->mount);
	if (r < 0)
		return r;
	return mount_it(m);
}

static void tamper(struct front *f, const struct op *op)
{
	/* What the kernel was handed it reads as it is, until the next open. */
	if (!f->config->passthrough && f->config->dirs > 0)
		tamper_with(of(f)->caches[op->d % f->config->dirs], op);
}

static void forget(struct front *f)
{
	AUTO_CLOSE int fd =
	    open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	(void)f;
	if (fd >= 0)
		(void)!write(fd, "3\n", 2);
}

static void pass(struct front *f, int64_t ns)
{
	struct timespec ts = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	(void)f;
	nanosleep(&ts, NULL);
}

static void change(struct front *f, unsigned key)
{
	const struct version *v = model_now(f->model, key);
	const char *name = f->model->keys[key].name;

	if (v->id == 0)
		sim_delete(of(f)->sim, name);
	else
		sim_put(of(f)->sim, name, v);
}

static void fault(struct front *f, const struct op *op)
{
	sim_fault(of(f)->sim, op);
}

static void calm(struct front *f)
{
	sim_calm(of(f)->sim);
}

static bool excused(struct front *f, int err, int64_t begun)
{
	(void)begun;
	return (err == -EIO || err == -ETIMEDOUT || err == -EACCES ||
		err == -ESTALE || err == -EFAULT) &&
	       sim_failed(of(f)->sim);
}

static bool kept(struct front *f)
{
	(void)f;
	return false;
}

static void front_free(struct front *f)
{
	sim_free(of(f)->sim);
	free(of(f));
}

static const struct front_ops mount_ops = {
	.free = front_free,
	.start = start,
	.stop = stop,
	.lookup = lookup,
	.list = list,
	.open = slot_open,
	.close = slot_close,
	.read = read_slots,
	.invalidate = invalidate,
	.restart = restart,
	.tamper = tamper,
	.forget = forget,
	.pass = pass,
	.change = change,
	.fault = fault,
	.calm = calm,
	.excused = excused,
	.kept = kept,
};

struct front *front_mount_new(struct model *model, const struct config *config)
{
	struct front_mount *m = calloc(1, sizeof(*m));

	must(m == NULL);
	m->front = (struct front){ .ops = &mount_ops,
				   .model = model,
				   .config = config,
				   .slack = SLACK_NS };
	return &m->front;
}
