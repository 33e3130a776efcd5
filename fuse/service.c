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
#include "fuse/control.h"
#include "fuse/fs.h"
#include "fuse/limits.h"
#include "fuse/mount.h"
#include "fuse/signals.h"
#include "fuse/status.h"
#include "ufs/ufs.h"

static int check_source(const char *source, char why[static WHY_MAX])
{
	const char *rest = strstr(source, "://");
	size_t scheme = rest != NULL ? (size_t)(rest - source) : 0;

	if (rest == NULL) {
		snprintf(why, WHY_MAX,
			 "%.200s is no source; write s3://BUCKET/PREFIX or "
			 "file:///DIRECTORY",
			 source);
		return -EINVAL;
	}
	rest += 3;
	if (strncmp(source, "s3", scheme) == 0 && scheme == 2 &&
	    memchr(rest, '@', strcspn(rest, "/")) != NULL) {
		/* Not quoted: it may hold keys. */
		snprintf(why, WHY_MAX,
			 "s3://...: keys do not belong in a source; put them "
			 "into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
			 "the shared credentials file");
		return -EINVAL;
	}
	return 0;
}

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

int service_check_source(const char *source, char **out,
			 char why[static WHY_MAX])
{
	size_t n = strlen(source);
	int r = check_source(source, why);

	if (r < 0)
		return r;
	*out = strdup(source);
	if (*out == NULL)
		return -ENOMEM;
	while (n > 1 && source[n - 1] == '/' && source[n - 2] != '/' &&
	       source[n - 2] != ':')
		(*out)[--n] = '\0';
	return 0;
}

int service_check(const char *source, const char *where, char **out_source,
		  char **dir, char why[static WHY_MAX])
{
	int r = service_check_source(source, out_source, why);

	return r < 0 ? r : check_dir(where, dir, why);
}

/* Make the parents of the default cache directory. */
static void make_parents(const char *dir)
{
	AUTO_FREE char *path = strdup(dir);
	char *slash = path;

	while (slash != NULL && (slash = strchr(slash + 1, '/')) != NULL) {
		*slash = '\0';
		(void)mkdir(path, 0700); /* cache_new() says what is wrong */
		*slash = '/';
	}
}

static int default_cache_dir(struct options *o, bool make,
			     char why[static WHY_MAX])
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	AUTO_FREE char *dir = NULL;
	int r;

	if (options_is_set(o, OPT_CACHE_DIR))
		return 0;
	if (geteuid() == 0)
		r = asprintf(&dir, "/var/cache/tarn");
	else if (xdg != NULL && *xdg == '/')
		r = asprintf(&dir, "%s/tarn", xdg);
	else if (home != NULL && *home == '/')
		r = asprintf(&dir, "%s/.cache/tarn", home);
	else {
		snprintf(why, WHY_MAX,
			 "there is no HOME to keep the cache "
			 "in; say where with cache-dir=");
		return -EINVAL;
	}
	if (r < 0)
		return -ENOMEM;
	if (make)
		make_parents(dir);
	return options_default(o, OPT_CACHE_DIR, dir, 0);
}

int service_defaults(struct options *o, bool make, char why[static WHY_MAX])
{
	uint64_t memory = limits_memory_default();
	char text[64];
	int r = default_cache_dir(o, make, why);

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64, memory);
	r = options_default(o, OPT_MEMORY, text, (int64_t)memory);
	snprintf(text, sizeof(text), "%u", (unsigned)getuid());
	if (r == 0)
		r = options_default(o, OPT_UID, text, getuid());
	snprintf(text, sizeof(text), "%u", (unsigned)getgid());
	if (r == 0)
		r = options_default(o, OPT_GID, text, getgid());
	if (r == 0)
		r = options_default(o, OPT_ALLOW_OTHER,
				    geteuid() == 0 ? "on" : "off",
				    geteuid() == 0);
	return r;
}

int service_source(const struct options *o, const char *source,
		   struct cancel *cancel, struct ufs **out,
		   char why[static WHY_MAX])
{
	char words[256] = "";
	struct ufs_conf conf = {
		.url = source,
		.endpoint = options_text(o, OPT_ENDPOINT),
		.region = options_text(o, OPT_REGION),
		.profile = options_text(o, OPT_PROFILE),
		.ca_bundle = options_text(o, OPT_CA_BUNDLE),
		.store_id = options_text(o, OPT_STORE_ID),
		.anonymous = options_number(o, OPT_ANONYMOUS),
		.requester_pays = options_number(o, OPT_REQUESTER_PAYS),
		.path_style =
		    (enum ufs_path_style)options_number(o, OPT_PATH_STYLE),
		.max_connections =
		    (unsigned)options_number(o, OPT_MAX_CONNECTIONS),
		.memory = (size_t)options_number(o, OPT_MEMORY),
		.metadata_timeout = options_number(o, OPT_METADATA_TIMEOUT),
		.read_timeout = options_number(o, OPT_READ_TIMEOUT),
		.stall_timeout = options_number(o, OPT_STALL_TIMEOUT),
		.bandwidth_down =
		    (uint64_t)options_number(o, OPT_BANDWIDTH_DOWN),
		.cancel = cancel,
	};
	int r = ufs_open(&conf, out, words);

	if (r == -ECANCELED)
		snprintf(why, WHY_MAX, "interrupted; nothing is mounted");
	else if (r < 0)
		snprintf(why, WHY_MAX, "%.200s: %s", source,
			 words[0] != '\0' ? words : strerror(-r));
	return r;
}

