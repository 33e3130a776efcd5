/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_inodes_write.c - inode records of files that are being written
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "base/stats.h"
#include "fuse/inodes.h"
#include "tests/unit/run.h"

static struct inodes *t;
static char run1, run2; /* running parts: only their addresses count */

static void setup(void)
{
	ck_assert_int_eq(inodes_new(str_of("store"), &t), 0);
}

static void teardown(void)
{
	inodes_free(t);
	ck_assert_int_eq(stat_read(STAT_inodes), 0);
	ck_assert_int_eq(stat_read(STAT_inode_bytes), 0);
}

static struct ufs_stat version(const char *v)
{
	struct ufs_stat st = { .size = 10, .mtime = 1500000000 };

	snprintf(st.version, sizeof(st.version), "%s", v);
	return st;
}

static struct inode_attr look(const char *comp, const char *v)
{
	struct ufs_stat st = version(v);
	struct inode_attr a;

	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_FILE, str_of(comp), &st, &a), 0);
	return a;
}

static struct inode_attr create(const char *comp, void *run)
{
	struct inode_attr a;
	uint64_t nodeid;

	ck_assert_int_eq(
	    inodes_create(t, INODE_ROOT, str_of(comp), run, &nodeid, &a), 0);
	ck_assert_uint_eq(nodeid, a.nodeid);
	ck_assert(a.writing);
	return a;
}

START_TEST(what_is_being_written_is_found_whatever_version_is_looked_up)
{
	struct inode_attr a = create("x", &run1), b;

	ck_assert_uint_eq(look("x", "v1").nodeid, a.nodeid);
	ck_assert_uint_eq(look("x", "v2").nodeid, a.nodeid);
	ck_assert(inodes_writing(t, INODE_ROOT, str_of("x"), &b));
	ck_assert_uint_eq(b.nodeid, a.nodeid);
	ck_assert(!inodes_writing(t, INODE_ROOT, str_of("y"), &b));
	ck_assert_ptr_eq(inodes_detach(t, a.nodeid), &run1);
	ck_assert(!inodes_writing(t, INODE_ROOT, str_of("x"), &b));
}
END_TEST

START_TEST(what_was_written_is_the_version_that_names_mean_after)
{
	struct inode_attr a = create("x", &run1), b;
	struct ufs_stat st = version("made"), got;

	ck_assert_int_eq(inodes_written(t, a.nodeid, &st), 0);
	ck_assert_ptr_eq(inodes_detach(t, a.nodeid), &run1);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &b, &got), 0);
	ck_assert(!b.writing);
	ck_assert_uint_eq(b.size, 10);
	ck_assert_str_eq(got.version, "made");
	ck_assert_uint_eq(look("x", "made").nodeid, a.nodeid);
	ck_assert_uint_eq(look("x", "other").ino, a.ino);
	ck_assert_uint_ne(look("x", "other").nodeid, a.nodeid);
}
END_TEST

START_TEST(an_inode_that_nobody_has_open_is_written_in_place)
{
	struct inode_attr a = look("x", "v1");
	void *run = NULL;

	ck_assert_int_eq(inodes_write(t, a.nodeid, &run1, &run), 0);
	ck_assert_ptr_eq(run, &run1);
	ck_assert_int_eq(inodes_write(t, a.nodeid, &run2, &run), 0);
	ck_assert_ptr_eq(run, &run1);
	ck_assert_uint_eq(look("x", "v9").nodeid, a.nodeid);
	ck_assert_ptr_null(inodes_detach(t, a.nodeid));
	ck_assert_ptr_eq(inodes_detach(t, a.nodeid), &run1);
}
END_TEST

