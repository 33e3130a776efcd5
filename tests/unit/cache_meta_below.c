/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_meta_below.c - directories that are there by what this mount made
 */
#include "tests/unit/meta_store.h"
#include "tests/unit/run.h"

static const enum consistency kinds[] = { CONSISTENCY_TTL,
					  CONSISTENCY_IMMUTABLE };

static int entries(const char *dir)
{
	struct listing *l;
	int r = meta_list(meta, str_of(dir), &l, NULL);

	if (r == 0) {
		r = (int)listing_entries(l);
		listing_unref(l);
	}
	return r;
}

static bool below(const char *dir, const char *name)
{
	return meta_made_below(meta, str_of(dir), str_of(name));
}

/*
 * What another has removed, or has put an object in the place of, is there
 * again by a file of ours. _i / 2: nothing is known; names; a listing.
 */
START_TEST(directories_that_others_removed_are_there_again)
{
	struct meta_answer a;

	start(kinds[_i % 2], FOREVER, FOREVER);
	put("o", 700);
	if (_i / 2 == 1) {
		ck_assert_int_eq(look("", "n"), -ENOENT);
		ck_assert_int_eq(look("n/", "m"), -ENOENT);
		ck_assert_int_eq(look("", "o"), 0);
	} else if (_i / 2 == 2) {
		ck_assert_int_eq(list(""), 0);
	}
	put("n/m/new", 100);
	put("o/new", 100);
	ck_assert(!below("n/", "m"));
	ck_assert(!below("", "n"));
	ck_assert(!below("", "o"));
	ck_assert_int_eq(lookup("", "n", &a), 0);
	ck_assert(a.dir && !a.object);
	ck_assert_int_eq(lookup("n/", "m", &a), 0);
	ck_assert(a.dir && !a.object);
	ck_assert_int_eq(lookup("", "o", &a), 0);
	ck_assert(a.dir && a.object && a.st.size == 700);
	ck_assert_int_eq(entries(""), 5);
	/* Known by then: that is not made anew for each file. */
	store.heads = store.lists = 0;
	ck_assert(below("", "n"));
	ck_assert(below("", "o"));
	ck_assert_int_eq(entries(""), 5);
	check_asked(0, 0);
}
END_TEST

/* An answer that came after the listing says so, which still lacks it. */
START_TEST(a_directory_that_was_found_is_put_into_the_listing)
{
	start(CONSISTENCY_TTL, FOREVER, 0);
	ck_assert_int_eq(entries(""), 2);
	put("n/new", 100);
	ck_assert_int_eq(look("", "n"), 0);
	ck_assert_int_eq(entries(""), 2);
	ck_assert(below("", "n"));
	ck_assert_int_eq(entries(""), 3);
}
END_TEST

START_TEST(strict_remembers_nothing_that_would_be_put_right)
{
	start(CONSISTENCY_STRICT, 0, 0);
	ck_assert_int_eq(look("", "n"), -ENOENT);
	put("n/new", 100);
	ck_assert(below("", "n"));
	ck_assert_int_eq(look("", "n"), 0);
	ck_assert_int_eq(entries(""), 3);
}
END_TEST

int main(void)
{
	TCase *in_memory = tcase_create("in memory");
	TCase *on_disk = tcase_create("with a disk");
	TCase *cases[] = { in_memory, on_disk };

	tcase_add_checked_fixture(in_memory, setup, teardown);
	tcase_add_checked_fixture(on_disk, setup_with_disk, teardown);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		tcase_add_loop_test(
		    cases[i], directories_that_others_removed_are_there_again,
		    0, 6);
		tcase_add_test(
		    cases[i],
		    a_directory_that_was_found_is_put_into_the_listing);
		tcase_add_test(
		    cases[i], strict_remembers_nothing_that_would_be_put_right);
	}
	return RUN_CASES(in_memory, on_disk);
}
