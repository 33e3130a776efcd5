/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_trees.c - who waits for a directory that is being moved
 */
#include "fuse/trees.h"

#include <errno.h>
#include <pthread.h>

#include "tests/unit/run.h"

static struct trees trees;

static struct moving of(const char *from, const char *to, bool names)
{
	return (struct moving){ .from = str_of(from),
				.to = str_of(to),
				.names = names };
}

static const struct {
	const char *key;
	bool waits;
} keys[] = {
	{ "a/b/", true },    { "a/b", true },   { "a/b/c", true },
	{ "a/b/c/d", true }, { "a", true },     { "a/", true },
	{ "x/y", true },     { "x/y/z", true }, { "x/", true },
	{ "a/bc", false },   { "a/c", false },  { "ab", false },
	{ "b", false },      { "x/yy", false },
};

START_TEST(who_is_below_or_above_waits)
{
	struct moving tree = of("a/b/", "x/y/", false);
	struct moving name = of(keys[_i].key, keys[_i].key, true);
	struct moving other = of("q/", "x/z/", false);
	struct cancel ended = { true };
	int r = keys[_i].waits ? -EINTR : 0;

	trees_init(&trees);
	ck_assert(!trees_any(&trees));
	ck_assert_int_eq(trees_wait(&trees, str_of(keys[_i].key), &ended), 0);
	ck_assert_int_eq(trees_begin(&trees, &tree, NULL), 0);
	ck_assert(trees_any(&trees));
	ck_assert_int_eq(trees_wait(&trees, str_of(keys[_i].key), &ended), r);
	ck_assert_int_eq(trees_begin(&trees, &name, &ended), r);
	/* Another directory, elsewhere. */
	ck_assert_int_eq(trees_begin(&trees, &other, &ended), 0);
	trees_end(&trees, &other);
	trees_end(&trees, &tree);
	ck_assert(!trees_any(&trees));
	if (r == 0)
		trees_end(&trees, &name);
	trees_fini(&trees);
}
END_TEST

static void *begin(void *arg)
{
	return (void *)(intptr_t)trees_begin(&trees, arg, NULL);
}

START_TEST(a_directory_waits_for_changes_of_names_that_have_begun)
{
	struct moving names[] = { of("a/x", "a/x", true),
				  of("a/y", "c/y", true) };
	struct moving tree = of("a/", "b/", false);
	struct cancel ended = { true };
	pthread_t t;
	void *r;

	trees_init(&trees);
	ck_assert_int_eq(trees_begin(&trees, &names[0], NULL), 0);
	ck_assert_int_eq(trees_begin(&trees, &names[1], NULL), 0);
	ck_assert_int_eq(trees_begin(&trees, &tree, &ended), -EINTR);
	ck_assert(!trees_any(&trees));
	must(pthread_create(&t, NULL, begin, &tree));
	trees_end(&trees, &names[0]);
	while (!trees_any(&trees))
		;
	/* No new one gets in before it. */
	ck_assert_int_eq(trees_begin(&trees, &names[0], &ended), -EINTR);
	trees_end(&trees, &names[1]);
	must(pthread_join(t, &r));
	ck_assert_ptr_null(r);
	must(pthread_create(&t, NULL, begin, &names[0]));
	trees_end(&trees, &tree);
	must(pthread_join(t, &r));
	/* It had to wait (or came late): its key may be another. */
	ck_assert_int_le((intptr_t)r, 1);
	if (r == NULL)
		trees_end(&trees, &names[0]);
	trees_fini(&trees);
}
END_TEST

/* Two that wait for each other's commits would not end. */
START_TEST(changes_of_the_same_name_come_one_after_the_other)
{
	struct moving one = of("a/x", "b/y", true);
	struct moving others[] = { of("b/y", "a/x", true),
				   of("a/x", "c/z", true),
				   of("c/z", "b/y", true),
				   of("b/y", "b/y", true) };
	struct moving beside = of("a/xx", "b/z", true);
	struct cancel ended = { true };
	pthread_t t;
	void *r;

	trees_init(&trees);
	ck_assert_int_eq(trees_begin(&trees, &one, NULL), 0);
	ck_assert_int_eq(trees_begin(&trees, &beside, &ended), 0);
	trees_end(&trees, &beside);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		ck_assert_int_eq(trees_begin(&trees, &others[i], &ended),
				 -EINTR);
	must(pthread_create(&t, NULL, begin, &others[0]));
	trees_end(&trees, &one);
	must(pthread_join(t, &r));
	/* The key is what it was. */
	ck_assert_ptr_null(r);
	trees_end(&trees, &others[0]);
	trees_fini(&trees);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("trees");

	tcase_add_loop_test(t, who_is_below_or_above_waits, 0,
			    ARRAY_SIZE(keys));
	tcase_add_test(t,
		       a_directory_waits_for_changes_of_names_that_have_begun);
	tcase_add_test(t, changes_of_the_same_name_come_one_after_the_other);
	return RUN_CASES(t);
}
