/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c - a worker at work: sources, a cache for each, the HTTP front
 *
 * Nothing is fetched that was not asked for: what lies behind a range, and
 * the other files of a directory, may be other workers'.
 */
#include "fuse/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "fuse/cluster.h"
#include "fuse/history.h"
#include "fuse/options_check.h"
#include "fuse/page.h"
#include "fuse/signals.h"
#include "fuse/source.h"
#include "fuse/start.h"
#include "fuse/status_worker.h"
#include "fuse/worker_control.h"
#include "fuse/workers.h"
#include "ring/members.h"
#include "ufs/ufs.h"

/* What was begun is answered, if it can be in this time. */
#define DRAIN (60 * NSEC_PER_SEC)

void worker_told(struct worker *w)
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
	worker_told(w);
	cancel_set(w->stopping);
}

void worker_reload(struct worker *w)
{
	lock_take(&w->lock);
	for (size_t i = 0; i < w->nsources && w->server != NULL; i++)
		if (w->sources[i].ufs->ops->reload != NULL)
			w->sources[i].ufs->ops->reload(w->sources[i].ufs);
	lock_drop(&w->lock);
}

static void on_reload(void *arg)
{
	struct worker *w = arg;

	start_reload_level(w->options, w->config);
	worker_reload(w);
	log_info("tarn: read credentials and log level again");
}

static bool is_serving(struct worker *w)
{
	bool serving;

	lock_take(&w->lock);
	serving = w->server != NULL;
	lock_drop(&w->lock);
	return serving;
}

static void on_dump(void *arg)
{
	struct worker *w = arg;

	if (is_serving(w))
		status_worker_log(w);
}

static void on_tick(void *arg)
{
	(void)arg;
	history_take(clock_ns());
}

struct members *worker_members(struct worker *w)
{
	struct members *m;

	lock_take(&w->lock);
	m = w->members;
	lock_drop(&w->lock);
	return m;
}

static bool is_health_due(struct worker *w)
{
	for (size_t i = 0; i < w->nsources; i++)
		if (health_due(&w->sources[i].health))
			return true;
	return false;
}

