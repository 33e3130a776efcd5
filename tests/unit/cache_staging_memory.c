/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_staging_memory.c - small files that have no file on the disk at first
 */
#include "tests/unit/write_rig.h"

#include <sys/file.h>
#include <sys/stat.h>

#include "base/stats.h"
#include "tests/unit/run.h"

static struct write_rig rig;
static char path[300];
static char bytes[MIB(1) + 100], back[MIB(1) + 100];

/* With so much memory. */
static void begin(size_t memory)
{
	staging_free(rig.staging);
	cache_free(rig.cache);
	rig.conf.memory = memory;
	write_rig_open(&rig);
}

static void setup(void)
{
	write_rig_init(&rig);
	begin(MIB(4));
	fill_bytes(bytes, sizeof(bytes), 1);
}

static void teardown(void)
{
	write_rig_fini(&rig);
}

static int put(struct staged *f, const char *text, uint64_t off)
{
	return staged_write(f, text, strlen(text), off);
}

static void reads(struct staged *f, const void *what, size_t n)
{
	ck_assert_int_eq(staged_read(f, back, sizeof(back), 0, false),
			 (ssize_t)n);
	ck_assert_int_eq(memcmp(back, what, n), 0);
}

/* The data on the disk, of the one file there. */
static void disk_has(const void *what, size_t n)
{
	FILE *data;

	ck_assert_uint_eq(rig_files(&rig, ".json", path), 1);
	ck_assert_uint_eq(rig_files(&rig, ".data", path), 1);
	data = fopen(path, "r");
	ck_assert_ptr_nonnull(data);
	ck_assert_uint_eq(fread(back, 1, sizeof(back), data), n);
	ck_assert_int_eq(memcmp(back, what, n), 0);
	/* It lives: nobody takes it for a dead one's. */
	ck_assert_int_lt(flock(fileno(data), LOCK_EX | LOCK_NB), 0);
	fclose(data);
}

static unsigned on_disk(void)
{
	return rig_files(&rig, "", path) - 2; /* . and .. */
}

START_TEST(a_small_file_is_committed_without_one_on_the_disk)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	ck_assert_int_eq(put(f, "hello", 0), 0);
	ck_assert_int_eq(put(f, "world", 6), 0);
	ck_assert_int_eq(staged_truncate(f, 10), 0);
	reads(f, "hello\0worl", 10);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", "hello\0worl", 10));
	ck_assert_uint_eq(on_disk(), 0);
	staged_unref(f);
	WAIT_UNTIL(stat_read(STAT_memory_bytes) == 0);
	ck_assert_uint_eq(on_disk(), 0);
}
END_TEST

START_TEST(what_is_a_second_old_is_on_the_disk)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	ck_assert_int_eq(put(f, "hello", 0), 0);
	ck_assert_uint_eq(on_disk(), 0);
	WAIT_UNTIL(rig_files(&rig, ".json", path) == 1);
	disk_has("hello", 5);
	/* It is written there from now on. */
	ck_assert_int_eq(put(f, "p, please", 3), 0);
	disk_has("help, please", 12);
	reads(f, "help, please", 12);
	WAIT_UNTIL(stat_read(STAT_memory_bytes) == 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", "help, please", 12));
	staged_unref(f);
	WAIT_UNTIL(on_disk() == 0);
}
END_TEST

START_TEST(also_while_its_commit_waits_for_the_store)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct cancel cancel = { .set = true };
	struct ufs_stat st;

	ck_assert_int_eq(put(f, "hello", 0), 0);
	store_hold(&rig.store, 1u << STORE_PUT);
	ck_assert_int_eq(staged_commit(f, &st, &cancel), -ECANCELED);
	WAIT_UNTIL(rig_files(&rig, ".json", path) == 1);
	disk_has("hello", 5);
	store_hold(&rig.store, 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", "hello", 5));
	staged_unref(f);
}
END_TEST

START_TEST(what_grows_large_is_on_the_disk)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	size_t n = PART; /* a put's most */

	ck_assert_int_eq(staged_write(f, bytes, n, 0), 0);
	ck_assert_uint_eq(on_disk(), 0);
	ck_assert_int_eq(staged_write(f, bytes + n, 1, n), 0);
	disk_has(bytes, n + 1);
	reads(f, bytes, n + 1);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, n + 1));
	staged_unref(f);
}
END_TEST

START_TEST(what_is_reserved_is_so_on_the_disk)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	ck_assert_int_eq(staged_allocate(f, 0, 100), 0);
	ck_assert_uint_eq(on_disk(), 2);
	staged_unref(f);
}
END_TEST

