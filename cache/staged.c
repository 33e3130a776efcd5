/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staged.c - a staged file from its making to its end
 *
 * Users hold it, and so do its commit and its senders. When the last user has
 * gone, what is not being committed is of no use any more: what is sent is
 * cancelled, and who lets go last ends it. That may have to ask the store
 * (abort an upload) or to copy the file (into the cache), and is done by a
 * thread of the commits then.
 */
#include "cache/staging_impl.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"

struct staged_base *staged_base_new(struct str key)
{
	struct staged_base *b = calloc(1, sizeof(*b) + key.n + 1);

	if (b == NULL)
		return NULL;
	atomic_init(&b->refs, 1);
	memcpy(b->bytes, key.p, key.n);
	b->key = (struct str){ b->bytes, key.n };
	return b;
}

struct staged_base *staged_base_ref(struct staged_base *b)
{
	if (b != NULL)
		atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void staged_base_unref(struct staged_base *b)
{
	if (b != NULL &&
	    atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		free(b);
}

void staged_free(struct staged *f)
{
	struct staging *s = f->staging;

	if (f->fd >= 0)
		close(f->fd); /* and its flock */
	staged_base_unref(f->base);
	ranges_fini(&f->held);
	ranges_fini(&f->dirty);
	ranges_fini(&f->frozen);
	ranges_fini(&f->reserved);
	sums_free(f->sums);
	staged_asides_free(f);
	staged_memory_end(f);
	free(f->parts);
	free(f->upload);
	free(f->old_upload);
	free(f->key);
	event_fini(&f->changed);
	lock_fini(&f->lock);
	free(f);
	staging_lives(s, -1);
}

/* Nobody has it any more. */
static void end(struct staged *f)
{
	struct staging *s = f->staging;
	struct str key = { f->key, f->key_len };
	/* What could not be put on the disk is lost: staged_stick() said so. */
	bool keep = (f->err != 0 || (f->acked && staged_dirty_locked(f))) &&
		    !f->removed && f->fd >= 0 && !f->memory;

	failed_ended(s, f);
	upload_abort_later(s, key, take_ptr(f->upload));
	if (!keep)
		upload_abort_later(s, key, take_ptr(f->old_upload));
	if (!f->removed && f->err == 0 && f->made && !staged_dirty_locked(f))
		commit_adopt(f);
	if (f->removed || (!keep && !staged_dirty_locked(f)))
		staged_drop_asides(f, UINT64_MAX);
	if (keep || f->asides != NULL)
		staging_keeps(s);
	if (!keep)
		staged_record_remove(f);
	/* A power cut is not to bring back what others have changed since. */
	if (!keep && f->acked_change != 0)
		(void)fsync(s->dir);
	staged_free(f);
}

static void end_run(struct job *job)
{
	end(container_of(job, struct staged, job));
}

void staged_hold(struct staged *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
}

void staged_let_go(struct staged *f)
{
	if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (f->upload != NULL || f->old_upload != NULL ||
	    (f->made && !f->adopted)) {
		f->job.run = end_run;
		pool_submit(f->staging->commits, &f->job, POOL_BACKGROUND);
	} else {
		end(f);
	}
}

int staged_set_key(struct staged *f, struct str key)
{
	char *copy;

	if (key.n > UFS_KEY_MAX)
		return -ENAMETOOLONG;
	copy = str_dup(key);
	if (copy == NULL)
		return -ENOMEM;
	free(f->key);
	f->key = copy;
	f->key_len = key.n;
	return 0;
}

int staged_make_id(char id[static STAGED_ID + 1])
{
	unsigned char bytes[STAGED_ID / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static int make(struct staged *f, struct str key, enum staged_from from,
		const struct ufs_stat *base, bool nowait)
{
	int r = staged_set_key(f, key);

	if (r < 0)
		return r;
	f->sums = sums_new();
	if (f->sums == NULL)
		return -ENOMEM;
	r = staged_make_id(f->id);
	if (r < 0)
		return r;
	memcpy(f->line, f->id, sizeof(f->line));
	f->bound = UFS_IF_ABSENT;
	f->exclusive = from == STAGED_EXCLUSIVE;
	f->mtime = clock_wall_ns();
	f->change = from != STAGED_UPON;
	if (base != NULL) {
		f->base = staged_base_new(key);
		if (f->base == NULL)
			return -ENOMEM;
		f->base->st = *base;
		f->bound = UFS_IF_VERSION;
		memcpy(f->version, base->version, sizeof(f->version));
	}
	if (nowait)
		return staged_memory_new(f, true) ? 0 : -EAGAIN;
	if (from != STAGED_UPON)
		return staged_files(f);
	f->size = f->base_end = base->size;
	f->mtime = base->mtime;
	return 0;
}

struct staged *staged_alloc(struct staging *s)
{
	struct staged *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->staging = s;
	f->fd = -1;
	atomic_init(&f->users, 1);
	atomic_init(&f->refs, 1);
	lock_init(&f->lock, RANK_STAGED);
	event_init(&f->changed);
	staging_lives(s, 1);
	return f;
}

static int make_new(struct staging *s, struct str key, enum staged_from from,
		    const struct ufs_stat *base, bool nowait,
		    struct staged **out)
{
	bool based = from == STAGED_UPON || from == STAGED_EMPTY;
	struct staged *f;
	int r;

	if (based != (base != NULL))
		return -EINVAL;
	if (from == STAGED_UPON && base->size > s->most)
		return -EFBIG;
	f = staged_alloc(s);
	if (f == NULL)
		return -ENOMEM;
	r = make(f, key, from, base, nowait);
	if (r < 0) {
		if (!nowait)
			staged_record_remove(f);
		staged_free(f);
	} else {
		*out = f;
	}
	return r;
}

int staged_new(struct staging *s, struct str key, enum staged_from from,
	       const struct ufs_stat *base, struct staged **out)
{
	return make_new(s, key, from, base, false, out);
}

int staged_new_now(struct staging *s, struct str key, enum staged_from from,
		   struct staged **out)
{
	return make_new(s, key, from, NULL, true, out);
}

struct staged *staged_ref(struct staged *f)
{
	atomic_fetch_add_explicit(&f->users, 1, memory_order_relaxed);
	return f;
}

void staged_send_late(struct staged *f)
{
	lock_take(&f->lock);
	f->late = true;
	lock_drop(&f->lock);
}

void staged_unref(struct staged *f)
{
	if (f == NULL ||
	    atomic_fetch_sub_explicit(&f->users, 1, memory_order_acq_rel) != 1)
		return;
	lock_take(&f->lock);
	f->abandoned = true;
	if (!f->committing)
		cancel_set(&f->cancel);
	lock_drop(&f->lock);
	staged_let_go(f);
}

void staged_get(struct staged *f, struct staged_state *out)
{
	struct staged_state st = { 0 };

	lock_take(&f->lock);
	st.size = f->size;
	st.mtime = f->mtime;
	st.dirty = staged_dirty_locked(f);
	st.acked = staged_acked_locked(f);
	st.committing = f->committing;
	st.uncertain = f->tried > f->committed;
	st.removed = f->removed;
	st.err = -f->err;
	st.committed = f->made;
	if (f->base != NULL)
		st.st = f->base->st;
	lock_drop(&f->lock);
	*out = st;
}

void staged_set_mtime(struct staged *f, int64_t mtime)
{
	lock_take(&f->lock);
	f->mtime = mtime;
	f->timed = true;
	lock_drop(&f->lock);
}

size_t staged_key(struct staged *f, char *key)
{
	size_t n;

	lock_take(&f->lock);
	n = f->key_len;
	memcpy(key, f->key, n + 1);
	lock_drop(&f->lock);
	return n;
}

/*
 * Wait until nothing is committed or sent, and let nothing begin. What is sent
 * is cancelled, and so is a commit if at_once; but of a file whose close was
 * acknowledged not one that may be an object by now: what became of that is to
 * be known.
 */
static void quiet_locked(struct staged *f, bool at_once)
    TSA(requires_capability(f->lock));

static void quiet_locked(struct staged *f, bool at_once)
{
	while (f->quiet)
		event_wait(&f->changed, &f->lock);
	f->quiet = true;
	if (at_once && !(f->sealing && f->acked_change != 0))
		cancel_set(&f->cancel);
	while (f->committing)
		event_wait(&f->changed, &f->lock);
	cancel_set(&f->cancel);
	upload_stop_locked(f);
	atomic_store(&f->cancel.set, false);
}

/* The turn is ours, nothing is committed or sent. */
static int rename_locked(struct staged *f, struct str key,
			 const struct ufs_cond *cond)
    TSA(requires_capability(f->lock));

static int rename_locked(struct staged *f, struct str key,
			 const struct ufs_cond *cond)
{
	int r = staged_set_key(f, key);

	if (r < 0)
		return r;
	f->send_err = 0;
	f->late = false;
	f->change++;
	if (f->acked)
		f->acked_change = f->change;
	f->exclusive = false;
	if (cond == NULL)
		return 0;
	f->bound = cond->what;
	f->version[0] = '\0';
	if (cond->what == UFS_IF_VERSION)
		snprintf(f->version, sizeof(f->version), "%s", cond->version);
	return 0;
}

/*
 * next: what the version that it is bound to is now. That is its base, unless
 * it is to replace what was never its own.
 */
static int rebase_locked(struct staged *f, const char *was,
			 struct staged_base *next)
    TSA(requires_capability(f->lock));

static int rebase_locked(struct staged *f, const char *was,
			 struct staged_base *next)
{
	const struct ufs_cond cond = { UFS_IF_VERSION, next->st.version };
	uint64_t change = f->change;
	bool own;
	int r;

	if (f->bound != UFS_IF_VERSION || strcmp(f->version, was) != 0)
		return -ESTALE;
	own = f->base != NULL && strcmp(f->base->st.version, was) == 0 &&
	      str_cmp(f->base->key, (struct str){ f->key, f->key_len }) == 0;
	r = rename_locked(f, next->key, &cond);
	if (r < 0)
		return r;
	f->change = change;
	if (f->acked)
		f->acked_change = change;
	if (!own)
		return 0;
	staged_base_unref(f->base);
	f->base = staged_base_ref(next);
	f->made = true;
	f->adopted = false;
	return 0;
}

/* What a key goes with. */
struct bound {
	struct staged_base *base; /* owns a ref, or NULL */
	enum ufs_if bound;
	char version[UFS_VERSION_MAX];
	bool exclusive, late, made, adopted, clean;
};

static void bound_locked(const struct staged *f, struct bound *b)
    TSA(requires_capability(f->lock));

static void bound_locked(const struct staged *f, struct bound *b)
{
	b->base = staged_base_ref(f->base);
	b->bound = f->bound;
	memcpy(b->version, f->version, sizeof(b->version));
	b->exclusive = f->exclusive;
	b->late = f->late;
	b->made = f->made;
	b->adopted = f->adopted;
	b->clean = !staged_dirty_locked(f);
}

/*
 * The key, which is taken over, and what went with it. But not the number of
 * the change that the move was: who came meanwhile waits for that.
 */
static void key_back_locked(struct staged *f, const struct bound *b, char *key,
			    size_t n) TSA(requires_capability(f->lock));

static void key_back_locked(struct staged *f, const struct bound *b, char *key,
			    size_t n)
{
	free(f->key);
	f->key = key;
	f->key_len = n;
	staged_base_unref(f->base);
	f->base = staged_base_ref(b->base);
	f->bound = b->bound;
	memcpy(f->version, b->version, sizeof(f->version));
	f->exclusive = b->exclusive;
	f->late = b->late;
	f->made = b->made;
	f->adopted = b->adopted;
	if (b->clean)
		f->committed = f->change;
	if (f->acked)
		f->acked_change = f->change;
}

/* Is there anything to be committed under the key that it gets? */
static bool to_be_said(struct staged *f)
{
	bool yes;

	lock_take(&f->lock);
	yes = !f->made || staged_dirty_locked(f);
	lock_drop(&f->lock);
	return yes;
}

/*
 * Give it another key while nobody writes, commits or sends: by cond, or as
 * next, which the version `was` that it is bound to has become.
 */
static int change_key(struct staged *f, struct str key,
		      const struct ufs_cond *cond, const char *was,
		      struct staged_base *next)
{
	AUTO_FREE char *old = NULL;
	char *id = NULL, *older = NULL;
	struct bound was_bound;
	size_t old_len;
	bool turn, moved;
	int r;

	lock_take(&f->lock);
	if (!f->still)
		quiet_locked(f, false);
	f->still = false;
	r = staged_turn_locked(f);
	turn = r == 0;
	lock_drop(&f->lock);
	if (r == 0)
		r = staged_files(f); /* for the record to say it */
	if (r == 0 && to_be_said(f))
		r = staged_spill(f);
	lock_take(&f->lock);
	/* A read that found it rotten needs no turn: what it says stays. */
	if (r == 0 && f->err != 0)
		r = -f->err;
	old = str_dup((struct str){ f->key, f->key_len });
	old_len = f->key_len;
	bound_locked(f, &was_bound);
	if (r == 0 && old == NULL)
		r = -ENOMEM;
	else if (r == 0 && next == NULL && f->made)
		r = -EALREADY;
	else if (r == 0)
		r = next != NULL ? rebase_locked(f, was, next)
				 : rename_locked(f, key, cond);
	if (r == 0) {
		id = upload_forget_locked(f);
		older = take_ptr(f->old_upload);
	}
	lock_drop(&f->lock);
	/* What the disk says is what will be committed, or it is not moved. */
	moved = r == 0;
	upload_abort_later(f->staging, (struct str){ old, old_len }, id);
	upload_abort_later(f->staging, (struct str){ old, old_len }, older);
	if (moved)
		r = staged_record(f);
	lock_take(&f->lock);
	if (moved && r < 0)
		key_back_locked(f, &was_bound, take_ptr(old), old_len);
	f->quiet = false;
	event_broadcast(&f->changed);
	lock_drop(&f->lock);
	if (turn)
		staged_turn_end(f);
	staged_base_unref(was_bound.base);
	return r;
}

/*
 * It is still. The store may have got what it was never heard to have: with
 * another key that would stay under this one.
 */
static int look_at_old(struct staged *f)
{
	struct ufs_stat now;
	struct str key;
	bool unsure;
	int r;

	lock_take(&f->lock);
	unsure = !f->made && f->tried > f->committed;
	key = (struct str){ f->key, f->key_len }; /* that moves no more */
	lock_drop(&f->lock);
	if (!unsure)
		return 0;
	r = f->staging->ufs->ops->stat(f->staging->ufs, key, &now, NULL);
	return r == 0 ? -EALREADY : r == -ENOENT ? 0 : r;
}

int staged_move(struct staged *f, struct str key, const struct ufs_cond *cond)
{
	int r = 0;

	if (cond != NULL && cond->what == UFS_IF_VERSION &&
	    strlen(cond->version) >= UFS_VERSION_MAX)
		return -EINVAL;
	if (cond != NULL) {
		staged_still(f);
		r = look_at_old(f);
	}
	if (r < 0) {
		staged_go_on(f);
		return r;
	}
	return change_key(f, key, cond, NULL, NULL);
}

int staged_copied(struct staged *f, const char *was, struct str key,
		  const struct ufs_stat *st)
{
	struct staged_base *next = staged_base_new(key);
	int r;

	if (next == NULL)
		return -ENOMEM;
	next->st = *st;
	r = change_key(f, key, NULL, was, next);
	staged_base_unref(next);
	return r;
}

static void pause_file(struct staged *f, bool at_once)
{
	lock_take(&f->lock);
	if (!f->removed) {
		quiet_locked(f, at_once || f->acked);
		f->paused = true;
	}
	lock_drop(&f->lock);
}

void staged_pause(struct staged *f)
{
	pause_file(f, false);
}

void staged_stop(struct staged *f)
{
	pause_file(f, true);
}

static void resume_locked(struct staged *f) TSA(requires_capability(f->lock));

static void resume_locked(struct staged *f)
{
	if (f->paused)
		f->paused = f->quiet = false;
	event_broadcast(&f->changed);
}

void staged_resume(struct staged *f)
{
	lock_take(&f->lock);
	resume_locked(f);
	lock_drop(&f->lock);
}

void staged_still(struct staged *f)
{
	lock_take(&f->lock);
	quiet_locked(f, false);
	f->still = true;
	lock_drop(&f->lock);
}

void staged_go_on(struct staged *f)
{
	lock_take(&f->lock);
	if (f->still) {
		f->still = f->quiet = false;
		event_broadcast(&f->changed);
	}
	lock_drop(&f->lock);
}

void staged_discard(struct staged *f)
{
	struct str key;
	char *id, *older;

	lock_take(&f->lock);
	f->removed = true;
	resume_locked(f); /* with this no commit begins */
	quiet_locked(f, true);
	key = (struct str){ f->key, f->key_len }; /* that moves no more */
	id = upload_forget_locked(f);
	older = take_ptr(f->old_upload);
	f->quiet = false;
	event_broadcast(&f->changed);
	lock_drop(&f->lock);
	upload_abort_later(f->staging, key, id);
	upload_abort_later(f->staging, key, older);
	staged_drop_asides(f, UINT64_MAX);
	staged_record_remove(f);
	failed_ended(f->staging, f);
	if (f->acked_change != 0)
		(void)fsync(f->staging->dir);
}
