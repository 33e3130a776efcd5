/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge.c - may this answer be?
 *
 * How old an answer may be is SEMANTICS' S1 (names and attributes: the ttl),
 * S4 (absence: negative-ttl) and S7 (not older than an invalidation). A
 * handle has one version (S2): each byte is of it, or the read is ESTALE and
 * that version is not in the store any more, nor in a cache that had it. Any
 * other error needs a fault that fired (INV4).
 */
#include "tests/tools/refmodel-parts/run_impl.h"

#include <errno.h>
#include <stdarg.h>

#include "base/clock.h"
#include "cache/extent.h"
#include "tests/tools/refmodel-parts/store.h"

void run_wrong(struct run *r, const char *fmt, ...)
{
	va_list ap;

	if (r->out->failed)
		return;
	r->out->failed = true;
	va_start(ap, fmt);
	vsnprintf(r->out->why, sizeof(r->out->why), fmt, ap);
	va_end(ap);
}

const char *run_key(const struct run *r, unsigned key)
{
	return r->model->keys[key].name;
}

/* A directory's own marker: an object, but no name in a directory. */
bool run_is_marker(const struct run *r, unsigned key)
{
	const char *name = run_key(r, key);

	return name[strlen(name) - 1] == '/';
}

/* An answer about name may tell of this moment, and of any later one. */
static int64_t since(const struct run *r, const char *name, int64_t ttl)
{
	int64_t at = r->begun - r->front->slack;

	if (r->config->consistency == CONSISTENCY_IMMUTABLE)
		at = INT64_MIN;
	else if (r->config->consistency == CONSISTENCY_TTL)
		at -= ttl;
	return MAX(at, model_forgotten(r->model, name));
}

/* An error that a fault explains. */
bool run_excused(struct run *r, int err)
{
	r->out->errors++;
	return r->ops->excused(r->front, err, r->begun);
}

/*
 * Called with the model's mutex, as all that judges. The version is not to have
 * ended before `not_before`, whatever the ttl.
 */
void judge_stat(struct run *r, unsigned key, const struct ufs_stat *st,
		int64_t not_before)
{
	int64_t from =
	    MAX(since(r, run_key(r, key), r->config->ttl), not_before);
	unsigned id = store_id(st->version);
	const struct version *v = model_version(r->model, key, id);

	if (v == NULL)
		run_wrong(r, "%s: version '%s' was never there",
			  run_key(r, key), st->version);
	else if (v->size != st->size || v->mtime != st->mtime)
		run_wrong(r,
			  "%s: size %ju and mtime %jd are not those of v%u, "
			  "%ju and %jd",
			  run_key(r, key), (uintmax_t)st->size,
			  (intmax_t)st->mtime, id, (uintmax_t)v->size,
			  (intmax_t)v->mtime);
	else if (!model_saw(r->model, key, id, from, clock_ns()))
		run_wrong(r, "%s: v%u is older than it may be: %.3f s",
			  run_key(r, key), id,
			  (double)(r->begun - v->until) / 1e9);
}

void judge_dir(struct run *r, const char *name, bool there, int64_t ttl)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "%s/", name);
	if (!model_saw_dir(r->model, dir, there, since(r, name, ttl),
			   clock_ns()))
		run_wrong(r, "%s: %s a directory, too late", name,
			  there ? "is" : "is not");
}

void judge_absent(struct run *r, unsigned key, int64_t ttl)
{
	if (!model_saw(r->model, key, 0, since(r, run_key(r, key), ttl),
		       clock_ns()))
		run_wrong(r, "%s: there is no such object, too late",
			  run_key(r, key));
}

/* Was there a moment with one, but not both, or none? */
static bool saw_no_twin(struct run *r, unsigned key)
{
	char dir[64];
	int64_t from = since(r, run_key(r, key), r->config->ttl);

	snprintf(dir, sizeof(dir), "%s/", run_key(r, key));
	return model_saw(r->model, key, 0, from, clock_ns()) ||
	       model_saw_dir(r->model, dir, false, from, clock_ns());
}

