/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_staging.c - staged files: their bytes, their errors, their end
 */
#include "tests/unit/write_rig.h"

#include <jansson.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "tests/unit/run.h"

static struct write_rig rig;
static char path[300];

static void setup(void)
{
	write_rig_init(&rig);
}

static void teardown(void)
{
	write_rig_fini(&rig);
}

static int put(struct staged *f, const char *text, uint64_t off)
{
	return staged_write(f, text, strlen(text), off);
}

static void reads(struct staged *f, const char *text)
{
	char buf[200];
	ssize_t n = staged_read(f, buf, sizeof(buf), 0, false);

	ck_assert_int_eq(n, (ssize_t)strlen(text));
	ck_assert_int_eq(memcmp(buf, text, (size_t)n), 0);
}

static bool has(const char *key, const char *text)
{
	return store_has(&rig.store, key, text, strlen(text));
}

static struct staged *upon(const char *text, struct ufs_stat *st)
{
	store_set(&rig.store, "key", text, strlen(text), st);
	return staged_open(&rig, "key", STAGED_UPON, st);
}

/* The record of the one staged file. */
static json_t *record(void)
{
	json_t *o;

	ck_assert_uint_eq(rig_files(&rig, ".json", path), 1);
	o = json_load_file(path, 0, NULL);
	ck_assert_ptr_nonnull(o);
	return o;
}

static const char *words_of(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "";
}

START_TEST(what_was_written_is_an_object_after_the_commit)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct ufs_stat st;

	ck_assert(state_of(f).dirty);
	ck_assert_int_eq(put(f, "hello", 0), 0);
	ck_assert_int_eq(put(f, "world", 6), 0);
	ck_assert(!store_has_key(&rig.store, "key"));
	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	ck_assert(store_has(&rig.store, "key", "hello\0world", 11));
	ck_assert_uint_eq(st.size, 11);
	ck_assert_str_eq(st.version, "v1");
	ck_assert(state_of(f).committed && !state_of(f).dirty);

	/* Again: nothing is sent. Written on: the next version. */
	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PUT), 1);
	ck_assert_int_eq(put(f, "-", 5), 0);
	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	ck_assert(has("key", "hello-world"));
	ck_assert_str_eq(st.version, "v2");
	staged_unref(f);
}
END_TEST

START_TEST(a_new_file_that_nobody_writes_is_an_empty_object)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(has("key", ""));
	staged_unref(f);
}
END_TEST

START_TEST(who_finds_another_object_in_its_place_is_told)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct staged *excl = staged_open(&rig, "key", STAGED_EXCLUSIVE, NULL);
	struct staged *late;
	struct ufs_stat st, newer;

	ck_assert_int_eq(put(f, "mine", 0), 0);
	ck_assert_int_eq(put(excl, "mine", 0), 0);
	store_set(&rig.store, "key", "theirs", 6, &st);
	late = staged_open(&rig, "key", STAGED_UPON, &st);
	ck_assert_int_eq(put(late, "T", 0), 0);
	store_set(&rig.store, "key", "theirs too", 10, &newer);

	ck_assert_int_eq(commit_now(f), -ESTALE);
	ck_assert_int_eq(commit_now(excl), -EEXIST);
	ck_assert_int_eq(commit_now(late), -ESTALE);
	ck_assert(has("key", "theirs too"));

	/* It sticks, and what was written is kept. */
	ck_assert_int_eq(put(f, "more", 4), -ESTALE);
	ck_assert_int_eq(staged_truncate(f, 0), -ESTALE);
	ck_assert_int_eq(commit_now(f), -ESTALE);
	ck_assert_int_eq(state_of(f).err, -ESTALE);
	reads(f, "mine");
	staged_unref(f);
	staged_unref(excl);
	staged_unref(late);
	ck_assert_uint_eq(rig_files(&rig, ".data", path), 3);
	ck_assert_uint_eq(rig_files(&rig, ".json", path), 3);
}
END_TEST

