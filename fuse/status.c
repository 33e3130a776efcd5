/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c - what a mount tells of itself: JSON, metrics, the log
 *
 * Members are only ever added (the interface promises it). What came saved
 * is priced by AWS's list price of requests in us-east-1: 0.40 USD a million
 * GET and HEAD, 5 USD a million LIST; transfers are not priced.
 */
#include "fuse/json_text.h"
#include "fuse/status.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "cache/hot.h"
#include "cache/staging.h"
#include "fuse/fs.h"
#include "fuse/jobs.h"
#include "fuse/limits.h"
#include "fuse/status_impl.h"
#include "fuse/workers.h"

#define USD_GET 0.4e-6
#define USD_LIST 5e-6
#define HOT_MAX 10 /* files that are told of */

static json_int_t count(enum stat_id s)
{
	return (json_int_t)stat_read(s);
}

static json_t *scrub_json(const struct cache_disk_status *d)
{
	return json_pack(
	    "{s:I, s:I, s:I, s:I, s:I}", "files", (json_int_t)d->scrub_files,
	    "bytes", (json_int_t)d->scrub_bytes, "bad_pages",
	    (json_int_t)d->scrub_bad, "passes", (json_int_t)d->scrub_passes,
	    "ended", (json_int_t)d->scrubbed);
}

static json_t *ssd_json(struct cache *c)
{
	struct cache_disk_status d[CACHE_DIRS_MAX];
	size_t n = cache_disks(c, d, ARRAY_SIZE(d));
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
		    a, json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:o}",
				 "dir", json_text(d[i].dir), "bytes",
				 (json_int_t)d[i].bytes, "limit",
				 (json_int_t)d[i].limit, "files",
				 (json_int_t)d[i].files, "evicted_bytes",
				 (json_int_t)d[i].evicted_bytes, "bad_pages",
				 (json_int_t)d[i].bad_pages, "state",
				 d[i].state, "scrub", scrub_json(&d[i])));
	return a;
}

static json_t *options_json(const struct options *o)
{
	json_t *all = json_object();

	for (size_t i = 0; i < OPT_COUNT; i++)
		if (o->v[i].text != NULL)
			json_object_set_new(all, option_rows[i].name,
					    json_pack("{s:o, s:o}", "value",
						      json_text(o->v[i].text),
						      "from",
						      json_text(o->v[i].from)));
	return all;
}

static json_t *store_json(void)
{
	return json_pack(
	    "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "get",
	    count(STAT_store_get), "head", count(STAT_store_head), "list",
	    count(STAT_store_list), "put", count(STAT_store_put), "copy",
	    count(STAT_store_copy), "delete", count(STAT_store_delete),
	    "errors", count(STAT_store_errors), "retries",
	    count(STAT_store_retries), "bytes_in", count(STAT_store_bytes_in),
	    "bytes_out", count(STAT_store_bytes_out));
}

static json_t *saved_json(void)
{
	json_int_t get = count(STAT_saved_get), head = count(STAT_saved_head);
	json_int_t list = count(STAT_saved_list);

	return json_pack("{s:I, s:I, s:I, s:I, s:f}", "get", get, "head", head,
			 "list", list, "bytes", count(STAT_saved_bytes), "usd",
			 (double)(get + head) * USD_GET +
			     (double)list * USD_LIST);
}

/* Every row of the table: what has no place of its own yet is found here. */
static json_t *counters_json(void)
{
	json_t *all = json_object();

	for (int i = 0; i < STAT_COUNT; i++)
		json_object_set_new(all, stat_name((enum stat_id)i),
				    json_integer(count((enum stat_id)i)));
	return all;
}

struct hot_file {
	struct cache_hot hot;
	const char *bucket;
};

static int by_heat(const void *a, const void *b)
{
	double x = ((const struct hot_file *)a)->hot.weight_s;
	double y = ((const struct hot_file *)b)->hot.weight_s;

	return (x < y) - (x > y);
}

static json_t *hot_json(const struct hot_file *f)
{
	json_t *j =
	    json_pack("{s:o, s:I, s:I, s:f}", "key", json_text(f->hot.key),
		      "bytes", (json_int_t)f->hot.bytes, "opens",
		      (json_int_t)f->hot.opens, "per_s", f->hot.weight_s);

	if (f->bucket != NULL)
		json_object_set_new(j, "bucket", json_text(f->bucket));
	return j;
}

