/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta.c - from names to attributes, and how fresh they are
 *
 * What is asked is answered, in this order, from what was asked before of just
 * this name, or made by this mount (meta_made.c), from the directory's listing
 * in memory, from its listing on the disk, and by the store: with a listing of
 * the whole directory where that is the cheaper way to answer what comes next,
 * else with a HEAD and a LIST of one entry.
 */
#include "cache/meta_impl.h"

#include <errno.h>

#include "base/stats.h"

#define TRIES 3 /* where what is asked for is forgotten meanwhile */

struct disk_id meta_listing_id(const struct meta *m, struct str dirkey)
{
	char key[2 * UFS_KEY_MAX + 1];
	size_t n = strlen(m->ufs->prefix);

	n = MIN(n, UFS_KEY_MAX);
	memcpy(key, m->ufs->prefix, n);
	if (dirkey.n > 0)
		memcpy(key + n, dirkey.p, MIN(dirkey.n, UFS_KEY_MAX));
	return disk_listing_id(str_of(m->ufs->store), str_of(m->ufs->access),
			       (struct str){ key, n + dirkey.n });
}

int meta_new(const struct cache_conf *conf, struct disk *disk,
	     struct meta **out)
{
	struct meta *m = calloc(1, sizeof(*m));
	unsigned threads = THREADS_MAX;
	int r;

	if (m == NULL)
		return -ENOMEM;
	if (conf->max_connections > 0)
		threads = MIN(threads, conf->max_connections);
	m->ufs = conf->ufs;
	m->disk = disk;
	m->consistency = conf->consistency;
	m->ttl = conf->ttl;
	m->negative_ttl =
	    conf->consistency == CONSISTENCY_STRICT ? 0 : conf->negative_ttl;
	m->timeout = conf->metadata_timeout > 0 ? conf->metadata_timeout
						: 30 * NSEC_PER_SEC;
	m->dirs_max = MIN(MAX(conf->memory / MIB(1), DIRS_MIN), DIRS_MAX);
	r = pool_new("meta", threads, &m->pool);
	if (r < 0) {
		free(m);
		return r;
	}
	/* Long listings must leave threads to lookups. */
	pool_set_background_max(m->pool, MAX(1, threads - threads / 4));
	m->made_floor = m->owed = INT64_MIN;
	lock_init(&m->lock, RANK_META);
	gate_init(&m->gate);
	rules_load(m);
	*out = m;
	return 0;
}

void meta_free(struct meta *m)
{
	if (m == NULL)
		return;
	/* Nobody waits any more, so whatever still flies is cancelled. */
	pool_stop(m->pool);
	made_fini(m);
	lock_take(&m->lock);
	table_free_locked(m);
	pages_free_locked(m);
	lock_drop(&m->lock);
	lock_fini(&m->lock);
	gate_fini(&m->gate);
	free(m);
}

static int64_t add_ns(int64_t t, int64_t more)
{
	return t > INT64_MAX - more ? INT64_MAX : t + more;
}

int64_t meta_until(const struct meta *m, int64_t taken)
{
	switch (m->consistency) {
	case CONSISTENCY_STRICT:
		return clock_ns();
	case CONSISTENCY_IMMUTABLE:
		return INT64_MAX;
	default:
		return taken == INT64_MIN ? taken : add_ns(taken, m->ttl);
	}
}

int64_t meta_listing_until(struct meta *m, struct str dirkey,
			   const struct listing *l)
{
	int64_t taken = listing_taken(l);
	const struct dir *d;
	bool forbidden;

	lock_take(&m->lock);
	d = dir_find_locked(m, dirkey);
	if (d != NULL && d->listing == l)
		forbidden = dir_current(d) < made_at_locked(m, dirkey);
	else
		forbidden = taken < made_at_locked(m, dirkey);
	forbidden = forbidden || rules_forbid_locked(m, dirkey, taken);
	lock_drop(&m->lock);
	return forbidden ? 0 : meta_until(m, taken);
}

static bool believed(const struct meta *m, int64_t taken)
{
	int64_t now = clock_ns();

	switch (m->consistency) {
	case CONSISTENCY_STRICT:
		return false;
	case CONSISTENCY_IMMUTABLE:
		return true;
	default:
		return taken <= now && meta_until(m, taken) > now;
	}
}

/*
 * A reference to a listing in memory that is fresh enough, or NULL. whole: all
 * of it counts, also what this mount changed.
 */
