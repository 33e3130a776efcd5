/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_ring.c - who owns what
 */
#include "ring/ring.h"

#include <errno.h>
#include <stdio.h>

#include "tests/unit/run.h"

/* Sanitizers make each lookup slow; the numbers stay what they are. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEYS 1000000
#else
#define KEYS 10000000
#endif
#define MOST 1001

static char names[MOST][24];
static struct ring_member members[MOST];

static void setup(void)
{
	for (size_t i = 0; i < MOST; i++) {
		snprintf(names[i], sizeof(names[i]), "10.0.%zu.%zu:7070",
			 i / 250, i % 250);
		members[i] =
		    (struct ring_member){ names[i], UINT64_C(1) << 40 };
	}
}

static struct ring *ring_of(size_t n)
{
	struct ring *r;

	ck_assert_int_eq(ring_new(members, n, &r), 0);
	return r;
}

/* A hash of the i-th of many keys: as good as that of any key. */
static uint64_t hash_of(uint64_t i)
{
	char key[32];
	int n = snprintf(key, sizeof(key), "train/%08ju.jpg", (uintmax_t)i);

	return ring_hash_data(str_of("bucket"), (struct str){ key, (size_t)n },
			      0);
}

static const struct {
	size_t workers;
	double most; /* times its share */
} balanced[] = { { 3, 1.10 },  { 4, 1.10 },   { 7, 1.10 },   { 16, 1.10 },
		 { 33, 1.10 }, { 100, 1.10 }, { 1000, 1.15 } };

START_TEST(no_worker_carries_much_more_than_its_share)
{
	size_t n = balanced[_i].workers;
	struct ring *r = ring_of(n);
	static unsigned owned[MOST];
	double heaviest = 0;

	memset(owned, 0, sizeof(owned));
	for (uint64_t i = 0; i < KEYS; i++)
		owned[ring_owner(r, hash_of(i))]++;
	for (size_t i = 0; i < n; i++)
		heaviest = MAX(heaviest, (double)owned[i] * (double)n / KEYS);
	/* What so few keys scatter by themselves, under sanitizers. */
	if (KEYS >= 10000000)
		ck_assert_double_le(heaviest, balanced[_i].most);
	for (size_t i = 0; i < n; i++)
		ck_assert_double_le(ring_share(r, (uint32_t)i) * (double)n,
				    balanced[_i].most);
	ring_unref(r);
}
END_TEST

static const size_t grown[] = { 3, 4, 10, 99 };

START_TEST(one_more_worker_moves_few_keys_and_only_to_itself)
{
	size_t n = grown[_i], moved = 0;
	struct ring *before = ring_of(n), *after = ring_of(n + 1);
	int64_t added = ring_find(after, names[n]);

	ck_assert_int_ge(added, 0);
	for (uint64_t i = 0; i < KEYS / 4; i++) {
		uint64_t h = hash_of(i);
		const char *a = ring_name(before, ring_owner(before, h));
		uint32_t now = ring_owner(after, h);

		if (strcmp(a, ring_name(after, now)) == 0)
			continue;
		ck_assert_int_eq(now, added);
		moved++;
	}
	ck_assert_double_le((double)moved, 1.10 / (double)(n + 1) * (KEYS / 4));
	ck_assert_double_ge((double)moved, 0.90 / (double)(n + 1) * (KEYS / 4));
	ring_unref(before);
	ring_unref(after);
}
END_TEST

START_TEST(the_order_of_the_members_is_all_one)
{
	struct ring_member turned[7];
	struct ring *a = ring_of(7), *b;

	for (size_t i = 0; i < 7; i++)
		turned[i] = members[6 - i];
	ck_assert_int_eq(ring_new(turned, 7, &b), 0);
	ck_assert_uint_eq(ring_view(a), ring_view(b));
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t h = hash_of(i);

		ck_assert_uint_eq(ring_owner(a, h), ring_owner(b, h));
	}
	ring_unref(a);
	ring_unref(b);
	b = ring_of(6);
	a = ring_of(7);
	ck_assert_uint_ne(ring_view(a), ring_view(b));
	ring_unref(a);
	ring_unref(b);
}
END_TEST

START_TEST(keys_follow_the_weights)
{
	uint64_t tib = UINT64_C(1) << 40, sum = 0;
	uint64_t weights[] = { tib, 2 * tib, 3 * tib, tib / 2, 7 * tib / 2 };
	struct ring_member m[ARRAY_SIZE(weights)];
	struct ring *r;
	double all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
		m[i] = (struct ring_member){ names[i], weights[i] };
		sum += weights[i];
	}
	ck_assert_int_eq(ring_new(m, ARRAY_SIZE(m), &r), 0);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
		uint32_t id = (uint32_t)ring_find(r, names[i]);
		double share = ring_share(r, id);

		ck_assert_uint_eq(ring_weight(r, id), weights[i]);
		ck_assert_double_eq_tol(
		    share * (double)sum / (double)weights[i], 1.0, 0.12);
		all += share;
	}
	ck_assert_double_eq_tol(all, 1.0, 1e-9);
	ring_unref(r);
}
END_TEST

START_TEST(a_tiny_and_a_huge_weight_are_no_trouble)
{
	struct ring_member m[] = { { "a:1", 1 }, { "b:1", UINT64_MAX } };
	struct ring *r;

	ck_assert_int_eq(ring_new(m, 2, &r), 0);
	ck_assert_double_lt(ring_share(r, 0), 0.01);
	ck_assert_double_gt(ring_share(r, 0), 0.0);
	ring_unref(r);
}
END_TEST

