/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_listing.c - unit tests of listing files
 *
 * Each test runs with the listing in memory and on a disk. What a listing
 * holds is compared with a model: the sorted array of what was put in.
 */
#include "cache/listing.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/clock.h"
#include "cache/listing_impl.h"
#include "tests/unit/listing_rig.h"
#include "tests/unit/run.h"

struct item {
	char name[UFS_KEY_MAX + 1];
	size_t n;
	bool dir;
	uint64_t size;
};

static struct ufs_stat stat_of(uint64_t size)
{
	struct ufs_stat st = { .size = size,
			       .mtime = (int64_t)size * 7 + 1,
			       .flags = (unsigned)(size % 4) };

	snprintf(st.version, sizeof(st.version), "v%ju", (uintmax_t)size);
	if (size % 3 == 0)
		snprintf(st.storage_class, sizeof(st.storage_class), "GLACIER");
	return st;
}

static bool stat_eq(const struct ufs_stat *a, const struct ufs_stat *b)
{
	return a->size == b->size && a->mtime == b->mtime &&
	       a->flags == b->flags && strcmp(a->version, b->version) == 0 &&
	       strcmp(a->storage_class, b->storage_class) == 0;
}

static struct str name_of(const struct item *i)
{
	return (struct str){ i->name, i->n };
}

static int add(struct listing_writer *w, const struct item *i)
{
	struct ufs_entry e = { .key = name_of(i), .dir = i->dir };

	if (!i->dir)
		e.st = stat_of(i->size);
	return listing_writer_add(w, e.key, &e);
}

static struct listing *write_items(struct disk *d, const struct item *items,
				   size_t n)
{
	struct listing_writer *w;
	struct listing *l;

	ck_assert_int_eq(listing_writer_new(d, &id, clock_ns(), &w), 0);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(add(w, &items[i]), 0);
	ck_assert_int_eq(listing_writer_finish(w, &l), 0);
	return l;
}

static int item_cmp(const void *a, const void *b)
{
	return str_cmp(name_of(a), name_of(b));
}

static const struct item *model_find(const struct item *items, size_t n,
				     struct str name)
{
	static struct item key; /* only the main thread compares */

	memcpy(key.name, name.p, name.n);
	key.n = name.n;
	return bsearch(&key, items, n, sizeof(*items), item_cmp);
}

/* Is there an item of this name, and one with a slash behind it? */
static void model_both(const struct item *items, size_t n, struct str name,
		       const struct item **object, const struct item **dir)
{
	char slash[UFS_KEY_MAX + 2];

	memcpy(slash, name.p, name.n);
	slash[name.n] = '/';
	*object = model_find(items, n, name);
	*dir = model_find(items, n, (struct str){ slash, name.n + 1 });
}

struct walked {
	const struct item *items;
	size_t n, at;
	bool check_twins;
};

static int walk_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	struct walked *w = arg;
	const struct item *i = &w->items[w->at], *object, *dir;
	struct ufs_stat st = stat_of(i->size);

	ck_assert_uint_lt(w->at, w->n);
	ck_assert_uint_eq(number, w->at);
	ck_assert(str_eq(e->name, name_of(i)));
	ck_assert_int_eq(e->dir, i->dir);
	if (!i->dir)
		ck_assert(stat_eq(&e->st, &st));
	if (w->check_twins) {
		struct str base = e->name;

		base.n -= e->dir;
		model_both(w->items, w->n, base, &object, &dir);
		ck_assert_int_eq(e->twin, object != NULL && dir != NULL);
	}
	w->at++;
	return 0;
}

