/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_meta_made.c - what this mount itself changed is known at once
 *
 * Here the store changes first, as it does in a mount, and then meta is told.
 */
#include "tests/unit/meta_store.h"
#include "tests/unit/run.h"

/* The object of that key has this size from now on; 0: it is gone. */
static void change(const char *key, uint64_t size)
{
	bool found = false;

	pthread_mutex_lock(&store.mutex);
	for (size_t i = 0; i < store.n && !found; i++) {
		if (strcmp(store.objects[i].key, key) != 0)
			continue;
		found = true;
		store.objects[i].size = size;
		if (size == 0)
			memmove(&store.objects[i], &store.objects[i + 1],
				(--store.n - i) * sizeof(*store.objects));
	}
	pthread_mutex_unlock(&store.mutex);
	if (!found && size > 0)
		put(key, size);
}

static void told(struct meta *m, const char *dir, const char *name,
		 uint64_t size, bool is_dir)
{
	struct object o = { .size = size };
	struct ufs_stat st;

	stat_of(&o, &st);
	meta_made(m, str_of(dir), str_of(name), size > 0 ? &st : NULL, is_dir);
}

/* Both: a file of that size, or none. */
static void made(const char *dir, const char *name, uint64_t size)
{
	char key[64];

	snprintf(key, sizeof(key), "%s%s", dir, name);
	change(key, size);
	told(meta, dir, name, size, false);
}

static int fast(const char *dir, const char *name, struct meta_answer *a)
{
	return meta_lookup_fast(meta, str_of(dir), str_of(name), a);
}

/* By a lookup of the usual kind, and of both others: a file of this size. */
static void check_file(const char *dir, const char *name, uint64_t size)
{
	struct meta_answer a;

	ck_assert_int_eq(fast(dir, name, &a), 0);
	ck_assert(a.object && !a.dir && a.st.size == size);
	ck_assert_int_eq(lookup(dir, name, &a), 0);
	ck_assert(a.object && !a.dir && a.st.size == size);
	ck_assert_int_eq(meta_recall(meta, str_of(dir), str_of(name), &a), 0);
	ck_assert(a.object && a.st.size == size);
}

static void check_absent(const char *dir, const char *name)
{
	struct meta_answer a;

	ck_assert_int_eq(fast(dir, name, &a), -ENOENT);
	ck_assert_int_eq(lookup(dir, name, &a), -ENOENT);
	ck_assert_int_eq(meta_recall(meta, str_of(dir), str_of(name), &a),
			 -EAGAIN);
}

static const enum consistency kinds[] = { CONSISTENCY_TTL,
					  CONSISTENCY_IMMUTABLE };

/* _i / 2: nothing was known of the names; they were asked for; listed. */
START_TEST(S1_what_was_made_is_known_at_once_whatever_was_known_before)
{
	start(kinds[_i % 2], FOREVER, FOREVER);
	if (_i / 2 == 1) {
		ck_assert_int_eq(look("a/", "new"), -ENOENT);
		ck_assert_int_eq(look("a/", "one"), 0);
		ck_assert_int_eq(look("a/", "two"), 0);
	} else if (_i / 2 == 2) {
		ck_assert_int_eq(list("a/"), 0);
	}
	made("a/", "new", 100);
	made("a/", "one", 200);
	made("a/", "two", 0);
	store.heads = store.lists = 0;
	check_file("a/", "new", 100);
	check_file("a/", "one", 200);
	check_absent("a/", "two");
	made("a/", "new", 0);
	made("a/", "two", 300);
	check_absent("a/", "new");
	check_file("a/", "two", 300);
	check_asked(0, 0);
}
END_TEST

