/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_load.c - tarn load and tarn free
 *
 * The work is a job of the mount, or of all workers of a ring; this command
 * starts it, shows how far it is and tells the result. What is named is sorted
 * by mount and sent in pieces, so that a list of millions of names needs
 * neither one huge request nor one huge job.
 */
#include "fuse/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "fuse/client.h"
#include "fuse/load_ring.h"

#define TARGETS_A_JOB 10000
#define TEXT_A_JOB KIB(256) /* a worker reads a body of 1 MiB */
#define BAR_WIDTH 24
#define POLL_MS 100

/* The sum of the jobs that ended, of a mount or of a ring. */
struct sum {
	json_int_t files, bytes, fetched, ssd, failed;
	json_int_t verified, verified_pages;
	size_t workers;
	json_t *errors;
	json_t *jobs; /* their names, of a ring */
};

struct load {
	const char *command;    /* "load", "free" */
	const char *where;      /* where --to or --from says */
	const char *o, *config; /* -o, -c */
	const char *status;     /* --status */
	bool to_ring, to_ssd;   /* what where means */
	bool verify, dry_run, json, detach;
	bool bar;          /* stderr is a terminal */
	bool from_workers; /* a mount that was asked has some */
	struct client_mount *mounts;
	struct load_ring ring;

	/* names for the mount they are on (NULL: none), until they are sent */
	struct client_mount *mount;
	json_t *paths, *keys; /* without a mount keys are whole URLs */
	size_t text;          /* bytes of them */

	struct sum of_ring, of_ssd;
	int64_t started;
};

static json_int_t number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

/* "[#######-----]  58 %  1.2 GiB of 2.1 GiB  310 MiB/s  3 s left" */
static void draw(const struct load *l, const json_t *job)
{
	uint64_t done = (uint64_t)number(job, "bytes_done");
	uint64_t all = (uint64_t)number(job, "bytes");
	bool walked = json_is_true(json_object_get(job, "walked"));
	int64_t ns = MAX(clock_ns() - l->started, 1);
	double rate = (double)done * 1e9 / (double)ns;
	char bar[BAR_WIDTH + 1], d[32], a[32], r[32];
	unsigned filled;

	if (done > all)
		done = all;
	filled =
	    all > 0 ? (unsigned)((double)done / (double)all * BAR_WIDTH) : 0;
	memset(bar, '-', BAR_WIDTH);
	memset(bar, '#', filled);
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r[%s] %3.0f %%  %s of %s%s  %s/s", bar,
		all > 0 ? (double)done / (double)all * 100 : 0.0,
		units_format_size(done, d, sizeof(d)),
		units_format_size(all, a, sizeof(a)), walked ? "" : "+",
		units_format_size((uint64_t)rate, r, sizeof(r)));
	if (walked && rate > 1 && all > done)
		fprintf(stderr, "  %.0f s left", (double)(all - done) / rate);
	fprintf(stderr, "\033[K");
	fflush(stderr);
}

static void add_up(struct sum *s, const json_t *job)
{
	s->files += number(job, "files_done");
	s->bytes += number(job, "bytes");
	s->fetched += number(job, "fetched_bytes");
	s->ssd += number(job, "ssd_bytes");
	s->failed += number(job, "failed");
	s->verified += number(job, "verified_bytes");
	s->verified_pages += number(job, "verified_pages");
	json_array_extend(s->errors, json_object_get(job, "errors"));
}

static int watch(struct load *l, const char *id)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * NSEC_PER_MSEC };
	char path[64], why[WHY_MAX];

	snprintf(path, sizeof(path), "/-/load/%s", id);
	for (;;) {
		json_t *job;
		bool running, stopped;
		const char *state;
		int r = client_call(l->mount->socket, path, NULL, &job, why);

		if (r < 0)
			return cli_fail("%s: %s", l->mount->dir, why);
		state = json_string_value(json_object_get(job, "state"));
		running = state != NULL && strcmp(state, "running") == 0;
		stopped = state == NULL || strcmp(state, "cancelled") == 0;
		if (l->bar)
			draw(l, job);
		if (!running)
			add_up(&l->of_ssd, job);
		json_decref(job);
		if (stopped)
			return cli_fail("%s was unmounted before the end",
					l->mount->dir);
		if (!running)
			return CLI_DONE;
		nanosleep(&pause, NULL);
	}
}

