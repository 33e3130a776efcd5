/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staged_read.c - what its bytes are: written, the base's, zeros
 *
 * Reads take no turn: they look at what a byte is under the lock and get it
 * without. One that runs beside a write sees bytes from before it or after.
 *
 * What was written is compared with the sum of its page, as it is when it is
 * sent (C3): so a read that wants a part of a page gets it all from the staging
 * file. Bytes that differ have rotted if nothing has changed in the file since
 * its sum was looked at. Else the page is read again; one that a write is at is
 * not looked at, as the writer does that.
 */
#include "cache/staging_impl.h"

#include <errno.h>

#include "base/clock.h"
#include "cache/object.h"
#include "cache/staging_io.h"

/* For a commit, also one whose tries are seconds apart. */
#define MOVE_NS (60 * NSEC_PER_SEC)
#define TRIES 8 /* to find a moment between two writes */

struct waited {
	struct object_read read;
	struct lock lock;
	struct event ended;
	bool over;
	int err;
	char *buf;
	size_t got;
};

static void read_done(struct object_read *r, int err, const struct iovec *iov,
		      int niov)
{
	struct waited *w = container_of(r, struct waited, read);

	for (int i = 0; i < niov && err == 0; i++) {
		size_t n = MIN(iov[i].iov_len, r->len - w->got);

		memcpy(w->buf + w->got, iov[i].iov_base, n);
		w->got += n;
	}
	lock_take(&w->lock);
	w->err = err;
	w->over = true;
	event_broadcast(&w->ended);
	lock_drop(&w->lock);
}

static int read_some(struct object *o, char *buf, size_t n, uint64_t off)
{
	struct waited w = { .buf = buf };

	lock_init(&w.lock, RANK_LEAF);
	event_init(&w.ended);
	w.read.off = off;
	w.read.len = n;
	w.read.done = read_done;
	object_read(o, &w.read);
	lock_take(&w.lock);
	while (!w.over)
		event_wait(&w.ended, &w.lock);
	lock_drop(&w.lock);
	event_fini(&w.ended);
	lock_fini(&w.lock);
	if (w.err == 0 && w.got != n)
		return -EIO;
	return w.err;
}

int staged_base_read(struct staging *s, struct staged_base *b, void *buf,
		     size_t n, uint64_t off)
{
	struct object *o;
	char *at = buf;
	int r = object_get(s->cache, b->key, &b->st, &o);

	if (r < 0)
		return r;
	while (r == 0 && n > 0) {
		size_t len = MIN(n, OBJECT_READ_MAX);

		r = read_some(o, at, len, off);
		at += len;
		off += len;
		n -= len;
	}
	object_put(o);
	return r;
}

