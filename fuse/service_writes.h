/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_writes.h - what of a mount is about writing
 *
 * A mount can be written unless it is told ro. Where nobody asked for it in so
 * many words (rw) it may well be there to be read only: then nothing is put
 * into the store before a program changes something, and a staging-dir that
 * cannot be used makes the mount a read-only one, as mount(8) does where a
 * disk is write-protected. With rw the first is tried at the mount, and the
 * second ends it. Without, what the mount says of the store is what one before
 * it found out (trial_kept.h).
 */
#ifndef FUSE_SERVICE_WRITES_H
#define FUSE_SERVICE_WRITES_H

#include "fuse/service.h"

/* Open the staging, if there is to be one. 0, or -errno and why. */
int writes_open(struct service *s, char why[static WHY_MAX]);

/* struct fs_conf's writes(); arg: the service. */
void writes_begin(void *arg);

/* No thread of the file system is left. */
void writes_end(struct service *s);

/* What service_print() has to say of it. */
void writes_print(const struct service *s, FILE *f);

#endif
