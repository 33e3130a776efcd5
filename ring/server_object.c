/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_object.c - GET and HEAD of an object
 *
 * What the object is comes from the cache's metadata, as fresh as the request
 * wants it (Cache-Control: max-age). A version that If-Match names is right at
 * any age: versions do not change. So the bytes of one go out by what was last
 * known of it, whatever became of the store, as long as they are here; only
 * where they must be fetched the object is looked at as for any request, so
 * that 412 is said before a body is begun. One that differs from what If-Match
 * names is looked at again before 412 is said. Who wants only what is here
 * (only-if-cached) gets it by what was last known of it, or 504. Then its bytes
 * go out of the file where they all are there and verified; else piece by piece
 * (server_stream.c).
 */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "ring/server_impl.h"
#include "ufs/http.h"

static void serve(struct exchange *x, bool nowait);

/* a/b/c is c in a/b/. */
static void split(struct str key, struct str *dir, struct str *name)
{
	const char *slash = memrchr(key.p, '/', key.n);

	dir->p = key.p;
	dir->n = slash != NULL ? (size_t)(slash - key.p) + 1 : 0;
	name->p = key.p + dir->n;
	name->n = key.n - dir->n;
}

/* The versions that it names, if any: "*" is no name. */
static const struct str *versions_named(const struct exchange *x)
{
	const struct str *match = request_header(&x->request, "if-match");

	return match != NULL && memchr(match->p, '*', match->n) == NULL ? match
									: NULL;
}

static bool wants_version(const struct exchange *x, const char *version)
{
	const struct str *named = versions_named(x);

	return named != NULL && request_etag_matches(*named, version);
}

/* May what was learnt at taken be said now? */
static bool fresh_enough(const struct exchange *x, int64_t taken)
{
	int64_t max_age = request_max_age(&x->request);

	return max_age < 0 || clock_ns() - taken <= max_age * NSEC_PER_SEC;
}

static void found(struct exchange *x, bool nowait);

/*
 * The store was asked now, and said r: who asks next shall not hear less. It
 * has changed by itself, so there is no rule for mounts to come.
 */
static void compare(const struct exchange *x, int r)
{
	struct meta *m = cache_meta(x->source->cache);
	struct meta_answer a = { 0 };
	struct str dir, name;
	int known;

	split(x->key, &dir, &name);
	if (name.n == 0 || (r < 0 && r != -ENOENT))
		return;
	known = meta_lookup_fast(m, dir, name, &a);
	if (known == 0 && !a.object)
		known = -ENOENT;
	if (known != -EAGAIN &&
	    (known != r ||
	     (r == 0 && strcmp(a.st.version, x->st.version) != 0)))
		meta_gone(m, x->key);
}

/* Ask the store now; wait for it. */
static int ask(struct exchange *x)
{
	int64_t now = clock_ns();
	int r = meta_stat_now(cache_meta(x->source->cache), x->key, &x->st,
			      &x->server->stopping);

	x->fresh = true;
	x->taken = now;
	compare(x, r);
	return r;
}

static void fail(struct exchange *x, int err)
{
	answer_errno(x, err);
	exchange_wake(x);
}

static void run_ask(struct exchange *x)
{
	int r = ask(x);

	if (r < 0)
		fail(x, r);
	else
		found(x, false);
}

/* -EAGAIN also when what is known is too old for this request. */
static int look(struct exchange *x, bool fast)
{
	struct meta *m = cache_meta(x->source->cache);
	struct meta_answer a = { 0 };
	struct str dir, name;
	int r;

	split(x->key, &dir, &name);
	if (name.n == 0 || request_max_age(&x->request) == 0)
		return -EAGAIN; /* a directory's marker; or now */
	r = fast ? meta_lookup_fast(m, dir, name, &a)
		 : meta_lookup(m, dir, name, &a, &x->server->stopping);
	if (r == 0 && !a.object)
		r = -ENOENT;
	if (r != 0 && r != -ENOENT)
		return r;
	if (r == 0) {
		x->st = a.st;
		x->taken = a.taken;
		if (wants_version(x, a.st.version))
			return 0;
	}
	return fresh_enough(x, a.taken) ? r : -EAGAIN;
}

static void run_look(struct exchange *x)
{
	int r = look(x, false);

	if (r == -EAGAIN)
		r = ask(x);
	if (r < 0)
		fail(x, r);
	else
		found(x, false);
}

/* Is what was recalled to be answered with? */
static bool may_be_said(const struct exchange *x, const struct meta_answer *a)
{
	if (x->held_only)
		return wants_version(x, a->st.version) ||
		       (a->until > clock_ns() && fresh_enough(x, a->taken));
	/* Restored meanwhile, it is the same version. */
	return wants_version(x, a->st.version) &&
	       (a->st.flags & (UFS_UNUSABLE | UFS_ARCHIVED)) == 0;
}

