/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_write.c - objects of an S3 store put, removed and copied
 *
 * How a change is sent and believed is s3_change.c's; objects made of parts
 * are s3_upload.c's.
 */
#include <errno.h>
#include <stdio.h>

#include "base/stats.h"
#include "ufs/s3_upload.h"

static void s3_limits(struct ufs *u, struct ufs_limits *out)
{
	(void)u;
	*out = (struct ufs_limits){
		.put_most = S3_PUT_MOST,
		.part_least = S3_PART_LEAST,
		.part_most = S3_PART_MOST,
		.parts = S3_PARTS,
		.object_most = S3_OBJECT_MOST,
	};
}

static int s3_put(struct ufs *u, struct str key, const struct ufs_body *body,
		  const struct ufs_cond *cond, struct ufs_stat *out,
		  struct cancel *cancel)
{
	struct s3 *s3 = s3_of(u);
	struct s3_change c;
	int r;

	if (!s3_key_ok(s3, key))
		return -ENAMETOOLONG;
	if (body->size > S3_PUT_MOST)
		return -EFBIG;
	s3_change_init(&c, s3, HTTP_PUT, key, STAT_store_put, cancel);
	r = s3_change_cond(&c, cond);
	if (r == 0)
		r = s3_change_body(&c, body);
	if (r == 0)
		r = s3_change_make(&c, out);
	s3_change_fini(&c);
	return r;
}

/*
 * A second try of what was removed finds nothing: then it was the first one
 * whose answer was lost.
 */
static int removed_before(struct s3 *s3, const struct s3_change *c, int r)
{
	struct s3_said said;

	if (r == -ESTALE && c->op.http.lost &&
	    s3_look(s3, c->op.key, &said, c->op.http.cancel) == -ENOENT)
		return 0;
	return r;
}

static int s3_remove(struct ufs *u, struct str key, const struct ufs_cond *cond,
		     struct cancel *cancel)
{
	struct s3 *s3 = s3_of(u);
	struct s3_change c;
	int r;

	if (cond->what == UFS_IF_ABSENT)
		return -EINVAL;
	if (!s3_key_ok(s3, key))
		return cond->what == UFS_IF_ANY ? 0 : -ESTALE;
	s3_change_init(&c, s3, HTTP_DELETE, key, STAT_store_delete, cancel);
	s3_change_short(&c);
	c.op.http.absent = -ENOENT;
	r = s3_change_cond(&c, cond);
	if (r == 0)
		r = removed_before(s3, &c, s3_change_run(&c));
	if (r == -ENOENT)
		r = 0;
	s3_change_fini(&c);
	return r;
}

/* "/bucket/key", encoded. */
static void add_source(struct s3 *s3, struct str from, struct text *out)
{
	text_adds(out, "/");
	text_add_encoded(out, str_of(s3->bucket), false);
	text_adds(out, "/");
	text_add_encoded(out, str_of(s3->ufs.prefix), true);
	text_add_encoded(out, from, true);
}

int s3_source_init(struct s3_source *s, struct s3_change *c, struct str from,
		   const char *version)
{
	add_source(c->op.s3, from, &s->path);
	if (s->path.failed)
		return -ENOMEM;
	s3_change_header(c, "x-amz-copy-source", s->path.p);
	if (version[0] != '~') {
		snprintf(s->version, sizeof(s->version), "\"%s\"", version);
		s3_change_header(c, "x-amz-copy-source-if-match", s->version);
	} else if (s3_weak_date(version, s->date)) {
		s3_change_header(c, "x-amz-copy-source-if-unmodified-since",
				 s->date);
	}
	/* It may take its time, and says so with a blank now and then. */
	c->op.http.patient = true;
	c->op.http.absent = -ENOENT;
	return 0;
}

void s3_source_fini(struct s3_source *s)
{
	text_fini(&s->path);
}

static bool same_bytes(const struct s3_said *a, const struct s3_said *b)
{
	if (a->size != b->size)
		return false;
	if (a->has_crc && b->has_crc)
		return a->crc == b->crc;
	return a->etag[0] != '\0' && strcmp(a->etag, b->etag) == 0;
}

