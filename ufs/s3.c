/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3.c - S3 and what speaks like it, read: HEAD, GET, ListObjectsV2
 *
 * What is S3's own: what a version is, where the answer says it, and what a
 * page of a listing means. Requests and refusals are s3_request.c's, tries
 * and errno http.c's.
 *
 * A get is bound to one version from its first answer on: resumed tries ask
 * for it with If-Match, and an answer of another version is refused though
 * the store may have ignored that.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stats.h"
#include "ufs/s3_impl.h"
#include "ufs/s3_answer.h"

#define BUCKET_ASK_EVERY (60 * NSEC_PER_SEC)
#define BUCKET_ASK_MISSING (1 * NSEC_PER_SEC)

static struct s3_op *op_of(struct http_op *op)
{
	return container_of(op, struct s3_op, http);
}

/* The object that an answer is of; its size is in st already. */
static void stat_of(struct s3 *s3, const struct http_answer *a,
		    struct ufs_stat *st)
{
	s3_object(
	    &(struct s3_object_headers){
		.etag = http_header(a, "etag"),
		.modified = http_header(a, "last-modified"),
		.storage_class = http_header(a, "x-amz-storage-class"),
		.restore = http_header(a, "x-amz-restore"),
	    },
	    st);
	if ((st->flags & UFS_WEAK) != 0 &&
	    !__atomic_exchange_n(&s3->ufs.weak_versions_seen, true,
				 __ATOMIC_RELAXED))
		log_warn("ufs: %s gives no strong ETags: time and size stand "
			 "in for them, for this mount only",
			 s3->where);
}

void s3_op_init(struct s3_op *op, struct s3 *s3, struct cancel *cancel)
{
	memset(op, 0, sizeof(*op));
	op->s3 = s3;
	op->http.cancel = cancel;
	op->http.where = s3->where;
	op->http.path = "";
}

int s3_run(struct s3_op *op)
{
	int r = s3_path(op);

	if (r == 0)
		r = http_run(op->s3->http, &op->http);
	text_fini(&op->path);
	return r;
}

bool s3_key_ok(const struct s3 *s3, struct str key)
{
	return key.n > 0 && key.n + strlen(s3->ufs.prefix) <= UFS_KEY_MAX;
}

static int no_data(struct http_op *op, const void *p, size_t n)
{
	(void)op, (void)p, (void)n;
	return HTTP_WRONG; /* a HEAD has no body */
}

static int stat_head(struct http_op *http, const struct http_answer *a)
{
	struct s3_op *op = op_of(http);

	if (!a->length_known)
		return ufs_fail(-EIO, "a HEAD without a length, from %s",
				op->s3->where);
	op->st.size = a->length;
	stat_of(op->s3, a, &op->st);
	return 0;
}

static const struct http_ops stat_ops = {
	.make = s3_make,
	.failed = s3_failed,
	.head = stat_head,
	.data = no_data,
};

static int stat_once(struct s3 *s3, struct str key, struct ufs_stat *out,
		     struct cancel *cancel)
{
	struct s3_op op;
	int r;

	s3_op_init(&op, s3, cancel);
	op.http.ops = &stat_ops;
	op.http.method = HTTP_HEAD;
	op.http.count = STAT_store_head;
	op.http.total_timeout = s3->metadata_timeout;
	op.key = key;
	r = s3_run(&op);
	if (r == 0)
		*out = op.st;
	return r;
}

static int ignore_entry(void *arg, const struct ufs_entry *e)
{
	(void)arg, (void)e;
	return 0;
}

static int s3_list(struct ufs *u, const struct ufs_list *q, char **token,
		   ufs_entry_cb *cb, void *arg, struct cancel *cancel);

/*
 * A HEAD's 404 does not say whether the object or the whole bucket is gone:
 * a LIST does, asked now and then.
 */
static int absent_or_no_bucket(struct s3 *s3, struct cancel *cancel)
{
	bool missing = atomic_load(&s3->bucket_missing);
	int64_t every = missing ? BUCKET_ASK_MISSING : BUCKET_ASK_EVERY;
	int64_t asked = atomic_load(&s3->bucket_asked), now = clock_ns();
	struct ufs_list q = { .prefix = STR_EMPTY,
			      .after = STR_EMPTY,
			      .max = 1 };
	AUTO_FREE char *token = NULL;

	if ((asked == 0 || now - asked >= every) &&
	    atomic_compare_exchange_strong(&s3->bucket_asked, &asked, now)) {
		s3_list(&s3->ufs, &q, &token, ignore_entry, NULL, cancel);
		missing = atomic_load(&s3->bucket_missing);
	}
	if (missing)
		return ufs_fail(-EIO, "404 NoSuchBucket from %s", s3->where);
	return -ENOENT;
}

