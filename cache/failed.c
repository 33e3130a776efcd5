/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failed.c - files that could not be committed, by their keys
 *
 * A file that somebody still has is here as long as that: it may be in memory
 * yet, and nobody else can take it away. One that has ended another process may
 * bring back or drop (cache/recover.h) without saying so: what counts is
 * whether it is still on the disk, which is looked at whenever it is asked for.
 */
#include "cache/staging_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* Opens are not told of it: it counts no more against the most there are. */
static void tell_locked(struct staging *s, struct failed *f)
    TSA(requires_capability(s->lock));

static void tell_locked(struct staging *s, struct failed *f)
{
	if (!f->told)
		s->untold--;
	f->told = true;
}

/* Those with one of these ids, which stand in its order, out of the list. */
static void drop(struct staging *s, char (*ids)[STAGED_ID + 1], size_t n)
{
	struct failed *gone = NULL, *f;
	size_t i = 0;

	lock_take(&s->lock);
	for (struct failed **at = &s->failed; (f = *at) != NULL && i < n;) {
		if (strcmp(ids[i], f->id) != 0) {
			at = &f->next;
			continue;
		}
		i++;
		tell_locked(s, f);
		*at = f->next;
		f->next = gone;
		gone = f;
	}
	lock_drop(&s->lock);
	while ((f = gone) != NULL) {
		gone = f->next;
		free(f);
	}
}

/* Does it stand between others and its key (NULL: is it any)? */
static bool is_of(const struct failed *f, const struct str *key)
{
	return key == NULL ||
	       (!f->told && str_eq(*key, (struct str){ f->key, f->n }));
}

/* ended: not those that somebody still has. */
static size_t ids_of(struct staging *s, const struct str *key, bool ended,
		     char (**out)[STAGED_ID + 1])
{
	char(*ids)[STAGED_ID + 1] = NULL;
	size_t n = 0, room = 0;

	lock_take(&s->lock);
	for (const struct failed *f = s->failed; f != NULL; f = f->next)
		room += is_of(f, key);
	if (room > 0)
		ids = calloc(room, sizeof(*ids));
	for (const struct failed *f = s->failed; ids != NULL && f != NULL;
	     f = f->next)
		if (is_of(f, key) && !(ended && f->file != NULL))
			memcpy(ids[n++], f->id, sizeof(f->id));
	lock_drop(&s->lock);
	*out = ids;
	return n;
}

size_t failed_ids(struct staging *s, const struct str *key,
		  char (**out)[STAGED_ID + 1])
{
	return ids_of(s, key, false, out);
}

