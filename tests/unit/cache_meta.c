/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_meta.c - unit tests of names, attributes and their freshness
 *
 * The store is a double in memory that counts what it is asked, fails when
 * told to, and can hold its answers back until a test lets them go. Times
 * are either for ever or over at once, so that no test depends on the clock.
 */
#include "tests/unit/meta_store.h"
#include "tests/unit/run.h"

START_TEST(a_lookup_tells_objects_directories_both_and_neither)
{
	struct meta_answer a;

	/* 0: by asking for the name; 1: from a listing. */
	start(CONSISTENCY_TTL, FOREVER, 0);
	if (_i == 1)
		ck_assert_int_eq(list("a/"), 0);
	ck_assert_int_eq(lookup("a/", "one", &a), 0);
	ck_assert(a.object && !a.dir && a.st.size == 1);
	ck_assert_str_eq(a.st.version, "v1");
	ck_assert_int_eq(a.until, a.taken + FOREVER);
	ck_assert_int_eq(lookup("a/", "sub", &a), 0);
	ck_assert(!a.object && a.dir);
	ck_assert_int_eq(lookup("a/", "both", &a), 0);
	ck_assert(a.object && a.dir && a.st.size == 5);
	ck_assert_int_eq(lookup("a/", "empty", &a), 0);
	ck_assert(!a.object && a.dir);
	if (_i == 1)
		check_asked(0, 1);
	else
		check_asked(4, 4);
	ck_assert_int_eq(lookup("a/", "absent", &a), -ENOENT);
	ck_assert(!a.object && !a.dir && a.until <= clock_ns());
}
END_TEST

START_TEST(the_markers_data_is_found_under_the_empty_name)
{
	struct meta_answer a;

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	if (_i == 1)
		ck_assert_int_eq(list("a/data/"), 0);
	ck_assert_int_eq(lookup("a/data/", "", &a), 0);
	ck_assert(a.object && !a.dir && a.st.size == 8);
	/* The root has no marker: the bucket is not asked for as an object. */
	check_asked(_i == 1 ? 0 : 1, 1);
	ck_assert_int_eq(lookup("", "", &a), -ENOENT);
	check_asked(0, 1);
}
END_TEST

START_TEST(after_a_few_lookups_the_directory_is_listed_instead)
{
	int64_t saved;

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	for (unsigned i = 0; i < META_LOOKUPS_BEFORE_LIST; i++) {
		char name[32];

		snprintf(name, sizeof(name), "none%u", i);
		if (i == 0)
			snprintf(name, sizeof(name), "one");
		ck_assert_int_eq(look("a/", name), i == 0 ? 0 : -ENOENT);
		check_asked(1, 1);
		/* Each was asked for once and is remembered. */
		ck_assert_int_eq(look("a/", name), i == 0 ? 0 : -ENOENT);
		check_asked(0, 0);
	}
	saved = stat_read(STAT_saved_head);
	ck_assert_int_eq(look("a/", "both"), 0);
	check_asked(0, 1);
	ck_assert_int_eq(look("a/", "one"), 0);
	ck_assert_int_eq(look("a/", "absent"), -ENOENT);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 0);
	ck_assert_int_eq(stat_read(STAT_saved_head) - saved, 2);
}
END_TEST

START_TEST(a_fresh_listing_answers_lookups_and_listings_without_a_request)
{
	int64_t saved = stat_read(STAT_saved_list);
	struct listing *l, *again;
	struct meta_answer a;

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	ck_assert_int_eq(meta_list_fast(meta, str_of("a/"), &l), -EAGAIN);
	ck_assert_int_eq(
	    meta_lookup_fast(meta, str_of("a/"), str_of("one"), &a), -EAGAIN);
	ck_assert_int_eq(meta_list(meta, str_of("a/"), &l, NULL), 0);
	check_asked(0, 1);
	ck_assert_int_eq(meta_list_fast(meta, str_of("a/"), &again), 0);
	ck_assert_ptr_eq(l, again);
	ck_assert_int_eq(stat_read(STAT_saved_list) - saved, 1);
	ck_assert_int_eq(
	    meta_lookup_fast(meta, str_of("a/"), str_of("one"), &a), 0);
	ck_assert(a.object && a.st.size == 1);
	ck_assert_int_eq(meta_lookup_fast(meta, str_of("a/"), str_of("no"), &a),
			 -ENOENT);
	ck_assert_int_eq(a.until, a.taken + FOREVER);
	listing_unref(l);
	listing_unref(again);
	check_asked(0, 0);
}
END_TEST

