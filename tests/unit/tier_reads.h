/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier_reads.h - gets through a tier, and what came of them
 */
#ifndef TESTS_UNIT_TIER_READS_H
#define TESTS_UNIT_TIER_READS_H

#include "ring/tier_impl.h"
#include "tests/unit/tier_rig.h"

#define MS NSEC_PER_MSEC

static struct rig rig;
static struct rig_worker *owner, *replica, *third;

/* What a get gives, held against ufs.h's contract as it comes. */
struct got {
	uint64_t off, size;
	size_t n, room;
	unsigned heads, refusals, agains;
	int refuse;  /* what data() returns */
	bool strict; /* head() refuses another size */
	bool ended;  /* nothing may be called any more */
	unsigned char *bytes;
};

static inline int on_head(void *arg, const struct ufs_stat *st)
{
	struct got *g = arg;

	ck_assert(!g->ended);
	ck_assert_uint_eq(g->heads, 0);
	ck_assert_uint_eq(g->n, 0);
	ck_assert_str_eq(st->version, RIG_VERSION);
	if (g->strict && st->size != rig.size) {
		g->refusals++;
		return -ESTALE;
	}
	g->heads++;
	g->size = st->size;
	return 0;
}

static inline int on_data(void *arg, const void *bytes, size_t len)
{
	struct got *g = arg;

	ck_assert(!g->ended);
	ck_assert_uint_eq(g->heads, 1);
	ck_assert_uint_gt(len, 0);
	ck_assert_uint_le(g->n + len, g->room);
	if (g->refuse < 0)
		return g->refuse;
	memcpy(g->bytes + g->n, bytes, len);
	g->n += len;
	return 0;
}

static inline int on_again(void *arg)
{
	struct got *g = arg;

	ck_assert(!g->ended);
	g->agains++;
	g->n = 0;
	return 0;
}

static inline int get(struct got *g, uint64_t off, size_t len, bool whole,
		      struct cancel *cancel)
{
	struct ufs_sink sink = { .arg = g,
				 .head = on_head,
				 .data = on_data,
				 .again = whole ? on_again : NULL };
	int r;

	g->off = off;
	g->room = len;
	g->bytes = malloc(len + 1);
	r = rig.tier->ops->get(rig.tier, str_of(RIG_KEY), RIG_VERSION, off, len,
			       &sink, cancel);
	g->ended = true;
	return r;
}

static inline void check(const struct got *g)
{
	size_t want = MIN(g->room, rig.size - g->off);

	ck_assert_uint_eq(g->heads, 1);
	ck_assert_uint_eq(g->size, rig.size);
	ck_assert_uint_eq(g->n, want);
	for (size_t i = 0; i < want; i++)
		if (g->bytes[i] != object_byte(g->off + i))
			ck_abort_msg("byte %zu differs", i);
}

static inline struct got read_right(uint64_t off, size_t len, bool whole)
{
	struct got g = { 0 };

	ck_assert_int_eq(get(&g, off, len, whole, NULL), 0);
	check(&g);
	free(g.bytes);
	g.bytes = NULL;
	return g;
}

static inline struct got read_all(void)
{
	return read_right(0, rig.size, false);
}

/* Read until it is probed: it has had so many requests before. */
static inline void read_until_probed(struct rig_worker *w, unsigned before)
{
	while (w->server.requests == before) {
		read_all();
		usleep(50000);
	}
}

static inline void read_until_up(struct rig_worker *w)
{
	while (!rig_is(&rig, w, "up")) {
		read_all();
		usleep(50000);
	}
}

static inline void start(const struct tier_conf *conf)
{
	rig_start(&rig, conf);
	owner = rig.worker[0];
	replica = rig.worker[1];
	third = rig.worker[2];
	for (enum stat_id s = 0; s < STAT_COUNT; s++)
		rig_grown(s);
}

/* Nobody is late unless a test makes him so. */
#define LONG (20 * NSEC_PER_SEC)

static inline void start_hedging(int64_t hedge)
{
	start(&(struct tier_conf){ .max_age = 60 * NSEC_PER_SEC,
				   .hedge = hedge,
				   .peers.times = { .connect = LONG,
						    .silent = 60 * NSEC_PER_SEC,
						    .slow = LONG,
						    .slow_fill = LONG } });
}

static inline void teardown(void)
{
	rig_stop(&rig);
}

static inline TCase *with(const char *name, void (*begin)(void))
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, begin, teardown);
	tcase_set_timeout(c, 120);
	return c;
}

#endif
