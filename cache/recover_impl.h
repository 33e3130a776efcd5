/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover_impl.h - what the sources that read records share
 */
#ifndef CACHE_RECOVER_IMPL_H
#define CACHE_RECOVER_IMPL_H

#include <jansson.h>

#include "cache/recover.h"

#define RECORD_FORMAT 1 /* of a record: staged_record.c tells it */
#define ERRNO_MOST 4095
#define RECORD_WORDS_MOST 8192 /* of a store's name, of an upload's */

/* record.c */
/* At most three times as long, with a NUL. */
void record_escape(struct str s, char *out);
/* A string of any bytes, so spelt. */
json_t *record_text(struct str s);
/* Put these words in the place of ID.json. */
int record_put(int dir, const char *id, const char *words, bool sync);

struct stat;
struct ranges;

/* A million ranges that were written, and some words. */
#define RECORD_MOST MIB(64)

/* recover.c */
/*
 * The bytes that are spelt so: at most so many, on the heap, with a NUL behind
 * them. NULL: it is no such thing.
 */
char *record_bytes(const json_t *j, size_t most, size_t *n);
/* The same of a member, without NUL bytes in it. */
char *record_words(const json_t *o, const char *name, size_t most);
/* A file of ours that is no link and no device: -EPERM. */
int recover_open_at(int dir, const char *name, int flags, struct stat *st);
/* The record as JSON, a new reference also when it is -EINVAL. */
int recover_load(int dir, const char *id, json_t **out);
/* The same of an open file. */
int recover_load_fd(int fd, const struct stat *st, json_t **out);
/* id may have more behind it. -ENOENT; the rest is logged. */
int recover_read(int dir, const char *id, struct recover_record *out);
/* [off, end, off, end...]; false: it is no such array. */
bool recover_written(const json_t *a, struct ranges *out);
/* The directory of a store below the staging-dir. */
int recover_store_dir(int root, const char *name);

#endif
