/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit.c - a staged file becomes an object
 *
 * A small one by a put, a larger one by an upload of parts. Either is tried
 * again when the file was written meanwhile; after three times writers wait
 * until it is through. An upload that the store forgot is begun anew, twice
 * (C6). Everything else that goes wrong sticks, but of what was acknowledged
 * (staged_ack.c) not what passes: that is tried again, by whoever wants it in
 * the store.
 *
 * Nobody may wait for a commit: of what was acknowledged, which follows in the
 * background. It sends nothing else, for what is being written after that is
 * not to be seen by others before its close; and it holds no writer back.
 */
#include "cache/staging_impl.h"

#include <errno.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/stats.h"

#define ROUNDS 3 /* beside writers */
#define ROUNDS_MOST 20
#define LOST_MOST 2
#define WAIT_NS (50 * NSEC_PER_MSEC)

/* The moment T, whose bytes become the object. */
struct moment {
	uint64_t change, size;
	uint64_t base_end;
};

static void freeze_locked(struct staged *f, struct moment *t)
    TSA(requires_capability(f->lock));

static void freeze_locked(struct staged *f, struct moment *t)
{
	*t = (struct moment){ .change = f->change,
			      .size = f->size,
			      .base_end = f->base_end };
	f->tried = f->change;
	f->frozen = f->dirty; /* which was empty */
	f->dirty = (struct ranges){ 0 };
	f->next_end = f->size;
}

/*
 * It is not as it was when it was acknowledged, and nobody waits; or one does,
 * but after a crash what was acknowledged before is to be told from it.
 */
static bool not_wanted_locked(const struct staged *f)
    TSA(requires_capability(f->lock));

static bool not_wanted_locked(const struct staged *f)
{
	return !f->acked && (!f->forced || f->asides != NULL);
}

/* Nothing is sent of one with an error, or without a name: 0, or why. */
static int over_locked(const struct staged *f)
    TSA(requires_capability(f->lock));

static int over_locked(const struct staged *f)
{
	return f->removed ? -ECANCELED : -f->err;
}

/* It did not: all is dirty as it was. */
static int thaw_locked(struct staged *f) TSA(requires_capability(f->lock));

static int thaw_locked(struct staged *f)
{
	struct ranges before = f->frozen;
	int r;

	f->frozen = (struct ranges){ 0 };
	/* Who is writing has made room in dirty: not for an empty one. */
	if (f->dirty.n == 0 && before.n > 0) {
		ranges_fini(&f->dirty);
		f->dirty = before;
		return 0;
	}
	r = ranges_merge(&f->dirty, &before);
	/* No memory for both: then all of it, which takes one range. */
	if (r < 0)
		ranges_set_all(&f->dirty, f->size);
	ranges_fini(&before);
	return r;
}

/* It did: next is what everybody sees, and the base of what comes. */
static void made_locked(struct staged *f, const struct moment *t,
			struct staged_base *next)
    TSA(requires_capability(f->lock));

static void made_locked(struct staged *f, const struct moment *t,
			struct staged_base *next)
{
	f->owed += ranges_bytes(&f->frozen);
	ranges_fini(&f->frozen);
	staged_base_unref(f->base);
	f->base = next;
	/*
	 * What was behind the old base and not written are zeros, here and in
	 * the object. No memory to note it: they are read from there.
	 */
	if (t->base_end < f->next_end)
		ranges_add(&f->held, t->base_end, f->next_end);
	f->base_end = f->next_end;
	f->committed = t->change;
	f->made = true;
	/* As everybody else will see it, and here when it is closed. */
	if (f->change == t->change && !f->timed)
		f->mtime = next->st.mtime;
	f->adopted = false;
	f->exclusive = false;
	f->bound = UFS_IF_VERSION;
	memcpy(f->version, next->st.version, sizeof(f->version));
	/*
	 * What is not offered to the cache it gets before anybody hears of it,
	 * if what was written is worth the copying; else at the end. So fsync
	 * after fsync of a large file does not copy all of it each time.
	 */
	f->adopting =
	    f->change == t->change && t->size > 0 && f->owed >= t->size / 4 &&
	    ranges_cover(&f->held, 0, t->size) && !staged_is_offered(f);
	f->held_back = f->adopting;
	event_broadcast(&f->changed);
}

static void cond_of(const struct staged *f, struct ufs_cond *c)
{
	*c = (struct ufs_cond){ .what = f->bound };
	if (f->staging->last_wins)
		c->what = UFS_IF_ANY;
	if (c->what == UFS_IF_VERSION)
		c->version = f->version;
}