static struct listing *held_locked(struct meta *m, struct str dirkey,
				   bool whole) TSA(requires_capability(m->lock))
{
	const struct dir *d = dir_find_locked(m, dirkey);
	struct listing *l = dir_usable_locked(m, d);

	if (l == NULL || !believed(m, listing_taken(l)) ||
	    (whole && dir_current(d) < made_at_locked(m, dirkey)))
		return NULL;
	return listing_ref(l);
}

bool meta_load(struct meta *m, struct str dirkey, bool again)
{
	struct disk_id id = meta_listing_id(m, dirkey);
	struct drops drops = { 0 };
	int64_t now = clock_ns();
	struct listing *l, *have;
	bool newer = false;
	struct dir *d;
	int r;

	if (m->disk == NULL || m->consistency == CONSISTENCY_STRICT ||
	    !made_noted(m))
		return false;
	lock_take(&m->lock);
	d = dir_get_locked(m, dirkey, &drops);
	if (d == NULL || (!again && d->probed != INT64_MIN &&
			  now - d->probed < PROBE_EVERY)) {
		lock_drop(&m->lock);
		drops_end(&drops);
		return false;
	}
	d->probed = now;
	lock_drop(&m->lock);
	drops_end(&drops);
	if (!gate_enter(&m->gate))
		return false;
	r = listing_open(m->disk, &id, &l);
	if (r == 0 && rules_forbid_saved(m, dirkey, listing_taken(l))) {
		listing_unref(l);
		r = -ENOENT;
	}
	gate_leave(&m->gate);
	if (r < 0)
		return false;
	drops.n = 0;
	lock_take(&m->lock);
	d = dir_get_locked(m, dirkey, &drops);
	have = dir_usable_locked(m, d);
	if (d != NULL && listing_taken(l) <= now &&
	    !rules_forbid_locked(m, dirkey, listing_taken(l)) &&
	    (have == NULL || listing_taken(have) < listing_taken(l))) {
		newer = true;
		d->big = listing_entries(l) > LOOKUP_LIST_MAX;
		dir_set_locked(d, listing_ref(l), &drops);
	}
	lock_drop(&m->lock);
	drops_end(&drops);
	listing_unref(l);
	return newer;
}

static int absent(const struct meta *m, int64_t taken, struct meta_answer *out)
{
	memset(out, 0, sizeof(*out));
	out->taken = taken;
	out->until =
	    taken == INT64_MIN ? taken : add_ns(taken, m->negative_ttl);
	return -ENOENT;
}

int64_t meta_absent_until(const struct meta *m, int64_t taken)
{
	struct meta_answer a;

	/* Still so, as far as we know. */
	(void)absent(
	    m, m->consistency == CONSISTENCY_IMMUTABLE ? clock_ns() : taken,
	    &a);
	return a.until;
}

/*
 * What a listing says. -EAGAIN: that name is absent from it, for too long to
 * be still believed, or the disk must be read (nowait) or stalls, or it is
 * spoilt.
 */
static int answer(struct meta *m, struct listing *l, struct str name,
		  bool nowait, struct meta_answer *out)
{
	int64_t taken = listing_taken(l), now = clock_ns();
	struct meta_answer a = { .taken = taken,
				 .until = meta_until(m, taken) };
	int r;

	r = listing_find_nowait(l, name, &a.object, &a.dir, &a.st);
	if (r == -EAGAIN && !nowait && gate_enter(&m->gate)) {
		r = listing_find(l, name, &a.object, &a.dir, &a.st);
		gate_leave(&m->gate);
	}
	if (r < 0)
		return -EAGAIN;
	if (a.object || a.dir) {
		*out = a;
		return 0;
	}
	if (m->consistency == CONSISTENCY_IMMUTABLE)
		return absent(m, now, out); /* still so, as far as we know */
	if (taken == INT64_MIN || add_ns(taken, m->negative_ttl) <= now)
		return -EAGAIN;
	return absent(m, taken, out);
}

/* dirkey and name together, into key: too_long() was asked. */
struct str meta_join(struct str dirkey, struct str name,
		     char key[static UFS_KEY_MAX])
{
	if (dirkey.n > 0)
		memcpy(key, dirkey.p, dirkey.n);
	if (name.n > 0)
		memcpy(key + dirkey.n, name.p, name.n);
	return (struct str){ key, dirkey.n + name.n };
}

static struct meta_answer known_answer(const struct meta *m,
				       const struct known *k)
{
	struct meta_answer a = { .object = k->object,
				 .dir = k->dir,
				 .taken = k->taken,
				 .until = meta_until(m, k->taken) };

	if (k->object)
		a.st = *k->st;
	return a;
}

