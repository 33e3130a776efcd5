/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refmodel - random operations, every answer compared with a model
 *
 * Usage: refmodel [OPTION...]
 *   --seed N      that run alone; without: a few known seeds, and new ones
 *                 for some seconds
 *   --ops N       operations of a run (150)
 *   --only I,...  only these of them, as a failure prints them
 *   --seconds N   new seeds for so long
 *   --read        only runs that read; a seed alone is of one
 *   --write       only runs that write
 *   --mount       through mounts (tests/mount/refmodel_*.sh sets them up)
 *   --trace       print each operation
 *
 * A run is made of its seed: how the cache is set up, and a list of
 * operations of programs (open, read, stat, list; and write, rename, unlink),
 * of others on the store (put, delete), of faults, of restarts. A failure is
 * printed with the seed, and with the fewest operations that still fail. The
 * last line is that of check's programs, for scripts/unit.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "tests/tools/refmodel-parts/front.h"
#include "tests/tools/refmodel-parts/run.h"
#include "tests/tools/refmodel-parts/shrink.h"
#include "tests/tools/refmodel-parts/write_run.h"

enum {
	OPS_MAX = 10000,
	SHRINK_SECONDS = 60,
	SHRINK_TRIES = 3,
	FRESH_SECONDS = 4,
	RUN_SECONDS = 120
};

/* Seeds that once failed, and some that meet each kind of set-up. */
static const uint64_t known_seeds[] = { 1, 2, 3, 4, 5, 6, 7, 8, 310106 };

struct settings {
	bool real, trace;
	bool reads, writes; /* such runs are wanted */
	size_t nops;
	const char *only;
};

struct plan {
	const struct settings *settings;
	bool writes;
	struct config config;
	struct write_config write_config; /* if it does */
	struct op ops[OPS_MAX];
	size_t n;
	struct outcome last; /* that failed */
};

static uint64_t running; /* the seed */

/*
 * Which one it was that crashed, or hangs (SIGALRM): its list cannot be made
 * smaller here. --trace shows how far it came.
 */
static void crashed(int signal)
{
	char text[100];
	int n = snprintf(text, sizeof(text), "refmodel: seed %ju: %s\n",
			 (uintmax_t)running,
			 signal == SIGALRM ? "it hangs" : "it crashed");

	(void)!write(STDERR_FILENO, text, (size_t)n);
	_exit(128 + signal);
}

static void run(const struct plan *p, const bool *skip, struct outcome *out)
{
	alarm(RUN_SECONDS);
	if (p->writes) {
		write_run_ops(p->settings->real ? write_front_mount_new
						: write_front_cache_new,
			      &p->write_config, p->ops, p->n, skip,
			      p->settings->trace, out);
		return;
	}
	run_ops(p->settings->real ? front_mount_new : front_cache_new,
		&p->config, p->ops, p->n, skip, p->settings->trace, out);
}

static void print_config(FILE *to, const struct plan *p)
{
	if (p->writes)
		write_config_print(to, &p->write_config);
	else
		config_print(to, &p->config);
}

/* A failure that needs luck is tried for more than once. */
static bool fails(void *arg, const bool *skip)
{
	struct plan *p = arg;
	struct outcome out;

	for (int i = 0; i < (p->settings->real ? 1 : SHRINK_TRIES); i++) {
		run(p, skip, &out);
		if (out.failed) {
			p->last = out;
			return true;
		}
	}
	return false;
}

static void report(struct plan *p, uint64_t seed, bool *skip)
{
	const char *comma = "";

	printf("seed %ju, operation %zu of %zu: %s\n", (uintmax_t)seed,
	       p->last.at, p->n, p->last.why);
	print_config(stdout, p);
	fflush(stdout);
	for (size_t i = p->last.at + 1; i < p->n; i++)
		skip[i] = true;
	shrink(skip, p->n, fails, p, SHRINK_SECONDS);
	printf("the fewest operations that fail: %s\n", p->last.why);
	for (size_t i = 0; i < p->n; i++)
		if (!skip[i]) {
			printf("%4zu ", i);
			if (p->writes)
				write_op_print(stdout, &p->ops[i]);
			else
				op_print(stdout, &p->ops[i]);
			printf("\n");
		}
	printf("again: refmodel%s%s --seed %ju --ops %zu --trace --only ",
	       p->settings->real ? " --mount" : "", p->writes ? " --write" : "",
	       (uintmax_t)seed, p->n);
	for (size_t i = 0; i < p->n; i++)
		if (!skip[i]) {
			printf("%s%zu", comma, i);
			comma = ",";
		}
	printf("\n");
}

