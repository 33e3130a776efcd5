/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.h - what a store can be changed by
 *
 * A driver that can write has a struct ufs_write_ops. An object is put in one
 * piece, or as an upload of parts that becomes visible only when it is ended:
 * other readers see the old object or the new one (S10). Every change may be
 * bound to what has to be there (S15), every byte sent is covered by a
 * checksum that the store confirms (S11).
 *
 * As all of ufs.h, these calls block, may come from many threads, retry what
 * can be retried and have a deadline of their own, which every byte sent
 * moves on. An answer that was lost is not guessed at: the object is looked
 * at, and is ours when size and checksum say so. Beside the errors there:
 *
 *   -EEXIST UFS_IF_ABSENT, and something is there
 *   -ESTALE UFS_IF_VERSION, and it is another or none; the source of a copy
 *   -EBUSY  other changes of the same key stood in the way, several times
 *   -EFBIG  larger than the store takes
 *   -ENOLINK the upload is not known any more (begin another)
 */
#ifndef UFS_WRITE_H
#define UFS_WRITE_H

#include "ufs/ufs.h"

enum ufs_if {
	UFS_IF_ANY,
	UFS_IF_ABSENT,  /* no object of this key */
	UFS_IF_VERSION, /* just this version */
};

struct ufs_cond {
	enum ufs_if what;
	const char *version; /* of UFS_IF_VERSION, else NULL */
};

/*
 * Bytes to be sent. They are read to be sent, again for each retry, and before
 * that for their checksum if it is not known; the store refuses them when they
 * differ.
 */
struct ufs_body {
	void *arg;
	uint64_t size;
	/*
	 * Bytes [off, off+len), which are within size, into buf. 0, or -errno
	 * to end it all. Runs on the calling thread.
	 */
	int (*read)(void *arg, uint64_t off, void *buf, size_t len);
	/* Optional: their CRC64NVME, if it is known. read() checks them. */
	bool (*crc)(void *arg, uint64_t *out);
};

/* A part of an upload, as the store confirmed it. */
struct ufs_part {
	unsigned number; /* from 1; set by the caller */
	uint64_t size;
	uint64_t crc; /* CRC64NVME of its bytes, if known */
	bool has_crc;
	char etag[UFS_VERSION_MAX];
};

struct ufs_upload {
	struct str key; /* borrowed for the call */
	const char *id; /* the same */
	int64_t begun;  /* ns since 1970 */
};

/* Not 0: the listing ends with it. */
typedef int ufs_upload_cb(void *arg, const struct ufs_upload *up);

/* Bounds of the store; parts but the last are at least part_least. */
struct ufs_limits {
	uint64_t put_most;    /* bytes of a put, and of a copy */
	uint64_t part_least;  /* 0: uploads of parts are not supported */
	uint64_t part_most;   /* bytes of a part */
	unsigned parts;       /* of an upload */
	uint64_t object_most; /* bytes */
};

struct ufs_write_ops {
	/* What the store takes. Asks nothing. */
	void (*limits)(struct ufs *u, struct ufs_limits *out);

	/*
	 * Make body the object of key. *out: as stat() would tell it now.
	 * A key that ends with '/' and an empty body is a directory's marker.
	 */
	int (*put)(struct ufs *u, struct str key, const struct ufs_body *body,
		   const struct ufs_cond *cond, struct ufs_stat *out,
		   struct cancel *cancel);

	/* Remove the object. Absent: 0 with UFS_IF_ANY, else -ESTALE. */
	int (*remove)(struct ufs *u, struct str key,
		      const struct ufs_cond *cond, struct cancel *cancel);

	/*
	 * Make the version of from (st: as it was last seen; at most
	 * put_most bytes) the object of to, without moving its bytes.
	 * -ENOENT, -ESTALE: from is gone, or another. -EFBIG: it is to be
	 * copied in parts.
	 */
	int (*copy)(struct ufs *u, struct str from, const struct ufs_stat *st,
		    struct str to, const struct ufs_cond *cond,
		    struct ufs_stat *out, struct cancel *cancel);

	/*
	 * Optional: have all below from below to, at once; both end in '/'. At
	 * to there is nothing, or a directory without anything in it: else
	 * -ENOTEMPTY. -ENOENT: there is no from. -ENOTDIR.
	 */
	int (*move_tree)(struct ufs *u, struct str from, struct str to,
			 struct cancel *cancel);

	/*
	 * Have both keys the same bytes, as far as the store can tell without
	 * sending them? 1: yes, 0: no, or it cannot. -ENOENT: one is gone.
	 */
	int (*same)(struct ufs *u, struct str a, struct str b,
		    struct cancel *cancel);

	/*
	 * Optional, all of them together. *id (heap) names the upload to the
	 * store, also for another process. Parts may be sent in any order,
	 * side by side and again; upload_end() takes them in ascending order
	 * of their numbers, and is what makes the object.
	 */
	int (*upload_begin)(struct ufs *u, struct str key, char **id,
			    struct cancel *cancel);
	int (*upload_part)(struct ufs *u, struct str key, const char *id,
			   const struct ufs_body *body, struct ufs_part *part,
			   struct cancel *cancel);
	/*
	 * Bytes [off, off+len) of the version of from, as a part.
	 * -ENOENT, -ESTALE: from is gone, or another.
	 * -EOPNOTSUPP: this store cannot, or not rightly: send the bytes.
	 */
	int (*upload_copy)(struct ufs *u, struct str key, const char *id,
			   struct str from, const char *version, uint64_t off,
			   uint64_t len, struct ufs_part *part,
			   struct cancel *cancel);
	int (*upload_end)(struct ufs *u, struct str key, const char *id,
			  const struct ufs_part *parts, size_t n,
			  const struct ufs_cond *cond, struct ufs_stat *out,
			  struct cancel *cancel);
	/* 0 as well when it is not known any more. */
	int (*upload_abort)(struct ufs *u, struct str key, const char *id,
			    struct cancel *cancel);
	/* All of keys that begin so which have begun and not ended. */
	int (*upload_list)(struct ufs *u, struct str below, ufs_upload_cb *cb,
			   void *arg, struct cancel *cancel);
};

/*
 * Where changes go: the store itself, behind whatever answers reads in its
 * place (struct ufs_ops' store()). NULL: it cannot be written.
 */
struct ufs *ufs_writable(struct ufs *u);

#endif
