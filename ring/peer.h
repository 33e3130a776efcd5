/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h - asking a worker, once
 *
 * One request to one worker (wire.h), and a hard look at what it answers: the
 * protocol, the version, the lengths, the size, each page's checksum. Nothing
 * is handed on that was not found right, and nothing is sent again: to go on
 * elsewhere is the retry, and that is tier.h's.
 *
 * A session is what a thread asks with: some transfers side by side, so that
 * two workers can race, on connections that stay open between requests.
 * Sessions are kept by the worker they were last used for, so there are about
 * as many connections to a worker as threads that asked it at a time.
 */
#ifndef RING_PEER_H
#define RING_PEER_H

#include "base/base.h"
#include "ring/access.h"
#include "ring/wire.h"
#include "ufs/sigv4.h"
#include "ufs/ufs.h"

struct s3_page;
struct peers;        /* opaque; laid out in peer_impl.h */
struct peer_session; /* the same */

#define PEER_RACERS 3 /* calls of a session at a time */

/*
 * How long a worker may take, ns; 0 is the default. A body must come at some
 * rate on average too (peer_answer.c).
 */
struct peer_times {
	int64_t connect;   /* name, connection and TLS: 200 ms */
	int64_t silent;    /* until the answer's head: 10 s */
	int64_t slow;      /* for each page of a body: 1 s */
	int64_t slow_fill; /* the same while the worker fetches it: 5 s */
};

struct peers_conf {
	struct ring_access access;
	struct peer_times times;
};

/* The texts are copied. -EIO when libcurl does not start, -ENOMEM. */
int peers_new(const struct peers_conf *conf, struct peers **out);
void peers_free(struct peers *p); /* no session is out; NULL is allowed */

enum peer_kind { PEER_GET, PEER_HEAD, PEER_LIST };

enum peer_end {
	PEER_UNDERWAY,
	PEER_GOOD,   /* all came and was right */
	PEER_ABSENT, /* 404, 410, 412, 416: the store knows */
	/*
	 * It is well, but cannot help: any other status, 421 (it serves another
	 * store, or less of the bucket), 502 (its store failed it) and 508 (we
	 * asked in a circle) among them.
	 */
	PEER_REFUSED,
	PEER_FAILED,  /* no connection, reset, too slow, 500, 503 */
	PEER_STARVED, /* reset or too slow, but its store may be why */
	PEER_WRONG,   /* what it answered cannot be */
	PEER_FOREIGN, /* it speaks another protocol */
	PEER_BEATEN,  /* the receiver has it from elsewhere */
	PEER_STOPPED, /* by the receiver: see err */
};

struct peer_call {
	/*
	 * Set by the caller and borrowed until it has ended; of the texts only
	 * worker and want once it is begun.
	 */
	const char *worker; /* "host:port" */
	enum peer_kind kind;
	const char *store, *bucket, *prefix;
	struct str key;                 /* behind the prefix; a LIST has none */
	const struct sigv4_pair *query; /* of a LIST */
	size_t nquery;
	int64_t skew;     /* of the worker's clock, ns */
	int64_t max_age;  /* of HEAD and LIST, ns; below 0: any */
	bool cached_only; /* a GET that is not to cost the store anything */
	/* of a GET: off is at a page, len 1 to WIRE_RANGE_MAX */
	const char *want; /* the version */
	uint64_t off, len;
	uint64_t size; /* what the object's must be; UINT64_MAX: any */
	/*
	 * Of a GET: the head is right, st is set, pages come next. 0; above
	 * 0: not wanted any more, PEER_BEATEN; -EBADMSG: it cannot be,
	 * PEER_WRONG; or another -errno, PEER_STOPPED.
	 */
	int (*head)(void *arg, struct peer_call *c);
	/* Verified bytes, in order, up to a page at a time. 0 or -errno. */
	int (*give)(void *arg, const void *bytes, size_t n);
	void *arg;

	/* what came of it */
	enum peer_end end;
	int err;            /* of PEER_STOPPED */
	int status;         /* of the answer, 0: there was none */
	char words[160];    /* what happened, without secrets */
	int64_t begun;      /* clock_ns() */
	int64_t headed;     /* when the answer's head had come; 0: not yet */
	bool silent;        /* PEER_FAILED since no head came in time */
	bool filling;       /* the worker is fetching what it sends */
	unsigned spread;    /* x-tarn-spread, 0 = not said */
	uint64_t got;       /* bytes handed to give() */
	struct ufs_stat st; /* of GET and HEAD */
	int64_t age;        /* of what it says, ns */
	bool has_date;
	int64_t date; /* the worker's clock less ours, ns, to a second */

	/* of a LIST that ended well; valid until the session is put back */
	const struct s3_page *page;

	/* kept by the engine */
	struct peer_slot *slot; /* NULL: not under way */
};

/* A session for asking first that worker. -ENOMEM. */
int peer_take(struct peers *p, const char *worker, struct peer_session **out);
/* Calls that are still under way are dropped. */
void peer_put(struct peers *p, struct peer_session *s);

/*
 * Send a request; at most PEER_RACERS are under way. 0, after which
 * peer_wait() sees it through to its end, or -ENOMEM and the like.
 */
int peer_begin(struct peer_session *s, struct peer_call *c);
void peer_drop(struct peer_session *s, struct peer_call *c);
/* A call that is under way goes on as *to, which is laid out anew. */
void peer_move(struct peer_call *from, struct peer_call *to);

/*
 * Work on the calls until one has ended or got its head, somebody called
 * peer_wake() or it is time (clock_ns()), and for a fifth of a second at
 * most. head() and give() are called from in here. -ENOMEM.
 */
int peer_wait(struct peer_session *s, int64_t until);
void peer_wake(struct peer_session *s); /* from any thread */

#endif