/* What is left of an upload that a put stands in for. */
static void drop_upload(struct staged *f)
{
	char *id;

	lock_take(&f->lock);
	upload_stop_locked(f);
	id = upload_forget_locked(f);
	lock_drop(&f->lock);
	upload_abort_later(f->staging, (struct str){ f->key, f->key_len }, id);
}

/* r: how a put or an upload ended; next: what it made. */
static int settle(struct staged *f, int r, const struct moment *t,
		  struct staged_base *next)
{
	int again = 0;

	lock_take(&f->lock);
	f->sealing = false;
	if (r == 0)
		made_locked(f, t, next);
	else
		again = thaw_locked(f);
	lock_drop(&f->lock);
	if (r < 0)
		staged_base_unref(next);
	return r == -EAGAIN && again < 0 ? again : r;
}

static int by_put(struct staged *f, bool hold)
{
	struct staging *s = f->staging;
	struct str key = { f->key, f->key_len };
	struct staged_base *next = staged_base_new(key);
	AUTO_FREE char *buf = malloc(SUM_PAGE);
	struct staged_body b = { .file = f, .part = STAGED_WHOLE, .buf = buf };
	struct ufs_cond cond;
	struct moment t;
	int r;

	if (next == NULL || buf == NULL) {
		staged_base_unref(next);
		return -ENOMEM;
	}
	drop_upload(f);
	lock_take(&f->lock);
	staged_hold_back_locked(f);
	/* The write that was waited for, or a sync, may have failed (C2). */
	r = over_locked(f);
	if (r == 0 && (f->size > s->whole || not_wanted_locked(f)))
		r = -EAGAIN;
	if (r < 0) {
		staged_let_on_locked(f);
		lock_drop(&f->lock);
		staged_base_unref(next);
		return r;
	}
	freeze_locked(f, &t);
	f->sealing = true;
	b.size = t.size;
	staged_body_begin_locked(f, &b);
	cond_of(f, &cond);
	if (!hold)
		staged_let_on_locked(f);
	lock_drop(&f->lock);
	if (b.base_end > 0)
		staged_base_ahead(f, b.base, 0, b.base_end);
	crash_point("commit-put");
	r = s->ops->put(s->ufs, key, &b.body, &cond, &next->st, &f->cancel);
	staged_body_end(&b);
	return settle(f, b.stirred && r < 0 ? -EAGAIN : r, &t, next);
}

static int by_upload(struct staged *f, bool hold)
{
	struct staging *s = f->staging;
	struct str key = { f->key, f->key_len };
	struct staged_base *next = staged_base_new(key);
	AUTO_FREE struct ufs_part *parts = NULL;
	AUTO_FREE char *id = NULL;
	struct ufs_cond cond;
	struct moment t;
	unsigned n = 0;
	int r;

	if (next == NULL)
		return -ENOMEM;
	lock_take(&f->lock);
	if (hold)
		staged_hold_back_locked(f);
	r = f->size > s->whole ? upload_send_locked(f, &parts, &n) : -EAGAIN;
	if (r == 0 && not_wanted_locked(f))
		r = -EAGAIN;
	if (r == 0) {
		freeze_locked(f, &t);
		f->sealing = true;
		cond_of(f, &cond);
	}
	if (r == 0 || !hold)
		staged_let_on_locked(f);
	lock_drop(&f->lock);
	if (r < 0) {
		staged_base_unref(next);
		return r;
	}
	crash_point("commit-complete");
	r = s->ops->upload_end(s->ufs, key, f->upload, parts, n, &cond,
			       &next->st, &f->cancel);
	if (r == 0) {
		lock_take(&f->lock);
		id = upload_forget_locked(f);
		lock_drop(&f->lock);
	}
	return settle(f, r, &t, next);
}

/* Parts failed while the file was written: they get another chance. */
static void begin_anew(struct staged *f)
{
	lock_take(&f->lock);
	if (f->send_err != 0) {
		upload_stop_locked(f);
		if (f->send_err == -ENOLINK)
			free(upload_forget_locked(f));
		f->send_err = 0;
	}
	lock_drop(&f->lock);
}

/* What a mount that is gone had begun, or what nobody knows the id of. */
static int abort_old(struct staged *f)
{
	struct staging *s = f->staging;
	bool any;
	int r = 0;

	lock_take(&f->lock);
	while (f->beginning)
		event_wait(&f->changed, &f->lock);
	any = f->old_upload != NULL;
	lock_drop(&f->lock);
	if (!any)
		return 0;
	if (s->uploads)
		r = upload_abort(s->ufs, (struct str){ f->key, f->key_len },
				 f->old_upload, f->upload, &f->cancel);
	if (r == 0) {
		char *id;

		lock_take(&f->lock);
		id = take_ptr(f->old_upload);
		lock_drop(&f->lock);
		free(id);
	}
	return r;
}

