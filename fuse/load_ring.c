/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_ring.c - loading into all workers of a ring, and freeing there
 */
#include "fuse/load_ring.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "fuse/ring_share.h"
#include "fuse/json_text.h"
#include "fuse/workers.h"
#include "ring/members.h"

#define ANSWER_TIME (5 * NSEC_PER_SEC)
#define LOOK (200 * NSEC_PER_MSEC)
#define SILENT_MAX 3 /* looks in a row that a worker does not answer */
#define ROUNDS_MAX 16
#define ERRORS_MAX 20
#define JOB_NAME 24
#define JOB_PATH (sizeof("/-/load/") + JOB_NAME)

int load_ring_open(struct load_ring *l, const char *o, const char *config)
{
	*l = (struct load_ring){ .members = NULL };
	log_set_level(LOG_LEVEL_WARN); /* who the workers are is no news */
	return client_ring_open(&l->client, o, config);
}

void load_ring_close(struct load_ring *l)
{
	members_close(l->members);
	free(l->workers);
	client_ring_close(&l->client);
	*l = (struct load_ring){ .members = NULL };
}

int load_ring_adopt(struct load_ring *l, const struct client_mount *m)
{
	const json_t *w = json_object_get(
	    json_object_get(json_object_get(m->status, "options"), "workers"),
	    "value");
	const char *now = options_text(l->client.options, OPT_WORKERS);
	int r;

	/* -o decides, and a mount without workers says nothing. */
	if (!json_is_string(w) ||
	    l->client.options->v[OPT_WORKERS].source == OPTION_FROM_COMMAND)
		return CLI_DONE;
	if (l->workers != NULL && now != NULL &&
	    strcmp(now, json_string_value(w)) != 0)
		return cli_fail("%s has other workers than another that is "
				"meant; name what is on one of them at a time",
				m->dir);
	if (l->workers != NULL)
		return CLI_DONE;
	r = client_ring_adopt(&l->client, m);
	if (r != CLI_DONE)
		return r;
	l->workers = strdup(json_string_value(w));
	return l->workers != NULL ? CLI_DONE : cli_fail("out of memory");
}

/* Who they are now: a reference. An exit code. */
static int ring_of(struct load_ring *l, struct ring **out)
{
	const struct options *o = l->client.options;
	const char *workers = options_text(o, OPT_WORKERS);
	char why[WHY_MAX] = "out of memory";
	struct members_view v;

	if (workers == NULL)
		return cli_usage("which workers? say it by -o workers=..., "
				 "TARN_WORKERS or the configuration file, or "
				 "name what is on a mount that has them");
	if (l->members == NULL &&
	    workers_members_open(o, NULL, &l->members, why) < 0)
		return cli_fail("%s", why);
	members_ring(l->members, &v);
	if (v.now == NULL) {
		struct members_status s;

		members_status(l->members, &s);
		members_view_fini(&v);
		return cli_fail("workers=%s names no worker%s%s", workers,
				s.failing ? ": " : "; is one running?",
				s.failing ? s.why : "");
	}
	*out = ring_ref(v.now);
	members_view_fini(&v);
	return CLI_DONE;
}

/* One worker, in a round. */
struct part {
	const char *worker; /* borrowed from the ring */
	bool lost;          /* it has no such job any more */
	unsigned silent;    /* looks in a row */
	bool ended;
	bool gone;   /* lost, with what it knew of the job */
	json_t *job; /* what it last said of it, or NULL */
	char *body;
};

struct fetched {
	json_int_t by_gone;
	json_t *by_silent; /* name: bytes */
};

struct round {
	struct load_ring *l;
	struct load_ring_job *j;
	const char *name;  /* the job's */
	struct ring *ring; /* owns a ref */
	size_t n;
	struct part *part;
	struct tell *tell;
};

static void round_fini(struct round *r)
{
	for (size_t i = 0; i < r->n && r->part != NULL; i++) {
		json_decref(r->part[i].job);
		free(r->part[i].body);
	}
	free(r->part);
	free(r->tell);
	ring_unref(r->ring);
	r->n = 0;
	r->part = NULL;
	r->tell = NULL;
	r->ring = NULL;
}

