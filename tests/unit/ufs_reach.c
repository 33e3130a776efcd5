/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_reach.c - the way to a server, step by step
 */
#include "tests/unit/ufs_server.h"

#include "base/clock.h"
#include "tests/unit/run.h"
#include "ufs/ufs.h"

static struct server server;
static struct ufs_reach reach;

/* What the server answers to everything. */
static const char *says;

static enum server_then script(struct server *s, int fd, unsigned nth,
			       const char *request)
{
	(void)s, (void)nth;
	ck_assert_msg(strncmp(request, "HEAD /", 6) == 0, "%s", request);
	/* It is asked without keys. */
	ck_assert_ptr_null(strcasestr(request, "authorization"));
	server_say(fd, "%s", says);
	return SERVER_CLOSE;
}

static void ask_times(const char *endpoint, int times)
{
	struct ufs_conf conf = {
		.url = "s3://bucket/prefix",
		.endpoint = endpoint,
		.anonymous = true,
		.path_style = UFS_PATH_ON,
	};
	char why[256] = "";
	struct ufs *u;

	ck_assert_msg(ufs_open(&conf, &u, why) == 0, "%s", why);
	for (int i = 0; i < times; i++)
		ck_assert_int_eq(u->ops->reach(u, &reach), 0);
	ufs_close(u);
}

static void ask_once(const char *endpoint)
{
	ask_times(endpoint, 1);
}

/* The handle goes back to the pool as good as new. */
static void ask(const char *endpoint)
{
	ask_times(endpoint, 2);
}

/* scheme: before ://127.0.0.1:PORT */
static void ask_server(const char *scheme, const char *answer)
{
	char endpoint[64];

	says = answer;
	server_start(&server, script, NULL);
	snprintf(endpoint, sizeof(endpoint), "%s://127.0.0.1:%d", scheme,
		 server.port);
	ask(endpoint);
	server_stop(&server);
}

START_TEST(a_server_that_answers_is_reached_whatever_it_says)
{
	char date[64], answer[256], address[64];
	time_t t = time(NULL) + 3600;
	struct tm tm;

	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT",
		 gmtime_r(&t, &tm));
	snprintf(answer, sizeof(answer),
		 "HTTP/1.1 403 Forbidden\r\ndate: %s\r\n"
		 "Content-Length: 0\r\n\r\n",
		 date);
	ask_server("http", answer);
	ck_assert_int_eq(reach.failed, UFS_STEP_DONE);
	ck_assert_str_eq(reach.words, "");
	ck_assert(!reach.tls);
	snprintf(address, sizeof(address), "127.0.0.1:%d", server.port);
	ck_assert_str_eq(reach.address, address);
	ck_assert(reach.has_date);
	ck_assert_int_ge(reach.ahead, 3590 * NSEC_PER_SEC);
	ck_assert_int_le(reach.ahead, 3601 * NSEC_PER_SEC);
	ck_assert_int_gt(reach.took[UFS_STEP_CONNECT], 0);
	ck_assert_int_eq(reach.took[UFS_STEP_TLS], 0);
	ck_assert_int_gt(reach.took[UFS_STEP_ANSWER], 0);
}
END_TEST

START_TEST(an_answer_without_a_right_date_says_no_time)
{
	ask_server("http", "HTTP/1.1 200 OK\r\nDate: yesterday, about four\r\n"
			   "Content-Length: 0\r\n\r\n");
	ck_assert_int_eq(reach.failed, UFS_STEP_DONE);
	ck_assert(!reach.has_date);
}
END_TEST

START_TEST(what_is_not_http_fails_at_the_answer)
{
	ask_server("http", "SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n");
	ck_assert_int_eq(reach.failed, UFS_STEP_ANSWER);
	ck_assert_str_ne(reach.words, "");
	ck_assert_str_ne(reach.address, "");
}
END_TEST

static enum server_then hang_up(struct server *s, int fd, unsigned nth,
				const char *request)
{
	(void)s, (void)fd, (void)nth, (void)request;
	return SERVER_CLOSE;
}

/* It speaks first, as no TLS server does, and hangs up. */
static void *greet(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);

	server_say(fd, "220 ready\r\n");
	close(fd);
	return NULL;
}

START_TEST(a_server_without_tls_fails_at_tls)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char endpoint[64];
	pthread_t thread;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&a, &n), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, greet, &listener), 0);
	snprintf(endpoint, sizeof(endpoint), "https://127.0.0.1:%d",
		 ntohs(a.sin_port));
	ask_once(endpoint);
	pthread_join(thread, NULL);
	close(listener);
	ck_assert(reach.tls);
	ck_assert_int_eq(reach.failed, UFS_STEP_TLS);
	ck_assert_str_ne(reach.address, "");
	ck_assert_str_ne(reach.words, "");
}
END_TEST

START_TEST(a_closed_port_fails_at_the_connect)
{
	char endpoint[64];

	server_start(&server, hang_up, NULL);
	snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%d",
		 server.port);
	server_stop(&server);
	ask(endpoint);
	ck_assert_int_eq(reach.failed, UFS_STEP_CONNECT);
	ck_assert_str_eq(reach.address, "");
	ck_assert_str_ne(reach.words, "");
}
END_TEST

START_TEST(a_name_that_is_none_fails_at_the_name)
{
	/* Too long for a label of DNS: no name server is asked. */
	ask("http://"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaa.invalid:9000");
	ck_assert_int_eq(reach.failed, UFS_STEP_NAME);
	ck_assert_str_ne(reach.words, "");
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("steps");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, a_server_that_answers_is_reached_whatever_it_says);
	tcase_add_test(c, an_answer_without_a_right_date_says_no_time);
	tcase_add_test(c, what_is_not_http_fails_at_the_answer);
	tcase_add_test(c, a_server_without_tls_fails_at_tls);
	tcase_add_test(c, a_closed_port_fails_at_the_connect);
	tcase_add_test(c, a_name_that_is_none_fails_at_the_name);
	return RUN_CASES(c);
}
