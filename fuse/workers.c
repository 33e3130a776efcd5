/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers.c - a mount's workers: who they are, and the store behind them
 */
#include "fuse/workers.h"

#include <errno.h>

#include "base/clock.h"
#include "fuse/cluster.h"
#include "fuse/json_text.h"
#include "fuse/told.h"
#include "ring/members.h"
#include "ring/server.h"
#include "ring/tell.h"
#include "ring/tier.h"

#define TELL_TIME (5 * NSEC_PER_SEC)
#define FIRST_VIEW (3 * NSEC_PER_SEC) /* is waited for at the start */

struct workers {
	char *from;                    /* workers= */
	const struct options *options; /* borrowed */
	char *secret;                  /* the cluster's key, or NULL */
	struct members *members;
	struct ufs *ufs;
	struct told *told; /* NULL: nothing is written here */
};

static void made(void *arg, struct str key)
{
	struct workers *w = arg;

	if (w->told != NULL)
		told_add(w->told, key);
}

static void view(void *arg, struct tier_view *out)
{
	struct workers *w = arg;
	struct members_view v;

	members_ring(w->members, &v);
	*out = (struct tier_view){ .now = v.now,
				   .before = v.before,
				   .epoch = v.epoch };
}

/*
 * Half of the time that metadata may be believed is the worker's: then the
 * mount still has the other half of it (a worker says how old its answer is).
 */
static int64_t max_age(const struct options *o)
{
	int64_t ttl;

	switch (options_consistency(o, &ttl)) {
	case CONSISTENCY_STRICT:
		return 0;
	case CONSISTENCY_IMMUTABLE:
		return -1;
	default:
		return ttl / 2 / NSEC_PER_SEC * NSEC_PER_SEC;
	}
}

static struct members_conf members_of(const struct options *o)
{
	return (struct members_conf){
		.workers = options_text(o, OPT_WORKERS),
		.tls = cluster_tls(o),
	};
}

/* r, and when it is a failure what is known of it. */
static int in_words(int r, const char *words, char why[static WHY_MAX])
{
	if (r < 0)
		snprintf(why, WHY_MAX, "%s",
			 words[0] != '\0' ? words : strerror(-r));
	return r;
}

int workers_join(const struct options *o, const char *name, uint64_t weight,
		 struct members_join **out, char why[static WHY_MAX])
{
	struct members_conf conf = members_of(o);
	char words[256] = "";

	return in_words(members_join(&conf, name, weight, out, words), words,
			why);
}

int workers_members_begin(const struct options *o, struct members **out,
			  char why[static WHY_MAX])
{
	struct members_conf conf = members_of(o);
	char words[256] = "";

	return in_words(members_open(&conf, out, words), words, why);
}

int workers_members_open(const struct options *o, struct cancel *cancel,
			 struct members **out, char why[static WHY_MAX])
{
	int r = workers_members_begin(o, out, why);

	if (r < 0)
		return r;
	r = members_wait(*out, 0, clock_ns() + FIRST_VIEW, cancel);
	if (r != -ECANCELED)
		return 0; /* members.c says why, and goes on asking */
	members_close(take_ptr(*out));
	snprintf(why, WHY_MAX, "interrupted; nothing is mounted");
	return r;
}

/* secret is the caller's, who frees it with cluster_key_free(). */
static int peers_of(const struct options *o, struct peers_conf *out,
		    char **secret, char why[static WHY_MAX])
{
	const char *file = options_text(o, OPT_CLUSTER_KEY_FILE);
	int r = file != NULL ? cluster_key_read(file, secret, why) : 0;

	*out = (struct peers_conf){ .access = { *secret, cluster_tls(o) } };
	return r == 0 ? server_tls_check(&out->access.tls, why) : r;
}

