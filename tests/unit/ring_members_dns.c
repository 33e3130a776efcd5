/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_members_dns.c - workers that a name server knows, and its bad days
 */
#include "tests/unit/dns_server.h"

#include "base/log.h"
#include "tests/unit/members_rig.h"
#include "tests/unit/run.h"

static struct dns_server server;
static struct members *m;
static char why[256];
static atomic_uint calls;

static void on_change(void *arg, uint64_t epoch)
{
	ck_assert_ptr_eq(arg, &server);
	atomic_store(&calls, (unsigned)epoch);
}

static void open_with(const char *workers, int64_t previous, int64_t settled)
{
	struct members_conf conf = {
		.workers = workers,
		.dns_servers = server.address,
		.poll = RIG_POLL,
		.previous = previous,
		.settled = settled,
		.changed = on_change,
		.arg = &server,
	};

	ck_assert_int_eq(members_open(&conf, &m, why), 0);
}

static void open_a(void)
{
	open_with("dns://workers.example:7070", 0, 0);
}

static void setup(void)
{
	log_open("/dev/null");
	dns_start(&server);
	dns_say(&server, "", "", "");
	atomic_store(&calls, 0);
	m = NULL;
}

static void teardown(void)
{
	members_close(m);
	dns_stop(&server);
}

static const struct {
	const char *text, *words;
} refused[] = {
	{ "dns://", "has no port" },
	{ "dns://name", "has no port" },
	{ "dns://name:", "the port is not from 1 to 65535" },
	{ "dns://name:70000", "the port is not from 1 to 65535" },
	{ "dns://:7070", "the host is missing" },
	{ "dns://na me:7070", "letters, digits" },
	{ "dns://10.0.0.1:7070", "is an address, not a name" },
	{ "dns://[::1]:7070", "an address stands in workers= itself" },
	{ "dns://_tarn._tcp.name:7070", "have ports of their own" },
	{ "dns://a/b:7070", "letters, digits" },
	{ "dns://a..b:7070", "empty label" },
};

START_TEST(what_no_name_server_can_be_asked_is_refused)
{
	ck_assert_int_eq(members_check(refused[_i].text, why), -EINVAL);
	ck_assert_msg(strstr(why, refused[_i].words) != NULL, "%s: %s",
		      refused[_i].text, why);
}
END_TEST

START_TEST(what_it_can_be_asked_is_not)
{
	ck_assert_int_eq(members_check("dns://w.ns.svc:7070", why), 0);
	ck_assert_int_eq(members_check("dns://w.ns.svc.:7070", why), 0);
	ck_assert_int_eq(members_check("dns://_tarn._tcp.w.ns.svc", why), 0);
}
END_TEST

START_TEST(each_address_is_a_worker)
{
	struct members_status s;

	dns_say(&server, "10.0.0.2 10.0.0.1 10.0.0.1", "2001:db8::1", NULL);
	open_a();
	ck_assert_str_eq(rig_epoch(m, 1),
			 "10.0.0.1:7070 10.0.0.2:7070 [2001:db8::1]:7070");
	rig_asked(m, 2); /* the call comes behind the epoch */
	ck_assert_uint_eq(atomic_load(&calls), 1);
	members_status(m, &s);
	ck_assert_str_eq(s.kind, "dns");
	ck_assert(!s.failing);
}
END_TEST

START_TEST(who_comes_and_goes_makes_a_new_epoch)
{
	struct members_view v;

	dns_say(&server, "10.0.0.1 10.0.0.2", NULL, NULL);
	open_a();
	rig_epoch(m, 1);
	rig_asked(m, 3);
	ck_assert_uint_eq(members_epoch(m), 1);
	dns_say(&server, "10.0.0.1 10.0.0.3", NULL, NULL);
	ck_assert_str_eq(rig_epoch(m, 2), "10.0.0.1:7070 10.0.0.3:7070");
	members_ring(m, &v);
	ck_assert_str_eq(rig_names(v.before), "10.0.0.1:7070 10.0.0.2:7070");
	ck_assert_int_ne(v.changed, 0);
	members_view_fini(&v);
}
END_TEST

/* Scaled up step by step: the data is with those who were there at first. */
START_TEST(the_previous_ring_is_the_one_that_had_stood)
{
	struct members_view v;

	dns_say(&server, "10.0.0.1", NULL, NULL);
	open_a();
	rig_epoch(m, 1);
	dns_say(&server, "10.0.0.1 10.0.0.2", NULL, NULL);
	rig_epoch(m, 2);
	dns_say(&server, "10.0.0.1 10.0.0.2 10.0.0.3", NULL, NULL);
	rig_epoch(m, 3);
	members_ring(m, &v);
	ck_assert_str_eq(rig_names(v.before), "10.0.0.1:7070");
	members_view_fini(&v);
	/* It is again what it was: those who stood in have something. */
	dns_say(&server, "10.0.0.1", NULL, NULL);
	rig_epoch(m, 4);
	members_ring(m, &v);
	ck_assert_str_eq(rig_names(v.before),
			 "10.0.0.1:7070 10.0.0.2:7070 10.0.0.3:7070");
	members_view_fini(&v);
}
END_TEST