START_TEST(a_name_that_changes_is_said_on_the_disk)
{
	struct staged *f = staged_open(&rig, "tmp", STAGED_NEW, NULL);

	ck_assert_int_eq(put(f, "hello", 0), 0);
	ck_assert_int_eq(staged_move(f, str_of("key"),
				     &(struct ufs_cond){ UFS_IF_ABSENT, NULL }),
			 0);
	disk_has("hello", 5);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", "hello", 5));
	staged_unref(f);
}
END_TEST

START_TEST(what_is_acknowledged_is_on_the_disk)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	ck_assert_int_eq(put(f, "hello", 0), 0);
	ck_assert_int_eq(staged_persist(f), 0);
	disk_has("hello", 5);
	ck_assert_uint_eq(rig_files(&rig, ".sums", path), 1);
	staged_unref(f);
}
END_TEST

START_TEST(what_the_store_refuses_is_kept_on_the_disk)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	ck_assert_int_eq(put(f, "hello", 0), 0);
	store_fail(&rig.store, STORE_PUT, 1, 1, -EACCES);
	ck_assert_int_eq(commit_now(f), -EACCES);
	disk_has("hello", 5);
	reads(f, "hello", 5);
	staged_unref(f);
	ck_assert_uint_eq(on_disk(), 2);
}
END_TEST

/* The directory is gone, so nothing can be made in it. */
static struct staged *fails_without_a_disk(void)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	char dir[240];

	ck_assert_int_eq(put(f, "hello", 0), 0);
	rig_store_dir(&rig, dir);
	ck_assert_int_eq(rmdir(dir), 0);
	store_fail(&rig.store, STORE_PUT, 1, 1, -EACCES);
	ck_assert_int_eq(commit_now(f), -EACCES);
	ck_assert_int_eq(mkdir(dir, 0700), 0); /* for the rig to remove */
	return f;
}

START_TEST(what_the_disk_does_not_take_either_is_told_while_it_is_open)
{
	struct staged *f = fails_without_a_disk();
	uint64_t seen = 0;

	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(staging_failed(rig.staging, str_of("key")),
				 -EACCES);
	ck_assert_int_eq(staging_failed_below(rig.staging, str_of(""), &seen),
			 -EACCES);
	reads(f, "hello", 5);
	ck_assert_uint_eq(staging_keep(rig.staging), 1);
	staged_unref(f);
	/* It is lost, and nothing is said to be kept. */
	ck_assert_uint_eq(staging_settle(rig.staging), 0);
	ck_assert_uint_eq(staging_keep(rig.staging), 0);
	ck_assert_int_eq(staging_failed(rig.staging, str_of("key")), 0);
}
END_TEST

START_TEST(nor_is_one_of_that_kind_told_of_when_it_was_removed)
{
	struct staged *f = fails_without_a_disk();

	staged_discard(f);
	ck_assert_int_eq(staging_failed(rig.staging, str_of("key")), 0);
	staged_unref(f);
}
END_TEST

/* Upon a base the record says which bytes are its own. */
START_TEST(bytes_of_a_base_are_not_copied_to_memory_either)
{
	struct ufs_stat st;
	struct staged *f;

	store_set(&rig.store, "key", "0123456789", 10, &st);
	f = staged_open(&rig, "key", STAGED_UPON, &st);
	ck_assert_int_eq(put(f, "abc", 4), 0);
	ck_assert_uint_eq(on_disk(), 0);
	reads(f, "0123abc789", 10);
	WAIT_UNTIL(rig_files(&rig, ".json", path) == 1);
	disk_has("\0\0\0\0abc\0\0\0", 10);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", "0123abc789", 10));
	staged_unref(f);
}
END_TEST

START_TEST(what_is_removed_is_nowhere_on_the_disk)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	size_t n = PART + 1;

	ck_assert_int_eq(put(f, "hello", 0), 0);
	staged_discard(f);
	reads(f, "hello", 5);
	ck_assert_uint_eq(on_disk(), 0);
	/* Its memory is bounded all the same. */
	ck_assert_int_eq(staged_write(f, bytes, n, 0), 0);
	ck_assert_int_eq(stat_read(STAT_memory_bytes), 0);
	ck_assert_uint_eq(on_disk(), 0);
	reads(f, bytes, n);
	staged_unref(f);
}
END_TEST

