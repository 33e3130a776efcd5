/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover.c - records of a staging-dir, read with care
 */
#include "cache/recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/own_dir.h"
#include "cache/ranges.h"
#include "cache/recover_impl.h"
#include "cache/staging_io.h"

void recover_record_fini(struct recover_record *r)
{
	free(r->store);
	free(r->prefix);
	free(r->key);
	free(r->upload);
	r->store = r->prefix = r->key = r->upload = NULL;
}

bool recover_has(const struct recover_record *r)
{
	return r->data && (r->err != 0 ||
			   (!r->clean && (r->live || r->acked || r->size > 0)));
}

int recover_open_at(int dir, const char *name, int flags, struct stat *st)
{
	AUTO_CLOSE int fd = openat(
	    dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode) || st->st_uid != geteuid())
		return -EPERM;
	return take_fd(&fd);
}

char *record_bytes(const json_t *j, size_t most, size_t *n)
{
	const char *s = json_string_value(j);
	char *out;

	*n = 0;
	if (s == NULL || strlen(s) > 3 * most)
		return NULL;
	out = malloc(strlen(s) + 1);
	for (; out != NULL && *s != '\0'; s++) {
		unsigned c = (unsigned char)*s;

		if (c == '%') {
			if (strspn(s + 1, "0123456789ABCDEF") < 2 ||
			    sscanf(s + 1, "%2X", &c) != 1)
				break;
			s += 2;
		}
		out[(*n)++] = (char)c;
	}
	if (out == NULL || *s != '\0' || *n > most) {
		free(out);
		return NULL;
	}
	out[*n] = '\0';
	return out;
}

char *record_words(const json_t *o, const char *name, size_t most)
{
	size_t n;
	char *s = record_bytes(json_object_get(o, name), most, &n);

	if (s != NULL && strlen(s) == n)
		return s;
	free(s);
	return NULL;
}

/* It goes into a header's line: as a store's own (s3_version()). */
static bool is_version(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= ' ' || *s == '"' || *s == 0x7f)
			return false;
	return true;
}

static bool parse_bound(const json_t *o, struct recover_record *r)
{
	const char *bound = json_string_value(json_object_get(o, "bound"));
	AUTO_FREE char *version =
	    record_words(o, "version", UFS_VERSION_MAX - 1);

	if (bound == NULL || version == NULL || !is_version(version))
		return false;
	r->exclusive = strcmp(bound, "exclusive") == 0;
	if (strcmp(bound, "version") == 0 && *version != '\0')
		r->bound = UFS_IF_VERSION;
	else if (r->exclusive || strcmp(bound, "absent") == 0)
		r->bound = UFS_IF_ABSENT;
	else if (strcmp(bound, "any") == 0)
		r->bound = UFS_IF_ANY;
	else
		return false;
	snprintf(r->version, sizeof(r->version), "%s", version);
	return true;
}

/* ID and this suffix? */
static bool is_name(const char *name, const char *suffix)
{
	return strspn(name, "0123456789abcdef") == RECOVER_ID &&
	       strcmp(name + RECOVER_ID, suffix) == 0;
}

bool recover_written(const json_t *a, struct ranges *out)
{
	int64_t last = 0;

	if (!json_is_array(a) || json_array_size(a) % 2 != 0)
		return false;
	for (size_t i = 0; i < json_array_size(a); i += 2) {
		const json_t *from = json_array_get(a, i);
		const json_t *to = json_array_get(a, i + 1);
		int64_t off = json_integer_value(from);
		int64_t end = json_integer_value(to);

		if (!json_is_integer(from) || !json_is_integer(to) ||
		    off < last || end <= off ||
		    ranges_add(out, (uint64_t)off, (uint64_t)end) < 0)
			return false;
		last = end;
	}
	return true;
}

/*
 * Which bytes are there. Truncation takes the base's end and what was written
 * with it, and what grows behind the base's end is all in the file: so a file
 * that once had all bytes of its size has them, whatever came later. What was
 * written is known to the byte only when nothing came later: of one that
 * failed.
 */
static bool parse_bytes(const json_t *o, struct recover_record *r)
{
	const json_t *base_end = json_object_get(o, "base_end");
	struct ranges written = { 0 };
	int64_t end = json_integer_value(base_end);
	bool right = true;

	if (!json_is_integer(base_end) || end < 0)
		return false;
	if (end == 0) {
		r->exact = r->whole = true;
		return true;
	}
	right = recover_written(json_object_get(o, "written"), &written);
	r->exact = r->err != 0 || r->acked;
	r->whole = right && ranges_cover(&written, 0, (uint64_t)end);
	if (r->exact && !r->whole)
		r->whole = right && ranges_cover(&written, 0,
						 MIN((uint64_t)end, r->size));
	ranges_fini(&written);
	return right;
}

/* Records before there was this have none of it. */
static bool parse_line(const json_t *o, struct recover_record *r)
{
	const char *line = json_string_value(json_object_get(o, "line"));
	int64_t n = json_integer_value(json_object_get(o, "generation"));

	r->acked = json_is_true(json_object_get(o, "acked"));
	snprintf(r->line, sizeof(r->line), "%s", r->id);
	if (line == NULL && !r->acked)
		return true;
	if (line == NULL || n < 0 || !is_name(line, ""))
		return false;
	memcpy(r->line, line, sizeof(r->line));
	r->generation = (uint64_t)n;
	r->recorded = json_integer_value(json_object_get(o, "recorded"));
	return true;
}

