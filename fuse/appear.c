/* SPDX-License-Identifier: Apache-2.0 */
/*
 * appear.c - directories that the kernel takes for absent, and are there again
 */
#include "fuse/appear.h"

#include <errno.h>

#include "fuse/fs_impl.h"
#include "fuse/mount.h"

struct appear {
	struct fs *fs;
	struct pool *pool; /* of one thread */
	atomic_uint waiting;
};

struct telling {
	struct job job;
	struct appear *appear;
	uint64_t nodeid;
};

/* Only what is remembered of the name goes: some may have it as their cwd. */
static void expire(struct fs *fs, const struct inode_place *at,
		   enum name_kind kind)
{
	char name[NAME_LEN_MAX + 1];
	size_t n = name_from_key((struct str){ at->comp, at->n }, kind, name);
	int r = fuse_lowlevel_notify_expire_entry(fs->se, at->parent, name, n,
						  FUSE_LL_EXPIRE_ONLY);

	if (r == -ENOSYS) /* an old kernel */
		fuse_lowlevel_notify_inval_entry(fs->se, at->parent, name, n);
}

static void tell(struct job *job)
{
	struct telling *t = container_of(job, struct telling, job);
	struct appear *a = t->appear;
	struct inode_place at;

	while (inodes_absent_above(a->fs->inodes, t->nodeid, &at)) {
		expire(a->fs, &at, NAME_PLAIN);
		expire(a->fs, &at, NAME_TWIN); /* its object's by now (N5) */
	}
	free(t);
	atomic_fetch_sub(&a->waiting, 1);
}

void appear_above(struct appear *a, uint64_t nodeid)
{
	struct telling *t;

	if (a == NULL || a->fs->se == NULL ||
	    !inodes_absent_above(a->fs->inodes, nodeid, NULL))
		return;
	t = malloc(sizeof(*t));
	if (t == NULL)
		return;
	*t = (struct telling){ { .run = tell }, a, nodeid };
	atomic_fetch_add(&a->waiting, 1);
	pool_submit(a->pool, &t->job, POOL_DEMAND);
}

int appear_new(struct fs *fs, struct appear **out)
{
	struct appear *a = calloc(1, sizeof(*a));
	int r;

	if (a == NULL)
		return -ENOMEM;
	a->fs = fs;
	r = pool_new("appear", 1, &a->pool);
	if (r < 0)
		free(a);
	else
		*out = a;
	return r;
}

void appear_free(struct appear *a)
{
	if (a == NULL)
		return;
	/* It may wait for a lock whose holder waits for us: nobody serves. */
	if (atomic_load(&a->waiting) > 0)
		mount_cut(a->fs);
	pool_stop(a->pool);
	free(a);
}
