/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_invalidate.c - tarn invalidate PATH...
 */
#include "fuse/cli.h"

#include "fuse/client.h"

/* Who may go on telling what it knew. An exit code. */
static int tell_failures(const json_t *answer)
{
	const json_t *failed = json_object_get(answer, "workers_failed");

	for (size_t i = 0; i < json_array_size(failed); i++) {
		const json_t *f = json_array_get(failed, i);
		const char *name =
		    json_string_value(json_object_get(f, "name"));
		const char *error =
		    json_string_value(json_object_get(f, "error"));

		cli_fail("worker %s: %s; what it knows it may believe until "
			 "its consistency ends that",
			 name != NULL ? name : "?",
			 error != NULL ? error : "?");
	}
	return json_array_size(failed) > 0 ? CLI_FAILED : CLI_DONE;
}

static int invalidate(struct client_mount *mounts, const char *path)
{
	json_t *answer;
	int r = client_post_path(mounts, path, "/-/invalidate", &answer);

	if (r != CLI_DONE)
		return r;
	r = tell_failures(answer);
	json_decref(answer);
	return r;
}

int cmd_invalidate(int argc, char **argv)
{
	int n = cli_args("invalidate", argc, argv, NULL, 0);
	struct client_mount *mounts;
	int r = CLI_DONE;
	unsigned silent;

	if (n < 0)
		return CLI_USAGE;
	if (n == 0)
		return cli_usage("invalidate needs a path: tarn invalidate "
				 "PATH...");
	mounts = client_mounts(&silent);
	for (int i = 0; i < n; i++)
		if (invalidate(mounts, argv[i]) != CLI_DONE)
			r = CLI_FAILED;
	client_mounts_free(mounts);
	return r;
}
