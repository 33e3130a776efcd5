/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_hedge.c - slow requests are sent a second time, few of them, and right
 */
#include "tests/unit/ufs_server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ufs/http_hedge.h"
#include "ufs/ufs.h"

#define MS NSEC_PER_MSEC
#define SIZE ((size_t)1000)
#define ETAG "v1"

START_TEST(the_threshold_is_three_times_what_nearly_all_take)
{
	static struct hedge h; /* all zero */

	for (int i = 0; i < 63; i++)
		hedge_note(&h, HEDGE_GET, 100 * MS);
	/* Too few to say anything. */
	ck_assert_int_eq(hedge_after(&h, HEDGE_GET), 0);
	for (int i = 0; i < 1000; i++)
		hedge_note(&h, HEDGE_GET, i % 33 == 0 ? 10000 * MS : 100 * MS);
	/* Three times 100 ms; a bucket is a quarter of an octave wide. */
	ck_assert_int_ge(hedge_after(&h, HEDGE_GET), 300 * MS);
	ck_assert_int_le(hedge_after(&h, HEDGE_GET), 380 * MS);
	ck_assert_int_eq(hedge_after(&h, HEDGE_HEAD), 0);
	/* The store has become slow: soon that is what it takes. */
	for (int i = 0; i < 3000; i++)
		hedge_note(&h, HEDGE_GET, 1000 * MS);
	ck_assert_int_ge(hedge_after(&h, HEDGE_GET), 3000 * MS);
	for (int i = 0; i < 20000; i++)
		hedge_note(&h, HEDGE_GET, MS / 10);
	ck_assert_int_eq(hedge_after(&h, HEDGE_GET), 200 * MS);
	for (int i = 0; i < 3000; i++)
		hedge_note(&h, HEDGE_GET, INT64_MAX);
	ck_assert_int_ge(hedge_after(&h, HEDGE_GET), 100 * NSEC_PER_SEC);
}
END_TEST

START_TEST(one_request_in_thirty_two_may_be_sent_again)
{
	static struct hedge h;
	unsigned taken = 0;

	ck_assert(!hedge_take(&h));
	for (int i = 0; i < 3200; i++) {
		hedge_note(&h, HEDGE_GET, MS);
		taken += hedge_take(&h);
	}
	ck_assert_uint_eq(taken, 100);
	/* What was not used is not saved up without end. */
	for (int i = 0; i < 3200; i++)
		hedge_note(&h, HEDGE_GET, MS);
	for (taken = 0; hedge_take(&h); taken++)
		;
	ck_assert_uint_le(taken, 10);
}
END_TEST

/* What becomes of the odd request, the one after those that teach. */
enum trick {
	HELD,          /* it is never answered */
	HEDGE_REFUSED, /* the second is 503, then the first is answered */
	HEDGE_ABSENT,  /* the second is 404 */
	RESET_LATE,    /* the first is reset once the second was asked */
};

static struct store {
	struct server server;
	struct ufs *u;
	enum trick trick;
	unsigned odd;       /* the number of the odd request */
	bool busy;          /* one answer was a 503 */
	atomic_uint second; /* requests after it that were answered */
	char seen[2][2048]; /* the odd one and the next */
} st;

#define EMPTY_LIST                                                             \
	"<ListBucketResult><IsTruncated>false</IsTruncated></"                 \
	"ListBucketResult>"

static void answer(int fd, const char *request)
{
	size_t first = 0, last = SIZE - 1;

	if (strstr(request, "list-type=2") != NULL) {
		server_say(fd,
			   "HTTP/1.1 200 X\r\nContent-Length: %zu\r\n\r\n%s",
			   strlen(EMPTY_LIST), EMPTY_LIST);
	} else if (strncmp(request, "HEAD", 4) == 0) {
		server_say(fd,
			   "HTTP/1.1 200 X\r\nContent-Length: %zu\r\n"
			   "ETag: \"" ETAG "\"\r\n\r\n",
			   SIZE);
	} else {
		server_range(request, &first, &last);
		last = last < SIZE ? last : SIZE - 1;
		server_say(fd,
			   "HTTP/1.1 206 X\r\nContent-Length: %zu\r\n"
			   "Content-Range: bytes %zu-%zu/%zu\r\n"
			   "ETag: \"" ETAG "\"\r\n\r\n",
			   last - first + 1, first, last, SIZE);
		server_send_object(fd, first, last - first + 1);
	}
}

