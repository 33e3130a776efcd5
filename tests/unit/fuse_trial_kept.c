/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_trial_kept.c - what a trial found out is known to the next mount
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuse/trial_kept.h"
#include "tests/unit/run.h"

#define DAY (INT64_C(86400) * NSEC_PER_SEC)
#define NOW (1000 * DAY)

static char dir[] = "/tmp/tarn-kept-XXXXXX";
static const struct ufs one = { .where = "https://host/bucket" };
static const struct ufs two = { .where = "https://host/bucket2" };

static void setup(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static unsigned drop_all(void)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	unsigned n = 0;

	while ((e = readdir(d)) != NULL)
		n += unlinkat(dirfd(d), e->d_name, 0) == 0;
	closedir(d);
	return n;
}

static void teardown(void)
{
	drop_all();
	ck_assert_int_eq(rmdir(dir), 0);
}

static enum trial_answer known(const struct ufs *u, int64_t now)
{
	int64_t at = -1;
	enum trial_answer a = trial_kept(dir, u, now, &at);

	ck_assert((a == TRIAL_UNKNOWN) == (at == -1));
	return a;
}

START_TEST(each_answer_is_known_of_its_store_alone)
{
	static const enum trial_answer all[] = { TRIAL_OBEYED, TRIAL_IGNORED,
						 TRIAL_REFUSED };
	int64_t at;

	ck_assert_int_eq(known(&one, NOW), TRIAL_UNKNOWN);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		ck_assert_int_eq(trial_keep(dir, &one, NOW, all[i]), 0);
		ck_assert_int_eq(trial_kept(dir, &one, NOW, &at), all[i]);
		ck_assert_int_eq(at, NOW / NSEC_PER_SEC);
		ck_assert_int_eq(known(&two, NOW), TRIAL_UNKNOWN);
	}
	/* Nothing is no answer. */
	ck_assert_int_eq(trial_keep(dir, &one, NOW, TRIAL_UNKNOWN), 0);
	ck_assert_int_eq(known(&one, NOW), TRIAL_REFUSED);
	ck_assert_int_eq(trial_keep(dir, &two, NOW, TRIAL_OBEYED), 0);
	ck_assert_int_eq(known(&one, NOW), TRIAL_REFUSED);
	ck_assert_int_eq(known(&two, NOW), TRIAL_OBEYED);
	ck_assert_uint_eq(drop_all(), 2);
}
END_TEST

START_TEST(what_is_old_or_still_to_come_is_not_known)
{
	ck_assert_int_eq(trial_keep(dir, &one, NOW, TRIAL_IGNORED), 0);
	ck_assert_int_eq(known(&one, NOW + (TRIAL_KEPT_DAYS - 1) * DAY),
			 TRIAL_IGNORED);
	ck_assert_int_eq(known(&one, NOW + TRIAL_KEPT_DAYS * DAY),
			 TRIAL_UNKNOWN);
	ck_assert_int_eq(known(&one, NOW - DAY / 2), TRIAL_IGNORED);
	ck_assert_int_eq(known(&one, NOW - 2 * DAY), TRIAL_UNKNOWN);
	ck_assert_int_eq(trial_keep(dir, &one, NOW + 90 * DAY, TRIAL_OBEYED),
			 0);
	ck_assert_int_eq(known(&one, NOW + 91 * DAY), TRIAL_OBEYED);
}
END_TEST

START_TEST(a_source_without_a_server_has_no_answer)
{
	const struct ufs file = { .where = NULL };

	ck_assert_int_eq(trial_keep(dir, &file, NOW, TRIAL_IGNORED), 0);
	ck_assert_int_eq(known(&file, NOW), TRIAL_UNKNOWN);
	ck_assert_uint_eq(drop_all(), 0);
}
END_TEST

START_TEST(a_directory_that_is_absent_or_of_others_is_not_used)
{
	int64_t at;

	ck_assert_int_eq(
	    trial_keep("/nowhere/at/all", &one, NOW, TRIAL_IGNORED), -ENOENT);
	ck_assert_int_eq(trial_kept("/nowhere/at/all", &one, NOW, &at),
			 TRIAL_UNKNOWN);
	ck_assert_int_eq(trial_keep(dir, &one, NOW, TRIAL_IGNORED), 0);
	ck_assert_int_eq(chmod(dir, 0777), 0);
	ck_assert_int_eq(known(&one, NOW), TRIAL_UNKNOWN);
	ck_assert_int_eq(trial_keep(dir, &one, NOW, TRIAL_OBEYED), -EPERM);
	ck_assert_int_eq(chmod(dir, 0700), 0);
	ck_assert_int_eq(known(&one, NOW), TRIAL_IGNORED);
}
END_TEST

