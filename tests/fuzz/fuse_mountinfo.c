/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuse_mountinfo.c - lines of /proc/self/mountinfo, where any user who may
 * mount can put names of his own
 *
 * Input: the file.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <sys/mman.h>

#include "fuse/mount.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_CLOSE int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct mount_entry e;
	char path[64];
	int r;

	CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = mount_find_in(path, "/data", &e);
	CHECK(r == 0 || r == -ENOENT);
	if (r == 0) {
		CHECK(memchr(e.fstype, '\0', sizeof(e.fstype)) != NULL);
		CHECK(memchr(e.source, '\0', sizeof(e.source)) != NULL);
	}
	return 0;
}
