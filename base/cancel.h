/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cancel.h - a flag that asks a running operation to end soon
 *
 * Who waits sets it; who works looks at it between steps and returns
 * -ECANCELED within a second. NULL means: never cancelled.
 */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct cancel {
	atomic_bool set;
};

static inline void cancel_set(struct cancel *c)
{
	atomic_store_explicit(&c->set, true, memory_order_release);
}

static inline bool cancelled(struct cancel *c)
{
	return c != NULL && atomic_load_explicit(&c->set, memory_order_acquire);
}

#endif
