/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_recover.c - what the store does not have is found again
 */
#include "cache/recover.h"

#include <jansson.h>
#include <sys/mman.h>

#include "cache/recover_impl.h"
#include "cache/staging_impl.h"
#include "tests/unit/run.h"
#include "tests/unit/write_rig.h"

#define ID "0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210"

static struct write_rig rig;
static char text[256];

static void setup(void)
{
	write_rig_init(&rig);
}

static void teardown(void)
{
	write_rig_fini(&rig);
}

/* The mount ends, and another begins. */
static void mount_again(void)
{
	staging_free(rig.staging);
	rig.staging = NULL;
	ck_assert_msg(staging_new(&rig.conf, &rig.staging, text) == 0, "%s",
		      text);
}

static void write_all(struct staged *f, const char *bytes, size_t n,
		      uint64_t off)
{
	ck_assert_int_eq(staged_write(f, bytes, n, off), 0);
}

/* Its commit fails with err, and it is closed. */
static void fails(struct staged *f, int err)
{
	store_fail(&rig.store, STORE_PUT, 1, 1, err);
	ck_assert_int_eq(commit_now(f), err);
	staged_unref(f);
	/* Its commit lets go of it behind our back. */
	(void)staging_settle(rig.staging);
	store_fail(&rig.store, STORE_PUT, 0, 0, 0);
}

static void new_fails(const char *key, const char *bytes, int err)
{
	struct staged *f = staged_open(&rig, key, STAGED_NEW, NULL);

	write_all(f, bytes, strlen(bytes), 0);
	fails(f, err);
}

struct seen {
	unsigned n, has;
	struct recover_record last; /* of those that have something */
};

static int see(void *arg, struct recover_record *r)
{
	struct seen *s = arg;

	s->n++;
	if (!recover_has(r))
		return 0;
	s->has++;
	recover_record_fini(&s->last);
	s->last = *r;
	r->store = r->prefix = r->key = r->upload = NULL;
	return 0;
}

static struct seen look(void)
{
	struct seen s = { .n = 0 };

	ck_assert_int_eq(recover_each(rig.staging_dir, see, &s, text), 0);
	return s;
}

/* The only one. */
static struct recover_record the_one(void)
{
	struct seen s = look();

	ck_assert_uint_eq(s.has, 1);
	return s.last;
}

static int told(const char *key)
{
	return staging_failed(rig.staging, str_of(key));
}

static void count_cb(void *arg, const struct staging_failed *f)
{
	ck_assert_int_lt(f->err, 0);
	/* No lock is held: whoever is told may ask. */
	ck_assert_int_le(staging_failed(rig.staging, f->key), 0);
	++*(unsigned *)arg;
}

static unsigned listed(void)
{
	unsigned n = 0;

	staging_each_failed(rig.staging, count_cb, &n);
	return n;
}

static void claim(struct recover_record *r, struct recover_file *out)
{
	ck_assert_msg(recover_claim(rig.staging_dir, r, out, text) == 0, "%s",
		      text);
	recover_record_fini(r);
}

static void discard(struct recover_record *r)
{
	struct recover_file f;

	claim(r, &f);
	ck_assert_int_eq(recover_discard(&f), 0);
	recover_close(&f);
}

static int commit(struct recover_record *r, bool force)
{
	const struct recover_how how = { force, PART };
	struct recover_file f;
	struct ufs_stat st;
	int err;

	claim(r, &f);
	err = recover_commit(&f, &rig.store.ufs, &how, &st, NULL);
	recover_close(&f);
	return err;
}

/* ---- records of a mount that is gone ---- */

static void plant(const char *name, const void *bytes, size_t n)
{
	char dir[240], path[300];
	FILE *f;

	rig_store_dir(&rig, dir);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static json_t *record(const char *key)
{
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:i, s:I, "
			 "s:i, s:i, s:s}",
			 "format", 1, "store", rig.store.ufs.store, "prefix",
			 "", "key", key, "bound", "absent", "version", "",
			 "base_end", 0, "clean", 0, "size", 0, "mtime",
			 (json_int_t)5, "error", 0, "pid", 1, "boot", "");
}

