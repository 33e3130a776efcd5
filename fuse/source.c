/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.c - what is mounted or served, and its cache
 */
#include "fuse/source.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/units.h"
#include "cache/staging.h"
#include "fuse/limits.h"
#include "ufs/ufs.h"

#define SMALL_FILES_MOST MIB(64) /* of them in memory, of one mount */

static int check_url(const char *source, char why[static WHY_MAX])
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

int source_check(const char *source, char **out, char why[static WHY_MAX])
{
	size_t n = strlen(source);
	int r = check_url(source, why);

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

/* Where things are kept when nobody says where. */
struct place {
	enum option opt;
	const char *root; /* root's */
	const char *xdg;  /* the variable that says where else */
	const char *home; /* below HOME, when it does not */
	const char *what;
};

static const struct place cache_place = { OPT_CACHE_DIR, "/var/cache/tarn",
					  "XDG_CACHE_HOME", ".cache",
					  "the cache" };
static const struct place staging_place = { OPT_STAGING_DIR, "/var/lib/tarn",
					    "XDG_STATE_HOME", ".local/state",
					    "written files" };

static int default_dir(struct options *o, const struct place *p, bool make,
		       char why[static WHY_MAX])
{
	const char *xdg = getenv(p->xdg), *home = getenv("HOME");
	AUTO_FREE char *dir = NULL;
	int r;

	if (options_is_set(o, p->opt))
		return 0;
	if (geteuid() == 0)
		r = asprintf(&dir, "%s", p->root);
	else if (xdg != NULL && *xdg == '/')
		r = asprintf(&dir, "%s/tarn", xdg);
	else if (home != NULL && *home == '/')
		r = asprintf(&dir, "%s/%s/tarn", home, p->home);
	else {
		snprintf(why, WHY_MAX,
			 "there is no HOME to keep %s in; say where with %s=",
			 p->what, option_rows[p->opt].name);
		return -EINVAL;
	}
	if (r < 0)
		return -ENOMEM;
	if (make)
		make_parents(dir);
	return options_default(o, p->opt, dir, 0);
}

int source_defaults(struct options *o, bool make, char why[static WHY_MAX])
{
	uint64_t memory = limits_memory_default();
	char text[64];
	int r = default_dir(o, &cache_place, make, why);

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

int source_writes_defaults(struct options *o, bool make,
			   char why[static WHY_MAX])
{
	if (options_number(o, OPT_RO) != 0)
		return 0;
	return default_dir(o, &staging_place, make, why);
}

int source_open(const struct options *o, const char *source,
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
		    limits_connections(options_number(o, OPT_MAX_CONNECTIONS)),
		.memory = (size_t)options_number(o, OPT_MEMORY),
		.metadata_timeout = options_number(o, OPT_METADATA_TIMEOUT),
		.read_timeout = options_number(o, OPT_READ_TIMEOUT),
		.stall_timeout = options_number(o, OPT_STALL_TIMEOUT),
		.bandwidth_down =
		    (uint64_t)options_number(o, OPT_BANDWIDTH_DOWN),
		.bandwidth_up = (uint64_t)options_number(o, OPT_BANDWIDTH_UP),
		.commit_timeout = options_number(o, OPT_COMMIT_TIMEOUT),
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

const char *source_fix(const char *source, int err, const char *words)
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

int source_ask(const char *source, struct ufs *u, bool *empty,
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
			 source_fix(source, r, words));
	return r;
}

int source_cache(const struct options *o, struct ufs *u,
		 const struct source_use *how, struct cache **out,
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
		    limits_connections(options_number(o, OPT_MAX_CONNECTIONS)),
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

int source_staging(const struct options *o, struct cache *c,
		   struct staging **out, char why[static WHY_MAX])
{
	char words[256] = "";
	struct staging_conf conf = {
		.dir = options_text(o, OPT_STAGING_DIR),
		.cache = c,
		.last_wins =
		    strcmp(options_text(o, OPT_CONFLICT), "last-wins") == 0,
		.part_size = (uint64_t)options_number(o, OPT_PART_SIZE),
	};
	size_t memory = (size_t)options_number(o, OPT_MEMORY) / 8;
	int r;

	conf.persists = strcmp(options_text(o, OPT_COMMIT), "writeback") == 0;
	/* Then all are to be on the disk at their close. */
	if (!conf.persists)
		conf.memory = MIN(memory, SMALL_FILES_MOST);
	r = staging_new(&conf, out, words);
	if (r < 0)
		snprintf(why, WHY_MAX, "%s",
			 words[0] != '\0' ? words : strerror(-r));
	return r;
}

void source_print_cache(struct cache *c, FILE *f)
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
