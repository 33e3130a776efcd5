/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_upload.c - objects of an S3 store made of parts
 *
 * Each part carries its checksum; the whole's follows from theirs and is sent
 * with the end, so that the store compares it with what it put together. That
 * is what makes the object, and what S3 answers in a way of its own: a 200 at
 * once, blanks while it works, and then a result or an error (API reference:
 * CompleteMultipartUpload). Only a whole result with an ETag is a success.
 */
#include "ufs/s3_upload.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"

#define UPLOADS_ANSWER_MAX MIB(8) /* a page of a thousand */
#define PAGES_MAX 10000

/* What the answer to a part says, for the end. */
static int part_said(const struct s3_change *c, struct ufs_part *part)
{
	struct s3_said said = c->said;
	struct ufs_stat st;

	s3_said_stat(&said, &st);
	if ((st.flags & UFS_WEAK) != 0)
		return ufs_fail(-EIO,
				"a part without an ETag that can be, "
				"from %s",
				c->op.s3->where);
	memcpy(part->etag, st.version, sizeof(part->etag));
	part->size = c->size;
	part->has_crc = c->has_crc || c->said.has_crc;
	part->crc = c->has_crc ? c->crc : c->said.crc;
	return 0;
}

static void name_part(struct s3_change *c, const char *id, unsigned number,
		      char text[static 12])
{
	snprintf(text, 12, "%u", number);
	s3_change_query(c, "partNumber", text);
	s3_change_query(c, "uploadId", id);
	c->needs_etag = true;
}

int s3_upload_part(struct ufs *u, struct str key, const char *id,
		   const struct ufs_body *body, struct ufs_part *part,
		   struct cancel *cancel)
{
	struct s3 *s3 = s3_of(u);
	struct s3_change c;
	char number[12];
	int r;

	if (body->size > S3_PART_MOST || part->number > S3_PARTS)
		return -EFBIG;
	s3_change_init(&c, s3, HTTP_PUT, key, STAT_store_put, cancel);
	name_part(&c, id, part->number, number);
	c.op.http.absent = -ENOLINK;
	r = s3_change_body(&c, body);
	if (r == 0)
		r = s3_change_run(&c);
	if (r == 0)
		r = part_said(&c, part);
	s3_change_fini(&c);
	return r;
}

static int copies_wrongly(struct s3 *s3)
{
	return ufs_fail(-EOPNOTSUPP, "copied parts have wrong checksums at %s",
			s3->where);
}

/*
 * versitygw 1.8.0 takes the checksum of the whole source for that of a range
 * of it, and makes the object's of that: an object which then seems to have
 * the wrong bytes to everybody who compares. Seen once, such a part is not
 * taken, and nothing is copied in parts any more.
 */
static int check_copied(struct s3 *s3, struct str from,
			const struct ufs_part *part, struct cancel *cancel)
{
	struct s3_said source;

	if (!part->has_crc || atomic_load(&s3->copied) == COPIED_RIGHT ||
	    s3_look(s3, from, &source, cancel) < 0 || !source.has_crc ||
	    source.size == part->size)
		return 0;
	if (source.crc != part->crc) {
		atomic_store(&s3->copied, COPIED_RIGHT);
		return 0;
	}
	if (atomic_exchange(&s3->copied, COPIED_WRONG) != COPIED_WRONG)
		log_warn("ufs: %s tells wrong checksums of copied parts: "
			 "what did not change in a file is sent again",
			 s3->where);
	return copies_wrongly(s3);
}

/*
 * MinIO (2025-09) copies nothing into an upload that is to have checksums, and
 * calls that an invalid argument. What is sent is confirmed by them: they are
 * worth more.
 */
static bool copy_refused(const struct s3_change *c)
{
	const char *code = c->op.http.code;

	return strcmp(code, "InvalidArgument") == 0 ||
	       strcmp(code, "InvalidRequest") == 0;
}