/* o is taken over. data NULL: the record alone. */
static void plant_record(const char *id, json_t *o, const char *data)
{
	char name[48], *words = json_dumps(o, 0);

	if (data != NULL) {
		snprintf(name, sizeof(name), "%s.data", id);
		plant(name, data, strlen(data));
	}
	snprintf(name, sizeof(name), "%s.json", id);
	plant(name, words, strlen(words));
	free(words);
	json_decref(o);
}

static unsigned upload_of(const char *key, json_t *o)
{
	char *id;

	ck_assert_int_eq(
	    store_upload_begin(&rig.store.ufs, str_of(key), &id, NULL), 0);
	if (o != NULL)
		json_object_set_new(o, "upload", json_string(id));
	free(id);
	return store_uploads(&rig.store);
}

static unsigned files(void)
{
	char path[300];

	return rig_files(&rig, "", path) - 2; /* . and .. */
}

/* ---- failed ---- */

START_TEST(what_failed_is_told_until_it_is_discarded)
{
	struct recover_record r;

	ck_assert_int_eq(told("key"), 0);
	new_fails("key", "bytes", -EACCES);
	ck_assert_int_eq(told("key"), -EACCES);
	ck_assert_int_eq(told("ke"), 0);
	ck_assert_uint_eq(listed(), 1);

	r = the_one();
	ck_assert_str_eq(r.key, "key");
	ck_assert_str_eq(r.store, rig.store.ufs.store);
	ck_assert_int_eq(r.err, EACCES);
	ck_assert_uint_eq(r.size, 5);
	ck_assert(r.whole && r.exact && !r.live && !r.clean);
	ck_assert_int_eq(r.bound, UFS_IF_ABSENT);
	ck_assert_int_gt(r.mtime, clock_wall_ns() - 600 * NSEC_PER_SEC);
	discard(&r);
	ck_assert_int_eq(told("key"), 0);
	ck_assert_uint_eq(listed(), 0);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(the_next_mount_tells_it_too)
{
	struct recover_record r;

	new_fails("key", "bytes", -EACCES);
	mount_again();
	ck_assert_int_eq(told("key"), -EACCES);
	ck_assert_uint_eq(listed(), 1);
	r = the_one();
	discard(&r);
	ck_assert_int_eq(told("key"), 0);
}
END_TEST

START_TEST(a_name_that_was_taken_is_not_told_again)
{
	struct recover_record r;

	new_fails("key", "bytes", -EACCES);
	staging_forgive(rig.staging, str_of("key"));
	ck_assert_int_eq(told("key"), 0);
	mount_again();
	ck_assert_int_eq(told("key"), 0);
	/* The bytes are there all the same. */
	r = the_one();
	ck_assert(r.told);
	ck_assert_int_eq(r.err, EACCES);
	recover_record_fini(&r);
}
END_TEST

START_TEST(a_name_that_was_taken_is_not_told_again_while_another_reads_it)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct staged *reader = staged_ref(f);
	struct recover_record r;

	write_all(f, "bytes", 5, 0);
	store_fail(&rig.store, STORE_PUT, 1, 1, -EACCES);
	ck_assert_int_eq(commit_now(f), -EACCES);
	staged_unref(f);
	staging_forgive(rig.staging, str_of("key"));
	ck_assert_int_eq(told("key"), 0);
	/* A kill would leave it like that. */
	r = the_one();
	ck_assert(r.live && r.told);
	recover_record_fini(&r);
	staged_unref(reader);
	(void)staging_settle(rig.staging);
	mount_again();
	ck_assert_int_eq(told("key"), 0);
}
END_TEST

START_TEST(who_asked_to_be_the_only_one_may_ask_again)
{
	struct staged *f = staged_open(&rig, "key", STAGED_EXCLUSIVE, NULL);
	struct recover_record r;
	struct ufs_stat st;

	store_set(&rig.store, "key", "theirs", 6, &st);
	write_all(f, "ours", 4, 0);
	ck_assert_int_eq(commit_now(f), -EEXIST);
	staged_unref(f);
	ck_assert_int_eq(told("key"), 0);
	r = the_one();
	ck_assert(r.exclusive);
	ck_assert_int_eq(r.err, EEXIST);
	recover_record_fini(&r);
}
END_TEST

