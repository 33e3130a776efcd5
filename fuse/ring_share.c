/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_share.c - the part of a load that one worker of a ring does
 */
#include "fuse/ring_share.h"

#include <errno.h>

#include "cache/cache.h"
#include "cache/object.h"
#include "fuse/json_text.h"
#include "ring/place.h"
#include "ring/ring.h"

_Static_assert(OBJECT_SEGMENT == RING_SEGMENT,
	       "what is placed is what can be loaded alone");

struct share {
	struct jobs_filter filter;
	struct ring *ring; /* owns a ref */
	uint32_t me;
};

static bool mine(struct jobs_filter *f, struct cache *cache, struct str key,
		 uint64_t segment)
{
	const struct share *s = container_of(f, struct share, filter);

	return ring_owner(s->ring,
			  place_data(cache_ufs(cache), key, segment)) == s->me;
}

static void share_free(struct jobs_filter *f)
{
	struct share *s = container_of(f, struct share, filter);

	ring_unref(s->ring);
	free(s);
}

static int read_ring(const json_t *list, struct ring **out)
{
	size_t n = json_array_size(list);
	AUTO_FREE struct ring_member *m = NULL;

	if (n == 0 || n > RING_WORKERS_MAX)
		return -EINVAL;
	m = calloc(n, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *w = json_array_get(list, i);
		json_int_t weight =
		    json_integer_value(json_object_get(w, "weight"));

		m[i].name = json_string_value(json_object_get(w, "name"));
		if (m[i].name == NULL || weight <= 0)
			return -EINVAL;
		m[i].weight = (uint64_t)weight;
	}
	return ring_new(m, n, out);
}

int ring_share_new(const json_t *member, struct jobs_filter **out,
		   char why[static WHY_MAX])
{
	const char *me = json_string_value(json_object_get(member, "me"));
	struct share *s = calloc(1, sizeof(*s));
	int64_t at;
	int r;

	if (s == NULL) {
		snprintf(why, WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	r = read_ring(json_object_get(member, "workers"), &s->ring);
	if (r < 0) {
		free(s);
		snprintf(why, WHY_MAX,
			 "ring: workers is an array of {\"name\", \"weight\"}, "
			 "each name once and each weight above 0");
		return r;
	}
	at = me != NULL ? ring_find(s->ring, me) : -ENOENT;
	if (at < 0) {
		share_free(&s->filter);
		snprintf(why, WHY_MAX, "ring: me is none of its workers");
		return -EINVAL;
	}
	s->me = (uint32_t)at;
	s->filter.mine = mine;
	s->filter.free = share_free;
	*out = &s->filter;
	return 0;
}

json_t *ring_share_member(const struct ring *r, const char *me)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < ring_workers(r); i++)
		json_array_append_new(
		    list, json_pack("{s:o, s:I}", "name",
				    json_text(ring_name(r, i)), "weight",
				    (json_int_t)MIN(ring_weight(r, i),
						    (uint64_t)INT64_MAX)));
	return json_pack("{s:o, s:o}", "workers", list, "me", json_text(me));
}
