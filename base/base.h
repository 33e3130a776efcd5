/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h - the small things every file of tarn uses
 *
 * base/ knows nothing of tarn. This header holds what would otherwise be
 * written again in every source: owning locals, spans of bytes, and the
 * abort for what cannot fail.
 *
 * An error is an int: 0 or a count is success, else -errno. Results go
 * through a last parameter, untouched on failure.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)

#define container_of(ptr, type, member)                                        \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* A local that frees or closes what it owns when it goes out of scope. */
#define AUTO_FREE __attribute__((cleanup(base_auto_free)))
#define AUTO_CLOSE __attribute__((cleanup(base_auto_close)))

static inline void base_auto_free(void *p)
{
	void *owned;

	memcpy(&owned, p, sizeof(owned));
	free(owned);
}

static inline void base_auto_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Hand an AUTO_CLOSE descriptor to a longer-lived owner. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Hand an AUTO_FREE pointer to a longer-lived owner. */
#define take_ptr(p)                                                            \
	__extension__({                                                        \
		__typeof__(p) taken_ = (p);                                    \
		(p) = NULL;                                                    \
		taken_;                                                        \
	})

/* Abort, naming the expression, if a call that cannot fail did. */
#define must(expr) base_must((expr), #expr, __FILE__, __LINE__)
void base_must(int r, const char *what, const char *file, int line);

/*
 * A borrowed run of bytes. Keys of an object store are such runs: they may
 * hold NUL and need not be UTF-8.
 */
struct str {
	const char *p;
	size_t n;
};

#define STR_EMPTY ((struct str){ "", 0 })

static inline struct str str_of(const char *s)
{
	return (struct str){ s, strlen(s) };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Byte order, the order of S3 listings; a prefix sorts before what it starts.
 */
static inline int str_cmp(struct str a, struct str b)
{
	size_t n = MIN(a.n, b.n);
	int r = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n &&
	       (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* A NUL-terminated copy on the heap (the caller frees), or NULL. */
char *str_dup(struct str s);

#endif