static int heard(const char *dir, uint64_t *seen)
{
	return staging_failed_below(rig.staging, str_of(dir), seen);
}

START_TEST(syncs_of_directories_hear_of_each_failure_once)
{
	uint64_t first = staging_failures(rig.staging), second = first, late;

	new_fails("d/e/one", "1", -EACCES);
	ck_assert_int_eq(heard("other/", &(uint64_t){ 0 }), 0);
	/* Who was there before hears of it, all of them. */
	ck_assert_int_eq(heard("d/", &first), -EACCES);
	ck_assert_int_eq(heard("d/", &first), 0);
	ck_assert_int_eq(heard("", &second), -EACCES);
	/* It is known by now. */
	late = staging_failures(rig.staging);
	ck_assert_int_eq(heard("d/", &late), 0);
	/* Who asks first of what nobody has heard. */
	new_fails("d/two", "2", -EIO);
	late = staging_failures(rig.staging);
	ck_assert_int_eq(heard("d/", &late), -EIO);
	/* Of two the one that came first. */
	new_fails("d/three", "3", -ETIMEDOUT);
	new_fails("d/four", "4", -EIO);
	ck_assert_int_eq(heard("d/", &late), -ETIMEDOUT);
	/* To the next mount it is no news. */
	mount_again();
	ck_assert_int_eq(told("d/two"), -EIO);
	late = staging_failures(rig.staging);
	ck_assert_int_eq(heard("", &late), 0);
}
END_TEST

START_TEST(saved_bytes_are_those_that_were_written)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	char *want = calloc(1, MIB(3)), *got = malloc(MIB(3));
	int fd = memfd_create("saved", MFD_CLOEXEC);
	struct recover_record r;
	struct recover_file file;

	fill_bytes(want, KIB(300), 1);
	fill_bytes(want + MIB(2), KIB(300), 2);
	write_all(f, want, KIB(300), 0);
	write_all(f, want + MIB(2), KIB(300), MIB(2));
	ck_assert_int_eq(staged_truncate(f, MIB(3)), 0);
	store_fail(&rig.store, STORE_END, 1, 1, -EACCES);
	ck_assert_int_eq(commit_now(f), -EACCES);

	/* It is open, and may be read: nothing changes it any more. */
	r = the_one();
	ck_assert(r.live);
	ck_assert_int_eq(recover_claim(rig.staging_dir, &r, &file, text),
			 -EBUSY);
	ck_assert_int_eq(recover_open(rig.staging_dir, &r, &file, text), 0);
	recover_record_fini(&r);
	ck_assert_int_eq(recover_save(&file, fd), 0);
	recover_close(&file);
	ck_assert_int_eq(pread(fd, got, MIB(3), 0), MIB(3));
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), MIB(3));
	ck_assert_int_eq(memcmp(got, want, MIB(3)), 0);
	staged_unref(f);
	close(fd);
	free(want);
	free(got);
}
END_TEST

START_TEST(what_needs_its_base_is_not_whole)
{
	struct ufs_stat st;
	struct recover_file file;
	struct recover_record r;
	struct staged *f;

	store_set(&rig.store, "key", "0123456789", 10, &st);
	f = staged_open(&rig, "key", STAGED_UPON, &st);
	write_all(f, "ab", 2, 4);
	fails(f, -EACCES);
	r = the_one();
	ck_assert(r.exact && !r.whole);
	ck_assert_int_eq(r.bound, UFS_IF_VERSION);
	ck_assert_str_eq(r.version, st.version);
	claim(&r, &file);
	ck_assert_int_eq(recover_save(&file, -1), -ENODATA);
	r = file.r;
	file.r = (struct recover_record){ .whole = false };
	recover_close(&file);
	ck_assert_int_eq(commit(&r, true), -ENODATA);
	ck_assert(store_has(&rig.store, "key", "0123456789", 10));
	r = the_one();
	discard(&r);

	/* Of one that is written all over, or cut, nothing is missing. */
	f = staged_open(&rig, "key", STAGED_UPON, &st);
	write_all(f, "abcdefgh", 8, 0);
	ck_assert_int_eq(staged_truncate(f, 8), 0);
	fails(f, -EACCES);
	r = the_one();
	ck_assert(r.whole);
	ck_assert_int_eq(commit(&r, false), 0);
	ck_assert(store_has(&rig.store, "key", "abcdefgh", 8));
	ck_assert_uint_eq(files(), 0);
}
END_TEST