START_TEST(enoent_is_believed_for_its_time_and_no_longer)
{
	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	ck_assert_int_eq(look("a/", "absent"), -ENOENT);
	check_asked(1, 1);
	put("a/absent", 1);
	ck_assert_int_eq(look("a/", "absent"), -ENOENT);
	check_asked(0, 0);
	/* Its time is nothing: not even a fresh listing's word counts. */
	start(CONSISTENCY_TTL, FOREVER, 0);
	ck_assert_int_eq(list("b/"), 0);
	ck_assert_int_eq(look("b/", "absent"), -ENOENT);
	check_asked(1, 2);
	put("b/absent", 1);
	ck_assert_int_eq(look("b/", "absent"), 0);
	ck_assert_int_eq(look("b/", "three"), 0);
	check_asked(1, 1);
}
END_TEST

START_TEST(strict_believes_nothing_remembered)
{
	struct listing *l;
	struct meta_answer a;

	start(CONSISTENCY_STRICT, FOREVER, FOREVER);
	for (int i = 0; i < 7; i++) {
		ck_assert_int_eq(lookup("a/", "one", &a), 0);
		ck_assert(a.until <= clock_ns());
		check_asked(1, 1);
		ck_assert_int_eq(lookup("a/", "no", &a), -ENOENT);
		ck_assert(a.until <= clock_ns());
		check_asked(1, 1);
		ck_assert_int_eq(list("a/"), 0);
		check_asked(0, 1);
	}
	ck_assert_int_eq(meta_list_fast(meta, str_of("a/"), &l), -EAGAIN);
	ck_assert_int_eq(
	    meta_lookup_fast(meta, str_of("a/"), str_of("one"), &a), -EAGAIN);
}
END_TEST

START_TEST(an_expired_listing_is_taken_anew_by_the_first_lookup)
{
	start(CONSISTENCY_TTL, 0, 0);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 1);
	ck_assert_int_eq(look("a/", "one"), 0);
	check_asked(0, 1); /* a LIST, no HEAD: S6 */
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 1);
}
END_TEST

START_TEST(a_missing_directory_is_enoent_and_an_empty_root_is_not)
{
	struct listing *l;

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	ck_assert_int_eq(list("none/"), -ENOENT);
	ck_assert_int_eq(list("a/empty/"), 0);
	store.n = 0;
	ck_assert_int_eq(meta_list(meta, STR_EMPTY, &l, NULL), 0);
	ck_assert_uint_eq(listing_entries(l), 0);
	listing_unref(l);
}
END_TEST

START_TEST(keys_longer_than_any_store_has_are_not_asked_for)
{
	char dir[UFS_KEY_MAX + 1], *name = dir;
	struct meta_answer a;
	struct ufs_stat st;

	memset(dir, 'x', sizeof(dir));
	dir[UFS_KEY_MAX - 1] = '/';
	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	ck_assert_int_eq(meta_lookup(meta, (struct str){ dir, UFS_KEY_MAX },
				     (struct str){ name, 1 }, &a, NULL),
			 -ENOENT);
	ck_assert_int_eq(meta_lookup(meta, STR_EMPTY,
				     (struct str){ name, UFS_KEY_MAX + 1 }, &a,
				     NULL),
			 -ENOENT);
	ck_assert_int_eq(meta_stat_now(meta,
				       (struct str){ name, UFS_KEY_MAX + 1 },
				       &st, NULL),
			 -ENOENT);
	check_asked(0, 0);
	/* Of the longest key no directory can be. */
	ck_assert_int_eq(meta_lookup(meta, STR_EMPTY,
				     (struct str){ name, UFS_KEY_MAX - 1 }, &a,
				     NULL),
			 -ENOENT);
	check_asked(1, 1);
}
END_TEST

#define CALLERS 12

START_TEST(concurrent_questions_that_are_the_same_cost_one_request)
{
	struct caller c[CALLERS];

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.hold_head = store.hold_list = true;
	call(&c[0], _i == 0 ? LOOKUP : LIST, "a/", "one");
	wait_for(&store.lists, 1);
	for (int i = 1; i < CALLERS; i++)
		call(&c[i], _i == 0 ? LOOKUP : LIST, "a/", "one");
	wait_for_waiters(CALLERS);
	set(&store.hold_head, false);
	set(&store.hold_list, false);
	for (int i = 0; i < CALLERS; i++)
		ck_assert_int_eq(join(&c[i]), 0);
	if (_i == 1)
		check_asked(0, 1);
	else
		check_asked(1, 2); /* of the name, and of the directory */
}
END_TEST

