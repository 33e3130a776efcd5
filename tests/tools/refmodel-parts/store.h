/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - a store in memory that holds what the model says, and fails
 *
 * Its errors are those that a driver gives once it has tried in vain, and the
 * lies that a driver should not tell: another version, too few bytes, too
 * many.
 */
#ifndef REFMODEL_STORE_H
#define REFMODEL_STORE_H

#include "tests/tools/refmodel-parts/model.h"
#include "tests/tools/refmodel-parts/ops.h"
#include "ufs/ufs.h"

struct store;

struct store *store_new(struct model *m);
void store_free(struct store *s);
struct ufs *store_ufs(struct store *s);

/* Some requests fail from now on, until they have, or until the calm. */
void store_fault(struct store *s, const struct op *op);
void store_calm(struct store *s);
/* Change a key when that many requests have come. */
void store_later(struct store *s, const struct op *op);
/* Did this error go up later than so many ns ago, by the real clock? */
bool store_failed(struct store *s, int err, int64_t ago);

/* The version's name, and back; 0: none of ours. */
void store_version(unsigned id, char version[static UFS_VERSION_MAX]);
unsigned store_id(const char *version);

#endif
