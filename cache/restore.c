/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.c - what a mount that is gone had acknowledged, as staged files
 *
 * A restored file is what it was in the process that died when it acknowledged
 * it: its bytes with their checksums, what it is upon and bound to. All that it
 * has counts as written, as nobody knows what of it the store got; so what it
 * finds there is looked at before it is another's (found.c). Generations before
 * the newest are known by their bytes alone.
 *
 * What cannot be restored is left as it is, with a line in the log, and is
 * listed by `tarn recover`.
 */
#include "cache/staging_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/recover_impl.h"

#define PATIENCE (200 * NSEC_PER_MSEC)

struct restored {
	struct restored *next;
	struct staged *file; /* owns a user's ref */
};

/* Which bytes the file has, of the record o. */
static int read_held(const json_t *o, uint64_t size, uint64_t *base_end,
		     struct ranges *held)
{
	int64_t end = json_integer_value(json_object_get(o, "base_end"));

	*base_end = MIN((uint64_t)MAX(end, INT64_C(0)), size);
	if (end <= 0)
		return ranges_add(held, 0, size);
	if (!recover_written(json_object_get(o, "written"), held))
		return -EINVAL;
	ranges_cut(held, size);
	return 0;
}

static int load_sums(struct staged *f, const json_t *o)
{
	const char *hex = json_string_value(json_object_get(o, "sums"));
	char name[STAGED_ID + 8];
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (hex == NULL || strspn(hex, "0123456789abcdef") != 16 ||
	    hex[16] != '\0')
		return -EINVAL;
	f->acked_sums = strtoull(hex, NULL, 16);

	snprintf(name, sizeof(name), "%s.sums", f->id);
	fd = recover_open_at(f->staging->dir, name, O_RDONLY, &st);
	if (fd < 0)
		return fd;
	f->sums = sums_new();
	return f->sums == NULL ? -ENOMEM
			       : sums_load(f->sums, fd, f->size, f->acked_sums);
}

static int read_base(struct staged *f, const json_t *o)
{
	const json_t *j = json_object_get(o, "base");
	AUTO_FREE char *version = NULL, *class = NULL;
	int64_t size;

	if (j == NULL)
		return f->base_end > 0 ? -EINVAL : 0;
	version = record_words(j, "version", UFS_VERSION_MAX - 1);
	class = record_words(j, "storage_class", 23);
	size = json_integer_value(json_object_get(j, "size"));
	if (version == NULL || class == NULL || size < 0 ||
	    f->base_end > (uint64_t)size)
		return -EINVAL;
	/* It moves only with its file, and of that this is the key. */
	f->base = staged_base_new((struct str){ f->key, f->key_len });
	if (f->base == NULL)
		return -ENOMEM;
	f->base->st.size = (uint64_t)size;
	f->base->st.mtime = json_integer_value(json_object_get(j, "mtime"));
	f->base->st.flags =
	    (unsigned)json_integer_value(json_object_get(j, "flags"));
	snprintf(f->base->st.version, sizeof(f->base->st.version), "%s",
		 version);
	snprintf(f->base->st.storage_class, sizeof(f->base->st.storage_class),
		 "%s", class);
	return 0;
}

/* r and its descriptor are taken over as far as they are used. */
static int fill(struct staged *f, struct recover_file *file, const json_t *o)
{
	struct recover_record *r = &file->r;
	struct stat st;
	int err = staged_set_key(f, (struct str){ r->key, r->key_len });

	if (err < 0)
		return err;
	memcpy(f->id, r->id, sizeof(f->id));
	memcpy(f->line, r->line, sizeof(f->line));
	f->generation = (unsigned)r->generation;
	f->size = r->size;
	f->mtime = json_integer_value(json_object_get(o, "mtime"));
	f->bound = r->bound;
	f->exclusive = r->exclusive;
	memcpy(f->version, r->version, sizeof(f->version));
	f->old_upload = take_ptr(r->upload);
	f->change = f->acked_change = f->tried = 1;
	f->acked = f->uncertain = true;
	err = read_held(o, f->size, &f->base_end, &f->held);
	if (err == 0)
		err = ranges_merge(&f->dirty, &f->held);
	if (err == 0)
		err = read_base(f, o);
	if (err == 0)
		err = load_sums(f, o);
	if (err == 0 && fstat(file->fd, &st) < 0)
		err = -errno;
	/* It may have become the cache's, too, when its process died. */
	if (err == 0) {
		f->taken = st.st_nlink > 1;
		f->fd = take_fd(&file->fd);
	}
	return err;
}

/*
 * A later generation, which was not acknowledged, was renamed: what that is
 * called, upon and bound to holds for this one too.
 */
