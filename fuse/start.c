/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.c - what every command that stays has to do before it serves
 */
#include "fuse/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/log.h"
#include "ufs/awsconf.h"

/* LeakSanitizer looks into the process as a debugger does. */
#if defined(__SANITIZE_ADDRESS__)
#define MAY_BE_DEBUGGED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MAY_BE_DEBUGGED 1
#endif
#endif
#ifndef MAY_BE_DEBUGGED
#define MAY_BE_DEBUGGED 0
#endif

int start_options(struct options *o, const char *config,
		  char why[static WHY_MAX])
{
	extern char **environ;
	int r = options_env(o, environ, why);

	if (r == 0)
		r = config != NULL ? options_file(o, config, why)
				   : options_default_file(o, why);
	return r;
}

int start_log(struct options *o, bool foreground)
{
	enum log_level level;
	const char *where;
	int r;

	if (options_default(o, OPT_LOG, foreground ? "stderr" : "syslog", 0) <
	    0)
		return cli_fail("out of memory");
	where = options_text(o, OPT_LOG);
	if (log_level_parse(options_text(o, OPT_LOG_LEVEL), &level) == 0)
		log_set_level(level);
	r = log_open(where);
	if (r < 0)
		return cli_fail("log=%s: %s; name a file that can be written",
				where, strerror(-r));
	return CLI_DONE;
}

int start_secrets(void)
{
	if (!MAY_BE_DEBUGGED)
		prctl(PR_SET_DUMPABLE, 0);
	return awsconf_hide_keys() < 0 ? cli_fail("out of memory") : CLI_DONE;
}

int start_topics(const char *words)
{
	unsigned topics;

	if (log_topics_parse(words, &topics) < 0)
		return cli_usage("-d %s: the topics are ufs, cache, fuse, meta "
				 "and ring",
				 words);
	log_set_topics(topics);
	return CLI_DONE;
}

int start_in_background(int (*serve)(void *arg, int fd),
			int (*wait)(void *arg, int fd, pid_t child), void *arg)
{
	pid_t parent = getpid(), child;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return cli_fail("cannot start: %s", strerror(errno));
	fflush(NULL);
	child = fork();
	if (child < 0)
		return cli_fail("cannot start a process: %s", strerror(errno));
	if (child > 0) {
		close(fd[1]);
		return wait(arg, fd[0], child);
	}
	close(fd[0]);
	/* If the parent is interrupted, nothing shall be left. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		return CLI_FAILED;
	setsid();
	if (chdir("/") < 0)
		return cli_fail("/: %s", strerror(errno));
	return serve(arg, fd[1]);
}

int start_reap(pid_t child, int *status)
{
	while (waitpid(child, status, 0) < 0)
		if (errno != EINTR)
			return CLI_FAILED;
	return WIFEXITED(*status) ? WEXITSTATUS(*status) : CLI_DONE;
}

bool start_send(int fd, char c)
{
	return send(fd, &c, 1, MSG_NOSIGNAL) == 1;
}

char start_receive(int fd)
{
	char c;
	ssize_t n;

	do
		n = recv(fd, &c, 1, 0);
	while (n < 0 && errno == EINTR);
	return n == 1 ? c : '\0';
}

void start_let_go_of_terminal(const struct options *o)
{
	const char *log = options_text(o, OPT_LOG);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, 0);
	dup2(null, 1);
	if (strcmp(log, "stderr") != 0)
		dup2(null, 2);
	if (null > 2)
		close(null);
}

void start_reload_level(const struct options *now, const char *config)
{
	extern char **environ;
	enum log_level level;
	struct options *o;
	char why[WHY_MAX];
	int r;

	if (now->v[OPT_LOG_LEVEL].source == OPTION_FROM_COMMAND)
		return;
	if (options_new(&o) < 0)
		return;
	r = options_env(o, environ, why);
	if (r == 0)
		r = config != NULL ? options_file(o, config, why)
				   : options_default_file(o, why);
	if (r < 0)
		log_warn("tarn: the options stay as they were: %s", why);
	else if (log_level_parse(options_text(o, OPT_LOG_LEVEL), &level) == 0)
		log_set_level(level);
	options_free(o);
}
