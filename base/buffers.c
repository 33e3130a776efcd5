/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffers.c - one mapping, cut into buffers
 *
 * The whole budget is one reservation of address space; a buffer costs memory
 * once it is written to. A buffer is then a number, and a stack of numbers
 * says which are free. The bottom of the stack is `bare`: without memory, as
 * all are at first. `idle` is how low the stack has been since the last trim:
 * what lies between the two has memory that nobody wanted, and trim() gives
 * it back without moving anything. One mapping, because freeing 64 KiB here
 * and there would leave either holes in the heap or more mappings than
 * vm.max_map_count allows.
 *
 * It is left out of core dumps: it holds users' data. Under the address
 * sanitizer a free buffer is poisoned.
 */
#include "base/buffers.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "base/stats.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_BUFFERS
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(POISON_BUFFERS)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define BUFFERS_MIN 16
#define TRIM_STEP 8 /* given back under one hold of the lock */

struct buffers {
	/* set once at new */
	char *memory;
	uint32_t n;

	atomic_size_t used; /* written under lock, read by anyone */

	struct lock lock;
	/* under lock */
	bool *out; /* a flag a buffer: it is handed out */
	uint32_t *stack;
	uint32_t free; /* on the stack */
	uint32_t idle; /* lowest that free was since the last trim */
	uint32_t bare; /* lowest that it was since those were trimmed */
};

int buffers_new(size_t limit, struct buffers **out)
{
	size_t n = MAX(limit / BUFFER_SIZE, BUFFERS_MIN);
	struct buffers *b;

	if (n > UINT32_MAX)
		return -EINVAL;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return -ENOMEM;
	b->n = (uint32_t)n;
	b->stack = calloc(n, sizeof(*b->stack));
	b->out = calloc(n, sizeof(*b->out));
	b->memory = mmap(NULL, n * BUFFER_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b->stack == NULL || b->out == NULL || b->memory == MAP_FAILED) {
		if (b->memory != MAP_FAILED)
			munmap(b->memory, n * BUFFER_SIZE);
		free(b->stack);
		free(b->out);
		free(b);
		return -ENOMEM;
	}
	madvise(b->memory, n * BUFFER_SIZE, MADV_DONTDUMP);
	ASAN_POISON_MEMORY_REGION(b->memory, n * BUFFER_SIZE);
	lock_init(&b->lock, RANK_BUFFERS);
	/* The lowest address first: what is used stays together. */
	for (uint32_t i = 0; i < b->n; i++)
		b->stack[i] = b->n - 1 - i;
	b->free = b->idle = b->bare = b->n;
	*out = b;
	return 0;
}

void buffers_free(struct buffers *b)
{
	if (b == NULL)
		return;
	must(buffers_used(b) != 0);
	ASAN_UNPOISON_MEMORY_REGION(b->memory, b->n * BUFFER_SIZE);
	munmap(b->memory, b->n * BUFFER_SIZE);
	lock_fini(&b->lock);
	free(b->stack);
	free(b->out);
	free(b);
}

void *buffers_get(struct buffers *b)
{
	uint32_t i;
	char *p;

	lock_take(&b->lock);
	if (b->free == 0) {
		lock_drop(&b->lock);
		return NULL;
	}
	i = b->stack[--b->free];
	b->idle = MIN(b->idle, b->free);
	b->bare = MIN(b->bare, b->free);
	b->out[i] = true;
	atomic_fetch_add_explicit(&b->used, BUFFER_SIZE, memory_order_relaxed);
	lock_drop(&b->lock);
	stat_add(STAT_memory_bytes, BUFFER_SIZE);
	p = b->memory + (size_t)i * BUFFER_SIZE;
	ASAN_UNPOISON_MEMORY_REGION(p, BUFFER_SIZE);
	return p;
}

void buffers_put(struct buffers *b, void *buffer)
{
	size_t at = (size_t)((char *)buffer - b->memory);
	size_t i = at / BUFFER_SIZE;

	/* Not one of ours, or put back twice: memory is already wrong. */
	must(i >= b->n || at % BUFFER_SIZE != 0);
	ASAN_POISON_MEMORY_REGION(buffer, BUFFER_SIZE);
	stat_add(STAT_memory_bytes, -(int64_t)BUFFER_SIZE);
	lock_take(&b->lock);
	must(!b->out[i]);
	b->out[i] = false;
	b->stack[b->free++] = (uint32_t)i;
	atomic_fetch_sub_explicit(&b->used, BUFFER_SIZE, memory_order_relaxed);
	lock_drop(&b->lock);
}

size_t buffers_used(const struct buffers *b)
{
	return atomic_load_explicit(&b->used, memory_order_relaxed);
}

size_t buffers_limit(const struct buffers *b)
{
	return (size_t)b->n * BUFFER_SIZE;
}

/*
 * In steps, so that a get() waits for a few madvise calls and not for all. A
 * buffer stays on the stack meanwhile: a get() never fails because of a trim.
 */
void buffers_trim(struct buffers *b)
{
	bool more;

	do {
		lock_take(&b->lock);
		for (int i = 0; i < TRIM_STEP && b->bare < b->idle; i++) {
			size_t at = (size_t)b->stack[b->bare++] * BUFFER_SIZE;

			madvise(b->memory + at, BUFFER_SIZE, MADV_DONTNEED);
		}
		more = b->bare < b->idle;
		if (!more)
			b->idle = b->free;
		lock_drop(&b->lock);
	} while (more);
}
