/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.c - http[s]://HOST[:PORT][/PATH], as people give it
 */
#include "ufs/endpoint.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "ufs/ufs_impl.h"

void endpoint_fini(struct endpoint *e)
{
	free(e->scheme);
	free(e->host);
	free(e->base);
	memset(e, 0, sizeof(*e));
}

static int check(const char *e, char why[static 256])
{
	size_t scheme = strncasecmp(e, "https://", 8) == 0  ? 8
			: strncasecmp(e, "http://", 7) == 0 ? 7
							    : 0;

	if (scheme == 0)
		return ufs_why(why, -EINVAL,
			       "endpoint %.150s: begin it with https:// or "
			       "http://",
			       e);
	/* Not repeated in the message: it may be a secret. */
	if (strchr(e, '@') != NULL)
		return ufs_why(why, -EINVAL,
			       "the endpoint holds an @: keys are never taken "
			       "from a URL");
	if (strcspn(e + scheme, "/:") == 0 || strpbrk(e, "?# \\\"") != NULL)
		return ufs_why(why, -EINVAL,
			       "endpoint %.150s: give https://HOST[:PORT]", e);
	for (const char *c = e; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
			return ufs_why(why, -EINVAL,
				       "the endpoint holds bytes that no URL "
				       "has");
	return 0;
}

int endpoint_parse(const char *text, struct endpoint *out, char why[static 256])
{
	struct endpoint e = { 0 };
	bool tls = strncasecmp(text, "https://", 8) == 0;
	const char *host = text + (tls ? 8 : 7), *end;
	int r = check(text, why);
	char *port;

	if (r < 0)
		return r;
	end = host + strcspn(host, "/");
	e.scheme = strdup(tls ? "https" : "http");
	e.host = strndup(host, (size_t)(end - host));
	e.base = strdup(end);
	if (e.scheme == NULL || e.host == NULL || e.base == NULL) {
		endpoint_fini(&e);
		return -ENOMEM;
	}
	for (char *c = e.host; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	/* As libcurl writes the Host header that is signed. */
	port = strrchr(e.host, ':');
	if (port != NULL && strcmp(port, tls ? ":443" : ":80") == 0)
		*port = '\0';
	for (size_t n = strlen(e.base); n > 0 && e.base[n - 1] == '/'; n--)
		e.base[n - 1] = '\0';
	*out = e;
	return 0;
}