static void refuse(int fd, int status)
{
	server_say(fd, "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", status);
}

/* Until the second request was answered. */
static void wait_for_second(struct server *s)
{
	while (atomic_load(&st.second) == 0 && !atomic_load(&s->stopping))
		poll(NULL, 0, 1);
}

static enum server_then play(struct server *s, int fd, unsigned nth,
			     const char *request)
{
	if (nth == st.odd)
		snprintf(st.seen[0], sizeof(st.seen[0]), "%s", request);
	if (nth == st.odd + 1)
		snprintf(st.seen[1], sizeof(st.seen[1]), "%s", request);
	if (nth == st.odd) {
		if (st.trick == HELD || st.trick == HEDGE_ABSENT)
			return SERVER_HOLD;
		/* So that libcurl cannot take it for an idle connection. */
		if (st.trick == RESET_LATE)
			server_say(fd, "HTTP/1.1 206 X\r\n");
		wait_for_second(s);
		if (st.trick == RESET_LATE)
			return SERVER_RESET;
		answer(fd, request);
		return SERVER_KEEP;
	}
	if (st.busy && nth == 1)
		refuse(fd, 503);
	else if (nth == st.odd + 1 && st.trick == HEDGE_REFUSED)
		refuse(fd, 503);
	else if (nth == st.odd + 1 && st.trick == HEDGE_ABSENT)
		refuse(fd, 404);
	else if (nth == st.odd + 1 && st.trick == RESET_LATE) {
		/* Neither has a head yet: the reset comes first. */
		atomic_fetch_add(&st.second, 1);
		poll(NULL, 0, 50);
		answer(fd, request);
		return SERVER_KEEP;
	} else {
		answer(fd, request);
	}
	if (nth > st.odd)
		atomic_fetch_add(&st.second, 1);
	return SERVER_KEEP;
}

struct got {
	unsigned heads;
	size_t from, n;
};

static int sink_head(void *arg, const struct ufs_stat *s)
{
	struct got *g = arg;

	ck_assert_str_eq(s->version, ETAG);
	g->heads++;
	return 0;
}

static int sink_data(void *arg, const void *p, size_t n)
{
	struct got *g = arg;

	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(((const unsigned char *)p)[i],
				  object_byte(g->from + g->n + i));
	g->n += n;
	return 0;
}

static int no_entry(void *arg, const struct ufs_entry *e)
{
	(void)arg, (void)e;
	return 0;
}

static int ask(enum hedge_kind kind)
{
	struct got g = { .from = 10 };
	struct ufs_sink sink = { .arg = &g,
				 .head = sink_head,
				 .data = sink_data };
	struct ufs_list q = { .prefix = STR_EMPTY,
			      .after = STR_EMPTY,
			      .max = 1 };
	AUTO_FREE char *token = NULL;
	struct ufs_stat s;
	int r;

	if (kind == HEDGE_HEAD)
		return st.u->ops->stat(st.u, str_of("key"), &s, NULL);
	if (kind == HEDGE_LIST)
		return st.u->ops->list(st.u, &q, &token, no_entry, NULL, NULL);
	r = st.u->ops->get(st.u, str_of("key"), ETAG, 10, 500, &sink, NULL);
	if (r == 0) {
		ck_assert_uint_eq(g.heads, 1);
		ck_assert_uint_eq(g.n, 500);
	}
	return r;
}

/* Requests that teach what is usual. */
#define USUAL 64

static void start(enum trick trick, enum hedge_kind kind, bool busy)
{
	struct ufs_conf conf = { .url = "s3://bucket", .anonymous = true };
	char why[256] = "";

	memset(&st, 0, sizeof(st));
	st.trick = trick;
	st.busy = busy;
	/* The mount's first answer may be a 503, and asked for again. */
	st.odd = USUAL + busy + 1;
	server_start(&st.server, play, NULL);
	conf.endpoint = st.server.endpoint;
	ck_assert_msg(ufs_open(&conf, &st.u, why) == 0, "%s", why);
	for (int i = 0; i < USUAL; i++)
		ck_assert_int_eq(ask(kind), 0);
	ck_assert_uint_eq(atomic_load(&st.server.requests), st.odd - 1);
}

static void stop(void)
{
	ufs_close(st.u);
	server_stop(&st.server);
}