START_TEST(an_inode_that_is_read_is_not_written)
{
	struct inode_attr a = look("x", "v1"), b;
	void *run = NULL;

	ck_assert_ptr_eq(inodes_attach(t, a.nodeid, &run1), &run1);
	ck_assert_int_eq(inodes_write(t, a.nodeid, &run2, &run), -EBUSY);
	/* As op_open_write() does then. */
	inodes_leave(t, a.nodeid);
	b = look("x", "v1");
	ck_assert_uint_ne(b.nodeid, a.nodeid);
	ck_assert_int_eq(inodes_write(t, b.nodeid, &run2, &run), 0);
	ck_assert_ptr_eq(run, &run2);
	/* A name that was left leads nowhere. */
	ck_assert_ptr_eq(inodes_detach(t, a.nodeid), &run1);
	ck_assert_int_eq(inodes_write(t, a.nodeid, &run1, &run), -ESTALE);
	ck_assert_ptr_eq(inodes_detach(t, b.nodeid), &run2);
}
END_TEST

START_TEST(a_new_file_takes_the_name_of_what_was_there)
{
	struct inode_attr old = look("x", "v1"), a;

	a = create("x", &run1);
	ck_assert_uint_ne(a.nodeid, old.nodeid);
	ck_assert_uint_eq(a.ino, old.ino);
	ck_assert_uint_eq(look("x", "v1").nodeid, a.nodeid);
	ck_assert_ptr_eq(inodes_detach(t, a.nodeid), &run1);
}
END_TEST

START_TEST(a_file_moves_with_its_nodeid_and_version)
{
	struct inode_attr d, a = create("x", &run1), b;
	struct ufs_stat none = { 0 }, st = version("v5"), got;
	char key[UFS_KEY_MAX + 1];
	size_t n;

	ck_assert_int_eq(inodes_written(t, a.nodeid, &st), 0);
	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_DIR, str_of("d"), &none, &d), 0);
	ck_assert_int_eq(inodes_move(t, a.nodeid, d.nodeid, str_of("long/y")),
			 0);
	ck_assert_int_eq(inodes_key(t, a.nodeid, key, &n), 0);
	ck_assert_str_eq(key, "d/long/y");
	ck_assert_int_eq(inodes_get(t, a.nodeid, &b, &got), 0);
	ck_assert_str_eq(got.version, "v5");
	ck_assert(inodes_writing(t, d.nodeid, str_of("long/y"), &b));
	ck_assert_uint_eq(b.nodeid, a.nodeid);
	ck_assert(!inodes_writing(t, INODE_ROOT, str_of("x"), &b));
	/* The directory stays as long as its new child. */
	inodes_forget(t, d.nodeid, 1);
	ck_assert_int_eq(inodes_get(t, d.nodeid, &b, NULL), 0);
	ck_assert_ptr_eq(inodes_detach(t, a.nodeid), &run1);
	inodes_forget(t, a.nodeid, 2);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &b, NULL), -ESTALE);
	ck_assert_int_eq(inodes_get(t, d.nodeid, &b, NULL), -ESTALE);
}
END_TEST

START_TEST(the_files_that_are_written_in_a_directory_are_listed)
{
	struct inode_attr d, a, gone;
	struct ufs_stat none = { 0 };
	struct text comps = { 0 };
	uint64_t nodeids[40];
	unsigned found = 0;

	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_DIR, str_of("d"), &none, &d), 0);
	for (int i = 0; i < 40; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%d", i);
		ck_assert_int_eq(inodes_create(t, i % 2 ? d.nodeid : INODE_ROOT,
					       str_of(name), &run1, &nodeids[i],
					       &a),
				 0);
	}
	gone = create("gone", &run1);
	inodes_leave(t, gone.nodeid);
	inodes_all_writing(t, d.nodeid, &comps);
	ck_assert(!comps.failed);
	for (size_t at = 0; at < comps.n; at += strlen(comps.p + at) + 1) {
		ck_assert_int_eq(comps.p[at], '-');
		ck_assert_int_eq(comps.p[at + 1], 'f');
		found++;
	}
	ck_assert_uint_eq(found, 20);
	for (int i = 0; i < 40; i += 2)
		inodes_detach(t, nodeids[i]);
	text_clear(&comps);
	inodes_all_writing(t, INODE_ROOT, &comps);
	ck_assert_uint_eq(comps.n, 3);
	ck_assert_str_eq(comps.p, "/d");
	text_fini(&comps);
}
END_TEST