START_TEST(what_was_made_is_believed_as_if_it_had_been_asked_just_then)
{
	int64_t before = clock_ns();
	struct meta_answer a;

	start(CONSISTENCY_TTL, FOREVER, FOREVER / 2);
	made("a/", "new", 100);
	ck_assert_int_eq(fast("a/", "new", &a), 0);
	ck_assert_int_ge(a.taken, before);
	ck_assert_int_le(a.taken, clock_ns());
	ck_assert_int_eq(a.until, a.taken + FOREVER);
	made("a/", "new", 0);
	ck_assert_int_eq(fast("a/", "new", &a), -ENOENT);
	ck_assert_int_ge(a.taken, before);
	ck_assert_int_eq(a.until, a.taken + FOREVER / 2);
	/* For no time at all: then the store is asked. */
	start(CONSISTENCY_TTL, 0, 0);
	made("b/", "new", 100);
	ck_assert_int_eq(look("b/", "new"), 0);
	made("b/", "new", 0);
	ck_assert_int_eq(look("b/", "new"), -ENOENT);
	check_asked(2, 2);
}
END_TEST

/* The listing is believed for longer than an absence. */
START_TEST(S4_a_removed_name_does_not_come_back_when_its_time_is_over)
{
	start(CONSISTENCY_TTL, FOREVER, 0);
	ck_assert_int_eq(list("a/"), 0);
	made("a/", "one", 0);
	store.heads = store.lists = 0;
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(look("a/", "one"), -ENOENT);
		ck_assert_uint_gt(store.heads + store.lists, 0);
		store.heads = store.lists = 0;
	}
	/* Asked for or not, others see what the store has. */
	change("a/one", 7);
	ck_assert_int_eq(look("a/", "one"), 0);
}
END_TEST

START_TEST(what_was_asked_after_the_change_counts_for_more)
{
	start(kinds[_i], FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	made("a/", "one", 100);
	made("a/", "two", 0);
	change("a/one", 200); /* by another */
	change("a/two", 300);
	check_file("a/", "one", 100);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 2);
	check_file("a/", "one", 200);
	check_file("a/", "two", 300);
	check_asked(0, 0);
}
END_TEST

START_TEST(strict_asks_for_what_was_made_as_for_all_else)
{
	struct meta_answer a;

	start(CONSISTENCY_STRICT, FOREVER, FOREVER);
	made("a/", "new", 100);
	ck_assert_int_eq(fast("a/", "new", &a), -EAGAIN);
	ck_assert_int_eq(lookup("a/", "new", &a), 0);
	ck_assert_uint_eq(a.st.size, 100);
	made("a/", "new", 0);
	ck_assert_int_eq(look("a/", "new"), -ENOENT);
	check_asked(2, 2);
}
END_TEST

/* _i: a lookup of the name; one that waits for the listing; no belief. */
START_TEST(an_answer_that_was_asked_for_before_does_not_count)
{
	struct caller c;

	start(CONSISTENCY_TTL, _i == 2 ? 0 : FOREVER, FOREVER);
	store.hold_head = store.hold_list = true;
	store.deaf = true;
	if (_i == 1) {
		call(&c, LIST, "a/", NULL);
		wait_for(&store.lists, 1);
		/* The store answers by what is there when it is let go. */
		told(meta, "a/", "one", 100, false);
		told(meta, "a/", "two", 0, false);
		told(meta, "a/", "new", 200, false);
		set(&store.hold_list, false);
		ck_assert_int_eq(join(&c), 0);
		check_file("a/", "one", 100);
		check_absent("a/", "two");
		check_file("a/", "new", 200);
		/* It tells of the others. */
		ck_assert_int_eq(look("a/", "both"), 0);
		check_asked(0, 1);
		return;
	}
	call(&c, LOOKUP, "a/", "one");
	wait_for(&store.heads, 1);
	told(meta, "a/", "one", 100, false);
	set(&store.hold_head, false);
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c), 0);
	ck_assert_uint_eq(c.answer.st.size, 100);
	store.hold_head = store.hold_list = true;
	store.heads = 0;
	call(&c, LOOKUP, "a/", "two");
	wait_for(&store.heads, 1);
	told(meta, "a/", "two", 0, false);
	set(&store.hold_head, false);
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c), -ENOENT);
	if (_i == 0) {
		check_file("a/", "one", 100);
		check_absent("a/", "two");
	}
}
END_TEST

