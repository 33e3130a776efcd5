/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - how every test program ends: its cases are run
 */
#ifndef TESTS_UNIT_RUN_H
#define TESTS_UNIT_RUN_H

#include <check.h>
#include <errno.h>
#include <stddef.h>

/* NULL behind the last; the suite is named after the program. */
static inline int run_cases(TCase *const *cases)
{
	Suite *s = suite_create(program_invocation_short_name);
	SRunner *r = srunner_create(s);
	int failed;

	for (; *cases != NULL; cases++)
		suite_add_tcase(s, *cases);
	srunner_run_all(r, CK_ENV); /* CK_VERBOSITY, else normal */
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

/* Run these cases: what main() returns. */
#define RUN_CASES(...) run_cases((TCase *[]){ __VA_ARGS__, NULL })

#endif
