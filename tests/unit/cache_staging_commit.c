/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_staging_commit.c - large staged files become objects, part by part
 */
#include "tests/unit/write_rig.h"

#include <sys/stat.h>

#include "cache/object.h"
#include "tests/unit/run.h"

#define PARTS 6
#define SIZE (PARTS * PART + 1000)
#define LARGE (MIB(1) + 3 * PART + 1000)

static struct write_rig rig;
static char path[300];
static char *bytes; /* what the file should be */

static void setup(void)
{
	write_rig_init(&rig);
	bytes = malloc(SIZE + PART);
	fill_bytes(bytes, SIZE + PART, 1);
}

static void teardown(void)
{
	write_rig_fini(&rig);
	free(bytes);
}

static void write_to(struct staged *f, uint64_t from, uint64_t to, size_t step)
{
	for (uint64_t off = from; off < to; off += step)
		ck_assert_int_eq(
		    staged_write(f, bytes + off, MIN(step, to - off), off), 0);
}

static struct staged *upon(struct ufs_stat *st)
{
	store_set(&rig.store, "key", bytes, SIZE, st);
	return staged_open(&rig, "key", STAGED_UPON, st);
}

static void change(struct staged *f, uint64_t off, size_t n)
{
	memset(bytes + off, '!', n);
	ck_assert_int_eq(staged_write(f, bytes + off, n, off), 0);
}

static void grow_bytes(size_t n)
{
	char *more = realloc(bytes, n);

	ck_assert_ptr_nonnull(more);
	bytes = more;
}

/* Larger than what the cache has as small objects. */
static struct staged *offered(void)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	grow_bytes(LARGE);
	fill_bytes(bytes, LARGE, 2);
	write_to(f, 0, LARGE, 10240);
	ck_assert_int_eq(commit_now(f), 0);
	staged_offer(f);
	return f;
}

static void check_cached(const struct ufs_stat *st, ino_t ino)
{
	AUTO_FREE char *buf = malloc(LARGE);
	struct cache_file *file = NULL;
	struct object *o;
	struct stat is;

	ck_assert_int_eq(object_get(rig.cache, str_of("key"), st, &o), 0);
	ck_assert(object_held(o, 0, LARGE));
	file = object_backing(o);
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(pread(file->fd, buf, LARGE, 0), LARGE);
	ck_assert_int_eq(fstat(file->fd, &is), 0);
	ck_assert_uint_eq(is.st_ino, ino);
	ck_assert(memcmp(buf, bytes, LARGE) == 0);
	object_put(o);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_GET), 0);
}

START_TEST(what_was_committed_is_the_caches_without_a_copy)
{
	struct staged *f = offered();
	struct ufs_stat made = state_of(f).st;
	struct stat st;

	ck_assert_uint_eq(rig_files(&rig, ".data", path), 1);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 2);
	staged_offer(f); /* once is enough */
	check_cached(&made, st.st_ino);
	staged_unref(f);
	WAIT_UNTIL(rig_files(&rig, ".data", path) == 0);
}
END_TEST

/* _i: written, cut, grown. */
START_TEST(who_writes_what_the_cache_has_writes_to_a_copy)
{
	struct staged *f = offered();
	struct ufs_stat first = state_of(f).st;
	struct stat st;

	ck_assert_uint_eq(rig_files(&rig, ".data", path), 1);
	ck_assert_int_eq(stat(path, &st), 0);
	if (_i == 0)
		ck_assert_int_eq(staged_write(f, "!", 1, 77), 0);
	else if (_i == 1)
		ck_assert_int_eq(staged_truncate(f, 100), 0);
	else
		ck_assert_int_eq(staged_truncate(f, LARGE + 1), 0);
	check_cached(&first, st.st_ino);
	ck_assert_int_eq(commit_now(f), 0);
	grow_bytes(LARGE + 1);
	bytes[LARGE] = 0;
	if (_i == 0)
		bytes[77] = '!';
	ck_assert(store_has(&rig.store, "key", bytes,
			    (size_t[]){ LARGE, 100, LARGE + 1 }[_i]));
	staged_unref(f);
	WAIT_UNTIL(rig_files(&rig, ".data", path) == 0 &&
		   rig_files(&rig, ".tmp", path) == 0);
}
END_TEST

