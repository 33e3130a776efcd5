/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_tier_late.c - reads through workers that are slow, or whose store is
 */
#include "tests/unit/tier_reads.h"

static void setup_slow(void)
{
	start(
	    &(struct tier_conf){ .max_age = 60 * NSEC_PER_SEC,
				 .hedge = 20 * NSEC_PER_SEC,
				 .peers.times = { .connect = 10 * NSEC_PER_SEC,
						  .silent = 300 * MS,
						  .slow = 300 * MS,
						  .slow_fill = 600 * MS } });
}

START_TEST(a_body_that_stops_is_gone_on_with_elsewhere)
{
	atomic_store(&owner->framed, _i != 0);
	rig_fault(owner, STALL, 3 * WIRE_PAGE + 100);
	read_all();
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 1);
	ck_assert_int_eq(rig_number(&rig, owner, "hit_bytes"), 3 * WIRE_PAGE);
	ck_assert_uint_eq(rig.store_gets, 0);
	rig_fault(owner, SILENT, 0);
	read_all();
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 1);
	ck_assert_int_eq(rig_grown(STAT_peer_hedges), 0);
	ck_assert_uint_eq(replica->gets, 2);
}
END_TEST

/*
 * D2: one that sends a page just within the limit for each page. 20 pages here,
 * 128 in a part of a stream: 128 times `slow` is 128 s by default, and the
 * readers of the part's end have had ETIMEDOUT at 61 s by then.
 */
START_TEST(a_worker_that_trickles_is_not_waited_for)
{
	int64_t begun = clock_ns();

	atomic_store(&owner->framed, _i != 0);
	rig_fault(owner, TRICKLE, 200); /* slow: 300 ms */
	read_all();
	ck_assert_msg(clock_ns() - begun < (_i == 0 ? 1500 : 2500) * MS,
		      "it took %jd ms", (intmax_t)((clock_ns() - begun) / MS));
	/* What had come is kept. */
	ck_assert_int_ge(rig_number(&rig, owner, "hit_bytes"), WIRE_PAGE);
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 1);
	ck_assert_uint_eq(rig.store_gets, 0);
}
END_TEST

/*
 * R4, T6: the store is gone. Workers whose fills wait for it are not ill: what
 * they hold of another object is still to be had of them.
 */
START_TEST(a_store_that_is_gone_takes_no_worker_down)
{
	atomic_store(&rig.store_err, -ETIMEDOUT);
	for (size_t i = 0; i < RIG_WORKERS; i++) {
		/* _i 0: headers, then nothing; 1: cut off; 2: 502 */
		atomic_store(&rig.worker[i]->framed, _i != 2);
		rig_fault(rig.worker[i],
			  _i == 0   ? STALL
			  : _i == 1 ? CUT
				    : STATUS,
			  _i == 2 ? 502 : 0);
	}
	for (int i = 0; i < 3; i++) {
		struct got g = { 0 };

		ck_assert_int_eq(get(&g, 0, rig.size, false, NULL), -ETIMEDOUT);
		free(g.bytes);
	}
	/* Of this one they have all. */
	for (size_t i = 0; i < RIG_WORKERS; i++) {
		atomic_store(&rig.worker[i]->framed, false);
		rig_fault(rig.worker[i], NONE, 0);
	}
	read_all();
}
END_TEST

/*
 * But if it is gone for one worker alone, that one is ill: each read would wait
 * for it. A head is not enough for it to be well again.
 */
START_TEST(a_worker_that_is_cut_off_from_the_store_is_left_out)
{
	rig_fault(owner, STALL, 0);
	atomic_store(&owner->framed, true);
	for (size_t i = 0; i < RIG_WORKERS; i++)
		if (rig.worker[i] != owner)
			rig_fault(rig.worker[i], STATUS, 502);
	for (int i = 0; i < 3; i++) {
		ck_assert(rig_is(&rig, owner, "up"));
		read_all();
	}
	ck_assert(rig_is(&rig, owner, "down"));
	read_until_probed(owner, 3);
	ck_assert(rig_is(&rig, owner, "down"));
	rig_fault(owner, NONE, 0);
	read_until_up(owner);
}
END_TEST

