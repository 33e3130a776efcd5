/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tier_impl.h - the parts of the tier
 *
 * tier.c: open, close, status, what is passed through. tier_worker.c: what is
 * known of each worker. tier_route.c: whom to ask, in which order.
 * tier_race.c: asking them, one after the other and side by side.
 * tier_aside.c: the store, asked by another thread while workers are slow.
 * tier_get.c, tier_meta.c: the operations.
 */
#ifndef RING_TIER_IMPL_H
#define RING_TIER_IMPL_H

#include <stdatomic.h>

#include "base/lock.h"
#include "base/pool.h"
#include "ring/breaker.h"
#include "ring/bucket.h"
#include "ring/tier.h"
#include "ufs/s3_answer.h"

#define TIER_WORKER_BUCKETS 256
#define TIER_SPREAD_SLOTS 256
#define TIER_CHANGES 64

/* What is known of a worker. All of it under the tier's lock. */
struct worker {
	struct worker *next; /* of its bucket */
	unsigned users;      /* routes that hold it */
	struct breaker breaker;
	uint64_t hit_bytes, errors, good;
	int64_t skew;    /* of its clock, ns */
	int64_t said_at; /* when its refusals were last logged */
	bool said_elsewhere, said_foreign; /* what is logged once */
	char name[];                       /* set once */
};

struct spread {
	uint64_t hash;
	unsigned n; /* replicas that share it */
	int64_t until;
};

/* When a directory was found to be older in what is told of it. */
struct change {
	uint64_t hash;
	int64_t at; /* clock_ns(); 0: none */
};

struct tier {
	struct ufs ufs;
	struct ufs_ops ops; /* as the store's: what it cannot, we cannot */
	/* set once at open */
	struct tier_conf conf;
	struct ufs *store;
	char *bucket;
	struct peers *peers;
	struct pool *helpers; /* ask the store aside, and see probes out */
	atomic_bool closing;
	/* under lock */
	struct lock lock;
	struct worker *worker[TIER_WORKER_BUCKETS];
	size_t workers;
	uint64_t swept; /* view of the ring when it was last swept */
	struct spread spread[TIER_SPREAD_SLOTS];
	struct bucket turns;
	struct change change[TIER_CHANGES];

	atomic_int_fast64_t changed; /* what all is told of must be newer */
};

static inline struct tier *tier_of(struct ufs *u)
{
	return container_of(u, struct tier, ufs);
}

/* tier_worker.c */
/* Held until put; made when it is not known. NULL: out of memory. */
struct worker *worker_get(struct tier *t, const char *name);
void worker_put(struct tier *t, struct worker *w);
/* Forget those that nobody holds and that are in neither ring. */
void worker_sweep(struct tier *t, const struct tier_view *v);
void worker_free_all(struct tier *t);

enum breaker_leave worker_ask(struct tier *t, struct worker *w);
int64_t worker_skew(struct tier *t, struct worker *w);
/* A call has ended, by itself. */
void worker_note(struct tier *t, struct worker *w, const struct peer_call *c,
		 bool probe);
/*
 * Of a worker that ended as PEER_STARVED: was it the store, or its own way to
 * that? The store has answered us in its place, or not.
 */
void worker_judge(struct tier *t, struct worker *w, bool probe,
		  bool store_answered);
/* It was dropped; late: since it took too long. */
void worker_dropped(struct tier *t, struct worker *w, const struct peer_call *c,
		    bool probe, bool late);

/* tier_route.c */
#define ROUTE_REPLICAS 8
#define ROUTE_MAX (ROUTE_REPLICAS + 1)

struct route {
	struct tier *t;
	struct worker *worker[ROUTE_MAX]; /* held */
	size_t n, next;
	unsigned asks;  /* how many more may be asked */
	bool previous;  /* the first is the owner before a change */
	bool spread;    /* the first owner was chosen among replicas */
	bool ill;       /* a worker failed, or is left out: it takes a turn */
	bool exhausted; /* nobody else is to be asked */
	uint64_t hash;
	/* who was let down by its store, it seems; judged by route_fini() */
	struct starved {
		struct worker *worker;
		bool probe;
	} starved[ROUTE_MAX];
	size_t nstarved;
	bool store_answered; /* us, in place of them */
};

void route_data(struct tier *t, struct str key, uint64_t segment,
		struct route *out);
void route_dir(struct tier *t, struct str dir, struct route *out);
/* Only the worker of this name. */
void route_worker(struct tier *t, const char *name, struct route *out);
void route_fini(struct route *r);