START_TEST(a_lookup_waits_for_a_listing_under_way)
{
	struct caller c[3];

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.hold_list = true;
	call(&c[0], LIST, "a/", NULL);
	wait_for(&store.lists, 1);
	call(&c[1], LOOKUP, "a/", "one");
	call(&c[2], LOOKUP, "a/", "no");
	wait_for_waiters(3);
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c[0]), 0);
	ck_assert_int_eq(join(&c[1]), 0);
	ck_assert_int_eq(join(&c[2]), -ENOENT);
	check_asked(0, 1);
}
END_TEST

START_TEST(strict_questions_join_only_what_has_not_begun)
{
	struct caller c[2];

	start(CONSISTENCY_STRICT, 0, 0);
	store.hold_head = true;
	call(&c[0], _i == 0 ? STAT : LOOKUP, "a/one", "");
	wait_for(&store.heads, 1);
	call(&c[1], _i == 0 ? STAT : LOOKUP, "a/one", "");
	wait_for(&store.heads, 2);
	set(&store.hold_head, false);
	ck_assert_int_eq(join(&c[0]), 0);
	ck_assert_int_eq(join(&c[1]), 0);
}
END_TEST

START_TEST(A3_a_failure_is_told_to_all_who_wait_and_then_forgotten)
{
	static const int errors[] = { -EIO, -ETIMEDOUT, -EHOSTUNREACH,
				      -EACCES };
	struct caller c[CALLERS];
	int err = errors[_i / 2];
	enum what what = _i % 2 == 0 ? LIST : STAT;
	const char *dir = what == LIST ? "a/" : "a/one";

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.hold_head = store.hold_list = true;
	store.fail_head = store.fail_list = err;
	for (int i = 0; i < CALLERS; i++)
		call(&c[i], what, dir, "one");
	wait_for_waiters(CALLERS);
	set(&store.hold_head, false);
	set(&store.hold_list, false);
	for (int i = 0; i < CALLERS; i++)
		ck_assert_int_eq(join(&c[i]), err);
	ck_assert_int_eq(look("a/", "one"), err);
	store.fail_head = store.fail_list = 0;
	ck_assert_int_eq(look("a/", "one"), 0);
	ck_assert_int_eq(list("a/"), 0);
}
END_TEST

START_TEST(A23_enoent_from_half_a_listing_is_never_believed)
{
	put_many("c/", 2500);
	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.fail_page = 2;
	ck_assert_int_eq(list("c/"), -EIO);
	check_asked(0, 2);
	ck_assert_int_eq(look("c/", "00002400"), 0);
	check_asked(1, 1);
	store.fail_page = 3;
	ck_assert_int_eq(list("c/"), -EIO);
	ck_assert_int_eq(list("c/"), 0);
	check_asked(0, 6);
	ck_assert_int_eq(look("c/", "00002400"), 0);
	check_asked(0, 0);
}
END_TEST

START_TEST(A23_a_repeated_token_is_an_error_and_an_empty_page_is_none)
{
	put_many("c/", 10);
	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.empty_pages = true;
	ck_assert_int_eq(look("c/", "00000001"), 0);
	ck_assert_int_eq(look("", "c"), 0);
	ck_assert_int_eq(list("c/"), 0);
	store.same_token = true;
	store.n = 0;
	ck_assert_int_eq(look("d/", "x"), -EIO);
	ck_assert_int_eq(list("d/"), -EIO);
}
END_TEST

START_TEST(A24_what_the_heads_answer_says_counts)
{
	struct ufs_stat st;

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	ck_assert_int_eq(list("b/"), 0);
	store.n--; /* b/three is gone */
	ck_assert_int_eq(meta_stat_now(meta, str_of("b/three"), &st, NULL),
			 -ENOENT);
	meta_invalidate(meta, str_of("b/three"));
	ck_assert_int_eq(look("b/", "three"), -ENOENT);
}
END_TEST

