/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_conn.c - connections: for how long without a request
 *
 * The HTTP library ends connections on which nothing moves. One on which a
 * byte comes every second moves, so the time from the first byte to the end of
 * the headers is bounded here: a thread shuts down what is too late, and the
 * library closes it then. Each connection's descriptor is open while it is in
 * the list.
 */
#include <sys/socket.h>

#include "base/clock.h"
#include "ring/server_impl.h"

#define HEADERS_NS (5 * NSEC_PER_SEC) /* the first, and the rest of any */
#define IDLE_NS (60 * NSEC_PER_SEC)   /* between requests */
#define LOOK_EVERY (NSEC_PER_SEC / 2)

static void opened(struct server *s, struct MHD_Connection *c, void **context)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct conn *n = calloc(1, sizeof(*n));

	*context = n;
	if (n == NULL)
		return; /* its requests are refused */
	n->fd = info != NULL ? info->connect_fd : -1;
	lock_take(&s->lock);
	n->deadline = clock_ns() + HEADERS_NS;
	n->next = s->conns;
	if (n->next != NULL)
		n->next->prev = n;
	s->conns = n;
	lock_drop(&s->lock);
}

static void closed(struct server *s, struct conn *n)
{
	if (n == NULL)
		return;
	lock_take(&s->lock);
	if (n->next != NULL)
		n->next->prev = n->prev;
	if (n->prev != NULL)
		n->prev->next = n->next;
	else
		s->conns = n->next;
	lock_drop(&s->lock);
	free(n);
}

void conn_notify(void *arg, struct MHD_Connection *c, void **socket_context,
		 enum MHD_ConnectionNotificationCode code)
{
	struct server *s = arg;

	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		opened(s, c, socket_context);
	else
		closed(s, *socket_context);
}

static void set(struct server *s, struct conn *c, bool busy, int64_t deadline)
{
	if (c == NULL)
		return;
	lock_take(&s->lock);
	c->busy = busy;
	c->deadline = deadline;
	lock_drop(&s->lock);
}

void conn_line(struct server *s, struct conn *c)
{
	set(s, c, false, clock_ns() + HEADERS_NS);
}

void conn_begun(struct server *s, struct conn *c)
{
	set(s, c, true, INT64_MAX);
}

void conn_answered(struct server *s, struct conn *c)
{
	set(s, c, false, clock_ns() + IDLE_NS);
}

static void *watch(void *arg)
{
	struct server *s = arg;

	lock_take(&s->lock);
	while (!s->watch_stop) {
		int64_t now = clock_ns();

		for (struct conn *c = s->conns; c != NULL; c = c->next)
			if (!c->busy && now > c->deadline)
				(void)shutdown(c->fd, SHUT_RDWR);
		(void)event_wait_until(&s->changed, &s->lock, now + LOOK_EVERY);
	}
	lock_drop(&s->lock);
	return NULL;
}

int conn_watch_start(struct server *s)
{
	int r = -pthread_create(&s->watcher, NULL, watch, s);

	s->watching = r == 0;
	return r;
}

void conn_watch_stop(struct server *s)
{
	if (!s->watching)
		return;
	lock_take(&s->lock);
	s->watch_stop = true;
	event_broadcast(&s->changed);
	lock_drop(&s->lock);
	must(pthread_join(s->watcher, NULL));
	s->watching = false;
}
