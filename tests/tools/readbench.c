/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readbench - the reading half of scripts/bench
 *
 *   readbench seq FILE            all of it, 1 MiB at a time
 *   readbench rand FILE N SEED    N reads of 4 KiB at random places
 *   readbench mmap FILE N SEED    sum up N random pages of a mapping
 *   readbench files LIST T SEED   T threads open, read and close each file
 *                                 of LIST (a path a line), in random order
 *
 * Prints `seconds bytes operations`; `files` adds the seconds of the 99th of
 * 100 reads and of the slowest (a file's first one with its open). A failed or
 * short read ends it with 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)
#define SMALL ((size_t)4096)

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "readbench: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* xorshift64*: the same places for the same seed, on every file system */
static uint64_t next_random(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * UINT64_C(2685821657736338717);
}

static void *buffer(void)
{
	void *p = aligned_alloc(4096, CHUNK);

	if (p == NULL)
		die("memory");
	memset(p, 1, CHUNK);
	return p;
}

static int open_file(const char *path, uint64_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	*size = (uint64_t)st.st_size;
	return fd;
}

static uint64_t sum_page(const char *page)
{
	uint64_t sum = 0, word;

	for (size_t i = 0; i < SMALL; i += sizeof(word)) {
		memcpy(&word, page + i, sizeof(word));
		sum += word;
	}
	return sum;
}

/* How long each read took, in s. */
struct times {
	float *at;
	size_t n, room;
};

static void times_add(struct times *t, double seconds)
{
	if (t->n == t->room) {
		t->room = t->room * 2 + 1024;
		t->at = realloc(t->at, t->room * sizeof(*t->at));
		if (t->at == NULL)
			die("memory");
	}
	t->at[t->n++] = (float)seconds;
}

static int earlier(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* since: when the first read began; times: NULL or where to put each. */
static uint64_t read_whole(int fd, char *buf, const char *path, double since,
			   struct times *times)
{
	uint64_t total = 0;
	ssize_t n;

	while ((n = read(fd, buf, CHUNK)) > 0) {
		total += (uint64_t)n;
		if (times != NULL) {
			double t = now();

			times_add(times, t - since);
			since = t;
		}
	}
	if (n < 0)
		die(path);
	return total;
}

struct files {
	char **paths;
	size_t n;
	atomic_size_t next;
	atomic_uint_fast64_t bytes;
	pthread_mutex_t lock;
	struct times times; /* of all threads; under lock */
};

static void *read_files(void *arg)
{
	struct files *f = arg;
	char *buf = buffer();
	struct times times = { 0 };
	uint64_t total = 0;
	size_t i;

	while ((i = atomic_fetch_add(&f->next, 1)) < f->n) {
		double since = now();
		int fd = open(f->paths[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			die(f->paths[i]);
		total += read_whole(fd, buf, f->paths[i], since, &times);
		close(fd);
	}
	free(buf);
	atomic_fetch_add(&f->bytes, total);
	pthread_mutex_lock(&f->lock);
	for (i = 0; i < times.n; i++)
		times_add(&f->times, times.at[i]);
	pthread_mutex_unlock(&f->lock);
	free(times.at);
	return NULL;
}

static void load_list(struct files *f, const char *list, uint64_t seed)
{
	FILE *in = fopen(list, "re");
	char line[4096];

	if (in == NULL)
		die(list);
	while (fgets(line, sizeof(line), in) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		f->paths = realloc(f->paths, (f->n + 1) * sizeof(char *));
		if (f->paths == NULL ||
		    (f->paths[f->n++] = strdup(line)) == NULL)
			die("memory");
	}
	fclose(in);
	for (size_t i = f->n; i > 1; i--) {
		size_t k = next_random(&seed) % i;
		char *t = f->paths[i - 1];

		f->paths[i - 1] = f->paths[k];
		f->paths[k] = t;
	}
}

static void usage(void)
{
	fprintf(stderr, "usage: readbench seq FILE | rand FILE N SEED | "
			"mmap FILE N SEED | files LIST THREADS SEED\n");
	exit(2);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";
	uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 10) | 1 : 1;
	uint64_t size, bytes = 0, ops = 0;
	struct times times = { 0 };
	char *buf = buffer();
	double start, end;

	if (strcmp(mode, "seq") == 0) {
		start = now();
		int fd = open_file(argv[2], &size);

		bytes = read_whole(fd, buf, argv[2], start, NULL);
		end = now();
		ops = (bytes + CHUNK - 1) / CHUNK;
		if (bytes != size) {
			fprintf(stderr, "readbench: %s: short\n", argv[2]);
			return 1;
		}
	} else if (strcmp(mode, "rand") == 0 && argc == 5) {
		int fd = open_file(argv[2], &size);

		start = now();
		for (ops = 0; ops < n; ops++) {
			uint64_t page = next_random(&seed) % (size / SMALL);

			if (pread(fd, buf, SMALL, (off_t)(page * SMALL)) !=
			    (ssize_t)SMALL)
				die(argv[2]);
		}
		end = now();
		bytes = n * SMALL;
	} else if (strcmp(mode, "mmap") == 0 && argc == 5) {
		int fd = open_file(argv[2], &size);
		const char *map =
		    mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		uint64_t sum = 0;

		if (map == MAP_FAILED)
			die(argv[2]);
		start = now();
		for (ops = 0; ops < n; ops++)
			sum += sum_page(map + next_random(&seed) %
						  (size / SMALL) * SMALL);
		end = now();
		bytes = n * SMALL;
		if (sum == 1)
			fprintf(stderr, " ");
	} else if (strcmp(mode, "files") == 0 && argc == 5 && n > 0 &&
		   n <= 64) {
		struct files f = { .lock = PTHREAD_MUTEX_INITIALIZER };
		pthread_t threads[64];

		load_list(&f, argv[2], seed);
		start = now();
		for (uint64_t i = 0; i < n; i++)
			if (pthread_create(&threads[i], NULL, read_files, &f) !=
			    0)
				die("thread");
		for (uint64_t i = 0; i < n; i++)
			pthread_join(threads[i], NULL);
		end = now();
		bytes = f.bytes;
		ops = f.n;
		times = f.times;
	} else {
		usage();
		return 2;
	}
	printf("%.6f %ju %ju", end - start, (uintmax_t)bytes, (uintmax_t)ops);
	if (times.n > 0) {
		qsort(times.at, times.n, sizeof(*times.at), earlier);
		printf(" %.6f %.6f", (double)times.at[times.n * 99 / 100],
		       (double)times.at[times.n - 1]);
	}
	printf("\n");
	return 0;
}
