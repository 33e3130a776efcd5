/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_xattr.c - what getfattr shows of a file (S23), and statfs
 *
 *	user.tarn.etag		the version as the store says it
 *	user.tarn.version	the version as tarn names it (also weak ones)
 *	user.tarn.storage_class
 *	user.tarn.cached	bytes of it on this host
 *
 * Other namespaces are not supported, and said to be so: `ls -l` asks each
 * file for security.selinux and its ACL, but stops at the first EOPNOTSUPP
 * (50,000 entries: 0.3 s, against 3.5 s with ENODATA).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "fuse/fs_impl.h"

#define PREFIX "user.tarn."

static const char *const names[] = {
	PREFIX "etag",
	PREFIX "version",
	PREFIX "storage_class",
	PREFIX "cached",
};

struct cached_rq {
	struct rq rq;
	size_t size; /* what the caller has room for */
	struct object *object;
};

static void reply_value(fuse_req_t req, const char *value, size_t n,
			size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, n);
	else if (size < n)
		reply_err(req, -ERANGE);
	else
		fuse_reply_buf(req, value, n);
}

static void cached_fini(struct rq *rq)
{
	struct cached_rq *c = container_of(rq, struct cached_rq, rq);

	object_put(c->object);
	free(c);
}

static void cached_run(struct rq *rq)
{
	struct cached_rq *c = container_of(rq, struct cached_rq, rq);
	uint64_t bytes = 0;
	char text[24];
	int r = object_cached(c->object, &bytes);

	if (r < 0) {
		rq_finish_err(rq, r);
		return;
	}
	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	if (rq_claim(rq))
		reply_value(rq->req, text, strlen(text), c->size);
	rq_unref(rq);
}

/* How much is cached is asked of the SSD, so not on this thread. */
static int cached_start(struct fs *fs, fuse_req_t req, fuse_ino_t ino,
			const struct ufs_stat *st, size_t size)
{
	char key[UFS_KEY_MAX + 1];
	struct cached_rq *c;
	size_t n;
	int r = inodes_key(fs->inodes, ino, key, &n);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	r = object_get(fs->cache, (struct str){ key, n }, st, &c->object);
	if (r < 0) {
		free(c);
		return r;
	}
	c->size = size;
	rq_init(&c->rq, fs, req, cached_fini);
	rq_run(&c->rq, cached_run);
	rq_wait(&c->rq);
	return 0;
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs *fs = fuse_req_userdata(req);
	const char *value = NULL;
	struct inode_attr a;
	struct ufs_stat st;
	int r = inodes_get(fs->inodes, ino, &a, &st);

	if (strncmp(name, "user.", 5) != 0)
		r = -EOPNOTSUPP;
	else if (r == 0 && a.type == INODE_DIR)
		r = -ENODATA;
	if (r < 0) {
		reply_err(req, r);
		return;
	}
	if (strcmp(name, names[3]) == 0) {
		r = cached_start(fs, req, ino, &st, size);
		if (r < 0)
			reply_err(req, r);
		return;
	}
	if (strcmp(name, names[0]) == 0 && !(st.flags & UFS_WEAK))
		value = st.version;
	else if (strcmp(name, names[1]) == 0)
		value = st.version;
	else if (strcmp(name, names[2]) == 0)
		value = st.storage_class[0] ? st.storage_class : "STANDARD";
	if (value == NULL)
		reply_err(req, -ENODATA);
	else
		reply_value(req, value, strlen(value), size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs *fs = fuse_req_userdata(req);
	struct inode_attr a;
	struct ufs_stat st;
	char list[128];
	size_t n = 0;
	int r = inodes_get(fs->inodes, ino, &a, &st);

	if (r < 0) {
		reply_err(req, r);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t len = strlen(names[i]) + 1;

		if (a.type == INODE_DIR || (i == 0 && (st.flags & UFS_WEAK)))
			continue;
		memcpy(list + n, names[i], len);
		n += len;
	}
	reply_value(req, list, n, size);
}

/* A bucket has no size: much room, so that nobody finds it full. */
void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = UINT64_C(1) << 40,
		.f_bfree = UINT64_C(1) << 40,
		.f_bavail = UINT64_C(1) << 40,
		.f_files = UINT64_C(1) << 40,
		.f_ffree = UINT64_C(1) << 40,
		.f_namemax = NAME_LEN_MAX,
	};

	(void)ino;
	fuse_reply_statfs(req, &st);
}
