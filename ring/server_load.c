/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server_load.c - what heat.h is told of this worker's answers
 *
 * Answers that go out of files are what counts: their bytes by segment, how
 * many are under way, and what processor time the serving threads use. Each
 * of those is known by its clock from its first request on, and the thread
 * that watches the connections reads them.
 */
#include "base/clock.h"
#include "ring/ring.h"
#include "ring/server_impl.h"

static _Thread_local const struct server *counted_for;

void load_thread(struct server *s)
{
	clockid_t clock;

	if (counted_for == s)
		return;
	counted_for = s;
	if (pthread_getcpuclockid(pthread_self(), &clock) != 0)
		return;
	lock_take(&s->lock);
	if (s->nclocks < s->clocks_max)
		s->clocks[s->nclocks++] = clock;
	lock_drop(&s->lock);
}

void load_tick_locked(struct server *s)
{
	struct timespec used;
	int64_t cpu = 0;

	for (size_t i = 0; i < s->nclocks; i++)
		if (clock_gettime(s->clocks[i], &used) == 0)
			cpu += used.tv_sec * NSEC_PER_SEC + used.tv_nsec;
	heat_tick(s->heat, clock_ns(), cpu);
}

/*
 * Who asks for what was here before a change of the ring is not the one whom
 * replicas help: they would be another ring's.
 */
static bool has_segment(const struct exchange *x)
{
	return x->tarn && !x->held_only;
}

static uint64_t hash_of(const struct exchange *x)
{
	return ring_hash_data(str_of(x->source->ufs->store), x->request.key,
			      x->off / RING_SEGMENT);
}

void load_header(struct exchange *x)
{
	unsigned n;

	if (!has_segment(x))
		return;
	n = heat_spread(x->server->heat, hash_of(x));
	if (n > 1)
		answer_header(x, WIRE_H_SPREAD, "%u", n);
}

void load_begin(struct exchange *x)
{
	heat_begin(x->server->heat);
	x->loads = true;
}

void load_end(struct exchange *x, bool complete)
{
	struct heat *h = x->server->heat;

	if (x->loads && has_segment(x)) {
		const struct heat_segment s = {
			.hash = hash_of(x),
			.bucket = x->source->bucket,
			.key = x->request.key,
			.segment = x->off / RING_SEGMENT,
			.size = MIN(x->st.size -
					x->off / RING_SEGMENT * RING_SEGMENT,
				    RING_SEGMENT),
		};

		heat_end(h, &s, complete ? x->len : 0);
	} else if (x->loads) {
		heat_end(h, NULL, complete ? x->len : 0);
	} else if (x->stream.buf != NULL) {
		heat_other(h, x->stream.next - x->off);
	}
	x->loads = false;
}

size_t server_hot(struct server *s, struct server_hot *out, size_t max)
{
	return heat_list(s->heat, out, max);
}
