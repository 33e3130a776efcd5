/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_members.c - `workers=`, and the list that stands in it
 */
#include "ring/members.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "ring/members_impl.h"
#include "tests/unit/run.h"

static char why[256];

static void setup(void)
{
	log_open("/dev/null");
	why[0] = '\0';
}

static const struct {
	const char *text, *name;
} named[] = {
	{ "10.0.0.1:7070", "10.0.0.1:7070" },
	{ "Worker-1.Example:7070", "worker-1.example:7070" },
	{ "a_b:1", "a_b:1" },
	{ "h:65535", "h:65535" },
	{ "h:00080", "h:80" },
	{ "[::1]:7070", "[::1]:7070" },
	{ "[2001:DB8:0:0:0:0:0:1]:80", "[2001:db8::1]:80" },
};

START_TEST(a_worker_has_one_name)
{
	char name[MEMBERS_NAME_MAX];

	ck_assert_int_eq(member_name(str_of(named[_i].text), name, why), 0);
	ck_assert_str_eq(name, named[_i].name);
}
END_TEST

static const struct {
	const char *text, *words;
} refused[] = {
	{ "", "a worker's name is empty" },
	{ "host", "host has no port" },
	{ "host:", "the port is not from 1 to 65535" },
	{ "host:0", "the port is not from 1 to 65535" },
	{ "host:65536", "the port is not from 1 to 65535" },
	{ "host:+80", "the port is not from 1 to 65535" },
	{ "host:80x", "the port is not from 1 to 65535" },
	{ ":80", "the host is missing" },
	{ "ho st:80", "letters, digits" },
	{ "a..b:80", "empty label" },
	{ ".a:80", "empty label" },
	{ "a.:80", "does not end with a dot" },
	{ "300.0.0.1:80", "no IPv4 address" },
	{ "1.2.3:80", "no IPv4 address" },
	{ "::1:80", "stands in brackets" },
	{ "[::g]:80", "no IPv6 address" },
	{ "[host]:80", "brackets are for an IPv6 address" },
	{ "a:1+", "a worker's name is empty" },
	{ "a:1++b:1", "a worker's name is empty" },
	{ "a:1,b:1", "joined by '+'" },
	{ "a:1+A:1", "a:1 is in the list twice" },
	{ "http://a:1", "begins with dns:// or etcd://" },
};

START_TEST(what_is_no_list_is_refused_with_a_sentence)
{
	struct members_conf conf = { .workers = refused[_i].text };
	struct members *m = NULL;

	ck_assert_int_eq(members_check(refused[_i].text, why), -EINVAL);
	ck_assert_msg(strstr(why, refused[_i].words) != NULL, "%s: %s",
		      refused[_i].text, why);
	ck_assert_int_eq(members_open(&conf, &m, why), -EINVAL);
	ck_assert_ptr_null(m);
}
END_TEST

START_TEST(a_list_is_there_at_once)
{
	struct members_conf conf = { .workers = "b:2+a:1+[::1]:3" };
	struct members_status status;
	struct members_view v;
	struct members *m;

	ck_assert_int_eq(members_check(conf.workers, why), 0);
	ck_assert_int_eq(members_open(&conf, &m, why), 0);
	ck_assert_int_eq(members_wait(m, 0, clock_ns(), NULL), 0);
	ck_assert_uint_eq(members_epoch(m), 1);
	members_ring(m, &v);
	ck_assert_uint_eq(v.epoch, 1);
	ck_assert_ptr_null(v.before);
	ck_assert_uint_eq(ring_workers(v.now), 3);
	ck_assert_str_eq(ring_name(v.now, 1), "a:1");
	ck_assert_uint_eq(ring_weight(v.now, 1), 1);
	members_status(m, &status);
	ck_assert_str_eq(status.kind, "list");
	ck_assert(!status.failing);
	members_close(m);
	/* A view outlives them. */
	ck_assert_str_eq(ring_name(v.now, 2), "b:2");
	members_view_fini(&v);
	members_close(NULL);
}
END_TEST

START_TEST(a_wait_that_nothing_ends_is_ended)
{
	struct members_conf conf = { .workers = "a:1" };
	struct cancel cancel = { false };
	struct members *m;

	ck_assert_int_eq(members_open(&conf, &m, why), 0);
	ck_assert_int_eq(members_wait(m, 1, clock_ns(), NULL), -ETIMEDOUT);
	cancel_set(&cancel);
	ck_assert_int_eq(members_wait(m, 1, INT64_MAX, &cancel), -ECANCELED);
	members_close(m);
}
END_TEST

START_TEST(of_two_with_one_name_the_heavier_stays)
{
	struct member_list l = { 0 };

	list_add(&l, "b:1", 1);
	list_add(&l, "a:1", 1);
	list_add(&l, "a:1", 3);
	list_add(&l, "a:1", 2);
	list_unique(&l);
	ck_assert(!l.failed);
	ck_assert_uint_eq(l.n, 2);
	ck_assert_str_eq(l.at[0].name, "a:1");
	ck_assert_uint_eq(l.at[0].weight, 3);
	list_fini(&l);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("members");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_loop_test(t, a_worker_has_one_name, 0, ARRAY_SIZE(named));
	tcase_add_loop_test(t, what_is_no_list_is_refused_with_a_sentence, 0,
			    ARRAY_SIZE(refused));
	tcase_add_test(t, a_list_is_there_at_once);
	tcase_add_test(t, a_wait_that_nothing_ends_is_ended);
	tcase_add_test(t, of_two_with_one_name_the_heavier_stays);
	return RUN_CASES(t);
}