/* items: sorted, without two of one name. */
static void check_same(struct listing *l, const struct item *items, size_t n)
{
	struct walked w = { .items = items, .n = n, .check_twins = true };

	ck_assert_uint_eq(listing_entries(l), n);
	ck_assert_int_eq(listing_each(l, 0, walk_cb, &w), 0);
	ck_assert_uint_eq(w.at, n);
	for (size_t i = 0; i < n; i += 1 + n / 2000) {
		const struct item *object, *dir;
		struct str name = name_of(&items[i]);
		struct ufs_stat st, want;
		bool has_object, has_dir;

		name.n -= items[i].dir;
		for (int round = 0; round < 2; round++) {
			char other[UFS_KEY_MAX + 2];

			model_both(items, n, name, &object, &dir);
			ck_assert_int_eq(
			    listing_find(l, name, &has_object, &has_dir, &st),
			    0);
			ck_assert_int_eq(has_object, object != NULL);
			ck_assert_int_eq(has_dir, dir != NULL);
			if (object != NULL) {
				want = stat_of(object->size);
				ck_assert(stat_eq(&st, &want));
			}
			/* And a neighbour, which may be absent. */
			if (name.n == 0 || name.n >= UFS_KEY_MAX)
				break;
			memcpy(other, name.p, name.n);
			other[name.n - 1]++;
			if (other[name.n - 1] == '/')
				break;
			name = (struct str){ other, name.n };
		}
	}
}

static uint64_t seed;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

PRINTF_LIKE(2, 3)
static void set_name(struct item *i, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	i->n = (size_t)vsnprintf(i->name, sizeof(i->name), fmt, args);
	va_end(args);
	i->dir = i->n > 0 && i->name[i->n - 1] == '/';
	i->size = i->dir ? 0 : next_random() % 100000 + 1;
}

/* Few letters, so that many names begin with one another. */
static size_t random_items(struct item *items, size_t n)
{
	static const char letters[] = "ab!-.\xff";
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		struct item *it = &items[i];

		memset(it, 0, sizeof(*it));
		it->n = 1 + next_random() % 7;
		for (size_t k = 0; k < it->n; k++)
			it->name[k] = letters[next_random() % 6];
		it->dir = next_random() % 3 == 0;
		if (it->dir)
			it->name[it->n++] = '/';
		it->size = it->dir ? 0 : next_random() % 100000 + 1;
	}
	qsort(items, n, sizeof(*items), item_cmp);
	for (size_t i = 0; i < n; i++)
		if (out == 0 || item_cmp(&items[out - 1], &items[i]) != 0)
			items[out++] = items[i];
	return out;
}

static struct disk *round_disk(int i)
{
	return i % 2 == 0 ? NULL : disk;
}

START_TEST(what_was_written_is_found_and_walked_in_order)
{
	static const size_t sizes[] = { 0, 1, 2, 300, 8000 };
	size_t n = sizes[_i / 2];
	struct item *items = calloc(n + 1, sizeof(*items));
	struct listing *l, *again;

	for (size_t i = 0; i < n; i++)
		set_name(&items[i], i % 5 == 0 ? "part-%08u/" : "part-%08u.bin",
			 (unsigned)i);
	l = write_items(round_disk(_i), items, n);
	check_same(l, items, n);
	if (_i % 2 == 1) {
		ck_assert_int_eq(listing_open(disk, &id, &again), 0);
		ck_assert_int_eq(listing_taken(again), listing_taken(l));
		check_same(again, items, n);
		listing_unref(again);
	}
	listing_unref(l);
	free(items);
}
END_TEST

START_TEST(random_names_with_common_starts_come_back_with_their_twins)
{
	struct item *items = calloc(6000, sizeof(*items));

	for (size_t n = 1; n < 6000; n = n * 3 + 1) {
		size_t unique = random_items(items, n);
		struct listing *l = write_items(round_disk(_i), items, unique);

		check_same(l, items, unique);
		listing_unref(l);
	}
	free(items);
}
END_TEST

START_TEST(an_object_many_blocks_before_its_directory_is_its_twin)
{
	size_t n = 5000, at = 0;
	struct item *items = calloc(n + 8, sizeof(*items));
	struct listing *l;

	set_name(&items[at++], "a");
	set_name(&items[at++], "a!");
	for (size_t i = 0; i < n / 2; i++)
		set_name(&items[at++], "a!!%06u", (unsigned)i);
	set_name(&items[at++], "a!/");
	for (size_t i = 0; i < n / 2; i++)
		set_name(&items[at++], "a-%06u", (unsigned)i);
	set_name(&items[at++], "a/");
	set_name(&items[at++], "a0");
	l = write_items(round_disk(_i), items, at);
	check_same(l, items, at);
	listing_unref(l);
	free(items);
}
END_TEST

