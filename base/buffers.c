/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffers.c - one mapping, cut into buffers
 *
 * The whole budget is one reservation of address space; a buffer costs memory
 * once it is written to. A buffer is then a number, and two stacks of numbers
 * in one array say which are free: warm ones, which have memory, grow from
 * the left, and cold ones, which have none, from the right. get() takes the
 * warm one put back last, else a cold one. trim() gives back the memory of
 * those at the bottom of the warm stack that nobody wanted since the last
 * trim. One mapping, because freeing 64 KiB here and there would leave either
 * holes in the heap or more mappings than vm.max_map_count allows.
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
#define TRIM_STEP 64

struct buffers {
	/* set once at new */
	char *memory;
	uint32_t n;

	atomic_size_t used; /* written under lock, read by anyone */

	struct lock lock;
	/* under lock */
	uint32_t *free; /* warm at [0, warm), cold at [n - cold, n) */
	bool *out;      /* a flag a buffer: it is handed out */
	uint32_t warm, cold;
	uint32_t idle; /* lowest that warm was since the last trim */
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
	b->free = calloc(n, sizeof(*b->free));
	b->out = calloc(n, sizeof(*b->out));
	b->memory = mmap(NULL, n * BUFFER_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b->free == NULL || b->out == NULL || b->memory == MAP_FAILED) {
		if (b->memory != MAP_FAILED)
			munmap(b->memory, n * BUFFER_SIZE);
		free(b->free);
		free(b->out);
		free(b);
		return -ENOMEM;
	}
	madvise(b->memory, n * BUFFER_SIZE, MADV_DONTDUMP);
	ASAN_POISON_MEMORY_REGION(b->memory, n * BUFFER_SIZE);
	lock_init(&b->lock, RANK_BUFFERS);
	/* The lowest address first: what is used stays close together. */
	for (uint32_t i = 0; i < b->n; i++)
		b->free[i] = i;
	b->cold = b->n;
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
	free(b->free);
	free(b->out);
	free(b);
}

void *buffers_get(struct buffers *b)
{
	uint32_t i;
	char *p;

	lock_take(&b->lock);
	if (b->warm == 0 && b->cold == 0) {
		lock_drop(&b->lock);
		return NULL;
	}
	if (b->warm > 0) {
		i = b->free[--b->warm];
		b->idle = MIN(b->idle, b->warm);
	} else {
		i = b->free[b->n - b->cold--];
	}
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
	b->free[b->warm++] = (uint32_t)i;
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

/* Take the n lowest of the warm stack out of it, into drop. */
static void unstack_locked(struct buffers *b, uint32_t *drop, uint32_t n)
    TSA(requires_capability(b->lock));

static void unstack_locked(struct buffers *b, uint32_t *drop, uint32_t n)
{
	memcpy(drop, b->free, n * sizeof(*drop));
	memmove(b->free, b->free + n, (b->warm - n) * sizeof(*b->free));
	b->warm -= n;
}

/*
 * In steps, so that a get() never waits for a madvise of the whole; those
 * being given back are for that moment neither free nor used.
 */
void buffers_trim(struct buffers *b)
{
	uint32_t drop[TRIM_STEP], left, n;

	lock_take(&b->lock);
	left = b->idle;
	while (left > 0) {
		n = MIN(MIN(left, b->warm), TRIM_STEP);
		if (n == 0)
			break;
		unstack_locked(b, drop, n);
		lock_drop(&b->lock);
		for (uint32_t i = 0; i < n; i++)
			madvise(b->memory + (size_t)drop[i] * BUFFER_SIZE,
				BUFFER_SIZE, MADV_DONTNEED);
		lock_take(&b->lock);
		for (uint32_t i = 0; i < n; i++)
			b->free[b->n - ++b->cold] = drop[i];
		left -= n;
	}
	b->idle = b->warm;
	lock_drop(&b->lock);
}
