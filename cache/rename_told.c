/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename_told.c - who else answers for the store hears of a rename
 *
 * Of both names of each object, when they are what they are: told before an old
 * one was removed, a worker might learn it once more.
 */
#include "cache/rename_impl.h"

static void tell(struct ufs *u, struct str key)
{
	if (u->ops->made != NULL)
		u->ops->made(u, key);
}

void rename_tell(const struct rename *r)
{
	struct ufs *u = cache_ufs(r->staging->cache);
	char key[UFS_KEY_MAX + 1];

	/* The name of a tree is one in the directory that it is in. */
	tell(u, (struct str){ r->from, r->from_n - r->tree });
	tell(u, (struct str){ r->to, r->to_n - r->tree });
	for (size_t i = 0; i < r->n; i++) {
		tell(u, rename_from(r, &r->objects[i], key));
		tell(u, rename_to(r, &r->objects[i], key));
	}
}
