/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_listing_held.c - what of listings stays in memory
 */
#include "cache/listing.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/stats.h"
#include "cache/listing_impl.h"
#include "tests/unit/listing_rig.h"
#include "tests/unit/run.h"

static void name_of(char name[static 64], size_t i)
{
	snprintf(name, 64, "%060zu", i);
}

/* n names, some 300 to a block; d NULL: in memory. */
static struct listing *write_names(struct disk *d, size_t n)
{
	struct listing_writer *w;
	struct listing *l;
	char name[64];

	ck_assert_int_eq(listing_writer_new(d, &id, clock_ns(), &w), 0);
	for (size_t i = 0; i < n; i++) {
		struct ufs_entry e = { .st = { .size = i, .version = "v" } };

		name_of(name, i);
		e.key = str_of(name);
		ck_assert_int_eq(listing_writer_add(w, e.key, &e), 0);
	}
	ck_assert_int_eq(listing_writer_finish(w, &l), 0);
	return l;
}

/* times of n names, far from the one before: how many are found? */
static size_t look_up(struct listing *l, size_t n, size_t times)
{
	size_t found = 0, at = 0;
	struct ufs_stat st;
	bool object, dir;
	char name[64];

	for (size_t i = 0; i < times; i++) {
		at = (at + 1009) % n; /* a prime that is no part of n */
		name_of(name, at);
		if (listing_find(l, str_of(name), &object, &dir, &st) == 0 &&
		    object && st.size == at)
			found++;
	}
	return found;
}

static int spoil_cb(const char *path, const struct stat *st, int flag,
		    struct FTW *ftw)
{
	size_t n = strlen(path);
	char zeros[KIB(4)] = { 0 };
	int fd;

	(void)ftw;
	if (flag != FTW_F || n < 4 || strcmp(path + n - 4, ".lst") != 0)
		return 0;
	ck_assert_int_gt(st->st_size, 4 * (int64_t)LISTING_BLOCK);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	for (off_t at = 0; at < st->st_size; at += (off_t)sizeof(zeros))
		ck_assert_int_gt(pwrite(fd, zeros, sizeof(zeros), at), 0);
	close(fd);
	return 1;
}

START_TEST(names_in_any_order_are_read_once)
{
	size_t n = 3000;
	struct listing *l = write_names(disk, n);

	ck_assert_uint_eq(look_up(l, n, n), n);
	ck_assert_int_eq(nftw(tmp, spoil_cb, 16, FTW_PHYS), 1);
	ck_assert_uint_eq(look_up(l, n, n), n);
	listing_unref(l);
	ck_assert_int_eq(stat_read(STAT_listing_bytes), 0);
}
END_TEST

START_TEST(what_all_listings_hold_is_bounded)
{
	struct listing *l[24];
	size_t n = 8000;

	for (size_t i = 0; i < ARRAY_SIZE(l); i++) {
		l[i] = write_names(NULL, n);
		ck_assert_uint_eq(look_up(l[i], n, 500), 500);
	}
	ck_assert_int_gt(stat_read(STAT_listing_bytes),
			 (int64_t)(MIB(8) - LISTING_BLOCK));
	ck_assert_int_le(stat_read(STAT_listing_bytes), (int64_t)MIB(8));
	for (size_t i = 0; i < ARRAY_SIZE(l); i++)
		listing_unref(l[i]);
	ck_assert_int_eq(stat_read(STAT_listing_bytes), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("held");

	tcase_add_checked_fixture(t, listing_setup, listing_teardown);
	tcase_add_test(t, names_in_any_order_are_read_once);
	tcase_add_test(t, what_all_listings_hold_is_bounded);
	return RUN_CASES(t);
}