static int rename_as(struct staged *f, const char *named)
{
	struct recover_record r;
	json_t *o = NULL;
	int err = recover_read(f->staging->dir, named, &r);

	if (err < 0)
		return err;
	/* An upload is of the name that it was begun for. */
	upload_abort_later(f->staging, (struct str){ f->key, f->key_len },
			   take_ptr(f->old_upload));
	err = recover_load(f->staging->dir, named, &o);
	if (err == 0)
		err = staged_set_key(f, (struct str){ r.key, r.key_len });
	if (err == 0) {
		f->bound = r.bound;
		f->exclusive = r.exclusive;
		memcpy(f->version, r.version, sizeof(f->version));
		staged_base_unref(take_ptr(f->base));
		err = read_base(f, o);
	}
	json_decref(o);
	recover_record_fini(&r);
	return err;
}

/* Acknowledged, not live, and of this size at least. */
static int claim(struct staging *s, const char *id, struct recover_file *file,
		 json_t **o)
{
	int r = recover_claim_in(s->dir, id, PATIENCE, file);

	*o = NULL;
	if (r < 0)
		return r;
	r = recover_load(s->dir, id, o);
	if (r == 0 && (!file->r.acked || file->r.err != 0 || file->fd < 0 ||
		       json_integer_value(json_object_get(*o, "size")) !=
			   (json_int_t)file->r.size))
		r = -EINVAL;
	if (r < 0) {
		json_decref(*o);
		recover_close(file);
	}
	return r;
}

/* A generation before it, as old as nobody knows. */
static int add_aside(struct staged *f, struct aside ***end, const char *id)
{
	struct recover_file file;
	struct aside *a;
	json_t *o;
	int r = claim(f->staging, id, &file, &o);

	if (r < 0)
		return r;
	a = calloc(1, sizeof(*a));
	r = a == NULL ? -ENOMEM : 0;
	if (r == 0) {
		memcpy(a->id, id, sizeof(a->id));
		a->tried = true;
		a->change = 1;
		a->size = file.r.size;
		r = read_held(o, a->size, &a->base_end, &a->held);
	}
	if (r == 0) {
		/* Its record goes with it, and nobody would know of that. */
		upload_abort_later(f->staging,
				   (struct str){ file.r.key, file.r.key_len },
				   take_ptr(file.r.upload));
		a->fd = take_fd(&file.fd);
		**end = a;
		*end = &a->next;
	} else if (a != NULL) {
		ranges_fini(&a->held);
		free(a);
	}
	json_decref(o);
	recover_close(&file);
	return r;
}

static int restore(struct staging *s, char (*ids)[STAGED_ID + 1], size_t n,
		   const char *named, struct staged **out)
{
	struct staged *f = staged_alloc(s);
	struct recover_file file;
	struct aside **end;
	json_t *o;
	int r;

	if (f == NULL)
		return -ENOMEM;
	r = claim(s, ids[0], &file, &o);
	if (r == 0) {
		r = fill(f, &file, o);
		json_decref(o);
		recover_close(&file);
	}
	if (r == 0 && strcmp(named, ids[0]) != 0)
		r = rename_as(f, named);
	end = &f->asides;
	for (size_t i = 1; i < n && r == 0; i++)
		r = add_aside(f, &end, ids[i]);
	if (r < 0)
		staged_free(f); /* its files stay */
	else
		*out = f;
	return r;
}

void restore_file(struct staging *s, char (*ids)[STAGED_ID + 1], size_t n,
		  const char *named)
{
	struct restored *e = calloc(1, sizeof(*e));
	int r = e == NULL ? -ENOMEM : restore(s, ids, n, named, &e->file);

	if (r < 0) {
		free(e);
		/* Another mount has it, or had it and is done. */
		if (r == -EBUSY || r == -ENOENT)
			return;
		log_err("staging: %s.data was to be committed and cannot be: "
			"%s; `tarn recover` lists it",
			ids[0], strerror(-r));
		return;
	}
	lock_take(&s->lock);
	e->next = s->restored;
	s->restored = e;
	lock_drop(&s->lock);
}

struct staged *staging_restored(struct staging *s)
{
	struct restored *e;
	struct staged *f;

	lock_take(&s->lock);
	e = s->restored;
	if (e != NULL)
		s->restored = e->next;
	lock_drop(&s->lock);
	if (e == NULL)
		return NULL;
	f = e->file;
	free(e);
	return f;
}

void restored_free(struct staging *s)
{
	struct staged *f;

	while ((f = staging_restored(s)) != NULL)
		staged_unref(f);
}
