/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_inodes.c - inode records: versions, lookup counts, keys
 */
#include "fuse/inodes.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "base/stats.h"
#include "fuse/limits.h"
#include "tests/unit/run.h"

static struct inodes *t;

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

static struct ufs_stat version(const char *v, uint64_t size)
{
	struct ufs_stat st = { .size = size, .mtime = 1500000000 };

	snprintf(st.version, sizeof(st.version), "%s", v);
	return st;
}

static struct inode_attr look(uint64_t parent, enum inode_type type,
			      const char *comp, const char *v)
{
	struct ufs_stat st = version(v, 10);
	struct inode_attr a;

	ck_assert_int_eq(inodes_lookup(t, parent, type, str_of(comp), &st, &a),
			 0);
	return a;
}

START_TEST(the_same_version_is_the_same_inode)
{
	struct inode_attr a = look(INODE_ROOT, INODE_FILE, "x", "v1");
	struct inode_attr b = look(INODE_ROOT, INODE_FILE, "x", "v1");

	ck_assert_uint_eq(a.nodeid, b.nodeid);
	ck_assert_uint_eq(a.ino, b.ino);
}
END_TEST

START_TEST(another_version_is_another_inode_of_the_same_number)
{
	struct inode_attr a = look(INODE_ROOT, INODE_FILE, "x", "v1");
	struct inode_attr b = look(INODE_ROOT, INODE_FILE, "x", "v2");
	struct ufs_stat st;
	struct inode_attr got;

	ck_assert_uint_ne(a.nodeid, b.nodeid);
	ck_assert_uint_eq(a.ino, b.ino);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &got, &st), 0);
	ck_assert_str_eq(st.version, "v1");
	ck_assert_int_eq(inodes_get(t, b.nodeid, &got, &st), 0);
	ck_assert_str_eq(st.version, "v2");
}
END_TEST

START_TEST(an_inode_that_was_left_is_not_found_again_but_lives_on)
{
	struct inode_attr a = look(INODE_ROOT, INODE_FILE, "x", "v1"), b, now;

	inodes_leave(t, a.nodeid);
	inodes_leave(t, a.nodeid);
	b = look(INODE_ROOT, INODE_FILE, "x", "v1");
	ck_assert_uint_ne(a.nodeid, b.nodeid);
	ck_assert_uint_eq(a.ino, b.ino);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &now, NULL), 0);
	ck_assert(!now.gone);
	inodes_forget(t, a.nodeid, 1);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &now, NULL), -ESTALE);
	now = look(INODE_ROOT, INODE_FILE, "x", "v1");
	ck_assert_uint_eq(now.nodeid, b.nodeid);
	inodes_leave(t, INODE_ROOT);
	inodes_leave(t, 12345);
	inodes_forget(t, b.nodeid, 2);
}
END_TEST

START_TEST(a_directory_that_was_left_keeps_what_is_below_it)
{
	struct inode_attr a = look(INODE_ROOT, INODE_DIR, "d", ""), b, f, g;
	char key[UFS_KEY_MAX + 1];
	size_t n;

	f = look(a.nodeid, INODE_FILE, "f", "v1");
	inodes_leave(t, a.nodeid);
	b = look(INODE_ROOT, INODE_DIR, "d", "");
	ck_assert_uint_ne(a.nodeid, b.nodeid);
	ck_assert_uint_eq(a.ino, b.ino);
	g = look(b.nodeid, INODE_FILE, "f", "v1");
	ck_assert_uint_ne(f.nodeid, g.nodeid);
	inodes_forget(t, a.nodeid, 1);
	ck_assert_int_eq(inodes_key(t, f.nodeid, key, &n), 0);
	ck_assert_str_eq(key, "d/f");
	inodes_forget(t, f.nodeid, 1);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &f, NULL), -ESTALE);
	ck_assert_uint_eq(look(INODE_ROOT, INODE_DIR, "d", "").nodeid,
			  b.nodeid);
	inodes_forget(t, g.nodeid, 1);
	inodes_forget(t, b.nodeid, 2);
}
END_TEST

START_TEST(another_size_under_one_version_is_another_inode)
{
	struct ufs_stat one = version("v", 10), two = version("v", 11);
	struct inode_attr a, b;

	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_FILE, str_of("x"), &one, &a), 0);
	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_FILE, str_of("x"), &two, &b), 0);
	ck_assert_uint_ne(a.nodeid, b.nodeid);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &b, NULL), 0);
	ck_assert_uint_eq(b.size, 10);
}
END_TEST

