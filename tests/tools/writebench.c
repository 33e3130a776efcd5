/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writebench - the writing half of scripts/bench
 *
 *   writebench seq FILE SIZE [fsync]    SIZE bytes, 1 MiB at a time, (fsync,)
 *                                       close
 *   writebench files DIR N SIZE T       T threads make N files of SIZE bytes
 *                                       in DIR, each written and closed
 *   writebench streams DIR N SIZE       N threads, each a file as `seq`
 *
 * No two MiB are alike. Prints `seconds bytes files`; an error, also of a
 * close, ends it with 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)
#define THREADS_MAX 256

static unsigned long nfiles;
static unsigned long long size;
static const char *where;
static bool sync_too;
static atomic_ulong next_file;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "writebench: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* xorshift64* */
static uint64_t next_random(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * UINT64_C(2685821657736338717);
}

static char *chunk_new(uint64_t seed)
{
	uint64_t *p = malloc(CHUNK);

	if (p == NULL)
		die("memory");
	seed = seed * 2 + 1;
	for (size_t i = 0; i < CHUNK / sizeof(*p); i++)
		p[i] = next_random(&seed);
	return (char *)p;
}

static void write_file(const char *path, char *chunk)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	for (uint64_t at = 0; at < size;) {
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
		ssize_t put;

		if (n >= sizeof(at))
			memcpy(chunk, &at, sizeof(at));
		put = write(fd, chunk, n);
		if (put <= 0)
			die(path);
		at += (uint64_t)put;
	}
	if (sync_too && fsync(fd) < 0)
		die(path);
	if (close(fd) < 0)
		die(path);
}

static void *make_files(void *arg)
{
	char *chunk = chunk_new((uint64_t)(uintptr_t)arg);
	char path[4096];
	unsigned long i;

	while ((i = atomic_fetch_add(&next_file, 1)) < nfiles) {
		snprintf(path, sizeof(path), "%s/%06lu.bin", where, i);
		write_file(path, chunk);
	}
	free(chunk);
	return NULL;
}

static void in_threads(unsigned long n)
{
	pthread_t threads[THREADS_MAX];

	for (unsigned long i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, make_files,
				   (void *)(uintptr_t)i) != 0)
			die("thread");
	for (unsigned long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static int usage(void)
{
	fprintf(stderr, "usage: writebench seq FILE SIZE [fsync]\n"
			"       writebench files DIR N SIZE THREADS\n"
			"       writebench streams DIR N SIZE\n");
	return 2;
}

int main(int argc, char **argv)
{
	unsigned long threads = 0;
	char *chunk;
	double start;

	if (argc < 4)
		return usage();
	where = argv[2];
	if (strcmp(argv[1], "seq") == 0) {
		nfiles = 1;
		size = strtoull(argv[3], NULL, 10);
		sync_too = argc > 4;
	} else if (argc == 6 && strcmp(argv[1], "files") == 0) {
		nfiles = strtoul(argv[3], NULL, 10);
		size = strtoull(argv[4], NULL, 10);
		threads = strtoul(argv[5], NULL, 10);
	} else if (argc == 5 && strcmp(argv[1], "streams") == 0) {
		threads = nfiles = strtoul(argv[3], NULL, 10);
		size = strtoull(argv[4], NULL, 10);
	} else {
		return usage();
	}
	if (size == 0 || threads > THREADS_MAX)
		return usage();
	chunk = chunk_new(0);
	start = now();
	if (threads == 0)
		write_file(where, chunk);
	else
		in_threads(threads);
	printf("%.6f %llu %lu\n", now() - start, size * nfiles, nfiles);
	free(chunk);
	return 0;
}
