/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - does this kernel hand out files?
 *
 * A superblock made by fsopen(2) and fsconfig(2) is enough: the kernel sends
 * INIT when it is made, and it never gets a place in the tree, so there is
 * no directory to find and nothing to unmount. Closing the descriptors ends
 * it, however far the conversation came.
 */
#include "fuse/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/uio.h>

#include "fuse/backing.h"

#define INIT_MS 2000
#define READ_MIN 8192 /* FUSE_MIN_READ_BUFFER */

static int set(int fs, const char *key, const char *value)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno
								    : 0;
}

/* The descriptor of a superblock whose requests come to dev. */
static int make(int dev)
{
	AUTO_CLOSE int fs = fsopen("fuse", FSOPEN_CLOEXEC);
	char number[16];
	int r;

	if (fs < 0)
		return -errno;
	snprintf(number, sizeof(number), "%d", dev);
	r = set(fs, "source", "tarn-doctor");
	if (r == 0)
		r = set(fs, "fd", number);
	if (r == 0)
		r = set(fs, "rootmode", "40000");
	if (r == 0)
		r = set(fs, "user_id", "0");
	if (r == 0)
		r = set(fs, "group_id", "0");
	if (r == 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	return r < 0 ? r : take_fd(&fs);
}

/* Receive INIT. 1: with passthrough on offer; 0: without. */
static int receive(int dev, struct wire_in_header *head,
		   struct wire_init_in *in)
{
	struct pollfd p = { .fd = dev, .events = POLLIN };
	char buf[READ_MIN];
	ssize_t n;

	if (poll(&p, 1, INIT_MS) <= 0)
		return -ETIMEDOUT;
	n = read(dev, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(*head))
		return -EPROTO;
	memcpy(head, buf, sizeof(*head));
	memset(in, 0, sizeof(*in));
	/* Older kernels send a shorter one. */
	memcpy(in, buf + sizeof(*head),
	       MIN((size_t)n - sizeof(*head), sizeof(*in)));
	if (head->opcode != WIRE_INIT)
		return -EPROTO;
	return (in->flags & WIRE_INIT_EXT) && (in->flags2 & WIRE_PASSTHROUGH2);
}

static int answer(int dev, const struct wire_in_header *head,
		  const struct wire_init_in *in)
{
	struct wire_init_out out = {
		.major = in->major,
		.minor = in->minor,
		.flags = WIRE_INIT_EXT,
		.flags2 = WIRE_PASSTHROUGH2,
		.max_stack_depth = 1,
		.max_write = 4096,
		.time_gran = 1,
	};
	struct wire_out_header reply = {
		.len = sizeof(reply) + sizeof(out),
		.unique = head->unique,
	};
	struct iovec iov[] = { { &reply, sizeof(reply) },
			       { &out, sizeof(out) } };

	return writev(dev, iov, ARRAY_SIZE(iov)) < 0 ? -errno : 0;
}

enum probe_step probe_passthrough(int file, int *err)
{
	AUTO_CLOSE int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	AUTO_CLOSE int fs = -1;
	struct wire_in_header head;
	struct wire_init_in in;

	*err = -errno;
	if (dev < 0)
		return PROBE_DEVICE;
	*err = fs = make(dev);
	if (fs < 0)
		return PROBE_MOUNT;
	*err = receive(dev, &head, &in);
	if (*err < 0)
		return PROBE_MOUNT;
	if (*err == 0) {
		*err = -EOPNOTSUPP;
		return PROBE_OFFER;
	}
	*err = answer(dev, &head, &in);
	if (*err < 0)
		return PROBE_OFFER;
	*err = backing_probe(dev);
	if (*err < 0)
		return PROBE_TAKES;
	*err = file >= 0 ? backing_try(dev, file) : 0;
	return *err < 0 ? PROBE_FILE : PROBE_WORKS;
}
