/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_change.c - what the changes of an S3 store have in common
 *
 * Bytes are covered from one end to the other. They are summed up before they
 * are sent (CRC64NVME, which AWS keeps of every object) and again while they
 * are sent: what became others in between never gets there whole. The store
 * sums up what it received and refuses it when that differs (BadDigest). Its
 * answer says what it keeps: that is compared, too. Of a store that says
 * nothing of a checksum the ETag is taken, where it is an MD5 and the body so
 * small that an MD5 costs little: once one was seen to be that, it is taken
 * while the body is sent, which may not be there any more after that; else the
 * mount's log says once that nothing is confirmed. Whatever differs is sent
 * once more, then it is an error.
 *
 * A time is wanted of what was written, and PUT answers have none: it is
 * their Date, which is a second or so from what a HEAD would tell for a
 * request more (some servers' Date is as old as that).
 */
#include "ufs/s3_change.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ufs/s3_answer.h"
#include "ufs/s3_xml.h"

#define PIECE KIB(256)
#define ANSWER_MAX KIB(64)
#define MD5_CHEAP MIB(16) /* 22 ms */

static struct s3_change *of(struct http_op *http)
{
	return container_of(container_of(http, struct s3_op, http),
			    struct s3_change, op);
}

/* What the head of an answer says. */

static void note_crc(struct s3_said *said, const char *text, const char *type)
{
	if (text != NULL && *text != '\0' &&
	    (type == NULL || strcmp(type, "COMPOSITE") != 0))
		said->has_crc = checksum_read_crc64(text, &said->crc);
}

static int change_head(struct http_op *http, const struct http_answer *a)
{
	struct s3_change *c = of(http);
	struct s3_said *said = &c->said;
	const char *etag = http_header(a, "etag");
	const char *class = http_header(a, "x-amz-storage-class");
	const char *when = http_header(a, "last-modified");

	text_clear(&c->answer);
	memset(said, 0, sizeof(*said));
	if (etag != NULL && strlen(etag) < sizeof(said->etag))
		memcpy(said->etag, etag, strlen(etag) + 1);
	if (class != NULL)
		snprintf(said->class, sizeof(said->class), "%s", class);
	if (when == NULL)
		when = http_header(a, "date");
	if (when == NULL || !http_date(when, &said->seconds))
		said->seconds = 0;
	said->seconds = MAX(said->seconds, 0);
	note_crc(said, http_header(a, "x-amz-checksum-crc64nvme"),
		 http_header(a, "x-amz-checksum-type"));
	said->has_md5 = checksum_etag_md5(a, said->md5);
	if (http->method != HTTP_HEAD)
		return 0;
	if (!a->length_known)
		return ufs_fail(-EIO, "a HEAD without a length, from %s",
				c->op.s3->where);
	said->size = a->length;
	return 0;
}

static int change_data(struct http_op *http, const void *p, size_t n)
{
	struct s3_change *c = of(http);

	if (c->root == NULL && c->parse == NULL)
		return http->method == HTTP_HEAD || http->got > ANSWER_MAX
			   ? HTTP_WRONG
			   : 0;
	if (n > c->most - c->answer.n)
		return HTTP_WRONG;
	text_add(&c->answer, p, n);
	return c->answer.failed ? -ENOMEM : 0;
}

/* The status of an error that came behind a 200. */
static int status_of(const char *code)
{
	static const struct {
		const char *code;
		int status;
	} known[] = {
		{ "PreconditionFailed", 412 },
		{ "NoSuchUpload", 404 },
		{ "NoSuchKey", 404 },
		{ "NoSuchBucket", 404 },
		{ "ConditionalRequestConflict", 409 },
		{ "OperationAborted", 409 },
		{ "AccessDenied", 403 },
		{ "SlowDown", 503 },
		{ "ServiceUnavailable", 503 },
		{ "NotImplemented", 501 },
		{ "EntityTooLarge", 400 },
		{ "EntityTooSmall", 400 },
		{ "InvalidPart", 400 },
		{ "InvalidPartOrder", 400 },
		{ "InvalidRequest", 400 },
		{ "InvalidArgument", 400 },
		{ "MalformedXML", 400 },
		{ "BadDigest", 400 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(code, known[i].code) == 0)
			return known[i].status;
	return 500;
}

static int parse_result(struct s3_change *c)
{
	struct s3_error e;
	int r = s3_result_parse(c->answer.p != NULL ? c->answer.p : "",
				c->answer.n, c->root, &c->result);

	if (r == -EPROTO) {
		if (!s3_error_parse(c->answer.p, c->answer.n, &e))
			return -ENOMEM;
		c->op.http.said = status_of(e.code);
		return HTTP_REFUSED;
	}
	if (r == -EBADMSG)
		return HTTP_WRONG;
	if (r < 0)
		return r;
	if (c->result.etag[0] != '\0')
		memcpy(c->said.etag, c->result.etag, sizeof(c->result.etag));
	if (c->result.seconds > 0)
		c->said.seconds = c->result.seconds;
	note_crc(&c->said, c->result.crc64, c->result.type);
	return 0;
}

/* Are they the bytes that were meant? */

static int md5_of(const struct ufs_body *body, struct cancel *cancel,
		  unsigned char out[16])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	AUTO_FREE char *buf = malloc(PIECE);
	int r = md == NULL || buf == NULL ? -ENOMEM : 0;

	/* A system in FIPS mode has no MD5. */
	if (r == 0 && EVP_DigestInit_ex(md, EVP_md5(), NULL) != 1)
		r = -EOPNOTSUPP;
	for (uint64_t at = 0; r == 0 && at < body->size; at += PIECE) {
		size_t n = MIN(PIECE, body->size - at);

		r = cancelled(cancel) ? -ECANCELED
				      : body->read(body->arg, at, buf, n);
		if (r == 0)
			EVP_DigestUpdate(md, buf, n);
	}
	if (r == 0)
		EVP_DigestFinal_ex(md, out, NULL);
	EVP_MD_CTX_free(md);
	return r;
}

/* Of what was sent. */
static int md5_sent(struct s3_change *c, unsigned char out[16])
{
	if (!c->has_md5)
		return md5_of(c->body, c->op.http.cancel, out);
	memcpy(out, c->md5, sizeof(c->md5));
	return 0;
}

static int digested_read(void *arg, uint64_t off, void *buf, size_t len)
{
	struct s3_change *c = arg;
	int r = c->under->read(c->under->arg, off, buf, len);

	/* All tries send the same. */
	if (r != 0 || c->has_md5)
		return r;
	if (off == 0) {
		c->md_at = 0;
		EVP_DigestInit_ex(c->md, NULL, NULL);
	}
	if (off != c->md_at)
		return 0;
	EVP_DigestUpdate(c->md, buf, len);
	c->md_at += len;
	if (c->md_at == c->size)
		c->has_md5 = EVP_DigestFinal_ex(c->md, c->md5, NULL) == 1;
	return 0;
}

/* The store's answer, or a look at what it has, is to be compared with it. */
static void digest(struct s3_change *c)
{
	if (atomic_load(&c->op.s3->etags) != MD5_YES || c->size > MD5_CHEAP)
		return;
	c->md = EVP_MD_CTX_new();
	/* A system in FIPS mode has no MD5. */
	if (c->md == NULL || EVP_DigestInit_ex(c->md, EVP_md5(), NULL) != 1)
		return;
	c->under = c->op.http.body;
	c->digested = (struct ufs_body){ .arg = c,
					 .size = c->size,
					 .read = digested_read };
	c->op.http.body = &c->digested;
}

/* The ETag of an upload, as S3 makes it of its parts' if they are MD5s. */
static bool is_etag_of_parts(const struct s3_change *c, const char *etag)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char sum[EVP_MAX_MD_SIZE], part[16];
	char want[64] = "\"";
	bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_md5(), NULL) == 1;

	for (size_t i = 0; ok && i < c->nparts; i++) {
		ok = checksum_read_md5(c->parts[i].etag, part);
		if (ok)
			EVP_DigestUpdate(md, part, sizeof(part));
	}
	if (ok)
		ok = EVP_DigestFinal_ex(md, sum, NULL) == 1;
	EVP_MD_CTX_free(md);
	for (size_t i = 0; ok && i < 16; i++)
		snprintf(want + 1 + 2 * i, 3, "%02x", sum[i]);
	snprintf(want + 33, sizeof(want) - 33, "-%zu\"", c->nparts);
	return ok && strcmp(etag, want) == 0;
}

