/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_members_etcd.c - workers in etcd, and what can go wrong there
 */
#include "tests/unit/etcd_server.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "tests/unit/members_rig.h"
#include "tests/unit/run.h"

static struct members *m;
static struct members_join *j;
static char why[256], workers[128], log_path[64];

static void fresh_environment(void)
{
	static const char *const names[] = {
		"ETCD_USERNAME", "ETCD_PASSWORD",    "ETCD_PASSWORD_FILE",
		"ETCDCTL_USER",  "ETCDCTL_PASSWORD", "ETCDCTL_CACERT",
		"ETCDCTL_CERT",  "ETCDCTL_KEY",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

static void setup(void)
{
	int fd;

	snprintf(log_path, sizeof(log_path), "/tmp/ring_members.XXXXXX");
	fd = mkstemp(log_path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(log_open(log_path), 0);
	fresh_environment();
	fake_start();
	snprintf(workers, sizeof(workers), "etcd://127.0.0.1:%d/tarn/prod/",
		 fake.server.port);
	m = NULL;
	j = NULL;
}

static void teardown(void)
{
	members_leave(j);
	members_close(m);
	fake_stop();
	log_open("stderr");
	unlink(log_path);
	fresh_environment();
}

static const char *logged(void)
{
	static char text[65536];
	int fd = open(log_path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static struct members_conf conf_of(const char *text)
{
	return (struct members_conf){ .workers = text, .poll = RIG_POLL };
}

static void open_fake(void)
{
	struct members_conf conf = conf_of(workers);

	ck_assert_int_eq(members_open(&conf, &m, why), 0);
}

static void join_fake(const char *name, uint64_t weight)
{
	struct members_conf conf = conf_of(workers);

	ck_assert_int_eq(members_join(&conf, name, weight, &j, why), 0);
}

/* Until a field of the fake has grown. */
#define UNTIL(condition)                                                       \
	do {                                                                   \
		int64_t deadline_ = clock_ns() + RIG_LONG;                     \
		bool so_ = false;                                              \
		for (;;) {                                                     \
			FAKE(so_ = (condition));                               \
			if (so_)                                               \
				break;                                         \
			ck_assert_msg(clock_ns() < deadline_, "never: %s",     \
				      #condition);                             \
			usleep(2000);                                          \
		}                                                              \
	} while (0)

static const struct {
	const char *text, *words;
} refused[] = {
	{ "etcd://", "has no prefix" },
	{ "etcd://a:2379", "has no prefix" },
	{ "etcd://a:2379/", "has no prefix" },
	{ "etcd://a:2379//", "has no prefix" },
	{ "etcd:///tarn", "is empty" },
	{ "etcd://a/tarn", "has no port" },
	{ "etcd://a:1,/tarn", "is empty" },
	{ "etcd://a:1,b:x/tarn", "the port is not from 1 to 65535" },
	{ "etcd://root:CANARY@a:1/tarn", "takes no user or password" },
};

START_TEST(what_is_no_etcd_is_refused)
{
	ck_assert_int_eq(members_check(refused[_i].text, why), -EINVAL);
	ck_assert_msg(strstr(why, refused[_i].words) != NULL, "%s: %s",
		      refused[_i].text, why);
	ck_assert_ptr_null(strstr(why, "CANARY"));
}
END_TEST

START_TEST(what_is_one_is_not)
{
	ck_assert_int_eq(members_check("etcd://a:1,b:2/t", why), 0);
	ck_assert_int_eq(members_check("etcd://a:1+[::1]:2/a/b/", why), 0);
	ck_assert_int_eq(members_check("etcd://a:1//t", why), 0);
}
END_TEST

START_TEST(the_values_below_the_prefix_are_the_workers)
{
	struct members_status s;

	fake_worker("b:7070", 2);
	fake_worker("a:7070", 1);
	fake_put("tarn/prod/c", "{\"name\":\"[::1]:7070\"}");
	fake_put("tarn/prods", "{\"name\":\"other:7070\"}");
	fake_put("tarn/pro", "{\"name\":\"other:7070\"}");
	open_fake();
	ck_assert_str_eq(rig_epoch(m, 1), "[::1]:7070 a:7070 b:7070=2");
	rig_well(m);
	members_status(m, &s);
	ck_assert_str_eq(s.kind, "etcd");
}
END_TEST

START_TEST(a_watch_tells_who_comes_and_goes)
{
	struct members_conf conf = conf_of(workers);
	unsigned ranges;

	fake_worker("a:7070", 1);
	conf.poll = RIG_LONG; /* nothing but the watch can tell */
	ck_assert_int_eq(members_open(&conf, &m, why), 0);
	rig_becomes(m, "a:7070");
	UNTIL(fake.watches == 1);
	fake_worker("b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
	fake_worker("b:7070", 5);
	rig_becomes(m, "a:7070 b:7070=5");
	fake_drop("tarn/prod/a:7070");
	rig_becomes(m, "b:7070=5");
	/* The watch said it all: the list was read once. */
	FAKE(ranges = fake.ranges);
	ck_assert_uint_eq(ranges, 1);
}
END_TEST

START_TEST(many_that_come_at_once_are_few_epochs)
{
	char name[32];

	fake_worker("a:7070", 1);
	open_fake();
	rig_becomes(m, "a:7070");
	pthread_mutex_lock(&fake.lock);
	for (int i = 0; i < 40; i++) {
		char value[64];

		snprintf(name, sizeof(name), "tarn/prod/w%d", i);
		snprintf(value, sizeof(value), "{\"name\":\"w%d:1\"}", i);
		fake_put_locked(name, value, 0);
	}
	pthread_mutex_unlock(&fake.lock);
	ck_assert_int_eq(members_wait(m, 1, clock_ns() + RIG_LONG, NULL), 0);
	ck_assert_uint_eq(members_epoch(m), 2);
	{
		struct members_view v;

		members_ring(m, &v);
		ck_assert_uint_eq(ring_workers(v.now), 41);
		members_view_fini(&v);
	}
}
END_TEST

START_TEST(the_first_worker_is_heard_of_by_the_watch)
{
	open_fake();
	rig_fails(m, "it names no workers");
	UNTIL(fake.watches == 1);
	fake_worker("a:7070", 1);
	ck_assert_str_eq(rig_epoch(m, 1), "a:7070");
	rig_well(m);
}
END_TEST

START_TEST(an_empty_list_is_believed_the_third_time)
{
	unsigned ranges;

	fake_worker("a:7070", 1);
	open_fake();
	rig_epoch(m, 1);
	UNTIL(fake.watches == 1);
	fake_drop("tarn/prod/a:7070");
	ck_assert_str_eq(rig_epoch(m, 2), "-");
	/* The watch said it once, then the list twice. */
	FAKE(ranges = fake.ranges);
	ck_assert_uint_ge(ranges, 3);
	fake_worker("a:7070", 1);
	ck_assert_str_eq(rig_epoch(m, 3), "a:7070");
}
END_TEST

START_TEST(a_list_that_is_empty_for_a_moment_changes_nothing)
{
	fake_worker("a:7070", 1);
	open_fake();
	rig_epoch(m, 1);
	UNTIL(fake.watches == 1);
	pthread_mutex_lock(&fake.lock);
	fake.range = FAKE_EMPTY;
	fake.empties = 2;
	fake.ranges = 0;
	fake.cuts++;
	pthread_mutex_unlock(&fake.lock);
	UNTIL(fake.ranges >= 3);
	rig_well(m);
	ck_assert_uint_eq(members_epoch(m), 1);
	ck_assert_ptr_nonnull(strstr(logged(), "it names no workers"));
}
END_TEST

static const struct {
	enum fake_mode mode;
	const char *words;
} faults[] = {
	{ FAKE_GARBAGE, "answers what is no answer" },
	{ FAKE_ODD, "does not say its revision" },
	{ FAKE_FAILING, "HTTP status 503: etcdserver: no leader" },
	{ FAKE_SILENT, "did not answer in time" },
	{ FAKE_CUT, "etcd at 127.0.0.1" },
};

START_TEST(no_answer_and_garbage_keep_who_was_there)
{
	fake_worker("a:7070", 1);
	open_fake();
	rig_epoch(m, 1);
	UNTIL(fake.watches == 1);
	pthread_mutex_lock(&fake.lock);
	fake.range = faults[_i].mode;
	fake.cuts++;
	pthread_mutex_unlock(&fake.lock);
	rig_fails(m, faults[_i].words);
	if (faults[_i].mode != FAKE_SILENT)
		rig_asked(m, 4);
	ck_assert_uint_eq(members_epoch(m), 1);
	FAKE(fake.range = FAKE_RIGHT);
	fake_worker("b:7070", 1);
	ck_assert_str_eq(rig_epoch(m, 2), "a:7070 b:7070");
	rig_well(m);
	ck_assert_ptr_nonnull(strstr(logged(), "answers again"));
}
END_TEST

/* One line when it begins, however long it lasts. */
START_TEST(a_failure_is_said_once)
{
	const char *first;

	fake_worker("a:7070", 1);
	FAKE(fake.range = FAKE_FAILING);
	open_fake();
	rig_fails(m, "no leader");
	rig_asked(m, 5);
	first = strstr(logged(), "no leader");
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_null(strstr(first + 1, "no leader"));
}
END_TEST

START_TEST(a_watch_that_is_cut_or_garbage_is_begun_anew)
{
	fake_worker("a:7070", 1);
	open_fake();
	rig_epoch(m, 1);
	UNTIL(fake.watches == 1);
	pthread_mutex_lock(&fake.lock);
	if (_i == 0)
		fake.cuts++;
	else
		fake.watch = FAKE_GARBAGE;
	fake_put_locked("tarn/prod/b", "{\"name\":\"b:1\"}", 0);
	pthread_mutex_unlock(&fake.lock);
	rig_becomes(m, "a:7070 b:1");
	FAKE(fake.watch = FAKE_RIGHT);
	UNTIL(fake.watches >= 2);
	fake_worker("c:7070", 1);
	rig_becomes(m, "a:7070 b:1 c:7070");
}
END_TEST

/* Nothing tells that it is dead. */
START_TEST(a_watch_that_is_silent_is_not_believed_for_long)
{
	fake_worker("a:7070", 1);
	FAKE(fake.watch = FAKE_SILENT);
	open_fake();
	rig_epoch(m, 1);
	fake_worker("b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
	rig_well(m);
}
END_TEST

START_TEST(where_no_watch_holds_the_list_is_read_again_and_again)
{
	fake_worker("a:7070", 1);
	FAKE(fake.watch = FAKE_FAILING);
	open_fake();
	rig_epoch(m, 1);
	fake_worker("b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
	rig_well(m);
}
END_TEST

START_TEST(a_compacted_revision_makes_it_read_the_list)
{
	fake_worker("a:7070", 1);
	FAKE(fake.compacted = 1000);
	open_fake();
	rig_epoch(m, 1);
	fake_worker("b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
	FAKE(fake.compacted = 0);
	fake_worker("c:7070", 1);
	rig_becomes(m, "a:7070 b:7070 c:7070");
}
END_TEST

static void put_back(const char *cluster)
{
	pthread_mutex_lock(&fake.lock);
	fake.n = 0;
	fake.logged = 0;
	fake.revision = 1;
	snprintf(fake.cluster, sizeof(fake.cluster), "%s", cluster);
	fake_put_locked("tarn/prod/old", "{\"name\":\"old:1\"}", 0);
	fake.ranges = 0;
	fake.cuts++;
	pthread_mutex_unlock(&fake.lock);
}

START_TEST(an_older_state_is_believed_the_third_time)
{
	unsigned ranges;

	for (int i = 0; i < 5; i++)
		fake_worker("a:7070", 1);
	open_fake();
	rig_epoch(m, 1);
	UNTIL(fake.watches == 1);
	put_back("1");
	rig_fails(m, "etcd knows less than it did");
	ck_assert_str_eq(rig_epoch(m, 2), "old:1");
	FAKE(ranges = fake.ranges);
	ck_assert_uint_ge(ranges, 3);
	/* And from there it goes on. */
	fake_worker("b:7070", 1);
	ck_assert_str_eq(rig_epoch(m, 3), "b:7070 old:1");
}
END_TEST

START_TEST(another_cluster_counts_from_where_it_is)
{
	for (int i = 0; i < 5; i++)
		fake_worker("a:7070", 1);
	open_fake();
	rig_epoch(m, 1);
	UNTIL(fake.watches == 1);
	put_back("2");
	ck_assert_str_eq(rig_epoch(m, 2), "old:1");
}
END_TEST

static const struct {
	const char *value, *words;
} odd[] = {
	{ "", "the value is no JSON" },
	{ "hello", "the value is no JSON" },
	{ "[]", "it has no name" },
	{ "{\"name\":7}", "it has no name" },
	{ "{\"name\":\"b\"}", "its name is not HOST:PORT" },
	{ "{\"name\":\"b:1\",\"weight\":0}", "its weight is no number" },
	{ "{\"name\":\"b:1\",\"weight\":\"1\"}", "its weight is no number" },
	{ "{\"name\":\"b:1\",\"protocol\":2}", "it speaks another protocol" },
};

START_TEST(a_value_of_no_use_is_left_out_and_said_once)
{
	char line[128];

	fake_worker("a:7070", 1);
	fake_put("tarn/prod/x", odd[_i].value);
	open_fake();
	ck_assert_str_eq(rig_epoch(m, 1), "a:7070");
	rig_well(m);
	snprintf(line, sizeof(line), "1 left out: tarn/prod/x: %s",
		 odd[_i].words);
	ck_assert_ptr_nonnull(strstr(logged(), line));
	/* All of them are of no use: that is no list. */
	UNTIL(fake.watches == 1);
	fake_put("tarn/prod/a:7070", odd[_i].value);
	rig_fails(m, "no entry can be used");
	ck_assert_uint_eq(members_epoch(m), 1);
}
END_TEST

START_TEST(the_next_endpoint_is_asked_when_one_is_gone)
{
	struct members_conf conf = conf_of(workers);

	/* Nobody listens at port 1. */
	snprintf(workers, sizeof(workers),
		 "etcd://127.0.0.1:1,127.0.0.1:%d/tarn/prod", fake.server.port);
	fake_worker("a:7070", 1);
	ck_assert_int_eq(members_open(&conf, &m, why), 0);
	ck_assert_str_eq(rig_epoch(m, 1), "a:7070");
	rig_well(m);
	fake_worker("b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
}
END_TEST

START_TEST(closing_does_not_wait_for_a_silent_etcd)
{
	FAKE(fake.range = FAKE_SILENT);
	open_fake();
	UNTIL(atomic_load(&fake.server.requests) > 0);
}
END_TEST

static const struct {
	const char *name, *value;
} users[][3] = {
	{ { "ETCD_USERNAME", "reader" },
	  { "ETCD_PASSWORD", "CANARY \"\\secret" } },
	{ { "ETCDCTL_USER", "reader:CANARY \"\\secret" } },
	{ { "ETCDCTL_USER", "reader" },
	  { "ETCDCTL_PASSWORD", "CANARY \"\\secret" } },
	{ { "ETCD_USERNAME", "reader" }, { "ETCD_PASSWORD_FILE", NULL } },
};

static void password_file(char *path, mode_t mode, const char *text)
{
	int fd;

	strcpy(path, "/tmp/ring_members.pw.XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

START_TEST(a_user_gets_a_token_and_a_new_one_when_it_ran_out)
{
	char path[64] = "";

	for (size_t i = 0; i < 3 && users[_i][i].name != NULL; i++) {
		if (users[_i][i].value == NULL)
			password_file(path, 0600, "CANARY \"\\secret\n");
		setenv(users[_i][i].name,
		       users[_i][i].value != NULL ? users[_i][i].value : path,
		       1);
	}
	fake_worker("a:7070", 1);
	FAKE(fake.with_user = true);
	open_fake();
	ck_assert_str_eq(rig_epoch(m, 1), "a:7070");
	UNTIL(fake.watches == 1);
	pthread_mutex_lock(&fake.lock);
	ck_assert_uint_eq(fake.logins, 1);
	fake.token[0] = '\0';
	fake.cuts++;
	pthread_mutex_unlock(&fake.lock);
	fake_worker("b:7070", 1);
	rig_becomes(m, "a:7070 b:7070");
	UNTIL(fake.logins == 2);
	ck_assert_ptr_nonnull(strstr(logged(), "plain HTTP"));
	ck_assert_ptr_null(strstr(logged(), "CANARY"));
	if (path[0] != '\0')
		unlink(path);
}
END_TEST

START_TEST(a_wrong_password_is_a_failure_and_never_shown)
{
	setenv("ETCD_USERNAME", "reader", 1);
	setenv("ETCD_PASSWORD", "CANARYwrong", 1);
	FAKE(fake.with_user = true);
	open_fake();
	rig_fails(m, "authentication failed");
	ck_assert_ptr_null(strstr(logged(), "CANARY"));
}
END_TEST

START_TEST(a_password_that_is_missing_or_shown_is_refused)
{
	char path[64];

	setenv("ETCD_USERNAME", "reader", 1);
	ck_assert_int_eq(members_check(workers, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "has no password"));
	password_file(path, 0644, "CANARY\n");
	setenv("ETCD_PASSWORD_FILE", path, 1);
	ck_assert_int_eq(members_check(workers, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "chmod 600"));
	unlink(path);
	ck_assert_int_eq(members_check(workers, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "No such file"));
	password_file(path, 0600, "\n");
	setenv("ETCD_PASSWORD_FILE", path, 1);
	ck_assert_int_eq(members_check(workers, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "has no password"));
	unlink(path);
	fresh_environment();
	setenv("ETCDCTL_CERT", "/tmp/x.pem", 1);
	ck_assert_int_eq(members_check(workers, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "needs its key"));
}
END_TEST

START_TEST(a_worker_joins_stays_and_leaves)
{
	uint64_t weight = UINT64_C(7) << 40;

	open_fake();
	join_fake("Worker:7070", weight);
	ck_assert_str_eq(rig_epoch(m, 1), "worker:7070=7696581394432");
	UNTIL(fake.keeps >= 2);
	ck_assert(members_joined(j));
	members_leave(j);
	j = NULL;
	pthread_mutex_lock(&fake.lock);
	ck_assert_uint_eq(fake.revokes, 1);
	ck_assert_uint_eq(fake.grants, 1);
	ck_assert_uint_eq(fake.puts, 1);
	ck_assert_uint_eq(fake.n, 0);
	pthread_mutex_unlock(&fake.lock);
	ck_assert_str_eq(rig_epoch(m, 2), "-");
}
END_TEST

START_TEST(a_lease_that_was_lost_begins_anew)
{
	join_fake("worker:7070", 1);
	UNTIL(fake.puts == 1);
	fake_lease_ends();
	UNTIL(fake.puts == 2);
	UNTIL(fake.keeps >= 2);
	pthread_mutex_lock(&fake.lock);
	ck_assert_uint_eq(fake.grants, 2);
	ck_assert_uint_eq(fake.n, 1);
	pthread_mutex_unlock(&fake.lock);
	ck_assert(members_joined(j));
}
END_TEST

START_TEST(a_value_that_was_taken_away_is_put_again)
{
	join_fake("worker:7070", 1);
	UNTIL(fake.puts == 1);
	fake_drop("tarn/prod/worker:7070");
	UNTIL(fake.puts == 2);
	FAKE(ck_assert_uint_eq(fake.grants, 1));
}
END_TEST

START_TEST(joining_outlives_an_etcd_that_fails)
{
	FAKE(fake.lease_mode = faults[_i].mode);
	join_fake("worker:7070", 1);
	UNTIL(atomic_load(&fake.server.requests) > 0);
	ck_assert(!members_joined(j));
	FAKE(fake.lease_mode = FAKE_RIGHT);
	UNTIL(fake.puts == 1);
	UNTIL(fake.keeps >= 1);
	ck_assert(members_joined(j));
	ck_assert_ptr_nonnull(strstr(logged(), "is in the list of workers"));
}
END_TEST

START_TEST(leaving_a_silent_etcd_ends)
{
	join_fake("worker:7070", 1);
	UNTIL(fake.puts == 1);
	FAKE(fake.lease_mode = FAKE_SILENT);
	members_leave(j);
	j = NULL;
}
END_TEST

START_TEST(a_list_and_dns_are_joined_by_nothing)
{
	struct members_conf conf = conf_of("a:1+b:1");

	ck_assert_int_eq(members_join(&conf, "a:1", 1, &j, why), 0);
	ck_assert_ptr_null(j);
	ck_assert(members_joined(j));
	conf.workers = "dns://w:1";
	ck_assert_int_eq(members_join(&conf, "a:1", 1, &j, why), 0);
	ck_assert_ptr_null(j);
	conf.workers = "dns://w";
	ck_assert_int_eq(members_join(&conf, "a:1", 1, &j, why), -EINVAL);
	conf.workers = workers;
	ck_assert_int_eq(members_join(&conf, "a", 1, &j, why), -EINVAL);
	ck_assert_int_eq(members_join(&conf, "a:1", 0, &j, why), -EINVAL);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("etcd");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, what_is_no_etcd_is_refused, 0,
			    ARRAY_SIZE(refused));
	tcase_add_test(t, what_is_one_is_not);
	tcase_add_test(t, the_values_below_the_prefix_are_the_workers);
	tcase_add_test(t, a_watch_tells_who_comes_and_goes);
	tcase_add_test(t, many_that_come_at_once_are_few_epochs);
	tcase_add_test(t, the_first_worker_is_heard_of_by_the_watch);
	tcase_add_test(t, an_empty_list_is_believed_the_third_time);
	tcase_add_test(t, a_list_that_is_empty_for_a_moment_changes_nothing);
	tcase_add_loop_test(t, no_answer_and_garbage_keep_who_was_there, 0,
			    ARRAY_SIZE(faults));
	tcase_add_test(t, a_failure_is_said_once);
	tcase_add_loop_test(t, a_watch_that_is_cut_or_garbage_is_begun_anew, 0,
			    2);
	tcase_add_test(t,
		       where_no_watch_holds_the_list_is_read_again_and_again);
	tcase_add_test(t, a_watch_that_is_silent_is_not_believed_for_long);
	tcase_add_test(t, a_compacted_revision_makes_it_read_the_list);
	tcase_add_test(t, an_older_state_is_believed_the_third_time);
	tcase_add_test(t, another_cluster_counts_from_where_it_is);
	tcase_add_loop_test(t, a_value_of_no_use_is_left_out_and_said_once, 0,
			    ARRAY_SIZE(odd));
	tcase_add_test(t, the_next_endpoint_is_asked_when_one_is_gone);
	tcase_add_test(t, closing_does_not_wait_for_a_silent_etcd);
	tcase_add_loop_test(t,
			    a_user_gets_a_token_and_a_new_one_when_it_ran_out,
			    0, ARRAY_SIZE(users));
	tcase_add_test(t, a_wrong_password_is_a_failure_and_never_shown);
	tcase_add_test(t, a_password_that_is_missing_or_shown_is_refused);
	tcase_add_test(t, a_worker_joins_stays_and_leaves);
	tcase_add_test(t, a_lease_that_was_lost_begins_anew);
	tcase_add_test(t, a_value_that_was_taken_away_is_put_again);
	tcase_add_loop_test(t, joining_outlives_an_etcd_that_fails, 0,
			    ARRAY_SIZE(faults));
	tcase_add_test(t, leaving_a_silent_etcd_ends);
	tcase_add_test(t, a_list_and_dns_are_joined_by_nothing);
	return RUN_CASES(t);
}
