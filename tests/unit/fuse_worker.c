/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_worker.c - a worker that is asked while it starts
 */
#include "fuse/worker.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuse/signals.h"
#include "tests/unit/run.h"

#define ROUNDS 10
#define REQUEST                                                                \
	"GET /-/status HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"

static char dir[32];
static struct sockaddr_in address;
static atomic_bool connected;

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static void setup(void)
{
	char path[64];

	log_set_level(LOG_LEVEL_ERR);
	signals_block();
	strcpy(dir, "/tmp/fuse_worker-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/bucket", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void teardown(void)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A port that nobody listens on, for a while. */
static void pick_address(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(address);

	address = (struct sockaddr_in){ .sin_family = AF_INET };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, n), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	close(fd);
}

/* The first that the worker hears of: its answer's line. */
static void *ask(void *arg)
{
	char *answer = arg;
	size_t got = 0;
	ssize_t n;
	int fd;

	for (;;) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) ==
		    0)
			break;
		close(fd);
	}
	atomic_store(&connected, true);
	ck_assert_int_eq(send(fd, REQUEST, strlen(REQUEST), MSG_NOSIGNAL),
			 strlen(REQUEST));
	while (got < 15 && (n = recv(fd, answer + got, 15 - got, 0)) > 0)
		got += (size_t)n;
	answer[got] = '\0';
	while (recv(fd, (char[512]){ 0 }, 512, 0) > 0)
		;
	close(fd);
	return NULL;
}

START_TEST(who_asks_a_worker_that_starts_gets_an_answer)
{
	char text[256], source[64], why[WHY_MAX], answer[16];
	char *const sources[] = { source };
	struct options *o;
	struct worker *w;
	pthread_t thread;

	pick_address();
	atomic_store(&connected, false);
	snprintf(source, sizeof(source), "file://%s/bucket", dir);
	snprintf(text, sizeof(text),
		 "listen=127.0.0.1:%u,cache-dir=%s/cache,memory=64M,"
		 "workers=127.0.0.1:%u",
		 ntohs(address.sin_port), dir, ntohs(address.sin_port));
	ck_assert_int_eq(options_new(&o), 0);
	ck_assert_msg(options_parse(o, text, why) == 0, "%s", why);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask, answer), 0);
	ck_assert_msg(worker_open(o, NULL, sources, 1, &w, why) == 0, "%s",
		      why);
	pthread_join(thread, NULL);
	ck_assert(atomic_load(&connected));
	ck_assert_msg(strncmp(answer, "HTTP/1.1 200 OK", 15) == 0 ||
			  strncmp(answer, "HTTP/1.1 503 Se", 15) == 0,
		      "%s", answer);
	worker_close(w);
	options_free(o);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("start");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, who_asks_a_worker_that_starts_gets_an_answer, 0,
			    ROUNDS);
	return RUN_CASES(c);
}
