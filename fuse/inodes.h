/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inodes.h - what the kernel knows, as plain records
 *
 * An inode is a record in a growing array. The kernel knows it as a nodeid:
 * its index and a generation that changes when the index is used again, so
 * that a late message about a forgotten inode names nothing. No pointer ever
 * goes to the kernel, and what runs (open files) hangs off beside the
 * record: the records alone are what a successor process would need.
 *
 * A file's record is one version of one object. Its size and mtime never
 * change, unless this mount writes it (below); when a lookup finds another
 * version a new record takes its place in the hash, and the old one lives on
 * unhashed until the kernel forgets it (S3). A record also stays while it has
 * children, so that a key can always be put together by walking up.
 */
#ifndef FUSE_INODES_H
#define FUSE_INODES_H

#include "base/base.h"
#include "ufs/encode.h"
#include "ufs/ufs.h"

#define INODE_ROOT 1 /* FUSE_ROOT_ID: index 1, generation 0 */

enum inode_type {
	INODE_DIR,
	INODE_FILE,
	INODE_DATA, /* the data of the parent directory's own marker */
};

/* What a reply needs of an inode. */
struct inode_attr {
	uint64_t nodeid;
	uint64_t ino; /* st_ino: the same for all versions of a key */
	uint64_t size;
	int64_t mtime; /* ns; of a directory: 0 */
	enum inode_type type;
	bool gone;    /* its version is known to be no longer in the store */
	bool writing; /* size and mtime are its running part's to tell */
};

struct inodes;

/* seed names the store and prefix, so that st_ino differs between them. */
int inodes_new(struct str seed, struct inodes **out);
void inodes_free(struct inodes *t); /* NULL is allowed */

/*
 * The inode of component comp in parent with one more lookup counted: the
 * one that is known, or a new one when there is none or of another version.
 * st: of a file or data. -ESTALE: no such parent; -ENAMETOOLONG; -ENOMEM.
 */
int inodes_lookup(struct inodes *t, uint64_t parent, enum inode_type type,
		  struct str comp, const struct ufs_stat *st,
		  struct inode_attr *out);

/*
 * The share of memory for the records, in bytes; 0, as at first: none. They
 * are crowded from when they need more until they need an eighth less: then
 * listings are to make no new ones, and the kernel is to be asked to forget
 * (prune.h). Asking whether they are costs a load.
 */
void inodes_set_share(struct inodes *t, size_t bytes);
bool inodes_crowded(const struct inodes *t);

/*
 * Up to max inodes that the kernel can probably forget: of files that are not
 * open and of directories without known children, those first that were not
 * looked up since they were last passed over here. Returns how many, in
 * nodeids; 0 when a whole round found none.
 */
size_t inodes_idle(struct inodes *t, uint64_t *nodeids, size_t max);

/* How many records have gone since the start. */
uint64_t inodes_left(struct inodes *t);

/* Take back n lookups. An unknown nodeid is ignored. */
void inodes_forget(struct inodes *t, uint64_t nodeid, uint64_t n);

/*
 * Have tens of thousands been forgotten since this was last true? Then it is
 * worth asking the heap for what is free (malloc_trim).
 */
bool inodes_many_freed(struct inodes *t);

/* -ESTALE when there is no such inode; st may be NULL. */
int inodes_get(struct inodes *t, uint64_t nodeid, struct inode_attr *out,
	       struct ufs_stat *st);

/*
 * The key: of a directory "" or with a '/' at its end, of a file or data the
 * object's. NUL-terminated for convenience; it may hold NUL itself.
 */
int inodes_key(struct inodes *t, uint64_t nodeid, char key[UFS_KEY_MAX + 1],
	       size_t *n);

/* The st_ino of the entry comp of type in the directory dirkey. */
uint64_t inodes_ino(const struct inodes *t, struct str dirkey,
		    enum inode_type type, struct str comp);

/* The version is known to be gone: opens of it are to be ESTALE. */
void inodes_set_gone(struct inodes *t, uint64_t nodeid);

/*
 * The next lookup of its name is to make a new inode, even of the same version
 * or of a directory again; this one lives on until the kernel forgets it.
 */
void inodes_leave(struct inodes *t, uint64_t nodeid);

/*
 * Opens of a directory, and what the kernel keeps of it. Offsets number the
 * entries of one listing, so the kernel's cache of a directory may hold one
 * only: the listing taken at the time that the open handles with *cache
 * have. *keep: what the kernel holds is not to be dropped by this open. Each
 * open with *cache is to be closed.
 */
