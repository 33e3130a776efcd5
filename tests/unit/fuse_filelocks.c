/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_filelocks.c - locks that processes hold on files
 */
#include "fuse/filelocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/stats.h"
#include "tests/unit/run.h"

#define OWNERS 3
#define FILES 2 /* open ones of each owner */
#define BYTES 24

static struct filelocks table;
static const char files[OWNERS][FILES];

/* What each owner has of each byte, and through which file. */
static struct {
	short type;
	unsigned file;
} has[OWNERS][BYTES];

static bool never_claimed(struct lock_ask *a)
{
	(void)a;
	ck_abort_msg("it was to wait");
	return false;
}

static void never_done(struct lock_ask *a, int err)
{
	(void)a, (void)err;
}

static struct lock_ask ask_of(unsigned owner, unsigned file, short type,
			      unsigned first, unsigned last)
{
	return (struct lock_ask){
		.by = &files[owner][file],
		.owner = owner,
		.type = type,
		.first = first,
		.last = last,
		.claim = never_claimed,
		.done = never_done,
	};
}

static bool in_the_way(unsigned owner, short type, unsigned first,
		       unsigned last)
{
	for (unsigned o = 0; o < OWNERS; o++)
		for (unsigned b = first; o != owner && b <= last; b++)
			if (has[o][b].type != F_UNLCK &&
			    (has[o][b].type == F_WRLCK || type == F_WRLCK))
				return true;
	return false;
}

/* How many locks that is: neighbours of one type and file are one. */
static int64_t count(void)
{
	int64_t n = 0;

	for (unsigned o = 0; o < OWNERS; o++)
		for (unsigned b = 0; b < BYTES; b++)
			n += has[o][b].type != F_UNLCK &&
			     (b == 0 || has[o][b].type != has[o][b - 1].type ||
			      has[o][b].file != has[o][b - 1].file);
	return n;
}

static void set(unsigned owner, unsigned file, short type, unsigned first,
		unsigned last)
{
	for (unsigned b = first; b <= last; b++) {
		has[owner][b].type = type;
		has[owner][b].file = file;
	}
}

static void close_some(struct lock_place *p, unsigned owner, unsigned file,
		       bool all)
{
	for (unsigned b = 0; b < BYTES; b++)
		if (all || has[owner][b].file == file)
			has[owner][b].type = F_UNLCK;
	if (all)
		filelocks_owner_closed(&table, p, owner);
	else
		filelocks_file_closed(&table, p, &files[owner][file]);
}

START_TEST(ranges_are_as_a_table_of_bytes_says)
{
	static const short types[] = { F_RDLCK, F_WRLCK, F_UNLCK };
	struct lock_place *p;

	ck_assert_int_eq(filelocks_init(&table), 0);
	p = filelocks_place(&table, str_of("a"));
	for (unsigned o = 0; o < OWNERS; o++)
		set(o, 0, F_UNLCK, 0, BYTES - 1);
	srandom((unsigned)_i + 1);
	for (unsigned n = 0; n < 20000; n++) {
		unsigned owner = (unsigned)random() % OWNERS;
		unsigned file = (unsigned)random() % FILES;
		unsigned first = (unsigned)random() % BYTES;
		unsigned last = first + (unsigned)random() % (BYTES - first);
		short type = types[random() % 3];
		struct lock_ask a = ask_of(owner, file, type, first, last);
		struct lock_ask test = a;
		bool busy = in_the_way(owner, type, first, last);

		if (n % 50 == 0)
			close_some(p, owner, file, n % 100 == 0);
		busy = in_the_way(owner, type, first, last);
		if (type != F_UNLCK)
			ck_assert_int_eq(filelocks_test(&table, p, &test),
					 busy);
		ck_assert_int_eq(filelocks_ask(&table, p, &a),
				 busy && type != F_UNLCK ? -EAGAIN : 0);
		if (!busy || type == F_UNLCK)
			set(owner, file, type, first, last);
		ck_assert_int_eq(stat_read(STAT_locks), count());
	}
	for (unsigned o = 0; o < OWNERS; o++)
		close_some(p, o, 0, true);
	ck_assert_int_eq(stat_read(STAT_locks), 0);
	filelocks_unref(&table, p);
	ck_assert_ptr_null(filelocks_find(&table, str_of("a")));
	filelocks_fini(&table);
}
END_TEST

START_TEST(a_tree_takes_its_locks_along_and_what_was_there_keeps_its_own)
{
	struct lock_place *p, *q, *there;
	struct lock_ask a = ask_of(0, 0, F_WRLCK, 0, 9);
	struct lock_ask b = ask_of(1, 0, F_WRLCK, 5, 14);
	struct lock_ask c = ask_of(2, 0, F_RDLCK, 0, 0);
	struct lock_ask d = ask_of(2, 0, F_RDLCK, 14, 14);

	ck_assert_int_eq(filelocks_init(&table), 0);
	p = filelocks_place(&table, str_of("a/b/x"));
	q = filelocks_place(&table, str_of("a/bc"));
	there = filelocks_place(&table, str_of("y/x"));
	ck_assert_int_eq(filelocks_ask(&table, p, &a), 0);
	ck_assert_int_eq(filelocks_ask(&table, there, &b), 0);
	filelocks_moved(&table, str_of("a/b/"), str_of("y/"), true);
	ck_assert_ptr_null(filelocks_find(&table, str_of("a/b/x")));
	ck_assert_ptr_eq(filelocks_find(&table, str_of("a/bc")), q);
	filelocks_unref(&table, q);
	ck_assert_ptr_eq(filelocks_find(&table, str_of("y/x")), p);
	filelocks_unref(&table, p);
	ck_assert_int_eq(filelocks_ask(&table, p, &c), -EAGAIN);
	ck_assert_int_eq(filelocks_ask(&table, p, &d), 0);
	ck_assert_int_eq(filelocks_ask(&table, there, &c), 0);
	ck_assert_int_eq(filelocks_ask(&table, there, &d), -EAGAIN);
	filelocks_owner_closed(&table, there, 1);
	filelocks_owner_closed(&table, there, 2);
	filelocks_unref(&table, there);
	filelocks_removed(&table, str_of("y/x"));
	ck_assert_ptr_null(filelocks_find(&table, str_of("y/x")));
	ck_assert_int_eq(filelocks_ask(&table, p, &c), -EAGAIN);
	filelocks_file_closed(&table, p, &files[0][0]);
	filelocks_owner_closed(&table, p, 2);
	ck_assert_int_eq(stat_read(STAT_locks), 0);
	filelocks_unref(&table, p);
	filelocks_unref(&table, q);
	filelocks_fini(&table);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("filelocks");

	tcase_add_loop_test(t, ranges_are_as_a_table_of_bytes_says, 0, 8);
	tcase_add_test(
	    t, a_tree_takes_its_locks_along_and_what_was_there_keeps_its_own);
	return RUN_CASES(t);
}
