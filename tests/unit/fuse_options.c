/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_options.c - the table of options: values, sources, refusals, and that
 * the help and the manual page tell the same
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "fuse/options.h"
#include "tests/unit/run.h"

static struct options *o;
static char why[WHY_MAX];
static char file[] = "/tmp/tarn-options-XXXXXX";
static bool have_file;

static void setup(void)
{
	ck_assert_int_eq(options_new(&o), 0);
	why[0] = '\0';
}

static void teardown(void)
{
	options_free(o);
	if (have_file)
		unlink(file);
	have_file = false;
}

static const char *write_file(const char *text)
{
	int fd;

	strcpy(file + strlen(file) - 6, "XXXXXX");
	fd = mkstemp(file);
	ck_assert_int_ge(fd, 0);
	have_file = true;
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
	return file;
}

static const char *from_of(enum option opt)
{
	return o->v[opt].from;
}

START_TEST(every_fixed_default_is_a_value_its_own_row_accepts)
{
	for (int i = 0; i < OPT_COUNT; i++) {
		const struct option_row *r = &option_rows[i];

		ck_assert_msg((r->def != NULL) != (r->def_text != NULL), "%s",
			      r->name);
		ck_assert_int_eq(options_is_set(o, (enum option)i),
				 r->def != NULL);
		if (r->def != NULL)
			ck_assert_str_eq(from_of((enum option)i), "default");
	}
	ck_assert_int_eq(options_number(o, OPT_CACHE_SIZE), 80);
	ck_assert(o->v[OPT_CACHE_SIZE].percent);
	ck_assert_int_eq(options_number(o, OPT_FILE_MODE), 0644);
	ck_assert_int_eq(options_number(o, OPT_READ_TIMEOUT),
			 60 * NSEC_PER_SEC);
}
END_TEST

static const struct {
	const char *text;
	enum option opt;
	int64_t number;
} good[] = {
	{ "ro", OPT_RO, 1 },
	{ "anonymous", OPT_ANONYMOUS, 1 },
	{ "anonymous=off", OPT_ANONYMOUS, 0 },
	{ "path-style=off", OPT_PATH_STYLE, 2 },
	{ "cache-size=0", OPT_CACHE_SIZE, 0 },
	{ "cache-size=10G", OPT_CACHE_SIZE, INT64_C(10) << 30 },
	{ "cache-size=95%", OPT_CACHE_SIZE, 95 },
	{ "memory=64M", OPT_MEMORY, 64 << 20 },
	{ "consistency=ttl:0", OPT_CONSISTENCY, 0 },
	{ "consistency=ttl:5m", OPT_CONSISTENCY, 300 * NSEC_PER_SEC },
	{ "negative-ttl=0", OPT_NEGATIVE_TTL, 0 },
	{ "small-file=0", OPT_SMALL_FILE, 0 },
	{ "uid=0", OPT_UID, 0 },
	{ "uid=root", OPT_UID, 0 },
	{ "file-mode=600", OPT_FILE_MODE, 0600 },
	{ "dir-mode=0", OPT_DIR_MODE, 0 },
	{ "max-connections=1", OPT_MAX_CONNECTIONS, 1 },
	{ "_netdev,nofail,x-systemd.automount,max-connections=7,defaults",
	  OPT_MAX_CONNECTIONS, 7 },
	{ "ro,ro", OPT_RO, 1 },
	{ "rw", OPT_RO, 0 },
	{ "ro=off", OPT_RO, 0 },
	{ "uid=5,uid=5", OPT_UID, 5 },
};

START_TEST(a_possible_value_is_taken)
{
	enum option opt = good[_i].opt;

	ck_assert_msg(options_parse(o, good[_i].text, why) == 0, "%s: %s",
		      good[_i].text, why);
	ck_assert_int_eq(options_number(o, opt), good[_i].number);
	ck_assert_str_eq(from_of(opt), "command line");
}
END_TEST

START_TEST(writing_is_the_default_and_known_from_what_was_asked_for)
{
	ck_assert_int_eq(options_number(o, OPT_RO), 0);
	ck_assert(!options_writes_asked(o));
	ck_assert_int_eq(options_set(o, "ro", "on", OPTION_FROM_FILE, "f", why),
			 0);
	ck_assert(!options_writes_asked(o));
	ck_assert_int_eq(options_parse(o, "rw", why), 0);
	ck_assert(options_writes_asked(o));
}
END_TEST

