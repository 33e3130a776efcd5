/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename_record.c - the record of a rename, beside those of staged files
 *
 * ID.rename is written as a whole, and replaced as one:
 *
 *   format         1
 *   store, prefix
 *   from, to       keys relative to the prefix, spelt as staged_record.c has
 *                  them; of directories with a slash at the end
 *   bound          "any", "absent" or "version", with version: what was at to
 *   objects        [name, version, size, mtime (ns), copied, name...] of each
 *                  that is not done: of what was copied only the old name is
 *                  left to be removed
 *   recorded       when it was first (ns)
 *   pid, boot      who wrote it
 *
 * Its flock is held by the process that renames. It is on the disk before the
 * first object is copied, and is off it before anybody hears that all is done:
 * a record that came back would remove what was written since.
 */
#include "cache/rename_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/crash.h"
#include "cache/recover_impl.h"
#include "cache/staging_io.h"

#define SUFFIX ".rename"
#define OF_AN_OBJECT 5 /* members */

static const char *const bounds[] = {
	[UFS_IF_ANY] = "any",
	[UFS_IF_ABSENT] = "absent",
	[UFS_IF_VERSION] = "version",
};

static json_t *objects_of(const struct rename *r)
{
	json_t *a = json_array();
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct rename_object *o = &r->objects[i];

		if (o->done)
			continue;
		n++;
		json_array_append_new(
		    a, record_text((struct str){ o->name, o->n }));
		json_array_append_new(a, record_text(str_of(o->st.version)));
		json_array_append_new(a, json_integer((json_int_t)o->st.size));
		json_array_append_new(a, json_integer(o->st.mtime));
		json_array_append_new(a, json_boolean(o->copied));
	}
	/* One that could not be appended is missing. */
	if (json_array_size(a) != n * OF_AN_OBJECT) {
		json_decref(a);
		return NULL;
	}
	return a;
}

/* The record (heap); NULL: no memory. */
static char *record_of(const struct rename *r)
{
	const struct ufs *u = r->staging->ufs;
	const char *version = r->cond.version != NULL ? r->cond.version : "";
	json_t *o = json_object(), *objects = objects_of(r);
	char *words = NULL;

	if (objects != NULL) {
		json_object_set_new(o, "format", json_integer(RECORD_FORMAT));
		json_object_set_new(o, "store", record_text(str_of(u->store)));
		json_object_set_new(o, "prefix",
				    record_text(str_of(u->prefix)));
		json_object_set_new(
		    o, "from", record_text((struct str){ r->from, r->from_n }));
		json_object_set_new(
		    o, "to", record_text((struct str){ r->to, r->to_n }));
		json_object_set_new(o, "bound",
				    json_string(bounds[r->cond.what]));
		json_object_set_new(o, "version", record_text(str_of(version)));
		json_object_set(o, "objects", objects);
		json_object_set_new(o, "recorded", json_integer(r->recorded));
		json_object_set_new(o, "pid", json_integer(getpid()));
		json_object_set_new(o, "boot", json_string(clock_boot_id()));
		words = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	}
	json_decref(objects);
	json_decref(o);
	return words;
}

