/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_comps.c - a set of names
 */
#include <check.h>
#include <stdio.h>

#include "fuse/comps.h"
#include "tests/unit/run.h"

START_TEST(what_was_added_is_had_and_nothing_else)
{
	struct comps c = { .sorted = NULL };
	char name[16];

	ck_assert_int_eq(comps_sort(&c), 0);
	ck_assert(!comps_have(&c, str_of("")));
	for (int i = 0; i < 1000; i += 2) {
		snprintf(name, sizeof(name), "%d", i * 7 % 1000);
		comps_add(&c, str_of(name));
	}
	comps_add(&c, str_of(""));
	comps_add(&c, str_of("\xff"));
	ck_assert_int_eq(comps_sort(&c), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		ck_assert(comps_have(&c, str_of(name)) == (i % 2 == 0));
	}
	ck_assert(comps_have(&c, str_of("")));
	ck_assert(comps_have(&c, str_of("\xff")));
	/* A name in a key may hold what none that was added does. */
	ck_assert(!comps_have(&c, (struct str){ "0\0", 2 }));
	comps_fini(&c);
	ck_assert(!comps_have(&c, str_of("")));
	comps_fini(&c);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("comps");

	tcase_add_test(c, what_was_added_is_had_and_nothing_else);
	return RUN_CASES(c);
}