static void setup_outage(void)
{
	start(&(struct tier_conf){
	    .max_age = 60 * NSEC_PER_SEC,
	    .hedge = 50 * MS,
	    .peers.times = { .connect = LONG, .silent = 300 * MS } });
}

/* Before a head, they ask the store what the object is. */
START_TEST(workers_as_silent_as_the_store_stay_up)
{
	atomic_store(&rig.store_err, -ETIMEDOUT);
	for (size_t i = 0; i < RIG_WORKERS; i++)
		rig_fault(rig.worker[i], SILENT, 0);
	for (int i = 0; i < 3; i++) {
		struct got g = { 0 };

		ck_assert_int_eq(get(&g, 0, rig.size, false, NULL), -ETIMEDOUT);
		free(g.bytes);
	}
	for (size_t i = 0; i < RIG_WORKERS; i++) {
		ck_assert(rig_is(&rig, rig.worker[i], "up"));
		rig_fault(rig.worker[i], NONE, 0);
	}
	read_all();
}
END_TEST

static void setup_probe(void)
{
	start_hedging(NSEC_PER_SEC);
	rig.size = 2 * WIRE_PAGE + 5;
}

static void take_down_and_wait(void)
{
	rig_fault(owner, SILENT, 0);
	for (int i = 0; i < 4; i++)
		read_all();
	ck_assert(rig_is(&rig, owner, "down"));
	ck_assert_uint_eq(owner->server.requests, 3);
	usleep(5200000);
}

static void read_at_once(void)
{
	int64_t begun = clock_ns();

	read_all();
	ck_assert_msg(clock_ns() - begun < 400 * MS, "it took %jd ms",
		      (intmax_t)((clock_ns() - begun) / MS));
}

/* A worker that hangs costs no reader half a second every five seconds. */
START_TEST(a_probe_costs_its_reader_nothing)
{
	take_down_and_wait();
	for (int i = 0; i < 8; i++) {
		read_at_once();
		usleep(200000);
	}
	/* It was late then, as others, and is the only one for a while. */
	ck_assert(rig_is(&rig, owner, "down"));
	ck_assert_uint_eq(owner->server.requests, 4);
	ck_assert_uint_eq(rig.store_gets, 0);
}
END_TEST

/* One that takes longer than its reader waits is not down for ever. */
START_TEST(a_probe_that_is_overtaken_finds_a_worker_that_is_well)
{
	take_down_and_wait();
	rig_fault(owner, GATE, 0);
	read_at_once();
	ck_assert(rig_is(&rig, owner, "down"));
	usleep(100000);
	atomic_store(&owner->gate, true);
	while (!rig_is(&rig, owner, "up"))
		usleep(10000);
	ck_assert_uint_eq(owner->server.requests, 4);
	read_at_once();
	ck_assert_uint_eq(owner->gets, 2);
}
END_TEST

START_TEST(a_tier_is_closed_while_a_probe_is_under_way)
{
	take_down_and_wait();
	read_at_once();
}
END_TEST

int main(void)
{
	TCase *slow, *probing, *outage;

	slow = with("slow", setup_slow);
	tcase_add_loop_test(slow, a_body_that_stops_is_gone_on_with_elsewhere,
			    0, 2);
	tcase_add_loop_test(slow, a_worker_that_trickles_is_not_waited_for, 0,
			    2);
	tcase_add_loop_test(slow, a_store_that_is_gone_takes_no_worker_down, 0,
			    3);
	tcase_add_test(slow,
		       a_worker_that_is_cut_off_from_the_store_is_left_out);
	probing = with("probing", setup_probe);
	tcase_add_test(probing, a_probe_costs_its_reader_nothing);
	tcase_add_test(probing,
		       a_probe_that_is_overtaken_finds_a_worker_that_is_well);
	tcase_add_test(probing, a_tier_is_closed_while_a_probe_is_under_way);
	outage = with("outage", setup_outage);
	tcase_add_test(outage, workers_as_silent_as_the_store_stay_up);
	return RUN_CASES(slow, probing, outage);
}
