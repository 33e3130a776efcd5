/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what the fuzzers share
 *
 * A fuzzer is LLVMFuzzerTestOneInput(): the sanitizers find what is undefined,
 * CHECK() says what must hold. Where an input has several parts, their sizes
 * and choices stand at its beginning, a byte or two each, so that a mutation
 * of one part moves no other.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdio.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond)) {                                                 \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__,       \
				__LINE__, #cond);                              \
			abort();                                               \
		}                                                              \
	} while (0)

struct input {
	const uint8_t *p;
	size_t n;
};

/* 0 when nothing is left. */
static inline uint8_t take_u8(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static inline uint16_t take_u16(struct input *in)
{
	uint16_t low = take_u8(in);

	return (uint16_t)(low | take_u8(in) << 8);
}

static inline uint64_t take_u64(struct input *in)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v |= (uint64_t)take_u8(in) << (8 * i);
	return v;
}

/* Up to n bytes, borrowed. */
static inline struct str take_str(struct input *in, size_t n)
{
	struct str s = { (const char *)in->p, MIN(n, in->n) };

	in->p += s.n;
	in->n -= s.n;
	return s;
}

/*
 * The same bytes on the heap with a NUL behind, so that the sanitizer sees
 * who reads beyond it. The caller frees.
 */
static inline char *heap_text(struct str s)
{
	char *p = malloc(s.n + 1);

	CHECK(p != NULL);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

#endif
