/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.c - by what the members of a ring know each other
 */
#include "ring/access.h"

#include <errno.h>

#include "base/clock.h"
#include "ring/wire.h"
#include "ufs/http_curl.h"

static bool copy(const char *s, const char **out)
{
	*out = s != NULL ? strdup(s) : NULL;
	return s == NULL || *out != NULL;
}

int ring_access_copy(const struct ring_access *a, struct ring_access *out)
{
	memset(out, 0, sizeof(*out));
	if (copy(a->secret, &out->secret) && copy(a->tls.ca, &out->tls.ca) &&
	    copy(a->tls.cert, &out->tls.cert) &&
	    copy(a->tls.key, &out->tls.key))
		return 0;
	ring_access_free(out);
	return -ENOMEM;
}

void ring_access_free(struct ring_access *a)
{
	if (a->secret != NULL)
		explicit_bzero((char *)(uintptr_t)a->secret, strlen(a->secret));
	free((char *)(uintptr_t)a->secret);
	free((char *)(uintptr_t)a->tls.ca);
	free((char *)(uintptr_t)a->tls.cert);
	free((char *)(uintptr_t)a->tls.key);
	memset(a, 0, sizeof(*a));
}

static bool is_secure(const struct ring_access *a)
{
	return a->tls.ca != NULL || a->tls.cert != NULL || a->tls.key != NULL;
}

const char *ring_access_scheme(const struct ring_access *a)
{
	return is_secure(a) ? "https" : "http";
}

#define SET(option, value)                                                     \
	do {                                                                   \
		if (curl_easy_setopt(c, option, value) != CURLE_OK)            \
			return -ENOMEM;                                        \
	} while (0)

int ring_access_curl(const struct ring_access *a, CURL *c)
{
	if (!http_curl_policy(c, is_secure(a)))
		return -ENOMEM;
	if (a->tls.ca != NULL)
		SET(CURLOPT_CAINFO, a->tls.ca);
	if (a->tls.cert != NULL)
		SET(CURLOPT_SSLCERT, a->tls.cert);
	if (a->tls.key != NULL)
		SET(CURLOPT_SSLKEY, a->tls.key);
	SET(CURLOPT_NOPROXY, "*");   /* a proxy is for the way to the store */
	SET(CURLOPT_PATH_AS_IS, 1L); /* "a/../b" is a key like any other */
	return 0;
}

void ring_access_header(struct sigv4_request *r, const char *name,
			const char *value)
{
	r->headers[r->nheaders++] =
	    (struct sigv4_pair){ str_of(name), str_of(value) };
}

int ring_access_sign(const struct ring_access *a, struct sigv4_key *key,
		     struct sigv4_request *r, int64_t skew,
		     struct text *headers)
{
	char date[17];
	int err;

	if (a->secret == NULL)
		return 0;
	sigv4_date(clock_wall_ns() + skew, date);
	ring_access_header(r, "x-amz-content-sha256", r->body_hash);
	ring_access_header(r, "x-amz-date", date);
	text_adds(headers, "Authorization: ");
	err = sigv4_sign(key, r, WIRE_ACCESS_KEY, a->secret, WIRE_REGION, "s3",
			 date, headers);
	text_addf(headers,
		  "\nx-amz-content-sha256: %s\n"
		  "x-amz-date: %s\n",
		  r->body_hash, date);
	return err;
}