START_TEST(a_lookup_that_waits_for_a_listing_hears_of_what_was_made)
{
	struct caller c[2];

	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	store.hold_list = true;
	call(&c[0], LOOKUP, "a/", "one");
	call(&c[1], LOOKUP, "a/", "new");
	wait_for(&store.lists, 1);
	wait_for_waiters(2);
	told(meta, "a/", "one", 0, false);
	told(meta, "a/", "new", 100, false);
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c[0]), -ENOENT);
	ck_assert_int_eq(join(&c[1]), 0);
	ck_assert_uint_eq(c[1].answer.st.size, 100);
	check_asked(0, 1);
}
END_TEST

START_TEST(a_failure_is_none_for_who_asks_for_what_was_made_meanwhile)
{
	struct caller c;

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.hold_head = store.hold_list = true;
	store.fail_head = store.fail_list = -EIO;
	call(&c, LOOKUP, "a/", "new");
	wait_for(&store.heads, 1);
	told(meta, "a/", "new", 100, false);
	set(&store.hold_head, false);
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c), 0);
	ck_assert_uint_eq(c.answer.st.size, 100);
}
END_TEST

/* Who lists after the change does not get what was asked for before. */
START_TEST(a_listing_asked_for_before_the_change_is_waited_for_in_vain)
{
	struct caller c[2];
	struct listing *l;

	start(kinds[_i], FOREVER, FOREVER);
	store.hold_list = true;
	call(&c[0], LIST, "n/", NULL);
	wait_for(&store.lists, 1);
	told(meta, "", "n", 0, true);
	told(meta, "n/", "new", 100, false);
	call(&c[1], LIST, "n/", NULL);
	wait_for_waiters(2);
	pthread_mutex_lock(&store.mutex);
	store.hold_list = false;
	pthread_mutex_unlock(&store.mutex);
	/* The first was answered before the object was there. */
	ck_assert_int_eq(join(&c[0]), -ENOENT);
	ck_assert_int_eq(join(&c[1]), -ENOENT);
	check_asked(0, 2);
	change("n/new", 100);
	ck_assert_int_eq(meta_list_fast(meta, str_of("n/"), &l), -EAGAIN);
	ck_assert_int_eq(entries("n/"), 1);
	ck_assert_int_eq(entries("n/"), 1);
	check_asked(0, 1);
}
END_TEST

START_TEST(a_thousand_files_made_in_a_listed_directory_cost_no_request)
{
	struct meta_answer a;
	struct listing *l;
	char name[32];
	int before;

	start(kinds[_i], FOREVER, FOREVER);
	before = entries("a/");
	check_asked(0, 1);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "new%04u", i);
		ck_assert_int_eq(fast("a/", name, &a), -ENOENT);
		made("a/", name, i + 1);
		check_file("a/", name, i + 1);
		ck_assert_int_eq(fast("a/", "one", &a), 0);
		ck_assert_int_eq(meta_list_fast(meta, str_of("a/"), &l),
				 -EAGAIN);
	}
	check_asked(0, 0);
	/* All are in the next listing, which is taken once. */
	ck_assert_int_eq(entries("a/"), before + 1000);
	check_asked(0, 2);
	ck_assert_int_eq(entries("a/"), before + 1000);
	check_file("a/", "new0999", 1000);
	check_asked(0, 0);
}
END_TEST

START_TEST(of_a_handles_old_listing_nothing_is_believed_after_a_change)
{
	struct listing *l;

	start(kinds[_i], FOREVER, FOREVER);
	ck_assert_int_eq(meta_list(meta, str_of("a/"), &l, NULL), 0);
	ck_assert_int_ne(meta_listing_until(meta, str_of("a/"), l), 0);
	made("b/", "new", 100);
	ck_assert_int_ne(meta_listing_until(meta, str_of("a/"), l), 0);
	made("a/", "new", 100);
	ck_assert_int_eq(meta_listing_until(meta, str_of("a/"), l), 0);
	listing_unref(l);
}
END_TEST

