/* SPDX-License-Identifier: Apache-2.0 */
/*
 * written.h - inodes that are being written, and their commits
 *
 * An inode is written from the first open for writing until the last handle
 * of it is closed: its running part (struct opened) then has a staged file
 * (cache/staging.h). Whoever opens it meanwhile, by its name, reads what was
 * written so far (S16); handles that were open before are on another inode
 * and keep their version (S2).
 *
 * A close by a process that wrote commits, as fsync does, and the last close
 * does in any case (S12). With commit=writeback it only has the staging keep
 * what was written, and the commit follows (written_later.c); the inode is
 * being written until that is over, so that its name, size and bytes are those
 * of the staged file all the time. The kernel tells of that one when it is long
 * over, by when there may be another writer: then it is for that one to commit,
 * and what it has written by then is not to be seen before. So a writer is
 * counted before it changes anything, and waits for what the last one before it
 * commits. What was committed is what names mean from then on: to lookups
 * (meta_made()) and to the inode itself.
 */
#ifndef FUSE_WRITTEN_H
#define FUSE_WRITTEN_H

#include "fuse/fs_impl.h"

/*
 * A running part for f, whose reference is taken over, with one writer. NULL:
 * no memory.
 */
struct opened *written_new(struct staged *f);

/* One that is attached to no inode. */
void written_free(struct opened *o);

/*
 * Have an inode that exists be written: its running part, with a reference and
 * a writer, in *out. trunc: its bytes are not wanted. Asks the store whether it
 * still is the version that the inode is of. -ESTALE: look the name up again.
 * Blocks.
 */
int written_open(struct fs *fs, uint64_t nodeid, bool trunc,
		 struct cancel *cancel, struct opened **out);

/* A writer less: was it the last? Then written_last(), which blocks, is due. */
bool written_leave(struct opened *o);

/*
 * Commit what is left to be, unless there is a writer again. If others then
 * have the file open, more than the caller's own handles, they keep it as it
 * is, and its name is to be looked up again.
 */
void written_last(struct fs *fs, struct opened *o, unsigned own);

/* The same for one whose open failed: what it made alone is not kept. */
void written_undo(struct fs *fs, struct opened *o);

/* The same, where nothing is to wait for a commit: a pool makes that. */
void written_undo_soon(struct fs *fs, struct opened *o);

/* Answer a read from what was written; takes over the handle's reference. */
void written_read(fuse_req_t req, struct fs *fs, struct handle *h, size_t size,
		  uint64_t off);

/* Bring to the store what was written. Blocks. 0 or -errno (S12). */
int written_commit(struct fs *fs, struct opened *o, struct cancel *cancel);

/* The same for who has seen to it that no directory above is being moved. */
int written_commit_now(struct fs *fs, struct opened *o, struct cancel *cancel);

/* What a close does: the same, or have it kept and committed later. */
int written_close(struct fs *fs, struct opened *o, struct cancel *cancel);

/* What was committed last is what names mean from now on. */
int written_note(struct fs *fs, struct opened *o);

/* The end of written_last(), when nothing is left to be committed. */
void written_end(struct fs *fs, struct opened *o, unsigned own);

/* written_later.c: what was acknowledged is to be committed. */
void later_commit(struct fs *fs, struct opened *o);
/* What mounts before this one acknowledged is being written again. */
void later_restore(struct fs *fs);
/* Wait for all of them; when the store is away they are left as they are. */
void later_settle(struct fs *fs);

/*
 * The group of this thread has written to o. caller: as the request says; 0:
 * anybody may have.
 */
void written_by(struct opened *o, pid_t caller);

/* It made or emptied the file: it is to commit that, as what it writes. */
void written_made_by(struct opened *o, pid_t caller);

/* May the process of this thread have written since the last commit? */
bool written_maybe_by(struct opened *o, pid_t caller);

/* What is being written has no name any more: see staged_discard(). */
void written_discard(struct fs *fs, struct opened *o);

/*
 * Nothing was done since but to make or empty it, and the process of this
 * thread has it open for writing still: so begins a shell's `>`, which opens,
 * duplicates and closes. It is for the other descriptor's close to commit. A
 * descriptor of one that lost this name has its st_ino, too: as long as there
 * is any such file, nothing goes on.
 */
bool written_goes_on(struct fs *fs, struct opened *o, pid_t caller);

/*
 * The key of name in the directory parent: into key[UFS_KEY_MAX + 1], of which
 * the first *dir bytes are the directory's. make: as a new name (N7).
 * -ENOENT: no key has this name, -EINVAL, -EILSEQ, -ENAMETOOLONG, -ESTALE.
 */
int written_key(struct fs *fs, uint64_t parent, const char *name, bool make,
		char *key, size_t *dir, size_t *n);

/*
 * Is this still the key of an inode? Asked once its running part is attached:
 * if not, a directory above was moved, and who moved it did not see it.
 */
bool written_has_key(struct fs *fs, uint64_t nodeid, const char *key, size_t n);

/*
 * Something was made in the directory key[0, n), which has a slash at its end.
 * Others may have removed it and those above: they are there again by that.
 */
void written_made_below(struct fs *fs, const char *key, size_t n);

/* Make known that key[0, n) is now st (NULL: no object). */
void written_made(struct fs *fs, const char *key, size_t dir, size_t n,
		  const struct ufs_stat *st);

#endif
