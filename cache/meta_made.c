/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_made.c - what this mount itself changed
 *
 * A change is remembered like the answer to a lookup that was asked just then.
 * So it counts for more than listings and answers that were asked for before,
 * also those still to come, and for less than those asked for after it. The
 * listing of its directory is not taken anew for it: it goes on telling of the
 * other names. Only who wants all of it gets one that was asked for after the
 * last change, so when that was is remembered of each directory; or all
 * changes are in it, as when a file is made deep below a directory that was
 * there before.
 *
 * Both memories are bounded. When the change of a name has to leave, so do the
 * listings and pages that may say otherwise, and what is being asked is not
 * kept. Directories that have to leave leave a time behind, before which no
 * listing of any other directory is believed to be whole.
 *
 * Other mounts, and those to come, know nothing of this: for them the note on
 * the disk (meta_rules.c) says that what was listed of the directory before is
 * not to be believed. It says so a little ahead, so that many changes in one
 * directory cost one note. A note that could not be written is owed: until it
 * is, this mount believes no listing on the disk, and what is written then
 * forbids them all.
 */
#include "cache/meta_impl.h"

#include <errno.h>

#include "base/log.h"

#define NOTE_AHEAD NSEC_PER_SEC
#define TRIES 3 /* where more becomes known meanwhile */

static struct made **made_slot(struct meta *m, struct str key)
{
	struct made **at = &m->made[meta_hash(key) % MADE_BUCKETS];

	while (*at != NULL &&
	       !str_eq((struct str){ (*at)->key, (*at)->n }, key))
		at = &(*at)->next;
	return at;
}

int64_t made_at_locked(struct meta *m, struct str dirkey)
{
	const struct made *d = *made_slot(m, dirkey);

	return d != NULL ? d->at : m->made_floor;
}

static void made_drop_locked(struct meta *m, size_t i)
    TSA(requires_capability(m->lock))
{
	struct made *d = m->made_ring[i], **at;

	if (d == NULL)
		return;
	at = made_slot(m, (struct str){ d->key, d->n });
	*at = d->next;
	m->made_ring[i] = NULL;
	m->made_floor = MAX(m->made_floor, d->at);
	free(d);
}

static void made_set_locked(struct meta *m, struct str dirkey, int64_t now)
    TSA(requires_capability(m->lock))
{
	struct made *d = *made_slot(m, dirkey);

	if (d == NULL) {
		d = calloc(1, sizeof(*d) + dirkey.n + 1);
		if (d == NULL) {
			m->made_floor = now;
			return;
		}
		d->noted = INT64_MIN;
		d->n = dirkey.n;
		if (dirkey.n > 0)
			memcpy(d->key, dirkey.p, dirkey.n);
		made_drop_locked(m, m->made_next);
		m->made_ring[m->made_next] = d;
		m->made_next = (m->made_next + 1) % MADE_MAX;
		*made_slot(m, dirkey) = d;
	}
	d->at = now;
}

void made_forget_locked(struct meta *m, struct str dirkey, int64_t made,
			struct drops *drops)
{
	bool any = dir_outdated_locked(m, dirkey, made, drops);

	any = pages_outdated_locked(m, dirkey, made) || any;
	any = flights_outdated_locked(m, dirkey, made) || any;
	m->forgets += any;
}

/* A name: what it is, or was. */
struct change {
	struct str dirkey, name, key; /* key: both */
	const struct ufs_stat *st;    /* NULL: no object */
	bool dir;

	struct listing *listing; /* owns a ref; tells already what is now */
	bool was_known, was_dir; /* before */
	struct ufs_stat was;     /* the object, where st is that still */
};

static bool same(const struct change *c, bool dir, const struct ufs_stat *st)
{
	if (dir != c->dir || (st == NULL) != (c->st == NULL))
		return false;
	return st == NULL ||
	       (st->size == c->st->size && st->mtime == c->st->mtime &&
		strcmp(st->version, c->st->version) == 0);
}

