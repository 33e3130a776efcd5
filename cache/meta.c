/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta.c - from names to attributes, and how fresh they are
 *
 * What is asked is answered, in this order, from what was asked before of just
 * this name, from the directory's listing in memory, from its listing on the
 * disk, and by the store: with a listing of the whole directory where that is
 * the cheaper way to answer what comes next, else with a HEAD and a LIST of one
 * entry.
 */
#include "cache/meta_impl.h"

#include <errno.h>

#include "base/stats.h"

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
	bool forbidden;

	lock_take(&m->lock);
	forbidden = rules_forbid_locked(m, dirkey, taken);
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

static struct listing *usable_locked(struct meta *m, struct dir *d)
    TSA(requires_capability(m->lock))
{
	if (d == NULL || d->listing == NULL || listing_is_bad(d->listing) ||
	    rules_forbid_locked(m, (struct str){ d->key, d->n },
				listing_taken(d->listing)))
		return NULL;
	return d->listing;
}

/* A reference to a listing in memory that is fresh enough, or NULL. */
static struct listing *held(struct meta *m, struct str dirkey)
{
	struct listing *l;

	lock_take(&m->lock);
	l = usable_locked(m, dir_find_locked(m, dirkey));
	if (l != NULL && believed(m, listing_taken(l)))
		listing_ref(l);
	else
		l = NULL;
	lock_drop(&m->lock);
	return l;
}

/*
 * Look for the directory's listing on the disk, unless just done. True: it
 * was newer than what is in memory.
 */
static bool load(struct meta *m, struct str dirkey)
{
	struct disk_id id = meta_listing_id(m, dirkey);
	struct drops drops = { 0 };
	int64_t now = clock_ns();
	struct listing *l, *have;
	bool newer = false;
	struct dir *d;
	int r;

	if (m->disk == NULL || m->consistency == CONSISTENCY_STRICT)
		return false;
	lock_take(&m->lock);
	d = dir_get_locked(m, dirkey, &drops);
	if (d == NULL ||
	    (d->probed != INT64_MIN && now - d->probed < PROBE_EVERY)) {
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
	gate_leave(&m->gate);
	if (r < 0)
		return false;
	drops.n = 0;
	lock_take(&m->lock);
	d = dir_get_locked(m, dirkey, &drops);
	have = usable_locked(m, d);
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

/*
 * What the store said of just this name, if that is still believed and not
 * older than the listing (NULL: none). -EAGAIN: nothing.
 */
static int from_known(struct meta *m, struct str key, struct listing *l,
		      struct meta_answer *out)
{
	const struct known *k;
	int r = -EAGAIN;

	lock_take(&m->lock);
	k = known_find_locked(m, key);
	if (k == NULL || (l != NULL && listing_taken(l) > k->taken)) {
		lock_drop(&m->lock);
		return r;
	}
	if (!k->object && !k->dir) {
		if (add_ns(k->taken, m->negative_ttl) > clock_ns())
			r = absent(m, k->taken, out);
	} else if (believed(m, k->taken)) {
		*out = (struct meta_answer){ .object = k->object,
					     .dir = k->dir,
					     .taken = k->taken,
					     .until = meta_until(m, k->taken) };
		if (k->object)
			out->st = *k->st;
		r = 0;
	}
	lock_drop(&m->lock);
	return r;
}

/* Without a request. -EAGAIN: what is known does not tell. */
static int local(struct meta *m, struct str dirkey, struct str name,
		 bool nowait, struct meta_answer *out)
{
	char key[UFS_KEY_MAX];
	struct listing *l;
	int r;

	if (m->consistency == CONSISTENCY_STRICT)
		return -EAGAIN;
	if (dirkey.n > 0)
		memcpy(key, dirkey.p, dirkey.n);
	if (name.n > 0)
		memcpy(key + dirkey.n, name.p, name.n);
	l = held(m, dirkey);
	if (l == NULL) {
		l = pages_find(m, dirkey, name);
		if (l != NULL && !believed(m, listing_taken(l))) {
			listing_unref(l);
			l = NULL;
		}
	}
	r = from_known(m, (struct str){ key, dirkey.n + name.n }, l, out);
	if (r == -EAGAIN && l != NULL)
		r = answer(m, l, name, nowait, out);
	listing_unref(l);
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
	l = usable_locked(m, d);
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
	old = usable_locked(m, dir_find_locked(m, dirkey));
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
	return local(m, dirkey, name, true, out);
}

int meta_lookup(struct meta *m, struct str dirkey, struct str name,
		struct meta_answer *out, struct cancel *cancel)
{
	int r;

	if (too_long(dirkey, name))
		return absent(m, clock_ns(), out);
	r = local(m, dirkey, name, false, out);
	if (r != -EAGAIN)
		return r;
	if (load(m, dirkey)) {
		r = local(m, dirkey, name, false, out);
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

int meta_list_fast(struct meta *m, struct str dirkey, struct listing **out)
{
	struct listing *l;

	if (dirkey.n > UFS_KEY_MAX)
		return -ENOENT;
	l = held(m, dirkey);
	if (l == NULL)
		return -EAGAIN;
	stat_inc(STAT_saved_list);
	*out = l;
	return 0;
}

int meta_list(struct meta *m, struct str dirkey, struct listing **out,
	      struct cancel *cancel)
{
	struct flight *f;
	int r = meta_list_fast(m, dirkey, out);

	if (r != -EAGAIN)
		return r;
	if (load(m, dirkey)) {
		r = meta_list_fast(m, dirkey, out);
		if (r != -EAGAIN)
			return r;
	}
	r = flight_take(m, FLIGHT_LIST, dirkey, STR_EMPTY, true, cancel, &f);
	if (r == 0)
		*out = listing_ref(f->listing);
	flight_put(m, f);
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
