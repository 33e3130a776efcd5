/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_process.c - keys that a program prints: credential_process
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
 * The command is cut into words as botocore does it (spaces, quotes and
 * backslashes as in a shell), and run without a shell: no variable, no `~`
 * and no `;` in it means anything. The program has a deadline, the daemon's
 * environment and working directory, no terminal, and none of its
 * descriptors. What it writes to standard error is lost on purpose, as it may
 * be a secret, and no message repeats the command for the same reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "ufs/creds_impl.h"
#include "ufs/sigv4.h"
#include "ufs/ufs_impl.h"

#define PATIENCE_NS (60 * NSEC_PER_SEC)
#define OUTPUT_MAX KIB(64)
#define WORDS_MAX 256
#define STEP_MS 50

int creds_split(const char *command, char *words, char **argv, size_t most)
{
	size_t n = 0;
	bool in_word = false;
	char quote = '\0';

	for (const char *c = command; *c != '\0'; c++) {
		if (quote == '\0' && strchr(" \t\r\n", *c) != NULL) {
			if (in_word)
				*words++ = '\0';
			in_word = false;
			continue;
		}
		if (!in_word) {
			if (n + 1 >= most)
				return -E2BIG;
			argv[n++] = words;
			in_word = true;
		}
		if (*c == quote) {
			quote = '\0';
		} else if (quote == '\0' && (*c == '"' || *c == '\'')) {
			quote = *c;
		} else if (*c == '\\' && quote != '\'' &&
			   (quote == '\0' || c[1] == '"' || c[1] == '\\')) {
			if (*++c == '\0')
				return -EINVAL;
			*words++ = *c;
		} else {
			*words++ = *c;
		}
	}
	*words = '\0';
	argv[n] = NULL;
	return quote != '\0' || n == 0 || argv[0][0] == '\0' ? -EINVAL : 0;
}

struct run {
	pid_t pid;
	int out;
	int64_t deadline;
	struct cancel *cancel;
};

/* Its own group, so that what it starts ends with it. */
static int attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawnattr_setsigmask(attr, &none) != 0 ||
	    posix_spawnattr_setsigdefault(attr, &all) != 0 ||
	    posix_spawnattr_setpgroup(attr, 0) != 0 ||
	    posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK |
					       POSIX_SPAWN_SETSIGDEF |
					       POSIX_SPAWN_SETPGROUP) != 0)
		return -EINVAL;
	return 0;
}

static int descriptors(posix_spawn_file_actions_t *f, int out)
{
	if (posix_spawn_file_actions_addopen(f, 0, "/dev/null", O_RDONLY, 0) !=
		0 ||
	    posix_spawn_file_actions_adddup2(f, out, 1) != 0 ||
	    posix_spawn_file_actions_addopen(f, 2, "/dev/null", O_WRONLY, 0) !=
		0 ||
	    posix_spawn_file_actions_addclosefrom_np(f, 3) != 0)
		return -ENOMEM;
	return 0;
}