static void say_unconfirmed(struct s3 *s3)
{
	if (!atomic_exchange(&s3->unconfirmed_said, true))
		log_warn("ufs: %s does not say the checksum of what is "
			 "written: that it has the right bytes is not "
			 "confirmed",
			 s3->where);
}

/*
 * It has others. The next try is to replace these, which are our own, and
 * nothing that anybody else wrote since.
 */
static int send_again(struct s3_change *c)
{
	if (c->cond != NULL && c->said.etag[0] != '\0') {
		snprintf(c->cond_text, sizeof(c->cond_text), "%s",
			 c->said.etag);
		*c->cond = (struct s3_header){ "if-match", c->cond_text };
		c->op.http.if_absent = false;
	}
	return HTTP_WRONG;
}

static int other_bytes(struct s3_change *c)
{
	stat_inc(STAT_store_checksum_errors);
	log_warn("ufs: write %s of %s: the store has other bytes than were "
		 "sent",
		 c->op.http.path, c->op.s3->where);
	if (c->differed++ == 0)
		return send_again(c);
	return ufs_fail(-EIO, "other bytes than were sent, at %s",
			c->op.s3->where);
}

/*
 * An ETag that looks like an MD5 is none at some stores. Until one was seen
 * to be one, the second that is another means that.
 */
