/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_control.c - the control interface and its client
 */
#include "fuse/control_jobs.h"
#include "tests/unit/control_rig.h"

START_TEST(status_has_every_member_that_the_interface_promises)
{
	static const char *const members[] = {
		"dir",    "source", "pid",     "uptime_s", "consistency",
		"reads",  "store",  "saved",   "ssd",      "ring",
		"memory", "inodes", "commits", "options",  "passthrough",
		"hot",    "jobs",
	};
	json_t *j, *m, *d;

	ck_assert_int_eq(call("/-/status", NULL, &j), 0);
	ck_assert_str_eq(text(j, "version"), TARN_VERSION);
	m = json_array_get(json_object_get(j, "mounts"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		ck_assert_msg(json_object_get(m, members[i]) != NULL, "%s",
			      members[i]);
	ck_assert_int_eq(number(m, "pid"), getpid());
	ck_assert(json_is_true(json_object_get(m, "passthrough")));
	number(json_object_get(m, "store"), "bytes_in");
	number(json_object_get(m, "saved"), "list");
	ck_assert(
	    json_is_real(json_object_get(json_object_get(m, "saved"), "usd")));
	ck_assert_int_gt(number(json_object_get(m, "memory"), "used"), 0);
	d = json_array_get(json_object_get(m, "ssd"), 0);
	ck_assert_str_eq(text(d, "dir"), "/cache\\xff");
	ck_assert_str_eq(text(d, "state"), "ok");
	ck_assert_int_eq(number(json_object_get(d, "scrub"), "files"), 9);
	ck_assert_int_eq(number(json_object_get(d, "scrub"), "ended"), 11);
	d = json_array_get(json_object_get(m, "hot"), 0);
	ck_assert_str_eq(text(d, "key"), "a");
	ck_assert_int_eq(number(d, "bytes"), 100);
	d = json_array_get(json_object_get(m, "hot"), 1);
	ck_assert_str_eq(text(d, "key"), "b\\xff");
	ck_assert_int_eq(number(d, "opens"), 1);
	ck_assert_uint_eq(json_array_size(json_object_get(m, "jobs")), 0);
	d = json_object_get(json_object_get(m, "options"), "consistency");
	ck_assert_str_eq(text(d, "value"), "ttl:60s");
	ck_assert_str_eq(text(d, "from"), "default");
	json_decref(j);
}
END_TEST

START_TEST(status_lists_the_jobs_without_names_of_files)
{
	json_t *load = run_job("/-/load", json_pack("{s:[s]}", "paths", ""));
	json_t *gone = run_job("/-/free", json_pack("{s:[s]}", "paths", "a"));
	json_t *j, *jobs, *d;

	ck_assert_int_eq(call("/-/status", NULL, &j), 0);
	jobs = json_object_get(json_array_get(json_object_get(j, "mounts"), 0),
			       "jobs");
	ck_assert_uint_eq(json_array_size(jobs), 2);
	d = json_array_get(jobs, 0);
	ck_assert_str_eq(text(d, "id"), text(gone, "id"));
	ck_assert_str_eq(text(d, "kind"), "free");
	d = json_array_get(jobs, 1);
	ck_assert_str_eq(text(d, "id"), text(load, "id"));
	ck_assert_str_eq(text(d, "state"), text(load, "state"));
	ck_assert_int_eq(number(d, "files"), number(load, "files"));
	ck_assert_int_eq(number(d, "files_done"), number(load, "files_done"));
	ck_assert_int_eq(number(d, "bytes_done"), number(load, "bytes_done"));
	ck_assert_int_eq(number(d, "failed"), number(load, "failed"));
	ck_assert_ptr_null(json_object_get(d, "errors"));
	json_decref(load);
	json_decref(gone);
	json_decref(j);
}
END_TEST

START_TEST(a_scrub_is_begun_where_there_is_something_to_scrub)
{
	json_t *j;

	scrubs = 0;
	ck_assert_int_eq(call("/-/scrub", json_object(), &j), 0);
	json_decref(j);
	ck_assert_uint_eq(scrubs, 1);
	disks = 0;
	ck_assert_int_lt(call("/-/scrub", json_object(), &j), 0);
	ck_assert_uint_eq(scrubs, 1);
}
END_TEST

START_TEST(invalidate_names_the_path_and_reports_an_absent_one)
{
	json_t *j;

	ck_assert_int_eq(call("/-/invalidate",
			      json_pack("{s:[s, s]}", "paths", "a", "a/b"), &j),
			 0);
	ck_assert_int_eq(number(j, "invalidated"), 2);
	json_decref(j);
	ck_assert_str_eq(invalidated, "a/b");
	ck_assert_int_eq(
	    call("/-/invalidate", json_pack("{s:[s]}", "paths", "missing"), &j),
	    -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "/missing"));
}
END_TEST

static const struct {
	const char *path;
	const char *body; /* NULL: GET */
} refused[] = {
	{ "/", NULL },
	{ "/-/nothing", NULL },
	{ "/-/load", NULL },
	{ "/-/status", "{}" },
	{ "/-/load/0", NULL },
	{ "/-/load/99", NULL },
	{ "/-/load/-1", NULL },
	{ "/-/load/99999999999999999999", NULL },
	{ "/-/load/1x", NULL },
	{ "/-/load", "{}" },
	{ "/-/load", "[]" },
	{ "/-/load", "{\"paths\": \"a\"}" },
	{ "/-/load", "{\"paths\": [1]}" },
	{ "/-/load", "{\"paths\": [\"a\"], \"to\": \"ring\"}" },
	{ "/-/load", "{\"paths\": [\"a\"], \"to\": 7}" },
	{ "/-/free", "{\"keys\": {}}" },
	{ "/-/invalidate", "{\"paths\": []}" },
};

START_TEST(a_wrong_request_gets_a_sentence_and_does_nothing)
{
	json_t *body = refused[_i].body != NULL
			   ? json_loads(refused[_i].body, 0, NULL)
			   : NULL;
	json_t *j;

	ck_assert_int_lt(call(refused[_i].path, body, &j), 0);
	ck_assert_msg(strlen(why) > 10, "%s", why);
	ck_assert_ptr_null(strstr(why, "not JSON"));
	ck_assert_uint_eq(atomic_load(&loads), 0);
}
END_TEST

/* The whole answer to a request written by hand. */
static size_t raw(const char *request, size_t n, char *buf, size_t size)
{
	struct client_mount *all = client_mounts(NULL), *m = mine(all);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval t = { .tv_sec = 20 };
	size_t got = 0;
	ssize_t r;

	ck_assert_ptr_nonnull(m);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", m->socket);
	client_mounts_free(all);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	while (n > 0) {
		r = send(fd, request, n, MSG_NOSIGNAL);
		if (r <= 0)
			break;
		request += r;
		n -= (size_t)r;
	}
	while ((r = recv(fd, buf + got, size - 1 - got, 0)) > 0)
		got += (size_t)r;
	buf[got] = '\0';
	return got;
}

static size_t raw_get(const char *path, char *buf, size_t size)
{
	char request[256];
	int n = snprintf(request, sizeof(request),
			 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			 "\r\n",
			 path);

	return raw(request, (size_t)n, buf, size);
}

static const struct {
	const char *source;
	struct str key;
	const char *url;
} urls[] = {
	{ "s3://b", { "", 0 }, "s3://b" },
	{ "s3://b", { "a/b", 3 }, "s3://b/a/b" },
	{ "s3://b/p", { "a", 1 }, "s3://b/p/a" },
	{ "file:///", { "a", 1 }, "file:///a" },
	{ "s3://b", { "a/\xc3\xa9", 4 }, "s3://b/a/\xc3\xa9" },
	/* What has no name in JSON: a tree that it is in. */
	{ "s3://b", { "a/b/\xff", 5 }, "s3://b/a/b" },
	{ "s3://b", { "a/\xff/b", 5 }, "s3://b/a" },
	{ "s3://b", { "a/b\0c", 5 }, "s3://b/a" },
	{ "s3://b", { "\xff", 1 }, "s3://b" },
	{ "file:///", { "\xff", 1 }, "file:///" },
};

START_TEST(workers_are_told_the_url_of_a_key_or_of_what_holds_it)
{
	json_t *j = control_url(urls[_i].source, urls[_i].key);

	ck_assert_str_eq(json_string_value(j), urls[_i].url);
	json_decref(j);
}
END_TEST

START_TEST(metrics_are_prometheus_text_with_every_number)
{
	char buf[32768];

	raw_get("/-/metrics", buf, sizeof(buf));
	ck_assert_int_eq(strncmp(buf, "HTTP/1.1 200", 12), 0);
	ck_assert_ptr_nonnull(
	    strstr(buf, "\n# TYPE tarn_store_get_total counter\n"));
	ck_assert_ptr_nonnull(strstr(buf, "\ntarn_inodes "));
	ck_assert_ptr_nonnull(strstr(buf, "source=\"s3://bucket/pre\""));
}
END_TEST

START_TEST(labels_of_metrics_are_utf8_whatever_the_source_is)
{
	char buf[32768];

	service.source = (char *)"file:///a\"b\\c\nd\xff\xc3\xa9";
	raw_get("/-/metrics", buf, sizeof(buf));
	ck_assert_ptr_nonnull(strstr(buf, "source=\"file:///a\\\"b\\\\c"));
	ck_assert_ptr_nonnull(strstr(buf, "d\\\\xff"));
	for (const char *p = buf; *p != '\0'; p++)
		ck_assert_int_ne(*p, '\xff');
}
END_TEST

START_TEST(the_page_is_one_document_that_may_ask_only_here)
{
	char *buf = malloc(131072), *body;

	raw_get("/-/", buf, 131072);
	ck_assert_int_eq(strncmp(buf, "HTTP/1.1 200", 12), 0);
	ck_assert_ptr_nonnull(
	    strstr(buf, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf, "\r\nContent-Security-Policy: default-src 'none'; "
			"script-src 'sha256-"));
	ck_assert_ptr_null(strstr(buf, "unsafe"));
	body = strstr(buf, "\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(body, "<style>/* SPDX"));
	ck_assert_ptr_nonnull(strstr(body, "<script>/* SPDX"));
	ck_assert_ptr_nonnull(strstr(body, "</html>\n"));
	/* But for the name of SVG's elements no address is in it. */
	ck_assert_ptr_null(strstr(body, "https://"));
	body = strstr(body, "http://");
	ck_assert_int_eq(strncmp(body, "http://www.w3.org/2000/svg\"", 27), 0);
	ck_assert_ptr_null(strstr(body + 1, "http://"));
	free(buf);
}
END_TEST

START_TEST(history_is_told)
{
	json_t *j;

	history_take(clock_ns());
	ck_assert_int_eq(call("/-/history", NULL, &j), 0);
	ck_assert_int_eq(number(j, "every_s"), 10);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "age_ms")), 2);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "ssd_bytes")), 2);
	json_decref(j);
}
END_TEST