json_t *status_hot(struct cache *const *caches, const char *const *buckets,
		   size_t n)
{
	AUTO_FREE struct hot_file *all = calloc(n * HOT_MAX, sizeof(*all));
	json_t *out = json_array();
	size_t found = 0;

	for (size_t i = 0; i < n && all != NULL; i++) {
		struct cache_hot some[HOT_MAX];
		size_t k = cache_hot(caches[i], some, HOT_MAX);

		for (size_t m = 0; m < k; m++)
			all[found++] = (struct hot_file){
				some[m], buckets != NULL ? buckets[i] : NULL
			};
	}
	if (found > 0)
		qsort(all, found, sizeof(*all), by_heat);
	for (size_t i = 0; i < found; i++) {
		if (i < HOT_MAX)
			json_array_append_new(out, hot_json(&all[i]));
		free(all[i].hot.key);
	}
	return out;
}

/* All that is this process's own: buffers, metadata, stacks, heap. */
static int64_t memory_used(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long size, resident = 0, shared = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%ld %ld %ld", &size, &resident, &shared) != 3)
		resident = shared = 0;
	fclose(f);
	return (int64_t)(resident - shared) * sysconf(_SC_PAGESIZE);
}

json_t *status_common_json(const struct options *o, int64_t started,
			   struct cache *c)
{
	json_t *m = json_object();

	json_object_set_new(m, "pid", json_integer(getpid()));
	json_object_set_new(
	    m, "uptime_s", json_integer((clock_ns() - started) / NSEC_PER_SEC));
	json_object_set_new(m, "consistency",
			    json_text(options_text(o, OPT_CONSISTENCY)));
	json_object_set_new(m, "reads",
			    json_pack("{s:I, s:I, s:I, s:I, s:I}", "bytes",
				      count(STAT_read_bytes),
				      "kernel_passthrough_opens",
				      count(STAT_passthrough_opens),
				      "ssd_bytes", count(STAT_ssd_bytes),
				      "peer_bytes", count(STAT_peer_bytes),
				      "store_bytes", count(STAT_store_bytes)));
	json_object_set_new(m, "store", store_json());
	json_object_set_new(m, "saved", saved_json());
	json_object_set_new(m, "prefetch",
			    json_pack("{s:I, s:I, s:I, s:I}", "files",
				      count(STAT_prefetch_files), "bytes",
				      count(STAT_prefetch_bytes), "read_files",
				      count(STAT_prefetch_read_files),
				      "read_bytes",
				      count(STAT_prefetch_read_bytes)));
	json_object_set_new(m, "ssd", ssd_json(c));
	json_object_set_new(
	    m, "ring",
	    json_pack("{s:i, s:s, s:[]}", "epoch", 0, "view", "", "workers"));
	json_object_set_new(
	    m, "memory",
	    json_pack("{s:I, s:I}", "used", (json_int_t)memory_used(), "limit",
		      (json_int_t)options_number(o, OPT_MEMORY)));
	json_object_set_new(
	    m, "commits",
	    json_pack("{s:i, s:i, s:[]}", "pending", 0, "done", 0, "failed"));
	json_object_set_new(m, "options", options_json(o));
	json_object_set_new(m, "counters", counters_json());
	return m;
}

struct failures {
	const struct service *service;
	json_t *array;
};

static void add_failed(void *arg, const struct staging_failed *f)
{
	struct failures *to = arg;
	AUTO_FREE char *path = fs_path_of(to->service->fs, f->key, false);

	if (path != NULL)
		json_array_append_new(to->array,
				      json_pack("{s:o, s:s, s:I}", "path",
						json_text(path), "error",
						strerror(-f->err), "bytes",
						(json_int_t)f->bytes));
}

static json_t *commits_json(const struct service *s)
{
	struct failures failed = { .service = s, .array = json_array() };
	const struct ufs *u = cache_ufs(s->cache);
	size_t waiting = 0;

	if (s->staging != NULL) {
		staging_each_failed(s->staging, add_failed, &failed);
		waiting = staging_waiting(s->staging);
	}
	return json_pack(
	    "{s:I, s:I, s:o, s:s, s:I, s:o, s:o, s:b, s:I}", "pending",
	    count(STAT_commits_pending), "done", count(STAT_commits_done),
	    "failed", failed.array, "conditions",
	    trial_word(atomic_load(&s->conditions)), "conditions_at",
	    (json_int_t)atomic_load(&s->conditions_at), "store",
	    json_text(u->store), "prefix", json_text(u->prefix), "refused",
	    (int)atomic_load(&s->refused), "waiting", (json_int_t)waiting);
}

static json_t *mount_json(const struct service *s, struct jobs *jobs)
{
	json_t *m = status_common_json(s->options, s->started, s->cache);
	bool pass = fs_passthrough(s->fs);
	uint64_t memory = (uint64_t)options_number(s->options, OPT_MEMORY);
	json_t *share = json_object_get(m, "memory");

	json_object_set_new(share, "inodes",
			    json_integer(count(STAT_inode_bytes)));
	json_object_set_new(share, "inodes_limit",
			    json_integer((json_int_t)limits_inodes(memory)));
	json_object_set_new(m, "ring", workers_json(s->workers));
	json_object_set_new(m, "commits", commits_json(s));
	json_object_set_new(m, "dir", json_text(s->dir));
	json_object_set_new(m, "source", json_text(s->source));
	json_object_set_new(m, "passthrough", json_boolean(pass));
	json_object_set_new(m, "read_only", json_boolean(s->staging == NULL));
	json_object_set_new(m, "read_only_why", json_text(s->read_only));
	json_object_set_new(m, "inodes", json_integer(count(STAT_inodes)));
	json_object_set_new(m, "hot", status_hot(&s->cache, NULL, 1));
	json_object_set_new(m, "jobs", jobs_list(jobs));
	return m;
}