START_TEST(where_and_how_writes_are_kept_is_not_said_of_a_mount_that_reads)
{
	const char *words[] = { "staging-dir=/s", "commit=writeback",
				"conflict=last-wins" };

	ck_assert(!options_writes_meant(o));
	/* It is of all mounts of the host, of those that only read too. */
	ck_assert_int_eq(
	    options_set(o, "commit", "writeback", OPTION_FROM_FILE, "f", why),
	    0);
	ck_assert(!options_writes_meant(o));
	ck_assert_int_eq(options_parse(o, words[_i], why), 0);
	ck_assert(options_writes_meant(o));
	ck_assert(!options_writes_asked(o));
	ck_assert_int_eq(options_parse(o, "ro", why), 0);
	ck_assert(!options_writes_meant(o));
}
END_TEST

/* mount(8) adds rw to whatever does not say ro. */
START_TEST(the_rw_of_mount8_says_nothing_and_its_ro_does)
{
	o->by_mount8 = true;
	ck_assert_int_eq(options_set(o, "ro", "on", OPTION_FROM_FILE, "f", why),
			 0);
	ck_assert_int_eq(options_parse(o, "rw,_netdev", why), 0);
	ck_assert_int_eq(options_number(o, OPT_RO), 1);
	ck_assert(!options_writes_asked(o));
	ck_assert_int_eq(options_parse(o, "ro=off", why), 0);
	ck_assert(options_writes_asked(o));
}
END_TEST

static const struct {
	const char *text;
	const char *says;
} bad[] = {
	{ "ro,rw", "ro is given twice" },
	{ "cache-dri=/x", "did you mean cache-dir?" },
	{ "cache_size=5G", "did you mean cache-size?" },
	{ "alow-other", "did you mean allow-other?" },
	{ "allow_other", "did you mean allow-other?" },
	{ "frobnicate=yes", "`tarn help mount` lists them" },
	{ "commit=async", "sync/writeback" },
	{ "part-size=1M", "part-size" },
	{ "rename-dir-limit=1000000", "rename-dir-limit" },
	{ "staging-dir=relative", "absolute path" },
	{ "remount", "unmount and mount again" },
	{ "cache-dir=relative", "must begin with /" },
	{ "cache-dir=/a::/b", "must begin with /" },
	{ "cache-dir=", "needs a value" },
	{ "memory", "needs a value" },
	{ "memory=1M", "64" },
	{ "memory=banana", "is not a size" },
	{ "memory=-1", "is not a size" },
	{ "memory=50%", "is not a size" },
	{ "cache-size=99%", "1% to 95%" },
	{ "cache-size=0%", "1% to 95%" },
	{ "cache-size=%", "is not a size" },
	{ "cache-size=1K", "too small" },
	{ "cache-size=99999999999T", "is not a size" },
	{ "small-file=2M", "impossible" },
	{ "consistency=ttl", "ttl:60s" },
	{ "consistency=eventual", "strict/ttl:TIME/immutable" },
	{ "negative-ttl=5", "is not a time" },
	{ "read-timeout=0", "impossible" },
	{ "stall-timeout=1d", "impossible" },
	{ "max-connections=0", "from 1 to 4096" },
	{ "max-connections=9999999999999999999", "not a number" },
	{ "passthrough=on", "auto/off" },
	{ "path-style=yes", "auto/on/off" },
	{ "file-mode=888", "octal" },
	{ "file-mode=01777", "octal" },
	{ "uid=nobody-of-that-name", "no such user" },
	{ "uid=4294967295", "no such user" },
	{ "log=stdout", "syslog, stderr or the absolute path" },
	{ "log-level=trace", "err/warn/info/debug" },
	{ "endpoint=localhost:9000", "http:// or https://" },
	{ "endpoint=http://", "no host" },
	{ "anonymous=maybe", "on or off" },
	{ "workers=a", "HOST:PORT" },
	{ "workers=a:1+a:1", "twice" },
	{ "workers=dns://a", "PORT" },
	{ "workers=etcd://a:1", "PREFIX" },
	{ "region=a\nb", "control bytes" },
	{ "uid=1,uid=2", "twice" },
	{ "consistency=strict,consistency=immutable", "twice" },
};

START_TEST(an_unknown_name_or_impossible_value_is_refused_with_the_fix)
{
	ck_assert_msg(options_parse(o, bad[_i].text, why) == -EINVAL, "%s",
		      bad[_i].text);
	ck_assert_msg(strstr(why, bad[_i].says) != NULL, "%s: %s", bad[_i].text,
		      why);
	for (const char *p = why; *p != '\0'; p++)
		ck_assert_msg((unsigned char)*p >= 0x20, "%s", bad[_i].text);
}
END_TEST

