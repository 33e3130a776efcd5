/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_top.c - two looks at a mount become rates
 */
#include <check.h>

#include "base/clock.h"
#include "fuse/top.h"
#include "tests/unit/run.h"

static struct top_look before, now;
static struct top_rates r;

/* A status: pid, up, reads (bytes = ssd + store), opens, GETs, prefetched. */
static void look(struct top_look *out, int64_t at, int pid, int up, int ssd,
		 int store, int opens, int gets, int ahead)
{
	json_t *j = json_pack(
	    "{s:i, s:i, s:{s:i, s:i, s:i, s:i}, s:{s:i, s:i}, "
	    "s:{s:i, s:i}, s:i, s:[{s:s, s:i, s:i, s:s}], "
	    "s:{s:i, s:i, s:i}}",
	    "pid", pid, "uptime_s", up, "reads", "bytes", ssd + store,
	    "ssd_bytes", ssd, "store_bytes", store, "kernel_passthrough_opens",
	    opens, "store", "get", gets, "errors", 0, "memory", "used", 7,
	    "limit", 70, "inodes", 5, "ssd", "dir", "/c\x1b[31m", "bytes", 3,
	    "limit", 9, "state", "ok", "counters", "handles", 2, "opens",
	    2 * opens, "prefetch_bytes", ahead);

	ck_assert_ptr_nonnull(j);
	top_look(j, at, out);
	json_decref(j);
}

START_TEST(rates_are_what_happened_between_two_looks)
{
	look(&before, 10 * NSEC_PER_SEC, 1, 10, 1000, 1000, 5, 10, 100);
	look(&now, 12 * NSEC_PER_SEC, 1, 12, 4000, 2000, 9, 30, 500);
	top_rates(&before, &now, &r);
	ck_assert(!r.since_start);
	ck_assert_double_eq(r.seconds, 2);
	ck_assert_double_eq(r.per_s[TOP_ssd_bytes], 1500);
	ck_assert_double_eq(r.per_s[TOP_store_bytes], 500);
	ck_assert_double_eq(r.per_s[TOP_kernel_opens], 2);
	ck_assert_double_eq(r.per_s[TOP_opens], 4);
	ck_assert_double_eq(r.per_s[TOP_get], 10);
	ck_assert(r.hit_known);
	ck_assert_double_eq(r.hit, 0.75);
	ck_assert_uint_eq(now.nprefetch, 1);
	ck_assert_str_eq(now.prefetch[0].name, "bytes");
	ck_assert(now.prefetch[0].bytes);
	ck_assert_double_eq(r.prefetch_per_s[0], 200);
	ck_assert_uint_eq(now.handles, 2);
	ck_assert_uint_eq(now.memory_limit, 70);
}
END_TEST

START_TEST(the_first_look_tells_of_all_since_the_start)
{
	look(&now, NSEC_PER_SEC, 1, 100, 1000, 0, 5, 10, 0);
	top_rates(NULL, &now, &r);
	ck_assert(r.since_start);
	ck_assert_double_eq(r.per_s[TOP_ssd_bytes], 10);
	ck_assert_double_eq(r.hit, 1);
}
END_TEST

START_TEST(a_mount_that_began_this_moment_divides_by_no_zero)
{
	look(&now, NSEC_PER_SEC, 1, 0, 50, 0, 0, 0, 0);
	top_rates(NULL, &now, &r);
	ck_assert_double_eq(r.per_s[TOP_ssd_bytes], 50);
	/* Two looks at one moment are one. */
	top_rates(&now, &now, &r);
	ck_assert(r.since_start);
}
END_TEST

START_TEST(another_daemon_on_the_directory_begins_anew)
{
	look(&before, NSEC_PER_SEC, 1, 900, 1000000, 0, 5, 10, 0);
	look(&now, 2 * NSEC_PER_SEC, 2, 1, 30, 0, 1, 1, 0);
	top_rates(&before, &now, &r);
	ck_assert(r.since_start);
	ck_assert_double_eq(r.per_s[TOP_ssd_bytes], 30);
	/* The same number given to another process: its counters tell. */
	look(&before, NSEC_PER_SEC, 2, 0, 31, 0, 0, 0, 0);
	top_rates(&before, &now, &r);
	ck_assert(r.since_start);
}
END_TEST

