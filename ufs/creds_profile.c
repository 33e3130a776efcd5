/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_profile.c - keys of a profile in the shared AWS files
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html
 * The files are read anew for each fetch. What a profile says is taken in the
 * order in which botocore does: a role with the keys of another profile or
 * source, a role with a web identity, SSO, keys, a program. A profile that is
 * the source of another and has keys is asked for them only; that is how a
 * profile may name itself as its source.
 */
#include <errno.h>

#include "ufs/creds_impl.h"
#include "ufs/ufs_impl.h"

#define SOURCES_MAX 8 /* roles assumed one by another */

struct lookup {
	const struct creds_site *site;
	const struct awsconf *first; /* whose region and endpoints count */
	const char *seen[SOURCES_MAX];
	size_t nseen;
};

static int fetch_profile(struct lookup *l, const struct awsconf *aws,
			 struct creds *set, char why[static 256]);

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
	return r < 0 ? r : creds_source(set, "profile %s", aws->profile);
}

static int fetch_source_profile(struct lookup *l, const struct awsconf *aws,
				const char *source, struct creds *by,
				char why[static 256])
{
	struct awsconf view;
	int r;

	if (!awsconf_view(aws, source, &view))
		return ufs_why(why, -EINVAL,
			       "source_profile %.60s of profile %.60s is "
			       "neither in %.60s nor in %.60s",
			       source, aws->profile, aws->credentials_path,
			       aws->config_path);
	if (has_keys(&view))
		return fetch_keys(&view, by, why);
	for (size_t i = 0; i < l->nseen; i++)
		if (strcmp(l->seen[i], source) == 0)
			return ufs_why(why, -EINVAL,
				       "source_profile of profile %.80s leads "
				       "back to profile %.80s",
				       aws->profile, source);
	r = fetch_profile(l, &view, by, why);
	if (r == -ENOENT)
		r = ufs_why(why, -EINVAL,
			    "source_profile %.60s of profile %.60s has no keys",
			    source, aws->profile);
	return r;
}

/* Here its absence is a failure, and its own words say more. */
static int with_imds(struct lookup *l, const struct awsconf *aws,
		     struct creds *by, char why[static 256])
{
	char words[256] = "";
	int r = creds_imds_fetch(l->site, aws, by, words);

	if (r == -ENOENT)
		r = -EAGAIN;
	return r == 0 ? 0
		      : ufs_why(why, r, "profile %.50s: %.180s", aws->profile,
				words);
}

static int fetch_source(struct lookup *l, const struct awsconf *aws,
			const char *source, struct creds *by,
			char why[static 256])
{
	int r;

	if (strcmp(source, "Environment") == 0)
		r = creds_env_fetch(by, why);
	else if (strcmp(source, "EcsContainer") == 0)
		r = creds_container_fetch(l->site, by, why);
	else if (strcmp(source, "Ec2InstanceMetadata") == 0)
		return with_imds(l, aws, by, why);
	else
		return ufs_why(why, -EINVAL,
			       "credential_source of profile %.100s: give "
			       "Environment, EcsContainer or "
			       "Ec2InstanceMetadata",
			       aws->profile);
	if (r == -ENOENT)
		r = ufs_why(why, -EINVAL,
			    "profile %.80s wants the keys of credential_source "
			    "%s, which has none here",
			    aws->profile, source);
	return r;
}

static int check_role(const struct awsconf *aws, const char *profile,
		      const char *source, char why[static 256])
{
	if ((profile == NULL) == (source == NULL))
		return ufs_why(why, -EINVAL,
			       "profile %.100s has role_arn: give it one of "
			       "source_profile and credential_source",
			       aws->profile);
	if (awsconf_get(aws, "mfa_serial") != NULL)
		return ufs_why(why, -EINVAL,
			       "profile %.60s needs an MFA code (mfa_serial), "
			       "which a mount cannot ask for: use a "
			       "credential_process or keys of `aws sts "
			       "get-session-token`",
			       aws->profile);
	return 0;
}

