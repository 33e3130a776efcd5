/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - one cache directory: files named by hashes, space, eviction
 *
 * The file system is the index. Below DIR/v1 are 256 x 256 shard
 * directories; a file's name is the SHA-256, cut to 160 bits, of what it
 * holds, in hex: two digits, a slash, two digits, a slash, 36 digits and a
 * suffix ("" data, ".map", ".lst"). A lookup is an open. Nothing is scanned
 * at start, any number of processes may share the directory.
 *
 *   DIR/format   text: format version, extent limit, explicit size
 *   DIR/usage    8 bytes: the byte count, little-endian, under flock (not
 *                mapped: a dead disk would be a SIGBUS)
 *   DIR/lock     flock: one walker corrects the count at a time
 *   DIR/scrub    24 bytes: where the scrub is (scrub.c), under flock
 *   DIR/forgotten-*  what was invalidated (meta_rules.c); never evicted
 *   DIR/v1/      shards (made when first needed)
 *   DIR/tmp/     files being written; strays older than an hour are removed
 *
 * Safety: DIR must be a directory of ours, mode 0700, not a symlink, checked
 * through its descriptor; below it everything is openat with O_NOFOLLOW, and
 * a file that is not regular and ours is unlinked as foreign, never read.
 *
 * Space: bytes are counted by st_blocks. Above the limit, or when statvfs
 * says that less than 5 % (of bytes or of inodes) is free, eviction samples
 * shards and unlinks the files unused for longest, maps first. Only ever
 * unlink: a mapping may outlive every close. Used last is the later of atime
 * and mtime: a touch sets only the atime, so that an unchanged mtime still
 * says that the bytes are those that were verified.
 *
 * Health: an I/O error is counted; three in a minute degrade the disk (no
 * admission), ten, or a failed probe, turn it off; a probe (write, read
 * back, unlink) every ten seconds takes it back. Then all of it is scrubbed,
 * and nothing counts as verified before that was not read since.
 */
#ifndef CACHE_DISK_H
#define CACHE_DISK_H

#include "base/base.h"

#define DISK_ID_LEN 20 /* bytes: 160 bits of SHA-256 */

struct disk_id {
	uint8_t b[DISK_ID_LEN];
};

/*
 * The name of an extent: each part is hashed with its length before it, so
 * that no two tuples read alike.
 */
struct disk_id disk_extent_id(struct str store, struct str key,
			      struct str version, uint64_t first,
			      uint64_t length);
/* The name of a listing; who asked is part of it. */
struct disk_id disk_listing_id(struct str store, struct str access,
			       struct str dirkey);

struct disk;

struct disk_conf {
	const char *dir;
	uint64_t size;       /* bytes, or 0 when percent counts */
	unsigned percent;    /* of the file system */
	bool size_explicit;  /* write it into format; else format's counts */
	int64_t probe_every; /* ns; 0 = 10 s (tests shorten it) */
	int64_t scrub_after; /* ns; 0 = 10 min (tests shorten it) */
};

/*
 * Check the directory, or make it, and start its threads. A directory that is
 * not fit is refused, why saying what to mend; one whose disk is read-only,
 * full or broken is taken all the same, is off, and disk_why() says why.
 */
int disk_open(const struct disk_conf *conf, struct disk **out,
	      char why[static 256]);
const char *disk_why(const struct disk *d);
void disk_close(struct disk *d); /* NULL is allowed */

/* Nothing new is kept when less of its file system is free: bytes, inodes. */
#define DISK_LOW_PERCENT 5

/*
 * Would disk_open() take this directory? Judged as it judges, but nothing is
 * made and nothing started. 0 and a descriptor of it; -ENOENT when it is
 * absent; or -errno with *why set.
 */
int disk_look(const char *dir, int *fd, char why[static 256]);

bool disk_is_on(const struct disk *d, dev_t dev); /* that file system */
const char *disk_dir(const struct disk *d);
uint64_t disk_limit(const struct disk *d);
uint64_t disk_extent_limit(const struct disk *d); /* larger objects are cut */
uint64_t disk_bytes(const struct disk *d);
bool disk_has_xattr(const struct disk *d);

/* Since this process opened it; files: as last walked, and changes since. */
struct disk_numbers {
	uint64_t files;
	uint64_t evicted_bytes;
	uint64_t bad_pages;
	/* The scrub: read back, of these found bad, passes ended. */
	uint64_t scrub_bytes;
	uint64_t scrub_files;
	uint64_t scrub_bad;
	uint64_t scrub_passes;
	int64_t scrubbed; /* when a pass last ended, of any process; wall
			   * clock, s; 0: not known */
};

void disk_numbers(const struct disk *d, struct disk_numbers *out);

