/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_creds_process.c - credential_process: its words, and how it is run
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "tests/unit/creds_home.h"
#include "tests/unit/run.h"
#include "ufs/creds_impl.h"

/* What Python's shlex.split() makes of it, as botocore uses that. */
static const struct {
	const char *command, *words[6];
} splits[] = {
	{ "/opt/bin/creds --user helen",
	  { "/opt/bin/creds", "--user", "helen" } },
	{ "  a \t b\n", { "a", "b" } },
	{ "\"/opt/my bin/creds\" --name \"two words\"",
	  { "/opt/my bin/creds", "--name", "two words" } },
	{ "a 'b \"c\" \\d' e", { "a", "b \"c\" \\d", "e" } },
	{ "a \"b \\\"c\\\" \\d \\\\ 'e'\"", { "a", "b \"c\" \\d \\ 'e'" } },
	{ "a\\ b c\\\\d \\\"", { "a b", "c\\d", "\"" } },
	{ "a \"\" '' b", { "a", "", "", "b" } },
	{ "a\"b\"'c'd", { "abcd" } },
	{ "a $HOME ~ ; rm * | b & `c` $(d) # e",
	  { "a", "$HOME", "~", ";", "rm", "*" } },
	{ "a=b c", { "a=b", "c" } },
	{ "a \"b", { NULL } },
	{ "a 'b", { NULL } },
	{ "a \\", { NULL } },
	{ "", { NULL } },
	{ " \t", { NULL } },
	{ "\"\" a", { NULL } },
};

START_TEST(a_command_is_cut_into_words_as_botocore_does_it)
{
	char words[256], *argv[32];
	int r = creds_split(splits[_i].command, words, argv, 32);

	ck_assert_int_eq(r, splits[_i].words[0] == NULL ? -EINVAL : 0);
	for (size_t i = 0; r == 0 && i < 6 && splits[_i].words[i] != NULL; i++)
		ck_assert_str_eq(argv[i], splits[_i].words[i]);
	ck_assert_int_eq(creds_split("a b c", words, argv, 3), -E2BIG);
}
END_TEST

static void start(void)
{
	fresh_home();
	log_open("/dev/null");
}

static void finish(void)
{
	remove_home();
	log_open("stderr");
}

/* ~/.aws/tool is this script; the profile runs it with two words. */
static void put_tool(const char *script)
{
	char path[128], text[512];

	put("tool", "#!/bin/sh\n");
	home_path("tool", path);
	chmod(path, 0700);
	snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
	put("tool", text);
	snprintf(text, sizeof(text),
		 "[profile tool]\ncredential_process = \"%s\" 'CANARY arg' "
		 "$HOME\n",
		 path);
	put("config", text);
}

static void says(const char *words)
{
	ck_assert_msg(strstr(why, words) != NULL, "\"%s\" is not in: %s", words,
		      why);
	ck_assert_ptr_null(strstr(why, "CANARY"));
	ck_assert_ptr_null(strstr(why, "/.aws/tool"));
}

#define PRINT(more)                                                            \
	"printf '{\"Version\":1,\"AccessKeyId\":\"PROCKEY\","                  \
	"\"SecretAccessKey\":\"procsecret\"" more "}'"

START_TEST(a_program_prints_the_keys)
{
	put_tool(PRINT(""));
	ck_assert_str_eq(
	    found("tool"),
	    "profile tool (credential_process): PROCKEY procsecret -");
	put_tool(PRINT(",\"SessionToken\":\"proctoken\",\"Expiration\":\"2099-"
		       "01-01T01:00:00+01:00\""));
	ck_assert_str_eq(
	    found("tool"),
	    "profile tool (credential_process): PROCKEY procsecret proctoken");
}
END_TEST

