/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_jobs.c - loading and freeing as the control interface is asked for them
 */
#include <sched.h>

#include "fuse/jobs.h"
#include "tests/unit/control_rig.h"

START_TEST(a_load_of_a_tree_loads_each_file_and_tells_what_failed)
{
	json_t *j = run_job("/-/load", json_pack("{s:[s]}", "paths", ""));
	const json_t *e;

	ck_assert_str_eq(text(j, "state"), "failed");
	ck_assert_int_eq(number(j, "files"), 5);
	ck_assert_int_eq(number(j, "files_done"), 5);
	ck_assert_int_eq(number(j, "bytes"), 5 * OBJECT_SIZE);
	ck_assert_int_eq(number(j, "bytes_done"), 5 * OBJECT_SIZE);
	ck_assert_int_eq(number(j, "fetched_bytes"), 4 * OBJECT_SIZE);
	ck_assert_int_eq(number(j, "failed"), 1);
	e = json_array_get(json_object_get(j, "errors"), 0);
	ck_assert_str_eq(text(e, "path"), "a/bad");
	ck_assert_str_eq(text(e, "error"), strerror(EACCES));
	json_decref(j);
}
END_TEST

START_TEST(files_and_keys_can_be_named_together)
{
	json_t *j = run_job("/-/load", json_pack("{s:[s], s:[s, s]}", "paths",
						 "x", "keys", "a/b", "a/1"));

	ck_assert_str_eq(text(j, "state"), "done");
	ck_assert_int_eq(number(j, "files"), 3);
	json_decref(j);
}
END_TEST

START_TEST(a_name_that_is_not_there_is_a_failure_of_the_job)
{
	json_t *j = run_job("/-/load", json_pack("{s:[s], s:[s]}", "paths",
						 "nope", "keys", "no/key"));

	ck_assert_str_eq(text(j, "state"), "failed");
	ck_assert_int_eq(number(j, "failed"), 2);
	ck_assert_int_eq(number(j, "files"), 0);
	json_decref(j);
}
END_TEST

START_TEST(a_dry_run_touches_nothing)
{
	json_t *j = run_job(
	    "/-/load", json_pack("{s:[s], s:b}", "paths", "a", "dry_run", 1));

	ck_assert_int_eq(number(j, "files"), 4);
	ck_assert_int_eq(number(j, "ssd_bytes"), 4 * 10);
	ck_assert_uint_eq(atomic_load(&loads), 0);
	json_decref(j);
}
END_TEST

START_TEST(a_free_tells_the_bytes_it_freed)
{
	json_t *j = run_job("/-/free", json_pack("{s:[s]}", "paths", "a"));

	ck_assert_str_eq(text(j, "kind"), "free");
	ck_assert_int_eq(number(j, "ssd_bytes"), 4 * 10);
	json_decref(j);
}
END_TEST

START_TEST(a_large_job_holds_few_objects_at_a_time_and_shows_progress)
{
	int64_t deadline = clock_ns() + 20 * NSEC_PER_SEC;
	json_t *j;
	bool seen = false;

	big_entries = 5000;
	atomic_store(&hold, true);
	ck_assert_int_eq(
	    call("/-/load", json_pack("{s:[s]}", "paths", "big"), &j), 0);
	json_decref(j);
	while (!seen) {
		ck_assert_int_lt(clock_ns(), deadline);
		ck_assert_int_eq(call("/-/load/1", NULL, &j), 0);
		ck_assert_str_eq(text(j, "state"), "running");
		ck_assert_uint_le(atomic_load(&objects_alive), 65);
		/* Ten bytes of each that runs are here already. */
		seen = number(j, "files") >= 64 && number(j, "bytes_done") > 0;
		json_decref(j);
	}
	atomic_store(&hold, false);
	do {
		ck_assert_int_lt(clock_ns(), deadline);
		ck_assert_int_eq(call("/-/load/1", NULL, &j), 0);
		seen = strcmp(text(j, "state"), "done") == 0;
		if (seen)
			ck_assert_int_eq(number(j, "files_done"), 5000);
		json_decref(j);
	} while (!seen);
}
END_TEST

START_TEST(an_unmount_cancels_what_runs_and_leaks_nothing)
{
	json_t *j;

	big_entries = 5000;
	atomic_store(&hold, true);
	ck_assert_int_eq(
	    call("/-/load", json_pack("{s:[s]}", "paths", "big"), &j), 0);
	json_decref(j);
	/* teardown() stops it, and counts the objects */
}
END_TEST

START_TEST(a_load_without_a_cache_on_the_ssd_is_refused)
{
	json_t *j;

	disks = 0;
	ck_assert_int_lt(call("/-/load", json_pack("{s:[s]}", "paths", ""), &j),
			 0);
	ck_assert_ptr_nonnull(strstr(why, "cache-size=0"));
}
END_TEST

START_TEST(paths_are_told_as_keys)
{
	const json_t *keys;
	json_t *j;

	ck_assert_int_eq(call("/-/keys",
			      json_pack("{s:[s, s, s]}", "paths", "", "a", "x"),
			      &j),
			 0);
	keys = json_object_get(j, "keys");
	ck_assert_uint_eq(json_array_size(keys), 3);
	ck_assert_str_eq(json_string_value(json_array_get(keys, 0)), "");
	ck_assert_str_eq(json_string_value(json_array_get(keys, 1)), "a/");
	ck_assert_str_eq(json_string_value(json_array_get(keys, 2)), "x");
	json_decref(j);
	ck_assert_int_eq(
	    call("/-/keys", json_pack("{s:[s]}", "paths", "nope"), &j),
	    -ENOENT);
}
END_TEST

