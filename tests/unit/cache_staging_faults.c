/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_staging_faults.c - a staged file while something fails at the same time
 */
#include "cache/staging_impl.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "cache/recover.h"
#include "tests/unit/run.h"
#include "tests/unit/write_rig.h"

#define SIZE (3 * PART + 100)

static struct write_rig rig;
static char sent[SIZE];

/*
 * Of this thread the write of this number, from 1, finds no room on the disk
 * (0: none does), and the next one stalls there, until it goes on.
 */
static _Thread_local int full_at;
static _Thread_local bool stalls;
static atomic_bool to_begin, stalled, goes_on;
static enum { DISK_FAILS, NO_MEMORY_AFTER, NOTHING_FAILS } then;
/* Of this thread, the next realloc(). */
static _Thread_local bool no_memory;

/* It is called also of threads that the sanitizer has not begun yet. */
__attribute__((no_sanitize("thread"))) void *realloc(void *p, size_t n)
{
	static void *(*_Atomic real)(void *, size_t);

	if (no_memory) {
		no_memory = false;
		return NULL;
	}
	if (real == NULL)
		real = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	return real(p, n);
}

/* Does the write fail? */
static bool stall(void)
{
	stalls = false;
	atomic_store(&stalled, true);
	while (!atomic_load(&goes_on))
		usleep(1000);
	no_memory = then == NO_MEMORY_AFTER;
	return then == DISK_FAILS;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off);

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off)
{
	if (full_at > 0 && --full_at == 0) {
		errno = ENOSPC;
		return -1;
	}
	if (stalls && stall()) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, p, n, off);
}

/* What was last brought to the disk. */
static pthread_mutex_t durable_lock = PTHREAD_MUTEX_INITIALIZER;
static char durable[4096];

int fsync(int fd)
{
	char path[40];
	ssize_t n;
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY); /* it may be for writing only */
	ck_assert_int_ge(again, 0);
	pthread_mutex_lock(&durable_lock);
	n = read(again, durable, sizeof(durable) - 1);
	if (n >= 0) /* not a directory */
		durable[n] = '\0';
	pthread_mutex_unlock(&durable_lock);
	close(again);
	return (int)syscall(SYS_fsync, fd);
}

static void setup(void)
{
	full_at = 0;
	atomic_store(&to_begin, false);
	atomic_store(&stalled, false);
	atomic_store(&goes_on, false);
	then = DISK_FAILS;
	write_rig_init(&rig);
}

static void teardown(void)
{
	write_rig_fini(&rig);
}

static void *commit_main(void *arg)
{
	return (void *)(intptr_t)commit_now(arg);
}

static int joined(pthread_t t)
{
	void *r;

	ck_assert_int_eq(pthread_join(t, &r), 0);
	return (int)(intptr_t)r;
}

/* ---- moves ---- */

static void *move_main(void *arg)
{
	static const struct ufs_cond absent = { .what = UFS_IF_ABSENT };

	return (void *)(intptr_t)staged_move(arg, str_of("to"), &absent);
}

static bool is_moving(struct staged *f)
{
	bool yes;

	lock_take(&f->lock);
	yes = str_eq(str_of(f->key), str_of("to"));
	lock_drop(&f->lock);
	return yes;
}

static bool is_waited_for(struct staged *f)
{
	bool yes;

	lock_take(&f->lock);
	yes = f->forced;
	lock_drop(&f->lock);
	return yes;
}

/*
 * INV3: a move whose record cannot be written is taken back; who came
 * meanwhile does not wait for a change that is no more.
 */