START_TEST(the_last_one_wins_if_that_was_asked_for)
{
	struct staged *f;
	struct ufs_stat st;

	staging_free(rig.staging);
	cache_free(rig.cache);
	rig.conf.last_wins = true;
	write_rig_open(&rig);
	f = staged_open(&rig, "key", STAGED_NEW, NULL);
	ck_assert_int_eq(put(f, "mine", 0), 0);
	store_set(&rig.store, "key", "theirs", 6, &st);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(has("key", "mine"));
	staged_unref(f);
}
END_TEST

START_TEST(bytes_that_were_not_written_are_those_of_the_base)
{
	struct ufs_stat st;
	struct staged *f = upon("0123456789", &st);
	char buf[20];

	ck_assert(!state_of(f).dirty);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PUT), 0);
	ck_assert_int_eq(staged_read(f, buf, 5, 0, true), -EAGAIN);
	reads(f, "0123456789");
	ck_assert_int_eq(put(f, "abc", 4), 0);
	ck_assert_int_eq(staged_read(f, buf, 3, 4, true), 3);
	ck_assert_int_eq(memcmp(buf, "abc", 3), 0);
	reads(f, "0123abc789");
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(has("key", "0123abc789"));
	staged_unref(f);
}
END_TEST

START_TEST(what_was_cut_off_comes_back_as_zeros)
{
	struct ufs_stat st;
	struct staged *f = upon("0123456789", &st);
	char buf[20];

	ck_assert_int_eq(put(f, "x", 6), 0);
	ck_assert_int_eq(staged_truncate(f, 4), 0);
	ck_assert_int_eq(staged_truncate(f, 8), 0);
	ck_assert_int_eq(staged_read(f, buf, 20, 0, false), 8);
	ck_assert_int_eq(memcmp(buf, "0123\0\0\0\0", 8), 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", "0123\0\0\0\0", 8));
	staged_unref(f);
}
END_TEST

START_TEST(a_file_that_was_emptied_has_nothing_of_the_base)
{
	struct ufs_stat st;
	struct staged *f;

	store_set(&rig.store, "key", "0123456789", 10, &st);
	f = staged_open(&rig, "key", STAGED_EMPTY, &st);
	ck_assert_uint_eq(state_of(f).size, 0);
	ck_assert(state_of(f).dirty);
	ck_assert_int_eq(put(f, "x", 2), 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", "\0\0x", 3));
	ck_assert_uint_eq(store_calls(&rig.store, STORE_GET), 0);
	staged_unref(f);
}
END_TEST

START_TEST(data_and_holes_are_found)
{
	struct ufs_stat st;
	struct staged *f = upon("0123456789", &st);

	ck_assert_int_eq(staged_truncate(f, 100), 0);
	ck_assert_int_eq(put(f, "abc", 50), 0);
	ck_assert_int_eq(staged_seek(f, 0, false), 0);
	ck_assert_int_eq(staged_seek(f, 0, true), 10);
	ck_assert_int_eq(staged_seek(f, 10, false), 50);
	ck_assert_int_eq(staged_seek(f, 50, true), 53);
	ck_assert_int_eq(staged_seek(f, 60, false), -ENXIO);
	ck_assert_int_eq(staged_seek(f, 60, true), 60);
	ck_assert_int_eq(staged_seek(f, 100, true), -ENXIO);
	staged_unref(f);
}
END_TEST

START_TEST(space_can_be_reserved)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	ck_assert_int_eq(staged_allocate(f, 0, 100), 0);
	ck_assert_uint_eq(state_of(f).size, 100);
	ck_assert_int_eq(staged_allocate(f, 50, 10), 0);
	ck_assert_uint_eq(state_of(f).size, 100);
	ck_assert_int_eq(staged_allocate(f, 0, 0), -EINVAL);
	ck_assert_int_eq(staged_allocate(f, 0, MIB(65)), -EFBIG);
	staged_unref(f);
}
END_TEST

START_TEST(what_the_store_does_not_take_is_refused_at_the_write)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	/* 256 parts of 128 KiB are the end. */
	uint64_t most = STORE_PARTS * PART;

	ck_assert_int_eq(put(f, "12", most - 1), -EFBIG);
	ck_assert_int_eq(put(f, "1", UINT64_MAX), -EFBIG);
	ck_assert_int_eq(staged_truncate(f, most + 1), -EFBIG);
	ck_assert_uint_eq(state_of(f).size, 0);
	ck_assert_int_eq(put(f, "1", 0), 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(has("key", "1"));
	staged_unref(f);
}
END_TEST

START_TEST(a_file_is_committed_under_the_name_it_has_then)
{
	struct staged *f = staged_open(&rig, "tmp", STAGED_EXCLUSIVE, NULL);
	char key[UFS_KEY_MAX + 1];
	struct ufs_stat st;

	store_set(&rig.store, "key", "old", 3, &st);
	ck_assert_int_eq(put(f, "new", 0), 0);
	ck_assert_int_eq(
	    staged_move(f, str_of("key"),
			&(struct ufs_cond){ UFS_IF_VERSION, st.version }),
	    0);
	ck_assert_uint_eq(staged_key(f, key), 3);
	ck_assert_str_eq(key, "key");
	ck_assert_int_eq(put(f, "er", 3), 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(has("key", "newer"));
	ck_assert(!store_has_key(&rig.store, "tmp"));
	staged_unref(f);
}
END_TEST

/* Its directory moves (1: as it is; 0: what it replaces is copied). */
START_TEST(a_file_that_replaces_another_does_so_where_that_one_moves)
{
	struct staged *f = staged_open(&rig, "tmp", STAGED_NEW, NULL);
	struct ufs_stat old, moved;
	struct ufs_cond cond = { UFS_IF_VERSION, old.version };

	store_set(&rig.store, "key", "old", 3, &old);
	store_set(&rig.store, "new", "old", 3, &moved);
	ck_assert_str_ne(old.version, moved.version);
	ck_assert_int_eq(put(f, "new", 0), 0);
	if (_i == 1)
		cond.version = moved.version;
	ck_assert_int_eq(staged_move(f, str_of("key"), &cond), 0);
	ck_assert_int_eq(staged_copied(f, "another", str_of("new"), &moved),
			 -ESTALE);
	if (_i == 1)
		ck_assert_int_eq(staged_move(f, str_of("new"), NULL), 0);
	else
		ck_assert_int_eq(
		    staged_copied(f, old.version, str_of("new"), &moved), 0);
	ck_assert(state_of(f).dirty && !state_of(f).committed);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(has("new", "new") && has("key", "old"));
	staged_unref(f);
}
END_TEST

/*
 * A commit whose answer was lost has made its object (0) or has not (1), or the
 * store does not tell (2).
 */
START_TEST(S21_what_the_store_may_have_is_not_moved_as_if_it_had_not)
{
	const struct ufs_cond absent = { UFS_IF_ABSENT, NULL };
	struct staged *f = staged_open(&rig, "from", STAGED_NEW, NULL);
	const int moved[] = { -EALREADY, 0, -EHOSTUNREACH };
	struct ufs_stat st;

	ck_assert_int_eq(put(f, "bytes", 0), 0);
	ck_assert_int_eq(staged_persist(f), 0);
	if (_i == 1)
		store_fail(&rig.store, STORE_PUT, 1, 1, -ETIMEDOUT);
	else
		rig.store.lose = 1;
	ck_assert_int_eq(staged_commit_acked(f, &st), -ETIMEDOUT);
	ck_assert(state_of(f).uncertain);
	if (_i == 2)
		store_fail(&rig.store, STORE_STAT, 1, 1, -EHOSTUNREACH);
	ck_assert_int_eq(staged_move(f, str_of("to"), &absent), moved[_i]);
	ck_assert_int_eq(staged_commit_acked(f, &st), 0);
	ck_assert(has(_i == 1 ? "to" : "from", "bytes"));
	ck_assert(!store_has_key(&rig.store, _i == 1 ? "from" : "to"));
	staged_unref(f);
}
END_TEST

START_TEST(bytes_of_a_base_move_along)
{
	struct ufs_stat st;
	struct staged *f = upon("0123456789", &st);

	ck_assert_int_eq(staged_move(f, str_of("other"),
				     &(struct ufs_cond){ UFS_IF_ABSENT, NULL }),
			 0);
	ck_assert(state_of(f).dirty);
	ck_assert_int_eq(put(f, "abc", 0), 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(has("other", "abc3456789"));
	ck_assert(has("key", "0123456789"));
	staged_unref(f);
}
END_TEST

static void *commit_main(void *arg)
{
	return (void *)(intptr_t)commit_now(arg);
}

START_TEST(a_commit_that_is_stopped_begins_anew_if_the_name_stays)
{
	const enum store_op op =
	    (enum store_op[]){ STORE_PUT, STORE_PART, STORE_END }[_i / 2];
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	size_t n = op == STORE_PUT ? 100 : 3 * PART + 100;
	AUTO_FREE char *bytes = malloc(n);
	bool stays = _i % 2 == 0;
	pthread_t thread;
	void *r;

	fill_bytes(bytes, n, 1);
	store_hold(&rig.store, 1u << op);
	ck_assert_int_eq(staged_write(f, bytes, n, 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, commit_main, f), 0);
	WAIT_UNTIL(store_calls(&rig.store, op) > 0 && state_of(f).committing);
	staged_stop(f);
	ck_assert(!state_of(f).committing && !state_of(f).committed);
	ck_assert_int_eq(state_of(f).err, 0);
	store_hold(&rig.store, 0);
	if (stays)
		staged_resume(f);
	else
		staged_discard(f);
	ck_assert_int_eq(pthread_join(thread, &r), 0);
	ck_assert_ptr_null(r);
	ck_assert(store_has_key(&rig.store, "key") == stays);
	ck_assert(!stays || store_has(&rig.store, "key", bytes, n));
	staged_unref(f);
	WAIT_UNTIL(store_uploads(&rig.store) == 0);
}
END_TEST

START_TEST(a_file_whose_name_is_gone_is_readable_and_never_committed)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	ck_assert_int_eq(put(f, "hello", 0), 0);
	staged_discard(f);
	ck_assert(state_of(f).removed);
	ck_assert_uint_eq(rig_files(&rig, "", path), 2); /* . and .. */
	reads(f, "hello");
	ck_assert_int_eq(put(f, "j", 0), 0);
	reads(f, "jello");
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(!store_has_key(&rig.store, "key"));
	staged_unref(f);
}
END_TEST

START_TEST(a_commit_that_fails_is_told_until_its_file_is_discarded)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	json_t *o;

	ck_assert_int_eq(put(f, "hello", 0), 0);
	store_fail(&rig.store, STORE_PUT, 1, 1, -ETIMEDOUT);
	ck_assert_int_eq(commit_now(f), -ETIMEDOUT);
	ck_assert_int_eq(commit_now(f), -ETIMEDOUT);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PUT), 1);
	o = record();
	ck_assert_int_eq(json_integer_value(json_object_get(o, "error")),
			 ETIMEDOUT);
	json_decref(o);
	staged_discard(f);
	ck_assert_int_eq(commit_now(f), 0);
	staged_unref(f);
	ck_assert_uint_eq(rig_files(&rig, ".data", path), 0);
	ck_assert_uint_eq(rig_files(&rig, ".json", path), 0);
}
END_TEST

