/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_profile.c - keys of a profile in the shared AWS files
 *
 * The files are read anew for each fetch.
 */
#include <errno.h>

#include "ufs/creds_impl.h"
#include "ufs/ufs_impl.h"

static bool has_keys(const struct awsconf *aws)
{
	return awsconf_get(aws, "aws_access_key_id") != NULL ||
	       awsconf_get(aws, "aws_secret_access_key") != NULL;
}

static int fetch_keys(const struct awsconf *aws, struct creds *set,
		      char why[static 256])
{
	const char *key = awsconf_get(aws, "aws_access_key_id");
	const char *secret = awsconf_get(aws, "aws_secret_access_key");
	const char *token = awsconf_get(aws, "aws_session_token");
	int r;

	if (key == NULL || secret == NULL)
		return ufs_why(why, -EINVAL, "profile %.80s has no %s",
			       aws->profile,
			       key == NULL ? "aws_access_key_id"
					   : "aws_secret_access_key");
	/* Its name of old, which SDKs read as well. */
	if (token == NULL)
		token = awsconf_get(aws, "aws_security_token");
	r = creds_keep(set, key, secret, token, aws->profile, why);
	return r < 0 ? r : creds_name(set, NULL, "profile %s", aws->profile);
}

/* Ways to keys that a profile may name and that are not served. */
static const char *unsupported(const struct awsconf *c)
{
	static const char *const ways[] = {
		"role_arn",      "credential_process",      "sso_session",
		"sso_start_url", "web_identity_token_file",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (awsconf_get(c, ways[i]) != NULL)
			return ways[i];
	return NULL;
}

/* -ENOENT: the profile says nothing of keys. */
static int fetch_profile(const struct awsconf *aws, struct creds *set,
			 char why[static 256])
{
	const char *way = unsupported(aws);

	if (has_keys(aws))
		return fetch_keys(aws, set, why);
	if (way != NULL)
		return ufs_why(why, -EINVAL,
			       "profile %.80s gets its keys by %s, which is "
			       "not supported: export them with `aws configure "
			       "export-credentials`",
			       aws->profile, way);
	return -ENOENT;
}

struct profile_provider {
	struct creds_provider provider;
	char *profile; /* as asked for, or NULL */
};

static int fetch(struct creds_provider *p, const struct creds_site *site,
		 struct creds *set, char why[static 256])
{
	struct profile_provider *f =
	    container_of(p, struct profile_provider, provider);
	struct awsconf aws;
	int r = awsconf_read(f->profile, &aws, why);

	if (r < 0)
		return r;
	(void)site;
	r = fetch_profile(&aws, set, why);
	if (r == -ENOENT)
		ufs_why(why, r, "profile %.60s in %.80s and %.80s has no keys",
			aws.profile, aws.credentials_path, aws.config_path);
	awsconf_fini(&aws);
	return r;
}

static void provider_close(struct creds_provider *p)
{
	struct profile_provider *f =
	    container_of(p, struct profile_provider, provider);

	free(f->profile);
	free(f);
}

struct creds_provider *creds_profile_provider(const char *profile)
{
	struct profile_provider *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->provider.fetch = fetch;
	f->provider.close = provider_close;
	if (profile != NULL && (f->profile = strdup(profile)) == NULL) {
		free(f);
		return NULL;
	}
	return &f->provider;
}