/* The one file in dir, its path borrowed until the next call. */
static const char *only_file(void)
{
	static char path[512];
	DIR *d = opendir(dir);
	const struct dirent *e;

	path[0] = '\0';
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.') {
			ck_assert_str_eq(path, "");
			snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		}
	closedir(d);
	return path;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(what_is_spoilt_is_not_known)
{
	static const struct {
		const char *at;
		bool good;
	} all[] = { { "86400000", true },
		    { "0", false },
		    { "-1", false },
		    { "-9223372036854775808", false },
		    { "9223372036854775807", false },
		    { "9223372036854775808", false },
		    { "86400000.0", false },
		    { "\"86400000\"", false },
		    { "null", false },
		    { "[]", false } };
	char text[200];

	ck_assert_int_eq(trial_keep(dir, &one, NOW, TRIAL_IGNORED), 0);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		snprintf(text, sizeof(text),
			 "{\"store\": \"%s\", \"if-match\": \"ignored\", "
			 "\"at\": %s}",
			 one.where, all[i].at);
		write_file(only_file(), text);
		ck_assert_int_eq(known(&one, NOW),
				 all[i].good ? TRIAL_IGNORED : TRIAL_UNKNOWN);
	}
	write_file(only_file(), "[\"store\", \"if-match\", \"at\"]");
	ck_assert_int_eq(known(&one, NOW), TRIAL_UNKNOWN);
	write_file(only_file(), "{\"store\": 1, \"if-match\": 2, \"at\": 3}");
	ck_assert_int_eq(known(&one, NOW), TRIAL_UNKNOWN);
}
END_TEST

static void *keep_often(void *arg)
{
	int *failed = arg;

	for (int i = 0; i < 300; i++)
		*failed += trial_keep(dir, &one, NOW, TRIAL_IGNORED) != 0;
	return NULL;
}

START_TEST(two_may_write_it_at_once)
{
	int failed[2] = { 0, 0 };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, keep_often, failed), 0);
	keep_often(&failed[1]);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(failed[0] + failed[1], 0);
	ck_assert_int_eq(known(&one, NOW), TRIAL_IGNORED);
	ck_assert_uint_eq(drop_all(), 1);
}
END_TEST

/* Notes, and what was left there by who died while it wrote one. */
START_TEST(what_nobody_wrote_for_long_is_removed)
{
	const int64_t now = clock_wall_ns();
	struct timespec then[2] = { { .tv_sec = now / NSEC_PER_SEC } };
	char path[600];

	ck_assert_int_eq(trial_keep(dir, &one, now, TRIAL_IGNORED), 0);
	then[0].tv_sec -= (TRIAL_KEPT_DAYS + 1) * DAY / NSEC_PER_SEC;
	then[1] = then[0];
	ck_assert_int_eq(utimensat(AT_FDCWD, only_file(), then, 0), 0);
	snprintf(path, sizeof(path), "%s-1234", only_file());
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(utimensat(AT_FDCWD, path, then, 0), 0);
	snprintf(path, sizeof(path), "%s/other", dir);
	write_file(path, "");
	ck_assert_int_eq(utimensat(AT_FDCWD, path, then, 0), 0);
	ck_assert_int_eq(trial_keep(dir, &two, now, TRIAL_OBEYED), 0);
	ck_assert_int_eq(known(&one, now), TRIAL_UNKNOWN);
	ck_assert_int_eq(trial_keep(dir, &one, now, TRIAL_IGNORED), 0);
	ck_assert_int_eq(known(&two, now), TRIAL_OBEYED);
	ck_assert_uint_eq(drop_all(), 3);
}
END_TEST

START_TEST(a_date_is_of_a_time_that_there_was)
{
	char buf[32];

	ck_assert_str_eq(trial_date(1769817600, buf), "2026-01-31");
	ck_assert_str_eq(trial_date(0, buf), "");
	ck_assert_str_eq(trial_date(-1, buf), "");
	ck_assert_str_eq(trial_date(INT64_MAX, buf), "");
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("kept");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, each_answer_is_known_of_its_store_alone);
	tcase_add_test(c, what_is_old_or_still_to_come_is_not_known);
	tcase_add_test(c, a_source_without_a_server_has_no_answer);
	tcase_add_test(c, a_directory_that_is_absent_or_of_others_is_not_used);
	tcase_add_test(c, what_is_spoilt_is_not_known);
	tcase_add_test(c, two_may_write_it_at_once);
	tcase_add_test(c, what_nobody_wrote_for_long_is_removed);
	tcase_add_test(c, a_date_is_of_a_time_that_there_was);
	return RUN_CASES(c);
}