static int confirm_by_etag(struct s3_change *c)
{
	struct s3 *s3 = c->op.s3;
	unsigned char md5[16];
	int etags = atomic_load(&s3->etags), r;

	if (!c->said.has_md5 || etags == MD5_NO || c->size > MD5_CHEAP)
		r = -EOPNOTSUPP;
	else
		r = md5_sent(c, md5);
	/* They are others by now: what was sent cannot be summed any more. */
	if (r == -EAGAIN)
		return 0;
	if (r == -EOPNOTSUPP) {
		say_unconfirmed(s3);
		return 0;
	}
	if (r < 0)
		return r;
	if (memcmp(md5, c->said.md5, sizeof(md5)) == 0) {
		atomic_store(&s3->etags, MD5_YES);
		stat_inc(STAT_store_verified);
		return 0;
	}
	if (etags == MD5_YES)
		return other_bytes(c);
	if (!c->doubted) {
		c->doubted = true;
		return send_again(c);
	}
	atomic_store(&s3->etags, MD5_NO);
	say_unconfirmed(s3);
	return 0;
}

static int confirm(struct s3_change *c)
{
	if (c->has_crc && c->said.has_crc) {
		if (c->said.crc != c->crc)
			return other_bytes(c);
		stat_inc(STAT_store_verified);
	} else if (c->body != NULL) {
		return confirm_by_etag(c);
	} else if (c->parts != NULL) {
		if (is_etag_of_parts(c, c->said.etag))
			stat_inc(STAT_store_verified);
		else
			say_unconfirmed(c->op.s3);
	}
	return 0;
}

static int change_done(struct http_op *http)
{
	struct s3_change *c = of(http);
	int r = 0;

	if (c->parse != NULL)
		r = c->parse(c);
	else if (c->root != NULL)
		r = parse_result(c);
	if (r != 0)
		return r;
	if (c->needs_etag && c->said.etag[0] == '\0')
		return HTTP_WRONG;
	return confirm(c);
}

static enum http_next change_failed(struct http_op *http,
				    const struct http_answer *a)
{
	struct s3_change *c = of(http);
	struct http_answer b = *a;

	if (http->said != 0) {
		b.body = c->answer.p;
		b.body_n = c->answer.n;
	}
	return s3_failed(http, &b);
}

static const struct http_ops change_ops = {
	.make = s3_make,
	.failed = change_failed,
	.head = change_head,
	.data = change_data,
	.done = change_done,
};

void s3_change_init(struct s3_change *c, struct s3 *s3, enum http_method method,
		    struct str key, enum stat_id count, struct cancel *cancel)
{
	memset(c, 0, sizeof(*c));
	s3_op_init(&c->op, s3, cancel);
	c->op.http.ops = &change_ops;
	c->op.http.method = method;
	c->op.http.count = count;
	c->op.http.idle_timeout = s3->commit_timeout;
	c->op.http.absent = -EIO;
	c->op.key = key;
	c->op.extra = c->header;
	c->op.query = c->query;
	c->most = ANSWER_MAX;
}

void s3_change_fini(struct s3_change *c)
{
	EVP_MD_CTX_free(c->md);
	text_fini(&c->answer);
	s3_result_fini(&c->result);
}

void s3_change_header(struct s3_change *c, const char *name, const char *value)
{
	c->header[c->op.nextra++] = (struct s3_header){ name, value };
}