/* What memory tells of the name: the listing, and what was asked since. */
static void look(struct meta *m, struct change *c)
{
	int64_t taken = INT64_MIN;
	const struct known *k;
	struct meta_answer a;
	struct listing *l;

	lock_take(&m->lock);
	l = dir_usable_locked(m, dir_find_locked(m, c->dirkey));
	if (l != NULL)
		listing_ref(l);
	lock_drop(&m->lock);
	if (l != NULL &&
	    listing_find_nowait(l, c->name, &a.object, &a.dir, &a.st) == 0) {
		c->was_known = true;
		c->was_dir = a.dir;
		taken = listing_taken(l);
		if (same(c, a.dir, a.object ? &a.st : NULL))
			c->listing = take_ptr(l);
	}
	listing_unref(l);
	lock_take(&m->lock);
	k = known_find_locked(m, c->key);
	/* What strict mode keeps does not count. */
	if (k != NULL && k->taken >= taken &&
	    m->consistency != CONSISTENCY_STRICT) {
		c->was_known = true;
		c->was_dir = k->dir;
	}
	lock_drop(&m->lock);
}

/* What is known of a name at one moment. */
struct seen {
	int64_t taken; /* when it was asked for on its own; or INT64_MIN */
	struct listing *listing; /* of its directory: owns a ref; or NULL */
};

static void see_locked(struct meta *m, const struct change *c, struct seen *out)
    TSA(requires_capability(m->lock))
{
	const struct known *k = known_find_locked(m, c->key);

	out->taken = k != NULL ? k->taken : INT64_MIN;
	out->listing = dir_usable_locked(m, dir_find_locked(m, c->dirkey));
}

static bool is_seen_locked(struct meta *m, const struct change *c,
			   const struct seen *seen)
    TSA(requires_capability(m->lock))
{
	struct seen now;

	see_locked(m, c, &now);
	return now.taken == seen->taken && now.listing == seen->listing;
}

/* Is the listing still as good as if it had been taken now? */
static bool vouch_locked(struct meta *m, const struct change *c, int64_t now)
    TSA(requires_capability(m->lock))
{
	struct dir *d = dir_find_locked(m, c->dirkey);

	if (c->listing == NULL || d == NULL || d->listing != c->listing ||
	    dir_current(d) < made_at_locked(m, c->dirkey))
		return false;
	d->vouched = now;
	return true;
}

/*
 * Remember it. *vouched: the listings of the directory are up to date. False:
 * what is known is not any more what was seen (NULL: that is no matter).
 */
static bool remember(struct meta *m, const struct change *c,
		     const struct seen *seen, bool *vouched)
{
	struct drops drops = { 0 };
	int64_t now;

	lock_take(&m->lock);
	if (seen != NULL && !is_seen_locked(m, c, seen)) {
		lock_drop(&m->lock);
		return false;
	}
	now = clock_ns();
	*vouched = vouch_locked(m, c, now);
	made_set_locked(m, c->dirkey, now);
	/* In strict mode it would not be believed. */
	if (m->consistency != CONSISTENCY_STRICT &&
	    !known_add_locked(m, c->key, c->dirkey.n, now, c->st, c->dir, true,
			      &drops) &&
	    !*vouched)
		made_forget_locked(m, c->dirkey, now, &drops);
	lock_drop(&m->lock);
	drops_end(&drops);
	return true;
}

/* What was asked of the directory, and of it alone, is not believed. */
static void rule_of(struct rule *r, struct str dirkey, int64_t since)
{
	r->since = since;
	r->above_n = r->tree_n = MIN(dirkey.n, (size_t)UFS_KEY_MAX);
	if (r->above_n > 0)
		memcpy(r->tree, dirkey.p, r->above_n);
	/* A tree is needed: that of the empty name, which is rare. */
	if (r->tree_n < UFS_KEY_MAX)
		r->tree[r->tree_n++] = '/';
}