START_TEST(the_program_gets_its_words_the_environment_and_nothing_else)
{
	/* One that is not closed on exec. */
	int null = open("/dev/null", O_RDONLY), leak = dup2(null, 77);
	const char *key;

	ck_assert_int_eq(leak, 77);
	setenv("TARN_TEST_WORD", "env", 1);
	put_tool(
	    "k=\"$#-$1-$2-$TARN_TEST_WORD-$(cat | wc -c)\"\n"
	    "[ -e /proc/$$/fd/1 ] && [ ! -e /proc/$$/fd/77 ] && k=$k-none\n"
	    "k=$k-$(readlink /proc/$$/fd/2)\n"
	    "k=$(echo \"$k\" | tr ' /' '__')\n"
	    "printf '{\"Version\":1,\"AccessKeyId\":\"%s\","
	    "\"SecretAccessKey\":\"s\"}' \"$k\"");
	key = found("tool");
	close(leak);
	close(null);
	unsetenv("TARN_TEST_WORD");
	ck_assert_str_eq(key, "profile tool (credential_process): "
			      "2-CANARY_arg-$HOME-env-0-none-_dev_null s -");
}
END_TEST

static const struct {
	const char *script, *says;
} bad[] = {
	{ "echo CANARY; echo CANARY >&2; exit 3", "(exit 3); run it by hand" },
	{ "kill -9 $$", "(signal 9)" },
	{ "echo CANARY", "did not print a JSON object" },
	{ ":", "did not print a JSON object" },
	{ "echo '[\"CANARY\"]'", "did not print a JSON object" },
	{ "echo '{\"AccessKeyId\":\"K\",\"SecretAccessKey\":\"CANARY\"}'",
	  "did not print \"Version\": 1" },
	{ "echo '{\"Version\":2}'", "did not print \"Version\": 1" },
	{ "echo '{\"Version\":1,\"SecretAccessKey\":\"CANARY\"}'",
	  "has no AccessKeyId" },
	{ "echo '{\"Version\":1,\"AccessKeyId\":\"K\",\"SecretAccessKey\":"
	  "\"CANARY\",\"Expiration\":\"2 o clock\"}'",
	  "Expiration is no time" },
	{ "while :; do echo CANARYCANARYCANARYCANARYCANARY; done",
	  "it is too long" },
};

START_TEST(what_a_program_gets_wrong_is_said_without_a_secret)
{
	put_tool(bad[_i].script);
	ck_assert_str_eq(found("tool"), EINVAL_TEXT);
	says(bad[_i].says);
	says("profile tool");
}
END_TEST

static const struct {
	const char *command, *says;
} unrunnable[] = {
	{ "/nowhere/CANARY -x", "cannot be run: No such file or directory" },
	{ "SECRET=CANARY /bin/true", "cannot be run: No such file" },
	{ "/etc/passwd", "cannot be run: Permission denied" },
	{ "\"/bin/CANARY", "is no command: check its quotes" },
};

START_TEST(a_command_that_cannot_be_run_is_not_repeated)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "[profile tool]\ncredential_process = %s\n",
		 unrunnable[_i].command);
	put("config", text);
	ck_assert_str_eq(found("tool"), EINVAL_TEXT);
	says(unrunnable[_i].says);
}
END_TEST

START_TEST(a_command_that_others_can_change_is_not_run)
{
	char path[128];

	put_tool("touch \"$HOME/ran\"; " PRINT(""));
	home_path("config", path);
	chmod(path, 0666);
	ck_assert_str_eq(found("tool"), EINVAL_TEXT);
	says("others can write to");
	snprintf(path, sizeof(path), "%s/ran", home);
	ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

/* A process that the tool wrote the id of into ~/child has gone. */
static bool child_is_gone(void)
{
	char path[128], state = 'Z';
	FILE *f;
	int pid = 0;

	snprintf(path, sizeof(path), "%s/child", home);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%d", &pid), 1);
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f == NULL)
		return true;
	if (fscanf(f, "%*d %*s %c", &state) != 1)
		state = 'Z';
	fclose(f);
	return state == 'Z';
}

