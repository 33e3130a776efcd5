/* SPDX-License-Identifier: Apache-2.0 */
/*
 * found.c - is what the store has ours?
 *
 * A process that died, or a line that went dead, may have brought a file to
 * the store without anybody hearing of it. Then the condition of the next try
 * does not hold, by our own doing. So the object is compared with what was
 * sent: its size, then its bytes, with all that the staged file has of them.
 * What it does not have is of the object before, and was copied from there; is
 * that another's, what was written here is in it all the same, and nothing is
 * lost. This is rare, and costs reading the object once.
 */
#include "cache/staging_impl.h"

#include <errno.h>
#include <fcntl.h>

#include "cache/staging_io.h"

#define PIECE KIB(256)

/* A state of the file. */
struct state {
	int fd; /* borrowed */
	uint64_t size, base_end;
	struct ranges held; /* owned */
};

struct compare {
	const struct state *state;
	uint64_t at;
	char *buf; /* PIECE */
	bool differs;
};

static int head(void *arg, const struct ufs_stat *st)
{
	struct compare *c = arg;

	c->differs = st->size != c->state->size;
	return c->differs ? -ECANCELED : 0;
}

/* n bytes of the object at c->at: all of them held, or none. */
static int compare_run(struct compare *c, const char *p, size_t n, bool held)
{
	int r = 0;

	if (!held && c->at < c->state->base_end)
		return 0;
	if (held)
		r = staging_pread(c->state->fd, c->buf, n, c->at);
	else
		memset(c->buf, 0, n);
	if (r == 0 && memcmp(c->buf, p, n) != 0) {
		c->differs = true;
		r = -ECANCELED;
	}
	return r;
}

static int data(void *arg, const void *bytes, size_t len)
{
	struct compare *c = arg;
	const char *p = bytes;
	int r = 0;

	while (len > 0 && r == 0) {
		struct range next = { UINT64_MAX, UINT64_MAX };
		size_t n = MIN(len, PIECE);
		bool held;

		ranges_find(&c->state->held, c->at, &next);
		held = next.off <= c->at;
		n = (size_t)MIN(n, (held ? next.end : next.off) - c->at);
		if (!held && c->at < c->state->base_end)
			n = (size_t)MIN(n, c->state->base_end - c->at);
		r = compare_run(c, p, n, held);
		p += n;
		c->at += n;
		len -= n;
	}
	return r;
}

/* 1: the object is of this state; 0: it is not. */
static int is_of(struct staging *s, struct str key, const struct ufs_stat *st,
		 const struct state *state, struct cancel *cancel)
{
	struct compare c = { .state = state, .buf = malloc(PIECE) };
	const struct ufs_sink sink = { .arg = &c, .head = head, .data = data };
	int r;

	if (c.buf == NULL)
		return -ENOMEM;
	if (st->size != state->size) {
		free(c.buf);
		return 0;
	}
	r = s->ufs->ops->get(s->ufs, key, st->version, 0, st->size, &sink,
			     cancel);
	free(c.buf);
	if (c.differs)
		return 0;
	if (r == 0 && c.at != st->size)
		r = -EIO;
	return r < 0 ? r : 1;
}

static int stat_now(struct staging *s, struct str key, struct ufs_stat *st,
		    struct cancel *cancel)
{
	const struct ufs_ops *ops = s->ufs->ops;

	return ops->stat_now != NULL ? ops->stat_now(s->ufs, key, st, cancel)
				     : ops->stat(s->ufs, key, st, cancel);
}

/* As it is now, and the generation n before it; false: there is none. */
static int state_of(struct staged *f, unsigned n, struct state *out)
{
	const struct aside *a;
	int r = 1;

	*out = (struct state){ .fd = -1 };
	lock_take(&f->lock);
	a = f->asides;
	for (unsigned i = 1; i < n && a != NULL; i++)
		a = a->next;
	if (n == 0) {
		out->fd = f->fd;
		out->size = f->size;
		out->base_end = f->base_end;
		r = ranges_merge(&out->held, &f->held) < 0 ? -ENOMEM : 1;
	} else if (a != NULL) {
		/* Dropped only by commits, of which this is one, and acks. */
		out->fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
		out->size = a->size;
		out->base_end = a->base_end;
		r = out->fd < 0 ? -errno : 1;
		if (r > 0 && ranges_merge(&out->held, &a->held) < 0)
			r = -ENOMEM;
	} else {
		r = 0;
	}
	lock_drop(&f->lock);
	return r;
}

static void state_fini(struct state *state, unsigned n)
{
	ranges_fini(&state->held);
	if (n > 0 && state->fd >= 0)
		close(state->fd);
}

/*
 * What it does not have itself is the same there as in the base that both were
 * written upon.
 */
static int bind_to(struct staged *f, struct str key, const struct ufs_stat *st)
{
	struct staged_base *next = staged_base_new(key);

	if (next == NULL)
		return -ENOMEM;
	next->st = *st;
	lock_take(&f->lock);
	f->bound = UFS_IF_VERSION;
	f->exclusive = false;
	memcpy(f->version, st->version, sizeof(f->version));
	staged_base_unref(f->base);
	f->base = next;
	lock_drop(&f->lock);
	return 0;
}

int found_ours(struct staged *f, struct ufs_stat *out)
{
	struct str key = { f->key, f->key_len };
	struct state state;
	int r = stat_now(f->staging, key, out, &f->cancel);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (unsigned n = 0;; n++) {
		r = state_of(f, n, &state);
		if (r > 0) {
			r = is_of(f->staging, key, out, &state, &f->cancel);
			state_fini(&state, n);
			if (r == 0)
				continue;
			if (r > 0 && n > 0)
				r = 2;
		} else if (n > 0 || r < 0) {
			state_fini(&state, n);
		}
		break;
	}
	if (r == 2 && bind_to(f, key, out) < 0)
		r = -ENOMEM;
	return r;
}