static int save(struct meta *m, struct str dirkey, int64_t since, bool all)
{
	struct rule rule;
	int r;

	if (all)
		rule = (struct rule){ .since = since };
	else
		rule_of(&rule, dirkey, since);
	if (!gate_enter(&m->gate))
		return -ETIMEDOUT;
	r = rules_save(m, &rule);
	gate_leave(&m->gate);
	return r;
}

/* Tell the mounts to come, unless that was done for a while. */
static void note(struct meta *m, struct str dirkey)
{
	struct disk_id id = meta_listing_id(m, dirkey);
	int64_t now = clock_ns(), since = now + NOTE_AHEAD, owed;
	struct made *d;
	bool done;
	int r;

	if (m->disk == NULL)
		return;
	lock_take(&m->lock);
	d = *made_slot(m, dirkey);
	owed = m->owed;
	done = owed == INT64_MIN && d != NULL && d->noted > now;
	lock_drop(&m->lock);
	if (done)
		return;
	r = save(m, dirkey, since, owed != INT64_MIN);
	if (r == 0)
		listing_remove(m->disk, &id); /* it is of no use any more */
	lock_take(&m->lock);
	d = *made_slot(m, dirkey);
	if (r < 0)
		m->owed = since;
	else if (m->owed == owed)
		m->owed = INT64_MIN;
	if (r == 0 && d != NULL)
		d->noted = MAX(d->noted, since);
	lock_drop(&m->lock);
	if (r < 0 && owed == INT64_MIN)
		log_warn("meta: what was changed in %.*s is not noted on the "
			 "disk, and another mount may not know it: %s",
			 (int)dirkey.n, dirkey.p, strerror(-r));
}

bool made_noted(struct meta *m)
{
	bool yes;

	lock_take(&m->lock);
	yes = m->owed == INT64_MIN;
	lock_drop(&m->lock);
	return yes;
}

void made_fini(struct meta *m)
{
	if (m->owed != INT64_MIN)
		(void)save(m, STR_EMPTY, clock_ns(), true);
	lock_take(&m->lock);
	for (size_t i = 0; i < MADE_MAX; i++)
		made_drop_locked(m, i);
	lock_drop(&m->lock);
}

static void tell_others(struct meta *m, struct str key)
{
	if (m->ufs->ops->made != NULL)
		m->ufs->ops->made(m->ufs, key);
}

/* It became a directory, or ceased to be one: so much for what is below. */
static void made_below(struct meta *m, struct str key)
{
	char buf[UFS_KEY_MAX + 2];
	struct str below = { buf, key.n + 1 };
	struct disk_id id;

	if (below.n > UFS_KEY_MAX)
		return;
	memcpy(buf, key.p, key.n);
	buf[key.n] = buf[key.n + 1] = '/';
	/* By a name in it, as that of a directory means the one above. */
	tell_source(m, (struct str){ buf, below.n + 1 }, false);
	tell_others(m, below);
	lock_take(&m->lock);
	made_set_locked(m, below, clock_ns());
	lock_drop(&m->lock);
	id = meta_listing_id(m, below);
	listing_remove(m->disk, &id);
}

/* False: it is longer than any store has. */
static bool join(struct change *c, char key[static UFS_KEY_MAX])
{
	if (c->dirkey.n > UFS_KEY_MAX || c->name.n > UFS_KEY_MAX - c->dirkey.n)
		return false;
	c->key = meta_join(c->dirkey, c->name, key);
	return true;
}

/* turns: into a directory, or from one. False: as for remember(). */
static bool say(struct meta *m, const struct change *c, bool turns,
		const struct seen *seen)
{
	bool vouched;

	tell_source(m, c->key, false);
	tell_others(m, c->key);
	if (turns)
		made_below(m, c->key);
	if (!remember(m, c, seen, &vouched))
		return false;
	if (!vouched)
		note(m, c->dirkey);
	return true;
}

