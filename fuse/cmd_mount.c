/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_mount.c - tarn mount, and mount.tarn as mount(8) calls it
 *
 * In the background the mount lives in a child; the parent stays until the
 * mount answers, so that what follows it in a script can read at once:
 *
 *   child                         parent
 *   opens, asks, mounts
 *   'M' ------------------------> stat of the directory, which the child
 *                                 serves by then
 *   prints, lets go of   <------- 'A'
 *   the terminal
 *   'D' ------------------------> exit 0
 *
 * The stat is the parent's, as a daemon that waits for itself cannot be
 * killed. The end of the stream means that the other side died: the parent
 * then exits as the child did, the child unmounts.
 */
#include "fuse/cli.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fuse/fs.h"
#include "fuse/limits.h"
#include "fuse/options.h"
#include "fuse/service.h"
#include "fuse/signals.h"
#include "fuse/start.h"

struct request {
	struct options *options;
	const char *config; /* -c */
	char *source;
	char *dir;
	bool foreground;
	bool fake; /* mount -f: check, do not mount */
};

struct announcer {
	struct service *service;
	int fd;
	pthread_t thread;
};

static void *announce(void *arg)
{
	struct announcer *a = arg;

	/* Once serving has ended the directory below answers the stat. */
	if (!start_send(a->fd, 'M') || start_receive(a->fd) != 'A' ||
	    fs_ended(a->service->fs)) {
		service_stop(a->service);
		return NULL;
	}
	service_print(a->service, stdout, true);
	fflush(stdout);
	start_let_go_of_terminal(a->service->options);
	start_send(a->fd, 'D');
	return NULL;
}

/* Mount and serve. fd: to the waiting parent, or -1 in the foreground. */
static int serve(void *arg, int fd)
{
	const struct request *q = arg;
	struct announcer a = { .fd = fd };
	struct service *s;
	char why[WHY_MAX];
	int r;

	limits_raise_files();
	signals_block();
	if (service_open(q->options, q->config, q->source, q->dir, &s, why) < 0)
		return cli_fail("%s", why);
	if (fd < 0) {
		service_print(s, stdout, false);
		fflush(stdout);
	} else {
		/* From here on the end of the stream says that it died. */
		prctl(PR_SET_PDEATHSIG, 0);
		a.service = s;
		r = pthread_create(&a.thread, NULL, announce, &a);
		if (r != 0) {
			service_close(s);
			return cli_fail("cannot start a thread: %s",
					strerror(r));
		}
	}
	r = service_serve(s);
	if (fd >= 0) {
		shutdown(fd, SHUT_RDWR);
		must(pthread_join(a.thread, NULL));
		close(fd);
	}
	service_close(s);
	if (r < 0)
		return cli_fail("%s: serving ended: %s", q->dir, strerror(-r));
	return CLI_DONE;
}

static int exit_code_of(pid_t child)
{
	int status, r = start_reap(child, &status);

	if (r != CLI_DONE)
		return r;
	if (WIFSIGNALED(status))
		return cli_fail("the mount was ended by signal %d before it "
				"answered; nothing is mounted",
				WTERMSIG(status));
	return cli_fail("unmounted before it answered");
}

static int wait_for(void *arg, int fd, pid_t child)
{
	const struct request *q = arg;
	struct stat st;

	/* A stat that fails belongs to a child that is about to say why. */
	if (start_receive(fd) == 'M' && stat(q->dir, &st) == 0 &&
	    start_send(fd, 'A') && start_receive(fd) == 'D')
		return CLI_DONE;
	close(fd);
	return exit_code_of(child);
}

