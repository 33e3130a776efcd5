/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_creds_renew.c - how the set of keys in use stays valid
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/unit/run.h"
#include "ufs/creds_impl.h"

#define READERS 16

/* A provider that does what a test tells it, and counts its calls. */
struct source {
	struct creds_provider provider;
	atomic_uint fetches, version;
	atomic_bool fail, hold; /* hold: a fetch lasts until it is let go */
	_Atomic int64_t life;   /* of a set, ns; 0: for ever */
	_Atomic int64_t ahead;  /* of the issuer's clock, ns; 0: not told */
};

static struct source src;
static struct creds_chain *chain;
static char why[256];

static void moment(void)
{
	poll(NULL, 0, 1);
}

static int fetch(struct creds_provider *p, const struct creds_site *site,
		 struct creds *set, char words[static 256])
{
	struct source *s = container_of(p, struct source, provider);
	int64_t ahead = atomic_load(&s->ahead), life = atomic_load(&s->life);
	char key[32];

	atomic_fetch_add(&s->fetches, 1);
	while (atomic_load(&s->hold) && !cancelled(site->cancel))
		moment();
	if (cancelled(site->cancel))
		return -ECANCELED;
	snprintf(words, 256, "the source is closed");
	if (atomic_load(&s->fail))
		return -EINVAL;
	if (life != 0)
		set->expiry = clock_wall_ns() + ahead + life;
	if (ahead != 0)
		set->issuer_now = clock_wall_ns() + ahead;
	snprintf(key, sizeof(key), "K%u", atomic_load(&s->version));
	ck_assert_int_eq(creds_keep(set, key, "s", NULL, "test", words), 0);
	return creds_source(set, "test");
}

static void no_close(struct creds_provider *p)
{
	(void)p; /* a global of the test */
}

static void open_chain(int64_t life)
{
	const struct creds_conf conf = { 0 };

	memset(&src, 0, sizeof(src));
	src.provider.fetch = fetch;
	src.provider.close = no_close;
	atomic_store(&src.life, life);
	ck_assert_int_eq(creds_open_with(&src.provider, &conf, &chain, why), 0);
}

static void quiet(void)
{
	log_open("/dev/null");
}

static void loud(void)
{
	creds_close(chain);
	chain = NULL;
	log_open("stderr");
}

#define EVENTUALLY(what)                                                       \
	do {                                                                   \
		int64_t until_ = clock_ns() + 20 * NSEC_PER_SEC;               \
		while (!(what) && clock_ns() < until_)                         \
			moment();                                              \
		ck_assert(what);                                               \
	} while (0)

static int64_t in(int64_t ns)
{
	return clock_ns() + ns;
}

/* The key that is given out now, "" if none is in time. */
static const char *key_in(int64_t ns)
{
	static _Thread_local char key[32];
	struct creds *set;
	int r = creds_get(chain, in(ns), NULL, &set);

	if (r < 0) {
		ck_assert_int_eq(r, -EACCES);
		return "";
	}
	snprintf(key, sizeof(key), "%s", set->access_key);
	creds_unref(set);
	return key;
}

static const char *key_now(void)
{
	return key_in(NSEC_PER_SEC / 20);
}

static bool is_key(const char *wanted)
{
	return strcmp(key_now(), wanted) == 0;
}

static enum creds_news refused(unsigned generation)
{
	return creds_refresh(chain, generation, CREDS_REFUSED,
			     in(NSEC_PER_SEC / 5), NULL);
}

static void *refuse_0(void *arg)
{
	(void)arg;
	ck_assert_int_eq(
	    creds_refresh(chain, 0, CREDS_REFUSED, in(20 * NSEC_PER_SEC), NULL),
	    CREDS_OTHER);
	return NULL;
}