START_TEST(more_than_the_memory_has_room_for_is_on_the_disk)
{
	struct staged *one, *two;

	begin(KIB(64));
	one = staged_open(&rig, "one", STAGED_NEW, NULL);
	ck_assert_uint_eq(on_disk(), 0);
	two = staged_open(&rig, "two", STAGED_NEW, NULL);
	ck_assert_uint_eq(on_disk(), 2);
	ck_assert_int_eq(put(two, "two", 0), 0);
	disk_has("two", 3);
	ck_assert_int_eq(staged_write(one, bytes, KIB(64), 0), 0);
	ck_assert_uint_eq(on_disk(), 2);
	ck_assert_int_eq(put(one, "!", KIB(64)), 0);
	ck_assert_uint_eq(on_disk(), 4);
	ck_assert_int_eq(commit_now(one), 0);
	ck_assert_int_eq(commit_now(two), 0);
	staged_unref(one);
	staged_unref(two);
}
END_TEST

/* A loop's thread has to know before it is made, or written to. */
START_TEST(what_may_have_to_wait_for_the_disk_is_known_before)
{
	struct staged *f, *g;

	begin(KIB(128));
	/* Nobody has looked at the disk's room yet. */
	ck_assert_int_eq(
	    staged_new_now(rig.staging, str_of("f"), STAGED_NEW, &f), -EAGAIN);
	f = staged_open(&rig, "f", STAGED_NEW, NULL);
	ck_assert_int_eq(
	    staged_new_now(rig.staging, str_of("g"), STAGED_NEW, &g), 0);
	ck_assert_uint_eq(on_disk(), 0);
	ck_assert(staged_stays_in_memory(g, KIB(64)));
	ck_assert(!staged_stays_in_memory(g, KIB(64) + 1));
	/* There is no memory for another. */
	staged_unref(f);
	ck_assert_int_eq(staged_write(g, bytes, KIB(64) + 1, 0), 0);
	ck_assert(staged_stays_in_memory(g, KIB(128)));
	ck_assert_int_eq(
	    staged_new_now(rig.staging, str_of("f"), STAGED_NEW, &f), -EAGAIN);
	ck_assert_uint_eq(on_disk(), 0);
	/* And none for this one. */
	ck_assert_int_eq(put(g, "!", KIB(128)), 0);
	ck_assert_uint_eq(on_disk(), 2);
	ck_assert(!staged_stays_in_memory(g, 1));
	staged_unref(g);
}
END_TEST

struct writer {
	struct staged *file;
	unsigned n;
};

static void *write_all(void *arg)
{
	struct writer *w = arg;

	for (unsigned i = 0; i < 3000; i++) {
		size_t at = (i * 37) % KIB(64);

		ck_assert_int_eq(
		    staged_write(w->file, bytes + at, 1 + i % 900, at), 0);
	}
	return NULL;
}

START_TEST(who_writes_while_it_is_put_there_loses_nothing)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct writer w = { .file = f };
	pthread_t thread;

	ck_assert_int_eq(staged_write(f, bytes, KIB(65), 0), 0);
	while (rig_files(&rig, ".json", path) == 0) {
		ck_assert_int_eq(pthread_create(&thread, NULL, write_all, &w),
				 0);
		ck_assert_int_eq(commit_now(f), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		reads(f, bytes, KIB(65));
	}
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", bytes, KIB(65)));
	staged_unref(f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("memory");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_small_file_is_committed_without_one_on_the_disk);
	tcase_add_test(t, what_is_a_second_old_is_on_the_disk);
	tcase_add_test(t, also_while_its_commit_waits_for_the_store);
	tcase_add_test(t, what_grows_large_is_on_the_disk);
	tcase_add_test(t, what_is_reserved_is_so_on_the_disk);
	tcase_add_test(t, a_name_that_changes_is_said_on_the_disk);
	tcase_add_test(t, what_is_acknowledged_is_on_the_disk);
	tcase_add_test(t, what_the_store_refuses_is_kept_on_the_disk);
	tcase_add_test(
	    t, what_the_disk_does_not_take_either_is_told_while_it_is_open);
	tcase_add_test(t, nor_is_one_of_that_kind_told_of_when_it_was_removed);
	tcase_add_test(t, bytes_of_a_base_are_not_copied_to_memory_either);
	tcase_add_test(t, what_is_removed_is_nowhere_on_the_disk);
	tcase_add_test(t, more_than_the_memory_has_room_for_is_on_the_disk);
	tcase_add_test(t, what_may_have_to_wait_for_the_disk_is_known_before);
	tcase_add_test(t, who_writes_while_it_is_put_there_loses_nothing);
	return RUN_CASES(t);
}