void s3_change_query(struct s3_change *c, const char *name, const char *value)
{
	c->query[c->op.nquery++] =
	    (struct sigv4_pair){ str_of(name), str_of(value) };
}

void s3_change_short(struct s3_change *c)
{
	c->op.http.total_timeout = c->op.http.idle_timeout;
	c->op.http.idle_timeout = 0;
}

/* It is still this one: as good as it gets without If-Match. */
static int check_weak(struct s3_change *c, const char *version)
{
	struct s3 *s3 = c->op.s3;
	struct ufs_stat st;
	int r = s3_stat(&s3->ufs, c->op.key, &st, c->op.http.cancel);

	if (r == 0 && strcmp(st.version, version) == 0)
		return 0;
	if (r == 0 || r == -ENOENT)
		return ufs_fail(-ESTALE, "another version, at %s", s3->where);
	return r;
}

int s3_change_cond(struct s3_change *c, const struct ufs_cond *cond)
{
	const char *name = "if-match";

	switch (cond->what) {
	case UFS_IF_ANY:
		return 0;
	case UFS_IF_ABSENT:
		name = "if-none-match";
		snprintf(c->cond_text, sizeof(c->cond_text), "*");
		c->op.http.if_absent = true;
		break;
	case UFS_IF_VERSION:
		c->op.http.absent = -ESTALE;
		if (cond->version[0] == '~')
			return check_weak(c, cond->version);
		snprintf(c->cond_text, sizeof(c->cond_text), "\"%s\"",
			 cond->version);
		break;
	}
	c->cond = &c->header[c->op.nextra];
	s3_change_header(c, name, c->cond_text);
	return 0;
}

static int checked_read(void *arg, uint64_t off, void *buf, size_t len)
{
	struct s3_change *c = arg;
	int r = c->body->read(c->body->arg, off, buf, len);

	if (r != 0)
		return r;
	if (off == 0)
		c->at = c->running = 0;
	c->running = crc_update(CRC_64NVME, c->running, buf, len);
	c->at += len;
	if (c->at < c->size || c->running == c->crc)
		return 0;
	stat_inc(STAT_store_checksum_errors);
	if (c->changed++ == 0)
		return HTTP_WRONG;
	return ufs_fail(-EIO, "the bytes to be sent are not those that they "
			      "were");
}

static int sum_up(struct s3_change *c)
{
	const struct ufs_body *body = c->body;
	AUTO_FREE char *buf = malloc(MAX(MIN(PIECE, body->size), 1));

	if (buf == NULL)
		return -ENOMEM;
	for (uint64_t at = 0; at < body->size; at += PIECE) {
		size_t n = MIN(PIECE, body->size - at);
		int r = cancelled(c->op.http.cancel)
			    ? -ECANCELED
			    : body->read(body->arg, at, buf, n);

		if (r < 0)
			return r;
		c->crc = crc_update(CRC_64NVME, c->crc, buf, n);
	}
	return 0;
}

int s3_change_body(struct s3_change *c, const struct ufs_body *body)
{
	int r;

	c->body = body;
	c->size = body->size;
	if (body->crc != NULL && body->crc(body->arg, &c->crc)) {
		c->op.http.body = body;
	} else {
		r = sum_up(c);
		if (r < 0)
			return r;
		c->checked = (struct ufs_body){ .arg = c,
						.size = body->size,
						.read = checked_read };
		c->op.http.body = &c->checked;
	}
	digest(c);
	c->has_crc = true;
	c->op.body_hash = "UNSIGNED-PAYLOAD";
	checksum_write_crc64(c->crc, c->crc_text);
	s3_change_header(c, "x-amz-sdk-checksum-algorithm", "CRC64NVME");
	s3_change_header(c, "x-amz-checksum-crc64nvme", c->crc_text);
	return 0;
}

void s3_change_parts(struct s3_change *c, const struct ufs_part *parts,
		     size_t n)
{
	c->parts = parts;
	c->nparts = n;
	c->has_crc = true;
	for (size_t i = 0; i < n; i++) {
		c->has_crc = c->has_crc && parts[i].has_crc;
		c->crc = crc_combine(CRC_64NVME, c->crc, parts[i].crc,
				     parts[i].size);
		c->size += parts[i].size;
	}
	if (c->has_crc)
		checksum_write_crc64(c->crc, c->crc_text);
}

