/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover_act.c - tarn recover --save, --commit, --discard
 *
 * A commit needs the source as the mount had it open. A mount of it that is
 * there tells how; a record does not, as it holds no options and no keys, so
 * that without a mount the source has to be named. Either is believed only
 * when it is the store and the prefix that the record is of.
 */
#include "fuse/cmd_recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "fuse/source.h"

/* As a person knows it. */
static const char *name_of(const struct recover_found *f,
			   char buf[static WHY_MAX])
{
	return cli_clean(f->path != NULL ? f->path : f->url, buf, WHY_MAX);
}

static int not_whole(const struct recover_found *f)
{
	char name[WHY_MAX];

	return cli_fail("%s: only what was written to the object is here, and "
			"not the rest of it; the bytes are in "
			"%s/%s/%s.data, and %s.json tells which",
			name_of(f, name), f->staging, f->r.dir, f->r.id,
			f->r.id);
}

static int save(const struct recover_request *q, const struct recover_found *f)
{
	char why[256] = "", name[WHY_MAX];
	struct recover_file file;
	int r, fd;

	if (recover_open(f->staging, &f->r, &file, why) < 0)
		return cli_fail("%s: %s", name_of(f, name), why);
	if (!file.r.whole) {
		recover_close(&file);
		return not_whole(f);
	}
	fd = open(q->save, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		r = -errno;
		recover_close(&file);
		return cli_fail("%s: %s", q->save,
				r == -EEXIST ? "it is there already; name a "
					       "new file"
					     : strerror(-r));
	}
	r = recover_save(&file, fd);
	recover_close(&file);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0)
		return CLI_DONE;
	unlink(q->save);
	return cli_fail("%s: %s", q->save, strerror(-r));
}

static int discard(const struct recover_found *f)
{
	char why[256] = "", name[WHY_MAX];
	struct recover_file file;
	int r;

	if (recover_claim(f->staging, &f->r, &file, why) < 0)
		return cli_fail("%s: %s", name_of(f, name), why);
	r = recover_discard(&file);
	recover_close(&file);
	return r < 0 ? cli_fail("%s: %s", name_of(f, name), strerror(-r))
		     : CLI_DONE;
}

/* ---- commit ---- */

/* Where it belongs. An exit code; *u and *o are the caller's. */
static int open_source(const struct recover_request *q,
		       const struct recover_found *f, struct options *o,
		       struct ufs **u)
{
	const char *named = q->source;
	AUTO_FREE char *source = NULL;
	char why[WHY_MAX] = "out of memory", name[WHY_MAX];
	int r;

	if (named == NULL && f->mount == NULL)
		return cli_fail("%s: no mount of yours has its source; name it "
				"with --source s3://BUCKET[/PREFIX], and its "
				"options with -o",
				name_of(f, name));
	if (named == NULL) {
		named = f->mount->source;
		r = client_mount_options(f->mount, o, why);
	} else {
		r = 0;
	}
	if (r == 0)
		r = source_check(named, &source, why);
	if (r == 0)
		r = source_defaults(o, false, why);
	if (r == 0)
		r = source_open(o, source, NULL, u, why);
	if (r < 0)
		return cli_fail("%s", why);
	if (strcmp((*u)->store, f->r.store) == 0 &&
	    strcmp((*u)->prefix, f->r.prefix) == 0)
		return CLI_DONE;
	cli_fail("%s: it is of %s/%s, and %s with these options is %s/%s",
		 name_of(f, name), f->r.store, f->r.prefix, source, (*u)->store,
		 (*u)->prefix);
	ufs_close(*u);
	return CLI_FAILED;
}

/* The mounts of the source see it now, and not when they ask next. */
static void tell_mounts(const struct recover_request *q,
			const struct recover_found *f)
{
	const char *below =
	    f->path != NULL ? cli_below(f->path, f->mount->dir) : NULL;

	for (struct client_mount *m = q->mounts; m != NULL && below != NULL;
	     m = m->next) {
		char why[WHY_MAX];
		json_t *body, *answer;

		if (!recover_is_of(&f->r, m))
			continue;
		body = json_pack("{s:[s]}", "paths", below);
		if (body != NULL && client_call(m->socket, "/-/invalidate",
						body, &answer, why) == 0)
			json_decref(answer);
		json_decref(body);
	}
}

static int commit_failed(const struct recover_found *f, int r)
{
	char name[WHY_MAX];
	const char *words = ufs_last_error();

	if (r == -ENODATA)
		return not_whole(f);
	if (r == -ESTALE || r == -EEXIST)
		return cli_fail("%s: the store has another version of it than "
				"it was written upon; replace that with "
				"--force, or --save it elsewhere",
				name_of(f, name));
	return cli_fail("%s: %s%s%s", name_of(f, name), strerror(-r),
			words[0] != '\0' ? ": " : "", words);
}

static int commit_to(const struct recover_request *q,
		     const struct recover_found *f, const struct options *o,
		     struct ufs *u)
{
	const struct recover_how how = {
		.force = q->force,
		.part_size = (uint64_t)options_number(o, OPT_PART_SIZE),
	};
	char why[256] = "", name[WHY_MAX];
	struct recover_file file;
	struct ufs_stat st;
	int r;

	u = ufs_writable(u);
	if (u == NULL)
		return cli_fail("%s: its source can only be read",
				name_of(f, name));
	if (recover_claim(f->staging, &f->r, &file, why) < 0)
		return cli_fail("%s: %s", name_of(f, name), why);
	r = recover_commit(&file, u, &how, &st, NULL);
	recover_close(&file);
	if (r < 0)
		return commit_failed(f, r);
	tell_mounts(q, f);
	return CLI_DONE;
}

static int commit(const struct recover_request *q,
		  const struct recover_found *f)
{
	struct options *own = NULL, *o = q->options;
	struct ufs *u;
	int r;

	/* What this shell says is of a source that it names. */
	if (q->source == NULL) {
		if (options_new(&own) < 0)
			return cli_fail("out of memory");
		o = own;
	}
	r = open_source(q, f, o, &u);
	if (r == CLI_DONE) {
		r = commit_to(q, f, o, u);
		ufs_close(u);
	}
	options_free(own);
	return r;
}

int recover_act(const struct recover_request *q, const struct recover_found *f)
{
	if (q->save != NULL)
		return save(q, f);
	return q->commit ? commit(q, f) : discard(f);
}
