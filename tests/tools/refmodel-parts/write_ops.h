/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_ops.h - what is done in a run that writes
 *
 * As ops.h: a kind and a few numbers, whose meaning depends on what is there
 * when their turn comes.
 */
#ifndef REFMODEL_WRITE_OPS_H
#define REFMODEL_WRITE_OPS_H

#include "tests/tools/refmodel-parts/ops.h"

#define WRITE_OP_KINDS(X)                                                      \
	X(OPEN, "open", 8)                                                     \
	X(OPEN_WRITE, "open-write", 16)                                        \
	X(CLOSE, "close", 10)                                                  \
	X(READ, "read", 18)                                                    \
	X(WRITE, "write", 28)                                                  \
	X(TRUNCATE_HANDLE, "ftruncate", 4)                                     \
	X(TRUNCATE, "truncate", 3)                                             \
	X(ALLOCATE, "fallocate", 2)                                            \
	X(SEEK, "seek", 4)                                                     \
	X(FSYNC, "fsync", 6)                                                   \
	X(BURST, "burst", 4)                                                   \
	X(STAT, "stat", 5)                                                     \
	X(LIST, "list", 3)                                                     \
	X(UNLINK, "unlink", 4)                                                 \
	X(RENAME, "rename", 6)                                                 \
	X(MKDIR, "mkdir", 2)                                                   \
	X(RMDIR, "rmdir", 2)                                                   \
	X(PUT, "put", 4)                                                       \
	X(DELETE, "delete", 2)                                                 \
	X(FAULT, "fault", 7)                                                   \
	X(CALM, "calm", 2)                                                     \
	X(RESTART, "restart", 1)                                               \
	X(KILL, "kill", 2)                                                     \
	X(RECOVER, "recover", 3)

#define WRITE_OP_ENUM(kind, name, weight) WRITE_##kind,
enum write_op_kind { WRITE_OP_KINDS(WRITE_OP_ENUM) WRITE_OP_COUNT };
#undef WRITE_OP_ENUM

/* How the two mounts are set up. */
struct write_config {
	bool strict; /* else names may be as old as the ttl */
	bool last_wins;
	bool faults, kills;
	bool others; /* change the store, beside the two */
	bool no_cache, passthrough;
	uint64_t most;  /* bytes of a file */
	unsigned parts; /* sent side by side */
};

void write_config_make(struct seed *s, bool real, struct write_config *out);
void write_config_print(FILE *to, const struct write_config *c);
void write_ops_make(struct seed *s, const struct write_config *c,
		    struct op *ops, size_t n);
void write_op_print(FILE *to, const struct op *op);

#endif