START_TEST(what_is_dirty_is_not_the_caches)
{
	struct staged *f;
	struct object *o;
	struct ufs_stat st;

	grow_bytes(LARGE);
	f = staged_open(&rig, "key", STAGED_NEW, NULL);
	write_to(f, 0, LARGE, KIB(64));
	staged_offer(f);
	ck_assert_int_eq(commit_now(f), 0);
	st = state_of(f).st;
	ck_assert_int_eq(staged_write(f, "!", 1, 77), 0);
	staged_offer(f);
	ck_assert_int_eq(object_get(rig.cache, str_of("key"), &st, &o), 0);
	ck_assert(!object_held(o, 0, 1));
	object_put(o);
	staged_unref(f);
}
END_TEST

START_TEST(parts_are_sent_while_a_file_is_written_in_order)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	write_to(f, 0, PART, 10240);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_BEGIN), 0);
	write_to(f, PART, SIZE, 10240);
	WAIT_UNTIL(store_sent(&rig.store) == PARTS * PART);
	ck_assert(!store_has_key(&rig.store, "key"));
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	ck_assert_uint_eq(store_sent(&rig.store), SIZE);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PART), PARTS + 1);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_BEGIN), 1);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_GET), 0);
	staged_unref(f);
}
END_TEST

START_TEST(a_part_that_was_sent_and_is_written_again_is_sent_again)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	/* As safetensors does: the final size first. */
	ck_assert_int_eq(staged_truncate(f, SIZE), 0);
	write_to(f, 0, SIZE, KIB(64));
	WAIT_UNTIL(store_sent(&rig.store) == PARTS * PART);
	change(f, 2 * PART + 77, 5);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PART), PARTS + 2);
	staged_unref(f);
}
END_TEST

START_TEST(parts_that_did_not_change_are_copied_by_the_store)
{
	struct ufs_stat st;
	struct staged *f = upon(&st);

	change(f, PART + 5, 10);
	change(f, 3 * PART - 2, 4); /* of two parts */
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	/* 0, 4 and 5; the rest of the last one is too small for a copy. */
	ck_assert_uint_eq(store_calls(&rig.store, STORE_COPY), 3);
	ck_assert_uint_eq(store_sent(&rig.store), 3 * PART + 1000);
	staged_unref(f);
}
END_TEST

START_TEST(after_a_commit_only_what_was_written_since_is_sent)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	uint64_t sent;

	write_to(f, 0, SIZE, KIB(64));
	ck_assert_int_eq(commit_now(f), 0);
	sent = store_sent(&rig.store);
	change(f, 2 * PART, 100);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	ck_assert_uint_eq(store_calls(&rig.store, STORE_COPY), PARTS - 1);
	ck_assert_uint_eq(store_sent(&rig.store) - sent, PART + 1000);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_GET), 0);
	staged_unref(f);
}
END_TEST

/* Others do that. */
static void remove_key(void)
{
	const struct ufs_cond any = { UFS_IF_ANY, NULL };

	ck_assert_int_eq(
	    store_remove(&rig.store.ufs, str_of("key"), &any, NULL), 0);
}

START_TEST(the_last_one_wins_where_parts_cannot_be_copied_any_more)
{
	struct staged *f;
	struct ufs_stat st;

	staging_free(rig.staging);
	cache_free(rig.cache);
	rig.conf.last_wins = true;
	write_rig_open(&rig);
	f = staged_open(&rig, "key", STAGED_NEW, NULL);
	write_to(f, 0, SIZE, KIB(64));
	ck_assert_int_eq(commit_now(f), 0);
	/* Another's: the version that it would copy from is gone. */
	store_set(&rig.store, "key", "other", 5, &st);
	change(f, 2 * PART, 100);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	ck_assert_uint_gt(store_calls(&rig.store, STORE_COPY), 0);
	/* Or nothing is there. */
	remove_key();
	change(f, 3 * PART, 100);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	staged_unref(f);
}
END_TEST

START_TEST(a_part_that_cannot_be_copied_any_more_is_of_a_version_that_is_gone)
{
	struct ufs_stat st;
	struct staged *f = upon(&st);

	change(f, 2 * PART, 100);
	remove_key();
	ck_assert_int_eq(commit_now(f), -ESTALE);
	ck_assert_uint_gt(store_calls(&rig.store, STORE_COPY), 0);
	ck_assert_int_eq(state_of(f).err, -ESTALE);
	staged_unref(f);
}
END_TEST