static struct inode_attr dir(uint64_t parent, const char *comp)
{
	const struct ufs_stat none = { 0 };
	struct inode_attr a;

	ck_assert_int_eq(
	    inodes_lookup(t, parent, INODE_DIR, str_of(comp), &none, &a), 0);
	return a;
}

static bool any_in(uint64_t parent, const char *comp)
{
	return inodes_any_writing_in(t, parent, str_of(comp));
}

/* Each is told of once; of what is written, nothing is told. */
START_TEST(a_directory_that_was_told_to_be_absent_is_marked)
{
	struct inode_attr d = dir(INODE_ROOT, "d"), e = dir(d.nodeid, "e");
	struct inode_place at;
	struct inode_attr a;
	uint64_t f;

	ck_assert(!inodes_absent_above(t, e.nodeid, NULL));
	ck_assert(inodes_tell_absent(t, INODE_ROOT, str_of("none")));
	ck_assert(inodes_tell_absent(t, INODE_ROOT, str_of("d")));
	ck_assert(inodes_tell_absent(t, d.nodeid, str_of("e")));
	ck_assert(!inodes_absent_above(t, INODE_ROOT, NULL));
	ck_assert_int_eq(inodes_create(t, e.nodeid, str_of("f"), &run1, &f, &a),
			 0);
	ck_assert(!inodes_tell_absent(t, d.nodeid, str_of("e")));
	ck_assert(inodes_tell_absent(t, e.nodeid, str_of("f")));
	ck_assert(inodes_absent_above(t, f, NULL));
	ck_assert(inodes_absent_above(t, f, &at));
	ck_assert_uint_eq(at.nodeid, e.nodeid);
	ck_assert_uint_eq(at.parent, d.nodeid);
	ck_assert(inodes_absent_above(t, f, &at));
	ck_assert_uint_eq(at.nodeid, d.nodeid);
	ck_assert_uint_eq(at.parent, INODE_ROOT);
	ck_assert(!inodes_absent_above(t, f, &at));
	ck_assert_ptr_eq(inodes_detach(t, f), &run1);
	ck_assert(inodes_tell_absent(t, d.nodeid, str_of("e")));
	ck_assert(inodes_absent_above(t, d.nodeid, NULL) == false);
	ck_assert(inodes_absent_above(t, e.nodeid, &at));
	ck_assert_uint_eq(at.nodeid, e.nodeid);
	inodes_forget(t, f, 1);
	inodes_forget(t, e.nodeid, 1);
	inodes_forget(t, d.nodeid, 1);
}
END_TEST

