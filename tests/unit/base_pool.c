/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_pool.c - who runs which job, and when
 *
 * Jobs meet at gates instead of sleeping: a gate is a count under a lock that
 * a test waits for, with a deadline that only a bug reaches.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/pool.h"
#include "tests/unit/run.h"

#define DEADLINE (60 * NSEC_PER_SEC)
#define MANY 2000

static struct lock lock;
static struct event changed;
/* under lock */
static int running, most, finished, order[16], ordered;
static bool open_gate;
static char thread_name[32];
static sigset_t thread_signals;

struct task {
	struct job job;
	int id;
};

static void setup(void)
{
	lock_init(&lock, RANK_LEAF);
	event_init(&changed);
	running = most = finished = ordered = 0;
	open_gate = false;
}

static void teardown(void)
{
	event_fini(&changed);
	lock_fini(&lock);
}

/* Runs until the gate opens. */
static void wait_at_gate(struct job *job)
{
	(void)job;
	lock_take(&lock);
	running++;
	most = MAX(most, running);
	event_broadcast(&changed);
	while (!open_gate)
		ck_assert(
		    event_wait_until(&changed, &lock, clock_ns() + DEADLINE));
	running--;
	finished++;
	event_broadcast(&changed);
	lock_drop(&lock);
}

static void note_order(struct job *job)
{
	struct task *t = container_of(job, struct task, job);

	lock_take(&lock);
	order[ordered++] = t->id;
	finished++;
	event_broadcast(&changed);
	lock_drop(&lock);
}

static void count_only(struct job *job)
{
	(void)job;
	lock_take(&lock);
	finished++;
	event_broadcast(&changed);
	lock_drop(&lock);
}

static void until(const int *number, int value)
{
	lock_take(&lock);
	while (*number != value)
		ck_assert_msg(
		    event_wait_until(&changed, &lock, clock_ns() + DEADLINE),
		    "%d instead of %d", *number, value);
	lock_drop(&lock);
}

static void gate_open(void)
{
	lock_take(&lock);
	open_gate = true;
	event_broadcast(&changed);
	lock_drop(&lock);
}

static struct pool *pool_of(unsigned max)
{
	struct pool *p = NULL;

	ck_assert_int_eq(pool_new("tarn-test", max, &p), 0);
	return p;
}

START_TEST(as_many_jobs_run_at_once_as_the_pool_may_have_threads)
{
	struct pool *p = pool_of(4);
	struct task tasks[9];

	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
		tasks[i].job.run = wait_at_gate;
		pool_submit(p, &tasks[i].job, POOL_DEMAND);
	}
	until(&running, 4);
	gate_open();
	until(&finished, 9);
	pool_stop(p);
	ck_assert_int_eq(most, 4);
}
END_TEST

START_TEST(stopping_runs_what_is_queued)
{
	struct pool *p = pool_of(2);
	struct task tasks[100];

	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
		tasks[i].job.run = count_only;
		pool_submit(p, &tasks[i].job,
			    i % 3 == 0 ? POOL_BACKGROUND : POOL_DEMAND);
	}
	pool_stop(p);
	ck_assert_int_eq(finished, 100);
	pool_stop(NULL);
}
END_TEST

START_TEST(demand_jobs_run_before_background_ones_each_in_order)
{
	struct pool *p = pool_of(1);
	struct task gate = { .job.run = wait_at_gate }, tasks[8];
	static const int want[] = { 1, 3, 5, 7, 0, 2, 4, 6 };

	pool_submit(p, &gate.job, POOL_DEMAND);
	until(&running, 1);
	for (int i = 0; i < 8; i++) {
		tasks[i].id = i;
		tasks[i].job.run = note_order;
		pool_submit(p, &tasks[i].job,
			    i % 2 == 0 ? POOL_BACKGROUND : POOL_DEMAND);
	}
	gate_open();
	pool_stop(p);
	ck_assert_mem_eq(order, want, sizeof(want));
}
END_TEST

START_TEST(background_jobs_leave_threads_for_demand)
{
	struct pool *p = pool_of(3);
	struct task back[5], demand = { .job.run = count_only };

	for (size_t i = 0; i < ARRAY_SIZE(back); i++) {
		back[i].job.run = wait_at_gate;
		pool_submit(p, &back[i].job, POOL_BACKGROUND);
	}
	until(&running, 2); /* by default all but one */
	pool_submit(p, &demand.job, POOL_DEMAND);
	until(&finished, 1); /* though no background job has ended */
	ck_assert_int_eq(most, 2);
	gate_open();
	pool_stop(p);
	ck_assert_int_eq(most, 2);
	ck_assert_int_eq(finished, 6);
}
END_TEST