/* Takes ring. */
static int round_init(struct round *r, struct ring *ring)
{
	r->ring = ring;
	r->n = ring_workers(ring);
	r->part = calloc(r->n, sizeof(*r->part));
	r->tell = calloc(r->n, sizeof(*r->tell));
	if (r->part == NULL || r->tell == NULL)
		return cli_fail("out of memory");
	for (uint32_t i = 0; i < r->n; i++)
		r->part[i].worker = ring_name(ring, i);
	return CLI_DONE;
}

/* Ask all that are not lost, at path; with their bodies if they have some. */
static int ask_all(struct round *r, const char *path)
{
	struct ring_access a = client_ring_access(&r->l->client);
	size_t n = 0;
	int e;

	for (size_t i = 0; i < r->n; i++)
		if (!r->part[i].lost)
			r->tell[n++] =
			    (struct tell){ .worker = r->part[i].worker,
					   .path = path,
					   .body = r->part[i].body };
	e = tell_all(&a, r->tell, n, clock_ns() + ANSWER_TIME, NULL);
	if (e < 0) {
		tell_fini(r->tell, n);
		return cli_fail("%s", strerror(-e));
	}
	return CLI_DONE;
}

/* Who of all answers: the ring that is left. An exit code. */
static int find_left(struct round *r, struct ring *all, struct ring **out)
{
	AUTO_FREE struct ring_member *m = calloc(ring_workers(all), sizeof(*m));
	char path[JOB_PATH], why[WHY_MAX] = "";
	size_t n = 0;
	int code = round_init(r, ring_ref(all)), e;

	if (code == CLI_DONE && m == NULL)
		code = cli_fail("out of memory");
	snprintf(path, sizeof(path), "/-/load/%s", r->name);
	if (code == CLI_DONE)
		code = ask_all(r, path);
	if (code != CLI_DONE)
		return code;
	for (uint32_t i = 0; i < r->n; i++) {
		const struct tell *t = &r->tell[i];
		json_t *answer = NULL;

		e = client_ring_answer(&r->l->client, t, &answer, why);
		json_decref(answer);
		/* What it answers matters only if it does not know us. */
		if (t->err < 0) {
			cli_fail("%s; it is left out", why);
			continue;
		}
		if (e == -EACCES) {
			code = cli_fail("%s", why);
			break;
		}
		m[n++] = (struct ring_member){ ring_name(all, i),
					       ring_weight(all, i) };
	}
	tell_fini(r->tell, r->n);
	if (code == CLI_DONE && n == 0)
		code =
		    cli_fail("no worker of workers=%s answers",
			     options_text(r->l->client.options, OPT_WORKERS));
	if (code == CLI_DONE && ring_new(m, n, out) < 0)
		code = cli_fail("out of memory");
	round_fini(r);
	return code;
}

static char *body_for(const struct round *r, const char *worker)
{
	const struct load_ring_job *j = r->j;
	json_t *body = json_pack("{s:O, s:b, s:s}", "urls", j->urls, "dry_run",
				 j->dry_run, "job", r->name);
	char *text;

	if (!j->free) {
		json_object_set_new(body, "verify", json_boolean(j->verify));
		json_object_set_new(body, "ring",
				    ring_share_member(r->ring, worker));
	}
	text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	return text;
}

/* Give the job to all. An exit code; who does not take it is lost. */
static int hand_out(struct round *r)
{
	char why[WHY_MAX];
	int code;

	for (size_t i = 0; i < r->n; i++) {
		r->part[i].body = body_for(r, r->part[i].worker);
		if (r->part[i].body == NULL)
			return cli_fail("out of memory");
	}
	code = ask_all(r, r->j->free ? "/-/free" : "/-/load");
	for (size_t i = 0; i < r->n && code == CLI_DONE; i++) {
		json_t *answer = NULL;

		if (client_ring_answer(&r->l->client, &r->tell[i], &answer,
				       why) < 0) {
			r->part[i].lost = true;
			if (r->tell[i].err == 0)
				code = cli_fail("%s", why);
		}
		json_decref(answer);
	}
	tell_fini(r->tell, r->n);
	for (size_t i = 0; i < r->n; i++) {
		free(r->part[i].body);
		r->part[i].body = NULL;
	}
	return code;
}

