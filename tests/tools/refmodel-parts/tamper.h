/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tamper.h - a cache directory that loses, mixes and spoils files
 */
#ifndef REFMODEL_TAMPER_H
#define REFMODEL_TAMPER_H

#include "tests/tools/refmodel-parts/ops.h"

/* Do something to one file of the cache directory, as the numbers say. */
void tamper_with(const char *dir, const struct op *op);

#endif
