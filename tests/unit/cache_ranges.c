/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_ranges.c - unit tests of directories listed by LISTs side by side
 *
 * LISTs of this store take a few milliseconds, so that some are under way at
 * once, and beginning in the middle can be made dear.
 */
#include "tests/unit/meta_store.h"
#include "tests/unit/run.h"

#define MANY 30000

/* Of a store that may be asked for its ranges side by side. */
static struct ufs_ops ops;

static void setup_side_by_side(void)
{
	setup_with_disk();
	ops = store_ops;
	ops.list_side_by_side = true;
	store.ufs.ops = &ops;
	put_many("c/", MANY);
	start(CONSISTENCY_TTL, FOREVER, FOREVER);
	store.page_ms = 30; /* twice that is more than a busy machine adds */
}

static int in_order(void *arg, uint64_t number, const struct listing_entry *e)
{
	char name[16];

	snprintf(name, sizeof(name), "%08ju", (uintmax_t)number);
	ck_assert(str_eq(e->name, str_of(name)));
	++*(uint64_t *)arg;
	return 0;
}

static void check_list(void)
{
	struct listing *l;
	uint64_t n = 0;

	ck_assert_int_eq(meta_list(meta, str_of("c/"), &l, NULL), 0);
	ck_assert_int_eq(listing_each(l, 0, in_order, &n), 0);
	ck_assert_uint_eq(n, MANY);
	listing_unref(l);
}

START_TEST(ranges_side_by_side_give_each_entry_once_in_order)
{
	check_list();
	ck_assert_uint_gt(store.probes, 0);
	ck_assert_msg(store.at_once > 1, "%u probes", store.probes);
}
END_TEST

START_TEST(parts_that_are_listed_wait_for_their_turn_without_memory)
{
	enum { THREADS = 4, BUFFER = 128 << 10 };
	struct cache_conf conf = { .ufs = &store.ufs,
				   .memory = MIB(64),
				   .consistency = CONSISTENCY_TTL,
				   .ttl = FOREVER,
				   .max_connections = THREADS };

	meta_free(meta);
	ck_assert_int_eq(meta_new(&conf, disk, &meta), 0);
	check_list();
	ck_assert_msg(store.at_once > 1, "%u probes", store.probes);
	/* One of each thread, and the two that are written in the end. */
	ck_assert_int_gt(store.spooled, 0);
	ck_assert_int_le(store.spooled, (THREADS + 2) * BUFFER);
	ck_assert_int_eq(stat_read(STAT_spool_bytes), 0);
}
END_TEST

/* As MinIO does: beginning somewhere reads the whole directory. */
START_TEST(a_store_to_which_a_beginning_is_dear_is_asked_page_after_page)
{
	store.begin_ms = 200;
	check_list();
	ck_assert_uint_eq(store.probes, 1);
	ck_assert_uint_eq(store.at_once, 1);
	ck_assert_uint_eq(store.lists, MANY / 1000 + 1);
}
END_TEST

/* While it is read, the first pages come slowly too. */
static int slow_at_first(struct ufs *u, const struct ufs_list *q, char **token,
			 ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	if (store.lists < 4)
		usleep(300000);
	return store_list(u, q, token, cb, arg, cancel);
}

START_TEST(slow_first_pages_make_no_probe_look_cheap)
{
	ops.list = slow_at_first;
	store.begin_ms = 200;
	check_list();
	ck_assert_uint_eq(store.probes, 1);
	ck_assert_uint_eq(store.at_once, 1);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("ranges");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup_side_by_side, teardown);
	tcase_add_test(t, ranges_side_by_side_give_each_entry_once_in_order);
	tcase_add_test(
	    t, parts_that_are_listed_wait_for_their_turn_without_memory);
	tcase_add_test(
	    t, a_store_to_which_a_beginning_is_dear_is_asked_page_after_page);
	tcase_add_test(t, slow_first_pages_make_no_probe_look_cheap);
	return RUN_CASES(t);
}
