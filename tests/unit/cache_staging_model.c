/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_staging_model.c - a staged file against a plain buffer
 *
 * Thousands of random writes, truncations, reads, seeks and commits; the file
 * is what the buffer is, and each commit's object what it was then. A seed
 * makes a run: CK_RUN_CASE and the number of the loop repeat one.
 */
#include "tests/unit/write_rig.h"

#include "tests/unit/run.h"

#define MOST (6 * PART + 12345)
#define OPS 1500

struct model {
	char *bytes;
	uint64_t size;
};

static struct write_rig rig;
static unsigned seed;
static struct model model;
static char *buf;

static void setup(void)
{
	write_rig_init(&rig);
	model = (struct model){ .bytes = calloc(1, MOST) };
	buf = malloc(MOST);
}

static void teardown(void)
{
	write_rig_fini(&rig);
	free(model.bytes);
	free(buf);
}

static uint64_t below(uint64_t n)
{
	return n == 0 ? 0 : (uint64_t)rand_r(&seed) % n;
}

/* Where something is: often at an edge of pages, parts or the file. */
static uint64_t place(void)
{
	static const uint64_t edges[] = { KIB(64), PART };

	switch (below(4)) {
	case 0:
		return below(MOST);
	case 1:
		return model.size;
	default: {
		uint64_t edge = edges[below(2)];
		uint64_t at = below(MOST / edge + 1) * edge + below(9);

		return MIN(at < 4 ? at : at - 4, MOST - 1);
	}
	}
}

static void op_write(struct staged *f)
{
	uint64_t off = place();
	uint64_t n = below(8) == 0 ? below(3 * PART) : below(20000);
	unsigned with = (unsigned)below(1000);

	n = MIN(n, MOST - off);
	fill_bytes(buf, n, with);
	ck_assert_int_eq(staged_write(f, buf, n, off), 0);
	if (n == 0)
		return;
	if (off > model.size)
		memset(model.bytes + model.size, 0, off - model.size);
	memcpy(model.bytes + off, buf, n);
	model.size = MAX(model.size, off + n);
}

static void op_truncate(struct staged *f)
{
	uint64_t size = place();

	ck_assert_int_eq(staged_truncate(f, size), 0);
	if (size > model.size)
		memset(model.bytes + model.size, 0, size - model.size);
	model.size = size;
}

static void op_allocate(struct staged *f)
{
	uint64_t off = place();
	uint64_t n = 1 + below(PART);

	n = MIN(n, MOST - off);
	if (n == 0)
		return;
	ck_assert_int_eq(staged_allocate(f, off, n), 0);
	if (off + n > model.size) {
		memset(model.bytes + model.size, 0, off + n - model.size);
		model.size = off + n;
	}
}

static void op_read(struct staged *f)
{
	uint64_t off = place();
	uint64_t n = below(8) == 0 ? MOST : below(50000);
	uint64_t want = off < model.size ? MIN(n, model.size - off) : 0;

	ck_assert_int_eq(staged_read(f, buf, n, off, false), (ssize_t)want);
	ck_assert_msg(memcmp(buf, model.bytes + off, want) == 0,
		      "wrong bytes at %ju", (uintmax_t)off);
}

/* What is said to be a hole holds zeros. */
static void op_seek(struct staged *f)
{
	uint64_t off = place();
	int64_t data = staged_seek(f, off, false);
	int64_t hole = staged_seek(f, off, true);

	if (off >= model.size) {
		ck_assert_int_eq(data, -ENXIO);
		ck_assert_int_eq(hole, -ENXIO);
		return;
	}
	ck_assert_int_ge(hole, (int64_t)off);
	ck_assert_int_le(hole, (int64_t)model.size);
	if (data == -ENXIO)
		data = (int64_t)model.size;
	ck_assert(((uint64_t)data == off) != ((uint64_t)hole == off));
	for (uint64_t i = off; i < (uint64_t)data; i++)
		if (model.bytes[i] != 0)
			ck_abort_msg("data in a hole at %ju", (uintmax_t)i);
}

static void commit_and_compare(struct staged *f)
{
	struct ufs_stat st;

	ck_assert_int_eq(staged_commit(f, &st, NULL), 0);
	ck_assert_uint_eq(st.size, model.size);
	ck_assert(store_has(&rig.store, "key", model.bytes, model.size));
	ck_assert(!state_of(f).dirty);
}

static void one_op(struct staged *f)
{
	switch (below(12)) {
	case 0:
		op_truncate(f);
		break;
	case 1:
		op_allocate(f);
		break;
	case 2:
		op_seek(f);
		break;
	case 3:
	case 4:
	case 5:
		op_read(f);
		break;
	case 6:
		if (below(5) == 0)
			commit_and_compare(f);
		break;
	default:
		op_write(f);
	}
	ck_assert_uint_eq(state_of(f).size, model.size);
}

START_TEST(a_file_is_what_a_buffer_is)
{
	struct ufs_stat st;
	struct staged *f;

	/* Half of them small files in memory, as long as they are small. */
	if (_i >= 6) {
		staging_free(rig.staging);
		cache_free(rig.cache);
		rig.conf.memory = MIB(1);
		write_rig_open(&rig);
	}
	seed = (unsigned)_i + 1;
	printf("seed %u\n", seed);
	if (_i % 2 == 0) {
		f = staged_open(&rig, "key", STAGED_NEW, NULL);
	} else {
		model.size = below(MOST);
		fill_bytes(model.bytes, model.size, 5);
		store_set(&rig.store, "key", model.bytes, model.size, &st);
		f = staged_open(&rig, "key", STAGED_UPON, &st);
	}
	for (int i = 0; i < OPS; i++)
		one_op(f);
	commit_and_compare(f);
	staged_unref(f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("model");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, a_file_is_what_a_buffer_is, 0, 12);
	return RUN_CASES(t);
}
