/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.c - the page at /-/ of mounts and workers
 *
 * Put together on the first request: style and script go between the empty
 * tags that page.html has for them, and their SHA-256 into the policy.
 */
#include "fuse/page.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>

#include "base/base.h"
#include "fuse/page_data.h"

#define STYLE "<style>"
#define SCRIPT "<script>"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char *document;
static char *policy_text;

/* A hash as the policy has it, without its quotes: sha256-BASE64. */
static bool hash_of(const char *text, char out[static 64])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n;

	if (EVP_Digest(text, strlen(text), sum, &n, EVP_sha256(), NULL) != 1)
		return false;
	memcpy(out, "sha256-", 7);
	EVP_EncodeBlock((unsigned char *)out + 7, sum, (int)n);
	return true;
}

static void make(void)
{
	const char *style = strstr(page_html, STYLE);
	const char *script = style != NULL ? strstr(style, SCRIPT) : NULL;
	char css[64], js[64];

	if (script == NULL || !hash_of(page_css, css) || !hash_of(page_js, js))
		return;
	style += strlen(STYLE);
	script += strlen(SCRIPT);
	/* data: is the empty icon, without which browsers ask for one. */
	if (asprintf(&policy_text,
		     "default-src 'none'; script-src '%s'; style-src '%s'; "
		     "connect-src 'self'; img-src data:; base-uri 'none'; "
		     "form-action 'none'; frame-ancestors 'none'; "
		     "require-trusted-types-for 'script'",
		     js, css) < 0)
		return;
	if (asprintf(&document, "%.*s%s%.*s%s%s", (int)(style - page_html),
		     page_html, page_css, (int)(script - style), style, page_js,
		     script) < 0)
		document = NULL;
}

char *page_document(const char **policy)
{
	must(pthread_once(&once, make));
	if (document == NULL)
		return NULL;
	*policy = policy_text;
	return strdup(document);
}