static int run(struct request *q, const char *source, const char *dir)
{
	char why[WHY_MAX] = "out of memory";
	int r = start_options(q->options, q->config, why);

	if (r < 0)
		return cli_usage("%s", why);
	r = service_check(source, dir, &q->source, &q->dir, why);
	if (r < 0)
		return cli_fail("%s", why);
	r = start_log(q->options, q->foreground);
	if (r != CLI_DONE || q->fake)
		return r;
	/* Before there are two of us that hold the keys. */
	r = start_secrets();
	if (r != CLI_DONE)
		return r;
	return q->foreground ? serve(q, -1)
			     : start_in_background(serve, wait_for, q);
}

/* Who calls: what differs between tarn mount and mount.tarn. */
struct caller {
	const char *name;
	const char *flags; /* getopt's; -o is common to both */
	int (*flag)(struct request *q, int flag, const char *value);
	bool by_mount8;
};

static int mount_flag(struct request *q, int flag, const char *value)
{
	switch (flag) {
	case 'f':
		q->foreground = true;
		break;
	case 'd':
		return start_topics(value);
	case 'c':
		q->config = value;
		break;
	}
	return CLI_DONE;
}

/* Flags that say nothing here are said by mount(8) to all its helpers. */
static int helper_flag(struct request *q, int flag, const char *value)
{
	char why[WHY_MAX];

	(void)value;
	if ((flag == 'w' || flag == 'r') &&
	    options_set(q->options, "ro", flag == 'r' ? "on" : "off",
			OPTION_FROM_COMMAND, "command line", why) < 0)
		return cli_usage("-%c: %s", flag, why);
	if (flag == 'f')
		q->fake = true;
	return CLI_DONE;
}

static int take_flag(struct request *q, const struct caller *c, int flag,
		     const char *word)
{
	char why[WHY_MAX];

	switch (flag) {
	case 'o':
		if (options_parse(q->options, optarg, why) < 0)
			return cli_usage("-o %s", why);
		return CLI_DONE;
	case ':':
		return cli_usage("%s: -%c needs a value after it", c->name,
				 optopt);
	case '?':
		/* Of --word getopt has seen no more than the second dash. */
		if (optopt == '-' && word != NULL && word[0] == '-')
			return cli_usage("%s: unknown flag %s; see `tarn help "
					 "mount`",
					 c->name, word);
		return cli_usage("%s: unknown flag -%c; see `tarn help mount`",
				 c->name, optopt);
	default:
		return c->flag(q, flag, optarg);
	}
}

static int parse(struct request *q, const struct caller *c, int argc,
		 char **argv)
{
	int flag, r;

	opterr = 0;
	optind = 1;
	while ((flag = getopt(argc, argv, c->flags)) != -1) {
		r = take_flag(q, c, flag, argv[optind]);
		if (r != CLI_DONE)
			return r;
	}
	if (argc - optind < 2)
		return cli_usage("mount needs a source and a directory: tarn "
				 "mount s3://BUCKET/PREFIX DIR");
	if (argc - optind > 2)
		return cli_usage("mount takes one source and one directory; "
				 "%s is too much",
				 argv[optind + 2]);
	return run(q, argv[optind], argv[optind + 1]);
}

static int mount_for(const struct caller *c, int argc, char **argv)
{
	struct request q = { .config = NULL };
	int r;

	if (options_new(&q.options) < 0)
		return cli_fail("out of memory");
	q.options->by_mount8 = c->by_mount8;
	r = parse(&q, c, argc, argv);
	options_free(q.options);
	free(q.source);
	free(q.dir);
	return r;
}

int cmd_mount(int argc, char **argv)
{
	static const struct caller tarn = { "mount", ":o:fd:c:", mount_flag,
					    false };

	return mount_for(&tarn, argc, argv);
}

/* mount.tarn SOURCE DIR [-sfnvr] [-N NAMESPACE] [-t TYPE] [-o OPTIONS] */
int cmd_mount_helper(int argc, char **argv)
{
	static const struct caller mount8 = { "mount.tarn",
					      ":o:sfnvrwN:t:", helper_flag,
					      true };

	return mount_for(&mount8, argc, argv);
}
