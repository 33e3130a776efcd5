/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.h - objsim from afar: what the model changes there, and its faults
 */
#ifndef REFMODEL_SIM_H
#define REFMODEL_SIM_H

#include <stdio.h>

#include "tests/tools/refmodel-parts/model.h"
#include "tests/tools/refmodel-parts/ops.h"

struct sim;

/* A bucket of its own, with the fillers in it; NULL: no REFMODEL_SIM. */
struct sim *sim_new(unsigned number, unsigned filler);
void sim_free(struct sim *s); /* NULL is allowed */
const char *sim_url(const struct sim *s);
const char *sim_bucket(const struct sim *s);

void sim_put(struct sim *s, const char *key, const struct version *v);
void sim_put_bytes(struct sim *s, const char *key, const void *p, size_t n);
/* Is it there? Its version, as a mount names it, and its size. */
bool sim_look(struct sim *s, const char *key, char version[static 100],
	      uint64_t *size);
/* Its n bytes. */
void sim_fetch(struct sim *s, const char *key, void *p, size_t n);
/* How many have not ended. with_parts: and are not empty. */
unsigned sim_uploads(struct sim *s, bool with_parts);
void sim_delete(struct sim *s, const char *key);
void sim_fault(struct sim *s, const struct op *op);
/* The same of what writes meet. */
void sim_write_fault(struct sim *s, const struct op *op);
void sim_calm(struct sim *s);
/* How often, since the beginning. */
long sim_fired(struct sim *s);
/* Did a fault fire since the calm, or shortly before it? */
bool sim_failed(struct sim *s);

/* How many handles a mount's status (JSON) counts; -1: it does not say. */
int sim_json_handles(FILE *status);

#endif