int s3_upload_copy(struct ufs *u, struct str key, const char *id,
		   struct str from, const char *version, uint64_t off,
		   uint64_t len, struct ufs_part *part, struct cancel *cancel)
{
	struct s3 *s3 = s3_of(u);
	struct s3_source source = { 0 };
	struct ufs_part copied = *part;
	struct s3_change c;
	char number[12], range[64];
	int r;

	if (len == 0 || off > INT64_MAX - len)
		return -EINVAL;
	if (len > S3_PART_MOST || part->number > S3_PARTS)
		return -EFBIG;
	if (atomic_load(&s3->copied) == COPIED_WRONG)
		return copies_wrongly(s3);
	s3_change_init(&c, s3, HTTP_PUT, key, STAT_store_copy, cancel);
	name_part(&c, id, part->number, number);
	snprintf(range, sizeof(range), "bytes=%ju-%ju", (uintmax_t)off,
		 (uintmax_t)(off + len - 1));
	s3_change_header(&c, "x-amz-copy-source-range", range);
	c.root = "CopyPartResult";
	c.size = len;
	r = s3_source_init(&source, &c, from, version);
	if (r == 0)
		r = s3_change_run(&c);
	if (r == -EIO && copy_refused(&c))
		r = ufs_fail(-EOPNOTSUPP, "%s copies no parts: %s", s3->where,
			     c.op.http.code);
	if (r == 0)
		r = part_said(&c, &copied);
	if (r == 0)
		r = check_copied(s3, from, &copied, cancel);
	if (r == 0)
		*part = copied;
	s3_source_fini(&source);
	s3_change_fini(&c);
	return r;
}

static void add_xml(struct text *t, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '&')
			text_adds(t, "&amp;");
		else if (*s == '<')
			text_adds(t, "&lt;");
		else if (*s == '>')
			text_adds(t, "&gt;");
		else
			text_add(t, s, 1);
	}
}

static void list_parts(struct text *t, const struct ufs_part *parts, size_t n,
		       bool checksums)
{
	char crc[CHECKSUM_CRC64_TEXT];

	text_adds(t, "<CompleteMultipartUpload "
		     "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < n; i++) {
		text_addf(t, "<Part><PartNumber>%u</PartNumber><ETag>\"",
			  parts[i].number);
		add_xml(t, parts[i].etag);
		text_adds(t, "\"</ETag>");
		if (parts[i].has_crc && checksums) {
			checksum_write_crc64(parts[i].crc, crc);
			text_addf(t,
				  "<ChecksumCRC64NVME>%s</ChecksumCRC64NVME>",
				  crc);
		}
		text_adds(t, "</Part>");
	}
	text_adds(t, "</CompleteMultipartUpload>");
}

static int text_read(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct text *t = arg;

	memcpy(buf, t->p + off, len);
	return 0;
}

int s3_upload_end(struct ufs *u, struct str key, const char *id,
		  const struct ufs_part *parts, size_t n,
		  const struct ufs_cond *cond, struct ufs_stat *out,
		  struct cancel *cancel)
{
	struct s3 *s3 = s3_of(u);
	struct text doc = { 0 };
	struct ufs_body body = { .arg = &doc, .read = text_read };
	struct s3_change c;
	char hash[65];
	int r;

	if (n == 0)
		return -EINVAL;
	if (n > S3_PARTS)
		return -EFBIG;
	list_parts(&doc, parts, n, !atomic_load(&s3->no_checksums));
	if (doc.failed)
		return -ENOMEM;
	s3_change_init(&c, s3, HTTP_POST, key, STAT_store_put, cancel);
	s3_change_query(&c, "uploadId", id);
	c.root = "CompleteMultipartUploadResult";
	c.needs_etag = true;
	c.op.http.absent = -ENOLINK;
	c.op.http.patient = true;
	c.op.http.body = &body;
	body.size = doc.n;
	s3_change_parts(&c, parts, n);
	if (c.has_crc) {
		s3_change_header(&c, "x-amz-checksum-type", "FULL_OBJECT");
		s3_change_header(&c, "x-amz-checksum-crc64nvme", c.crc_text);
	}
	r = c.size > S3_OBJECT_MOST ? -EFBIG
				    : sigv4_body_hash(doc.p, doc.n, hash);
	c.op.body_hash = hash;
	if (r == 0)
		r = s3_change_cond(&c, cond);
	if (r == 0)
		r = s3_change_make(&c, out);
	s3_change_fini(&c);
	text_fini(&doc);
	return r;
}