START_TEST(its_time_is_that_of_the_object_once_it_is_one)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct staged_state s;
	struct ufs_stat st;

	write_to(f, 0, KIB(64), KIB(64));
	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	staged_get(f, &s);
	ck_assert_int_eq(s.mtime, st.mtime);
	staged_set_mtime(f, 77);
	staged_get(f, &s);
	ck_assert_int_eq(s.mtime, 77);
	/* What was set stays while it is being written. */
	ck_assert_int_eq(staged_write(f, "more", 4, 0), 0);
	staged_set_mtime(f, 77);
	ck_assert_int_eq(commit_now(f), 0);
	staged_get(f, &s);
	ck_assert_int_eq(s.mtime, 77);
	staged_unref(f);
}
END_TEST

START_TEST(what_is_appended_does_not_send_the_rest_again)
{
	struct ufs_stat st;
	struct staged *f = upon(&st);

	write_to(f, SIZE, SIZE + PART, 5000);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE + PART));
	ck_assert_uint_eq(store_calls(&rig.store, STORE_COPY), PARTS);
	staged_unref(f);
}
END_TEST

START_TEST(a_large_object_that_moves_is_copied_whole)
{
	struct ufs_stat st;
	struct staged *f = upon(&st);

	ck_assert_int_eq(staged_move(f, str_of("other"),
				     &(struct ufs_cond){ UFS_IF_ABSENT, NULL }),
			 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "other", bytes, SIZE));
	ck_assert_uint_eq(store_sent(&rig.store), 1000);
	staged_unref(f);
}
END_TEST

static int copy_key(const struct ufs_stat *st, struct ufs_stat *out)
{
	const struct ufs_cond cond = { UFS_IF_ABSENT, NULL };

	return staging_copy(rig.staging, str_of("key"), st, str_of("to"), &cond,
			    out, NULL);
}

static void nothing_is_left(void)
{
	ck_assert_uint_eq(staging_settle(rig.staging), 0);
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
	ck_assert_uint_eq(rig_files(&rig, "", path), 2); /* . and .. */
	ck_assert_int_eq(staging_failed(rig.staging, str_of("to")), 0);
}

START_TEST(what_the_store_does_not_copy_at_once_it_copies_in_parts)
{
	struct ufs_stat st, out;

	store_set(&rig.store, "key", bytes, SIZE, &st);
	store_fail(&rig.store, STORE_WHOLE, 1, 1, -EFBIG);
	ck_assert_int_eq(copy_key(&st, &out), 0);
	ck_assert(store_has(&rig.store, "to", bytes, SIZE));
	ck_assert_uint_eq(out.size, SIZE);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_COPY), PARTS);
	/* The end is too small to be copied. */
	ck_assert_uint_eq(store_sent(&rig.store), SIZE - PARTS * PART);
	nothing_is_left();
	/* The condition is the same. */
	ck_assert_int_eq(copy_key(&st, &out), -EEXIST);
	store_fail(&rig.store, STORE_WHOLE, 1, 1, -EFBIG);
	ck_assert_int_eq(copy_key(&st, &out), -EEXIST);
	nothing_is_left();
}
END_TEST

START_TEST(a_copy_in_parts_that_fails_leaves_nothing)
{
	static const enum store_op ops[] = { STORE_BEGIN, STORE_COPY,
					     STORE_PART, STORE_END };
	struct ufs_stat st, out;

	store_set(&rig.store, "key", bytes, SIZE, &st);
	rig.store.limits.put_most = 2 * PART;
	staging_free(rig.staging);
	ck_assert_int_eq(staging_new(&rig.conf, &rig.staging, path), 0);
	store_fail(&rig.store, ops[_i], 1, 100, -EACCES);
	ck_assert_int_eq(copy_key(&st, &out), -EACCES);
	ck_assert_uint_ge(store_calls(&rig.store, ops[_i]), 1);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_WHOLE), 0);
	ck_assert(!store_has_key(&rig.store, "to"));
	nothing_is_left();
}
END_TEST

