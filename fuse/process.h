/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - what /proc tells of the processes that ask for something
 */
#ifndef FUSE_PROCESS_H
#define FUSE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The process that a thread belongs to; 0: it cannot be told. */
pid_t process_of(pid_t thread);

/*
 * Has the process of this thread a file of this st_dev and st_ino open for
 * writing? A descriptor that is being closed is none of its any more. False as
 * well when it cannot be told (before Linux 5.14, or of a process with very
 * many files).
 */
bool process_writes(pid_t thread, dev_t dev, uint64_t ino);

#endif