static int start_on_mount(struct load *l)
{
	char path[32], why[WHY_MAX], id[16];
	json_t *body, *answer;
	const char *text;
	int r;

	if (json_array_size(json_object_get(
		json_object_get(l->mount->status, "ring"), "workers")) > 0)
		l->from_workers = true;
	snprintf(path, sizeof(path), "/-/%s", l->command);
	body = json_pack("{s:O, s:O, s:b, s:b}", "paths", l->paths, "keys",
			 l->keys, "verify", l->verify, "dry_run", l->dry_run);
	if (body == NULL)
		return cli_fail("out of memory");
	r = client_call(l->mount->socket, path, body, &answer, why);
	json_decref(body);
	if (r < 0)
		return cli_fail("%s: %s", l->mount->dir, why);
	text = json_string_value(json_object_get(answer, "id"));
	snprintf(id, sizeof(id), "%s", text != NULL ? text : "0");
	json_decref(answer);
	return watch(l, id);
}

static int add_url(json_t *urls, const char *source, const char *key)
{
	size_t n = strlen(source);
	const char *slash = n > 0 && source[n - 1] == '/' ? "" : "/";

	return json_array_append_new(
	    urls, json_sprintf("%s%s%s", source, slash, key));
}

/* What was gathered, as URLs. An exit code. */
static int urls_of(struct load *l, json_t *urls)
{
	char why[WHY_MAX];
	json_t *body, *answer, *keys;
	int r = 0;

	if (l->mount == NULL)
		return json_array_extend(urls, l->keys) < 0
			   ? cli_fail("out of memory")
			   : CLI_DONE;
	for (size_t i = 0; r == 0 && i < json_array_size(l->keys); i++)
		r = add_url(urls, l->mount->source,
			    json_string_value(json_array_get(l->keys, i)));
	if (r == 0 && json_array_size(l->paths) > 0) {
		body = json_pack("{s:O}", "paths", l->paths);
		r = client_call(l->mount->socket, "/-/keys", body, &answer,
				why);
		json_decref(body);
		if (r < 0)
			return cli_fail("%s: %s", l->mount->dir, why);
		keys = json_object_get(answer, "keys");
		for (size_t i = 0; r == 0 && i < json_array_size(keys); i++)
			r = add_url(urls, l->mount->source,
				    json_string_value(json_array_get(keys, i)));
		json_decref(answer);
	}
	return r < 0 ? cli_fail("out of memory") : CLI_DONE;
}

static void on_progress(void *arg, const json_t *sum)
{
	const struct load *l = arg;

	if (l->bar)
		draw(l, sum);
}

static void on_begun(void *arg, const char *job, size_t workers)
{
	struct load *l = arg;
	char dir[1024];

	l->of_ring.workers = workers;
	json_array_append_new(l->of_ring.jobs, json_string(job));
	if (l->json)
		return;
	printf("job %s on %zu workers", job, workers);
	if (l->detach)
		printf("; ask for it by tarn load --to ring --status %s", job);
	if (l->detach && l->mount != NULL)
		printf(" %s", cli_clean(l->mount->dir, dir, sizeof(dir)));
	printf("\n");
	fflush(stdout);
}

static int run_on_ring(struct load *l)
{
	json_t *urls = json_array();
	struct load_ring_job job = {
		.free = strcmp(l->command, "free") == 0,
		.verify = l->verify,
		.dry_run = l->dry_run,
		.detach = l->detach,
		.urls = urls,
		.progress = on_progress,
		.began = on_begun,
		.arg = l,
	};
	int r = urls_of(l, urls);

	if (r == CLI_DONE)
		r = load_ring_run(&l->ring, &job);
	if (r == CLI_DONE) {
		add_up(&l->of_ring, job.sum);
		l->of_ring.workers =
		    json_array_size(json_object_get(job.sum, "workers"));
	}
	json_decref(job.sum);
	json_decref(urls);
	return r;
}

/* Start jobs for the names gathered so far and wait for their end. */
static int flush_names(struct load *l)
{
	int r = CLI_DONE;

	if (json_array_size(l->paths) + json_array_size(l->keys) == 0)
		return CLI_DONE;
	if (l->to_ring)
		r = run_on_ring(l);
	if (r == CLI_DONE && l->to_ssd)
		r = start_on_mount(l);
	json_array_clear(l->paths);
	json_array_clear(l->keys);
	l->text = 0;
	return r;
}