/*
 * What the store said of just this name, or this mount made, if that is still
 * believed and not older than the listing (NULL: none). -EAGAIN: nothing.
 * -ENODATA: nothing, and what the listing says is not so.
 */
static int from_known_locked(struct meta *m, struct str key, struct listing *l,
			     struct meta_answer *out)
    TSA(requires_capability(m->lock))
{
	const struct known *k = known_find_locked(m, key);

	if (k == NULL || (l != NULL && listing_taken(l) > k->taken))
		return -EAGAIN;
	if (k->object || k->dir) {
		if (!believed(m, k->taken))
			return -EAGAIN;
		*out = known_answer(m, k);
		return 0;
	}
	if (add_ns(k->taken, m->negative_ttl) > clock_ns())
		return absent(m, k->taken, out);
	if (!k->made)
		return -EAGAIN;
	if (l != NULL && m->consistency == CONSISTENCY_IMMUTABLE)
		return absent(m, clock_ns(), out); /* as answer() */
	return -ENODATA;
}

/*
 * A listing and what counts for more than it leave together, so they are looked
 * for together.
 */
int meta_local(struct meta *m, struct str dirkey, struct str name, bool nowait,
	       struct meta_answer *out)
{
	char key[UFS_KEY_MAX];
	struct str joined = meta_join(dirkey, name, key);
	struct listing *l;
	int r;

	if (m->consistency == CONSISTENCY_STRICT)
		return -EAGAIN;
	lock_take(&m->lock);
	l = held_locked(m, dirkey, false);
	if (l == NULL) {
		l = pages_find_locked(m, dirkey, name);
		if (l != NULL && !believed(m, listing_taken(l))) {
			listing_unref(l); /* not the last: it is kept */
			l = NULL;
		}
	}
	r = from_known_locked(m, joined, l, out);
	lock_drop(&m->lock);
	if (r == -EAGAIN && l != NULL)
		r = answer(m, l, name, nowait, out);
	listing_unref(l);
	if (r == -ENODATA)
		return -EAGAIN;
	if (r != -EAGAIN)
		stat_inc(STAT_saved_head);
	return r;
}

/* Shall this lookup be answered by listing the directory? */
static bool list_it(struct meta *m, struct str dirkey)
{
	struct drops drops = { 0 };
	int64_t now = clock_ns();
	struct listing *l;
	struct dir *d;
	bool yes;

	if (m->consistency == CONSISTENCY_STRICT)
		return false;
	lock_take(&m->lock);
	d = dir_get_locked(m, dirkey, &drops);
	l = dir_usable_locked(m, d);
	if (d == NULL || d->big ||
	    (d->denied != INT64_MIN && now - d->denied < DENIED_FOR))
		yes = false;
	else if (flight_listing_locked(m, dirkey))
		yes = true;
	else if (m->consistency == CONSISTENCY_IMMUTABLE)
		yes = true;
	else if (l != NULL && !believed(m, listing_taken(l)))
		yes = true; /* S6: one page for a thousand */
	else
		yes = d->asks++ >= META_LOOKUPS_BEFORE_LIST;
	lock_drop(&m->lock);
	drops_end(&drops);
	return yes;
}

/* Note why a directory cannot be listed to answer lookups. */
static void note_unlistable(struct meta *m, struct str dirkey, int err)
{
	struct drops drops = { 0 };
	struct dir *d;

	lock_take(&m->lock);
	d = dir_get_locked(m, dirkey, &drops);
	if (d != NULL && err == -E2BIG)
		d->big = true;
	else if (d != NULL)
		d->denied = clock_ns();
	lock_drop(&m->lock);
	drops_end(&drops);
}

/* -EAGAIN: the directory cannot be listed for this. */
static int by_listing(struct meta *m, struct str dirkey, struct str name,
		      struct meta_answer *out, struct cancel *cancel)
{
	struct meta_answer a = { .until = INT64_MIN };
	struct flight *f;
	int r =
	    flight_take(m, FLIGHT_LIST, dirkey, STR_EMPTY, false, cancel, &f);

	if (r == -ENOENT)
		absent(m, f->taken, out);
	if (r == -E2BIG || r == -EACCES || r == -EOPNOTSUPP) {
		note_unlistable(m, dirkey, r);
		r = -EAGAIN;
	}
	if (r < 0) {
		flight_put(m, f);
		return r;
	}
	a.taken = listing_taken(f->listing);
	a.until = meta_until(m, a.taken);
	r = listing_find(f->listing, name, &a.object, &a.dir, &a.st);
	flight_put(m, f);
	if (r < 0)
		return -EAGAIN;
	if (!a.object && !a.dir)
		return absent(m, a.taken, out);
	*out = a;
	return 0;
}