START_TEST(who_may_only_head_or_only_list_sees_what_is_allowed)
{
	struct meta_answer a;

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.fail_list = -EACCES;
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(lookup("a/", "one", &a), 0);
		ck_assert(a.object && !a.dir);
	}
	ck_assert_int_eq(lookup("a/", "absent", &a), -EACCES);
	/* The refused LIST of the directory is not tried with each lookup. */
	ck_assert_uint_le(store.lists, 10);
	store.fail_list = 0;
	store.fail_head = -EACCES;
	ck_assert_int_eq(lookup("", "a", &a), 0);
	ck_assert(!a.object && a.dir);
	ck_assert_int_eq(lookup("", "absent", &a), -EACCES);
	store.fail_head = -EIO;
	ck_assert_int_eq(lookup("", "b", &a), -EIO);
}
END_TEST

START_TEST(a_cancelled_caller_leaves_at_once_and_the_others_stay)
{
	struct caller c[3];

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.hold_list = true;
	for (int i = 0; i < 3; i++)
		call(&c[i], LIST, "a/", NULL);
	wait_for_waiters(3);
	cancel_set(&c[0].cancel);
	ck_assert_int_eq(join(&c[0]), -ECANCELED);
	ck_assert_uint_eq(store.cancelled, 0);
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c[1]), 0);
	ck_assert_int_eq(join(&c[2]), 0);
	check_asked(0, 1);
}
END_TEST

START_TEST(what_nobody_waits_for_any_more_is_cancelled)
{
	struct caller c[2];

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.hold_list = true;
	for (int i = 0; i < 2; i++)
		call(&c[i], LIST, "a/", NULL);
	wait_for_waiters(2);
	wait_for(&store.lists, 1);
	for (int i = 0; i < 2; i++)
		cancel_set(&c[i].cancel);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(join(&c[i]), -ECANCELED);
	wait_for(&store.cancelled, 1);
	/* And who asks next does not join it. */
	set(&store.hold_list, false);
	ck_assert_int_eq(list("a/"), 0);
}
END_TEST

START_TEST(a_store_that_never_answers_is_waited_for_until_the_deadline)
{
	struct cache_conf conf = { .ufs = &store.ufs,
				   .consistency = CONSISTENCY_TTL,
				   .metadata_timeout = NSEC_PER_MSEC };
	struct ufs_stat st;

	ck_assert_int_eq(meta_new(&conf, NULL, &meta), 0);
	store.hold_head = store.hold_list = store.deaf = true;
	ck_assert_int_eq(look("a/", "one"), -ETIMEDOUT);
	ck_assert_int_eq(list("a/"), -ETIMEDOUT);
	ck_assert_int_eq(meta_stat_now(meta, str_of("a/one"), &st, NULL),
			 -ETIMEDOUT);
	set(&store.deaf, false);
}
END_TEST

START_TEST(a_very_large_directory_is_not_listed_for_a_lookup)
{
	put_many("c/", LOOKUP_LIST_MAX + 3000);
	start(_i == 0 ? CONSISTENCY_TTL : CONSISTENCY_IMMUTABLE, FOREVER, 0);
	store.hold_big = true;
	for (unsigned i = 0; i < META_LOOKUPS_BEFORE_LIST + 3; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%08u", i);
		ck_assert_int_eq(look("c/", name), 0);
	}
	/*
	 * It was tried once, given up where it had shown to be too large:
	 * in the page that waits, or before that was asked for.
	 */
	lock_take(&meta->lock);
	ck_assert(!flight_listing_locked(meta, str_of("c/")));
	lock_drop(&meta->lock);
	pthread_mutex_lock(&store.mutex);
	ck_assert_uint_le(store.big, 1);
	ck_assert_uint_le(store.lists - store.probes,
			  LOOKUP_LIST_MAX / 1000 + 2);
	ck_assert_uint_eq(store.heads, META_LOOKUPS_BEFORE_LIST + 3);
	pthread_mutex_unlock(&store.mutex);
	set(&store.hold_big, false);
	/* Who lists the directory gets it all, and then it answers. */
	ck_assert_int_eq(list("c/"), 0);
	store.heads = store.lists = 0;
	ck_assert_int_eq(look("c/", "00000099"), 0);
	check_asked(0, 0);
}
END_TEST

