/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_doctor.c - what tarn doctor says of sources and disks of our own
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fuse/doctor.h"
#include "fuse/limits.h"
#include "fuse/service.h"
#include "fuse/source.h"
#include "tests/unit/run.h"

static char base[] = "/tmp/tarn-doctor-XXXXXX";
static struct options *o;
static struct doctor_line lines[64];
static size_t nlines;

static void setup(void)
{
	char why[WHY_MAX];

	strcpy(base + strlen(base) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	ck_assert_int_eq(options_new(&o), 0);
	ck_assert_int_eq(options_parse(o, "passthrough=off", why), 0);
	nlines = 0;
}

static int drop(const char *path, const struct stat *st, int type,
		struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void teardown(void)
{
	options_free(o);
	ck_assert_int_eq(nftw(base, drop, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static const char *below(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *p = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(p, sizeof(paths[0]), "%s/%s", base, name);
	return p;
}

static void keep(void *arg, const struct doctor_line *l)
{
	(void)arg;
	ck_assert_uint_lt(nlines, ARRAY_SIZE(lines));
	/* Every line says something, every failure what to do. */
	ck_assert_str_ne(l->text, "");
	ck_assert((l->result == DOCTOR_FAIL) == (l->fix[0] != '\0'));
	lines[nlines++] = *l;
}

/* more: options beside cache-dir=base/cache, or NULL. Returns failures. */
static unsigned examine(const char *source, const char *cache, const char *more)
{
	struct doctor_conf conf = { .options = o, .source = source };
	char why[WHY_MAX], text[512];
	unsigned failed, counted = 0;

	snprintf(text, sizeof(text), "cache-dir=%s%s%s", cache,
		 more != NULL ? "," : "", more != NULL ? more : "");
	ck_assert_msg(options_parse(o, text, why) == 0, "%s", why);
	ck_assert_int_eq(source_defaults(o, false, why), 0);
	ck_assert_int_eq(
	    options_default(o, OPT_STAGING_DIR, below("staging"), 0), 0);
	failed = doctor_run(&conf, keep, NULL);
	for (size_t i = 0; i < nlines; i++)
		counted += lines[i].result == DOCTOR_FAIL;
	ck_assert_uint_eq(failed, counted);
	return failed;
}

static const struct doctor_line *of(const char *check)
{
	for (size_t i = 0; i < nlines; i++)
		if (strcmp(lines[i].check, check) == 0)
			return &lines[i];
	ck_abort_msg("no line of %s", check);
}

#define IS(check, what)                                                        \
	ck_assert_msg(of(check)->result == (what), "%s: %s; %s", check,        \
		      of(check)->text, of(check)->fix)

static const char *store(void)
{
	static char url[160];
	FILE *f;

	ck_assert_int_eq(mkdir(below("store"), 0755), 0);
	f = fopen(below("store/object"), "we");
	fputs("bytes", f);
	fclose(f);
	snprintf(url, sizeof(url), "file://%s", below("store"));
	return url;
}

static int entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

START_TEST(a_directory_as_source_and_a_cache_that_will_be_made_pass)
{
	const char *url = store();
	int before = entries(base);

	examine(url, below("a/b/cache"), "ro");
	IS("source", DOCTOR_PASS);
	IS("credentials", DOCTOR_SKIP);
	IS("connect", DOCTOR_SKIP);
	IS("list", DOCTOR_PASS);
	IS("get", DOCTOR_PASS);
	ck_assert_ptr_nonnull(strstr(of("get")->text, "object"));
	IS("put", DOCTOR_SKIP);
	IS("staging-dir", DOCTOR_SKIP);
	IS("cache-dir", DOCTOR_PASS);
	ck_assert_ptr_nonnull(strstr(of("cache-dir")->text, "will be made"));
	IS("cache-xattr", DOCTOR_PASS);
	IS("cache-io", DOCTOR_PASS);
	IS("mount", DOCTOR_SKIP);
	ck_assert_msg(entries(base) == before, "something was left");
}
END_TEST

START_TEST(what_is_put_where_it_may_be_written_is_gone_again)
{
	const char *url = store();

	examine(url, below("cache"), NULL);
	IS("put", DOCTOR_PASS);
	IS("conditions", DOCTOR_PASS);
	IS("staging-dir", DOCTOR_PASS);
	ck_assert_ptr_nonnull(strstr(of("staging-dir")->text, "will be made"));
	ck_assert_int_eq(entries(below("store")), 1);
}
END_TEST

START_TEST(a_source_that_is_not_there_fails_at_list_only)
{
	char url[160];

	snprintf(url, sizeof(url), "file://%s", below("none"));
	examine(url, below("cache"), NULL);
	if (of("source")->result == DOCTOR_PASS)
		IS("list", DOCTOR_FAIL);
	else
		IS("list", DOCTOR_SKIP);
	IS("get", DOCTOR_SKIP);
}
END_TEST

START_TEST(an_unknown_scheme_is_one_failure)
{
	examine("gs://bucket", below("cache"), NULL);
	IS("source", DOCTOR_FAIL);
	IS("credentials", DOCTOR_SKIP);
	IS("dns", DOCTOR_SKIP);
	IS("list", DOCTOR_SKIP);
	IS("get", DOCTOR_SKIP);
}
END_TEST

START_TEST(a_cache_directory_that_others_may_write_fails_with_the_fix)
{
	ck_assert_int_eq(mkdir(below("cache"), 0700), 0);
	ck_assert_int_eq(chmod(below("cache"), 0777), 0);
	examine(store(), below("cache"), NULL);
	IS("cache-dir", DOCTOR_FAIL);
	ck_assert_ptr_nonnull(strstr(of("cache-dir")->fix, "chmod 700"));
	ck_assert_ptr_nonnull(strstr(of("cache-dir")->text, base));
	ck_assert_int_eq(entries(below("cache")), 0);
}
END_TEST

START_TEST(a_directory_of_something_else_is_no_cache)
{
	FILE *f;

	ck_assert_int_eq(mkdir(below("cache"), 0700), 0);
	f = fopen(below("cache/thesis.tex"), "we");
	fclose(f);
	examine(store(), below("cache"), NULL);
	IS("cache-dir", DOCTOR_FAIL);
	ck_assert_ptr_nonnull(strstr(of("cache-dir")->text, "thesis.tex"));
	ck_assert_int_eq(entries(below("cache")), 1);
}
END_TEST

START_TEST(each_cache_directory_has_its_line)
{
	char dirs[300];
	unsigned n = 0;

	ck_assert_int_eq(mkdir(below("one"), 0700), 0);
	ck_assert_int_eq(mkdir(below("two"), 0700), 0);
	ck_assert_int_eq(chmod(below("two"), 0770), 0);
	snprintf(dirs, sizeof(dirs), "%s:%s", below("one"), below("two"));
	examine(store(), dirs, NULL);
	for (size_t i = 0; i < nlines; i++)
		if (strcmp(lines[i].check, "cache-dir") == 0)
			ck_assert_int_eq(lines[i].result,
					 n++ == 0 ? DOCTOR_PASS : DOCTOR_FAIL);
	ck_assert_uint_eq(n, 2);
}
END_TEST

START_TEST(without_a_cache_its_checks_are_skipped)
{
	examine(store(), below("cache"), "cache-size=0");
	IS("cache-dir", DOCTOR_SKIP);
	IS("cache-space", DOCTOR_SKIP);
	IS("cache-xattr", DOCTOR_SKIP);
	IS("cache-io", DOCTOR_SKIP);
}
END_TEST

START_TEST(more_memory_than_there_is_fails_with_a_value_that_would_do)
{
	char more[64], value[32];

	snprintf(more, sizeof(more), "memory=%juM",
		 (uintmax_t)(limits_memory() >> 20));
	examine(store(), below("cache"), more);
	IS("memory", DOCTOR_FAIL);
	snprintf(value, sizeof(value), "memory=%juM",
		 (uintmax_t)(limits_memory_default() >> 20));
	ck_assert_ptr_nonnull(strstr(of("memory")->fix, value));
}
END_TEST

START_TEST(only_the_hard_limit_of_descriptors_counts)
{
	struct rlimit was, few;

	getrlimit(RLIMIT_NOFILE, &was);
	few = was;
	few.rlim_cur = 100; /* a mount raises it */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	examine(store(), below("cache"), "max-connections=1");
	IS("descriptors", was.rlim_max >= 514 ? DOCTOR_PASS : DOCTOR_FAIL);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
}
END_TEST

START_TEST(more_connections_than_descriptors_fail)
{
	const struct rlimit few = { 600, 600 };
	const char *url = store();
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) { /* a hard limit is not raised again by everybody */
		if (setrlimit(RLIMIT_NOFILE, &few) < 0)
			_exit(2);
		examine(url, below("cache"), "max-connections=100");
		_exit(of("descriptors")->result == DOCTOR_FAIL ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(a_directory_that_is_no_mount_fails)
{
	struct doctor_conf conf = { .options = o,
				    .source = store(),
				    .dir = base };
	char why[WHY_MAX];

	ck_assert_int_eq(options_parse(o, "cache-size=0", why), 0);
	ck_assert_int_eq(source_defaults(o, false, why), 0);
	doctor_run(&conf, keep, NULL);
	IS("mount", DOCTOR_FAIL);
	ck_assert_ptr_nonnull(strstr(of("mount")->text, base));
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("checks");

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(
	    c, a_directory_as_source_and_a_cache_that_will_be_made_pass);
	tcase_add_test(c, what_is_put_where_it_may_be_written_is_gone_again);
	tcase_add_test(c, a_source_that_is_not_there_fails_at_list_only);
	tcase_add_test(c, an_unknown_scheme_is_one_failure);
	tcase_add_test(
	    c, a_cache_directory_that_others_may_write_fails_with_the_fix);
	tcase_add_test(c, a_directory_of_something_else_is_no_cache);
	tcase_add_test(c, each_cache_directory_has_its_line);
	tcase_add_test(c, without_a_cache_its_checks_are_skipped);
	tcase_add_test(
	    c, more_memory_than_there_is_fails_with_a_value_that_would_do);
	tcase_add_test(c, only_the_hard_limit_of_descriptors_counts);
	tcase_add_test(c, more_connections_than_descriptors_fail);
	tcase_add_test(c, a_directory_that_is_no_mount_fails);
	return RUN_CASES(c);
}
