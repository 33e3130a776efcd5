/* SPDX-License-Identifier: Apache-2.0 */
/*
 * creds_imds.c - keys of an EC2 instance's role, from its metadata (IMDSv2)
 *
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
 * A PUT gets a token, with which the role's name and then its keys are read.
 * There is no way back to IMDSv1, which needs no token: whoever can make the
 * instance send a GET would have the keys. The answer to the PUT travels as
 * many hops as the instance's settings say (usually 1), so that in a container
 * with a network of its own it may never arrive.
 *
 * Where there is no metadata service the packets are dropped: one second,
 * once, is all that is waited. Keys that have expired are given out all the
 * same: the service hands out old ones while it cannot make new ones, and AWS
 * then accepts them for longer.
 */
#include <errno.h>
#include <strings.h>

#include "base/clock.h"
#include "ufs/creds_http.h"
#include "ufs/creds_impl.h"
#include "ufs/endpoint.h"
#include "ufs/ufs_impl.h"

#define TIMEOUT_NS (1 * NSEC_PER_SEC)
#define USUAL "http://169.254.169.254"
#define USUAL_V6 "http://[fd00:ec2::254]"
#define ROLES "/latest/meta-data/iam/security-credentials/"

struct imds {
	const struct creds_site *site;
	struct endpoint at;
	struct text token;
};

static int choose_endpoint(struct imds *i, const struct awsconf *aws,
			   char why[static 256])
{
	const char *url = awsconf_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode =
	    awsconf_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

	if (url == NULL)
		url = awsconf_get(aws, "ec2_metadata_service_endpoint");
	if (mode == NULL)
		mode = awsconf_get(aws, "ec2_metadata_service_endpoint_mode");
	if (url == NULL)
		url = mode != NULL && strcasecmp(mode, "ipv6") == 0 ? USUAL_V6
								    : USUAL;
	return endpoint_parse(url, &i->at, why);
}

/* One request; path is appended to the endpoint's. */
static int ask(struct imds *i, const char *method, const char *path,
	       const char *below, struct creds_answer *a, char why[static 256])
{
	struct creds_call call = { .method = method,
				   .timeout = TIMEOUT_NS,
				   .ca_bundle = i->site->ca_bundle,
				   .cancel = i->site->cancel };

	text_addf(&call.url, "%s://%s%s%s", i->at.scheme, i->at.host,
		  i->at.base, path);
	text_add_encoded(&call.url, str_of(below), false);
	if (i->token.n == 0)
		text_adds(&call.headers,
			  "X-aws-ec2-metadata-token-ttl-seconds: 21600\n");
	else
		text_addf(&call.headers, "X-aws-ec2-metadata-token: %s\n",
			  i->token.p);
	return creds_http(&call, a, why);
}

static int unexpected(const struct imds *i, const struct creds_answer *a,
		      const char *what, char why[static 256])
{
	return ufs_why(why, creds_status(a->status),
		       "EC2 metadata at %.100s answered %d to the request for "
		       "%s%s",
		       i->at.host, a->status, what,
		       a->status >= 300 && a->status < 400
			   ? "; a redirect is not followed"
			   : "");
}

static int get_token(struct imds *i, char why[static 256])
{
	struct creds_answer a;
	char words[256];
	int r = ask(i, "PUT", "/latest/api/token", "", &a, words);

	/* Most likely we are just not on EC2. */
	if (r == -EAGAIN)
		r = ufs_why(why, -ENOENT,
			    "EC2 metadata does not answer (if this is a "
			    "container on EC2, set the instance's hop limit "
			    "to 2)");
	else if (r == -EINVAL)
		ufs_why(why, r, "EC2 metadata: %.200s", words);
	else if (r == 0 && (a.status != 200 || a.body.n == 0))
		r = unexpected(i, &a, "a token", why);
	else if (r == 0 && !creds_printable(a.body.p))
		r = ufs_why(why, -EINVAL,
			    "EC2 metadata at %.100s gave a token that is none",
			    i->at.host);
	if (r == 0)
		text_add(&i->token, a.body.p, a.body.n);
	creds_answer_wipe(&a);
	return r == 0 && i->token.failed ? -ENOMEM : r;
}

/* The first line of a list that has one. */
static int get_role(struct imds *i, struct text *role, char why[static 256])
{
	struct creds_answer a;
	int r = ask(i, "GET", ROLES, "", &a, why);
	size_t n;

	if (r == 0 && a.status == 404)
		r = ufs_why(why, -ENOENT, "the EC2 instance has no role");
	else if (r == 0 && a.status != 200)
		r = unexpected(i, &a, "the role's name", why);
	if (r == 0) {
		n = a.body.n > 0 ? strcspn(a.body.p, "\r\n") : 0;
		if (n == 0)
			r = ufs_why(why, -ENOENT,
				    "the EC2 instance has no role");
		else
			text_add(role, a.body.p, n);
	}
	creds_answer_wipe(&a);
	return r == 0 && role->failed ? -ENOMEM : r;
}

static int take(struct imds *i, const struct creds_answer *a, const char *role,
		struct creds *set, char why[static 256])
{
	static const struct creds_members members = {
		"AccessKeyId", "SecretAccessKey", "Token", "Expiration", true
	};
	json_t *o = creds_json(&a->body);
	const char *said = json_string_value(json_object_get(o, "Code"));
	char code[CREDS_CODE_MAX];
	int r;

	creds_code(said, code);
	if (!json_is_object(o))
		r = ufs_why(why, -EINVAL,
			    "the answer of EC2 metadata at %.100s is no JSON "
			    "object",
			    i->at.host);
	else if (said != NULL && strcmp(said, "Success") != 0)
		r = ufs_why(why, -EAGAIN,
			    "EC2 metadata has no keys for role %.60s: %s; "
			    "check that ec2.amazonaws.com may assume it",
			    role, code);
	else
		r = creds_from_json(o, &members, set, "EC2 metadata", why);
	set->issuer_now = a->now;
	if (r == 0)
		r = creds_whose(set, "instance role %s", role);
	if (r == 0)
		r = creds_source(set, "role %s of this EC2 instance", role);
	json_decref(o);
	return r;
}

static int get_keys(struct imds *i, const char *role, struct creds *set,
		    char why[static 256])
{
	struct creds_answer a;
	int r = ask(i, "GET", ROLES, role, &a, why);

	if (r == 0)
		r = a.status != 200 ? unexpected(i, &a, "the role's keys", why)
				    : take(i, &a, role, set, why);
	creds_answer_wipe(&a);
	return r;
}

int creds_imds_fetch(const struct creds_site *site, const struct awsconf *aws,
		     struct creds *set, char why[static 256])
{
	struct imds i = { .site = site };
	struct text role = { 0 };
	int r;

	if (awsconf_true(awsconf_env("AWS_EC2_METADATA_DISABLED")))
		return ufs_why(why, -ENOENT, "EC2 metadata is switched off");
	r = choose_endpoint(&i, aws, why);
	if (r == 0)
		r = get_token(&i, why);
	if (r == 0)
		r = get_role(&i, &role, why);
	if (r == 0)
		r = get_keys(&i, role.p, set, why);
	text_wipe(&i.token);
	text_fini(&role);
	endpoint_fini(&i.at);
	return r;
}

int creds_from_imds(struct creds_provider *p, const struct creds_site *site,
		    struct creds *set, char why[static 256])
{
	struct awsconf aws;
	int r = awsconf_read(p->profile, &aws, why);

	if (r < 0)
		return r;
	r = creds_imds_fetch(site, &aws, set, why);
	awsconf_fini(&aws);
	return r;
}
