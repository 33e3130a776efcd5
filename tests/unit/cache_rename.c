/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_rename.c - objects get other names, also when a mount dies meanwhile
 */
#include "cache/rename.h"

#include "tests/unit/run.h"
#include "tests/unit/write_rig.h"

static struct write_rig rig;
static char path[300];

static const struct ufs_cond any = { UFS_IF_ANY, NULL };
static const struct ufs_cond absent = { UFS_IF_ABSENT, NULL };

/* What is told of each copy, and what comes of it. */
static struct {
	unsigned told;
	void (*then)(void);
	int r;
} hooked;

static void setup(void)
{
	memset(&hooked, 0, sizeof(hooked));
	write_rig_init(&rig);
}

static void teardown(void)
{
	write_rig_fini(&rig);
}

static struct ufs_stat set(const char *key, const char *bytes)
{
	struct ufs_stat st;

	store_set(&rig.store, key, bytes, strlen(bytes), &st);
	return st;
}

static bool has(const char *key, const char *bytes)
{
	return store_has(&rig.store, key, bytes, strlen(bytes));
}

static bool gone(const char *key)
{
	return !store_has_key(&rig.store, key);
}

static int copied(void *arg, struct str name, const struct ufs_stat *was,
		  const struct ufs_stat *now)
{
	(void)arg, (void)name;
	/* Side by side. */
	__atomic_add_fetch(&hooked.told, 1, __ATOMIC_RELAXED);
	ck_assert_str_ne(was->version, now->version);
	if (hooked.then != NULL)
		hooked.then();
	return hooked.r;
}

static const struct rename_hook hook = { NULL, copied };

static struct rename *of_file(const struct ufs_stat *st,
			      const struct ufs_cond *cond)
{
	struct rename *r;

	ck_assert_int_eq(
	    rename_new(rig.staging, str_of("from"), str_of("to"), cond, &r), 0);
	ck_assert_int_eq(rename_add(r, STR_EMPTY, st), 0);
	return r;
}

static struct rename *of_tree(int err, size_t most)
{
	struct rename *r;

	ck_assert_int_eq(
	    rename_new(rig.staging, str_of("a/"), str_of("b/"), &absent, &r),
	    0);
	ck_assert_int_eq(rename_list(r, most, NULL), err);
	return r;
}

static unsigned records(void)
{
	return rig_files(&rig, ".rename", path);
}

/* The mount ends, and another begins. */
static void begin_again(void)
{
	char why[256];

	staging_free(rig.staging);
	rig.staging = NULL;
	ck_assert_msg(staging_new(&rig.conf, &rig.staging, why) == 0, "%s",
		      why);
}

/* It has done all that was left, too. */
static void mount_again(void)
{
	begin_again();
	ck_assert_uint_eq(staging_settle(rig.staging), 0);
}

START_TEST(a_file_is_copied_and_then_removed)
{
	struct ufs_stat st = set("from", "bytes"), old = set("to", "old");
	const struct ufs_cond version = { UFS_IF_VERSION, old.version };
	struct rename *r = of_file(&st, &version);
	struct ufs_stat now;

	ck_assert_int_eq(rename_run(r, &hook), 0);
	ck_assert(has("to", "bytes") && gone("from"));
	ck_assert_uint_eq(hooked.told, 1);
	ck_assert_uint_eq(rename_moved(r), 1);
	ck_assert(rename_made(r, STR_EMPTY, st.version, &now));
	ck_assert_str_ne(now.version, old.version);
	ck_assert(!rename_made(r, STR_EMPTY, "another", &now));
	ck_assert(!rename_made(r, str_of("x"), st.version, &now));
	ck_assert_uint_eq(records(), 1);
	rename_free(r);
	ck_assert_uint_eq(records(), 0);
	/* Bound to what is not there any more. */
	st = set("from", "bytes");
	r = of_file(&st, &version);
	ck_assert_int_eq(rename_run(r, &hook), -ESTALE);
	rename_free(r);
	r = of_file(&st, &absent);
	ck_assert_int_eq(rename_run(r, &hook), -EEXIST);
	rename_free(r);
	ck_assert(has("from", "bytes"));
	ck_assert_uint_eq(records(), 0);
}
END_TEST

static void write_more(void)
{
	hooked.then = NULL;
	set("from", "newer");
}

