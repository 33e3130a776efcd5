/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_meta_below.c - directories that are there by what this mount made
 */
#include "tests/unit/meta_store.h"
#include "tests/unit/run.h"

static const enum consistency kinds[] = { CONSISTENCY_TTL,
					  CONSISTENCY_IMMUTABLE };

static void below(const char *dir, const char *name)
{
	meta_made_below(meta, str_of(dir), str_of(name));
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
	below("n/", "m");
	below("", "n");
	below("", "o");
	ck_assert_int_eq(lookup("", "n", &a), 0);
	ck_assert(a.dir && !a.object);
	ck_assert_int_eq(lookup("n/", "m", &a), 0);
	ck_assert(a.dir && !a.object);
	ck_assert_int_eq(lookup("", "o", &a), 0);
	ck_assert(a.dir && a.object && a.st.size == 700);
	ck_assert_int_eq(entries(""), 5);
	/* Known by then: that is not made anew for each file. */
	store.heads = store.lists = 0;
	below("", "n");
	below("", "o");
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
	below("", "n");
	ck_assert_int_eq(entries(""), 3);
}
END_TEST

START_TEST(strict_remembers_nothing_that_would_be_put_right)
{
	start(CONSISTENCY_STRICT, 0, 0);
	ck_assert_int_eq(look("", "n"), -ENOENT);
	put("n/new", 100);
	below("", "n");
	ck_assert_int_eq(look("", "n"), 0);
	ck_assert_int_eq(entries(""), 3);
}
END_TEST

static void rename_key(const char *from, const char *to)
{
	pthread_mutex_lock(&store.mutex);
	for (size_t i = 0; i < store.n; i++)
		if (strcmp(store.objects[i].key, from) == 0)
			strcpy(store.objects[i].key, to);
	qsort(store.objects, store.n, sizeof(*store.objects), object_cmp);
	pthread_mutex_unlock(&store.mutex);
}

static void wait_for_age(int64_t ttl)
{
	int64_t until = clock_ns() + ttl;

	while (clock_ns() <= until)
		usleep(10000);
}

/*
 * The listing is too old, and a page of it was asked for since, which says what
 * is so: of another object, and that n is absent.
 */
START_TEST(what_a_page_says_counts)
{
	const int64_t ttl = NSEC_PER_SEC;
	struct meta_answer a;

	start(CONSISTENCY_TTL, ttl, FOREVER);
	put("o", 700);
	put("n/old", 1);
	put_many("zzz", LOOKUP_LIST_MAX + 100);
	ck_assert_int_eq(list(""), 0);
	wait_for_age(ttl);
	rename_key("o", "o/x");
	rename_key("n/old", "gone");
	ck_assert_int_eq(lookup("", "o", &a), 0);
	ck_assert(a.dir && !a.object);
	ck_assert_int_eq(look("", "n"), -ENOENT);
	put("n/new", 100);
	below("", "o");
	below("", "n");
	ck_assert_int_eq(lookup("", "o", &a), 0);
	ck_assert(a.dir && !a.object);
	ck_assert_int_eq(look("", "n"), 0);
}
END_TEST

/* That it was absent is believed again once the listing is too old. */
START_TEST(what_was_absent_before_the_listing_is_put_right)
{
	const int64_t ttl = NSEC_PER_SEC / 5;

	start(CONSISTENCY_TTL, ttl, FOREVER);
	ck_assert_int_eq(look("", "n"), -ENOENT);
	put("n/new", 100);
	ck_assert_int_eq(list(""), 0);
	below("", "n");
	wait_for_age(ttl);
	ck_assert_int_eq(look("", "n"), 0);
}
END_TEST

/* Two mounts share the disk: what the other one listed is not here yet. */
START_TEST(what_another_mount_listed_is_not_believed)
{
	struct cache_conf conf = { .ufs = &store.ufs,
				   .memory = MIB(64),
				   .consistency = kinds[_i % 2],
				   .ttl = FOREVER,
				   .negative_ttl = FOREVER };
	struct meta *mine, *other;

	start(kinds[_i % 2], FOREVER, FOREVER);
	mine = meta;
	/* It has looked there just now, in vain. */
	if (_i / 2 == 1)
		ck_assert_int_eq(look("", "b"), 0);
	ck_assert_int_eq(meta_new(&conf, disk, &other), 0);
	meta = other;
	ck_assert_int_eq(list(""), 0);
	meta = mine;
	put("n/new", 100);
	below("", "n");
	ck_assert_int_eq(look("", "n"), 0);
	ck_assert_int_eq(entries(""), 3);
	meta_free(other);
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
	tcase_add_test(in_memory, what_a_page_says_counts);
	tcase_add_test(in_memory,
		       what_was_absent_before_the_listing_is_put_right);
	tcase_add_loop_test(on_disk, what_another_mount_listed_is_not_believed,
			    0, 4);
	return RUN_CASES(in_memory, on_disk);
}