/* The answer to a lookup of a key's name. */
void judge_seen(struct run *r, unsigned key, int err, const struct seen *seen)
{
	bool found = seen->object || seen->dir;
	int64_t ttl =
	    found || seen->by_file ? r->config->ttl : r->config->negative_ttl;
	char name[64];

	r->out->answers++;
	snprintf(name, sizeof(name), "%s", run_key(r, key));
	if (err == 0 || err == -ENOENT) {
		if (run_is_marker(r, key)) {
			name[strlen(name) - 1] = '\0';
			judge_dir(r, name, seen->dir, ttl);
			return;
		}
		if (seen->object)
			judge_stat(r, key, &seen->st, INT64_MIN);
		else if (!seen->twin_unknown)
			judge_absent(r, key, ttl);
		else if (!saw_no_twin(r, key))
			run_wrong(r,
				  "%s: the file beside the directory is absent",
				  name);
		if (!seen->dir_unknown)
			judge_dir(r, name, seen->dir, ttl);
	} else if (!run_excused(r, err)) {
		run_wrong(r, "%s: lookup: %s, and no fault", name,
			  strerror(-err));
	}
}

/* Is every page of [off, off + len) of the handle's version cached? */
static bool cached(const struct run *r, const struct handle *h, uint64_t off,
		   uint64_t len, bool set)
{
	struct version *v = model_version(r->model, h->key, h->id);
	uint64_t first = off / PAGE_BYTES, last;

	if (len == 0 || off >= h->size)
		return true;
	last = (MIN(off + len, h->size) - 1) / PAGE_BYTES;
	if (last >= CACHED_PAGES)
		return false;
	for (; first <= last; first++) {
		uint64_t bit = UINT64_C(1) << first % 64;

		if (set)
			v->cached[first / 64] |= bit;
		else if ((v->cached[first / 64] & bit) == 0)
			return false;
	}
	return true;
}

static void judge_error(struct run *r, const struct handle *h,
			const struct reading *to)
{
	const struct version *v = model_version(r->model, h->key, h->id);
	int err = (int)to->got;
	/* -EFAULT: a mapped page, which says no more. */
	bool gone =
	    (err == -ESTALE || err == -EFAULT) && v->until <= clock_ns();

	if (err == -EINTR)
		return;
	if (r->front->sure && cached(r, h, to->off, to->len, false) &&
	    r->ops->kept(r->front))
		run_wrong(r, "%s: v%u at %ju: %s, and the bytes are cached",
			  run_key(r, h->key), h->id, (uintmax_t)to->off,
			  strerror(-err));
	else if (!run_excused(r, err) && !gone)
		run_wrong(r, "%s: v%u at %ju: %s, and %s", run_key(r, h->key),
			  h->id, (uintmax_t)to->off, strerror(-err),
			  err == -ESTALE ? "it is there" : "no fault");
	else if (err == -ESTALE)
		/* Who opens it again is not to get that version. */
		r->gone[h->key] = r->begun;
}

void judge_read(struct run *r, const struct reading *to)
{
	struct handle *h = &r->handles[to->slot];
	uint64_t want = to->off < h->size ? MIN(to->len, h->size - to->off) : 0;
	size_t at;

	r->out->reads++;
	if (to->got < 0)
		judge_error(r, h, to);
	else if ((uint64_t)to->got != want)
		run_wrong(r, "%s: v%u of %ju bytes at %ju: %zd bytes, not %ju",
			  run_key(r, h->key), h->id, (uintmax_t)h->size,
			  (uintmax_t)to->off, to->got, (uintmax_t)want);
	else if (!model_right(h->id, to->off, to->buf, (size_t)to->got, &at))
		run_wrong(r,
			  "%s: v%u: the byte at %ju is not its (read at %ju)",
			  run_key(r, h->key), h->id, (uintmax_t)to->off + at,
			  (uintmax_t)to->off);
	else
		cached(r, h, to->off, (uint64_t)to->got, true);
	h->next = to->off + to->len;
}
