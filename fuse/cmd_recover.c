/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_recover.c - tarn recover [PATH|URL|ID] [--json]
 *		   [--save FILE | --commit | --discard]
 *
 * Looks into the staging directories themselves, so that it needs no mount:
 * into the one that the options name, and those of the mounts of this user. A
 * file is called by its path where a mount has its source, else by its URL.
 */
#include "fuse/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "cache/own_dir.h"
#include "fuse/cmd_recover.h"
#include "fuse/json_text.h"
#include "fuse/names.h"
#include "fuse/source.h"
#include "fuse/start.h"
#include "ufs/encode.h"

/* ---- what there is ---- */

static const char *of_commits(const struct client_mount *m, const char *name)
{
	const json_t *c = json_object_get(m->status, "commits");
	const char *s = json_string_value(json_object_get(c, name));

	return s != NULL ? s : "";
}

/* As the status tells it, which has text only. */
static bool same_text(const char *a, const char *told)
{
	json_t *j = json_text(a);
	const char *s = json_string_value(j);
	bool same = s != NULL && strcmp(s, told) == 0;

	json_decref(j);
	return same;
}

bool recover_is_of(const struct recover_record *r, const struct client_mount *m)
{
	return m->socket != NULL &&
	       same_text(r->store, of_commits(m, "store")) &&
	       same_text(r->prefix, of_commits(m, "prefix"));
}

/* The path below a mount of a key, when no directory has its name (heap). */
static char *path_of(const char *dir, struct str key)
{
	struct text t = { 0 };
	char name[NAME_LEN_MAX + 1];
	size_t from = 0;

	text_adds(&t, dir);
	while (from <= key.n) {
		const char *slash = memchr(key.p + from, '/', key.n - from);
		size_t to = slash != NULL ? (size_t)(slash - key.p) : key.n;
		struct str comp = { key.p + from, to - from };
		bool data = slash == NULL && comp.n == 0;

		text_adds(&t, "/");
		text_add(
		    &t, name,
		    name_from_key(comp, data ? NAME_DATA : NAME_PLAIN, name));
		from = to + 1;
	}
	return t.failed ? NULL : t.p;
}

/*
 * s3://BUCKET/KEY or file://DIRECTORY/KEY (heap); of a store that was given a
 * name, that and the key. A key may hold a NUL: what is behind it is left out.
 */
static char *url_of(const struct recover_record *r)
{
	const char *store = r->store, *scheme = "", *bucket;
	char *url = NULL;

	bucket = strrchr(store, '/');
	if (strncmp(store, "s3://", 5) == 0 && bucket != NULL) {
		scheme = "s3://";
		store = bucket + 1;
	}
	return asprintf(&url, "%s%s/%s%s", scheme, store, r->prefix, r->key) < 0
		   ? NULL
		   : url;
}

