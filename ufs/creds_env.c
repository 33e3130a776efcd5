/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_env.c - keys that the environment holds, or says how to get
 *
 * AWS_ACCESS_KEY_ID and its two companions; or AWS_WEB_IDENTITY_TOKEN_FILE
 * and AWS_ROLE_ARN, which EKS sets for a pod whose service account has a role
 * (IRSA).
 */
#include <errno.h>

#include "ufs/creds_impl.h"
#include "ufs/ufs_impl.h"

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
	return r < 0 ? r : creds_source(set, "environment");
}

int creds_from_env(struct creds_provider *p, const struct creds_site *site,
		   struct creds *set, char why[static 256])
{
	(void)p, (void)site;
	return creds_env_fetch(set, why);
}

static int with_files(const struct creds_site *site, const struct awsconf *aws,
		      const char *file, struct creds *set, char why[static 256])
{
	struct creds_role role = {
		.arn = awsconf_env("AWS_ROLE_ARN"),
		.session_name = awsconf_env("AWS_ROLE_SESSION_NAME"),
	};
	int r;

	if (role.arn == NULL)
		return ufs_why(why, -EINVAL,
			       "AWS_WEB_IDENTITY_TOKEN_FILE is set but "
			       "AWS_ROLE_ARN is not");
	r = creds_sts_web_identity(site, aws, &role, file, set, why);
	if (r == 0)
		r = creds_whose(set, "role %s by the web identity in %s",
				role.arn, file);
	if (r == 0)
		r = creds_source(set, "role %s via web identity", role.arn);
	return r;
}

int creds_from_web_identity(struct creds_provider *p,
			    const struct creds_site *site, struct creds *set,
			    char why[static 256])
{
	const char *file = awsconf_env("AWS_WEB_IDENTITY_TOKEN_FILE");
	struct awsconf aws;
	int r;

	(void)p;
	if (file == NULL)
		return -ENOENT;
	/* For the region and the endpoint of STS. */
	r = awsconf_read(NULL, &aws, why);
	if (r < 0)
		return r;
	r = with_files(site, &aws, file, set, why);
	awsconf_fini(&aws);
	return r;
}
