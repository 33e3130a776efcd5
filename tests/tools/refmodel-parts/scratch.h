/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scratch.h - a run's directory, and what is to be as it was at its end
 */
#ifndef REFMODEL_SCRATCH_H
#define REFMODEL_SCRATCH_H

#include <stdint.h>

struct scratch {
	char base[64]; /* below TMPDIR */
	int fds;
	int64_t memory_bytes;
};

int scratch_begin(struct scratch *s); /* 0 or -errno */
/* Descriptors and counted memory are as they were: why is "". */
void scratch_end(struct scratch *s, char why[static 256]);
void scratch_remove(const char *path); /* with all below it */

#endif
