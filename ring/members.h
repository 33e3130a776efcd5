/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members.h - who is in the ring
 *
 * `workers=` says where the list of workers comes from:
 *
 *     HOST:PORT[+HOST:PORT...]     the list itself
 *     dns://NAME:PORT              each A and AAAA record is a worker
 *     dns://_SERVICE._tcp.NAME     each SRV record: host, port and weight
 *     etcd://HOST:PORT[,HOST:PORT...]/PREFIX
 *                                  the values below PREFIX/, as they come
 *                                  and go with their leases
 *
 * A worker's name is what it is reached at and what places it on the circle:
 * "host:port", the host in lower case, an IPv6 address in brackets. Who writes
 * one worker in two ways has two, so all nodes get the same list.
 *
 * A thread of its own asks; nobody else ever waits for a name server or etcd.
 * What it learns becomes a ring, and readers take a reference to that. A
 * source that fails, or answers what cannot be, changes nothing: who was there
 * is kept. One that names no workers at all is believed when it has said so
 * three times running. Nodes may differ for a while: that costs hits only.
 */
#ifndef RING_MEMBERS_H
#define RING_MEMBERS_H

#include "base/base.h"
#include "base/cancel.h"
#include "ring/access.h"
#include "ring/ring.h"

#define MEMBERS_NAME_MAX 264 /* "host:port", brackets and the NUL */

struct members; /* opaque; laid out in members.c */

struct members_conf {
	const char *workers; /* as above */

	/* "ADDR:PORT[,ADDR:PORT...]"; NULL: the host's name servers. */
	const char *dns_servers;

	/*
	 * PEM files for etcd, or NULL; with any of them etcd is asked by https.
	 * The environment comes first: ETCDCTL_CACERT, _CERT and _KEY. Who asks
	 * is ETCD_USERNAME with ETCD_PASSWORD or (a file's path)
	 * ETCD_PASSWORD_FILE, else what ETCDCTL_USER and ETCDCTL_PASSWORD say.
	 */
	struct ring_tls tls;

	/*
	 * In ns; 0: 10 s between two questions, give or take a tenth. Where a
	 * watch tells of changes the list is read after six of these.
	 */
	int64_t poll;
	/* 0: for 10 min after a change the previous ring is known. */
	int64_t previous;
	/* 0: a ring that lasted 1 min is worth being the previous one. */
	int64_t settled;

	/*
	 * NULL, or: there is a new view. Called from the thread, without a
	 * lock and never twice at a time; it may not close the members.
	 */
	void (*changed)(void *arg, uint64_t epoch);
	void *arg;
};

/* 0, or -EINVAL: no `workers=` can be this, why is a sentence. Asks nobody. */
int members_check(const char *workers, char why[static 256]);

/*
 * Begin to ask. The texts are copied. A static list is there when this
 * returns, others come: see members_wait(). -EINVAL, -ENOMEM, or -EAGAIN when
 * no thread starts; why is a sentence.
 */
int members_open(const struct members_conf *conf, struct members **out,
		 char why[static 256]);

/* Within about a second. NULL is allowed. Views that were taken stay good. */
void members_close(struct members *m);

/*
 * What is known now. When now is NULL no worker is known, and before may
 * still be there. Who had a key in `before` is worth being asked ahead of the
 * store: so a resize does not empty the cache. Changes that follow each other
 * fast leave `before` at the ring that stood before them all.
 */
struct members_view {
	struct ring *now;    /* owns a ref, or NULL */
	struct ring *before; /* owns a ref; NULL: none, or too long ago */
	int64_t changed;     /* clock_ns() of the last change; 0: never */
	uint64_t epoch;      /* grows by one with each change; 0: none yet */
};

void members_ring(struct members *m, struct members_view *out);
void members_view_fini(struct members_view *v);

/* The epoch alone, without a lock: is a view that is held still the latest? */
uint64_t members_epoch(const struct members *m);

/*
 * Wait until the epoch is above `epoch`. 0, -ETIMEDOUT at deadline
 * (clock_ns()), or -ECANCELED soon after cancel is set.
 */
int members_wait(struct members *m, uint64_t epoch, int64_t deadline,
		 struct cancel *cancel);

struct members_status {
	const char *kind;   /* "list", "dns", "etcd" */
	uint64_t answers;   /* of the source, whatever they were */
	uint64_t failures;  /* of these, refused or missing */
	bool failing;       /* the last one was */
	int64_t failing_at; /* since when, clock_ns() */
	char why[256];      /* a sentence, when failing */
};

void members_status(struct members *m, struct members_status *out);

/*
 * The worker's side: be in the list that others read. It is a lease in etcd
 * and a value that goes with it; a thread keeps the lease alive, and takes a
 * new one when it was lost. A static list and DNS are made by others, there
 * *out is NULL and nothing happens.
 */
struct members_join; /* opaque; laid out in members_join.c */

#define MEMBERS_LEASE_S 10 /* how long a worker that died stays listed */

/*
 * name: the worker's own "host:port"; weight above 0. Returns at once; the
 * value is there soon, and again after any trouble, which is logged.
 * -EINVAL, -ENOMEM, -EAGAIN as above.
 */
int members_join(const struct members_conf *conf, const char *name,
		 uint64_t weight, struct members_join **out,
		 char why[static 256]);

/* Is the value in place, as far as is known? NULL: true. */
bool members_joined(struct members_join *j);

/* Give the lease back, which takes 2 s at most. NULL is allowed. */
void members_leave(struct members_join *j);

#endif
