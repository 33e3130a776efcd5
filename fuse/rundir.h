/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rundir.h - where the control sockets of this user's mounts are
 *
 * /run/tarn for root, else XDG_RUNTIME_DIR/tarn, else /tmp/tarn-UID: a
 * directory of ours, mode 0700, one socket PID-RANDOM.sock a mount.
 */
#ifndef FUSE_RUNDIR_H
#define FUSE_RUNDIR_H

#include "base/base.h"

#define RUNDIR_MAX 80 /* leaves a socket's name room in sun_path */

/*
 * The directory's path, checked to be ours and closed to others; made when
 * make is set. -ENOENT when it is absent, -EPERM when it is not safe,
 * -ENAMETOOLONG.
 */
int rundir_path(char path[static RUNDIR_MAX], bool make);

#endif
