/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staged_body.c - its bytes as they are sent: checked, of one moment
 *
 * Page by page: what was written is read and compared with its sum, what was
 * not is filled in. A page that is read in pieces stays for the next, since a
 * driver reads in pieces of its own size. Any change to what is being sent
 * since it began ends it: before its checksum is looked at, for what is being
 * written does not match it either.
 */
#include "cache/staging_impl.h"

#include <errno.h>

#include "cache/staging_io.h"

static bool stirred_locked(struct staged *f, struct staged_body *b)
    TSA(requires_capability(f->lock));

static bool stirred_locked(struct staged *f, struct staged_body *b)
{
	uint64_t gen =
	    b->part == STAGED_WHOLE ? f->change : f->parts[b->part].gen;

	if (gen != b->gen)
		b->stirred = true;
	return b->stirred;
}

static bool stirred(struct staged_body *b)
{
	struct staged *f = b->file;
	bool yes;

	lock_take(&f->lock);
	yes = stirred_locked(f, b);
	lock_drop(&f->lock);
	return yes;
}

/* What of the page [at, end) is the base's. */
static int fill_in(struct staged_body *b, char *buf, uint64_t at, uint64_t end)
{
	struct staged *f = b->file;
	int r = 0;

	end = MIN(end, b->base_end);
	for (uint64_t pos = at; pos < end && r == 0;) {
		struct range held = { end, end };
		uint64_t stop;
		bool gone;

		lock_take(&f->lock);
		gone = stirred_locked(f, b);
		if (!gone)
			ranges_find(&f->held, pos, &held);
		lock_drop(&f->lock);
		if (gone)
			return -EAGAIN;
		if (held.off <= pos) {
			pos = held.end;
			continue;
		}
		stop = MIN(end, held.off);
		r = staged_base_read(f->staging, b->base, buf + (pos - at),
				     (size_t)(stop - pos), pos);
		pos = stop;
	}
	return r;
}

static int load_page(struct staged_body *b, uint64_t page, char *buf)
{
	struct staged *f = b->file;
	uint64_t at = page * SUM_PAGE;
	struct sum sum;
	int fd, r = 0;
	bool right;

	lock_take(&f->lock);
	if (stirred_locked(f, b)) {
		lock_drop(&f->lock);
		return -EAGAIN;
	}
	sum = sums_get(f->sums, page);
	fd = f->fd;
	lock_drop(&f->lock);
	if (sum.len > 0)
		r = staging_pread(fd, buf, sum.len, at);
	memset(buf + sum.len, 0, SUM_PAGE - sum.len);
	if (stirred(b))
		return -EAGAIN;
	if (r < 0)
		return staged_stick(f, r, "cannot read its staging file");
	right = sum.len == 0 || sum_right(sum, buf);
	if (!right)
		return staged_stick(f, -EIO,
				    "staged bytes are not what was written");
	r = fill_in(b, buf, at, MIN(at + SUM_PAGE, b->at + b->size));
	if (r == 0 && stirred(b))
		r = -EAGAIN;
	return r;
}

static int body_read(void *arg, uint64_t off, void *p, size_t len)
{
	struct staged_body *b = arg;
	char *out = p;

	if (stirred(b))
		return -EAGAIN;
	while (len > 0) {
		uint64_t at = b->at + off;
		size_t from = (size_t)(at % SUM_PAGE);
		size_t n = MIN(len, SUM_PAGE - from);
		int r = 0;

		if (n == SUM_PAGE) {
			r = load_page(b, at / SUM_PAGE, out);
		} else if (!b->loaded || b->page != at / SUM_PAGE) {
			b->loaded = false;
			r = load_page(b, at / SUM_PAGE, b->buf);
			b->loaded = r == 0;
			b->page = at / SUM_PAGE;
		}
		if (r < 0)
			return r;
		if (n < SUM_PAGE)
			memcpy(out, b->buf + from, n);
		out += n;
		off += n;
		len -= n;
	}
	return 0;
}

static bool body_crc(void *arg, uint64_t *out)
{
	struct staged_body *b = arg;
	struct staged *f = b->file;
	uint64_t end = b->at + b->size;
	bool known;

	lock_take(&f->lock);
	/* Where the base's bytes show, the sums have zeros. */
	known = b->size > 0 && !stirred_locked(f, b) &&
		(b->base_end <= b->at ||
		 ranges_cover(&f->held, b->at, MIN(end, b->base_end))) &&
		sums_crc(f->sums, b->at, b->size, out);
	lock_drop(&f->lock);
	return known;
}

void staged_body_begin_locked(struct staged *f, struct staged_body *b)
{
	b->base = staged_base_ref(f->base);
	b->base_end = f->base_end;
	b->gen = b->part == STAGED_WHOLE ? f->change : f->parts[b->part].gen;
	b->stirred = b->loaded = false;
	b->body = (struct ufs_body){
		.arg = b, .size = b->size, .read = body_read, .crc = body_crc
	};
}

void staged_body_end(struct staged_body *b)
{
	staged_base_unref(b->base);
	b->base = NULL;
}
