/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_env.c - AWS_ACCESS_KEY_ID and its two companions
 */
#include <errno.h>

#include "ufs/creds_impl.h"
#include "ufs/ufs_impl.h"

static void provider_free(struct creds_provider *p)
{
	free(p);
}

int creds_env_fetch(struct creds *set, char why[static 256])
{
	const char *key = awsconf_env("AWS_ACCESS_KEY_ID");
	const char *secret = awsconf_env("AWS_SECRET_ACCESS_KEY");
	const char *token = awsconf_env("AWS_SESSION_TOKEN");
	int r;

	/* Its name of old, which SDKs read as well. */
	if (token == NULL)
		token = awsconf_env("AWS_SECURITY_TOKEN");
	if (key == NULL && secret == NULL)
		return -ENOENT;
	if (key == NULL || secret == NULL)
		return ufs_why(why, -EINVAL, "%s is set but %s is not",
			       key != NULL ? "AWS_ACCESS_KEY_ID"
					   : "AWS_SECRET_ACCESS_KEY",
			       key == NULL ? "AWS_ACCESS_KEY_ID"
					   : "AWS_SECRET_ACCESS_KEY");
	r = creds_keep(set, key, secret, token,
		       "AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN", why);
	return r < 0 ? r : creds_name(set, NULL, "environment");
}

static int fetch_env(struct creds_provider *p, const struct creds_site *site,
		     struct creds *set, char why[static 256])
{
	(void)p, (void)site;
	return creds_env_fetch(set, why);
}

struct creds_provider *creds_env_provider(void)
{
	struct creds_provider *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->fetch = fetch_env;
	p->close = provider_free;
	/* Nobody can set variables of a process that runs. */
	p->fixed = true;
	return p;
}
