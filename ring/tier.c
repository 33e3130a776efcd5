/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier.c - the tier as a struct ufs: its beginning, its end, its numbers
 */
#include "ring/tier.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "ring/tier_impl.h"
#include "ufs/ufs_impl.h"

#define HEDGE_NS (500 * NSEC_PER_MSEC)
#define HEDGE_LIST_NS (2 * NSEC_PER_SEC)
#define HELPERS 64

static int tier_stat_now(struct ufs *u, struct str key, struct ufs_stat *out,
			 struct cancel *cancel)
{
	struct ufs *store = tier_of(u)->store;

	ufs_set_age(0);
	return store->ops->stat(store, key, out, cancel);
}

static void tier_describe(struct ufs *u, char *buf, size_t size)
{
	struct ufs *store = tier_of(u)->store;

	store->ops->describe(store, buf, size);
}

static void tier_reload(struct ufs *u)
{
	struct ufs *store = tier_of(u)->store;

	store->ops->reload(store);
}

static int tier_reach(struct ufs *u, struct ufs_reach *out)
{
	struct ufs *store = tier_of(u)->store;

	return store->ops->reach(store, out);
}

static void tier_made(struct ufs *u, struct str key)
{
	struct tier *t = tier_of(u);

	t->conf.made(t->conf.made_arg, key);
}

static void destroy(struct tier *t)
{
	pool_stop(t->helpers);
	peers_free(t->peers);
	worker_free_all(t);
	lock_fini(&t->lock);
	free(t->bucket);
	free(t->ufs.store);
	free(t->ufs.prefix);
	free(t->ufs.access);
	free(t);
}

static struct ufs *tier_store(struct ufs *u)
{
	return tier_of(u)->store;
}

static void tier_close(struct ufs *u)
{
	struct tier *t = tier_of(u);
	struct ufs *store = t->conf.own_store ? t->store : NULL;

	atomic_store(&t->closing, true);
	destroy(t);
	ufs_close(store);
}

static void set_ops(struct tier *t)
{
	const struct ufs_ops *store = t->store->ops;

	t->ops = (struct ufs_ops){
		.scheme = store->scheme,
		.close = tier_close,
		.stat = tier_stat,
		.stat_now = tier_stat_now,
		.list = tier_list,
		.list_side_by_side = store->list_side_by_side,
		.get = tier_get,
		.changed = tier_changed,
		.made = t->conf.made != NULL ? tier_made : NULL,
		.store = tier_store,
		.describe = store->describe != NULL ? tier_describe : NULL,
		.reload = store->reload != NULL ? tier_reload : NULL,
		.reach = store->reach != NULL ? tier_reach : NULL,
	};
	t->ufs.ops = &t->ops;
}

static bool set_names(struct tier *t)
{
	const struct ufs *store = t->store;

	t->bucket = strdup(t->conf.bucket);
	t->ufs.store = strdup(store->store);
	t->ufs.prefix = strdup(store->prefix);
	t->ufs.access = strdup(store->access);
	return t->bucket != NULL && t->ufs.store != NULL &&
	       t->ufs.prefix != NULL && t->ufs.access != NULL;
}

int tier_open(const struct tier_conf *conf, struct ufs **out)
{
	struct tier *t = calloc(1, sizeof(*t));
	int r;

	if (t == NULL)
		return -ENOMEM;
	lock_init(&t->lock, RANK_STORE);
	t->conf = *conf;
	t->store = conf->store;
	if (t->conf.hedge <= 0)
		t->conf.hedge = HEDGE_NS;
	if (t->conf.hedge_list <= 0)
		t->conf.hedge_list = HEDGE_LIST_NS;
	set_ops(t);
	r = set_names(t) ? 0 : -ENOMEM;
	if (r == 0)
		r = peers_new(&conf->peers, &t->peers);
	/* It has copies of the texts, one of them a secret. */
	memset(&t->conf.peers, 0, sizeof(t->conf.peers));
	t->conf.bucket = t->bucket;
	if (r == 0)
		r = pool_new("aside", HELPERS, &t->helpers);
	if (r < 0)
		destroy(t);
	else
		*out = &t->ufs;
	return r;
}

static json_t *status_of(struct tier *t, const struct ring *ring, uint32_t id)
{
	const char *name = ring_name(ring, id);
	struct worker *w = worker_get(t, name);
	struct worker now;

	if (w == NULL)
		return NULL;
	lock_take(&t->lock);
	now = *w;
	lock_drop(&t->lock);
	worker_put(t, w);
	return json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", name, "state",
			 breaker_state_name(now.breaker.state), "weight",
			 (json_int_t)ring_weight(ring, id), "hit_bytes",
			 (json_int_t)now.hit_bytes, "errors",
			 (json_int_t)now.errors);
}

json_t *tier_status(struct ufs *u)
{
	struct tier *t = tier_of(u);
	json_t *workers = json_array(), *one;
	struct tier_view v = { 0 };
	char view[17] = "";
	size_t n;

	t->conf.view(t->conf.view_arg, &v);
	if (v.now != NULL)
		snprintf(view, sizeof(view), "%016jx",
			 (uintmax_t)ring_view(v.now));
	n = v.now != NULL ? ring_workers(v.now) : 0;
	for (size_t i = 0; workers != NULL && i < n; i++) {
		one = status_of(t, v.now, (uint32_t)i);
		if (one == NULL || json_array_append_new(workers, one) < 0) {
			json_decref(workers);
			workers = NULL;
		}
	}
	ring_unref(v.now);
	ring_unref(v.before);
	if (workers == NULL)
		return NULL;
	return json_pack("{s:I, s:s, s:o}", "epoch", (json_int_t)v.epoch,
			 "view", view, "workers", workers);
}
