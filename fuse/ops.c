/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.c - the tables of operations
 *
 * Of a read-only mount the kernel answers most writes itself; what still comes
 * (a mount remounted rw) is EROFS. What is absent here is right as the kernel
 * does it: access is checked by default_permissions, and locks of a read-only
 * mount, which nobody writes to, are by the inode. What a store cannot hold
 * (links, devices, attributes) is EPERM (S23).
 */
#include <errno.h>

#include "fuse/fs_impl.h"

static void no_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		       int to_set, struct fuse_file_info *fi)
{
	(void)ino, (void)attr, (void)to_set, (void)fi;
	reply_err(req, -EROFS);
}

static void no_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	(void)parent, (void)name, (void)mode, (void)rdev;
	reply_err(req, -EROFS);
}

static void no_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	(void)parent, (void)name, (void)mode;
	reply_err(req, -EROFS);
}

static void no_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	reply_err(req, -EROFS);
}

static void no_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
		       const char *name)
{
	(void)link, (void)parent, (void)name;
	reply_err(req, -EROFS);
}

static void no_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t newparent, const char *newname, unsigned flags)
{
	(void)parent, (void)name, (void)newparent, (void)newname, (void)flags;
	reply_err(req, -EROFS);
}

static void no_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
		    const char *newname)
{
	(void)ino, (void)newparent, (void)newname;
	reply_err(req, -EROFS);
}

static void no_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	(void)parent, (void)name, (void)mode, (void)fi;
	reply_err(req, -EROFS);
}

static void no_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino, (void)buf, (void)size, (void)off, (void)fi;
	reply_err(req, -EROFS);
}

static void no_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			const char *value, size_t size, int flags)
{
	(void)ino, (void)name, (void)value, (void)size, (void)flags;
	reply_err(req, -EROFS);
}

static void no_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino, (void)name;
	reply_err(req, -EROFS);
}

static void no_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
			 off_t length, struct fuse_file_info *fi)
{
	(void)ino, (void)mode, (void)offset, (void)length, (void)fi;
	reply_err(req, -EROFS);
}

static void never_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
			mode_t mode, dev_t rdev)
{
	(void)parent, (void)name, (void)mode, (void)rdev;
	reply_err(req, -EPERM);
}

static void never_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
			  const char *name)
{
	(void)link, (void)parent, (void)name;
	reply_err(req, -EPERM);
}

static void never_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
		       const char *newname)
{
	(void)ino, (void)newparent, (void)newname;
	reply_err(req, -EPERM);
}

static void never_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			   const char *value, size_t size, int flags)
{
	(void)ino, (void)name, (void)value, (void)size, (void)flags;
	reply_err(req, -EOPNOTSUPP);
}

static void never_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino, (void)name;
	reply_err(req, -EOPNOTSUPP);
}

/* clang-format off */
#define READING                                                               \
	.init = op_init, .lookup = op_lookup, .forget = op_forget,             \
	.forget_multi = op_forget_multi, .getattr = op_getattr,                \
	.open = op_open, .read = op_read, .release = op_release,               \
	.opendir = op_opendir, .readdir = op_readdir,                          \
	.readdirplus = op_readdirplus, .releasedir = op_releasedir,            \
	.getxattr = op_getxattr, .listxattr = op_listxattr,                    \
	.statfs = op_statfs, .lseek = op_lseek
/* clang-format on */

const struct fuse_lowlevel_ops fs_ops = {
	READING,
	.create = op_create,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.fsyncdir = op_fsyncdir,
	.setattr = op_setattr,
	.fallocate = op_fallocate,
	.getlk = op_getlk,
	.setlk = op_setlk,
	.flock = op_flock,
	.mkdir = op_mkdir,
	.rmdir = op_rmdir,
	.unlink = op_unlink,
	.rename = op_rename,
	.mknod = never_mknod,
	.symlink = never_symlink,
	.link = never_link,
	.setxattr = never_setxattr,
	.removexattr = never_removexattr,
};

const struct fuse_lowlevel_ops fs_ops_read_only = {
	READING,
	.setattr = no_setattr,
	.mknod = no_mknod,
	.mkdir = no_mkdir,
	.unlink = no_remove,
	.rmdir = no_remove,
	.symlink = no_symlink,
	.rename = no_rename,
	.link = no_link,
	.create = no_create,
	.write = no_write,
	.setxattr = no_setxattr,
	.removexattr = no_removexattr,
	.fallocate = no_fallocate,
};