static int start(struct run *r, char **argv)
{
	extern char **environ;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int fd[2], err;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	if (posix_spawn_file_actions_init(&files) != 0 ||
	    posix_spawnattr_init(&attr) != 0) {
		close(fd[0]);
		close(fd[1]);
		return -ENOMEM;
	}
	err = attributes(&attr);
	if (err == 0)
		err = descriptors(&files, fd[1]);
	if (err == 0)
		err = -posix_spawnp(&r->pid, argv[0], &files, &attr, argv,
				    environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	close(fd[1]);
	if (err < 0)
		close(fd[0]);
	else
		r->out = fd[0];
	return err;
}

/* Wait a moment for fd (-1: just wait). -ECANCELED, -ETIMEDOUT. */
static int step(const struct run *r, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (cancelled(r->cancel))
		return -ECANCELED;
	if (clock_ns() >= r->deadline)
		return -ETIMEDOUT;
	poll(&p, 1, fd < 0 ? 5 : STEP_MS);
	return 0;
}

static int read_output(const struct run *r, struct text *out)
{
	char buf[4096];
	ssize_t n = -1;
	int err = 0;

	while (err == 0 && n != 0) {
		err = step(r, r->out);
		if (err < 0)
			break;
		n = read(r->out, buf, sizeof(buf));
		if (n > 0)
			text_add(out, buf, (size_t)n);
		else if (n < 0 && errno != EINTR && errno != EAGAIN)
			err = -errno;
		if (out->failed)
			err = -ENOMEM;
		else if (out->n > OUTPUT_MAX)
			err = -EFBIG;
	}
	explicit_bzero(buf, sizeof(buf));
	return err;
}

/* Until it has ended by itself. *status as waitpid() has it. */
static int await(const struct run *r, int *status)
{
	for (;;) {
		pid_t p = waitpid(r->pid, status, WNOHANG);
		int err;

		if (p == r->pid)
			return 0;
		/* Whoever ignores SIGCHLD is never told how it ended. */
		if (p < 0 && errno == ECHILD) {
			*status = 0;
			return 0;
		}
		err = step(r, -1);
		if (err < 0)
			return err;
	}
}

/* Run it to its end, or end it. */
static int run(const struct creds_site *site, char **argv, struct text *out,
	       int *status, bool *started)
{
	struct run r = { .cancel = site->cancel };
	int err = start(&r, argv);

	r.deadline =
	    clock_ns() + (site->patience != 0 ? site->patience : PATIENCE_NS);
	*started = err == 0;
	if (err < 0)
		return err;
	fcntl(r.out, F_SETFL, O_NONBLOCK);
	err = read_output(&r, out);
	close(r.out);
	if (err == 0)
		err = await(&r, status);
	if (err < 0) {
		kill(-r.pid, SIGKILL);
		while (waitpid(r.pid, status, 0) < 0 && errno == EINTR)
			;
	}
	return err;
}

static int failure(const char *profile, int err, bool started,
		   char why[static 256])
{
	if (err == -ENOMEM || err == -ECANCELED)
		return err;
	if (!started)
		return ufs_why(why, err == -EAGAIN ? -EAGAIN : -EINVAL,
			       "credential_process of profile %.60s cannot be "
			       "run: %s; give a program's full path (no ~, no "
			       "variables)",
			       profile, strerror(-err));
	if (err == -ETIMEDOUT)
		return ufs_why(why, -EAGAIN,
			       "credential_process of profile %.60s did not "
			       "end in time and was killed; run it by hand to "
			       "see what it waits for",
			       profile);
	return ufs_why(why, -EINVAL,
		       "the output of credential_process of profile %.60s "
		       "cannot be read: %s",
		       profile,
		       err == -EFBIG ? "it is too long" : strerror(-err));
}

static int take(const char *profile, const struct text *out, struct creds *set,
		char why[static 256])
{
	static const struct creds_members members = { "AccessKeyId",
						      "SecretAccessKey",
						      "SessionToken",
						      "Expiration", false };
	json_t *o = creds_json(out);
	json_int_t version = json_integer_value(json_object_get(o, "Version"));
	char what[128];
	int r;

	snprintf(what, sizeof(what), "credential_process of profile %.60s",
		 profile);
	if (!json_is_object(o))
		r = ufs_why(why, -EINVAL, "%s did not print a JSON object",
			    what);
	else if (version != 1)
		r = ufs_why(why, -EINVAL, "%s did not print \"Version\": 1",
			    what);
	else
		r = creds_from_json(o, &members, set, what, why);
	json_decref(o);
	return r;
}

/* A command that was changed may be of another identity. */
static int name_it(const char *profile, const char *command, struct creds *set)
{
	char hash[65];
	int r = sigv4_body_hash(command, strlen(command), hash);

	if (r == 0 && set->token != NULL)
		r = creds_whose(set, "process %s", hash);
	if (r == 0)
		r = creds_source(set, "profile %s (credential_process)",
				 profile);
	return r;
}

int creds_process_fetch(const struct creds_site *site,
			const struct awsconf *aws, struct creds *set,
			char why[static 256])
{
	const char *command = awsconf_get(aws, "credential_process");
	size_t room = strlen(command) + 1;
	char *words = malloc(room), *argv[WORDS_MAX];
	struct text out = { 0 };
	bool started;
	int status = 0, r;

	if (words == NULL)
		return -ENOMEM;
	if (awsconf_open_to_others(aws))
		r = ufs_why(why, -EINVAL,
			    "credential_process of profile %.60s is not run: "
			    "others can write to %.70s or %.70s",
			    aws->profile, aws->config_path,
			    aws->credentials_path);
	else if (creds_split(command, words, argv, WORDS_MAX) < 0)
		r = ufs_why(why, -EINVAL,
			    "credential_process of profile %.100s is no "
			    "command: check its quotes",
			    aws->profile);
	else {
		r = run(site, argv, &out, &status, &started);
		if (r < 0)
			r = failure(aws->profile, r, started, why);
		else if (status != 0)
			r = ufs_why(why, -EINVAL,
				    "credential_process of profile %.60s "
				    "failed (%s %d); run it by hand to see why",
				    aws->profile,
				    WIFSIGNALED(status) ? "signal" : "exit",
				    WIFSIGNALED(status) ? WTERMSIG(status)
							: WEXITSTATUS(status));
		else
			r = take(aws->profile, &out, set, why);
	}
	if (r == 0)
		r = name_it(aws->profile, command, set);
	explicit_bzero(words, room);
	free(words);
	text_wipe(&out);
	return r;
}