/* By what is known without the store. */
static void run_recall(struct exchange *x)
{
	struct meta *m = cache_meta(x->source->cache);
	struct meta_answer a = { 0 };
	struct str dir, name;
	int r = -EAGAIN;

	split(x->key, &dir, &name);
	if (name.n > 0)
		r = meta_recall(m, dir, name, &a);
	if (r == 0 && may_be_said(x, &a)) {
		x->st = a.st;
		x->taken = a.taken;
		x->recalled = !x->held_only;
		found(x, false);
	} else if (x->held_only) {
		fail(x, -ENODATA);
	} else {
		exchange_later(x, run_look);
	}
}

/* Bytes of a version, of whatever age what is known of it may be? */
static bool any_age_does(const struct exchange *x)
{
	return !x->head && versions_named(x) != NULL &&
	       request_max_age(&x->request) < 0;
}

void object_begin(struct exchange *x)
{
	struct str prefix = str_of(x->source->ufs->prefix);
	int r;

	x->key = x->request.key;
	if (!str_starts(x->key, prefix) || x->key.n == prefix.n) {
		if (x->tarn)
			answer_error(x, 421, "WrongPrefix",
				     "This worker serves a part of the bucket "
				     "only.");
		else
			answer_errno(x, -ENOENT);
		exchange_wake(x);
		return;
	}
	x->key.p += prefix.n;
	x->key.n -= prefix.n;
	if (x->request.key.n > UFS_KEY_MAX) {
		answer_error(x, 400, "KeyTooLongError",
			     "Your key is too long.");
		exchange_wake(x);
		return;
	}
	r = look(x, true);
	if (r < 0 && (x->held_only || (r == -EAGAIN && any_age_does(x))))
		exchange_near(x, run_recall);
	else if (r == -EAGAIN)
		exchange_later(x, run_look);
	else if (r < 0)
		fail(x, r);
	else
		found(x, true);
}

static void anew(struct exchange *x, void (*run)(struct exchange *x))
{
	object_put(x->object);
	x->object = NULL;
	x->opened = x->recalled = false;
	exchange_later(x, run);
}

void object_again(struct exchange *x)
{
	anew(x, run_ask);
}

/* ns of a date header; false: it is absent, or none. */
static bool date_of(const struct exchange *x, const char *name, int64_t *out)
{
	const struct str *v = request_header(&x->request, name);
	char text[64];

	if (v == NULL || v->n >= sizeof(text))
		return false;
	memcpy(text, v->p, v->n);
	text[v->n] = '\0';
	return http_date(text, out);
}

/*
 * If-Match, If-None-Match and, where those are absent, the dates. 0, 304, 412,
 * or -EAGAIN: what is known is too old to say so.
 */
static int preconditions(const struct exchange *x)
{
	const struct request *r = &x->request;
	const struct str *match = request_header(r, "if-match");
	const struct str *none = request_header(r, "if-none-match");
	int64_t mtime = x->st.mtime / NSEC_PER_SEC, date;

	if (match != NULL) {
		if (!request_etag_matches(*match, x->st.version))
			return x->fresh ? 412 : -EAGAIN;
	} else if (date_of(x, "if-unmodified-since", &date) && mtime > date) {
		return x->fresh ? 412 : -EAGAIN;
	}
	if (none != NULL)
		return request_etag_matches(*none, x->st.version) ? 304 : 0;
	if (date_of(x, "if-modified-since", &date) && mtime <= date)
		return 304;
	return 0;
}

static void add_headers(struct exchange *x)
{
	char date[32];

	time_http(x->st.mtime, date);
	answer_header(x, "ETag", "\"%s\"", x->st.version);
	answer_header(x, "Last-Modified", "%s", date);
	answer_header(x, "Accept-Ranges", "bytes");
	answer_age(x);
}

void object_answer(struct exchange *x, struct MHD_Response *response)
{
	answer_with(x, x->part ? 206 : 200, response);
	add_headers(x);
	answer_header(x, "Content-Type", "binary/octet-stream");
	if (x->st.storage_class[0] != '\0')
		answer_header(x, "x-amz-storage-class", "%s",
			      x->st.storage_class);
	if (x->part)
		answer_header(x, "Content-Range",
			      "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, x->off,
			      x->off + x->len - 1, x->st.size);
}