START_TEST(a_directory_knows_that_something_is_written_below_it)
{
	struct inode_attr d = dir(INODE_ROOT, "d"), e = dir(d.nodeid, "e");
	struct inode_attr to = dir(INODE_ROOT, "to"), a;
	uint64_t f, g;
	void *run;

	ck_assert(!inodes_any_writing(t, INODE_ROOT));
	ck_assert_int_eq(inodes_create(t, e.nodeid, str_of("f"), &run1, &f, &a),
			 0);
	ck_assert(inodes_any_writing(t, INODE_ROOT));
	ck_assert(any_in(INODE_ROOT, "d"));
	ck_assert(any_in(d.nodeid, "e"));
	ck_assert(!any_in(e.nodeid, "f")); /* no directory */
	ck_assert(!any_in(INODE_ROOT, "to"));
	ck_assert(!any_in(INODE_ROOT, "none"));
	ck_assert(!any_in(12345, "d"));
	ck_assert(!inodes_any_writing(t, f));
	/* A second writer of it is no second file. */
	ck_assert_int_eq(inodes_write(t, f, &run2, &run), 0);
	ck_assert_ptr_null(inodes_detach(t, f));
	/* It goes along with each directory that is moved. */
	ck_assert_int_eq(inodes_move(t, e.nodeid, to.nodeid, str_of("e2")), 0);
	ck_assert(!any_in(INODE_ROOT, "d"));
	ck_assert(any_in(INODE_ROOT, "to"));
	ck_assert(any_in(to.nodeid, "e2"));
	ck_assert_int_eq(inodes_move(t, f, d.nodeid, str_of("f2")), 0);
	ck_assert(any_in(INODE_ROOT, "d"));
	ck_assert(!any_in(INODE_ROOT, "to"));
	/* One that takes its name has it alone. */
	ck_assert_int_eq(
	    inodes_create(t, d.nodeid, str_of("f2"), &run2, &g, &a), 0);
	ck_assert_ptr_eq(inodes_detach(t, g), &run2);
	ck_assert(!any_in(INODE_ROOT, "d"));
	ck_assert(!inodes_any_writing(t, INODE_ROOT));
	ck_assert_ptr_eq(inodes_detach(t, f), &run1);
	ck_assert(!inodes_any_writing(t, INODE_ROOT));
	/* So has one that is moved over another; left, none is found. */
	ck_assert_int_eq(inodes_create(t, d.nodeid, str_of("x"), &run1, &f, &a),
			 0);
	ck_assert_int_eq(inodes_create(t, d.nodeid, str_of("y"), &run2, &g, &a),
			 0);
	ck_assert_int_eq(inodes_move(t, f, d.nodeid, str_of("y")), 0);
	ck_assert_ptr_eq(inodes_detach(t, g), &run2);
	ck_assert(any_in(INODE_ROOT, "d"));
	inodes_leave(t, f);
	inodes_leave(t, f);
	ck_assert(!inodes_any_writing(t, INODE_ROOT));
	/* A name that is given to it again leads to it again. */
	ck_assert_int_eq(inodes_move(t, f, to.nodeid, str_of("z")), 0);
	ck_assert(any_in(INODE_ROOT, "to"));
	ck_assert_ptr_eq(inodes_detach(t, f), &run1);
	ck_assert(!inodes_any_writing(t, INODE_ROOT));
}
END_TEST

START_TEST(directories_below_which_something_is_written_are_listed_once)
{
	struct inode_attr d = dir(INODE_ROOT, "d"), e = dir(d.nodeid, "e");
	struct inode_attr k = dir(d.nodeid, "k"), a;
	const uint64_t in[] = { e.nodeid, k.nodeid, d.nodeid };
	struct text got = { 0 };
	unsigned dirs = 0, files = 0;
	uint64_t nodeid;

	for (int i = 0; i < 30; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%d", i);
		ck_assert_int_eq(inodes_create(t, in[i % 3], str_of(name),
					       &run1, &nodeid, &a),
				 0);
	}
	inodes_all_writing(t, d.nodeid, &got);
	for (size_t at = 0; at < got.n; at += strlen(got.p + at) + 1) {
		dirs += got.p[at] == '/';
		files += got.p[at] == '-';
	}
	ck_assert_uint_eq(dirs, 2);
	ck_assert_uint_eq(files, 10);
	text_clear(&got);
	inodes_all_writing(t, INODE_ROOT, &got);
	ck_assert_uint_eq(got.n, 3);
	ck_assert_str_eq(got.p, "/d");
	text_clear(&got);
	inodes_all_writing(t, 12345, &got);
	ck_assert_uint_eq(got.n, 0);
	ck_assert(!got.failed);
	text_fini(&got);
}
END_TEST

