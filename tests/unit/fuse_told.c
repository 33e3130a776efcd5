/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_told.c - telling workers of changes holds nobody up
 *
 * That they do hear of them is for tests/mount.
 */
#include "fuse/told.h"

#include <pthread.h>

#include "ring/members.h"
#include "tests/unit/run.h"
#include "ufs/ufs.h"

#define THREADS 4

static void *change(void *arg)
{
	char key[40];

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "dir%u/file", i % 1500);
		told_add(arg, str_of(key));
		if (i % 500 == 0)
			told_wait(arg, NULL);
	}
	return NULL;
}

START_TEST(workers_that_are_not_there_hold_nobody_up)
{
	static char store[] = "store", prefix[] = "";
	/* Nobody listens there. */
	struct members_conf members = { .workers = "127.0.0.1:1+127.0.0.1:2" };
	struct ufs ufs = { .store = store, .prefix = prefix };
	struct told_conf conf = { .source = "s3://bucket", .ufs = &ufs };
	struct cancel gone = { true };
	pthread_t thread[THREADS];
	char words[256] = "";
	struct members *m;
	struct told *t;

	ck_assert_msg(members_open(&members, &m, words) == 0, "%s", words);
	conf.members = m;
	ck_assert_int_eq(told_new(&conf, &t), 0);
	told_wait(t, NULL);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, change, t),
				 0);
	told_wait(t, &gone);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	/* What is still to be told is. */
	told_free(t);
	members_close(m);
	told_free(NULL);
	told_wait(NULL, NULL);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("told");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, workers_that_are_not_there_hold_nobody_up);
	return RUN_CASES(t);
}
