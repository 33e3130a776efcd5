/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_tier.c - reads through workers that fail in every way
 *
 * In each test a read gives exactly the object's bytes, whatever the workers
 * do; counters tell that the fault was there and who answered.
 */
#include "tests/unit/tier_reads.h"

static void setup(void)
{
	start_hedging(LONG);
}

/* A silent one is late soon. */
static void setup_hasty(void)
{
	start_hedging(300 * MS);
}

static void setup_second(void)
{
	start_hedging(NSEC_PER_SEC);
}

START_TEST(the_owner_answers_and_the_store_is_not_asked)
{
	read_all();
	atomic_store(&owner->framed, true);
	read_all();
	read_right(2 * WIRE_PAGE, 3 * WIRE_PAGE, false);
	read_right((RIG_PAGES - 1) * WIRE_PAGE, WIRE_PAGE, false);
	ck_assert_uint_eq(read_right(0, rig.size, true).agains, 0);
	ck_assert_uint_eq(owner->gets, 5);
	ck_assert_uint_eq(replica->gets + third->gets + rig.store_gets, 0);
	ck_assert_int_eq(rig_grown(STAT_peer_get), 5);
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 0);
	ck_assert_int_eq(rig_number(&rig, owner, "hit_bytes"),
			 3 * RIG_SIZE + 3 * WIRE_PAGE + 1234);
	ck_assert_int_eq(rig_number(&rig, owner, "weight"), 100);
	ck_assert(strstr(owner->last, "GET /" RIG_BUCKET "/" RIG_KEY " ") ==
		  owner->last);
	ck_assert_ptr_null(strcasestr(owner->last, "authorization"));
}
END_TEST

/* What is not pages of a strong version is the store's. */
START_TEST(what_workers_cannot_answer_the_store_is_asked)
{
	struct got g = { 0 };
	struct ufs_sink sink = {
		.arg = &g, .head = on_head, .data = on_data, .again = NULL
	};

	g.bytes = malloc(WIRE_PAGE);
	g.room = WIRE_PAGE;
	ck_assert_int_eq(rig.tier->ops->get(rig.tier, str_of(RIG_KEY), NULL, 0,
					    1, &sink, NULL),
			 0);
	ck_assert_uint_eq(g.n, 1);
	free(g.bytes);
	read_right(5, WIRE_PAGE - 5, false);
	ck_assert_uint_eq(rig.store_gets, 2);
	ck_assert_uint_eq(owner->gets, 0);
	/* A range that ends in a page's middle has no checksum there. */
	read_right(0, 10, false);
	ck_assert_uint_eq(rig.store_gets, 1 + 2);
	ck_assert(rig_is(&rig, owner, "up"));
}
END_TEST

static const struct row {
	enum fault fault;
	size_t n;
	bool framed;
	const char *state; /* of the worker afterwards */
	unsigned store;    /* GETs */
	int errors, wrong;
} rows[] = {
	{ CUT, 0, false, "up", 0, 1, 0 },
	{ CUT, 3 * WIRE_PAGE + 7, false, "up", 0, 1, 0 },
	{ CUT, 3 * WIRE_PAGE + 7, true, "up", 0, 1, 0 },
	{ END, 3 * WIRE_PAGE + 7, false, "up", 0, 1, 0 },
	{ END, 3 * WIRE_PAGE + 7, true, "up", 0, 1, 0 },
	{ FLIP, 0, false, "quarantined", 0, 1, 1 },
	{ FLIP, RIG_SIZE, false, "quarantined", 0, 1, 1 },
	{ FLIP, 0, true, "quarantined", 0, 1, 1 },
	{ FLIP, 5 * WIRE_PAGE, true, "quarantined", 0, 1, 1 },
	{ LENGTH, 1, false, "quarantined", 0, 1, 1 },
	{ LENGTH, 8, true, "quarantined", 0, 1, 1 },
	{ VERSION, 0, false, "quarantined", 0, 1, 1 },
	{ SIZE, 0, false, "up", 0, 0, 0 },
	{ RANGE, 0, false, "quarantined", 0, 1, 1 },
	{ NO_SUMS, 0, false, "quarantined", 0, 1, 1 },
	{ BAD_SUMS, 0, false, "quarantined", 0, 1, 1 },
	{ TWICE, 0, false, "quarantined", 0, 1, 1 },
	{ GARBAGE, 0, false, "quarantined", 0, 1, 1 },
	{ PROTOCOL, 0, false, "quarantined", 0, 1, 0 },
	{ MUTE, 0, false, "quarantined", 0, 1, 0 },
	{ STATUS, 503, false, "up", 0, 1, 0 },
	{ STATUS, 500, false, "up", 0, 1, 0 },
	{ STATUS, 429, false, "up", 0, 1, 0 },
	{ STATUS, 421, false, "up", 0, 0, 0 },
	{ STATUS, 508, false, "up", 0, 0, 0 },
	{ STATUS, 401, false, "up", 0, 1, 0 },
	{ STATUS, 403, false, "up", 0, 0, 0 },
	{ STATUS, 502, false, "up", 0, 0, 0 },
	{ STATUS, 302, false, "up", 0, 0, 0 },
	{ STATUS, 418, false, "up", 0, 0, 0 },
	{ STATUS, 404, false, "up", 1, 0, 0 },
	{ STATUS, 412, false, "up", 1, 0, 0 },
	{ STATUS, 416, false, "up", 1, 0, 0 },
	{ STRANGER, 404, false, "quarantined", 0, 1, 0 },
	{ STRANGER, 416, false, "quarantined", 0, 1, 0 },
	{ STRANGER, 400, false, "up", 0, 0, 0 },
};

