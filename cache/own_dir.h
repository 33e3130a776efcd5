/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_dir.h - directories that nobody else may write to
 *
 * What lies in them is believed, so a directory is judged through its
 * descriptor: nobody can swap it between the check and the use.
 */
#ifndef CACHE_OWN_DIR_H
#define CACHE_OWN_DIR_H

#include <sys/types.h>

#include "base/base.h"

/* An absolute path without slashes at its end (heap), or NULL: no memory. */
char *own_dir_absolute(const char *dir);

/*
 * Open the directory path, which option ("cache-dir") named. A symlink, or
 * one that others own or may write to, is -EPERM with *why saying what to
 * mend. -ENOENT when it is absent: why is not set then.
 */
int own_dir_open(const char *path, const char *option, uid_t uid, int *out,
		 char why[static 256]);

/* The same, made when absent: 0700, and what is missing above it 0755. */
int own_dir_make(const char *path, const char *option, uid_t uid, int *out,
		 char why[static 256]);

/* Is the directory of this descriptor ours alone? 0 or -EPERM, as above. */
int own_dir_check(int fd, const char *path, const char *option, uid_t uid,
		  char why[static 256]);

#endif