void inodes_dir_open(struct inodes *t, uint64_t nodeid, int64_t taken,
		     bool *cache, bool *keep);
void inodes_dir_close(struct inodes *t, uint64_t nodeid);

/* What the kernel kept of the directory was dropped. */
void inodes_dir_drop(struct inodes *t, uint64_t nodeid);

/*
 * The running part of an inode, counted. Attach: hang fresh there (may be
 * NULL) if nothing is yet, and return what is there then with one reference
 * more; it holds the record. NULL: nothing is, or there is no such inode.
 * Detach gives a reference back; the last one takes it off and returns it.
 */
void *inodes_attach(struct inodes *t, uint64_t nodeid, void *fresh);
void *inodes_detach(struct inodes *t, uint64_t nodeid);

/*
 * The next known inode at or after *cursor (start with 0) that is key or
 * lies below it ("" everything but the root), with its parent and component:
 * comp[UFS_KEY_MAX + 1]. False at the end. Others may come and go meanwhile.
 */
struct inode_place {
	uint64_t nodeid;
	uint64_t parent;
	enum inode_type type;
	size_t n;
	char comp[UFS_KEY_MAX + 1];
};
bool inodes_next_below(struct inodes *t, struct str key, uint64_t *cursor,
		       struct inode_place *out);

/* Where an inode is. -ESTALE when there is none. */
int inodes_place(struct inodes *t, uint64_t nodeid, struct inode_place *out);

/* The inode of comp in parent if the kernel knows one. -ENOENT if not. */
int inodes_find(struct inodes *t, uint64_t parent, enum inode_type type,
		struct str comp, uint64_t *nodeid);

/*
 * Files that are being written (inodes_write.c). A record is one while the
 * running part that one of the next two attached is there. Meanwhile its name
 * means this record, whatever version a lookup finds; its st_ino and nodeid
 * stay when it has been committed.
 */

/*
 * A new file comp in parent, with run attached and a lookup counted. Who had
 * the name is left (inodes_leave()). *nodeid is set before anybody can find it.
 * -ESTALE: no such parent; -ENOMEM.
 */
int inodes_create(struct inodes *t, uint64_t parent, struct str comp, void *run,
		  uint64_t *nodeid, struct inode_attr *out);

/*
 * Have the record written: hang fresh there, or when it is being written
 * already take what is, with a reference more, in *run. -EBUSY: it is open
 * for reading only. -ESTALE: there is none, or its name means another.
 */
int inodes_write(struct inodes *t, uint64_t nodeid, void *fresh, void **run);

/* This is now the version of a record that is being written. */
int inodes_written(struct inodes *t, uint64_t nodeid,
		   const struct ufs_stat *st);

/* If comp in parent is being written: it, with one more lookup counted. */
bool inodes_writing(struct inodes *t, uint64_t parent, struct str comp,
		    struct inode_attr *out);

/*
 * The file or directory gets another name, and so does all below it. Who had it
 * is left. -ESTALE, -ENOMEM.
 */
int inodes_move(struct inodes *t, uint64_t nodeid, uint64_t parent,
		struct str comp);

/*
 * Is a file below dir, however deep, being written? Or below the directory comp
 * of parent: then that is there (S16), whatever the store has. As long as there
 * is none in the whole mount this costs a load.
 */
bool inodes_any_writing(struct inodes *t, uint64_t dir);
bool inodes_any_writing_in(struct inodes *t, uint64_t parent, struct str comp);

/*
 * The kernel is to be told that comp is no directory of parent, and to believe
 * it. False: something below it is being written. A record of it may be there
 * still, of who is in it: it is marked.
 */
bool inodes_tell_absent(struct inodes *t, uint64_t parent, struct str comp);

/*
 * Is there one that is so marked, nodeid or above it? The first of them in
 * *out, and its mark is taken off; NULL: that is only asked.
 */
bool inodes_absent_above(struct inodes *t, uint64_t nodeid,
			 struct inode_place *out);

/*
 * All entries of dir that are being written now, or below which something is,
 * each once, are added to out: '-' for a file or '/' for a directory, the
 * component, a NUL. One that holds NUL itself is left out. out->failed says
 * that memory ran out.
 */
void inodes_all_writing(struct inodes *t, uint64_t dir, struct text *out);

/*
 * The next file below dir, however deep, that is being written. *cursor starts
 * with UINT32_MAX. False at the end. None is left out that is being written
 * from the first call to the last; one may come twice.
 */
bool inodes_next_writing_below(struct inodes *t, uint64_t dir, uint32_t *cursor,
			       uint64_t *nodeid);

#endif
