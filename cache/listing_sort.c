/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listing_sort.c - entries that came out of order: runs and their merge
 *
 * Entries gather in a buffer, which is sorted and written out as a run when
 * it is full. Runs are kept in the order in which they came: of equal names
 * the one in the latest run counts. When there are RUNS_MAX, they are merged
 * into one, so that neither memory nor the number of open buffers grows.
 */
#include "cache/listing_impl.h"

#include <errno.h>

#define RUNS_MAX 64
#define WINDOW KIB(32)

struct run {
	struct spool *spool; /* borrowed */
	uint64_t off, end;
};

struct sorter {
	struct disk *disk;
	struct spool *spool; /* owned: what was written here */
	struct run runs[RUNS_MAX];
	size_t nruns;
	uint8_t *buf;
	size_t size; /* of buf */
	size_t n;
	uint32_t *at; /* where each entry in buf begins */
	size_t nat, room;
};

static struct spool *spool_new(struct disk *d)
{
	struct spool *s = malloc(sizeof(*s));

	if (s != NULL)
		spool_init(s, d);
	return s;
}

static void spool_free(struct spool *s)
{
	if (s == NULL)
		return;
	spool_fini(s);
	free(s);
}

int sorter_new(struct disk *d, size_t size, struct sorter **out)
{
	struct sorter *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->disk = d;
	s->spool = spool_new(d);
	s->size = size;
	s->buf = malloc(size);
	if (s->spool == NULL || s->buf == NULL) {
		sorter_free(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

void sorter_free(struct sorter *s)
{
	if (s == NULL)
		return;
	spool_free(s->spool);
	free(s->buf);
	free(s->at);
	free(s);
}

/* Where a run is read: a window of it, and the entry that is next. */
struct cursor {
	struct run *run;
	uint8_t *window;
	size_t pos, n;
	struct str name; /* of the next entry */
	size_t size;     /* of the next entry; 0: the run is at its end */
};

static int cursor_next(struct cursor *c)
{
	size_t rest, more;
	int r;

	c->pos += c->size;
	rest = c->n - c->pos;
	if (rest < ENTRY_MAX && c->run->off < c->run->end) {
		memmove(c->window, c->window + c->pos, rest);
		more = (size_t)MIN(WINDOW - rest, c->run->end - c->run->off);
		r = spool_read(c->run->spool, c->run->off, c->window + rest,
			       more);
		if (r < 0)
			return r;
		c->run->off += more;
		c->pos = 0;
		c->n = rest + more;
	}
	if (c->pos == c->n) {
		c->size = 0;
		return 0;
	}
	c->size = entry_name(c->window + c->pos, c->n - c->pos, &c->name);
	return c->size == 0 ? -EIO : 0;
}

/* The smallest name; of equal ones the last. NULL: all are at their end. */
static struct cursor *smallest(struct cursor *c, size_t n)
{
	struct cursor *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (c[i].size > 0 &&
		    (best == NULL || str_cmp(c[i].name, best->name) <= 0))
			best = &c[i];
	return best;
}

static int merge_cursors(struct cursor *c, size_t n, sorter_cb *cb, void *arg)
{
	struct cursor *best;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = cursor_next(&c[i]);
	while (r == 0 && (best = smallest(c, n)) != NULL) {
		r = cb(arg, best->window + best->pos, best->size);
		for (size_t i = 0; i < n && r == 0; i++)
			if (&c[i] != best && c[i].size > 0 &&
			    str_eq(c[i].name, best->name))
				r = cursor_next(&c[i]);
		if (r == 0)
			r = cursor_next(best);
	}
	return r;
}

static int merge_runs(struct sorter *s, sorter_cb *cb, void *arg)
{
	AUTO_FREE struct cursor *c = calloc(s->nruns + 1, sizeof(*c));
	AUTO_FREE uint8_t *windows = malloc(s->nruns * WINDOW + 1);

	if (c == NULL || windows == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->nruns; i++) {
		c[i].run = &s->runs[i];
		c[i].window = windows + i * WINDOW;
	}
	return merge_cursors(c, s->nruns, cb, arg);
}

static int append_cb(void *arg, const uint8_t *entry, size_t n)
{
	return spool_append(arg, entry, n);
}

/* Make one run of all of them. */
static int collapse(struct sorter *s)
{
	struct spool *merged = spool_new(s->disk);
	int r;

	if (merged == NULL)
		return -ENOMEM;
	r = merge_runs(s, append_cb, merged);
	if (r < 0) {
		spool_free(merged);
		return r;
	}
	spool_free(s->spool);
	s->spool = merged;
	s->runs[0] = (struct run){ merged, 0, spool_size(merged) };
	s->nruns = 1;
	return 0;
}

void sorter_first_run(struct sorter *s, struct spool *spool, uint64_t off,
		      uint64_t end)
{
	s->runs[s->nruns++] = (struct run){ spool, off, end };
}

static struct str name_at(const uint8_t *buf, uint32_t at)
{
	struct str name = STR_EMPTY;

	entry_name(buf + at, ENTRY_MAX, &name);
	return name;
}

static int compare(const void *a, const void *b, void *arg)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int r = str_cmp(name_at(arg, x), name_at(arg, y));

	return r != 0 ? r : (x > y) - (x < y);
}

static int write_run(struct sorter *s)
{
	struct str name = STR_EMPTY;
	uint64_t off;
	int r = 0;

	if (s->nat == 0)
		return 0;
	if (s->nruns == RUNS_MAX)
		r = collapse(s);
	off = spool_size(s->spool);
	qsort_r(s->at, s->nat, sizeof(*s->at), compare, s->buf);
	for (size_t i = 0; i < s->nat && r == 0; i++) {
		const uint8_t *p = s->buf + s->at[i];
		size_t n = entry_name(p, s->n - s->at[i], &name);

		if (i + 1 < s->nat &&
		    str_eq(name, name_at(s->buf, s->at[i + 1])))
			continue; /* a later one of this name counts */
		r = spool_append(s->spool, p, n);
	}
	if (r < 0)
		return r;
	s->n = 0;
	s->nat = 0;
	s->runs[s->nruns++] =
	    (struct run){ s->spool, off, spool_size(s->spool) };
	return 0;
}

int sorter_add(struct sorter *s, const uint8_t *entry, size_t n)
{
	if (n > s->size - s->n) {
		int r = write_run(s);

		if (r < 0)
			return r;
	}
	if (s->nat == s->room) {
		size_t room = s->room == 0 ? 1024 : 2 * s->room;
		uint32_t *at = realloc(s->at, room * sizeof(*at));

		if (at == NULL)
			return -ENOMEM;
		s->at = at;
		s->room = room;
	}
	memcpy(s->buf + s->n, entry, n);
	s->at[s->nat++] = (uint32_t)s->n;
	s->n += n;
	return 0;
}

int sorter_merge(struct sorter *s, sorter_cb *cb, void *arg)
{
	int r = write_run(s);

	return r < 0 ? r : merge_runs(s, cb, arg);
}