void staged_base_ahead(struct staged *f, struct staged_base *b, uint64_t off,
		       uint64_t end)
{
	struct range gaps[16], r;
	struct object *o;
	size_t n = 0;

	lock_take(&f->lock);
	while (off < end && n < ARRAY_SIZE(gaps)) {
		if (!ranges_find(&f->held, off, &r))
			r = (struct range){ end, end };
		if (r.off > off)
			gaps[n++] = (struct range){ off, MIN(r.off, end) };
		off = r.end;
	}
	lock_drop(&f->lock);
	if (n == 0 || object_get(f->staging->cache, b->key, &b->st, &o) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		object_ahead(o, gaps[i].off, gaps[i].end - gaps[i].off);
	object_put(o);
}

/* A run of bytes of one kind. */
struct piece {
	enum { PIECE_HELD, PIECE_BASE, PIECE_ZEROS } kind;
	uint64_t end;
	int fd;
	struct staged_base *base; /* of PIECE_BASE; owns a ref */
};

static void piece_at_locked(struct staged *f, uint64_t off, uint64_t end,
			    struct piece *out)
    TSA(requires_capability(f->lock));

static void piece_at_locked(struct staged *f, uint64_t off, uint64_t end,
			    struct piece *out)
{
	struct range r = { end, end };

	*out = (struct piece){ .fd = f->fd };
	if (ranges_find(&f->held, off, &r) && r.off <= off) {
		out->kind = PIECE_HELD;
		out->end = MIN(r.end, end);
	} else if (off < f->base_end) {
		out->kind = PIECE_BASE;
		out->end = MIN(MIN(f->base_end, r.off), end);
		out->base = staged_base_ref(f->base);
	} else {
		out->kind = PIECE_ZEROS;
		out->end = MIN(r.off, end);
	}
}

/*
 * The store has another version than the base now. Has the file another base,
 * too, or is it to have one soon? A commit may have made that version, and not
 * have come back yet; or it was made by a process that died, and the commit of
 * what that had acknowledged finds it out.
 */
static bool base_moved(struct staged *f, const struct staged_base *b)
{
	int64_t until = clock_ns() + MOVE_NS;
	bool moved;

	lock_take(&f->lock);
	while (f->base == b && f->err == 0 && !f->removed &&
	       (f->committing || (f->acked && f->uncertain)) &&
	       event_wait_until(&f->changed, &f->lock, until))
		;
	moved = f->base != b;
	lock_drop(&f->lock);
	return moved;
}

static int read_base(struct staged *f, struct staged_base *b, char *buf,
		     size_t n, uint64_t off)
{
	int r = staged_base_read(f->staging, b, buf, n, off);

	return r == -ESTALE && base_moved(f, b) ? -EAGAIN : r;
}

/* Is there a sum of the bytes that a page has, and which? *change: when. */
static struct sum sum_now(struct staged *f, uint64_t page, uint64_t *change)
{
	uint64_t at = page * SUM_PAGE;
	struct sum sum = { 0 };

	lock_take(&f->lock);
	*change = f->change;
	if (!f->writing || f->write_end <= at || f->write_off >= at + SUM_PAGE)
		sum = sums_get(f->sums, page);
	lock_drop(&f->lock);
	return sum;
}

/*
 * A page was not what its sum says, as it was at this change. 1: it may have
 * been changed since. Else it has rotted: -EIO, or 0 and a reference to the
 * base, which is what was written where that is committed. Who has the turn and
 * does not write may be putting another file in the place of this one.
 */
static int rotten(struct staged *f, uint64_t change, bool nowait,
		  struct staged_base **base)
{
	int r = 0;

	lock_take(&f->lock);
	while (!nowait && f->writing && f->write_end == 0)
		event_wait(&f->changed, &f->lock);
	if (nowait)
		r = -EAGAIN;
	else if (f->change != change)
		r = 1;
	else if (f->change == f->committed && f->base != NULL)
		*base = staged_base_ref(f->base);
	else
		r = -EIO;
	lock_drop(&f->lock);
	if (r == -EIO)
		staged_stick(f, r, "staged bytes are not what was written");
	return r;
}

static int unreadable(struct staged *f, int err)
{
	return staged_stick(f, err, "cannot read its staging file");
}

/* n bytes at off of one page. spare: SUM_PAGE bytes, made when needed. */
static int read_page(struct staged *f, int fd, char *buf, size_t n,
		     uint64_t off, char **spare, bool nowait)
{
	uint64_t page = off / SUM_PAGE, change;
	struct staged_base *base = NULL;
	size_t from = (size_t)(off % SUM_PAGE);
	int r;

	for (unsigned i = 0; i < TRIES; i++) {
		struct sum sum = sum_now(f, page, &change);
		size_t len = MAX((size_t)sum.len, from + n);
		char *bytes = len == n ? buf : *spare;

		if (sum.len == 0)
			break; /* zeros, or who writes there looks at it */
		if (bytes == NULL)
			bytes = *spare = malloc(SUM_PAGE);
		if (bytes == NULL)
			return -ENOMEM;
		r = staging_pread(fd, bytes, len, page * SUM_PAGE);
		if (r < 0)
			return unreadable(f, r);
		if (sum_right(sum, bytes)) {
			if (bytes != buf)
				memcpy(buf, bytes + from, n);
			return 0;
		}
		r = rotten(f, change, nowait, &base);
		if (base != NULL) {
			r = staged_base_read(f->staging, base, buf, n, off);
			staged_base_unref(base);
			return r;
		}
		if (r < 0)
			return r;
	}
	r = staging_pread(fd, buf, n, off);
	return r < 0 ? unreadable(f, r) : 0;
}

/* Bytes that were written. */
static int read_held(struct staged *f, int fd, char *buf, uint64_t at,
		     uint64_t end, bool nowait)
{
	AUTO_FREE char *spare = NULL;
	int r = 0;

	while (at < end && r == 0) {
		size_t n =
		    (size_t)(MIN(end, (at / SUM_PAGE + 1) * SUM_PAGE) - at);

		r = read_page(f, fd, buf, n, at, &spare, nowait);
		buf += n;
		at += n;
	}
	return r;
}

ssize_t staged_read(struct staged *f, void *p, size_t n, uint64_t off,
		    bool nowait)
{
	char *buf = p;
	uint64_t at = off, end;
	int r = 0;

	n = MIN(n, (size_t)INT32_MAX);
	while (r == 0) {
		struct piece piece;

		lock_take(&f->lock);
		while (f->emptied && !nowait)
			event_wait(&f->changed, &f->lock);
		if (f->emptied) {
			lock_drop(&f->lock);
			return -EAGAIN;
		}
		end = off < f->size ? MIN(f->size, off + n) : off;
		if (at < end)
			piece_at_locked(f, at, end, &piece);
		lock_drop(&f->lock);
		if (at >= end)
			break;
		n = (size_t)(end - off); /* it may have been cut */
		switch (piece.kind) {
		case PIECE_HELD:
			r = read_held(f, piece.fd, buf + (at - off), at,
				      piece.end, nowait);
			break;
		case PIECE_BASE:
			r = nowait ? -EAGAIN
				   : read_base(f, piece.base, buf + (at - off),
					       (size_t)(piece.end - at), at);
			staged_base_unref(piece.base);
			if (r == -EAGAIN && !nowait) {
				/* What it is now is another piece. */
				r = 0;
				continue;
			}
			break;
		case PIECE_ZEROS:
			memset(buf + (at - off), 0, (size_t)(piece.end - at));
			break;
		}
		at = piece.end;
	}
	return r < 0 ? r : (ssize_t)(MIN(at, end) - off);
}

int64_t staged_seek(struct staged *f, uint64_t off, bool hole)
{
	uint64_t pos = off;
	struct range r;

	lock_take(&f->lock);
	if (off >= f->size) {
		lock_drop(&f->lock);
		return -ENXIO;
	}
	if (hole) {
		pos = MAX(pos, f->base_end);
		while (ranges_find(&f->held, pos, &r) && r.off <= pos)
			pos = r.end;
		pos = MIN(pos, f->size);
	} else if (pos >= f->base_end) {
		if (!ranges_find(&f->held, pos, &r))
			pos = UINT64_MAX;
		else
			pos = MAX(pos, r.off);
	}
	lock_drop(&f->lock);
	return pos == UINT64_MAX ? -ENXIO : (int64_t)pos;
}