START_TEST(replicas_are_distinct_and_begin_with_the_owner)
{
	struct ring *r = ring_of(5);
	uint32_t ids[8];

	for (uint64_t i = 0; i < 10000; i++) {
		uint64_t h = hash_of(i);

		ck_assert_uint_eq(ring_lookup(r, h, ids, 3), 3);
		ck_assert_uint_eq(ids[0], ring_owner(r, h));
		ck_assert(ids[0] != ids[1] && ids[1] != ids[2] &&
			  ids[0] != ids[2]);
		ck_assert_uint_eq(ring_lookup(r, h, ids, 8), 5);
	}
	ring_unref(r);
	r = ring_of(1);
	ck_assert_uint_eq(ring_lookup(r, 7, ids, 8), 1);
	ck_assert_double_eq(ring_share(r, 0), 1.0);
	ring_unref(r);
}
END_TEST

/* When the owner has gone, the first replica is the owner. */
START_TEST(the_next_replica_inherits)
{
	struct ring *four = ring_of(4), *three = ring_of(3);
	uint32_t ids[2];
	size_t inherited = 0;

	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t h = hash_of(i);

		ring_lookup(four, h, ids, 2);
		if (strcmp(ring_name(four, ids[0]), names[3]) != 0)
			continue;
		inherited++;
		ck_assert_str_eq(ring_name(four, ids[1]),
				 ring_name(three, ring_owner(three, h)));
	}
	ck_assert_uint_gt(inherited, 0);
	ring_unref(four);
	ring_unref(three);
}
END_TEST

START_TEST(the_ends_of_the_circle_meet)
{
	struct ring *r = ring_of(3);
	uint32_t first = ring_owner(r, 0);

	/* No vnode is behind this but by a chance of 1 in 10^15. */
	ck_assert_uint_eq(ring_owner(r, UINT64_MAX), first);
	ring_unref(r);
}
END_TEST

START_TEST(segments_of_an_object_spread_and_a_directory_stays_together)
{
	struct ring *r = ring_of(10);
	bool seen[10] = { false };
	size_t n = 0;

	for (uint64_t s = 0; s < 140; s++)
		seen[ring_owner(r, ring_hash_data(str_of("bucket"),
						  str_of("model.bin"), s))] =
		    true;
	for (size_t i = 0; i < 10; i++)
		n += seen[i];
	ck_assert_uint_eq(n, 10);
	ck_assert_uint_ne(ring_hash_dir(str_of("b"), str_of("a/")),
			  ring_hash_dir(str_of("c"), str_of("a/")));
	ck_assert_uint_ne(ring_hash_dir(str_of("b"), str_of("a/")),
			  ring_hash_data(str_of("b"), str_of("a/"), 0));
	ring_unref(r);
}
END_TEST

START_TEST(what_is_no_ring_is_refused)
{
	struct ring_member twice[] = { { "a:1", 1 }, { "a:1", 1 } };
	struct ring_member nothing[] = { { "a:1", 0 } };
	struct ring *r = NULL;

	ck_assert_int_eq(ring_new(twice, 0, &r), -EINVAL);
	ck_assert_int_eq(ring_new(twice, 2, &r), -EINVAL);
	ck_assert_int_eq(ring_new(nothing, 1, &r), -EINVAL);
	ck_assert_ptr_null(r);
	ring_unref(NULL);
}
END_TEST

/*
 * Nodes of different builds must agree: these are the hashes of this version,
 * for ever.
 */
START_TEST(places_never_change)
{
	struct ring *r = ring_of(4);
	uint64_t data = ring_hash_data(str_of("bucket"), str_of("a/b.bin"), 3);
	uint64_t dir = ring_hash_dir(str_of("bucket"), str_of("a/"));

	ck_assert_uint_eq(data, UINT64_C(17562639709794731025));
	ck_assert_uint_eq(dir, UINT64_C(7533370824267318983));
	ck_assert_str_eq(ring_name(r, ring_owner(r, data)), names[0]);
	ck_assert_str_eq(ring_name(r, ring_owner(r, dir)), names[1]);
	ring_unref(r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("ring");

	tcase_set_timeout(t, 300);
	tcase_add_unchecked_fixture(t, setup, NULL);
	tcase_add_loop_test(t, no_worker_carries_much_more_than_its_share, 0,
			    ARRAY_SIZE(balanced));
	tcase_add_loop_test(t,
			    one_more_worker_moves_few_keys_and_only_to_itself,
			    0, ARRAY_SIZE(grown));
	tcase_add_test(t, the_order_of_the_members_is_all_one);
	tcase_add_test(t, keys_follow_the_weights);
	tcase_add_test(t, a_tiny_and_a_huge_weight_are_no_trouble);
	tcase_add_test(t, replicas_are_distinct_and_begin_with_the_owner);
	tcase_add_test(t, the_next_replica_inherits);
	tcase_add_test(t, the_ends_of_the_circle_meet);
	tcase_add_test(
	    t, segments_of_an_object_spread_and_a_directory_stays_together);
	tcase_add_test(t, what_is_no_ring_is_refused);
	tcase_add_test(t, places_never_change);
	return RUN_CASES(t);
}