int workers_peers(const struct options *o, struct peers **out,
		  char why[static WHY_MAX])
{
	struct peers_conf conf;
	char *secret = NULL;
	int r = peers_of(o, &conf, &secret, why);

	if (r == 0)
		r = peers_new(&conf, out);
	cluster_key_free(secret);
	return r;
}

static int open_tier(struct workers *w, const struct options *o,
		     const char *source, struct ufs *store,
		     char why[static WHY_MAX])
{
	AUTO_FREE char *bucket =
	    cluster_bucket(source, options_text(o, OPT_STORE_ID));
	struct tier_conf conf = {
		.store = store,
		.bucket = bucket,
		.view = view,
		.view_arg = w,
		.max_age = max_age(o),
		.made = made,
		.made_arg = w,
	};
	int r = -ENOMEM;

	if (bucket != NULL)
		r = peers_of(o, &conf.peers, &w->secret, why);
	if (r == 0)
		r = tier_open(&conf, &w->ufs);
	return r;
}

static int begin_telling(struct workers *w, const char *source)
{
	const struct told_conf conf = {
		.source = source,
		.members = w->members,
		.ufs = w->ufs,
		.access = { w->secret, cluster_tls(w->options) },
	};

	return told_new(&conf, &w->told);
}

int workers_open(const struct options *o, const char *source, struct ufs *store,
		 struct cancel *cancel, struct workers **out,
		 char why[static WHY_MAX])
{
	struct workers *w;
	int r;

	*out = NULL;
	if (!options_is_set(o, OPT_WORKERS))
		return 0;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->options = o;
	w->from = strdup(options_text(o, OPT_WORKERS));
	snprintf(why, WHY_MAX, "workers=: out of memory");
	r = w->from != NULL ? workers_members_open(o, cancel, &w->members, why)
			    : -ENOMEM;
	if (r == 0)
		r = open_tier(w, o, source, store, why);
	if (r == 0 && options_number(o, OPT_RO) == 0)
		r = begin_telling(w, source);
	if (r < 0)
		workers_close(w);
	else
		*out = w;
	return r;
}

void workers_close(struct workers *w)
{
	if (w == NULL)
		return;
	told_free(w->told);
	ufs_close(w->ufs);
	members_close(w->members);
	cluster_key_free(w->secret);
	free(w->from);
	free(w);
}

struct ufs *workers_ufs(struct workers *w)
{
	return w->ufs;
}

void workers_told(void *arg, struct cancel *cancel)
{
	struct workers *w = arg;

	told_wait(w->told, cancel);
}

struct members *workers_members(struct workers *w)
{
	return w != NULL ? w->members : NULL;
}

/* Names of both rings, each once; borrowed from them. How many. */
static size_t names_of(const struct members_view *v, const char **out)
{
	size_t n = 0;

	for (uint32_t i = 0; v->now != NULL && i < ring_workers(v->now); i++)
		out[n++] = ring_name(v->now, i);
	for (uint32_t i = 0; v->before != NULL && i < ring_workers(v->before);
	     i++)
		if (v->now == NULL ||
		    ring_find(v->now, ring_name(v->before, i)) < 0)
			out[n++] = ring_name(v->before, i);
	return n;
}

static void add_failure(json_t *failed, const char *name, const char *words)
{
	json_array_append_new(failed,
			      json_pack("{s:o, s:o}", "name", json_text(name),
					"error", json_text(words)));
}

static void note_failure(const struct tell *t, json_t *failed)
{
	char words[64];

	if (t->err == 0 && (t->status / 100 == 2 || t->status == 404))
		return;
	snprintf(words, sizeof(words), "it answers %u", t->status);
	add_failure(failed, t->worker, t->err < 0 ? t->words : words);
}