START_TEST(A15_one_fetch_serves_all_who_were_refused)
{
	pthread_t thread[READERS];

	open_chain(0);
	atomic_store(&src.version, 1);
	atomic_store(&src.hold, true);
	for (size_t i = 0; i < READERS; i++)
		pthread_create(&thread[i], NULL, refuse_0, NULL);
	EVENTUALLY(atomic_load(&src.fetches) == 2);
	/* Refused: no one gets it any more. */
	ck_assert_str_eq(key_now(), "");
	atomic_store(&src.hold, false);
	for (size_t i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_str_eq(key_now(), "K1");
	/* One who comes late with his refusal of the old ones. */
	refuse_0(NULL);
	ck_assert_uint_eq(atomic_load(&src.fetches), 2);
}
END_TEST

START_TEST(a_set_is_renewed_before_its_end_and_serves_meanwhile)
{
	int64_t begin;

	open_chain(4 * NSEC_PER_SEC);
	begin = clock_ns();
	atomic_store(&src.version, 1);
	atomic_store(&src.hold, true);
	while (atomic_load(&src.fetches) < 2 &&
	       clock_ns() - begin < 10 * NSEC_PER_SEC) {
		ck_assert_str_eq(key_now(), "K0");
		moment();
	}
	/* 75 to 80 %, and what a busy machine adds. */
	ck_assert_int_ge(clock_ns() - begin, 2900 * NSEC_PER_MSEC);
	ck_assert_int_lt(clock_ns() - begin, 3900 * NSEC_PER_MSEC);
	ck_assert_str_eq(key_in(0), "K0");
	atomic_store(&src.hold, false);
	EVENTUALLY(is_key("K1"));
	ck_assert_uint_eq(atomic_load(&src.fetches), 2);
}
END_TEST

START_TEST(a_provider_that_fails_is_no_error_while_the_set_is_good)
{
	struct creds *set;
	int64_t end;

	open_chain(3 * NSEC_PER_SEC);
	set = creds_now(chain);
	end = set->expires_at;
	creds_unref(set);
	atomic_store(&src.fail, true);
	while (clock_ns() < end - NSEC_PER_SEC / 10) {
		ck_assert_str_eq(key_in(0), "K0");
		moment();
	}
	/* At about 2.3 s, and not again at once. */
	ck_assert_uint_eq(atomic_load(&src.fetches), 2);
	creds_trouble(chain, why);
	ck_assert_str_eq(why, "the source is closed");
	/* Expired by our clock, and it cannot be renewed: the store judges. */
	EVENTUALLY(creds_expired(chain));
	EVENTUALLY(is_key("K0"));
	atomic_store(&src.version, 1);
	atomic_store(&src.life, 0);
	atomic_store(&src.fail, false);
	EVENTUALLY(is_key("K1"));
	creds_trouble(chain, why);
	ck_assert_str_eq(why, "");
}
END_TEST

START_TEST(A15_refused_keys_without_others_are_EACCES_at_the_deadline)
{
	int64_t begin;

	open_chain(0);
	atomic_store(&src.fail, true);
	ck_assert_int_eq(refused(0), CREDS_SAME);
	begin = clock_ns();
	ck_assert_str_eq(key_in(NSEC_PER_SEC / 2), "");
	ck_assert_int_ge(clock_ns() - begin, NSEC_PER_SEC / 2);
	/* It recovers by itself. */
	atomic_store(&src.version, 7);
	atomic_store(&src.fail, false);
	ck_assert_str_eq(key_in(20 * NSEC_PER_SEC), "K7");
}
END_TEST

static struct cancel stop;

static void *set_stop(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++)
		moment();
	cancel_set(&stop);
	return NULL;
}