START_TEST(a_file_that_moves_while_parts_are_sent_is_sent_anew)
{
	struct staged *f = staged_open(&rig, "tmp", STAGED_NEW, NULL);

	write_to(f, 0, SIZE, KIB(64));
	ck_assert_int_eq(staged_move(f, str_of("key"),
				     &(struct ufs_cond){ UFS_IF_ABSENT, NULL }),
			 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	staged_unref(f);
	WAIT_UNTIL(store_uploads(&rig.store) == 0);
}
END_TEST

START_TEST(of_one_that_will_move_nothing_is_sent_twice)
{
	const struct ufs_cond absent = { UFS_IF_ABSENT, NULL };
	struct staged *f = staged_open(&rig, "tmp", STAGED_EXCLUSIVE, NULL);

	staged_send_late(f);
	ck_assert_int_eq(staged_truncate(f, SIZE), 0);
	write_to(f, 0, SIZE, KIB(64));
	ck_assert_uint_eq(store_calls(&rig.store, STORE_BEGIN), 0);
	ck_assert_int_eq(staged_move(f, str_of("key"), &absent), 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	ck_assert(!store_has_key(&rig.store, "tmp"));
	ck_assert_uint_eq(store_sent(&rig.store), SIZE);
	staged_unref(f);
}
END_TEST

/* A close waits for the disk alone, as with commit=writeback. */
static void open_persisting(void)
{
	staging_free(rig.staging);
	cache_free(rig.cache);
	rig.conf.persists = true;
	write_rig_open(&rig);
}

START_TEST(what_is_acknowledged_before_it_is_sent_is_not_sent_before)
{
	const struct ufs_cond absent = { UFS_IF_ABSENT, NULL };
	struct staged *f;

	open_persisting();
	f = staged_open(&rig, "tmp", STAGED_NEW, NULL);
	write_to(f, 0, SIZE, KIB(64));
	ck_assert_int_eq(staged_persist(f), 0);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_BEGIN), 0);
	ck_assert_int_eq(staged_move(f, str_of("key"), &absent), 0);
	write_to(f, 0, SIZE, KIB(64)); /* the same once more */
	ck_assert_int_eq(staged_persist(f), 0);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_BEGIN), 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	ck_assert_uint_eq(store_sent(&rig.store), SIZE);
	staged_unref(f);
}
END_TEST

START_TEST(
    where_somebody_waits_for_the_store_the_next_is_sent_while_it_is_written)
{
	struct staged *f;

	open_persisting();
	f = staged_open(&rig, "one", STAGED_NEW, NULL);
	write_to(f, 0, SIZE, KIB(64));
	ck_assert_uint_eq(store_calls(&rig.store, STORE_BEGIN), 0);
	ck_assert_int_eq(commit_now(f), 0); /* an fsync */
	staged_unref(f);
	f = staged_open(&rig, "two", STAGED_NEW, NULL);
	write_to(f, 0, SIZE, KIB(64));
	WAIT_UNTIL(store_sent(&rig.store) == SIZE + PARTS * PART);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "two", bytes, SIZE));
	staged_unref(f);
}
END_TEST

START_TEST(an_upload_that_the_store_forgot_is_begun_anew)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	write_to(f, 0, SIZE, KIB(64));
	WAIT_UNTIL(store_sent(&rig.store) == PARTS * PART);
	store_forget(&rig.store);
	if (_i == 1) /* found out by the end, not by a part */
		store_fail(&rig.store, STORE_END, 1, 1, -ENOLINK);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	ck_assert_uint_eq(store_calls(&rig.store, STORE_BEGIN), 2 + _i);
	staged_unref(f);
}
END_TEST

START_TEST(an_upload_that_is_always_forgotten_is_an_error)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	write_to(f, 0, SIZE, KIB(64));
	store_fail(&rig.store, STORE_END, 1, 100, -ENOLINK);
	ck_assert_int_eq(commit_now(f), -EIO);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_END), 3);
	staged_unref(f);
}
END_TEST

START_TEST(C13_an_upload_that_cannot_be_ended_for_others_is_begun_anew)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	int want = _i == 1 ? 0 : -EBUSY;

	write_to(f, 0, SIZE, KIB(64));
	store_fail(&rig.store, STORE_END, 1, (unsigned)_i, -EBUSY);
	ck_assert_int_eq(commit_now(f), want);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_BEGIN), 2);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_END), 2);
	ck_assert(want < 0 || store_has(&rig.store, "key", bytes, SIZE));
	WAIT_UNTIL(store_uploads(&rig.store) == 0);
	staged_unref(f);
}
END_TEST