START_TEST(a_worker_that_fails_is_made_up_for_by_the_next)
{
	const struct row *row = &rows[_i];

	rig_fault(owner, row->fault, row->n);
	atomic_store(&owner->framed, row->framed);
	read_all();
	ck_assert_uint_eq(owner->server.requests, 1);
	ck_assert_uint_eq(rig.store_gets, row->store);
	ck_assert_uint_eq(replica->gets, 1 - row->store);
	ck_assert_int_eq(rig_grown(STAT_peer_errors), row->errors);
	ck_assert_int_eq(rig_grown(STAT_peer_wrong), row->wrong);
	ck_assert_int_eq(rig_number(&rig, owner, "errors"), row->errors);
	ck_assert(rig_is(&rig, owner, row->state));
	/* A whole object begins anew with each source. */
	read_right(0, rig.size, true);
	/* Who is in quarantine is not asked. */
	ck_assert_uint_eq(owner->server.requests,
			  strcmp(row->state, "up") == 0 ? 2 : 1);
}
END_TEST

START_TEST(when_all_workers_fail_the_store_answers)
{
	const struct row *row = &rows[_i];

	for (size_t i = 0; i < RIG_WORKERS; i++) {
		rig_fault(rig.worker[i], row->fault, row->n);
		atomic_store(&rig.worker[i]->framed, row->framed);
	}
	read_all();
	read_right(0, rig.size, true);
	ck_assert_uint_eq(rig.store_gets, 2);
	ck_assert_int_eq(rig_grown(STAT_peer_fallbacks), 2);
	ck_assert_uint_ge(owner->server.requests, 1);
}
END_TEST

/* The owner breaks off at n, the replica a bit later, the third much later. */
START_TEST(bytes_are_exact_wherever_a_worker_breaks_off)
{
	static const size_t at[] = {
		0,
		1,
		WIRE_WORD,
		WIRE_PAGE - 1,
		WIRE_PAGE,
		WIRE_PAGE + 1,
		WIRE_PAGE + WIRE_WORD,
		2 * WIRE_PAGE,
		7 * WIRE_PAGE + 4096,
		(RIG_PAGES - 1) * WIRE_PAGE - 1,
		(RIG_PAGES - 1) * WIRE_PAGE,
		(RIG_PAGES - 1) * WIRE_PAGE + 1,
		RIG_SIZE - 1,
	};

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct got g;

		rig_stop(&rig);
		setup();
		for (size_t w = 0; w < RIG_WORKERS; w++)
			atomic_store(&rig.worker[w]->framed, (_i & 1) != 0);
		rig_fault(owner, (_i & 2) != 0 ? CUT : END, at[i]);
		rig_fault(replica, CUT, WIRE_PAGE);
		g = read_right(0, rig.size, (_i & 4) != 0);
		ck_assert_uint_eq(owner->gets, 1);
		ck_assert_uint_eq(replica->gets, 1);
		ck_assert_uint_eq(third->gets, 1);
		ck_assert_uint_eq(rig.store_gets, 0);
		ck_assert_int_eq(rig_grown(STAT_peer_errors), 2);
		if ((_i & 4) == 0)
			ck_assert_uint_eq(g.agains, 0);
		/* And the store goes on where the last one stopped. */
		rig_fault(third, CUT, WIRE_PAGE + 5);
		g = read_right(0, rig.size, (_i & 4) != 0);
		ck_assert_uint_eq(rig.store_gets, 1);
	}
}
END_TEST

