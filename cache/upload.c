/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload.c - parts on their way, while a file is written and at its commit
 *
 * A part is wanted, then being sent, then sent or not: it is clean when it was
 * sent, as long as it is now, and no change has touched it since it began to
 * be read. Senders, at most side_by_side of a file, take wanted parts until
 * there are none. The first of them begins the upload.
 *
 * While a file is written, a part is wanted when one who writes in order has
 * filled it and the file is larger than one part; of one that will be renamed
 * none is (late), and with commit=writeback none but where fsync is used. An
 * error there is nobody's yet: nothing more is sent until the commit, which
 * tries again.
 */
#include "cache/staging_impl.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"

#define SYNCS_FOR (600 * NSEC_PER_SEC)

struct sender {
	struct job job;
	struct staged *file; /* holds it */
	char buf[SUM_PAGE];
};

static void sender_run(struct job *job);

/* Bytes of part i of the file as it is; 0: it does not reach there. */
static uint64_t part_bytes_locked(const struct staged *f, unsigned i,
				  uint64_t *at)
{
	uint64_t size;

	*at = parts_at(&f->staging->parts, i, &size);
	return f->size > *at ? MIN(size, f->size - *at) : 0;
}

static bool clean_locked(const struct staged *f, unsigned i)
{
	const struct staged_part *p = &f->parts[i];
	uint64_t at;

	return p->sent && p->sent_gen == p->gen &&
	       p->done.size == part_bytes_locked(f, i, &at);
}