/* The mount that a path or URL is on, as client_find_path(). */
static int find(const struct load *l, const char *name, struct client_mount **m,
		char **below, bool *url)
{
	*url = strstr(name, "://") != NULL;
	return *url ? client_find_url(l->mounts, name, m, below)
		    : client_find_path(l->mounts, name, m, below);
}

static int add_name(struct load *l, const char *name)
{
	AUTO_FREE char *below = NULL;
	struct client_mount *m = NULL;
	bool url;
	int r = find(l, name, &m, &below, &url);

	if (r == -ENOENT && url && !l->to_ssd) {
		below = strdup(name);
		r = below != NULL ? 0 : -ENOMEM;
	}
	if (r == -ENOENT)
		return cli_fail(
		    "%s is %s; `tarn status` lists the mounts", name,
		    url ? "in no mounted source" : "on no mount of yours");
	if (r < 0)
		return cli_fail("out of memory");
	if (l->mount != m || l->text >= TEXT_A_JOB ||
	    json_array_size(l->paths) + json_array_size(l->keys) >=
		TARGETS_A_JOB) {
		r = flush_names(l);
		if (r == CLI_DONE && l->to_ring && m != NULL && l->mount != m)
			r = load_ring_adopt(&l->ring, m);
		if (r != CLI_DONE)
			return r;
		l->mount = m;
	}
	l->text += strlen(below);
	if (l->to_ring && m != NULL) /* as a URL */
		l->text += strlen(m->source) + strlen("/");
	if (json_array_append_new(url ? l->keys : l->paths,
				  json_string(below)) < 0)
		return cli_fail("%s: no file of a mount has this name", name);
	return CLI_DONE;
}

static int add_list(struct load *l, const char *file)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	AUTO_FREE char *line = NULL;
	int r = CLI_DONE;
	size_t cap = 0;
	ssize_t n;

	if (f == NULL)
		return cli_fail("%s: %s", file, strerror(errno));
	while (r == CLI_DONE && (n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			line[--n] = '\0';
		if (n > 0)
			r = add_name(l, line);
	}
	if (r == CLI_DONE && ferror(f))
		r = cli_fail("%s: cannot read it", file);
	if (f != stdin)
		fclose(f);
	return r;
}

static void tell(const struct load *l, const struct sum *s)
{
	char bytes[32], other[32], missing[32];
	bool load = strcmp(l->command, "load") == 0, ring = s == &l->of_ring;
	json_int_t part = load && !l->dry_run ? s->fetched : s->ssd;

	units_format_size((uint64_t)s->bytes, bytes, sizeof(bytes));
	units_format_size((uint64_t)part, other, sizeof(other));
	units_format_size((uint64_t)MAX(s->bytes - s->ssd, 0), missing,
			  sizeof(missing));
	if (l->dry_run && ring && !load)
		printf("%jd files, %s; %zu workers hold %s of them; nothing "
		       "was changed\n",
		       (intmax_t)s->files, bytes, s->workers, other);
	else if (l->dry_run && ring)
		printf("%jd files, %s, of which %s are on %zu workers and %s "
		       "are missing; nothing was changed\n",
		       (intmax_t)s->files, bytes, other, s->workers, missing);
	else if (l->dry_run)
		printf("%jd files, %s, of which %s are here; nothing was "
		       "changed\n",
		       (intmax_t)s->files, bytes, other);
	else if (load && ring)
		printf("%jd files, %s on %zu workers, of which %s came from "
		       "the store\n",
		       (intmax_t)s->files, bytes, s->workers, other);
	else if (load)
		printf("%jd files, %s, of which %s came from %sthe store\n",
		       (intmax_t)s->files, bytes, other,
		       l->from_workers ? "workers or " : "");
	else if (ring)
		printf("%s freed on %zu workers\n", other, s->workers);
	else
		printf("%jd files, %s freed\n", (intmax_t)s->files, other);
	if (l->verify && !l->dry_run)
		printf("%jd bytes in %jd pages were read back and are right\n",
		       (intmax_t)s->verified, (intmax_t)s->verified_pages);
}