START_TEST(three_refused_connections_are_the_last_for_a_while)
{
	rig_kill(owner);
	for (int i = 0; i < 5; i++)
		read_all();
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 3);
	ck_assert(rig_is(&rig, owner, "down"));
	ck_assert_uint_eq(replica->gets, 5);
	ck_assert_uint_eq(rig.store_gets, 0);
}
END_TEST

START_TEST(a_probe_finds_a_worker_that_has_come_back)
{
	/* Not CUT: of an overtaken probe the head is looked at. */
	rig_fault(owner, STATUS, 503);
	for (int i = 0; i < 4; i++)
		read_all();
	ck_assert_uint_eq(owner->server.requests, 3);
	ck_assert(rig_is(&rig, owner, "down"));
	/* The first probe fails as well. */
	read_until_probed(owner, 3);
	ck_assert(rig_is(&rig, owner, "down"));
	rig_fault(owner, NONE, 0);
	read_until_up(owner);
	ck_assert_uint_eq(owner->server.requests, 5);
	ck_assert_uint_eq(rig.store_gets, 0);
}
END_TEST

/* A listener whose queue is full: SYNs are dropped. */
START_TEST(a_black_hole_is_left_after_the_connect_timeout)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port =
				     htons((uint16_t)owner->server.port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int hole = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), full[4];
	int one = 1;

	rig_kill(owner);
	setsockopt(hole, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ck_assert_int_eq(bind(hole, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(hole, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(full); i++) {
		full[i] = socket(AF_INET,
				 SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(full[i], (struct sockaddr *)&a, sizeof(a));
	}
	for (int i = 0; i < 4; i++)
		read_all();
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 3);
	ck_assert_int_eq(rig_grown(STAT_peer_hedges), 0);
	ck_assert(rig_is(&rig, owner, "down"));
	ck_assert_uint_eq(replica->gets, 4);
	for (size_t i = 0; i < ARRAY_SIZE(full); i++)
		close(full[i]);
	close(hole);
}
END_TEST

START_TEST(a_silent_owner_is_hedged_and_then_left_out)
{
	rig_fault(owner, SILENT, 0);
	for (int i = 0; i < 5; i++)
		read_all();
	ck_assert_uint_eq(owner->server.requests, 3);
	ck_assert_int_eq(rig_grown(STAT_peer_hedges), 3);
	ck_assert_int_eq(rig_grown(STAT_peer_hedge_wins), 3);
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 3);
	ck_assert(rig_is(&rig, owner, "down"));
	ck_assert_uint_eq(replica->gets, 5);
	ck_assert_uint_eq(rig.store_gets, 0);
}
END_TEST

START_TEST(when_all_are_silent_the_store_is_asked_aside)
{
	for (size_t i = 0; i < RIG_WORKERS; i++)
		rig_fault(rig.worker[i], SILENT, 0);
	read_all();
	ck_assert_uint_eq(rig.store_gets, 1);
	ck_assert_int_eq(rig_grown(STAT_peer_hedges), 3);
	ck_assert_int_eq(rig_grown(STAT_peer_hedge_wins), 1);
	read_right(0, rig.size, true);
	ck_assert_uint_eq(rig.store_gets, 2);
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 6);
}
END_TEST

static void *on_thread(pthread_t *thread, void *(*run)(void *))
{
	ck_assert_int_eq(pthread_create(thread, NULL, run, NULL), 0);
	return thread;
}

/* The store fails first, the owner answers after that. */
static void *store_then_owner(void *arg)
{
	while (atomic_load(&rig.store_gets) == 0)
		usleep(1000);
	atomic_store(&rig.store_hold, false);
	rig_wait(&rig.store_failed);
	atomic_store(&owner->gate, true);
	return arg;
}

