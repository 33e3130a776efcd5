/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ranges.c - a set of bytes, as intervals in order
 */
#include "cache/ranges.h"

#include <errno.h>

void ranges_fini(struct ranges *s)
{
	free(s->r);
	*s = (struct ranges){ 0 };
}

int ranges_room(struct ranges *s)
{
	size_t cap = s->cap == 0 ? 8 : s->cap * 2;
	struct range *r;

	if (s->n < s->cap)
		return 0;
	r = realloc(s->r, cap * sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	s->r = r;
	s->cap = cap;
	return 0;
}

/* The first that ends at (touch) or behind pos; n: there is none. */
static size_t find(const struct ranges *s, uint64_t pos, bool touch)
{
	size_t lo = 0, hi = s->n;

	/* Most are written in order: look at the last one first. */
	if (hi > 0 && s->r[hi - 1].end < pos)
		return hi;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->r[mid].end > pos || (touch && s->r[mid].end == pos))
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

int ranges_add(struct ranges *s, uint64_t off, uint64_t end)
{
	struct range *last = s->n == 0 ? NULL : &s->r[s->n - 1];
	size_t first, behind;

	if (off >= end)
		return 0;
	if (last != NULL && off >= last->off && off <= last->end) {
		last->end = MAX(last->end, end);
		return 0;
	}
	first = find(s, off, true);
	behind = first; /* of those that the new one takes in */
	while (behind < s->n && s->r[behind].off <= end) {
		off = MIN(off, s->r[behind].off);
		end = MAX(end, s->r[behind].end);
		behind++;
	}
	if (behind == first) {
		if (ranges_room(s) < 0)
			return -ENOMEM;
		memmove(&s->r[first + 1], &s->r[first],
			(s->n - first) * sizeof(*s->r));
		s->n++;
	} else if (behind > first + 1) {
		memmove(&s->r[first + 1], &s->r[behind],
			(s->n - behind) * sizeof(*s->r));
		s->n -= behind - first - 1;
	}
	s->r[first] = (struct range){ off, end };
	return 0;
}

int ranges_merge(struct ranges *s, const struct ranges *from)
{
	int r = 0;

	for (size_t i = 0; i < from->n && r == 0; i++)
		r = ranges_add(s, from->r[i].off, from->r[i].end);
	return r;
}

void ranges_set_all(struct ranges *s, uint64_t end)
{
	s->n = end > 0;
	if (end > 0)
		s->r[0] = (struct range){ 0, end };
}

void ranges_cut(struct ranges *s, uint64_t size)
{
	while (s->n > 0 && s->r[s->n - 1].off >= size)
		s->n--;
	if (s->n > 0)
		s->r[s->n - 1].end = MIN(s->r[s->n - 1].end, size);
}

bool ranges_find(const struct ranges *s, uint64_t pos, struct range *out)
{
	size_t i = find(s, pos, false);

	if (i == s->n)
		return false;
	*out = s->r[i];
	return true;
}

bool ranges_cover(const struct ranges *s, uint64_t off, uint64_t end)
{
	struct range r;

	return off >= end ||
	       (ranges_find(s, off, &r) && r.off <= off && r.end >= end);
}

bool ranges_touch(const struct ranges *s, uint64_t off, uint64_t end)
{
	struct range r;

	return off < end && ranges_find(s, off, &r) && r.off < end;
}

uint64_t ranges_bytes(const struct ranges *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->r[i].end - s->r[i].off;
	return n;
}