START_TEST(without_reads_there_is_no_hit_ratio)
{
	look(&before, NSEC_PER_SEC, 1, 1, 1000, 500, 5, 10, 0);
	look(&now, 2 * NSEC_PER_SEC, 1, 2, 1000, 500, 5, 10, 0);
	top_rates(&before, &now, &r);
	ck_assert(!r.hit_known);
	ck_assert_double_eq(r.per_s[TOP_get], 0);
}
END_TEST

START_TEST(a_status_that_lacks_things_is_zeros)
{
	json_t *j = json_pack("{s:s, s:i, s:[i, {}]}", "reads", "none",
			      "inodes", -5, "ssd", 1);

	top_look(j, 1, &now);
	json_decref(j);
	ck_assert_uint_eq(now.inodes, 0);
	ck_assert_uint_eq(now.ndisks, 2);
	ck_assert_str_eq(now.disk[1].state, "?");
	top_look(NULL, 1, &now);
	top_rates(NULL, &now, &r);
	ck_assert_uint_eq(now.n[TOP_get], 0);
}
END_TEST

START_TEST(what_comes_from_a_mount_is_cleaned_for_a_terminal)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	look(&now, NSEC_PER_SEC, 1, 1, 1000, 500, 5, 10, 0);
	ck_assert_str_eq(now.disk[0].dir, "/c\\x1b[31m");
	top_rates(NULL, &now, &r);
	top_line(&now, &r, f);
	fclose(f);
	ck_assert_ptr_null(strpbrk(text, "\n\x1b"));
	ck_assert_ptr_nonnull(strstr(text, "hit 66.7 %"));
	ck_assert_ptr_nonnull(strstr(text, "get 10/s"));
	free(text);
}
END_TEST

START_TEST(json_has_rates_totals_and_gauges)
{
	json_t *j;

	look(&now, NSEC_PER_SEC, 1, 10, 1000, 500, 5, 10, 40);
	top_rates(NULL, &now, &r);
	j = top_json(&now, &r);
	ck_assert_ptr_nonnull(j);
	ck_assert_double_eq(json_real_value(json_object_get(
				json_object_get(j, "per_s"), "ssd_bytes")),
			    100);
	ck_assert_int_eq(json_integer_value(json_object_get(
			     json_object_get(j, "total"), "get")),
			 10);
	ck_assert_int_eq(json_integer_value(json_object_get(
			     json_object_get(j, "memory"), "limit")),
			 70);
	ck_assert(json_is_object(
	    json_object_get(json_object_get(j, "prefetch"), "bytes")));
	json_decref(j);
}
END_TEST

static const struct {
	double n;
	const char *text;
} numbers[] = {
	{ 0, "0" },          { 0.04, "0.0" },    { 0.3, "0.3" },
	{ 9.94, "9.9" },     { 9.96, "10" },     { 1234, "1234" },
	{ 9999, "9999" },    { 12345, "12.3k" }, { 999400, "999k" },
	{ 999600, "1M" },    { 5.5e6, "5.5M" },  { 2e9, "2G" },
	{ 1e300, "1e+09G" },
};

START_TEST(numbers_are_short)
{
	char buf[16];

	ck_assert_str_eq(top_number(numbers[_i].n, buf), numbers[_i].text);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("rates");

	tcase_add_test(c, rates_are_what_happened_between_two_looks);
	tcase_add_test(c, the_first_look_tells_of_all_since_the_start);
	tcase_add_test(c, a_mount_that_began_this_moment_divides_by_no_zero);
	tcase_add_test(c, another_daemon_on_the_directory_begins_anew);
	tcase_add_test(c, without_reads_there_is_no_hit_ratio);
	tcase_add_test(c, a_status_that_lacks_things_is_zeros);
	tcase_add_test(c, what_comes_from_a_mount_is_cleaned_for_a_terminal);
	tcase_add_test(c, json_has_rates_totals_and_gauges);
	tcase_add_loop_test(c, numbers_are_short, 0,
			    (int)(sizeof(numbers) / sizeof(numbers[0])));
	return RUN_CASES(c);
}
