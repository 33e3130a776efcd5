/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init.h - the session and its INIT exchange
 *
 * What libfuse 3.14 cannot say in INIT is added on the way: hooks around
 * read and writev of /dev/fuse recognise the INIT request, add passthrough
 * to its reply when the kernel offered it, and after the reply try it for
 * real and set the read-ahead (INIT may only lower it, and does so when the
 * reply arrives).
 */
#ifndef FUSE_INIT_H
#define FUSE_INIT_H

#include "base/base.h"

struct fs;

#define INIT_READ_MAX 1048576U /* more per request gains nothing */

/* Make fs->se. 0 or -errno. */
int init_session(struct fs *fs);

/* Give the session its descriptor, which it will close, and the hooks. */
int init_hooks(struct fs *fs, int fd);

#endif