static void shuffle(struct item *items, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = next_random() % i;
		struct item t = items[i - 1];

		items[i - 1] = items[k];
		items[k] = t;
	}
}

START_TEST(names_out_of_order_are_sorted)
{
	size_t n = 3000, unique;
	struct item *items = calloc(n, sizeof(*items));
	struct item *mixed = calloc(n, sizeof(*mixed));
	struct listing *l;

	unique = random_items(items, n);
	memcpy(mixed, items, unique * sizeof(*items));
	/* The first third stays in order. */
	shuffle(mixed + unique / 3, unique - unique / 3);
	l = write_items(round_disk(_i), mixed, unique);
	check_same(l, items, unique);
	listing_unref(l);
	shuffle(mixed, unique);
	l = write_items(round_disk(_i), mixed, unique);
	check_same(l, items, unique);
	listing_unref(l);
	free(mixed);
	free(items);
}
END_TEST

START_TEST(of_equal_names_the_last_counts)
{
	size_t n = 1000, unique;
	struct item *items = calloc(n, sizeof(*items));
	struct item *twice = calloc(3 * n, sizeof(*twice));
	struct listing *l;

	unique = random_items(items, n);
	/* Other sizes first; then some of the right ones; then all. */
	for (size_t i = 0; i < unique; i++) {
		twice[i] = items[i];
		twice[i].size += !items[i].dir;
		twice[unique + i] = items[i];
		twice[2 * unique + i] = items[i];
	}
	shuffle(twice, unique);
	l = write_items(round_disk(_i), twice, 3 * unique);
	check_same(l, items, unique);
	listing_unref(l);
	/* And when only one is repeated at once, as at a page's border. */
	memcpy(twice, items, unique * sizeof(*items));
	twice[unique] = items[unique - 1];
	l = write_items(round_disk(_i), twice, unique + 1);
	check_same(l, items, unique);
	listing_unref(l);
	free(twice);
	free(items);
}
END_TEST

struct merged {
	const struct item *items;
	size_t n, at;
};

static int merged_cb(void *arg, const uint8_t *entry, size_t n)
{
	struct merged *m = arg;
	struct listing_entry e;

	ck_assert_uint_eq(entry_decode(entry, n, &e), n);
	ck_assert_uint_lt(m->at, m->n);
	ck_assert(str_eq(e.name, name_of(&m->items[m->at])));
	ck_assert(e.dir || e.st.size == m->items[m->at].size);
	m->at++;
	return 0;
}

START_TEST(more_runs_than_are_merged_at_once_are_merged_all_the_same)
{
	size_t n = 20000, unique;
	struct item *items = calloc(n, sizeof(*items));
	struct item *mixed = calloc(n, sizeof(*mixed));
	struct merged m = { .items = items };
	struct sorter *s;

	unique = random_items(items, n);
	memcpy(mixed, items, unique * sizeof(*items));
	/* A buffer of some 80 entries: some 200 runs, twice. */
	ck_assert_int_eq(sorter_new(round_disk(_i), KIB(3), &s), 0);
	for (int round = 0; round < 2; round++) {
		shuffle(mixed, unique);
		for (size_t i = 0; i < unique; i++) {
			struct ufs_stat st =
			    stat_of(mixed[i].size + (round == 0));
			uint8_t entry[ENTRY_MAX];
			size_t size =
			    entry_encode(name_of(&mixed[i]), mixed[i].dir,
					 false, &st, entry);

			ck_assert_int_eq(sorter_add(s, entry, size), 0);
		}
	}
	m.n = unique;
	ck_assert_int_eq(sorter_merge(s, merged_cb, &m), 0);
	ck_assert_uint_eq(m.at, unique);
	sorter_free(s);
	free(mixed);
	free(items);
}
END_TEST