int s3_stat(struct ufs *u, struct str key, struct ufs_stat *out,
	    struct cancel *cancel)
{
	struct s3 *s3 = s3_of(u);
	int r;

	if (!s3_key_ok(s3, key))
		return -ENOENT;
	r = stat_once(s3, key, out, cancel);
	if (r == 0)
		atomic_store(&s3->bucket_missing, false);
	return r == -ENOENT ? absent_or_no_bucket(s3, cancel) : r;
}

static bool is_whole(const struct s3_op *op, const struct http_answer *a)
{
	return op->http.whole && op->http.got == 0 && a->status == 200;
}

static int get_head(struct http_op *http, const struct http_answer *a)
{
	struct s3_op *op = op_of(http);
	struct ufs_stat st = { 0 };

	if (a->status == 206)
		st.size = a->total;
	else if (a->length_known)
		st.size = a->length;
	else
		return HTTP_WRONG;
	stat_of(op->s3, a, &st);
	if (op->want != NULL && strcmp(op->want, st.version) != 0)
		return HTTP_WRONG;
	if (is_whole(op, a) &&
	    checksum_begin(&op->sum, a, atomic_load(&op->s3->etags) != MD5_NO) <
		0)
		return -ENOMEM;
	if (op->has_head)
		return 0;
	op->has_head = true;
	memcpy(op->bound, st.version, sizeof(op->bound));
	op->want = op->bound;
	return op->sink->head(op->sink->arg, &st);
}

static int get_data(struct http_op *http, const void *p, size_t n)
{
	struct s3_op *op = op_of(http);

	checksum_add(&op->sum, p, n);
	return op->sink->data(op->sink->arg, p, n);
}

/*
 * An ETag that looks like an MD5 is none at some stores. As long as none was
 * seen to be one, the same other MD5 twice means that; what the way here
 * spoils does not come out the same.
 */
enum etag_says { ETAG_WRONG, ETAG_DOUBTFUL, ETAG_NO_MD5 };

static enum etag_says ask_etag(struct s3_op *op)
{
	bool first = !op->has_odd;
	bool same =
	    !first && memcmp(op->odd, op->sum.got, sizeof(op->odd)) == 0;

	if (!op->sum.by_etag || atomic_load(&op->s3->etags) == MD5_YES)
		return ETAG_WRONG;
	memcpy(op->odd, op->sum.got, sizeof(op->odd));
	op->has_odd = true;
	if (!same)
		return first ? ETAG_DOUBTFUL : ETAG_WRONG;
	if (atomic_exchange(&op->s3->etags, MD5_NO) != MD5_NO)
		log_info("ufs: the ETags of %s look like MD5s but are none: "
			 "they are not compared with what is read",
			 op->s3->where);
	return ETAG_NO_MD5;
}

static int get_done(struct http_op *http)
{
	struct s3_op *op = op_of(http);
	enum etag_says says;
	int r;

	if (op->sum.kind == NULL)
		return 0;
	if (checksum_right(&op->sum)) {
		if (op->sum.by_etag)
			atomic_store(&op->s3->etags, MD5_YES);
		stat_inc(STAT_store_verified);
		return 0;
	}
	says = ask_etag(op);
	if (says == ETAG_NO_MD5)
		return 0;
	if (says == ETAG_WRONG) {
		stat_inc(STAT_store_checksum_errors);
		log_warn("ufs: read %s of %s: the bytes are not those of its "
			 "%s",
			 op->http.path, op->s3->where, checksum_name(&op->sum));
	}
	r = op->sink->again(op->sink->arg);
	return r == 0 ? HTTP_AFRESH : r;
}

static const struct http_ops get_ops = {
	.make = s3_make,
	.failed = s3_failed,
	.head = get_head,
	.data = get_data,
	.done = get_done,
};

/* 416: the object ends before off. Is that how it should be? */
static int get_beyond(struct s3 *s3, struct str key, const char *want,
		      uint64_t off, const struct ufs_sink *sink,
		      struct cancel *cancel)
{
	struct ufs_stat st;
	int r = stat_once(s3, key, &st, cancel);

	if (want != NULL && r == -ENOENT)
		return -ESTALE;
	if (r < 0)
		return r;
	if (want != NULL && strcmp(st.version, want) != 0)
		return ufs_fail(-ESTALE, "another version, from %s", s3->where);
	if (off < st.size)
		return ufs_fail(-EIO,
				"416 for a range within the object, from %s",
				s3->where);
	return sink->head(sink->arg, &st);
}