START_TEST(a_fraction_of_a_second_does_not_make_a_version)
{
	struct ufs_stat head = version("v", 10), list = version("v", 10);
	struct inode_attr a, b;

	head.mtime = INT64_C(1700000000) * 1000000000;
	list.mtime = head.mtime + 123000000;
	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_FILE, str_of("x"), &head, &a),
	    0);
	ck_assert_int_eq(
	    inodes_lookup(t, INODE_ROOT, INODE_FILE, str_of("x"), &list, &b),
	    0);
	ck_assert_uint_eq(a.nodeid, b.nodeid);
	ck_assert_int_eq(b.mtime, head.mtime);
}
END_TEST

START_TEST(a_file_and_a_directory_of_one_name_are_two_inodes)
{
	struct inode_attr d = look(INODE_ROOT, INODE_DIR, "a", "");
	struct inode_attr f = look(INODE_ROOT, INODE_FILE, "a", "v1");
	char key[UFS_KEY_MAX + 1];
	size_t n;

	ck_assert_uint_ne(d.nodeid, f.nodeid);
	ck_assert_uint_ne(d.ino, f.ino);
	ck_assert_int_eq(inodes_key(t, d.nodeid, key, &n), 0);
	ck_assert_str_eq(key, "a/");
	ck_assert_int_eq(inodes_key(t, f.nodeid, key, &n), 0);
	ck_assert_str_eq(key, "a");
}
END_TEST

START_TEST(a_key_is_put_together_from_its_parents)
{
	struct inode_attr a = look(INODE_ROOT, INODE_DIR, "a", "");
	struct inode_attr e = look(a.nodeid, INODE_DIR, "", "");
	struct inode_attr f = look(e.nodeid, INODE_FILE, "b", "v1");
	struct inode_attr d = look(a.nodeid, INODE_DATA, "", "v1");
	char key[UFS_KEY_MAX + 1];
	size_t n;

	ck_assert_int_eq(inodes_key(t, f.nodeid, key, &n), 0);
	ck_assert_str_eq(key, "a//b");
	ck_assert_int_eq(inodes_key(t, d.nodeid, key, &n), 0);
	ck_assert_str_eq(key, "a/");
	ck_assert_int_eq(inodes_key(t, INODE_ROOT, key, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_uint_eq(
	    f.ino, inodes_ino(t, str_of("a//"), INODE_FILE, str_of("b")));
}
END_TEST

START_TEST(a_key_longer_than_any_store_has_is_refused)
{
	uint64_t parent = INODE_ROOT;
	struct ufs_stat st = version("v", 1);
	char comp[256];
	struct inode_attr a;

	memset(comp, 'x', 255);
	comp[255] = '\0';
	for (int i = 0; i < 4; i++)
		parent = look(parent, INODE_DIR, comp, "").nodeid;
	ck_assert_int_eq(
	    inodes_lookup(t, parent, INODE_FILE, str_of("y"), &st, &a),
	    -ENAMETOOLONG);
}
END_TEST

START_TEST(a_forgotten_inode_is_freed_and_its_number_names_nothing)
{
	struct inode_attr a = look(INODE_ROOT, INODE_FILE, "x", "v1");
	struct inode_attr b, c;

	look(INODE_ROOT, INODE_FILE, "x", "v1");
	inodes_forget(t, a.nodeid, 1);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &b, NULL), 0);
	inodes_forget(t, a.nodeid, 1);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &b, NULL), -ESTALE);
	ck_assert_int_eq(stat_read(STAT_inodes), 1);
	/* The index is used again, under another generation. */
	c = look(INODE_ROOT, INODE_FILE, "y", "v1");
	ck_assert_uint_ne(c.nodeid, a.nodeid);
	ck_assert_uint_eq((uint32_t)c.nodeid, (uint32_t)a.nodeid);
	inodes_forget(t, a.nodeid, 1);
	ck_assert_int_eq(inodes_get(t, c.nodeid, &b, NULL), 0);
}
END_TEST

