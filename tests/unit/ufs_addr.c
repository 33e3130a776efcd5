/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_addr.c - which addresses stand in for a name that is not resolved
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "ufs/http_addr.h"

static const struct {
	const char *url, *name, *port;
} urls[] = {
	{ "https://s3.eu-west-1.amazonaws.com/b/k",
	  "s3.eu-west-1.amazonaws.com", "443" },
	{ "http://Store.test:9000/b?x=1:2", "Store.test", "9000" },
	{ "http://store.test?list-type=2", "store.test", "80" },
	{ "http://127.0.0.1:9000/b", "", "9000" },
	{ "http://[::1]:9000/b", "", "80" },
	{ "nonsense", "", "80" },
};

START_TEST(the_host_of_a_URL_is_its_name_and_port)
{
	struct addr_host h;

	addr_host_of(urls[_i].url, &h);
	ck_assert_str_eq(h.name, urls[_i].name);
	if (urls[_i].name[0] != '\0')
		ck_assert_str_eq(h.port, urls[_i].port);
}
END_TEST

static struct addr_book book;
static char line[ADDR_LINE_MAX];

static struct addr_host host(unsigned i)
{
	struct addr_host h = { .port = "80" };

	snprintf(h.name, sizeof(h.name), "host%u", i);
	return h;
}

START_TEST(A18_known_addresses_are_used_only_while_names_fail)
{
	struct addr_host h = host(0), unknown = host(1);

	addr_init(&book);
	addr_learn(&book, &h, "10.0.0.1", true);
	addr_learn(&book, &h, "fd00::1", true);
	ck_assert(!addr_line(&book, &h, line));
	ck_assert(addr_unresolved(&book, &h));
	ck_assert(addr_line(&book, &h, line));
	ck_assert_str_eq(line, "+host0:80:fd00::1,10.0.0.1");
	ck_assert(!addr_line(&book, &unknown, line));
	ck_assert(!addr_unresolved(&book, &unknown));
	/* The one that answered last comes first. */
	addr_learn(&book, &h, "10.0.0.1", false);
	ck_assert(addr_line(&book, &h, line));
	ck_assert_str_eq(line, "+host0:80:10.0.0.1,fd00::1");
	/* No one answers there: the name server is asked. */
	addr_unreachable(&book);
	ck_assert(!addr_line(&book, &h, line));
	/* And so it is when the name was resolved. */
	addr_unresolved(&book, &h);
	addr_learn(&book, &h, "10.0.0.2", true);
	ck_assert(!addr_line(&book, &h, line));
	addr_fini(&book);
}
END_TEST

START_TEST(the_latest_hosts_and_addresses_are_kept)
{
	struct addr_host h;
	char address[16];

	addr_init(&book);
	for (unsigned i = 0; i < ADDR_HOSTS + 2; i++) {
		h = host(i);
		for (unsigned j = 0; j < ADDR_EACH + 2; j++) {
			snprintf(address, sizeof(address), "10.0.%u.%u", i, j);
			addr_learn(&book, &h, address, true);
		}
	}
	ck_assert(addr_unresolved(&book, &h));
	ck_assert(addr_line(&book, &h, line));
	ck_assert_ptr_nonnull(strstr(line, ":10.0.5.9,10.0.5.8,"));
	ck_assert_ptr_null(strstr(line, ",10.0.5.1"));
	ck_assert_ptr_nonnull(strstr(line, ",10.0.5.2"));
	h = host(0);
	ck_assert(!addr_unresolved(&book, &h));
	h = host(2);
	ck_assert(addr_unresolved(&book, &h));
	addr_fini(&book);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ufs_addr");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, the_host_of_a_URL_is_its_name_and_port, 0,
			    ARRAY_SIZE(urls));
	tcase_add_test(t, A18_known_addresses_are_used_only_while_names_fail);
	tcase_add_test(t, the_latest_hosts_and_addresses_are_kept);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