static json_t *json_of(const struct load *l, const struct sum *s)
{
	json_t *j = json_pack(
	    "{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "kind",
	    l->command, "dry_run", l->dry_run, "files", s->files, "bytes",
	    s->bytes, "fetched_bytes", s->fetched, "ssd_bytes", s->ssd,
	    "verified_bytes", s->verified, "verified_pages", s->verified_pages,
	    "failed", s->failed, "errors", s->errors);

	if (s == &l->of_ring) {
		json_object_set(j, "jobs", s->jobs);
		json_object_set_new(j, "workers",
				    json_integer((json_int_t)s->workers));
	}
	return j;
}

static void tell_json(const struct load *l)
{
	json_t *j;

	if (l->to_ring && l->to_ssd)
		j = json_pack("{s:o, s:o}", "ring", json_of(l, &l->of_ring),
			      "ssd", json_of(l, &l->of_ssd));
	else
		j = json_of(l, l->to_ring ? &l->of_ring : &l->of_ssd);
	client_print(j);
}

static int tell_failures(const struct sum *s)
{
	size_t told = json_array_size(s->errors);

	for (size_t i = 0; i < told; i++) {
		const json_t *e = json_array_get(s->errors, i);
		const char *path =
		    json_string_value(json_object_get(e, "path"));
		const char *err =
		    json_string_value(json_object_get(e, "error"));

		cli_fail("%s: %s", path != NULL ? path : "?",
			 err != NULL ? err : "?");
	}
	if (s->failed > (json_int_t)told)
		cli_fail("and %jd more failed",
			 (intmax_t)s->failed - (intmax_t)told);
	return s->failed > 0 ? CLI_FAILED : CLI_DONE;
}

/* The ring of the mount that name is on, if it is on one. An exit code. */
static int adopt(struct load *l, const char *name)
{
	AUTO_FREE char *below = NULL;
	struct client_mount *m;
	bool url;
	int r = find(l, name, &m, &below, &url);

	if (r < 0)
		return cli_fail("%s is on no mount of yours; `tarn status` "
				"lists them",
				name);
	return load_ring_adopt(&l->ring, m);
}

/* Where nothing else says the ring: that of all mounts, if they have one. */
static int adopt_all(struct load *l)
{
	int r = CLI_DONE;

	if (options_is_set(l->ring.client.options, OPT_WORKERS))
		return CLI_DONE;
	for (struct client_mount *m = l->mounts; m != NULL; m = m->next)
		if (r == CLI_DONE)
			r = load_ring_adopt(&l->ring, m);
	return r;
}

/* --status: how far a job of the ring is. */
static int ask(struct load *l, int n, char **argv)
{
	json_t *sum = NULL;
	const char *state;
	char done[32], all[32], fetched[32];
	int r;

	r = n > 0 ? adopt(l, argv[0]) : adopt_all(l);
	if (r == CLI_DONE)
		r = load_ring_ask(&l->ring, l->status, &sum);
	if (r != CLI_DONE)
		return r;
	state = json_string_value(json_object_get(sum, "state"));
	if (l->json) {
		client_print(json_incref(sum));
	} else {
		printf("job %s on %zu workers: %s, %s of %s%s, %jd files, %s "
		       "came from the store, %jd failed\n",
		       l->status,
		       json_array_size(json_object_get(sum, "workers")),
		       state != NULL ? state : "?",
		       units_format_size((uint64_t)number(sum, "bytes_done"),
					 done, sizeof(done)),
		       units_format_size((uint64_t)number(sum, "bytes"), all,
					 sizeof(all)),
		       json_is_true(json_object_get(sum, "walked")) ? "" : "+",
		       (intmax_t)number(sum, "files"),
		       units_format_size((uint64_t)number(sum, "fetched_bytes"),
					 fetched, sizeof(fetched)),
		       (intmax_t)number(sum, "failed"));
	}
	r = state != NULL && (strcmp(state, "running") == 0 ||
			      strcmp(state, "done") == 0)
		? CLI_DONE
		: CLI_FAILED;
	json_decref(sum);
	return r;
}