START_TEST(a_higher_background_limit_takes_effect_at_once)
{
	struct pool *p = pool_of(4);
	struct task back[6];

	pool_set_background_max(p, 0); /* still one: else nothing would end */
	for (size_t i = 0; i < ARRAY_SIZE(back); i++) {
		back[i].job.run = wait_at_gate;
		pool_submit(p, &back[i].job, POOL_BACKGROUND);
	}
	until(&running, 1);
	pool_set_background_max(p, 3);
	until(&running, 3);
	gate_open();
	pool_stop(p);
	ck_assert_int_eq(finished, 6);
	ck_assert_int_le(most, 3);
}
END_TEST

/*
 * A thread that ends a background job may be taken by a demand job; the next
 * background job is then for an idle thread.
 */
START_TEST(a_background_job_is_not_stranded_behind_a_demand_job)
{
	struct pool *p = pool_of(3);
	struct task first = { .job.run = wait_at_gate };
	struct task again[2], demand[3];

	pool_set_background_max(p, 1);
	for (int round = 0; round < 200; round++) {
		lock_take(&lock);
		open_gate = false;
		finished = 0;
		lock_drop(&lock);
		pool_submit(p, &first.job, POOL_BACKGROUND);
		until(&running, 1);
		for (size_t i = 0; i < ARRAY_SIZE(again); i++) {
			again[i].job.run = count_only;
			pool_submit(p, &again[i].job, POOL_BACKGROUND);
		}
		for (size_t i = 0; i < ARRAY_SIZE(demand); i++) {
			demand[i].job.run = count_only;
			pool_submit(p, &demand[i].job, POOL_DEMAND);
		}
		gate_open();
		until(&finished, 6);
	}
	pool_stop(p);
}
END_TEST

START_TEST(a_withdrawn_job_never_runs_and_a_started_one_cannot_be_withdrawn)
{
	struct pool *p = pool_of(1);
	struct task gate = { .job.run = wait_at_gate };
	struct task tasks[5];
	static const int left[] = { 1, 3 };

	pool_submit(p, &gate.job, POOL_DEMAND);
	until(&running, 1);
	for (int i = 0; i < 5; i++) {
		tasks[i].id = i;
		tasks[i].job.run = note_order;
		pool_submit(p, &tasks[i].job,
			    _i == 0 ? POOL_DEMAND : POOL_BACKGROUND);
	}
	ck_assert(!pool_withdraw(p, &gate.job));
	ck_assert(pool_withdraw(p, &tasks[4].job)); /* the last */
	ck_assert(pool_withdraw(p, &tasks[0].job)); /* the first */
	ck_assert(pool_withdraw(p, &tasks[2].job));
	ck_assert(!pool_withdraw(p, &tasks[2].job));
	/* The queue's end is right again: what is added now is found. */
	tasks[4].id = 9;
	pool_submit(p, &tasks[4].job, _i == 0 ? POOL_DEMAND : POOL_BACKGROUND);
	gate_open();
	pool_stop(p);
	ck_assert_int_eq(ordered, 3);
	ck_assert_mem_eq(order, left, sizeof(left));
	ck_assert_int_eq(order[2], 9);
}
END_TEST

struct again {
	struct job job;
	struct pool *pool;
	int left;
};

static void resubmit(struct job *job)
{
	struct again *a = container_of(job, struct again, job);

	if (a->left-- == 0) {
		free(a);
		count_only(NULL);
		return;
	}
	pool_submit(a->pool, job,
		    a->left % 2 == 0 ? POOL_DEMAND : POOL_BACKGROUND);
}

START_TEST(a_job_may_submit_itself_again_or_free_itself_even_while_stopping)
{
	struct pool *p = pool_of(3);

	for (int i = 0; i < 8; i++) {
		struct again *a = calloc(1, sizeof(*a));

		ck_assert_ptr_nonnull(a);
		*a = (struct again){ { NULL, resubmit }, p, 500 };
		pool_submit(p, &a->job, POOL_DEMAND);
	}
	pool_stop(p);
	ck_assert_int_eq(finished, 8);
}
END_TEST

