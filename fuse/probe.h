/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - does this kernel hand out files? (`tarn doctor`)
 *
 * Asked for real, on a FUSE file system that is made and thrown away: whether
 * passthrough works is not told by a version number, since containers,
 * configurations and the file system of the cache have a say.
 */
#ifndef FUSE_PROBE_H
#define FUSE_PROBE_H

#include "base/base.h"

/* How far it came. */
enum probe_step {
	PROBE_DEVICE, /* /dev/fuse */
	PROBE_MOUNT,  /* a FUSE file system may be made */
	PROBE_OFFER,  /* INIT offers passthrough */
	PROBE_TAKES,  /* the kernel takes a file in memory */
	PROBE_FILE,   /* and the file given */
	PROBE_WORKS,
};

/*
 * file: a descriptor of a file on the cache's disk, or -1. Returns what
 * failed, with the cause in *err (-errno), or PROBE_WORKS. For root.
 */
enum probe_step probe_passthrough(int file, int *err);

#endif
