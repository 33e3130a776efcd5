/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_mem.h - the store in memory of a run that writes, and its faults
 */
#ifndef REFMODEL_WRITE_MEM_H
#define REFMODEL_WRITE_MEM_H

#include "tests/tools/refmodel-parts/write_front.h"

struct write_mem;

struct write_mem *write_mem_new(void);
void write_mem_free(struct write_mem *m);
/* As one of the mounts has it. */
struct ufs *write_mem_ufs(struct write_mem *m, unsigned mount);

void write_mem_look(struct write_mem *m, const char *key, struct looked *out);
void write_mem_fetch(struct write_mem *m, const char *key, void *p,
		     uint64_t size);
void write_mem_put(struct write_mem *m, const char *key, const void *p,
		   uint64_t size);
void write_mem_remove(struct write_mem *m, const char *key);
unsigned write_mem_uploads(struct write_mem *m);
void write_mem_fault(struct write_mem *m, const struct op *op);
void write_mem_calm(struct write_mem *m);
bool write_mem_failed(struct write_mem *m);
size_t write_mem_fired(struct write_mem *m);
/* That mount has died: what it still asks for is not done. */
void write_mem_dead(struct write_mem *m, unsigned mount, bool dead);

#endif
