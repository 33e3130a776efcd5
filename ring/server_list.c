/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_list.c - listings: ListObjectsV2, and its elder for old clients
 *
 * One level (delimiter "/") is answered from the cache's listing of that
 * directory, which is taken once for all who ask; all keys below a prefix, and
 * what must be fresher than the cache's, are asked of the store page by page.
 * A continuation token says which of the two it goes on with: "n", the
 * number of the next entry and the name before it (numbers move when the
 * directory does, names do not), or "s" and the store's own token.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "ring/server_impl.h"

#define KEYS_MAX 1000

/* What is asked, and the page as it grows. */
struct page {
	struct exchange *x;
	bool v2, encode, deep, fetch_owner;
	struct str prefix;  /* as asked */
	struct str after;   /* start-after or marker, as asked */
	struct str token;   /* continuation-token, or n 0 */
	uint64_t max;       /* asked, at most KEYS_MAX */
	struct str dir;     /* relative: the directory that is listed */
	struct str partial; /* what names in it begin with */

	struct str skip; /* names up to this one are before the page */
	uint64_t number; /* of the entry to go on with */
	uint64_t first;  /* where the look begins */
	bool moved;      /* the first is not what the token says */
	uint64_t count;  /* of keys and prefixes */
	bool truncated;
	struct text contents, prefixes;
	struct text last; /* relative: the last that was put in */
	struct text next; /* the token or marker of the next page */
	char *name;       /* decoded from the token; heap */
};

static void page_fini(struct page *p)
{
	text_fini(&p->contents);
	text_fini(&p->prefixes);
	text_fini(&p->last);
	text_fini(&p->next);
	free(p->name);
}

static void add_key(struct text *t, const struct page *p, struct str key)
{
	if (p->encode)
		text_add_encoded(t, key, true);
	else
		xml_add(t, key);
}

static void add_element(struct text *t, const struct page *p, const char *name,
			struct str value)
{
	text_addf(t, "<%s>", name);
	add_key(t, p, value);
	text_addf(t, "</%s>", name);
}

/* The bucket's key of a directory's entry, behind an opened element. */
static void add_name(struct text *t, const struct page *p, struct str dir,
		     struct str name)
{
	add_key(t, p, str_of(p->x->source->ufs->prefix));
	add_key(t, p, dir);
	add_key(t, p, name);
}

static void put(struct page *p, struct str dir, struct str name, bool is_dir,
		const struct ufs_stat *st)
{
	struct text *t = is_dir ? &p->prefixes : &p->contents;
	char date[32];

	text_clear(&p->last);
	text_add(&p->last, dir.p, dir.n);
	text_add(&p->last, name.p, name.n);
	p->count++;
	if (is_dir) {
		text_adds(t, "<CommonPrefixes><Prefix>");
		add_name(t, p, dir, name);
		text_adds(t, "</Prefix></CommonPrefixes>");
		return;
	}
	time_iso(st->mtime, date);
	text_adds(t, "<Contents><Key>");
	add_name(t, p, dir, name);
	text_addf(t, "</Key><LastModified>%s</LastModified><ETag>&quot;", date);
	xml_add(t, str_of(st->version));
	text_addf(t, "&quot;</ETag><Size>%" PRIu64 "</Size>", st->size);
	if (p->fetch_owner)
		text_adds(t, "<Owner><ID>tarn</ID></Owner>");
	text_adds(t, "<StorageClass>");
	xml_add(t, str_of(st->storage_class[0] != '\0' ? st->storage_class
						       : "STANDARD"));
	text_adds(t, "</StorageClass></Contents>");
}