int s3_upload_abort(struct ufs *u, struct str key, const char *id,
		    struct cancel *cancel)
{
	struct s3_change c;
	int r;

	s3_change_init(&c, s3_of(u), HTTP_DELETE, key, STAT_store_delete,
		       cancel);
	s3_change_short(&c);
	s3_change_query(&c, "uploadId", id);
	c.op.http.absent = -ENOLINK;
	r = s3_change_run(&c);
	s3_change_fini(&c);
	return r == -ENOLINK ? 0 : r;
}

struct uploads {
	struct s3_change c;
	struct s3_uploads page;
};

static int parse_uploads(struct s3_change *c)
{
	struct uploads *l = container_of(c, struct uploads, c);
	int r;

	s3_uploads_fini(&l->page);
	r = s3_uploads_parse(c->answer.p != NULL ? c->answer.p : "",
			     c->answer.n, &l->page);
	return r == -EBADMSG ? HTTP_WRONG : r;
}

struct search {
	struct s3 *s3;
	char *prefix; /* the mount's, and what is asked below it; owned */
};

/* Where the next page begins; key is NULL for the first. */
struct marker {
	char *key, *id;
	size_t n;
};

static int list_page(const struct search *s, const struct marker *from,
		     struct s3_uploads *out, struct cancel *cancel)
{
	struct s3 *s3 = s->s3;
	struct uploads l;
	int r;

	memset(&l.page, 0, sizeof(l.page));
	s3_change_init(&l.c, s3, HTTP_GET, (struct str){ NULL, 0 },
		       STAT_store_list, cancel);
	l.c.op.http.total_timeout = s3->metadata_timeout;
	l.c.op.http.idle_timeout = 0;
	l.c.parse = parse_uploads;
	l.c.most = UPLOADS_ANSWER_MAX;
	s3_change_query(&l.c, "uploads", "");
	s3_change_query(&l.c, "encoding-type", "url");
	s3_change_query(&l.c, "max-uploads", "1000");
	if (*s->prefix != '\0')
		s3_change_query(&l.c, "prefix", s->prefix);
	if (from->key != NULL) {
		s3_change_query(&l.c, "key-marker", "");
		l.c.query[l.c.op.nquery - 1].value =
		    (struct str){ from->key, from->n };
		if (*from->id != '\0')
			s3_change_query(&l.c, "upload-id-marker", from->id);
	}
	r = s3_run(&l.c.op);
	if (r == 0)
		*out = l.page;
	else
		s3_uploads_fini(&l.page);
	s3_change_fini(&l.c);
	return r;
}

/* What belongs to the mount, relative to it. */
static int give(const struct search *s, const struct s3_uploads *page,
		ufs_upload_cb *cb, void *arg)
{
	struct str prefix = str_of(s->s3->ufs.prefix);

	for (size_t i = 0; i < page->n; i++) {
		const struct s3_upload_entry *e = &page->entry[i];
		struct str key = { page->bytes + e->key, e->n };
		struct ufs_upload up = { .id = page->bytes + e->id,
					 .begun = ufs_mtime(e->seconds, 0) };
		int r;

		if (!str_starts(key, str_of(s->prefix)) || key.n == prefix.n)
			continue;
		up.key = (struct str){ key.p + prefix.n, key.n - prefix.n };
		r = cb(arg, &up);
		if (r != 0)
			return r;
	}
	return 0;
}

/* The page goes on behind itself: so a listing has an end. */
static bool goes_on(const struct marker *from, const struct s3_uploads *page)
{
	int r;

	if (from->key == NULL)
		return true;
	r = str_cmp((struct str){ page->next_key, page->next_key_n },
		    (struct str){ from->key, from->n });
	return r > 0 || (r == 0 && strcmp(page->next_id, from->id) != 0);
}