static int s3_get(struct ufs *u, struct str key, const char *want, uint64_t off,
		  uint64_t len, const struct ufs_sink *sink,
		  struct cancel *cancel)
{
	struct s3 *s3 = s3_of(u);
	struct s3_op op;
	int r;

	if (!s3_key_ok(s3, key))
		return want != NULL ? -ESTALE : -ENOENT;
	if (off >= INT64_MAX || len == 0)
		return get_beyond(s3, key, want, UINT64_MAX, sink, cancel);
	s3_op_init(&op, s3, cancel);
	op.http.ops = &get_ops;
	op.http.method = HTTP_GET;
	op.http.count = STAT_store_get;
	op.http.idle_timeout = s3->read_timeout;
	op.http.ranged = true;
	op.http.versioned = want != NULL;
	op.http.off = off;
	op.http.len = MIN(len, INT64_MAX - off);
	op.http.whole = sink->again != NULL && off == 0 && want != NULL;
	op.key = key;
	op.want = want;
	op.sink = sink;
	r = s3_run(&op);
	checksum_fini(&op.sum);
	if (r < 0 && op.beyond && !op.has_head)
		return get_beyond(s3, key, want, off, sink, cancel);
	return r;
}

struct list_op {
	struct s3_op op;
	struct s3_list_parser *parser;
	const struct s3_page *page;
};

static struct list_op *list_of(struct http_op *http)
{
	return container_of(op_of(http), struct list_op, op);
}

static int list_error(int r)
{
	return r == -EBADMSG ? HTTP_WRONG : r == -EPROTO ? -EIO : r;
}

static int list_head(struct http_op *http, const struct http_answer *a)
{
	struct list_op *l = list_of(http);

	(void)a;
	s3_list_free(l->parser);
	l->parser = NULL;
	return s3_list_new(&l->parser);
}

static int list_data(struct http_op *http, const void *p, size_t n)
{
	return list_error(s3_list_feed(list_of(http)->parser, p, n));
}

static int list_done(struct http_op *http)
{
	struct list_op *l = list_of(http);

	return list_error(s3_list_end(l->parser, &l->page));
}

static const struct http_ops list_ops = {
	.make = s3_make,
	.failed = s3_failed,
	.head = list_head,
	.data = list_data,
	.done = list_done,
};

/*
 * Our token is the store's with two numbers before it: how many pages there
 * were, and the hash of a token that is remembered. The remembered one is
 * replaced at every power of two pages (Brent), so any circle of tokens is
 * noticed within three times its length.
 */
static uint64_t token_hash(const char *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h;
}

static const char *token_read(const char *token, uint64_t *pages,
			      uint64_t *seen)
{
	char *end;

	*pages = *seen = 0;
	if (token == NULL)
		return NULL;
	*pages = strtoull(token, &end, 16);
	*seen = strtoull(end + 1, &end, 16);
	return end + 1;
}

static int token_next(const char *next, uint64_t pages, uint64_t seen,
		      char **out)
{
	uint64_t hash = token_hash(next);

	if (pages > 0 && hash == seen)
		return -EIO;
	pages++;
	if ((pages & (pages - 1)) == 0)
		seen = hash;
	return asprintf(out, "%jx.%jx.%s", (uintmax_t)pages, (uintmax_t)seen,
			next) < 0
		   ? -ENOMEM
		   : 0;
}

static int list_page(struct s3 *s3, struct list_op *l, const struct ufs_list *q,
		     struct str prefix, char **token, ufs_entry_cb *cb,
		     void *arg)
{
	AUTO_FREE char *next = NULL;
	uint64_t pages, seen;
	int r;

	token_read(*token, &pages, &seen);
	r = s3_run(&l->op);
	/* Only a bucket can be absent, or this is no S3. */
	if (r == -ENOENT)
		r = -EIO;
	if (r < 0)
		return r;
	atomic_store(&s3->bucket_missing, false);
	for (size_t i = 0; i < l->page->n; i++) {
		if (s3_entry_right(l->page, &l->page->entry[i], prefix,
				   q->deep))
			continue;
		stat_inc(STAT_store_bad_answers);
		return ufs_fail(-EIO,
				"a listing of keys that were not asked for, "
				"from %s",
				s3->where);
	}
	if (l->page->token != NULL)
		r = token_next(l->page->token, pages, seen, &next);
	if (r == -EIO) {
		stat_inc(STAT_store_bad_answers);
		ufs_fail(r, "a listing that goes round in circles, from %s",
			 s3->where);
	}
	if (r < 0)
		return r;
	if (l->page->unusable > 0)
		log_warn("ufs: %s: %zu entries of a listing have no size that "
			 "can be",
			 s3->where, l->page->unusable);
	r = s3_page_give(l->page, s3->ufs.prefix, q->after, cb, arg);
	if (r == 0) {
		free(*token);
		*token = take_ptr(next);
	}
	return r;
}

