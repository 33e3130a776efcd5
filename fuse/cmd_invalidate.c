/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_invalidate.c - tarn invalidate PATH...
 */
#include "fuse/cli.h"

#include "fuse/client.h"

static int invalidate(struct client_mount *mounts, const char *path)
{
	AUTO_FREE char *below = NULL;
	struct client_mount *m;
	json_t *body, *answer;
	char why[WHY_MAX];
	int r = client_find_path(mounts, path, &m, &below);

	if (r < 0)
		return cli_fail("%s is on no mount of yours; `tarn status` "
				"lists them",
				path);
	body = json_pack("{s:[s]}", "paths", below);
	if (body == NULL)
		return cli_fail("%s: no file of a mount has this name", path);
	r = client_call(m->socket, "/-/invalidate", body, &answer, why);
	json_decref(body);
	if (r < 0)
		return cli_fail("%s: %s", path, why);
	json_decref(answer);
	return CLI_DONE;
}

int cmd_invalidate(int argc, char **argv)
{
	int n = cli_args("invalidate", argc, argv, NULL, 0);
	struct client_mount *mounts;
	int r = CLI_DONE;

	if (n < 0)
		return CLI_USAGE;
	if (n == 0)
		return cli_usage("invalidate needs a path: tarn invalidate "
				 "PATH...");
	mounts = client_mounts();
	for (int i = 0; i < n && r == CLI_DONE; i++)
		r = invalidate(mounts, argv[i]);
	client_mounts_free(mounts);
	return r;
}