START_TEST(a_ring_that_stood_long_is_the_previous_one)
{
	struct members_view v;

	dns_say(&server, "10.0.0.1", NULL, NULL);
	open_with("dns://workers.example:7070", 0, 1);
	rig_epoch(m, 1);
	dns_say(&server, "10.0.0.2", NULL, NULL);
	rig_epoch(m, 2);
	dns_say(&server, "10.0.0.3", NULL, NULL);
	rig_epoch(m, 3);
	members_ring(m, &v);
	ck_assert_str_eq(rig_names(v.before), "10.0.0.2:7070");
	members_view_fini(&v);
}
END_TEST

START_TEST(a_previous_ring_is_forgotten_after_its_time)
{
	struct members_view v;

	dns_say(&server, "10.0.0.1", NULL, NULL);
	open_with("dns://workers.example:7070", 1, 0);
	rig_epoch(m, 1);
	dns_say(&server, "10.0.0.2", NULL, NULL);
	rig_epoch(m, 2);
	members_ring(m, &v);
	ck_assert_ptr_null(v.before);
	members_view_fini(&v);
}
END_TEST

START_TEST(an_empty_answer_is_believed_the_third_time)
{
	struct members_view v;

	dns_say(&server, "10.0.0.1 10.0.0.2", NULL, NULL);
	open_a();
	rig_epoch(m, 1);
	dns_say(&server, _i == 0 ? "" : DNS_NXDOMAIN,
		_i == 0 ? "" : DNS_NXDOMAIN, NULL);
	rig_fails(m, "it names no workers");
	ck_assert_str_eq(rig_epoch(m, 2), "-");
	members_ring(m, &v);
	ck_assert_str_eq(rig_names(v.before), "10.0.0.1:7070 10.0.0.2:7070");
	members_view_fini(&v);
	rig_asked(m, 4);
	ck_assert_uint_eq(members_epoch(m), 2);
	dns_say(&server, "10.0.0.1 10.0.0.2", "", NULL);
	rig_epoch(m, 3);
	rig_well(m);
	/* Nobody else had anything meanwhile. */
	members_ring(m, &v);
	ck_assert_ptr_null(v.before);
	members_view_fini(&v);
}
END_TEST

static const struct {
	const char *answer, *words;
} faults[] = {
	{ DNS_SERVFAIL, "all of them fail" },
	{ DNS_GARBAGE, "malformed" },
	{ DNS_NOISE, "no name server answered in time" },
	{ DNS_SILENT, "no name server answered in time" },
};

START_TEST(no_answer_and_garbage_keep_who_was_there)
{
	struct members_status s;

	dns_say(&server, "10.0.0.1 10.0.0.2", NULL, NULL);
	open_a();
	rig_epoch(m, 1);
	dns_say(&server, faults[_i].answer, faults[_i].answer, NULL);
	rig_fails(m, faults[_i].words);
	if (strcmp(faults[_i].answer, DNS_SERVFAIL) == 0)
		rig_asked(m, 4);
	members_status(m, &s);
	ck_assert(s.failing);
	ck_assert_uint_eq(members_epoch(m), 1);
	dns_say(&server, "10.0.0.1 10.0.0.2 10.0.0.3", "", NULL);
	rig_epoch(m, 2);
	rig_well(m);
}
END_TEST

START_TEST(a_name_server_that_is_not_there_is_waited_for)
{
	char address[32];

	dns_stop(&server);
	snprintf(address, sizeof(address), "%s", server.address);
	open_a();
	rig_fails(m, "");
	ck_assert_uint_eq(members_epoch(m), 0);
	members_close(m);
	m = NULL;
	dns_start(&server);
}
END_TEST

START_TEST(one_kind_of_address_that_fails_stays_as_it_was)
{
	dns_say(&server, "10.0.0.1", "2001:db8::1", NULL);
	open_a();
	rig_epoch(m, 1);
	dns_say(&server, "10.0.0.2", DNS_SERVFAIL, NULL);
	ck_assert_str_eq(rig_epoch(m, 2), "10.0.0.2:7070 [2001:db8::1]:7070");
	rig_well(m);
	/* Nor does a failure make "no records" of the other kind an answer. */
	dns_say(&server, "", NULL, NULL);
	rig_fails(m, "workers.example");
	rig_asked(m, 4);
	ck_assert_uint_eq(members_epoch(m), 2);
}
END_TEST