START_TEST(nothing_is_left_of_a_file_that_is_committed_or_dropped)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct staged *dropped = staged_open(&rig, "other", STAGED_NEW, NULL);

	ck_assert_int_eq(put(f, "hello", 0), 0);
	ck_assert_int_eq(put(dropped, "hello", 0), 0);
	ck_assert_uint_eq(rig_files(&rig, ".data", path), 2);
	ck_assert_int_eq(commit_now(f), 0);
	staged_unref(f);
	staged_unref(dropped);
	WAIT_UNTIL(rig_files(&rig, ".data", path) == 0);
	WAIT_UNTIL(rig_files(&rig, ".json", path) == 0);
	ck_assert(!store_has_key(&rig.store, "other"));
}
END_TEST

START_TEST(an_object_that_was_only_opened_to_be_written_has_no_files)
{
	struct ufs_stat st;
	struct staged *f = upon("0123456789", &st);

	ck_assert_uint_eq(rig_files(&rig, ".data", path), 0);
	ck_assert_int_eq(put(f, "a", 0), 0);
	ck_assert_uint_eq(rig_files(&rig, ".data", path), 1);
	staged_unref(f);
}
END_TEST

START_TEST(the_record_tells_what_a_dead_mount_left)
{
	static const char key[] = "a b%\0\xff\n";
	struct ufs_stat st;
	struct staged *f;
	json_t *o, *written;
	struct stat data;
	int fd;

	store_set(&rig.store, "key", "0123456789", 10, &st);
	f = staged_open(&rig, "key", STAGED_UPON, &st);
	ck_assert_int_eq(staged_truncate(f, 20), 0);
	ck_assert_int_eq(put(f, "abc", 4), 0);
	ck_assert_int_eq(put(f, "d", 15), 0);
	ck_assert_int_eq(staged_move(f, (struct str){ key, 7 },
				     &(struct ufs_cond){ UFS_IF_ANY, NULL }),
			 0);
	o = record();
	ck_assert_str_eq(words_of(o, "key"), "a%20b%25%00%FF%0A");
	ck_assert_str_eq(words_of(o, "store"), "memory://store");
	ck_assert_str_eq(words_of(o, "bound"), "any");
	ck_assert_str_eq(words_of(json_object_get(o, "base"), "key"), "key");
	ck_assert_str_eq(words_of(json_object_get(o, "base"), "version"), "v1");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "size")), 20);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "base_end")),
			 10);
	ck_assert(json_is_false(json_object_get(o, "clean")));
	written = json_object_get(o, "written");
	ck_assert_uint_eq(json_array_size(written), 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(json_integer_value(json_array_get(written, i)),
				 ((int[]){ 4, 7, 15, 16 })[i]);
	json_decref(o);

	/* Data as long as the file, and locked while it lives. */
	ck_assert_uint_eq(rig_files(&rig, ".data", path), 1);
	ck_assert_int_eq(stat(path, &data), 0);
	ck_assert_int_eq(data.st_size, 20);
	ck_assert_uint_eq(data.st_mode & 0777, 0600);
	fd = open(path, O_RDONLY);
	ck_assert_int_lt(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	staged_unref(f);
}
END_TEST

START_TEST(the_record_of_a_clean_file_says_so)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	json_t *o;

	ck_assert_int_eq(put(f, "a", 0), 0);
	ck_assert_int_eq(commit_now(f), 0);
	WAIT_UNTIL((o = record(), json_is_true(json_object_get(o, "clean")) ||
				      (json_decref(o), false)));
	ck_assert_str_eq(words_of(o, "version"), "v1");
	json_decref(o);
	ck_assert_int_eq(put(f, "b", 0), 0);
	o = record();
	ck_assert(json_is_false(json_object_get(o, "clean")));
	json_decref(o);
	staged_unref(f);
}
END_TEST