START_TEST(a_forgotten_parent_stays_while_it_has_children)
{
	struct inode_attr d = look(INODE_ROOT, INODE_DIR, "d", "");
	struct inode_attr f = look(d.nodeid, INODE_FILE, "f", "v1");
	char key[UFS_KEY_MAX + 1];
	struct inode_attr a;
	size_t n;

	inodes_forget(t, d.nodeid, 1);
	ck_assert_int_eq(inodes_key(t, f.nodeid, key, &n), 0);
	ck_assert_str_eq(key, "d/f");
	inodes_forget(t, f.nodeid, 1);
	ck_assert_int_eq(inodes_get(t, d.nodeid, &a, NULL), -ESTALE);
	ck_assert_int_eq(stat_read(STAT_inodes), 1);
}
END_TEST

START_TEST(forgetting_too_much_or_the_root_does_no_harm)
{
	struct inode_attr a = look(INODE_ROOT, INODE_FILE, "x", "v1");

	inodes_forget(t, a.nodeid, UINT64_MAX);
	inodes_forget(t, INODE_ROOT, UINT64_MAX);
	inodes_forget(t, 0, 1);
	inodes_forget(t, UINT64_MAX, 1);
	ck_assert_int_eq(inodes_get(t, INODE_ROOT, &a, NULL), 0);
	ck_assert_int_eq(stat_read(STAT_inodes), 1);
}
END_TEST

START_TEST(an_attached_run_holds_the_record_until_its_last_detach)
{
	struct inode_attr a = look(INODE_ROOT, INODE_FILE, "x", "v1"), b;
	int one, two;

	ck_assert_ptr_null(inodes_attach(t, a.nodeid, NULL));
	ck_assert_ptr_eq(inodes_attach(t, a.nodeid, &one), &one);
	ck_assert_ptr_eq(inodes_attach(t, a.nodeid, &two), &one);
	inodes_forget(t, a.nodeid, 1);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &b, NULL), 0);
	ck_assert_ptr_null(inodes_detach(t, a.nodeid));
	ck_assert_ptr_eq(inodes_detach(t, a.nodeid), &one);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &b, NULL), -ESTALE);
	ck_assert_ptr_null(inodes_attach(t, a.nodeid, &two));
}
END_TEST

START_TEST(a_gone_version_found_again_is_good_again)
{
	struct inode_attr a = look(INODE_ROOT, INODE_FILE, "x", "v1");

	inodes_set_gone(t, a.nodeid);
	ck_assert_int_eq(inodes_get(t, a.nodeid, &a, NULL), 0);
	ck_assert(a.gone);
	ck_assert(!look(INODE_ROOT, INODE_FILE, "x", "v1").gone);
}
END_TEST

START_TEST(the_kernel_keeps_one_listing_of_a_directory_at_a_time)
{
	struct inode_attr d = look(INODE_ROOT, INODE_DIR, "d", "");
	bool cache, keep;

	inodes_dir_open(t, d.nodeid, INT64_MIN, &cache, &keep);
	ck_assert(cache && !keep);
	inodes_dir_open(t, d.nodeid, INT64_MIN, &cache, &keep);
	ck_assert(cache && keep);
	/* Another listing while the first is being read: beside it. */
	inodes_dir_open(t, d.nodeid, 5, &cache, &keep);
	ck_assert(!cache && keep);
	inodes_dir_close(t, d.nodeid);
	inodes_dir_close(t, d.nodeid);
	inodes_dir_open(t, d.nodeid, 5, &cache, &keep);
	ck_assert(cache && !keep);
	inodes_dir_close(t, d.nodeid);
	inodes_dir_open(t, d.nodeid, 5, &cache, &keep);
	ck_assert(cache && keep);
	inodes_dir_close(t, d.nodeid);
	inodes_dir_drop(t, d.nodeid);
	inodes_dir_open(t, d.nodeid, 5, &cache, &keep);
	ck_assert(cache && !keep);
	inodes_dir_close(t, d.nodeid);
}
END_TEST

START_TEST(all_inodes_below_a_key_are_found_and_no_others)
{
	struct inode_attr d = look(INODE_ROOT, INODE_DIR, "a", "");
	struct inode_attr e = look(d.nodeid, INODE_DIR, "b", "");
	struct inode_place at;
	uint64_t cursor = 0;
	unsigned n = 0;

	look(e.nodeid, INODE_FILE, "c", "v");
	look(INODE_ROOT, INODE_FILE, "a", "v");  /* the twin */
	look(INODE_ROOT, INODE_FILE, "ab", "v"); /* not below */
	while (inodes_next_below(t, str_of("a"), &cursor, &at))
		n++;
	ck_assert_uint_eq(n, 4);
	cursor = n = 0;
	while (inodes_next_below(t, str_of("a/b"), &cursor, &at))
		n++;
	ck_assert_uint_eq(n, 2);
	cursor = n = 0;
	while (inodes_next_below(t, STR_EMPTY, &cursor, &at))
		n++;
	ck_assert_uint_eq(n, 5);
}
END_TEST