START_TEST(what_is_written_meanwhile_is_copied_once_more)
{
	struct ufs_stat st = set("from", "bytes");
	struct rename *r = of_file(&st, &absent);

	hooked.then = write_more;
	ck_assert_int_eq(rename_run(r, &hook), 0);
	ck_assert(has("to", "newer") && gone("from"));
	ck_assert_uint_eq(hooked.told, 2);
	rename_free(r);
	/* Each time. */
	st = set("from", "bytes");
	r = of_file(&st, &any);
	hooked.r = -ESTALE;
	hooked.told = 0;
	ck_assert_int_eq(rename_run(r, &hook), -EBUSY);
	ck_assert_uint_eq(hooked.told, 3);
	rename_free(r);
	ck_assert(has("from", "bytes"));
}
END_TEST

START_TEST(an_old_name_that_cannot_be_removed_is_left_to_the_next_mount)
{
	struct ufs_stat st = set("from", "bytes");
	struct rename *r = of_file(&st, &absent);

	store_fail(&rig.store, STORE_REMOVE, 1, 1, -EACCES);
	ck_assert_int_eq(rename_run(r, &hook), 0);
	ck_assert_uint_eq(rename_moved(r), 0);
	rename_free(r);
	ck_assert(has("to", "bytes") && has("from", "bytes"));
	ck_assert_uint_eq(records(), 1);
	mount_again();
	ck_assert(has("to", "bytes") && gone("from"));
	ck_assert_uint_eq(records(), 0);
}
END_TEST

START_TEST(what_is_done_to_a_new_name_stays_though_the_old_one_lingers)
{
	static const struct ufs_cond conds[] = { { UFS_IF_ANY, NULL },
						 { UFS_IF_ABSENT, NULL } };
	struct ufs_stat st = set("from", "bytes");
	struct rename *r = of_file(&st, &conds[_i / 2]);

	store_fail(&rig.store, STORE_REMOVE, 1, 1, -EACCES);
	ck_assert_int_eq(rename_run(r, &hook), 0);
	rename_free(r);
	if (_i % 2 == 0)
		set("to", "newer");
	else
		ck_assert(store_drop_key(&rig.store, "to"));
	/* Also when that cannot be done at once. */
	store_fail(&rig.store, STORE_REMOVE, 1, 1, -EACCES);
	mount_again();
	ck_assert(has("from", "bytes"));
	ck_assert_uint_eq(records(), 1);
	mount_again();
	ck_assert(gone("from"));
	ck_assert(_i % 2 == 0 ? has("to", "newer") : gone("to"));
	ck_assert_uint_eq(records(), 0);
}
END_TEST

/* As a mount leaves it that dies before the first copy. */
static void die(struct rename *r)
{
	char kept[300];

	store_fail(&rig.store, STORE_WHOLE, 1, 100, -EIO);
	ck_assert_int_eq(rename_run(r, &hook), -EIO);
	store_fail(&rig.store, STORE_WHOLE, 0, 0, 0);
	ck_assert_uint_eq(records(), 1);
	snprintf(kept, sizeof(kept), "%.290s.kept", path);
	ck_assert_int_eq(link(path, kept), 0);
	rename_free(r);
	ck_assert_int_eq(rename(kept, path), 0);
}

enum then { UNTOUCHED, COPIED, SOURCE_GONE, SOURCE_NEW, TARGET_NEW };

/* What the store has become before the next mount. */
static void happens(enum then then)
{
	switch (then) {
	case UNTOUCHED:
		break;
	case COPIED:
		set("to", "bytes");
		break;
	case SOURCE_GONE:
		ck_assert(store_drop_key(&rig.store, "from"));
		break;
	case SOURCE_NEW:
		set("from", "newer");
		break;
	case TARGET_NEW:
		set("to", "another");
		break;
	}
}

/* The old name has this, or (NULL) is gone, and nothing is to be done. */
static void check_ended(const char *from)
{
	if (from == NULL)
		ck_assert(gone("from"));
	else
		ck_assert(has("from", from));
	ck_assert_uint_eq(records(), 0);
}

START_TEST(the_next_mount_ends_what_is_left_of_a_file)
{
	static const struct {
		enum then then;
		const char *from, *to;
	} cases[] = {
		{ UNTOUCHED, NULL, "bytes" },
		{ COPIED, NULL, "bytes" },
		{ SOURCE_GONE, NULL, "old" },
		{ SOURCE_NEW, "newer", "old" },
		{ TARGET_NEW, "bytes", "another" },
	};
	struct ufs_stat st = set("from", "bytes"), old = set("to", "old");
	const struct ufs_cond version = { UFS_IF_VERSION, old.version };

	die(of_file(&st, &version));
	happens(cases[_i].then);
	mount_again();
	ck_assert(has("to", cases[_i].to));
	check_ended(cases[_i].from);
}
END_TEST