START_TEST(a_commit_beside_a_move_that_fails_ends)
{
	struct staged *f = staged_open(&rig, "from", STAGED_NEW, NULL);
	char dir[240], in_the_way[300];
	pthread_t move, commit;

	ck_assert_int_eq(staged_write(f, "bytes", 5, 0), 0);
	lock_take(&f->lock);
	staged_recording_begin_locked(f);
	lock_drop(&f->lock);
	pthread_create(&move, NULL, move_main, f);
	WAIT_UNTIL(is_moving(f)); /* and waits to write its record */
	pthread_create(&commit, NULL, commit_main, f);
	WAIT_UNTIL(is_waited_for(f));
	rig_store_dir(&rig, dir);
	snprintf(in_the_way, sizeof(in_the_way), "%s/%s.json.tmp", dir, f->id);
	ck_assert_int_eq(mkdir(in_the_way, 0700), 0);
	lock_take(&f->lock);
	staged_recording_end_locked(f);
	lock_drop(&f->lock);
	ck_assert_int_lt(joined(move), 0);
	ck_assert_int_eq(joined(commit), 0);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PUT), 1);
	ck_assert(store_has(&rig.store, "from", "bytes", 5));
	ck_assert(!state_of(f).dirty);
	ck_assert_int_eq(rmdir(in_the_way), 0);
	staged_unref(f);
}
END_TEST

/* Nothing was to be committed before, and so nothing is to be after that. */
START_TEST(a_move_that_fails_leaves_clean_what_was)
{
	struct ufs_stat st;
	struct staged *f;

	store_set(&rig.store, "from", "bytes", 5, &st);
	f = staged_open(&rig, "from", STAGED_UPON, &st);
	full_at = 2; /* its first record is written */
	ck_assert_int_eq((int)(intptr_t)move_main(f), -ENOSPC);
	ck_assert_int_eq(full_at, 0);
	ck_assert(!state_of(f).dirty);
	staged_unref(f);
}
END_TEST

static void *move_slowly_main(void *arg)
{
	stalls = true;
	return move_main(arg);
}

/* As a read does that finds it rotten. */
static void *stick_main(void *arg)
{
	return (void *)(intptr_t)staged_stick(arg, -EIO, "is found rotten");
}

START_TEST(what_is_found_to_be_rotten_does_not_move)
{
	char key[UFS_KEY_MAX + 1];
	pthread_t move, stick;
	struct staged *f;

	/* In memory, and so it is written to the disk before it moves. */
	staging_free(rig.staging);
	cache_free(rig.cache);
	rig.conf.memory = MIB(4);
	write_rig_open(&rig);
	f = staged_open(&rig, "from", STAGED_NEW, NULL);
	ck_assert_int_eq(staged_write(f, "bytes", 5, 0), 0);
	then = NOTHING_FAILS;
	pthread_create(&move, NULL, move_slowly_main, f);
	WAIT_UNTIL(atomic_load(&stalled));
	pthread_create(&stick, NULL, stick_main, f);
	WAIT_UNTIL(state_of(f).err != 0);
	atomic_store(&goes_on, true);
	ck_assert_int_eq(joined(move), -EIO);
	ck_assert_int_eq(joined(stick), -EIO);
	staged_key(f, key);
	ck_assert_str_eq(key, "from");
	ck_assert_int_eq(staging_failed(rig.staging, str_of("from")), -EIO);
	ck_assert_int_eq(staging_failed(rig.staging, str_of("to")), 0);
	staged_unref(f);
}
END_TEST

/* ---- writes ---- */

static void *write_main(void *arg)
{
	stalls = true;
	return (void *)(intptr_t)staged_write(arg, "second", 6, 0);
}

static bool waits_for_writer(struct staged *f)
{
	bool yes;

	lock_take(&f->lock);
	yes = f->held_back;
	lock_drop(&f->lock);
	return yes;
}

/*
 * A write begins while a file is put, and stalls in the disk. The put is thrown
 * away, and the next one waits for the write, which fails.
 */
START_TEST(C2_nothing_is_put_of_a_file_whose_write_failed_meanwhile)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	pthread_t commit, write;

	ck_assert_int_eq(staged_write(f, "first!", 6, 0), 0);
	store_hold(&rig.store, 1u << STORE_PUT);
	pthread_create(&commit, NULL, commit_main, f);
	WAIT_UNTIL(store_calls(&rig.store, STORE_PUT) == 1);
	pthread_create(&write, NULL, write_main, f);
	WAIT_UNTIL(atomic_load(&stalled));
	store_hold(&rig.store, 0);
	WAIT_UNTIL(waits_for_writer(f));
	atomic_store(&goes_on, true);
	ck_assert_int_eq(joined(write), -EIO);
	ck_assert_int_eq(joined(commit), -EIO);
	ck_assert_int_eq(state_of(f).err, -EIO);
	ck_assert_uint_eq(store_calls(&rig.store, STORE_PUT), 1);
	ck_assert(!store_has_key(&rig.store, "key"));
	staged_unref(f);
}
END_TEST