static const char *const secrets[] = {
	"secret-access-key=hunter2secret",
	"aws_secret_access_key=hunter2secret",
	"passwd=hunter2secret",
	"session-token=hunter2secret",
	"AWS_ACCESS_KEY_ID=hunter2secret",
	"endpoint=http://me:hunter2secret@host/",
	"endpoint=http://host/,endpoint=http://hunter2secret/",
};

START_TEST(a_secret_is_never_taken_and_never_quoted)
{
	ck_assert_int_eq(options_parse(o, secrets[_i], why), -EINVAL);
	ck_assert_ptr_null(strstr(why, "hunter2"));
	ck_assert_uint_gt(strlen(why), 20);
}
END_TEST

START_TEST(the_command_line_beats_the_environment_beats_the_file)
{
	char *const env[] = { (char *)"TARN_MEMORY=2G", (char *)"TARN_UID=7",
			      (char *)"TARN_SMALL_FILE=64K", (char *)"HOME=/x",
			      NULL };
	char line[64];

	write_file("{\n \"memory\": \"3G\",\n \"gid\": 9,\n \"uid\": 8,\n"
		   " \"anonymous\": true }\n");
	ck_assert_int_eq(options_parse(o, "memory=1G", why), 0);
	ck_assert_int_eq(options_env(o, env, why), 0);
	ck_assert_msg(options_file(o, file, why) == 0, "%s", why);
	ck_assert_int_eq(options_number(o, OPT_MEMORY), 1 << 30);
	ck_assert_str_eq(from_of(OPT_MEMORY), "command line");
	ck_assert_int_eq(options_number(o, OPT_UID), 7);
	ck_assert_str_eq(from_of(OPT_UID), "environment");
	ck_assert_int_eq(options_number(o, OPT_SMALL_FILE), 65536);
	ck_assert_int_eq(options_number(o, OPT_GID), 9);
	snprintf(line, sizeof(line), "%s:3", file);
	ck_assert_str_eq(from_of(OPT_GID), line);
	ck_assert_int_eq(options_number(o, OPT_ANONYMOUS), 1);
	ck_assert_str_eq(from_of(OPT_LOG_LEVEL), "default");
}
END_TEST

static const struct {
	const char *text;
	const char *says; /* after the file's name */
} bad_files[] = {
	{ "", ":1" },
	{ "[]", ":1: write one JSON object" },
	{ "{\n\n \"memory\": \"2G\",\n}", ":4" },
	{ "{\n\"uid\": 1,\n\"uid\": 2\n}", ":3: duplicate" },
	{ "{\n\"uid\": 1,\n \"x{\\\"y\\n\": {\"memry\": 1},\n\"memry\":2}",
	  "unknown option" },
	{ "{\n\"uid\": 1,\n\n\"memry\":\"2G\"}",
	  ":4: unknown option memry; did you mean memory?" },
	{ "{ \"uid\": 1,\n \"mem\\u006fry\":\n \"2X\" }",
	  ":2: memory=2X is not a size" },
	{ "{ \"memory\": null }", ":1: memory: write a string, a number" },
	{ "{ \"memory\": [\"2G\"] }", ":1: memory: write a string" },
	{ "{ \"memory\": 1.5 }", ":1: memory: write a string" },
	{ "{\n \"log-level\":\n \"log-level\", \"memory\": 1 }", ":2: log-" },
	{ "{ \"rw\": true }", ":1: unknown option rw; did you mean ro?" },
};

START_TEST(what_is_wrong_in_a_file_is_told_with_its_line)
{
	const char *text = bad_files[_i].text;

	write_file(text);
	ck_assert_int_eq(options_file(o, file, why), -EINVAL);
	ck_assert_msg(strncmp(why, file, strlen(file)) == 0, "%s", why);
	ck_assert_msg(strstr(why, bad_files[_i].says) != NULL, "%s", why);
}
END_TEST

START_TEST(a_file_that_anyone_may_change_is_refused)
{
	write_file("{}");
	ck_assert_int_eq(options_file(o, file, why), 0);
	ck_assert_int_eq(chmod(file, 0666), 0);
	ck_assert_int_eq(options_file(o, file, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "chmod o-w"));
}
END_TEST

