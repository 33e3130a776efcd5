/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_heat.c - when a segment is spread over replicas, and when no more
 */
#include "ring/heat.h"

#include <stdio.h>

#include "tests/unit/run.h"

#define S NSEC_PER_SEC
#define THREADS 4
#define GIB(n) ((uint64_t)(n) << 30)

static struct heat *heat;
static int64_t now, cpu;

static uint64_t copy; /* what one costs */

static void setup(void)
{
	now = 1000 * S;
	cpu = 0;
	copy = 0;
	ck_assert_int_eq(heat_new(THREADS, now, &heat), 0);
}

static void teardown(void)
{
	heat_free(heat);
}

static struct heat_segment segment(uint64_t n)
{
	static char key[32];

	snprintf(key, sizeof(key), "dir/key-%ju", (uintmax_t)n);
	return (struct heat_segment){ .hash =
					  n * HEAT_SETS, /* all in one set */
				      .bucket = "bucket",
				      .key = str_of(key),
				      .segment = n + 1,
				      .size = copy };
}

static void sent(uint64_t n, uint64_t bytes)
{
	struct heat_segment s = segment(n);

	heat_begin(heat);
	heat_end(heat, &s, bytes);
}

enum how {
	IDLE,
	BY_CPU,  /* the threads use 80 % of their time */
	BY_QUEUE /* twice as many answers as threads are under way */
};

/* A window in which segment 1 and others sent so much. */
static void window_of(uint64_t hot_bytes, uint64_t others, enum how how)
{
	unsigned queue = how == BY_QUEUE ? THREADS * HEAT_QUEUE : 1;

	sent(1, hot_bytes);
	heat_other(heat, others);
	for (unsigned i = 0; i < queue; i++)
		heat_begin(heat);
	for (int i = 0; i < 2; i++) {
		now += S / 2;
		cpu += S / 2 * THREADS * (how == BY_CPU ? 80 : 10) / 100;
		heat_tick(heat, now, cpu);
	}
	for (unsigned i = 0; i < queue; i++)
		heat_end(heat, NULL, 0);
}

static unsigned spread(void)
{
	return heat_spread(heat, segment(1).hash);
}

/* Windows until it is spread over n; the bytes halve with each doubling. */
static unsigned windows_until(unsigned n, uint64_t demand, uint64_t others,
			      enum how how)
{
	unsigned w = 0;

	while (spread() != n && w < 100) {
		window_of(demand / spread(), others, how);
		w++;
	}
	ck_assert_uint_eq(spread(), n);
	return w;
}

START_TEST(what_is_read_of_an_idle_worker_is_not_spread)
{
	for (int i = 0; i < 100; i++)
		window_of(GIB(5), 0, IDLE);
	ck_assert_uint_eq(spread(), 1);
}
END_TEST

static const enum how hows[] = { BY_CPU, BY_QUEUE };

START_TEST(most_of_a_busy_worker_is_spread_after_two_windows)
{
	window_of(MIB(100), MIB(50), hows[_i]);
	ck_assert_uint_eq(spread(), 1);
	window_of(MIB(100), MIB(50), hows[_i]);
	ck_assert_uint_eq(spread(), 2);
	ck_assert_uint_eq(heat_spread(heat, segment(2).hash), 1);
}
END_TEST

/* Four mounts that read a cold gigabyte once each are worth no second read. */
START_TEST(a_copy_must_be_worth_its_price)
{
	copy = GIB(1);
	for (int i = 0; i < 4 * 8; i++)
		window_of(MIB(128), 0, hows[_i]);
	ck_assert_uint_eq(spread(), 1);
	for (int i = 0; i < 4 * 8; i++)
		window_of(MIB(128), 0, hows[_i]);
	ck_assert_uint_eq(spread(), 2);
	/* And so must be the next ones. */
	for (int i = 0; i < 7 * 8; i++)
		window_of(MIB(128), 0, hows[_i]);
	ck_assert_uint_eq(spread(), 2);
	for (int i = 0; i < 8; i++)
		window_of(MIB(128), 0, hows[_i]);
	ck_assert_uint_eq(spread(), 4);
}
END_TEST

