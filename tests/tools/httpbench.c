/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpbench - a bare HTTP client: what a store gives without a file system
 *
 *   httpbench CONNECTIONS FILE
 *
 * FILE has a request a line: a URL (signed in its query), then, optionally, a
 * space and a range FIRST-LAST. Each connection is a thread with a handle of
 * its own that takes the next line until there is none. Bodies are counted
 * and dropped. Prints `seconds bytes requests`; anything but 200 and 206 ends
 * it with 1.
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECTIONS_MAX 256
#define LINE 4096

static char **lines;
static size_t nlines;
static atomic_size_t next_line;
static atomic_ullong bytes;

static size_t count(char *p, size_t size, size_t n, void *arg)
{
	(void)p;
	*(unsigned long long *)arg += size * n;
	return size * n;
}

static void *fetch(void *arg)
{
	CURL *c = curl_easy_init();
	unsigned long long got = 0;
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

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	unsigned long n = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	pthread_t threads[CONNECTIONS_MAX];
	double start;

	if (n == 0 || n > CONNECTIONS_MAX) {
		fprintf(stderr, "usage: httpbench CONNECTIONS FILE\n");
		return 2;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	load(argv[2]);
	start = now();
	for (unsigned long i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, fetch, NULL) != 0)
			return 1;
	for (unsigned long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("%.6f %llu %zu\n", now() - start, bytes, nlines);
	return 0;
}