START_TEST(what_is_no_file_is_refused_and_never_waited_for)
{
	ck_assert_int_eq(options_file(o, "/", why), -EINVAL);
	ck_assert_int_eq(options_file(o, "/dev/zero", why), -EINVAL);
	ck_assert_int_eq(options_file(o, "/nonexistent/x", why), -ENOENT);
	write_file("");
	unlink(file);
	ck_assert_int_eq(mkfifo(file, 0600), 0);
	ck_assert_int_eq(options_file(o, file, why), -EINVAL);
}
END_TEST

START_TEST(variables_of_others_are_left_alone_and_mistyped_ones_refused)
{
	char *const kubernetes[] = { (char *)"TARN_PORT=tcp://10.0.0.1:7070",
				     (char *)"TARN_SERVICE_HOST=10.0.0.1",
				     (char *)"TARN_PORT_7070_TCP_ADDR=x",
				     (char *)"TARN_=x",
				     (char *)"TARN_UID",
				     NULL };
	char *const typo[] = { (char *)"TARN_CACHE_SIZ=1G", NULL };
	char *const value[] = { (char *)"TARN_MEMORY=lots", NULL };

	ck_assert_int_eq(options_env(o, kubernetes, why), 0);
	ck_assert_int_eq(options_env(o, typo, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "did you mean cache-size?"));
	ck_assert_int_eq(options_env(o, value, why), -EINVAL);
	ck_assert_int_eq(strncmp(why, "TARN_MEMORY: ", 13), 0);
}
END_TEST

START_TEST(a_guarded_comma_belongs_to_the_value)
{
	ck_assert_int_eq(
	    options_parse(o, "cache-dir=/a\\,b:/c\\\\d,uid=3", why), 0);
	ck_assert_str_eq(options_text(o, OPT_CACHE_DIR), "/a,b:/c\\d");
	ck_assert_int_eq(options_number(o, OPT_UID), 3);
}
END_TEST

START_TEST(mount_words_set_what_the_kernel_is_asked_for)
{
	ck_assert(o->exec && !o->suid && !o->dev);
	ck_assert_int_eq(options_parse(o, "noexec,suid,dev", why), 0);
	ck_assert(!o->exec && o->suid && o->dev);
	ck_assert_int_eq(options_parse(o, "exec,nosuid,nodev,noatime", why), 0);
	ck_assert(o->exec && !o->suid && !o->dev);
}
END_TEST

START_TEST(a_worked_out_default_does_not_replace_what_was_said)
{
	ck_assert_int_eq(options_parse(o, "uid=12", why), 0);
	ck_assert_int_eq(options_default(o, OPT_UID, "0", 0), 0);
	ck_assert_int_eq(options_default(o, OPT_GID, "4", 4), 0);
	ck_assert_int_eq(options_number(o, OPT_UID), 12);
	ck_assert_int_eq(options_number(o, OPT_GID), 4);
	ck_assert_str_eq(from_of(OPT_GID), "default");
}
END_TEST

/* The manual page, wherever the test is run from below the project. */
static char *read_manual(void)
{
	static const char *const at[] = { "man/tarn.conf.5",
					  "../man/tarn.conf.5",
					  "../../man/tarn.conf.5" };
	char *text = calloc(1, 1 << 18);
	FILE *f = NULL;

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < ARRAY_SIZE(at) && f == NULL; i++)
		f = fopen(at[i], "re");
	ck_assert_msg(f != NULL, "run it in the project's folder");
	ck_assert_uint_gt(fread(text, 1, (1 << 18) - 1, f), 0);
	fclose(f);
	return text;
}

START_TEST(table_help_and_manual_name_the_same_options_and_defaults)
{
	AUTO_FREE char *manual = read_manual();
	AUTO_FREE char *help = NULL;
	size_t size, in_manual = 0;
	FILE *f = open_memstream(&help, &size);
	char line[256];

	options_help(f);
	fclose(f);
	for (int i = 0; i < OPT_COUNT; i++) {
		const struct option_row *r = &option_rows[i];
		const char *at;

		/* ".It Cm NAME" and, before the next one, the default */
		snprintf(line, sizeof(line), "\n.It Cm %s%s", r->name,
			 r->choices != NULL ? " Ns = Ns " : "\n");
		at = strstr(manual, line);
		ck_assert_msg(at != NULL, "tarn.conf.5 lacks %s", line + 1);
		if (r->def != NULL) {
			const char *next = strstr(at + 2, "\n.It ");
			char *mine =
			    strndup(at, next != NULL ? (size_t)(next - at)
						     : strlen(at));

			snprintf(line, sizeof(line), "Default:\n.Cm %s",
				 r->def);
			ck_assert_msg(strstr(mine, line) != NULL,
				      "tarn.conf.5, %s: no \"%s\"", r->name,
				      line);
			free(mine);
		}
		snprintf(line, sizeof(line), "\n  %s", r->name);
		ck_assert(strstr(help, line + (i == 0)) != NULL);
		ck_assert(strstr(help, r->about) != NULL);
	}
	for (const char *p = manual; (p = strstr(p, "\n.It Cm ")) != NULL; p++)
		in_manual++;
	ck_assert_uint_eq(in_manual, OPT_COUNT);
}
END_TEST

