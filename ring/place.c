/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.c - where what a source holds stands on the circle
 */
#include "ring/place.h"

#include "ring/ring.h"

/* prefix and key in one. */
struct whole_key {
	char p[2 * UFS_KEY_MAX + 2];
};

static struct str whole_of(const struct ufs *u, struct str key,
			   struct whole_key *out)
{
	size_t n = MIN(strlen(u->prefix), UFS_KEY_MAX);
	size_t k = MIN(key.n, UFS_KEY_MAX + 1);

	memcpy(out->p, u->prefix, n);
	if (k > 0)
		memcpy(out->p + n, key.p, k);
	return (struct str){ out->p, n + k };
}

uint64_t place_data(const struct ufs *u, struct str key, uint64_t segment)
{
	struct whole_key k;

	return ring_hash_data(str_of(u->store), whole_of(u, key, &k), segment);
}

uint64_t place_dir(const struct ufs *u, struct str key)
{
	struct whole_key k;
	struct str dir = whole_of(u, key, &k);

	while (dir.n > 0 && dir.p[dir.n - 1] != '/')
		dir.n--;
	return ring_hash_dir(str_of(u->store), dir);
}