/* R4: what a worker has can be read when the store is gone. */
START_TEST(a_late_owner_still_answers_when_the_store_fails)
{
	static const int errors[] = { -ETIMEDOUT, -EHOSTUNREACH, -EACCES };
	pthread_t thread;

	rig_fault(owner, GATE, 0);
	rig_fault(replica, SILENT, 0);
	rig_fault(third, SILENT, 0);
	atomic_store(&rig.store_err, errors[_i]);
	atomic_store(&rig.store_hold, true);
	on_thread(&thread, store_then_owner);
	read_all();
	pthread_join(thread, NULL);
	ck_assert_uint_eq(rig.store_gets, 1);
	ck_assert_int_eq(rig_number(&rig, owner, "hit_bytes"), RIG_SIZE);
}
END_TEST

static void *owner_after_store(void *arg)
{
	while (atomic_load(&rig.store_gets) == 0)
		usleep(1000);
	atomic_store(&owner->gate, true);
	return arg;
}

START_TEST(a_store_that_lost_against_a_worker_is_called_off)
{
	pthread_t thread;

	rig_fault(owner, GATE, 0);
	rig_fault(replica, SILENT, 0);
	rig_fault(third, SILENT, 0);
	atomic_store(&rig.store_hold, true);
	on_thread(&thread, owner_after_store);
	read_all();
	pthread_join(thread, NULL);
	rig_wait(&rig.store_was_cancelled);
	ck_assert_uint_eq(rig.store_gets, 1);
}
END_TEST

static void *open_late(void *arg)
{
	while (atomic_load(&owner->gets) == 0)
		usleep(1000);
	usleep(2000000);
	atomic_store(&owner->gate, true);
	return arg;
}

/* Its headers have come, the bytes take twice as long as a hedge. */
START_TEST(an_owner_that_is_filling_is_not_hedged)
{
	pthread_t thread;

	rig_fault(owner, GATE, 0);
	atomic_store(&owner->framed, true);
	on_thread(&thread, open_late);
	read_all();
	pthread_join(thread, NULL);
	ck_assert_int_eq(rig_grown(STAT_peer_hedges), 0);
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 0);
	ck_assert_uint_eq(owner->gets, 1);
	ck_assert_uint_eq(replica->server.requests + rig.store_gets, 0);
}
END_TEST

static void had_before(struct rig_worker *w)
{
	struct ring_member one = { w->name, 100 };

	ck_assert_int_eq(ring_new(&one, 1, &rig.before), 0);
}

START_TEST(the_owner_before_a_change_is_asked_for_what_it_has)
{
	had_before(third);
	read_all();
	ck_assert_uint_eq(third->gets, 1);
	ck_assert_uint_eq(third->cached_only, 1);
	ck_assert_uint_eq(owner->server.requests, 0);
	ck_assert_int_eq(rig_grown(STAT_peer_previous), 1);
}
END_TEST

START_TEST(what_the_owner_before_does_not_have_the_owner_gets)
{
	static const struct {
		enum fault fault;
		size_t n;
		int errors;
	} faults[] = {
		{ MISS, 0, 0 },     { STATUS, 404, 0 },
		{ STATUS, 412, 0 }, { CUT, 5 * WIRE_PAGE, 1 },
		{ FLIP, 0, 1 },
	};

	had_before(third);
	rig_fault(third, faults[_i].fault, faults[_i].n);
	read_all();
	ck_assert_uint_eq(third->cached_only, 1);
	ck_assert_uint_eq(owner->gets, 1);
	ck_assert_uint_eq(owner->cached_only, 0);
	ck_assert_uint_eq(replica->server.requests + rig.store_gets, 0);
	ck_assert_int_eq(rig_grown(STAT_peer_errors), faults[_i].errors);
}
END_TEST

START_TEST(without_workers_the_store_is_asked)
{
	ring_unref(rig.now);
	rig.now = NULL;
	read_all();
	ck_assert_uint_eq(rig.store_gets, 1);
	/* One that was there before may still have it. */
	had_before(third);
	read_all();
	ck_assert_uint_eq(rig.store_gets, 1);
	ck_assert_uint_eq(third->cached_only, 1);
	rig_fault(third, MISS, 0);
	read_all();
	ck_assert_uint_eq(rig.store_gets, 2);
}
END_TEST