static int note_clean(void *arg, struct recover_record *r)
{
	*(int *)arg = r->clean;
	return 0;
}

static bool recorded_clean(void)
{
	int clean = -1;

	ck_assert_int_eq(recover_each_in(rig.staging->dir, note_clean, &clean),
			 0);
	ck_assert_int_ne(clean, -1);
	return clean;
}

/*
 * A committed file is written to: the record that says so finds no room on the
 * disk, and so that write fails. The next one is a success.
 */
START_TEST(C9_what_is_written_after_a_full_disk_is_not_clean)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	ck_assert_int_eq(staged_write(f, "first!", 6, 0), 0);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(recorded_clean());
	full_at = 1;
	ck_assert_int_eq(staged_write(f, "second", 6, 0), -ENOSPC);
	ck_assert_int_eq(staged_write(f, "second", 6, 0), 0);
	ck_assert(state_of(f).dirty);
	ck_assert(!recorded_clean());
	staged_unref(f);
}
END_TEST

/* ---- power cuts ---- */

/* Is its record, which says this, on the disk? */
static bool is_durable(struct staged *f, const char *words)
{
	char name[RECOVER_ID + 8], now[4096] = "";
	bool same;
	int fd;

	snprintf(name, sizeof(name), "%.*s.json", RECOVER_ID, f->id);
	fd = openat(rig.staging->dir, name, O_RDONLY);
	ck_assert(fd >= 0 && read(fd, now, sizeof(now) - 1) > 0);
	close(fd);
	pthread_mutex_lock(&durable_lock);
	same = strcmp(now, durable) == 0 && strstr(now, words) != NULL;
	pthread_mutex_unlock(&durable_lock);
	return same;
}

/* S17: nobody would know that it is to be aborted. */
START_TEST(S17_a_power_cut_forgets_no_upload)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);

	fill_bytes(sent, SIZE, 1);
	store_hold(&rig.store, 1u << STORE_BEGIN | 1u << STORE_PART);
	ck_assert_int_eq(staged_write(f, sent, SIZE, 0), 0);
	WAIT_UNTIL(store_calls(&rig.store, STORE_BEGIN) == 1);
	ck_assert(is_durable(f, "\"upload\": \"?"));
	store_hold(&rig.store, 1u << STORE_PART);
	WAIT_UNTIL(is_durable(f, "\"upload\": \"1\""));
	store_hold(&rig.store, 0);
	ck_assert_int_eq(commit_now(f), 0);
	staged_unref(f);
}
END_TEST

/* ---- no memory to note what was written ---- */

static struct ufs_write_ops ops; /* the store's, but for what a test has */
static unsigned ends_lost;

/* The first is told to have failed when somebody writes. */
static int end_failed(struct ufs *u, struct str key, const char *id,
		      const struct ufs_part *parts, size_t n,
		      const struct ufs_cond *cond, struct ufs_stat *out,
		      struct cancel *cancel)
{
	if (ends_lost == 0)
		return rig.store.ufs.ops->write->upload_end(
		    u, key, id, parts, n, cond, out, cancel);
	ends_lost--;
	atomic_store(&to_begin, true);
	WAIT_UNTIL(atomic_load(&stalled));
	return -ENOLINK;
}

static void *write_third_main(void *arg)
{
	WAIT_UNTIL(atomic_load(&to_begin));
	stalls = true;
	return (void *)(intptr_t)staged_write(arg, "THIRD", 5, 2 * PART + 7);
}

static bool is_thawed(struct staged *f)
{
	bool yes;

	lock_take(&f->lock);
	yes = f->frozen.n == 0 && f->dirty.n > 0;
	lock_drop(&f->lock);
	return yes;
}

/*
 * E5: somebody is writing, and has made room to note it, when a commit fails.
 * What it had frozen is dirty again, in an array that is full.
 */
