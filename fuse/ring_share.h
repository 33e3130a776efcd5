/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_share.h - the part of a load that one worker of a ring does
 *
 * Who loads into the whole ring gives each worker the same names and the ring
 * that it shall assume, so that all parts together are all, and no two meet:
 *
 *   "ring": {"workers": [{"name": "host:port", "weight": 1}, ...],
 *            "me": "host:port"}
 */
#ifndef FUSE_RING_SHARE_H
#define FUSE_RING_SHARE_H

#include <jansson.h>

#include "fuse/cli.h"
#include "fuse/jobs.h"

struct ring;

/*
 * The filter of such a member, to be given to a job. 0; -EINVAL and why;
 * -ENOMEM.
 */
int ring_share_new(const json_t *member, struct jobs_filter **out,
		   char why[static WHY_MAX]);

/* The member that says so, a new reference, or NULL: no memory. */
json_t *ring_share_member(const struct ring *r, const char *me);

#endif