START_TEST(a_request_that_hangs_is_answered_by_a_second_one)
{
	enum hedge_kind kind = (enum hedge_kind)_i;
	int64_t hedges = stat_read(STAT_store_hedges), begin;
	int64_t wins = stat_read(STAT_store_hedge_wins);
	unsigned connections;

	start(HELD, kind, false);
	begin = clock_ns();
	ck_assert_int_eq(ask(kind), 0);
	ck_assert_int_ge(clock_ns() - begin, 200 * MS);
	ck_assert_int_le(clock_ns() - begin, 5 * NSEC_PER_SEC);
	ck_assert_uint_eq(atomic_load(&st.server.requests), st.odd + 1);
	ck_assert_int_eq(stat_read(STAT_store_hedges), hedges + 1);
	ck_assert_int_eq(stat_read(STAT_store_hedge_wins), wins + 1);
	/* The connection that answered is used from now on. */
	connections = server_connections(&st.server);
	ck_assert_int_eq(ask(kind), 0);
	ck_assert_uint_eq(server_connections(&st.server), connections);
	ck_assert_int_eq(stat_read(STAT_store_hedges), hedges + 1);
	stop();
	/* The same was asked, of the same version. */
	ck_assert_str_eq(st.seen[0], st.seen[1]);
	if (kind == HEDGE_GET) {
		ck_assert_ptr_nonnull(strstr(st.seen[1], "If-Match: \"v1\""));
		ck_assert_ptr_nonnull(strstr(st.seen[1], "bytes=10-509"));
	}
}
END_TEST

START_TEST(a_second_request_that_is_refused_does_not_count)
{
	int64_t wins = stat_read(STAT_store_hedge_wins);
	int64_t throttled = stat_read(STAT_store_throttled);

	start(HEDGE_REFUSED, HEDGE_GET, false);
	ck_assert_int_eq(ask(HEDGE_GET), 0);
	/* But the store is asked less. */
	ck_assert_int_eq(stat_read(STAT_store_throttled), throttled + 1);
	ck_assert_uint_eq(atomic_load(&st.server.requests), st.odd + 1);
	ck_assert_int_eq(stat_read(STAT_store_hedge_wins), wins);
	stop();
}
END_TEST

START_TEST(a_refusal_that_is_final_is_an_answer)
{
	start(HEDGE_ABSENT, HEDGE_GET, false);
	ck_assert_int_eq(ask(HEDGE_GET), -ESTALE);
	ck_assert_uint_eq(atomic_load(&st.server.requests), st.odd + 1);
	stop();
}
END_TEST

START_TEST(the_second_goes_on_when_the_first_breaks)
{
	int64_t retries = stat_read(STAT_store_retries);

	start(RESET_LATE, HEDGE_GET, false);
	ck_assert_int_eq(ask(HEDGE_GET), 0);
	ck_assert_uint_eq(atomic_load(&st.server.requests), st.odd + 1);
	ck_assert_int_eq(stat_read(STAT_store_retries), retries);
	stop();
}
END_TEST

static void *cancel_soon(void *arg)
{
	while (atomic_load(&st.server.requests) < st.odd)
		poll(NULL, 0, 1);
	poll(NULL, 0, 400); /* longer than no second one would be sent */
	cancel_set(arg);
	return NULL;
}

START_TEST(a_busy_store_is_not_asked_twice)
{
	struct cancel cancel = { false };
	struct got g = { .from = 10 };
	struct ufs_sink sink = { .arg = &g,
				 .head = sink_head,
				 .data = sink_data };
	pthread_t t;

	start(HELD, HEDGE_GET, true);
	ck_assert_int_eq(pthread_create(&t, NULL, cancel_soon, &cancel), 0);
	ck_assert_int_eq(
	    st.u->ops->get(st.u, str_of("key"), ETAG, 10, 500, &sink, &cancel),
	    -ECANCELED);
	pthread_join(t, NULL);
	ck_assert_uint_eq(atomic_load(&st.server.requests), st.odd);
	stop();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ufs_hedge");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERR);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_threshold_is_three_times_what_nearly_all_take);
	tcase_add_test(t, one_request_in_thirty_two_may_be_sent_again);
	tcase_add_loop_test(t, a_request_that_hangs_is_answered_by_a_second_one,
			    0, HEDGE_KINDS);
	tcase_add_test(t, a_second_request_that_is_refused_does_not_count);
	tcase_add_test(t, a_refusal_that_is_final_is_an_answer);
	tcase_add_test(t, the_second_goes_on_when_the_first_breaks);
	tcase_add_test(t, a_busy_store_is_not_asked_twice);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