static void only(const char *list, bool *skip, size_t n)
{
	char *end;

	memset(skip, true, n);
	for (; *list != '\0'; list = *end == ',' ? end + 1 : end) {
		size_t i = strtoul(list, &end, 10);

		if (end == list)
			break;
		if (i < n)
			skip[i] = false;
	}
}

/* 0, or 1 when it failed. */
static int run_seed(const struct settings *s, uint64_t seed, bool writes)
{
	static struct plan p;
	static bool skip[OPS_MAX];
	struct seed from = { seed };
	struct outcome out;

	running = seed;
	p.settings = s;
	p.n = s->nops;
	p.writes = writes;
	if (writes) {
		write_config_make(&from, s->real, &p.write_config);
		write_ops_make(&from, &p.write_config, p.ops, p.n);
	} else {
		config_make(&from, s->real, &p.config);
		ops_make(&from, &p.config, p.ops, p.n);
	}
	memset(skip, 0, sizeof(skip));
	if (s->only != NULL)
		only(s->only, skip, p.n);
	if (s->trace)
		print_config(stderr, &p);
	run(&p, skip, &out);
	printf("%s seed %ju: %zu opens, %zu reads, %zu %s, %zu errors",
	       out.failed ? "FAIL" : "ok  ", (uintmax_t)seed, out.opens,
	       out.reads, out.answers, writes ? "commits" : "answers",
	       out.errors);
	if (writes)
		printf(", %zu faults, %zu kills", out.faults, out.kills);
	printf("\n");
	fflush(stdout);
	if (!out.failed)
		return 0;
	p.last = out;
	if (s->only == NULL)
		report(&p, seed, skip);
	else
		printf("operation %zu: %s\n", out.at, out.why);
	return 1;
}

static uint64_t new_seed(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 % 1000000000000 +
	       (uint64_t)ts.tv_nsec / 1000;
}

/* The runs of a seed that are wanted. */
static int run_both(const struct settings *s, uint64_t seed, int *checks)
{
	int failures = 0;

	*checks += s->reads + s->writes;
	if (s->reads)
		failures += run_seed(s, seed, false);
	if (s->writes)
		failures += run_seed(s, seed, true);
	return failures;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'n' },
		{ "only", required_argument, NULL, 'o' },
		{ "seconds", required_argument, NULL, 't' },
		{ "read", no_argument, NULL, 'r' },
		{ "write", no_argument, NULL, 'w' },
		{ "mount", no_argument, NULL, 'm' },
		{ "trace", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 }
	};
	struct settings s = { .nops = 150 };
	uint64_t seed = 0;
	bool one = false;
	int checks = 0, failures = 0, c;
	time_t end = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			seed = strtoull(optarg, NULL, 10);
			one = true;
			break;
		case 'n':
			s.nops = MIN(strtoul(optarg, NULL, 10), OPS_MAX);
			break;
		case 'o':
			s.only = optarg;
			break;
		case 't':
			end = time(NULL) + atol(optarg);
			break;
		case 'r':
			s.reads = true;
			break;
		case 'w':
			s.writes = true;
			break;
		case 'm':
			s.real = true;
			break;
		case 'v':
			s.trace = true;
			break;
		default:
			return 2;
		}
	}
	log_set_level(LOG_LEVEL_ERR);
	signal(SIGABRT, crashed);
	signal(SIGSEGV, crashed);
	signal(SIGALRM, crashed);
	if (!s.reads && !s.writes) {
		s.reads = true;
		s.writes = !s.real;
	}
	if (one) {
		failures += run_seed(&s, seed, !s.reads);
		checks++;
	} else if (end == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(known_seeds); i++)
			failures += run_both(&s, known_seeds[i], &checks);
		end = time(NULL) + FRESH_SECONDS;
	}
	while (!one && failures == 0) {
		failures += run_both(&s, new_seed(), &checks);
		if (time(NULL) >= end)
			break;
	}
	printf("%d%%: Checks: %d, Failures: %d, Errors: 0\n",
	       checks > 0 ? (checks - failures) * 100 / checks : 0, checks,
	       failures);
	return failures > 0;
}