START_TEST(a_directory_moves_with_all_below_it)
{
	struct ufs_stat none = { 0 }, st = version("v1");
	struct inode_attr a, b, file, old, now;
	char key[UFS_KEY_MAX + 1];
	size_t n;

	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_DIR, str_of("a"), &none, &a), 0);
	ck_assert_int_eq(
	    inodes_lookup(t, a.nodeid, INODE_DIR, str_of("sub"), &none, &b), 0);
	ck_assert_int_eq(
	    inodes_lookup(t, b.nodeid, INODE_FILE, str_of("f"), &st, &file), 0);
	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_DIR, str_of("to"), &none, &old),
	    0);
	ck_assert_int_eq(inodes_move(t, a.nodeid, INODE_ROOT, str_of("to")), 0);
	ck_assert_int_eq(inodes_key(t, file.nodeid, key, &n), 0);
	ck_assert_str_eq(key, "to/sub/f");
	/* Numbers are those of keys, also when a listing tells them. */
	ck_assert_int_eq(inodes_get(t, file.nodeid, &now, NULL), 0);
	ck_assert_uint_ne(now.ino, file.ino);
	ck_assert_uint_eq(
	    now.ino, inodes_ino(t, str_of("to/sub/"), INODE_FILE, str_of("f")));
	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_DIR, str_of("to"), &none, &now),
	    0);
	ck_assert_uint_eq(now.nodeid, a.nodeid);
	ck_assert_uint_eq(now.ino, old.ino);
	ck_assert_int_eq(
	    inodes_lookup(t, b.nodeid, INODE_FILE, str_of("f"), &st, &now), 0);
	ck_assert_uint_eq(now.nodeid, file.nodeid);
}
END_TEST

START_TEST(all_files_that_are_written_below_a_directory_are_found)
{
	struct inode_attr d, e, a;
	struct ufs_stat none = { 0 };
	uint32_t cursor = UINT32_MAX;
	unsigned found = 0;
	uint64_t nodeid;

	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_DIR, str_of("d"), &none, &d), 0);
	ck_assert_int_eq(
	    inodes_lookup(t, d.nodeid, INODE_DIR, str_of("e"), &none, &e), 0);
	for (int i = 0; i < 60; i++) {
		const uint64_t in[] = { INODE_ROOT, d.nodeid, e.nodeid };
		char name[8];

		snprintf(name, sizeof(name), "f%d", i);
		ck_assert_int_eq(inodes_create(t, in[i % 3], str_of(name),
					       &run1, &nodeid, &a),
				 0);
	}
	/* Each ends when it is found, and others take its place. */
	while (inodes_next_writing_below(t, d.nodeid, &cursor, &nodeid)) {
		ck_assert_ptr_eq(inodes_detach(t, nodeid), &run1);
		found++;
	}
	ck_assert_uint_eq(found, 40);
	cursor = UINT32_MAX;
	found = 0;
	while (inodes_next_writing_below(t, INODE_ROOT, &cursor, &nodeid))
		found++;
	ck_assert_uint_eq(found, 20);
	cursor = UINT32_MAX;
	ck_assert(!inodes_next_writing_below(t, 12345, &cursor, &nodeid));
}
END_TEST

START_TEST(a_new_file_in_no_directory_is_stale)
{
	struct inode_attr f = look("file", "v"), a;
	uint64_t nodeid;

	ck_assert_int_eq(
	    inodes_create(t, f.nodeid, str_of("x"), &run1, &nodeid, &a),
	    -ESTALE);
	ck_assert_int_eq(
	    inodes_create(t, 12345, str_of("x"), &run1, &nodeid, &a), -ESTALE);
	ck_assert_int_eq(inodes_move(t, f.nodeid, f.nodeid, str_of("y")),
			 -ESTALE);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("writing");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(
	    c, what_is_being_written_is_found_whatever_version_is_looked_up);
	tcase_add_test(c,
		       what_was_written_is_the_version_that_names_mean_after);
	tcase_add_test(c, an_inode_that_nobody_has_open_is_written_in_place);
	tcase_add_test(c, an_inode_that_is_read_is_not_written);
	tcase_add_test(c, a_new_file_takes_the_name_of_what_was_there);
	tcase_add_test(c, a_file_moves_with_its_nodeid_and_version);
	tcase_add_test(c, the_files_that_are_written_in_a_directory_are_listed);
	tcase_add_test(c, a_directory_knows_that_something_is_written_below_it);
	tcase_add_test(
	    c, directories_below_which_something_is_written_are_listed_once);
	tcase_add_test(c, a_directory_that_was_told_to_be_absent_is_marked);
	tcase_add_test(c, a_directory_moves_with_all_below_it);
	tcase_add_test(c,
		       all_files_that_are_written_below_a_directory_are_found);
	tcase_add_test(c, a_new_file_in_no_directory_is_stale);
	return RUN_CASES(c);
}
