/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufs_impl.h - what the drivers share among themselves
 */
#ifndef UFS_UFS_IMPL_H
#define UFS_UFS_IMPL_H

#include "base/base.h"
#include "base/cancel.h"
#include "ufs/ufs.h"

/* In the year 2262: later times do not fit into ns. */
#define UFS_MTIME_MAX_S (INT64_MAX / 1000000000 - 1)

/*
 * Remember in words why this thread's call fails, for ufs_last_error(), and
 * return err. Bytes that could forge a line are replaced.
 */
int ufs_fail(int err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same for who opens something: into why. */
int ufs_why(char why[static 256], int err, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* For ufs_last_age(): by a driver that does not ask the store itself. */
void ufs_set_age(int64_t age);

/* Seconds since 1970 to the ns of struct ufs_stat, within its bounds. */
int64_t ufs_mtime(int64_t seconds, int64_t ns);

/* Full jitter: somewhere in [0, most), so that hosts are not in step. */
int64_t ufs_jitter(int64_t most);

/* Sleep until deadline (clock_ns()); -ECANCELED soon after cancel is set. */
int ufs_sleep_until(int64_t deadline, struct cancel *cancel);

/* Release the names that every driver has. */
void ufs_fini(struct ufs *u);

#endif
