/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_tier_meta.c - stats and listings through workers
 */
#include "tests/unit/tier_rig.h"

static struct rig rig;
static struct rig_worker *owner, *replica;

#define LONG (20 * NSEC_PER_SEC)

/* Ordered by the directory of the tests. */
static void start(int64_t max_age, int64_t hedge)
{
	rig_start(&rig, &(struct tier_conf){
			    .max_age = max_age,
			    .hedge = hedge,
			    .hedge_list = hedge,
			    .peers.times = { .connect = LONG,
					     .silent = 60 * NSEC_PER_SEC,
					     .slow = LONG,
					     .slow_fill = LONG } });
	for (enum stat_id s = 0; s < STAT_COUNT; s++)
		rig_grown(s);
}

static void order(const char *dir)
{
	rig_order(&rig, ring_hash_dir(str_of(RIG_STORE), str_of(dir)));
	owner = rig.worker[0];
	replica = rig.worker[1];
}

static void setup(void)
{
	start(30 * NSEC_PER_SEC, LONG);
}

static void setup_hasty(void)
{
	start(30 * NSEC_PER_SEC, 300 * NSEC_PER_MSEC);
}

static void setup_strict(void)
{
	start(0, LONG);
}

static void setup_immutable(void)
{
	start(-1, LONG);
}

static void teardown(void)
{
	rig_stop(&rig);
}

static int stat_it(struct ufs_stat *st)
{
	return rig.tier->ops->stat(rig.tier, str_of(RIG_KEY), st, NULL);
}

static void stat_right(void)
{
	struct ufs_stat st = { 0 };

	ck_assert_int_eq(stat_it(&st), 0);
	ck_assert_uint_eq(st.size, RIG_SIZE);
	ck_assert_str_eq(st.version, RIG_VERSION);
	ck_assert_int_eq(st.mtime, 1000000000 * NSEC_PER_SEC);
	ck_assert_uint_eq(st.flags, 0);
}

START_TEST(a_stat_is_the_directorys_workers)
{
	order("dir/");
	stat_right();
	ck_assert_uint_eq(owner->heads, 1);
	ck_assert_uint_eq(rig.store_heads, 0);
	ck_assert_ptr_nonnull(
	    strcasestr(owner->last, "\r\nCache-Control: max-age=30\r\n"));
	ck_assert_int_eq(rig_grown(STAT_peer_head), 1);
}
END_TEST

START_TEST(what_is_asked_for_now_is_asked_of_the_store)
{
	struct ufs_stat st;

	order("dir/");
	ck_assert_int_eq(
	    rig.tier->ops->stat_now(rig.tier, str_of(RIG_KEY), &st, NULL), 0);
	ck_assert_uint_eq(owner->server.requests, 0);
	ck_assert_uint_eq(rig.store_heads, 1);
}
END_TEST

START_TEST(the_age_of_an_answer_is_the_last_ones)
{
	struct ufs_stat st;

	order("dir/");
	atomic_store(&owner->age, 7);
	stat_right();
	ck_assert_int_eq(ufs_last_age(), 7 * NSEC_PER_SEC);
	ck_assert_int_eq(
	    rig.tier->ops->stat_now(rig.tier, str_of(RIG_KEY), &st, NULL), 0);
	ck_assert_int_eq(ufs_last_age(), 0);
}
END_TEST

START_TEST(in_strict_mode_the_store_is_asked)
{
	order("dir/");
	stat_right();
	ck_assert_uint_eq(owner->server.requests, 0);
	ck_assert_uint_eq(rig.store_heads, 1);
}
END_TEST

START_TEST(in_immutable_mode_any_age_will_do)
{
	order("dir/");
	stat_right();
	ck_assert_uint_eq(owner->heads, 1);
	ck_assert_ptr_null(strcasestr(owner->last, "\r\nCache-Control:"));
}
END_TEST

static const struct {
	enum fault fault;
	size_t n;
	unsigned replica, store; /* HEADs */
} rows[] = {
	{ STATUS, 404, 0, 1 }, { STATUS, 412, 0, 1 }, { STATUS, 503, 1, 0 },
	{ STATUS, 403, 1, 0 }, { PROTOCOL, 0, 1, 0 }, { MUTE, 0, 1, 0 },
	{ TWICE, 0, 1, 0 },    { GARBAGE, 0, 1, 0 },  { STRANGER, 404, 1, 0 },
};