START_TEST(health_asks_the_store_seldom_and_tells_its_words)
{
	char buf[4096];

	list_result = -EACCES;
	for (int i = 0; i < 3; i++) {
		raw_get("/-/health", buf, sizeof(buf));
		ck_assert_int_eq(strncmp(buf, "HTTP/1.1 503", 12), 0);
		ck_assert_ptr_nonnull(strstr(buf, "403 AccessDenied"));
	}
	ck_assert_uint_eq(atomic_load(&lists), 1);
}
END_TEST

START_TEST(a_healthy_mount_answers_ok)
{
	char buf[4096];

	raw_get("/-/health", buf, sizeof(buf));
	ck_assert_int_eq(strncmp(buf, "HTTP/1.1 200", 12), 0);
	ck_assert_ptr_nonnull(strstr(buf, "\r\n\r\nok\n"));
}
END_TEST

START_TEST(a_body_without_end_is_cut_off)
{
	const size_t n = MIB(17);
	char head[128], *all = malloc(n + sizeof(head)), buf[4096];
	int h = snprintf(head, sizeof(head),
			 "POST /-/load HTTP/1.1\r\nHost: x\r\n"
			 "Connection: close\r\nContent-Length: %zu\r\n\r\n",
			 n);

	ck_assert_ptr_nonnull(all);
	memcpy(all, head, (size_t)h);
	memset(all + h, ' ', n);
	raw(all, (size_t)h + n, buf, sizeof(buf));
	ck_assert_int_eq(strncmp(buf, "HTTP/1.1 413", 12), 0);
	free(all);
}
END_TEST

