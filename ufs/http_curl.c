/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_curl.c - see http_curl.h
 */
#include "ufs/http_curl.h"

#include <errno.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global;

static void init_global(void)
{
	global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int http_global_init(void)
{
	must(pthread_once(&once, init_global));
	return global == CURLE_OK ? 0 : -EIO;
}

#define SET(option, value)                                                     \
	do {                                                                   \
		if (curl_easy_setopt(c, option, value) != CURLE_OK)            \
			return false;                                          \
	} while (0)

bool http_curl_policy(CURL *c, bool tls)
{
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_PROTOCOLS_STR, tls ? "https" : "http");
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_USERAGENT, "tarn/" TARN_VERSION);
	/* Do not wait for a name server that no one waits for any more. */
	SET(CURLOPT_QUICK_EXIT, 1L);
	return true;
}

bool http_curl_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *more = curl_slist_append(*list, line);

	if (more != NULL)
		*list = more;
	return more != NULL;
}

bool http_curl_lines(struct curl_slist **list, struct text *lines)
{
	char *line = lines->p, *end;
	bool ok = true;

	for (; ok && line != NULL && (end = strchr(line, '\n')) != NULL;
	     line = end + 1) {
		*end = '\0';
		ok = http_curl_line(list, line);
	}
	return ok;
}

void http_wipe_headers(struct curl_slist *list)
{
	for (struct curl_slist *l = list; l != NULL; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl_slist_free_all(list);
}