static void add_hex(struct text *t, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_addf(t, "%02x", (unsigned char)p[i]);
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

/* p->name gets the bytes; returns how many, or -1. */
static ssize_t read_hex(struct page *p, struct str hex)
{
	if (hex.n % 2 != 0)
		return -1;
	p->name = malloc(hex.n / 2 + 1);
	if (p->name == NULL)
		return -1;
	for (size_t i = 0; i < hex.n; i += 2) {
		int high = hex_value(hex.p[i]), low = hex_value(hex.p[i + 1]);

		if (high < 0 || low < 0)
			return -1;
		p->name[i / 2] = (char)(high << 4 | low);
	}
	p->name[hex.n / 2] = '\0';
	return (ssize_t)(hex.n / 2);
}

static void answer_page(struct page *p)
{
	struct exchange *x = p->x;
	struct text t = { 0 };

	text_adds(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		      "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/"
		      "2006-03-01/\"><Name>");
	xml_add(&t, str_of(x->source->bucket));
	text_adds(&t, "</Name>");
	add_element(&t, p, "Prefix", p->prefix);
	if (!p->v2)
		add_element(&t, p, "Marker", p->after);
	else if (p->after.n > 0)
		add_element(&t, p, "StartAfter", p->after);
	if (p->v2 && p->token.n > 0) {
		text_adds(&t, "<ContinuationToken>");
		xml_add(&t, p->token);
		text_adds(&t, "</ContinuationToken>");
	}
	text_addf(&t, "<MaxKeys>%" PRIu64 "</MaxKeys>", p->max);
	if (!p->deep)
		text_adds(&t, "<Delimiter>/</Delimiter>");
	if (p->encode)
		text_adds(&t, "<EncodingType>url</EncodingType>");
	if (p->v2)
		text_addf(&t, "<KeyCount>%" PRIu64 "</KeyCount>", p->count);
	text_addf(&t, "<IsTruncated>%s</IsTruncated>",
		  p->truncated ? "true" : "false");
	if (p->truncated && p->v2) {
		text_adds(&t, "<NextContinuationToken>");
		text_add(&t, p->next.p, p->next.n);
		text_adds(&t, "</NextContinuationToken>");
	} else if (p->truncated) {
		text_adds(&t, "<NextMarker>");
		add_name(&t, p, (struct str){ p->last.p, p->last.n },
			 STR_EMPTY);
		text_adds(&t, "</NextMarker>");
	}
	if (p->contents.n > 0)
		text_add(&t, p->contents.p, p->contents.n);
	if (p->prefixes.n > 0)
		text_add(&t, p->prefixes.p, p->prefixes.n);
	text_adds(&t, "</ListBucketResult>");
	if (t.failed || p->contents.failed || p->prefixes.failed ||
	    p->next.failed || p->last.failed) {
		text_fini(&t);
		answer_errno(x, -ENOMEM);
		return;
	}
	answer_text(x, 200, "application/xml", t.p, t.n);
	answer_age(x);
}

static int listed(void *arg, uint64_t number, const struct listing_entry *e)
{
	struct page *p = arg;

	if (number == p->first && p->number > 0 && !str_eq(e->name, p->skip)) {
		p->moved = true;
		return 1;
	}
	if (p->skip.n > 0 && str_cmp(e->name, p->skip) <= 0)
		return 0;
	if (!str_starts(e->name, p->partial))
		return str_cmp(e->name, p->partial) < 0 ? 0 : 1;
	if (e->name.n == 0 && p->after.n > 0)
		return 0; /* the marker, which is before all names */
	if (p->count == p->max) {
		p->truncated = true;
		return 1;
	}
	put(p, p->dir, e->name, e->dir, &e->st);
	p->number = number + 1;
	return 0;
}

/*
 * An empty marker is no entry of the listing, but it is a key of the bucket.
 * What the listing does not tell of it the store is asked for; a key of which
 * nothing is known is left out.
 */
static int no_marker(void *arg, uint64_t number, const struct listing_entry *e)
{
	bool *none = arg;

	(void)number;
	*none = e->name.n > 0;
	return 1;
}

static int put_marker(struct page *p, struct listing *l)
{
	struct meta *m = cache_meta(p->x->source->cache);
	struct ufs_stat st;
	bool none = true;
	int r;

	if (p->partial.n > 0 || p->skip.n > 0 || p->after.n > 0 ||
	    p->dir.n == 0 || !listing_marker(l))
		return 0;
	r = listing_each(l, 0, no_marker, &none);
	if (r >= 0 && none &&
	    (listing_marker_stat(l, &st) ||
	     meta_stat_now(m, p->dir, &st, &p->x->server->stopping) == 0))
		put(p, p->dir, STR_EMPTY, false, &st);
	return MIN(r, 0);
}

/* 0, -EIO: the listing is bad. */
static int from_listing(struct page *p, struct listing *l)
{
	int r = put_marker(p, l);

	if (r < 0)
		return r;
	p->first = p->number > 0 ? p->number - 1 : 0;
	if (p->number > 0)
		r = listing_each(l, p->first, listed, p);
	if (p->moved || (p->number > 0 && p->first >= listing_entries(l))) {
		p->moved = false;
		p->number = 0;
		r = listing_each(l, 0, listed, p);
	} else if (p->count == 0 && p->number == 0 && p->partial.n > 0) {
		r = listing_each_prefix(l, p->partial, listed, p);
	} else if (p->number == 0) {
		r = listing_each(l, 0, listed, p);
	}
	if (p->truncated) {
		text_addf(&p->next, "n%" PRIx64 "-", p->number);
		add_hex(&p->next, p->last.p + p->dir.n, p->last.n - p->dir.n);
	}
	return MIN(r, 0);
}

static int asked(void *arg, const struct ufs_entry *e)
{
	struct page *p = arg;

	put(p, STR_EMPTY, e->key, e->dir, &e->st);
	return 0;
}

/* One page of the store's. prefix and after are relative to the source. */
static int from_store(struct page *p, struct str prefix, struct str after)
{
	struct ufs *u = p->x->source->ufs;
	struct ufs_list q = { .prefix = prefix,
			      .after = after,
			      .deep = p->deep,
			      .max = (unsigned)p->max };
	AUTO_FREE char *token = NULL;
	int r;

	if (p->token.n > 0)
		token = take_ptr(p->name);
	p->x->taken = clock_ns();
	r = u->ops->list(u, &q, &token, asked, p, &p->x->server->stopping);
	if (r == 0 && token != NULL) {
		p->truncated = true;
		text_adds(&p->next, "s");
		add_hex(&p->next, token, strlen(token));
	}
	return r == -ENOENT ? 0 : r;
}

static int from_cache(struct page *p)
{
	struct meta *m = cache_meta(p->x->source->cache);
	int64_t max_age = request_max_age(&p->x->request);
	int64_t since = INT64_MIN;
	struct listing *l;
	int r;

	/* Behind the first page it is the same listing's turn. */
	if (max_age >= 0 && p->v2 && p->token.n == 0)
		since = clock_ns() - max_age * NSEC_PER_SEC;
	r = meta_list_since(m, p->dir, since, &l, &p->x->server->stopping);
	if (r == -ENOENT) {
		p->x->taken = clock_ns();
		return 0;
	}
	if (r < 0)
		return r;
	p->x->taken = listing_taken(l);
	r = from_listing(p, l);
	listing_unref(l);
	return r;
}

/*
 * The bucket's names against the source's: one level of what is above the
 * source is its own first component; other prefixes hold nothing.
 */
static int above_source(struct page *p, struct str *prefix)
{
	struct str own = str_of(p->x->source->ufs->prefix);
	size_t end;

	if (str_starts(*prefix, own)) {
		prefix->p += own.n;
		prefix->n -= own.n;
		return 0;
	}
	p->x->taken = clock_ns();
	if (!str_starts(own, *prefix))
		return 1;
	if (p->deep) {
		*prefix = STR_EMPTY;
		return 0;
	}
	for (end = prefix->n; end < own.n && own.p[end] != '/'; end++)
		;
	text_adds(&p->prefixes, "<CommonPrefixes><Prefix>");
	add_key(&p->prefixes, p, (struct str){ own.p, MIN(end + 1, own.n) });
	text_adds(&p->prefixes, "</Prefix></CommonPrefixes>");
	p->count = 1;
	return 1;
}

/* start-after, relative to the source; all names are behind a lesser one. */
static struct str relative(const struct page *p, struct str key, bool *none)
{
	struct str own = str_of(p->x->source->ufs->prefix);

	*none = false;
	if (str_starts(key, own))
		return (struct str){ key.p + own.n, key.n - own.n };
	*none = key.n > 0 && str_cmp(key, own) > 0;
	return STR_EMPTY;
}

/* 0, or -EINVAL: it is none of ours. */
static int read_token(struct page *p, bool *store)
{
	struct str t = p->token;
	ssize_t n;

	*store = t.p[0] == 's';
	if (t.p[0] != 's' && t.p[0] != 'n')
		return -EINVAL;
	t.p++;
	t.n--;
	if (!*store) {
		while (t.n > 0 && *t.p != '-') {
			int v = hex_value(*t.p);

			if (v < 0 || p->number >> 59 != 0)
				return -EINVAL;
			p->number = p->number << 4 | (uint64_t)v;
			t.p++;
			t.n--;
		}
		if (t.n == 0)
			return -EINVAL;
		t.p++;
		t.n--;
	}
	n = read_hex(p, t);
	if (n < 0)
		return -EINVAL;
	p->skip = (struct str){ p->name, (size_t)n };
	return *store && strlen(p->name) != (size_t)n ? -EINVAL : 0;
}

static int fill_page(struct page *p)
{
	struct str prefix = p->prefix, after;
	bool none, store = false;
	size_t dir;
	int r;

	if (p->max == 0)
		return 0;
	r = above_source(p, &prefix);
	if (r != 0)
		return MIN(r, 0);
	after = relative(p, p->after, &none);
	if (none)
		return 0;
	if (prefix.n > UFS_KEY_MAX || after.n > UFS_KEY_MAX)
		return -EINVAL;
	if (p->token.n > 0 && read_token(p, &store) < 0)
		return -EINVAL;
	for (dir = prefix.n; dir > 0 && prefix.p[dir - 1] != '/'; dir--)
		;
	p->dir = (struct str){ prefix.p, dir };
	p->partial = (struct str){ prefix.p + dir, prefix.n - dir };
	if (p->deep || store)
		return from_store(p, prefix, after);
	if (p->token.n == 0 && after.n > 0) {
		/* Within this directory, or as the store has it. */
		if (!str_starts(after, p->dir)) {
			if (str_cmp(after, p->dir) > 0)
				return 0;
		} else {
			p->skip = (struct str){ after.p + dir, after.n - dir };
			if (p->v2 && memchr(p->skip.p, '/', p->skip.n) != NULL)
				return from_store(p, prefix, after);
		}
	}
	r = from_cache(p);
	if (r == -EIO || r == -E2BIG) {
		text_clear(&p->contents);
		text_clear(&p->prefixes);
		text_clear(&p->next);
		p->count = 0;
		p->truncated = false;
		if (p->token.n > 0)
			return -EIO;
		r = from_store(p, prefix, after);
	}
	return r;
}

static struct str parameter(const struct exchange *x, const char *name)
{
	const struct str *v = request_query(&x->request, name);

	return v != NULL ? *v : STR_EMPTY;
}

static void refuse(struct exchange *x, unsigned status, const char *message)
{
	answer_error(x, status,
		     status == 501   ? "NotImplemented"
		     : status == 421 ? "WrongPrefix"
				     : "InvalidArgument",
		     message);
}

static void run_list(struct exchange *x)
{
	struct str delimiter = parameter(x, "delimiter");
	struct str encoding = parameter(x, "encoding-type");
	const struct str *max = request_query(&x->request, "max-keys");
	struct str own = str_of(x->source->ufs->prefix);
	struct page p = {
		.x = x,
		.v2 = str_eq(parameter(x, "list-type"), str_of("2")),
		.encode = encoding.n > 0,
		.deep = delimiter.n == 0,
		.prefix = parameter(x, "prefix"),
		.max = KEYS_MAX,
	};
	int r;

	p.after = parameter(x, p.v2 ? "start-after" : "marker");
	if (p.v2)
		p.token = parameter(x, "continuation-token");
	p.fetch_owner =
	    !p.v2 || str_eq(parameter(x, "fetch-owner"), str_of("true"));
	if (delimiter.n > 0 && !str_eq(delimiter, str_of("/")))
		refuse(x, 501, "The only delimiter here is /.");
	else if (encoding.n > 0 && !str_eq(encoding, str_of("url")))
		refuse(x, 400, "Invalid Encoding Method specified in Request");
	else if (max != NULL && !request_number(*max, &p.max))
		refuse(x, 400, "Provided max-keys not an integer");
	else if (x->tarn && !str_starts(p.prefix, own))
		refuse(x, 421, "This worker serves a part of the bucket only.");
	if (x->response == NULL) {
		p.max = MIN(p.max, KEYS_MAX);
		r = fill_page(&p);
		if (r == -EINVAL)
			refuse(x, 400, "The continuation token is not ours.");
		else if (r < 0)
			answer_errno(x, r);
		else
			answer_page(&p);
	}
	page_fini(&p);
	exchange_wake(x);
}

static void answer_literal(struct exchange *x, const char *text)
{
	char *copy = strdup(text);

	answer_text(x, 200, "application/xml", copy,
		    copy != NULL ? strlen(copy) : 0);
}

void list_begin(struct exchange *x)
{
	if (x->head) {
		answer_with(x, 200, answer_nothing());
		answer_header(x, "x-amz-bucket-region", "%s", WIRE_REGION);
	} else if (request_query(&x->request, "location") != NULL) {
		/* us-east-1 is said by saying nothing. */
		answer_literal(x, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
				  "<LocationConstraint xmlns=\"http://s3."
				  "amazonaws.com/doc/2006-03-01/\"/>");
	} else {
		exchange_later(x, run_list);
		return;
	}
	exchange_wake(x);
}

void list_buckets(struct exchange *x)
{
	struct text t = { 0 };

	text_adds(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		      "<ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/"
		      "doc/2006-03-01/\"><Owner><ID>tarn</ID></Owner>"
		      "<Buckets>");
	for (size_t i = 0; i < x->server->nsources; i++) {
		text_adds(&t, "<Bucket><Name>");
		xml_add(&t, str_of(x->server->sources[i].bucket));
		text_adds(&t, "</Name><CreationDate>1970-01-01T00:00:00.000Z"
			      "</CreationDate></Bucket>");
	}
	text_adds(&t, "</Buckets></ListAllMyBucketsResult>");
	if (t.failed)
		text_fini(&t);
	answer_text(x, 200, "application/xml", t.p, t.n);
}