/* A file deep below, as its maker tells: each level. */
START_TEST(the_levels_above_that_were_there_are_listed_without_a_request)
{
	int root, a;

	start(kinds[_i], FOREVER, FOREVER);
	root = entries("");
	a = entries("a/");
	ck_assert_int_eq(list("a/sub/"), 0);
	check_asked(0, 3);
	for (uint64_t i = 0; i < 10; i++) {
		made("a/sub/", "new", i + 1);
		told(meta, "a/", "sub", 0, true);
		told(meta, "", "a", 0, true);
		ck_assert_int_eq(entries(""), root);
		ck_assert_int_eq(entries("a/"), a);
	}
	check_asked(0, 0);
	ck_assert_int_eq(list("a/sub/"), 0);
	check_asked(0, 1);
	/* A change at one of these levels is not hidden by that. */
	made("a/", "new", 100);
	told(meta, "a/", "sub", 0, true);
	ck_assert_int_eq(entries("a/"), a + 1);
	check_asked(0, 1);
}
END_TEST

START_TEST(directories_that_a_file_implies_are_there_at_once)
{
	struct meta_answer a;

	start(kinds[_i / 2], FOREVER, FOREVER);
	if (_i % 2 == 1) {
		ck_assert_int_eq(list(""), 0);
	} else {
		ck_assert_int_eq(look("", "n"), -ENOENT);
		ck_assert_int_eq(look("n/", "m"), -ENOENT);
	}
	ck_assert_int_eq(list("n/m/"), -ENOENT);
	change("n/m/new", 100);
	told(meta, "n/m/", "new", 100, false);
	told(meta, "n/", "m", 0, true);
	told(meta, "", "n", 0, true);
	store.heads = store.lists = 0;
	ck_assert_int_eq(fast("", "n", &a), 0);
	ck_assert(a.dir && !a.object);
	ck_assert_int_eq(fast("n/", "m", &a), 0);
	ck_assert(a.dir && !a.object);
	check_file("n/m/", "new", 100);
	check_asked(0, 0);
	ck_assert_int_eq(entries("n/m/"), 1);
	ck_assert_int_eq(entries("n/"), 1);
	ck_assert_int_eq(entries(""), 3);
	check_asked(0, 3);
}
END_TEST