static void *submit_many(void *arg)
{
	struct pool *p = arg;
	struct task *tasks = calloc(MANY, sizeof(*tasks));
	int back = 0;

	ck_assert_ptr_nonnull(tasks);
	for (int i = 0; i < MANY; i++) {
		tasks[i].job.run = count_only;
		pool_submit(p, &tasks[i].job, (enum pool_lane)(i % 2));
		if (i % 5 == 0 && pool_withdraw(p, &tasks[i].job))
			back++;
	}
	lock_take(&lock);
	finished += back;
	event_broadcast(&changed);
	lock_drop(&lock);
	return tasks;
}

START_TEST(every_job_of_many_threads_runs_or_is_withdrawn_exactly_once)
{
	struct pool *p = pool_of(8);
	pthread_t threads[3];
	void *tasks;

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		must(pthread_create(&threads[i], NULL, submit_many, p));
	until(&finished, 3 * MANY);
	pool_stop(p);
	ck_assert_int_eq(finished, 3 * MANY);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		must(pthread_join(threads[i], &tasks));
		free(tasks);
	}
}
END_TEST

static void look_at_thread(struct job *job)
{
	char name[32] = "";

	must(pthread_getname_np(pthread_self(), name, sizeof(name)));
	lock_take(&lock);
	snprintf(thread_name, sizeof(thread_name), "%s", name);
	must(pthread_sigmask(SIG_SETMASK, NULL, &thread_signals));
	lock_drop(&lock);
	count_only(job);
}

START_TEST(a_thread_carries_the_pools_name_and_takes_no_signals)
{
	struct pool *p = NULL;
	struct task t = { .job.run = look_at_thread };

	ck_assert_int_eq(pool_new("0123456789abc", 1, &p), 0);
	pool_submit(p, &t.job, POOL_DEMAND);
	pool_stop(p);
	ck_assert_str_eq(thread_name, "0123456789-0");
	ck_assert(sigismember(&thread_signals, SIGTERM));
	ck_assert(sigismember(&thread_signals, SIGINT));
	ck_assert(sigismember(&thread_signals, SIGHUP));
	ck_assert(!sigismember(&thread_signals, SIGSEGV));
}
END_TEST

/*
 * FAULTS E6. RLIMIT_NPROC does not bind root, so the child becomes a user
 * that nobody is first; where it may not, it is no root and the limit binds.
 */
static int without_threads(bool from_start)
{
	struct rlimit none = { 0, 0 };
	struct task tasks[20];
	struct pool *p = NULL;

	setup();
	if (!from_start && pool_new("few", 8, &p) != 0)
		return 2;
	if (setresuid(54321, 54321, 54321) != 0 && getuid() == 0)
		return 77;
	if (setrlimit(RLIMIT_NPROC, &none) != 0)
		return 3;
	if (from_start)
		return pool_new("none", 8, &p) == -EAGAIN && p == NULL ? 0 : 4;
	open_gate = true;
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
		tasks[i].job.run = wait_at_gate;
		pool_submit(p, &tasks[i].job, POOL_DEMAND);
	}
	pool_stop(p);
	if (finished != 20)
		return 5;
	return most == 1 ? 0 : 6;
}

START_TEST(e6_without_new_threads_the_ones_there_carry_on)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(without_threads(_i == 1));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) != 77)
		ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("pool");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t,
		       as_many_jobs_run_at_once_as_the_pool_may_have_threads);
	tcase_add_test(t, stopping_runs_what_is_queued);
	tcase_add_test(t, demand_jobs_run_before_background_ones_each_in_order);
	tcase_add_test(t, background_jobs_leave_threads_for_demand);
	tcase_add_test(t, a_higher_background_limit_takes_effect_at_once);
	tcase_add_test(t, a_background_job_is_not_stranded_behind_a_demand_job);
	tcase_add_loop_test(
	    t, a_withdrawn_job_never_runs_and_a_started_one_cannot_be_withdrawn,
	    0, 2);
	tcase_add_test(
	    t,
	    a_job_may_submit_itself_again_or_free_itself_even_while_stopping);
	tcase_add_test(
	    t, every_job_of_many_threads_runs_or_is_withdrawn_exactly_once);
	tcase_add_test(t, a_thread_carries_the_pools_name_and_takes_no_signals);
	tcase_add_loop_test(t, e6_without_new_threads_the_ones_there_carry_on,
			    0, 2);
	return RUN_CASES(t);
}