static int list(const struct search *s, ufs_upload_cb *cb, void *arg,
		struct cancel *cancel)
{
	struct marker from = { NULL, NULL, 0 };
	struct s3_uploads page;
	bool more = true;
	int r = 0;

	for (unsigned pages = 0; r == 0 && more; pages++) {
		r = list_page(s, &from, &page, cancel);
		if (r < 0)
			break;
		more = page.next_key != NULL;
		if (more && (pages >= PAGES_MAX || !goes_on(&from, &page))) {
			stat_inc(STAT_store_bad_answers);
			r = ufs_fail(-EIO,
				     "a listing that goes round in circles, "
				     "from %s",
				     s->s3->where);
		}
		if (r == 0)
			r = give(s, &page, cb, arg);
		free(from.key);
		free(from.id);
		from = (struct marker){ page.next_key, page.next_id,
					page.next_key_n };
		page.next_key = page.next_id = NULL;
		s3_uploads_fini(&page);
	}
	free(from.key);
	free(from.id);
	return r;
}

int s3_upload_list(struct ufs *u, struct str below, ufs_upload_cb *cb,
		   void *arg, struct cancel *cancel)
{
	struct search s = { .s3 = s3_of(u) };
	int r;

	if (asprintf(&s.prefix, "%s%.*s", u->prefix, (int)below.n, below.p) < 0)
		return -ENOMEM;
	r = list(&s, cb, arg, cancel);
	free(s.prefix);
	return r;
}

/*
 * Tries whose answer was lost may have begun uploads, too, of which nobody has
 * the id. They are not younger than ours, by the store's clock, nor older than
 * the first try.
 */
struct twins {
	struct ufs *ufs;
	struct str key;
	const char *own;
	int64_t begun, since;
	struct cancel *cancel;
};

static int find_own(void *arg, const struct ufs_upload *up)
{
	struct twins *t = arg;

	if (!str_eq(up->key, t->key) || strcmp(up->id, t->own) != 0)
		return 0;
	t->begun = up->begun;
	return 1;
}

static int drop_twin(void *arg, const struct ufs_upload *up)
{
	const struct twins *t = arg;

	if (!str_eq(up->key, t->key) || strcmp(up->id, t->own) == 0 ||
	    up->begun > t->begun || up->begun < t->since)
		return 0;
	return s3_upload_abort(t->ufs, up->key, up->id, t->cancel);
}

/* As far as the store lets us: what is left is for its lifecycle rules. */
static void drop_twins(struct ufs *u, struct str key, const char *own,
		       int64_t start, struct cancel *cancel)
{
	struct twins t = { .ufs = u, .key = key, .own = own, .cancel = cancel };

	if (s3_upload_list(u, key, find_own, &t, cancel) != 1)
		return;
	/* It tells whole seconds. */
	t.since = t.begun - (clock_ns() - start) - NSEC_PER_SEC;
	(void)s3_upload_list(u, key, drop_twin, &t, cancel);
}

int s3_upload_begin(struct ufs *u, struct str key, char **id,
		    struct cancel *cancel)
{
	struct s3 *s3 = s3_of(u);
	int64_t start = clock_ns();
	struct s3_change c;
	bool lost;
	int r;

	if (!s3_key_ok(s3, key))
		return -ENAMETOOLONG;
	s3_change_init(&c, s3, HTTP_POST, key, STAT_store_put, cancel);
	s3_change_short(&c);
	s3_change_query(&c, "uploads", "");
	s3_change_header(&c, "x-amz-checksum-algorithm", "CRC64NVME");
	s3_change_header(&c, "x-amz-checksum-type", "FULL_OBJECT");
	c.root = "InitiateMultipartUploadResult";
	r = s3_change_run(&c);
	if (r == 0 && (c.result.upload == NULL || *c.result.upload == '\0'))
		r = ufs_fail(-EIO, "an upload without an id, from %s",
			     s3->where);
	if (r == 0)
		*id = take_ptr(c.result.upload);
	lost = c.op.http.lost;
	s3_change_fini(&c);
	if (r == 0 && lost)
		drop_twins(u, key, *id, start, cancel);
	return r;
}