/* The store knows nothing of such a checksum, and says so. */
static bool refuses_checksums(const struct s3_change *c, int r)
{
	static const char *const codes[] = {
		"NotImplemented",
		"InvalidRequest",
		"InvalidArgument",
	};
	bool sent = false;

	for (size_t i = 0; i < c->op.nextra; i++)
		sent = sent || strstr(c->op.extra[i].name, "checksum") != NULL;
	if (!sent || c->op.no_checksums || (r != -EIO && r != -EOPNOTSUPP))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (strcmp(c->op.http.code, codes[i]) == 0)
			return true;
	return false;
}

int s3_change_run(struct s3_change *c)
{
	struct s3 *s3 = c->op.s3;
	bool lost;
	int r;

	c->op.no_checksums = atomic_load(&s3->no_checksums);
	r = s3_run(&c->op);
	if (!refuses_checksums(c, r))
		return r;
	c->op.no_checksums = true;
	lost = c->op.http.lost;
	r = s3_run(&c->op);
	c->op.http.lost = c->op.http.lost || lost;
	if (r == 0 && !atomic_exchange(&s3->no_checksums, true))
		log_warn("ufs: %s takes no CRC64NVME: what is written is sent "
			 "without a checksum",
			 s3->where);
	return r;
}

/* The object is what this change makes of it. */
static bool is_ours(struct s3_change *c, const struct s3_said *said)
{
	unsigned char md5[16];

	if (said->size != c->size)
		return false;
	if (c->has_crc && said->has_crc)
		return said->crc == c->crc;
	if (c->parts != NULL)
		return is_etag_of_parts(c, said->etag);
	return c->body != NULL && said->has_md5 &&
	       atomic_load(&c->op.s3->etags) != MD5_NO &&
	       md5_sent(c, md5) == 0 &&
	       memcmp(md5, said->md5, sizeof(md5)) == 0;
}

/* It failed with r; an answer may have been lost. */
static int settle(struct s3_change *c, int r, struct s3_said *said)
{
	char words[256];
	bool ours;

	/* An upload that is gone may have ended well, long ago. */
	if ((!c->op.http.lost && r != -ENOLINK) || r == -ENOMEM)
		return r;
	snprintf(words, sizeof(words), "%s", ufs_last_error());
	/* Also who has cancelled it has to know what became of it. */
	if (r == -ECANCELED)
		c->op.http.cancel = NULL;
	ours = s3_look(c->op.s3, c->op.key, said, c->op.http.cancel) == 0 &&
	       is_ours(c, said);
	if (ours)
		return 0;
	/* Of an object that we ourselves made, wrongly. */
	if (c->differed > 0 && (r == -EEXIST || r == -ESTALE || r == -ENOLINK))
		r = -EIO;
	return ufs_fail(r, "%s", words);
}

int s3_change_make(struct s3_change *c, struct ufs_stat *out)
{
	struct s3 *s3 = c->op.s3;
	struct ufs_stat st;
	int r = s3_change_run(c);

	c->said.size = c->size;
	if (r < 0)
		r = settle(c, r, &c->said);
	if (r < 0)
		return r;
	atomic_store(&s3->bucket_missing, false);
	s3_said_stat(&c->said, out);
	/* Then the version is made of the time, to the second. */
	if ((out->flags & UFS_WEAK) != 0 &&
	    s3_stat(&s3->ufs, c->op.key, &st, c->op.http.cancel) == 0)
		*out = st;
	return 0;
}

int s3_look(struct s3 *s3, struct str key, struct s3_said *out,
	    struct cancel *cancel)
{
	struct s3_change c;
	int r;

	s3_change_init(&c, s3, HTTP_HEAD, key, STAT_store_head, cancel);
	c.op.http.total_timeout = s3->metadata_timeout;
	c.op.http.idle_timeout = 0;
	c.op.http.absent = -ENOENT;
	s3_change_header(&c, "x-amz-checksum-mode", "ENABLED");
	r = s3_run(&c.op);
	if (r == 0)
		*out = c.said;
	s3_change_fini(&c);
	return r;
}

void s3_said_stat(const struct s3_said *said, struct ufs_stat *out)
{
	memset(out, 0, sizeof(*out));
	out->size = said->size;
	out->mtime = ufs_mtime(said->seconds, 0);
	s3_version(said->etag[0] != '\0' ? said->etag : NULL, said->seconds,
		   out);
	/* What was just written is not archived yet. */
	s3_storage_class(said->class[0] != '\0' ? said->class : NULL, true,
			 out);
}
