/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - the HTTP front of a worker
 *
 * Serves the buckets it was started with out of their caches, to mounts (see
 * wire.h) and to any S3 client: GET with Range and If-Match, HEAD, listings.
 * What would change something answers 405. Below /-/ it gives what the front
 * door's owner has to tell.
 *
 * Every request is read strictly and its signature checked before anything is
 * looked up. Connections, header sizes, times and buffers are bounded. Its
 * threads never wait for the network or the SSD: what may wait runs on a pool,
 * or comes by the cache's calls.
 */
#ifndef RING_SERVER_H
#define RING_SERVER_H

#include "base/base.h"
#include "cache/cache.h"
#include "ring/access.h"
#include "ring/heat.h"

struct server;

struct server_source {
	const char *bucket;  /* under which name it is served; borrowed */
	struct cache *cache; /* borrowed; outlives the server */
};

/* An answer below /-/. */
struct server_page {
	bool may_wait; /* for the store; set by the server */
	unsigned status;
	const char *type; /* a literal */
	/* Content-Security-Policy, or NULL; stays for good */
	const char *policy;
	char *text; /* heap; the server frees it */
};

struct server_conf {
	const char *option; /* that says where to listen, for messages */
	const char *listen; /* "host:port"; port 0: the kernel picks one */
	/*
	 * The texts are borrowed, the files read at the start. With a
	 * certificate and its key it is https that is served; with tls.ca only
	 * to who has a certificate that was signed by it.
	 */
	struct ring_access access;
	const struct server_source *sources; /* copied */
	size_t nsources;
	unsigned threads;         /* that serve; 0: as many as processors */
	unsigned max_connections; /* 0: 4096, or what descriptors allow */
	size_t memory;            /* for the bodies that are being sent */
	/*
	 * Answer to a path below /-/; may wait for the SSD. body: of a POST.
	 * The signature was checked of a POST, and below /-/load/. 0, or
	 * -ENOENT: there is no such path; -EOPNOTSUPP: not by this method;
	 * -EINPROGRESS, unless may_wait is set: it waits for the store, and is
	 * to be called once more, with may_wait. It always is then.
	 */
	int (*page)(void *arg, const char *method, const char *path,
		    struct str body, struct server_page *out);
	void *arg;
};

/*
 * Listen and serve. -EPERM: the address is no loopback one and there is neither
 * a secret nor tls.ca. why says what to mend.
 */
int server_start(const struct server_conf *conf, struct server **out,
		 char why[static 256]);

/*
 * Can the files of one who asks workers be used (NULL: not given)? 0, or -errno
 * and why.
 */
int server_tls_check(const struct ring_tls *files, char why[static 256]);

/* Where it listens, "127.0.0.1:7070"; borrowed. */
const char *server_address(const struct server *s);

/* Requests that are being answered now. */
unsigned server_active(const struct server *s);

/* The segments that mounts read most, the hottest first; returns how many. */
size_t server_hot(struct server *s, struct server_hot *out, size_t max);

/*
 * Take no new connections; wait until what was begun is answered, at most
 * until deadline (clock_ns()), which server_hurry() brings forward to now.
 */
void server_drain(struct server *s, int64_t deadline);
void server_hurry(struct server *s); /* any thread */

/* End all connections, free. NULL is allowed. */
void server_stop(struct server *s);

#endif