static void hear(struct round *r, struct part *p, const struct tell *t)
{
	char why[WHY_MAX];
	const char *state;
	json_t *answer;
	int e = client_ring_answer(&r->l->client, t, &answer, why);

	if (t->err < 0) {
		p->gone = t->err == -ECONNREFUSED;
		p->lost = p->gone || ++p->silent >= SILENT_MAX;
	} else if (e < 0) {
		p->lost = p->gone = true; /* it was started anew */
	} else {
		p->silent = 0;
		json_decref(p->job);
		p->job = answer;
		state = json_string_value(json_object_get(answer, "state"));
		p->lost = state == NULL || strcmp(state, "cancelled") == 0;
		p->ended = !p->lost && strcmp(state, "running") != 0;
	}
	if (p->lost)
		cli_fail("%s has lost its part: %s; it goes to those that are "
			 "left",
			 p->worker, e < 0 ? why : "it was told to end");
}

/* A look at all. An exit code. */
static int look(struct round *r)
{
	char path[JOB_PATH];
	size_t n = 0;
	int code;

	snprintf(path, sizeof(path), "/-/load/%s", r->name);
	code = ask_all(r, path);
	if (code != CLI_DONE)
		return code;
	for (size_t i = 0; i < r->n; i++)
		if (!r->part[i].lost)
			hear(r, &r->part[i], &r->tell[n++]);
	tell_fini(r->tell, n);
	return CLI_DONE;
}

/* Of a load each does a part; what is freed each looks for as a whole. */
static void add_up(json_t *sum, const json_t *job)
{
	static const struct {
		const char *name;
		bool named; /* of what is named, not of what was done */
	} numbers[] = {
		{ "files", true },           { "files_done", true },
		{ "bytes", true },           { "bytes_done", true },
		{ "fetched_bytes", false },  { "ssd_bytes", false },
		{ "verified_bytes", false }, { "verified_pages", false },
		{ "failed", false },
	};
	const char *kind = json_string_value(json_object_get(job, "kind"));
	bool whole = kind != NULL && strcmp(kind, "free") == 0;
	json_t *errors = json_object_get(sum, "errors");
	const json_t *more = json_object_get(job, "errors");

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const char *name = numbers[i].name;
		json_int_t a = json_integer_value(json_object_get(sum, name));
		json_int_t b = json_integer_value(json_object_get(job, name));
		json_int_t n = whole && numbers[i].named ? MAX(a, b) : a + b;

		json_object_set_new(sum, name, json_integer(n));
	}
	for (size_t i = 0;
	     i < json_array_size(more) && json_array_size(errors) < ERRORS_MAX;
	     i++)
		json_array_append(errors, json_array_get(more, i));
	if (!json_is_true(json_object_get(job, "walked")))
		json_object_set_new(sum, "walked", json_false());
}

static const char *state_of(const json_t *job)
{
	const char *s = json_string_value(json_object_get(job, "state"));

	return s != NULL ? s : "running";
}

/* What all parts are together; NULL: no memory. */
static json_t *sum_of(const struct round *r)
{
	json_t *sum = json_pack("{s:s, s:b, s:[], s:[]}", "job", r->name,
				"walked", 1, "errors", "workers");
	json_t *workers = json_object_get(sum, "workers");
	const char *state = "done";

	for (size_t i = 0; i < r->n; i++) {
		const struct part *p = &r->part[i];
		const char *s = p->job != NULL ? state_of(p->job) : "running";
		json_int_t bytes =
		    json_integer_value(json_object_get(p->job, "bytes"));

		add_up(sum, p->job);
		json_array_append_new(
		    workers,
		    json_pack("{s:o, s:s, s:I}", "name", json_text(p->worker),
			      "state", p->lost ? "lost" : s, "bytes", bytes));
		if (p->lost || strcmp(state, "lost") == 0)
			state = "lost";
		else if (strcmp(s, "running") == 0)
			state = s;
		else if (strcmp(state, "done") == 0)
			state = s;
	}
	if (sum != NULL)
		json_object_set_new(sum, "state", json_string(state));
	return sum;
}

static int watch(struct round *r, bool *lost)
{
	const struct timespec pause = { .tv_nsec = LOOK };
	bool running = true;

	while (running) {
		int code = look(r);
		json_t *sum;

		if (code != CLI_DONE)
			return code;
		running = *lost = false;
		for (size_t i = 0; i < r->n; i++) {
			const struct part *p = &r->part[i];

			running |= !p->lost && !p->ended;
			*lost |= p->lost;
		}
		sum = sum_of(r);
		if (sum != NULL && r->j->progress != NULL)
			r->j->progress(r->j->arg, sum);
		json_decref(sum);
		if (running)
			nanosleep(&pause, NULL);
	}
	return CLI_DONE;
}