static int keep(void *arg, struct recover_record *r)
{
	struct recover_request *q = arg;
	struct recover_found *f;

	if (!recover_has(r))
		return 0;
	f = realloc(q->found, (q->n + 1) * sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	q->found = f;
	f = &q->found[q->n];
	*f = (struct recover_found){ .staging = q->looking_at,
				     .url = url_of(r) };
	for (struct client_mount *m = q->mounts; m != NULL && f->mount == NULL;
	     m = m->next)
		if (recover_is_of(r, m))
			f->mount = m;
	if (f->mount != NULL)
		f->path =
		    path_of(f->mount->dir, (struct str){ r->key, r->key_len });
	if (f->url == NULL || (f->mount != NULL && f->path == NULL)) {
		free(f->url);
		free(f->path);
		return -ENOMEM;
	}
	f->r = *r;
	r->store = r->prefix = r->key = r->upload = NULL;
	q->n++;
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct recover_found *x = a, *y = b;

	return (x->r.mtime > y->r.mtime) - (x->r.mtime < y->r.mtime);
}

/* asked: it was named, or is the default; else it is that of some mount. */
static int look_into(struct recover_request *q, const char *dir, bool asked)
{
	char why[256] = "out of memory";
	void *more;
	char *own;

	if (dir == NULL)
		return CLI_DONE;
	for (size_t i = 0; i < q->ndirs; i++)
		if (strcmp(q->dirs[i], dir) == 0)
			return CLI_DONE;
	own = own_dir_absolute(dir);
	more = realloc(q->dirs, (q->ndirs + 1) * sizeof(*q->dirs));
	if (more != NULL)
		q->dirs = more;
	if (own == NULL || more == NULL) {
		free(own);
		return cli_fail("out of memory");
	}
	q->dirs[q->ndirs++] = own;
	q->looking_at = own;
	if (recover_each(own, keep, q, why) >= 0)
		return CLI_DONE;
	if (asked)
		return cli_fail("%s", why);
	fprintf(stderr, "tarn: %s; it is left out\n", why);
	return CLI_DONE;
}

static int look(struct recover_request *q)
{
	int r = look_into(q,
			  q->staging_dir != NULL
			      ? q->staging_dir
			      : options_text(q->options, OPT_STAGING_DIR),
			  true);

	for (struct client_mount *m = q->mounts;
	     m != NULL && r == CLI_DONE && q->staging_dir == NULL;
	     m = m->next) {
		const json_t *o = json_object_get(m->status, "options");

		o = json_object_get(o, option_rows[OPT_STAGING_DIR].name);
		r = look_into(q, json_string_value(json_object_get(o, "value")),
			      false);
	}
	if (q->n > 0)
		qsort(q->found, q->n, sizeof(*q->found), by_time);
	return r;
}

/* ---- which of them is meant ---- */

/* The key of a path below a mount: into key, its length. */
static int key_of(const char *below, char key[static UFS_KEY_MAX + 1],
		  size_t *n)
{
	*n = 0;
	while (*below != '\0') {
		size_t len = strcspn(below, "/");
		struct name_key nk;
		int r = name_to_key((struct str){ below, len }, &nk);

		if (r < 0)
			return r;
		if (nk.kind == NAME_LONG || *n + nk.n + 2 > UFS_KEY_MAX)
			return -ENAMETOOLONG;
		if (*n > 0)
			key[(*n)++] = '/';
		memcpy(key + *n, nk.comp, nk.kind == NAME_DATA ? 0 : nk.n);
		*n += nk.kind == NAME_DATA ? 0 : nk.n;
		below += len;
		below += strspn(below, "/");
	}
	key[*n] = '\0';
	return 0;
}

/* name itself (exact), or what is below it as well. */
static bool is_or_below(struct str s, struct str name, bool exact)
{
	if (str_eq(s, name))
		return true;
	return !exact && str_starts(s, name) &&
	       (name.n == 0 || s.p[name.n] == '/');
}

static int mark_path(struct recover_request *q, bool exact)
{
	AUTO_FREE char *below = NULL;
	char key[UFS_KEY_MAX + 1];
	struct client_mount *m;
	size_t n;
	int r = client_find_path(q->mounts, q->what, &m, &below);

	if (r < 0)
		return cli_fail("%s is on no mount of yours; name a URL or an "
				"ID that `tarn recover` lists",
				q->what);
	if (key_of(below, key, &n) < 0)
		return cli_fail("%s: no file of a mount has this name; name an "
				"ID that `tarn recover` lists",
				q->what);
	for (size_t i = 0; i < q->n; i++) {
		const struct recover_record *rec = &q->found[i].r;

		q->found[i].meant =
		    recover_is_of(rec, m) &&
		    is_or_below((struct str){ rec->key, rec->key_len },
				(struct str){ key, n }, exact);
	}
	return CLI_DONE;
}

static int mark_meant(struct recover_request *q, bool exact)
{
	bool id = q->what != NULL && strlen(q->what) == RECOVER_ID &&
		  strspn(q->what, "0123456789abcdef") == RECOVER_ID;
	bool url = q->what != NULL && strstr(q->what, "://") != NULL;
	size_t n = q->what != NULL ? strlen(q->what) : 0;

	if (q->what != NULL && !id && !url)
		return mark_path(q, exact);
	while (url && n > 0 && q->what[n - 1] == '/')
		n--;
	for (size_t i = 0; i < q->n; i++) {
		struct recover_found *f = &q->found[i];

		f->meant =
		    q->what == NULL || (id && strcmp(f->r.id, q->what) == 0) ||
		    (url && is_or_below(str_of(f->url),
					(struct str){ q->what, n }, exact));
	}
	return CLI_DONE;
}

/* ---- the list ---- */

static const char *state_of(const struct recover_record *r)
{
	return r->err != 0 ? "failed"
	       : r->acked  ? "waiting"
	       : r->live   ? "open"
			   : "interrupted";
}

static json_t *found_json(const struct recover_found *f)
{
	const struct recover_record *r = &f->r;
	AUTO_FREE char *file = NULL;
	json_t *j;

	if (asprintf(&file, "%s/%s/%s.data", f->staging, r->dir, r->id) < 0)
		file = NULL;
	j = json_pack("{s:s, s:s, s:b, s:I, s:I, s:b, s:b}", "id", r->id,
		      "state", state_of(r), "open", r->live, "size",
		      (json_int_t)r->size, "mtime",
		      (json_int_t)(r->mtime / NSEC_PER_SEC), "whole", r->whole,
		      "exact", r->exact);
	json_object_set_new(j, "path",
			    f->path != NULL ? json_text(f->path) : json_null());
	json_object_set_new(j, "url", json_text(f->url));
	json_object_set_new(j, "store", json_text(r->store));
	json_object_set_new(j, "prefix", json_text(r->prefix));
	json_object_set_new(j, "key", json_text(r->key));
	json_object_set_new(j, "error",
			    r->err != 0 ? json_string(strerror(r->err))
					: json_null());
	json_object_set_new(j, "bound",
			    json_string(r->bound == UFS_IF_ANY ? "any"
					: r->bound == UFS_IF_ABSENT
					    ? "absent"
					    : "version"));
	json_object_set_new(j, "version", json_text(r->version));
	json_object_set_new(j, "file", json_text(file != NULL ? file : ""));
	return j;
}

static int print_json(const struct recover_request *q)
{
	json_t *a = json_array();

	for (size_t i = 0; i < q->n; i++)
		if (q->found[i].meant)
			json_array_append_new(a, found_json(&q->found[i]));
	return client_print(
	    json_pack("{s:s, s:o}", "version", TARN_VERSION, "files", a));
}

static void print_found(const struct recover_found *f)
{
	const struct recover_record *r = &f->r;
	time_t t = (time_t)(r->mtime / NSEC_PER_SEC);
	char size[32], when[32] = "", name[4096];
	struct tm tm;

	if (localtime_r(&t, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf(
	    "%s  %10s  %s  %s\n    %s%s%s\n", r->id,
	    units_format_size(r->size, size, sizeof(size)), when,
	    cli_clean(f->path != NULL ? f->path : f->url, name, sizeof(name)),
	    r->err != 0 ? strerror(r->err)
	    : r->acked
		? (r->live ? "closed, and on its way"
			   : "closed; the next mount brings it to the store")
	    : r->live ? "being written"
		      : "interrupted: its mount ended before the store "
			"had it",
	    r->err != 0 && r->live ? "; still open" : "",
	    r->whole ? "" : "; only what was written to the object is here");
}

static int list(struct recover_request *q)
{
	size_t n = 0;
	int r = mark_meant(q, false);

	if (r != CLI_DONE)
		return r;
	if (q->json)
		return print_json(q);
	for (size_t i = 0; i < q->n; i++)
		if (q->found[i].meant) {
			print_found(&q->found[i]);
			n++;
		}
	if (n == 0)
		printf("nothing is to be recovered\n");
	return CLI_DONE;
}

/* ---- the command ---- */

static int act(struct recover_request *q)
{
	const struct recover_found *one = NULL;
	size_t n = 0;
	int r = mark_meant(q, true);

	if (r != CLI_DONE)
		return r;
	for (size_t i = 0; i < q->n; i++)
		if (q->found[i].meant) {
			one = &q->found[i];
			n++;
		}
	if (n == 0)
		return cli_fail("%s: nothing of it is to be recovered; `tarn "
				"recover` lists what is",
				q->what);
	if (n > 1)
		return cli_fail("%s: %zu files match; name one by its ID, "
				"which `tarn recover %s` lists",
				q->what, n, q->what);
	return recover_act(q, one);
}

static int check(const struct recover_request *q, int operands)
{
	int actions = (q->save != NULL) + q->commit + q->discard;

	if (operands > 1)
		return cli_usage("recover takes one path, URL or ID");
	if (actions > 1)
		return cli_usage("recover: --save, --commit and --discard are "
				 "one at a time");
	if (actions > 0 && operands == 0)
		return cli_usage("recover: which file? `tarn recover` lists "
				 "them");
	if (actions > 0 && q->json)
		return cli_usage("recover: --json is for the list");
	if ((q->force || q->source != NULL) && !q->commit)
		return cli_usage("recover: --force and --source go with "
				 "--commit");
	return CLI_DONE;
}

static int run(struct recover_request *q)
{
	char why[WHY_MAX] = "out of memory";
	int r = q->o != NULL ? options_parse(q->options, q->o, why) : 0;

	if (r < 0)
		return cli_usage("-o %s", why);
	/* What a mount that writes would have. */
	if (start_options(q->options, q->config, why) < 0 ||
	    options_set(q->options, "ro", "off", OPTION_FROM_COMMAND,
			"tarn recover", why) < 0)
		return cli_usage("%s", why);
	if (source_defaults(q->options, false, why) < 0 ||
	    source_writes_defaults(q->options, false, why) < 0)
		return cli_fail("%s", why);
	q->mounts = client_mounts(NULL);
	r = look(q);
	if (r == CLI_DONE)
		r = q->save != NULL || q->commit || q->discard ? act(q)
							       : list(q);
	return r;
}

static void request_fini(struct recover_request *q)
{
	for (size_t i = 0; i < q->n; i++) {
		recover_record_fini(&q->found[i].r);
		free(q->found[i].path);
		free(q->found[i].url);
	}
	for (size_t i = 0; i < q->ndirs; i++)
		free(q->dirs[i]);
	free(q->dirs);
	free(q->found);
	client_mounts_free(q->mounts);
	options_free(q->options);
}

int cmd_recover(int argc, char **argv)
{
	struct recover_request q = { .what = NULL };
	const struct cli_flag flags[] = {
		{ "--json", &q.json, NULL },
		{ "--commit", &q.commit, NULL },
		{ "--discard", &q.discard, NULL },
		{ "--force", &q.force, NULL },
		{ "--save", NULL, &q.save },
		{ "--source", NULL, &q.source },
		{ "--staging-dir", NULL, &q.staging_dir },
		{ "-o", NULL, &q.o },
		{ "-c", NULL, &q.config },
	};
	int n = cli_args("recover", argc, argv, flags, ARRAY_SIZE(flags));
	int r;

	if (n < 0)
		return CLI_USAGE;
	r = check(&q, n);
	if (r != CLI_DONE)
		return r;
	q.what = n == 1 ? argv[0] : NULL;
	if (options_new(&q.options) < 0)
		return cli_fail("out of memory");
	r = run(&q);
	request_fini(&q);
	return r;
}