START_TEST(who_answers_for_the_store_hears_of_each_change)
{
	start(kinds[0], FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	made("a/", "one", 20);
	made("a/", "new", 3);
	/* What is found to be old was not changed here. */
	meta_gone(meta, str_of("a/two"));
	meta_invalidate(meta, str_of("b/three"));
	ck_assert_str_eq(store.made, "a/one a/new ");
	/* A directory comes: what is known below it is old as well. */
	told(meta, "a/", "dir", 0, true);
	ck_assert_str_eq(store.made, "a/one a/new a/dir a/dir/ ");
}
END_TEST

START_TEST(of_a_removed_directory_no_listing_is_left)
{
	struct listing *l;

	start(kinds[_i % 2], FOREVER, FOREVER);
	if (_i % 2 == 1)
		ck_assert_int_eq(list("a/"), 0);
	ck_assert_int_eq(list("a/empty/"), 0);
	pthread_mutex_lock(&store.mutex);
	for (size_t i = 0; i < store.n; i++)
		if (strcmp(store.objects[i].key, "a/empty/") == 0)
			strcpy(store.objects[i].key, "a/empty-no-more");
	pthread_mutex_unlock(&store.mutex);
	told(meta, "a/", "empty", 0, false);
	check_absent("a/", "empty");
	ck_assert_int_eq(meta_list_fast(meta, str_of("a/empty/"), &l), -EAGAIN);
	/* Nor for the next mount, should there be one again. */
	if (_i >= 2)
		start(kinds[_i % 2], FOREVER, FOREVER);
	ck_assert_int_eq(list("a/empty/"), -ENOENT);
}
END_TEST

/* More names than are remembered change in another directory. */
static void make_many(void)
{
	char name[32];

	for (unsigned i = 0; i < KNOWN_MAX; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		told(meta, "many/", name, 1, false);
	}
}

START_TEST(when_changes_have_to_leave_so_does_what_contradicts_them)
{
	start(kinds[_i], FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	ck_assert_int_eq(list("b/"), 0);
	made("a/", "one", 0);
	made("a/", "new", 100);
	make_many();
	check_asked(0, 2);
	ck_assert_int_eq(look("a/", "one"), -ENOENT);
	ck_assert_int_eq(look("a/", "new"), 0);
	ck_assert_uint_gt(store.heads + store.lists, 0);
	store.heads = store.lists = 0;
	/* Not what has nothing to do with them. */
	ck_assert_int_eq(look("b/", "three"), 0);
	check_asked(0, 0);
	ck_assert_uint_le(meta->ring_at, KNOWN_MAX);
}
END_TEST

START_TEST(nor_does_the_next_mount_believe_it)
{
	start(kinds[_i], FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	made("a/", "one", 0);
	make_many();
	start(kinds[_i], FOREVER, FOREVER);
	check_asked(0, 1);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 1);
	check_absent("a/", "one");
}
END_TEST

START_TEST(a_listing_under_way_is_not_kept_when_changes_had_to_leave)
{
	struct caller c;

	start(kinds[_i], FOREVER, FOREVER);
	store.hold_list = true;
	call(&c, LIST, "a/", NULL);
	wait_for(&store.lists, 1);
	told(meta, "a/", "one", 0, false);
	make_many();
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c), 0);
	change("a/one", 0);
	check_asked(0, 1);
	ck_assert_int_eq(look("a/", "one"), -ENOENT);
	ck_assert_uint_gt(store.heads + store.lists, 0);
}
END_TEST

START_TEST(more_changed_directories_than_are_remembered_are_listed_anew)
{
	char dir[32];
	int before;

	start(kinds[_i], FOREVER, FOREVER);
	before = entries("a/");
	made("a/", "new", 100);
	for (unsigned i = 0; i < MADE_MAX; i++) {
		snprintf(dir, sizeof(dir), "d%u/", i);
		told(meta, dir, "x", 1, false);
	}
	check_asked(0, 1);
	ck_assert_int_eq(entries("a/"), before + 1);
	ck_assert_int_eq(entries("a/"), before + 1);
	check_asked(0, 1);
}
END_TEST

/* _i % 3: who changed something is this kind of mount. */
START_TEST(S7_other_mounts_do_not_believe_a_listing_of_before_the_change)
{
	static const enum consistency all[] = { CONSISTENCY_TTL,
						CONSISTENCY_IMMUTABLE,
						CONSISTENCY_STRICT };
	struct meta *first;

	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	ck_assert_int_eq(list("a/sub/"), 0);
	ck_assert_int_eq(list("b/"), 0);
	start(all[_i % 3], FOREVER, FOREVER);
	first = take_ptr(meta);
	/* One that was there when it changed, or one that comes. */
	if (_i < 3)
		start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	change("a/one", 100);
	told(first, "a/", "one", 100, false);
	change("b/three", 0);
	told(first, "b/", "three", 0, false);
	if (_i >= 3)
		start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	check_asked(0, 3);
	ck_assert_int_eq(list("a/"), 0);
	check_file("a/", "one", 100);
	ck_assert_int_eq(look("b/", "three"), -ENOENT);
	check_asked(0, 2);
	/* It is only that directory's. */
	ck_assert_int_eq(list("a/sub/"), 0);
	check_asked(0, 0);
	meta_free(first);
}
END_TEST