/*
 * What was at the new name was acknowledged and is not in the store yet. It
 * goes with what it replaced where the rename is ended, and stays where not.
 */
START_TEST(S14_a_rename_onto_what_waits_is_ended_first)
{
	static const struct {
		enum then then;
		bool younger; /* acknowledged after the rename had begun */
		const char *from, *to, *at_last;
	} cases[] = {
		{ UNTOUCHED, false, NULL, "bytes", "bytes" },
		{ COPIED, false, NULL, "bytes", "bytes" },
		{ SOURCE_GONE, false, NULL, "old", "waits" },
		{ SOURCE_NEW, false, "newer", "old", "waits" },
		{ UNTOUCHED, true, NULL, "bytes", "bytes" },
	};
	struct ufs_stat st = set("from", "bytes"), old = set("to", "old"), now;
	const struct ufs_cond version = { UFS_IF_VERSION, old.version };
	struct staged *f = staged_open(&rig, "to", STAGED_UPON, &old);

	ck_assert_int_eq(staged_truncate(f, 0), 0);
	ck_assert_int_eq(staged_write(f, "waits", 5, 0), 0);
	if (!cases[_i].younger)
		ck_assert_int_eq(staged_persist(f), 0);
	die(of_file(&st, &version));
	if (cases[_i].younger)
		ck_assert_int_eq(staged_persist(f), 0);
	staged_unref(f);
	happens(cases[_i].then);
	begin_again();
	if (!cases[_i].younger)
		ck_assert(has("to", cases[_i].to));
	f = staging_restored(rig.staging);
	ck_assert((f == NULL) == (strcmp(cases[_i].at_last, "bytes") == 0 &&
				  !cases[_i].younger));
	if (f != NULL && !cases[_i].younger)
		ck_assert_int_eq(staged_commit_acked(f, &now), 0);
	staged_unref(f);
	(void)staging_settle(rig.staging);
	ck_assert(has("to", cases[_i].at_last));
	check_ended(cases[_i].from);
}
END_TEST

START_TEST(what_cannot_go_on_is_kept_for_the_mount_after_it)
{
	struct ufs_stat st = set("from", "bytes");

	die(of_file(&st, &absent));
	store_fail(&rig.store, STORE_WHOLE, 1, 1, -ETIMEDOUT);
	mount_again();
	ck_assert(has("from", "bytes") && gone("to"));
	ck_assert_uint_eq(records(), 1);
	mount_again();
	ck_assert(has("to", "bytes") && gone("from"));
	ck_assert_uint_eq(records(), 0);
}
END_TEST

START_TEST(what_a_mount_has_copied_at_last_is_not_copied_by_the_next)
{
	struct ufs_stat st = set("from", "bytes");

	die(of_file(&st, &absent));
	store_fail(&rig.store, STORE_REMOVE, 1, 1, -EACCES);
	mount_again();
	ck_assert(has("from", "bytes") && has("to", "bytes"));
	ck_assert(store_drop_key(&rig.store, "to"));
	mount_again();
	ck_assert(gone("from") && gone("to"));
	ck_assert_uint_eq(records(), 0);
}
END_TEST

/* The times of versions are when they began; those that ended them are told. */
START_TEST(a_rename_of_what_was_sent_for_seconds_is_ended)
{
	struct ufs_stat st = set("from", "bytes");

	st.mtime += 5 * NSEC_PER_SEC;
	die(of_file(&st, &absent));
	mount_again();
	ck_assert(has("to", "bytes") && gone("from"));
}
END_TEST

START_TEST(the_same_bytes_written_again_are_not_removed)
{
	struct ufs_stat st = set("from", "bytes");

	st.mtime -= 5 * NSEC_PER_SEC;
	die(of_file(&st, &absent));
	mount_again();
	ck_assert(has("from", "bytes") && gone("to"));
	ck_assert_uint_eq(records(), 0);
}
END_TEST

START_TEST(with_last_wins_what_was_written_since_is_not_replaced)
{
	struct ufs_stat st = set("from", "bytes");

	die(of_file(&st, &any));
	set("to", "newer");
	mount_again();
	ck_assert(has("from", "bytes") && has("to", "newer"));
	ck_assert_uint_eq(records(), 0);
	/* With nothing there it is ended. */
	ck_assert(store_drop_key(&rig.store, "to"));
	die(of_file(&st, &any));
	mount_again();
	ck_assert(gone("from") && has("to", "bytes"));
}
END_TEST

static void last_wins(void)
{
	char why[256];

	staging_free(rig.staging);
	rig.staging = NULL;
	rig.conf.last_wins = true;
	ck_assert_msg(staging_new(&rig.conf, &rig.staging, why) == 0, "%s",
		      why);
}