/* ---- commit ---- */

START_TEST(a_commit_is_bound_as_it_was)
{
	struct recover_record r;
	struct ufs_stat st;

	new_fails("key", "bytes", -EACCES);
	store_set(&rig.store, "key", "theirs", 6, &st);
	r = the_one();
	ck_assert_int_eq(commit(&r, false), -ESTALE);
	ck_assert(store_has(&rig.store, "key", "theirs", 6));
	r = the_one();
	ck_assert_int_eq(commit(&r, true), 0);
	ck_assert(store_has(&rig.store, "key", "bytes", 5));
	ck_assert_int_eq(told("key"), 0);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(a_large_one_is_sent_in_parts_and_leaves_none)
{
	size_t n = 5 * PART + 1000;
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	char *bytes = malloc(n);
	struct recover_record r;

	fill_bytes(bytes, n, 3);
	write_all(f, bytes, n, 0);
	store_fail(&rig.store, STORE_END, 1, 1, -EACCES);
	ck_assert_int_eq(commit_now(f), -EACCES);
	staged_unref(f);

	r = the_one();
	store_fail(&rig.store, STORE_PART, 3, 1, -EIO);
	ck_assert_int_eq(commit(&r, false), -EIO);
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
	r = the_one();
	ck_assert_ptr_null(r.upload);

	ck_assert_int_eq(commit(&r, false), 0);
	ck_assert(store_has(&rig.store, "key", bytes, n));
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
	ck_assert_uint_eq(files(), 0);
	free(bytes);
}
END_TEST

/* ---- uploads ---- */

/* A file with parts in the store, whose name is removed. */
static void removed_while_sent(void)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	size_t n = 3 * PART;
	char *bytes = malloc(n);

	fill_bytes(bytes, n, 3);
	write_all(f, bytes, n, 0);
	WAIT_UNTIL(store_calls(&rig.store, STORE_PART) > 0);
	staged_discard(f);
	staged_unref(f);
	free(bytes);
}

