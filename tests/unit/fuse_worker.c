/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_worker.c - a worker that is asked while it starts, or its store hangs
 */
#include "fuse/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fuse/signals.h"
#include "tests/unit/run.h"

#define ROUNDS 10
#define REQUEST(path)                                                          \
	"GET " path " HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"

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

/* The first 15 bytes of the answer. */
static void ask_for(const char *request, char answer[static 16])
{
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
	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL),
			 strlen(request));
	while (got < 15 && (n = recv(fd, answer + got, 15 - got, 0)) > 0)
		got += (size_t)n;
	answer[got] = '\0';
	while (recv(fd, (char[512]){ 0 }, 512, 0) > 0)
		;
	close(fd);
}

/* The first that the worker hears of: its answer's line. */
static void *ask(void *arg)
{
	ask_for(REQUEST("/-/status"), arg);
	return NULL;
}

static struct options *options_made(void)
{
	char text[256], why[WHY_MAX];
	struct options *o;

	pick_address();
	atomic_store(&connected, false);
	snprintf(text, sizeof(text),
		 "listen=127.0.0.1:%u,cache-dir=%s/cache,memory=64M,"
		 "workers=127.0.0.1:%u",
		 ntohs(address.sin_port), dir, ntohs(address.sin_port));
	ck_assert_int_eq(options_new(&o), 0);
	ck_assert_msg(options_parse(o, text, why) == 0, "%s", why);
	return o;
}

static struct worker *worker_made(struct options *o)
{
	char source[64], why[WHY_MAX];
	char *const sources[] = { source };
	struct worker *w;

	snprintf(source, sizeof(source), "file://%s/bucket", dir);
	ck_assert_msg(worker_open(o, NULL, sources, 1, &w, why) == 0, "%s",
		      why);
	return w;
}

START_TEST(who_asks_a_worker_that_starts_gets_an_answer)
{
	struct options *o = options_made();
	struct worker *w;
	char answer[16];
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, ask, answer), 0);
	w = worker_made(o);
	pthread_join(thread, NULL);
	ck_assert(atomic_load(&connected));
	ck_assert_msg(strncmp(answer, "HTTP/1.1 200 OK", 15) == 0 ||
			  strncmp(answer, "HTTP/1.1 503 Se", 15) == 0,
		      "%s", answer);
	worker_close(w);
	options_free(o);
}
END_TEST

static atomic_uint lists;
static atomic_bool hangs, waits_for_ssd;

/* Who waits for a store that hangs, and where? */
static int fake_list(struct ufs *u, const struct ufs_list *q, char **token,
		     ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	char name[16] = "";

	(void)u, (void)q, (void)token, (void)cb, (void)arg, (void)cancel;
	prctl(PR_GET_NAME, name);
	if (strstr(name, "ssd") != NULL)
		atomic_store(&waits_for_ssd, true);
	atomic_fetch_add(&lists, 1);
	for (int i = 0; atomic_load(&hangs) && i < 3000; i++)
		usleep(1000);
	return atomic_load(&hangs) ? -ETIMEDOUT : 0;
}

static void *ask_health(void *arg)
{
	ask_for(REQUEST("/-/health"), arg);
	return NULL;
}

/* Its last answer is a while ago. */
static void age(struct health *h)
{
	lock_take(&h->lock);
	h->at = clock_ns() - 60 * NSEC_PER_SEC;
	lock_drop(&h->lock);
}

/*
 * Anybody may ask for it, unsigned: of all who do one waits for the store, and
 * not where only the SSD is waited for.
 */
START_TEST(one_at_a_time_waits_for_a_store_that_hangs)
{
	static const struct ufs_ops fake_ops = { .list = fake_list };
	struct ufs fake = { .ops = &fake_ops }, *real;
	struct options *o = options_made();
	struct worker *w = worker_made(o);
	struct health *h = &w->sources[0].health;
	char answer[16], first[16];
	pthread_t thread;
	int64_t begun;

	real = w->sources[0].ufs;
	w->sources[0].ufs = &fake;
	ask_health(answer);
	ck_assert_str_eq(answer, "HTTP/1.1 200 OK");
	ck_assert_uint_eq(atomic_load(&lists), 1);
	atomic_store(&hangs, true);
	age(h);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_health, first), 0);
	while (atomic_load(&lists) < 2)
		usleep(1000);
	begun = clock_ns();
	for (int i = 0; i < 3; i++) {
		age(h);
		ask_health(answer);
		ck_assert_str_eq(answer, "HTTP/1.1 200 OK");
	}
	ck_assert_uint_eq(atomic_load(&lists), 2);
	ck_assert_int_lt(clock_ns() - begun, NSEC_PER_SEC);
	pthread_join(thread, NULL);
	ck_assert_str_eq(first, "HTTP/1.1 503 Se");
	/* That was the last answer; the next is asked for when it is old. */
	ck_assert(!atomic_load(&waits_for_ssd));
	atomic_store(&hangs, false);
	age(h);
	ask_health(answer);
	ck_assert_str_eq(answer, "HTTP/1.1 200 OK");
	ck_assert_uint_eq(atomic_load(&lists), 3);
	w->sources[0].ufs = real;
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
	tcase_add_test(c, one_at_a_time_waits_for_a_store_that_hangs);
	return RUN_CASES(c);
}