START_TEST(a_stat_that_a_worker_fails_is_made_up_for)
{
	order("dir/");
	rig_fault(owner, rows[_i].fault, rows[_i].n);
	stat_right();
	ck_assert_uint_eq(owner->server.requests, 1);
	ck_assert_uint_eq(replica->heads, rows[_i].replica);
	ck_assert_uint_eq(rig.store_heads, rows[_i].store);
}
END_TEST

START_TEST(when_no_worker_can_the_store_says_what_there_is)
{
	struct ufs_stat st;

	order("dir/");
	for (size_t i = 0; i < RIG_WORKERS; i++)
		rig_fault(rig.worker[i], STATUS, 500);
	stat_right();
	ck_assert_uint_eq(rig.store_heads, 1);
	atomic_store(&rig.store_err, -EACCES);
	ck_assert_int_eq(stat_it(&st), -EACCES);
}
END_TEST

/* The store is asked aside, and what it says is believed: but not silence. */
START_TEST(a_silent_worker_is_hedged_for_metadata)
{
	static const int errors[] = { 0, -EACCES, -ENOENT };
	struct ufs_stat st;

	order("dir/");
	for (size_t i = 0; i < RIG_WORKERS; i++)
		rig_fault(rig.worker[i], SILENT, 0);
	atomic_store(&rig.store_err, errors[_i]);
	ck_assert_int_eq(stat_it(&st), errors[_i]);
	ck_assert_uint_eq(rig.store_heads, 1);
	ck_assert_int_eq(rig_grown(STAT_peer_hedges), 2);
	ck_assert_int_eq(rig_grown(STAT_peer_hedge_wins), 1);
}
END_TEST

static void *open_when_failed(void *arg)
{
	rig_wait(&rig.store_failed);
	atomic_store(&owner->gate, true);
	return arg;
}

START_TEST(a_late_worker_still_answers_a_stat_when_the_store_is_gone)
{
	pthread_t thread;

	order("dir/");
	rig_fault(owner, GATE, 0);
	rig_fault(replica, SILENT, 0);
	atomic_store(&rig.store_err, -ETIMEDOUT);
	ck_assert_int_eq(pthread_create(&thread, NULL, open_when_failed, NULL),
			 0);
	stat_right();
	pthread_join(thread, NULL);
	ck_assert_uint_eq(owner->heads, 1);
}
END_TEST

/* Listings: keys d/k00 to d/k19 */

#define ENTRY(key)                                                             \
	"<Contents><Key>" key "</Key>"                                         \
	"<LastModified>2001-09-09T01:46:40.000Z</LastModified>"                \
	"<ETag>\"" RIG_VERSION "\"</ETag><Size>5</Size></Contents>"
#define TEN(d)                                                                 \
	ENTRY(d "0")                                                           \
	ENTRY(d "1")                                                           \
	ENTRY(d "2")                                                           \
	ENTRY(d "3")                                                           \
	ENTRY(d "4")                                                           \
	ENTRY(d "5") ENTRY(d "6") ENTRY(d "7") ENTRY(d "8") ENTRY(d "9")
#define LISTING(truncated, token, entries)                                     \
	"<?xml version=\"1.0\"?><ListBucketResult>"                            \
	"<EncodingType>url</EncodingType>"                                     \
	"<IsTruncated>" truncated "</IsTruncated>" token entries               \
	"</ListBucketResult>"
#define NEXT "<NextContinuationToken>a token/+</NextContinuationToken>"

static const char first_page[] = LISTING("true", NEXT, TEN("d/k0"));
static const char last_page[] = LISTING("false", "", TEN("d/k1"));
static const char same_page[] = LISTING("true", NEXT, TEN("d/k0"));
static const char other_page[] = LISTING("false", "", TEN("e/k1"));
static const char deep_page[] = LISTING("false", "", ENTRY("d/k1/a"));
static const char empty_page[] = LISTING("true", NEXT, "");
static const char weak_page[] =
    LISTING("false", "",
	    "<Contents><Key>d/k10</Key><Size>5</Size>"
	    "<LastModified>2001-09-09T01:46:40.000Z</LastModified>"
	    "</Contents>");
