/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster.h - what all members of a cluster agree on
 */
#ifndef FUSE_CLUSTER_H
#define FUSE_CLUSTER_H

#include "fuse/cli.h"
#include "fuse/options.h"
#include "ring/access.h"

/*
 * The name under which workers serve a source, on the heap: the bucket's, of
 * file:// the store-id (NULL: none) or the last component of its path. "" when
 * it has none. NULL: out of memory.
 */
char *cluster_bucket(const char *source, const char *store_id);

/*
 * The cluster's key out of its file: one line, of mode 0600 and this user's.
 * *out is the caller's, who ends it with cluster_key_free(). 0, or -errno and
 * a sentence in why.
 */
int cluster_key_read(const char *path, char **out, char why[static WHY_MAX]);
void cluster_key_free(char *key); /* wiped; NULL is allowed */

/* The certificates that the options name; their texts are borrowed. */
struct ring_tls cluster_tls(const struct options *o);

#endif
