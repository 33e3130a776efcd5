/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.h - the local SSD tier: its front door
 *
 * A cache stands between a front (FUSE, or a worker's HTTP) and one struct
 * ufs. It answers what the SSD holds, fetches what it does not, makes
 * concurrent misses cost one fetch, and evicts. The pieces:
 *
 *   disk.h     one cache directory: files named by hashes, space, eviction
 *   extent.h   one file of cached bytes: whole small objects, sparse large
 *              ones with a map of checksums
 *   listing.h  one directory's entries as a file, searched with pread
 *   meta.h     names to attributes: listings, HEADs, how fresh they are
 *   object.h   one version of one object: reads, fills, streams
 *   hot.h      which objects are read most
 *
 * Everything cached is keyed by (store, key, version): nothing cached can be
 * stale, only absent.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <stdatomic.h>

#include "base/base.h"
#include "ufs/ufs.h"

enum consistency { CONSISTENCY_STRICT, CONSISTENCY_TTL, CONSISTENCY_IMMUTABLE };

#define CACHE_DIRS_MAX 16

struct cache_conf {
	struct ufs *ufs; /* borrowed; outlives the cache */

	const char *dirs[CACHE_DIRS_MAX];
	size_t ndirs; /* 0 = no SSD tier */
	/* Bytes a directory may hold: an absolute number, or a share of its
	 * file system in percent when percent is set. explicit: the user
	 * said so, it is written into the directory's format. */
	uint64_t size;
	unsigned percent;
	bool size_explicit;

	size_t memory; /* bytes: buffers, metadata, background work */
	enum consistency consistency;
	int64_t ttl;          /* ns, for CONSISTENCY_TTL */
	int64_t negative_ttl; /* ns */
	int64_t
	    metadata_timeout; /* ns a listing may make no progress; 0: 30 s */
	int64_t read_timeout; /* ns: T3's bound on one read */
	uint64_t small_file;  /* at most 1 MiB */
	uint64_t readahead;   /* largest window of a stream, bytes */
	bool prefetch;        /* of data sets */
	unsigned max_connections;
};

struct cache;

/*
 * Open the directories (made 0700 when absent), start the threads. Makes no
 * request to the store. On failure *why says what to mend. A directory that
 * is not ours, world-writable or a symlink is refused with -EPERM; one whose
 * disk is read-only or full begins as one that has failed (T6).
 */
int cache_new(const struct cache_conf *conf, struct cache **out,
	      char why[static 256]);

/* Ends fetches, joins threads. All objects must have been put. */
void cache_free(struct cache *c);

/*
 * A complete file of the cache, as object_open() gives it to a front. The
 * front may keep what the kernel calls it (a backing id) with the file, which
 * stays open for a while after its last user: 0: nothing yet. Whatever was
 * set is given to the function below when the file is closed.
 */
struct cache_file {
	int fd;
	atomic_int backing_id;
};

/*
 * Set the function (NULL: none), which runs on any thread and must not call
 * the cache. When this returns the one before is not running any more.
 */
void cache_on_file_closed(struct cache *c,
			  void (*fn)(void *arg, int backing_id), void *arg);

/* Names and attributes; borrowed. */
struct meta;
struct meta *cache_meta(struct cache *c);
struct ufs *cache_ufs(struct cache *c);

/* One cache directory, for status. */
struct cache_disk_status {
	const char *dir; /* borrowed */
	uint64_t bytes;
	uint64_t limit;
	uint64_t files;
	uint64_t evicted_bytes;
	uint64_t bad_pages;
	/* The scrub: what it read back, and found bad; passes ended. */
	uint64_t scrub_bytes;
	uint64_t scrub_files;
	uint64_t scrub_bad;
	uint64_t scrub_passes;
	int64_t scrubbed;  /* a pass of any process ended; wall clock, s */
	const char *state; /* "ok", "degraded", "off" */
	const char *why;   /* it was off from the start, or ""; borrowed */
};

size_t cache_disks(struct cache *c, struct cache_disk_status *out, size_t max);
/* Are all its disks the file system dev? */
bool cache_is_on(struct cache *c, dev_t dev);
/* Have all disks scrubbed now, see disk_scrub(). */
void cache_scrub(struct cache *c);
size_t cache_memory_used(struct cache *c);

#endif
