/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - the control interface: HTTP on a Unix socket
 *
 *   GET  /-/              the page, see page.h
 *   GET  /-/health        200, or 503 with the reason
 *   GET  /-/history       JSON, see history.h
 *   GET  /-/metrics       Prometheus text
 *   GET  /-/status        JSON
 *   GET  /-/ring          of it, what it tells of the workers
 *   POST /-/where         {"paths": []} -> {"files": []}: who has what of them,
 *                         see workers_where()
 *   POST /-/load          {"paths": [], "keys": [], "to": "ssd",
 *                          "verify": false, "dry_run": false} -> {"id": "1"}
 *   GET  /-/load/ID       how far a load or free is
 *   POST /-/free          {"paths": [], "keys": [], "dry_run": false}
 *                         -> {"id": "2"}
 *   POST /-/invalidate    {"paths": []}
 *
 * Paths are relative to the mount, keys to the source. What goes wrong is
 * {"error": "a sentence"} with a 4xx or 5xx status.
 */
#ifndef FUSE_CONTROL_H
#define FUSE_CONTROL_H

#include "fuse/service.h"

struct control;

/*
 * Listen in this user's runtime directory; stale sockets there are removed.
 * The service is borrowed. On failure why says what to mend.
 */
int control_start(struct service *s, struct control **out,
		  char why[static WHY_MAX]);
void control_stop(struct control *c); /* NULL is allowed */

#endif
