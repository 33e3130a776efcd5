/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier_get.c - a get, over as many sources as it takes
 *
 * What was given to the sink stays given: each page of a worker was verified,
 * and the store's bytes are believed as without workers. So the next source
 * is asked for what is missing, of the same version. Only a whole object is
 * begun anew when its source changes, since its checksum is over all of it.
 */
#include <errno.h>

#include "base/stats.h"
#include "ring/tier_impl.h"
#include "ufs/ufs_impl.h"

static bool known(const struct getting *g, const struct ufs_stat *st)
{
	return g->size == st->size && strcmp(st->version, g->want) == 0;
}

/* A head from the store, which is believed. */
static int store_head(void *arg, const struct ufs_stat *st)
{
	struct getting *g = arg;
	int r;

	if (g->has_head)
		return known(g, st)
			   ? 0
			   : ufs_fail(-ESTALE, "the store has another version");
	r = g->sink->head(g->sink->arg, st);
	if (r == 0) {
		g->has_head = true;
		g->size = st->size;
	}
	return r;
}

static int give_from(struct getting *g, bool worker, const void *bytes,
		     size_t len)
{
	int r;

	if (g->from_worker != worker) {
		g->from_worker = worker;
		if (g->sink->source != NULL)
			g->sink->source(g->sink->arg, worker);
	}
	r = g->sink->data(g->sink->arg, bytes, len);
	if (r == 0)
		g->given += len;
	return r;
}

static int store_give(void *arg, const void *bytes, size_t len)
{
	return give_from(arg, false, bytes, len);
}

static int peer_give(void *arg, const void *bytes, size_t len)
{
	return give_from(arg, true, bytes, len);
}

static int again(void *arg)
{
	struct getting *g = arg;

	g->given = 0;
	return g->sink->again(g->sink->arg);
}

const struct ufs_sink getting_sink = {
	.head = store_head,
	.data = store_give,
	.again = again,
};

/* A worker's head: what the caller knows otherwise is the worker's fault. */
static int peer_head(void *arg, struct peer_call *c)
{
	struct getting *g = arg;
	int r;

	if (g->has_head)
		return known(g, &c->st) ? 0 : -EBADMSG;
	r = g->sink->head(g->sink->arg, &c->st);
	if (r == 0) {
		g->has_head = true;
		g->size = c->st.size;
	}
	return r == -ESTALE || r == -EIO ? -EBADMSG : r;
}

/* Whole objects come from one source. */
static bool is_whole(const struct getting *g)
{
	return g->sink->again != NULL;
}

/* Another source goes on. */
static int change_source(struct getting *g)
{
	return is_whole(g) && g->given > 0 ? again(g) : 0;
}

/* What is missing up to end, or all of a whole object, from the store. */
static int from_store(struct getting *g, uint64_t end, bool ill)
{
	struct ufs *u = g->t->store;
	struct ufs_sink sink = getting_sink;
	int r = change_source(g);
	uint64_t at = g->off + g->given;

	sink.arg = g;
	if (!is_whole(g))
		sink.again = NULL;
	stat_inc(STAT_peer_fallbacks);
	if (r == 0 && ill)
		r = tier_turn(g->t, g->cancel);
	if (r < 0)
		return r;
	return u->ops->get(u, g->key, g->want, at, end - at, &sink, g->cancel);
}

/* How much can be asked of a worker at a time. */
static uint64_t piece(const struct getting *g)
{
	uint64_t at = g->off + g->given, left = g->len - g->given;

	return MIN(MIN(left, WIRE_RANGE_MAX), RING_SEGMENT - at % RING_SEGMENT);
}

static bool is_complete(const struct getting *g)
{
	return g->given == g->len ||
	       (g->has_head && g->off + g->given >= g->size);
}

/* Up to one piece, of what the route's workers may be asked for. */
static enum race_end race_piece(struct getting *g, struct route *route,
				uint64_t end, int *err)
{
	uint64_t at = g->off + g->given;
	struct race race = {
		.t = g->t,
		.route = route,
		.cancel = g->cancel,
		.model = { .kind = PEER_GET,
			   .store = g->t->ufs.store,
			   .bucket = g->t->bucket,
			   .prefix = g->t->ufs.prefix,
			   .key = g->key,
			   .want = g->want,
			   .off = at,
			   .len = end - at,
			   .size = is_whole(g) ? g->len : g->size },
		.what = { .kind = PEER_GET,
			  .key = g->key,
			  .get = g,
			  .off = at,
			  .len = end - at },
		.hedge = g->t->conf.hedge,
		.head = peer_head,
		.give = peer_give,
		.arg = g,
	};
	enum race_end how = race_run(&race);

	*err = race.err;
	race_fini(&race);
	return how;
}

static int next_piece(struct getting *g)
{
	uint64_t at = g->off + g->given, end = at + piece(g);
	enum race_end how;
	struct route route;
	int r;

	route_data(g->t, g->key, at / RING_SEGMENT, &route);
	do {
		how = race_piece(g, &route, end, &r);
		if (how == RACE_BROKEN)
			r = change_source(g);
		/* The rest of the piece, from the next. */
	} while (how == RACE_BROKEN && r == 0 && g->off + g->given < end);
	if (how == RACE_NOBODY)
		r = from_store(g, end, route.ill);
	route.store_answered =
	    r == 0 && (how == RACE_NOBODY || how == RACE_STORE);
	route_fini(&route);
	if (r == 0 && g->off + g->given == at && !is_complete(g))
		r = ufs_fail(-EIO, "the store sent nothing");
	return r;
}

static bool can_ask_workers(const struct getting *g)
{
	/* A version that was made up means nothing to another host. */
	return g->want != NULL && g->want[0] != '~' && g->key.n > 0 &&
	       g->key.n <= UFS_KEY_MAX && g->off % WIRE_PAGE == 0 &&
	       g->len > 0 && g->off < INT64_MAX &&
	       g->len < INT64_MAX - g->off &&
	       (!is_whole(g) || g->len <= WIRE_RANGE_MAX);
}

int tier_get(struct ufs *u, struct str key, const char *want, uint64_t off,
	     uint64_t len, const struct ufs_sink *sink, struct cancel *cancel)
{
	struct tier *t = tier_of(u);
	struct getting g = { .t = t,
			     .key = key,
			     .want = want,
			     .off = off,
			     .len = len,
			     .sink = sink,
			     .cancel = cancel,
			     .size = UINT64_MAX };
	int r;

	if (!can_ask_workers(&g))
		return t->store->ops->get(t->store, key, want, off, len, sink,
					  cancel);
	do
		r = next_piece(&g);
	while (r == 0 && !is_complete(&g));
	return r;
}