START_TEST(with_last_wins_the_store_need_not_take_conditions)
{
	struct ufs_stat st = set("from", "bytes");
	struct rename *r;

	last_wins();
	rig.store.no_if = true;
	r = of_file(&st, &any);
	ck_assert_int_eq(rename_run(r, &hook), 0);
	ck_assert_uint_eq(rename_moved(r), 1);
	rename_free(r);
	ck_assert(gone("from") && has("to", "bytes"));
	ck_assert_uint_eq(records(), 0);
	/* What came after the copy is seen all the same. */
	st = set("from", "bytes");
	r = of_file(&st, &any);
	hooked.then = write_more;
	hooked.told = 0;
	rig.store.no_if = false;
	ck_assert_int_eq(rename_run(r, &hook), 0);
	rename_free(r);
	ck_assert(gone("from") && has("to", "newer"));
	ck_assert_uint_eq(hooked.told, 2);
	/* And what a mount left. */
	st = set("from", "bytes");
	ck_assert(store_drop_key(&rig.store, "to"));
	die(of_file(&st, &any));
	rig.store.no_if = true;
	mount_again();
	ck_assert(gone("from") && has("to", "bytes"));
	ck_assert_uint_eq(records(), 0);
}
END_TEST

START_TEST(what_no_record_can_hold_is_not_begun)
{
	char name[1000];
	struct rename *r;

	ck_assert_int_eq(
	    rename_new(rig.staging, str_of("a/"), str_of("b/"), &absent, &r),
	    0);
	memset(name, 'n', sizeof(name));
	for (unsigned i = 0; i < 70000; i++) {
		const struct ufs_stat st = { .version = "v" };

		snprintf(name, 10, "%09u", i);
		name[9] = 'n';
		ck_assert_int_eq(
		    rename_add(r, (struct str){ name, sizeof(name) }, &st), 0);
	}
	ck_assert_int_eq(rename_run(r, &hook), -EXDEV);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_WHOLE), 0);
	rename_free(r);
	ck_assert_uint_eq(records(), 0);
}
END_TEST

START_TEST(a_directory_moves_with_all_its_keys)
{
	struct rename *r;

	set("a/", "");
	set("a/x", "x");
	set("a//y", "y");
	set("a/z/", "");
	set("ab", "beside");
	r = of_tree(0, 4);
	ck_assert_uint_eq(rename_count(r), 4);
	ck_assert_int_eq(rename_run(r, &hook), 0);
	ck_assert_uint_eq(rename_moved(r), 4);
	rename_free(r);
	ck_assert(has("b/", "") && has("b/x", "x") && has("b//y", "y") &&
		  has("b/z/", "") && has("ab", "beside"));
	ck_assert(gone("a/") && gone("a/x") && gone("a//y") && gone("a/z/"));
	ck_assert_uint_eq(records(), 0);
	/* Not one more than that. */
	rename_free(of_tree(0, 4));
	set("a/x", "x");
	rename_free(of_tree(-EXDEV, 0));
	ck_assert(has("a/x", "x"));
}
END_TEST

START_TEST(a_directory_that_stops_half_way_stays_so)
{
	struct rename *r;

	set("a/w", "w");
	set("a/x", "x");
	set("a/y", "y");
	r = of_tree(0, 10);
	store_fail(&rig.store, STORE_WHOLE, 2, 100, -EACCES);
	ck_assert_int_eq(rename_run(r, &hook), -EACCES);
	ck_assert_uint_eq(rename_moved(r), 1);
	rename_free(r);
	store_fail(&rig.store, STORE_WHOLE, 0, 0, 0);
	ck_assert_uint_eq(records(), 0);
	mount_again();
	ck_assert_uint_eq(!gone("a/w") + !gone("a/x") + !gone("a/y"), 2);
	/* What somebody put into the new one is not replaced. */
	set("b/w", "theirs");
	set("b/x", "theirs");
	set("b/y", "theirs");
	r = of_tree(0, 10);
	ck_assert_int_eq(rename_run(r, &hook), -ENOTEMPTY);
	rename_free(r);
	ck_assert(has("b/w", "theirs") && has("b/x", "theirs"));
}
END_TEST

