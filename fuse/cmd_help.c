/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_help.c - the table of commands, tarn help, tarn --version
 */
#include "fuse/cli.h"

#include "fuse/options.h"

const struct command commands[] = {
	{ "mount", cmd_mount,
	  "mount SOURCE DIR [-o OPTION[=VALUE],...] [-f] [-d TOPIC,...] "
	  "[-c FILE]",
	  "mount s3://BUCKET[/PREFIX] or file:///DIRECTORY on DIR" },
	{ "umount", cmd_umount, "umount DIR [--force]",
	  "unmount DIR and wait until its daemon is gone" },
	{ "worker", cmd_worker,
	  "worker SOURCE... [-o OPTION[=VALUE],...] [-f] [-d TOPIC,...] "
	  "[-c FILE]",
	  "serve these sources from this host's cache to mounts and S3 "
	  "clients" },
	{ "status", cmd_status,
	  "status [DIR|WORKER] [--json] [-o OPTION[=VALUE],...] [-c FILE]",
	  "where bytes came from, what is held, what failed" },
	{ "top", cmd_top,
	  "top [DIR|WORKER] [-d SECONDS] [-n COUNT] [--json] "
	  "[-o OPTION[=VALUE],...] [-c FILE]",
	  "the same, live: what happened in each second" },
	{ "load", cmd_load,
	  "load PATH|URL... [--list FILE] [--to ssd|ring|both] [--verify] "
	  "[--dry-run] [--detach] [--status JOB] [--json] "
	  "[-o OPTION[=VALUE],...] [-c FILE]",
	  "bring files and trees into the cache, or into that of all workers" },
	{ "free", cmd_free,
	  "free PATH|URL... [--list FILE] [--from ssd|ring|both] [--dry-run] "
	  "[--json] [-o OPTION[=VALUE],...] [-c FILE]",
	  "drop cached bytes, never objects" },
	{ "invalidate", cmd_invalidate, "invalidate PATH...",
	  "forget what is known of the names and attributes of files and "
	  "trees" },
	{ "ring", cmd_ring,
	  "ring [PATH|WORKER] [--json] [-o OPTION[=VALUE],...]",
	  "the workers of mounts, or which of them has what of a file" },
	{ "recover", cmd_recover,
	  "recover [PATH|URL|ID] [--json] "
	  "[--save FILE | --commit [--force] [--source SOURCE] | --discard] "
	  "[--staging-dir DIR] [-o OPTION[=VALUE],...] [-c FILE]",
	  "what was written and is not in the store: list it, bring it back" },
	{ "doctor", cmd_doctor,
	  "doctor SOURCE|DIR [-o OPTION[=VALUE],...] [-c FILE] [--json]",
	  "what a mount needs, piece by piece: PASS, or FAIL and the fix" },
	{ "help", cmd_help, "help [COMMAND]", "this list, or one command" },
	{ "version", cmd_version, "version", "the version of tarn" },
};
const size_t ncommands = ARRAY_SIZE(commands);

static void help_mount(void)
{
	printf("\nRuns in the background and returns once the mount answers.\n"
	       "  -f           stay in the foreground\n"
	       "  -d TOPIC,... debug messages of ufs, cache, fuse, meta, ring\n"
	       "  -c FILE      options from this JSON file\n\n"
	       "Options are given with -o, in the environment as TARN_NAME "
	       "(dashes as\nunderscores), or in a JSON file; the first of "
	       "these that names one counts.\nSizes: 64K, 10G; times: 500ms, "
	       "30s, 5m.\n\n");
	options_help(stdout);
}

static void help_worker(void)
{
	printf("\nRuns in the background and returns once it serves. Its "
	       "flags and options are\nthose of `tarn help mount`; of these "
	       "listen, advertise, weight and\ncluster-key-file are meant for "
	       "it. Manual: tarn-worker(8).\n");
}

static void help_load(void)
{
	printf("\n  --list FILE  paths or URLs, one a line; - is stdin\n"
	       "  --to PLACE   ssd: this mount's (the default); ring: its "
	       "workers', each what it\n"
	       "               owns; both: ring first\n"
	       "  --verify     read back and check every page\n"
	       "  --dry-run    only say what would be done\n"
	       "  --detach     with --to ring: return when the job has begun\n"
	       "  --status JOB with --to ring: how far that job is (PATH says "
	       "of which "
	       "ring)\n"
	       "  -o, -c       with --to ring: workers= and cluster-key-file=, "
	       "where no mount says\n"
	       "               them, as for a mount\n"
	       "  --json       print the result as JSON\n\n"
	       "The job belongs to the mount or the workers: it goes on when "
	       "this command is\ninterrupted.\n");
}

static void help_top(void)
{
	printf("\n  -d SECONDS  look so often (1)\n"
	       "  -n COUNT    end after so many looks\n"
	       "  --json      one JSON object a line and no screen; where the "
	       "output is no\n"
	       "              terminal, a line a mount\n\n"
	       "q quits; the arrow keys scroll.\n");
}

static void help_recover(void)
{
	printf("\n  --save FILE        copy what was written into this new "
	       "file; it stays\n"
	       "  --commit           bring it to the store, if that still has "
	       "the version it was\n"
	       "                     written upon; it is dropped then\n"
	       "  --force            with --commit: whatever the store has "
	       "there\n"
	       "  --source SOURCE    with --commit, where no mount has its "
	       "source: that, with\n"
	       "                     the options that -o and -c say\n"
	       "  --discard          drop it\n"
	       "  --staging-dir DIR  look only there; else into that of the "
	       "options and those\n"
	       "                     of the mounts\n"
	       "  --json             print the list as JSON\n\n"
	       "A path or URL lists what is below it as well. Files that a "
	       "program has open are\nlisted and left alone.\n");
}

static void help_doctor(void)
{
	printf("\n  -o, -c   options as for a mount of SOURCE; of a DIR they "
	       "beat its own\n"
	       "  --json   print the result as JSON\n\n"
	       "One line a check; SKIP says why one does not apply. Nothing "
	       "is changed.\nExit 1 if any failed.\n");
}

static int help_all(void)
{
	printf("usage: tarn COMMAND ...\n\n");
	for (size_t i = 0; i < ncommands; i++)
		printf("  tarn %s\n      %s\n", commands[i].usage,
		       commands[i].about);
	printf("\n`tarn help mount` lists the options of a mount. Manuals: "
	       "tarn(1), mount.tarn(8),\ntarn.conf(5), tarn-semantics(7), "
	       "tarn-worker(8).\n");
	return CLI_DONE;
}

int cmd_help(int argc, char **argv)
{
	if (argc < 2)
		return help_all();
	if (argc > 2)
		return cli_usage("help takes one command at most");
	for (size_t i = 0; i < ncommands; i++) {
		if (strcmp(commands[i].name, argv[1]) != 0)
			continue;
		printf("usage: tarn %s\n\n%s\n", commands[i].usage,
		       commands[i].about);
		if (commands[i].run == cmd_mount)
			help_mount();
		else if (commands[i].run == cmd_worker)
			help_worker();
		else if (commands[i].run == cmd_load)
			help_load();
		else if (commands[i].run == cmd_top)
			help_top();
		else if (commands[i].run == cmd_recover)
			help_recover();
		else if (commands[i].run == cmd_doctor)
			help_doctor();
		return CLI_DONE;
	}
	return cli_usage("help: there is no command %s; `tarn help` lists "
			 "them",
			 argv[1]);
}

int cmd_version(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return cli_usage("version takes no arguments");
	printf("tarn %s\n", TARN_VERSION);
	return CLI_DONE;
}
