/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffers.h - page buffers within one memory budget
 *
 * Every buffer of 64 KiB that holds object bytes comes from here, so one
 * number bounds them. Freed buffers are kept and handed out again, last in
 * first out (first touches are dear on virtual machines); buffers idle for
 * long go back to the system by buffers_trim().
 */
#ifndef BASE_BUFFERS_H
#define BASE_BUFFERS_H

#include "base/base.h"

#define BUFFER_SIZE KIB(64)

struct buffers;

/* At most limit bytes, rounded down to buffers; at least 16 of them. */
int buffers_new(size_t limit, struct buffers **out);
void buffers_free(struct buffers *b); /* all must have been put back */

/* A buffer, or NULL when the budget is used up or memory is out. */
void *buffers_get(struct buffers *b);
void buffers_put(struct buffers *b, void *buffer);

size_t buffers_used(const struct buffers *b);  /* bytes handed out */
size_t buffers_limit(const struct buffers *b); /* bytes */
void buffers_trim(struct buffers *b);

#endif