static int tell_names(struct workers *w, const char *path, const char *body,
		      const struct members_view *v, json_t *failed)
{
	struct ring_access a = { w->secret, cluster_tls(w->options) };
	size_t room = (v->now != NULL ? ring_workers(v->now) : 0) +
		      (v->before != NULL ? ring_workers(v->before) : 0) + 1;
	AUTO_FREE const char **names = calloc(room, sizeof(*names));
	AUTO_FREE struct tell *t = calloc(room, sizeof(*t));
	size_t n;

	if (names == NULL || t == NULL)
		return -ENOMEM;
	n = names_of(v, names);
	for (size_t i = 0; i < n; i++)
		t[i] = (struct tell){ .worker = names[i],
				      .path = path,
				      .body = body };
	(void)tell_all(&a, t, n, clock_ns() + TELL_TIME, NULL);
	for (size_t i = 0; i < n; i++)
		note_failure(&t[i], failed);
	tell_fini(t, n);
	return 0;
}

void workers_tell(struct workers *w, const char *path, const json_t *body,
		  json_t *failed)
{
	AUTO_FREE char *text = json_dumps(body, JSON_COMPACT);
	struct members_view v;

	members_ring(w->members, &v);
	if (text == NULL || tell_names(w, path, text, &v, failed) < 0)
		add_failure(failed, w->from, "out of memory");
	members_view_fini(&v);
}

/* Takes j: what is told of the list that it is from. */
static json_t *with_source(json_t *j, struct members *m)
{
	struct members_status s;

	members_status(m, &s);
	json_object_set_new(j, "from", json_string(s.kind));
	json_object_set_new(j, "failing", json_string(s.failing ? s.why : ""));
	return j;
}

json_t *workers_json(struct workers *w)
{
	if (w == NULL)
		return workers_listed(NULL);
	return with_source(tier_status(w->ufs), w->members);
}

json_t *workers_listed(struct members *m)
{
	json_t *all = json_array();
	struct members_view v = { 0 };
	char view[17] = "";
	json_t *j;

	if (m != NULL)
		members_ring(m, &v);
	for (uint32_t i = 0; v.now != NULL && i < ring_workers(v.now); i++)
		json_array_append_new(
		    all,
		    json_pack("{s:o, s:s, s:I}", "name",
			      json_text(ring_name(v.now, i)), "state", "listed",
			      "weight", (json_int_t)ring_weight(v.now, i)));
	if (v.now != NULL)
		snprintf(view, sizeof(view), "%016jx",
			 (uintmax_t)ring_view(v.now));
	j = json_pack("{s:I, s:s, s:o}", "epoch", (json_int_t)v.epoch, "view",
		      view, "workers", all);
	members_view_fini(&v);
	return m != NULL ? with_source(j, m) : j;
}

void workers_metrics(struct members *m, FILE *f)
{
	struct members_view v;

	if (m == NULL)
		return;
	members_ring(m, &v);
	fprintf(f,
		"# HELP tarn_ring_epoch grows with each change of the ring\n"
		"# TYPE tarn_ring_epoch gauge\ntarn_ring_epoch %ju\n"
		"# HELP tarn_ring_workers workers in the ring\n"
		"# TYPE tarn_ring_workers gauge\ntarn_ring_workers %zu\n",
		(uintmax_t)v.epoch, v.now != NULL ? ring_workers(v.now) : 0);
	if (v.now != NULL)
		fprintf(f,
			"# HELP tarn_ring_info the same view wherever the "
			"same workers are known\n"
			"# TYPE tarn_ring_info gauge\n"
			"tarn_ring_info{view=\"%016jx\"} 1\n",
			(uintmax_t)ring_view(v.now));
	members_view_fini(&v);
}

void workers_print(struct workers *w, FILE *f)
{
	struct members_status s;
	struct members_view v;

	if (w == NULL)
		return;
	members_status(w->members, &s);
	members_ring(w->members, &v);
	fprintf(f, "  workers      %u of %s",
		v.now != NULL ? (unsigned)ring_workers(v.now) : 0, w->from);
	if (s.failing)
		fprintf(f, " (%s; asked again soon)", s.why);
	fputc('\n', f);
	members_view_fini(&v);
}
