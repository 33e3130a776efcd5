/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_writeback.c - what was acknowledged gets to the store, whoever dies
 *
 * A crash is a copy of the staging as it is at that moment, which a new staging
 * takes over, while the old one is thrown away.
 */
#include "cache/recover.h"

#include <stdatomic.h>

#include "tests/unit/run.h"
#include "tests/unit/write_rig.h"

#define SMALL 100000
#define LARGE (5 * PART + 1000)
#define MOST (6 * PART)

static struct write_rig rig;
static unsigned crashes;
static char *bytes, *other;

static void setup(void)
{
	write_rig_init(&rig);
	crashes = 0;
	bytes = malloc(MOST);
	other = malloc(MOST);
	fill_bytes(bytes, MOST, 1);
	fill_bytes(other, MOST, 2);
}

static void teardown(void)
{
	write_rig_fini(&rig);
	free(bytes);
	free(other);
}

/* Unless it has just gone: the staging tidies up behind its back. */
static void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out;
	struct timespec times[2];
	struct stat st;
	char *buf;
	ssize_t n;

	if (in < 0 && errno == ENOENT)
		return;
	buf = malloc(MIB(1));
	out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert(in >= 0 && out >= 0);
	while ((n = read(in, buf, MIB(1))) > 0)
		ck_assert_int_eq(write(out, buf, (size_t)n), n);
	ck_assert_int_eq(fstat(in, &st), 0);
	times[0] = times[1] = st.st_mtim;
	ck_assert_int_eq(futimens(out, times), 0);
	close(in);
	close(out);
	free(buf);
}

/* The staging as it is now, elsewhere: into to. */
static void take_copy(char to[static 120])
{
	char dir[240], path[300], dest[400];
	struct dirent *e;
	DIR *d;

	rig_store_dir(&rig, dir);
	snprintf(to, 120, "%.80s/after-%u", rig.dir.base, ++crashes);
	ck_assert_int_eq(mkdir(to, 0700), 0);
	snprintf(dest, sizeof(dest), "%s/%s", to, strrchr(dir, '/') + 1);
	ck_assert_int_eq(mkdir(dest, 0700), 0);
	d = opendir(dir);
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%.50s", dir, e->d_name);
		snprintf(dest, sizeof(dest), "%s/%s/%.50s", to,
			 strrchr(dir, '/') + 1, e->d_name);
		copy_file(path, dest);
	}
	closedir(d);
}

static void start_again(const char *dir)
{
	char why[256];

	staging_free(rig.staging);
	rig.staging = NULL;
	if (dir != rig.staging_dir)
		snprintf(rig.staging_dir, sizeof(rig.staging_dir), "%s", dir);
	ck_assert_msg(staging_new(&rig.conf, &rig.staging, why) == 0, "%s",
		      why);
}

/* The process that has f dies. What it has begun is not ended. */
static void crash(struct staged *f)
{
	char to[120];

	take_copy(to);
	store_hold(&rig.store, 1u << STORE_PUT | 1u << STORE_BEGIN |
				   1u << STORE_PART | 1u << STORE_END |
				   1u << STORE_ABORT);
	if (f != NULL)
		staged_discard(f);
	staged_unref(f);
	store_hold(&rig.store, 0);
	start_again(to);
}

static unsigned data_files(void)
{
	char path[300];

	return rig_files(&rig, ".data", path);
}

static unsigned files(void)
{
	char path[300];

	return rig_files(&rig, "", path) - 2; /* . and .. */
}

static struct staged *new_file(const char *p, size_t n)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	ck_assert_int_eq(staged_write(f, p, n, 0), 0);
	return f;
}

static void rewrite(struct staged *f, const char *p, size_t n)
{
	ck_assert_int_eq(staged_truncate(f, 0), 0);
	ck_assert_int_eq(staged_write(f, p, n, 0), 0);
}

static int commit_acked(struct staged *f)
{
	struct ufs_stat st;

	return staged_commit_acked(f, &st);
}

/* All that was acknowledged is committed: how many files. */
static unsigned replay(int want)
{
	struct staged *f;
	unsigned n = 0;

	for (; (f = staging_restored(rig.staging)) != NULL; n++) {
		ck_assert(state_of(f).acked && state_of(f).uncertain);
		ck_assert_int_eq(commit_acked(f), want);
		staged_unref(f);
	}
	(void)staging_settle(rig.staging);
	return n;
}

static size_t size_of(int i)
{
	return i == 0 ? SMALL : LARGE;
}

/* ---- one generation ---- */