/* A listing that is published after the change, and was asked for before. */
START_TEST(nor_one_that_came_late)
{
	struct meta *first, *second;
	struct caller c;

	start(kinds[_i % 2], FOREVER, FOREVER);
	first = take_ptr(meta);
	start(kinds[_i % 2], FOREVER, FOREVER);
	store.hold_list = true;
	call(&c, LIST, "a/", NULL);
	wait_for(&store.lists, 1);
	second = meta;
	meta = NULL;
	if (_i >= 2) /* it was there before */
		start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	told(first, "a/", "one", 100, false);
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c), 0);
	change("a/one", 100);
	if (_i < 2)
		start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	check_asked(0, 1);
	ck_assert_int_eq(list("a/"), 0);
	check_asked(0, 1);
	check_file("a/", "one", 100);
	meta_free(first);
	meta_free(second);
}
END_TEST

static unsigned listings;

static int count_cb(const char *path, const struct stat *st, int flag,
		    struct FTW *ftw)
{
	size_t n = strlen(path);

	(void)st;
	(void)flag;
	(void)ftw;
	listings += n > 4 && strcmp(path + n - 4, ".lst") == 0;
	return 0;
}

START_TEST(a_mount_does_not_leave_such_a_listing_behind)
{
	struct caller c;

	start(kinds[_i], FOREVER, FOREVER);
	store.hold_list = true;
	call(&c, LIST, "a/", NULL);
	wait_for(&store.lists, 1);
	told(meta, "a/", "one", 100, false);
	set(&store.hold_list, false);
	ck_assert_int_eq(join(&c), 0);
	change("a/one", 100);
	listings = 0;
	nftw(tmp, count_cb, 16, FTW_PHYS);
	ck_assert_uint_eq(listings, 0);
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	check_asked(0, 1);
	ck_assert_int_eq(look("a/", "one"), 0);
	check_asked(0, 1);
	check_file("a/", "one", 100);
}
END_TEST

static char note[320];

static int find_note(const char *path, const struct stat *st, int flag,
		     struct FTW *ftw)
{
	(void)st;
	(void)flag;
	if (strncmp(path + ftw->base, "forgotten-", 10) == 0)
		snprintf(note, sizeof(note), "%s", path);
	return 0;
}

START_TEST(a_note_that_could_not_be_written_is_owed)
{
	struct meta *first;

	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(list("a/"), 0);
	ck_assert_int_eq(list("a/sub/"), 0);
	ck_assert_int_eq(list("b/"), 0);
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	meta_invalidate(meta, str_of("no")); /* makes it */
	nftw(tmp, find_note, 16, FTW_PHYS);
	ck_assert_int_eq(unlink(note), 0);
	ck_assert_int_eq(mkdir(note, 0700), 0);
	made("a/", "one", 100);
	check_asked(0, 3);
	/* As long as it is, nothing there is believed. */
	ck_assert_int_eq(list("a/sub/"), 0);
	check_asked(0, 1);
	ck_assert_int_eq(rmdir(note), 0);
	ck_assert_int_eq(list("b/"), 0);
	check_asked(0, 1);
	first = take_ptr(meta);
	if (_i == 0)
		told(first, "b/", "x", 1, false);
	else
		meta_free(take_ptr(first));
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	ck_assert_int_eq(look("a/", "one"), 0);
	check_asked(0, 1);
	check_file("a/", "one", 100);
	meta_free(first);
}
END_TEST

START_TEST(immutable_takes_what_was_made_for_what_it_always_knew)
{
	start(CONSISTENCY_IMMUTABLE, 0, 0);
	ck_assert_int_eq(list("a/"), 0);
	made("a/", "one", 100);
	made("a/", "two", 0);
	made("a/", "new", 200);
	change("a/one", 300); /* by another */
	change("a/two", 400);
	check_asked(0, 1);
	check_file("a/", "one", 100);
	check_absent("a/", "two");
	check_file("a/", "new", 200);
	check_asked(0, 0);
	/* Until that is asked for. */
	meta_invalidate(meta, str_of("a"));
	ck_assert_int_eq(list("a/"), 0);
	check_file("a/", "one", 300);
	check_file("a/", "two", 400);
}
END_TEST

static char changes[512];