int rename_record_again(struct rename *r)
{
	char tmp[STAGED_ID + 16], name[STAGED_ID + 16];
	AUTO_FREE char *words = record_of(r);
	int dir = r->staging->dir;
	AUTO_CLOSE int fd = -1;
	size_t done;
	int err = 0;

	if (words == NULL)
		return -ENOMEM;
	if (strlen(words) > RECORD_MOST)
		return -EXDEV;
	snprintf(tmp, sizeof(tmp), "%s" SUFFIX ".tmp", r->id);
	snprintf(name, sizeof(name), "%s" SUFFIX, r->id);
	fd = openat(dir, tmp,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* Before it has its name: who finds it finds the lock held. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		err = -errno;
	if (err == 0)
		err = staging_pwrite(fd, words, strlen(words), 0, &done);
	if (err == 0 && fsync(fd) < 0)
		err = -errno;
	if (err == 0 && renameat(dir, tmp, dir, name) < 0)
		err = -errno;
	if (err < 0) {
		unlinkat(dir, tmp, 0);
		return err;
	}
	if (r->fd >= 0)
		close(r->fd);
	r->fd = take_fd(&fd);
	/* It is dropped by rename_free(). */
	return fsync(dir) < 0 ? -errno : 0;
}

int rename_record_put(struct rename *r)
{
	int err = staged_make_id(r->id);

	r->recorded = clock_wall_ns();
	return err < 0 ? err : rename_record_again(r);
}

void rename_record_drop(struct rename *r)
{
	char name[STAGED_ID + 16];

	snprintf(name, sizeof(name), "%s" SUFFIX, r->id);
	crash_point("rename-done");
	if (unlinkat(r->staging->dir, name, 0) == 0)
		(void)fsync(r->staging->dir);
	crash_point("rename-dropped");
}

bool rename_record_is(const char *file)
{
	return strspn(file, "0123456789abcdef") == STAGED_ID &&
	       strcmp(file + STAGED_ID, SUFFIX) == 0;
}

/* ---- reading ---- */

static int parse_objects(const json_t *a, struct rename *r)
{
	size_t n = json_array_size(a);

	if (!json_is_array(a) || n % OF_AN_OBJECT != 0)
		return -EINVAL;
	for (size_t i = 0; i < n; i += OF_AN_OBJECT) {
		const json_t *size = json_array_get(a, i + 2);
		const json_t *mtime = json_array_get(a, i + 3);
		const json_t *copied = json_array_get(a, i + 4);
		AUTO_FREE char *name = NULL, *version = NULL;
		struct ufs_stat st = { 0 };
		size_t len, version_len;
		int err;

		name = record_bytes(json_array_get(a, i), UFS_KEY_MAX, &len);
		version = record_bytes(json_array_get(a, i + 1),
				       UFS_VERSION_MAX - 1, &version_len);
		if (name == NULL || version == NULL ||
		    strlen(version) != version_len || !json_is_integer(size) ||
		    json_integer_value(size) < 0 || !json_is_integer(mtime) ||
		    !json_is_boolean(copied) ||
		    MAX(r->from_n, r->to_n) + len > UFS_KEY_MAX)
			return -EINVAL;
		st.size = (uint64_t)json_integer_value(size);
		st.mtime = json_integer_value(mtime);
		memcpy(st.version, version, version_len);
		err = rename_add(r, (struct str){ name, len }, &st);
		if (err < 0)
			return err;
		r->objects[r->n - 1].copied = json_is_true(copied);
	}
	return 0;
}

static int parse_bound(const json_t *o, const char *version,
		       struct ufs_cond *out)
{
	const char *bound = json_string_value(json_object_get(o, "bound"));

	for (size_t i = 0; bound != NULL && i < ARRAY_SIZE(bounds); i++) {
		if (strcmp(bound, bounds[i]) != 0)
			continue;
		*out = (struct ufs_cond){ .what = (enum ufs_if)i };
		if (out->what == UFS_IF_VERSION)
			out->version = version;
		return 0;
	}
	return -EINVAL;
}

static bool both_dirs(struct str a, struct str b)
{
	return (a.n > 0 && a.p[a.n - 1] == '/') ==
	       (b.n > 0 && b.p[b.n - 1] == '/');
}

/* 1: it is of another store. */
static int parse(struct staging *s, const json_t *o, struct rename **out)
{
	AUTO_FREE char *store = record_words(o, "store", RECORD_WORDS_MOST);
	AUTO_FREE char *prefix = record_words(o, "prefix", UFS_KEY_MAX);
	AUTO_FREE char *version =
	    record_words(o, "version", UFS_VERSION_MAX - 1);
	struct str from = { NULL, 0 }, to = { NULL, 0 };
	AUTO_FREE char *from_p =
	    record_bytes(json_object_get(o, "from"), UFS_KEY_MAX, &from.n);
	AUTO_FREE char *to_p =
	    record_bytes(json_object_get(o, "to"), UFS_KEY_MAX, &to.n);
	struct rename *r;
	struct ufs_cond cond;
	int err;

	if (json_integer_value(json_object_get(o, "format")) != RECORD_FORMAT ||
	    store == NULL || prefix == NULL || version == NULL ||
	    from_p == NULL || to_p == NULL)
		return -EINVAL;
	if (strcmp(store, s->ufs->store) != 0 ||
	    strcmp(prefix, s->ufs->prefix) != 0)
		return 1;
	from.p = from_p;
	to.p = to_p;
	err = parse_bound(o, version, &cond);
	if (err == 0 && (from.n == 0 || to.n == 0 || !both_dirs(from, to)))
		err = -EINVAL;
	if (err == 0)
		err = rename_new(s, from, to, &cond, &r);
	if (err < 0)
		return err;
	r->recorded = json_integer_value(json_object_get(o, "recorded"));
	err = parse_objects(json_object_get(o, "objects"), r);
	if (err < 0)
		rename_free(r);
	else
		*out = r;
	return err;
}

/* Who had it before may have dropped it. */
static bool still_there(int dir, const char *file, const struct stat *a)
{
	struct stat b;

	return fstatat(dir, file, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

int rename_record_take(struct staging *s, const char *file, struct rename **out)
{
	AUTO_CLOSE int fd = -1;
	json_t *o = NULL;
	struct stat st;
	int err;

	fd = recover_open_at(s->dir, file, O_RDWR, &st);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (!still_there(s->dir, file, &st))
		return -ENOENT;
	err = recover_load_fd(fd, &st, &o);
	if (err == 0)
		err = parse(s, o, out);
	json_decref(o);
	if (err == 0) {
		snprintf((*out)->id, sizeof((*out)->id), "%s", file);
		(*out)->fd = take_fd(&fd);
	}
	return err;
}
