/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_pool.c - how many connections a store is given
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/unit/run.h"
#include "ufs/http_impl.h"

#define MAX_CONNECTIONS 16

static struct http *h;
static struct http_handle *held[64];
static size_t n;

static void begin(void)
{
	struct http_conf conf = { .max_connections = MAX_CONNECTIONS,
				  .stall_timeout = NSEC_PER_SEC };

	ck_assert_int_eq(http_new(&conf, &h), 0);
	n = 0;
}

static void end(void)
{
	while (n > 0)
		http_put(h, held[--n], HTTP_LOAD_UNKNOWN);
	http_free(h);
}

/* Take as many as there are without waiting. */
static size_t take_all(bool metadata)
{
	size_t before = n;

	while (http_take(h, metadata, clock_ns(), NULL, &held[n]) == 0)
		n++;
	return n - before;
}

static void put_all(enum http_load load)
{
	while (n > 0)
		http_put(h, held[--n], load);
}

START_TEST(all_connections_are_handed_out_and_a_few_more_for_metadata)
{
	ck_assert_uint_eq(take_all(false), MAX_CONNECTIONS);
	ck_assert_uint_gt(take_all(true), 0);
	ck_assert_uint_eq(take_all(false), 0);
}
END_TEST

START_TEST(the_connection_used_last_is_handed_out_first)
{
	struct http_handle *last;

	take_all(false);
	last = held[0];
	put_all(HTTP_LOAD_RIGHT);
	ck_assert_int_eq(http_take(h, false, INT64_MAX, NULL, &held[n++]), 0);
	ck_assert_ptr_eq(held[0], last);
}
END_TEST

START_TEST(A12_a_busy_store_is_asked_by_half_as_many_and_recovers)
{
	size_t now = 0;

	take_all(false);
	http_put(h, held[--n], HTTP_LOAD_BUSY);
	put_all(HTTP_LOAD_UNKNOWN);
	ck_assert_uint_eq(take_all(false), MAX_CONNECTIONS / 2);
	put_all(HTTP_LOAD_UNKNOWN);
	for (int round = 0; round < 100 && now < MAX_CONNECTIONS; round++) {
		now = take_all(false);
		put_all(HTTP_LOAD_RIGHT);
	}
	ck_assert_uint_eq(now, MAX_CONNECTIONS);
}
END_TEST

START_TEST(a_wait_for_a_connection_ends_when_it_is_cancelled)
{
	struct cancel cancel = { true };

	take_all(false);
	ck_assert_int_eq(http_take(h, false, INT64_MAX, &cancel, &held[n]),
			 -ECANCELED);
	ck_assert_int_eq(http_take(h, false, clock_ns(), NULL, &held[n]),
			 -ETIMEDOUT);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(
	    t, all_connections_are_handed_out_and_a_few_more_for_metadata);
	tcase_add_test(t, the_connection_used_last_is_handed_out_first);
	tcase_add_test(t,
		       A12_a_busy_store_is_asked_by_half_as_many_and_recovers);
	tcase_add_test(t, a_wait_for_a_connection_ends_when_it_is_cancelled);
	return RUN_CASES(t);
}