/* A HEAD: as long as it says, without a body. */
static ssize_t no_bytes(void *arg, uint64_t pos, char *buf, size_t max)
{
	(void)arg, (void)pos, (void)buf, (void)max;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static void answer_head(struct exchange *x)
{
	object_answer(x, x->len > 0 ? MHD_create_response_from_callback(
					  x->len, 1, no_bytes, NULL, NULL)
				    : answer_nothing());
	exchange_wake(x);
}

static void answer_short(struct exchange *x, int status)
{
	if (status == 304) {
		answer_with(x, 304, answer_nothing());
		add_headers(x);
	} else if (status == 416) {
		answer_error(x, 416, "InvalidRange",
			     "The requested range is not satisfiable");
		answer_header(x, "Content-Range", "bytes */%" PRIu64,
			      x->st.size);
	} else if (status == 412) {
		answer_error(x, 412, "PreconditionFailed",
			     "At least one of the preconditions you specified "
			     "did not hold.");
	} else {
		answer_error(x, 400, "InvalidArgument",
			     "One range of bytes is served, no other.");
	}
	exchange_wake(x);
}

/* What the object is is known. */
static void found(struct exchange *x, bool nowait)
{
	int status = preconditions(x);

	if (status == -EAGAIN) {
		if (x->held_only)
			fail(x, -ENODATA);
		else if (nowait)
			exchange_later(x, run_ask);
		else
			run_ask(x);
		return;
	}
	x->off = 0;
	x->len = x->st.size;
	switch (request_range(request_header(&x->request, "range"), x->st.size,
			      &x->off, &x->len)) {
	case RANGE_BAD:
		status = status != 0 ? status : 400;
		break;
	case RANGE_OUTSIDE:
		status = status != 0 ? status : 416;
		break;
	case RANGE_PART:
		x->part = true;
		break;
	case RANGE_NONE:
		x->part = false;
		break;
	}
	if (status != 0) {
		answer_short(x, status);
	} else if ((x->st.flags & UFS_UNUSABLE) != 0) {
		fail(x, -EIO);
	} else if (x->head || x->len == 0) {
		answer_head(x);
	} else if ((x->st.flags & UFS_ARCHIVED) != 0) {
		answer_error(x, 403, "InvalidObjectState",
			     "The object must be restored before it is read.");
		exchange_wake(x);
	} else {
		int r =
		    object_get(x->source->cache, x->key, &x->st, &x->object);

		if (r < 0)
			fail(x, r);
		else
			serve(x, nowait);
	}
}

bool object_for_tarn(const struct exchange *x)
{
	return x->tarn && x->len <= WIRE_RANGE_MAX && x->off % WIRE_PAGE == 0 &&
	       (x->len % WIRE_PAGE == 0 || x->off + x->len == x->st.size);
}

static void send_file(struct exchange *x, const struct object_span *s)
{
	struct MHD_Response *r =
	    MHD_create_response_from_fd_at_offset64(x->len, s->fd, s->at);
	char words[WIRE_PAGES_TEXT];

	if (r == NULL)
		close(s->fd);
	object_answer(x, r);
	if (object_for_tarn(x)) {
		x->pages.seed = s->seed;
		x->pages.first = s->first;
		x->pages.n = (size_t)((x->len + WIRE_PAGE - 1) / WIRE_PAGE);
		wire_pages_write(&x->pages, words);
		answer_header(x, WIRE_H_PAGES, "%s", words);
	}
	load_header(x);
	load_begin(x);
	conn_cork(x->socket);
	exchange_wake(x);
}

static void run_serve(struct exchange *x)
{
	serve(x, false);
}

static void opened(struct object_open *open, int err, struct cache_file *file)
{
	struct exchange *x = container_of(open, struct exchange, open);

	(void)file; /* looked for again: with its checksums, and held */
	early_end(x);
	x->opened = true;
	if (err == -ESTALE && !x->fresh)
		object_again(x);
	else if (err < 0)
		fail(x, err);
	else
		serve(x, true);
}

/*
 * Out of the file; or get it ready; or piece by piece. To get ready means to
 * fetch all of a small object, and to verify what is on the SSD; a mount gets
 * its headers when that takes long. Who wants only what is here has it read,
 * and verified, as it is sent.
 */
static void serve(struct exchange *x, bool nowait)
{
	struct object_span span;
	int r = object_span(x->object, x->off, x->len,
			    object_for_tarn(x) ? x->pages.words : NULL, nowait,
			    &span);

	if (r == 0) {
		send_file(x, &span);
	} else if (r == -EAGAIN || (x->held_only && nowait)) {
		exchange_near(x, run_serve);
	} else if (x->held_only) {
		if (object_held(x->object, x->off, x->len))
			stream_begin(x);
		else
			fail(x, -ENODATA);
	} else if (x->recalled && !x->opened &&
		   !object_held(x->object, x->off, x->len)) {
		anew(x, run_look);
	} else if (!x->opened) {
		x->open.done = opened;
		if (object_for_tarn(x))
			early_begin(x);
		object_open(x->object, &x->open);
	} else {
		stream_begin(x);
	}
}