static int room_locked(struct staged *f, unsigned n)
{
	unsigned want = MIN(MAX(n, f->nparts * 2), f->staging->parts.n);
	struct staged_part *p;

	if (n <= f->nparts)
		return 0;
	p = realloc(f->parts, want * sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	memset(&p[f->nparts], 0, (want - f->nparts) * sizeof(*p));
	f->parts = p;
	f->nparts = want;
	return 0;
}

void upload_touch_locked(struct staged *f, uint64_t off, uint64_t end)
{
	uint64_t size;

	if (f->nparts == 0 || off >= end)
		return;
	/* Parts that are not in the table were never sent. */
	for (unsigned i = parts_of(&f->staging->parts, off);
	     i < f->nparts && parts_at(&f->staging->parts, i, &size) < end; i++)
		f->parts[i].gen = f->change;
}

/* Nothing can be sent for now. */
static void give_up_locked(struct staged *f, int err)
    TSA(requires_capability(f->lock));

static void give_up_locked(struct staged *f, int err)
{
	if (f->send_err == 0)
		f->send_err = err;
	for (unsigned i = 0; i < f->nparts; i++)
		if (f->parts[i].state == PART_WANTED)
			f->parts[i].state = PART_IDLE;
	f->wanted = 0;
	event_broadcast(&f->changed);
}

static void want_locked(struct staged *f, unsigned i)
    TSA(requires_capability(f->lock));

static void want_locked(struct staged *f, unsigned i)
{
	if (f->parts[i].state != PART_IDLE || clean_locked(f, i))
		return;
	f->parts[i].state = PART_WANTED;
	f->wanted++;
}

/* As many senders as there is work for. */
static void pump_locked(struct staged *f) TSA(requires_capability(f->lock));

static void pump_locked(struct staged *f)
{
	unsigned want = f->wanted;

	while (want > 0 && f->senders < f->staging->side_by_side) {
		struct sender *t = malloc(sizeof(*t));

		if (t == NULL) {
			if (f->senders == 0)
				give_up_locked(f, -ENOMEM);
			return;
		}
		t->job = (struct job){ .run = sender_run };
		t->file = f;
		staged_hold(f);
		f->senders++;
		want--;
		pool_submit(f->staging->senders, &t->job, POOL_DEMAND);
	}
}

/*
 * A close that waits for the disk alone gains nothing by what was sent before;
 * who waits for the store by fsync does, and is likely to do so again.
 */
static bool waits_for_close(const struct staging *s)
{
	return s->persists && clock_ns() - atomic_load(&s->synced) > SYNCS_FOR;
}

void upload_note_sync(struct staged *f)
{
	struct staging *s = f->staging;
	bool large;

	if (!s->persists)
		return;
	lock_take(&f->lock);
	large = f->size > s->whole && !f->acked && staged_dirty_locked(f);
	lock_drop(&f->lock);
	if (large)
		atomic_store(&s->synced, clock_ns());
}

void upload_wrote_locked(struct staged *f, uint64_t off, uint64_t end)
{
	const struct parts *parts = &f->staging->parts;

	if (!f->staging->uploads || f->late || waits_for_close(f->staging) ||
	    f->committing || f->quiet || f->removed || f->send_err != 0 ||
	    f->err != 0)
		return;
	if (off != f->next)
		f->seq = parts_of(parts, off);
	if (f->size <= f->staging->whole)
		return;
	while (f->seq < parts->n) {
		uint64_t size, at = parts_at(parts, f->seq, &size);

		if (end < at + size)
			break;
		/* What was not written a commit may copy. */
		if (ranges_cover(&f->dirty, at, at + size)) {
			if (room_locked(f, f->seq + 1) < 0)
				break;
			want_locked(f, f->seq);
		}
		f->seq++;
	}
	pump_locked(f);
}

/* Without our having its id. */
static bool may_have_begun(int err)
{
	return err == -EIO || staged_passes(err);
}

/* The upload, begun when there is none. */
static int have_upload(struct staged *f)
{
	struct staging *s = f->staging;
	char *id = NULL;
	bool told = false;
	int r = 0;

	lock_take(&f->lock);
	while (f->beginning)
		event_wait(&f->changed, &f->lock);
	/* Who waited for one that failed does not ask for its own. */
	r = f->upload != NULL ? 0 : f->send_err;
	if (f->upload != NULL || r < 0) {
		lock_drop(&f->lock);
		return r;
	}
	f->beginning = true;
	if (f->old_upload == NULL) {
		f->old_upload = upload_unknown();
		told = true;
	}
	lock_drop(&f->lock);
	/* For whoever has to abort it. Not that important. */
	staged_record(f);
	r = s->ops->upload_begin(s->ufs, (struct str){ f->key, f->key_len },
				 &id, &f->cancel);
	lock_take(&f->lock);
	f->beginning = false;
	if (r == 0)
		f->upload = id;
	else if (f->send_err == 0)
		f->send_err = r;
	if (told && !may_have_begun(r))
		free(take_ptr(f->old_upload));
	event_broadcast(&f->changed);
	lock_drop(&f->lock);
	crash_point("upload-begun");
	if (r == 0)
		staged_record(f);
	crash_point("upload-recorded");
	return r;
}

/* Are bytes [at, at+n) what the base has there, so that it can be copied? */
static bool can_copy_locked(const struct staged *f, uint64_t at, uint64_t n)
{
	const struct staging *s = f->staging;

	return n >= s->limits.part_least && n <= s->limits.put_most &&
	       s->ops->upload_copy != NULL && !atomic_load(&s->no_copies) &&
	       at + n <= f->base_end && !ranges_touch(&f->dirty, at, at + n) &&
	       !ranges_touch(&f->frozen, at, at + n);
}

/* This store does not copy as it should: all is sent from now on. */
static void no_copies(struct staging *s)
{
	if (!atomic_exchange(&s->no_copies, true))
		log_warn("staging: the store cannot copy parts of an object "
			 "(%s): what does not change is sent again, too",
			 ufs_last_error());
}

/* Send part i. -EAGAIN: it was stirred, or is not there any more. */
static int send_part(struct sender *t, unsigned i)
{
	struct staged *f = t->file;
	struct staging *s = f->staging;
	struct str key = { f->key, f->key_len };
	struct staged_body b = { .file = f, .part = i, .buf = t->buf };
	struct ufs_part part = { .number = i + 1 };
	uint64_t size;
	bool copy;
	int r = have_upload(f);

	if (r < 0)
		return r;
	lock_take(&f->lock);
	b.at = parts_at(&s->parts, i, &size);
	while (f->emptied ||
	       (f->write_off < b.at + size && f->write_end > b.at))
		event_wait(&f->changed, &f->lock);
	b.size = part_bytes_locked(f, i, &b.at);
	copy = can_copy_locked(f, b.at, b.size);
	staged_body_begin_locked(f, &b);
	lock_drop(&f->lock);
	if (b.size == 0) {
		r = -EAGAIN;
	} else if (copy) {
		r = s->ops->upload_copy(s->ufs, key, f->upload, b.base->key,
					b.base->st.version, b.at, b.size, &part,
					&f->cancel);
		if (r == -EOPNOTSUPP)
			no_copies(s);
		/* Of a base none is another version, too. */
		if (r == -ENOENT && !f->copies)
			r = -ESTALE;
		/* Another version is there, whose place this is to take. */
		copy = r != -EOPNOTSUPP && !(r == -ESTALE && s->last_wins);
	}
	if (b.size > 0 && !copy) {
		if (b.base != NULL && b.base_end > b.at)
			staged_base_ahead(f, b.base, b.at,
					  MIN(b.at + b.size, b.base_end));
		r = s->ops->upload_part(s->ufs, key, f->upload, &b.body, &part,
					&f->cancel);
	}
	crash_point("part-sent");
	lock_take(&f->lock);
	if (r == 0) {
		part.number = i + 1;
		part.size = b.size;
		f->parts[i].done = part;
		f->parts[i].sent_gen = b.gen;
		f->parts[i].sent = true;
	}
	lock_drop(&f->lock);
	staged_body_end(&b);
	return b.stirred && r < 0 ? -EAGAIN : r;
}

static bool next_locked(struct staged *f, unsigned *out)
    TSA(requires_capability(f->lock));

static bool next_locked(struct staged *f, unsigned *out)
{
	for (unsigned i = 0; f->err == 0 && f->wanted > 0 && i < f->nparts;
	     i++) {
		if (f->parts[i].state != PART_WANTED)
			continue;
		f->parts[i].state = PART_SENDING;
		f->wanted--;
		*out = i;
		return true;
	}
	return false;
}

void upload_end_failed(struct staged *f)
{
	AUTO_FREE char *key = NULL;
	size_t n = 0;
	char *id = NULL;

	lock_take(&f->lock);
	if (f->err != 0 && !f->committing && f->senders == 0 &&
	    f->upload != NULL) {
		n = f->key_len;
		key = str_dup((struct str){ f->key, n });
		/* No memory: it is aborted when the file ends. */
		if (key != NULL)
			id = upload_forget_locked(f);
	}
	lock_drop(&f->lock);
	upload_abort_later(f->staging, (struct str){ key, n }, id);
}

static void sender_run(struct job *job)
{
	struct sender *t = container_of(job, struct sender, job);
	struct staged *f = t->file;
	unsigned i;

	lock_take(&f->lock);
	while (next_locked(f, &i)) {
		int r;

		lock_drop(&f->lock);
		r = cancelled(&f->cancel) ? -ECANCELED : send_part(t, i);
		lock_take(&f->lock);
		f->parts[i].state = PART_IDLE;
		if (r < 0 && r != -EAGAIN)
			give_up_locked(f, r);
	}
	f->senders--;
	event_broadcast(&f->changed);
	lock_drop(&f->lock);
	upload_end_failed(f);
	free(t);
	staged_let_go(f);
}

void upload_stop_locked(struct staged *f)
{
	give_up_locked(f, 0);
	while (f->senders > 0)
		event_wait(&f->changed, &f->lock);
}

char *upload_forget_locked(struct staged *f)
{
	char *id = f->upload;

	for (unsigned i = 0; i < f->nparts; i++)
		f->parts[i].sent = false;
	f->upload = NULL;
	return id;
}

/* The parts, if all are clean. */
static int take_parts_locked(struct staged *f, struct ufs_part **out,
			     unsigned n) TSA(requires_capability(f->lock));

static int take_parts_locked(struct staged *f, struct ufs_part **out,
			     unsigned n)
{
	struct ufs_part *parts;

	for (unsigned i = 0; i < n; i++)
		if (!clean_locked(f, i))
			return -EAGAIN;
	parts = calloc(n, sizeof(*parts));
	if (parts == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		parts[i] = f->parts[i].done;
	*out = parts;
	return 0;
}

int upload_send_locked(struct staged *f, struct ufs_part **out, unsigned *n)
{
	unsigned count = parts_of(&f->staging->parts, f->size - 1) + 1;
	int r = room_locked(f, count);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < count; i++)
		want_locked(f, i);
	pump_locked(f);
	while (f->senders > 0)
		event_wait(&f->changed, &f->lock);
	/* A change that has begun has its number, and is not in the parts. */
	staged_hold_back_locked(f);
	if (f->err != 0)
		return -f->err;
	if (f->send_err != 0)
		return f->send_err;
	if (f->size <= f->staging->whole)
		return -EAGAIN;
	/* It may have grown, or been cut, since. */
	count = parts_of(&f->staging->parts, f->size - 1) + 1;
	r = count > f->nparts ? -EAGAIN : take_parts_locked(f, out, count);
	if (r == 0)
		*n = count;
	return r;
}

struct abort_job {
	struct job job;
	struct staging *staging;
	char record[STAGED_ID + 1]; /* that tells of it; "": there is none */
	char *id;
	struct str key;
	char bytes[];
};

static void remove_record(struct staging *s, const char *id)
{
	char name[STAGED_ID + 8];

	snprintf(name, sizeof(name), "%s.json", id);
	(void)unlinkat(s->dir, name, 0);
}

static void abort_run(struct job *job)
{
	struct abort_job *a = container_of(job, struct abort_job, job);
	struct staging *s = a->staging;
	int r = upload_abort(s->ufs, a->key, a->id, NULL, NULL);

	if (r == 0 && a->record[0] != '\0')
		remove_record(s, a->record);
	else if (r < 0)
		log_warn("staging: an upload that is of no use is still open: "
			 "%s; the next mount tries again",
			 strerror(-r));
	free(a->id);
	free(a);
	staging_lives(s, -1);
}

void upload_abort_later(struct staging *s, struct str key, char *id)
{
	struct abort_job *a;

	if (id == NULL)
		return;
	a = calloc(1, sizeof(*a) + key.n);
	if (a == NULL) {
		free(id);
		return;
	}
	memcpy(a->bytes, key.p, key.n);
	a->key = (struct str){ a->bytes, key.n };
	a->id = id;
	a->staging = s;
	a->job.run = abort_run;
	if (staged_make_id(a->record) < 0 ||
	    staged_record_upload(s, a->record, key, id) < 0)
		a->record[0] = '\0';
	staging_lives(s, 1);
	pool_submit(s->commits, &a->job, POOL_BACKGROUND);
}
