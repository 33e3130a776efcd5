/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_join.c - a worker that puts itself into etcd's list
 *
 *   no lease      take one; it is in nobody's list
 *   leased        put the value, which goes when the lease does
 *   placed        keep the lease alive, three times in its span; a lease that
 *                 was lost begins anew, and now and then it is looked whether
 *                 the value is still there
 *
 * A worker that dies is listed until its lease runs out, and one that leaves
 * gives it back. Two processes that say the same name write the same key: the
 * one that wrote last has it, and what the other gives back takes nothing
 * away.
 */
#include "ring/members_impl.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "ring/etcd.h"
#include "ring/wire.h"
#include "ufs/encode.h"

#define RETRY_NS NSEC_PER_SEC
/*
 * Times that the lease was kept alive: 10 s, so that a value which was taken
 * away is back before others have read a list without it three times.
 */
#define LOOK_EVERY 3
#define LEAVE_NS (2 * NSEC_PER_SEC)

struct members_join {
	/* set once at join */
	struct etcd *etcd;
	char name[MEMBERS_NAME_MAX];
	uint64_t weight;
	int64_t retry;
	pthread_t thread;
	bool threaded;
	struct cancel cancel; /* ends what the thread does */

	/* the thread's */
	int64_t lease;
	int64_t span; /* of the lease, ns */
	unsigned kept;
	bool failing; /* the last turn did */
	bool listed;  /* it was, once */

	atomic_bool placed;
	atomic_bool ended; /* the thread is through */

	/* under lock */
	struct lock lock;
	struct event stopped;
	bool leaving;
};

/* {"key": PREFIX/NAME}, or NULL. */
static json_t *with_key(const struct members_join *j)
{
	struct str prefix = etcd_prefix(j->etcd);
	struct text key = { 0 };
	json_t *body = json_object();

	text_add(&key, prefix.p, prefix.n);
	text_adds(&key, j->name);
	if (body != NULL &&
	    (key.failed ||
	     json_object_set_new(
		 body, "key", etcd_bytes((struct str){ key.p, key.n })) < 0)) {
		json_decref(body);
		body = NULL;
	}
	text_fini(&key);
	return body;
}

static json_t *with_number(const char *field, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%jd", (intmax_t)number);
	return json_pack("{ss}", field, text);
}

static int call(struct members_join *j, const char *path, json_t *body,
		json_t **out, char why[static 256])
{
	if (body == NULL)
		return -ENOMEM;
	return etcd_call(j->etcd, path, body, out, &j->cancel, why);
}

static int take_lease(struct members_join *j, char why[static 256])
{
	json_t *answer;
	int64_t seconds;
	int r = call(j, "lease/grant", with_number("TTL", MEMBERS_LEASE_S),
		     &answer, why);

	if (r < 0)
		return r;
	j->lease = etcd_number(answer, "ID");
	seconds = etcd_number(answer, "TTL");
	json_decref(answer);
	if (j->lease == 0 || seconds <= 0 || seconds > 86400) {
		j->lease = 0;
		return ufs_why(why, -EBADMSG, "etcd grants no lease");
	}
	j->span = seconds * NSEC_PER_SEC;
	return 0;
}

static int place(struct members_join *j, char why[static 256])
{
	json_t *body = with_key(j), *value = NULL;
	AUTO_FREE char *text = NULL;
	char lease[24];
	int r;

	snprintf(lease, sizeof(lease), "%jd", (intmax_t)j->lease);
	value =
	    json_pack("{sssIsi}", "name", j->name, "weight",
		      (json_int_t)j->weight, "protocol", atoi(WIRE_PROTOCOL));
	text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
	json_decref(value);
	if (text == NULL || body == NULL ||
	    json_object_set_new(body, "value", etcd_bytes(str_of(text))) < 0 ||
	    json_object_set_new(body, "lease", json_string(lease)) < 0) {
		json_decref(body);
		return -ENOMEM;
	}
	r = call(j, "kv/put", body, NULL, why);
	if (r == -ENOENT) /* the lease is not there any more */
		j->lease = 0;
	atomic_store(&j->placed, r == 0);
	return r;
}

/* The lease lives on, or it is lost: then -ENOENT. */
static int keep(struct members_join *j, char why[static 256])
{
	json_t *answer;
	int64_t left;
	int r = call(j, "lease/keepalive", with_number("ID", j->lease), &answer,
		     why);

	if (r == 0) {
		left = etcd_number(json_object_get(answer, "result"), "TTL");
		json_decref(answer);
		if (left <= 0)
			r = ufs_why(why, -ENOENT, "the lease has run out");
	}
	if (r == -ENOENT) {
		j->lease = 0;
		atomic_store(&j->placed, false);
	}
	return r;
}