/*
 * What those that were lost had fetched, as far as they said it. One that was
 * only silent may be in a later round, and tells of it then.
 */
static void note_lost(const struct round *r, struct fetched *f)
{
	for (size_t i = 0; i < r->n && r->part != NULL; i++) {
		const struct part *p = &r->part[i];
		json_int_t n = json_integer_value(
		    json_object_get(p->job, "fetched_bytes"));

		if (p->gone)
			f->by_gone += n;
		else if (p->lost)
			json_object_set_new(f->by_silent, p->worker,
					    json_integer(n));
		else
			json_object_del(f->by_silent, p->worker);
	}
}

/* One round, with whom answers now. *again: somebody was lost. */
static int round_run(struct load_ring *l, struct load_ring_job *j,
		     const char *name, bool first, struct fetched *fetched,
		     bool *again)
{
	struct round r = { .l = l, .j = j, .name = name };
	struct ring *all = NULL, *left = NULL;
	int code = ring_of(l, &all);
	bool lost = false;

	if (code == CLI_DONE)
		code = find_left(&r, all, &left);
	if (code == CLI_DONE)
		code = round_init(&r, left);
	if (code == CLI_DONE)
		code = hand_out(&r);
	if (code == CLI_DONE && first && j->began != NULL)
		j->began(j->arg, name, r.n);
	if (code == CLI_DONE && !j->detach)
		code = watch(&r, &lost);
	*again = code == CLI_DONE && lost;
	note_lost(&r, fetched);
	if (code == CLI_DONE && !lost) {
		j->sum = sum_of(&r);
		if (j->sum == NULL)
			code = cli_fail("out of memory");
	}
	round_fini(&r);
	ring_unref(all);
	return code;
}

int load_ring_run(struct load_ring *l, struct load_ring_job *j)
{
	struct fetched f = { .by_silent = json_object() };
	char name[JOB_NAME];
	const char *worker;
	bool again = true;
	int code = CLI_DONE;
	uint64_t random;
	json_t *n;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = (uint64_t)clock_wall_ns();
	snprintf(name, sizeof(name), "r%016jx", (uintmax_t)random);
	for (int i = 0; code == CLI_DONE && again; i++)
		code = i < ROUNDS_MAX
			   ? round_run(l, j, name, i == 0, &f, &again)
			   : cli_fail("workers of the ring die again and "
				      "again; look at their logs");
	if (code == CLI_DONE) {
		f.by_gone += json_integer_value(
		    json_object_get(j->sum, "fetched_bytes"));
		json_object_foreach(f.by_silent, worker, n) f.by_gone +=
		    json_integer_value(n);
		json_object_set_new(j->sum, "fetched_bytes",
				    json_integer(f.by_gone));
	}
	json_decref(f.by_silent);
	return code;
}

int load_ring_ask(struct load_ring *l, const char *job, json_t **sum)
{
	struct round r = { .l = l, .name = job };
	char path[256], why[WHY_MAX];
	struct ring *all;
	size_t known = 0;
	int code = ring_of(l, &all);

	if (code == CLI_DONE)
		code = round_init(&r, all);
	snprintf(path, sizeof(path), "/-/load/%.*s",
		 (int)strspn(job, "abcdefghijklmnopqrstuvwxyz0123456789"), job);
	if (code == CLI_DONE)
		code = ask_all(&r, path);
	for (size_t i = 0; code == CLI_DONE && i < r.n; i++) {
		struct part *p = &r.part[i];
		int e =
		    client_ring_answer(&l->client, &r.tell[i], &p->job, why);

		if (e == -EACCES)
			code = cli_fail("%s", why);
		else if (e < 0 && e != -ENOENT)
			cli_fail("%s", why);
		p->lost = e < 0;
		known += e == 0;
	}
	if (r.part != NULL)
		tell_fini(r.tell, r.n);
	if (code == CLI_DONE && known == 0)
		code = cli_fail("no worker knows of a job %s", job);
	if (code == CLI_DONE) {
		*sum = sum_of(&r);
		if (*sum == NULL)
			code = cli_fail("out of memory");
	}
	round_fini(&r);
	return code;
}
