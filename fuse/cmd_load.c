/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_load.c - tarn load and tarn free
 *
 * The work is a job of the mount; this command starts it, shows how far it
 * is and tells the result. What is named is sorted by mount and sent in
 * pieces, so that a list of millions of names needs neither one huge request
 * nor one huge job.
 */
#include "fuse/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "fuse/client.h"

#define TARGETS_A_JOB 10000
#define BAR_WIDTH 24
#define POLL_MS 100

struct load {
	const char *command; /* "load", "free" */
	const char *to;      /* where --to says */
	bool verify, dry_run, json;
	bool bar; /* stderr is a terminal */
	struct client_mount *mounts;

	/* names for the mount they are on, until they are sent */
	struct client_mount *mount;
	json_t *paths, *keys;

	/* the sum of the jobs that ended */
	json_int_t files, bytes, fetched, ssd, failed;
	json_t *errors;
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

static void add_up(struct load *l, const json_t *job)
{
	l->files += number(job, "files_done");
	l->bytes += number(job, "bytes");
	l->fetched += number(job, "fetched_bytes");
	l->ssd += number(job, "ssd_bytes");
	l->failed += number(job, "failed");
	json_array_extend(l->errors, json_object_get(job, "errors"));
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
			add_up(l, job);
		json_decref(job);
		if (stopped)
			return cli_fail("%s was unmounted before the end",
					l->mount->dir);
		if (!running)
			return CLI_DONE;
		nanosleep(&pause, NULL);
	}
}

/* Start a job for the names gathered so far and wait for its end. */
static int flush_names(struct load *l)
{
	char path[32], why[WHY_MAX], id[16];
	json_t *body, *answer;
	const char *text;
	int r;

	if (json_array_size(l->paths) + json_array_size(l->keys) == 0)
		return CLI_DONE;
	snprintf(path, sizeof(path), "/-/%s", l->command);
	body = json_pack("{s:O, s:O, s:b, s:b}", "paths", l->paths, "keys",
			 l->keys, "verify", l->verify, "dry_run", l->dry_run);
	if (body == NULL)
		return cli_fail("out of memory");
	r = client_call(l->mount->socket, path, body, &answer, why);
	json_decref(body);
	json_array_clear(l->paths);
	json_array_clear(l->keys);
	if (r < 0)
		return cli_fail("%s: %s", l->mount->dir, why);
	text = json_string_value(json_object_get(answer, "id"));
	snprintf(id, sizeof(id), "%s", text != NULL ? text : "0");
	json_decref(answer);
	return watch(l, id);
}

static int add_name(struct load *l, const char *name)
{
	bool url = strstr(name, "://") != NULL;
	AUTO_FREE char *below = NULL;
	struct client_mount *m;
	int r = url ? client_find_url(l->mounts, name, &m, &below)
		    : client_find_path(l->mounts, name, &m, &below);

	if (r == -ENOENT)
		return cli_fail(
		    "%s is %s; `tarn status` lists the mounts", name,
		    url ? "in no mounted source" : "on no mount of yours");
	if (r < 0)
		return cli_fail("out of memory");
	if (l->mount != m ||
	    json_array_size(l->paths) + json_array_size(l->keys) >=
		TARGETS_A_JOB) {
		r = flush_names(l);
		if (r != CLI_DONE)
			return r;
		l->mount = m;
	}
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

static void tell(const struct load *l)
{
	char bytes[32], other[32];
	bool load = strcmp(l->command, "load") == 0;

	units_format_size((uint64_t)l->bytes, bytes, sizeof(bytes));
	units_format_size((uint64_t)(load && !l->dry_run ? l->fetched : l->ssd),
			  other, sizeof(other));
	if (l->dry_run)
		printf("%jd files, %s, of which %s are here; nothing was "
		       "changed\n",
		       (intmax_t)l->files, bytes, other);
	else if (load)
		printf("%jd files, %s, of which %s came from the store\n",
		       (intmax_t)l->files, bytes, other);
	else
		printf("%jd files, %s freed\n", (intmax_t)l->files, other);
}

static void tell_json(const struct load *l)
{
	json_t *j = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:O}",
			      "kind", l->command, "dry_run", l->dry_run,
			      "files", l->files, "bytes", l->bytes,
			      "fetched_bytes", l->fetched, "ssd_bytes", l->ssd,
			      "failed", l->failed, "errors", l->errors);

	if (j != NULL)
		json_dumpf(j, stdout, JSON_INDENT(1));
	printf("\n");
	json_decref(j);
}

static int tell_failures(const struct load *l)
{
	size_t told = json_array_size(l->errors);

	for (size_t i = 0; i < told; i++) {
		const json_t *e = json_array_get(l->errors, i);
		const char *path =
		    json_string_value(json_object_get(e, "path"));
		const char *err =
		    json_string_value(json_object_get(e, "error"));

		cli_fail("%s: %s", path != NULL ? path : "?",
			 err != NULL ? err : "?");
	}
	if (l->failed > (json_int_t)told)
		cli_fail("and %jd more failed",
			 (intmax_t)l->failed - (intmax_t)told);
	return l->failed > 0 ? CLI_FAILED : CLI_DONE;
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
	else
		tell(l);
	return tell_failures(l);
}

static int load_or_free(const char *command, int argc, char **argv,
			const struct cli_flag *flags, size_t nflags,
			const char **list, struct load *l)
{
	int n = cli_args(command, argc, argv, flags, nflags);
	int r;

	if (n < 0)
		return CLI_USAGE;
	if (n == 0 && *list == NULL)
		return cli_usage("%s needs a path: tarn %s PATH|URL...",
				 command, command);
	if (strcmp(l->to, "ssd") != 0)
		return cli_usage("--to %s: ssd is the only place to load to "
				 "in this version",
				 l->to);
	l->bar = cli_terminal(stderr) && !l->json;
	l->started = clock_ns();
	l->mounts = client_mounts();
	l->mount = l->mounts;
	l->paths = json_array();
	l->keys = json_array();
	l->errors = json_array();
	r = run(l, n, argv, *list);
	json_decref(l->paths);
	json_decref(l->keys);
	json_decref(l->errors);
	client_mounts_free(l->mounts);
	return r;
}

int cmd_load(int argc, char **argv)
{
	struct load l = { .command = "load", .to = "ssd" };
	const char *list = NULL;
	const struct cli_flag flags[] = {
		{ "--list", NULL, &list },
		{ "--to", NULL, &l.to },
		{ "--verify", &l.verify, NULL },
		{ "--dry-run", &l.dry_run, NULL },
		{ "--json", &l.json, NULL },
	};

	return load_or_free("load", argc, argv, flags, ARRAY_SIZE(flags), &list,
			    &l);
}

int cmd_free(int argc, char **argv)
{
	struct load l = { .command = "free", .to = "ssd" };
	const char *list = NULL;
	const struct cli_flag flags[] = {
		{ "--list", NULL, &list },
		{ "--dry-run", &l.dry_run, NULL },
		{ "--json", &l.json, NULL },
	};

	return load_or_free("free", argc, argv, flags, ARRAY_SIZE(flags), &list,
			    &l);
}