json_t *status_json(const struct service *s, struct jobs *jobs)
{
	return json_pack("{s:s, s:[o]}", "version", TARN_VERSION, "mounts",
			 mount_json(s, jobs));
}

void status_put_label(FILE *f, const char *text)
{
	json_t *j = json_text(text); /* UTF-8, or none is read */
	const char *v = j != NULL ? json_string_value(j) : "";

	for (; *v != '\0'; v++) {
		if (*v == '\n')
			fputs("\\n", f);
		else if (*v == '"' || *v == '\\')
			fprintf(f, "\\%c", *v);
		else
			fputc(*v, f);
	}
	json_decref(j);
}

static void disk_metrics(struct cache *c, FILE *f)
{
	struct cache_disk_status d[CACHE_DIRS_MAX];
	size_t n = cache_disks(c, d, ARRAY_SIZE(d));
	static const char *const rows[][2] = {
		{ "disk_bytes", "bytes held in a cache directory" },
		{ "disk_limit_bytes", "bytes a cache directory may hold" },
		{ "disk_ok", "1 while the directory takes new bytes" },
	};

	for (size_t row = 0; n > 0 && row < ARRAY_SIZE(rows); row++) {
		fprintf(f, "# HELP tarn_%s %s\n# TYPE tarn_%s gauge\n",
			rows[row][0], rows[row][1], rows[row][0]);
		for (size_t i = 0; i < n; i++) {
			uint64_t v = row == 0   ? d[i].bytes
				     : row == 1 ? d[i].limit
						: strcmp(d[i].state, "ok") == 0;

			fprintf(f, "tarn_%s{dir=\"", rows[row][0]);
			status_put_label(f, d[i].dir);
			fprintf(f, "\"} %" PRIu64 "\n", v);
		}
	}
}

void status_all_metrics(struct cache *c, FILE *f)
{
	for (int i = 0; i < STAT_COUNT; i++) {
		enum stat_id st = (enum stat_id)i;
		bool counter = stat_kind(st) == STAT_COUNTER;
		char name[64];

		/* As Prometheus wants counters to be called. */
		snprintf(name, sizeof(name), "tarn_%s%s", stat_name(st),
			 counter ? "_total" : "");
		fprintf(f, "# HELP %s %s\n# TYPE %s %s\n%s %" PRId64 "\n", name,
			stat_help(st), name, counter ? "counter" : "gauge",
			name, stat_read(st));
	}
	disk_metrics(c, f);
}

char *status_metrics(const struct service *s)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	if (f == NULL)
		return NULL;
	fprintf(f,
		"# HELP tarn_info what is mounted where\n"
		"# TYPE tarn_info gauge\ntarn_info{version=\"%s\",source=\"",
		TARN_VERSION);
	status_put_label(f, s->source);
	fputs("\",dir=\"", f);
	status_put_label(f, s->dir);
	fputs("\"} 1\n", f);
	status_all_metrics(s->cache, f);
	workers_metrics(workers_members(s->workers), f);
	if (fclose(f) != 0) {
		free(out);
		return NULL;
	}
	return out;
}

void status_log_all(struct cache *c)
{
	struct cache_disk_status d[CACHE_DIRS_MAX];
	size_t n = cache_disks(c, d, ARRAY_SIZE(d));

	for (size_t i = 0; i < n; i++)
		log_info("state: cache %s is %s, %ju of %ju bytes", d[i].dir,
			 d[i].state, (uintmax_t)d[i].bytes,
			 (uintmax_t)d[i].limit);
	for (int i = 0; i < STAT_COUNT; i++)
		if (stat_read((enum stat_id)i) != 0)
			log_info("state: %s %jd (%s)",
				 stat_name((enum stat_id)i),
				 (intmax_t)stat_read((enum stat_id)i),
				 stat_help((enum stat_id)i));
}

void status_log(const struct service *s)
{
	log_info("state: %s on %s, up %jd s, memory %zu of %jd bytes",
		 s->source, s->dir,
		 (intmax_t)((clock_ns() - s->started) / NSEC_PER_SEC),
		 cache_memory_used(s->cache),
		 (intmax_t)options_number(s->options, OPT_MEMORY));
	status_log_all(s->cache);
}