START_TEST(the_cache_is_given_what_was_committed)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct ufs_stat st;
	struct object *o;
	uint64_t bytes;

	ck_assert_int_eq(put(f, "hello", 0), 0);
	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	staged_offer(f);
	ck_assert_int_eq(object_get(rig.cache, str_of("key"), &st, &o), 0);
	ck_assert_int_eq(object_cached(o, &bytes), 0);
	ck_assert_uint_eq(bytes, 5);
	object_put(o);
	staged_unref(f);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_GET), 0);
}
END_TEST

static int open_again(char why[static 256])
{
	struct staging *s = NULL;
	int r = staging_new(&rig.conf, &s, why);

	staging_free(s);
	return r;
}

START_TEST(a_directory_that_is_not_ours_alone_is_refused)
{
	char why[256], other[200];

	ck_assert_int_eq(open_again(why), 0);
	ck_assert_int_eq(chmod(rig.staging_dir, 0777), 0);
	ck_assert_int_eq(open_again(why), -EPERM);
	ck_assert_ptr_nonnull(strstr(why, "staging-dir"));
	ck_assert_int_eq(chmod(rig.staging_dir, 0700), 0);
	snprintf(other, sizeof(other), "%s/link", rig.dir.base);
	ck_assert_int_eq(symlink(rig.staging_dir, other), 0);
	rig.conf.dir = other;
	ck_assert_int_eq(open_again(why), -EPERM);
	if (geteuid() == 0) {
		rig.conf.dir = rig.staging_dir;
		ck_assert_int_eq(chown(rig.staging_dir, 12345, 0), 0);
		ck_assert_int_eq(open_again(why), -EPERM);
		ck_assert_int_eq(chown(rig.staging_dir, 0, 0), 0);
	}
}
END_TEST

