/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_breaker.c - when a worker is asked, and when the store is
 */
#include "ring/breaker.h"

#include "base/clock.h"
#include "ring/bucket.h"
#include "tests/unit/run.h"

#define S NSEC_PER_SEC

static struct breaker b;

static void setup(void)
{
	memset(&b, 0, sizeof(b));
}

/* Down at 0. */
static void go_down(void)
{
	for (int i = 0; i < BREAKER_FAILURES; i++)
		breaker_bad(&b, false, 0);
	ck_assert_int_eq(b.state, BREAKER_DOWN);
}

START_TEST(it_goes_down_at_the_third_failure_in_a_row)
{
	ck_assert(!breaker_bad(&b, false, 0));
	ck_assert(!breaker_bad(&b, false, 0));
	ck_assert(!breaker_good(&b, false));
	ck_assert(!breaker_bad(&b, false, 0));
	ck_assert(!breaker_bad(&b, false, 0));
	ck_assert_int_eq(breaker_ask(&b, 0), BREAKER_YES);
	ck_assert(breaker_bad(&b, false, 0));
	ck_assert_str_eq(breaker_state_name(b.state), "down");
	ck_assert_int_eq(breaker_ask(&b, 0), BREAKER_NO);
}
END_TEST

START_TEST(one_probe_goes_after_five_seconds)
{
	go_down();
	ck_assert_int_eq(breaker_ask(&b, 5 * S - 1), BREAKER_NO);
	ck_assert_int_eq(breaker_ask(&b, 5 * S), BREAKER_PROBE);
	ck_assert_int_eq(breaker_ask(&b, 5 * S), BREAKER_NO);
	ck_assert_int_eq(breaker_ask(&b, 500 * S), BREAKER_NO);
}
END_TEST

START_TEST(a_good_probe_brings_it_up)
{
	go_down();
	breaker_ask(&b, 5 * S);
	ck_assert(breaker_good(&b, true));
	ck_assert_str_eq(breaker_state_name(b.state), "up");
	ck_assert_int_eq(breaker_ask(&b, 5 * S), BREAKER_YES);
	ck_assert_int_eq(breaker_ask(&b, 5 * S), BREAKER_YES);
}
END_TEST

START_TEST(a_failed_probe_keeps_it_down_as_long_again)
{
	go_down();
	breaker_ask(&b, 7 * S);
	ck_assert(breaker_bad(&b, true, 8 * S));
	ck_assert_int_eq(breaker_ask(&b, 13 * S - 1), BREAKER_NO);
	ck_assert_int_eq(breaker_ask(&b, 13 * S), BREAKER_PROBE);
}
END_TEST

START_TEST(a_probe_that_was_given_up_leaves_room_for_another)
{
	go_down();
	breaker_ask(&b, 5 * S);
	breaker_nothing(&b, true);
	ck_assert_int_eq(breaker_ask(&b, 5 * S), BREAKER_PROBE);
}
END_TEST

START_TEST(late_failures_do_not_keep_it_down_and_a_late_answer_brings_it_up)
{
	go_down();
	ck_assert(!breaker_bad(&b, false, 4 * S));
	ck_assert_int_eq(breaker_ask(&b, 5 * S), BREAKER_PROBE);
	ck_assert(breaker_good(&b, false));
	ck_assert_int_eq(breaker_ask(&b, 5 * S), BREAKER_YES);
}
END_TEST

START_TEST(a_wrong_answer_is_sixty_seconds_at_once)
{
	ck_assert(breaker_wrong(&b, false, 0));
	ck_assert(!breaker_wrong(&b, false, 0)); /* said once */
	ck_assert_str_eq(breaker_state_name(b.state), "quarantined");
	ck_assert(!breaker_good(&b, false));
	ck_assert(!breaker_bad(&b, false, 0));
	ck_assert_int_eq(breaker_ask(&b, 60 * S - 1), BREAKER_NO);
	ck_assert_int_eq(breaker_ask(&b, 60 * S), BREAKER_PROBE);
	ck_assert(breaker_bad(&b, true, 60 * S));
	ck_assert_int_eq(breaker_ask(&b, 120 * S - 1), BREAKER_NO);
	ck_assert_int_eq(breaker_ask(&b, 120 * S), BREAKER_PROBE);
	ck_assert(breaker_wrong(&b, true, 120 * S));
	ck_assert_int_eq(breaker_ask(&b, 180 * S), BREAKER_PROBE);
	ck_assert(breaker_good(&b, true));
	ck_assert_int_eq(breaker_ask(&b, 180 * S), BREAKER_YES);
}
END_TEST

START_TEST(a_full_bucket_lets_a_burst_through_and_then_one_by_one)
{
	struct bucket k = { 0 };
	int64_t now = 1000 * S, turn = 0;

	for (int i = 0; i <= BUCKET_BURST; i++)
		ck_assert_int_eq(bucket_take(&k, now), now);
	for (int i = 1; i <= BUCKET_RATE; i++)
		turn = bucket_take(&k, now);
	ck_assert_int_eq(turn, now + S);
}
END_TEST

/* 1000 that ask as soon as they were served: the rate comes up to them. */
START_TEST(the_rate_grows_while_somebody_waits_and_falls_back_when_calm)
{
	struct bucket k = { 0 };
	int64_t now = 1000 * S;
	uint64_t grown;

	for (int s = 0; s < 20; s++, now += S)
		for (int i = 0; i < 1000; i++)
			bucket_take(&k, now);
	grown = k.rate;
	ck_assert_uint_gt(grown, 5 * BUCKET_RATE);
	ck_assert_uint_le(grown, BUCKET_MOST);
	now = MAX(now, k.next) + 31 * S;
	ck_assert_int_eq(bucket_take(&k, now), now);
	ck_assert_uint_eq(k.rate, BUCKET_RATE);
}
END_TEST

int main(void)
{
	TCase *breaker = tcase_create("breaker"), *bucket;

	tcase_add_checked_fixture(breaker, setup, NULL);
	tcase_add_test(breaker, it_goes_down_at_the_third_failure_in_a_row);
	tcase_add_test(breaker, one_probe_goes_after_five_seconds);
	tcase_add_test(breaker, a_good_probe_brings_it_up);
	tcase_add_test(breaker, a_failed_probe_keeps_it_down_as_long_again);
	tcase_add_test(breaker,
		       a_probe_that_was_given_up_leaves_room_for_another);
	tcase_add_test(
	    breaker,
	    late_failures_do_not_keep_it_down_and_a_late_answer_brings_it_up);
	tcase_add_test(breaker, a_wrong_answer_is_sixty_seconds_at_once);
	bucket = tcase_create("bucket");
	tcase_add_test(bucket,
		       a_full_bucket_lets_a_burst_through_and_then_one_by_one);
	tcase_add_test(
	    bucket,
	    the_rate_grows_while_somebody_waits_and_falls_back_when_calm);
	return RUN_CASES(breaker, bucket);
}