static int tell_health(struct worker *w, bool ask, struct server_page *out)
{
	char words[256];

	for (size_t i = 0; i < w->nsources; i++) {
		struct worker_source *s = &w->sources[i];
		int r = ask ? health_ask(&s->health, s->ufs, w->stopping, words)
			    : health_last(&s->health, words);

		if (r == 0)
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

/*
 * Anybody may ask this, unsigned and as often as he likes: one of them waits
 * for the store, where that holds up nobody else; all others hear what is
 * known.
 */
static int page_health(struct worker *w, struct server_page *out)
{
	bool ask = out->may_wait;
	int r;

	if (!ask && is_health_due(w) && !atomic_exchange(&w->asks, true))
		return -EINPROGRESS;
	r = tell_health(w, ask, out);
	if (ask)
		atomic_store(&w->asks, false);
	return r;
}

static int page_json(json_t *j, struct server_page *out)
{
	out->type = "application/json";
	out->text = j != NULL ? json_dumps(j, JSON_INDENT(1)) : NULL;
	json_decref(j);
	return out->text != NULL ? 0 : -ENOMEM;
}

static int page_text(const char *type, char *text, struct server_page *out)
{
	out->type = type;
	out->text = text;
	return text != NULL ? 0 : -ENOMEM;
}

static int get_page(struct worker *w, const char *path, struct server_page *out)
{
	if (strcmp(path, "/-/health") == 0)
		return page_health(w, out);
	if (strcmp(path, "/-/") == 0)
		return page_text("text/html; charset=utf-8",
				 page_document(&out->policy), out);
	if (strcmp(path, "/-/metrics") == 0)
		return page_text("text/plain; version=0.0.4; charset=utf-8",
				 status_worker_metrics(w), out);
	if (strcmp(path, "/-/history") == 0)
		return page_text("application/json", history_text(clock_ns()),
				 out);
	if (strcmp(path, "/-/status") == 0)
		return page_json(status_worker_json(w), out);
	if (strcmp(path, "/-/ring") == 0)
		return page_json(workers_listed(worker_members(w)), out);
	return -ENOENT;
}

/* What there is below /-/. */
static int page(void *arg, const char *method, const char *path,
		struct str body, struct server_page *out)
{
	struct worker *w = arg;
	int r;

	/* The first request may be here before server_start() has returned. */
	if (!is_serving(w))
		return -EAGAIN;
	if (worker_control_has(path))
		return worker_control_page(w->control, method, path, body, out);
	r = get_page(w, path, out);
	if (r == 0 && strcmp(method, "POST") == 0) {
		free(take_ptr(out->text));
		r = -EOPNOTSUPP;
	}
	return r;
}

static int open_source(struct worker *w, const char *source,
		       struct worker_source *s, char why[static WHY_MAX])
{
	const char *id = options_text(w->options, OPT_STORE_ID);
	/* Beside a mount the other half of the memory is the mount's. */
	struct source_use how = { .share =
				      w->beside ? 2 : (unsigned)w->nsources };
	int r = source_check(source, &s->source, why);

	if (r < 0)
		return r;
	s->bucket = cluster_bucket(s->source, id);
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
	r = source_open(w->options, s->source, w->stopping, &s->ufs, why);
	if (r == 0)
		r = source_ask(s->source, s->ufs, &s->empty, w->stopping, why);
	if (r == 0)
		r = source_cache(w->options, s->ufs, &how, &s->cache, why);
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
	enum option listen = w->beside ? OPT_SERVE : OPT_LISTEN;
	struct server_conf conf = {
		.option = option_rows[listen].name,
		.listen = options_text(w->options, listen),
		.access = { w->secret, cluster_tls(w->options) },
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
	r = options_default(w->options, OPT_ADVERTISE, server_address(server),
			    0);
	/* From here on there is something to tell below /-/: see page(). */
	lock_take(&w->lock);
	w->server = server;
	lock_drop(&w->lock);
	return r;
}

/* Requests are answered by now: they see all of it, or nothing. */
static int open_members(struct worker *w, char why[static WHY_MAX])
{
	struct members *m;
	int r = workers_members_begin(w->options, &m, why);

	if (r < 0)
		return r;
	lock_take(&w->lock);
	w->members = m;
	lock_drop(&w->lock);
	return 0;
}

/* Be in the list that mounts read, if it is made by those that are in it. */
static int join(struct worker *w, char why[static WHY_MAX])
{
	const char *name = options_text(w->options, OPT_ADVERTISE);
	const char *list = options_text(w->options, OPT_WORKERS);

	if (list == NULL || strncmp(list, "etcd://", 7) != 0)
		return 0;
	if (strncmp(name, "0.0.0.0:", 8) == 0 || strncmp(name, "[::]:", 5) == 0)
		return option_refuse(
		    why,
		    "advertise=%.100s leads nowhere; give the address by "
		    "which others reach this worker",
		    name);
	return workers_join(w->options, name,
			    (uint64_t)options_number(w->options, OPT_WEIGHT),
			    &w->join, why);
}

static int start_signals(struct worker *w)
{
	struct signals_do what = {
		.arg = w,
		.end = on_end,
		.reload = on_reload,
		.dump = on_dump,
		.tick = on_tick,
		.tick_ms = HISTORY_EVERY_MS,
	};

	return w->beside ? 0 : signals_start(&what, &w->signals);
}

static int open_all(struct worker *w, char *const *sources,
		    char why[static WHY_MAX])
{
	const char *key = options_text(w->options, OPT_CLUSTER_KEY_FILE);
	int r = source_defaults(w->options, true, why);

	if (r == 0 && key != NULL)
		r = cluster_key_read(key, &w->secret, why);
	if (r == 0 && w->nsources > 1 &&
	    options_is_set(w->options, OPT_STORE_ID)) {
		snprintf(why, WHY_MAX,
			 "store-id= names one store; there are several "
			 "sources: serve them by several workers");
		r = -EINVAL;
	}
	if (r == 0)
		r = start_signals(w);
	for (size_t i = 0; i < w->nsources && r == 0; i++)
		r = open_source(w, sources[i], &w->sources[i], why);
	if (r == 0)
		r = default_weight(w);
	if (r == 0)
		r = worker_control_start(w, &w->control);
	if (r == 0)
		r = start_server(w, why);
	/* Not waited for: the first worker of a ring is in no list. */
	if (r == 0 && options_is_set(w->options, OPT_WORKERS))
		r = open_members(w, why);
	if (r == 0)
		r = join(w, why);
	if (r == 0 && cancelled(w->stopping)) {
		snprintf(why, WHY_MAX, "interrupted; nothing is served");
		r = -ECANCELED;
	}
	return r;
}

static int open_worker(struct options *o, const char *config,
		       char *const *sources, size_t n, struct cancel *beside,
		       struct worker **out, char why[static WHY_MAX])
{
	struct worker *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	snprintf(why, WHY_MAX, "out of memory; nothing is served");
	if (w == NULL)
		return -ENOMEM;
	w->options = o;
	w->config = config;
	w->beside = beside != NULL;
	w->stopping = beside != NULL ? beside : &w->own;
	w->started = clock_ns();
	if (!w->beside)
		history_take(w->started);
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

int worker_open(struct options *o, const char *config, char *const *sources,
		size_t n, struct worker **out, char why[static WHY_MAX])
{
	return open_worker(o, config, sources, n, NULL, out, why);
}

int worker_open_beside(struct options *o, const char *source,
		       struct cancel *stopping, struct worker **out,
		       char why[static WHY_MAX])
{
	AUTO_FREE char *copy = strdup(source);
	int r = -ENOMEM;

	if (copy != NULL)
		r = open_worker(o, NULL, &copy, 1, stopping, out, why);
	if (r == 0)
		log_info("tarn: serving on %s", server_address((*out)->server));
	return r;
}

void worker_serve(struct worker *w)
{
	log_info("tarn: serving on %s", server_address(w->server));
	lock_take(&w->lock);
	while (!w->told)
		event_wait(&w->end, &w->lock);
	lock_drop(&w->lock);
	worker_drain(w, DRAIN);
}

void worker_drain(struct worker *w, int64_t most)
{
	members_leave(take_ptr(w->join));
	server_drain(w->server, clock_ns() + most);
	log_info("tarn: %s is served no more", server_address(w->server));
}

void worker_close(struct worker *w)
{
	if (w == NULL)
		return;
	cancel_set(w->stopping);
	/* The signals' thread uses what is below. */
	signals_stop(w->signals);
	members_leave(w->join);
	server_stop(w->server);
	members_close(w->members);
	worker_control_stop(w->control);
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
	cluster_key_free(w->secret);
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
		fprintf(f, "%s is served as %s://%s/%s\n", s->source,
			options_is_set(o, OPT_TLS_CERT) ? "https" : "http",
			server_address(w->server), s->bucket);
		if (words[0] != '\0')
			fprintf(f, "  source       %s\n", words);
		if (s->empty)
			fprintf(f, "  note         nothing is there yet; check "
				   "the prefix if that surprises\n");
	}
	source_print_cache(w->sources[0].cache, f);
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
		: options_is_set(o, OPT_TLS_CA)
		    ? "of who has a certificate of tls-ca"
		    : "of this host, unsigned");
	fprintf(f, "  consistency  %s\n", options_text(o, OPT_CONSISTENCY));
}