START_TEST(the_next_mount_ends_what_is_left_of_a_directory)
{
	set("a/", "");
	set("a/w", "w");
	set("a/x", "x");
	set("a/y", "y");
	die(of_tree(0, 10));
	/* Copied; another one; gone. */
	set("b/w", "w");
	set("a/x", "newer");
	(void)store_drop_key(&rig.store, "a/y");
	mount_again();
	ck_assert(has("b/", "") && has("b/w", "w") && has("a/x", "newer"));
	ck_assert(gone("a/") && gone("a/w") && gone("a/y") && gone("b/y"));
	ck_assert_uint_eq(records(), 0);
}
END_TEST

/* What stands in a record in place of what should, and what is left then. */
static const struct {
	const char *was, *is;
	unsigned left;
} broken[] = {
	{ "\"format\":1", "\"format\":2", 1 },
	{ "memory://store", "memory://other", 1 },
	{ "\"to\":\"to\"", "\"to\":\"t/\"", 1 },
	{ "\"to\":\"to\"", "\"to\":\"\"", 1 },
	{ "\"to\":\"to\"", "\"to\":\"t%\"", 1 },
	{ "\"absent\"", "\"abcent\"", 1 },
	{ "[\"\",", "[\"\",1,", 1 },
	{ "[\"\",", "{\"\":", 1 },
	{ ",5,", ",-,", 1 },
	{ ",false", ",0", 1 },
	{ ",5,", ",-5,", 1 },
};

START_TEST(a_broken_record_is_passed_by)
{
	struct ufs_stat st = set("from", "bytes");
	char text[4096], changed[4096], *at;
	size_t n;
	FILE *f;

	die(of_file(&st, &absent));
	f = fopen(path, "r+");
	ck_assert_ptr_nonnull(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	at = strstr(text, broken[_i].was);
	ck_assert_msg(at != NULL, "no %s in %s", broken[_i].was, text);
	n = (size_t)snprintf(changed, sizeof(changed), "%.*s%s%s",
			     (int)(at - text), text, broken[_i].is,
			     at + strlen(broken[_i].was));
	rewind(f);
	ck_assert_uint_eq(fwrite(changed, 1, n, f), n);
	ck_assert_int_eq(fflush(f), 0);
	ck_assert_int_eq(ftruncate(fileno(f), (off_t)n), 0);
	fclose(f);
	mount_again();
	ck_assert(has("from", "bytes") && gone("to"));
	ck_assert_uint_eq(records(), broken[_i].left);
}
END_TEST

START_TEST(a_record_that_cannot_be_written_changes_nothing)
{
	struct ufs_stat st = set("from", "bytes");
	struct rename *r = of_file(&st, &absent);
	char dir[240], moved[260];

	rig_store_dir(&rig, dir);
	snprintf(moved, sizeof(moved), "%s.away", dir);
	/* Its directory is gone. */
	ck_assert_int_eq(rename(dir, moved), 0);
	ck_assert_int_eq(rmdir(moved), 0);
	ck_assert_int_eq(rename_run(r, &hook), -ENOENT);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_WHOLE), 0);
	ck_assert(has("from", "bytes") && gone("to"));
	rename_free(r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("rename");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_file_is_copied_and_then_removed);
	tcase_add_test(t, what_is_written_meanwhile_is_copied_once_more);
	tcase_add_test(
	    t, an_old_name_that_cannot_be_removed_is_left_to_the_next_mount);
	tcase_add_loop_test(t, the_next_mount_ends_what_is_left_of_a_file, 0,
			    5);
	tcase_add_loop_test(t, S14_a_rename_onto_what_waits_is_ended_first, 0,
			    5);
	tcase_add_test(t, what_cannot_go_on_is_kept_for_the_mount_after_it);
	tcase_add_loop_test(
	    t, what_is_done_to_a_new_name_stays_though_the_old_one_lingers, 0,
	    4);
	tcase_add_test(
	    t, what_a_mount_has_copied_at_last_is_not_copied_by_the_next);
	tcase_add_test(t, a_rename_of_what_was_sent_for_seconds_is_ended);
	tcase_add_test(t, the_same_bytes_written_again_are_not_removed);
	tcase_add_test(t,
		       with_last_wins_what_was_written_since_is_not_replaced);
	tcase_add_test(t, with_last_wins_the_store_need_not_take_conditions);
	tcase_add_test(t, what_no_record_can_hold_is_not_begun);
	tcase_add_test(t, a_directory_moves_with_all_its_keys);
	tcase_add_test(t, a_directory_that_stops_half_way_stays_so);
	tcase_add_test(t, the_next_mount_ends_what_is_left_of_a_directory);
	tcase_add_loop_test(t, a_broken_record_is_passed_by, 0,
			    ARRAY_SIZE(broken));
	tcase_add_test(t, a_record_that_cannot_be_written_changes_nothing);
	return RUN_CASES(t);
}