/* -EAGAIN: there is no listing that says where the name would be. */
static int by_page(struct meta *m, struct str dirkey, struct str name,
		   struct meta_answer *out, struct cancel *cancel)
{
	struct listing *old, *page;
	int r;

	if (m->consistency == CONSISTENCY_STRICT)
		return -EAGAIN;
	lock_take(&m->lock);
	old = dir_usable_locked(m, dir_find_locked(m, dirkey));
	if (old != NULL)
		listing_ref(old);
	lock_drop(&m->lock);
	if (old == NULL)
		return -EAGAIN;
	r = pages_ask(m, dirkey, name, old, cancel);
	listing_unref(old);
	if (r < 0) /* as by_listing(): refused, or of no use */
		return r == -EACCES || r == -EOPNOTSUPP ? -EAGAIN : r;
	page = pages_find(m, dirkey, name);
	if (page == NULL)
		return -EAGAIN;
	r = answer(m, page, name, false, out);
	listing_unref(page);
	return r;
}

static int by_asking(struct meta *m, struct str dirkey, struct str name,
		     struct meta_answer *out, struct cancel *cancel)
{
	struct meta_answer a = { 0 };
	struct flight *f;
	int r = flight_take(m, FLIGHT_LOOKUP, dirkey, name, true, cancel, &f);

	if (r == -ENOENT)
		absent(m, f->taken, out);
	if (r == 0) {
		a.object = f->head_err == 0;
		a.dir = f->below_err == 0;
		if (a.object)
			a.st = f->st;
		a.taken = f->taken;
		a.until = meta_until(m, f->taken);
		*out = a;
	}
	flight_put(m, f);
	return r;
}

static bool too_long(struct str dirkey, struct str name)
{
	return dirkey.n > UFS_KEY_MAX || name.n > UFS_KEY_MAX - dirkey.n;
}

int meta_lookup_fast(struct meta *m, struct str dirkey, struct str name,
		     struct meta_answer *out)
{
	if (too_long(dirkey, name))
		return absent(m, clock_ns(), out);
	return meta_local(m, dirkey, name, true, out);
}

/* What is not known at once. */
static int find_out(struct meta *m, struct str dirkey, struct str name,
		    struct meta_answer *out, struct cancel *cancel)
{
	int r;

	if (meta_load(m, dirkey, false)) {
		r = meta_local(m, dirkey, name, false, out);
		if (r != -EAGAIN)
			return r;
	}
	if (list_it(m, dirkey)) {
		r = by_listing(m, dirkey, name, out, cancel);
		if (r != -EAGAIN)
			return r;
	}
	r = by_page(m, dirkey, name, out, cancel);
	return r != -EAGAIN ? r : by_asking(m, dirkey, name, out, cancel);
}

/*
 * r and *out are what was found, by asking at `since`. If this mount has made
 * it otherwise meanwhile, that is so. -EAGAIN: since the number of forgets was
 * the one given, something that tells of that may have been forgotten.
 */
static int unless_made(struct meta *m, struct str dirkey, struct str name,
		       int64_t since, uint64_t forgets, int r,
		       struct meta_answer *out)
{
	char key[UFS_KEY_MAX];
	const struct known *k;

	lock_take(&m->lock);
	if (m->forgets != forgets && (r == 0 || r == -ENOENT))
		r = -EAGAIN;
	k = known_find_locked(m, meta_join(dirkey, name, key));
	if (k != NULL && k->made && k->taken > since) {
		*out = known_answer(m, k);
		r = k->object || k->dir ? 0 : absent(m, k->taken, out);
	}
	lock_drop(&m->lock);
	return r;
}

int meta_lookup(struct meta *m, struct str dirkey, struct str name,
		struct meta_answer *out, struct cancel *cancel)
{
	int r = -EAGAIN, found = -EAGAIN;

	if (too_long(dirkey, name))
		return absent(m, clock_ns(), out);
	for (int tries = 0; r == -EAGAIN && tries < TRIES; tries++) {
		int64_t since = clock_ns();
		uint64_t forgets;

		lock_take(&m->lock);
		forgets = m->forgets;
		lock_drop(&m->lock);
		r = meta_local(m, dirkey, name, false, out);
		if (r != -EAGAIN)
			return r;
		found = find_out(m, dirkey, name, out, cancel);
		if (found == 0 || found == -ENOENT)
			since = out->taken;
		r = unless_made(m, dirkey, name, since, forgets, found, out);
	}
	return r != -EAGAIN ? r : found;
}

