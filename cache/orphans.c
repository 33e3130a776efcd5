/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orphans.c - what mounts that are gone left in the staging
 *
 * What failed is told by opens of its path again (S12). What was acknowledged
 * is gone on with (restore.c). What was interrupted is kept, and not committed:
 * nobody was told that it would be. Uploads that their records name are aborted
 * behind the mount's back (S17); below the prefix there may be others, which
 * belong to other hosts and are not touched. A store that refuses that, or
 * cannot be reached, is tried again by the next mount.
 */
#include "cache/staging_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/recover.h"

#define HALF_MADE_S 3600 /* nobody is still making a file of this age */
#define PATIENCE (200 * NSEC_PER_MSEC)

struct orphans {
	struct job job;
	struct staging *staging;
	char (*ids)[STAGED_ID + 1]; /* owned */
	size_t n, room;
	size_t failed, interrupted;
	struct acked *acked; /* owned */
	size_t nacked, acked_room;
};

/* A generation that was acknowledged, or tells the name of one that was. */
struct acked {
	char line[STAGED_ID + 1], id[STAGED_ID + 1];
	char named[STAGED_ID + 1]; /* whose record has the name of its file */
	uint64_t generation;
	int64_t recorded;
	struct str key;  /* owned */
	bool only_named; /* was not acknowledged */
	bool failed;     /* as well: it stands in for those before it */
	bool live;       /* another mount has it, and sees to those before it */
	bool passed_by;
};

static bool of_this_store(const struct staging *s,
			  const struct recover_record *r)
{
	return strcmp(r->store, s->ufs->store) == 0 &&
	       strcmp(r->prefix, s->ufs->prefix) == 0;
}

static int to_do(struct orphans *o, const char *id)
{
	void *more;

	if (o->n == o->room) {
		size_t room = o->room * 2 + 16;

		more = realloc(o->ids, room * sizeof(*o->ids));
		if (more == NULL)
			return -ENOMEM;
		o->ids = more;
		o->room = room;
	}
	memcpy(o->ids[o->n++], id, STAGED_ID + 1);
	return 0;
}

static int note_acked(struct orphans *o, const struct recover_record *r)
{
	struct acked *a;

	if (o->nacked == o->acked_room) {
		size_t room = o->acked_room * 2 + 16;

		a = realloc(o->acked, room * sizeof(*a));
		if (a == NULL)
			return -ENOMEM;
		o->acked = a;
		o->acked_room = room;
	}
	a = &o->acked[o->nacked];
	a->recorded = r->recorded;
	a->key = (struct str){ str_dup((struct str){ r->key, r->key_len }),
			       r->key_len };
	if (a->key.p == NULL)
		return -ENOMEM;
	o->nacked++;
	memcpy(a->line, r->line, sizeof(a->line));
	memcpy(a->id, r->id, sizeof(a->id));
	memcpy(a->named, r->id, sizeof(a->named));
	a->only_named = !r->acked && !r->clean;
	a->generation = r->generation;
	a->failed = r->err != 0 || r->clean;
	a->live = r->live;
	return 0;
}

static int found(void *arg, struct recover_record *r)
{
	struct orphans *o = arg;
	int err;

	if (!of_this_store(o->staging, r))
		return 0;
	/* One that is in the store stands in for those before it, too. */
	if (r->data) {
		err = note_acked(o, r);
		if (err < 0 || (r->acked && r->err == 0))
			return err;
	}
	if (r->live)
		return 0;
	if (recover_has(r)) {
		o->failed += r->err != 0;
		o->interrupted += r->err == 0;
		failed_note(o->staging, (struct str){ r->key, r->key_len },
			    r->id, -r->err, r->size, r->err == 0 || r->told,
			    NULL);
		if (r->upload == NULL)
			return 0;
	}
	return to_do(o, r->id);
}

/* 0: done, or another does it. */
static int tidy_up(struct staging *s, const char *id)
{
	struct recover_file f;
	int r = recover_claim_in(s->dir, id, PATIENCE, &f);

	if (r < 0)
		return 0;
	if (f.r.upload != NULL && s->uploads) {
		r = upload_abort(s->ufs, (struct str){ f.r.key, f.r.key_len },
				 f.r.upload, NULL, NULL);
		if (r < 0)
			log_warn("staging: an upload of a mount that is gone "
				 "is still open: %s; the next mount tries "
				 "again",
				 strerror(-r));
		else
			r = recover_note_closed(&f);
	}
	if (r == 0 && !recover_has(&f.r))
		r = recover_discard(&f);
	recover_close(&f);
	return r;
}

/* Died while they were made: nothing was written to them. */
static void drop_half_made(struct staging *s)
{
	int64_t before = clock_wall_ns() / NSEC_PER_SEC - HALF_MADE_S;
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		const char *kind = strchr(e->d_name, '.');
		char record[STAGED_ID + 8];
		struct stat st, other;

		if (kind == NULL || kind - e->d_name != STAGED_ID ||
		    (strcmp(kind, ".data") != 0 && strcmp(kind, ".sums") != 0 &&
		     strcmp(kind, ".data.tmp") != 0 &&
		     strcmp(kind, ".json.tmp") != 0 &&
		     strcmp(kind, ".rename.tmp") != 0))
			continue;
		snprintf(record, sizeof(record), "%.*s.json", STAGED_ID,
			 e->d_name);
		if (fstatat(s->dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtim.tv_sec < before &&
		    (kind[5] != '\0' ||
		     fstatat(s->dir, record, &other, AT_SYMLINK_NOFOLLOW) < 0))
			unlinkat(s->dir, e->d_name, 0);
	}
	closedir(d);
}

