/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_stream.c - bodies that are still being fetched
 *
 * A mount gets the headers at once, so that it knows that its bytes are on
 * their way, and each page with its checksum before it; any other client gets
 * them when the first bytes are there, so that a store that fails is an error
 * it understands. After the headers there is one way to say that the rest will
 * not come: the connection ends, hard.
 *
 * The body passes through one buffer: while the kernel sends what was copied
 * from it, the cache fetches ahead in the range that was asked for, and
 * nowhere else: what lies behind it may be another worker's.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/le.h"
#include "ring/server_impl.h"

#define AHEAD MIB(32)

/* Plainly, or each page behind its word. */
static void keep(struct stream *s, uint64_t off, const struct iovec *iov,
		 int niov)
{
	for (int i = 0; i < niov; i++) {
		const char *p = iov[i].iov_base;
		size_t left = iov[i].iov_len;

		while (left > 0) {
			size_t n = s->framed ? MIN(left, WIRE_PAGE) : left;

			if (s->framed) {
				put_le(s->buf + s->held,
				       extent_word(0, off / WIRE_PAGE, p, n),
				       WIRE_WORD);
				s->held += WIRE_WORD;
			}
			memcpy(s->buf + s->held, p, n);
			s->held += n;
			off += n;
			p += n;
			left -= n;
		}
	}
}

/* What a read brought: into the buffer, which is empty. */
static void take(struct exchange *x, int err, const struct iovec *iov, int niov)
{
	struct stream *s = &x->stream;
	size_t n = 0;

	s->held = s->sent = 0;
	s->err = err;
	if (err < 0)
		return;
	for (int i = 0; i < niov; i++)
		n += iov[i].iov_len;
	if (n == 0 || n > STREAM_BYTES || n > s->end - s->next) {
		s->err = -EIO;
		return;
	}
	keep(s, s->next, iov, niov);
	s->next += n;
}

static void go_ahead(struct exchange *x)
{
	struct stream *s = &x->stream;
	uint64_t until = MIN(s->end, s->next + AHEAD);

	/* Half of it at a time. */
	if (!x->held_only && until > s->ahead &&
	    (until == s->end || until - s->ahead >= AHEAD / 2)) {
		object_ahead(x->object, s->ahead, until - s->ahead);
		s->ahead = until;
	}
}

static void read_next(struct exchange *x,
		      void (*done)(struct object_read *r, int err,
				   const struct iovec *iov, int niov))
{
	struct stream *s = &x->stream;

	x->read.off = s->next;
	x->read.len = (size_t)MIN(s->end - s->next, (uint64_t)STREAM_BYTES);
	x->read.held_only = x->held_only;
	x->read.done = done;
	object_read(x->object, &x->read);
}

/* Who asks next shall hear of it. */
static void run_gone(struct exchange *x)
{
	meta_gone(cache_meta(x->source->cache), x->key);
	exchange_wake(x);
}

static void more_done(struct object_read *r, int err, const struct iovec *iov,
		      int niov)
{
	struct exchange *x = container_of(r, struct exchange, read);

	take(x, err, iov, niov);
	if (x->stream.err == -ESTALE)
		exchange_near(x, run_gone); /* it may touch the disk */
	else
		exchange_wake(x);
}

/* The client must not take what it has got for all of it. */
static ssize_t cut_off(struct exchange *x)
{
	const struct linger hard = { .l_onoff = 1 };

	if (x->socket != NULL)
		(void)setsockopt(x->socket->fd, SOL_SOCKET, SO_LINGER, &hard,
				 sizeof(hard));
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* The library wants bytes of the body. */
static ssize_t more(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct exchange *x = arg;
	struct stream *s = &x->stream;
	size_t n;

	(void)pos;
	exchange_leave(x);
	if (s->err == 0 && s->sent == s->held) {
		if (s->next == s->end || !exchange_enter(x)) {
			s->err = -ECANCELED;
			return cut_off(x);
		}
		go_ahead(x);
		read_next(x, more_done);
		if (atomic_load(&x->wake) != WAKE_DONE) {
			exchange_suspend(x);
			return 0;
		}
		exchange_leave(x);
	}
	if (s->err < 0)
		return cut_off(x);
	n = MIN(max, s->held - s->sent);
	memcpy(buf, s->buf + s->sent, n);
	s->sent += n;
	return (ssize_t)n;
}

static void answer_stream(struct exchange *x)
{
	struct stream *s = &x->stream;
	uint64_t total = x->len;

	if (s->framed)
		total += (x->len + WIRE_PAGE - 1) / WIRE_PAGE * WIRE_WORD;
	object_answer(x, MHD_create_response_from_callback(total, KIB(64), more,
							   x, NULL));
	if (s->framed)
		answer_header(x, WIRE_H_FRAMED, "1");
	load_header(x);
	exchange_wake(x);
}

static void first_done(struct object_read *r, int err, const struct iovec *iov,
		       int niov)
{
	struct exchange *x = container_of(r, struct exchange, read);

	take(x, err, iov, niov);
	if (x->stream.err == -ESTALE && !x->fresh) {
		stream_end(x);
		object_again(x);
	} else if (x->stream.err < 0) {
		answer_errno(x, x->stream.err);
		exchange_wake(x);
	} else {
		answer_stream(x);
	}
}

void stream_begin(struct exchange *x)
{
	struct server *srv = x->server;
	struct stream *s = &x->stream;

	memset(s, 0, sizeof(*s));
	if (atomic_fetch_add(&srv->streams, 1) < srv->streams_max)
		s->buf = malloc(STREAM_ROOM);
	s->reserved = true;
	if (s->buf == NULL) {
		answer_errno(x, -ENOMEM);
		exchange_wake(x);
		return;
	}
	s->next = s->ahead = x->off;
	s->end = x->off + x->len;
	s->framed = object_for_tarn(x);
	/* Nothing is on its way to who wants only what is here. */
	if (s->framed && !x->held_only) {
		answer_stream(x);
		return;
	}
	go_ahead(x);
	read_next(x, first_done);
}

void stream_end(struct exchange *x)
{
	if (x->stream.reserved)
		atomic_fetch_sub(&x->server->streams, 1);
	free(x->stream.buf);
	memset(&x->stream, 0, sizeof(x->stream));
}
