/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_lock.c - the order of locks, and waits that end
 *
 * The order is only checked in sanitized builds (LOCK_DEBUG); the plain build
 * runs the rest. No test asserts how long a wait took, only that it ended for
 * the right reason.
 */
#include <check.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/lock.h"
#include "tests/unit/run.h"

#define SOON (60 * NSEC_PER_SEC) /* a deadline that means: a bug */

START_TEST(a_wait_ends_false_at_its_deadline)
{
	struct lock l;
	struct event e;

	lock_init(&l, RANK_LEAF);
	event_init(&e);
	lock_take(&l);
	ck_assert(!event_wait_until(&e, &l, 0));
	ck_assert(!event_wait_until(&e, &l, clock_ns() - 1));
	ck_assert(!event_wait_until(&e, &l, INT64_MIN));
	/* Early wake-ups are allowed, an early false is not. */
	for (int64_t until = clock_ns() + 5 * NSEC_PER_MSEC;;)
		if (!event_wait_until(&e, &l, until)) {
			ck_assert_int_ge(clock_ns(), until);
			break;
		}
	lock_drop(&l);
	event_fini(&e);
	lock_fini(&l);
}
END_TEST

struct turn {
	struct lock lock;
	struct event changed;
	int number; /* under lock */
	bool forever;
};

/* Passes the number on whenever it is odd. */
static void *other_side(void *arg)
{
	struct turn *t = arg;

	lock_take(&t->lock);
	while (t->number < 999) {
		if (t->number % 2 == 1) {
			t->number++;
			event_broadcast(&t->changed);
		} else if (t->forever) {
			event_wait(&t->changed, &t->lock);
		} else {
			ck_assert(event_wait_until(&t->changed, &t->lock,
						   clock_ns() + SOON));
		}
	}
	lock_drop(&t->lock);
	return NULL;
}

START_TEST(two_threads_take_turns_by_events)
{
	struct turn t = { .number = 0, .forever = _i == 1 };
	pthread_t thread;

	lock_init(&t.lock, RANK_OBJECT);
	event_init(&t.changed);
	must(pthread_create(&thread, NULL, other_side, &t));
	lock_take(&t.lock);
	while (t.number < 1000) {
		if (t.number % 2 == 0) {
			t.number++;
			event_signal(&t.changed);
		} else if (t.number < 999) {
			/* INT64_MAX: a deadline nobody reaches overflows not */
			ck_assert(
			    event_wait_until(&t.changed, &t.lock, INT64_MAX));
		} else {
			break;
		}
	}
	lock_drop(&t.lock);
	must(pthread_join(thread, NULL));
	ck_assert_int_ge(t.number, 999);
	event_fini(&t.changed);
	lock_fini(&t.lock);
}
END_TEST

START_TEST(locks_in_order_may_nest_and_be_dropped_in_any_order)
{
	struct lock a, b, c;

	lock_init(&a, RANK_INODES);
	lock_init(&b, RANK_OBJECT);
	lock_init(&c, RANK_LEAF);
	for (int i = 0; i < 3; i++) {
		lock_take(&a);
		lock_take(&b);
		lock_drop(&a);
		lock_take(&c);
		lock_drop(&b);
		lock_drop(&c);
	}
	lock_fini(&a);
	lock_fini(&b);
	lock_fini(&c);
}
END_TEST

#ifdef LOCK_DEBUG

static void aborts(void (*breach)(struct lock *, struct lock *, struct event *))
{
	struct lock low, high;
	struct event e;
	int status;
	pid_t pid;

	lock_init(&low, RANK_INODES);
	lock_init(&high, RANK_OBJECT);
	event_init(&e);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		breach(&low, &high, &e);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
	event_fini(&e);
	lock_fini(&low);
	lock_fini(&high);
}

/* These do on purpose what clang's analysis refuses to compile. */
TSA(no_thread_safety_analysis)
static void reversed(struct lock *low, struct lock *high, struct event *e)
{
	(void)e;
	lock_take(high);
	lock_take(low);
}

TSA(no_thread_safety_analysis)
static void twice(struct lock *low, struct lock *high, struct event *e)
{
	(void)high;
	(void)e;
	lock_take(low);
	lock_take(low);
}

TSA(no_thread_safety_analysis)
static void drop_unheld(struct lock *low, struct lock *high, struct event *e)
{
	(void)e;
	lock_take(low);
	lock_drop(high);
}

TSA(no_thread_safety_analysis)
static void wait_unheld(struct lock *low, struct lock *high, struct event *e)
{
	(void)high;
	event_wait_until(e, low, clock_ns());
}

TSA(no_thread_safety_analysis)
static void fini_held(struct lock *low, struct lock *high, struct event *e)
{
	(void)high;
	(void)e;
	lock_take(low);
	lock_fini(low);
}

START_TEST(a_breach_of_the_order_aborts)
{
	aborts(reversed);
	aborts(twice);
	aborts(drop_unheld);
	aborts(wait_unheld);
	aborts(fini_held);
}
END_TEST

#endif

int main(void)
{
	TCase *t = tcase_create("lock");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_wait_ends_false_at_its_deadline);
	tcase_add_loop_test(t, two_threads_take_turns_by_events, 0, 2);
	tcase_add_test(t, locks_in_order_may_nest_and_be_dropped_in_any_order);
#ifdef LOCK_DEBUG
	tcase_add_test(t, a_breach_of_the_order_aborts);
#endif
	return RUN_CASES(t);
}
