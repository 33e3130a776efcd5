/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - which command is meant
 *
 * Called as mount.tarn it is mount(8)'s helper; else the first word names
 * the command.
 */
#include "base/crash.h"
#include "fuse/cli.h"

/* What was printed must have arrived: a full disk is a failure. */
static int finish(int code)
{
	if (fflush(stdout) != 0 && code == CLI_DONE)
		return cli_fail("cannot write to the output");
	return code;
}

static int unknown(const char *word)
{
	const char *names[16];
	const char *near;

	for (size_t i = 0; i < ncommands; i++)
		names[i] = commands[i].name;
	near = cli_nearest(word, names, ncommands);
	if (near != NULL)
		return cli_usage("unknown command %s; did you mean %s?", word,
				 near);
	return cli_usage("unknown command %s; `tarn help` lists them", word);
}

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *self = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";

	crash_init();
	if (strcmp(self, "mount.tarn") == 0) {
		cli_name = "mount.tarn";
		return finish(cmd_mount_helper(argc, argv));
	}
	if (argc < 2)
		return cli_usage("which command? `tarn help` lists them");
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return finish(cmd_version(argc - 1, argv + 1));
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return finish(cmd_help(argc - 1, argv + 1));
	for (size_t i = 0; i < ncommands; i++)
		if (strcmp(commands[i].name, argv[1]) == 0)
			return finish(commands[i].run(argc - 1, argv + 1));
	return finish(unknown(argv[1]));
}
