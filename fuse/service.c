/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.c - one mount at work: source, cache, file system, control
 */
#include "fuse/service.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "cache/cache.h"
#include "cache/staging.h"
#include "fuse/control.h"
#include "fuse/fs.h"
#include "fuse/history.h"
#include "fuse/limits.h"
#include "fuse/mount.h"
#include "fuse/places.h"
#include "fuse/service_writes.h"
#include "fuse/signals.h"
#include "fuse/source.h"
#include "fuse/start.h"
#include "fuse/status.h"
#include "fuse/worker.h"
#include "fuse/workers.h"
#include "ufs/ufs.h"

/* What was begun for others is answered, if it can be in this time. */
#define DRAIN (10 * NSEC_PER_SEC)

/* An absolute path through symlinks, of a directory that may be dead. */
static int resolve_dir(const char *where, char **out)
{
	AUTO_FREE char *abs = cli_absolute(where);
	AUTO_FREE char *parent = NULL;
	char *slash, *real;

	if (abs == NULL)
		return -ENOMEM;
	real = realpath(abs, NULL);
	if (real != NULL) {
		*out = real;
		return 0;
	}
	if (errno != ENOTCONN && errno != ECONNABORTED && errno != EIO &&
	    errno != EACCES)
		return -errno;
	slash = strrchr(abs, '/');
	*slash = '\0';
	parent = realpath(*abs != '\0' ? abs : "/", NULL);
	if (parent == NULL)
		return -errno;
	if (asprintf(out, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent,
		     slash + 1) < 0)
		return -ENOMEM;
	return 0;
}

static int check_dir(const char *where, char **dir, char why[static WHY_MAX])
{
	struct mount_entry e;
	struct stat st;
	int r = resolve_dir(where, dir);

	if (r == -ENOMEM)
		return r;
	if (r == -ENOENT) {
		snprintf(why, WHY_MAX,
			 "%.200s: there is no such directory; make it with "
			 "mkdir -p",
			 where);
		return -EINVAL;
	}
	if (r < 0) {
		snprintf(why, WHY_MAX, "%.200s: %s", where, strerror(-r));
		return -EINVAL;
	}
	if (mount_is_dead(*dir))
		return 0; /* fs_mount() removes it; a stat may not tell */
	if (stat(*dir, &st) < 0) {
		snprintf(why, WHY_MAX, "%.200s: %s", where, strerror(errno));
		return -EINVAL;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(why, WHY_MAX,
			 "%.200s is not a directory; name one to mount on",
			 where);
		return -EINVAL;
	}
	if (strcmp(*dir, "/") == 0) {
		snprintf(why, WHY_MAX,
			 "/ cannot be mounted on; name another directory");
		return -EINVAL;
	}
	if (mount_find(*dir, &e) == 0 && strncmp(e.fstype, "fuse", 4) == 0) {
		snprintf(
		    why, WHY_MAX,
		    "%.200s is in use: %.100s is mounted there; unmount it "
		    "with %s",
		    where, e.source,
		    strcmp(e.fstype, MOUNT_FSTYPE) == 0 ? "tarn umount"
							: "umount");
		return -EINVAL;
	}
	return 0;
}

int service_check(const char *source, const char *where, char **out_source,
		  char **dir, char why[static WHY_MAX])
{
	int r = source_check(source, out_source, why);

	return r < 0 ? r : check_dir(where, dir, why);
}

static int mount_fs(struct service *s, char why[static WHY_MAX])
{
	const struct options *o = s->options;
	int64_t ttl;
	char words[256] = "";
	struct fs_conf conf = {
		.cache = s->cache,
		.staging = s->staging,
		.uid = (uid_t)options_number(o, OPT_UID),
		.gid = (gid_t)options_number(o, OPT_GID),
		.file_mode = (mode_t)options_number(o, OPT_FILE_MODE),
		.dir_mode = (mode_t)options_number(o, OPT_DIR_MODE),
		.writeback =
		    strcmp(options_text(o, OPT_COMMIT), "writeback") == 0,
		.ignore_perms = options_number(o, OPT_IGNORE_PERMS) != 0,
		.rename_dir_limit =
		    (size_t)options_number(o, OPT_RENAME_DIR_LIMIT),
		.consistency = options_consistency(o, &ttl),
		.small_file = (uint64_t)options_number(o, OPT_SMALL_FILE),
		.inode_bytes =
		    limits_inodes((uint64_t)options_number(o, OPT_MEMORY)),
		.passthrough =
		    strcmp(options_text(o, OPT_PASSTHROUGH), "off") != 0,
		.writes = writes_begin,
		.writes_arg = s,
		.source = s->source,
		.dir = s->dir,
		.allow_other = options_number(o, OPT_ALLOW_OTHER),
		.exec = o->exec,
		.suid = o->suid,
		.dev = o->dev,
	};
	int r;

	if (s->workers != NULL) {
		conf.owner = workers_owner;
		conf.told = workers_told;
		conf.workers = s->workers;
	}
	r = fs_new(&conf, &s->fs);

	if (r < 0) {
		snprintf(why, WHY_MAX, "cannot start: %s", strerror(-r));
		return r;
	}
	r = fs_mount(s->fs, words);
	if (r < 0) {
		snprintf(why, WHY_MAX, "%s",
			 words[0] != '\0' ? words : strerror(-r));
		return r;
	}
	atomic_store(&s->mounted, s->fs);
	return 0;
}

