/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_server.h - a store that does what a test tells it, in this process
 *
 * Each connection has a thread. Each request is given a number, from 1, and
 * handed to the test's script, which writes the bytes of the answer (right or
 * not) and says what becomes of the connection.
 */
#ifndef TESTS_UNIT_UFS_SERVER_H
#define TESTS_UNIT_UFS_SERVER_H

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_CONNECTIONS 256
#ifndef SERVER_REQUEST_MAX
#define SERVER_REQUEST_MAX 8192 /* head and body */
#endif

enum server_then { SERVER_KEEP, SERVER_CLOSE, SERVER_RESET, SERVER_HOLD };

struct server;
typedef enum server_then server_script(struct server *s, int fd, unsigned nth,
				       const char *request);

struct server {
	server_script *script;
	void *arg; /* the script's */
	int listener, port;
	char endpoint[64];
	pthread_t accepter;
	pthread_mutex_t lock;
	/* under lock */
	pthread_t threads[SERVER_CONNECTIONS];
	int fds[SERVER_CONNECTIONS];
	unsigned connections;
	atomic_uint requests;
	atomic_bool stopping;
	atomic_bool head_only; /* the script reads bodies itself, or not */
};

/* Bytes of the test object. */
static inline unsigned char object_byte(size_t i)
{
	return (unsigned char)(i * 31 + i / 251 + i / 65537);
}

static void server_send(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t w = send(fd, at, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return; /* the client went: that may be the test */
		at += w;
		n -= (size_t)w;
	}
}

__attribute__((format(printf, 2, 3), unused)) static void
server_say(int fd, const char *fmt, ...)
{
	char buf[8192];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	ck_assert_int_lt(n, (int)sizeof(buf));
	server_send(fd, buf, (size_t)n);
}

__attribute__((unused)) static void server_send_object(int fd, size_t from,
						       size_t n)
{
	unsigned char buf[16384];

	while (n > 0) {
		size_t piece = n < sizeof(buf) ? n : sizeof(buf);

		for (size_t i = 0; i < piece; i++)
			buf[i] = object_byte(from + i);
		server_send(fd, buf, piece);
		from += piece;
		n -= piece;
	}
}

/* Where a request's Range begins and ends; false: it has none. */
__attribute__((unused)) static bool server_range(const char *request,
						 size_t *first, size_t *last)
{
	const char *r = strcasestr(request, "\r\nRange: bytes=");

	return r != NULL && sscanf(r + 15, "%zu-%zu", first, last) == 2;
}

/* Bytes that a request's length announces. */
static size_t server_length(const char *request)
{
	const char *length = strcasestr(request, "\r\nContent-Length:");

	return length != NULL ? strtoul(length + 17, NULL, 10) : 0;
}

/*
 * Read up to the blank line, and the body that a length announces. False: the
 * connection has ended.
 */
static bool server_read_request(int fd, char *buf, size_t size, bool head_only)
{
	size_t n = 0, want = 0;

	while (want == 0 || n < want) {
		/* Of the head no byte too many. */
		ssize_t r = recv(fd, buf + n, want == 0 ? 1 : want - n, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0 || n + (size_t)r >= size - 1)
			return false;
		n += (size_t)r;
		buf[n] = '\0';
		if (want > 0 || n < 4 ||
		    memcmp(buf + n - 4, "\r\n\r\n", 4) != 0)
			continue;
		want = n + (head_only ? 0 : server_length(buf));
		if (want > size - 1)
			return false;
	}
	return true;
}

struct server_connection {
	struct server *server;
	unsigned at;
	int fd;
};

static void *server_connection_run(void *arg)
{
	struct server_connection c = *(struct server_connection *)arg;
	struct server *s = c.server;
	enum server_then then = SERVER_KEEP;
	struct linger abrupt = { 1, 0 };
	char *request = malloc(SERVER_REQUEST_MAX), byte;
	int one = 1;

	free(arg);
	ck_assert_ptr_nonnull(request);
	/* Head and body are sent apart: no wait for an acknowledgement. */
	setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (then == SERVER_KEEP && !atomic_load(&s->stopping) &&
	       server_read_request(c.fd, request, SERVER_REQUEST_MAX,
				   atomic_load(&s->head_only)))
		then = s->script(s, c.fd, atomic_fetch_add(&s->requests, 1) + 1,
				 request);
	if (then == SERVER_HOLD)
		while (recv(c.fd, &byte, 1, 0) > 0)
			;
	if (then == SERVER_RESET)
		setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &abrupt,
			   sizeof(abrupt));
	free(request);
	pthread_mutex_lock(&s->lock);
	s->fds[c.at] = -1;
	pthread_mutex_unlock(&s->lock);
	close(c.fd);
	return NULL;
}

static void *server_accept(void *arg)
{
	struct server *s = arg;

	for (;;) {
		int fd = accept(s->listener, NULL, NULL);
		struct server_connection *c;

		if (fd < 0 || atomic_load(&s->stopping)) {
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		c = malloc(sizeof(*c));
		ck_assert_ptr_nonnull(c);
		pthread_mutex_lock(&s->lock);
		ck_assert_uint_lt(s->connections, SERVER_CONNECTIONS);
		*c = (struct server_connection){ s, s->connections, fd };
		s->fds[s->connections] = fd;
		ck_assert_int_eq(pthread_create(&s->threads[s->connections],
						NULL, server_connection_run, c),
				 0);
		s->connections++;
		pthread_mutex_unlock(&s->lock);
	}
}

static void server_start(struct server *s, server_script *script, void *arg)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);

	memset(s, 0, sizeof(*s));
	s->script = script;
	s->arg = arg;
	pthread_mutex_init(&s->lock, NULL);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(s->listener, 0);
	ck_assert_int_eq(bind(s->listener, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(listen(s->listener, 64), 0);
	ck_assert_int_eq(getsockname(s->listener, (struct sockaddr *)&a, &n),
			 0);
	s->port = ntohs(a.sin_port);
	snprintf(s->endpoint, sizeof(s->endpoint), "http://127.0.0.1:%d",
		 s->port);
	ck_assert_int_eq(pthread_create(&s->accepter, NULL, server_accept, s),
			 0);
}

__attribute__((unused)) static unsigned server_connections(struct server *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->connections;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void server_stop(struct server *s)
{
	atomic_store(&s->stopping, true);
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->accepter, NULL);
	close(s->listener);
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->connections; i++)
		if (s->fds[i] >= 0)
			shutdown(s->fds[i], SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->connections; i++)
		pthread_join(s->threads[i], NULL);
	pthread_mutex_destroy(&s->lock);
}

#endif
