/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_turns.c - who listens, with a socket in the place of /dev/fuse
 */
#include "fuse/turns.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"
#include "fuse/backing.h"
#include "tests/unit/run.h"

#define THREADS 4
#define OPEN 14    /* FUSE_OPEN */
#define MKDIR 9    /* FUSE_MKDIR */
#define LOOKUP 1   /* FUSE_LOOKUP */
#define READ 15    /* FUSE_READ */
#define STUCK 999  /* as unique: its handler waits to be let go */
#define LEAVES 998 /* the same, and it says before that it will */

static struct turns turns;
static int ends[2]; /* ours, the threads' */
static pthread_t threads[THREADS];

static struct lock lock;
static struct event changed;
/* under lock */
static unsigned served[THREADS];
static unsigned total, held;
static bool let_go;

static void handle(unsigned who, uint64_t unique)
{
	bool stuck = unique == STUCK || unique == LEAVES;

	if (unique == LEAVES)
		turns_leave(&turns);
	lock_take(&lock);
	served[who]++;
	total++;
	held += stuck;
	event_broadcast(&changed);
	while (stuck && !let_go)
		event_wait(&changed, &lock);
	lock_drop(&lock);
}

/* As libfuse: cancelled only while it waits for a request. */
static void *listen_loop(void *arg)
{
	unsigned who = (unsigned)(uintptr_t)arg;
	struct wire_in_header head;
	char buf[256];

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	for (;;) {
		ssize_t n;

		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
		n = turns_read(&turns, ends[1], buf, sizeof(buf));
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		if (n <= 0)
			return NULL;
		memcpy(&head, buf, sizeof(head));
		handle(who, head.unique);
	}
}

static void start(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	memset(served, 0, sizeof(served));
	total = held = 0;
	let_go = false;
	lock_init(&lock, RANK_CONTROL);
	event_init(&changed);
	turns_init(&turns, 2);
	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, listen_loop, (void *)i),
		    0);
}

/* The end of the file is passed on by each to the next. */
static void stop(void)
{
	lock_take(&lock);
	let_go = true;
	event_broadcast(&changed);
	lock_drop(&lock);
	shutdown(ends[0], SHUT_WR);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	turns_fini(&turns);
	event_fini(&changed);
	lock_fini(&lock);
	close(ends[0]);
	close(ends[1]);
}

static void send_request(uint32_t opcode, uint64_t unique, uint32_t size)
{
	struct {
		struct wire_in_header head;
		uint64_t fh, offset;
		uint32_t size, rest[5];
	} rq = { .head = { .len = sizeof(rq),
			   .opcode = opcode,
			   .unique = unique },
		 .size = size };

	ck_assert_int_eq(write(ends[0], &rq, sizeof(rq)), sizeof(rq));
}

/* False when it has not come to that within ten seconds. */
static bool wait_total(unsigned n)
{
	int64_t deadline = clock_ns() + 10 * NSEC_PER_SEC;
	bool there = true;

	lock_take(&lock);
	while (total < n && there)
		there = event_wait_until(&changed, &lock, deadline);
	lock_drop(&lock);
	return there;
}

static unsigned busiest(void)
{
	unsigned most = 0;

	lock_take(&lock);
	for (size_t i = 0; i < THREADS; i++)
		most = MAX(most, served[i]);
	lock_drop(&lock);
	return most;
}

START_TEST(one_thread_reads_all_brief_requests)
{
	for (unsigned i = 1; i <= 200; i++) {
		send_request((const uint32_t[]){ OPEN, READ, LOOKUP }[i % 3], i,
			     4096);
		ck_assert(wait_total(i));
	}
	ck_assert_uint_eq(busiest(), 200);
}
END_TEST

START_TEST(before_a_long_request_another_thread_listens)
{
	for (unsigned i = 1; i <= THREADS; i++) {
		send_request(i % 2 ? MKDIR : READ, STUCK, MIB(1));
		ck_assert(wait_total(i));
	}
	ck_assert_uint_eq(held, THREADS);
	ck_assert_uint_eq(busiest(), 1);
}
END_TEST

/* Without waiting for those who see that nobody listens. */
START_TEST(who_finds_that_a_request_is_long_lets_another_thread_listen)
{
	unsigned seen;

	for (unsigned i = 1; i <= THREADS; i++) {
		send_request(LOOKUP, LEAVES, 0);
		ck_assert(wait_total(i));
	}
	ck_assert_uint_eq(busiest(), 1);
	lock_take(&turns.lock);
	seen = atomic_load(&turns.taken);
	lock_drop(&turns.lock);
	ck_assert_uint_eq(seen, 0);
}
END_TEST

START_TEST(a_brief_request_that_waits_stops_nobody)
{
	for (unsigned i = 1; i <= THREADS; i++) {
		send_request(OPEN, STUCK, 0);
		ck_assert(wait_total(i));
	}
	ck_assert_uint_eq(held, THREADS);
}
END_TEST

/* The address sanitizer takes what is left of a cancelled thread's stack for
 * in use. */
#ifndef __SANITIZE_ADDRESS__
START_TEST(who_waits_for_a_turn_can_be_ended)
{
	send_request(OPEN, 1, 0);
	ck_assert(wait_total(1));
	/* stop() joins those who wait and the one who listens. */
	for (size_t i = 0; i < THREADS; i++)
		pthread_cancel(threads[i]);
}
END_TEST
#endif

int main(void)
{
	TCase *t = tcase_create("turns");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, one_thread_reads_all_brief_requests);
	tcase_add_test(t, before_a_long_request_another_thread_listens);
	tcase_add_test(
	    t, who_finds_that_a_request_is_long_lets_another_thread_listen);
	tcase_add_test(t, a_brief_request_that_waits_stops_nobody);
#ifndef __SANITIZE_ADDRESS__
	tcase_add_test(t, who_waits_for_a_turn_can_be_ended);
#endif
	return RUN_CASES(t);
}
