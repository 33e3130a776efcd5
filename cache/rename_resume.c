/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename_resume.c - renames of mounts that died are ended
 *
 * Of each object one of these is true, and asking for both names tells which:
 * the old one is gone: it was moved. It is another version by now, or of
 * another time: it was written again, and is nobody's to remove. It is the
 * same, and the new one has its bytes: only the old one is to be removed. Or
 * it is to be copied, if the new name still is what the rename found there. If
 * that is something else, or was not looked at (last-wins), somebody may have
 * written it since, and both stay. Of what the record says was copied the new
 * name is its users' by now: only the old one is looked at.
 *
 * What was at the new name may have been acknowledged, and not be in the store
 * yet (S14). Then the rename is ended before the mount is there, so that nobody
 * sees what was there before both, and the waiting file goes with it, as it
 * would have. If it cannot be ended, the file is gone on with, and its commit
 * finds out what is there.
 */
#include "cache/rename_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "cache/meta.h"
#include "cache/recover_impl.h"

struct resume {
	struct job job;
	struct staging *staging;
};

/*
 * The same bytes may have been written once more: that is a younger one. But
 * what ends an upload is answered later than its begin, which a HEAD tells; and
 * a LIST tells a fraction of a second that a HEAD does not.
 */
static bool same_version(const struct ufs_stat *now, const struct ufs_stat *was)
{
	return strcmp(now->version, was->version) == 0 &&
	       now->mtime / NSEC_PER_SEC <= was->mtime / NSEC_PER_SEC;
}

static void say_both(struct str to)
{
	char words[3 * UFS_KEY_MAX + 1];

	record_escape(to, words);
	log_warn("staging: rename to %s was interrupted, and something else is "
		 "there by now: both stay",
		 words);
}

/*
 * What the copy of an object is to be bound to. 1: it has been copied. 2:
 * something else is there.
 */
static int look_at_new(struct rename *r, const struct rename_object *o,
		       struct str from, struct str to, struct ufs_stat *now,
		       struct ufs_cond *cond)
{
	struct ufs *u = r->staging->ufs;
	int err = u->ops->stat(u, to, now, NULL);

	if (err == -ENOENT) {
		*cond = (struct ufs_cond){ UFS_IF_ABSENT, NULL };
		return 0;
	}
	if (err < 0)
		return err;
	*cond = (struct ufs_cond){ UFS_IF_VERSION, now->version };
	if (r->cond.what == UFS_IF_VERSION && !r->tree &&
	    strcmp(now->version, r->cond.version) == 0)
		return 0;
	err = now->size != o->st.size ? 0
	      : now->size == 0        ? 1
				      : u->ops->write->same(u, from, to, NULL);
	return err != 0 ? err : 2;
}

/*
 * The old name is gone: was it this rename, and nobody else? With last-wins it
 * is not known what was at the new name, so its size has to tell. 1, 0, or
 * -errno.
 */
static int was_copied(const struct rename *r, const struct rename_object *o,
		      struct str to)
{
	struct ufs *u = r->staging->ufs;
	struct ufs_stat now;
	int err = u->ops->stat(u, to, &now, NULL);

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (r->cond.what == UFS_IF_VERSION)
		return strcmp(now.version, r->cond.version) != 0;
	return r->cond.what == UFS_IF_ABSENT || now.size == o->st.size;
}

static int resume(struct rename *r, struct rename_object *o, void *arg)
{
	char from_key[UFS_KEY_MAX + 1], to_key[UFS_KEY_MAX + 1];
	struct str from = rename_from(r, o, from_key);
	struct str to = rename_to(r, o, to_key);
	struct ufs *u = r->staging->ufs;
	struct ufs_cond cond;
	struct ufs_stat now;
	int err = u->ops->stat(u, from, &now, NULL);

	(void)arg;
	if (err == -ENOENT && !r->tree) {
		int was = was_copied(r, o, to);

		if (was < 0)
			return was;
		o->there = was > 0;
	}
	o->done = err == -ENOENT || (err == 0 && !same_version(&now, &o->st));
	if (o->done)
		return 0;
	if (err == 0 && !o->copied)
		err = look_at_new(r, o, from, to, &now, &cond);
	if (err == 2) {
		say_both(to);
		o->done = true;
		return 0;
	}
	o->copied = o->copied || err == 1;
	if (err == 0 && !o->copied) {
		err = rename_copy(r, o, &cond);
		crash_point("resume-copied");
	}
	if (err < 0)
		return err;
	o->there = true;
	err = rename_remove(r, o, from);
	crash_point("resume-removed");
	o->moved = err == 0;
	o->done = o->moved || err == -ESTALE;
	return o->done ? 0 : err;
}

