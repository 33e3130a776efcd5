/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c - a worker at work: sources, a cache for each, the HTTP front
 *
 * Nothing is fetched that was not asked for: what lies behind a range, and
 * the other files of a directory, may be other workers'.
 */
#include "fuse/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "fuse/service.h"
#include "fuse/signals.h"
#include "fuse/status_worker.h"
#include "ring/auth.h"
#include "ufs/ufs.h"

/* What was begun is answered, if it can be in this time. */
#define DRAIN (60 * NSEC_PER_SEC)

/*
 * The name under which a source is served, on the heap: the bucket's, of
 * file:// the last component of its path or the store-id. NULL: out of memory.
 */
static char *bucket_of(const char *source, const char *store_id)
{
	const char *rest = strstr(source, "://");
	const char *slash;

	rest = rest != NULL ? rest + 3 : source;
	if (strncmp(source, "file:", 5) != 0)
		return str_dup((struct str){ rest, strcspn(rest, "/") });
	if (store_id != NULL)
		return strdup(store_id);
	slash = strrchr(rest, '/');
	return strdup(slash != NULL ? slash + 1 : rest);
}

/*
 * The cluster's key out of its file: one line, of mode 0600 and this user's.
 * *out is wiped by its owner. 0, or -errno and a sentence in why.
 */
static int read_key(const char *path, char **out, char why[static WHY_MAX])
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char line[AUTH_SECRET_MAX + 3] = "";
	struct stat st;
	ssize_t n;
	int r = 0;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		snprintf(why, WHY_MAX, "cluster-key-file=%.200s: %s", path,
			 strerror(-r));
		return r;
	}
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0177) != 0 ||
	    (st.st_uid != geteuid() && st.st_uid != 0)) {
		snprintf(why, WHY_MAX,
			 "cluster-key-file=%.200s: it must be a file of yours "
			 "that nobody else can read: chmod 600",
			 path);
		return -EPERM;
	}
	n = read(fd, line, sizeof(line) - 1);
	if (n > 0 && line[n - 1] == '\n')
		line[--n] = '\0';
	if (n > 0 && line[n - 1] == '\r')
		line[--n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		if (line[i] <= ' ' || line[i] > '~')
			n = 0;
	if (n < AUTH_SECRET_MIN || n > AUTH_SECRET_MAX) {
		snprintf(why, WHY_MAX,
			 "cluster-key-file=%.200s: it must hold one line of "
			 "%d to %d printable characters without spaces, as "
			 "`openssl rand -hex 32` prints",
			 path, AUTH_SECRET_MIN, AUTH_SECRET_MAX);
		r = -EINVAL;
	} else {
		*out = strdup(line);
		r = *out != NULL ? 0 : -ENOMEM;
	}
	explicit_bzero(line, sizeof(line));
	return r;
}

static void told_to_end(struct worker *w)
{
	lock_take(&w->lock);
	/* Who says it twice does not want to wait. */
	if (w->told && w->server != NULL)
		server_hurry(w->server);
	w->told = true;
	event_broadcast(&w->end);
	lock_drop(&w->lock);
}

static void on_end(void *arg)
{
	struct worker *w = arg;

	log_info("tarn: told to end");
	told_to_end(w);
	cancel_set(&w->stopping);
}

static void on_reload(void *arg)
{
	struct worker *w = arg;

	service_reload_level(w->options, w->config);
	lock_take(&w->lock);
	for (size_t i = 0; i < w->nsources && w->server != NULL; i++)
		if (w->sources[i].ufs->ops->reload != NULL)
			w->sources[i].ufs->ops->reload(w->sources[i].ufs);
	lock_drop(&w->lock);
	log_info("tarn: read credentials and log level again");
}

static void on_dump(void *arg)
{
	struct worker *w = arg;
	bool serving;

	lock_take(&w->lock);
	serving = w->server != NULL;
	lock_drop(&w->lock);
	if (serving)
		status_worker_log(w);
}

static int page_health(struct worker *w, struct server_page *out)
{
	char words[256];

	for (size_t i = 0; i < w->nsources; i++) {
		struct worker_source *s = &w->sources[i];

		if (health_ask(&s->health, s->ufs, &w->stopping, words) == 0)
			continue;
		out->status = 503;
		if (asprintf(&out->text, "%s: the store does not answer: %s\n",
			     s->source, words) < 0)
			return -ENOMEM;
		return 0;
	}
	out->text = strdup("ok\n");
	return out->text != NULL ? 0 : -ENOMEM;
}