START_TEST(a_part_that_fails_while_writing_goes_on_is_tried_at_the_commit)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	store_fail(&rig.store, STORE_PART, 2, 1, -ETIMEDOUT);
	write_to(f, 0, SIZE, KIB(64));
	WAIT_UNTIL(store_calls(&rig.store, STORE_PART) >= 2);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	staged_unref(f);
}
END_TEST

START_TEST(a_commit_that_fails_leaves_no_upload_behind)
{
	static const enum store_op ops[] = { STORE_BEGIN, STORE_PART,
					     STORE_COPY, STORE_END };
	struct ufs_stat st;
	struct staged *f = upon(&st);

	change(f, PART, 10);
	store_fail(&rig.store, ops[_i], 1, 100, -ETIMEDOUT);
	ck_assert_int_eq(commit_now(f), -ETIMEDOUT);
	ck_assert_int_eq(state_of(f).err, -ETIMEDOUT);
	WAIT_UNTIL(store_uploads(&rig.store) == 0);
	staged_unref(f);
	ck_assert_uint_eq(rig_files(&rig, ".data", path), 1);
}
END_TEST

START_TEST(an_upload_of_a_file_that_is_dropped_is_aborted)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	write_to(f, 0, SIZE, KIB(64));
	WAIT_UNTIL(store_uploads(&rig.store) == 1);
	if (_i == 0)
		staged_discard(f);
	staged_unref(f);
	WAIT_UNTIL(store_uploads(&rig.store) == 0);
	WAIT_UNTIL(rig_files(&rig, ".data", path) == 0);
}
END_TEST

START_TEST(a_file_that_was_cut_is_put)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	write_to(f, 0, SIZE, KIB(64));
	WAIT_UNTIL(store_sent(&rig.store) == PARTS * PART);
	ck_assert_int_eq(staged_truncate(f, 100), 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, 100));
	staged_unref(f);
	WAIT_UNTIL(store_uploads(&rig.store) == 0);
}
END_TEST

START_TEST(a_commit_goes_on_without_the_one_who_waited_for_it)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct cancel cancel = { .set = true };
	struct ufs_stat st;

	write_to(f, 0, 100, 100);
	store_hold(&rig.store, 1u << STORE_PUT);
	ck_assert_int_eq(staged_commit(f, &st, &cancel), -ECANCELED);
	staged_unref(f); /* nobody has it any more */
	store_hold(&rig.store, 0);
	WAIT_UNTIL(store_has(&rig.store, "key", bytes, 100));
	WAIT_UNTIL(rig_files(&rig, ".data", path) == 0);
}
END_TEST

START_TEST(a_file_that_is_discarded_ends_its_commit)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct cancel cancel = { .set = true };
	struct ufs_stat st;

	write_to(f, 0, 100, 100);
	store_hold(&rig.store, 1u << STORE_PUT);
	ck_assert_int_eq(staged_commit(f, &st, &cancel), -ECANCELED);
	staged_discard(f);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(!store_has_key(&rig.store, "key"));
	staged_unref(f);
}
END_TEST

/* Another's hand in the staging file: byte at is not what it was. */
static void rot(uint64_t at)
{
	char c;
	int fd;

	ck_assert_uint_eq(rig_files(&rig, ".data", path), 1);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pread(fd, &c, 1, (off_t)at), 1);
	c ^= 1;
	ck_assert_int_eq(pwrite(fd, &c, 1, (off_t)at), 1);
	close(fd);
}

START_TEST(what_rots_before_it_is_sent_is_an_error)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	/* A put, an upload; written in order, or a page in two pieces. */
	store_hold(&rig.store, 1u << STORE_PART);
	write_to(f, 0, _i < 2 ? 100000 : PART + 100, 7000);
	if (_i % 2 != 0)
		change(f, 66000, 100);
	rot(70000);
	store_hold(&rig.store, 0);
	ck_assert_int_eq(commit_now(f), -EIO);
	ck_assert(!store_has_key(&rig.store, "key"));
	ck_assert_int_eq(staged_write(f, "x", 1, 0), -EIO);
	WAIT_UNTIL(store_uploads(&rig.store) == 0);
	staged_unref(f);
}
END_TEST

