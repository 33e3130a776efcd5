/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_util.c - spans, owning locals, clocks and numbers
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/stats.h"
#include "tests/unit/run.h"

START_TEST(a_copied_span_keeps_its_nul_bytes)
{
	AUTO_FREE char *copy = str_dup((struct str){ "a\0b", 3 });

	ck_assert_ptr_nonnull(copy);
	ck_assert_mem_eq(copy, "a\0b", 4);
}
END_TEST

START_TEST(an_empty_span_copies_to_an_empty_string)
{
	AUTO_FREE char *copy = str_dup((struct str){ NULL, 0 });

	ck_assert_str_eq(copy, "");
}
END_TEST

START_TEST(an_impossible_span_is_refused)
{
	ck_assert_ptr_null(str_dup((struct str){ "", SIZE_MAX }));
}
END_TEST

START_TEST(spans_sort_by_byte_and_a_prefix_first)
{
	const struct str sorted[] = {
		{ "", 0 },   { "\0", 1 },  { "a", 1 },  { "a\0", 2 },
		{ "a-", 2 }, { "a/b", 3 }, { "a0", 2 }, { "\xff", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
		for (size_t j = 0; j < ARRAY_SIZE(sorted); j++) {
			int r = str_cmp(sorted[i], sorted[j]);

			ck_assert_int_eq((r > 0) - (r < 0), (i > j) - (i < j));
			ck_assert_int_eq(str_eq(sorted[i], sorted[j]), i == j);
		}
	ck_assert(str_starts(str_of("a/b"), str_of("a/")));
	ck_assert(str_starts(str_of("a"), STR_EMPTY));
	ck_assert(!str_starts(str_of("a"), str_of("a/")));
}
END_TEST

START_TEST(a_taken_descriptor_and_pointer_outlive_their_local)
{
	void *p = NULL;
	int fd = -1;
	struct stat st;

	{
		AUTO_FREE char *local = str_dup(str_of("kept"));
		AUTO_CLOSE int own = open("/", O_RDONLY | O_CLOEXEC);
		AUTO_CLOSE int closed = open("/", O_RDONLY | O_CLOEXEC);

		ck_assert_int_ge(closed, 0);
		p = take_ptr(local);
		fd = take_fd(&own);
		ck_assert_ptr_null(local);
		ck_assert_int_eq(own, -1);
	}
	ck_assert_str_eq(p, "kept");
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_ne(fstat(fd + 1, &st), 0);
	free(p);
	close(fd);
}
END_TEST

START_TEST(what_cannot_fail_aborts_when_it_does)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		must(EBUSY);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

START_TEST(the_clock_never_goes_back)
{
	int64_t last = clock_ns();

	ck_assert_int_gt(last, 0);
	for (int i = 0; i < 100000; i++) {
		int64_t now = clock_ns();

		ck_assert_int_ge(now, last);
		last = now;
	}
	/* 2024: a clock in seconds or milliseconds would be far below. */
	ck_assert_int_gt(clock_wall_ns(), 1704067200 * NSEC_PER_SEC);
}
END_TEST

START_TEST(the_boot_id_is_the_kernels_and_stays)
{
	const char *id = clock_boot_id();
	char kernel[BOOT_ID_LEN + 1] = "";
	AUTO_CLOSE int fd =
	    open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	ck_assert_uint_eq(strlen(id), BOOT_ID_LEN);
	ck_assert_ptr_eq(clock_boot_id(), id);
	if (fd >= 0 && read(fd, kernel, BOOT_ID_LEN) == BOOT_ID_LEN)
		ck_assert_str_eq(id, kernel);
}
END_TEST

static void *count(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10000; i++) {
		stat_inc(STAT_store_get);
		stat_add(STAT_handles, 1);
		stat_add(STAT_handles, -1);
	}
	return NULL;
}

START_TEST(no_increment_of_many_threads_is_lost)
{
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		must(pthread_create(&threads[i], NULL, count, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		must(pthread_join(threads[i], NULL));
	ck_assert_int_eq(stat_read(STAT_store_get), 40000);
	ck_assert_int_eq(stat_read(STAT_handles), 0);
	ck_assert_int_eq(stat_read(STAT_store_head), 0);
}
END_TEST

START_TEST(every_number_has_a_name_a_kind_and_a_sentence)
{
	for (int i = 0; i < STAT_COUNT; i++) {
		const char *name = stat_name((enum stat_id)i);

		ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"),
				  strlen(name));
		ck_assert_uint_gt(strlen(stat_help((enum stat_id)i)), 0);
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(name, stat_name((enum stat_id)j));
	}
	ck_assert_str_eq(stat_name(STAT_read_bytes), "read_bytes");
	ck_assert_int_eq(stat_kind(STAT_read_bytes), STAT_COUNTER);
	ck_assert_int_eq(stat_kind(STAT_memory_bytes), STAT_GAUGE);
}
END_TEST

/* A child's end by this variable and so many passings: its signal, or 0. */
static int end_of(const char *at, int passings)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		setenv("TARN_CRASH_AT", at, 1);
		crash_init();
		crash_point("here-too");
		for (int i = 0; i < passings; i++)
			crash_point("here");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

START_TEST(a_crash_point_kills_at_the_passing_that_was_asked_for)
{
	ck_assert_int_eq(end_of("here:1", 1), SIGKILL);
	ck_assert_int_eq(end_of("here:3", 2), 0);
	ck_assert_int_eq(end_of("here:3", 3), SIGKILL);
	ck_assert_int_eq(end_of("elsewhere:1", 3), 0);
	ck_assert_int_eq(end_of("here", 3), 0);
	ck_assert_int_eq(end_of("here:", 3), 0);
}
END_TEST

START_TEST(a_crash_point_makes_its_file_when_it_kills_and_only_then)
{
	char dir[] = "/tmp/tarn-crash.XXXXXX";
	AUTO_FREE char *file = NULL, *at = NULL;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_gt(asprintf(&file, "%s/a:b", dir), 0);
	ck_assert_int_gt(asprintf(&at, "here:2:%s", file), 0);
	ck_assert_int_eq(end_of(at, 1), 0);
	ck_assert_int_lt(access(file, F_OK), 0);
	ck_assert_int_eq(end_of(at, 2), SIGKILL);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("util");

	tcase_add_test(t, a_copied_span_keeps_its_nul_bytes);
	tcase_add_test(t, an_empty_span_copies_to_an_empty_string);
	tcase_add_test(t, an_impossible_span_is_refused);
	tcase_add_test(t, spans_sort_by_byte_and_a_prefix_first);
	tcase_add_test(t, a_taken_descriptor_and_pointer_outlive_their_local);
	tcase_add_test(t, what_cannot_fail_aborts_when_it_does);
	tcase_add_test(t, the_clock_never_goes_back);
	tcase_add_test(t, the_boot_id_is_the_kernels_and_stays);
	tcase_add_test(t, no_increment_of_many_threads_is_lost);
	tcase_add_test(t, every_number_has_a_name_a_kind_and_a_sentence);
	tcase_add_test(t,
		       a_crash_point_kills_at_the_passing_that_was_asked_for);
	tcase_add_test(
	    t, a_crash_point_makes_its_file_when_it_kills_and_only_then);
	return RUN_CASES(t);
}
