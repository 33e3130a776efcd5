/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounted.h - a mount in another process, and files on it
 *
 * work is the directory of the test: commands.log in it has what was run and
 * said. Errors are -errno.
 */
#ifndef REFMODEL_MOUNTED_H
#define REFMODEL_MOUNTED_H

#include <sys/types.h>

#include "ufs/ufs.h"

/* The exit status of a command, whose words need no quoting. */
int mounted_command(const char *work, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The daemon of the mount at dir, 0: there is none. */
pid_t mounted_pid(const char *dir);
/* Wait for its end; false: it goes on. */
bool mounted_ended(const char *dir);
/* kill -9 it, and detach what is left. */
int mounted_kill(const char *work, const char *dir);

/* What fd is, also one of O_PATH; of a file its version, too. */
int mounted_stat(int fd, struct ufs_stat *out, bool *dir);
ssize_t mounted_read(int fd, char *buf, size_t len, uint64_t off);
/* By mmap(2). -EFAULT: the kernel could not get the page. */
ssize_t mounted_read_mapped(int fd, char *buf, size_t len, uint64_t off);

#endif
