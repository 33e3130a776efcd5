/* SPDX-License-Identifier: Apache-2.0 */
/*
 * le.h - little-endian numbers, as they stand in files and on the wire
 */
#ifndef BASE_LE_H
#define BASE_LE_H

#include <stdint.h>

/* The lower bytes (1 to 8) of v at p. */
static inline void put_le(void *p, uint64_t v, int bytes)
{
	uint8_t *b = p;

	for (int i = 0; i < bytes; i++)
		b[i] = (uint8_t)(v >> (8 * i));
}

/* A number of 1 to 8 bytes at p. */
static inline uint64_t get_le(const void *p, int bytes)
{
	const uint8_t *b = p;
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)b[i] << (8 * i);
	return v;
}

#endif
