/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inodes_impl.h - what the sources of the inode table share
 *
 * inodes.c: the records, their hash, their memory. inodes_write.c: those of
 * files that are being written. Nobody else includes this.
 */
#ifndef FUSE_INODES_IMPL_H
#define FUSE_INODES_IMPL_H

#include "base/lock.h"
#include "fuse/inodes.h"

struct inode {
	uint32_t generation;
	uint32_t parent; /* index */
	uint32_t next;   /* in the hash chain or the free list; 0 ends */
	uint32_t children;
	uint64_t lookups;
	uint64_t ino;
	union {
		struct { /* a file */
			uint64_t size;
			int64_t mtime;
		};
		struct {               /* a directory */
			int64_t shown; /* when the listing was taken that
					  the kernel keeps */
			uint32_t shown_opens;
			uint32_t
			    written; /* files below it, see inodes_write.c */
		};
	};
	/* Owned: n bytes of the name; of files then the version NUL, storage
	 * class NUL. */
	char *text;
	void *run; /* borrowed from who attached it */
	uint32_t run_refs;
	uint16_t n;
	uint8_t type;
	bool used : 1;
	bool hashed : 1;
	bool gone : 1;
	bool writing : 1;   /* what runs is a file that is being written */
	bool recent : 1;    /* looked up or opened since the hand passed */
	bool shown_any : 1; /* of a directory: `shown` says something */
	bool absent : 1;    /* the same: as the kernel was told since */
	unsigned st_flags;
};

struct chunk {
	struct inode *records; /* NULL: given back */
	uint32_t free;         /* index of a free record; 0: none */
	uint32_t fresh;        /* those from here on were never used */
	uint32_t used;
	uint32_t generation; /* of records that were never used */
};

struct inodes {
	struct lock lock;
	uint64_t ino_seed; /* set once */
	size_t share;      /* the same, before there are inodes */

	/* written under lock, read by anyone */
	atomic_bool crowded;
	atomic_uint written; /* as of the root */

	/* under lock */
	size_t bytes;  /* that the records in use need */
	uint64_t left; /* records that went, ever */
	uint32_t hand; /* index that inodes_idle() looks at next */
	struct chunk *chunks;
	uint32_t nchunks;
	uint32_t count; /* of indexes that chunks have */
	uint32_t roomy; /* no chunk before this one has room */
	uint32_t freed; /* records, since inodes_many_freed() said so */
	uint32_t *buckets;
	uint32_t nbuckets; /* a power of two */
	uint32_t nhashed;
	uint32_t *writing; /* indexes of records that are being written */
	uint32_t nwriting, writing_room;
};

struct inode *inode_at(struct inodes *t, uint32_t i);
struct inode *inode_find_locked(struct inodes *t, uint64_t nodeid,
				uint32_t *index)
    TSA(requires_capability(t->lock));
/* A file that is being written is found by its name no more. */
void inode_hash_remove(struct inodes *t, uint32_t i)
    TSA(requires_capability(t->lock));
void inode_hash_insert(struct inodes *t, uint32_t i);
/* 0: there is none. */
uint32_t inode_hash_find(struct inodes *t, uint32_t parent,
			 enum inode_type type, struct str comp);
int inode_make_locked(struct inodes *t, uint32_t parent, enum inode_type type,
		      struct str comp, const struct ufs_stat *st,
		      uint32_t *index) TSA(requires_capability(t->lock));
/* Free a record that nothing holds, and its parents likewise. */
void inode_release_locked(struct inodes *t, uint32_t i)
    TSA(requires_capability(t->lock));
/* One more, or less, in use. */
void inode_count_locked(struct inodes *t, const struct inode *in, bool more)
    TSA(requires_capability(t->lock));
int inode_key_locked(struct inodes *t, uint32_t i, char *key, size_t *n)
    TSA(requires_capability(t->lock));
/* Name, and of a file version and storage class, in one piece of heap. */
char *inode_text_new(struct str name, enum inode_type type,
		     const struct ufs_stat *st);
void inode_attr_of(const struct inode *in, uint32_t i, struct inode_attr *out);
/* All that are key or below it get the st_ino of the keys that they have now.
 */
void inodes_renumber(struct inodes *t, struct str key);
/* So many files more or less are being written below it, and below those above.
 */
void inode_written_locked(struct inodes *t, uint32_t dir, int more)
    TSA(requires_capability(t->lock));
/* It is not being written any more. */
void inode_end_writing_locked(struct inodes *t, uint32_t i)
    TSA(requires_capability(t->lock));
void inode_place_of(struct inodes *t, uint32_t i, struct inode_place *out);

#endif
