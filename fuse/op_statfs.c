/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op_statfs.c - how much room there is (S26)
 *
 * A bucket has no size: much room, so that nobody finds it full. What is
 * written has to go through the staging's disk, so there it is that of the
 * disk.
 */
#include <sys/statvfs.h>

#include "cache/staging.h"
#include "fuse/fs_impl.h"

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);
	struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = UINT64_C(1) << 40,
		.f_bfree = UINT64_C(1) << 40,
		.f_bavail = UINT64_C(1) << 40,
		.f_files = UINT64_C(1) << 40,
		.f_ffree = UINT64_C(1) << 40,
		.f_namemax = NAME_LEN_MAX,
	};

	(void)ino;
	if (fs->conf.staging != NULL)
		staging_space(fs->conf.staging, &st);
	fuse_reply_statfs(req, &st);
}