START_TEST(a_hundred_thousand_inodes_come_and_go)
{
	enum { N = 100000 };
	uint64_t *ids = calloc(N, sizeof(*ids));
	struct inode_attr a;
	char name[32];

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		ids[i] = look(INODE_ROOT, INODE_FILE, name, "v").nodeid;
	}
	ck_assert_int_eq(stat_read(STAT_inodes), N + 1);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		ck_assert_uint_eq(
		    look(INODE_ROOT, INODE_FILE, name, "v").nodeid, ids[i]);
	}
	for (int i = 0; i < N; i++)
		inodes_forget(t, ids[i], 2);
	ck_assert_int_eq(stat_read(STAT_inodes), 1);
	ck_assert_int_eq(inodes_get(t, ids[N / 2], &a, NULL), -ESTALE);
	free(ids);
}
END_TEST

/* Lookups and forgets of the same few names from several threads. */
static void *churn(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct ufs_stat st = version("v", 1);
	struct inode_attr d, f;

	for (int i = 0; i < 20000; i++) {
		const char *name = (const char *[]){ "a", "b", "c" }[i % 3];

		snprintf(st.version, sizeof(st.version), "%u",
			 (unsigned)(i + (int)seed) / 100);
		if (inodes_lookup(t, INODE_ROOT, INODE_DIR, str_of("d"), NULL,
				  &d) != 0 ||
		    inodes_lookup(t, d.nodeid, INODE_FILE, str_of(name), &st,
				  &f) != 0)
			return arg;
		inodes_forget(t, d.nodeid, 1);
		inodes_forget(t, f.nodeid, 1);
	}
	return NULL;
}

/* File number i in dir, of about 168 bytes; 200 of them are 33,600. */
static struct inode_attr numbered(uint64_t dir, int i)
{
	char name[16];

	snprintf(name, sizeof(name), "%07d", i);
	return look(dir, INODE_FILE, name, "0123456789abcdef0123456789abcdef");
}

START_TEST(inodes_are_crowded_from_their_share_until_an_eighth_below)
{
	struct inode_attr a[200];
	size_t share, n = 0;

	numbered(INODE_ROOT, 1000);
	ck_assert(!inodes_crowded(t));
	share = (size_t)stat_read(STAT_inode_bytes) * 101;
	inodes_set_share(t, share);
	while (!inodes_crowded(t)) {
		ck_assert_uint_lt(n, ARRAY_SIZE(a));
		a[n] = numbered(INODE_ROOT, (int)n);
		n++;
	}
	ck_assert_uint_eq(n, 101);
	ck_assert_int_gt(stat_read(STAT_inode_bytes), (int64_t)share);
	while (inodes_crowded(t)) {
		ck_assert_uint_gt(n, 0);
		inodes_forget(t, a[--n].nodeid, 1);
	}
	ck_assert_uint_ge(n, 86);
	ck_assert_uint_le(n, 88);
	a[n] = numbered(INODE_ROOT, (int)n); /* no more until the share */
	ck_assert(!inodes_crowded(t));
}
END_TEST

static bool among(uint64_t nodeid, const uint64_t *ids, size_t n)
{
	while (n > 0)
		if (ids[--n] == nodeid)
			return true;
	return false;
}

START_TEST(those_not_looked_up_again_are_idle_first)
{
	struct inode_attr a[100];
	uint64_t ids[200];
	size_t n;

	for (int i = 0; i < 100; i++)
		a[i] = numbered(INODE_ROOT, i);
	ck_assert_uint_eq(inodes_idle(t, ids, ARRAY_SIZE(ids)), 0);
	for (int i = 0; i < 100; i += 2)
		numbered(INODE_ROOT, i);
	n = inodes_idle(t, ids, ARRAY_SIZE(ids));
	ck_assert_uint_eq(n, 50);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(among(a[i].nodeid, ids, n), i % 2);
	/* The oldest first, and as many as asked for. */
	n = inodes_idle(t, ids, 10);
	ck_assert_uint_eq(n, 10);
	ck_assert_uint_eq(ids[0], a[0].nodeid);
	/* The hand goes on where it was. */
	n = inodes_idle(t, ids, 10);
	ck_assert_uint_eq(n, 10);
	ck_assert_uint_eq(ids[0], a[10].nodeid);
}
END_TEST

