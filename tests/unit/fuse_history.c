/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_history.c - the last hour of the counters
 */
#include <check.h>
#include <jansson.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/stats.h"
#include "fuse/history.h"
#include "tests/unit/run.h"

static json_t *ask(int64_t now)
{
	char *text = history_text(now);
	json_t *j;

	ck_assert_ptr_nonnull(text);
	j = json_loads(text, 0, NULL);
	ck_assert_ptr_nonnull(j);
	free(text);
	return j;
}

static json_int_t at(const json_t *j, const char *name, size_t i)
{
	return json_integer_value(json_array_get(json_object_get(j, name), i));
}

/* The last sample but n; 0: the last one, which is now. */
static json_int_t back(const json_t *j, const char *name, size_t n)
{
	return at(j, name, json_array_size(json_object_get(j, name)) - 1 - n);
}

START_TEST(samples_are_counters_as_they_were)
{
	int64_t start = clock_ns();
	int64_t ssd = stat_read(STAT_ssd_bytes);
	json_t *j;

	history_take(start);
	stat_add(STAT_ssd_bytes, 100);
	stat_add(STAT_store_get, 3);
	stat_add(STAT_store_list, 2);
	history_take(start + 10 * NSEC_PER_SEC);
	stat_add(STAT_ssd_bytes, 50);
	stat_add(STAT_ssd_errors, 1);
	stat_add(STAT_store_errors, 1);
	j = ask(start + 12 * NSEC_PER_SEC);
	ck_assert_int_eq(back(j, "age_ms", 2), 12000);
	ck_assert_int_eq(back(j, "age_ms", 1), 2000);
	ck_assert_int_eq(back(j, "age_ms", 0), 0);
	ck_assert_int_eq(back(j, "ssd_bytes", 2), ssd);
	ck_assert_int_eq(back(j, "ssd_bytes", 1), ssd + 100);
	ck_assert_int_eq(back(j, "ssd_bytes", 0), ssd + 150);
	ck_assert_int_eq(back(j, "requests", 1) - back(j, "requests", 2), 5);
	ck_assert_int_eq(back(j, "errors", 0) - back(j, "errors", 1), 2);
	json_decref(j);
}
END_TEST

START_TEST(the_oldest_make_room)
{
	int64_t start = clock_ns();
	json_t *j;

	for (int64_t i = 1; i <= 1000; i++) {
		stat_add(STAT_peer_bytes, 7);
		history_take(start + i * 10 * NSEC_PER_SEC);
	}
	j = ask(start + 10000 * NSEC_PER_SEC);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "age_ms")),
			  HISTORY_MAX + 1);
	ck_assert_int_eq(at(j, "age_ms", 0), 3600000);
	for (size_t i = 1; i < HISTORY_MAX; i++) {
		ck_assert_int_eq(at(j, "age_ms", i - 1) - at(j, "age_ms", i),
				 10000);
		ck_assert_int_eq(
		    at(j, "peer_bytes", i) - at(j, "peer_bytes", i - 1), 7);
	}
	json_decref(j);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("history");

	tcase_add_test(t, samples_are_counters_as_they_were);
	tcase_add_test(t, the_oldest_make_room);
	return RUN_CASES(t);
}