/* The staging is a disk of 4 MiB until small_disk_end(). */
static void small_disk(void)
{
	staging_free(rig.staging);
	cache_free(rig.cache);
	ck_assert_int_eq(mount("tarn-test", rig.staging_dir, "tmpfs", 0,
			       "mode=0700,size=4m"),
			 0);
	write_rig_open(&rig);
}

static void small_disk_end(void)
{
	staging_free(rig.staging);
	cache_free(rig.cache);
	umount2(rig.staging_dir, MNT_DETACH);
	write_rig_open(&rig);
}

START_TEST(a_full_disk_is_told_by_the_write_and_passes)
{
	static char block[KIB(64)], back[KIB(64)];
	struct staged *f;
	char ballast[200];
	uint64_t end;
	int fd, r = 0;

	if (geteuid() != 0)
		return;
	small_disk();
	snprintf(ballast, sizeof(ballast), "%s/ballast", rig.staging_dir);
	fd = open(ballast, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(posix_fallocate(fd, 0, MIB(2)), 0);
	close(fd);

	f = staged_open(&rig, "key", STAGED_NEW, NULL);
	fill_bytes(block, sizeof(block), 1);
	for (end = 0; end < MIB(4); end += sizeof(block)) {
		r = staged_write(f, block, sizeof(block), end);
		if (r < 0)
			break;
	}
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_uint_gt(end, MIB(1));
	ck_assert_uint_eq(state_of(f).size, end);
	ck_assert_int_eq(state_of(f).err, 0);

	/* What is there can be written over, and all of it is right. */
	ck_assert_int_eq(put(f, "head", 0), 0);
	memcpy(block, "head", 4);
	ck_assert_int_eq(staged_read(f, back, sizeof(back), 0, true),
			 sizeof(back));
	ck_assert_int_eq(memcmp(back, block, sizeof(back)), 0);
	ck_assert_int_eq(unlink(ballast), 0);
	ck_assert_int_eq(staged_write(f, block, sizeof(block), end), 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert_uint_eq(state_of(f).st.size, end + sizeof(block));
	staged_unref(f);
	small_disk_end();
}
END_TEST

START_TEST(who_writes_in_order_leaves_room_for_others)
{
	static char block[KIB(64)];
	struct staged *one, *two;

	if (geteuid() != 0)
		return;
	small_disk();
	one = staged_open(&rig, "one", STAGED_NEW, NULL);
	for (uint64_t at = 0; at < KIB(1152); at += sizeof(block))
		ck_assert_int_eq(staged_write(one, block, sizeof(block), at),
				 0);
	two = staged_open(&rig, "two", STAGED_NEW, NULL);
	for (uint64_t at = 0; at < MIB(2); at += sizeof(block))
		ck_assert_int_eq(staged_write(two, block, sizeof(block), at),
				 0);
	ck_assert_int_eq(commit_now(one), 0);
	ck_assert_int_eq(commit_now(two), 0);
	staged_unref(one);
	staged_unref(two);
	small_disk_end();
}
END_TEST

START_TEST(a_name_that_the_disk_does_not_say_is_not_taken)
{
	const struct ufs_cond absent = { .what = UFS_IF_ABSENT };
	struct staged *f = staged_open(&rig, "old", STAGED_EXCLUSIVE, NULL);
	char tmp[320], key[UFS_KEY_MAX + 1];

	ck_assert_int_eq(put(f, "hello", 0), 0);
	ck_assert_uint_eq(rig_files(&rig, ".json", path), 1);
	/* In the way of the record. */
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	ck_assert_int_eq(mkdir(tmp, 0700), 0);
	ck_assert_int_lt(staged_move(f, str_of("new"), &absent), 0);
	ck_assert_int_eq(rmdir(tmp), 0);
	staged_key(f, key);
	ck_assert_str_eq(key, "old");
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "old", "hello", 5));
	ck_assert(!store_has_key(&rig.store, "new"));
	staged_unref(f);
}
END_TEST