START_TEST(the_next_mount_commits_what_was_acknowledged)
{
	size_t n = size_of(_i);
	struct staged *f = new_file(bytes, n);

	ck_assert(!state_of(f).acked);
	ck_assert_int_eq(staged_persist(f), 0);
	ck_assert(state_of(f).acked && state_of(f).dirty);
	crash(f);
	ck_assert(!store_has_key(&rig.store, "key"));
	ck_assert_uint_eq(replay(0), 1);
	ck_assert(store_has(&rig.store, "key", bytes, n));
	ck_assert_uint_eq(files(), 0);
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
}
END_TEST

START_TEST(it_is_read_as_it_was_before_the_store_has_it)
{
	struct staged *f = new_file(bytes, LARGE);
	char *got = malloc(LARGE);

	ck_assert_int_eq(staged_truncate(f, LARGE + SMALL), 0);
	staged_set_mtime(f, 77 * NSEC_PER_SEC);
	ck_assert_int_eq(staged_persist(f), 0);
	crash(f);
	f = staging_restored(rig.staging);
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_null(staging_restored(rig.staging));
	ck_assert_uint_eq(state_of(f).size, LARGE + SMALL);
	ck_assert_int_eq(state_of(f).mtime, 77 * NSEC_PER_SEC);
	ck_assert_int_eq(staged_read(f, got, LARGE, 0, true), LARGE);
	ck_assert_int_eq(memcmp(got, bytes, LARGE), 0);
	/* And written on, it is committed with what was added. */
	ck_assert_int_eq(staged_write(f, other, SMALL, LARGE), 0);
	ck_assert_int_eq(commit_acked(f), -EAGAIN);
	ck_assert_int_eq(staged_persist(f), 0);
	ck_assert_int_eq(commit_acked(f), 0);
	staged_unref(f);
	memcpy(bytes + LARGE, other, SMALL);
	ck_assert(store_has(&rig.store, "key", bytes, LARGE + SMALL));
	(void)staging_settle(rig.staging);
	ck_assert_uint_eq(files(), 0);
	free(got);
}
END_TEST

START_TEST(an_empty_file_and_one_with_holes_are_files_too)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	if (_i == 1) {
		ck_assert_int_eq(staged_write(f, bytes, 10, 3 * PART + 5), 0);
		ck_assert_int_eq(staged_truncate(f, 4 * PART), 0);
		memcpy(other, bytes, 10);
		memset(bytes, 0, 4 * PART);
		memcpy(bytes + 3 * PART + 5, other, 10);
	}
	ck_assert_int_eq(staged_persist(f), 0);
	crash(f);
	ck_assert_uint_eq(replay(0), 1);
	ck_assert(store_has(&rig.store, "key", bytes, _i == 1 ? 4 * PART : 0));
}
END_TEST

START_TEST(what_was_written_to_an_object_is_written_to_it)
{
	struct staged *f;
	struct ufs_stat st;

	store_set(&rig.store, "key", bytes, LARGE, &st);
	f = staged_open(&rig, "key", STAGED_UPON, &st);
	ck_assert_int_eq(staged_write(f, other, 1000, 3 * PART + 7), 0);
	if (_i == 1)
		ck_assert_int_eq(staged_truncate(f, 4 * PART), 0);
	ck_assert_int_eq(staged_persist(f), 0);
	crash(f);
	ck_assert_uint_eq(replay(0), 1);
	memcpy(bytes + 3 * PART + 7, other, 1000);
	ck_assert(
	    store_has(&rig.store, "key", bytes, _i == 1 ? 4 * PART : LARGE));
	ck_assert_uint_eq(files(), 0);
}
END_TEST

static void *commit_it(void *file)
{
	(void)commit_acked(file);
	return NULL;
}

/*
 * Its parts may begin to be sent at any moment of that: while the file is a new
 * one and its sums are not yet, too.
 */
START_TEST(what_is_sent_while_it_is_emptied_is_not_taken_for_rotten)
{
	struct staged *f = new_file(bytes, LARGE);

	for (unsigned i = 0; i < 200; i++) {
		pthread_t committer;

		ck_assert_int_eq(staged_persist(f), 0);
		ck_assert_int_eq(pthread_create(&committer, NULL, commit_it, f),
				 0);
		if (i % 2 == 0)
			sched_yield();
		ck_assert_int_eq(staged_truncate(f, 0), 0);
		ck_assert_int_eq(staged_write(f, bytes, LARGE, 0), 0);
		ck_assert_int_eq(pthread_join(committer, NULL), 0);
		ck_assert_int_eq(state_of(f).err, 0);
	}
	ck_assert_int_eq(staged_persist(f), 0);
	ck_assert_int_eq(commit_acked(f), 0);
	staged_unref(f);
	ck_assert(store_has(&rig.store, "key", bytes, LARGE));
}
END_TEST