START_TEST(B5_a_lookup_does_not_join_those_who_wait_for_a_stalled_disk)
{
	struct timespec stall = { .tv_nsec = 300000000 };
	int64_t began;

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	ck_assert_int_eq(list("b/"), 0);
	start(CONSISTENCY_TTL, FOREVER, FOREVER); /* only the disk has them */
	for (int i = 0; i < GATE_MAX - 1; i++)
		ck_assert(gate_enter(&meta->gate));
	store.heads = store.lists = 0;
	ck_assert_int_eq(look("a/", "one"), 0); /* one more may enter */
	check_asked(0, 0);
	ck_assert(gate_enter(&meta->gate));
	began = clock_ns();
	ck_assert_int_eq(look("b/", "three"), 0);
	ck_assert_int_lt(clock_ns() - began, 10 * NSEC_PER_SEC);
	ck_assert_uint_gt(store.heads, 0);
	nanosleep(&stall, NULL);
	ck_assert(!gate_enter(&meta->gate)); /* it is known to stall */
	for (int i = 0; i < GATE_MAX; i++)
		gate_leave(&meta->gate);
	ck_assert(gate_enter(&meta->gate));
	gate_leave(&meta->gate);
}
END_TEST

START_TEST(immutable_never_asks_again_what_this_host_knew)
{
	struct meta_answer a;

	start(CONSISTENCY_IMMUTABLE, 0, 0);
	ck_assert_int_eq(look("a/", "one"), 0);
	check_asked(0, 1);                  /* the whole directory at once */
	start(CONSISTENCY_IMMUTABLE, 0, 0); /* the next mount */
	store.fail_head = store.fail_list = -EHOSTUNREACH;
	ck_assert_int_eq(lookup("a/", "one", &a), 0);
	ck_assert(a.until == INT64_MAX);
	ck_assert_int_eq(lookup("a/", "two", &a), 0);
	ck_assert_int_eq(lookup("a/", "no", &a), -ENOENT);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 0);
	ck_assert_int_eq(list("b/"), -EHOSTUNREACH);
}
END_TEST

START_TEST(a_fresh_listing_on_the_disk_serves_the_next_mount)
{
	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 1);
	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	ck_assert_int_eq(look("a/", "one"), 0);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 0);
	/* Under strict it does not count. */
	start(CONSISTENCY_STRICT, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 1);
}
END_TEST

START_TEST(an_object_is_recalled_at_any_age_without_the_store)
{
	struct meta_answer a;

	start(CONSISTENCY_TTL, 1, 1); /* over at once */
	ck_assert_int_eq(meta_recall(meta, str_of("a/"), str_of("one"), &a),
			 -EAGAIN);
	check_asked(0, 0);
	ck_assert_int_eq(look("a/", "one"), 0);
	check_asked(1, 1);
	ck_assert_int_eq(meta_recall(meta, str_of("a/"), str_of("one"), &a), 0);
	ck_assert(a.object && a.until <= clock_ns());
	ck_assert_int_eq(look("a/", "no"), -ENOENT);
	check_asked(1, 1);
	ck_assert_int_eq(meta_recall(meta, str_of("a/"), str_of("no"), &a),
			 -EAGAIN);
	ck_assert_int_eq(meta_recall(meta, str_of("a/"), str_of("two"), &a),
			 -EAGAIN);
	/* Of a listing, by this mount and by the next. */
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 1);
	ck_assert_int_eq(meta_recall(meta, str_of("a/"), str_of("two"), &a), 0);
	start(CONSISTENCY_TTL, 1, 1);
	ck_assert_int_eq(meta_recall(meta, str_of("a/"), str_of("two"), &a), 0);
	ck_assert(a.object && a.until <= clock_ns());
	meta_invalidate(meta, str_of("a/two"));
	ck_assert_int_eq(meta_recall(meta, str_of("a/"), str_of("two"), &a),
			 -EAGAIN);
	check_asked(0, 0);
	/* Under strict, too, where it counts for nothing else. */
	start(CONSISTENCY_STRICT, 0, 0);
	ck_assert_int_eq(look("a/", "one"), 0);
	check_asked(1, 1);
	ck_assert_int_eq(meta_recall(meta, str_of("a/"), str_of("one"), &a), 0);
	ck_assert(a.object && a.until <= clock_ns());
	check_asked(0, 0);
	ck_assert_int_eq(look("a/", "one"), 0);
	check_asked(1, 1);
}
END_TEST

START_TEST(listings_of_other_credentials_are_not_seen)
{
	char other[] = "someone else";

	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 1);
	store.ufs.access = other;
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 1);
	meta_free(meta);
	meta = NULL;
}
END_TEST

