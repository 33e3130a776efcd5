/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - what the machine and the cgroup allow this process
 */
#ifndef FUSE_LIMITS_H
#define FUSE_LIMITS_H

#include "base/base.h"

/* The smaller of the RAM and every memory limit of our cgroups (v1, v2). */
uint64_t limits_memory(void);

/* A quarter of it, from 64 MiB to 16 GiB: the default of memory=. */
uint64_t limits_memory_default(void);

/*
 * What the inodes that the kernel knows may take besides memory=: a quarter
 * of that, but what 200,000 of long names need in any case (40 MiB).
 */
size_t limits_inodes(uint64_t memory);

/*
 * The smallest limit among root/PATH and its parents, where PATH stands in
 * the text of a /proc/PID/cgroup; UINT64_MAX when there is none. The tests
 * give a root of their own.
 */
uint64_t limits_cgroup(const char *cgroup_text, const char *root);

/* Raise the number of descriptors to what the hard limit allows. */
void limits_raise_files(void);

/*
 * As many of the asked-for connections as the descriptors allow beside what a
 * mount or worker has open anyway, and at least one: each takes three (its
 * socket, and the pair by which libcurl wakes its multi handle).
 */
unsigned limits_connections(unsigned asked);

#endif
