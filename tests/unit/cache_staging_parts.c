/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_staging_parts.c - where the parts of an upload begin
 */
#include "cache/parts.h"

#include <check.h>

#include "tests/unit/run.h"

#define TIB (UINT64_C(1) << 40)

static const struct ufs_limits s3 = { .put_most = UINT64_C(5) << 30,
				      .part_least = MIB(5),
				      .part_most = UINT64_C(5) << 30,
				      .parts = 10000,
				      .object_most = 5 * TIB };

/* One behind the other, growing, within the bounds; found by their bytes. */
static void sound(const struct parts *p, const struct ufs_limits *l)
{
	uint64_t at = 0, last = 0, size;
	bool right = true;

	for (unsigned i = 0; i < p->n; i++) {
		right = right && parts_at(p, i, &size) == at &&
			size >= MAX(last, l->part_least) &&
			size % KIB(64) == 0 && parts_of(p, at) == i &&
			parts_of(p, at + size - 1) == i;
		at += size;
		last = size;
	}
	ck_assert(right);
	ck_assert_uint_eq(parts_bytes(p), at);
	ck_assert_uint_eq(parts_of(p, at), p->n);
	ck_assert_uint_le(last, MAX(l->part_most, p->first));
}

START_TEST(parts_grow_so_that_ten_thousand_are_the_largest_object)
{
	struct parts p;
	uint64_t size;

	parts_init(&p, &s3, 0);
	sound(&p, &s3);
	ck_assert_uint_ge(parts_bytes(&p), s3.object_most);
	ck_assert_uint_eq(parts_at(&p, 999, &size), 999 * MIB(8));
	ck_assert_uint_eq(size, MIB(8));
	ck_assert_uint_eq(parts_at(&p, 1000, &size), 1000 * MIB(8));
	ck_assert_uint_eq(size, MIB(16));
}
END_TEST

START_TEST(few_parts_grow_sooner)
{
	struct ufs_limits l = s3;
	struct parts p;

	l.parts = (unsigned[]){ 100, 10, 7, 1 }[_i];
	parts_init(&p, &l, 0);
	ck_assert_uint_eq(p.n, l.parts);
	sound(&p, &l);
}
END_TEST

START_TEST(a_size_that_was_asked_for_is_that_of_all_parts)
{
	struct parts p;
	uint64_t size;

	parts_init(&p, &s3, MIB(16) + 1);
	sound(&p, &s3);
	parts_at(&p, 0, &size);
	ck_assert_uint_eq(size, MIB(16) + KIB(64));
	parts_at(&p, 9999, &size);
	ck_assert_uint_eq(size, MIB(16) + KIB(64));
	/* Less than the store takes is raised to that. */
	parts_init(&p, &s3, KIB(64));
	ck_assert_uint_eq(p.first, MIB(5));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("parts");

	tcase_add_test(t,
		       parts_grow_so_that_ten_thousand_are_the_largest_object);
	tcase_add_loop_test(t, few_parts_grow_sooner, 0, 4);
	tcase_add_test(t, a_size_that_was_asked_for_is_that_of_all_parts);
	return RUN_CASES(t);
}
