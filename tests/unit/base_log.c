/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_log.c - what a line holds, and that writing it never waits or kills
 *
 * Each test has a stderr of its own for a while. A test that would fail by
 * blocking is ended by check's timeout.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/log.h"
#include "tests/unit/run.h"

static char dir[64], text[1 << 20];
static int real_stderr;

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/tarn-log-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	ck_assert_int_ge(real_stderr, 0);
	ck_assert_int_eq(log_open("stderr"), 0);
	log_set_level(LOG_LEVEL_INFO);
	log_set_topics(0);
}

static void teardown(void)
{
	char file[96];

	ck_assert_int_eq(log_open("stderr"), 0);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	snprintf(file, sizeof(file), "%s/log", dir);
	unlink(file);
	snprintf(file, sizeof(file), "%s/moved", dir);
	unlink(file);
	ck_assert_int_eq(rmdir(dir), 0);
}

static const char *path(void)
{
	static char file[96];

	snprintf(file, sizeof(file), "%s/log", dir);
	return file;
}

static char *slurp(const char *name)
{
	AUTO_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	n = read(fd, text, sizeof(text) - 1);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	return text;
}

/* What stands behind the time of the log's only line. */
static char *message(void)
{
	char *line = slurp(path());

	ck_assert_uint_gt(strlen(line), 25);
	ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
	line[strlen(line) - 1] = '\0';
	return line + 25;
}

static unsigned lines(const char *s)
{
	unsigned n = 0;

	for (; *s != '\0'; s++)
		n += *s == '\n';
	return n;
}

START_TEST(a_line_is_time_level_and_message)
{
	int y, mo, d, h, mi, s, ms, end = 0;
	const char *line;

	ck_assert_int_eq(log_open(path()), 0);
	errno = EXDEV;
	log_warn("ufs: read %s: try %u of %u", "k", 2u, 5u);
	ck_assert_int_eq(errno, EXDEV);
	line = slurp(path());
	ck_assert_int_eq(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &y, &mo,
				&d, &h, &mi, &s, &ms, &end),
			 7);
	ck_assert_int_eq(end, 24);
	ck_assert_str_eq(line + end, " warn  ufs: read k: try 2 of 5\n");
}
END_TEST