/*
 * What is there is not what it was bound to. Is that what this file has become
 * already, without our having heard of it? -EAGAIN: go on, bound to that.
 */
static int look_there(struct staged *f, int err)
{
	struct staged_base *next =
	    staged_base_new((struct str){ f->key, f->key_len });
	struct moment t;
	uint64_t change;
	bool same;
	int r;

	if (next == NULL)
		return -ENOMEM;
	lock_take(&f->lock);
	change = f->change;
	lock_drop(&f->lock);
	r = found_ours(f, &next->st);
	lock_take(&f->lock);
	/* Written meanwhile, it was compared with bytes of two moments. */
	if (r == 0 && f->change != change)
		r = -EAGAIN;
	lock_drop(&f->lock);
	if (r <= 0 || r == 2) {
		staged_base_unref(next);
		return r == 2 ? -EAGAIN : r < 0 ? r : err;
	}
	lock_take(&f->lock);
	staged_hold_back_locked(f);
	same = f->change == change;
	staged_let_on_locked(f);
	if (same) {
		freeze_locked(f, &t);
		made_locked(f, &t, next);
	}
	lock_drop(&f->lock);
	if (same)
		return 0;
	staged_base_unref(next);
	return -EAGAIN;
}

/*
 * What an fsync brings to the store while what was acknowledged before waits is
 * acknowledged, too: else the next mount would find it there, and take it for
 * another's.
 */
static int acknowledge(struct staged *f)
{
	bool needed;

	lock_take(&f->lock);
	needed = f->forced && !f->acked && f->asides != NULL;
	if (needed)
		staged_let_on_locked(f);
	lock_drop(&f->lock);
	return needed ? staged_persist(f) : 0;
}

/* Of a store that is away or full, of the lack of something, of a pause. */
bool staged_passes(int err)
{
	return err == -ETIMEDOUT || err == -EHOSTUNREACH || err == -ENOSPC ||
	       err == -EDQUOT || err == -ENOMEM || err == -EMFILE ||
	       err == -ENFILE || err == -ECANCELED;
}

/*
 * May the store have it already? Once a commit has failed; and within one when
 * the upload that was ended was not there any more, or in the way. A put that
 * was stirred is none of that: what it brought there are not the bytes of now.
 * A copy has no bytes that could be compared, so it never is.
 */
static bool unsure_locked(const struct staged *f, bool lost)
    TSA(requires_capability(f->lock));

static bool unsure_locked(const struct staged *f, bool lost)
{
	return f->uncertain || (lost && f->tried > f->committed && !f->copies);
}

static int commit(struct staged *f)
{
	unsigned lost = 0;
	bool based, whole, hold, unsure, in_the_way = false;
	int r = abort_old(f);

	/* A store that refuses that may take the file all the same. */
	if (r < 0 && staged_passes(r))
		return r;
	staged_give_back(f);
	lock_take(&f->lock);
	based = f->base_end > 0;
	lock_drop(&f->lock);
	if (based)
		staged_record(f);
	for (unsigned round = 0; round < ROUNDS_MOST; round++) {
		begin_anew(f);
		r = acknowledge(f);
		if (r < 0)
			return r;
		lock_take(&f->lock);
		whole = f->size <= f->staging->whole;
		r = over_locked(f);
		if (r == 0 && !f->forced && not_wanted_locked(f))
			r = -EAGAIN;
		hold = round >= ROUNDS && f->forced;
		unsure = unsure_locked(f, lost > 0 || in_the_way);
		lock_drop(&f->lock);
		if (r < 0)
			return r;
		r = whole ? by_put(f, hold) : by_upload(f, hold);
		if (unsure && (r == -ESTALE || r == -EEXIST))
			r = look_there(f, r);
		if (r == -ENOLINK && lost++ < LOST_MOST) {
			lock_take(&f->lock);
			f->send_err = -ENOLINK;
			lock_drop(&f->lock);
		} else if (r == -EBUSY && !whole && !in_the_way) {
			in_the_way = true;
			drop_upload(f);
		} else if (r != -EAGAIN) {
			return r == -ENOLINK ? -EIO : r;
		}
	}
	lock_take(&f->lock);
	r = f->forced ? -EBUSY : -EAGAIN;
	lock_drop(&f->lock);
	return r;
}

