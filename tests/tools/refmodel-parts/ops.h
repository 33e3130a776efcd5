/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.h - what is done in a run: made of a seed, all of it before it begins
 *
 * An operation is a kind and a few numbers. What they mean depends on what is
 * there when its turn comes (a handle's size, say), so that a list from which
 * operations were taken still makes sense: that is how a failure is made
 * small.
 */
#ifndef REFMODEL_OPS_H
#define REFMODEL_OPS_H

#include <stdio.h>

#include "cache/cache.h"

#define OP_KINDS(X)                                                            \
	X(OPEN, "open", 14)                                                    \
	X(READ, "read", 26)                                                    \
	X(BURST, "burst", 6)                                                   \
	X(CLOSE, "close", 3)                                                   \
	X(STAT, "stat", 10)                                                    \
	X(LIST, "list", 6)                                                     \
	X(PUT, "put", 14)                                                      \
	X(DELETE, "delete", 3)                                                 \
	X(SWAP, "swap", 2)                                                     \
	X(LATER, "later", 3)                                                   \
	X(INVALIDATE, "invalidate", 2)                                         \
	X(PASS, "pass", 5)                                                     \
	X(FAULT, "fault", 4)                                                   \
	X(CALM, "calm", 1)                                                     \
	X(RESTART, "restart", 1)                                               \
	X(TAMPER, "tamper", 4)                                                 \
	X(FORGET, "forget", 2)

#define OP_ENUM(kind, name, weight) OP_##kind,
enum op_kind { OP_KINDS(OP_ENUM) OP_COUNT };
#undef OP_ENUM

enum { SLOTS = 5, BURST_MAX = 4 };

struct op {
	unsigned kind; /* enum op_kind, or of write_ops.h */
	uint32_t a, b, c, d;
};

/* How the mount is set up in a run; of the same seed. */
struct config {
	enum consistency consistency;
	int64_t ttl, negative_ttl;
	unsigned dirs; /* 0, 1 or 2 */
	uint64_t cache_size;
	size_t memory;
	uint64_t small_file, readahead;
	bool prefetch;
	bool faults, tampers;
	bool passthrough; /* of a real mount */
	unsigned filler;
};

struct seed {
	uint64_t state;
};

uint64_t seed_next(struct seed *s);

/*
 * One of so many kinds of operations, each as often as its weight says (of[];
 * 0: never), and its numbers.
 */
struct op op_draw(struct seed *s, const unsigned *of, unsigned kinds);

/* For a real mount the times are those of a clock that cannot be moved. */
void config_make(struct seed *s, bool real, struct config *out);
void config_print(FILE *to, const struct config *c);
void ops_make(struct seed *s, const struct config *c, struct op *ops, size_t n);
void op_print(FILE *to, const struct op *op);

/* What an operation's numbers stand for. */
uint64_t op_size(const struct op *op, uint64_t before);
const char *op_path(uint32_t n); /* to be invalidated */

#endif