static void note_change(struct ufs *u, struct str key, bool tree)
{
	(void)u;
	ck_assert(!tree);
	snprintf(changes + strlen(changes), sizeof(changes) - strlen(changes),
		 "%.*s ", (int)key.n, key.p);
}

START_TEST(what_is_nearer_than_the_store_is_told_of_each_change)
{
	struct ufs_ops ops = store_ops;

	ops.changed = note_change;
	store.ufs.ops = &ops;
	changes[0] = '\0';
	start(_i == 0 ? CONSISTENCY_STRICT : CONSISTENCY_TTL, FOREVER, FOREVER);
	told(meta, "a/", "one", 100, false);
	told(meta, "", "n", 0, true);
	ck_assert_str_eq(changes, "a/one n n// ");
}
END_TEST

START_TEST(names_no_store_can_have_change_nothing)
{
	char key[UFS_KEY_MAX + 1];
	struct str whole = { key, sizeof(key) };

	memset(key, 'x', sizeof(key));
	key[UFS_KEY_MAX - 1] = '/';
	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	meta_made(meta, STR_EMPTY, whole, NULL, true);
	meta_made(meta, whole, str_of("x"), NULL, true);
	whole.n--;
	meta_made(meta, whole, str_of("x"), NULL, true);
	/* The longest there are. */
	meta_made(meta, whole, STR_EMPTY, NULL, true);
	meta_made(meta, STR_EMPTY, whole, NULL, true);
	whole.n--;
	meta_made(meta, STR_EMPTY, whole, NULL, true);
	check_asked(0, 0);
}
END_TEST

#define NAMES 4

/* One that changes names of its own, and looks whether they are so. */
struct maker {
	pthread_t thread;
	struct meta *other; /* another mount, which only lists */
	uint64_t seed;
	unsigned number;
	uint64_t size[NAMES]; /* 0: absent */
	unsigned wrong;
};

static uint64_t next(struct maker *w)
{
	w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	return w->seed >> 33;
}

static const char *const dirs[] = { "a/", "b/" };

static const char *name_of(const struct maker *w, unsigned i, char *name)
{
	snprintf(name, 32, "w%u-%u", w->number, i);
	return name;
}

static bool is(int r, const struct meta_answer *a, uint64_t size)
{
	return size == 0 ? r == -ENOENT
			 : r == 0 && a->object && a->st.size == size;
}

static void look_at(struct maker *w, unsigned i)
{
	const char *dir = dirs[i % 2];
	struct meta_answer a;
	char name[32];

	w->wrong += !is(lookup(dir, name_of(w, i, name), &a), &a, w->size[i]);
}

static void list_all(struct maker *w)
{
	for (unsigned d = 0; d < 2; d++) {
		struct listing *l;

		if (meta_list(meta, str_of(dirs[d]), &l, NULL) < 0) {
			w->wrong++;
			continue;
		}
		for (unsigned i = d; i < NAMES; i += 2) {
			struct ufs_stat st = { 0 };
			bool object, dir;
			char name[32];

			name_of(w, i, name);
			if (listing_find(l, str_of(name), &object, &dir, &st) <
				0 ||
			    (object ? st.size : 0) != w->size[i])
				w->wrong++;
		}
		listing_unref(l);
	}
}

static void *make_main(void *arg)
{
	struct maker *w = arg;

	for (unsigned n = 0; n < 300; n++) {
		unsigned i = (unsigned)(next(w) % NAMES);
		struct listing *l;
		char name[32];

		switch (next(w) % 8) {
		case 0:
			list_all(w);
			break;
		case 1:
			if (meta_list(w->other, str_of("a/"), &l, NULL) == 0)
				listing_unref(l);
			break;
		case 2:
			if (next(w) % 8 == 0)
				meta_gone(meta, str_of("a/one"));
			break;
		case 3:
		case 4:
			w->size[i] = next(w) % 3 == 0 ? 0 : n + 1;
			made(dirs[i % 2], name_of(w, i, name), w->size[i]);
			break;
		default:
			break;
		}
		look_at(w, i);
	}
	return NULL;
}