START_TEST(E5_what_was_written_is_not_copied_from_the_base)
{
	size_t size = 4 * PART;
	char *bytes = malloc(size);
	pthread_t commit, write;
	struct ufs_stat st;
	struct staged *f;

	fill_bytes(bytes, size, 1);
	store_set(&rig.store, "key", bytes, size, &st);
	f = staged_open(&rig, "key", STAGED_UPON, &st);
	for (size_t i = 0; i < 8; i++) {
		memcpy(bytes + 100 * i, "first", 5);
		ck_assert_int_eq(staged_write(f, "first", 5, 100 * i), 0);
	}
	ck_assert_uint_eq(f->dirty.n, f->dirty.cap);
	then = NO_MEMORY_AFTER;
	ends_lost = 1;
	ops = *rig.staging->ops;
	ops.upload_end = end_failed;
	rig.staging->ops = &ops;
	pthread_create(&write, NULL, write_third_main, f);
	pthread_create(&commit, NULL, commit_main, f);
	WAIT_UNTIL(atomic_load(&stalled) && is_thawed(f));
	atomic_store(&goes_on, true);
	ck_assert_int_eq(joined(write), 0);
	ck_assert_int_eq(joined(commit), 0);
	ck_assert_int_eq(commit_now(f), 0);
	memcpy(bytes + 2 * PART + 7, "THIRD", 5);
	ck_assert(store_has(&rig.store, "key", bytes, size));
	staged_unref(f);
	free(bytes);
}
END_TEST

static void *write_eighth_main(void *arg)
{
	stalls = true;
	return (void *)(intptr_t)staged_write(arg, "eighth", 6, 80);
}

static pthread_t eighth;

/* The object is made, and the commit does not know it yet. */
static void write_when_made(void *arg, const struct store_object *o)
{
	(void)o;
	rig.store.made = NULL;
	pthread_create(&eighth, NULL, write_eighth_main, arg);
	WAIT_UNTIL(atomic_load(&stalled));
}

/*
 * E5: the same, when a commit succeeds and notes that what was grown is zeros.
 * It cannot be said any more which bytes the file has.
 */
START_TEST(E5_what_was_written_and_cannot_be_noted_is_an_error)
{
	char bytes[100];
	struct ufs_stat st;
	struct staged *f;

	fill_bytes(bytes, sizeof(bytes), 1);
	store_set(&rig.store, "key", bytes, sizeof(bytes), &st);
	f = staged_open(&rig, "key", STAGED_UPON, &st);
	for (size_t i = 0; i < 7; i++)
		ck_assert_int_eq(staged_write(f, "first", 5, 10 * i), 0);
	ck_assert_int_eq(staged_truncate(f, 1000), 0);
	ck_assert_uint_eq(f->held.n + 1, f->held.cap);
	then = NO_MEMORY_AFTER;
	rig.store.made_arg = f;
	rig.store.made = write_when_made;
	ck_assert_int_eq(commit_now(f), 0);
	atomic_store(&goes_on, true);
	ck_assert_int_eq(joined(eighth), -ENOMEM);
	ck_assert_int_eq(state_of(f).err, -ENOMEM);
	ck_assert_int_eq(commit_now(f), -ENOMEM);
	staged_unref(f);
}
END_TEST

/* ---- answers that are lost ---- */

static const char *others; /* what another puts there instead; NULL: none */

/* It is made, or not, and then there is no such upload. */
static int end_lost(struct ufs *u, struct str key, const char *id,
		    const struct ufs_part *parts, size_t n,
		    const struct ufs_cond *cond, struct ufs_stat *out,
		    struct cancel *cancel)
{
	struct ufs_stat st;
	int r = 0;

	if (ends_lost > 0 && others != NULL)
		store_set(&rig.store, "key", others, SIZE, &st);
	else
		r = rig.store.ufs.ops->write->upload_end(u, key, id, parts, n,
							 cond, out, cancel);
	if (r < 0 || ends_lost == 0)
		return r;
	ends_lost--;
	return -ENOLINK;
}