/* Where the socket is forwarded, any page could have a browser send this. */
START_TEST(a_browser_changes_nothing)
{
	static const char *const paths[] = { "load", "free", "invalidate",
					     "scrub" };
	char request[512], buf[4096];

	scrubs = 0;
	strcpy(invalidated, "");
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		int n = snprintf(request, sizeof(request),
				 "POST /-/%s HTTP/1.1\r\nHost: x\r\n"
				 "Origin: http://evil.example\r\n"
				 "Content-Type: text/plain\r\n"
				 "Connection: close\r\nContent-Length: 15\r\n"
				 "\r\n{\"paths\":[\"x\"]}",
				 paths[i]);

		raw(request, (size_t)n, buf, sizeof(buf));
		ck_assert_int_eq(strncmp(buf, "HTTP/1.1 403", 12), 0);
	}
	ck_assert_str_eq(invalidated, "");
	ck_assert_uint_eq(scrubs, 0);
	ck_assert_uint_eq(atomic_load(&loads), 0);
}
END_TEST

START_TEST(garbage_does_not_stop_the_interface)
{
	static const char junk[] = "\0\xff\x16\x03\x01 nothing like HTTP\r\n"
				   "\r\n\r\n";
	char buf[4096];

	raw(junk, sizeof(junk), buf, sizeof(buf));
	raw_get("/-/health", buf, sizeof(buf));
	ck_assert_int_eq(strncmp(buf, "HTTP/1.1 200", 12), 0);
}
END_TEST