static struct cancel cancel;

static void *cancel_it(void *arg)
{
	while (
	    atomic_load(&owner->server.requests) == 0 ||
	    (atomic_load(&rig.store_hold) && atomic_load(&rig.store_gets) == 0))
		usleep(1000);
	cancel_set(&cancel);
	return arg;
}

static void read_cancelled(void)
{
	struct got g = { 0 };
	pthread_t thread;

	atomic_store(&cancel.set, false);
	on_thread(&thread, cancel_it);
	ck_assert_int_eq(get(&g, 0, rig.size, false, &cancel), -ECANCELED);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(g.heads, 0);
	free(g.bytes);
}

START_TEST(a_read_is_cancelled_while_a_worker_is_silent)
{
	rig_fault(owner, SILENT, 0);
	read_cancelled();
	ck_assert_uint_eq(rig.store_gets, 0);
	ck_assert(rig_is(&rig, owner, "up"));
}
END_TEST

START_TEST(a_read_is_cancelled_while_the_store_is_asked_aside)
{
	for (size_t i = 0; i < RIG_WORKERS; i++)
		rig_fault(rig.worker[i], SILENT, 0);
	atomic_store(&rig.store_hold, true);
	read_cancelled();
	rig_wait(&rig.store_was_cancelled);
}
END_TEST

START_TEST(what_the_receiver_refuses_is_not_asked_for_again)
{
	struct got g = { .refuse = -ENOSPC };

	ck_assert_int_eq(get(&g, 0, rig.size, false, NULL), -ENOSPC);
	free(g.bytes);
	ck_assert_uint_eq(g.heads, 1);
	ck_assert_uint_eq(owner->gets, 1);
	ck_assert_uint_eq(replica->server.requests + rig.store_gets, 0);
	ck_assert(rig_is(&rig, owner, "up"));
	ck_assert_int_eq(rig_grown(STAT_peer_errors), 0);
}
END_TEST

START_TEST(a_size_that_the_receiver_knows_otherwise_is_the_workers_fault)
{
	struct got g = { .strict = true };

	rig_fault(owner, SIZE, 0);
	ck_assert_int_eq(get(&g, 0, 4 * WIRE_PAGE, false, NULL), 0);
	check(&g);
	free(g.bytes);
	ck_assert_uint_eq(g.refusals, 1);
	ck_assert(rig_is(&rig, owner, "quarantined"));
	ck_assert_uint_eq(replica->gets, 1);
	ck_assert_uint_eq(rig.store_gets, 0);
}
END_TEST

START_TEST(the_stores_error_is_the_readers)
{
	static const int errors[] = { -ESTALE, -EACCES, -ETIMEDOUT, -EIO };
	struct got g = { 0 };

	rig_fault(owner, STATUS, 412);
	atomic_store(&rig.store_err, errors[_i]);
	ck_assert_int_eq(get(&g, 0, rig.size, false, NULL), errors[_i]);
	ck_assert_uint_eq(g.heads, 0);
	free(g.bytes);
}
END_TEST

START_TEST(hot_objects_are_asked_of_several)
{
	atomic_store(&owner->spread, 2);
	for (int i = 0; i < 40; i++)
		read_right(0, WIRE_PAGE, false);
	ck_assert_uint_ge(owner->gets, 2);
	ck_assert_uint_ge(replica->gets, 2);
	ck_assert_uint_eq(third->gets, 0);
	ck_assert_int_eq(rig_grown(STAT_peer_spread), 39);
	ck_assert_uint_eq(owner->gets + replica->gets, 40);
}
END_TEST

/* A replica knows of its own part only. */
START_TEST(of_two_words_on_how_hot_it_is_the_greater_counts)
{
	struct tier *t = tier_of(rig.tier);
	struct route r = { .t = t, .hash = 77 };
	struct route another = { .t = t, .hash = 77 + TIER_SPREAD_SLOTS };
	const struct spread *s = &t->spread[77];

	route_learn(&r, 4);
	route_learn(&r, 2);
	ck_assert_uint_eq(s->n, 4);
	route_learn(&r, 8);
	ck_assert_uint_eq(s->n, 8);
	t->spread[77].until = clock_ns(); /* ten seconds later */
	route_learn(&r, 2);
	ck_assert_uint_eq(s->n, 2);
	route_learn(&r, 1);
	ck_assert_uint_eq(s->n, 2);
	route_learn(&r, 8);
	route_learn(&another, 2);
	ck_assert_uint_eq(s->hash, another.hash);
	ck_assert_uint_eq(s->n, 2);
}
END_TEST

