/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_pool.c - how many connections a store is given, and how many retries
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/stats.h"
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
		http_put(h, held[--n], LOAD_UNKNOWN, false);
	http_free(h);
}

/* Take as many as there are without waiting. */
static size_t take_all(bool metadata)
{
	size_t before = n;

	while (http_take(h, metadata ? LANE_METADATA : LANE_DATA, clock_ns(),
			 NULL, &held[n]) == 0)
		n++;
	return n - before;
}

static void put_all(enum limit_load load)
{
	while (n > 0)
		http_put(h, held[--n], load, false);
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
	put_all(LOAD_RIGHT);
	ck_assert_int_eq(http_take(h, LANE_DATA, INT64_MAX, NULL, &held[n++]),
			 0);
	ck_assert_ptr_eq(held[0], last);
}
END_TEST

/* Let a clock tick pass between what one round trip did and the next. */
static void next_round(void)
{
	int64_t now = clock_ns();

	while (clock_ns() == now)
		;
}

START_TEST(A12_a_busy_store_is_asked_by_half_as_many_and_recovers)
{
	size_t now = 0, before;

	take_all(false);
	http_put(h, held[--n], LOAD_BUSY, false);
	put_all(LOAD_UNKNOWN);
	ck_assert_uint_eq(take_all(false), MAX_CONNECTIONS / 2);
	put_all(LOAD_UNKNOWN);
	before = MAX_CONNECTIONS / 2;
	for (int round = 0; round < 100 && now < MAX_CONNECTIONS; round++) {
		next_round();
		now = take_all(false);
		/* By the same step each round. */
		ck_assert_uint_le(now, before + 1);
		before = now;
		put_all(LOAD_RIGHT);
	}
	ck_assert_uint_eq(now, MAX_CONNECTIONS);
}
END_TEST

START_TEST(A12_the_refusals_of_one_round_trip_count_once)
{
	take_all(false);
	next_round();
	put_all(LOAD_BUSY);
	ck_assert_uint_eq(take_all(false), MAX_CONNECTIONS / 2);
	next_round();
	put_all(LOAD_BUSY);
	ck_assert_uint_eq(take_all(false), MAX_CONNECTIONS / 4);
	/* But never fewer than what finds out that it is well again. */
	for (int round = 0; round < 10; round++) {
		next_round();
		put_all(LOAD_BUSY);
		ck_assert_uint_eq(take_all(false), 4);
	}
}
END_TEST

START_TEST(good_answers_do_not_raise_a_limit_that_held_nobody_back)
{
	take_all(false);
	put_all(LOAD_BUSY);
	for (int i = 0; i < 1000; i++) {
		next_round();
		ck_assert_int_eq(
		    http_take(h, LANE_DATA, clock_ns(), NULL, &held[n++]), 0);
		put_all(LOAD_RIGHT);
	}
	ck_assert_uint_eq(take_all(false), MAX_CONNECTIONS / 2);
	ck_assert_int_eq(stat_read(STAT_store_limit), MAX_CONNECTIONS / 2);
}
END_TEST

struct waiter {
	pthread_t thread;
	int r;
};

static void *wait_and_leave(void *arg)
{
	struct waiter *w = arg;
	struct http_handle *mine;

	w->r = http_take(h, LANE_DATA, INT64_MAX, NULL, &mine);
	if (w->r == 0)
		http_put(h, mine, LOAD_RIGHT, false);
	return NULL;
}

START_TEST(each_that_waits_is_woken_once_there_is_room)
{
	struct waiter w[32];

	take_all(false);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		ck_assert_int_eq(
		    pthread_create(&w[i].thread, NULL, wait_and_leave, &w[i]),
		    0);
	put_all(LOAD_UNKNOWN);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		pthread_join(w[i].thread, NULL);
		ck_assert_int_eq(w[i].r, 0);
	}
	ck_assert_uint_eq(take_all(false), MAX_CONNECTIONS);
}
END_TEST

/* Retries that can be paid for now. */
static unsigned pay_all(struct limit *l)
{
	int64_t waits = stat_read(STAT_store_retry_waits);
	unsigned paid = 0;

	for (;; paid++) {
		ck_assert_int_eq(limit_pay(l, clock_ns() + NSEC_PER_MSEC, NULL),
				 0);
		if (stat_read(STAT_store_retry_waits) > waits)
			return paid;
	}
}

START_TEST(A12_retries_are_paid_for_and_successes_give_back)
{
	struct cancel cancel = { true };
	struct limit l;
	int64_t entered, begin;
	unsigned paid;

	limit_init(&l, 100);
	paid = pay_all(&l);
	ck_assert_uint_ge(paid, 100);
	ck_assert_uint_le(paid, 110); /* time gives a few */
	/* A retry's success pays for another one, others for a fifth. */
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(
		    limit_enter(&l, LANE_DATA, INT64_MAX, NULL, &entered), 0);
		limit_leave(&l, LOAD_RIGHT, entered, true);
	}
	paid = pay_all(&l);
	ck_assert_uint_ge(paid, 9);
	ck_assert_uint_le(paid, 12);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(
		    limit_enter(&l, LANE_DATA, INT64_MAX, NULL, &entered), 0);
		limit_leave(&l, LOAD_RIGHT, entered, false);
	}
	paid = pay_all(&l);
	ck_assert_uint_ge(paid, 9);
	ck_assert_uint_le(paid, 12);
	/* And time gives one at last. */
	begin = clock_ns();
	ck_assert_int_eq(limit_pay(&l, INT64_MAX, NULL), 0);
	ck_assert_int_le(clock_ns() - begin, NSEC_PER_SEC);
	ck_assert_int_eq(limit_pay(&l, INT64_MAX, &cancel), -ECANCELED);
	limit_fini(&l);
}
END_TEST

START_TEST(a_wait_for_a_connection_ends_when_it_is_cancelled)
{
	struct cancel cancel = { true };

	take_all(false);
	ck_assert_int_eq(http_take(h, LANE_DATA, INT64_MAX, &cancel, &held[n]),
			 -ECANCELED);
	ck_assert_int_eq(http_take(h, LANE_DATA, clock_ns(), NULL, &held[n]),
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
	tcase_add_test(t, A12_the_refusals_of_one_round_trip_count_once);
	tcase_add_test(t,
		       good_answers_do_not_raise_a_limit_that_held_nobody_back);
	tcase_add_test(t, each_that_waits_is_woken_once_there_is_room);
	tcase_add_test(t, A12_retries_are_paid_for_and_successes_give_back);
	tcase_add_test(t, a_wait_for_a_connection_ends_when_it_is_cancelled);
	return RUN_CASES(t);
}