static int name_role(const struct awsconf *aws, const char *arn,
		     const struct creds *by, struct creds *set)
{
	const char *whose = by->whose != NULL ? by->whose : by->access_key;
	/* The ARN alone would do for AWS; other stores do not look at it. */
	int r = creds_whose(set, "role %s by %s", arn, whose);

	return r < 0 ? r
		     : creds_source(set, "role %s via profile %s", arn,
				    aws->profile);
}

static struct creds_role role_of(const struct awsconf *aws)
{
	return (struct creds_role){
		.arn = awsconf_get(aws, "role_arn"),
		.session_name = awsconf_get(aws, "role_session_name"),
		.external_id = awsconf_get(aws, "external_id"),
		.duration = awsconf_get(aws, "duration_seconds"),
	};
}

static int fetch_role(struct lookup *l, const struct awsconf *aws,
		      struct creds *set, char why[static 256])
{
	const char *profile = awsconf_get(aws, "source_profile");
	const char *source = awsconf_get(aws, "credential_source");
	struct creds_role role = role_of(aws);
	struct creds *by;
	int r = check_role(aws, profile, source, why);

	if (r < 0)
		return r;
	if (l->nseen == SOURCES_MAX)
		return ufs_why(why, -EINVAL,
			       "profile %.80s: more than %d roles in a row",
			       l->seen[0], SOURCES_MAX);
	l->seen[l->nseen++] = aws->profile;
	by = creds_new();
	if (by == NULL)
		return -ENOMEM;
	r = profile != NULL ? fetch_source_profile(l, aws, profile, by, why)
			    : fetch_source(l, aws, source, by, why);
	if (r == 0)
		r = creds_sts_assume_role(l->site, l->first, &role, by, set,
					  why);
	if (r == 0)
		r = name_role(aws, role.arn, by, set);
	creds_unref(by);
	return r;
}

static int fetch_web_identity(struct lookup *l, const struct awsconf *aws,
			      const char *file, struct creds *set,
			      char why[static 256])
{
	struct creds_role role = role_of(aws);
	int r;

	if (role.arn == NULL)
		return ufs_why(why, -EINVAL,
			       "profile %.100s has web_identity_token_file but "
			       "no role_arn",
			       aws->profile);
	role.external_id = NULL;
	r = creds_sts_web_identity(l->site, l->first, &role, file, set, why);
	if (r == 0)
		r = creds_whose(set, "role %s by the web identity in %s",
				role.arn, file);
	if (r == 0)
		r = creds_source(set, "role %s via profile %s", role.arn,
				 aws->profile);
	return r;
}

/* -ENOENT: the profile says nothing of keys. */
static int fetch_profile(struct lookup *l, const struct awsconf *aws,
			 struct creds *set, char why[static 256])
{
	const char *token = awsconf_get(aws, "web_identity_token_file");

	if (token != NULL)
		return fetch_web_identity(l, aws, token, set, why);
	if (awsconf_get(aws, "role_arn") != NULL)
		return fetch_role(l, aws, set, why);
	if (awsconf_get(aws, "sso_account_id") != NULL ||
	    awsconf_get(aws, "sso_role_name") != NULL)
		return creds_sso_fetch(l->site, aws, set, why);
	if (has_keys(aws))
		return fetch_keys(aws, set, why);
	if (awsconf_get(aws, "credential_process") != NULL)
		return creds_process_fetch(l->site, aws, set, why);
	if (awsconf_get(aws, "login_session") != NULL)
		return ufs_why(why, -EINVAL,
			       "profile %.40s has its keys of `aws login`, "
			       "which is not read: make a profile with "
			       "credential_process = aws configure "
			       "export-credentials --profile %.40s --format "
			       "process",
			       aws->profile, aws->profile);
	return -ENOENT;
}

int creds_from_profile(struct creds_provider *p, const struct creds_site *site,
		       struct creds *set, char why[static 256])
{
	struct lookup l = { .site = site };
	struct awsconf aws;
	int r = awsconf_read(p->profile, &aws, why);

	if (r < 0)
		return r;
	l.first = &aws;
	r = fetch_profile(&l, &aws, set, why);
	if (r == -ENOENT)
		ufs_why(why, r, "profile %.60s in %.80s and %.80s has no keys",
			aws.profile, aws.credentials_path, aws.config_path);
	awsconf_fini(&aws);
	return r;
}
