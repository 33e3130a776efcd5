/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base_buffers.c - page buffers within one budget
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/buffers.h"
#include "base/stats.h"
#include "tests/unit/run.h"

#define N 32

static struct buffers *buffers_of(size_t n)
{
	struct buffers *b = NULL;

	ck_assert_int_eq(buffers_new(n * BUFFER_SIZE, &b), 0);
	return b;
}

/* Pages of the buffer that have memory. */
static size_t resident(void *buffer)
{
	unsigned char pages[BUFFER_SIZE / 4096];
	size_t n = 0;

	ck_assert_int_eq(mincore(buffer, BUFFER_SIZE, pages), 0);
	for (size_t i = 0; i < sizeof(pages); i++)
		n += pages[i] & 1;
	return n;
}

START_TEST(the_budget_is_never_exceeded)
{
	struct buffers *b = buffers_of(N);
	void *got[N];

	ck_assert_uint_eq(buffers_limit(b), N * BUFFER_SIZE);
	for (size_t i = 0; i < N; i++) {
		got[i] = buffers_get(b);
		ck_assert_ptr_nonnull(got[i]);
		ck_assert_uint_eq((uintptr_t)got[i] % 4096, 0);
		ck_assert_uint_eq(buffers_used(b), (i + 1) * BUFFER_SIZE);
		ck_assert_int_eq(stat_read(STAT_memory_bytes),
				 (int64_t)((i + 1) * BUFFER_SIZE));
		memset(got[i], (int)i, BUFFER_SIZE);
	}
	ck_assert_ptr_null(buffers_get(b));
	ck_assert_uint_eq(buffers_used(b), N * BUFFER_SIZE);
	for (size_t i = 0; i < N; i++) {
		const unsigned char *p = got[i];

		ck_assert(p[0] == i && p[BUFFER_SIZE - 1] == i);
		buffers_put(b, got[i]);
	}
	ck_assert_uint_eq(buffers_used(b), 0);
	ck_assert_int_eq(stat_read(STAT_memory_bytes), 0);
	buffers_free(b);
}
END_TEST

START_TEST(a_limit_is_rounded_down_to_buffers_but_not_below_16)
{
	struct buffers *b = NULL;

	ck_assert_int_eq(buffers_new(0, &b), 0);
	ck_assert_uint_eq(buffers_limit(b), 16 * BUFFER_SIZE);
	buffers_free(b);
	ck_assert_int_eq(buffers_new(N * BUFFER_SIZE + BUFFER_SIZE - 1, &b), 0);
	ck_assert_uint_eq(buffers_limit(b), N * BUFFER_SIZE);
	buffers_free(b);
	b = NULL;
	ck_assert_int_lt(buffers_new(SIZE_MAX, &b), 0);
	ck_assert_ptr_null(b);
	buffers_free(NULL);
}
END_TEST

START_TEST(the_buffer_put_back_last_is_handed_out_first)
{
	struct buffers *b = buffers_of(N);
	void *x = buffers_get(b), *y = buffers_get(b);

	buffers_put(b, x);
	buffers_put(b, y);
	ck_assert_ptr_eq(buffers_get(b), y);
	ck_assert_ptr_eq(buffers_get(b), x);
	buffers_put(b, x);
	buffers_put(b, y);
	buffers_free(b);
}
END_TEST

START_TEST(only_buffers_idle_since_the_last_trim_lose_their_memory)
{
	struct buffers *b = buffers_of(N);
	void *got[N];

	for (size_t i = 0; i < N; i++) {
		got[i] = buffers_get(b);
		memset(got[i], 1, BUFFER_SIZE);
	}
	for (size_t i = 0; i < N; i++)
		buffers_put(b, got[i]);
	/* All were in use since the (never made) last trim. */
	buffers_trim(b);
	ck_assert_uint_eq(resident(got[0]), BUFFER_SIZE / 4096);
	/* Two are used again and again, the rest is not. */
	for (int i = 0; i < 3; i++) {
		void *x = buffers_get(b), *y = buffers_get(b);

		buffers_put(b, y);
		buffers_put(b, x);
	}
	buffers_trim(b);
	for (size_t i = 0; i < N - 2; i++)
		ck_assert_uint_eq(resident(got[i]), 0);
	ck_assert_uint_eq(resident(got[N - 1]), BUFFER_SIZE / 4096);
	ck_assert_uint_eq(resident(got[N - 2]), BUFFER_SIZE / 4096);
	/* They are still there to be had, behind the warm ones. */
	ck_assert_ptr_eq(buffers_get(b), got[N - 1]);
	ck_assert_ptr_eq(buffers_get(b), got[N - 2]);
	for (size_t i = 0; i < N - 2; i++) {
		got[i] = buffers_get(b);
		ck_assert_ptr_nonnull(got[i]);
		memset(got[i], 2, BUFFER_SIZE);
	}
	ck_assert_ptr_null(buffers_get(b));
	for (size_t i = 0; i < N; i++)
		buffers_put(b, got[i]);
	buffers_free(b);
}
END_TEST

static void put_twice(struct buffers *b, char *buffer)
{
	buffers_put(b, buffer);
	buffers_put(b, buffer);
}

static void put_a_part(struct buffers *b, char *buffer)
{
	buffers_put(b, buffer + 4096);
}

static void put_a_stranger(struct buffers *b, char *buffer)
{
	(void)buffer;
	buffers_put(b, (char *)b);
}

static void free_while_used(struct buffers *b, char *buffer)
{
	(void)buffer;
	buffers_free(b);
}

static void (*const misuses[])(struct buffers *, char *) = {
	put_twice,
	put_a_part,
	put_a_stranger,
	free_while_used,
};

START_TEST(misuse_aborts_instead_of_mixing_pages_up)
{
	struct buffers *b = buffers_of(N);
	char *buffer = buffers_get(b);
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		misuses[_i](b, buffer);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
	buffers_put(b, buffer);
	buffers_free(b);
}
END_TEST

static void *churn(void *arg)
{
	struct buffers *b = arg;
	char *mine[N / 4];

	for (int round = 0; round < 500; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(mine); i++) {
			mine[i] = buffers_get(b);
			ck_assert_ptr_nonnull(mine[i]);
			memcpy(mine[i], &i, sizeof(i));
			memcpy(mine[i] + BUFFER_SIZE - sizeof(arg), &mine,
			       sizeof(arg));
		}
		for (size_t i = 0; i < ARRAY_SIZE(mine); i++) {
			ck_assert_mem_eq(mine[i], &i, sizeof(i));
			buffers_put(b, mine[i]);
		}
		if (round % 16 == 0)
			buffers_trim(b);
	}
	return NULL;
}

START_TEST(threads_that_share_the_budget_never_share_a_buffer)
{
	/* As many as they use: a trim may not make a get fail either. */
	struct buffers *b = buffers_of(N);
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		must(pthread_create(&threads[i], NULL, churn, b));
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		must(pthread_join(threads[i], NULL));
	ck_assert_uint_eq(buffers_used(b), 0);
	buffers_free(b);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("buffers");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, the_budget_is_never_exceeded);
	tcase_add_test(t, a_limit_is_rounded_down_to_buffers_but_not_below_16);
	tcase_add_test(t, the_buffer_put_back_last_is_handed_out_first);
	tcase_add_test(t,
		       only_buffers_idle_since_the_last_trim_lose_their_memory);
	tcase_add_loop_test(t, misuse_aborts_instead_of_mixing_pages_up, 0,
			    ARRAY_SIZE(misuses));
	tcase_add_test(t, threads_that_share_the_budget_never_share_a_buffer);
	return RUN_CASES(t);
}