START_TEST(one_busy_window_is_none)
{
	for (int i = 0; i < 50; i++)
		window_of(MIB(100), 0, i % 2 == 0 ? BY_CPU : IDLE);
	ck_assert_uint_eq(spread(), 1);
}
END_TEST

START_TEST(a_small_part_of_a_busy_worker_is_not_spread)
{
	for (int i = 0; i < 50; i++)
		window_of(MIB(20), MIB(80), hows[_i]);
	ck_assert_uint_eq(spread(), 1);
}
END_TEST

/* A worker that is busy with listings, say, sends a few bytes of it. */
START_TEST(what_has_left_the_table_leaves_its_place)
{
	static struct server_hot top[HEAT_WAYS];

	for (int i = 0; i < 10; i++)
		window_of(100, 0, BY_CPU);
	ck_assert_uint_eq(spread(), 1);
	for (uint64_t n = 2; n < 2 + HEAT_WAYS; n++)
		sent(n, MIB(1));
	window_of(0, 0, IDLE);
	ck_assert_uint_eq(heat_list(heat, top, HEAT_WAYS), HEAT_WAYS);
}
END_TEST

START_TEST(two_that_share_a_worker_are_both_spread)
{
	for (int i = 0; i < 2; i++) {
		sent(2, MIB(40));
		window_of(MIB(40), MIB(20), BY_CPU);
	}
	ck_assert_uint_eq(spread(), 2);
	ck_assert_uint_eq(heat_spread(heat, segment(2).hash), 2);
}
END_TEST

/* Many answers at once to those who take them slowly. */
START_TEST(slow_clients_do_not_make_a_worker_busy)
{
	window_of(GIB(2), 0, IDLE);
	for (int i = 0; i < 50; i++)
		window_of(MIB(900), 0, BY_QUEUE);
	ck_assert_uint_eq(spread(), 1);
	/* A network that has become slower is learnt in time. */
	for (int i = 0; i < 4000; i++)
		window_of(MIB(900), 0, BY_QUEUE);
	ck_assert_uint_gt(spread(), 1);
}
END_TEST

START_TEST(it_is_doubled_while_that_is_not_enough_and_no_further_than_eight)
{
	unsigned first = windows_until(2, GIB(1), 0, BY_CPU);

	ck_assert_uint_eq(first, 2);
	ck_assert_uint_eq(windows_until(4, GIB(8), 0, BY_CPU), 3);
	ck_assert_uint_eq(windows_until(8, GIB(8), 0, BY_CPU), 3);
	for (int i = 0; i < 20; i++)
		window_of(GIB(1), 0, BY_CPU);
	ck_assert_uint_eq(spread(), 8);
}
END_TEST

START_TEST(it_cools_down_when_nobody_reads_it)
{
	windows_until(8, GIB(8), 0, BY_CPU);
	ck_assert_uint_ge(windows_until(4, 0, MIB(10), IDLE), 10);
	ck_assert_uint_ge(windows_until(2, 0, MIB(10), IDLE), 10);
	ck_assert_uint_ge(windows_until(1, 0, MIB(10), IDLE), 10);
	window_of(GIB(1), 0, IDLE);
	ck_assert_uint_eq(spread(), 1);
}
END_TEST

/* What fits when it is spread, and would not if it were not, stays so. */
START_TEST(it_does_not_swing)
{
	windows_until(2, GIB(1), 0, BY_CPU);
	for (int i = 0; i < 1000; i++) {
		window_of(GIB(1) / 2, 0, IDLE);
		ck_assert_uint_eq(spread(), 2);
	}
	/* Less than a half of what was too much fits here again. */
	for (int i = 0; i < 30; i++)
		window_of(GIB(1) / 5, 0, IDLE);
	ck_assert_uint_eq(spread(), 1);
	for (int i = 0; i < 100; i++)
		window_of(GIB(1) / 5 * 2, 0, IDLE);
	ck_assert_uint_eq(spread(), 1);
}
END_TEST