static const char no_page[] = "<html>It works!</html>";

struct listed {
	int n;
};

/* Each key once, in order. */
static int on_entry(void *arg, const struct ufs_entry *e)
{
	struct listed *l = arg;
	char key[16];

	snprintf(key, sizeof(key), "d/k%02d", l->n);
	ck_assert_msg(str_eq(e->key, str_of(key)), "%.*s is not %s",
		      (int)e->key.n, e->key.p, key);
	ck_assert_str_eq(e->st.version, RIG_VERSION);
	l->n++;
	return 0;
}

static void list_right(void)
{
	struct ufs_list q = { .prefix = str_of("d/"),
			      .after = STR_EMPTY,
			      .max = 10 };
	struct listed l = { 0 };
	char *token = NULL;

	do
		ck_assert_int_eq(rig.tier->ops->list(rig.tier, &q, &token,
						     on_entry, &l, NULL),
				 0);
	while (token != NULL);
	ck_assert_int_eq(l.n, RIG_LISTED);
}

START_TEST(the_pages_of_a_listing_are_one_workers)
{
	order("d/");
	owner->list[0] = first_page;
	owner->list[1] = last_page;
	list_right();
	ck_assert_uint_eq(owner->lists, 2);
	ck_assert_uint_eq(rig.store_lists, 0);
	ck_assert_ptr_nonnull(
	    strstr(owner->last, "continuation-token=a%20token%2F%2B"));
	ck_assert_ptr_nonnull(strstr(owner->last, "GET /" RIG_BUCKET "?"));
	ck_assert_ptr_nonnull(strstr(owner->last, "prefix=d%2F"));
	ck_assert_int_eq(rig_grown(STAT_peer_list), 2);
}
END_TEST

static const struct {
	const char *page; /* the second one, NULL: a fault */
	const char *state;
} second[] = {
	{ same_page, "quarantined" },
	{ other_page, "quarantined" },
	{ deep_page, "quarantined" },
	{ no_page, "quarantined" },
	{ empty_page, "up" },
	{ weak_page, "up" },
	{ NULL, "up" },
};

START_TEST(a_listing_that_a_worker_cannot_go_on_with_is_the_stores)
{
	struct ufs_list q = { .prefix = str_of("d/"),
			      .after = STR_EMPTY,
			      .max = 10 };
	struct listed l = { 0 };
	char *token = NULL;

	order("d/");
	owner->list[0] = first_page;
	owner->list[1] = second[_i].page;
	ck_assert_int_eq(
	    rig.tier->ops->list(rig.tier, &q, &token, on_entry, &l, NULL), 0);
	ck_assert_int_eq(l.n, 10);
	ck_assert_ptr_nonnull(token);
	if (second[_i].page == NULL)
		rig_fault(owner, STATUS, 503);
	while (token != NULL)
		ck_assert_int_eq(rig.tier->ops->list(rig.tier, &q, &token,
						     on_entry, &l, NULL),
				 0);
	ck_assert_int_eq(l.n, RIG_LISTED);
	ck_assert_uint_eq(owner->server.requests, 2);
	ck_assert_uint_eq(replica->server.requests, 0);
	ck_assert_uint_ge(rig.store_lists, 1);
	ck_assert(rig_is(&rig, owner, second[_i].state));
}
END_TEST

START_TEST(a_first_page_that_no_worker_has_is_the_stores)
{
	order("d/");
	for (size_t i = 0; i < RIG_WORKERS; i++)
		rig_fault(rig.worker[i], _i == 0 ? STATUS : SILENT, 500);
	list_right();
	ck_assert_uint_eq(rig.store_lists, 2);
	ck_assert_int_eq(rig_grown(STAT_peer_hedges), _i == 0 ? 0 : 2);
}
END_TEST