static void *read_all_of_it(void *file)
{
	char *got = malloc(SMALL);
	ssize_t n = staged_read(file, got, SMALL, 0, false);
	bool right = n == SMALL && memcmp(got, bytes, SMALL) == 0;

	free(got);
	return right ? NULL : (void *)(intptr_t)(n < 0 ? n : 1);
}

/* The dead had got it there, and what it was upon is gone by that. */
START_TEST(it_is_read_while_nobody_knows_that_the_store_has_it)
{
	struct staged *f;
	struct ufs_stat st;
	pthread_t reader;
	void *wrong;

	store_set(&rig.store, "key", bytes, SMALL, &st);
	f = staged_open(&rig, "key", STAGED_UPON, &st);
	ck_assert_int_eq(staged_write(f, other, 1000, 777), 0);
	ck_assert_int_eq(staged_persist(f), 0);
	crash(f);
	memcpy(bytes + 777, other, 1000);
	store_set(&rig.store, "key", bytes, SMALL, &st);
	f = staging_restored(rig.staging);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_all_of_it, f), 0);
	while (store_calls(&rig.store, STORE_GET) == 0)
		sched_yield();
	ck_assert_int_eq(commit_acked(f), 0);
	ck_assert_int_eq(pthread_join(reader, &wrong), 0);
	ck_assert_int_eq((intptr_t)wrong, 0);
	staged_unref(f);
}
END_TEST

/*
 * The store had begun an upload when the process died, which never heard of it.
 * Another key's is left alone.
 */
START_TEST(an_upload_that_the_dead_did_not_hear_of_is_aborted)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	AUTO_FREE char *id = NULL, *others = NULL;
	char to[120];

	store_hold(&rig.store, 1u << STORE_BEGIN);
	ck_assert_int_eq(staged_write(f, bytes, LARGE, 0), 0);
	while (store_calls(&rig.store, STORE_BEGIN) == 0)
		sched_yield();
	if (_i == 1)
		ck_assert_int_eq(staged_persist(f), 0);
	take_copy(to);
	staged_discard(f);
	staged_unref(f);
	store_hold(&rig.store, 0);
	ck_assert_int_eq(
	    store_upload_begin(&rig.store.ufs, str_of("key"), &id, NULL), 0);
	ck_assert_int_eq(
	    store_upload_begin(&rig.store.ufs, str_of("key2"), &others, NULL),
	    0);
	start_again(to);
	ck_assert_uint_eq(replay(0), (unsigned)_i);
	ck_assert_uint_eq(store_uploads(&rig.store), 1);
	ck_assert_int_eq(
	    store_upload_abort(&rig.store.ufs, str_of("key2"), others, NULL),
	    0);
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
}
END_TEST

/* It was of no use any more, and the record of its file had forgotten it. */
START_TEST(an_upload_that_the_dead_had_forgotten_is_aborted)
{
	struct staged *f = new_file(bytes, LARGE);
	struct ufs_cond cond = { .what = UFS_IF_ABSENT };

	while (store_calls(&rig.store, STORE_PART) == 0)
		sched_yield();
	store_fail(&rig.store, STORE_ABORT, 1, 1, -EHOSTUNREACH);
	if (_i == 0)
		ck_assert_int_eq(staged_move(f, str_of("other"), &cond), 0);
	else
		staged_discard(f);
	crash(f);
	(void)staging_settle(rig.staging);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_ABORT), 2);
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
}
END_TEST

