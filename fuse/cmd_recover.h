/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_recover.h - what finds a file and what brings it back share
 */
#ifndef FUSE_CMD_RECOVER_H
#define FUSE_CMD_RECOVER_H

#include "cache/recover.h"
#include "fuse/client.h"
#include "fuse/options.h"

struct recover_found {
	struct recover_record r;
	const char *staging;        /* borrowed */
	struct client_mount *mount; /* of its source, or NULL; borrowed */
	char *path;                 /* there, or NULL */
	char *url;
	bool meant;
};

struct recover_request {
	/* as it was given */
	const char *what, *save, *source, *staging_dir, *o, *config;
	bool json, commit, discard, force;

	struct options *options;
	struct client_mount *mounts;
	char **dirs; /* owned; those that were looked into */
	size_t ndirs;
	const char *looking_at;
	struct recover_found *found;
	size_t n;
};

/* Has this mount just the source that the record is of? */
bool recover_is_of(const struct recover_record *r,
		   const struct client_mount *m);

/* Do what was asked for to this one; an exit code. */
int recover_act(const struct recover_request *q, const struct recover_found *f);

#endif