START_TEST(an_invalidated_file_is_asked_for_anew)
{
	start(_i == 0 ? CONSISTENCY_TTL : CONSISTENCY_IMMUTABLE, FOREVER,
	      FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	ck_assert_int_eq(list("b/"), 0);
	ck_assert_int_eq(look("a/", "new"), -ENOENT);
	put("a/new", 1);
	check_asked(0, 2);
	meta_invalidate(meta, str_of("a/new"));
	ck_assert_int_eq(look("a/", "new"), 0);
	ck_assert_int_eq(look("b/", "three"), 0);
	pthread_mutex_lock(&store.mutex);
	ck_assert_uint_eq(store.lists, 1);
	pthread_mutex_unlock(&store.mutex);
}
END_TEST

START_TEST(an_invalidated_tree_is_asked_for_anew_at_every_depth)
{
	static const char *const invalid[] = { "a", "a/", "", "a/sub" };

	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list(""), 0);
	ck_assert_int_eq(list("a/"), 0);
	ck_assert_int_eq(list("a/sub/"), 0);
	ck_assert_int_eq(list("a/sub/deep/"), 0);
	/* Another mount: all it knows is on the disk. */
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	check_asked(0, 4);
	meta_invalidate(meta, str_of(invalid[_i]));
	if (_i % 2 == 0) /* and the mount after it */
		start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/sub/deep/"), 0);
	check_asked(0, 1);
	ck_assert_int_eq(list("a/sub/"), 0);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 2);
	ck_assert_int_eq(list(""), 0);
	check_asked(0, _i == 3 ? 0 : 1);
}
END_TEST

START_TEST(a_listing_that_no_other_leads_to_is_not_believed_either)
{
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/sub/deep/"), 0);
	check_asked(0, 1);
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	meta_invalidate(meta, str_of("a"));
	ck_assert_int_eq(look("a/sub/deep/", "y"), 0);
	check_asked(0, 1);
	/* What was asked after the invalidation is believed. */
	ck_assert_int_eq(look("a/sub/deep/", "y"), 0);
	check_asked(0, 0);
}
END_TEST

/*
 * Neither is it by the next mount, nor by the one after the machine was booted
 * (no listing that is older has a time then).
 */
START_TEST(S7_what_was_invalidated_is_not_believed_by_the_next_mount)
{
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/sub/deep/"), 0);
	ck_assert_int_eq(list("b/"), 0);
	check_asked(0, 2);
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	meta_invalidate(meta, str_of("a"));
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/sub/deep/"), 0);
	check_asked(0, 1);
	/* The rest is, and so is what was asked since. */
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/sub/deep/"), 0);
	ck_assert_int_eq(list("b/"), 0);
	check_asked(0, 0);
}
END_TEST

/* A note that cannot be read may have said anything: nothing is believed. */
START_TEST(a_spoilt_note_of_what_was_invalidated_forbids_all_that_is_older)
{
	char cmd[128];

	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("b/"), 0);
	meta_invalidate(meta, str_of("a"));
	snprintf(cmd, sizeof(cmd), "truncate -s -%d %s/forgotten-*", 1 + _i,
		 tmp);
	ck_assert_int_eq(system(cmd), 0);
	check_asked(0, 1);
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("b/"), 0);
	check_asked(0, 1);
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("b/"), 0);
	check_asked(0, 0);
}
END_TEST

START_TEST(more_invalidations_than_are_remembered_are_none_forgotten)
{
	char key[32];

	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/sub/"), 0);
	ck_assert_int_eq(list("b/"), 0);
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	meta_invalidate(meta, str_of("a"));
	for (unsigned i = 0; i < 3 * RULES_MAX; i++) {
		snprintf(key, sizeof(key), "c/d%u/e%u", i % 50, i);
		meta_invalidate(meta, str_of(key));
	}
	check_asked(0, 2);
	ck_assert_int_eq(list("a/sub/"), 0);
	check_asked(0, 1);
}
END_TEST

START_TEST(what_was_being_asked_when_it_was_invalidated_is_not_kept)
{
	struct caller c[2];

	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	store.hold_list = true;
	call(&c[0], LIST, "a/", NULL);
	wait_for(&store.lists, 1);
	meta_invalidate(meta, str_of("a/one"));
	call(&c[1], LIST, "a/", NULL); /* does not join it */
	wait_for(&store.lists, 2);
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c[0]), 0);
	ck_assert_int_eq(join(&c[1]), 0);
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	store.hold_list = true;
	store.lists = 0;
	meta_invalidate(meta, str_of("b"));
	call(&c[0], LIST, "b/", NULL);
	wait_for(&store.lists, 1);
	meta_invalidate(meta, str_of("b"));
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c[0]), 0);
	store.lists = 0;
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("b/"), 0);
	check_asked(0, 1);
}
END_TEST

