/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_conn.c - connections: for how long without a request
 *
 * The HTTP library ends connections on which nothing moves. One on which a
 * byte comes every second moves, so the time from the first byte to the end of
 * the headers, and that of a body, are bounded here: a thread shuts down what
 * is too late, and the library closes it then. Each connection's descriptor is
 * open while it is in the list.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "ring/server_impl.h"

#define HEADERS_NS (5 * NSEC_PER_SEC) /* the first, and the rest of any */
#define BODY_NS (30 * NSEC_PER_SEC)   /* a megabyte at most */
#define IDLE_NS (60 * NSEC_PER_SEC)   /* between requests */
#define COMING_NS (2 * NSEC_PER_SEC)  /* it begins with those at once */
#define LOOK_EVERY (NSEC_PER_SEC / 2)
#define BUSY INT64_MAX

static void opened(struct server *s, struct MHD_Connection *c, void **context)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct conn *n = calloc(1, sizeof(*n));

	*context = n;
	lock_take(&s->lock);
	s->open++;
	if (s->coming > 0)
		s->coming--;
	if (n == NULL) { /* its requests are refused */
		lock_drop(&s->lock);
		return;
	}
	n->fd = info != NULL ? info->connect_fd : -1;
	atomic_init(&n->deadline, clock_ns() + HEADERS_NS);
	n->next = s->conns;
	if (n->next != NULL)
		n->next->prev = n;
	s->conns = n;
	lock_drop(&s->lock);
}

static void closed(struct server *s, struct conn *n)
{
	lock_take(&s->lock);
	s->open--;
	if (n == NULL) {
		lock_drop(&s->lock);
		return;
	}
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

static void set(struct conn *c, int64_t deadline)
{
	if (c != NULL)
		atomic_store_explicit(&c->deadline, deadline,
				      memory_order_relaxed);
}

void conn_line(struct conn *c)
{
	set(c, clock_ns() + HEADERS_NS);
}

void conn_body(struct conn *c)
{
	set(c, clock_ns() + BODY_NS);
}

void conn_begun(struct conn *c)
{
	set(c, BUSY);
}

static void cork(struct conn *c, int on)
{
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	c->corked = on != 0;
}

/*
 * The library sends the headers of a file with a call, and a segment, of their
 * own: on loopback a quarter of what a file of 110 KB costs.
 */
void conn_cork(struct conn *c)
{
	if (c != NULL)
		cork(c, 1);
}

void conn_answered(struct conn *c)
{
	if (c != NULL && c->corked)
		cork(c, 0);
	set(c, clock_ns() + IDLE_NS);
}

static void *watch(void *arg)
{
	struct server *s = arg;

	lock_take(&s->lock);
	while (!s->watch_stop) {
		int64_t now = clock_ns();

		for (struct conn *c = s->conns; c != NULL; c = c->next)
			if (now > atomic_load(&c->deadline))
				(void)shutdown(c->fd, SHUT_RDWR);
		/* What the library gave up before it began. */
		if (now - s->came_at > COMING_NS)
			s->coming = 0;
		load_tick_locked(s);
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