/*
 * A copy failed with r: is it that of an answer that was lost, or whose
 * precondition was it? Source and destination have one each, and the answer
 * does not say.
 */
static int copy_settle(struct s3_change *c, int r, struct str from,
		       const struct ufs_stat *st, const struct ufs_cond *cond)
{
	struct s3 *s3 = c->op.s3;
	struct cancel *cancel = c->op.http.cancel;
	bool which = cond->what != UFS_IF_ANY &&
		     (r == -ENOENT || r == -ESTALE || r == -EEXIST);
	struct s3_said source, made;
	struct ufs_stat now;
	char words[256];
	int looked;

	if (r == -ECANCELED || r == -ENOMEM || (!c->op.http.lost && !which))
		return r;
	snprintf(words, sizeof(words), "%s", ufs_last_error());
	looked = s3_look(s3, from, &source, cancel);
	if (looked == 0)
		s3_said_stat(&source, &now);
	if (looked == 0 && strcmp(now.version, st->version) == 0) {
		if (c->op.http.lost &&
		    s3_look(s3, c->op.key, &made, cancel) == 0 &&
		    same_bytes(&source, &made)) {
			c->said = made;
			return 0;
		}
		if (which)
			r = cond->what == UFS_IF_ABSENT ? -EEXIST : -ESTALE;
	} else if (which && (looked == 0 || looked == -ENOENT)) {
		r = looked == 0 ? -ESTALE : -ENOENT;
	}
	return ufs_fail(r, "%s", words);
}

/*
 * AWS says no more than that of a source that is larger than it copies at once,
 * and other servers copy less.
 */
static bool may_be_too_large(const struct s3_change *c, int r,
			     const struct ufs_stat *st)
{
	return r == -EIO && st->size > S3_PART_LEAST &&
	       strcmp(c->op.http.code, "InvalidRequest") == 0;
}

static int s3_copy(struct ufs *u, struct str from, const struct ufs_stat *st,
		   struct str to, const struct ufs_cond *cond,
		   struct ufs_stat *out, struct cancel *cancel)
{
	struct s3 *s3 = s3_of(u);
	struct s3_source source = { 0 };
	struct s3_change c;
	int r;

	if (!s3_key_ok(s3, from))
		return -ENOENT;
	if (!s3_key_ok(s3, to))
		return -ENAMETOOLONG;
	if (st->size > S3_PUT_MOST)
		return -EFBIG;
	s3_change_init(&c, s3, HTTP_PUT, to, STAT_store_copy, cancel);
	c.root = "CopyObjectResult";
	c.needs_etag = true;
	s3_change_header(&c, "x-amz-checksum-algorithm", "CRC64NVME");
	r = s3_change_cond(&c, cond);
	if (r == 0)
		r = s3_source_init(&source, &c, from, st->version);
	if (r == 0) {
		r = s3_change_run(&c);
		if (r < 0)
			r = may_be_too_large(&c, r, st)
				? -EFBIG
				: copy_settle(&c, r, from, st, cond);
	}
	if (r == 0) {
		c.said.size = st->size;
		s3_said_stat(&c.said, out);
	}
	s3_source_fini(&source);
	s3_change_fini(&c);
	return r;
}

static int s3_same(struct ufs *u, struct str a, struct str b,
		   struct cancel *cancel)
{
	struct s3_said x, y = { 0 };
	int r = s3_look(s3_of(u), a, &x, cancel);

	if (r == 0)
		r = s3_look(s3_of(u), b, &y, cancel);
	return r < 0 ? r : same_bytes(&x, &y);
}

const struct ufs_write_ops s3_write_ops = {
	.limits = s3_limits,
	.put = s3_put,
	.remove = s3_remove,
	.copy = s3_copy,
	.same = s3_same,
	.upload_begin = s3_upload_begin,
	.upload_part = s3_upload_part,
	.upload_copy = s3_upload_copy,
	.upload_end = s3_upload_end,
	.upload_abort = s3_upload_abort,
	.upload_list = s3_upload_list,
};
