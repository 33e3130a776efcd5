/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_abort.h - uploads are aborted, also those whose id nobody knows
 */
#ifndef CACHE_UPLOAD_ABORT_H
#define CACHE_UPLOAD_ABORT_H

#include <errno.h>

#include "ufs/write.h"

/*
 * What stands for the id of an upload that is begun now, on the heap. No
 * store's is so. NULL: no memory.
 */
char *upload_unknown(void);

/*
 * Abort the upload that has this id, in the store's words or in ours; then it
 * is not the one with the id spare (NULL: any may be). 0 as well when there is
 * none, and in a store that has no uploads.
 */
int upload_abort(struct ufs *u, struct str key, const char *id,
		 const char *spare, struct cancel *cancel);

/*
 * The store does not let us abort or look for it, and will not when it is asked
 * again: that is no reason not to write.
 */
static inline bool upload_abort_refused(int err)
{
	return err == -EACCES || err == -EPERM || err == -EOPNOTSUPP;
}

#endif