/* What there is below /-/. */
static int page(void *arg, const char *method, const char *path,
		struct str body, struct server_page *out)
{
	struct worker *w = arg;

	(void)body;
	if (strcmp(path, "/-/health") != 0 && strcmp(path, "/-/metrics") != 0 &&
	    strcmp(path, "/-/status") != 0)
		return -ENOENT;
	if (strcmp(method, "POST") == 0)
		return -EOPNOTSUPP;
	if (strcmp(path, "/-/health") == 0)
		return page_health(w, out);
	if (strcmp(path, "/-/metrics") == 0) {
		out->type = "text/plain; version=0.0.4; charset=utf-8";
		out->text = status_worker_metrics(w);
	} else {
		json_t *j = status_worker_json(w);

		out->type = "application/json";
		out->text = j != NULL ? json_dumps(j, JSON_INDENT(1)) : NULL;
		json_decref(j);
	}
	return out->text != NULL ? 0 : -ENOMEM;
}

static int open_source(struct worker *w, const char *source,
		       struct worker_source *s, char why[static WHY_MAX])
{
	const char *id = options_text(w->options, OPT_STORE_ID);
	struct service_cache how = { .share = (unsigned)w->nsources };
	int r = service_check_source(source, &s->source, why);

	if (r < 0)
		return r;
	s->bucket = bucket_of(s->source, id);
	if (s->bucket == NULL)
		return -ENOMEM;
	if (s->bucket[0] == '\0' || strcmp(s->bucket, "-") == 0 ||
	    strchr(s->bucket, '/') != NULL) {
		snprintf(why, WHY_MAX,
			 "%.200s has no name to be served under; give one with "
			 "store-id=",
			 s->source);
		return -EINVAL;
	}
	for (struct worker_source *o = w->sources; o < s; o++)
		if (strcmp(o->bucket, s->bucket) == 0) {
			snprintf(why, WHY_MAX,
				 "%.150s and %.150s would both be served as "
				 "%.100s; serve them by two workers",
				 o->source, s->source, s->bucket);
			return -EINVAL;
		}
	r = service_source(w->options, s->source, &w->stopping, &s->ufs, why);
	if (r == 0)
		r = service_ask(s->source, s->ufs, &s->empty, &w->stopping,
				why);
	if (r == 0)
		r = service_cache(w->options, s->ufs, &how, &s->cache, why);
	return r;
}

/* What its cache may hold, unless it was said. */
static int default_weight(struct worker *w)
{
	struct cache_disk_status d[CACHE_DIRS_MAX];
	size_t n = cache_disks(w->sources[0].cache, d, ARRAY_SIZE(d));
	uint64_t sum = 0;
	char text[32];

	for (size_t i = 0; i < n; i++)
		sum += d[i].limit;
	sum = MIN(MAX(sum, 1), (uint64_t)INT64_MAX);
	snprintf(text, sizeof(text), "%" PRIu64, sum);
	return options_default(w->options, OPT_WEIGHT, text, (int64_t)sum);
}

static int start_server(struct worker *w, char why[static WHY_MAX])
{
	AUTO_FREE struct server_source *sources =
	    calloc(w->nsources, sizeof(*sources));
	struct server_conf conf = {
		.listen = options_text(w->options, OPT_LISTEN),
		.secret = w->secret,
		.sources = sources,
		.nsources = w->nsources,
		.memory = (size_t)options_number(w->options, OPT_MEMORY) / 8,
		.page = page,
		.arg = w,
	};
	struct server *server;
	char words[256];
	int r;

	if (sources == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < w->nsources; i++)
		sources[i] = (struct server_source){ w->sources[i].bucket,
						     w->sources[i].cache };
	r = server_start(&conf, &server, words);
	if (r < 0) {
		snprintf(why, WHY_MAX, "%s", words);
		return r;
	}
	lock_take(&w->lock);
	w->server = server;
	lock_drop(&w->lock);
	return options_default(w->options, OPT_ADVERTISE,
			       server_address(server), 0);
}

