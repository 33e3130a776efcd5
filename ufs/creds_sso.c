/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_sso.c - keys of IAM Identity Center, by the login of the AWS CLI
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html
 * The portal of the session's region gives keys of a role for the token that
 * the login left (creds_sso_token.c).
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "ufs/creds_http.h"
#include "ufs/creds_impl.h"
#include "ufs/endpoint.h"
#include "ufs/ufs_impl.h"

#define TIMEOUT_NS (10 * NSEC_PER_SEC)

/* The profile may repeat what the session says, but not contradict it. */
static int setting(const struct awsconf *aws, const char *session,
		   const char *key, const char **out, char why[static 256])
{
	const char *own = awsconf_get(aws, key);
	const char *v =
	    session != NULL ? awsconf_sso_session(aws, session, key) : own;

	if (v == NULL)
		return ufs_why(why, -EINVAL, "%s%.60s has no %s in %.100s",
			       session != NULL ? "sso-session " : "profile ",
			       session != NULL ? session : aws->profile, key,
			       aws->config_path);
	if (own != NULL && strcmp(own, v) != 0)
		return ufs_why(why, -EINVAL,
			       "%s of profile %.60s and of sso-session %.60s "
			       "differ",
			       key, aws->profile, session);
	*out = v;
	return 0;
}

static int read_login(const struct awsconf *aws, struct creds_login *l,
		      char why[static 256])
{
	int r;

	l->session = awsconf_get(aws, "sso_session");
	r = setting(aws, l->session, "sso_start_url", &l->url, why);
	if (r == 0)
		r = setting(aws, l->session, "sso_region", &l->region, why);
	if (r == 0)
		r = setting(aws, NULL, "sso_account_id", &l->account, why);
	if (r == 0)
		r = setting(aws, NULL, "sso_role_name", &l->role, why);
	if (r == 0 && !awsconf_region_ok(l->region))
		r = ufs_why(why, -EINVAL,
			    "sso_region of profile %.100s: give one like "
			    "eu-west-1",
			    aws->profile);
	return r;
}

static int call_portal(const struct creds_site *site, const struct awsconf *aws,
		       const struct creds_login *l, const struct text *token,
		       struct creds_answer *a, char why[static 256])
{
	struct creds_call call = {
		.method = "GET",
		.timeout = TIMEOUT_NS,
		.ca_bundle = site->ca_bundle != NULL ? site->ca_bundle
						     : awsconf_ca_bundle(aws),
		.cancel = site->cancel,
	};
	const char *url = awsconf_endpoint(aws, "SSO");
	struct endpoint at;
	char usual[200];
	int r;

	snprintf(usual, sizeof(usual), "https://portal.sso.%s.%s", l->region,
		 awsconf_domain(l->region));
	r = endpoint_parse(url != NULL ? url : usual, &at, why);
	if (r < 0)
		return r;
	text_addf(&call.url,
		  "%s://%s%s/federation/credentials?role_name=", at.scheme,
		  at.host, at.base);
	text_add_encoded(&call.url, str_of(l->role), false);
	text_adds(&call.url, "&account_id=");
	text_add_encoded(&call.url, str_of(l->account), false);
	text_addf(&call.headers, "x-amz-sso_bearer_token: %s\n", token->p);
	endpoint_fini(&at);
	return creds_http(&call, a, why);
}

static int refusal(const struct awsconf *aws, const struct creds_login *l,
		   const struct creds_answer *a, char why[static 256])
{
	if (a->status == 401)
		return creds_sso_log_in(aws, "is not valid any more", why);
	return ufs_why(why, creds_status(a->status),
		       "SSO answered %d for role %.60s of account %.20s; %s",
		       a->status, l->role, l->account,
		       a->status == 403 || a->status == 404
			   ? "check that it is assigned to you"
			   : "it may answer later");
}

static int take(const struct awsconf *aws, const struct creds_login *l,
		const struct creds_answer *a, struct creds *set,
		char why[static 256])
{
	static const struct creds_members members = { "accessKeyId",
						      "secretAccessKey",
						      "sessionToken",
						      "expiration", true };
	json_t *o = creds_json(&a->body);
	json_t *keys = json_object_get(o, "roleCredentials");
	int r;

	if (!json_is_object(keys))
		r = ufs_why(why, -EINVAL,
			    "the answer of SSO for profile %.100s has no "
			    "roleCredentials",
			    aws->profile);
	else
		r = creds_from_json(keys, &members, set, "SSO", why);
	set->issuer_now = a->now;
	if (r == 0)
		r = creds_whose(set, "SSO role %s of account %s at %s", l->role,
				l->account, l->url);
	if (r == 0)
		r = creds_source(set,
				 "SSO role %s of account %s via profile %s",
				 l->role, l->account, aws->profile);
	json_decref(o);
	return r;
}

int creds_sso_fetch(const struct creds_site *site, const struct awsconf *aws,
		    struct creds *set, char why[static 256])
{
	struct creds_answer a = { 0 };
	struct text token = { 0 };
	struct creds_login l;
	int r = read_login(aws, &l, why);

	if (r == 0)
		r = creds_sso_token(site, aws, &l, &token, why);
	if (r == 0)
		r = call_portal(site, aws, &l, &token, &a, why);
	if (r == 0)
		r = a.status != 200 ? refusal(aws, &l, &a, why)
				    : take(aws, &l, &a, set, why);
	creds_answer_wipe(&a);
	text_wipe(&token);
	return r;
}