/* It was not to be older than 30 s. */
START_TEST(what_is_too_old_is_asked_of_the_store)
{
	order("dir/");
	atomic_store(&owner->age, 3600);
	stat_right();
	ck_assert_uint_eq(owner->heads, 1);
	ck_assert_uint_eq(rig.store_heads, 1);
	ck_assert_int_eq(ufs_last_age(), 0);

	order("d/");
	atomic_store(&owner->age, 3600);
	owner->list[0] = first_page;
	list_right();
	ck_assert_uint_eq(owner->lists, 1);
	ck_assert_uint_eq(rig.store_lists, 2);
	ck_assert_int_eq(ufs_last_age(), 0);
	ck_assert(rig_is(&rig, owner, "up"));
}
END_TEST

static int stop(void *arg, const struct ufs_entry *e)
{
	(void)e;
	++*(int *)arg;
	return 17;
}

START_TEST(a_listing_ends_when_its_receiver_says_so)
{
	struct ufs_list q = { .prefix = str_of("d/"),
			      .after = STR_EMPTY,
			      .max = 10 };
	char *token = NULL;
	int n = 0;

	order("d/");
	owner->list[0] = first_page;
	ck_assert_int_eq(
	    rig.tier->ops->list(rig.tier, &q, &token, stop, &n, NULL), 17);
	ck_assert_int_eq(n, 1);
	ck_assert_ptr_null(token);
}
END_TEST

START_TEST(the_status_names_all_workers)
{
	json_t *all = tier_status(rig.tier);

	ck_assert_int_eq(json_integer_value(json_object_get(all, "epoch")), 7);
	ck_assert_uint_eq(
	    strlen(json_string_value(json_object_get(all, "view"))), 16);
	ck_assert_uint_eq(json_array_size(json_object_get(all, "workers")),
			  RIG_WORKERS);
	json_decref(all);
	ck_assert_str_eq(rig.tier->store, RIG_STORE);
	ck_assert_str_eq(rig.tier->access, "test");
	ck_assert(rig.tier->ops->list_side_by_side);
	ck_assert_ptr_null(rig.tier->ops->describe);
	ck_assert_ptr_null(rig.tier->ops->reach);
}
END_TEST

static TCase *with(const char *name, void (*begin)(void))
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, begin, teardown);
	tcase_set_timeout(c, 60);
	return c;
}

int main(void)
{
	TCase *ttl = with("ttl", setup), *hasty = with("hasty", setup_hasty);
	TCase *strict = with("strict", setup_strict);
	TCase *immutable = with("immutable", setup_immutable);

	tcase_add_test(ttl, a_stat_is_the_directorys_workers);
	tcase_add_test(ttl, what_is_asked_for_now_is_asked_of_the_store);
	tcase_add_test(ttl, the_age_of_an_answer_is_the_last_ones);
	tcase_add_loop_test(ttl, a_stat_that_a_worker_fails_is_made_up_for, 0,
			    ARRAY_SIZE(rows));
	tcase_add_test(ttl, when_no_worker_can_the_store_says_what_there_is);
	tcase_add_test(ttl, the_pages_of_a_listing_are_one_workers);
	tcase_add_loop_test(
	    ttl, a_listing_that_a_worker_cannot_go_on_with_is_the_stores, 0,
	    ARRAY_SIZE(second));
	tcase_add_loop_test(ttl, a_first_page_that_no_worker_has_is_the_stores,
			    0, 1);
	tcase_add_test(ttl, a_listing_ends_when_its_receiver_says_so);
	tcase_add_test(ttl, what_is_too_old_is_asked_of_the_store);
	tcase_add_test(ttl, the_status_names_all_workers);
	tcase_add_loop_test(hasty, a_silent_worker_is_hedged_for_metadata, 0,
			    3);
	tcase_add_test(
	    hasty, a_late_worker_still_answers_a_stat_when_the_store_is_gone);
	tcase_add_loop_test(
	    hasty, a_first_page_that_no_worker_has_is_the_stores, 1, 2);
	tcase_add_test(strict, in_strict_mode_the_store_is_asked);
	tcase_add_test(immutable, in_immutable_mode_any_age_will_do);
	return RUN_CASES(ttl, hasty, strict, immutable);
}
