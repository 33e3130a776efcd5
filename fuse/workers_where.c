/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers_where.c - which worker has what, as far as the ring says
 */
#include "fuse/workers.h"

#include "fuse/json_text.h"
#include "ring/members.h"
#include "ring/place.h"
#include "ring/ring.h"
#include "ufs/ufs.h"

#define ASKED 3            /* the owner, and who is asked when it cannot help */
#define SEGMENTS_MAX 65536 /* 64 TiB: a store may say that there are 2^33 */

static json_t *names_at(const struct ring *r, uint64_t hash)
{
	uint32_t ids[ASKED];
	size_t n = ring_lookup(r, hash, ids, ASKED);
	json_t *names = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(names, json_text(ring_name(r, ids[i])));
	return names;
}

/* A file without bytes has one segment of none. */
static json_t *segments_of(const struct ufs *u, const struct ring *r,
			   struct str key, uint64_t size)
{
	json_t *all = json_array();
	uint64_t first = 0;

	do {
		uint64_t n = MIN(size - first, RING_SEGMENT);
		uint64_t at = place_data(u, key, first / RING_SEGMENT);

		json_array_append_new(all, json_pack("{s:I, s:I, s:o}", "first",
						     (json_int_t)first, "bytes",
						     (json_int_t)n, "workers",
						     names_at(r, at)));
		first += RING_SEGMENT;
	} while (first < size && json_array_size(all) < SEGMENTS_MAX);
	return all;
}

json_t *workers_where(struct workers *w, struct str key, bool dir,
		      uint64_t size)
{
	const struct ufs *u = workers_ufs(w);
	struct members_view v;
	json_t *j;

	members_ring(workers_members(w), &v);
	j = json_pack("{s:I, s:b}", "epoch", (json_int_t)v.epoch, "directory",
		      dir);
	if (v.now != NULL) {
		json_object_set_new(j, "names",
				    names_at(v.now, place_dir(u, key)));
		if (!dir) {
			json_object_set_new(j, "bytes",
					    json_integer((json_int_t)size));
			json_object_set_new(j, "segments",
					    segments_of(u, v.now, key, size));
		}
	}
	members_view_fini(&v);
	return j;
}

bool workers_owner(void *arg, struct str key, char *buf, size_t size)
{
	struct workers *w = arg;
	struct members_view v;
	uint32_t id;
	bool known;

	members_ring(workers_members(w), &v);
	known =
	    v.now != NULL &&
	    ring_lookup(v.now, place_data(workers_ufs(w), key, 0), &id, 1) == 1;
	if (known)
		snprintf(buf, size, "%s", ring_name(v.now, id));
	members_view_fini(&v);
	return known;
}