START_TEST(what_is_open_or_has_children_is_not_idle)
{
	struct inode_attr open = look(INODE_ROOT, INODE_FILE, "open", "v");
	struct inode_attr parent = look(INODE_ROOT, INODE_DIR, "parent", "");
	struct inode_attr child = numbered(parent.nodeid, 1);
	struct inode_attr listed = look(INODE_ROOT, INODE_DIR, "listed", "");
	struct inode_place at;
	bool cache, keep;
	uint64_t ids[8];
	int run;

	inodes_attach(t, open.nodeid, &run);
	inodes_dir_open(t, listed.nodeid, 5, &cache, &keep);
	inodes_idle(t, ids, ARRAY_SIZE(ids)); /* the marks go */
	ck_assert_uint_eq(inodes_idle(t, ids, ARRAY_SIZE(ids)), 1);
	ck_assert_uint_eq(ids[0], child.nodeid);
	ck_assert_int_eq(inodes_place(t, ids[0], &at), 0);
	ck_assert_uint_eq(at.parent, parent.nodeid);
	ck_assert_str_eq(at.comp, "0000001");
	inodes_forget(t, child.nodeid, 1);
	ck_assert_int_eq(inodes_place(t, child.nodeid, &at), -ESTALE);
	ck_assert_int_eq(inodes_place(t, INODE_ROOT, &at), -ESTALE);
	inodes_dir_close(t, listed.nodeid);
	inodes_detach(t, open.nodeid);
	inodes_idle(t, ids, ARRAY_SIZE(ids));
	ck_assert_uint_eq(inodes_idle(t, ids, ARRAY_SIZE(ids)), 3);
}
END_TEST

START_TEST(two_hundred_thousand_inodes_fit_in_the_least_share)
{
	inodes_set_share(t, limits_inodes(0));
	for (int i = 0; i < 200000; i++)
		numbered(INODE_ROOT, i);
	ck_assert(!inodes_crowded(t));
	ck_assert_int_le(stat_read(STAT_inode_bytes) / 200000, 200);
}
END_TEST

START_TEST(threads_may_look_up_and_forget_at_once)
{
	pthread_t threads[4];
	void *r;

	for (uintptr_t i = 0; i < 4; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, churn, (void *)(i + 1)),
		    0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &r);
		ck_assert_ptr_null(r);
	}
	ck_assert_int_eq(stat_read(STAT_inodes), 1);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("inodes");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, the_same_version_is_the_same_inode);
	tcase_add_test(c, another_version_is_another_inode_of_the_same_number);
	tcase_add_test(c,
		       an_inode_that_was_left_is_not_found_again_but_lives_on);
	tcase_add_test(c, a_directory_that_was_left_keeps_what_is_below_it);
	tcase_add_test(c, another_size_under_one_version_is_another_inode);
	tcase_add_test(c, a_fraction_of_a_second_does_not_make_a_version);
	tcase_add_test(c, a_file_and_a_directory_of_one_name_are_two_inodes);
	tcase_add_test(c, a_key_is_put_together_from_its_parents);
	tcase_add_test(c, a_key_longer_than_any_store_has_is_refused);
	tcase_add_test(c,
		       a_forgotten_inode_is_freed_and_its_number_names_nothing);
	tcase_add_test(c, a_forgotten_parent_stays_while_it_has_children);
	tcase_add_test(c, forgetting_too_much_or_the_root_does_no_harm);
	tcase_add_test(c,
		       an_attached_run_holds_the_record_until_its_last_detach);
	tcase_add_test(c, a_gone_version_found_again_is_good_again);
	tcase_add_test(c,
		       the_kernel_keeps_one_listing_of_a_directory_at_a_time);
	tcase_add_test(c, all_inodes_below_a_key_are_found_and_no_others);
	tcase_add_test(c, a_hundred_thousand_inodes_come_and_go);
	tcase_add_test(
	    c, inodes_are_crowded_from_their_share_until_an_eighth_below);
	tcase_add_test(c, those_not_looked_up_again_are_idle_first);
	tcase_add_test(c, what_is_open_or_has_children_is_not_idle);
	tcase_add_test(c, two_hundred_thousand_inodes_fit_in_the_least_share);
	tcase_add_test(c, threads_may_look_up_and_forget_at_once);
	return RUN_CASES(c);
}