static int run(struct load *l, int n, char **argv, const char *list)
{
	int r = CLI_DONE;

	for (int i = 0; i < n && r == CLI_DONE; i++)
		r = add_name(l, argv[i]);
	if (r == CLI_DONE && list != NULL)
		r = add_list(l, list);
	if (r == CLI_DONE)
		r = flush_names(l);
	if (l->bar)
		fprintf(stderr, "\r\033[K");
	if (r != CLI_DONE)
		return r;
	if (l->json)
		tell_json(l);
	else if (l->to_ring && !l->detach)
		tell(l, &l->of_ring);
	if (!l->json && l->to_ssd)
		tell(l, &l->of_ssd);
	r = tell_failures(&l->of_ring);
	return tell_failures(&l->of_ssd) == CLI_DONE ? r : CLI_FAILED;
}

/* What --to or --from says, and what goes with it. */
static int check(struct load *l, const char *flag, int n, const char *list)
{
	bool both = strcmp(l->where, "both") == 0;

	l->to_ring = both || strcmp(l->where, "ring") == 0;
	l->to_ssd = both || strcmp(l->where, "ssd") == 0;
	if (!l->to_ring && !l->to_ssd)
		return cli_usage("%s %s: ssd, ring and both are the places",
				 flag, l->where);
	if (!l->to_ring && (l->o != NULL || l->config != NULL || l->detach ||
			    l->status != NULL))
		return cli_usage("-o, -c, --detach and --status go with %s "
				 "ring",
				 flag);
	if (l->detach && (l->to_ssd || l->verify))
		return cli_usage("--detach goes with %s ring alone, and what "
				 "is to be verified is waited for",
				 flag);
	if (l->status != NULL && (n > 1 || list != NULL))
		return cli_usage("--status asks for one job, of the ring of "
				 "one mount");
	if (n == 0 && list == NULL && l->status == NULL)
		return cli_usage("%s needs a path: tarn %s PATH|URL...",
				 l->command, l->command);
	return CLI_DONE;
}

static void sum_init(struct sum *s)
{
	s->errors = json_array();
	s->jobs = json_array();
}

static void sum_fini(struct sum *s)
{
	json_decref(s->errors);
	json_decref(s->jobs);
}

static int load_or_free(int argc, char **argv, const struct cli_flag *flags,
			size_t nflags, const char **list, struct load *l)
{
	const char *flag = strcmp(l->command, "free") == 0 ? "--from" : "--to";
	int n = cli_args(l->command, argc, argv, flags, nflags);
	unsigned silent;
	int r;

	if (n < 0 || check(l, flag, n, *list) != CLI_DONE)
		return CLI_USAGE;
	l->bar = cli_terminal(stderr) && !l->json;
	l->started = clock_ns();
	l->mounts = client_mounts(&silent);
	l->paths = json_array();
	l->keys = json_array();
	sum_init(&l->of_ring);
	sum_init(&l->of_ssd);
	r = l->to_ring ? load_ring_open(&l->ring, l->o, l->config) : CLI_DONE;
	if (r == CLI_DONE)
		r = l->status != NULL ? ask(l, n, argv)
				      : run(l, n, argv, *list);
	if (l->to_ring)
		load_ring_close(&l->ring);
	sum_fini(&l->of_ring);
	sum_fini(&l->of_ssd);
	json_decref(l->paths);
	json_decref(l->keys);
	client_mounts_free(l->mounts);
	return r;
}

int cmd_load(int argc, char **argv)
{
	struct load l = { .command = "load", .where = "ssd" };
	const char *list = NULL;
	const struct cli_flag flags[] = {
		{ "--list", NULL, &list },
		{ "--to", NULL, &l.where },
		{ "--verify", &l.verify, NULL },
		{ "--dry-run", &l.dry_run, NULL },
		{ "--detach", &l.detach, NULL },
		{ "--status", NULL, &l.status },
		{ "--json", &l.json, NULL },
		{ "-o", NULL, &l.o },
		{ "-c", NULL, &l.config },
	};

	return load_or_free(argc, argv, flags, ARRAY_SIZE(flags), &list, &l);
}

int cmd_free(int argc, char **argv)
{
	struct load l = { .command = "free", .where = "ssd" };
	const char *list = NULL;
	const struct cli_flag flags[] = {
		{ "--list", NULL, &list },
		{ "--from", NULL, &l.where },
		{ "--dry-run", &l.dry_run, NULL },
		{ "--json", &l.json, NULL },
		{ "-o", NULL, &l.o },
		{ "-c", NULL, &l.config },
	};

	return load_or_free(argc, argv, flags, ARRAY_SIZE(flags), &list, &l);
}