static int s3_list(struct ufs *u, const struct ufs_list *q, char **token,
		   ufs_entry_cb *cb, void *arg, struct cancel *cancel)
{
	struct s3 *s3 = s3_of(u);
	struct text prefix = { 0 }, after = { 0 };
	struct sigv4_pair query[8];
	struct list_op l = { 0 };
	uint64_t pages, seen;
	const char *their = token_read(*token, &pages, &seen);
	char max[16];
	size_t n = 0;
	int r;

	if (q->max == 0 || q->max > 1000)
		return -EINVAL;
	snprintf(max, sizeof(max), "%u", q->max);
	text_adds(&prefix, u->prefix);
	text_add(&prefix, q->prefix.p, q->prefix.n);
	query[n++] = (struct sigv4_pair){ str_of("list-type"), str_of("2") };
	query[n++] =
	    (struct sigv4_pair){ str_of("encoding-type"), str_of("url") };
	query[n++] = (struct sigv4_pair){ str_of("max-keys"), str_of(max) };
	if (prefix.n > 0)
		query[n++] = (struct sigv4_pair){ str_of("prefix"),
						  { prefix.p, prefix.n } };
	if (!q->deep)
		query[n++] =
		    (struct sigv4_pair){ str_of("delimiter"), str_of("/") };
	if (q->after.n > 0 && their == NULL) {
		text_adds(&after, u->prefix);
		text_add(&after, q->after.p, q->after.n);
		query[n++] = (struct sigv4_pair){ str_of("start-after"),
						  { after.p, after.n } };
	}
	if (their != NULL)
		query[n++] = (struct sigv4_pair){ str_of("continuation-token"),
						  str_of(their) };
	s3_op_init(&l.op, s3, cancel);
	l.op.http.ops = &list_ops;
	l.op.http.method = HTTP_GET;
	l.op.http.count = STAT_store_list;
	l.op.http.total_timeout = s3->metadata_timeout;
	l.op.query = query;
	l.op.nquery = n;
	r = prefix.failed || after.failed
		? -ENOMEM
		: list_page(s3, &l, q, (struct str){ prefix.p, prefix.n },
			    token, cb, arg);
	s3_list_free(l.parser);
	text_fini(&prefix);
	text_fini(&after);
	return r;
}

static void s3_describe(struct ufs *u, char *buf, size_t size)
{
	struct s3 *s3 = s3_of(u);
	struct creds *set = NULL;
	char region[S3_REGION_MAX];

	lock_take(&s3->lock);
	memcpy(region, s3->region, sizeof(region));
	lock_drop(&s3->lock);
	if (s3->creds != NULL)
		set = creds_now(s3->creds);
	snprintf(buf, size, "%s, region %s, %s%s%s",
		 s3->host != NULL ? s3->host : "AWS", region,
		 set == NULL ? "anonymous" : "keys of ",
		 set == NULL ? "" : set->source,
		 strcmp(s3->scheme, "http") == 0 ? ", plain HTTP" : "");
	creds_unref(set);
}

static void s3_reload(struct ufs *u)
{
	struct s3 *s3 = s3_of(u);

	if (s3->creds != NULL)
		creds_reload(s3->creds);
}

/* The root of the server, not the bucket: it is asked without keys. */
static int s3_reach(struct ufs *u, struct ufs_reach *out)
{
	struct s3 *s3 = s3_of(u);
	AUTO_FREE char *url = NULL;

	memset(out, 0, sizeof(*out));
	s3_server(s3, out->server, sizeof(out->server));
	if (asprintf(&url, "%s%s/", out->server, s3->base) < 0)
		return -ENOMEM;
	return http_reach(s3->http, url, out);
}

static void s3_close(struct ufs *u)
{
	struct s3 *s3 = s3_of(u);

	http_free(s3->http);
	creds_close(s3->creds);
	sigv4_key_fini(&s3->key);
	lock_fini(&s3->lock);
	free(s3->scheme);
	free(s3->host);
	free(s3->base);
	free(s3->bucket);
	free(s3->where);
	ufs_fini(u);
	free(s3);
}

const struct ufs_ops s3_ops = {
	.scheme = "s3",
	.close = s3_close,
	.stat = s3_stat,
	.list = s3_list,
	.list_side_by_side = true,
	.get = s3_get,
	.write = &s3_write_ops,
	.describe = s3_describe,
	.reload = s3_reload,
	.reach = s3_reach,
};
