/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_ring.c - who the workers are, and what each of them answers
 *
 * Each worker is asked for one name of the source, as a mount would ask it: so
 * a wrong key, clock, certificate, bucket or version shows here.
 */
#include "fuse/doctor_impl.h"

#include <errno.h>

#include "base/clock.h"
#include "fuse/cluster.h"
#include "fuse/workers.h"
#include "ring/members.h"
#include "ring/peer.h"

#define WORKERS_SHOWN 32
#define SKEW_ALLOWED (5 * 60 * NSEC_PER_SEC)

static void tell_members(struct doctor *d, const struct members_status *s)
{
	const struct ring *r = d->view.now;

	if (r != NULL && ring_workers(r) > 0)
		doctor_pass(d, "%s names %u worker%s", s->kind,
			    (unsigned)ring_workers(r),
			    ring_workers(r) == 1 ? "" : "s");
	else if (s->failing)
		doctor_fail(d,
			    strcmp(s->kind, "dns") == 0
				? "check the name in workers= and the name "
				  "servers of this host"
				: "check the addresses in workers=, and who "
				  "may read there (ETCD_USERNAME, tls-ca)",
			    "%s", s->why);
	else
		doctor_fail(d, "start one: tarn worker SOURCE -o workers=...",
			    "%s names no worker", s->kind);
}

void doctor_membership(struct doctor *d)
{
	struct members_status s;
	struct members *m;
	char why[WHY_MAX];
	int r;

	if (!options_is_set(d->conf->options, OPT_WORKERS)) {
		doctor_skip(d, "no workers=");
		return;
	}
	r = workers_members_open(d->conf->options, NULL, &m, why);
	if (r < 0) {
		doctor_fail_why(d, why, "check workers=");
		return;
	}
	members_status(m, &s);
	members_ring(m, &d->view);
	tell_members(d, &s);
	members_close(m);
}

/* What to do about an end that is not good. */
static const char *fix_of(const struct peer_call *c)
{
	switch (c->status) {
	case 0:
		return "is it running? Look at its log, at advertise= and at "
		       "the firewall between";
	case 401:
	case 403:
		return "give both the same key with cluster-key-file=, or "
		       "certificates of one tls-ca";
	case 404:
	case 421:
		return "it serves other sources: start it with this one, and "
		       "the same endpoint= or store-id=";
	case 508:
		return "a worker was asked by a worker: check its options";
	default:
		return c->end == PEER_FOREIGN ? "upgrade the older of the two"
					      : "look at the worker's log";
	}
}

static void judge(struct doctor *d, const struct peer_call *c)
{
	char ms[32];

	doctor_ms(c->headed - c->begun, ms);
	/* That nothing is there is an answer, too. */
	if (c->end != PEER_GOOD)
		doctor_fail(d, fix_of(c), "%s: %s", c->worker, c->words);
	else if (c->has_date && llabs(c->date) > SKEW_ALLOWED)
		doctor_fail(d, "set the clocks, by NTP",
			    "%s: its clock is %jd s off; a mount gets on with "
			    "that, S3 clients do not",
			    c->worker, (intmax_t)(c->date / NSEC_PER_SEC));
	else
		doctor_pass(d, "%s answers in %s", c->worker, ms);
}

static int ask(struct doctor *d, struct peers *peers, const char *worker,
	       const char *bucket)
{
	const char *prefix = d->ufs->prefix;
	struct sigv4_pair query[] = {
		{ str_of("list-type"), str_of("2") },
		{ str_of("max-keys"), str_of("1") },
		{ str_of("encoding-type"), str_of("url") },
		{ str_of("prefix"), str_of(prefix) },
	};
	struct peer_call c = { .worker = worker,
			       .kind = PEER_LIST,
			       .store = d->ufs->store,
			       .bucket = bucket,
			       .prefix = prefix,
			       .query = query,
			       .nquery = ARRAY_SIZE(query),
			       .max_age = -1 };
	struct peer_session *s;
	int r = peer_take(peers, worker, &s);

	if (r < 0)
		return r;
	r = peer_begin(s, &c);
	while (r == 0 && c.end == PEER_UNDERWAY)
		r = peer_wait(s, INT64_MAX);
	if (r == 0)
		judge(d, &c);
	else if (c.end == PEER_UNDERWAY)
		peer_drop(s, &c);
	peer_put(peers, s);
	return r;
}

static int ask_all(struct doctor *d, char why[static WHY_MAX])
{
	const struct options *o = d->conf->options;
	AUTO_FREE char *bucket =
	    cluster_bucket(d->conf->source, options_text(o, OPT_STORE_ID));
	size_t n = ring_workers(d->view.now);
	struct peers *peers = NULL;
	int r = bucket != NULL ? workers_peers(o, &peers, why) : -ENOMEM;

	for (size_t i = 0; i < MIN(n, WORKERS_SHOWN) && r == 0; i++)
		r = ask(d, peers, ring_name(d->view.now, (uint32_t)i), bucket);
	if (r == 0 && n > WORKERS_SHOWN)
		doctor_skip(d, "%zu more were not asked", n - WORKERS_SHOWN);
	peers_free(peers);
	return r;
}

void doctor_workers(struct doctor *d)
{
	char why[WHY_MAX] = "";
	int r;

	if (d->view.now == NULL || ring_workers(d->view.now) == 0) {
		doctor_skip(d, "none is known");
		return;
	}
	if (d->ufs == NULL) {
		doctor_skip(d, "the source is not right");
		return;
	}
	r = ask_all(d, why);
	if (r < 0)
		doctor_fail_why(d, why[0] != '\0' ? why : strerror(-r),
				"check cluster-key-file= and tls-*=");
}