static void orphans_free(struct orphans *o)
{
	for (size_t i = 0; i < o->nacked; i++)
		free((char *)o->acked[i].key.p);
	free(o->ids);
	free(o->acked);
	free(o);
}

static int by_line(const void *a, const void *b)
{
	const struct acked *x = a, *y = b;
	int r = strcmp(x->line, y->line);

	return r != 0 ? r
		      : (x->generation < y->generation) -
			    (x->generation > y->generation);
}

/* b is a file's generation before a, and gets the name that a has. */
static int take_name(const struct acked *a, struct acked *b)
{
	char *key = str_dup(a->key);

	if (key == NULL)
		return -ENOMEM;
	free((char *)b->key.p);
	b->key = (struct str){ key, a->key.n };
	b->recorded = a->recorded;
	memcpy(b->named, a->named, sizeof(b->named));
	return 0;
}

/*
 * A rename is recorded by the newest generation alone, whether that was
 * acknowledged or not: where a file's records tell several names, that one's is
 * its name. Those that were not acknowledged are dropped then.
 */
static int name_all(struct orphans *o)
{
	size_t n = 0;
	int r = 0;

	if (o->nacked > 0)
		qsort(o->acked, o->nacked, sizeof(*o->acked), by_line);
	for (size_t i = 1; i < o->nacked && r == 0; i++) {
		struct acked *a = &o->acked[i];

		if (strcmp(a[-1].line, a->line) == 0 &&
		    !str_eq(a[-1].key, a->key))
			r = take_name(&a[-1], a);
	}
	for (size_t i = 0; i < o->nacked; i++) {
		if (o->acked[i].only_named)
			free((char *)o->acked[i].key.p);
		else
			o->acked[n++] = o->acked[i];
	}
	o->nacked = n;
	return r;
}

/*
 * By keys; the generations of a file one after the other, the newest first. Two
 * files of one name are there when the process died while one took the name of
 * the other: the one whose record is younger has it.
 */
static int by_key(const void *a, const void *b)
{
	const struct acked *x = a, *y = b;
	int r = memcmp(x->key.p, y->key.p, MIN(x->key.n, y->key.n));

	if (r == 0)
		r = (x->key.n > y->key.n) - (x->key.n < y->key.n);
	if (r == 0)
		r = strcmp(x->line, y->line);
	return r != 0 ? r
		      : (x->generation < y->generation) -
			    (x->generation > y->generation);
}

/*
 * The number of generations of the file that a[0] is the newest of. When that
 * failed, or another mount has it, nothing is to be done with it: it is
 * no file of its name.
 */
static size_t one_file(struct orphans *o, struct acked *a, size_t most)
{
	size_t n = 1;

	while (n < most && strcmp(a[0].line, a[n].line) == 0 &&
	       str_eq(a[0].key, a[n].key))
		n++;
	for (size_t i = 1; i < n && a[0].failed; i++)
		staged_remove_files(o->staging, a[i].id);
	for (size_t i = 0; i < n; i++)
		a[i].passed_by = a[0].failed || a[0].live;
	return n;
}

/* Of the n of one name a[first] is what it means, if it is to be anything. */
static void go_on(struct orphans *o, const struct acked *a, size_t n,
		  size_t first)
{
	char(*ids)[STAGED_ID + 1] = calloc(n, sizeof(*ids));
	size_t at = 0;

	if (ids == NULL)
		return; /* the next mount does it */
	if (!a[first].passed_by)
		memcpy(ids[at++], a[first].id, sizeof(ids[0]));
	for (size_t i = 0; i < n && at > 0; i++)
		if (i != first && !a[i].passed_by)
			memcpy(ids[at++], a[i].id, sizeof(ids[0]));
	if (at > 0)
		restore_file(o->staging, ids, at, a[first].named);
	free(ids);
}

static void go_on_with_all(struct orphans *o)
{
	size_t n, first, more;

	if (o->nacked > 0)
		qsort(o->acked, o->nacked, sizeof(*o->acked), by_key);
	for (size_t i = 0; i < o->nacked; i += n) {
		struct acked *a = &o->acked[i];

		first = 0;
		for (n = 0; i + n < o->nacked && str_eq(a->key, a[n].key);
		     n += more) {
			more = one_file(o, a + n, o->nacked - i - n);
			if (a[first].passed_by ||
			    (!a[n].passed_by &&
			     a[n].recorded > a[first].recorded))
				first = n;
		}
		go_on(o, a, n, first);
	}
}

static void run(struct job *job)
{
	struct orphans *o = container_of(job, struct orphans, job);
	struct staging *s = o->staging;

	drop_half_made(s);
	/* Is the store not there, it is not asked for each; what it refuses
	 * of one it may do of another. */
	for (size_t i = 0; i < o->n; i++)
		if (staged_passes(tidy_up(s, o->ids[i])))
			break;
	orphans_free(o);
	staging_lives(s, -1);
}

int orphans_find(struct staging *s)
{
	struct orphans *o = calloc(1, sizeof(*o));
	int r;

	if (o == NULL)
		return -ENOMEM;
	o->staging = s;
	o->job.run = run;
	r = recover_each_in(s->dir, found, o);
	if (r == 0)
		r = name_all(o);
	if (r < 0) {
		orphans_free(o);
		return r;
	}
	failed_heard(s);
	if (o->failed + o->interrupted > 0)
		log_warn("staging: files that were written before and are not "
			 "in the store: %zu, %zu of them not finished; `tarn "
			 "recover` lists them",
			 o->failed + o->interrupted, o->interrupted);
	go_on_with_all(o);
	staging_lives(s, 1);
	pool_submit(s->commits, &o->job, POOL_BACKGROUND);
	return 0;
}