#define SECRET "planted-canary"

static void setup_signed(void)
{
	start(&(struct tier_conf){ .max_age = 60 * NSEC_PER_SEC,
				   .hedge = 20 * NSEC_PER_SEC,
				   .peers = { .access.secret = SECRET } });
}

START_TEST(requests_are_signed_with_the_clusters_key)
{
	read_all();
	ck_assert_ptr_nonnull(strstr(owner->last,
				     "\r\nAuthorization: AWS4-HMAC-SHA256 "
				     "Credential=" WIRE_ACCESS_KEY "/"));
	ck_assert_ptr_nonnull(
	    strstr(owner->last, "/" WIRE_REGION "/s3/aws4_request"));
	ck_assert_ptr_null(strstr(owner->last, SECRET));
}
END_TEST

START_TEST(a_workers_clock_is_learnt)
{
	rig_fault(owner, CLOCK, 0);
	read_all();
	ck_assert_uint_eq(replica->gets, 1);
	read_all();
	ck_assert_uint_eq(owner->gets, 1);
	ck_assert(rig_is(&rig, owner, "up"));
}
END_TEST

START_TEST(large_reads_are_cut_at_eight_megabytes_and_at_segments)
{
	unsigned gets = 0;

	rig.size = MIB(20) + 5;
	read_right(0, rig.size, false);
	ck_assert_uint_eq(owner->gets, 3);
	rig.size = 3 * RING_SEGMENT;
	read_right(RING_SEGMENT - 2 * WIRE_PAGE, 4 * WIRE_PAGE, false);
	for (size_t i = 0; i < RIG_WORKERS; i++)
		gets += rig.worker[i]->gets;
	ck_assert_uint_eq(gets, 3 + 2);
	ck_assert_uint_eq(rig.store_gets, 0);
}
END_TEST

/* Without a wait it takes as long as the first rate allows, at least. */
START_TEST(a_sick_ring_leaves_the_store_to_all_in_turn)
{
	int64_t begun = clock_ns();

	for (size_t i = 0; i < RIG_WORKERS; i++)
		rig_fault(rig.worker[i], STATUS, 503);
	for (int i = 0; i < 250; i++)
		read_right(0, WIRE_PAGE, false);
	ck_assert_uint_eq(rig.store_gets, 250);
	ck_assert(rig_grown(STAT_store_token_waits) > 0 ||
		  clock_ns() - begun > 1500 * MS);
	for (size_t i = 0; i < RIG_WORKERS; i++)
		ck_assert(rig_is(&rig, rig.worker[i], "down"));
}
END_TEST

static atomic_uint readers;

static void *reader(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 12; i++) {
		uint64_t page = (uint64_t)rand_r(&seed) % RIG_PAGES;

		if (i % 3 == 0)
			read_right(0, rig.size, true);
		else
			read_right(
			    page * WIRE_PAGE,
			    MIN(6 * WIRE_PAGE, rig.size - page * WIRE_PAGE),
			    false);
	}
	atomic_fetch_sub(&readers, 1);
	return NULL;
}

static void change_rings(unsigned n)
{
	struct ring *ring = rig_ring(&rig, 1 + n % RIG_WORKERS), *old;

	pthread_mutex_lock(&rig.lock);
	old = rig.before;
	rig.before = rig.now;
	rig.now = ring;
	pthread_mutex_unlock(&rig.lock);
	ring_unref(old);
}

