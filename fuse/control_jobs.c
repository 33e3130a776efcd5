/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_jobs.c - load, free and invalidate, as a mount and a worker are
 * asked for them
 */
#include "fuse/control_jobs.h"

#include <errno.h>
#include <stdarg.h>

#include "cache/cache.h"
#include "cache/meta.h"
#include "fuse/ring_share.h"
#include "fuse/json_text.h"
#include "ufs/encode.h"

void control_error(struct control_answer *out, unsigned status, const char *fmt,
		   ...)
{
	char words[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	out->status = status;
	out->body = json_pack("{s:o}", "error", json_text(words));
}

json_t *control_body(const char *p, size_t n, struct control_answer *out)
{
	json_error_t e;
	json_t *root =
	    json_loadb(n > 0 ? p : "", n, JSON_REJECT_DUPLICATES, &e);

	if (json_is_object(root))
		return root;
	json_decref(root);
	control_error(out, 400, "the body is not a JSON object");
	return NULL;
}

json_t *control_url(const char *source, struct str key)
{
	struct text url = { 0 };
	json_t *j = NULL;
	size_t top;

	text_adds(&url, source);
	if (url.n > 0 && url.p[url.n - 1] == '/') /* file:/// */
		url.n--;
	top = url.n;
	if (key.n > 0) {
		text_adds(&url, "/");
		text_add(&url, key.p, key.n);
	}
	while (!url.failed && j == NULL && url.n > top) {
		if (memchr(url.p + top, '\0', url.n - top) == NULL)
			j = json_stringn(url.p, url.n);
		do
			url.n--;
		while (url.n > top && url.p[url.n] != '/');
	}
	if (!url.failed && j == NULL)
		j = json_string(source);
	text_fini(&url);
	return j;
}

/* What a body names; the texts are borrowed from it. */
struct names {
	const struct control_place *place;
	const json_t *root;
	struct jobs_target *target;
	size_t n;
};

/* A member that must be an array of strings if it is there. */
static bool strings(const json_t *root, const char *name, const json_t **out)
{
	const json_t *a = json_object_get(root, name);

	*out = a;
	if (a != NULL && !json_is_array(a))
		return false;
	for (size_t i = 0; i < json_array_size(a); i++)
		if (!json_is_string(json_array_get(a, i)))
			return false;
	return true;
}

static void add(struct names *t, size_t source, bool is_key, const char *text)
{
	t->target[t->n++] = (struct jobs_target){ source, is_key, text };
}

/* The source that the keys are of. False: there is none such. */
static bool source_of_keys(const struct control_place *p, const json_t *root,
			   size_t *out)
{
	const json_t *named = json_object_get(root, "bucket");
	const char *bucket = json_string_value(named);

	*out = 0;
	if (named == NULL)
		return p->nsources == 1;
	for (size_t i = 0; i < p->nsources && bucket != NULL; i++)
		if (p->sources[i].bucket != NULL &&
		    strcmp(p->sources[i].bucket, bucket) == 0) {
			*out = i;
			return true;
		}
	return false;
}

/* The source with the longest name that holds url, or all that lie below it. */
static bool add_url(struct names *t, const char *url)
{
	const char *best = NULL;
	size_t source = 0, before = t->n;

	for (size_t i = 0; i < t->place->nsources; i++) {
		const char *rest = cli_below(url, t->place->sources[i].url);

		if (rest != NULL && (best == NULL || rest > best)) {
			best = rest;
			source = i;
		}
	}
	if (best != NULL)
		add(t, source, true, best);
	for (size_t i = 0; best == NULL && i < t->place->nsources; i++)
		if (cli_below(t->place->sources[i].url, url) != NULL)
			add(t, i, true, "");
	return t->n > before;
}

/* 0, or -EINVAL or -ENOMEM and the answer to that. */
static int read_names(const struct control_place *p, const json_t *root,
		      struct names *out, struct control_answer *answer)
{
	const json_t *paths, *keys, *urls;
	size_t source;

	*out = (struct names){ .place = p, .root = root };
	if (!strings(root, "paths", &paths) || !strings(root, "keys", &keys) ||
	    !strings(root, "urls", &urls)) {
		control_error(answer, 400,
			      "paths, keys and urls are arrays of strings");
		return -EINVAL;
	}
	if (p->invalidate == NULL && json_array_size(paths) > 0) {
		control_error(answer, 400,
			      "a worker knows no paths; name keys or urls");
		return -EINVAL;
	}
	if (!source_of_keys(p, root, &source) && json_array_size(keys) > 0) {
		control_error(answer, 400,
			      "of which bucket are the keys? `tarn status` "
			      "lists those that are served here");
		return -EINVAL;
	}
	out->target = calloc(json_array_size(paths) + json_array_size(keys) +
				 json_array_size(urls) + 1,
			     sizeof(*out->target));
	if (out->target == NULL) {
		control_error(answer, 500, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < json_array_size(paths); i++)
		add(out, 0, false, json_string_value(json_array_get(paths, i)));
	for (size_t i = 0; i < json_array_size(keys); i++)
		add(out, source, true,
		    json_string_value(json_array_get(keys, i)));
	for (size_t i = 0; i < json_array_size(urls); i++) {
		const char *url = json_string_value(json_array_get(urls, i));

		if (add_url(out, url))
			continue;
		control_error(answer, 404, "%s is in no source here", url);
		free(out->target);
		return -EINVAL;
	}
	if (out->n == 0) {
		control_error(answer, 400, "name at least one path or key");
		free(out->target);
		return -EINVAL;
	}
	return 0;
}

static bool name_is_right(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

	return n > 0 && n < JOBS_NAME_MAX && name[n] == '\0' &&
	       !(name[0] >= '0' && name[0] <= '9');
}

/* 0, or -EINVAL and the answer to that. */
static int read_spec(const json_t *root, struct jobs_spec *spec,
		     struct control_answer *out)
{
	const json_t *to = json_object_get(root, "to");
	const json_t *ring = json_object_get(root, "ring");
	const json_t *job = json_object_get(root, "job");
	char why[WHY_MAX];
	int r;

	spec->verify = json_is_true(json_object_get(root, "verify"));
	spec->dry_run = json_is_true(json_object_get(root, "dry_run"));
	spec->name = json_string_value(job);
	if (to != NULL && (!json_is_string(to) ||
			   strcmp(json_string_value(to), "ssd") != 0)) {
		control_error(out, 400,
			      "to: each loads to its own \"ssd\" only");
		return -EINVAL;
	}
	if (job != NULL && (spec->name == NULL || !name_is_right(spec->name))) {
		control_error(out, 400,
			      "job is a name of at most %d letters, digits, "
			      "'-', '_' and '.' that begins with a letter",
			      JOBS_NAME_MAX - 1);
		return -EINVAL;
	}
	if (ring == NULL)
		return 0;
	if (spec->kind != JOBS_LOAD) {
		control_error(out, 400, "ring: only a load is shared out");
		return -EINVAL;
	}
	r = ring_share_new(ring, &spec->filter, why);
	if (r < 0)
		control_error(out, r == -ENOMEM ? 500 : 400, "%s", why);
	return r;
}

static void start(const struct control_place *p, struct jobs_spec *spec,
		  const struct names *names, struct control_answer *out)
{
	int id = jobs_start(p->jobs, spec, names->target, names->n);

	if (id == -EBUSY) {
		control_error(out, 503, "%d jobs are running; try again later",
			      JOBS_KEPT);
		return;
	}
	if (id < 0) {
		control_error(out, 500, "%s", strerror(-id));
		return;
	}
	out->status = 202;
	out->body = json_pack("{s:o, s:s}", "id", json_sprintf("%d", id), "job",
			      spec->name != NULL ? spec->name : "");
}

void control_job(const struct control_place *p, const json_t *root,
		 enum jobs_kind kind, struct control_answer *out)
{
	struct jobs_spec spec = { .kind = kind };
	struct cache_disk_status d;
	struct names names;

	if (read_names(p, root, &names, out) < 0)
		return;
	if (read_spec(root, &spec, out) == 0) {
		if (kind == JOBS_LOAD && !spec.dry_run &&
		    cache_disks(p->sources[0].cache, &d, 1) == 0) {
			control_error(out, 409,
				      "there is no cache on the SSD here; "
				      "start it without cache-size=0");
			if (spec.filter != NULL)
				spec.filter->free(spec.filter);
		} else {
			start(p, &spec, &names, out);
		}
	}
	free(names.target);
}

void control_job_status(const struct control_place *p, const char *id,
			struct control_answer *out)
{
	json_t *j = jobs_status(p->jobs, id);

	if (j == NULL) {
		control_error(out, 404, "there is no such job");
		return;
	}
	out->status = 200;
	out->body = j;
}

/*
 * changed: a mount has written there, and may again in a moment. Then no rule
 * is written to the disk for those who come later: listings there go as well.
 */
static int invalidate(const struct control_place *p,
		      const struct jobs_target *t, bool changed)
{
	struct str key = str_of(t->text);

	if (!t->is_key)
		return p->invalidate(p->arg, t->text);
	if (key.n > 0 && key.p[key.n - 1] == '/')
		key.n--;
	if (changed)
		meta_gone(cache_meta(p->sources[t->source].cache), key);
	else
		meta_invalidate(cache_meta(p->sources[t->source].cache), key);
	return 0;
}

void control_invalidate(const struct control_place *p, const json_t *root,
			struct control_answer *out)
{
	bool changed = json_is_true(json_object_get(root, "changed"));
	struct names names;

	if (read_names(p, root, &names, out) < 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		int r = invalidate(p, &names.target[i], changed);

		if (r == 0)
			continue;
		control_error(out, r == -ENOENT ? 404 : 502, "/%s: %s",
			      names.target[i].text, strerror(-r));
		free(names.target);
		return;
	}
	free(names.target);
	out->status = 200;
	out->body = json_pack("{s:I}", "invalidated", (json_int_t)names.n);
}
