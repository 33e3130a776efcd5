/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.h - one version of one object: reads, fills, streams
 *
 * All users of a version in this process share one struct object. Reading is
 * asynchronous: a read that the SSD or memory can answer is answered at
 * once, on the caller's thread; otherwise whoever completes the last page it
 * needs calls its done(). FUSE threads never wait for the network, nor for a
 * stalled SSD.
 */
#ifndef CACHE_OBJECT_H
#define CACHE_OBJECT_H

#include <sys/uio.h>

#include "base/base.h"
#include "cache/cache.h"
#include "ufs/ufs.h"

struct object;

/*
 * The object of this key and version (made when no one has it). Takes no
 * I/O. One reference in *out; object_put() returns it.
 */
int object_get(struct cache *c, struct str key, const struct ufs_stat *st,
	       struct object **out);
void object_put(struct object *o); /* NULL is allowed */

uint64_t object_size(const struct object *o);

struct object_read {
	/* set by the caller */
	uint64_t off;
	size_t len; /* at most OBJECT_READ_MAX; clipped at the object's end */
	bool held_only; /* -ENODATA in place of a fetch */
	/*
	 * Exactly once unless object_read_cancel() returned true: 0 and the
	 * bytes (borrowed for the call, at most OBJECT_IOV_MAX pieces), or
	 * -errno. Runs on any thread, also before object_read() returns, and
	 * holds no lock. May free the request.
	 */
	void (*done)(struct object_read *r, int err, const struct iovec *iov,
		     int niov);

	/* the cache's */
	struct object *object; /* borrowed: the caller holds it */
	struct object_read *next;
	struct object_read *next_starved;
	int64_t since; /* when it was asked */
	enum { READ_IDLE, READ_ON_DISK, READ_WAITING, READ_STARVED } state;
	bool bypass; /* the SSD stalls: take memory or the store */
};

#define OBJECT_READ_MAX MIB(1)
#define OBJECT_IOV_MAX (OBJECT_READ_MAX / KIB(64) + 1)

void object_read(struct object *o, struct object_read *r);

/*
 * A signal came: true when done() will not be called any more and the caller
 * answers; false when it has been or is being called. The fetch goes on.
 */
bool object_read_cancel(struct object_read *r);

/*
 * Get an object ready to be opened: a small one is fetched whole and put on
 * the SSD, so that the kernel can have it at once; for a large one only what
 * is on the SSD is looked at. done() gets 0 and the complete and trusted file
 * (borrowed: valid while the object is held), 0 and NULL when reads must come
 * to the daemon, or -errno (-ESTALE: the version is gone).
 */
struct object_open {
	void (*done)(struct object_open *r, int err, struct cache_file *file);

	/* the cache's */
	struct object *object; /* borrowed: the caller holds it */
	struct object_open *next;
	int64_t since; /* when it was asked */
	enum { OPEN_IDLE, OPEN_ON_DISK, OPEN_WAITING } state;
};

void object_open(struct object *o, struct object_open *r);
bool object_open_cancel(struct object_open *r);

/* The file object_open() would give now without any wait, or NULL. */
struct cache_file *object_backing(struct object *o);

/*
 * Bytes [off, off+len) as a piece of a file, for a front that sends files: all
 * are there, in one file, and verified by this process.
 */
struct object_span {
	int fd;      /* the caller closes it; it may outlive the object */
	uint64_t at; /* where in the file off is */
	/* With words, one a page (off is at one), as extent_words() has them */
	uint64_t seed;
	uint64_t first; /* the first page's number in the file */
};

/*
 * words NULL: they are not wanted. -ENODATA: there is no such piece. -EAGAIN
 * (nowait): the disk must move. -EMFILE and the like.
 */
int object_span(struct object *o, uint64_t off, uint64_t len, uint64_t *words,
		bool nowait, struct object_span *out);

/*
 * Are all bytes of [off, off+len) on the SSD or in memory? Looks at the SSD,
 * fetches nothing, and verifies nothing: an object_read() with held_only set
 * may still find one of them spoilt.
 */
bool object_held(struct object *o, uint64_t off, uint64_t len);

/*
 * Begin to fetch what of [off, off+len) is not on the SSD, behind the reads
 * that wait. Does not block; what there is no memory for is left out.
 */
void object_ahead(struct object *o, uint64_t off, uint64_t len);

/* The unit in which parts of an object are loaded. */
#define OBJECT_SEGMENT (UINT64_C(1) << 30)

struct object_load {
	/* set by the caller: off at a segment, off + len too or at the end */
	uint64_t off, len;
	bool verify; /* read all of it back, and check it */

	/* what came of it */
	uint64_t fetched; /* bytes, from the store */
	uint64_t checked; /* bytes read back and right, when all of it was */
	uint64_t checked_pages;
};

/*
 * Bring a part onto the SSD (tarn load). Blocks. What is there is not fetched
 * again. While reads wait for the store, all loads of a cache take a tenth of
 * max_connections at most.
 */
int object_load_part(struct object *o, struct object_load *l,
		     struct cancel *cancel);

/* Bytes of a part that are on this host's SSD. */
int object_cached_part(struct object *o, uint64_t off, uint64_t len,
		       uint64_t *bytes);

/* The same of the whole object. */
static inline int object_load(struct object *o, bool verify, uint64_t *fetched,
			      struct cancel *cancel)
{
	struct object_load l = { .len = UINT64_MAX, .verify = verify };
	int err = object_load_part(o, &l, cancel);

	*fetched = l.fetched;
	return err;
}

static inline int object_cached(struct object *o, uint64_t *bytes)
{
	return object_cached_part(o, 0, UINT64_MAX, bytes);
}

/*
 * All bytes of a version, in the file fd from byte 0, as this host has just
 * sent them to the store: put them on the SSD as what was fetched, verified.
 * Blocks. Not 0: the SSD did not take them, which is no error of anybody.
 */
int object_adopt(struct object *o, int fd);

/*
 * The same of a small version: its reads are answered at once, and its file is
 * made a second later, or when it is opened. -EXDEV: it is large, or there is
 * no SSD. -ENOMEM: too many wait, object_adopt() it.
 */
int object_give(struct object *o, int fd);

/*
 * The same without a copy: the file `name` in dirfd, of which nobody changes a
 * byte any more, gets a name in the cache. sums has those of all its pages.
 * Only a large object that is one extent, on a disk of the same file system:
 * else -EXDEV.
 */
struct sums;
int object_take(struct object *o, int dirfd, const char *name,
		const struct sums *sums);

/* Drop what of it is on this host, *bytes (tarn free). */
int object_free(struct object *o, uint64_t *bytes);

#endif
