/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_run.h - carry out the operations of a run that writes, and judge
 */
#ifndef REFMODEL_WRITE_RUN_H
#define REFMODEL_WRITE_RUN_H

#include "tests/tools/refmodel-parts/run.h"
#include "tests/tools/refmodel-parts/write_front.h"

/* As run_ops() in run.h. */
void write_run_ops(
    struct write_front *(*front_new)(const struct write_config *c),
    const struct write_config *config, const struct op *ops, size_t n,
    const bool *skip, bool trace, struct outcome *out);

#endif