/* The answer to its beginning was lost, and nobody died. */
START_TEST(an_upload_whose_answer_was_lost_is_aborted)
{
	struct staged *f;
	AUTO_FREE char *id = NULL;

	store_fail(&rig.store, STORE_BEGIN, 1, 1, -ETIMEDOUT);
	f = new_file(bytes, LARGE);
	while (store_calls(&rig.store, STORE_BEGIN) == 0)
		sched_yield();
	ck_assert_int_eq(
	    store_upload_begin(&rig.store.ufs, str_of("key"), &id, NULL), 0);
	if (_i == 0)
		ck_assert_int_eq(commit_now(f), 0);
	else
		staged_discard(f);
	staged_unref(f);
	(void)staging_settle(rig.staging);
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(an_upload_of_the_dead_is_aborted_first)
{
	struct staged *f = new_file(bytes, LARGE);
	struct ufs_stat st;

	ck_assert_int_eq(staged_persist(f), 0);
	store_fail(&rig.store, STORE_END, 1, 1, -ETIMEDOUT);
	ck_assert_int_eq(staged_commit_acked(f, &st), -ETIMEDOUT);
	ck_assert_uint_eq(store_uploads(&rig.store), 1);
	store_fail(&rig.store, STORE_ABORT, 1, 100, -ETIMEDOUT);
	crash(f);
	ck_assert_uint_eq(store_uploads(&rig.store), 1);
	/* While it cannot be, nothing is begun anew. */
	f = staging_restored(rig.staging);
	ck_assert_int_eq(commit_acked(f), -ETIMEDOUT);
	ck_assert_uint_eq(store_uploads(&rig.store), 1);
	store_fail(&rig.store, STORE_ABORT, 0, 0, 0);
	ck_assert_int_eq(commit_acked(f), 0);
	staged_unref(f);
	(void)staging_settle(rig.staging);
	ck_assert(store_has(&rig.store, "key", bytes, LARGE));
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
}
END_TEST

START_TEST(a_store_that_is_away_is_no_error_that_stays)
{
	size_t n = size_of(_i);
	struct staged *f = new_file(bytes, n);

	ck_assert_int_eq(staged_persist(f), 0);
	store_fail(&rig.store, _i == 0 ? STORE_PUT : STORE_PART, 1, 100,
		   -EHOSTUNREACH);
	ck_assert_int_eq(commit_acked(f), -EHOSTUNREACH);
	ck_assert_int_eq(commit_now(f), -EHOSTUNREACH); /* an fsync */
	ck_assert_int_eq(state_of(f).err, 0);
	ck_assert_int_eq(staging_failed(rig.staging, str_of("key")), 0);
	store_fail(&rig.store, STORE_PUT, 0, 0, 0);
	ck_assert_int_eq(commit_acked(f), 0);
	staged_unref(f);
	ck_assert_uint_eq(staging_settle(rig.staging), 0);
	ck_assert(store_has(&rig.store, "key", bytes, n));
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(a_store_that_is_full_is_an_error_of_who_waits_for_it)
{
	struct staged *f = new_file(bytes, SMALL);

	/* Acknowledged: it is kept, and gets there when there is room. */
	ck_assert_int_eq(staged_persist(f), 0);
	store_fail(&rig.store, STORE_PUT, 1, 100, -ENOSPC);
	ck_assert_int_eq(commit_acked(f), -ENOSPC);
	ck_assert_int_eq(commit_now(f), -ENOSPC); /* an fsync */
	ck_assert_int_eq(state_of(f).err, 0);
	store_fail(&rig.store, STORE_PUT, 0, 0, 0);
	ck_assert_int_eq(commit_acked(f), 0);
	/* A close that waits for the store tells it (S12). */
	ck_assert_int_eq(staged_write(f, other, SMALL, 0), 0);
	store_fail(&rig.store, STORE_PUT, 1, 100, -ENOSPC);
	ck_assert_int_eq(commit_now(f), -ENOSPC);
	ck_assert_int_eq(state_of(f).err, -ENOSPC);
	store_fail(&rig.store, STORE_PUT, 0, 0, 0);
	staged_unref(f);
	ck_assert(store_has(&rig.store, "key", bytes, SMALL));
}
END_TEST

START_TEST(what_the_store_refuses_stays_an_error)
{
	struct staged *f = new_file(bytes, SMALL);

	ck_assert_int_eq(staged_persist(f), 0);
	store_fail(&rig.store, STORE_PUT, 1, 1, -EACCES);
	ck_assert_int_eq(commit_acked(f), -EACCES);
	ck_assert_int_eq(state_of(f).err, -EACCES);
	ck_assert_int_eq(staging_failed(rig.staging, str_of("key")), -EACCES);
	staged_unref(f);
	/* The next mount tells it, and does not try again by itself. */
	start_again(rig.staging_dir);
	ck_assert_uint_eq(replay(0), 0);
	ck_assert_int_eq(staging_failed(rig.staging, str_of("key")), -EACCES);
	ck_assert(!store_has_key(&rig.store, "key"));
}
END_TEST

START_TEST(a_mount_that_ends_leaves_it_to_the_next)
{
	struct staged *f = new_file(bytes, SMALL);

	ck_assert_int_eq(staged_persist(f), 0);
	staged_unref(f);
	ck_assert_uint_eq(staging_settle(rig.staging), 1);
	start_again(rig.staging_dir);
	ck_assert_uint_eq(replay(0), 1);
	ck_assert(store_has(&rig.store, "key", bytes, SMALL));
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(what_is_removed_comes_not_back)
{
	struct staged *f = new_file(bytes, SMALL);
	char to[120];

	ck_assert_int_eq(staged_persist(f), 0);
	rewrite(f, other, SMALL);
	staged_discard(f);
	take_copy(to);
	staged_unref(f);
	ck_assert_uint_eq(files(), 0);
	start_again(to);
	ck_assert_uint_eq(replay(0), 0);
	ck_assert(!store_has_key(&rig.store, "key"));
}
END_TEST

START_TEST(what_is_renamed_comes_back_by_its_new_name)
{
	const struct ufs_cond absent = { .what = UFS_IF_ABSENT };
	struct staged *f = new_file(bytes, SMALL);

	ck_assert_int_eq(staged_persist(f), 0);
	ck_assert_int_eq(staged_move(f, str_of("new"), &absent), 0);
	ck_assert(state_of(f).acked);
	crash(f);
	ck_assert_uint_eq(replay(0), 1);
	ck_assert(store_has(&rig.store, "new", bytes, SMALL));
	ck_assert(!store_has_key(&rig.store, "key"));
}
END_TEST

/* ---- what is in the store ---- */

START_TEST(what_the_store_has_already_is_not_sent_again)
{
	size_t n = size_of(_i);
	struct staged *f = new_file(bytes, n);
	unsigned versions;

	ck_assert_int_eq(staged_persist(f), 0);
	ck_assert(!state_of(f).uncertain);
	rig.store.lose = 1;
	ck_assert_int_eq(commit_acked(f), -ETIMEDOUT);
	ck_assert(state_of(f).uncertain && !state_of(f).committed);
	ck_assert(store_has(&rig.store, "key", bytes, n));
	versions = rig.store.versions;
	if (_i < 2)
		crash(f);
	else
		ck_assert_int_eq(commit_acked(f), 0);
	ck_assert(_i < 2 || !state_of(f).uncertain);
	if (_i < 2)
		ck_assert_uint_eq(replay(0), 1);
	else
		staged_unref(f);
	(void)staging_settle(rig.staging);
	ck_assert_uint_eq(rig.store.versions, versions);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(what_is_anothers_is_a_conflict_and_both_are_kept)
{
	struct staged *f = new_file(bytes, SMALL);
	struct ufs_stat st;

	ck_assert_int_eq(staged_persist(f), 0);
	crash(f);
	/* Of the same size, or not. */
	store_set(&rig.store, "key", other, SMALL + (size_t)_i, &st);
	ck_assert_uint_eq(replay(-ESTALE), 1);
	ck_assert(store_has(&rig.store, "key", other, SMALL + (size_t)_i));
	ck_assert_int_eq(staging_failed(rig.staging, str_of("key")), -ESTALE);
	ck_assert_uint_eq(data_files(), 1);
}
END_TEST

static void flip(const char *suffix)
{
	char path[300], c;
	int fd;

	ck_assert_uint_eq(rig_files(&rig, suffix, path), 1);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pread(fd, &c, 1, 5), 1);
	c ^= 1;
	ck_assert_int_eq(pwrite(fd, &c, 1, 5), 1);
	close(fd);
}

START_TEST(what_rots_before_the_next_mount_is_no_object)
{
	struct staged *f = new_file(bytes, SMALL);
	char to[120];

	ck_assert_int_eq(staged_persist(f), 0);
	take_copy(to);
	staged_discard(f);
	staged_unref(f);
	(void)staging_settle(rig.staging);
	snprintf(rig.staging_dir, sizeof(rig.staging_dir), "%s", to);
	flip(_i == 0 ? ".data" : ".sums");
	start_again(to);
	ck_assert_uint_eq(replay(-EIO), _i == 0 ? 1 : 0);
	ck_assert(!store_has_key(&rig.store, "key"));
	ck_assert_uint_eq(data_files(), 1);
}
END_TEST

/* ---- generations ---- */

START_TEST(what_is_being_written_is_not_sent_before_its_close)
{
	struct staged *f = new_file(bytes, SMALL);

	ck_assert_int_eq(staged_persist(f), 0);
	rewrite(f, other, 1000);
	ck_assert_int_eq(commit_acked(f), -EAGAIN);
	ck_assert(!store_has_key(&rig.store, "key"));
	ck_assert_uint_eq(data_files(), 2);
	/* A crash now: what was closed is there, the rest to be recovered. */
	crash(f);
	ck_assert_uint_eq(replay(0), 1);
	ck_assert(store_has(&rig.store, "key", bytes, SMALL));
	ck_assert_uint_eq(data_files(), 1);
}
END_TEST

START_TEST(of_what_was_never_sent_only_the_last_is_kept)
{
	struct staged *f = new_file(bytes, SMALL);

	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(staged_persist(f), 0);
		ck_assert_uint_eq(data_files(), 1);
		rewrite(f, i % 2 == 0 ? other : bytes, SMALL - (size_t)i);
	}
	ck_assert_int_eq(staged_persist(f), 0);
	ck_assert_int_eq(commit_acked(f), 0);
	staged_unref(f);
	(void)staging_settle(rig.staging);
	ck_assert(store_has(&rig.store, "key", other, SMALL - 4));
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(what_is_written_on_keeps_what_was_acknowledged)
{
	struct staged *f = new_file(bytes, LARGE);

	ck_assert_int_eq(staged_persist(f), 0);
	ck_assert_int_eq(staged_write_now(f, other, 100, PART), -EAGAIN);
	ck_assert_int_eq(staged_write(f, other, 100, PART), 0);
	ck_assert_int_eq(staged_truncate(f, LARGE - 5), 0);
	crash(f);
	ck_assert_uint_eq(replay(0), 1);
	ck_assert(store_has(&rig.store, "key", bytes, LARGE));
}
END_TEST

START_TEST(the_next_generation_replaces_what_the_store_got_of_the_last)
{
	size_t n = size_of(_i & 1);
	struct staged *f = new_file(bytes, n);

	ck_assert_int_eq(staged_persist(f), 0);
	rig.store.lose = 1;
	ck_assert_int_eq(commit_acked(f), -ETIMEDOUT);
	ck_assert(store_has(&rig.store, "key", bytes, n));
	ck_assert_int_eq(staged_write(f, other, 5000, n - 100), 0);
	ck_assert_int_eq(staged_persist(f), 0);
	ck_assert_uint_eq(data_files(), 2);
	if (_i & 2) {
		crash(f);
		ck_assert_uint_eq(replay(0), 1);
	} else {
		ck_assert_int_eq(commit_acked(f), 0);
		staged_unref(f);
		(void)staging_settle(rig.staging);
	}
	memcpy(bytes + n - 100, other, 5000);
	ck_assert(store_has(&rig.store, "key", bytes, n + 4900));
	ck_assert_uint_eq(files(), 0);
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
}
END_TEST

START_TEST(what_an_fsync_brought_there_is_not_taken_for_anothers)
{
	struct staged *f = new_file(bytes, SMALL);
	char to[120];

	ck_assert_int_eq(staged_persist(f), 0);
	rewrite(f, other, SMALL + 1);
	/* The process dies when the store has it, and nobody was told. */
	rig.store.lose = 1;
	ck_assert_int_eq(commit_now(f), -ETIMEDOUT);
	ck_assert(store_has(&rig.store, "key", other, SMALL + 1));
	take_copy(to);
	staged_discard(f);
	staged_unref(f);
	start_again(to);
	ck_assert_uint_eq(replay(0), 1);
	ck_assert(store_has(&rig.store, "key", other, SMALL + 1));
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(of_two_that_had_one_name_the_last_has_it)
{
	const struct ufs_cond absent = { .what = UFS_IF_ABSENT };
	struct staged *f = new_file(bytes, SMALL), *g;
	char to[120];

	ck_assert_int_eq(staged_persist(f), 0);
	if (_i == 1) {
		rig.store.lose = 1;
		ck_assert_int_eq(commit_acked(f), -ETIMEDOUT);
	}
	g = staged_open(&rig, "temporary", STAGED_NEW, NULL);
	ck_assert_int_eq(staged_write(g, other, SMALL, 0), 0);
	ck_assert_int_eq(staged_persist(g), 0);
	staged_pause(f);
	ck_assert_int_eq(staged_move(g, str_of("key"), &absent), 0);
	take_copy(to);
	staged_discard(f);
	staged_unref(f);
	staged_discard(g);
	staged_unref(g);
	start_again(to);
	ck_assert_uint_eq(replay(0), 1);
	ck_assert(store_has(&rig.store, "key", other, SMALL));
	ck_assert(!store_has_key(&rig.store, "temporary"));
	ck_assert_uint_eq(files(), 0);
}
END_TEST

/* The newest alone has the new name in its record: acknowledged (1) or not. */
START_TEST(a_file_of_two_generations_has_the_name_that_it_got_last)
{
	struct staged *f = new_file(bytes, SMALL);
	bool closed = _i & 1, upon = _i & 2;
	struct ufs_cond cond = { .what = UFS_IF_ABSENT };
	struct ufs_stat st;

	if (upon) {
		store_set(&rig.store, "new", other, 10, &st);
		cond = (struct ufs_cond){ UFS_IF_VERSION, st.version };
	}
	ck_assert_int_eq(staged_persist(f), 0);
	store_fail(&rig.store, STORE_PUT, 1, 1, -ETIMEDOUT);
	ck_assert_int_eq(commit_acked(f), -ETIMEDOUT);
	ck_assert_int_eq(staged_write(f, other, 1000, SMALL), 0);
	if (closed)
		ck_assert_int_eq(staged_persist(f), 0);
	ck_assert_uint_eq(data_files(), 2);
	ck_assert_int_eq(staged_move(f, str_of("new"), &cond), 0);
	crash(f);
	ck_assert_uint_eq(replay(0), 1);
	memcpy(bytes + SMALL, other, 1000);
	ck_assert(
	    store_has(&rig.store, "new", bytes, closed ? SMALL + 1000 : SMALL));
	ck_assert(!store_has_key(&rig.store, "key"));
	ck_assert_uint_eq(data_files(), closed ? 0 : 1);
}
END_TEST

/* ---- at random ---- */

struct model {
	struct staged *f;
	char *now, *acked; /* MOST */
	size_t size, acked_size;
	bool any; /* something was acknowledged */
	unsigned seed;
};

static unsigned draw(struct model *m, unsigned below)
{
	m->seed = m->seed * 1103515245u + 12345u;
	return (m->seed >> 12) % below;
}

static void random_write(struct model *m)
{
	size_t off = draw(m, (unsigned)m->size + 1);
	size_t n = 1 + draw(m, (unsigned)MIN(MOST - off, 2 * PART));

	if (off + n > MOST)
		return;
	fill_bytes(m->now + off, n, m->seed);
	ck_assert_int_eq(staged_write(m->f, m->now + off, n, off), 0);
	m->size = MAX(m->size, off + n);
}

static void random_cut(struct model *m)
{
	size_t size = draw(m, 3) == 0 ? 0 : draw(m, MOST);

	if (size > m->size)
		memset(m->now + m->size, 0, size - m->size);
	ck_assert_int_eq(staged_truncate(m->f, size), 0);
	m->size = size;
}

static void random_step(struct model *m)
{
	int r;

	switch (draw(m, 6)) {
	case 0:
	case 1:
		random_write(m);
		break;
	case 2:
		random_cut(m);
		break;
	case 3:
		ck_assert_int_eq(staged_persist(m->f), 0);
		memcpy(m->acked, m->now, m->size);
		m->acked_size = m->size;
		m->any = true;
		break;
	case 4:
		rig.store.lose = draw(m, 2);
		r = commit_acked(m->f);
		ck_assert(r == 0 || r == -EAGAIN || r == -ETIMEDOUT);
		break;
	default:
		store_fail(&rig.store, draw(m, 2) ? STORE_PUT : STORE_PART, 1,
			   1, -ETIMEDOUT);
		r = commit_acked(m->f);
		ck_assert(r == 0 || r == -EAGAIN || r == -ETIMEDOUT);
		store_fail(&rig.store, STORE_PUT, 0, 0, 0);
	}
}

/* What was acknowledged last is there after the crash, and so it goes on. */
START_TEST(whatever_is_done_the_last_acknowledged_is_there_after_a_crash)
{
	struct model m = { .seed = (unsigned)_i * 7919 + 1,
			   .now = calloc(1, MOST),
			   .acked = calloc(1, MOST) };
	struct ufs_stat st;

	if (_i % 2 == 0) {
		store_set(&rig.store, "key", bytes, LARGE, &st);
		memcpy(m.now, bytes, LARGE);
		m.size = LARGE;
	}
	m.f = staged_open(&rig, "key", _i % 2 == 0 ? STAGED_UPON : STAGED_NEW,
			  _i % 2 == 0 ? &st : NULL);
	for (int round = 0; round < 4; round++) {
		for (unsigned n = draw(&m, 14); n > 0; n--)
			random_step(&m);
		if (!m.any)
			continue;
		rig.store.lose = 0;
		crash(m.f);
		m.f = staging_restored(rig.staging);
		if (m.f != NULL) {
			ck_assert_int_eq(commit_acked(m.f), 0);
			staged_unref(m.f);
			(void)staging_settle(rig.staging);
		}
		ck_assert_msg(
		    store_has(&rig.store, "key", m.acked, m.acked_size),
		    "seed %d round %d", _i, round);
		ck_assert_uint_eq(store_uploads(&rig.store), 0);
		ck_assert_int_eq(
		    store_stat(&rig.store.ufs, str_of("key"), &st, NULL), 0);
		memcpy(m.now, m.acked, m.acked_size);
		m.size = m.acked_size;
		m.any = false;
		m.f = staged_open(&rig, "key", STAGED_UPON, &st);
	}
	staged_unref(m.f);
	free(m.now);
	free(m.acked);
}
END_TEST

static atomic_bool written_out;

static void *read_all_the_time(void *arg)
{
	char got[4 * KIB(64)];
	struct staged *f = arg;
	unsigned seed = 7;

	while (!atomic_load(&written_out)) {
		uint64_t off = (unsigned)rand_r(&seed) % SMALL;
		size_t n = (unsigned)rand_r(&seed) % sizeof(got);
		ssize_t r = staged_read(f, got, n, off, seed % 2 == 0);

		if (r < 0 && r != -EAGAIN)
			return f;
	}
	return NULL;
}

/*
 * It is written, emptied, acknowledged, copied and committed meanwhile, with
 * the same bytes each time: so a sum may be right again at once.
 */
START_TEST(a_read_beside_changes_takes_none_for_rot)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct ufs_stat st;
	pthread_t readers[2];
	unsigned seed = 5;
	void *bad;

	atomic_store(&written_out, false);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		must(pthread_create(&readers[i], NULL, read_all_the_time, f));
	for (unsigned i = 0; i < 4000; i++) {
		uint64_t off = (unsigned)rand_r(&seed) % SMALL;

		if (i % 5 == 0)
			ck_assert_int_eq(staged_truncate(f, 0), 0);
		if (i % 7 == 0)
			ck_assert_int_eq(staged_persist(f), 0);
		if (i % 97 == 0)
			ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
		ck_assert_int_eq(staged_write(f, bytes, SMALL, 0), 0);
		ck_assert_int_eq(staged_write(f, bytes + off, 100, off), 0);
	}
	atomic_store(&written_out, true);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		must(pthread_join(readers[i], &bad));
		ck_assert_ptr_null(bad);
	}
	ck_assert_int_eq(state_of(f).err, 0);
	staged_unref(f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, the_next_mount_commits_what_was_acknowledged, 0,
			    2);
	tcase_add_test(t, it_is_read_as_it_was_before_the_store_has_it);
	tcase_add_loop_test(t, an_empty_file_and_one_with_holes_are_files_too,
			    0, 2);
	tcase_add_loop_test(t, what_was_written_to_an_object_is_written_to_it,
			    0, 2);
	tcase_add_test(
	    t, what_is_sent_while_it_is_emptied_is_not_taken_for_rotten);
	tcase_add_test(t, it_is_read_while_nobody_knows_that_the_store_has_it);
	tcase_add_loop_test(
	    t, an_upload_that_the_dead_did_not_hear_of_is_aborted, 0, 2);
	tcase_add_loop_test(t, an_upload_that_the_dead_had_forgotten_is_aborted,
			    0, 2);
	tcase_add_loop_test(t, an_upload_whose_answer_was_lost_is_aborted, 0,
			    2);
	tcase_add_test(t, an_upload_of_the_dead_is_aborted_first);
	tcase_add_loop_test(t, a_store_that_is_away_is_no_error_that_stays, 0,
			    2);
	tcase_add_test(t, a_store_that_is_full_is_an_error_of_who_waits_for_it);
	tcase_add_test(t, what_the_store_refuses_stays_an_error);
	tcase_add_test(t, a_mount_that_ends_leaves_it_to_the_next);
	tcase_add_test(t, what_is_removed_comes_not_back);
	tcase_add_test(t, what_is_renamed_comes_back_by_its_new_name);
	tcase_add_loop_test(t, what_the_store_has_already_is_not_sent_again, 0,
			    4);
	tcase_add_loop_test(t, what_is_anothers_is_a_conflict_and_both_are_kept,
			    0, 2);
	tcase_add_loop_test(t, what_rots_before_the_next_mount_is_no_object, 0,
			    2);
	tcase_add_test(t, what_is_being_written_is_not_sent_before_its_close);
	tcase_add_test(t, of_what_was_never_sent_only_the_last_is_kept);
	tcase_add_test(t, what_is_written_on_keeps_what_was_acknowledged);
	tcase_add_loop_test(
	    t, the_next_generation_replaces_what_the_store_got_of_the_last, 0,
	    4);
	tcase_add_test(t,
		       what_an_fsync_brought_there_is_not_taken_for_anothers);
	tcase_add_loop_test(t, of_two_that_had_one_name_the_last_has_it, 0, 2);
	tcase_add_loop_test(
	    t, a_file_of_two_generations_has_the_name_that_it_got_last, 0, 4);
	tcase_add_loop_test(
	    t, whatever_is_done_the_last_acknowledged_is_there_after_a_crash, 0,
	    60);
	tcase_add_test(t, a_read_beside_changes_takes_none_for_rot);
	return RUN_CASES(t);
}