static int first_entry(void *arg, const struct ufs_entry *e)
{
	bool *seen = arg;

	(void)e;
	*seen = true;
	return 0;
}

const char *service_fix(const char *source, int err, const char *words)
{
	if (strncmp(source, "s3:", 3) != 0)
		return err == -EACCES ? "let this user read the directory"
				      : "check that the directory is there";
	if (strstr(words, "NoSuchBucket") != NULL)
		return "check the bucket's name and endpoint=";
	if (strstr(words, "InvalidAccessKeyId") != NULL ||
	    strstr(words, "SignatureDoesNotMatch") != NULL)
		return "check the keys in AWS_ACCESS_KEY_ID and "
		       "AWS_SECRET_ACCESS_KEY or the profile";
	if (strstr(words, "ExpiredToken") != NULL ||
	    strstr(words, "InvalidToken") != NULL ||
	    strstr(words, "credentials have expired") != NULL)
		return "renew the keys: these have expired or were revoked";
	if (err == -EACCES && strcasestr(words, "credential") != NULL)
		return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name "
		       "a profile=, or use anonymous for a public bucket";
	if (err == -EACCES)
		return "give these keys the right to list the bucket "
		       "(s3:ListBucket), or check profile= and region=";
	if (err == -EHOSTUNREACH || err == -ETIMEDOUT)
		return "check endpoint= and the network";
	if (err == -ENOENT)
		return "check the bucket's name";
	return "check endpoint= and the bucket's name";
}

int service_ask(const char *source, struct ufs *u, bool *empty,
		struct cancel *cancel, char why[static WHY_MAX])
{
	struct ufs_list q = { .prefix = STR_EMPTY,
			      .after = STR_EMPTY,
			      .max = 1 };
	bool seen = false;
	AUTO_FREE char *token = NULL;
	const char *words;
	int r = u->ops->list(u, &q, &token, first_entry, &seen, cancel);

	*empty = !seen;
	if (r >= 0)
		return 0;
	words = ufs_last_error();
	if (r == -ECANCELED)
		snprintf(why, WHY_MAX, "interrupted; nothing is mounted");
	else
		snprintf(why, WHY_MAX, "%.150s: %s; %s", source,
			 *words != '\0' ? words : strerror(-r),
			 service_fix(source, r, words));
	return r;
}

int service_cache(const struct options *o, struct ufs *u,
		  const struct service_cache *how, struct cache **out,
		  char why[static WHY_MAX])
{
	const struct option_value *size = &o->v[OPT_CACHE_SIZE];
	AUTO_FREE char *dirs = strdup(options_text(o, OPT_CACHE_DIR));
	char *rest = dirs, *dir, words[256] = "";
	struct cache_conf conf = {
		.ufs = u,
		.size = size->percent ? 0 : (uint64_t)size->number,
		.percent = size->percent ? (unsigned)size->number : 0,
		.size_explicit = size->source != OPTION_DEFAULT,
		.memory = (size_t)options_number(o, OPT_MEMORY) / how->share,
		.negative_ttl = options_number(o, OPT_NEGATIVE_TTL),
		.metadata_timeout = options_number(o, OPT_METADATA_TIMEOUT),
		.read_timeout = options_number(o, OPT_READ_TIMEOUT),
		.small_file = (uint64_t)options_number(o, OPT_SMALL_FILE),
		.readahead =
		    how->ahead ? (uint64_t)options_number(o, OPT_READAHEAD) : 0,
		.prefetch = how->ahead &&
			    strcmp(options_text(o, OPT_PREFETCH), "auto") == 0,
		.max_connections =
		    (unsigned)options_number(o, OPT_MAX_CONNECTIONS),
	};
	int r;

	if (dirs == NULL)
		return -ENOMEM;
	conf.consistency = options_consistency(o, &conf.ttl);
	if (conf.consistency == CONSISTENCY_STRICT)
		conf.negative_ttl = 0;
	if (size->number > 0)
		while ((dir = strsep(&rest, ":")) != NULL)
			conf.dirs[conf.ndirs++] = dir;
	r = cache_new(&conf, out, words);
	if (r < 0)
		snprintf(why, WHY_MAX, "%s",
			 words[0] != '\0' ? words : strerror(-r));
	return r;
}

