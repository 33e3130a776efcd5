/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_impl.h - what the checks of tarn doctor share
 *
 *   doctor.c        the table, and how a check says what it found
 *   doctor_fuse.c   /dev/fuse, fusermount3, passthrough, a mount that is there
 *   doctor_store.c  keys, the way to the server, LIST, GET, the clock
 *   doctor_put.c    PUT, and whether it keeps writers apart
 *   doctor_host.c   the cache's disks, memory, descriptors
 *   doctor_staging.c  the directory of what is written
 *   doctor_ring.c   who the workers are, and what they answer
 *
 * A check says one line or, where there are several of a thing, one for each.
 * What it learns for those after it stands in struct doctor.
 */
#ifndef FUSE_DOCTOR_IMPL_H
#define FUSE_DOCTOR_IMPL_H

#include "fuse/doctor.h"
#include "fuse/trial.h"
#include "ring/members.h"
#include "ufs/ufs.h"

struct doctor {
	/* set once */
	const struct doctor_conf *conf;
	doctor_cb *cb;
	void *arg;

	const char *check; /* the one that runs */
	unsigned failed;

	/* learnt by the checks of the store */
	struct ufs *bare; /* the source without keys; NULL: cannot be opened */
	struct ufs *ufs;  /* and with them */
	bool has_reach;
	struct ufs_reach reach;
	bool listed;
	bool has_written; /* then the next two are known */
	enum trial_answer absent, version;

	struct members_view view; /* of the workers; now NULL: none is known */
};

void doctor_pass(struct doctor *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
void doctor_skip(struct doctor *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
void doctor_fail(struct doctor *d, const char *fix, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* A failure in one sentence of ours: "cause; fix", or otherwise is the fix. */
void doctor_fail_why(struct doctor *d, const char *why, const char *otherwise);

/* A refusal of a directory is "cause: fix"; of another failure that is it. */
void doctor_refused(struct doctor *d, int err, const char *why,
		    const char *otherwise);

/* "1.2 ms" into buf; returns buf. */
const char *doctor_ms(int64_t ns, char buf[static 32]);

typedef void doctor_check(struct doctor *d);

doctor_check doctor_device, doctor_fusermount, doctor_passthrough, doctor_mount;
doctor_check doctor_source, doctor_credentials, doctor_dns, doctor_connect,
    doctor_tls, doctor_answer, doctor_list, doctor_get, doctor_put,
    doctor_conditions, doctor_clock;
doctor_check doctor_cache_dir, doctor_cache_space, doctor_cache_xattr,
    doctor_cache_io, doctor_staging, doctor_memory, doctor_descriptors;
doctor_check doctor_membership, doctor_workers;

/*
 * A descriptor of a nameless file on the disk of this cache directory (or of
 * where it would be made), or -errno.
 */
int doctor_tmpfile(const char *dir);

/* Call fn for each directory of cache-dir, or say that there is none. */
void doctor_each_dir(struct doctor *d,
		     void (*fn)(struct doctor *d, const char *dir));

#endif