/* The listing in memory, however old: with a reference, or NULL. */
static struct listing *remembered(struct meta *m, struct str dirkey)
{
	struct listing *l;

	lock_take(&m->lock);
	l = dir_usable_locked(m, dir_find_locked(m, dirkey));
	if (l != NULL)
		listing_ref(l);
	lock_drop(&m->lock);
	return l;
}

/* What was said of just this name. False: nothing. */
static bool recall_known(struct meta *m, struct str dirkey, struct str name,
			 struct meta_answer *a)
{
	char key[UFS_KEY_MAX];
	const struct known *k;

	lock_take(&m->lock);
	k = known_find_locked(m, meta_join(dirkey, name, key));
	if (k != NULL)
		*a = known_answer(m, k);
	lock_drop(&m->lock);
	return k != NULL;
}

int meta_recall(struct meta *m, struct str dirkey, struct str name,
		struct meta_answer *out)
{
	struct meta_answer a = { .object = false }, b = a;
	struct listing *l;
	bool known;

	if (too_long(dirkey, name))
		return -EAGAIN;
	/* Before the listing, which does not leave after it. */
	known = recall_known(m, dirkey, name, &a);
	l = remembered(m, dirkey);
	if (l == NULL && meta_load(m, dirkey, false))
		l = remembered(m, dirkey);
	if (l == NULL)
		l = pages_find(m, dirkey, name);
	if (l != NULL && (!known || listing_taken(l) > a.taken) &&
	    gate_enter(&m->gate)) {
		b.taken = listing_taken(l);
		if (listing_find(l, name, &b.object, &b.dir, &b.st) == 0)
			a = b;
		gate_leave(&m->gate);
	}
	listing_unref(l);
	if (!a.object)
		return -EAGAIN;
	a.until = meta_until(m, a.taken);
	*out = a;
	return 0;
}

int meta_list_fast(struct meta *m, struct str dirkey, struct listing **out)
{
	struct listing *l;

	if (dirkey.n > UFS_KEY_MAX)
		return -ENOENT;
	lock_take(&m->lock);
	l = held_locked(m, dirkey, true);
	lock_drop(&m->lock);
	if (l == NULL)
		return -EAGAIN;
	stat_inc(STAT_saved_list);
	*out = l;
	return 0;
}

/*
 * Of the store; one flight for all who ask. What it told before `since` may
 * not be so any more: one that had begun by then is waited for in vain.
 */
static int take_listing(struct meta *m, struct str dirkey, int64_t since,
			struct listing **out, struct cancel *cancel)
{
	struct flight *f;
	bool again;
	int r;

	do {
		r = flight_take(m, FLIGHT_LIST, dirkey, STR_EMPTY, true, cancel,
				&f);
		again = (r == 0 || r == -ENOENT) && f->began < since;
		if (r == 0 && !again)
			*out = listing_ref(f->listing);
		flight_put(m, f);
	} while (again);
	return r;
}

/* When something in the directory was last changed here. */
static int64_t made_at(struct meta *m, struct str dirkey)
{
	int64_t at;

	lock_take(&m->lock);
	at = made_at_locked(m, dirkey);
	lock_drop(&m->lock);
	return at;
}

int meta_list(struct meta *m, struct str dirkey, struct listing **out,
	      struct cancel *cancel)
{
	int r = meta_list_fast(m, dirkey, out);

	if (r != -EAGAIN)
		return r;
	if (meta_load(m, dirkey, false)) {
		r = meta_list_fast(m, dirkey, out);
		if (r != -EAGAIN)
			return r;
	}
	return take_listing(m, dirkey, made_at(m, dirkey), out, cancel);
}

int meta_list_since(struct meta *m, struct str dirkey, int64_t since,
		    struct listing **out, struct cancel *cancel)
{
	int r = meta_list(m, dirkey, out, cancel);

	/* Once more if the flight that was joined had begun before. */
	for (int i = 0; i < 2 && r == 0 && listing_taken(*out) < since; i++) {
		listing_unref(*out);
		r = take_listing(m, dirkey, INT64_MIN, out, cancel);
	}
	return r;
}

int meta_stat_now(struct meta *m, struct str key, struct ufs_stat *out,
		  struct cancel *cancel)
{
	struct flight *f;
	int r;

	if (key.n > UFS_KEY_MAX)
		return -ENOENT;
	r = flight_take(m, FLIGHT_STAT, key, STR_EMPTY, true, cancel, &f);
	if (r == 0)
		*out = f->st;
	flight_put(m, f);
	return r;
}
