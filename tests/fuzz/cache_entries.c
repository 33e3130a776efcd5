/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_entries.c - names in any order, any number of times, are a listing:
 * in key order, the last of equal ones, twins known, each one found
 *
 * Input: entries, each a byte of kind and length and its name (short ones:
 * they are to be alike).
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "cache/listing_impl.h"

#define ENTRIES_MAX 64
#define NAME_MAX_HERE 8

/* What should be there: sorted, no two alike. */
struct model {
	struct {
		char name[NAME_MAX_HERE + 2];
		size_t n;
		bool dir;
		uint64_t size;
	} e[ENTRIES_MAX];
	size_t n;
	bool marker;
};

static struct str name_of(const struct model *m, size_t i)
{
	return (struct str){ m->e[i].name, m->e[i].n };
}

/* The place of name, or where it belongs. */
static size_t place(const struct model *m, struct str name, bool *there)
{
	size_t i = 0;

	while (i < m->n && str_cmp(name_of(m, i), name) < 0)
		i++;
	*there = i < m->n && str_eq(name_of(m, i), name);
	return i;
}

static void model_put(struct model *m, struct str name, bool dir, uint64_t size)
{
	bool there;
	size_t i = place(m, name, &there);

	if (!there) {
		memmove(&m->e[i + 1], &m->e[i], (m->n - i) * sizeof(m->e[0]));
		m->n++;
	}
	memcpy(m->e[i].name, name.p, name.n);
	m->e[i].n = name.n;
	m->e[i].dir = dir;
	m->e[i].size = size;
}

/* "a" of "a/" and the other way round: is it there, too? */
static bool has_twin(const struct model *m, size_t i)
{
	char other[NAME_MAX_HERE + 2];
	size_t n = m->e[i].n;
	bool there;

	memcpy(other, m->e[i].name, n);
	if (m->e[i].dir)
		n--;
	else
		other[n++] = '/';
	(void)place(m, (struct str){ other, n }, &there);
	return there;
}

struct walked {
	const struct model *m;
	size_t n;
};

static int on_entry(void *arg, uint64_t number, const struct listing_entry *e)
{
	struct walked *w = arg;
	const struct model *m = w->m;

	CHECK(number == w->n && w->n < m->n);
	CHECK(str_eq(e->name, name_of(m, w->n)));
	CHECK(e->dir == m->e[w->n].dir);
	CHECK(e->twin == has_twin(m, w->n));
	CHECK(e->dir || e->st.size == m->e[w->n].size);
	w->n++;
	return 0;
}

static void check_find(struct listing *l, const struct model *m,
		       struct str name)
{
	char with_slash[NAME_MAX_HERE + 2];
	bool object, dir, wants_object, wants_dir;
	struct ufs_stat st;
	size_t i = place(m, name, &wants_object);

	memcpy(with_slash, name.p, name.n);
	with_slash[name.n] = '/';
	(void)place(m, (struct str){ with_slash, name.n + 1 }, &wants_dir);
	CHECK(listing_find(l, name, &object, &dir, &st) == 0);
	CHECK(object == wants_object && dir == wants_dir);
	if (object)
		CHECK(st.size == m->e[i].size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct disk_id id = { .b = { 9 } };
	static struct model m;
	struct input in = { data, size };
	struct listing_writer *w;
	struct walked walked = { .m = &m };
	struct listing *l;

	m.n = 0;
	m.marker = false;
	CHECK(listing_writer_new(NULL, &id, 1, &w) == 0);
	for (unsigned k = 1; k < ENTRIES_MAX && in.n > 0; k++) {
		uint8_t how = take_u8(&in);
		struct str s = take_str(&in, how % (NAME_MAX_HERE + 1));
		struct ufs_entry e = { .dir = how & 0x80, .st.size = k };
		char name[NAME_MAX_HERE + 2];
		size_t n = s.n;

		memcpy(name, s.p, n);
		/* A directory is a component and its slash. */
		if (e.dir)
			name[n++] = '/';
		e.key = (struct str){ name, n };
		if (memchr(s.p, '/', s.n) != NULL) {
			CHECK(listing_writer_add(w, e.key, &e) == -EIO);
			continue;
		}
		CHECK(listing_writer_add(w, e.key, &e) == 0);
		model_put(&m, e.key, e.dir, k);
		m.marker = m.marker || n == 0;
	}
	CHECK(listing_writer_finish(w, &l) == 0);
	CHECK(listing_entries(l) == m.n);
	CHECK(listing_marker(l) == m.marker);
	CHECK(listing_each(l, 0, on_entry, &walked) == 0 && walked.n == m.n);
	for (size_t i = 0; i < m.n; i++) {
		struct str name = name_of(&m, i);

		if (m.e[i].dir)
			name.n--;
		check_find(l, &m, name);
	}
	check_find(l, &m, str_of("none"));
	CHECK(!listing_is_bad(l));
	listing_unref(l);
	return 0;
}
