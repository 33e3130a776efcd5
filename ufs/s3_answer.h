/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_answer.h - what the answers of S3, and of a worker, say of objects
 */
#ifndef UFS_S3_ANSWER_H
#define UFS_S3_ANSWER_H

#include "base/base.h"
#include "ufs/s3_xml.h"
#include "ufs/ufs.h"

/*
 * Is this an entry of what was asked for, a LIST below prefix? Of one level
 * (not deep), none may hold a slash behind it: the delimiter was ignored.
 */
bool s3_entry_right(const struct s3_page *page, const struct s3_page_entry *e,
		    struct str prefix, bool deep);

/*
 * Hand on what belongs to a mount of this prefix (whole), relative to it, and
 * is behind after. What cb returned when that was not 0.
 */
int s3_page_give(const struct s3_page *page, const char *prefix,
		 struct str after, ufs_entry_cb *cb, void *arg);

/*
 * The version of an object from its ETag (as sent, or NULL), its time and
 * its size, and UFS_WEAK; st->size is set already.
 */
void s3_version(const char *etag, int64_t seconds, struct ufs_stat *st);

/*
 * What the headers of an answer say of its object, each NULL when it is not
 * there; st->size is set already.
 */
struct s3_object_headers {
	const char *etag, *modified, *storage_class, *restore;
};
void s3_object(const struct s3_object_headers *h, struct ufs_stat *st);

/* Storage classes whose objects are archived; restored: there is a copy. */
void s3_storage_class(const char *name, bool restored, struct ufs_stat *st);

#endif
