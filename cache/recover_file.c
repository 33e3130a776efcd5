/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover_file.c - one file of a staging-dir, brought back or dropped
 *
 * Who changes it has its flock, as the process had that wrote it, and so sees
 * that nobody else does.
 */
#include "cache/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cache/own_dir.h"
#include "cache/parts.h"
#include "cache/recover_impl.h"
#include "cache/staging_io.h"
#include "cache/upload_abort.h"

#define PATIENCE (2 * NSEC_PER_SEC)

void recover_close(struct recover_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->dir >= 0)
		close(f->dir);
	f->fd = f->dir = -1;
	recover_record_fini(&f->r);
}

static void name_of(const char *id, const char *kind,
		    char out[static RECOVER_ID + 8])
{
	snprintf(out, RECOVER_ID + 8, "%.*s.%.4s", RECOVER_ID, id, kind);
}

static int open_data(int dir, const char *id, int *out)
{
	char name[RECOVER_ID + 8];
	struct stat st;
	int fd;

	name_of(id, "data", name);
	fd = recover_open_at(dir, name, O_RDWR, &st);
	if (fd < 0)
		return fd;
	*out = fd;
	return 0;
}

/* Who had it before may have dropped it. */
static bool still_there(int dir, const char *id, int fd)
{
	char name[RECOVER_ID + 8];
	struct stat a, b;

	name_of(id, "data", name);
	return fstat(fd, &a) == 0 &&
	       fstatat(dir, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int claim(int dir, const char *id, struct recover_file *out)
{
	AUTO_CLOSE int own = -1, fd = -1;
	struct recover_record rec;
	int r = open_data(dir, id, &fd);

	if (r < 0 && r != -ENOENT)
		return r;
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (fd >= 0 && !still_there(dir, id, fd))
		return -ENOENT;
	own = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	r = recover_read(dir, id, &rec);
	if (r < 0)
		return r;
	rec.live = false; /* that was us */
	*out = (struct recover_file){ take_fd(&own), take_fd(&fd), rec };
	return 0;
}

int recover_claim_in(int dir, const char *id, int64_t wait,
		     struct recover_file *out)
{
	int64_t until = clock_ns() + wait;
	int r;

	while ((r = claim(dir, id, out)) == -EBUSY && clock_ns() < until)
		usleep(10000);
	return r;
}

static int open_store(const char *staging, const struct recover_record *r,
		      int *out, char why[static 256])
{
	AUTO_CLOSE int root = -1;
	int dir, err;

	err = own_dir_open(staging, "staging-dir", geteuid(), &root, why);
	if (err < 0)
		return err;
	dir = recover_store_dir(root, r->dir);
	if (dir < 0) {
		snprintf(why, 256, "cannot open %.150s/%s: %s", staging, r->dir,
			 strerror(-dir));
		return dir;
	}
	*out = dir;
	return 0;
}

static int refused(int r, char why[static 256])
{
	if (r == -EBUSY)
		snprintf(why, 256,
			 "a program or a mount has it open; close it first");
	else if (r == -ENOENT)
		snprintf(why, 256, "it is not there any more");
	else
		snprintf(why, 256, "its file cannot be opened: %s",
			 strerror(-r));
	return r;
}

int recover_claim(const char *staging, const struct recover_record *r,
		  struct recover_file *out, char why[static 256])
{
	AUTO_CLOSE int dir = -1;
	int err = open_store(staging, r, &dir, why);

	if (err < 0)
		return err;
	err = recover_claim_in(dir, r->id, PATIENCE, out);
	if (err < 0)
		return refused(err, why);
	snprintf(out->r.dir, sizeof(out->r.dir), "%s", r->dir);
	return 0;
}

int recover_open(const char *staging, const struct recover_record *r,
		 struct recover_file *out, char why[static 256])
{
	AUTO_CLOSE int dir = -1;
	struct recover_record rec;
	int err, fd;

	if (r->err == 0)
		return recover_claim(staging, r, out, why);
	err = open_store(staging, r, &dir, why);
	if (err < 0)
		return err;
	err = open_data(dir, r->id, &fd);
	if (err < 0)
		return refused(err, why);
	err = recover_read(dir, r->id, &rec);
	if (err < 0) {
		close(fd);
		return refused(err, why);
	}
	*out = (struct recover_file){ take_fd(&dir), fd, rec };
	return 0;
}

/* ---- its bytes ---- */

int recover_save(const struct recover_file *f, int to)
{
	AUTO_FREE char *buf = malloc(STAGING_PIECE);
	off_t size = (off_t)f->r.size, at = 0;
	int r = 0;

	if (!f->r.whole || f->fd < 0)
		return -ENODATA;
	if (buf == NULL)
		return -ENOMEM;
	if (ftruncate(to, size) < 0)
		return -errno;
	while (r == 0 && at < size) {
		off_t data = lseek(f->fd, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		/* Where the file system does not tell, all is data. */
		data = data < 0 ? at : data;
		hole = lseek(f->fd, data, SEEK_HOLE);
		at = hole <= data || hole > size ? size : hole;
		r = staging_copy_range(f->fd, to, (uint64_t)data, (uint64_t)at,
				       buf);
	}
	if (r == 0 && fsync(to) < 0 && errno != EINVAL)
		r = -errno;
	return r;
}

/* ---- its record ---- */

/* Set name in it, or take name out of it (NULL). */
static int edit(struct recover_file *f, const char *name, json_t *value)
{
	AUTO_FREE char *words = NULL;
	json_t *o = NULL;
	int r = recover_load(f->dir, f->r.id, &o);

	if (r == 0 && value == NULL)
		json_object_del(o, name);
	else if (r == 0 && json_object_set(o, name, value) < 0)
		r = -ENOMEM;
	if (r == 0)
		words = json_dumps(o, JSON_INDENT(1) | JSON_SORT_KEYS);
	if (r == 0 && words == NULL)
		r = -ENOMEM;
	if (r == 0)
		r = record_put(f->dir, f->r.id, words, true);
	json_decref(o);
	json_decref(value);
	return r;
}

int recover_note_closed(struct recover_file *f)
{
	int r = edit(f, "upload", NULL);

	if (r == 0) {
		free(f->r.upload);
		f->r.upload = NULL;
	}
	return r;
}

int recover_note_told(struct recover_file *f)
{
	return edit(f, "told", json_true());
}

static int note_upload(struct recover_file *f, const char *id)
{
	char *own = strdup(id);
	json_t *j = record_text(str_of(id));
	int r = own == NULL || j == NULL ? -ENOMEM : edit(f, "upload", j);

	if (r < 0) {
		free(own);
		return r;
	}
	free(f->r.upload);
	f->r.upload = own;
	return 0;
}

int recover_discard(struct recover_file *f)
{
	char name[RECOVER_ID + 8];

	name_of(f->r.id, "data", name);
	if (unlinkat(f->dir, name, 0) < 0 && errno != ENOENT)
		return -errno;
	name_of(f->r.id, "sums", name);
	if (unlinkat(f->dir, name, 0) < 0 && errno != ENOENT)
		return -errno;
	name_of(f->r.id, "json", name);
	if (f->r.upload == NULL && unlinkat(f->dir, name, 0) < 0 &&
	    errno != ENOENT)
		return -errno;
	return fsync(f->dir) < 0 ? -errno : 0;
}

/* ---- commit ---- */

struct body {
	struct ufs_body body;
	int fd;
	uint64_t at;
};

static int body_read(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct body *b = arg;

	return staging_pread(b->fd, buf, len, b->at + off);
}

/* Bytes [at, at+n) of it. */
static void body_init(struct body *b, const struct recover_file *f, uint64_t at,
		      uint64_t n)
{
	*b = (struct body){ .fd = f->fd, .at = at };
	b->body = (struct ufs_body){ .arg = b, .size = n, .read = body_read };
}

static int send_parts(const struct recover_file *f, struct ufs *u,
		      const struct parts *parts, struct ufs_part *done,
		      unsigned n, struct cancel *cancel)
{
	struct str key = { f->r.key, f->r.key_len };
	int r = 0;

	for (unsigned i = 0; i < n && r == 0; i++) {
		uint64_t size, at = parts_at(parts, i, &size);
		struct body b;

		body_init(&b, f, at, MIN(size, f->r.size - at));
		done[i].number = i + 1;
		r = u->ops->write->upload_part(u, key, f->r.upload, &b.body,
					       &done[i], cancel);
		done[i].number = i + 1;
		done[i].size = b.body.size;
	}
	return r;
}

static int by_upload(struct recover_file *f, struct ufs *u,
		     const struct parts *parts, const struct ufs_cond *cond,
		     struct ufs_stat *out, struct cancel *cancel)
{
	const struct ufs_write_ops *ops = u->ops->write;
	struct str key = { f->r.key, f->r.key_len };
	unsigned n = parts_of(parts, f->r.size - 1) + 1;
	AUTO_FREE struct ufs_part *done = calloc(n, sizeof(*done));
	AUTO_FREE char *id = NULL, *unknown = upload_unknown();
	int r;

	if (done == NULL || unknown == NULL)
		return -ENOMEM;
	r = note_upload(f, unknown);
	if (r == 0)
		r = ops->upload_begin(u, key, &id, cancel);
	if (r < 0)
		return r;
	r = note_upload(f, id);
	if (r == 0)
		r = send_parts(f, u, parts, done, n, cancel);
	if (r == 0)
		r = ops->upload_end(u, key, id, done, n, cond, out, cancel);
	/* Ended, it is none; else it is not wanted any more. */
	if (r < 0 && ops->upload_abort(u, key, id, NULL) < 0)
		return r;
	if (recover_note_closed(f) < 0 && r == 0) {
		free(f->r.upload);
		f->r.upload = NULL;
	}
	return r;
}

static int send(struct recover_file *f, struct ufs *u, uint64_t part_size,
		const struct ufs_cond *cond, struct ufs_stat *out,
		struct cancel *cancel)
{
	struct ufs_limits limits;
	struct parts parts;
	struct body b;

	u->ops->write->limits(u, &limits);
	if (limits.part_least != 0 && limits.parts != 0) {
		parts_init(&parts, &limits, part_size);
		if (f->r.size > MIN(parts_bytes(&parts), limits.object_most))
			return -EFBIG;
		if (f->r.size > MIN(limits.put_most, parts.first))
			return by_upload(f, u, &parts, cond, out, cancel);
	} else if (f->r.size > limits.put_most) {
		return -EFBIG;
	}
	body_init(&b, f, 0, f->r.size);
	return u->ops->write->put(u, (struct str){ f->r.key, f->r.key_len },
				  &b.body, cond, out, cancel);
}

int recover_commit(struct recover_file *f, struct ufs *u,
		   const struct recover_how *how, struct ufs_stat *out,
		   struct cancel *cancel)
{
	struct ufs_cond cond = { .what = how->force ? UFS_IF_ANY : f->r.bound };
	AUTO_FREE char *left = NULL;
	int r = 0, err;

	if (!f->r.whole || f->fd < 0)
		return -ENODATA;
	if (cond.what == UFS_IF_VERSION)
		cond.version = f->r.version;
	if (f->r.upload != NULL)
		r = upload_abort(u, (struct str){ f->r.key, f->r.key_len },
				 f->r.upload, NULL, cancel);
	if (r == 0 && f->r.upload != NULL)
		r = recover_note_closed(f);
	/* A store that refuses that may take the file all the same. */
	if (upload_abort_refused(r)) {
		left = strdup(f->r.upload);
		r = left == NULL ? -ENOMEM : 0;
	}
	if (r == 0)
		r = send(f, u, how->part_size, &cond, out, cancel);
	/* What was sent in parts had its own upload on the record. */
	if (left != NULL && f->r.upload == NULL) {
		err = note_upload(f, left);
		r = r < 0 ? r : err;
	}
	if (r == -EEXIST && !f->r.exclusive)
		r = -ESTALE;
	return r < 0 ? r : recover_discard(f);
}