START_TEST(who_waits_for_keys_can_be_cancelled)
{
	struct creds *set;
	pthread_t thread;
	int64_t begin = clock_ns();

	open_chain(0);
	atomic_store(&src.hold, true);
	ck_assert_int_eq(refused(0), CREDS_SAME);
	memset(&stop, 0, sizeof(stop));
	pthread_create(&thread, NULL, set_stop, NULL);
	ck_assert_int_eq(creds_get(chain, in(20 * NSEC_PER_SEC), &stop, &set),
			 -ECANCELED);
	ck_assert_int_lt(clock_ns() - begin, 5 * NSEC_PER_SEC);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(keys_that_the_provider_insists_on_are_tried_and_block_no_one)
{
	open_chain(0);
	ck_assert_int_eq(
	    creds_refresh(chain, 0, CREDS_REFUSED, in(20 * NSEC_PER_SEC), NULL),
	    CREDS_SAME);
	ck_assert_uint_eq(atomic_load(&src.fetches), 2);
	ck_assert_str_eq(key_in(0), "K0");
	/* Refused once more: asked again, but after a pause. */
	ck_assert_int_eq(refused(0), CREDS_SAME);
	ck_assert_uint_eq(atomic_load(&src.fetches), 2);
	ck_assert_str_eq(key_in(0), "K0");
	atomic_store(&src.version, 1);
	EVENTUALLY(is_key("K1"));
}
END_TEST

START_TEST(a_store_that_takes_no_key_is_no_storm_on_the_provider)
{
	int64_t begin = clock_ns();
	unsigned generation = 0, fetches;
	struct creds *set;

	open_chain(0);
	while (clock_ns() - begin < 2 * NSEC_PER_SEC) {
		atomic_fetch_add(&src.version, 1); /* others each time */
		refused(generation);
		set = creds_now(chain);
		generation = set->generation;
		creds_unref(set);
	}
	fetches = atomic_load(&src.fetches);
	ck_assert_uint_ge(fetches, 5); /* a few at once */
	ck_assert_uint_le(fetches, 8);
}
END_TEST

START_TEST(a_mere_doubt_is_looked_into_at_once_and_then_rarely)
{
	open_chain(0);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(creds_refresh(chain, 0, CREDS_DOUBTED,
					       in(20 * NSEC_PER_SEC), NULL),
				 CREDS_SAME);
	ck_assert_uint_le(atomic_load(&src.fetches), 3);
	ck_assert_str_eq(key_in(0), "K0");
}
END_TEST

START_TEST(keys_that_can_never_change_are_not_waited_for)
{
	open_chain(0);
	src.provider.fixed = true;
	atomic_store(&src.version, 1);
	ck_assert_int_eq(refused(0), CREDS_FINAL);
	creds_reload(chain);
	ck_assert_str_eq(key_in(0), "K0");
	ck_assert_uint_eq(atomic_load(&src.fetches), 1);
}
END_TEST

START_TEST(a_reload_fetches_without_being_waited_for)
{
	open_chain(0);
	atomic_store(&src.version, 1);
	creds_reload(chain);
	EVENTUALLY(is_key("K1"));
	/* One that fails is tried again. */
	atomic_store(&src.version, 2);
	atomic_store(&src.fail, true);
	creds_reload(chain);
	EVENTUALLY(atomic_load(&src.fetches) == 3);
	ck_assert_str_eq(key_in(0), "K1");
	atomic_store(&src.fail, false);
	EVENTUALLY(is_key("K2"));
}
END_TEST

START_TEST(a_life_is_measured_by_the_issuers_clock)
{
	struct creds *set;

	open_chain(3600 * NSEC_PER_SEC);
	creds_close(chain);
	/* Our clock is two hours ahead: it looks expired, and is not. */
	atomic_store(&src.ahead, -7200 * NSEC_PER_SEC);
	ck_assert_int_eq(creds_open_with(&src.provider,
					 &(struct creds_conf){ 0 }, &chain,
					 why),
			 0);
	ck_assert(!creds_expired(chain));
	set = creds_now(chain);
	ck_assert_int_gt(set->renew_at, in(2600 * NSEC_PER_SEC));
	ck_assert_int_lt(set->renew_at, in(2900 * NSEC_PER_SEC));
	creds_unref(set);
}
END_TEST

START_TEST(keys_that_arrive_expired_are_used_and_fetched_again)
{
	open_chain(-60 * NSEC_PER_SEC);
	ck_assert(creds_expired(chain));
	EVENTUALLY(is_key("K0"));
	ck_assert_uint_le(atomic_load(&src.fetches), 3);
	atomic_store(&src.version, 1);
	atomic_store(&src.life, 0);
	EVENTUALLY(is_key("K1"));
}
END_TEST

START_TEST(closing_does_not_wait_for_a_fetch_that_hangs)
{
	int64_t begin = clock_ns();

	open_chain(0);
	atomic_store(&src.hold, true);
	creds_reload(chain);
	EVENTUALLY(atomic_load(&src.fetches) == 2);
	creds_close(chain);
	chain = NULL;
	ck_assert_int_lt(clock_ns() - begin, 5 * NSEC_PER_SEC);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, quiet, loud);
	tcase_add_test(t, A15_one_fetch_serves_all_who_were_refused);
	tcase_add_test(t, a_set_is_renewed_before_its_end_and_serves_meanwhile);
	tcase_add_test(t,
		       a_provider_that_fails_is_no_error_while_the_set_is_good);
	tcase_add_test(
	    t, A15_refused_keys_without_others_are_EACCES_at_the_deadline);
	tcase_add_test(t, who_waits_for_keys_can_be_cancelled);
	tcase_add_test(
	    t, keys_that_the_provider_insists_on_are_tried_and_block_no_one);
	tcase_add_test(t, a_mere_doubt_is_looked_into_at_once_and_then_rarely);
	tcase_add_test(t,
		       a_store_that_takes_no_key_is_no_storm_on_the_provider);
	tcase_add_test(t, keys_that_can_never_change_are_not_waited_for);
	tcase_add_test(t, a_reload_fetches_without_being_waited_for);
	tcase_add_test(t, a_life_is_measured_by_the_issuers_clock);
	tcase_add_test(t, keys_that_arrive_expired_are_used_and_fetched_again);
	tcase_add_test(t, closing_does_not_wait_for_a_fetch_that_hangs);
	return RUN_CASES(t);
}
