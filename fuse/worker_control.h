/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_control.h - what a worker can be asked to do, below /-/
 *
 * The same paths as on a mount's socket: POST /-/load, /-/free and
 * /-/invalidate, GET /-/load/ID; see control_jobs.h for the bodies. Jobs live
 * as long as the worker.
 */
#ifndef FUSE_WORKER_CONTROL_H
#define FUSE_WORKER_CONTROL_H

#include <jansson.h>

#include "fuse/worker.h"

/* The sources are open. 0, or -errno. */
int worker_control_start(const struct worker *w, struct worker_control **out);
void worker_control_stop(struct worker_control *c); /* cancels; NULL is ok */

/* Is this path one of these? */
bool worker_control_has(const char *path);

/* As the page hook of ring/server.h, of such a path. */
int worker_control_page(struct worker_control *c, const char *method,
			const char *path, struct str body,
			struct server_page *out);

/* All jobs, for the status: a new reference. */
json_t *worker_control_jobs(struct worker_control *c);

#endif
