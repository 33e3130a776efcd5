/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - where what a source holds stands on the circle
 *
 * Mounts of different prefixes, and workers, agree on a place since it is made
 * of whole keys. u is the store, or a tier in front of it.
 */
#ifndef RING_PLACE_H
#define RING_PLACE_H

#include "base/base.h"
#include "ufs/ufs.h"

/* A segment of an object; key is relative to u's prefix. */
uint64_t place_data(const struct ufs *u, struct str key, uint64_t segment);

/* The directory that holds key, or that key is when it ends with a slash. */
uint64_t place_dir(const struct ufs *u, struct str key);

#endif
