/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heat.c - see heat.h
 */
#include "ring/heat.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "base/log.h"

#define BUSY_WINDOWS 2                /* in a row */
#define PEAK_DECAYS 4096              /* a part of it, each window */
#define GONE_NS (10 * HEAT_WINDOW_NS) /* older rates say nothing */

struct slot {
	uint64_t hash;
	uint64_t weight; /* bytes, worn down by others of the set; 0: free */
	uint64_t bytes;  /* in this window */
	uint64_t rate;   /* a second, of the last windows */
	uint64_t limit;  /* the rate when it was last spread */
	uint64_t sent;   /* bytes, since spread last changed */
	uint64_t size;   /* of a copy */
	unsigned spread; /* 1, 2, 4, 8 */
	int64_t changed; /* when spread last did */
	int64_t wanted;  /* when as much was last asked as keeps it spread */
	uint64_t segment;
	char bucket[HEAT_BUCKET_MAX + 1];
	char key[UFS_KEY_MAX + 1];
};

struct heat {
	unsigned threads; /* set once */

	atomic_uint sending;
	atomic_uint spreads; /* slots that are spread */
	atomic_uint_fast64_t
	    others; /* bytes sent in this window, no segment's */

	struct lock lock;
	/* under lock */
	int64_t begun;            /* this window */
	int64_t cpu;              /* at its begin */
	uint64_t samples, queued; /* of sending, in it */
	uint64_t peak;            /* bytes a second */
	unsigned busy;            /* windows in a row */
	struct slot slot[HEAT_SETS][HEAT_WAYS];
};

int heat_new(unsigned threads, int64_t now, struct heat **out)
{
	struct heat *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return -ENOMEM;
	h->threads = MAX(threads, 1);
	h->begun = now;
	lock_init(&h->lock, RANK_LEAF);
	*out = h;
	return 0;
}

void heat_free(struct heat *h)
{
	if (h == NULL)
		return;
	lock_fini(&h->lock);
	free(h);
}

static struct slot *find_locked(struct heat *h, uint64_t hash)
    TSA(requires_capability(h->lock))
{
	struct slot *set = h->slot[hash % HEAT_SETS];

	for (size_t i = 0; i < HEAT_WAYS; i++)
		if (set[i].weight > 0 && set[i].hash == hash)
			return &set[i];
	return NULL;
}

/* The slot that this one would take, or NULL: all of them are spread. */
static struct slot *least_locked(struct heat *h, uint64_t hash)
    TSA(requires_capability(h->lock))
{
	struct slot *set = h->slot[hash % HEAT_SETS], *least = NULL;

	for (size_t i = 0; i < HEAT_WAYS; i++)
		if (set[i].spread <= 1 &&
		    (least == NULL || set[i].weight < least->weight))
			least = &set[i];
	return least;
}

static void name_slot(struct slot *s, const struct heat_segment *what)
{
	size_t bucket = MIN(strlen(what->bucket), HEAT_BUCKET_MAX);
	size_t key = MIN(what->key.n, UFS_KEY_MAX);

	memset(s, 0, offsetof(struct slot, bucket));
	s->hash = what->hash;
	s->spread = 1;
	s->segment = what->segment;
	s->size = what->size;
	memcpy(s->bucket, what->bucket, bucket);
	s->bucket[bucket] = '\0';
	if (key > 0)
		memcpy(s->key, what->key.p, key);
	s->key[key] = '\0';
}

static void add_locked(struct heat *h, const struct heat_segment *what,
		       uint64_t bytes) TSA(requires_capability(h->lock))
{
	struct slot *s = find_locked(h, what->hash);

	if (s == NULL) {
		s = least_locked(h, what->hash);
		if (s != NULL && s->weight > bytes) {
			s->weight -= bytes;
			s = NULL;
		} else if (s != NULL) {
			/* What it had in this window is still the worker's. */
			atomic_fetch_add(&h->others, s->bytes);
			name_slot(s, what);
		}
	}
	if (s == NULL) {
		atomic_fetch_add(&h->others, bytes);
		return;
	}
	s->weight += bytes;
	s->bytes += bytes;
	s->sent += bytes;
}

void heat_begin(struct heat *h)
{
	atomic_fetch_add(&h->sending, 1);
}

void heat_end(struct heat *h, const struct heat_segment *s, uint64_t bytes)
{
	atomic_fetch_sub(&h->sending, 1);
	if (bytes == 0)
		return;
	if (s == NULL) {
		heat_other(h, bytes);
		return;
	}
	lock_take(&h->lock);
	add_locked(h, s, bytes);
	lock_drop(&h->lock);
}

void heat_other(struct heat *h, uint64_t bytes)
{
	atomic_fetch_add(&h->others, bytes);
}

static uint64_t per_second(uint64_t bytes, int64_t took)
{
	return (uint64_t)((double)bytes * (double)NSEC_PER_SEC / (double)took);
}

/* Is it all that this worker can do? As heat.h says. */
static bool is_busy_locked(const struct heat *h, uint64_t rate, int64_t took,
			   int64_t cpu) TSA(requires_capability(h->lock))
{
	int64_t could = took * h->threads;

	if (cpu - h->cpu >= could / 100 * HEAT_CPU)
		return true;
	return h->queued >= h->samples * HEAT_QUEUE * h->threads &&
	       h->samples > 0 && rate > 0 && rate >= h->peak / 2;
}

