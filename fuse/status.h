/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - what a mount tells of itself: JSON, metrics, the log
 */
#ifndef FUSE_STATUS_H
#define FUSE_STATUS_H

#include <jansson.h>

#include "fuse/service.h"

struct jobs;

/* The answer to /-/status, a new reference, or NULL. */
json_t *status_json(const struct service *s, struct jobs *jobs);

/* Prometheus text on the heap, or NULL. */
char *status_metrics(const struct service *s);

/* Every number that is not 0, and the disks, to the log (SIGUSR1). */
void status_log(const struct service *s);

#endif