static const struct {
	const char *key, *shown;
} keys[] = {
	{ "plain / key", "plain / key" },
	{ "a\nb", "a\\x0ab" },
	{ "\r\t\x1b[31m\x7f\x01", "\\x0d\\x09\\x1b[31m\\x7f\\x01" },
	{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
	  "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
	{ "\xff\xc3", "\\xff\\xc3" },
	{ "\xc2\x9b"
	  "2J",
	  "\\xc2\\x9b2J" },           /* C1: a terminal's command */
	{ "\xc0\x8a", "\\xc0\\x8a" }, /* overlong newline */
	{ "\xe0\x80\x8a", "\\xe0\\x80\\x8a" },
	{ "\xf0\x80\x80\x8a", "\\xf0\\x80\\x80\\x8a" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" }, /* surrogate */
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
	{ "\xe2\x82", "\\xe2\\x82" },
	{ "%s%n", "%s%n" },
};

START_TEST(f4_no_key_can_forge_a_line_or_reach_a_terminal)
{
	char want[128];

	ck_assert_int_eq(log_open(path()), 0);
	log_err("ufs: %s.", keys[_i].key);
	snprintf(want, sizeof(want), "err   ufs: %s.", keys[_i].shown);
	ck_assert_str_eq(message(), want);
}
END_TEST

START_TEST(a_line_too_long_is_cut_and_says_so)
{
	static char key[10000];
	char *m;

	memset(key, _i == 0 ? 'x' : '\n', sizeof(key) - 1);
	ck_assert_int_eq(log_open(path()), 0);
	log_info("%s", key);
	m = message();
	ck_assert_uint_le(strlen(m) + 26, 4096);
	ck_assert_uint_gt(strlen(m), 4000);
	ck_assert_str_eq(m + strlen(m) - 3, "...");
}
END_TEST

START_TEST(only_the_levels_and_topics_asked_for_are_written)
{
	ck_assert_int_eq(log_open(path()), 0);
	log_set_level(LOG_LEVEL_WARN);
	log_err("one");
	log_warn("two");
	log_info("not this");
	log_debug(LOG_UFS, "nor this: %d", (abort(), 0));
	log_set_topics(LOG_UFS);
	log_debug(LOG_UFS, "three");
	log_debug(LOG_CACHE, "nor that: %d", (abort(), 0));
	slurp(path());
	ck_assert_uint_eq(lines(text), 3);
	ck_assert_ptr_nonnull(strstr(text, " err   one\n"));
	ck_assert_ptr_nonnull(strstr(text, " warn  two\n"));
	ck_assert_ptr_nonnull(strstr(text, " debug three\n"));
}
END_TEST

START_TEST(names_of_levels_and_topics_parse_or_are_refused)
{
	enum log_level level = LOG_LEVEL_ERR;
	unsigned mask = 77;

	ck_assert_int_eq(log_level_parse("debug", &level), 0);
	ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(log_level_parse("warn", &level), 0);
	ck_assert_int_eq(level, LOG_LEVEL_WARN);
	ck_assert_int_eq(log_level_parse("", &level), -EINVAL);
	ck_assert_int_eq(log_level_parse("Warn", &level), -EINVAL);
	ck_assert_int_eq(level, LOG_LEVEL_WARN);
	ck_assert_int_eq(log_topics_parse("", &mask), -EINVAL);
	ck_assert_int_eq(log_topics_parse("ufs,", &mask), -EINVAL);
	ck_assert_int_eq(log_topics_parse(",ufs", &mask), -EINVAL);
	ck_assert_int_eq(log_topics_parse("uf", &mask), -EINVAL);
	ck_assert_int_eq(log_topics_parse("ufs cache", &mask), -EINVAL);
	ck_assert_uint_eq(mask, 77);
	ck_assert_int_eq(log_topics_parse("meta", &mask), 0);
	ck_assert_uint_eq(mask, LOG_META);
	ck_assert_int_eq(log_topics_parse("fuse,ufs,fuse", &mask), 0);
	ck_assert_uint_eq(mask, LOG_UFS | LOG_FUSE);
}
END_TEST

START_TEST(a_log_file_is_private_appended_to_and_may_be_rotated)
{
	char moved[96];
	struct stat st;

	ck_assert_int_eq(log_open(path()), 0);
	log_info("first");
	ck_assert_int_eq(log_open(path()), 0);
	log_info("second");
	ck_assert_int_eq(stat(path(), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_uint_eq(lines(slurp(path())), 2);
	snprintf(moved, sizeof(moved), "%s/moved", dir);
	ck_assert_int_eq(rename(path(), moved), 0);
	ck_assert_int_eq(log_open(path()), 0);
	log_info("third");
	ck_assert_uint_eq(lines(slurp(path())), 1);
	ck_assert_uint_eq(lines(slurp(moved)), 2);
}
END_TEST

START_TEST(a_log_that_cannot_be_opened_changes_nothing)
{
	ck_assert_int_eq(log_open(path()), 0);
	ck_assert_int_eq(log_open("/nonexistent/dir/log"), -ENOENT);
	ck_assert_int_eq(log_open("/tmp"), -EISDIR);
	log_info("still here");
	ck_assert_str_eq(message(), "info  still here");
}
END_TEST

START_TEST(e12_a_full_disk_is_silent)
{
	if (access("/dev/full", W_OK) != 0)
		return;
	ck_assert_int_eq(log_open("/dev/full"), 0);
	log_err("lost");
	ck_assert_int_eq(log_open(path()), 0);
	log_err("kept");
	ck_assert_str_eq(message(), "err   kept");
}
END_TEST

START_TEST(e12_a_closed_pipe_neither_kills_nor_leaves_a_signal)
{
	int p[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	close(p[0]);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		sigset_t pending;

		signal(SIGPIPE, SIG_DFL);
		if (_i == 1) { /* a log file that is a FIFO */
			int r;

			if (mkfifo(path(), 0600) != 0)
				_exit(3);
			if (log_open(path()) != -ENXIO)
				_exit(4);
			r = open(path(), O_RDONLY | O_NONBLOCK);
			if (r < 0 || log_open(path()) != 0)
				_exit(5);
			close(r);
		} else {
			dup2(p[1], STDERR_FILENO);
		}
		log_err("nobody reads this");
		sigpending(&pending);
		_exit(sigismember(&pending, SIGPIPE) ? 6 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	close(p[1]);
}
END_TEST

START_TEST(e12_a_full_pipe_or_socket_loses_lines_instead_of_blocking)
{
	static char chunk[4096];
	int p[2];
	ssize_t n;

	if (_i == 0)
		ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	else
		ck_assert_int_eq(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	dup2(p[1], STDERR_FILENO);
	for (int i = 0; i < 10000; i++)
		log_err("line %d: %0100d", i, 0);
	/* The descriptor that others share is as blocking as it was. */
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	dup2(real_stderr, STDERR_FILENO);
	close(p[1]);
	n = read(p[0], chunk, sizeof(chunk) - 1);
	ck_assert_int_gt(n, 0);
	ck_assert_ptr_nonnull(strstr(chunk, " err   line 0: 000"));
	while ((n = read(p[0], chunk, sizeof(chunk))) > 0)
		ck_assert(_i == 1 || chunk[n - 1] == '\n' ||
			  n == sizeof(chunk));
	close(p[0]);
}
END_TEST

START_TEST(a_pipe_ends_when_the_caller_closes_stderr)
{
	int p[2];
	char c;

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	dup2(p[1], STDERR_FILENO);
	close(p[1]);
	ck_assert_int_eq(log_open("stderr"), 0);
	log_err("x");
	dup2(real_stderr, STDERR_FILENO);
	while (read(p[0], &c, 1) == 1)
		;
	close(p[0]);
}
END_TEST

/* A /dev/log of its own needs a mount namespace, so root or user namespaces. */
static int syslog_in_namespace(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX,
				 .sun_path = "/dev/log" };
	char got[4200];
	ssize_t n;
	int fd;

	if (unshare(CLONE_NEWNS) != 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return 77;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/dev", "tmpfs", 0, NULL) != 0)
		return 77;
	if (log_open("syslog") != 0)
		return 1;
	log_err("no syslog is there: no wait, no error");
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		return 2;
	log_warn("cache: %s\n", "two\nlines");
	n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
	if (n <= 0)
		return 3; /* a syslog that starts late is found */
	got[n] = '\0';
	if (strncmp(got, "<28>", 4) != 0 || strstr(got, " tarn[") == NULL ||
	    strstr(got, "]: cache: two\\x0alines\\x0a") == NULL)
		return 4;
	for (int i = 0; i < 5000; i++)
		log_info("syslog does not read: %0500d", i);
	return recv(fd, got, sizeof(got), MSG_DONTWAIT) > 0 ? 0 : 5;
}

START_TEST(syslog_gets_datagrams_and_is_never_waited_for)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(syslog_in_namespace());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) != 77)
		ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

static void *chatter(void *arg)
{
	for (int i = 0; i < 300; i++)
		log_info("%s", (const char *)arg);
	return NULL;
}

START_TEST(lines_of_many_threads_stay_whole_while_the_log_is_reopened)
{
	static char names[4][600];
	pthread_t threads[4];
	char *line, *save = NULL;
	unsigned n = 0;

	ck_assert_int_eq(log_open(path()), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		memset(names[i], 'a' + (int)i, sizeof(names[i]) - 1);
		must(pthread_create(&threads[i], NULL, chatter, names[i]));
	}
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(log_open(path()), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		must(pthread_join(threads[i], NULL));
	slurp(path());
	for (line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save), n++) {
		ck_assert_uint_eq(strlen(line), 24 + 7 + 599);
		ck_assert_uint_eq(strspn(line + 31, (char[]){ line[31], 0 }),
				  599);
	}
	ck_assert_uint_eq(n, 1200);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("log");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_line_is_time_level_and_message);
	tcase_add_loop_test(t, f4_no_key_can_forge_a_line_or_reach_a_terminal,
			    0, ARRAY_SIZE(keys));
	tcase_add_loop_test(t, a_line_too_long_is_cut_and_says_so, 0, 2);
	tcase_add_test(t, only_the_levels_and_topics_asked_for_are_written);
	tcase_add_test(t, names_of_levels_and_topics_parse_or_are_refused);
	tcase_add_test(t, a_log_file_is_private_appended_to_and_may_be_rotated);
	tcase_add_test(t, a_log_that_cannot_be_opened_changes_nothing);
	tcase_add_test(t, e12_a_full_disk_is_silent);
	tcase_add_loop_test(
	    t, e12_a_closed_pipe_neither_kills_nor_leaves_a_signal, 0, 2);
	tcase_add_loop_test(
	    t, e12_a_full_pipe_or_socket_loses_lines_instead_of_blocking, 0, 2);
	tcase_add_test(t, a_pipe_ends_when_the_caller_closes_stderr);
	tcase_add_test(t, syslog_gets_datagrams_and_is_never_waited_for);
	tcase_add_test(
	    t, lines_of_many_threads_stay_whole_while_the_log_is_reopened);
	return RUN_CASES(t);
}
