/* SPDX-License-Identifier: Apache-2.0 */
/*
 * staging_copy.c - the store copies an object, however large it is
 *
 * What is larger than the store copies at once is a staged file upon the
 * source that nobody has written to: its commit has the store copy each part,
 * and its record sees to it that no upload is left behind.
 */
#include <errno.h>

#include "cache/staging_impl.h"

static int by_parts(struct staging *s, struct str from,
		    const struct ufs_stat *st, struct str to,
		    const struct ufs_cond *cond, struct ufs_stat *out,
		    struct cancel *cancel)
{
	struct staged *f;
	int r = staged_new(s, from, STAGED_UPON, st, &f);

	if (r < 0)
		return r;
	f->copies = true;
	r = staged_move(f, to, cond);
	lock_take(&f->lock);
	f->exclusive = cond->what == UFS_IF_ABSENT; /* or it is -ESTALE */
	lock_drop(&f->lock);
	if (r == 0)
		r = staged_commit(f, out, cancel);
	if (r < 0)
		staged_discard(f);
	staged_unref(f);
	return r;
}

int staging_copy(struct staging *s, struct str from, const struct ufs_stat *st,
		 struct str to, const struct ufs_cond *cond,
		 struct ufs_stat *out, struct cancel *cancel)
{
	int r = -EFBIG;

	if (st->size <= s->limits.put_most)
		r = s->ops->copy(s->ufs, from, st, to, cond, out, cancel);
	/* Some stores copy less at once than others. */
	if (r == -EFBIG && s->uploads && st->size > s->whole)
		r = by_parts(s, from, st, to, cond, out, cancel);
	return r;
}
