/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_container.c - keys of a container: ECS tasks, EKS Pod Identity
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 * The platform sets the address (and for EKS a file with a token, which it
 * replaces from time to time: it is read for each request). A full address is
 * taken only with https, or of the hosts that AWS names: whoever can set the
 * variable shall not be able to have the token sent anywhere else.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "base/clock.h"
#include "ufs/creds_http.h"
#include "ufs/creds_impl.h"
#include "ufs/ufs_impl.h"

#define TIMEOUT_NS (2 * NSEC_PER_SEC)
#define TOKEN_MAX KIB(16)
#define ECS_HOST "169.254.170.2"

static const char *const hosts[] = {
	ECS_HOST,         "169.254.170.23", /* EKS */
	"[fd00:ec2::23]", "[::1]",          "localhost",
};

/* Without its port. */
static void cut_port(char *host)
{
	char *colon = strrchr(host, ':'), *bracket = strchr(host, ']');

	if (colon != NULL && (bracket == NULL || colon > bracket))
		*colon = '\0';
}

static bool host_allowed(const char *url)
{
	struct in_addr v4;
	char host[128];

	creds_host(url, host);
	cut_port(host);
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
		if (strcasecmp(host, hosts[i]) == 0)
			return true;
	return inet_pton(AF_INET, host, &v4) == 1 &&
	       ntohl(v4.s_addr) >> 24 == 127;
}

static bool url_ok(const char *url)
{
	for (const char *c = url; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || *c == '\\')
			return false;
	return strchr(url, '@') == NULL;
}

static int choose_url(struct text *url, char why[static 256])
{
	const char *relative =
	    awsconf_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = awsconf_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	bool tls;

	if (relative == NULL && full == NULL)
		return -ENOENT;
	if (relative != NULL) {
		if (*relative != '/' || !url_ok(relative))
			return ufs_why(why, -EINVAL,
				       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
				       "is no path that begins with /");
		text_addf(url, "http://" ECS_HOST "%s", relative);
		return 0;
	}
	tls = strncasecmp(full, "https://", 8) == 0;
	if (!url_ok(full) || (!tls && strncasecmp(full, "http://", 7) != 0))
		return ufs_why(why, -EINVAL,
			       "AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL "
			       "of the form http://HOST/PATH");
	if (!tls && !host_allowed(full))
		return ufs_why(why, -EINVAL,
			       "AWS_CONTAINER_CREDENTIALS_FULL_URI: without "
			       "https only a loopback address, 169.254.170.2, "
			       "169.254.170.23 and [fd00:ec2::23] are asked "
			       "for keys");
	text_adds(url, full);
	return 0;
}

/* The file is replaced while we run; the variable cannot be. */
static int add_token(struct text *headers, char why[static 256])
{
	const char *file =
	    awsconf_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *given = awsconf_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	struct text token = { 0 };
	int r = 0;

	if (file == NULL && given == NULL)
		return 0;
	if (file != NULL)
		r = creds_read_file(file, TOKEN_MAX, "the container's token",
				    &token, why);
	else
		text_adds(&token, given);
	for (size_t i = 0; r == 0 && i < token.n; i++)
		if (!isprint((unsigned char)token.p[i]))
			r = ufs_why(
			    why, -EINVAL,
			    "the container's token in %s holds a "
			    "newline or another control character",
			    file != NULL
				? "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
				: "AWS_CONTAINER_AUTHORIZATION_TOKEN");
	if (r == 0) {
		text_adds(headers, "Authorization: ");
		text_add(headers, token.p, token.n);
		text_adds(headers, "\n");
	}
	if (token.failed)
		r = -ENOMEM;
	text_wipe(&token);
	return r;
}

static int refusal(const struct creds_answer *a, const char *host,
		   char why[static 256])
{
	const char *fix =
	    a->status == 401 || a->status == 403 ? "check the container's token"
	    : a->status == 404 ? "check that the task or the pod has a role"
	    : a->status >= 300 && a->status < 400 ? "a redirect is not followed"
						  : "it may answer later";

	return ufs_why(why, creds_status(a->status),
		       "the container's endpoint %.100s answered %d; %s", host,
		       a->status, fix);
}

static int take(const struct creds_answer *a, const char *host,
		struct creds *set, char why[static 256])
{
	static const struct creds_members members = {
		"AccessKeyId", "SecretAccessKey", "Token", "Expiration", true
	};
	json_t *o = creds_json(&a->body);
	const char *role = json_string_value(json_object_get(o, "RoleArn"));
	int r;

	if (!json_is_object(o)) {
		json_decref(o);
		return ufs_why(why, -EINVAL,
			       "the answer of the container's endpoint %.100s "
			       "is no JSON object",
			       host);
	}
	r = creds_from_json(o, &members, set, "the container's endpoint", why);
	set->issuer_now = a->now;
	if (r == 0)
		r = creds_whose(set, "container %s %s", host,
				role != NULL ? role : "");
	if (r == 0)
		r = creds_source(set, "the container's role, from %s", host);
	json_decref(o);
	return r;
}

int creds_container_fetch(const struct creds_site *site, struct creds *set,
			  char why[static 256])
{
	struct creds_call call = { .method = "GET",
				   .timeout = TIMEOUT_NS,
				   .ca_bundle = site->ca_bundle,
				   .cancel = site->cancel };
	struct creds_answer a = { 0 };
	char host[128];
	int r = choose_url(&call.url, why);

	if (r == 0) {
		creds_host(call.url.p != NULL ? call.url.p : "", host);
		text_adds(&call.headers, "Accept: application/json\n");
		r = add_token(&call.headers, why);
	}
	if (r == 0)
		r = creds_http(&call, &a, why);
	else
		creds_call_wipe(&call);
	if (r == 0)
		r = a.status != 200 ? refusal(&a, host, why)
				    : take(&a, host, set, why);
	creds_answer_wipe(&a);
	return r;
}

int creds_from_container(struct creds_provider *p,
			 const struct creds_site *site, struct creds *set,
			 char why[static 256])
{
	(void)p;
	return creds_container_fetch(site, set, why);
}