static bool parse(const json_t *o, struct recover_record *r)
{
	const json_t *upload = json_object_get(o, "upload");
	const json_t *error = json_object_get(o, "error");

	if (json_integer_value(json_object_get(o, "format")) != RECORD_FORMAT)
		return false;
	r->store = record_words(o, "store", RECORD_WORDS_MOST);
	r->prefix = record_words(o, "prefix", UFS_KEY_MAX);
	r->key =
	    record_bytes(json_object_get(o, "key"), UFS_KEY_MAX, &r->key_len);
	if (upload != NULL) {
		r->upload = record_words(o, "upload", RECORD_WORDS_MOST);
		if (r->upload == NULL)
			return false;
	}
	r->clean = json_is_true(json_object_get(o, "clean"));
	r->told = json_is_true(json_object_get(o, "told"));
	r->err = (int)json_integer_value(error);
	return r->store != NULL && r->prefix != NULL && r->key != NULL &&
	       json_is_integer(error) && json_integer_value(error) >= 0 &&
	       json_integer_value(error) <= ERRNO_MOST && parse_bound(o, r) &&
	       parse_line(o, r) && parse_bytes(o, r);
}

int recover_load_fd(int fd, const struct stat *st, json_t **out)
{
	AUTO_FREE char *buf = NULL;
	size_t n;
	int r;

	if (st->st_size <= 0 || (uint64_t)st->st_size > RECORD_MOST)
		return -EFBIG;
	n = (size_t)st->st_size;
	buf = malloc(n);
	if (buf == NULL)
		return -ENOMEM;
	r = staging_pread(fd, buf, n, 0);
	if (r < 0)
		return r;
	*out = json_loadb(buf, n, JSON_REJECT_DUPLICATES, NULL);
	return json_is_object(*out) ? 0 : -EINVAL;
}

int recover_load(int dir, const char *id, json_t **out)
{
	char name[RECOVER_ID + 8];
	AUTO_CLOSE int fd = -1;
	struct stat st;

	snprintf(name, sizeof(name), "%s.json", id);
	fd = recover_open_at(dir, name, O_RDONLY, &st);
	return fd < 0 ? fd : recover_load_fd(fd, &st, out);
}

/* What the file itself tells; a record may be alone. */
static int look_at_data(int dir, struct recover_record *r)
{
	char name[RECOVER_ID + 8];
	AUTO_CLOSE int fd = -1;
	struct stat st;

	snprintf(name, sizeof(name), "%s.data", r->id);
	fd = recover_open_at(dir, name, O_RDONLY, &st);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	r->data = true;
	r->size = (uint64_t)st.st_size;
	r->mtime = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec;
	/* Shared, as others may be looking just now. */
	r->live = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	return 0;
}

int recover_read(int dir, const char *id, struct recover_record *out)
{
	struct recover_record r = { .bound = UFS_IF_ANY };
	json_t *o = NULL;
	int err;

	snprintf(r.id, sizeof(r.id), "%.*s", RECOVER_ID, id);
	err = look_at_data(dir, &r);
	if (err == 0)
		err = recover_load(dir, r.id, &o);
	if (err == 0 && !parse(o, &r))
		err = -EINVAL;
	json_decref(o);
	if (err == 0) {
		*out = r;
		return 0;
	}
	recover_record_fini(&r);
	if (err != -ENOENT)
		log_warn("staging: %s.json is passed by: %s", r.id,
			 err == -EINVAL  ? "it is no record of this version"
			 : err == -EFBIG ? "it is empty or too large"
			 : err == -EPERM ? "it or its data is not a file of "
					   "ours"
					 : strerror(-err));
	return err;
}

static int open_list(int dir, DIR **out)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*out = fdopendir(fd);
	if (*out == NULL) {
		close(fd);
		return -ENOMEM;
	}
	return 0;
}

static int each_of_store(int dir, const char *store, recover_cb *cb, void *arg)
{
	const struct dirent *e;
	DIR *d;
	int r = open_list(dir, &d);

	if (r < 0)
		return r;
	while (r == 0 && (e = readdir(d)) != NULL) {
		struct recover_record rec;

		if (!is_name(e->d_name, ".json") ||
		    recover_read(dir, e->d_name, &rec) < 0)
			continue;
		snprintf(rec.dir, sizeof(rec.dir), "%s", store);
		r = cb(arg, &rec);
		recover_record_fini(&rec);
	}
	closedir(d);
	return r;
}

int recover_each_in(int dir, recover_cb *cb, void *arg)
{
	return each_of_store(dir, "", cb, arg);
}

int recover_store_dir(int root, const char *name)
{
	AUTO_CLOSE int fd =
	    openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char why[256];

	if (fd < 0)
		return -errno;
	if (own_dir_check(fd, name, "staging-dir", geteuid(), why) < 0) {
		log_warn("staging: passed by: %s", why);
		return -EPERM;
	}
	return take_fd(&fd);
}

int recover_each(const char *staging, recover_cb *cb, void *arg,
		 char why[static 256])
{
	AUTO_CLOSE int root = -1;
	const struct dirent *e;
	DIR *d;
	int r = own_dir_open(staging, "staging-dir", geteuid(), &root, why);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = open_list(root, &d);
	if (r < 0) {
		snprintf(why, 256, "cannot read %s: %s", staging, strerror(-r));
		return r;
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		AUTO_CLOSE int dir = -1;

		if (!is_name(e->d_name, ""))
			continue;
		dir = recover_store_dir(root, e->d_name);
		if (dir >= 0)
			r = each_of_store(dir, e->d_name, cb, arg);
	}
	closedir(d);
	return r;
}
