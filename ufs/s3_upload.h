/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_upload.h - objects of an S3 store made of parts
 *
 * The optional half of struct ufs_write_ops, and what its copies share with
 * those of whole objects.
 */
#ifndef UFS_S3_UPLOAD_H
#define UFS_S3_UPLOAD_H

#include "ufs/s3_change.h"

/* What S3 promises; AWS takes larger objects by now, others do not. */
#define S3_PART_LEAST (UINT64_C(5) << 20)
#define S3_PUT_MOST (UINT64_C(5) << 30)
#define S3_PART_MOST (UINT64_C(5) << 30)
#define S3_PARTS 10000
#define S3_OBJECT_MOST (UINT64_C(5) << 40)

/* Where a copy comes from. To be zero, and ended in any case. */
struct s3_source {
	struct text path;
	char version[UFS_VERSION_MAX + 2];
	char date[40];
};

/* Let c copy from there. -ENOMEM. */
int s3_source_init(struct s3_source *s, struct s3_change *c, struct str from,
		   const char *version);
void s3_source_fini(struct s3_source *s);

int s3_upload_begin(struct ufs *u, struct str key, char **id,
		    struct cancel *cancel);
int s3_upload_part(struct ufs *u, struct str key, const char *id,
		   const struct ufs_body *body, struct ufs_part *part,
		   struct cancel *cancel);
int s3_upload_copy(struct ufs *u, struct str key, const char *id,
		   struct str from, const char *version, uint64_t off,
		   uint64_t len, struct ufs_part *part, struct cancel *cancel);
int s3_upload_end(struct ufs *u, struct str key, const char *id,
		  const struct ufs_part *parts, size_t n,
		  const struct ufs_cond *cond, struct ufs_stat *out,
		  struct cancel *cancel);
int s3_upload_abort(struct ufs *u, struct str key, const char *id,
		    struct cancel *cancel);
int s3_upload_list(struct ufs *u, struct str below, ufs_upload_cb *cb,
		   void *arg, struct cancel *cancel);

#endif