static void lose_an_end(void)
{
	ends_lost = 1;
	ops = *rig.staging->ops;
	ops.upload_end = end_lost;
	rig.staging->ops = &ops;
	fill_bytes(sent, SIZE, 1);
}

static struct staged *file_whose_end_is_lost(enum staged_from from)
{
	struct staged *f;

	lose_an_end();
	f = staged_open(&rig, "key", from, NULL);
	ck_assert_int_eq(staged_write(f, sent, SIZE, 0), 0);
	return f;
}

/* As a store that keeps no CRC64 and whose ETags are no MD5s has it. */
START_TEST(A13_an_end_that_was_lost_is_no_conflict)
{
	struct staged *f = file_whose_end_is_lost(STAGED_NEW);

	others = NULL;
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", sent, SIZE));
	ck_assert(!state_of(f).dirty);
	ck_assert_str_eq(state_of(f).st.version, "v1");
	staged_unref(f);
}
END_TEST

/* _i: O_EXCL. */
START_TEST(S15_what_another_put_there_is_one_also_when_an_end_was_lost)
{
	struct staged *f =
	    file_whose_end_is_lost(_i != 0 ? STAGED_EXCLUSIVE : STAGED_NEW);
	char *their = malloc(SIZE);

	memcpy(their, sent, SIZE);
	their[SIZE - 1] ^= 1;
	others = their;
	ck_assert_int_eq(commit_now(f), _i != 0 ? -EEXIST : -ESTALE);
	ck_assert(store_has(&rig.store, "key", their, SIZE));
	staged_unref(f);
	free(their);
}
END_TEST

/* A copy has no bytes of its own that could be compared. */
START_TEST(S15_what_another_put_there_is_not_taken_for_a_copy)
{
	static const struct ufs_cond absent = { .what = UFS_IF_ABSENT };
	char *their = calloc(1, SIZE);
	struct ufs_stat st, out;

	lose_an_end();
	store_set(&rig.store, "from", sent, SIZE, &st);
	store_fail(&rig.store, STORE_WHOLE, 1, 1, -EFBIG);
	others = their;
	ck_assert_int_lt(staging_copy(rig.staging, str_of("from"), &st,
				      str_of("key"), &absent, &out, NULL),
			 0);
	ck_assert_uint_eq(ends_lost, 0);
	ck_assert(store_has(&rig.store, "key", their, SIZE));
	free(their);
}
END_TEST

int main(void)
{
	TCase *moves = tcase_create("moves");
	TCase *writes = tcase_create("writes");
	TCase *cuts = tcase_create("cuts");
	TCase *answers = tcase_create("answers");

	tcase_add_checked_fixture(moves, setup, teardown);
	tcase_set_timeout(moves, 30);
	tcase_add_test(moves, a_commit_beside_a_move_that_fails_ends);
	tcase_add_test(moves, a_move_that_fails_leaves_clean_what_was);
	tcase_add_test(moves, what_is_found_to_be_rotten_does_not_move);

	tcase_add_checked_fixture(writes, setup, teardown);
	tcase_set_timeout(writes, 30);
	tcase_add_test(
	    writes, C2_nothing_is_put_of_a_file_whose_write_failed_meanwhile);
	tcase_add_test(writes,
		       C9_what_is_written_after_a_full_disk_is_not_clean);
	tcase_add_test(writes, E5_what_was_written_is_not_copied_from_the_base);
	tcase_add_test(writes,
		       E5_what_was_written_and_cannot_be_noted_is_an_error);

	tcase_add_checked_fixture(cuts, setup, teardown);
	tcase_set_timeout(cuts, 30);
	tcase_add_test(cuts, S17_a_power_cut_forgets_no_upload);

	tcase_add_checked_fixture(answers, setup, teardown);
	tcase_set_timeout(answers, 30);
	tcase_add_test(answers, A13_an_end_that_was_lost_is_no_conflict);
	tcase_add_loop_test(
	    answers,
	    S15_what_another_put_there_is_one_also_when_an_end_was_lost, 0, 2);
	tcase_add_test(answers,
		       S15_what_another_put_there_is_not_taken_for_a_copy);
	return RUN_CASES(moves, writes, cuts, answers);
}
