/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts.c - where the parts of an upload begin
 */
#include "cache/parts.h"

#define UNIT KIB(64)
#define FIRST MIB(8)

void parts_init(struct parts *p, const struct ufs_limits *l, uint64_t size)
{
	uint64_t first = MAX(size != 0 ? size : FIRST, l->part_least);

	first = (first + UNIT - 1) / UNIT * UNIT;
	p->n = MAX(l->parts, 1);
	p->step = size != 0 ? 0 : MAX(p->n / 10, 1);
	p->most = MAX(l->part_most / UNIT * UNIT, first);
	p->first = first;
}

/* Parts of the same size from this one on, which begins a run of them. */
static unsigned run_len(const struct parts *p, unsigned from)
{
	return p->step == 0 ? p->n : MIN(p->step, p->n - from);
}

static uint64_t next_size(const struct parts *p, uint64_t size)
{
	return size <= p->most / 2 ? size * 2 : p->most;
}

uint64_t parts_at(const struct parts *p, unsigned i, uint64_t *size)
{
	uint64_t at = 0, bytes = p->first;

	for (unsigned from = 0;;) {
		unsigned n = run_len(p, from);

		if (i < from + n || from + n >= p->n) {
			*size = bytes;
			return at + (i - from) * bytes;
		}
		at += n * bytes;
		from += n;
		bytes = next_size(p, bytes);
	}
}

unsigned parts_of(const struct parts *p, uint64_t off)
{
	uint64_t at = 0, bytes = p->first;

	for (unsigned from = 0; from < p->n;) {
		unsigned n = run_len(p, from);

		if ((off - at) / bytes < n)
			return from + (unsigned)((off - at) / bytes);
		at += n * bytes;
		from += n;
		bytes = next_size(p, bytes);
	}
	return p->n;
}

uint64_t parts_bytes(const struct parts *p)
{
	uint64_t size;
	uint64_t at = parts_at(p, p->n - 1, &size);

	return at + size;
}
