/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_rig.h - what the tests of membership ask of a view
 */
#ifndef TESTS_UNIT_MEMBERS_RIG_H
#define TESTS_UNIT_MEMBERS_RIG_H

#include <check.h>
#include <stdio.h>

#include "base/clock.h"
#include "ring/members.h"

/* Far more than anything takes: a test that meets it has failed. */
#define RIG_LONG (60 * NSEC_PER_SEC)
#define RIG_POLL (20 * NSEC_PER_MSEC)

/* "name name=weight ..." of a ring, "-" of none. */
static inline const char *rig_names(const struct ring *r)
{
	static char out[65536];
	size_t n = 0;

	if (r == NULL)
		return "-";
	out[0] = '\0';
	for (uint32_t i = 0; i < ring_workers(r) && n < sizeof(out); i++) {
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s",
				      i > 0 ? " " : "", ring_name(r, i));
		if (ring_weight(r, i) != 1)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "=%ju",
					      (uintmax_t)ring_weight(r, i));
	}
	return out;
}

/* Wait for as many changes as are missing to an epoch; then who is there. */
__attribute__((unused)) static const char *rig_epoch(struct members *m,
						     uint64_t epoch)
{
	struct members_view v;
	const char *names;

	ck_assert_int_eq(
	    members_wait(m, epoch - 1, clock_ns() + RIG_LONG, NULL), 0);
	members_ring(m, &v);
	ck_assert_uint_eq(v.epoch, epoch);
	names = rig_names(v.now);
	members_view_fini(&v);
	return names;
}

/* Wait until it names these, however many changes that takes. */
__attribute__((unused)) static void rig_becomes(struct members *m,
						const char *names)
{
	int64_t deadline = clock_ns() + RIG_LONG;

	for (;;) {
		struct members_view v;
		bool same;

		members_ring(m, &v);
		same = strcmp(rig_names(v.now), names) == 0;
		if (!same && clock_ns() > deadline)
			ck_abort_msg("%s are not %s", rig_names(v.now), names);
		members_view_fini(&v);
		if (same)
			return;
		usleep(5000);
	}
}

/* Wait until the source was asked n times more. */
__attribute__((unused)) static void rig_asked(struct members *m, uint64_t n)
{
	int64_t deadline = clock_ns() + RIG_LONG;
	struct members_status s;
	uint64_t until;

	members_status(m, &s);
	for (until = s.answers + n; s.answers < until; members_status(m, &s)) {
		ck_assert_int_lt(clock_ns(), deadline);
		usleep(5000);
	}
}

/* Wait until it fails, with these words. */
__attribute__((unused)) static void rig_fails(struct members *m,
					      const char *words)
{
	int64_t deadline = clock_ns() + RIG_LONG;
	struct members_status s;

	for (;;) {
		members_status(m, &s);
		if (s.failing && strstr(s.why, words) != NULL)
			return;
		if (clock_ns() > deadline)
			ck_abort_msg("\"%s\" is not in: %s", words, s.why);
		usleep(5000);
	}
}

__attribute__((unused)) static void rig_well(struct members *m)
{
	int64_t deadline = clock_ns() + RIG_LONG;
	struct members_status s;

	for (;;) {
		members_status(m, &s);
		if (!s.failing && s.answers > 0)
			return;
		ck_assert_msg(clock_ns() < deadline, "still: %s", s.why);
		usleep(5000);
	}
}

#endif