void meta_made(struct meta *m, struct str dirkey, struct str name,
	       const struct ufs_stat *st, bool dir)
{
	struct change c = {
		.dirkey = dirkey, .name = name, .st = st, .dir = dir
	};
	char key[UFS_KEY_MAX];
	bool turns;

	if (!join(&c, key))
		return;
	look(m, &c);
	turns =
	    name.n > 0 && (c.was_known ? c.was_dir != dir : dir || st == NULL);
	(void)say(m, &c, turns, NULL);
	listing_unref(c.listing);
}

/* ---- what is there by something below it ---- */

/* What is believed of a name, by what is *seen. */
enum sure {
	SURE,      /* a directory, and nothing that is known says otherwise */
	OTHERWISE, /* or something may come to say so: it is to be remembered */
	NOTHING,
};

static enum sure judge(struct meta *m, struct change *c, struct seen *seen)
{
	struct meta_answer a, whole;
	const struct known *k;
	bool made, clear;
	int r;

	lock_take(&m->lock);
	see_locked(m, c, seen);
	if (seen->listing != NULL)
		listing_ref(seen->listing);
	k = known_find_locked(m, c->key);
	made = k != NULL && k->made;
	/* That it is absent may be believed for longer than what came after. */
	clear = (k == NULL || k->dir) &&
		!flights_telling_locked(m, c->dirkey, c->name, false);
	lock_drop(&m->lock);
	r = meta_local(m, c->dirkey, c->name, false, &a);
	if (r != 0 && r != -ENOENT)
		return NOTHING;
	c->was_dir = r == 0 && a.dir;
	c->st = NULL;
	if (r == 0 && a.object) {
		c->was = a.st;
		c->st = &c->was;
	}
	if (seen->listing != NULL) {
		r = listing_find_nowait(seen->listing, c->name, &whole.object,
					&whole.dir, &whole.st);
		if (r == 0 &&
		    same(c, whole.dir, whole.object ? &whole.st : NULL))
			c->listing = listing_ref(seen->listing);
		/* Of what was made, it is known not to have it. */
		clear = clear && (made || (r == 0 && whole.dir));
	}
	return c->was_dir && clear ? SURE : OTHERWISE;
}

/*
 * The store is asked, but not by who has begun to before. The disk's listing is
 * as old as the one that is here (NULL: there is none), or older.
 */
static void ask_anew(struct meta *m, const struct change *c,
		     const struct listing *l)
{
	lock_take(&m->lock);
	made_set_locked(m, c->dirkey, clock_ns());
	m->forgets += flights_telling_locked(m, c->dirkey, c->name, true);
	lock_drop(&m->lock);
	tell_source(m, c->key, false);
	tell_others(m, c->key);
	if (l == NULL || meta_until(m, listing_taken(l)) > clock_ns())
		note(m, c->dirkey);
}

/* False: more has become known meanwhile. */
static bool made_below_once(struct meta *m, struct change *c, bool last)
{
	struct seen seen;
	bool done = true;

	switch (judge(m, c, &seen)) {
	case SURE:
		break;
	case OTHERWISE:
		done = say(m, c, !c->was_dir, last ? NULL : &seen);
		break;
	case NOTHING:
		done = last || !meta_load(m, c->dirkey, true);
		if (done)
			ask_anew(m, c, seen.listing);
		break;
	}
	listing_unref(take_ptr(c->listing));
	listing_unref(seen.listing);
	return done;
}

void meta_made_below(struct meta *m, struct str dirkey, struct str name)
{
	struct change c = { .dirkey = dirkey, .name = name, .dir = true };
	char key[UFS_KEY_MAX];
	int tries = 0;

	/* A mount that remembers nothing has nothing to put right. */
	if (m->consistency == CONSISTENCY_STRICT || !join(&c, key))
		return;
	while (!made_below_once(m, &c, tries == TRIES))
		tries++;
}