enum disk_state { DISK_OK, DISK_DEGRADED, DISK_OFF };

enum disk_state disk_state(const struct disk *d);
const char *disk_state_name(enum disk_state s);

/*
 * How often it was turned off or taken back: who keeps what he learnt of its
 * files learns it anew when this has changed.
 */
unsigned disk_turns(const struct disk *d);

/*
 * Begin a pass of the scrub now, or anew; while another process is at it, or
 * the disk is off, it begins after that.
 */
void disk_scrub(struct disk *d);

/*
 * An I/O error (-errno) of one of its files: counts towards its health, and
 * is logged. disk_*() and extent_*() call it themselves; who reads or writes
 * a descriptor of disk_open_file() or disk_tmp() does too. ENOSPC wakes
 * eviction; errors that say nothing about the disk are ignored.
 */
void disk_failed(struct disk *d, int err, const char *what);

/* A page found torn, foreign or rotten. */
void disk_bad_page(struct disk *d);

/*
 * Open a file by id. Checked to be regular and ours. -ENOENT when absent
 * (and for what was foreign and is now gone), -EIO and -EMFILE as they come.
 * flags: O_RDONLY or O_RDWR.
 */
int disk_open_file(struct disk *d, const struct disk_id *id, const char *suffix,
		   int flags, int *fd);

/*
 * A new file of mode 0600 under tmp/, open for reading and writing, that
 * disk_publish() moves into place. name gets its name in tmp/.
 */
#define DISK_TMP_MAX 48
int disk_tmp(struct disk *d, char name[static DISK_TMP_MAX], int *fd);
/*
 * The same for a file that is there: one more name of the file `name` in
 * dirfd. -EXDEV: it is on another file system.
 */
int disk_tmp_link(struct disk *d, int dirfd, const char *name,
		  char tmp[static DISK_TMP_MAX], int *fd);
void disk_tmp_drop(struct disk *d, const char *name);

/*
 * Move a tmp file to its place. replace: rename over what is there; else
 * -EEXIST when something is. Makes the shard when it is missing.
 */
int disk_publish(struct disk *d, const char *tmp, const struct disk_id *id,
		 const char *suffix, bool replace);

int disk_unlink(struct disk *d, const struct disk_id *id, const char *suffix);

/*
 * A small file of that name in the directory itself, which is not evicted:
 * open for reading and writing, made if need be, and locked (flock) until it
 * is closed.
 */
int disk_note(struct disk *d, const char *name, int *fd);
/* The same to read only, not made (-ENOENT) nor locked: it may be torn. */
int disk_note_look(struct disk *d, const char *name, int *fd);

/*
 * Serialise the making and removing of files in id's shard between threads
 * and processes (flock of the shard directory). Returns a descriptor to
 * close, or -errno.
 */
int disk_lock_shard(struct disk *d, const struct disk_id *id);

/*
 * Account for bytes that will be written. True when they may be: the disk is
 * ok and eviction keeps up; otherwise nothing was counted and nothing is to
 * be written. Wakes the eviction thread as needed; never blocks. Negative:
 * give back what was admitted and not written. Eviction, disk_unlink(),
 * disk_publish() over an older file and a failed extent_write() or
 * extent_write_small() give back by themselves.
 */
bool disk_admit(struct disk *d, int64_t bytes);

/* Would so much more fit without eviction, and leave a little? */
bool disk_has_room(struct disk *d, uint64_t bytes);

/*
 * Would a refusal of so many bytes be only for a moment, while eviction is
 * behind? Not when the file system is full, or the disk not well.
 */
bool disk_makes_room(const struct disk *d, uint64_t bytes);

/* Mark as used now: atime, at most every ten minutes. */
void disk_touch(struct disk *d, int fd);

/*
 * A name to keep from eviction while it is being filled or read. It is part of
 * what fills or reads, so that pinning needs no memory and cannot fail; it must
 * not move until it is unpinned. Several may have the same name. All zeros: no
 * pin; unpinning that does nothing.
 */
struct disk_pin {
	struct disk_pin *next; /* the disk's, under its lock */
	struct disk *disk;     /* borrowed; NULL: no pin */
	struct disk_id id;
};
void disk_pin(struct disk *d, const struct disk_id *id, struct disk_pin *pin);
void disk_unpin(struct disk_pin *pin);

/*
 * Evict until at most target bytes are held (tests, `tarn free`). Returns
 * bytes freed.
 */
uint64_t disk_evict_to(struct disk *d, uint64_t target);

/* Walk and correct the byte count now. files: how many there are. */
int disk_recount(struct disk *d, uint64_t *bytes, uint64_t *files);

#endif