/* Somebody may have taken the value away. */
static int look(struct members_join *j, char why[static 256])
{
	json_t *answer;
	int r = call(j, "kv/range", with_key(j), &answer, why);

	if (r < 0)
		return r;
	if (json_array_size(json_object_get(answer, "kvs")) == 0)
		atomic_store(&j->placed, false);
	json_decref(answer);
	return 0;
}

/* Whatever is to be done next until the value is placed. */
static int turn(struct members_join *j, char why[static 256])
{
	int r = 0;

	if (j->lease != 0)
		r = keep(j, why);
	if (r == 0 && j->lease != 0 && ++j->kept % LOOK_EVERY == 0)
		r = look(j, why);
	if (r < 0 && r != -ENOENT)
		return r;
	if (j->lease == 0)
		r = take_lease(j, why);
	if (r == 0 && !atomic_load(&j->placed))
		r = place(j, why);
	return r;
}

static void say(struct members_join *j, int r, const char *why)
{
	if (r < 0 && !j->failing)
		log_warn("ring: %s is not in the list of workers, or not for "
			 "long: %s",
			 j->name, r == -ENOMEM ? "out of memory" : why);
	else if (r == 0 && (j->failing || !j->listed))
		log_info("ring: %s is in the list of workers", j->name);
	j->listed = j->listed || r == 0;
	j->failing = r < 0;
}

static void pause_for(struct members_join *j, int64_t ns)
{
	int64_t until = clock_ns() + ns - ufs_jitter(ns / 5 + 1);

	lock_take(&j->lock);
	while (!j->leaving && event_wait_until(&j->stopped, &j->lock, until))
		;
	lock_drop(&j->lock);
}

static bool leaving(struct members_join *j)
{
	bool r;

	lock_take(&j->lock);
	r = j->leaving;
	lock_drop(&j->lock);
	return r;
}

static void *run(void *arg)
{
	struct members_join *j = arg;
	char why[256] = "";
	int64_t good = 0;

	prctl(PR_SET_NAME, "members-join");
	while (!leaving(j)) {
		int r = turn(j, why);

		if (r == -ECANCELED)
			break;
		say(j, r, why);
		if (r == 0)
			good = clock_ns();
		else if (clock_ns() - good > j->span)
			atomic_store(&j->placed, false);
		pause_for(j,
			  r == 0 ? MIN(j->span / 3, j->retry * 10) : j->retry);
	}
	if (j->lease != 0)
		call(j, "lease/revoke", with_number("ID", j->lease), NULL, why);
	lock_take(&j->lock);
	atomic_store(&j->ended, true);
	event_broadcast(&j->stopped);
	lock_drop(&j->lock);
	return NULL;
}

int members_join(const struct members_conf *conf, const char *name,
		 uint64_t weight, struct members_join **out,
		 char why[static 256])
{
	const char *text;
	const struct source_ops *ops = source_find(conf->workers, &text);
	struct members_join *j;
	int r;

	if (weight == 0 || weight > INT64_MAX)
		return ufs_why(why, -EINVAL,
			       "a worker's weight is a number above 0");
	if (ops != &source_etcd) {
		*out = NULL;
		return members_check(conf->workers, why);
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return -ENOMEM;
	lock_init(&j->lock, RANK_LEAF);
	event_init(&j->stopped);
	j->weight = weight;
	j->retry = conf->poll > 0 ? MIN(conf->poll, RETRY_NS) : RETRY_NS;
	r = member_name(str_of(name), j->name, why);
	if (r == 0)
		r = etcd_open(conf, text, &j->etcd, why);
	if (r == 0 && pthread_create(&j->thread, NULL, run, j) != 0)
		r = ufs_why(why, -EAGAIN,
			    "the thread that keeps a lease does not start");
	j->threaded = r == 0;
	if (r < 0)
		members_leave(j);
	else
		*out = j;
	return r;
}

bool members_joined(struct members_join *j)
{
	return j == NULL || atomic_load(&j->placed);
}

void members_leave(struct members_join *j)
{
	int64_t deadline = clock_ns() + LEAVE_NS;

	if (j == NULL)
		return;
	lock_take(&j->lock);
	j->leaving = true;
	event_broadcast(&j->stopped);
	while (j->threaded && !atomic_load(&j->ended) && clock_ns() < deadline)
		event_wait_until(&j->stopped, &j->lock, deadline);
	/* It is late: what is not given back runs out by itself. */
	cancel_set(&j->cancel);
	lock_drop(&j->lock);
	if (j->threaded)
		must(pthread_join(j->thread, NULL));
	etcd_close(j->etcd);
	event_fini(&j->stopped);
	lock_fini(&j->lock);
	free(j);
}
