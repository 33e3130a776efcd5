/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - how commands speak with the mounts of this user
 */
#ifndef FUSE_CLIENT_H
#define FUSE_CLIENT_H

#include <jansson.h>

#include "fuse/cli.h"

struct client_ring;

/* A mount, or a worker that was asked in place of one. */
struct client_mount {
	struct client_mount *next;
	char *socket;       /* NULL: of a worker */
	char *worker;       /* "host:port"; NULL: of a mount */
	json_t *status;     /* its member of "mounts", or "worker" */
	const char *dir;    /* of status; where a worker is */
	const char *source; /* of status */
};

/*
 * Every mount that answers, in order of directory; NULL: none. silent: how many
 * are there and say nothing, which a message tells of; or NULL.
 */
struct client_mount *client_mounts(unsigned *silent);
/* The one of this socket; NULL: it does not answer, or is none. */
struct client_mount *client_mount_at(const char *socket);
/* The worker there. NULL, and a sentence in why. */
struct client_mount *client_worker_at(const struct client_ring *r,
				      const char *worker,
				      char why[static WHY_MAX]);
void client_mounts_free(struct client_mount *m);

struct options;

/*
 * What the mount was told, below what out was told by the environment or a
 * command. 0, or -errno and a sentence in why.
 */
int client_mount_options(const struct client_mount *m, struct options *out,
			 char why[static WHY_MAX]);

/*
 * The mount that holds path, whose absolute form is matched by text and then
 * through symlinks. *below (heap) gets the path relative to the mount.
 * -ENOENT: no mount of ours holds it.
 */
int client_find_path(struct client_mount *mounts, const char *path,
		     struct client_mount **out, char **below);

/* The same for a URL: *below is the key relative to the mount's source. */
int client_find_url(struct client_mount *mounts, const char *url,
		    struct client_mount **out, char **below);

/*
 * One request. body may be NULL (GET). *out gets the answer, a new
 * reference. On failure why has the server's words or what went wrong.
 */
int client_call(const char *socket, const char *path, const json_t *body,
		json_t **out, char why[static WHY_MAX]);

/*
 * POST one path, as a person wrote it, to the mount that holds it. An exit
 * code, with what is wrong said; 0: *answer is the caller's.
 */
int client_post_path(struct client_mount *mounts, const char *path,
		     const char *where, json_t **answer);

/* Takes j (NULL: it could not be made) and prints it. An exit code. */
int client_print(json_t *j);

/* GET /-/health: 0, or -errno with the reason in why. */
int client_health(const char *socket, char why[static WHY_MAX]);

#endif
