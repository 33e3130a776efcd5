/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_ring.h - loading into all workers of a ring, and freeing there
 *
 * Each worker gets the same names and the ring that it shall assume, and loads
 * the segments that it owns in it (ring_share.h). One that dies, or has begun
 * anew and knows of no job, is left behind: once the others have ended, they
 * are told again, with the ring that is left. What is there is not fetched
 * twice, so the last round tells how much there is in all, exactly.
 *
 * The job's name is chosen here, and the same on all workers.
 */
#ifndef FUSE_LOAD_RING_H
#define FUSE_LOAD_RING_H

#include <jansson.h>

#include "fuse/client.h"
#include "fuse/client_ring.h"

struct members;

struct load_ring {
	struct client_ring client;
	struct members *members; /* NULL: not asked for yet */
	char *workers;           /* workers=, once it is known */
};

struct load_ring_job {
	/* set by the caller */
	bool free; /* else load */
	bool verify, dry_run;
	bool detach;        /* return when all have begun */
	const json_t *urls; /* array of strings */
	/* How far all are together: as jobs_status(). NULL: not wanted. */
	void (*progress)(void *arg, const json_t *sum);
	/* It has begun: its name, on so many workers. */
	void (*began)(void *arg, const char *job, size_t workers);
	void *arg;

	/* what came of it */
	json_t *sum; /* the caller's reference: as jobs_status(), and workers */
};

/* What -o and -c said, or NULL. An exit code; close in any case. */
int load_ring_open(struct load_ring *l, const char *o, const char *config);
void load_ring_close(struct load_ring *l);

/*
 * Take from a mount what its workers are, unless -o said it. An exit code: the
 * names of one command are for one ring.
 */
int load_ring_adopt(struct load_ring *l, const struct client_mount *m);

/* Do it. An exit code, after a message if it failed. */
int load_ring_run(struct load_ring *l, struct load_ring_job *j);

/* How far the job of a name is; *sum as above. An exit code. */
int load_ring_ask(struct load_ring *l, const char *job, json_t **sum);

#endif