struct stop {
	struct worker *worker; /* borrowed from the route */
	bool probe;            /* of the breaker */
	bool cached_only;
};

/* The next to ask, which the breaker was asked for. False: nobody. */
bool route_next(struct route *r, struct stop *out);
/* A worker ended as PEER_STARVED. */
void route_starved(struct route *r, const struct stop *stop);
/* What an owner said of how many may be asked. */
void route_learn(struct route *r, unsigned spread);

/* Wait for a turn at the store. 0 or -ECANCELED. */
int tier_turn(struct tier *t, struct cancel *cancel);

/* tier_aside.c */
struct getting;
struct listing_of;

/*
 * The store's answer on another thread. It may come when nobody waits any
 * more, so it holds copies of all it needs until it has won: then the one who
 * asked waits for its end.
 */
struct aside;

struct aside_what {
	enum peer_kind kind;
	struct str key;
	struct getting *get;  /* of a GET: used once it has won */
	uint64_t off, len;    /* the same: what to ask for */
	struct ufs_stat *st;  /* of a HEAD: the same */
	struct listing_of *l; /* of a LIST: the same */
};

int aside_new(struct tier *t, const struct aside_what *what, bool turn,
	      struct peer_session *wake, struct aside **out);
/* A worker answers: false, when the store was faster. */
bool aside_beat(struct aside *a);
/* The store answers; how long it took, ns. */
bool aside_has_won(struct aside *a, int64_t *took);
/*
 * Wait for the end, and for nothing when cancel is set before it has won. The
 * store's result, or -EAGAIN: it was not begun, and will not be.
 */
int aside_wait(struct aside *a, struct cancel *cancel);
/* Call it off, if it has not ended. Waits for that only if it has won. */
void aside_leave(struct aside *a);

/* tier_race.c */
enum race_end {
	RACE_PEER,    /* a worker's answer has come; see won */
	RACE_STORE,   /* the store's has, aside; err is the result */
	RACE_NOBODY,  /* the store is to be asked */
	RACE_BROKEN,  /* a worker began to answer and failed: race again */
	RACE_STOPPED, /* err is the result */
};

struct racer {
	struct peer_call call;
	struct stop stop;
	bool running;
	bool overtaken; /* a probe that goes on, though not for the race */
};

struct race {
	/* set by the caller */
	struct tier *t;
	struct route *route;
	struct cancel *cancel;
	struct peer_call model; /* what to ask of each */
	struct aside_what what; /* what to ask of the store */
	int64_t hedge;          /* ns */
	/* of a GET */
	int (*head)(void *arg, struct peer_call *c);
	int (*give)(void *arg, const void *bytes, size_t n);
	void *arg;

	/* the result */
	int err;
	struct racer *won;

	/* kept by the race */
	struct peer_session *session;
	struct racer racer[PEER_RACERS];
	struct aside *aside;
	int64_t hedge_at; /* 0: nobody else is to be asked */
	bool hedged, absent;
};

enum race_end race_run(struct race *r);
/* The worker whose answer won said what cannot be, as was found later. */
void race_wrong(struct race *r, const char *why);
/* After each run; what won is gone then. */
void race_fini(struct race *r);

/* tier_get.c */
struct getting {
	struct tier *t;
	struct str key;
	const char *want;
	uint64_t off, len;
	const struct ufs_sink *sink;
	struct cancel *cancel;
	uint64_t given; /* of it, to the sink */
	uint64_t size;  /* of the object; UINT64_MAX: not known yet */
	bool has_head;
	bool from_worker; /* as the sink was told */
};

/* The sink of a store that goes on with a get; its arg is the getting. */
extern const struct ufs_sink getting_sink;

int tier_get(struct ufs *u, struct str key, const char *want, uint64_t off,
	     uint64_t len, const struct ufs_sink *sink, struct cancel *cancel);

/* tier_meta.c */
struct listing_of {
	const struct ufs_list *q;
	struct str after; /* only keys greater than this */
	char *token;      /* the store's, replaced by the next one */
	ufs_entry_cb *cb;
	void *arg;
};

int tier_stat(struct ufs *u, struct str key, struct ufs_stat *out,
	      struct cancel *cancel);
int tier_list(struct ufs *u, const struct ufs_list *q, char **token,
	      ufs_entry_cb *cb, void *arg, struct cancel *cancel);
void tier_changed(struct ufs *u, struct str key, bool tree);

#endif
