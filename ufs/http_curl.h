/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_curl.h - how every request of this program uses libcurl
 */
#ifndef UFS_HTTP_CURL_H
#define UFS_HTTP_CURL_H

#include <curl/curl.h>

#include "base/base.h"
#include "ufs/encode.h"

/* libcurl, once for the process. -EIO when it does not start. */
int http_global_init(void);

/*
 * What holds whoever is asked: HTTP/1.1 of the one scheme, TLS 1.2 at least
 * and verified, no redirect followed, no netrc, no signals. False: no memory.
 */
bool http_curl_policy(CURL *c, bool tls);

/* Put a line behind a list of headers. False: no memory, the list stays. */
bool http_curl_line(struct curl_slist **list, const char *line);

/* The same for "Name: value\n" each, cut in place; a p of NULL has none. */
bool http_curl_lines(struct curl_slist **list, struct text *lines);

/* Free a list of headers and leave no trace of a secret; NULL is allowed. */
void http_wipe_headers(struct curl_slist *list);

#endif
