/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpbench - a bare HTTP client: what a store gives without a file system
 *
 *   httpbench CONNECTIONS FILE           get
 *   httpbench CONNECTIONS FILE BODY      put
 *
 * FILE has a request a line: a URL (signed in its query), then, optionally, a
 * space and a range FIRST-LAST. Each connection is a thread with a handle of
 * its own that takes the next line until there is none. Bodies are counted
 * and dropped. With BODY the range of that file (all of it without one) is
 * sent instead. Prints `seconds bytes requests`, and of what was put the ETags,
 * one a line; anything but 200 and 206 ends it with 1.
 */
#include <curl/curl.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define LINE 4096

static char **lines;
static size_t nlines;
static atomic_size_t next_line;
static atomic_ullong bytes;

/* What is put: all of BODY. */
static const char *body;
static size_t body_n;
static char **etags;

/* What of it is still to be sent. */
struct piece {
	const char *p;
	size_t n;
	char **etag; /* of its line */
};

static size_t count(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	*(unsigned long long *)arg += size * n;
	return size * n;
}

static size_t give(char *p, size_t size, size_t n, void *arg)
{
	struct piece *piece = arg;

	n = size * n < piece->n ? size * n : piece->n;
	memcpy(p, piece->p, n);
	piece->p += n;
	piece->n -= n;
	return n;
}

static size_t note_etag(char *p, size_t size, size_t n, void *arg)
{
	struct piece *piece = arg;

	n *= size;
	if (n > 5 && strncasecmp(p, "etag:", 5) == 0) {
		free(*piece->etag);
		*piece->etag = strndup(p + 5, n - 5);
	}
	return n;
}

static void put(CURL *c, size_t line, const char *range, struct piece *piece)
{
	size_t first = 0, last = body_n - 1;

	if (range != NULL && sscanf(range, "%zu-%zu", &first, &last) != 2)
		exit(2);
	if (first > last || last >= body_n)
		exit(2);
	*piece = (struct piece){ body + first, last - first + 1, &etags[line] };
	curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)piece->n);
	curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
	curl_easy_setopt(c, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(c, CURLOPT_READDATA, piece);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, note_etag);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, piece);
	atomic_fetch_add(&bytes, piece->n);
}

static void *perform(void *arg)
{
	CURL *c = curl_easy_init();
	unsigned long long got = 0;
	struct piece piece;
	size_t i;

	(void)arg;
	if (c == NULL)
		exit(1);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, count);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &got);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 512L * 1024);
	while ((i = atomic_fetch_add(&next_line, 1)) < nlines) {
		char *range = strchr(lines[i], ' ');
		long status = 0;
		CURLcode r;

		if (range != NULL)
			*range++ = '\0';
		curl_easy_setopt(c, CURLOPT_URL, lines[i]);
		if (body != NULL)
			put(c, i, range, &piece);
		else
			curl_easy_setopt(c, CURLOPT_RANGE, range);
		r = curl_easy_perform(c);
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		if (r != CURLE_OK || (status != 200 && status != 206)) {
			fprintf(stderr, "httpbench: %s: %ld\n",
				curl_easy_strerror(r), status);
			exit(1);
		}
	}
	curl_easy_cleanup(c);
	if (body == NULL)
		atomic_fetch_add(&bytes, got);
	return NULL;
}

static void load(const char *path)
{
	FILE *in = fopen(path, "re");
	char line[LINE];

	if (in == NULL) {
		perror(path);
		exit(1);
	}
	while (fgets(line, sizeof(line), in) != NULL) {
		char **more = realloc(lines, (nlines + 1) * sizeof(char *));

		line[strcspn(line, "\n")] = '\0';
		if (more == NULL)
			exit(1);
		lines = more;
		lines[nlines] = strdup(line);
		if (lines[nlines++] == NULL)
			exit(1);
	}
	fclose(in);
}

static void load_body(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0) {
		perror(path);
		exit(1);
	}
	body_n = (size_t)st.st_size;
	body = mmap(NULL, body_n, PROT_READ, MAP_PRIVATE, fd, 0);
	etags = calloc(nlines, sizeof(*etags));
	if (body == MAP_FAILED || etags == NULL)
		exit(1);
	close(fd);
}

/* As they came: a space before them, a line's end behind. */
static void print_etags(void)
{
	for (size_t i = 0; i < nlines; i++) {
		const char *tag = etags[i] != NULL ? etags[i] : "";

		tag += strspn(tag, " ");
		printf("%.*s\n", (int)strcspn(tag, "\r\n"), tag);
	}
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	unsigned long n =
	    argc == 3 || argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
	pthread_t threads[CONNECTIONS_MAX];
	double start;

	if (n == 0 || n > CONNECTIONS_MAX) {
		fprintf(stderr, "usage: httpbench CONNECTIONS FILE [BODY]\n");
		return 2;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	load(argv[2]);
	if (argc == 4)
		load_body(argv[3]);
	start = now();
	for (unsigned long i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, perform, NULL) != 0)
			return 1;
	for (unsigned long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("%.6f %llu %zu\n", now() - start, bytes, nlines);
	if (body != NULL)
		print_etags();
	return 0;
}