START_TEST(an_upload_is_on_record_until_it_is_aborted)
{
	struct seen s;

	store_hold(&rig.store, 1u << STORE_ABORT);
	removed_while_sent();
	WAIT_UNTIL(store_calls(&rig.store, STORE_ABORT) == 1);
	/* A kill would leave it like that. */
	s = look();
	ck_assert_uint_eq(s.n, 1);
	ck_assert_uint_eq(s.has, 0);
	store_hold(&rig.store, 0);
	(void)staging_settle(rig.staging);
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(what_could_not_be_aborted_the_next_mount_aborts)
{
	store_fail(&rig.store, STORE_ABORT, 1, 1, -ETIMEDOUT);
	removed_while_sent();
	(void)staging_settle(rig.staging);
	ck_assert_uint_eq(store_uploads(&rig.store), 1);
	mount_again();
	WAIT_UNTIL(store_uploads(&rig.store) == 0);
	(void)staging_settle(rig.staging);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

/* ---- interrupted ---- */

START_TEST(uploads_of_the_dead_are_aborted_and_no_others)
{
	json_t *o = record("mine");
	struct recover_record r;

	upload_of("mine", o);
	ck_assert_uint_eq(upload_of("of another host", NULL), 2);
	plant_record(ID, o, "interrupted");
	mount_again();
	WAIT_UNTIL(store_uploads(&rig.store) == 1);
	staging_free(rig.staging);
	rig.staging = NULL;
	r = the_one();
	ck_assert_ptr_null(r.upload);
	ck_assert_int_eq(r.err, 0);
	ck_assert(r.whole);
	ck_assert_uint_eq(r.size, 11);
	recover_record_fini(&r);

	/* It is kept, and by itself no object; nobody is told an error. */
	mount_again();
	ck_assert_int_eq(told("mine"), 0);
	ck_assert(!store_has_key(&rig.store, "mine"));
	r = the_one();
	ck_assert_int_eq(commit(&r, false), 0);
	ck_assert(store_has(&rig.store, "mine", "interrupted", 11));
}
END_TEST

START_TEST(what_a_store_does_not_abort_the_next_mount_does)
{
	json_t *o = record("key");
	struct recover_record r;

	upload_of("key", o);
	plant_record(ID, o, "interrupted");
	store_fail(&rig.store, STORE_ABORT, 1, 1, -ETIMEDOUT);
	mount_again();
	ck_assert_uint_eq(staging_settle(rig.staging), 0);
	ck_assert_uint_eq(store_uploads(&rig.store), 1);
	r = the_one();
	ck_assert_ptr_nonnull(r.upload);

	/* Dropped meanwhile, it is remembered. */
	discard(&r);
	ck_assert_uint_eq(look().has, 0);
	ck_assert_uint_eq(files(), 1);
	mount_again();
	ck_assert_uint_eq(staging_settle(rig.staging), 0);
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(one_that_is_refused_does_not_keep_others_open)
{
	json_t *one = record("one"), *two = record("two");

	upload_of("one", one);
	upload_of("two", two);
	plant_record(ID, one, "1");
	plant_record(ID2, two, "2");
	store_fail(&rig.store, STORE_ABORT, 1, 1, -EACCES);
	mount_again();
	(void)staging_settle(rig.staging);
	ck_assert_uint_eq(store_uploads(&rig.store), 1);
}
END_TEST

START_TEST(many_that_were_interrupted_leave_room_for_what_failed)
{
	char id[33], key[16];

	for (unsigned i = 0; i < 1540; i++) {
		json_t *o;

		snprintf(id, sizeof(id), "%032x", i);
		snprintf(key, sizeof(key), "%u", i);
		o = record(key);
		if (i % 38 == 0)
			json_object_set_new(o, "error", json_integer(EACCES));
		plant_record(id, o, "bytes");
	}
	mount_again();
	for (unsigned i = 0; i < 1540; i += 38) {
		snprintf(key, sizeof(key), "%u", i);
		ck_assert_int_eq(told(key), -EACCES);
	}
	ck_assert_uint_eq(listed(), 41);
	ck_assert_uint_eq(staging_waiting(rig.staging), 1540);
	for (unsigned i = 0; i < 1540; i++) {
		snprintf(id, sizeof(id), "%032x", i);
		staged_remove_files(rig.staging, id);
	}
	ck_assert_uint_eq(staging_waiting(rig.staging), 0);
}
END_TEST

START_TEST(what_may_not_be_looked_for_does_not_stop_a_commit)
{
	json_t *o = record("key");
	struct recover_record r;
	char *unknown = upload_unknown();

	json_object_set_new(o, "upload", json_string(unknown));
	free(unknown);
	upload_of("key", NULL);
	plant_record(ID, o, "interrupted");
	store_fail(&rig.store, STORE_LIST, 1, 100, -EACCES);
	r = the_one();
	ck_assert_int_eq(commit(&r, false), 0);
	ck_assert(store_has(&rig.store, "key", "interrupted", 11));

	/* It is not forgotten. */
	ck_assert_uint_eq(files(), 1);
	store_fail(&rig.store, STORE_LIST, 0, 0, 0);
	mount_again();
	(void)staging_settle(rig.staging);
	ck_assert_uint_eq(store_uploads(&rig.store), 0);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(of_what_the_store_has_or_nobody_wrote_nothing_stays)
{
	json_t *clean = record("clean"), *other = record("other");

	json_object_set_new(clean, "clean", json_true());
	plant_record(ID, clean, "the store has it");
	plant_record(ID2, record("empty"), "");
	/* Of another store, that a hash led here: it is not ours to judge. */
	json_object_set_new(other, "store", json_string("another"));
	plant_record("00000000000000000000000000000000", other, "");
	mount_again();
	ck_assert_uint_eq(staging_settle(rig.staging), 0);
	ck_assert_uint_eq(files(), 2);
	ck_assert_uint_eq(look().has, 0);
}
END_TEST

START_TEST(what_has_no_error_and_a_base_is_not_known_to_the_byte)
{
	json_t *o = record("key");
	struct recover_record r;

	json_object_set_new(o, "base_end", json_integer(10));
	json_object_set_new(o, "written", json_pack("[i,i]", 0, 4));
	plant_record(ID, o, "0123456789");
	r = the_one();
	ck_assert(!r.exact && !r.whole);
	recover_record_fini(&r);

	/* All of the base was written over: what came later is there. */
	o = record("key");
	json_object_set_new(o, "base_end", json_integer(4));
	json_object_set_new(o, "written", json_pack("[i,i,i,i]", 0, 2, 2, 4));
	plant_record(ID, o, "0123456789");
	r = the_one();
	ck_assert(!r.exact && r.whole);
	recover_record_fini(&r);
}
END_TEST

START_TEST(what_is_being_written_is_left_alone)
{
	struct staged *f = staged_open(&rig, "key", STAGED_NEW, NULL);
	struct recover_file file;
	struct recover_record r;

	write_all(f, "bytes", 5, 0);
	r = the_one();
	ck_assert(r.live);
	ck_assert_int_eq(r.err, 0);
	ck_assert_int_eq(recover_open(rig.staging_dir, &r, &file, text),
			 -EBUSY);
	recover_record_fini(&r);
	ck_assert_int_eq(commit_now(f), 0);
	ck_assert(store_has(&rig.store, "key", "bytes", 5));
	staged_unref(f);
}
END_TEST

/* ---- what is no record ---- */

static json_t *with(const char *name, json_t *value)
{
	json_t *o = record("key");

	json_object_set_new(o, name, value);
	return o;
}

static json_t *based(const char *written)
{
	json_t *o = with("base_end", json_integer(10));

	json_object_set_new(o, "written", json_loads(written, 0, NULL));
	return o;
}

static json_t *hostile(int i)
{
	AUTO_FREE char *longest = calloc(1, 4000);

	memset(longest, 'a', 3999);
	switch (i) {
	case 0:
		return json_array();
	case 1:
		return with("format", json_integer(2));
	case 2:
		return with("key", json_string(longest));
	case 3:
		return with("key", json_string("%4"));
	case 4:
		return with("key", json_integer(1));
	case 5:
		return with("prefix", json_string("a%00b"));
	case 6:
		return with("bound", json_string("version"));
	case 7:
		return with("bound", json_string("?"));
	case 8:
		return with("error", json_integer(-5));
	case 9:
		return with("error", json_string("5"));
	case 10:
		return with("base_end", json_integer(-1));
	case 11:
		return with("version", json_string(longest));
	case 12:
		return with("upload", json_integer(7));
	case 13:
		return based("[1]");
	case 14:
		return based("[5, 6, 1, 2]");
	case 15:
		return based("[\"a\", 2]");
	case 16:
		return based("[-4, 2]");
	case 17:
		return with("version", json_string("e%0D%0Ax-amz-acl: none"));
	default:
		return based("{}");
	}
}

START_TEST(a_record_that_is_none_is_passed_by)
{
	struct recover_record r;

	plant_record(ID, hostile(_i), "bytes");
	plant_record(ID2, record("good"), "bytes");
	mount_again();
	r = the_one();
	ck_assert_str_eq(r.key, "good");
	recover_record_fini(&r);
}
END_TEST

START_TEST(a_link_or_a_torn_record_is_passed_by)
{
	char dir[240], a[300], b[300];
	struct recover_record r;

	rig_store_dir(&rig, dir);
	plant_record(ID, record("key"), "bytes");
	snprintf(a, sizeof(a), "%s/%s.json", dir, ID);
	snprintf(b, sizeof(b), "%s/elsewhere", dir);
	ck_assert_int_eq(rename(a, b), 0);
	ck_assert_int_eq(symlink("elsewhere", a), 0);
	ck_assert_uint_eq(look().n, 0);
	ck_assert_int_eq(unlink(a), 0);
	ck_assert_int_eq(mkfifo(a, 0600), 0);
	ck_assert_uint_eq(look().n, 0);
	ck_assert_int_eq(unlink(a), 0);
	ck_assert_int_eq(rename(b, a), 0);
	r = the_one();
	recover_record_fini(&r);
	ck_assert_int_eq(truncate(a, 30), 0);
	ck_assert_uint_eq(look().n, 0);
	ck_assert_int_eq(truncate(a, 0), 0);
	ck_assert_uint_eq(look().n, 0);
	/* Not read: it would be gigabytes of nothing. */
	ck_assert_int_eq(truncate(a, INT64_C(1) << 33), 0);
	ck_assert_uint_eq(look().n, 0);

	plant_record(ID, record("key"), NULL);
	snprintf(a, sizeof(a), "%s/%s.data", dir, ID);
	ck_assert_int_eq(unlink(a), 0);
	ck_assert_int_eq(symlink("/etc/passwd", a), 0);
	ck_assert_uint_eq(look().n, 0);
	mount_again();
}
END_TEST

START_TEST(keys_of_any_bytes_come_back)
{
	static const char bytes[] = "\x01 %\"\\\xff\0/z";
	struct str key = { bytes, sizeof(bytes) - 1 };
	struct staged *f;
	struct recover_record r;

	ck_assert_int_eq(staged_new(rig.staging, key, STAGED_NEW, NULL, &f), 0);
	write_all(f, "x", 1, 0);
	fails(f, -EIO);
	r = the_one();
	ck_assert(str_eq((struct str){ r.key, r.key_len }, key));
	recover_record_fini(&r);
	ck_assert_int_eq(staging_failed(rig.staging, key), -EIO);
}
END_TEST

START_TEST(a_staging_that_is_not_there_has_nothing)
{
	struct seen s = { .n = 0 };

	ck_assert_int_eq(recover_each("/nonexistent", see, &s, text), 0);
	ck_assert_uint_eq(s.n, 0);
	/* What others may write to is not believed. */
	ck_assert_int_eq(chmod(rig.staging_dir, 0777), 0);
	ck_assert_int_eq(recover_each(rig.staging_dir, see, &s, text), -EPERM);
	ck_assert_ptr_nonnull(strstr(text, "chmod"));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_failed_is_told_until_it_is_discarded);
	tcase_add_test(t, the_next_mount_tells_it_too);
	tcase_add_test(t, a_name_that_was_taken_is_not_told_again);
	tcase_add_test(
	    t, a_name_that_was_taken_is_not_told_again_while_another_reads_it);
	tcase_add_test(t, who_asked_to_be_the_only_one_may_ask_again);
	tcase_add_test(t, syncs_of_directories_hear_of_each_failure_once);
	tcase_add_test(t, saved_bytes_are_those_that_were_written);
	tcase_add_test(t, what_needs_its_base_is_not_whole);
	tcase_add_test(t, a_commit_is_bound_as_it_was);
	tcase_add_test(t, a_large_one_is_sent_in_parts_and_leaves_none);
	tcase_add_test(t, an_upload_is_on_record_until_it_is_aborted);
	tcase_add_test(t, what_could_not_be_aborted_the_next_mount_aborts);
	tcase_add_test(t, uploads_of_the_dead_are_aborted_and_no_others);
	tcase_add_test(t, what_a_store_does_not_abort_the_next_mount_does);
	tcase_add_test(t, one_that_is_refused_does_not_keep_others_open);
	tcase_add_test(t,
		       many_that_were_interrupted_leave_room_for_what_failed);
	tcase_add_test(t, what_may_not_be_looked_for_does_not_stop_a_commit);
	tcase_add_test(t, of_what_the_store_has_or_nobody_wrote_nothing_stays);
	tcase_add_test(t,
		       what_has_no_error_and_a_base_is_not_known_to_the_byte);
	tcase_add_test(t, what_is_being_written_is_left_alone);
	tcase_add_loop_test(t, a_record_that_is_none_is_passed_by, 0, 19);
	tcase_add_test(t, a_link_or_a_torn_record_is_passed_by);
	tcase_add_test(t, keys_of_any_bytes_come_back);
	tcase_add_test(t, a_staging_that_is_not_there_has_nothing);
	return RUN_CASES(t);
}