void service_stop(struct service *s)
{
	struct fs *fs;

	cancel_set(&s->stopping);
	fs = atomic_load(&s->mounted);
	if (fs != NULL)
		fs_stop(fs);
}

static void on_end(void *arg)
{
	struct service *s = arg;
	size_t lost;

	log_info("tarn: told to end; unmounting %s", s->dir);
	/* Who says it twice does not want to wait. */
	if (atomic_fetch_add(&s->told, 1) > 0 && atomic_load(&s->settling)) {
		/* service_close() joins this thread before it frees that. */
		lost = staging_keep(s->staging);
		if (lost > 0)
			log_err("tarn: of what was written last %zu file%s in "
				"memory could not be kept",
				lost, lost == 1 ? "" : "s");
		log_warn(
		    "tarn: commits are not waited for: what the store does "
		    "not have yet is %skept in %s",
		    lost > 0 ? "else " : "",
		    options_text(s->options, OPT_STAGING_DIR));
		_exit(1);
	}
	service_stop(s);
	/* Until it is mounted open_all() may be at it. */
	if (atomic_load(&s->mounted) != NULL && s->worker != NULL)
		worker_told(s->worker);
}

static void on_reload(void *arg)
{
	struct service *s = arg;

	start_reload_level(s->options, s->config);
	/* Until then open_all() may be at it: what it opens is new anyway. */
	if (atomic_load(&s->mounted) != NULL) {
		if (s->store->ops->reload != NULL)
			s->store->ops->reload(s->store);
		if (s->worker != NULL)
			worker_reload(s->worker);
	}
	log_info("tarn: read credentials and log level again");
}

static void on_dump(void *arg)
{
	struct service *s = arg;

	if (atomic_load(&s->mounted) != NULL)
		status_log(s);
}

static void on_tick(void *arg)
{
	(void)arg;
	history_take(clock_ns());
}

/* Is what this mount keeps elsewhere than below itself? */
static int check_places(struct service *s, char why[static WHY_MAX])
{
	char none[WHY_MAX];

	/* Without a default writes_open() says what is to be done. */
	(void)source_writes_defaults(s->options, true, none);
	return places_check(s->options, s->dir, why);
}

static int open_all(struct service *s, char why[static WHY_MAX])
{
	const bool serve = options_is_set(s->options, OPT_SERVE);
	/* What is served is another's cache in the same directories. */
	const struct source_use how = { .share = serve ? 2 : 1, .ahead = true };
	struct signals_do what = {
		.arg = s,
		.end = on_end,
		.reload = on_reload,
		.dump = on_dump,
		.tick = on_tick,
		.tick_ms = HISTORY_EVERY_MS,
	};
	int r = source_defaults(s->options, true, why);

	if (r == 0)
		r = check_places(s, why);
	/* First of all, as from here on others are waited for. */
	if (r == 0) {
		r = signals_start(&what, &s->signals);
		if (r < 0)
			snprintf(why, WHY_MAX, "cannot start a thread: %s",
				 strerror(-r));
	}
	if (r == 0)
		r = source_open(s->options, s->source, &s->stopping, &s->store,
				why);
	if (r == 0)
		r = source_ask(s->source, s->store, &s->empty, &s->stopping,
			       why);
	if (r == 0)
		r = workers_open(s->options, s->source, s->store, &s->stopping,
				 &s->workers, why);
	if (r == 0)
		r = source_cache(s->options,
				 s->workers != NULL ? workers_ufs(s->workers)
						    : s->store,
				 &how, &s->cache, why);
	if (r == 0)
		r = writes_open(s, why);
	if (r == 0 && serve)
		r = worker_open_beside(s->options, s->source, &s->stopping,
				       &s->worker, why);
	if (r == 0)
		r = mount_fs(s, why);
	if (r == 0)
		r = control_start(s, &s->control, why);
	if (r == 0 && cancelled(&s->stopping)) {
		snprintf(why, WHY_MAX, "interrupted; nothing is mounted");
		r = -ECANCELED;
	}
	return r;
}

