/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shrink.h - the smallest list of operations that still fails
 */
#ifndef REFMODEL_SHRINK_H
#define REFMODEL_SHRINK_H

#include "base/base.h"

/* Does it fail without those that skip names? */
typedef bool shrink_fails(void *arg, const bool *skip);

/*
 * Set more of skip[0 .. n) for as long as it fails and the seconds last:
 * halves first, then ever smaller runs, then one at a time.
 */
void shrink(bool *skip, size_t n, shrink_fails *fails, void *arg,
	    unsigned seconds);

#endif