START_TEST(a_server_that_does_not_answer_for_one_kind_is_enough)
{
	dns_say(&server, "10.0.0.1", DNS_SERVFAIL, NULL);
	open_a();
	ck_assert_str_eq(rig_epoch(m, 1), "10.0.0.1:7070");
	rig_well(m);
}
END_TEST

/* More than fits into a datagram comes by TCP. */
START_TEST(four_hundred_workers_come_by_tcp)
{
	char all[8192] = DNS_CUT;
	size_t n = strlen(all);
	struct members_view v;

	for (int i = 0; i < 400; i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "10.0.%d.%d ",
				      i / 200, i % 200);
	dns_say(&server, all, NULL, NULL);
	open_a();
	rig_epoch(m, 1);
	members_ring(m, &v);
	ck_assert_uint_eq(ring_workers(v.now), 400);
	members_view_fini(&v);
	pthread_mutex_lock(&server.lock);
	ck_assert_uint_ge(server.by_tcp, 1);
	pthread_mutex_unlock(&server.lock);
}
END_TEST

static const struct {
	const char *records, *names;
} services[] = {
	/* As CoreDNS writes three pods: equal weights are 1. */
	{ "0 33 7070 W-0.w.ns.svc;0 33 7070 w-1.w.ns.svc;"
	  "0 33 7071 w-2.w.ns.svc",
	  "w-0.w.ns.svc:7070 w-1.w.ns.svc:7070 w-2.w.ns.svc:7071" },
	{ "0 1 7070 a;0 3 7070 b;0 0 7070 c", "a:7070 b:7070=3 c:7070" },
	/* A ring has no spares. */
	{ "10 5 7070 spare;5 5 7070 a;5 10 7070 b", "a:7070=5 b:7070=10" },
	/* A port that nobody can connect to is left out. */
	{ "0 1 7070 a;0 1 0 b", "a:7070" },
	{ "0 1 7070 a;0 1 7070 .", "a:7070" },
};

START_TEST(services_have_ports_and_weights)
{
	dns_say(&server, NULL, NULL, services[_i].records);
	open_with("dns://_tarn._tcp.w.ns.svc", 0, 0);
	ck_assert_str_eq(rig_epoch(m, 1), services[_i].names);
	rig_well(m);
}
END_TEST

START_TEST(a_service_that_goes_is_kept_like_any_other)
{
	dns_say(&server, NULL, NULL, "0 1 7070 a");
	open_with("dns://_tarn._tcp.w.ns.svc", 0, 0);
	rig_epoch(m, 1);
	dns_say(&server, NULL, NULL, DNS_SERVFAIL);
	rig_fails(m, "_tarn._tcp.w.ns.svc");
	rig_asked(m, 4);
	ck_assert_uint_eq(members_epoch(m), 1);
	dns_say(&server, NULL, NULL, "0 1 0 a");
	rig_fails(m, "no entry can be used: a has port 0");
	ck_assert_uint_eq(members_epoch(m), 1);
	dns_say(&server, NULL, NULL, DNS_NXDOMAIN);
	ck_assert_str_eq(rig_epoch(m, 2), "-");
}
END_TEST

START_TEST(closing_does_not_wait_for_a_silent_server)
{
	dns_say(&server, DNS_SILENT, DNS_SILENT, NULL);
	open_a();
	/* In the midst of a question, as a rule; the fixture closes. */
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("dns");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, what_no_name_server_can_be_asked_is_refused, 0,
			    ARRAY_SIZE(refused));
	tcase_add_test(t, what_it_can_be_asked_is_not);
	tcase_add_test(t, each_address_is_a_worker);
	tcase_add_test(t, who_comes_and_goes_makes_a_new_epoch);
	tcase_add_test(t, the_previous_ring_is_the_one_that_had_stood);
	tcase_add_test(t, a_ring_that_stood_long_is_the_previous_one);
	tcase_add_test(t, a_previous_ring_is_forgotten_after_its_time);
	tcase_add_loop_test(t, an_empty_answer_is_believed_the_third_time, 0,
			    2);
	tcase_add_loop_test(t, no_answer_and_garbage_keep_who_was_there, 0,
			    ARRAY_SIZE(faults));
	tcase_add_test(t, a_name_server_that_is_not_there_is_waited_for);
	tcase_add_test(t, one_kind_of_address_that_fails_stays_as_it_was);
	tcase_add_test(t, a_server_that_does_not_answer_for_one_kind_is_enough);
	tcase_add_test(t, four_hundred_workers_come_by_tcp);
	tcase_add_loop_test(t, services_have_ports_and_weights, 0,
			    ARRAY_SIZE(services));
	tcase_add_test(t, a_service_that_goes_is_kept_like_any_other);
	tcase_add_test(t, closing_does_not_wait_for_a_silent_server);
	return RUN_CASES(t);
}
