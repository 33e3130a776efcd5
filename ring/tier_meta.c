/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier_meta.c - stats and listings, of the directory's worker
 *
 * The pages of a listing belong together: the worker that gave the first one
 * is asked for the next. When it cannot go on, the store does, behind the
 * last key that was given. So a token of ours says whose it is:
 *
 *     "s" TOKEN                  the store's own
 *     "w" WORKER " " KEY " " TOKEN   KEY: the last one, in hex
 */
#include <errno.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/stats.h"
#include "ring/tier_impl.h"
#include "ufs/ufs_impl.h"

static uint64_t hash_of(struct str dir)
{
	return XXH3_64bits(dir.p, dir.n);
}

/* The directory of a key: up to the slash before its last byte. */
static struct str dir_of(struct str key)
{
	if (key.n > 0)
		key.n--;
	while (key.n > 0 && key.p[key.n - 1] != '/')
		key.n--;
	return key;
}

void tier_changed(struct ufs *u, struct str key, bool tree)
{
	struct tier *t = tier_of(u);
	int64_t now = clock_ns();
	uint64_t hash = hash_of(dir_of(key));
	struct change *c = &t->change[hash % TIER_CHANGES];

	if (tree) {
		atomic_store(&t->changed, now);
		return;
	}
	lock_take(&t->lock);
	/* Who has to make room counts for all. */
	if (c->at != 0 && c->hash != hash)
		atomic_store(&t->changed, MAX(atomic_load(&t->changed), c->at));
	*c = (struct change){ hash, now };
	lock_drop(&t->lock);
}

/* How old what is told of a directory may be, ns; below 0: any age. */
static int64_t max_age(struct tier *t, struct str dir)
{
	uint64_t hash = hash_of(dir);
	const struct change *c = &t->change[hash % TIER_CHANGES];
	int64_t since = atomic_load(&t->changed), age = t->conf.max_age;

	lock_take(&t->lock);
	if (c->hash == hash)
		since = MAX(since, c->at);
	lock_drop(&t->lock);
	if (since == 0)
		return age;
	since = clock_ns() - since;
	return age < 0 ? since : MIN(age, since);
}

static void race_init(struct race *race, struct tier *t, struct route *route,
		      enum peer_kind kind, struct cancel *cancel)
{
	memset(race, 0, sizeof(*race));
	race->t = t;
	race->route = route;
	race->cancel = cancel;
	race->model.kind = race->what.kind = kind;
	race->model.store = t->ufs.store;
	race->model.bucket = t->bucket;
	race->model.prefix = t->ufs.prefix;
	race->hedge = kind == PEER_LIST ? t->conf.hedge_list : t->conf.hedge;
}

/*
 * More than was asked for? A worker tells its age up to the next second, and
 * has counted the time that it took to find the answer.
 */
static bool too_old(const struct peer_call *c)
{
	int64_t took = clock_ns() - c->begun;

	return c->max_age >= 0 && c->age - NSEC_PER_SEC - took > c->max_age;
}

/* Before the store is asked in place of workers. */
static int fall_back(struct tier *t, const struct route *route,
		     struct cancel *cancel)
{
	stat_inc(STAT_peer_fallbacks);
	return route->ill ? tier_turn(t, cancel) : 0;
}

int tier_stat(struct ufs *u, struct str key, struct ufs_stat *out,
	      struct cancel *cancel)
{
	struct tier *t = tier_of(u);
	struct route route;
	enum race_end how;
	struct race race;
	int r;

	ufs_set_age(0);
	if (t->conf.max_age == 0 || key.n == 0 || key.n > UFS_KEY_MAX)
		return t->store->ops->stat(t->store, key, out, cancel);
	route_dir(t, dir_of(key), &route);
	race_init(&race, t, &route, PEER_HEAD, cancel);
	race.model.max_age = max_age(t, dir_of(key));
	race.model.key = race.what.key = key;
	race.what.st = out;
	how = race_run(&race);
	if (how == RACE_PEER && too_old(&race.won->call))
		how = RACE_NOBODY;
	switch (how) {
	case RACE_PEER:
		*out = race.won->call.st;
		ufs_set_age(race.won->call.age);
		r = 0;
		break;
	case RACE_NOBODY:
		r = fall_back(t, &route, cancel);
		if (r == 0)
			r = t->store->ops->stat(t->store, key, out, cancel);
		break;
	default:
		r = race.err;
		break;
	}
	route.store_answered = (how == RACE_NOBODY || how == RACE_STORE) &&
			       (r == 0 || r == -ENOENT);
	race_fini(&race);
	route_fini(&route);
	return r;
}

/* Where a listing goes on. */
struct at {
	const char *store;  /* the store's token; NULL: none */
	char *worker;       /* its name; NULL: any */
	const char *theirs; /* the worker's token */
	struct text last;   /* the last key, relative */
};