START_TEST(space_that_was_reserved_ahead_is_given_back)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	static const char block[KIB(256)];
	struct stat st;

	ck_assert_int_eq(staged_write(f, block, sizeof(block), 0), 0);
	ck_assert_uint_eq(rig_files(&rig, ".data", path), 1);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_lt(st.st_blocks * 512, KIB(300));
	ck_assert_int_eq(put(f, "hello", KIB(256)), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_ge(st.st_blocks * 512, KIB(512));
	ck_assert_int_eq(st.st_size, KIB(256) + 5);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_lt(st.st_blocks * 512, KIB(300));
	staged_unref(f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("staging");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_was_written_is_an_object_after_the_commit);
	tcase_add_test(t, a_new_file_that_nobody_writes_is_an_empty_object);
	tcase_add_test(t, who_finds_another_object_in_its_place_is_told);
	tcase_add_test(t, the_last_one_wins_if_that_was_asked_for);
	tcase_add_test(t, bytes_that_were_not_written_are_those_of_the_base);
	tcase_add_test(t, what_was_cut_off_comes_back_as_zeros);
	tcase_add_test(t, a_file_that_was_emptied_has_nothing_of_the_base);
	tcase_add_test(t, data_and_holes_are_found);
	tcase_add_test(t, a_name_that_the_disk_does_not_say_is_not_taken);
	tcase_add_test(t, space_can_be_reserved);
	tcase_add_test(t, what_the_store_does_not_take_is_refused_at_the_write);
	tcase_add_test(t, a_file_is_committed_under_the_name_it_has_then);
	tcase_add_loop_test(
	    t, a_file_that_replaces_another_does_so_where_that_one_moves, 0, 2);
	tcase_add_loop_test(
	    t, S21_what_the_store_may_have_is_not_moved_as_if_it_had_not, 0, 3);
	tcase_add_test(t, bytes_of_a_base_move_along);
	tcase_add_loop_test(
	    t, a_commit_that_is_stopped_begins_anew_if_the_name_stays, 0, 6);
	tcase_add_test(
	    t, a_file_whose_name_is_gone_is_readable_and_never_committed);
	tcase_add_test(t,
		       a_commit_that_fails_is_told_until_its_file_is_discarded);
	tcase_add_test(t,
		       nothing_is_left_of_a_file_that_is_committed_or_dropped);
	tcase_add_test(
	    t, an_object_that_was_only_opened_to_be_written_has_no_files);
	tcase_add_test(t, the_record_tells_what_a_dead_mount_left);
	tcase_add_test(t, the_record_of_a_clean_file_says_so);
	tcase_add_test(t, the_cache_is_given_what_was_committed);
	tcase_add_test(t, a_directory_that_is_not_ours_alone_is_refused);
	tcase_add_test(t, a_full_disk_is_told_by_the_write_and_passes);
	tcase_add_test(t, who_writes_in_order_leaves_room_for_others);
	tcase_add_test(t, space_that_was_reserved_ahead_is_given_back);
	return RUN_CASES(t);
}