START_TEST(urls_are_keys_below_the_source)
{
	json_t *j = run_job("/-/load", json_pack("{s:[s, s]}", "urls",
						 "s3://bucket/pre/a/b",
						 "s3://bucket/pre/x"));

	ck_assert_str_eq(text(j, "state"), "done");
	ck_assert_int_eq(number(j, "files"), 2);
	json_decref(j);
	/* What lies above it means all of it. */
	j = run_job("/-/load", json_pack("{s:[s], s:b}", "urls", "s3://bucket",
					 "dry_run", 1));
	ck_assert_int_eq(number(j, "files"), 5);
	json_decref(j);
	ck_assert_int_eq(
	    call("/-/invalidate",
		 json_pack("{s:[s]}", "urls", "s3://bucket/pre/a/"), &j),
	    0);
	json_decref(j);
	ck_assert_str_eq(forgotten, "a");
	ck_assert_int_eq(call("/-/invalidate",
			      json_pack("{s:[s], s:b}", "urls",
					"s3://bucket/pre/a/b", "changed", 1),
			      &j),
			 0);
	json_decref(j);
	ck_assert_str_eq(forgotten, "for now: a/b");
	ck_assert_int_eq(
	    call("/-/load", json_pack("{s:[s]}", "urls", "s3://bucket/prefix"),
		 &j),
	    -ENOENT);
}
END_TEST

/* Each segment of each object, and what fails, is exactly one worker's. */
START_TEST(the_parts_of_a_ring_are_all_of_it)
{
	static const char *const names[] = { "a:1", "b:1", "c:1" };
	json_int_t files = 0, bytes = 0, failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		json_t *j = run_job(
		    "/-/load",
		    json_pack("{s:[s, s], s:s, s:{s:[{s:s, s:i}, {s:s, s:i}, "
			      "{s:s, s:i}], s:s}}",
			      "keys", "", "no/key", "job", "mine", "ring",
			      "workers", "name", "a:1", "weight", 1, "name",
			      "b:1", "weight", 1, "name", "c:1", "weight", 1,
			      "me", names[i]));

		files += number(j, "files_done");
		bytes += number(j, "bytes_done");
		failed += number(j, "failed");
		ck_assert_str_eq(text(j, "job"), "mine");
		/* Those of its name before it are counted as well. */
		ck_assert_int_ge(number(j, "fetched_bytes"), 0);
		if (i + 1 == ARRAY_SIZE(names))
			ck_assert_int_eq(number(j, "fetched_bytes"),
					 4 * OBJECT_SIZE);
		json_decref(j);
	}
	ck_assert_int_eq(files, 5);
	ck_assert_int_eq(bytes, 5 * OBJECT_SIZE);
	ck_assert_int_eq(failed, 2);
}
END_TEST

static struct jobs *others;
static atomic_uint asked;

/* "huge" is a file of as many segments as a store may say. */
static int resolve_huge(void *arg, const char *path, char *key, size_t *n,
			bool *dir, struct ufs_stat *st)
{
	(void)arg;
	if (strcmp(path, "huge") != 0)
		return -ENOENT;
	*n = (size_t)snprintf(key, UFS_KEY_MAX, "%s", path);
	*dir = false;
	*st = (struct ufs_stat){ .size = INT64_MAX };
	return 0;
}

/* None of it is ours; another job of the name ends this one. */
static bool none_is_mine(struct jobs_filter *f, struct cache *cache,
			 struct str key, uint64_t segment)
{
	const struct jobs_spec spec = { .kind = JOBS_LOAD, .name = "same" };
	const struct jobs_target target = { .text = "nope" };

	(void)f, (void)cache, (void)key, (void)segment;
	if (atomic_fetch_add(&asked, 1) == 0)
		ck_assert_int_eq(jobs_start(others, &spec, &target, 1), 2);
	return false;
}

static void leave(struct jobs_filter *f)
{
	(void)f;
}

START_TEST(a_job_that_is_told_to_end_does_not_count_segments_first)
{
	const struct jobs_source source = { .cache = &the_cache,
					    .resolve = resolve_huge };
	struct jobs_filter filter = { none_is_mine, leave };
	const struct jobs_spec spec = { .kind = JOBS_LOAD,
					.name = "same",
					.filter = &filter };
	const struct jobs_target target = { .text = "huge" };

	atomic_store(&asked, 0);
	ck_assert_int_eq(jobs_new(&source, 1, 1, &others), 0);
	ck_assert_int_eq(jobs_start(others, &spec, &target, 1), 1);
	while (atomic_load(&asked) == 0)
		sched_yield();
	jobs_free(others);
	ck_assert_uint_le(atomic_load(&asked), 2);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("jobs");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t,
		       a_load_of_a_tree_loads_each_file_and_tells_what_failed);
	tcase_add_test(t, files_and_keys_can_be_named_together);
	tcase_add_test(t, a_name_that_is_not_there_is_a_failure_of_the_job);
	tcase_add_test(t, a_dry_run_touches_nothing);
	tcase_add_test(t, a_free_tells_the_bytes_it_freed);
	tcase_add_test(
	    t, a_large_job_holds_few_objects_at_a_time_and_shows_progress);
	tcase_add_test(t, an_unmount_cancels_what_runs_and_leaks_nothing);
	tcase_add_test(t, a_load_without_a_cache_on_the_ssd_is_refused);
	tcase_add_test(t, paths_are_told_as_keys);
	tcase_add_test(t, urls_are_keys_below_the_source);
	tcase_add_test(t, the_parts_of_a_ring_are_all_of_it);
	tcase_add_test(t,
		       a_job_that_is_told_to_end_does_not_count_segments_first);
	return RUN_CASES(t);
}
