/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - operations carried out, and every answer judged
 */
#ifndef REFMODEL_RUN_H
#define REFMODEL_RUN_H

#include "tests/tools/refmodel-parts/front.h"

struct outcome {
	bool failed;
	size_t at;     /* the operation; n: the end of the run */
	char why[400]; /* what was wrong */
	size_t reads, opens, answers, errors; /* that were judged */
	size_t faults, kills;                 /* of a run that writes */
};

/*
 * Carry out those of the n operations that skip (or NULL) does not name, on a
 * new front. trace: print each and what came of it.
 */
void run_ops(struct front *(*front_new)(struct model *m,
					const struct config *c),
	     const struct config *config, const struct op *ops, size_t n,
	     const bool *skip, bool trace, struct outcome *out);

#endif