START_TEST(a_program_that_hangs_is_ended_with_what_it_started)
{
	struct cancel cancel = { .set = false };
	struct creds_site site = { .cancel = &cancel,
				   .patience = NSEC_PER_SEC };
	struct creds *set = creds_new();
	int64_t begin = clock_ns();
	struct awsconf aws;

	put_tool("tail -f /dev/null & echo $! >\"$HOME/child\"; echo '{'; "
		 "wait");
	ck_assert_int_eq(awsconf_read("tool", &aws, why), 0);
	ck_assert_int_eq(creds_process_fetch(&site, &aws, set, why), -EAGAIN);
	says("did not end in time");
	ck_assert_int_ge(clock_ns() - begin, NSEC_PER_SEC);
	ck_assert_int_lt(clock_ns() - begin, 10 * NSEC_PER_SEC);
	while (!child_is_gone())
		ck_assert_int_lt(clock_ns() - begin, 20 * NSEC_PER_SEC);
	cancel_set(&cancel);
	site.patience = 0;
	begin = clock_ns();
	ck_assert_int_eq(creds_process_fetch(&site, &aws, set, why),
			 -ECANCELED);
	ck_assert_int_lt(clock_ns() - begin, 10 * NSEC_PER_SEC);
	awsconf_fini(&aws);
	creds_unref(set);
}
END_TEST

START_TEST(a_program_whose_end_is_not_told_is_believed)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;

	sigaction(SIGCHLD, &ignore, &before);
	put_tool(PRINT(""));
	ck_assert_str_eq(
	    found("tool"),
	    "profile tool (credential_process): PROCKEY procsecret -");
	sigaction(SIGCHLD, &before, NULL);
}
END_TEST

static const struct {
	const char *text;
	int64_t seconds; /* 0: it is no time */
} times[] = {
	{ "2012-12-03T20:48:03Z", 1354567683 },
	{ "2012-12-03T20:48:03.123456Z", 1354567683 },
	{ "2012-12-03T21:48:03+01:00", 1354567683 },
	{ "2012-12-03T15:18:03-0530", 1354567683 },
	{ "2012-12-03 20:48:03", 1354567683 },
	{ "2012-12-03T20:48:03UTC", 1354567683 },
	{ "1969-01-01T00:00:00Z", 1 },
	{ "9999-12-31T23:59:59Z", INT64_MAX / NSEC_PER_SEC - 1 },
	{ "2012-13-03T20:48:03Z", 0 },
	{ "2012-12-03", 0 },
	{ "2012-12-03T20:48", 0 },
	{ "2012-12-03T20:48:03+", 0 },
	{ "2012-12-03T20:48:03+01:00x", 0 },
	{ "1354567683", 0 },
	{ "", 0 },
};

START_TEST(times_are_read_as_the_providers_write_them)
{
	int64_t t = 0;

	ck_assert_int_eq(creds_time(times[_i].text, &t),
			 times[_i].seconds != 0);
	ck_assert_int_eq(t / NSEC_PER_SEC, times[_i].seconds);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, start, finish);
	tcase_add_loop_test(t, a_command_is_cut_into_words_as_botocore_does_it,
			    0, ARRAY_SIZE(splits));
	tcase_add_test(t, a_program_prints_the_keys);
	tcase_add_test(
	    t, the_program_gets_its_words_the_environment_and_nothing_else);
	tcase_add_loop_test(t,
			    what_a_program_gets_wrong_is_said_without_a_secret,
			    0, ARRAY_SIZE(bad));
	tcase_add_loop_test(t, a_command_that_cannot_be_run_is_not_repeated, 0,
			    ARRAY_SIZE(unrunnable));
	tcase_add_test(t, a_command_that_others_can_change_is_not_run);
	tcase_add_test(t, a_program_that_hangs_is_ended_with_what_it_started);
	tcase_add_test(t, a_program_whose_end_is_not_told_is_believed);
	tcase_add_loop_test(t, times_are_read_as_the_providers_write_them, 0,
			    ARRAY_SIZE(times));
	return RUN_CASES(t);
}