static int mount_fs(struct service *s, char why[static WHY_MAX])
{
	const struct options *o = s->options;
	int64_t ttl;
	char words[256] = "";
	struct fs_conf conf = {
		.cache = s->cache,
		.uid = (uid_t)options_number(o, OPT_UID),
		.gid = (gid_t)options_number(o, OPT_GID),
		.file_mode = (mode_t)options_number(o, OPT_FILE_MODE),
		.dir_mode = (mode_t)options_number(o, OPT_DIR_MODE),
		.consistency = options_consistency(o, &ttl),
		.small_file = (uint64_t)options_number(o, OPT_SMALL_FILE),
		.inode_bytes =
		    limits_inodes((uint64_t)options_number(o, OPT_MEMORY)),
		.passthrough =
		    strcmp(options_text(o, OPT_PASSTHROUGH), "off") != 0,
		.source = s->source,
		.dir = s->dir,
		.allow_other = options_number(o, OPT_ALLOW_OTHER),
		.exec = o->exec,
		.suid = o->suid,
		.dev = o->dev,
	};
	int r = fs_new(&conf, &s->fs);

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

	log_info("tarn: told to end; unmounting %s", s->dir);
	service_stop(s);
}

void service_reload_level(const struct options *now, const char *config)
{
	extern char **environ;
	enum log_level level;
	struct options *o;
	char why[WHY_MAX];
	int r;

	if (now->v[OPT_LOG_LEVEL].source == OPTION_FROM_COMMAND)
		return;
	if (options_new(&o) < 0)
		return;
	r = options_env(o, environ, why);
	if (r == 0)
		r = config != NULL ? options_file(o, config, why)
				   : options_default_file(o, why);
	if (r < 0)
		log_warn("tarn: the options stay as they were: %s", why);
	else if (log_level_parse(options_text(o, OPT_LOG_LEVEL), &level) == 0)
		log_set_level(level);
	options_free(o);
}

static void on_reload(void *arg)
{
	struct service *s = arg;

	service_reload_level(s->options, s->config);
	if (atomic_load(&s->mounted) != NULL && s->ufs->ops->reload != NULL)
		s->ufs->ops->reload(s->ufs);
	log_info("tarn: read credentials and log level again");
}

static void on_dump(void *arg)
{
	struct service *s = arg;

	if (atomic_load(&s->mounted) != NULL)
		status_log(s);
}

static int open_all(struct service *s, char why[static WHY_MAX])
{
	static const struct service_cache how = { .share = 1, .ahead = true };
	struct signals_do what = {
		.arg = s, .end = on_end, .reload = on_reload, .dump = on_dump
	};
	int r = service_defaults(s->options, true, why);

	/* First of all, as from here on others are waited for. */
	if (r == 0) {
		r = signals_start(&what, &s->signals);
		if (r < 0)
			snprintf(why, WHY_MAX, "cannot start a thread: %s",
				 strerror(-r));
	}
	if (r == 0)
		r = service_source(s->options, s->source, &s->stopping, &s->ufs,
				   why);
	if (r == 0)
		r = service_ask(s->source, s->ufs, &s->empty, &s->stopping,
				why);
	if (r == 0)
		r = service_cache(s->options, s->ufs, &how, &s->cache, why);
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

int service_serve(struct service *s)
{
	int r;

	log_info("tarn: %s is mounted on %s", s->source, s->dir);
	r = fs_serve(s->fs);
	if (r < 0)
		log_err("tarn: %s: serving ended: %s", s->dir, strerror(-r));
	else
		log_info("tarn: %s is unmounted", s->dir);
	return r;
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
	if (s->cache != NULL)
		cache_free(s->cache);
	ufs_close(s->ufs);
	free(s->source);
	free(s->dir);
	free(s);
}

void service_print_cache(struct cache *c, FILE *f)
{
	struct cache_disk_status d[CACHE_DIRS_MAX];
	size_t n = cache_disks(c, d, ARRAY_SIZE(d));
	char held[32], limit[32];

	if (n == 0)
		fprintf(f, "  cache        none on the SSD (cache-size=0)\n");
	for (size_t i = 0; i < n; i++)
		if (strcmp(d[i].state, "off") == 0 && d[i].why[0] != '\0')
			fprintf(f, "  cache        off: %s\n", d[i].why);
		else
			fprintf(
			    f, "  cache        %s, %s of %s\n", d[i].dir,
			    units_format_size(d[i].bytes, held, sizeof(held)),
			    units_format_size(d[i].limit, limit,
					      sizeof(limit)));
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

	if (s->ufs->ops->describe != NULL)
		s->ufs->ops->describe(s->ufs, words, sizeof(words));
	fprintf(f, "%s is mounted on %s, read only\n", s->source, s->dir);
	if (words[0] != '\0')
		fprintf(f, "  source       %s\n", words);
	if (s->empty)
		fprintf(f, "  note         nothing is there yet; check the "
			   "prefix if that surprises\n");
	service_print_cache(s->cache, f);
	fprintf(f, "  memory       %s\n",
		units_format_size((uint64_t)options_number(o, OPT_MEMORY), size,
				  sizeof(size)));
	fprintf(f, "  passthrough  %s\n", passthrough_words(s, answers));
	fprintf(f, "  consistency  %s\n", options_text(o, OPT_CONSISTENCY));
}