START_TEST(the_socket_and_its_folder_are_closed_to_others)
{
	struct client_mount *all = client_mounts(NULL), *m = mine(all);
	char dir[RUNDIR_MAX];
	struct stat st;

	ck_assert_int_eq(stat(m->socket, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(rundir_path(dir, false), 0);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	client_mounts_free(all);
}
END_TEST

START_TEST(a_stale_socket_is_removed_by_the_next_mount)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct control *second;
	char dir[RUNDIR_MAX];

	ck_assert_int_eq(rundir_path(dir, true), 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%d-stale.sock", dir,
		 (int)getpid());
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(control_start(&service, &second, why), 0);
	ck_assert_int_lt(access(a.sun_path, F_OK), 0);
	control_stop(second);
}
END_TEST

START_TEST(the_longest_directory_holds_a_path)
{
	struct client_mount inner = { .dir = "/a/b", .source = "s3://k/p/q" };
	struct client_mount outer = { .next = &inner,
				      .dir = "/a",
				      .source = "s3://k/p" };
	struct client_mount *m;
	char *below;

	ck_assert_int_eq(client_find_path(&outer, "/a/b/c/../d", &m, &below),
			 0);
	ck_assert_ptr_eq(m, &inner);
	ck_assert_str_eq(below, "d");
	free(below);
	ck_assert_int_eq(client_find_path(&outer, "/a/bc", &m, &below), 0);
	ck_assert_ptr_eq(m, &outer);
	ck_assert_str_eq(below, "bc");
	free(below);
	ck_assert_int_eq(client_find_path(&outer, "/a/", &m, &below), 0);
	ck_assert_str_eq(below, "");
	free(below);
	ck_assert_int_eq(client_find_path(&outer, "/ab", &m, &below), -ENOENT);
	ck_assert_int_eq(client_find_url(&outer, "s3://k/p/q/r/", &m, &below),
			 0);
	ck_assert_ptr_eq(m, &inner);
	ck_assert_str_eq(below, "r/");
	free(below);
	ck_assert_int_eq(client_find_url(&outer, "s3://k/px", &m, &below),
			 -ENOENT);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("control");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, status_has_every_member_that_the_interface_promises);
	tcase_add_test(t, a_scrub_is_begun_where_there_is_something_to_scrub);
	tcase_add_test(t, invalidate_names_the_path_and_reports_an_absent_one);
	tcase_add_loop_test(t, a_wrong_request_gets_a_sentence_and_does_nothing,
			    0, ARRAY_SIZE(refused));
	tcase_add_loop_test(
	    t, workers_are_told_the_url_of_a_key_or_of_what_holds_it, 0,
	    ARRAY_SIZE(urls));
	tcase_add_test(t, metrics_are_prometheus_text_with_every_number);
	tcase_add_test(t, labels_of_metrics_are_utf8_whatever_the_source_is);
	tcase_add_test(t, the_page_is_one_document_that_may_ask_only_here);
	tcase_add_test(t, history_is_told);
	tcase_add_test(t, status_lists_the_jobs_without_names_of_files);
	tcase_add_test(t, health_asks_the_store_seldom_and_tells_its_words);
	tcase_add_test(t, a_healthy_mount_answers_ok);
	tcase_add_test(t, a_body_without_end_is_cut_off);
	tcase_add_test(t, a_browser_changes_nothing);
	tcase_add_test(t, garbage_does_not_stop_the_interface);
	tcase_add_test(t, the_socket_and_its_folder_are_closed_to_others);
	tcase_add_test(t, a_stale_socket_is_removed_by_the_next_mount);
	tcase_add_test(t, the_longest_directory_holds_a_path);
	return RUN_CASES(t);
}
