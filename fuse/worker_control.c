/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_control.c - what a worker can be asked to do, below /-/
 */
#include "fuse/worker_control.h"

#include <errno.h>

#include "fuse/control_jobs.h"

#define WIDTH_MAX 16 /* objects that are loaded at a time */

struct worker_control {
	struct control_source *sources;
	struct control_place place;
};

/* The URL of a key. */
static char *name_of(void *arg, struct str key, bool dir)
{
	const struct worker_source *s = arg;
	char *out;

	(void)dir;
	if (asprintf(&out, "%s/%.*s", s->source, (int)key.n, key.p) < 0)
		return NULL;
	return out;
}

int worker_control_start(const struct worker *w, struct worker_control **out)
{
	unsigned width =
	    (unsigned)options_number(w->options, OPT_MAX_CONNECTIONS);
	AUTO_FREE struct jobs_source *names =
	    calloc(w->nsources, sizeof(*names));
	struct worker_control *c = calloc(1, sizeof(*c));
	int r = -ENOMEM;

	if (c == NULL)
		return -ENOMEM;
	c->sources = calloc(w->nsources, sizeof(*c->sources));
	if (names != NULL && c->sources != NULL) {
		for (size_t i = 0; i < w->nsources; i++) {
			struct worker_source *s = &w->sources[i];

			names[i] = (struct jobs_source){ .cache = s->cache,
							 .name_of = name_of,
							 .arg = s };
			c->sources[i] =
			    (struct control_source){ s->source, s->bucket,
						     s->cache };
		}
		c->place.sources = c->sources;
		c->place.nsources = w->nsources;
		r = jobs_new(names, w->nsources, MIN(width, WIDTH_MAX),
			     &c->place.jobs);
	}
	if (r < 0)
		worker_control_stop(c);
	else
		*out = c;
	return r;
}

void worker_control_stop(struct worker_control *c)
{
	if (c == NULL)
		return;
	jobs_free(c->place.jobs);
	free(c->sources);
	free(c);
}

static bool is_job(const char *path)
{
	return strncmp(path, "/-/load/", 8) == 0;
}

bool worker_control_has(const char *path)
{
	return strcmp(path, "/-/load") == 0 || strcmp(path, "/-/free") == 0 ||
	       strcmp(path, "/-/invalidate") == 0 || is_job(path);
}

static void post(struct worker_control *c, const char *path, struct str body,
		 struct control_answer *out)
{
	json_t *root = control_body(body.p, body.n, out);

	if (root == NULL)
		return;
	if (strcmp(path, "/-/invalidate") == 0)
		control_invalidate(&c->place, root, out);
	else
		control_job(
		    &c->place, root,
		    strcmp(path, "/-/free") == 0 ? JOBS_FREE : JOBS_LOAD, out);
	json_decref(root);
}

int worker_control_page(struct worker_control *c, const char *method,
			const char *path, struct str body,
			struct server_page *out)
{
	struct control_answer a = { 0 };

	if ((strcmp(method, "POST") == 0) == is_job(path))
		return -EOPNOTSUPP;
	if (is_job(path))
		control_job_status(&c->place, path + 8, &a);
	else
		post(c, path, body, &a);
	out->status = a.status;
	out->type = "application/json";
	out->text = a.body != NULL ? json_dumps(a.body, JSON_INDENT(1)) : NULL;
	json_decref(a.body);
	return out->text != NULL ? 0 : -ENOMEM;
}

json_t *worker_control_jobs(struct worker_control *c)
{
	return jobs_list(c->place.jobs);
}
