/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.h - what every command that stays has to do before it serves
 */
#ifndef FUSE_START_H
#define FUSE_START_H

#include "fuse/options.h"

/* The environment and the file (config, or NULL: the default one). */
int start_options(struct options *o, const char *config,
		  char why[static WHY_MAX]);

/* Open the log that the options say; an exit code. */
int start_log(struct options *o, bool foreground);

/* Keys in the environment are taken out of others' sight; an exit code. */
int start_secrets(void);

/* In the background: stdin, stdout and, unless it is the log, stderr. */
void start_let_go_of_terminal(const struct options *o);

/* One byte to the process at the other end, and from it (0: it is gone). */
bool start_send(int fd, char c);
char start_receive(int fd);

#endif
