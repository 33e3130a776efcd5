/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.h - what every command that stays has to do before it serves
 */
#ifndef FUSE_START_H
#define FUSE_START_H

#include <sys/types.h>

#include "fuse/options.h"

/* The environment and the file (config, or NULL: the default one). */
int start_options(struct options *o, const char *config,
		  char why[static WHY_MAX]);

/* Open the log that the options say; an exit code. */
int start_log(struct options *o, bool foreground);

/* What SIGHUP does to the log level; config: as given with -c, or NULL. */
void start_reload_level(const struct options *o, const char *config);

/* Keys in the environment are taken out of others' sight; an exit code. */
int start_secrets(void);

/* In the background: stdin, stdout and, unless it is the log, stderr. */
void start_let_go_of_terminal(const struct options *o);

/* The topics of -d; an exit code. */
int start_topics(const char *words);

/*
 * Serve in a child of a session of its own, which ends if the parent is
 * killed before it has said that it serves: arg is handed to serve() there,
 * with a socket to the parent, and to wait() here, with one to the child. The
 * exit code of whichever this process is.
 */
int start_in_background(int (*serve)(void *arg, int fd),
			int (*wait)(void *arg, int fd, pid_t child), void *arg);

/*
 * Wait for a child's end. Its exit code when that says that it failed, else
 * CLI_DONE and how it ended in *status, as waitpid() has it.
 */
int start_reap(pid_t child, int *status);

/* One byte to the process at the other end, and from it (0: it is gone). */
bool start_send(int fd, char c);
char start_receive(int fd);

#endif
