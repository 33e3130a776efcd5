/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_accept.c - new connections, taken by a thread of their own
 *
 * The HTTP library would take them itself, but when no descriptor is left and
 * no connection is open it asks again at once, for ever, with a whole
 * processor. Here that is waited for. Connections are counted here as well: at
 * its own limit release 0.9.75 of the library waits for itself for ever.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "ring/server_impl.h"

#define REST_MS 100
#define SAY_EVERY (60 * NSEC_PER_SEC)

/* Of accept(): it is the connection's fault, or there is none any more. */
static bool is_passing(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK || err == EINTR ||
	       err == ECONNABORTED || err == EPROTO;
}

/* Is there room for one more? Then it counts. */
static bool admit(struct server *s)
{
	bool room;

	lock_take(&s->lock);
	room = s->open + s->coming < s->connections_max;
	if (room) {
		s->coming++;
		s->came_at = clock_ns();
	}
	lock_drop(&s->lock);
	return room;
}

/* The library did not want it. */
static void accept_ended(struct server *s)
{
	lock_take(&s->lock);
	if (s->coming > 0)
		s->coming--;
	lock_drop(&s->lock);
}

/* 0, or -errno when there should be a rest before the next. */
static int take_one(struct server *s)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	int fd = accept4(s->listening, (struct sockaddr *)&a, &n,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return is_passing(errno) ? 0 : -errno;
	if (!admit(s))
		close(fd);
	else if (MHD_add_connection(s->daemon, fd, (struct sockaddr *)&a, n) !=
		 MHD_YES)
		accept_ended(s); /* too many of this address: it is closed */
	return 0;
}

static void *run(void *arg)
{
	struct server *s = arg;
	struct pollfd p[] = { { .fd = s->accept_end, .events = POLLIN },
			      { .fd = s->listening, .events = POLLIN } };
	int64_t said = INT64_MIN / 2;
	int r;

	for (;;) {
		(void)poll(p, 2, -1);
		if (p[0].revents != 0)
			return NULL;
		r = take_one(s);
		if (r == 0)
			continue;
		if (clock_ns() - said >= SAY_EVERY) {
			said = clock_ns();
			log_warn("ring: connections to %s have to wait: %s",
				 s->address, strerror(-r));
		}
		(void)poll(p, 1, REST_MS);
	}
}

int accept_start(struct server *s, int fd)
{
	int r;

	s->listening = fd;
	s->accept_end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->accept_end < 0)
		return -errno;
	r = -pthread_create(&s->acceptor, NULL, run, s);
	s->accepting = r == 0;
	return r;
}

void accept_stop(struct server *s)
{
	uint64_t one = 1;

	if (s->accepting) {
		must(write(s->accept_end, &one, sizeof(one)) != sizeof(one));
		must(pthread_join(s->acceptor, NULL));
	}
	s->accepting = false;
	if (s->accept_end >= 0)
		close(s->accept_end);
	if (s->listening >= 0)
		close(s->listening);
	s->accept_end = s->listening = -1;
}