START_TEST(a_walk_from_any_number_goes_on_there)
{
	size_t n = 4000;
	struct item *items = calloc(n, sizeof(*items));
	struct listing *l;

	for (size_t i = 0; i < n; i++)
		set_name(&items[i], "%08u", (unsigned)i);
	l = write_items(round_disk(_i), items, n);
	for (size_t i = 0; i < n + 10; i += 1 + i / 20) {
		struct walked w = { .items = items, .n = n, .at = i };

		ck_assert_int_eq(listing_each(l, i, walk_cb, &w), 0);
		ck_assert_uint_eq(w.at, MAX(n, i));
	}
	listing_unref(l);
	free(items);
}
END_TEST

static int stop_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	(void)number;
	(void)e;
	return --*(int *)arg == 0 ? 42 : 0;
}

START_TEST(a_walk_ends_when_it_is_told_to)
{
	struct item items[8];
	struct listing *l;
	int left = 3;

	for (unsigned i = 0; i < 8; i++)
		set_name(&items[i], "%u", i);
	l = write_items(round_disk(_i), items, 8);
	ck_assert_int_eq(listing_each(l, 0, stop_cb, &left), 42);
	ck_assert_int_eq(left, 0);
	left = 2;
	ck_assert_int_eq(listing_each_prefix(l, str_of(""), stop_cb, &left),
			 42);
	listing_unref(l);
}
END_TEST

START_TEST(a_walk_by_prefix_gives_just_those)
{
	size_t n = 5000, unique;
	struct item *items = calloc(n, sizeof(*items));
	struct listing *l;

	unique = random_items(items, n);
	l = write_items(round_disk(_i), items, unique);
	for (size_t i = 0; i < unique; i += 7) {
		struct str prefix = name_of(&items[i]);
		struct walked w = { .items = items };

		prefix.n = prefix.n / 2;
		while (!str_starts(name_of(&items[w.at]), prefix))
			w.at++;
		w.n = w.at;
		while (w.n < unique && str_starts(name_of(&items[w.n]), prefix))
			w.n++;
		ck_assert_int_eq(listing_each_prefix(l, prefix, walk_cb, &w),
				 0);
		ck_assert_uint_eq(w.at, w.n);
	}
	listing_unref(l);
	free(items);
}
END_TEST

START_TEST(an_index_of_many_groups_is_searched_right)
{
	size_t n = 20000;
	struct item *items = calloc(n, sizeof(*items));
	struct listing *l;

	/* 300 bytes each: 200 blocks, rows of 350 bytes. */
	for (size_t i = 0; i < n; i++)
		set_name(&items[i], "%0300u", (unsigned)i);
	l = write_items(round_disk(_i), items, n);
	check_same(l, items, n);
	listing_unref(l);
	free(items);
}
END_TEST