static void set_spread(struct heat *h, struct slot *s, unsigned spread,
		       int64_t now)
{
	if (s->spread > 1 && spread == 1)
		atomic_fetch_sub(&h->spreads, 1);
	if (s->spread == 1 && spread > 1)
		atomic_fetch_add(&h->spreads, 1);
	s->spread = spread;
	s->sent = 0;
	s->changed = s->wanted = now;
	log_debug(LOG_RING,
		  "ring: segment %ju of %s/%s at %ju bytes/s: %u may be asked",
		  (uintmax_t)s->segment, s->bucket, s->key, (uintmax_t)s->rate,
		  spread);
}

/* The window of a slot is over, in which rate a second was sent of it. */
static void roll(struct slot *s, uint64_t rate, int64_t took)
{
	s->rate = took >= GONE_NS ? rate : (s->rate + rate) / 2;
	s->bytes = 0;
	/* What is not read any more leaves its place. */
	s->weight -= s->weight / 8;
	if (s->spread == 1 && s->rate < 1024 && s->weight < 1024)
		s->weight = 0;
}

/* too_much: it has its share of a worker that is busy. */
static void judge(struct heat *h, struct slot *s, uint64_t rate, bool too_much,
		  int64_t now)
{
	if (s->rate >= s->limit / 4)
		s->wanted = now;
	if (too_much && s->spread < HEAT_SPREAD_MAX &&
	    s->sent / HEAT_WORTH >= s->size &&
	    (s->spread == 1 || now - s->changed >= HEAT_SETTLE_NS)) {
		s->limit = rate;
		set_spread(h, s, s->spread * 2, now);
	} else if (s->spread > 1 && now - s->wanted >= HEAT_COOL_NS) {
		set_spread(h, s, s->spread / 2, now);
	}
}

static void end_window_locked(struct heat *h, int64_t now, int64_t cpu)
    TSA(requires_capability(h->lock))
{
	int64_t took = now - h->begun;
	uint64_t bytes = atomic_exchange(&h->others, 0), rate;
	struct slot *all = &h->slot[0][0];
	bool busy;

	for (size_t i = 0; i < (size_t)HEAT_SETS * HEAT_WAYS; i++)
		bytes += all[i].bytes;
	rate = per_second(bytes, took);
	h->peak = MAX(rate, h->peak - h->peak / PEAK_DECAYS);
	h->busy = is_busy_locked(h, rate, took, cpu) ? h->busy + 1 : 0;
	busy = h->busy >= BUSY_WINDOWS;
	for (size_t i = 0; i < (size_t)HEAT_SETS * HEAT_WAYS; i++) {
		struct slot *s = &all[i];
		uint64_t part = s->bytes;

		if (s->weight == 0)
			continue;
		roll(s, per_second(part, took), took);
		if (s->weight == 0) /* it has left, and is nobody's to judge */
			continue;
		judge(h, s, per_second(part, took),
		      busy && part > 0 && part >= bytes / 100 * HEAT_SHARE,
		      now);
	}
	h->begun = now;
	h->cpu = cpu;
	h->samples = h->queued = 0;
}

void heat_tick(struct heat *h, int64_t now, int64_t cpu)
{
	lock_take(&h->lock);
	h->samples++;
	h->queued += atomic_load(&h->sending);
	if (now - h->begun >= HEAT_WINDOW_NS)
		end_window_locked(h, now, cpu);
	lock_drop(&h->lock);
}

unsigned heat_spread(struct heat *h, uint64_t hash)
{
	const struct slot *s;
	unsigned n = 1;

	if (atomic_load_explicit(&h->spreads, memory_order_relaxed) == 0)
		return n;
	lock_take(&h->lock);
	s = find_locked(h, hash);
	if (s != NULL)
		n = s->spread;
	lock_drop(&h->lock);
	return n;
}

/* Put s where it belongs among the n that are there, which are max at most. */
static size_t insert(struct server_hot *out, size_t n, size_t max,
		     const struct slot *s)
{
	size_t at = n;

	while (at > 0 && out[at - 1].rate < s->rate)
		at--;
	if (at == max)
		return n;
	n = MIN(n + 1, max);
	memmove(out + at + 1, out + at, (n - at - 1) * sizeof(*out));
	out[at].segment = s->segment;
	out[at].rate = s->rate;
	out[at].spread = s->spread;
	memcpy(out[at].bucket, s->bucket, sizeof(out[at].bucket));
	memcpy(out[at].key, s->key, sizeof(out[at].key));
	return n;
}

size_t heat_list(struct heat *h, struct server_hot *out, size_t max)
{
	const struct slot *all = &h->slot[0][0];
	size_t n = 0;

	if (max == 0)
		return 0;
	lock_take(&h->lock);
	for (size_t i = 0; i < (size_t)HEAT_SETS * HEAT_WAYS; i++)
		if (all[i].weight > 0 && all[i].rate > 0)
			n = insert(out, n, max, &all[i]);
	lock_drop(&h->lock);
	return n;
}
