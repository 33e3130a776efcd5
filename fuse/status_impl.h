/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_impl.h - what mounts and workers tell alike (status*.c only)
 *
 * c is a cache; the others of a worker are in the same directories.
 */
#ifndef FUSE_STATUS_IMPL_H
#define FUSE_STATUS_IMPL_H

#include <jansson.h>
#include <stdio.h>

#include "cache/cache.h"
#include "fuse/options.h"

json_t *status_common_json(const struct options *o, int64_t started,
			   struct cache *c);
void status_all_metrics(struct cache *c, FILE *f);
void status_log_all(struct cache *c);

/* A label's value: backslash, quote and newline escaped. */
void status_put_label(FILE *f, const char *v);

#endif