START_TEST(what_has_rotted_is_not_blessed_by_a_write_beside_it)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	write_to(f, 0, 60000, 60000);
	rot(100);
	ck_assert_int_eq(staged_write(f, "x", 1, 200), -EIO);
	ck_assert_int_eq(commit_now(f), -EIO);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PUT), 0);
	staged_unref(f);
}
END_TEST

static uint64_t cached_of(const struct ufs_stat *st)
{
	struct object *o;
	uint64_t n = 0;

	ck_assert_int_eq(object_get(rig.cache, str_of("key"), st, &o), 0);
	ck_assert_int_eq(object_cached(o, &n), 0);
	object_put(o);
	return n;
}

START_TEST(a_file_is_in_the_cache_when_nobody_writes_it_any_more)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct ufs_stat st;

	write_to(f, 0, SIZE, KIB(64));
	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	ck_assert_uint_eq(cached_of(&st), 0);
	staged_offer(f);
	ck_assert_uint_eq(cached_of(&st), SIZE);

	/* A later version by whoever goes last. */
	change(f, PART, 10);
	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	ck_assert_uint_eq(cached_of(&st), 0);
	staged_unref(f);
	WAIT_UNTIL(rig_files(&rig, ".data", path) == 0);
	ck_assert_uint_eq(cached_of(&st), SIZE);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_GET), 0);
}
END_TEST

START_TEST(what_rots_after_it_was_sent_does_not_get_into_the_cache)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct ufs_stat st;

	write_to(f, 0, SIZE, KIB(64));
	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	change(f, PART, 10);
	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	rot(5);
	staged_unref(f);
	WAIT_UNTIL(rig_files(&rig, ".data", path) == 0);
	ck_assert_uint_eq(cached_of(&st), 0);
}
END_TEST

/*
 * A writer sets all of its file to one letter after the other, in two writes:
 * first the back, then the front. No object has a back behind its front.
 */
#define LETTERS 400

struct writer {
	struct staged *f;
	size_t size;
	atomic_bool over;
	unsigned states; /* of objects; under the store's mutex */
	bool blended;
};

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	char *buf = malloc(w->size);

	for (int i = 0; i < LETTERS; i++) {
		size_t half = w->size / 2;

		memset(buf, 'a' + i % 26, w->size);
		if (staged_write(w->f, buf, w->size - half, half) != 0 ||
		    staged_write(w->f, buf, half, 0) != 0)
			abort();
		usleep(300);
	}
	free(buf);
	atomic_store(&w->over, true);
	return NULL;
}

/* Either half is of one letter; the back is as new as the front, or next. */
static void look(void *arg, const struct store_object *o)
{
	struct writer *w = arg;
	size_t half = w->size / 2;
	int front = o->bytes[0], back = o->bytes[half];

	for (size_t i = 0; i < o->size; i++)
		if (o->bytes[i] != (i < half ? front : back))
			w->blended = true;
	if (back != front && (back - 'a' + 26 - (front - 'a')) % 26 != 1)
		w->blended = true;
	w->states++;
}

START_TEST(what_is_written_during_a_commit_makes_no_blend)
{
	struct writer w = { .size = _i == 0 ? PART / 2 : 4 * PART };
	char *first = malloc(w.size);
	pthread_t thread;

	rig.store.made = look;
	rig.store.made_arg = &w;
	rig.store.slow = 50;
	memset(first, 'a', w.size);
	w.f = staged_open(&rig, "key", STAGED_NEW, NULL);
	ck_assert_int_eq(staged_write(w.f, first, w.size, 0), 0);
	free(first);
	ck_assert_int_eq(pthread_create(&thread, NULL, writer_main, &w), 0);
	while (!atomic_load(&w.over))
		ck_assert_int_eq(commit_now(w.f), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(commit_now(w.f), 0);
	ck_assert(!w.blended);
	ck_assert_uint_gt(w.states, 1);
	ck_assert(!state_of(w.f).dirty);
	staged_unref(w.f);
}
END_TEST

static void *commit_main(void *arg)
{
	return (void *)(intptr_t)commit_now(arg);
}

START_TEST(commits_of_several_threads_join)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	pthread_t threads[8];

	write_to(f, 0, 100, 100);
	store_hold(&rig.store, 1u << STORE_PUT);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, commit_main, f);
	WAIT_UNTIL(store_calls(&rig.store, STORE_PUT) == 1);
	store_hold(&rig.store, 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *r;

		pthread_join(threads[i], &r);
		ck_assert_ptr_null(r);
	}
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PUT), 1);
	staged_unref(f);
}
END_TEST

