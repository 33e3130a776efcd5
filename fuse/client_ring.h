/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_ring.h - how commands speak with workers
 *
 * Workers are asked over TCP, signed with the cluster's key, which is found
 * as a mount finds it: cluster-key-file in the options, the environment or the
 * configuration file.
 */
#ifndef FUSE_CLIENT_RING_H
#define FUSE_CLIENT_RING_H

#include <jansson.h>

#include "fuse/cli.h"
#include "fuse/options.h"
#include "ring/tell.h"

struct client_ring {
	struct options *options;
	char *secret; /* NULL: none, or no_key says why not */
	char no_key[WHY_MAX];
};

/*
 * What -o and -c said (NULL: they were not given). A key that cannot be read
 * is no failure yet: not all that can be asked needs one. 0, or an exit code
 * after a message. client_ring_close() in any case.
 */
int client_ring_open(struct client_ring *r, const char *o, const char *config);
void client_ring_close(struct client_ring *r);

struct client_mount;

/* Use what a mount was told of its ring, unless -o said it. An exit code. */
int client_ring_adopt(struct client_ring *r, const struct client_mount *m);

/*
 * Ask one worker; body NULL: a GET. *out gets the answer, a new reference. 0,
 * or -errno and a sentence with the fix in why (-ENOENT: 404).
 */
int client_ring_call(const struct client_ring *r, const char *worker,
		     const char *path, const json_t *body, json_t **out,
		     char why[static WHY_MAX]);

/* The same of what tell_all() brought. */
int client_ring_answer(const struct client_ring *r, const struct tell *t,
		       json_t **out, char why[static WHY_MAX]);

/* How tell_all() is to speak; borrowed from r. */
struct ring_access client_ring_access(const struct client_ring *r);

#endif