/* What was known of both names, by this mount or on the disk, is old. */
static void forget(struct rename *r)
{
	struct meta *m = cache_meta(r->staging->cache);

	meta_invalidate(m, (struct str){ r->from, r->from_n - r->tree });
	meta_invalidate(m, (struct str){ r->to, r->to_n - r->tree });
	rename_tell(r);
}

/* What it is onto goes with it, if anything waits there. r is ended. */
static int go_on(struct rename *r, struct replaced *over)
{
	char from[3 * UFS_KEY_MAX + 1], to[3 * UFS_KEY_MAX + 1];
	int err = rename_each(r, resume, NULL);

	forget(r);
	record_escape((struct str){ r->from, r->from_n }, from);
	record_escape((struct str){ r->to, r->to_n }, to);
	r->lingers = err < 0;
	/* What was copied now is not to be copied again, over what is newer. */
	if (err < 0)
		(void)rename_record_again(r);
	if (err < 0)
		log_warn("staging: rename %s to %s was interrupted and cannot "
			 "go on: %s; the next mount tries again",
			 from, to, strerror(-err));
	else
		log_info("staging: rename %s to %s was interrupted and is "
			 "done: %zu of %zu were left",
			 from, to, rename_moved(r), r->n);
	/* Before the record of what took its place. */
	if (over != NULL && r->n == 1 && r->objects[0].there)
		replaced_drop(over);
	rename_free(r);
	return err;
}

static void take(struct staging *s, const char *file)
{
	struct rename *r;
	int err = rename_record_take(s, file, &r);

	if (err == 0)
		(void)go_on(r, NULL);
	else if (err < 0 && err != -EBUSY && err != -ENOENT)
		log_warn("staging: %s is passed by: %s", file,
			 err == -EINVAL ? "it is no record of this version"
					: strerror(-err));
}

struct record {
	struct record *next;
	char name[];
};

/* All are found before one is taken: what replaces it would be found again. */
static struct record *find(struct staging *s)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct record *first = NULL;
	const struct dirent *e;

	if (d == NULL && fd >= 0)
		close(fd);
	while (d != NULL && (e = readdir(d)) != NULL) {
		size_t n = strlen(e->d_name) + 1;
		struct record *f;

		if (!rename_record_is(e->d_name))
			continue;
		f = malloc(sizeof(*f) + n);
		if (f == NULL)
			break; /* the rest is the next mount's */
		memcpy(f->name, e->d_name, n);
		f->next = first;
		first = f;
	}
	if (d != NULL)
		closedir(d);
	return first;
}

/* Of a store that is away: the rest waits for it in the background. */
static int end_over(struct staging *s, const char *file)
{
	struct replaced p = { .staging = s };
	AUTO_FREE char *to = NULL;
	struct rename *r;
	int err = 0;

	if (rename_record_take(s, file, &r) != 0)
		return 0; /* take() tells why */
	to = str_dup((struct str){ r->to, r->to_n });
	p.to = (struct str){ to, r->to_n };
	p.before = r->recorded;
	if (to != NULL && !r->tree && replaced_find(&p)) {
		err = go_on(r, &p);
	} else {
		r->lingers = true;
		rename_free(r);
	}
	replaced_fini(&p);
	return err;
}

void renames_resume_over(struct staging *s)
{
	struct record *next;
	int err = 0;

	for (struct record *f = find(s); f != NULL; f = next) {
		next = f->next;
		if (!staged_passes(err))
			err = end_over(s, f->name);
		free(f);
	}
}

static void run(struct job *job)
{
	struct resume *q = container_of(job, struct resume, job);
	struct staging *s = q->staging;
	struct record *next;

	for (struct record *f = find(s); f != NULL; f = next) {
		next = f->next;
		take(s, f->name);
		free(f);
	}
	free(q);
	staging_lives(s, -1);
}

int renames_resume(struct staging *s)
{
	struct resume *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return -ENOMEM;
	q->staging = s;
	q->job.run = run;
	staging_lives(s, 1);
	pool_submit(s->commits, &q->job, POOL_BACKGROUND);
	return 0;
}
