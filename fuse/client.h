/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - how commands speak with the mounts of this user
 */
#ifndef FUSE_CLIENT_H
#define FUSE_CLIENT_H

#include <jansson.h>

#include "fuse/cli.h"

struct client_mount {
	struct client_mount *next;
	char *socket;
	json_t *status;     /* its member of "mounts" */
	const char *dir;    /* of status */
	const char *source; /* of status */
};

/* Every mount that answers, in order of directory; NULL: none. */
struct client_mount *client_mounts(void);
/* The one of this socket; NULL: it does not answer, or is none. */
struct client_mount *client_mount_at(const char *socket);
void client_mounts_free(struct client_mount *m);

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

/* GET /-/health: 0, or -errno with the reason in why. */
int client_health(const char *socket, char why[static WHY_MAX]);

#endif