START_TEST(B4_a_disk_that_takes_nothing_costs_no_error_and_no_request)
{
	struct listing *l;

	put_many("c/", 5000);
	open_disk(KIB(4));
	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	ck_assert_int_eq(meta_list(meta, str_of("c/"), &l, NULL), 0);
	ck_assert_uint_eq(listing_entries(l), 5000);
	listing_unref(l);
	ck_assert_int_eq(look("c/", "00004999"), 0);
	check_asked(0, 5);
}
END_TEST

static int flip_cb(const char *path, const struct stat *st, int flag,
		   struct FTW *ftw)
{
	size_t n = strlen(path);
	char byte;
	int fd;

	(void)ftw;
	if (flag != FTW_F || n < 4 || strcmp(path + n - 4, ".lst") != 0)
		return 0;
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, 140), 1);
	byte ^= 1;
	ck_assert_int_eq(pwrite(fd, &byte, 1, 140), 1);
	close(fd);
	(void)st;
	return 0;
}

START_TEST(B5_a_listing_that_rotted_is_asked_for_anew)
{
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	nftw(tmp, flip_cb, 16, FTW_PHYS);
	ck_assert_int_eq(look("a/", "one"), 0);
	ck_assert_int_eq(look("a/", "two"), 0);
	check_asked(0, 2);
}
END_TEST

START_TEST(more_directories_than_are_held_open_are_all_right)
{
	char key[32], dir[16];

	for (unsigned i = 0; i < 3 * DIRS_MIN; i++) {
		snprintf(key, sizeof(key), "d%03u/file", i);
		put(key, i + 1);
	}
	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	for (int round = 0; round < 2; round++)
		for (unsigned i = 0; i < 3 * DIRS_MIN; i++) {
			struct meta_answer a;

			snprintf(dir, sizeof(dir), "d%03u/", i);
			ck_assert_int_eq(list(dir), 0);
			ck_assert_int_eq(lookup(dir, "file", &a), 0);
			ck_assert_uint_eq(a.st.size, i + 1);
		}
	/* The second round found them on the disk. */
	check_asked(0, 3 * DIRS_MIN);
}
END_TEST

START_TEST(more_absent_names_than_are_remembered_are_asked_again)
{
	char name[32];

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.fail_list = -EACCES; /* so that no listing is taken */
	ck_assert_int_eq(look("a/", "one"), 0);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		ck_assert_int_eq(look("a/", name), -EACCES);
	}
	lock_take(&meta->lock);
	for (unsigned i = 0; i < 3 * KNOWN_MAX; i++) {
		struct drops drops = { 0 };
		const struct known *k;

		snprintf(name, sizeof(name), "x/n%u", i % 10000);
		ck_assert(known_add_locked(meta, str_of(name), 2, i + 1, NULL,
					   false, false, &drops));
		ck_assert_uint_eq(drops.n, 0);
		k = known_find_locked(meta, str_of(name));
		ck_assert_ptr_nonnull(k);
		ck_assert_int_eq(k->taken, i + 1);
	}
	lock_drop(&meta->lock);
}
END_TEST

struct worker {
	pthread_t thread;
	uint64_t seed;
	bool wrong;
};

static void *work_main(void *arg)
{
	static const char *const dirs[] = { "", "a/", "a/sub/", "b/" };
	static const char *const names[] = { "one", "sub", "a", "three", "no" };
	struct worker *w = arg;

	for (int i = 0; i < 400; i++) {
		const char *dir, *name;
		struct meta_answer a;
		int r;

		w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
		dir = dirs[(w->seed >> 33) % 4];
		name = names[(w->seed >> 37) % 5];
		switch ((w->seed >> 41) % 8) {
		case 0:
			meta_invalidate(meta, str_of(name));
			break;
		case 1:
			w->wrong |= list(dir) != 0;
			break;
		default:
			r = lookup(dir, name, &a);
			if (strcmp(dir, "a/") == 0 && strcmp(name, "one") == 0)
				w->wrong |= r != 0 || a.st.size != 1;
			w->wrong |= r != 0 && r != -ENOENT;
		}
	}
	return NULL;
}

START_TEST(many_threads_ask_list_and_invalidate)
{
	struct worker w[6];

	start((enum consistency)_i, _i == 1 ? NSEC_PER_MSEC : FOREVER,
	      NSEC_PER_MSEC);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct worker){ .seed = i + 1 };
		pthread_create(&w[i].thread, NULL, work_main, &w[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		pthread_join(w[i].thread, NULL);
		ck_assert(!w[i].wrong);
	}
}
END_TEST