static int nibble(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Of a token that token_write() made. */
static int token_read(const char *token, struct at *out)
{
	const char *space;

	memset(out, 0, sizeof(*out));
	if (token == NULL)
		return 0;
	if (token[0] == 's') {
		out->store = token + 1;
		return 0;
	}
	space = strchr(token, ' ');
	if (space == NULL)
		return -EINVAL;
	out->worker =
	    str_dup((struct str){ token + 1, (size_t)(space - token - 1) });
	for (token = space + 1; token[0] != ' ' && token[0] != '\0';
	     token += 2) {
		char c = (char)(nibble(token[0]) << 4 | nibble(token[1]));

		text_add(&out->last, &c, 1);
	}
	out->theirs = token + 1;
	return out->worker == NULL || out->last.failed ? -ENOMEM : 0;
}

static void at_fini(struct at *at)
{
	free(at->worker);
	text_fini(&at->last);
}

static int token_write(const char *worker, struct str last, const char *theirs,
		       char **out)
{
	struct text t = { 0 };

	text_addf(&t, "w%s ", worker);
	for (size_t i = 0; i < last.n; i++)
		text_addf(&t, "%02x", (unsigned char)last.p[i]);
	text_addf(&t, " %s", theirs);
	if (t.failed) {
		text_fini(&t);
		return -ENOMEM;
	}
	*out = t.p;
	return 0;
}

static int token_of_store(const char *theirs, char **out)
{
	*out = NULL;
	return theirs != NULL && asprintf(out, "s%s", theirs) < 0 ? -ENOMEM : 0;
}

/*
 * What the store has, from its token or behind a key; the caller's token
 * becomes the next one.
 */
static int list_store(struct tier *t, const struct ufs_list *q,
		      const char *theirs, struct str after, char **token,
		      ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	AUTO_FREE char *at = NULL;
	struct ufs_list behind = *q;
	char *next = NULL;
	int r;

	if (theirs != NULL) {
		at = strdup(theirs);
		if (at == NULL)
			return -ENOMEM;
	}
	behind.after = after;
	r = t->store->ops->list(t->store, &behind, &at, cb, arg, cancel);
	if (r == 0)
		r = token_of_store(at, &next);
	if (r == 0) {
		free(*token);
		*token = next;
	}
	return r;
}

enum verdict { PAGE_RIGHT, PAGE_USELESS, PAGE_WRONG };

/*
 * Is the page what was asked for? Keys below the prefix, of one level unless
 * deep, behind the last one. Of one without any, and of what has no strong
 * version, the store is asked: a worker's word for what is absent is not taken
 * (nor is its 404).
 */
static enum verdict judge(const struct s3_page *page, struct str prefix,
			  struct str last, bool deep)
{
	if (page->n == 0)
		return PAGE_USELESS;
	for (size_t i = 0; i < page->n; i++) {
		const struct s3_page_entry *e = &page->entry[i];
		struct str key = { page->keys + e->at, e->n };

		if (!s3_entry_right(page, e, prefix, deep))
			return PAGE_WRONG;
		if (last.n > 0 && i == page->n - 1 && str_cmp(key, last) <= 0)
			return PAGE_WRONG;
		if (!e->dir && (e->st.flags & UFS_WEAK) != 0)
			return PAGE_USELESS;
	}
	return PAGE_RIGHT;
}

/* The query of a LIST; the texts hold what it borrows. */
struct query {
	struct sigv4_pair pair[8];
	size_t n;
	char max[16];
	struct text prefix, after;
};

static void add(struct query *y, const char *name, const char *value, size_t n)
{
	y->pair[y->n++] = (struct sigv4_pair){ str_of(name), { value, n } };
}

static bool query_make(struct tier *t, const struct ufs_list *q,
		       const char *theirs, struct query *y)
{
	memset(y, 0, sizeof(*y));
	snprintf(y->max, sizeof(y->max), "%u", q->max);
	text_adds(&y->prefix, t->ufs.prefix);
	text_add(&y->prefix, q->prefix.p, q->prefix.n);
	add(y, "list-type", "2", 1);
	add(y, "encoding-type", "url", 3);
	add(y, "max-keys", y->max, strlen(y->max));
	if (y->prefix.n > 0)
		add(y, "prefix", y->prefix.p, y->prefix.n);
	if (!q->deep)
		add(y, "delimiter", "/", 1);
	if (theirs != NULL) {
		add(y, "continuation-token", theirs, strlen(theirs));
	} else if (q->after.n > 0) {
		text_adds(&y->after, t->ufs.prefix);
		text_add(&y->after, q->after.p, q->after.n);
		add(y, "start-after", y->after.p, y->after.n);
	}
	return !y->prefix.failed && !y->after.failed;
}

static void query_fini(struct query *y)
{
	text_fini(&y->prefix);
	text_fini(&y->after);
}

static enum verdict judge_page(struct tier *t, const struct ufs_list *q,
			       const struct s3_page *page,
			       const struct query *y, struct str last)
{
	struct text whole = { 0 };
	enum verdict v;

	if (last.n > 0) {
		text_adds(&whole, t->ufs.prefix);
		text_add(&whole, last.p, last.n);
	}
	v = whole.failed ? PAGE_USELESS
			 : judge(page, (struct str){ y->prefix.p, y->prefix.n },
				 (struct str){ whole.p, whole.n }, q->deep);
	text_fini(&whole);
	return v;
}

/* A worker's page is right. 0, -ENOMEM, or what cb returned. */
static int take_page(struct tier *t, const struct racer *won, struct str after,
		     char **token, ufs_entry_cb *cb, void *arg)
{
	const struct s3_page *page = won->call.page;
	char *next = NULL;
	int r = 0;

	if (page->token != NULL) {
		const struct s3_page_entry *e = &page->entry[page->n - 1];
		size_t n = strlen(t->ufs.prefix);

		r = token_write(
		    won->call.worker,
		    (struct str){ page->keys + e->at + n, e->n - n },
		    page->token, &next);
	}
	if (r == 0)
		r = s3_page_give(page, t->ufs.prefix, after, cb, arg);
	if (r == 0) {
		free(*token);
		*token = next;
	} else {
		free(next);
	}
	return r;
}

static int take_stores(struct listing_of *l, char **token)
{
	char *next;
	int r = token_of_store(l->token, &next);

	if (r == 0) {
		free(*token);
		*token = next;
	}
	return r;
}

static struct str later(struct str a, struct str b)
{
	return str_cmp(a, b) > 0 ? a : b;
}

/* *done: it is the result. Otherwise the store is to be asked. */
static int race_list(struct race *race, const struct query *y,
		     struct listing_of *l, struct str last, char **token,
		     bool *done)
{
	enum verdict v;

	*done = true;
	switch (race_run(race)) {
	case RACE_PEER:
		v = judge_page(race->t, l->q, race->won->call.page, y, last);
		/* The pages behind the first are as old as that by now. */
		if (v == PAGE_RIGHT && last.n == 0 && too_old(&race->won->call))
			v = PAGE_USELESS;
		if (v == PAGE_RIGHT) {
			ufs_set_age(race->won->call.age);
			return take_page(race->t, race->won, l->after, token,
					 l->cb, l->arg);
		}
		if (v == PAGE_WRONG)
			race_wrong(race, "not the listing asked for");
		break;
	case RACE_STORE:
		race->route->store_answered = race->err >= 0;
		return race->err < 0 ? race->err : take_stores(l, token);
	case RACE_STOPPED:
		return race->err;
	default:
		break;
	}
	*done = false;
	return 0;
}

static int list_ring(struct tier *t, const struct ufs_list *q,
		     const struct at *at, char **token, ufs_entry_cb *cb,
		     void *arg, struct cancel *cancel)
{
	struct str last = { at->last.p, at->last.n };
	struct listing_of l = {
		.q = q, .after = later(q->after, last), .cb = cb, .arg = arg
	};
	struct route route;
	struct query y;
	struct race race;
	bool done = true;
	int r = -ENOMEM;

	if (at->worker != NULL)
		route_worker(t, at->worker, &route);
	else
		route_dir(t, q->prefix, &route);
	race_init(&race, t, &route, PEER_LIST, cancel);
	race.model.max_age = max_age(t, q->prefix);
	race.what.l = &l;
	if (query_make(t, q, at->theirs, &y)) {
		race.model.query = y.pair;
		race.model.nquery = y.n;
		r = race_list(&race, &y, &l, last, token, &done);
	}
	race_fini(&race);
	if (!done)
		r = fall_back(t, &route, cancel);
	if (!done && r == 0) {
		r = list_store(t, q, NULL, l.after, token, cb, arg, cancel);
		route.store_answered = r >= 0;
	}
	route_fini(&route);
	query_fini(&y);
	free(l.token);
	return r;
}

int tier_list(struct ufs *u, const struct ufs_list *q, char **token,
	      ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	struct tier *t = tier_of(u);
	struct at at;
	int r;

	ufs_set_age(0);
	if (q->max == 0 || q->max > 1000)
		return -EINVAL;
	r = token_read(*token, &at);
	if (r == 0 && (at.store != NULL || t->conf.max_age == 0))
		r = list_store(t, q, at.store, q->after, token, cb, arg,
			       cancel);
	else if (r == 0)
		r = list_ring(t, q, &at, token, cb, arg, cancel);
	at_fini(&at);
	return r;
}