START_TEST(S1_many_who_change_and_ask_all_find_what_they_made)
{
	struct maker w[6];
	struct meta *other;

	start(CONSISTENCY_TTL, 0, 0);
	other = take_ptr(meta);
	start(_i == 0 ? CONSISTENCY_STRICT : kinds[_i % 2],
	      _i == 1 ? 0 : FOREVER, _i < 3 ? 0 : FOREVER);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct maker){ .other = other,
				       .seed = i + 1,
				       .number = i };
		pthread_create(&w[i].thread, NULL, make_main, &w[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		pthread_join(w[i].thread, NULL);
		ck_assert_uint_eq(w[i].wrong, 0);
	}
	/* The next one, which believes whatever it finds. */
	start(CONSISTENCY_IMMUTABLE, FOREVER, FOREVER);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		for (unsigned k = 0; k < NAMES; k++)
			look_at(&w[i], k);
		ck_assert_uint_eq(w[i].wrong, 0);
	}
	meta_free(other);
}
END_TEST

static void add(TCase *t, const TTest *test, int n)
{
	tcase_add_loop_test(t, test, 0, n);
}

int main(void)
{
	TCase *in_memory = tcase_create("in memory");
	TCase *t = tcase_create("with a disk");

	tcase_add_checked_fixture(in_memory, setup, teardown);
	tcase_add_test(t, who_answers_for_the_store_hears_of_each_change);
	tcase_add_checked_fixture(t, setup_with_disk, teardown);
	tcase_set_timeout(t, 60);
	tcase_set_timeout(in_memory, 60);
	for (int i = 0; i < 2; i++) {
		TCase *c = i == 0 ? in_memory : t;

		add(c,
		    S1_what_was_made_is_known_at_once_whatever_was_known_before,
		    6);
		add(c,
		    what_was_made_is_believed_as_if_it_had_been_asked_just_then,
		    1);
		add(c,
		    S4_a_removed_name_does_not_come_back_when_its_time_is_over,
		    1);
		add(c, what_was_asked_after_the_change_counts_for_more, 2);
		add(c, strict_asks_for_what_was_made_as_for_all_else, 1);
		add(c, an_answer_that_was_asked_for_before_does_not_count, 3);
		add(c, a_lookup_that_waits_for_a_listing_hears_of_what_was_made,
		    1);
		add(c,
		    a_failure_is_none_for_who_asks_for_what_was_made_meanwhile,
		    1);
		add(c,
		    a_listing_asked_for_before_the_change_is_waited_for_in_vain,
		    2);
		add(c,
		    a_thousand_files_made_in_a_listed_directory_cost_no_request,
		    2);
		add(c,
		    of_a_handles_old_listing_nothing_is_believed_after_a_change,
		    2);
		add(c,
		    the_levels_above_that_were_there_are_listed_without_a_request,
		    2);
		add(c, directories_that_a_file_implies_are_there_at_once, 4);
		add(c, of_a_removed_directory_no_listing_is_left, 4);
		add(c, when_changes_have_to_leave_so_does_what_contradicts_them,
		    2);
		add(c,
		    a_listing_under_way_is_not_kept_when_changes_had_to_leave,
		    2);
		add(c, immutable_takes_what_was_made_for_what_it_always_knew,
		    1);
		add(c, what_is_nearer_than_the_store_is_told_of_each_change, 2);
		add(c, names_no_store_can_have_change_nothing, 1);
	}
	add(in_memory,
	    more_changed_directories_than_are_remembered_are_listed_anew, 2);
	add(t, nor_does_the_next_mount_believe_it, 2);
	add(t, S7_other_mounts_do_not_believe_a_listing_of_before_the_change,
	    6);
	add(t, nor_one_that_came_late, 4);
	add(t, a_mount_does_not_leave_such_a_listing_behind, 2);
	add(t, S1_many_who_change_and_ask_all_find_what_they_made, 5);
	add(t, a_note_that_could_not_be_written_is_owed, 2);
	return RUN_CASES(in_memory, t);
}