struct reader {
	struct staged *file;
	char *to;
	ssize_t got;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;

	r->got = staged_read(r->file, r->to, SIZE, 0, false);
	return NULL;
}

START_TEST(a_read_goes_on_upon_what_was_committed_meanwhile)
{
	struct ufs_stat st;
	struct staged *f = upon(&st);
	struct reader r = { .file = f, .to = malloc(SIZE) };
	pthread_t thread;

	/* Its GET of what is not written waits in the store, */
	store_hold(&rig.store, 1u << STORE_GET);
	must(pthread_create(&thread, NULL, reader_main, &r));
	WAIT_UNTIL(store_calls(&rig.store, STORE_GET) > 0);
	/* where another version is then, most of it a copy. */
	change(f, (PARTS - 1) * PART, PART + 1000);
	ck_assert_int_eq(commit_now(f), 0);
	store_hold(&rig.store, 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(r.got, SIZE);
	ck_assert(memcmp(r.to, bytes, SIZE) == 0);
	free(r.to);
	staged_unref(f);
}
END_TEST

START_TEST(who_takes_its_name_waits_for_a_commit_that_runs)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	pthread_t thread;
	void *r;

	write_to(f, 0, 100, 100);
	rig.store.slow = 200000;
	must(pthread_create(&thread, NULL, commit_main, f));
	WAIT_UNTIL(store_calls(&rig.store, STORE_PUT) == 1);
	staged_pause(f);
	ck_assert(!state_of(f).committing && state_of(f).committed);
	ck_assert(store_has_key(&rig.store, "key"));
	must(pthread_join(thread, &r));
	ck_assert_ptr_null(r);
	/* No other one begins. */
	rig.store.slow = 0;
	write_to(f, 0, 100, 100);
	must(pthread_create(&thread, NULL, commit_main, f));
	staged_discard(f);
	must(pthread_join(thread, &r));
	ck_assert_ptr_null(r);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PUT), 1);
	staged_unref(f);
}
END_TEST

START_TEST(what_is_written_while_a_commit_ends_is_dirty_upon_it)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct cancel cancel = { .set = true };
	struct ufs_stat st;

	write_to(f, 0, SIZE, KIB(64));
	store_hold(&rig.store, 1u << STORE_END);
	ck_assert_int_eq(staged_commit(f, &st, &cancel), -ECANCELED);
	WAIT_UNTIL(store_calls(&rig.store, STORE_END) == 1);
	change(f, 3 * PART + 9, 10);
	ck_assert_int_eq(staged_truncate(f, 4 * PART), 0);
	ck_assert_int_eq(staged_truncate(f, 5 * PART), 0);
	memset(bytes + 4 * PART, 0, PART);
	store_hold(&rig.store, 0);
	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	ck_assert_str_eq(st.version, "v2");
	ck_assert(store_has(&rig.store, "key", bytes, 5 * PART));
	ck_assert_uint_eq(store_calls(&rig.store, STORE_COPY), 3);
	staged_unref(f);
}
END_TEST

START_TEST(C17_parts_grow_up_to_the_largest_object)
{
	enum { MOST = 40 << 20 };
	struct staged *f;
	char *large = malloc(MOST);

	staging_free(rig.staging);
	cache_free(rig.cache);
	rig.store.limits.parts = 10;
	rig.store.limits.object_most = MOST;
	rig.conf.part_size = 0;
	write_rig_open(&rig);
	f = staged_open(&rig, "key", STAGED_NEW, NULL);
	fill_bytes(large, MOST, 2);
	for (uint64_t off = 0; off < MOST; off += MIB(1))
		ck_assert_int_eq(staged_write(f, large + off, MIB(1), off), 0);
	ck_assert_int_eq(staged_write(f, large, 1, MOST), -EFBIG);
	ck_assert_int_eq(staged_truncate(f, MOST + 1), -EFBIG);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", large, MOST));
	/* Of 8, 16 and, as far as it goes, 32 MiB. */
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PART), 3);
	ck_assert_uint_eq(store_sent(&rig.store), MOST);
	staged_unref(f);
	free(large);
}
END_TEST

