/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - what all subcommands share: messages, arguments, exit codes
 *
 * Exit codes: 0 done, 1 failed, 2 wrong usage. A refusal is one sentence on
 * stderr that names the thing and the fix. Text from outside (keys, paths,
 * a store's words) is cleaned of control bytes before a terminal gets it.
 */
#ifndef FUSE_CLI_H
#define FUSE_CLI_H

#include <stdio.h>

#include "base/base.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

#define WHY_MAX 512

/* The program's name as it was called: "tarn" or "mount.tarn". */
extern const char *cli_name;

/* Print "NAME: sentence" on stderr; return the exit code. */
int cli_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
int cli_usage(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* s with control bytes as \xNN into buf, cut to size; returns buf. */
const char *cli_clean(const char *s, char *buf, size_t size);

/* Colour and bars: a terminal, and for colour NO_COLOR is not set. */
bool cli_terminal(FILE *f);
bool cli_colour(FILE *f);

/* How many edits (insert, drop, change, swap) lead from a to b. */
unsigned cli_distance(const char *a, const char *b);

/*
 * The name of names[] nearest to what was typed, or NULL when none is near
 * enough to be a guess worth making.
 */
const char *cli_nearest(const char *typed, const char *const *names, size_t n);

/*
 * An absolute path for path, with . and .. and // taken out by text alone,
 * so that nothing is asked of the mount. On the heap, or NULL.
 */
char *cli_absolute(const char *path);

/*
 * What of a path or URL lies below top: "" for top itself, NULL when it is
 * beside it.
 */
const char *cli_below(const char *path, const char *top);

/* A flag of a subcommand: --name, or --name VALUE when value is not NULL. */
struct cli_flag {
	const char *name; /* "--json" */
	bool *on;
	const char **value;
};

/*
 * Split argv[1..] into flags and operands, which are moved to the front of
 * argv from argv[0] on. Returns how many operands, or -1 after a message.
 * "--" ends the flags.
 */
int cli_args(const char *command, int argc, char **argv,
	     const struct cli_flag *flags, size_t nflags);

/* The subcommands. argv[0] is the command's name. */
int cmd_mount(int argc, char **argv);
int cmd_mount_helper(int argc, char **argv); /* as mount(8) calls it */
int cmd_worker(int argc, char **argv);
int cmd_umount(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_invalidate(int argc, char **argv);
int cmd_load(int argc, char **argv);
int cmd_free(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_ring(int argc, char **argv);
int cmd_recover(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_version(int argc, char **argv);

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage; /* what stands after "tarn " */
	const char *about;
};

extern const struct command commands[];
extern const size_t ncommands;

#endif
