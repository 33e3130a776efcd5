/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_worker.h - what a worker tells of itself: JSON, metrics, the log
 */
#ifndef FUSE_STATUS_WORKER_H
#define FUSE_STATUS_WORKER_H

#include <jansson.h>

#include "fuse/worker.h"

/* The answer to /-/status, a new reference, or NULL. */
json_t *status_worker_json(struct worker *w);

/* Prometheus text on the heap, or NULL. */
char *status_worker_metrics(const struct worker *w);

/* Every number that is not 0, and the disks, to the log (SIGUSR1). */
void status_worker_log(const struct worker *w);

#endif
