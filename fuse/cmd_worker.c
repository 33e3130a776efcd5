/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_worker.c - tarn worker SOURCE... [-o OPTION[=VALUE],...] [-f]
 *
 * In the background the worker lives in a child; the parent stays until the
 * child serves and says so by one byte, or is gone.
 */
#include "fuse/cli.h"

#include <sys/prctl.h>

#include "fuse/limits.h"
#include "fuse/options.h"
#include "fuse/signals.h"
#include "fuse/start.h"
#include "fuse/worker.h"

struct request {
	struct options *options;
	const char *config; /* -c */
	char *const *sources;
	size_t nsources;
	bool foreground;
};

/* fd: to the waiting parent, or -1 in the foreground. */
static int serve(void *arg, int fd)
{
	const struct request *q = arg;
	struct worker *w;
	char why[WHY_MAX];

	limits_raise_files();
	signals_block();
	if (worker_open(q->options, q->config, q->sources, q->nsources, &w,
			why) < 0)
		return cli_fail("%s", why);
	worker_print(w, stdout);
	fflush(stdout);
	if (fd >= 0) {
		/* From here on the parent's end is not ours. */
		prctl(PR_SET_PDEATHSIG, 0);
		start_let_go_of_terminal(q->options);
		start_send(fd, 'D');
		close(fd);
	}
	worker_serve(w);
	worker_close(w);
	return CLI_DONE;
}

static int wait_for(void *arg, int fd, pid_t child)
{
	int status, r;

	(void)arg;
	if (start_receive(fd) == 'D')
		return CLI_DONE;
	close(fd);
	r = start_reap(child, &status);
	if (r != CLI_DONE)
		return r;
	return cli_fail("the worker ended before it served");
}

static int run(struct request *q)
{
	char why[WHY_MAX] = "out of memory";
	int r;

	if (start_options(q->options, q->config, why) < 0)
		return cli_usage("%s", why);
	r = start_log(q->options, q->foreground);
	if (r == CLI_DONE)
		r = start_secrets();
	if (r != CLI_DONE)
		return r;
	return q->foreground ? serve(q, -1)
			     : start_in_background(serve, wait_for, q);
}

static int take_flag(struct request *q, int flag)
{
	char why[WHY_MAX];

	switch (flag) {
	case 'o':
		if (options_parse(q->options, optarg, why) < 0)
			return cli_usage("-o %s", why);
		return CLI_DONE;
	case 'f':
		q->foreground = true;
		return CLI_DONE;
	case 'd':
		return start_topics(optarg);
	case 'c':
		q->config = optarg;
		return CLI_DONE;
	case ':':
		return cli_usage("worker: -%c needs a value after it", optopt);
	default:
		return cli_usage("worker: unknown flag -%c; see `tarn help "
				 "worker`",
				 optopt);
	}
}

static int parse(struct request *q, int argc, char **argv)
{
	int flag, r;

	opterr = 0;
	optind = 1;
	while ((flag = getopt(argc, argv, ":o:fd:c:")) != -1) {
		r = take_flag(q, flag);
		if (r != CLI_DONE)
			return r;
	}
	if (optind == argc)
		return cli_usage("worker needs a source: tarn worker "
				 "s3://BUCKET/PREFIX");
	q->sources = argv + optind;
	q->nsources = (size_t)(argc - optind);
	return run(q);
}

int cmd_worker(int argc, char **argv)
{
	struct request q = { .config = NULL };
	int r;

	if (options_new(&q.options) < 0)
		return cli_fail("out of memory");
	r = parse(&q, argc, argv);
	options_free(q.options);
	return r;
}
