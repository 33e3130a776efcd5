/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_impl.h - what the sources behind disk.h and extent.h share
 *
 *   disk.c        names, opening, making, publishing and unlinking files
 *   disk_open.c   the directory itself: checks, format, start and end
 *   disk_space.c  how many bytes are held, admission, pins, the walk
 *   evict.c       which files go
 *   health.c      errors counted, the probe
 *   scrub.c       what is stored, read back now and then
 *
 * The descriptors in struct disk never change their numbers: when the probe
 * makes a directory anew after somebody removed it, dup3() puts the new ones
 * in their place, so that no reader needs a lock or a count to use them.
 */
#ifndef CACHE_DISK_IMPL_H
#define CACHE_DISK_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/lock.h"
#include "cache/disk.h"

#define SHARD_NAME 5     /* "ab/cd" */
#define DISK_NAME_MAX 48 /* 36 digits and a suffix, or the whole path */
#define PIN_BUCKETS 1024
#define ERRORS_DEGRADE 3
#define ERRORS_OFF 10
#define ERRORS_WINDOW (60 * NSEC_PER_SEC)
#define STRAY_AGE 3600  /* seconds a file may stay in tmp/ */
#define TOUCH_EVERY 600 /* seconds */

struct disk {
	/* set once at open */
	char *dir; /* absolute */
	uid_t uid;
	uint64_t token; /* random: makes names in tmp/ ours */
	int64_t probe_every;
	struct disk_conf conf; /* its dir is the field above */
	char why[512];         /* it could not be used at first; or "" */
	/* numbers set once; see above */
	int root, v1, tmp;

	/* atomic */
	atomic_bool xattr;
	_Atomic uint64_t limit;
	_Atomic uint64_t extent_limit;
	atomic_int state;
	_Atomic unsigned turns;
	atomic_bool gone;  /* the directory is not at its path any more */
	atomic_bool tight; /* the file system is nearly full */
	atomic_bool full;  /* a write met ENOSPC; until eviction has run */
	atomic_bool stopping;
	atomic_bool resting; /* the space thread: an admission is to wake it */
	_Atomic int64_t synced;  /* the count in usage when last read */
	_Atomic int64_t delta;   /* ours, not yet added to it */
	_Atomic unsigned hand;   /* the shard where eviction goes on */
	_Atomic uint64_t wanted; /* the largest admission refused for space */
	_Atomic uint64_t names;  /* names in tmp/ given out */
	_Atomic uint64_t files;  /* as last walked, and changes since */
	_Atomic uint64_t evicted_bytes;
	_Atomic uint64_t bad_pages;
	_Atomic uint64_t scrub_bytes, scrub_files, scrub_bad, scrub_passes;
	_Atomic int64_t scrubbed; /* wall clock, s; 0: not that is known */
	atomic_bool scrub_asked;

	struct lock lock;
	/* under lock */
	struct disk_pin *pins[PIN_BUCKETS]; /* borrowed */
	int64_t errors[ERRORS_OFF];         /* when, as a ring */
	unsigned nerrors;                   /* in all */
	bool kick_space, kick_health, kick_walk, kick_scrub;
	struct event kicked;
	unsigned started; /* of threads */
	pthread_t threads[4];
};

/* Opening, as disk_open_file(), with what fstat said. */
int disk_open_stat(struct disk *d, const struct disk_id *id, const char *suffix,
		   int flags, int *fd, struct stat *st);

/* The shard's directory as a descriptor for *at() calls, or -errno. */
int disk_shard(struct disk *d, uint8_t first, uint8_t second);

/* A directory below dirfd, never through a symlink; NULL-safe errors. */
int disk_subdir(int dirfd, const char *name);

/* id from a shard and the 36 digits that name begins with. */
bool disk_parse_name(uint8_t first, uint8_t second, const char *name,
		     struct disk_id *id);

/* Unlink only when the name still means the file st. */
void disk_unlink_same(struct disk *d, const struct disk_id *id,
		      const char *suffix, const struct stat *st);

/* flock within about timeout, however long others hold it: or -EBUSY. */
int disk_flock(int fd, int64_t timeout);

/* A file of ours in the directory itself, made if need be. */
int disk_root_file(const struct disk *d, int root, const char *name);

/* Open or re-open the directory and all below it. */
int disk_attach(struct disk *d, char why[static 256]);
void disk_kick(struct disk *d, bool *what);

/* Space. */
void disk_account(struct disk *d, int64_t bytes);
void disk_usage_sync(struct disk *d);
bool disk_pinned(struct disk *d, const struct disk_id *id);
void disk_clean_tmp(struct disk *d);
void *disk_space_main(void *arg);
void *disk_walk_main(void *arg);

/* Evict at least bytes and files, if there are so many. */
uint64_t evict(struct disk *d, uint64_t bytes, uint64_t files);

void *disk_scrub_main(void *arg);
/* Of the calling thread: the last in line for the CPU and for the disk. */
void disk_be_idle(void);

/* Health. */
void *disk_health_main(void *arg);
bool disk_probe(struct disk *d);
void disk_gone(struct disk *d); /* something of the frame is missing */

/* Sleep until kicked, stopped or deadline. False: stop. */
bool disk_wait(struct disk *d, bool *what, int64_t deadline);

#endif