/* What others read, however many, does not take its place. */
START_TEST(a_hot_segment_has_its_place_among_thousands)
{
	struct server_hot top[3];
	uint64_t cold = 100;

	for (int w = 0; w < 3; w++) {
		for (int i = 0; i < 1000; i++) {
			sent(cold++, KIB(64));
			sent(1, KIB(64));
		}
		window_of(0, 0, BY_CPU);
	}
	ck_assert_uint_eq(spread(), 2);
	for (int i = 0; i < 10000; i++)
		sent(cold++, MIB(1));
	ck_assert_uint_eq(spread(), 2);
	ck_assert_uint_ge(heat_list(heat, top, 3), 1);
	ck_assert_str_eq(top[0].bucket, "bucket");
	ck_assert_str_eq(top[0].key, "dir/key-1");
	ck_assert_uint_eq(top[0].segment, 2);
	ck_assert_uint_eq(top[0].spread, 2);
	ck_assert_uint_gt(top[0].rate, MIB(30));
}
END_TEST

START_TEST(the_hottest_are_told_first)
{
	struct server_hot top[HEAT_WAYS];

	ck_assert_uint_eq(heat_list(heat, top, 3), 0);
	sent(3, MIB(3));
	sent(2, MIB(20));
	sent(4, MIB(1));
	window_of(MIB(100), 0, IDLE);
	ck_assert_uint_eq(heat_list(heat, top, 0), 0);
	ck_assert_uint_eq(heat_list(heat, top, 1), 1);
	ck_assert_uint_eq(top[0].segment, 2);
	ck_assert_uint_eq(heat_list(heat, top, HEAT_WAYS), 4);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_gt(top[i].rate, top[i + 1].rate);
	ck_assert_uint_eq(top[0].segment, 2);
	ck_assert_uint_eq(top[1].segment, 3);
	ck_assert_uint_eq(top[2].segment, 4);
	ck_assert_uint_eq(top[3].segment, 5);
	ck_assert_uint_eq(top[1].spread, 1);
	/* What is not read any more is not told. */
	for (int i = 0; i < 300; i++)
		window_of(0, 0, IDLE);
	ck_assert_uint_eq(heat_list(heat, top, HEAT_WAYS), 0);
}
END_TEST

/* A long key, and one that was there before a shorter one. */
START_TEST(keys_are_told_whole)
{
	struct server_hot top;
	struct heat_segment s = { .hash = 5, .bucket = "b" };
	char key[UFS_KEY_MAX];

	memset(key, 'k', sizeof(key));
	s.key = (struct str){ key, sizeof(key) };
	heat_begin(heat);
	heat_end(heat, &s, MIB(1));
	window_of(0, 0, IDLE);
	ck_assert_uint_eq(heat_list(heat, &top, 1), 1);
	ck_assert_uint_eq(strlen(top.key), UFS_KEY_MAX);
	for (int i = 0; i < 100; i++)
		window_of(0, 0, IDLE);
	s.key.n = 3;
	heat_begin(heat);
	heat_end(heat, &s, MIB(1));
	window_of(0, 0, IDLE);
	ck_assert_uint_eq(heat_list(heat, &top, 1), 1);
	ck_assert_str_eq(top.key, "kkk");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("heat");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_is_read_of_an_idle_worker_is_not_spread);
	tcase_add_loop_test(
	    t, most_of_a_busy_worker_is_spread_after_two_windows, 0, 2);
	tcase_add_loop_test(t, a_copy_must_be_worth_its_price, 0, 2);
	tcase_add_test(t, one_busy_window_is_none);
	tcase_add_loop_test(t, a_small_part_of_a_busy_worker_is_not_spread, 0,
			    2);
	tcase_add_test(t, what_has_left_the_table_leaves_its_place);
	tcase_add_test(t, two_that_share_a_worker_are_both_spread);
	tcase_add_test(t, slow_clients_do_not_make_a_worker_busy);
	tcase_add_test(
	    t,
	    it_is_doubled_while_that_is_not_enough_and_no_further_than_eight);
	tcase_add_test(t, it_cools_down_when_nobody_reads_it);
	tcase_add_test(t, it_does_not_swing);
	tcase_add_test(t, a_hot_segment_has_its_place_among_thousands);
	tcase_add_test(t, the_hottest_are_told_first);
	tcase_add_test(t, keys_are_told_whole);
	return RUN_CASES(t);
}