static int open_all(struct worker *w, char *const *sources,
		    char why[static WHY_MAX])
{
	struct signals_do what = {
		.arg = w, .end = on_end, .reload = on_reload, .dump = on_dump
	};
	const char *key = options_text(w->options, OPT_CLUSTER_KEY_FILE);
	int r = service_defaults(w->options, true, why);

	if (r == 0 && key != NULL)
		r = read_key(key, &w->secret, why);
	if (r == 0 && w->nsources > 1 &&
	    options_is_set(w->options, OPT_STORE_ID)) {
		snprintf(why, WHY_MAX,
			 "store-id= names one store; there are several "
			 "sources: serve them by several workers");
		r = -EINVAL;
	}
	if (r == 0)
		r = signals_start(&what, &w->signals);
	for (size_t i = 0; i < w->nsources && r == 0; i++)
		r = open_source(w, sources[i], &w->sources[i], why);
	if (r == 0)
		r = default_weight(w);
	if (r == 0)
		r = start_server(w, why);
	if (r == 0 && cancelled(&w->stopping)) {
		snprintf(why, WHY_MAX, "interrupted; nothing is served");
		r = -ECANCELED;
	}
	return r;
}

int worker_open(struct options *o, const char *config, char *const *sources,
		size_t n, struct worker **out, char why[static WHY_MAX])
{
	struct worker *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	snprintf(why, WHY_MAX, "out of memory; nothing is served");
	if (w == NULL)
		return -ENOMEM;
	w->options = o;
	w->config = config;
	w->started = clock_ns();
	lock_init(&w->lock, RANK_CONTROL);
	event_init(&w->end);
	w->sources = calloc(n, sizeof(*w->sources));
	if (w->sources != NULL) {
		w->nsources = n;
		for (size_t i = 0; i < n; i++)
			health_init(&w->sources[i].health);
		r = open_all(w, sources, why);
	}
	if (r < 0)
		worker_close(w);
	else
		*out = w;
	return r;
}

void worker_serve(struct worker *w)
{
	log_info("tarn: serving on %s", server_address(w->server));
	lock_take(&w->lock);
	while (!w->told)
		event_wait(&w->end, &w->lock);
	lock_drop(&w->lock);
	server_drain(w->server, clock_ns() + DRAIN);
	log_info("tarn: %s is served no more", server_address(w->server));
}

void worker_close(struct worker *w)
{
	if (w == NULL)
		return;
	cancel_set(&w->stopping);
	/* The signals' thread uses what is below. */
	signals_stop(w->signals);
	server_stop(w->server);
	for (size_t i = 0; i < w->nsources; i++) {
		struct worker_source *s = &w->sources[i];

		if (s->cache != NULL)
			cache_free(s->cache);
		ufs_close(s->ufs);
		health_fini(&s->health);
		free(s->source);
		free(s->bucket);
	}
	free(w->sources);
	if (w->secret != NULL)
		explicit_bzero(w->secret, strlen(w->secret));
	free(w->secret);
	event_fini(&w->end);
	lock_fini(&w->lock);
	free(w);
}

void worker_print(const struct worker *w, FILE *f)
{
	const struct options *o = w->options;
	char words[256], size[32];

	for (size_t i = 0; i < w->nsources; i++) {
		const struct worker_source *s = &w->sources[i];

		words[0] = '\0';
		if (s->ufs->ops->describe != NULL)
			s->ufs->ops->describe(s->ufs, words, sizeof(words));
		fprintf(f, "%s is served as http://%s/%s\n", s->source,
			server_address(w->server), s->bucket);
		if (words[0] != '\0')
			fprintf(f, "  source       %s\n", words);
		if (s->empty)
			fprintf(f, "  note         nothing is there yet; check "
				   "the prefix if that surprises\n");
	}
	service_print_cache(w->sources[0].cache, f);
	fprintf(f, "  memory       %s\n",
		units_format_size((uint64_t)options_number(o, OPT_MEMORY), size,
				  sizeof(size)));
	fprintf(f, "  listen       %s\n", server_address(w->server));
	fprintf(f, "  advertise    %s\n", options_text(o, OPT_ADVERTISE));
	fprintf(f, "  weight       %s\n",
		units_format_size((uint64_t)options_number(o, OPT_WEIGHT), size,
				  sizeof(size)));
	fprintf(f, "  requests     %s\n",
		w->secret != NULL ? "signed with the cluster's key"
				  : "of this host, unsigned");
	fprintf(f, "  consistency  %s\n", options_text(o, OPT_CONSISTENCY));
}
