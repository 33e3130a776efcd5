/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_doctor.c - tarn doctor SOURCE|DIR [-o OPTIONS] [-c FILE] [--json]
 *
 * A source is looked at as a mount of it would be opened from here. Of a
 * mount that answers, its own options count, not this shell's; of one that
 * does not, only its source is known.
 */
#include "fuse/cli.h"

#include <errno.h>

#include "base/log.h"
#include "fuse/client.h"
#include "fuse/doctor.h"
#include "fuse/options.h"
#include "fuse/places.h"
#include "fuse/service.h"
#include "fuse/json_text.h"
#include "fuse/source.h"

struct request {
	struct options *options;
	const char *config; /* -c */
	bool json;
	char *source;
	char *dir; /* or NULL */
	json_t *lines;
};

static void print_line(void *arg, const struct doctor_line *l)
{
	static const char *const colours[] = { "\033[32m", "\033[31m",
					       "\033[33m" };
	bool colour = cli_colour(stdout);
	char text[2 * WHY_MAX], fix[2 * WHY_MAX];

	(void)arg;
	printf("%s%s%s  %-12s  %s", colour ? colours[l->result] : "",
	       doctor_word(l->result), colour ? "\033[0m" : "", l->check,
	       cli_clean(l->text, text, sizeof(text)));
	if (l->result == DOCTOR_FAIL)
		printf("; %s", cli_clean(l->fix, fix, sizeof(fix)));
	printf("\n");
	fflush(stdout);
}

static void keep_line(void *arg, const struct doctor_line *l)
{
	struct request *q = arg;
	json_t *j =
	    json_pack("{s:s, s:s, s:o}", "check", l->check, "result",
		      doctor_word(l->result), "text", json_text(l->text));

	if (l->result == DOCTOR_FAIL)
		json_object_set_new(j, "fix", json_text(l->fix));
	json_array_append_new(q->lines, j);
}

static int print_json(struct request *q, unsigned failed)
{
	json_t *j =
	    json_pack("{s:s, s:o, s:o, s:O, s:i}", "version", TARN_VERSION,
		      "source", json_text(q->source), "dir",
		      q->dir != NULL ? json_text(q->dir) : json_null(),
		      "checks", q->lines, "failed", (int)failed);
	int r = client_print(j);

	return failed > 0 ? CLI_FAILED : r;
}

static int options_of_shell(struct request *q, char why[static WHY_MAX])
{
	extern char **environ;
	int r = options_env(q->options, environ, why);

	if (r < 0)
		return r;
	return q->config != NULL ? options_file(q->options, q->config, why)
				 : options_default_file(q->options, why);
}

/* Sets source and dir; returns an exit code. */
static int of_mount(struct request *q, const char *path)
{
	struct client_mount *all = client_mounts(NULL), *m;
	AUTO_FREE char *below = NULL;
	char why[WHY_MAX] = "out of memory";
	struct mount_entry e;
	int r = 0;

	q->dir = places_mount_of(path, &e);
	if (q->dir == NULL && client_find_path(all, path, &m, &below) == 0)
		q->dir = strdup(m->dir);
	if (q->dir == NULL) {
		client_mounts_free(all);
		return cli_fail("%s is neither a source nor on a mount of "
				"tarn; name one, as in s3://BUCKET/PREFIX",
				path);
	}
	for (m = all; m != NULL && strcmp(m->dir, q->dir) != 0;)
		m = m->next;
	q->source = strdup(m != NULL ? m->source : e.source);
	if (q->source == NULL)
		r = -ENOMEM;
	else
		r = m != NULL ? client_mount_options(m, q->options, why)
			      : options_of_shell(q, why);
	client_mounts_free(all);
	return r < 0 ? cli_fail("%s: %s", q->dir, why) : CLI_DONE;
}

static int of_source(struct request *q, const char *source)
{
	char why[WHY_MAX] = "out of memory";

	if (options_of_shell(q, why) < 0)
		return cli_usage("%s", why);
	if (source_check(source, &q->source, why) < 0)
		return cli_fail("%s", why);
	return CLI_DONE;
}

static int examine(struct request *q)
{
	struct doctor_conf conf = { q->options, q->source, q->dir };
	char why[WHY_MAX] = "out of memory";
	unsigned failed;
	int r;

	if (source_defaults(q->options, false, why) < 0)
		return cli_fail("%s", why);
	/* Without one the check of staging-dir says so. */
	if (source_writes_defaults(q->options, false, why) == -ENOMEM)
		return cli_fail("out of memory");
	/* Each thing is said once, by its check. */
	log_open("/dev/null");
	if (!q->json)
		return doctor_run(&conf, print_line, NULL) > 0 ? CLI_FAILED
							       : CLI_DONE;
	q->lines = json_array();
	failed = doctor_run(&conf, keep_line, q);
	r = print_json(q, failed);
	json_decref(q->lines);
	return r;
}

static int run(struct request *q, int argc, char **argv)
{
	char why[WHY_MAX];
	int opt, r;

	opterr = 0;
	optind = 1;
	/* To getopt(3) --json is a flag "-" with the value "json". */
	while ((opt = getopt(argc, argv, ":o:c:-:")) != -1) {
		switch (opt) {
		case 'o':
			if (options_parse(q->options, optarg, why) < 0)
				return cli_usage("-o %s", why);
			break;
		case 'c':
			q->config = optarg;
			break;
		case '-':
			if (strcmp(optarg, "json") != 0)
				return cli_usage("doctor: unknown flag --%s; "
						 "see `tarn help doctor`",
						 optarg);
			q->json = true;
			break;
		case ':':
			return cli_usage("doctor: -%c needs a value after it",
					 optopt);
		default:
			return cli_usage("doctor: unknown flag -%c; see `tarn "
					 "help doctor`",
					 optopt);
		}
	}
	if (argc - optind != 1)
		return cli_usage("doctor takes one source or one directory: "
				 "tarn doctor s3://BUCKET/PREFIX|DIR");
	r = strstr(argv[optind], "://") != NULL ? of_source(q, argv[optind])
						: of_mount(q, argv[optind]);
	return r != CLI_DONE ? r : examine(q);
}

int cmd_doctor(int argc, char **argv)
{
	struct request q = { .config = NULL };
	int r;

	if (options_new(&q.options) < 0)
		return cli_fail("out of memory");
	r = run(&q, argc, argv);
	options_free(q.options);
	free(q.source);
	free(q.dir);
	return r;
}