static void commit_failed(struct staged *f, int r)
{
	bool keeps;

	lock_take(&f->lock);
	f->uncertain = true;
	/* Cancelled for a while, or nobody wants it now. */
	keeps = r == -EAGAIN || (f->acked && staged_passes(r)) ||
		(r == -ECANCELED && f->quiet);
	f->run_err = r;
	lock_drop(&f->lock);
	if (keeps)
		return;
	drop_upload(f);
	if (r == -EEXIST) {
		lock_take(&f->lock);
		if (!f->exclusive)
			r = -ESTALE;
		lock_drop(&f->lock);
	}
	staged_stick(f, r,
		     r == -EACCES
			 ? "cannot be committed: the store does not let it be "
			   "written (S3: s3:PutObject); give the right to, or "
			   "mount with ro"
			 : "cannot be committed");
}

void commit_run(struct job *job)
{
	struct staged *f = container_of(job, struct staged, job);
	uint64_t committed;
	bool adopt, open;
	int r;

	stat_add(STAT_commits_pending, 1);
	r = commit(f);
	stat_add(STAT_commits_pending, -1);
	if (r == 0)
		crash_point("commit-made");
	if (r == 0)
		stat_inc(STAT_commits_done);
	else
		commit_failed(f, r);
	lock_take(&f->lock);
	if (f->adopting)
		staged_hold_back_locked(f);
	/* One who was writing at T has. */
	adopt = f->adopting && !staged_dirty_locked(f);
	open = !f->abandoned;
	committed = f->committed;
	lock_drop(&f->lock);
	if (adopt)
		commit_adopt(f);
	crash_point("commit-adopted");
	if (r == 0 && open && staged_record(f) == 0)
		staged_drop_asides(f, committed);
	crash_point("commit-recorded");
	lock_take(&f->lock);
	/* Its record does not say it any more: it may be written over. */
	if (f->acked_change <= committed)
		f->acked = false;
	if (r == 0) {
		f->uncertain = false;
		f->run_err = 0;
	}
	f->runs++;
	f->adopting = f->committing = false;
	staged_let_on_locked(f);
	if (f->abandoned)
		cancel_set(&f->cancel);
	lock_drop(&f->lock);
	staged_let_go(f);
}

/*
 * One more commit, unless one runs that may do: on this thread (here), which
 * takes two changes of threads less, or on one of its own.
 */
static void begin_locked(struct staged *f, bool forced, bool here)
    TSA(requires_capability(f->lock));

static void begin_locked(struct staged *f, bool forced, bool here)
{
	if (f->committing || f->quiet) {
		f->forced = f->forced || forced;
		return;
	}
	f->committing = true;
	f->forced = forced;
	staged_hold(f);
	f->job.run = commit_run;
	if (!here) {
		pool_submit(f->staging->commits, &f->job, POOL_DEMAND);
		return;
	}
	lock_drop(&f->lock);
	commit_run(&f->job);
	lock_take(&f->lock);
}

/* How the last one ended, if that is all there is to say. */
static int ended_locked(const struct staged *f, bool forced)
    TSA(requires_capability(f->lock));

static int ended_locked(const struct staged *f, bool forced)
{
	if (f->err != 0 ||
	    (forced && (f->run_err == -EAGAIN || f->run_err == -ECANCELED)))
		return 0;
	return f->run_err;
}

static int commit_and_wait(struct staged *f, struct ufs_stat *out,
			   struct cancel *cancel, bool forced)
{
	unsigned runs;
	uint64_t want;
	int r = 0;

	lock_take(&f->lock);
	want = f->change;
	runs = f->runs;
	while (!f->removed) {
		/* An error is told when its record is written. */
		r = f->committing ? 0 : -f->err;
		if (r < 0 || (f->committed >= want && !f->adopting))
			break;
		if (runs != f->runs) {
			runs = f->runs;
			r = ended_locked(f, forced);
		} else if (!forced && !f->acked && !f->committing) {
			r = -EAGAIN;
		}
		if (r == 0)
			begin_locked(f, forced, cancel == NULL);
		if (r == 0 && cancelled(cancel))
			r = -ECANCELED;
		if (r < 0)
			break;
		if (runs != f->runs)
			continue;
		if (cancel == NULL)
			event_wait(&f->changed, &f->lock);
		else
			event_wait_until(&f->changed, &f->lock,
					 clock_ns() + WAIT_NS);
	}
	if (f->removed)
		r = 0;
	if (r == 0)
		*out = f->base != NULL ? f->base->st : (struct ufs_stat){ 0 };
	lock_drop(&f->lock);
	return r;
}

int staged_commit(struct staged *f, struct ufs_stat *out, struct cancel *cancel)
{
	upload_note_sync(f);
	return commit_and_wait(f, out, cancel, true);
}

int staged_commit_acked(struct staged *f, struct ufs_stat *out)
{
	return commit_and_wait(f, out, NULL, false);
}