static void add_both(TCase *t)
{
	tcase_add_loop_test(
	    t, a_lookup_tells_objects_directories_both_and_neither, 0, 2);
	tcase_add_loop_test(t, the_markers_data_is_found_under_the_empty_name,
			    0, 2);
	tcase_add_test(t, after_a_few_lookups_the_directory_is_listed_instead);
	tcase_add_test(
	    t, a_fresh_listing_answers_lookups_and_listings_without_a_request);
	tcase_add_test(t, enoent_is_believed_for_its_time_and_no_longer);
	tcase_add_test(t, strict_believes_nothing_remembered);
	tcase_add_test(t, an_expired_listing_is_taken_anew_by_the_first_lookup);
	tcase_add_test(t,
		       a_missing_directory_is_enoent_and_an_empty_root_is_not);
	tcase_add_test(t, keys_longer_than_any_store_has_are_not_asked_for);
	tcase_add_loop_test(
	    t, concurrent_questions_that_are_the_same_cost_one_request, 0, 2);
	tcase_add_test(t, a_lookup_waits_for_a_listing_under_way);
	tcase_add_loop_test(t, strict_questions_join_only_what_has_not_begun, 0,
			    2);
	tcase_add_loop_test(
	    t, A3_a_failure_is_told_to_all_who_wait_and_then_forgotten, 0, 8);
	tcase_add_test(t, A23_enoent_from_half_a_listing_is_never_believed);
	tcase_add_test(
	    t, A23_a_repeated_token_is_an_error_and_an_empty_page_is_none);
	tcase_add_test(t, A24_what_the_heads_answer_says_counts);
	tcase_add_test(t, who_may_only_head_or_only_list_sees_what_is_allowed);
	tcase_add_test(t,
		       a_cancelled_caller_leaves_at_once_and_the_others_stay);
	tcase_add_test(t, what_nobody_waits_for_any_more_is_cancelled);
	tcase_add_test(
	    t, a_store_that_never_answers_is_waited_for_until_the_deadline);
	tcase_add_loop_test(
	    t, a_very_large_directory_is_not_listed_for_a_lookup, 0, 2);
	tcase_add_loop_test(t, an_invalidated_file_is_asked_for_anew, 0, 2);
	tcase_add_test(t,
		       more_absent_names_than_are_remembered_are_asked_again);
	tcase_add_loop_test(t, many_threads_ask_list_and_invalidate, 0, 3);
	tcase_set_timeout(t, 120);
}

int main(void)
{
	TCase *in_memory = tcase_create("memory");
	TCase *t = tcase_create("disk");

	tcase_add_checked_fixture(in_memory, setup, teardown);
	add_both(in_memory);
	tcase_add_checked_fixture(t, setup_with_disk, teardown);
	add_both(t);
	tcase_add_test(
	    t, B5_a_lookup_does_not_join_those_who_wait_for_a_stalled_disk);
	tcase_add_test(t, immutable_never_asks_again_what_this_host_knew);
	tcase_add_test(t, a_fresh_listing_on_the_disk_serves_the_next_mount);
	tcase_add_test(t, an_object_is_recalled_at_any_age_without_the_store);
	tcase_add_test(t, listings_of_other_credentials_are_not_seen);
	tcase_add_loop_test(
	    t, an_invalidated_tree_is_asked_for_anew_at_every_depth, 0, 4);
	tcase_add_test(t,
		       a_listing_that_no_other_leads_to_is_not_believed_either);
	tcase_add_test(
	    t, S7_what_was_invalidated_is_not_believed_by_the_next_mount);
	tcase_add_loop_test(
	    t, a_spoilt_note_of_what_was_invalidated_forbids_all_that_is_older,
	    0, 9);
	tcase_add_test(
	    t, more_invalidations_than_are_remembered_are_none_forgotten);
	tcase_add_test(
	    t, what_was_being_asked_when_it_was_invalidated_is_not_kept);
	tcase_add_test(
	    t, B4_a_disk_that_takes_nothing_costs_no_error_and_no_request);
	tcase_add_test(t, B5_a_listing_that_rotted_is_asked_for_anew);
	tcase_add_test(t, more_directories_than_are_held_open_are_all_right);
	return RUN_CASES(in_memory, t);
}