static bool is_there(struct staging *s, const char *id)
{
	char name[STAGED_ID + 8];

	snprintf(name, sizeof(name), "%s.data", id);
	return faccessat(s->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       errno != ENOENT;
}

/* Forget those of key (NULL: of all) that have ended and are not there. */
static void look(struct staging *s, const struct str *key)
{
	char(*ids)[STAGED_ID + 1];
	size_t n = ids_of(s, key, true, &ids), gone = 0;

	for (size_t i = 0; i < n; i++)
		if (!is_there(s, ids[i]))
			memmove(ids[gone++], ids[i], sizeof(ids[i]));
	if (gone > 0)
		drop(s, ids, gone);
	free(ids);
}

/* Out of the list: the oldest that opens are told of. */
static struct failed *take_last_locked(struct staging *s)
    TSA(requires_capability(s->lock));

static struct failed *take_last_locked(struct staging *s)
{
	struct failed **last = NULL, *f;

	for (struct failed **at = &s->failed; *at != NULL; at = &(*at)->next)
		if (!(*at)->told)
			last = at;
	if (last == NULL)
		return NULL;
	f = *last;
	*last = f->next;
	s->untold--;
	return f;
}

void failed_note(struct staging *s, struct str key, const char *id, int err,
		 uint64_t bytes, bool told, struct staged *file)
{
	struct failed *f = malloc(sizeof(*f) + key.n), *old = NULL;

	if (f == NULL)
		return;
	memcpy(f->id, id, sizeof(f->id));
	f->file = file;
	f->err = err;
	f->bytes = bytes;
	f->heard = told;
	f->told = told;
	f->n = key.n;
	memcpy(f->key, key.p, key.n);
	lock_take(&s->lock);
	f->number = ++s->failures;
	f->next = s->failed;
	s->failed = f;
	s->untold += !told;
	if (s->untold > FAILED_MOST)
		old = take_last_locked(s);
	lock_drop(&s->lock);
	free(old);
}

void failed_ended(struct staging *s, const struct staged *f)
{
	lock_take(&s->lock);
	for (struct failed *e = s->failed; e != NULL; e = e->next)
		if (e->file == f)
			e->file = NULL;
	lock_drop(&s->lock);
}

void failed_free(struct staging *s)
{
	struct failed *f;

	while ((f = s->failed) != NULL) {
		s->failed = f->next;
		free(f);
	}
}

/*
 * A copy of the list, in its order, of those that opens are told of; shorter
 * when there is no memory.
 */
static struct failed *copy_locked(const struct staging *s)
    TSA(requires_capability(s->lock));

static struct failed *copy_locked(const struct staging *s)
{
	struct failed *all = NULL, **end = &all;

	for (const struct failed *f = s->failed; f != NULL; f = f->next) {
		if (f->told)
			continue;
		*end = malloc(sizeof(*f) + f->n);
		if (*end == NULL)
			break;
		memcpy(*end, f, sizeof(*f) + f->n);
		(*end)->next = NULL;
		end = &(*end)->next;
	}
	return all;
}

void staging_each_failed(struct staging *s,
			 void (*cb)(void *arg, const struct staging_failed *f),
			 void *arg)
{
	struct failed *all, *f;

	look(s, NULL);
	lock_take(&s->lock);
	all = copy_locked(s);
	lock_drop(&s->lock);
	/* Who is told looks for its path, and takes locks for that. */
	while ((f = all) != NULL) {
		cb(arg, &(struct staging_failed){
			    { f->key, f->n }, f->err, f->bytes });
		all = f->next;
		free(f);
	}
}

size_t staging_waiting(struct staging *s)
{
	size_t n = 0;

	look(s, NULL);
	lock_take(&s->lock);
	for (const struct failed *f = s->failed; f != NULL; f = f->next)
		n++;
	lock_drop(&s->lock);
	return n;
}

int staging_failed(struct staging *s, struct str key)
{
	int err = 0;

	look(s, &key);
	lock_take(&s->lock);
	for (const struct failed *f = s->failed; f != NULL && err == 0;
	     f = f->next)
		if (f->err != -EEXIST && is_of(f, &key))
			err = f->err;
	lock_drop(&s->lock);
	return err;
}

uint64_t staging_failures(struct staging *s)
{
	uint64_t n;

	lock_take(&s->lock);
	n = s->failures;
	lock_drop(&s->lock);
	return n;
}

int staging_failed_below(struct staging *s, struct str dir, uint64_t *seen)
{
	int err = 0;

	look(s, NULL);
	lock_take(&s->lock);
	for (struct failed *f = s->failed; f != NULL; f = f->next) {
		/* It was asked for, and told. */
		if (f->err == -EEXIST || f->told ||
		    (f->heard && f->number <= *seen) ||
		    !str_starts((struct str){ f->key, f->n }, dir))
			continue;
		f->heard = true;
		err = f->err; /* they stand newest first */
	}
	*seen = s->failures;
	lock_drop(&s->lock);
	return err;
}

void failed_heard(struct staging *s)
{
	lock_take(&s->lock);
	for (struct failed *f = s->failed; f != NULL; f = f->next)
		f->heard = true;
	lock_drop(&s->lock);
}

struct staged *failed_living(struct staging *s, const char *id)
{
	struct staged *f = NULL;

	lock_take(&s->lock);
	for (const struct failed *e = s->failed; e != NULL && f == NULL;
	     e = e->next)
		if (strcmp(e->id, id) == 0 && e->file != NULL &&
		    staged_try_hold(e->file))
			f = e->file;
	lock_drop(&s->lock);
	return f;
}

void failed_told(struct staging *s, const char *id)
{
	lock_take(&s->lock);
	for (struct failed *e = s->failed; e != NULL; e = e->next)
		if (strcmp(e->id, id) == 0)
			tell_locked(s, e);
	lock_drop(&s->lock);
}