/* INV1, while workers fail in turn and the ring changes. */
START_TEST(bytes_are_exact_while_everything_changes)
{
	static const enum fault faults[] = { NONE, CUT,  NONE,   SILENT,
					     END,  NONE, STATUS, STALL };
	pthread_t thread[6];
	unsigned seed = 42;

	atomic_store(&readers, ARRAY_SIZE(thread));
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		ck_assert_int_eq(
		    pthread_create(&thread[i], NULL, reader, (void *)(i + 1)),
		    0);
	for (unsigned n = 0; atomic_load(&readers) > 0; n++) {
		struct rig_worker *w = &rig.fake[n % RIG_WORKERS];
		enum fault fault =
		    faults[(unsigned)rand_r(&seed) % ARRAY_SIZE(faults)];

		atomic_store(&w->framed, (n & 4) != 0);
		rig_fault(w, fault,
			  fault == STATUS ? 503
					  : (size_t)rand_r(&seed) % RIG_SIZE);
		if (n % 4 == 0)
			change_rings(n / 4);
		usleep(10000);
	}
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	ck_assert_int_gt(rig_grown(STAT_peer_errors), 0);
	ck_assert_int_gt(rig_grown(STAT_peer_bytes_in), 0);
}
END_TEST

static void setup_changing(void)
{
	start(&(struct tier_conf){ .max_age = 60 * NSEC_PER_SEC,
				   .hedge = 100 * MS,
				   .peers.times = { .connect = LONG,
						    .slow = 300 * MS,
						    .slow_fill = 600 * MS } });
}

int main(void)
{
	TCase *patient = with("patient", setup), *hasty, *second;
	TCase *keyed, *changing;

	tcase_add_test(patient, the_owner_answers_and_the_store_is_not_asked);
	tcase_add_test(patient, what_workers_cannot_answer_the_store_is_asked);
	tcase_add_loop_test(patient,
			    a_worker_that_fails_is_made_up_for_by_the_next, 0,
			    ARRAY_SIZE(rows));
	tcase_add_loop_test(patient, when_all_workers_fail_the_store_answers, 0,
			    ARRAY_SIZE(rows));
	tcase_add_loop_test(patient,
			    bytes_are_exact_wherever_a_worker_breaks_off, 0, 8);
	tcase_add_test(patient,
		       three_refused_connections_are_the_last_for_a_while);
	tcase_add_test(patient, a_probe_finds_a_worker_that_has_come_back);
	tcase_add_test(patient,
		       the_owner_before_a_change_is_asked_for_what_it_has);
	tcase_add_loop_test(
	    patient, what_the_owner_before_does_not_have_the_owner_gets, 0, 5);
	tcase_add_test(patient, without_workers_the_store_is_asked);
	tcase_add_test(patient, a_read_is_cancelled_while_a_worker_is_silent);
	tcase_add_test(patient,
		       what_the_receiver_refuses_is_not_asked_for_again);
	tcase_add_test(
	    patient,
	    a_size_that_the_receiver_knows_otherwise_is_the_workers_fault);
	tcase_add_loop_test(patient, the_stores_error_is_the_readers, 0, 4);
	tcase_add_test(patient, hot_objects_are_asked_of_several);
	tcase_add_test(patient,
		       of_two_words_on_how_hot_it_is_the_greater_counts);
	tcase_add_test(patient,
		       large_reads_are_cut_at_eight_megabytes_and_at_segments);
	tcase_add_test(patient, a_sick_ring_leaves_the_store_to_all_in_turn);
	hasty = with("hasty", setup_hasty);
	tcase_add_test(hasty, a_silent_owner_is_hedged_and_then_left_out);
	tcase_add_test(hasty, when_all_are_silent_the_store_is_asked_aside);
	tcase_add_loop_test(
	    hasty, a_late_owner_still_answers_when_the_store_fails, 0, 3);
	tcase_add_test(hasty, a_store_that_lost_against_a_worker_is_called_off);
	tcase_add_test(hasty,
		       a_read_is_cancelled_while_the_store_is_asked_aside);
	second = with("second", setup_second);
	tcase_add_test(second, an_owner_that_is_filling_is_not_hedged);
	keyed = with("keyed", setup_signed);
	tcase_add_test(keyed, requests_are_signed_with_the_clusters_key);
	tcase_add_test(keyed, a_workers_clock_is_learnt);
	tcase_add_test(keyed, a_black_hole_is_left_after_the_connect_timeout);
	changing = with("changing", setup_changing);
	tcase_add_test(changing, bytes_are_exact_while_everything_changes);
	return RUN_CASES(patient, hasty, second, keyed, changing);
}