int service_open(struct options *o, const char *config, const char *source,
		 const char *dir, struct service **out,
		 char why[static WHY_MAX])
{
	struct service *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	snprintf(why, WHY_MAX, "out of memory; nothing is mounted");
	if (s == NULL)
		return -ENOMEM;
	s->options = o;
	s->config = config;
	s->started = clock_ns();
	history_take(s->started);
	s->source = strdup(source);
	s->dir = strdup(dir);
	if (s->source != NULL && s->dir != NULL)
		r = open_all(s, why);
	if (r < 0)
		service_close(s);
	else
		*out = s;
	return r;
}

/* What was written goes to the store, while signals are still heard of. */
static int settle(struct service *s)
{
	size_t kept;

	if (s->staging == NULL)
		return 0;
	atomic_store(&s->settling, true);
	fs_settle(s->fs);
	kept = staging_settle(s->staging);
	atomic_store(&s->settling, false);
	if (kept == 0)
		return 0;
	log_err("tarn: %s: the store does not have what was written to %zu "
		"files; it is kept in %s",
		s->dir, kept, options_text(s->options, OPT_STAGING_DIR));
	return -EIO;
}

int service_serve(struct service *s)
{
	int saved, r;

	log_info("tarn: %s is mounted on %s", s->source, s->dir);
	r = fs_serve(s->fs);
	if (r < 0)
		log_err("tarn: %s: serving ended: %s", s->dir, strerror(-r));
	else
		log_info("tarn: %s is unmounted", s->dir);
	/* The mount is no more; then, while signals are still heard of: */
	control_stop(take_ptr(s->control));
	saved = settle(s);
	if (s->worker != NULL)
		worker_drain(s->worker, DRAIN);
	return r < 0 ? r : saved;
}

void service_close(struct service *s)
{
	if (s == NULL)
		return;
	cancel_set(&s->stopping);
	/* The signals' thread and the control interface use what is below. */
	signals_stop(s->signals);
	control_stop(s->control);
	fs_free(s->fs);
	writes_end(s);
	worker_close(s->worker);
	staging_free(s->staging);
	if (s->cache != NULL)
		cache_free(s->cache);
	workers_close(s->workers);
	ufs_close(s->store);
	free(s->source);
	free(s->dir);
	free(s);
}

static const char *passthrough_words(const struct service *s, bool answers)
{
	struct cache_disk_status d;

	if (strcmp(options_text(s->options, OPT_PASSTHROUGH), "off") == 0)
		return "off, as asked for";
	if (cache_disks(s->cache, &d, 1) == 0)
		return "off: there is no cache on the SSD";
	if (geteuid() != 0)
		return "off: only root has it";
	if (!answers)
		return "auto: tried at the first request";
	return fs_passthrough(s->fs)
		   ? "on: the kernel reads complete files by itself"
		   : "off: not here; the log tells why";
}

void service_print(const struct service *s, FILE *f, bool answers)
{
	const struct options *o = s->options;
	char words[256] = "", size[32];

	if (s->store->ops->describe != NULL)
		s->store->ops->describe(s->store, words, sizeof(words));
	fprintf(f, "%s is mounted on %s%s\n", s->source, s->dir,
		s->staging == NULL ? ", read only" : "");
	if (words[0] != '\0')
		fprintf(f, "  source       %s\n", words);
	if (s->empty)
		fprintf(f, "  note         nothing is there yet; check the "
			   "prefix if that surprises\n");
	source_print_cache(s->cache, f);
	writes_print(s, f);
	fprintf(f, "  memory       %s\n",
		units_format_size((uint64_t)options_number(o, OPT_MEMORY), size,
				  sizeof(size)));
	workers_print(s->workers, f);
	if (s->worker != NULL)
		fprintf(f, "  serve        %s\n",
			options_text(o, OPT_ADVERTISE));
	fprintf(f, "  passthrough  %s\n", passthrough_words(s, answers));
	fprintf(f, "  consistency  %s\n", options_text(o, OPT_CONSISTENCY));
}