START_TEST(the_nearest_name_is_found_and_nonsense_has_none)
{
	static const char *const names[] = { "mount", "umount", "status" };

	ck_assert_str_eq(cli_nearest("mout", names, 3), "mount");
	ck_assert_str_eq(cli_nearest("unmount", names, 3), "umount");
	ck_assert_str_eq(cli_nearest("sttaus", names, 3), "status");
	ck_assert_ptr_null(cli_nearest("frobnicate", names, 3));
	ck_assert_ptr_null(cli_nearest("", names, 3));
	ck_assert_uint_eq(cli_distance("ab", "ba"), 1);
	ck_assert_uint_eq(cli_distance("", "abc"), 3);
	ck_assert_uint_eq(cli_distance("kitten", "sitting"), 3);
}
END_TEST

static const char *const paths[][2] = {
	{ "/", "/" },           { "/a/b", "/a/b" },     { "//a///b//", "/a/b" },
	{ "/a/./b/.", "/a/b" }, { "/a/../b", "/b" },    { "/../..", "/" },
	{ "/a/b/../..", "/" },  { "/a/..b", "/a/..b" }, { "/a/...", "/a/..." },
};

START_TEST(a_path_is_made_absolute_by_text_alone)
{
	AUTO_FREE char *abs = cli_absolute(paths[_i][0]);

	ck_assert_str_eq(abs, paths[_i][1]);
}
END_TEST

START_TEST(control_bytes_never_reach_a_terminal)
{
	char buf[12];

	ck_assert_str_eq(cli_clean("a\033[", buf, sizeof(buf)), "a\\x1b[");
	ck_assert_uint_lt(strlen(cli_clean("\n\n\n\n\n\n", buf, sizeof(buf))),
			  sizeof(buf));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("options");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, every_fixed_default_is_a_value_its_own_row_accepts);
	tcase_add_loop_test(t, a_possible_value_is_taken, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(
	    t, an_unknown_name_or_impossible_value_is_refused_with_the_fix, 0,
	    ARRAY_SIZE(bad));
	tcase_add_loop_test(t, a_secret_is_never_taken_and_never_quoted, 0,
			    ARRAY_SIZE(secrets));
	tcase_add_test(t,
		       the_command_line_beats_the_environment_beats_the_file);
	tcase_add_loop_test(t, what_is_wrong_in_a_file_is_told_with_its_line, 0,
			    ARRAY_SIZE(bad_files));
	tcase_add_test(t, a_file_that_anyone_may_change_is_refused);
	tcase_add_test(t, what_is_no_file_is_refused_and_never_waited_for);
	tcase_add_test(
	    t, variables_of_others_are_left_alone_and_mistyped_ones_refused);
	tcase_add_test(
	    t, writing_is_the_default_and_known_from_what_was_asked_for);
	tcase_add_test(t, the_rw_of_mount8_says_nothing_and_its_ro_does);
	tcase_add_test(t, a_guarded_comma_belongs_to_the_value);
	tcase_add_loop_test(
	    t, where_and_how_writes_are_kept_is_not_said_of_a_mount_that_reads,
	    0, 3);
	tcase_add_test(t, mount_words_set_what_the_kernel_is_asked_for);
	tcase_add_test(t, a_worked_out_default_does_not_replace_what_was_said);
	tcase_add_test(
	    t, table_help_and_manual_name_the_same_options_and_defaults);
	tcase_add_test(t, the_nearest_name_is_found_and_nonsense_has_none);
	tcase_add_loop_test(t, a_path_is_made_absolute_by_text_alone, 0,
			    ARRAY_SIZE(paths));
	tcase_add_test(t, control_bytes_never_reach_a_terminal);
	return RUN_CASES(t);
}