START_TEST(a_store_without_parts_is_put_all_at_once)
{
	struct staged *f;

	staging_free(rig.staging);
	cache_free(rig.cache);
	rig.store.limits.part_least = 0;
	write_rig_open(&rig);
	f = staged_open(&rig, "key", STAGED_NEW, NULL);
	write_to(f, 0, SIZE, KIB(64));
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, SIZE));
	ck_assert_uint_eq(store_calls(&rig.store, STORE_BEGIN), 0);
	ck_assert_int_eq(staged_write(f, "x", 1, MIB(64)), -EFBIG);
	staged_unref(f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("commit");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, what_was_committed_is_the_caches_without_a_copy);
	tcase_add_loop_test(t, who_writes_what_the_cache_has_writes_to_a_copy,
			    0, 3);
	tcase_add_test(t, what_is_dirty_is_not_the_caches);
	tcase_add_test(t, parts_are_sent_while_a_file_is_written_in_order);
	tcase_add_test(t,
		       a_part_that_was_sent_and_is_written_again_is_sent_again);
	tcase_add_test(t, parts_that_did_not_change_are_copied_by_the_store);
	tcase_add_test(t, after_a_commit_only_what_was_written_since_is_sent);
	tcase_add_test(t,
		       the_last_one_wins_where_parts_cannot_be_copied_any_more);
	tcase_add_test(
	    t,
	    a_part_that_cannot_be_copied_any_more_is_of_a_version_that_is_gone);
	tcase_add_test(t, its_time_is_that_of_the_object_once_it_is_one);
	tcase_add_test(t, what_is_appended_does_not_send_the_rest_again);
	tcase_add_test(t, a_large_object_that_moves_is_copied_whole);
	tcase_add_test(t,
		       what_the_store_does_not_copy_at_once_it_copies_in_parts);
	tcase_add_loop_test(t, a_copy_in_parts_that_fails_leaves_nothing, 0, 4);
	tcase_add_test(t, a_file_that_moves_while_parts_are_sent_is_sent_anew);
	tcase_add_test(t, of_one_that_will_move_nothing_is_sent_twice);
	tcase_add_test(
	    t, what_is_acknowledged_before_it_is_sent_is_not_sent_before);
	tcase_add_test(
	    t,
	    where_somebody_waits_for_the_store_the_next_is_sent_while_it_is_written);
	tcase_add_loop_test(t, an_upload_that_the_store_forgot_is_begun_anew, 0,
			    2);
	tcase_add_test(t, an_upload_that_is_always_forgotten_is_an_error);
	tcase_add_loop_test(
	    t, C13_an_upload_that_cannot_be_ended_for_others_is_begun_anew, 1,
	    3);
	tcase_add_test(
	    t, a_part_that_fails_while_writing_goes_on_is_tried_at_the_commit);
	tcase_add_loop_test(t, a_commit_that_fails_leaves_no_upload_behind, 0,
			    4);
	tcase_add_loop_test(t, an_upload_of_a_file_that_is_dropped_is_aborted,
			    0, 2);
	tcase_add_test(t, a_file_that_was_cut_is_put);
	tcase_add_test(t, a_commit_goes_on_without_the_one_who_waited_for_it);
	tcase_add_test(t, a_file_that_is_discarded_ends_its_commit);
	tcase_add_loop_test(t, what_rots_before_it_is_sent_is_an_error, 0, 4);
	tcase_add_test(t, what_has_rotted_is_not_blessed_by_a_write_beside_it);
	tcase_add_test(t,
		       a_file_is_in_the_cache_when_nobody_writes_it_any_more);
	tcase_add_test(t,
		       what_rots_after_it_was_sent_does_not_get_into_the_cache);
	tcase_add_loop_test(t, what_is_written_during_a_commit_makes_no_blend,
			    0, 2);
	tcase_add_test(t, commits_of_several_threads_join);
	tcase_add_test(t, a_read_goes_on_upon_what_was_committed_meanwhile);
	tcase_add_test(t, who_takes_its_name_waits_for_a_commit_that_runs);
	tcase_add_test(t, what_is_written_while_a_commit_ends_is_dirty_upon_it);
	tcase_add_test(t, C17_parts_grow_up_to_the_largest_object);
	tcase_add_test(t, a_store_without_parts_is_put_all_at_once);
	return RUN_CASES(t);
}
