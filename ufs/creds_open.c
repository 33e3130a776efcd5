/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_open.c - who is asked for keys, and in which order
 *
 * The order of the SDKs:
 * https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
 * Instance metadata comes last, as asking where there is none takes a second.
 */
#include <errno.h>
#include <stdio.h>

#include "ufs/creds_impl.h"
#include "ufs/ufs_impl.h"

/* All said no. last: the words of the last one, instance metadata. */
static int none_found(const char *profile, const char *last,
		      char why[static 256])
{
	struct awsconf aws;
	int r = awsconf_read(profile, &aws, why);

	if (r < 0)
		return r;
	if (aws.profile_asked)
		ufs_why(why, 0,
			"no keys in profile %.40s: neither %.50s nor %.50s has "
			"aws_access_key_id or another source in it, and %.60s",
			aws.profile, aws.credentials_path, aws.config_path,
			last);
	else
		ufs_why(
		    why, 0,
		    "no keys found: AWS_ACCESS_KEY_ID is not set, %.50s and "
		    "%.50s have no profile default with any, and %.40s; "
		    "set them, or use anonymous",
		    aws.credentials_path, aws.config_path, last);
	awsconf_fini(&aws);
	return -EINVAL;
}

static void provider_free(struct creds_provider *p)
{
	free(p->profile);
	free(p);
}

/* In front of next, which goes with it when memory is out. */
static struct creds_provider *ask_first(creds_fetch *fetch, const char *profile,
					struct creds_provider *next)
{
	struct creds_provider *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		creds_providers_close(next);
		return NULL;
	}
	p->fetch = fetch;
	p->close = provider_free;
	p->next = next;
	if (profile == NULL)
		return p;
	p->profile = strdup(profile);
	if (p->profile != NULL)
		return p;
	creds_providers_close(p);
	return NULL;
}

static struct creds_provider *usual_chain(const char *profile)
{
	struct creds_provider *p = ask_first(creds_from_imds, profile, NULL);

	if (p != NULL)
		p = ask_first(creds_from_container, NULL, p);
	if (p != NULL)
		p = ask_first(creds_from_profile, profile, p);
	if (p != NULL && profile == NULL)
		p = ask_first(creds_from_web_identity, NULL, p);
	if (p != NULL && profile == NULL) {
		p = ask_first(creds_from_env, NULL, p);
		/* Nobody can set variables of a process that runs. */
		if (p != NULL)
			p->fixed = true;
	}
	return p;
}

int creds_open(const struct creds_conf *conf, struct creds_chain **out,
	       char why[static 256])
{
	const char *profile = conf->profile;
	struct creds_provider *first;
	char last[256] = "";
	int r;

	if (profile != NULL && *profile == '\0')
		profile = NULL;
	first = usual_chain(profile);
	if (first == NULL)
		return -ENOMEM;
	r = creds_open_with(first, conf, out, last);
	if (r == -ENOENT)
		return none_found(profile, last, why);
	if (r < 0 && last[0] != '\0')
		snprintf(why, 256, "%s", last);
	return r == -EAGAIN ? -EINVAL : r;
}
