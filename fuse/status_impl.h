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
#include "fuse/json_text.h"
#include "fuse/options.h"

json_t *status_common_json(const struct options *o, int64_t started,
			   struct cache *c);
/*
 * The files of these caches that are read most just now: an array of
 * {"key", "bytes", "opens", "per_s"}, the hottest first, with "bucket" unless
 * buckets is NULL. A new reference.
 */
json_t *status_hot(struct cache *const *caches, const char *const *buckets,
		   size_t n);

void status_all_metrics(struct cache *c, FILE *f);
void status_log_all(struct cache *c);

/*
 * A label's value: backslash, quote and newline escaped, and what is not
 * UTF-8 as json_text() has it.
 */
void status_put_label(FILE *f, const char *text);

#endif
