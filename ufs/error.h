/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.h - the words behind ufs_last_error(), for drivers
 */
#ifndef UFS_ERROR_H
#define UFS_ERROR_H

#include "base/base.h"

/* Remember, for this thread, what failed last. */
void ufs_set_error(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