START_TEST(names_that_are_not_one_component_are_refused)
{
	static const struct item bad[] = {
		{ .name = "a/b", .n = 3 },
		{ .name = "/a", .n = 2 },
		{ .name = "a", .n = 1, .dir = true },
		{ .name = "a/b/", .n = 4, .dir = true },
		{ .name = "a//", .n = 3, .dir = true },
		{ .name = "", .n = 0, .dir = true },
		{ .name = "a/", .n = 2 },
	};
	struct listing_writer *w;
	char longest[UFS_KEY_MAX + 2];
	struct ufs_entry e = { .key = { longest, sizeof(longest) } };

	memset(longest, 'x', sizeof(longest));
	ck_assert_int_eq(listing_writer_new(round_disk(_i), &id, 1, &w), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(add(w, &bad[i]), -EIO);
	ck_assert_int_eq(listing_writer_add(w, e.key, &e), -EIO);
	e.key.n = UFS_KEY_MAX;
	ck_assert_int_eq(listing_writer_add(w, e.key, &e), 0);
	listing_writer_drop(w);
}
END_TEST

START_TEST(the_marker_is_an_entry_only_when_it_carries_data)
{
	struct item data = { .n = 0, .size = 7 };
	struct item slash = { .name = "/", .n = 1, .dir = true };
	bool object, dir;
	struct ufs_stat st;
	struct listing_writer *w;
	struct listing *l = write_items(round_disk(_i), NULL, 0);

	ck_assert(!listing_marker(l));
	listing_unref(l);
	ck_assert_int_eq(listing_writer_new(round_disk(_i), &id, 1, &w), 0);
	ck_assert_int_eq(
	    listing_writer_add(w, STR_EMPTY, &(struct ufs_entry){ 0 }), 0);
	ck_assert_int_eq(listing_writer_finish(w, &l), 0);
	ck_assert(listing_marker(l));
	ck_assert_uint_eq(listing_entries(l), 0);
	ck_assert_int_eq(listing_find(l, STR_EMPTY, &object, &dir, &st), 0);
	ck_assert(!object && !dir);
	listing_unref(l);
	ck_assert_int_eq(listing_writer_new(round_disk(_i), &id, 1, &w), 0);
	ck_assert_int_eq(add(w, &data), 0);
	ck_assert_int_eq(add(w, &slash), 0);
	ck_assert_int_eq(listing_writer_finish(w, &l), 0);
	ck_assert(listing_marker(l));
	ck_assert_int_eq(listing_find(l, STR_EMPTY, &object, &dir, &st), 0);
	ck_assert(object && dir && st.size == 7);
	ck_assert(!listing_marker_stat(l, &st));
	listing_unref(l);
}
END_TEST

/* _i: the disk. In order, and so late that all has to be sorted. */
START_TEST(what_the_store_said_of_an_empty_marker_is_kept)
{
	struct ufs_entry e = { .st.mtime = INT64_C(1700000000123456789) };
	struct item first = { .name = "a", .n = 1, .size = 3 };
	struct item second = { .name = "b", .n = 1, .size = 3 };
	struct listing_writer *w;
	struct ufs_stat st;
	struct listing *l;

	for (int late = 0; late < 3; late++) {
		snprintf(e.st.version, sizeof(e.st.version), "%s",
			 late == 2 ? "odd" : LISTING_PLAIN_VERSION);
		ck_assert_int_eq(listing_writer_new(round_disk(_i), &id, 1, &w),
				 0);
		if (late == 0)
			ck_assert_int_eq(listing_writer_add(w, STR_EMPTY, &e),
					 0);
		ck_assert_int_eq(add(w, &second), 0);
		ck_assert_int_eq(add(w, &first), 0);
		if (late > 0)
			ck_assert_int_eq(listing_writer_add(w, STR_EMPTY, &e),
					 0);
		ck_assert_int_eq(listing_writer_finish(w, &l), 0);
		ck_assert_uint_eq(listing_entries(l), 2);
		ck_assert(listing_marker(l));
		ck_assert(listing_marker_stat(l, &st) == (late != 2));
		if (late != 2) {
			ck_assert_int_eq(st.mtime, e.st.mtime);
			ck_assert_str_eq(st.version, e.st.version);
			ck_assert_uint_eq(st.size, 0);
		}
		listing_unref(l);
	}
}
END_TEST

/* The one listing file below tmp. */
static char found_path[256];

static int find_lst(const char *path, const struct stat *st, int flag,
		    struct FTW *ftw)
{
	size_t n = strlen(path);

	(void)st;
	(void)ftw;
	if (flag == FTW_F && n > 4 && strcmp(path + n - 4, ".lst") == 0)
		snprintf(found_path, sizeof(found_path), "%s", path);
	return 0;
}

static uint8_t *slurp(size_t *n)
{
	uint8_t *bytes;
	struct stat st;
	int fd;

	found_path[0] = '\0';
	nftw(tmp, find_lst, 16, FTW_PHYS);
	fd = open(found_path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	*n = (size_t)st.st_size;
	bytes = malloc(*n);
	ck_assert_int_eq(spool_pread(fd, 0, bytes, *n), 0);
	close(fd);
	return bytes;
}

static void spit(const uint8_t *bytes, size_t n)
{
	int fd =
	    open(found_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

/* Use all of a listing that may be spoilt. Returns the first failure. */
static int use_all(struct listing *l, listing_cb *cb, void *arg)
{
	bool object, dir;
	struct ufs_stat st;
	int r = listing_each(l, 0, cb, arg);

	if (r == 0)
		r = listing_find(l, str_of("part-000007"), &object, &dir, &st);
	if (r == 0)
		r = listing_find(l, str_of("part-000008"), &object, &dir, &st);
	return r;
}

START_TEST(a_file_with_a_flipped_byte_or_cut_short_never_lies)
{
	size_t count = 700, n;
	struct item *items = calloc(count, sizeof(*items));
	struct listing *l;
	uint8_t *bytes;
	unsigned refused = 0, tried = 0;

	for (size_t i = 0; i < count; i++)
		set_name(&items[i], "part-%06u", (unsigned)i);
	listing_unref(write_items(disk, items, count));
	bytes = slurp(&n);
	for (size_t i = 0; i < 2 * n; i += i % n < 256 ? 1 : 61) {
		struct walked w = { .items = items, .n = count };
		int r;

		tried++;
		if (i < n) {
			bytes[i] ^= 0x10;
			spit(bytes, n);
			bytes[i] ^= 0x10;
		} else {
			spit(bytes, i - n);
		}
		r = listing_open(disk, &id, &l);
		if (r == 0) {
			r = use_all(l, walk_cb, &w);
			ck_assert_int_eq(listing_is_bad(l), r < 0);
			listing_unref(l);
		}
		ck_assert(r == 0 || r == -ENOENT || r == -EIO);
		if (r < 0) {
			/* It is gone from the disk as well. */
			ck_assert_int_eq(access(found_path, F_OK), -1);
			refused++;
		}
	}
	ck_assert_uint_eq(refused, tried);
	free(bytes);
	free(items);
}
END_TEST

static int any_cb(void *arg, uint64_t number, const struct listing_entry *e)
{
	(void)number;
	/* Touch all of it, so that a sanitizer sees what is out of bounds. */
	for (size_t i = 0; i < e->name.n; i++)
		*(uint64_t *)arg += (uint8_t)e->name.p[i];
	*(uint64_t *)arg += strlen(e->st.version) + strlen(e->st.storage_class);
	return 0;
}

/* Make all hashes right again: what is left is a forger's work. */
static void forge(uint8_t *b, size_t n)
{
	uint64_t index = get_le64(b + 48);
	size_t at;

	if (index < LISTING_HEADER || index > n)
		return;
	for (at = (size_t)index; at < n;) {
		struct row row;
		size_t size = row_decode(b + at, n - at, &row);

		if (size == 0)
			break;
		if (row.off < n && row.len <= n - row.off)
			put_le64(b + at + ROW_HASH_AT,
				 XXH3_64bits(b + row.off, row.len));
		at += size;
	}
	put_le64(b + 100, XXH3_64bits(b + index, n - (size_t)index));
	put_le64(b + 120, XXH3_64bits(b, 120));
}

START_TEST(a_forged_file_with_right_hashes_harms_nobody)
{
	size_t count = 900, n;
	struct item *items = calloc(count, sizeof(*items));
	uint8_t *bytes, *copy;
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		set_name(&items[i], "part-%06u", (unsigned)i);
	listing_unref(write_items(disk, items, count));
	bytes = slurp(&n);
	copy = malloc(n);
	for (int round = 0; round < 1500; round++) {
		struct listing *l;

		memcpy(copy, bytes, n);
		for (uint64_t k = next_random() % 4 + 1; k > 0; k--) {
			uint64_t index = get_le64(bytes + 48);
			size_t at = next_random() % n;

			if (round % 3 == 0)
				at = next_random() % LISTING_HEADER;
			if (round % 3 == 1)
				at = index + next_random() % (n - index);
			copy[at] = (uint8_t)next_random();
		}
		forge(copy, n);
		spit(copy, n);
		if (listing_open(disk, &id, &l) < 0)
			continue;
		use_all(l, any_cb, &sum);
		listing_each(l, next_random() % (count + 5), any_cb, &sum);
		listing_each_prefix(l, str_of("part-0003"), any_cb, &sum);
		listing_unref(l);
	}
	free(copy);
	free(bytes);
	free(items);
}
END_TEST

START_TEST(a_listing_of_an_earlier_boot_has_no_date)
{
	struct item item;
	struct listing *l;
	uint8_t *bytes;
	size_t n;

	set_name(&item, "a");
	listing_unref(write_items(disk, &item, 1));
	bytes = slurp(&n);
	bytes[64] ^= 1; /* of the boot id */
	forge(bytes, n);
	spit(bytes, n);
	ck_assert_int_eq(listing_open(disk, &id, &l), 0);
	ck_assert(listing_taken(l) == INT64_MIN);
	check_same(l, &item, 1);
	listing_unref(l);
	free(bytes);
}
END_TEST

START_TEST(a_listing_of_another_directory_is_not_taken_for_ours)
{
	struct item item;
	struct listing *l;
	uint8_t *bytes;
	size_t n;

	set_name(&item, "a");
	listing_unref(write_items(disk, &item, 1));
	bytes = slurp(&n);
	bytes[8] ^= 1; /* of the id */
	forge(bytes, n);
	spit(bytes, n);
	ck_assert_int_eq(listing_open(disk, &id, &l), -ENOENT);
	ck_assert_int_eq(access(found_path, F_OK), -1);
	free(bytes);
}
END_TEST

START_TEST(a_newer_listing_replaces_the_older_whose_readers_go_on)
{
	struct item one, two[2];
	struct listing *old, *new, *l;

	set_name(&one, "a");
	set_name(&two[0], "a");
	set_name(&two[1], "b");
	old = write_items(disk, &one, 1);
	new = write_items(disk, two, 2);
	ck_assert_int_eq(listing_open(disk, &id, &l), 0);
	check_same(l, two, 2);
	check_same(new, two, 2);
	check_same(old, &one, 1);
	listing_unref(l);
	listing_unref(new);
	listing_unref(old);
	listing_remove(disk, &id);
	ck_assert_int_eq(listing_open(disk, &id, &l), -ENOENT);
}
END_TEST

START_TEST(a_dropped_writer_leaves_nothing_and_gives_its_space_back)
{
	uint64_t before = disk_bytes(disk);
	struct listing_writer *w;
	struct listing *l;
	struct item item;

	ck_assert_int_eq(listing_writer_new(disk, &id, 1, &w), 0);
	for (unsigned i = 0; i < 20000; i++) {
		set_name(&item, "%08u", i % 2 ? i : 20000 - i);
		ck_assert_int_eq(add(w, &item), 0);
	}
	listing_writer_drop(w);
	ck_assert_uint_eq(disk_bytes(disk), before);
	ck_assert_int_eq(listing_open(disk, &id, &l), -ENOENT);
}
END_TEST

START_TEST(a_disk_that_becomes_full_half_way_leaves_the_listing_in_memory)
{
	/* Of 500 bytes each, above the limit: some of it was on the disk. */
	struct disk_conf conf = { .dir = tmp, .size = KIB(700) };
	size_t n = 4000;
	struct item *items = calloc(n, sizeof(*items));
	struct listing *l;
	char why[256];

	disk_close(disk);
	ck_assert_int_eq(disk_open(&conf, &disk, why), 0);
	for (size_t i = 0; i < n; i++)
		set_name(&items[i], "%0500u", (unsigned)i);
	if (_i == 1) /* and when it must be sorted */
		shuffle(items, n);
	l = write_items(disk, items, n);
	qsort(items, n, sizeof(*items), item_cmp);
	check_same(l, items, n);
	listing_unref(l);
	ck_assert_int_eq(listing_open(disk, &id, &l), -ENOENT);
	free(items);
}
END_TEST

struct reader {
	struct listing *l;
	const struct item *items;
	size_t n;
	uint64_t seed;
};

static void *read_main(void *arg)
{
	struct reader *r = arg;
	uint64_t sum = 0;

	for (int i = 0; i < 3000; i++) {
		const struct item *it;
		bool object, dir;
		struct ufs_stat st;

		r->seed = r->seed * 6364136223846793005u + 1442695040888963407u;
		it = &r->items[(r->seed >> 33) % r->n];
		if (listing_find(r->l, name_of(it), &object, &dir, &st) < 0 ||
		    !object || st.size != it->size)
			return arg;
		if (i % 100 == 0 &&
		    listing_each(r->l, (r->seed >> 40) % r->n, any_cb, &sum))
			return arg;
	}
	return NULL;
}

START_TEST(many_threads_read_one_listing)
{
	size_t n = 5000;
	struct item *items = calloc(n, sizeof(*items));
	struct reader readers[4];
	pthread_t threads[4];
	struct listing *l;
	void *failed;

	for (size_t i = 0; i < n; i++)
		set_name(&items[i], "%08u", (unsigned)i);
	l = write_items(round_disk(_i), items, n);
	for (unsigned i = 0; i < 4; i++) {
		readers[i] = (struct reader){ l, items, n, i + 1 };
		pthread_create(&threads[i], NULL, read_main, &readers[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	listing_unref(l);
	free(items);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("listing");

	seed = 0x9e3779b97f4a7c15u ^ (uint64_t)getpid();
	printf("seed %#jx\n", (uintmax_t)seed);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, listing_setup, listing_teardown);
	tcase_add_loop_test(t, what_was_written_is_found_and_walked_in_order, 0,
			    10);
	tcase_add_loop_test(
	    t, random_names_with_common_starts_come_back_with_their_twins, 0,
	    2);
	tcase_add_loop_test(
	    t, an_object_many_blocks_before_its_directory_is_its_twin, 0, 2);
	tcase_add_loop_test(t, names_out_of_order_are_sorted, 0, 2);
	tcase_add_loop_test(t, of_equal_names_the_last_counts, 0, 2);
	tcase_add_loop_test(
	    t, more_runs_than_are_merged_at_once_are_merged_all_the_same, 0, 2);
	tcase_add_loop_test(t, a_walk_from_any_number_goes_on_there, 0, 2);
	tcase_add_loop_test(t, a_walk_ends_when_it_is_told_to, 0, 2);
	tcase_add_loop_test(t, a_walk_by_prefix_gives_just_those, 0, 2);
	tcase_add_loop_test(t, an_index_of_many_groups_is_searched_right, 0, 2);
	tcase_add_loop_test(t, names_that_are_not_one_component_are_refused, 0,
			    2);
	tcase_add_loop_test(t, the_marker_is_an_entry_only_when_it_carries_data,
			    0, 2);
	tcase_add_loop_test(t, what_the_store_said_of_an_empty_marker_is_kept,
			    0, 2);
	tcase_add_test(t, a_file_with_a_flipped_byte_or_cut_short_never_lies);
	tcase_add_test(t, a_forged_file_with_right_hashes_harms_nobody);
	tcase_add_test(t, a_listing_of_an_earlier_boot_has_no_date);
	tcase_add_test(t, a_listing_of_another_directory_is_not_taken_for_ours);
	tcase_add_test(t,
		       a_newer_listing_replaces_the_older_whose_readers_go_on);
	tcase_add_test(
	    t, a_dropped_writer_leaves_nothing_and_gives_its_space_back);
	tcase_add_loop_test(
	    t, a_disk_that_becomes_full_half_way_leaves_the_listing_in_memory,
	    0, 2);
	tcase_add_loop_test(t, many_threads_read_one_listing, 0, 2);
	return RUN_CASES(t);
}
